#include "test/unit/unit.h"

#include "raft/table.h"
#include "server/blocked.h"
#include "test/unit/raft/kit.h"
#include "test/unit/server/rows.h"

struct bench {
	struct kit k;
	struct blocked bl;
};

static void open_bench(struct bench *t)
{
	kit_open(&t->k);
	blocked_init(&t->bl);
}

static void close_bench(struct bench *t)
{
	blocked_close(&t->bl);
	kit_close(&t->k);
}

static uint64_t class_hash(const char *name)
{
	return blob_hash(name, strlen(name));
}

/* A blocked evaluation as a scheduler puts it. */
static struct evaluation *blocked_of(struct bench *t, uint64_t n, const char *job, uint64_t seen)
{
	struct evaluation *e = arena_alloc(&t->k.mem, sizeof(*e));
	struct uuid id = test_id(1, n);

	object_init(&evaluation_type, e);
	e->id = kit_text(&t->k, &id);
	e->namespace_ = "default";
	e->job_id = arena_strdup(&t->k.mem, job);
	e->type = "service";
	e->priority = 50;
	e->triggered_by = "queued-allocs";
	e->status = "blocked";
	e->snapshot_index = (int64_t)seen;
	return e;
}

/* And what it says of classes, in the order of their names. */
static void says(struct bench *t, struct evaluation *e, const char *class_name, bool eligible)
{
	struct bool_pair *at = arena_calloc(&t->k.mem, e->class_eligibility.n + 1, sizeof(*at));
	uint32_t n = e->class_eligibility.n;

	if (n > 0) {
		memcpy(at, e->class_eligibility.at, n * sizeof(*at));
	}
	at[n] = (struct bool_pair){class_name, eligible};
	e->class_eligibility.at = at;
	e->class_eligibility.n = n + 1;
}

static void put(struct bench *t, const struct evaluation *e)
{
	struct eval_updates p;
	struct uuid id;

	object_init(&eval_updates_type, &p);
	p.evals.at = (struct evaluation *)(uintptr_t)e;
	p.evals.n = 1;
	assert_int_equal(kit_quick(&t->k, COMMAND_EVALS, &p)->status, 0);
	assert_true(uuid_parse(e->id, 36, &id));
	assert_int_equal(blocked_put(&t->bl, state_eval(t->k.v, &id), &t->k.mem), 0);
}

static void freed(struct bench *t, const char *class_name, uint64_t index)
{
	struct uuid node = test_id(2, 0);

	blocked_freed(&t->bl, class_hash(class_name), &node, index);
}

static void expect(struct bench *t, uint64_t n)
{
	struct uuid want = test_id(1, n);
	struct uuid got;

	while (blocked_pass(&t->bl, 1)) {
	}
	assert_true(blocked_take(&t->bl, &got));
	assert_memory_equal(&got, &want, sizeof(want));
	assert_false(blocked_has(&t->bl, &got));
}

static void expect_none(struct bench *t)
{
	struct uuid got;

	while (blocked_pass(&t->bl, 1)) {
	}
	assert_false(blocked_take(&t->bl, &got));
}

static void it_is_released_by_a_class_that_it_can_use_or_does_not_know(void **state)
{
	struct evaluation *e;
	struct bench t;

	(void)state;
	open_bench(&t);
	e = blocked_of(&t, 1, "a", 10);
	says(&t, e, "bad", false);
	says(&t, e, "good", true);
	put(&t, e);
	expect_none(&t);
	freed(&t, "bad", 20);
	expect_none(&t);
	freed(&t, "good", 21);
	expect(&t, 1);
	e->snapshot_index = 22;
	put(&t, e);
	expect_none(&t);
	freed(&t, "unheard of", 23);
	expect(&t, 1);
	close_bench(&t);
}

