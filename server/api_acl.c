/*
 * Access control: the first token, policies, tokens, roles, one-time tokens.
 *
 * Secrets are told to who makes a token, and to who may read it; no list and no event has them, and no rendered body
 * that has one is kept. Who is no manager sees his own token, and the policies and roles that it has.
 */
#include <string.h>

#include "lib/timefmt.h"
#include "proto/error.h"
#include "proto/policy.h"
#include "server/api_handlers.h"

#define ONE_TIME_TTL_NS (10 * NS_PER_MIN)
#define DENIED "Permission denied"
#define TOKEN_MISSING "ACL token not found"
#define POLICY_MISSING "ACL policy not found"
#define ROLE_MISSING "ACL role not found"

#define BOOTSTRAP_REQUEST_FIELDS(X, T) X(T, STR, secret, "BootstrapSecret", .secret = true)
#define EXCHANGE_REQUEST_FIELDS(X, T) X(T, STR, secret, "OneTimeSecretID", .secret = true)
#define EXCHANGE_ANSWER_FIELDS(X, T) X(T, OBJ(acl_token), token, "Token")
#define ONE_TIME_ANSWER_FIELDS(X, T) X(T, OBJ(one_time_token), token, "OneTimeToken")

OBJECT_DECLARE(bootstrap_request, BOOTSTRAP_REQUEST_FIELDS);
OBJECT_DECLARE(exchange_request, EXCHANGE_REQUEST_FIELDS);
OBJECT_DECLARE(exchange_answer, EXCHANGE_ANSWER_FIELDS);
OBJECT_DECLARE(one_time_answer, ONE_TIME_ANSWER_FIELDS);
OBJECT_DEFINE(bootstrap_request, BOOTSTRAP_REQUEST_FIELDS);
OBJECT_DEFINE(exchange_request, EXCHANGE_REQUEST_FIELDS);
OBJECT_DEFINE(exchange_answer, EXCHANGE_ANSWER_FIELDS);
OBJECT_DEFINE(one_time_answer, ONE_TIME_ANSWER_FIELDS);

/* ---- whether there is access control, and who asks ---- */

static bool is_off(struct api *api, struct http_request *req)
{
	if (!api->config.acl) {
		http_answer_text(req, 400, "ACL support disabled");
	}
	return !api->config.acl;
}

static int begin_acl(struct query *q)
{
	return is_off(q->api, q->req) ? ERR_UNSUPPORTED : 0;
}

/* The token of who asks; NULL: he is anonymous. */
static const struct acl_token_row *caller(const struct api *api, const struct http_request *req, const struct view *v)
{
	const struct acl_token_row *row = req->token[0] != '\0' ? state_acl_token_by_secret(v, req->token) : NULL;

	return row != NULL && !acl_token_row_expired(row, api_wall(api)) ? row : NULL;
}

static bool is_manager(const struct acl_token_row *row)
{
	return row != NULL && (row->flags & ACL_TOKEN_MANAGEMENT) != 0;
}

/* What a token has, or who has none. */
struct own {
	bool all; /* A manager: everything. */
	struct strs policies;
	struct strs roles; /* IDs. */
};

static int add_name(struct strs *to, const char *name, struct arena *mem)
{
	if ((to->n & (to->n - 1)) == 0) {
		const char **more = arena_calloc(mem, to->n == 0 ? 1 : (size_t)to->n * 2, sizeof(*more));

		if (more == NULL) {
			return ERR_NOMEM;
		}
		if (to->n > 0) {
			memcpy(more, to->at, to->n * sizeof(*more));
		}
		to->at = more;
	}
	to->at[to->n++] = name;
	return 0;
}

static bool has_name(const struct strs *names, const char *name)
{
	uint32_t i;

	for (i = 0; i < names->n && strcmp(names->at[i], name) != 0; i++) {
	}
	return i < names->n;
}

static int add_role(const struct view *v, const char *id, struct own *own, struct arena *mem)
{
	const struct acl_role_row *row = state_acl_role(v, id);
	struct acl_role role;
	int rv = row != NULL ? acl_role_row_get(v, row, &role, mem) : 0;

	if (row == NULL || rv != 0) {
		return rv;
	}
	for (uint32_t i = 0; rv == 0 && i < role.policies.n; i++) {
		rv = add_name(&own->policies, role.policies.at[i].name, mem);
	}
	return rv == 0 ? add_name(&own->roles, id, mem) : rv;
}

