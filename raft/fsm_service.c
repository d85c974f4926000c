/* Services: what running allocations offer, as their clients tell it. */
#include <string.h>

#include "raft/fsm_work.h"

static const char prefix[] = "_nomad-task-";

/* Whether a row can be made of it. Its ID begins with that of the allocation, so that no allocation has another's. */
static bool fits(const struct alloc_row *alloc, const struct service_registration *s)
{
	char id[UUID_TEXT];

	uuid_format(&alloc->id, id);
	return s->service_name[0] != '\0' && strlen(s->service_name) <= SERVICE_NAME_MAX &&
	       strlen(s->id) <= SERVICE_ID_MAX && strncmp(s->id, prefix, strlen(prefix)) == 0 &&
	       strncmp(s->id + strlen(prefix), id, strlen(id)) == 0;
}

/* How many of them count. */
static uint32_t bounded(uint32_t n)
{
	return n < ALLOC_SERVICES_MAX ? n : ALLOC_SERVICES_MAX;
}

static struct blob *tags_of(struct fsm_work *f, const struct service_registration *s)
{
	return fsm_pack(f, &service_tags_type, &(struct service_tags){s->tags});
}

/* What else neither the key nor the allocation tells. */
static struct blob *rest_of(struct fsm_work *f, const struct service_registration *s)
{
	struct service_registration rest;

	object_init(&service_registration_type, &rest);
	rest.address = s->address;
	rest.port = s->port;
	rest.datacenter = s->datacenter;
	return fsm_pack(f, &service_registration_type, &rest);
}

static bool same_blob(const struct blob *a, const struct blob *b)
{
	return a == NULL || b == NULL ? a == b : a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static const struct service_row *row_of(struct fsm_work *f, const struct alloc_row *alloc,
					const struct service_registration *s)
{
	return state_service(view_of(f), job_row_ns(alloc->job), s->service_name, s->id);
}

static bool is_as_told(struct fsm_work *f, const struct alloc_row *alloc, const struct service_registration *s)
{
	const struct service_row *row = row_of(f, alloc, s);
	struct blob *tags = tags_of(f, s);
	struct blob *rest = rest_of(f, s);
	bool same = row != NULL && same_blob(row->tags, tags) && same_blob(row->rest, rest);

	blob_unref(tags);
	blob_unref(rest);
	return same;
}

static struct service_row *new_row(struct fsm_work *f, const struct alloc_row *alloc,
				   const struct service_registration *s)
{
	const char *ns = job_row_ns(alloc->job);
	struct service_row *row;
	struct key key;

	key_job(&key, ns, s->service_name);
	key_text(&key, s->id);
	row = (struct service_row *)row_new(TABLE_SERVICES, key.len);
	memcpy(row->key, key.at, key.len);
	row->ns_len = (uint16_t)strlen(ns);
	row->name_len = (uint16_t)strlen(s->service_name);
	row->alloc_id = alloc->id;
	row->create_index = index_of(f);
	fsm_serial(f, row->serial);
	return row;
}

static void put(struct fsm_work *f, const struct alloc_row *alloc, const struct service_registration *s)
{
	const struct service_row *old = row_of(f, alloc, s);
	struct service_row *row = old != NULL ? writer_edit(&f->w, &old->row) : new_row(f, alloc, s);

	row->modify_index = index_of(f);
	blob_set(&row->tags, tags_of(f, s));
	blob_set(&row->rest, rest_of(f, s));
	writer_put(&f->w, &row->row);
}

/* Whether a service that is there is told. */
static bool is_told(const struct service_row *row, const struct alloc_row *alloc, const struct service_registration *at,
		    uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (fits(alloc, &at[i]) && strcmp(at[i].service_name, service_row_name(row)) == 0 &&
		    strcmp(at[i].id, service_row_id(row)) == 0) {
			return true;
		}
	}
	return false;
}

/* The services it has now. */
static const struct service_row **known(struct fsm_work *f, const struct uuid *alloc, size_t *n)
{
	struct rows r;

	rows_services_of_alloc(&r, view_of(f), alloc);
	return (const struct service_row **)(void *)fsm_collect(f, &r, n);
}

bool fsm_services_same(struct fsm_work *f, const struct alloc_row *alloc, const struct service_registration *at,
		       uint32_t n)
{
	size_t have;
	const struct service_row **rows = known(f, &alloc->id, &have);
	size_t i;

	n = alloc->client == ALLOC_CLIENT_RUNNING ? bounded(n) : 0;
	for (i = 0; i < have; i++) {
		if (!is_told(rows[i], alloc, at, n)) {
			return false;
		}
	}
	for (i = 0; i < n; i++) {
		if (fits(alloc, &at[i]) && !is_as_told(f, alloc, &at[i])) {
			return false;
		}
	}
	return true;
}

void fsm_services_set(struct fsm_work *f, const struct alloc_row *alloc, const struct service_registration *at,
		      uint32_t n)
{
	size_t have;
	const struct service_row **rows = known(f, &alloc->id, &have);
	size_t i;

	n = alloc->client == ALLOC_CLIENT_RUNNING ? bounded(n) : 0;
	for (i = 0; i < have; i++) {
		if (!is_told(rows[i], alloc, at, n)) {
			writer_remove(&f->w, &rows[i]->row);
		}
	}
	for (i = 0; i < n; i++) {
		if (fits(alloc, &at[i]) && !is_as_told(f, alloc, &at[i])) {
			put(f, alloc, &at[i]);
		}
	}
}

void fsm_services_remove(struct fsm_work *f, const struct uuid *alloc)
{
	size_t n;
	const struct service_row **rows;
	size_t i;

	if (view_count(view_of(f), TABLE_SERVICES) == 0) {
		return;
	}
	rows = known(f, alloc, &n);
	for (i = 0; i < n; i++) {
		writer_remove(&f->w, &rows[i]->row);
	}
}

void fsm_SERVICE_DELETE(struct fsm_work *f, const struct service_delete *p)
{
	const struct service_row *row = state_service(view_of(f), p->namespace_, p->name, p->id);

	if (row == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "service registration not found");
		return;
	}
	writer_remove(&f->w, &row->row);
}
