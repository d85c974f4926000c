#include "server/server.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"
#include "server/core.h"
#include "server/link.h"
#include "server/sched_memory.h"
#include "server/workers.h"

enum {
	STACK_BYTES = 1 << 20,
	HAND_ON_MS = 200, /* For another server to take over leadership; */
	DRAIN_MS = 3000,  /* for requests that wait for that, and all others under way; */
	GRACE_MS = 250,   /* for clients to take their answers. */
	LAST_ROUNDS = 1000,
};

/* What those outside may ask for at any time, on any thread. */
struct running {
	struct server server; /* First: the same pointer. */
	pthread_mutex_t lock;
	void (*end_cb)(void *ctx, const char *why);
	void *end_ctx;
	char why[256]; /* "": it goes on. */
	bool told;
	bool retired; /* Users have been shown out: see retire(). */
};

static struct running *running_of(struct server *s)
{
	return (struct running *)(void *)s;
}

/* ---- asking to be stopped ---- */

struct last_words {
	void (*end_cb)(void *ctx, const char *why);
	void *ctx;
	char why[256];
};

static void *say(void *arg)
{
	struct last_words *w = arg;

	w->end_cb(w->ctx, w->why);
	free(w);
	return NULL;
}

/* With the lock. */
static void tell_end(struct running *r)
{
	struct last_words *w;
	pthread_attr_t attr;
	pthread_t thread;

	if (r->told || r->end_cb == NULL || r->why[0] == '\0') {
		return;
	}
	r->told = true;
	w = sched_got(malloc(sizeof(*w)));
	w->end_cb = r->end_cb;
	w->ctx = r->end_ctx;
	memcpy(w->why, r->why, sizeof(w->why));
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sched_got(pthread_create(&thread, &attr, say, w) == 0 ? w : NULL);
	pthread_attr_destroy(&attr);
}

void server_on_end(struct server *s, void (*end_cb)(void *ctx, const char *why), void *ctx)
{
	struct running *r = running_of(s);

	pthread_mutex_lock(&r->lock);
	r->end_cb = end_cb;
	r->end_ctx = ctx;
	tell_end(r);
	pthread_mutex_unlock(&r->lock);
}

void server_end(struct server *s, const char *why)
{
	struct running *r = running_of(s);

	pthread_mutex_lock(&r->lock);
	if (r->why[0] == '\0') {
		log_error("server", "cannot go on: %s", why);
		snprintf(r->why, sizeof(r->why), "%s", why);
		tell_end(r);
	}
	pthread_mutex_unlock(&r->lock);
}

/* ---- start ---- */

static struct running *running_new(const struct server_config *config)
{
	struct running *r = sched_calloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	r->server.config = *config;
	if (r->server.config.leader.slots == 0) {
		r->server.config.leader.slots = workers_count(config) * WORKERS_EVALS;
	}
	return r;
}

static void running_free(struct running *r)
{
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static int start_thread(struct server *s, char *why, size_t why_size)
{
	const uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = STACK_BYTES};
	int rc = uv_thread_create_ex(&s->thread, &options, core_run, s);

	if (rc == 0) {
		return 0;
	}
	snprintf(why, why_size, "cannot start a thread: %s", uv_strerror(rc));
	return ERR_NOMEM;
}

/* What the API has asked for and not been told yet: both sides on this thread, in turns. */
static void run_rest(struct server *s)
{
	unsigned rounds = LAST_ROUNDS;

	bool more;

	do {
		more = link_run_rest(s->link);
		more = mailbox_run(&s->mail) > 0 || more;
	} while (more && --rounds > 0);
	if (more) {
		log_error("server", "requests are left at the end");
	}
}

/* The core loop has been stopped. */
static void close_all(struct server *s)
{
	atomic_store(&s->core->over, true);
	if (s->httpd != NULL) {
		run_rest(s);
		link_shut(s->link);
	}
	core_close(s);
	identity_close(&s->identity);
	running_free(running_of(s));
}

/* Nothing but this thread and the HTTP thread runs yet. */
static int undo(struct server *s, int rc)
{
	if (s->httpd != NULL) {
		link_stop(s->link, 0);
	}
	core_stop(s);
	core_run(s);
	close_all(s);
	return rc;
}

