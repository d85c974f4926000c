#include "cli/show.h"

#include <string.h>

#include "cli/format.h"
#include "cli/table.h"

void show_json(struct client *c)
{
	struct buf out = {0};

	json_pretty(buf_text(&c->body), c->body.len, &out);
	fputs(buf_text(&out), stdout);
	buf_close(&out);
}

/* ---- placements ---- */

static void put_counts(FILE *out, const struct intmap *counts, unsigned indent, const char *format)
{
	uint32_t i;

	for (i = 0; i < counts->n; i++) {
		fprintf(out, "%*s* ", (int)indent, "");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		fprintf(out, format, counts->at[i].key, (long long)counts->at[i].value);
#pragma GCC diagnostic pop
		fputc('\n', out);
	}
}

void show_metric(FILE *out, const struct alloc_metric *m, unsigned indent)
{
	uint32_t i;

	if (m->nodes_evaluated == 0) {
		fprintf(out, "%*s* No nodes were eligible for evaluation\n", (int)indent, "");
	}
	for (i = 0; i < m->nodes_available.n; i++) {
		if (m->nodes_available.at[i].value == 0) {
			fprintf(out, "%*s* No nodes are available in datacenter \"%s\"\n", (int)indent, "",
				m->nodes_available.at[i].key);
		}
	}
	put_counts(out, &m->class_filtered, indent, "Class \"%s\": %lld nodes excluded by filter");
	put_counts(out, &m->constraint_filtered, indent, "Constraint \"%s\": %lld nodes excluded by filter");
	if (m->nodes_exhausted > 0) {
		fprintf(out, "%*s* Resources exhausted on %lld nodes\n", (int)indent, "",
			(long long)m->nodes_exhausted);
	}
	put_counts(out, &m->class_exhausted, indent, "Class \"%s\" exhausted on %lld nodes");
	put_counts(out, &m->dimension_exhausted, indent, "Dimension \"%s\" exhausted on %lld nodes");
	for (i = 0; i < m->quota_exhausted.n; i++) {
		fprintf(out, "%*s* Quota limit hit \"%s\"\n", (int)indent, "", m->quota_exhausted.at[i]);
	}
}

void show_failures(FILE *out, const struct evaluation *eval, unsigned indent)
{
	uint32_t i;

	for (i = 0; i < eval->failed_tg_allocs.n; i++) {
		const struct alloc_metric *m = &eval->failed_tg_allocs.at[i];
		long long n = (long long)m->coalesced_failures + 1;

		fprintf(out, "%*sTask Group \"%s\" (failed to place %lld allocation%s):\n", (int)indent, "",
			eval->failed_tg_allocs.keys[i], n, n == 1 ? "" : "s");
		show_metric(out, m, indent + 2);
	}
}

/* ---- lists ---- */

void show_allocs(struct arena *mem, const struct alloc_stubs *allocs, bool verbose)
{
	struct table t = {0};
	int64_t now = format_now();
	uint32_t i;

	if (allocs->items.n == 0) {
		printf("No allocations placed\n");
		return;
	}
	table_row(&t, "ID", "Node ID", "Task Group", "Version", "Desired", "Status", "Created", "Modified");
	for (i = 0; i < allocs->items.n; i++) {
		const struct alloc_stub *a = &allocs->items.at[i];

		table_row(&t, format_id(mem, a->id, verbose), format_id(mem, a->node_id, verbose), a->task_group,
			  format_int(mem, a->job_version), a->desired_status, a->client_status,
			  verbose ? format_time(mem, a->create_time) : format_ago(mem, a->create_time, now),
			  verbose ? format_time(mem, a->modify_time) : format_ago(mem, a->modify_time, now));
	}
	table_print(&t, stdout);
}

static const char *placement_failures(const struct evaluation *eval)
{
	return strcmp(eval->status, "blocked") == 0 ? "N/A - In Progress" : format_bool(eval->failed_tg_allocs.n > 0);
}

void show_evals(struct arena *mem, const struct evaluations *evals, bool verbose)
{
	struct table t = {0};
	uint32_t i;

	table_row(&t, "ID", "Priority", "Triggered By", "Job ID", "Namespace", "Status", "Placement Failures");
	for (i = 0; i < evals->items.n; i++) {
		const struct evaluation *e = &evals->items.at[i];

		table_row(&t, format_id(mem, e->id, verbose), format_int(mem, e->priority), e->triggered_by, e->job_id,
			  e->namespace_, e->status, placement_failures(e));
	}
	table_print(&t, stdout);
}

void show_nodes(struct arena *mem, const struct node_stubs *nodes, bool verbose)
{
	struct table t = {0};
	uint32_t i;

	if (nodes->items.n == 0) {
		printf("No nodes registered\n");
		return;
	}
	if (verbose) {
		table_row(&t, "ID", "Node Pool", "DC", "Name", "Class", "Address", "Version", "Drain", "Eligibility",
			  "Status");
	} else {
		table_row(&t, "ID", "Node Pool", "DC", "Name", "Class", "Drain", "Eligibility", "Status");
	}
	for (i = 0; i < nodes->items.n; i++) {
		const struct node_stub *n = &nodes->items.at[i];
		const char *id = format_id(mem, n->id, verbose);

		if (verbose) {
			table_row(&t, id, n->node_pool, n->datacenter, n->name, n->node_class, n->address, n->version,
				  format_bool(n->drain), n->scheduling_eligibility, n->status);
		} else {
			table_row(&t, id, n->node_pool, n->datacenter, n->name, n->node_class, format_bool(n->drain),
				  n->scheduling_eligibility, n->status);
		}
	}
	table_print(&t, stdout);
}

static const char *type_of_job(struct arena *mem, const struct job_stub *j)
{
	const char *text = j->type;

	if (j->periodic || j->parameterized) {
		text = arena_printf(mem, "%s/%s", j->type, j->periodic ? "periodic" : "parameterized");
	}
	return text != NULL ? text : j->type;
}

static const char *shown_status(struct arena *mem, const char *status, bool stop)
{
	const char *text = stop ? arena_printf(mem, "%s (stopped)", status) : status;

	return text != NULL ? text : status;
}

void show_jobs(struct arena *mem, const struct job_stubs *jobs)
{
	struct table t = {0};
	uint32_t i;

	if (jobs->items.n == 0) {
		printf("No running jobs\n");
		return;
	}
	table_row(&t, "ID", "Type", "Priority", "Status", "Submit Date");
	for (i = 0; i < jobs->items.n; i++) {
		const struct job_stub *j = &jobs->items.at[i];

		table_row(&t, j->id, type_of_job(mem, j), format_int(mem, j->priority),
			  shown_status(mem, j->status, j->stop), format_time(mem, j->submit_time));
	}
	table_print(&t, stdout);
}
