/**
 * drover-executor: the parent of one task.
 *
 * It starts the task's first process, moves its output into files, obeys the agent, and leaves behind how the task
 * ended. It does not end with the agent: that may be restarted, and the next one connects to the socket in the task's
 * state directory. There is one executor for each running task, so it is small: a static program without threads and
 * without a heap, which sleeps in poll().
 *
 *     STARTING --> RUNNING --first process ended--> CLEARING --no process left, or patience over--> reported
 *
 * In STARTING it makes all that the task needs, tells the agent so, and waits for its word: by then the agent has
 * written down how this executor is found again. An agent that ends before that has started nothing.
 *
 * CLEARING kills what the first process has left behind. Signals to the executor itself: SIGTERM ends the task as an
 * orderly shutdown of the machine wants it, SIGQUIT at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/executor/logs.h"
#include "client/executor/start.h"
#include "client/executor/tree.h"
#include "client/executor/wire.h"
#include "client/procfs.h"
#include "client/text.h"

#define SECOND_NS INT64_C(1000000000)
#define SHUTDOWN_NS (5 * SECOND_NS) /* From SIGTERM to SIGKILL. */
#define PATIENCE_NS (5 * SECOND_NS) /* For processes that do not die; then the end is reported all the same. */
#define CLEAR_RETRY_NS (SECOND_NS / 10)
#define SPEC_MAX_BYTES (INT64_C(64) << 20)
#define ARGS_MAX_BYTES (INT64_C(4) << 20)

enum phase { STARTING, RUNNING, CLEARING };
enum { FD_SIGNAL, FD_LISTEN, FD_AGENT, FD_OUT, FD_ERR, FDS };

/* One that runs beside the task. */
struct command {
	pid_t pid;   /* 0: free. */
	uint64_t id; /* 0: nobody wants to know how it ends. */
};

static struct supervisor {
	enum phase phase;
	int signals;
	int listener;
	int agent; /* -1: none is connected. */
	int state_dir;
	int exit_file; /* Made, and filled, at the start: at the end the disk may be full. See wire.h. */
	struct tree tree;
	uint64_t start_time;
	bool childless;
	bool destroyed; /* Nobody wants to know how it ends. */
	bool reported;
	int64_t kill_ns;  /* When to send SIGKILL; 0: no. Monotonic. */
	int64_t clear_ns; /* When CLEARING began. */
	struct executor_report exit;
	struct executor_spec spec; /* Its texts stay: commands beside the task need them. */
	struct command commands[EXECUTOR_RUNS_MAX];
	char run[EXECUTOR_RUN_TEXT];
	struct logs out, err;
} self = {.listener = -1, .agent = EXECUTOR_SOCKET_FD, .state_dir = -1, .exit_file = -1};

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

static int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* ---- to the agent ---- */

static struct executor_report report_of(enum executor_report_type type)
{
	return (struct executor_report){.size = sizeof(struct executor_report), .type = (uint32_t)type};
}

