/* One change at a time, of every member of every object that a job has, as the field tables list them. What the diff
 * must say of it is worked out a second time, from the API's JSON alone: see diff_reference.h. */
#include "test/unit/unit.h"

#include "proto/diff.h"
#include "proto/error.h"
#include "proto/walk.h"
#include "test/unit/proto/diff_reference.h"

enum { DEPTH = 12 };

/* From the job to the member that changes: through first elements only. */
struct path {
	const struct field *at[DEPTH];
	int n;
	char text[256];
};

enum change {
	CHANGE_NONE,
	CHANGE_EDIT,
	CHANGE_CLEAR,
	CHANGE_MORE, /* One more element. */
};

static struct arena kept; /* The job that is changed. */
static struct job full;
static json_t *specimen; /* Its JSON. */
static unsigned serial; /* Makes all values different. */
static unsigned n_members, n_changes;

/* ---- a job with everything in it ---- */

static void fill(const struct type *t, void *obj, struct arena *mem);

static void fill_value(uint8_t kind, const struct type *sub, const char *name, void *v, struct arena *mem)
{
	serial++;
	switch (kind) {
	case KIND_BOOL:
		*(bool *)v = true;
		break;
	case KIND_STR:
		*(const char **)v = arena_printf(mem, "%s-%u", name, serial);
		break;
	case KIND_ANY:
		*(const char **)v = arena_printf(mem, "{\"a\":\"%u\",\"list\":[1,{\"x\":true}],\"none\":null}", serial);
		break;
	case KIND_BYTES:
		*(struct bytes *)v = (struct bytes){(const uint8_t *)arena_strdup(mem, "bytes"), 5};
		break;
	case KIND_OPTBOOL:
		*(struct opt *)v = (struct opt){1, true};
		break;
	case KIND_OPTINT:
	case KIND_OPTDUR:
		*(struct opt *)v = (struct opt){serial, true};
		break;
	case KIND_OBJ:
		*(void **)v = arena_alloc(mem, sub->size);
		fill(sub, *(void **)v, mem);
		break;
	case VALUE_STRUCT:
		fill(sub, v, mem);
		break;
	case KIND_NUM:
		*(double *)v = serial;
		break;
	default:
		*(int64_t *)v = serial;
	}
}

/* One more element behind those of a row. */
static void fill_row(const struct field *f, void *m, struct arena *mem)
{
	struct elems e = elems_of(f, m);
	char *old = e.at;

	e.at = arena_calloc(mem, e.n + 1, e.stride);
	if (e.n > 0) {
		memcpy(e.at, old, e.n * e.stride);
	}
	if (e.shape->apart) {
		const char **keys = arena_calloc(mem, e.n + 1, sizeof(*keys));

		if (e.n > 0) {
			memcpy(keys, e.keys, e.n * sizeof(*keys));
		}
		e.keys = keys;
	}
	elem_init(&e, e.n);
	if (e.shape->keyed) {
		*elem_key(&e, e.n) = arena_printf(mem, "key%u", e.n);
	}
	fill_value(e.shape->value, e.sub, f->name, elem_value(&e, e.n), mem);
	e.n++;
	elems_put(&e, m);
}

static void fill_member(const struct field *f, void *m, struct arena *mem)
{
	if (kind_is_row(f->kind)) {
		fill_row(f, m, mem);
	} else {
		fill_value(f->kind, f->sub, f->name, m, mem);
	}
}

static void fill(const struct type *t, void *obj, struct arena *mem)
{
	const struct field *f;

	object_zero(t, obj);
	for (f = t->fields; f < t->fields + t->n; f++) {
		fill_member(f, member_of(obj, f), mem);
	}
}

/* ---- changing one member ---- */

static void *first_of(const struct field *f, void *m)
{
	if (f->kind == KIND_OBJ) {
		return *(void **)m;
	}
	struct elems e = elems_of(f, m);

	return elem_value(&e, 0);
}

static void *follow(struct job *job, const struct path *p)
{
	void *obj = job;
	int i;

	for (i = 0; i < p->n - 1; i++) {
		obj = first_of(p->at[i], member_of(obj, p->at[i]));
	}
	return member_of(obj, p->at[p->n - 1]);
}

