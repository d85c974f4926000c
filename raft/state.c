#include "raft/state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "lib/log.h"
#include "raft/table.h"

/* Hashes and snapshots take the plain part as it stands in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the state's rows are little-endian");

#define PLAIN(T, first_pointer) (offsetof(struct T, first_pointer) - sizeof(struct row))

#define TABLE(T, first_pointer, blob_count, text, ...)                                                                 \
	{                                                                                                              \
		.plain = PLAIN(T, first_pointer), .blobs = offsetof(struct T, first_pointer), .fixed = text,           \
		.n_blobs = blob_count, __VA_ARGS__                                                                     \
	}
#define OBJECT_TABLE TABLE(object_row, object, 1, offsetof(struct object_row, key), .n_indexes = 0)
#define INDEXES(n, ...) .n_indexes = (n), .indexes = {__VA_ARGS__}

const struct table_info tables[N_TABLES] = {
	[TABLE_JOBS] = TABLE(job_row, spec, 2, offsetof(struct job_row, key), .shared = 1,
			     INDEXES(2, INDEX_JOBS_CURRENT, INDEX_JOBS_SYSTEM)),
	[TABLE_SUMMARIES] = TABLE(summary_row, names, 1, offsetof(struct summary_row, count)),
	[TABLE_EVALS] = TABLE(eval_row, rest, 1, offsetof(struct eval_row, key), INDEXES(1, INDEX_EVALS_JOB)),
	[TABLE_ALLOCS] =
		TABLE(alloc_row, node_name, 4, sizeof(struct alloc_row), .shared = 3, .has_job = true,
		      INDEXES(4, INDEX_ALLOCS_JOB, INDEX_ALLOCS_NODE, INDEX_ALLOCS_EVAL, INDEX_ALLOCS_DEPLOYMENT)),
	[TABLE_NODES] = TABLE(node_row, name, 3, sizeof(struct node_row), .shared = 1),
	[TABLE_DEPLOYMENTS] =
		TABLE(deployment_row, rest, 1, offsetof(struct deployment_row, key), INDEXES(1, INDEX_DEPLOYMENTS_JOB)),
	[TABLE_LAUNCHES] = OBJECT_TABLE,
	[TABLE_SCALINGS] = OBJECT_TABLE,
	[TABLE_SUBMISSIONS] = OBJECT_TABLE,
	[TABLE_NAMESPACES] = OBJECT_TABLE,
	[TABLE_NODE_POOLS] = OBJECT_TABLE,
	[TABLE_CONFIGS] = OBJECT_TABLE,
	[TABLE_SERVERS] = OBJECT_TABLE,
	[TABLE_RESTORES] = OBJECT_TABLE,
	[TABLE_SERVICES] =
		TABLE(service_row, tags, 2, offsetof(struct service_row, key), INDEXES(1, INDEX_SERVICES_ALLOC)),
	[TABLE_VARIABLES] = OBJECT_TABLE,
	[TABLE_VARIABLE_HOLDS] = OBJECT_TABLE,
	[TABLE_ROOT_KEYS] = OBJECT_TABLE,
	[TABLE_ACL_POLICIES] = OBJECT_TABLE,
	[TABLE_ACL_TOKENS] = TABLE(acl_token_row, rest, 1, sizeof(struct acl_token_row),
				   INDEXES(2, INDEX_ACL_TOKENS_SECRET, INDEX_ACL_TOKENS_EXPIRY)),
	[TABLE_ACL_ROLES] =
		TABLE(acl_role_row, rest, 1, offsetof(struct acl_role_row, name), INDEXES(1, INDEX_ACL_ROLES_NAME)),
	[TABLE_ACL_ONCE] = TABLE(acl_once_row, end, 0, offsetof(struct acl_once_row, end),
				 INDEXES(2, INDEX_ACL_ONCE_SECRET, INDEX_ACL_ONCE_EXPIRY)),
};

/* A plain part without padding: the members' sizes add up. */
_Static_assert(PLAIN(job_row, spec) == 5 * 8 + 4 * 2 + 2 + 6, "job_row has a hole");
_Static_assert(PLAIN(summary_row, names) == 2 * 8 + 3 * 4 + 5 * 4 + 4 * 2 + 4 + 4, "summary_row has a hole");
_Static_assert(PLAIN(eval_row, rest) == 16 + 7 * 8 + 3 * 2 + 3 + 7, "eval_row has a hole");
_Static_assert(PLAIN(alloc_row, node_name) == 4 * 16 + 4 * 8 + 7 * 8 + 5 * 4 + 4 + 2 * 4, "alloc_row has a hole");
_Static_assert(PLAIN(node_row, name) == 16 + 6 * 8 + 6 * 4 + 2 + 6, "node_row has a hole");
_Static_assert(PLAIN(deployment_row, rest) == 16 + 6 * 8 + 2 * 2 + 1 + 3, "deployment_row has a hole");
_Static_assert(PLAIN(service_row, tags) == 16 + 8 + 2 * 8 + 2 * 2 + 4, "service_row has a hole");
_Static_assert(PLAIN(acl_token_row, rest) == 3 * 16 + 4 * 8 + 2 + 6, "acl_token_row has a hole");
_Static_assert(PLAIN(acl_role_row, rest) == 16 + 2 * 8, "acl_role_row has a hole");
_Static_assert(PLAIN(acl_once_row, end) == 3 * 16 + 3 * 8, "acl_once_row has a hole");
_Static_assert(PLAIN(object_row, object) == 2 * 8, "object_row has a hole");
_Static_assert(sizeof(struct alloc_row) <= 256, "there are a million of them");

