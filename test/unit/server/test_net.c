/* Servers that find each other, lose each other, leave and come back. */
#include "test/unit/server/net_bed.h"

#include <stdatomic.h>

static void test_three_servers_found_a_cluster_at_once(void **state)
{
	int64_t begun = now_ms();
	unsigned i;

	(void)state;
	three();
	settled(3);
	printf("three servers: settled in %d ms\n", (int)(now_ms() - begun));
	put_job(&beds[0], "a", 1);
	put_job(&beds[1], "b", 1);
	put_job(&beds[2], "c", 1);
	for (i = 0; i < 3; i++) {
		assert_int_equal(ask(&beds[i], "GET", "/v1/jobs", NULL), 200);
		assert_int_equal(count(body, "\"JobSummary\""), 3);
		assert_int_equal(members_at(&beds[i], "alive"), 3);
	}
	same_state();
}

static void test_servers_that_start_one_after_the_other_meet(void **state)
{
	(void)state;
	set_peers(&beds[0], "123");
	set_peers(&beds[1], "123");
	set_peers(&beds[2], "123");
	start(&beds[2]);
	rest(1500);
	start(&beds[0]);
	rest(700);
	assert_int_equal(ask(&beds[0], "GET", "/v1/status/leader", NULL), 200);
	assert_string_equal(body, "\"\"");
	start(&beds[1]);
	settled(3);
}

/* A knows nobody, B knows A, C knows B: by what they tell each other all meet. */
static void test_a_chain_of_addresses_is_enough(void **state)
{
	(void)state;
	set_peers(&beds[0], "");
	set_peers(&beds[1], "1");
	set_peers(&beds[2], "2");
	start(&beds[0]);
	start(&beds[1]);
	start(&beds[2]);
	settled(3);
	UNTIL(members_at(&beds[0], "alive") == 3 && members_at(&beds[2], "alive") == 3);
}

static void test_serf_addresses_and_names_do_as_well(void **state)
{
	static char name[40];
	unsigned i;

	(void)state;
	snprintf(name, sizeof(name), "localhost:%s", strchr(beds[0].rpc, ':') + 1);
	for (i = 0; i < 3; i++) {
		beds[i].peers[0] = name;
		beds[i].peers[1] = beds[1].serf;
		beds[i].config.peers = (struct strs){beds[i].peers, 2};
		start(&beds[i]);
	}
	settled(3);
}

static void test_a_server_that_is_alone_founds_its_own(void **state)
{
	(void)state;
	beds[0].config.bootstrap_expect = 1;
	start(&beds[0]);
	assert_ptr_equal(settled(1), &beds[0]);
	put_job(&beds[0], "a", 1);
}

static void test_all_come_back_after_a_restart(void **state)
{
	unsigned i;

	(void)state;
	three();
	settled(3);
	put_job(&beds[1], "a", 1);
	for (i = 0; i < 3; i++) {
		stop(&beds[i]);
	}
	for (i = 3; i-- > 0;) {
		start(&beds[i]);
	}
	settled(3);
	assert_int_equal(ask(&beds[2], "GET", "/v1/job/a", NULL), 200);
	put_job(&beds[2], "b", 1);
	same_state();
	assert_int_equal(ask(&beds[0], "GET", "/v1/operator/raft/hash", NULL), 200);
	assert_non_null(strstr(body, "\"Hash\":\""));
	assert_int_equal(ask(&beds[0], "GET", "/v1/operator/raft/hash?index=99999999", NULL), 404);
}

static void test_a_server_that_is_gone_has_failed_and_comes_back(void **state)
{
	struct bed *leader;
	struct bed *other;

	(void)state;
	three();
	leader = settled(3);
	stop(leader);
	other = settled(3);
	UNTIL(members_at(other, "failed") == 1);
	assert_int_equal(members_at(other, "alive"), 2);
	put_job(another_than(other), "a", 1);
	start(leader);
	settled(3);
	UNTIL(members_at(leader, "alive") == 3 && members_at(other, "alive") == 3);
	assert_int_equal(ask(leader, "GET", "/v1/job/a", NULL), 200);
}

static void test_a_new_server_is_taken_in(void **state)
{
	(void)state;
	three();
	settled(3);
	put_job(&beds[0], "a", 1);
	set_peers(&beds[3], "2");
	beds[3].config.bootstrap_expect = 0;
	start(&beds[3]);
	settled(4);
	assert_int_equal(ask(&beds[3], "GET", "/v1/job/a", NULL), 200);
	same_state();
}