static int find_own(const struct api *api, const struct http_request *req, const struct view *v, struct own *own,
		    struct arena *mem)
{
	const struct acl_token_row *row = caller(api, req, v);
	struct acl_token token;
	int rv = 0;

	*own = (struct own){.all = is_manager(row)};
	if (row == NULL) {
		return add_name(&own->policies, "anonymous", mem);
	}
	rv = acl_token_row_get(v, row, &token, mem);
	for (uint32_t i = 0; rv == 0 && i < token.policies.n; i++) {
		rv = add_name(&own->policies, token.policies.at[i], mem);
	}
	for (uint32_t i = 0; rv == 0 && i < token.roles.n; i++) {
		rv = add_role(v, token.roles.at[i].id, own, mem);
	}
	return rv;
}

/* For lists: kept where the rows are found. Not among the rendered bodies: who asks sees his own. */
static int find_list(struct query *q, enum table table)
{
	struct own *own = arena_alloc(&q->req->mem, sizeof(*own));
	int rv = own != NULL ? find_own(q->api, q->req, q->v, own, &q->req->mem) : ERR_NOMEM;

	query_table(q, table);
	q->index = q->index > 0 ? q->index : 1;
	q->stamp = 0;
	q->own = own;
	return rv;
}

/* For one object: what is asked of the own, in a view of the beginning. 0, or answered. */
static int begin_own(struct query *q, bool (*is_own)(const struct view *v, const struct own *own, const char *param))
{
	const struct view *v;
	struct own own;
	bool may;
	int rv;

	if (is_off(q->api, q->req)) {
		return ERR_UNSUPPORTED;
	}
	v = q->api->link->ops->view(q->api->link);
	rv = find_own(q->api, q->req, v, &own, &q->req->mem);
	may = rv == 0 && (own.all || is_own(v, &own, q->req->params[0]));
	view_release(v);
	if (rv != 0) {
		http_answer_error(q->req, rv);
	} else if (!may) {
		http_answer_text(q->req, 403, DENIED);
	}
	return may ? 0 : ERR_REFUSED;
}

/* ---- policies: reads ---- */

static int find_policies(struct query *q)
{
	return find_list(q, TABLE_ACL_POLICIES);
}

static void open_policies(struct query *q, struct rows *r)
{
	rows_objects(r, q->v, TABLE_ACL_POLICIES);
}

static bool match_policy(const struct query *q, const struct row *row)
{
	const char *name = ((const struct object_row *)row)->key;
	const struct own *own = q->own;

	return strncmp(name, q->opt.prefix, strlen(q->opt.prefix)) == 0 && (own->all || has_name(&own->policies, name));
}

/* What the token itself has, also of a manager's: nothing. */
static bool match_own_policy(const struct query *q, const struct row *row)
{
	const struct own *own = q->own;

	return has_name(&own->policies, ((const struct object_row *)row)->key);
}

static int get_policy_stub(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	struct acl_policy_stub *stub = obj;
	struct acl_policy policy;
	int rv = acl_policy_row_get((const struct object_row *)row, &policy, &s->mem);

	(void)q;
	if (rv == 0) {
		object_init(&acl_policy_stub_type, stub);
		stub->name = policy.name;
		stub->description = policy.description;
		stub->job_acl = policy.job_acl;
		stub->hash = policy.hash;
		stub->create_index = policy.create_index;
		stub->modify_index = policy.modify_index;
	}
	return rv;
}

#define POLICY_LIST .type = &acl_policy_stub_type, .open = open_policies, .get = get_policy_stub, .key = LIST_BY_NAME

static const struct list_kind policy_list = {POLICY_LIST, .match = match_policy};
static const struct list_kind own_policy_list = {POLICY_LIST, .match = match_own_policy};
const struct query_kind query_acl_policies = {.begin = begin_acl, .find = find_policies, .list = &policy_list};
const struct query_kind query_acl_policy_self = {.begin = begin_acl, .find = find_policies, .list = &own_policy_list};

static bool is_own_policy(const struct view *v, const struct own *own, const char *name)
{
	(void)v;
	return has_name(&own->policies, name);
}

