#include "raft/replica_parts.h"

#include "lib/address.h"
#include "lib/log.h"
#include "proto/error.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Besides words of libraft's, these are the only ones that a user sees. */
const char *replica_state_text(enum replica_state state)
{
	static const char *const texts[] = {
#define X(name, text) text,
		REPLICA_STATE_LIST(X)
#undef X
	};

	return texts[state];
}

const char *replica_role_text(enum replica_role role)
{
	static const char *const texts[] = {
#define X(name, text) text,
		REPLICA_ROLE_LIST(X)
#undef X
	};

	return texts[role];
}

uint64_t replica_now(const struct replica *r)
{
	return uv_now(r->config.loop);
}

int replica_outcome(int status)
{
	return status == 0 ? 0 : ERR_UNKNOWN;
}

static int fail(struct replica_fault *f, int rc, const char *text)
{
	if (f != NULL) {
		snprintf(f->text, sizeof(f->text), "%s", text);
	}
	return rc;
}

/* --- proposals --- */

static struct proposal *proposal_free_slot(struct replica *r)
{
	for (unsigned i = 0; i < r->config.window; i++) {
		if (r->proposals[i].apply.data == NULL) {
			return &r->proposals[i];
		}
	}
	return NULL;
}

/* The callback may propose: the place is free before. */
void replica_end_proposal(struct replica *r, struct proposal *p, int outcome)
{
	replica_propose_cb cb = p->cb;
	void *data = p->cb_data;
	uint64_t index = p->apply.index;

	p->apply.data = NULL;
	p->held = false;
	r->n_proposals--;
	cb(data, outcome, index);
}

static void on_committed(struct raft_apply *apply, int status, void *result)
{
	struct proposal *p = CONTAINER_OF(apply, struct proposal, apply);
	struct replica *r = apply->data;

	(void)result;
	if (status == 0 && !p->applied && !r->closing) {
		replica_hold_proposal(r, p);
	} else {
		replica_end_proposal(r, p, p->applied ? 0 : ERR_UNKNOWN);
	}
}

/* 0, or why nothing can be proposed now. */
static int may_propose(const struct replica *r, size_t len)
{
	struct io_status s;

	if (r->stopping || !r->started) {
		return ERR_CLOSED;
	}
	if (!r->ready || raft_transferee(&r->raft) != 0) {
		return ERR_NOTLEADER;
	}
	if (len > REPLICA_MAX_ENTRY) {
		return ERR_TOOBIG;
	}
	if (r->n_proposals == r->config.window) {
		return ERR_BUSY;
	}
	s = io_status((struct raft_io *)&r->io);
	return s.full ? ERR_NOSPACE : s.busy ? ERR_BUSY : 0;
}

/* libraft says whether it has taken the buffer only for these two; after anything else it cannot go on. */
static int submit(struct replica *r, struct proposal *p, void *base, size_t len)
{
	struct raft_buffer buf = {base, len};
	int rc;

	p->term = raft_current_term(&r->raft);
	rc = raft_apply(&r->raft, &p->apply, &buf, 1, on_committed);
	if (rc == 0) {
		return mend_request(&r->raft, p->apply.queue) ? ERR_UNKNOWN : 0;
	}
	if (rc != RAFT_NOTLEADER && rc != RAFT_NOSPACE) {
		log_error("raft", "a proposal: %s", raft_strerror(rc));
		abort();
	}
	raft_free(base);
	return rc == RAFT_NOTLEADER ? ERR_NOTLEADER : ERR_NOSPACE;
}

int replica_propose(struct replica *r, const void *data, size_t len, void *slot, replica_propose_cb cb, void *cb_data)
{
	int rc = may_propose(r, len);
	struct proposal *p;
	void *base;

	if (rc != 0) {
		return rc;
	}
	base = raft_malloc(len + 1);
	if (base == NULL) {
		return ERR_NOMEM;
	}
	memcpy(base, data, len);
	p = proposal_free_slot(r);
	p->apply.data = r;
	p->applied = false;
	p->slot = slot;
	p->cb = cb;
	p->cb_data = cb_data;
	rc = submit(r, p, base, len);
	if (rc != 0) {
		p->apply.data = NULL;
		return rc;
	}
	r->n_proposals++;
	return 0;
}

