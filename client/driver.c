#include "client/driver.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <limits.h>

#include "client/capabilities.h"
#include "client/driver_command.h"
#include "client/driver_host.h"
#include "client/executor.h"
#include "client/procfs.h"
#include "proto/error.h"

enum { REAP_MS = 20 };

OBJECT_DEFINE(raw_exec_plugin, RAW_EXEC_PLUGIN_FIELDS);
OBJECT_DEFINE(mock_plugin, MOCK_PLUGIN_FIELDS);
OBJECT_DEFINE(exec_plugin, EXEC_PLUGIN_FIELDS);
OBJECT_DEFINE(docker_dangling, DOCKER_DANGLING_FIELDS);
OBJECT_DEFINE(docker_logging, DOCKER_LOGGING_FIELDS);
OBJECT_DEFINE(docker_tls, DOCKER_TLS_FIELDS);
OBJECT_DEFINE(docker_auth_file, DOCKER_AUTH_FILE_FIELDS);
OBJECT_DEFINE(docker_volumes, DOCKER_VOLUMES_FIELDS);
OBJECT_DEFINE(docker_gc, DOCKER_GC_FIELDS);
OBJECT_DEFINE(docker_plugin, DOCKER_PLUGIN_FIELDS);

/* ---- the list of drivers: to add one is to add its file and a line here ---- */

static const struct driver *const drivers[] = {
	&driver_docker,
	&driver_exec,
	&driver_mock,
	&driver_raw_exec,
};

const struct driver *driver_at(unsigned i)
{
	return i < sizeof(drivers) / sizeof(drivers[0]) ? drivers[i] : NULL;
}

const struct driver *driver_find(const char *name)
{
	const struct driver *d;
	unsigned i;

	for (i = 0; (d = driver_at(i)) != NULL; i++) {
		if (strcmp(d->name, name) == 0) {
			return d;
		}
	}
	return NULL;
}

/* ---- signals ---- */

/* Name, and what the API calls it where it does not tell the name. */
/* clang-format off */
#define SIGNALS(X)                                                                                                    \
	X(HUP, "hangup") X(INT, "interrupt") X(QUIT, "quit") X(ILL, "illegal instruction")                            \
	X(TRAP, "trace/breakpoint trap") X(ABRT, "aborted") X(BUS, "bus error")                                       \
	X(FPE, "floating point exception") X(KILL, "killed") X(USR1, "user defined signal 1")                         \
	X(SEGV, "segmentation fault") X(USR2, "user defined signal 2") X(PIPE, "broken pipe")                         \
	X(ALRM, "alarm clock") X(TERM, "terminated") X(STKFLT, "stack fault") X(CHLD, "child exited")                 \
	X(CONT, "continued") X(STOP, "stopped (signal)") X(TSTP, "stopped") X(TTIN, "stopped (tty input)")            \
	X(TTOU, "stopped (tty output)") X(URG, "urgent I/O condition") X(XCPU, "CPU time limit exceeded")             \
	X(XFSZ, "file size limit exceeded") X(VTALRM, "virtual timer expired")                                        \
	X(PROF, "profiling timer expired") X(WINCH, "window changed") X(IO, "I/O possible")                           \
	X(PWR, "power failure") X(SYS, "bad system call") X(IOT, "aborted")
/* clang-format on */

static const struct {
	const char *name;
	int number;
	const char *phrase;
} signals[] = {
#define X(name, phrase) {"SIG" #name, SIG##name, phrase},
	SIGNALS(X)
#undef X
};

enum { SIGNALS_N = sizeof(signals) / sizeof(signals[0]) };

/* Its place among the signals; SIGNALS_N if there is none. */
static unsigned find_signal(const char *name)
{
	size_t skip = strncasecmp(name, "SIG", 3) == 0 ? 0 : 3;
	unsigned i = 0;

	while (i < SIGNALS_N && strcasecmp(signals[i].name + skip, name) != 0) {
		i++;
	}
	return i;
}

int driver_signal_number(const char *name)
{
	unsigned i = find_signal(name);

	return i < SIGNALS_N ? signals[i].number : 0;
}

const char *driver_signal_phrase(const char *name)
{
	unsigned i = find_signal(name);

	return i < SIGNALS_N ? signals[i].phrase : name;
}

