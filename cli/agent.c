#include "cli/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/agent_parts.h"
#include "lib/folder.h"
#include "lib/log.h"
#include "proto/error.h"
#include "server/server.h"

enum {
	LEAVE_MS = 5000, /* For telling the other servers that this one leaves for good. */
	GRACE_MS = 200,  /* For requests under way at a client's HTTP port. */
	LOCK_MS = 2000,  /* For an agent before this one to be gone. */
	LOCKS = 3,
};

struct agent {
	const struct agent_config *config;
	struct arena mem;
	char log_file[4096]; /* "" : none. */
	int locks[LOCKS];    /* Directories that are this agent's alone. */
	unsigned n_locks;
	int signals; /* A signalfd, */
	int end;     /* and an eventfd: the server asks to be stopped, and why. */
	char end_why[AGENT_WHY];
	time_t started;
	int64_t files_max; /* Of tasks: see allow_files(). */

	struct agent_secrets secrets;
	struct agent_node *client;
	struct agent_front *front;
	struct server *server;
};

static const char *roles_text(const struct agent_config *c)
{
	return c->server->enabled && c->client->enabled ? "server and client" : c->server->enabled ? "server" : "client";
}

/* ---- the process ---- */

static void watched_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
}

/* Returns the limit as it was, which is the one for tasks; 0 for none. */
static int64_t allow_files(void)
{
	struct rlimit limit;
	int64_t before = 0;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		before = (int64_t)limit.rlim_cur;
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	return before;
}

/* Before there is a second thread: all inherit the mask, and read the environment. */
static int prepare_process(struct agent *a)
{
	sigset_t set;

	watched_signals(&set);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	a->files_max = allow_files();
	(void)setenv("UV_THREADPOOL_SIZE", "8", 0);
	a->signals = signalfd(-1, &set, SFD_CLOEXEC);
	a->end = eventfd(0, EFD_CLOEXEC);
	return a->signals < 0 || a->end < 0 ? errno : 0;
}

static void exit_at_once(int signal)
{
	(void)signal;
	_exit(EXIT_FAILURE);
}

/* Who asks twice does not want to wait. */
static void obey_second_signal(void)
{
	struct sigaction action = {.sa_handler = exit_at_once};
	sigset_t set;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- the log ---- */

/* A directory, or what looks like one, gets a file of the usual name. */
static void name_log(struct agent *a)
{
	const char *path = a->config->log_file;
	size_t n = strlen(path);
	struct stat st;
	bool directory = n > 0 && (path[n - 1] == '/' || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)));

	snprintf(a->log_file, sizeof(a->log_file), "%s%s%s", path, directory && path[n - 1] != '/' ? "/" : "",
		 directory ? "drover.log" : "");
}

static int open_log(struct agent *a, char why[AGENT_WHY])
{
	int error;

	log_set_json(a->config->log_json);
	name_log(a);
	error = a->log_file[0] != '\0' ? log_open(a->log_file) : 0;
	if (error != 0) {
		snprintf(why, AGENT_WHY, "log_file: %.400s: %s", a->log_file, strerror(error));
		return ERR_IO;
	}
	return 0;
}

/* Whoever turns the log's files over has moved the old one away. */
static void reopen_log(const struct agent *a)
{
	int error = a->log_file[0] != '\0' ? log_open(a->log_file) : 0;

	if (error != 0) {
		log_error("agent", "SIGHUP: %s: %s", a->log_file, strerror(error));
	} else if (a->log_file[0] != '\0') {
		log_info("agent", "SIGHUP: %s is open anew", a->log_file);
	}
}

static void read_again(struct agent *a)
{
	reopen_log(a);
	agent_secrets_reload(&a->secrets);
	log_info("agent", "SIGHUP: done; the configuration itself is read only once");
}

static void log_use(const struct agent *a)
{
	struct rusage use;
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f != NULL) {
		if (fscanf(f, "%*u %lu", &pages) != 1) {
			pages = 0;
		}
		fclose(f);
	}
	getrusage(RUSAGE_SELF, &use);
	log_info("agent", "up %ld s, resident %lu KiB, at most %ld KiB, user %ld.%02ld s, system %ld.%02ld s",
		 (long)(time(NULL) - a->started), pages * (unsigned long)sysconf(_SC_PAGESIZE) / 1024, use.ru_maxrss,
		 (long)use.ru_utime.tv_sec, (long)use.ru_utime.tv_usec / 10000, (long)use.ru_stime.tv_sec,
		 (long)use.ru_stime.tv_usec / 10000);
}

