/* Root keys: listed, replaced, removed, and the public halves of their key pairs. */
#include <string.h>

#include "lib/base64.h"
#include "proto/error.h"
#include "server/api_handlers.h"

#define ALGORITHM "aes256-gcm"

static struct root_key_stub stub_of(const struct root_key *key, const struct object_row *row)
{
	return (struct root_key_stub){.algorithm = ALGORITHM,
				      .create_index = row != NULL ? (int64_t)row->create_index : 0,
				      .create_time = key->create_time,
				      .id = key->id,
				      .modify_index = row != NULL ? (int64_t)row->modify_index : 0,
				      .state = key->state};
}

/* ---- reads ---- */

static int find_keys(struct query *q)
{
	query_table(q, TABLE_ROOT_KEYS);
	return 0;
}

static void open_keys(struct query *q, struct rows *r)
{
	rows_objects(r, q->v, TABLE_ROOT_KEYS);
}

static int get_key(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	struct root_key key;
	int rv = object_row_get((const struct object_row *)row, &root_key_type, &key, &s->mem);

	(void)q;
	*(struct root_key_stub *)obj = stub_of(&key, (const struct object_row *)row);
	return rv;
}

static const struct list_kind key_list = {
	.type = &root_key_stub_type, .open = open_keys, .get = get_key, .key = LIST_BY_NAME};
const struct query_kind query_root_keys = {.find = find_keys, .list = &key_list};

static int render_jwks(struct query *q, struct buf *out)
{
	const struct object_row *row;
	const char *before = "";
	struct root_key key;
	struct rows r;
	int rv = 0;

	buf_str(out, "{\"keys\":[");
	open_keys(q, &r);
	while (rv == 0 && (row = object_next(&r)) != NULL) {
		rv = object_row_get(row, &root_key_type, &key, &q->req->mem);
		if (rv == 0) {
			buf_printf(out, "%s{\"use\":\"sig\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"%s\","
					"\"alg\":\"EdDSA\",\"x\":\"",
				   before, key.id);
			base64_put(out, key.public.at, key.public.n, BASE64_URL, false);
			buf_str(out, "\"}");
			before = ",";
		}
	}
	buf_str(out, "]}");
	return rv;
}

const struct query_kind query_jwks = {.find = find_keys, .render = render_jwks};

/* ---- writes ---- */

static void answer_rotated(struct write *w, const struct apply_result *r)
{
	struct http_response res = {.status = 200, .has = HTTP_HAS_INDEX, .index = r->index};

	if (!write_refused(w, r)) {
		const struct root_key_stub stub = stub_of(w->own, NULL);

		buf_str(&res.body, "{\"Key\":");
		json_encode(&root_key_stub_type, &stub, &res.body);
		buf_printf(&res.body, ",\"Index\":%llu}", (unsigned long long)r->index);
		http_answer(w->req, &res);
	}
}

static bool is_ours(const char *algorithm)
{
	return algorithm == NULL || algorithm[0] == '\0' || strcmp(algorithm, ALGORITHM) == 0;
}

void serve_root_key_rotate(struct api *api, struct http_request *req)
{
	struct root_key *key = arena_alloc(&req->mem, sizeof(*key));
	int64_t publish_ns = 0;
	bool full = false;
	struct write *w;
	int rv;

	if (http_query_bool(req, "full", &full) != 0 || http_query_int(req, "publish_time", &publish_ns) != 0) {
		http_answer_text(req, 400, "%s", req->error);
	} else if (publish_ns != 0) {
		http_answer_text(req, 400, "publish_time is not supported: a new key is active at once");
	} else if (!is_ours(http_query(req, "algo")) || !is_ours(http_query(req, "algorithm"))) {
		http_answer_text(req, 400, "invalid algorithm: only " ALGORITHM " is known");
	} else if ((w = write_new(api, req)) != NULL) {
		rv = key != NULL ? keyring_make(api->config.keyring, api_wall(api), key, &req->mem) : ERR_NOMEM;
		if (rv != 0) {
			http_answer_error(req, rv);
			return;
		}
		w->own = key;
		write_propose(w, COMMAND_ROOT_KEY_PUT, &(struct root_key_put){key, full, false}, answer_rotated);
	}
}

/* Whether anything is sealed by it. */
static bool is_used(struct api *api, const char *id)
{
	const struct view *v = api->link->ops->view(api->link);
	const struct object_row *row;
	struct sealed_variable sealed;
	struct arena mem = {0};
	bool used = false;
	struct rows r;

	rows_variables(&r, v, NULL, "");
	while (!used && (row = object_next(&r)) != NULL) {
		used = object_row_get(row, &sealed_variable_type, &sealed, &mem) != 0 || strcmp(sealed.key_id, id) == 0;
		arena_close(&mem);
	}
	view_release(v);
	return used;
}

static void answer_deleted(struct write *w, const struct apply_result *r)
{
	if (!write_refused_as(w, r, 404)) {
		http_answer_json(w->req, &(struct buf){0}, r->index);
	}
}

void serve_root_key_delete(struct api *api, struct http_request *req)
{
	const char *id = req->params[0];
	bool force = false;
	struct write *w;

	if (http_query_bool(req, "force", &force) != 0) {
		http_answer_text(req, 400, "%s", req->error);
	} else if (!force && is_used(api, id)) {
		http_answer_text(req, 500, "root key in use, cannot delete");
	} else if ((w = write_new(api, req)) != NULL) {
		write_propose(w, COMMAND_ROOT_KEY_DELETE, &(struct name_delete){id}, answer_deleted);
	}
}
