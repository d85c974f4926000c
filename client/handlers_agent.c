#include "client/handlers_agent.h"

#include <stdlib.h>

#include "client/client_int.h"
#include "client/hoststats.h"
#include "proto/agent_facts.h"
#include "proto/error.h"
#include "proto/logstream.h"

enum { MONITORS_MAX = 64 };

/* ---- the agent's log ---- */

struct monitor {
	struct list link; /* In the client's `monitors`. */
	struct log_stream stream;
	struct client *client;
	uv_timer_t timer;
};

static void closed_cb(uv_handle_t *handle)
{
	struct monitor *m = handle->data;
	struct client *c = m->client;

	free(m);
	client_closed_handle(c);
}

static void end_monitor(struct monitor *m, bool whole)
{
	if (m->stream.req != NULL) {
		log_stream_end(&m->stream, whole);
	}
	list_remove(&m->link);
	m->client->n_monitors--;
	uv_close((uv_handle_t *)&m->timer, closed_cb);
}

static void step_cb(uv_timer_t *timer)
{
	struct monitor *m = timer->data;

	if (log_stream_step(&m->stream) != 0) {
		end_monitor(m, false);
	}
}

static void gone_cb(struct http_request *req)
{
	end_monitor(req->data, false);
}

static void drain_cb(struct http_request *req)
{
	((struct monitor *)req->data)->stream.waiting = false;
}

void monitor_answer(struct client *c, struct http_request *req)
{
	struct monitor *m = c->n_monitors < MONITORS_MAX ? calloc(1, sizeof(*m)) : NULL;

	if (m == NULL) {
		http_answer_text(req, 429, "too many monitors: this agent has %u", c->n_monitors);
		return;
	}
	m->client = c;
	uv_timer_init(c->loop, &m->timer);
	m->timer.data = m;
	c->handles++;
	c->n_monitors++;
	list_insert(&c->monitors, &m->link);
	req->data = m;
	req->gone_cb = gone_cb;
	req->drain_cb = drain_cb;
	if (log_stream_begin(&m->stream, req) != 0) {
		end_monitor(m, false); /* It has been answered. */
	} else {
		uv_timer_start(&m->timer, step_cb, 0, LOG_STREAM_STEP_MS);
	}
}

void monitors_end_all(struct client *c)
{
	LIST_EACH(e, &c->monitors) {
		end_monitor(CONTAINER_OF(e, struct monitor, link), true);
	}
}

/* ---- the machine and the process ---- */

void host_answer(struct client *c, struct http_request *req)
{
	agent_facts_host(c->config->facts, c->node_id, req);
}

void pprof_answer(struct client *c, struct http_request *req)
{
	agent_facts_pprof(c->config->facts, req->params[0], req);
}

void hoststats_answer(struct client *c, struct http_request *req)
{
	const struct node_resources *r = c->node.node_resources;
	double mhz = r != NULL && r->cpu != NULL ? (double)r->cpu->cpu_shares : 0;
	struct http_response res = {.type = "application/json"};
	struct host_stats stats;

	if (c->hoststats == NULL) {
		c->hoststats = calloc(1, sizeof(*c->hoststats));
	}
	if (c->hoststats == NULL ||
	    hoststats_look(c->hoststats, "", c->config->alloc_dir, mhz, &stats, &req->mem) != 0) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	stats.timestamp = client_now(c).wall_ns;
	json_encode(&host_stats_type, &stats, &res.body);
	http_answer(req, &res);
}
