/* What templates ask the cluster, over a link that the test answers. */
#include "test/unit/unit.h"

#include "client/live.h"
#include "proto/error.h"
#include "proto/job.h"

#define SECOND NS_PER_S

enum { READS = 64 };

static struct client_link link_;
static struct live live;
static struct link_read *reads[READS];
static char targets[READS][256];
static unsigned n_reads, canceled;
static bool down;
static int64_t now_ns;
static unsigned changes[4];
static struct live_set sets[4];

static int link_read(struct client_link *l, struct link_read *read, const char *target, size_t max, uint32_t timeout_ms)
{
	assert_ptr_equal(l, &link_);
	assert_int_equal(max, LIVE_BODY_MAX);
	assert_true(timeout_ms > LIVE_WAIT_S * 1000);
	if (down) {
		return ERR_CLOSED;
	}
	assert_true(n_reads < READS);
	reads[n_reads] = read;
	snprintf(targets[n_reads++], sizeof(targets[0]), "%s", target);
	return 0;
}

static void drop_read(unsigned i)
{
	n_reads--;
	memmove(&reads[i], &reads[i + 1], (n_reads - i) * sizeof(reads[0]));
	memmove(&targets[i], &targets[i + 1], (n_reads - i) * sizeof(targets[0]));
}

static unsigned find_read(const struct link_read *read)
{
	unsigned i = 0;

	while (i < n_reads && reads[i] != read) {
		i++;
	}
	assert_true(i < n_reads);
	return i;
}

static void link_cancel(struct client_link *l, struct link_read *read)
{
	(void)l;
	drop_read(find_read(read));
	canceled++;
}

static const struct link_ops ops = {.read = link_read, .cancel = link_cancel};

static void changed_cb(struct live_set *set)
{
	changes[set - sets]++;
}

static int make(void **state)
{
	(void)state;
	link_.ops = &ops;
	n_reads = canceled = 0;
	down = false;
	now_ns = 100 * SECOND;
	memset(changes, 0, sizeof(changes));
	memset(sets, 0, sizeof(sets));
	for (unsigned i = 0; i < 4; i++) {
		list_init(&sets[i].link);
		sets[i].changed_cb = changed_cb;
	}
	live_init(&live, &link_);
	return 0;
}

static int release(void **state)
{
	(void)state;
	live_close(&live);
	assert_int_equal(n_reads, 0);
	return 0;
}

static int want(unsigned set, const char *first, const char *second)
{
	const struct template_want wants[] = {{first, "", false}, {second, "", false}};

	return live_want(&live, &sets[set], wants, second != NULL ? 2 : first != NULL ? 1 : 0);
}

static void step(int64_t ns)
{
	now_ns += ns;
	live_step(&live, now_ns);
}

/* Answer the read of what begins so. */
static void answer(const char *prefix, int err, int status, uint64_t index, const char *body)
{
	struct http_response res = {.status = status, .index = index};
	unsigned i = 0;
	struct link_read *read;

	while (i < n_reads && strncmp(targets[i], prefix, strlen(prefix)) != 0) {
		i++;
	}
	assert_true(i < n_reads);
	read = reads[i];
	drop_read(i);
	buf_str(&res.body, body);
	read->done_cb(read, err, err == 0 ? &res : NULL);
	buf_close(&res.body);
}

static const char *answer_of(unsigned set, const char *target, struct arena *mem)
{
	const struct template_answer *at;
	uint32_t n;

	assert_int_equal(live_answers(&sets[set], &at, &n, mem), 0);
	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(at[i].target, target) == 0) {
			return at[i].status == 200 ? at[i].body : "none";
		}
	}
	return NULL;
}

static void a_question_is_asked_once_for_all_and_again_when_its_answer_changes(void **state)
{
	struct arena mem = {0};

	(void)state;
	assert_int_equal(want(0, "/a?x", "/b?x"), 0);
	assert_int_equal(want(1, "/a?x", NULL), 0);
	assert_false(live_known(&sets[1]));
	step(0);
	assert_int_equal(n_reads, 2);
	assert_string_equal(targets[0], "/a?x");
	answer("/a", 0, 200, 5, "one");
	assert_int_equal(changes[0], 1);
	assert_int_equal(changes[1], 1);
	assert_true(live_known(&sets[1]));
	assert_false(live_known(&sets[0]));
	step(0);
	assert_int_equal(n_reads, 1); /* Not at once. */
	assert_int_equal(live_due(&live), now_ns + LIVE_PAUSE_MS * NS_PER_MS);
	step(LIVE_PAUSE_MS * NS_PER_MS);
	assert_string_equal(targets[1], "/a?x&index=5&wait=300s");
	answer("/a", 0, 200, 5, "one"); /* The time is up. */
	assert_int_equal(changes[1], 1);
	step(SECOND);
	answer("/a", 0, 200, 9, "two");
	assert_int_equal(changes[1], 2);
	assert_string_equal(answer_of(1, "/a?x", &mem), "two");
	assert_null(answer_of(0, "/b?x", &mem));
	step(SECOND);
	answer("/a", 0, 404, 12, "not found");
	assert_string_equal(answer_of(1, "/a?x", &mem), "none");
	step(SECOND);
	answer("/a", 0, 200, 3, "two"); /* Another state. */
	step(SECOND);
	assert_string_equal(targets[1], "/a?x");
	arena_close(&mem);
}

