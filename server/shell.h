/**
 * What the parts of a running server know of each other. Private to server.c, core*.c, link*.c, workers.c (the inner
 * half) and net*.c, membership.c, nodes.c, forward.c (the half that talks to other agents).
 *
 *     HTTP thread        httpd, api, link                 mail
 *     core thread        loop, replica, state, leader, proposer, reads, RPC host, membership, node connections
 *     worker threads     a scheduler each                 mail
 *
 * All members belong to the core thread, unless they say otherwise.
 */
#ifndef SERVER_SHELL_H_
#define SERVER_SHELL_H_

#include <uv.h>

#include "lib/bell.h"
#include "lib/mailbox.h"
#include "proto/channel.h"
#include "proto/relay.h"
#include "proto/stream.h"
#include "raft/fsm.h"
#include "raft/replica.h"
#include "server/api.h"
#include "server/founding.h"
#include "server/httpd.h"
#include "server/identity.h"
#include "server/leader.h"
#include "server/proposer.h"
#include "server/reads.h"
#include "server/server.h"

struct core;    /* core.c: the core loop's own. */
struct net;     /* net.c: other agents. */
struct link;    /* link.c: the HTTP thread's side. */
struct workers; /* workers.c */

struct server {
	struct server_config config;
	struct identity identity;
	struct keyring keyring; /* Of any thread: it never changes. */

	/* The core thread. */
	uv_thread_t thread;
	uv_loop_t loop;
	struct mailbox mail; /* To it, from all other threads. */
	struct bell mail_bell;
	struct channels *channels; /* Of RPC and Raft; net.c's. NULL: plain text. */
	struct replica *replica;
	struct state *state;
	struct watch_hub hub;
	struct fsm fsm;
	struct proposer proposer;
	struct reads reads;
	struct leader leader;
	struct core *core;
	struct workers *workers;
	struct net *net;
	struct link *link;
	struct httpd *httpd; /* Any thread may post to it. */
	struct api *api;     /* The HTTP thread's. */
	bool ready;          /* Leads, and takes writes. */
	bool draining;       /* Will stop soon: takes no requests of other agents any more. */
	bool stopping;
};

/* ---- what the outer half (net) gets from the inner one; on the core thread unless said otherwise ---- */

/* The newest view: borrowed until the next turn of the loop. */
const struct view *server_view(struct server *s);
struct moment server_moment(struct server *s);
int64_t server_now_ms(struct server *s); /* Monotonic, of this turn. */

/* Nanoseconds of a processor that this turn may still take. Without any, work that can wait goes on by the least step. */
int64_t server_time_left(struct server *s);

/* It leads, and no other can have been elected since: what is committed here is all that anybody was answered, or has
 * seen on another server. False also when that is not sure; then a barrier says it. See server/lease.h. */
bool server_surely_leads(struct server *s);

/* Put a command into the log; as proposer_add(), with ERR_NOTLEADER when this server is not ready. */
int server_write(struct server *s, struct write *w);

/* info() of the HTTP thread must be made anew: members, leader or configuration have changed. Cheap; made once a turn. */
void server_info_changed(struct server *s);

/* What an operator has put, else what the configuration says. */
struct autopilot_config server_autopilot(struct server *s);

/* This server is in a cluster: founded or joined. Identity has been saved. */
void server_joined(struct server *s);

/* End this process in order, for the reason given. */
void server_end(struct server *s, const char *why);

/* Mail to the core thread (any thread), and from it to the HTTP thread. Neither can fail. */
void server_post_core(struct server *s, struct mail *mail);
void server_post_http(struct server *s, struct mail *mail);

/* ---- what the inner half gets from the outer one (server/net.h) ---- */

/* Make it; the loop is there, the replica is not. */
int net_new(struct server *s, struct net **out);

/* The replica is made and not started: listen (replica_listen) for RPC and serf, begin to look for others. */
int net_start(struct net *n, char *why, size_t why_size);

/* Replica callbacks, passed on. */
void net_connection(struct net *n, struct channel *ch, const char *listener, char first);
void net_ready(struct net *n, bool ready);             /* After leader_start() / before leader_stop(). */
void net_leader(struct net *n, uint64_t id, const char *address);
void net_configuration(struct net *n);

/* An entry was applied (fsm's callback): allocations that must be pushed, nodes that must be told. */
void net_changed(struct net *n, const struct view *v, const struct change *changes, size_t count);

/* The state was replaced by a snapshot. */
void net_replaced(struct net *n);

/* After the loop's poll, where work is done in slices, and at its turn's end. */
void net_turn(struct net *n, bool ends);

/* Ask the leader how far it has committed: reads_answer() follows. ERR_NOLEADER, ERR_CLOSED: no way to ask now. */
int net_ask_index(struct net *n);

/* HTTP thread: core_ops.forward. `events`/`ctx` are those of the link's start(). */
void net_forward(struct net *n, struct http_request *req, enum core_where where, const char *name,
		 const struct core_events *events, void *ctx);

/* HTTP thread: whether requests that other agents have passed on are not answered. */
bool net_serves(const struct net *n);

/* Milliseconds since the leader was heard of, by RPC or Raft, are the replica's to say; this is what else info needs:
 * members (with the server itself), and peers of Raft's configuration with names where they are known; all in `mem`. */
void net_info(struct net *n, struct core_info *info, struct arena *mem);

/* Any thread: the hash of the state at one of the last few thousand indexes; false: it is not remembered. */
bool net_state_hash(struct net *n, uint64_t index, uint64_t *hash);

/* Operators' requests: 0, and done_cb comes later, maybe at the end of the program; or an error at once. A server is
 * named by its UUID, its Raft ID or its address. Removing and handing on are the leader's.
 *   net_remove_peer  ERR_NOTFOUND; ERR_INVALID: it is this one; ERR_BUSY: another change is under way
 *   net_transfer     "": to the server that is furthest. ERR_NOTFOUND; ERR_EXISTS: it is this one; later ERR_TIMEOUT
 *   net_join         `count` addresses were reached. ERR_INVALID: too many, or none */
typedef void (*net_admin_cb)(void *ctx, int status, unsigned count);
int net_remove_peer(struct net *n, const char *which, net_admin_cb done_cb, void *ctx);
int net_transfer(struct net *n, const char *which, net_admin_cb done_cb, void *ctx);
int net_join(struct net *n, const struct strs *addresses, net_admin_cb done_cb, void *ctx);

/* A member that has failed is let go, as if it had left. ERR_NOTFOUND; ERR_EXISTS: it is alive. */
int net_force_leave(struct net *n, const char *name, bool prune);

/* Lines for the agent's own numbers. */
unsigned net_metrics(struct net *n, struct metric *out, unsigned max);

/* Say goodbye for good, then net_stop(). */
void net_leave(struct net *n, void (*left_cb)(void *ctx), void *ctx);

/* Close everything that it has on the loop. stopped_cb comes later, then net_free(). */
void net_stop(struct net *n, void (*stopped_cb)(void *ctx), void *ctx);
void net_free(struct net *n);

#endif /* SERVER_SHELL_H_ */
