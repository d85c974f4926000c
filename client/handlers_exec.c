/*
 * A session is a stream of lines to its client, and requests with lines from it. What it says to the command is kept
 * here until the command reads it; one request may wait for that, for a while.
 */
#include "client/handlers_exec.h"

#include <stdlib.h>
#include <string.h>

#include "client/client_int.h"
#include "client/driver_command.h"
#include "proto/error.h"
#include "proto/exec.h"
#include "proto/websocket.h"

enum {
	INPUT_PIECE = 32 << 10,  /* Handed to the command at a time. */
	INPUT_HOLD_MS = 5000,    /* So long an input request waits for the one before it to be read. */
	HANDSHAKE_MS = 10000,
	ARGS_MAX = 4096,
};

struct exec_call {
	struct list link; /* In the client's `execs`. */
	struct client *client;
	struct http_request *req;   /* The stream. */
	struct http_request *held;  /* An input request that waits. */
	struct driver_command *cmd;
	struct arena mem;
	const char *alloc_id, *task, *session;
	struct strs argv;
	bool terminal;
	bool handshake; /* Is yet to come, before the command starts. */
	struct buf input;  /* What the command has not been given, */
	size_t input_done; /* behind this many bytes of it. */
	bool input_ends;   /* Behind it. */
	bool input_waits;  /* For room. */
	uv_timer_t timer;  /* Of the handshake, then of `held`. */
};

/* ---- the end ---- */

static void closed_cb(uv_handle_t *handle)
{
	struct exec_call *call = handle->data;
	struct client *c = call->client;

	buf_close(&call->input);
	arena_close(&call->mem);
	free(call);
	c->n_execs--;
	client_closed_handle(c);
}

static void drop(struct exec_call *call)
{
	list_remove(&call->link);
	if (call->cmd != NULL) {
		driver_command_stop(call->cmd);
		call->cmd = NULL;
	}
	if (call->held != NULL) {
		http_answer_text(call->held, 404, "the session has ended");
		call->held = NULL;
	}
	uv_close((uv_handle_t *)&call->timer, closed_cb);
}

static void end_stream(struct exec_call *call, bool whole)
{
	struct http_request *req = call->req;

	call->req = NULL;
	drop(call);
	http_stream_end(req, whole);
}

/* Why, as a line of its own. */
static void end_with(struct exec_call *call, int status, const char *why)
{
	struct buf line = {0};
	size_t i;

	buf_printf(&line, "%c%u %s", HTTP_SESSION_END, websocket_status(status), why);
	for (i = 0; i < line.len; i++) {
		line.at[i] = line.at[i] == '\n' ? ' ' : line.at[i];
	}
	buf_byte(&line, '\n');
	if (!line.failed) {
		(void)http_stream_write(call->req, line.at, line.len);
	}
	buf_close(&line);
	end_stream(call, true);
}

static void gone_cb(struct http_request *req)
{
	end_stream(req->data, false);
}

/* ---- to its client ---- */

/* Returns whether the next should wait. */
static bool tell(struct exec_call *call, const struct exec_output *o)
{
	struct buf line = {0};
	int rc = ERR_NOMEM;

	json_encode(&exec_output_type, o, &line);
	buf_byte(&line, '\n');
	if (!line.failed) {
		rc = http_stream_write(call->req, line.at, line.len);
	}
	buf_close(&line);
	return rc == HTTP_WAIT;
}

static void output_cb(void *ctx, enum driver_stream stream, const char *data, size_t len)
{
	struct exec_call *call = ctx;
	struct exec_stream s = {.data = {(const uint8_t *)data, (uint32_t)len}, .close = len == 0};
	struct exec_output o;

	object_init(&exec_output_type, &o);
	if (stream == DRIVER_STDERR) {
		o.err = &s;
	} else {
		o.out = &s;
	}
	if (tell(call, &o)) {
		driver_command_read(call->cmd, false);
	}
}

static void drain_cb(struct http_request *req)
{
	struct exec_call *call = req->data;

	if (call->cmd != NULL) {
		driver_command_read(call->cmd, true);
	}
}