static int begin_policy(struct query *q)
{
	return begin_own(q, is_own_policy);
}

static int find_policy(struct query *q)
{
	const char *name = q->req->params[0];
	const struct object_row *row = state_acl_policy(q->v, name);

	return query_found(q, TABLE_ACL_POLICIES, watch_key_name(name), ROW_OF(row),
			   row != NULL ? row->modify_index : 0);
}

static int render_policy(struct query *q, struct buf *out)
{
	struct acl_policy policy;
	int rv = acl_policy_row_get(q->row, &policy, &q->req->mem);

	if (rv == 0) {
		json_encode(&acl_policy_type, &policy, out);
	}
	return rv;
}

const struct query_kind query_acl_policy = {
	.begin = begin_policy, .find = find_policy, .render = render_policy, .missing = POLICY_MISSING};

/* ---- tokens: reads ---- */

enum { TOKENS_GLOBAL = 1 };

static int begin_tokens(struct query *q)
{
	bool global = false;

	if (is_off(q->api, q->req)) {
		return ERR_UNSUPPORTED;
	}
	if (http_query_bool(q->req, "global", &global) != 0) {
		http_answer_text(q->req, 400, "%s", q->req->error);
		return ERR_INVALID;
	}
	q->flags = global ? TOKENS_GLOBAL : 0;
	return query_begin_prefix(q);
}

static int find_tokens(struct query *q)
{
	query_table(q, TABLE_ACL_TOKENS);
	query_table(q, TABLE_ACL_ROLES); /* Their names. */
	q->index = q->index > 0 ? q->index : 1;
	q->stamp = 0;
	return 0;
}

static void open_tokens(struct query *q, struct rows *r)
{
	rows_acl_tokens(r, q->v, query_prefix(q));
}

static bool match_token(const struct query *q, const struct row *row)
{
	const struct acl_token_row *token = (const struct acl_token_row *)row;

	return (q->flags & TOKENS_GLOBAL) == 0 || (token->flags & ACL_TOKEN_GLOBAL) != 0;
}

static int get_token_stub(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	return acl_token_row_stub(q->v, (const struct acl_token_row *)row, obj, &s->mem);
}

static uint64_t token_age(const struct row *row)
{
	return ((const struct acl_token_row *)row)->create_index;
}

static struct uuid token_id(const struct row *row)
{
	return ((const struct acl_token_row *)row)->accessor;
}

static const struct list_kind token_list = {.type = &acl_token_stub_type,
					    .open = open_tokens,
					    .match = match_token,
					    .get = get_token_stub,
					    .key = LIST_BY_ID,
					    .age = token_age,
					    .id = token_id};
const struct query_kind query_acl_tokens = {.begin = begin_tokens, .find = find_tokens, .list = &token_list};

static bool is_own_token(const struct api *api, const struct http_request *req, const struct view *v, const char *id)
{
	const struct acl_token_row *row = caller(api, req, v);

	return is_manager(row) || (row != NULL && row == state_acl_token(v, id));
}

static int begin_token(struct query *q)
{
	const struct view *v;
	bool may;

	if (is_off(q->api, q->req)) {
		return ERR_UNSUPPORTED;
	}
	v = q->api->link->ops->view(q->api->link);
	may = is_own_token(q->api, q->req, v, q->req->params[0]);
	view_release(v);
	if (!may) {
		http_answer_text(q->req, 403, DENIED);
	}
	return may ? 0 : ERR_REFUSED;
}

/* Roles are told by their names, which may change. */
static int found_token(struct query *q, const struct acl_token_row *row, const struct uuid *id)
{
	int rv = query_found(q, TABLE_ACL_TOKENS, watch_key_id(id), ROW_OF(row), row != NULL ? row->modify_index : 0);

	q->stamp = 0;
	return rv;
}

static int find_token(struct query *q)
{
	const char *text = q->req->params[0];
	struct uuid id = {{0}};

	(void)uuid_parse(text, strlen(text), &id);
	return found_token(q, state_acl_token(q->v, text), &id);
}

static int render_token(struct query *q, struct buf *out)
{
	struct acl_token token;
	int rv = acl_token_row_get(q->v, q->row, &token, &q->req->mem);

	if (rv == 0) {
		json_encode(&acl_token_type, &token, out);
	}
	return rv;
}

