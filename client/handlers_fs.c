/*
 * Files are read by workers, a batch at a time; the loop passes each batch on and asks for the next when the client has
 * taken it. What is followed is looked at again after a pause.
 */
#include "client/handlers_fs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/allocdir.h"
#include "client/carry.h"
#include "client/client_int.h"
#include "proto/error.h"

enum { BATCH_BYTES = 256 << 10, FOLLOW_PAUSE_MS = 200, BEAT_MS = 1000 };

struct fs_call {
	struct work_item item;
	struct list link; /* In the client's `streams`. */
	struct client *client;
	struct http_request *req;
	uv_timer_t timer;
	char alloc_id[UUID_TEXT];
	enum fs_request what;
	struct fs_query query; /* Its texts are the request's. */
	struct fs_reader reader;
	struct carry *carry; /* NULL: it is a request for files. */
	struct fs_fault fault;
	struct buf out;     /* The batch. */
	enum fs_next next;  /* What comes behind it. */
	int rc;
	uint32_t quiet_ms; /* For so long there was nothing to tell of what is followed. */
	bool open, begun, working, ending;
	char data[FS_FRAME_BYTES];
};

/* ---- on a worker ---- */

static int list_dir(struct fs_call *call, int alloc)
{
	struct arena mem = {0};
	struct fs_files files;
	int rc = fs_ls(alloc, call->query.path, &mem, &files, &call->fault);

	if (rc == 0) {
		fs_files_encode(&files, &call->out);
	}
	arena_close(&mem);
	return rc;
}

static int look_at(struct fs_call *call, int alloc)
{
	struct arena mem = {0};
	struct fs_file file;
	int rc = fs_stat(alloc, call->query.path, &mem, &file, &call->fault);

	if (rc == 0) {
		file.name = strcmp(file.name, ".") == 0 ? call->alloc_id : file.name;
		json_encode(&fs_file_type, &file, &call->out);
	}
	arena_close(&mem);
	return rc;
}

static bool is_framed(const struct fs_call *call)
{
	return (call->what == FS_LOGS || call->what == FS_STREAM) && !call->query.plain;
}

static void read_batch(struct fs_call *call)
{
	size_t n;

	do {
		call->next = fs_reader_next(&call->reader, call->data, sizeof(call->data), &n);
		if (is_framed(call) && (call->next == FS_DATA || call->next == FS_EVENT)) {
			fs_frame_encode(&call->reader, call->next, call->data, n, &call->out);
		} else if (call->next == FS_DATA) {
			buf_put(&call->out, call->data, n);
		}
	} while ((call->next == FS_DATA || call->next == FS_EVENT) && call->out.len < BATCH_BYTES);
}

static int open_reader(struct fs_call *call, int alloc)
{
	int rc = fs_reader_open(&call->reader, alloc, call->what, &call->query, &call->fault);

	call->open = rc == 0;
	return rc;
}

static int begin(struct fs_call *call)
{
	int alloc = allocdir_open(call->client->config->alloc_dir, call->alloc_id);
	int rc;

	if (alloc < 0) {
		call->fault.status = 404;
		snprintf(call->fault.text, sizeof(call->fault.text), "Unknown allocation \"%s\"", call->alloc_id);
		return ERR_INVALID;
	}
	rc = call->what == FS_LS ? list_dir(call, alloc) : call->what == FS_STAT ? look_at(call, alloc) : open_reader(call, alloc);
	close(alloc);
	return rc;
}

static void read_data(struct fs_call *call)
{
	int rc = carry_next(call->carry, &call->out);

	call->next = rc == 1 ? FS_DATA : FS_END;
	call->rc = rc < 0 ? rc : 0;
}

static void work_cb(struct work_item *item)
{
	struct fs_call *call = CONTAINER_OF(item, struct fs_call, item);

	if (call->carry != NULL) {
		read_data(call);
		return;
	}
	if (!call->open) {
		call->next = FS_END;
		call->rc = begin(call);
	}
	if (call->rc == 0 && call->open) {
		read_batch(call);
	}
}

