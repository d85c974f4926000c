/* Variables: listed without their items, read, written, locked. */
#include <string.h>

#include "lib/timefmt.h"
#include "proto/error.h"
#include "server/api_handlers.h"

/* ---- rows as the API shows them ---- */

/* NULL when it is not locked. `whose`: with the ID that lets one write. */
static struct variable_lock *lock_of(const struct sealed_variable *v, bool whose, struct arena *mem)
{
	struct variable_lock *lock;
	char *text;

	if (v->lock_id[0] == '\0') {
		return NULL;
	}
	lock = arena_alloc(mem, sizeof(*lock));
	text = arena_alloc(mem, 2 * (size_t)DURATION_TEXT);
	if (lock == NULL || text == NULL) {
		return NULL;
	}
	duration_format(v->ttl_ns, text);
	duration_format(v->lock_delay_ns, text + DURATION_TEXT);
	*lock = (struct variable_lock){whose ? v->lock_id : "", text, text + DURATION_TEXT};
	return lock;
}

static int get_stub(const struct object_row *row, struct variable_stub *out, struct arena *mem)
{
	struct sealed_variable v;
	int rv = object_row_get(row, &sealed_variable_type, &v, mem);

	*out = (struct variable_stub){.namespace_ = row->key,
				      .path = variable_row_path(row),
				      .create_index = (int64_t)row->create_index,
				      .modify_index = (int64_t)row->modify_index,
				      .create_time = v.create_time_ns,
				      .modify_time = v.modify_time_ns,
				      .lock = lock_of(&v, true, mem)};
	return rv;
}

static int open_items(const struct api *api, const struct view *v, const struct object_row *row,
		      const struct sealed_variable *sealed, struct map *out, struct arena *mem)
{
	const struct object_row *key_row = state_root_key(v, sealed->key_id);
	struct root_key key;
	int rv = 0;

	*out = (struct map){NULL, 0};
	if (sealed->data.n == 0) {
		return 0;
	}
	rv = key_row != NULL ? object_row_get(key_row, &root_key_type, &key, mem) : ERR_NOTFOUND;
	return rv != 0 ? rv
		       : keyring_open(api->config.keyring, &key, row->key, variable_row_path(row), &sealed->data, out,
				      mem);
}

static int get_variable(const struct api *api, const struct view *v, const struct object_row *row, bool whose,
			struct variable *out, struct arena *mem)
{
	struct sealed_variable sealed;
	int rv = object_row_get(row, &sealed_variable_type, &sealed, mem);

	if (rv != 0) {
		return rv;
	}
	*out = (struct variable){.namespace_ = row->key,
				 .path = variable_row_path(row),
				 .create_index = (int64_t)row->create_index,
				 .modify_index = (int64_t)row->modify_index,
				 .create_time = sealed.create_time_ns,
				 .modify_time = sealed.modify_time_ns,
				 .lock = lock_of(&sealed, whose, mem)};
	return open_items(api, v, row, &sealed, &out->items, mem);
}

/* Why items cannot be sealed or opened, for the client. */
static const char *keyring_fault(int rv)
{
	switch (rv) {
	case ERR_NOTFOUND:
		return "the root key that encrypts it is not there";
	case ERR_REFUSED:
		return "the root key is wrapped by a key that this server does not have (server.wrapping_key_file)";
	case ERR_CORRUPT:
		return "it cannot be decrypted";
	default:
		return error_text(rv);
	}
}

/* ---- reads ---- */

static int find_variables(struct query *q)
{
	query_table(q, TABLE_VARIABLES);
	return 0;
}

static void open_variables(struct query *q, struct rows *r)
{
	rows_variables(r, q->v, query_ns(q), q->opt.prefix);
}

static bool match_variable(const struct query *q, const struct row *row)
{
	return strncmp(variable_row_path((const struct object_row *)row), q->opt.prefix, strlen(q->opt.prefix)) == 0;
}

static int get_listed(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	(void)q;
	return get_stub((const struct object_row *)row, obj, &s->mem);
}

static bool sees_variable(const struct acl *acl, const struct row *row)
{
	const struct object_row *o = (const struct object_row *)row;

	return acl_variable(acl, o->key, variable_row_path(o), ACL_VARIABLE_LIST);
}

