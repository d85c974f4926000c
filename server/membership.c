/*
 * Which servers there are, and one connection to each.
 *
 * Addresses come from the configuration, from hellos and from what other servers say. Whoever knows an address and has no
 * connection there dials it: the server with the lower Raft ID at once, the other a little later, so that usually one
 * connection is made. When there are two between the same servers, both sides use the one that the lower ID has opened;
 * the other carries no new requests, and is closed when it was idle for a while. So nothing is lost, and as each side
 * decides by the same rule nothing flaps.
 *
 * Alive is who is connected; failed who was not for NET_FAIL_MS. That each server finds out for itself. Of what others
 * say, addresses count, and that a server has left: by incarnations, which are the wall clock when a server started.
 */
#include "server/net_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"

enum { SERF_PORT = 4648, LATER_MS = 300, EXCHANGE_TIMEOUT_MS = 5000, EXCHANGE_PACE_MS = 20 };

const char *member_status_text(enum member_status status)
{
	static const char *const texts[] = {"alive", "failed", "left"};

	return texts[status];
}

/* ---- finding ---- */

struct member *member_by_id(struct net *n, const struct uuid *id)
{
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		if (uuid_equal(&n->members[i]->id, id)) {
			return n->members[i];
		}
	}
	return NULL;
}

struct member *member_by_raft(struct net *n, uint64_t raft_id)
{
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		if (n->members[i]->raft_id == raft_id && n->members[i]->local) {
			return n->members[i];
		}
	}
	return NULL;
}

void members_changed(struct net *n)
{
	n->version++;
	server_info_changed(n->s);
}

/* ---- addresses ---- */

static struct dial *find_dial(struct net *n, const char *address)
{
	LIST_EACH (l, &n->dials) {
		struct dial *d = CONTAINER_OF(l, struct dial, link);

		if (strcmp(d->address, address) == 0) {
			return d;
		}
	}
	return NULL;
}

static struct dial *add_dial(struct net *n, const char *address)
{
	struct dial *d = find_dial(n, address);

	if (d == NULL) {
		d = calloc(1, sizeof(*d));
		if (d != NULL) {
			snprintf(d->address, sizeof(d->address), "%s", address);
			d->self = strcmp(address, n->hello.rpc_addr) == 0 || strcmp(address, n->hello.serf_addr) == 0;
			list_insert(&n->dials, &d->link);
		}
	}
	return d;
}

struct dial *members_add_target(struct net *n, const char *text, bool *is_new)
{
	char address[ADDRESS_MAX];
	char host[ADDRESS_HOST_MAX];
	unsigned port;
	struct dial *d;

	if (address_split(text, host, &port)) {
		snprintf(address, sizeof(address), "%s", text);
	} else if (strlen(text) < ADDRESS_HOST_MAX && text[0] != '\0') {
		address_join(text, SERF_PORT, address);
	} else {
		log_warn("server", "\"%.100s\" is not the address of a server", text);
		return NULL;
	}
	if (n->n_configured == NET_TARGETS_MAX) {
		log_warn("server", "%s is passed over: there are more than %d addresses", address, NET_TARGETS_MAX);
		return NULL;
	}
	d = add_dial(n, address);
	if (d != NULL && !d->configured) {
		d->configured = true;
		n->n_configured++;
		*is_new = true;
	}
	return d;
}

static void configure(struct net *n, const char *text)
{
	bool is_new;

	(void)members_add_target(n, text, &is_new);
}

static bool dial_used(struct net *n, const struct dial *d)
{
	unsigned i;

	if (d->configured || d->conn != NULL) {
		return true;
	}
	for (i = 0; i < n->n_members; i++) {
		if (n->members[i]->dial == d) {
			return true;
		}
	}
	return false;
}

static void free_dial(struct dial *d)
{
	list_remove(&d->link);
	free(d);
}

static void drop_unused_dials(struct net *n)
{
	LIST_EACH (l, &n->dials) {
		struct dial *d = CONTAINER_OF(l, struct dial, link);

		if (!dial_used(n, d)) {
			free_dial(d);
		}
	}
}

