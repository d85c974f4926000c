/* What a server without other agents needs of server/net.c: it founds a cluster of its own, and talks to nobody. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/error.h"
#include "server/shell.h"

struct net {
	struct server *s;
	bool stopped;
	uv_idle_t end;
	void (*stopped_cb)(void *ctx);
	void *stopped_ctx;
};

int net_new(struct server *s, struct net **out)
{
	*out = calloc(1, sizeof(**out));
	(*out)->s = s;
	return 0;
}

int net_start(struct net *n, char *why, size_t why_size)
{
	struct replica_fault f = {""};
	int rc = replica_listen(n->s->replica, n->s->config.bind_rpc, "rpc", true, &f);

	snprintf(why, why_size, "%s", f.text);
	return rc;
}

void net_connection(struct net *n, struct channel *ch, const char *listener, char first)
{
	(void)n;
	(void)listener;
	(void)first;
	channel_close(ch, NULL);
}

void net_ready(struct net *n, bool ready)
{
	(void)n;
	(void)ready;
}

void net_leader(struct net *n, uint64_t id, const char *address)
{
	(void)n;
	(void)id;
	(void)address;
}

void net_configuration(struct net *n)
{
	(void)n;
}

void net_changed(struct net *n, const struct view *v, const struct change *changes, size_t count)
{
	(void)n;
	(void)v;
	(void)changes;
	(void)count;
}

void net_replaced(struct net *n)
{
	(void)n;
}

static void found(struct server *s)
{
	const struct replica_server self = {s->identity.raft_id, s->config.rpc_addr, REPLICA_VOTER};

	s->identity.cluster = uuid_random();
	if (identity_save(&s->identity) != 0 || replica_bootstrap(s->replica, &self, 1) != 0) {
		abort();
	}
	server_joined(s);
}

void net_turn(struct net *n, bool ends)
{
	(void)ends;
	if (n->s->config.bootstrap_expect == 1 && uuid_is_zero(&n->s->identity.cluster)) {
		found(n->s);
	}
}

int net_ask_index(struct net *n)
{
	(void)n;
	return ERR_NOLEADER;
}

void net_forward(struct net *n, struct http_request *req, enum core_where where, const char *name,
		 const struct core_events *events, void *ctx)
{
	(void)n;
	(void)where;
	(void)name;
	(void)events;
	(void)ctx;
	http_answer_error(req, ERR_NOLEADER);
}

void net_info(struct net *n, struct core_info *info, struct arena *mem)
{
	const struct server_config *c = &n->s->config;

	info->members.at = arena_calloc(mem, 1, sizeof(info->members.at[0]));
	object_init(&core_member_type, info->members.at);
	info->members.at->name = c->name;
	info->members.at->addr = "127.0.0.1";
	info->members.n = 1;
	info->peers.at = arena_calloc(mem, 1, sizeof(info->peers.at[0]));
	object_init(&core_peer_type, info->peers.at);
	info->peers.at->id = c->name;
	info->peers.at->node = c->name;
	info->peers.at->address = c->rpc_addr;
	info->peers.at->leader = n->s->ready;
	info->peers.at->voter = true;
	info->peers.n = 1;
}

bool net_state_hash(struct net *n, uint64_t index, uint64_t *hash)
{
	(void)n;
	(void)index;
	(void)hash;
	return false;
}

unsigned net_metrics(struct net *n, struct metric *out, unsigned max)
{
	(void)n;
	(void)out;
	(void)max;
	return 0;
}

int net_remove_peer(struct net *n, const char *which, net_admin_cb done_cb, void *ctx)
{
	(void)n;
	(void)which;
	(void)done_cb;
	(void)ctx;
	return ERR_NOTFOUND;
}

int net_transfer(struct net *n, const char *which, net_admin_cb done_cb, void *ctx)
{
	return net_remove_peer(n, which, done_cb, ctx);
}

bool net_serves(const struct net *n)
{
	(void)n;
	return false;
}

int net_join(struct net *n, const struct strs *addresses, net_admin_cb done_cb, void *ctx)
{
	(void)addresses;
	return net_remove_peer(n, "", done_cb, ctx);
}

int net_force_leave(struct net *n, const char *name, bool prune)
{
	(void)prune;
	return net_remove_peer(n, name, NULL, NULL);
}

void net_leave(struct net *n, void (*left_cb)(void *ctx), void *ctx)
{
	(void)n;
	left_cb(ctx);
}

static void on_closed(uv_handle_t *handle)
{
	struct net *n = handle->data;

	n->stopped_cb(n->stopped_ctx);
}

void net_stop(struct net *n, void (*stopped_cb)(void *ctx), void *ctx)
{
	n->stopped_cb = stopped_cb;
	n->stopped_ctx = ctx;
	n->end.data = n;
	uv_idle_init(&n->s->loop, &n->end);
	uv_close((uv_handle_t *)&n->end, on_closed);
}

void net_free(struct net *n)
{
	free(n);
}
