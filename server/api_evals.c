/* Evaluations. */
#include "proto/error.h"
#include "proto/filter.h"
#include "server/api_handlers.h"

#define EVALS_DELETE_REQUEST_FIELDS(X, T)                                                                              \
	X(T, STRS, ids, "EvalIDs")                                                                                     \
	X(T, STR, filter, "Filter")

#define EVALS_DELETED_FIELDS(X, T)                                                                                     \
	X(T, INT, count, "Count")                                                                                      \
	X(T, INT, index, "Index")

OBJECT_DECLARE(evals_delete_request, EVALS_DELETE_REQUEST_FIELDS);
OBJECT_DECLARE(evals_deleted, EVALS_DELETED_FIELDS);
OBJECT_DEFINE(evals_delete_request, EVALS_DELETE_REQUEST_FIELDS);
OBJECT_DEFINE(evals_deleted, EVALS_DELETED_FIELDS);

/* ---- the list ---- */

static int find_evals(struct query *q)
{
	query_table(q, TABLE_EVALS);
	return 0;
}

static void open_evals(struct query *q, struct rows *r)
{
	rows_evals(r, q->v, query_prefix(q));
}

static bool is_or_any(const struct query *q, const char *name, const char *value)
{
	const char *want = http_query(q->req, name);

	return want == NULL || want[0] == '\0' || strcmp(want, value) == 0;
}

static bool match_eval(const struct query *q, const struct row *row)
{
	const struct eval_row *e = (const struct eval_row *)row;

	return query_ns_is(q, eval_row_ns(e)) && is_or_any(q, "job", eval_row_job(e)) &&
	       is_or_any(q, "status", eval_status_text(e->status));
}

static int get_eval(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	(void)q;
	return eval_row_get((const struct eval_row *)row, obj, &s->mem);
}

static bool sees_eval(const struct acl *acl, const struct row *row)
{
	return acl_in_namespace(acl, eval_row_ns((const struct eval_row *)row), ACL_READ_JOB);
}

static uint64_t eval_age(const struct row *row)
{
	return ((const struct eval_row *)row)->create_index;
}

static struct uuid eval_id(const struct row *row)
{
	return ((const struct eval_row *)row)->id;
}

static const struct list_kind eval_list = {.type = &evaluation_type,
					   .open = open_evals,
					   .match = match_eval,
					   .sees = sees_eval,
					   .get = get_eval,
					   .key = LIST_BY_ID,
					   .age = eval_age,
					   .id = eval_id};
const struct query_kind query_evals = {.begin = query_begin_prefix, .find = find_evals, .list = &eval_list};

/* ---- one, and what is related to it ---- */

enum { EVAL_RELATED = 1, RELATED_MAX = 100 };

static int begin_eval(struct query *q)
{
	bool related = false;

	if (query_begin_id(q) != 0) {
		return ERR_INVALID;
	}
	if (http_query_bool(q->req, "related", &related) != 0) {
		http_answer_text(q->req, 400, "%s", q->req->error);
		return ERR_INVALID;
	}
	q->flags = related ? EVAL_RELATED : 0;
	return 0;
}

static int find_eval(struct query *q)
{
	const struct eval_row *row = state_eval(q->v, &q->id);
	int rv = query_found(q, TABLE_EVALS, watch_key_id(&q->id), ROW_OF(row), row != NULL ? row->modify_index : 0);

	if ((q->flags & EVAL_RELATED) != 0) {
		q->stamp = 0; /* The others change on their own. */
	}
	return rv;
}

struct related {
	const struct view *v;
	struct arena *mem;
	struct uuid seen[RELATED_MAX]; /* The evaluation itself first. */
	uint32_t n;
};

static void note(struct related *r, const char *id_text)
{
	struct uuid id;
	uint32_t i;

	if (!uuid_parse(id_text, strlen(id_text), &id) || r->n == RELATED_MAX) {
		return;
	}
	for (i = 0; i < r->n && !uuid_equal(&r->seen[i], &id); i++) {
	}
	if (i == r->n) {
		r->seen[r->n++] = id;
	}
}

