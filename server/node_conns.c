/*
 * Which nodes are connected, here and to other servers.
 *
 * A node is connected here from when it asks for its work: then its secret has been seen to be right. It is told its work
 * when this server has applied all that was committed when it asked, so that a client which turns from one server to
 * another never sees an older state than before.
 */
#include "server/net_parts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"

enum { PLACES_NEWS_MAX = 1024 }; /* Of nodes; when there are more, others are told of all. */

void node_conns_init(struct net *n)
{
	list_init(&n->dirty);
}

static uint64_t hash_of(const struct uuid *id)
{
	return watch_key_id(id);
}

struct node_conn *node_conn_find(struct net *n, const struct uuid *id)
{
	struct hash_link *l;

	for (l = hash_first(&n->nodes, hash_of(id)); l != NULL; l = hash_next(l)) {
		struct node_conn *node = CONTAINER_OF(l, struct node_conn, by_id);

		if (uuid_equal(&node->id, id)) {
			return node;
		}
	}
	return NULL;
}

/* ---- what other servers must hear ---- */

static void note_news(struct net *n, const struct uuid *id)
{
	if (n->news == NULL) {
		n->news = calloc(PLACES_NEWS_MAX, sizeof(*n->news));
	}
	if (n->news == NULL || n->n_news == PLACES_NEWS_MAX) {
		n->all_news = true;
	} else {
		n->news[n->n_news++] = *id;
	}
	net_soon(n);
}

static bool put_id(struct strs *to, const struct uuid *id, struct arena *mem)
{
	char *text = arena_alloc(mem, UUID_TEXT);

	if (text != NULL) {
		uuid_format(id, text);
		to->at[to->n++] = text;
	}
	return text != NULL;
}

static bool all_here(struct net *n, struct rpc_nodes_at *out, struct arena *mem)
{
	struct hash_link *l = NULL;
	bool good;

	object_init(&rpc_nodes_at_type, out);
	out->whole = true;
	out->here.at = arena_calloc(mem, n->nodes.n + 1, sizeof(*out->here.at));
	good = out->here.at != NULL;
	while (good && (l = hash_walk(&n->nodes, l)) != NULL) {
		good = put_id(&out->here, &CONTAINER_OF(l, struct node_conn, by_id)->id, mem);
	}
	return good;
}

static bool the_news(struct net *n, struct rpc_nodes_at *out, struct arena *mem)
{
	bool good;
	unsigned i;

	object_init(&rpc_nodes_at_type, out);
	out->here.at = arena_calloc(mem, n->n_news + 1, sizeof(*out->here.at));
	out->gone.at = arena_calloc(mem, n->n_news + 1, sizeof(*out->gone.at));
	good = out->here.at != NULL && out->gone.at != NULL;
	for (i = 0; good && i < n->n_news; i++) {
		good = put_id(node_conn_find(n, &n->news[i]) != NULL ? &out->here : &out->gone, &n->news[i], mem);
	}
	return good;
}

static void push_places(struct net_conn *nc, const struct rpc_nodes_at *at)
{
	nc->places_owed =
	        rpc_push_object(nc->rpc, RPC_METHOD_NODES_AT, &rpc_nodes_at_type, at) != 0 && nc->rpc->state == RPC_CONN_READY;
}

/* Those that were told of all before hear what is new; others, and those for whom that did not work, hear of all. */
void places_turn(struct net *n)
{
	struct rpc_nodes_at news, all;
	struct arena mem = {0};
	bool has_news = n->n_news > 0 && !n->all_news && the_news(n, &news, &mem);
	bool has_all = false;
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		struct net_conn *nc = n->members[i]->local ? n->members[i]->conn : NULL;

		if (nc == NULL) {
			continue;
		}
		if (nc->places_owed || n->all_news || (n->n_news > 0 && !has_news)) {
			has_all = has_all || all_here(n, &all, &mem);
			nc->places_owed = true;
			if (has_all) {
				push_places(nc, &all);
			}
		} else if (has_news) {
			push_places(nc, &news);
		}
	}
	n->n_news = 0;
	n->all_news = false;
	arena_close(&mem);
}

/* ---- nodes at other servers ---- */

static struct place *find_place(struct net *n, const struct uuid *id)
{
	struct hash_link *l;

	for (l = hash_first(&n->places, hash_of(id)); l != NULL; l = hash_next(l)) {
		struct place *p = CONTAINER_OF(l, struct place, by_id);

		if (uuid_equal(&p->id, id)) {
			return p;
		}
	}
	return NULL;
}

static void forget_place(struct net *n, struct place *p)
{
	hash_remove(&n->places, &p->by_id);
	list_remove(&p->link);
	free(p);
}

static void learn_place(struct net *n, struct net_conn *nc, const struct uuid *id)
{
	struct place *p = find_place(n, id);

	if (p == NULL) {
		p = n->places.n < NET_PLACES_MAX ? calloc(1, sizeof(*p)) : NULL;
		if (p == NULL) {
			return;
		}
		p->id = *id;
		list_init(&p->link);
		hash_add(&n->places, &p->by_id, hash_of(id));
	}
	list_remove(&p->link);
	list_insert(&nc->places, &p->link);
	p->at = nc;
}

void places_forget(struct net *n, struct net_conn *nc)
{
	LIST_EACH (l, &nc->places) {
		forget_place(n, CONTAINER_OF(l, struct place, link));
	}
}