unsigned replica_window(const struct replica *r)
{
	return may_propose(r, 0) == 0 ? r->config.window - r->n_proposals : 0;
}

/* --- turns --- */

static void note_turn(struct replica *r)
{
	uint64_t now = uv_hrtime();
	uint64_t idle = uv_metrics_idle_time(r->config.loop);

	if (r->measures) {
		meter_note(&r->turns, now, idle);
	} else {
		meter_begin(&r->turns, now, idle);
		r->measures = true;
	}
}

uint64_t replica_turn_ns(const struct replica *r)
{
	return r->measures ? meter_spent_ns(&r->turns) : 0;
}

void replica_turns(struct replica *r, struct meter_stats *out)
{
	meter_look(&r->turns, out);
}

static void on_turn(void *ctx, bool ends)
{
	struct replica *r = ctx;

	if (!r->started) {
		return;
	}
	if (ends) {
		note_turn(r);
	} else {
		replica_apply_slice(r);
	}
	replica_watch(r);
	if (r->closing) {
		return;
	}
	replica_watch_log(r);
	if (r->config.callbacks.turn != NULL && !r->stopping) {
		r->config.callbacks.turn(r->config.ctx, ends);
	}
	if (ends && !r->closing) {
		replica_apply_more(r);
	}
}

/* --- status --- */

static enum replica_state state_of(const struct replica *r)
{
	if (!r->started || r->raft.configuration.n == 0) {
		return REPLICA_UNINITIALIZED;
	}
	switch (r->raft.state) {
	case RAFT_LEADER:
		return REPLICA_LEADER;
	case RAFT_CANDIDATE:
		return REPLICA_CANDIDATE;
	default:
		return REPLICA_FOLLOWER;
	}
}

static void status_of_log(const struct replica *r, struct replica_status *s)
{
	struct raft *raft = (struct raft *)&r->raft;
	struct raft_io *io = (struct raft_io *)&r->io;
	struct io_status i = io_status(io);

	s->full = i.full;
	s->disk_capacity = i.capacity;
	s->disk_backlog = i.backlog;
	s->dropped = i.dropped;
	s->snapshot_index = i.snapshot_index;
	s->snapshot_bytes = i.snapshot_bytes;
	s->snapshot_running = i.putting;
	s->log_bytes = weight_above(io_weight(io), i.snapshot_index);
	s->last_index = raft_last_index(raft);
	s->stored_index = raft->last_stored;
	s->commit_index = raft->commit_index;
	s->applied_index = r->applied;
	s->term = raft_current_term(raft);
}

struct replica_status replica_status(const struct replica *r)
{
	struct replica_status s = {.state = state_of(r), .ready = r->ready, .id = r->config.id, .leader_address = ""};
	raft_id leader = 0;
	const char *address = NULL;

	s.leader_contact_ms = UINT64_MAX;
	if (r->closing || !r->started) {
		return s; /* libraft must not be asked. */
	}
	status_of_log(r, &s);
	raft_leader((struct raft *)&r->raft, &leader, &address);
	if (leader != 0) {
		s.leader_id = leader;
		s.leader_address = address == NULL ? "" : address;
		s.leader_contact_ms = leader == r->config.id ? 0 : io_contact_ms((struct raft_io *)&r->io, leader);
	}
	return s;
}

/* --- begin --- */

#define DEFAULT(value, other) ((value) != 0 ? (value) : (other))

static void fill_defaults(struct replica_config *c)
{
	c->election_ms = DEFAULT(c->election_ms, 200);
	c->heartbeat_ms = DEFAULT(c->heartbeat_ms, 40);
	c->connect_ms = DEFAULT(c->connect_ms, 1000);
	c->handshake_ms = DEFAULT(c->handshake_ms, 5000);
	c->window = DEFAULT(c->window, REPLICA_DEFAULT_WINDOW);
	c->snapshot_log_bytes = DEFAULT(c->snapshot_log_bytes, 16 << 20);
	c->snapshot_entries = DEFAULT(c->snapshot_entries, 1000000);
	c->trailing_bytes = DEFAULT(c->trailing_bytes, 4 << 20);
}

