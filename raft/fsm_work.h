/**
 * What the files of the state machine share: the command at work, its result, and the helpers by which one happening
 * changes rows of several tables.
 *
 *     fsm.c             entries, commands, results, what is done at the end of each
 *     fsm_job.c         registering, stopping, versions, status
 *     fsm_summary.c     counts by group, and a job's status, which follows from them
 *     fsm_eval.c        evaluations          fsm_node.c          nodes
 *     fsm_alloc.c       allocations          fsm_plan.c          what schedulers decided
 *     fsm_deployment.c  deployments          fsm_config.c        the small tables
 *     fsm_restore.c     another state in place of this one
 *     fsm_service.c     services           fsm_variable.c      variables, their locks, root keys
 *     fsm_acl.c         policies, tokens, roles
 *
 * All checks of a command come before its first change: a refused command changes nothing.
 */
#ifndef RAFT_FSM_WORK_H_
#define RAFT_FSM_WORK_H_

#include "proto/error.h"
#include "raft/fsm.h"
#include "raft/spec.h"
#include "raft/writer.h"

enum { VERSIONS_KEPT = 6, SCALING_EVENTS_MAX = 20 };

struct fsm_work {
	struct writer w;
	struct arena mem; /* Until the entry has been applied. */
	struct buf pack;  /* For encoding, one object at a time. */
	const struct command_in *command;
	struct apply_result *result;
	uint64_t ids;     /* Derived by this command, */
	uint64_t serials; /* and serials. */
	struct {
		struct summary_row **at; /* Whose jobs' status may have changed by this command. */
		unsigned n, cap;
	} touched;
	bool may_replace;
	struct state *fresh; /* What takes the state's place when this command is done; NULL: nothing. */
	struct {
		struct uuid id;
		struct deployment *object; /* Decoded, being edited; NULL: none. */
		bool dirty;
	} deployment;
};

#define X(id, payload) void fsm_##id(struct fsm_work *f, const struct payload *p);
COMMAND_LIST(X)
#undef X

static inline const struct view *view_of(const struct fsm_work *f)
{
	return writer_view(&f->w);
}

static inline uint64_t index_of(const struct fsm_work *f)
{
	return writer_index(&f->w);
}

static inline int64_t now_of(const struct fsm_work *f)
{
	return f->command->now_ns;
}

