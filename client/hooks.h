/**
 * What must be there before a task starts: its payload, its artifacts, its templates.
 *
 * All that is needed stands in a plan, made on the loop; running it blocks and is for a worker thread.
 */
#ifndef CLIENT_HOOKS_H_
#define CLIENT_HOOKS_H_

#include <stdatomic.h>

#include "client/task_runner.h"
#include "client/template.h"

struct hook_plan {
	const char *alloc_root; /* Where allocations' directories are. */
	const char *alloc_id;
	const char *alloc_path; /* Of this one, absolute. */
	const struct task *task;
	struct bytes payload; /* Of a dispatched job. */
	struct task_env env;
	bool fetch; /* Payload and artifacts too; they are fetched once, however often the task is started. */
	bool again; /* The task runs: templates alone, but for those that are rendered once. */
	struct template_data *data; /* What is known of the cluster; gets what is wanted. */
	const atomic_bool *canceled;
};

struct hook_outcome {
	bool failed;
	struct task_failure failure; /* If so. */
	bool lacks;                  /* Not failed, but a template wants what is not there: see the plan's data. */
	struct map vars;             /* From templates that are environment. */
	bool *changed;               /* Of each template: whether its file is another one now. */
};

/* Whether there is anything to do. */
bool hooks_needed(const struct task *task, bool fetch);

/* Whether a template of the task may ask the cluster. */
bool hooks_ask(const struct task *task);

/* Whether it may take long: it waits for the network. */
bool hooks_slow(const struct task *task, bool fetch);

/* All strings of the outcome are in `mem`, or static. */
void hooks_run(const struct hook_plan *plan, struct hook_outcome *out, struct arena *mem);

#endif /* CLIENT_HOOKS_H_ */
