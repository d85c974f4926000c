/* Namespaces. */
#include "proto/error.h"
#include "server/api_handlers.h"

static int get_namespace(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	const struct object_row *o = (const struct object_row *)row;
	struct namespace_ *ns = obj;
	int rv = object_row_get(o, &namespace__type, ns, &s->mem);

	(void)q;
	ns->create_index = (int64_t)o->create_index;
	ns->modify_index = (int64_t)o->modify_index;
	return rv;
}

static int find_namespaces(struct query *q)
{
	query_table(q, TABLE_NAMESPACES);
	return 0;
}

static void open_namespaces(struct query *q, struct rows *r)
{
	rows_objects(r, q->v, TABLE_NAMESPACES);
}

static bool match_name(const struct query *q, const struct row *row)
{
	return strncmp(((const struct object_row *)row)->key, q->opt.prefix, strlen(q->opt.prefix)) == 0;
}

static bool sees_namespace(const struct acl *acl, const struct row *row)
{
	return acl_sees_namespace(acl, ((const struct object_row *)row)->key);
}

static const struct list_kind namespace_list = {.type = &namespace__type,
						.open = open_namespaces,
						.match = match_name,
						.sees = sees_namespace,
						.get = get_namespace,
						.key = LIST_BY_NAME};
const struct query_kind query_namespaces = {.find = find_namespaces, .list = &namespace_list};

static int find_namespace(struct query *q)
{
	const char *name = q->req->params[0];
	const struct object_row *row = state_namespace(q->v, name);

	return query_found(q, TABLE_NAMESPACES, watch_key_name(name), ROW_OF(row), row != NULL ? row->modify_index : 0);
}

static int render_namespace(struct query *q, struct buf *out)
{
	struct list_scratch s = {.mem = {0}};
	struct namespace_ ns;
	int rv = get_namespace(q, q->row, &ns, &s);

	if (rv == 0) {
		json_encode(&namespace__type, &ns, out);
	}
	arena_close(&s.mem);
	return rv;
}

const struct query_kind query_namespace = {
	.find = find_namespace, .render = render_namespace, .missing = "Namespace not found"};

/* ---- writes ---- */

static void answer_namespace(struct write *w, const struct apply_result *r)
{
	if (!write_refused(w, r)) {
		http_answer_json(w->req, &(struct buf){0}, r->index);
	}
}

enum { DESCRIPTION_MAX = 256 };

/* Letters, digits and dashes, 1 to NAMESPACE_MAX of them. */
static bool is_valid_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

	return len > 0 && len <= NAMESPACE_MAX && name[len] == '\0';
}

/* True: answered. */
static bool is_refused(struct http_request *req, const struct namespace_ *ns)
{
	struct buf faults = {0};
	unsigned n = 0;

	if (!is_valid_name(ns->name)) {
		buf_printf(&faults, "\t* invalid name \"%.200s\". Must match regex ^[a-zA-Z0-9-]{1,128}$\n", ns->name);
		n++;
	}
	if (strlen(ns->description) > DESCRIPTION_MAX) {
		buf_printf(&faults, "\t* description longer than %d\n", DESCRIPTION_MAX);
		n++;
	}
	if (n > 0) {
		http_answer_text(req, 500, "Invalid namespace \"%.200s\": %u error%s occurred:\n%s\n", ns->name, n,
				 n == 1 ? "" : "s", buf_text(&faults));
	}
	buf_close(&faults);
	return n > 0;
}

static void put_namespace(struct api *api, struct http_request *req, const char *name)
{
	struct namespace_ *ns = arena_alloc(&req->mem, sizeof(*ns));
	struct write *w;

	if (ns == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	if (body_decode(req, &namespace__type, ns, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if (ns->name[0] == '\0' && name != NULL) {
		ns->name = name;
	}
	if (name != NULL && strcmp(name, ns->name) != 0) {
		http_answer_text(req, 400, "Namespace name does not match request path");
	} else if (!is_refused(req, ns) && (w = write_new(api, req)) != NULL) {
		write_propose(w, COMMAND_NAMESPACE_PUT, &(struct namespace_put){ns}, answer_namespace);
	}
}

void serve_namespaces_put(struct api *api, struct http_request *req)
{
	put_namespace(api, req, NULL);
}

void serve_namespace_put(struct api *api, struct http_request *req)
{
	put_namespace(api, req, req->params[0]);
}

void serve_namespace_delete(struct api *api, struct http_request *req)
{
	struct write *w = write_new(api, req);

	if (w != NULL) {
		write_propose(w, COMMAND_NAMESPACE_DELETE, &(struct name_delete){req->params[0]}, answer_removed);
	}
}
