/**
 * Who may ask what of this node, where access control is on: a request's token is taken to a server, which says what its
 * policies allow, and what the request's route needs is looked up there.
 *
 *     access_guard() --known, and not too old--> allowed: go_cb now         not allowed: answered
 *            \--> asked of a server, with all that come meanwhile --> the same, later
 *
 * Who may no longer what he began (his token has gone or has expired, or may do less) is told as if his client had left:
 * his stream ends, and the command that he runs. That is looked for each time that what is known of the token is too old,
 * so it takes these times at most, and a call.
 *
 * What servers have said is kept for the times that the configuration gives (token_ttl, policy_ttl). When no server can be
 * asked, what is known goes on to hold, however old it is; with a token that is not known a request waits some seconds for
 * one, and fails then.
 */
#ifndef CLIENT_ACCESS_H_
#define CLIENT_ACCESS_H_

#include <stdbool.h>
#include <stdint.h>

#include "proto/http.h"

struct token_book;
struct client;

enum {
	ACCESS_KEPT_MAX = 256,  /* Tokens; the one that was not used for longest goes first. */
	ACCESS_WAIT_MAX = 1024, /* Requests that wait for a server's word; more are told 429. */
};

/* What a request needs. */
struct access_need {
	const char *capability; /* Of the route, as in server/api_routes.h: "read-fs", "node:write"; NULL: nothing. */
	const char *also;       /* Another one of the same namespace; NULL: none. */
	const char *ns;         /* The allocation's namespace; NULL: there is none, and any that allows it will do. */
};

/* NULL when memory is exhausted. */
struct token_book *access_open(struct client *c);

/* What is due at this time, and when the next is; 0: nothing. */
void access_step(struct token_book *b, int64_t now_ns);
int64_t access_due(const struct token_book *b);

/* The client stops: requests that wait for a server to be found are answered. Those that wait for its word are when the
 * link has stopped. */
void access_stop(struct token_book *b);

/* No call of it is under way: the link has stopped. Harmless with NULL, as the others. */
void access_close(struct token_book *b);

/* Have go_cb handle the request, now or later, if its token may do that; otherwise it is answered. Nothing of `need` is
 * kept but texts that are static. The book is NULL where there is no access control: then all is allowed. */
void access_guard(struct token_book *b, struct http_request *req, const struct access_need *need,
                  void (*go_cb)(void *ctx, struct http_request *req), void *ctx);

#endif /* CLIENT_ACCESS_H_ */
