/* What the language has beyond the field tables, made of plain blocks.
 *
 *     dynamic "port" { for_each = ... content { ... } }     a block for each element
 *     constraint { regexp = "^a" }                          operator = "regexp", value = "^a"
 *     identity { name = "x" }                               the label that the table wants
 *     vault {} of a job or a group                          of each task that has none
 *     task "x" {} of a job                                  a group of that name around it
 *     check "x" {} where anything goes (scaling policies)   check { x {} }, for lists of objects in JSON
 *
 * A body is gone through with the type that it is decoded into; NULL where anything goes. */
#include <stdio.h>
#include <string.h>

#include "proto/error.h"
#include "proto/jobspec_parts.h"

static void lower_body(struct jobspec *js, const struct type *t, struct hcl_body *body);

/* ---- constraints and affinities ---- */

enum short_kind { SHORT_VALUE, SHORT_ATTRIBUTE, SHORT_FLAG };

static const struct short_form {
	const char *name;
	enum short_kind kind;
} short_forms[] = {
	{"regexp", SHORT_VALUE},
	{"version", SHORT_VALUE},
	{"semver", SHORT_VALUE},
	{"set_contains", SHORT_VALUE},
	{"set_contains_all", SHORT_VALUE},
	{"set_contains_any", SHORT_VALUE},
	{"distinct_property", SHORT_ATTRIBUTE},
	{"distinct_hosts", SHORT_FLAG},
};

static const struct short_form *find_short(const struct hcl_item *item)
{
	size_t i;

	for (i = 0; item->value != NULL && i < sizeof(short_forms) / sizeof(short_forms[0]); i++) {
		if (strcmp(item->name, short_forms[i].name) == 0) {
			return &short_forms[i];
		}
	}
	return NULL;
}

static void add_text(struct jobspec *js, struct hcl_body *body, const char *name, const char *text, struct hcl_pos pos)
{
	struct hcl_expr *e = jobspec_text(js, text, pos);
	struct hcl_item *item = e != NULL ? jobspec_add(js, body, name, pos) : NULL;

	if (item != NULL) {
		item->value = e;
	}
}

static bool flag_is_false(struct jobspec *js, const struct hcl_expr *e)
{
	struct hcl_value v;

	if (!jobspec_eval(js, &js->scope, e, &v)) {
		return false;
	}
	if (hcl_to_bool(&v) != 0) {
		jobspec_fault(js, e->pos, "a bool is needed here, not %s", hcl_kind_text(v.kind));
		return false;
	}
	return !v.boolean;
}

/* False if the block asks for nothing and is to be left out. */
static bool lower_constraint(struct jobspec *js, struct hcl_item *block)
{
	struct hcl_item *item;
	const struct short_form *form = NULL;

	for (item = block->body->first; item != NULL; item = item->next) {
		form = find_short(item);
		if (form != NULL) {
			break;
		}
	}
	if (form == NULL) {
		return true;
	}
	if (form->kind == SHORT_FLAG && flag_is_false(js, item->value)) {
		return false;
	}
	if (form->kind == SHORT_FLAG) {
		jobspec_remove(block->body, item);
	} else {
		item->name = form->kind == SHORT_VALUE ? "value" : "attribute";
	}
	add_text(js, block->body, "operator", form->name, item->pos);
	return true;
}

/* ---- labels that are given as attributes ---- */

/* The text of an attribute, which is taken out of the body; NULL if there is none. */
static const char *take_text(struct jobspec *js, struct hcl_body *body, const char *name)
{
	struct hcl_item *item = jobspec_find(body, name);
	struct hcl_value v;

	if (item == NULL || item->value == NULL) {
		return NULL;
	}
	jobspec_remove(body, item);
	if (!jobspec_eval(js, &js->scope, item->value, &v)) {
		return NULL;
	}
	if (jobspec_note(js, hcl_to_string(&v, js->mem)) != 0) {
		jobspec_fault(js, item->value->pos, "%s must be a string, not %s", name, hcl_kind_text(v.kind));
		return NULL;
	}
	return v.string;
}

