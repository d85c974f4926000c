#include "raft/persist.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "proto/error.h"
#include "raft/table.h"

enum { FORMAT = 1, PIECE = PERSIST_PIECE };

/* A fuzzer cannot guess hashes: its build takes any. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define HASH_EQUAL(a, b) ((void)(a), (void)(b), true)
#else
#define HASH_EQUAL(a, b) ((a) == (b))
#endif

static const char magic[8] = "drvstate";
static const size_t blob_max = 256 << 20;

struct piece_header {
	uint32_t len; /* 0: the end. */
	uint32_t number;
	uint64_t checksum;
};

struct header {
	char magic[8];
	uint32_t format;
	uint32_t tables;
	uint64_t index;
	uint64_t hash;
};

struct section {
	uint16_t table;
	uint16_t blobs; /* Of a row. */
	uint32_t plain; /* Bytes of a row's plain part. */
	uint64_t rows;
};

/* ---- numbers for what is shared ---- */

/* From pointer to number, the first is 1. */
struct numbers {
	const void **at;
	uint32_t *number;
	size_t cap; /* A power of two, or 0. */
	uint32_t n;
};

static size_t slot_of(const struct numbers *m, const void *p)
{
	size_t i = ((uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20 & (m->cap - 1);

	while (m->at[i] != NULL && m->at[i] != p) {
		i = (i + 1) & (m->cap - 1);
	}
	return i;
}

static void numbers_close(struct numbers *m)
{
	free(m->at);
	free(m->number);
	*m = (struct numbers){0};
}

static bool numbers_grow(struct numbers *m)
{
	struct numbers bigger = {.cap = m->cap == 0 ? 1024 : m->cap * 2, .n = m->n};
	size_t i;

	bigger.at = calloc(bigger.cap, sizeof(*bigger.at));
	bigger.number = calloc(bigger.cap, sizeof(*bigger.number));
	if (bigger.at == NULL || bigger.number == NULL) {
		numbers_close(&bigger);
		return false;
	}
	for (i = 0; i < m->cap; i++) {
		if (m->at[i] != NULL) {
			size_t to = slot_of(&bigger, m->at[i]);

			bigger.at[to] = m->at[i];
			bigger.number[to] = m->number[i];
		}
	}
	numbers_close(m);
	*m = bigger;
	return true;
}

/* The number of `p`, `is_new` when it has just got it; 0 when memory ran out. */
static uint32_t number_of(struct numbers *m, const void *p, bool *is_new)
{
	size_t i;

	if ((size_t)m->n * 2 >= m->cap && !numbers_grow(m)) {
		return 0;
	}
	i = slot_of(m, p);
	*is_new = m->at[i] == NULL;
	if (*is_new) {
		m->at[i] = p;
		m->number[i] = ++m->n;
	}
	return m->number[i];
}

/* ---- saving ---- */

struct save {
	persist_write write;
	void *ctx;
	const struct view *v;
	unsigned table; /* Whose rows are being saved. */
	struct rows rows;
	struct numbers blobs;
	struct numbers jobs;
	uint32_t pieces;
	int rv; /* The first error; nothing is written after it. */
	size_t used;
	uint8_t out[sizeof(struct piece_header) + PIECE];
};

static void save_flush(struct save *s)
{
	struct piece_header h = {(uint32_t)s->used, s->pieces++, 0};

	h.checksum = XXH3_64bits_withSeed(s->out + sizeof(h), s->used, h.number);
	memcpy(s->out, &h, sizeof(h));
	if (s->rv == 0) {
		s->rv = s->write(s->ctx, s->out, sizeof(h) + s->used);
	}
	s->used = 0;
}

static void save_bytes(struct save *s, const void *data, size_t len)
{
	const uint8_t *from = data;

	while (len > 0) {
		size_t n = PIECE - s->used < len ? PIECE - s->used : len;

		memcpy(s->out + sizeof(struct piece_header) + s->used, from, n);
		s->used += n;
		from += n;
		len -= n;
		if (s->used == PIECE) {
			save_flush(s);
		}
	}
}

/* Seven bits a byte, the lowest first. */
static void save_number(struct save *s, uint64_t number)
{
	uint8_t out[10];
	size_t n = 0;

	do {
		out[n] = (uint8_t)(number & 127);
		number >>= 7;
		out[n++] |= number != 0 ? 128 : 0;
	} while (number != 0);
	save_bytes(s, out, n);
}

/* Its length and one, and its bytes; or, when it is shared, its number, and the same after a new one. 0: none. */
static void save_blob(struct save *s, const struct blob *blob, bool shared)
{
	bool is_new = true;

	if (blob == NULL) {
		save_number(s, 0);
		return;
	}
	if (shared) {
		uint32_t number = number_of(&s->blobs, blob, &is_new);

		s->rv = s->rv == 0 && number == 0 ? ERR_NOMEM : s->rv;
		save_number(s, number);
	}
	if (is_new) {
		save_number(s, (uint64_t)blob->len + 1);
		save_bytes(s, blob->data, blob->len);
	}
}

static void save_row(struct save *s, const struct row *row)
{
	const struct table_info *t = row_table(row);
	unsigned i;

	save_bytes(s, row_plain(row), t->plain);
	save_number(s, row->text_len);
	save_bytes(s, row_text(row), row->text_len);
	for (i = 0; i < t->n_blobs; i++) {
		save_blob(s, row_blobs(row)[i], (t->shared >> i & 1) != 0);
	}
}

/* A version that is no longer in the table follows the first allocation that points to it. */
static void save_job(struct save *s, const struct job_row *job)
{
	bool is_new;
	uint32_t number = number_of(&s->jobs, job, &is_new);

	s->rv = s->rv == 0 && number == 0 ? ERR_NOMEM : s->rv;
	save_number(s, number);
	if (is_new) {
		save_row(s, &job->row);
	}
}

static void save_section(struct save *s, enum table table)
{
	struct section section = {(uint16_t)table, tables[table].n_blobs, tables[table].plain, view_count(s->v, table)};

	save_bytes(s, &section, sizeof(section));
	rows_objects(&s->rows, s->v, table);
}

static void save_next(struct save *s, const struct row *row)
{
	bool is_new;

	save_row(s, row);
	if (s->table == TABLE_JOBS && number_of(&s->jobs, row, &is_new) == 0) {
		s->rv = ERR_NOMEM;
	}
	if (tables[s->table].has_job) {
		save_job(s, ((const struct alloc_row *)row)->job);
	}
}

static void save_header(struct save *s, const struct view *v)
{
	struct header h = {.format = FORMAT, .tables = N_TABLES, .index = state_index(v), .hash = state_hash(v)};
	unsigned i;

	memcpy(h.magic, magic, sizeof(magic));
	save_bytes(s, &h, sizeof(h));
	for (i = 0; i < N_TABLES; i++) {
		uint64_t stamp = state_table_index(v, (enum table)i);

		save_bytes(s, &stamp, sizeof(stamp));
	}
}

struct save *persist_save_begin(const struct view *v, persist_write write, void *ctx)
{
	struct save *s = malloc(sizeof(*s));

	if (s != NULL) {
		memset(s, 0, offsetof(struct save, out));
		s->v = v;
		s->write = write;
		s->ctx = ctx;
		save_header(s, v);
		save_section(s, 0);
	}
	return s;
}

static void save_last(struct save *s)
{
	if (s->used > 0) {
		save_flush(s);
	}
	save_flush(s); /* An empty piece is the end. */
}

int persist_save_step(struct save *s)
{
	uint32_t before = s->pieces;

	while (s->rv == 0 && s->pieces == before) {
		const struct row *row = rows_next(&s->rows);

		if (row != NULL) {
			save_next(s, row);
		} else if (s->table + 1 < N_TABLES) {
			save_section(s, (enum table)++s->table);
		} else {
			save_last(s);
			return s->rv;
		}
	}
	return s->rv != 0 ? s->rv : 1;
}

void persist_save_end(struct save *s)
{
	if (s != NULL) {
		numbers_close(&s->blobs);
		numbers_close(&s->jobs);
		free(s);
	}
}

int persist_save(const struct view *v, persist_write write, void *ctx)
{
	struct save *s = persist_save_begin(v, write, ctx);
	int rv = s != NULL ? 1 : ERR_NOMEM;

	while (rv == 1) {
		rv = persist_save_step(s);
	}
	persist_save_end(s);
	return rv;
}

size_t persist_estimate(const struct view *v)
{
	static const uint16_t each[N_TABLES] = {
		[TABLE_JOBS] = 700,   [TABLE_SUMMARIES] = 160, [TABLE_EVALS] = 200,
		[TABLE_ALLOCS] = 450, [TABLE_NODES] = 4000,    [TABLE_DEPLOYMENTS] = 300,
	};
	size_t sum = PIECE;
	unsigned i;

	for (i = 0; i < N_TABLES; i++) {
		sum += view_count(v, i) * (each[i] != 0 ? each[i] : 200);
	}
	return sum;
}

/* ---- loading ---- */

/* What was numbered, by its number. */
struct shared {
	void **at;
	size_t n, cap;
};

static void shared_add(struct shared *s, void *p)
{
	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 1024 : s->cap * 2;

		s->at = state_grow(s->at, s->n * sizeof(void *), cap * sizeof(void *));
		s->cap = cap;
	}
	s->at[s->n++] = p;
}

struct load {
	persist_read read;
	void *ctx;
	struct state *state;
	struct shared blobs; /* Each holds a reference, */
	struct shared jobs;  /* likewise. */
	struct shared rows;  /* Of the table that is being loaded. */
	uint32_t pieces;
	int rv; /* The first error; only zeros are read after it. */
	size_t used;
	size_t len;
	uint8_t in[PIECE];
};

static void load_fail(struct load *l, int rv)
{
	l->rv = l->rv == 0 ? rv : l->rv;
}

/* The next piece into `piece`; its length is 0 at the end. */
static int get_piece(uint32_t number, void *piece, size_t *len, persist_read read, void *ctx)
{
	struct piece_header h;
	int rv = read(ctx, &h, sizeof(h));

	if (rv != 0) {
		return rv;
	}
	if (h.len > PIECE || h.number != number) {
		return ERR_CORRUPT;
	}
	rv = h.len > 0 ? read(ctx, piece, h.len) : 0;
	if (rv == 0 && !HASH_EQUAL(h.checksum, XXH3_64bits_withSeed(piece, h.len, h.number))) {
		rv = ERR_CORRUPT;
	}
	*len = h.len;
	return rv;
}

static int read_piece(struct load *l)
{
	l->used = l->len = 0;
	return get_piece(l->pieces++, l->in, &l->len, l->read, l->ctx);
}

static int check_header(const struct header *h)
{
	if (memcmp(h->magic, magic, sizeof(magic)) != 0) {
		return ERR_CORRUPT;
	}
	return h->format != FORMAT || h->tables > N_TABLES ? ERR_UNSUPPORTED : 0;
}

int persist_check(uint32_t number, uint64_t *index, void *piece, persist_read read, void *ctx)
{
	struct header h;
	size_t len = 0;
	int rv = get_piece(number, piece, &len, read, ctx);

	if (rv != 0 || number > 0) {
		return rv != 0 ? rv : len > 0;
	}
	if (len < sizeof(h)) {
		return ERR_CORRUPT;
	}
	memcpy(&h, piece, sizeof(h));
	*index = h.index;
	rv = check_header(&h);
	return rv != 0 ? rv : 1;
}

static void load_bytes(struct load *l, void *data, size_t len)
{
	uint8_t *to = data;

	while (len > 0) {
		size_t n = l->len - l->used < len ? l->len - l->used : len;

		memcpy(to, l->in + l->used, n);
		l->used += n;
		to += n;
		len -= n;
		if (len > 0) {
			int rv = l->rv != 0 ? l->rv : read_piece(l);

			if (rv == 0 && l->len == 0) {
				rv = ERR_CORRUPT; /* The end, too early. */
			}
			if (rv != 0) {
				load_fail(l, rv);
				memset(to, 0, len);
				l->len = l->used = 0;
				return;
			}
		}
	}
}

static uint64_t load_number(struct load *l)
{
	uint64_t number = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		load_bytes(l, &byte, 1);
		number |= (uint64_t)(byte & 127) << shift;
		shift += 7;
	} while ((byte & 128) != 0 && shift < 63);
	if ((byte & 128) != 0) {
		load_fail(l, ERR_CORRUPT);
	}
	return number;
}

