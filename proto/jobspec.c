#include "proto/jobspec.h"

#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/jobspec_parts.h"

enum { FAULTS_TOLD = 20 };

bool jobspec_eval(struct jobspec *js, const struct hcl_scope *scope, const struct hcl_expr *e, struct hcl_value *out)
{
	struct hcl_error error = {e->pos, ""};
	int rv = hcl_eval(e, scope, js->mem, out, &error);

	if (rv == ERR_NOMEM) {
		js->nomem = true;
	} else if (rv != 0) {
		jobspec_fault(js, error.pos, "%s", error.text);
	}
	return rv == 0;
}

int jobspec_note(struct jobspec *js, int rv)
{
	js->nomem = js->nomem || rv == ERR_NOMEM;
	return rv;
}

void *jobspec_alloc(struct jobspec *js, size_t count, size_t size)
{
	void *p = arena_calloc(js->mem, count > 0 ? count : 1, size);

	js->nomem = js->nomem || p == NULL;
	return p;
}

static int convert_cb(void *ctx, const struct hcl_expr *type, struct hcl_value *value, struct hcl_error *error)
{
	struct jobspec *js = ctx;

	if (jobspec_convert(js, type, value, error)) {
		return 0;
	}
	return js->nomem ? ERR_NOMEM : js->budget.steps > HCL_MAX_STEPS ? ERR_TOOBIG : ERR_TYPE;
}

/* ---- texts ---- */

static struct hcl_body *parse_text(struct jobspec *js, const char *text, size_t len)
{
	struct hcl_error error = {{1, 1}, ""};
	struct hcl_body *body = NULL;
	int rv;

	if (len > JOBSPEC_MAX_BYTES) {
		jobspec_fault(js, error.pos, "the text is longer than %d bytes", JOBSPEC_MAX_BYTES);
		return NULL;
	}
	rv = hcl_parse(text, len, js->mem, &body, &error);
	if (jobspec_note(js, rv) == 0) {
		return body;
	}
	jobspec_fault(js, error.pos, "%s", error.text);
	return NULL;
}

/* False after a fault. */
static bool parse_values(struct jobspec *js, const struct jobspec_source *s, struct hcl_body **values)
{
	*values = NULL;
	if (s->variables == NULL || s->variables_len == 0) {
		return true;
	}
	js->report.file = s->variables_name;
	*values = parse_text(js, s->variables, s->variables_len);
	if (*values != NULL && (*values)->n > 8 * JOBSPEC_MAX_NAMES) {
		jobspec_fault(js, (*values)->pos, "more than %d values of variables", 8 * JOBSPEC_MAX_NAMES);
	}
	js->report.file = s->name;
	return js->report.errors == 0 && !js->nomem;
}

/* ---- the file ---- */

static bool is_known(const struct hcl_item *item)
{
	return item->body != NULL && (strcmp(item->name, "job") == 0 || strcmp(item->name, "variable") == 0 ||
				      strcmp(item->name, "locals") == 0);
}

/* The one job of the file, NULL after a fault. */
static struct hcl_item *find_job(struct jobspec *js, const struct hcl_body *file)
{
	struct hcl_item *job = NULL;
	struct hcl_item *item;

	for (item = file->first; item != NULL; item = item->next) {
		if (!is_known(item)) {
			jobspec_fault(js, item->pos,
				      "%s is not known here: a job file has variable, locals and job blocks",
				      item->name);
		} else if (strcmp(item->name, "job") == 0 && job != NULL) {
			jobspec_fault(js, item->pos, "a second job: a job file has one");
		} else if (strcmp(item->name, "job") == 0) {
			job = item;
		}
	}
	if (job == NULL) {
		jobspec_fault(js, file->pos, "a job block is missing: job \"name\" {");
		return NULL;
	}
	if (job->n_labels != 1) {
		jobspec_fault(js, job->pos, "job needs one label: job \"name\" {");
		return NULL;
	}
	return job;
}

/* ---- the job ---- */

static void set_string(struct jobspec *js, const char **to, const char *text)
{
	const char *copy = arena_strdup(js->mem, text);

	js->nomem = js->nomem || copy == NULL;
	*to = copy != NULL ? copy : "";
}

/* Ports with a number of their own are reserved. */
static void part_ports(struct jobspec *js, struct network_resource *n)
{
	struct port *reserved = jobspec_alloc(js, n->dynamic_ports.n, sizeof(*reserved));
	uint32_t kept = 0;
	uint32_t i;

	for (i = 0; i < n->dynamic_ports.n && reserved != NULL; i++) {
		const struct port *p = &n->dynamic_ports.at[i];

		if (p->value > 0) {
			reserved[n->reserved_ports.n++] = *p;
		} else {
			n->dynamic_ports.at[kept++] = *p;
		}
	}
	n->dynamic_ports.n = kept;
	n->reserved_ports.at = reserved;
}

