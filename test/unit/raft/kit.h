/** A state with its state machine, for tests: commands in, rows out. */
#ifndef TEST_UNIT_RAFT_KIT_H_
#define TEST_UNIT_RAFT_KIT_H_

#include "raft/fsm.h"
#include "raft/persist.h"

struct kit {
	struct state state;
	struct fsm fsm;
	struct arena mem;
	const struct view *v; /* The newest, taken anew after each command. */
	int64_t now;          /* Of the next command; a second more each. */
	uint64_t seeds;
	struct batch batch;
	struct apply_result result; /* Of the last command. */
	struct buf last;            /* The last entry. */
};

#define SECOND INT64_C(1000000000)

void kit_open(struct kit *k);
void kit_close(struct kit *k);

/* Apply one command as an entry, and return its result; the state is checked after it. */
const struct apply_result *kit_apply(struct kit *k, enum command type, const void *payload);

/* Without the check. */
const struct apply_result *kit_quick(struct kit *k, enum command type, const void *payload);

/* Apply bytes as an entry. */
int kit_entry(struct kit *k, const void *entry, size_t len);

/* A job of one group "g" with a task "t"; of type `type`. */
struct job *kit_job(struct kit *k, const char *id, const char *type);

/* From JSON. */
struct job *kit_json(struct kit *k, const char *json);

/* The register command of a job, for changes before it is applied. */
struct job_register *kit_registration(struct kit *k, const struct job *job);
const struct apply_result *kit_register(struct kit *k, const struct job *job);
const struct apply_result *kit_deregister(struct kit *k, const char *id, bool purge);

/* An evaluation as the scheduler returns it: status, and what was queued in group "g" (-1: nothing said). */
struct evaluation *kit_eval(struct kit *k, const struct uuid *id, const char *status, int queued);
const struct apply_result *kit_put_eval(struct kit *k, const struct evaluation *e);

/* A ready node. */
struct uuid kit_node(struct kit *k, const char *name);
const struct apply_result *kit_node_status(struct kit *k, const struct uuid *id, int status);

/* A plan that places `n` allocations of group "g" of the newest version; their IDs go to `ids`. */
struct plan_result *kit_plan(struct kit *k, const char *job, const struct uuid *eval, const struct uuid *node,
                             unsigned n, struct uuid *ids);

/* That, applied. */
const struct apply_result *kit_place(struct kit *k, const char *job, const struct uuid *eval, const struct uuid *node,
                                     unsigned n, struct uuid *ids);
const struct apply_result *kit_report(struct kit *k, const struct uuid *alloc, const char *status);
/* That it runs, with one service of this name and port, tagged "a" and by its name. */
const struct apply_result *kit_serve(struct kit *k, const struct uuid *alloc, const char *name, int64_t port);
const struct apply_result *kit_stop_alloc(struct kit *k, const struct uuid *alloc, const char *why);

/* A deployment of the newest version, one group "g". */
struct uuid kit_deployment(struct kit *k, const char *job, int64_t total, int64_t canaries);

/* Rows of namespace "default". */
const struct job_row *kit_find(const struct kit *k, const char *id);
const uint32_t *kit_counts(const struct kit *k, const char *id); /* Of the first group. */
struct uuid kit_id(struct kit *k);
const char *kit_text(struct kit *k, const struct uuid *id);
unsigned kit_evals(const struct kit *k, const char *job); /* How many, */
const struct eval_row *kit_newest_eval(const struct kit *k, const char *job);

/* Save the state of one and load it in place of another's. */
void kit_save(const struct kit *k, struct buf *out);
int kit_load(struct kit *k, const void *data, size_t len);

/* What the kit's fsm does when a restore is committed. */
void kit_replace(void *ctx, struct state *fresh);

#endif /* TEST_UNIT_RAFT_KIT_H_ */
