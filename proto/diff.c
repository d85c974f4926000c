#include "proto/diff.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/timefmt.h"
#include "proto/diff_items.h"
#include "proto/walk.h"

OBJECT_DEFINE(field_diff, FIELD_DIFF_FIELDS);
OBJECT_DEFINE(object_diff, OBJECT_DIFF_FIELDS);
OBJECT_DEFINE(task_diff, TASK_DIFF_FIELDS);
OBJECT_DEFINE(task_group_diff, TASK_GROUP_DIFF_FIELDS);
OBJECT_DEFINE(job_diff, JOB_DIFF_FIELDS);

/* One comparison. The first failure sticks; all after it does nothing of use. */
struct differ {
	struct arena *mem;
	bool contextual;
	int rv;
};

/* What all diffs of things with members have. The lists are those of the diff object. */
struct found {
	struct objs *fields;  /* Of struct field_diff. */
	struct objs *objects; /* Of struct object_diff. */
	bool context;         /* Unchanged fields are shown too. */
	bool changed;
};

/* A zeroed element behind the last of a list in the arena; NULL after a failure. */
static void *append(struct differ *d, void *list, const struct type *t)
{
	struct objs *objs = list;
	void *at = objs->at;

	/* Capacity is the next power of two, from 4. */
	if (objs->n == 0 || (objs->n >= 4 && (objs->n & (objs->n - 1)) == 0)) {
		at = arena_calloc(d->mem, objs->n == 0 ? 4 : (size_t)objs->n * 2, t->size);
		if (at == NULL) {
			d->rv = ERR_NOMEM;
			return NULL;
		}
		if (objs->n > 0) {
			memcpy(at, objs->at, (size_t)objs->n * t->size);
		}
		objs->at = at;
	}
	at = (char *)objs->at + (size_t)objs->n++ * t->size;
	object_init(t, at);
	return at;
}

static const char *print(struct differ *d, const char *text)
{
	if (text == NULL) {
		d->rv = ERR_NOMEM;
		return object_empty;
	}
	return text;
}

/* ---- fields ---- */

static const char *type_of(const char *was, const char *now)
{
	if (strcmp(was, now) == 0) {
		return DIFF_NONE;
	}
	return *was == '\0' ? DIFF_ADDED : *now == '\0' ? DIFF_DELETED : DIFF_EDITED;
}

static void add_field(struct differ *d, struct found *to, const char *name, const char *was, const char *now)
{
	const char *type = type_of(was, now);
	bool same = strcmp(type, DIFF_NONE) == 0;
	struct field_diff *f;

	if (same && !to->context) {
		return;
	}
	f = append(d, to->fields, &field_diff_type);
	if (f != NULL) {
		f->type = type;
		f->name = name;
		f->was = was;
		f->now = now;
		to->changed = to->changed || !same;
	}
}

static int field_cmp(const void *a, const void *b)
{
	const struct field_diff *p = a;
	const struct field_diff *q = b;
	int c = strcmp(p->name, q->name);

	c = c != 0 ? c : strcmp(p->was, q->was);
	return c != 0 ? c : strcmp(p->now, q->now);
}

static void sort_fields(struct objs *fields)
{
	if (fields->n > 1) {
		qsort(fields->at, fields->n, sizeof(struct field_diff), field_cmp);
	}
}

static const char *opt_text(struct differ *d, uint8_t kind, const struct opt *o)
{
	if (!o->set) {
		return object_empty;
	}
	if (kind == KIND_OPTBOOL) {
		return o->at != 0 ? "true" : "false";
	}
	return print(d, arena_printf(d->mem, "%" PRId64, o->at));
}

static const char *time_text(struct differ *d, int64_t ns)
{
	char text[TIME_TEXT];

	if (ns == 0) {
		return object_empty;
	}
	time_format(ns, text);
	return print(d, arena_strdup(d->mem, text));
}

/* A value as text; NULL is one of an object that is not there. */
static const char *value_text(struct differ *d, uint8_t kind, const void *v)
{
	if (v == NULL) {
		return object_empty;
	}
	switch (kind) {
	case KIND_BOOL:
		return *(const bool *)v ? "true" : "false";
	case KIND_NUM:
		return print(d, arena_printf(d->mem, "%.15g", *(const double *)v));
	case KIND_TIME:
		return time_text(d, *(const int64_t *)v);
	case KIND_STR:
		return *(const char *const *)v;
	case KIND_OPTBOOL:
	case KIND_OPTINT:
	case KIND_OPTDUR:
		return opt_text(d, kind, v);
	default:
		return print(d, arena_printf(d->mem, "%" PRId64, *(const int64_t *)v));
	}
}

