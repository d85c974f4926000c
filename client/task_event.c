#include "client/task_event.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/timefmt.h"
#include "proto/error.h"

#define IN(field) (int)offsetof(struct task_event, field)
#define NOWHERE (-1)

static const struct kind_row {
	const char *type;
	int text_at; /* Offset of a string member of struct task_event, or NOWHERE. */
	const char *key;
	const char *sentence;
} rows[] = {
#define X(id, type, text_at, key, sentence) {type, text_at, key, sentence},
        TASK_EVENT_LIST(X)
#undef X
};

const char *task_record_type(enum task_event_kind kind)
{
	return rows[kind].type;
}

void task_log_close(struct task_log *log)
{
	uint32_t i;

	for (i = 0; i < log->n; i++) {
		free(log->at[i].text);
	}
	*log = (struct task_log){.n = 0};
}

void task_log_add(struct task_log *log, struct task_record record)
{
	if (log->n == TASK_EVENTS_KEPT) {
		free(log->at[0].text);
		memmove(log->at, log->at + 1, (TASK_EVENTS_KEPT - 1) * sizeof(log->at[0]));
		log->n--;
	}
	if (log->n > 0 && record.time_ns < log->at[log->n - 1].time_ns) {
		record.time_ns = log->at[log->n - 1].time_ns;
	}
	record.text = record.text == NULL || record.text[0] == '\0' ? NULL : strdup(record.text);
	log->at[log->n++] = record;
}

const struct task_record *task_log_last(const struct task_log *log, enum task_event_kind kind)
{
	uint32_t i;

	for (i = log->n; i > 0; i--) {
		if (log->at[i - 1].kind == kind) {
			return &log->at[i - 1];
		}
	}
	return NULL;
}

/* ---- the API form ---- */

/* What is being made. A NULL where memory ran out shows in `failed` alone. */
struct render {
	const struct task_record *record;
	struct task_event *out;
	struct arena *mem;
	bool failed;
};

static const char *kept(struct render *r, const char *text)
{
	if (text == NULL) {
		r->failed = true;
		return "";
	}
	return text;
}

/* Details are few: each is put where the map's order wants it. */
static void detail(struct render *r, const char *key, const char *value)
{
	struct map *map = &r->out->details;
	uint32_t i = map->n;

	while (i > 0 && strcmp(map->at[i - 1].key, key) > 0) {
		map->at[i] = map->at[i - 1];
		i--;
	}
	map->at[i] = (struct pair){key, value};
	map->n++;
}

static void detail_int(struct render *r, const char *key, int64_t value)
{
	detail(r, key, kept(r, arena_printf(r->mem, "%" PRId64, value)));
}

/* Put before what is there already, separated by ", ". */
static const char *joined(struct render *r, const char *before, const char *text)
{
	return before[0] == '\0' ? text : kept(r, arena_printf(r->mem, "%s, %s", before, text));
}

static const char *say_terminated(struct render *r, const char *text)
{
	const struct task_record *x = r->record;
	const char *said = kept(r, arena_printf(r->mem, "Exit Code: %d", x->exit_code));

	r->out->exit_code = x->exit_code;
	r->out->signal = x->signal;
	detail_int(r, "exit_code", x->exit_code);
	detail_int(r, "signal", x->signal);
	detail(r, "oom_killed", x->oom_killed ? "true" : "false");
	if (x->signal != 0) {
		said = joined(r, said, kept(r, arena_printf(r->mem, "Signal: %d", x->signal)));
	}
	if (text[0] != '\0') {
		said = joined(r, said, kept(r, arena_printf(r->mem, "Exit Message: \"%s\"", text)));
	}
	return said;
}

