/* Commands about one allocation or node. */
#include <stdio.h>
#include <string.h>

#include "cli/act.h"
#include "cli/commands.h"
#include "lib/timefmt.h"

/* ---- allocations ---- */

static int stop(struct client *c, const struct args *args, const char *id)
{
	struct buf body = {0};

	client_url(c, "/v1/allocation/%s/stop", id);
	if (args_has(args, "no-shutdown-delay")) {
		client_param(c, "no_shutdown_delay", "true");
	}
	return act_send(c, args, "stopping allocation", "PUT", &body, NULL);
}

static int run_stop(struct args *args)
{
	return act_on(args, &act_allocs, stop);
}

static const struct flag stop_flags[] = {ACT_FLAG_DETACH,
					 {"no-shutdown-delay", NULL, "Do not wait for the tasks' shutdown delays."},
					 ACT_FLAG_VERBOSE,
					 ACT_FLAG_END};

const struct command command_alloc_stop = {
	.name = "alloc stop",
	.usage = "[options] ALLOCATION",
	.summary = "Stop an allocation; another takes its place",
	.flags = stop_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_stop,
};

static const char *task_of(const struct args *args)
{
	return args->n_rest > 1 ? args->rest[1] : args_get(args, "task", "");
}

static int restart(struct client *c, const struct args *args, const char *id)
{
	struct buf body = {0};

	buf_byte(&body, '{');
	act_put(&body, "TaskName", task_of(args));
	buf_printf(&body, ",\"AllTasks\":%s}", args_has(args, "all-tasks") ? "true" : "false");
	client_url(c, "/v1/client/allocation/%s/restart", id);
	return act_send(c, args, "restarting allocation", "PUT", &body, NULL);
}

static int run_restart(struct args *args)
{
	return act_on(args, &act_allocs, restart);
}

static const struct flag restart_flags[] = {{"all-tasks", NULL, "Also tasks that have ended."},
					    {"task", "task", "One of its tasks."},
					    ACT_FLAG_END};

const struct command command_alloc_restart = {
	.name = "alloc restart",
	.usage = "[options] ALLOCATION [TASK]",
	.summary = "Restart the tasks of an allocation where they are",
	.flags = restart_flags,
	.api = true,
	.min = 1,
	.max = 2,
	.run = run_restart,
};

static int send_signal(struct client *c, const struct args *args, const char *id)
{
	struct buf body = {0};

	buf_byte(&body, '{');
	act_put(&body, "Signal", args_get(args, "s", "SIGKILL"));
	buf_byte(&body, ',');
	act_put(&body, "Task", task_of(args));
	buf_byte(&body, '}');
	client_url(c, "/v1/client/allocation/%s/signal", id);
	return act_send(c, args, "signalling allocation", "PUT", &body, NULL);
}

static int run_signal(struct args *args)
{
	return act_on(args, &act_allocs, send_signal);
}

static const struct flag signal_flags[] = {{"s", "signal", "Its name; SIGKILL by default."},
					   {"task", "task", "One of its tasks."},
					   ACT_FLAG_END};

const struct command command_alloc_signal = {
	.name = "alloc signal",
	.usage = "[options] ALLOCATION [TASK]",
	.summary = "Signal the tasks of an allocation",
	.flags = signal_flags,
	.api = true,
	.min = 1,
	.max = 2,
	.run = run_signal,
};

static int checks(struct client *c, const struct args *args, const char *id)
{
	(void)args;
	client_url(c, "/v1/client/allocation/%s/checks", id);
	return act_show_json(c, "querying checks");
}

static int run_checks(struct args *args)
{
	return act_on(args, &act_allocs, checks);
}

const struct command command_alloc_checks = {
	.name = "alloc checks",
	.usage = "[options] ALLOCATION",
	.summary = "Show how the checks of an allocation's services went last",
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_checks,
};

/* ---- nodes ---- */

/* Exactly one of the two. */
static bool enables(const struct args *args, bool *enable)
{
	*enable = args_has(args, "enable");
	if (*enable == args_has(args, "disable")) {
		fprintf(stderr, "Either -enable or -disable is needed\n");
		return false;
	}
	return true;
}

static int eligibility(struct client *c, const struct args *args, const char *id)
{
	struct buf body = {0};
	bool enable;

	if (!enables(args, &enable)) {
		return EXIT_ERROR;
	}
	buf_byte(&body, '{');
	act_put(&body, "NodeID", id);
	buf_printf(&body, ",\"Eligibility\":\"%s\"}", enable ? "eligible" : "ineligible");
	client_url(c, "/v1/node/%s/eligibility", id);
	return act_send(c, args, "changing node", "PUT", &body,
			enable ? "Node is eligible: work may be placed there" : "Node is not eligible any more");
}

