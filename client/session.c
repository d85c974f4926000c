/*
 * What the servers know of the node: it registers, asks for what it is to run, and is heard of in time.
 *
 *     DOWN --> REGISTERING --> WATCHING --> READY
 *       ^ \__________\_____________^            |      one that is registered goes on with the next server
 *       |_____________\____________\___________/      whenever the server is lost
 *
 * One call at a time. A failed step is tried again after a pause that grows, with the next server if this one does not
 * answer. A server that does not know the node sends it back to REGISTERING.
 */
#include <stdlib.h>

#include "client/client_int.h"
#include "lib/log.h"
#include "proto/error.h"

#define MS NS_PER_MS

enum { CALL_MS = 5000, PAUSE_MIN_MS = 100, PAUSE_MAX_MS = 5000, TTL_LEAST_MS = 500, TTL_FIRST_S = 10 };

enum session_state { SESSION_DOWN, SESSION_REGISTERING, SESSION_WATCHING, SESSION_READY };

static const struct sm_state states[] = {
        [SESSION_DOWN] = {"down", SM_TO(SESSION_REGISTERING) | SM_TO(SESSION_WATCHING)},
        [SESSION_REGISTERING] = {"registering", SM_TO(SESSION_WATCHING) | SM_TO(SESSION_DOWN)},
        [SESSION_WATCHING] = {"watching", SM_TO(SESSION_READY) | SM_TO(SESSION_REGISTERING) | SM_TO(SESSION_DOWN)},
        [SESSION_READY] = {"ready", SM_TO(SESSION_REGISTERING) | SM_TO(SESSION_DOWN)},
};

static struct session *of(struct client *c)
{
	return &c->session;
}

void session_init(struct client *c)
{
	sm_init(&c->session.sm, states, NULL, SESSION_DOWN);
	c->session.heard_ns = client_time(c); /* An agent that starts gives the servers as much time. */
	c->session.ttl_ns = TTL_FIRST_S * NS_PER_S;
}

/* ---- alone ---- */

/* How long an allocation goes on without a server; 0 is for ever. */
static int64_t patience_ns(const struct client_alloc *ca)
{
	const struct task_group *group = ca->ar.spec->group;

	if (group->disconnect != NULL && group->disconnect->stop_on_client_after.set) {
		return group->disconnect->stop_on_client_after.at;
	}
	return group->stop_after_client_disconnect.set ? group->stop_after_client_disconnect.at : 0;
}

/* When it is to end for want of a server; 0 is never. */
static int64_t alone_until(const struct client *c, const struct client_alloc *ca)
{
	int64_t patience = alloc_runner_dead(&ca->ar) || ca->ar.cause == CAUSE_STOPPED ? 0 : patience_ns(ca);

	return patience <= 0 ? 0 : c->session.heard_ns + patience;
}

/* Allocations whose group says so end when no server was heard of for long: others may run in their place by then. */
static void end_the_lonely(struct client *c)
{
	struct moment now = client_now(c);

	LIST_EACH(e, &c->allocs) {
		struct client_alloc *ca = CONTAINER_OF(e, struct client_alloc, link);
		int64_t until = alone_until(c, ca);

		if (until != 0 && now.mono_ns >= until) {
			log_warn("client", "allocation %s ends: no server was heard of for too long", ca->id);
			alloc_runner_stop(&ca->ar, &now);
		}
	}
}

int64_t session_due(const struct client *c)
{
	int64_t due = c->session.busy ? 0 : c->session.due;

	LIST_EACH(e, &c->allocs) {
		int64_t until = alone_until(c, CONTAINER_OF(e, struct client_alloc, link));

		due = until != 0 && (due == 0 || until < due) ? until : due;
	}
	return due;
}

/* Heartbeats go at half the time that the servers grant, spread so that nodes do not beat together. */
static int64_t next_beat(struct client *c)
{
	int64_t ttl_ns = of(c)->ttl_ns < TTL_LEAST_MS * MS ? TTL_LEAST_MS * MS : of(c)->ttl_ns;
	struct moment now = client_now(c);

	return client_time(c) + ttl_ns / 2 - (int64_t)(now.random % (uint64_t)(ttl_ns / 10));
}

static void move(struct client *c, enum session_state to)
{
	sm_move(&of(c)->sm, (int)to);
	of(c)->due = to == SESSION_DOWN ? 0 : client_time(c);
}

/* ---- failures ---- */

static void pause_after_failure(struct client *c)
{
	struct session *s = of(c);
	int64_t pause_ns = (int64_t)PAUSE_MIN_MS * MS << (s->failures < 6 ? s->failures : 6);

	s->failures++;
	pause_ns = pause_ns > PAUSE_MAX_MS * MS ? PAUSE_MAX_MS * MS : pause_ns;
	s->due = client_time(c) + pause_ns / 2 + (int64_t)(client_now(c).random % (uint64_t)pause_ns) / 2;
}