const char *table_name(enum table table)
{
	static const char *const names[] = {
#define X(id, name) name,
		TABLE_LIST(X)
#undef X
	};

	return (unsigned)table < N_TABLES ? names[table] : "?";
}

/* ---- keys ---- */

void put_be64(uint8_t at[8], uint64_t number)
{
	number = __builtin_bswap64(number);
	memcpy(at, &number, sizeof(number));
}

uint64_t get_be64(const uint8_t at[8])
{
	uint64_t number;

	memcpy(&number, at, sizeof(number));
	return __builtin_bswap64(number);
}

void key_put(struct key *k, const void *data, size_t len)
{
	if (len > sizeof(k->at) || k->len > sizeof(k->at) - len) {
		k->len = sizeof(k->at) + 1;
		return;
	}
	memcpy(k->at + k->len, data, len);
	k->len += len;
}

void key_text(struct key *k, const char *text)
{
	key_put(k, text, strlen(text) + 1);
}

void key_number(struct key *k, uint64_t number)
{
	uint8_t at[8];

	put_be64(at, number);
	key_put(k, at, sizeof(at));
}

#define KEY_FN(name, T, start, length)                                                                                 \
	static struct tree_key name(const struct tree_row *life)                                                       \
	{                                                                                                              \
		const struct T *row = (const struct T *)(const void *)life;                                            \
                                                                                                                       \
		return (struct tree_key){start, length};                                                               \
	}

KEY_FN(job_key, job_row, row->key, row->row.text_len)
KEY_FN(job_current_key, job_row, row->key, (size_t)row->row.text_len - 8)
KEY_FN(summary_key, summary_row, summary_row_ns(row), (size_t)row->ns_len + row->id_len + 2)
KEY_FN(eval_key, eval_row, &row->id, sizeof(row->id))
KEY_FN(eval_job_key, eval_row, row->key, row->row.text_len)
KEY_FN(alloc_key, alloc_row, &row->id, sizeof(row->id))
KEY_FN(alloc_job_key, alloc_row, row->job_key, sizeof(row->job_key) + sizeof(row->job_serial))
KEY_FN(alloc_node_key, alloc_row, &row->node_id, sizeof(row->node_id) + sizeof(row->id))
KEY_FN(alloc_eval_key, alloc_row, &row->eval_id, sizeof(row->eval_id) + sizeof(row->eval_serial))
KEY_FN(alloc_deployment_key, alloc_row, &row->deployment_id,
       sizeof(row->deployment_id) + sizeof(row->deployment_serial))