/* In pieces: memory that only a length has announced is not touched. */
static struct blob *read_blob(struct load *l, uint64_t len)
{
	struct blob *blob;
	size_t at;

	if (len > blob_max) {
		load_fail(l, ERR_CORRUPT);
		return NULL;
	}
	blob = state_malloc(sizeof(*blob) + len);
	*blob = (struct blob){.refs = 1, .len = (uint32_t)len};
	for (at = 0; at < len && l->rv == 0; at += PIECE) {
		load_bytes(l, blob->data + at, len - at < PIECE ? len - at : PIECE);
	}
	if (l->rv != 0) {
		free(blob);
		return NULL;
	}
	blob->hash = blob_hash(blob->data, len);
	return blob;
}

static struct blob *load_own_blob(struct load *l)
{
	uint64_t number = load_number(l);

	return number != 0 ? read_blob(l, number - 1) : NULL;
}

static struct blob *load_shared_blob(struct load *l)
{
	uint64_t number = load_number(l);

	if (number == 0) {
		return NULL;
	}
	if (number == l->blobs.n + 1 && l->rv == 0) {
		shared_add(&l->blobs, load_own_blob(l));
	}
	if (number > l->blobs.n) {
		load_fail(l, ERR_CORRUPT);
		return NULL;
	}
	return blob_ref(l->blobs.at[number - 1]);
}

