/* Commands that list what there is, or follow an agent's log. */
#include <stdio.h>
#include <string.h>

#include "cli/act.h"
#include "cli/commands.h"

static const struct flag json_flags[] = {ACT_FLAG_JSON, ACT_FLAG_END};

#define EVAL_LINE_FIELDS(X, T)                                                                                         \
	X(T, STR, id, "ID")                                                                                            \
	X(T, INT, priority, "Priority")                                                                                \
	X(T, STR, triggered_by, "TriggeredBy")                                                                         \
	X(T, STR, job_id, "JobID")                                                                                     \
	X(T, STR, namespace_, "Namespace")                                                                             \
	X(T, STR, status, "Status")
#define POOL_LINE_FIELDS(X, T)                                                                                         \
	X(T, STR, name, "Name")                                                                                        \
	X(T, STR, description, "Description")
#define EVAL_LINES_FIELDS(X, T) X(T, LIST(eval_line), items, "Items")
#define POOL_LINES_FIELDS(X, T) X(T, LIST(pool_line), items, "Items")
OBJECT_DECLARE(eval_line, EVAL_LINE_FIELDS);
OBJECT_DECLARE(eval_lines, EVAL_LINES_FIELDS);
OBJECT_DECLARE(pool_line, POOL_LINE_FIELDS);
OBJECT_DECLARE(pool_lines, POOL_LINES_FIELDS);
OBJECT_DEFINE(eval_line, EVAL_LINE_FIELDS);
OBJECT_DEFINE(eval_lines, EVAL_LINES_FIELDS);
OBJECT_DEFINE(pool_line, POOL_LINE_FIELDS);
OBJECT_DEFINE(pool_lines, POOL_LINES_FIELDS);

static int evals(struct client *c, const struct args *args)
{
	client_url(c, "/v1/evaluations");
	if (args_get(args, "job", NULL) != NULL) {
		client_param(c, "job", args_get(args, "job", ""));
	}
	if (args_get(args, "status", NULL) != NULL) {
		client_param(c, "status", args_get(args, "status", ""));
	}
	return act_show_list(c, args, "querying evaluations", &eval_lines_type);
}

static int namespaces(struct client *c, const struct args *args)
{
	client_url(c, "/v1/namespaces");
	return act_show_list(c, args, "querying namespaces", &pool_lines_type);
}

static int pools(struct client *c, const struct args *args)
{
	client_url(c, "/v1/node/pools");
	return act_show_list(c, args, "querying node pools", &pool_lines_type);
}

static int scheduler_config(struct client *c, const struct args *args)
{
	(void)args;
	client_url(c, "/v1/operator/scheduler/configuration");
	return act_show_json(c, "querying scheduler configuration");
}

static int reconcile(struct client *c, const struct args *args)
{
	struct buf body = {0};

	client_url(c, "/v1/system/reconcile/summaries");
	return act_send(c, args, "reconciling summaries", "PUT", &body, NULL);
}

#define POLICY_LINE_FIELDS(X, T)                                                                                       \
	X(T, STR, id, "ID")                                                                                            \
	X(T, BOOL, enabled, "Enabled")                                                                                 \
	X(T, STR, type, "Type")
#define POOL_NODE_FIELDS(X, T)                                                                                         \
	X(T, STR, id, "ID")                                                                                            \
	X(T, STR, name, "Name")                                                                                        \
	X(T, STR, datacenter, "Datacenter")                                                                            \
	X(T, STR, eligibility, "SchedulingEligibility")                                                                \
	X(T, STR, status, "Status")
#define POOL_JOB_FIELDS(X, T)                                                                                          \
	X(T, STR, id, "ID")                                                                                            \
	X(T, STR, namespace_, "Namespace")                                                                             \
	X(T, STR, type, "Type")                                                                                        \
	X(T, INT, priority, "Priority")                                                                                \
	X(T, STR, status, "Status")
