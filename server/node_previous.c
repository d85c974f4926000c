/* Where the data of an allocation is that another one replaces: for the node of that one, and for no other. */
#include "server/net_parts.h"

#include <string.h>

#include "proto/disk_token.h"
#include "proto/error.h"

static const struct alloc_row *find(const struct view *v, const char *id)
{
	struct uuid uuid;

	return uuid_parse(id, strlen(id), &uuid) ? state_alloc(v, &uuid) : NULL;
}

/* The row of the one before; NULL: there is none, or it was collected. */
static int find_previous(const struct view *v, const struct alloc_row *row, struct arena *mem,
			 const struct alloc_row **out)
{
	struct job_cache cache = {0};
	struct allocation alloc;
	int rc = alloc_row_get(row, &alloc, &cache, mem);

	if (rc == 0) {
		*out = find(v, alloc.previous_allocation);
	}
	return rc;
}

/* What has ended in order has left its data on its node. */
static int fill(const struct view *v, const struct alloc_row *previous, struct rpc_previous *out, struct arena *mem,
		char token[DISK_TOKEN_TEXT])
{
	const struct node_row *row = state_node(v, &previous->node_id);
	struct node node;
	char id[UUID_TEXT];
	int rc;

	out->client_status = alloc_client_text(previous->client);
	if (row == NULL || row->status == NODE_STATUS_DOWN ||
	    (previous->client != ALLOC_CLIENT_COMPLETE && previous->client != ALLOC_CLIENT_FAILED)) {
		return 0;
	}
	rc = pack_decode(&node_type, &node, row->base->data, row->base->len, mem);
	uuid_format(&previous->id, id);
	if (rc == 0 && disk_token(node.secret_id, id, token)) {
		out->http_addr = node.http_addr;
		out->token = token;
		out->tls = node.tls_enabled;
	}
	return rc;
}

void node_previous(struct net *n, struct net_conn *nc, struct rpc_call *call)
{
	const struct view *v = server_view(n->s);
	const struct alloc_row *previous = NULL;
	char token[DISK_TOKEN_TEXT];
	struct rpc_node_previous asked;
	struct rpc_previous answer;
	struct arena mem = {0};
	const struct alloc_row *row;
	struct uuid node;
	int rc = pack_decode(&rpc_node_previous_type, &asked, call->payload, call->len, &mem);

	object_init(&rpc_previous_type, &answer);
	row = rc == 0 ? find(v, asked.alloc_id) : NULL;
	if (rc == 0 && !caller_is_node(nc)) {
		rc = ERR_REFUSED;
	} else if (rc == 0 && row == NULL) {
		rc = ERR_NOTFOUND; /* This server may not have heard of it yet. */
	} else if (rc == 0 && (!uuid_parse(nc->hello.id, strlen(nc->hello.id), &node) || !uuid_equal(&row->node_id, &node))) {
		rc = ERR_REFUSED;
	}
	rc = rc == 0 ? find_previous(v, row, &mem, &previous) : rc;
	rc = rc == 0 && previous != NULL ? fill(v, previous, &answer, &mem, token) : rc;
	if (rc == 0) {
		rpc_reply_object(call, &rpc_previous_type, &answer);
	} else {
		rpc_fail(call, rc, rc == ERR_REFUSED ? "not an allocation of this node" : error_text(rc));
	}
	arena_close(&mem);
}
