/**
 * The half of a running server that talks to other agents. Private to the files below; the rest sees server/shell.h.
 *
 *     net.c          connections: who may connect, what comes in on them, the timer, begin and end
 *     membership.c   which servers there are, and one connection to each
 *     cluster.c      founding a cluster, being taken into one, leaving it
 *     voters.c       the leader's: who is in Raft's configuration, and as what
 *     errands.c      requests that only the leader can answer, on any server
 *     callers.c      who may call what; whether a node is the one that it says
 *     nodes.c        what clients say of their nodes: register, heartbeat, update
 *     node_previous.c  where the data is that an allocation takes over
 *     node_rights.c  what tokens may do, for nodes' agents
 *     node_conns.c   which nodes are connected, here and to other servers; when they ask to be told of their work
 *     node_push.c    that work, as it changes
 *     forward.c      HTTP requests to and from other agents
 *     net_admin.c    what operators ask for concerning servers
 *     net_info.c     what the API shows of all that; status; hashes of the state
 *
 * All of it is of the core thread, but for two functions of forward.c.
 */
#ifndef SERVER_NET_PARTS_H_
#define SERVER_NET_PARTS_H_

#include "lib/address.h"
#include "lib/hash.h"
#include "lib/peer.h"
#include "server/shell.h"

enum {
	NET_MEMBERS_MAX = 96,      /* Further servers are not looked at. */
	NET_JOIN_MAX = 16,         /* Addresses in one request to join. */
	NET_TARGETS_MAX = 64,      /* Configured addresses; further ones are passed over. */
	NET_HALF_OPEN_MAX = 256,   /* Connections that have not said hello; further ones are closed. */
	NET_ERRANDS_MAX = 8192,    /* Requests on their way to the leader, or waiting for one; more are ERR_BUSY. */
	NET_ERRAND_BYTES = 64 << 20,
	NET_ERRAND_TURN = 16 << 10, /* Bytes of requests that are begun in one turn of the loop; the next one goes on. */
	NET_ERRAND_LEAST = 512,     /* What the shortest counts. */
	NET_PLACES_MAX = 65536,    /* Nodes at other servers; further ones cannot be reached by way of these. */
	NET_HASHES = 4096,         /* Indexes whose hash is remembered. */
	NET_TEXT_MAX = 256,        /* Bytes of each text in a hello. */
	NET_REGION_MAX = 60,

	NET_TICK_FAST_MS = 20,     /* Until there is a cluster, */
	NET_TICK_MS = 50,          /* and afterwards. */
	NET_HURRY_MS = 5000,       /* A server that cannot be reached is tried often for so long. */
	NET_DIAL_FIRST_MS = 20,    /* The first pause between two tries; doubled each time, up to */
	NET_DIAL_HURRY_MS = 250,   /* this, and later */
	NET_DIAL_MEMBER_MS = 1000, /* this for a server that is known; for others the configuration says it. */
	NET_CONNECT_MS = 1000,
	NET_FAIL_MS = 2500,        /* Without a connection for so long a member has failed. */
	NET_FORGET_MS = 24 * 3600 * 1000, /* And is forgotten, unless Raft has it. */
	NET_RETIRE_MS = 1000,      /* A second connection to the same server is closed when it was idle so long, */
	NET_RETIRE_MAX_MS = 30000, /* or whatever is on it. */
	NET_EXCHANGE_MS = 10000,   /* Between two exchanges without news. */
	NET_FORMER_MS = 1200,      /* A former leader that is silent for so long hangs. It is asked after a second. */
	NET_ERRAND_MS = 4500,      /* A little less than clients wait. */
};

enum peer_kind { PEER_NONE, PEER_SERVER, PEER_CLIENT, PEER_CLI };

struct member;
struct node_conn;
struct watch_request;

/* An address that we connect to. */
struct dial {
	struct list link;
	char address[ADDRESS_MAX];
	struct net_conn *conn; /* Under way or open; NULL: none. */
	struct uuid reached;   /* The server that was found there last; zero: none yet. */
	int64_t next_ms;
	int64_t since_ms;      /* The first failure of those that came one after the other; 0: none. */
	unsigned fails;        /* Of these, */
	unsigned rounds;       /* and how many came after the hurry. */
	bool configured;
	bool tried;
	bool self;             /* It is our own. */
};