#define POLICY_LINES_FIELDS(X, T) X(T, LIST(policy_line), items, "Items")
#define POOL_NODES_FIELDS(X, T) X(T, LIST(pool_node), items, "Items")
#define POOL_JOBS_FIELDS(X, T) X(T, LIST(pool_job), items, "Items")
OBJECT_DECLARE(policy_line, POLICY_LINE_FIELDS);
OBJECT_DECLARE(policy_lines, POLICY_LINES_FIELDS);
OBJECT_DECLARE(pool_node, POOL_NODE_FIELDS);
OBJECT_DECLARE(pool_nodes, POOL_NODES_FIELDS);
OBJECT_DECLARE(pool_job, POOL_JOB_FIELDS);
OBJECT_DECLARE(pool_jobs, POOL_JOBS_FIELDS);
OBJECT_DEFINE(policy_line, POLICY_LINE_FIELDS);
OBJECT_DEFINE(policy_lines, POLICY_LINES_FIELDS);
OBJECT_DEFINE(pool_node, POOL_NODE_FIELDS);
OBJECT_DEFINE(pool_nodes, POOL_NODES_FIELDS);
OBJECT_DEFINE(pool_job, POOL_JOB_FIELDS);
OBJECT_DEFINE(pool_jobs, POOL_JOBS_FIELDS);

static int policies(struct client *c, const struct args *args)
{
	client_url(c, "/v1/scaling/policies");
	return act_show_list(c, args, "querying scaling policies", &policy_lines_type);
}

static void named_url(struct client *c, const struct args *args, const char *before, const char *behind)
{
	client_url(c, "%s/%s%s", before, client_escape(c, args->rest[0]), behind);
}

static int pool_nodes_of(struct client *c, const struct args *args)
{
	named_url(c, args, "/v1/node/pool", "/nodes");
	return act_show_list(c, args, "querying nodes", &pool_nodes_type);
}

static int pool_jobs_of(struct client *c, const struct args *args)
{
	named_url(c, args, "/v1/node/pool", "/jobs");
	return act_show_list(c, args, "querying jobs", &pool_jobs_type);
}

static int pool_info(struct client *c, const struct args *args)
{
	(void)args;
	named_url(c, args, "/v1/node/pool", "");
	return act_show_json(c, "querying node pool");
}

static int pool_delete(struct client *c, const struct args *args)
{
	struct buf body = {0};

	named_url(c, args, "/v1/node/pool", "");
	return act_send(c, args, "deleting node pool", "DELETE", &body, NULL);
}

static int namespace_inspect(struct client *c, const struct args *args)
{
	named_url(c, args, "/v1/namespace", "");
	return act_show_json(c, "querying namespace");
}

static int namespace_delete(struct client *c, const struct args *args)
{
	struct buf body = {0};

	named_url(c, args, "/v1/namespace", "");
	return act_send(c, args, "deleting namespace", "DELETE", &body, NULL);
}

/* What is there of it stays, but for what is said. */
static int namespace_apply(struct client *c, const struct args *args)
{
	struct namespace_ ns;
	struct buf body = {0};

	object_init(&namespace__type, &ns);
	named_url(c, args, "/v1/namespace", "");
	if (client_send(c, "GET", NULL, 0) == 0 && c->status == 200 &&
	    !client_decode(c, "querying namespace", &namespace__type, &ns)) {
		return EXIT_ERROR;
	}
	ns.name = args->rest[0];
	ns.description = args_get(args, "description", ns.description);
	json_encode(&namespace__type, &ns, &body);
	client_url(c, "/v1/namespace");
	return act_send(c, args, "applying namespace", "PUT", &body, NULL);
}

static int metrics(struct client *c, const struct args *args)
{
	client_url(c, "/v1/metrics");
	if (args_get(args, "format", NULL) == NULL) {
		return act_show_json(c, "querying metrics");
	}
	client_param(c, "format", args_get(args, "format", ""));
	c->stream = stdout;
	return client_ok(c, "querying metrics", "GET", NULL, 0) ? EXIT_OK : EXIT_ERROR;
}

