/* Leadership and membership: barriers, hand-overs, changes, and telling the owner of what others did. */
#include "raft/replica_parts.h"

#include "lib/address.h"
#include "lib/log.h"
#include "proto/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- configurations --- */

static const struct raft_server *server_of(const struct raft_configuration *conf, uint64_t id)
{
	for (unsigned i = 0; i < conf->n; i++) {
		if (conf->servers[i].id == id) {
			return &conf->servers[i];
		}
	}
	return NULL;
}

static bool has_address(const struct raft_configuration *conf, const char *address)
{
	for (unsigned i = 0; i < conf->n; i++) {
		if (strcmp(conf->servers[i].address, address) == 0) {
			return true;
		}
	}
	return false;
}

static unsigned count_voters(const struct raft_configuration *conf)
{
	unsigned n = 0;

	for (unsigned i = 0; i < conf->n; i++) {
		n += conf->servers[i].role == RAFT_VOTER;
	}
	return n;
}

static enum replica_role role_of(int role)
{
	return role == RAFT_VOTER ? REPLICA_VOTER : role == RAFT_STANDBY ? REPLICA_STANDBY : REPLICA_SPARE;
}

static int raft_role_of(enum replica_role role)
{
	return role == REPLICA_VOTER ? RAFT_VOTER : role == REPLICA_STANDBY ? RAFT_STANDBY : RAFT_SPARE;
}

unsigned replica_configuration(const struct replica *r, struct replica_peer *peers, unsigned max)
{
	const struct raft_configuration *conf = &r->raft.configuration;

	for (unsigned i = 0; i < conf->n && i < max; i++) {
		const struct raft_server *s = &conf->servers[i];
		raft_index match = 0;

		if (!r->closing) { /* libraft still calls itself the leader, but what it knows of the others is gone. */
			raft_match_index(&r->raft, s->id, &match);
		}
		peers[i] = (struct replica_peer){
			.server = {s->id, s->address, role_of(s->role)},
			.match_index = match,
			.contact_ms = s->id == r->config.id ? 0 : io_contact_ms((struct raft_io *)&r->io, s->id),
			.answered_ms = s->id == r->config.id ? uv_hrtime() / 1000000
							     : io_answered_ms((struct raft_io *)&r->io, s->id)};
	}
	return conf->n;
}

/* --- changes --- */

/* 0, or why no change can begin now. */
static int may_change(const struct replica *r)
{
	if (r->stopping || !r->started) {
		return ERR_CLOSED;
	}
	if (!r->ready || raft_transferee(&r->raft) != 0) {
		return ERR_NOTLEADER;
	}
	if (r->changing || r->raft.configuration_uncommitted_index != 0 || r->raft.leader_state.promotee_id != 0) {
		return ERR_BUSY;
	}
	return io_status((struct raft_io *)&r->io).full ? ERR_NOSPACE : 0;
}

static void on_changed(struct raft_change *req, int status)
{
	struct replica *r = req->data;
	replica_propose_cb cb = r->change_cb;

	r->changing = false;
	if (status == 0 && r->removing != 0) {
		transport_send_removed(io_transport(&r->io), r->removing, r->removing_address,
				       r->raft.configuration_committed_index);
	}
	r->removing = 0;
	if (cb != NULL) {
		cb(r->change_data, status == RAFT_NOCONNECTION ? ERR_TIMEOUT : replica_outcome(status),
		   r->raft.configuration_committed_index);
	}
}

/* After raft_add() and the like. libraft keeps a request that it has refused in some cases, and one in whose step this
 * server ceased to lead (raft/mend.h). */
static int change_begun(struct replica *r, int rc, replica_propose_cb cb, void *cb_data)
{
	if (rc == 0 && raft_state(&r->raft) != RAFT_LEADER && r->raft.legacy.change == &r->change) {
		r->removing = 0;
		r->raft.legacy.change = NULL;
		return ERR_UNKNOWN;
	}
	if (rc == 0) {
		r->changing = true;
		r->change_cb = cb;
		r->change_data = cb_data;
		return 0;
	}
	r->removing = 0;
	if (r->raft.legacy.change == &r->change) {
		r->raft.legacy.change = NULL;
	}
	switch (rc) {
	case RAFT_NOTLEADER:
		return ERR_NOTLEADER;
	case RAFT_NOSPACE:
		return ERR_NOSPACE;
	case RAFT_NOMEM:
		return ERR_NOMEM;
	case RAFT_CANTCHANGE:
		return ERR_BUSY;
	default:
		return ERR_INVALID;
	}
}

static bool is_address(const char *text)
{
	char host[ADDRESS_HOST_MAX];
	unsigned port;

	return address_split(text, host, &port) && port != 0;
}

