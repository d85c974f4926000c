/**
 * What changes between two versions of a job, as plans and version lists show it.
 *
 * Computed from the field tables: a member that is one value is a field of the diff, "Meta[key]" for the entries of a
 * map; a nested object, a list of strings and free JSON (a driver's configuration) are objects of the diff, named as
 * the table says (.diff). Elements of a list are paired by their key, or are the same only if they are equal. Members
 * that only servers set are left out, and so is a task's restart policy while it is its group's.
 */
#ifndef PROTO_DIFF_H_
#define PROTO_DIFF_H_

#include "proto/alloc.h"

#define FIELD_DIFF_FIELDS(X, T)   \
	X(T, STR, type, "Type")   \
	X(T, STR, name, "Name")   \
	X(T, STR, was, "Old")     \
	X(T, STR, now, "New")     \
	X(T, STRS, annotations, "Annotations")

#define OBJECT_DIFF_FIELDS(X, T)                     \
	X(T, STR, type, "Type")                      \
	X(T, STR, name, "Name")                      \
	X(T, LIST(field_diff), fields, "Fields")     \
	X(T, LIST(object_diff), objects, "Objects")

#define TASK_DIFF_FIELDS(X, T)                       \
	X(T, STR, type, "Type")                      \
	X(T, STR, name, "Name")                      \
	X(T, LIST(field_diff), fields, "Fields")     \
	X(T, LIST(object_diff), objects, "Objects")  \
	X(T, STRS, annotations, "Annotations")

#define TASK_GROUP_DIFF_FIELDS(X, T)                 \
	X(T, STR, type, "Type")                      \
	X(T, STR, name, "Name")                      \
	X(T, LIST(field_diff), fields, "Fields")     \
	X(T, LIST(object_diff), objects, "Objects")  \
	X(T, LIST(task_diff), tasks, "Tasks")        \
	X(T, INTMAP, updates, "Updates")

#define JOB_DIFF_FIELDS(X, T)                               \
	X(T, STR, type, "Type")                             \
	X(T, STR, id, "ID")                                 \
	X(T, LIST(field_diff), fields, "Fields")            \
	X(T, LIST(object_diff), objects, "Objects")         \
	X(T, LIST(task_group_diff), task_groups, "TaskGroups")

OBJECT_DECLARE(field_diff, FIELD_DIFF_FIELDS);
OBJECT_DECLARE(object_diff, OBJECT_DIFF_FIELDS);
OBJECT_DECLARE(task_diff, TASK_DIFF_FIELDS);
OBJECT_DECLARE(task_group_diff, TASK_GROUP_DIFF_FIELDS);
OBJECT_DECLARE(job_diff, JOB_DIFF_FIELDS);

/* The Type of each. */
#define DIFF_NONE "None"
#define DIFF_ADDED "Added"
#define DIFF_DELETED "Deleted"
#define DIFF_EDITED "Edited"

/* What leads from one job to the other; either may be NULL, then all of the other is added or deleted. All groups and
 * tasks are listed, by name, those without a change as None. `contextual`: objects that changed, come or go show their
 * unchanged fields too, also those that are empty on both sides. The result lives in `mem` and refers to both jobs.
 * 0, ERR_NOMEM. */
int job_diff(const struct job *was, const struct job *now, bool contextual, struct arena *mem, struct job_diff *out);

/* Say what follows for allocations: how many are made, stopped or updated by group (from a plan), and which field or
 * task is the cause. 0, ERR_NOMEM. */
int job_diff_annotate(struct job_diff *d, const struct plan_annotations *plan, struct arena *mem);

#endif /* PROTO_DIFF_H_ */
