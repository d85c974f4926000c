/* Services: who offers what, and where. */
#include <stdlib.h>

#include <xxhash.h>

#include "proto/error.h"
#include "server/api_handlers.h"

#define SERVICE_STUB_FIELDS(X, T)                                                                                      \
	X(T, STR, service_name, "ServiceName")                                                                         \
	X(T, STRS, tags, "Tags")

OBJECT_DECLARE(service_stub, SERVICE_STUB_FIELDS);
OBJECT_DEFINE(service_stub, SERVICE_STUB_FIELDS);

static const struct service_row *service_of(const struct row *row)
{
	return (const struct service_row *)row;
}

/* All reads of services are told anew with each change of any of them: a service that goes leaves no index behind. */
static int find_services(struct query *q)
{
	query_table(q, TABLE_SERVICES);
	return 0;
}

/* ---- what there is ---- */

/* Tags of one service, each once, in the making. */
struct tag_set {
	struct arena *mem;
	const char **at;
	uint32_t n, cap;
	const struct blob *last; /* Whose tags were added last: mostly all have the same. */
};

/* In place of the first that is not before it. ERR_NOMEM. */
static int add_tag(struct tag_set *s, const char *tag)
{
	uint32_t low = 0;
	uint32_t high = s->n;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		int order = strcmp(s->at[middle], tag);

		if (order == 0) {
			return 0;
		}
		low = order < 0 ? middle + 1 : low;
		high = order < 0 ? high : middle;
	}
	if (s->n == s->cap) {
		uint32_t cap = s->cap == 0 ? 8 : s->cap * 2;
		const char **at = arena_calloc(s->mem, cap, sizeof(*at));

		if (at == NULL) {
			return ERR_NOMEM;
		}
		if (s->n > 0) {
			memcpy(at, s->at, s->n * sizeof(*at));
		}
		s->at = at;
		s->cap = cap;
	}
	memmove(s->at + low + 1, s->at + low, (s->n - low) * sizeof(*s->at));
	s->at[low] = tag;
	s->n++;
	return 0;
}

static int add_tags(struct tag_set *s, const struct service_row *row)
{
	struct service_tags tags;
	uint32_t i;
	int rv;

	if (row->tags == NULL || (s->last != NULL && s->last->hash == row->tags->hash)) {
		return 0;
	}
	s->last = row->tags;
	rv = service_row_tags(row, &tags, s->mem);
	for (i = 0; rv == 0 && i < tags.tags.n; i++) {
		rv = add_tag(s, tags.tags.at[i]);
	}
	return rv;
}

static bool same_ns(const struct service_row *a, const struct service_row *b)
{
	return a != NULL && b != NULL && strcmp(service_row_ns(a), service_row_ns(b)) == 0;
}

static bool same_service(const struct service_row *a, const struct service_row *b)
{
	return same_ns(a, b) && strcmp(service_row_name(a), service_row_name(b)) == 0;
}

/* A service, behind `before`, the one told last: a namespace begins with its first one. */
static void put_service(struct buf *out, const struct service_row *row, const struct service_row *before,
			const struct tag_set *tags)
{
	struct service_stub stub = {.service_name = service_row_name(row), .tags = {.at = tags->at, .n = tags->n}};

	if (same_ns(before, row)) {
		buf_byte(out, ',');
	} else {
		buf_str(out, before != NULL ? "]},{\"Namespace\":" : "{\"Namespace\":");
		json_put_str(out, service_row_ns(row), strlen(service_row_ns(row)));
		buf_str(out, ",\"Services\":[");
	}
	json_encode(&service_stub_type, &stub, out);
}

/* Rows come sorted by namespace and name. */
static int render_services(struct query *q, struct buf *out)
{
	struct tag_set tags = {.mem = &q->req->mem};
	const struct service_row *before = NULL;
	const struct service_row *last = NULL;
	const struct service_row *row;
	bool seen = true;
	struct rows r;
	int rv = 0;

	rows_services(&r, q->v, query_ns(q), NULL);
	row = service_next(&r);
	buf_byte(out, '[');
	while (row != NULL && rv == 0) {
		const struct service_row *next = service_next(&r);

		if (!same_ns(last, row)) {
			seen = access_in(q->req, service_row_ns(row), ACL_READ_JOB);
		}
		last = row;
		rv = seen ? add_tags(&tags, row) : 0;
		if (seen && !same_service(row, next)) {
			put_service(out, row, before, &tags);
			before = row;
			tags = (struct tag_set){.mem = tags.mem};
		}
		row = next;
	}
	buf_str(out, before != NULL ? "]}]" : "]");
	return rv != 0 ? rv : out->failed ? ERR_NOMEM : 0;
}

const struct query_kind query_services = {.find = find_services, .render = render_services};

/* ---- where they are ---- */

static int get_service(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	return service_row_get(q->v, service_of(row), obj, &s->mem);
}

static void open_service(struct query *q, struct rows *r)
{
	if (query_ns(q) == NULL) {
		rows_services(r, q->v, NULL, NULL);
	} else {
		rows_services(r, q->v, query_ns(q), q->req->params[0]);
	}
}

static bool match_service(const struct query *q, const struct row *row)
{
	return strcmp(service_row_name(service_of(row)), q->req->params[0]) == 0;
}

static bool sees_service(const struct acl *acl, const struct row *row)
{
	return acl_in_namespace(acl, service_row_ns(service_of(row)), ACL_READ_JOB);
}

