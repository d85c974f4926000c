#include "server/core.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/log.h"
#include "proto/error.h"
#include "raft/persist.h"
#include "server/events.h"
#include "server/lease.h"
#include "server/link.h"
#include "server/recover.h"
#include "server/sched_memory.h"
#include "server/workers.h"

enum {
	MAIL_MAX = 65536,
	TURN_NS = 3000000,  /* What a turn takes of a processor before work that can wait is left to the next. */
	PROPOSE_MS = 20,    /* For writes that came before leadership is handed on. */
	RECLAIM_STEP = 200, /* Dead objects of the state that are freed between two looks at that. */
};

/* ---- time, views, mail ---- */

static int64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static uint64_t next_random(struct core *c)
{
	c->random = c->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return c->random ^ c->random >> 32;
}

struct moment server_moment(struct server *s)
{
	return (struct moment){(int64_t)uv_hrtime(), wall_ns(), next_random(s->core)};
}

int64_t server_now_ms(struct server *s)
{
	return (int64_t)uv_now(&s->loop);
}

struct uuid core_random_id(struct server *s)
{
	(void)s;
	return uuid_random();
}

const struct view *server_view(struct server *s)
{
	struct core *c = s->core;
	const struct view *v = state_view(s->state);

	if (c->n_borrowed > 0 && c->borrowed[c->n_borrowed - 1] == v) {
		view_release(v);
		return v;
	}
	c->borrowed = sched_grow(c->borrowed, c->n_borrowed, &c->borrowed_cap, sizeof(c->borrowed[0]));
	c->borrowed[c->n_borrowed++] = v;
	return v;
}

static void give_back_views(struct core *c)
{
	while (c->n_borrowed > 0) {
		view_release(c->borrowed[--c->n_borrowed]);
	}
}

void server_post_core(struct server *s, struct mail *mail)
{
	mailbox_put_answer(&s->mail, mail);
}

static void wake_loop(void *arg)
{
	struct server *s = arg;

	if (!atomic_load(&s->core->over)) {
		bell_ring(&s->mail_bell);
	}
}

static void on_mail(struct bell *bell)
{
	struct server *s = bell->data;

	mailbox_run(&s->mail);
}

/* ---- writes ---- */

int server_write(struct server *s, struct write *w)
{
	if (!s->ready || s->stopping) {
		return ERR_NOTLEADER;
	}
	return proposer_add(&s->proposer, w, false);
}

static int room(void *ctx)
{
	struct server *s = ctx;

	if (!s->ready) {
		return ERR_NOTLEADER;
	}
	if (replica_window(s->replica) > 0) {
		return 0;
	}
	return replica_status(s->replica).full ? ERR_NOSPACE : ERR_BUSY;
}

static void on_proposed(void *data, int status, uint64_t index)
{
	struct flight *f = data;
	struct entry *e = f->entry;

	(void)index;
	f->entry = NULL;
	proposer_done(&f->s->proposer, e, status);
}

static struct flight *free_flight(struct server *s)
{
	struct flight *f = s->core->flights;

	while (f->entry != NULL) {
		f++;
		assert(f < s->core->flights + REPLICA_DEFAULT_WINDOW);
	}
	return f;
}

static int propose(void *ctx, const void *entry, size_t len, struct entry *slot)
{
	struct server *s = ctx;
	struct flight *f = free_flight(s);
	int rc;

	*f = (struct flight){s, slot};
	rc = replica_propose(s->replica, entry, len, slot, on_proposed, f);
	if (rc != 0) {
		f->entry = NULL;
	}
	return rc;
}

static int64_t command_time(void *ctx)
{
	(void)ctx;
	return wall_ns();
}

static struct uuid random_id(void *ctx)
{
	return core_random_id(ctx);
}

static const struct proposer_effects proposer_effects = {room, propose, command_time, random_id};

/* ---- reads ---- */

static unsigned election_ms(const struct server *s)
{
	return s->config.election_ms != 0 ? s->config.election_ms : 200;
}

/* Until when this server surely leads, in monotonic milliseconds; 0: that is not sure. */
static uint64_t leads_until_ms(struct server *s)
{
	struct replica_peer peers[REPLICA_MAX_SERVERS];
	uint64_t sent_ms[REPLICA_MAX_SERVERS];
	unsigned n, voters = 0;

	if (!s->ready || replica_transferring(s->replica)) {
		return 0;
	}
	n = replica_configuration(s->replica, peers, REPLICA_MAX_SERVERS);
	for (unsigned i = 0; i < n && i < REPLICA_MAX_SERVERS; i++) {
		if (peers[i].server.role == REPLICA_VOTER) {
			sent_ms[voters++] = peers[i].answered_ms;
		}
	}
	return lease_until(election_ms(s), sent_ms, voters);
}

