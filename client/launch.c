#include "client/launch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/beneath.h"
#include "client/executor.h"
#include "client/procfs.h"
#include "proto/error.h"

enum {
	HIGH_FD = 10, /* Above the numbers that the executor gets its descriptors under. */
	FIND_TRIES = 80,
	FIND_PAUSE_MS = 25,
	SWEEP_WAIT_MS = 8000,
	LEFT_TEXT_MAX = 16384, /* Names of cgroups, of one version or the other. */
};

/* ---- starting one ---- */

static int make_run(char run[EXECUTOR_RUN_TEXT])
{
	uint64_t bits;

	if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits)) {
		return -EIO;
	}
	snprintf(run, EXECUTOR_RUN_TEXT, "%016llx", (unsigned long long)bits);
	return 0;
}

int launch_spec_file(const struct executor_spec *spec)
{
	struct buf b = {0};
	size_t done = 0;
	ssize_t n = 0;
	int fd = memfd_create("drover-spec", MFD_CLOEXEC);
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	int error = high < 0 ? errno : 0;

	if (fd >= 0) {
		close(fd);
	}
	executor_spec_encode(spec, &b);
	if (error == 0 && b.failed) {
		error = ENOMEM;
	}
	while (error == 0 && done < b.len) {
		n = write(high, b.at + done, b.len - done);
		error = n < 0 && errno != EINTR ? errno : 0;
		done += n > 0 ? (size_t)n : 0;
	}
	buf_close(&b);
	if (error != 0 && high >= 0) {
		close(high);
	}
	return error != 0 ? -error : high;
}

static int socket_pair(int ends[2])
{
	int low[2];
	int error = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, low) != 0) {
		return -errno;
	}
	ends[0] = low[0];
	ends[1] = fcntl(low[1], F_DUPFD_CLOEXEC, HIGH_FD);
	error = ends[1] < 0 ? errno : 0;
	close(low[1]);
	if (error != 0) {
		close(low[0]);
	}
	return -error;
}

/* posix_spawn() does not copy the agent's memory map, however large it is. */
static int spawn(const char *program, int socket, int spec, pid_t *pid)
{
	char *const args[] = {(char *)(uintptr_t) "drover-executor", NULL};
	char *const env[] = {NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t set;
	int error;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&files, 0, 1);
	posix_spawn_file_actions_adddup2(&files, 0, 2);
	posix_spawn_file_actions_adddup2(&files, socket, EXECUTOR_SOCKET_FD);
	posix_spawn_file_actions_adddup2(&files, spec, EXECUTOR_SPEC_FD);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attributes, &set);
	sigfillset(&set);
	posix_spawnattr_setsigdefault(&attributes, &set);
	error = posix_spawn(pid, program, &files, &attributes, args, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return -error;
}

int launch_executor(const char *program, struct executor_spec *spec, struct executor_id *id)
{
	struct proc_stat process;
	int ends[2] = {-1, -1};
	int file;
	int rv = make_run(id->run);

	if (rv == 0 && proc_boot_id(id->boot_id) != 0) {
		rv = -EIO;
	}
	if (rv != 0) {
		return rv;
	}
	spec->run = id->run;
	file = launch_spec_file(spec);
	if (file < 0) {
		return file;
	}
	rv = socket_pair(ends);
	if (rv == 0) {
		rv = spawn(program, ends[1], file, &id->executor);
		close(ends[1]);
		if (rv != 0) {
			close(ends[0]);
		}
	}
	close(file);
	if (rv != 0) {
		return rv;
	}
	/* Our child, which nobody has waited for yet: it is there. */
	id->executor_start = proc_stat(id->executor, &process) == 0 ? process.start : 0;
	return ends[0];
}

/* ---- what to execute ---- */

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Only a file of the task's own: by a link it would be any file of the host's. If it fails, executing fails too, with
 * an error for the user. */
static void make_executable(const char *dir, const char *name)
{
	int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = root < 0 ? -1 : beneath_open(root, name, O_RDONLY | O_NONBLOCK, BENEATH_NO_LINKS);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && (st.st_mode & 0111) != 0111 &&
	    fchmod(fd, (st.st_mode & 0777) | 0111) != 0) {
		/* As above. */
	}
	if (fd >= 0) {
		close(fd);
	}
	if (root >= 0) {
		close(root);
	}
}

static bool try_in_task(const char *dir, const char *below, const char *command, char *out, size_t size)
{
	if (snprintf(out, size, "%s/%s%s", dir, below, command) >= (int)size || !is_program(out)) {
		return false;
	}
	if (access(out, X_OK) != 0) {
		make_executable(dir, out + strlen(dir) + 1);
	}
	return true;
}

