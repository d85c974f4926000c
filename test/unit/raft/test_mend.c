#include "test/unit/unit.h"

#include "raft/mend.h"

#include <string.h>

enum { SNAPSHOT = 100, TERM = 7, LAST_TERM = 6 };

/* A server that has nothing but a snapshot. */
static struct raft server(void)
{
	struct raft r;

	memset(&r, 0, sizeof(r));
	r.current_term = TERM;
	r.commit_index = SNAPSHOT;
	r.trail.offset = SNAPSHOT;
	r.trail.snapshot.index = SNAPSHOT;
	r.trail.snapshot.term = LAST_TERM;
	return r;
}

/* Entries prev + 1 to prev + n, each with its index for a length. */
static struct raft_append_entries message(raft_term term, raft_index prev, unsigned n)
{
	struct raft_append_entries a = {.term = term, .prev_log_index = prev, .prev_log_term = prev > 0 ? 1 : 0};

	if (n > 0) {
		void *batch = raft_malloc(8);

		a.n_entries = n;
		a.entries = raft_calloc(n, sizeof(*a.entries));
		for (unsigned i = 0; i < n; i++) {
			a.entries[i] = (struct raft_entry){.term = 1, .buf = {batch, prev + 1 + i}, .batch = batch};
		}
	}
	return a;
}

static void entries_below_the_snapshot_are_skipped(void **state)
{
	struct raft r = server();
	struct raft_append_entries a = message(TERM, 0, SNAPSHOT + 3);

	(void)state;
	mend_append(&r, &a);
	assert_int_equal(a.prev_log_index, SNAPSHOT);
	assert_int_equal(a.prev_log_term, LAST_TERM);
	assert_int_equal(a.n_entries, 3);
	assert_int_equal(a.entries[0].buf.len, SNAPSHOT + 1);
	mend_drop_entries(&a);

	a = message(TERM, 10, 5);
	mend_append(&r, &a);
	assert_int_equal(a.prev_log_index, SNAPSHOT);
	assert_int_equal(a.n_entries, 0);
	assert_null(a.entries);
}

static void entries_behind_the_snapshot_stay_as_they_are(void **state)
{
	struct raft r = server();
	struct raft_append_entries a = message(TERM, SNAPSHOT, 2);

	(void)state;
	mend_append(&r, &a);
	assert_int_equal(a.prev_log_index, SNAPSHOT);
	assert_int_equal(a.prev_log_term, 1);
	assert_int_equal(a.n_entries, 2);
	mend_drop_entries(&a);
}

/* While a snapshot is being installed libraft ignores entries by itself. */
static void nothing_is_skipped_while_a_snapshot_is_installed(void **state)
{
	struct raft r = server();
	struct raft_append_entries a = message(TERM, 0, 2);

	(void)state;
	r.snapshot.installing = true;
	mend_append(&r, &a);
	assert_int_equal(a.prev_log_index, 0);
	assert_int_equal(a.n_entries, 2);
	mend_drop_entries(&a);
}

static void the_commit_index_does_not_go_back(void **state)
{
	struct raft r = server();
	struct raft_append_entries a = message(TERM, 3, 1);

	(void)state;
	r.trail.snapshot.index = 0;
	a.leader_commit = SNAPSHOT + 10;
	mend_append(&r, &a);
	assert_int_equal(a.leader_commit, SNAPSHOT);
	mend_drop_entries(&a);
}

static void configurations_come_first_in_their_message(void **state)
{
	struct raft_append_entries a = message(TERM, 5, 4);
	struct raft_append_entries rest;
	struct raft_append_entries last;
	char *batch = a.entries[0].batch;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		a.entries[i].buf = (struct raft_buffer){batch + i, 1};
		a.entries[i].type = i == 0 || i == 2 ? RAFT_CHANGE : RAFT_COMMAND;
		batch[i] = (char)('a' + i);
	}
	a.entries[1].term = 2;
	assert_true(mend_split(&a, &rest));
	assert_int_equal(a.n_entries, 2);
	assert_int_equal(rest.n_entries, 2);
	assert_int_equal(rest.prev_log_index, 7);
	assert_int_equal(rest.prev_log_term, 2);
	assert_int_equal(rest.entries[0].type, RAFT_CHANGE);
	assert_memory_equal(rest.entries[0].buf.base, "c", 1);
	assert_memory_equal(rest.entries[1].buf.base, "d", 1);
	assert_ptr_equal(rest.entries[1].batch, rest.entries[0].buf.base);
	assert_false(mend_split(&a, &last));
	assert_false(mend_split(&rest, &last));
	mend_drop_entries(&a);
	mend_drop_entries(&rest);
}