int replica_add(struct replica *r, uint64_t id, const char *address, replica_propose_cb cb, void *cb_data)
{
	const struct raft_configuration *conf = &r->raft.configuration;
	int rc = may_change(r);

	if (rc != 0) {
		return rc;
	}
	if (id == 0 || !is_address(address)) {
		return ERR_INVALID;
	}
	if (server_of(conf, id) != NULL || has_address(conf, address)) {
		return ERR_EXISTS;
	}
	if (conf->n >= REPLICA_MAX_SERVERS) {
		return ERR_TOOBIG;
	}
	r->change.data = r;
	return change_begun(r, raft_add(&r->raft, &r->change, id, address, on_changed), cb, cb_data);
}

int replica_remove(struct replica *r, uint64_t id, replica_propose_cb cb, void *cb_data)
{
	const struct raft_server *s = server_of(&r->raft.configuration, id);
	int rc = may_change(r);

	if (rc != 0) {
		return rc;
	}
	if (s == NULL) {
		return ERR_NOTFOUND;
	}
	if (s->role == RAFT_VOTER && count_voters(&r->raft.configuration) == 1) {
		return ERR_INVALID; /* Nobody would be left to decide anything. */
	}
	r->removing = id;
	snprintf(r->removing_address, sizeof(r->removing_address), "%s", s->address);
	r->change.data = r;
	return change_begun(r, raft_remove(&r->raft, &r->change, id, on_changed), cb, cb_data);
}

int replica_assign(struct replica *r, uint64_t id, enum replica_role role, replica_propose_cb cb, void *cb_data)
{
	const struct raft_server *s = server_of(&r->raft.configuration, id);
	int rc = may_change(r);

	if (rc != 0) {
		return rc;
	}
	if (s == NULL) {
		return ERR_NOTFOUND;
	}
	if (role_of(s->role) == role || (s->role == RAFT_VOTER && count_voters(&r->raft.configuration) == 1)) {
		return ERR_INVALID;
	}
	r->change.data = r;
	return change_begun(r, raft_assign(&r->raft, &r->change, id, raft_role_of(role), on_changed), cb, cb_data);
}

/* --- handing on --- */

static void on_transferred(struct raft_transfer *req)
{
	struct replica *r = req->data;
	replica_propose_cb cb = r->transfer_cb;
	raft_id leader = 0;
	const char *address;

	r->transferring = false;
	r->transfer_cb = NULL;
	if (cb != NULL) {
		raft_leader(&r->raft, &leader, &address);
		cb(r->transfer_data, leader != 0 && leader != r->config.id ? 0 : ERR_TIMEOUT, 0);
	}
	if (r->stopping) {
		replica_close_soon(r);
	}
}

/* The voter that has the most, and of those that have as much the one that was heard of last: a dead one would never take
 * leadership. 0: there is none. */
static uint64_t furthest_voter(const struct replica *r)
{
	struct replica_peer peers[REPLICA_MAX_SERVERS];
	unsigned n = replica_configuration(r, peers, REPLICA_MAX_SERVERS);
	const struct replica_peer *best = NULL;

	for (unsigned i = 0; i < n && i < REPLICA_MAX_SERVERS; i++) {
		const struct replica_peer *p = &peers[i];

		if (p->server.id != r->config.id && p->server.role == REPLICA_VOTER &&
		    (best == NULL || p->match_index > best->match_index ||
		     (p->match_index == best->match_index && p->answered_ms > best->answered_ms))) {
			best = p;
		}
	}
	return best != NULL ? best->server.id : 0;
}

int replica_transfer(struct replica *r, uint64_t id, replica_propose_cb cb, void *cb_data)
{
	int rc;

	if (r->closing || !r->started) {
		return ERR_CLOSED;
	}
	if (raft_state(&r->raft) != RAFT_LEADER) {
		return ERR_NOTLEADER;
	}
	if (r->transferring) {
		return ERR_BUSY;
	}
	r->transfer.data = r;
	rc = raft_transfer(&r->raft, &r->transfer, id != 0 ? id : furthest_voter(r), on_transferred);
	if (rc != 0) {
		return rc == RAFT_NOTLEADER ? ERR_NOTLEADER : rc == RAFT_NOMEM ? ERR_NOMEM : ERR_NOTFOUND;
	}
	r->transferring = true;
	r->transfer_term = raft_current_term(&r->raft);
	r->transfer_cb = cb;
	r->transfer_data = cb_data;
	return 0;
}

bool replica_transferring(const struct replica *r)
{
	return r->transferring || r->transfer_term == raft_current_term((struct raft *)&r->raft) ||
	       raft_transferee((struct raft *)&r->raft) != 0;
}

/* A leader that cannot store what it proposes goes on committing through the others, until it runs out of memory. If
 * they are all full, leadership goes round more and more slowly. */
