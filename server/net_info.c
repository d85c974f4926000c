/* What the API shows of other servers, and what servers ask each other: status, index, hash. */
#include "server/net_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"

/* ---- members ---- */

static const char *text(struct arena *mem, const char *s)
{
	const char *copy = arena_strdup(mem, s);

	return copy != NULL ? copy : "";
}

static void put_tag(struct core_member *m, const char *key, const char *value)
{
	if (m->tags.at != NULL && value[0] != '\0') {
		m->tags.at[m->tags.n++] = (struct pair){key, value};
	}
}

/* Sorted by key, as maps are. */
static void put_tags(struct core_member *m, const struct rpc_hello *h, struct arena *mem)
{
	char host[ADDRESS_HOST_MAX] = "";
	unsigned port = 0;
	const char *expect = arena_printf(mem, "%" PRId64, h->bootstrap_expect);
	const char *rpc_port;

	(void)address_split(h->rpc_addr, host, &port);
	rpc_port = arena_printf(mem, "%u", port);
	m->tags.at = arena_calloc(mem, 12, sizeof(*m->tags.at));
	if (expect == NULL || rpc_port == NULL) {
		return;
	}
	if (h->bootstrap_expect == 1) {
		put_tag(m, "bootstrap", "1");
	}
	put_tag(m, "build", text(mem, h->version));
	put_tag(m, "dc", text(mem, h->datacenter));
	if (h->bootstrap_expect > 1) {
		put_tag(m, "expect", expect);
	}
	put_tag(m, "id", text(mem, h->id));
	put_tag(m, "port", rpc_port);
	put_tag(m, "raft_vsn", "3");
	put_tag(m, "region", text(mem, h->region));
	put_tag(m, "role", "nomad");
	put_tag(m, "rpc_addr", text(mem, host));
	put_tag(m, "vsn", "1");
}

static const char *full_name(const struct rpc_hello *h, struct arena *mem)
{
	const char *name = arena_printf(mem, "%s.%s", h->name, h->region);

	return name != NULL ? name : "";
}

static void put_member(struct core_member *m, const struct rpc_hello *h, const char *status, struct arena *mem)
{
	char host[ADDRESS_HOST_MAX] = "";
	unsigned port = 0;

	object_init(&core_member_type, m);
	(void)address_split(h->serf_addr[0] != '\0' ? h->serf_addr : h->rpc_addr, host, &port);
	m->name = full_name(h, mem);
	m->addr = text(mem, host);
	m->port = port;
	m->status = status;
	put_tags(m, h, mem);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct core_member *)a)->name, ((const struct core_member *)b)->name);
}

static void put_members(struct net *n, struct core_info *info, struct arena *mem)
{
	const char *own = full_name(&n->hello, mem);
	struct core_member *at = arena_calloc(mem, n->n_members + 1, sizeof(*at));
	uint32_t count = 0;
	unsigned i;

	info->members.n = 0;
	info->self = 0;
	if (at == NULL) {
		return;
	}
	put_member(&at[count++], &n->hello, "alive", mem);
	for (i = 0; i < n->n_members; i++) {
		put_member(&at[count++], &n->members[i]->hello, member_status_text(n->members[i]->status), mem);
	}
	qsort(at, count, sizeof(*at), by_name);
	info->members.at = at;
	info->members.n = count;
	while (info->self + 1 < count && strcmp(at[info->self].name, own) != 0) {
		info->self++;
	}
}

/* ---- regions ---- */

