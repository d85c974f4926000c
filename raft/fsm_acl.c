/* Access control: the first token, policies, tokens, roles, secrets that are good for once. */
#include <string.h>

#include <openssl/sha.h>

#include "raft/fsm_work.h"

static void name_key(struct key *key, const char *name)
{
	key->len = 0;
	key_text(key, name);
}

/* The hash that the API shows: of what the object says, in packed form, while its `hash` is nothing. */
static struct bytes hash_of(struct fsm_work *f, const struct type *t, const void *object)
{
	uint8_t *hash = fsm_scratch(f, SHA256_DIGEST_LENGTH);

	f->pack.len = 0;
	pack_encode(t, object, &f->pack);
	if (f->pack.failed) {
		state_malloc(SIZE_MAX);
	}
	SHA256((const uint8_t *)f->pack.at, f->pack.len, hash);
	return (struct bytes){hash, SHA256_DIGEST_LENGTH};
}

/* ---- policies ---- */

void fsm_ACL_POLICY_PUT(struct fsm_work *f, const struct acl_policy_put *p)
{
	const char *fault = p->policy != NULL ? acl_policy_fault(p->policy) : "Policy is missing";
	struct acl_policy policy;
	struct key key;

	if (fault != NULL) {
		fsm_fail(f, ERR_INVALID, "%s", fault);
		return;
	}
	policy = *p->policy;
	policy.create_index = policy.modify_index = 0;
	policy.hash = (struct bytes){NULL, 0};
	policy.hash = hash_of(f, &acl_policy_type, &policy);
	name_key(&key, policy.name);
	f->result->changed = fsm_object_put(f, TABLE_ACL_POLICIES, &key, &acl_policy_type, &policy);
}

void fsm_ACL_POLICY_DELETE(struct fsm_work *f, const struct name_delete *p)
{
	struct key key;

	name_key(&key, p->name);
	if (!fsm_object_remove(f, TABLE_ACL_POLICIES, &key)) {
		fsm_fail(f, ERR_NOTFOUND, "ACL policy %.128s not found", p->name);
	}
}

/* ---- roles ---- */

static bool policies_exist(struct fsm_work *f, const struct acl_role *role)
{
	for (uint32_t i = 0; i < role->policies.n; i++) {
		if (state_acl_policy(view_of(f), role->policies.at[i].name) == NULL) {
			fsm_fail(f, ERR_INVALID, "cannot find policy %.128s", role->policies.at[i].name);
			return false;
		}
	}
	return true;
}

static bool may_put_role(struct fsm_work *f, const struct acl_role_put *p, const struct uuid *id)
{
	const char *fault = p->role != NULL ? acl_role_fault(p->role) : "Role is missing";
	const struct acl_role_row *named;
	const struct acl_role_row *old;

	if (fault != NULL) {
		fsm_fail(f, ERR_INVALID, "%s", fault);
		return false;
	}
	named = state_acl_role_by_name(view_of(f), p->role->name);
	old = state_acl_role(view_of(f), p->role->id);
	if (named != NULL && !uuid_equal(&named->id, id)) {
		fsm_fail(f, ERR_INVALID, "role with name %s already exists", p->role->name);
	} else if (p->create && old != NULL) {
		fsm_fail(f, ERR_EXISTS, "role with this ID already exists");
	} else if (!p->create && old == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "cannot find role %s", p->role->id);
	} else {
		return policies_exist(f, p->role);
	}
	return false;
}

/* A policy that is named twice counts once. */
static void keep_once(struct acl_role *role)
{
	uint32_t kept = 0;
	uint32_t i;
	uint32_t j;

	for (i = 0; i < role->policies.n; i++) {
		for (j = 0; j < kept && strcmp(role->policies.at[j].name, role->policies.at[i].name) != 0; j++) {
		}
		if (j == kept) {
			role->policies.at[kept++] = role->policies.at[i];
		}
	}
	role->policies.n = kept;
}

/* What the row does not say itself. */
static struct blob *pack_role(struct fsm_work *f, const struct acl_role *from)
{
	struct acl_role role = *from;

	role.policies.at = fsm_scratch(f, role.policies.n * sizeof(*role.policies.at));
	memcpy(role.policies.at, from->policies.at, role.policies.n * sizeof(*role.policies.at));
	keep_once(&role);
	role.create_index = role.modify_index = 0;
	role.hash = (struct bytes){NULL, 0};
	role.hash = hash_of(f, &acl_role_type, &role);
	role.id = role.name = "";
	return fsm_pack(f, &acl_role_type, &role);
}

