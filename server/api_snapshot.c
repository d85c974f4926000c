/*
 * Backups of the whole state: GET and PUT /v1/operator/snapshot.
 *
 *     save      barrier -> a view -> pieces (raft/persist.h) -> gzip -> the client, as fast as it reads
 *     restore   the body's checksums -> its parts, one after the other -> commit (raft/fsm_restore.c)
 *
 * Both run on the leader: what is saved has everything that was answered before. A save is made in slices of time from
 * one view, which nobody changes. A file is checked to its end before the first part of it goes into the log, so that a
 * damaged one costs nothing; what is found only when all of it is put together (rows that make no sense) the commit
 * refuses, and the state stays as it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "raft/archive.h"
#include "raft/persist.h"
#include "server/api_handlers.h"
#include "server/gzip.h"

enum { BACKUPS_MAX = 4 };

#define SLICE_NS NS_PER_MS

/* What is done in slices: a save, or the check of a file. */
struct backup {
	struct list link; /* In api->backups while it has something to do. */
	struct api *api;
	struct http_request *req;
	/* A little of it. False: it has ended, or waits. */
	bool (*step)(struct backup *b);
};

static void backup_run_soon(struct backup *b)
{
	list_insert(&b->api->backups, &b->link);
	api_run_soon(b->api);
}

bool backups_run(struct api *api, int64_t end_ns)
{
	int64_t now = api_now(api);

	while (!list_empty(&api->backups) && now < end_ns) {
		struct backup *b = CONTAINER_OF(list_pop(&api->backups), struct backup, link);
		int64_t until = now + SLICE_NS < end_ns ? now + SLICE_NS : end_ns;
		bool more;

		list_insert(&api->backups, &b->link); /* Behind the others, for its next slice. */
		do {
			more = b->step(b);
			now = api_now(api);
		} while (more && now < until);
	}
	return !list_empty(&api->backups);
}

static bool has_room(struct api *api, struct http_request *req)
{
	if (api->n_backups >= BACKUPS_MAX) {
		http_answer_text(req, 429, "too many backups are being made or restored");
		return false;
	}
	return true;
}

/* ---- saving ---- */

struct saving {
	struct backup backup;
	struct core_read read; /* The barrier. */
	const struct view *v;
	struct save *save;
	struct gzip *gzip;
	struct buf out; /* For the client. */
};

static struct saving *saving_of(struct backup *b)
{
	return CONTAINER_OF(b, struct saving, backup);
}

static void saving_free(struct saving *s)
{
	s->backup.api->n_backups--;
	list_remove(&s->backup.link);
	persist_save_end(s->save);
	gzip_free(s->gzip);
	buf_close(&s->out);
	if (s->v != NULL) {
		view_release(s->v);
	}
	free(s);
}

static void saving_end(struct saving *s, bool whole)
{
	struct http_request *req = s->backup.req;

	req->gone_cb = NULL;
	req->drain_cb = NULL;
	saving_free(s);
	http_stream_end(req, whole);
}

static int saving_write(void *ctx, const void *data, size_t len)
{
	struct saving *s = ctx;

	return gzip_slice(s->gzip, data, len, false, &s->out) ? 0 : ERR_NOMEM;
}

/* Give the client what there is: 0, HTTP_WAIT or an error. */
static int saving_flush(struct saving *s)
{
	int rv = s->out.len > 0 ? http_stream_write(s->backup.req, s->out.at, s->out.len) : 0;

	s->out.len = 0;
	return rv;
}

static bool saving_step(struct backup *b)
{
	struct saving *s = saving_of(b);
	int rv = persist_save_step(s->save);
	bool last = rv == 0;
	int sent;

	if (last && !gzip_slice(s->gzip, "", 0, true, &s->out)) {
		rv = ERR_NOMEM;
	}
	sent = rv >= 0 ? saving_flush(s) : rv;
	if (rv < 0 || sent < 0 || last) {
		saving_end(s, rv == 0 && sent >= 0);
		return false;
	}
	if (sent == HTTP_WAIT) {
		list_remove(&b->link);
		return false;
	}
	return true;
}

static void saving_drained(struct http_request *req)
{
	struct backup *b = req->data;

	if (list_empty(&b->link)) {
		backup_run_soon(b);
	}
}

static void saving_gone(struct http_request *req)
{
	saving_end(saving_of(req->data), false);
}

/* False: no memory. */
static bool saving_prepare(struct saving *s)
{
	s->gzip = gzip_new();
	s->save = s->gzip != NULL ? persist_save_begin(s->v, saving_write, s) : NULL;
	return s->save != NULL;
}

