#include "test/unit/unit.h"

#include <stdlib.h>

#include "proto/error.h"
#include "server/proposer.h"

enum { MANY = 3000 };

static struct {
	int room, rc;
	struct entry *sent[64];
	unsigned n_sent;
	size_t longest;
} log_;

struct asked {
	struct write w;
	struct buf command;
	int told, status;
	uint64_t index;
	struct proposer *again; /* Propose once more when it is done. */
};

static int room(void *ctx)
{
	(void)ctx;
	return log_.n_sent >= 4 ? ERR_BUSY : log_.room;
}

static int propose(void *ctx, const void *entry, size_t len, struct entry *slot)
{
	struct arena mem = {0};
	struct command_in *commands;
	unsigned n;

	(void)ctx;
	if (log_.rc != 0) {
		return log_.rc;
	}
	assert_int_equal(entry_decode(entry, len, &commands, &n, &mem), 0);
	assert_int_equal(n, slot->n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(commands[i].now_ns, 77);
		slot->results[i].index = (uint64_t)((const struct no_payload *)commands[i].payload)->nothing;
	}
	arena_close(&mem);
	log_.longest = len > log_.longest ? len : log_.longest;
	log_.sent[log_.n_sent++] = slot;
	return 0;
}

static int64_t now_ns(void *ctx)
{
	(void)ctx;
	return 77;
}

static struct uuid random_bits(void *ctx)
{
	(void)ctx;
	return (struct uuid){{1, 2, 3}};
}

static const struct proposer_effects effects = {room, propose, now_ns, random_bits};

static void done(struct write *w, int status, const struct apply_result *result)
{
	struct asked *a = CONTAINER_OF(w, struct asked, w);

	a->told++;
	a->status = status;
	assert_true((status == 0) == (result != NULL));
	a->index = result != NULL ? result->index : 0;
	if (a->again != NULL) {
		struct proposer *p = a->again;

		a->again = NULL;
		assert_int_equal(proposer_add(p, w, false), 0);
	}
}

static void ask(struct asked *a, int64_t number)
{
	struct no_payload payload = {number};

	memset(a, 0, sizeof(*a));
	assert_int_equal(command_encode(COMMAND_NOTHING, &payload, &a->command), 0);
	a->w = (struct write){.command = a->command.at, .len = a->command.len, .done_cb = done};
}

static void begin(struct proposer *p)
{
	memset(&log_, 0, sizeof(log_));
	proposer_init(p, &effects, NULL);
}

static void finish_first(struct proposer *p, int status)
{
	struct entry *e = log_.sent[0];

	memmove(log_.sent, log_.sent + 1, --log_.n_sent * sizeof(e));
	proposer_done(p, e, status);
}

static void commands_of_a_turn_are_one_entry(void **state)
{
	struct proposer p;
	struct asked a[3];

	(void)state;
	begin(&p);
	for (int i = 0; i < 3; i++) {
		ask(&a[i], 10 + i);
		assert_int_equal(proposer_add(&p, &a[i].w, false), 0);
	}
	proposer_turn(&p);
	assert_int_equal(log_.n_sent, 1);
	assert_int_equal(a[0].told, 0);
	finish_first(&p, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(a[i].told, 1);
		assert_int_equal(a[i].index, 10 + i);
		buf_close(&a[i].command);
	}
	proposer_close(&p);
}

static void many_commands_make_full_entries(void **state)
{
	struct proposer p;
	struct asked *a = calloc(MANY, sizeof(*a));
	unsigned entries = 0;

	(void)state;
	begin(&p);
	for (int i = 0; i < MANY; i++) {
		ask(&a[i], i);
		assert_int_equal(proposer_add(&p, &a[i].w, false), 0);
	}
	proposer_turn(&p);
	while (log_.n_sent > 0) {
		assert_true(log_.n_sent <= 4);
		entries++;
		finish_first(&p, 0);
		proposer_turn(&p);
	}
	assert_true(log_.longest <= ENTRY_BEST);
	assert_true(entries < MANY / (ENTRY_BEST / 128)); /* Commands take less than 128 bytes. */
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(a[i].told, 1);
		assert_int_equal(a[i].index, i);
		buf_close(&a[i].command);
	}
	free(a);
	proposer_close(&p);
}

/* Beside an entry that is under way a few commands are not worth another; many are. */
static void commands_gather_while_an_entry_is_under_way(void **state)
{
	struct proposer p;
	struct asked *a = calloc(MANY, sizeof(*a));
	int n = 0;

	(void)state;
	begin(&p);
	for (int i = 0; i < 4; i++) {
		ask(&a[n], n);
		assert_int_equal(proposer_add(&p, &a[n++].w, false), 0);
		proposer_turn(&p);
	}
	assert_int_equal(log_.n_sent, 1);
	finish_first(&p, 0);
	proposer_turn(&p);
	assert_int_equal(log_.n_sent, 1);
	assert_int_equal(log_.sent[0]->n, 3);
	while (p.bytes < PROPOSER_WORTH) {
		ask(&a[n], n);
		assert_int_equal(proposer_add(&p, &a[n++].w, false), 0);
	}
	proposer_turn(&p);
	assert_int_equal(log_.n_sent, 2);
	assert_int_equal(p.n, 0);
	finish_first(&p, 0);
	finish_first(&p, 0);
	for (int i = 0; i < n; i++) {
		assert_int_equal(a[i].told, 1);
		assert_int_equal(a[i].index, i);
		buf_close(&a[i].command);
	}
	free(a);
	proposer_close(&p);
}

