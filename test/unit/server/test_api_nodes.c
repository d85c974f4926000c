/* Nodes and node pools. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_case.h"

#define U "deadbeef-0000-0000-0000-000000000000"

static const char *path(const struct uuid *node, const char *tail)
{
	return bed_quote(&b, "/v1/node/%s%s", kit_text(&b.kit, node), tail);
}

/* nodes/list, list_by_prefix */
CASE(nodes_are_listed)
{
	struct uuid one = kit_node(&b.kit, "n1");

	kit_node(&b.kit, "n2");
	bed_want(&b, "GET", "/v1/nodes", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_is(&b, "0.Status", "\"ready\"");
	bed_is(&b, "0.SchedulingEligibility", "\"eligible\"");
	bed_is(&b, "0.Drain", "false");
	bed_is(&b, "0.SecretID", "none");
	bed_is(&b, "0.NodeResources", "none");
	bed_want(&b, "GET", "/v1/nodes?resources=true&os=true", NULL, 200, NULL);
	bed_is(&b, "0.NodeResources.Memory.MemoryMB", "8000");
	bed_want(&b, "GET", bed_quote(&b, "/v1/nodes?prefix=%.8s", kit_text(&b.kit, &one)), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.Name", "\"n1\"");
	bed_want(&b, "GET", "/v1/nodes?filter=Name%20==%20%22n2%22", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/nodes?filter=NodeResources.Memory.MemoryMB%20==%208000", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_want(&b, "GET", "/v1/nodes?resources=perhaps", NULL, 400, NULL);
}

/* nodes/read */
CASE(a_node_keeps_its_secret)
{
	struct uuid one = kit_node(&b.kit, "n1");

	bed_want(&b, "GET", path(&one, ""), NULL, 200, NULL);
	bed_is(&b, "Name", "\"n1\"");
	bed_is(&b, "SecretID", "\"\"");
	bed_is(&b, "NodeResources.Cpu.CpuShares", "4000");
	assert_null(strstr(bed_text(&b), "\"secret\""));
	/* Nor does a filter find out. */
	bed_want(&b, "GET", "/v1/nodes?filter=SecretID%20==%20%22secret%22", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/node/" U, NULL, 404, "node not found");
}

CASE(a_node_is_drained_and_comes_back)
{
	struct uuid one, alloc;

	bed_register(&b, "web", "");
	one = bed_place(&b, "web", 1, &alloc);
	bed_want(&b, "POST", path(&one, "/drain"),
		 bed_quote(&b, "{'NodeID':'%s','DrainSpec':{'Deadline':60000000000},'Meta':{'m':'x'}}",
			   kit_text(&b.kit, &one)),
		 200, NULL);
	assert_int_equal(bed_number(&b, "NodeModifyIndex"), b.last.res.index);
	assert_int_equal(bed_number(&b, "Index"), b.last.res.index);
	bed_ask(&b, "GET", path(&one, ""), NULL);
	bed_is(&b, "Drain", "true");
	bed_is(&b, "SchedulingEligibility", "\"ineligible\"");
	bed_is(&b, "DrainStrategy.Deadline", "60000000000");
	bed_is(&b, "LastDrain.Meta", "{\"m\":\"x\"}");
	bed_want(&b, "PUT", path(&one, "/drain"), "{\"DrainSpec\":null,\"MarkEligible\":true}", 200, NULL);
	bed_ask(&b, "GET", path(&one, ""), NULL);
	bed_is(&b, "Drain", "false");
	bed_is(&b, "SchedulingEligibility", "\"eligible\"");
	bed_want(&b, "POST", path(&one, "/drain"), NULL, 400, "Request body is empty");
	bed_want(&b, "POST", path(&one, "/drain"), "{\"NodeID\":\"x\"}", 400, "Node ID does not match");
	bed_want(&b, "POST", "/v1/node/" U "/drain", "{}", 500, "node not found");
	bed_want(&b, "POST", "/v1/node/xyz/drain", "{}", 500, NULL);
}

CASE(a_node_is_made_ineligible)
{
	struct uuid one = kit_node(&b.kit, "n1");

	bed_want(&b, "POST", path(&one, "/eligibility"), "{\"Eligibility\":\"ineligible\"}", 200, NULL);
	bed_ask(&b, "GET", "/v1/nodes", NULL);
	bed_is(&b, "0.SchedulingEligibility", "\"ineligible\"");
	bed_want(&b, "PUT", path(&one, "/eligibility"), "{\"Eligibility\":\"eligible\"}", 200, NULL);
	bed_ask(&b, "GET", "/v1/nodes", NULL);
	bed_is(&b, "0.SchedulingEligibility", "\"eligible\"");
	bed_want(&b, "PUT", path(&one, "/eligibility"), "{\"Eligibility\":\"perhaps\"}", 500,
		 "invalid scheduling eligibility \"perhaps\"");
	bed_want(&b, "PUT", "/v1/node/" U "/eligibility", "{\"Eligibility\":\"eligible\"}", 500,
		 "node not found");
}

CASE(the_evaluations_of_a_node_are_told)
{
	struct uuid one, allocs[2];

	bed_register(&b, "web", "");
	bed_register(&b, "sys", "'Type':'system',");
	one = bed_place(&b, "web", 2, allocs);
	bed_want(&b, "PUT", path(&one, "/evaluate"), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, "EvalIDs"), 2); /* One of the job, though it has two allocations. */
	assert_int_equal(bed_number(&b, "EvalCreateIndex"), b.last.res.index);
	bed_want(&b, "GET", bed_quote(&b, "/v1/evaluation/%.36s", bed_json(&b, "EvalIDs.0") + 1), NULL, 200, NULL);
	bed_is(&b, "TriggeredBy", "\"node-update\"");
	bed_want(&b, "PUT", "/v1/node/" U "/evaluate", NULL, 500, "node not found");
}

CASE(a_node_is_purged)
{
	struct uuid one = kit_node(&b.kit, "n1");

	bed_want(&b, "POST", path(&one, "/purge"), NULL, 200, NULL);
	bed_want(&b, "GET", path(&one, ""), NULL, 404, "node not found");
	bed_want(&b, "POST", path(&one, "/purge"), NULL, 500, "node not found");
}

/* ---- pools ---- */

CASE(node_pools_come_and_go)
{
	bed_want(&b, "GET", "/v1/node/pools", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_is(&b, "0.Name", "\"all\"");
	bed_want(&b, "POST", "/v1/node/pools", "{\"Name\":\"gpu\",\"Description\":\"d\",\"Meta\":{\"a\":\"b\"}}", 200,
		 "");
	assert_true(b.last.res.index > 0);
	bed_want(&b, "GET", "/v1/node/pool/gpu", NULL, 200, NULL);
	bed_is(&b, "Description", "\"d\"");
	assert_int_equal(bed_number(&b, "CreateIndex"), b.last.res.index);
	bed_want(&b, "PUT", "/v1/node/pool/gpu", "{\"Description\":\"e\"}", 200, "");
	bed_want(&b, "GET", "/v1/node/pools?prefix=g", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.Description", "\"e\"");
	bed_want(&b, "PUT", "/v1/node/pool/gpu", "{\"Name\":\"x\"}", 400,
		 "Node pool name does not match request path");
	bed_want(&b, "PUT", "/v1/node/pool/gpu", "{\"NodeIdentityTTL\":\"720h\"}", 200, "");
	bed_want(&b, "GET", "/v1/node/pool/gpu", NULL, 200, NULL);
	bed_is(&b, "NodeIdentityTTL", "2592000000000000");
	bed_want(&b, "PUT", "/v1/node/pool/gpu", "{\"NodeIdentityTTL\":\"\"}", 200, "");
	bed_want(&b, "PUT", "/v1/node/pool/gpu", "{\"NodeIdentityTTL\":\"soon\"}", 400, NULL);
	bed_want(&b, "PUT", "/v1/node/pools", "{}", 400,
		 "invalid node pool \"\": 1 error occurred:\n\t* invalid name \"\", must match regex "
		 "^[a-zA-Z0-9-_]{1,128}$\n\n");
	bed_want(&b, "PUT", "/v1/node/pools", "{\"Name\":\"x\",\"SchedulerConfiguration\":{\"SchedulerAlgorithm\":\"y\"}}",
		 400, "invalid scheduler algorithm: y");
	bed_want(&b, "GET", "/v1/node/pool/gpu/nodes?prefix=ab", NULL, 400, "prefix argument not allowed");
	bed_want(&b, "GET", "/v1/node/pool/gpu/jobs?prefix=ab", NULL, 400, "prefix argument not allowed");
	bed_ask(&b, "GET", "/v1/node/pool/default", NULL);
	bed_is(&b, "NodeIdentityTTL", "86400000000000");
	bed_want(&b, "DELETE", "/v1/node/pool/gpu", NULL, 200, "");
	bed_want(&b, "DELETE", "/v1/node/pool/gpu", NULL, 500, "node pool gpu not found");
	bed_want(&b, "DELETE", "/v1/node/pool/default", NULL, 500, "deleting node pool \"default\" is not allowed");
	bed_want(&b, "GET", "/v1/node/pool/gpu", NULL, 404, "node pool not found");
}

CASE(a_pool_tells_its_nodes_and_jobs)
{
	kit_node(&b.kit, "n1");
	bed_register(&b, "web", "");
	bed_want(&b, "PUT", "/v1/node/pools", "{\"Name\":\"gpu\"}", 200, "");
	bed_want(&b, "GET", "/v1/node/pool/default/nodes", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/node/pool/all/nodes", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/node/pool/gpu/nodes", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/node/pool/default/jobs", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.ID", "\"web\"");
	bed_want(&b, "GET", "/v1/node/pool/all/jobs", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/node/pool/gpu/jobs", NULL, 200, "[]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(nodes_are_listed),
		T(a_node_keeps_its_secret),
		T(a_node_is_drained_and_comes_back),
		T(a_node_is_made_ineligible),
		T(the_evaluations_of_a_node_are_told),
		T(a_node_is_purged),
		T(node_pools_come_and_go),
		T(a_pool_tells_its_nodes_and_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