/* ---- on the loop ---- */

static void closed_cb(uv_handle_t *handle)
{
	struct fs_call *call = handle->data;
	struct client *c = call->client;

	if (call->open) {
		fs_reader_close(&call->reader);
	}
	if (call->carry != NULL) {
		carry_close(call->carry);
	}
	buf_close(&call->out);
	free(call);
	c->n_streams--;
	client_closed_handle(c);
}

static bool is_busy(const struct client *c, struct http_request *req)
{
	if (c->n_streams < FS_CALLS_MAX) {
		return false;
	}
	http_answer_text(req, 429, "too many files: this node reads %u for others", c->n_streams);
	return true;
}

/* The request has been answered: nothing is left but to clean up. */
static void drop(struct fs_call *call)
{
	call->req = NULL;
	list_remove(&call->link);
	uv_close((uv_handle_t *)&call->timer, closed_cb);
}

static void go_on(struct fs_call *call)
{
	call->working = true;
	work_put(&call->client->work, &call->item, WORK_QUICK);
}

static void timer_cb(uv_timer_t *timer)
{
	go_on(timer->data);
}

static void end_stream(struct fs_call *call, bool whole)
{
	http_stream_end(call->req, whole);
	drop(call);
}

/* What comes after a batch that has been passed on. */
static void after_batch(struct fs_call *call)
{
	if (call->ending || call->req->gone) {
		end_stream(call, false);
	} else if (call->next == FS_END || (call->next == FS_WAIT && !call->query.follow)) {
		end_stream(call, true);
	} else if (call->next == FS_WAIT) {
		uv_timer_start(&call->timer, timer_cb, FOLLOW_PAUSE_MS, 0);
	} else {
		go_on(call);
	}
}

static void drain_cb(struct http_request *req)
{
	after_batch(req->data);
}

static void gone_cb(struct http_request *req)
{
	struct fs_call *call = req->data;

	call->ending = true;
	if (!call->working && call->begun) {
		uv_timer_stop(&call->timer);
		end_stream(call, false);
	}
}

/* A stream of frames that is silent tells once a second that it goes on. */
static void beat(struct fs_call *call)
{
	call->quiet_ms = call->out.len > 0 || call->next != FS_WAIT ? 0 : call->quiet_ms + FOLLOW_PAUSE_MS;
	if (call->quiet_ms >= BEAT_MS && is_framed(call)) {
		fs_frame_encode(&call->reader, FS_WAIT, NULL, 0, &call->out);
		call->quiet_ms = 0;
	}
}

static void pass_on(struct fs_call *call)
{
	int rc = call->out.len == 0 ? 0 : http_stream_write(call->req, call->out.at, call->out.len);

	call->out.len = 0;
	if (rc == HTTP_WAIT && !call->ending) {
		return; /* drain_cb follows. */
	}
	if (rc < 0) {
		end_stream(call, false);
		return;
	}
	after_batch(call);
}

static const char *type_of(const struct fs_call *call)
{
	if (call->carry != NULL) {
		return "application/x-tar";
	}
	return call->what == FS_LS || call->what == FS_STAT || is_framed(call) ? "application/json" : "text/plain; charset=utf-8";
}

static void begin_answer(struct fs_call *call)
{
	struct http_response res = {.status = 200, .type = type_of(call)};

	if (call->next == FS_END || (call->next == FS_WAIT && !call->query.follow)) {
		res.body = call->out;
		call->out = (struct buf){0};
		http_answer(call->req, &res);
		drop(call);
		return;
	}
	call->begun = true;
	http_stream_begin(call->req, &res);
	pass_on(call);
}