static bool has_text(const struct strs *list, const char *s)
{
	uint32_t i;

	for (i = 0; i < list->n; i++) {
		if (strcmp(list->at[i], s) == 0) {
			return true;
		}
	}
	return false;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_regions(struct net *n, struct core_info *info, struct arena *mem)
{
	unsigned i;

	info->regions.n = 0;
	info->regions.at = arena_calloc(mem, n->n_members + 1, sizeof(*info->regions.at));
	if (info->regions.at == NULL) {
		return;
	}
	info->regions.at[info->regions.n++] = text(mem, n->hello.region);
	for (i = 0; i < n->n_members; i++) {
		if (!has_text(&info->regions, n->members[i]->hello.region)) {
			info->regions.at[info->regions.n++] = text(mem, n->members[i]->hello.region);
		}
	}
	qsort(info->regions.at, info->regions.n, sizeof(*info->regions.at), by_text);
}

/* ---- peers ---- */

static void put_peer(struct net *n, struct core_peer *out, const struct replica_server *s, struct arena *mem)
{
	const struct member *m = member_by_raft(n, s->id);
	const struct rpc_hello *h = s->id == n->s->identity.raft_id ? &n->hello : m != NULL ? &m->hello : NULL;
	const char *id = h != NULL ? text(mem, h->id) : arena_printf(mem, "%" PRIu64, s->id);

	object_init(&core_peer_type, out);
	out->id = id != NULL ? id : "";
	out->node = h != NULL ? full_name(h, mem) : "(unknown)";
	out->address = text(mem, s->address);
	out->leader = n->leader_id == s->id;
	out->voter = s->role == REPLICA_VOTER;
}

static void put_peers(struct net *n, struct core_info *info, struct arena *mem)
{
	struct replica_peer peers[REPLICA_MAX_SERVERS];
	unsigned count = replica_configuration(n->s->replica, peers, REPLICA_MAX_SERVERS);
	unsigned i;

	count = count < REPLICA_MAX_SERVERS ? count : REPLICA_MAX_SERVERS;
	info->peers.n = 0;
	info->peers.at = arena_calloc(mem, count + 1, sizeof(*info->peers.at));
	for (i = 0; info->peers.at != NULL && i < count; i++) {
		put_peer(n, &info->peers.at[info->peers.n++], &peers[i].server, mem);
	}
}

void net_info(struct net *n, struct core_info *info, struct arena *mem)
{
	put_members(n, info, mem);
	put_regions(n, info, mem);
	put_peers(n, info, mem);
}

/* ---- what others ask ---- */

void info_status(struct net *n, struct rpc_call *call)
{
	struct replica_status st = replica_status(n->s->replica);
	struct replica_peer peers[REPLICA_MAX_SERVERS];
	const char *voters[REPLICA_MAX_SERVERS];
	unsigned count = replica_configuration(n->s->replica, peers, REPLICA_MAX_SERVERS);
	struct rpc_status out;
	unsigned i;

	object_init(&rpc_status_type, &out);
	out.leader_addr = st.leader_id != 0 && st.leader_address != NULL ? st.leader_address : "";
	out.leader_raft_id = (int64_t)st.leader_id;
	out.term = (int64_t)st.term;
	out.raft_index = (int64_t)st.last_index;
	out.applied_index = (int64_t)st.applied_index;
	out.index = (int64_t)state_index(server_view(n->s));
	out.cluster_id = n->cluster;
	out.peers.at = voters;
	for (i = 0; i < count && i < REPLICA_MAX_SERVERS; i++) {
		if (peers[i].server.role == REPLICA_VOTER) {
			voters[out.peers.n++] = peers[i].server.address;
		}
	}
	rpc_reply_object(call, &rpc_status_type, &out);
}

void info_remember(struct net *n, const struct view *v)
{
	uint64_t index = state_index(v);
	struct state_hash_at *at = &n->hashes[index % NET_HASHES];

	atomic_store(&at->index, 0);
	atomic_store(&at->hash, state_hash(v));
	atomic_store(&at->index, index);
}

bool net_state_hash(struct net *n, uint64_t index, uint64_t *hash)
{
	struct state_hash_at *at = &n->hashes[index % NET_HASHES];
	uint64_t before = atomic_load(&at->index);

	*hash = atomic_load(&at->hash);
	return index != 0 && before == index && atomic_load(&at->index) == index;
}

void info_forget(struct net *n)
{
	unsigned i;

	for (i = 0; i < NET_HASHES; i++) {
		atomic_store(&n->hashes[i].index, 0);
	}
}

/* Index 0 asks for the newest. Numbers of the wire are signed: the hash is passed bit by bit. */
void info_hash(struct net *n, struct rpc_call *call)
{
	const struct view *v = server_view(n->s);
	struct rpc_index asked;
	struct rpc_state_hash out;
	struct arena mem = {0};
	uint64_t hash = 0;
	uint64_t index;

	if (pack_decode(&rpc_index_type, &asked, call->payload, call->len, &mem) != 0) {
		rpc_fail(call, ERR_SYNTAX, "malformed");
		arena_close(&mem);
		return;
	}
	index = (uint64_t)asked.index;
	object_init(&rpc_state_hash_type, &out);
	if (index == 0 || index == state_index(v)) {
		out.index = (int64_t)state_index(v);
		out.hash = (int64_t)state_hash(v);
	} else {
		out.index = asked.index;
		out.hash = net_state_hash(n, index, &hash) ? (int64_t)hash : 0;
	}
	rpc_reply_object(call, &rpc_state_hash_type, &out);
	arena_close(&mem);
}

/* ---- how far is the leader? ---- */

/* A leader that has been replaced does not know it, and its index is too low. So before it tells its index it must be
 * sure that it leads still: see server/lease.h. */
static void reply_index(struct rpc_call *call, uint64_t index)
{
	struct rpc_index out;

	object_init(&rpc_index_type, &out);
	out.index = (int64_t)index;
	rpc_reply_object(call, &rpc_index_type, &out);
}

static void barrier_cb(void *data, int status, uint64_t index)
{
	struct rpc_call *call = data;

	if (status == 0) {
		reply_index(call, index);
	} else {
		rpc_fail(call, ERR_NOTLEADER, error_text(ERR_NOTLEADER));
	}
}

void info_read_index(struct net *n, struct rpc_call *call)
{
	int rc;

	if (!n->s->ready) {
		rpc_fail(call, ERR_NOTLEADER, error_text(ERR_NOTLEADER));
		return;
	}
	if (server_surely_leads(n->s)) {
		reply_index(call, replica_status(n->s->replica).commit_index);
		return;
	}
	rc = replica_barrier(n->s->replica, barrier_cb, call);
	if (rc != 0) {
		rpc_fail(call, rc, error_text(rc));
	}
}

/* The question itself, on a server that does not lead. */
static void index_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct net *n = CONTAINER_OF(req, struct net, index);
	struct rpc_index answer = {0};
	struct arena mem = {0};

	if (err == 0) {
		err = rpc_get(&rpc_index_type, &answer, frame, &mem);
	}
	arena_close(&mem);
	reads_answer(&n->s->reads, err, (uint64_t)answer.index);
}

