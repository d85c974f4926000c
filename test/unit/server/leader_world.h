/**
 * A leader over a state, with a log that takes its time, on simulated time; for tests.
 *
 * One state stands for those of all servers, as they are equal: when leadership changes, another leader goes on with
 * it. Commands that are in the log then are applied up to some place, and lost from there on; nobody hears of them.
 */
#ifndef TEST_UNIT_SERVER_LEADER_WORLD_H_
#define TEST_UNIT_SERVER_LEADER_WORLD_H_

#include "proto/error.h"
#include "server/leader.h"
#include "test/unit/raft/kit.h"

struct world;

/* What the test plays. */
struct world_play {
	void (*dispatch)(struct world *w, const struct broker_delivery *delivery);
	void (*plan_done)(struct world *w, struct plan *plan);
	void (*changed)(struct world *w, const struct change *changes, size_t n); /* May be NULL. */
};

struct world {
	struct kit k;
	struct leader leader;
	const struct world_play *play;
	struct moment at;
	struct list log; /* struct entry */
	unsigned n_log;
	unsigned log_max;     /* Beyond that it is busy. */
	int64_t log_delay_ns; /* Up to this long until a command is applied. */
	int64_t timer_ns;
	uint64_t term;
	unsigned told;      /* Commands whose outcome the leader was told. */
	unsigned forgotten; /* Those of leaders that were gone. */
	unsigned lost;      /* Those that were lost with a leader. */
	unsigned busy;
	void *ctx; /* The test's. */
};

void world_open(struct world *w, const struct world_play *play);
void world_close(struct world *w);

/* Let time pass: what is due in the log is applied, and the leader has its turns. */
void world_pass(struct world *w, int64_t ns);

/* Another leader takes over, after a while without one. */
void world_change_leader(struct world *w, int64_t gap_ns);

/* Apply a command of somebody else, at once. */
const struct apply_result *world_apply(struct world *w, enum command type, const void *payload);

/* The next number below `n`. */
unsigned world_random(unsigned n);

#endif /* TEST_UNIT_SERVER_LEADER_WORLD_H_ */
