/* The server's configuration, from that of the agent. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/agent_parts.h"
#include "cli/hostdata.h"
#include "cli/netaddr.h"
#include "proto/error.h"
#include "server/server.h"

/* ---- where to listen ---- */

static bool is_numeric(const char *host)
{
	struct in6_addr addr;

	return inet_pton(AF_INET, host, &addr) == 1 || inet_pton(AF_INET6, host, &addr) == 1;
}

const char *agent_numeric_host(const char *key, const char *host, struct arena *mem, char why[AGENT_WHY])
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	char text[NI_MAXHOST];
	const char *copy;
	int rv;

	if (is_numeric(host)) {
		return host;
	}
	rv = getaddrinfo(host, NULL, &hints, &found);
	if (rv == 0) {
		rv = getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
		freeaddrinfo(found);
	}
	if (rv != 0) {
		snprintf(why, AGENT_WHY, "%s: %s: %s", key, host, gai_strerror(rv));
		return NULL;
	}
	copy = arena_strdup(mem, text);
	if (copy == NULL) {
		snprintf(why, AGENT_WHY, "%s", error_text(ERR_NOMEM));
	}
	return copy;
}

/* "host:port" of a listener; NULL, with a text in `why`. */
static const char *bind_text(const char *key, const char *host, int64_t port, struct arena *mem, char why[AGENT_WHY])
{
	const char *numeric = agent_numeric_host(key, host, mem, why);
	char text[NETADDR_TEXT];
	const char *copy;

	if (numeric == NULL) {
		return NULL;
	}
	netaddr_format(numeric, (unsigned)port, text);
	copy = arena_strdup(mem, text);
	if (copy == NULL) {
		snprintf(why, AGENT_WHY, "%s", error_text(ERR_NOMEM));
	}
	return copy;
}

static int set_listeners(const struct agent_config *c, struct arena *mem, struct server_config *out,
			 char why[AGENT_WHY])
{
	out->bind_http_host = agent_numeric_host("addresses.http", c->addresses->http, mem, why);
	out->bind_rpc = bind_text("addresses.rpc", c->addresses->rpc, c->ports->rpc, mem, why);
	out->bind_serf = bind_text("addresses.serf", c->addresses->serf, c->ports->serf, mem, why);
	out->http_port = (uint16_t)c->ports->http;
	out->http_addr = c->advertise->http;
	out->rpc_addr = c->advertise->rpc;
	out->serf_addr = c->advertise->serf;
	return out->bind_http_host == NULL || out->bind_rpc == NULL || out->bind_serf == NULL ? ERR_INVALID : 0;
}

/* ---- finding the others ---- */

static int set_joining(const struct agent_config *c, struct arena *mem, struct server_config *out)
{
	const struct agent_server *s = c->server;
	int64_t every_ns = s->retry_interval > 0 ? s->retry_interval : s->server_join->retry_interval;

	out->bootstrap_expect = (unsigned)s->bootstrap_expect;
	out->join_ms = (unsigned)(every_ns / CONFIG_MS < UINT32_MAX ? every_ns / CONFIG_MS : UINT32_MAX);
	out->join_max = (unsigned)(s->retry_max > 0 ? s->retry_max : s->server_join->retry_max);
	return config_server_peers(c, mem, &out->peers);
}

/* ---- what it does ---- */

/* A size that config_check() has found to be one. */
static uint64_t size_of(const char *text)
{
	int64_t bytes = 0;

	(void)hcl_size_parse(text, &bytes);
	return (uint64_t)bytes;
}

static void set_log(const struct agent_config *c, struct server_config *out)
{
	out->election_ms = config_election_ms(c);
	out->heartbeat_ms = config_heartbeat_ms(c);
	out->snapshot_log_bytes = size_of(c->raft->snapshot_size);
	out->trailing_bytes = size_of(c->raft->trailing_size);
}

static void set_leader(const struct agent_server *s, struct leader_config *out)
{
	out->heartbeat.min_ttl_ns = s->min_heartbeat_ttl;
	out->heartbeat.grace_ns = s->heartbeat_grace;
	out->heartbeat.max_per_second = s->max_heartbeats_per_second;
	out->gc.interval_ns = s->job_gc_interval;
	out->gc.eval_ns = s->eval_gc_threshold;
	out->gc.batch_eval_ns = s->batch_eval_gc_threshold;
	out->gc.job_ns = s->job_gc_threshold;
	out->gc.deployment_ns = s->deployment_gc_threshold;
	out->gc.node_ns = s->node_gc_threshold;
	out->expiry.token_age_ns = s->acl_token_gc_threshold;
	out->rootkeys.interval_ns = s->root_key_gc_interval;
	out->rootkeys.gc_ns = s->root_key_gc_threshold;
	out->rootkeys.rotation_ns = s->root_key_rotation_threshold;
}

