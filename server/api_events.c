/*
 * /v1/event/stream: what happens, one line of JSON for each index, to whoever listens.
 *
 *     feed --> events_take() --> batches that are kept --> each stream, at its own pace: filter, render, write
 *
 * Streams do not wait for each other: one whose client does not read stands still, and when what it wants next is no
 * longer kept it is told so and cut. Rendering is done in slices, in turn.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "server/api_handlers.h"

enum {
	KEPT_BATCHES = 256,  /* What entries of the log have changed: so many of the latest, */
	KEPT_EVENTS = 4096,  /* of no more events than these; the latest whatever it has. */
	STREAMS_MAX = 1024,  /* Further ones are answered with 429. */
	PIECE_BYTES = 64 << 10,
};

#define HEARTBEAT_NS (10 * NS_PER_S)

struct events {
	struct event_batch *kept[KEPT_BATCHES];
	uint64_t first, next; /* Numbers of batches, from the first that is kept. Number n is at n % KEPT_BATCHES. */
	size_t n_events;
	struct list streams;
	unsigned n_streams;
};

struct topic {
	int topic;       /* enum event_topic; -1: all. */
	const char *key; /* NULL: all. */
};

struct event_stream {
	struct list link;
	struct deadline heartbeat;
	struct api *api;
	struct http_request *req;
	uint64_t at;   /* The batch that comes next. */
	uint64_t from; /* Events with a lower index are passed over. */
	const char *ns;
	struct topic *topics;
	unsigned n_topics;
	bool waiting;  /* Its client is to read first. */
	bool caught_up; /* It has been told all that was kept when it began. What it has not reached yet may go. */
};

/* ---- what is kept ---- */

int events_open(struct api *api)
{
	api->events = calloc(1, sizeof(*api->events));
	if (api->events == NULL) {
		return ERR_NOMEM;
	}
	list_init(&api->events->streams);
	return 0;
}

static void drop_first(struct events *e)
{
	struct event_batch **b = &e->kept[e->first++ % KEPT_BATCHES];

	e->n_events -= (*b)->n;
	event_batch_free(*b);
	*b = NULL;
}

static void drop_all(struct events *e)
{
	while (e->first < e->next) {
		drop_first(e);
	}
}

void events_shut(struct api *api)
{
	drop_all(api->events);
	events_close(&api->feed);
	free(api->events);
}

static void keep(struct events *e, struct event_batch *b)
{
	while (e->first < e->next && (e->next - e->first == KEPT_BATCHES || e->n_events + b->n > KEPT_EVENTS)) {
		drop_first(e);
	}
	e->kept[e->next++ % KEPT_BATCHES] = b;
	e->n_events += b->n;
}

void events_take(struct api *api)
{
	struct events *e = api->events;
	struct event_batch *b;

	if (events_pull_gap(&api->feed)) {
		drop_all(e);
		e->first = ++e->next; /* A number that nobody gets: whoever stood before it has missed something. */
	}
	while ((b = events_pull(&api->feed)) != NULL) {
		keep(e, b);
	}
}

/* ---- one event ---- */

struct told {
	const char *key;
	const char *ns;
	const char *filter_keys[2]; /* NULL: not there. */
	const struct type *type;
	const void *object;
};

static const char *id_text(struct arena *mem, const struct uuid *id)
{
	static const struct uuid none;

	return memcmp(id, &none, sizeof(none)) == 0 ? NULL : uuid_text(mem, id);
}

/* Each finds out what filters look at, and then, when `whole`, what is told. 0, or an ERR_ code. */
static int tell_job(const struct event *e, struct told *t, bool whole, struct arena *mem)
{
	const struct job_row *row = (const struct job_row *)(const void *)e->row;
	struct job *job = arena_calloc(mem, 1, sizeof(*job));

	t->key = job_row_id(row);
	t->ns = job_row_ns(row);
	t->type = &job_type;
	t->object = job;
	return job == NULL ? ERR_NOMEM : whole ? job_row_get(row, job, mem) : 0;
}