/* `s` may tell of less than we have (an older program wrote it: the rest is zero) but not of more. */
static struct row *load_row(struct load *l, enum table table, const struct section *s)
{
	const struct table_info *t = &tables[table];
	uint8_t bytes[256];
	uint64_t text_len;
	struct row *row;
	unsigned i;

	assert(t->plain <= sizeof(bytes));
	load_bytes(l, bytes, s->plain);
	text_len = load_number(l);
	if (text_len > UINT16_MAX) {
		load_fail(l, ERR_CORRUPT);
		text_len = 0;
	}
	row = row_new(table, text_len);
	memcpy(row + 1, bytes, s->plain);
	load_bytes(l, row_text(row), text_len);
	for (i = 0; i < s->blobs; i++) {
		row_blobs(row)[i] = (t->shared >> i & 1) != 0 ? load_shared_blob(l) : load_own_blob(l);
	}
	return row;
}

/* ---- what rows must be like ---- */

/* Namespace and ID with their zeros, then `rest` bytes. */
static bool key_fits(const struct row *row, const char *key, size_t ns_len, size_t id_len, size_t rest)
{
	size_t len = ns_len + id_len + 2 + rest;

	return key + len == row_text(row) + row->text_len && strnlen(key, ns_len + 1) == ns_len &&
	       strnlen(key + ns_len + 1, id_len + 1) == id_len;
}

