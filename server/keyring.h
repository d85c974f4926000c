/**
 * Root keys: made, wrapped, and used to seal what the state keeps secret.
 *
 *     variable's items -- packed, sealed by the active root key --> state, log, snapshots, backups
 *     root keys        -- wrapped by the wrapping key           --> the same
 *     wrapping key     -- a file that an operator puts on each server; in no state, log or backup
 *
 * Root keys travel in the state, so every server has all of them at the moment at which it has what they have sealed:
 * no server that joins, no restored backup ever lacks one. What protects them there is the wrapping key. Without one
 * (server.wrapping_key_file is not set) they stand in the state as they are, and who can read a server's disk or a
 * backup can read the variables.
 *
 * Sealing is AES-256-GCM with a random nonce, bound to what it is for: sealed items moved to another variable do not
 * open. A root key comes with a key pair (Ed25519), whose public half is told in /.well-known/jwks.json.
 */
#ifndef SERVER_KEYRING_H_
#define SERVER_KEYRING_H_

#include "proto/variable.h"

enum {
	KEYRING_KEY = 32,    /* Bytes of a key, and of a key pair's seed. */
	KEYRING_PUBLIC = 32,
	KEYRING_OVERHEAD = 28, /* What sealing adds: nonce and tag. */
	KEYRING_NAME = 17,   /* Of a wrapping key, with a zero. */
};

struct keyring {
	bool wraps; /* There is a wrapping key. */
	uint8_t wrapping[KEYRING_KEY];
	char wrapped_by[KEYRING_NAME]; /* Its name, from its hash; "" without one. */
};

/* `key` is KEYRING_KEY bytes, or NULL. */
void keyring_init(struct keyring *k, const uint8_t *key);

/* The wrapping key in a text: 32 bytes in base64 or in hexadecimal, with space around. 0 or ERR_SYNTAX. */
int keyring_parse(const char *text, size_t len, uint8_t key[KEYRING_KEY]);

/* A new active root key; all of it is in `mem`. ERR_NOMEM; ERR_IO: no random bytes are to be had. */
int keyring_make(const struct keyring *k, int64_t now_ns, struct root_key *out, struct arena *mem);

/* Seal items for the variable at a path. ERR_NOMEM, ERR_IO; ERR_REFUSED: the root key is wrapped by another key than
 * this server's. */
int keyring_seal(const struct keyring *k, const struct root_key *key, const char *ns, const char *path,
		 const struct map *items, struct bytes *out, struct arena *mem);

/* And back. No data is no items. ERR_CORRUPT: it was sealed by another key, or for another path, or was changed. */
int keyring_open(const struct keyring *k, const struct root_key *key, const char *ns, const char *path,
		 const struct bytes *data, struct map *out, struct arena *mem);

/* Random bytes of the best kind. ERR_IO. */
int keyring_random(void *at, size_t n);

#endif /* SERVER_KEYRING_H_ */
