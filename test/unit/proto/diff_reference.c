#include "test/unit/proto/diff_reference.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the API says of members ---- */

/* "Owner.Member" is one of a space-separated list. The owner of a nested object's members is its name in the diff. */
static bool listed(const char *list, const char *owner, const char *member)
{
	char word[128];
	const char *at;
	size_t n = (size_t)snprintf(word, sizeof(word), "%s.%s", owner, member);

	for (at = strstr(list, word); at != NULL; at = strstr(at + 1, word)) {
		if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) {
			return true;
		}
	}
	return false;
}

/* What a job's user does not specify, and what stands elsewhere in the diff. */
static bool is_left_out(const char *owner, const char *member)
{
	return listed("Job.ID Job.TaskGroups Job.Update Job.Payload Job.VaultToken Job.ConsulToken Job.NomadTokenID "
		      "Job.Stable Job.Version Job.VersionTag Job.Status Job.StatusDescription Job.SubmitTime "
		      "Job.CreateIndex Job.ModifyIndex Job.JobModifyIndex "
		      "Group.Name Group.Tasks Task.Name Scaling.CreateIndex Scaling.ModifyIndex",
		      owner, member);
}

/* What is seen only where somebody has set it. */
static bool is_scarce(const char *owner, const char *member)
{
	return listed("Template.Uid Template.Gid Network.Device Network.CIDR Network.IP Static_Port.Value Dynamic_Port.Value",
		      strcmp(owner, "Dynamic Port") == 0 ? "Dynamic_Port"
		      : strcmp(owner, "Static Port") == 0 ? "Static_Port"
							  : owner,
		      member);
}

/* What is seen only where it differs. */
static bool is_quiet(const char *owner, const char *member)
{
	return listed("Update.Stagger Network.MBits Scaling.ID Scaling.Namespace Scaling.Type", owner, member);
}

static bool is_map(const char *owner, const char *member)
{
	return listed("Job.Meta Group.Meta Task.Meta Task.Env Region.Meta Service.Meta Service.CanaryMeta "
		      "Service.TaggedAddresses Artifact.GetterOptions Artifact.GetterHeaders Scaling.Target "
		      "CNI.Args Secret.Env",
		      owner, member);
}

static bool is_free(const char *owner, const char *member)
{
	return listed("Task.Config Secret.Config Scaling.Policy Service.Connect Service.Weights Check.Header", owner,
		      member);
}

static const char *name_of(const char *member)
{
	static const char *const names[][2] = {
		{"Constraints", "Constraint"},
		{"Affinities", "Affinity"},
		{"Spreads", "Spread"},
		{"ReservedPorts", "Static Port"},
		{"DynamicPorts", "Dynamic Port"},
		{"Networks", "Network"},
		{"Devices", "Device"},
		{"Services", "Service"},
		{"Checks", "Check"},
		{"Artifacts", "Artifact"},
		{"Templates", "Template"},
		{"VolumeMounts", "VolumeMount"},
		{"ScalingPolicies", "Scaling"},
		{"Identities", "Identity"},
		{"Actions", "Action"},
		{"Secrets", "Secret"},
		{"Volumes", "Volume"},
		{"Regions", "Region"},
		{"Links", "Link"},
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i][0], member) == 0) {
			return names[i][1];
		}
	}
	return member;
}

/* By what the elements of a list are known, or NULL: by all they are. */
static const char *key_of(const char *name)
{
	static const char *const keys[][2] = {
		{"Device", "Name"},  {"SpreadTarget", "Value"}, {"Static Port", "Label"}, {"Dynamic Port", "Label"},
		{"Service", "Name"}, {"Check", "Name"},         {"Identity", "Name"},     {"Action", "Name"},
		{"Secret", "Name"},  {"Region", "Name"},        {"Artifact", "RelativeDest"}, {"Template", "DestPath"},
	};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(keys[i][0], name) == 0) {
			return keys[i][1];
		}
	}
	return NULL;
}