static bool job_fits(const struct job_row *r)
{
	return r->type < JOB_TYPE_COUNT && r->status < JOB_STATUS_COUNT && r->spec != NULL &&
	       job_spec_valid(r->spec->data, r->spec->len) && key_fits(&r->row, r->key, r->ns_len, r->id_len, 8) &&
	       get_be64((const uint8_t *)r->key + r->ns_len + r->id_len + 2) == r->version;
}

static bool summary_fits(const struct summary_row *r)
{
	size_t counts = (size_t)r->groups * N_GROUP_COUNTS * sizeof(uint32_t);
	size_t zeros = 0;
	uint32_t i;

	for (i = 0; r->names != NULL && i < r->names->len; i++) {
		zeros += r->names->data[i] == 0;
	}
	return r->names != NULL && zeros == r->groups && (zeros == 0 || r->names->data[r->names->len - 1] == 0) &&
	       counts <= r->row.text_len && key_fits(&r->row, summary_row_ns(r), r->ns_len, r->id_len, 0);
}

static bool eval_fits(const struct eval_row *r)
{
	return r->type < JOB_TYPE_COUNT && r->status < EVAL_STATUS_COUNT && r->trigger < EVAL_TRIGGER_COUNT &&
	       key_fits(&r->row, r->key, r->ns_len, r->id_len, 8);
}