static void ended_cb(void *ctx, const struct driver_command_end *end)
{
	struct exec_call *call = ctx;
	struct exec_result result = {.exit_code = end->code};
	struct exec_output o;

	if (end->error[0] != '\0') {
		end_with(call, 500, end->error);
		return;
	}
	object_init(&exec_output_type, &o);
	o.exited = true;
	o.result = &result;
	(void)tell(call, &o);
	end_stream(call, true);
}

/* ---- from its client ---- */

static void take_held(struct exec_call *call);

/* As far as the command takes it. */
static void give_input(struct exec_call *call)
{
	while (call->cmd != NULL && !call->input_waits && call->input_done < call->input.len) {
		size_t left = call->input.len - call->input_done;
		size_t n = left < INPUT_PIECE ? left : INPUT_PIECE;
		int rc = driver_command_write(call->cmd, call->input.at + call->input_done, n);

		call->input_waits = rc == HTTP_WAIT;
		call->input_done += rc < 0 ? left : n; /* What it does not want is dropped. */
	}
	if (call->cmd == NULL || call->input_done < call->input.len) {
		return;
	}
	buf_close(&call->input);
	call->input_done = 0;
	if (call->input_ends) {
		driver_command_close_input(call->cmd);
	}
}

static void room_cb(void *ctx)
{
	struct exec_call *call = ctx;

	call->input_waits = false;
	give_input(call);
	take_held(call);
}

static const struct driver_command_events events = {.output_cb = output_cb, .room_cb = room_cb, .ended_cb = ended_cb};

/* The task as it is now: it may have ended since. 0, or the status and why. */
static int start_command(struct exec_call *call, struct driver_error *error)
{
	struct client_alloc *ca = client_find(call->client, call->alloc_id);
	struct task_runner *tr = ca != NULL ? alloc_runner_task(&ca->ar, call->task) : NULL;
	struct driver_task *driver = tr != NULL ? task_of(tr)->driver : NULL;

	if (driver == NULL || driver->state != DRIVER_RUNNING) {
		snprintf(error->text, sizeof(error->text), "task \"%.200s\" %s.", call->task,
			 tr != NULL && tr->started_ns == 0 ? "not started yet" : "is not running");
		return 404;
	}
	call->cmd = driver_command_start(driver, call->argv.at, call->argv.n, call->terminal, &events, call, error);
	return call->cmd != NULL ? 0 : 500;
}

static int take_handshake(struct exec_call *call, const struct exec_input *in, struct driver_error *error)
{
	if (in->version != EXEC_HANDSHAKE_VERSION) {
		snprintf(error->text, sizeof(error->text), "unexpected handshake value: version %lld",
		         (long long)in->version);
		return 400;
	}
	call->handshake = false;
	uv_timer_stop(&call->timer);
	return start_command(call, error);
}

static int take_line(struct exec_call *call, const char *line, size_t len, struct arena *mem,
                     struct driver_error *error)
{
	char *text = arena_strndup(mem, line, len);
	struct exec_input in;
	struct fault f;

	if (text == NULL) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return 500;
	}
	if (json_decode(&exec_input_type, &in, text, len, mem, &f) != 0) {
		snprintf(error->text, sizeof(error->text), "failed to decode frame: %s", f.why);
		return 400;
	}
	if (call->handshake) {
		return take_handshake(call, &in, error);
	}
	if (in.tty_size != NULL && in.tty_size->height >= 0 && in.tty_size->width >= 0) {
		driver_command_resize(call->cmd, (unsigned)in.tty_size->height, (unsigned)in.tty_size->width);
	}
	if (in.in != NULL && !call->input_ends) {
		buf_put(&call->input, in.in->data.at, in.in->data.n);
		call->input_ends = in.in->close;
	}
	return 0;
}

/* One after the other; false, and the session is over, when one is no good. */
static bool take_lines(struct exec_call *call, const char *at, size_t len)
{
	struct driver_error error = {.text = ""};
	struct arena mem = {0};
	int status = 0;

	while (len > 0 && status == 0) {
		const char *eol = memchr(at, '\n', len);
		size_t n = eol != NULL ? (size_t)(eol - at) : len;

		if (n > 0) {
			status = take_line(call, at, n, &mem, &error);
			arena_close(&mem);
		}
		n += eol != NULL;
		at += n;
		len -= n;
	}
	if (status == 0 && call->input.failed) {
		snprintf(error.text, sizeof(error.text), "out of memory");
		status = 500;
	}
	if (status != 0) {
		end_with(call, status, error.text);
		return false;
	}
	give_input(call);
	return true;
}