/* What the specimen shows: members that are objects or lists, by "Owner.Member", and all members, by owner. */
static json_t *with_parts;
static json_t *members;
static bool learning;

/* ---- parts of a diff ---- */

struct part {
	json_t *fields;
	json_t *objects;
	bool shows;      /* Its unchanged fields. */
	bool contextual; /* Objects in it show theirs. */
	bool changed;
};

static struct part part_new(bool shows, bool contextual)
{
	return (struct part){json_array(), json_array(), shows, contextual, false};
}

/* Of an object in another part. */
static struct part part_in(const struct part *p)
{
	return part_new(p->contextual, p->contextual);
}

static json_t *or_null(json_t *list)
{
	if (json_array_size(list) > 0) {
		return list;
	}
	json_decref(list);
	return json_null();
}

static const char *type_name(bool was, bool now, bool changed)
{
	return !was && now ? "Added" : was && !now ? "Deleted" : changed ? "Edited" : "None";
}

static char *text_of(const json_t *v)
{
	return v == NULL || json_is_null(v) ? strdup("")
	       : json_is_string(v)          ? strdup(json_string_value(v))
					    : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
}

static void add_field(struct part *p, const char *name, const char *was, const char *now)
{
	bool changed = strcmp(was, now) != 0;

	p->changed |= changed;
	if (changed || p->shows) {
		json_array_append_new(p->fields,
				      json_pack("{sssssssssn}", "Type", type_name(*was != '\0', *now != '\0', changed),
						"Name", name, "Old", was, "New", now, "Annotations"));
	}
}

static void add_value(struct part *p, const char *name, const json_t *was, const json_t *now)
{
	char *a = text_of(was);
	char *b = text_of(now);

	add_field(p, name, a, b);
	free(a);
	free(b);
}

static bool same_text(const json_t *was, const json_t *now)
{
	char *a = text_of(was);
	char *b = text_of(now);
	bool same = strcmp(a, b) == 0;

	free(a);
	free(b);
	return same;
}

static void add_object(struct part *to, const char *name, const char *type, struct part *p)
{
	json_array_append_new(to->objects, json_pack("{sssssoso}", "Type", type, "Name", name, "Fields",
						     or_null(p->fields), "Objects", or_null(p->objects)));
	to->changed = true;
}

static void drop(struct part *p)
{
	json_decref(p->fields);
	json_decref(p->objects);
}

/* ---- members ---- */

/* The names of both, each once. */
static json_t *names_of(const json_t *a, const json_t *b)
{
	json_t *all = json_object();

	if (json_is_object(a)) {
		json_object_update(all, (json_t *)(uintptr_t)a);
	}
	if (json_is_object(b)) {
		json_object_update(all, (json_t *)(uintptr_t)b);
	}
	return all;
}

static void diff_map(struct part *p, const char *member, json_t *was, json_t *now)
{
	json_t *all = names_of(was, now);
	const char *key;
	json_t *unused;

	json_object_foreach (all, key, unused) {
		char name[256];

		snprintf(name, sizeof(name), "%s[%s]", member, key);
		add_value(p, name, json_object_get(was, key), json_object_get(now, key));
	}
	json_decref(all);
}

static void flatten(json_t *to, const char *path, const char *name, const json_t *v)
{
	char longer[512];
	const char *key;
	json_t *part;
	size_t i;

	if (json_is_object(v)) {
		json_object_foreach ((json_t *)(uintptr_t)v, key, part) {
			snprintf(longer, sizeof(longer), *path == '\0' ? "%s%s" : "%s[%s]", path, key);
			flatten(to, longer, name, part);
		}
	} else if (json_is_array(v)) {
		json_array_foreach (v, i, part) {
			snprintf(longer, sizeof(longer), "%s[%zu]", path, i);
			flatten(to, longer, name, part);
		}
	} else if (v != NULL && !(json_is_null(v) && *path == '\0')) {
		char *text = json_is_null(v) ? strdup("null") : text_of(v);

		json_object_set_new(to, *path == '\0' ? name : path, json_string(text));
		free(text);
	}
}

