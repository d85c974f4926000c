/** exec: a command in a root directory and in namespaces of its own, within the resources that it was given. */
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/capabilities.h"
#include "client/driver_config.h"
#include "client/driver_env.h"
#include "client/executor.h"
#include "proto/error.h"

#define EXEC_CONFIG_FIELDS(X, T)                                                                                       \
	X(T, STR, command, "command", .required = true)                                                                \
	X(T, STRS, args, "args")                                                                                       \
	X(T, STR, work_dir, "work_dir")                                                                                \
	X(T, STR, pid_mode, "pid_mode")                                                                                \
	X(T, STR, ipc_mode, "ipc_mode")                                                                                \
	X(T, STRS, cap_add, "cap_add")                                                                                 \
	X(T, STRS, cap_drop, "cap_drop")

OBJECT_DECLARE(exec_config, EXEC_CONFIG_FIELDS);
OBJECT_DEFINE(exec_config, EXEC_CONFIG_FIELDS);

enum { PROBE_STACK = 16384 };

/* What tasks see of the host where the client's chroot_env says nothing else. */
static const char default_chroot_env[] = "/bin\n/bin\n"
					 "/etc\n/etc\n"
					 "/lib\n/lib\n"
					 "/lib32\n/lib32\n"
					 "/lib64\n/lib64\n"
					 "/run/resolvconf\n/run/resolvconf\n"
					 "/run/systemd/resolve\n/run/systemd/resolve\n"
					 "/sbin\n/sbin\n"
					 "/usr\n/usr\n";

/* ---- settings ---- */

static bool is_mode(const char *mode)
{
	return strcmp(mode, "private") == 0 || strcmp(mode, "host") == 0;
}

static int check_mode(const char *key, const char *mode, struct driver_error *error)
{
	return is_mode(mode) ? 0
			     : driver_fault(error, "%s must be \"private\" or \"host\", got \"%s\"", key, mode);
}

static int check_settings(const struct exec_plugin *s, uint64_t *allowed, struct driver_error *error)
{
	int rv = check_mode("default_pid_mode", s->default_pid_mode, error);

	*allowed = capabilities_default();
	if (rv == 0) {
		rv = check_mode("default_ipc_mode", s->default_ipc_mode, error);
	}
	if (rv == 0) {
		rv = driver_check_ranges(s->denied_host_uids, s->denied_host_gids, error);
	}
	return rv == 0 && s->allow_caps.n > 0 ? driver_parse_capabilities("allow_caps", &s->allow_caps, allowed, error) : rv;
}

static int configure(struct driver_host *host, const char *config, struct driver_error *error)
{
	struct exec_plugin settings;
	uint64_t allowed;
	int rv = driver_config_decode(&exec_plugin_type, &settings, config, &host->mem, error);

	if (rv == 0) {
		rv = check_settings(&settings, &allowed, error);
	}
	if (rv == 0) {
		host->exec = settings;
		host->exec_allowed = allowed;
	}
	return rv;
}

static bool enabled(const struct driver_host *host)
{
	(void)host;
	return true;
}

/* ---- whether the machine can ---- */

static int probe_child(void *ctx)
{
	(void)ctx;
	return 0;
}

/* A child in new namespaces, which ends at once: limits of containers and filters of system calls have many forms. */
static bool can_unshare(void)
{
	char *stack = malloc(PROBE_STACK);
	int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_VM | CLONE_VFORK | SIGCHLD;
	pid_t pid = stack == NULL ? -1 : clone(probe_child, stack + PROBE_STACK, flags, NULL);

	if (pid > 0) {
		waitpid(pid, NULL, 0);
	}
	free(stack);
	return pid > 0;
}

/* The youngest of the calls that a root is made with. */
static bool can_mount(void)
{
	int fd = open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	bool ok = fd >= 0 && mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0;

	if (fd >= 0) {
		close(fd);
	}
	return ok;
}

static const char *find_lack(const struct driver_host *host)
{
	if (geteuid() != 0) {
		return "Driver must run as root";
	}
	if (!host->cgroups.limits_memory || !host->cgroups.limits_cpu) {
		return !host->cgroups.limits_memory ? "the memory controller of cgroups is not available"
						    : "the cpu controller of cgroups is not available";
	}
	if (!can_unshare()) {
		return "mount, PID and IPC namespaces cannot be made";
	}
	return can_mount() ? "" : "mounts cannot be made: needs Linux 5.12 or newer, and the right to";
}

