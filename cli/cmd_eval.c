#include "cli/act.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/lookup.h"
#include "cli/monitor.h"
#include "cli/show.h"
#include "cli/table.h"

static const char *find_eval(struct client *c, const char *prefix)
{
	struct evaluations evals;
	const char *id = lookup_one(c, "/v1/evaluations", "evaluation", prefix, true, &evaluations_type, &evals);

	if (id == NULL && evals.items.n > 1) {
		show_evals(c->mem, &evals, true);
	}
	return id;
}

static void show_eval(struct arena *mem, const struct evaluation *e, bool verbose)
{
	struct table t = {0};

	table_row(&t, "ID", format_id(mem, e->id, verbose));
	table_row(&t, "Create Time", format_time(mem, e->create_time));
	table_row(&t, "Modify Time", format_time(mem, e->modify_time));
	table_row(&t, "Status", e->status);
	table_row(&t, "Status Description", e->status_description[0] != '\0' ? e->status_description : e->status);
	table_row(&t, "Type", e->type);
	table_row(&t, "TriggeredBy", e->triggered_by);
	table_row(&t, "Job ID", e->job_id);
	table_row(&t, "Namespace", e->namespace_);
	if (e->node_id[0] != '\0') {
		table_row(&t, "Node ID", format_id(mem, e->node_id, verbose));
	}
	table_row(&t, "Priority", format_int(mem, e->priority));
	table_row(&t, "Placement Failures", format_bool(e->failed_tg_allocs.n > 0));
	if (verbose) {
		table_row(&t, "Previous Eval", e->previous_eval);
		table_row(&t, "Next Eval", e->next_eval);
		table_row(&t, "Blocked Eval", e->blocked_eval);
	}
	table_print_pairs(&t, stdout);
}

static int show_one_eval(struct client *c, const struct args *args, const char *id)
{
	bool verbose = args_has(args, "verbose");
	struct alloc_stubs allocs;
	struct evaluation e;

	if (args_has(args, "monitor")) {
		return monitor_eval(c, id, verbose);
	}
	client_url(c, "/v1/evaluation/%s", id);
	if (!client_read(c, "querying evaluation", &evaluation_type, &e)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	show_eval(c->mem, &e, verbose);
	if (e.failed_tg_allocs.n > 0) {
		printf("\n==> Failed Placements\n");
		show_failures(stdout, &e, 0);
	}
	if (e.blocked_eval[0] != '\0') {
		printf("\nEvaluation \"%s\" waiting for additional capacity to place remainder\n",
		       format_id(c->mem, e.blocked_eval, verbose));
	}
	client_url(c, "/v1/evaluation/%s/allocations", id);
	if (!client_read_list(c, "querying allocations", &alloc_stubs_type, &allocs)) {
		return EXIT_ERROR;
	}
	if (allocs.items.n > 0) {
		printf("\nAllocations\n");
		show_allocs(c->mem, &allocs, verbose);
	}
	return EXIT_OK;
}

static int list_evals(struct client *c, const struct args *args)
{
	struct evaluations evals;

	client_url(c, "/v1/evaluations");
	if (!client_read_list(c, "querying evaluations", &evaluations_type, &evals)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
	} else {
		show_evals(c->mem, &evals, args_has(args, "verbose"));
	}
	return EXIT_OK;
}

static int run(struct args *args)
{
	return act_status(args, list_evals, find_eval, show_one_eval);
}

static const struct flag flags[] = {{"json", NULL, "Print the server's answer."},
				    {"monitor", NULL, "Follow the evaluation to its end."},
				    {"verbose", NULL, "Show whole IDs, and the evaluations around it."},
				    {NULL, NULL, NULL}};

const struct command command_eval_status = {
	.name = "eval status",
	.usage = "[options] [EVALUATION]",
	.summary = "Show an evaluation and why it could not place something",
	.details = "An evaluation may be named by the beginning of its ID; without one, all are listed.",
	.flags = flags,
	.api = true,
	.max = 1,
	.run = run,
};
