/* What is neither a job nor belongs to one: the agent, the cluster, operators, search, namespaces. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_case.h"

/* ---- status ---- */

/* status/leader_and_peers, regions */
CASE(the_cluster_is_told)
{
	bed_want(&b, "GET", "/v1/status/leader", NULL, 200, "\"10.0.0.1:4647\"");
	assert_int_equal(b.last.res.has, 0);
	bed_want(&b, "GET", "/v1/status/peers", NULL, 200,
		 "[\"10.0.0.1:4647\",\"10.0.0.2:4647\",\"10.0.0.3:4647\"]");
	bed_want(&b, "GET", "/v1/regions", NULL, 200, "[\"europe\",\"global\"]");
	bed_lead(&b, false, false);
	bed_want(&b, "GET", "/v1/status/leader", NULL, 200, "\"\"");
}

/* status/agent_self, agent_members, agent_health */
CASE(the_agent_is_told)
{
	bed_want(&b, "GET", "/v1/agent/self", NULL, 200, NULL);
	bed_is(&b, "config.Region", "\"global\"");
	bed_is(&b, "member.Name", "\"s1.global\"");
	bed_is(&b, "stats.nomad", "{\"leader\":\"true\",\"server\":\"true\"}");
	bed_is(&b, "stats.raft.term", "\"2\"");
	bed_want(&b, "GET", "/v1/agent/members", NULL, 200, NULL);
	bed_is(&b, "ServerName", "\"s1\"");
	bed_is(&b, "ServerRegion", "\"global\"");
	bed_is(&b, "ServerDC", "\"dc1\"");
	assert_int_equal(bed_length(&b, "Members"), 3);
	bed_is(&b, "Members.0.Status", "\"alive\"");
	bed_want(&b, "GET", "/v1/agent/health", NULL, 200, "{\"server\":{\"ok\":true,\"message\":\"ok\"}}");
	bed_want(&b, "GET", "/v1/agent/health?type=client", NULL, 500, NULL);
	bed_is(&b, "client.ok", "false");
	b.info.node_id = "11111111-2222-3333-4444-555555555555";
	bed_want(&b, "GET", "/v1/agent/health", NULL, 200, NULL);
	bed_is(&b, "client.ok", "true");
	bed_lead(&b, false, false);
	bed_want(&b, "GET", "/v1/agent/health?type=server", NULL, 500, NULL);
	bed_is(&b, "server", "{\"message\":\"No cluster leader\",\"ok\":false}");
	b.info.node_id = "";
}

CASE(metrics_have_two_forms)
{
	bed_register(&b, "web", "");
	bed_want(&b, "GET", "/v1/metrics", NULL, 200, NULL);
	assert_non_null(strstr(bed_text(&b), "{\"Name\":\"nomad.broker.total_ready\",\"Value\":3,\"Labels\":{}}"));
	assert_non_null(strstr(bed_text(&b), "{\"Name\":\"nomad.state.jobs\",\"Value\":1,\"Labels\":{}}"));
	assert_non_null(strstr(bed_json(&b, "Timestamp"), " +0000 UTC"));
	assert_int_equal(bed_length(&b, "Samples"), 1);
	bed_is(&b, "Samples.0.Name", "\"nomad.http.handle_ms\"");
	bed_is(&b, "Samples.0.Count", "2"); /* The register, and this one. */
	bed_want(&b, "GET", "/v1/metrics?format=prometheus", NULL, 200, NULL);
	assert_non_null(strstr(bed_text(&b), "# HELP nomad_broker_total_ready broker.total_ready\n"
			       "# TYPE nomad_broker_total_ready gauge\nnomad_broker_total_ready 3\n"));
	assert_non_null(strstr(bed_text(&b), "# TYPE nomad_raft_commands counter\nnomad_raft_commands 12\n"));
	assert_non_null(strstr(bed_text(&b), "# TYPE nomad_http_handle_ms summary\nnomad_http_handle_ms_sum "));
	assert_string_equal(b.last.res.type, "text/plain; version=0.0.4; charset=utf-8");
}

/* ---- operators ---- */

CASE(the_hash_of_the_state_is_told)
{
	bed_want(&b, "GET", "/v1/operator/raft/hash?index=7", NULL, 200, NULL);
	bed_is(&b, "Index", "7");
	bed_is(&b, "Hash", "\"0000000000000abc\"");
	bed_want(&b, "GET", "/v1/operator/raft/hash?index=8", NULL, 404, "this index is not remembered");
	bed_want(&b, "GET", "/v1/operator/raft/hash?index=x", NULL, 400, NULL);
	bed_want(&b, "GET", "/v1/operator/raft/hash", NULL, 200, NULL);
}