/* An agent that does not read misses answers; the end it finds on disk. False if it is gone. */
static bool report(const struct executor_report *r)
{
	return self.agent >= 0 &&
	       (send(self.agent, r, sizeof(*r), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno == EAGAIN);
}

static bool report_started(void)
{
	struct executor_report r = report_of(EXECUTOR_STARTED);

	r.pid = self.tree.leader;
	r.start = self.start_time;
	r.abilities = EXECUTOR_CAN_RUN;
	return report(&r);
}

/* ---- files in the state directory ---- */

static void run_file(struct text *name, const char *suffix)
{
	name->n = 0;
	text_str(name, self.run);
	text_str(name, suffix);
}

/* In the place of what was there. */
static int keep_report(const struct executor_report *r)
{
	ssize_t n = pwrite(self.exit_file, r, sizeof(*r), 0);

	return n == (ssize_t)sizeof(*r) ? 0 : n < 0 ? errno : ENOSPC;
}

/* At `at`; where the next text goes. */
static off_t keep_text(const char *s, off_t at, int *error)
{
	ssize_t n = pwrite(self.exit_file, s, strlen(s), at);

	if (n != (ssize_t)strlen(s)) {
		*error = n < 0 ? errno : ENOSPC;
	}
	return at + (off_t)strlen(s);
}

static int keep_cgroups(const struct executor_spec *spec)
{
	int error = 0;
	off_t at = keep_text(spec->cgroup, sizeof(self.exit), &error);

	at = keep_text("\n", at, &error);
	keep_text(spec->limit_cgroups, at, &error);
	return error;
}

static int make_exit_file(const struct executor_spec *spec)
{
	struct text name;
	int error;

	run_file(&name, ".exit.tmp");
	self.exit_file = openat(self.state_dir, name.at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (self.exit_file < 0) {
		return errno;
	}
	error = keep_report(&self.exit);
	return error != 0 ? error : keep_cgroups(spec);
}

static void keep_exit(void)
{
	struct text from;
	struct text to;

	run_file(&from, ".exit.tmp");
	run_file(&to, ".exit");
	if (keep_report(&self.exit) == 0) {
		renameat(self.state_dir, from.at, self.state_dir, to.at);
	}
}

/* The child is not waited for, so it is there, if only as a zombie. */
static int record_start(pid_t pid)
{
	struct executor_report r = report_of(EXECUTOR_STARTED);
	struct proc_stat first;

	self.start_time = proc_stat(pid, &first) == 0 ? first.start : 0;
	r.pid = pid;
	r.start = self.start_time;
	return keep_report(&r);
}

static void remove_file(const char *suffix)
{
	struct text name;

	run_file(&name, suffix);
	unlinkat(self.state_dir, name.at, 0);
}

/* By way of /proc, as the path may be longer than a socket's address. */
static int listen_for_agents(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct text path = {0};

	text_str(&path, "/proc/self/fd/");
	text_num(&path, (uint64_t)self.state_dir);
	text_str(&path, "/");
	text_str(&path, self.run);
	text_str(&path, ".sock");
	memcpy(a.sun_path, path.at, path.n + 1);
	self.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return self.listener < 0 || bind(self.listener, (struct sockaddr *)&a, sizeof(a)) != 0 ||
			       listen(self.listener, 4) != 0
		       ? errno
		       : 0;
}

/* ---- the end ---- */

static void report_exit(void)
{
	int64_t now = now_ns();

	logs_drain(&self.out, now);
	logs_drain(&self.err, now);
	if (!self.destroyed) {
		keep_exit();
	}
	self.reported = true;
	report(&self.exit);
}

/* The cgroups go before what tells of them: whoever finds no such file has nothing to clean up. */
__attribute__((noreturn)) static void leave(int code)
{
	tree_close(&self.tree);
	if (self.state_dir >= 0) {
		remove_file(".sock");
		remove_file(".exit.tmp");
		if (self.destroyed) {
			remove_file(".exit");
		}
	}
	_exit(code);
}

__attribute__((noreturn)) static void fail(enum executor_stage stage, int error)
{
	struct executor_report r = report_of(EXECUTOR_FAILED);

	r.stage = (int32_t)stage;
	r.error = error;
	tree_close(&self.tree);
	report(&r);
	leave(1);
}

/* The first process is not waited for yet: its number, and that of its group, cannot have passed on. */
static void first_ended(const siginfo_t *info)
{
	self.exit = report_of(EXECUTOR_EXITED);
	self.exit.pid = info->si_pid;
	self.exit.start = self.start_time;
	self.exit.signal = info->si_code == CLD_EXITED ? 0 : info->si_status;
	self.exit.code = info->si_code == CLD_EXITED ? info->si_status : 128 + info->si_status;
	self.exit.finished_ns = clock_ns(CLOCK_REALTIME);
	self.exit.oom_killed = tree_oom_killed(&self.tree);
	kill(-info->si_pid, SIGKILL);
	self.tree.leader = 0;
	self.kill_ns = 0;
	self.clear_ns = now_ns();
	self.phase = CLEARING;
}

/* ---- commands beside the task ---- */

static struct command *command_of(pid_t pid)
{
	unsigned i;

	for (i = 0; i < EXECUTOR_RUNS_MAX && self.commands[i].pid != pid; i++) {
	}
	return i < EXECUTOR_RUNS_MAX ? &self.commands[i] : NULL;
}

static void command_ended(struct command *c, const siginfo_t *info)
{
	struct executor_report r = report_of(EXECUTOR_RAN);

	r.id = c->id;
	r.signal = info->si_code == CLD_EXITED ? 0 : info->si_status;
	r.code = info->si_code == CLD_EXITED ? info->si_status : 128 + info->si_status;
	if (c->id != 0) {
		report(&r);
	}
	*c = (struct command){0};
}

/* It leads its group, and is not waited for yet. */
static void end_command(struct command *c)
{
	c->id = 0;
	kill(-c->pid, SIGKILL);
	kill(c->pid, SIGKILL);
}

/* The agent that asked for them is gone. */
static void end_commands(void)
{
	unsigned i;

	for (i = 0; i < EXECUTOR_RUNS_MAX; i++) {
		if (self.commands[i].pid > 0) {
			end_command(&self.commands[i]);
		}
	}
}

static void wait_children(void)
{
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
			self.childless = errno == ECHILD;
			return;
		}
		if (info.si_pid == 0) {
			return;
		}
		if (info.si_pid == self.tree.leader) {
			first_ended(&info);
		} else if (command_of(info.si_pid) != NULL) {
			command_ended(command_of(info.si_pid), &info);
		}
		waitpid(info.si_pid, NULL, WNOHANG);
	}
}

