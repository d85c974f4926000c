/*
 * HTTP requests to other agents and from them: the table by which proto/relay.h passes them between the threads.
 *
 * Nothing is kept and sent again here: a request that was not carried out goes back to the API, which waits for a leader
 * with it, or tells its client.
 */
#include "server/net_parts.h"

#include <stdio.h>
#include <string.h>

#include "proto/error.h"

/* What a target begins with: the relay keeps it as text. */
enum { TO_LEADER = 'l', TO_REGION = 'r', TO_NODE = 'n', TO_SERVER = 's' };

/* ---- the core thread ---- */

static void post_http(void *ctx, struct mail *mail)
{
	server_post_http(((struct net *)ctx)->s, mail);
}

static void post_rpc(void *ctx, struct mail *mail)
{
	server_post_core(((struct net *)ctx)->s, mail);
}

/* Any server of the region, another one each time. */
static struct net_conn *region_way(struct net *n, const char *region)
{
	unsigned i;

	for (i = 0; i < n->n_members; i++) {
		struct member *m = n->members[(n->region_turn + i) % n->n_members];

		if (m->conn != NULL && strcmp(m->hello.region, region) == 0) {
			n->region_turn = (n->region_turn + i + 1) % n->n_members;
			return m->conn;
		}
	}
	return NULL;
}

static struct net_conn *server_way(struct net *n, const struct uuid *id)
{
	const struct member *m = member_by_id(n, id);

	return m != NULL ? m->conn : NULL;
}

static struct rpc_conn *route(void *ctx, const char *target, int *err)
{
	struct net *n = ctx;
	struct net_conn *nc = NULL;
	struct uuid id;

	*err = ERR_NOTFOUND;
	if (n->stopping) {
		*err = ERR_NOLEADER;
	} else if (target[0] == TO_LEADER) {
		*err = ERR_NOLEADER;
		nc = net_leader_conn(n);
	} else if (target[0] == TO_REGION) {
		nc = region_way(n, target + 1);
	} else if (!uuid_parse(target + 1, strlen(target + 1), &id)) {
		nc = NULL;
	} else if (target[0] == TO_SERVER) {
		nc = server_way(n, &id);
	} else {
		nc = node_way(n, &id);
	}
	return nc != NULL ? nc->rpc : NULL;
}

/* ---- the HTTP thread ---- */

static void handle(void *ctx, struct http_request *req)
{
	struct net *n = ctx;

	if (n->s->api == NULL) {
		http_answer_stopping(req);
	} else {
		api_handle(n->s->api, req);
	}
}

/* An answer that does not come in time says no more than a connection that is lost. */
static void returned(void *ctx, struct http_request *req, int err)
{
	struct net *n = ctx;

	n->events->returned_cb(n->events_ctx, req, err == ERR_TIMEOUT ? ERR_UNKNOWN : err);
}

void net_forward(struct net *n, struct http_request *req, enum core_where where, const char *name,
                 const struct core_events *events, void *ctx)
{
	static const char begin[] = {
		[CORE_TO_LEADER] = TO_LEADER, [CORE_TO_REGION] = TO_REGION, [CORE_TO_NODE] = TO_NODE,
		[CORE_TO_SERVER] = TO_SERVER};
	char target[RELAY_TARGET_MAX + 1];

	n->events = events;
	n->events_ctx = ctx;
	snprintf(target, sizeof(target), "%c%s", begin[where], where == CORE_TO_LEADER ? "" : name);
	relay_forward(&n->relay, req, target, 0);
}

bool net_serves(const struct net *n)
{
	return n->relay.serving > 0;
}

void forward_init(struct net *n)
{
	n->relay = (struct relay){.ctx = n,
	                          .post_http = post_http,
	                          .post_rpc = post_rpc,
	                          .route = route,
	                          .handle = handle,
	                          .returned = returned};
}
