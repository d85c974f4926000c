/* Founding a cluster, being taken into one, leaving it: see server/founding.h. */
#include "server/net_parts.h"

#include <stdio.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"

enum {
	JOIN_TIMEOUT_MS = 10000,
	JOIN_RETRY_MS = 250,
	STUCK_MS = 10000,       /* Between two lines of the log. */
	LEAVE_MS = 5000,        /* For all of it, */
	LEAVE_TRY_MS = 2000,    /* and for one try. */
	LEAVE_TELL_MS = 150,    /* For others to hear of it. */
};

/* ---- being in a cluster ---- */

static void settle(struct net *n, const struct uuid *cluster)
{
	struct identity identity = n->s->identity;
	int rc;

	identity.cluster = *cluster;
	rc = identity_save(&identity);
	if (rc != 0) {
		log_error("server", "cannot keep that this server is in a cluster: %s", error_text(rc));
		return; /* It is tried again: founding and joining come to the same end. */
	}
	n->s->identity.cluster = *cluster;
	uuid_format(cluster, n->cluster);
	founding_end(&n->founding);
	server_joined(n->s);
	members_changed(n);
}

/* ---- founding ---- */

static int save_cb(void *ctx, const struct founding_saved *saved)
{
	struct net *n = ctx;
	struct identity identity = n->s->identity;
	int rc;

	identity.founding = *saved;
	rc = identity_save(&identity);
	if (rc == 0) {
		n->s->identity.founding = *saved;
	} else {
		log_error("server", "cannot keep a promise: %s", error_text(rc));
	}
	return rc;
}

static void send_cb(void *ctx, uint64_t to, const struct founding_message *m)
{
	static const char *const kinds[] = {
#define X(id, text) text,
		FOUNDING_KINDS(X)
#undef X
	};
	struct net *n = ctx;
	struct member *member = member_by_raft(n, to);
	struct rpc_founder founders[FOUNDING_MAX];
	struct rpc_founding message;
	unsigned i;

	if (member == NULL || member->conn == NULL) {
		return; /* It is sent again. */
	}
	object_init(&rpc_founding_type, &message);
	message.kind = kinds[m->kind];
	message.from = (int64_t)m->from;
	message.round = (int64_t)m->list.round;
	for (i = 0; i < m->list.n; i++) {
		founders[i] = (struct rpc_founder){(int64_t)m->list.at[i].id, m->list.at[i].address};
	}
	message.founders.at = founders;
	message.founders.n = m->list.n;
	(void)rpc_push_object(member->conn->rpc, RPC_METHOD_FOUNDING, &rpc_founding_type, &message);
}

static void found_cb(void *ctx, const struct founding_list *list)
{
	struct net *n = ctx;
	struct replica_server servers[FOUNDING_MAX];
	struct uuid cluster = founding_cluster(list);
	unsigned i;
	int rc;

	for (i = 0; i < list->n; i++) {
		servers[i] = (struct replica_server){list->at[i].id, list->at[i].address, REPLICA_VOTER};
	}
	rc = replica_bootstrap(n->s->replica, servers, list->n);
	if (rc != 0 && rc != ERR_EXISTS) {
		log_error("server", "cannot begin the log of a new cluster: %s", error_text(rc));
		server_end(n->s, "a new cluster cannot be founded");
		return;
	}
	log_info("server", "a cluster of %u servers is founded", list->n);
	settle(n, &cluster);
}

static const struct founding_effects effects = {save_cb, send_cb, found_cb};

static bool parse_kind(const char *text, enum founding_kind *kind)
{
	static const char *const kinds[] = {
#define X(id, text) text,
		FOUNDING_KINDS(X)
#undef X
	};
	unsigned i;

	for (i = 0; i < FOUNDING_KIND_COUNT; i++) {
		if (strcmp(text, kinds[i]) == 0) {
			*kind = (enum founding_kind)i;
			return true;
		}
	}
	return false;
}

static bool take_founders(const struct rpc_founding *message, struct founding_list *list)
{
	uint32_t i;

	if (message->founders.n > FOUNDING_MAX) {
		return false;
	}
	list->round = (uint64_t)message->round;
	list->n = message->founders.n;
	for (i = 0; i < list->n; i++) {
		list->at[i].id = (uint64_t)message->founders.at[i].id;
		if (strlen(message->founders.at[i].address) >= ADDRESS_MAX) {
			return false;
		}
		snprintf(list->at[i].address, ADDRESS_MAX, "%s", message->founders.at[i].address);
	}
	return founding_list_valid(list);
}

/* Nobody speaks for another server. */
void cluster_message(struct net *n, struct net_conn *nc, const char *payload, size_t len)
{
	struct founding_message m = {.from = nc->member->raft_id};
	struct rpc_founding message;
	struct arena mem = {0};

	if (pack_decode(&rpc_founding_type, &message, payload, len, &mem) != 0 ||
	    !parse_kind(message.kind, &m.kind) || (uint64_t)message.from != m.from || !take_founders(&message, &m.list)) {
		net_odd(n, nc, "a malformed message about founding");
	} else {
		founding_receive(&n->founding, &m);
		n->founding_due = true;
		net_soon(n);
	}
	arena_close(&mem);
}

