#include "client/handlers_agent.h"
#include "client/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "client/client_int.h"
#include "client/fingerprint.h"
#include "client/handlers_exec.h"
#include "client/handlers_fs.h"
#include "client/node_meta.h"
#include "lib/folder.h"
#include "lib/log.h"
#include "proto/error.h"

/* ---- time ---- */

int64_t client_time(const struct client *c)
{
	return (int64_t)uv_now(c->loop) * NS_PER_MS;
}

/* xorshift64*: for delays, which only must not be alike on all nodes. */
static uint64_t next_random(struct client *c)
{
	c->random ^= c->random >> 12;
	c->random ^= c->random << 25;
	c->random ^= c->random >> 27;
	return c->random * UINT64_C(0x2545f4914f6cdd1d);
}

struct moment client_now(struct client *c)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct moment){.mono_ns = client_time(c),
	                       .wall_ns = (int64_t)wall.tv_sec * NS_PER_S + wall.tv_nsec,
	                       .random = next_random(c)};
}

/* ---- the end of a turn ---- */

static void sooner(int64_t *due, int64_t at)
{
	if (at != 0 && (*due == 0 || at < *due)) {
		*due = at;
	}
}

static int64_t next_due(const struct client *c)
{
	int64_t due = c->collect_due;

	LIST_EACH(e, &c->allocs) {
		sooner(&due, CONTAINER_OF(e, struct client_alloc, link)->ar.due_ns);
	}
	sooner(&due, c->checks == NULL ? 0 : checks_due(c->checks));
	sooner(&due, live_due(&c->live));
	sooner(&due, access_due(c->access));
	sooner(&due, host_render_due(c));
	sooner(&due, session_due(c));
	sooner(&due, reports_due(c));
	sooner(&due, saver_due(c));
	return due;
}

static void timer_cb(uv_timer_t *timer)
{
	struct client *c = timer->data;

	c->armed = 0; /* The turn's end does what is due. */
}

static void arm(struct client *c)
{
	int64_t due = next_due(c);
	int64_t now = client_time(c);

	if (due == 0 || due == c->armed) {
		return;
	}
	c->armed = due;
	uv_timer_start(&c->timer, timer_cb, due > now ? (uint64_t)((due - now + NS_PER_MS - 1) / NS_PER_MS) : 0, 0);
}

static void wake_allocs(struct client *c)
{
	struct moment now = client_now(c);

	LIST_EACH(e, &c->allocs) {
		struct alloc_runner *ar = &CONTAINER_OF(e, struct client_alloc, link)->ar;

		if (ar->due_ns != 0 && ar->due_ns <= now.mono_ns) {
			alloc_runner_wake(ar, &now);
		}
	}
}

static void check_stopped(struct client *c);

static void turn_cb(uv_prepare_t *handle)
{
	struct client *c = handle->data;

	if (c->stopping) {
		check_stopped(c);
		return;
	}
	if (!c->started) {
		return;
	}
	host_serve(c);
	wake_allocs(c);
	host_render_step(c);
	host_serve(c);
	if (c->collect_due <= client_time(c)) {
		host_collect(c);
	}
	if (c->checks != NULL) {
		checks_step(c->checks);
	}
	live_step(&c->live, client_time(c));
	access_step(c->access, client_time(c));
	session_step(c);
	reports_step(c);
	saver_step(c);
	arm(c);
}

/* ---- begin ---- */

static int open_state(struct client *c)
{
	int error = folder_keep(c->config->state_dir, 0700);
	int rc;

	if (error == 0) {
		error = folder_make(c->config->alloc_dir, 0711); /* Tasks of all users go through it, to their own. */
	}
	if (error != 0) {
		log_error("client", "%s, %s: %s", c->config->state_dir, c->config->alloc_dir, strerror(error));
		return ERR_IO;
	}
	rc = state_ids(c->config->state_dir, c->node_id, c->secret_id);
	if (rc == 0) {
		rc = state_store_open(&c->store, c->config->state_dir);
	}
	if (rc != 0) {
		log_error("client", "the local state in %s: %s", c->config->state_dir, error_text(rc));
	}
	return rc;
}

static int open_drivers(struct client *c)
{
	struct driver_host_config config = {.loop = c->loop,
	                                    .executor = c->config->executor[0] == '\0' ? NULL : c->config->executor,
	                                    .cgroup_parent = c->config->cgroup_parent,
	                                    .chroot_env = &c->config->chroot_env,
	                                    .dev = c->config->dev,
	                                    .files_max = c->config->task_files_max};
	struct driver_error error;
	uint32_t i;

	c->drivers = driver_host_open(&config);
	if (c->drivers == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < c->config->n_plugins; i++) {
		const struct client_plugin *p = &c->config->plugins[i];
		int rc = driver_host_plugin(c->drivers, p->name, p->config, &error);

		if (rc == ERR_NOTFOUND) {
			log_warn("client", "there is no driver for the plugin block \"%s\"", p->name);
		} else if (rc != 0) {
			log_error("client", "plugin \"%s\": %s", p->name, error.text);
			return rc;
		}
	}
	return 0;
}

static int look_at_machine(struct client *c)
{
	struct moment now = client_now(c);
	struct fingerprint_args args = {.config = c->config,
	                                .root = "",
	                                .node_id = c->node_id,
	                                .secret_id = c->secret_id,
	                                .drivers = c->drivers,
	                                .now_ns = now.wall_ns};
	int rc = fingerprint(&args, &c->node, &c->node_mem);

	return rc != 0 ? rc : node_meta_open(c);
}

static void found_cb(void *ctx, struct saved_alloc *saved, struct arena *mem)
{
	host_restore(ctx, saved, mem);
}

