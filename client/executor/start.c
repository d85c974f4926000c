#include "client/executor/start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/executor/root.h"
#include "client/text.h"

enum { CAPABILITIES_MAX = 63, TERMINAL_ENV_MAX = 4096 };

static uint64_t namespaces(const struct executor_spec *spec)
{
	if (spec->root[0] == '\0') {
		return 0;
	}
	return CLONE_NEWNS | (spec->pid_private ? CLONE_NEWPID : 0) | (spec->ipc_private ? CLONE_NEWIPC : 0);
}

/* fork(), into new namespaces, and into the tree's cgroup where that is possible. A move by writing to cgroup.procs
 * later would leave a moment outside of it, and costs more. Only a task that is not isolated can do without one. */
static pid_t fork_into(const struct executor_spec *spec, struct tree *tree)
{
	struct clone_args args = {.flags = namespaces(spec), .exit_signal = SIGCHLD};
	long pid;

	if (tree->all.dir >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)tree->all.dir;
	}
	if (args.flags != 0) {
		pid = syscall(SYS_clone3, &args, sizeof(args));
		if (pid >= 0 || namespaces(spec) != 0) {
			return (pid_t)pid;
		}
		tree_leave(tree);
	}
	return fork();
}

/* ---- in the child: a step fails with an errno value ---- */

/* By the bare system call, because the C library's leaves alone the two signals that it keeps for itself, which
 * posix_spawn() has made ignored. All zero is the default action. */
static void reset_signals(void)
{
	static const char standard[64];
	sigset_t none;
	int s;

	for (s = 1; s < NSIG; s++) {
		syscall(SYS_rt_sigaction, s, standard, NULL, NSIG / 8);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int connect_output(int out, int err)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 ? errno : 0;
}

static int connect_all(const int fds[3])
{
	int i;

	for (i = 0; i < 3; i++) {
		if (dup2(fds[i], i) < 0) {
			return errno;
		}
	}
	return 0;
}

static int write_file(const char *path, const char *data)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0) {
		return errno;
	}
	if (write(fd, data, strlen(data)) < 0) {
		error = errno;
	}
	close(fd);
	return error;
}

static int join_cgroups(const char *at, const char *file)
{
	struct text path;
	int error = 0;
	size_t n;

	for (; *at != '\0' && error == 0; at += n + (at[n] == '\n')) {
		path.n = 0;
		n = strcspn(at, "\n");
		text_cut(&path, at, n);
		text_str(&path, file);
		error = write_file(path.at, "0");
	}
	return error;
}

static int join_given_cgroups(const struct executor_spec *spec)
{
	return join_cgroups(spec->cgroups_given, "/cgroup.procs");
}

/* As a single thread, which we are: to move a whole process the kernel stops all that fork and exec. */
static int join_limit_cgroups(const struct executor_spec *spec)
{
	return join_cgroups(spec->limit_cgroups, "/tasks");
}

static int set_oom_score(const struct executor_spec *spec)
{
	struct text value = {0};

	if (!spec->set_oom_score_adj) {
		return 0;
	}
	text_str(&value, spec->oom_score_adj < 0 ? "-" : "");
	text_num(&value, (uint64_t)(spec->oom_score_adj < 0 ? -spec->oom_score_adj : spec->oom_score_adj));
	return write_file("/proc/self/oom_score_adj", value.at);
}

/* The pipes, or the terminal, are root's: without this the user could not open them again, as /dev/stdout. */
static void give_stream(int fd, uid_t uid)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || isatty(fd)) && fchown(fd, uid, (gid_t)-1) != 0) {
		/* It can still use what is open. */
	}
}

/* Groups first: after the user has changed it is too late. */
static int set_user(const struct executor_spec *spec)
{
	gid_t gid = (gid_t)spec->gid;
	uid_t uid = (uid_t)spec->uid;

	if (!spec->set_user) {
		return 0;
	}
	give_stream(0, uid);
	give_stream(1, uid);
	give_stream(2, uid);
	return setgroups(spec->groups_n, spec->groups) != 0 || setresgid(gid, gid, gid) != 0 ||
			       setresuid(uid, uid, uid) != 0
		       ? errno
		       : 0;
}

static int change_dir(const struct executor_spec *spec)
{
	return chdir(spec->work_dir) != 0 ? errno : 0;
}

/* ---- capabilities of an isolated task ---- */

/* What it may have at most; and all that it has now must outlive the change of user. */
static int bound_capabilities(const struct executor_spec *spec)
{
	int c;

	if (spec->root[0] == '\0') {
		return 0;
	}
	for (c = 0; c < CAPABILITIES_MAX && prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++) {
		if (!(spec->capabilities >> c & 1) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) != 0) {
			return errno;
		}
	}
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ? errno : 0;
}

