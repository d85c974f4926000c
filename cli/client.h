/**
 * HTTP requests to a server, as commands make them: one after the other, on one connection.
 *
 *     if (!client_init(&api, args)) {
 *             return EXIT_ERROR;
 *     }
 *     client_url(&api, "/v1/job/%s", client_escape(&api, id));
 *     if (client_read(&api, "querying job", &job_type, &job)) {
 *             ...
 *     }
 *     client_close(&api);
 *
 * Where to and as whom: -address and NOMAD_ADDR, -token and NOMAD_TOKEN, -namespace and NOMAD_NAMESPACE, -region and
 * NOMAD_REGION, -ca-cert and so on (TLS); the flag comes before the environment. What goes wrong is told on stderr, with the
 * server's own text where there is one.
 */
#ifndef CLI_CLIENT_H_
#define CLI_CLIENT_H_

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/command.h"
#include "lib/buf.h"
#include "proto/object.h"

enum { CLIENT_MAX_ANSWER = 256 << 20 }; /* A longer answer is an error. */

extern const struct flag client_flags[];

struct client {
	void *curl;
	void *headers; /* Added to each request. */
	void *connect_to; /* Where the address is, if not where its name says. */
	struct arena *mem;
	const char *address;
	const char *namespace_; /* "" for none: the server's default. */
	const char *region;
	struct buf url;  /* Of the next request. */
	bool has_query;  /* There is a ? in it. */
	struct buf body; /* Of the last answer. */
	long status;     /* Likewise. */
	int64_t index;   /* X-Nomad-Index of it, 0 if there was none. */
	FILE *stream;    /* Bodies of answers with status 200 go there as they come, if not NULL. */
	bool unreadable; /* The answer was too long. */
	char error[256];
};

/* False, with a word on stderr, if flags or environment make no sense. */
bool client_init(struct client *c, const struct args *args);
void client_close(struct client *c);

/* Carry out a command with a client of its own; returns the exit code. CLIENT_RUN(list) makes run_list() of list(). */
int client_run(struct args *args, int (*work)(struct client *c, struct args *args));

#define CLIENT_RUN(name)                                                                                               \
	static int run_##name(struct args *args)                                                                       \
	{                                                                                                              \
		return client_run(args, name);                                                                         \
	}

/* The path of the next request, with what needs it percent-encoded; parameters of its query. */
void client_url(struct client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void client_param(struct client *c, const char *name, const char *value);

/* Percent-encoded, in the client's arena. */
const char *client_escape(struct client *c, const char *text);

/* Send it. `body` may be NULL. 0 when there is an answer, whatever its status; else ERR_IO or ERR_NOMEM, and c->error
 * tells why. */
int client_send(struct client *c, const char *method, const char *body, size_t len);

/* As client_send(), and demands success: "Error DOING: ..." on stderr otherwise. */
bool client_ok(struct client *c, const char *doing, const char *method, const char *body, size_t len);

/* GET and decode. */
bool client_read(struct client *c, const char *doing, const struct type *t, void *obj);

/* GET a list: `t` is a struct whose only field is a LIST with the name "Items". */
bool client_read_list(struct client *c, const char *doing, const struct type *t, void *list);

/* Decode the body of the last answer. */
bool client_decode(struct client *c, const char *doing, const struct type *t, void *obj);

#endif /* CLI_CLIENT_H_ */