static const struct list_kind variable_list = {.type = &variable_stub_type,
					       .open = open_variables,
					       .match = match_variable,
					       .sees = sees_variable,
					       .get = get_listed,
					       .key = LIST_BY_VARIABLE};
const struct query_kind query_variables = {.find = find_variables, .list = &variable_list};

/* What is decrypted is not kept among the rendered bodies. */
static int find_variable(struct query *q)
{
	const char *path = q->req->params[0];
	const struct object_row *row = state_variable(q->v, q->opt.namespace_, path);
	int rv = query_found(q, TABLE_VARIABLES, watch_key_job(q->opt.namespace_, path), ROW_OF(row),
			     row != NULL ? row->modify_index : 0);

	q->stamp = 0;
	return rv;
}

static int render_variable(struct query *q, struct buf *out)
{
	struct variable v;
	int rv = get_variable(q->api, q->v, q->row, true, &v, &q->req->mem);

	if (rv == 0) {
		json_encode(&variable_type, &v, out);
	} else {
		q->fault = arena_printf(&q->req->mem, "variable \"%s\": %s", q->req->params[0], keyring_fault(rv));
	}
	return rv;
}

const struct query_kind query_variable = {
	.find = find_variable, .render = render_variable, .missing = "variable not found"};

/* ---- writes ---- */

struct variable_write {
	struct variable v; /* As it was asked for. */
	struct variable_put put;
};

static void answer_json_of(struct http_request *req, int status, const struct type *t, const void *obj, uint64_t index)
{
	struct http_response res = {.status = status, .has = HTTP_HAS_INDEX, .index = index};

	json_encode(t, obj, &res.body);
	http_answer(req, &res);
}

/* With the variable as it is now, so that who asked can see what is in his way; without its items if he may not read
 * them. */
static void answer_conflict(struct write *w, const char *ns, const char *path, uint64_t index)
{
	const struct view *v = w->api->link->ops->view(w->api->link);
	const struct object_row *row = state_variable(v, ns, path);
	struct variable now = {.namespace_ = ns, .path = path};
	int rv = row != NULL ? get_variable(w->api, v, row, false, &now, &w->req->mem) : 0;

	if (!access_variable(w->req, ns, path, ACL_VARIABLE_READ)) {
		now.items = (struct map){NULL, 0};
	}
	if (rv != 0) {
		http_answer_text(w->req, 500, "variable \"%s\": %s", path, keyring_fault(rv));
	} else {
		answer_json_of(w->req, 409, &variable_type, &now, index);
	}
	view_release(v);
}

/* What was written is told from the state, or, should it have changed since, from the request. */
static int written(struct write *w, const struct variable_write *own, const struct apply_result *r,
		   struct variable *out)
{
	const struct view *v = w->api->link->ops->view(w->api->link);
	const struct object_row *row = state_variable(v, own->put.namespace_, own->put.path);
	int rv = 0;

	*out = own->v;
	out->create_index = (int64_t)r->create_index;
	out->modify_index = (int64_t)r->index;
	out->create_time = r->create_time_ns;
	out->modify_time = r->time_ns;
	if (row != NULL && row->modify_index == r->index && own->put.op != VARIABLE_RELEASE) {
		rv = get_variable(w->api, v, row, true, out, &w->req->mem);
		if (!access_variable(w->req, own->put.namespace_, own->put.path, ACL_VARIABLE_READ)) {
			out->items = own->v.items;
		}
		out->namespace_ = own->put.namespace_; /* The row may go with the view. */
		out->path = own->put.path;
	} else if (own->put.op == VARIABLE_RELEASE) {
		out->lock = NULL;
	}
	if (rv == 0) {
		answer_json_of(w->req, 200, &variable_type, out, r->index);
	}
	view_release(v);
	return rv;
}

static void answer_written(struct write *w, const struct apply_result *r)
{
	const struct variable_write *own = w->own;
	struct variable out;
	int rv;

	if (r->status == ERR_CONFLICT) {
		answer_conflict(w, own->put.namespace_, own->put.path, r->index);
	} else if (!write_refused_as(w, r, 404)) {
		rv = written(w, own, r, &out);
		if (rv != 0) {
			http_answer_text(w->req, 500, "variable \"%s\": %s", own->put.path, keyring_fault(rv));
		}
	}
}