/* Everything that is reached over next, previous and blocked evaluations. */
static int put_related(struct related *r, struct evaluation *e)
{
	int rv = 0;

	e->related_evals.at = arena_calloc(r->mem, RELATED_MAX, sizeof(e->related_evals.at[0]));
	if (e->related_evals.at == NULL) {
		return ERR_NOMEM;
	}
	note(r, e->next_eval);
	note(r, e->previous_eval);
	note(r, e->blocked_eval);
	for (uint32_t i = 1; i < r->n && rv == 0; i++) {
		const struct eval_row *row = state_eval(r->v, &r->seen[i]);
		struct eval_stub *stub = &e->related_evals.at[e->related_evals.n];

		if (row != NULL) {
			rv = eval_row_stub(row, stub, r->mem);
			e->related_evals.n++;
			if (rv == 0) {
				note(r, stub->next_eval);
				note(r, stub->previous_eval);
				note(r, stub->blocked_eval);
			}
		}
	}
	return rv;
}

static int render_eval(struct query *q, struct buf *out)
{
	struct related r = {.v = q->v, .mem = &q->req->mem, .seen = {q->id}, .n = 1};
	struct evaluation e;
	int rv = eval_row_get(q->row, &e, &q->req->mem);

	if (rv == 0 && (q->flags & EVAL_RELATED) != 0) {
		rv = put_related(&r, &e);
	}
	if (rv == 0) {
		json_encode(&evaluation_type, &e, out);
	}
	return rv;
}

const struct query_kind query_eval = {
	.begin = begin_eval, .find = find_eval, .render = render_eval, .missing = "eval not found"};

/* ---- counting ---- */

static const struct list_kind eval_count = {
	.type = &evaluation_type, .open = open_evals, .match = match_eval, .sees = sees_eval, .get = get_eval,
	.count = true};
const struct query_kind query_evals_count = {.begin = query_begin_prefix, .find = find_evals, .list = &eval_count};

/* ---- deleting ---- */

enum { DELETE_CHUNK = 500, DELETE_MAX = 10000, LOOK_CHUNK = 500 };

struct deletion {
	struct api *api;
	struct http_request *req;
	struct uuid *ids;
	struct id_ref *refs;
	uint32_t n;
	uint32_t done;
	uint32_t count; /* Deleted. */

	/* While a filter picks them. */
	struct deadline next_slice;
	const struct view *v;
	struct filter *filter;
	struct rows rows;
};

static void delete_some(struct write *w);

static void answer_deleted(struct write *w, const struct apply_result *r)
{
	struct deletion *d = w->own;
	struct evals_deleted a;

	if (write_refused(w, r)) {
		return;
	}
	d->count += r->count;
	if (d->done < d->n) {
		delete_some(w);
		return;
	}
	a = (struct evals_deleted){d->count, (int64_t)r->index};
	answer_object(w->req, &evals_deleted_type, &a, r->index);
}

static void delete_some(struct write *w)
{
	struct deletion *d = w->own;
	uint32_t n = d->n - d->done < DELETE_CHUNK ? d->n - d->done : DELETE_CHUNK;
	struct evals_delete p;

	object_init(&evals_delete_type, &p);
	p.evals.at = d->refs + d->done;
	p.evals.n = n;
	p.force = true;
	w->once = d->done > 0; /* What is deleted already need not be found again. */
	d->done += n;
	write_propose(w, COMMAND_EVALS_DELETE, &p, answer_deleted);
}

static void start_deletion(struct deletion *d)
{
	struct evals_deleted none = {0, 0};
	struct write *w = d->n > 0 ? write_new(d->api, d->req) : NULL;

	if (d->n == 0) {
		answer_object(d->req, &evals_deleted_type, &none, 0);
	} else if (w != NULL) {
		w->own = d;
		delete_some(w);
	}
}

