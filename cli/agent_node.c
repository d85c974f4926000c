/* The client of an agent: its configuration, its thread, and what other threads have to say to it. */
#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/agent_parts.h"
#include "cli/hostdata.h"
#include "client/client.h"
#include "client/link_rpc.h"
#include "lib/bell.h"
#include "lib/uuid.h"
#include "proto/channel.h"
#include "proto/error.h"

enum {
	MAIL_MAX = 4096, /* Requests that wait for the thread; more are refused. */
	THREAD_STACK = 1 << 20,
};

struct agent_node {
	const struct agent_config *config;
	struct arena mem;
	struct client_config client_config;
	char node_id[UUID_TEXT];

	uv_loop_t loop;
	struct bell wake; /* Stays until close: others may ring when the thread has ended. */
	struct mailbox box;
	atomic_bool stop_asked;
	bool end_tasks;
	uv_thread_t thread;
	bool started;

	/* Of the thread. */
	struct channels *channels; /* NULL: plain text. */
	struct client_link *link;
	struct client *client;
	struct agent_relay *relay;
	bool stopping, relay_stopped;
};

/* ---- configuration ---- */

static int set_plugins(const struct agent_config *c, struct arena *mem, struct client_config *out)
{
	struct client_plugin *plugins = arena_alloc(mem, (c->plugin.n + 1) * sizeof(*plugins));
	uint32_t i;

	if (plugins == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < c->plugin.n; i++) {
		const struct agent_plugin *p = &c->plugin.at[i];

		plugins[i] = (struct client_plugin){p->name, p->config[0] != '\0' ? p->config : "{}"};
	}
	out->plugins = plugins;
	out->n_plugins = c->plugin.n;
	return 0;
}

static int set_volumes(const struct agent_config *c, struct arena *mem, struct client_config *out)
{
	uint32_t n = c->client->host_volume.n;
	struct client_host_volume *volumes = arena_alloc(mem, (n + 1) * sizeof(*volumes));
	uint32_t i;

	if (volumes == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < n; i++) {
		const struct agent_host_volume *v = &c->client->host_volume.at[i];

		volumes[i] = (struct client_host_volume){v->name, v->path, v->read_only};
	}
	out->host_volumes = volumes;
	out->n_host_volumes = n;
	return 0;
}

static void set_machine(const struct agent_config *c, struct client_config *out)
{
	const struct agent_reserved *reserved = c->client->reserved;

	out->network_interface = c->client->network_interface;
	out->network_speed_mbits = c->client->network_speed;
	out->cpu_total_compute_mhz = c->client->cpu_total_compute;
	out->memory_total_mb = c->client->memory_total_mb;
	out->disk_total_mb = c->client->disk_total_mb;
	out->disk_free_mb = c->client->disk_free_mb;
	out->reserved_cpu_mhz = reserved->cpu;
	out->reserved_memory_mb = reserved->memory;
	out->reserved_disk_mb = reserved->disk;
	out->reserved_ports = reserved->reserved_ports;
	out->min_dynamic_port = c->client->min_dynamic_port;
	out->max_dynamic_port = c->client->max_dynamic_port;
	out->node_max_allocs = c->client->node_max_allocs;
}

static int set_config(const struct agent_config *c, struct arena *mem, struct client_config *out)
{
	*out = (struct client_config){0};
	out->name = c->name;
	out->region = c->region;
	out->datacenter = c->datacenter;
	out->node_class = c->client->node_class;
	out->node_pool = c->client->node_pool;
	out->state_dir = c->client->state_dir;
	out->alloc_dir = c->client->alloc_dir;
	out->http_addr = c->advertise->http;
	out->program_version = DROVER_VERSION;
	out->meta = c->client->meta;
	out->executor = "";
	out->cgroup_parent = c->client->cgroup_parent[0] != '\0' ? c->client->cgroup_parent : NULL;
	out->chroot_env = c->client->chroot_env;
	out->max_kill_timeout_ns = c->client->max_kill_timeout;
	out->gc_max_allocs = c->client->gc_max_allocs;
	out->gc_disk_percent = c->client->gc_disk_usage_threshold;
	out->gc_inode_percent = c->client->gc_inode_usage_threshold;
	out->gc_interval_ns = c->client->gc_interval;
	out->gc_parallel = c->client->gc_parallel_destroys;
	out->facts = agent_hostdata(c);
	out->dev = c->dev_mode;
	out->https = c->tls->http;
	out->tls = (struct client_tls){.ca_file = c->tls->ca_file,
				       .cert_file = c->tls->cert_file,
				       .key_file = c->tls->key_file,
				       .verify_names = c->tls->verify_server_hostname};
	out->acl_enabled = c->acl->enabled;
	out->acl_token_ttl_ns = c->acl->token_ttl;
	out->acl_policy_ttl_ns = c->acl->policy_ttl;
	out->disable_remote_exec = c->client->disable_remote_exec;
	set_machine(c, out);
	if (config_client_servers(c, mem, &out->servers) != 0 || set_plugins(c, mem, out) != 0 ||
	    set_volumes(c, mem, out) != 0) {
		return ERR_NOMEM;
	}
	return 0;
}

/* ---- mail ---- */

static void wake_cb(struct bell *wake);

static void ring(void *arg)
{
	struct agent_node *c = arg;

	bell_ring(&c->wake);
}

bool agent_node_post(struct agent_node *c, struct mail *mail)
{
	return mailbox_put(&c->box, mail);
}

void agent_node_post_answer(struct agent_node *c, struct mail *mail)
{
	mailbox_put_answer(&c->box, mail);
}

unsigned agent_node_run_mail(struct agent_node *c)
{
	return mailbox_run(&c->box);
}