static void an_escaped_one_is_released_by_any_class(void **state)
{
	struct evaluation *e;
	struct bench t;

	(void)state;
	open_bench(&t);
	e = blocked_of(&t, 1, "a", 10);
	e->escaped_computed_class = true;
	says(&t, e, "bad", false);
	put(&t, e);
	assert_int_equal(t.bl.n_escaped, 1);
	freed(&t, "bad", 11);
	expect(&t, 1);
	assert_int_equal(t.bl.n_escaped, 0);
	close_bench(&t);
}

static void what_was_freed_while_it_was_tried_is_not_missed(void **state)
{
	struct evaluation *e;
	struct bench t;

	(void)state;
	open_bench(&t);
	freed(&t, "good", 20);
	freed(&t, "bad", 30);
	e = blocked_of(&t, 1, "a", 19);
	says(&t, e, "bad", false);
	put(&t, e);
	expect(&t, 1);
	e->snapshot_index = 20;
	put(&t, e);
	expect_none(&t);
	close_bench(&t);
}

static void one_of_a_node_waits_for_that_node(void **state)
{
	struct uuid node = test_id(2, 7);
	struct uuid other = test_id(2, 8);
	struct evaluation *e;
	struct bench t;

	(void)state;
	open_bench(&t);
	e = blocked_of(&t, 1, "a", 10);
	e->node_id = kit_text(&t.k, &node);
	put(&t, e);
	blocked_freed(&t.bl, class_hash("x"), &other, 11);
	expect_none(&t);
	blocked_freed(&t.bl, class_hash("x"), &node, 12);
	expect(&t, 1);
	close_bench(&t);
}

static void when_anything_may_have_become_possible_all_are_released(void **state)
{
	struct evaluation *e;
	struct bench t;

	(void)state;
	open_bench(&t);
	e = blocked_of(&t, 1, "a", 10);
	says(&t, e, "bad", false);
	put(&t, e);
	blocked_all(&t.bl, 11);
	expect(&t, 1);
	put(&t, e); /* It has seen 10 and comes back late. */
	expect(&t, 1);
	e->snapshot_index = 11;
	put(&t, e);
	expect_none(&t);
	close_bench(&t);
}

static void of_two_of_one_job_the_older_is_a_duplicate(void **state)
{
	struct uuid first = test_id(1, 1);
	struct uuid node = test_id(2, 7);
	struct evaluation *e;
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, blocked_of(&t, 1, "a", 10));
	put(&t, blocked_of(&t, 2, "b", 10));
	assert_null(blocked_duplicate(&t.bl, NULL));
	put(&t, blocked_of(&t, 3, "a", 10));
	e = blocked_of(&t, 4, "a", 10); /* About a node: another thing. */
	e->node_id = kit_text(&t.k, &node);
	put(&t, e);
	assert_memory_equal(&blocked_duplicate(&t.bl, NULL)->id, &first, sizeof(first));
	assert_null(blocked_duplicate(&t.bl, blocked_duplicate(&t.bl, NULL)));
	assert_int_equal(t.bl.n_blocked, 3);
	put(&t, blocked_of(&t, 1, "a", 11)); /* Still there, and still the older one. */
	assert_memory_equal(&blocked_duplicate(&t.bl, NULL)->id, &first, sizeof(first));
	blocked_remove(&t.bl, &first);
	assert_null(blocked_duplicate(&t.bl, NULL));
	close_bench(&t);
}

static void more_classes_than_can_be_noted_count_as_all(void **state)
{
	struct evaluation *e;
	struct bench t;
	unsigned i;

	(void)state;
	open_bench(&t);
	e = blocked_of(&t, 1, "a", 10);
	for (i = 0; i <= BLOCKED_NOTES_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "c%03u", i);
		says(&t, e, arena_strdup(&t.k.mem, name), false);
	}
	put(&t, e);
	for (i = 0; i <= BLOCKED_NOTES_MAX; i++) {
		freed(&t, e->class_eligibility.at[i].key, 11 + i);
	}
	expect(&t, 1);
	for (i = 0; i <= BLOCKED_CLASSES_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d%u", i);
		freed(&t, name, 1000 + i);
	}
	assert_true(t.bl.classes.n <= BLOCKED_CLASSES_MAX);
	e = blocked_of(&t, 1, "a", 1000 + BLOCKED_CLASSES_MAX - 1);
	put(&t, e);
	expect(&t, 1);
	close_bench(&t);
}

