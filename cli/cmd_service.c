/* Services. */
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/show.h"
#include "cli/table.h"

#define SERVICE_NAMES_FIELDS(X, T)                                                                                     \
	X(T, STR, service_name, "ServiceName")                                                                         \
	X(T, STRS, tags, "Tags")
#define SERVICES_OF_FIELDS(X, T)                                                                                       \
	X(T, STR, namespace_, "Namespace")                                                                             \
	X(T, LIST(service_names), services, "Services")
#define SERVICE_LIST_FIELDS(X, T) X(T, LIST(services_of), items, "Items")
#define REGISTRATIONS_FIELDS(X, T) X(T, LIST(service_registration), items, "Items")

OBJECT_DECLARE(service_names, SERVICE_NAMES_FIELDS);
OBJECT_DECLARE(services_of, SERVICES_OF_FIELDS);
OBJECT_DECLARE(service_list, SERVICE_LIST_FIELDS);
OBJECT_DECLARE(registrations, REGISTRATIONS_FIELDS);
OBJECT_DEFINE(service_names, SERVICE_NAMES_FIELDS);
OBJECT_DEFINE(services_of, SERVICES_OF_FIELDS);
OBJECT_DEFINE(service_list, SERVICE_LIST_FIELDS);
OBJECT_DEFINE(registrations, REGISTRATIONS_FIELDS);

/* "[a,b]" */
static const char *tags_text(struct arena *mem, const struct strs *tags)
{
	struct buf out = {0};
	const char *text;
	uint32_t i;

	buf_byte(&out, '[');
	for (i = 0; i < tags->n; i++) {
		buf_str(&out, i > 0 ? "," : "");
		buf_str(&out, tags->at[i]);
	}
	buf_byte(&out, ']');
	text = arena_strdup(mem, buf_text(&out));
	buf_close(&out);
	return text != NULL ? text : "";
}

/* ---- list ---- */

static void show_list(struct client *c, const struct service_list *all)
{
	bool namespaces = strcmp(c->namespace_, "*") == 0;
	struct table t = {0};
	uint32_t i;
	uint32_t k;

	if (namespaces) {
		table_row(&t, "Service Name", "Namespace", "Tags");
	} else {
		table_row(&t, "Service Name", "Tags");
	}
	for (i = 0; i < all->items.n; i++) {
		const struct services_of *n = &all->items.at[i];

		for (k = 0; k < n->services.n; k++) {
			const struct service_names *s = &n->services.at[k];
			const char *tags = tags_text(c->mem, &s->tags);

			if (namespaces) {
				table_row(&t, s->service_name, n->namespace_, tags);
			} else {
				table_row(&t, s->service_name, tags);
			}
		}
	}
	table_print(&t, stdout);
}

static int list(struct client *c, struct args *args)
{
	struct service_list all;

	client_url(c, "/v1/services");
	if (!client_read_list(c, "listing service registrations", &service_list_type, &all)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
	} else if (all.items.n == 0) {
		printf("No service registrations found\n");
	} else {
		show_list(c, &all);
	}
	return EXIT_OK;
}

/* ---- info ---- */

static const char *address_of(struct arena *mem, const struct service_registration *s)
{
	const char *text = arena_printf(mem, strchr(s->address, ':') != NULL ? "[%s]:%lld" : "%s:%lld", s->address,
					(long long)s->port);

	return text == NULL ? "" : s->port > 0 ? text : s->address;
}

static void show_verbose(struct arena *mem, const struct registrations *all)
{
	uint32_t i;

	for (i = 0; i < all->items.n; i++) {
		const struct service_registration *s = &all->items.at[i];
		struct table t = {0};

		printf("%s", i > 0 ? "\n" : "");
		table_row(&t, "ID", s->id);
		table_row(&t, "Service Name", s->service_name);
		table_row(&t, "Namespace", s->namespace_);
		table_row(&t, "Job ID", s->job_id);
		table_row(&t, "Alloc ID", s->alloc_id);
		table_row(&t, "Node ID", s->node_id);
		table_row(&t, "Datacenter", s->datacenter);
		table_row(&t, "Address", address_of(mem, s));
		table_row(&t, "Tags", tags_text(mem, &s->tags));
		table_print_pairs(&t, stdout);
	}
}

static void show_info(struct arena *mem, const struct registrations *all)
{
	struct table t = {0};
	uint32_t i;

	table_row(&t, "Job ID", "Address", "Tags", "Node ID", "Alloc ID");
	for (i = 0; i < all->items.n; i++) {
		const struct service_registration *s = &all->items.at[i];

		table_row(&t, s->job_id, address_of(mem, s), tags_text(mem, &s->tags),
			  format_id(mem, s->node_id, false), format_id(mem, s->alloc_id, false));
	}
	table_print(&t, stdout);
}

static int info(struct client *c, struct args *args)
{
	const char *filter = args_get(args, "filter", NULL);
	struct registrations all;

	client_url(c, "/v1/service/%s", client_escape(c, args->rest[0]));
	if (filter != NULL) {
		client_param(c, "filter", filter);
	}
	if (!client_read_list(c, "listing service registrations", &registrations_type, &all)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
	} else if (all.items.n == 0) {
		printf("No service registrations found\n");
	} else if (args_has(args, "verbose")) {
		show_verbose(c->mem, &all);
	} else {
		show_info(c->mem, &all);
	}
	return EXIT_OK;
}

/* ---- delete ---- */

static int delete (struct client *c, struct args *args)
{
	client_url(c, "/v1/service/%s/%s", client_escape(c, args->rest[0]), client_escape(c, args->rest[1]));
	if (!client_ok(c, "deleting service registration", "DELETE", NULL, 0)) {
		return EXIT_ERROR;
	}
	printf("Successfully deleted service registration\n");
	return EXIT_OK;
}

CLIENT_RUN(list)
CLIENT_RUN(info)
CLIENT_RUN(delete)

static const struct flag list_flags[] = {{"json", NULL, "Print the server's answer."}, {NULL, NULL, NULL}};

const struct command command_service_list = {
	.name = "service list",
	.usage = "[options]",
	.summary = "List registered services by their names",
	.flags = list_flags,
	.api = true,
	.run = run_list,
};

static const struct flag info_flags[] = {{"filter", "expression", "Only those for which it holds."},
					 {"json", NULL, "Print the server's answer."},
					 {"verbose", NULL, "Show all of each."},
					 {NULL, NULL, NULL}};

const struct command command_service_info = {
	.name = "service info",
	.usage = "[options] SERVICE",
	.summary = "Show where a service can be reached",
	.flags = info_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_info,
};

const struct command command_service_delete = {
	.name = "service delete",
	.usage = "[options] SERVICE ID",
	.summary = "Take a service off the list, though its allocation runs",
	.api = true,
	.min = 2,
	.max = 2,
	.run = run_delete,
};
