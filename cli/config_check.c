/* The rules of the configuration that no field's limits can tell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"
#include "cli/netaddr.h"
#include "lib/log.h"
#include "lib/tls.h"

#define refuse(path, ...) hcl_report_about(report, true, path, __VA_ARGS__)
#define warn(path, ...) hcl_report_about(report, false, path, __VA_ARGS__)

/* ---- what is not supported ---- */

/* What an operator relies on must not be passed over in silence: condition, path, and what it is. */
#define REFUSED(X)                                                                                                     \
	X(c->enable_syslog, "enable_syslog", "syslog; the log goes to standard error")

/* What can be left out without harm, but not without a word. Whole sections too: "vault" is all of vault { }. */
static const char *const without_effect[] = {"consul",
					     "vault",
					     "sentinel",
					     "reporting",
					     "keyring",
					     "audit",
					     "eventlog",
					     "rpc",
					     "server.authoritative_region",
					     "server.non_voting_server",
					     "server.redundancy_zone",
					     "server.upgrade_version",
					     "server.license_path",
					     "server.raft_boltdb",
					     "server.raft_logstore",
					     "server.oidc_issuer",
					     "server.client_introduction",
					     "server.enabled_schedulers",
					     "server.failover_heartbeat_ttl",
					     "server.rejoin_after_leave",
					     "server.plan_rejection_tracker",
					     "server.default_scheduler_config",
					     "server.enable_event_broker",
					     "server.event_buffer_size",
					     "server.search",
					     "server.deployment_query_rate_limit",
					     "server.raft_snapshot_threshold",
					     "server.raft_snapshot_interval",
					     "server.raft_trailing_logs",
					     "server.job_default_priority",
					     "server.job_max_priority",
					     "server.start_timeout",
					     "server.csi_volume_claim_gc_interval",
					     "server.csi_volume_claim_gc_threshold",
					     "server.csi_plugin_gc_threshold",
					     "acl.replication_token",
					     "client.template",
					     "client.artifact",
					     "client.fingerprint",
					     "client.alloc_mounts_dir",
					     "client.users",
					     "client.preferred_address_family",
					     "client.cpu_disable_dmidecode",
					     "client.client_max_port",
					     "client.client_min_port",
					     "client.gc_volumes_on_node_gc",
					     "client.no_host_uuid",
					     "client.host_volumes_dir",
					     "client.host_network",
					     "client.bind_wildcard_default_host_network",
					     "client.cni_path",
					     "client.cni_config_dir",
					     "client.bridge_network_name",
					     "client.bridge_network_subnet",
					     "client.bridge_network_subnet_ipv6",
					     "client.bridge_network_hairpin_mode",
					     "client.nomad_service_discovery",
					     "client.drain_on_shutdown",
					     "client.reserved.cores",
					     "client.host_volume_plugin_dir",
					     "client.common_plugin_dir",
					     "client.intro_token",
					     "log_include_location",
					     "log_rotate_duration",
					     "log_rotate_bytes",
					     "log_rotate_max_files",
					     "plugin_dir",
					     "syslog_facility",
					     "ui",
					     "http_api_response_headers",
					     "limits.rpc_default_write_rate",
					     "limits.rpc_default_read_rate",
					     "limits.rpc_default_list_rate",
					     "telemetry.statsite_address",
					     "telemetry.statsd_address",
					     "telemetry.datadog_address",
					     "telemetry.datadog_tags",
					     "telemetry.publish_allocation_metrics",
					     "telemetry.publish_node_metrics",
					     "telemetry.prefix_filter",
					     "telemetry.filter_default"};

static void check_support(const struct agent_config *c, struct hcl_report *report)
{
	const struct hcl_place *place;
	size_t i;

#define X(condition, path, what)                                                                                       \
	if (condition) {                                                                                               \
		refuse(path, "%s: not supported: %s", path, what);                                                     \
	}
	REFUSED(X)
#undef X
	for (i = 0; i < sizeof(without_effect) / sizeof(without_effect[0]); i++) {
		const char *path = without_effect[i];
		size_t n = strlen(path);

		for (place = report->places; place != NULL; place = place->next) {
			if (strncmp(place->path, path, n) == 0 && (place->path[n] == '\0' || place->path[n] == '.')) {
				warn(place->path, "%s has no effect: it is not supported", path);
				break;
			}
		}
	}
}

