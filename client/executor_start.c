/** Starting a task: the errand that launches an executor. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "client/driver_config.h"
#include "client/driver_env.h"
#include "client/executor_task.h"
#include "client/oserror.h"
#include "proto/error.h"

#define MIB (INT64_C(1) << 20)

static int check_denied(struct errand *errand)
{
	const struct user *u = &errand->found;
	uint32_t i;

	if (user_in_ranges(errand->denied_uids, u->uid)) {
		return driver_fault(&errand->error, "running as uid %u is disallowed", u->uid);
	}
	for (i = 0; i < u->groups_n; i++) {
		if (user_in_ranges(errand->denied_gids, u->groups[i])) {
			return driver_fault(&errand->error, "running as gid %u is disallowed", u->groups[i]);
		}
	}
	return 0;
}

static int find_user(struct errand *errand)
{
	struct executor_spec *spec = &errand->spec;
	int rv;

	if (spec->user[0] == '\0') {
		return 0;
	}
	rv = user_find(spec->user, &errand->found);
	if (rv == ERR_NOTFOUND) {
		return driver_fault(&errand->error, "failed to look up user \"%s\": unknown user", spec->user);
	}
	if (rv != 0) {
		driver_fault(&errand->error, "failed to look up user \"%s\": %s", spec->user, error_text(rv));
		errand->error.recoverable = true;
		return rv;
	}
	rv = check_denied(errand);
	if (rv != 0) {
		return rv;
	}
	/* An agent without privileges can be its own user only, and must not try to set groups. */
	spec->set_user = !(geteuid() != 0 && errand->found.uid == geteuid());
	spec->uid = errand->found.uid;
	spec->gid = errand->found.gid;
	spec->groups = errand->found.groups;
	spec->groups_n = errand->found.groups_n;
	return 0;
}

static int find_command(struct errand *errand)
{
	char path[PATH_MAX];
	char text[OSERROR_TEXT];
	bool bare = strchr(errand->command, '/') == NULL;
	int error;

	if (errand->spec.root[0] != '\0') {
		launch_ready_command(errand->task_dir, errand->command);
		errand->spec.command = errand->command;
		return 0;
	}
	error = launch_find_command(errand->task_dir, errand->command,
				    driver_env_get((const char *const *)errand->spec.env, errand->spec.env_n, "PATH"),
				    path, sizeof(path));
	if (error != 0) {
		return driver_fault(&errand->error, "failed to launch command \"%s\": %s", errand->command,
				    bare && error == ENOENT ? "executable file not found in $PATH"
							    : oserror_text(error, text));
	}
	errand->spec.command = arena_strdup(&errand->mem, path);
	return errand->spec.command == NULL ? ERR_NOMEM : 0;
}

static int launch(struct errand *errand)
{
	char text[OSERROR_TEXT];
	int rv;

	rv = executor_sweep(errand->spec.state_dir);
	if (rv != 0) {
		driver_fault(&errand->error, "an earlier run of the task does not end");
		errand->error.recoverable = true;
		return rv;
	}
	rv = find_user(errand);
	if (rv == 0) {
		rv = find_command(errand);
	}
	if (rv != 0) {
		return rv;
	}
	errand->fd = launch_executor(errand->program, &errand->spec, &errand->id);
	if (errand->fd < 0) {
		driver_fault(&errand->error, "failed to start %s: %s", errand->program,
			     oserror_text(-errand->fd, text));
		errand->error.recoverable = oserror_passing(-errand->fd);
		return ERR_IO;
	}
	return 0;
}

static void launch_work(uv_work_t *work)
{
	struct errand *errand = CONTAINER_OF(work, struct errand, work);

	errand->failed = launch(errand) != 0;
}

/* The caller has let go while the executor was being started. */
static void end_unwanted(struct executor_task *t, struct errand *errand)
{
	t->id.executor = errand->id.executor;
	t->id.executor_start = errand->id.executor_start;
	executor_task_connected(t, errand->fd);
	executor_task_send_destroy(t);
	if (t->base.host->closing) {
		executor_task_disconnect(t);
	}
}