static int tell_eval(const struct event *e, struct told *t, bool whole, struct arena *mem)
{
	const struct eval_row *row = (const struct eval_row *)(const void *)e->row;
	struct evaluation *eval = arena_calloc(mem, 1, sizeof(*eval));
	int rv = eval == NULL ? ERR_NOMEM : eval_row_get(row, eval, mem);

	(void)whole; /* The deployment's ID is in the packed part. */
	t->key = id_text(mem, &row->id);
	t->ns = eval_row_ns(row);
	t->filter_keys[0] = eval_row_job(row);
	t->filter_keys[1] = rv == 0 && eval->deployment_id[0] != '\0' ? eval->deployment_id : NULL;
	t->type = &evaluation_type;
	t->object = eval;
	return rv;
}

static int tell_alloc(const struct event *e, struct told *t, bool whole, struct arena *mem)
{
	const struct alloc_row *row = (const struct alloc_row *)(const void *)e->row;
	struct allocation *a = arena_calloc(mem, 1, sizeof(*a));
	int rv = a == NULL ? ERR_NOMEM : whole ? alloc_row_get(row, a, NULL, mem) : 0;

	t->key = id_text(mem, &row->id);
	t->ns = job_row_ns(row->job);
	t->filter_keys[0] = job_row_id(row->job);
	t->filter_keys[1] = id_text(mem, &row->deployment_id);
	t->type = &allocation_type;
	t->object = a;
	if (rv == 0) {
		a->job = NULL;
		object_hide_secrets(&allocation_type, a);
	}
	return rv;
}

static int tell_deployment(const struct event *e, struct told *t, bool whole, struct arena *mem)
{
	const struct deployment_row *row = (const struct deployment_row *)(const void *)e->row;
	struct deployment *d = arena_calloc(mem, 1, sizeof(*d));

	t->key = id_text(mem, &row->id);
	t->ns = deployment_row_ns(row);
	t->filter_keys[0] = deployment_row_job(row);
	t->type = &deployment_type;
	t->object = d;
	return d == NULL ? ERR_NOMEM : whole ? deployment_row_get(row, d, mem) : 0;
}

static int tell_node(const struct event *e, struct told *t, bool whole, struct arena *mem)
{
	const struct node_row *row = (const struct node_row *)(const void *)e->row;
	struct node *node = arena_calloc(mem, 1, sizeof(*node));
	int rv = node == NULL ? ERR_NOMEM : whole ? node_row_get(row, node, mem) : 0;

	t->key = id_text(mem, &row->id);
	t->type = &node_type;
	t->object = node;
	if (rv == 0) {
		object_hide_secrets(&node_type, node);
	}
	return rv;
}

static int tell_node_pool(const struct event *e, struct told *t, bool whole, struct arena *mem)
{
	const struct object_row *row = (const struct object_row *)(const void *)e->row;
	struct node_pool *pool = arena_calloc(mem, 1, sizeof(*pool));

	t->key = row->key;
	t->type = &node_pool_type;
	t->object = pool;
	return pool == NULL ? ERR_NOMEM : whole ? object_row_get(row, &node_pool_type, pool, mem) : 0;
}

static int tell_service(const struct event_batch *b, const struct event *e, struct told *t, struct arena *mem)
{
	const struct service_row *row = (const struct service_row *)(const void *)e->row;
	struct service_registration *s = arena_calloc(mem, 1, sizeof(*s));
	int rv = s == NULL ? ERR_NOMEM : service_row_get(e->gone ? b->before : b->now, row, s, mem);

	t->key = service_row_id(row);
	t->ns = service_row_ns(row);
	t->filter_keys[0] = rv == 0 ? s->job_id : NULL;
	t->filter_keys[1] = service_row_name(row);
	t->type = &service_registration_type;
	t->object = s;
	return rv;
}