static void what_nobody_wants_is_given_up(void **state)
{
	(void)state;
	assert_int_equal(want(0, "/a?x", "/b?x"), 0);
	assert_int_equal(want(1, "/a?x", NULL), 0);
	step(0);
	assert_int_equal(want(0, "/c?x", NULL), 0);
	assert_int_equal(canceled, 1); /* b */
	assert_int_equal(want(1, NULL, NULL), 0);
	assert_int_equal(canceled, 2);
	assert_int_equal(n_reads, 0);
	step(0);
	assert_int_equal(n_reads, 1);
	answer("/c", 0, 200, 1, "");
	assert_int_equal(want(0, NULL, NULL), 0);
	assert_int_equal(live.n_items, 0);
	assert_int_equal(live_due(&live), 0);
}

static void an_answer_stays_good_while_no_server_is_there(void **state)
{
	struct arena mem = {0};

	(void)state;
	assert_int_equal(want(0, "/a?x", NULL), 0);
	step(0);
	answer("/a", 0, 200, 5, "one");
	step(SECOND);
	answer("/a", ERR_UNKNOWN, 0, 0, "");
	down = true;
	step(SECOND);
	assert_int_equal(n_reads, 0);
	assert_string_equal(answer_of(0, "/a?x", &mem), "one");
	assert_true(live_due(&live) > now_ns);
	assert_true(live_due(&live) <= now_ns + LIVE_RETRY_MAX_MS * NS_PER_MS);
	down = false;
	live_up(&live, now_ns);
	step(0);
	assert_int_equal(n_reads, 1);
	answer("/a", 0, 500, 0, "No cluster leader");
	assert_int_equal(changes[0], 1);
	step(LIVE_RETRY_MAX_MS * NS_PER_MS);
	answer("/a", 0, 200, 6, "two");
	assert_int_equal(changes[0], 2);
	arena_close(&mem);
}

static void a_table_that_was_never_written_is_asked_at_intervals(void **state)
{
	(void)state;
	assert_int_equal(want(0, "/a?x", NULL), 0);
	step(0);
	answer("/a", 0, 404, 0, "none");
	assert_true(live_known(&sets[0]));
	assert_int_equal(live_due(&live), now_ns + LIVE_IDLE_MS * NS_PER_MS);
	step(LIVE_IDLE_MS * NS_PER_MS);
	assert_string_equal(targets[0], "/a?x");
}

static void questions_have_a_bound(void **state)
{
	struct template_want *wants = calloc(LIVE_ITEMS_MAX + 1, sizeof(*wants));
	char(*texts)[16] = calloc(LIVE_ITEMS_MAX + 1, sizeof(*texts));
	unsigned i;

	(void)state;
	for (i = 0; i <= LIVE_ITEMS_MAX; i++) {
		snprintf(texts[i], sizeof(texts[i]), "/%u?x", i);
		wants[i].target = texts[i];
	}
	assert_int_equal(want(0, "/0?x", "/other?x"), 0);
	assert_int_equal(live_want(&live, &sets[0], wants, LIVE_ITEMS_MAX + 1), ERR_TOOBIG);
	assert_int_equal(sets[0].n, 2); /* As it was. */
	assert_int_equal(live.n_items, 2);
	assert_int_equal(live_want(&live, &sets[0], wants, LIVE_ITEMS_MAX - 1), 0);
	free(wants);
	free(texts);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, make, release)
	const struct CMUnitTest tests[] = {
	        T(a_question_is_asked_once_for_all_and_again_when_its_answer_changes),
	        T(what_nobody_wants_is_given_up),
	        T(an_answer_stays_good_while_no_server_is_there),
	        T(a_table_that_was_never_written_is_asked_at_intervals),
	        T(questions_have_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