static void answer_taken(struct http_request *req)
{
	struct http_response res = {.status = 200};

	http_answer(req, &res);
}

/* Its body was kept in its memory. */
static void take_held(struct exec_call *call)
{
	struct http_request *req = call->held;

	if (req == NULL || call->input.len > 0) {
		return;
	}
	call->held = NULL;
	uv_timer_stop(&call->timer);
	req->gone_cb = NULL;
	take_lines(call, req->body, req->body_len);
	answer_taken(req);
}

static void held_gone_cb(struct http_request *req)
{
	struct exec_call *call = req->data;

	call->held = NULL;
	uv_timer_stop(&call->timer);
	http_answer_error(req, ERR_CLOSED);
}

static void timer_cb(uv_timer_t *timer)
{
	struct exec_call *call = timer->data;
	struct http_request *req = call->held;

	if (call->handshake) {
		end_with(call, 400, "no handshake has come in time");
	} else if (req != NULL) {
		call->held = NULL;
		http_answer_text(req, 429, "the command does not read its input");
	}
}

/* The command is slow: what it was given before is still here. */
static void hold(struct exec_call *call, struct http_request *req)
{
	char *body = arena_strndup(&req->mem, req->body, req->body_len);

	if (body == NULL || call->held != NULL) {
		http_answer_error(req, body == NULL ? ERR_NOMEM : ERR_BUSY);
		return;
	}
	req->body = body;
	req->data = call;
	req->gone_cb = held_gone_cb;
	call->held = req;
	uv_timer_start(&call->timer, timer_cb, INPUT_HOLD_MS, 0);
}

static struct exec_call *find_session(struct client *c, const char *session)
{
	LIST_EACH(e, &c->execs) {
		struct exec_call *call = CONTAINER_OF(e, struct exec_call, link);

		if (session[0] != '\0' && strcmp(call->session, session) == 0) {
			return call;
		}
	}
	return NULL;
}

void exec_input_answer(struct client *c, struct http_request *req)
{
	struct exec_call *call = find_session(c, req->session);

	if (req->session[0] == '\0') {
		http_answer_text(req, 405, "Invalid method");
	} else if (call == NULL) {
		http_answer_text(req, 404, "the session has ended");
	} else if (call->input.len > 0) {
		hold(call, req);
	} else {
		take_lines(call, req->body, req->body_len);
		answer_taken(req);
	}
}

/* ---- the beginning ---- */

/* The command of an action that the job has prepared, with the task's environment filled in. */
static bool take_action(struct exec_call *call, struct task_runner *tr, const char *name)
{
	const struct action *a = NULL;
	struct task_env env;
	const char **argv;
	uint32_t i;

	for (i = 0; i < tr->task->actions.n; i++) {
		if (strcmp(tr->task->actions.at[i].name, name) == 0) {
			a = &tr->task->actions.at[i];
		}
	}
	if (a == NULL) {
		return false;
	}
	argv = arena_calloc(&call->mem, (size_t)a->args.n + 1, sizeof(*argv));
	if (argv == NULL || host_env(tr, &env, &call->mem) != 0) {
		return false;
	}
	argv[0] = task_env_replace(&env, a->command, &call->mem);
	for (i = 0; i < a->args.n; i++) {
		argv[i + 1] = task_env_replace(&env, a->args.at[i], &call->mem);
	}
	for (i = 0; i <= a->args.n; i++) {
		if (argv[i] == NULL) {
			return false;
		}
	}
	call->argv = (struct strs){argv, a->args.n + 1};
	return true;
}

#define EXEC_COMMAND_FIELDS(X, T) X(T, STRS, argv, "argv")
OBJECT_DECLARE(exec_command, EXEC_COMMAND_FIELDS);
OBJECT_DEFINE(exec_command, EXEC_COMMAND_FIELDS);

