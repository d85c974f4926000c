#include "test/unit/unit.h"

#include "lib/list.h"
#include "proto/error.h"
#include "server/reads.h"

static struct {
	bool leads;
	uint64_t index;
	int rc;
	int asked;
} other;

struct reader {
	struct read r;
	int told, status;
};

static bool leads(void *ctx, uint64_t *index)
{
	(void)ctx;
	*index = other.index;
	return other.leads;
}

static int ask(void *ctx)
{
	(void)ctx;
	other.asked += other.rc == 0;
	return other.rc;
}

static const struct reads_effects effects = {leads, ask};

static void done(struct read *r, int status)
{
	struct reader *a = CONTAINER_OF(r, struct reader, r);

	a->told++;
	a->status = status;
}

static void begin(struct reads *rs)
{
	memset(&other, 0, sizeof(other));
	reads_init(rs, &effects, NULL);
}

static void add(struct reads *rs, struct reader *a, int64_t now_ms)
{
	*a = (struct reader){.r = {.done_cb = done}};
	assert_int_equal(reads_add(rs, &a->r, now_ms), 0);
}

static void on_the_leader_reads_are_up_to_date_at_the_end_of_the_turn(void **state)
{
	struct reads rs;
	struct reader a;

	(void)state;
	begin(&rs);
	other.leads = true;
	add(&rs, &a, 0);
	reads_turn(&rs, 5, 0);
	assert_int_equal(a.told, 1);
	assert_int_equal(a.status, 0);
	assert_int_equal(other.asked, 0);
}

static void on_a_leader_that_has_not_applied_all_they_wait(void **state)
{
	struct reads rs;
	struct reader a, b;

	(void)state;
	begin(&rs);
	other.leads = true;
	other.index = 7;
	add(&rs, &a, 0);
	reads_turn(&rs, 6, 0);
	assert_int_equal(a.told, 0);
	other.index = 9; /* What comes later does not delay it. */
	add(&rs, &b, 1);
	reads_turn(&rs, 7, 1);
	assert_int_equal(a.told, 1);
	assert_int_equal(b.told, 0);
	reads_turn(&rs, 9, 2);
	assert_int_equal(b.told, 1);
	assert_int_equal(b.status, 0);
	assert_int_equal(other.asked, 0);
}

static void one_question_serves_all_that_wait(void **state)
{
	struct reads rs;
	struct reader a, b, late;

	(void)state;
	begin(&rs);
	add(&rs, &a, 0);
	add(&rs, &b, 0);
	reads_turn(&rs, 5, 0);
	assert_int_equal(other.asked, 1);
	add(&rs, &late, 1); /* After the question: it may have been answered already. */
	reads_turn(&rs, 6, 1);
	assert_int_equal(other.asked, 1);
	reads_answer(&rs, 0, 7);
	assert_int_equal(a.told, 0);
	reads_turn(&rs, 7, 2);
	assert_int_equal(a.status, 0);
	assert_int_equal(b.told, 1);
	assert_int_equal(late.told, 0);
	assert_int_equal(other.asked, 2);
	reads_answer(&rs, 0, 7);
	assert_int_equal(late.told, 1);
}

static void a_failed_question_is_asked_again_but_not_at_once(void **state)
{
	struct reads rs;
	struct reader a;

	(void)state;
	begin(&rs);
	add(&rs, &a, 0);
	reads_turn(&rs, 1, 0);
	reads_answer(&rs, ERR_NOTLEADER, 0);
	reads_turn(&rs, 1, 1);
	assert_int_equal(other.asked, 1);
	reads_turn(&rs, 1, 1 + READS_RETRY_MS);
	assert_int_equal(other.asked, 2);
	reads_answer(&rs, 0, 1);
	assert_int_equal(a.told, 1);
}

static void without_a_leader_they_fail_in_the_end(void **state)
{
	struct reads rs;
	struct reader a, b;

	(void)state;
	begin(&rs);
	other.rc = ERR_NOLEADER;
	add(&rs, &a, 0);
	add(&rs, &b, 100);
	reads_turn(&rs, 1, READS_PATIENCE_MS);
	assert_int_equal(a.status, ERR_NOLEADER);
	assert_int_equal(b.told, 0);
	other.rc = 0;
	reads_turn(&rs, 1, READS_PATIENCE_MS + 1);
	reads_answer(&rs, 0, 9); /* Never applied here. */
	reads_turn(&rs, 8, READS_PATIENCE_MS + 100);
	assert_int_equal(b.status, ERR_TIMEOUT);
	assert_int_equal(rs.n, 0);
}

static void a_server_that_becomes_leader_answers_those_that_it_has_not_asked_for(void **state)
{
	struct reads rs;
	struct reader a;

	(void)state;
	begin(&rs);
	add(&rs, &a, 0);
	reads_turn(&rs, 1, 0);
	other.leads = true;
	reads_answer(&rs, ERR_CLOSED, 0);
	reads_turn(&rs, 2, 1);
	assert_int_equal(a.status, 0);
}

static void at_the_end_all_are_told(void **state)
{
	struct reads rs;
	struct reader a, b;

	(void)state;
	begin(&rs);
	add(&rs, &a, 0);
	reads_turn(&rs, 1, 0);
	add(&rs, &b, 0);
	reads_fail(&rs, ERR_CLOSED);
	assert_int_equal(a.status, ERR_CLOSED);
	assert_int_equal(b.status, ERR_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(on_the_leader_reads_are_up_to_date_at_the_end_of_the_turn),
	        cmocka_unit_test(on_a_leader_that_has_not_applied_all_they_wait),
		cmocka_unit_test(one_question_serves_all_that_wait),
	        cmocka_unit_test(a_failed_question_is_asked_again_but_not_at_once),
	        cmocka_unit_test(without_a_leader_they_fail_in_the_end),
	        cmocka_unit_test(a_server_that_becomes_leader_answers_those_that_it_has_not_asked_for),
	        cmocka_unit_test(at_the_end_all_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
