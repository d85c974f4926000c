/* A host: the server's core as it is, with what is around it in a real process played here. */
#include "test/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"
#include "raft/disk.h"
#include "server/core.h"
#include "server/events.h"
#include "server/link.h"
#include "server/recover.h"
#include "server/sched.h"
#include "server/zones.h"

struct host *host_of(uint64_t raft_id)
{
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		if (sim.hosts[i].raft_id == raft_id && raft_id != 0) {
			return &sim.hosts[i];
		}
	}
	return NULL;
}

/* The one that leads in the highest term. */
struct host *host_leader(void)
{
	struct host *best = NULL;

	for (unsigned i = 0; i < sim.n_hosts; i++) {
		struct host *h = &sim.hosts[i];

		if (h->alive && h->leads_term > 0 && (best == NULL || h->leads_term > best->leads_term)) {
			best = h;
		}
	}
	return best;
}

const struct view *host_view(struct host *h)
{
	return state_view(h->server->state);
}

/* ---- what the core asks of the rest of the server ---- */

int net_new(struct server *s, struct net **out)
{
	(void)s;
	*out = (struct net *)(void *)sim.cur;
	return 0;
}

int net_start(struct net *n, char *why, size_t why_size)
{
	(void)n;
	(void)why;
	(void)why_size;
	return 0;
}

void net_connection(struct net *n, struct channel *ch, const char *listener, char first)
{
	(void)n;
	(void)ch;
	(void)listener;
	(void)first;
}

void net_ready(struct net *n, bool ready)
{
	struct host *h = sim.cur;

	(void)n;
	h->leads_term = ready ? h->server->leader.term : 0;
	sim_say("server %u %s in term %" PRIu64, h->at + 1, ready ? "leads" : "no longer leads",
		h->server->leader.term);
	if (ready) {
		check_leads(h, h->server->leader.term);
	}
}

void net_leader(struct net *n, uint64_t id, const char *address)
{
	(void)n;
	(void)address;
	sim.cur->leader_id = id;
}

void net_configuration(struct net *n)
{
	(void)n;
}

void net_changed(struct net *n, const struct view *v, const struct change *changes, size_t count)
{
	(void)n;
	check_changes(sim.cur, v, changes, count);
}

void net_replaced(struct net *n)
{
	(void)n;
}

void net_turn(struct net *n, bool ends)
{
	(void)n;
	(void)ends;
}

void net_stop(struct net *n, void (*stopped_cb)(void *ctx), void *ctx)
{
	(void)n;
	stopped_cb(ctx);
}

void net_free(struct net *n)
{
	(void)n;
}

struct link *link_open(struct server *s)
{
	(void)s;
	return NULL;
}

void link_free(struct link *l)
{
	(void)l;
}

void link_contact(struct link *l, uint64_t contact_ms)
{
	(void)l;
	(void)contact_ms;
}

void link_lease(struct link *l, uint64_t until_ms)
{
	(void)l;
	(void)until_ms;
}

void link_state(struct link *l, struct state *state)
{
	const struct view *v = state_view(state);

	(void)l;
	check_replaced(sim.cur, state_index(v), state_hash(v));
	view_release(v);
}

void core_info_publish(struct server *s)
{
	s->core->info_changed = false;
}

void server_post_http(struct server *s, struct mail *mail)
{
	(void)s;
	(void)mail;
	sim_fail("there is no HTTP thread");
}

struct event_feed *api_feed(struct api *api)
{
	(void)api;
	sim_fail("there is no API");
}

void events_push(struct event_feed *f, const struct fsm *fsm, const struct view *v, const struct change *changes,
		 size_t n)
{
	(void)f;
	(void)fsm;
	(void)v;
	(void)changes;
	(void)n;
}

void events_gap(struct event_feed *f)
{
	(void)f;
}

int recover_servers(const char *dir, const struct identity *identity, const char *address, char *why, size_t why_size)
{
	(void)dir;
	(void)identity;
	(void)address;
	(void)why;
	(void)why_size;
	return 0;
}

int zones_offset(struct zones_cache *c, const char *zone, int64_t unix_s, int64_t *offset_s)
{
	(void)c;
	(void)zone;
	(void)unix_s;
	*offset_s = 0;
	return 0;
}