void fsm_ACL_ROLE_PUT(struct fsm_work *f, const struct acl_role_put *p)
{
	const struct acl_role_row *old;
	struct acl_role_row *row;
	struct uuid id = {{0}};
	size_t len;

	if (p->role != NULL && !uuid_parse(p->role->id, strlen(p->role->id), &id)) {
		fsm_fail(f, ERR_INVALID, "ID of a role must be a UUID");
		return;
	}
	if (!may_put_role(f, p, &id)) {
		return;
	}
	len = strlen(p->role->name) + 1;
	old = state_acl_role(view_of(f), p->role->id);
	if (old != NULL) {
		row = writer_resize(&f->w, &old->row, len);
	} else {
		row = (struct acl_role_row *)row_new(TABLE_ACL_ROLES, len);
		row->id = id;
		row->create_index = index_of(f);
	}
	memcpy(row->name, p->role->name, len);
	blob_set(&row->rest, pack_role(f, p->role));
	row->modify_index = index_of(f);
	writer_put(&f->w, &row->row);
	f->result->create_index = row->create_index;
	f->result->changed = true;
}

void fsm_ACL_ROLE_DELETE(struct fsm_work *f, const struct acl_id *p)
{
	const struct acl_role_row *row = NULL;
	struct uuid id;

	if (bytes_uuid(&p->id, &id)) {
		row = (const struct acl_role_row *)view_find(view_of(f), TABLE_ACL_ROLES,
							     (struct tree_key){&id, sizeof(id)});
	}
	if (row == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "ACL role not found");
	} else {
		writer_remove(&f->w, &row->row);
	}
}

/* ---- tokens ---- */

static const struct acl_token_row *find_token(struct fsm_work *f, const struct uuid *accessor)
{
	return (const struct acl_token_row *)view_find(view_of(f), TABLE_ACL_TOKENS,
						       (struct tree_key){accessor, sizeof(*accessor)});
}

/* The IDs of the roles that a token names, each once; they are there. */
static bool resolve_roles(struct fsm_work *f, struct acl_token *token)
{
	struct acl_role_link *at = fsm_scratch(f, token->roles.n * sizeof(*at) + 1);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < token->roles.n; i++) {
		const struct acl_role_link *link = &token->roles.at[i];
		const struct acl_role_row *role = link->id[0] != '\0' ? state_acl_role(view_of(f), link->id)
								      : state_acl_role_by_name(view_of(f), link->name);
		char *id = fsm_scratch(f, UUID_TEXT);
		uint32_t j;

		if (role == NULL) {
			fsm_fail(f, ERR_INVALID, "cannot find role %.128s",
				 link->id[0] != '\0' ? link->id : link->name);
			return false;
		}
		uuid_format(&role->id, id);
		for (j = 0; j < kept && strcmp(at[j].id, id) != 0; j++) {
		}
		if (j == kept) {
			at[kept++] = (struct acl_role_link){id, ""};
		}
	}
	token->roles.at = at;
	token->roles.n = kept;
	return true;
}

static bool is_taken(struct fsm_work *f, const struct acl_token *token, const struct uuid *accessor)
{
	if (find_token(f, accessor) != NULL) {
		fsm_fail(f, ERR_EXISTS, "a token with this AccessorID exists already");
	} else if (state_acl_token_by_secret(view_of(f), token->secret_id) != NULL) {
		fsm_fail(f, ERR_EXISTS, "a token with this SecretID exists already");
	}
	return f->result->status != 0;
}

static bool may_change(struct fsm_work *f, const struct acl_token_row *old, const struct acl_token *token)
{
	struct acl_token before;
	char secret[UUID_TEXT];
	bool global;

	if (old == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "ACL token not found");
		return false;
	}
	fsm_unpack(f, &acl_token_type, old->rest, &before);
	uuid_format(&old->secret, secret);
	global = (old->flags & ACL_TOKEN_GLOBAL) != 0;
	if (token->secret_id[0] != '\0' && strcmp(token->secret_id, secret) != 0) {
		fsm_fail(f, ERR_INVALID, "SecretID of a token cannot be changed");
	} else if (token->global != global) {
		fsm_fail(f, ERR_INVALID, "cannot toggle global mode of a token");
	} else if (token->expiration_time != 0 && token->expiration_time != acl_token_row_expiry(old)) {
		fsm_fail(f, ERR_INVALID, "cannot update expiration time");
	} else if (token->expiration_ttl != 0 && token->expiration_ttl != before.expiration_ttl) {
		fsm_fail(f, ERR_INVALID, "cannot update expiration TTL");
	}
	return f->result->status == 0;
}

/* What the row does not say itself. */
static struct blob *pack_token(struct fsm_work *f, const struct acl_token *from, int64_t ttl_ns)
{
	struct acl_token token = *from;