static const char *say_restarting(struct render *r, const char *text)
{
	char delay[DURATION_TEXT];

	duration_format(r->record->duration_ns, delay);
	r->out->start_delay = r->record->duration_ns;
	detail_int(r, "start_delay", r->record->duration_ns);
	if (text[0] == '\0') {
		detail(r, "restart_reason", ""); /* It is asked for by users, and free of the policy. */
	}
	if (text[0] == '\0' || strcmp(text, "Restart within policy") == 0) {
		return kept(r, arena_printf(r->mem, "Task restarting in %s", delay));
	}
	return kept(r, arena_printf(r->mem, "%s - Task restarting in %s", text, delay));
}

static const char *say_killing(struct render *r, const char *text)
{
	char timeout[DURATION_TEXT];

	duration_format(r->record->duration_ns, timeout);
	r->out->kill_timeout = r->record->duration_ns;
	detail(r, "kill_timeout", kept(r, arena_strdup(r->mem, timeout)));
	if (text[0] != '\0') {
		return text;
	}
	if (r->record->duration_ns == 0) {
		return "Sent interrupt";
	}
	return kept(r, arena_printf(r->mem, "Sent interrupt. Waiting %s before force killing", timeout));
}

static const char *say_delay(struct render *r, const char *text)
{
	char delay[DURATION_TEXT];

	(void)text;
	duration_format(r->record->duration_ns, delay);
	return kept(r, arena_printf(r->mem, "%s shutdown_delay of %s before killing the task.",
	                            r->record->kind == TASK_EVENT_WAITING_DELAY ? "Waiting for" : "Skipping", delay));
}

static const char *say_sibling(struct render *r, const char *text)
{
	return text[0] == '\0' ? rows[TASK_EVENT_SIBLING_FAILED].sentence
	                       : kept(r, arena_printf(r->mem, "Task's sibling \"%s\" failed", text));
}

/* The sentence is the text, and where there is none, the row's. */
static const char *say_text(struct render *r, const char *text)
{
	return text[0] != '\0' ? text : rows[r->record->kind].sentence;
}

static const char *say_row(struct render *r, const char *text)
{
	(void)text;
	return rows[r->record->kind].sentence;
}

static const char *(*const say[TASK_EVENT_COUNT])(struct render *r, const char *text) = {
        [TASK_EVENT_TERMINATED] = say_terminated, [TASK_EVENT_RESTARTING] = say_restarting,
        [TASK_EVENT_KILLING] = say_killing,       [TASK_EVENT_WAITING_DELAY] = say_delay,
        [TASK_EVENT_SKIPPING_DELAY] = say_delay,  [TASK_EVENT_SIBLING_FAILED] = say_sibling,
        [TASK_EVENT_SIGNALING] = say_row,         [TASK_EVENT_RECEIVED] = say_row,
        [TASK_EVENT_RERENDERED] = say_row,
        [TASK_EVENT_STARTED] = say_row,           [TASK_EVENT_DOWNLOADING] = say_row,
};

/* The text goes to its member and to Details. */
static const char *place_text(struct render *r)
{
	const struct kind_row *row = &rows[r->record->kind];
	const char *text;

	if (r->record->text == NULL) {
		return "";
	}
	text = kept(r, arena_strdup(r->mem, r->record->text));
	if (row->text_at != NOWHERE) {
		memcpy((char *)r->out + row->text_at, &text, sizeof(text));
	}
	if (row->key[0] != '\0') {
		detail(r, row->key, text);
	}
	return text;
}

int task_record_render(const struct task_record *record, struct task_event *out, struct arena *mem)
{
	struct render r = {.record = record, .out = out, .mem = mem};
	const char *text;

	object_init(&task_event_type, out);
	out->details.at = arena_calloc(mem, 8, sizeof(out->details.at[0]));
	if (out->details.at == NULL) {
		return ERR_NOMEM;
	}
	out->type = rows[record->kind].type;
	out->time = record->time_ns;
	out->fails_task = record->fails_task;
	if (record->fails_task) {
		detail(&r, "fails_task", "true");
	}
	text = place_text(&r);
	out->display_message = (say[record->kind] != NULL ? say[record->kind] : say_text)(&r, text);
	return r.failed ? ERR_NOMEM : 0;
}