/* Another value in place of the first. Only members that are no objects: those are changed by their own members. */
static void edit(const struct field *f, void *m, struct arena *mem)
{
	struct elems e;

	if (!kind_is_row(f->kind)) {
		if (f->kind == KIND_BOOL) {
			*(bool *)m = false;
		} else if (f->kind == KIND_OPTBOOL) {
			((struct opt *)m)->at = 0;
		} else {
			fill_value(f->kind, f->sub, f->name, m, mem);
		}
		return;
	}
	e = elems_of(f, m);
	if (e.shape->value == KIND_BOOL) {
		*(bool *)elem_value(&e, 0) = false;
	} else {
		fill_value(e.shape->value, e.sub, f->name, elem_value(&e, 0), mem);
	}
}

static void clear(const struct field *f, void *m)
{
	if (kind_is_row(f->kind)) {
		struct elems e = elems_of(f, m);

		e.n = 0;
		elems_put(&e, m);
	} else if (f->kind == KIND_STR || f->kind == KIND_ANY) {
		*(const char **)m = object_empty;
	} else if (f->kind == KIND_BOOL) {
		*(bool *)m = false;
	} else if (f->kind == KIND_BYTES) {
		*(struct bytes *)m = (struct bytes){0};
	} else if (f->kind == KIND_OBJ) {
		*(void **)m = NULL;
	} else if (f->kind == KIND_OPTBOOL || f->kind == KIND_OPTINT || f->kind == KIND_OPTDUR) {
		*(struct opt *)m = (struct opt){0};
	} else {
		*(int64_t *)m = 0;
	}
}

static bool is_object(const struct field *f)
{
	return f->sub != NULL;
}

static void change(const struct path *p, enum change c, struct job *job, struct arena *mem)
{
	const struct field *f = p->at[p->n - 1];
	void *m;

	assert_int_equal(object_copy(&job_type, job, &full, mem), 0);
	m = follow(job, p);
	if (c == CHANGE_EDIT) {
		edit(f, m, mem);
	} else if (c == CHANGE_CLEAR) {
		clear(f, m);
	} else if (c == CHANGE_MORE) {
		fill_row(f, m, mem);
	}
}

/* ---- comparing ---- */

static json_t *json_of(const struct type *t, const void *obj)
{
	struct buf text = {0};
	json_error_t why;
	json_t *v;

	json_encode(t, obj, &text);
	v = json_loadb(text.at, text.len, 0, &why);
	if (v == NULL) {
		fail_msg("%s: %s", why.text, buf_text(&text));
	}
	buf_close(&text);
	return v;
}

static void fields_are_sorted(const json_t *diff)
{
	const char *last = "";
	const char *name;
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(diff, "Fields"), i, v) {
		name = json_string_value(json_object_get(v, "Name"));
		assert_true(strcmp(last, name) <= 0);
		last = name;
	}
	json_array_foreach (json_object_get(diff, "Objects"), i, v) {
		fields_are_sorted(v);
	}
}

static void print(const char *what, const json_t *v)
{
	char *text = json_dumps(v, JSON_INDENT(1) | JSON_ENCODE_ANY);

	print_error("%s %.3000s\n", what, text != NULL ? text : "nothing");
	free(text);
}

/* The one element that `of` has more than `than`, or NULL if it is not one. */
static json_t *only_in(const json_t *of, const json_t *than)
{
	json_t *found = NULL;
	json_t *v;
	size_t i;

	json_array_foreach (of, i, v) {
		size_t k = 0;

		while (k < json_array_size(than) && !json_equal(v, json_array_get(than, k))) {
			k++;
		}
		if (k == json_array_size(than)) {
			if (found != NULL) {
				return NULL;
			}
			found = v;
		}
	}
	return found;
}

/* Where they are not alike: as deep as it can be told. */
static void complain(const char *what, const json_t *expected, const json_t *got)
{
	static const char *const lists[] = {"TaskGroups", "Tasks", "Objects", "Fields"};
	const json_t *a = expected;
	const json_t *b = got;
	size_t i = 0;

	while (i < sizeof(lists) / sizeof(lists[0])) {
		const json_t *p = json_object_get(a, lists[i]);
		const json_t *q = json_object_get(b, lists[i]);
		const json_t *x = only_in(p, q);
		const json_t *y = only_in(q, p);

		if (x != NULL && y != NULL && !json_equal(p, q)) {
			a = x;
			b = y;
			i = 0;
		} else {
			i++;
		}
	}
	print_error("%s\n", what);
	print("expected", a);
	print("got", b);
	fail();
}