CASE(servers_of_raft_are_told)
{
	bed_want(&b, "GET", "/v1/operator/raft/configuration", NULL, 200, NULL);
	bed_is(&b, "Index", "9");
	assert_int_equal(bed_length(&b, "Servers"), 3);
	bed_is(&b, "Servers.0.Leader", "true");
	bed_is(&b, "Servers.1.Leader", "false");
	bed_want(&b, "GET", "/v1/operator/autopilot/configuration", NULL, 200, NULL);
	bed_is(&b, "LastContactThreshold", "\"200ms\"");
	bed_want(&b, "GET", "/v1/operator/autopilot/health", NULL, 429, NULL);
	bed_is(&b, "Healthy", "false");
	bed_is(&b, "FailureTolerance", "0");
	bed_is(&b, "Leader", "\"id-1\"");
	bed_is(&b, "Servers.1.Healthy", "true");
	bed_is(&b, "Servers.2.Healthy", "false");
	assert_int_equal(bed_length(&b, "Voters"), 3);
}

CASE(the_scheduler_is_configured)
{
	long long index;

	bed_want(&b, "GET", "/v1/operator/scheduler/configuration", NULL, 200, NULL);
	bed_is(&b, "SchedulerConfig.SchedulerAlgorithm", "\"binpack\"");
	bed_is(&b, "KnownLeader", "true");
	index = bed_number(&b, "SchedulerConfig.ModifyIndex");
	bed_want(&b, "PUT",
		 arena_printf(&b.kit.mem, "/v1/operator/scheduler/configuration?cas=%lld", index + 1),
		 "{\"SchedulerAlgorithm\":\"spread\"}", 200, NULL);
	bed_is(&b, "Updated", "false");
	bed_want(&b, "PUT", arena_printf(&b.kit.mem, "/v1/operator/scheduler/configuration?cas=%lld", index),
		 "{\"SchedulerAlgorithm\":\"spread\",\"MemoryOversubscriptionEnabled\":true}", 200, NULL);
	bed_is(&b, "Updated", "true");
	bed_ask(&b, "GET", "/v1/operator/scheduler/configuration", NULL);
	bed_is(&b, "SchedulerConfig.SchedulerAlgorithm", "\"spread\"");
	bed_is(&b, "SchedulerConfig.MemoryOversubscriptionEnabled", "true");
	bed_want(&b, "PUT", "/v1/operator/scheduler/configuration", "{\"SchedulerAlgorithm\":\"x\"}", 400,
		 "invalid scheduler algorithm: x");
	bed_want(&b, "PUT", "/v1/operator/scheduler/configuration", "{\"PreemptionConfig\":null}", 200, NULL);
	bed_ask(&b, "GET", "/v1/operator/scheduler/configuration", NULL);
	bed_is(&b, "SchedulerConfig.SchedulerAlgorithm", "\"binpack\"");
	bed_is(&b, "SchedulerConfig.PreemptionConfig.SystemSchedulerEnabled", "false");
	bed_want(&b, "PUT", "/v1/operator/scheduler/configuration?cas=x", "{\"SchedulerAlgorithm\":\"spread\"}", 400,
		 "Error parsing cas value: strconv.ParseUint: parsing \"x\": invalid syntax");
	bed_want(&b, "PUT", "/v1/operator/scheduler/configuration", NULL, 400, "Request body is empty");
}

/* system_gc/by_put_only */
CASE(garbage_is_collected_on_demand)
{
	bed_want(&b, "PUT", "/v1/system/gc", NULL, 200, "");
	assert_int_equal(b.actions, 1);
	assert_int_equal(b.last_action, CORE_GC);
	bed_want(&b, "POST", "/v1/system/gc", NULL, 405, "Invalid method");
	bed_want(&b, "PUT", "/v1/system/reconcile/summaries", NULL, 200, "");
	assert_int_equal(b.last_action, CORE_RECONCILE_SUMMARIES);
}

