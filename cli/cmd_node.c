#include <string.h>

#include "cli/act.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/lookup.h"
#include "cli/show.h"
#include "cli/table.h"

static const char *find_node(struct client *c, const char *prefix)
{
	struct node_stubs nodes;
	const char *id = lookup_one(c, "/v1/nodes", "node", prefix, true, &node_stubs_type, &nodes);

	if (id == NULL && nodes.items.n > 1) {
		show_nodes(c->mem, &nodes, true);
	}
	return id;
}

/* The node that the agent itself is. */
static const char *own_node(struct client *c)
{
	struct agent_self self;
	uint32_t i;

	client_url(c, "/v1/agent/self");
	if (!client_read(c, "querying agent info", &agent_self_type, &self)) {
		return NULL;
	}
	for (i = 0; self.stats != NULL && i < self.stats->client.n; i++) {
		if (strcmp(self.stats->client.at[i].key, "node_id") == 0) {
			return self.stats->client.at[i].value;
		}
	}
	fprintf(stderr, "The agent is no client: it is no node\n");
	return NULL;
}

/* "raw_exec,mock_driver": what is detected, with a word about what is not healthy. */
static const char *drivers_of(const struct node *n, struct buf *out)
{
	uint32_t i;

	for (i = 0; i < n->drivers.n; i++) {
		const struct driver_info *d = &n->drivers.at[i];

		if (d->detected) {
			buf_printf(out, "%s%s%s", out->len > 0 ? "," : "", n->drivers.keys[i],
				   d->healthy ? "" : " (unhealthy)");
		}
	}
	return buf_text(out);
}

static void show_node(struct arena *mem, const struct node *n, bool verbose)
{
	struct table t = {0};
	struct buf drivers = {0};
	struct buf volumes = {0};
	uint32_t i;

	for (i = 0; i < n->host_volumes.n; i++) {
		buf_printf(&volumes, i > 0 ? ",%s" : "%s", n->host_volumes.keys[i]);
	}
	table_row(&t, "ID", format_id(mem, n->id, verbose));
	table_row(&t, "Name", n->name);
	table_row(&t, "Node Pool", n->node_pool);
	table_row(&t, "Class", n->node_class);
	table_row(&t, "DC", n->datacenter);
	table_row(&t, "Drain", format_bool(n->drain));
	table_row(&t, "Eligibility", n->scheduling_eligibility);
	table_row(&t, "Status", n->status);
	table_row(&t, "Address", n->http_addr);
	table_row(&t, "Host Volumes", buf_text(&volumes));
	table_row(&t, "Driver Status", drivers_of(n, &drivers));
	table_print_pairs(&t, stdout);
	buf_close(&drivers);
	buf_close(&volumes);
}

static void show_node_events(struct arena *mem, const struct node *n)
{
	struct table t = {0};
	uint32_t i;

	printf("\nNode Events\n");
	table_row(&t, "Time", "Subsystem", "Message");
	for (i = n->events.n; i > 0; i--) {
		const struct node_event *e = &n->events.at[i - 1];

		table_row(&t, format_time(mem, e->timestamp), e->subsystem, e->message);
	}
	table_print(&t, stdout);
}

static bool is_over(const struct allocation *a)
{
	return strcmp(a->client_status, "complete") == 0 || strcmp(a->client_status, "failed") == 0 ||
	       strcmp(a->client_status, "lost") == 0;
}