void members_drop_dials(struct net *n)
{
	drop_unused_dials(n);
}

/* Who is at an address is known, and connected. */
bool member_is_reached(const struct net *n, const struct dial *d)
{
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		const struct member *m = n->members[i];

		if (m->conn != NULL && (m->dial == d || uuid_equal(&m->id, &d->reached) ||
		                        strcmp(m->hello.serf_addr, d->address) == 0)) {
			return true;
		}
	}
	return false;
}

static bool leads_to_left(struct net *n, const struct dial *d)
{
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		if (n->members[i]->dial == d && n->members[i]->status == MEMBER_LEFT) {
			return !d->configured;
		}
	}
	return false;
}

static void dial_failed(struct net *n, struct dial *d)
{
	int64_t now = net_now(n);
	int64_t most = d->configured && n->s->config.join_ms > 0 ? n->s->config.join_ms : NET_DIAL_MEMBER_MS;
	int64_t pause;

	d->tried = true;
	if (d->since_ms == 0) {
		d->since_ms = now;
	}
	if (now - d->since_ms < NET_HURRY_MS && most > NET_DIAL_HURRY_MS) {
		most = NET_DIAL_HURRY_MS;
	} else {
		d->rounds++;
	}
	pause = (int64_t)NET_DIAL_FIRST_MS << (d->fails < 16 ? d->fails : 16);
	d->fails++;
	d->next_ms = now + (pause < most ? pause : most);
	n->founding_due = true;
}

static void connect_to(struct net *n, struct dial *d)
{
	struct net_conn *nc = calloc(1, sizeof(*nc));

	if (nc == NULL) {
		dial_failed(n, d);
		return;
	}
	nc->net = n;
	nc->dial = d;
	list_init(&nc->places);
	list_insert(&n->conns, &nc->link);
	d->conn = nc;
	nc->rpc = rpc_connect(&n->host, d->address, NET_CONNECT_MS, nc);
	if (nc->rpc == NULL) {
		list_remove(&nc->link);
		free(nc);
		d->conn = NULL;
		dial_failed(n, d);
	}
}

static void dial_all(struct net *n)
{
	LIST_EACH (l, &n->dials) {
		struct dial *d = CONTAINER_OF(l, struct dial, link);

		if (d->conn == NULL && !d->self && net_now(n) >= d->next_ms && !member_is_reached(n, d) &&
		    !leads_to_left(n, d)) {
			connect_to(n, d);
		}
	}
}

bool members_all_tried(const struct net *n)
{
	LIST_EACH (l, &n->dials) {
		const struct dial *d = CONTAINER_OF(l, struct dial, link);

		if (!d->tried && !d->self && !member_is_reached(n, d)) {
			return false;
		}
	}
	return true;
}

/* Give up, if the configuration says so: when every address has been tried so often and none was ever reached. */
static void count_rounds(struct net *n)
{
	unsigned rounds = n->s->config.join_max;
	unsigned others = 0;

	if (rounds == 0 || n->met || net_in_cluster(n)) {
		return;
	}
	LIST_EACH (l, &n->dials) {
		const struct dial *d = CONTAINER_OF(l, struct dial, link);

		if (d->configured && !d->self) {
			others++;
			if (d->rounds < rounds) {
				return;
			}
		}
	}
	if (others > 0) {
		n->met = true; /* Once. */
		server_end(n->s, "no other server could be joined");
	}
}

/* ---- members ---- */

static bool same_texts(const struct rpc_hello *a, const struct rpc_hello *b)
{
	return object_equal(&rpc_hello_type, a, b);
}

