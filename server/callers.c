/*
 * Who is at the other end of a connection, and what he may call: the list of methods (proto/rpc.h) says it, here it is
 * enforced, once, before anything else of a call is looked at.
 */
#include "server/net_parts.h"

#include <string.h>

#include "lib/secret.h"
#include "proto/error.h"

/* ---- nodes ---- */

/* The packed node begins as its calls do. Attributes and all else are skipped: this is asked with every heartbeat. */
bool node_secret_fits(const struct node_row *row, const char *secret)
{
	struct arena mem = {0};
	struct rpc_node_claim registered;
	bool fits = secret[0] != '\0' &&
		    pack_decode(&rpc_node_claim_type, &registered, row->base->data, row->base->len, &mem) == 0 &&
		    secret_equal(registered.secret_id, secret);

	arena_close(&mem);
	return fits;
}

static const struct node_row *row_of(const struct net *n, const struct rpc_hello *hello)
{
	struct uuid id;

	return uuid_parse(hello->id, strlen(hello->id), &id) ? state_node(server_view(n->s), &id) : NULL;
}

bool caller_is_impostor(const struct net *n, const struct rpc_hello *hello)
{
	const struct node_row *row = row_of(n, hello);

	return row != NULL && !node_secret_fits(row, hello->secret);
}

bool caller_is_node(const struct net_conn *nc)
{
	const struct node_row *row = nc->kind == PEER_CLIENT ? row_of(nc->net, &nc->hello) : NULL;

	return row != NULL && node_secret_fits(row, nc->hello.secret);
}

/* It speaks for the node of its hello. */
static bool speaks_for_itself(const struct net_conn *nc, const struct rpc_call *call)
{
	struct arena mem = {0};
	struct rpc_node_claim claim;
	bool does = pack_decode(&rpc_node_claim_type, &claim, call->payload, call->len, &mem) == 0 &&
		    strcmp(claim.node_id, nc->hello.id) == 0 && secret_equal(claim.secret_id, nc->hello.secret);

	arena_close(&mem);
	return does;
}

/* ---- all ---- */

static unsigned who(const struct net_conn *nc)
{
	switch (nc->kind) {
	case PEER_SERVER:
		return strcmp(nc->hello.region, nc->net->hello.region) == 0 ? RPC_BY_SERVER : RPC_BY_REGION;
	case PEER_CLIENT:
		return RPC_BY_NODE;
	case PEER_CLI:
		return RPC_BY_OTHERS;
	default:
		return 0;
	}
}

bool caller_may_push(const struct net_conn *nc, uint32_t method)
{
	return (rpc_method_callers(method) & who(nc)) != 0;
}

bool caller_may(struct net_conn *nc, struct rpc_call *call)
{
	unsigned callers = rpc_method_callers(call->method);

	if ((callers & who(nc)) == 0) {
		net_odd(nc->net, nc, "a request that is not for this agent, or not from that one");
		rpc_fail(call, ERR_UNSUPPORTED, "not a request for this agent, or from that one");
		return false;
	}
	if (nc->kind == PEER_CLIENT && (callers & RPC_AS_NODE) != 0 && !speaks_for_itself(nc, call)) {
		net_odd(nc->net, nc, "a node that speaks for another one");
		rpc_fail(call, ERR_REFUSED, "a node's agent speaks for its own node only");
		return false;
	}
	return true;
}
