#include <string.h>

#include "raft/fsm_work.h"

/* ---- counting ---- */

/* The count that an allocation with this client status is in; -1: none. */
static int count_of(int client)
{
	static const int counts[] = {
		[ALLOC_CLIENT_PENDING] = GROUP_STARTING,  [ALLOC_CLIENT_RUNNING] = GROUP_RUNNING,
		[ALLOC_CLIENT_COMPLETE] = GROUP_COMPLETE, [ALLOC_CLIENT_FAILED] = GROUP_FAILED,
		[ALLOC_CLIENT_LOST] = GROUP_LOST,         [ALLOC_CLIENT_UNKNOWN] = GROUP_UNKNOWN,
	};

	return client >= 0 ? counts[client] : -1;
}

/* Complete and failed ones stay counted when they are collected; they do not change otherwise. */
void fsm_alloc_count(struct summary_row *s, const char *group, int old, int now)
{
	uint32_t *count = old != now ? fsm_summary_group(s, group) : NULL;
	int from = count_of(old);
	int to = count_of(now);

	if (count == NULL) {
		return;
	}
	if (from >= 0 && from != GROUP_COMPLETE && from != GROUP_FAILED && !(from == GROUP_LOST && to < 0) &&
	    count[from] > 0) {
		count[from]--;
	}
	if (to >= 0) {
		count[to]++;
	}
	if (old < 0 && now == ALLOC_CLIENT_PENDING && count[GROUP_QUEUED] > 0) {
		count[GROUP_QUEUED]--;
	}
}

void fsm_alloc_begin(struct fsm_work *f, struct alloc_edit *e, const struct alloc_row *row)
{
	e->client = row->client;
	e->live = !alloc_row_terminal(row);
	e->row = writer_edit(&f->w, &row->row);
	e->row->modify_index = index_of(f);
}

void fsm_alloc_end(struct fsm_work *f, struct alloc_edit *e)
{
	const struct alloc_row *row = e->row;
	bool live = !alloc_row_terminal(row);
	struct summary_row *s;

	writer_put(&f->w, &e->row->row);
	if (row->client != ALLOC_CLIENT_RUNNING) {
		fsm_services_remove(f, &row->id);
	}
	if (row->client == e->client && live == e->live) {
		return;
	}
	s = fsm_summary_begin(f, job_row_ns(row->job), job_row_id(row->job));
	if (s != NULL) {
		s->live_allocs = s->live_allocs + live - e->live;
		fsm_alloc_count(s, alloc_row_group(row), e->client, row->client);
		fsm_summary_end(f, s, row->client != e->client);
	}
}

void fsm_alloc_remove(struct fsm_work *f, const struct alloc_row *row)
{
	struct summary_row *s;

	fsm_services_remove(f, &row->id);
	writer_remove(&f->w, &row->row);
	s = fsm_summary_begin(f, job_row_ns(row->job), job_row_id(row->job));
	if (s != NULL) {
		bool visible = !alloc_row_client_terminal(row);

		s->allocs--;
		s->live_allocs -= !alloc_row_terminal(row);
		fsm_alloc_count(s, alloc_row_group(row), row->client, -1);
		fsm_summary_end(f, s, visible);
	}
}

/* ---- the servers' part ---- */

void fsm_alloc_server_get(struct fsm_work *f, const struct alloc_row *row, struct alloc_server *out)
{
	fsm_unpack(f, &alloc_server_type, row->server, out);
}

static uint32_t flag_if(uint32_t flags, uint32_t flag, bool set)
{
	return set ? flags | flag : flags & ~flag;
}

void fsm_alloc_server_set(struct fsm_work *f, struct alloc_row *row, const struct alloc_server *server)
{
	blob_set(&row->server, fsm_pack(f, &alloc_server_type, server));
	row->flags = flag_if(row->flags, ALLOC_REPLACED, server->next.n > 0);
	row->flags = flag_if(row->flags, ALLOC_FOLLOWUP, server->followup_eval.n > 0);
	row->flags = flag_if(row->flags, ALLOC_RESCHEDULED, server->reschedule_tracker != NULL);
}

