/**
 * Talking to a Docker engine: HTTP over its socket. Blocking, for threads that may wait.
 *
 * A call can be given up from another thread by way of its struct engine_stop.
 */
#ifndef CLIENT_DOCKER_ENGINE_H_
#define CLIENT_DOCKER_ENGINE_H_

#include <stdatomic.h>
#include <stdbool.h>

#include "lib/buf.h"

enum { ENGINE_WHY = 320, ENGINE_REPLY_MAX = 16 << 20 };

/* One for all calls of a thread, one after the other. Zero with fd -1 at first: engine_stop_init(). */
struct engine_stop {
	atomic_bool stopped;
	atomic_int fd; /* Of the call under way; -1: none. */
};

void engine_stop_init(struct engine_stop *stop);

/* End the call under way, and let no other begin. From any thread, as long as `stop` lives. */
void engine_stop(struct engine_stop *stop);

struct engine_call {
	const char *socket; /* Path. */
	const char *method;
	const char *path;   /* With its query: "/containers/json?all=1". */
	const char *body;   /* JSON text; NULL: none. */
	const char *auth;   /* Value of X-Registry-Auth; NULL: none. */
	long timeout_s;     /* 0: as long as it takes. */
	struct engine_stop *stop; /* NULL: cannot be given up. */
	/* Takes the answer's bytes of a 2xx status as they come; false ends the call. NULL: they come as a whole. */
	bool (*sink)(void *ctx, const char *data, size_t n);
	void *ctx;
};

/* The HTTP status, or -1 when none came: `why` says why. `reply`, which may be NULL, is given the answer that no sink
 * took, closed by a zero; for a status from 400 on `why` is the engine's message. */
int engine_call(const struct engine_call *call, struct buf *reply, char why[ENGINE_WHY]);

/* Ask an engine for its version: 0 with the answer's JSON text in `reply`, closed by a zero, or an ERR_ code. Without
 * libcurl, which takes 6 MiB as soon as it is loaded: that is only for agents that run containers. Each step may take
 * timeout_s. */
int engine_version(const char *socket, unsigned timeout_s, struct buf *reply);

#endif /* CLIENT_DOCKER_ENGINE_H_ */