KEY_FN(node_key, node_row, &row->id, sizeof(row->id))
KEY_FN(deployment_key, deployment_row, &row->id, sizeof(row->id))
KEY_FN(deployment_job_key, deployment_row, row->key, row->row.text_len)
KEY_FN(service_key, service_row, row->key, row->row.text_len)
KEY_FN(service_alloc_key, service_row, &row->alloc_id, sizeof(row->alloc_id) + sizeof(row->serial))
KEY_FN(object_key, object_row, row->key, row->row.text_len)
KEY_FN(token_key, acl_token_row, &row->accessor, sizeof(row->accessor))
KEY_FN(token_secret_key, acl_token_row, row->lookup, sizeof(row->lookup))
KEY_FN(token_expiry_key, acl_token_row, row->expiry, sizeof(row->expiry) + sizeof(row->accessor))
KEY_FN(role_key, acl_role_row, &row->id, sizeof(row->id))
KEY_FN(role_name_key, acl_role_row, row->name, row->row.text_len)
KEY_FN(once_key, acl_once_row, &row->accessor, sizeof(row->accessor))
KEY_FN(once_secret_key, acl_once_row, row->lookup, sizeof(row->lookup))
KEY_FN(once_expiry_key, acl_once_row, row->expiry, sizeof(row->expiry) + sizeof(row->accessor))

static const struct tree_type types[N_TREES] = {
	[TABLE_JOBS] = {job_key, true},
	[TABLE_SUMMARIES] = {summary_key, true},
	[TABLE_EVALS] = {eval_key, true},
	[TABLE_ALLOCS] = {alloc_key, true},
	[TABLE_NODES] = {node_key, true},
	[TABLE_DEPLOYMENTS] = {deployment_key, true},
	[TABLE_LAUNCHES] = {object_key, true},
	[TABLE_SCALINGS] = {object_key, true},
	[TABLE_SUBMISSIONS] = {object_key, true},
	[TABLE_NAMESPACES] = {object_key, true},
	[TABLE_NODE_POOLS] = {object_key, true},
	[TABLE_CONFIGS] = {object_key, true},
	[TABLE_SERVERS] = {object_key, true},
	[TABLE_RESTORES] = {object_key, true},
	[TABLE_SERVICES] = {service_key, true},
	[TABLE_VARIABLES] = {object_key, true},
	[TABLE_VARIABLE_HOLDS] = {object_key, true},
	[TABLE_ROOT_KEYS] = {object_key, true},
	[TABLE_ACL_POLICIES] = {object_key, true},
	[TABLE_ACL_TOKENS] = {token_key, true},
	[TABLE_ACL_ROLES] = {role_key, true},
	[TABLE_ACL_ONCE] = {once_key, true},
	[INDEX_JOBS_CURRENT] = {job_current_key, false},
	[INDEX_JOBS_SYSTEM] = {job_current_key, false},
	[INDEX_EVALS_JOB] = {eval_job_key, false},
	[INDEX_ALLOCS_JOB] = {alloc_job_key, false},
	[INDEX_ALLOCS_NODE] = {alloc_node_key, false},
	[INDEX_ALLOCS_EVAL] = {alloc_eval_key, false},
	[INDEX_ALLOCS_DEPLOYMENT] = {alloc_deployment_key, false},
	[INDEX_DEPLOYMENTS_JOB] = {deployment_job_key, false},
	[INDEX_SERVICES_ALLOC] = {service_alloc_key, false},
	[INDEX_ACL_TOKENS_SECRET] = {token_secret_key, false},
	[INDEX_ACL_TOKENS_EXPIRY] = {token_expiry_key, false},
	[INDEX_ACL_ROLES_NAME] = {role_name_key, false},
	[INDEX_ACL_ONCE_SECRET] = {once_secret_key, false},
	[INDEX_ACL_ONCE_EXPIRY] = {once_expiry_key, false},
	[TREE_STATE_INDEX] = {object_key, false},
	[TREE_STATE_HASH] = {object_key, false},
};

struct tree_key row_key(enum tree tree, const struct row *row)
{
	return types[tree].key(&row->life);
}

