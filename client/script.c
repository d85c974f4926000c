#include "client/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_int.h"
#include "client/driver_command.h"
#include "proto/error.h"

/* What the loop holds of it, until the timer is closed. */
struct script_run {
	struct script *script;
	struct client *client;
	struct driver_command *cmd; /* NULL: it could not be started. */
	uv_timer_t timer;           /* Its time; or to tell that there is none. */
	int64_t timeout_ns;
	size_t n;
	char output[SCRIPT_OUTPUT];
};

static void closed_cb(uv_handle_t *handle)
{
	struct script_run *run = CONTAINER_OF(handle, struct script_run, timer);
	struct client *c = run->client;

	free(run);
	client_closed_handle(c);
}

void script_stop(struct script *s)
{
	struct script_run *run = s->run;

	if (run == NULL) {
		return;
	}
	s->run = NULL;
	if (run->cmd != NULL) {
		driver_command_stop(run->cmd);
	}
	uv_close((uv_handle_t *)&run->timer, closed_cb);
}

/* The run lives on until the loop has closed its timer, so the answer's text may be in it. */
static void tell(struct script_run *run, int code)
{
	struct script *s = run->script;
	const struct script_answer answer = {.code = code, .output = run->output};

	script_stop(s);
	s->done_cb(s, &answer);
}

static void put_output(struct script_run *run, const char *data, size_t len)
{
	size_t room = sizeof(run->output) - 1 - run->n;
	size_t n = len < room ? len : room;

	memcpy(run->output + run->n, data, n);
	run->n += n;
	run->output[run->n] = '\0';
}

static void output_cb(void *ctx, enum driver_stream stream, const char *data, size_t len)
{
	(void)stream;
	if (len > 0) {
		put_output(ctx, data, len);
	}
}

static void ended_cb(void *ctx, const struct driver_command_end *end)
{
	struct script_run *run = ctx;

	if (end->error[0] != '\0') {
		snprintf(run->output, sizeof(run->output), "%s", end->error);
	}
	tell(run, end->error[0] != '\0' ? -1 : end->code);
}

static const struct driver_command_events events = {.output_cb = output_cb, .ended_cb = ended_cb};

static void timer_cb(uv_timer_t *timer)
{
	struct script_run *run = CONTAINER_OF(timer, struct script_run, timer);

	if (run->cmd != NULL) {
		snprintf(run->output, sizeof(run->output), "the script did not end within %lld ms",
		         (long long)(run->timeout_ns / 1000000));
	}
	tell(run, -1);
}

int script_start(struct script *s, struct client *c, struct driver_task *task, const char *const *argv, uint32_t n,
                 int64_t timeout_ns)
{
	struct script_run *run = calloc(1, sizeof(*run));
	struct driver_error error = {.text = "the task is not running"};

	if (run == NULL) {
		return ERR_NOMEM;
	}
	run->script = s;
	run->timeout_ns = timeout_ns;
	run->client = c;
	uv_timer_init(c->loop, &run->timer);
	c->handles++;
	if (task != NULL) {
		run->cmd = driver_command_start(task, argv, n, false, &events, run, &error);
	}
	if (run->cmd != NULL) {
		driver_command_close_input(run->cmd);
	} else {
		snprintf(run->output, sizeof(run->output), "%s", error.text);
	}
	uv_timer_start(&run->timer, timer_cb, run->cmd != NULL ? (uint64_t)(timeout_ns / 1000000) : 0, 0);
	s->run = run;
	return 0;
}