static void clear(void)
{
	int64_t now = now_ns();

	if (self.phase != CLEARING) {
		return;
	}
	if (!self.childless) {
		tree_kill(&self.tree);
		wait_children();
	}
	if (!self.reported && (self.childless || now - self.clear_ns >= PATIENCE_NS)) {
		if (self.childless) {
			tree_close(&self.tree);
		}
		report_exit();
	}
	if (self.childless) {
		leave(0);
	}
}

/* ---- requests ---- */

static void kill_after(int signal, int64_t timeout_ns)
{
	int64_t at = now_ns() + (timeout_ns > 0 ? timeout_ns : 0);

	if (self.phase != RUNNING) {
		return;
	}
	if (timeout_ns <= 0) {
		tree_kill(&self.tree);
		return;
	}
	if (signal > 0) {
		kill(self.tree.leader, signal);
	}
	if (self.kill_ns == 0 || at < self.kill_ns) {
		self.kill_ns = at;
	}
}

static void answer_signal(const struct executor_request *q)
{
	struct executor_report r = report_of(EXECUTOR_SIGNALLED);

	r.id = q->id;
	r.error = self.phase != RUNNING ? ESRCH : kill(self.tree.leader, q->signal) != 0 ? errno : 0;
	report(&r);
}

static void answer_stats(const struct executor_request *q)
{
	struct executor_report r = report_of(EXECUTOR_USAGE);

	r.id = q->id;
	tree_usage(&self.tree, &r);
	report(&r);
}

/* What is read in place must be ours alone: the other side could still write to the file. */
static int load_args(int fd, struct executor_spec *out, void **mapping, size_t *size)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > ARGS_MAX_BYTES) {
		return EINVAL;
	}
	*size = (size_t)st.st_size;
	*mapping = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*mapping == MAP_FAILED) {
		return errno;
	}
	if (pread(fd, *mapping, *size, 0) != (ssize_t)*size || executor_spec_decode(*mapping, *size, out) != 0 ||
	    out->args_n == 0) {
		munmap(*mapping, *size);
		return EPROTO;
	}
	return 0;
}

