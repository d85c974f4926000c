/** Commands beside a task, in the hands of its executor. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/driver_command.h"
#include "client/driver_config.h"
#include "client/executor_task.h"
#include "client/oserror.h"
#include "proto/error.h"

static struct executor_task *task_of(struct driver_task *base)
{
	return CONTAINER_OF(base, struct executor_task, base);
}

/* Its args as the bytes of a spec. The descriptor, or a negative errno value. */
static int args_file(const struct driver_command *cmd)
{
	struct executor_spec spec = {
#define X(name) .name = "",
		EXECUTOR_TEXTS(X)
#undef X
			.args = (char *const *)(uintptr_t)cmd->argv,
		.args_n = cmd->argc};

	return launch_spec_file(&spec);
}

/* 0 or an errno value. */
static int send_fds(int to, const struct executor_request *q, const int fds[EXECUTOR_RUN_FDS])
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(EXECUTOR_RUN_FDS * sizeof(int))];
	} control = {.room = {0}};
	struct iovec iov = {(void *)(uintptr_t)q, sizeof(*q)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(EXECUTOR_RUN_FDS * sizeof(int));
	memcpy(CMSG_DATA(c), fds, EXECUTOR_RUN_FDS * sizeof(int));
	return sendmsg(to, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(*q) ? 0 : errno;
}

int executor_command(struct driver_task *task, struct driver_command *cmd, const int fds[3], struct driver_error *error)
{
	struct executor_task *t = task_of(task);
	struct executor_request q = {.size = sizeof(q), .type = EXECUTOR_RUN, .terminal = cmd->terminal};
	int all[EXECUTOR_RUN_FDS];
	char text[OSERROR_TEXT];
	int rv;

	if (t->fd < 0 || !(t->abilities & EXECUTOR_CAN_RUN)) {
		return driver_fault(error, t->fd < 0 ? "the task's executor does not answer"
						     : "the task was started by an older agent, whose executor cannot run "
						       "commands beside it");
	}
	all[0] = args_file(cmd);
	memcpy(all + 1, fds, 3 * sizeof(fds[0]));
	if (all[0] < 0) {
		return driver_fault(error, "failed to write down the command: %s", oserror_text(-all[0], text));
	}
	cmd->id = q.id = ++t->last_question;
	rv = send_fds(t->fd, &q, all);
	close(all[0]);
	return rv == 0 ? 0 : driver_fault(error, "failed to tell the executor: %s", oserror_text(rv, text));
}

void executor_command_kill(struct driver_task *task, struct driver_command *cmd)
{
	struct executor_request q = {.size = sizeof(q), .type = EXECUTOR_RUN_KILL, .id = cmd->id};
	struct executor_task *t = task_of(task);

	/* That it is not taken means that the connection breaks, and then they all end. */
	if (t->fd >= 0 && send(t->fd, &q, sizeof(q), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		executor_task_disconnect(t);
	}
}

static struct driver_command *command_of(struct executor_task *t, uint64_t id)
{
	LIST_EACH (e, &t->base.commands) {
		struct driver_command *cmd = CONTAINER_OF(e, struct driver_command, link);

		if (cmd->id == id) {
			return cmd;
		}
	}
	return NULL;
}

/* What could not be done about it. The texts of the task's own start fit, but for what goes with them. */
static void tell_failure(const struct driver_command *cmd, const struct executor_report *r,
			 struct driver_command_end *end)
{
	char text[OSERROR_TEXT];
	const char *what = "start";

	switch (r->stage) {
#define X(name, doing, member)                                                                                         \
	case EXECUTOR_STAGE_##name:                                                                                    \
		what = doing;                                                                                          \
		break;
		EXECUTOR_STAGES(X)
#undef X
	default:
		break;
	}
	if (r->stage == EXECUTOR_STAGE_EXEC) {
		snprintf(end->error, sizeof(end->error), "failed to start command \"%.200s\": %s", cmd->argv[0],
			 strchr(cmd->argv[0], '/') == NULL && r->error == ENOENT ? "executable file not found in $PATH"
										 : oserror_text(r->error, text));
	} else if (r->stage == EXECUTOR_STAGE_SPEC) {
		snprintf(end->error, sizeof(end->error), "failed to start command \"%.200s\": %s", cmd->argv[0],
			 oserror_text(r->error, text));
	} else {
		snprintf(end->error, sizeof(end->error), "failed to %s the task's for command \"%.200s\": %s", what,
			 cmd->argv[0], oserror_text(r->error, text));
	}
}

void executor_command_ran(struct executor_task *t, const struct executor_report *r)
{
	struct driver_command *cmd = command_of(t, r->id);
	struct driver_command_end end = {.code = r->code, .signal = r->signal};

	if (cmd == NULL) {
		return; /* Nobody wants to know any more. */
	}
	if (r->error != 0) {
		tell_failure(cmd, r, &end);
	}
	driver_command_over(cmd, &end);
}

void executor_commands_lost(struct executor_task *t)
{
	struct driver_command_end end = {.code = 137, .signal = 9};

	snprintf(end.error, sizeof(end.error), "the connection to the task's executor broke");
	LIST_EACH (e, &t->base.commands) {
		driver_command_over(CONTAINER_OF(e, struct driver_command, link), &end);
	}
}
