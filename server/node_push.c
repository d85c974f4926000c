/*
 * What is to run on the nodes that are connected here: everything once, and then what servers change.
 *
 *     dirty --> a draft of one view, some rows a turn --> a message --> pushed
 *
 * A node whose connection takes nothing more keeps its message, and tries again. What changes meanwhile is noted by ID, and
 * read when its turn comes; when that is too much, everything is told again.
 *
 * What clients report does not come back to them: AllocModifyIndex grows with servers' changes only. An allocation that its
 * client has reported to be over is named when everything is told, so that its files stay, and otherwise not looked at.
 */
#include "server/net_parts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"

enum {
	CHANGED_MAX = 8192,
	MESSAGE_BEST = 8 << 20, /* A message is cut when it is longer. */
	RETRY_MS = 50,
};

/* What a turn may take, and what it takes when there is no time left: it must go on. */
#define TURN_NS INT64_C(1000000)
#define TURN_LEAST_NS INT64_C(100000)

/* ---- what is to be told ---- */

static void set_dirty(struct net *n, struct node_conn *node)
{
	list_remove(&node->link);
	list_insert(&n->dirty, &node->link);
	net_soon(n);
}

static void free_jobs(struct draft *d)
{
	while (hash_pop(&d->jobs) != NULL) {
	}
	hash_close(&d->jobs);
	arena_close(&d->mem);
}

static void close_pieces(struct draft *d)
{
	free_jobs(d);
	buf_close(&d->job_bytes);
	buf_close(&d->alloc_bytes);
	buf_close(&d->job_of);
	buf_close(&d->gone);
	d->n_jobs = d->n_allocs = d->n_gone = 0;
}

void push_drop(struct node_conn *node)
{
	struct draft *d = &node->draft;

	close_pieces(d);
	buf_close(&d->message);
	free(d->rows);
	free(d->ids);
	if (d->view != NULL) {
		view_release(d->view);
	}
	*d = (struct draft){0};
}

void push_all(struct net *n, struct node_conn *node)
{
	push_drop(node);
	node->whole = true;
	node->n_changed = 0;
	set_dirty(n, node);
}

static void note(struct net *n, struct node_conn *node, const struct uuid *alloc)
{
	unsigned cap = node->cap_changed == 0 ? 16 : 2 * node->cap_changed;
	struct uuid *grown = node->changed;

	if (node->whole) {
		return; /* It will be told anyway. */
	}
	if (node->n_changed == node->cap_changed) {
		grown = cap <= CHANGED_MAX ? realloc(node->changed, cap * sizeof(*grown)) : NULL;
		if (grown == NULL) {
			push_all(n, node);
			return;
		}
		node->changed = grown;
		node->cap_changed = cap;
	}
	node->changed[node->n_changed++] = *alloc;
	if (list_empty(&node->link)) {
		set_dirty(n, node);
	}
}

void push_changed(struct net *n, const struct change *changes, size_t count)
{
	size_t i;

	for (i = 0; i < count && n->nodes.n > 0; i++) {
		const struct alloc_row *old = (const struct alloc_row *)(const void *)changes[i].old;
		const struct alloc_row *now = (const struct alloc_row *)(const void *)changes[i].now;
		const struct alloc_row *row = now != NULL ? now : old;
		struct node_conn *node;

		if (changes[i].table != TABLE_ALLOCS) {
			continue;
		}
		if (old != NULL && now != NULL && old->alloc_modify_index == now->alloc_modify_index) {
			continue; /* Its client has said so. */
		}
		node = node_conn_find(n, &row->node_id);
		if (node != NULL) {
			note(n, node, &row->id);
		}
	}
}

/* ---- drafts ---- */

static bool is_open(const struct draft *d)
{
	return d->view != NULL;
}

/* False: there is nothing to be told, or no memory. */
static bool open_draft(struct net *n, struct node_conn *node)
{
	struct draft *d = &node->draft;

	if (node->whole) {
		d->rows = malloc(sizeof(*d->rows));
		if (d->rows == NULL) {
			return false;
		}
		d->whole = true;
		node->whole = false;
	} else if (node->n_changed > 0) {
		d->ids = node->changed;
		d->n_ids = node->n_changed;
		node->changed = NULL;
		node->n_changed = node->cap_changed = 0;
	} else {
		return false;
	}
	d->view = state_view(n->s->state);
	if (d->rows != NULL) {
		rows_allocs_of_node(d->rows, d->view, &node->id);
	}
	return true;
}

