/* The replica's interface, with one server in this process; test/integration/raft_*.py has clusters. */
#include "test/unit/raft/files.h"

#include "lib/log.h"
#include "proto/error.h"
#include "raft/replica_parts.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* --- an owner whose state is the sum of the numbers in the log --- */

static uv_loop_t loop;

struct owner {
	struct dir dir;
	struct replica *r;
	struct replica_config config;
	struct replica_fault fault;
	uint64_t sum;
	uint64_t last_index;
	unsigned n_applied;
	unsigned n_ready, n_unready, n_leader, n_configuration, n_captured, n_released, n_encoded, n_turns;
	unsigned n_connections;
	uint64_t leader;
	bool no_capture, bad_encode, bad_restore;
	bool stopped;
	int status; /* Of the last proposal that ended. */
	uint64_t index;
	unsigned n_done;
	unsigned again; /* Proposals that its callback still makes. */
	uint64_t burn_ns; /* What applying an entry takes of the processor. */
	unsigned n_ticks;
};

static uint64_t thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void on_apply(void *ctx, uint64_t index, uint64_t term, const void *data, size_t len, void *slot)
{
	struct owner *o = ctx;
	uint64_t number;

	assert_true(term > 0);
	assert_true(index > o->last_index);
	assert_int_equal(len, sizeof(number));
	memcpy(&number, data, sizeof(number));
	for (uint64_t begun = thread_ns(); o->burn_ns > 0 && thread_ns() - begun < o->burn_ns;) {
	}
	o->sum += number;
	o->last_index = index;
	o->n_applied++;
	if (slot != NULL) {
		*(uint64_t *)slot = o->sum;
	}
}

static void on_ready(void *ctx, bool ready, uint64_t term)
{
	struct owner *o = ctx;

	assert_true(term > 0);
	o->n_ready += ready;
	o->n_unready += !ready;
}

static void on_leader(void *ctx, uint64_t id, const char *address)
{
	struct owner *o = ctx;

	assert_non_null(address);
	o->leader = id;
	o->n_leader++;
}

static void on_configuration(void *ctx)
{
	((struct owner *)ctx)->n_configuration++;
}

static void *on_capture(void *ctx)
{
	struct owner *o = ctx;
	uint64_t *copy;

	if (o->no_capture) {
		return NULL;
	}
	copy = malloc(sizeof(*copy));
	*copy = o->sum;
	o->n_captured++;
	return copy;
}

static int on_encode(void *ctx, void *capture, struct replica_sink *to)
{
	struct owner *o = ctx;

	o->n_encoded++;
	return o->bad_encode && o->n_encoded == 1 ? ERR_NOMEM : to->write(to, capture, sizeof(uint64_t));
}

static void on_release(void *ctx, void *capture)
{
	((struct owner *)ctx)->n_released++;
	free(capture);
}

static int on_restore(void *ctx, struct replica_source *from)
{
	struct owner *o = ctx;

	return o->bad_restore ? ERR_CORRUPT : from->read(from, &o->sum, sizeof(o->sum));
}

static void on_connection(void *ctx, struct channel *ch, const char *listener, char first)
{
	struct owner *o = ctx;

	assert_string_equal(listener, "rpc");
	assert_int_equal(first, 'D');
	o->n_connections++;
	channel_close(ch, NULL);
}

static void on_turn(void *ctx, bool ends)
{
	(void)ends;
	((struct owner *)ctx)->n_turns++;
}

/* --- its life --- */

static void owner_init(struct owner *o)
{
	memset(o, 0, sizeof(*o));
	dir_open(&o->dir);
	o->config = (struct replica_config){.loop = &loop,
					    .dir = o->dir.path,
					    .cluster = "test",
					    .id = 1,
					    .address = "127.0.0.1:1",
					    .election_ms = 100,
					    .heartbeat_ms = 20,
					    .ctx = o,
					    .callbacks = {.apply = on_apply,
							  .ready = on_ready,
							  .leader = on_leader,
							  .configuration = on_configuration,
							  .capture = on_capture,
							  .encode = on_encode,
							  .release = on_release,
							  .restore = on_restore,
							  .connection = on_connection,
							  .turn = on_turn}};
}

static int owner_open(struct owner *o)
{
	o->sum = o->last_index = 0;
	o->stopped = false;
	return replica_new(&o->config, &o->r, &o->fault);
}

static void owner_start(struct owner *o)
{
	assert_int_equal(owner_open(o), 0);
	assert_int_equal(replica_start(o->r, &o->fault), 0);
}