/* A user other than root has them in the command only as "ambient" ones. */
static int raise_ambient(uint64_t set)
{
	int c;

	for (c = 0; c < CAPABILITIES_MAX; c++) {
		if ((set >> c & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) != 0) {
			return errno;
		}
	}
	return 0;
}

/* Also, from here on: no program gives it more, and it does not outlive the executor. The latter is forgotten by the
 * kernel when the user changes, so it comes after that. */
static int keep_capabilities(const struct executor_spec *spec)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	uint64_t set = (uint64_t)spec->capabilities;
	int i;

	if (spec->root[0] == '\0') {
		return 0;
	}
	for (i = 0; i < 2; i++) {
		data[i].effective = data[i].permitted = data[i].inheritable = (uint32_t)(set >> (32 * i));
	}
	if (syscall(SYS_capset, &head, data) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
		return errno;
	}
	return raise_ambient(set);
}

/* ---- the command ---- */

static const char *env_value(const struct executor_spec *spec, const char *key)
{
	size_t n = strlen(key);
	uint32_t i;

	for (i = 0; i < spec->env_n; i++) {
		if (strncmp(spec->env[i], key, n) == 0 && spec->env[i][n] == '=') {
			return spec->env[i] + n + 1;
		}
	}
	return "/usr/local/bin:/usr/bin:/bin";
}

/* Returns only if it fails. What is there but cannot be executed is the better reason. */
static int try_command(const struct executor_spec *spec, const char *dir, size_t n, int error)
{
	struct text path = {0};

	if (n + 1 + strlen(spec->command) >= TEXT_MAX) {
		return ENAMETOOLONG;
	}
	text_cut(&path, dir, n);
	text_str(&path, "/");
	text_str(&path, spec->command);
	execve(path.at, spec->args, spec->env);
	return errno == ENOENT || errno == ENOTDIR ? error : errno;
}

/* In the task's own root only its own eyes see what is there: so the search is here, and not where the spec is made. */
static int search_command(const struct executor_spec *spec)
{
	const char *path = env_value(spec, "PATH");
	int error = try_command(spec, "/local", 6, ENOENT);
	size_t n;

	error = try_command(spec, "", 0, error);
	for (; strchr(spec->command, '/') == NULL && *path != '\0'; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		error = n > 0 && path[0] == '/' ? try_command(spec, path, n, error) : error;
	}
	return error;
}

static int execute(const struct executor_spec *spec)
{
	if (spec->root[0] != '\0' && spec->command[0] != '/') {
		return search_command(spec);
	}
	execve(spec->command, spec->args, spec->env);
	return errno;
}

/* The agent has raised its own limit, which is inherited; programs that close all they could have open, or use select(),
 * would not get along with that. */
static int limit_files(const struct executor_spec *spec)
{
	struct rlimit limit;

	if (spec->files_max <= 0) {
		return 0;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return errno;
	}
	limit.rlim_cur = (rlim_t)spec->files_max < limit.rlim_max ? (rlim_t)spec->files_max : limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : errno;
}

struct step {
	int32_t stage;
	int (*run)(const struct executor_spec *spec);
};

static const struct step steps[] = {
	{EXECUTOR_STAGE_CGROUP, join_given_cgroups},
	{EXECUTOR_STAGE_LIMITS, join_limit_cgroups},
	{EXECUTOR_STAGE_LIMITS, limit_files},
	{EXECUTOR_STAGE_OOM, set_oom_score},
	{EXECUTOR_STAGE_ROOT, root_enter},
	{EXECUTOR_STAGE_SHARED, root_mount_shared},
	{EXECUTOR_STAGE_CHROOT_ENV, root_mount_chroot_env},
	{EXECUTOR_STAGE_DEV, root_make_dev},
	{EXECUTOR_STAGE_PROC, root_mount_proc},
	{EXECUTOR_STAGE_SYS, root_mount_sys},
	{EXECUTOR_STAGE_ROOT, root_leave_old},
	{EXECUTOR_STAGE_CAPABILITIES, bound_capabilities},
	{EXECUTOR_STAGE_USER, set_user},
	{EXECUTOR_STAGE_CAPABILITIES, keep_capabilities},
	{EXECUTOR_STAGE_WORK_DIR, change_dir},
	{EXECUTOR_STAGE_EXEC, execute},
};

__attribute__((noreturn)) static void take_steps(const struct executor_spec *spec, const struct step *at, size_t n,
						 struct start_failure f, int tell)
{
	size_t i;