/* ---- who the agent is ---- */

static bool is_label(const char *text)
{
	return text[0] != '\0' && strpbrk(text, "/ \t\r\n\"") == NULL;
}

static void check_names(const struct agent_config *c, struct hcl_report *report)
{
	enum log_level level;

	if (!log_level_parse(c->log_level, &level)) {
		refuse("log_level", "log_level must be TRACE, DEBUG, INFO, WARN, ERROR or OFF, not \"%.80s\"",
		       c->log_level);
	}
	if (!is_label(c->region)) {
		refuse("region", "region must be a name without spaces and slashes");
	}
	if (!is_label(c->datacenter)) {
		refuse("datacenter", "datacenter must be a name without spaces and slashes");
	}
	if (!is_label(c->name)) {
		refuse("name", "name must be a name without spaces and slashes");
	}
}

static void check_roles(const struct agent_config *c, struct hcl_report *report)
{
	int64_t expect = c->server->bootstrap_expect;

	if (!c->server->enabled && !c->client->enabled) {
		refuse("server.enabled", "neither server nor client is enabled: an agent is a server, a client or both "
					 "(-server, -client, -dev)");
	}
	if (expect > 0 && !c->server->enabled) {
		refuse("server.bootstrap_expect", "server.bootstrap_expect needs server.enabled = true");
	}
	if (c->server->enabled && expect > 0 && expect % 2 == 0) {
		warn("server.bootstrap_expect",
		     "server.bootstrap_expect is %d: an even number of servers bears no more "
		     "failures than one less",
		     (int)expect);
	}
}

/* ---- directories ---- */

static void check_directory(struct hcl_report *report, const char *path, const char *directory)
{
	if (directory[0] != '\0' && directory[0] != '/') {
		refuse(path, "%s must be an absolute path, not \"%.80s\"", path, directory);
	}
}

static void check_directories(const struct agent_config *c, struct hcl_report *report)
{
	char path[128];
	uint32_t i;

	if (c->data_dir[0] == '\0' && !c->dev_mode) {
		refuse("data_dir", "data_dir must be given");
	}
	check_directory(report, "data_dir", c->data_dir);
	if (c->data_dir[0] != '/') {
		return; /* The others follow from it. */
	}
	check_directory(report, "server.data_dir", c->server->data_dir);
	check_directory(report, "client.state_dir", c->client->state_dir);
	check_directory(report, "client.alloc_dir", c->client->alloc_dir);
	check_directory(report, "plugin_dir", c->plugin_dir);
	for (i = 0; i < c->client->chroot_env.n; i++) {
		const struct pair *p = &c->client->chroot_env.at[i];

		check_directory(report, "client.chroot_env", p->key[0] != '/' ? p->key : p->value);
		if (p->key[0] == '\0' || p->value[0] == '\0' || strpbrk(p->key, "\n") != NULL ||
		    strpbrk(p->value, "\n") != NULL) {
			refuse("client.chroot_env", "client.chroot_env: a path is empty or has a line break");
		}
	}
	for (i = 0; i < c->client->host_volume.n; i++) {
		const struct agent_host_volume *v = &c->client->host_volume.at[i];

		if (v->path[0] != '/') {
			snprintf(path, sizeof(path), "client.host_volume.%.64s.path", v->name);
			refuse(path, "%s must be an absolute path, not \"%.80s\"", path, v->path);
		}
	}
}

/* ---- ports ---- */

/* "22,80,8000-8100" */
static bool is_port_list(const char *text)
{
	while (*text != '\0') {
		char *end;
		unsigned long first;
		unsigned long last;

		text += strspn(text, " ");
		if (*text < '0' || *text > '9') {
			return false;
		}
		first = last = strtoul(text, &end, 10);
		if (*end == '-' && end[1] >= '0' && end[1] <= '9') {
			last = strtoul(end + 1, &end, 10);
		}
		end += strspn(end, " ");
		if (last > 65535 || first > last || (*end != ',' && *end != '\0')) {
			return false;
		}
		text = *end == ',' ? end + 1 : end;
	}
	return true;
}

static void check_same_port(struct hcl_report *report, const char *path, const char *other, int64_t a, int64_t b,
			    const char *host_a, const char *host_b)
{
	if (a == b && strcmp(host_a, host_b) == 0) {
		refuse(path, "%s and %s are the same", path, other);
	}
}