static int tell_policy(const struct event *e, struct told *t, bool whole, struct arena *mem)
{
	const struct object_row *row = (const struct object_row *)(const void *)e->row;
	struct acl_policy *policy = arena_calloc(mem, 1, sizeof(*policy));

	t->key = row->key;
	t->type = &acl_policy_type;
	t->object = policy;
	return policy == NULL ? ERR_NOMEM : whole ? acl_policy_row_get(row, policy, mem) : 0;
}

/* Without its secret: no member of what is told can hold one. */
static int tell_token(const struct event_batch *b, const struct event *e, struct told *t, bool whole, struct arena *mem)
{
	const struct acl_token_row *row = (const struct acl_token_row *)(const void *)e->row;
	struct acl_token_stub *token = arena_calloc(mem, 1, sizeof(*token));

	t->key = uuid_text(mem, &row->accessor);
	t->type = &acl_token_stub_type;
	t->object = token;
	return token == NULL ? ERR_NOMEM
	       : whole       ? acl_token_row_stub(e->gone ? b->before : b->now, row, token, mem)
			     : 0;
}

static int tell_role(const struct event_batch *b, const struct event *e, struct told *t, bool whole, struct arena *mem)
{
	const struct acl_role_row *row = (const struct acl_role_row *)(const void *)e->row;
	struct acl_role *role = arena_calloc(mem, 1, sizeof(*role));

	t->key = uuid_text(mem, &row->id);
	t->filter_keys[0] = row->name;
	t->type = &acl_role_type;
	t->object = role;
	return role == NULL ? ERR_NOMEM : whole ? acl_role_row_get(e->gone ? b->before : b->now, row, role, mem) : 0;
}

static int tell(const struct event_batch *b, const struct event *e, struct told *t, bool whole, struct arena *mem)
{
	*t = (struct told){.ns = ""};
	switch ((enum event_topic)e->topic) {
	case EVENT_TOPIC_JOB:
		return tell_job(e, t, whole, mem);
	case EVENT_TOPIC_EVALUATION:
		return tell_eval(e, t, whole, mem);
	case EVENT_TOPIC_ALLOCATION:
		return tell_alloc(e, t, whole, mem);
	case EVENT_TOPIC_DEPLOYMENT:
		return tell_deployment(e, t, whole, mem);
	case EVENT_TOPIC_NODE:
		return tell_node(e, t, whole, mem);
	case EVENT_TOPIC_NODE_POOL:
		return tell_node_pool(e, t, whole, mem);
	case EVENT_TOPIC_SERVICE:
		return tell_service(b, e, t, mem);
	case EVENT_TOPIC_ACL_POLICY:
		return tell_policy(e, t, whole, mem);
	case EVENT_TOPIC_ACL_TOKEN:
		return tell_token(b, e, t, whole, mem);
	case EVENT_TOPIC_ACL_ROLE:
		return tell_role(b, e, t, whole, mem);
	case N_EVENT_TOPICS:
		break;
	}
	return ERR_TYPE;
}

static void put_text(struct buf *out, const char *text)
{
	json_put_str(out, text, strlen(text));
}

static void put_event(const struct event *e, const struct told *t, struct buf *out)
{
	bool first = true;

	buf_printf(out, "{\"Topic\":\"%s\",\"Type\":\"%s\",\"Key\":", event_topic_text(e->topic),
		   event_type_text(e->type));
	put_text(out, t->key != NULL ? t->key : "");
	buf_str(out, ",\"Namespace\":");
	put_text(out, t->ns);
	buf_str(out, ",\"FilterKeys\":");
	for (unsigned i = 0; i < 2; i++) {
		if (t->filter_keys[i] != NULL) {
			buf_byte(out, first ? '[' : ',');
			put_text(out, t->filter_keys[i]);
			first = false;
		}
	}
	buf_printf(out, "%s,\"Index\":%llu,\"Payload\":{\"%s\":", first ? "null" : "]", (unsigned long long)e->index,
		   event_topic_text(e->topic));
	json_encode(t->type, t->object, out);
	buf_str(out, e->gone && e->topic == EVENT_TOPIC_JOB ? ",\"Deleted\":true}}" : "}}");
}