static void answer_renewed(struct write *w, const struct apply_result *r)
{
	const struct variable_write *own = w->own;
	const struct object_row *row;
	struct variable_stub stub;
	const struct view *v;

	if (r->status == ERR_CONFLICT) {
		answer_conflict(w, own->put.namespace_, own->put.path, r->index);
		return;
	}
	if (write_refused_as(w, r, 404)) {
		return;
	}
	v = w->api->link->ops->view(w->api->link);
	row = state_variable(v, own->put.namespace_, own->put.path);
	if (row == NULL || get_stub(row, &stub, &w->req->mem) != 0) {
		http_answer_text(w->req, 404, "variable not found");
	} else {
		answer_json_of(w->req, 200, &variable_stub_type, &stub, r->index);
	}
	view_release(v);
}

static void answer_deleted(struct write *w, const struct apply_result *r)
{
	const struct variable_delete *p = w->own;

	if (r->status == ERR_CONFLICT) {
		answer_conflict(w, p->namespace_, p->path, r->index);
	} else if (!write_refused_as(w, r, 404)) {
		http_answer(w->req,
			    &(struct http_response){.status = 204, .has = HTTP_HAS_INDEX, .index = r->index});
	}
}

/* ---- what a write asks for ---- */

/* `op` of the query, with `renew` as one more. 0, or answered. */
static int take_operation(struct http_request *req, enum variable_op *op, bool *renew)
{
	bool acquire = http_query(req, "lock-acquire") != NULL;
	bool release = http_query(req, "lock-release") != NULL;

	*renew = http_query(req, "lock-renew") != NULL;
	*op = acquire ? VARIABLE_ACQUIRE : release ? VARIABLE_RELEASE : VARIABLE_WRITE;
	if (acquire + release + *renew > 1) {
		http_answer_text(req, 400, "only one lock operation may be given");
	} else if (acquire + release + *renew == 1 && http_query(req, "cas") != NULL) {
		http_answer_text(req, 400, "CAS can't be used with lock operations");
	} else {
		return 0;
	}
	return ERR_INVALID;
}

/* ?cas=INDEX. 0, or answered. */
static int take_cas(struct http_request *req, bool *enforce, int64_t *index)
{
	*enforce = http_query(req, "cas") != NULL;
	*index = 0;
	if (*enforce && (http_query_int(req, "cas", index) != 0 || *index < 0)) {
		http_answer_text(req, 400, "can not parse cas: \"%s\" is no index", http_query(req, "cas"));
		return ERR_INVALID;
	}
	return 0;
}

static int take_duration(struct http_request *req, const char *name, const char *text, int64_t least_ns, int64_t *out)
{
	*out = VARIABLE_TTL_NS;
	if (text[0] == '\0') {
		return 0;
	}
	if (!duration_parse(text, strlen(text), out) || *out < least_ns || *out > VARIABLE_TTL_MAX_NS) {
		http_answer_text(req, 400, "Lock.%s: \"%.40s\" must be a duration from %s to 24h", name, text,
				 least_ns > 0 ? "10s" : "0s");
		return ERR_INVALID;
	}
	return 0;
}

static int take_lock(struct http_request *req, const struct variable_lock *lock, struct variable_put *put)
{
	static const struct variable_lock none = {"", "", ""};

	lock = lock != NULL ? lock : &none;
	put->lock_id = lock->id;
	if (put->op != VARIABLE_ACQUIRE) {
		return 0;
	}
	return take_duration(req, "TTL", lock->ttl, VARIABLE_TTL_MIN_NS, &put->ttl_ns) != 0 ||
			       take_duration(req, "LockDelay", lock->lock_delay, 0, &put->lock_delay_ns) != 0
		       ? ERR_INVALID
		       : 0;
}

/* The path of the URL, which the body may repeat. 0, or answered. */
static int take_path(struct http_request *req, const struct variable *v)
{
	const char *path = req->params[0];
	const char *fault = variable_path_fault(path);

	if (v->path[0] != '\0' && strcmp(v->path, path) != 0) {
		http_answer_text(req, 400, "variable path does not match request path: \"%.200s\" is not \"%.200s\"",
				 v->path, path);
	} else if (fault != NULL) {
		http_answer_text(req, 400, fault[0] == '"' ? "%s" : "%s \"%.200s\"", fault, path);
	} else {
		return 0;
	}
	return ERR_INVALID;
}