/* A connection, from the first byte to its last callback. */
struct net_conn {
	struct net *net;
	struct rpc_conn *rpc;
	struct list link;      /* In net->conns. */
	enum peer_kind kind;   /* PEER_NONE before the hello. */
	bool ready;
	struct dial *dial;     /* NULL: they have connected to us. */
	uint8_t from[PEER_KEY]; /* Who has connected. */
	struct rpc_hello hello;
	struct arena mem;      /* The hello's. */

	/* Of a server. */
	struct member *member;
	int64_t retired_ms;    /* Another one is used; 0: no. */
	struct list places;    /* Nodes that are connected to it. */
	bool places_owed;      /* It must be told of all that are connected here. */

	/* Of a client. */
	struct node_conn *node;       /* NULL: it has not asked for its work. */
	struct watch_request *asking; /* It is about to. */
};

enum member_status { MEMBER_ALIVE, MEMBER_FAILED, MEMBER_LEFT };

/* Another server. */
struct member {
	struct uuid id;
	uint64_t raft_id;
	struct rpc_hello hello;
	struct arena mem;      /* The hello's. */
	enum member_status status;
	int64_t incarnation;
	int64_t since_ms;      /* It has that status, or is without a connection. */
	struct net_conn *conn; /* Ready; NULL: none. */
	struct dial *dial;
	bool local;            /* Of our region. */
	bool asked_in;         /* It has asked the leader to be taken in, */
	bool leaving;          /* or to be let go. */
	bool pruned;           /* To be forgotten as soon as Raft has it no more. */
	int64_t not_before_ms; /* The leader does not try to change its role before this. */
	int64_t dead_ms;       /* The leader has not heard of it since; 0: it has. */

	struct rpc_request exchange;
	bool exchanging;
	uint64_t told;         /* The version of the members that it was told last. */
	int64_t told_ms;
};

/* Where a node is connected that is not connected here. */
struct place {
	struct hash_link by_id;
	struct list link; /* In at->places. */
	struct uuid id;
	struct net_conn *at;
};

/* Written by the core thread, read by any: one that is being written has index 0. */
struct state_hash_at {
	_Atomic uint64_t index;
	_Atomic uint64_t hash;
};

/* Tells that something odd came in, once a second. */
struct odd {
	int64_t next_ms;
	unsigned untold;
};

struct net {
	struct server *s;
	struct rpc_host host;
	struct rpc_hello hello; /* Ours. */
	char id[UUID_TEXT], cluster[UUID_TEXT];
	uv_timer_t timer, soon;
	bool timer_open, host_open, soon_set;
	unsigned n_closing; /* What must be closed before stopped_cb. */
	bool stopping;
	void (*stopped_cb)(void *ctx);
	void *stopped_ctx;

	struct list conns;
	unsigned n_half_open;
	struct odd odd;
	uint64_t refused; /* A metric. */

	/* Membership. */
	struct list dials;
	unsigned n_configured;
	struct member *members[NET_MEMBERS_MAX];
	unsigned n_members;
	uint64_t version; /* Grows with each change that others must be told. */
	int64_t incarnation;
	bool met; /* Some server was reached, ever. */

	/* The cluster. */
	struct founding founding;
	bool founding_due;
	int64_t stuck_ms; /* When to say again that a promise binds us. */
	struct rpc_request join;
	bool joining;
	struct uuid join_cluster;
	int64_t join_next_ms;
	uint64_t leader_id;
	uint64_t former_id; /* Who led before, until it has been looked at; 0: nobody. */
	int64_t former_ms;  /* When that ended. */
	struct rpc_request index;  /* The question to the leader. */

	/* Leaving. */
	bool leaving, left;
	bool handing_on, handed_on; /* Leadership, to another. */
	struct rpc_request leave;
	bool leave_sent;
	int64_t leave_by_ms, left_ms;
	void (*left_cb)(void *ctx);
	void *left_ctx;

	struct list admin; /* Joins that operators have asked for. */

	/* Voters: the leader's. */
	bool changing;
	int64_t change_next_ms;

	/* Errands. */
	struct list fresh;   /* Errands that have come, and wait for their turn. */
	struct list errands; /* That wait. */
	struct list away;    /* That are sent, or being written. */
	struct list members_wait; /* Joins and leaves that the leader works on. */
	unsigned n_errands;
	size_t errand_bytes;
	uint64_t errands_sent;

