#include <string.h>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/show.h"
#include "cli/table.h"

static const char *tag(const struct member *m, const char *key)
{
	uint32_t i;

	for (i = 0; i < m->tags.n; i++) {
		if (strcmp(m->tags.at[i].key, key) == 0) {
			return m->tags.at[i].value;
		}
	}
	return "";
}

/* The leader's RPC address; "" if there is none, which is told on stderr. */
static const char *read_leader(struct client *c)
{
	const char *text;
	size_t n;

	client_url(c, "/v1/status/leader");
	if (!client_ok(c, "determining leader", "GET", NULL, 0)) {
		return "";
	}
	text = buf_text(&c->body);
	text += *text == '"';
	n = strcspn(text, "\"\r\n");
	text = arena_strndup(c->mem, text, n);
	return text != NULL ? text : "";
}

static bool is_leader(struct arena *mem, const struct member *m, const char *leader)
{
	const char *host = tag(m, "rpc_addr")[0] != '\0' ? tag(m, "rpc_addr") : m->addr;
	const char *address = arena_printf(mem, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, tag(m, "port"));

	return leader[0] != '\0' && address != NULL && strcmp(address, leader) == 0;
}

static void show_members(struct arena *mem, const struct members *all, const char *leader, bool verbose)
{
	struct table t = {0};
	uint32_t i;

	table_row(&t, "Name", "Address", "Port", "Status", "Leader", "Raft Version", "Build", "Datacenter", "Region");
	for (i = 0; i < all->members.n; i++) {
		const struct member *m = &all->members.at[i];

		table_row(&t, m->name, m->addr, format_int(mem, m->port), m->status,
			  format_bool(is_leader(mem, m, leader)), tag(m, "raft_vsn"), tag(m, "build"), tag(m, "dc"),
			  tag(m, "region"));
	}
	table_print(&t, stdout);
	for (i = 0; verbose && i < all->members.n; i++) {
		const struct map *tags = &all->members.at[i].tags;
		uint32_t j;

		printf("\nTags of %s\n", format_clean(mem, all->members.at[i].name));
		for (j = 0; j < tags->n; j++) {
			table_row(&t, tags->at[j].key, tags->at[j].value);
		}
		table_print_pairs(&t, stdout);
	}
}

static int run_members(struct client *c, const struct args *args)
{
	struct members all;

	client_url(c, "/v1/agent/members");
	if (!client_read(c, "querying servers", &members_type, &all)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	show_members(c->mem, &all, read_leader(c), args_has(args, "verbose"));
	return EXIT_OK;
}

static int run(struct args *args)
{
	struct client c;
	int code;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	code = run_members(&c, args);
	client_close(&c);
	return code;
}

static const struct flag flags[] = {{"json", NULL, "Print the server's answer."},
				    {"verbose", NULL, "Show the members' tags."},
				    {"detailed", NULL, "No longer of use."},
				    {NULL, NULL, NULL}};

const struct command command_server_members = {
	.name = "server members",
	.usage = "[options]",
	.summary = "List the known servers and their status",
	.flags = flags,
	.api = true,
	.run = run,
};

/* ---- join and force-leave ---- */

#define JOINED_FIELDS(X, T)                                                                                            \
	X(T, INT, n, "num_joined")                                                                                     \
	X(T, STR, error, "error")
OBJECT_DECLARE(joined, JOINED_FIELDS);
OBJECT_DEFINE(joined, JOINED_FIELDS);

static int join(struct client *c, const struct args *args)
{
	struct joined joined;
	unsigned i;

	client_url(c, "/v1/agent/join");
	for (i = 0; i < args->n_rest; i++) {
		client_param(c, "address", args->rest[i]);
	}
	if (!client_ok(c, "joining", "PUT", NULL, 0) || !client_decode(c, "joining", &joined_type, &joined)) {
		return EXIT_ERROR;
	}
	if (joined.n == 0) {
		fprintf(stderr, "Error joining: %s\n", format_clean(c->mem, joined.error));
		return EXIT_ERROR;
	}
	printf("Joined %lld servers successfully\n", (long long)joined.n);
	return EXIT_OK;
}

static int run_join(struct args *args)
{
	struct client c;
	int code;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	code = join(&c, args);
	client_close(&c);
	return code;
}

const struct command command_server_join = {
	.name = "server join",
	.usage = "[options] ADDRESS...",
	.summary = "Have a server look for others at these addresses",
	.details = "An address is a server's, HOST:PORT of RPC or Serf; without a port it is Serf's, 4648.",
	.api = true,
	.min = 1,
	.max = 16,
	.run = run_join,
};

static int run_force_leave(struct args *args)
{
	struct client c;
	bool good;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	client_url(&c, "/v1/agent/force-leave");
	client_param(&c, "node", args->rest[0]);
	if (args_has(args, "prune")) {
		client_param(&c, "prune", "true");
	}
	good = client_ok(&c, "force-leaving server", "PUT", NULL, 0);
	client_close(&c);
	return good ? EXIT_OK : EXIT_ERROR;
}

static const struct flag leave_flags[] = {{"prune", NULL, "Forget it altogether."}, {NULL, NULL, NULL}};

const struct command command_server_force_leave = {
	.name = "server force-leave",
	.usage = "[options] NAME",
	.summary = "Let a failed server go, as if it had left",
	.details = "The server has failed and will not come back: the others do not count on it any more. A server "
		   "that is alive is not let go.",
	.flags = leave_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_force_leave,
};
