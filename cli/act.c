#include "cli/act.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/format.h"
#include "cli/lookup.h"
#include "cli/monitor.h"
#include "cli/show.h"
#include "cli/table.h"

#define ACT_ANSWER_FIELDS(X, T) X(T, STR, eval_id, "EvalID")
OBJECT_DECLARE(act_answer, ACT_ANSWER_FIELDS);
OBJECT_DEFINE(act_answer, ACT_ANSWER_FIELDS);

const struct act_kind act_jobs = {"/v1/jobs", "job", false, &job_stubs_type};
const struct act_kind act_allocs = {"/v1/allocations", "allocation", true, &alloc_stubs_type};
const struct act_kind act_nodes = {"/v1/nodes", "node", true, &node_stubs_type};
const struct act_kind act_deployments = {"/v1/deployments", "deployment", true, &deployments_type};

/* What all lists look like that lookup_one() fills. */
struct any_list {
	struct objs items;
};

int act_on(struct args *args, const struct act_kind *kind,
	   int (*act)(struct client *c, const struct args *args, const char *id))
{
	struct any_list list;
	struct client c;
	const char *id;
	int code;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	id = lookup_one(&c, kind->path, kind->word, args->rest[0], kind->uuid, kind->list, &list);
	code = id != NULL ? act(&c, args, id) : EXIT_ERROR;
	client_close(&c);
	return code;
}

int act_on_server(struct args *args, int (*act)(struct client *c, const struct args *args))
{
	struct client c;
	int code;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	code = act(&c, args);
	client_close(&c);
	return code;
}

int act_status(struct args *args, int (*list)(struct client *c, const struct args *args),
	       const char *(*find)(struct client *c, const char *named),
	       int (*show)(struct client *c, const struct args *args, const char *id))
{
	struct client c;
	const char *id;
	int code = EXIT_ERROR;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	if (args->n_rest == 0) {
		code = list(&c, args);
	} else {
		id = find(&c, args->rest[0]);
		code = id != NULL ? show(&c, args, id) : EXIT_ERROR;
	}
	client_close(&c);
	return code;
}

void act_put(struct buf *body, const char *name, const char *text)
{
	buf_printf(body, "\"%s\":", name);
	json_put_str(body, text, strlen(text));
}

int act_send(struct client *c, const struct args *args, const char *doing, const char *method, struct buf *body,
	     const char *done)
{
	struct act_answer answer = {.eval_id = ""};
	bool ok = client_ok(c, doing, method, body->len > 0 ? buf_text(body) : NULL, body->len);

	buf_close(body);
	if (!ok || (c->body.len > 0 && c->body.at[0] == '{' && !client_decode(c, doing, &act_answer_type, &answer))) {
		return EXIT_ERROR;
	}
	if (answer.eval_id[0] == '\0') {
		if (done != NULL) {
			printf("%s\n", done);
		}
		return EXIT_OK;
	}
	if (args_has(args, "detach")) {
		printf("%s\n", answer.eval_id);
		return EXIT_OK;
	}
	return monitor_eval(c, answer.eval_id, args_has(args, "verbose"));
}

/* ---- showing ---- */

static const char *join(struct arena *mem, const struct strs *list)
{
	const char *text = "";

	for (uint32_t i = 0; i < list->n && text != NULL; i++) {
		text = i == 0 ? list->at[i] : arena_printf(mem, "%s,%s", text, list->at[i]);
	}
	return text != NULL ? text : "";
}

static const char *cell_of(struct arena *mem, const struct field *f, const void *obj)
{
	const void *member = (const char *)obj + f->offset;

	switch (f->kind) {
	case KIND_STR:
		return *(const char *const *)member;
	case KIND_INT:
		return format_int(mem, *(const int64_t *)member);
	case KIND_BOOL:
		return format_bool(*(const bool *)member);
	case KIND_STRS:
		return join(mem, member);
	default:
		return "...";
	}
}

static void add_heading(struct table *t, const struct type *type)
{
	const char *cells[TABLE_MAX_COLUMNS];
	unsigned n = 0;

	for (; n < type->n && n < TABLE_MAX_COLUMNS; n++) {
		cells[n] = type->fields[n].name;
	}
	table_add(t, cells, n);
}

static void add_row(struct arena *mem, struct table *t, const struct type *type, const void *obj)
{
	const char *cells[TABLE_MAX_COLUMNS];
	unsigned n = 0;

	for (; n < type->n && n < TABLE_MAX_COLUMNS; n++) {
		cells[n] = cell_of(mem, &type->fields[n], obj);
	}
	table_add(t, cells, n);
}

int act_show_list(struct client *c, const struct args *args, const char *doing, const struct type *list_type)
{
	const struct type *type = list_type->fields[0].sub;
	struct any_list list = {{NULL, 0}};
	struct table t = {0};

	if (!client_read_list(c, doing, list_type, &list)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	add_heading(&t, type);
	for (uint32_t i = 0; i < list.items.n; i++) {
		add_row(c->mem, &t, type, (const char *)list.items.at + (size_t)i * type->size);
	}
	table_print(&t, stdout);
	return EXIT_OK;
}

int act_show_object(struct client *c, const struct args *args, const char *doing, const struct type *type)
{
	void *obj = arena_calloc(c->mem, 1, type->size);
	struct table t = {0};

	if (obj == NULL || !client_read(c, doing, type, obj)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	for (unsigned i = 0; i < type->n; i++) {
		table_row(&t, type->fields[i].name, cell_of(c->mem, &type->fields[i], obj));
	}
	table_print_pairs(&t, stdout);
	return EXIT_OK;
}

int act_show_json(struct client *c, const char *doing)
{
	if (!client_ok(c, doing, "GET", NULL, 0)) {
		return EXIT_ERROR;
	}
	show_json(c);
	return EXIT_OK;
}