	/* Nodes. */
	struct hash_table nodes;  /* Connected here, by their ID. */
	struct list dirty;        /* Those that must be told something. */
	struct hash_table places;
	struct uuid *news;        /* Nodes that have come here or gone, not yet told to other servers. */
	unsigned n_news;
	bool all_news;            /* There were too many. */
	uint64_t pushes, pushed_bytes;
	struct list rights;       /* Questions about tokens, under way. */

	/* HTTP requests. */
	struct relay relay;
	const struct core_events *events; /* The HTTP thread's, as this. */
	void *events_ctx;
	unsigned region_turn; /* Whom to ask next, among the members. */

	struct state_hash_at hashes[NET_HASHES];
};

/* ---- net.c ---- */

int64_t net_now(const struct net *n);

/* A line for the log about somebody who behaves oddly; all but one a second are counted only. */
void net_odd(struct net *n, const struct net_conn *nc, const char *why);
void net_odd_server(struct net *n, const char *address, const char *why);

/* Whether a hello's texts are such as we keep. */
bool net_hello_valid(const struct rpc_hello *hello);

/* Run net_turn() again soon. */
void net_soon(struct net *n);

/* The connection to the leader; NULL when there is none, or it is us. */
struct net_conn *net_leader_conn(struct net *n);

static inline bool net_in_cluster(const struct net *n)
{
	return n->cluster[0] != '\0';
}

/* ---- membership.c ---- */

int members_init(struct net *n);
void members_close(struct net *n);
void members_tick(struct net *n);
void members_ready(struct net *n, struct net_conn *nc);  /* A server's hello has been accepted. */
void members_closed(struct net *n, struct net_conn *nc, int err);
void members_changed(struct net *n);                     /* Others, and our API, must be told. */
struct member *member_by_id(struct net *n, const struct uuid *id);
struct member *member_by_raft(struct net *n, uint64_t raft_id);
const char *member_status_text(enum member_status status);

/* An address that is to be dialed as if the configuration had it; `is_new`: it had not. NULL: it is no address, or
 * there are too many. members_drop_dials() when that is over. */
struct dial *members_add_target(struct net *n, const char *text, bool *is_new);
void members_drop_dials(struct net *n);
bool member_is_reached(const struct net *n, const struct dial *d);

/* All members with ourselves, as others are told; the lists are of `mem`. ERR_NOMEM. */
int members_all(struct net *n, struct rpc_members *out, struct arena *mem);

/* Another agent says what it knows. */
void members_learn(struct net *n, struct net_conn *nc, const struct rpc_members *list);
void members_serve(struct net *n, struct net_conn *nc, struct rpc_call *call);

/* Every configured address has been tried. */
bool members_all_tried(const struct net *n);

/* ---- cluster.c ---- */

void cluster_init(struct net *n);
void cluster_tick(struct net *n);
void cluster_peer(struct net *n, const struct member *m);
void cluster_message(struct net *n, struct net_conn *nc, const char *payload, size_t len);
void cluster_stop(struct net *n);

/* ---- voters.c ---- */

void voters_tick(struct net *n);

/* ---- errands.c ---- */

struct errand;
typedef void (*errand_cb)(struct errand *e);

struct errand {
	struct net *net;
	struct list link;
	struct rpc_call *call;
	uint32_t method;
	struct buf payload;
	int64_t until_ms;
	bool passed_on; /* Another server has sent it here: it is not sent on. */
	bool gone;      /* Nobody waits for the answer. */
	bool writing;
	struct rpc_request req;
	struct write write;
	errand_cb written; /* After its command was applied. */
	struct buf command;
	struct apply_result result;
	struct uuid node;  /* Handlers' own: who asks, */
	int status;        /* and his status. */
	uint64_t raft_id;
};

void errands_init(struct net *n);

/* Carry out a request that needs the leader; it is answered in the end. */
void errand_begin(struct net *n, struct net_conn *nc, struct rpc_call *call);

/* There may be a leader now: try all that wait. */
void errands_retry(struct net *n);

/* Begin some of those that have come: all that arrives in one turn of the loop would be too much for it. */
void errands_turn(struct net *n);

/* There is another leader: what was sent to the one before is sent again. */
void errands_recall(struct net *n);
void errands_tick(struct net *n);
void errands_stop(struct net *n);

/* For what carries them out on the leader: the last word, or another try later. */
void errand_reply(struct errand *e, const struct type *t, const void *obj);
void errand_fail(struct errand *e, int err, const char *text);
void errand_again(struct errand *e, int err);