static void saving_begin(struct saving *s)
{
	struct http_request *req = s->backup.req;
	struct http_response head = {.type = "application/x-gzip", .has = HTTP_HAS_READ, .known_leader = true};

	head.index = state_index(s->v);
	req->data = &s->backup;
	req->gone_cb = saving_gone;
	req->drain_cb = saving_drained;
	http_stream_begin(req, &head);
	backup_run_soon(&s->backup);
}

static void saving_may_begin(struct core_call *call)
{
	struct saving *s = CONTAINER_OF(call, struct saving, read.call);
	struct api *api = s->backup.api;
	struct http_request *req = s->backup.req;
	int status = api->stopping ? ERR_CLOSED : call->status;

	if (status == 0) {
		s->v = api->link->ops->view(api->link);
	}
	if (status == 0 && view_count(s->v, TABLE_RESTORES) > 0) {
		saving_free(s);
		http_answer_text(req, 409, "a backup is being restored");
	} else if (status == 0 && saving_prepare(s)) {
		saving_begin(s);
	} else {
		saving_free(s);
		status = status == 0 ? ERR_NOMEM : status;
		write_failed(api, req, status == ERR_NOLEADER ? ERR_NOTLEADER : status, false);
	}
	api_rearm(api);
}

void serve_snapshot_save(struct api *api, struct http_request *req)
{
	struct saving *s;

	if (!has_room(api, req)) {
		return;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	api->n_backups++;
	s->backup = (struct backup){.api = api, .req = req, .step = saving_step};
	list_init(&s->backup.link);
	s->read.barrier = true;
	s->read.call.done_cb = saving_may_begin;
	api->link->ops->read(api->link, &s->read);
}

/* ---- restoring ---- */

struct restoring {
	struct backup backup;
	struct archive *archive;
	bool fed; /* The archive has all of the body. */
	uint32_t piece;
	uint64_t saved_index;
	struct core_write write;
	struct buf command;
	struct uuid id;
	int64_t part;
	int status; /* Of the answer, when something went wrong, */
	char why[RESULT_TEXT];
	char room[PERSIST_PIECE];
};

static struct restoring *restoring_of(struct backup *b)
{
	return CONTAINER_OF(b, struct restoring, backup);
}

static void restoring_free(struct restoring *r)
{
	r->backup.api->n_backups--;
	r->backup.api->restoring = false;
	list_remove(&r->backup.link);
	archive_close(r->archive);
	buf_close(&r->command);
	free(r);
}

static void refuse(struct restoring *r, int status, const char *why)
{
	struct http_request *req = r->backup.req;
	char text[RESULT_TEXT];

	snprintf(text, sizeof(text), "%s", why); /* It may be of what goes now. */
	restoring_free(r);
	http_answer_text(req, status, "%s", text);
}

static size_t next_of_body(void *ctx, const void **data)
{
	struct restoring *r = ctx;
	size_t len = r->fed ? 0 : r->backup.req->body_len;

	r->fed = true;
	*data = r->backup.req->body;
	return len;
}

/* -- into the log -- */

static void propose(struct restoring *r, enum command type, const void *payload,
		    void (*done_cb)(struct core_call *call))
{
	struct api *api = r->backup.api;
	struct http_request *req = r->backup.req;
	int rc;

	buf_close(&r->command);
	rc = command_encode(type, payload, &r->command);
	if (rc != 0) {
		restoring_free(r);
		http_answer_error(req, rc);
		return;
	}
	r->write = (struct core_write){.command = r->command.at, .len = r->command.len};
	r->write.call.done_cb = done_cb;
	api->link->ops->write(api->link, &r->write);
}

static void dropped(struct core_call *call)
{
	struct restoring *r = CONTAINER_OF(call, struct restoring, write.call);
	struct api *api = r->backup.api;

	refuse(r, r->status, r->why);
	api_rearm(api);
}

/* What is in the log is of no use any more; should this not succeed the next leader does it. */
static void give_up(struct restoring *r, int status, const char *why)
{
	struct restore_drop drop = {uuid_bytes(&r->id)};

	r->status = status;
	snprintf(r->why, sizeof(r->why), "%s", why);
	propose(r, COMMAND_RESTORE_DROP, &drop, dropped);
}

/* A call that did not end with an applied command. Nothing was restored, unless that cannot be known. */
static void not_applied(struct restoring *r, int err, bool committing)
{
	if (err == ERR_UNKNOWN && committing) {
		refuse(r, 500, error_text(ERR_UNKNOWN));
	} else if (err == ERR_NOTLEADER || err == ERR_UNKNOWN) {
		refuse(r, 500, "nothing was restored: this server no longer leads");
	} else {
		give_up(r, http_status_of(err), error_text(err));
	}
}

static void put_next(struct restoring *r);

static void committed(struct core_call *call)
{
	struct restoring *r = CONTAINER_OF(call, struct restoring, write.call);
	struct apply_result result = r->write.result;
	struct http_request *req = r->backup.req;
	struct api *api = r->backup.api;

	if (call->status != 0) {
		not_applied(r, call->status, true);
	} else if (result.status != 0) {
		give_up(r, result.status == ERR_CONFLICT ? 409 : 400, result.text);
	} else {
		restoring_free(r);
		http_answer(req, &(struct http_response){.has = HTTP_HAS_INDEX, .index = result.index});
	}
	api_rearm(api);
}

static void part_put(struct core_call *call)
{
	struct restoring *r = CONTAINER_OF(call, struct restoring, write.call);
	struct api *api = r->backup.api;

	if (call->status != 0) {
		not_applied(r, call->status, false);
	} else if (r->write.result.status != 0) {
		refuse(r, 409, r->write.result.text);
	} else {
		r->part++;
		put_next(r);
	}
	api_rearm(api);
}

static void put_next(struct restoring *r)
{
	const struct http_request *req = r->backup.req;
	size_t at = (size_t)r->part * RESTORE_PART_MAX;
	size_t left = at < req->body_len ? req->body_len - at : 0;
	struct restore_part part = {uuid_bytes(&r->id), r->part, {(const uint8_t *)req->body + at, (uint32_t)left}};
	struct restore_commit commit = {uuid_bytes(&r->id), r->part};

	if (left > RESTORE_PART_MAX) {
		part.data.n = RESTORE_PART_MAX;
	}
	if (left > 0) {
		propose(r, COMMAND_RESTORE_PART, &part, part_put);
	} else {
		propose(r, COMMAND_RESTORE_COMMIT, &commit, committed);
	}
}

/* -- checking -- */

static bool check_step(struct backup *b)
{
	struct restoring *r = restoring_of(b);
	int rv = persist_check(r->piece, &r->saved_index, r->room, archive_read, r->archive);

	if (rv == 1) {
		r->piece++;
		return true;
	}
	if (rv == 0) {
		rv = archive_read_end(r->archive);
	}
	list_remove(&b->link);
	if (rv == 0) {
		put_next(r);
	} else if (rv == ERR_UNSUPPORTED) {
		refuse(r, 400, "the archive cannot be restored: a later version of the program has made it");
	} else {
		snprintf(r->why, sizeof(r->why), "the archive cannot be restored: %s", archive_why(r->archive));
		refuse(r, rv == ERR_CORRUPT ? 400 : http_status_of(rv), r->why);
	}
	return false;
}

static struct restoring *restoring_new(struct api *api, struct http_request *req)
{
	struct restoring *r = calloc(1, sizeof(*r));

	if (r != NULL) {
		r->archive = archive_open(next_of_body, r);
	}
	if (r == NULL || r->archive == NULL) {
		free(r);
		return NULL;
	}
	r->backup = (struct backup){.api = api, .req = req, .step = check_step};
	list_init(&r->backup.link);
	for (unsigned i = 0; i < sizeof(r->id); i += 8) {
		uint64_t bits = api->env.random(api->env.ctx);

		memcpy((char *)&r->id + i, &bits, sizeof(bits));
	}
	return r;
}

void serve_snapshot_restore(struct api *api, struct http_request *req)
{
	struct restoring *r;

	if (!has_room(api, req)) {
		return;
	}
	if (api->restoring) {
		http_answer_text(req, 409, "a backup is being restored");
		return;
	}
	r = api_keep_body(req) == 0 ? restoring_new(api, req) : NULL;
	if (r == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	api->n_backups++;
	api->restoring = true;
	backup_run_soon(&r->backup);
}

/* ---- the end ---- */

/* What waits for the link is answered when its call ends. */
void backups_stop(struct api *api)
{
	while (!list_empty(&api->backups)) {
		struct backup *b = CONTAINER_OF(list_pop(&api->backups), struct backup, link);

		if (b->step == saving_step) {
			saving_end(saving_of(b), false);
		} else {
			refuse(restoring_of(b), 503, "the server is stopping");
		}
	}
}
