/*
 * Each command has a thread: it has the engine make and start it, then carries bytes between the connection that the
 * engine turns into the command's streams, and pipes whose other ends the loop has; at last it asks for the exit code.
 *
 *     the engine's end of the connection <== thread ==> three pipes <== client/driver_command.c
 *
 * A pipe that is full is waited for, so nothing grows. An engine has no request for killing a command: its first process
 * is killed by its number, when the kernel says that it is the container's.
 */
#include "client/docker_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/docker_engine.h"
#include "client/driver_config.h"
#include "lib/bell.h"
#include "proto/error.h"
#include "proto/object.h"

enum {
	SHORT_S = 30,
	ID_TEXT = 65,
	FRAME_HEAD = 8,
	PIECE = 16 << 10,
	HEAD_MAX = 16 << 10,
	KILL_TRIES = 20,
	KILL_PAUSE_MS = 50,
};

/* A direction of the traffic: what was read and is not written yet. */
struct way {
	char data[PIECE];
	size_t at, n;
};

struct docker_run {
	/* The loop's. */
	struct driver_command *cmd; /* NULL: forgotten. */
	struct driver_host *host;
	struct bell wake;
	uv_thread_t thread;

	/* Written before the thread begins. */
	char *socket;
	char container[ID_TEXT];
	struct buf body;
	bool terminal;
	int poke; /* Wakes the thread: it is to end, or there is a new size. */

	atomic_bool unwanted;
	atomic_uint size; /* Rows and columns, 16 bits each; 0: none was told since the last. */

	/* The thread's. */
	char id[ID_TEXT]; /* Of what the engine runs. */
	int pipes[DRIVER_STREAMS]; /* -1: closed. */
	int engine;
	uint8_t head[FRAME_HEAD]; /* Of the engine's frames; a terminal has none. */
	size_t head_n;
	uint32_t frame_left;
	enum driver_stream to;
	struct way down, up;

	/* By the thread, for the loop when it is woken. */
	struct driver_command_end end;
};

#define DOCKER_CREATED_FIELDS(X, T) X(T, STR, id, "Id")
#define DOCKER_INSPECTED_FIELDS(X, T)        \
	X(T, BOOL, running, "Running")       \
	X(T, INT, exit_code, "ExitCode")     \
	X(T, INT, pid, "Pid")

OBJECT_DECLARE(docker_created, DOCKER_CREATED_FIELDS);
OBJECT_DECLARE(docker_inspected, DOCKER_INSPECTED_FIELDS);
OBJECT_DEFINE(docker_created, DOCKER_CREATED_FIELDS);
OBJECT_DEFINE(docker_inspected, DOCKER_INSPECTED_FIELDS);

/* ---- the thread: questions ---- */

static int ask(struct docker_run *r, const char *method, const char *path, const char *body, struct buf *reply,
	       char why[ENGINE_WHY])
{
	const struct engine_call c = {
		.socket = r->socket, .method = method, .path = path, .body = body, .timeout_s = SHORT_S};

	return engine_call(&c, reply, why);
}

static int fail(struct docker_run *r, const char *what, const char *why)
{
	snprintf(r->end.error, sizeof(r->end.error), "%s: %.300s", what, why);
	return ERR_IO;
}

static bool is_id(const char *id)
{
	return strlen(id) == ID_TEXT - 1 && strspn(id, "0123456789abcdef") == ID_TEXT - 1;
}

static int create(struct docker_run *r)
{
	struct docker_created made;
	struct buf reply = {0};
	struct arena mem = {0};
	char why[ENGINE_WHY] = "the engine's answer makes no sense";
	char path[128];
	int status;
	int rv = 0;

	snprintf(path, sizeof(path), "/containers/%s/exec", r->container);
	status = ask(r, "POST", path, buf_text(&r->body), &reply, why);
	if (status != 201 || json_decode(&docker_created_type, &made, reply.at, reply.len, &mem, NULL) != 0 ||
	    !is_id(made.id)) {
		rv = fail(r, "failed to make the command in the container", why);
	} else {
		memcpy(r->id, made.id, ID_TEXT);
	}
	arena_close(&mem);
	buf_close(&reply);
	return rv;
}

static int inspect(struct docker_run *r, struct docker_inspected *out)
{
	struct buf reply = {0};
	struct arena mem = {0};
	char why[ENGINE_WHY];
	char path[128];
	int rv = ERR_IO;

	snprintf(path, sizeof(path), "/exec/%s/json", r->id);
	if (ask(r, "GET", path, NULL, &reply, why) == 200) {
		rv = json_decode(&docker_inspected_type, out, reply.at, reply.len, &mem, NULL);
	}
	arena_close(&mem); /* It holds numbers alone. */
	buf_close(&reply);
	return rv;
}