static void add_id(struct deletion *d, const struct uuid *id)
{
	d->ids[d->n] = *id;
	d->refs[d->n] = (struct id_ref){uuid_bytes(&d->ids[d->n])};
	d->n++;
}

/* Whether what has failed may still be replaced, for which its evaluation is asked. */
static int is_to_be_replaced(const struct alloc_row *alloc, const struct job_row *row, bool *yes)
{
	int group = job_row_group_find(row, alloc_row_group(alloc));
	const struct reschedule_policy *p;
	struct arena mem = {0};
	struct job job;
	int rv = job_row_get(row, &job, &mem);

	*yes = false;
	if (rv == 0 && group >= 0 && (uint32_t)group < job.task_groups.n) {
		p = job.task_groups.at[group].reschedule_policy;
		*yes = p != NULL && (p->unlimited.at || p->attempts.at > 0) &&
		       ((alloc->flags & ALLOC_REPLACED) == 0 || p->unlimited.at ||
			(alloc->flags & ALLOC_RESCHEDULED) == 0);
	}
	arena_close(&mem);
	return rv;
}

/* Open ones are what operators delete; what running allocations came of, and what may be rescheduled, stays. */
static int is_safe(const struct view *v, const struct eval_row *e, bool *safe)
{
	const struct job_row *job = state_job(v, eval_row_ns(e), eval_row_job(e));
	const struct alloc_row *alloc;
	struct rows r;
	int rv = 0;

	*safe = true;
	if (job == NULL || (job->flags & JOB_STOP) != 0 || job->status == JOB_STATUS_DEAD) {
		return 0;
	}
	rows_allocs_of_eval(&r, v, &e->id);
	while (*safe && rv == 0 && (alloc = alloc_next(&r)) != NULL) {
		bool replaced = false;

		if (alloc->client == ALLOC_CLIENT_FAILED) {
			rv = is_to_be_replaced(alloc, job, &replaced);
		}
		*safe = !replaced && alloc->client != ALLOC_CLIENT_RUNNING && alloc->client != ALLOC_CLIENT_UNKNOWN;
	}
	return rv;
}

/* Not 0: answered. */
static int check_given(struct deletion *d, const struct view *v, const struct uuid *id)
{
	const struct eval_row *e = state_eval(v, id);
	bool safe = false;
	int rv = e != NULL ? is_safe(v, e, &safe) : 0;

	if (rv != 0) {
		http_answer_error(d->req, rv);
	} else if (e == NULL) {
		http_answer_text(d->req, 500, "eval not found");
	} else if (!safe) {
		http_answer_text(d->req, 500, "eval %s is not safe to delete", uuid_text(&d->req->mem, id));
	}
	return rv != 0 ? rv : safe ? 0 : ERR_INVALID;
}

static int check_all_given(struct deletion *d)
{
	const struct view *v = d->api->link->ops->view(d->api->link);
	int rv = 0;

	for (uint32_t i = 0; i < d->n && rv == 0; i++) {
		rv = check_given(d, v, &d->ids[i]);
	}
	view_release(v);
	return rv;
}

static int add_given(struct deletion *d, const struct strs *ids)
{
	if (ids->n > DELETE_MAX) {
		http_answer_text(d->req, 400, "request includes %u evaluation IDs, must be %d or fewer", ids->n,
				 DELETE_MAX);
		return ERR_INVALID;
	}
	for (uint32_t i = 0; i < ids->n; i++) {
		const char *why;
		struct uuid id;

		if (api_uuid(ids->at[i], &id, &why) != 0) {
			http_answer_text(d->req, 500, "%s: %s", why, ids->at[i]);
			return ERR_INVALID;
		}
		add_id(d, &id);
	}
	return check_all_given(d);
}

