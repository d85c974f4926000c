/* Snapshots under libraft: taken (encoded on a worker), installed (a file that came in gets its name, the log is
 * voided), and given (by name: bulk.c sends the file). libraft never holds an image. */
#include "raft/io_parts.h"

#include "lib/log.h"
#include "proto/error.h"
#include "raft/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void io_free_snapshot(struct raft_snapshot *s)
{
	if (s->bufs != NULL) {
		raft_free(s->bufs[0].base);
	}
	raft_free(s->bufs);
	raft_configuration_close(&s->configuration);
	raft_free(s);
}

int io_load_snapshot(struct backend *b, struct raft_snapshot **snapshot)
{
	struct raft_buffer conf = {b->snapshot.conf, b->snapshot.conf_len};
	struct raft_snapshot *s = raft_calloc(1, sizeof(*s));
	char name[SNAPSHOT_NAME];
	int rc = RAFT_NOMEM;

	if (s == NULL) {
		return rc;
	}
	snapshot_name(name, b->snapshot.index, b->snapshot.term);
	s->index = b->snapshot.index;
	s->term = b->snapshot.term;
	s->configuration_index = b->snapshot.conf_index;
	s->bufs = raft_calloc(1, sizeof(*s->bufs));
	if (s->bufs != NULL) {
		s->n_bufs = 1;
		s->bufs[0] = (struct raft_buffer){snapshot_image_new(name), sizeof(struct snapshot_image)};
		rc = s->bufs[0].base == NULL ? RAFT_NOMEM : raft_configuration_decode(&conf, &s->configuration);
	}
	if (rc == 0) {
		*snapshot = s;
		return 0;
	}
	io_free_snapshot(s);
	return rc;
}

/* Gives the name of the file. Calls back before it returns. */
int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb)
{
	struct raft_snapshot *s = NULL;

	if (io_load_snapshot(io->impl, &s) != 0) {
		abort(); /* libraft cannot bear an error here. */
	}
	req->cb = cb;
	cb(req, s, 0);
	return 0;
}

/* --- on the worker --- */

static int install(struct put *p)
{
	int rc = p->renamed ? 0 : disk_rename(DISK_SNAPSHOT, p->b->dirfd, p->tmp, p->name);

	p->renamed = rc == 0;
	return rc;
}

static int take(struct put *p)
{
	struct snapshot_writer w;
	int rc = snapshot_create(&w, p->b->dirfd, &p->meta);

	if (rc != 0) {
		return rc;
	}
	rc = p->b->config.encode_cb(p->b->config.ctx, &w);
	if (rc != 0 && w.err == 0) {
		w.err = rc;
	}
	return snapshot_finish(&w, p->name, &p->size);
}

static void put_work(uv_work_t *work)
{
	struct put *p = CONTAINER_OF(work, struct put, work);
	struct backend *b = p->b;

	p->status = p->trailing == 0 ? install(p) : take(p);
	if (p->status != 0) {
		return;
	}
	p->size = snapshot_size(b->dirfd, p->name);
	snapshot_prune(b->dirfd, p->name);
	if (p->trailing > 0 && p->meta.index > p->trailing) {
		journal_prune(&b->journal, p->meta.index - p->trailing + 1);
	}
}

/* --- on the loop --- */

static void put_done(uv_work_t *work, int status);

static void put_start(struct put *p)
{
	p->working = true;
	p->b->n_workers++;
	uv_queue_work(p->b->config.loop, &p->work, put_work, put_done);
}

static void on_put_retry(uv_timer_t *timer)
{
	put_start(timer->data);
}

/* A full disk passes; there is no hurry, and the log can wait. */
static void put_retry(struct put *p)
{
	log_warn("raft", "snapshot %s: %s; trying again", p->name, error_text(p->status));
	uv_timer_start(&p->retry, on_put_retry, p->retry_ms, 0);
	p->retry_ms = p->retry_ms * 2 < PUT_RETRY_MAX_MS ? p->retry_ms * 2 : PUT_RETRY_MAX_MS;
}

/* The file has its name: now void the log, behind all appends that are still queued. */
static void put_reset(struct put *p)
{
	struct backend *b = p->b;

	b->next_index = p->meta.index + 1;
	weight_reset(&b->weight, p->meta.index);
	p->reset = (struct journal_item){.type = JOURNAL_RESET, .index = b->next_index};
	io_run(b);
	journal_push(&b->journal, &p->reset);
}

