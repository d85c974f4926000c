/* What is asked of the agent itself, of another one by way of it, and of what is not there. */
#include "test/unit/unit.h"

#include "lib/log.h"
#include "proto/error.h"
#include "test/unit/server/api_case.h"

#define NODE "8f6e0c3c-0d0c-4b43-9a0c-5d0e2c7c1a77"

CASE(a_monitor_follows_the_log)
{
	struct kept k;

	bed_start(&b, &k, "GET", "/v1/agent/monitor?log_level=debug", NULL);
	assert_int_equal(k.res.status, 200);
	assert_string_equal(k.res.type, "application/json");
	assert_string_equal(buf_text(&k.body), "{}\n");
	log_debug("test", "a line");
	bed_sleep(&b, SECOND);
	assert_non_null(strstr(buf_text(&k.body), "{\"Data\":\""));
	k.body.len = 0;
	bed_sleep(&b, 25 * SECOND);
	assert_string_equal(buf_text(&k.body), "{}\n{}\n");
	k.req.gone_cb(&k.req);
	assert_int_equal(k.ends, 1);
	assert_false(log_wants(LOG_DEBUG) && log_get_level() > LOG_DEBUG);
	kept_close(&k);
}

CASE(a_monitor_that_is_not_read_waits)
{
	struct kept k;
	size_t len;

	bed_start(&b, &k, "GET", "/v1/agent/monitor?plain=true&log_level=debug", NULL);
	k.full = true;
	log_debug("test", "one");
	bed_sleep(&b, SECOND);
	len = k.body.len;
	assert_non_null(strstr(buf_text(&k.body), "[DEBUG] test: one\n"));
	log_debug("test", "two");
	bed_sleep(&b, SECOND);
	assert_int_equal(k.body.len, len);
	k.full = false;
	k.req.drain_cb(&k.req);
	bed_sleep(&b, SECOND);
	assert_non_null(strstr(buf_text(&k.body), "[DEBUG] test: two\n"));
	api_stop(b.api);
	assert_int_equal(k.ends, 1);
	assert_true(k.whole);
	kept_close(&k);
}

CASE(a_monitor_may_be_another_agents)
{
	bed_want(&b, "GET", "/v1/agent/monitor?log_level=loud", NULL, 400, "Unknown log level: loud");
	bed_want(&b, "GET", "/v1/agent/monitor?plain=maybe", NULL, 400, NULL);
	bed_want(&b, "GET", "/v1/agent/monitor?node_id=x", NULL, 400, NULL);
	bed_want(&b, "GET", "/v1/agent/monitor?server_id=nobody", NULL, 400, "unknown nomad server nobody");
	bed_want(&b, "GET", "/v1/agent/host?server_id=s1&node_id=" NODE, NULL, 400,
		 "Cannot target node and server simultaneously");
	bed_want(&b, "GET", "/v1/agent/host?server_id=s", NULL, 400, "unknown nomad server s");
	{
		struct kept k;

		bed_start(&b, &k, "GET", "/v1/agent/host?node_id=" NODE, NULL);
		assert_int_equal(b.where, CORE_TO_NODE);
		assert_string_equal(b.to, NODE);
		bed_return(&b, ERR_NOTFOUND);
		assert_int_equal(k.res.status, 404);
		kept_close(&k);
		bed_start(&b, &k, "GET", "/v1/agent/host?server_id=s2", NULL);
		assert_int_equal(b.where, CORE_TO_SERVER);
		bed_return(&b, ERR_NOTFOUND);
		assert_int_equal(k.res.status, 500);
		assert_string_equal(buf_text(&k.body), "No path to server");
		kept_close(&k);
		bed_lead(&b, false, true);
		bed_start(&b, &k, "GET", "/v1/agent/host?server_id=leader", NULL);
		assert_int_equal(b.where, CORE_TO_LEADER);
		bed_answer(&b, 200, "x");
		kept_close(&k);
	}
}

CASE(profiles_need_to_be_allowed)
{
	bed_want(&b, "GET", "/v1/agent/pprof/cmdline", NULL, 403, "Permission denied: profiles need enable_debug");
}