CASE(what_is_not_there_says_so)
{
	bed_want(&b, "GET", "/v1/operator/license", NULL, 204, "");
	bed_want(&b, "GET", "/v1/quotas", NULL, 501, "Nomad Enterprise only endpoint");
	bed_want(&b, "GET", "/v1/acl/tokens", NULL, 400, "ACL support disabled");
	bed_want(&b, "GET", "/.well-known/jwks.json", NULL, 200, "{\"keys\":[]}");
}

/* ---- search ---- */

CASE(ids_are_found_by_their_beginning)
{
	const char *alloc;
	struct uuid id;

	bed_register(&b, "web", "");
	bed_register(&b, "webber", "");
	bed_place(&b, "web", 1, &id);
	alloc = kit_text(&b.kit, &id);
	bed_want(&b, "POST", "/v1/search", "{\"Prefix\":\"web\",\"Context\":\"jobs\"}", 200, NULL);
	bed_is(&b, "Matches", "{\"jobs\":[\"web\",\"webber\"]}");
	bed_is(&b, "Truncations", "{\"jobs\":false}");
	bed_want(&b, "PUT", "/v1/search", bed_quote(&b, "{'Prefix':'%.7s','Context':'all'}", alloc), 200, NULL);
	bed_is(&b, "Matches.allocs", bed_quote(&b, "['%s']", alloc));
	bed_is(&b, "Matches.jobs", "null"); /* Every context is told of. */
	bed_is(&b, "Truncations.jobs", "false");
	bed_want(&b, "POST", "/v1/search", "{\"Prefix\":\"zz\",\"Context\":\"allocs\"}", 200, NULL);
	bed_is(&b, "Matches", "{\"allocs\":null}");
	bed_want(&b, "POST", "/v1/search", "{\"Prefix\":\"a\",\"Context\":\"weird\"}", 500,
		 "context must be one of [allocs jobs nodes node_pools evals deployment plugins volumes scaling_policy "
		 "vars namespaces host_volumes] or 'all' for all contexts; got \"weird\"");
	bed_want(&b, "POST", "/v1/search", NULL, 400, "Request body is empty");
	bed_want(&b, "POST", "/v1/search", "{\"Prefix\":\"def\",\"Context\":\"namespaces\"}", 200, NULL);
	bed_is(&b, "Matches", "{\"namespaces\":[\"default\"]}");
}

CASE(jobs_of_all_namespaces_are_found)
{
	bed_want(&b, "PUT", "/v1/namespace", "{\"Name\":\"dev\"}", 200, NULL);
	bed_register(&b, "web", "");
	bed_register(&b, "other", "");
	bed_register(&b, "web-dev", "'Namespace':'dev',");
	bed_want(&b, "POST", "/v1/search?namespace=*", "{\"Prefix\":\"web\",\"Context\":\"jobs\"}", 200, NULL);
	bed_is(&b, "Matches.jobs", "[\"web\",\"web-dev\"]");
	bed_want(&b, "POST", "/v1/search?namespace=dev", "{\"Prefix\":\"web\",\"Context\":\"jobs\"}", 200, NULL);
	bed_is(&b, "Matches.jobs", "[\"web-dev\"]");
	bed_want(&b, "POST", "/v1/search/fuzzy?namespace=*", "{\"Text\":\"eb\",\"Context\":\"jobs\"}", 200, NULL);
	assert_int_equal(bed_length(&b, "Matches.jobs"), 2);
}

CASE(searches_are_bounded)
{
	for (unsigned i = 0; i < 30; i++) {
		bed_register(&b, arena_printf(&b.kit.mem, "job-%02u", i), "");
	}
	bed_want(&b, "POST", "/v1/search", "{\"Prefix\":\"job\",\"Context\":\"jobs\"}", 200, NULL);
	assert_int_equal(bed_length(&b, "Matches.jobs"), 20);
	bed_is(&b, "Truncations.jobs", "true");
}