bool server_surely_leads(struct server *s)
{
	return uv_hrtime() / (uint64_t)NS_PER_MS < leads_until_ms(s);
}

/* What it has committed it may not have applied yet, when others have. */
static bool leads(void *ctx, uint64_t *index)
{
	struct server *s = ctx;

	if (!server_surely_leads(s)) {
		return false;
	}
	*index = replica_status(s->replica).commit_index;
	return true;
}

static void on_barrier(void *data, int status, uint64_t index)
{
	struct server *s = data;

	reads_answer(&s->reads, status == 0 ? 0 : ERR_NOTLEADER, index);
}

/* A leader that cannot be sure asks its own log. */
static int ask_index(void *ctx)
{
	struct server *s = ctx;

	return s->ready ? replica_barrier(s->replica, on_barrier, s) : net_ask_index(s->net);
}

static const struct reads_effects reads_effects = {leads, ask_index};

/* ---- the leader's effects ---- */

/* A command of the leader's own. */
struct own_write {
	struct write write;
	struct server *s;
	uint64_t token;
	char command[];
};

static void own_done(struct write *w, int status, const struct apply_result *result)
{
	struct own_write *o = CONTAINER_OF(w, struct own_write, write);
	struct moment at = server_moment(o->s);

	leader_proposed(&o->s->leader, o->token, status, result, &at);
	free(o);
}

static int propose_own(void *ctx, const void *command, size_t len, uint64_t token)
{
	struct server *s = ctx;
	struct own_write *o;
	int rc;

	if (!s->ready) {
		return ERR_NOTLEADER;
	}
	o = sched_got(malloc(sizeof(*o) + len));
	memcpy(o->command, command, len);
	o->write = (struct write){.command = o->command, .len = len, .done_cb = own_done};
	o->s = s;
	o->token = token;
	rc = proposer_add(&s->proposer, &o->write, true);
	if (rc != 0) {
		free(o);
	}
	return rc;
}

static void dispatch(void *ctx, const struct broker_delivery *delivery)
{
	workers_dispatch(((struct server *)ctx)->workers, delivery);
}

static void plan_done(void *ctx, struct plan *plan)
{
	workers_plan_done(((struct server *)ctx)->workers, plan);
}

static void set_timer(void *ctx, int64_t mono_ns)
{
	((struct server *)ctx)->core->leader_ns = mono_ns;
}

static int64_t zone_offset(void *ctx, const char *zone, int64_t unix_s)
{
	int64_t offset_s = 0;

	(void)zones_offset(&((struct server *)ctx)->core->zones, zone, unix_s, &offset_s);
	return offset_s;
}

static const struct leader_effects leader_effects = {propose_own, dispatch, plan_done, set_timer, zone_offset};

/* ---- turns ---- */

static void on_idle(uv_idle_t *idle)
{
	uv_idle_stop(idle); /* The turn that it was to bring about has begun. */
}

static void on_timer(uv_timer_t *timer)
{
	((struct server *)timer->data)->core->armed_ns = INT64_MAX;
}

void core_wake(struct server *s)
{
	s->core->again = true;
}

static void tick_leader(struct server *s)
{
	struct core *c = s->core;
	struct moment at = server_moment(s);

	if (c->leader_ns <= at.mono_ns) {
		const struct view *v = state_view(s->state);

		c->leader_ns = INT64_MAX;
		leader_tick(&s->leader, v, &at);
		view_release(v);
	}
}

/* The loop must not sleep beyond what is due. */
static void arm(struct server *s)
{
	struct core *c = s->core;
	int64_t now = (int64_t)uv_hrtime();

	if (c->again || c->leader_ns <= now) {
		c->again = false;
		uv_idle_start(&c->idle, on_idle);
	} else if (c->leader_ns != c->armed_ns) {
		c->armed_ns = c->leader_ns;
		uv_timer_stop(&c->timer);
		if (c->leader_ns != INT64_MAX) {
			uv_update_time(&s->loop);
			uv_timer_start(&c->timer, on_timer, (uint64_t)((c->leader_ns - now) / NS_PER_MS + 1), 0);
		}
	}
}

