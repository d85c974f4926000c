#include "server/sched_standing.h"

#include <string.h>

#include "proto/error.h"
#include "server/sched_memory.h"
#include "server/sched_retry.h"

enum { NOW_NS = 1000000000 }; /* What is due within this is due now. */

bool row_is_current(const struct sched_job *job, const struct alloc_row *row)
{
	return row->job->create_index == job->create_index && row->job->version == job->version;
}

int deploy_view_load(const struct view *v, const struct sched_job *job, struct arena *mem, struct deploy_view *out)
{
	const struct deployment_row *row =
		job->row == NULL ? NULL : state_latest_deployment(v, job_row_ns(job->row), job_row_id(job->row));
	bool same = row != NULL && row->job_create_index == job->create_index && row->job_version == job->version;

	if (row == NULL) {
		return 0;
	}
	if (deployment_row_active(row) && (!same || job->stopped)) {
		out->ended = row->id;
		out->ended_why =
			job->stopped ? "Cancelled because job is stopped" : "Cancelled due to newer version of job";
		return 0;
	}
	out->over = same && (row->status == DEPLOYMENT_STATUS_SUCCESSFUL || row->status == DEPLOYMENT_STATUS_CANCELLED);
	if (!same || out->over) {
		return 0;
	}
	out->id = row->id;
	out->active = deployment_row_active(row);
	out->paused = row->status == DEPLOYMENT_STATUS_PAUSED;
	out->failed = row->status == DEPLOYMENT_STATUS_FAILED;
	return deployment_row_get(row, &out->object, mem) == 0 ? 0 : ERR_CORRUPT;
}

static const char *running_text(const struct deployment *d)
{
	bool canaries = false;
	bool by_hand = false;
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		const struct deployment_group *g = &d->task_groups.at[i];

		canaries |= g->desired_canaries > 0 && !g->promoted;
		by_hand |= g->desired_canaries > 0 && !g->promoted && !g->auto_promote;
	}
	if (!canaries) {
		return "Deployment is running";
	}
	return by_hand ? "Deployment is running but requires manual promotion"
		       : "Deployment is running pending automatic promotion";
}

void deploy_name(struct deployment *d, const struct uuid *id, const struct sched_job *job, int priority,
		 struct arena *mem)
{
	char *text = arena_need(mem, UUID_TEXT, 1);

	uuid_format(id, text);
	d->id = text;
	d->namespace_ = job->job->namespace_;
	d->job_id = job->job->id;
	d->job_version = (int64_t)job->version;
	d->job_create_index = (int64_t)job->create_index;
	d->job_modify_index = job->job->modify_index;
	d->job_spec_modify_index = job->job->job_modify_index;
	d->status = deployment_status_text(DEPLOYMENT_STATUS_RUNNING);
	d->status_description = running_text(d);
	d->eval_priority = priority;
}

void deploy_group_open(struct deployment_group *g, const struct update_strategy *s)
{
	g->auto_revert = s->auto_revert.at != 0;
	g->auto_promote = s->auto_promote.at != 0;
	g->progress_deadline = s->progress_deadline.at;
}

struct deployment_group *deploy_group(struct deployment *d, const char *name)
{
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		if (strcmp(d->task_groups.keys[i], name) == 0) {
			return &d->task_groups.at[i];
		}
	}
	return NULL;
}

/* ---- nodes that are away ---- */

int64_t group_lost_after_ns(const struct task_group *group)
{
	if (group->disconnect != NULL && group->disconnect->lost_after.at > 0) {
		return group->disconnect->lost_after.at;
	}
	return group->max_client_disconnect.at;
}

bool group_replaces(const struct task_group *group)
{
	return group->disconnect == NULL || !group->disconnect->replace.set || group->disconnect->replace.at != 0;
}

static int64_t group_stop_after_ns(const struct task_group *group)
{
	if (group->disconnect != NULL && group->disconnect->stop_on_client_after.at > 0) {
		return group->disconnect->stop_on_client_after.at;
	}
	return group->stop_after_client_disconnect.at;
}

