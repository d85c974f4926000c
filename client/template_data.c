/*
 * Functions of templates that ask the cluster: variables and services.
 *
 * What is asked for is a GET of the API. Its target is noted, and looked up among the answers that the rendering was
 * given. Variables are maps of their items, with what is told of them behind that, as templates know them:
 *
 *     {{ with nomadVar "nomad/jobs/web" }}
 *         {{ .user }} {{ .Metadata.Path }} {{ range .Tuples }}{{ .K }}={{ .V }}{{ end }}
 *     {{ end }}
 */
#include <ctype.h>
#include <string.h>

#include "client/template_parts.h"
#include "proto/error.h"

enum { PICK_MAX = 9 };

/* ---- asking ---- */

static const struct template_answer *find_known(const struct template_data *d, const char *target)
{
	uint32_t i;

	for (i = 0; i < d->n_known; i++) {
		if (strcmp(d->known[i].target, target) == 0) {
			return &d->known[i];
		}
	}
	return NULL;
}

static struct template_want *note_want(struct template_run *t, const char *target, const char *name)
{
	struct template_data *d = t->args->data;
	struct template_want *w;
	uint32_t i;

	for (i = 0; i < d->n_wants; i++) {
		if (strcmp(d->wants[i].target, target) == 0) {
			return &d->wants[i];
		}
	}
	if (d->n_wants == TEMPLATE_WANTS_MAX) {
		template_refuse(t, "the templates of a task ask for more than %d variables and services",
		                TEMPLATE_WANTS_MAX);
		return NULL;
	}
	w = &d->wants[d->n_wants++];
	*w = (struct template_want){.target = arena_strdup(d->mem, target), .name = arena_strdup(d->mem, name)};
	if (w->target == NULL || w->name == NULL) {
		d->n_wants--;
		t->rc = ERR_NOMEM;
		return NULL;
	}
	return w;
}

enum need { MAY_BE_MISSING, MUST_BE_THERE, MUST_NOT_BE_EMPTY };

static bool is_good(const struct template_answer *answer, enum need need)
{
	return answer != NULL && (need == MAY_BE_MISSING || answer->status != 404) &&
	       (need != MUST_NOT_BE_EMPTY || strcmp(answer->body, "[]") != 0);
}

/* The answer, or NULL and the rendering is of no use. */
static const struct template_answer *ask(struct template_run *t, const char *target, const char *name, enum need need)
{
	const struct template_answer *answer;
	struct template_want *w;

	if (target == NULL || name == NULL) {
		t->rc = t->rc == 0 ? ERR_NOMEM : t->rc;
		return NULL;
	}
	w = note_want(t, target, name);
	answer = w == NULL ? NULL : find_known(t->args->data, target);
	if (w != NULL && !is_good(answer, need)) {
		w->missing = true;
		t->missing = true;
	}
	return answer;
}

/* ---- names ---- */

/* A text as a part of a path or a query; NULL when memory is exhausted. */
static const char *escaped(struct template_run *t, const char *text, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = arena_alloc(&t->mem, 3 * len + 1);
	size_t n = 0;
	size_t i;

	for (i = 0; out != NULL && i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (isalnum(c) || strchr("-_.~/", c) != NULL) {
			out[n++] = (char)c;
		} else {
			out[n++] = '%';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		}
	}
	if (out == NULL) {
		t->rc = t->rc == 0 ? ERR_NOMEM : t->rc;
		return NULL;
	}
	out[n] = '\0';
	return out;
}

static bool is_text(const char *text, size_t len, const char *of)
{
	return strlen(of) == len && strncmp(text, of, len) == 0;
}

