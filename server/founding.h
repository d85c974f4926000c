/**
 * How servers that find each other become one cluster, in whatever order and at whatever times they start.
 *
 * A cluster is founded once, by exactly `expect` servers, each of which begins its log with the same list of them. Who
 * they are is agreed upon by promises, which are kept on disk:
 *
 *     coordinator: the lowest ID that it knows of          members
 *     PROPOSE the list  ------------------------------>    promise: no other list from now on
 *                       <------------------------------    GRANT, or REFUSE: promised to another
 *     all have granted: decided, on disk
 *     DECIDED           ------------------------------>    found the cluster with this list
 *     or gives it up:
 *     DROPPED           ------------------------------>    the promise is void
 *                       <------------------------------    ASK: what became of it?
 *
 * Only its coordinator decides a list, and only with the promise of every member; a promise ends only by his word. So of
 * two lists with a server in common at most one is decided. A coordinator gives up for one with a lower ID, and for a
 * cluster that exists already, which it asks to be taken into instead. Rounds number the lists of one coordinator, so
 * that late messages of an earlier one do no harm.
 *
 * A promise to a coordinator whose data was lost would bind for ever. It ends when another server stands at the
 * coordinator's address and all other members say that they are in no cluster: then nobody is left who could know of
 * a decision.
 *
 * This is the deciding part: no clock, no connection, no file. Messages may be lost, doubled and late.
 */
#ifndef SERVER_FOUNDING_H_
#define SERVER_FOUNDING_H_

#include <stdbool.h>
#include <stdint.h>

#include "lib/address.h"
#include "lib/uuid.h"

enum {
	FOUNDING_MAX = 64,       /* Servers that a cluster begins with. */
	FOUNDING_PEERS_MAX = 96, /* Others are not looked at. */
	FOUNDING_RESEND_MS = 100,
	FOUNDING_PATIENCE_MS = 2000, /* For a member that is not there, before another takes its place. */
};

#define FOUNDING_KINDS(X) \
	X(PROPOSE, "propose") X(GRANT, "grant") X(REFUSE, "refuse") X(ASK, "ask") X(DECIDED, "decided") X(DROPPED, "dropped")

enum founding_kind {
#define X(id, text) FOUNDING_##id,
	FOUNDING_KINDS(X)
#undef X
	FOUNDING_KIND_COUNT
};

struct founder {
	uint64_t id; /* Raft's. */
	char address[ADDRESS_MAX];
};

/* By ID; the first is the coordinator. */
struct founding_list {
	uint64_t round;
	unsigned n; /* 0: none. */
	struct founder at[FOUNDING_MAX];
};

struct founding_message {
	enum founding_kind kind;
	uint64_t from;
	struct founding_list list; /* Of GRANT, ASK and DROPPED only the round counts. */
};

/* What must outlive the process. All zero at first. */
struct founding_saved {
	uint64_t rounds; /* That this server has begun. */
	struct founding_list promise;
	bool decided;
};

/* What is known of another server. */
struct founding_peer {
	uint64_t id;
	char address[ADDRESS_MAX];
	unsigned expect;
	struct uuid cluster; /* Zero: none. */
	bool alive;
	bool granted;      /* The present list of ours. */
	int64_t seen_ms;   /* When it was alive last. */
};

struct founding_effects {
	/* On disk before it returns. Not 0: it is not, and nothing is said or done that needs it. */
	int (*save)(void *ctx, const struct founding_saved *saved);
	void (*send)(void *ctx, uint64_t to, const struct founding_message *m);
	/* Begin the cluster; once. */
	void (*found)(void *ctx, const struct founding_list *list);
};

struct founding {
	const struct founding_effects *effects;
	void *ctx;
	struct founder self;
	unsigned expect; /* 0: only ever join others. */
	struct founding_saved saved;
	struct founding_peer peers[FOUNDING_PEERS_MAX];
	unsigned n_peers;
	bool over; /* This server is in a cluster. */
	int64_t next_ms; /* When to send again. */
	int64_t now_ms;
};

/* `saved` is what save() was given last. */
void founding_init(struct founding *f, uint64_t id, const char *address, unsigned expect,
                   const struct founding_saved *saved, const struct founding_effects *effects, void *ctx);

/* This server is in a cluster, founded or joined: only questions are answered from now on. */
void founding_end(struct founding *f);

/* What is known of a server has changed. */
void founding_peer(struct founding *f, uint64_t id, const char *address, unsigned expect, const struct uuid *cluster,
                   bool alive);

/* A message has come. Its list has been checked by founding_list_valid(). */
void founding_receive(struct founding *f, const struct founding_message *m);

/* Something may have changed, or time has passed. A new list is only begun with `may_begin`: when all addresses that
 * are known have been tried. */
void founding_step(struct founding *f, int64_t now_ms, bool may_begin);

/* Free to ask an existing cluster to be taken in: bound by no promise. */
bool founding_may_join(const struct founding *f);

/* A promise binds this server and its coordinator is not there: its ID, else 0. For the log. */
uint64_t founding_stuck(const struct founding *f);

/* By ID, each with an address, none twice. */
bool founding_list_valid(const struct founding_list *list);

/* The ID of the cluster that is founded with this list. */
struct uuid founding_cluster(const struct founding_list *list);

#endif /* SERVER_FOUNDING_H_ */
