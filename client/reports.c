/*
 * What happened, told to the servers: the newest state of every allocation that changed since the last report.
 *
 * While one report is under way others gather, so that a burst of tasks costs few calls. A report that fails is made
 * anew, with what is true by then: nothing is lost as long as the client lives, and after a restart everything is told.
 */
#include "client/client_int.h"
#include "client/services.h"
#include "lib/log.h"
#include "proto/error.h"

#define GAP_NS (20 * NS_PER_MS)
#define RETRY_NS (500 * NS_PER_MS)

enum { CALL_MS = 10000 };

void reports_init(struct client *c)
{
	list_init(&c->reports.dirty);
	list_init(&c->reports.sent);
}

void reports_add(struct client_alloc *ca)
{
	list_remove(&ca->report);
	list_insert(&ca->client->reports.dirty, &ca->report);
}

void reports_all(struct client *c)
{
	LIST_EACH(e, &c->allocs) {
		struct client_alloc *ca = CONTAINER_OF(e, struct client_alloc, link);

		if (list_empty(&ca->report)) {
			reports_add(ca);
		}
	}
}

/* Only a node that the servers know has something to tell. */
static bool possible(const struct client *c)
{
	return c->link_up && c->session.registered && !c->reports.busy && !list_empty(&c->reports.dirty);
}

int64_t reports_due(const struct client *c)
{
	return possible(c) ? c->reports.not_before : 0;
}

static void done_cb(struct link_call *call, int err, const char *payload, size_t len)
{
	struct client *c = CONTAINER_OF(call, struct client, reports.call);
	struct list *e;

	c->reports.busy = false;
	c->reports.not_before = client_time(c) + (err == 0 ? GAP_NS : RETRY_NS);
	while ((e = list_pop(&c->reports.sent)) != NULL) {
		if (err != 0) {
			list_insert(&c->reports.dirty, e);
		}
	}
	if (err != 0 && err != ERR_CLOSED) {
		log_warn("client", "a report failed and is made again: %s%s%.*s", error_text(err), len > 0 ? ": " : "",
		         (int)len, len > 0 ? payload : "");
	}
}

static int fill(struct client *c, struct rpc_node_update *update, struct arena *mem)
{
	uint32_t n = 0;

	object_init(&rpc_node_update_type, update);
	update->node_id = c->node_id;
	update->secret_id = c->secret_id;
	update->allocs.at = arena_calloc(mem, REPORT_ALLOCS_MAX, sizeof(update->allocs.at[0]));
	if (update->allocs.at == NULL) {
		return ERR_NOMEM;
	}
	while (n < REPORT_ALLOCS_MAX && !list_empty(&c->reports.dirty)) {
		struct list *e = c->reports.dirty.next;

		struct client_alloc *ca = CONTAINER_OF(e, struct client_alloc, report);

		if (alloc_runner_report(&ca->ar, &update->allocs.at[n], mem) != 0 ||
		    services_fill(ca, &update->allocs.at[n], mem) != 0) {
			return ERR_NOMEM;
		}
		n++;
		list_remove(e);
		list_insert(&c->reports.sent, e);
	}
	update->allocs.n = n;
	return 0;
}

void reports_step(struct client *c)
{
	struct arena mem = {0};
	struct rpc_node_update update;
	int rc;

	if (!possible(c) || client_time(c) < c->reports.not_before) {
		return;
	}
	c->reports.call = (struct link_call){.done_cb = done_cb};
	c->reports.busy = true;
	rc = fill(c, &update, &mem);
	if (rc == 0) {
		rc = c->link->ops->call(c->link, &c->reports.call, RPC_METHOD_NODE_UPDATE, &rpc_node_update_type, &update,
		                        CALL_MS);
	}
	arena_close(&mem);
	if (rc != 0) {
		done_cb(&c->reports.call, rc, "", 0);
	}
}
