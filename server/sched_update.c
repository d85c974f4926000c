#include "server/sched_update.h"

#include <string.h>

/* A version of a group with its job. */
struct side {
	const struct job *job;
	const struct task_group *group;
};

/* ---- what can change under a running task: taken out of copies that are compared ---- */

static void neutral_group(struct task_group *g)
{
	g->name = "";
	g->count = 0;
	g->constraints.n = 0;
	g->affinities.n = 0;
	g->spreads.n = 0;
	g->tasks.n = 0;
	g->restart_policy = NULL;
	g->disconnect = NULL;
	g->reschedule_policy = NULL;
	g->update = NULL;
	g->migrate = NULL;
	g->meta.n = 0;
	g->services.n = 0;
	g->shutdown_delay = (struct opt){0};
	g->stop_after_client_disconnect = (struct opt){0};
	g->max_client_disconnect = (struct opt){0};
	g->scaling = NULL;
	g->prevent_reschedule_on_lost = false;
	g->max_run_duration = (struct opt){0};
}

static void neutral_task(struct task *t)
{
	t->constraints.n = 0;
	t->affinities.n = 0;
	t->services.n = 0;
	t->restart_policy = NULL;
	t->meta.n = 0;
	t->kill_timeout = (struct opt){0};
	t->kill_signal = "";
	t->log_config = NULL;
	t->leader = false;
	t->shutdown_delay = 0;
	t->scaling_policies.n = 0;
	t->actions.n = 0;
}

/* ---- some of which cannot after all ---- */

static bool renders(const struct restart_policy *r)
{
	return r != NULL && r->render_templates.at != 0;
}

static bool logs_off(const struct task *t)
{
	return t->log_config != NULL && t->log_config->disabled;
}

/* A service's proxy is part of the group's network. */
static bool same_proxies(const void *a_at, uint32_t a_n, const void *b_at, uint32_t b_n)
{
	const struct service *a = a_at;
	const struct service *b = b_at;
	uint32_t i;

	for (i = 0; i < a_n || i < b_n; i++) {
		const char *a_connect = i < a_n ? a[i].connect : "";
		const char *b_connect = i < b_n ? b[i].connect : "";

		if (strcmp(a_connect, b_connect) != 0) {
			return false;
		}
	}
	return true;
}

/* ---- meta reaches the task from three places ---- */

static const char *map_get(const struct map *m, const char *key)
{
	uint32_t i;

	for (i = 0; i < m->n; i++) {
		if (strcmp(m->at[i].key, key) == 0) {
			return m->at[i].value;
		}
	}
	return NULL;
}

static const char *meta_of(const struct side *s, const struct task *task, const char *key)
{
	const char *value = map_get((const struct map *)&task->meta, key);

	if (value == NULL) {
		value = map_get((const struct map *)&s->group->meta, key);
	}
	return value != NULL ? value : map_get((const struct map *)&s->job->meta, key);
}

static bool has_same_meta(const struct map *of, const struct side *a, const struct task *a_task, const struct side *b,
			  const struct task *b_task)
{
	uint32_t i;

	for (i = 0; i < of->n; i++) {
		const char *a_value = meta_of(a, a_task, of->at[i].key);
		const char *b_value = meta_of(b, b_task, of->at[i].key);

		if (a_value == NULL || b_value == NULL || strcmp(a_value, b_value) != 0) {
			return false;
		}
	}
	return true;
}

static bool same_meta(const struct side *a, const struct task *a_task, const struct side *b, const struct task *b_task)
{
	return has_same_meta(&a->job->meta, a, a_task, b, b_task) &&
	       has_same_meta(&a->group->meta, a, a_task, b, b_task) &&
	       has_same_meta(&a_task->meta, a, a_task, b, b_task) &&
	       has_same_meta(&b->job->meta, a, a_task, b, b_task) &&
	       has_same_meta(&b->group->meta, a, a_task, b, b_task) &&
	       has_same_meta(&b_task->meta, a, a_task, b, b_task);
}

/* ---- comparing ---- */

static bool same_task(const struct side *a, const struct task *a_task, const struct side *b, const struct task *b_task)
{
	struct task x = *a_task;
	struct task y = *b_task;

	neutral_task(&x);
	neutral_task(&y);
	return object_equal(&task_type, &x, &y) && same_meta(a, a_task, b, b_task) &&
	       renders(a_task->restart_policy) == renders(b_task->restart_policy) &&
	       logs_off(a_task) == logs_off(b_task) &&
	       same_proxies(a_task->services.at, a_task->services.n, b_task->services.at, b_task->services.n);
}

static bool same_tasks(const struct side *a, const struct side *b)
{
	uint32_t i;

	if (a->group->tasks.n != b->group->tasks.n) {
		return false;
	}
	for (i = 0; i < a->group->tasks.n; i++) {
		const struct task *task = &a->group->tasks.at[i];
		const struct task *other = group_task(b->group, task->name);

		if (other == NULL || !same_task(a, task, b, other)) {
			return false;
		}
	}
	return true;
}

static bool same_group(const struct side *a, const struct side *b)
{
	struct task_group x = *a->group;
	struct task_group y = *b->group;

	neutral_group(&x);
	neutral_group(&y);
	return object_equal(&task_group_type, &x, &y) &&
	       renders(a->group->restart_policy) == renders(b->group->restart_policy) &&
	       same_proxies(a->group->services.at, a->group->services.n, b->group->services.at, b->group->services.n) &&
	       same_tasks(a, b);
}

enum update_kind group_update_kind(const struct job *from_job, const struct task_group *from, const struct job *to_job,
				   const struct task_group *to)
{
	const struct side a = {from_job, from};
	const struct side b = {to_job, to};

	return same_group(&a, &b) ? UPDATE_IN_PLACE : UPDATE_DESTRUCTIVE;
}
