/* Scaling policies, which jobs bring with their groups and tasks. */
#include <string.h>

#include "proto/error.h"
#include "raft/spec.h"
#include "server/api_handlers.h"
#include "server/api_scaling.h"
#include "server/part.h"

#define SCALING_STUB_FIELDS(X, T)                                                                                      \
	X(T, STR, id, "ID")                                                                                            \
	X(T, BOOL, enabled, "Enabled")                                                                                 \
	X(T, STR, type, "Type")                                                                                        \
	X(T, MAP, target, "Target")                                                                                    \
	X(T, INT, create_index, "CreateIndex")                                                                         \
	X(T, INT, modify_index, "ModifyIndex")

OBJECT_DECLARE(scaling_stub, SCALING_STUB_FIELDS);
OBJECT_DEFINE(scaling_stub, SCALING_STUB_FIELDS);

/* ---- what they are called ---- */

/* Of the place where it stands, so that it is the same with every version of the job, on every server. */
static const char *policy_id(const struct job *job, const struct task_group *g, const struct task *t, const char *type,
			     struct arena *mem)
{
	struct uuid seed, id;
	struct buf key = {0};
	const char *text = NULL;

	buf_printf(&key, "%s%c%s%c%s%c%s%c%s", job->namespace_, 0, job->id, 0, g->name, 0, t != NULL ? t->name : "", 0,
		   type);
	if (!key.failed) {
		seed = job_ref(key.at, key.len);
		id = uuid_derive(&seed, (uint64_t)job->create_index);
		text = uuid_text(mem, &id);
	}
	buf_close(&key);
	return text;
}

static int put_target(const struct job *job, const struct task_group *g, const struct task *t, struct map *out,
		      struct arena *mem)
{
	out->n = 0;
	out->at = arena_calloc(mem, 4, sizeof(out->at[0]));
	if (out->at == NULL) {
		return ERR_NOMEM;
	}
	out->at[out->n++] = (struct pair){"Group", g->name};
	out->at[out->n++] = (struct pair){"Job", job->id};
	out->at[out->n++] = (struct pair){"Namespace", job->namespace_};
	if (t != NULL) {
		out->at[out->n++] = (struct pair){"Task", t->name};
	}
	return 0;
}

static int name_policy(const struct job *job, const struct task_group *g, const struct task *t,
		       struct scaling_policy *p, struct arena *mem)
{
	const char *id = policy_id(job, g, t, p->type, mem);

	if (id == NULL || id[0] == '\0' || put_target(job, g, t, &p->target, mem) != 0) {
		return ERR_NOMEM;
	}
	p->id = id;
	p->create_index = job->create_index;
	p->modify_index = job->job_modify_index;
	return 0;
}

int scaling_policies_name(struct job *job, struct arena *mem)
{
	int rv = 0;

	for (uint32_t i = 0; i < job->task_groups.n; i++) {
		struct task_group *g = &job->task_groups.at[i];

		if (g->scaling != NULL && rv == 0) {
			rv = name_policy(job, g, NULL, g->scaling, mem);
		}
		for (uint32_t k = 0; k < g->tasks.n; k++) {
			struct task *t = &g->tasks.at[k];

			for (uint32_t n = 0; n < t->scaling_policies.n && rv == 0; n++) {
				rv = name_policy(job, g, t, &t->scaling_policies.at[n], mem);
			}
		}
	}
	return rv;
}

/* ---- the policies of a job, one by one ---- */

static const struct scaling_policy *policy_of_tasks(const struct task_group *g, unsigned *n)
{
	for (uint32_t i = 0; i < g->tasks.n; i++) {
		const struct task *t = &g->tasks.at[i];

		if (*n < t->scaling_policies.n) {
			return &t->scaling_policies.at[*n];
		}
		*n -= t->scaling_policies.n;
	}
	return NULL;
}

const struct scaling_policy *scaling_policy_at(const struct job *job, unsigned n)
{
	const struct scaling_policy *found = NULL;

	for (uint32_t i = 0; i < job->task_groups.n && found == NULL; i++) {
		const struct task_group *g = &job->task_groups.at[i];

		if (g->scaling != NULL && n-- == 0) {
			return g->scaling;
		}
		found = policy_of_tasks(g, &n);
	}
	return found;
}

