#include "client/cgroups.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "client/procfs.h"

#define MOUNTS "/sys/fs/cgroup"

enum { OLD_MEMORY, OLD_CPU, OLD_CPUSET };

static const char *const old_names[CGROUPS_OLD_MAX] = {"memory", "cpu", "cpuset"};

static bool is_mount(const char *path, unsigned long magic)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (unsigned long)fs.f_type == magic;
}

/* The word "" is that of an empty list. */
static bool has_word(const char *list, size_t n, const char *word)
{
	size_t len = strlen(word);
	size_t at;
	size_t end;

	for (at = 0; at < n; at = end + 1) {
		for (end = at; end < n && strchr(", \n", list[end]) == NULL; end++) {
		}
		if (end - at == len && memcmp(list + at, word, len) == 0) {
			return true;
		}
	}
	return n == 0 && len == 0;
}

/* The agent's own cgroup in the hierarchy of a controller, "" for version 2: a line "4:memory:/path" each. */
static void own_cgroup(const char *controller, char *out, size_t size)
{
	char text[PROC_FILE_MAX];
	const char *line = proc_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) > 0 ? text : "";
	const char *list;
	const char *path;
	bool is_it;

	out[0] = '\0';
	for (; line[0] != '\0'; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL)) {
		list = line + strcspn(line, ":");
		path = list[0] == '\0' ? list : list + 1 + strcspn(list + 1, ":");
		is_it = path[0] == ':' && has_word(list + 1, (size_t)(path - list - 1), controller);
		if (is_it) {
			snprintf(out, size, "%.*s", (int)strcspn(path + 1, "\n"), path + 1);
			return;
		}
	}
}

static char *join(const char *mount, const char *below, const char *name)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s%s/%s", mount, strcmp(below, "/") == 0 ? "" : below, name);

	return n < 0 || n >= (int)sizeof(path) ? NULL : strdup(path);
}

/* ---- version 2 ---- */

static char *try_cgroup(const char *mount, const char *below, const char *name)
{
	char *path = join(mount, below, name);

	if (path != NULL) {
		mkdir(path, 0755);
		if (access(path, W_OK) != 0) {
			free(path);
			path = NULL;
		}
	}
	return path;
}

static void enable(const char *dir, const char *controller)
{
	char path[PATH_MAX];
	int fd = -1;

	if (snprintf(path, sizeof(path), "%s/cgroup.subtree_control", dir) < (int)sizeof(path)) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
	}
	if (fd >= 0) {
		dprintf(fd, "+%s", controller);
		close(fd);
	}
}

static bool is_enabled(const char *dir, const char *controller)
{
	char path[PATH_MAX];
	char text[PROC_FILE_MAX];
	ssize_t n = -1;

	if (snprintf(path, sizeof(path), "%s/cgroup.subtree_control", dir) < (int)sizeof(path)) {
		n = proc_read(AT_FDCWD, path, text, sizeof(text));
	}
	return n > 0 && has_word(text, (size_t)n, controller);
}

static void enable_all(struct cgroups *c, const char *mount)
{
	int i;

	for (i = 0; i < CGROUPS_OLD_MAX; i++) {
		enable(mount, old_names[i]);
		enable(c->all, old_names[i]);
	}
	c->limits_memory = is_enabled(c->all, "memory");
	c->limits_cpu = is_enabled(c->all, "cpu");
}

static void find_new(struct cgroups *c, const char *name)
{
	static const char *const mounts[] = {MOUNTS, MOUNTS "/unified"};
	char own[PROC_FILE_MAX];
	unsigned i = 0;

	while (i < 2 && !is_mount(mounts[i], CGROUP2_SUPER_MAGIC)) {
		i++;
	}
	if (i == 2) {
		return;
	}
	c->all = try_cgroup(mounts[i], "", name);
	if (c->all == NULL) {
		own_cgroup("", own, sizeof(own)); /* Where even an ordinary user may make some, if it was delegated. */
		c->all = own[0] == '\0' ? NULL : try_cgroup(mounts[i], own, name);
	}
	if (c->all != NULL) {
		enable_all(c, mounts[i]);
	}
}

/* ---- version 1 ---- */

static bool find_old(struct cgroups *c, const char *name, int i)
{
	char mount[64];
	char own[PROC_FILE_MAX];

	snprintf(mount, sizeof(mount), MOUNTS "/%s", old_names[i]);
	own_cgroup(old_names[i], own, sizeof(own));
	if (own[0] == '\0' || !is_mount(mount, CGROUP_SUPER_MAGIC) || geteuid() != 0) {
		return false;
	}
	c->old[i] = join(mount, own, name);
	return c->old[i] != NULL;
}

void cgroups_find(struct cgroups *c, const char *name)
{
	*c = (struct cgroups){0};
	name = name == NULL ? "drover.slice" : name;
	if (name[0] == '\0' || strchr(name, '\n') != NULL || strstr(name, "..") != NULL) {
		return;
	}
	find_new(c, name);
	if (!c->limits_memory) {
		c->limits_memory = find_old(c, name, OLD_MEMORY);
	}
	if (!c->limits_cpu) {
		c->limits_cpu = find_old(c, name, OLD_CPU);
		find_old(c, name, OLD_CPUSET);
	}
}

void cgroups_close(struct cgroups *c)
{
	int i;

	free(c->all);
	for (i = 0; i < CGROUPS_OLD_MAX; i++) {
		free(c->old[i]);
	}
	*c = (struct cgroups){0};
}

const char *cgroups_path(const struct cgroups *c, const char *task, struct arena *mem)
{
	return c->all == NULL ? "" : arena_printf(mem, "%s/%s", c->all, task);
}

const char *cgroups_old_paths(const struct cgroups *c, const char *task, struct arena *mem)
{
	const char *all = "";
	int i;

	for (i = 0; i < CGROUPS_OLD_MAX && all != NULL; i++) {
		if (c->old[i] != NULL) {
			all = arena_printf(mem, "%s%s/%s\n", all, c->old[i], task);
		}
	}
	return all;
}