static bool text_fits(const struct blob *blob)
{
	return blob != NULL && blob->len > 0 && memchr(blob->data, 0, blob->len) == blob->data + blob->len - 1;
}

static bool alloc_fits(const struct alloc_row *r)
{
	return r->job != NULL && r->desired < ALLOC_DESIRED_COUNT && r->client < ALLOC_CLIENT_COUNT &&
	       text_fits(r->node_name) && r->group < job_row_groups(r->job) && r->row.text_len == 0 &&
	       get_be64(r->job_key) == r->job->create_index;
}

static bool node_fits(const struct node_row *r)
{
	return r->status < NODE_STATUS_COUNT && text_fits(r->name) && r->base != NULL && r->row.text_len == 0;
}

static bool deployment_fits(const struct deployment_row *r)
{
	return r->status < DEPLOYMENT_STATUS_COUNT && r->rest != NULL &&
	       key_fits(&r->row, r->key, r->ns_len, r->id_len, 8);
}

static bool service_fits(const struct service_row *r)
{
	size_t before = (size_t)r->ns_len + r->name_len + 2;

	return r->row.text_len > before && key_fits(&r->row, r->key, r->ns_len, r->name_len, r->row.text_len - before) &&
	       strnlen(r->key + before, r->row.text_len - before) == r->row.text_len - before - 1;
}

/* Its key is two texts. */
static bool pair_fits(const struct object_row *r)
{
	size_t first = strnlen(r->key, r->row.text_len) + 1;

	return r->object != NULL && first < r->row.text_len &&
	       strnlen(r->key + first, r->row.text_len - first) == r->row.text_len - first - 1;
}

/* A secret is found where it is looked for. */
static bool token_fits(const struct acl_token_row *r)
{
	uint8_t lookup[16];

	acl_lookup(&r->secret, lookup);
	return r->rest != NULL && r->row.text_len == 0 && memcmp(lookup, r->lookup, sizeof(lookup)) == 0;
}

static bool role_fits(const struct acl_role_row *r)
{
	return r->rest != NULL && r->row.text_len > 1 && strnlen(r->name, r->row.text_len) == r->row.text_len - 1u;
}

static bool once_fits(const struct acl_once_row *r)
{
	uint8_t lookup[16];

	acl_lookup(&r->secret, lookup);
	return r->row.text_len == 0 && memcmp(lookup, r->lookup, sizeof(lookup)) == 0;
}

static bool row_fits(const struct row *row)
{
	switch ((enum table)row->table) {
	case TABLE_JOBS:
		return job_fits((const struct job_row *)row);
	case TABLE_SUMMARIES:
		return summary_fits((const struct summary_row *)row);
	case TABLE_EVALS:
		return eval_fits((const struct eval_row *)row);
	case TABLE_ALLOCS:
		return alloc_fits((const struct alloc_row *)row);
	case TABLE_NODES:
		return node_fits((const struct node_row *)row);
	case TABLE_DEPLOYMENTS:
		return deployment_fits((const struct deployment_row *)row);
	case TABLE_SERVICES:
		return service_fits((const struct service_row *)row);
	case TABLE_ACL_TOKENS:
		return token_fits((const struct acl_token_row *)row);
	case TABLE_ACL_ROLES:
		return role_fits((const struct acl_role_row *)row);
	case TABLE_ACL_ONCE:
		return once_fits((const struct acl_once_row *)row);
	case TABLE_VARIABLES:
	case TABLE_VARIABLE_HOLDS:
		return pair_fits((const struct object_row *)row);
	default:
		return ((const struct object_row *)row)->object != NULL && row->text_len > 0;
	}
}