static void set_label(struct jobspec *js, struct hcl_item *block, const char *label)
{
	const char **labels = jobspec_alloc(js, 1, sizeof(*labels));

	if (labels != NULL) {
		labels[0] = label;
		block->labels = labels;
		block->n_labels = 1;
	}
}

static void label_from(struct jobspec *js, struct hcl_item *block, const char *name)
{
	const char *label = block->n_labels == 0 ? take_text(js, block->body, name) : NULL;

	if (label != NULL) {
		set_label(js, block, label);
	}
}

/* ---- dynamic blocks ---- */

/* dynamic "NAME" { for_each, iterator, labels, content {} } */
struct dynamic {
	const struct hcl_item *block;
	const struct hcl_item *for_each;
	const struct hcl_item *labels; /* NULL: none. */
	struct hcl_body *content;
	const char *iterator;
	bool set; /* Elements are their own keys. */
};

static bool read_dynamic(struct jobspec *js, const struct hcl_item *block, struct dynamic *d)
{
	const struct hcl_item *item;

	*d = (struct dynamic){.block = block};
	if (block->n_labels != 1) {
		jobspec_fault(js, block->pos, "dynamic needs one label: dynamic \"name\" {");
		return false;
	}
	d->iterator = block->labels[0];
	for (item = block->body->first; item != NULL; item = item->next) {
		if (item->value != NULL && strcmp(item->name, "for_each") == 0) {
			d->for_each = item;
		} else if (item->value != NULL && strcmp(item->name, "labels") == 0) {
			d->labels = item;
		} else if (item->value != NULL && strcmp(item->name, "iterator") == 0 &&
			   item->value->kind == EXPR_VARIABLE) {
			d->iterator = item->value->name;
		} else if (item->body != NULL && strcmp(item->name, "content") == 0 && d->content == NULL) {
			d->content = item->body;
		} else {
			jobspec_fault(js, item->pos,
				      "%s does not belong here: dynamic has for_each, iterator, labels, content {}",
				      item->name);
			return false;
		}
	}
	if (d->for_each == NULL || d->content == NULL) {
		jobspec_fault(js, block->pos, "dynamic needs for_each and content {}");
		return false;
	}
	d->set = d->for_each->value->kind == EXPR_CALL && strcmp(d->for_each->value->name, "toset") == 0;
	return true;
}

/* {key, value}, which the iterator stands for. */
static bool make_iterator(struct jobspec *js, const struct hcl_value *key, const struct hcl_value *value,
			  struct hcl_value *out)
{
	struct hcl_member *at = jobspec_alloc(js, 2, sizeof(*at));

	if (at == NULL) {
		return false;
	}
	at[0] = (struct hcl_member){.key = "key", .value = *key};
	at[1] = (struct hcl_member){.key = "value", .value = *value};
	*out = (struct hcl_value){
		.kind = HCL_OBJECT, .weight = 4 + key->weight + value->weight, .object = {.at = at, .n = 2}};
	return true;
}

/* Labels see the iterator, so they are evaluated as part of a copy of the block. */
static bool make_labels(struct jobspec *js, const struct dynamic *d, const struct hcl_value *iterator,
			struct hcl_item *to)
{
	struct hcl_item only = {0};
	const struct hcl_body body = {.first = &only, .n = 1, .pos = d->block->pos};
	struct hcl_body *copy;
	struct hcl_value v;
	uint32_t i;

	if (d->labels == NULL) {
		return true;
	}
	only = *d->labels;
	only.next = NULL;
	copy = jobspec_copy(js, &body, d->iterator, iterator);
	if (copy == NULL || !jobspec_eval(js, &js->scope, copy->first->value, &v)) {
		return false;
	}
	if (v.kind != HCL_LIST || v.list.n > HCL_MAX_LABELS) {
		jobspec_fault(js, d->labels->pos, "labels must be a list of at most %d strings", HCL_MAX_LABELS);
		return false;
	}
	to->labels = jobspec_alloc(js, HCL_MAX_LABELS, sizeof(*to->labels));
	for (i = 0; i < v.list.n && to->labels != NULL; i++) {
		struct hcl_value one = v.list.at[i];

		if (jobspec_note(js, hcl_to_string(&one, js->mem)) != 0) {
			jobspec_fault(js, d->labels->pos, "a label must be a string, not %s", hcl_kind_text(one.kind));
			return false;
		}
		to->labels[to->n_labels++] = one.string;
	}
	return to->labels != NULL;
}

