#include "client/executor/start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/text.h"

/* fork(), into the tree's cgroup where that is possible; else the tree goes on without one. A move by writing to
 * cgroup.procs later would leave a moment outside of it, and costs more. */
static pid_t fork_into(struct tree *tree)
{
	struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
	long pid;

	if (tree->cgroup >= 0) {
		args.cgroup = (unsigned)tree->cgroup;
		pid = syscall(SYS_clone3, &args, sizeof(args));
		if (pid >= 0) {
			return (pid_t)pid;
		}
		tree_close(tree);
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

static int join_given_cgroups(const struct executor_spec *spec)
{
	const char *at = spec->cgroups_given;
	struct text path;
	int error = 0;
	size_t n;

	for (; *at != '\0' && error == 0; at += n + (at[n] == '\n')) {
		path.n = 0;
		n = strcspn(at, "\n");
		text_cut(&path, at, n);
		text_str(&path, "/cgroup.procs");
		error = write_file(path.at, "0");
	}
	return error;
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

/* Groups first: after the user has changed it is too late. */
static int set_user(const struct executor_spec *spec)
{
	gid_t gid = (gid_t)spec->gid;
	uid_t uid = (uid_t)spec->uid;

	if (!spec->set_user) {
		return 0;
	}
	return setgroups(spec->groups_n, spec->groups) != 0 || setresgid(gid, gid, gid) != 0 ||
			       setresuid(uid, uid, uid) != 0
		       ? errno
		       : 0;
}

static int change_dir(const struct executor_spec *spec)
{
	return chdir(spec->work_dir) != 0 ? errno : 0;
}

static int execute(const struct executor_spec *spec)
{
	execve(spec->command, spec->args, spec->env);
	return errno;
}

static const struct {
	int32_t stage;
	int (*run)(const struct executor_spec *spec);
} steps[] = {
	{EXECUTOR_STAGE_CGROUP, join_given_cgroups},
	{EXECUTOR_STAGE_OOM, set_oom_score},
	{EXECUTOR_STAGE_USER, set_user},
	{EXECUTOR_STAGE_WORK_DIR, change_dir},
	{EXECUTOR_STAGE_EXEC, execute},
};

/* `tell` closes by itself when the command is executed: that is how the parent knows. */
__attribute__((noreturn)) static void child(const struct executor_spec *spec, int out, int err, int tell)
{
	struct start_failure f = {EXECUTOR_STAGE_FORK, 0};
	unsigned i;

	setsid();
	reset_signals();
	f.error = connect_output(out, err);
	for (i = 0; f.error == 0 && i < sizeof(steps) / sizeof(steps[0]); i++) {
		f.stage = steps[i].stage;
		f.error = steps[i].run(spec);
	}
	if (write(tell, &f, sizeof(f)) < 0) {
		/* The parent takes the closing pipe for a start, and sees the end of the process at once. */
	}
	_exit(127);
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

pid_t start_task(const struct executor_spec *spec, struct tree *tree, int out, int err, struct start_failure *failure)
{
	int pipe_fds[2];
	struct start_failure f;
	pid_t pid;

	*failure = (struct start_failure){EXECUTOR_STAGE_FORK, 0};
	if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
		failure->error = errno;
		return -1;
	}
	pid = fork_into(tree);
	if (pid == 0) {
		child(spec, out, err, pipe_fds[1]);
	}
	failure->error = errno;
	close(pipe_fds[1]);
	if (pid > 0 && read_all(pipe_fds[0], &f, sizeof(f)) == (ssize_t)sizeof(f)) {
		*failure = f;
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	close(pipe_fds[0]);
	tree->leader = pid > 0 ? pid : 0;
	return pid;
}
