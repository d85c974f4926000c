#include "test/unit/unit.h"

#include "proto/error.h"
#include "server/broker.h"
#include "server/part.h"
#include "test/unit/server/rows.h"

enum { ALL = (1 << JOB_TYPE_COUNT) - 1 };

struct bench {
	struct broker b;
	struct moment at;
	struct broker_delivery got;
};

static void open_bench(struct bench *t)
{
	*t = (struct bench){.at = {1000 * NS_PER_S, 5000 * NS_PER_S, 0}};
	broker_init(&t->b, NULL);
}

static void close_bench(struct bench *t)
{
	broker_check(&t->b);
	broker_close(&t->b);
}

static void pass(struct bench *t, int64_t ns)
{
	t->at.mono_ns += ns;
	t->at.wall_ns += ns;
	while (broker_tick(&t->b, &t->at, 1)) {
	}
	broker_check(&t->b);
}

static void put(struct bench *t, uint64_t n, const char *job, int priority)
{
	struct eval_row_of e;

	eval_of(&e, n, job)->priority = (int16_t)priority;
	broker_put(&t->b, &e.row, t->at.wall_ns);
	broker_check(&t->b);
}

static void put_later(struct bench *t, uint64_t n, const char *job, int64_t wait_ns)
{
	struct eval_row_of e;

	eval_of(&e, n, job)->wait_until_ns = t->at.wall_ns + wait_ns;
	broker_put(&t->b, &e.row, t->at.wall_ns);
	broker_check(&t->b);
}

static bool take(struct bench *t)
{
	bool some = broker_take(&t->b, ALL, &t->at, &t->got);

	broker_check(&t->b);
	return some;
}

/* The next one is the n-th. */
static void expect(struct bench *t, uint64_t n)
{
	struct uuid id = test_id(1, n);

	assert_true(take(t));
	assert_memory_equal(&t->got.eval, &id, sizeof(id));
}

static void ack(struct bench *t)
{
	assert_int_equal(broker_ack(&t->b, &t->got.eval, t->got.token), 0);
	broker_check(&t->b);
}

static void nack(struct bench *t)
{
	assert_int_equal(broker_nack(&t->b, &t->got.eval, t->got.token, &t->at), 0);
	broker_check(&t->b);
}

static void higher_priority_goes_first_and_among_equals_the_older(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, 3, "c", 50);
	put(&t, 1, "a", 20);
	put(&t, 2, "b", 50);
	put(&t, 4, "d", 90);
	expect(&t, 4);
	expect(&t, 2);
	expect(&t, 3);
	expect(&t, 1);
	assert_false(take(&t));
	close_bench(&t);
}

static void only_types_that_are_asked_for_are_taken(void **state)
{
	struct bench t;
	struct eval_row_of e;

	(void)state;
	open_bench(&t);
	put(&t, 1, "a", 90);
	eval_of(&e, 2, "b")->type = JOB_TYPE_BATCH;
	broker_put(&t.b, &e.row, t.at.wall_ns);
	assert_true(broker_take(&t.b, 1u << JOB_TYPE_BATCH, &t.at, &t.got));
	assert_memory_equal(&t.got.eval, &e.row.id, sizeof(struct uuid));
	assert_int_equal(t.got.type, JOB_TYPE_BATCH);
	assert_false(broker_take(&t.b, 1u << JOB_TYPE_BATCH, &t.at, &t.got));
	close_bench(&t);
}

static void a_job_has_one_evaluation_at_a_time_and_the_newest_of_the_others_is_enough(void **state)
{
	struct uuid second = test_id(1, 2);
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, 1, "a", 50);
	put(&t, 2, "a", 50);
	put(&t, 3, "a", 50);
	expect(&t, 1);
	assert_false(take(&t));
	ack(&t);
	expect(&t, 3);
	assert_memory_equal(&broker_cancel(&t.b, NULL)->id, &second, sizeof(second));
	assert_null(broker_cancel(&t.b, broker_cancel(&t.b, NULL)));
	broker_remove(&t.b, &second); /* The state says that it is cancelled. */
	assert_null(broker_cancel(&t.b, NULL));
	ack(&t);
	assert_int_equal(t.b.by_id.n, 0);
	assert_int_equal(t.b.jobs.n, 0);
	close_bench(&t);
}

static void of_those_that_wait_the_highest_priority_survives(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, 1, "a", 50);
	put(&t, 2, "a", 80);
	put(&t, 3, "a", 50);
	expect(&t, 1);
	ack(&t);
	expect(&t, 2);
	close_bench(&t);
}

static void one_that_waits_until_later_is_not_taken_before(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put_later(&t, 1, "a", 10 * NS_PER_S);
	put(&t, 2, "a", 50);
	assert_int_equal(broker_due(&t.b, &t.at), t.at.mono_ns + 10 * NS_PER_S);
	expect(&t, 2);
	ack(&t);
	pass(&t, 9 * NS_PER_S);
	assert_false(take(&t));
	pass(&t, NS_PER_S);
	expect(&t, 1);
	close_bench(&t);
}