static void diff_free(struct part *to, const char *member, json_t *was, json_t *now)
{
	struct part p = part_in(to);
	json_t *a = json_object();
	json_t *b = json_object();
	json_t *all;
	json_t *unused;
	const char *key;

	flatten(a, "", member, was);
	flatten(b, "", member, now);
	all = names_of(a, b);
	json_object_foreach (all, key, unused) {
		add_value(&p, key, json_object_get(a, key), json_object_get(b, key));
	}
	if (p.changed) {
		add_object(to, name_of(member), type_name(json_object_size(a) > 0, json_object_size(b) > 0, true), &p);
	} else {
		drop(&p);
	}
	json_decref(all);
	json_decref(a);
	json_decref(b);
}

static bool has_value(const json_t *list, const json_t *v)
{
	json_t *one;
	size_t i;

	json_array_foreach (list, i, one) {
		if (json_equal(one, v)) {
			return true;
		}
	}
	return false;
}

static void diff_set(struct part *to, const char *member, json_t *was, json_t *now)
{
	struct part p = part_in(to);
	bool gone = false;
	bool added = false;
	json_t *v;
	size_t i;

	json_array_foreach (was, i, v) {
		gone |= !has_value(now, v);
		add_value(&p, member, v, has_value(now, v) ? v : NULL);
	}
	json_array_foreach (now, i, v) {
		if (!has_value(was, v)) {
			added = true;
			add_value(&p, member, NULL, v);
		}
	}
	if (p.changed) {
		add_object(to, member, type_name(gone, added, true), &p);
	} else if (to->shows && json_array_size(p.fields) > 0) {
		bool changed = to->changed;

		add_object(to, member, "None", &p);
		to->changed = changed;
	} else {
		drop(&p);
	}
}

static void diff_members(struct part *p, const char *owner, json_t *was, json_t *now);

static void diff_object(struct part *to, const char *name, json_t *was, json_t *now)
{
	bool a = json_is_object(was);
	bool b = json_is_object(now);
	struct part p;

	if (!learning && json_equal(was, now)) {
		return;
	}
	p = part_in(to);
	diff_members(&p, name, was, now);
	if (a != b || p.changed) {
		add_object(to, name, type_name(a, b, true), &p);
	} else {
		drop(&p);
	}
}

static bool equal_as_told(const char *name, const json_t *a, const json_t *b)
{
	json_t *x = json_copy((json_t *)(uintptr_t)a);
	json_t *y = json_copy((json_t *)(uintptr_t)b);
	const char *member;
	json_t *unused;
	bool equal;

	json_object_foreach ((json_t *)(uintptr_t)a, member, unused) {
		if (is_left_out(name, member)) {
			json_object_del(x, member);
			json_object_del(y, member);
		}
	}
	equal = json_equal(x, y);
	json_decref(x);
	json_decref(y);
	return equal;
}

/* The element of a list that is the same one, by its key, or equal. */
static json_t *same_one(const json_t *list, const json_t *one, const char *key, const char *name)
{
	json_t *other;
	size_t i;

	json_array_foreach (list, i, other) {
		if (key != NULL ? json_equal(json_object_get(other, key), json_object_get(one, key))
				: equal_as_told(name, other, one)) {
			return other;
		}
	}
	return NULL;
}

static void diff_list(struct part *to, const char *name, json_t *was, json_t *now)
{
	bool pairs = strcmp(name, "Template") == 0 || strcmp(name, "Service") == 0;
	const char *key = key_of(name);
	json_t *one;
	size_t i;

	if (pairs && json_array_size(was) == 1 && json_array_size(now) == 1) {
		diff_object(to, name, json_array_get(was, 0), json_array_get(now, 0));
		return;
	}
	json_array_foreach (was, i, one) {
		diff_object(to, name, one, same_one(now, one, key, name));
	}
	json_array_foreach (now, i, one) {
		if (same_one(was, one, key, name) == NULL) {
			diff_object(to, name, NULL, one);
		}
	}
}