static void on_stopped(void *data)
{
	((struct owner *)data)->stopped = true;
}

static void owner_stop(struct owner *o)
{
	replica_stop(o->r, on_stopped, o);
	while (!o->stopped) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	replica_free(o->r);
	assert_int_equal(o->n_captured, o->n_released);
}

#define RUN_UNTIL(truth)                                                                                               \
	do {                                                                                                           \
		uint64_t end_ = uv_hrtime() + 60000000000ULL;                                                           \
		while (!(truth) && uv_hrtime() < end_) {                                                               \
			uv_run(&loop, UV_RUN_ONCE);                                                                    \
		}                                                                                                      \
		assert_true(truth);                                                                                    \
	} while (0)

static void owner_lead(struct owner *o)
{
	struct replica_server self = {1, "127.0.0.1:1", REPLICA_VOTER};
	int rc = replica_bootstrap(o->r, &self, 1);

	assert_true(rc == 0 || rc == ERR_EXISTS);
	RUN_UNTIL(replica_status(o->r).ready);
}

static void on_done(void *data, int status, uint64_t index)
{
	struct owner *o = data;
	uint64_t one = 1;

	o->status = status;
	o->index = index;
	o->n_done++;
	if (o->again > 0) {
		o->again--;
		assert_int_equal(replica_propose(o->r, &one, sizeof(one), NULL, on_done, o), 0);
	}
}

static int propose(struct owner *o, uint64_t number, uint64_t *slot)
{
	return replica_propose(o->r, &number, sizeof(number), slot, on_done, o);
}

/* --- tests --- */

static void a_proposal_is_applied_and_answered(void **state)
{
	struct owner o;
	uint64_t slot = 0;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	assert_int_equal(replica_status(o.r).state, REPLICA_UNINITIALIZED);
	assert_int_equal(propose(&o, 1, NULL), ERR_NOTLEADER);
	owner_lead(&o);
	assert_int_equal(o.n_ready, 1);
	assert_int_equal(o.leader, 1);
	assert_int_equal(propose(&o, 7, &slot), 0);
	RUN_UNTIL(o.n_done == 1);
	assert_int_equal(o.status, 0);
	assert_int_equal(slot, 7);
	assert_int_equal(o.index, o.last_index);
	assert_int_equal(replica_status(o.r).applied_index, o.index);
	assert_int_equal(replica_status(o.r).commit_index, o.index);
	assert_true(o.n_turns > 0);
	owner_stop(&o);
	assert_int_equal(o.n_unready, 1);
	dir_close(&o.dir);
}

static void the_window_bounds_what_is_under_way(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	owner_lead(&o);
	assert_int_equal(replica_window(o.r), REPLICA_DEFAULT_WINDOW);
	for (unsigned i = 0; i < REPLICA_DEFAULT_WINDOW; i++) {
		assert_int_equal(propose(&o, 1, NULL), 0);
	}
	assert_int_equal(replica_window(o.r), 0);
	assert_int_equal(propose(&o, 1, NULL), ERR_BUSY);
	o.again = 50; /* A callback finds its place free. */
	RUN_UNTIL(o.n_done == REPLICA_DEFAULT_WINDOW + 50);
	assert_int_equal(o.sum, REPLICA_DEFAULT_WINDOW + 50);
	owner_stop(&o);
	dir_close(&o.dir);
}

static void what_is_too_big_is_refused(void **state)
{
	char *data = calloc(1, REPLICA_MAX_ENTRY + 1);
	struct owner o;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	owner_lead(&o);
	assert_int_equal(replica_propose(o.r, data, REPLICA_MAX_ENTRY + 1, NULL, on_done, &o), ERR_TOOBIG);
	assert_int_equal(o.n_done, 0);
	owner_stop(&o);
	dir_close(&o.dir);
	free(data);
}

static void a_restart_applies_all_again(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	owner_lead(&o);
	for (unsigned i = 1; i <= 100; i++) {
		assert_int_equal(propose(&o, i, NULL), 0);
		RUN_UNTIL(o.n_done == i);
	}
	owner_stop(&o);
	o.n_applied = 0;
	owner_start(&o);
	owner_lead(&o);
	assert_int_equal(o.sum, 5050); /* A leader has all before it is ready. */
	assert_int_equal(o.n_applied, 100);
	owner_stop(&o);
	dir_close(&o.dir);
}

