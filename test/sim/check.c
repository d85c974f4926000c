/* What must hold, whatever goes wrong. Servers are compared by the index of the state: what one has applied there is
 * what all apply there. */
#include "test/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/shell.h"

enum { COMMAND_HEAD = 8, TERMS = 1 << 16, NAMES_MAX = 256, PROMOTED_MAX = 256 };
enum { WHOLE = 64 }; /* The whole state is looked at whenever its index is a multiple of this. */

/* What is known of an index. */
struct past {
	uint64_t hash;    /* Of the state; 0: in the middle of an entry, or not yet known. */
	uint64_t entry;   /* Of the entry that was applied behind it. */
	uint64_t command; /* That made it. */
};

static struct past *past;
static uint64_t past_cap, top, looked_at;
static uint64_t answered; /* The highest index that somebody has been told. */
static struct host *leaders[TERMS];
static uint64_t leaders_life[TERMS];

static uint64_t hash_of(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++) {
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	}
	return h ^ h >> 32;
}

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

static struct past *at_index(uint64_t index)
{
	if (index >= past_cap) {
		uint64_t cap = past_cap == 0 ? 4096 : past_cap;

		while (cap <= index) {
			cap *= 2;
		}
		past = realloc(past, cap * sizeof(*past));
		memset(past + past_cap, 0, (cap - past_cap) * sizeof(*past));
		past_cap = cap;
	}
	return &past[index];
}

uint64_t check_top(void)
{
	return top;
}

uint64_t check_floor(void)
{
	return answered;
}

/* Without the stamp, which it gets later. */
uint64_t check_command_hash(const void *command, size_t len)
{
	uint64_t h = hash_of(HASH_BEGIN, command, COMMAND_HEAD);

	return hash_of(h, (const char *)command + COMMAND_HEADER, len - COMMAND_HEADER);
}

/* The commands of an entry that nobody has applied before. */
static void note_commands(uint64_t index, const char *entry, size_t len)
{
	size_t at = ENTRY_HEADER;

	while (at + COMMAND_HEADER <= len) {
		uint32_t size;

		memcpy(&size, entry + at, sizeof(size));
		at_index(++index)->command = check_command_hash(entry + at, size);
		COUNT(commands);
		at += size;
	}
}

static void same_state(struct host *h, uint64_t index, uint64_t hash)
{
	struct past *p = at_index(index);

	if (p->hash != 0 && p->hash != hash) {
		sim_fail("server %u has another state at index %" PRIu64 " than one before it", h->at + 1, index);
	}
	p->hash = hash;
	top = index > top ? index : top;
}

void check_begun(struct host *h)
{
	h->index = 1;
}

void check_applied(struct host *h, uint64_t before, const void *entry, size_t len)
{
	const struct view *v = host_view(h);
	uint64_t after = state_index(v);
	uint64_t hash = hash_of(HASH_BEGIN, entry, len);
	struct past *p = at_index(before);

	if (before != h->index || after <= before) {
		sim_fail("server %u applies an entry at index %" PRIu64 " that takes it from %" PRIu64 " to %" PRIu64,
			 h->at + 1, h->index, before, after);
	}
	if (p->entry != 0 && p->entry != hash) {
		sim_fail("server %u applies another entry behind index %" PRIu64 " than one before it", h->at + 1,
			 before);
	}
	if (p->entry == 0) {
		p->entry = hash;
		COUNT(entries);
		note_commands(before, entry, len);
	}
	same_state(h, after, state_hash(v));
	sim_note(after, state_hash(v));
	h->index = after;
	view_release(v);
}

void check_replaced(struct host *h, uint64_t index, uint64_t hash)
{
	if (index > 1 && at_index(index)->hash == 0) {
		sim_fail("server %u restores a state of index %" PRIu64 " that nobody had", h->at + 1, index);
	}
	same_state(h, index, hash);
	if (index < h->index) {
		sim_fail("server %u goes back from index %" PRIu64 " to %" PRIu64, h->at + 1, h->index, index);
	}
	h->index = index;
}

