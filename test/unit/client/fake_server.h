/**
 * A server for a client under test, in the same process: it takes registrations, heartbeats and reports, pushes
 * allocations, and loses connections when told to. It is a link (client/link.h); what goes through it is packed and
 * unpacked as on a wire.
 */
#ifndef TEST_UNIT_CLIENT_FAKE_SERVER_H_
#define TEST_UNIT_CLIENT_FAKE_SERVER_H_

#include "test/unit/unit.h"

#include <uv.h>

#include "client/link.h"
#include "lib/list.h"
#include "proto/error.h"
#include "proto/rpc_objects.h"

/* What was reported last of an allocation. */
struct fake_report {
	struct list link;
	struct arena mem;
	struct alloc_update update;
};

struct fake_answer {
	struct list link;
	struct link_call *call;
	int err;
	struct buf payload;
};

/* A read of the API that waits for the test to answer it. */
struct fake_read {
	struct list link;
	struct link_read *read;
	char target[512];
};

struct fake_server {
	struct client_link link;
	struct list reads;
	const struct link_events *events;
	void *ctx;
	uv_timer_t timer;
	struct list answers; /* Still to be given. */
	struct list reports;
	bool up, stopped;
	bool forgetful;  /* Does not know the node when it beats. */
	bool unreliable; /* Reports are taken, and then the answer is lost. */
	int64_t ttl_ns;
	unsigned registrations, heartbeats, watches, updates, renewals;
	int64_t watched_index;
	/* What a token may do; 0, or an ERR_ code. NULL: nobody asks. */
	int (*rights)(const char *token, struct rpc_rights *out);
	bool acl; /* They have access control. */
	unsigned rights_asked;
	void (*stopped_cb)(void *ctx);
	void *stopped_ctx;
};

static inline struct fake_server *fake_server_of(struct client_link *link)
{
	return CONTAINER_OF(link, struct fake_server, link);
}

static inline void fake_server_pump(uv_timer_t *timer)
{
	struct fake_server *s = timer->data;
	struct list *e;

	while ((e = list_pop(&s->answers)) != NULL) {
		struct fake_answer *a = CONTAINER_OF(e, struct fake_answer, link);

		a->call->done_cb(a->call, a->err, a->payload.at == NULL ? "" : a->payload.at, a->payload.len);
		buf_close(&a->payload);
		free(a);
	}
}

static inline void fake_server_answer(struct fake_server *s, struct link_call *call, int err, const struct type *type,
                                      const void *obj)
{
	struct fake_answer *a = calloc(1, sizeof(*a));

	a->call = call;
	a->err = err;
	if (obj != NULL) {
		pack_encode(type, obj, &a->payload);
	}
	list_insert(&s->answers, &a->link);
	uv_timer_start(&s->timer, fake_server_pump, 0, 0);
}

static inline struct fake_report *fake_server_find(struct fake_server *s, const char *id)
{
	LIST_EACH(e, &s->reports) {
		struct fake_report *r = CONTAINER_OF(e, struct fake_report, link);

		if (strcmp(r->update.id, id) == 0) {
			return r;
		}
	}
	return NULL;
}

static inline void fake_server_take(struct fake_server *s, const struct alloc_update *update)
{
	struct fake_report *r = fake_server_find(s, update->id);

	if (r == NULL) {
		r = calloc(1, sizeof(*r));
		list_insert(&s->reports, &r->link);
	}
	arena_close(&r->mem);
	assert_int_equal(object_copy(&alloc_update_type, &r->update, update, &r->mem), 0);
}

static inline void fake_server_update(struct fake_server *s, const struct rpc_node_update *update)
{
	uint32_t i;

	s->updates++;
	for (i = 0; i < update->allocs.n; i++) {
		fake_server_take(s, &update->allocs.at[i]);
	}
}

