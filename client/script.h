/**
 * A command beside a task that is run to its end, for what it answers: script checks, scripts of templates.
 *
 * It has no input and a limited time, and of what it writes the beginning is kept.
 */
#ifndef CLIENT_SCRIPT_H_
#define CLIENT_SCRIPT_H_

#include <stdint.h>

struct client;
struct driver_task;
struct script_run;

enum { SCRIPT_OUTPUT = 4096 };

struct script;

struct script_answer {
	int code;           /* Of exit(); 128 + signal when a signal ended it; -1 when it did not end, or begin. */
	const char *output; /* Of both streams; or why there is no code. Borrowed. */
};

/* Part of what asks. All zero is idle. */
struct script {
	void (*done_cb)(struct script *s, const struct script_answer *answer); /* It may start again, and may be stopped. */
	struct script_run *run; /* While it is under way. */
};

/* 0, then done_cb is called once and later: also for a task that is NULL or does not run. ERR_NOMEM, and it is not
 * called. The texts are copied. */
int script_start(struct script *s, struct client *c, struct driver_task *task, const char *const *argv, uint32_t n,
                 int64_t timeout_ns);

/* done_cb is called no more; the command is killed. Harmless when idle. */
void script_stop(struct script *s);

#endif /* CLIENT_SCRIPT_H_ */
