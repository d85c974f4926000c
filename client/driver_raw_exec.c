/** raw_exec: a command on the host, as the agent's own user or another, without isolation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/driver_config.h"
#include "client/driver_env.h"
#include "client/executor.h"
#include "proto/error.h"

enum { OOM_SCORE_MAX = 1000 };

#define RAW_EXEC_CONFIG_FIELDS(X, T)                                                                                   \
	X(T, STR, command, "command", .required = true)                                                                \
	X(T, STRS, args, "args")                                                                                       \
	X(T, STR, work_dir, "work_dir")                                                                                \
	X(T, OPTINT, oom_score_adj, "oom_score_adj")                                                                   \
	X(T, STR, cgroup_v2_override, "cgroup_v2_override")                                                            \
	X(T, MAP, cgroup_v1_override, "cgroup_v1_override")                                                            \
	X(T, STRS, denied_envvars, "denied_envvars")

OBJECT_DECLARE(raw_exec_config, RAW_EXEC_CONFIG_FIELDS);
OBJECT_DEFINE(raw_exec_config, RAW_EXEC_CONFIG_FIELDS);

static int configure(struct driver_host *host, const char *config, struct driver_error *error)
{
	struct raw_exec_plugin settings;
	int rv = driver_config_decode(&raw_exec_plugin_type, &settings, config, &host->mem, error);

	if (rv == 0) {
		rv = driver_check_ranges(settings.denied_host_uids, settings.denied_host_gids, error);
	}
	if (rv == 0) {
		host->raw_exec = settings;
	}
	return rv;
}

static bool enabled(const struct driver_host *host)
{
	return host->raw_exec.enabled.set ? host->raw_exec.enabled.at != 0 : host->dev;
}

static void fingerprint(struct driver_host *host, struct arena *mem, struct driver_info *out)
{
	executor_fingerprint(host, "driver.raw_exec", mem, out);
}

static int check_cgroups(const struct raw_exec_config *c, struct driver_error *error)
{
	uint32_t i;

	if (c->cgroup_v2_override[0] != '\0' && c->cgroup_v1_override.n > 0) {
		return driver_fault(error, "only one of cgroup_v1_override and cgroup_v2_override may be set");
	}
	if (strpbrk(c->cgroup_v2_override, "\n") != NULL || strstr(c->cgroup_v2_override, "..") != NULL) {
		return driver_fault(error, "cgroup_v2_override is not a path below /sys/fs/cgroup");
	}
	for (i = 0; i < c->cgroup_v1_override.n; i++) {
		const struct pair *p = &c->cgroup_v1_override.at[i];

		if (strpbrk(p->value, "\n") != NULL || strstr(p->value, "..") != NULL ||
		    strpbrk(p->key, "/\n.") != NULL) {
			return driver_fault(error, "cgroup_v1_override is not a path below /sys/fs/cgroup/%s", p->key);
		}
	}
	return 0;
}

static int read_config(const char *text, struct raw_exec_config *out, struct arena *mem, struct driver_error *error)
{
	int rv = driver_config_decode(&raw_exec_config_type, out, text, mem, error);

	if (rv != 0) {
		return rv;
	}
	if (out->work_dir[0] != '\0' && out->work_dir[0] != '/') {
		return driver_fault(error, "work_dir must be an absolute path: %s", out->work_dir);
	}
	if (out->oom_score_adj.set && (out->oom_score_adj.at < 0 || out->oom_score_adj.at > OOM_SCORE_MAX)) {
		return driver_fault(error, "oom_score_adj must be between 0 and %d", OOM_SCORE_MAX);
	}
	return check_cgroups(out, error);
}

static int validate(const char *text, struct driver_error *error)
{
	struct raw_exec_config c;
	struct arena mem = {0};
	int rv = read_config(text, &c, &mem, error);

	arena_close(&mem);
	return rv;
}

/* Overrides are paths below the mount of cgroups, or, in the old version, below that of a controller. */
static const char *cgroups_given(const struct raw_exec_config *c, struct arena *mem)
{
	static const char mount[] = "/sys/fs/cgroup/";
	bool absolute = strncmp(c->cgroup_v2_override, mount, strlen(mount)) == 0;
	const char *all = arena_printf(mem, "%s%s", absolute || c->cgroup_v2_override[0] == '\0' ? "" : mount,
				       c->cgroup_v2_override);
	uint32_t i;

	for (i = 0; i < c->cgroup_v1_override.n && all != NULL; i++) {
		all = arena_printf(mem, "%s%s%s/%s\n", all, mount, c->cgroup_v1_override.at[i].key,
				   c->cgroup_v1_override.at[i].value);
	}
	return all;
}

static struct driver_task *start_config(struct driver_host *host, const struct driver_spec *spec,
					const struct raw_exec_config *c, struct arena *mem,
					const struct driver_events *events, void *ctx)
{
	const struct strs denied[] = {host->raw_exec.denied_envvars, c->denied_envvars};
	struct executor_launch l = {.driver = &driver_raw_exec,
				    .spec = spec,
				    .command = c->command,
				    .args = c->args.at,
				    .args_n = c->args.n,
				    .work_dir = c->work_dir,
				    .cgroups_given = cgroups_given(c, mem),
				    .no_cgroup = host->raw_exec.no_cgroups,
				    .denied_uids = host->raw_exec.denied_host_uids,
				    .denied_gids = host->raw_exec.denied_host_gids,
				    .set_oom_score_adj = c->oom_score_adj.set,
				    .oom_score_adj = c->oom_score_adj.at};

	l.env = driver_env(spec, denied, 2, mem, &l.env_n);
	return l.env == NULL || l.cgroups_given == NULL ? NULL : executor_start(host, &l, events, ctx);
}

static struct driver_task *start(struct driver_host *host, const struct driver_spec *spec,
				 const struct driver_events *events, void *ctx)
{
	struct raw_exec_config c;
	struct driver_error error;
	struct arena mem = {0};
	struct driver_task *task;
	int rv = read_config(spec->config, &c, &mem, &error);

	if (rv == 0 && !enabled(host)) {
		driver_fault(&error, "the raw_exec driver is disabled on this node");
		rv = ERR_INVALID;
	}
	if (rv == ERR_NOMEM) {
		task = NULL;
	} else if (rv != 0) {
		task = executor_refuse(host, &driver_raw_exec, &error, events, ctx);
	} else {
		task = start_config(host, spec, &c, &mem, events, ctx);
	}
	arena_close(&mem);
	return task;
}

static struct driver_task *recover(struct driver_host *host, const void *state, size_t len,
				   const struct driver_events *events, void *ctx)
{
	return executor_recover(host, &driver_raw_exec, state, len, events, ctx);
}

const struct driver driver_raw_exec = {
	.name = "raw_exec",
	.capabilities = DRIVER_SEND_SIGNALS | DRIVER_EXEC,
	.kill_signal = "SIGINT",
	.configure = configure,
	.enabled = enabled,
	.fingerprint = fingerprint,
	.validate = validate,
	.start = start,
	.recover = recover,
	.save = executor_save,
	.go = executor_go,
	.kill = executor_kill,
	.signal = executor_signal,
	.stats = executor_stats,
	.command = executor_command,
	.command_kill = executor_command_kill,
	.destroy = executor_destroy,
	.detach = executor_detach,
};
