/* What clients say of their nodes, on the leader. */
#include "server/net_parts.h"

#include <string.h>

#include "proto/error.h"

/* ---- who speaks ---- */

/* The row of a node that speaks: 0; ERR_NOTFOUND, ERR_REFUSED, ERR_INVALID. */
static int find_node(struct errand *e, const char *id, const char *secret, const struct node_row **row)
{
	if (!uuid_parse(id, strlen(id), &e->node)) {
		return ERR_INVALID;
	}
	*row = state_node(server_view(e->net->s), &e->node);
	if (*row == NULL) {
		return ERR_NOTFOUND;
	}
	return node_secret_fits(*row, secret) ? 0 : ERR_REFUSED;
}

/* ---- leases ---- */

/* Addresses of all servers that a client may turn to, ours first. */
static int put_servers(struct net *n, struct strs *out, struct arena *mem)
{
	unsigned i;

	out->at = arena_calloc(mem, n->n_members + 1, sizeof(*out->at));
	if (out->at == NULL) {
		return ERR_NOMEM;
	}
	out->at[out->n++] = n->hello.rpc_addr;
	for (i = 0; i < n->n_members; i++) {
		const struct member *m = n->members[i];

		if (m->local && m->status == MEMBER_ALIVE) {
			out->at[out->n++] = m->hello.rpc_addr;
		}
	}
	return 0;
}

/* Here this server leads. */
static void grant(struct errand *e, int64_t ttl_ns, bool unknown)
{
	struct net *n = e->net;
	struct arena mem = {0};
	struct rpc_node_lease lease;

	object_init(&rpc_node_lease_type, &lease);
	lease.ttl = ttl_ns;
	lease.unknown = unknown;
	lease.index = (int64_t)state_index(server_view(n->s));
	lease.leader_addr = n->hello.rpc_addr;
	lease.acl = n->s->config.acl.enabled;
	if (put_servers(n, &lease.servers, &mem) == 0) {
		errand_reply(e, &rpc_node_lease_type, &lease);
	} else {
		errand_fail(e, ERR_NOMEM, NULL);
	}
	arena_close(&mem);
}

/* The node is heard of: how long may it be silent? */
static void beat(struct errand *e)
{
	struct server *s = e->net->s;
	struct moment at = server_moment(s);
	int64_t ttl_ns = 0;
	int rc = leader_heartbeat(&s->leader, server_view(s), &e->node, e->status, &at, &ttl_ns);

	if (rc == 0 || rc == ERR_NOTFOUND) {
		grant(e, ttl_ns, rc != 0);
	} else if (rc == ERR_NOTLEADER) {
		errand_again(e, rc);
	} else {
		errand_fail(e, rc, NULL);
	}
}

/* ---- requests ---- */

static bool is_uuid(const char *text)
{
	struct uuid id;

	return uuid_parse(text, strlen(text), &id);
}

/* What is wrong with a node; NULL: nothing. */
static const char *why_not(const struct node *node)
{
	if (!is_uuid(node->id)) {
		return "a node's ID must be a UUID";
	}
	if (node->secret_id[0] == '\0') {
		return "missing node secret ID for client registration";
	}
	if (node->name[0] == '\0' || node->datacenter[0] == '\0') {
		return "missing node name or datacenter for client registration";
	}
	return NULL;
}

void node_register_run(struct errand *e)
{
	struct arena mem = {0};
	struct node node;
	struct node_register command = {.node = &node};
	const char *why;

	if (pack_decode(&node_type, &node, e->payload.at, e->payload.len, &mem) != 0) {
		errand_fail(e, ERR_SYNTAX, "a malformed node");
		arena_close(&mem);
		return;
	}
	why = why_not(&node);
	if (why != NULL) {
		errand_fail(e, ERR_INVALID, why);
	} else {
		(void)uuid_parse(node.id, strlen(node.id), &e->node);
		e->status = node.status[0] == '\0' ? NODE_STATUS_INIT : node_status_parse(node.status);
		errand_write(e, COMMAND_NODE_REGISTER, &command, beat);
	}
	arena_close(&mem);
}

void node_heartbeat_run(struct errand *e)
{
	struct arena mem = {0};
	struct rpc_node_heartbeat h;
	const struct node_row *row;
	int rc = pack_decode(&rpc_node_heartbeat_type, &h, e->payload.at, e->payload.len, &mem);

	if (rc == 0) {
		e->status = node_status_parse(h.status);
		rc = e->status < 0 ? ERR_INVALID : find_node(e, h.node_id, h.secret_id, &row);
	}
	arena_close(&mem);
	if (rc == ERR_NOTFOUND) {
		grant(e, 0, true);
	} else if (rc != 0) {
		errand_fail(e, rc, rc == ERR_REFUSED ? "the node's secret is not this" : NULL);
	} else {
		beat(e);
	}
}

/* Those reports that are of allocations of the node. Others are of allocations that were collected, and passed over;
 * ERR_REFUSED: one is another node's. */
static int take_reports(const struct errand *e, const struct rpc_node_update *update, struct alloc_reports *out,
                        struct arena *mem)
{
	const struct view *v = server_view(e->net->s);
	uint32_t i;

	out->reports.at = arena_calloc(mem, update->allocs.n + 1, sizeof(*out->reports.at));
	if (out->reports.at == NULL) {
		return ERR_NOMEM;
	}
	out->reports.n = 0;
	for (i = 0; i < update->allocs.n; i++) {
		const struct alloc_row *row;
		struct uuid id;
		int rc;

		if (!uuid_parse(update->allocs.at[i].id, strlen(update->allocs.at[i].id), &id)) {
			return ERR_INVALID;
		}
		row = state_alloc(v, &id);
		if (row == NULL) {
			continue;
		}
		if (!uuid_equal(&row->node_id, &e->node)) {
			return ERR_REFUSED;
		}
		rc = alloc_report_fill(&out->reports.at[out->reports.n], &update->allocs.at[i], mem);
		if (rc != 0) {
			return rc;
		}
		out->reports.n++;
	}
	return 0;
}

static void updated(struct errand *e)
{
	struct rpc_index index;

	object_init(&rpc_index_type, &index);
	index.index = (int64_t)e->result.index;
	errand_reply(e, &rpc_index_type, &index);
}

void node_update_run(struct errand *e)
{
	struct arena mem = {0};
	struct rpc_node_update update;
	struct alloc_reports reports;
	const struct node_row *row;
	int rc = pack_decode(&rpc_node_update_type, &update, e->payload.at, e->payload.len, &mem);

	object_init(&alloc_reports_type, &reports);
	if (rc == 0) {
		rc = find_node(e, update.node_id, update.secret_id, &row);
	}
	if (rc == 0) {
		rc = take_reports(e, &update, &reports, &mem);
	}
	if (rc != 0) {
		errand_fail(e, rc, NULL);
	} else if (reports.reports.n == 0) {
		e->result.index = state_index(server_view(e->net->s));
		updated(e);
	} else {
		errand_write(e, COMMAND_ALLOC_REPORTS, &reports, updated);
	}
	arena_close(&mem);
}