/* ---- directories ---- */

/* Tasks of other users than the agent's go through it to their own. What is private below it is 0700 itself. */
static mode_t data_mode(const struct agent_config *c)
{
	size_t n = strlen(c->data_dir);

	return c->client->enabled && strncmp(c->client->alloc_dir, c->data_dir, n) == 0 ? 0711 : 0700;
}

/* An agent that was killed holds its locks a little longer than its name: until the kernel has put away all that it had. */
static int await_lock(int fd)
{
	struct timespec pause = {0, 20 * 1000000};
	int tries = LOCK_MS / 20;

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK || tries-- == 0) {
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Two agents on one directory would spoil each other's state. */
static int lock_directory(struct agent *a, const char *key, const char *path, mode_t mode, char why[AGENT_WHY])
{
	int error = folder_make(path, mode);
	int fd = error == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd < 0) {
		snprintf(why, AGENT_WHY, "%s: %.400s: %s", key, path, strerror(error != 0 ? error : errno));
		return ERR_IO;
	}
	if (await_lock(fd) != 0) {
		snprintf(why, AGENT_WHY, "%s: %.400s: %s", key, path,
			 errno == EWOULDBLOCK ? "another agent is using it" : strerror(errno));
		close(fd);
		return ERR_BUSY;
	}
	a->locks[a->n_locks++] = fd;
	return 0;
}

/* The server's own directory has a lock of the server's. */
static int lock_directories(struct agent *a, char why[AGENT_WHY])
{
	const struct agent_config *c = a->config;
	int rv = lock_directory(a, "data_dir", c->data_dir, data_mode(c), why);

	if (rv == 0 && c->client->enabled) {
		rv = lock_directory(a, "client.state_dir", c->client->state_dir, 0700, why);
	}
	return rv;
}

/* ---- start ---- */

static void server_ended_cb(void *ctx, const char *why)
{
	struct agent *a = ctx;
	uint64_t one = 1;

	snprintf(a->end_why, sizeof(a->end_why), "%s", why);
	if (write(a->end, &one, sizeof(one)) < 0) {
		log_error("agent", "%s", strerror(errno)); /* It has room for 2^64 of them. */
	}
}

static int start_server(struct agent *a, char why[AGENT_WHY])
{
	const char *node_id = a->client != NULL ? agent_node_id(a->client) : NULL;
	struct server_config *config = arena_alloc(&a->mem, sizeof(*config));
	int rv;

	if (config == NULL) {
		snprintf(why, AGENT_WHY, "%s", error_text(ERR_NOMEM));
		return ERR_NOMEM;
	}
	rv = agent_server_config(a->config, node_id, &a->mem, config, why);
	config->http_tls = a->secrets.http;
	config->rpc_tls = a->secrets.rpc;
	config->rpc_upgrade = a->config->tls->rpc_upgrade_mode;
	config->rpc_verify_names = a->config->tls->verify_server_hostname;
	config->rpc_secret = a->secrets.key;
	config->rpc_secret_len = a->secrets.key_len;
	if (rv == 0) {
		rv = server_start(config, &a->server, why, AGENT_WHY);
	}
	if (rv == 0) {
		server_on_end(a->server, server_ended_cb, a);
	}
	return rv;
}

/* The client is opened first, since the server tells its node's ID, and begins last, when there is somebody to talk to. */
static int start_parts(struct agent *a, char why[AGENT_WHY])
{
	const struct agent_config *c = a->config;
	int rv = 0;

	if (c->client->enabled) {
		a->client = agent_node_open(c, &a->secrets, a->files_max, why);
		rv = a->client != NULL ? 0 : ERR_IO;
	}
	if (rv == 0) {
		rv = c->server->enabled ? start_server(a, why) : agent_front_start(c, a->secrets.http, a->client, &a->front, why);
	}
	if (rv == 0 && a->client != NULL && agent_node_start(a->client) != 0) {
		snprintf(why, AGENT_WHY, "%s", error_text(ERR_NOMEM));
		rv = ERR_NOMEM;
	}
	return rv;
}