/* The errand stays in its place during callbacks, which may let go of the task. */
static void launch_done(uv_work_t *work, int status)
{
	struct errand *errand = CONTAINER_OF(work, struct errand, work);
	struct executor_task *t = errand->task;

	assert(status == 0);
	if (errand->failed) {
		executor_tell_started(t, &errand->error);
	} else if (t->dead) {
		end_unwanted(t, errand);
	} else if (!executor_task_keep(t, &errand->id)) {
		end_unwanted(t, errand);
		executor_tell_failed(t, ENOMEM, "start", errand->spec.command);
	} else {
		executor_task_connected(t, errand->fd);
		t->launched = errand;
	}
	t->errand = NULL;
	if (t->launched != errand) {
		errand_free(errand);
	}
	executor_task_free_if_over(t);
}

static char **copy_list(struct arena *mem, const char *first, const char *const *list, uint32_t n)
{
	uint32_t at = first != NULL ? 1 : 0;
	char **copy = arena_calloc(mem, (size_t)n + 2, sizeof(*copy));
	uint32_t i;

	if (copy == NULL) {
		return NULL;
	}
	if (first != NULL) {
		copy[0] = arena_strdup(mem, first);
	}
	for (i = 0; i < n; i++) {
		copy[at + i] = arena_strdup(mem, list[i]);
		if (copy[at + i] == NULL) {
			return NULL;
		}
	}
	return copy;
}

static const char *copy_text(struct arena *mem, const char *s)
{
	return arena_strdup(mem, s == NULL ? "" : s);
}

/* Where the task's cgroups are to be; false: no memory. */
static bool name_cgroups(struct executor_spec *x, const struct driver_host *host, const struct executor_launch *l,
			 struct arena *mem)
{
	const char *name = arena_printf(mem, "%s.%llx.scope", l->spec->alloc_id == NULL ? "task" : l->spec->alloc_id,
					(unsigned long long)uv_hrtime());
	bool own = !l->no_cgroup && (l->cgroups_given == NULL || l->cgroups_given[0] == '\0');

	x->cgroups_given = copy_text(mem, l->cgroups_given);
	x->cgroup = name != NULL && own ? cgroups_path(&host->cgroups, name, mem) : "";
	x->limit_cgroups = name != NULL && l->limited ? cgroups_old_paths(&host->cgroups, name, mem) : "";
	x->cpus = copy_text(mem, l->limited ? l->spec->cpus : NULL);
	return name != NULL && x->cgroups_given != NULL && x->cgroup != NULL && x->limit_cgroups != NULL &&
	       x->cpus != NULL;
}

/* A maximum above what is reserved makes the latter a wish; a negative one is no bound at all. */
static void set_limits(struct executor_spec *x, const struct driver_spec *s)
{
	int64_t max_mb = s->memory_max_mb != 0 ? s->memory_max_mb : s->memory_mb;

	x->memory_bytes = max_mb > 0 ? max_mb * MIB : 0;
	x->memory_low_bytes = s->memory_max_mb != 0 && s->memory_mb > 0 ? s->memory_mb * MIB : 0;
	x->cpu_shares = s->cpu_shares;
}

static bool isolate(struct executor_spec *x, const struct executor_launch *l, struct arena *mem)
{
	const struct executor_isolation *i = l->isolation;
	bool in_root = i != NULL;

	x->root = copy_text(mem, in_root ? l->spec->task_dir : NULL);
	x->shared = copy_text(mem, in_root ? l->spec->shared_dir : NULL);
	x->chroot_env = copy_text(mem, in_root ? i->chroot_env : NULL);
	if (in_root) {
		x->pid_private = i->pid_private;
		x->ipc_private = i->ipc_private;
		x->no_pivot_root = i->no_pivot_root;
		x->capabilities = (int64_t)i->capabilities;
	}
	return x->root != NULL && x->shared != NULL && x->chroot_env != NULL;
}

static const char *work_dir(const struct executor_launch *l)
{
	return l->work_dir != NULL && l->work_dir[0] != '\0' ? l->work_dir
	       : l->isolation != NULL			     ? "/"
							     : l->spec->task_dir;
}

