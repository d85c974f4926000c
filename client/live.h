/**
 * What templates of a node's tasks ask the cluster: each question once for all, and again when its answer changes.
 *
 *     a task's set of questions (GETs of the API) --> item --> a read that waits for a change, all the time
 *                                                      |
 *     changed_cb(set) <-- its answer is another one <--'
 *
 * An item lives as long as a set wants it. When no server can be reached its last answer stays good. Core: time comes
 * in, and the servers are reached over the link.
 */
#ifndef CLIENT_LIVE_H_
#define CLIENT_LIVE_H_

#include "client/link.h"
#include "client/template.h"
#include "lib/list.h"

enum {
	LIVE_ITEMS_MAX = 4096,     /* Of a node; beyond them tasks cannot be prepared. */
	LIVE_BODY_MAX = 4 << 20,   /* Bytes of an answer. */
	LIVE_WAIT_S = 300,         /* A read waits so long for a change. */
	LIVE_PAUSE_MS = 100,       /* At least between two reads of an item, */
	LIVE_IDLE_MS = 1000,       /* of one that cannot be waited for, */
	LIVE_RETRY_MAX_MS = 10000, /* and at most after failures. */
};

struct live {
	struct client_link *link;
	struct list items;
	struct list sets;
	uint32_t n_items;
	uint64_t random; /* Spreads the reads after a failure. */
};

struct live_item;

/* The questions of one task. All zero but its link is an empty one. */
struct live_set {
	struct list link; /* In live->sets, unless it is empty. */
	struct live_item **at;
	uint32_t n;
	/* An answer has come that differs from the one before. It takes note, and calls nothing of this module. */
	void (*changed_cb)(struct live_set *set);
};

void live_init(struct live *l, struct client_link *link);

/* Gives up all that is left; sets become empty. */
void live_close(struct live *l);

/* From now on the set has these targets and no others. 0; ERR_NOMEM, ERR_TOOBIG: it stays as it was. */
int live_want(struct live *l, struct live_set *set, const struct template_want *wants, uint32_t n);

/* Every target has been answered. */
bool live_known(const struct live_set *set);

/* The answers that there are, copied to `mem`. 0 or ERR_NOMEM. */
int live_answers(const struct live_set *set, const struct template_answer **out, uint32_t *n, struct arena *mem);

/* A server is there again. */
void live_up(struct live *l, int64_t now_ns);

/* Begin the reads that are due; and when the next is (0: never). Any clock that does not go back. */
void live_step(struct live *l, int64_t now_ns);
int64_t live_due(const struct live *l);

#endif /* CLIENT_LIVE_H_ */