static int start(struct agent *a, char why[AGENT_WHY])
{
	int rv = open_log(a, why);

	if (rv == 0) {
		rv = lock_directories(a, why);
	}
	if (rv == 0) {
		rv = agent_secrets_open(a->config, &a->secrets, why);
	}
	return rv == 0 ? start_parts(a, why) : rv;
}

/* ---- stop ---- */

/* Requests first, then who answers them. A client lets go of its tasks, for the next agent to find; those of -dev end. */
static void stop(struct agent *a)
{
	if (a->front != NULL) {
		agent_front_stop(a->front, GRACE_MS);
	}
	if (a->client != NULL) {
		agent_node_stop(a->client, a->config->dev_mode);
	}
	if (a->server != NULL) {
		server_stop(a->server);
	}
	if (a->front != NULL) {
		agent_front_close(a->front);
	}
	if (a->client != NULL) {
		agent_node_close(a->client);
	}
}

static void close_agent(struct agent *a)
{
	agent_secrets_close(&a->secrets);
	while (a->n_locks > 0) {
		close(a->locks[--a->n_locks]);
	}
	close(a->signals);
	close(a->end);
	arena_close(&a->mem);
}

/* ---- in between ---- */

static void print_banner(const struct agent_config *c)
{
	printf("==> drover v%s: %s\n\n"
	       "        Name: %s\n"
	       "      Region: %s (datacenter %s)\n"
	       "        HTTP: %s\n",
	       DROVER_VERSION, roles_text(c), c->name, c->region, c->datacenter, c->advertise->http);
	if (c->server->enabled) {
		printf("   RPC, Serf: %s, %s\n", c->advertise->rpc, c->advertise->serf);
	}
	printf("        Data: %s\n\n", c->data_dir);
	fflush(stdout);
}

static void tell_running(const struct agent_config *c)
{
	printf("==> drover agent started; its log follows\n\n");
	fflush(stdout);
	log_info("agent", "drover v%s: %s \"%s\" in datacenter %s of region %s", DROVER_VERSION, roles_text(c), c->name,
		 c->datacenter, c->region);
	log_info("agent", "HTTP at %s", c->advertise->http);
}

/* The next signal that asks for an end; 0 when the server does. */
static int wait_for_end(struct agent *a)
{
	struct pollfd fds[] = {{.fd = a->signals, .events = POLLIN}, {.fd = a->end, .events = POLLIN}};
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(fds, 2, -1) <= 0) {
			continue;
		}
		if ((fds[1].revents & POLLIN) != 0) {
			return 0;
		}
		if ((fds[0].revents & POLLIN) == 0 || read(a->signals, &info, sizeof(info)) != sizeof(info)) {
			continue;
		}
		if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM) {
			return (int)info.ssi_signo;
		}
		if (info.ssi_signo == SIGHUP) {
			read_again(a);
		} else {
			log_use(a);
		}
	}
}

static bool leaves(const struct agent_config *c, int signal)
{
	return (signal == SIGINT && c->leave_on_interrupt) || (signal == SIGTERM && c->leave_on_terminate);
}

static int serve(struct agent *a)
{
	int signal = wait_for_end(a);

	obey_second_signal();
	if (signal == 0) {
		log_error("agent", "stopping: %s", a->end_why);
		return EXIT_FAILURE;
	}
	log_info("agent", "stopping: %s", strsignal(signal));
	if (a->server != NULL && leaves(a->config, signal)) {
		log_info("agent", "leaving the cluster");
		server_leave(a->server, LEAVE_MS);
	}
	return EXIT_SUCCESS;
}

int agent_run(const struct agent_config *config)
{
	struct agent a = {.config = config, .started = time(NULL)};
	char why[AGENT_WHY] = "";
	int code = EXIT_FAILURE;
	int error = prepare_process(&a);

	if (error != 0) {
		fprintf(stderr, "drover: %s\n", strerror(error));
		return EXIT_FAILURE;
	}
	print_banner(config);
	if (start(&a, why) == 0) {
		tell_running(config);
		code = serve(&a);
	} else {
		fprintf(stderr, "==> drover cannot start: %s\n", why);
	}
	stop(&a);
	if (code == EXIT_SUCCESS) {
		log_info("agent", "stopped");
	}
	close_agent(&a);
	return code;
}
