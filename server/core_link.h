/**
 * What the HTTP thread asks of the rest of its server: one table of functions, so that the API's handlers know neither
 * Raft nor RPC nor a thread.
 *
 *     HTTP thread (server/api.h)                     core loop, workers, other servers
 *       link->view()                  <------------  newest view of the state
 *       link->info()                  <------------  who leads, who is there
 *       link->write(), read(), ...    ------------>  is carried out ...
 *       call->done_cb()               <------------  ... and answered by mail
 *       link->forward(request)        ------------>  another agent, whose answer goes straight to the request
 *
 * All of it happens on one HTTP thread, which has a link of its own. No function calls back before it has returned:
 * done_cb and events come later, from the thread's loop. Every call ends, by done_cb exactly once, whatever happens to
 * the cluster; when the server stops, with ERR_CLOSED or ERR_UNKNOWN.
 */
#ifndef SERVER_CORE_LINK_H_
#define SERVER_CORE_LINK_H_

#include "lib/mailbox.h"
#include "proto/http.h"
#include "raft/fsm.h"
#include "server/metrics.h"
#include "server/sched.h"

struct core_link;

/* ---- what is known without asking ---- */

/* Servers and their gossip, as GET /v1/agent/members shows them. */
#define CORE_MEMBER_FIELDS(X, T)                                                                   \
	X(T, STR, name, "Name")               /* "s1.global" */                                    \
	X(T, STR, addr, "Addr")                                                                    \
	X(T, INT, port, "Port")                                                                    \
	X(T, MAP, tags, "Tags", .brackets = true) /* id, region, dc, rpc_addr, port, role, build, ... */ \
	X(T, STR, status, "Status", .dflt_str = "alive") /* "alive", "failed", "left" */           \
	X(T, INT, protocol_min, "ProtocolMin", .dflt = 1)                                          \
	X(T, INT, protocol_max, "ProtocolMax", .dflt = 5)                                          \
	X(T, INT, protocol_cur, "ProtocolCur", .dflt = 2)                                          \
	X(T, INT, delegate_min, "DelegateMin", .dflt = 2)                                          \
	X(T, INT, delegate_max, "DelegateMax", .dflt = 5)                                          \
	X(T, INT, delegate_cur, "DelegateCur", .dflt = 4)

/* Servers of Raft's configuration, as GET /v1/operator/raft/configuration shows them. */
#define CORE_PEER_FIELDS(X, T)                                                                     \
	X(T, STR, id, "ID")                   /* The server's UUID, or Raft's ID where it is not known. */ \
	X(T, STR, node, "Node")               /* The member's name; "(unknown)" where it is not known. */ \
	X(T, STR, address, "Address")                                                              \
	X(T, BOOL, leader, "Leader")                                                               \
	X(T, BOOL, voter, "Voter")                                                                 \
	X(T, STR, raft_protocol, "RaftProtocol", .dflt_str = "3")

OBJECT_DECLARE(core_member, CORE_MEMBER_FIELDS);
OBJECT_DECLARE(core_peer, CORE_PEER_FIELDS);

/* A snapshot; it never changes, another takes its place. No member is NULL. */
struct core_info {
	bool leads;        /* This server leads and is ready for writes. */
	bool leader_known;
	const char *leader_rpc; /* The leader's RPC address, "host:port"; "" when none is known. */
	const char *id;         /* This server's UUID. */
	const char *name;       /* "s1" */
	const char *region;
	const char *datacenter;
	const char *node_id;    /* Of the client in this agent; "" when there is none. */
	const char *config_json; /* The agent's configuration without secrets, for GET /v1/agent/self. */
	struct strs regions;    /* All that are known, sorted, this one among them. */
	uint32_t self;          /* This server's place among the members. */
	CTYPE_LIST(core_member) members;
	CTYPE_LIST(core_peer) peers;
	uint64_t peers_index;   /* Of Raft, of the configuration; 0 if it is not known. */
	struct autopilot_config autopilot;
};

/* ---- calls ---- */

/* What all calls begin with: embedded in what the caller keeps of one, and the link's from the call until done_cb. */
struct core_call {
	void (*done_cb)(struct core_call *call);
	int status;       /* 0 or an ERR_ code. */
	struct mail mail; /* The link's own, */
	void *link_data;  /* as is this. */
};

/* A command for this server, the leader, to put into the log.
 *   0              applied: `result` says what came of it, and the newest view has it
 *   ERR_NOTLEADER  this server does not lead (any more): surely not done
 *   ERR_UNKNOWN    it may or may not be carried out
 *   ERR_BUSY, ERR_NOSPACE, ERR_TOOBIG, ERR_CLOSED: surely not done */
struct core_write {
	struct core_call call;
	const void *command; /* By command_encode(), without its stamp; stays until done_cb. */
	size_t len;
	struct apply_result result;
};

/* Come up to date: on success the newest view has everything that was committed when the call was made. Without
 * `barrier` the leader is asked how far it is, once for all that ask in one turn; with it the leader proves by a
 * barrier in the log that it is one. On the leader or any other server. ERR_NOLEADER, ERR_TIMEOUT, ERR_BUSY,
 * ERR_CLOSED. */
struct core_read {
	struct core_call call;
	bool barrier;
};

/* The dry run of a job, by a scheduler on a worker. All that comes back is in `mem`, which is the worker's until
 * done_cb. ERR_BUSY, ERR_CORRUPT, ERR_CLOSED. */