static int open_parts(struct client *c)
{
	int rc = open_state(c);

	if (rc == 0) {
		rc = open_drivers(c);
	}
	if (rc == 0) {
		rc = look_at_machine(c);
	}
	if (rc == 0) {
		rc = handlers_init(c);
	}
	if (rc == 0) {
		rc = work_init(&c->work, c->loop); /* The last that can fail: what it opens is closed by the loop alone. */
	}
	return rc;
}

static void init_lists(struct client *c)
{
	list_init(&c->allocs);
	list_init(&c->ready);
	list_init(&c->waiting);
	list_init(&c->streams);
	list_init(&c->execs);
	live_init(&c->live, c->link);
	list_init(&c->monitors);
	session_init(c);
	reports_init(c);
	saver_init(c);
}

static void free_client(struct client *c)
{
	handlers_close(c);
	state_store_close(&c->store);
	arena_close(&c->node_mem);
	free(c->hoststats);
	free(c);
}

/* ---- end ---- */

static void finish(struct client *c)
{
	void (*stopped_cb)(void *ctx) = c->stopped_cb;
	void *ctx = c->stopped_ctx;

	free_client(c);
	if (stopped_cb != NULL) {
		stopped_cb(ctx);
	}
}

void client_closed_handle(struct client *c)
{
	if (--c->handles == 0) {
		finish(c);
	}
}

static void handle_closed_cb(uv_handle_t *handle)
{
	client_closed_handle(handle->data);
}

static void work_closed_cb(struct bell *wake)
{
	client_closed_handle(CONTAINER_OF(wake, struct client, work.wake));
}

static void close_handles(struct client *c)
{
	uv_close((uv_handle_t *)&c->timer, handle_closed_cb);
	uv_close((uv_handle_t *)&c->turn, handle_closed_cb);
	work_close(&c->work, work_closed_cb);
}

static void drivers_closed_cb(void *ctx)
{
	struct client *c = ctx;

	close_handles(c);
}

/* Workers still hold allocations: those end first, then the tasks are let go of, then the drivers, then the handles. */
static void check_stopped(struct client *c)
{
	if (!c->link_stopped || c->work.n > 0 || !list_empty(&c->streams) || c->letting_go) {
		return;
	}
	c->letting_go = true;
	saver_flush(c);
	if (c->checks != NULL) {
		checks_close(c->checks);
		c->checks = NULL;
	}
	host_close(c, c->end_tasks);
	driver_host_close(c->drivers, drivers_closed_cb, c);
}

static void link_stopped_cb(void *ctx)
{
	struct client *c = ctx;

	c->link_stopped = true;
}

static void cancel_hooks(struct client *c)
{
	LIST_EACH(e, &c->allocs) {
		host_cancel(CONTAINER_OF(e, struct client_alloc, link));
	}
}

void client_stop(struct client *c, bool end_tasks, void (*stopped_cb)(void *ctx), void *ctx)
{
	assert(!c->stopping);
	c->stopping = true;
	atomic_store(&c->canceled, true);
	c->end_tasks = end_tasks;
	c->stopped_cb = stopped_cb;
	c->stopped_ctx = ctx;
	cancel_hooks(c);
	fs_end_all(c);
	exec_end_all(c);
	monitors_end_all(c);
	access_stop(c->access);
	/* The turn's end looks whether all is over: make sure that there is one. */
	uv_timer_start(&c->timer, timer_cb, 0, 10);
	if (c->started) {
		c->link->ops->stop(c->link, link_stopped_cb, c);
	} else {
		c->link_stopped = true;
	}
}

struct client *client_open(struct uv_loop_s *loop, const struct client_config *config, struct client_link *link)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		return NULL;
	}
	c->loop = loop;
	c->config = config;
	c->link = link;
	(void)uv_random(NULL, NULL, &c->random, sizeof(c->random), 0, NULL);
	c->random |= 1;
	init_lists(c);
	if (open_parts(c) != 0) {
		if (c->drivers != NULL) {
			driver_host_close(c->drivers, NULL, NULL);
		}
		free_client(c);
		return NULL;
	}
	uv_prepare_init(loop, &c->turn);
	uv_timer_init(loop, &c->timer);
	c->turn.data = c;
	c->timer.data = c;
	c->handles = 3;
	c->checks = checks_new(c);
	uv_prepare_start(&c->turn, turn_cb);
	if (state_load(&c->store, found_cb, c) != 0) {
		log_warn("client", "the local state of allocations cannot be listed");
	}
	host_sweep_unknown(c);
	return c;
}

void client_start(struct client *c)
{
	c->started = true;
	c->collect_due = client_time(c) + host_collect_every_ns(c);
	LIST_EACH(e, &c->allocs) {
		host_begin(CONTAINER_OF(e, struct client_alloc, link));
	}
	c->link->ops->start(c->link, c->node_id, c->secret_id, &session_events, c);
}

/* ---- facts ---- */

bool client_has_alloc(const struct client *c, const char *id)
{
	return client_find(c, id) != NULL;
}

const struct node *client_node(const struct client *c)
{
	return &c->node;
}

struct client_facts client_facts(const struct client *c)
{
	struct client_facts facts = {.allocs = c->n_allocs,
	                             .heartbeat_ttl_ns = c->session.ttl_ns,
	                             .last_heartbeat_ns = c->session.heartbeat_wall_ns,
	                             .connected = c->link_up};

	LIST_EACH(e, &c->allocs) {
		facts.allocs_running += !alloc_runner_dead(&CONTAINER_OF(e, struct client_alloc, link)->ar);
	}
	return facts;
}