/* ---- against a model ---- */

enum { CLASSES = 5, EVALS = 40, STEPS = 6000 };

struct fate {
	uint64_t seen;
	int says[CLASSES]; /* 0: nothing, 1: eligible, -1: not. */
	bool blocked;
};

static const char *const names[CLASSES] = {"c0", "c1", "c2", "c3", "c4"};

static void block(struct bench *t, struct fate *f, uint64_t n, uint64_t index)
{
	char job[16];
	struct evaluation *e;
	unsigned c;

	snprintf(job, sizeof(job), "job%llu", (unsigned long long)n);
	f->seen = index - (uint64_t)(rand() % 4 == 0 ? rand() % 10 : 0);
	e = blocked_of(t, n, job, f->seen);
	for (c = 0; c < CLASSES; c++) {
		f->says[c] = rand() % 3 - 1;
		if (f->says[c] != 0) {
			says(t, e, names[c], f->says[c] > 0);
		}
	}
	f->blocked = true;
	put(t, e);
}

static bool has_reason(const struct fate *f, const uint64_t *changed)
{
	unsigned c;

	for (c = 0; c < CLASSES; c++) {
		if (changed[c] > f->seen && f->says[c] >= 0) {
			return true;
		}
	}
	return false;
}

static void released_with_reason_and_nobody_forgotten(struct bench *t, struct fate *fates, const uint64_t *changed)
{
	struct uuid id;
	unsigned n;

	while (blocked_pass(&t->bl, (unsigned)rand() % 5 + 1)) {
	}
	for (n = 0; n < EVALS; n++) {
		bool want = fates[n].blocked && has_reason(&fates[n], changed);

		id = test_id(1, n);
		if (fates[n].blocked) {
			fates[n].blocked = !want;
		}
	}
	while (blocked_take(&t->bl, &id)) {
	}
	for (n = 0; n < EVALS; n++) {
		id = test_id(1, n);
		assert_int_equal(blocked_has(&t->bl, &id), fates[n].blocked);
	}
}

static void against_a_model(unsigned seed)
{
	struct fate fates[EVALS] = {{0}};
	uint64_t changed[CLASSES] = {0};
	uint64_t index = 100;
	struct bench t;
	unsigned step;

	printf("seed %u\n", seed);
	srand(seed);
	open_bench(&t);
	for (step = 0; step < STEPS; step++) {
		unsigned n = (unsigned)rand() % EVALS;
		unsigned c = (unsigned)rand() % CLASSES;

		index++;
		if (rand() % 3 == 0) {
			changed[c] = index;
			freed(&t, names[c], index);
		} else if (!fates[n].blocked) {
			block(&t, &fates[n], n, index);
		}
		if (rand() % 4 == 0) {
			released_with_reason_and_nobody_forgotten(&t, fates, changed);
		}
	}
	close_bench(&t);
}

static void everyone_with_a_reason_is_released_and_nobody_else(void **state)
{
	unsigned seed;

	(void)state;
	for (seed = 1; seed <= 3; seed++) {
		against_a_model(seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_released_by_a_class_that_it_can_use_or_does_not_know),
		cmocka_unit_test(an_escaped_one_is_released_by_any_class),
		cmocka_unit_test(what_was_freed_while_it_was_tried_is_not_missed),
		cmocka_unit_test(one_of_a_node_waits_for_that_node),
		cmocka_unit_test(when_anything_may_have_become_possible_all_are_released),
		cmocka_unit_test(of_two_of_one_job_the_older_is_a_duplicate),
		cmocka_unit_test(more_classes_than_can_be_noted_count_as_all),
		cmocka_unit_test(everyone_with_a_reason_is_released_and_nobody_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
