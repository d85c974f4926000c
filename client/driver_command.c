#include "client/driver_command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "client/driver_config.h"
#include "client/oserror.h"
#include "proto/error.h"
#include "proto/http.h"

enum {
	PIECE = 16 << 10,      /* Read at a time. */
	INPUT_WAIT = 64 << 10, /* Bytes of input under way from which the writer is asked to wait, */
	INPUT_MAX = 1 << 20,   /* and those that are not exceeded. */
	/* What it has started may hold its output open for ever. So long after its own end, or after the last that came
	 * since then, we stop listening. */
	LINGER_MS = 250,
	COMMANDS_MAX = 32,     /* Beside one task. */
};

/* ---- the end ---- */

static void free_command(struct driver_command *cmd)
{
	struct driver_host *host = cmd->host;

	arena_close(&cmd->mem);
	free(cmd);
	driver_host_left(host);
}

static void closed(struct driver_command *cmd)
{
	if (--cmd->handles == 0) {
		free_command(cmd);
	}
}

static void on_pipe_closed(uv_handle_t *handle)
{
	closed(((struct driver_pipe *)handle->data)->cmd);
}

static void on_timer_closed(uv_handle_t *handle)
{
	closed(handle->data);
}

static void close_pipe(struct driver_pipe *p)
{
	if (p->open) {
		p->open = false;
		uv_close((uv_handle_t *)&p->pipe, on_pipe_closed);
	}
}

static bool all_read(const struct driver_command *cmd)
{
	return cmd->pipes[DRIVER_STDOUT].ended && cmd->pipes[DRIVER_STDERR].ended;
}

static void tell_end(struct driver_command *cmd)
{
	uv_timer_stop(&cmd->timer);
	cmd->told = true;
	cmd->events.ended_cb(cmd->ctx, &cmd->end);
}

/* Its output is at an end, or so late that nobody waits for it any more. */
static void on_timer(uv_timer_t *timer)
{
	struct driver_command *cmd = timer->data;

	if (cmd->over && !cmd->told && !cmd->stopped) {
		tell_end(cmd);
	}
}

/* While we do not read, that nothing comes means nothing. */
static void wait_for_end(struct driver_command *cmd)
{
	if (!cmd->over || cmd->told || cmd->stopped) {
		return;
	}
	if (all_read(cmd)) {
		uv_timer_start(&cmd->timer, on_timer, 0, 0);
	} else if (cmd->reading) {
		uv_timer_start(&cmd->timer, on_timer, LINGER_MS, 0);
	} else {
		uv_timer_stop(&cmd->timer);
	}
}

static void leave_task(struct driver_command *cmd)
{
	cmd->over = true;
	cmd->task = NULL;
	list_remove(&cmd->link);
}

void driver_command_over(struct driver_command *cmd, const struct driver_command_end *end)
{
	leave_task(cmd);
	cmd->end = *end;
	wait_for_end(cmd);
}

void driver_commands_lose(struct driver_task *task)
{
	struct driver_command_end end = {.code = 137, .signal = 9};
	struct list *e;

	snprintf(end.error, sizeof(end.error), "the task has ended");
	while ((e = list_pop(&task->commands)) != NULL) {
		struct driver_command *cmd = CONTAINER_OF(e, struct driver_command, link);

		if (!cmd->over) {
			task->driver->command_kill(task, cmd);
		}
		driver_command_over(cmd, &end);
	}
}

void driver_command_stop(struct driver_command *cmd)
{
	int i;

	cmd->stopped = true;
	if (!cmd->over) {
		cmd->task->driver->command_kill(cmd->task, cmd);
		leave_task(cmd);
	}
	for (i = 0; i < DRIVER_STREAMS; i++) {
		close_pipe(&cmd->pipes[i]);
	}
	uv_close((uv_handle_t *)&cmd->timer, on_timer_closed);
}

/* ---- output ---- */

static void on_room_to_read(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char piece[PIECE]; /* Of the one loop that there is: what is read is told before the next is. */

	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(piece, sizeof(piece));
}

static void end_output(struct driver_pipe *p)
{
	struct driver_command *cmd = p->cmd;

	p->ended = true;
	uv_read_stop((uv_stream_t *)&p->pipe);
	if (p->stream != DRIVER_STDIN) {
		close_pipe(p);
	}
	cmd->events.output_cb(cmd->ctx, p->stream == DRIVER_STDIN ? DRIVER_STDOUT : p->stream, NULL, 0);
}

