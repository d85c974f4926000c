#include "server/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/log.h"
#include "proto/error.h"
#include "server/core.h"
#include "server/sched_memory.h"
#include "server/workers.h"

enum {
	LINGER_MS = 50, /* So long clients may hear with an answer that their connection ends. */
	LOOK_MS = 2,    /* Between two looks whether requests are under way. */
};

/* ---- the API's environment ---- */

static int64_t env_now(void *ctx)
{
	(void)ctx;
	return (int64_t)uv_hrtime();
}

static int64_t env_wall(void *ctx)
{
	struct timespec now;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static uint64_t env_random(void *ctx)
{
	struct link *l = ctx;

	l->random = l->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return l->random ^ l->random >> 32;
}

static void run_api(struct link *l)
{
	l->soon = false;
	api_run(l->s->api);
}

static void on_idle(uv_idle_t *idle)
{
	uv_idle_stop(idle);
	run_api(idle->data);
}

static void env_soon(void *ctx)
{
	struct link *l = ctx;

	l->soon = true;
	if (l->open) {
		uv_idle_start(&l->idle, on_idle);
	}
}

static void on_timer(uv_timer_t *timer);

static void arm(struct link *l)
{
	int64_t now = (int64_t)uv_hrtime();

	uv_timer_stop(&l->timer);
	if (l->at_ns != INT64_MAX) {
		uv_update_time(l->timer.loop);
		uv_timer_start(&l->timer, on_timer,
			       l->at_ns > now ? (uint64_t)((l->at_ns - now) / NS_PER_MS + 1) : 0, 0);
	}
}

/* The API does not ask again for a time that it has asked for: so it must have come. */
static void on_timer(uv_timer_t *timer)
{
	struct link *l = timer->data;

	if ((int64_t)uv_hrtime() < l->at_ns) {
		arm(l);
	} else {
		run_api(l);
	}
}

static void env_at(void *ctx, int64_t at_ns)
{
	struct link *l = ctx;

	l->at_ns = at_ns;
	if (l->open) {
		arm(l);
	}
}

static void on_wake(struct mail *mail)
{
	struct link *l = CONTAINER_OF(mail, struct link, wake_mail);

	atomic_store(&l->woken, false);
	run_api(l);
}

/* On the core thread, by the ring. */
static void env_wake(void *ctx)
{
	struct link *l = ctx;

	if (!atomic_exchange(&l->woken, true)) {
		server_post_http(l->s, &l->wake_mail);
	}
}

static int64_t env_zone(void *ctx, const char *zone, int64_t unix_s)
{
	int64_t offset_s = 0;

	(void)zones_offset(&((struct link *)ctx)->zones, zone, unix_s, &offset_s);
	return offset_s;
}

static bool env_zone_exists(void *ctx, const char *zone)
{
	int64_t offset_s;

	return zones_offset(&((struct link *)ctx)->zones, zone, 0, &offset_s) != ERR_NOTFOUND;
}

/* ---- news from the core ---- */

static void info_free(struct link_info *i)
{
	if (i != NULL) {
		arena_close(&i->mem);
		free(i);
	}
}

static void take_info(struct mail *mail)
{
	struct link_info *fresh = CONTAINER_OF(mail, struct link_info, mail);
	struct link *l = fresh->link;
	struct link_info *old = l->info;

	l->info = fresh;
	if (l->events != NULL) {
		l->events->info_cb(l->events_ctx);
	}
	info_free(old);
}

void link_tell(struct link *l, struct link_info *info)
{
	info->link = l;
	if (l->s->httpd == NULL) {
		take_info(&info->mail); /* There is no other thread yet. */
		return;
	}
	info->mail.run_cb = take_info;
	server_post_http(l->s, &info->mail);
}

void link_state(struct link *l, struct state *state)
{
	atomic_store(&l->state, state);
}

void link_contact(struct link *l, uint64_t contact_ms)
{
	if (contact_ms < INT64_MAX / NS_PER_MS) {
		atomic_store_explicit(&l->contact_ns, (int64_t)uv_hrtime() - (int64_t)contact_ms * NS_PER_MS,
				      memory_order_relaxed);
	}
}

void link_lease(struct link *l, uint64_t until_ms)
{
	atomic_store(&l->lease_ms, until_ms);
}

void server_post_http(struct server *s, struct mail *mail)
{
	httpd_post(s->httpd, mail);
}

/* ---- the thread ---- */

/* The number in the file by which operators make the first token anew; 0 without one. */
static int64_t reset_index(void *ctx)
{
	const struct server *s = ctx;
	char path[4096];
	long long index = 0;
	FILE *f;
	int n = snprintf(path, sizeof(path), "%s/acl-bootstrap-reset", s->config.dir);

	if (n < 0 || (size_t)n >= sizeof(path) || (f = fopen(path, "re")) == NULL) {
		return 0;
	}
	if (fscanf(f, "%19lld", &index) != 1 || index < 0) {
		log_warn("server", "%s does not hold an index", path);
		index = 0;
	}
	fclose(f);
	return index;
}

static struct acl_config acl_config(struct server *s)
{
	struct acl_config c = s->config.acl;

	c.reset_index = reset_index;
	c.ctx = s;
	return c;
}

static void on_start(void *ctx, struct httpd *h, struct uv_loop_s *loop)
{
	struct link *l = ctx;
	struct server *s = l->s;
	const struct api_env env = {env_now, env_wall, env_random, env_soon, env_at, env_wake, env_zone,
				    env_zone_exists, l};
	const struct api_config config = {.cache_bytes = s->config.cache_bytes,
					  .versions_kept = s->config.versions_kept,
					  .count_max = s->config.count_max,
					  .source_bytes_max = s->config.source_bytes_max,
					  .schedulers = workers_count(&s->config),
					  .facts = s->config.facts,
					  .version = s->config.api_version,
					  .keyring = &s->keyring,
					  .acl = s->config.acl.enabled,
					  .acl_config = acl_config(s)};

	s->httpd = h;
	uv_timer_init(loop, &l->timer);
	uv_timer_init(loop, &l->quiet);
	uv_idle_init(loop, &l->idle);
	l->timer.data = l->quiet.data = l->idle.data = l;
	l->open = true;
	s->api = api_new(&env, &l->core, &config);
	l->failed = s->api == NULL;
	uv_sem_post(&l->started);
}

static void on_request(void *ctx, struct http_request *req)
{
	struct link *l = ctx;

	if (l->failed) {
		http_answer_error(req, ERR_NOMEM);
	} else {
		api_handle(l->s->api, req);
	}
}

static void on_stop(void *ctx, struct httpd *h)
{
	struct link *l = ctx;

	(void)h;
	l->open = false;
	uv_close((uv_handle_t *)&l->timer, NULL);
	uv_close((uv_handle_t *)&l->quiet, NULL);
	uv_close((uv_handle_t *)&l->idle, NULL);
}

int link_start(struct link *l, char *why, size_t why_size)
{
	const struct server_config *c = &l->s->config;
	const struct httpd_config config = {.address = c->bind_http_host,
					    .tls = c->http_tls,
					    .handshake_ms = c->https_handshake_ms,
					    .port = c->http_port,
					    .conns_per_client_max = c->http_conns_per_client,
					    .requests_per_s = c->http_requests_per_s,
					    .requests_burst = c->http_requests_burst,
					    .tokens = c->acl.enabled,
					    .start_cb = on_start,
					    .handle_cb = on_request,
					    .stop_cb = on_stop,
					    .ctx = l};
	struct httpd *h;
	int rc = httpd_start(&config, &h, why, why_size);

	if (rc != 0) {
		return rc;
	}
	uv_sem_wait(&l->started);
	if (!l->failed) {
		watch_hub_add(&l->s->hub, api_ring(l->s->api)); /* The core thread does not run yet. */
	}
	return l->failed ? ERR_NOMEM : 0;
}

static uint64_t now_ms(void)
{
	return uv_hrtime() / (uint64_t)NS_PER_MS;
}

static void drain(struct mail *mail)
{
	struct link *l = CONTAINER_OF(mail, struct link, drain_mail);

	l->drained_ms = now_ms();
	httpd_drain(l->s->httpd);
	if (!l->failed) {
		api_drain(l->s->api, (int64_t)l->drain_ms * NS_PER_MS);
	}
	uv_sem_post(&l->done);
}

void link_drain(struct link *l, uint32_t limit_ms)
{
	l->drain_ms = limit_ms;
	l->drain_mail.run_cb = drain;
	server_post_http(l->s, &l->drain_mail);
	uv_sem_wait(&l->done);
}

static bool is_quiet(const struct link *l)
{
	return now_ms() - l->drained_ms >= LINGER_MS && !httpd_is_busy(l->s->httpd) && !net_serves(l->s->net);
}

static void on_quiet(uv_timer_t *timer)
{
	struct link *l = timer->data;
	bool late = now_ms() - l->drained_ms >= l->drain_ms;

	if (late || is_quiet(l)) {
		uv_timer_stop(timer);
		uv_sem_post(&l->done);
	}
}

static void look_for_quiet(struct mail *mail)
{
	struct link *l = CONTAINER_OF(mail, struct link, drain_mail);

	uv_timer_start(&l->quiet, on_quiet, 0, LOOK_MS);
}

void link_await_quiet(struct link *l)
{
	l->drain_mail.run_cb = look_for_quiet;
	server_post_http(l->s, &l->drain_mail);
	uv_sem_wait(&l->done);
}

static void stop_api(struct mail *mail)
{
	struct link *l = CONTAINER_OF(mail, struct link, stop_mail);

	if (!l->failed) {
		api_stop(l->s->api);
	}
}

void link_stop(struct link *l, uint32_t grace_ms)
{
	l->stop_mail.run_cb = stop_api;
	server_post_http(l->s, &l->stop_mail);
	httpd_stop(l->s->httpd, grace_ms);
}

bool link_run_rest(struct link *l)
{
	httpd_run_mail(l->s->httpd);
	if (l->soon && !l->failed) {
		run_api(l);
	}
	return l->soon || l->calls > 0;
}

void link_shut(struct link *l)
{
	struct server *s = l->s;

	if (s->api != NULL) {
		watch_hub_remove(&s->hub, api_ring(s->api));
		api_free(s->api);
		s->api = NULL;
	}
	httpd_close(s->httpd);
	s->httpd = NULL;
}

/* ---- life ---- */

struct link *link_open(struct server *s)
{
	struct link *l = sched_calloc(1, sizeof(*l));
	struct uuid seed = uuid_random();

	sched_got(uv_sem_init(&l->started, 0) == 0 && uv_sem_init(&l->done, 0) == 0 ? l : NULL);
	l->core.ops = &link_ops;
	l->s = s;
	l->at_ns = INT64_MAX;
	memcpy(&l->random, &seed, sizeof(l->random));
	l->wake_mail.run_cb = on_wake;
	atomic_init(&l->state, s->state);
	atomic_init(&l->contact_ns, (int64_t)uv_hrtime());
	return l;
}

void link_free(struct link *l)
{
	if (l != NULL) {
		info_free(l->info);
		zones_close(&l->zones);
		uv_sem_destroy(&l->started);
		uv_sem_destroy(&l->done);
		free(l);
	}
}