void zones_close(struct zones_cache *c)
{
	(void)c;
}

/* ---- what is seen of it, and what may be spoiled on purpose ---- */

int __wrap_fsm_apply(struct fsm *fsm, const void *entry, size_t len, struct apply_result *results);
int __real_fsm_apply(struct fsm *fsm, const void *entry, size_t len, struct apply_result *results);

int __wrap_fsm_apply(struct fsm *fsm, const void *entry, size_t len, struct apply_result *results)
{
	uint64_t before = fsm->state->index;
	int rc = __real_fsm_apply(fsm, entry, len, results);

	check_applied(sim.cur, before, entry, len);
	if (sim_planted("double-apply", 2)) {
		before = fsm->state->index;
		(void)__real_fsm_apply(fsm, entry, len, NULL);
		check_applied(sim.cur, before, entry, len);
	}
	return rc;
}

/* Schedulers take their time, in which others decide as well. */
#define BEGIN_ARGS                                                                                                     \
	struct sched *s, const struct view *v, const struct uuid *eval, int64_t now_ns, const struct uuid *seed,       \
		struct sched_run **run
#define RESUME_ARGS                                                                                                    \
	struct sched *s, struct sched_run *run, const struct view *v, int64_t now_ns, const struct uuid *seed

enum sched_step __wrap_sched_begin(BEGIN_ARGS);
enum sched_step __real_sched_begin(BEGIN_ARGS);
enum sched_step __wrap_sched_resume(RESUME_ARGS);
enum sched_step __real_sched_resume(RESUME_ARGS);

static void think(void)
{
	fiber_sleep(sim_chance(100) ? sim_between(0, 200 * MS) : sim_between(20 * US, 5 * MS));
}

enum sched_step __wrap_sched_begin(BEGIN_ARGS)
{
	enum sched_step step = __real_sched_begin(s, v, eval, now_ns, seed, run);

	think();
	return step;
}

enum sched_step __wrap_sched_resume(RESUME_ARGS)
{
	enum sched_step step = __real_sched_resume(s, run, v, now_ns, seed);

	think();
	return step;
}

/* The log could not be written, or says that it will not go on: the process ends. */
void __wrap_disk_die(const char *what) __attribute__((noreturn));

void __wrap_disk_die(const char *what)
{
	struct host *h = sim.cur;
	bool in_fiber = fiber_here();

	sim_say("server %u ends: %s", h->at + 1, what);
	if (strcmp(what, "log: an entry came twice") == 0) {
		COUNT(came_twice);
	}
	host_kill(h, false);
	if (in_fiber) {
		fiber_leave();
	}
	longjmp(h->end, 1);
}

void __wrap_abort(void) __attribute__((noreturn));

void __wrap_abort(void)
{
	sim_fail("server %u aborts", sim.cur == NULL ? 0 : sim.cur->at + 1);
}

/* ---- a process ---- */

static void begin(struct host *h)
{
	h->life++;
	h->alive = true;
	h->powered = true;
	h->ending = false;
	h->leads_term = 0;
	h->leader_id = 0;
	h->asking = false;
	h->index = 0;
	h->transport = NULL;
	list_init(&h->fibers);
	list_init(&h->calls);
	loop_reset(h);
}

static void configure(struct host *h, struct server *s)
{
	bool slow = sim.seed % 4 == 3;

	s->config = (struct server_config){.dir = "/var/lib/drover",
					   .name = h->address,
					   .region = "global",
					   .datacenter = "dc1",
					   .rpc_addr = h->address,
					   .bootstrap_expect = 3,
					   .election_ms = slow ? 1000 : 300,
					   .heartbeat_ms = slow ? 200 : 60,
					   .snapshot_log_bytes = UINT64_C(16) << (10 + sim.seed % 4),
					   .trailing_bytes = UINT64_C(4) << (10 + sim.seed % 3),
					   .schedulers = 2,
					   .scheduler_queue = 1};
	s->config.leader = (struct leader_config){
		.slots = 16,
		.broker = {.nack_timeout_ns = 10 * SEC, .first_delay_ns = 500 * MS, .further_delay_ns = 2 * SEC},
		.heartbeat = {.min_ttl_ns = 3 * SEC, .grace_ns = 2 * SEC},
		.gc = {.interval_ns = 15 * SEC,
		       .eval_ns = 10 * SEC,
		       .batch_eval_ns = 20 * SEC,
		       .job_ns = 20 * SEC,
		       .deployment_ns = 10 * SEC,
		       .node_ns = 600 * SEC},
	};
	s->identity.raft_id = h->raft_id;
}