static void check_ports(const struct agent_config *c, struct hcl_report *report)
{
	const struct agent_ports *p = c->ports;
	const struct agent_addresses *a = c->addresses;

	check_same_port(report, "ports.rpc", "ports.http", p->rpc, p->http, a->rpc, a->http);
	check_same_port(report, "ports.serf", "ports.http", p->serf, p->http, a->serf, a->http);
	check_same_port(report, "ports.serf", "ports.rpc", p->serf, p->rpc, a->serf, a->rpc);
	if (c->client->min_dynamic_port > c->client->max_dynamic_port) {
		refuse("client.min_dynamic_port", "client.min_dynamic_port is above client.max_dynamic_port");
	}
	if (!is_port_list(c->client->reserved->reserved_ports)) {
		refuse("client.reserved.reserved_ports",
		       "client.reserved.reserved_ports must be ports and ranges such as \"22,8000-8100\", not "
		       "\"%.80s\"",
		       c->client->reserved->reserved_ports);
	}
}

/* ---- servers ---- */

static void check_addresses(struct hcl_report *report, const char *path, const struct strs *list)
{
	char host[NETADDR_HOST];
	unsigned port;
	uint32_t i;

	for (i = 0; i < list->n; i++) {
		if (strstr(list->at[i], "provider=") != NULL) {
			refuse(path, "%s: finding servers through a cloud's provider is not supported", path);
		} else if (!netaddr_parse(list->at[i], 1, host, &port)) {
			refuse(path, "%s must be addresses with or without a port, not \"%.80s\"", path, list->at[i]);
		}
	}
}

static void check_joining(const struct agent_config *c, struct hcl_report *report)
{
	check_addresses(report, "server.retry_join", &c->server->retry_join);
	check_addresses(report, "server.start_join", &c->server->start_join);
	check_addresses(report, "server.server_join.retry_join", &c->server->server_join->retry_join);
	check_addresses(report, "server.server_join.start_join", &c->server->server_join->start_join);
	check_addresses(report, "client.servers", &c->client->servers);
	check_addresses(report, "client.server_join.retry_join", &c->client->server_join->retry_join);
}

static void check_rate(const struct agent_config *c, struct hcl_report *report)
{
	double rate = c->limits->http_request_rate_per_client;

	if (rate != 0 && !(rate >= 0.01 && rate <= 1000000)) {
		refuse("limits.http_request_rate_per_client",
		       "limits.http_request_rate_per_client must be 0, for no limit, or from 0.01 to 1000000 a second");
	}
}

static void check_schedulers(const struct agent_config *c, struct hcl_report *report)
{
	static const char *const known[] = {"service", "batch", "system", "sysbatch", "_core"};
	const struct scheduler_config *s = c->server->default_scheduler_config;
	const struct strs *names = &c->server->enabled_schedulers;
	uint32_t i;
	size_t j;

	for (i = 0; i < names->n; i++) {
		for (j = 0; j < sizeof(known) / sizeof(known[0]) && strcmp(names->at[i], known[j]) != 0; j++) {
		}
		if (j == sizeof(known) / sizeof(known[0])) {
			refuse("server.enabled_schedulers", "server.enabled_schedulers: \"%.80s\" is no scheduler",
			       names->at[i]);
		}
	}
	if (s != NULL && strcmp(s->algorithm, "binpack") != 0 && strcmp(s->algorithm, "spread") != 0) {
		refuse("server.default_scheduler_config.scheduler_algorithm",
		       "server.default_scheduler_config.scheduler_algorithm must be \"binpack\" or \"spread\"");
	}
	if (c->server->job_default_priority > c->server->job_max_priority) {
		refuse("server.job_default_priority", "server.job_default_priority is above server.job_max_priority");
	}
	if (c->server->max_heartbeats_per_second <= 0) {
		refuse("server.max_heartbeats_per_second", "server.max_heartbeats_per_second must be above 0");
	}
}

static void check_size(struct hcl_report *report, const char *path, const char *text)
{
	int64_t bytes;

	if (!hcl_size_parse(text, &bytes)) {
		refuse(path, "%s must be a size such as \"16MiB\", not \"%.80s\"", path, text);
	}
}

