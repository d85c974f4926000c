#include "client/executor/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/procfs.h"
#include "client/text.h"

enum { PIDS_MAX = 8192 };

static const struct tree_group no_group = {-1, -1};

void tree_init(struct tree *t)
{
	int i;

	*t = (struct tree){.all = no_group};
	for (i = 0; i < TREE_LIMITS_MAX; i++) {
		t->limits[i] = no_group;
	}
}

/* ---- making cgroups ---- */

static void close_group(struct tree_group *g)
{
	if (g->dir >= 0) {
		close(g->dir);
	}
	if (g->parent >= 0) {
		close(g->parent);
	}
	*g = no_group;
}

static int make_group(struct tree_group *g, const char *parent, const char *name)
{
	int error;

	g->parent = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->parent >= 0 && mkdirat(g->parent, name, 0755) == 0) {
		g->dir = openat(g->parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	error = g->dir < 0 ? errno : 0;
	if (error != 0) {
		close_group(g);
	}
	return error;
}

/* The parent of the first n bytes of a path in `parent`, and its last part as the name of all cgroups. */
static int split(struct tree *t, const char *path, size_t n, struct text *parent)
{
	size_t last = n;

	while (last > 0 && path[last - 1] != '/') {
		last--;
	}
	if (last == 0 || n == last || n - last > NAME_MAX || n >= TEXT_MAX) {
		return ENAMETOOLONG;
	}
	parent->n = 0;
	text_cut(parent, path, last - 1);
	memcpy(t->name, path + last, n - last);
	t->name[n - last] = '\0';
	return 0;
}

/* Also the parent, which goes with the last task in it: so a few tries are needed when others come and go. */
static int make_with_parent(struct tree_group *g, const char *parent, const char *name)
{
	int error = ENOENT;
	int tries;

	for (tries = 0; error == ENOENT && tries < 8; tries++) {
		mkdir(parent, 0755);
		error = make_group(g, parent, name);
	}
	return error;
}

static int make_limit_groups(struct tree *t, const struct executor_spec *spec)
{
	const char *at = spec->limit_cgroups;
	struct text parent;
	int error = 0;
	size_t n;
	int i;

	for (i = 0; *at != '\0' && error == 0 && i < TREE_LIMITS_MAX; i++, at += n + (at[n] == '\n')) {
		n = strcspn(at, "\n");
		error = split(t, at, n, &parent);
		if (error == 0) {
			error = make_with_parent(&t->limits[i], parent.at, t->name);
		}
	}
	return error;
}

/* ---- limits: each file where there is one, since each controller has its own ---- */

static int put_text(int dir, const char *file, const char *value)
{
	int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
	int error = fd < 0 && errno != ENOENT ? errno : 0;

	if (fd >= 0) {
		error = write(fd, value, strlen(value)) < 0 ? errno : 0;
		close(fd);
	}
	return error;
}

static int put_number(int dir, const char *file, int64_t value)
{
	struct text t = {0};

	text_num(&t, (uint64_t)value);
	return put_text(dir, file, t.at);
}

static int limit_memory(int dir, const struct executor_spec *spec)
{
	int error = 0;

	if (spec->memory_bytes > 0) {
		error = put_number(dir, "memory.max", spec->memory_bytes);
		error = error != 0 ? error : put_number(dir, "memory.limit_in_bytes", spec->memory_bytes);
		/* To swap is to be slow in place of being told. Not every kernel can forbid it. */
		put_number(dir, "memory.swap.max", 0);
		put_number(dir, "memory.swappiness", 0);
	}
	if (spec->memory_low_bytes > 0 && error == 0) {
		error = put_number(dir, "memory.low", spec->memory_low_bytes);
		error = error != 0 ? error : put_number(dir, "memory.soft_limit_in_bytes", spec->memory_low_bytes);
	}
	return error;
}

/* Shares of 2 to 262144 are weights of 1 to 10000. */
static int limit_cpu(int dir, const struct executor_spec *spec)
{
	int64_t shares = spec->cpu_shares < 2 ? 2 : spec->cpu_shares > 262144 ? 262144 : spec->cpu_shares;
	int error;

	if (spec->cpu_shares <= 0) {
		return 0;
	}
	error = put_number(dir, "cpu.shares", shares);
	return error != 0 ? error : put_number(dir, "cpu.weight", 1 + (shares - 2) * 9999 / 262142);
}

/* A cpuset of version 1 is empty at first, and takes nobody in before it has processors and memory nodes. */
static int inherit_text(const struct tree_group *g, const char *file)
{
	char value[PROC_FILE_MAX];

	return proc_read(g->parent, file, value, sizeof(value)) <= 0 ? 0 : put_text(g->dir, file, value);
}

static void fill_parent_cpuset(const struct tree_group *g, const char *file)
{
	char value[PROC_FILE_MAX];
	int above;

	if (proc_read(g->parent, file, value, sizeof(value)) > 0 && value[0] > ' ') {
		return;
	}
	above = openat(g->parent, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above >= 0) {
		if (proc_read(above, file, value, sizeof(value)) > 0) {
			put_text(g->parent, file, value);
		}
		close(above);
	}
}

static int limit_cpus(const struct tree_group *g, const struct executor_spec *spec, bool old)
{
	int error = 0;

	if (old) {
		fill_parent_cpuset(g, "cpuset.mems");
		fill_parent_cpuset(g, "cpuset.cpus");
		error = inherit_text(g, "cpuset.mems");
		error = error != 0 ? error : inherit_text(g, "cpuset.cpus");
	}
	return error != 0 || spec->cpus[0] == '\0' ? error : put_text(g->dir, "cpuset.cpus", spec->cpus);
}

int tree_limit(const struct tree_group *g, const struct executor_spec *spec, bool old)
{
	int error = limit_memory(g->dir, spec);

	if (error == 0) {
		error = limit_cpu(g->dir, spec);
	}
	return error != 0 ? error : limit_cpus(g, spec, old);
}

static bool is_limited(const struct executor_spec *spec)
{
	return spec->memory_bytes > 0 || spec->cpu_shares > 0 || spec->cpus[0] != '\0';
}

static int limit_all(struct tree *t, const struct executor_spec *spec)
{
	int error = make_limit_groups(t, spec);
	int i;

	for (i = 0; i < TREE_LIMITS_MAX && error == 0 && t->limits[i].dir >= 0; i++) {
		error = tree_limit(&t->limits[i], spec, true);
	}
	return error != 0 || t->all.dir < 0 ? error : tree_limit(&t->all, spec, false);
}

int tree_open(struct tree *t, const struct executor_spec *spec)
{
	struct text parent;
	int error = 0;

	tree_init(t);
	if (spec->cgroup[0] != '\0') {
		error = split(t, spec->cgroup, strlen(spec->cgroup), &parent);
		error = error != 0 ? error : make_group(&t->all, parent.at, t->name);
	}
	if (!is_limited(spec)) {
		return 0;
	}
	/* Where version 1 has the limits the cgroup of version 2 is a convenience here too. */
	if (error != 0 && spec->limit_cgroups[0] == '\0') {
		return error;
	}
	return limit_all(t, spec);
}

static void remove_group(struct tree_group *g, const char *name)
{
	if (g->dir >= 0) {
		unlinkat(g->parent, name, AT_REMOVEDIR);
	}
	close_group(g);
}

void tree_leave(struct tree *t)
{
	remove_group(&t->all, t->name);
}

/* Of its parent, by its path as seen from itself: that of the last task goes too. */
static void remove_parent(int parent)
{
	char path[PATH_MAX];
	struct text link = {0};
	ssize_t n;

	text_str(&link, "/proc/self/fd/");
	text_num(&link, (uint64_t)parent);
	n = readlink(link.at, path, sizeof(path) - 1);
	if (n > 0) {
		path[n] = '\0';
		rmdir(path);
	}
}

void tree_close(struct tree *t)
{
	int parent;
	int i;

	tree_leave(t);
	for (i = 0; i < TREE_LIMITS_MAX; i++) {
		parent = t->limits[i].dir < 0 ? -1 : fcntl(t->limits[i].parent, F_DUPFD_CLOEXEC, 0);
		remove_group(&t->limits[i], t->name);
		if (parent >= 0) {
			remove_parent(parent);
			close(parent);
		}
	}
}

/* ---- killing ---- */

/* The file with the PIDs of the children of one thread. */
static void children_path(struct text *out, pid_t pid, const char *thread)
{
	out->n = 0;
	text_str(out, "/proc/");
	text_num(out, (uint64_t)pid);
	text_str(out, "/task/");
	text_str(out, thread);
	text_str(out, "/children");
}

/* Children are not waited for meanwhile, so a number cannot have passed on to a stranger. */
static bool kill_one(void *ctx, pid_t pid)
{
	(void)ctx;
	kill(pid, SIGKILL);
	return true;
}

void tree_kill(const struct tree *t)
{
	struct text path;
	struct text thread = {0};
	int fd = t->all.dir >= 0 ? openat(t->all.dir, "cgroup.kill", O_WRONLY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		if (write(fd, "1", 1) != 1) {
			/* The children are killed one by one below. */
		}
		close(fd);
	}
	if (t->leader > 0) {
		kill(-t->leader, SIGKILL);
		kill(t->leader, SIGKILL);
	}
	text_num(&thread, (uint64_t)getpid());
	children_path(&path, getpid(), thread.at);
	proc_each_pid(AT_FDCWD, path.at, kill_one, NULL);
}

/* ---- usage ---- */

struct pid_list {
	uint32_t n;
	pid_t at[PIDS_MAX];
};

static bool list_pid(void *ctx, pid_t pid)
{
	struct pid_list *l = ctx;

	if (l->n < PIDS_MAX) {
		l->at[l->n++] = pid;
	}
	return l->n < PIDS_MAX;
}

/* Each thread of a process has children of its own. */
static void list_children(struct pid_list *l, pid_t pid)
{
	char piece[1024] __attribute__((aligned(8)));
	struct linux_dirent64 {
		uint64_t ino;
		int64_t off;
		unsigned short reclen;
		unsigned char type;
		char name[];
	} * e;
	struct text path = {0};
	long n;
	long at;
	int dir;

	text_str(&path, "/proc/");
	text_num(&path, (uint64_t)pid);
	text_str(&path, "/task");
	dir = open(path.at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (dir >= 0 && (n = syscall(SYS_getdents64, dir, piece, sizeof(piece))) > 0) {
		for (at = 0; at < n; at += e->reclen) {
			e = (struct linux_dirent64 *)(void *)(piece + at);
			children_path(&path, pid, e->name);
			if (e->name[0] != '.') {
				proc_each_pid(AT_FDCWD, path.at, list_pid, l);
			}
		}
	}
	if (dir >= 0) {
		close(dir);
	}
}

static void list_processes(const struct tree *t, struct pid_list *l)
{
	uint32_t i;

	l->n = 0;
	if (t->all.dir >= 0 && proc_each_pid(t->all.dir, "cgroup.procs", list_pid, l)) {
		return;
	}
	l->n = 0;
	list_children(l, getpid());
	for (i = 0; i < l->n; i++) {
		list_children(l, l->at[i]);
	}
}

static int64_t ticks_ns(uint64_t ticks)
{
	return (int64_t)ticks * (INT64_C(1000000000) / sysconf(_SC_CLK_TCK));
}

static int64_t timeval_ns(struct timeval tv)
{
	return (int64_t)tv.tv_sec * INT64_C(1000000000) + (int64_t)tv.tv_usec * 1000;
}

/* The number behind `key` and a space in a file of such lines; `otherwise` if it is not there. */
static uint64_t keyed_number(int dir, const char *file, const char *key, uint64_t otherwise)
{
	char data[PROC_FILE_MAX];
	const char *at = data;
	size_t n = strlen(key);

	if (proc_read(dir, file, data, sizeof(data)) <= 0) {
		return otherwise;
	}
	while (at != NULL) {
		if (strncmp(at, key, n) == 0 && at[n] == ' ') {
			at += n + 1;
			return text_parse_num(&at);
		}
		at = strchr(at, '\n');
		at = at == NULL ? NULL : at + 1;
	}
	return otherwise;
}

/* The live ones, with the children that they waited for, and those that ended as ours. */
static void sum_processes(struct pid_list *l, struct executor_report *out)
{
	struct proc_stat s;
	struct rusage ended;
	uint32_t i;

	for (i = 0; i < l->n; i++) {
		if (proc_stat(l->at[i], &s) == 0) {
			out->cpu_user_ns += ticks_ns(s.user_ticks);
			out->cpu_system_ns += ticks_ns(s.system_ticks);
			out->rss_bytes += (int64_t)s.rss_pages * sysconf(_SC_PAGESIZE);
			out->pids++;
		}
	}
	if (getrusage(RUSAGE_CHILDREN, &ended) == 0) {
		out->cpu_user_ns += timeval_ns(ended.ru_utime);
		out->cpu_system_ns += timeval_ns(ended.ru_stime);
	}
}

static void sum_all_group(const struct tree *t, struct executor_report *out)
{
	char text[32];
	const char *at = text;

	uint64_t user_us = keyed_number(t->all.dir, "cpu.stat", "user_usec", (uint64_t)out->cpu_user_ns / 1000);
	uint64_t system_us = keyed_number(t->all.dir, "cpu.stat", "system_usec", (uint64_t)out->cpu_system_ns / 1000);

	out->cpu_user_ns = (int64_t)user_us * 1000;
	out->cpu_system_ns = (int64_t)system_us * 1000;
	out->rss_bytes = (int64_t)keyed_number(t->all.dir, "memory.stat", "anon", (uint64_t)out->rss_bytes);
	out->cache_bytes = (int64_t)keyed_number(t->all.dir, "memory.stat", "file", 0);
	if (proc_read(t->all.dir, "memory.swap.current", text, sizeof(text)) > 0) {
		out->swap_bytes = (int64_t)text_parse_num(&at);
	}
}

/* Only that of memory has the file. */
static void sum_limit_group(int dir, struct executor_report *out)
{
	out->rss_bytes = (int64_t)keyed_number(dir, "memory.stat", "rss", (uint64_t)out->rss_bytes);
	out->cache_bytes = (int64_t)keyed_number(dir, "memory.stat", "cache", (uint64_t)out->cache_bytes);
	out->swap_bytes = (int64_t)keyed_number(dir, "memory.stat", "swap", (uint64_t)out->swap_bytes);
}

void tree_usage(const struct tree *t, struct executor_report *out)
{
	struct pid_list l;
	int i;

	list_processes(t, &l);
	sum_processes(&l, out);
	if (t->all.dir >= 0) {
		sum_all_group(t, out);
	}
	for (i = 0; i < TREE_LIMITS_MAX && t->limits[i].dir >= 0; i++) {
		sum_limit_group(t->limits[i].dir, out);
	}
}

bool tree_oom_killed(const struct tree *t)
{
	bool killed = t->all.dir >= 0 && keyed_number(t->all.dir, "memory.events", "oom_kill", 0) > 0;
	int i;

	for (i = 0; i < TREE_LIMITS_MAX && t->limits[i].dir >= 0; i++) {
		killed |= keyed_number(t->limits[i].dir, "memory.oom_control", "oom_kill", 0) > 0;
	}
	return killed;
}
