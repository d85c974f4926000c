#include "raft/fsm.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "raft/fsm_work.h"

/* ---- helpers of the commands ---- */

void fsm_fail(struct fsm_work *f, int status, const char *format, ...)
{
	va_list args;

	f->result->status = status;
	va_start(args, format);
	vsnprintf(f->result->text, sizeof(f->result->text), format, args);
	va_end(args);
}

struct uuid fsm_id(struct fsm_work *f)
{
	return uuid_derive(&f->command->seed, f->ids++);
}

/* An entry is too short for a command to make a million rows. */
void fsm_serial(struct fsm_work *f, uint8_t serial[8])
{
	assert(f->serials < 1 << 20);
	put_be64(serial, index_of(f) << 20 | f->serials++);
}

void *fsm_scratch(struct fsm_work *f, size_t size)
{
	void *p = arena_alloc(&f->mem, size);

	return p != NULL ? p : state_malloc(SIZE_MAX);
}

const struct row **fsm_collect(struct fsm_work *f, struct rows *r, size_t *n)
{
	size_t cap = 16;
	const struct row **at = fsm_scratch(f, cap * sizeof(*at));
	const struct row *row;

	*n = 0;
	while ((row = rows_next(r)) != NULL) {
		if (*n == cap) {
			const struct row **more = fsm_scratch(f, cap * 2 * sizeof(*at));

			memcpy(more, at, cap * sizeof(*at));
			at = more;
			cap *= 2;
		}
		at[(*n)++] = row;
	}
	return at;
}

struct blob *fsm_pack(struct fsm_work *f, const struct type *t, const void *object)
{
	f->pack.len = 0;
	pack_encode(t, object, &f->pack);
	if (f->pack.failed) {
		state_malloc(SIZE_MAX);
	}
	return f->pack.len > 1 ? blob_new(f->pack.at, f->pack.len) : NULL;
}

void fsm_unpack(struct fsm_work *f, const struct type *t, const struct blob *blob, void *out)
{
	int rv;

	if (blob == NULL) {
		rv = pack_decode(t, out, "\x80", 1, &f->mem);
	} else {
		rv = pack_decode(t, out, blob->data, blob->len, &f->mem);
	}
	if (rv != 0) {
		log_error("state", "a stored %s cannot be decoded: %s", t->name, error_text(rv));
		abort();
	}
}

bool fsm_unpack_foreign(struct fsm_work *f, const struct type *t, const struct blob *blob, void *out)
{
	int rv = blob != NULL ? pack_decode(t, out, blob->data, blob->len, &f->mem) : ERR_SYNTAX;

	if (rv != 0) {
		fsm_unpack(f, t, NULL, out);
	}
	return rv == 0;
}

/* ---- one command ---- */

#define X(id, payload)                                                                                                 \
	static void call_##id(struct fsm_work *f, const void *p)                                                       \
	{                                                                                                              \
		fsm_##id(f, (const struct payload *)p);                                                                \
	}
COMMAND_LIST(X)
#undef X

static void (*const calls[])(struct fsm_work *f, const void *p) = {
#define X(id, payload) call_##id,
	COMMAND_LIST(X)
#undef X
};

void fsm_NOTHING(struct fsm_work *f, const struct no_payload *p)
{
	(void)f;
	(void)p;
}

static void publish(struct fsm *fsm);

/* The commands that follow in this entry find the new state. */
static void replace(struct fsm *fsm)
{
	struct state *fresh = fsm->work->fresh;

	fsm->work->fresh = NULL;
	publish(fsm);
	fsm->replace(fsm->ctx, fresh);
}

static void apply_one(struct fsm *fsm, const struct command_in *command, struct apply_result *result)
{
	struct fsm_work *f = fsm->work;
	struct state *s = fsm->state;

	s->index++;
	*result = (struct apply_result){.index = s->index};
	f->command = command;
	f->result = result;
	f->ids = 0;
	f->serials = 0;
	f->may_replace = fsm->replace != NULL;
	if (command->payload != NULL) {
		calls[command->type](f, command->payload);
		fsm_deployment_flush(f);
		fsm_settle(f);
	} else {
		result->status = ERR_CORRUPT;
		log_error("state", "a command is passed over: %s", error_text(ERR_CORRUPT));
	}
	fsm->stats.commands++;
	fsm->stats.refused += result->status != 0;
	if (f->fresh != NULL) {
		replace(fsm);
	}
}

/* ---- one entry ---- */

/* A row made and removed by one entry was never seen by anybody. */
static size_t drop_unseen(struct change *changes, size_t n)
{
	size_t kept = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (changes[i].old != NULL || changes[i].now != NULL) {
			changes[kept++] = changes[i];
		}
	}
	return kept;
}