static const char *config_fault(const struct replica_config *c)
{
	char host[ADDRESS_HOST_MAX];
	unsigned port;

	if (c->id == 0) {
		return "the server's ID is 0";
	}
	if (c->cluster == NULL) {
		return "the cluster has no name";
	}
	if (!address_split(c->address, host, &port) || port == 0) {
		return "the advertised address is not host:port";
	}
	if (c->heartbeat_ms >= c->election_ms) {
		return "the heartbeat interval must be shorter than the election timeout";
	}
	if (c->window > REPLICA_WINDOW_MAX) {
		return "too many proposals under way";
	}
	return NULL;
}

static void on_other(void *ctx, struct channel *ch, const char *listener, char first)
{
	struct replica *r = ctx;

	r->config.callbacks.connection(r->config.ctx, ch, listener, first);
}

static bool on_lag(void *ctx)
{
	return replica_lags(ctx);
}

static void io_config_of(struct replica *r, struct io_config *c)
{
	const struct replica_config *config = &r->config;

	*c = (struct io_config){.loop = config->loop,
				.dir = r->dir,
				.cluster = wire_hash(config->cluster, strlen(config->cluster)),
				.id = config->id,
				.address = r->address,
				.connect_ms = config->connect_ms,
				.handshake_ms = config->handshake_ms,
				.per_address = config->conns_per_address,
				.channels = config->channels,
				.region = config->region,
				.ctx = r,
				.restore_cb = replica_on_load,
				.encode_cb = replica_on_encode,
				.turn_cb = on_turn,
				.lags_cb = on_lag,
				.removed_cb = replica_on_removed,
				.refused_cb = replica_on_refused,
				.other_cb = config->callbacks.connection == NULL ? NULL : on_other};
}

/* LIBRAFT_TRACE aside, libraft formats a text for each of its steps: not for nothing. */
static void raft_setup(struct replica *r)
{
	r->raft.tracer = NULL;
	raft_set_election_timeout(&r->raft, r->config.election_ms);
	raft_set_heartbeat_timeout(&r->raft, r->config.heartbeat_ms);
	raft_set_install_snapshot_timeout(&r->raft, INSTALL_TIMEOUT_MS);
	raft_set_max_catch_up_round_duration(&r->raft, CATCH_UP_MS);
	raft_set_max_inflight_entries(&r->raft, MAX_INFLIGHT);
	raft_set_capacity_threshold(&r->raft, CAPACITY_KIB);
	raft_set_snapshot_threshold(&r->raft, UINT_MAX);
	raft_set_pre_vote(&r->raft, true);
}

static int replica_open(struct replica *r, struct replica_fault *f)
{
	struct io_config config;
	int rc;

	io_config_of(r, &config);
	rc = io_init(&r->io, &config);
	if (rc != 0) {
		return fail(f, rc, r->io.errmsg);
	}
	replica_fsm_init(r);
	if (raft_init(&r->raft, &r->io, &r->fsm, r->config.id, r->address) != 0) {
		return fail(f, ERR_NOMEM, "out of memory");
	}
	raft_setup(r);
	return 0;
}

int replica_new(const struct replica_config *config, struct replica **out, struct replica_fault *f)
{
	struct replica *r = calloc(1, sizeof(*r));
	const char *why;
	int rc;

	if (r == NULL) {
		return fail(f, ERR_NOMEM, "out of memory");
	}
	r->config = *config;
	list_init(&r->held_barriers);
	fill_defaults(&r->config);
	r->dir = strdup(config->dir);
	r->address = strdup(config->address);
	why = config_fault(&r->config);
	if (why != NULL || r->dir == NULL || r->address == NULL) {
		rc = why != NULL ? fail(f, ERR_INVALID, why) : fail(f, ERR_NOMEM, "out of memory");
	} else {
		rc = replica_open(r, f);
	}
	if (rc != 0) {
		replica_free(r);
		return rc;
	}
	r->config.dir = r->dir;
	r->config.address = r->address;
	r->config.cluster = NULL; /* Its hash has been taken. */
	uv_loop_configure(r->config.loop, UV_METRICS_IDLE_TIME);
	*out = r;
	return 0;
}

int replica_listen(struct replica *r, const char *address, const char *name, bool raft, struct replica_fault *f)
{
	char text[256] = "";
	int rc = transport_listen(io_transport(&r->io), address, name, raft, text, sizeof(text));

	return rc != 0 ? fail(f, rc, text) : 0;
}