static void set_autopilot(const struct agent_autopilot *a, struct autopilot_config *out)
{
	object_init(&autopilot_config_type, out);
	out->cleanup_dead_servers = a->cleanup_dead_servers;
	out->last_contact_threshold = a->last_contact_threshold;
	out->max_trailing_logs = a->max_trailing_logs;
	out->min_quorum = a->min_quorum;
	out->server_stabilization_time = a->server_stabilization_time;
	out->enable_redundancy_zones = a->enable_redundancy_zones;
	out->disable_upgrade_migration = a->disable_upgrade_migration;
	out->enable_custom_upgrades = a->enable_custom_upgrades;
}

static void set_work(const struct agent_config *c, struct server_config *out)
{
	const struct agent_server *s = c->server;
	uint64_t source = size_of(s->job_max_source_size);

	out->schedulers = s->num_schedulers.set ? (unsigned)s->num_schedulers.at : 0;
	out->no_schedulers = s->num_schedulers.set && s->num_schedulers.at == 0;
	out->versions_kept = s->job_tracked_versions;
	out->count_max = s->job_max_count > 0 ? s->job_max_count : -1;
	out->source_bytes_max = source > 0 ? (size_t)source : 1; /* 0 keeps none here, and is the default there. */
	set_leader(s, &out->leader);
	set_autopilot(c->autopilot, &out->autopilot);
}

static void set_acl(const struct agent_acl *a, struct server_config *out)
{
	out->acl.enabled = a->enabled;
	out->acl.token_min_ttl_ns = a->token_min_expiration_ttl;
	out->acl.token_max_ttl_ns = a->token_max_expiration_ttl;
}

static void set_limits(const struct agent_limits *l, struct server_config *out)
{
	out->http_conns_per_client = (unsigned)l->http_max_conns_per_client;
	out->rpc_conns_per_client = (unsigned)l->rpc_max_conns_per_client;
	out->http_requests_per_s = l->http_request_rate_per_client;
	out->http_requests_burst = (unsigned)l->http_request_burst_per_client;
	out->rpc_handshake_ms = config_ms(l->rpc_handshake_timeout);
	out->https_handshake_ms = config_ms(l->https_handshake_timeout);
}

/* ---- all of it ---- */

static int set_self(const struct agent_config *c, const char *node_id, struct arena *mem, struct server_config *out)
{
	struct buf json = {0};
	int rv = config_json(c, &json);

	out->dir = c->server->data_dir;
	out->name = c->name;
	out->region = c->region;
	out->datacenter = c->datacenter;
	out->version = DROVER_VERSION;
	out->api_version = c->version->version;
	out->node_id = node_id;
	out->facts = agent_hostdata(c);
	out->config_json = rv == 0 ? arena_strndup(mem, json.at, json.len) : NULL;
	buf_close(&json);
	return out->config_json != NULL ? 0 : ERR_NOMEM;
}

/* The key that wraps root keys, from the file that the configuration names. */
static int set_wrapping(const struct agent_server *s, struct server_config *out, char why[AGENT_WHY])
{
	char text[256];
	size_t n;
	FILE *f;

	if (s->wrapping_key_file[0] == '\0') {
		return 0;
	}
	f = fopen(s->wrapping_key_file, "re");
	if (f == NULL) {
		snprintf(why, AGENT_WHY, "server.wrapping_key_file: %.200s: %s", s->wrapping_key_file, strerror(errno));
		return ERR_INVALID;
	}
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	if (keyring_parse(text, n, out->wrapping_key) != 0) {
		snprintf(why, AGENT_WHY, "server.wrapping_key_file: %.200s must hold 32 bytes in base64 or hexadecimal",
			 s->wrapping_key_file);
		return ERR_INVALID;
	}
	out->wraps = true;
	return 0;
}

int agent_server_config(const struct agent_config *config, const char *node_id, struct arena *mem,
			struct server_config *out, char why[AGENT_WHY])
{
	*out = (struct server_config){0};
	if (set_listeners(config, mem, out, why) != 0) {
		return ERR_INVALID;
	}
	if (set_self(config, node_id, mem, out) != 0 || set_joining(config, mem, out) != 0) {
		snprintf(why, AGENT_WHY, "%s", error_text(ERR_NOMEM));
		return ERR_NOMEM;
	}
	if (set_wrapping(config->server, out, why) != 0) {
		return ERR_INVALID;
	}
	set_log(config, out);
	set_work(config, out);
	set_limits(config->limits, out);
	set_acl(config->acl, out);
	return 0;
}