const struct query_kind query_acl_token = {
	.begin = begin_token, .find = find_token, .render = render_token, .missing = TOKEN_MISSING};

/* ---- the own token ---- */

static int find_self(struct query *q)
{
	static const struct uuid none;
	const struct acl_token_row *row = caller(q->api, q->req, q->v);

	if (row != NULL || q->req->token[0] != '\0') {
		return found_token(q, row, row != NULL ? &row->accessor : &none);
	}
	query_table(q, TABLE_ACL_TOKENS);
	q->index = q->index > 0 ? q->index : 1;
	q->stamp = 0;
	return 0;
}

/* Who brings no token. */
static int render_anonymous(struct buf *out)
{
	const char *policies[] = {"anonymous"};
	struct acl_token token;

	object_init(&acl_token_type, &token);
	token.accessor_id = "anonymous";
	token.name = "Anonymous Token";
	token.type = "client";
	token.policies = (struct strs){policies, 1};
	json_encode(&acl_token_type, &token, out);
	return 0;
}

static int render_self(struct query *q, struct buf *out)
{
	return q->row != NULL ? render_token(q, out) : render_anonymous(out);
}

const struct query_kind query_acl_token_self = {
	.begin = begin_acl, .find = find_self, .render = render_self, .missing = TOKEN_MISSING};

/* ---- roles: reads ---- */

static int find_roles(struct query *q)
{
	int rv = find_list(q, TABLE_ACL_ROLES);

	query_table(q, TABLE_ACL_POLICIES); /* Those that are gone are left out. */
	q->stamp = 0;
	return rv;
}

static void open_roles(struct query *q, struct rows *r)
{
	rows_objects(r, q->v, TABLE_ACL_ROLES);
}

static bool match_role(const struct query *q, const struct row *row)
{
	const struct own *own = q->own;
	char id[UUID_TEXT];

	uuid_format(&((const struct acl_role_row *)row)->id, id);
	return strncmp(id, q->opt.prefix, strlen(q->opt.prefix)) == 0 && (own->all || has_name(&own->roles, id));
}

static int get_role(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	return acl_role_row_get(q->v, (const struct acl_role_row *)row, obj, &s->mem);
}

static struct uuid role_id(const struct row *row)
{
	return ((const struct acl_role_row *)row)->id;
}

static const struct list_kind role_list = {.type = &acl_role_type,
					   .open = open_roles,
					   .match = match_role,
					   .get = get_role,
					   .key = LIST_BY_ID,
					   .id = role_id};
const struct query_kind query_acl_roles = {.begin = begin_acl, .find = find_roles, .list = &role_list};

static bool is_own_role(const struct view *v, const struct own *own, const char *id)
{
	(void)v;
	return has_name(&own->roles, id);
}

static bool is_own_role_name(const struct view *v, const struct own *own, const char *name)
{
	const struct acl_role_row *row = state_acl_role_by_name(v, name);
	char id[UUID_TEXT];

	if (row != NULL) {
		uuid_format(&row->id, id);
	}
	return row != NULL && has_name(&own->roles, id);
}

static int begin_role(struct query *q)
{
	return begin_own(q, is_own_role);
}

static int begin_role_named(struct query *q)
{
	return begin_own(q, is_own_role_name);
}

static int find_role(struct query *q)
{
	const char *text = q->req->params[0];
	const struct acl_role_row *row = state_acl_role(q->v, text);
	struct uuid id = {{0}};
	int rv;

	(void)uuid_parse(text, strlen(text), &id);
	rv = query_found(q, TABLE_ACL_ROLES, watch_key_id(&id), ROW_OF(row), row != NULL ? row->modify_index : 0);
	q->stamp = 0;
	return rv;
}

static int find_role_named(struct query *q)
{
	const struct acl_role_row *row = state_acl_role_by_name(q->v, q->req->params[0]);

	query_table(q, TABLE_ACL_ROLES);
	q->index = row != NULL ? row->modify_index : q->index > 0 ? q->index : 1;
	q->stamp = 0;
	q->row = row;
	return row != NULL ? 0 : ERR_NOTFOUND;
}

