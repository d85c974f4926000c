/**
 * The HTTP thread's side of a running server: the core link (server/core_link.h) that its API uses, and what that needs
 * of its loop. Private to the inner half of the server.
 *
 *     HTTP thread                         core thread
 *     link.c: view, info, timers          core_info.c: makes info
 *             calls               ---->   link_calls.c: carries them out
 *             done_cb            <----
 */
#ifndef SERVER_LINK_H_
#define SERVER_LINK_H_

#include "server/shell.h"
#include "server/zones.h"

enum {
	LINK_CALLS_MAX = 32768, /* Under way; beyond them: ERR_BUSY. */
};

/* What the HTTP thread knows of the cluster, with its memory. */
struct link_info {
	struct mail mail;
	struct link *link;
	struct core_info info;
	struct arena mem;
};

struct link {
	struct core_link core; /* First: the API's. */
	struct server *s;

	/* The HTTP thread's. */
	const struct core_events *events;
	void *events_ctx;
	struct link_info *info;
	unsigned calls; /* Under way. */
	struct httpd *httpd;
	uv_timer_t timer;
	uv_idle_t idle;
	bool open;     /* The loop is there. */
	bool soon;     /* api_run() is asked for. */
	int64_t at_ns; /* And at this time; INT64_MAX: no. */
	uint64_t random;
	bool failed; /* The API could not be made. */
	uv_sem_t started;
	struct zones_cache zones;
	struct mail stop_mail, drain_mail;
	uv_timer_t quiet;    /* Looks whether requests are under way, while it drains. */
	uint64_t drained_ms; /* When that began, */
	uint64_t drain_ms;   /* and for how long it may last. */
	uv_sem_t done;       /* What was asked for from outside. */

	/* Of both. */
	struct mail wake_mail;
	atomic_bool woken; /* It is under way. */
	_Atomic(struct state *) state;
	_Atomic(int64_t) contact_ns; /* When the leader was heard of last, monotonic. */
	_Atomic(uint64_t) lease_ms;  /* Until when this server surely leads, monotonic. */
};

struct link *link_open(struct server *s);
void link_free(struct link *l); /* NULL is harmless. */

/* Start the HTTP thread with its API. ERR_ code with a text in `why`. */
int link_start(struct link *l, char *why, size_t why_size);

/* Before the end: take no new connections and park nothing any more. Requests under way, and those that still come over
 * connections that there are, go on, and may wait for another leader; not for longer than limit_ms. */
void link_drain(struct link *l, uint32_t limit_ms);

/* After link_drain(): wait until no request is under way, or that time has passed. Neither on one of the server's threads. */
void link_await_quiet(struct link *l);

/* Answer what waits, and end the thread. What it has asked of the core thread may still be answered: see
 * link_run_rest(). Not on one of the server's threads. */
void link_stop(struct link *l, uint32_t grace_ms);

/* All threads have ended: do on this one what is left for the HTTP thread. True: it waits for something. */
bool link_run_rest(struct link *l);
void link_shut(struct link *l);

/* ---- the core thread ---- */

/* Another state; how long ago the leader was heard of (UINT64_MAX: never); another info, which is the link's then. */
void link_state(struct link *l, struct state *state);
void link_contact(struct link *l, uint64_t contact_ms);

/* Until when this server surely leads, in monotonic milliseconds; 0: that is not sure. See server/lease.h. */
void link_lease(struct link *l, uint64_t until_ms);
void link_tell(struct link *l, struct link_info *info);

/* ---- link_calls.c ---- */

extern const struct core_ops link_ops;

/* ---- link_stats.c: on the core thread ---- */

/* 0 or ERR_NOMEM. */
int link_stats_fill(struct server *s, struct core_stats *stats);

#endif /* SERVER_LINK_H_ */
