/** Parts of answers that several commands show. */
#ifndef CLI_SHOW_H_
#define CLI_SHOW_H_

#include "cli/answers.h"
#include "cli/client.h"
#include "cli/command.h"

/* Print the last answer as indented JSON. */
void show_json(struct client *c);

/* Why a group could not be placed: one line each, with that indentation. */
void show_metric(FILE *out, const struct alloc_metric *m, unsigned indent);

/* "Task Group "web" (failed to place 2 allocations):" and its reasons, for each group. */
void show_failures(FILE *out, const struct evaluation *eval, unsigned indent);

/* Tables with their headings. */
void show_allocs(struct arena *mem, const struct alloc_stubs *allocs, bool verbose);
void show_evals(struct arena *mem, const struct evaluations *evals, bool verbose);
void show_nodes(struct arena *mem, const struct node_stubs *nodes, bool verbose);
void show_jobs(struct arena *mem, const struct job_stubs *jobs);

#endif /* CLI_SHOW_H_ */