/* ---- rows of values ---- */

static void add_item(struct differ *d, struct diff_items *items, const char *key, const void *value)
{
	if (d->rv == 0) {
		d->rv = diff_items_add(items, key, strlen(key), value, d->mem);
	}
}

/* The entries of a map; of NULL none. */
static struct diff_items entries(struct differ *d, const struct field *f, const void *m)
{
	struct diff_items items = {0};
	uint32_t i;

	if (m != NULL) {
		struct elems e = elems_of(f, m);

		for (i = 0; i < e.n; i++) {
			add_item(d, &items, *elem_key(&e, i), elem_value(&e, i));
		}
	}
	return items;
}

/* "Meta[key]": the fields of the object that has the map. */
static void diff_map(struct differ *d, struct found *to, const struct field *f, const void *was, const void *now)
{
	struct diff_items a = entries(d, f, was);
	struct diff_items b = entries(d, f, now);
	uint8_t kind = row_shapes[f->kind].value;
	struct diff_pair p = {0};

	while (diff_items_next(&a, &b, &p)) {
		const char *old = value_text(d, kind, p.a != NULL ? p.a->value : NULL);
		const char *new = value_text(d, kind, p.b != NULL ? p.b->value : NULL);

		if (to->context || strcmp(old, new) != 0) {
			const char *key = (p.a != NULL ? p.a : p.b)->key;

			add_field(d, to, print(d, arena_printf(d->mem, "%s[%s]", f->name, key)), old, new);
		}
	}
}

/* An object of the diff, filled by its caller, which then settles whether it stays. */
struct part {
	struct objs fields;
	struct objs objects;
	struct found found;
};

static void begin_part(struct differ *d, struct part *part)
{
	memset(part, 0, sizeof(*part));
	part->found.fields = &part->fields;
	part->found.objects = &part->objects;
	part->found.context = d->contextual;
}

static void put_part(struct differ *d, struct part *part, struct found *to, const char *name, const char *type)
{
	struct object_diff *o = append(d, to->objects, &object_diff_type);

	if (o != NULL) {
		sort_fields(&part->fields);
		o->type = type;
		o->name = name;
		memcpy(&o->fields, &part->fields, sizeof(part->fields));
		memcpy(&o->objects, &part->objects, sizeof(part->objects));
	}
}

static void end_part(struct differ *d, struct part *part, struct found *to, const char *name, const char *type)
{
	if (part->found.changed) {
		put_part(d, part, to, name, type);
		to->changed = true;
	}
}

static const char *part_name(const struct field *f)
{
	return f->diff != NULL ? f->diff : f->name;
}

static const char *part_type(bool was, bool now)
{
	return !was ? DIFF_ADDED : !now ? DIFF_DELETED : DIFF_EDITED;
}

/* A list of strings or numbers, compared as a set. */
static struct diff_items members(struct differ *d, const struct field *f, const void *m)
{
	struct diff_items items = {0};
	uint32_t i;

	if (m != NULL) {
		struct elems e = elems_of(f, m);

		for (i = 0; i < e.n; i++) {
			add_item(d, &items, value_text(d, e.shape->value, elem_value(&e, i)), NULL);
		}
	}
	diff_items_sort(&items);
	diff_items_unite(&items);
	return items;
}

static void diff_set(struct differ *d, struct found *to, const struct field *f, const void *was, const void *now)
{
	struct diff_items a = members(d, f, was);
	struct diff_items b = members(d, f, now);
	struct diff_pair p = {0};
	bool gone = false;
	bool added = false;
	struct part part;

	begin_part(d, &part);
	while (diff_items_next(&a, &b, &p)) {
		gone |= p.b == NULL;
		added |= p.a == NULL;
		add_field(d, &part.found, f->name, p.a != NULL ? p.a->key : object_empty,
			  p.b != NULL ? p.b->key : object_empty);
	}
	if (gone || added) {
		end_part(d, &part, to, part_name(f), gone && added ? DIFF_EDITED : added ? DIFF_ADDED : DIFF_DELETED);
	} else if (to->context && part.fields.n > 0) {
		put_part(d, &part, to, part_name(f), DIFF_NONE);
	}
}