static void resize(struct docker_run *r)
{
	unsigned size = atomic_exchange(&r->size, 0);
	char why[ENGINE_WHY];
	char path[160];

	if (size != 0 && r->terminal) {
		snprintf(path, sizeof(path), "/exec/%s/resize?h=%u&w=%u", r->id, size >> 16, size & 0xffff);
		(void)ask(r, "POST", path, NULL, NULL, why);
	}
}

/* ---- the thread: the connection ---- */

static int connect_engine(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = strlen(path) < sizeof(addr.sun_path) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;

	if (fd < 0) {
		return -1;
	}
	strcpy(addr.sun_path, path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Byte by byte, so that what follows is still in the socket. False if there is no end of a head. */
static bool read_head(int fd, struct buf *head)
{
	char c;

	while (head->len < HEAD_MAX && !head->failed) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, SHORT_S * 1000) <= 0 || recv(fd, &c, 1, 0) != 1) {
			return false;
		}
		buf_byte(head, c);
		if (head->len >= 4 && memcmp(head->at + head->len - 4, "\r\n\r\n", 4) == 0) {
			return true;
		}
	}
	return false;
}

/* The rest of an answer that is an error, as far as it has come. */
static void read_error(struct docker_run *r, struct buf *text)
{
	char piece[512];
	ssize_t n = recv(r->engine, piece, sizeof(piece) - 1, 0);

	buf_put(text, piece, n > 0 ? (size_t)n : 0);
	fail(r, "failed to start the command in the container", buf_text(text));
}

/* From here on the connection carries the command's streams. */
static int start(struct docker_run *r)
{
	const char *body = r->terminal ? "{\"Detach\":false,\"Tty\":true}" : "{\"Detach\":false,\"Tty\":false}";
	struct buf text = {0};
	int rv = 0;

	r->engine = connect_engine(r->socket);
	if (r->engine < 0) {
		return fail(r, "failed to connect to docker daemon", strerror(errno));
	}
	buf_printf(&text,
		   "POST /exec/%s/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
		   "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: %zu\r\n\r\n%s",
		   r->id, strlen(body), body);
	if (text.failed || send(r->engine, text.at, text.len, MSG_NOSIGNAL) != (ssize_t)text.len) {
		rv = fail(r, "failed to start the command in the container", strerror(errno));
	}
	text.len = 0;
	if (rv == 0 && !read_head(r->engine, &text)) {
		rv = fail(r, "failed to start the command in the container", "the engine does not answer");
	} else if (rv == 0 && strncmp(text.at, "HTTP/1.1 101", 12) != 0 && strncmp(text.at, "HTTP/1.1 200", 12) != 0) {
		text.len = 0;
		read_error(r, &text);
		rv = ERR_IO;
	}
	buf_close(&text);
	return rv;
}

/* ---- the thread: the traffic ---- */

static void close_pipe(struct docker_run *r, enum driver_stream s)
{
	if (r->pipes[s] >= 0) {
		close(r->pipes[s]);
		r->pipes[s] = -1;
	}
}

/* As much as it takes without waiting. False: it takes nothing any more. */
static bool put(int fd, struct way *w, size_t n)
{
	ssize_t done = write(fd, w->data + w->at, n);

	if (done < 0 && errno != EAGAIN && errno != EINTR) {
		return false;
	}
	w->at += done > 0 ? (size_t)done : 0;
	return true;
}

/* The head of a frame says which stream it is of, and how long it is. */
static void take_head(struct docker_run *r)
{
	while (r->head_n < FRAME_HEAD && r->down.at < r->down.n) {
		r->head[r->head_n++] = (uint8_t)r->down.data[r->down.at++];
	}
	if (r->head_n == FRAME_HEAD) {
		r->head_n = 0;
		r->to = r->head[0] == 2 ? DRIVER_STDERR : DRIVER_STDOUT;
		r->frame_left = (uint32_t)r->head[4] << 24 | (uint32_t)r->head[5] << 16 | (uint32_t)r->head[6] << 8 |
				r->head[7];
	}
}

