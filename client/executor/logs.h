/**
 * A task's output stream: from its pipe into files NAME.0, NAME.1 ... that are kept small and few.
 *
 * A file that has reached its size is followed by the next number; of all numbers the highest max_files stay. A
 * restarted task goes on in the last file. Bytes go from pipe to file inside the kernel, so an idle stream costs
 * the executor no memory.
 *
 * When writing fails, as on a full disk, the bytes stay in the pipe and the task waits, as behind any slow reader. But
 * not for ever: after LOGS_PATIENCE_NS the output is thrown away, so that a full disk does not stop a service; a line
 * in the log tells how much is missing as soon as writing works again.
 */
#ifndef CLIENT_EXECUTOR_LOGS_H_
#define CLIENT_EXECUTOR_LOGS_H_

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define LOGS_PATIENCE_NS INT64_C(5000000000)
#define LOGS_RETRY_NS INT64_C(200000000)

enum { LOGS_HOLD_BYTES = 4096 };

enum logs_state {
	LOGS_IDLE,    /* The pipe is empty for now. */
	LOGS_MORE,    /* There may be more, but others must have their turn. */
	LOGS_BLOCKED, /* Writing failed; call again at retry_ns. */
	LOGS_ENDED,   /* Nobody holds the pipe's other end any more, or there is none. */
};

struct logs {
	int dir;  /* Borrowed. */
	int from; /* The pipe's end to read from, non-blocking; -1: ended. Owned. */
	int file; /* Owned. */
	uint64_t index;
	int64_t max_files;
	int64_t max_bytes;
	bool copying;       /* This file system cannot splice. */
	int64_t retry_ns;   /* Monotonic; when writing failed, else 0. */
	int64_t blocked_ns; /* Since when; 0: not. */
	uint64_t lost;      /* Bytes thrown away and not told of yet. */
	int lost_error;
	uint32_t held; /* Bytes read but not written, when copying. */
	char name[NAME_MAX + 1];
	char hold[LOGS_HOLD_BYTES];
};

/* Open the last file of that name, or the first. `from` may be -1 at first. 0, or a negative errno value. */
int logs_open(struct logs *l, int dir, const char *name, int64_t max_files, int64_t max_bytes);
void logs_close(struct logs *l);

/* Move what the pipe holds, for a bounded time. `now_ns` is monotonic. */
enum logs_state logs_pump(struct logs *l, int64_t now_ns);

/* At the end: whatever cannot be written now is lost. */
void logs_drain(struct logs *l, int64_t now_ns);

#endif /* CLIENT_EXECUTOR_LOGS_H_ */