static void the_time_of_a_delayed_one_can_be_changed(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put_later(&t, 1, "a", 100 * NS_PER_S);
	put_later(&t, 1, "a", NS_PER_S);
	assert_int_equal(t.b.by_id.n, 1);
	pass(&t, NS_PER_S);
	expect(&t, 1);
	put_later(&t, 1, "a", 100 * NS_PER_S); /* With a scheduler: it stays there. */
	ack(&t);
	close_bench(&t);
}

static void a_failed_delivery_is_repeated_later_and_later_and_then_given_up(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, 1, "a", 50);
	put(&t, 2, "a", 50);
	expect(&t, 1);
	nack(&t);
	assert_false(take(&t));
	pass(&t, NS_PER_S);
	expect(&t, 1);
	assert_int_equal(t.got.deliveries, 2);
	nack(&t);
	pass(&t, 19 * NS_PER_S);
	assert_false(take(&t));
	pass(&t, NS_PER_S);
	expect(&t, 1);
	assert_null(broker_failed(&t.b));
	nack(&t);
	assert_memory_equal(&broker_failed(&t.b)->id, &t.got.eval, sizeof(struct uuid));
	expect(&t, 2); /* The job goes on without it. */
	assert_int_equal(t.b.nacked, 3);
	close_bench(&t);
}

static void a_token_is_worth_nothing_when_its_time_is_over(void **state)
{
	struct broker_delivery late;
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, 1, "a", 50);
	expect(&t, 1);
	late = t.got;
	pass(&t, 60 * NS_PER_S);
	assert_false(broker_owns(&t.b, &late.eval, late.token));
	pass(&t, NS_PER_S);
	expect(&t, 1);
	assert_int_equal(broker_ack(&t.b, &late.eval, late.token), ERR_NOTFOUND);
	assert_int_equal(broker_nack(&t.b, &late.eval, late.token, &t.at), ERR_NOTFOUND);
	assert_true(broker_owns(&t.b, &t.got.eval, t.got.token));
	ack(&t);
	assert_int_equal(t.b.timed_out, 1);
	close_bench(&t);
}

static void the_time_stands_still_while_a_plan_waits(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, 1, "a", 50);
	expect(&t, 1);
	broker_hold(&t.b, &t.got.eval, t.got.token, true, &t.at);
	pass(&t, 1000 * NS_PER_S);
	assert_true(broker_owns(&t.b, &t.got.eval, t.got.token));
	broker_hold(&t.b, &t.got.eval, t.got.token, false, &t.at);
	pass(&t, 59 * NS_PER_S);
	assert_true(broker_owns(&t.b, &t.got.eval, t.got.token));
	pass(&t, NS_PER_S);
	assert_false(broker_owns(&t.b, &t.got.eval, t.got.token));
	close_bench(&t);
}

static void one_that_is_over_in_the_state_is_not_delivered_again(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, 1, "a", 50);
	put(&t, 2, "b", 50);
	expect(&t, 1);
	broker_remove(&t.b, &t.got.eval);
	assert_true(broker_owns(&t.b, &t.got.eval, t.got.token));
	nack(&t);
	assert_false(broker_has(&t.b, &t.got.eval));
	expect(&t, 2);
	ack(&t);
	close_bench(&t);
}

static void nothing_is_taken_while_it_is_paused(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, 1, "a", 50);
	broker_pause(&t.b, true);
	assert_false(take(&t));
	broker_pause(&t.b, false);
	expect(&t, 1);
	close_bench(&t);
}

static void tokens_of_before_a_reset_are_worthless(void **state)
{
	struct broker_delivery before;
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, 1, "a", 50);
	expect(&t, 1);
	before = t.got;
	broker_reset(&t.b);
	put(&t, 1, "a", 50);
	expect(&t, 1);
	assert_int_equal(broker_ack(&t.b, &before.eval, before.token), ERR_NOTFOUND);
	ack(&t);
	close_bench(&t);
}

/* ---- against a model ---- */

enum { JOBS = 12, EVALS = 3000, OUT = 4 };

/* What the model knows of an evaluation: who may have it, not how it is kept. */
struct fate {
	unsigned job;
	int priority;
	bool put, out, over, listed;
	int64_t due_ns; /* Not to be delivered before; monotonic. */
};

struct model {
	struct bench t;
	struct fate fate[EVALS + 1];
	struct broker_delivery out[OUT];
	unsigned n_out;
	unsigned n;
};

static const char *job_name(unsigned job)
{
	static char name[16];

	snprintf(name, sizeof(name), "job-%u", job);
	return name;
}

static unsigned number_of(const struct model *m, const struct uuid *id)
{
	unsigned i;

	for (i = 1; i <= m->n; i++) {
		struct uuid at = test_id(1, i);

		if (uuid_equal(&at, id)) {
			return i;
		}
	}
	fail_msg("an evaluation that was never put");
	return 0;
}