/* ---- tables ---- */

static void load_put(struct load *l, unsigned tree, struct row *row, bool replaces)
{
	struct tree_row *old;

	if (forest_put(&l->state->forest, tree, &row->life, &old) != 0) {
		state_malloc(SIZE_MAX);
	}
	if (old != NULL && !replaces) {
		load_fail(l, ERR_CORRUPT); /* Two rows with one key. */
	}
}

/* A row on its way into an index: the beginning of its key there, as numbers. */
struct sorted {
	uint64_t head[4];
	struct row *row;
	uint32_t order; /* Of its coming, for equal keys. */
	uint32_t index;
};

static int order_of(const void *a, const void *b)
{
	const struct sorted *x = a;
	const struct sorted *y = b;
	struct tree_key p;
	struct tree_key q;
	int order;
	unsigned i;

	for (i = 0; i < 4; i++) {
		if (x->head[i] != y->head[i]) {
			return x->head[i] < y->head[i] ? -1 : 1;
		}
	}
	p = row_key((enum tree)x->index, x->row);
	q = row_key((enum tree)y->index, y->row);
	order = memcmp(p.at, q.at, p.len < q.len ? p.len : q.len);
	if (order == 0 && p.len != q.len) {
		order = p.len < q.len ? -1 : 1;
	}
	return order != 0 ? order : x->order < y->order ? -1 : 1;
}

static void set_head(struct sorted *s)
{
	struct tree_key key = row_key((enum tree)s->index, s->row);
	unsigned i;

	memset(s->head, 0, sizeof(s->head));
	memcpy(s->head, key.at, key.len < sizeof(s->head) ? key.len : sizeof(s->head));
	for (i = 0; i < 4; i++) {
		s->head[i] = __builtin_bswap64(s->head[i]);
	}
}

/* Rows go into an index in the order of their keys there: each next to the one before, which is several times as fast
 * as here and there. Of jobs, later versions come later and stay. */
static void load_index(struct load *l, enum tree index, struct row **rows, size_t n, struct sorted *sorted)
{
	size_t used = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (row_indexed(rows[i], index)) {
			sorted[used] = (struct sorted){.row = rows[i], .order = (uint32_t)i, .index = index};
			set_head(&sorted[used++]);
		}
	}
	qsort(sorted, used, sizeof(*sorted), order_of);
	for (i = 0; i < used && l->rv == 0; i++) {
		load_put(l, index, sorted[i].row, sorted[i].row->table == TABLE_JOBS);
	}
}

static void load_indexes(struct load *l, enum table table)
{
	const struct table_info *t = &tables[table];
	struct sorted *sorted;
	unsigned i;

	if (t->n_indexes == 0 || l->rows.n == 0 || l->rv != 0) {
		return;
	}
	sorted = state_malloc(l->rows.n * sizeof(*sorted));
	for (i = 0; i < t->n_indexes; i++) {
		load_index(l, (enum tree)t->indexes[i], (struct row **)l->rows.at, l->rows.n, sorted);
	}
	free(sorted);
}

static void load_job(struct load *l, struct alloc_row *alloc, const struct section *jobs)
{
	uint64_t number = load_number(l);

	if (number == l->jobs.n + 1 && l->rv == 0) {
		struct row *row = load_row(l, TABLE_JOBS, jobs);

		if (l->rv != 0 || !row_fits(row)) {
			load_fail(l, ERR_CORRUPT);
			row_free(row);
			return;
		}
		row->hash = row_hash(row);
		shared_add(&l->jobs, row); /* Its one reference is the list's. */
	}
	if (number == 0 || number > l->jobs.n) {
		load_fail(l, ERR_CORRUPT);
		return;
	}
	alloc->job = l->jobs.at[number - 1];
	alloc->job->refs++;
}