/* ---- begin ---- */

static int open_loop(struct agent_node *c)
{
	if (uv_loop_init(&c->loop) != 0) {
		return ERR_NOMEM;
	}
	if (bell_open(&c->wake, &c->loop, wake_cb, c) != 0) {
		(void)uv_loop_close(&c->loop);
		return ERR_NOMEM;
	}
	mailbox_init(&c->box, MAIL_MAX, ring, c);
	return 0;
}

/* Run what is left on the loop until nothing is. */
static void close_loop(struct agent_node *c)
{
	bell_close(&c->wake, NULL);
	while (uv_run(&c->loop, UV_RUN_DEFAULT) != 0) {
	}
	(void)uv_loop_close(&c->loop);
}

static int open_parts(struct agent_node *c, const struct agent_secrets *secrets, char why[AGENT_WHY])
{
	const struct client_config *config = &c->client_config;
	struct link_rpc_config link = {.servers = config->servers,
				       .name = config->name,
				       .region = config->region,
				       .datacenter = config->datacenter,
				       .version = DROVER_VERSION,
				       .http_addr = config->http_addr};

	if (agent_secrets_channels(secrets, c->config, &link.channels) == 0) {
		c->channels = link.channels;
		c->link = link_rpc_new(&c->loop, &link);
	}
	c->relay = c->link != NULL ? agent_relay_new(&c->loop, c->config, c) : NULL;
	if (c->relay == NULL) {
		snprintf(why, AGENT_WHY, "%s", error_text(ERR_NOMEM));
		return ERR_NOMEM;
	}
	c->client = client_open(&c->loop, config, c->link);
	if (c->client == NULL) {
		snprintf(why, AGENT_WHY, "the client cannot start on client.state_dir %s, client.alloc_dir %s",
			 config->state_dir, config->alloc_dir);
		return ERR_IO;
	}
	snprintf(c->node_id, sizeof(c->node_id), "%s", client_node(c->client)->id);
	return 0;
}

struct agent_node *agent_node_open(const struct agent_config *config, const struct agent_secrets *secrets,
				   int64_t task_files_max, char why[AGENT_WHY])
{
	struct agent_node *c = calloc(1, sizeof(*c));

	if (c == NULL || set_config(config, &c->mem, &c->client_config) != 0 || open_loop(c) != 0) {
		snprintf(why, AGENT_WHY, "%s", error_text(ERR_NOMEM));
		if (c != NULL) {
			arena_close(&c->mem);
			free(c);
		}
		return NULL;
	}
	c->config = config;
	c->client_config.task_files_max = task_files_max;
	if (open_parts(c, secrets, why) != 0) {
		agent_node_close(c);
		return NULL;
	}
	return c;
}

const char *agent_node_id(const struct agent_node *c)
{
	return c->node_id;
}

static void run_thread(void *arg)
{
	struct agent_node *c = arg;

	client_start(c->client);
	(void)uv_run(&c->loop, UV_RUN_DEFAULT);
}

int agent_node_start(struct agent_node *c)
{
	const uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = THREAD_STACK};

	if (uv_thread_create_ex(&c->thread, &options, run_thread, c) != 0) {
		return ERR_NOMEM;
	}
	c->started = true;
	return 0;
}

/* ---- the thread ---- */

struct client *agent_node_of(struct agent_node *c)
{
	return c->client;
}

struct client_link *agent_node_link(struct agent_node *c)
{
	return c->link;
}

struct channels *agent_node_channels(struct agent_node *c)
{
	return c->channels;
}

struct agent_relay *agent_node_relay(struct agent_node *c)
{
	return c->relay;
}

static void check_stopped(struct agent_node *c)
{
	if (c->client == NULL && c->relay_stopped) {
		uv_stop(&c->loop);
	}
}

static void client_stopped_cb(void *ctx)
{
	struct agent_node *c = ctx;

	c->client = NULL;
	check_stopped(c);
}

static void relay_stopped_cb(void *ctx)
{
	struct agent_node *c = ctx;

	c->relay_stopped = true;
	check_stopped(c);
}

static void wake_cb(struct bell *wake)
{
	struct agent_node *c = wake->data;

	(void)mailbox_run(&c->box);
	if (atomic_load(&c->stop_asked) && !c->stopping) {
		c->stopping = true;
		agent_relay_stop(c->relay, relay_stopped_cb, c);
		client_stop(c->client, c->end_tasks, client_stopped_cb, c);
	}
}

/* ---- end ---- */

void agent_node_stop(struct agent_node *c, bool end_tasks)
{
	if (!c->started) {
		return;
	}
	c->end_tasks = end_tasks;
	atomic_store(&c->stop_asked, true);
	ring(c);
	(void)uv_thread_join(&c->thread);
	c->started = false;
}

static void link_stopped_cb(void *ctx)
{
	(void)ctx;
}

/* Opened and never run: there are handles on the loop, which close_loop() runs to their end. */
static void stop_unused(struct agent_node *c)
{
	if (c->relay != NULL) {
		agent_relay_stop(c->relay, relay_stopped_cb, c);
	}
	if (c->client != NULL) {
		client_stop(c->client, false, client_stopped_cb, c);
	}
	if (c->link != NULL) {
		c->link->ops->stop(c->link, link_stopped_cb, c);
	}
}

void agent_node_close(struct agent_node *c)
{
	assert(!c->started);
	if (!c->stopping) {
		stop_unused(c);
	}
	close_loop(c);
	if (c->relay != NULL) {
		agent_relay_free(c->relay);
	}
	if (c->link != NULL) {
		link_rpc_free(c->link);
	}
	channels_free(c->channels);
	arena_close(&c->mem);
	free(c);
}