/* So many of an allocation's states are kept, the latest. */
enum { STATES_KEPT = 16 };

void fsm_alloc_note_state(struct fsm_work *f, struct alloc_row *row)
{
	struct alloc_state states[STATES_KEPT];
	struct alloc_server server;
	uint32_t skip, n;

	fsm_alloc_server_get(f, row, &server);
	skip = server.states.n < STATES_KEPT ? 0 : server.states.n - STATES_KEPT + 1;
	n = server.states.n - skip;
	if (n > 0) {
		memcpy(states, server.states.at + skip, n * sizeof(states[0]));
	}
	object_init(&alloc_state_type, &states[n]);
	states[n].value = alloc_client_text(row->client);
	states[n].time = now_of(f);
	server.states.at = states;
	server.states.n = n + 1;
	fsm_alloc_server_set(f, row, &server);
}

/* ---- health ---- */

static void count_health(struct deployment_group *g, uint32_t was, bool healthy, int64_t time_ns)
{
	g->healthy_allocs += healthy - ((was & ALLOC_HEALTHY) != 0);
	g->unhealthy_allocs += !healthy - ((was & ALLOC_UNHEALTHY) != 0);
	if (healthy && g->progress_deadline > 0) {
		g->require_progress_by = fsm_later(time_ns, g->progress_deadline);
	}
}

void fsm_alloc_set_health(struct fsm_work *f, struct alloc_row *row, bool healthy, int64_t time_ns)
{
	uint32_t was = row->flags & (ALLOC_HEALTHY | ALLOC_UNHEALTHY);
	uint32_t now = healthy ? ALLOC_HEALTHY : ALLOC_UNHEALTHY;
	struct deployment *d;
	struct deployment_group *g;

	if (was == now) {
		return;
	}
	row->flags = (row->flags & ~(uint32_t)(ALLOC_HEALTHY | ALLOC_UNHEALTHY)) | now;
	row->health_time_ns = time_ns;
	row->health_index = index_of(f);
	d = uuid_is_zero(&row->deployment_id) ? NULL : fsm_deployment_open(f, &row->deployment_id);
	g = d != NULL ? fsm_deployment_group(d, alloc_row_group(row)) : NULL;
	if (g != NULL) {
		count_health(g, was, healthy, time_ns);
		fsm_deployment_touch(f);
	}
}

/* ---- what clients report ---- */

/* What is over stays over: but a lost one may turn out to have ended in its own way. */
static uint8_t next_client(const struct alloc_row *row, int64_t reported)
{
	bool over = row->client == ALLOC_CLIENT_COMPLETE || row->client == ALLOC_CLIENT_FAILED;
	bool ended = reported == ALLOC_CLIENT_COMPLETE || reported == ALLOC_CLIENT_FAILED;

	if (over || (row->client == ALLOC_CLIENT_LOST && !ended)) {
		return row->client;
	}
	return (uint8_t)reported;
}

/* Whether schedulers should look at the job after this step of one of its allocations, and why. */
static int trigger_of(const struct alloc_row *row, uint8_t before)
{
	if (row->desired != ALLOC_DESIRED_RUN || row->client == before) {
		return -1;
	}
	if (before == ALLOC_CLIENT_UNKNOWN) {
		return EVAL_TRIGGER_RECONNECT;
	}
	if (row->client == ALLOC_CLIENT_FAILED &&
	    (job_row_group_flags(row->job, row->group) & SPEC_GROUP_RESCHEDULES) != 0) {
		return EVAL_TRIGGER_RETRY_FAILED_ALLOC;
	}
	return -1;
}

static void make_eval(struct fsm_work *f, const struct alloc_row *row, int trigger, struct job_set *seen)
{
	const struct job_row *job = state_job(view_of(f), job_row_ns(row->job), job_row_id(row->job));

	if (trigger >= 0 && job != NULL && (job->flags & JOB_STOP) == 0 &&
	    fsm_job_set_add(f, seen, job->create_index)) {
		fsm_eval_for(f, job, (unsigned)trigger, 0);
		f->result->count++;
	}
}

