#include "client/executor/tree.h"

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

void tree_open(struct tree *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct text parent = {0};

	*t = (struct tree){.cgroup = -1, .cgroup_dir = -1};
	if (slash == NULL || strlen(slash + 1) > NAME_MAX) {
		return;
	}
	text_str(&parent, path);
	parent.at[slash - path] = '\0';
	memcpy(t->cgroup_name, slash + 1, strlen(slash + 1) + 1);
	t->cgroup_dir = open(parent.at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->cgroup_dir < 0 || mkdirat(t->cgroup_dir, t->cgroup_name, 0755) != 0) {
		return;
	}
	t->cgroup = openat(t->cgroup_dir, t->cgroup_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void tree_close(struct tree *t)
{
	if (t->cgroup >= 0) {
		unlinkat(t->cgroup_dir, t->cgroup_name, AT_REMOVEDIR);
		close(t->cgroup);
	}
	if (t->cgroup_dir >= 0) {
		close(t->cgroup_dir);
	}
	t->cgroup = -1;
	t->cgroup_dir = -1;
}

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
	int fd = t->cgroup >= 0 ? openat(t->cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC) : -1;

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
	if (t->cgroup >= 0 && proc_each_pid(t->cgroup, "cgroup.procs", list_pid, l)) {
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

static void sum_cgroup(const struct tree *t, struct executor_report *out)
{
	out->cpu_user_ns =
		(int64_t)keyed_number(t->cgroup, "cpu.stat", "user_usec", (uint64_t)out->cpu_user_ns / 1000) * 1000;
	out->cpu_system_ns =
		(int64_t)keyed_number(t->cgroup, "cpu.stat", "system_usec", (uint64_t)out->cpu_system_ns / 1000) * 1000;
	out->rss_bytes = (int64_t)keyed_number(t->cgroup, "memory.stat", "anon", (uint64_t)out->rss_bytes);
	out->cache_bytes = (int64_t)keyed_number(t->cgroup, "memory.stat", "file", 0);
}

void tree_usage(const struct tree *t, struct executor_report *out)
{
	struct pid_list l;
	char text[32];
	const char *at = text;

	list_processes(t, &l);
	sum_processes(&l, out);
	if (t->cgroup >= 0) {
		sum_cgroup(t, out);
		if (proc_read(t->cgroup, "memory.swap.current", text, sizeof(text)) > 0) {
			out->swap_bytes = (int64_t)text_parse_num(&at);
		}
	}
}

bool tree_oom_killed(const struct tree *t)
{
	return t->cgroup >= 0 && keyed_number(t->cgroup, "memory.events", "oom_kill", 0) > 0;
}