/* Keep what a server says of itself. False: out of memory, and it is as it was. */
static bool take_hello(struct net *n, struct member *m, const struct rpc_hello *hello)
{
	struct arena mem = {0};
	struct rpc_hello copy;
	struct dial *d;

	if (m->hello.kind != NULL && same_texts(&m->hello, hello)) {
		return true;
	}
	d = add_dial(n, hello->rpc_addr);
	if (d == NULL || object_copy(&rpc_hello_type, &copy, hello, &mem) != 0) {
		arena_close(&mem);
		drop_unused_dials(n);
		return false;
	}
	copy.secret = "";
	arena_close(&m->mem);
	m->mem = mem;
	m->hello = copy;
	m->raft_id = (uint64_t)copy.raft_id;
	m->local = strcmp(copy.region, n->hello.region) == 0;
	if (m->dial != d) {
		bool had_one = m->dial != NULL; /* A new member is not on the list yet. */

		m->dial = d;
		if (had_one) {
			drop_unused_dials(n);
		}
	}
	members_changed(n);
	return true;
}

static void tell_founding(struct net *n, const struct member *m)
{
	if (m->local) {
		cluster_peer(n, m);
	}
}

static void forget(struct net *n, struct member *m)
{
	unsigned i;

	for (i = 0; n->members[i] != m; i++) {
	}
	n->members[i] = n->members[--n->n_members];
	arena_close(&m->mem);
	free(m);
	drop_unused_dials(n);
	members_changed(n);
}

static bool in_configuration(const struct net *n, uint64_t raft_id)
{
	struct replica_peer peers[REPLICA_MAX_SERVERS];
	unsigned count = replica_configuration(n->s->replica, peers, REPLICA_MAX_SERVERS);
	unsigned i;

	for (i = 0; i < count && i < REPLICA_MAX_SERVERS; i++) {
		if (peers[i].server.id == raft_id) {
			return true;
		}
	}
	return false;
}

/* Room for one more: whoever is gone for longest makes it. */
static bool make_room(struct net *n)
{
	struct member *oldest = NULL;
	unsigned i;

	if (n->n_members < NET_MEMBERS_MAX) {
		return true;
	}
	for (i = 0; i < n->n_members; i++) {
		struct member *m = n->members[i];

		if (m->conn == NULL && m->status != MEMBER_ALIVE && (oldest == NULL || m->since_ms < oldest->since_ms)) {
			oldest = m;
		}
	}
	if (oldest != NULL) {
		forget(n, oldest);
	}
	return oldest != NULL;
}

static struct member *add_member(struct net *n, const struct uuid *id, const struct rpc_hello *hello)
{
	struct member *m = make_room(n) ? calloc(1, sizeof(*m)) : NULL;

	if (m == NULL) {
		net_odd_server(n, hello->rpc_addr, "too many servers, or too little memory for another");
		return NULL;
	}
	m->id = *id;
	m->since_ms = net_now(n);
	if (!take_hello(n, m, hello)) {
		free(m);
		return NULL;
	}
	n->members[n->n_members++] = m;
	/* The one with the lower ID connects at once. */
	if (m->dial->next_ms == 0 && n->hello.raft_id > hello->raft_id) {
		m->dial->next_ms = net_now(n) + LATER_MS;
	}
	return m;
}

/* Somebody else is where this server was: its data is gone, and with it the server. */
static void drop_predecessors(struct net *n, const struct member *m)
{
	unsigned i;

	for (i = n->n_members; i-- > 0;) {
		struct member *other = n->members[i];

		if (other != m && other->conn == NULL && other->local && m->local &&
		    strcmp(other->hello.rpc_addr, m->hello.rpc_addr) == 0) {
			log_info("server", "%s has come back as another server at %s", other->hello.name,
			         other->hello.rpc_addr);
			forget(n, other);
		}
	}
}

/* ---- connections ---- */

/* Of two connections to the same server: is the second better? Of two that one side has opened the later one is: it
 * knows that the first is of no use. */
static bool is_better(const struct net *n, const struct net_conn *now, const struct net_conn *other)
{
	bool we_are_lower = n->hello.raft_id < other->hello.raft_id;
	bool now_ours = now->dial != NULL;
	bool other_ours = other->dial != NULL;

	return now_ours == other_ours || other_ours == we_are_lower;
}

