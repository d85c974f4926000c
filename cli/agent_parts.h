/**
 * The parts of a running agent, for the files that make it up: agent.c, agent_server.c, agent_node.c, agent_front.c,
 * agent_relay.c, agent_tls.c.
 *
 *     a server          server/server.h has all its threads
 *     a client          the client's thread: its loop, the client, its link to the servers
 *     only a client     besides, the HTTP thread of its front; all that it is asked is answered on the client's thread:
 *                       by the client, by the agent itself, or by a server, to which agent_relay passes it on
 *
 * All but what is said to be of another thread is called by the main thread. Configuration is borrowed for good.
 */
#ifndef CLI_AGENT_PARTS_H_
#define CLI_AGENT_PARTS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "cli/config.h"
#include "lib/mailbox.h"
#include "proto/http.h"

struct agent_node;
struct agent_front;
struct agent_relay;
struct channels;
struct client;
struct client_link;
struct server;
struct server_config;
struct tls;

enum { AGENT_WHY = 512 };

/* ---- agent_tls.c ---- */

/* Certificates and keys, as their files say; NULL where there is no TLS. */
struct agent_secrets {
	struct tls *http;
	struct tls *rpc;
	unsigned char key[CONFIG_SECRET_MAX]; /* What agents must know to talk to each other; */
	size_t key_len;                       /* 0: nothing. */
};

/* 0; or an ERR_ code with a text in `why`. */
int agent_secrets_open(const struct agent_config *config, struct agent_secrets *out, char why[AGENT_WHY]);

/* Read the files again, for new connections. What went wrong is logged, and then all is as it was. */
void agent_secrets_reload(struct agent_secrets *s);
void agent_secrets_close(struct agent_secrets *s);

/* How this agent's connections to servers look on the wire (proto/channel.h); NULL: plain text. ERR_NOMEM or 0. */
int agent_secrets_channels(const struct agent_secrets *s, const struct agent_config *config, struct channels **out);

/* ---- agent_server.c ---- */

/* What server_start() takes; in `mem`. `node_id` is that of the client in this agent, or NULL. 0; or ERR_NOMEM or
 * ERR_INVALID with a text in `why`. */
int agent_server_config(const struct agent_config *config, const char *node_id, struct arena *mem,
			struct server_config *out, char why[AGENT_WHY]);

/* The numeric form of a host to listen at: itself, or the first address of a name. NULL, with a text in `why`. */
const char *agent_numeric_host(const char *key, const char *host, struct arena *mem, char why[AGENT_WHY]);

/* ---- agent_node.c ---- */

/* Read the local state and look at the machine; nothing runs yet. Tasks get the soft limit of open files, unless it is
 * 0. NULL, with a text in `why`. */
struct agent_node *agent_node_open(const struct agent_config *config, const struct agent_secrets *secrets,
				   int64_t task_files_max, char why[AGENT_WHY]);

/* The node's ID, from open on. */
const char *agent_node_id(const struct agent_node *c);

/* Run its thread: it adopts tasks and turns to the servers. ERR_NOMEM or 0. */
int agent_node_start(struct agent_node *c);

/* End it and its thread. With `end_tasks` tasks end too, else they go on. Not started: nothing happens. The front, if
 * there is one, has been stopped before: no request comes any more. */
void agent_node_stop(struct agent_node *c, bool end_tasks);

/* Afterwards: mail that came too late, run by the caller. Returns how much there was. */
unsigned agent_node_run_mail(struct agent_node *c);

/* After stop. */
void agent_node_close(struct agent_node *c);

/* Any thread: have mail run on the client's. False when too much of it waits there. */
bool agent_node_post(struct agent_node *c, struct mail *mail);

/* The same for what is bounded elsewhere. */
void agent_node_post_answer(struct agent_node *c, struct mail *mail);

/* The client's thread. The client is NULL when it has been stopped. */
struct client *agent_node_of(struct agent_node *c);
struct client_link *agent_node_link(struct agent_node *c);
struct agent_relay *agent_node_relay(struct agent_node *c);
struct channels *agent_node_channels(struct agent_node *c);

/* ---- agent_front.c ---- */

/* Listen for HTTP, through TLS if that is not NULL, and answer for this client. The client is open, and not yet started. An ERR_ code, with a text in
 * `why`. */
int agent_front_start(const struct agent_config *config, struct tls *tls, struct agent_node *client,
		      struct agent_front **out, char why[AGENT_WHY]);

/* Listen no more; requests under way have so long to be answered. The client still runs. */
void agent_front_stop(struct agent_front *f, uint32_t grace_ms);

/* After the client has been stopped. */
void agent_front_close(struct agent_front *f);

/* ---- agent_relay.c: requests that a server answers; the client's thread ---- */

/* NULL when memory is exhausted. */
struct agent_relay *agent_relay_new(uv_loop_t *loop, const struct agent_config *config, struct agent_node *client);

/* Have a server answer the request. One that surely did not take it is followed by others, for a few seconds. */
void agent_relay_http(struct agent_relay *r, struct http_request *req);

/* End: requests under way are answered with an error. stopped_cb when nothing of it is left on the loop. */
void agent_relay_stop(struct agent_relay *r, void (*stopped_cb)(void *ctx), void *ctx);

/* Stopped, or never used. */
void agent_relay_free(struct agent_relay *r);

#endif /* CLI_AGENT_PARTS_H_ */
