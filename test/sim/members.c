/* The operator: which servers the cluster is to have. He replaces one whose disk is lost by a new one, adds and removes
 * some, one after the other: the next not before the last is done, as losing two disks of three is losing the
 * cluster. */
#include "test/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/error.h"
#include "raft/replica_parts.h"
#include "server/shell.h"

enum { LEAST = 3, CATCH_UP = 64 };

static uint64_t next_id = 100; /* Of a new server; never one that was used. */

struct conf {
	struct replica_peer at[REPLICA_MAX_SERVERS];
	unsigned n;
};

static const struct replica_peer *conf_find(const struct conf *c, uint64_t id)
{
	for (unsigned i = 0; i < c->n; i++) {
		if (c->at[i].server.id == id) {
			return &c->at[i];
		}
	}
	return NULL;
}

static struct conf conf_of(struct host *h)
{
	struct conf c;

	c.n = replica_configuration(h->server->replica, c.at, REPLICA_MAX_SERVERS);
	return c;
}

static bool is_wanted(uint64_t id)
{
	const struct host *h = host_of(id);

	return h != NULL && h->member;
}

bool members_settled(char *why, size_t size)
{
	struct host *leader = host_leader();
	unsigned members = 0;
	struct conf c;

	snprintf(why, size, "there is no leader");
	if (leader == NULL) {
		return false;
	}
	c = conf_of(leader);
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		const struct host *h = &sim.hosts[i];
		const struct replica_peer *p = conf_find(&c, h->raft_id);

		members += h->member;
		if (h->member && (p == NULL || p->server.role != REPLICA_VOTER)) {
			snprintf(why, size, "server %u is no voter", i + 1);
			return false;
		}
	}
	snprintf(why, size, "there are %u servers in the configuration, not %u", c.n, members);
	return c.n == members;
}

void members_tell(void)
{
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		struct host *h = &sim.hosts[i];
		struct replica_status s;
		struct conf c;

		if (!h->alive) {
			sim_say("server %u does not run", i + 1);
			continue;
		}
		s = replica_status(h->server->replica);
		c = conf_of(h);
		sim_say("server %u: %s in term %" PRIu64 ", log to %" PRIu64 ", stored to %" PRIu64 ", committed to "
			"%" PRIu64 ", applied to %" PRIu64 "%s%s",
			i + 1, replica_state_text(s.state), s.term, s.last_index, s.stored_index, s.commit_index,
			s.applied_index, s.full ? ", full" : "", s.snapshot_running ? ", a snapshot is under way" : "");
		for (unsigned k = 0; k < c.n; k++) {
			sim_say("    %" PRIu64 " %s, %s, heard of %" PRIu64 " ms ago", c.at[k].server.id,
				c.at[k].server.address, replica_role_text(c.at[k].server.role), c.at[k].contact_ms);
		}
	}
}

/* ---- one change at a time, made of what is wanted ---- */

static void on_changed(void *data, int status, uint64_t index)
{
	(void)data;
	(void)index;
	sim_say("a change of the servers: %s", error_text(status));
	if (status == 0) {
		COUNT(member_changes);
	}
}

static bool remove_one(struct host *leader, const struct conf *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		uint64_t id = c->at[i].server.id;

		if (!is_wanted(id)) {
			sim_say("server %" PRIu64 " is to go: %s", id,
				error_text(replica_remove(leader->server->replica, id, on_changed, NULL)));
			return true;
		}
	}
	return false;
}

static bool promote_one(struct host *leader, const struct conf *c)
{
	uint64_t last = replica_status(leader->server->replica).last_index;

	for (unsigned i = 0; i < c->n; i++) {
		const struct replica_peer *p = &c->at[i];
		enum replica_role role = p->server.role == REPLICA_SPARE ? REPLICA_STANDBY : REPLICA_VOTER;

		if (p->server.role == REPLICA_VOTER ||
		    (p->server.role == REPLICA_STANDBY && p->match_index + CATCH_UP < last)) {
			continue;
		}
		sim_say("server %" PRIu64 ", at %" PRIu64 " of %" PRIu64 ", is to be a %s: %s", p->server.id,
			p->match_index, last, replica_role_text(role),
			error_text(replica_assign(leader->server->replica, p->server.id, role, on_changed, NULL)));
		return true;
	}
	return false;
}

static void add_one(struct host *leader, const struct conf *c)
{
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		const struct host *h = &sim.hosts[i];

		if (h->member && h->alive && conf_find(c, h->raft_id) == NULL) {
			(void)replica_add(leader->server->replica, h->raft_id, h->address, on_changed, NULL);
			return;
		}
	}
}

/* A server that is in nobody's configuration any more ends, and its disk is emptied. */
static void retire_gone(const struct conf *c)
{
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		struct host *h = &sim.hosts[i];

		if (!h->member && h->raft_id != 0 && conf_find(c, h->raft_id) == NULL) {
			host_kill(h, false);
			fs_wipe(h->fs);
			h->raft_id = 0;
		}
	}
}

static void on_look(void *arg)
{
	struct host *leader = host_leader();

	(void)arg;
	sim_at(sim.now + sim_between(100 * MS, 400 * MS), NULL, on_look, NULL);
	if (leader == NULL || leader->ending || leader->frozen_until > sim.now) {
		return;
	}
	sim.cur = leader;
	if (setjmp(leader->end) == 0) {
		struct conf c = conf_of(leader);

		if (!remove_one(leader, &c) && !promote_one(leader, &c)) {
			add_one(leader, &c);
		}
		loop_wake(leader, sim.now);
		retire_gone(&c);
	}
	sim.cur = NULL;
}

void members_begin(void)
{
	sim_at(SEC, NULL, on_look, NULL);
}

/* ---- what he wants ---- */

static void begin_anew(struct host *h)
{
	h->raft_id = next_id++;
	h->member = true;
	host_start(h);
}

/* It knows itself that it is a voter, and that this is for good: another may be lost then. */
static bool is_well(struct host *h)
{
	const struct raft *raft = &h->server->replica->raft;
	struct conf c = conf_of(h);
	const struct replica_peer *p = conf_find(&c, h->raft_id);

	return raft->configuration_uncommitted_index == 0 && p != NULL && p->server.role == REPLICA_VOTER;
}

static bool all_well(void)
{
	char why[128];

	if (!members_settled(why, sizeof(why))) {
		return false;
	}
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		struct host *h = &sim.hosts[i];

		if (h->member && (!h->alive || h->index + CATCH_UP < check_top() || !is_well(h))) {
			return false;
		}
	}
	return true;
}

static unsigned count_members(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < sim.n_hosts; i++) {
		n += sim.hosts[i].member;
	}
	return n;
}

/* A disk is lost, and a new one takes its place. */
void members_wipe(void)
{
	struct host *h = &sim.hosts[sim_below(sim.n_hosts)];

	if (!h->member || !all_well()) {
		return;
	}
	COUNT(wipes);
	sim_say("server %u loses its disk", h->at + 1);
	host_kill(h, true);
	fs_wipe(h->fs);
	begin_anew(h);
}

/* One more, or one less. */
void members_change(void)
{
	struct host *h = &sim.hosts[sim_below(sim.n_hosts)];

	if (!all_well()) {
		return;
	}
	if (!h->member && h->raft_id == 0) {
		sim_say("server %u is to join", h->at + 1);
		fs_wipe(h->fs);
		begin_anew(h);
	} else if (h->member && count_members() > LEAST) {
		sim_say("server %u is to leave", h->at + 1);
		h->member = false;
	}
}