CASE(names_are_found_by_parts)
{
	struct uuid id;

	bed_register(&b, "web", "'Name':'Big Shop',");
	bed_place(&b, "web", 1, &id);
	bed_want(&b, "POST", "/v1/search/fuzzy", "{\"Text\":\"sHoP\",\"Context\":\"all\"}", 200, NULL);
	bed_is(&b, "Matches.jobs", "[{\"ID\":\"Big Shop\",\"Scope\":[\"default\",\"web\"]}]");
	bed_want(&b, "POST", "/v1/search/fuzzy", "{\"Text\":\"n1\",\"Context\":\"nodes\"}", 200, NULL);
	bed_is(&b, "Matches.nodes.0.ID", "\"n1\"");
	assert_int_equal(bed_length(&b, "Matches.nodes.0.Scope"), 1);
	bed_want(&b, "POST", "/v1/search/fuzzy", "{\"Text\":\"web.g\",\"Context\":\"allocs\"}", 200, NULL);
	bed_is(&b, "Matches.allocs.0.Scope", bed_quote(&b, "['default','%s']", kit_text(&b.kit, &id)));
	bed_want(&b, "POST", "/v1/search/fuzzy", "{\"Text\":\"default\",\"Context\":\"node_pools\"}", 200, NULL);
	bed_is(&b, "Matches.node_pools.0.Scope", "[\"default\"]");
	bed_want(&b, "POST", "/v1/search/fuzzy", "{\"Text\":\"x\"}", 500,
		 "fuzzy search query must be at least 2 characters, got 1");
}

CASE(what_is_inside_of_jobs_is_found_with_its_place)
{
	bed_want(&b, "PUT", "/v1/jobs",
		 bed_quote(&b, "{'Job':{'ID':'web','TaskGroups':[{'Name':'spyglass',"
			       "'Services':[{'Name':'spy-front','Provider':'nomad'}],'Tasks':["
			       "{'Name':'spy','Driver':'docker','Config':{'image':'spy:1'},"
			       "'Services':[{'Name':'spy-back','Provider':'nomad'}]},"
			       "{'Name':'t','Driver':'raw_exec','Config':{'command':'/bin/spy'}},"
			       "{'Name':'u','Driver':'java','Config':{'class':'Spy'}},"
			       "{'Name':'v','Driver':'raw_exec','Config':{'command':'/bin/true'}}]}]}}"),
		 200, NULL);
	bed_want(&b, "POST", "/v1/search/fuzzy", "{\"Text\":\"SPY\",\"Context\":\"jobs\"}", 200, NULL);
	bed_is(&b, "Matches.jobs", "none");
	bed_is(&b, "Matches.groups", "[{\"ID\":\"spyglass\",\"Scope\":[\"default\",\"web\"]}]");
	bed_is(&b, "Matches.tasks", "[{\"ID\":\"spy\",\"Scope\":[\"default\",\"web\",\"spyglass\"]}]");
	bed_is(&b, "Matches.services.0",
	       "{\"ID\":\"spy-back\",\"Scope\":[\"default\",\"web\",\"spyglass\",\"spy\"]}");
	bed_is(&b, "Matches.services.1", "{\"ID\":\"spy-front\",\"Scope\":[\"default\",\"web\",\"spyglass\"]}");
	bed_is(&b, "Matches.images",
	       "[{\"ID\":\"spy:1\",\"Scope\":[\"default\",\"web\",\"spyglass\",\"spy\"]}]");
	bed_is(&b, "Matches.commands",
	       "[{\"ID\":\"/bin/spy\",\"Scope\":[\"default\",\"web\",\"spyglass\",\"t\"]}]");
	bed_is(&b, "Matches.classes", "[{\"ID\":\"Spy\",\"Scope\":[\"default\",\"web\",\"spyglass\",\"u\"]}]");
	bed_want(&b, "POST", "/v1/search/fuzzy", "{\"Text\":\"SPY\",\"Context\":\"nodes\"}", 200, NULL);
	bed_is(&b, "Matches", "{}");
	bed_is(&b, "Truncations", "{\"nodes\":false}");
}

CASE(the_closest_names_come_first)
{
	for (unsigned i = 0; i < 30; i++) {
		bed_register(&b, arena_printf(&b.kit.mem, "a-web-%02u", i), "");
	}
	bed_register(&b, "web-2", "");
	bed_register(&b, "web", "");
	bed_want(&b, "POST", "/v1/search/fuzzy", "{\"Text\":\"web\",\"Context\":\"jobs\"}", 200, NULL);
	assert_int_equal(bed_length(&b, "Matches.jobs"), 20);
	bed_is(&b, "Matches.jobs.0.ID", "\"web\"");
	bed_is(&b, "Matches.jobs.1.ID", "\"web-2\"");
	bed_is(&b, "Matches.jobs.2.ID", "\"a-web-00\"");
	bed_is(&b, "Matches.jobs.19.ID", "\"a-web-17\"");
	bed_is(&b, "Truncations.jobs", "true");
}

