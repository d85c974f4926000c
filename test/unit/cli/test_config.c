#include "test/unit/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cli/config.h"
#include "proto/error.h"

static struct arena mem;
static struct hcl_report report;
static struct agent_config config;
static char directory[64];

static int set_up(void **state)
{
	(void)state;
	memset(&report, 0, sizeof(report));
	report.mem = &mem;
	strcpy(directory, "/tmp/drover-config-XXXXXX");
	assert_non_null(mkdtemp(directory));
	return config_init(&config, &mem);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	arena_close(&mem);
	return system(command);
}

static const char *write_file(const char *name, const char *text)
{
	const char *path = arena_printf(&mem, "%s/%s", directory, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

/* The notes, with the directory taken out. */
static const char *notes(void)
{
	struct buf out = {0};
	struct buf short_out = {0};
	const char *text;
	const char *at;

	hcl_report_print(&report, &out);
	text = buf_text(&out);
	while ((at = strstr(text, directory)) != NULL) {
		buf_put(&short_out, text, (size_t)(at - text));
		text = at + strlen(directory) + 1;
	}
	buf_str(&short_out, text);
	text = arena_strdup(&mem, buf_text(&short_out));
	buf_close(&out);
	buf_close(&short_out);
	return text;
}

static int read_text(const char *text)
{
	return config_read(&config, write_file("agent.hcl", text), &mem, &report);
}

/* No error, and so many keys without effect. */
static void check_noted(const char *text, unsigned warnings)
{
	int rv = read_text(text);

	rv = rv == 0 ? config_finish(&config, &mem, &report) : rv;
	if (rv != 0 || report.warnings != warnings) {
		fail_msg("%d %s", rv, notes());
	}
}

static void check_good(const char *text)
{
	check_noted(text, 0);
}

/* ---- reading ---- */

static void defaults_are_those_of_the_documents(void **state)
{
	(void)state;
	assert_string_equal(config.region, "global");
	assert_string_equal(config.datacenter, "dc1");
	assert_string_equal(config.bind_addr, "0.0.0.0");
	assert_int_equal(config.ports->http, 4646);
	assert_int_equal(config.ports->rpc, 4647);
	assert_int_equal(config.ports->serf, 4648);
	assert_false(config.server->enabled);
	assert_false(config.client->enabled);
	assert_int_equal(config.server->heartbeat_grace, 10 * CONFIG_S);
	assert_int_equal(config.server->job_gc_threshold, 4 * CONFIG_HOUR);
	assert_true(config.server->max_heartbeats_per_second == 50);
	assert_int_equal(config.server->server_join->retry_interval, 30 * CONFIG_S);
	assert_null(config.server->default_scheduler_config);
	assert_int_equal(config.client->min_dynamic_port, 20000);
	assert_string_equal(config.client->node_pool, "default");
	assert_true(config.client->no_host_uuid);
	assert_int_equal(config.limits->http_max_conns_per_client, 100);
	assert_true(config.ui->show_cli_hints);
	assert_int_equal(config_election_ms(&config), 200);
	assert_int_equal(config_heartbeat_ms(&config), 40);
}

static const char full[] = "# A server that also runs work.\n"
			   "data_dir  = \"/var/lib/drover\"\n"
			   "bind_addr = \"0.0.0.0\"\n"
			   "name = \"s1\"\n"
			   "advertise {\n"
			   "  http = \"1.2.3.4\"\n"
			   "  rpc  = \"1.2.3.4\"\n"
			   "  serf = \"1.2.3.4:5648\" # non-default ports may be specified\n"
			   "}\n"
			   "ports { http = 5646 }\n"
			   "server {\n"
			   "  enabled          = true\n"
			   "  bootstrap_expect = 3\n"
			   "  num_schedulers = 0\n"
			   "  raft_multiplier = 5\n"
			   "  server_join {\n"
			   "    retry_join = [\"10.0.0.1\", \"s2.example:5000\", \"[::1]\"]\n"
			   "    retry_interval = \"15s\"\n"
			   "  }\n"
			   "  default_scheduler_config {\n"
			   "    scheduler_algorithm = \"spread\"\n"
			   "    preemption_config { batch_scheduler_enabled = true }\n"
			   "  }\n"
			   "}\n"
			   "client {\n"
			   "  enabled = true\n"
			   "  servers = [\"10.0.0.1\"]\n"
			   "  options = {\n"
			   "    \"driver.allowlist\" = \"raw_exec\"\n"
			   "  }\n"
			   "  meta {\n"
			   "    owner = \"ops\"\n"
			   "    \"cached.binaries\" = \"redis,apache\"\n"
			   "  }\n"
			   "  reserved {\n"
			   "    cpu = 500\n"
			   "    memory = 512\n"
			   "    reserved_ports = \"22,80,8500-8600\"\n"
			   "  }\n"
			   "  chroot_env {\n"
			   "    \"/bin/ls\" = \"/bin/ls\"\n"
			   "  }\n"
			   "  host_volume \"certs\" {\n"
			   "    path = \"/etc/ssl/certs\"\n"
			   "    read_only = true\n"
			   "  }\n"
			   "  host_network \"public\" {\n"
			   "    cidr = \"203.0.113.0/24\"\n"
			   "  }\n"
			   "  drain_on_shutdown {\n"
			   "    deadline = \"1m\"\n"
			   "  }\n"
			   "}\n"
			   "plugin \"raw_exec\" {\n"
			   "  config {\n"
			   "    enabled = true\n"
			   "  }\n"
			   "}\n"
			   "limits {\n  http_max_conns_per_client = 0\n  http_request_rate_per_client = 1.5\n}\n"
			   "raft { election_timeout = \"300ms\" }\n"
			   "telemetry {\n  prometheus_metrics = true\n}\n"
			   "http_api_response_headers {\n  \"Access-Control-Allow-Origin\" = \"*\"\n}\n";

static void a_file_is_laid_over_the_defaults(void **state)
{
	struct strs list;

	(void)state;
	check_noted(full, 4); /* default_scheduler_config, host_network, drain_on_shutdown, http_api_response_headers. */
	assert_string_equal(config.name, "s1");
	assert_int_equal(config.ports->http, 5646);
	assert_string_equal(config.addresses->http, "0.0.0.0");
	assert_string_equal(config.advertise->http, "1.2.3.4:5646");
	assert_string_equal(config.advertise->rpc, "1.2.3.4:4647");
	assert_string_equal(config.advertise->serf, "1.2.3.4:5648");
	assert_true(config.server->num_schedulers.set && config.server->num_schedulers.at == 0);
	assert_string_equal(config.server->default_scheduler_config->algorithm, "spread");
	assert_true(config.server->default_scheduler_config->preemption->batch);
	assert_string_equal(config.server->data_dir, "/var/lib/drover/server");
	assert_string_equal(config.client->state_dir, "/var/lib/drover/client");
	assert_string_equal(config.client->alloc_dir, "/var/lib/drover/alloc");
	assert_string_equal(config.client->meta.at[0].key, "cached.binaries");
	assert_int_equal(config.client->reserved->memory, 512);
	assert_string_equal(config.client->chroot_env.at[0].key, "/bin/ls");
	assert_string_equal(config.client->host_volume.at[0].name, "certs");
	assert_true(config.client->host_volume.at[0].read_only);
	assert_string_equal(config.client->host_network.keys[0], "public");
	assert_int_equal(config.client->drain_on_shutdown->deadline, CONFIG_MIN);
	assert_string_equal(config.plugin.at[0].name, "raw_exec");
	assert_string_equal(config.plugin.at[0].config, "{\"enabled\":true}");
	assert_int_equal(config.limits->http_max_conns_per_client, 0);
	assert_int_equal(config.limits->http_request_burst_per_client, 4); /* Twice the rate, and one. */
	assert_int_equal(config_election_ms(&config), 1500);
	assert_int_equal(config_server_peers(&config, &mem, &list), 0);
	assert_int_equal(list.n, 3);
	assert_string_equal(list.at[0], "10.0.0.1:4648");
	assert_string_equal(list.at[1], "s2.example:5000");
	assert_string_equal(list.at[2], "[::1]:4648");
	assert_int_equal(config_client_servers(&config, &mem, &list), 0);
	assert_int_equal(list.n, 2);
	assert_string_equal(list.at[0], "1.2.3.4:4647");
	assert_string_equal(list.at[1], "10.0.0.1:4647");
}

static void json_files_say_the_same(void **state)
{
	const char *path = write_file("agent.json", "{\"data_dir\": \"/d\", \"ports\": {\"http\": 5646},"
						    "\"server\": {\"enabled\": true, \"bootstrap_expect\": 1,"
						    "\"server_join\": {\"retry_join\": [\"a\"]}},"
						    "\"plugin\": {\"raw_exec\": {\"config\": {\"enabled\": true}}},"
						    "\"plugin\": [{\"docker\": [{\"config\": {\"gc\": 1}}]}]}");

	(void)state;
	assert_int_equal(config_read(&config, path, &mem, &report), 0);
	assert_int_equal(config.ports->http, 5646);
	assert_true(config.server->enabled);
	assert_string_equal(config.server->server_join->retry_join.at[0], "a");
	assert_int_equal(config.plugin.n, 2);
	assert_string_equal(config.plugin.at[0].config, "{\"enabled\":true}");
	assert_string_equal(config.plugin.at[1].config, "{\"gc\":1}");
	assert_int_equal(config_read(&config, write_file("x.conf", " {\"name\": \"n\"}"), &mem, &report), 0);
	assert_string_equal(config.name, "n");
	assert_string_equal(notes(), "");
}

static void files_are_merged_in_order(void **state)
{
	(void)state;
	write_file("b.hcl", "name = \"b\"\nclient {\n servers = [\"2\"]\n meta { y = 2 } }\n");
	write_file("a.hcl", "name = \"a\"\nregion = \"r\"\nclient {\n servers = [\"1\"]\n meta { x = 1\n y = 1 } }\n");
	write_file("c.json", "{\"datacenter\": \"c\"}");
	write_file("d.txt", "syntax error");
	write_file(".e.hcl", "syntax error");
	assert_int_equal(mkdir(arena_printf(&mem, "%s/f.hcl", directory), 0700), 0);
	assert_int_equal(config_read(&config, arena_printf(&mem, "%s/", directory), &mem, &report), 0);
	assert_int_equal(config_read(&config, write_file("later", "region = \"s\""), &mem, &report), 0);
	assert_string_equal(config.name, "b");
	assert_string_equal(config.region, "s");
	assert_string_equal(config.datacenter, "c");
	assert_int_equal(config.client->servers.n, 2);
	assert_string_equal(config.client->servers.at[0], "1");
	assert_int_equal(config.client->meta.n, 2);
	assert_string_equal(config.client->meta.at[1].value, "2");
	assert_int_equal(config.files.n, 4);
	assert_non_null(strstr(config.files.at[0], "/a.hcl"));
	assert_string_equal(notes(), "");
}

static void every_fault_is_told_with_its_place(void **state)
{
	(void)state;
	write_file("a.hcl", "ports { http = 70000 }\nserver {\n  bootstrap_expect = \"many\"\n  colour = 1\n}\n");
	write_file("b.hcl", "x = \n");
	assert_int_equal(config_read(&config, directory, &mem, &report), ERR_INVALID);
	assert_string_equal(notes(), "a.hcl:1,16: error: ports.http must be 1 to 65535\n"
				     "a.hcl:3,22: error: server.bootstrap_expect must be a whole number, not \"many\"\n"
				     "a.hcl:4,3: warning: server.colour is not known here\n"
				     "b.hcl:1,5: error: expected an expression, not a newline\n");
	assert_int_equal(report.errors, 3);
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(config_read(&config, "/nonexistent/x.hcl", &mem, &report), ERR_INVALID);
	assert_string_equal(notes(), "/nonexistent/x.hcl: error: No such file or directory\n");
}

static void a_file_that_is_too_long_is_an_error(void **state)
{
	char *text = malloc(HCL_MAX_BYTES + 2);

	(void)state;
	memset(text, ' ', HCL_MAX_BYTES + 1);
	text[HCL_MAX_BYTES + 1] = '\0';
	assert_int_equal(read_text(text), ERR_INVALID);
	assert_non_null(strstr(notes(), "the text is too long"));
	free(text);
}

/* ---- flags ---- */

static void single_values_are_laid_over_files(void **state)
{
	(void)state;
	assert_int_equal(read_text("name = \"a\"\nclient { meta { x = 1 } }"), 0);
	assert_int_equal(config_set(&config, "-node", "name", "b", &mem, &report), 0);
	assert_int_equal(config_set(&config, "-server", "server.enabled", "true", &mem, &report), 0);
	assert_int_equal(config_set(&config, "-bootstrap-expect", "server.bootstrap_expect", "3", &mem, &report), 0);
	assert_int_equal(config_set(&config, "-retry-join", "server.server_join.retry_join", "a", &mem, &report), 0);
	assert_int_equal(config_set(&config, "-retry-join", "server.server_join.retry_join", "b,c", &mem, &report), 0);
	assert_int_equal(config_set(&config, "-meta", "client.meta", "y=2=3", &mem, &report), 0);
	assert_string_equal(config.name, "b");
	assert_true(config.server->enabled);
	assert_int_equal(config.server->bootstrap_expect, 3);
	assert_int_equal(config.server->server_join->retry_join.n, 3);
	assert_string_equal(config.server->server_join->retry_join.at[2], "c");
	assert_int_equal(config.client->meta.n, 2);
	assert_string_equal(config.client->meta.at[1].value, "2=3");
	assert_int_equal(config_set(&config, "-bootstrap-expect", "server.bootstrap_expect", "x", &mem, &report),
			 ERR_INVALID);
	assert_string_equal(notes(),
			    "-bootstrap-expect: error: server.bootstrap_expect must be a whole number, not \"x\"\n");
}

static void dev_is_a_whole_cluster_on_the_loopback(void **state)
{
	struct strs list;

	(void)state;
	assert_int_equal(config_dev(&config, &mem), 0);
	config.data_dir = "/tmp/x";
	assert_int_equal(config_finish(&config, &mem, &report), 0);
	assert_string_equal(notes(), "");
	assert_true(config.dev_mode && config.server->enabled && config.client->enabled);
	assert_string_equal(config.advertise->http, "127.0.0.1:4646");
	assert_string_equal(config.advertise->rpc, "127.0.0.1:4647");
	assert_string_equal(config.advertise->serf, "127.0.0.1:4648");
	assert_string_equal(config.plugin.at[0].config, "{\"enabled\":true}");
	assert_int_equal(config.server->bootstrap_expect, 1);
	assert_int_equal(config_client_servers(&config, &mem, &list), 0);
	assert_string_equal(list.at[0], "127.0.0.1:4647");
}

/* Programs that make configuration files write down each role, whether they want it or not. */
static void dev_has_both_roles_whatever_files_say(void **state)
{
	const char *path = write_file("a.json", "{\"server\": {\"enabled\": false}, \"client\": {\"enabled\": false}}");

	(void)state;
	assert_int_equal(config_dev(&config, &mem), 0);
	assert_int_equal(config_read(&config, path, &mem, &report), 0);
	assert_false(config.client->enabled);
	config_dev_roles(&config);
	assert_true(config.server->enabled && config.client->enabled);
}

/* ---- rules ---- */

#define BASE "data_dir = \"/d\"\nbind_addr = \"10.0.0.1\"\nserver { enabled = true }\n"

static void broken_rules_are_told(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"data_dir = \"/d\"\nbind_addr = \"127.0.0.1\"", "error: neither server nor client is enabled"},
		{"bind_addr = \"::1\"\nserver { enabled = true }", "error: data_dir must be given"},
		{"bind_addr = \"::1\"\ndata_dir = \"d\"\nserver { enabled = true }",
		 "agent.hcl:2,12: error: data_dir must be an absolute path, not \"d\""},
		{BASE "log_level = \"LOUD\"", "agent.hcl:4,13: error: log_level must be TRACE, DEBUG"},
		{BASE "region = \"a b\"", "agent.hcl:4,10: error: region must be a name"},
		{BASE "datacenter = \"\"", "agent.hcl:4,14: error: datacenter must be a name"},
		{BASE "name = \"a/b\"", "agent.hcl:4,8: error: name must be a name"},
		{BASE "addresses { http = \"1.2.3\" }", "agent.hcl:4,20: error: addresses.http must be an IP address"},
		{BASE "addresses { http = \"{{ GetPrivateIP }}\" }",
		 "agent.hcl:4,20: error: addresses.http: templates"},
		{BASE "advertise { rpc = \"{{ GetInterfaceIP \\\"eth0\\\" }}\" }",
		 "agent.hcl:4,19: error: advertise.rpc: templates such as"},
		{BASE "advertise { rpc = \"1.2.3.4:x\" }", "agent.hcl:4,19: error: advertise.rpc must be an address"},
		{BASE "advertise { serf = \"0.0.0.0\" }",
		 "agent.hcl:4,20: error: advertise.serf must be an address that others"},
		{BASE "ports { rpc = 4646 }", "agent.hcl:4,15: error: ports.rpc and ports.http are the same"},
		{BASE "client { min_dynamic_port = 5\n max_dynamic_port = 4 }",
		 "agent.hcl:4,29: error: client.min_dynamic_port is"},
		{BASE "client { reserved { reserved_ports = \"5-4\" } }", "reserved_ports must be ports and ranges"},
		{BASE "client { node_pool = \"all\" }", "client.node_pool must be"},
		{BASE "client { gc_disk_usage_threshold = 101 }", "gc_disk_usage_threshold must be 0 to 100"},
		{BASE "client { servers = [\"a:b\"] }",
		 "client.servers must be addresses with or without a port, not \"a:b\""},
		{BASE "client { alloc_dir = \"x\" }", "client.alloc_dir must be an absolute path"},
		{BASE "client { chroot_env = { \"/x\" = \"y\" } }",
		 "client.chroot_env must be an absolute path, not \"y\""},
		{BASE "client { chroot_env = { \"/x\" = \"\" } }", "client.chroot_env: a path is empty"},
		{BASE "client { host_volume \"v\" { path = \"x\" } }",
		 "agent.hcl:4,35: error: client.host_volume.v.path must be an absolute path, not \"x\""},
		{BASE "raft { heartbeat_interval = \"100ms\" }", "raft.election_timeout must be at least three times"},
		{BASE "raft { snapshot_size = \"big\" }", "raft.snapshot_size must be a size"},
		{BASE "limits { http_request_rate_per_client = -1 }", "limits.http_request_rate_per_client must be 0, for no"},
		{BASE "limits { http_request_rate_per_client = 0.001 }", "limits.http_request_rate_per_client must be 0, for no"},
		{BASE "acl { token_min_expiration_ttl = \"0s\" }", "acl.token_min_expiration_ttl must be above 0"},
		{BASE "acl { token_min_expiration_ttl = \"48h\" }",
		 "acl.token_max_expiration_ttl is below acl.token_min_expiration_ttl"},
		{BASE "tls { http = true }", "tls.http needs tls.cert_file"},
		{BASE "tls { rpc = true\n cert_file = \"/c\"\n key_file = \"/k\" }",
		 "agent.hcl:4,13: error: tls.rpc needs tls.ca_file, tls.cert_file and tls.key_file"},
		{"data_dir = \"/d\"\nbind_addr = \"::1\"\nserver {\n enabled = true\n encrypt = \"c2hvcnQ=\"\n}",
		 "server.encrypt must be 16, 24 or 32 bytes in base64"},
		{"data_dir = \"/d\"\nbind_addr = \"::1\"\nserver {\n enabled = true\n encrypt = \"no base64 at all!!!!!!!!\"\n}",
		 "server.encrypt must be 16, 24 or 32 bytes"},
		{BASE "tls { cert_file = \"/c\" }", "tls.cert_file and tls.key_file go together"},
		{BASE "tls { http = true\n cert_file = \"/c\"\n key_file = \"/k\"\n verify_https_client = true }",
		 "agent.hcl:7,24: error: tls.verify_https_client needs tls.ca_file"},
		{BASE "tls { tls_min_version = \"ssl3\" }",
		 "agent.hcl:4,25: error: tls.tls_min_version must be tls10, tls11, tls12 or tls13, not \"ssl3\""},
		{BASE "tls { tls_cipher_suites = \"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_NONE\" }",
		 "tls.tls_cipher_suites: \"TLS_NONE\" is not a cipher suite"},
		{"data_dir = \"/d\"\nbind_addr = \"::1\"\nclient { enabled = true }\nserver { bootstrap_expect = 3 }",
		 "agent.hcl:4,29: error: server.bootstrap_expect needs server.enabled = true"},
		{"data_dir = \"/d\"\nbind_addr = \"::1\"\nserver {\n enabled = true\n retry_join = "
		 "[\"provider=aws\"]\n}",
		 "agent.hcl:5,15: error: server.retry_join: finding servers through a cloud's provider"},
		{"data_dir = \"/d\"\nbind_addr = \"::1\"\nserver {\n enabled = true\n enabled_schedulers = [\"x\"]\n}",
		 "\"x\" is no scheduler"},
		{"data_dir = \"/d\"\nbind_addr = \"x y\"\nserver { enabled = true }",
		 "bind_addr must be an IP address"},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rv = read_text(cases[i].text);

		rv = rv == 0 ? config_finish(&config, &mem, &report) : rv;
		if (rv != ERR_INVALID || strstr(notes(), cases[i].want) == NULL) {
			fail_msg("%s\n%d, %s; expected %s", cases[i].text, rv, notes(), cases[i].want);
		}
		tear_down(state);
		set_up(state);
	}
}