/* In an answer 0 means that nothing is refused. */
static void an_ended_term_is_refused_whatever_comes_before(void **state)
{
	struct raft r = server();
	struct raft_append_entries a = message(TERM - 1, 0, 0);

	(void)state;
	mend_append(&r, &a);
	assert_int_equal(a.prev_log_index, 1);
}

static void a_refusal_tells_how_far_we_are(void **state)
{
	struct raft r = server();
	struct raft_append_entries_result shorter = {.rejected = SNAPSHOT + 20, .last_log_index = 3};
	struct raft_append_entries_result longer = {.rejected = SNAPSHOT - 20, .last_log_index = UINT64_MAX};
	struct raft_append_entries_result well = {.rejected = 0, .last_log_index = 3};

	(void)state;
	mend_answer(&r, &shorter);
	assert_int_equal(shorter.last_log_index, SNAPSHOT);
	mend_answer(&r, &longer);
	assert_int_equal(longer.last_log_index, SNAPSHOT - 21);
	mend_answer(&r, &well);
	assert_int_equal(well.last_log_index, 3);
}

static void a_candidate_of_an_ended_term_hears_of_ours(void **state)
{
	struct raft r = server();
	struct raft_request_vote_result old = {.term = TERM - 2, .pre_vote = true};
	struct raft_request_vote_result next = {.term = TERM + 1, .pre_vote = true};
	struct raft_request_vote_result granted = {.term = TERM - 2, .pre_vote = true, .vote_granted = true};

	(void)state;
	mend_vote(&r, &old);
	assert_int_equal(old.term, TERM);
	mend_vote(&r, &next);
	assert_int_equal(next.term, TERM + 1);
	mend_vote(&r, &granted);
	assert_int_equal(granted.term, TERM - 2);
}

static void who_lacks_entries_is_asked_again_to_lead(void **state)
{
	const struct raft_timeout_now m = {.term = TERM, .last_log_index = 50};
	struct raft r = server();

	(void)state;
	r.state = RAFT_LEADER;
	r.leader_state.transferring = true;
	assert_false(mend_transfer(&r, &m, 50));
	assert_true(r.leader_state.transferring);
	assert_true(mend_transfer(&r, &m, 49));
	assert_false(r.leader_state.transferring);
	r.state = RAFT_FOLLOWER; /* Then there is nothing of a leader's to be changed. */
	r.leader_state.transferring = true;
	assert_false(mend_transfer(&r, &m, 49));
	assert_true(r.leader_state.transferring);
}

static void one_that_leads_is_known_to_lead(void **state)
{
	struct raft r = server();

	(void)state;
	r.state = RAFT_CANDIDATE;
	r.legacy.prev_state = RAFT_FOLLOWER;
	mend_leader(&r);
	assert_int_equal(r.legacy.prev_state, RAFT_FOLLOWER);
	r.state = RAFT_LEADER;
	mend_leader(&r);
	assert_int_equal(r.legacy.prev_state, RAFT_LEADER);
}

static void a_request_of_the_step_in_which_leadership_ends_does_not_wait(void **state)
{
	struct raft r = server();
	struct raft_apply one;
	struct raft_apply two;
	void *head[2] = {one.queue, two.queue};

	(void)state;
	one.queue[0] = two.queue;
	one.queue[1] = head;
	two.queue[0] = head;
	two.queue[1] = one.queue;
	r.state = RAFT_LEADER;
	assert_false(mend_request(&r, two.queue));
	assert_ptr_equal(one.queue[0], two.queue);
	r.state = RAFT_FOLLOWER;
	assert_true(mend_request(&r, two.queue));
	assert_ptr_equal(one.queue[0], head);
	assert_ptr_equal(head[1], one.queue);
	assert_true(mend_request(&r, one.queue));
	assert_ptr_equal(head[0], head);
	assert_ptr_equal(head[1], head);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_below_the_snapshot_are_skipped),
		cmocka_unit_test(entries_behind_the_snapshot_stay_as_they_are),
		cmocka_unit_test(nothing_is_skipped_while_a_snapshot_is_installed),
		cmocka_unit_test(the_commit_index_does_not_go_back),
		cmocka_unit_test(configurations_come_first_in_their_message),
		cmocka_unit_test(an_ended_term_is_refused_whatever_comes_before),
		cmocka_unit_test(a_refusal_tells_how_far_we_are),
		cmocka_unit_test(who_lacks_entries_is_asked_again_to_lead),
		cmocka_unit_test(who_lacks_entries_is_asked_again_to_lead),
		cmocka_unit_test(one_that_leads_is_known_to_lead),
		cmocka_unit_test(a_request_of_the_step_in_which_leadership_ends_does_not_wait),
		cmocka_unit_test(a_candidate_of_an_ended_term_hears_of_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