/* Each founder is given the same list, whenever it starts. */
static void bootstrap(struct host *h)
{
	struct replica_server list[HOSTS_MAX];
	int rc;

	if (h->raft_id > sim.n_founders || replica_status(h->server->replica).state != REPLICA_UNINITIALIZED) {
		return;
	}
	for (unsigned i = 0; i < sim.n_founders; i++) {
		list[i] = (struct replica_server){i + 1, sim.hosts[i].address, REPLICA_VOTER};
	}
	rc = replica_bootstrap(h->server->replica, list, sim.n_founders);
	if (rc != 0 && rc != ERR_EXISTS) {
		sim_fail("server %u cannot be bootstrapped: %s", h->at + 1, error_text(rc));
	}
}

/* A full disk may keep it from starting; nothing else may. */
static void refused(struct host *h, int rc, const char *why)
{
	if (rc != ERR_NOSPACE) {
		sim_fail("server %u refuses to start: %s (%s)", h->at + 1, why, error_text(rc));
	}
	sim_say("server %u cannot start: %s", h->at + 1, why);
	host_kill(h, false);
}

static void run_start(struct host *h)
{
	char why[512] = "";
	int rc = core_open(h->server, why, sizeof(why));

	if (rc == 0) {
		rc = core_begin(h->server, why, sizeof(why));
	}
	if (rc != 0) {
		refused(h, rc, why);
		return;
	}
	bootstrap(h);
	loop_wake(h, sim.now);
}

void host_start(struct host *h)
{
	sim_say("server %u starts", h->at + 1);
	begin(h);
	h->server = calloc(1, sizeof(*h->server));
	configure(h, h->server);
	check_begun(h);
	sim.cur = h;
	if (setjmp(h->end) == 0) {
		run_start(h);
	}
	sim.cur = NULL;
}

/* Its memory is gone with this seed's process. */
void host_kill(struct host *h, bool power)
{
	if (!h->alive) {
		return;
	}
	sim_say("server %u %s", h->at + 1, power ? "loses its power" : "is gone");
	h->alive = false;
	h->powered = !power;
	h->life++;
	h->leads_term = 0;
	calls_drop(h);
	fibers_end(h);
	fs_close_all(h->fs);
	if (power) {
		fs_power_off(h->fs);
	}
	net_host_died(h, power);
}

static void stop(void *arg)
{
	struct host *h = arg;

	sim.cur = h;
	if (setjmp(h->end) == 0) {
		if (h->server->ready) {
			COUNT(transfers);
		}
		core_stop(h->server);
		loop_wake(h, sim.now);
	}
}

void host_stop(struct host *h)
{
	if (h->alive && !h->ending) {
		sim_say("server %u is stopped", h->at + 1);
		h->ending = true;
		stop(h);
		sim.cur = NULL;
	}
}

void host_run(struct host *h)
{
	sim.cur = h;
	if (setjmp(h->end) == 0) {
		loop_turn(h);
	}
	sim.cur = NULL;
	if (h->alive && h->loop.stopped) {
		host_kill(h, false);
	}
}

/* ---- requests ---- */

enum { CALL_TIMEOUT_S = 2 };

static bool reaches(const struct call *c)
{
	return c->from_node == 0 || node_reaches(c->from_node - 1, c->host->at);
}

static int64_t travel(void)
{
	return sim.now + net_faults.delay + sim_between(0, net_faults.jitter);
}