static void use(struct net *n, struct member *m, struct net_conn *nc)
{
	if (m->conn != NULL && m->conn != nc) {
		m->conn->retired_ms = net_now(n);
	}
	m->conn = nc;
	nc->retired_ms = 0;
	nc->places_owed = m->local;
	m->told = 0;
	m->told_ms = 0;
	n->founding_due = true;
	net_soon(n);
}

void members_ready(struct net *n, struct net_conn *nc)
{
	struct member *m;
	struct uuid id;

	(void)uuid_parse(nc->hello.id, strlen(nc->hello.id), &id);
	m = member_by_id(n, &id);
	if (nc->dial != NULL) {
		nc->dial->reached = id;
		nc->dial->fails = nc->dial->rounds = 0;
		nc->dial->since_ms = 0;
		nc->dial->tried = true;
	}
	if (m == NULL) {
		m = add_member(n, &id, &nc->hello);
	} else if (!take_hello(n, m, &nc->hello)) {
		m = NULL;
	}
	if (m == NULL) {
		rpc_conn_doom(nc->rpc, ERR_BUSY, "too many servers");
		return;
	}
	n->met = true;
	nc->member = m;
	if (m->conn == NULL || is_better(n, m->conn, nc)) {
		if (m->conn == NULL || m->status != MEMBER_ALIVE) {
			log_info("server", "%s is here, at %s", m->hello.name, m->hello.rpc_addr);
		}
		use(n, m, nc);
	} else {
		nc->retired_ms = net_now(n);
	}
	if (m->status != MEMBER_ALIVE) {
		m->status = MEMBER_ALIVE;
		m->since_ms = net_now(n);
	}
	m->leaving = m->pruned = false;
	m->dead_ms = 0;
	drop_predecessors(n, m);
	tell_founding(n, m);
	members_changed(n);
	errands_retry(n);
}

static struct net_conn *another(struct net *n, const struct member *m)
{
	LIST_EACH (l, &n->conns) {
		struct net_conn *nc = CONTAINER_OF(l, struct net_conn, link);

		if (nc->member == m && nc->ready) {
			return nc;
		}
	}
	return NULL;
}

static void lost(struct net *n, struct member *m, int err)
{
	m->conn = another(n, m);
	if (m->conn != NULL) {
		use(n, m, m->conn);
		return;
	}
	if (!n->stopping) {
		log_info("server", "%s is lost: %s", m->hello.name, err == 0 ? "closed" : error_text(err));
	}
	m->since_ms = net_now(n);
	m->dial->next_ms = net_now(n) + (n->hello.raft_id < m->hello.raft_id ? NET_DIAL_FIRST_MS : LATER_MS);
	tell_founding(n, m);
	members_changed(n);
}

/* It is off the list of connections already. */
void members_closed(struct net *n, struct net_conn *nc, int err)
{
	struct member *m = nc->member;

	if (nc->dial != NULL) {
		nc->dial->conn = NULL;
		if (!nc->ready) {
			dial_failed(n, nc->dial);
		}
	}
	nc->member = NULL;
	if (m != NULL && m->conn == nc) {
		lost(n, m, err);
	}
}

/* Those that are not used any more. Closing calls back, so one at a time. */
static void close_retired(struct net *n)
{
	int64_t now = net_now(n);

	LIST_EACH (l, &n->conns) {
		struct net_conn *nc = CONTAINER_OF(l, struct net_conn, link);
		bool idle = nc->rpc->n_requests == 0 && nc->rpc->n_calls == 0;

		if (nc->retired_ms != 0 && ((idle && now - nc->retired_ms >= NET_RETIRE_MS) ||
		                            now - nc->retired_ms >= NET_RETIRE_MAX_MS)) {
			rpc_conn_close(nc->rpc, 0, "another connection is used");
			return;
		}
	}
}

/* ---- what servers tell each other ---- */