static inline void fake_server_rights(struct fake_server *s, struct link_call *call, const struct rpc_node_rights *asked)
{
	struct rpc_rights rights;
	int rc;

	object_init(&rpc_rights_type, &rights);
	assert_non_null(s->rights);
	s->rights_asked++;
	rc = s->rights(asked->token, &rights);
	fake_server_answer(s, call, rc, &rpc_rights_type, rc == 0 ? &rights : NULL);
}

static inline int fake_server_call(struct client_link *link, struct link_call *call, uint32_t method,
                                   const struct type *type, const void *obj, uint32_t timeout_ms)
{
	struct fake_server *s = fake_server_of(link);
	struct rpc_node_lease lease;
	struct rpc_index index;
	struct arena mem = {0};
	struct buf wire = {0};
	void *copy = malloc(type->size);

	(void)timeout_ms;
	if (!s->up) {
		free(copy);
		return ERR_CLOSED;
	}
	pack_encode(type, obj, &wire);
	assert_int_equal(pack_decode(type, copy, wire.at, wire.len, &mem), 0);
	object_init(&rpc_node_lease_type, &lease);
	object_init(&rpc_index_type, &index);
	lease.ttl = s->ttl_ns;
	lease.acl = s->acl;
	switch (method) {
	case RPC_METHOD_NODE_REGISTER:
		s->registrations++;
		s->forgetful = false;
		fake_server_answer(s, call, 0, &rpc_node_lease_type, &lease);
		break;
	case RPC_METHOD_NODE_HEARTBEAT:
		s->heartbeats++;
		lease.unknown = s->forgetful;
		fake_server_answer(s, call, 0, &rpc_node_lease_type, &lease);
		break;
	case RPC_METHOD_NODE_WATCH:
		s->watches++;
		s->watched_index = ((struct rpc_node_watch *)copy)->index;
		fake_server_answer(s, call, 0, &rpc_index_type, &index);
		break;
	case RPC_METHOD_NODE_UPDATE:
		fake_server_update(s, copy);
		fake_server_answer(s, call, s->unreliable ? ERR_UNKNOWN : 0, &rpc_index_type, s->unreliable ? NULL : &index);
		break;
	case RPC_METHOD_NODE_RIGHTS:
		fake_server_rights(s, call, copy);
		break;
	default:
		fail();
	}
	arena_close(&mem);
	buf_close(&wire);
	free(copy);
	return 0;
}

static inline int fake_server_read(struct client_link *link, struct link_read *read, const char *target, size_t max,
                                   uint32_t timeout_ms)
{
	struct fake_server *s = fake_server_of(link);
	struct fake_read *r;

	(void)max;
	(void)timeout_ms;
	if (!s->up) {
		return ERR_CLOSED;
	}
	r = calloc(1, sizeof(*r));
	r->read = read;
	read->link_data = r;
	snprintf(r->target, sizeof(r->target), "%s", target);
	list_insert(&s->reads, &r->link);
	return 0;
}

static inline void fake_server_cancel(struct client_link *link, struct link_read *read)
{
	struct fake_read *r = read->link_data;

	(void)link;
	list_remove(&r->link);
	free(r);
	read->link_data = NULL;
}

/* The first read under way of what begins so; NULL: none. */
static inline struct fake_read *fake_server_reads(struct fake_server *s, const char *prefix)
{
	LIST_EACH(e, &s->reads) {
		struct fake_read *r = CONTAINER_OF(e, struct fake_read, link);

		if (strncmp(r->target, prefix, strlen(prefix)) == 0) {
			return r;
		}
	}
	return NULL;
}

static inline void fake_server_end_read(struct fake_read *r, int err, int status, uint64_t index, const char *body)
{
	struct http_response res = {.status = status, .has = HTTP_HAS_INDEX, .index = index};
	struct link_read *read = r->read;

	list_remove(&r->link);
	free(r);
	read->link_data = NULL;
	buf_str(&res.body, body);
	read->done_cb(read, err, err == 0 ? &res : NULL);
	buf_close(&res.body);
}