static bool group_parks(const struct task_group *group)
{
	return group->prevent_reschedule_on_lost || !group_replaces(group);
}

static int64_t away_since_ns(const struct reconcile_input *in, const struct alloc_row *row)
{
	const struct node_row *node = state_node(in->view, &row->node_id);

	return node != NULL ? node->status_time_s * NS_PER_S : 0;
}

/* On a node that is down or gone. The client may have been told to stop it by itself after a while: only then it is
 * certain that nothing runs any more. */
static enum standing standing_down(const struct reconcile_input *in, const struct task_group *group, bool gone,
				   struct member *m)
{
	int64_t stop_after = group_stop_after_ns(group);

	if (gone) {
		return STANDING_LOST;
	}
	if (group_parks(group) && group_lost_after_ns(group) == 0) {
		return STANDING_PARKED;
	}
	m->when_ns = away_since_ns(in, m->row) + stop_after;
	return stop_after > 0 && m->when_ns > in->now_ns + NOW_NS ? STANDING_WAITING : STANDING_LOST;
}

static enum standing standing_disconnected(const struct reconcile_input *in, const struct task_group *group,
					   struct member *m)
{
	int64_t lost_after = group_lost_after_ns(group);

	m->when_ns = away_since_ns(in, m->row) + lost_after;
	if (lost_after == 0) {
		return standing_down(in, group, false, m);
	}
	if (m->when_ns <= in->now_ns + NOW_NS || m->row->client == ALLOC_CLIENT_PENDING) {
		return STANDING_LOST;
	}
	if (!group_replaces(group)) {
		return STANDING_PARKED;
	}
	return (m->row->flags & ALLOC_REPLACED) != 0 ? STANDING_UNKNOWN : STANDING_CUT_OFF;
}

/* The client has not said that it is over, and servers want it to run. */
static enum standing standing_live(const struct reconcile_input *in, const struct task_group *group, struct member *m)
{
	uint32_t slot = nodes_find(in->nodes, &m->row->node_id);
	uint32_t flags = slot != NODE_NONE ? in->nodes->at[slot].flags : 0;
	bool replaced = (m->row->flags & ALLOC_REPLACED) != 0;

	if (slot == NODE_NONE || (flags & NODE_AT_DOWN) != 0) {
		return standing_down(in, group, slot == NODE_NONE, m);
	}
	if ((flags & NODE_AT_DISCONNECTED) != 0) {
		return standing_disconnected(in, group, m);
	}
	if ((m->row->flags & ALLOC_MIGRATE) != 0) {
		return STANDING_MIGRATING;
	}
	if (replaced) {
		return m->row->client == ALLOC_CLIENT_UNKNOWN ? STANDING_UNKNOWN : STANDING_RETURNED;
	}
	return STANDING_ALIVE;
}

/* ---- those that have ended ---- */

static int64_t latest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int failed_at_ns(const struct alloc_row *row, struct arena *mem, int64_t *out)
{
	struct alloc_reported reported;
	int64_t at = 0;
	uint32_t i;

	if (alloc_row_reported(row, &reported, mem) != 0) {
		return ERR_CORRUPT;
	}
	for (i = 0; i < reported.task_states.n; i++) {
		at = latest(at, reported.task_states.at[i].finished_at);
	}
	*out = at > 0 ? at : row->modify_time_ns;
	return 0;
}

/* A failed allocation of a deployment is another's affair when the deployment gives it no time. */
static bool may_retry(const struct deploy_view *deploy, const struct task_group *group, const struct alloc_row *row)
{
	const struct deployment_group *state;

	if (uuid_is_zero(&deploy->id) || !uuid_equal(&deploy->id, &row->deployment_id)) {
		return true;
	}
	if (!deploy->active || (row->flags & ALLOC_RESCHEDULE) != 0) {
		return !deploy->failed;
	}
	state = deploy_group((struct deployment *)&deploy->object, group->name);
	return state == NULL || state->progress_deadline > 0;
}