/* The callback may stop the command: then its memory stays until its handles are closed. A terminal that nobody has
 * open any more is an error to read (EIO). */
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct driver_pipe *p = stream->data;
	struct driver_command *cmd = p->cmd;

	if (n == 0 || cmd->stopped) {
		return;
	}
	if (n > 0) {
		cmd->events.output_cb(cmd->ctx, p->stream == DRIVER_STDIN ? DRIVER_STDOUT : p->stream, buf->base, (size_t)n);
	} else {
		if (p->stream == DRIVER_STDIN) {
			cmd->pipes[DRIVER_STDOUT].ended = cmd->pipes[DRIVER_STDERR].ended = true;
		}
		end_output(p);
	}
	if (!cmd->stopped) {
		wait_for_end(cmd);
	}
}

/* A terminal is read where it is written. */
static bool is_read(const struct driver_pipe *p)
{
	return p->open && !p->ended && (p->stream != DRIVER_STDIN || p->cmd->pty);
}

void driver_command_read(struct driver_command *cmd, bool on)
{
	int i;

	if (cmd->reading == on) {
		return;
	}
	cmd->reading = on;
	for (i = 0; i < DRIVER_STREAMS; i++) {
		struct driver_pipe *p = &cmd->pipes[i];

		if (is_read(p) && on) {
			(void)uv_read_start((uv_stream_t *)&p->pipe, on_room_to_read, on_read);
		} else if (is_read(p)) {
			uv_read_stop((uv_stream_t *)&p->pipe);
		}
	}
	wait_for_end(cmd);
}

/* ---- input ---- */

struct input {
	uv_write_t write;
	struct driver_pipe *to;
	char data[];
};

static size_t input_under_way(const struct driver_pipe *p)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&p->pipe);
}

static void finish_input(struct driver_command *cmd)
{
	if (cmd->closing_input && !cmd->terminal && input_under_way(&cmd->pipes[DRIVER_STDIN]) == 0) {
		close_pipe(&cmd->pipes[DRIVER_STDIN]);
	}
}

static void on_written(uv_write_t *write, int status)
{
	struct input *in = CONTAINER_OF(write, struct input, write);
	struct driver_command *cmd = in->to->cmd;

	free(in);
	if (cmd->stopped) {
		return;
	}
	if (status != 0 && !cmd->pty) {
		close_pipe(&cmd->pipes[DRIVER_STDIN]);
	}
	finish_input(cmd);
	if (cmd->full && input_under_way(&cmd->pipes[DRIVER_STDIN]) < INPUT_WAIT) {
		cmd->full = false;
		if (cmd->events.room_cb != NULL) {
			cmd->events.room_cb(cmd->ctx);
		}
	}
}

int driver_command_write(struct driver_command *cmd, const char *data, size_t len)
{
	struct driver_pipe *p = &cmd->pipes[DRIVER_STDIN];
	struct input *in;
	uv_buf_t buf;

	if (!p->open || cmd->closing_input || cmd->over) {
		return ERR_CLOSED;
	}
	if (input_under_way(p) + len > INPUT_MAX) {
		return ERR_BUSY;
	}
	in = malloc(sizeof(*in) + len);
	if (in == NULL) {
		return ERR_NOMEM;
	}
	memcpy(in->data, data, len);
	in->to = p;
	buf = uv_buf_init(in->data, (unsigned)len);
	if (uv_write(&in->write, (uv_stream_t *)&p->pipe, &buf, 1, on_written) != 0) {
		free(in);
		return ERR_CLOSED;
	}
	cmd->full = input_under_way(p) >= INPUT_WAIT;
	return cmd->full ? HTTP_WAIT : 0;
}

void driver_command_close_input(struct driver_command *cmd)
{
	static const char end_of_text = 4; /* What the terminal's line discipline takes for the end. */

	if (cmd->terminal && !cmd->closing_input) {
		(void)driver_command_write(cmd, &end_of_text, 1);
	}
	cmd->closing_input = true;
	finish_input(cmd);
}

void driver_command_resize(struct driver_command *cmd, unsigned rows, unsigned columns)
{
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
	uv_os_fd_t fd;

	if (!cmd->terminal || cmd->over) {
		return;
	}
	if (cmd->task->driver->command_resize != NULL) {
		cmd->task->driver->command_resize(cmd->task, cmd, rows, columns);
	} else if (uv_fileno((uv_handle_t *)&cmd->pipes[DRIVER_STDIN].pipe, &fd) == 0) {
		(void)ioctl(fd, TIOCSWINSZ, &size);
	}
}

/* ---- the start ---- */

static void close_all(int fds[DRIVER_STREAMS])
{
	int i;

	for (i = 0; i < DRIVER_STREAMS; i++) {
		if (fds[i] >= 0) {
			close(fds[i]);
			fds[i] = -1;
		}
	}
}

static int make_pipes(int ours[DRIVER_STREAMS], int theirs[DRIVER_STREAMS])
{
	int ends[2];
	int i;

	for (i = 0; i < DRIVER_STREAMS; i++) {
		if (pipe2(ends, O_CLOEXEC) != 0) {
			return errno;
		}
		ours[i] = ends[i == DRIVER_STDIN];
		theirs[i] = ends[i != DRIVER_STDIN];
	}
	return 0;
}