/* "NAME[@REST]": the length of the name; what is behind it must be this namespace or region. */
static size_t own_part(struct template_run *t, const struct args *a, const char *text, bool namespace_)
{
	const struct template_data *d = t->args->data;
	const char *at = strrchr(text, '@');
	size_t first;

	if (at == NULL) {
		return strlen(text);
	}
	first = namespace_ ? strcspn(at + 1, ".") : 0;
	if (namespace_ && !is_text(at + 1, first, d->namespace_)) {
		template_refuse(t, "%s: a task may read variables of its own namespace only, \"%.64s\"", a->name,
		                d->namespace_);
	}
	if ((!namespace_ || at[1 + first] == '.') && strcmp(at + 1 + first + namespace_, d->region) != 0) {
		template_refuse(t, "%s: only this region can be asked, \"%.64s\"", a->name, d->region);
	}
	return (size_t)(at - text);
}

static bool can_ask(struct template_run *t, const struct args *a)
{
	if (t->args->data == NULL) {
		template_refuse(t, "%s: the cluster cannot be asked here", a->name);
	}
	return t->rc == 0;
}

/* ---- variables ---- */

/* Without the slashes at both ends. */
static const char *trimmed(const char *text, size_t *len)
{
	while (*len > 0 && *text == '/') {
		text++;
		--*len;
	}
	while (*len > 0 && text[*len - 1] == '/') {
		--*len;
	}
	return text;
}

/* "nomad.var.block(nomad/jobs/web@default.global)" */
static const char *told_name(struct template_run *t, const char *what, const char *path, size_t len)
{
	const struct template_data *d = t->args->data;

	return arena_printf(&t->mem, "nomad.var.%s(%.*s@%s.%s)", what, (int)len, path, d->namespace_, d->region);
}

/* What is added to a question for variables. */
static const char *by_whom(struct template_run *t)
{
	const char *workload = t->args->data->workload;
	const char *name = workload != NULL ? escaped(t, workload, strlen(workload)) : "";
	const char *text = workload != NULL && name != NULL ? arena_printf(&t->mem, "&task=%s", name) : "";

	if (name == NULL || text == NULL) {
		t->rc = t->rc == 0 ? ERR_NOMEM : t->rc;
		return "";
	}
	return text;
}

static const struct template_answer *ask_variable(struct template_run *t, const struct args *a, enum need need)
{
	const struct template_data *d = t->args->data;
	const char *path = text_of(t, a, 0);
	const char *ns = escaped(t, d->namespace_, strlen(d->namespace_));
	size_t len = own_part(t, a, path, true);
	const char *name;

	path = trimmed(path, &len);
	name = escaped(t, path, len);
	if (len == 0) {
		template_refuse(t, "%s wants a path", a->name);
	}
	if (t->rc != 0) {
		return NULL;
	}
	return ask(t, arena_printf(&t->mem, "/v1/var/%s?namespace=%s%s", name, ns, by_whom(t)),
	           told_name(t, "block", path, len), need);
}

static struct value nothing(void)
{
	return (struct value){.kind = VALUE_MAP};
}

/* A map of members of another, under names of its own, which ascend. */
static struct value pick(struct template_run *t, const struct value *of, const char *const *names,
                         const char *const *from, unsigned n)
{
	struct value at[PICK_MAX];
	unsigned i;

	for (i = 0; i < n; i++) {
		const struct value *found = value_member(of, from[i], strlen(from[i]));

		at[i] = found != NULL ? *found : value_nil;
	}
	return map_of(t, names, at, n);
}

/* What is told of a variable, without its items. */
static struct value metadata(struct template_run *t, const struct value *variable)
{
	static const char *const names[] = {"CreateIndex", "CreateTime", "ModifyIndex",
	                                    "ModifyTime",  "Namespace",  "Path"};
	const struct value *path = value_member(variable, "Path", 4);
	struct value v = pick(t, variable, names, names, 6);

	v.text = path != NULL && path->kind == VALUE_TEXT ? path->text : "";
	return v;
}