static int take_items(struct http_request *req, const struct variable *v, enum variable_op op)
{
	size_t bytes = variable_bytes(&v->items);

	if (v->items.n == 0 && op == VARIABLE_WRITE) {
		http_answer_text(req, 400, "variable missing required Items object");
	} else if (bytes > VARIABLE_BYTES_MAX) {
		http_answer_text(req, 400, "variables are limited to 64KiB in total size; Items take %zu bytes", bytes);
	} else {
		return 0;
	}
	return ERR_INVALID;
}

/* Seal the items by the active root key. 0, or answered. */
static int seal_items(struct api *api, struct http_request *req, struct variable_write *own)
{
	const struct view *v;
	struct root_key key;
	int rv;

	if (own->v.items.n == 0) {
		return 0;
	}
	v = api->link->ops->view(api->link);
	rv = state_active_key(v, &key, &req->mem);
	if (rv == 0) {
		own->put.key_id = arena_strdup(&req->mem, key.id);
		rv = own->put.key_id == NULL ? ERR_NOMEM
					     : keyring_seal(api->config.keyring, &key, own->put.namespace_,
							    own->put.path, &own->v.items, &own->put.data, &req->mem);
	}
	view_release(v);
	if (rv == ERR_NOTFOUND) {
		http_answer_text(req, 500, "the keyring is not ready yet: there is no root key");
	} else if (rv != 0) {
		http_answer_text(req, 500, "variable \"%s\": %s", own->put.path, keyring_fault(rv));
	}
	return rv;
}

static int take_body(struct http_request *req, struct variable_write *own, const char *ns, bool renew)
{
	struct variable_put *put = &own->put;

	if (body_decode(req, &variable_type, &own->v, BODY_REQUIRED, NULL) != 0 || take_path(req, &own->v) != 0 ||
	    take_cas(req, &put->enforce, &put->modify_index) != 0 || take_lock(req, own->v.lock, put) != 0 ||
	    take_items(req, &own->v, renew ? VARIABLE_RELEASE : (enum variable_op)put->op) != 0) {
		return ERR_INVALID;
	}
	put->namespace_ = own->v.namespace_[0] != '\0' ? own->v.namespace_ : ns;
	put->path = req->params[0];
	if (!access_variable(req, put->namespace_, put->path, ACL_VARIABLE_WRITE)) {
		api_refuse(req, ACCESS_DENIED);
		return ERR_INVALID;
	}
	own->v.namespace_ = put->namespace_;
	own->v.path = put->path;
	return 0;
}

void serve_variable_put(struct api *api, struct http_request *req)
{
	struct variable_write *own = arena_calloc(&req->mem, 1, sizeof(*own));
	enum variable_op op;
	struct write *w;
	bool renew;

	if (own == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	if (take_operation(req, &op, &renew) != 0 || (w = write_new(api, req)) == NULL) {
		return;
	}
	object_init(&variable_put_type, &own->put);
	own->put.op = op;
	w->own = own;
	if (take_body(req, own, w->ns, renew) != 0) {
		return;
	}
	if (renew) {
		write_propose(w, COMMAND_VARIABLE_RENEW,
			      &(struct variable_lock_ref){own->put.namespace_, own->put.path, own->put.lock_id},
			      answer_renewed);
	} else if (seal_items(api, req, own) == 0) {
		write_propose(w, COMMAND_VARIABLE_PUT, &own->put, answer_written);
	}
}

void serve_variable_delete(struct api *api, struct http_request *req)
{
	struct variable_delete *p = arena_alloc(&req->mem, sizeof(*p));
	struct write *w;

	if (p == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	object_init(&variable_delete_type, p);
	if (take_cas(req, &p->enforce, &p->modify_index) != 0 || (w = write_new(api, req)) == NULL) {
		return;
	}
	p->namespace_ = w->ns;
	p->path = req->params[0];
	w->own = p;
	write_propose(w, COMMAND_VARIABLE_DELETE, p, answer_deleted);
}