static struct diff_items leaves(struct differ *d, const struct field *f, const void *m)
{
	struct diff_items items = {0};
	int rv = m == NULL ? 0 : diff_items_flatten(&items, *(const char *const *)m, f->name, d->mem);

	/* The text has been JSON since it came in: nothing but memory can be missing. */
	d->rv = d->rv != 0 || rv == 0 ? d->rv : ERR_NOMEM;
	diff_items_sort(&items);
	return items;
}

static void diff_any(struct differ *d, struct found *to, const struct field *f, const void *was, const void *now)
{
	struct diff_items a = leaves(d, f, was);
	struct diff_items b = leaves(d, f, now);
	struct diff_pair p = {0};
	struct part part;

	begin_part(d, &part);
	while (diff_items_next(&a, &b, &p)) {
		add_field(d, &part.found, (p.a != NULL ? p.a : p.b)->key, p.a != NULL ? p.a->value : object_empty,
			  p.b != NULL ? p.b->value : object_empty);
	}
	end_part(d, &part, to, part_name(f), part_type(a.n > 0, b.n > 0));
}

/* ---- objects ---- */

static void diff_members(struct differ *d, struct found *to, const struct type *t, const void *was, const void *now,
			 const char *const *skip);

static void diff_object(struct differ *d, struct found *to, const struct type *t, const char *name, const void *was,
			const void *now)
{
	struct part part;

	if (was == NULL && now == NULL) {
		return;
	}
	begin_part(d, &part);
	/* An object that comes or goes is a change, even if nothing in it is set. */
	part.found.changed = was == NULL || now == NULL;
	diff_members(d, &part.found, t, was, now, NULL);
	end_part(d, &part, to, name, part_type(was != NULL, now != NULL));
}

static const struct field *key_field(const struct type *t)
{
	const struct field *f;

	for (f = t->fields; f < t->fields + t->n; f++) {
		if (f->key) {
			return f;
		}
	}
	return NULL;
}

/* The element without what servers set; its parts are those of the element itself. */
static const void *specified(struct differ *d, const struct type *t, const void *elem)
{
	const struct field *f;
	void *copy = NULL;

	for (f = t->fields; d->rv == 0 && f < t->fields + t->n; f++) {
		if (!f->server) {
			continue;
		}
		if (copy == NULL) {
			copy = arena_alloc(d->mem, t->size);
			if (copy == NULL) {
				d->rv = ERR_NOMEM;
				return elem;
			}
			memcpy(copy, elem, t->size);
		}
		member_init(f, member_of(copy, f));
	}
	return copy != NULL ? copy : elem;
}

/* What an element of a list is known by: its key in the map, its key field, or all of it, packed. */
static void add_elem(struct differ *d, struct diff_items *items, const struct elems *e, uint32_t i,
		     const struct field *key)
{
	struct buf packed = {0};
	char *copy;

	if (e->shape->keyed) {
		add_item(d, items, *elem_key(e, i), elem_value(e, i));
	} else if (key != NULL) {
		add_item(d, items, *(const char *const *)const_member(elem_value(e, i), key), elem_value(e, i));
	} else if (d->rv == 0) {
		pack_encode(e->sub, specified(d, e->sub, elem_value(e, i)), &packed);
		copy = packed.failed ? NULL : arena_strndup(d->mem, packed.at, packed.len);
		d->rv = copy == NULL ? ERR_NOMEM : diff_items_add(items, copy, packed.len, elem_value(e, i), d->mem);
		buf_close(&packed);
	}
}

static struct diff_items elements(struct differ *d, const struct field *f, const void *m)
{
	const struct field *key = key_field(f->sub);
	struct diff_items items = {0};
	uint32_t i;

	if (m != NULL) {
		struct elems e = elems_of(f, m);

		for (i = 0; i < e.n; i++) {
			add_elem(d, &items, &e, i, key);
		}
	}
	diff_items_sort(&items);
	return items;
}

/* Edited ones first, then those that are new, then those that are gone. */
static int rank_of(const char *type)
{
	return strcmp(type, DIFF_EDITED) == 0 ? 0 : strcmp(type, DIFF_ADDED) == 0 ? 1 : 2;
}

