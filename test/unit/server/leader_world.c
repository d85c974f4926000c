#include "test/unit/unit.h"

#include "lib/log.h"
#include "test/unit/server/leader_world.h"

/* A command in the log. */
struct entry {
	struct list link;
	uint64_t token;
	int64_t due_ns;
	size_t len;
	char command[];
};

unsigned world_random(unsigned n)
{
	return (unsigned)rand() % n;
}

/* ---- effects ---- */

static int propose(void *ctx, const void *command, size_t len, uint64_t token)
{
	struct world *w = ctx;
	struct entry *e;

	if (w->n_log >= w->log_max) {
		w->busy++;
		return ERR_BUSY;
	}
	e = malloc(sizeof(*e) + len);
	e->token = token;
	e->len = len;
	e->due_ns = w->at.mono_ns + (int64_t)world_random(1000) * w->log_delay_ns / 1000;
	memcpy(e->command, command, len);
	list_insert(&w->log, &e->link);
	w->n_log++;
	return 0;
}

static void dispatch(void *ctx, const struct broker_delivery *delivery)
{
	struct world *w = ctx;

	w->play->dispatch(w, delivery);
}

static void plan_done(void *ctx, struct plan *plan)
{
	struct world *w = ctx;

	w->play->plan_done(w, plan);
}

static void set_timer(void *ctx, int64_t mono_ns)
{
	struct world *w = ctx;

	w->timer_ns = mono_ns;
}

static const struct leader_effects effects = {
	.propose = propose,
	.dispatch = dispatch,
	.plan_done = plan_done,
	.set_timer = set_timer,
};

/* ---- the state ---- */

static void changed_cb(void *ctx, const struct change *changes, size_t n)
{
	struct world *w = ctx;
	const struct view *v = state_view(&w->k.state);

	leader_changed(&w->leader, v, changes, n, &w->at);
	if (w->play->changed != NULL) {
		w->play->changed(w, changes, n);
	}
	view_release(v);
}

static const struct apply_result *apply(struct world *w, const void *command, size_t len)
{
	struct uuid seed = kit_id(&w->k);

	batch_reset(&w->k.batch);
	assert_int_equal(batch_add(&w->k.batch, command, len, w->at.wall_ns, &seed), 0);
	assert_int_equal(kit_entry(&w->k, w->k.batch.entry.at, w->k.batch.entry.len), 0);
	w->k.now = w->at.wall_ns;
	return &w->k.result;
}

const struct apply_result *world_apply(struct world *w, enum command type, const void *payload)
{
	struct buf command = {0};

	assert_int_equal(command_encode(type, payload, &command), 0);
	apply(w, command.at, command.len);
	buf_close(&command);
	return &w->k.result;
}

static void apply_first(struct world *w, bool tell)
{
	struct entry *e = CONTAINER_OF(list_pop(&w->log), struct entry, link);
	const struct apply_result *result = apply(w, e->command, e->len);

	w->n_log--;
	if (tell) {
		struct apply_result copy = *result;

		w->told++;
		leader_proposed(&w->leader, e->token, 0, &copy, &w->at);
	} else {
		w->forgotten++;
	}
	free(e);
}

static void lose_first(struct world *w)
{
	w->n_log--;
	w->lost++;
	free(CONTAINER_OF(list_pop(&w->log), struct entry, link));
}

/* ---- time ---- */

static void start(struct world *w)
{
	struct uuid seed = kit_id(&w->k);

	leader_start(&w->leader, w->k.v, &w->at, &seed, ++w->term);
}

static void advance(struct world *w, int64_t ns)
{
	w->at.mono_ns += ns;
	w->at.wall_ns += ns;
	w->at.random = (uint64_t)rand() * 2654435761u;
	w->k.now = w->at.wall_ns;
}

static int64_t next_event(const struct world *w, int64_t end)
{
	const struct entry *first = list_empty(&w->log) ? NULL : CONTAINER_OF(w->log.next, const struct entry, link);
	int64_t next = w->timer_ns < end ? w->timer_ns : end;

	if (first != NULL && first->due_ns < next) {
		next = first->due_ns;
	}
	return next > w->at.mono_ns ? next : w->at.mono_ns;
}

static void one_turn(struct world *w)
{
	while (!list_empty(&w->log) && CONTAINER_OF(w->log.next, struct entry, link)->due_ns <= w->at.mono_ns) {
		apply_first(w, true);
	}
	if (w->timer_ns <= w->at.mono_ns) {
		w->timer_ns = INT64_MAX;
		leader_tick(&w->leader, w->k.v, &w->at);
	}
}

void world_pass(struct world *w, int64_t ns)
{
	int64_t end = w->at.mono_ns + ns;
	unsigned turns = 0;

	do {
		advance(w, next_event(w, end) - w->at.mono_ns);
		one_turn(w);
		assert_true(++turns < 1000000);
	} while (w->at.mono_ns < end || w->timer_ns <= end);
}

void world_change_leader(struct world *w, int64_t gap_ns)
{
	unsigned kept = world_random(w->n_log + 1);

	leader_stop(&w->leader);
	while (kept-- > 0) {
		apply_first(w, false);
	}
	while (w->n_log > 0) {
		lose_first(w);
	}
	advance(w, gap_ns);
	leader_close(&w->leader);
	leader_init(&w->leader, NULL, &effects, w);
	w->timer_ns = INT64_MAX;
	start(w);
}

void world_open(struct world *w, const struct world_play *play)
{
	memset(w, 0, sizeof(*w));
	log_set_level(LOG_ERROR);
	kit_open(&w->k);
	w->play = play;
	w->at = (struct moment){.mono_ns = 1000 * SECOND, .wall_ns = w->k.now};
	w->log_max = 64;
	w->log_delay_ns = 5 * NS_PER_MS;
	w->timer_ns = INT64_MAX;
	list_init(&w->log);
	w->k.fsm.changed = changed_cb;
	w->k.fsm.ctx = w;
	leader_init(&w->leader, NULL, &effects, w);
	start(w);
}

void world_close(struct world *w)
{
	leader_close(&w->leader);
	while (w->n_log > 0) {
		lose_first(w);
	}
	kit_close(&w->k);
}