CASE(ids_are_found_in_every_context)
{
	const char *policy;

	bed_want(&b, "PUT", "/v1/jobs",
		 bed_quote(&b, "{'Job':{'ID':'web','TaskGroups':[{'Name':'g','Scaling':{'Max':3},'Tasks':[{'Name':'t',"
			       "'Driver':'raw_exec','Config':{'command':'/bin/true'}}]}]}}"),
		 200, NULL);
	bed_want(&b, "GET", "/v1/scaling/policies", NULL, 200, NULL);
	policy = bed_json(&b, "0.ID");
	bed_want(&b, "POST", "/v1/search",
		 bed_quote(&b, "{'Prefix':'%.7s','Context':'scaling_policy'}", policy + 1), 200, NULL);
	bed_is(&b, "Matches.scaling_policy.0", policy);
	bed_want(&b, "POST", "/v1/search/fuzzy", bed_quote(&b, "{'Text':'%.7s'}", policy + 1), 200, NULL);
	bed_is(&b, "Matches.scaling_policy.0", bed_quote(&b, "{'ID':%s}", policy));
	bed_want(&b, "POST", "/v1/search", "{\"Prefix\":\"a\",\"Context\":\"volumes\"}", 200, NULL);
	bed_is(&b, "Matches", "{\"volumes\":null}");
	bed_is(&b, "Truncations", "{\"volumes\":false}");
}

/* ---- namespaces ---- */

CASE(namespaces_come_and_go)
{
	bed_want(&b, "GET", "/v1/namespaces", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.Name", "\"default\"");
	bed_want(&b, "POST", "/v1/namespace", "{\"Name\":\"prod\",\"Description\":\"d\"}", 200, "");
	assert_true(b.last.res.index > 0);
	bed_want(&b, "GET", "/v1/namespace/prod", NULL, 200, NULL);
	bed_is(&b, "Description", "\"d\"");
	bed_want(&b, "PUT", "/v1/namespace/prod", "{\"Description\":\"e\"}", 200, "");
	bed_want(&b, "GET", "/v1/namespaces?prefix=p", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.Description", "\"e\"");
	bed_want(&b, "PUT", "/v1/namespace/prod", "{\"Name\":\"x\"}", 400,
		 "Namespace name does not match request path");
	bed_want(&b, "PUT", "/v1/namespace", "{\"Name\":\"a b\"}", 500,
		 "Invalid namespace \"a b\": 1 error occurred:\n\t* invalid name \"a b\". Must match regex "
		 "^[a-zA-Z0-9-]{1,128}$\n\n");
	bed_want(&b, "PUT", "/v1/namespace", bed_quote(&b, "{'Name':'x','Description':'%0257d'}", 0), 500,
		 "Invalid namespace \"x\": 1 error occurred:\n\t* description longer than 256\n\n");
	bed_want(&b, "PUT", "/v1/namespace", "{}", 500, NULL);
	bed_want(&b, "POST", "/v1/jobs?namespace=prod", bed_job(&b, "web", ""), 200, NULL);
	bed_want(&b, "DELETE", "/v1/namespace/prod", NULL, 500,
		 "1 error occurred:\n\t* namespace \"prod\" has non-terminal jobs in regions: [global]\n\n");
	bed_want(&b, "DELETE", "/v1/job/web?namespace=prod&purge=true", NULL, 200, NULL);
	bed_want(&b, "DELETE", "/v1/namespace/prod", NULL, 200, "");
	bed_want(&b, "DELETE", "/v1/namespace/prod", NULL, 500, "namespace not found");
	bed_want(&b, "DELETE", "/v1/namespace/default", NULL, 500, "can not delete default namespace");
	bed_want(&b, "GET", "/v1/namespace/prod", NULL, 404, "Namespace not found");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_cluster_is_told),
		T(the_agent_is_told),
		T(metrics_have_two_forms),
		T(the_hash_of_the_state_is_told),
		T(servers_of_raft_are_told),
		T(the_scheduler_is_configured),
		T(garbage_is_collected_on_demand),
		T(what_is_not_there_says_so),
		T(ids_are_found_by_their_beginning),
		T(jobs_of_all_namespaces_are_found),
		T(searches_are_bounded),
		T(what_is_inside_of_jobs_is_found_with_its_place),
		T(the_closest_names_come_first),
		T(ids_are_found_in_every_context),
		T(names_are_found_by_parts),
		T(namespaces_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