static int start_all(struct server *s, char *why, size_t why_size)
{
	int rc = core_open(s, why, why_size);

	rc = rc == 0 ? core_begin(s, why, why_size) : rc;
	if (rc != 0) {
		return rc;
	}
	core_info_publish(s);
	rc = link_start(s->link, why, why_size);
	return rc == 0 ? start_thread(s, why, why_size) : rc;
}

int server_start(const struct server_config *config, struct server **out, char *why, size_t why_size)
{
	struct running *r = running_new(config);
	struct server *s = &r->server;
	int rc = identity_open(&s->identity, config->dir, why, why_size);

	if (rc != 0) {
		running_free(r);
		return rc;
	}
	keyring_init(&s->keyring, config->wraps ? config->wrapping_key : NULL);
	rc = start_all(s, why, why_size);
	if (rc != 0) {
		return undo(s, rc);
	}
	log_info("server", "started with %u schedulers", workers_count(config));
	*out = s;
	return 0;
}

uint16_t server_http_port(const struct server *s)
{
	return httpd_port(s->httpd);
}

/* ---- stop ---- */

/* A question from outside to the core thread, and that it has been answered. */
struct errand {
	struct mail mail;
	struct server *s;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
	bool abandoned; /* Who asked has gone: the last one frees it. */
};

static struct errand *errand_new(struct server *s, void (*run_cb)(struct mail *mail))
{
	struct errand *e = sched_calloc(1, sizeof(*e));
	pthread_condattr_t attr;

	e->mail.run_cb = run_cb;
	e->s = s;
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->changed, &attr);
	pthread_condattr_destroy(&attr);
	return e;
}

static void errand_free(struct errand *e)
{
	pthread_cond_destroy(&e->changed);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static void errand_done(void *ctx)
{
	struct errand *e = ctx;
	bool abandoned;

	pthread_mutex_lock(&e->lock);
	e->done = true;
	abandoned = e->abandoned;
	pthread_cond_signal(&e->changed);
	pthread_mutex_unlock(&e->lock);
	if (abandoned) {
		errand_free(e);
	}
}

static void errand_wait(struct errand *e, unsigned timeout_ms)
{
	struct timespec until;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&e->lock);
	while (!e->done && pthread_cond_timedwait(&e->changed, &e->lock, &until) == 0) {
	}
	done = e->done;
	e->abandoned = true;
	pthread_mutex_unlock(&e->lock);
	if (done) {
		errand_free(e);
	}
}

static void on_handed_on(void *data, int status, uint64_t index)
{
	(void)status;
	(void)index;
	errand_done(data);
}

static void run_hand_on(struct mail *mail)
{
	struct errand *e = CONTAINER_OF(mail, struct errand, mail);

	core_hand_on(e->s, on_handed_on, e);
}

static void hand_on(struct server *s)
{
	struct errand *e = errand_new(s, run_hand_on);

	server_post_core(s, &e->mail);
	errand_wait(e, HAND_ON_MS);
}

/* No write fails because a server ends: those that it has begun end, leadership goes to another one, and what comes
 * meanwhile is passed on to that. */
static void retire(struct server *s)
{
	struct running *r = running_of(s);

	if (!r->retired) {
		r->retired = true;
		link_drain(s->link, DRAIN_MS);
		hand_on(s);
		link_await_quiet(s->link);
	}
}

static void run_leave(struct mail *mail)
{
	struct errand *e = CONTAINER_OF(mail, struct errand, mail);

	net_leave(e->s->net, errand_done, e);
}

void server_leave(struct server *s, unsigned timeout_ms)
{
	struct errand *e = errand_new(s, run_leave);

	retire(s);
	log_info("server", "leaves the cluster");
	server_post_core(s, &e->mail);
	errand_wait(e, timeout_ms);
}

static void run_stop(struct mail *mail)
{
	struct errand *e = CONTAINER_OF(mail, struct errand, mail);

	core_stop(e->s);
	errand_free(e);
}

void server_stop(struct server *s)
{
	uint64_t begun = uv_hrtime();

	retire(s);
	link_stop(s->link, GRACE_MS);
	server_post_core(s, &errand_new(s, run_stop)->mail);
	uv_thread_join(&s->thread);
	close_all(s);
	log_info("server", "stopped in %u ms", (unsigned)((uv_hrtime() - begun) / NS_PER_MS));
}