static void check_raft(const struct agent_config *c, struct hcl_report *report)
{
	if (c->raft->election_timeout < 3 * c->raft->heartbeat_interval) {
		refuse("raft.election_timeout",
		       "raft.election_timeout must be at least three times raft.heartbeat_interval");
	}
	check_size(report, "raft.snapshot_size", c->raft->snapshot_size);
	check_size(report, "raft.trailing_size", c->raft->trailing_size);
	check_size(report, "server.job_max_source_size", c->server->job_max_source_size);
}

/* ---- access control ---- */

static void check_acl(const struct agent_config *c, struct hcl_report *report)
{
	const struct agent_acl *a = c->acl;

	if (a->token_min_expiration_ttl <= 0) {
		refuse("acl.token_min_expiration_ttl", "acl.token_min_expiration_ttl must be above 0");
	}
	if (a->token_max_expiration_ttl < a->token_min_expiration_ttl) {
		refuse("acl.token_max_expiration_ttl",
		       "acl.token_max_expiration_ttl is below acl.token_min_expiration_ttl");
	}
}

/* ---- TLS ---- */

static void check_tls(const struct agent_config *c, struct hcl_report *report)
{
	const struct agent_tls *t = c->tls;
	char bad[128];

	if (t->http && t->cert_file[0] == '\0') {
		refuse("tls.http", "tls.http needs tls.cert_file and tls.key_file");
	}
	if ((t->cert_file[0] != '\0') != (t->key_file[0] != '\0')) {
		refuse("tls.key_file", "tls.cert_file and tls.key_file go together");
	}
	if (t->http && t->verify_https_client && t->ca_file[0] == '\0') {
		refuse("tls.verify_https_client", "tls.verify_https_client needs tls.ca_file");
	}
	if (t->rpc && (t->ca_file[0] == '\0' || t->cert_file[0] == '\0')) {
		refuse("tls.rpc", "tls.rpc needs tls.ca_file, tls.cert_file and tls.key_file");
	}
	if (!tls_version_known(t->tls_min_version)) {
		refuse("tls.tls_min_version", "tls.tls_min_version must be tls10, tls11, tls12 or tls13, not \"%.40s\"",
		       t->tls_min_version);
	}
	if (!tls_suites_known(t->tls_cipher_suites, bad, sizeof(bad))) {
		refuse("tls.tls_cipher_suites", "tls.tls_cipher_suites: \"%s\" is not a cipher suite", bad);
	}
}

static void check_encrypt(const struct agent_config *c, struct hcl_report *report)
{
	unsigned char key[CONFIG_SECRET_MAX];
	bool is_key = config_encrypt_key(c->server->encrypt, key) > 0;

	explicit_bzero(key, sizeof(key));
	if (c->server->encrypt[0] == '\0') {
		return;
	}
	if (!is_key) {
		refuse("server.encrypt", "server.encrypt must be 16, 24 or 32 bytes in base64");
	} else if (c->tls->rpc && !c->tls->rpc_upgrade_mode) {
		warn("server.encrypt", "server.encrypt has no effect: with tls.rpc, certificates say who may connect");
	}
}

/* ---- clients ---- */

static void check_percent(struct hcl_report *report, const char *path, double value)
{
	if (!(value >= 0 && value <= 100)) {
		refuse(path, "%s must be 0 to 100", path);
	}
}

static void check_client(const struct agent_config *c, struct hcl_report *report)
{
	if (c->client->enabled && !c->server->enabled && c->client->servers.n == 0 &&
	    c->client->server_join->retry_join.n == 0) {
		warn("client.servers",
		     "neither client.servers nor client.server_join is given: this client knows no server");
	}
	if (!is_label(c->client->node_pool) || strcmp(c->client->node_pool, "all") == 0) {
		refuse("client.node_pool", "client.node_pool must be the name of a pool, and not \"all\"");
	}
	check_percent(report, "client.gc_disk_usage_threshold", c->client->gc_disk_usage_threshold);
	check_percent(report, "client.gc_inode_usage_threshold", c->client->gc_inode_usage_threshold);
}

void config_check(const struct agent_config *c, struct hcl_report *report)
{
	check_names(c, report);
	check_roles(c, report);
	check_directories(c, report);
	check_ports(c, report);
	check_joining(c, report);
	check_schedulers(c, report);
	check_rate(c, report);
	check_raft(c, report);
	check_acl(c, report);
	check_tls(c, report);
	check_encrypt(c, report);
	check_client(c, report);
	check_support(c, report);
}