void check_leads(struct host *h, uint64_t term)
{
	COUNT(elections);
	if (term >= TERMS) {
		sim_fail("there is no end of terms");
	}
	if (leaders[term] != NULL && (leaders[term] != h || leaders_life[term] != h->life)) {
		sim_fail("servers %u and %u both lead in term %" PRIu64, leaders[term]->at + 1, h->at + 1, term);
	}
	leaders[term] = h;
	leaders_life[term] = h->life;
	if (h->index < answered) {
		sim_fail("server %u leads in term %" PRIu64 " from index %" PRIu64 ", but %" PRIu64 " was answered",
			 h->at + 1, term, h->index, answered);
	}
}

void check_ack(const struct call *c)
{
	uint64_t index = c->result.index;

	COUNT(acks);
	if (index > top || at_index(index)->command != c->hash) {
		sim_fail("server %u has answered that a command is at index %" PRIu64 ", which is not there",
			 c->host->at + 1, index);
	}
	if (index <= c->floor) {
		sim_fail("a command was applied at index %" PRIu64 ", but %" PRIu64
			 " had been answered before it was sent",
			 index, c->floor);
	}
	answered = index > answered ? index : answered;
}

/* ---- rows ---- */

static void alloc_text(const struct alloc_row *row, char text[UUID_TEXT])
{
	uuid_format(&row->id, text);
}

/* What a node has must be enough for what is placed there. */
static void check_room(const struct view *v, const struct uuid *id)
{
	const struct node_row *node = state_node(v, id);
	const struct alloc_row *row;
	uint64_t cpu = 0, memory = 0, disk = 0;
	struct rows r;

	if (node == NULL) {
		return;
	}
	rows_allocs_of_node(&r, v, id);
	while ((row = alloc_next(&r)) != NULL) {
		if (!alloc_row_terminal(row)) {
			cpu += row->cpu_mhz;
			memory += row->memory_mb;
			disk += row->disk_mb;
		}
	}
	if (cpu > node->cpu_mhz - node->reserved_cpu_mhz || memory > node->memory_mb - node->reserved_memory_mb ||
	    disk > node->disk_mb - node->reserved_disk_mb) {
		sim_fail("node %s has more than there is: %" PRIu64 " MHz of %u, %" PRIu64 " MB of %u",
			 node_row_name(node), cpu, node->cpu_mhz, memory, node->memory_mb);
	}
}

static bool same_place(const struct alloc_row *a, const struct alloc_row *b)
{
	bool each_node = a->job->type == JOB_TYPE_SYSTEM || a->job->type == JOB_TYPE_SYSBATCH;

	return a->index == b->index && a->group == b->group && (!each_node || uuid_equal(&a->node_id, &b->node_id));
}

/* One that comes back from a node that was gone lives beside its replacement, until a scheduler has looked. */
static bool counts(const struct alloc_row *row)
{
	return strcmp(job_row_id(row->job), "roaming") != 0 && !alloc_row_terminal(row) &&
	       (row->flags & ALLOC_CANARY) == 0 && row->client != ALLOC_CLIENT_UNKNOWN;
}

/* Canaries that were promoted: those that they replace are stopped a moment later. */
static struct uuid promoted[PROMOTED_MAX];
static unsigned n_promoted;

static bool was_canary(const struct alloc_row *row)
{
	for (unsigned i = 0; i < n_promoted && i < PROMOTED_MAX; i++) {
		if (uuid_equal(&promoted[i], &row->id)) {
			return true;
		}
	}
	return false;
}

static bool one_too_many(const struct alloc_row *a, const struct alloc_row *b)
{
	return same_place(a, b) && (a->job->version == b->job->version || (!was_canary(a) && !was_canary(b)));
}

/* One live allocation for each name of a job. */
static void check_names(const struct view *v, const struct job_row *job)
{
	const struct alloc_row *seen[NAMES_MAX];
	const struct alloc_row *row;
	unsigned n = 0;
	struct rows r;

	rows_allocs_of_job(&r, v, job);
	while ((row = alloc_next(&r)) != NULL) {
		if (!counts(row)) {
			continue;
		}
		for (unsigned i = 0; i < n; i++) {
			if (one_too_many(seen[i], row)) {
				char name[ALLOC_NAME_MAX], a[UUID_TEXT], b[UUID_TEXT];

				alloc_row_name(row, name);
				alloc_text(seen[i], a);
				alloc_text(row, b);
				sim_fail("%s lives twice: %s (version %" PRIu64 ", flags %x, client %d) and %s "
					 "(version %" PRIu64 ", flags %x, client %d)",
					 name, a, seen[i]->job->version, seen[i]->flags, seen[i]->client, b,
					 row->job->version, row->flags, row->client);
			}
		}
		if (n < NAMES_MAX) {
			seen[n++] = row;
		}
	}
}

