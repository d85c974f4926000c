/* Commands about a job that are one request each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/act.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/show.h"

static const struct flag json_flags[] = {ACT_FLAG_JSON, ACT_FLAG_VERBOSE, ACT_FLAG_END};
static const struct flag detach_flags[] = {ACT_FLAG_DETACH, ACT_FLAG_VERBOSE, ACT_FLAG_END};
static const struct flag no_flags[] = {ACT_FLAG_END};

static void job_url(struct client *c, const char *id, const char *rest)
{
	client_url(c, "/v1/job/%s%s", client_escape(c, id), rest);
}

/* ---- showing ---- */

#define JOB_DEPLOYMENT_FIELDS(X, T)                                                                                    \
	X(T, STR, id, "ID")                                                                                            \
	X(T, INT, version, "JobVersion")                                                                               \
	X(T, STR, status, "Status")                                                                                    \
	X(T, STR, description, "StatusDescription")
#define JOB_DEPLOYMENTS_FIELDS(X, T) X(T, LIST(job_deployment), items, "Items")
OBJECT_DECLARE(job_deployment, JOB_DEPLOYMENT_FIELDS);
OBJECT_DECLARE(job_deployments, JOB_DEPLOYMENTS_FIELDS);
OBJECT_DEFINE(job_deployment, JOB_DEPLOYMENT_FIELDS);
OBJECT_DEFINE(job_deployments, JOB_DEPLOYMENTS_FIELDS);

static int allocs(struct client *c, const struct args *args, const char *id)
{
	struct alloc_stubs list;

	job_url(c, id, "/allocations");
	if (!client_read_list(c, "querying allocations", &alloc_stubs_type, &list)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
	} else {
		show_allocs(c->mem, &list, args_has(args, "verbose"));
	}
	return EXIT_OK;
}

static int deployments(struct client *c, const struct args *args, const char *id)
{
	job_url(c, id, "/deployments");
	return act_show_list(c, args, "querying deployments", &job_deployments_type);
}

static int inspect(struct client *c, const struct args *args, const char *id)
{
	job_url(c, id, "");
	if (args->n_rest > 1) {
		client_param(c, "version", args->rest[1]);
	}
	return act_show_json(c, "querying job");
}

static int history(struct client *c, const struct args *args, const char *id)
{
	(void)args;
	job_url(c, id, "/versions");
	return act_show_json(c, "querying versions");
}

static int scaling_events(struct client *c, const struct args *args, const char *id)
{
	(void)args;
	job_url(c, id, "/scale");
	return act_show_json(c, "querying scaling events");
}

/* ---- changing ---- */

static struct buf begin_body(const char *id)
{
	struct buf body = {0};

	buf_byte(&body, '{');
	act_put(&body, "JobID", id);
	return body;
}

static int eval(struct client *c, const struct args *args, const char *id)
{
	struct buf body = begin_body(id);

	buf_printf(&body, ",\"EvalOptions\":{\"ForceReschedule\":%s}}",
		   args_has(args, "force-reschedule") ? "true" : "false");
	job_url(c, id, "/evaluate");
	return act_send(c, args, "evaluating job", "PUT", &body, NULL);
}

static int force(struct client *c, const struct args *args, const char *id)
{
	struct buf body = {0};

	job_url(c, id, "/periodic/force");
	return act_send(c, args, "forcing job", "PUT", &body, NULL);
}

static bool whole_number(const char *text, const char *what, long long *n)
{
	char *end;

	*n = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || *n < 0) {
		fprintf(stderr, "%s must be a whole number, not \"%s\"\n", what, text);
		return false;
	}
	return true;
}

static int revert(struct client *c, const struct args *args, const char *id)
{
	struct buf body = {0};
	long long version;

	if (!whole_number(args->rest[1], "The version", &version)) {
		return EXIT_ERROR;
	}
	body = begin_body(id);
	buf_printf(&body, ",\"JobVersion\":%lld}", version);
	job_url(c, id, "/revert");
	return act_send(c, args, "reverting job", "PUT", &body, NULL);
}

/* The group may be left out where the job has one only: the server says so if it has more. */
static const char *group_of(struct client *c, const struct args *args, const char *id)
{
	struct job job;

	if (args->n_rest > 2) {
		return args->rest[1];
	}
	job_url(c, id, "");
	if (!client_read(c, "querying job", &job_type, &job)) {
		return NULL;
	}
	if (job.task_groups.n != 1) {
		fprintf(stderr, "The job has %u groups: name one\n", job.task_groups.n);
		return NULL;
	}
	return job.task_groups.at[0].name;
}