/* As the agent writes it, until one of the two ends. */
static int follow_log(struct client *c, const struct args *args)
{
	client_url(c, "/v1/agent/monitor");
	client_param(c, "plain", "true");
	client_param(c, "log_level", args_get(args, "log-level", "INFO"));
	if (args_get(args, "node-id", NULL) != NULL) {
		client_param(c, "node_id", args_get(args, "node-id", ""));
	}
	if (args_get(args, "server-id", NULL) != NULL) {
		client_param(c, "server_id", args_get(args, "server-id", ""));
	}
	if (args_has(args, "json")) {
		client_param(c, "log_json", "true");
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	c->stream = stdout;
	return client_ok(c, "following the log", "GET", NULL, 0) ? EXIT_OK : EXIT_ERROR;
}

static const struct flag eval_flags[] = {ACT_FLAG_JSON,
					 {"job", "job", "Of this job."},
					 {"status", "status", "With this status."},
					 ACT_FLAG_END};
static const struct flag namespace_flags[] = {{"description", "text", "What it is for."}, ACT_FLAG_END};
static const struct flag metrics_flags[] = {{"format", "format", "\"prometheus\" for its text."}, ACT_FLAG_END};
static const struct flag monitor_flags[] = {
	{"json", NULL, "Lines as JSON."},
	{"log-level", "level", "TRACE, DEBUG, INFO, WARN or ERROR; INFO by default."},
	{"node-id", "node", "Of the client agent of this node."},
	{"server-id", "server", "Of this server, by its ID or name, or of the leader."},
	ACT_FLAG_END};

/* X(variable, function, name, usage, summary, flags, arguments) */
#define COMMANDS(X)                                                                                                    \
	X(eval_list, evals, "eval list", "[options]", "List evaluations", eval_flags, 0)                               \
	X(monitor, follow_log, "monitor", "[options]", "Follow the log of an agent", monitor_flags, 0)                 \
	X(namespace_apply, namespace_apply, "namespace apply", "[options] NAMESPACE", "Make or change a namespace",    \
	  namespace_flags, 1)                                                                                          \
	X(namespace_delete, namespace_delete, "namespace delete", "[options] NAMESPACE", "Delete a namespace",            \
	  NULL, 1)                                                                                                     \
	X(namespace_inspect, namespace_inspect, "namespace inspect", "[options] NAMESPACE",                            \
	  "Show the whole of a namespace", NULL, 1)                                                                    \
	X(namespace_list, namespaces, "namespace list", "[options]", "List namespaces", json_flags, 0)                 \
	X(node_pool_delete, pool_delete, "node pool delete", "[options] POOL", "Delete a node pool", NULL, 1)          \
	X(node_pool_info, pool_info, "node pool info", "[options] POOL", "Show the whole of a node pool", NULL, 1)     \
	X(node_pool_jobs, pool_jobs_of, "node pool jobs", "[options] POOL", "List the jobs of a node pool",            \
	  json_flags, 1)                                                                                               \
	X(node_pool_nodes, pool_nodes_of, "node pool nodes", "[options] POOL", "List the nodes of a node pool",        \
	  json_flags, 1)                                                                                               \
	X(operator_metrics, metrics, "operator metrics", "[options]", "Show an agent's metrics", metrics_flags, 0)     \
	X(scaling_policy_list, policies, "scaling policy list", "[options]", "List scaling policies", json_flags, 0)   \
	X(node_pool_list, pools, "node pool list", "[options]", "List node pools", json_flags, 0)                      \
	X(operator_scheduler_get_config, scheduler_config, "operator scheduler get-config", "[options]",               \
	  "Show how schedulers decide", NULL, 0)                                                                       \
	X(system_reconcile_summaries, reconcile, "system reconcile summaries", "[options]",                            \
	  "Make sure that the summaries of jobs are right", NULL, 0)
#define X(variable, function, name_, usage_, summary_, flags_, n_)                                                     \
	static int run_##variable(struct args *args)                                                                   \
	{                                                                                                              \
		return act_on_server(args, function);                                                                  \
	}                                                                                                              \
	const struct command command_##variable = {                                                                    \
		.name = name_,                                                                                         \
		.usage = usage_,                                                                                       \
		.summary = summary_,                                                                                   \
		.flags = flags_,                                                                                       \
		.api = true,                                                                                           \
		.min = n_,                                                                                             \
		.max = n_,                                                                                             \
		.run = run_##variable,                                                                                 \
	};
COMMANDS(X)
#undef X