/* What else a variable's items are asked for. */
static const struct value *items_hidden(struct template_run *t, const struct value *variable, const struct value *items)
{
	static const char *const names[] = {"Keys", "Metadata", "Parent", "Tuples", "Values"};
	static const char *const pair[] = {"K", "V"};
	struct value keys = list_of(t, items->n);
	struct value values = list_of(t, items->n);
	struct value tuples = list_of(t, items->n);
	struct value *out = arena_calloc(&t->mem, 1, sizeof(*out));
	struct value about = metadata(t, variable);
	uint32_t i;

	if (out == NULL || t->rc != 0) {
		t->rc = t->rc == 0 ? ERR_NOMEM : t->rc;
		return NULL;
	}
	for (i = 0; i < items->n; i++) {
		keys.at[i] = value_text(t, items->keys[i], strlen(items->keys[i]));
		values.at[i] = items->at[i];
		tuples.at[i] = map_of(t, pair, (const struct value[]){keys.at[i], values.at[i]}, 2);
	}
	*out = map_of(t, names, (const struct value[]){keys, about, about, tuples, values}, 5);
	return out;
}

struct value data_var(struct template_run *t, const struct args *a)
{
	const struct template_answer *answer = can_ask(t, a) ? ask_variable(t, a, MUST_BE_THERE) : NULL;
	const struct value *found;
	struct value variable;
	struct value items;

	if (answer == NULL || answer->status != 200) {
		return nothing();
	}
	variable = value_json(t, answer->body, answer->len);
	found = value_member(&variable, "Items", 5);
	items = found != NULL && found->kind == VALUE_MAP ? *found : nothing();
	items.hidden = t->rc == 0 ? items_hidden(t, &variable, &items) : NULL;
	return items;
}

struct value data_var_exists(struct template_run *t, const struct args *a)
{
	const struct template_answer *answer = can_ask(t, a) ? ask_variable(t, a, MAY_BE_MISSING) : NULL;

	return value_bool(answer != NULL && answer->status == 200);
}

static const struct template_answer *ask_list(struct template_run *t, const struct args *a, enum need need)
{
	const struct template_data *d = t->args->data;
	const char *prefix = a->n > 0 ? text_of(t, a, 0) : "";
	const char *ns = escaped(t, d->namespace_, strlen(d->namespace_));
	size_t len = own_part(t, a, prefix, true);
	const char *name = escaped(t, prefix, len);

	if (t->rc != 0) {
		return NULL;
	}
	return ask(t, arena_printf(&t->mem, "/v1/vars?prefix=%s&namespace=%s%s", name, ns, by_whom(t)),
	           told_name(t, "list", prefix, len), need);
}

static struct value var_list(struct template_run *t, const struct args *a, enum need need)
{
	const struct template_answer *answer = can_ask(t, a) ? ask_list(t, a, need) : NULL;
	struct value list;
	uint32_t i;

	if (answer == NULL || answer->status != 200) {
		return (struct value){.kind = VALUE_LIST};
	}
	list = value_json(t, answer->body, answer->len);
	for (i = 0; t->rc == 0 && list.kind == VALUE_LIST && i < list.n; i++) {
		list.at[i] = metadata(t, &list.at[i]);
	}
	return list;
}

struct value data_var_list(struct template_run *t, const struct args *a)
{
	return var_list(t, a, MAY_BE_MISSING);
}

struct value data_var_list_safe(struct template_run *t, const struct args *a)
{
	return var_list(t, a, MUST_NOT_BE_EMPTY);
}

/* ---- services ---- */

/* As templates know it: NodeID is Node, ServiceName is Name. */
static struct value service(struct template_run *t, const struct value *row)
{
	static const char *const names[] = {"Address", "AllocID", "Datacenter", "ID",  "JobID",
	                                    "Name",    "Node",    "Port",       "Tags"};
	static const char *const from[] = {"Address",     "AllocID", "Datacenter", "ID",  "JobID",
	                                   "ServiceName", "NodeID",  "Port",       "Tags"};

	return pick(t, row, names, from, 9);
}

static bool has_tag(const struct value *row, const char *tag, size_t len)
{
	const struct value *tags = value_member(row, "Tags", 4);
	uint32_t i;

	for (i = 0; tags != NULL && tags->kind == VALUE_LIST && i < tags->n; i++) {
		if (tags->at[i].kind == VALUE_TEXT && is_text(tag, len, tags->at[i].text)) {
			return true;
		}
	}
	return false;
}