static void show_allocated(struct arena *mem, const struct node *n, const struct allocations *allocs)
{
	const struct node_resources *all = n->node_resources;
	int64_t cpu = 0;
	int64_t memory = 0;
	int64_t disk = 0;
	struct table t = {0};
	uint32_t i;
	uint32_t j;

	for (i = 0; i < allocs->items.n; i++) {
		const struct allocated_resources *r = allocs->items.at[i].allocated_resources;

		if (r == NULL || is_over(&allocs->items.at[i])) {
			continue;
		}
		for (j = 0; j < r->tasks.n; j++) {
			cpu += r->tasks.at[j].cpu != NULL ? r->tasks.at[j].cpu->cpu_shares : 0;
			memory += r->tasks.at[j].memory != NULL ? r->tasks.at[j].memory->memory_mb : 0;
		}
		disk += r->shared != NULL ? r->shared->disk_mb : 0;
	}
	printf("\nAllocated Resources\n");
	table_row(&t, "CPU", "Memory", "Disk");
	table_row(&t,
		  arena_printf(mem, "%lld/%lld MHz", (long long)cpu,
			       all != NULL && all->cpu != NULL ? (long long)all->cpu->cpu_shares : 0LL),
		  arena_printf(mem, "%lld/%lld MiB", (long long)memory,
			       all != NULL && all->memory != NULL ? (long long)all->memory->memory_mb : 0LL),
		  arena_printf(mem, "%lld/%lld MiB", (long long)disk,
			       all != NULL && all->disk != NULL ? (long long)all->disk->disk_mb : 0LL));
	table_print(&t, stdout);
}

static void show_node_allocs(struct arena *mem, const struct allocations *allocs, bool verbose)
{
	struct table t = {0};
	int64_t now = format_now();
	uint32_t i;

	printf("\nAllocations\n");
	if (allocs->items.n == 0) {
		printf("No allocations placed\n");
		return;
	}
	table_row(&t, "ID", "Job ID", "Task Group", "Version", "Desired", "Status", "Created", "Modified");
	for (i = 0; i < allocs->items.n; i++) {
		const struct allocation *a = &allocs->items.at[i];

		table_row(&t, format_id(mem, a->id, verbose), a->job_id, a->task_group,
			  a->job != NULL ? format_int(mem, a->job->version) : "", a->desired_status, a->client_status,
			  format_ago(mem, a->create_time, now), format_ago(mem, a->modify_time, now));
	}
	table_print(&t, stdout);
}

static void show_map(const char *title, const struct map *map)
{
	struct table t = {0};
	uint32_t i;

	printf("\n%s\n", title);
	for (i = 0; i < map->n; i++) {
		table_row(&t, map->at[i].key, map->at[i].value);
	}
	table_print_pairs(&t, stdout);
}

static int show_one_node(struct client *c, const struct args *args, const char *id)
{
	bool verbose = args_has(args, "verbose");
	struct allocations allocs;
	struct node n;

	client_url(c, "/v1/node/%s", id);
	if (!client_read(c, "querying node info", &node_type, &n)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	show_node(c->mem, &n, verbose);
	if (!args_has(args, "short")) {
		show_node_events(c->mem, &n);
	}
	client_url(c, "/v1/node/%s/allocations", id);
	if (!client_read_list(c, "querying node allocations", &allocations_type, &allocs)) {
		return EXIT_ERROR;
	}
	show_allocated(c->mem, &n, &allocs);
	show_node_allocs(c->mem, &allocs, verbose);
	if (verbose) {
		show_map("Attributes", &n.attributes);
		show_map("Meta", &n.meta);
	}
	return EXIT_OK;
}

static int list_nodes(struct client *c, const struct args *args)
{
	struct node_stubs nodes;

	client_url(c, "/v1/nodes");
	if (!client_read_list(c, "querying node status", &node_stubs_type, &nodes)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
	} else {
		show_nodes(c->mem, &nodes, args_has(args, "verbose"));
	}
	return EXIT_OK;
}

static int show_self(struct client *c, const struct args *args)
{
	const char *id = own_node(c);

	return id != NULL ? show_one_node(c, args, id) : EXIT_ERROR;
}

static int run(struct args *args)
{
	return args_has(args, "self") ? act_on_server(args, show_self)
				      : act_status(args, list_nodes, find_node, show_one_node);
}

static const struct flag flags[] = {{"json", NULL, "Print the server's answer."},
				    {"self", NULL, "The node that the agent at the address is."},
				    {"short", NULL, "Leave out the events."},
				    {"verbose", NULL, "Show whole IDs, attributes and metadata."},
				    {NULL, NULL, NULL}};

const struct command command_node_status = {
	.name = "node status",
	.usage = "[options] [NODE]",
	.summary = "Show the status of a node, or list all nodes",
	.details = "A node may be named by the beginning of its ID.",
	.flags = flags,
	.api = true,
	.max = 1,
	.run = run,
};