void cluster_peer(struct net *n, const struct member *m)
{
	struct uuid cluster = {{0}};

	(void)uuid_parse(m->hello.cluster_id, strlen(m->hello.cluster_id), &cluster);
	founding_peer(&n->founding, m->raft_id, m->hello.rpc_addr, (unsigned)m->hello.bootstrap_expect, &cluster,
	              m->conn != NULL);
	n->founding_due = true;
	net_soon(n);
}

static void tell_stuck(struct net *n)
{
	uint64_t id = founding_stuck(&n->founding);

	if (id != 0 && net_now(n) >= n->stuck_ms) {
		if (n->stuck_ms != 0) {
			log_warn("server", "this server has promised to found a cluster with server %016llx, which is not there",
			         (unsigned long long)id);
		}
		n->stuck_ms = net_now(n) + STUCK_MS;
	}
}

/* ---- being taken into a cluster ---- */

static void joined_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct net *n = CONTAINER_OF(req, struct net, join);

	n->joining = false;
	if (n->stopping || net_in_cluster(n)) {
		return;
	}
	if (err != 0) {
		log_info("server", "asking to be taken into the cluster: %s%s%.*s", error_text(err), frame->len > 0 ? ": " : "",
		         (int)(frame->len < 200 ? frame->len : 200), frame->payload);
		n->join_next_ms = net_now(n) + JOIN_RETRY_MS;
		return;
	}
	settle(n, &n->join_cluster);
}

static struct member *someone_in_cluster(struct net *n, struct uuid *cluster)
{
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		struct member *m = n->members[i];

		if (m->local && m->conn != NULL && uuid_parse(m->hello.cluster_id, strlen(m->hello.cluster_id), cluster)) {
			return m;
		}
	}
	return NULL;
}

static void ourselves(struct net *n, struct rpc_member *out)
{
	object_init(&rpc_member_type, out);
	out->hello = &n->hello;
	out->status = "alive";
	out->incarnation = n->incarnation;
}

/* Any of them passes it on to the leader. */
static void ask_in(struct net *n)
{
	struct rpc_member self;
	struct member *m;

	if (n->joining || !founding_may_join(&n->founding) || net_now(n) < n->join_next_ms) {
		return;
	}
	m = someone_in_cluster(n, &n->join_cluster);
	if (m != NULL) {
		ourselves(n, &self);
		n->join.reply_cb = joined_cb;
		n->joining = rpc_send_object(m->conn->rpc, &n->join, RPC_METHOD_JOIN, &rpc_member_type, &self,
		                             JOIN_TIMEOUT_MS) == 0;
	}
}

/* ---- leaving ---- */

static void leave_ends(struct net *n)
{
	void (*left_cb)(void *ctx) = n->left_cb;

	n->left_cb = NULL;
	if (left_cb != NULL) {
		left_cb(n->left_ctx);
	}
}

/* The others are told, and after a moment it is over. */
static void has_left(struct net *n)
{
	if (!n->left) {
		n->left = true;
		n->left_ms = net_now(n);
		members_changed(n);
	}
}

static void let_go_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct net *n = CONTAINER_OF(req, struct net, leave);

	(void)frame;
	n->leave_sent = false;
	if (err == 0) {
		has_left(n);
	}
}

static void handed_on_cb(void *data, int status, uint64_t index)
{
	struct net *n = data;

	(void)index;
	n->handing_on = false;
	n->handed_on = status == 0;
}

static bool is_alone(const struct net *n)
{
	struct replica_peer peers[2];

	return replica_configuration(n->s->replica, peers, 2) < 2;
}

/* A leader hands on before it leaves, but once only: who gets leadership back from one that leaves as well stays leader
 * until the other is let go. */
static void leave_step(struct net *n)
{
	struct net_conn *leader = net_leader_conn(n);
	struct rpc_member self;

	if (n->left) {
		if (net_now(n) >= n->left_ms + LEAVE_TELL_MS) {
			leave_ends(n);
		}
	} else if (net_now(n) >= n->leave_by_ms || is_alone(n) || !net_in_cluster(n)) {
		has_left(n);
	} else if (n->leader_id == n->s->identity.raft_id) {
		if (!n->handing_on && !n->handed_on) {
			n->handing_on = replica_transfer(n->s->replica, 0, handed_on_cb, n) == 0;
		}
	} else if (leader != NULL && !n->leave_sent) {
		ourselves(n, &self);
		n->leave.reply_cb = let_go_cb;
		n->leave_sent = rpc_send_object(leader->rpc, &n->leave, RPC_METHOD_LEAVE, &rpc_member_type, &self,
		                                LEAVE_TRY_MS) == 0;
	}
}

void net_leave(struct net *n, void (*left_cb)(void *ctx), void *ctx)
{
	n->leaving = true;
	n->leave_by_ms = net_now(n) + LEAVE_MS;
	n->left_cb = left_cb;
	n->left_ctx = ctx;
}

/* ---- time ---- */

void cluster_tick(struct net *n)
{
	if (n->leaving) {
		leave_step(n);
	} else if (!net_in_cluster(n)) {
		founding_step(&n->founding, net_now(n), members_all_tried(n));
		tell_stuck(n);
		ask_in(n);
	}
}

/* ---- begin and end ---- */

void cluster_init(struct net *n)
{
	founding_init(&n->founding, n->s->identity.raft_id, n->hello.rpc_addr, n->s->config.bootstrap_expect,
	              &n->s->identity.founding, &effects, n);
	if (net_in_cluster(n)) {
		founding_end(&n->founding);
	}
}

void cluster_stop(struct net *n)
{
	leave_ends(n);
}