static void close_state(struct state *state)
{
	state_close(state);
	free(state);
}

static void close_retired(struct core *c)
{
	LIST_EACH (e, &c->retired) {
		struct retired *r = CONTAINER_OF(e, struct retired, link);

		if (r->told && state_idle(r->state)) {
			list_remove(&r->link);
			close_state(r->state);
			free(r);
		}
	}
}

int64_t server_time_left(struct server *s)
{
	return TURN_NS - (int64_t)replica_turn_ns(s->replica);
}

static void reclaim(struct server *s)
{
	bool more;

	do {
		more = forest_reclaim(&s->state->forest, RECLAIM_STEP);
	} while (more && server_time_left(s) > 0);
	if (more) {
		core_wake(s);
	}
}

static void tidy(struct server *s, bool ends)
{
	give_back_views(s->core);
	close_retired(s->core);
	if (!ends) {
		reclaim(s);
	}
}

/* Otherwise they would have to be passed on. */
static bool has_proposed_all(struct server *s)
{
	return list_empty(&s->proposer.queue) || server_now_ms(s) >= s->core->hand_on_ms;
}

static void hand_on(struct server *s)
{
	struct core *c = s->core;
	replica_propose_cb cb = c->hand_on_cb;
	int rc;

	if (cb == NULL) {
		return;
	}
	if (s->ready && !has_proposed_all(s)) {
		core_wake(s);
		return;
	}
	c->hand_on_cb = NULL;
	rc = s->ready ? replica_transfer(s->replica, 0, cb, c->hand_on_data) : ERR_NOTLEADER;
	if (rc != 0) {
		cb(c->hand_on_data, rc, 0);
	}
}

void core_hand_on(struct server *s, replica_propose_cb cb, void *data)
{
	s->draining = true;
	s->core->hand_on_cb = cb;
	s->core->hand_on_data = data;
	s->core->hand_on_ms = server_now_ms(s) + PROPOSE_MS;
	core_wake(s);
}

static void on_turn(void *ctx, bool ends)
{
	struct server *s = ctx;
	struct replica_status status;

	if (ends || server_time_left(s) > 0) { /* Its end is the next one's beginning. */
		tick_leader(s);
	}
	proposer_turn(&s->proposer);
	hand_on(s);
	status = replica_status(s->replica);
	link_contact(s->link, status.leader_contact_ms);
	/* Before a message leaves by which leadership is handed on, or others learn of what is not yet applied here. */
	link_lease(s->link, status.applied_index < status.commit_index ? 0 : leads_until_ms(s));
	reads_turn(&s->reads, status.applied_index, server_now_ms(s));
	net_turn(s->net, ends);
	if (s->core->info_changed) {
		core_info_publish(s);
	}
	tidy(s, ends);
	arm(s);
}

void server_info_changed(struct server *s)
{
	s->core->info_changed = true;
}

/* It has no pointers, so it needs no memory of its own. */
struct autopilot_config server_autopilot(struct server *s)
{
	struct autopilot_config config;
	struct arena mem = {0};
	int rc = state_autopilot_config(server_view(s), &config, &mem);

	arena_close(&mem);
	return rc == 0 ? config : s->config.autopilot;
}

void server_joined(struct server *s)
{
	char id[UUID_TEXT];

	uuid_format(&s->identity.cluster, id);
	log_info("server", "is part of cluster %s", id);
	server_info_changed(s);
}

/* ---- the replica's callbacks ---- */

/* A malformed entry has done nothing, and leaves no results. */
static void refuse_all(struct entry *e, int err)
{
	for (unsigned i = 0; i < e->n; i++) {
		e->results[i].status = err;
	}
}

static void on_apply(void *ctx, uint64_t index, uint64_t term, const void *data, size_t len, void *slot)
{
	struct server *s = ctx;
	struct entry *e = slot;
	int rc = fsm_apply(&s->fsm, data, len, e != NULL ? e->results : NULL);

	(void)index;
	(void)term;
	if (rc != 0 && e != NULL) {
		refuse_all(e, rc);
	}
}