	for (i = 0; f.error == 0 && i < n; i++) {
		f.stage = at[i].stage;
		f.error = at[i].run(spec);
	}
	if (write(tell, &f, sizeof(f)) < 0) {
		/* The parent takes the closing pipe for a start, and sees the end of the process at once. */
	}
	_exit(127);
}

/* Between the processes. `tell` closes by itself when the command is executed: that is how the parent knows. What comes
 * through `go` lets the child begin, and its end without a word, as when the parent is killed, ends the child. */
struct pipes {
	int tell[2], go[2];
};

__attribute__((noreturn)) static void child(const struct executor_spec *spec, int out, int err, const struct pipes *p)
{
	struct start_failure f = {EXECUTOR_STAGE_FORK, 0};
	char go;

	close(p->go[1]);
	if (read(p->go[0], &go, 1) != 1) {
		_exit(127);
	}
	setsid();
	reset_signals();
	f.error = connect_output(out, err);
	take_steps(spec, steps, sizeof(steps) / sizeof(steps[0]), f, p->tell[1]);
}

/* ---- a command beside the task ---- */

/* Of the task's first process: what is entered, and its root. Opened before the fork, -1 where there is none. */
static struct {
	int namespaces;
	int root;
} beside = {-1, -1};

/* The root of a mount namespace is not that of who has changed his own, so it is gone to by itself. */
static int enter_root(const struct executor_spec *spec)
{
	int which = CLONE_NEWNS | (spec->ipc_private ? CLONE_NEWIPC : 0);

	if (spec->root[0] == '\0') {
		return 0;
	}
	return setns(beside.namespaces, which) != 0 || fchdir(beside.root) != 0 || chroot(".") != 0 ? errno : 0;
}

/* As a shell does it: what has a slash is a path, also from the working directory. */
static int execute_beside(const struct executor_spec *spec)
{
	const char *path = env_value(spec, "PATH");
	int error = ENOENT;
	size_t n;

	if (strchr(spec->command, '/') != NULL) {
		execve(spec->command, spec->args, spec->env);
		return errno;
	}
	for (; *path != '\0' && spec->command[0] != '\0'; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		error = n > 0 && path[0] == '/' ? try_command(spec, path, n, error) : error;
	}
	return error;
}

static const struct step steps_beside[] = {
	{EXECUTOR_STAGE_CGROUP, join_given_cgroups},
	{EXECUTOR_STAGE_LIMITS, join_limit_cgroups},
	{EXECUTOR_STAGE_LIMITS, limit_files},
	{EXECUTOR_STAGE_OOM, set_oom_score},
	{EXECUTOR_STAGE_ROOT, enter_root},
	{EXECUTOR_STAGE_CAPABILITIES, bound_capabilities},
	{EXECUTOR_STAGE_USER, set_user},
	{EXECUTOR_STAGE_CAPABILITIES, keep_capabilities},
	{EXECUTOR_STAGE_WORK_DIR, change_dir},
	{EXECUTOR_STAGE_EXEC, execute_beside},
};

static bool has_variable(const struct executor_spec *spec, const char *begin)
{
	uint32_t i;

	for (i = 0; i < spec->env_n; i++) {
		if (strncmp(spec->env[i], begin, strlen(begin)) == 0) {
			return true;
		}
	}
	return false;
}

/* A task has no terminal, so its environment does not say what kind one is. Programs want to know. */
static void name_terminal(struct executor_spec *spec, char *env[TERMINAL_ENV_MAX])
{
	static char term[] = "TERM=xterm";

	if (has_variable(spec, "TERM=") || spec->env_n + 2 > TERMINAL_ENV_MAX) {
		return;
	}
	memcpy(env, spec->env, spec->env_n * sizeof(env[0]));
	env[spec->env_n++] = term;
	env[spec->env_n] = NULL;
	spec->env = env;
}

__attribute__((noreturn)) static void child_beside(const struct executor_spec *tasks, const int fds[3], bool terminal,
						   int tell)
{
	struct start_failure f = {EXECUTOR_STAGE_FORK, 0};
	struct executor_spec own = *tasks;
	const struct executor_spec *spec = &own;
	char *env[TERMINAL_ENV_MAX];

	if (terminal) {
		name_terminal(&own, env);
	}
	setsid();
	reset_signals();
	f.error = connect_all(fds);
	if (f.error == 0 && terminal && ioctl(0, TIOCSCTTY, 0) != 0) {
		f.error = errno;
	}
	take_steps(spec, steps_beside, sizeof(steps_beside) / sizeof(steps_beside[0]), f, tell);
}

/* ---- in the parent ---- */