static void hand_on(struct replica *r)
{
	if (!r->transferring && replica_now(r) >= r->hand_on_at) {
		r->hand_on_ms = r->hand_on_ms == 0 ? HAND_ON_MS : 2 * r->hand_on_ms;
		r->hand_on_ms = r->hand_on_ms > HAND_ON_MAX_MS ? HAND_ON_MAX_MS : r->hand_on_ms;
		r->hand_on_at = replica_now(r) + r->hand_on_ms;
		if (replica_transfer(r, 0, NULL, NULL) == 0) {
			log_warn("raft", "the disk is full: handing on leadership");
		}
	}
}

/* --- becoming ready --- */

static void set_ready(struct replica *r, bool ready)
{
	r->ready = ready;
	log_info("raft", "%s in term %llu", ready ? "leading" : "no longer leading",
		 (unsigned long long)raft_current_term(&r->raft));
	if (r->config.callbacks.ready != NULL) {
		r->config.callbacks.ready(r->config.ctx, ready, raft_current_term(&r->raft));
	}
}

static void on_barrier(struct raft_barrier *req, int status)
{
	struct barrier *b = CONTAINER_OF(req, struct barrier, req);

	if (status == 0 && !b->r->closing) {
		replica_hold_barrier(b->r, b);
	} else {
		replica_end_barrier(b, ERR_UNKNOWN);
	}
}

static void on_leading(void *data, int status, uint64_t index)
{
	struct replica *r = data;

	(void)index;
	r->barrier_pending = false;
	if (status == 0 && !r->stopping && raft_state(&r->raft) == RAFT_LEADER &&
	    raft_current_term(&r->raft) == r->barrier_term) {
		set_ready(r, true);
	}
}

/* A barrier of our own for each term; if it is refused (a full disk), the next turn tries again. */
static void watch_leading(struct replica *r)
{
	bool stale = r->barrier_term != raft_current_term(&r->raft);

	if (raft_state(&r->raft) != RAFT_LEADER) {
		if (r->ready) {
			set_ready(r, false);
		}
		return;
	}
	mend_leader(&r->raft);
	if (r->ready && stale) {
		set_ready(r, false);
	}
	if (io_status(&r->io).full) {
		hand_on(r);
		return;
	}
	r->hand_on_ms = 0;
	if (!r->barrier_pending && !r->ready && !r->closing) {
		r->barrier_term = raft_current_term(&r->raft);
		r->barrier = (struct barrier){.r = r, .cb = on_leading, .cb_data = r};
		r->barrier_pending = raft_barrier(&r->raft, &r->barrier.req, on_barrier) == 0 &&
				     !mend_request(&r->raft, r->barrier.req.queue);
	}
}

/* --- barriers for others --- */

void replica_end_barrier(struct barrier *b, int outcome)
{
	struct barrier ended = *b;

	if (b != &b->r->barrier) {
		b->r->n_barriers--;
		free(b);
	}
	ended.cb(ended.cb_data, outcome, ended.req.index);
}

int replica_barrier(struct replica *r, replica_propose_cb cb, void *cb_data)
{
	struct barrier *b;
	int rc;

	if (r->stopping || !r->started) {
		return ERR_CLOSED;
	}
	if (!r->ready) {
		return ERR_NOTLEADER;
	}
	if (r->n_barriers == MAX_BARRIERS) {
		return ERR_BUSY;
	}
	b = calloc(1, sizeof(*b));
	if (b == NULL) {
		return ERR_NOMEM;
	}
	*b = (struct barrier){.r = r, .cb = cb, .cb_data = cb_data};
	rc = raft_barrier(&r->raft, &b->req, on_barrier);
	if (rc == 0 && mend_request(&r->raft, b->req.queue)) {
		rc = RAFT_NOTLEADER;
	}
	if (rc != 0) {
		free(b);
		return rc == RAFT_NOTLEADER ? ERR_NOTLEADER : rc == RAFT_NOSPACE ? ERR_NOSPACE : ERR_NOMEM;
	}
	r->n_barriers++;
	return 0;
}

/* --- elections --- */

/* libraft looks at the time since the timer's start; arithmetic modulo 2^64 lets it start in the past. The two states
 * have their time-out in the same place. */
void replica_hasten(struct replica *r, unsigned delay_ms)
{
	struct raft *raft = &r->raft;
	unsigned timeout = raft->state == RAFT_FOLLOWER ? raft->follower_state.randomized_election_timeout
							: raft->candidate_state.randomized_election_timeout;

	if (raft->state != RAFT_LEADER) {
		raft->election_timer_start = replica_now(r) + delay_ms - timeout;
		io_rearm(&r->io);
	}
}

static unsigned random_ms(struct replica *r, unsigned from, unsigned to)
{
	return (unsigned)r->io.random(&r->io, (int)from, (int)to + 1);
}