int net_ask_index(struct net *n)
{
	enum { TIMEOUT_MS = 1000 };
	struct net_conn *leader = net_leader_conn(n);
	struct rpc_none none;

	if (leader == NULL || n->stopping) {
		return ERR_NOLEADER;
	}
	if (n->index.conn != NULL) {
		return ERR_BUSY;
	}
	object_init(&rpc_none_type, &none);
	n->index.reply_cb = index_cb;
	return rpc_send_object(leader->rpc, &n->index, RPC_METHOD_READ_INDEX, &rpc_none_type, &none, TIMEOUT_MS);
}

void info_index_recall(struct net *n)
{
	if (n->index.conn != NULL) {
		rpc_cancel(&n->index);
		reads_answer(&n->s->reads, ERR_NOLEADER, 0);
	}
}

/* ---- metrics ---- */

static double count_alive(const struct net *n)
{
	unsigned alive = 1;
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		alive += n->members[i]->status == MEMBER_ALIVE;
	}
	return alive;
}

static double count_conns(const struct net *n)
{
	unsigned count = 0;

	LIST_EACH (l, &n->conns) {
		count++;
	}
	return count;
}

unsigned net_metrics(struct net *n, struct metric *out, unsigned max)
{
	const struct metric all[] = {
		{"rpc.connections", METRIC_GAUGE, count_conns(n)},
		{"rpc.refused", METRIC_COUNTER, (double)n->refused},
		{"rpc.forwarded", METRIC_COUNTER, (double)n->errands_sent},
		{"rpc.forwarding", METRIC_GAUGE, n->n_errands},
		{"serf.members_alive", METRIC_GAUGE, count_alive(n)},
		{"client.connected", METRIC_GAUGE, (double)n->nodes.n},
		{"client.pushes", METRIC_COUNTER, (double)n->pushes},
		{"client.pushed_bytes", METRIC_COUNTER, (double)n->pushed_bytes},
	};
	unsigned count = sizeof(all) / sizeof(all[0]);

	memcpy(out, all, (count < max ? count : max) * sizeof(*out));
	return count;
}