static void a_new_one(struct model *m)
{
	struct fate *f;
	struct eval_row_of e;

	if (m->n == EVALS) {
		return;
	}
	f = &m->fate[++m->n];
	f->job = (unsigned)rand() % JOBS;
	f->priority = rand() % 3 * 10 + 40;
	f->put = true;
	eval_of(&e, m->n, job_name(f->job))->priority = (int16_t)f->priority;
	if (rand() % 5 == 0) {
		e.row.wait_until_ns = m->t.at.wall_ns + rand() % 30 * NS_PER_S;
		f->due_ns = m->t.at.mono_ns + (e.row.wait_until_ns - m->t.at.wall_ns);
	}
	broker_put(&m->t.b, &e.row, m->t.at.wall_ns);
}

static void taken(struct model *m)
{
	struct fate *f = &m->fate[number_of(m, &m->t.got.eval)];
	unsigned i;

	assert_true(f->put && !f->out && !f->over && !f->listed);
	assert_true(f->due_ns <= m->t.at.mono_ns);
	for (i = 1; i <= m->n; i++) {
		assert_false(m->fate[i].out && m->fate[i].job == f->job);
	}
	f->out = true;
	m->out[m->n_out++] = m->t.got;
}

static void returned(struct model *m, unsigned i, bool well)
{
	struct broker_delivery d = m->out[i];
	struct fate *f = &m->fate[number_of(m, &d.eval)];
	int rv = well ? broker_ack(&m->t.b, &d.eval, d.token) : broker_nack(&m->t.b, &d.eval, d.token, &m->t.at);

	m->out[i] = m->out[--m->n_out];
	f->out = false;
	assert_int_equal(rv, 0);
	f->over = well;
}

/* The state has taken note of everything that is listed. */
static void reap(struct model *m)
{
	const struct broker_item *item;

	while ((item = broker_cancel(&m->t.b, NULL)) != NULL || (item = broker_failed(&m->t.b)) != NULL) {
		struct uuid id = item->id;
		struct fate *f = &m->fate[number_of(m, &id)];

		assert_false(f->over || f->out);
		f->over = f->listed = true;
		broker_remove(&m->t.b, &id);
	}
}

static void some_step(struct model *m)
{
	switch (rand() % 8) {
	case 0:
	case 1:
	case 2:
		a_new_one(m);
		break;
	case 3:
	case 4:
		if (m->n_out < OUT && take(&m->t)) {
			taken(m);
		}
		break;
	case 5:
		if (m->n_out > 0) {
			returned(m, (unsigned)rand() % m->n_out, rand() % 4 != 0);
		}
		break;
	case 6:
		pass(&m->t, rand() % 1000 * NS_PER_MS);
		break;
	default:
		reap(m);
	}
}

static void to_the_end(struct model *m)
{
	unsigned i;

	for (i = 0; m->t.b.by_id.n > 0; i++) {
		assert_true(i < 100000);
		while (m->n_out > 0) {
			returned(m, 0, true);
		}
		if (take(&m->t)) {
			taken(m);
		}
		reap(m);
		pass(&m->t, NS_PER_S / 10);
	}
	for (i = 1; i <= m->n; i++) {
		assert_true(m->fate[i].over);
	}
}

static void every_evaluation_ends_and_no_job_has_two_at_a_time(void **state)
{
	static struct model m;
	unsigned seed;

	(void)state;
	for (seed = 1; seed <= 4; seed++) {
		printf("seed %u\n", seed);
		srand(seed);
		memset(&m, 0, sizeof(m));
		open_bench(&m.t);
		while (m.n < EVALS) {
			some_step(&m);
			broker_check(&m.t.b);
		}
		to_the_end(&m);
		close_bench(&m.t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(higher_priority_goes_first_and_among_equals_the_older),
		cmocka_unit_test(only_types_that_are_asked_for_are_taken),
		cmocka_unit_test(a_job_has_one_evaluation_at_a_time_and_the_newest_of_the_others_is_enough),
		cmocka_unit_test(of_those_that_wait_the_highest_priority_survives),
		cmocka_unit_test(one_that_waits_until_later_is_not_taken_before),
		cmocka_unit_test(the_time_of_a_delayed_one_can_be_changed),
		cmocka_unit_test(a_failed_delivery_is_repeated_later_and_later_and_then_given_up),
		cmocka_unit_test(a_token_is_worth_nothing_when_its_time_is_over),
		cmocka_unit_test(the_time_stands_still_while_a_plan_waits),
		cmocka_unit_test(one_that_is_over_in_the_state_is_not_delivered_again),
		cmocka_unit_test(nothing_is_taken_while_it_is_paused),
		cmocka_unit_test(tokens_of_before_a_reset_are_worthless),
		cmocka_unit_test(every_evaluation_ends_and_no_job_has_two_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
