#include "server/keyring.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "lib/uuid.h"
#include "proto/error.h"

enum { NONCE = 12, TAG = KEYRING_OVERHEAD - NONCE, SECRET = 2 * KEYRING_KEY };

int keyring_random(void *at, size_t n)
{
	return RAND_bytes(at, (int)n) == 1 ? 0 : ERR_IO;
}

/* ---- sealing bytes: nonce, what was sealed, tag ---- */

static bool add_label(EVP_CIPHER_CTX *ctx, bool seals, const struct bytes *label)
{
	int n;

	return seals ? EVP_EncryptUpdate(ctx, NULL, &n, label->at, (int)label->n) == 1
		     : EVP_DecryptUpdate(ctx, NULL, &n, label->at, (int)label->n) == 1;
}

static bool encrypt(EVP_CIPHER_CTX *ctx, const uint8_t *key, const struct bytes *label, const struct bytes *plain,
		    uint8_t *out)
{
	uint8_t *body = out + NONCE;
	int n;

	return EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, out) == 1 && add_label(ctx, true, label) &&
	       EVP_EncryptUpdate(ctx, body, &n, plain->at, (int)plain->n) == 1 &&
	       EVP_EncryptFinal_ex(ctx, body + n, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, body + plain->n) == 1;
}

static bool decrypt(EVP_CIPHER_CTX *ctx, const uint8_t *key, const struct bytes *label, const struct bytes *sealed,
		    uint8_t *out)
{
	const uint8_t *body = sealed->at + NONCE;
	uint32_t len = sealed->n - KEYRING_OVERHEAD;
	uint8_t tag[TAG];
	int n;

	memcpy(tag, body + len, TAG);
	return EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed->at) == 1 && add_label(ctx, false, label) &&
	       EVP_DecryptUpdate(ctx, out, &n, body, (int)len) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
	       EVP_DecryptFinal_ex(ctx, out + n, &n) == 1;
}

static int seal(const uint8_t *key, const struct bytes *label, const struct bytes *plain, struct bytes *out,
		struct arena *mem)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *to = arena_alloc(mem, plain->n + KEYRING_OVERHEAD);
	int rv = ctx == NULL || to == NULL ? ERR_NOMEM : keyring_random(to, NONCE);

	if (rv == 0 && !encrypt(ctx, key, label, plain, to)) {
		rv = ERR_IO;
	}
	if (rv == 0) {
		*out = (struct bytes){to, plain->n + KEYRING_OVERHEAD};
	}
	EVP_CIPHER_CTX_free(ctx);
	return rv;
}

static int unseal(const uint8_t *key, const struct bytes *label, const struct bytes *sealed, struct bytes *out,
		  struct arena *mem)
{
	EVP_CIPHER_CTX *ctx;
	uint8_t *to;
	int rv;

	if (sealed->n < KEYRING_OVERHEAD) {
		return ERR_CORRUPT;
	}
	ctx = EVP_CIPHER_CTX_new();
	to = arena_alloc(mem, sealed->n);
	rv = ctx == NULL || to == NULL ? ERR_NOMEM : decrypt(ctx, key, label, sealed, to) ? 0 : ERR_CORRUPT;
	if (rv == 0) {
		*out = (struct bytes){to, sealed->n - KEYRING_OVERHEAD};
	}
	EVP_CIPHER_CTX_free(ctx);
	return rv;
}

/* ---- the wrapping key ---- */