static const char *tag_name(const struct args *args)
{
	const char *name = args_get(args, "name", "");

	if (name[0] == '\0') {
		fprintf(stderr, "-name is needed: the tag's\n");
		return NULL;
	}
	return name;
}

static int tag(struct client *c, const struct args *args, const char *id)
{
	const char *name = tag_name(args);
	struct buf body = {0};
	long long version = -1;

	if (name == NULL || !args_number(args, "version", &version)) {
		return EXIT_ERROR;
	}
	buf_byte(&body, '{');
	act_put(&body, "Description", args_get(args, "description", ""));
	if (version >= 0) {
		buf_printf(&body, ",\"Version\":%lld", version);
	}
	buf_byte(&body, '}');
	client_url(c, "/v1/job/%s/versions/%s/tag", client_escape(c, id), client_escape(c, name));
	return act_send(c, args, "tagging job version", "PUT", &body, NULL);
}

static int untag(struct client *c, const struct args *args, const char *id)
{
	const char *name = tag_name(args);
	struct buf body = {0};

	if (name == NULL) {
		return EXIT_ERROR;
	}
	client_url(c, "/v1/job/%s/versions/%s/tag", client_escape(c, id), client_escape(c, name));
	return act_send(c, args, "removing tag", "DELETE", &body, NULL);
}

static int scale(struct client *c, const struct args *args, const char *id)
{
	const char *group = group_of(c, args, id);
	struct buf body = {0};
	long long count;

	if (group == NULL || !whole_number(args->rest[args->n_rest - 1], "The count", &count)) {
		return EXIT_ERROR;
	}
	buf_printf(&body, "{\"Count\":%lld,\"Target\":{", count);
	act_put(&body, "Group", group);
	buf_str(&body, "},");
	act_put(&body, "Message", "submitted using the drover CLI");
	buf_byte(&body, '}');
	job_url(c, id, "/scale");
	return act_send(c, args, "scaling job", "PUT", &body, NULL);
}

static int promote(struct client *c, const struct args *args, const char *id)
{
	struct job_deployment deployment;
	struct buf body = {0};

	object_init(&job_deployment_type, &deployment);
	job_url(c, id, "/deployment");
	if (!client_ok(c, "querying deployment", "GET", NULL, 0)) {
		return EXIT_ERROR;
	}
	if (strncmp(buf_text(&c->body), "null", 4) == 0) {
		fprintf(stderr, "Job \"%s\" has no deployment to promote\n", id);
		return EXIT_ERROR;
	}
	if (!client_decode(c, "querying deployment", &job_deployment_type, &deployment)) {
		return EXIT_ERROR;
	}
	buf_byte(&body, '{');
	act_put(&body, "DeploymentID", deployment.id);
	buf_str(&body, ",\"All\":true}");
	client_url(c, "/v1/deployment/promote/%s", deployment.id);
	return act_send(c, args, "promoting job", "PUT", &body, NULL);
}

/* A stopped job runs again, as it was. */
static int start(struct client *c, const struct args *args, const char *id)
{
	struct buf body = {0};
	struct job job;

	job_url(c, id, "");
	if (!client_read(c, "querying job", &job_type, &job)) {
		return EXIT_ERROR;
	}
	if (!job.stop) {
		fprintf(stderr, "Job \"%s\" is not stopped\n", id);
		return EXIT_ERROR;
	}
	job.stop = false;
	buf_str(&body, "{\"Job\":");
	json_encode(&job_type, &job, &body);
	buf_byte(&body, '}');
	client_url(c, "/v1/jobs");
	return act_send(c, args, "starting job", "PUT", &body, NULL);
}

static bool put_meta(struct buf *body, const struct args *args)
{
	bool first = true;

	buf_str(body, ",\"Meta\":{");
	for (unsigned i = 0; i < args->n_given; i++) {
		const char *equals = strchr(args->given[i].value, '=');

		if (strcmp(args->given[i].name, "meta") != 0) {
			continue;
		}
		if (equals == NULL) {
			fprintf(stderr, "-meta must be name=value, not \"%s\"\n", args->given[i].value);
			return false;
		}
		if (!first) {
			buf_byte(body, ',');
		}
		first = false;
		json_put_str(body, args->given[i].value, (size_t)(equals - args->given[i].value));
		buf_byte(body, ':');
		json_put_str(body, equals + 1, strlen(equals + 1));
	}
	buf_byte(body, '}');
	return true;
}

#define DISPATCH_FILE_FIELDS(X, T) X(T, BYTES, payload, "Payload", .omit = true)
OBJECT_DECLARE(dispatch_file, DISPATCH_FILE_FIELDS);
OBJECT_DEFINE(dispatch_file, DISPATCH_FILE_FIELDS);