static void diff_volumes(struct part *to, json_t *was, json_t *now)
{
	json_t *all = names_of(was, now);
	const char *key;
	json_t *unused;

	json_object_foreach (all, key, unused) {
		diff_object(to, "Volume", json_object_get(was, key), json_object_get(now, key));
	}
	json_decref(all);
}

static bool is_unset(const json_t *v)
{
	return v == NULL || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0) ||
	       (json_is_integer(v) && json_integer_value(v) == 0);
}

/* Whether a member is an object or a list, which is not to be seen where it is null: as the specimen shows. */
static bool has_parts(const char *owner, const char *member, const json_t *some)
{
	char name[128];

	snprintf(name, sizeof(name), "%s.%s", owner, member);
	if (learning && (json_is_object(some) || json_is_array(some))) {
		json_object_set_new(with_parts, name, json_true());
	}
	return json_object_get(with_parts, name) != NULL;
}

static void diff_member(struct part *p, const char *owner, const char *member, json_t *was, json_t *now)
{
	const json_t *some = was == NULL || json_is_null(was) ? now : was;

	if (has_parts(owner, member, some) && (some == NULL || json_is_null(some))) {
		return;
	}
	if (is_map(owner, member)) {
		diff_map(p, member, was, now);
	} else if (is_free(owner, member)) {
		diff_free(p, member, was, now);
	} else if (strcmp(member, "Volumes") == 0) {
		diff_volumes(p, was, now);
	} else if (json_is_object(some)) {
		diff_object(p, name_of(member), was, now);
	} else if (json_is_array(some) && json_is_object(json_array_get(some, 0))) {
		diff_list(p, name_of(member), was, now);
	} else if (json_is_array(some)) {
		diff_set(p, member, was, now);
	} else if (is_quiet(owner, member) && same_text(was, now)) {
		return;
	} else if (!is_scarce(owner, member) || !is_unset(was) || !is_unset(now)) {
		add_value(p, member, was, now);
	}
}

static void diff_members(struct part *p, const char *owner, json_t *was, json_t *now)
{
	json_t *all = names_of(was, now);
	const char *member;
	json_t *unused;

	if (learning) {
		json_object_set(members, owner, all);
	} else {
		/* What is left out of JSON because it is empty is a member all the same. */
		json_object_update_missing(all, json_object_get(members, owner));
	}
	json_object_foreach (all, member, unused) {
		if (!is_left_out(owner, member)) {
			diff_member(p, owner, member, json_object_get(was, member), json_object_get(now, member));
		}
	}
	json_decref(all);
}

/* ---- jobs, groups, tasks: nothing of their own is context ---- */

static json_t *finish(struct part *p, const char *id, json_t *was, json_t *now)
{
	return json_pack("{sssOsoso}", "Type", type_name(was != NULL, now != NULL, p->changed), id,
			 json_object_get(now != NULL ? now : was, id), "Fields", or_null(p->fields), "Objects",
			 or_null(p->objects));
}

static bool is_inherited(json_t *task, json_t *group)
{
	return task == NULL ||
	       json_equal(json_object_get(task, "RestartPolicy"), json_object_get(group, "RestartPolicy"));
}

static json_t *without_policy(json_t *task)
{
	json_t *copy = task != NULL ? json_copy(task) : NULL;

	if (copy != NULL) {
		json_object_del(copy, "RestartPolicy");
	}
	return copy;
}

