/**
 * Which nodes a task group can run on at all: constraints, drivers, volumes, devices, networks.
 *
 * What a group asks for is compiled once for an evaluation to a list of checks, each a question about a node's facts.
 * Nodes of one class are alike in all facts but the unique ones, so checks of others are made once for a class. How
 * much room a node has is no matter here.
 */
#ifndef SERVER_SCHED_FEASIBLE_H_
#define SERVER_SCHED_FEASIBLE_H_

#include "proto/regfind.h"
#include "server/sched_nodes.h"

/* One side of a constraint: a literal, or a fact of the node. */
struct operand {
	const char *text; /* Literal; NULL: a fact. */
	uint32_t key;     /* INTERN_NONE: no node has it. */
};

struct check;
typedef bool (*check_fn)(const struct check *c, const struct nodes *nodes, uint32_t slot);

struct check {
	check_fn holds;
	const char *text; /* The reason in metrics when it does not hold. */
	bool unique;      /* Nodes of a class may differ in it. */
	struct operand left;
	struct operand right;
	/* What the operator made of the right side, when that is a literal. */
	struct regfind *regex;
	uint32_t n; /* How many. */
};

struct checks {
	struct check *at;
	uint32_t n;
	uint32_t cap;
};

struct affine {
	struct check check;
	double weight;
};

/* distinct_property: at most `limit` allocations for each value of a fact. */
struct distinct {
	uint32_t key;
	int64_t limit;
	bool whole_job;     /* Counts allocations of all groups. */
	const char *target; /* As written: "${meta.rack}". */
};

/* What nodes the job may use: by datacenter and pool. */
struct scope {
	const struct nodes *nodes;
	const struct job *job;
	uint32_t pool; /* Interned; INTERN_NONE: all of them, unless `no_pool`. */
	bool no_pool;
	struct {
		uint32_t name;
		bool in;
	} memo[16]; /* Of datacenters seen. */
	uint32_t n_memo;
};

enum verdict {
	CLASS_UNKNOWN,
	CLASS_FEASIBLE,
	CLASS_INFEASIBLE,
};

struct class_verdict {
	uint8_t verdict; /* enum verdict */
	uint32_t check;  /* That does not hold. */
};

struct feasible {
	const struct nodes *nodes;
	struct checks of_class;
	struct checks of_node;
	struct class_verdict *classes; /* By class. */
	struct affine *affinities;
	uint32_t n_affinities;
	double affinity_weight; /* The sum of their amounts. */
	struct distinct *distincts;
	uint32_t n_distincts;
	bool distinct_hosts_job;
	bool distinct_hosts_group;
	bool escapes; /* Some check is about a unique fact. */
};

void scope_open(struct scope *s, const struct nodes *nodes, const struct job *job);

/* Whether a node is in one of the job's datacenters and its pool. */
bool scope_has(struct scope *s, uint32_t slot);
bool scope_pool_has(const struct scope *s, uint32_t slot);

/* The same of all nodes of a class. */
bool scope_has_class(struct scope *s, const struct node_class *class_);

/* Compile for one group. Keys that no node has are not interned. `mem` outlives it. */
void feasible_open(struct feasible *f, const struct nodes *nodes, const struct job *job, const struct task_group *group,
		   struct arena *mem);

/* NULL when the group can run there, or else the reason. */
const char *feasible_why_not(struct feasible *f, uint32_t slot);

/* -1 to 1: how many of the weighted wishes the node fulfils. */
double feasible_affinity(const struct feasible *f, uint32_t slot);

/* The fact that "${attr.x}" names; INTERN_NONE when no node has it, or when it names none. */
uint32_t target_key(const struct nodes *nodes, const char *target);

#endif /* SERVER_SCHED_FEASIBLE_H_ */