/* One turn may apply thousands of entries: their views are not to be kept until its end. */
static void on_changed(void *ctx, const struct change *changes, size_t n)
{
	struct server *s = ctx;
	const struct view *v = state_view(s->state);

	if (s->ready) {
		struct moment at = server_moment(s);

		leader_changed(&s->leader, v, changes, n, &at);
	}
	for (size_t i = 0; i < n; i++) {
		s->core->info_changed = s->core->info_changed || changes[i].table == TABLE_CONFIGS;
	}
	workers_changed(s->workers, changes, n);
	net_changed(s->net, v, changes, n);
	if (s->api != NULL) {
		events_push(api_feed(s->api), &s->fsm, v, changes, n);
	}
	view_release(v);
}

static void start_leader(struct server *s, uint64_t term)
{
	struct moment at = server_moment(s);
	struct uuid seed = core_random_id(s);

	leader_start(&s->leader, server_view(s), &at, &seed, term);
}

/* Parts of a backup that another leader was about to restore, and did not come to the end. */
static void drop_restore(struct server *s)
{
	const struct object_row *row = state_restore_part(server_view(s), 0);
	struct restore_drop drop = {{NULL, 0}};
	struct restore_part part;
	struct buf command = {0};
	struct arena mem = {0};

	if (row != NULL && object_row_get(row, &restore_part_type, &part, &mem) == 0) {
		log_info("server", "drops what is left of a restore that did not come to its end");
		drop.id = part.id;
		if (command_encode(COMMAND_RESTORE_DROP, &drop, &command) == 0) {
			(void)propose_own(s, command.at, command.len, 0); /* Otherwise the next leader does it. */
		}
	}
	buf_close(&command);
	arena_close(&mem);
}

static void begin_to_lead(struct server *s, uint64_t term)
{
	s->ready = true;
	start_leader(s, term);
	net_ready(s->net, true);
	drop_restore(s);
}

static void cease_to_lead(struct server *s)
{
	net_ready(s->net, false);
	s->ready = false;
	leader_stop(&s->leader);
	proposer_fail(&s->proposer, ERR_NOTLEADER);
}

static void on_ready(void *ctx, bool ready, uint64_t term)
{
	struct server *s = ctx;

	if (ready == s->ready) {
		return;
	}
	if (ready) {
		begin_to_lead(s, term);
	} else {
		cease_to_lead(s);
	}
	server_info_changed(s);
}

static void on_leader(void *ctx, uint64_t id, const char *address)
{
	struct server *s = ctx;

	if (id == 0) {
		log_info("server", "no leader is known");
	} else if (id != s->identity.raft_id) {
		log_info("server", "the leader is %s", address);
	}
	net_leader(s->net, id, address);
	server_info_changed(s);
}

static void on_configuration(void *ctx)
{
	struct server *s = ctx;

	net_configuration(s->net);
	server_info_changed(s);
}

static void on_removed(void *ctx)
{
	struct server *s = ctx;

	log_warn("server", "this server has been removed from its cluster");
	server_info_changed(s);
}

static void on_connection(void *ctx, struct channel *ch, const char *listener, char first)
{
	net_connection(((struct server *)ctx)->net, ch, listener, first);
}

/* ---- snapshots ---- */

static void *on_capture(void *ctx)
{
	struct server *s = ctx;
	const struct view *v = state_view(s->state);

	log_info("server", "takes a snapshot at index %" PRIu64, state_index(v));
	return (void *)(uintptr_t)v;
}

static int write_sink(void *ctx, const void *data, size_t len)
{
	struct replica_sink *to = ctx;

	return to->write(to, data, len);
}

static int on_encode(void *ctx, void *capture, struct replica_sink *to)
{
	(void)ctx;
	return persist_save(capture, write_sink, to);
}

static void on_release(void *ctx, void *capture)
{
	(void)ctx;
	view_release(capture);
}

static int read_source(void *ctx, void *data, size_t len)
{
	struct replica_source *from = ctx;

	return from->read(from, data, len);
}

static void on_told_back(struct mail *mail)
{
	struct retired *r = CONTAINER_OF(mail, struct retired, mail);

	r->told = true;
	core_wake(r->s);
}

/* On the HTTP thread, which has the new state already, and is not in the middle of taking a view. */
static void on_told(struct mail *mail)
{
	struct retired *r = CONTAINER_OF(mail, struct retired, mail);

	r->mail.run_cb = on_told_back;
	server_post_core(r->s, &r->mail);
}

static void retire(struct server *s, struct state *state)
{
	struct retired *r = sched_calloc(1, sizeof(*r));

	r->s = s;
	r->state = state;
	list_insert(&s->core->retired, &r->link);
	if (s->httpd != NULL) {
		r->mail.run_cb = on_told;
		server_post_http(s, &r->mail);
	} else {
		r->told = true;
	}
}

