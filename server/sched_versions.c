#include "server/sched_versions.h"

#include <string.h>

#include "server/sched_memory.h"
#include "server/sched_standing.h"

static int32_t group_place(const struct job *job, const char *name)
{
	uint32_t i;

	for (i = 0; i < job->task_groups.n; i++) {
		if (strcmp(job->task_groups.at[i].name, name) == 0) {
			return (int32_t)i;
		}
	}
	return -1;
}

static void compare(const struct versions *vs, struct version *v)
{
	const struct job *to = vs->job->job;
	uint32_t n = v->job.task_groups.n;
	uint32_t i;

	v->groups = arena_need(vs->mem, n, sizeof(v->groups[0]));
	v->kinds = arena_need(vs->mem, n, sizeof(v->kinds[0]));
	for (i = 0; i < n; i++) {
		const struct task_group *g = &v->job.task_groups.at[i];

		v->groups[i] = group_place(to, g->name);
		v->kinds[i] = v->groups[i] >= 0
				      ? (uint8_t)group_update_kind(&v->job, g, to, &to->task_groups.at[v->groups[i]])
				      : (uint8_t)UPDATE_DESTRUCTIVE;
	}
}

const struct version *version_of(struct versions *vs, const struct alloc_row *row)
{
	struct version *v;
	uint32_t i;

	for (i = vs->n; i > 0; i--) {
		if (vs->at[i - 1]->spec == row->job->spec) {
			return row->group < vs->at[i - 1]->job.task_groups.n ? vs->at[i - 1] : NULL;
		}
	}
	v = arena_need(vs->mem, 1, sizeof(*v));
	v->spec = row->job->spec;
	if (job_row_get(row->job, &v->job, vs->mem) != 0 || row->group >= v->job.task_groups.n) {
		return NULL;
	}
	compare(vs, v);
	vs->at = arena_grow(vs->mem, vs->at, vs->n, &vs->cap, sizeof(vs->at[0]));
	vs->at[vs->n++] = v;
	return v;
}

enum update_kind version_kind(const struct versions *vs, const struct version *v, const struct alloc_row *row)
{
	return row_is_current(vs->job, row) ? UPDATE_NONE : (enum update_kind)v->kinds[row->group];
}