static ssize_t read_all(int fd, void *to, size_t n)
{
	size_t have = 0;
	ssize_t got;

	while (have < n && (got = read(fd, (char *)to + have, n - have)) != 0) {
		if (got < 0 && errno != EINTR) {
			break;
		}
		have += got > 0 ? (size_t)got : 0;
	}
	return (ssize_t)have;
}

static int open_pipes(struct pipes *p)
{
	int error;

	if (pipe2(p->tell, O_CLOEXEC) != 0) {
		return errno;
	}
	if (pipe2(p->go, O_CLOEXEC) != 0) {
		error = errno;
		close(p->tell[0]);
		close(p->tell[1]);
		return error;
	}
	return 0;
}

/* What is wrong with the child, when it has begun; nothing is, if it executes the command. */
static struct start_failure let_begin(pid_t pid, const struct pipes *p, int (*record)(pid_t pid))
{
	struct start_failure f = {EXECUTOR_STAGE_STATE, record(pid)};

	if (f.error == 0 && write(p->go[1], "", 1) != 1) {
		f = (struct start_failure){EXECUTOR_STAGE_FORK, errno};
	}
	close(p->go[1]);
	if (f.error == 0 && read_all(p->tell[0], &f, sizeof(f)) != (ssize_t)sizeof(f)) {
		f.error = 0;
	}
	return f;
}

pid_t start_task(const struct executor_spec *spec, struct tree *tree, int out, int err, int (*record)(pid_t pid),
		 struct start_failure *failure)
{
	struct pipes p;
	pid_t pid;

	*failure = (struct start_failure){EXECUTOR_STAGE_FORK, open_pipes(&p)};
	if (failure->error != 0) {
		return -1;
	}
	pid = fork_into(spec, tree);
	if (pid == 0) {
		child(spec, out, err, &p);
	}
	failure->error = pid < 0 ? errno : 0;
	close(p.tell[1]);
	close(p.go[0]);
	if (pid > 0) {
		*failure = let_begin(pid, &p, record);
	} else {
		close(p.go[1]);
	}
	close(p.tell[0]);
	if (pid > 0 && failure->error != 0) {
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	tree->leader = pid > 0 ? pid : 0;
	return pid;
}

/* The child's word of what went wrong, if it has one; else the command runs. */
static pid_t hear_child(pid_t pid, int from, struct start_failure *failure)
{
	struct start_failure f;

	if (pid > 0 && read_all(from, &f, sizeof(f)) == (ssize_t)sizeof(f)) {
		*failure = f;
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	return pid;
}

static void close_beside(void)
{
	if (beside.namespaces >= 0) {
		close(beside.namespaces);
	}
	if (beside.root >= 0) {
		close(beside.root);
	}
	beside.namespaces = beside.root = -1;
}

static int open_beside(const struct executor_spec *spec, pid_t leader)
{
	struct text path = {0};
	int error = 0;

	if (spec->root[0] == '\0') {
		return 0;
	}
	text_str(&path, "/proc/");
	text_num(&path, (uint64_t)leader);
	text_str(&path, "/root");
	beside.namespaces = (int)syscall(SYS_pidfd_open, leader, 0);
	beside.root = beside.namespaces < 0 ? -1 : open(path.at, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (beside.root < 0) {
		error = errno;
		close_beside();
	}
	return error;
}

/* In a PID namespace are only those who are born there: so we give birth to it there, and go on here. */
static pid_t fork_beside(const struct executor_spec *spec, const struct tree *tree, int *error)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	bool inside = spec->root[0] != '\0' && spec->pid_private;
	int home = inside ? open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC) : -1;
	pid_t pid = -1;

	if (tree->all.dir >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)tree->all.dir;
	}
	if (!inside || (home >= 0 && setns(beside.namespaces, CLONE_NEWPID) == 0)) {
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	}
	*error = errno;
	if (home >= 0 && pid != 0) {
		(void)setns(home, CLONE_NEWPID); /* It was ours before. */
		close(home);
	}
	return pid;
}

pid_t start_command(const struct executor_spec *spec, const struct tree *tree, const int fds[3], bool terminal,
		    struct start_failure *failure)
{
	int pipe_fds[2];
	pid_t pid;

	*failure = (struct start_failure){EXECUTOR_STAGE_ROOT, open_beside(spec, tree->leader)};
	if (failure->error != 0) {
		return -1;
	}
	failure->stage = EXECUTOR_STAGE_FORK;
	if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
		failure->error = errno;
		close_beside();
		return -1;
	}
	pid = fork_beside(spec, tree, &failure->error);
	if (pid == 0) {
		child_beside(spec, fds, terminal, pipe_fds[1]);
	}
	close(pipe_fds[1]);
	pid = hear_child(pid, pipe_fds[0], failure);
	close(pipe_fds[0]);
	close_beside();
	return pid;
}