static const struct list_kind service_list = {.type = &service_registration_type,
					      .open = open_service,
					      .match = match_service,
					      .sees = sees_service,
					      .get = get_service,
					      .key = LIST_BY_SERVICE};

/* ---- choosing some of them ---- */

enum { CHOOSE_MAX = 1024 };

struct choice {
	const char *key;
	uint32_t n;
};

struct chosen {
	uint64_t weight;
	const struct service_row *row;
};

/* Those with the greatest weights for a key: who asks with the same key gets the same ones as long as they are there,
 * and others with other keys (rendezvous hashing). */
static uint64_t weigh(const char *key, const struct service_row *row)
{
	return XXH3_64bits_withSeed(service_row_id(row), strlen(service_row_id(row)), XXH3_64bits(key, strlen(key)));
}

/* Into its place among the best. */
static void choose(struct chosen *best, uint32_t *n, uint32_t most, struct chosen one)
{
	uint32_t i;

	if (*n == most && best[most - 1].weight >= one.weight) {
		return;
	}
	*n += *n < most;
	for (i = *n - 1; i > 0 && best[i - 1].weight < one.weight; i--) {
		best[i] = best[i - 1];
	}
	best[i] = one;
}

static int render_chosen(struct query *q, struct buf *out)
{
	const struct choice *c = q->own;
	struct chosen *best = arena_calloc(&q->req->mem, c->n, sizeof(*best));
	const struct service_row *row;
	struct rows r;
	uint32_t n = 0;
	uint32_t i;
	int rv = best != NULL ? 0 : ERR_NOMEM;

	open_service(q, &r);
	while (rv == 0 && (row = service_next(&r)) != NULL) {
		if (access_in(q->req, service_row_ns(row), ACL_READ_JOB) && match_service(q, &row->row)) {
			choose(best, &n, c->n, (struct chosen){weigh(c->key, row), row});
		}
	}
	buf_byte(out, '[');
	for (i = 0; rv == 0 && i < n; i++) {
		struct service_registration s;

		rv = service_row_get(q->v, best[i].row, &s, &q->req->mem);
		if (rv == 0) {
			buf_str(out, i > 0 ? "," : "");
			json_encode(&service_registration_type, &s, out);
		}
	}
	buf_byte(out, ']');
	return rv;
}

static const struct query_kind chosen_services = {.find = find_services, .render = render_chosen};

/* "2|some key" */
static bool choice_parse(const char *text, struct choice *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end != '|' || end[1] == '\0' || n < 1 || n > CHOOSE_MAX || text[0] == '-') {
		return false;
	}
	*out = (struct choice){end + 1, (uint32_t)n};
	return true;
}

/* With ?choose= the read goes on as another. */
static int begin_service(struct query *q)
{
	const char *text = http_query(q->req, "choose");
	struct choice *c;

	if (text == NULL || text[0] == '\0') {
		return 0;
	}
	c = arena_alloc(&q->req->mem, sizeof(*c));
	if (c == NULL || !choice_parse(text, c)) {
		http_answer_text(q->req, 400, "choose must be NUMBER|KEY, with a number from 1 to %d", CHOOSE_MAX);
		return ERR_INVALID;
	}
	q->own = c;
	q->kind = &chosen_services;
	return 0;
}

const struct query_kind query_service = {.begin = begin_service, .find = find_services, .list = &service_list};

/* ---- of a job, of an allocation ---- */

static int find_job_services(struct query *q)
{
	query_table(q, TABLE_SERVICES);
	return state_job(q->v, q->opt.namespace_, q->req->params[0]) != NULL ? 0 : ERR_NOTFOUND;
}

static void open_job_services(struct query *q, struct rows *r)
{
	rows_services(r, q->v, q->opt.namespace_, NULL);
}

static bool match_job_service(const struct query *q, const struct row *row)
{
	const struct alloc_row *alloc = state_alloc(q->v, &service_of(row)->alloc_id);

	return alloc != NULL && strcmp(job_row_id(alloc->job), q->req->params[0]) == 0;
}

static const struct list_kind job_service_list = {.type = &service_registration_type,
						  .open = open_job_services,
						  .match = match_job_service,
						  .get = get_service,
						  .key = LIST_BY_SERVICE};
const struct query_kind query_job_services = {
	.find = find_job_services, .list = &job_service_list, .missing = "job not found"};

static int find_alloc_services(struct query *q)
{
	const struct alloc_row *row = state_alloc(q->v, &q->id);

	query_table(q, TABLE_SERVICES);
	return row != NULL && query_ns_is(q, job_row_ns(row->job)) ? 0 : ERR_NOTFOUND;
}

static void open_alloc_services(struct query *q, struct rows *r)
{
	rows_services_of_alloc(r, q->v, &q->id);
}

static const struct list_kind alloc_service_list = {
	.type = &service_registration_type, .open = open_alloc_services, .get = get_service, .key = LIST_WHOLE};
const struct query_kind query_alloc_services = {.begin = query_begin_id,
						.find = find_alloc_services,
						.list = &alloc_service_list,
						.missing = "allocation not found"};

/* ---- writes ---- */

static void answer_deleted(struct write *w, const struct apply_result *r)
{
	if (!write_refused_as(w, r, 404)) {
		http_answer_json(w->req, &(struct buf){0}, r->index);
	}
}

void serve_service_delete(struct api *api, struct http_request *req)
{
	struct write *w = write_new(api, req);

	if (w != NULL) {
		write_propose(w, COMMAND_SERVICE_DELETE,
			      &(struct service_delete){w->ns, req->params[0], req->params[1]}, answer_deleted);
	}
}