static void a_snapshot_takes_the_place_of_the_log(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o);
	o.config.trailing_bytes = 64;
	owner_start(&o);
	owner_lead(&o);
	for (unsigned i = 1; i <= 100; i++) {
		assert_int_equal(propose(&o, i, NULL), 0);
		RUN_UNTIL(o.n_done == i);
	}
	o.no_capture = true; /* Refused once, it is asked for again. */
	replica_snapshot(o.r);
	for (unsigned i = 0; i < 20; i++) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	assert_int_equal(o.n_captured, 0);
	o.no_capture = false;
	RUN_UNTIL(o.n_released == 1);
	assert_int_equal(replica_status(o.r).snapshot_index, replica_status(o.r).applied_index);
	assert_int_equal(file_count(&o.dir, "snapshot-", NULL), 1);
	assert_int_equal(propose(&o, 1000, NULL), 0);
	RUN_UNTIL(o.n_done == 101);
	owner_stop(&o);
	o.n_applied = 0;
	owner_start(&o);
	RUN_UNTIL(o.sum == 6050);
	assert_int_equal(o.n_applied, 1);
	owner_stop(&o);
	dir_close(&o.dir);
}

static void on_tick(uv_timer_t *timer)
{
	((struct owner *)timer->data)->n_ticks++;
}

static void burn_fill(struct owner *o, unsigned n)
{
	o->again = n - REPLICA_DEFAULT_WINDOW;
	for (unsigned i = 0; i < REPLICA_DEFAULT_WINDOW; i++) {
		assert_int_equal(propose(o, 1, NULL), 0);
	}
	RUN_UNTIL(o->n_done == n);
}

static void what_is_committed_at_once_is_applied_over_several_turns(void **state)
{
	enum { N = 600, BURN_NS = 300000 };
	struct replica_status s;
	struct meter_stats t;
	struct owner o;
	uv_timer_t timer = {.data = &o};
	unsigned behind = 0;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	owner_lead(&o);
	burn_fill(&o, N);
	owner_stop(&o);
	o.n_applied = 0;
	o.burn_ns = BURN_NS;
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, on_tick, 1, 1);
	owner_start(&o); /* Alone, it knows at once that all is committed. */
	replica_turns(o.r, &t);
	replica_snapshot(o.r); /* Is taken when the state is that of its index, and not before. */
	for (unsigned last = 0; o.n_applied < N; last = o.n_applied) {
		uv_run(&loop, UV_RUN_ONCE);
		s = replica_status(o.r);
		assert_true(o.n_applied - last <= 16);
		assert_true(s.applied_index <= s.commit_index);
		assert_true(o.n_captured == 0 || o.n_applied == N);
		behind += s.applied_index < s.commit_index;
	}
	assert_true(behind > 20);
	assert_true(o.n_ticks > 20);
	replica_turns(o.r, &t);
	assert_true(t.cpu.longest_ns < (uint64_t)N * BURN_NS / 8);
	RUN_UNTIL(o.n_released == 1);
	assert_int_equal(replica_status(o.r).snapshot_index, replica_status(o.r).applied_index);
	assert_int_equal(o.sum, N);
	uv_close((uv_handle_t *)&timer, NULL);
	owner_stop(&o);
	dir_close(&o.dir);
}

static void what_is_committed_but_not_applied_at_the_end_is_unknown(void **state)
{
	struct owner o;
	unsigned done;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	owner_lead(&o);
	o.burn_ns = 10000000; /* One a turn. */
	for (unsigned i = 0; i < REPLICA_DEFAULT_WINDOW; i++) {
		assert_int_equal(propose(&o, 1, NULL), 0);
	}
	assert_int_equal(replica_barrier(o.r, on_done, &o), 0);
	RUN_UNTIL(o.n_done == 1);
	assert_int_equal(o.status, 0);
	assert_int_equal(o.n_applied, 1);
	done = o.n_done;
	replica_stop(o.r, on_stopped, &o);
	while (!o.stopped) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	assert_int_equal(o.n_done, REPLICA_DEFAULT_WINDOW + 1); /* Each exactly once. */
	assert_true(o.n_done > done);
	assert_int_equal(o.status, o.n_applied == REPLICA_DEFAULT_WINDOW ? 0 : ERR_UNKNOWN);
	replica_free(o.r);
	dir_close(&o.dir);
}