static void check_one(const char *what, const struct job *was, json_t *was_json, const struct job *now,
		      json_t *now_json, bool contextual)
{
	struct arena mem = {0};
	json_t *expected = reference_diff(was_json, now_json, contextual);
	struct job_diff d;
	json_t *got;

	assert_int_equal(job_diff(was, now, contextual, &mem, &d), 0);
	got = json_of(&job_diff_type, &d);
	fields_are_sorted(got);
	reference_sort(got);
	if (!json_equal(expected, got)) {
		complain(what, expected, got);
	}
	n_changes++;
	json_decref(expected);
	json_decref(got);
	arena_close(&mem);
}

/* The job with everything in it is not made JSON of again and again. */
static json_t *json_of_job(const struct job *job)
{
	return job == NULL ? NULL : job == &full ? json_incref(specimen) : json_of(&job_type, job);
}

static void check(const char *what, const struct job *was, const struct job *now)
{
	json_t *a = json_of_job(was);
	json_t *b = json_of_job(now);

	check_one(what, was, a, now, b, false);
	check_one(what, was, a, now, b, true);
	json_decref(a);
	json_decref(b);
}

static const struct job *changed(const struct path *p, enum change c, struct job *job, struct arena *mem)
{
	if (c == CHANGE_NONE) {
		return &full;
	}
	change(p, c, job, mem);
	return job;
}

/* What makes a new version, told or not: secrets, what a dispatch brings, and the job's word for its groups, whose own
 * it has become. */