static int run_eligibility(struct args *args)
{
	return act_on(args, &act_nodes, eligibility);
}

static const struct flag eligibility_flags[] = {{"enable", NULL, "Work may be placed there."},
						{"disable", NULL, "No more work is placed there; what runs stays."},
						ACT_FLAG_END};

const struct command command_node_eligibility = {
	.name = "node eligibility",
	.usage = "[options] NODE",
	.summary = "Have work placed on a node, or no more",
	.flags = eligibility_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_eligibility,
};

/* The deadline in nanoseconds: 0 is none, less than 0 at once. False: told. */
static bool deadline_of(const struct args *args, int64_t *ns)
{
	const char *text = args_get(args, "deadline", "1h");

	*ns = 0;
	if (args_has(args, "force")) {
		*ns = -1;
	} else if (!args_has(args, "no-deadline") && (!duration_parse(text, strlen(text), ns) || *ns <= 0)) {
		fprintf(stderr, "-deadline must be a duration such as \"30m\", not \"%s\"\n", text);
		return false;
	}
	return true;
}

static int drain(struct client *c, const struct args *args, const char *id)
{
	struct buf body = {0};
	int64_t deadline_ns;
	bool enable;

	if (!enables(args, &enable) || !deadline_of(args, &deadline_ns)) {
		return EXIT_ERROR;
	}
	buf_byte(&body, '{');
	act_put(&body, "NodeID", id);
	if (enable) {
		buf_printf(&body, ",\"DrainSpec\":{\"Deadline\":%lld,\"IgnoreSystemJobs\":%s},\"MarkEligible\":false}",
			   (long long)deadline_ns, args_has(args, "ignore-system") ? "true" : "false");
	} else {
		buf_printf(&body, ",\"DrainSpec\":null,\"MarkEligible\":%s}",
			   args_has(args, "keep-ineligible") ? "false" : "true");
	}
	client_url(c, "/v1/node/%s/drain", id);
	return act_send(c, args, "draining node", "PUT", &body,
			enable ? "Node is being drained: \"drover node status\" shows how far it is" : "Drain is over");
}

static int run_drain(struct args *args)
{
	return act_on(args, &act_nodes, drain);
}

static const struct flag drain_flags[] = {
	{"enable", NULL, "Move the node's work elsewhere, and place none there."},
	{"disable", NULL, "End that."},
	{"deadline", "duration", "What is still there then is stopped; one hour by default."},
	{"no-deadline", NULL, "Wait for the work's own end as long as it takes."},
	{"force", NULL, "Stop all of it at once."},
	{"ignore-system", NULL, "Leave system jobs there."},
	{"keep-ineligible", NULL, "With -disable: place no work there all the same."},
	ACT_FLAG_END};

const struct command command_node_drain = {
	.name = "node drain",
	.usage = "[options] NODE",
	.summary = "Empty a node, or end that",
	.flags = drain_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_drain,
};

/* ---- a node's metadata ---- */

/* -node-id, or the node of the agent that is asked. */
static void meta_url(struct client *c, const struct args *args)
{
	client_url(c, "/v1/client/metadata");
	if (args_get(args, "node-id", NULL) != NULL) {
		client_param(c, "node_id", args_get(args, "node-id", ""));
	}
}

static int read_meta(struct client *c, const struct args *args)
{
	meta_url(c, args);
	return act_show_json(c, "querying metadata");
}

static int run_read_meta(struct args *args)
{
	return act_on_server(args, read_meta);
}

static void put_key(struct buf *body, const char *key, size_t len)
{
	if (body->at[body->len - 1] != '{') {
		buf_byte(body, ',');
	}
	json_put_str(body, key, len);
	buf_byte(body, ':');
}

/* "a,b": null, each. */
static void put_unset(struct buf *body, const char *keys)
{
	while (*keys != '\0') {
		size_t len = strcspn(keys, ",");

		if (len > 0) {
			put_key(body, keys, len);
			buf_str(body, "null");
		}
		keys += len + (keys[len] == ',');
	}
}