/* {"Payload":"...": the rest of the body follows. */
static bool put_payload(struct buf *body, const char *path)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	struct dispatch_file p;
	struct buf data = {0};
	char part[65536];
	size_t n;

	if (in == NULL) {
		fprintf(stderr, "Error: %s cannot be read\n", path);
		return false;
	}
	while ((n = fread(part, 1, sizeof(part), in)) > 0) {
		buf_put(&data, part, n);
	}
	if (in != stdin) {
		fclose(in);
	}
	p.payload.at = (const uint8_t *)data.at;
	p.payload.n = (uint32_t)data.len;
	json_encode(&dispatch_file_type, &p, body);
	buf_close(&data);
	body->len--; /* Its brace. */
	if (body->len > 1) {
		buf_byte(body, ',');
	}
	return !body->failed;
}

static int dispatch(struct client *c, const struct args *args, const char *id)
{
	struct buf body = {0};

	if (args->n_rest > 1 && !put_payload(&body, args->rest[1])) {
		return EXIT_ERROR;
	}
	if (args->n_rest == 1) {
		buf_byte(&body, '{');
	}
	act_put(&body, "JobID", id);
	if (!put_meta(&body, args)) {
		buf_close(&body);
		return EXIT_ERROR;
	}
	buf_byte(&body, '}');
	job_url(c, id, "/dispatch");
	return act_send(c, args, "dispatching job", "PUT", &body, NULL);
}

/* ---- all of them ---- */

static const struct flag eval_flags[] = {ACT_FLAG_DETACH,
					 {"force-reschedule", NULL, "Replace failed allocations now."},
					 ACT_FLAG_VERBOSE,
					 ACT_FLAG_END};
static const struct flag dispatch_flags[] = {ACT_FLAG_DETACH,
					     {"meta", "name=value", "A value of the dispatch; may be repeated."},
					     ACT_FLAG_VERBOSE,
					     ACT_FLAG_END};

static const struct flag tag_flags[] = {{"name", "tag", "The tag's name."},
					{"description", "text", "What it says of the version."},
					{"version", "number", "Of the job; the newest by default."},
					ACT_FLAG_END};
static const struct flag untag_flags[] = {{"name", "tag", "The tag's name."}, ACT_FLAG_END};

/* X(variable, name, usage, summary, flags, min, max) */
#define JOB_COMMANDS(X)                                                                                                \
	X(allocs, "allocs", "[options] JOB", "List a job's allocations", json_flags, 1, 1)                             \
	X(deployments, "deployments", "[options] JOB", "List a job's deployments", json_flags, 1, 1)                   \
	X(dispatch, "dispatch", "[options] JOB [PAYLOAD_FILE]", "Run a parameterized job", dispatch_flags, 1, 2)       \
	X(eval, "eval", "[options] JOB", "Have a job looked at again", eval_flags, 1, 1)                               \
	X(history, "history", "[options] JOB", "Show the versions of a job that are kept", no_flags, 1, 1)             \
	X(inspect, "inspect", "[options] JOB [VERSION]", "Show the whole specification of a job", no_flags, 1, 2)      \
	X(force, "periodic force", "[options] JOB", "Run a periodic job now", detach_flags, 1, 1)                      \
	X(promote, "promote", "[options] JOB", "Promote the canaries of a job's deployment", detach_flags, 1, 1)       \
	X(revert, "revert", "[options] JOB VERSION", "Go back to an earlier version of a job", detach_flags, 2, 2)     \
	X(scale, "scale", "[options] JOB [GROUP] COUNT", "Change how often a group runs", detach_flags, 2, 3)          \
	X(scaling_events, "scaling-events", "[options] JOB", "Show how a job's groups were scaled", no_flags, 1, 1) \
	X(start, "start", "[options] JOB", "Run a stopped job again", detach_flags, 1, 1)                              \
	X(tag, "tag apply", "[options] JOB", "Give a version of a job a name, by which it is kept", tag_flags, 1, 1)   \
	X(untag, "tag unset", "[options] JOB", "Take a version's name away", untag_flags, 1, 1)
#define X(variable, name_, usage_, summary_, flags_, min_, max_)                                                       \
	static int run_##variable(struct args *args)                                                                   \
	{                                                                                                              \
		return act_on(args, &act_jobs, variable);                                                              \
	}                                                                                                              \
	const struct command command_job_##variable = {                                                                \
		.name = "job " name_,                                                                                  \
		.usage = usage_,                                                                                       \
		.summary = summary_,                                                                                   \
		.flags = flags_,                                                                                       \
		.api = true,                                                                                           \
		.min = min_,                                                                                           \
		.max = max_,                                                                                           \
		.run = run_##variable,                                                                                 \
	};
JOB_COMMANDS(X)
#undef X