static int run_command(const struct executor_request *q, const int fds[EXECUTOR_RUN_FDS], struct start_failure *failure)
{
	struct command *c = command_of(0);
	struct executor_spec spec = self.spec;
	struct executor_spec args;
	void *mapping;
	size_t size;
	pid_t pid;

	*failure = (struct start_failure){EXECUTOR_STAGE_SPEC, 0};
	if (self.phase != RUNNING || c == NULL) {
		return c == NULL ? EAGAIN : ESRCH;
	}
	failure->error = load_args(fds[0], &args, &mapping, &size);
	if (failure->error != 0) {
		return failure->error;
	}
	spec.args = args.args;
	spec.args_n = args.args_n;
	spec.command = args.args[0];
	pid = start_command(&spec, &self.tree, fds + 1, q->terminal != 0, failure);
	munmap(mapping, size);
	if (pid < 0) {
		return failure->error;
	}
	*c = (struct command){.pid = pid, .id = q->id};
	return 0;
}

static void answer_run(const struct executor_request *q, const int fds[EXECUTOR_RUN_FDS], unsigned n)
{
	struct executor_report r = report_of(EXECUTOR_RAN);
	struct start_failure failure = {EXECUTOR_STAGE_SPEC, EPROTO};

	r.id = q->id;
	r.error = n == EXECUTOR_RUN_FDS && q->id != 0 ? run_command(q, fds, &failure) : EPROTO;
	r.stage = failure.stage;
	if (r.error != 0) {
		report(&r);
	}
}

static void kill_command(uint64_t id)
{
	unsigned i;

	for (i = 0; i < EXECUTOR_RUNS_MAX; i++) {
		if (self.commands[i].pid > 0 && self.commands[i].id == id && id != 0) {
			end_command(&self.commands[i]);
		}
	}
}

static void obey(const struct executor_request *q, const int fds[EXECUTOR_RUN_FDS], unsigned n)
{
	switch (q->type) {
	case EXECUTOR_SIGNAL:
		answer_signal(q);
		break;
	case EXECUTOR_KILL:
		kill_after(q->signal, q->timeout_ns);
		break;
	case EXECUTOR_STATS:
		answer_stats(q);
		break;
	case EXECUTOR_DESTROY:
		self.destroyed = true;
		kill_after(0, 0);
		break;
	case EXECUTOR_RUN:
		answer_run(q, fds, n);
		break;
	case EXECUTOR_RUN_KILL:
		kill_command(q->id);
		break;
	default: /* Of a newer agent, which must do without an answer. */
		break;
	}
}

/* Those that came with the message; more than we have room for the kernel has closed. */
static unsigned take_fds(struct msghdr *m, int fds[EXECUTOR_RUN_FDS])
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	size_t bytes;

	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
		return 0;
	}
	bytes = c->cmsg_len - CMSG_LEN(0);
	memcpy(fds, CMSG_DATA(c), bytes);
	return (unsigned)(bytes / sizeof(int));
}

static ssize_t receive(struct executor_request *q, int fds[EXECUTOR_RUN_FDS], unsigned *fds_n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(EXECUTOR_RUN_FDS * sizeof(int))];
	} control;
	struct iovec iov = {q, sizeof(*q)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof(control.room)};
	ssize_t n = recvmsg(self.agent, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fds_n = n > 0 ? take_fds(&m, fds) : 0;
	return n;
}

/* Without an agent the task runs on, and what it has asked for beside it ends. */
static void lose_agent(void)
{
	close(self.agent);
	self.agent = -1;
	end_commands();
}

static void agent_readable(void)
{
	struct executor_request q;
	int fds[EXECUTOR_RUN_FDS];
	unsigned fds_n;
	ssize_t n = receive(&q, fds, &fds_n);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n > 0 && executor_message_fix(&q, sizeof(q), n)) {
		obey(&q, fds, fds_n);
	} else {
		lose_agent();
	}
	while (fds_n > 0) {
		close(fds[--fds_n]);
	}
}