/* The HTTP thread has it before it hears that everything may have changed. */
static void replace_state(struct server *s, struct state *fresh)
{
	struct state *old = s->state;

	s->state = fresh;
	link_state(s->link, fresh);
	fsm_replaced(&s->fsm, fresh);
	if (s->api != NULL) {
		events_gap(api_feed(s->api));
	}
	workers_replaced(s->workers);
	net_replaced(s->net);
	server_info_changed(s);
	retire(s, old);
}

/* A backup is restored. The leader begins anew: nothing that it knew of the old state is true of this one. */
static void on_replace(void *ctx, struct state *fresh)
{
	struct server *s = ctx;
	uint64_t term = s->leader.term;

	log_info("server", "a backup is restored, at index %" PRIu64, fresh->index);
	if (s->ready) {
		leader_stop(&s->leader);
	}
	replace_state(s, fresh);
	if (s->ready) {
		start_leader(s, term);
	}
}

static int on_restore(void *ctx, struct replica_source *from)
{
	struct server *s = ctx;
	struct state *fresh = sched_calloc(1, sizeof(*fresh));
	uint64_t begun = uv_hrtime();
	int rc = persist_load(fresh, read_source, from);
	const struct view *v;

	if (rc != 0) {
		free(fresh);
		return rc;
	}
	replace_state(s, fresh);
	v = server_view(s);
	log_info("server", "restored the state of index %" PRIu64 " in %" PRIu64 " ms: %zu jobs, %zu allocations",
		 state_index(v), (uv_hrtime() - begun) / NS_PER_MS, view_count(v, INDEX_JOBS_CURRENT),
		 view_count(v, TABLE_ALLOCS));
	return 0;
}

static const struct replica_callbacks callbacks = {
	.apply = on_apply,
	.ready = on_ready,
	.leader = on_leader,
	.configuration = on_configuration,
	.removed = on_removed,
	.capture = on_capture,
	.encode = on_encode,
	.release = on_release,
	.restore = on_restore,
	.connection = on_connection,
	.turn = on_turn,
};

/* ---- life ---- */

static void open_loop(struct server *s)
{
	struct core *c = s->core;

	sched_got(bell_open(&s->mail_bell, &s->loop, on_mail, s) == 0 ? s : NULL);
	uv_timer_init(&s->loop, &c->timer);
	uv_idle_init(&s->loop, &c->idle);
	c->timer.data = c->idle.data = s;
	mailbox_init(&s->mail, MAIL_MAX, wake_loop, s);
}

static void open_state(struct server *s)
{
	s->state = sched_calloc(1, sizeof(*s->state));
	state_init(s->state);
	watch_hub_init(&s->hub);
	fsm_init(&s->fsm, s->state, &s->hub, on_changed, s);
	s->fsm.replace = on_replace;
	proposer_init(&s->proposer, &proposer_effects, s);
	reads_init(&s->reads, &reads_effects, s);
	s->config.leader.rootkeys.keyring = &s->keyring;
	leader_init(&s->leader, &s->config.leader, &leader_effects, s);
}

/* Why the log cannot be used, and what the operator can do about it. */
static void log_fault(const struct server *s, int rc, const struct replica_fault *fault, char *why, size_t why_size)
{
	const char *text = fault->text[0] != '\0' ? fault->text : error_text(rc);
	const char *dir = s->config.dir;

	if (rc == ERR_CORRUPT) {
		snprintf(why, why_size,
			 "the log in %s/raft: %s. If the other servers have a leader, move %s away and start again: this "
			 "server joins them anew and gets the state from them; if not, restore a backup",
			 dir, text, dir);
	} else {
		snprintf(why, why_size, "the log in %s/raft: %s", dir, text);
	}
}

static int open_replica(struct server *s, char *why, size_t why_size)
{
	const struct server_config *c = &s->config;
	char dir[4096];
	struct replica_config config = {
		.loop = &s->loop,
		.dir = dir,
		.cluster = c->region,
		.id = s->identity.raft_id,
		.address = c->rpc_addr,
		.election_ms = c->election_ms,
		.heartbeat_ms = c->heartbeat_ms,
		.handshake_ms = c->rpc_handshake_ms,
		.conns_per_address = c->rpc_conns_per_client,
		.channels = s->channels,
		.region = c->region,
		.snapshot_log_bytes = c->snapshot_log_bytes,
		.trailing_bytes = c->trailing_bytes,
		.callbacks = callbacks,
		.ctx = s,
	};
	struct replica_fault fault = {""};
	int rc = recover_servers(c->dir, &s->identity, c->rpc_addr, why, why_size);

	if (rc != 0) {
		return rc;
	}
	rc = ERR_TOOBIG;
	if ((size_t)snprintf(dir, sizeof(dir), "%s/raft", c->dir) < sizeof(dir)) {
		rc = replica_new(&config, &s->replica, &fault);
	}
	if (rc != 0) {
		log_fault(s, rc, &fault, why, why_size);
	}
	return rc;
}