/* What a task has from its group is told there. */
static json_t *diff_task(json_t *was, json_t *was_group, json_t *now, json_t *now_group, bool contextual)
{
	bool inherited = is_inherited(was, was_group) && is_inherited(now, now_group);
	json_t *a = inherited ? without_policy(was) : json_incref(was);
	json_t *b = inherited ? without_policy(now) : json_incref(now);
	struct part p = part_new(false, contextual);
	json_t *d;

	diff_members(&p, "Task", a, b);
	d = finish(&p, "Name", a, b);
	json_object_set_new(d, "Annotations", json_null());
	json_decref(a);
	json_decref(b);
	return d;
}

static json_t *diff_group(json_t *was, json_t *now, bool contextual);

/* Those of two lists by name; `was_in` and `now_in` are the groups that tasks are in, NULL for groups. */
static json_t *diff_named(struct part *p, const char *member, json_t *was_in, json_t *now_in, bool contextual)
{
	bool tasks = strcmp(member, "Tasks") == 0;
	json_t *was = json_object_get(was_in, member);
	json_t *now = json_object_get(now_in, member);
	json_t *all = json_array();
	json_t *one;
	size_t i;

	json_array_foreach (was, i, one) {
		json_t *other = same_one(now, one, "Name", member);

		json_array_append_new(all, tasks ? diff_task(one, was_in, other, now_in, contextual)
						 : diff_group(one, other, contextual));
	}
	json_array_foreach (now, i, one) {
		if (same_one(was, one, "Name", member) == NULL) {
			json_array_append_new(all, tasks ? diff_task(NULL, was_in, one, now_in, contextual)
							 : diff_group(NULL, one, contextual));
		}
	}
	json_array_foreach (all, i, one) {
		p->changed |= strcmp(json_string_value(json_object_get(one, "Type")), "None") != 0;
	}
	return or_null(all);
}

static json_t *diff_group(json_t *was, json_t *now, bool contextual)
{
	struct part p = part_new(false, contextual);
	json_t *tasks = diff_named(&p, "Tasks", was, now, contextual);
	json_t *d;

	diff_members(&p, "Group", was, now);
	d = finish(&p, "Name", was, now);
	json_object_set_new(d, "Tasks", tasks);
	json_object_set_new(d, "Updates", json_null());
	return d;
}

json_t *reference_diff(json_t *was, json_t *now, bool contextual)
{
	struct part p = part_new(false, contextual);
	json_t *groups = diff_named(&p, "TaskGroups", was, now, contextual);
	json_t *d;

	diff_members(&p, "Job", was, now);
	d = finish(&p, "ID", was, now);
	json_object_set_new(d, "TaskGroups", groups);
	reference_sort(d);
	return d;
}

void reference_init(json_t *specimen)
{
	with_parts = json_object();
	members = json_object();
	learning = true;
	json_decref(reference_diff(specimen, specimen, true));
	learning = false;
}

void reference_close(void)
{
	json_decref(with_parts);
	json_decref(members);
}

/* ---- order ---- */

static int text_cmp(const void *a, const void *b)
{
	const char *const *p = a;
	const char *const *q = b;

	return strcmp(*p, *q);
}

static void sort_list(json_t *list)
{
	size_t n = json_array_size(list);
	char **texts = calloc(n + 1, sizeof(*texts));
	size_t i;

	for (i = 0; i < n; i++) {
		reference_sort(json_array_get(list, i));
		texts[i] = json_dumps(json_array_get(list, i), JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
	}
	qsort(texts, n, sizeof(*texts), text_cmp);
	json_array_clear(list);
	for (i = 0; i < n; i++) {
		json_array_append_new(list, json_loads(texts[i], JSON_DECODE_ANY, NULL));
		free(texts[i]);
	}
	free(texts);
}

void reference_sort(json_t *diff)
{
	static const char *const lists[] = {"Fields", "Objects", "Tasks", "TaskGroups"};
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		json_t *list = json_object_get(diff, lists[i]);

		if (json_is_array(list)) {
			sort_list(list);
		}
	}
}