/* Write a command of the errand's; `written` follows if it was applied, and succeeded. */
void errand_write(struct errand *e, enum command type, const void *payload, errand_cb written);

/* Joins and leaves wait for the configuration to be as they want. */
void errand_await_member(struct errand *e, uint64_t raft_id);

/* ---- nodes.c: on the leader ---- */

void node_register_run(struct errand *e);
void node_heartbeat_run(struct errand *e);
void node_update_run(struct errand *e);

/* ---- node_previous.c ---- */

/* On any server: where a node finds the data of the allocation that one of its own replaces. */
void node_previous(struct net *n, struct net_conn *nc, struct rpc_call *call);

/* ---- node_rights.c ---- */

/* On any server: what a token may do that was brought to a node's agent. */
void node_rights(struct net *n, struct net_conn *nc, struct rpc_call *call);
void node_rights_closed(struct net *n, const struct net_conn *nc);

/* ---- callers.c ---- */

/* Whether a node with this secret may speak for the row. */
bool node_secret_fits(const struct node_row *row, const char *secret);

/* Whether the node of the hello is registered with another secret. */
bool caller_is_impostor(const struct net *n, const struct rpc_hello *hello);

/* Whether the connection is that of the registered node which its hello names. */
bool caller_is_node(const struct net_conn *nc);

/* Whether the call is one that who is connected may make (RPC_METHOD_LIST); otherwise it has been refused. */
bool caller_may(struct net_conn *nc, struct rpc_call *call);
bool caller_may_push(const struct net_conn *nc, uint32_t method);

/* ---- node_conns.c ---- */

/* A job that a push has already, by its row. */
struct push_job {
	struct hash_link by_row;
	const struct job_row *row;
	struct job *job;
	uint32_t place;
};

/* A push in the making; see node_push.c. */
struct draft {
	const struct view *view; /* NULL: there is no draft. */
	struct rows *rows;       /* All of the node's; NULL: */
	struct uuid *ids;        /* only those that have changed. */
	unsigned n_ids, next;
	bool done;               /* There are no more. */
	bool whole;
	struct arena mem;        /* The jobs'. */
	struct hash_table jobs;
	struct buf job_bytes, alloc_bytes, job_of, gone;
	uint32_t n_jobs, n_allocs, n_gone;
	struct buf message;      /* When it is done. */
};

struct node_conn {
	struct hash_link by_id;
	struct list link; /* In net->dirty, or alone. */
	struct uuid id;
	struct net_conn *conn;
	bool whole;             /* All of it must be told. */
	struct uuid *changed;   /* Allocations that are to be told, maybe twice. */
	unsigned n_changed, cap_changed;
	int64_t retry_ms;       /* It does not read: try again then. */
	struct draft draft;
};

void node_conns_init(struct net *n);
void node_conns_close(struct net *n);
struct node_conn *node_conn_find(struct net *n, const struct uuid *id);
void node_watch(struct net *n, struct net_conn *nc, struct rpc_call *call);
void node_closed(struct net *n, struct net_conn *nc);

/* The connection that leads to a node; NULL when none is known. */
struct net_conn *node_way(struct net *n, const struct uuid *id);

/* Another server says which nodes are connected to it. */
void places_learn(struct net *n, struct net_conn *nc, const char *payload, size_t len);
void places_forget(struct net *n, struct net_conn *nc);
void places_turn(struct net *n);

/* ---- node_push.c ---- */

void push_changed(struct net *n, const struct change *changes, size_t count);
void push_all(struct net *n, struct node_conn *node); /* It must be told everything. */
void push_turn(struct net *n);
void push_drop(struct node_conn *node); /* What is in the making. */

/* ---- net_admin.c: see server/shell.h ---- */

/* Whether an operator has removed the server: then it is not taken in. */
bool net_is_unwanted(struct net *n, const struct view *v, uint64_t raft_id);
void admin_tick(struct net *n);
void admin_stop(struct net *n);

/* ---- forward.c ---- */

void forward_init(struct net *n);

/* ---- net_info.c ---- */

void info_status(struct net *n, struct rpc_call *call);
void info_hash(struct net *n, struct rpc_call *call);
void info_remember(struct net *n, const struct view *v);
void info_forget(struct net *n);
void info_read_index(struct net *n, struct rpc_call *call);

/* There is another leader. */
void info_index_recall(struct net *n);

#endif /* SERVER_NET_PARTS_H_ */