/* ---- who may hear of it ---- */

/* NULL: everything may be heard. */
static bool hears(const struct acl *acl, enum event_topic topic, const char *ns, const char *key)
{
	if (acl == NULL) {
		return true;
	}
	switch (topic) {
	case EVENT_TOPIC_NODE:
		return acl_may(acl, ACL_NODE, ACL_READ);
	case EVENT_TOPIC_NODE_POOL:
		return key != NULL ? acl_node_pool(acl, key, ACL_POOL_READ) : acl_any_node_pool(acl, ACL_POOL_READ);
	case EVENT_TOPIC_ACL_POLICY:
	case EVENT_TOPIC_ACL_TOKEN:
	case EVENT_TOPIC_ACL_ROLE:
		return acl_is_management(acl);
	default:
		return ns != NULL ? acl_in_namespace(acl, ns, ACL_READ_JOB) : acl_any_namespace(acl, ACL_READ_JOB);
	}
}

static const struct acl *acl_of(const struct event_stream *s)
{
	return access_serial(s->req) != 0 ? access_acl(s->req) : NULL;
}

/* ---- who wants it ---- */

static bool key_fits(const char *key, const struct told *t)
{
	if (key == NULL || (t->key != NULL && strcmp(key, t->key) == 0)) {
		return true;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (t->filter_keys[i] != NULL && strcmp(key, t->filter_keys[i]) == 0) {
			return true;
		}
	}
	return false;
}

static bool topic_fits(const struct event_stream *s, const struct event *e)
{
	for (unsigned i = 0; i < s->n_topics; i++) {
		if (s->topics[i].topic < 0 || s->topics[i].topic == e->topic) {
			return true;
		}
	}
	return false;
}

static bool is_wanted(const struct event_stream *s, const struct event *e, const struct told *t)
{
	if ((t->ns[0] != '\0' && strcmp(s->ns, "*") != 0 && strcmp(s->ns, t->ns) != 0) ||
	    !hears(acl_of(s), (enum event_topic)e->topic, t->ns, t->key != NULL ? t->key : "")) {
		return false;
	}
	for (unsigned i = 0; i < s->n_topics; i++) {
		if ((s->topics[i].topic < 0 || s->topics[i].topic == e->topic) && key_fits(s->topics[i].key, t)) {
			return true;
		}
	}
	return false;
}

/* One event, if it is wanted, behind those of the same line. A row that cannot be read is passed over: it is told by
 * whoever asks for it. */
static void add_event(const struct event_stream *s, const struct event_batch *b, const struct event *e, struct buf *out,
		      uint64_t *line)
{
	struct arena mem = {0};
	struct told t;

	if (e->index >= s->from && topic_fits(s, e) && tell(b, e, &t, false, &mem) == 0 && is_wanted(s, e, &t) &&
	    tell(b, e, &t, true, &mem) == 0) {
		if (*line == e->index) {
			buf_byte(out, ',');
		} else {
			buf_printf(out, "%s{\"Index\":%llu,\"Events\":[", *line != 0 ? "]}\n" : "",
				   (unsigned long long)e->index);
			*line = e->index;
		}
		put_event(e, &t, out);
	}
	arena_close(&mem);
}

/* ---- streams ---- */

static void end_stream(struct event_stream *s, bool whole)
{
	struct http_request *req = s->req;

	list_remove(&s->link);
	deadline_clear(s->api, &s->heartbeat);
	if (--s->api->events->n_streams == 0) {
		events_listen(&s->api->feed, false);
	}
	req->gone_cb = NULL;
	req->drain_cb = NULL;
	http_stream_end(req, whole); /* The stream is in its memory. */
}