static int object_cmp(const void *a, const void *b)
{
	const struct object_diff *p = a;
	const struct object_diff *q = b;
	int c = rank_of(p->type) - rank_of(q->type);
	uint32_t i;

	c = c != 0 ? c : (p->fields.n > q->fields.n) - (p->fields.n < q->fields.n);
	c = c != 0 ? c : (p->objects.n > q->objects.n) - (p->objects.n < q->objects.n);
	for (i = 0; c == 0 && i < p->fields.n; i++) {
		c = field_cmp(&p->fields.at[i], &q->fields.at[i]);
	}
	for (i = 0; c == 0 && i < p->objects.n; i++) {
		c = object_cmp(&p->objects.at[i], &q->objects.at[i]);
	}
	return c;
}

static void sort_objects(struct objs *objects, uint32_t from)
{
	if (objects->n > from + 1) {
		qsort((struct object_diff *)objects->at + from, objects->n - from, sizeof(struct object_diff),
		      object_cmp);
	}
}

/* Of these, the only one there was and the only one there is are the same, whatever has become of its name. */
static bool pairs_lone(const struct type *t)
{
	return t == &template_type || t == &service_type;
}

static void diff_list(struct differ *d, struct found *to, const struct field *f, const void *was, const void *now)
{
	struct diff_items a = elements(d, f, was);
	struct diff_items b = elements(d, f, now);
	struct diff_pair p = {0};
	uint32_t before = to->objects->n;

	if (a.n == 1 && b.n == 1 && pairs_lone(f->sub)) {
		diff_object(d, to, f->sub, part_name(f), a.at[0].value, b.at[0].value);
		return;
	}
	while (diff_items_next(&a, &b, &p)) {
		diff_object(d, to, f->sub, part_name(f), p.a != NULL ? p.a->value : NULL,
			    p.b != NULL ? p.b->value : NULL);
	}
	sort_objects(to->objects, before);
}

static bool is_set(const struct field *f, const void *m)
{
	return m != NULL && !member_empty(f, m);
}

static void diff_value(struct differ *d, struct found *to, const struct field *f, const void *was, const void *now)
{
	const char *old = value_text(d, f->kind, was);
	const char *new = value_text(d, f->kind, now);

	if (!f->quiet || strcmp(old, new) != 0) {
		add_field(d, to, f->name, old, new);
	}
}

static void diff_member(struct differ *d, struct found *to, const struct field *f, const void *was, const void *now)
{
	switch (f->kind) {
	case KIND_BYTES: /* Payloads are no part of what a user edits. */
		break;
	case KIND_ANY:
		diff_any(d, to, f, was, now);
		break;
	case KIND_STRS:
	case KIND_INTS:
		diff_set(d, to, f, was, now);
		break;
	case KIND_MAP:
	case KIND_INTMAP:
	case KIND_NUMMAP:
	case KIND_BOOLMAP:
		diff_map(d, to, f, was, now);
		break;
	case KIND_OBJ:
		diff_object(d, to, f->sub, part_name(f), was != NULL ? *(void *const *)was : NULL,
			    now != NULL ? *(void *const *)now : NULL);
		break;
	case KIND_LIST:
	case KIND_OBJMAP:
		diff_list(d, to, f, was, now);
		break;
	default:
		if (!f->scarce || is_set(f, was) || is_set(f, now)) {
			diff_value(d, to, f, was, now);
		}
	}
}

static bool skips(const char *const *skip, const char *name)
{
	while (skip != NULL && *skip != NULL && strcmp(*skip, name) != 0) {
		skip++;
	}
	return skip != NULL && *skip != NULL;
}

/* All members of two objects, of which one may be NULL. */
static void diff_members(struct differ *d, struct found *to, const struct type *t, const void *was, const void *now,
			 const char *const *skip)
{
	const struct field *f;

	for (f = t->fields; f < t->fields + t->n; f++) {
		if (!f->server && !f->secret && !skips(skip, f->name)) {
			diff_member(d, to, f, was != NULL ? const_member(was, f) : NULL,
				    now != NULL ? const_member(now, f) : NULL);
		}
	}
	sort_fields(to->fields);
}

/* ---- tasks, groups, jobs ---- */

static const char *whole_type(bool was, bool now, bool changed)
{
	return was && now && !changed ? DIFF_NONE : part_type(was, now);
}