static void a_failed_encode_is_tried_again(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	owner_lead(&o);
	o.bad_encode = true;
	replica_snapshot(o.r);
	RUN_UNTIL(o.n_released == 1);
	assert_int_equal(o.n_encoded, 2);
	assert_int_equal(o.n_captured, 1);
	owner_stop(&o);
	dir_close(&o.dir);
}

/* Other servers refuse one whose configuration is behind its index, and so does a start; from one whose configuration
 * was replaced before its index a server learns a role that it has no more. */
static void a_snapshot_has_the_configuration_of_its_index(void **state)
{
	raft_index committed;
	struct owner o;
	unsigned turns;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	owner_lead(&o);
	committed = o.r->raft.configuration_committed_index;
	o.r->raft.configuration_committed_index = raft_last_applied(&o.r->raft) + 1;
	replica_snapshot(o.r);
	turns = o.n_turns + 5;
	RUN_UNTIL(o.n_turns >= turns);
	assert_int_equal(o.n_captured, 0);
	o.r->raft.configuration_committed_index = committed;
	o.r->raft.configuration_uncommitted_index = raft_last_applied(&o.r->raft);
	turns = o.n_turns + 5;
	RUN_UNTIL(o.n_turns >= turns);
	assert_int_equal(o.n_captured, 0);
	o.r->raft.configuration_uncommitted_index = 0;
	RUN_UNTIL(o.n_released == 1);
	owner_stop(&o);
	dir_close(&o.dir);
}

static void a_state_that_cannot_be_restored_ends_the_start(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	owner_lead(&o);
	assert_int_equal(propose(&o, 5, NULL), 0);
	RUN_UNTIL(o.n_done == 1); /* So it is in the snapshot. */
	replica_snapshot(o.r);
	RUN_UNTIL(o.n_released == 1);
	owner_stop(&o);
	o.bad_restore = true;
	assert_int_equal(owner_open(&o), 0);
	assert_int_equal(replica_start(o.r, &o.fault), ERR_CORRUPT);
	assert_string_not_equal(o.fault.text, "");
	owner_stop(&o);
	o.bad_restore = false;
	owner_start(&o);
	assert_int_equal(o.sum, 5);
	owner_stop(&o);
	dir_close(&o.dir);
}

static void on_barrier(void *data, int status, uint64_t index)
{
	struct owner *o = data;

	assert_int_equal(o->sum, 3);    /* What was proposed before it has been applied, */
	assert_int_equal(o->n_done, 1); /* and answered. */
	on_done(data, status, index);
}

static void a_barrier_comes_after_what_was_proposed(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	assert_int_equal(replica_barrier(o.r, on_done, &o), ERR_NOTLEADER);
	owner_lead(&o);
	assert_int_equal(propose(&o, 3, NULL), 0);
	assert_int_equal(replica_barrier(o.r, on_barrier, &o), 0);
	RUN_UNTIL(o.n_done == 2);
	assert_int_equal(o.status, 0);
	owner_stop(&o);
	dir_close(&o.dir);
}

static void what_is_open_at_the_end_is_unknown(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	owner_lead(&o);
	assert_int_equal(propose(&o, 3, NULL), 0);
	assert_int_equal(replica_barrier(o.r, on_done, &o), 0);
	replica_stop(o.r, on_stopped, &o);
	assert_int_equal(propose(&o, 3, NULL), ERR_CLOSED);
	assert_int_equal(replica_barrier(o.r, on_done, &o), ERR_CLOSED);
	assert_int_equal(replica_add(o.r, 2, "a:1", on_done, &o), ERR_CLOSED);
	while (!o.stopped) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	assert_int_equal(o.n_done, 2);
	assert_true(o.status == ERR_UNKNOWN || o.status == 0);
	replica_free(o.r);
	dir_close(&o.dir);
}

static void it_can_be_stopped_before_it_is_started(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o);
	assert_int_equal(owner_open(&o), 0);
	assert_int_equal(replica_listen(o.r, "127.0.0.1:0", "rpc", true, &o.fault), 0);
	owner_stop(&o);
	owner_start(&o);
	owner_stop(&o);
	dir_close(&o.dir);
}

/* A candidate asks for a vote. True: it was listened to, as its term was taken. */
static bool asks_for_vote(struct owner *o, uint64_t term, bool disrupt_leader)
{
	struct transport *t = io_transport(&o->r->io);
	struct wire_message m = {.type = WIRE_RAFT,
				 .raft = {.type = RAFT_REQUEST_VOTE, .server_id = 2, .server_address = "127.0.0.1:2"}};

	m.raft.request_vote = (struct raft_request_vote){
		.version = 2, .term = term, .candidate_id = 2, .last_log_index = 1000, .last_log_term = term - 1,
		.disrupt_leader = disrupt_leader};
	t->recv_cb(t, &m);
	return raft_current_term(&o->r->raft) == term;
}