static void put_done(uv_work_t *work, int status)
{
	struct put *p = CONTAINER_OF(work, struct put, work);
	struct backend *b = p->b;

	(void)status;
	p->working = false;
	b->n_workers--;
	if (b->closing) {
		io_put_finish(p, RAFT_CANCELED);
		io_close_journal(b);
	} else if (p->status != 0) {
		put_retry(p);
	} else if (p->trailing == 0) {
		put_reset(p);
	} else {
		io_put_finish(p, 0);
	}
}

static void on_put_closed(uv_handle_t *handle)
{
	struct put *p = handle->data;
	struct backend *b = p->b;

	raft_free(p->meta.conf);
	free(p);
	io_gone(b);
}

/* What the log held before an installation is of no use any more. */
struct prune {
	uv_work_t work;
	struct backend *b;
	uint64_t keep_from;
};

static void prune_work(uv_work_t *work)
{
	struct prune *p = CONTAINER_OF(work, struct prune, work);

	journal_prune(&p->b->journal, p->keep_from);
}

static void prune_done(uv_work_t *work, int status)
{
	struct prune *p = CONTAINER_OF(work, struct prune, work);
	struct backend *b = p->b;

	(void)status;
	free(p);
	b->n_workers--;
	if (b->closing) {
		io_close_journal(b);
	}
	io_gone(b);
}

static void prune_start(struct backend *b, uint64_t keep_from)
{
	struct prune *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		return; /* The next snapshot will do it. */
	}
	p->b = b;
	p->keep_from = keep_from;
	b->n_handles++;
	b->n_workers++;
	uv_queue_work(b->config.loop, &p->work, prune_work, prune_done);
}

static void put_adopt(struct put *p)
{
	struct backend *b = p->b;

	raft_free(b->snapshot.conf);
	b->snapshot = p->meta;
	b->snapshot_bytes = p->size;
	p->meta.conf = NULL;
}

void io_put_finish(struct put *p, int status)
{
	struct backend *b = p->b;

	if (status == 0) {
		if (p->trailing > 0 && p->meta.index > p->trailing) {
			weight_forget(&b->weight, p->meta.index - p->trailing);
		}
		put_adopt(p);
		log_info("raft", "%s %s, %llu bytes", p->trailing == 0 ? "installed" : "took", p->name,
			 (unsigned long long)p->size);
	}
	b->put = NULL;
	uv_close((uv_handle_t *)&p->retry, on_put_closed);
	p->req->cb(p->req, status);
	if (p->trailing == 0 && !b->closing) {
		transport_installed(&b->transport);
		prune_start(b, b->snapshot.index + 1);
	}
}

/* At the end: what waits to be tried again is not. A worker, and the journal's reset, come back by themselves. */
void io_put_cancel(struct backend *b)
{
	if (b->put != NULL && !b->put->working && uv_is_active((uv_handle_t *)&b->put->retry)) {
		io_put_finish(b->put, RAFT_CANCELED);
	}
}

static struct put *put_new(struct backend *b, const struct raft_snapshot *s, unsigned trailing)
{
	struct put *p = calloc(1, sizeof(*p));
	struct raft_buffer conf;

	if (p == NULL || raft_configuration_encode(&s->configuration, &conf) != 0) {
		free(p);
		return NULL;
	}
	p->b = b;
	p->trailing = trailing;
	p->retry_ms = PUT_RETRY_MS;
	p->meta = (struct snapshot_meta){.index = s->index,
					 .term = s->term,
					 .conf_index = s->configuration_index,
					 .conf = conf.base,
					 .conf_len = conf.len};
	snapshot_name(p->name, s->index, s->term);
	return p;
}

/* A trailing of 0 is libraft's way to say "install". fsm.restore will then look for the lasting name. */
int io_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
		    const struct raft_snapshot *s, raft_io_snapshot_put_cb cb)
{
	struct backend *b = io->impl;
	struct put *p;

	if (b->closing) {
		return RAFT_CANCELED;
	}
	p = put_new(b, s, trailing);
	if (p == NULL) {
		return RAFT_NOMEM;
	}
	if (trailing == 0) {
		struct snapshot_image *image = s->bufs[0].base;

		snprintf(p->tmp, sizeof(p->tmp), "%s", image->name);
		snprintf(image->name, sizeof(image->name), "%s", p->name);
	}
	req->cb = cb;
	p->req = req;
	uv_timer_init(b->config.loop, &p->retry);
	p->retry.data = p;
	b->n_handles++;
	b->put = p;
	put_start(p);
	return 0;
}

int io_open_image(struct raft_io *io, const struct raft_buffer *buf, struct snapshot_reader *r)
{
	struct backend *b = io->impl;
	const char *name = snapshot_image_name(buf->base, buf->len);

	return name == NULL ? ERR_CORRUPT : snapshot_open(r, b->dirfd, name);
}