static inline void fake_server_go_up(uv_timer_t *timer)
{
	struct fake_server *s = timer->data;

	s->up = true;
	s->events->up_cb(s->ctx);
}

static inline void fake_server_start(struct client_link *link, const char *node_id, const char *secret_id,
                                     const struct link_events *events, void *ctx)
{
	struct fake_server *s = fake_server_of(link);

	assert_int_equal(strlen(node_id), 36);
	assert_int_equal(strlen(secret_id), 36);

	s->events = events;
	s->ctx = ctx;
	uv_timer_start(&s->timer, fake_server_go_up, 0, 0);
}

/* The connection breaks: calls under way end. */
static inline void fake_server_lose(struct fake_server *s)
{
	LIST_EACH(e, &s->answers) {
		struct fake_answer *a = CONTAINER_OF(e, struct fake_answer, link);

		a->err = ERR_UNKNOWN;
		buf_close(&a->payload);
	}
	s->up = false;
	while (!list_empty(&s->reads)) {
		fake_server_end_read(CONTAINER_OF(s->reads.next, struct fake_read, link), ERR_UNKNOWN, 0, 0, "");
	}
	fake_server_pump(&s->timer);
	s->events->down_cb(s->ctx);
}

static inline void fake_server_return(struct fake_server *s)
{
	uv_timer_start(&s->timer, fake_server_go_up, 0, 0);
}

static inline void fake_server_servers(struct client_link *link, const struct strs *addresses)
{
	(void)link;
	(void)addresses;
}

static inline void fake_server_renew(struct client_link *link)
{
	fake_server_of(link)->renewals++;
}

static inline void fake_server_closed(uv_handle_t *handle)
{
	struct fake_server *s = handle->data;

	s->stopped = true;
	s->stopped_cb(s->stopped_ctx);
}

static inline void fake_server_stop(struct client_link *link, void (*stopped_cb)(void *ctx), void *ctx)
{
	struct fake_server *s = fake_server_of(link);

	if (s->up) {
		fake_server_lose(s);
	}
	s->stopped_cb = stopped_cb;
	s->stopped_ctx = ctx;
	uv_close((uv_handle_t *)&s->timer, fake_server_closed);
}

static const struct link_ops fake_server_ops = {
        .start = fake_server_start,
        .call = fake_server_call,
        .read = fake_server_read,
        .cancel = fake_server_cancel,
        .servers = fake_server_servers,
        .renew = fake_server_renew,
        .stop = fake_server_stop,
};

static inline void fake_server_open(struct fake_server *s, uv_loop_t *loop)
{
	*s = (struct fake_server){.link = {&fake_server_ops}, .ttl_ns = 10000000000};
	uv_timer_init(loop, &s->timer);
	s->timer.data = s;
	list_init(&s->answers);
	list_init(&s->reads);
	list_init(&s->reports);
}

static inline void fake_server_close(struct fake_server *s)
{
	struct list *e;

	while ((e = list_pop(&s->reports)) != NULL) {
		struct fake_report *r = CONTAINER_OF(e, struct fake_report, link);

		arena_close(&r->mem);
		free(r);
	}
}

/* Push allocations given as the JSON text of a struct rpc_node_allocs. */
static inline void fake_server_push(struct fake_server *s, const char *json)
{
	struct arena mem = {0};
	struct rpc_node_allocs push;
	struct buf wire = {0};
	struct fault f;

	if (json_decode(&rpc_node_allocs_type, &push, json, strlen(json), &mem, &f) != 0) {
		fail_msg("%s: %s in %s", f.path, f.why, json);
	}
	pack_encode(&rpc_node_allocs_type, &push, &wire);
	s->events->push_cb(s->ctx, RPC_METHOD_NODE_ALLOCS, wire.at, wire.len);
	arena_close(&mem);
	buf_close(&wire);
}

#endif /* TEST_UNIT_CLIENT_FAKE_SERVER_H_ */