static void tell_of(struct net *n, const struct member *m, struct rpc_member *out)
{
	object_init(&rpc_member_type, out);
	out->hello = (struct rpc_hello *)(uintptr_t)&m->hello;
	out->status = member_status_text(m->status);
	out->incarnation = m->incarnation;
	out->voter = m->local && in_configuration(n, m->raft_id);
}

int members_all(struct net *n, struct rpc_members *out, struct arena *mem)
{
	unsigned i;

	object_init(&rpc_members_type, out);
	out->members.at = arena_calloc(mem, n->n_members + 1, sizeof(*out->members.at));
	if (out->members.at == NULL) {
		return ERR_NOMEM;
	}
	object_init(&rpc_member_type, &out->members.at[0]);
	out->members.at[0].hello = &n->hello;
	out->members.at[0].status = n->left ? "left" : "alive";
	out->members.at[0].incarnation = n->incarnation;
	for (i = 0; i < n->n_members; i++) {
		tell_of(n, n->members[i], &out->members.at[i + 1]);
	}
	out->members.n = n->n_members + 1;
	return 0;
}

/* What a server says of itself. */
static void learn_itself(struct net *n, struct net_conn *nc, struct member *m, const struct rpc_member *said)
{
	const char *cluster = said->hello->cluster_id;

	if (m->local && net_in_cluster(n) && cluster[0] != '\0' && strcmp(cluster, n->cluster) != 0) {
		net_odd(n, nc, "a server of another cluster");
		rpc_conn_doom(nc->rpc, ERR_REFUSED, "a server of another cluster");
		return;
	}
	m->incarnation = said->incarnation;
	if (strcmp(said->status, "left") == 0 && m->status != MEMBER_LEFT) {
		log_info("server", "%s leaves", m->hello.name);
		m->status = MEMBER_LEFT;
		m->since_ms = net_now(n);
		members_changed(n);
	}
	(void)take_hello(n, m, said->hello);
	tell_founding(n, m);
	n->founding_due = true;
}

static bool address_is_taken(struct net *n, const char *address)
{
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		if (n->members[i]->conn != NULL && strcmp(n->members[i]->hello.rpc_addr, address) == 0) {
			return true;
		}
	}
	return strcmp(address, n->hello.rpc_addr) == 0;
}

static void learn_new(struct net *n, const struct uuid *id, const struct rpc_member *said)
{
	struct member *m;

	if (strcmp(said->status, "left") == 0 || address_is_taken(n, said->hello->rpc_addr)) {
		return;
	}
	m = add_member(n, id, said->hello);
	if (m != NULL) {
		m->incarnation = said->incarnation;
		m->status = strcmp(said->status, "alive") == 0 ? MEMBER_ALIVE : MEMBER_FAILED;
		tell_founding(n, m);
	}
}

/* What a server says of another: who is connected here is known better. */
static void learn_other(struct net *n, struct member *m, const struct rpc_member *said)
{
	bool newer = said->incarnation > m->incarnation;

	if (m->conn != NULL || said->incarnation < m->incarnation) {
		return;
	}
	if (newer) {
		m->incarnation = said->incarnation;
		(void)take_hello(n, m, said->hello);
	}
	if (strcmp(said->status, "left") == 0 && m->status != MEMBER_LEFT) {
		m->status = MEMBER_LEFT;
		m->since_ms = net_now(n);
		members_changed(n);
	} else if (newer && m->status == MEMBER_LEFT) {
		m->status = MEMBER_FAILED; /* It has come back, and may be reached soon. */
		members_changed(n);
	}
}

void members_learn(struct net *n, struct net_conn *nc, const struct rpc_members *list)
{
	uint32_t i;

	for (i = 0; i < list->members.n && i <= NET_MEMBERS_MAX; i++) {
		const struct rpc_member *said = &list->members.at[i];
		struct member *m;
		struct uuid id;

		if (said->hello == NULL || !net_hello_valid(said->hello)) {
			continue;
		}
		(void)uuid_parse(said->hello->id, strlen(said->hello->id), &id);
		m = member_by_id(n, &id);
		if (uuid_equal(&id, &n->s->identity.id)) {
			continue;
		}
		if (m == NULL) {
			learn_new(n, &id, said);
		} else if (nc->member == m) {
			learn_itself(n, nc, m, said);
		} else {
			learn_other(n, m, said);
		}
	}
}