static bool is_silent(const struct path *p)
{
	static const char *const silent[] = {"ID", "Payload", "VaultToken", "ConsulToken", "Update"};
	size_t i;

	for (i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
		if (strcmp(p->at[0]->name, silent[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* A change that makes a new version is told, and no other. */
static void check_version(const struct path *p, const struct job *was, const struct job *now)
{
	struct arena mem = {0};
	struct job_diff d;
	bool same = object_equal_spec(&job_type, was, now);

	assert_int_equal(job_diff(was, now, false, &mem, &d), 0);
	if (!is_silent(p) && same != (strcmp(d.type, DIFF_NONE) == 0)) {
		fail_msg("%s: the diff is %s, and the jobs are %s", p->text, d.type, same ? "the same" : "not");
	}
	arena_close(&mem);
}

static void check_change(const struct path *p, enum change from, enum change to)
{
	static const char *const names[] = {"as it is", "edited", "cleared", "with one more"};
	struct arena mem = {0};
	char what[400];
	const struct job *was;
	const struct job *now;
	struct job one;
	struct job other;

	snprintf(what, sizeof(what), "%s, from %s to %s", p->text, names[from], names[to]);
	was = changed(p, from, &one, &mem);
	now = changed(p, to, &other, &mem);
	check(what, was, now);
	check_version(p, was, now);
	arena_close(&mem);
}

static void check_member(const struct path *p)
{
	const struct field *f = p->at[p->n - 1];

	n_members++;
	check_change(p, CHANGE_NONE, CHANGE_CLEAR);
	check_change(p, CHANGE_CLEAR, CHANGE_NONE);
	if (!is_object(f)) {
		check_change(p, CHANGE_NONE, CHANGE_EDIT);
	}
	if (kind_is_row(f->kind)) {
		check_change(p, CHANGE_NONE, CHANGE_MORE);
		check_change(p, CHANGE_MORE, CHANGE_NONE);
	}
}

static void check_members(const struct type *t, const struct path *above)
{
	const struct field *f;

	assert_true(above->n < DEPTH);
	for (f = t->fields; f < t->fields + t->n; f++) {
		struct path p = *above;

		p.at[p.n++] = f;
		snprintf(p.text + strlen(p.text), sizeof(p.text) - strlen(p.text), "%s%s", above->n > 0 ? "." : "",
			 f->name);
		check_member(&p);
		if (f->sub != NULL) {
			check_members(f->sub, &p);
		}
	}
}

/* ---- tests ---- */

static void every_change_of_every_member_is_told(void **state)
{
	const struct path job = {0};

	(void)state;
	check_members(&job_type, &job);
	print_message("%u members, %u changes\n", n_members, n_changes);
}

static void nothing_is_told_of_equal_jobs(void **state)
{
	(void)state;
	check("the same job", &full, &full);
}

static void all_of_a_job_that_comes_or_goes_is_told(void **state)
{
	(void)state;
	check("a new job", NULL, &full);
	check("a job that is gone", &full, NULL);
}

/* ---- annotations ---- */

static void annotation_is(const struct job *was, const struct job *now, const char *what, const char *expected)
{
	struct arena mem = {0};
	struct job_diff d;
	uint32_t i;

	assert_int_equal(job_diff(was, now, true, &mem, &d), 0);
	assert_int_equal(job_diff_annotate(&d, NULL, &mem), 0);
	for (i = 0; i < d.task_groups.at[0].tasks.n; i++) {
		const struct strs *said = (const struct strs *)(const void *)&d.task_groups.at[0].tasks.at[i].annotations;

		if (said->n != 1 || strcmp(said->at[0], expected) != 0) {
			fail_msg("%s: expected %s, got %s", what, expected, said->n > 0 ? said->at[0] : "nothing");
		}
	}
	arena_close(&mem);
}

static void check_annotation(const struct path *p, enum change c, const char *expected)
{
	struct arena mem = {0};
	struct job now;

	change(p, c, &now, &mem);
	annotation_is(&full, &now, p->text, expected);
	arena_close(&mem);
}

static struct path path_to(const char *const *names)
{
	const struct type *t = &job_type;
	struct path p = {0};

	for (; *names != NULL; names++) {
		p.at[p.n] = object_field(t, *names, strlen(*names));
		t = p.at[p.n++]->sub;
		snprintf(p.text, sizeof(p.text), "%s", *names);
	}
	return p;
}

/* Whatever of a task can change under it is listed here; all else, also a name, means new allocations. */
static void every_change_of_a_task_says_what_follows(void **state)
{
	static const char *const in_place[] = {"KillTimeout", "Constraints", "Affinities", "Services", "RestartPolicy"};
	static const char *const max_files[] = {"TaskGroups", "Tasks", "LogConfig", "MaxFiles", NULL};
	static const char *const disabled[] = {"TaskGroups", "Tasks", "LogConfig", "Disabled", NULL};
	static const char *const tasks[] = {"TaskGroups", "Tasks", NULL};
	const struct path task = path_to(tasks);
	struct path p;
	uint16_t i;
	size_t k;

	(void)state;
	for (i = 0; i < task_type.n; i++) {
		const char *expected = "forces create/destroy update";

		p = task;
		p.at[p.n++] = &task_type.fields[i];
		snprintf(p.text, sizeof(p.text), "%s", task_type.fields[i].name);
		for (k = 0; k < sizeof(in_place) / sizeof(in_place[0]); k++) {
			expected = strcmp(p.text, in_place[k]) == 0 ? "forces in-place update" : expected;
		}
		check_annotation(&p, CHANGE_CLEAR, expected);
	}
	p = path_to(max_files);
	check_annotation(&p, CHANGE_EDIT, "forces in-place update");
	p = path_to(disabled);
	check_annotation(&p, CHANGE_EDIT, "forces create/destroy update");
	annotation_is(NULL, &full, "a new job", "forces create");
	annotation_is(&full, NULL, "a job that is gone", "forces destroy");
}

static int make_job(void **state)
{
	(void)state;
	fill(&job_type, &full, &kept);
	specimen = json_of(&job_type, &full);
	reference_init(specimen);
	return 0;
}

static int drop_job(void **state)
{
	(void)state;
	reference_close();
	json_decref(specimen);
	arena_close(&kept);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_told_of_equal_jobs),
		cmocka_unit_test(all_of_a_job_that_comes_or_goes_is_told),
		cmocka_unit_test(every_change_of_every_member_is_told),
		cmocka_unit_test(every_change_of_a_task_says_what_follows),
	};

	return cmocka_run_group_tests(tests, make_job, drop_job);
}
