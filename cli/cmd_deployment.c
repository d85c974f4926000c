#include "cli/act.h"
#include "cli/commands.h"

#define DEPLOYMENT_LINE_FIELDS(X, T)                                                                                   \
	X(T, STR, id, "ID")                                                                                            \
	X(T, STR, job_id, "JobID")                                                                                     \
	X(T, INT, version, "JobVersion")                                                                               \
	X(T, STR, status, "Status")                                                                                    \
	X(T, STR, description, "StatusDescription")
#define DEPLOYMENT_LINES_FIELDS(X, T) X(T, LIST(deployment_line), items, "Items")
OBJECT_DECLARE(deployment_line, DEPLOYMENT_LINE_FIELDS);
OBJECT_DECLARE(deployment_lines, DEPLOYMENT_LINES_FIELDS);
OBJECT_DEFINE(deployment_line, DEPLOYMENT_LINE_FIELDS);
OBJECT_DEFINE(deployment_lines, DEPLOYMENT_LINES_FIELDS);

static const struct flag show_flags[] = {ACT_FLAG_JSON, ACT_FLAG_END};
static const struct flag change_flags[] = {ACT_FLAG_DETACH, ACT_FLAG_VERBOSE, ACT_FLAG_END};

/* ---- showing ---- */

static int list(struct client *c, const struct args *args)
{
	client_url(c, "/v1/deployments");
	return act_show_list(c, args, "querying deployments", &deployment_lines_type);
}

static int run_list(struct args *args)
{
	return act_on_server(args, list);
}

const struct command command_deployment_list = {
	.name = "deployment list",
	.usage = "[options]",
	.summary = "List all deployments",
	.flags = show_flags,
	.api = true,
	.run = run_list,
};

static int status(struct client *c, const struct args *args, const char *id)
{
	client_url(c, "/v1/deployment/%s", id);
	return act_show_object(c, args, "querying deployment", &deployment_line_type);
}

static int run_status(struct args *args)
{
	return act_on(args, &act_deployments, status);
}

const struct command command_deployment_status = {
	.name = "deployment status",
	.usage = "[options] DEPLOYMENT",
	.summary = "Show the status of a deployment",
	.flags = show_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_status,
};

/* ---- changing ---- */

static int change(struct client *c, const struct args *args, const char *verb, const char *id, const char *more,
		  const char *done)
{
	struct buf body = {0};

	buf_byte(&body, '{');
	act_put(&body, "DeploymentID", id);
	buf_printf(&body, "%s}", more);
	client_url(c, "/v1/deployment/%s/%s", verb, id);
	return act_send(c, args, "changing deployment", "PUT", &body, done);
}

static int fail_it(struct client *c, const struct args *args, const char *id)
{
	return change(c, args, "fail", id, "", "Deployment failed");
}

static int pause_it(struct client *c, const struct args *args, const char *id)
{
	return change(c, args, "pause", id, ",\"Pause\":true", "Deployment paused");
}

static int resume_it(struct client *c, const struct args *args, const char *id)
{
	return change(c, args, "pause", id, ",\"Pause\":false", "Deployment resumed");
}

static int promote_it(struct client *c, const struct args *args, const char *id)
{
	struct buf more = {0};
	int code;

	if (args->n_rest < 2) {
		return change(c, args, "promote", id, ",\"All\":true", "Deployment promoted");
	}
	for (unsigned i = 1; i < args->n_rest; i++) {
		buf_str(&more, i == 1 ? ",\"Groups\":[" : ",");
		json_put_str(&more, args->rest[i], strlen(args->rest[i]));
	}
	buf_byte(&more, ']');
	code = change(c, args, "promote", id, buf_text(&more), "Deployment promoted");
	buf_close(&more);
	return code;
}

#define CHANGES(X)                                                                                                     \
	X(fail, "[options] DEPLOYMENT", "Fail a deployment: what it has begun is taken back", 1)                       \
	X(pause, "[options] DEPLOYMENT", "Pause a deployment", 1)                                                      \
	X(resume, "[options] DEPLOYMENT", "Resume a paused deployment", 1)                                             \
	X(promote, "[options] DEPLOYMENT [GROUP ...]", "Promote a deployment's canaries", 64)
#define X(verb, usage_, summary_, max_)                                                                                \
	static int run_##verb(struct args *args)                                                                       \
	{                                                                                                              \
		return act_on(args, &act_deployments, verb##_it);                                                      \
	}                                                                                                              \
	const struct command command_deployment_##verb = {                                                             \
		.name = "deployment " #verb,                                                                           \
		.usage = usage_,                                                                                       \
		.summary = summary_,                                                                                   \
		.flags = change_flags,                                                                                 \
		.api = true,                                                                                           \
		.min = 1,                                                                                              \
		.max = max_,                                                                                           \
		.run = run_##verb,                                                                                     \
	};
CHANGES(X)
#undef X