CASE(schedulers_are_told)
{
	bed_want(&b, "GET", "/v1/agent/schedulers", NULL, 200, NULL);
	bed_is(&b, "server_id", "\"id-1\"");
	assert_int_equal(bed_length(&b, "schedulers"), 2);
	bed_is(&b, "schedulers.1.id", "\"id-1-1\"");
	bed_want(&b, "GET", "/v1/agent/schedulers/config", NULL, 200, NULL);
	bed_is(&b, "num_schedulers", "2");
	assert_int_equal(bed_length(&b, "enabled_schedulers"), 5);
	bed_want(&b, "PUT", "/v1/agent/schedulers/config", "{\"num_schedulers\":-1}", 400, "Invalid request");
	bed_want(&b, "PUT", "/v1/agent/schedulers/config", "{\"num_schedulers\":2}", 200, NULL);
	bed_want(&b, "PUT", "/v1/agent/schedulers/config", "{\"num_schedulers\":3}", 501, NULL);
	bed_want(&b, "PUT", "/v1/agent/schedulers/config", "", 400, NULL);
}

/* Lists are empty and have an index; single ones are not found; what cannot be done says so. */
CASE(what_is_not_there_is_told_honestly)
{
	static const struct {
		const char *method, *path;
		int status;
		const char *text;
	} cases[] = {
		{"GET", "/v1/volumes?type=csi", 200, "[]"},
		{"GET", "/v1/volumes?type=host", 200, "[]"},
		{"GET", "/v1/volumes/claims", 200, "[]"},
		{"GET", "/v1/plugins?type=csi", 200, "[]"},
		{"PUT", "/v1/volumes", 501, NULL},
		{"GET", "/v1/volume/csi/x", 404, "volume not found"},
		{"DELETE", "/v1/volume/csi/x/detach", 404, "volume not found"},
		{"PUT", "/v1/volume/host/create", 501, NULL},
		{"GET", "/v1/plugin/csi/x", 404, "plugin not found"},
		{"GET", "/v1/volumes/external?plugin_id=x", 404, "plugin not found"},
		{"PUT", "/v1/volumes/snapshot", 404, "plugin not found"},
		{"DELETE", "/v1/volumes/claim/x", 404, "volume claim not found"},
		{"GET", "/v1/agent/monitor/export", 501, NULL},
		{"GET", "/v1/client/identity", 501, NULL},
		{"POST", "/v1/client/identity/renew", 501, NULL},
		{"GET", "/v1/quota/x", 501, "Nomad Enterprise only endpoint"},
		{"PUT", "/v1/quota", 501, "Nomad Enterprise only endpoint"},
		{"GET", "/v1/sentinel/policy/x", 501, "Nomad Enterprise only endpoint"},
		{"GET", "/v1/recommendation/x", 501, "Nomad Enterprise only endpoint"},
		{"POST", "/v1/recommendations/apply", 501, "Nomad Enterprise only endpoint"},
		{"POST", "/v1/operator/utilization", 501, "Nomad Enterprise only endpoint"},
		{"GET", "/v1/client/allocation/" NODE "/pause", 500, "Enterprise only"},
		{"GET", "/v1/operator/upgrade-check/vault-workload-identity", 200,
		 "{\"JobsWithoutVaultIdentity\":[],\"OutdatedNodes\":[],\"VaultTokens\":[]}"},
		{"GET", "/v1/agent/keyring/list", 500, NULL},
		{"PUT", "/v1/agent/keyring/install", 500, NULL},
		{"GET", "/v1/agent/servers", 501, "Invalid method"},
		{"PUT", "/v1/agent/reload", 501, NULL},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bed_want(&b, cases[i].method, cases[i].path, cases[i].method[0] == 'P' ? "{}" : NULL, cases[i].status,
			 cases[i].text);
	}
	bed_want(&b, "GET", "/v1/plugins", NULL, 200, "[]");
	assert_int_equal(b.last.res.has & HTTP_HAS_READ, HTTP_HAS_READ);
	assert_int_equal(b.last.res.index, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_monitor_follows_the_log),
		T(a_monitor_that_is_not_read_waits),
		T(a_monitor_may_be_another_agents),
		T(profiles_need_to_be_allowed),
		T(schedulers_are_told),
		T(what_is_not_there_is_told_honestly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