static struct hcl_item *make_block(struct jobspec *js, const struct dynamic *d, const struct hcl_value *key,
				   const struct hcl_value *value)
{
	struct hcl_item *item = jobspec_alloc(js, 1, sizeof(*item));
	struct hcl_value iterator;

	if (item == NULL || !make_iterator(js, key, value, &iterator)) {
		return NULL;
	}
	*item = (struct hcl_item){.name = d->block->labels[0], .pos = d->block->pos};
	if (!make_labels(js, d, &iterator, item)) {
		return NULL;
	}
	item->body = jobspec_copy(js, d->content, d->iterator, &iterator);
	return item->body != NULL ? item : NULL;
}

static struct hcl_item *make_nth(struct jobspec *js, const struct dynamic *d, const struct hcl_value *from, uint32_t i)
{
	struct hcl_value key = {.kind = HCL_NUMBER, .weight = 1};

	if (from->kind == HCL_OBJECT) {
		key = (struct hcl_value){.kind = HCL_STRING, .weight = 1, .string = from->object.at[i].key};
		return make_block(js, d, &key, &from->object.at[i].value);
	}
	key.number = hcl_integer(i);
	return make_block(js, d, d->set ? &from->list.at[i] : &key, &from->list.at[i]);
}

/* Put the blocks that it makes in the place of a dynamic block, and return where the next item is. */
static struct hcl_item **expand(struct jobspec *js, struct hcl_body *body, struct hcl_item **at)
{
	const struct hcl_item *block = *at;
	struct hcl_item **tail = at;
	struct hcl_value from = {.kind = HCL_NULL};
	struct dynamic d;
	uint32_t n = 0;
	uint32_t i;

	*at = block->next;
	body->n--;
	if (!read_dynamic(js, block, &d) || !jobspec_eval(js, &js->scope, d.for_each->value, &from)) {
		return at;
	}
	if (from.kind != HCL_LIST && from.kind != HCL_OBJECT) {
		jobspec_fault(js, d.for_each->value->pos, "for_each needs a list or an object, not %s",
			      hcl_kind_text(from.kind));
		return at;
	}
	n = from.kind == HCL_LIST ? from.list.n : from.object.n;
	for (i = 0; i < n; i++) {
		struct hcl_item *item = make_nth(js, &d, &from, i);

		if (item == NULL) {
			break;
		}
		item->next = *tail;
		*tail = item;
		tail = &item->next;
		body->n++;
	}
	return at; /* What it made is gone through like all else. */
}

/* ---- blocks inside ---- */

static const struct field *find_field(const struct type *t, const char *name)
{
	const struct field *f;

	for (f = t->fields; f < t->fields + t->n; f++) {
		if (strcmp(f->hcl, name) == 0) {
			return f;
		}
	}
	return NULL;
}