static void doubtful_values_are_warnings(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"data_dir = \"/d\"\nbind_addr = \"::1\"\nserver {\n enabled = true\n bootstrap_expect = 2\n}",
		 "agent.hcl:5,21: warning: server.bootstrap_expect is 2: an even number"},
		{BASE "vault { address = \"x\" }", "warning: vault has no effect"},
		{BASE "consul {\n}\n", "warning: consul has no effect"},
		{"data_dir = \"/d\"\nbind_addr = \"::1\"\nclient { enabled = true }",
		 "warning: neither client.servers nor"},
		{BASE "unheard_of = 1", "agent.hcl:4,1: warning: unheard_of is not known here"},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rv = read_text(cases[i].text);

		rv = rv == 0 ? config_finish(&config, &mem, &report) : rv;
		if (rv != 0 || report.warnings != 1 || strstr(notes(), cases[i].want) == NULL) {
			fail_msg("%s\n%d, %s; expected %s", cases[i].text, rv, notes(), cases[i].want);
		}
		tear_down(state);
		set_up(state);
	}
}

static void the_old_option_switches_raw_exec_on(void **state)
{
	(void)state;
	check_good(BASE "client { options = { \"driver.raw_exec.enable\" = \"1\" } }");
	assert_string_equal(config.plugin.at[0].name, "raw_exec");
	assert_string_equal(config.plugin.at[0].config, "{\"enabled\":true}");
}