/* False: the stream has ended. */
static bool send(struct event_stream *s, const char *data, size_t len)
{
	int rv = http_stream_write(s->req, data, len);

	if (rv < 0) {
		end_stream(s, false);
		return false;
	}
	s->waiting = rv == HTTP_WAIT;
	if (deadline_set(s->api, &s->heartbeat, api_now(s->api) + HEARTBEAT_NS) != 0) {
		end_stream(s, false);
		return false;
	}
	return true;
}

/* Go clients take an object without an index for a heartbeat; the cut connection is what they see. */
static void end_behind(struct event_stream *s)
{
	static const char text[] = "{\"Error\":\"the stream has fallen behind: events were dropped that it had not "
				   "been sent; read anew, and subscribe again\"}\n";

	if (http_stream_write(s->req, text, sizeof(text) - 1) < 0) {
		end_stream(s, false);
		return;
	}
	end_stream(s, false);
}

/* Its token may have gone since, or may do less. False: the stream has ended. */
static bool is_still_allowed(struct event_stream *s)
{
	bool allowed = api_still_allows(s->api, s->req);

	if (!allowed) {
		end_stream(s, false);
	}
	return allowed;
}

static void send_next(struct event_stream *s)
{
	const struct events *all = s->api->events;
	const struct event_batch *b;
	struct buf out = {0};
	uint64_t line = 0;

	if (s->at < all->first && s->caught_up) {
		end_behind(s);
		return;
	}
	if (!is_still_allowed(s)) {
		return;
	}
	s->at = s->at < all->first ? all->first : s->at;
	if (s->at == all->next) { /* What was kept is gone, and nothing has come since. */
		s->caught_up = true;
		return;
	}
	b = all->kept[s->at++ % KEPT_BATCHES];
	s->caught_up = s->caught_up || s->at == all->next;
	for (uint32_t i = 0; i < b->n; i++) {
		add_event(s, b, &b->at[i], &out, &line);
	}
	if (line != 0) {
		buf_str(&out, "]}\n");
	}
	if (out.failed) {
		end_stream(s, false);
	} else if (out.len > 0) {
		(void)send(s, out.at, out.len);
	}
	buf_close(&out);
}

static bool has_next(const struct event_stream *s)
{
	return !s->waiting && s->at < s->api->events->next;
}

bool events_run(struct api *api, int64_t end_ns)
{
	struct events *e = api->events;
	bool more = false;

	LIST_EACH (link, &e->streams) {
		struct event_stream *s = CONTAINER_OF(link, struct event_stream, link);

		if (!has_next(s)) {
			continue;
		}
		if (api_now(api) >= end_ns) {
			more = true;
			break;
		}
		/* Behind the others, for the next turn; it may end in this one. */
		list_remove(&s->link);
		list_insert(&e->streams, &s->link);
		more = more || s->at + 1 < e->next;
		send_next(s);
	}
	return more;
}

void events_stop(struct api *api)
{
	LIST_EACH (link, &api->events->streams) {
		end_stream(CONTAINER_OF(link, struct event_stream, link), true);
	}
}

static void on_gone(struct http_request *req)
{
	end_stream(req->data, false);
}

static void on_drain(struct http_request *req)
{
	struct event_stream *s = req->data;

	s->waiting = false;
	api_run_soon(s->api);
}

static void on_heartbeat(struct deadline *d)
{
	struct event_stream *s = CONTAINER_OF(d, struct event_stream, heartbeat);

	if (s->waiting) {
		if (deadline_set(s->api, d, api_now(s->api) + HEARTBEAT_NS) != 0) {
			end_stream(s, false);
		}
	} else if (is_still_allowed(s)) {
		(void)send(s, "{}\n", 3);
	}
}

/* ---- beginning ---- */

