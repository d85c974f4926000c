/** For tests of commands beside tasks: one, and what came of it. */
#ifndef TEST_UNIT_CLIENT_RAN_H_
#define TEST_UNIT_CLIENT_RAN_H_

#include "test/unit/client/world.h"

#include "client/driver_command.h"

/* A command and what came of it. */
struct ran {
	struct driver_command *cmd;
	char out[256 << 10];
	char err[4096];
	size_t out_n, err_n;
	bool out_ended, err_ended, ended, room;
	struct driver_command_end end;
	struct driver_error error;
};

static inline void ran_output(void *ctx, enum driver_stream stream, const char *data, size_t len)
{
	struct ran *r = ctx;
	bool out = stream == DRIVER_STDOUT;
	size_t *n = out ? &r->out_n : &r->err_n;

	assert_false(r->ended);
	assert_false(out ? r->out_ended : r->err_ended);
	if (len == 0) {
		*(out ? &r->out_ended : &r->err_ended) = true;
		return;
	}
	assert_true(*n + len < (out ? sizeof(r->out) : sizeof(r->err)));
	memcpy((out ? r->out : r->err) + *n, data, len);
	*n += len;
	(out ? r->out : r->err)[*n] = '\0';
}

static inline void ran_room(void *ctx)
{
	((struct ran *)ctx)->room = true;
}

static inline void ran_ended(void *ctx, const struct driver_command_end *end)
{
	struct ran *r = ctx;

	assert_false(r->ended);
	r->ended = true;
	r->end = *end;
}

static const struct driver_command_events ran_events = {ran_output, ran_room, ran_ended};

static inline void ran_start(struct ran *r, struct watched *x, bool terminal, const char *const *argv)
{
	uint32_t n = 0;

	memset(r, 0, sizeof(*r));
	while (argv[n] != NULL) {
		n++;
	}
	r->cmd = driver_command_start(x->task, argv, n, terminal, &ran_events, r, &r->error);
}

static inline void ran_script(struct ran *r, struct watched *x, bool terminal, const char *script)
{
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};

	ran_start(r, x, terminal, argv);
	if (r->cmd == NULL) {
		fail_msg("%s", r->error.text);
	}
}

static inline void ran_stop(struct ran *r)
{
	driver_command_stop(r->cmd);
	r->cmd = NULL;
}

static inline void ran_to_end(struct world *w, struct ran *r, struct watched *x, const char *script)
{
	ran_script(r, x, false, script);
	driver_command_close_input(r->cmd);
	assert_true(world_run(w, &r->ended, 5000));
	ran_stop(r);
}

#endif /* TEST_UNIT_CLIENT_RAN_H_ */
