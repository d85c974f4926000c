/* Specifications of allocations, and what they have in common. */
#include <stdlib.h>
#include <string.h>

#include "client/alloc_runner.h"

static bool tasks_usable(const struct task_group *group)
{
	uint32_t i;
	uint32_t k;

	for (i = 0; i < group->tasks.n; i++) {
		if (group->tasks.at[i].name[0] == '\0') {
			return false;
		}
		for (k = 0; k < i; k++) {
			if (strcmp(group->tasks.at[i].name, group->tasks.at[k].name) == 0) {
				return false;
			}
		}
	}
	return group->tasks.n > 0;
}

struct alloc_source *alloc_source_new(void)
{
	struct alloc_source *source = calloc(1, sizeof(*source));

	if (source != NULL) {
		source->refs = 1;
	}
	return source;
}

void alloc_source_unref(struct alloc_source *source)
{
	if (--source->refs == 0) {
		arena_close(&source->mem);
		free(source);
	}
}

struct alloc_spec *alloc_spec_make(const struct allocation *alloc, struct alloc_source *source)
{
	const struct task_group *group = alloc->job == NULL ? NULL : job_group(alloc->job, alloc->task_group);
	struct alloc_spec *spec = group == NULL || !tasks_usable(group) ? NULL : malloc(sizeof(*spec));

	if (spec == NULL) {
		return NULL;
	}
	*spec = (struct alloc_spec){.refs = 1, .source = source, .group = group, .alloc = *alloc};
	source->refs++;
	return spec;
}

struct alloc_spec *alloc_spec_ref(struct alloc_spec *spec)
{
	spec->refs++;
	return spec;
}

void alloc_spec_unref(struct alloc_spec *spec)
{
	if (spec != NULL && --spec->refs == 0) {
		alloc_source_unref(spec->source);
		free(spec);
	}
}