static const char *lack(struct driver_host *host)
{
	if (host->exec_lacks == NULL) {
		host->exec_lacks = find_lack(host);
	}
	return host->exec_lacks;
}

static void fingerprint(struct driver_host *host, struct arena *mem, struct driver_info *out)
{
	if (lack(host)[0] != '\0') {
		out->detected = false;
		out->health_description = lack(host);
		return;
	}
	executor_fingerprint(host, "driver.exec", mem, out);
}

/* ---- a task's config ---- */

static int check_config(const struct exec_config *c, struct driver_error *error)
{
	uint64_t set;
	int rv = 0;

	if (c->work_dir[0] != '\0' && c->work_dir[0] != '/') {
		return driver_fault(error, "work_dir must be an absolute path: %s", c->work_dir);
	}
	if (c->pid_mode[0] != '\0') {
		rv = check_mode("pid_mode", c->pid_mode, error);
	}
	if (rv == 0 && c->ipc_mode[0] != '\0') {
		rv = check_mode("ipc_mode", c->ipc_mode, error);
	}
	if (rv == 0) {
		rv = driver_parse_capabilities("cap_add", &c->cap_add, &set, error);
	}
	return rv != 0 ? rv : driver_parse_capabilities("cap_drop", &c->cap_drop, &set, error);
}

static int read_config(const char *text, struct exec_config *out, struct arena *mem, struct driver_error *error)
{
	int rv = driver_config_decode(&exec_config_type, out, text, mem, error);

	return rv != 0 ? rv : check_config(out, error);
}

static int validate(const char *text, struct driver_error *error)
{
	struct exec_config c;
	struct arena mem = {0};
	int rv = read_config(text, &c, &mem, error);

	arena_close(&mem);
	return rv;
}

/* ---- starting ---- */

static bool is_private(const char *mode, const char *otherwise)
{
	return strcmp(mode[0] != '\0' ? mode : otherwise, "private") == 0;
}

static struct driver_task *start_config(struct driver_host *host, const struct driver_spec *spec,
					const struct exec_config *c, uint64_t capabilities, struct arena *mem,
					const struct driver_events *events, void *ctx)
{
	struct executor_isolation isolation = {
		.chroot_env = host->chroot_env != NULL ? host->chroot_env : default_chroot_env,
		.pid_private = is_private(c->pid_mode, host->exec.default_pid_mode),
		.ipc_private = is_private(c->ipc_mode, host->exec.default_ipc_mode),
		.no_pivot_root = host->exec.no_pivot_root,
		.capabilities = capabilities};
	struct executor_launch l = {.driver = &driver_exec,
				    .spec = spec,
				    .command = c->command,
				    .args = c->args.at,
				    .args_n = c->args.n,
				    .work_dir = c->work_dir,
				    .denied_uids = host->exec.denied_host_uids,
				    .denied_gids = host->exec.denied_host_gids,
				    .isolation = &isolation,
				    .limited = true};

	l.env = driver_env(spec, NULL, 0, mem, &l.env_n);
	return l.env == NULL ? NULL : executor_start(host, &l, events, ctx);
}

static struct driver_task *start(struct driver_host *host, const struct driver_spec *spec,
				 const struct driver_events *events, void *ctx)
{
	struct exec_config c;
	struct driver_error error;
	struct arena mem = {0};
	struct driver_task *task;
	uint64_t capabilities = 0;
	int rv = read_config(spec->config, &c, &mem, &error);

	if (rv == 0 && lack(host)[0] != '\0') {
		rv = driver_fault(&error, "the exec driver cannot be used on this node: %s", lack(host));
	}
	if (rv == 0) {
		rv = driver_capabilities(host->exec_allowed, &c.cap_add, &c.cap_drop, &capabilities, &error);
	}
	if (rv == ERR_NOMEM) {
		task = NULL;
	} else if (rv != 0) {
		task = executor_refuse(host, &driver_exec, &error, events, ctx);
	} else {
		task = start_config(host, spec, &c, capabilities, &mem, events, ctx);
	}
	arena_close(&mem);
	return task;
}

static struct driver_task *recover(struct driver_host *host, const void *state, size_t len,
				   const struct driver_events *events, void *ctx)
{
	return executor_recover(host, &driver_exec, state, len, events, ctx);
}

const struct driver driver_exec = {
	.name = "exec",
	.capabilities = DRIVER_SEND_SIGNALS | DRIVER_EXEC | DRIVER_ROOT,
	.kill_signal = "SIGINT",
	.default_user = "nobody",
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
