/*
 * The leader's: who is in Raft's configuration, and as what.
 *
 * What should be follows from what is known, and one change at a time is made of it: so it does not matter which leader
 * began. In this order:
 *
 *     gone for good     it leaves, an operator lets it go, or another server is at its address: removed
 *     moved             it is connected from another address than the configuration has: removed, and added anew
 *     not a voter yet   connected: a spare becomes a standby, a standby a voter when it has caught up
 *     new               connected, and has asked for it or is of the cluster already: added, unless an operator has
 *                       removed it
 *     dead              not heard of for long, when the others do not need it: removed
 */
#include "server/net_parts.h"

#include <string.h>

#include "lib/log.h"
#include "lib/timefmt.h"
#include "proto/error.h"

enum { CHANGE_RETRY_MS = 250, ROLE_RETRY_MS = 1000, STABLE_DEFAULT_MS = 10000 };

struct conf {
	struct replica_peer at[REPLICA_MAX_SERVERS];
	unsigned n;
};

static void changed_cb(void *data, int status, uint64_t index)
{
	struct net *n = data;

	(void)index;
	n->changing = false;
	n->change_next_ms = net_now(n);
	if (status != 0) {
		log_info("server", "a change of the cluster's servers: %s", error_text(status));
		n->change_next_ms += CHANGE_RETRY_MS;
	}
	members_changed(n);
}

/* A change has been asked for: true if it is under way. */
static bool asked(struct net *n, int rc, const char *what, uint64_t id)
{
	struct member *m = member_by_raft(n, id);

	if (rc == 0) {
		n->changing = true;
		log_info("server", "%s %s", what, m != NULL ? m->hello.name : "a server that is not known any more");
		return true;
	}
	if (rc != ERR_BUSY && rc != ERR_NOTLEADER) {
		log_warn("server", "%s %s: %s", what, m != NULL ? m->hello.name : "a server", error_text(rc));
	}
	n->change_next_ms = net_now(n) + CHANGE_RETRY_MS;
	return true; /* Nothing else is tried meanwhile. */
}

static bool remove_server(struct net *n, uint64_t id, const char *what)
{
	return asked(n, replica_remove(n->s->replica, id, changed_cb, n), what, id);
}

static bool is_here(const struct member *m)
{
	return m != NULL && m->local && m->conn != NULL;
}

static bool is_ours(const struct net *n, const struct member *m)
{
	return m->asked_in || strcmp(m->hello.cluster_id, n->cluster) == 0;
}

static struct member *member_at(struct net *n, const char *address)
{
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		if (is_here(n->members[i]) && strcmp(n->members[i]->hello.rpc_addr, address) == 0) {
			return n->members[i];
		}
	}
	return NULL;
}

/* ---- the steps: true when one was taken ---- */

static bool remove_gone(struct net *n, const struct conf *conf)
{
	unsigned i;

	for (i = 0; i < conf->n; i++) {
		const struct replica_server *s = &conf->at[i].server;
		struct member *m = member_by_raft(n, s->id);
		struct member *other = member_at(n, s->address);

		if (s->id == n->s->identity.raft_id) {
			continue;
		}
		if (m != NULL && (m->leaving || (m->status == MEMBER_LEFT && m->conn == NULL))) {
			return remove_server(n, s->id, "letting go");
		}
		if (!is_here(m) && other != NULL && other != m && is_ours(n, other)) {
			return remove_server(n, s->id, "another server is at the address of one: removing");
		}
		if (is_here(m) && strcmp(m->hello.rpc_addr, s->address) != 0) {
			return remove_server(n, s->id, "another address: removing, and taking in anew,");
		}
	}
	return false;
}

static bool raise_roles(struct net *n, const struct conf *conf)
{
	int64_t now = net_now(n);
	unsigned i;

	for (i = 0; i < conf->n; i++) {
		const struct replica_server *s = &conf->at[i].server;
		struct member *m = member_by_raft(n, s->id);
		enum replica_role role = s->role == REPLICA_SPARE ? REPLICA_STANDBY : REPLICA_VOTER;

		if (s->role == REPLICA_VOTER || !is_here(m) || now < m->not_before_ms) {
			continue;
		}
		m->not_before_ms = role == REPLICA_VOTER ? now + ROLE_RETRY_MS : now;
		return asked(n, replica_assign(n->s->replica, s->id, role, changed_cb, n),
		             role == REPLICA_VOTER ? "making a voter of" : "sending the log to", s->id);
	}
	return false;
}

