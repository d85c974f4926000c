#include "raft/mend.h"

#include <string.h>

void mend_drop_entries(struct raft_append_entries *a)
{
	if (a->n_entries > 0) {
		raft_free(a->entries[0].batch);
		raft_free(a->entries);
	}
	a->entries = NULL;
	a->n_entries = 0;
}

/* All of them share the memory of one batch, which goes with the last. */
static void skip_first(struct raft_append_entries *a, unsigned n)
{
	if (n >= a->n_entries) {
		mend_drop_entries(a);
		return;
	}
	a->n_entries -= n;
	memmove(a->entries, a->entries + n, a->n_entries * sizeof(*a->entries));
}

static void skip_snapshot(const struct raft *raft, struct raft_append_entries *a)
{
	raft_index index = raft->trail.snapshot.index;
	raft_index skipped;

	if (a->prev_log_index >= index || raft->snapshot.installing) {
		return;
	}
	skipped = index - a->prev_log_index;
	skip_first(a, skipped < a->n_entries ? (unsigned)skipped : a->n_entries);
	a->prev_log_index = index;
	a->prev_log_term = raft->trail.snapshot.term;
}

/* Entries that we have, sent once more: libraft would take the last of them for the commit index, which would go back,
 * and a snapshot of the state would then bear too low an index. A lower leader_commit is always legal. */
static void keep_commit(const struct raft *raft, struct raft_append_entries *a)
{
	raft_index commit = raft->commit_index;

	if (a->leader_commit > commit && a->prev_log_index + a->n_entries < commit) {
		a->leader_commit = commit;
	}
}

void mend_append(const struct raft *raft, struct raft_append_entries *a)
{
	if (a->term < raft->current_term) {
		if (a->prev_log_index == 0) {
			a->prev_log_index = 1; /* 0 is how an answer says that nothing is refused. */
		}
		return;
	}
	skip_snapshot(raft, a);
	keep_commit(raft, a);
}

/* Where the first configuration is that has entries before it; n_entries: nowhere. */
static unsigned find_configuration(const struct raft_append_entries *a)
{
	unsigned i = 1;

	while (i < a->n_entries && a->entries[i].type != RAFT_CHANGE) {
		i++;
	}
	return i < a->n_entries ? i : a->n_entries;
}

/* The entries from `first` on, with a batch of their own. */
static struct raft_entry *copy_entries(const struct raft_append_entries *a, unsigned first)
{
	unsigned n = a->n_entries - first;
	struct raft_entry *entries = raft_malloc(n * sizeof(*entries));
	size_t size = 0;
	char *batch;

	for (unsigned i = 0; i < n; i++) {
		size += a->entries[first + i].buf.len;
	}
	batch = raft_malloc(size + 1);
	if (entries == NULL || batch == NULL) {
		raft_free(entries);
		raft_free(batch);
		return NULL;
	}
	for (unsigned i = 0; i < n; i++) {
		entries[i] = a->entries[first + i];
		if (entries[i].buf.len > 0) {
			memcpy(batch, entries[i].buf.base, entries[i].buf.len);
		}
		entries[i].buf.base = batch;
		batch += entries[i].buf.len;
	}
	for (unsigned i = 0; i < n; i++) {
		entries[i].batch = entries[0].buf.base;
	}
	return entries;
}

bool mend_split(struct raft_append_entries *a, struct raft_append_entries *rest)
{
	unsigned first = find_configuration(a);
	struct raft_entry *entries;

	if (first == a->n_entries) {
		return false;
	}
	entries = copy_entries(a, first);
	*rest = *a;
	rest->entries = entries;
	rest->n_entries = a->n_entries - first;
	rest->prev_log_index = a->prev_log_index + first;
	rest->prev_log_term = a->entries[first - 1].term;
	a->n_entries = first;
	return entries != NULL;
}

void mend_answer(const struct raft *raft, struct raft_append_entries_result *result)
{
	raft_index last = raft_last_index((struct raft *)raft);

	if (result->rejected > 0) {
		result->last_log_index = last < result->rejected ? last : result->rejected - 1;
	}
}

/* A candidate that hears of a term higher than the one it asks for goes on in that one. */
void mend_vote(const struct raft *raft, struct raft_request_vote_result *result)
{
	if (result->pre_vote && !result->vote_granted && result->term < raft->current_term) {
		result->term = raft->current_term;
	}
}

bool mend_transfer(struct raft *raft, const struct raft_timeout_now *m, raft_index match)
{
	if (raft->state != RAFT_LEADER || match >= m->last_log_index) {
		return false;
	}
	raft->leader_state.transferring = false; /* libraft asks when it comes to its next entry. */
	return true;
}

void mend_leader(struct raft *raft)
{
	if (raft->state == RAFT_LEADER) {
		raft->legacy.prev_state = RAFT_LEADER;
	}
}

/* libraft's queues: to the next and to the previous one. */
bool mend_request(const struct raft *raft, void *queue[2])
{
	void **next = queue[0];
	void **prev = queue[1];

	if (raft->state == RAFT_LEADER) {
		return false;
	}
	prev[0] = next;
	next[1] = prev;
	return true;
}