struct core_plan {
	struct core_call call;
	const struct job *job; /* Canonical and valid. */
	struct arena *mem;
	struct sched_preview preview;
};

/* What takes longer than a turn of a loop may: run_cb is called on another thread, and may touch nothing but what the
 * caller keeps beside the call. When done_cb comes with 0, it has returned. ERR_BUSY: too many are under way;
 * ERR_CLOSED: in both cases it was not called. */
struct core_chore {
	struct core_call call;
	void (*run_cb)(struct core_chore *chore);
};

/* What the leader does besides applying commands, and what each server does for its operator. */
#define CORE_ACTION_LIST(X)                                                                        \
	X(GC)                  /* Begin to collect everything that is over. */                     \
	X(RECONCILE_SUMMARIES) /* Make sure that job summaries are right. */                       \
	X(FORCE_LAUNCH)        /* Launch a periodic job now: ns, id; `result` is of its child's register. */ \
	X(REMOVE_PEER)         /* Of Raft's configuration: `id` is its UUID, Raft ID or address. */ \
	X(TRANSFER)            /* Leadership, to `id`, named likewise; "": to the one that is furthest. */ \
	X(JOIN)                /* Not the leader's: look for servers at `addresses`; result.count were reached. */ \
	X(FORCE_LEAVE)         /* Not the leader's: the failed server with the name `id` has left. */ \
	X(PRUNE)               /* The same, and it is forgotten. */

enum core_action_kind {
#define X(id) CORE_##id,
	CORE_ACTION_LIST(X)
#undef X
};

/* ERR_NOTLEADER, ERR_UNKNOWN, ERR_BUSY and so on as for writes. With another ERR_ code `text` may tell the client why;
 * NULL if there is nothing to tell. */
struct core_action {
	struct core_call call;
	enum core_action_kind kind;
	const char *ns;
	const char *id;
	struct strs addresses; /* Stay until done_cb, as the others. */
	struct arena *mem; /* For the text; the link's until done_cb. */
	const char *text;
	struct apply_result result;
};

/* A line of "stats" in GET /v1/agent/self. */
struct core_stat {
	const char *group; /* "raft": lines of a group stand together. */
	const char *name;
	const char *value;
};

/* What a leader knows of another server. */
struct core_contact {
	const char *id; /* As in core_peer. */
	uint64_t contact_ms; /* Since it was last heard of; UINT64_MAX: never. */
	uint64_t term;
	uint64_t index; /* What it has stored of the log. */
};

/* The server's own numbers. ERR_CLOSED, ERR_BUSY, ERR_NOMEM. */
struct core_stats {
	struct core_call call;
	struct arena *mem; /* All is in here; the link's until done_cb. */
	struct metric *metrics;
	struct core_stat *stats;
	struct core_contact *contacts; /* On the leader: of all servers, itself too. */
	uint32_t n_metrics;
	uint32_t n_stats;
	uint32_t n_contacts;
};

/* ---- requests for others ---- */

enum core_where {
	CORE_TO_LEADER,
	CORE_TO_REGION, /* A server of the region `name`. */
	CORE_TO_NODE,   /* The client agent of the node with the ID `name`. */
	CORE_TO_SERVER, /* The server with the UUID `name`. */
};

/* ---- the table ---- */

/* What the link has to say without being asked. */
struct core_events {
	/* info() is another one. */
	void (*info_cb)(void *ctx);
	/* A request that was given to forward() was not answered by the other side, and is the receiver's again:
	 *   ERR_NOLEADER, ERR_CLOSED, ERR_BUSY  it was surely not carried out; the connection may be back soon
	 *   ERR_NOTFOUND                        there is no way to this region or node
	 *   ERR_UNKNOWN                         it was sent, and then the connection was lost
	 *   ERR_TOOBIG                          it does not fit into a frame */
	void (*returned_cb)(void *ctx, struct http_request *req, int err);
};

struct core_ops {
	/* From now on events are told. */
	void (*start)(struct core_link *link, const struct core_events *events, void *ctx);
	/* The newest view, to be given back with view_release(). */
	const struct view *(*view)(struct core_link *link);
	/* Stays until info_cb has returned. */
	const struct core_info *(*info)(struct core_link *link);
	/* Milliseconds since this server heard of the leader; 0 if it leads. */
	uint64_t (*last_contact_ms)(struct core_link *link);

	void (*write)(struct core_link *link, struct core_write *w);
	void (*read)(struct core_link *link, struct core_read *r);
	void (*plan)(struct core_link *link, struct core_plan *p);
	void (*action)(struct core_link *link, struct core_action *a);
	void (*stats)(struct core_link *link, struct core_stats *s);
	void (*chore)(struct core_link *link, struct core_chore *c);

	/* Pass a request on, and its answer back, also one that is a stream. The request is the link's until it is
	 * answered or comes back by returned_cb, with its gone_cb and drain_cb. Its body stays as long as itself.
	 * Nothing is sent twice. `name` is borrowed for the call. */
	void (*forward)(struct core_link *link, struct http_request *req, enum core_where where, const char *name);

	/* The hash that this server's state had at an index; false: that is not remembered. */
	bool (*state_hash)(struct core_link *link, uint64_t index, uint64_t *hash);

	/* This server leads, and no other can have been elected: the view has all that anybody was answered. NULL: as
	 * info() says. */
	bool (*surely_leads)(struct core_link *link);
};

struct core_link {
	const struct core_ops *ops;
};

#endif /* SERVER_CORE_LINK_H_ */
