/*
 * What operators ask for concerning the servers themselves: one removed, leadership handed on, others joined, a failed
 * one let go.
 *
 * A server that an operator has removed may still run, and be connected; it is of this cluster, so that the leader
 * would take it in again the next moment (voters.c). That it is not wanted is therefore written down first, as a row of
 * the table SERVERS under its Raft ID: each leader finds it there. A server that comes back with an empty directory is
 * another one, with another ID.
 */
#include "server/net_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"

enum { JOIN_WAIT_MS = 3000 };

/* A request under way. */
struct admin {
	struct list link; /* A join, in net->admin. */
	struct net *net;
	net_admin_cb done_cb;
	void *ctx;
	uint64_t raft_id;
	int status; /* Of the answer, when the server is wanted again. */
	struct write write;
	struct buf command;
	int64_t until_ms;
	struct dial *dials[NET_JOIN_MAX];
	bool borrowed[NET_JOIN_MAX]; /* The dial is not of the configuration. */
	unsigned n_dials;
};

static struct admin *admin_new(struct net *n, net_admin_cb done_cb, void *ctx)
{
	struct admin *a = calloc(1, sizeof(*a));

	if (a != NULL) {
		a->net = n;
		a->done_cb = done_cb;
		a->ctx = ctx;
		list_init(&a->link);
	}
	return a;
}

static void admin_end(struct admin *a, int status, unsigned count)
{
	net_admin_cb done_cb = a->done_cb;
	void *ctx = a->ctx;

	list_remove(&a->link);
	buf_close(&a->command);
	free(a);
	done_cb(ctx, status, count);
}

/* ---- naming a server ---- */

static bool is_named(const struct net *n, const struct replica_server *s, const char *which)
{
	const struct member *m = member_by_raft((struct net *)(uintptr_t)n, s->id);
	const char *id = s->id == n->s->identity.raft_id ? n->id : m != NULL ? m->hello.id : "";
	char number[24];

	snprintf(number, sizeof(number), "%" PRIu64, s->id);
	return strcmp(s->address, which) == 0 || strcmp(number, which) == 0 ||
	       (id[0] != '\0' && strcmp(id, which) == 0);
}

/* The Raft ID of a server of the configuration, by its UUID, its Raft ID or its address; 0: there is none. */
static uint64_t find_peer(const struct net *n, const char *which)
{
	struct replica_peer peers[REPLICA_MAX_SERVERS];
	unsigned count = replica_configuration(n->s->replica, peers, REPLICA_MAX_SERVERS);

	for (unsigned i = 0; i < count && i < REPLICA_MAX_SERVERS; i++) {
		if (is_named(n, &peers[i].server, which)) {
			return peers[i].server.id;
		}
	}
	return 0;
}

/* ---- removing ---- */

bool net_is_unwanted(struct net *n, const struct view *v, uint64_t raft_id)
{
	(void)n;
	return state_server(v, raft_id) != NULL;
}

static int put_command(struct admin *a, enum command type, const void *payload,
		       void (*done_cb)(struct write *w, int status, const struct apply_result *result))
{
	int rc;

	buf_close(&a->command);
	rc = command_encode(type, payload, &a->command);
	a->write = (struct write){.command = a->command.at, .len = a->command.len, .done_cb = done_cb};
	return rc == 0 ? server_write(a->net->s, &a->write) : rc;
}

static void wanted_again(struct write *w, int status, const struct apply_result *result)
{
	struct admin *a = CONTAINER_OF(w, struct admin, write);

	(void)status;
	(void)result;
	admin_end(a, a->status, 0);
}

/* It stays in the configuration: it is wanted, then. */
static void take_back(struct admin *a, int status)
{
	struct server_delete p = {(int64_t)a->raft_id};

	a->status = status;
	if (put_command(a, COMMAND_SERVER_DELETE, &p, wanted_again) != 0) {
		admin_end(a, status, 0);
	}
}

static void removed_cb(void *data, int status, uint64_t index)
{
	struct admin *a = data;
	struct net *n = a->net;

	(void)index;
	n->changing = false;
	members_changed(n);
	admin_end(a, status, 0);
}

static void unwanted_cb(struct write *w, int status, const struct apply_result *result)
{
	struct admin *a = CONTAINER_OF(w, struct admin, write);
	struct net *n = a->net;
	int rc = status != 0 ? status : result->status;

	if (rc == 0) {
		rc = n->changing ? ERR_BUSY : replica_remove(n->s->replica, a->raft_id, removed_cb, a);
		if (rc != 0) {
			take_back(a, rc);
			return;
		}
		log_info("server", "an operator removes server %016" PRIx64, a->raft_id);
		n->changing = true;
		return;
	}
	admin_end(a, rc, 0);
}