	token.accessor_id = token.secret_id = "";
	token.hash = (struct bytes){NULL, 0};
	token.create_time = token.expiration_time = token.expiration_ttl = 0;
	token.create_index = token.modify_index = 0;
	token.hash = hash_of(f, &acl_token_type, &token);
	token.expiration_ttl = ttl_ns;
	token.type = "";
	token.global = false;
	return fsm_pack(f, &acl_token_type, &token);
}

static struct acl_token_row *new_token(struct fsm_work *f, const struct acl_token *token, const struct uuid *accessor)
{
	struct acl_token_row *row = (struct acl_token_row *)row_new(TABLE_ACL_TOKENS, 0);

	row->accessor = *accessor;
	(void)uuid_parse(token->secret_id, strlen(token->secret_id), &row->secret);
	acl_lookup(&row->secret, row->lookup);
	put_be64(row->expiry, (uint64_t)token->expiration_time);
	row->create_index = index_of(f);
	row->create_time_ns = now_of(f);
	row->flags = token->global ? ACL_TOKEN_GLOBAL : 0;
	return row;
}

static void put_token(struct fsm_work *f, const struct acl_token_row *old, const struct acl_token *token,
		      const struct uuid *accessor)
{
	struct acl_token before = {.expiration_ttl = token->expiration_ttl};
	struct acl_token_row *row;

	if (old != NULL) {
		fsm_unpack(f, &acl_token_type, old->rest, &before);
		row = writer_edit(&f->w, &old->row);
	} else {
		row = new_token(f, token, accessor);
	}
	row->flags = (uint16_t)(row->flags & ~ACL_TOKEN_MANAGEMENT);
	row->flags |= strcmp(token->type, "management") == 0 ? ACL_TOKEN_MANAGEMENT : 0;
	row->modify_index = index_of(f);
	blob_set(&row->rest, pack_token(f, token, before.expiration_ttl));
	writer_put(&f->w, &row->row);
	f->result->create_index = row->create_index;
	f->result->create_time_ns = row->create_time_ns;
	f->result->changed = true;
}

/* What a token must be like that has these IDs. */
static bool is_token(struct fsm_work *f, const struct acl_token *token, bool create, struct uuid *accessor)
{
	const char *fault = token != NULL ? acl_token_fault(token) : "Token is missing";
	struct uuid secret;

	if (fault != NULL) {
		fsm_fail(f, ERR_INVALID, "%s", fault);
	} else if (!uuid_parse(token->accessor_id, strlen(token->accessor_id), accessor)) {
		fsm_fail(f, ERR_INVALID, "AccessorID of a token must be a UUID");
	} else if (create && !uuid_parse(token->secret_id, strlen(token->secret_id), &secret)) {
		fsm_fail(f, ERR_INVALID, "SecretID of a token must be a UUID");
	} else if (create && (uuid_is_zero(&secret) || uuid_is_zero(accessor))) {
		fsm_fail(f, ERR_INVALID, "AccessorID and SecretID of a token must not be zero");
	} else if (create && token->expiration_time != 0 && token->expiration_time <= now_of(f)) {
		fsm_fail(f, ERR_INVALID, "expiration time cannot be before create time");
	}
	return f->result->status == 0;
}

void fsm_ACL_TOKEN_PUT(struct fsm_work *f, const struct acl_token_put *p)
{
	const struct acl_token_row *old;
	struct acl_token token;
	struct uuid accessor;

	if (!is_token(f, p->token, p->create, &accessor)) {
		return;
	}
	token = *p->token;
	old = find_token(f, &accessor);
	if ((p->create ? is_taken(f, &token, &accessor) : !may_change(f, old, &token)) || !resolve_roles(f, &token)) {
		return;
	}
	put_token(f, p->create ? NULL : old, &token, &accessor);
}

static void remove_token(struct fsm_work *f, const struct acl_token_row *row)
{
	const struct acl_once_row *once = state_acl_once(view_of(f), &row->accessor);

	if (once != NULL) {
		writer_remove(&f->w, &once->row);
	}
	writer_remove(&f->w, &row->row);
}

void fsm_ACL_TOKEN_DELETE(struct fsm_work *f, const struct acl_id *p)
{
	const struct acl_token_row *row;
	struct uuid id;

	row = bytes_uuid(&p->id, &id) ? find_token(f, &id) : NULL;
	if (row == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "ACL token not found");
	} else {
		remove_token(f, row);
	}
}

/* ---- the first token ---- */

