/**
 * Commands beside a running task: what "alloc exec", script checks and scripts of templates run.
 *
 * A command runs in all that its task is in (environment, directory, user, limits, root and namespaces), and never
 * longer than that. It has an input, an output and an error stream, or a terminal that is all three. Bytes go through
 * pipes of the kernel: while nobody reads here the command waits when it writes, and nothing grows.
 *
 *     driver_command_start() --> output_cb ... --> ended_cb     the last one; always comes, and never inside a call
 *
 * driver_command_stop() ends it, now or later, told or not: the command is killed if it runs, no callback comes any
 * more, and the pointer is dead. Each command must see it exactly once. The loop's thread only.
 */
#ifndef CLIENT_DRIVER_COMMAND_H_
#define CLIENT_DRIVER_COMMAND_H_

#include <uv.h>

#include "client/driver_host.h"

struct driver_command;

/* How it ended. */
struct driver_command_end {
	int code;   /* Of exit(); 128 + signal when a signal ended it. */
	int signal; /* 0 unless a signal ended it. */
	char error[DRIVER_ERROR_TEXT]; /* "" unless it could not be started, or was lost sight of. */
};

enum driver_stream { DRIVER_STDIN, DRIVER_STDOUT, DRIVER_STDERR, DRIVER_STREAMS };

struct driver_command_events {
	/* What it has written, at most 16 KiB at a time; len 0: that stream has ended. A terminal's is DRIVER_STDOUT. */
	void (*output_cb)(void *ctx, enum driver_stream stream, const char *data, size_t len);
	/* After driver_command_write() returned HTTP_WAIT: there is room again. NULL: nobody asks. */
	void (*room_cb)(void *ctx);
	void (*ended_cb)(void *ctx, const struct driver_command_end *end);
};

/* Run argv, n texts of which the first is what to execute. The texts are copied. NULL, and why in `error`: the driver
 * cannot, the task does not run, too much runs beside it already. */
struct driver_command *driver_command_start(struct driver_task *task, const char *const *argv, uint32_t n,
                                            bool terminal, const struct driver_command_events *events,
                                            void *ctx, struct driver_error *error);

/* To its input. 0; HTTP_WAIT: taken, but the next should wait for room_cb; ERR_BUSY: not taken, as the caller did not
 * wait; ERR_CLOSED: it does not read any more. */
int driver_command_write(struct driver_command *cmd, const char *data, size_t len);

/* The end of its input, behind what was written. A terminal is told it by the character for that. */
void driver_command_close_input(struct driver_command *cmd);

/* The terminal's size. */
void driver_command_resize(struct driver_command *cmd, unsigned rows, unsigned columns);

/* Whether to read its output: at first yes. */
void driver_command_read(struct driver_command *cmd, bool on);

void driver_command_stop(struct driver_command *cmd);

/* ---- for drivers ---- */

/* The head of a command, as the driver that runs it sees it. */
struct driver_command {
	struct driver_task *task; /* NULL: the task has been let go of, */
	bool over;                /* or the driver has told the end: it must not be asked for anything any more. */
	bool terminal;
	const char *const *argv;
	uint32_t argc;
	uint64_t id; /* The driver's own, */
	void *inner; /* and this too. */

	/* The rest is driver_command.c's. */
	struct driver_host *host;
	struct list link; /* In task->commands. */
	struct arena mem;
	struct driver_command_events events;
	void *ctx;
	struct driver_pipe {
		uv_pipe_t pipe;
		struct driver_command *cmd;
		enum driver_stream stream;
		bool open;  /* Has a descriptor that is not being closed. */
		bool ended; /* Nothing more is to be read. */
	} pipes[DRIVER_STREAMS];
	uv_timer_t timer;
	unsigned handles;
	bool pty; /* The terminal is ours: one descriptor is all of its streams. */
	bool reading, full, closing_input, stopped, told;
	struct driver_command_end end;
};

/* It has ended. Not from inside the driver's functions. `cmd` is no more the driver's. */
void driver_command_over(struct driver_command *cmd, const struct driver_command_end *end);

/* Its task is being let go of: all commands beside it end. */
void driver_commands_lose(struct driver_task *task);

#endif /* CLIENT_DRIVER_COMMAND_H_ */