static void publish_notices(struct fsm *fsm, const struct change *changes, size_t n)
{
	struct fsm_work *f = fsm->work;
	struct watch_notice *notices = fsm_scratch(f, (n + 1) * sizeof(*notices));
	size_t i;

	for (i = 0; i < n; i++) {
		const struct row *row = changes[i].now != NULL ? changes[i].now : changes[i].old;

		notices[i] = (struct watch_notice){watch_key_row(row), (uint32_t)changes[i].table};
	}
	watch_publish(fsm->hub, notices, n);
}

/* The view before is held meanwhile: it keeps the rows that were replaced. */
static void publish(struct fsm *fsm)
{
	struct fsm_work *f = fsm->work;
	struct state *s = fsm->state;
	const struct view *before = fsm->changed != NULL || fsm->hub != NULL ? state_view(s) : NULL;
	size_t n;

	forest_stamp(&s->forest, TREE_STATE_INDEX, s->index);
	forest_stamp(&s->forest, TREE_STATE_HASH, s->hash);
	if (forest_commit(&s->forest) != 0) {
		state_malloc(SIZE_MAX);
	}
	n = drop_unseen(f->w.changes, f->w.n_changes);
	if (fsm->hub != NULL) {
		publish_notices(fsm, f->w.changes, n);
	}
	if (fsm->changed != NULL) {
		fsm->before = before;
		fsm->changed(fsm->ctx, f->w.changes, n);
		fsm->before = NULL;
	}
	if (before != NULL) {
		view_release(before);
	}
	writer_reset(&f->w);
}

/* What the entry's commands are, for those who are told of its changes. */
static void note_kinds(struct fsm *fsm, const struct command_in *commands, unsigned n)
{
	uint8_t *kinds = fsm_scratch(fsm->work, n + 1);
	unsigned i;

	for (i = 0; i < n; i++) {
		kinds[i] = (uint8_t)commands[i].type;
	}
	fsm->first_index = fsm->state->index + 1;
	fsm->kinds = kinds;
	fsm->n_kinds = n;
}

enum command fsm_command_at(const struct fsm *fsm, uint64_t index)
{
	bool known = index >= fsm->first_index && index - fsm->first_index < fsm->n_kinds;

	return known ? (enum command)fsm->kinds[index - fsm->first_index] : N_COMMANDS;
}

int fsm_apply(struct fsm *fsm, const void *entry, size_t len, struct apply_result *results)
{
	struct fsm_work *f = fsm->work;
	struct command_in *commands;
	struct apply_result unwanted;
	unsigned n;
	unsigned i;
	int rv = entry_decode(entry, len, &commands, &n, &f->mem);

	if (rv == ERR_NOMEM) {
		state_malloc(SIZE_MAX);
	}
	if (rv == 0) {
		note_kinds(fsm, commands, n);
		for (i = 0; i < n; i++) {
			apply_one(fsm, &commands[i], results != NULL ? &results[i] : &unwanted);
		}
		fsm->stats.entries++;
		publish(fsm);
		fsm->n_kinds = 0;
	} else {
		fsm->stats.malformed++;
		log_error("state", "an entry of %zu bytes is passed over: %s", len, error_text(rv));
	}
	arena_close(&f->mem);
	return rv;
}

/* ---- life ---- */

void fsm_init(struct fsm *fsm, struct state *state, struct watch_hub *hub, fsm_changed_cb changed, void *ctx)
{
	*fsm = (struct fsm){.state = state, .hub = hub, .changed = changed, .ctx = ctx};
	fsm->work = state_malloc(sizeof(*fsm->work));
	*fsm->work = (struct fsm_work){.w = {.state = state}};
}

void fsm_close(struct fsm *fsm)
{
	struct fsm_work *f = fsm->work;

	if (f != NULL) {
		writer_close(&f->w);
		arena_close(&f->mem);
		buf_close(&f->pack);
		free(f->touched.at);
		free(f);
		fsm->work = NULL;
	}
}

void fsm_replaced(struct fsm *fsm, struct state *state)
{
	fsm->state = state;
	fsm->work->w.state = state;
	if (fsm->hub != NULL) {
		watch_publish_all(fsm->hub);
	}
}

void state_init(struct state *s)
{
	const struct command_in command = {.type = COMMAND_NOTHING};
	struct apply_result result;
	struct fsm fsm;

	state_open(s);
	fsm_init(&fsm, s, NULL, NULL, NULL);
	s->index = 1;
	fsm.work->command = &command;
	fsm.work->result = &result;
	fsm_bootstrap(fsm.work);
	publish(&fsm);
	fsm_close(&fsm);
}