static bool is_awaited(const struct reconcile_input *in, const struct alloc_server *server)
{
	struct uuid id;

	return bytes_uuid(&server->followup_eval, &id) && uuid_equal(&id, &in->eval);
}

static int standing_failed(const struct reconcile_input *in, const struct deploy_view *deploy,
			   const struct task_group *group, struct member *m)
{
	struct alloc_server server;
	struct retry retry;
	int64_t failed_ns;

	m->standing = STANDING_RETRY;
	if ((m->row->flags & ALLOC_FORCE_RESCHEDULE) != 0) {
		return 0;
	}
	m->standing = STANDING_FAILED;
	if (!may_retry(deploy, group, m->row)) {
		return 0;
	}
	if (failed_at_ns(m->row, in->mem, &failed_ns) != 0 || alloc_row_server(m->row, &server, in->mem) != 0) {
		return ERR_CORRUPT;
	}
	retry = retry_decide(group->reschedule_policy, server.reschedule_tracker, failed_ns);
	if (retry.when == RETRY_NEVER) {
		return 0;
	}
	m->when_ns = retry.at_ns;
	m->delay_ns = retry.delay_ns;
	m->standing = retry.at_ns <= in->now_ns + NOW_NS || is_awaited(in, &server) ? STANDING_RETRY : STANDING_WAITING;
	return 0;
}

static bool was_killed(const struct task_state *state)
{
	uint32_t i;

	for (i = 0; i < state->events.n; i++) {
		if (strcmp(state->events.at[i].type, "Killing") == 0 ||
		    strcmp(state->events.at[i].type, "Killed") == 0) {
			return true;
		}
	}
	return false;
}

/* A batch job's allocation that was to be stopped may have come to its end before. */
static int ran_well(const struct alloc_row *row, struct arena *mem, bool *out)
{
	struct alloc_reported reported;
	uint32_t i;

	if (alloc_row_reported(row, &reported, mem) != 0) {
		return ERR_CORRUPT;
	}
	*out = reported.task_states.n > 0;
	for (i = 0; i < reported.task_states.n; i++) {
		const struct task_state *t = &reported.task_states.at[i];

		*out &= strcmp(t->state, "dead") == 0 && !t->failed && !was_killed(t);
	}
	return 0;
}

static int standing_stopped(const struct reconcile_input *in, struct member *m)
{
	bool well = false;
	int rv = 0;

	if (in->job->batch && m->row->client == ALLOC_CLIENT_COMPLETE && row_is_current(in->job, m->row) &&
	    (m->row->flags & ALLOC_REPLACED) == 0) {
		rv = ran_well(m->row, in->mem, &well);
	}
	m->standing = well ? STANDING_DONE : STANDING_GONE;
	return rv;
}

static int standing_over(const struct reconcile_input *in, const struct deploy_view *deploy,
			 const struct task_group *group, struct member *m)
{
	bool old = !row_is_current(in->job, m->row);

	m->standing = STANDING_GONE;
	if ((m->row->flags & ALLOC_REPLACED) != 0 || m->row->client == ALLOC_CLIENT_LOST || (in->job->batch && old)) {
		return 0;
	}
	if (m->row->client == ALLOC_CLIENT_COMPLETE) {
		m->standing = in->job->batch ? STANDING_DONE : STANDING_GONE;
		return 0;
	}
	return standing_failed(in, deploy, group, m);
}

int standing_find(const struct reconcile_input *in, const struct deploy_view *deploy, const struct task_group *group,
		  struct member *m)
{
	static const struct task_group none;

	if (group == NULL) {
		group = &none;
	}
	if (m->row->desired != ALLOC_DESIRED_RUN) {
		return standing_stopped(in, m);
	}
	if (alloc_row_client_terminal(m->row)) {
		return standing_over(in, deploy, group, m);
	}
	m->standing = (uint8_t)standing_live(in, group, m);
	return 0;
}
