/** Finding a task again, after the agent was restarted or the connection broke. */
#include <assert.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "client/driver_config.h"
#include "client/executor_task.h"
#include "client/procfs.h"
#include "proto/error.h"

enum { RECORD_VERSION = 1, BREAKS_MAX = 20 };

OBJECT_DEFINE(executor_record, EXECUTOR_RECORD_FIELDS);

static void find_work(uv_work_t *work)
{
	struct errand *errand = CONTAINER_OF(work, struct errand, work);

	if (!errand->failed) {
		errand->outcome = launch_find(&errand->id, &errand->fd, &errand->exit);
	}
}

/* Of one that was to be started by us: it was killed, or it is not our program at all. */
static void tell_no_executor(struct executor_task *t)
{
	struct driver_error e;

	driver_fault(&e, "the executor of \"%s\" ended before the task was started", t->launched->spec.command);
	e.recoverable = true;
	executor_tell_started(t, &e);
}

static void tell_lost_before(struct executor_task *t, bool never)
{
	struct driver_error e;

	driver_fault(&e, never ? "the task had not been started" : "the machine was restarted while the task ran");
	e.lost = true;
	e.never = never;
	e.recoverable = true;
	executor_tell_started(t, &e);
}

static void tell_found(struct executor_task *t, struct errand *errand)
{
	if (errand->outcome == LAUNCH_NEVER && t->launched != NULL) {
		tell_no_executor(t);
		return;
	}
	if (executor_task_starting(t) && (errand->outcome == LAUNCH_REBOOTED || errand->outcome == LAUNCH_NEVER)) {
		tell_lost_before(t, errand->outcome == LAUNCH_NEVER);
		return;
	}
	if (executor_task_starting(t)) {
		executor_tell_started(t, NULL);
	}
	if (t->base.state == DRIVER_RUNNING && errand->outcome == LAUNCH_ENDED) {
		executor_tell_exited(t, &errand->exit);
	} else if (t->base.state == DRIVER_RUNNING) {
		executor_tell_lost(t);
	}
}

static void find_done(uv_work_t *work, int status)
{
	struct errand *errand = CONTAINER_OF(work, struct errand, work);
	struct executor_task *t = errand->task;

	assert(status == 0);
	if (errand->failed) {
		executor_tell_started(t, &errand->error);
	} else if (errand->outcome == LAUNCH_CONNECTED) {
		executor_task_connected(t, errand->fd);
		if (t->dead && !t->detached) {
			executor_task_send_destroy(t);
		}
		if (t->detached || t->base.host->closing) {
			executor_task_disconnect(t);
		}
	} else {
		tell_found(t, errand);
	}
	t->errand = NULL;
	errand_free(errand);
	executor_task_free_if_over(t);
}

/* The connection broke without a report of the end. */
void executor_task_find(struct executor_task *t)
{
	struct errand *errand;

	/* Even when looked for for the first time it may end just after it was found. */
	errand = ++t->breaks > BREAKS_MAX ? NULL : errand_make(t);
	if (errand == NULL) {
		if (executor_task_starting(t)) {
			executor_tell_started(t, NULL);
		}
		executor_tell_lost(t);
		return;
	}
	errand->id = t->id; /* Whose texts live as long as the task, and so longer than the errand. */
	t->errand = errand;
	uv_queue_work(t->base.host->loop, &errand->work, find_work, find_done);
}

static bool read_record(const void *state, size_t len, struct arena *mem, struct executor_id *out)
{
	struct executor_record r;

	object_init(&executor_record_type, &r);
	if (pack_decode(&executor_record_type, &r, state, len, mem) != 0 || r.version != RECORD_VERSION ||
	    strlen(r.run) != EXECUTOR_RUN_TEXT - 1 || strlen(r.boot_id) != BOOT_ID_TEXT - 1 || r.executor <= 0 ||
	    r.executor > INT_MAX || r.pid < 0 || r.pid > INT_MAX || r.state_dir[0] != '/') {
		return false;
	}
	*out = (struct executor_id){.executor = (pid_t)r.executor,
				    .executor_start = (uint64_t)r.executor_start,
				    .pid = (pid_t)r.pid,
				    .start = (uint64_t)r.start,
				    .state_dir = r.state_dir,
				    .cgroup = r.cgroup,
				    .limit_cgroups = r.limit_cgroups};
	memcpy(out->run, r.run, sizeof(out->run));
	memcpy(out->boot_id, r.boot_id, sizeof(out->boot_id));
	return true;
}

struct driver_task *executor_recover(struct driver_host *host, const struct driver *driver, const void *state,
				     size_t len, const struct driver_events *events, void *ctx)
{
	struct executor_task *t = executor_task_make(host, driver, events, ctx);
	struct errand *errand = t == NULL ? NULL : errand_make(t);

	if (errand == NULL) {
		if (t != NULL) {
			executor_task_free(t);
		}
		return NULL;
	}
	t->errand = errand;
	if (!read_record(state, len, &errand->mem, &errand->id)) {
		errand->failed = true;
		driver_fault(&errand->error, "the record of the running task cannot be read");
		errand->error.recoverable = true;
	} else if (!executor_task_keep(t, &errand->id)) {
		t->errand = NULL;
		errand_free(errand);
		executor_task_free(t);
		return NULL;
	} else {
		t->base.pid = t->id.pid;
	}
	uv_queue_work(host->loop, &errand->work, find_work, find_done);
	return &t->base;
}

void executor_save(const struct driver_task *task, struct buf *out)
{
	const struct executor_task *t = CONTAINER_OF(task, const struct executor_task, base);
	struct executor_record r;

	object_init(&executor_record_type, &r);
	r.version = RECORD_VERSION;
	r.boot_id = t->id.boot_id;
	r.run = t->id.run;
	r.executor = t->id.executor;
	r.executor_start = (int64_t)t->id.executor_start;
	r.pid = t->id.pid;
	r.start = (int64_t)t->id.start;
	r.state_dir = t->id.state_dir;
	r.cgroup = t->id.cgroup;
	r.limit_cgroups = t->id.limit_cgroups;
	pack_encode(&executor_record_type, &r, out);
}

void executor_fingerprint(struct driver_host *host, const char *name, struct arena *mem, struct driver_info *out)
{
	bool found = access(host->executor, X_OK) == 0;
	struct pair *attribute = arena_alloc(mem, sizeof(*attribute));

	if (attribute != NULL) {
		*attribute = (struct pair){name, "true"};
		out->attributes.at = attribute;
		out->attributes.n = 1;
	}
	out->healthy = found;
	out->health_description = found ? "Healthy" : arena_printf(mem, "%s cannot be executed", host->executor);
	if (out->health_description == NULL) {
		out->health_description = "";
	}
}