static void test_a_server_that_lost_its_data_comes_back_as_another(void **state)
{
	struct bed *leader;
	struct bed *other;

	(void)state;
	three();
	leader = settled(3);
	put_job(leader, "a", 1);
	other = another_than(leader);
	stop(other);
	wipe(other);
	start(other);
	settled(3);
	UNTIL(ask(other, "GET", "/v1/job/a", NULL) == 200);
	UNTIL(members_at(leader, "alive") == 3);
	assert_int_equal(members_at(leader, "failed"), 0);
	same_state();
}

static void test_who_leaves_is_no_voter_any_more(void **state)
{
	struct bed *leader;
	struct bed *other;

	(void)state;
	three();
	leader = settled(3);
	other = another_than(leader);
	server_leave(other->server, 5000);
	UNTIL(voters_at(leader) == 2);
	stop(other);
	settled(2);
	UNTIL(members_at(leader, "left") == 1);
	put_job(leader, "a", 1);
}

static void test_a_leader_can_leave(void **state)
{
	struct bed *leader;
	int64_t begun;

	(void)state;
	three();
	leader = settled(3);
	begun = now_ms();
	server_leave(leader->server, 120000);
	assert_true(now_ms() - begun < 60000);
	stop(leader);
	settled(2);
}

static void leave_cb(void *server)
{
	server_leave(server, 120000);
}

/* They do not hand leadership to each other until their time is up. */
static void test_servers_that_leave_together_are_soon_done(void **state)
{
	struct bed *leader;
	struct bed *third;
	uv_thread_t threads[2];
	unsigned i, n = 0;
	int64_t begun;

	(void)state;
	three();
	leader = settled(3);
	third = another_than(leader);
	server_leave(third->server, 5000);
	stop(third);
	settled(2);
	begun = now_ms();
	for (i = 0; i < 3; i++) {
		if (&beds[i] != third) {
			assert_int_equal(uv_thread_create(&threads[n++], leave_cb, beds[i].server), 0);
		}
	}
	for (i = 0; i < n; i++) {
		uv_thread_join(&threads[i]);
	}
	printf("took %d ms\n", (int)(now_ms() - begun));
	assert_true(now_ms() - begun < 60000);
}

static atomic_bool writing;
static char refused[256];

/* Without a pause, through a server that stays. Of unknown outcome a write may be, but not refused. */
static void write_on(void *at)
{
	while (atomic_load(&writing)) {
		int status = ask(at, "PUT", "/v1/jobs",
				 "{\"Job\":{\"ID\":\"w\",\"Type\":\"batch\",\"Datacenters\":[\"no\"],\"TaskGroups\":[{\"Name\":\"g\","
				 "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"mock_driver\"}]}]}}");

		if (status != 200 && strstr(body, "unknown") == NULL) {
			snprintf(refused, sizeof(refused), "%d %.200s", status, body);
		}
	}
}

static void test_writes_that_are_passed_on_to_a_stopping_leader_wait_for_the_next(void **state)
{
	enum { WRITERS = 1 }; /* ask() has one body. */
	uv_thread_t threads[WRITERS];
	struct bed *leader;
	unsigned round, i;

	(void)state;
	three();
	for (round = 0; round < 8; round++) {
		leader = settled(3);
		atomic_store(&writing, true);
		for (i = 0; i < WRITERS; i++) {
			assert_int_equal(uv_thread_create(&threads[i], write_on, another_than(leader)), 0);
		}
		rest(30);
		stop(leader);
		rest(30);
		atomic_store(&writing, false);
		for (i = 0; i < WRITERS; i++) {
			uv_thread_join(&threads[i]);
		}
		assert_string_equal(refused, "");
		start(leader);
	}
}

/* Over one connection, to a server that ends: what it is told, until the connection is closed. */
struct loyal {
	const struct bed *at;
	atomic_uint writes; /* Answered with 200. */
	bool told;          /* That the connection ends. */
	char refused[256];
};

/* One answer; its length, or 0 when the connection has been closed before it was whole. */
static size_t read_answer(int fd, char *text, size_t size)
{
	size_t len = 0, whole = 0;
	ssize_t got;

	while (len + 1 < size && (got = read(fd, text + len, size - 1 - len)) > 0) {
		const char *end, *at;

		len += (size_t)got;
		text[len] = '\0';
		end = strstr(text, "\r\n\r\n");
		at = strcasestr(text, "content-length:");
		whole = end != NULL && at != NULL ? (size_t)(end + 4 - text) + strtoul(at + 15, NULL, 10) : SIZE_MAX;
		if (len >= whole) {
			return len;
		}
	}
	return 0;
}