int net_remove_peer(struct net *n, const char *which, net_admin_cb done_cb, void *ctx)
{
	uint64_t id = find_peer(n, which);
	const struct member *m = member_by_raft(n, id);
	struct server_meta meta;
	struct server_put p = {&meta};
	struct admin *a;
	int rc;

	if (id == 0) {
		return ERR_NOTFOUND;
	}
	if (id == n->s->identity.raft_id) {
		return ERR_INVALID;
	}
	if (n->changing) {
		return ERR_BUSY;
	}
	a = admin_new(n, done_cb, ctx);
	if (a == NULL) {
		return ERR_NOMEM;
	}
	a->raft_id = id;
	object_init(&server_meta_type, &meta);
	meta.id = (int64_t)id;
	meta.name = m != NULL ? m->hello.name : "";
	rc = put_command(a, COMMAND_SERVER_PUT, &p, unwanted_cb);
	if (rc != 0) {
		buf_close(&a->command);
		free(a);
	}
	return rc;
}

/* ---- handing on ---- */

static void transferred_cb(void *data, int status, uint64_t index)
{
	(void)index;
	admin_end(data, status, 0);
}

int net_transfer(struct net *n, const char *which, net_admin_cb done_cb, void *ctx)
{
	uint64_t id = which[0] != '\0' ? find_peer(n, which) : 0;
	struct admin *a;
	int rc;

	if (which[0] != '\0' && id == 0) {
		return ERR_NOTFOUND;
	}
	if (id == n->s->identity.raft_id) {
		return ERR_EXISTS;
	}
	a = admin_new(n, done_cb, ctx);
	rc = a != NULL ? replica_transfer(n->s->replica, id, transferred_cb, a) : ERR_NOMEM;
	if (rc != 0) {
		free(a);
	}
	return rc;
}

/* ---- joining ---- */

static bool is_settled(struct net *n, const struct admin *a, unsigned *reached)
{
	bool settled = true;

	*reached = 0;
	for (unsigned i = 0; i < a->n_dials; i++) {
		bool here = a->dials[i]->self || member_is_reached(n, a->dials[i]);

		*reached += here;
		settled = settled && (here || (a->dials[i]->fails > 0 && a->dials[i]->conn == NULL));
	}
	return settled;
}

static void join_end(struct admin *a, int status, unsigned reached)
{
	for (unsigned i = 0; i < a->n_dials; i++) {
		if (a->borrowed[i]) {
			a->dials[i]->configured = false;
			a->net->n_configured--;
		}
	}
	members_drop_dials(a->net);
	admin_end(a, status, reached);
}

int net_join(struct net *n, const struct strs *addresses, net_admin_cb done_cb, void *ctx)
{
	struct admin *a;

	if (addresses->n == 0 || addresses->n > NET_JOIN_MAX) {
		return ERR_INVALID;
	}
	a = admin_new(n, done_cb, ctx);
	if (a == NULL) {
		return ERR_NOMEM;
	}
	for (uint32_t i = 0; i < addresses->n; i++) {
		bool is_new = false;
		struct dial *d = members_add_target(n, addresses->at[i], &is_new);

		if (d != NULL) {
			d->fails = 0;
			d->next_ms = 0;
			a->borrowed[a->n_dials] = is_new;
			a->dials[a->n_dials++] = d;
		}
	}
	a->until_ms = net_now(n) + JOIN_WAIT_MS;
	list_insert(&n->admin, &a->link);
	net_soon(n);
	return 0;
}

void admin_tick(struct net *n)
{
	LIST_EACH (l, &n->admin) {
		struct admin *a = CONTAINER_OF(l, struct admin, link);
		unsigned reached;

		if (is_settled(n, a, &reached) || net_now(n) >= a->until_ms) {
			join_end(a, 0, reached);
		}
	}
}

void admin_stop(struct net *n)
{
	LIST_EACH (l, &n->admin) {
		join_end(CONTAINER_OF(l, struct admin, link), ERR_CLOSED, 0);
	}
}

/* ---- letting go ---- */

static struct member *member_by_name(struct net *n, const char *name)
{
	for (unsigned i = 0; i < n->n_members; i++) {
		const struct rpc_hello *h = &n->members[i]->hello;
		size_t len = strlen(h->name);

		if (strncmp(name, h->name, len) == 0 &&
		    (name[len] == '\0' || (name[len] == '.' && strcmp(name + len + 1, h->region) == 0))) {
			return n->members[i];
		}
	}
	return NULL;
}

int net_force_leave(struct net *n, const char *name, bool prune)
{
	struct member *m = member_by_name(n, name);

	if (m == NULL) {
		log_info("server", "an operator lets %s go, which is no member", name);
		return 0;
	}
	if (m->conn != NULL) {
		return ERR_EXISTS;
	}
	if (m->status != MEMBER_LEFT) {
		log_info("server", "an operator lets %s go", m->hello.name);
		m->status = MEMBER_LEFT;
		m->since_ms = net_now(n);
	}
	m->pruned = m->pruned || prune;
	members_changed(n);
	return 0;
}