void launch_ready_command(const char *task_dir, const char *command)
{
	char below[PATH_MAX];

	command += strspn(command, "/");
	if (command[0] != '\0' && snprintf(below, sizeof(below), "local/%s", command) < (int)sizeof(below)) {
		make_executable(task_dir, below);
		make_executable(task_dir, command);
	}
}

static bool try_path(const char *path, const char *command, char *out, size_t size)
{
	size_t n;

	for (; *path != '\0'; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		if (n > 0 && snprintf(out, size, "%.*s/%s", (int)n, path, command) < (int)size && is_program(out) &&
		    access(out, X_OK) == 0) {
			return true;
		}
	}
	return false;
}

int launch_find_command(const char *task_dir, const char *command, const char *path, char *out, size_t size)
{
	bool found;

	if (strlen(command) >= size) {
		return ENAMETOOLONG;
	}
	if (command[0] == '/') {
		strcpy(out, command);
		return 0;
	}
	found = try_in_task(task_dir, "local/", command, out, size) || try_in_task(task_dir, "", command, out, size) ||
		(strchr(command, '/') == NULL && try_path(path, command, out, size));
	return found ? 0 : ENOENT;
}

/* ---- finding one again ---- */

static void pause_ms(int ms)
{
	struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

static int open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* By way of /proc: the path may be longer than a socket's address. */
static int connect_to(int dir, const char *socket_name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, socket_name) >=
	    (int)sizeof(a.sun_path)) {
		return -ENAMETOOLONG;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		int error = errno;

		if (fd >= 0) {
			close(fd);
		}
		return -error;
	}
	return fd;
}

/* A report that an unclean shutdown of the machine has left empty or half written is none. */
static bool read_report(const struct executor_id *id, const char *suffix, uint32_t type, struct executor_report *out)
{
	char path[PATH_MAX];
	struct executor_report r;
	ssize_t n;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s%s", id->state_dir, id->run, suffix) >= (int)sizeof(path)) {
		return false;
	}
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	n = read(fd, &r, sizeof(r));
	close(fd);
	if (!executor_message_fix(&r, sizeof(r), n) || r.type != type) {
		return false;
	}
	*out = r;
	return true;
}

static bool read_exit(const struct executor_id *id, struct executor_report *out)
{
	return read_report(id, ".exit", EXECUTOR_EXITED, out);
}

/* Who listens there must be the very process that the record names: it tells us whom to signal. */
static bool is_peer(int fd, pid_t pid)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.pid == pid;
}