/* The others may have had a leader still when we asked them, or have asked for votes at the same moment: for a while
 * there is no need to wait a whole time-out for the next attempt. */
static void watch_candidate(struct replica *r)
{
	uint64_t now = replica_now(r);

	if (r->raft.state != RAFT_CANDIDATE || now > r->hurry_until || now < r->hurry_at) {
		return;
	}
	r->hurry_at = now + random_ms(r, r->config.election_ms / 8, r->config.election_ms / 2);
	replica_hasten(r, 0);
}

static void hurry(struct replica *r, unsigned delay_ms)
{
	uint64_t now = replica_now(r);

	replica_hasten(r, delay_ms);
	r->hurry_until = now + (uint64_t)HURRY_TIMEOUTS * r->config.election_ms;
	r->hurry_at = now + r->config.election_ms / 2;
}

/* The leader's connection ended, and nothing listens where it was: no need to wait for the time-out. The others see the
 * same; each begins at a moment of its own, late enough for all to have seen it. Until we hear of a leader again we
 * have none, so that we can vote. */
void replica_on_refused(void *ctx, uint64_t id)
{
	struct replica *r = ctx;
	struct raft *raft = &r->raft;

	if (raft->state != RAFT_FOLLOWER || raft->follower_state.current_leader.id != id) {
		return;
	}
	log_info("raft", "the leader's process is gone");
	raft_free(raft->follower_state.current_leader.address);
	raft->follower_state.current_leader.address = NULL;
	raft->follower_state.current_leader.id = 0;
	hurry(r, random_ms(r, 5, 5 + r->config.election_ms / 4));
}

/* --- telling the owner --- */

static void watch_leader(struct replica *r)
{
	raft_id id = 0;
	const char *address = NULL;

	raft_leader(&r->raft, &id, &address);
	address = id == 0 || address == NULL ? "" : address;
	if (id == r->told_leader && strcmp(address, r->told_address) == 0) {
		return;
	}
	r->told_leader = id;
	snprintf(r->told_address, sizeof(r->told_address), "%s", address);
	if (r->config.callbacks.leader != NULL) {
		r->config.callbacks.leader(r->config.ctx, id, r->told_address);
	}
}

static void watch_configuration(struct replica *r)
{
	const struct raft *raft = &r->raft;

	if (raft->configuration_committed_index == r->told_committed &&
	    raft->configuration_uncommitted_index == r->told_uncommitted) {
		return;
	}
	r->told_committed = raft->configuration_committed_index;
	r->told_uncommitted = raft->configuration_uncommitted_index;
	if (r->config.callbacks.configuration != NULL) {
		r->config.callbacks.configuration(r->config.ctx);
	}
}

static void set_removed(struct replica *r)
{
	if (r->removed) {
		return;
	}
	r->removed = true;
	log_warn("raft", "this server has been removed from the cluster");
	if (r->config.callbacks.removed != NULL) {
		r->config.callbacks.removed(r->config.ctx);
	}
}

void replica_on_removed(void *ctx, uint64_t conf_index)
{
	struct replica *r = ctx;

	if (conf_index > r->raft.configuration_committed_index &&
	    conf_index > r->raft.configuration_uncommitted_index && !r->stopping) {
		set_removed(r);
	}
}

static uint64_t leader_contact_ms(const struct replica *r)
{
	raft_id id = 0;
	const char *address;

	raft_leader((struct raft *)&r->raft, &id, &address);
	return id == 0 ? UINT64_MAX : io_contact_ms((struct raft_io *)&r->io, id);
}

/* A server that catches up passes configurations without itself, but hears of its leader meanwhile. */
static void watch_membership(struct replica *r)
{
	const struct raft *raft = &r->raft;
	uint64_t wait = (uint64_t)REMOVED_TIMEOUTS * r->config.election_ms;

	if (raft->configuration.n == 0 || r->removed) {
		return;
	}
	if (server_of(&raft->configuration, r->config.id) != NULL || raft->configuration_uncommitted_index != 0) {
		r->was_member = r->was_member || server_of(&raft->configuration, r->config.id) != NULL;
		r->absent_since = 0;
		return;
	}
	if (!r->was_member) {
		return;
	}
	if (r->absent_since == 0 || leader_contact_ms(r) < wait) {
		r->absent_since = replica_now(r);
	} else if (replica_now(r) - r->absent_since > wait) {
		set_removed(r);
	}
}

void replica_watch(struct replica *r)
{
	if (r->hasten && r->raft.last_stored >= 1 && raft_last_index(&r->raft) == r->raft.last_stored) {
		r->hasten = false;
		hurry(r, r->hasten_ms);
	}
	watch_candidate(r);
	watch_configuration(r);
	watch_leader(r);
	if (!r->closing) {
		watch_leading(r);
	}
	if (!r->closing) {
		watch_membership(r);
	}
}