static void failed(struct client *c, const char *what, int err, const char *text, size_t len)
{
	log_warn("client", "%s: %s%s%.*s", what, error_text(err), len > 0 ? ": " : "", (int)len, len > 0 ? text : "");
	pause_after_failure(c);
	if (c->link_up && err != ERR_CLOSED && err != ERR_BUSY) {
		c->link->ops->renew(c->link);
	}
}

/* ---- answers ---- */

static void heard(struct client *c)
{
	of(c)->failures = 0;
	of(c)->heard_ns = client_time(c);
	of(c)->heartbeat_wall_ns = client_now(c).wall_ns;
}

/* A lease, from a registration or a heartbeat: false when it cannot be read. */
/* Told once, and again when it has come to be so anew. */
static void look_at_access(struct client *c, bool servers_have_it)
{
	bool bare = servers_have_it && !c->config->acl_enabled;

	if (bare && !of(c)->bare) {
		log_warn("client",
		         "the servers have access control and this agent has not: whoever reaches its HTTP port may read all files of "
		         "its tasks and run commands in them; set acl { enabled = true } here, too");
	}
	of(c)->bare = bare;
}

static bool take_lease(struct client *c, const char *payload, size_t len, bool *unknown)
{
	struct arena mem = {0};
	struct rpc_node_lease lease;
	bool good = pack_decode(&rpc_node_lease_type, &lease, payload, len, &mem) == 0;

	if (good) {
		heard(c);
		of(c)->ttl_ns = lease.ttl > 0 ? lease.ttl : of(c)->ttl_ns;
		*unknown = lease.unknown;
		look_at_access(c, lease.acl);
		if (lease.servers.n > 0) {
			c->link->ops->servers(c->link, &lease.servers);
		}
	}
	arena_close(&mem);
	return good;
}

/* The call that was under way has ended. */
static struct client *ended(struct link_call *call)
{
	struct client *c = CONTAINER_OF(call, struct client, session.call);

	c->session.busy = false;
	return c;
}

static void registered_cb(struct link_call *call, int err, const char *payload, size_t len)
{
	struct client *c = ended(call);
	bool unknown;

	if (of(c)->sm.at != SESSION_REGISTERING) {
		return;
	}
	if (err != 0 || !take_lease(c, payload, len, &unknown)) {
		failed(c, "registering the node", err != 0 ? err : ERR_CORRUPT, payload, err != 0 ? len : 0);
		return;
	}
	if (of(c)->outdated) {
		of(c)->outdated = false;
		of(c)->due = client_time(c);
		return;
	}
	log_info("client", "node %s is registered", c->node_id);
	of(c)->registered = true;
	move(c, SESSION_WATCHING);
	reports_all(c);
}

static void watching_cb(struct link_call *call, int err, const char *payload, size_t len)
{
	struct client *c = ended(call);

	if (of(c)->sm.at != SESSION_WATCHING) {
		return;
	}
	if (err == ERR_NOTFOUND) {
		of(c)->registered = false;
		move(c, SESSION_REGISTERING);
		return;
	}
	if (err != 0) {
		failed(c, "asking for allocations", err, payload, len);
		return;
	}
	heard(c);
	move(c, SESSION_READY);
}

static void heartbeat_cb(struct link_call *call, int err, const char *payload, size_t len)
{
	struct client *c = ended(call);
	bool unknown = false;

	if (of(c)->sm.at != SESSION_READY) {
		return;
	}
	if (err != 0 || !take_lease(c, payload, len, &unknown)) {
		failed(c, "heartbeat", err != 0 ? err : ERR_CORRUPT, payload, err != 0 ? len : 0);
	} else if (unknown) {
		log_info("client", "the servers do not know the node: registering again");
		of(c)->index = 0;
		of(c)->registered = false;
		move(c, SESSION_REGISTERING);
	} else {
		of(c)->due = next_beat(c);
	}
}

/* ---- steps ---- */

typedef void (*done_cb)(struct link_call *call, int err, const char *payload, size_t len);

static void ask(struct client *c, uint32_t method, const struct type *type, const void *obj, done_cb cb)
{
	int rc;

	of(c)->call = (struct link_call){.done_cb = cb};
	of(c)->busy = true;
	rc = c->link->ops->call(c->link, &of(c)->call, method, type, obj, CALL_MS);
	if (rc != 0) {
		of(c)->busy = false;
		pause_after_failure(c);
	}
}

static void register_node(struct client *c)
{
	ask(c, RPC_METHOD_NODE_REGISTER, &node_type, &c->node, registered_cb);
}

static void watch(struct client *c)
{
	struct rpc_node_watch w;

	object_init(&rpc_node_watch_type, &w);
	w.node_id = c->node_id;
	w.secret_id = c->secret_id;
	w.index = of(c)->index;
	ask(c, RPC_METHOD_NODE_WATCH, &rpc_node_watch_type, &w, watching_cb);
}

static void beat(struct client *c)
{
	struct rpc_node_heartbeat h;

	object_init(&rpc_node_heartbeat_type, &h);
	h.node_id = c->node_id;
	h.secret_id = c->secret_id;
	h.status = "ready";
	ask(c, RPC_METHOD_NODE_HEARTBEAT, &rpc_node_heartbeat_type, &h, heartbeat_cb);
}

