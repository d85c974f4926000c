/* What is told of an allocation to the servers, and to the next agent on this node. */
#include <string.h>

#include "client/alloc_runner_int.h"
#include "proto/error.h"

struct tally {
	bool failed, running, pending, dead;
};

static struct tally tally_tasks(const struct alloc_runner *ar)
{
	struct tally t = {0};
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		const struct task_runner *tr = &ar->tasks[i];
		/* What an earlier agent left running is believed to run until it is known: the agent's restart is no news. */
		bool alive = tr->alive || tr->awaited == ANSWER_ADOPT;

		/* One that is killed for good as a failure runs until it has ended. */
		t.failed = t.failed || (tr->failed && tr->sm.at == TASK_DEAD);
		t.running = t.running || alive;
		t.dead = t.dead || tr->sm.at == TASK_DEAD;
		/* What has only to clean up afterwards does not keep an allocation from having run. */
		t.pending = t.pending || (!alive && tr->sm.at != TASK_DEAD && tr->hook != HOOK_POSTSTOP);
	}
	return t;
}

enum alloc_client alloc_runner_status(const struct alloc_runner *ar, const char **description)
{
	struct tally t = tally_tasks(ar);

	if (t.failed) {
		*description = "Failed tasks";
		return ALLOC_CLIENT_FAILED;
	}
	if (t.running || (t.dead && !t.pending && ar->sm.at != ALLOC_DEAD)) {
		*description = "Tasks are running";
		return ALLOC_CLIENT_RUNNING;
	}
	if (ar->sm.at != ALLOC_DEAD) {
		*description = "No tasks have started";
		return ALLOC_CLIENT_PENDING;
	}
	*description = ar->cause == CAUSE_TOO_LONG ? ALLOC_TOO_LONG : "All tasks have completed";
	return ALLOC_CLIENT_COMPLETE;
}

static int report_tasks(const struct alloc_runner *ar, struct alloc_update *out, struct arena *mem)
{
	uint32_t i;
	uint32_t k;

	out->task_states.keys = arena_calloc(mem, ar->n, sizeof(out->task_states.keys[0]));
	out->task_states.at = arena_calloc(mem, ar->n, sizeof(out->task_states.at[0]));
	if (out->task_states.keys == NULL || out->task_states.at == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < ar->n; i++) {
		struct task_state state;

		if (task_runner_render(&ar->tasks[i], &state, mem) != 0) {
			return ERR_NOMEM;
		}
		/* Maps are kept in the order of their keys. */
		for (k = i; k > 0 && strcmp(out->task_states.keys[k - 1], ar->tasks[i].task->name) > 0; k--) {
			out->task_states.keys[k] = out->task_states.keys[k - 1];
			out->task_states.at[k] = out->task_states.at[k - 1];
		}
		out->task_states.keys[k] = ar->tasks[i].task->name;
		out->task_states.at[k] = state;
	}
	out->task_states.n = ar->n;
	return 0;
}

static int report_health(const struct alloc_runner *ar, struct alloc_update *out, struct arena *mem)
{
	const struct alloc_deployment_status *known = ar->spec->alloc.deployment_status;
	struct alloc_deployment_status *status;

	if (ar->health.state != HEALTH_GOOD && ar->health.state != HEALTH_BAD) {
		return 0;
	}
	status = arena_alloc(mem, sizeof(*status));
	if (status == NULL) {
		return ERR_NOMEM;
	}
	object_init(&alloc_deployment_status_type, status);
	status->healthy = (struct opt){.at = ar->health.state == HEALTH_GOOD, .set = true};
	status->timestamp = ar->health.at_ns;
	if (known != NULL) {
		status->canary = known->canary;
		status->modify_index = known->modify_index;
	}
	out->deployment_status = status;
	return 0;
}

int alloc_runner_report(const struct alloc_runner *ar, struct alloc_update *out, struct arena *mem)
{
	object_init(&alloc_update_type, out);
	out->id = ar->spec->alloc.id;
	out->client_status = alloc_client_text((int)alloc_runner_status(ar, &out->client_description));
	if (report_tasks(ar, out, mem) != 0 || report_health(ar, out, mem) != 0) {
		return ERR_NOMEM;
	}
	return 0;
}

/* ---- what the next agent needs ---- */

int alloc_runner_save(const struct alloc_runner *ar, struct saved_alloc *out, struct arena *mem)
{
	const char *description;
	uint32_t i;

	object_init(&saved_alloc_type, out);
	out->id = ar->spec->alloc.id;
	out->client_status = alloc_client_text((int)alloc_runner_status(ar, &description));
	out->cause = alloc_causes[ar->cause];
	out->began = ar->began_ns;
	if (ar->health.state == HEALTH_GOOD || ar->health.state == HEALTH_BAD) {
		out->healthy = (struct opt){.at = ar->health.state == HEALTH_GOOD, .set = true};
		out->healthy_at = ar->health.at_ns;
		out->healthy_deployment = ar->health.deployment_id;
	}
	out->tasks.at = arena_calloc(mem, ar->n, sizeof(out->tasks.at[0]));
	if (out->tasks.at == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < ar->n; i++) {
		if (task_runner_save(&ar->tasks[i], &out->tasks.at[i], mem) != 0) {
			return ERR_NOMEM;
		}
	}
	out->tasks.n = ar->n;
	return 0;
}