const char *driver_signal_name(int number)
{
	unsigned i;

	for (i = 0; i < SIGNALS_N; i++) {
		if (signals[i].number == number) {
			return signals[i].name;
		}
	}
	return "";
}

/* ---- where the executor is ---- */

static char *beside(const char *name)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (n <= 0) {
		return NULL;
	}
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL || (size_t)(slash - path) + 1 + strlen(name) + 1 > sizeof(path)) {
		return NULL;
	}
	strcpy(slash + 1, name);
	return access(path, X_OK) == 0 ? strdup(path) : NULL;
}

static char *find_executor(const char *configured)
{
	const char *env = getenv("DROVER_EXECUTOR");
	char *path;

	if (configured != NULL || (env != NULL && env[0] != '\0')) {
		return strdup(configured != NULL ? configured : env);
	}
	path = beside("drover-executor");
	return path != NULL ? path : strdup(DROVER_LIBEXECDIR "/drover-executor");
}

/* ---- what tasks see of the host ---- */

static bool is_line(const char *s)
{
	return s[0] == '/' && strchr(s, '\n') == NULL && strlen(s) < PATH_MAX;
}

/* What is no path is left out: the configuration's reader has told of it. */
static const char *chroot_lines(const struct map *env, struct arena *mem)
{
	const char *all = "";
	uint32_t i;

	for (i = 0; i < env->n && all != NULL; i++) {
		if (is_line(env->at[i].key) && is_line(env->at[i].value)) {
			all = arena_printf(mem, "%s%s\n%s\n", all, env->at[i].key, env->at[i].value);
		}
	}
	return all;
}

/* ---- the host ---- */

static void free_host(struct driver_host *host)
{
	cgroups_close(&host->cgroups);
	arena_close(&host->mem);
	free(host->executor);
	free(host);
}

struct driver_host *driver_host_open(const struct driver_host_config *config)
{
	struct driver_host *host = calloc(1, sizeof(*host));

	if (host == NULL) {
		return NULL;
	}
	host->loop = config->loop;
	host->dev = config->dev;
	host->files_max = config->files_max;
	list_init(&host->tasks);
	list_init(&host->ended);
	object_init(&raw_exec_plugin_type, &host->raw_exec);
	object_init(&mock_plugin_type, &host->mock);
	object_init(&exec_plugin_type, &host->exec);
	object_init(&docker_plugin_type, &host->docker);
	host->docker_socket = "/var/run/docker.sock";
	host->exec_allowed = host->docker_allowed = capabilities_default();
	host->executor = find_executor(config->executor);
	cgroups_find(&host->cgroups, config->cgroup_parent);
	if (config->chroot_env != NULL && config->chroot_env->n > 0) {
		host->chroot_env = chroot_lines(config->chroot_env, &host->mem);
	}
	if (host->executor == NULL || uv_timer_init(host->loop, &host->reaper) != 0) {
		free_host(host);
		return NULL;
	}
	uv_unref((uv_handle_t *)&host->reaper);
	host->holders = 1;
	return host;
}

int driver_host_plugin(struct driver_host *host, const char *name, const char *config, struct driver_error *error)
{
	const struct driver *d = driver_find(name);

	if (d == NULL) {
		*error = (struct driver_error){0};
		snprintf(error->text, sizeof(error->text), "no driver is named \"%s\"", name);
		return ERR_NOTFOUND;
	}
	return d->configure(host, config, error);
}

bool driver_enabled(const struct driver_host *host, const struct driver *driver)
{
	return driver->enabled(host);
}

void driver_fingerprint(struct driver_host *host, const struct driver *driver, struct arena *mem,
			struct driver_info *out)
{
	object_init(&driver_info_type, out);
	if (!driver->enabled(host)) {
		out->health_description = "disabled";
		return;
	}
	out->detected = true;
	driver->fingerprint(host, mem, out);
}

void driver_host_left(struct driver_host *host)
{
	assert(host->holders > 0);
	if (--host->holders > 0 || !host->closing) {
		return;
	}
	if (host->closed_cb != NULL) {
		host->closed_cb(host->closed_ctx);
	}
	free_host(host);
}

static void reaper_closed(uv_handle_t *handle)
{
	driver_host_left(CONTAINER_OF(handle, struct driver_host, reaper));
}