static const char *user_name(const struct executor_launch *l)
{
	bool named = l->spec->user != NULL && l->spec->user[0] != '\0';

	return named ? l->spec->user : l->driver->default_user;
}

static bool fill_texts(struct errand *errand, const struct driver_host *host, const struct executor_launch *l)
{
	const struct driver_spec *s = l->spec;
	struct arena *mem = &errand->mem;
	struct executor_spec *x = &errand->spec;

	errand->program = arena_strdup(mem, host->executor);
	errand->command = copy_text(mem, l->command);
	errand->task_dir = copy_text(mem, s->task_dir);
	errand->denied_uids = copy_text(mem, l->denied_uids);
	errand->denied_gids = copy_text(mem, l->denied_gids);
	x->user = copy_text(mem, user_name(l));
	x->work_dir = copy_text(mem, work_dir(l));
	x->log_dir = copy_text(mem, s->log_dir);
	x->stdout_name = copy_text(mem, s->stdout_name);
	x->stderr_name = copy_text(mem, s->stderr_name);
	x->state_dir = copy_text(mem, s->state_dir);
	return errand->program != NULL && errand->command != NULL && errand->task_dir != NULL &&
	       errand->denied_uids != NULL && errand->denied_gids != NULL && x->user != NULL && x->work_dir != NULL &&
	       x->log_dir != NULL && x->stdout_name != NULL && x->stderr_name != NULL && x->state_dir != NULL;
}

static bool fill_errand(struct errand *errand, const struct driver_host *host, const struct executor_launch *l)
{
	const struct driver_spec *s = l->spec;
	struct arena *mem = &errand->mem;
	struct executor_spec *x = &errand->spec;

	if (!fill_texts(errand, host, l) || !name_cgroups(x, host, l, mem) || !isolate(x, l, mem)) {
		return false;
	}
	x->args = copy_list(mem, l->command, l->args, l->args_n);
	x->args_n = l->args_n + 1;
	x->env = copy_list(mem, NULL, l->env, l->env_n);
	x->env_n = l->env_n;
	x->log_max_files = s->log_max_files;
	x->log_max_file_bytes = s->log_max_file_bytes;
	x->log_disabled = s->log_disabled;
	x->set_oom_score_adj = l->set_oom_score_adj;
	x->oom_score_adj = l->oom_score_adj;
	x->files_max = host->files_max;
	if (l->limited) {
		set_limits(x, s);
	}
	x->wait_go = errand->task->base.events.ready_cb != NULL;
	errand->id.state_dir = x->state_dir;
	errand->id.cgroup = x->cgroup;
	errand->id.limit_cgroups = x->limit_cgroups;
	return x->args != NULL && x->args[0] != NULL && x->env != NULL;
}

struct driver_task *executor_start(struct driver_host *host, const struct executor_launch *launch,
				   const struct driver_events *events, void *ctx)
{
	struct executor_task *t = executor_task_make(host, launch->driver, events, ctx);

	if (t == NULL) {
		return NULL;
	}
	t->errand = errand_make(t);
	if (t->errand == NULL || !fill_errand(t->errand, host, launch)) {
		errand_free(t->errand);
		executor_task_free(t);
		return NULL;
	}
	uv_queue_work(host->loop, &t->errand->work, launch_work, launch_done);
	return &t->base;
}

static void nothing_to_do(uv_work_t *work)
{
	(void)work;
}

struct driver_task *executor_refuse(struct driver_host *host, const struct driver *driver,
				    const struct driver_error *error, const struct driver_events *events, void *ctx)
{
	struct executor_task *t = executor_task_make(host, driver, events, ctx);
	struct errand *errand = t == NULL ? NULL : errand_make(t);

	if (errand == NULL) {
		if (t != NULL) {
			executor_task_free(t);
		}
		return NULL;
	}
	errand->failed = true;
	errand->error = *error;
	t->errand = errand;
	uv_queue_work(host->loop, &errand->work, nothing_to_do, launch_done);
	return &t->base;
}
