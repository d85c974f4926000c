/* Bugs to be found: each is one that somebody could make, and the checks must see it within a few seeds. Others stand
 * where the simulation plays the disk (lost-sync, lost-dir-sync, lost-vote, write-cache), the servers' questions to
 * their leader (stale-read) and the server (double-apply, unknown-is-yes). */
#include "test/sim/sim.h"

#include "raft/mend.h"
#include "server/blocked.h"
#include "server/broker.h"
#include "server/lease.h"
#include "server/sched_nodes.h"

#include <raft.h>

/* Room that becomes free is told to nobody who waits for it. */
void __wrap_blocked_freed(struct blocked *bl, uint64_t class_hash, const struct uuid *node, uint64_t index);
void __real_blocked_freed(struct blocked *bl, uint64_t class_hash, const struct uuid *node, uint64_t index);

void __wrap_blocked_freed(struct blocked *bl, uint64_t class_hash, const struct uuid *node, uint64_t index)
{
	if (!sim_planted("lost-unblock", 1000)) {
		__real_blocked_freed(bl, class_hash, node, index);
	}
}

/* An evaluation gets lost on its way into the broker. */
void __wrap_broker_put(struct broker *b, const struct eval_row *row, int64_t wall_ns);
void __real_broker_put(struct broker *b, const struct eval_row *row, int64_t wall_ns);

void __wrap_broker_put(struct broker *b, const struct eval_row *row, int64_t wall_ns)
{
	if (!sim_planted("lost-eval", 50)) {
		__real_broker_put(b, row, wall_ns);
	}
}

/* Schedulers miss some of the news, and the plan applier believes them. */
enum fit __wrap_nodes_fit(struct nodes *nodes, const struct view *v, uint32_t slot, const struct use *ask,
			  const struct holds *holds);
enum fit __real_nodes_fit(struct nodes *nodes, const struct view *v, uint32_t slot, const struct use *ask,
			  const struct holds *holds);

enum fit __wrap_nodes_fit(struct nodes *nodes, const struct view *v, uint32_t slot, const struct use *ask,
			  const struct holds *holds)
{
	return sim_planted("over-commit", 1000) ? FIT_OK : __real_nodes_fit(nodes, v, slot, ask, holds);
}

void __wrap_news_add(struct nodes_news *news, const struct change *changes, size_t n);
void __real_news_add(struct nodes_news *news, const struct change *changes, size_t n);

void __wrap_news_add(struct nodes_news *news, const struct change *changes, size_t n)
{
	if (!sim_planted("over-commit", 300)) {
		__real_news_add(news, changes, n);
	}
}

/* A leader acts before it has applied what leaders before it have committed. */
int __wrap_raft_barrier(struct raft *r, struct raft_barrier *req, raft_barrier_cb cb);
int __real_raft_barrier(struct raft *r, struct raft_barrier *req, raft_barrier_cb cb);

int __wrap_raft_barrier(struct raft *r, struct raft_barrier *req, raft_barrier_cb cb)
{
	if (sim_planted("no-barrier", 1000)) {
		cb(req, 0);
		return 0;
	}
	return __real_raft_barrier(r, req, cb);
}

/* A leader believes that it leads. */
uint64_t __wrap_lease_until(unsigned election_ms, uint64_t *sent_ms, unsigned n);
uint64_t __real_lease_until(unsigned election_ms, uint64_t *sent_ms, unsigned n);

uint64_t __wrap_lease_until(unsigned election_ms, uint64_t *sent_ms, unsigned n)
{
	return sim_planted("no-lease", 1000) ? UINT64_MAX : __real_lease_until(election_ms, sent_ms, n);
}

/* What was found in libraft, as it is without raft/mend.c. */
void __wrap_mend_append(const struct raft *raft, struct raft_append_entries *a);
void __real_mend_append(const struct raft *raft, struct raft_append_entries *a);
bool __wrap_mend_split(struct raft_append_entries *a, struct raft_append_entries *rest);
bool __real_mend_split(struct raft_append_entries *a, struct raft_append_entries *rest);
void __wrap_mend_vote(const struct raft *raft, struct raft_request_vote_result *result);
void __real_mend_vote(const struct raft *raft, struct raft_request_vote_result *result);

void __wrap_mend_append(const struct raft *raft, struct raft_append_entries *a)
{
	if (!sim_planted("below-snapshot", 1000)) {
		__real_mend_append(raft, a);
	}
}

bool __wrap_mend_split(struct raft_append_entries *a, struct raft_append_entries *rest)
{
	return !sim_planted("lost-configuration", 1000) && __real_mend_split(a, rest);
}

void __wrap_mend_vote(const struct raft *raft, struct raft_request_vote_result *result)
{
	if (!sim_planted("unheard-term", 1000)) {
		__real_mend_vote(raft, result);
	}
}