/* Refuse the command. */
void fsm_fail(struct fsm_work *f, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The next ID that this command makes, and the next serial, in the form of keys. */
struct uuid fsm_id(struct fsm_work *f);
void fsm_serial(struct fsm_work *f, uint8_t serial[8]);

/* A time and a duration, whatever a payload says: at most the end of time. */
static inline int64_t fsm_later(int64_t time_ns, int64_t duration_ns)
{
	int64_t sum;

	return __builtin_add_overflow(time_ns, duration_ns, &sum) ? INT64_MAX : sum;
}

/* Memory until the entry has been applied. */
void *fsm_scratch(struct fsm_work *f, size_t size);

/* All rows of an iteration, to be looked at while the state changes. */
const struct row **fsm_collect(struct fsm_work *f, struct rows *r, size_t *n);

/* An object in packed form; NULL when it is all zero. */
struct blob *fsm_pack(struct fsm_work *f, const struct type *t, const void *object);

/* A stored object; all zero for NULL. Ends the process when it cannot be decoded: the state is damaged. */
void fsm_unpack(struct fsm_work *f, const struct type *t, const struct blob *blob, void *out);

/* The same of bytes that came from outside: false, and all zero, when they cannot be decoded. */
bool fsm_unpack_foreign(struct fsm_work *f, const struct type *t, const struct blob *blob, void *out);

/* ---- jobs: fsm_job.c ---- */

/* Make the content of `spec` (whose reference is taken) the newest version of a job that is there. */
const struct job_row *fsm_job_update(struct fsm_work *f, const struct job_row *job, struct blob *spec, unsigned flags,
                                     int64_t versions_kept);

/* Register the content of an older version anew, if it differs. Returns the newest version. */
const struct job_row *fsm_job_revert(struct fsm_work *f, const struct job_row *job, const struct job_row *to,
                                     int64_t versions_kept);

void fsm_job_set_status(struct fsm_work *f, const struct job_row *job, enum job_status status);
void fsm_job_set_stable(struct fsm_work *f, const struct job_row *job, bool stable);

/* Remove a job and all that belongs to it. */
void fsm_job_remove(struct fsm_work *f, const struct job_row *job);

/* ---- summaries: fsm_summary.c ---- */

void fsm_summary_make(struct fsm_work *f, const struct job_row *job);

/* Add the groups of `job` that are not there yet. */
void fsm_summary_groups(struct fsm_work *f, const struct job_row *job);

/* Begin to edit the summary of a job; NULL when it has none. */
struct summary_row *fsm_summary_begin(struct fsm_work *f, const char *ns, const char *id);

/* `visible`: something of the API's object has changed. The job's status will be looked at. */
void fsm_summary_end(struct fsm_work *f, struct summary_row *s, bool visible);

/* The counts of a group, or NULL. */
uint32_t *fsm_summary_group(struct summary_row *s, const char *group);

/* A child of the job has changed its status; -1: it is new, or gone. */
void fsm_summary_child(struct fsm_work *f, const char *ns, const char *parent, int old, int now);

/* Give every job whose summary was touched the status that follows. */
void fsm_settle(struct fsm_work *f);

/* ---- evaluations: fsm_eval.c ---- */

struct new_eval {
	const char *ns;
	const char *job;
	unsigned type;
	int64_t priority;
	unsigned trigger;
	uint64_t job_modify_index;
	const struct node_row *node; /* Or NULL. */
	const struct uuid *deployment; /* Or NULL. */
};

/* Make a pending evaluation, and tell of the command's first one in its result. */
void fsm_eval_make(struct fsm_work *f, const struct new_eval *e);

/* For this job; priority 0 is the job's own. */
void fsm_eval_for(struct fsm_work *f, const struct job_row *job, unsigned trigger, int64_t priority);

/* For each job that has live allocations among these rows, once, and for all system jobs. */
void fsm_eval_node(struct fsm_work *f, const struct node_row *node, bool system_jobs);

/* Whether these can be put; and put them. */
bool fsm_evals_valid(const struct evaluation *evals, uint32_t n);
void fsm_evals_put(struct fsm_work *f, const struct evaluation *evals, uint32_t n);

void fsm_eval_remove(struct fsm_work *f, const struct eval_row *row);

/* Which jobs were seen already, by their create_index. */
struct job_set {
	uint64_t *at; /* Zeros are free; `cap` is a power of two. */
	size_t n, cap;
};

/* True the first time. */
bool fsm_job_set_add(struct fsm_work *f, struct job_set *set, uint64_t create_index);

/* ---- allocations: fsm_alloc.c ---- */

/* An allocation while it is edited: the end brings its job's summary along. */
struct alloc_edit {
	struct alloc_row *row;
	uint8_t client;
	bool live;
};

void fsm_alloc_begin(struct fsm_work *f, struct alloc_edit *e, const struct alloc_row *row);
void fsm_alloc_end(struct fsm_work *f, struct alloc_edit *e);

/* Add the client status that it has now to the states that the API tells of: those that servers set, and their end. */
void fsm_alloc_note_state(struct fsm_work *f, struct alloc_row *row);

/* Flags alone. One that is being stopped already is told to its client anew when its delay is to be cut short. */
void fsm_alloc_set_flags(struct fsm_work *f, const struct alloc_row *alloc, uint32_t flags);

/* Count a step of one allocation in a summary being edited; clients are enum alloc_client or -1. */
void fsm_alloc_count(struct summary_row *s, const char *group, int old, int now);

void fsm_alloc_remove(struct fsm_work *f, const struct alloc_row *row);

/* The servers' part: decode, change, encode. */
void fsm_alloc_server_get(struct fsm_work *f, const struct alloc_row *row, struct alloc_server *out);
void fsm_alloc_server_set(struct fsm_work *f, struct alloc_row *row, const struct alloc_server *server);

/* Set the health, and count it in the deployment. */
void fsm_alloc_set_health(struct fsm_work *f, struct alloc_row *row, bool healthy, int64_t time_ns);

/* ---- services: fsm_service.c ---- */

/* The services of an allocation as its client tells them, all of them; and whether they are so already. */
void fsm_services_set(struct fsm_work *f, const struct alloc_row *alloc, const struct service_registration *at,
		      uint32_t n);
bool fsm_services_same(struct fsm_work *f, const struct alloc_row *alloc, const struct service_registration *at,
		       uint32_t n);

void fsm_services_remove(struct fsm_work *f, const struct uuid *alloc);

/* ---- deployments: fsm_deployment.c ---- */

/* The object of a deployment, for editing until the next one is opened or the command ends; NULL: there is none. */
struct deployment *fsm_deployment_open(struct fsm_work *f, const struct uuid *id);
void fsm_deployment_touch(struct fsm_work *f);
void fsm_deployment_flush(struct fsm_work *f);
struct deployment_group *fsm_deployment_group(struct deployment *d, const char *name);

/* A new deployment, or new totals of one that is there. False: it makes no sense. */
bool fsm_deployment_valid(const struct deployment *d);
void fsm_deployment_put(struct fsm_work *f, const struct deployment *d);
void fsm_deployment_set_status(struct fsm_work *f, const struct uuid *id, unsigned status, const char *description);
void fsm_deployment_remove(struct fsm_work *f, const struct deployment_row *row);

/* An allocation was placed for a deployment. */
void fsm_deployment_placed(struct fsm_work *f, const struct alloc_row *row);

/* ---- the small tables: fsm_config.c ---- */

/* Put an object under a key. With the bytes that are there nothing changes, and false is returned. */
bool fsm_object_put(struct fsm_work *f, enum table table, const struct key *key, const struct type *t,
		    const void *object);
bool fsm_object_remove(struct fsm_work *f, enum table table, const struct key *key);

/* Remove all objects whose key begins so. */
void fsm_objects_remove(struct fsm_work *f, enum table table, const struct key *prefix);

void fsm_launch_put(struct fsm_work *f, const char *ns, const char *id, int64_t launch_ns);
void fsm_pool_make(struct fsm_work *f, const char *name, const char *description);

/* What a new cluster begins with. */
void fsm_bootstrap(struct fsm_work *f);

#endif /* RAFT_FSM_WORK_H_ */