static void check_alloc(const struct view *v, const struct alloc_row *old, const struct alloc_row *now)
{
	char text[UUID_TEXT];

	if (now == NULL) {
		return;
	}
	alloc_text(now, text);
	if (old != NULL && alloc_row_client_terminal(old) && !alloc_row_client_terminal(now)) {
		sim_fail("allocation %s is over and lives again: %d, %d", text, old->client, now->client);
	}
	if (old != NULL && old->desired != ALLOC_DESIRED_RUN && now->desired == ALLOC_DESIRED_RUN) {
		sim_fail("allocation %s was stopped and is to run again", text);
	}
	if (sim.verbose) {
		char name[ALLOC_NAME_MAX];

		alloc_row_name(now, name);
		sim_say("%" PRIu64 " %s %.8s on %s: version %" PRIu64 ", desired %d, client %d, flags %x",
			state_index(v), name, text, (const char *)now->node_name->data, now->job->version,
			now->desired, now->client, now->flags);
	}
	if (old == NULL) {
		COUNT(placed);
	}
	if (old == NULL || alloc_row_terminal(old) != alloc_row_terminal(now)) {
		check_names(v, now->job);
	}
	check_room(v, &now->node_id);
}

static void check_eval(const struct eval_row *old, const struct eval_row *now)
{
	if (old == NULL) {
		COUNT(evals);
	} else if (now != NULL && eval_row_terminal(old) && now->status != old->status) {
		sim_fail("an evaluation of %s was over, and changes", eval_row_job(now));
	}
}

static void check_deployment(const struct deployment_row *old, const struct deployment_row *now)
{
	if (old != NULL && now != NULL && !deployment_row_active(old) && deployment_row_active(now)) {
		sim_fail("a deployment of %s was over, and is active again", deployment_row_job(now));
	}
}

static void note_promoted(const struct alloc_row *old, const struct alloc_row *now)
{
	if (old != NULL && now != NULL && (old->flags & ~now->flags & ALLOC_CANARY) != 0) {
		promoted[n_promoted++ % PROMOTED_MAX] = now->id;
	}
}

/* The first who applies an entry is looked at; the others are equal to it. */
void check_changes(struct host *h, const struct view *v, const struct change *changes, size_t n)
{
	if (state_index(v) <= looked_at) {
		return;
	}
	looked_at = state_index(v);
	if (looked_at % WHOLE == 0 && !state_check(v)) {
		sim_fail("the state of server %u is broken", h->at + 1);
	}
	for (size_t i = 0; i < n; i++) {
		if (changes[i].table == TABLE_ALLOCS) {
			note_promoted((const void *)changes[i].old, (const void *)changes[i].now);
		}
	}
	for (size_t i = 0; i < n; i++) {
		const void *old = changes[i].old;
		const void *now = changes[i].now;

		switch (changes[i].table) {
		case TABLE_ALLOCS:
			check_alloc(v, old, now);
			break;
		case TABLE_EVALS:
			check_eval(old, now);
			break;
		case TABLE_DEPLOYMENTS:
			check_deployment(old, now);
			break;
		default:
			break;
		}
	}
}

/* ---- the end ---- */

bool check_settled(char *why, size_t size)
{
	struct host *leader = host_leader();

	if (leader == NULL) {
		snprintf(why, size, "there is no leader");
		return false;
	}
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		struct host *h = &sim.hosts[i];

		if (!h->member) {
			continue;
		}
		if (!h->alive) {
			snprintf(why, size, "server %u does not run", i + 1);
			return false;
		}
		if (h->index != leader->index) {
			snprintf(why, size, "server %u is at index %" PRIu64 ", the leader at %" PRIu64, i + 1,
				 h->index, leader->index);
			return false;
		}
	}
	if (leader->index < answered) {
		sim_fail("the cluster is at index %" PRIu64 ", but %" PRIu64 " was answered", leader->index, answered);
	}
	return true;
}