static bool says_nothing_new(struct fsm_work *f, const struct alloc_row *row, const struct alloc_report *p)
{
	const struct blob *blob = row->reported;
	bool same_bytes = blob == NULL
				  ? p->reported.n <= 1
				  : blob->len == p->reported.n && memcmp(blob->data, p->reported.at, blob->len) == 0;
	uint32_t health = !p->healthy.set ? 0 : p->healthy.at != 0 ? ALLOC_HEALTHY : ALLOC_UNHEALTHY;

	return same_bytes && next_client(row, p->status) == row->client && (health == 0 || (row->flags & health) != 0) &&
	       fsm_services_same(f, row, p->services.at, p->services.n);
}

/* A node that was away is known to be back when its client has reported. */
static void note_contact(struct fsm_work *f, const struct uuid *id)
{
	const struct node_row *node = state_node(view_of(f), id);

	if (node != NULL && node->alloc_index < node->missed_index) {
		struct node_row *row = writer_edit(&f->w, &node->row);

		row->alloc_index = index_of(f);
		writer_put(&f->w, &row->row);
	}
}

static void report(struct fsm_work *f, const struct alloc_row *alloc, const struct alloc_report *p,
		   struct job_set *seen)
{
	uint8_t before = alloc->client;
	struct alloc_edit e;

	if (says_nothing_new(f, alloc, p)) {
		return;
	}
	fsm_alloc_begin(f, &e, alloc);
	e.row->client = next_client(alloc, p->status);
	e.row->modify_time_ns = now_of(f);
	if (before == ALLOC_CLIENT_UNKNOWN && e.row->client != before) {
		fsm_alloc_note_state(f, e.row);
	}
	blob_set(&e.row->reported, p->reported.n > 1 ? blob_new(p->reported.at, p->reported.n) : NULL);
	if (p->healthy.set) {
		fsm_alloc_set_health(f, e.row, p->healthy.at != 0,
				     p->health_time_ns != 0 ? p->health_time_ns : now_of(f));
	}
	fsm_alloc_end(f, &e);
	fsm_services_set(f, e.row, p->services.at, p->services.n);
	note_contact(f, &e.row->node_id);
	make_eval(f, e.row, trigger_of(e.row, before), seen);
}

static bool reports_valid(const struct alloc_reports *p)
{
	uint32_t i;

	for (i = 0; i < p->reports.n; i++) {
		if (p->reports.at[i].status < 0 || p->reports.at[i].status >= ALLOC_CLIENT_COUNT) {
			return false;
		}
	}
	return true;
}

void fsm_ALLOC_REPORTS(struct fsm_work *f, const struct alloc_reports *p)
{
	struct job_set seen = {0};
	struct uuid id;
	uint32_t i;

	if (!reports_valid(p)) {
		fsm_fail(f, ERR_INVALID, "malformed report of an allocation");
		return;
	}
	for (i = 0; i < p->reports.n; i++) {
		const struct alloc_row *alloc;

		bytes_uuid(&p->reports.at[i].id, &id);
		alloc = state_alloc(view_of(f), &id);
		if (alloc != NULL) {
			report(f, alloc, &p->reports.at[i], &seen);
		} else {
			f->result->rejected++;
		}
	}
}

/* ---- desired transitions ---- */

static uint32_t transition_flags(uint32_t flags, const struct desired_transition *t)
{
	const struct {
		const struct opt *opt;
		uint32_t flag;
	} all[] = {
		{&t->migrate, ALLOC_MIGRATE},
		{&t->reschedule, ALLOC_RESCHEDULE},
		{&t->force_reschedule, ALLOC_FORCE_RESCHEDULE},
		{&t->migrate_disable_placement, ALLOC_MIGRATE_DISABLE_PLACEMENT},
		{&t->no_shutdown_delay, ALLOC_NO_SHUTDOWN_DELAY},
	};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].opt->set) {
			flags = flag_if(flags, all[i].flag, all[i].opt->at != 0);
		}
	}
	return flags;
}