static struct push_job *find_job(struct draft *d, const struct job_row *row)
{
	struct hash_link *l;

	for (l = hash_first(&d->jobs, (uint64_t)(uintptr_t)row >> 4); l != NULL; l = hash_next(l)) {
		struct push_job *job = CONTAINER_OF(l, struct push_job, by_row);

		if (job->row == row) {
			return job;
		}
	}
	return NULL;
}

/* The job in the message; added when it is not there. NULL: it cannot be read, or no memory. */
static struct push_job *take_job(struct draft *d, const struct job_row *row)
{
	struct push_job *job = find_job(d, row);

	if (job != NULL) {
		return job;
	}
	job = arena_calloc(&d->mem, 1, sizeof(*job));
	if (job == NULL) {
		return NULL;
	}
	job->row = row;
	job->job = arena_alloc(&d->mem, sizeof(*job->job));
	if (job->job == NULL || job_row_get(row, job->job, &d->mem) != 0) {
		return NULL;
	}
	job->place = d->n_jobs++;
	pack_encode(&job_type, job->job, &d->job_bytes);
	hash_add(&d->jobs, &job->by_row, (uint64_t)(uintptr_t)row >> 4);
	return job;
}

/* Over, as its client knows: its name alone says that it is still there. */
static void put_name(struct draft *d, const struct alloc_row *row)
{
	struct allocation alloc;
	char id[UUID_TEXT];

	uuid_format(&row->id, id);
	object_init(&allocation_type, &alloc);
	alloc.id = id;
	alloc.client_status = alloc_client_text(row->client);
	pack_encode(&allocation_type, &alloc, &d->alloc_bytes);
	pack_put_int(&d->job_of, -1);
	d->n_allocs++;
}

static bool put_alloc(struct draft *d, const struct alloc_row *row)
{
	struct push_job *job = take_job(d, row->job);
	struct arena mem = {0};
	struct job_cache cache;
	struct allocation alloc;
	bool good;

	if (job == NULL) {
		return false;
	}
	cache = (struct job_cache){job->row, job->job};
	good = alloc_row_get(row, &alloc, &cache, &mem) == 0;
	if (good) {
		/* What a client does not look at. */
		alloc.job = NULL;
		alloc.metrics = NULL;
		alloc.resources = alloc.shared_resources = NULL;
		alloc.task_resources.n = 0;
		alloc.task_states.n = 0;
		alloc.alloc_states.n = 0;
		alloc.reschedule_tracker = NULL;
		pack_encode(&allocation_type, &alloc, &d->alloc_bytes);
		pack_put_int(&d->job_of, job->place);
		d->n_allocs++;
	}
	arena_close(&mem);
	return good;
}

/* Its client knows that it is over, because it has said so. What servers call lost may still run. */
static bool is_over(const struct alloc_row *row)
{
	return row->client == ALLOC_CLIENT_COMPLETE || row->client == ALLOC_CLIENT_FAILED;
}

static bool put_row(struct draft *d, const struct alloc_row *row)
{
	if (!is_over(row)) {
		return put_alloc(d, row);
	}
	if (d->whole) {
		put_name(d, row);
	}
	return true;
}

static bool put_changed(struct draft *d, const struct uuid *node, const struct uuid *id)
{
	const struct alloc_row *row = state_alloc(d->view, id);
	char text[UUID_TEXT];

	if (row != NULL && uuid_equal(&row->node_id, node)) {
		return put_row(d, row);
	}
	uuid_format(id, text);
	pack_put_str(&d->gone, text);
	d->n_gone++;
	return true;
}

static bool is_long(const struct draft *d)
{
	return d->job_bytes.len + d->alloc_bytes.len > MESSAGE_BEST;
}

/* One more. False: what it says cannot be read, or no memory. */
static bool put_next(struct node_conn *node)
{
	struct draft *d = &node->draft;
	const struct alloc_row *row;

	if (d->rows == NULL) {
		bool good = put_changed(d, &node->id, &d->ids[d->next++]);

		d->done = d->next == d->n_ids;
		return good;
	}
	row = alloc_next(d->rows);
	d->done = row == NULL;
	return row == NULL || put_row(d, row);
}

static void put_list(struct buf *out, int64_t field, uint32_t n, const struct buf *elements)
{
	if (n > 0) {
		pack_put_int(out, field);
		pack_put_list(out, n);
		buf_put(out, elements->at, elements->len);
	}
}

