#include "client/executor/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/text.h"

/* Of the one child: descriptors of the two roots. */
static int host_root = -1;
static int task_root = -1;

/* What nothing can be run from, and no device be opened in. */
static const unsigned closed = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

static bool is_rooted(const struct executor_spec *spec)
{
	return spec->root[0] != '\0';
}

static int open_how(int dir, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = resolve};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/* ---- mount points ---- */

/* Made where it is missing. What a task has put there in an earlier run may be a link, which is not followed. */
static int open_point_dir(int dir, const char *name)
{
	if (mkdirat(dir, name, 0755) != 0 && errno != EEXIST) {
		return -1;
	}
	return open_how(dir, name, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

static int open_point_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0 && errno != EEXIST) {
		return -1;
	}
	if (fd >= 0) {
		close(fd);
	}
	return open_how(dir, name, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

/* The place in the task's root that the path names. The descriptor, or -1 and errno. */
static int open_point(const char *path, bool is_dir)
{
	char name[NAME_MAX + 1];
	int fd = fcntl(task_root, F_DUPFD_CLOEXEC, 0);
	int next;
	size_t n;

	for (path += strspn(path, "/"); fd >= 0 && *path != '\0'; path += strspn(path, "/")) {
		n = strcspn(path, "/");
		if (n > NAME_MAX) {
			close(fd);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		path += n;
		next = is_dir || path[strspn(path, "/")] != '\0' ? open_point_dir(fd, name) : open_point_file(fd, name);
		close(fd);
		fd = next;
	}
	return fd;
}

/* Takes over `mount_fd`, which may be -1 with errno set. */
static int put_mount(int mount_fd, const char *path, bool is_dir)
{
	int error = mount_fd < 0 ? errno : 0;
	int point = error != 0 ? -1 : open_point(path, is_dir);

	if (error == 0 && (point < 0 || move_mount(mount_fd, "", point, "",
						   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)) {
		error = errno;
	}
	if (point >= 0) {
		close(point);
	}
	if (mount_fd >= 0) {
		close(mount_fd);
	}
	return error;
}

/* ---- what is mounted ---- */

/* A copy of a directory's or a file's mount, with all that is mounted below it; -1 and errno. */
static int clone_mount(int fd, uint64_t attributes)
{
	struct mount_attr attr = {.attr_set = attributes, .propagation = MS_PRIVATE};
	int copy = open_tree(fd, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int error;

	if (copy >= 0 && mount_setattr(copy, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) != 0) {
		error = errno;
		close(copy);
		errno = error;
		copy = -1;
	}
	return copy;
}

static int fresh_mount(const char *type, const char *const *options, unsigned attributes)
{
	int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd = -1;
	int error;
	bool ok = fs >= 0;

	for (; ok && options != NULL && options[0] != NULL; options += 2) {
		ok = fsconfig(fs, FSCONFIG_SET_STRING, options[0], options[1], 0) == 0;
	}
	if (ok && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
		fd = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
	}
	error = errno;
	if (fs >= 0) {
		close(fs);
	}
	errno = error;
	return fd;
}

/* What the host has at `source`, as the task's `target`. What the host does not have is left out. */
static int show_host(const char *source, const char *target, uint64_t attributes)
{
	int fd = open_how(host_root, source, O_PATH, RESOLVE_IN_ROOT);
	struct stat st;
	int error;

	if (fd < 0) {
		return errno == ENOENT || errno == ENOTDIR ? 0 : errno;
	}
	error = fstat(fd, &st) != 0 ? errno : put_mount(clone_mount(fd, attributes), target, S_ISDIR(st.st_mode));
	close(fd);
	return error;
}

/* ---- the host's directories, with what the task has put in the same places ---- */

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Whether the task has something there, which a mount would hide: a template's file in /etc. */
static bool has_entries(const char *target)
{
	int fd = open_how(task_root, target + strspn(target, "/"), O_RDONLY | O_DIRECTORY,
			  RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	char piece[1024] __attribute__((aligned(8)));
	bool found = false;
	long at;
	long n = 0;

	while (fd >= 0 && !found && (n = syscall(SYS_getdents64, fd, piece, sizeof(piece))) > 0) {
		for (at = 0; at < n && !found; at += ((struct dirent64 *)(void *)(piece + at))->d_reclen) {
			found = !is_dots(((struct dirent64 *)(void *)(piece + at))->d_name);
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	return found;
}

/* One layer's path, without slashes in front, in a list where ':' separates and '\' escapes. False: too long. */
static bool put_layer(char *out, size_t size, const char *path)
{
	size_t n = strlen(out);

	for (path += strspn(path, "/"); *path != '\0' && n + 3 < size; path++) {
		if (*path == ':' || *path == '\\') {
			out[n++] = '\\';
		}
		out[n++] = *path;
	}
	out[n] = '\0';
	return *path == '\0';
}

/* Both layers lie in the host's tree, which is no more where paths begin, but still where we can be. */
static int show_merged(const struct executor_spec *spec, const char *source, const char *target)
{
	char layers[3 * PATH_MAX] = "";
	const char *const options[] = {"lowerdir", layers, NULL};
	bool fits = put_layer(layers, sizeof(layers), spec->root) &&
		    put_layer(strcat(layers, "/"), sizeof(layers), target) &&
		    put_layer(strcat(layers, ":"), sizeof(layers), source);

	if (!fits || fchdir(host_root) != 0) {
		return fits ? errno : ENAMETOOLONG;
	}
	return put_mount(fresh_mount("overlay", options, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV), target, true);
}

/* What the task has at the path, once more, but not writable; it may be missing. */
static int make_read_only(const char *path)
{
	int fd = open_how(task_root, path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
	struct stat st;
	int error;

	if (fd < 0) {
		return errno == ENOENT ? 0 : errno;
	}
	error = fstat(fd, &st) != 0 ? errno
				    : put_mount(clone_mount(fd, MOUNT_ATTR_RDONLY), path, S_ISDIR(st.st_mode));
	close(fd);
	return error;
}

/* Put nothing over what is there, if it is: an empty directory, or /dev/null. */
static int hide(const char *path)
{
	static const char *const options[] = {"size", "4k", "nr_inodes", "2", "mode", "555", NULL};
	int fd = open_how(task_root, path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
	struct stat st;
	int error;

	if (fd < 0) {
		return errno == ENOENT ? 0 : errno;
	}
	error = fstat(fd, &st) != 0 ? errno : 0;
	close(fd);
	if (error != 0 || !S_ISDIR(st.st_mode)) {
		return error != 0 ? error : show_host("/dev/null", path, 0);
	}
	return put_mount(fresh_mount("tmpfs", options, MOUNT_ATTR_RDONLY | closed), path, true);
}

/* ---- the steps ---- */

/* The new root is mounted over the very directory, as a root must be a mount: what is seen of it elsewhere is that of
 * other namespaces. */
static int mount_root(const char *path)
{
	int dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int error = dir < 0 ? errno : 0;

	if (error == 0) {
		task_root = clone_mount(dir, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
		if (task_root < 0 || move_mount(task_root, "", dir, "",
						MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
			error = errno;
		}
		close(dir);
	}
	return error;
}

/* On a root that cannot be exchanged, that of an initial ramdisk, the new one is mounted over it. */
static int mount_over_root(void)
{
	return move_mount(task_root, "", host_root, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0 ||
			       fchdir(task_root) != 0 || chroot(".") != 0
		       ? errno
		       : 0;
}

static int change_root(void)
{
	return fchdir(task_root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ? errno : 0;
}

/* Mounts that come and go on the host come and go here, not the other way. */
int root_enter(const struct executor_spec *spec)
{
	int error;

	if (!is_rooted(spec)) {
		return 0;
	}
	host_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (host_root < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0) {
		return errno;
	}
	umask(022);
	error = mount_root(spec->root);
	if (error == 0) {
		error = spec->no_pivot_root ? mount_over_root() : change_root();
	}
	return error != 0 ? error : hide("private");
}

int root_mount_shared(const struct executor_spec *spec)
{
	int fd;
	int error;

	if (!is_rooted(spec) || spec->shared[0] == '\0') {
		return 0;
	}
	fd = open_how(host_root, spec->shared, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
	if (fd < 0) {
		return errno;
	}
	error = put_mount(clone_mount(fd, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID), "alloc", true);
	close(fd);
	return error;
}

/* The next line of *at in `out`; false at the end. One that is too long has been refused by who made the spec. */
static bool next_line(const char **at, char *out, size_t size)
{
	size_t n = strcspn(*at, "\n");

	if (n == 0 || n >= size) {
		return false;
	}
	memcpy(out, *at, n);
	out[n] = '\0';
	*at += n + ((*at)[n] == '\n');
	return true;
}

int root_mount_chroot_env(const struct executor_spec *spec)
{
	const char *at = spec->chroot_env;
	char source[PATH_MAX];
	char target[PATH_MAX];
	int error = 0;

	while (is_rooted(spec) && error == 0 && next_line(&at, source, sizeof(source)) &&
	       next_line(&at, target, sizeof(target))) {
		error = has_entries(target) ? show_merged(spec, source, target)
					    : show_host(source, target, MOUNT_ATTR_RDONLY);
	}
	return error;
}

/* In the task's /dev, which is memory. */
static int make_links(void)
{
	static const char *const links[][2] = {
		{"/proc/self/fd", "dev/fd"},
		{"/proc/self/fd/0", "dev/stdin"},
		{"/proc/self/fd/1", "dev/stdout"},
		{"/proc/self/fd/2", "dev/stderr"},
		{"pts/ptmx", "dev/ptmx"},
	};
	size_t i;

	for (i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		if (symlinkat(links[i][0], task_root, links[i][1]) != 0) {
			return errno;
		}
	}
	return 0;
}

static int show_devices(void)
{
	static const char *const devices[] = {"dev/null",   "dev/zero",    "dev/full",
					      "dev/random", "dev/urandom", "dev/tty"};
	int error = 0;
	size_t i;

	for (i = 0; i < sizeof(devices) / sizeof(devices[0]) && error == 0; i++) {
		error = show_host(devices[i], devices[i], 0);
	}
	return error;
}

/* No devices but those of the host that are shown: a task that may make device files gets nothing by them. */
int root_make_dev(const struct executor_spec *spec)
{
	static const char *const dev[] = {"mode", "755", "size", "64k", NULL};
	static const char *const pts[] = {"ptmxmode", "0666", "mode", "0620", "gid", "5", NULL};
	static const char *const shm[] = {"mode", "1777", "size", "65536k", NULL};
	int error;

	if (!is_rooted(spec)) {
		return 0;
	}
	error = put_mount(fresh_mount("tmpfs", dev, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), "dev", true);
	error = error != 0 ? error : show_devices();
	error = error != 0 ? error : make_links();
	error = error != 0 ? error : put_mount(fresh_mount("devpts", pts, closed ^ MOUNT_ATTR_NODEV), "dev/pts", true);
	error = error != 0 ? error : put_mount(fresh_mount("tmpfs", shm, closed), "dev/shm", true);
	return error != 0 ? error : put_mount(fresh_mount("mqueue", NULL, closed), "dev/mqueue", true);
}

int root_mount_proc(const struct executor_spec *spec)
{
	static const char *const fixed[] = {"proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus", "proc/fs"};
	static const char *const hidden[] = {"proc/kcore", "proc/keys", "proc/timer_list", "proc/scsi", "proc/acpi"};
	int error;
	size_t i;

	if (!is_rooted(spec)) {
		return 0;
	}
	error = put_mount(fresh_mount("proc", NULL, closed), "proc", true);
	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]) && error == 0; i++) {
		error = make_read_only(fixed[i]);
	}
	for (i = 0; i < sizeof(hidden) / sizeof(hidden[0]) && error == 0; i++) {
		error = hide(hidden[i]);
	}
	return error;
}

int root_mount_sys(const struct executor_spec *spec)
{
	int error;

	if (!is_rooted(spec)) {
		return 0;
	}
	error = put_mount(fresh_mount("sysfs", NULL, MOUNT_ATTR_RDONLY | closed), "sys", true);
	return error != 0 ? error : hide("sys/firmware");
}

int root_leave_old(const struct executor_spec *spec)
{
	int error = 0;

	if (!is_rooted(spec)) {
		return 0;
	}
	if (!spec->no_pivot_root && (fchdir(host_root) != 0 || umount2(".", MNT_DETACH) != 0)) {
		error = errno;
	}
	close(host_root);
	close(task_root);
	return error == 0 && chdir("/") != 0 ? errno : error;
}