static bool inherits_restart(const struct task *t, const struct task_group *g)
{
	return t == NULL || (t->restart_policy != NULL && g->restart_policy != NULL &&
			     object_equal(&restart_policy_type, t->restart_policy, g->restart_policy));
}

/* Returns whether there is a change. */
static bool diff_task(struct differ *d, struct task_diff *out, const struct task *was, const struct task *now,
		      const struct task_group *was_in, const struct task_group *now_in)
{
	static const char *const skip[] = {"Name", NULL};
	/* What tasks have from their group is told there. */
	static const char *const skip_inherited[] = {"Name", "RestartPolicy", NULL};
	bool inherited = inherits_restart(was, was_in) && inherits_restart(now, now_in);
	struct found found = {(struct objs *)(void *)&out->fields, (struct objs *)(void *)&out->objects, false, false};

	diff_members(d, &found, &task_type, was, now, inherited ? skip_inherited : skip);
	out->name = (now != NULL ? now : was)->name;
	out->type = whole_type(was != NULL, now != NULL, found.changed);
	return strcmp(out->type, DIFF_NONE) != 0;
}

static struct diff_items named(struct differ *d, const struct field *f, const void *owner)
{
	return elements(d, f, owner != NULL ? const_member(owner, f) : NULL);
}

static bool diff_group(struct differ *d, struct task_group_diff *out, const struct task_group *was,
		       const struct task_group *now)
{
	static const char *const skip[] = {"Name", "Tasks", NULL};
	const struct field *tasks = object_field(&task_group_type, "Tasks", 5);
	struct found found = {(struct objs *)(void *)&out->fields, (struct objs *)(void *)&out->objects, false, false};
	struct diff_items a = named(d, tasks, was);
	struct diff_items b = named(d, tasks, now);
	struct diff_pair p = {0};

	diff_members(d, &found, &task_group_type, was, now, skip);
	while (diff_items_next(&a, &b, &p)) {
		struct task_diff *t = append(d, &out->tasks, &task_diff_type);

		if (t == NULL) {
			return false;
		}
		found.changed |= diff_task(d, t, p.a != NULL ? p.a->value : NULL, p.b != NULL ? p.b->value : NULL, was,
					   now);
	}
	out->name = (now != NULL ? now : was)->name;
	out->type = whole_type(was != NULL, now != NULL, found.changed);
	return strcmp(out->type, DIFF_NONE) != 0;
}

int job_diff(const struct job *was, const struct job *now, bool contextual, struct arena *mem, struct job_diff *out)
{
	/* What is said of updates has gone to the groups. */
	static const char *const skip[] = {"ID", "TaskGroups", "Update", NULL};
	const struct field *groups = object_field(&job_type, "TaskGroups", 10);
	struct found found = {(struct objs *)(void *)&out->fields, (struct objs *)(void *)&out->objects, false, false};
	struct differ d = {mem, contextual, 0};
	struct diff_items a = named(&d, groups, was);
	struct diff_items b = named(&d, groups, now);
	struct diff_pair p = {0};

	object_init(&job_diff_type, out);
	diff_members(&d, &found, &job_type, was, now, skip);
	while (diff_items_next(&a, &b, &p)) {
		struct task_group_diff *g = append(&d, &out->task_groups, &task_group_diff_type);

		if (g == NULL) {
			break;
		}
		found.changed |= diff_group(&d, g, p.a != NULL ? p.a->value : NULL, p.b != NULL ? p.b->value : NULL);
	}
	if (was != NULL || now != NULL) {
		out->id = (now != NULL ? now : was)->id;
	}
	out->type = was == NULL && now == NULL ? DIFF_NONE : whole_type(was != NULL, now != NULL, found.changed);
	return d.rv;
}

/* ---- annotations ---- */

static int annotate(struct strs *annotations, const char *text, struct arena *mem)
{
	const char **at = arena_alloc(mem, sizeof(*at));

	if (at == NULL) {
		return ERR_NOMEM;
	}
	*at = text;
	*annotations = (struct strs){at, 1};
	return 0;
}

static bool turns_logs_off_or_on(const struct object_diff *o)
{
	uint32_t i;

	for (i = 0; i < o->fields.n; i++) {
		const struct field_diff *f = &o->fields.at[i];

		if (strcmp(f->name, "Disabled") == 0 && strcmp(f->type, DIFF_NONE) != 0) {
			return true;
		}
	}
	return false;
}