/* A JSON array of texts: decoded as a member. */
static bool take_argv(struct exec_call *call, const char *text)
{
	const char *whole = arena_printf(&call->mem, "{\"argv\":%s}", text);
	struct exec_command c;

	if (whole == NULL || json_decode(&exec_command_type, &c, whole, strlen(whole), &call->mem, NULL) != 0 ||
	    c.argv.n > ARGS_MAX) {
		return false;
	}
	call->argv = c.argv;
	return true;
}

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

/* 0, or the status of what is wrong, and why. */
static int take_query(struct exec_call *call, struct client_alloc *ca, struct http_request *req, const char **why)
{
	const char *command = http_query(req, "command");
	const char *action = or_empty(http_query(req, "action"));
	struct task_runner *tr;

	*why = req->error;
	call->task = arena_strdup(&call->mem, or_empty(http_query(req, "task")));
	call->alloc_id = arena_strdup(&call->mem, ca->id);
	call->session = arena_strdup(&call->mem, req->session);
	if (http_query_bool(req, "tty", &call->terminal) != 0 ||
	    http_query_bool(req, "ws_handshake", &call->handshake) != 0) {
		*why = req->error;
		return 400;
	}
	if (call->task == NULL || call->alloc_id == NULL || call->session == NULL) {
		*why = "out of memory";
		return 500;
	}
	if (call->task[0] == '\0') {
		*why = "must provide task name";
		return 400;
	}
	tr = alloc_runner_task(&ca->ar, call->task);
	if (tr == NULL) {
		*why = arena_printf(&req->mem, "unknown task name \"%s\"", call->task);
		return 400;
	}
	if (action[0] != '\0') {
		*why = arena_printf(&req->mem, "action %s not found", action);
		return take_action(call, tr, action) ? 0 : 400;
	}
	if (command != NULL && command[0] != '\0' && !take_argv(call, command)) {
		*why = "failed to decode command: it is no JSON array of strings";
		return 400;
	}
	*why = "command is not present";
	return call->argv.n == 0 || call->argv.at[0][0] == '\0' ? 400 : 0;
}

static struct exec_call *make_call(struct client *c)
{
	struct exec_call *call = calloc(1, sizeof(*call));

	if (call != NULL) {
		call->client = c;
		list_insert(&c->execs, &call->link);
		c->n_execs++;
		uv_timer_init(c->loop, &call->timer);
		call->timer.data = call;
		c->handles++;
	}
	return call;
}

static void begin(struct exec_call *call, struct http_request *req)
{
	struct http_response head = {.status = 101};

	head.location = arena_printf(&req->mem, "/v1/client/allocation/%s/exec", call->alloc_id);
	call->req = req;
	req->data = call;
	req->gone_cb = gone_cb;
	req->drain_cb = drain_cb;
	http_stream_begin(req, &head);
	if (call->handshake) {
		uv_timer_start(&call->timer, timer_cb, HANDSHAKE_MS, 0);
	}
}

void exec_answer(struct client_alloc *ca, struct http_request *req)
{
	struct driver_error error = {.text = ""};
	struct exec_call *call;
	const char *why = "";
	int status;

	if (ca->client->config->disable_remote_exec) {
		http_answer_text(req, 403, "Permission denied");
		return;
	}
	if (req->session[0] == '\0') {
		http_answer_text(req, 400, "Bad Request: this is for websockets");
		return;
	}
	if (ca->client->n_execs >= EXEC_CALLS_MAX) {
		http_answer_text(req, 429, "too many commands: this node runs %u for others", ca->client->n_execs);
		return;
	}
	call = make_call(ca->client);
	if (call == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	status = take_query(call, ca, req, &why);
	if (status == 0 && !call->handshake) {
		status = start_command(call, &error);
		why = error.text;
	}
	if (status != 0) {
		http_answer_text(req, status, "%s", or_empty(why));
		drop(call);
		return;
	}
	begin(call, req);
}

void exec_end_all(struct client *c)
{
	LIST_EACH(e, &c->execs) {
		end_with(CONTAINER_OF(e, struct exec_call, link), 500, "the client agent is stopping");
	}
}