static void a_wildcard_address_advertises_the_machines_own(void **state)
{
	(void)state;
	if (read_text("data_dir = \"/d\"\nserver { enabled = true }") != 0 ||
	    config_finish(&config, &mem, &report) != 0) {
		assert_non_null(strstr(notes(), "this machine has no address"));
		return;
	}
	assert_null(strstr(config.advertise->http, "0.0.0.0"));
	assert_non_null(strstr(config.advertise->http, ":4646"));
}

/* ---- what the API shows ---- */

static void the_api_shows_no_secrets(void **state)
{
	struct buf out = {0};

	(void)state;
	assert_int_equal(read_text(BASE "acl { replication_token = \"hidden1\" }\nvault { token = \"hidden2\" }\n"
					"client { intro_token = \"hidden3\" }\n"),
			 0);
	assert_int_equal(config_set(&config, "-encrypt", "server.encrypt", "hidden4", &mem, &report), 0);
	assert_int_equal(config_json(&config, &out), 0);
	assert_null(strstr(buf_text(&out), "hidden"));
	assert_non_null(strstr(buf_text(&out), "\"Region\":\"global\",\"Datacenter\":\"dc1\""));
	assert_non_null(strstr(buf_text(&out), "\"ShowCLIHints\":true"));
	assert_non_null(strstr(buf_text(&out), "\"Version\":{\"Version\":\"" CONFIG_API_VERSION "\""));
	assert_string_equal(config.server->encrypt, "hidden4");
	buf_close(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults_are_those_of_the_documents),
		TEST(a_file_is_laid_over_the_defaults),
		TEST(json_files_say_the_same),
		TEST(files_are_merged_in_order),
		TEST(every_fault_is_told_with_its_place),
		TEST(a_file_that_cannot_be_read_is_an_error),
		TEST(a_file_that_is_too_long_is_an_error),
		TEST(single_values_are_laid_over_files),
		TEST(dev_is_a_whole_cluster_on_the_loopback),
		TEST(dev_has_both_roles_whatever_files_say),
		TEST(broken_rules_are_told),
		TEST(doubtful_values_are_warnings),
		TEST(the_old_option_switches_raw_exec_on),
		TEST(a_wildcard_address_advertises_the_machines_own),
		TEST(the_api_shows_no_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