static int render_role(struct query *q, struct buf *out)
{
	struct acl_role role;
	int rv = acl_role_row_get(q->v, q->row, &role, &q->req->mem);

	if (rv == 0) {
		json_encode(&acl_role_type, &role, out);
	}
	return rv;
}

const struct query_kind query_acl_role = {
	.begin = begin_role, .find = find_role, .render = render_role, .missing = ROLE_MISSING};
const struct query_kind query_acl_role_named = {
	.begin = begin_role_named, .find = find_role_named, .render = render_role, .missing = ROLE_MISSING};

/* ---- what writes have in common ---- */

static int status_of(int err)
{
	return err == ERR_NOTFOUND ? 404 : err == ERR_REFUSED ? 403 : 400;
}

static bool refused(struct write *w, const struct apply_result *r)
{
	if (r->status != 0) {
		http_answer_text(w->req, status_of(r->status), "%s",
				 r->text[0] != '\0' ? r->text : error_text(r->status));
	}
	return r->status != 0;
}

static void answer_nothing(struct write *w, const struct apply_result *r)
{
	if (!refused(w, r)) {
		http_answer_json(w->req, &(struct buf){0}, r->index);
	}
}

/* An ID that nobody can guess, as text; "" when there are no random bytes or no memory. */
static const char *new_id(struct arena *mem)
{
	uint8_t random[16];
	struct uuid id;

	if (keyring_random(random, sizeof(random)) != 0) {
		return "";
	}
	id = uuid_from_random(random);
	return uuid_text(mem, &id);
}

static bool is_uuid(const char *text)
{
	struct uuid id;

	return uuid_parse(text, strlen(text), &id) && !uuid_is_zero(&id);
}

/* The bytes of an ID in the path, in the request's memory. Without any: answered with 404 and `missing`. */
static bool path_id(struct http_request *req, struct bytes *out, const char *missing)
{
	struct uuid *id = arena_alloc(&req->mem, sizeof(*id));

	if (id == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return false;
	}
	if (!uuid_parse(req->params[0], strlen(req->params[0]), id)) {
		http_answer_text(req, 404, "%s", missing);
		return false;
	}
	*out = uuid_bytes(id);
	return true;
}

/* What was written, from the state; it may be gone already. */
static void answer_token_row(struct write *w, const char *accessor, uint64_t index, bool wrapped)
{
	const struct view *v = w->api->link->ops->view(w->api->link);
	const struct acl_token_row *row = state_acl_token(v, accessor);
	struct acl_token token;
	int rv = row != NULL ? acl_token_row_get(v, row, &token, &w->req->mem) : ERR_NOTFOUND;

	if (rv == ERR_NOTFOUND) {
		http_answer_text(w->req, 404, TOKEN_MISSING);
	} else if (rv != 0) {
		http_answer_error(w->req, rv);
	} else if (wrapped) {
		answer_object(w->req, &exchange_answer_type, &(struct exchange_answer){&token}, index);
	} else {
		answer_object(w->req, &acl_token_type, &token, index);
	}
	view_release(v);
}

/* ---- the first token ---- */

static void answer_token(struct write *w, const struct apply_result *r)
{
	if (!refused(w, r)) {
		answer_token_row(w, w->own, r->index, false);
	}
}

static void bootstrap(struct api *api, struct http_request *req, const char *secret)
{
	const struct acl_config *c = &api->config.acl_config;
	struct acl_bootstrap p = {.token = arena_alloc(&req->mem, sizeof(*p.token))};
	struct write *w = p.token != NULL ? write_new(api, req) : NULL;

	if (w == NULL) {
		if (p.token == NULL) {
			http_answer_error(req, ERR_NOMEM);
		}
		return;
	}
	object_init(&acl_token_type, p.token);
	p.token->accessor_id = new_id(&req->mem);
	p.token->secret_id = secret[0] != '\0' ? secret : new_id(&req->mem);
	p.token->name = "Bootstrap Token";
	p.token->type = "management";
	p.token->global = true;
	p.reset_index = c->reset_index != NULL ? c->reset_index(c->ctx) : 0;
	w->own = (void *)(uintptr_t)p.token->accessor_id;
	write_propose(w, COMMAND_ACL_BOOTSTRAP, &p, answer_token);
}