void driver_host_close(struct driver_host *host, void (*closed_cb)(void *ctx), void *ctx)
{
	host->closing = true;
	host->closed_cb = closed_cb;
	host->closed_ctx = ctx;
	executor_abandon_all(host);
	LIST_EACH (e, &host->ended) {
		free(CONTAINER_OF(e, struct driver_child, link));
	}
	uv_close((uv_handle_t *)&host->reaper, reaper_closed);
}

/* ---- children that have ended ---- */

static void reap_all(uv_timer_t *timer)
{
	struct driver_host *host = CONTAINER_OF(timer, struct driver_host, reaper);

	LIST_EACH (e, &host->ended) {
		struct driver_child *c = CONTAINER_OF(e, struct driver_child, link);

		if (waitpid(c->pid, NULL, WNOHANG) != 0) {
			list_remove(&c->link);
			free(c);
		}
	}
	if (list_empty(&host->ended)) {
		uv_timer_stop(timer);
	}
}

/* An executor closes its socket a moment before it can be waited for. Were there no memory to remember it, it would
 * stay a zombie for as long as we live, which is harmless. */
void driver_host_reap(struct driver_host *host, pid_t pid)
{
	struct driver_child *c;

	if (pid <= 0 || waitpid(pid, NULL, WNOHANG) != 0) {
		return;
	}
	c = host->closing ? NULL : malloc(sizeof(*c));
	if (c != NULL) {
		c->pid = pid;
		list_insert(&host->ended, &c->link);
		uv_timer_start(&host->reaper, reap_all, REAP_MS, REAP_MS);
	}
}

/* ---- tasks ---- */

static struct driver_task *begun(struct driver_task *task)
{
	if (task != NULL) {
		list_init(&task->commands);
	}
	return task;
}

struct driver_task *driver_start(struct driver_host *host, const struct driver *driver, const struct driver_spec *spec,
				 const struct driver_events *events, void *ctx)
{
	assert(!host->closing);
	return begun(driver->start(host, spec, events, ctx));
}

struct driver_task *driver_recover(struct driver_host *host, const struct driver *driver, const void *state, size_t len,
				   const struct driver_events *events, void *ctx)
{
	struct driver_task *task;

	assert(!host->closing);
	task = begun(driver->recover(host, state, len, events, ctx));
	if (task != NULL) {
		task->findable = true;
	}
	return task;
}

void driver_save(const struct driver_task *task, struct buf *out)
{
	assert(task->state == DRIVER_READY || task->state == DRIVER_RUNNING);
	task->driver->save(task, out);
}

void driver_go(struct driver_task *task)
{
	assert(task->state == DRIVER_READY && !task->findable);
	task->findable = true;
	task->driver->go(task);
}

int driver_kill(struct driver_task *task, const char *signal, int64_t timeout_ns)
{
	int number = driver_signal_number(signal == NULL || signal[0] == '\0' ? task->driver->kill_signal : signal);

	if (number == 0) {
		return ERR_INVALID;
	}
	if (task->state != DRIVER_EXITED) {
		task->driver->kill(task, number, timeout_ns);
	}
	return 0;
}

int driver_signal(struct driver_task *task, const char *signal, driver_signal_cb cb, void *ctx)
{
	int number = driver_signal_number(signal);

	if (!(task->driver->capabilities & DRIVER_SEND_SIGNALS)) {
		return ERR_UNSUPPORTED;
	}
	if (number == 0) {
		return ERR_INVALID;
	}
	return task->state != DRIVER_RUNNING ? ERR_CLOSED : task->driver->signal(task, number, cb, ctx);
}

int driver_stats(struct driver_task *task, driver_stats_cb cb, void *ctx)
{
	return task->state != DRIVER_RUNNING ? ERR_CLOSED : task->driver->stats(task, cb, ctx);
}

void driver_destroy(struct driver_task *task)
{
	driver_commands_lose(task);
	task->driver->destroy(task);
}

void driver_detach(struct driver_task *task)
{
	driver_commands_lose(task);
	if (task->state == DRIVER_RUNNING || (task->findable && task->state != DRIVER_EXITED)) {
		task->driver->detach(task);
	} else {
		task->driver->destroy(task);
	}
}

int driver_sweep(const char *state_dir)
{
	return executor_sweep(state_dir);
}
