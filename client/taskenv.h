/**
 * The environment of a task, and the ${...} references that a specification may hold.
 *
 * A reference names a variable of the task (${NOMAD_PORT_http}, ${FOO} or ${env["FOO"]}) or a fact about the node
 * (${node.unique.id}, ${attr.kernel.name}, ${meta.rack}). One that names neither stays as it is written.
 */
#ifndef CLIENT_TASKENV_H_
#define CLIENT_TASKENV_H_

#include "lib/arena.h"
#include "lib/buf.h"
#include "proto/node.h"

/* The node's variables: made once, shared by the environments of all tasks. */
int node_vars_make(const struct node *node, const char *region, struct map *out, struct arena *mem);

struct task_env_args {
	const struct allocation *alloc; /* With its job. */
	const struct task_group *group;
	const struct task *task;
	const struct map *node_vars;
	const char *datacenter; /* The node's. */
	const char *region;
	/* Paths as the task sees them. */
	const char *alloc_dir, *task_dir, *secrets_dir;
	const struct map *more; /* From templates; wins over all others. NULL for none. */
};

/* All strings live in the arena given, or in what the arguments point to. */
struct task_env {
	struct map vars;
	const struct map *node_vars;
};

/* 0 or ERR_NOMEM. */
int task_env_make(const struct task_env_args *args, struct task_env *out, struct arena *mem);

/* The text with its references replaced; the text itself when it has none, NULL when memory is exhausted. */
const char *task_env_replace(const struct task_env *env, const char *text, struct arena *mem);

/* The same for all strings within a JSON text, which is valid and stays so. */
const char *task_env_replace_json(const struct task_env *env, const char *json, struct arena *mem);

/* "KEY=value" for each variable, closed by a NULL that is not counted: 0 or ERR_NOMEM. */
int task_env_list(const struct task_env *env, const char *const **out, uint32_t *n, struct arena *mem);

/* The variable, or NULL. */
const char *task_env_get(const struct task_env *env, const char *name);

#endif /* CLIENT_TASKENV_H_ */