static bool may_bootstrap(struct fsm_work *f, int64_t reset_index)
{
	struct acl_bootstrapped done;
	int rv = state_acl_bootstrapped(view_of(f), &done, &f->mem);

	if (rv == ERR_NOTFOUND || (rv == 0 && reset_index != 0 && done.index == reset_index)) {
		return true;
	}
	if (rv != 0) {
		state_malloc(SIZE_MAX);
	}
	if (reset_index != 0) {
		fsm_fail(f, ERR_CONFLICT, "Invalid bootstrap reset index (specified %lld, reset index: %lld)",
			 (long long)reset_index, (long long)done.index);
	} else {
		fsm_fail(f, ERR_CONFLICT, "ACL bootstrap already done (reset index: %lld)", (long long)done.index);
	}
	return false;
}

void fsm_ACL_BOOTSTRAP(struct fsm_work *f, const struct acl_bootstrap *p)
{
	struct acl_bootstrapped done;
	struct uuid accessor;
	struct key key;

	if (!may_bootstrap(f, p->reset_index) || !is_token(f, p->token, true, &accessor) ||
	    is_taken(f, p->token, &accessor)) {
		return;
	}
	put_token(f, NULL, p->token, &accessor);
	done = (struct acl_bootstrapped){p->token->accessor_id, (int64_t)index_of(f)};
	name_key(&key, "acl-bootstrap");
	(void)fsm_object_put(f, TABLE_CONFIGS, &key, &acl_bootstrapped_type, &done);
}

/* ---- secrets that are good for once ---- */

void fsm_ACL_ONCE_PUT(struct fsm_work *f, const struct acl_once_put *p)
{
	const struct acl_once_row *old;
	struct acl_once_row *row;
	struct uuid accessor;
	struct uuid secret;

	if (!bytes_uuid(&p->secret, &secret) || uuid_is_zero(&secret) || p->ttl_ns <= 0 ||
	    !bytes_uuid(&p->accessor, &accessor)) {
		fsm_fail(f, ERR_INVALID, "a malformed one-time token");
		return;
	}
	if (find_token(f, &accessor) == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "ACL token not found");
		return;
	}
	if (state_acl_once_by_secret(view_of(f), &secret) != NULL) {
		fsm_fail(f, ERR_EXISTS, "a one-time token with this secret exists already");
		return;
	}
	old = state_acl_once(view_of(f), &accessor);
	row = old != NULL ? writer_rekey(&f->w, &old->row) : (struct acl_once_row *)row_new(TABLE_ACL_ONCE, 0);
	row->accessor = accessor;
	row->secret = secret;
	acl_lookup(&secret, row->lookup);
	row->create_index = old != NULL ? row->create_index : index_of(f);
	row->modify_index = index_of(f);
	f->result->time_ns = fsm_later(now_of(f), p->ttl_ns);
	put_be64(row->expiry, (uint64_t)f->result->time_ns);
	f->result->create_index = row->create_index;
	writer_put(&f->w, &row->row);
}

void fsm_ACL_ONCE_EXCHANGE(struct fsm_work *f, const struct acl_id *p)
{
	const struct acl_once_row *row;
	struct uuid secret;

	row = bytes_uuid(&p->id, &secret) ? state_acl_once_by_secret(view_of(f), &secret) : NULL;
	if (row == NULL || acl_once_row_expiry(row) <= now_of(f) ||
	    acl_token_row_expired(find_token(f, &row->accessor), now_of(f))) {
		fsm_fail(f, ERR_REFUSED, "Permission denied");
		return;
	}
	f->result->made_id = row->accessor;
	writer_remove(&f->w, &row->row);
}

/* ---- what is over ---- */

static bool expire_token(struct fsm_work *f, const struct acl_id *p)
{
	const struct acl_token_row *row;
	struct uuid id;

	row = bytes_uuid(&p->id, &id) ? find_token(f, &id) : NULL;
	if (row == NULL || !acl_token_row_expired(row, now_of(f))) {
		return false;
	}
	remove_token(f, row);
	return true;
}

static bool expire_once(struct fsm_work *f, const struct acl_id *p)
{
	const struct acl_once_row *row;
	struct uuid id;

	row = bytes_uuid(&p->id, &id) ? state_acl_once(view_of(f), &id) : NULL;
	if (row == NULL || acl_once_row_expiry(row) > now_of(f)) {
		return false;
	}
	writer_remove(&f->w, &row->row);
	return true;
}

void fsm_ACL_EXPIRE(struct fsm_work *f, const struct acl_expire *p)
{
	uint32_t i;

	for (i = 0; i < p->tokens.n; i++) {
		f->result->count += expire_token(f, &p->tokens.at[i]);
	}
	for (i = 0; i < p->once.n; i++) {
		f->result->count += expire_once(f, &p->once.at[i]);
	}
	f->result->rejected = p->tokens.n + p->once.n - f->result->count;
}