/* "&choose=N|KEY", or "". NULL when memory is exhausted or the arguments make no sense. */
static const char *choice(struct template_run *t, const struct args *a)
{
	const char *key;

	if (a->n == 1) {
		return "";
	}
	if (a->n != 3 || a->at[0].kind != VALUE_INT || a->at[0].number < 1) {
		template_refuse(t, "%s wants a name, or how many, a key, and a name", a->name);
		return NULL;
	}
	key = text_of(t, a, 1);
	key = escaped(t, key, strlen(key));
	return key == NULL ? NULL : arena_printf(&t->mem, "&choose=%lld%%7C%s", (long long)a->at[0].number, key);
}

static const struct template_answer *ask_service(struct template_run *t, const struct args *a, const char *name,
                                                 size_t len)
{
	const struct template_data *d = t->args->data;
	const char *ns = escaped(t, d->namespace_, strlen(d->namespace_));
	const char *choose = choice(t, a);
	const char *path = escaped(t, name, len);

	if (len == 0 || memchr(name, '/', len) != NULL) {
		template_refuse(t, "%s wants a service's name", a->name);
	}
	if (t->rc != 0 || choose == NULL) {
		return NULL;
	}
	return ask(t, arena_printf(&t->mem, "/v1/service/%s?namespace=%s%s", path, ns, choose),
	           arena_printf(&t->mem, "nomad.service(%.*s)", (int)len, name), MAY_BE_MISSING);
}

struct value data_service(struct template_run *t, const struct args *a)
{
	const char *name = text_of(t, a, a->n - 1);
	const struct template_answer *answer;
	struct value rows;
	size_t tag_len;
	uint32_t kept = 0;
	uint32_t i;
	size_t len;

	if (!can_ask(t, a)) {
		return value_nil;
	}
	len = own_part(t, a, name, false);
	tag_len = strcspn(name, ".");
	tag_len = tag_len < len ? tag_len : 0; /* "TAG.NAME" */
	answer = ask_service(t, a, name + tag_len + (tag_len > 0), len - tag_len - (tag_len > 0));
	if (answer == NULL || answer->status != 200) {
		return (struct value){.kind = VALUE_LIST};
	}
	rows = value_json(t, answer->body, answer->len);
	for (i = 0; t->rc == 0 && rows.kind == VALUE_LIST && i < rows.n; i++) {
		if (tag_len == 0 || has_tag(&rows.at[i], name, tag_len)) {
			rows.at[kept++] = service(t, &rows.at[i]);
		}
	}
	rows.n = kept;
	return rows;
}

/* The services of one namespace, as {{ .Name }} and {{ .Tags }}. */
static struct value names_of(struct template_run *t, const struct value *services)
{
	static const char *const names[] = {"Name", "Tags"};
	static const char *const from[] = {"ServiceName", "Tags"};
	struct value list = list_of(t, services->kind == VALUE_LIST ? services->n : 0);
	uint32_t i;

	for (i = 0; t->rc == 0 && i < list.n; i++) {
		list.at[i] = pick(t, &services->at[i], names, from, 2);
	}
	return list;
}

struct value data_services(struct template_run *t, const struct args *a)
{
	const struct template_answer *answer = NULL;
	const struct value *services = NULL;
	struct value all;

	if (can_ask(t, a)) {
		const char *ns = escaped(t, t->args->data->namespace_, strlen(t->args->data->namespace_));

		answer = t->rc != 0 ? NULL
		                    : ask(t, arena_printf(&t->mem, "/v1/services?namespace=%s", ns), "nomad.services",
		                          MAY_BE_MISSING);
	}
	if (answer == NULL || answer->status != 200) {
		return (struct value){.kind = VALUE_LIST};
	}
	all = value_json(t, answer->body, answer->len);
	if (all.kind == VALUE_LIST && all.n > 0) {
		services = value_member(&all.at[0], "Services", 8);
	}
	return services != NULL ? names_of(t, services) : (struct value){.kind = VALUE_LIST};
}
