/** A state, a clock and turns, for tests of one part of the leader. */
#ifndef TEST_UNIT_SERVER_PART_BENCH_H_
#define TEST_UNIT_SERVER_PART_BENCH_H_

#include "proto/error.h"
#include "server/part.h"
#include "test/unit/raft/kit.h"

struct part_bench {
	struct kit k;
	struct moment at;
	struct id_source ids;
	struct zones zones;
	struct arena mem;
	struct turn turn;
	unsigned commands; /* Applied. */
};

static inline void part_bench_open(struct part_bench *b)
{
	memset(b, 0, sizeof(*b));
	kit_open(&b->k);
	b->at = (struct moment){.mono_ns = 1000 * SECOND, .wall_ns = b->k.now};
	b->ids.seed.at[0] = 77;
}

static inline void part_bench_close(struct part_bench *b)
{
	buf_close(&b->turn.command);
	arena_close(&b->mem);
	kit_close(&b->k);
}

static inline void part_bench_pass(struct part_bench *b, int64_t ns)
{
	b->at.mono_ns += ns;
	b->at.wall_ns += ns;
	b->k.now = b->at.wall_ns;
}

/* The turn for the next step. */
static inline struct turn *part_bench_turn(struct part_bench *b)
{
	arena_close(&b->mem);
	b->turn.v = b->k.v;
	b->turn.at = &b->at;
	b->turn.ids = &b->ids;
	b->turn.zones = &b->zones;
	b->turn.mem = &b->mem;
	return &b->turn;
}

/* Apply the command that the step has asked for. */
static inline const struct apply_result *part_bench_apply(struct part_bench *b)
{
	struct uuid seed = kit_id(&b->k);

	batch_reset(&b->k.batch);
	assert_int_equal(batch_add(&b->k.batch, b->turn.command.at, b->turn.command.len, b->at.wall_ns, &seed), 0);
	assert_int_equal(kit_entry(&b->k, b->k.batch.entry.at, b->k.batch.entry.len), 0);
	b->commands++;
	return &b->k.result;
}

/* What the step has asked for. */
static inline enum command part_bench_type(const struct part_bench *b)
{
	struct uuid seed = {{0}};
	struct command_in *in;
	struct batch batch = {.count = 0};
	struct arena mem = {0};
	enum command type;
	unsigned n;

	assert_int_equal(batch_add(&batch, b->turn.command.at, b->turn.command.len, 1, &seed), 0);
	assert_int_equal(entry_decode(batch.entry.at, batch.entry.len, &in, &n, &mem), 0);
	type = in[0].type;
	arena_close(&mem);
	batch_close(&batch);
	return type;
}

#endif /* TEST_UNIT_SERVER_PART_BENCH_H_ */