/* Whether an evaluation passes the filter and may go; *rv gets an error. */
static bool passes(const struct deletion *d, const struct eval_row *row, int *rv)
{
	struct arena mem = {0};
	struct evaluation e;
	uint64_t cost = 0;
	bool yes = false;

	*rv = eval_row_get(row, &e, &mem);
	if (*rv == 0) {
		*rv = filter_match(d->filter, &e, &cost, &yes);
	}
	arena_close(&mem);
	if (*rv == 0 && yes) {
		*rv = is_safe(d->v, row, &yes);
	}
	return yes && *rv == 0;
}

static void end_picking(struct deletion *d, int rv)
{
	view_release(d->v);
	if (rv == ERR_TOOBIG) {
		http_answer_text(d->req, 400, "%s", FILTER_TOO_COSTLY);
	} else if (rv != 0) {
		http_answer_error(d->req, rv);
	} else {
		start_deletion(d);
	}
}

/* Some of the evaluations, and the next in another turn; as many as one request may delete. */
static void pick_slice(struct deadline *deadline)
{
	struct deletion *d = CONTAINER_OF(deadline, struct deletion, next_slice);
	const struct eval_row *row = NULL;
	int rv = 0;

	for (unsigned i = 0; i < LOOK_CHUNK && rv == 0 && d->n < DELETE_MAX; i++) {
		row = eval_next(&d->rows);
		if (row == NULL) {
			break;
		}
		if (passes(d, row, &rv)) {
			add_id(d, &row->id);
		}
	}
	if (row == NULL || rv != 0 || d->n == DELETE_MAX) {
		end_picking(d, rv);
	} else if (deadline_set(d->api, &d->next_slice, api_now(d->api) + 1) != 0) {
		end_picking(d, ERR_NOMEM);
	}
}

static void pick(struct deletion *d, const char *text)
{
	char why[FILTER_WHY] = "";

	if (filter_compile(text, &evaluation_type, &d->req->mem, &d->filter, why) != 0) {
		http_answer_text(d->req, 400, "failed to read filter expression: %s", why);
		return;
	}
	d->v = d->api->link->ops->view(d->api->link);
	d->next_slice.due_cb = pick_slice;
	rows_evals(&d->rows, d->v, NULL);
	pick_slice(&d->next_slice);
}

static struct deletion *new_deletion(struct api *api, struct http_request *req)
{
	struct deletion *d = arena_calloc(&req->mem, 1, sizeof(*d));

	if (d != NULL) {
		d->api = api;
		d->req = req;
		d->ids = arena_alloc(&req->mem, DELETE_MAX * sizeof(d->ids[0]));
		d->refs = arena_alloc(&req->mem, DELETE_MAX * sizeof(d->refs[0]));
	}
	if (d == NULL || d->ids == NULL || d->refs == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return NULL;
	}
	return d;
}

/* Only while the broker is paused: nobody works on them then. */
static bool broker_is_paused(struct api *api, struct http_request *req)
{
	const struct view *v = api->link->ops->view(api->link);
	struct scheduler_config config;
	int rv = state_scheduler_config(v, &config, &req->mem);

	view_release(v);
	if (rv != 0) {
		http_answer_error(req, rv);
	} else if (!config.pause_eval_broker) {
		http_answer_text(req, 500, "eval broker is enabled; eval broker must be paused to delete evals");
	}
	return rv == 0 && config.pause_eval_broker;
}

void serve_evals_delete(struct api *api, struct http_request *req)
{
	struct evals_delete_request body;
	struct deletion *d;

	if (body_decode(req, &evals_delete_request_type, &body, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if ((body.ids.n > 0) == (body.filter[0] != '\0')) {
		http_answer_text(req, 400,
				 body.ids.n > 0 ? "evals cannot be deleted by both ID and filter"
						: "evals must be deleted by either ID or filter");
		return;
	}
	d = broker_is_paused(api, req) ? new_deletion(api, req) : NULL;
	if (d == NULL) {
		return;
	}
	if (body.filter[0] != '\0') {
		pick(d, body.filter);
	} else if (add_given(d, &body.ids) == 0) {
		start_deletion(d);
	}
}