void fsm_alloc_set_flags(struct fsm_work *f, const struct alloc_row *alloc, uint32_t flags)
{
	bool hurries = (flags & ~alloc->flags & ALLOC_NO_SHUTDOWN_DELAY) != 0;
	struct alloc_edit e;

	fsm_alloc_begin(f, &e, alloc);
	e.row->flags = flags;
	if (hurries && alloc->desired != ALLOC_DESIRED_RUN) {
		e.row->alloc_modify_index = index_of(f);
	}
	fsm_alloc_end(f, &e);
}

static uint32_t known_allocs(struct fsm_work *f, const struct alloc_transitions *p)
{
	struct uuid id;
	uint32_t n = 0;
	uint32_t i;

	for (i = 0; i < p->allocs.n; i++) {
		n += bytes_uuid(&p->allocs.at[i].id, &id) && state_alloc(view_of(f), &id) != NULL;
	}
	return n;
}

void fsm_ALLOC_TRANSITIONS(struct fsm_work *f, const struct alloc_transitions *p)
{
	struct job_set seen = {0};
	struct uuid id;
	uint32_t i;

	if (p->trigger < 0 || p->trigger >= EVAL_TRIGGER_COUNT) {
		fsm_fail(f, ERR_INVALID, "malformed transition");
		return;
	}
	f->result->rejected = p->allocs.n - known_allocs(f, p);
	if (f->result->rejected == p->allocs.n) {
		fsm_fail(f, ERR_NOTFOUND, "allocation not found");
		return;
	}
	for (i = 0; i < p->allocs.n; i++) {
		const struct alloc_row *alloc;
		const struct job_row *job;

		bytes_uuid(&p->allocs.at[i].id, &id);
		alloc = state_alloc(view_of(f), &id);
		if (alloc == NULL) {
			continue;
		}
		if (p->allocs.at[i].transition != NULL) {
			fsm_alloc_set_flags(f, alloc, transition_flags(alloc->flags, p->allocs.at[i].transition));
		}
		job = state_job(view_of(f), job_row_ns(alloc->job), job_row_id(alloc->job));
		if (job != NULL && fsm_job_set_add(f, &seen, job->create_index)) {
			fsm_eval_for(f, job, (unsigned)p->trigger, p->eval_priority);
			f->result->count++;
		}
	}
}

/* ---- sets of jobs ---- */

static void set_put(struct job_set *set, uint64_t create_index)
{
	size_t i = (create_index * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (set->cap - 1);

	while (set->at[i] != 0) {
		i = (i + 1) & (set->cap - 1);
	}
	set->at[i] = create_index;
}

static bool set_has(const struct job_set *set, uint64_t create_index)
{
	size_t i = (create_index * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (set->cap - 1);

	while (set->at[i] != 0 && set->at[i] != create_index) {
		i = (i + 1) & (set->cap - 1);
	}
	return set->at[i] != 0;
}

static void set_grow(struct fsm_work *f, struct job_set *set)
{
	struct job_set bigger = {.cap = set->cap == 0 ? 16 : set->cap * 2, .n = set->n};
	size_t i;

	bigger.at = fsm_scratch(f, bigger.cap * sizeof(bigger.at[0]));
	memset(bigger.at, 0, bigger.cap * sizeof(bigger.at[0]));
	for (i = 0; i < set->cap; i++) {
		if (set->at[i] != 0) {
			set_put(&bigger, set->at[i]);
		}
	}
	*set = bigger;
}

bool fsm_job_set_add(struct fsm_work *f, struct job_set *set, uint64_t create_index)
{
	if (set->n * 2 >= set->cap) {
		set_grow(f, set);
	}
	if (set_has(set, create_index)) {
		return false;
	}
	set_put(set, create_index);
	set->n++;
	return true;
}