static void on_chores_done(struct chores *c)
{
	core_check_end(CONTAINER_OF(c->loop, struct server, loop));
}

int core_open(struct server *s, char *why, size_t why_size)
{
	int rc;

	s->core = sched_calloc(1, sizeof(*s->core));
	s->core->leader_ns = s->core->armed_ns = INT64_MAX;
	list_init(&s->core->retired);
	s->core->random = uv_hrtime() ^ s->identity.raft_id;
	sched_got(uv_loop_init(&s->loop) == 0 ? s : NULL);
	open_loop(s);
	chores_init(&s->core->chores, &s->loop, on_chores_done);
	open_state(s);
	s->link = link_open(s);
	rc = workers_new(s, &s->workers, why, why_size);
	if (rc != 0) {
		return rc;
	}
	rc = net_new(s, &s->net);
	if (rc != 0) {
		snprintf(why, why_size, "%s", error_text(rc));
		return rc;
	}
	return open_replica(s, why, why_size);
}

int core_begin(struct server *s, char *why, size_t why_size)
{
	struct replica_fault fault = {""};
	int rc = net_start(s->net, why, why_size);

	if (rc != 0) {
		return rc;
	}
	rc = replica_start(s->replica, &fault);
	if (rc != 0) {
		log_fault(s, rc, &fault, why, why_size);
	}
	return rc;
}

void core_run(void *server)
{
	struct server *s = server;

	uv_run(&s->loop, UV_RUN_DEFAULT);
}

/* ---- the end ---- */

void core_check_end(struct server *s)
{
	struct core *c = s->core;

	if (s->stopping && c->net_gone && c->replica_gone && workers_idle(s->workers) &&
	    chores_idle(&c->chores)) {
		uv_stop(&s->loop);
	}
}

static void on_replica_gone(void *data)
{
	struct server *s = data;

	s->core->replica_gone = true;
	core_check_end(s);
}

static void on_net_gone(void *ctx)
{
	struct server *s = ctx;

	s->core->net_gone = true;
	if (s->replica != NULL) {
		replica_stop(s->replica, on_replica_gone, s);
	} else {
		on_replica_gone(s);
	}
}

void core_stop(struct server *s)
{
	assert(!s->stopping);
	s->stopping = true;
	if (s->core->hand_on_cb != NULL) {
		s->core->hand_on_cb(s->core->hand_on_data, ERR_CLOSED, 0);
		s->core->hand_on_cb = NULL;
	}
	reads_fail(&s->reads, ERR_CLOSED);
	workers_give_up(s->workers);
	chores_close(&s->core->chores);
	if (s->net != NULL) {
		net_stop(s->net, on_net_gone, s);
	} else {
		on_net_gone(s);
	}
}

static void close_loop(struct server *s)
{
	bell_close(&s->mail_bell, NULL);
	uv_close((uv_handle_t *)&s->core->timer, NULL);
	uv_close((uv_handle_t *)&s->core->idle, NULL);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&s->loop) != 0) {
		log_error("server", "something is left on the loop at the end");
	}
}

static void close_states(struct server *s)
{
	struct list *e;

	give_back_views(s->core);
	fsm_close(&s->fsm);
	while ((e = list_pop(&s->core->retired)) != NULL) {
		struct retired *r = CONTAINER_OF(e, struct retired, link);

		close_state(r->state);
		free(r);
	}
	close_state(s->state);
}

void core_close(struct server *s)
{
	if (s->net != NULL) {
		net_free(s->net);
	}
	replica_free(s->replica);
	workers_free(s->workers);
	link_free(s->link);
	leader_close(&s->leader);
	proposer_close(&s->proposer);
	close_states(s);
	zones_close(&s->core->zones);
	free(s->core->borrowed);
	close_loop(s);
	free(s->core);
	s->core = NULL;
}