/* The state directory is closed to other users; this holds even if someone opens it. */
static bool may_command(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

/* The latest agent is the one that counts. */
static void accept_agent(void)
{
	int fd = accept4(self.listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		return;
	}
	if (!may_command(fd)) {
		close(fd);
		return;
	}
	if (self.agent >= 0) {
		lose_agent();
	}
	self.agent = fd;
	if (self.reported) {
		report(&self.exit);
	} else {
		report_started();
	}
}

static void signals_readable(void)
{
	struct signalfd_siginfo s;

	while (read(self.signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo == SIGTERM) {
			kill_after(SIGTERM, SHUTDOWN_NS);
		} else if (s.ssi_signo == SIGQUIT) {
			kill_after(0, 0);
		}
	}
	wait_children();
}

/* ---- the loop ---- */

static void earlier(int64_t *at, int64_t candidate)
{
	if (candidate > 0 && (*at == 0 || candidate < *at)) {
		*at = candidate;
	}
}

static int poll_timeout_ms(int64_t now)
{
	int64_t at = self.kill_ns;
	int64_t ms;

	earlier(&at, self.out.retry_ns);
	earlier(&at, self.err.retry_ns);
	if (self.phase == CLEARING) {
		earlier(&at, now + (self.reported ? SECOND_NS : CLEAR_RETRY_NS));
	}
	if (at == 0) {
		return -1;
	}
	ms = at <= now ? 0 : (at - now + 999999) / 1000000;
	return ms > 3600000 ? 3600000 : (int)ms;
}

static void turn(struct pollfd fds[FDS])
{
	int64_t now = now_ns();

	fds[FD_SIGNAL] = (struct pollfd){.fd = self.signals, .events = POLLIN};
	fds[FD_LISTEN] = (struct pollfd){.fd = self.listener, .events = POLLIN};
	fds[FD_AGENT] = (struct pollfd){.fd = self.agent, .events = POLLIN};
	fds[FD_OUT] = (struct pollfd){.fd = self.out.retry_ns > 0 ? -1 : self.out.from, .events = POLLIN};
	fds[FD_ERR] = (struct pollfd){.fd = self.err.retry_ns > 0 ? -1 : self.err.from, .events = POLLIN};
	if (poll(fds, FDS, poll_timeout_ms(now)) < 0 && errno != EINTR) {
		abort();
	}
	now = now_ns();
	if (fds[FD_OUT].revents != 0 || self.out.retry_ns > 0) {
		logs_pump(&self.out, now);
	}
	if (fds[FD_ERR].revents != 0 || self.err.retry_ns > 0) {
		logs_pump(&self.err, now);
	}
	if (fds[FD_AGENT].revents != 0) {
		agent_readable();
	}
	if (fds[FD_LISTEN].revents != 0) {
		accept_agent();
	}
	if (fds[FD_SIGNAL].revents != 0) {
		signals_readable();
	}
	if (self.kill_ns > 0 && now >= self.kill_ns) {
		self.kill_ns = 0;
		kill_after(0, 0);
	}
	clear();
}

/* ---- the start ---- */

/* Nothing of the agent's may stay open here: a listening socket would outlive it. */
static void close_inherited(void)
{
	int fd;

	if (syscall(SYS_close_range, EXECUTOR_SPEC_FD + 1, ~0U, 0) != 0) {
		for (fd = EXECUTOR_SPEC_FD + 1; fd < 4096; fd++) {
			close(fd);
		}
	}
	fcntl(EXECUTOR_SOCKET_FD, F_SETFD, FD_CLOEXEC);
	fcntl(EXECUTOR_SPEC_FD, F_SETFD, FD_CLOEXEC);
}

static void take_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	self.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (self.signals < 0) {
		fail(EXECUTOR_STAGE_SPEC, errno);
	}
}

/* It stays mapped. */
static void load_spec(struct executor_spec *spec)
{
	struct stat st;
	void *mapping;
	int rv;

	if (fstat(EXECUTOR_SPEC_FD, &st) != 0 || st.st_size <= 0 || st.st_size > SPEC_MAX_BYTES) {
		fail(EXECUTOR_STAGE_SPEC, EINVAL);
	}
	mapping = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, EXECUTOR_SPEC_FD, 0);
	close(EXECUTOR_SPEC_FD);
	if (mapping == MAP_FAILED) {
		fail(EXECUTOR_STAGE_SPEC, errno);
	}
	rv = executor_spec_decode(mapping, (size_t)st.st_size, spec);
	if (rv != 0 || strlen(spec->run) != EXECUTOR_RUN_TEXT - 1) {
		fail(EXECUTOR_STAGE_SPEC, EPROTO);
	}
	memcpy(self.run, spec->run, EXECUTOR_RUN_TEXT);
}

