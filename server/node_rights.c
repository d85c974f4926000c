/*
 * What a token may do, for a node's agent that was asked something with it: as new as everything that was committed when
 * it asked, so that a token which a moment ago was made, or deleted, on another server is seen as it is.
 */
#include "server/net_parts.h"

#include <stdlib.h>
#include <string.h>

#include "proto/error.h"

enum { RULES_MAX = 4 << 20, SECRET_MAX = 128 };

/* Outlives its connection: reads end when they end. */
struct rights_request {
	struct net *net;
	struct net_conn *conn; /* NULL: it is lost. */
	struct list link;      /* In net->rights. */
	struct rpc_call *call;
	struct read read;
	char secret[SECRET_MAX];
};

/* The policies of an answer in the making. */
struct granted {
	const struct view *view;
	struct rpc_rights *out;
	struct arena *mem;
	size_t bytes;
};

/* ---- policies ---- */

static bool has(const struct rpc_rights *out, const char *name)
{
	uint32_t i;

	for (i = 0; i < out->policies.n; i++) {
		if (strcmp(out->policies.at[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* Policies that are gone grant nothing. What is for the tasks of one job is none of a token's. */
static int grant(struct granted *g, const char *name)
{
	const struct object_row *row = has(g->out, name) ? NULL : state_acl_policy(g->view, name);
	struct rpc_rights_policy *at;
	struct acl_policy policy;
	int rc = row == NULL ? 0 : acl_policy_row_get(row, &policy, g->mem);

	if (row == NULL || rc != 0) {
		return rc;
	}
	g->bytes += strlen(policy.rules);
	at = g->bytes > RULES_MAX ? NULL : arena_alloc(g->mem, (g->out->policies.n + 1) * sizeof(*at));
	if (at == NULL) {
		return g->bytes > RULES_MAX ? ERR_TOOBIG : ERR_NOMEM;
	}
	if (g->out->policies.n > 0) {
		memcpy(at, g->out->policies.at, g->out->policies.n * sizeof(*at));
	}
	at[g->out->policies.n] = (struct rpc_rights_policy){policy.name, policy.rules};
	g->out->policies.at = at;
	g->out->policies.n++;
	return 0;
}

static int grant_role(struct granted *g, const char *id)
{
	const struct acl_role_row *row = state_acl_role(g->view, id);
	struct acl_role role;
	int rc = row == NULL ? 0 : acl_role_row_get(g->view, row, &role, g->mem);
	uint32_t i;

	for (i = 0; row != NULL && rc == 0 && i < role.policies.n; i++) {
		rc = grant(g, role.policies.at[i].name);
	}
	return rc;
}

static int grant_token(struct granted *g, const struct acl_token_row *row)
{
	struct acl_token token;
	int rc = acl_token_row_get(g->view, row, &token, g->mem);
	uint32_t i;

	if (rc != 0) {
		return rc;
	}
	g->out->accessor = token.accessor_id;
	g->out->name = token.name;
	g->out->type = token.type;
	g->out->expires_ns = acl_token_row_expiry(row);
	for (i = 0; rc == 0 && i < token.policies.n; i++) {
		rc = grant(g, token.policies.at[i]);
	}
	for (i = 0; rc == 0 && i < token.roles.n; i++) {
		rc = grant_role(g, token.roles.at[i].id);
	}
	return rc;
}

/* ---- requests ---- */

static void refuse(struct rpc_rights *out, const char *why)
{
	out->status = 403;
	out->why = why;
}

static int find_rights(const struct server *s, struct granted *g, const char *secret, int64_t wall_ns)
{
	const struct acl_token_row *row;

	if (!s->config.acl.enabled) {
		g->out->status = 400;
		g->out->why = "ACL support disabled";
		return 0;
	}
	if (secret[0] == '\0') {
		g->out->accessor = g->out->name = "anonymous";
		g->out->type = "client";
		return grant(g, "anonymous");
	}
	row = state_acl_token_by_secret(g->view, secret);
	if (row == NULL) {
		refuse(g->out, "ACL token not found");
	} else if (acl_token_row_expired(row, wall_ns)) {
		refuse(g->out, "ACL token expired");
	} else {
		return grant_token(g, row);
	}
	return 0;
}

static void answer(struct rights_request *r)
{
	struct server *s = r->net->s;
	struct arena mem = {0};
	struct rpc_rights rights;
	struct granted g = {.view = server_view(s), .out = &rights, .mem = &mem};
	int rc;

	object_init(&rpc_rights_type, &rights);
	rc = find_rights(s, &g, r->secret, server_moment(s).wall_ns);
	if (rc == 0) {
		rpc_reply_object(r->call, &rpc_rights_type, &rights);
	} else {
		rpc_fail(r->call, rc, rc == ERR_TOOBIG ? "the token's policies are too long" : error_text(rc));
	}
	arena_close(&mem);
}

static void read_cb(struct read *read, int status)
{
	struct rights_request *r = CONTAINER_OF(read, struct rights_request, read);

	if (status != 0) {
		rpc_fail(r->call, status, error_text(status));
	} else if (r->conn == NULL || !caller_is_node(r->conn)) {
		rpc_fail(r->call, ERR_REFUSED, "the node is not registered");
	} else {
		answer(r);
	}
	list_remove(&r->link);
	free(r);
}

void node_rights(struct net *n, struct net_conn *nc, struct rpc_call *call)
{
	struct rights_request *r = calloc(1, sizeof(*r));
	struct rpc_node_rights said;
	struct arena mem = {0};
	int rc = r != NULL ? pack_decode(&rpc_node_rights_type, &said, call->payload, call->len, &mem) : ERR_NOMEM;

	if (rc == 0 && strlen(said.token) >= sizeof(r->secret)) {
		rc = ERR_TOOBIG;
	}
	if (rc == 0) {
		r->net = n;
		r->conn = nc;
		r->call = call;
		r->read.done_cb = read_cb;
		strcpy(r->secret, said.token);
		list_init(&r->link);
		rc = reads_add(&n->s->reads, &r->read, net_now(n));
	}
	if (rc == 0) {
		list_insert(&n->rights, &r->link);
	} else {
		free(r);
		rpc_fail(call, rc, error_text(rc));
	}
	arena_close(&mem);
}

void node_rights_closed(struct net *n, const struct net_conn *nc)
{
	LIST_EACH (l, &n->rights) {
		struct rights_request *r = CONTAINER_OF(l, struct rights_request, link);

		r->conn = r->conn == nc ? NULL : r->conn;
	}
}
