/**
 * Variables: small maps of text under a path, which the state keeps encrypted, and the root keys that encrypt them.
 *
 * A variable in the state is a header and sealed items (server/keyring.h): who has the state, a log or a backup has no
 * item without the root key. Locks are on variables: who holds one has its ID.
 */
#ifndef PROTO_VARIABLE_H_
#define PROTO_VARIABLE_H_

#include "proto/job.h"
#include "proto/object.h"

enum {
	VARIABLE_PATH_MAX = 128,
	VARIABLE_BYTES_MAX = 64 << 10, /* Of its keys and values together. */
};

#define VARIABLE_TTL_NS (15 * NS_PER_S)     /* Of a lock, and its delay, unless a request says more. */
#define VARIABLE_TTL_MIN_NS (10 * NS_PER_S)
#define VARIABLE_TTL_MAX_NS (24 * 60 * NS_PER_MIN)

/* ---- as the API shows them ---- */

#define VARIABLE_LOCK_FIELDS(X, T)                                                       \
	X(T, STR, id, "ID", .omit = true)                                                \
	X(T, STR, ttl, "TTL")                                                            \
	X(T, STR, lock_delay, "LockDelay")

#define VARIABLE_STUB_FIELDS(X, T)                                                       \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, path, "Path")                                                          \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, INT, create_time, "CreateTime") /* Unix time in ns, as the next. */         \
	X(T, INT, modify_time, "ModifyTime")                                             \
	X(T, OBJ(variable_lock), lock, "Lock", .omit = true)

#define VARIABLE_FIELDS(X, T)                                                            \
	X(T, STR, namespace_, "Namespace", .hcl = "namespace")                           \
	X(T, STR, path, "Path")                                                          \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, INT, create_time, "CreateTime")                                             \
	X(T, INT, modify_time, "ModifyTime")                                             \
	X(T, MAP, items, "Items")                                                        \
	X(T, OBJ(variable_lock), lock, "Lock", .omit = true)

#define ROOT_KEY_STUB_FIELDS(X, T)                                                       \
	X(T, STR, algorithm, "Algorithm")                                                \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, create_time, "CreateTime")                                             \
	X(T, STR, id, "KeyID")                                                           \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, INT, publish_time, "PublishTime")                                           \
	X(T, STR, state, "State")

/* ---- as the state keeps them ---- */

#define SEALED_VARIABLE_FIELDS(X, T)                                                     \
	X(T, INT, create_time_ns, "CreateTime")                                          \
	X(T, INT, modify_time_ns, "ModifyTime")                                          \
	X(T, STR, key_id, "KeyID")       /* The root key. */                             \
	X(T, BYTES, data, "Data")        /* A packed variable_items, sealed. */          \
	X(T, STR, lock_id, "LockID")     /* "": it is not locked. */                     \
	X(T, INT, ttl_ns, "TTL")                                                         \
	X(T, INT, lock_delay_ns, "LockDelay")

#define VARIABLE_ITEMS_FIELDS(X, T) X(T, MAP, items, "Items")

/* Until when a lock is held, or, without an ID, nobody may take one. */
#define VARIABLE_HOLD_FIELDS(X, T)                                                       \
	X(T, STR, lock_id, "LockID")                                                     \
	X(T, INT, until_ns, "Until")

/* A root key. `secret` is 64 bytes, the key and the seed of the key pair that signs; wrapped they are longer. */
#define ROOT_KEY_FIELDS(X, T)                                                            \
	X(T, STR, id, "KeyID")                                                           \
	X(T, STR, state, "State")        /* "active", "inactive", "rekeying" */          \
	X(T, INT, create_time, "CreateTime")                                             \
	X(T, STR, wrapped_by, "WrappedBy") /* The name of the key that wraps it; "": it is not wrapped. */ \
	X(T, BYTES, secret, "Secret", .secret = true)                                    \
	X(T, BYTES, public, "Public")    /* Ed25519, 32 bytes. */

OBJECT_DECLARE(variable_lock, VARIABLE_LOCK_FIELDS);
OBJECT_DECLARE(variable_stub, VARIABLE_STUB_FIELDS);
OBJECT_DECLARE(variable, VARIABLE_FIELDS);
OBJECT_DECLARE(root_key_stub, ROOT_KEY_STUB_FIELDS);
OBJECT_DECLARE(sealed_variable, SEALED_VARIABLE_FIELDS);
OBJECT_DECLARE(variable_items, VARIABLE_ITEMS_FIELDS);
OBJECT_DECLARE(variable_hold, VARIABLE_HOLD_FIELDS);
OBJECT_DECLARE(root_key, ROOT_KEY_FIELDS);

/* Whether a variable may have this path: NULL, or what is wrong with it. */
const char *variable_path_fault(const char *path);

/* Bytes of all keys and values. */
size_t variable_bytes(const struct map *items);

#endif /* PROTO_VARIABLE_H_ */