static void write_loyally(void *loyal)
{
	static const char job[] = "{\"Job\":{\"ID\":\"l\",\"Type\":\"batch\",\"Datacenters\":[\"no\"],\"TaskGroups\":[{\"Name\":"
				  "\"g\",\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"mock_driver\"}]}]}}";
	struct loyal *l = loyal;
	char text[4096];
	int fd = connect_to(l->at->http);
	int n = snprintf(text, sizeof(text), "PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
			 strlen(job), job);
	char answer[4096];

	while (!l->told && send(fd, text, (size_t)n, MSG_NOSIGNAL) == n && read_answer(fd, answer, sizeof(answer)) > 0) {
		l->told = strcasestr(answer, "connection: close") != NULL;
		if (strncmp(answer, "HTTP/1.1 200", 12) == 0) {
			atomic_fetch_add(&l->writes, 1);
		} else if (strstr(answer, "unknown") == NULL) {
			snprintf(l->refused, sizeof(l->refused), "%.250s", answer);
		}
	}
	close(fd);
}

/* By the leader that stops itself, and by followers that do: the last answer is as good as those before. */
static void test_who_writes_to_a_stopping_server_is_served_to_the_end(void **state)
{
	unsigned round, told = 0;

	(void)state;
	three();
	for (round = 0; round < 8; round++) {
		struct bed *leader = settled(3);
		struct bed *victim = round % 4 == 3 ? another_than(leader) : leader;
		struct loyal l = {.at = victim};
		uv_thread_t thread;

		assert_int_equal(uv_thread_create(&thread, write_loyally, &l), 0);
		UNTIL(atomic_load(&l.writes) >= 3);
		stop(victim);
		uv_thread_join(&thread);
		assert_string_equal(l.refused, "");
		told += l.told;
		start(victim);
	}
	assert_true(told > 0); /* Who is not given a processor for as long as servers linger finds his connection closed. */
}

static void test_a_dead_server_is_removed_when_another_has_taken_its_place(void **state)
{
	struct bed *dead;
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		beds[i].config.autopilot.cleanup_dead_servers = true;
		beds[i].config.autopilot.server_stabilization_time = 500000000;
	}
	three();
	dead = another_than(settled(3));
	stop(dead);
	rest(1500);
	assert_int_equal(voters_at(another_than(dead)), 3);
	set_peers(&beds[3], "123");
	start(&beds[3]);
	settled(3);
	UNTIL(members_at(&beds[3], "alive") == 3);
	start(dead); /* It knows the cluster still, and the cluster it. */
	settled(4);
	same_state();
}

static void test_five_servers_and_different_lists(void **state)
{
	static const char *const lists[] = {"2", "3", "4", "5", "1"};
	unsigned i;

	(void)state;
	for (i = 0; i < 5; i++) {
		beds[i].config.bootstrap_expect = 5;
		set_peers(&beds[i], lists[i]);
		start(&beds[i]);
		rest(50);
	}
	settled(5);
}

/* A member that is known by another address than it has now. */
static void test_a_server_that_has_moved_is_taken_in_anew(void **state)
{
	struct bed *leader;
	struct bed *moved;

	(void)state;
	three();
	leader = settled(3);
	put_job(leader, "a", 1);
	moved = another_than(leader);
	stop(moved);
	strcpy(moved->rpc, beds[4].rpc);
	start(moved);
	UNTIL(ask(leader, "GET", "/v1/operator/raft/configuration", NULL) == 200 && strstr(body, moved->rpc) != NULL);
	settled(3);
	UNTIL(ask(moved, "GET", "/v1/job/a", NULL) == 200);
	same_state();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_beds, close_beds)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_three_servers_found_a_cluster_at_once),
		TEST(test_servers_that_start_one_after_the_other_meet),
		TEST(test_a_chain_of_addresses_is_enough),
		TEST(test_serf_addresses_and_names_do_as_well),
		TEST(test_a_server_that_is_alone_founds_its_own),
		TEST(test_all_come_back_after_a_restart),
		TEST(test_a_server_that_is_gone_has_failed_and_comes_back),
		TEST(test_a_new_server_is_taken_in),
		TEST(test_a_server_that_lost_its_data_comes_back_as_another),
		TEST(test_who_leaves_is_no_voter_any_more),
		TEST(test_a_leader_can_leave),
		TEST(test_servers_that_leave_together_are_soon_done),
		TEST(test_writes_that_are_passed_on_to_a_stopping_leader_wait_for_the_next),
		TEST(test_who_writes_to_a_stopping_server_is_served_to_the_end),
		TEST(test_a_dead_server_is_removed_when_another_has_taken_its_place),
		TEST(test_five_servers_and_different_lists),
		TEST(test_a_server_that_has_moved_is_taken_in_anew),
	};

	cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