void members_serve(struct net *n, struct net_conn *nc, struct rpc_call *call)
{
	struct rpc_members list;
	struct arena mem = {0};

	if (pack_decode(&rpc_members_type, &list, call->payload, call->len, &mem) != 0) {
		rpc_fail(call, ERR_SYNTAX, "malformed members");
	} else {
		members_learn(n, nc, &list);
		if (members_all(n, &list, &mem) == 0) {
			rpc_reply_object(call, &rpc_members_type, &list);
		} else {
			rpc_fail(call, ERR_NOMEM, error_text(ERR_NOMEM));
		}
	}
	arena_close(&mem);
}

static void exchanged_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct member *m = CONTAINER_OF(req, struct member, exchange);
	struct rpc_members list;
	struct arena mem = {0};

	m->exchanging = false;
	if (m->conn != NULL) {
		struct net *n = m->conn->net;

		if (err != 0) {
			m->told = 0;
		} else if (rpc_get(&rpc_members_type, &list, frame, &mem) == 0) {
			members_learn(n, m->conn, &list);
		}
	}
	arena_close(&mem);
}

static void exchange(struct net *n, struct member *m)
{
	struct rpc_members list;
	struct arena mem = {0};

	if (members_all(n, &list, &mem) == 0) {
		m->exchange.reply_cb = exchanged_cb;
		m->told = n->version;
		m->told_ms = net_now(n);
		m->exchanging = rpc_send_object(m->conn->rpc, &m->exchange, RPC_METHOD_MEMBERS, &rpc_members_type, &list,
		                                EXCHANGE_TIMEOUT_MS) == 0;
	}
	arena_close(&mem);
}

static void exchange_all(struct net *n)
{
	int64_t now = net_now(n);
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		struct member *m = n->members[i];
		int64_t pace = m->told != n->version ? EXCHANGE_PACE_MS : NET_EXCHANGE_MS;

		if (m->conn != NULL && !m->exchanging && (m->told_ms == 0 || now - m->told_ms >= pace)) {
			exchange(n, m);
		}
	}
}

/* ---- time ---- */

static void judge(struct net *n)
{
	int64_t now = net_now(n);
	unsigned i;

	for (i = n->n_members; i-- > 0;) {
		struct member *m = n->members[i];
		int64_t gone = now - m->since_ms;

		if (m->conn != NULL) {
			continue;
		}
		if (m->status == MEMBER_ALIVE && gone >= NET_FAIL_MS) {
			log_warn("server", "%s has failed", m->hello.name);
			m->status = MEMBER_FAILED;
			m->since_ms = now;
			members_changed(n);
		} else if (m->status != MEMBER_ALIVE && (m->pruned || gone >= NET_FORGET_MS) &&
			   !in_configuration(n, m->raft_id)) {
			forget(n, m);
		}
	}
}

void members_tick(struct net *n)
{
	judge(n);
	close_retired(n);
	if (!n->leaving) {
		dial_all(n);
		count_rounds(n);
	}
	exchange_all(n);
	admin_tick(n);
}

/* ---- begin and end ---- */

int members_init(struct net *n)
{
	const struct strs *peers = &n->s->config.peers;
	uint32_t i;

	list_init(&n->dials);
	list_init(&n->admin);
	n->version = 1;
	for (i = 0; i < peers->n; i++) {
		configure(n, peers->at[i]);
	}
	return 0;
}

void members_close(struct net *n)
{
	while (n->n_members > 0) {
		struct member *m = n->members[--n->n_members];

		arena_close(&m->mem);
		free(m);
	}
	LIST_EACH (l, &n->dials) {
		free_dial(CONTAINER_OF(l, struct dial, link));
	}
}