static void open_state(const struct executor_spec *spec)
{
	int error;

	self.state_dir = open(spec->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (self.state_dir < 0) {
		fail(EXECUTOR_STAGE_STATE, errno);
	}
	error = make_exit_file(spec);
	if (error == 0) {
		error = listen_for_agents();
	}
	if (error != 0) {
		fail(EXECUTOR_STAGE_STATE, error);
	}
}

/* The end of the pipe for the task to write to. Only the other one is non-blocking: a task may not expect it. */
static int open_stream(struct logs *l, int dir, const char *name, const struct executor_spec *spec)
{
	int ends[2];
	int rv = logs_open(l, dir, name, spec->log_max_files, spec->log_max_file_bytes);

	if (rv != 0) {
		fail(EXECUTOR_STAGE_LOGS, -rv);
	}
	if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
		fail(EXECUTOR_STAGE_LOGS, errno);
	}
	l->from = ends[0];
	return ends[1];
}

static void open_streams(const struct executor_spec *spec, int to[2])
{
	int dir;

	self.out.from = self.err.from = -1;
	self.out.file = self.err.file = -1;
	if (spec->log_disabled) {
		to[0] = open("/dev/null", O_WRONLY | O_CLOEXEC);
		to[1] = to[0];
		return;
	}
	dir = open(spec->log_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		fail(EXECUTOR_STAGE_LOGS, errno);
	}
	to[0] = open_stream(&self.out, dir, spec->stdout_name, spec);
	to[1] = open_stream(&self.err, dir, spec->stderr_name, spec);
}

static bool is_told_to_go(void)
{
	struct executor_request q;
	ssize_t n = recv(self.agent, &q, sizeof(q), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return false;
	}
	if (n <= 0 || !executor_message_fix(&q, sizeof(q), n) || q.type == EXECUTOR_DESTROY) {
		leave(0);
	}
	if (q.type != EXECUTOR_GO) {
		obey(&q, NULL, 0);
	}
	return q.type == EXECUTOR_GO;
}

static void leave_if_signalled(void)
{
	struct signalfd_siginfo s;

	while (read(self.signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo == SIGTERM || s.ssi_signo == SIGQUIT) {
			leave(0);
		}
	}
}

static void await_go(void)
{
	struct executor_report r = report_of(EXECUTOR_READY);
	struct pollfd fds[] = {{.fd = self.agent, .events = POLLIN}, {.fd = self.signals, .events = POLLIN}};

	if (!report(&r)) {
		leave(0);
	}
	do {
		if (poll(fds, 2, -1) < 0 && errno != EINTR) {
			abort();
		}
		leave_if_signalled();
	} while (!is_told_to_go());
}

static void run(const struct executor_spec *spec)
{
	struct start_failure failure;
	int to[2];
	int error;
	pid_t pid;

	open_state(spec);
	open_streams(spec, to);
	error = tree_open(&self.tree, spec);
	if (error != 0) {
		fail(EXECUTOR_STAGE_LIMITS, error);
	}
	if (spec->wait_go) {
		await_go();
	}
	pid = start_task(spec, &self.tree, to[0], to[1], record_start, &failure);
	if (pid < 0) {
		fail((enum executor_stage)failure.stage, failure.error);
	}
	close(to[0]);
	if (to[1] != to[0]) {
		close(to[1]);
	}
	self.phase = RUNNING;
	if (!report_started() && !spec->wait_go) {
		/* The agent has died meanwhile and has kept no record: no other will look for this task. */
		self.destroyed = true;
		kill_after(0, 0);
	}
}

int main(void)
{
	struct pollfd fds[FDS];

	close_inherited();
	setsid();
	take_signals();
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	tree_init(&self.tree);
	load_spec(&self.spec);
	if (chdir("/") != 0) {
		fail(EXECUTOR_STAGE_STATE, errno);
	}
	run(&self.spec);
	for (;;) {
		turn(fds);
	}
}