static bool listed(const struct conf *conf, uint64_t id)
{
	unsigned i;

	for (i = 0; i < conf->n; i++) {
		if (conf->at[i].server.id == id) {
			return true;
		}
	}
	return false;
}

static bool add_new(struct net *n, const struct conf *conf)
{
	const struct view *v = server_view(n->s);
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		struct member *m = n->members[i];

		if (is_here(m) && !m->leaving && m->status == MEMBER_ALIVE && is_ours(n, m) && !listed(conf, m->raft_id) &&
		    net_now(n) >= m->not_before_ms && !net_is_unwanted(n, v, m->raft_id)) {
			m->not_before_ms = net_now(n) + CHANGE_RETRY_MS;
			return asked(n, replica_add(n->s->replica, m->raft_id, m->hello.rpc_addr, changed_cb, n),
			             "taking in", m->raft_id);
		}
	}
	return false;
}

/* Since when the leader has not heard of it, by RPC or Raft. */
static bool is_dead(struct net *n, const struct replica_peer *p, int64_t stable_ms)
{
	struct member *m = member_by_raft(n, p->server.id);
	int64_t now = net_now(n);

	if (m == NULL) {
		return p->contact_ms >= (uint64_t)stable_ms;
	}
	if (m->conn != NULL || p->contact_ms < (uint64_t)stable_ms) {
		m->dead_ms = 0;
		return false;
	}
	if (m->dead_ms == 0) {
		m->dead_ms = now;
	}
	return now - m->dead_ms >= stable_ms;
}

/* One of them, if there are more voters than the cluster was meant to have (another has taken its place), and those that
 * are left and alive are a majority. */
static bool remove_dead(struct net *n, const struct conf *conf)
{
	struct autopilot_config pilot = server_autopilot(n->s);
	const struct autopilot_config *autopilot = &pilot;
	int64_t stable_ms = autopilot->server_stabilization_time / NS_PER_MS;
	unsigned expect = n->s->config.bootstrap_expect;
	const struct replica_peer *dead = NULL;
	unsigned voters = 0;
	unsigned alive = 0;
	unsigned i;

	if (!autopilot->cleanup_dead_servers) {
		return false;
	}
	stable_ms = stable_ms > 0 ? stable_ms : STABLE_DEFAULT_MS;
	for (i = 0; i < conf->n; i++) {
		const struct replica_peer *p = &conf->at[i];
		bool is_self = p->server.id == n->s->identity.raft_id;

		voters += p->server.role == REPLICA_VOTER;
		if (!is_self && is_dead(n, p, stable_ms)) {
			dead = p;
		} else {
			alive += p->server.role == REPLICA_VOTER && (is_self || is_here(member_by_raft(n, p->server.id)));
		}
	}
	if (dead == NULL || alive <= (voters - 1) / 2 || (int64_t)alive < autopilot->min_quorum ||
	    (dead->server.role == REPLICA_VOTER && (expect > 1 ? voters <= expect : voters % 2 == 1))) {
		return false;
	}
	return remove_server(n, dead->server.id, "dead, and replaced: removing");
}

void voters_tick(struct net *n)
{
	struct conf conf;

	if (!n->s->ready || n->changing || n->stopping || net_now(n) < n->change_next_ms) {
		return;
	}
	conf.n = replica_configuration(n->s->replica, conf.at, REPLICA_MAX_SERVERS);
	if (conf.n == 0 || conf.n > REPLICA_MAX_SERVERS) {
		return;
	}
	if (n->leaving) {
		(void)remove_gone(n, &conf); /* Others that leave at the same time wait for it. */
		return;
	}
	(void)(remove_gone(n, &conf) || raise_roles(n, &conf) || add_new(n, &conf) || remove_dead(n, &conf));
}