void keyring_init(struct keyring *k, const uint8_t *key)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	unsigned i;

	*k = (struct keyring){.wraps = key != NULL};
	if (key == NULL) {
		return;
	}
	memcpy(k->wrapping, key, KEYRING_KEY);
	SHA256(key, KEYRING_KEY, hash);
	for (i = 0; i < (KEYRING_NAME - 1) / 2; i++) {
		snprintf(k->wrapped_by + 2 * (size_t)i, 3, "%02x", hash[i]);
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, uint8_t key[KEYRING_KEY])
{
	unsigned i;

	for (i = 0; i < KEYRING_KEY; i++) {
		int high = hex_value(text[2 * i]);
		int low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0) {
			return false;
		}
		key[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool parse_base64(const char *text, uint8_t key[KEYRING_KEY])
{
	uint8_t out[KEYRING_KEY + 1];

	if (text[43] != '=' || EVP_DecodeBlock(out, (const uint8_t *)text, 44) != KEYRING_KEY + 1) {
		return false;
	}
	memcpy(key, out, KEYRING_KEY);
	return true;
}

int keyring_parse(const char *text, size_t len, uint8_t key[KEYRING_KEY])
{
	while (len > 0 && isspace((unsigned char)text[len - 1])) {
		len--;
	}
	while (len > 0 && isspace((unsigned char)text[0])) {
		text++;
		len--;
	}
	if ((len == 64 && parse_hex(text, key)) || (len == 44 && parse_base64(text, key))) {
		return 0;
	}
	return ERR_SYNTAX;
}

/* ---- root keys ---- */

static struct bytes label_of(const struct root_key *key)
{
	return (struct bytes){(const uint8_t *)key->id, (uint32_t)strlen(key->id)};
}

static int wrap(const struct keyring *k, const uint8_t secret[SECRET], struct root_key *out, struct arena *mem)
{
	struct bytes plain = {secret, SECRET};
	struct bytes label = label_of(out);
	uint8_t *copy;

	if (k->wraps) {
		out->wrapped_by = arena_strdup(mem, k->wrapped_by);
		return out->wrapped_by == NULL ? ERR_NOMEM : seal(k->wrapping, &label, &plain, &out->secret, mem);
	}
	copy = arena_alloc(mem, SECRET);
	if (copy == NULL) {
		return ERR_NOMEM;
	}
	memcpy(copy, secret, SECRET);
	out->secret = (struct bytes){copy, SECRET};
	return 0;
}

static int unwrap(const struct keyring *k, const struct root_key *key, const uint8_t **out, struct arena *mem)
{
	struct bytes label = label_of(key);
	struct bytes plain = key->secret;
	int rv = 0;

	if (key->wrapped_by[0] != '\0') {
		rv = k->wraps && strcmp(key->wrapped_by, k->wrapped_by) == 0
			     ? unseal(k->wrapping, &label, &key->secret, &plain, mem)
			     : ERR_REFUSED;
	}
	if (rv == 0 && plain.n != SECRET) {
		rv = ERR_CORRUPT;
	}
	*out = plain.at;
	return rv;
}

static int public_of(const uint8_t *seed, struct bytes *out, struct arena *mem)
{
	EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, KEYRING_KEY);
	uint8_t *to = arena_alloc(mem, KEYRING_PUBLIC);
	size_t n = KEYRING_PUBLIC;
	int rv = to == NULL ? ERR_NOMEM
		 : pair != NULL && EVP_PKEY_get_raw_public_key(pair, to, &n) == 1 && n == KEYRING_PUBLIC ? 0
													  : ERR_IO;

	*out = (struct bytes){to, KEYRING_PUBLIC};
	EVP_PKEY_free(pair);
	return rv;
}

int keyring_make(const struct keyring *k, int64_t now_ns, struct root_key *out, struct arena *mem)
{
	char *id = arena_alloc(mem, UUID_TEXT);
	struct uuid uuid = uuid_random();
	uint8_t secret[SECRET];
	int rv = id != NULL ? keyring_random(secret, sizeof(secret)) : ERR_NOMEM;

	if (rv != 0) {
		return rv;
	}
	object_init(&root_key_type, out);
	uuid_format(&uuid, id);
	out->id = id;
	out->state = "active";
	out->create_time = now_ns;
	rv = public_of(secret + KEYRING_KEY, &out->public, mem);
	if (rv == 0) {
		rv = wrap(k, secret, out, mem);
	}
	OPENSSL_cleanse(secret, sizeof(secret));
	return rv;
}

/* ---- items ---- */

/* What items are bound to: key, namespace, path. */
static int items_label(const struct root_key *key, const char *ns, const char *path, struct bytes *out,
		       struct arena *mem)
{
	const char *text = arena_printf(mem, "%s\n%s\n%s", key->id, ns, path);

	if (text == NULL) {
		return ERR_NOMEM;
	}
	*out = (struct bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
	return 0;
}

int keyring_seal(const struct keyring *k, const struct root_key *key, const char *ns, const char *path,
		 const struct map *items, struct bytes *out, struct arena *mem)
{
	const struct variable_items packed = {*items};
	struct buf plain = {0};
	const uint8_t *secret;
	struct bytes label;
	int rv = unwrap(k, key, &secret, mem);

	if (rv == 0) {
		rv = items_label(key, ns, path, &label, mem);
	}
	pack_encode(&variable_items_type, &packed, &plain);
	if (rv == 0) {
		rv = plain.failed ? ERR_NOMEM
				  : seal(secret, &label, &(struct bytes){(uint8_t *)plain.at, (uint32_t)plain.len}, out,
					 mem);
	}
	if (plain.at != NULL) {
		OPENSSL_cleanse(plain.at, plain.len);
	}
	buf_close(&plain);
	return rv;
}

int keyring_open(const struct keyring *k, const struct root_key *key, const char *ns, const char *path,
		 const struct bytes *data, struct map *out, struct arena *mem)
{
	struct variable_items items;
	const uint8_t *secret;
	struct bytes label;
	struct bytes plain;
	int rv = 0;

	*out = (struct map){NULL, 0};
	if (data->n == 0) {
		return 0;
	}
	rv = unwrap(k, key, &secret, mem);
	if (rv == 0) {
		rv = items_label(key, ns, path, &label, mem);
	}
	if (rv == 0) {
		rv = unseal(secret, &label, data, &plain, mem);
	}
	if (rv == 0 && pack_decode(&variable_items_type, &items, plain.at, plain.n, mem) != 0) {
		rv = ERR_CORRUPT;
	}
	if (rv == 0) {
		*out = items.items;
	}
	return rv;
}