/* What is under way ends as if it had not been asked for. */
void session_register_again(struct client *c)
{
	of(c)->registered = false;
	of(c)->outdated = of(c)->sm.at == SESSION_REGISTERING && of(c)->busy;
	if (of(c)->sm.at == SESSION_WATCHING || of(c)->sm.at == SESSION_READY) {
		move(c, SESSION_REGISTERING);
	}
}

void session_step(struct client *c)
{
	static void (*const next[])(struct client *c) = {
	        [SESSION_REGISTERING] = register_node, [SESSION_WATCHING] = watch, [SESSION_READY] = beat};
	struct session *s = of(c);

	end_the_lonely(c);
	if (!s->busy && s->due != 0 && client_time(c) >= s->due && next[s->sm.at] != NULL) {
		s->due = 0;
		next[s->sm.at](c);
	}
}

/* ---- what the link tells ---- */

static void up_cb(void *ctx)
{
	struct client *c = ctx;

	c->link_up = true;
	live_up(&c->live, client_time(c));
	of(c)->failures = 0;
	move(c, of(c)->registered ? SESSION_WATCHING : SESSION_REGISTERING);
}

static void down_cb(void *ctx)
{
	struct client *c = ctx;

	c->link_up = false;
	if (of(c)->sm.at != SESSION_DOWN) {
		move(c, SESSION_DOWN);
	}
}

/* Servers have had their say about what was found at the start: what could not be adopted may run again, unless it
 * was just told to end. */
static void first_word(struct client *c)
{
	struct moment now = client_now(c);

	of(c)->told = true;
	LIST_EACH(e, &c->allocs) {
		alloc_runner_contacted(&CONTAINER_OF(e, struct client_alloc, link)->ar, &now);
	}
}

static void take_alloc(struct client *c, const struct allocation *alloc, struct alloc_source *source)
{
	struct client_alloc *ca = client_find(c, alloc->id);
	struct alloc_spec *spec;
	struct moment now;

	if (ca != NULL) {
		ca->seen = of(c)->pushes;
	}
	if (ca != NULL && ca->ar.spec->alloc.alloc_modify_index >= alloc->alloc_modify_index) {
		return;
	}
	/* What ended here and was collected, or ended elsewhere: nothing is to be done. */
	if (ca == NULL && alloc_client_parse(alloc->client_status) >= ALLOC_CLIENT_COMPLETE &&
	    alloc_client_parse(alloc->client_status) != ALLOC_CLIENT_UNKNOWN) {
		return;
	}
	spec = alloc_spec_make(alloc, source);
	if (spec == NULL) {
		log_warn("client", "allocation %s is of no use", alloc->id);
	} else if (ca == NULL) {
		ca = host_add(c, spec);
		if (ca != NULL) {
			ca->seen = of(c)->pushes;
		}
	} else {
		now = client_now(c);
		alloc_runner_update(&ca->ar, spec, &now);
	}
	alloc_spec_unref(spec);
}

static void forget_missing(struct client *c, const struct rpc_node_allocs *push)
{
	uint32_t i;

	for (i = 0; i < push->gone.n; i++) {
		struct client_alloc *ca = client_find(c, push->gone.at[i]);

		if (ca != NULL) {
			host_forget(ca);
		}
	}
	if (!push->whole) {
		return;
	}
	LIST_EACH(e, &c->allocs) {
		struct client_alloc *ca = CONTAINER_OF(e, struct client_alloc, link);

		if (ca->seen != of(c)->pushes) {
			host_forget(ca);
		}
	}
}

static void take_push(struct client *c, struct rpc_node_allocs *push, struct alloc_source *source)
{
	uint32_t i;

	of(c)->pushes++;
	for (i = 0; i < push->allocs.n; i++) {
		int64_t job = i < push->job_of.n ? push->job_of.at[i] : -1;

		if (job >= 0 && job < push->jobs.n) {
			push->allocs.at[i].job = &push->jobs.at[job];
		}
		take_alloc(c, &push->allocs.at[i], source);
	}
	forget_missing(c, push);
	of(c)->index = push->index;
	if (!of(c)->told) {
		first_word(c);
	}
}

static void push_cb(void *ctx, uint32_t method, const char *payload, size_t len)
{
	struct client *c = ctx;
	struct alloc_source *source = alloc_source_new();
	struct rpc_node_allocs push;
	int rc;

	if (source == NULL || method != RPC_METHOD_NODE_ALLOCS || c->stopping) {
		free(source);
		return;
	}
	rc = pack_decode(&rpc_node_allocs_type, &push, payload, len, &source->mem);
	if (rc == 0) {
		take_push(c, &push, source);
	} else {
		log_error("client", "what the server wants to run cannot be read: %s", error_text(rc));
	}
	alloc_source_unref(source);
}

static void http_cb(void *ctx, struct http_request *req)
{
	client_http(ctx, req);
}

const struct link_events session_events = {
        .up_cb = up_cb, .down_cb = down_cb, .push_cb = push_cb, .http_cb = http_cb};
