/**
 * Periodic jobs: launches of their children.
 *
 * A periodic job that is enabled and not stopped is launched whenever its cron expressions say so: a child of its
 * content is registered under the name PARENT/periodic-SECONDS, and the same command records the launch, so that no
 * leader launches twice. What should have happened while there was no leader, or none had the time, happens once, late.
 * With ProhibitOverlap a launch is left out while a child is not dead.
 */
#ifndef SERVER_PERIODIC_H_
#define SERVER_PERIODIC_H_

#include "lib/hash.h"
#include "lib/heap.h"
#include "lib/list.h"
#include "server/part.h"

struct periodic_job {
	struct hash_link by_key;
	struct heap_link by_time; /* While its next launch is known, and none is under way. */
	struct list fresh;        /* While its next launch is to be found out. */
	struct uuid ref;
	uint64_t job_modify_index; /* Of what was looked at last. */
	int64_t next_s;            /* Unix time. */
	int64_t floor_s;           /* What was due up to then is done with. */
	bool pending;              /* A launch is under way. */
	size_t len;
	char key[]; /* Namespace, zero, ID, zero. */
};

#define PERIODIC_COUNTS(X) X(launched) X(overlapped) X(refused)

struct periodic {
	struct hash_table by_key;
	struct heap by_time;
	struct list fresh;
	int64_t fresh_at_ns; /* When to look at them; in the future after a failure. */
#define X(name) uint64_t name;
	PERIODIC_COUNTS(X)
#undef X
};

void periodic_init(struct periodic *p);
void periodic_close(struct periodic *p);
void periodic_reset(struct periodic *p);

/* The command that launches a job now, whatever its expressions say and whether or not others of it run, for whom asks
 * to propose it. `child` gets the child's ID. All memory is of `mem`. ERR_NOTFOUND, ERR_INVALID: `text` tells the
 * client why. */
int periodic_force(const struct periodic *p, const struct view *v, const char *ns, const char *id, int64_t wall_ns,
		   struct buf *command, const char **child, const char **text, struct arena *mem);

/* The part. It hears of a job as it is now; NULL: it is gone. */
void periodic_load(struct periodic *p, const struct job_row *row);
void periodic_changed(struct periodic *p, const char *ns, const char *id, const struct job_row *now);
enum part_step periodic_step(struct periodic *p, struct turn *turn);
void periodic_done(struct periodic *p, const struct uuid *ref, int status, const struct moment *at);
int64_t periodic_due(const struct periodic *p, const struct moment *at);

#endif /* SERVER_PERIODIC_H_ */