static int connect_again(const struct executor_id *id)
{
	char name[EXECUTOR_RUN_TEXT + 8];
	int dir = open_dir(id->state_dir);
	int fd;

	if (dir < 0) {
		return -errno;
	}
	snprintf(name, sizeof(name), "%s.sock", id->run);
	fd = connect_to(dir, name);
	close(dir);
	if (fd >= 0 && !is_peer(fd, id->executor)) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

static void kill_cgroup(const char *path)
{
	int dir = open_dir(path);
	int fd = dir < 0 ? -1 : openat(dir, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	bool killed = fd >= 0 && write(fd, "1", 1) == 1;
	int i;

	if (fd >= 0) {
		close(fd);
	}
	if (dir >= 0) {
		close(dir);
	}
	/* It can be removed when the last process is gone, which takes a moment. */
	for (i = 0; killed && i < FIND_TRIES && rmdir(path) != 0 && errno == EBUSY; i++) {
		pause_ms(FIND_PAUSE_MS);
	}
}

static bool kill_member(void *ctx, pid_t pid)
{
	(void)ctx;
	kill(pid, SIGKILL);
	return true;
}

static void kill_members(const char *cgroup)
{
	char procs[PATH_MAX];

	if (snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup) < (int)sizeof(procs)) {
		proc_each_pid(AT_FDCWD, procs, kill_member, NULL);
	}
}

/* Those of version 1 hold what has left the task's process group, where there is no version 2. One that is not empty
 * yet is tried again for a moment. */
static void end_limits(const char *lines)
{
	char path[PATH_MAX];
	size_t n;
	int i;

	for (; *lines != '\0'; lines += n + (lines[n] == '\n')) {
		n = strcspn(lines, "\n");
		if (snprintf(path, sizeof(path), "%.*s", (int)n, lines) >= (int)sizeof(path)) {
			continue;
		}
		for (i = 0; i < FIND_TRIES && rmdir(path) != 0 && errno == EBUSY; i++) {
			kill_members(path);
			pause_ms(FIND_PAUSE_MS);
		}
		if (strrchr(path, '/') != NULL) {
			*strrchr(path, '/') = '\0';
			rmdir(path); /* That of the last task takes the directory of all along. */
		}
	}
}

/* The executor is gone and nobody looks after the task: a task without supervision must not run on. */
static void kill_orphans(const struct executor_id *id, const struct executor_report *started)
{
	if (id->pid > 0) {
		proc_kill_group(id->pid, id->start);
	} else if (started->pid > 0) {
		proc_kill_group(started->pid, started->start);
	}
	if (id->cgroup[0] != '\0') {
		kill_cgroup(id->cgroup);
	}
	end_limits(id->limit_cgroups);
}

/* What it kept for itself tells whether it had come to executing something. */
static enum launch_found gone(const struct executor_id *id, struct executor_report *exit)
{
	struct executor_report started = {.pid = 0};
	bool began;

	if (read_exit(id, exit) || read_report(id, ".exit.tmp", EXECUTOR_EXITED, exit)) {
		return LAUNCH_ENDED;
	}
	began = read_report(id, ".exit.tmp", EXECUTOR_STARTED, &started) || id->pid > 0;
	kill_orphans(id, &started);
	return began ? LAUNCH_GONE : LAUNCH_NEVER;
}

enum launch_found launch_find(const struct executor_id *id, int *fd, struct executor_report *exit)
{
	char boot_id[BOOT_ID_TEXT];
	int i;

	if (read_exit(id, exit)) {
		return LAUNCH_ENDED;
	}
	if (proc_boot_id(boot_id) == 0 && strcmp(boot_id, id->boot_id) != 0) {
		return LAUNCH_REBOOTED;
	}
	for (i = 0; i < FIND_TRIES && proc_alive(id->executor, id->executor_start); i++) {
		*fd = connect_again(id);
		if (*fd >= 0) {
			return LAUNCH_CONNECTED;
		}
		pause_ms(FIND_PAUSE_MS);
	}
	/* One that lives but cannot be reached, because its directory was removed, still obeys a signal. */
	if (proc_signal(id->executor, id->executor_start, SIGQUIT)) {
		for (i = 0; i < FIND_TRIES && proc_alive(id->executor, id->executor_start); i++) {
			pause_ms(FIND_PAUSE_MS);
		}
	}
	return gone(id, exit);
}

/* ---- what others have left behind ---- */

static bool is_run_file(const char *name, const char *suffix)
{
	return strspn(name, "0123456789abcdef") == EXECUTOR_RUN_TEXT - 1 &&
	       strcmp(name + EXECUTOR_RUN_TEXT - 1, suffix) == 0;
}

static int end_executor(int dir, const char *socket_name)
{
	struct executor_request q = {.size = sizeof(q), .type = EXECUTOR_DESTROY};
	struct executor_report r;
	int fd = connect_to(dir, socket_name);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int rv = 0;

	if (fd < 0) {
		unlinkat(dir, socket_name, 0);
		return 0;
	}
	send(fd, &q, sizeof(q), MSG_NOSIGNAL);
	do {
		rv = poll(&p, 1, SWEEP_WAIT_MS);
	} while (rv > 0 && recv(fd, &r, sizeof(r), 0) > 0);
	close(fd);
	return rv > 0 ? 0 : ERR_TIMEOUT;
}

/* An executor that was killed, whose agent knows nothing of it either: what it kept for itself names all that it made. */
static int end_left(int dir, const char *name)
{
	struct {
		struct executor_report report;
		char text[LEFT_TEXT_MAX + 1];
	} kept = {.text = ""};
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	size_t n;

	if (fd < 0) {
		return 0;
	}
	if (read(fd, &kept, sizeof(kept.report) + LEFT_TEXT_MAX) >= (ssize_t)sizeof(kept.report)) {
		if (kept.report.type == EXECUTOR_STARTED && kept.report.pid > 0) {
			proc_kill_group(kept.report.pid, kept.report.start);
		}
		n = strcspn(kept.text, "\n");
		end_limits(kept.text + n + (kept.text[n] == '\n'));
		kept.text[n] = '\0';
		kill_cgroup(kept.text);
	}
	close(fd);
	unlinkat(dir, name, 0);
	return 0;
}

/* All files of one kind. */
static int sweep(const char *state_dir, const char *suffix, int (*end)(int dir, const char *name))
{
	int fd = open_dir(state_dir);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rv = 0;
	int one;

	if (d == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		return 0;
	}
	while ((e = readdir(d)) != NULL) {
		one = is_run_file(e->d_name, suffix) ? end(fd, e->d_name) : 0;
		rv = one != 0 ? one : rv;
	}
	closedir(d);
	return rv;
}

static int remove_exit(int dir, const char *name)
{
	unlinkat(dir, name, 0);
	return 0;
}

/* In this order: what is left of a run counts only when its executor is gone. */
int executor_sweep(const char *state_dir)
{
	int rv = sweep(state_dir, ".sock", end_executor);

	if (rv == 0) {
		sweep(state_dir, ".exit.tmp", end_left);
		sweep(state_dir, ".exit", remove_exit);
	}
	return rv;
}