/* Our end is the master. */
static int make_terminal(int ours[DRIVER_STREAMS], int theirs[DRIVER_STREAMS])
{
	char path[64];
	int i;

	ours[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (ours[0] < 0 || grantpt(ours[0]) != 0 || unlockpt(ours[0]) != 0 ||
	    ptsname_r(ours[0], path, sizeof(path)) != 0) {
		return errno;
	}
	theirs[0] = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	for (i = 1; i < DRIVER_STREAMS && theirs[i - 1] >= 0; i++) {
		theirs[i] = fcntl(theirs[0], F_DUPFD_CLOEXEC, 0);
	}
	return theirs[DRIVER_STDERR] < 0 ? errno : 0;
}

/* The loop takes over our ends. Of a terminal there is one. */
static int take_ends(struct driver_command *cmd, int ours[DRIVER_STREAMS])
{
	int i;

	for (i = 0; i < DRIVER_STREAMS; i++) {
		struct driver_pipe *p = &cmd->pipes[i];

		p->cmd = cmd;
		p->stream = (enum driver_stream)i;
		if (ours[i] < 0) {
			p->ended = cmd->pty && i == DRIVER_STDERR;
			continue;
		}
		uv_pipe_init(cmd->host->loop, &p->pipe, 0);
		p->pipe.data = p;
		p->open = true;
		cmd->handles++;
		if (uv_pipe_open(&p->pipe, ours[i]) != 0) {
			return EMFILE;
		}
		ours[i] = -1;
	}
	return 0;
}

static bool copy_argv(struct driver_command *cmd, const char *const *argv, uint32_t n)
{
	const char **copy = arena_calloc(&cmd->mem, n + 1, sizeof(*copy));
	uint32_t i;

	for (i = 0; copy != NULL && i < n; i++) {
		copy[i] = arena_strdup(&cmd->mem, argv[i]);
		if (copy[i] == NULL) {
			return false;
		}
	}
	cmd->argv = copy;
	cmd->argc = n;
	return copy != NULL;
}

static struct driver_command *make(struct driver_task *task, bool terminal, const struct driver_command_events *events,
				   void *ctx)
{
	struct driver_command *cmd = calloc(1, sizeof(*cmd));

	if (cmd != NULL) {
		cmd->task = task;
		cmd->host = task->host;
		cmd->host->holders++;
		cmd->terminal = terminal;
		cmd->events = *events;
		cmd->ctx = ctx;
		list_insert(&task->commands, &cmd->link);
		uv_timer_init(cmd->host->loop, &cmd->timer);
		cmd->timer.data = cmd;
		cmd->handles = 1;
	}
	return cmd;
}

static int run(struct driver_command *cmd, struct driver_error *error)
{
	int ours[DRIVER_STREAMS] = {-1, -1, -1};
	int theirs[DRIVER_STREAMS] = {-1, -1, -1};
	char text[OSERROR_TEXT];
	int rv;

	cmd->pty = cmd->terminal && cmd->task->driver->command_resize == NULL;
	rv = cmd->pty ? make_terminal(ours, theirs) : make_pipes(ours, theirs);

	if (rv == 0) {
		rv = take_ends(cmd, ours);
	}
	if (rv != 0) {
		rv = driver_fault(error, "failed to make the streams of a command: %s", oserror_text(rv, text));
	} else {
		rv = cmd->task->driver->command(cmd->task, cmd, theirs, error);
	}
	close_all(ours);
	close_all(theirs);
	return rv;
}

static unsigned running(const struct driver_task *task)
{
	unsigned n = 0;

	LIST_EACH (e, &task->commands) {
		n++;
	}
	return n;
}

struct driver_command *driver_command_start(struct driver_task *task, const char *const *argv, uint32_t n,
					    bool terminal, const struct driver_command_events *events,
					    void *ctx, struct driver_error *error)
{
	struct driver_command *cmd = NULL;

	if (!(task->driver->capabilities & DRIVER_EXEC)) {
		driver_fault(error, "the %s driver cannot run commands inside of a task", task->driver->name);
	} else if (task->state != DRIVER_RUNNING) {
		driver_fault(error, "the task is not running");
	} else if (n == 0 || argv[0][0] == '\0') {
		driver_fault(error, "no command is given");
	} else if (running(task) >= COMMANDS_MAX) {
		driver_fault(error, "%u commands run beside the task already", COMMANDS_MAX);
	} else if ((cmd = make(task, terminal, events, ctx)) == NULL || !copy_argv(cmd, argv, n)) {
		driver_fault(error, "out of memory");
	} else if (run(cmd, error) == 0) {
		driver_command_read(cmd, true);
		return cmd;
	}
	if (cmd != NULL) {
		leave_task(cmd);
		driver_command_stop(cmd);
	}
	return NULL;
}