/* Fields that a job file does not have, though objects of the API do. */
static bool is_foreign(const struct type *t, const char *name)
{
	static const struct {
		const struct type *t;
		const char *name;
	} foreign[] = {
		{&job_type, "payload"},
		{&job_type, "stop"},
		{&job_type, "parent_id"},
		{&job_type, "dispatched"},
		{&job_type, "dispatch_idempotency_token"},
		{&network_resource_type, "reserved_ports"},
		{&task_type, "identities"},
		{&scaling_policy_type, "id"},
		{&scaling_policy_type, "namespace"},
	};
	size_t i;

	for (i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		if (foreign[i].t == t && strcmp(foreign[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* A task has one identity without a name, or by the name of "default", and more with names of their own. */
static void name_identity(struct jobspec *js, struct hcl_item *block)
{
	label_from(js, block, "name");
	if (block->n_labels == 1 && strcmp(block->labels[0], "default") != 0) {
		block->name = "identities";
	}
}

static void unfold_labels(struct jobspec *js, struct hcl_item *block)
{
	while (block->n_labels > 0) {
		struct hcl_body *body = jobspec_alloc(js, 1, sizeof(*body));
		struct hcl_item *inner;

		if (body == NULL) {
			return;
		}
		body->pos = block->pos;
		inner = jobspec_add(js, body, block->labels[block->n_labels - 1], block->pos);
		if (inner == NULL) {
			return;
		}
		inner->body = block->body;
		block->body = body;
		block->n_labels--;
	}
}

static void wrap_task(struct jobspec *js, struct hcl_item *task)
{
	struct hcl_body *body = jobspec_alloc(js, 1, sizeof(*body));
	struct hcl_item *inner = NULL;

	if (body != NULL) {
		body->pos = task->pos;
		inner = jobspec_add(js, body, "task", task->pos);
	}
	if (inner != NULL) {
		inner->labels = task->labels;
		inner->n_labels = task->n_labels;
		inner->body = task->body;
		task->name = "group";
		task->body = body;
	}
}

/* One block of a body of type `outer`, with what is inside. False if it is to be left out. */
static bool lower_block(struct jobspec *js, const struct type *outer, struct hcl_item *block)
{
	const struct field *f;
	const struct type *t;

	if (outer == &job_type && strcmp(block->name, "task") == 0) {
		wrap_task(js, block);
	}
	f = outer != NULL ? find_field(outer, block->name) : NULL;
	t = f != NULL ? f->sub : NULL;
	lower_body(js, t, block->body);
	if (t == NULL) {
		unfold_labels(js, block);
	} else if (t == &constraint_type || t == &affinity_type) {
		return lower_constraint(js, block);
	} else if (t == &workload_identity_type && outer == &task_type) {
		name_identity(js, block);
	} else if (t == &workload_identity_type) {
		label_from(js, block, "name");
	} else if (t == &scaling_policy_type) {
		label_from(js, block, "type");
	}
	return true;
}

static void lower_body(struct jobspec *js, const struct type *t, struct hcl_body *body)
{
	struct hcl_item **at = &body->first;

	while (*at != NULL && !js->nomem) {
		struct hcl_item *item = *at;

		if (item->body != NULL && strcmp(item->name, "dynamic") == 0) {
			at = expand(js, body, at);
			continue;
		}
		if (t != NULL && is_foreign(t, item->name)) {
			jobspec_fault(js, item->pos, "%s is not known here", item->name);
			item->name = "";
		}
		if (item->name[0] == '\0' || (item->body != NULL && !lower_block(js, t, item))) {
			*at = item->next;
			body->n--;
		} else {
			at = &item->next;
		}
	}
}

/* ---- the job ---- */

/* Take the block out of the body; the outer one, or NULL, if there is none. */
static const struct hcl_item *take_block(struct hcl_body *body, const char *name, const struct hcl_item *outer)
{
	const struct hcl_item *item = jobspec_find(body, name);

	if (item == NULL || item->body == NULL) {
		return outer;
	}
	jobspec_remove(body, item);
	return item;
}

static void inherit(struct jobspec *js, struct hcl_body *task, const struct hcl_item *block)
{
	struct hcl_item *item;

	if (jobspec_find(task, block->name) == NULL) {
		item = jobspec_add(js, task, block->name, block->pos);
		if (item != NULL) {
			item->body = block->body;
		}
	}
}

static void hand_down_vault(struct jobspec *js, struct hcl_body *job)
{
	const struct hcl_item *of_job = take_block(job, "vault", NULL);
	struct hcl_item *group;
	struct hcl_item *task;

	for (group = job->first; group != NULL; group = group->next) {
		if (group->body == NULL || strcmp(group->name, "group") != 0) {
			continue;
		}
		const struct hcl_item *vault = take_block(group->body, "vault", of_job);

		for (task = group->body->first; vault != NULL && task != NULL; task = task->next) {
			if (task->body != NULL && strcmp(task->name, "task") == 0) {
				inherit(js, task->body, vault);
			}
		}
	}
}

void jobspec_lower(struct jobspec *js, struct hcl_item *job)
{
	const char *id;

	lower_body(js, &job_type, job->body);
	hand_down_vault(js, job->body);
	id = take_text(js, job->body, "id");
	if (id != NULL) {
		set_label(js, job, id);
	}
}