/* Fields and objects of a task that change without a new one being started. */
static bool in_place(const struct task_diff *t)
{
	static const char *const fields[] = {"KillTimeout", NULL};
	static const char *const objects[] = {"Affinity",      "Constraint", "LogConfig",
					      "RestartPolicy", "Service",    NULL};
	uint32_t i;

	for (i = 0; i < t->fields.n; i++) {
		if (!skips(fields, t->fields.at[i].name)) {
			return false;
		}
	}
	for (i = 0; i < t->objects.n; i++) {
		const struct object_diff *o = &t->objects.at[i];

		if (!skips(objects, o->name) || (strcmp(o->name, "LogConfig") == 0 && turns_logs_off_or_on(o))) {
			return false;
		}
	}
	return true;
}

/* A task that joins or leaves a group which stays has its allocations replaced. */
static const char *consequence(const struct task_diff *t, const struct task_group_diff *g)
{
	if (strcmp(g->type, DIFF_ADDED) == 0) {
		return "forces create";
	}
	if (strcmp(g->type, DIFF_DELETED) == 0) {
		return "forces destroy";
	}
	return strcmp(t->type, DIFF_EDITED) == 0 && in_place(t) ? "forces in-place update"
								: "forces create/destroy update";
}

static int annotate_task(struct task_diff *t, const struct task_group_diff *g, struct arena *mem)
{
	return strcmp(t->type, DIFF_NONE) == 0 ? 0 : annotate(&t->annotations, consequence(t, g), mem);
}

static int annotate_count(struct task_group_diff *g, struct arena *mem)
{
	uint32_t i;

	for (i = 0; i < g->fields.n; i++) {
		struct field_diff *f = &g->fields.at[i];

		if (strcmp(f->name, "Count") == 0) {
			long long was = strtoll(f->was, NULL, 10); /* 0 when it is not there. */
			long long now = strtoll(f->now, NULL, 10);

			return was == now
				       ? 0
				       : annotate(&f->annotations, was < now ? "forces create" : "forces destroy", mem);
		}
	}
	return 0;
}

/* What the plan does for the group, by the words that clients know. */
static int annotate_updates(struct task_group_diff *g, const struct desired_updates *u, struct arena *mem)
{
	/* Sorted by name, as maps are. */
	const struct int_pair all[] = {
		{"canary", u->canary},
		{"create", u->place},
		{"create/destroy update", u->destructive_update},
		{"destroy", u->stop},
		{"ignore", u->ignore},
		{"in-place update", u->in_place_update},
		{"migrate", u->migrate},
		{"preemptions", u->preemptions},
	};
	const size_t n = sizeof(all) / sizeof(all[0]);
	size_t i;

	g->updates.at = arena_alloc(mem, sizeof(all));
	if (g->updates.at == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < n; i++) {
		if (all[i].value != 0) {
			g->updates.at[g->updates.n++] = all[i];
		}
	}
	return 0;
}

/* Those of the group; *from is where to look on, since both groups and updates are sorted by name. */
static const struct desired_updates *updates_of(const struct plan_annotations *plan, const char *group, uint32_t *from)
{
	int c = -1;

	while (plan != NULL && *from < plan->desired_tg_updates.n) {
		c = strcmp(plan->desired_tg_updates.keys[*from], group);
		if (c >= 0) {
			break;
		}
		++*from;
	}
	return c == 0 ? &plan->desired_tg_updates.at[*from] : NULL;
}

int job_diff_annotate(struct job_diff *d, const struct plan_annotations *plan, struct arena *mem)
{
	int rv = 0;
	uint32_t from = 0;
	uint32_t i;
	uint32_t k;

	for (i = 0; rv == 0 && i < d->task_groups.n; i++) {
		struct task_group_diff *g = &d->task_groups.at[i];
		const struct desired_updates *u = updates_of(plan, g->name, &from);

		rv = u != NULL ? annotate_updates(g, u, mem) : 0;
		if (rv == 0) {
			rv = annotate_count(g, mem);
		}
		for (k = 0; rv == 0 && k < g->tasks.n; k++) {
			rv = annotate_task(&g->tasks.at[k], g, mem);
		}
	}
	return rv;
}