unsigned replica_port(const struct replica *r, const char *name)
{
	return transport_port(io_transport((struct raft_io *)&r->io), name);
}

int replica_start(struct replica *r, struct replica_fault *f)
{
	int rc = raft_start(&r->raft);

	if (rc != 0) {
		const char *text = raft_errmsg(&r->raft);

		return fail(f,
			    rc == RAFT_NOMEM     ? ERR_NOMEM
			    : rc == RAFT_CORRUPT ? ERR_CORRUPT
						 : ERR_IO,
			    text[0] != 0 ? text : raft_strerror(rc));
	}
	uv_idle_init(r->config.loop, &r->idle);
	r->idle.data = r;
	r->has_idle = true;
	r->started = true;
	return 0;
}

/* --- bootstrap --- */

static int by_id(const void *a, const void *b)
{
	const struct replica_server *x = a;
	const struct replica_server *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* The same bytes on each server, whatever the order of its list. */
static int encode_first(const struct replica_server *servers, unsigned n, struct raft_buffer *buf)
{
	struct raft_configuration conf;
	struct replica_server sorted[REPLICA_MAX_SERVERS];
	int rc = 0;

	if (n == 0 || n > REPLICA_MAX_SERVERS) {
		return ERR_INVALID;
	}
	memcpy(sorted, servers, n * sizeof(*servers));
	qsort(sorted, n, sizeof(*sorted), by_id);
	raft_configuration_init(&conf);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		char host[ADDRESS_HOST_MAX];
		unsigned port;

		rc = sorted[i].id == 0 || !address_split(sorted[i].address, host, &port)
			     ? RAFT_INVALID
			     : raft_configuration_add(&conf, sorted[i].id, sorted[i].address, RAFT_VOTER);
	}
	if (rc == 0) {
		rc = raft_configuration_encode(&conf, buf);
	}
	raft_configuration_close(&conf);
	return rc == 0 ? 0 : rc == RAFT_NOMEM ? ERR_NOMEM : ERR_INVALID;
}

static bool is_listed(const struct replica_server *servers, unsigned n, uint64_t id)
{
	for (unsigned i = 0; i < n; i++) {
		if (servers[i].id == id) {
			return true;
		}
	}
	return false;
}

/* libraft's own bootstrap works only before its start. So it hears of its first entry as of any other: from a leader of
 * term 1, who is then forgotten. */
static void deliver_first(struct replica *r, const struct raft_buffer *conf)
{
	struct raft_message m = {.type = RAFT_APPEND_ENTRIES, .server_id = r->config.id, .server_address = r->address};
	struct raft_entry *entry = raft_calloc(1, sizeof(*entry));
	struct raft *raft = &r->raft;

	if (entry == NULL) {
		abort(); /* As libraft's own: it cannot go on without memory. */
	}
	*entry = (struct raft_entry){.term = 1, .type = RAFT_CHANGE, .buf = *conf, .batch = conf->base};
	m.append_entries =
		(struct raft_append_entries){.term = 1, .leader_commit = 1, .entries = entry, .n_entries = 1};
	io_deliver(&r->io, &m);
	assert(raft->state == RAFT_FOLLOWER && raft->configuration.n > 0);
	raft_free(raft->follower_state.current_leader.address);
	raft->follower_state.current_leader.address = NULL;
	raft->follower_state.current_leader.id = 0;
}

/* One of them needs not wait for a leader that cannot be there: all know which. */
static bool is_first(const struct replica_server *servers, unsigned n, uint64_t id)
{
	for (unsigned i = 0; i < n; i++) {
		if (servers[i].id < id) {
			return false;
		}
	}
	return true;
}

int replica_bootstrap(struct replica *r, const struct replica_server *servers, unsigned n)
{
	struct raft_buffer conf;
	uint64_t origin;
	int rc;

	if (r->stopping || !r->started) {
		return ERR_CLOSED;
	}
	if (r->raft.configuration.n > 0 || raft_last_index(&r->raft) > 0) {
		return ERR_EXISTS;
	}
	rc = is_listed(servers, n, r->config.id) ? encode_first(servers, n, &conf) : ERR_INVALID;
	if (rc != 0) {
		return rc;
	}
	origin = wire_hash(conf.base, conf.len);
	if (raft_current_term(&r->raft) > 1 || (io_origin(&r->io) != 0 && io_origin(&r->io) != origin)) {
		raft_free(conf.base);
		return ERR_EXISTS; /* A server of some cluster has spoken to us. */
	}
	io_set_origin(&r->io, origin);
	deliver_first(r, &conf);
	if (is_first(servers, n, r->config.id)) {
		r->hasten = true;
		r->hasten_ms = n == 1 ? 0 : BOOTSTRAP_MS;
	}
	return 0;
}