static void done_cb(struct work_item *item)
{
	struct fs_call *call = CONTAINER_OF(item, struct fs_call, item);

	call->working = false;
	if (call->out.failed && call->rc == 0) {
		call->rc = ERR_NOMEM;
	}
	if (call->begun) {
		if (call->rc != 0) {
			end_stream(call, false);
		} else {
			beat(call);
			pass_on(call);
		}
	} else if (call->rc != 0) {
		http_answer_text(call->req, call->rc == ERR_INVALID ? call->fault.status : 500, "%s",
		                 call->rc == ERR_INVALID ? call->fault.text : error_text(call->rc));
		drop(call);
	} else {
		begin_answer(call);
	}
}

static void begin_call(struct fs_call *call, struct client *c, struct http_request *req)
{
	call->item = (struct work_item){.work_cb = work_cb, .done_cb = done_cb};
	call->client = c;
	call->req = req;
	uv_timer_init(c->loop, &call->timer);
	call->timer.data = call;
	c->handles++;
	list_insert(&c->streams, &call->link);
	c->n_streams++;
	req->data = call;
	req->gone_cb = gone_cb;
	req->drain_cb = drain_cb;
	go_on(call);
}

static const char *get_param(const void *ctx, const char *name)
{
	return http_query(ctx, name);
}

/* Of a task that has not begun there is no log to wait for. */
static bool log_is_there(const struct client_alloc *ca, const char *task, struct http_request *req)
{
	const struct task_runner *tr = alloc_runner_task(&ca->ar, task);

	if (tr == NULL) {
		http_answer_text(req, 400, "unknown task name \"%s\"", task);
	} else if (tr->started_ns == 0) {
		http_answer_text(req, 404, "task \"%s\" not started yet. No logs available", task);
	}
	return tr != NULL && tr->started_ns != 0;
}

void fs_answer(struct client_alloc *ca, enum fs_request what, struct http_request *req)
{
	struct client *c = ca->client;
	struct fs_fault fault;
	struct fs_call *call;

	if (is_busy(c, req)) {
		return;
	}
	call = malloc(sizeof(*call));
	if (call == NULL) {
		http_answer_text(req, 500, "out of memory");
		return;
	}
	memset(call, 0, offsetof(struct fs_call, data));
	if (fs_query_parse(what, get_param, req, &call->query, &fault) != 0) {
		http_answer_text(req, fault.status, "%s", fault.text);
		free(call);
		return;
	}
	if (what == FS_LOGS && !log_is_there(ca, call->query.task, req)) {
		free(call);
		return;
	}
	call->what = what;
	snprintf(call->alloc_id, sizeof(call->alloc_id), "%s", ca->id);
	begin_call(call, c, req);
}

static struct carry *open_data(struct client_alloc *ca)
{
	int alloc = allocdir_open(ca->client->config->alloc_dir, ca->id);
	const char **tasks = calloc(ca->ar.n + 1, sizeof(tasks[0]));
	struct carry *carry = NULL;
	uint32_t i;

	for (i = 0; tasks != NULL && i < ca->ar.n; i++) {
		tasks[i] = ca->ar.tasks[i].task->name;
	}
	if (alloc >= 0 && tasks != NULL) {
		carry = carry_open(alloc, tasks, ca->ar.n);
	}
	if (alloc >= 0) {
		close(alloc);
	}
	free(tasks);
	return carry;
}

void fs_answer_data(struct client_alloc *ca, struct http_request *req)
{
	struct fs_call *call;

	if (is_busy(ca->client, req)) {
		return;
	}
	call = calloc(1, sizeof(*call));
	if (call != NULL) {
		call->carry = open_data(ca);
	}
	if (call == NULL || call->carry == NULL) {
		free(call);
		http_answer_text(req, 500, "the data of allocation \"%s\" cannot be read", ca->id);
		return;
	}
	begin_call(call, ca->client, req);
}

void fs_end_all(struct client *c)
{
	LIST_EACH(e, &c->streams) {
		struct fs_call *call = CONTAINER_OF(e, struct fs_call, link);

		call->ending = true;
		if (!call->working) {
			uv_timer_stop(&call->timer);
			end_stream(call, false);
		}
	}
}