static void finish_task(struct jobspec *js, struct task *t)
{
	uint32_t i;

	for (i = 0; t->resources != NULL && i < t->resources->networks.n; i++) {
		part_ports(js, &t->resources->networks.at[i]);
	}
}

/* A constraint asks for equality unless it says otherwise. */
static void finish_constraints(struct constraint *at, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (at[i].operand[0] == '\0') {
			at[i].operand = "=";
		}
	}
}

static void finish_group(struct jobspec *js, struct task_group *g)
{
	uint32_t i;
	uint32_t k;

	finish_constraints(g->constraints.at, g->constraints.n);
	for (i = 0; i < g->networks.n; i++) {
		part_ports(js, &g->networks.at[i]);
	}
	for (i = 0; i < g->tasks.n; i++) {
		struct task *t = &g->tasks.at[i];

		finish_constraints(t->constraints.at, t->constraints.n);
		for (k = 0; t->resources != NULL && k < t->resources->devices.n; k++) {
			finish_constraints(t->resources->devices.at[k].constraints.at,
					   t->resources->devices.at[k].constraints.n);
		}
		finish_task(js, t);
	}
}

static void make_job(struct jobspec *js, struct hcl_item *block, struct job *job)
{
	uint32_t i;

	jobspec_lower(js, block);
	if (js->nomem || js->report.errors > 0) {
		return;
	}
	jobspec_note(js, hcl_decode(&job_type, job, block->body, &js->scope, js->mem, &js->report));
	set_string(js, &job->id, block->labels[0]);
	if (!str_given(&job_type, job, &job->name)) {
		set_string(js, &job->name, job->id);
	}
	finish_constraints(job->constraints.at, job->constraints.n);
	for (i = 0; i < job->task_groups.n; i++) {
		finish_group(js, &job->task_groups.at[i]);
	}
}

/* ---- the whole ---- */

static int compare_notes(const void *a, const void *b)
{
	const struct hcl_note *p = *(const struct hcl_note *const *)a;
	const struct hcl_note *q = *(const struct hcl_note *const *)b;

	if (p->pos.line != q->pos.line) {
		return p->pos.line < q->pos.line ? -1 : 1;
	}
	return (p->pos.column > q->pos.column) - (p->pos.column < q->pos.column);
}

/* In the order of the text, which is not that in which they were found. */
static void tell_faults(struct jobspec *js, struct buf *why)
{
	const struct hcl_note **sorted = jobspec_alloc(js, js->report.n, sizeof(*sorted));
	const struct hcl_note *note = js->report.first;
	unsigned n = 0;
	unsigned i;

	for (; note != NULL && sorted != NULL; note = note->next) {
		sorted[n++] = note;
	}
	qsort(sorted, n, sizeof(*sorted), compare_notes);
	for (i = 0; i < n && i < FAULTS_TOLD; i++) {
		buf_printf(why, "%s%s:%u,%u: %s", i > 0 ? "\n" : "", sorted[i]->file, sorted[i]->pos.line,
			   sorted[i]->pos.column, sorted[i]->text != NULL ? sorted[i]->text : "");
	}
	if (js->report.errors > FAULTS_TOLD) {
		buf_printf(why, "\nand %u more", js->report.errors - FAULTS_TOLD);
	}
}

static void parse(struct jobspec *js, const struct jobspec_source *source, struct job *job)
{
	struct hcl_body *file = parse_text(js, source->text, source->len);
	struct hcl_body *values;
	struct hcl_item *block;

	if (file == NULL || !parse_values(js, source, &values)) {
		return;
	}
	block = find_job(js, file);
	if (block == NULL) {
		return;
	}
	jobspec_read_variables(js, file, values, source->variables_name);
	if (js->report.errors == 0 && !js->nomem) {
		jobspec_read_locals(js, file);
	}
	if (js->report.errors == 0 && !js->nomem) {
		make_job(js, block, job);
	}
}

int jobspec_parse(const struct jobspec_source *source, struct arena *mem, struct job *job, struct buf *why)
{
	struct jobspec js = {
		.mem = mem,
		.report = {.mem = mem, .file = source->name, .strict = true},
		/* What an evaluation may take, but for what is used up from the beginning. */
		.budget = {HCL_MAX_STEPS - JOBSPEC_MAX_STEPS, HCL_MAX_TEXT - JOBSPEC_MAX_TEXT},
		.seed = source->seed,
		.flags = source->flags,
	};

	js.functions = (struct hcl_scope){
		.function_cb = jobspec_function_cb,
		.convert_cb = convert_cb,
		.ctx = &js,
		.attempts = true,
		.budget = &js.budget,
	};
	js.scope = js.functions;
	js.scope.variable_cb = jobspec_variable_cb;
	js.scope.keep_unknown = true;
	object_init(&job_type, job);
	parse(&js, source, job);
	if (!js.nomem && js.report.errors > 0) {
		tell_faults(&js, why);
		js.nomem = js.nomem || why->failed;
	}
	return js.nomem ? ERR_NOMEM : js.report.errors > 0 ? ERR_INVALID : 0;
}
