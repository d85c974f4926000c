/**
 * Commands that are little more than one request: finding what they are about, sending it, showing what comes back.
 *
 *     static int pause(struct client *c, const struct args *args, const char *id)    what is to be done with it
 *     static int run_pause(struct args *args) { return act_on(args, &act_deployments, pause); }
 */
#ifndef CLI_ACT_H_
#define CLI_ACT_H_

#include "cli/answers.h"
#include "cli/client.h"
#include "cli/command.h"

/* What a command is about: a list in which it is found by the beginning of its ID. */
struct act_kind {
	const char *path;
	const char *word; /* "deployment" */
	bool uuid;
	const struct type *list; /* As lookup_one() takes it. */
};

extern const struct act_kind act_jobs, act_allocs, act_nodes, act_deployments;

/* Open a client, find what the first argument names, do it. Returns the exit code. */
int act_on(struct args *args, const struct act_kind *kind,
	   int (*act)(struct client *c, const struct args *args, const char *id));

/* The same without looking for anything. */
int act_on_server(struct args *args, int (*act)(struct client *c, const struct args *args));

/* The two forms of "... status": without an argument `list`, else `show` what the argument names. `find` returns its ID, or NULL
 * after a word on stderr. */
int act_status(struct args *args, int (*list)(struct client *c, const struct args *args),
	       const char *(*find)(struct client *c, const char *named),
	       int (*show)(struct client *c, const struct args *args, const char *id));

/* Send the body, which it closes, to the client's URL; then follow the evaluation of the answer, if it names one, unless
 * -detach was given: its ID is printed then. With no evaluation, `done` is printed (NULL: nothing). */
int act_send(struct client *c, const struct args *args, const char *doing, const char *method, struct buf *body,
	     const char *done);

/* GET a list and print a table of its elements' fields, each a column; or the answer, with -json. */
int act_show_list(struct client *c, const struct args *args, const char *doing, const struct type *list_type);

/* GET an object and print a line for each field; or the answer, with -json. */
int act_show_object(struct client *c, const struct args *args, const char *doing, const struct type *type);

/* GET and print the answer as it is, indented. */
int act_show_json(struct client *c, const char *doing);

/* "name": "text" of a body. */
void act_put(struct buf *body, const char *name, const char *text);

#define ACT_FLAG_JSON {"json", NULL, "Print the server's answer."}
#define ACT_FLAG_DETACH {"detach", NULL, "Do not follow the evaluation: print its ID and return."}
#define ACT_FLAG_VERBOSE {"verbose", NULL, "Show whole IDs."}
#define ACT_FLAG_END {NULL, NULL, NULL}

#endif /* CLI_ACT_H_ */