void places_learn(struct net *n, struct net_conn *nc, const char *payload, size_t len)
{
	struct rpc_nodes_at said;
	struct arena mem = {0};
	struct uuid id;
	uint32_t i;

	if (pack_decode(&rpc_nodes_at_type, &said, payload, len, &mem) != 0) {
		net_odd(n, nc, "a malformed list of nodes");
		arena_close(&mem);
		return;
	}
	if (said.whole) {
		places_forget(n, nc);
	}
	for (i = 0; i < said.here.n; i++) {
		if (uuid_parse(said.here.at[i], strlen(said.here.at[i]), &id)) {
			learn_place(n, nc, &id);
		}
	}
	for (i = 0; i < said.gone.n; i++) {
		struct place *p = uuid_parse(said.gone.at[i], strlen(said.gone.at[i]), &id) ? find_place(n, &id) : NULL;

		/* Unless it has turned to another server, which has told of it before. */
		if (p != NULL && p->at == nc) {
			forget_place(n, p);
		}
	}
	arena_close(&mem);
}

struct net_conn *node_way(struct net *n, const struct uuid *id)
{
	struct node_conn *node = node_conn_find(n, id);
	struct place *p = node == NULL ? find_place(n, id) : NULL;

	return node != NULL ? node->conn : p != NULL ? p->at : NULL;
}

/* ---- nodes here ---- */

static void detach(struct net *n, struct node_conn *node)
{
	struct uuid id = node->id;

	push_drop(node);
	hash_remove(&n->nodes, &node->by_id);
	list_remove(&node->link);
	node->conn->node = NULL;
	free(node->changed);
	free(node);
	note_news(n, &id);
}

static int attach(struct net *n, struct net_conn *nc, const struct uuid *id)
{
	struct node_conn *node = node_conn_find(n, id);

	if (node != NULL && node->conn != nc) {
		/* The client has lost that one, though we do not know it yet. */
		rpc_conn_doom(node->conn->rpc, ERR_CLOSED, "the node has another connection");
		detach(n, node);
		node = NULL;
	}
	if (node == NULL) {
		node = calloc(1, sizeof(*node));
		if (node == NULL) {
			return ERR_NOMEM;
		}
		node->id = *id;
		node->conn = nc;
		list_init(&node->link);
		hash_add(&n->nodes, &node->by_id, hash_of(id));
		nc->node = node;
		note_news(n, id);
	}
	push_all(n, node);
	return 0;
}

/* ---- asking for work ---- */

/* Outlives its connection: reads end when they end. */
struct watch_request {
	struct net *net;
	struct net_conn *conn; /* NULL: it is lost. */
	struct rpc_call *call;
	struct read read;
	struct uuid id;
	char secret[NET_TEXT_MAX];
};

static void answer_watch(struct watch_request *w)
{
	const struct view *v = server_view(w->net->s);
	const struct node_row *row = state_node(v, &w->id);
	struct rpc_index index;

	if (row == NULL) {
		rpc_fail(w->call, ERR_NOTFOUND, "the node is not registered");
	} else if (!node_secret_fits(row, w->secret)) {
		rpc_fail(w->call, ERR_REFUSED, "the node's secret is not this");
	} else if (w->conn == NULL || attach(w->net, w->conn, &w->id) != 0) {
		rpc_fail(w->call, ERR_NOMEM, error_text(ERR_NOMEM));
	} else {
		object_init(&rpc_index_type, &index);
		index.index = (int64_t)state_index(v);
		rpc_reply_object(w->call, &rpc_index_type, &index);
	}
}

static void read_cb(struct read *r, int status)
{
	struct watch_request *w = CONTAINER_OF(r, struct watch_request, read);

	if (w->conn != NULL) {
		w->conn->asking = NULL;
	}
	if (status != 0) {
		rpc_fail(w->call, status, error_text(status));
	} else {
		answer_watch(w);
	}
	free(w);
}

static int take_watch(struct watch_request *w, const struct rpc_call *call)
{
	struct rpc_node_watch said;
	struct arena mem = {0};
	int rc = pack_decode(&rpc_node_watch_type, &said, call->payload, call->len, &mem);

	if (rc == 0 && (!uuid_parse(said.node_id, strlen(said.node_id), &w->id) ||
	                strcmp(said.node_id, w->conn->hello.id) != 0 || strlen(said.secret_id) >= sizeof(w->secret))) {
		rc = ERR_INVALID;
	}
	if (rc == 0) {
		strcpy(w->secret, said.secret_id);
	}
	arena_close(&mem);
	return rc;
}

void node_watch(struct net *n, struct net_conn *nc, struct rpc_call *call)
{
	struct watch_request *w = nc->asking == NULL ? calloc(1, sizeof(*w)) : NULL;
	int rc = nc->asking != NULL ? ERR_BUSY : ERR_NOMEM;

	if (w != NULL) {
		w->net = n;
		w->conn = nc;
		w->call = call;
		w->read.done_cb = read_cb;
		rc = take_watch(w, call);
		nc->asking = w;
	}
	if (w != NULL && rc == 0) {
		rc = reads_add(&n->s->reads, &w->read, net_now(n));
	}
	if (rc != 0) {
		if (w != NULL) {
			nc->asking = NULL;
			free(w);
		}
		rpc_fail(call, rc, error_text(rc));
	}
}

void node_closed(struct net *n, struct net_conn *nc)
{
	if (nc->asking != NULL) {
		nc->asking->conn = NULL;
		nc->asking = NULL;
	}
	if (nc->node != NULL) {
		detach(n, nc->node);
	}
}

void node_conns_close(struct net *n)
{
	hash_close(&n->nodes);
	hash_close(&n->places);
	free(n->news);
}