void serve_acl_bootstrap(struct api *api, struct http_request *req)
{
	struct bootstrap_request body;

	if (is_off(api, req) || body_decode(req, &bootstrap_request_type, &body, BODY_OPTIONAL, NULL) != 0) {
		return;
	}
	if (body.secret[0] != '\0' && !is_uuid(body.secret)) {
		http_answer_text(req, 400, "invalid acl token");
	} else {
		bootstrap(api, req, body.secret);
	}
}

/* ---- policies: writes ---- */

void serve_acl_policy_put(struct api *api, struct http_request *req)
{
	char why[POLICY_WHY] = "out of memory";
	struct acl_policy policy;
	struct policy *rules;
	const char *fault;
	struct write *w;

	if (is_off(api, req) || body_decode(req, &acl_policy_type, &policy, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if (strcmp(policy.name, req->params[0]) != 0) {
		http_answer_text(req, 400, "ACL policy name does not match request path");
		return;
	}
	fault = acl_policy_fault(&policy);
	if (fault != NULL) {
		http_answer_text(req, 400, "%s", fault);
		return;
	}
	if (policy_parse(policy.rules, strlen(policy.rules), &req->mem, &rules, why) != 0) {
		http_answer_text(req, 400, "failed to parse rules: %s", why);
		return;
	}
	w = write_new(api, req);
	if (w != NULL) {
		write_propose(w, COMMAND_ACL_POLICY_PUT, &(struct acl_policy_put){&policy}, answer_nothing);
	}
}

void serve_acl_policy_delete(struct api *api, struct http_request *req)
{
	struct write *w = is_off(api, req) ? NULL : write_new(api, req);

	if (w != NULL) {
		write_propose(w, COMMAND_ACL_POLICY_DELETE, &(struct name_delete){req->params[0]}, answer_nothing);
	}
}

/* ---- tokens: writes ---- */

static const char *span_fault(struct arena *mem, const char *format, int64_t ns)
{
	char text[DURATION_TEXT];
	const char *fault;

	duration_format(ns, text);
	fault = arena_printf(mem, format, text);
	return fault != NULL ? fault : error_text(ERR_NOMEM);
}

/* When a new token is to end, from what the body says of it; or what is wrong with that. */
static const char *set_expiry(const struct api *api, struct acl_token *token, struct arena *mem)
{
	const struct acl_config *c = &api->config.acl_config;
	int64_t now = api_wall(api);
	int64_t ttl_ns = token->expiration_ttl;

	if (ttl_ns == 0 && token->expiration_time == 0) {
		return NULL;
	}
	if (ttl_ns != 0 && token->expiration_time != 0) {
		return "only one of ExpirationTTL and ExpirationTime may be given";
	}
	if (ttl_ns < 0) {
		return "ExpirationTTL must not be negative";
	}
	if (token->expiration_time != 0 && token->expiration_time <= now) {
		return "expiration time cannot be before create time";
	}
	ttl_ns = ttl_ns != 0 ? ttl_ns : token->expiration_time - now;
	if (ttl_ns < c->token_min_ttl_ns) {
		return span_fault(mem, "expiration time cannot be less than %s in the future", c->token_min_ttl_ns);
	}
	if (ttl_ns > c->token_max_ttl_ns) {
		return span_fault(mem, "expiration time cannot be more than %s in the future", c->token_max_ttl_ns);
	}
	if (token->expiration_time == 0) {
		token->expiration_time = now + ttl_ns;
	}
	return NULL;
}

static void put_token(struct api *api, struct http_request *req, struct acl_token *token, bool create)
{
	const char *fault = acl_token_fault(token);
	struct write *w;

	if (fault == NULL && create) {
		fault = set_expiry(api, token, &req->mem);
	}
	if (fault != NULL) {
		http_answer_text(req, 400, "%s", fault);
		return;
	}
	w = write_new(api, req);
	if (w == NULL) {
		return;
	}
	w->own = arena_strdup(&req->mem, token->accessor_id); /* Which may be of the body, that goes. */
	if (w->own == NULL) {
		http_answer_error(req, ERR_NOMEM);
	} else {
		write_propose(w, COMMAND_ACL_TOKEN_PUT, &(struct acl_token_put){token, create}, answer_token);
	}
}

void serve_acl_token_create(struct api *api, struct http_request *req)
{
	struct acl_token token;

	if (is_off(api, req) || body_decode(req, &acl_token_type, &token, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if (token.accessor_id[0] != '\0' || token.secret_id[0] != '\0') {
		http_answer_text(req, 400,
				 "AccessorID and SecretID of a new token are not given here, but at "
				 "/v1/acl/token/:accessor");
		return;
	}
	token.accessor_id = new_id(&req->mem);
	token.secret_id = new_id(&req->mem);
	put_token(api, req, &token, true);
}

/* One that is not there, and comes with its own IDs. */
static void upload_token(struct api *api, struct http_request *req, struct acl_token *token)
{
	if (token->secret_id[0] == '\0') {
		http_answer_text(req, 404, TOKEN_MISSING);
	} else if (!is_uuid(token->accessor_id) || !is_uuid(token->secret_id)) {
		http_answer_text(req, 400, "AccessorID and SecretID of a token must be UUIDs");
	} else if (strcmp(token->type, "management") == 0) {
		http_answer_text(req, 400, "cannot upload management tokens");
	} else {
		put_token(api, req, token, true);
	}
}

void serve_acl_token_put(struct api *api, struct http_request *req)
{
	struct acl_token token;
	const struct view *v;
	bool known;

	if (is_off(api, req) || body_decode(req, &acl_token_type, &token, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if (token.accessor_id[0] == '\0') {
		token.accessor_id = req->params[0];
	}
	if (strcmp(token.accessor_id, req->params[0]) != 0) {
		http_answer_text(req, 400, "token accessor ID does not match request path");
		return;
	}
	v = api->link->ops->view(api->link);
	known = state_acl_token(v, token.accessor_id) != NULL;
	view_release(v);
	if (known) {
		put_token(api, req, &token, false);
	} else {
		upload_token(api, req, &token);
	}
}

void serve_acl_token_delete(struct api *api, struct http_request *req)
{
	struct acl_id p;
	struct write *w;

	if (!is_off(api, req) && path_id(req, &p.id, TOKEN_MISSING) && (w = write_new(api, req)) != NULL) {
		write_propose(w, COMMAND_ACL_TOKEN_DELETE, &p, answer_nothing);
	}
}

/* ---- one-time tokens ---- */

struct once {
	struct one_time_token token;
	struct uuid accessor;
	struct uuid secret;
};

static void answer_once(struct write *w, const struct apply_result *r)
{
	struct once *own = w->own;

	if (!refused(w, r)) {
		own->token.expires_at = r->time_ns;
		own->token.create_index = (int64_t)r->create_index;
		own->token.modify_index = (int64_t)r->index;
		answer_object(w->req, &one_time_answer_type, &(struct one_time_answer){&own->token}, r->index);
	}
}

void serve_acl_token_once(struct api *api, struct http_request *req)
{
	struct once *own = arena_calloc(&req->mem, 1, sizeof(*own));
	const struct acl_token_row *row;
	const struct view *v;
	struct write *w;

	if (is_off(api, req)) {
		return;
	}
	v = api->link->ops->view(api->link);
	row = caller(api, req, v);
	if (own != NULL && row != NULL) {
		own->accessor = row->accessor;
	}
	view_release(v);
	if (own == NULL || row == NULL) {
		http_answer_text(req, own == NULL ? 500 : 403, "%s", own == NULL ? error_text(ERR_NOMEM) : DENIED);
		return;
	}
	own->token.accessor_id = uuid_text(&req->mem, &own->accessor);
	own->token.secret_id = new_id(&req->mem);
	w = uuid_parse(own->token.secret_id, strlen(own->token.secret_id), &own->secret) ? write_new(api, req) : NULL;
	if (w != NULL) {
		w->own = own;
		write_propose(w, COMMAND_ACL_ONCE_PUT,
			      &(struct acl_once_put){uuid_bytes(&own->accessor), uuid_bytes(&own->secret),
						     ONE_TIME_TTL_NS},
			      answer_once);
	} else if (own->token.secret_id[0] == '\0') {
		http_answer_error(req, ERR_IO);
	}
}

/* The token may have ended meanwhile. */
static void answer_exchange(struct write *w, const struct apply_result *r)
{
	if (!refused(w, r)) {
		answer_token_row(w, uuid_text(&w->req->mem, &r->made_id), r->index, true);
	}
}

void serve_acl_token_exchange(struct api *api, struct http_request *req)
{
	struct exchange_request body;
	struct uuid secret;
	struct write *w;

	if (is_off(api, req) || body_decode(req, &exchange_request_type, &body, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if (!uuid_parse(body.secret, strlen(body.secret), &secret)) {
		http_answer_text(req, 403, DENIED);
	} else if ((w = write_new(api, req)) != NULL) {
		write_propose(w, COMMAND_ACL_ONCE_EXCHANGE, &(struct acl_id){uuid_bytes(&secret)}, answer_exchange);
	}
}

/* ---- roles: writes ---- */

static void answer_role(struct write *w, const struct apply_result *r)
{
	const struct acl_role_row *row;
	struct acl_role role;
	const struct view *v;
	int rv;

	if (refused(w, r)) {
		return;
	}
	v = w->api->link->ops->view(w->api->link);
	row = state_acl_role(v, w->own);
	rv = row != NULL ? acl_role_row_get(v, row, &role, &w->req->mem) : ERR_NOTFOUND;
	if (rv == ERR_NOTFOUND) {
		http_answer_text(w->req, 404, ROLE_MISSING);
	} else if (rv != 0) {
		http_answer_error(w->req, rv);
	} else {
		answer_object(w->req, &acl_role_type, &role, r->index);
	}
	view_release(v);
}

static void put_role(struct api *api, struct http_request *req, const char *id)
{
	bool create = id == NULL;
	struct acl_role role;
	const char *fault;
	struct write *w;

	if (is_off(api, req) || body_decode(req, &acl_role_type, &role, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if (create && role.id[0] != '\0') {
		http_answer_text(req, 400,
				 "ID of a new role is not given; a role that is there is at /v1/acl/role/:id");
		return;
	}
	if (!create && role.id[0] != '\0' && strcmp(role.id, id) != 0) {
		http_answer_text(req, 400, "ACL role ID does not match request path");
		return;
	}
	role.id = create ? new_id(&req->mem) : id;
	fault = acl_role_fault(&role);
	if (fault != NULL) {
		http_answer_text(req, 400, "%s", fault);
	} else if (!is_uuid(role.id)) {
		http_answer_text(req, 404, ROLE_MISSING);
	} else if ((w = write_new(api, req)) != NULL) {
		w->own = (void *)(uintptr_t)role.id;
		write_propose(w, COMMAND_ACL_ROLE_PUT, &(struct acl_role_put){&role, create}, answer_role);
	}
}

void serve_acl_role_create(struct api *api, struct http_request *req)
{
	put_role(api, req, NULL);
}

void serve_acl_role_put(struct api *api, struct http_request *req)
{
	put_role(api, req, req->params[0]);
}

void serve_acl_role_delete(struct api *api, struct http_request *req)
{
	struct acl_id p;
	struct write *w;

	if (!is_off(api, req) && path_id(req, &p.id, ROLE_MISSING) && (w = write_new(api, req)) != NULL) {
		write_propose(w, COMMAND_ACL_ROLE_DELETE, &p, answer_nothing);
	}
}

/* ---- what there is none of ---- */

static void answer_none(struct api *api, struct http_request *req)
{
	struct buf b = {0};

	if (!is_off(api, req)) {
		buf_str(&b, "[]");
		http_answer_json(req, &b, 1);
	}
}

void serve_acl_auth_methods(struct api *api, struct http_request *req)
{
	answer_none(api, req);
}

void serve_acl_binding_rules(struct api *api, struct http_request *req)
{
	answer_none(api, req);
}

#define UNSUPPORTED_LIST(X)                                                                                            \
	X(auth_method) X(auth_method_named) X(binding_rule) X(binding_rule_one) X(oidc) X(login) X(identity)
#define X(name)                                                                                                        \
	void serve_acl_##name(struct api *api, struct http_request *req)                                               \
	{                                                                                                              \
		if (!is_off(api, req)) {                                                                               \
			http_answer_text(req, 501, "auth methods, binding rules and identities are not supported");    \
		}                                                                                                      \
	}
UNSUPPORTED_LIST(X)
#undef X

void serve_acl_other(struct api *api, struct http_request *req)
{
	if (!is_off(api, req)) {
		http_answer(req, &(struct http_response){.status = 404});
	}
}