/* --- recover --- */

static void no_turn(void *ctx, bool ends)
{
	(void)ctx;
	(void)ends;
}

static int encode_given(const struct replica_server *servers, unsigned n, struct raft_configuration *conf)
{
	int rc = 0;

	raft_configuration_init(conf);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		int role = servers[i].role == REPLICA_VOTER     ? RAFT_VOTER
			   : servers[i].role == REPLICA_STANDBY ? RAFT_STANDBY
								: RAFT_SPARE;

		rc = servers[i].id == 0 ? RAFT_INVALID
					: raft_configuration_add(conf, servers[i].id, servers[i].address, role);
	}
	return rc == 0 && n > 0 && n <= REPLICA_MAX_SERVERS ? 0 : ERR_INVALID;
}

int replica_recover(const char *dir, const struct replica_server *servers, unsigned n, struct replica_fault *f)
{
	struct io_config config = {.dir = dir, .address = "", .turn_cb = no_turn};
	struct raft_configuration conf;
	struct raft_io io = {0};
	int rc = encode_given(servers, n, &conf);

	if (rc != 0) {
		raft_configuration_close(&conf);
		return fail(f, rc, "the list of servers");
	}
	rc = io_init(&io, &config);
	if (rc == 0) {
		rc = io_recover(&io, &conf);
	}
	if (rc != 0) {
		fail(f, rc, io.errmsg);
	}
	io_free(&io);
	raft_configuration_close(&conf);
	return rc;
}

/* --- the end --- */

static void finish(struct replica *r)
{
	if (r->closed && !r->has_timer && !r->has_idle) {
		r->stop_cb(r->stop_data);
	}
}

static void on_raft_closed(struct raft *raft)
{
	struct replica *r = CONTAINER_OF(raft, struct replica, raft);

	r->closed = true;
	finish(r);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct replica *r = handle->data;

	r->has_timer = false;
	finish(r);
}

static void on_idle_closed(uv_handle_t *handle)
{
	struct replica *r = handle->data;

	r->has_idle = false;
	finish(r);
}

/* raft_close() fails what is open: those callbacks come before it returns, the last one later. */
static void close_all(struct replica *r)
{
	if (r->closing) {
		return;
	}
	r->closing = true;
	if (r->ready) {
		r->ready = false;
		if (r->config.callbacks.ready != NULL) {
			r->config.callbacks.ready(r->config.ctx, false, raft_current_term(&r->raft));
		}
	}
	replica_drop_held(r);
	uv_close((uv_handle_t *)&r->timer, on_timer_closed);
	if (r->has_idle) {
		uv_close((uv_handle_t *)&r->idle, on_idle_closed);
	}
	raft_close(&r->raft, on_raft_closed);
}

static void on_stop_timer(uv_timer_t *timer)
{
	close_all(timer->data);
}

/* From a timer, for raft_close() must not be called inside libraft's own callbacks. */
void replica_close_soon(struct replica *r)
{
	if (!r->closing) {
		uv_timer_start(&r->timer, on_stop_timer, 0, 0);
	}
}

void replica_stop(struct replica *r, void (*cb)(void *data), void *cb_data)
{
	uint64_t delay = 0;

	assert(!r->stopping);
	r->stopping = true;
	r->stop_cb = cb;
	r->stop_data = cb_data;
	uv_timer_init(r->config.loop, &r->timer);
	r->timer.data = r;
	r->has_timer = true;
	if (r->started && (r->transferring || replica_transfer(r, 0, NULL, NULL) == 0)) {
		delay = STOP_TRANSFER_MS;
	}
	uv_timer_start(&r->timer, on_stop_timer, delay, 0);
}

void replica_free(struct replica *r)
{
	if (r == NULL) {
		return;
	}
	io_free(&r->io);
	free(r->dir);
	free(r->address);
	free(r);
}
