/*
 * The server is asked for the allocation before until that has ended; then it says where its data can be had, over HTTP,
 * and gives a token for that. Whatever cannot be found out means that there is no data: the allocation runs all the same.
 */
#include "client/migrate.h"

#include <stdlib.h>
#include <string.h>

#include "client/client_int.h"
#include "lib/log.h"
#include "proto/error.h"

enum { ASK_EVERY_MS = 500, ASK_TIMEOUT_MS = 10000, FAILURES_MAX = 60 };

struct migration {
	struct client_alloc *alloc; /* NULL: forgotten. */
	struct client *client;
	uv_timer_t timer;
	struct link_call call;
	bool calling;
	bool closed; /* The timer is. */
	bool found;
	unsigned failures;
	char id[UUID_TEXT], previous[UUID_TEXT];
	struct migrate_source source;
};

static void found(struct migration *m)
{
	m->found = true;
	if (m->alloc != NULL) {
		host_ask_previous(m->alloc);
	}
}

static void wait_and_ask(struct migration *m);

/* ---- what the server says ---- */

/* Goes into a URL as it is. */
static bool is_address(const char *text)
{
	return text[0] != '\0' &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:[]") == strlen(text);
}

/* "" when it was collected. What has not begun or runs is waited for. */
static bool is_over(const char *client_status)
{
	return strcmp(client_status, "pending") != 0 && strcmp(client_status, "running") != 0;
}

static void take(struct migration *m, const char *payload, size_t len)
{
	struct arena mem = {0};
	struct rpc_previous p;

	if (pack_decode(&rpc_previous_type, &p, payload, len, &mem) != 0) {
		m->failures++;
	} else if (is_over(p.client_status)) {
		if (is_address(p.http_addr) && strlen(p.token) < sizeof(m->source.token)) {
			snprintf(m->source.url, sizeof(m->source.url), "%s://%.300s/v1/client/allocation/%s/snapshot",
			         p.tls ? "https" : "http", p.http_addr,
			         m->previous);
			snprintf(m->source.token, sizeof(m->source.token), "%s", p.token);
		}
		found(m);
	}
	arena_close(&mem);
}

/* ---- asking ---- */

static void done_cb(struct link_call *call, int err, const char *payload, size_t len)
{
	struct migration *m = CONTAINER_OF(call, struct migration, call);

	m->calling = false;
	if (m->closed) {
		free(m);
		return;
	}
	if (err == 0) {
		take(m, payload, len);
	} else if (err == ERR_UNSUPPORTED) {
		found(m); /* A server that does not know how. */
	} else if (err != ERR_CLOSED) {
		m->failures++;
	}
	wait_and_ask(m);
}

static void ask(struct migration *m)
{
	struct client *c = m->client;
	struct rpc_node_previous asked;

	object_init(&rpc_node_previous_type, &asked);
	asked.node_id = c->node_id;
	asked.secret_id = c->secret_id;
	asked.alloc_id = m->id;
	m->call = (struct link_call){.done_cb = done_cb};
	m->calling = c->link->ops->call(c->link, &m->call, RPC_METHOD_NODE_PREVIOUS, &rpc_node_previous_type, &asked,
	                                ASK_TIMEOUT_MS) == 0;
	if (!m->calling) {
		wait_and_ask(m);
	}
}

static void timer_cb(uv_timer_t *timer)
{
	ask(timer->data);
}

/* Without a server there is nothing to be found out, and no reason to give up; a server that fails is no help. */
static void wait_and_ask(struct migration *m)
{
	if (m->failures > FAILURES_MAX && !m->found) {
		found(m);
	}
	if (!m->found && m->alloc != NULL) {
		uv_timer_start(&m->timer, timer_cb, ASK_EVERY_MS, 0);
	}
}

/* ---- begin and end ---- */

static void closed_cb(uv_handle_t *handle)
{
	struct migration *m = handle->data;
	struct client *c = m->client;

	m->closed = true;
	if (!m->calling) {
		free(m);
	}
	client_closed_handle(c);
}

static struct migration *begin(struct client_alloc *ca)
{
	struct client *c = ca->client;
	struct migration *m = calloc(1, sizeof(*m));

	if (m == NULL) {
		return NULL;
	}
	m->alloc = ca;
	m->client = c;
	snprintf(m->id, sizeof(m->id), "%s", ca->id);
	snprintf(m->previous, sizeof(m->previous), "%s", ca->ar.spec->alloc.previous_allocation);
	uv_timer_init(c->loop, &m->timer);
	m->timer.data = m;
	c->handles++;
	uv_timer_start(&m->timer, timer_cb, 0, 0);
	return m;
}

static bool is_wanted(const struct client_alloc *ca)
{
	const struct ephemeral_disk *disk = ca->ar.spec->group->ephemeral_disk;
	const char *previous = ca->ar.spec->alloc.previous_allocation;
	struct uuid id;

	return disk != NULL && disk->migrate && strcmp(ca->ar.spec->alloc.desired_status, "run") == 0 &&
	       uuid_parse(previous, strlen(previous), &id) &&
	       client_find(ca->client, previous) == NULL && !ca->client->stopping;
}

bool migrate_waits(struct client_alloc *ca)
{
	if (ca->migration == NULL && is_wanted(ca)) {
		ca->migration = begin(ca);
	}
	return ca->migration != NULL && !ca->migration->found;
}

const struct migrate_source *migrate_source(const struct client_alloc *ca)
{
	static const struct migrate_source none;

	return ca->migration == NULL ? &none : &ca->migration->source;
}

void migrate_forget(struct client_alloc *ca)
{
	struct migration *m = ca->migration;

	ca->migration = NULL;
	if (m == NULL) {
		return;
	}
	m->alloc = NULL;
	uv_close((uv_handle_t *)&m->timer, closed_cb);
}