static int apply_meta(struct client *c, const struct args *args)
{
	struct buf body = {0};

	buf_byte(&body, '{');
	act_put(&body, "NodeID", args_get(args, "node-id", ""));
	buf_str(&body, ",\"Meta\":{");
	put_unset(&body, args_get(args, "unset", ""));
	for (unsigned i = 0; i < args->n_rest; i++) {
		const char *equals = strchr(args->rest[i], '=');

		if (equals == NULL || equals == args->rest[i]) {
			fprintf(stderr, "Metadata must be name=value, not \"%s\"\n", args->rest[i]);
			buf_close(&body);
			return EXIT_ERROR;
		}
		put_key(&body, args->rest[i], (size_t)(equals - args->rest[i]));
		json_put_str(&body, equals + 1, strlen(equals + 1));
	}
	buf_str(&body, "}}");
	meta_url(c, args);
	return act_send(c, args, "changing metadata", "POST", &body, NULL);
}

static int run_apply_meta(struct args *args)
{
	return act_on_server(args, apply_meta);
}

#define FLAG_NODE_ID {"node-id", "node", "The node's whole ID; by default that of the agent which is asked."}
static const struct flag meta_flags[] = {FLAG_NODE_ID, ACT_FLAG_END};
static const struct flag apply_flags[] = {FLAG_NODE_ID,
					  {"unset", "names", "Metadata to be taken away, with commas between."},
					  ACT_FLAG_END};

const struct command command_node_meta_read = {
	.name = "node meta read",
	.usage = "[options]",
	.summary = "Show a node's metadata, as configured and as changed since",
	.flags = meta_flags,
	.api = true,
	.run = run_read_meta,
};

const struct command command_node_meta_apply = {
	.name = "node meta apply",
	.usage = "[options] [NAME=VALUE ...]",
	.summary = "Change a node's metadata while it runs",
	.flags = apply_flags,
	.api = true,
	.max = 64,
	.run = run_apply_meta,
};

/* ---- files of an allocation ---- */

#define FS_ENTRY_FIELDS(X, T)                                                                                          \
	X(T, STR, mode, "FileMode")                                                                                    \
	X(T, INT, size, "Size")                                                                                        \
	X(T, STR, modified, "ModTime")                                                                                 \
	X(T, STR, name, "Name")
#define FS_ENTRIES_FIELDS(X, T) X(T, LIST(fs_entry), items, "Items")
#define FS_KIND_FIELDS(X, T) X(T, BOOL, is_dir, "IsDir")
OBJECT_DECLARE(fs_entry, FS_ENTRY_FIELDS);
OBJECT_DECLARE(fs_entries, FS_ENTRIES_FIELDS);
OBJECT_DECLARE(fs_kind, FS_KIND_FIELDS);
OBJECT_DEFINE(fs_entry, FS_ENTRY_FIELDS);
OBJECT_DEFINE(fs_entries, FS_ENTRIES_FIELDS);
OBJECT_DEFINE(fs_kind, FS_KIND_FIELDS);

static void fs_url(struct client *c, const struct args *args, const char *verb, const char *id)
{
	client_url(c, "/v1/client/fs/%s/%s", verb, id);
	client_param(c, "path", args->n_rest > 1 ? args->rest[1] : "/");
}

static int show_file(struct client *c, const struct args *args, const char *id)
{
	struct fs_kind kind;

	object_init(&fs_kind_type, &kind);
	fs_url(c, args, "stat", id);
	if (args_has(args, "stat")) {
		return act_show_object(c, args, "looking at file", &fs_entry_type);
	}
	if (!client_read(c, "looking at file", &fs_kind_type, &kind)) {
		return EXIT_ERROR;
	}
	fs_url(c, args, kind.is_dir ? "ls" : "cat", id);
	if (kind.is_dir) {
		return act_show_list(c, args, "listing files", &fs_entries_type);
	}
	c->stream = stdout;
	return client_ok(c, "reading file", "GET", NULL, 0) ? EXIT_OK : EXIT_ERROR;
}

static int run_fs(struct args *args)
{
	return act_on(args, &act_allocs, show_file);
}

static const struct flag fs_flags[] = {
	ACT_FLAG_JSON, {"stat", NULL, "Tell of the file, and do not print it."}, ACT_FLAG_END};

const struct command command_alloc_fs = {
	.name = "alloc fs",
	.usage = "[options] ALLOCATION [PATH]",
	.summary = "List a directory of an allocation, or print a file of it",
	.flags = fs_flags,
	.api = true,
	.min = 1,
	.max = 2,
	.run = run_fs,
};
