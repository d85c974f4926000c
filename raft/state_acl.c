/* Policies, tokens and roles: finding them, and their rows as objects of the API. */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "proto/error.h"
#include "raft/table.h"

/* ---- finding ---- */

void acl_lookup(const struct uuid *secret, uint8_t lookup[16])
{
	uint8_t hash[SHA256_DIGEST_LENGTH];

	SHA256(secret->at, sizeof(secret->at), hash);
	memcpy(lookup, hash, 16);
}

static const void *find(const struct view *v, unsigned tree, const void *key, size_t len)
{
	return view_find(v, tree, (struct tree_key){key, len});
}

static const void *find_name(const struct view *v, unsigned tree, const char *name)
{
	struct key key = {.len = 0};

	key_text(&key, name);
	return key.len <= sizeof(key.at) ? view_find(v, tree, key_of(&key)) : NULL;
}

static bool is_same(const struct uuid *a, const struct uuid *b)
{
	return CRYPTO_memcmp(a, b, sizeof(*a)) == 0;
}

const struct acl_token_row *state_acl_token(const struct view *v, const char *accessor)
{
	struct uuid id;

	return uuid_parse(accessor, strlen(accessor), &id) ? find(v, TABLE_ACL_TOKENS, &id, sizeof(id)) : NULL;
}

const struct acl_token_row *state_acl_token_by_secret(const struct view *v, const char *secret)
{
	const struct acl_token_row *row;
	struct uuid id;
	uint8_t lookup[16];

	if (!uuid_parse(secret, strlen(secret), &id)) {
		return NULL;
	}
	acl_lookup(&id, lookup);
	row = find(v, INDEX_ACL_TOKENS_SECRET, lookup, sizeof(lookup));
	return row != NULL && is_same(&row->secret, &id) ? row : NULL;
}

const struct object_row *state_acl_policy(const struct view *v, const char *name)
{
	return find_name(v, TABLE_ACL_POLICIES, name);
}

const struct acl_role_row *state_acl_role(const struct view *v, const char *id)
{
	struct uuid role;

	return uuid_parse(id, strlen(id), &role) ? find(v, TABLE_ACL_ROLES, &role, sizeof(role)) : NULL;
}

const struct acl_role_row *state_acl_role_by_name(const struct view *v, const char *name)
{
	return find_name(v, INDEX_ACL_ROLES_NAME, name);
}

const struct acl_once_row *state_acl_once(const struct view *v, const struct uuid *accessor)
{
	return find(v, TABLE_ACL_ONCE, accessor, sizeof(*accessor));
}

const struct acl_once_row *state_acl_once_by_secret(const struct view *v, const struct uuid *secret)
{
	const struct acl_once_row *row;
	uint8_t lookup[16];

	acl_lookup(secret, lookup);
	row = find(v, INDEX_ACL_ONCE_SECRET, lookup, sizeof(lookup));
	return row != NULL && is_same(&row->secret, secret) ? row : NULL;
}

int state_acl_bootstrapped(const struct view *v, struct acl_bootstrapped *out, struct arena *mem)
{
	const struct object_row *row = find_name(v, TABLE_CONFIGS, "acl-bootstrap");

	return row != NULL ? object_row_get(row, &acl_bootstrapped_type, out, mem) : ERR_NOTFOUND;
}

void rows_expiring_tokens(struct rows *r, const struct view *v)
{
	rows_open(r, v, INDEX_ACL_TOKENS_EXPIRY, NULL, 0);
}

void rows_expiring_once(struct rows *r, const struct view *v)
{
	rows_open(r, v, INDEX_ACL_ONCE_EXPIRY, NULL, 0);
}

int64_t acl_token_row_expiry(const struct acl_token_row *row)
{
	return (int64_t)get_be64(row->expiry);
}

int64_t acl_once_row_expiry(const struct acl_once_row *row)
{
	return (int64_t)get_be64(row->expiry);
}

/* ---- as objects ---- */

static int unpack(const struct type *t, const struct blob *blob, void *out, struct arena *mem)
{
	int rv = pack_decode(t, out, blob->data, blob->len, mem);

	return rv == 0 || rv == ERR_NOMEM ? rv : ERR_CORRUPT;
}

static const char *id_text(const struct uuid *id, struct arena *mem)
{
	char *text = arena_alloc(mem, UUID_TEXT);

	if (text != NULL) {
		uuid_format(id, text);
	}
	return text;
}

/* Roles that are gone grant nothing, and are not told of; the others have the names that they have now. */
static void name_roles(const struct view *v, struct acl_token *token)
{
	uint32_t kept = 0;
	uint32_t i;

	for (i = 0; i < token->roles.n; i++) {
		const struct acl_role_row *role = state_acl_role(v, token->roles.at[i].id);

		if (role != NULL) {
			token->roles.at[kept++] = (struct acl_role_link){token->roles.at[i].id, role->name};
		}
	}
	token->roles.n = kept;
}

int acl_token_row_get(const struct view *v, const struct acl_token_row *row, struct acl_token *out, struct arena *mem)
{
	int rv = unpack(&acl_token_type, row->rest, out, mem);

	if (rv != 0) {
		return rv;
	}
	out->accessor_id = id_text(&row->accessor, mem);
	out->secret_id = id_text(&row->secret, mem);
	out->type = (row->flags & ACL_TOKEN_MANAGEMENT) != 0 ? "management" : "client";
	out->global = (row->flags & ACL_TOKEN_GLOBAL) != 0;
	out->create_time = row->create_time_ns;
	out->expiration_time = acl_token_row_expiry(row);
	out->create_index = (int64_t)row->create_index;
	out->modify_index = (int64_t)row->modify_index;
	name_roles(v, out);
	return out->accessor_id != NULL && out->secret_id != NULL ? 0 : ERR_NOMEM;
}

int acl_token_row_stub(const struct view *v, const struct acl_token_row *row, struct acl_token_stub *out,
		       struct arena *mem)
{
	struct acl_token t;
	int rv = acl_token_row_get(v, row, &t, mem);

	if (rv == 0) {
		object_init(&acl_token_stub_type, out);
		out->accessor_id = t.accessor_id;
		out->name = t.name;
		out->type = t.type;
		out->policies = t.policies;
		memcpy(&out->roles, &t.roles, sizeof(out->roles));
		out->global = t.global;
		out->hash = t.hash;
		out->create_time = t.create_time;
		out->expiration_time = t.expiration_time;
		out->create_index = t.create_index;
		out->modify_index = t.modify_index;
	}
	return rv;
}

int acl_role_row_get(const struct view *v, const struct acl_role_row *row, struct acl_role *out, struct arena *mem)
{
	int rv = unpack(&acl_role_type, row->rest, out, mem);
	uint32_t kept = 0;
	uint32_t i;

	if (rv != 0) {
		return rv;
	}
	out->id = id_text(&row->id, mem);
	out->name = row->name;
	out->create_index = (int64_t)row->create_index;
	out->modify_index = (int64_t)row->modify_index;
	for (i = 0; i < out->policies.n; i++) {
		if (v == NULL || state_acl_policy(v, out->policies.at[i].name) != NULL) {
			out->policies.at[kept++] = out->policies.at[i];
		}
	}
	out->policies.n = kept;
	return out->id != NULL ? 0 : ERR_NOMEM;
}

int acl_policy_row_get(const struct object_row *row, struct acl_policy *out, struct arena *mem)
{
	int rv = object_row_get(row, &acl_policy_type, out, mem);

	if (rv == 0) {
		out->create_index = (int64_t)row->create_index;
		out->modify_index = (int64_t)row->modify_index;
	}
	return rv;
}