/* What has come, to the pipe that it is for, until that is full. What nobody reads any more goes nowhere. */
static void pass_down(struct docker_run *r)
{
	struct way *w = &r->down;

	while (w->at < w->n) {
		size_t n = w->n - w->at;
		size_t before = w->at;

		if (r->terminal) {
			r->to = DRIVER_STDOUT;
		} else if (r->frame_left == 0) {
			take_head(r);
			continue;
		} else {
			n = n < r->frame_left ? n : r->frame_left;
		}
		if (r->pipes[r->to] < 0) {
			w->at += n;
		} else if (!put(r->pipes[r->to], w, n)) {
			close_pipe(r, r->to);
		} else if (w->at == before) {
			return;
		}
		r->frame_left -= r->terminal ? 0 : (uint32_t)(w->at - before);
	}
	w->at = w->n = 0;
}

static bool read_way(int fd, struct way *w)
{
	ssize_t n = read(fd, w->data, sizeof(w->data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return true;
	}
	w->at = 0;
	w->n = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* The end of the input is the end of our half of the connection. */
static void pass_up(struct docker_run *r, short events)
{
	struct way *w = &r->up;

	if (w->n == 0 && events != 0 && r->pipes[DRIVER_STDIN] >= 0 && !read_way(r->pipes[DRIVER_STDIN], w)) {
		close_pipe(r, DRIVER_STDIN);
		(void)shutdown(r->engine, SHUT_WR);
	}
	if (w->n > 0 && !put(r->engine, w, w->n - w->at)) {
		close_pipe(r, DRIVER_STDIN);
		w->at = w->n;
	}
	if (w->at == w->n) {
		w->at = w->n = 0;
	}
}

static void wait_for_traffic(struct docker_run *r, struct pollfd p[4])
{
	int to = r->pipes[r->to];
	bool down_waits = r->down.n > 0;

	p[0] = (struct pollfd){.fd = r->engine, .events = 0};
	p[0].events |= down_waits ? 0 : POLLIN;
	p[0].events |= r->up.n > 0 ? POLLOUT : 0;
	p[0].fd = p[0].events == 0 ? -1 : r->engine;
	p[1] = (struct pollfd){.fd = r->up.n > 0 ? -1 : r->pipes[DRIVER_STDIN], .events = POLLIN};
	p[2] = (struct pollfd){.fd = down_waits ? to : -1, .events = POLLOUT};
	p[3] = (struct pollfd){.fd = r->poke, .events = POLLIN};
	(void)poll(p, 4, -1);
}

static void carry(struct docker_run *r)
{
	struct pollfd p[4];
	uint64_t pokes;

	(void)fcntl(r->engine, F_SETFL, O_NONBLOCK);
	resize(r);
	while (!atomic_load(&r->unwanted)) {
		wait_for_traffic(r, p);
		if ((p[3].revents & POLLIN) != 0 && read(r->poke, &pokes, sizeof(pokes)) > 0) {
			resize(r);
		}
		if (r->down.n == 0 && p[0].fd >= 0 && (p[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
		    !read_way(r->engine, &r->down)) {
			return;
		}
		pass_down(r);
		pass_up(r, p[1].revents);
	}
}

/* ---- the thread: the end ---- */

/* Whether the process is the container's: an engine elsewhere, or in a namespace of its own, counts differently. */
static bool is_in_container(const struct docker_run *r, int64_t pid)
{
	char path[64];
	char line[1024];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%lld/cgroup", (long long)pid);
	f = fopen(path, "re");
	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL) {
		found = strstr(line, r->container) != NULL;
	}
	if (f != NULL) {
		fclose(f);
	}
	return found;
}

/* The descriptor is of one process, whatever becomes of its number. */
static void kill_process(const struct docker_run *r, int64_t pid)
{
	int fd = pid > 1 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;

	if (fd >= 0) {
		if (is_in_container(r, pid)) {
			(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
		}
		close(fd);
	}
}

/* One that has just been started may have no number yet. */
static void end_unwanted(struct docker_run *r, struct docker_inspected *i)
{
	int tries;

	for (tries = 0; i->running && i->pid == 0 && tries < KILL_TRIES; tries++) {
		(void)poll(NULL, 0, KILL_PAUSE_MS);
		if (inspect(r, i) != 0) {
			return;
		}
	}
	if (i->running) {
		kill_process(r, i->pid);
	}
}

static void finish(struct docker_run *r)
{
	struct docker_inspected i;

	if (inspect(r, &i) != 0) {
		fail(r, "the command's end is not known", "the engine does not answer");
		return;
	}
	if (atomic_load(&r->unwanted)) {
		end_unwanted(r, &i);
	}
	r->end.code = (int)i.exit_code;
	r->end.signal = i.exit_code > 128 && i.exit_code < 128 + 65 ? (int)i.exit_code - 128 : 0;
}

static void run(void *arg)
{
	struct docker_run *r = arg;
	int i;

	if (create(r) == 0 && start(r) == 0) {
		carry(r);
		finish(r);
	}
	if (r->engine >= 0) {
		close(r->engine);
	}
	for (i = 0; i < DRIVER_STREAMS; i++) {
		close_pipe(r, (enum driver_stream)i);
	}
	bell_ring(&r->wake);
}

/* ---- the loop ---- */

static void free_run(struct docker_run *r)
{
	int i;

	for (i = 0; i < DRIVER_STREAMS; i++) {
		close_pipe(r, (enum driver_stream)i);
	}
	if (r->poke >= 0) {
		close(r->poke);
	}
	buf_close(&r->body);
	free(r->socket);
	free(r);
}

static void closed_cb(struct bell *wake)
{
	struct docker_run *r = wake->data;
	struct driver_host *host = r->host;

	free_run(r);
	driver_host_left(host);
}

/* The thread is through. */
static void wake_cb(struct bell *wake)
{
	struct docker_run *r = wake->data;

	uv_thread_join(&r->thread);
	if (r->cmd != NULL) {
		driver_command_over(r->cmd, &r->end);
	}
	bell_close(wake, closed_cb);
}

static void poke(struct docker_run *r)
{
	const uint64_t one = 1;

	if (write(r->poke, &one, sizeof(one)) < 0) {
		/* It is poked already. */
	}
}

void docker_command_kill(struct driver_command *cmd)
{
	struct docker_run *r = cmd->inner;

	r->cmd = NULL;
	atomic_store(&r->unwanted, true);
	poke(r);
}

void docker_command_resize(struct driver_command *cmd, unsigned rows, unsigned columns)
{
	struct docker_run *r = cmd->inner;

	rows = rows < 0xffff ? rows : 0xffff;
	columns = columns < 0xffff ? columns : 0xffff;
	atomic_store(&r->size, rows << 16 | columns);
	poke(r);
}

static void put_body(const struct driver_command *cmd, struct buf *out)
{
	uint32_t i;

	buf_printf(out, "{\"AttachStdin\":true,\"AttachStdout\":true,\"AttachStderr\":true,\"Tty\":%s,\"Cmd\":[",
		   cmd->terminal ? "true" : "false");
	for (i = 0; i < cmd->argc; i++) {
		buf_str(out, i > 0 ? "," : "");
		json_put_str(out, cmd->argv[i], strlen(cmd->argv[i]));
	}
	buf_str(out, "]}");
}

static bool take_pipes(struct docker_run *r, const int fds[3])
{
	int i;

	for (i = 0; i < DRIVER_STREAMS; i++) {
		r->pipes[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (r->pipes[i] < 0 || fcntl(r->pipes[i], F_SETFL, O_NONBLOCK) != 0) {
			return false;
		}
	}
	return true;
}

static struct docker_run *make_run(const char *socket, const char *id, struct driver_command *cmd, const int fds[3])
{
	struct docker_run *r = calloc(1, sizeof(*r));
	int i;

	if (r == NULL) {
		return NULL;
	}
	for (i = 0; i < DRIVER_STREAMS; i++) {
		r->pipes[i] = -1;
	}
	r->engine = -1;
	r->cmd = cmd;
	r->host = cmd->host;
	r->terminal = cmd->terminal;
	r->to = DRIVER_STDOUT;
	r->socket = strdup(socket);
	r->poke = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	snprintf(r->container, sizeof(r->container), "%s", id);
	put_body(cmd, &r->body);
	(void)buf_text(&r->body);
	if (r->socket == NULL || r->poke < 0 || r->body.failed || !take_pipes(r, fds)) {
		free_run(r);
		return NULL;
	}
	return r;
}

int docker_command(const char *socket, const char *id, struct driver_command *cmd, const int fds[3],
		   struct driver_error *error)
{
	struct docker_run *r = make_run(socket, id, cmd, fds);

	if (r == NULL || bell_open(&r->wake, r->host->loop, wake_cb, r) != 0) {
		if (r != NULL) {
			free_run(r);
		}
		return driver_fault(error, "out of memory");
	}
	r->host->holders++;
	if (uv_thread_create(&r->thread, run, r) != 0) {
		bell_close(&r->wake, closed_cb);
		return driver_fault(error, "a thread for the command cannot be started");
	}
	cmd->inner = r;
	return 0;
}
