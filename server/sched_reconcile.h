/**
 * What must change so that a service or batch job is as it should be.
 *
 * Every allocation of the job that is not history becomes a member of its group, with a standing (what it is) and in
 * the end a fate (what is done with it). What is missing then, or replaces others, becomes a list of places. No node is
 * chosen here, and nothing is written.
 */
#ifndef SERVER_SCHED_RECONCILE_H_
#define SERVER_SCHED_RECONCILE_H_

#include "proto/deployment.h"
#include "raft/state.h"
#include "server/sched_names.h"
#include "server/sched_nodes.h"
#include "server/sched_update.h"

/* The job at the version that is wanted. */
struct sched_job {
	struct job *job;
	const struct job_row *row; /* In the state; NULL for a dry run of a new job. */
	uint64_t version;
	uint64_t create_index;
	bool stopped; /* Nothing of it shall run. */
	bool batch;
};

#define STANDING_LIST(X)                                                                                               \
	X(GONE) /* History: it neither runs nor counts. */                                                             \
	X(DONE) /* Of a batch job, ended well: its index is taken for good. */                                         \
	X(ALIVE)                                                                                                       \
	X(FAILED)    /* It counts, though it has failed: policy allows no other. */                                    \
	X(WAITING)   /* It has failed, or its node is away, and will be replaced later. */                             \
	X(RETRY)     /* It has failed and is to be replaced now. */                                                    \
	X(MIGRATING) /* It shall go elsewhere. */                                                                      \
	X(LOST)      /* Its node is down or gone. */                                                                   \
	X(CUT_OFF)   /* Its node has been lost sight of. */                                                            \
	X(UNKNOWN)   /* The same, as we noted before. */                                                               \
	X(PARKED)    /* The same, and it waits there without being replaced. */                                        \
	X(RETURNED)  /* It was, and has been replaced; now it is there again. */

enum standing {
#define X(id) STANDING_##id,
	STANDING_LIST(X)
#undef X
};

#define FATE_LIST(X)                                                                                                   \
	X(KEEP, "")                                                                                                    \
	X(STOP, "alloc not needed due to job update")                                                                  \
	X(STOP_RECONNECT, "alloc not needed due to disconnected client reconnect")                                     \
	X(LOST, "alloc is lost since its node is down")                                                                \
	X(MIGRATE, "alloc is being migrated")                                                                          \
	X(RETRY, "alloc was rescheduled because it failed")                                                            \
	X(REPLACE, "alloc is being updated due to job update")                                                         \
	X(IN_PLACE, "")                                                                                                \
	X(UNKNOWN, "alloc is unknown since its node is disconnected")                                                  \
	X(PARK, "alloc is unknown since its node is disconnected")                                                     \
	X(LATER, "")

enum fate {
#define X(id, text) FATE_##id,
	FATE_LIST(X)
#undef X
};

const char *fate_text(enum fate fate);

struct member {
	const struct alloc_row *row;
	uint32_t index;       /* In its name. */
	uint8_t standing;     /* enum standing */
	uint8_t fate;         /* enum fate */
	uint8_t kind;         /* enum update_kind: how its version differs from the job's, */
	uint8_t update;       /* and what follows from that for it now. */
	bool canary;          /* Of the deployment under way, not promoted. */
	bool replaced;        /* A place takes over from it. */
	int64_t when_ns;      /* WAITING, CUT_OFF, UNKNOWN: when it is to be looked at again. */
	int64_t delay_ns;     /* RETRY: what its policy asked for. */
	struct uuid followup; /* The evaluation that will do so, when one is made. */
};

/* One allocation to be placed; or `n` new ones, which take the next free indexes: a job may ask for any number, and
 * memory is taken only for as many as find room. */
struct place {
	int64_t n;
	uint32_t index; /* Of a single one that is not `fresh`. */
	bool fresh;
	const struct member *previous; /* That it replaces; NULL: none. */
	bool stops;                    /* The previous one is stopped only if this is placed. */
	bool canary;
	const struct job_row *version; /* NULL: the job's. An older one keeps things as they are while canaries run. */
};

struct group_plan {
	const char *name;
	const struct task_group *group; /* NULL: the job has it no longer. */
	struct member *members;
	uint32_t n_members;
	uint32_t members_cap;
	struct place *places;
	uint32_t n_places;
	uint32_t places_cap;
	struct names names; /* Indexes in use. */
	bool deploys;                  /* Places and updates belong to the deployment. */
	struct deployment_group state; /* In it. */
	struct desired_updates desired;
};

struct followup {
	struct uuid id;
	int64_t when_ns;
	enum eval_trigger trigger;
	const char *description;
};

struct reconcile_input {
	const struct view *view;
	const struct nodes *nodes;
	const struct sched_job *job;
	struct uuid eval;
	int priority; /* Of the evaluation. */
	int64_t now_ns;
	struct uuid seed; /* IDs derive from it. */
	uint64_t *ids;    /* How many did. */
	/* Whether the new version of a group may go on where an allocation runs: constraints and datacenters. */
	bool (*may_stay)(void *ctx, const struct group_plan *group, const struct alloc_row *row);
	void *ctx;
	struct arena *mem;
};

struct reconcile {
	struct group_plan *groups; /* The job's in their order, then those it has no longer. */
	uint32_t n_groups;
	uint32_t groups_cap;
	struct deployment *deployment; /* To be made, or brought up to date; NULL: nothing to say. */
	struct uuid deployment_id;     /* Of the one that places belong to; zero: none. */
	bool new_deployment;
	struct uuid ended; /* A deployment that ends because of what the job is now; zero: none. */
	const char *ended_why;
	struct followup *followups;
	uint32_t n_followups;
	uint32_t followups_cap;
};

/* ERR_CORRUPT: a row does not decode. All memory is `in->mem`, and of rows. */
int reconcile(const struct reconcile_input *in, struct reconcile *out);

#endif /* SERVER_SCHED_RECONCILE_H_ */