/* It may have told a leader, just before it ended, that it votes for nobody for so long. */
static void who_was_just_started_does_not_vote_for_an_election_timeout(void **state)
{
	const struct replica_server two[] = {{1, "127.0.0.1:1", REPLICA_VOTER}, {2, "127.0.0.1:2", REPLICA_VOTER}};
	struct owner o;
	uint64_t began;
	unsigned turns;

	(void)state;
	owner_init(&o);
	o.config.election_ms = 3000; /* Longer than a busy machine may keep us from asking. */
	owner_start(&o);
	assert_int_equal(replica_bootstrap(o.r, two, 2), 0);
	assert_true(asks_for_vote(&o, 10, false)); /* One that is new has told nobody anything. */
	turns = o.n_turns;
	RUN_UNTIL(o.n_turns > turns + 5 && !io_transport(&o.r->io)->held); /* The term is on disk: it may have answered. */
	owner_stop(&o);

	owner_start(&o);
	began = uv_hrtime();
	assert_false(asks_for_vote(&o, 100, false));
	assert_true(asks_for_vote(&o, 101, true)); /* Its leader has asked for it. */
	while (!asks_for_vote(&o, 200, false)) {
		assert_true(uv_hrtime() - began < 60000000000ULL);
		uv_run(&loop, UV_RUN_ONCE);
	}
	assert_true(uv_hrtime() - began > (o.config.election_ms - 10) * 1000000ULL);
	owner_stop(&o);
	dir_close(&o.dir);
}

static void a_wrong_configuration_is_refused(void **state)
{
	struct owner o;
	struct owner second;
	struct replica_server wrong[2] = {{2, "a:1", REPLICA_VOTER}, {3, "b:1", REPLICA_VOTER}};

	(void)state;
	owner_init(&o);
	o.config.id = 0;
	assert_int_equal(owner_open(&o), ERR_INVALID);
	o.config.id = 1;
	o.config.address = "nowhere";
	assert_int_equal(owner_open(&o), ERR_INVALID);
	o.config.address = "127.0.0.1:1";
	o.config.heartbeat_ms = 100;
	assert_int_equal(owner_open(&o), ERR_INVALID);
	o.config.heartbeat_ms = 20;
	o.config.dir = "/nowhere/at/all";
	assert_int_equal(owner_open(&o), ERR_IO);
	assert_non_null(strstr(o.fault.text, "/nowhere/at/all"));
	o.config.dir = o.dir.path;
	owner_start(&o);
	second = o;
	assert_int_equal(owner_open(&second), ERR_BUSY);
	assert_int_equal(replica_bootstrap(o.r, wrong, 2), ERR_INVALID); /* Without itself. */
	wrong[0].id = 1;
	wrong[1].id = 1;
	assert_int_equal(replica_bootstrap(o.r, wrong, 2), ERR_INVALID);
	wrong[1] = (struct replica_server){2, "a:1", REPLICA_VOTER};
	assert_int_equal(replica_bootstrap(o.r, wrong, 2), ERR_INVALID); /* The same address. */
	assert_int_equal(replica_bootstrap(o.r, wrong, 0), ERR_INVALID);
	owner_lead(&o);
	assert_int_equal(replica_bootstrap(o.r, wrong, 2), ERR_EXISTS);
	owner_stop(&o);
	dir_close(&o.dir);
}

