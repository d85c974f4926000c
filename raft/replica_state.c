/* The owner's state, as libraft's fsm: apply, snapshots, restore; and when to take a snapshot. */
#include "raft/replica_parts.h"

#include "lib/log.h"
#include "proto/error.h"

#include <limits.h>
#include <stdlib.h>

/* Not yet: see replica_apply.c. */
static int on_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
	(void)fsm;
	(void)buf;
	*result = NULL;
	return 0;
}

/* --- taking --- */

/* libraft counts entries: how many of them are the bytes that we keep? And of what our own disk has not stored yet none
 * may go, though the others have committed it: libraft would wait for ever to hear that it is stored. */
static void set_trailing(struct replica *r)
{
	uint64_t applied = raft_last_applied(&r->raft);
	uint64_t keep = weight_index(io_weight(&r->io), r->config.trailing_bytes);

	keep = keep < r->raft.last_stored ? keep : r->raft.last_stored;
	raft_set_snapshot_trailing(&r->raft, applied > keep ? (unsigned)(applied - keep) : 1);
}

/* Whether the configuration that libraft has for committed is the one of the state's index. After a start it may be a
 * later one: one that has another one behind it is taken for committed, before the commit index is known. And after
 * many entries are committed at once it may be an earlier one, as libraft comes to the configurations only when it has
 * applied them all: who restores such a snapshot may not know that it is a voter. */
static bool configuration_is_known(const struct raft *raft)
{
	raft_index pending = raft->configuration_uncommitted_index;

	return raft->configuration_committed_index <= raft->last_applied &&
	       (pending == 0 || pending > raft->last_applied);
}

static uint64_t log_limit(const struct replica *r)
{
	uint64_t half = io_status((struct raft_io *)&r->io).snapshot_bytes / 2;

	return half > r->config.snapshot_log_bytes ? half : r->config.snapshot_log_bytes;
}

static uint64_t log_bytes(const struct replica *r)
{
	struct raft_io *io = (struct raft_io *)&r->io;

	return weight_above(io_weight(io), io_status(io).snapshot_index);
}

/* A state that is never quite up to its log must not keep it from being shortened. */
static bool must_catch_up(const struct replica *r)
{
	return log_bytes(r) > 2 * log_limit(r);
}

/* Only references are taken here; io_snapshot.c has a worker call replica_on_encode(). */
static int on_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n)
{
	struct replica *r = fsm->data;

	raft_set_snapshot_threshold(&r->raft, UINT_MAX);
	if (raft_last_applied(&r->raft) != raft_commit_index(&r->raft)) {
		return RAFT_BUSY; /* The snapshot's index would not be the state's. */
	}
	if (!configuration_is_known(&r->raft)) {
		return RAFT_BUSY;
	}
	if (replica_behind(r) && must_catch_up(r)) {
		replica_apply_all(r);
	}
	if (replica_behind(r)) {
		return RAFT_BUSY;
	}
	r->capture = r->config.callbacks.capture(r->config.ctx);
	if (r->capture == NULL) {
		r->capture_retry_at = replica_now(r) + CAPTURE_RETRY_MS;
		return RAFT_NOMEM;
	}
	r->snapshot_wanted = false;
	set_trailing(r);
	*bufs = NULL;
	*n = 0;
	return 0;
}

static int on_finalize(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n)
{
	struct replica *r = fsm->data;

	(void)bufs;
	(void)n;
	r->config.callbacks.release(r->config.ctx, r->capture);
	r->capture = NULL;
	return 0;
}

struct sink {
	struct replica_sink sink;
	struct replica *r;
	struct snapshot_writer *w;
};

/* At the end nobody waits for a snapshot. */
static int sink_write(struct replica_sink *to, const void *data, size_t len)
{
	struct sink *s = CONTAINER_OF(to, struct sink, sink);

	return io_closing(&s->r->io) ? ERR_CLOSED : snapshot_write(s->w, data, len);
}

int replica_on_encode(void *ctx, struct snapshot_writer *w)
{
	struct replica *r = ctx;
	struct sink s = {{sink_write}, r, w};

	return r->config.callbacks.encode(r->config.ctx, r->capture, &s.sink);
}

/* --- restoring --- */

struct source {
	struct replica_source source;
	struct snapshot_reader *reader;
};

static int source_read(struct replica_source *from, void *data, size_t len)
{
	return snapshot_read(CONTAINER_OF(from, struct source, source)->reader, data, len);
}

static int restore(struct replica *r, const struct raft_buffer *buf)
{
	struct snapshot_reader reader;
	struct source s = {{source_read}, &reader};
	int rc = io_open_image(&r->io, buf, &reader);

	if (rc != 0) {
		return rc;
	}
	rc = r->config.callbacks.restore(r->config.ctx, &s.source);
	if (rc == 0) {
		rc = snapshot_read_end(&reader);
	}
	snapshot_close(&reader);
	return rc;
}

/* At the start, where a failure is told to the caller. */
int replica_on_load(void *ctx, const struct raft_buffer *image)
{
	struct replica *r = ctx;
	int rc = restore(r, image);

	r->restored = rc == 0;
	return rc;
}

/* Later there is nobody to tell, and a state that is no state: the process ends. */
static int on_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
	struct replica *r = fsm->data;
	int rc = r->restored ? 0 : restore(r, buf);

	if (rc != 0) {
		log_error("raft", "the state cannot be restored from its snapshot: %s", error_text(rc));
		abort();
	}
	r->restored = false;
	r->applied = io_status(&r->io).snapshot_index;
	raft_free(buf->base);
	return 0;
}

void replica_fsm_init(struct replica *r)
{
	r->fsm = (struct raft_fsm){.version = 2,
				   .data = r,
				   .apply = on_apply,
				   .snapshot = on_snapshot,
				   .restore = on_restore,
				   .snapshot_finalize = on_finalize};
}

/* --- when --- */

static bool is_due(struct replica *r)
{
	uint64_t entries = raft_last_applied(&r->raft) - io_status(&r->io).snapshot_index;

	return (r->snapshot_wanted || log_bytes(r) > log_limit(r) || entries > r->config.snapshot_entries) &&
	       (!replica_behind(r) || must_catch_up(r));
}

/* libraft counts entries; it is told "now" when it is time by ours. */
void replica_watch_log(struct replica *r)
{
	if (!r->raft.legacy.snapshot_taking && !r->raft.snapshot.installing && raft_last_applied(&r->raft) > 0 &&
	    replica_now(r) >= r->capture_retry_at && is_due(r)) {
		raft_set_snapshot_threshold(&r->raft, 1);
	}
}

void replica_snapshot(struct replica *r)
{
	r->snapshot_wanted = true;
}