/* A packed rpc_node_allocs. */
static void make_message(struct draft *d)
{
	struct buf *out = &d->message;

	pack_put_object(out, 1U + d->whole + (d->n_jobs > 0) + 2U * (d->n_allocs > 0) + (d->n_gone > 0));
	pack_put_int(out, 1);
	pack_put_int(out, (int64_t)state_index(d->view));
	if (d->whole) {
		pack_put_int(out, 2);
		pack_put_bool(out, true);
	}
	put_list(out, 3, d->n_jobs, &d->job_bytes);
	put_list(out, 4, d->n_allocs, &d->alloc_bytes);
	put_list(out, 5, d->n_allocs, &d->job_of);
	put_list(out, 6, d->n_gone, &d->gone);
	out->failed = out->failed || d->job_bytes.failed || d->alloc_bytes.failed || d->job_of.failed || d->gone.failed;
	close_pieces(d);
}

/* ---- turns ---- */

enum progress { PUSH_DONE, PUSH_MORE, PUSH_LATER, PUSH_FAILED };

/* Fill the draft until the time is over; true when its message is made, if it needs one. */
static bool fill(struct node_conn *node, uint64_t until_ns, bool *good)
{
	struct draft *d = &node->draft;

	*good = true;
	while (!d->done && !is_long(d)) {
		if (uv_hrtime() >= until_ns) {
			return false;
		}
		if (!put_next(node)) {
			*good = false;
			return false;
		}
	}
	if (d->whole && !d->done) {
		/* What is not in a whole message ends: so this one cannot be called whole. */
		log_warn("server", "too many allocations for one message to node: what is gone is not told");
		d->whole = false;
	}
	if (!d->whole && d->n_allocs + d->n_gone == 0) {
		return true; /* What has changed is over for its client: there is no message. */
	}
	make_message(d);
	*good = !d->message.failed;
	return *good;
}

static enum progress push_one(struct net *n, struct node_conn *node, uint64_t until_ns)
{
	struct draft *d = &node->draft;
	size_t len = d->message.len;
	bool good = true;
	int rc;

	if (len == 0) {
		if (!is_open(d) && !open_draft(n, node)) {
			return node->whole || node->n_changed > 0 ? PUSH_LATER : PUSH_DONE;
		}
		if (!fill(node, until_ns, &good)) {
			return good ? PUSH_MORE : PUSH_FAILED;
		}
		len = d->message.len;
	}
	rc = len == 0 ? 0 : rpc_push(node->conn->rpc, RPC_METHOD_NODE_ALLOCS, d->message.at, len);
	if (rc == ERR_BUSY) {
		return PUSH_LATER;
	}
	if (rc != 0) {
		return PUSH_FAILED;
	}
	n->pushes += len > 0;
	n->pushed_bytes += len;
	buf_close(&d->message);
	if (d->done) {
		push_drop(node);
	}
	return is_open(d) || node->whole || node->n_changed > 0 ? PUSH_MORE : PUSH_DONE;
}

/* A client that cannot be told what it must know is better off with another connection. */
static void give_up(struct node_conn *node)
{
	push_drop(node);
	node->n_changed = 0;
	node->whole = false;
	rpc_conn_doom(node->conn->rpc, ERR_NOMEM, "its work could not be told");
}

static uint64_t turn_ns(const struct net *n)
{
	int64_t left = server_time_left(n->s);

	return (uint64_t)(left < TURN_LEAST_NS ? TURN_LEAST_NS : left > TURN_NS ? TURN_NS : left);
}

void push_turn(struct net *n)
{
	uint64_t until_ns = uv_hrtime() + turn_ns(n);
	struct list later;
	struct list *l;

	list_init(&later);
	while (!list_empty(&n->dirty) && uv_hrtime() < until_ns) {
		struct node_conn *node = CONTAINER_OF(n->dirty.next, struct node_conn, link);
		enum progress how = PUSH_LATER;

		list_remove(&node->link);
		if (net_now(n) >= node->retry_ms) {
			how = push_one(n, node, until_ns);
		}
		if (how == PUSH_MORE) {
			list_insert(&n->dirty, &node->link);
			net_soon(n);
		} else if (how == PUSH_LATER) {
			node->retry_ms = node->retry_ms > net_now(n) ? node->retry_ms : net_now(n) + RETRY_MS;
			list_insert(&later, &node->link); /* The timer's tick comes back to it. */
		} else if (how == PUSH_FAILED) {
			give_up(node);
		}
	}
	if (!list_empty(&n->dirty)) {
		net_soon(n);
	}
	while ((l = list_pop(&later)) != NULL) {
		list_insert(&n->dirty, l);
	}
}