static void changes_are_checked(void **state)
{
	struct owner o;
	struct replica_peer peers[4];

	(void)state;
	owner_init(&o);
	owner_start(&o);
	assert_int_equal(replica_add(o.r, 2, "a:1", on_done, &o), ERR_NOTLEADER);
	owner_lead(&o);
	assert_int_equal(replica_add(o.r, 1, "a:1", on_done, &o), ERR_EXISTS);
	assert_int_equal(replica_add(o.r, 2, "127.0.0.1:1", on_done, &o), ERR_EXISTS);
	assert_int_equal(replica_add(o.r, 2, "a", on_done, &o), ERR_INVALID);
	assert_int_equal(replica_add(o.r, 0, "a:1", on_done, &o), ERR_INVALID);
	assert_int_equal(replica_remove(o.r, 2, on_done, &o), ERR_NOTFOUND);
	assert_int_equal(replica_remove(o.r, 1, on_done, &o), ERR_INVALID);
	assert_int_equal(replica_assign(o.r, 1, REPLICA_STANDBY, on_done, &o), ERR_INVALID);
	assert_int_equal(replica_transfer(o.r, 0, on_done, &o), ERR_NOTFOUND);
	assert_int_equal(replica_add(o.r, 2, "127.0.0.1:2", on_done, &o), 0);
	assert_int_equal(replica_add(o.r, 3, "127.0.0.1:3", on_done, &o), ERR_BUSY);
	RUN_UNTIL(o.n_done == 1);
	assert_int_equal(o.status, 0);
	assert_int_equal(replica_configuration(o.r, peers, 4), 2);
	assert_int_equal(peers[1].server.id, 2);
	assert_string_equal(peers[1].server.address, "127.0.0.1:2");
	assert_int_equal(peers[1].server.role, REPLICA_SPARE);
	assert_int_equal(replica_assign(o.r, 2, REPLICA_SPARE, on_done, &o), ERR_INVALID);
	assert_int_equal(replica_remove(o.r, 2, on_done, &o), 0);
	RUN_UNTIL(o.n_done == 2);
	assert_int_equal(replica_configuration(o.r, peers, 4), 1);
	assert_true(o.n_configuration >= 3);
	owner_stop(&o);
	dir_close(&o.dir);
}

static void other_connections_are_handed_over(void **state)
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct owner o;
	int fd;

	(void)state;
	owner_init(&o);
	assert_int_equal(owner_open(&o), 0);
	assert_int_equal(replica_listen(o.r, "127.0.0.1:0", "rpc", true, &o.fault), 0);
	assert_int_equal(replica_listen(o.r, "256.0.0.1:0", "serf", false, &o.fault), ERR_INVALID);
	assert_int_equal(replica_start(o.r, &o.fault), 0);
	where.sin_port = htons((uint16_t)replica_port(o.r, "rpc"));
	assert_int_equal(replica_port(o.r, "serf"), 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof(where)), 0);
	assert_int_equal(send(fd, "D", 1, 0), 1);
	RUN_UNTIL(o.n_connections == 1);
	close(fd);
	owner_stop(&o);
	dir_close(&o.dir);
}

static void turns_are_measured(void **state)
{
	struct meter_stats t;
	struct owner o;

	(void)state;
	owner_init(&o);
	owner_start(&o);
	owner_lead(&o);
	replica_turns(o.r, &t);
	assert_true(t.n > 0);
	assert_true(t.clock.longest_ns > 0 && t.clock.longest_ns < 5000000000ULL);
	assert_true(t.clock.p99_ns <= t.clock.p999_ns && t.clock.p999_ns <= t.clock.longest_ns);
	assert_true(t.cpu.longest_ns > 0);
	replica_turns(o.r, &t);
	assert_int_equal(t.clock.longest_ns, 0);
	owner_stop(&o);
	dir_close(&o.dir);
}

static int loop_open(void **state)
{
	(void)state;
	return uv_loop_init(&loop);
}

static int loop_end(void **state)
{
	(void)state;
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_proposal_is_applied_and_answered),
		cmocka_unit_test(the_window_bounds_what_is_under_way),
		cmocka_unit_test(what_is_too_big_is_refused),
		cmocka_unit_test(a_restart_applies_all_again),
		cmocka_unit_test(a_snapshot_takes_the_place_of_the_log),
		cmocka_unit_test(what_is_committed_at_once_is_applied_over_several_turns),
		cmocka_unit_test(what_is_committed_but_not_applied_at_the_end_is_unknown),
		cmocka_unit_test(a_failed_encode_is_tried_again),
		cmocka_unit_test(a_snapshot_has_the_configuration_of_its_index),
		cmocka_unit_test(a_state_that_cannot_be_restored_ends_the_start),
		cmocka_unit_test(a_barrier_comes_after_what_was_proposed),
		cmocka_unit_test(what_is_open_at_the_end_is_unknown),
		cmocka_unit_test(it_can_be_stopped_before_it_is_started),
		cmocka_unit_test(who_was_just_started_does_not_vote_for_an_election_timeout),
		cmocka_unit_test(a_wrong_configuration_is_refused),
		cmocka_unit_test(changes_are_checked),
		cmocka_unit_test(other_connections_are_handed_over),
		cmocka_unit_test(turns_are_measured),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, loop_open, loop_end);
}