static void who_waits_and_who_was_sent_are_told_apart_at_the_end(void **state)
{
	struct proposer p;
	struct asked sent, waits;

	(void)state;
	begin(&p);
	ask(&sent, 1);
	ask(&waits, 2);
	assert_int_equal(proposer_add(&p, &sent.w, false), 0);
	proposer_turn(&p);
	log_.room = ERR_BUSY;
	assert_int_equal(proposer_add(&p, &waits.w, false), 0);
	proposer_turn(&p);
	assert_int_equal(waits.told, 0);
	log_.room = ERR_NOTLEADER;
	proposer_turn(&p);
	assert_int_equal(waits.status, ERR_NOTLEADER);
	finish_first(&p, ERR_UNKNOWN);
	assert_int_equal(sent.status, ERR_UNKNOWN);
	buf_close(&sent.command);
	buf_close(&waits.command);
	proposer_close(&p);
}

static void a_refused_entry_is_surely_not_written(void **state)
{
	struct proposer p;
	struct asked a;

	(void)state;
	begin(&p);
	ask(&a, 1);
	log_.rc = ERR_NOSPACE;
	assert_int_equal(proposer_add(&p, &a.w, false), 0);
	proposer_turn(&p);
	assert_int_equal(a.told, 1);
	assert_int_equal(a.status, ERR_NOSPACE);
	buf_close(&a.command);
	proposer_close(&p);
}

static void one_that_is_no_command_harms_no_other(void **state)
{
	struct proposer p;
	struct asked good, bad;

	(void)state;
	begin(&p);
	ask(&good, 5);
	ask(&bad, 6);
	bad.w.len = 3;
	assert_int_equal(proposer_add(&p, &bad.w, false), 0);
	assert_int_equal(proposer_add(&p, &good.w, false), 0);
	proposer_turn(&p);
	assert_int_equal(bad.status, ERR_SYNTAX);
	finish_first(&p, 0);
	assert_int_equal(good.index, 5);
	buf_close(&good.command);
	buf_close(&bad.command);
	proposer_close(&p);
}

static void the_queue_is_bounded_and_the_leaders_own_have_more_room(void **state)
{
	struct proposer p;
	struct asked *a = calloc(PROPOSER_MAX + 2, sizeof(*a));

	(void)state;
	begin(&p);
	log_.room = ERR_BUSY;
	for (int i = 0; i < PROPOSER_MAX + 2; i++) {
		ask(&a[i], i);
	}
	for (int i = 0; i < PROPOSER_MAX; i++) {
		assert_int_equal(proposer_add(&p, &a[i].w, false), 0);
	}
	assert_int_equal(proposer_add(&p, &a[PROPOSER_MAX].w, false), ERR_BUSY);
	assert_int_equal(proposer_add(&p, &a[PROPOSER_MAX + 1].w, true), 0);
	proposer_fail(&p, ERR_CLOSED);
	assert_int_equal(a[PROPOSER_MAX].told, 0);
	assert_int_equal(a[PROPOSER_MAX + 1].status, ERR_CLOSED);
	for (int i = 0; i < PROPOSER_MAX + 2; i++) {
		buf_close(&a[i].command);
	}
	free(a);
	proposer_close(&p);
}

static void a_callback_may_propose_again(void **state)
{
	struct proposer p;
	struct asked a;

	(void)state;
	begin(&p);
	ask(&a, 1);
	a.again = &p;
	assert_int_equal(proposer_add(&p, &a.w, false), 0);
	proposer_turn(&p);
	finish_first(&p, 0);
	proposer_turn(&p);
	finish_first(&p, 0);
	assert_int_equal(a.told, 2);
	a.again = &p;
	assert_int_equal(proposer_add(&p, &a.w, false), 0);
	proposer_fail(&p, ERR_NOTLEADER); /* What is added meanwhile is not told. */
	assert_int_equal(a.told, 3);
	proposer_fail(&p, ERR_NOTLEADER);
	buf_close(&a.command);
	proposer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(commands_of_a_turn_are_one_entry),
	        cmocka_unit_test(many_commands_make_full_entries),
	        cmocka_unit_test(commands_gather_while_an_entry_is_under_way),
	        cmocka_unit_test(who_waits_and_who_was_sent_are_told_apart_at_the_end),
	        cmocka_unit_test(a_refused_entry_is_surely_not_written),
	        cmocka_unit_test(one_that_is_no_command_harms_no_other),
	        cmocka_unit_test(the_queue_is_bounded_and_the_leaders_own_have_more_room),
	        cmocka_unit_test(a_callback_may_propose_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