/* The next policy of a row, LIST_NO_PART after the last, or an error; the job is decoded once for all of them. */
static int part(const struct row *row, struct list_scratch *s, const struct scaling_policy **out)
{
	const struct job_row *job = (const struct job_row *)row;
	int rv;

	if (s->jobs.row != job) {
		s->jobs.job = arena_alloc(&s->mem, sizeof(*s->jobs.job));
		rv = s->jobs.job != NULL ? job_row_get(job, s->jobs.job, &s->mem) : ERR_NOMEM;
		if (rv == 0) {
			rv = scaling_policies_name(s->jobs.job, &s->mem);
		}
		if (rv != 0) {
			return rv;
		}
		s->jobs.row = job;
	}
	*out = scaling_policy_at(s->jobs.job, s->part);
	return *out != NULL ? 0 : LIST_NO_PART;
}

static int find(struct query *q)
{
	query_table(q, TABLE_JOBS);
	return 0;
}

bool job_row_scales(const struct job_row *job)
{
	bool found = false;

	for (unsigned i = 0; i < job_row_groups(job) && !found && (job->flags & JOB_STOP) == 0; i++) {
		found = (job_row_group_flags(job, i) & SPEC_GROUP_SCALES) != 0;
	}
	return found;
}

/* ---- the list ---- */

/* Parameters that choose policies; "": all. */
static const char *chosen(const struct query *q, const char *name)
{
	const char *value = http_query(q->req, name);

	return value != NULL ? value : "";
}

static void open_policies(struct query *q, struct rows *r)
{
	rows_jobs(r, q->v, query_ns(q), chosen(q, "job"));
}

static bool match_policies(const struct query *q, const struct row *row)
{
	const struct job_row *job = (const struct job_row *)row;
	const char *id = chosen(q, "job");

	return (id[0] == '\0' || strcmp(id, job_row_id(job)) == 0) && job_row_scales(job);
}

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int get_stub(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	const struct scaling_policy *p;
	int rv = part(row, s, &p);

	if (rv != 0) {
		return rv;
	}
	*(struct scaling_stub *)obj = (struct scaling_stub){.id = p->id,
							    .enabled = p->enabled.at != 0,
							    .type = p->type,
							    .target = p->target,
							    .create_index = p->create_index,
							    .modify_index = p->modify_index};
	return begins_with(p->type, chosen(q, "type")) && begins_with(p->id, q->opt.prefix) ? 0 : LIST_SKIP;
}

static bool sees_policies(const struct acl *acl, const struct row *row)
{
	const char *ns = job_row_ns((const struct job_row *)row);

	return acl_in_namespace_any(acl, ns, ACL_BIT(LIST_SCALING_POLICIES) | ACL_BIT(LIST_JOBS)) &&
	       acl_in_namespace_any(acl, ns, ACL_BIT(LIST_SCALING_POLICIES) | ACL_BIT(READ_JOB));
}

static const struct list_kind policy_list = {.type = &scaling_stub_type,
					     .open = open_policies,
					     .match = match_policies,
					     .sees = sees_policies,
					     .get = get_stub,
					     .in_parts = true};
const struct query_kind query_scaling_policies = {.find = find, .list = &policy_list};

/* ---- one of them ---- */

static void open_all(struct query *q, struct rows *r)
{
	rows_jobs(r, q->v, NULL, "");
}

static bool match_all(const struct query *q, const struct row *row)
{
	(void)q;
	return job_row_scales((const struct job_row *)row);
}

static int get_policy(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	const struct scaling_policy *p;
	int rv = part(row, s, &p);

	if (rv != 0) {
		return rv;
	}
	*(struct scaling_policy *)obj = *p;
	return strcmp(p->id, uuid_text(&s->mem, &q->id)) == 0 ? 0 : LIST_SKIP;
}

static bool sees_policy(const struct acl *acl, const struct row *row)
{
	return acl_in_namespace_any(acl, job_row_ns((const struct job_row *)row),
				    ACL_BIT(READ_SCALING_POLICY) | ACL_BIT(READ_JOB));
}

static const struct list_kind policy_found = {.type = &scaling_policy_type,
					      .open = open_all,
					      .match = match_all,
					      .sees = sees_policy,
					      .get = get_policy,
					      .in_parts = true,
					      .first = true};
const struct query_kind query_scaling_policy = {
	.begin = query_begin_any_id, .find = find, .list = &policy_found, .missing = "policy not found"};