/* "Topic", "Topic:key" or "Topic:*". A topic that does not exist here has no events. */
static int parse_topic(struct http_request *req, const char *text, struct topic *out)
{
	const char *colon = strchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);

	if (len == 0 || (colon != NULL && (colon[1] == '\0' || strchr(colon + 1, ':') != NULL))) {
		http_answer_text(req, 400, "Invalid key value pair for topic, topic: %s", text);
		return ERR_INVALID;
	}
	*out = (struct topic){N_EVENT_TOPICS, colon == NULL || strcmp(colon + 1, "*") == 0 ? NULL : colon + 1};
	if (len == 1 && text[0] == '*') {
		out->topic = -1;
	}
	for (int i = 0; i < N_EVENT_TOPICS; i++) {
		const char *name = event_topic_text((enum event_topic)i);

		if (strlen(name) == len && memcmp(name, text, len) == 0) {
			out->topic = i;
		}
	}
	return 0;
}

/* Who names a topic that he hears nothing of is told so; of all topics he hears what he may. */
static bool may_subscribe(const struct event_stream *s)
{
	const char *ns = strcmp(s->ns, "*") != 0 ? s->ns : NULL;

	for (unsigned i = 0; i < s->n_topics; i++) {
		int topic = s->topics[i].topic;

		if (topic >= 0 && topic < N_EVENT_TOPICS && !hears(acl_of(s), (enum event_topic)topic, ns, NULL)) {
			api_refuse(s->req, ACCESS_DENIED);
			return false;
		}
	}
	return true;
}

/* 0, or answered. */
static int parse_topics(struct event_stream *s)
{
	struct http_request *req = s->req;
	const char *text;
	unsigned at = 0;

	s->topics = arena_calloc(&req->mem, (size_t)req->n_pairs + 1, sizeof(s->topics[0]));
	if (s->topics == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return ERR_NOMEM;
	}
	while ((text = http_query_next(req, "topic", &at)) != NULL) {
		if (parse_topic(req, text, &s->topics[s->n_topics]) != 0) {
			return ERR_INVALID;
		}
		s->n_topics++;
	}
	if (s->n_topics == 0) {
		s->topics[s->n_topics++] = (struct topic){-1, NULL};
	}
	return may_subscribe(s) ? 0 : ERR_DENIED;
}

/* 0, or answered. */
static int parse_stream(struct event_stream *s)
{
	const char *ns = http_query(s->req, "namespace");
	int64_t index = 0;

	if (http_query_int(s->req, "index", &index) != 0 || index < 0) {
		http_answer_text(s->req, 400, "Unable to parse index: %s", http_query(s->req, "index"));
		return ERR_INVALID;
	}
	s->from = (uint64_t)index;
	s->ns = ns != NULL && ns[0] != '\0' ? ns : "default";
	return parse_topics(s);
}

/* The head leaves with the first heartbeat, so that clients know that they listen. */
static void begin_stream(struct api *api, struct event_stream *s)
{
	struct http_response head = {.type = "application/json"};
	struct http_request *req = s->req;

	req->data = s;
	req->gone_cb = on_gone;
	req->drain_cb = on_drain;
	s->api = api;
	events_listen(&api->feed, true);
	events_take(api); /* It may have waited for long, and push out what is kept. */
	s->at = api->events->first;
	s->caught_up = s->at == api->events->next;
	s->heartbeat.due_cb = on_heartbeat;
	list_insert(&api->events->streams, &s->link);
	api->events->n_streams++;
	http_stream_begin(req, &head);
	if (send(s, "{}\n", 3)) {
		api_run_soon(api);
	}
}

void serve_event_stream(struct api *api, struct http_request *req)
{
	struct event_stream *s = arena_calloc(&req->mem, 1, sizeof(*s));

	if (s == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	s->req = req;
	if (parse_stream(s) != 0) {
		return;
	}
	if (api->events->n_streams == STREAMS_MAX) {
		http_answer_text(req, 429, "too many event streams: this server has %d", STREAMS_MAX);
		return;
	}
	begin_stream(api, s);
}