static bool ascending(const struct row *before, const struct row *row)
{
	struct tree_key a;
	struct tree_key b;
	int order;

	if (before == NULL) {
		return true;
	}
	a = row_key((enum tree)row->table, before);
	b = row_key((enum tree)row->table, row);
	order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
	return order < 0 || (order == 0 && a.len < b.len);
}

static struct row *load_one(struct load *l, const struct section *s, const struct row *before,
			    const struct section *jobs)
{
	struct row *row = load_row(l, (enum table)s->table, s);

	if (row_table(row)->has_job) {
		load_job(l, (struct alloc_row *)row, jobs);
	}
	if (l->rv != 0 || !row_fits(row) || !ascending(before, row)) {
		load_fail(l, ERR_CORRUPT);
		row_free(row);
		return NULL;
	}
	if (row->table == TABLE_JOBS) {
		((struct job_row *)row)->refs++;
		shared_add(&l->jobs, row);
	}
	row->hash = row_hash(row);
	l->state->hash += row->hash;
	load_put(l, row->table, row, false);
	if (row_table(row)->n_indexes > 0) {
		shared_add(&l->rows, row);
	}
	return row;
}

static void load_table(struct load *l, enum table table, struct section *jobs)
{
	struct section s;
	const struct row *before = NULL;
	uint64_t i;

	load_bytes(l, &s, sizeof(s));
	if (l->rv != 0 || s.table != table || s.plain > tables[table].plain || s.blobs > tables[table].n_blobs) {
		load_fail(l, s.table == table ? ERR_UNSUPPORTED : ERR_CORRUPT);
		return;
	}
	if (table == TABLE_JOBS) {
		*jobs = s;
	}
	l->rows.n = 0;
	for (i = 0; i < s.rows && l->rv == 0; i++) {
		before = load_one(l, &s, before, jobs);
	}
	load_indexes(l, table);
}

static uint32_t load_header(struct load *l, uint64_t *hash)
{
	struct header h;
	uint64_t stamp;
	uint32_t i;

	load_bytes(l, &h, sizeof(h));
	if (l->rv == 0) {
		load_fail(l, check_header(&h));
	}
	if (l->rv != 0) {
		return 0;
	}
	for (i = 0; i < h.tables; i++) {
		load_bytes(l, &stamp, sizeof(stamp));
		forest_stamp(&l->state->forest, i, stamp);
		if (stamp > h.index) {
			load_fail(l, ERR_CORRUPT);
		}
	}
	l->state->index = h.index;
	*hash = h.hash;
	return h.tables;
}

static void load_all(struct load *l)
{
	struct section jobs = {0};
	uint64_t hash = 0;
	uint32_t n = load_header(l, &hash);
	uint32_t i;

	for (i = 0; i < n && l->rv == 0; i++) {
		load_table(l, (enum table)i, &jobs);
	}
	if (l->rv == 0 && (l->used != l->len || read_piece(l) != 0 || l->len != 0 || !HASH_EQUAL(l->state->hash, hash))) {
		load_fail(l, ERR_CORRUPT);
	}
}

static void load_close(struct load *l)
{
	size_t i;

	for (i = 0; i < l->blobs.n; i++) {
		blob_unref(l->blobs.at[i]);
	}
	for (i = 0; i < l->jobs.n; i++) {
		job_row_unref(l->jobs.at[i]);
	}
	free(l->blobs.at);
	free(l->jobs.at);
	free(l->rows.at);
	free(l);
}

int persist_load(struct state *out, persist_read read, void *ctx)
{
	struct load *l = state_malloc(sizeof(*l));
	int rv;

	memset(l, 0, offsetof(struct load, in));
	l->read = read;
	l->ctx = ctx;
	l->state = out;
	state_open(out);
	load_all(l);
	rv = l->rv;
	if (rv == 0) {
		forest_stamp(&l->state->forest, TREE_STATE_INDEX, l->state->index);
		forest_stamp(&l->state->forest, TREE_STATE_HASH, l->state->hash);
		if (forest_commit(&l->state->forest) != 0) {
			state_malloc(SIZE_MAX);
		}
	} else {
		state_close(out);
	}
	load_close(l);
	return rv;
}