bool row_indexed(const struct row *row, enum tree index)
{
	if (index == INDEX_ALLOCS_DEPLOYMENT) {
		return !uuid_is_zero(&((const struct alloc_row *)row)->deployment_id);
	}
	if (index == INDEX_ACL_TOKENS_EXPIRY) {
		return acl_token_row_expiry((const struct acl_token_row *)row) != 0;
	}
	if (index == INDEX_JOBS_SYSTEM) {
		const struct job_row *job = (const struct job_row *)row;

		return job->type == JOB_TYPE_SYSTEM || job->type == JOB_TYPE_SYSBATCH;
	}
	return true;
}

/* ---- hashes ---- */

uint64_t blob_hash(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}

/* Zeros at the end do not count, so that a row has the same hash for a program whose rows have more members. */
uint64_t row_hash(const struct row *row)
{
	const struct table_info *t = row_table(row);
	uint64_t parts[3 + TABLE_BLOBS_MAX] = {0};
	size_t plain = t->plain;
	unsigned n = 3 + t->n_blobs;
	unsigned i;

	while (plain > 0 && row_plain(row)[plain - 1] == 0) {
		plain--;
	}
	parts[0] = XXH3_64bits_withSeed(row_plain(row), plain, row->table);
	parts[1] = XXH3_64bits(row_text(row), row->text_len);
	parts[2] = t->has_job ? ((const struct alloc_row *)row)->job->row.hash : 0;
	for (i = 0; i < t->n_blobs; i++) {
		const struct blob *blob = row_blobs(row)[i];

		parts[3 + i] = blob != NULL ? blob->hash : 0;
	}
	while (n > 0 && parts[n - 1] == 0) {
		n--;
	}
	return XXH3_64bits(parts, n * sizeof(parts[0]));
}

/* ---- memory ---- */

void *state_malloc(size_t size)
{
	void *p = malloc(size);

	if (p == NULL) {
		log_error("state", "out of memory while applying (%zu bytes): this server ends, the others go on",
			  size);
		abort();
	}
	return p;
}

void *state_grow(void *at, size_t used, size_t size)
{
	void *more = state_malloc(size);

	if (used > 0) {
		memcpy(more, at, used);
	}
	free(at);
	return more;
}

struct row *row_new(enum table table, size_t text_len)
{
	size_t size = tables[table].fixed + text_len;
	struct row *row;

	assert(text_len <= UINT16_MAX);
	row = state_malloc(size);
	memset(row, 0, size);
	row->table = (uint8_t)table;
	row->text_len = (uint16_t)text_len;
	if (table == TABLE_JOBS) {
		((struct job_row *)row)->refs = 1;
	}
	return row;
}

struct blob *blob_new(const void *data, size_t len)
{
	struct blob *blob = state_malloc(sizeof(*blob) + len);

	assert(len <= UINT32_MAX);
	blob->refs = 1;
	blob->len = (uint32_t)len;
	blob->hash = blob_hash(data, len);
	if (len > 0) {
		memcpy(blob->data, data, len);
	}
	return blob;
}

struct blob *blob_text(const char *text)
{
	return blob_new(text, strlen(text) + 1);
}

void blob_unref(struct blob *blob)
{
	if (blob != NULL && --blob->refs == 0) {
		free(blob);
	}
}

static void row_drop(struct row *row)
{
	unsigned i;

	for (i = 0; i < row_table(row)->n_blobs; i++) {
		blob_unref(row_blobs(row)[i]);
	}
	free(row);
}

void job_row_unref(struct job_row *row)
{
	if (row != NULL && --row->refs == 0) {
		row_drop(&row->row);
	}
}

void row_free(struct row *row)
{
	if (row->table == TABLE_JOBS) {
		job_row_unref((struct job_row *)row);
		return;
	}
	if (row_table(row)->has_job) {
		job_row_unref(((struct alloc_row *)row)->job);
	}
	row_drop(row);
}

static void release(struct tree_row *life)
{
	row_free((struct row *)life);
}

void state_open(struct state *s)
{
	*s = (struct state){0};
	if (forest_init(&s->forest, types, N_TREES, release) != 0) {
		log_error("state", "out of memory");
		abort();
	}
}

bool state_idle(struct state *s)
{
	const struct view *v = atomic_load(&s->forest.current);

	forest_reclaim(&s->forest, SIZE_MAX);
	return v->older == NULL && atomic_load(&v->refs) == 1;
}

void state_close(struct state *s)
{
	forest_close(&s->forest);
}
