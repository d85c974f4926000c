#include <string.h>

#include "cli/commands.h"
#include "cli/lookup.h"
#include "cli/show.h"

/* The subjects of things that an ID may name, in the order in which they are looked for. */
static const struct subject {
	const char *path;
	const char *text;
	bool uuid;
	const struct type *list;
	const struct command *command;
} subjects[] = {
	{"/v1/jobs", "jobs", false, &job_stubs_type, &command_job_status},
	{"/v1/allocations", "allocations", true, &alloc_stubs_type, &command_alloc_status},
	{"/v1/evaluations", "evaluations", true, &evaluations_type, &command_eval_status},
	{"/v1/nodes", "nodes", true, &node_stubs_type, &command_node_status},
};
enum { N_SUBJECTS = sizeof(subjects) / sizeof(subjects[0]) };

union any_list {
	struct job_stubs jobs;
	struct alloc_stubs allocs;
	struct evaluations evals;
	struct node_stubs nodes;
};

static bool is_hex(const char *text)
{
	return strlen(text) >= 2 && text[strspn(text, "0123456789abcdefABCDEF-")] == '\0';
}

/* The only kind of which something has that ID or begins so; NULL after a word on stderr. */
static const struct subject *find_subject(struct client *c, const char *prefix)
{
	const struct subject *found = NULL;
	union any_list list;
	size_t i;

	for (i = 0; i < N_SUBJECTS; i++) {
		enum lookup rv =
			subjects[i].uuid && !is_hex(prefix)
				? LOOKUP_NONE
				: lookup(c, subjects[i].path, prefix, subjects[i].uuid, subjects[i].list, &list);

		if (rv == LOOKUP_FAILED) {
			return NULL;
		}
		if (rv != LOOKUP_NONE && found != NULL) {
			fprintf(stderr, "Multiple matches found for id \"%s\": %s and %s\n", prefix, found->text,
				subjects[i].text);
			return NULL;
		}
		found = rv != LOOKUP_NONE ? &subjects[i] : found;
	}
	if (found == NULL) {
		fprintf(stderr, "No matches found for id \"%s\"\n", prefix);
	}
	return found;
}

static int run(struct args *args)
{
	struct client c;
	const struct subject *subject;

	if (args->n_rest == 0) {
		return command_job_status.run(args);
	}
	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	subject = find_subject(&c, args->rest[0]);
	client_close(&c);
	return subject != NULL ? subject->command->run(args) : EXIT_ERROR;
}

static const struct flag flags[] = {{"json", NULL, "Print the server's answer."},
				    {"short", NULL, "Leave out details."},
				    {"verbose", NULL, "Show whole IDs, and more."},
				    {NULL, NULL, NULL}};

const struct command command_status = {
	.name = "status",
	.usage = "[options] [ID]",
	.summary = "Show the status of a job, allocation, evaluation or node",
	.details = "What the ID is of is found out. Without one, the jobs are listed.",
	.flags = flags,
	.api = true,
	.max = 1,
	.run = run,
};