static void finish(void *arg)
{
	struct call *c = arg;

	if (!c->open) {
		sim_fail("a request is answered twice");
	}
	c->open = false;
	buf_close(&c->command);
	if (c->kind == CALL_WRITE) {
		if (c->status == 0) {
			check_ack(c);
		} else if (c->status == ERR_UNKNOWN) {
			COUNT(unknowns);
		} else {
			COUNT(refusals);
		}
	}
	c->done(c);
}

static void finish_later(struct call *c, int status, int64_t at)
{
	c->status = status;
	sim_at(at, NULL, finish, c);
}

/* The answer leaves the server. */
static void respond(struct call *c, int status)
{
	list_remove(&c->link);
	c->there = false;
	if (status == ERR_UNKNOWN && sim_planted("unknown-is-yes", 1000)) {
		status = 0;
		c->result.index = c->host->index;
	}
	if (reaches(c)) {
		finish_later(c, status, travel());
	} else {
		finish_later(c, ERR_UNKNOWN, sim.now + CALL_TIMEOUT_S * SEC);
	}
}

static void on_written(struct write *w, int status, const struct apply_result *result)
{
	struct call *c = CONTAINER_OF(w, struct call, write);

	if (status == 0) {
		c->result = *result;
	}
	respond(c, status);
}

static void on_read(struct read *r, int status)
{
	struct call *c = CONTAINER_OF(r, struct call, read);

	if (status == 0) {
		const struct view *v = host_view(c->host);

		COUNT(reads);
		c->index = state_index(v);
		if (c->index < c->floor) {
			sim_fail("server %u reads the state of index %" PRIu64 ", but %" PRIu64
				 " had been answered when it was asked",
				 c->host->at + 1, c->index, c->floor);
		}
		view_release(v);
	}
	respond(c, status);
}

static void beat(struct host *h, struct call *c)
{
	const struct view *v = host_view(h);
	struct moment at = server_moment(h->server);
	int rc = h->server->ready
			 ? leader_heartbeat(&h->server->leader, v, &c->node, NODE_STATUS_READY, &at, &c->ttl_ns)
			 : ERR_NOTLEADER;

	view_release(v);
	respond(c, rc);
}

void call_run(struct host *h, struct call *c)
{
	int rc = 0;

	list_insert(&h->calls, &c->link);
	switch (c->kind) {
	case CALL_WRITE:
		c->write = (struct write){.command = c->command.at, .len = c->command.len, .done_cb = on_written};
		rc = h->ending ? ERR_CLOSED : server_write(h->server, &c->write);
		break;
	case CALL_READ:
		c->read.done_cb = on_read;
		rc = h->ending ? ERR_CLOSED : reads_add(&h->server->reads, &c->read, server_now_ms(h->server));
		break;
	case CALL_BEAT:
		beat(h, c);
		break;
	case CALL_PULL:
		c->view = host_view(h);
		c->index = state_index(c->view);
		respond(c, 0);
		break;
	}
	if (rc != 0) {
		respond(c, rc);
	}
}

static void arrive(void *arg)
{
	struct call *c = arg;
	struct host *h = c->host;

	if (!h->alive) {
		finish_later(c, ERR_NOTLEADER, h->powered ? travel() : sim.now + CALL_TIMEOUT_S * SEC);
		return;
	}
	c->there = true;
	list_insert(&h->loop.calls, &c->link);
	loop_wake(h, sim.now);
}

void call_send(struct call *c, struct host *h)
{
	c->host = h;
	c->open = true;
	c->view = NULL;
	c->floor = check_floor();
	c->hash = c->kind == CALL_WRITE ? check_command_hash(c->command.at, c->command.len) : 0;
	if (!reaches(c)) {
		finish_later(c, ERR_UNKNOWN, sim.now + CALL_TIMEOUT_S * SEC);
		return;
	}
	sim_at(travel(), NULL, arrive, c);
}

static void drop_list(struct list *calls)
{
	struct list *e;

	while ((e = list_pop(calls)) != NULL) {
		struct call *c = CONTAINER_OF(e, struct call, link);

		c->there = false;
		finish_later(c, ERR_UNKNOWN, sim.now + sim_between(0, CALL_TIMEOUT_S * SEC));
	}
}

void calls_drop(struct host *h)
{
	drop_list(&h->loop.calls);
	drop_list(&h->calls);
}
