/* The forest against a model, with failing allocations, and under threads. SEED=N in the environment chooses another run.
 *
 * Built twice: with nodes as they are, and with nodes of eight entries (test_tree_small), whose trees are high. */
#include "test/unit/unit.h"

#include "raft/tree.h"

#include <pthread.h>

/* One owner and two indexes: by group, and all keys behind one long prefix. */
enum { BY_ID, BY_GROUP, BY_NAME, N_TREES };

struct item {
	struct tree_row row;
	unsigned id_len, group_len, name_len;
	uint64_t stamp;
	char id[40];
	char group[48];
	char name[80];
};

/* Rows in a node, when nodes are nearly full. */
#ifdef TREE_FAN
#define TREE_FAN_FILLED 5
#else
#define TREE_FAN_FILLED 28
#endif

static atomic_long n_items;

static struct tree_key id_of(const struct tree_row *row)
{
	const struct item *it = (const struct item *)row;
	return (struct tree_key){it->id, it->id_len};
}

static struct tree_key group_of(const struct tree_row *row)
{
	const struct item *it = (const struct item *)row;
	return (struct tree_key){it->group, it->group_len};
}

static struct tree_key name_of(const struct tree_row *row)
{
	const struct item *it = (const struct item *)row;
	return (struct tree_key){it->name, it->name_len};
}

static const struct tree_type types[N_TREES] = {{id_of, true}, {group_of, false}, {name_of, false}};

static void item_release(struct tree_row *row)
{
	memset(row, 0xdd, sizeof(struct item));
	free(row);
	atomic_fetch_sub(&n_items, 1);
}

static uint64_t seed;

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((seed >> 33) % n);
}

/* Ids come in three kinds: binary, short and nested in one another, and with a long common start. */
static unsigned make_id(char *id, unsigned kind, unsigned range)
{
	unsigned x = rnd(range);
	unsigned i;

	switch (kind) {
	case 0:
		for (i = 0; i < 16; i++) {
			id[i] = (char)((x * 2654435761u + i * 40503u * x) >> (i % 4 * 8));
		}
		return 16;
	case 1:
		for (i = 0; x > 0; i++, x /= 3) {
			id[i] = "\0a\xff"[x % 3];
		}
		return i;
	default:
		return (unsigned)sprintf(id, "default%cjob-with-a-name-%u", 0, x);
	}
}

static struct item *item_new(const char *id, unsigned len, unsigned group)
{
	struct item *it = calloc(1, sizeof(*it));

	assert(it != NULL);
	atomic_fetch_add(&n_items, 1);
	memcpy(it->id, id, len);
	it->id_len = len;
	it->group_len = (unsigned)sprintf(it->group, "%u", group) + 1;
	memcpy(it->group + it->group_len, id, len);
	it->group_len += len;
	it->name_len = (unsigned)sprintf(it->name, "a prefix longer than a node keeps/") + len;
	memcpy(it->name + it->name_len - len, id, len);
	return it;
}

static int order(struct tree_key a, struct tree_key b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int o = memcmp(a.at, b.at, n);
	return o != 0 ? o : (int)a.len - (int)b.len;
}

/* Put an item into every tree, by one command that cannot fail half-way. */
static int item_put(struct forest *f, struct item *it)
{
	struct tree_row *old = view_find(forest_work(f), BY_ID, id_of(&it->row));
	int rc = forest_reserve(f, 2 * N_TREES);

	if (rc != 0) {
		return rc;
	}
	if (old != NULL && order(group_of(old), group_of(&it->row)) != 0) {
		assert(forest_remove(f, BY_GROUP, group_of(old), NULL) == 0);
	}
	assert(forest_put(f, BY_GROUP, &it->row, NULL) == 0);
	assert(forest_put(f, BY_NAME, &it->row, NULL) == 0);
	assert(forest_put(f, BY_ID, &it->row, NULL) == 0);
	return 0;
}

static int item_remove(struct forest *f, struct tree_key id)
{
	struct tree_row *old = view_find(forest_work(f), BY_ID, id);
	int rc = forest_reserve(f, N_TREES);

	if (rc != 0 || old == NULL) {
		return rc;
	}
	assert(forest_remove(f, BY_GROUP, group_of(old), NULL) == 0);
	assert(forest_remove(f, BY_NAME, name_of(old), NULL) == 0);
	assert(forest_remove(f, BY_ID, id, NULL) == 0);
	return 0;
}

/* The model: rows sorted by id. */
struct model {
	struct item **at;
	size_t n;
};

static size_t model_find(const struct model *m, struct tree_key id)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (order(id_of(&m->at[mid]->row), id) < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

static bool model_has(const struct model *m, size_t i, struct tree_key id)
{
	return i < m->n && order(id_of(&m->at[i]->row), id) == 0;
}

static void model_put(struct model *m, struct item *it)
{
	size_t i = model_find(m, id_of(&it->row));

	if (!model_has(m, i, id_of(&it->row))) {
		m->at = realloc(m->at, (m->n + 1) * sizeof(*m->at));
		memmove(m->at + i + 1, m->at + i, (m->n - i) * sizeof(*m->at));
		m->n++;
	}
	m->at[i] = it;
}

static void model_remove(struct model *m, struct tree_key id)
{
	size_t i = model_find(m, id);

	if (model_has(m, i, id)) {
		m->n--;
		memmove(m->at + i, m->at + i + 1, (m->n - i) * sizeof(*m->at));
	}
}

static struct model model_copy(const struct model *m)
{
	struct model c = {malloc((m->n + 1) * sizeof(*m->at)), m->n};

	if (m->n > 0) {
		memcpy(c.at, m->at, m->n * sizeof(*m->at));
	}
	return c;
}

static const struct tree_key all = {"", 0};

/* A view holds exactly the model's rows, by whatever way one asks for them. */
static void compare(const struct view *v, const struct model *m, unsigned kind, unsigned range)
{
	struct cursor c;
	struct tree_row *row;
	size_t i = 0;
	unsigned t, k;

	for (t = 0; t < N_TREES; t++) {
		view_check(v, t);
		assert(view_count(v, t) == m->n);
	}
	cursor_open(&c, v, BY_ID, all);
	for (row = cursor_first(&c); row != NULL; row = cursor_next(&c), i++) {
		assert(row == &m->at[i]->row);
	}
	assert(i == m->n);
	for (row = cursor_last(&c); row != NULL; row = cursor_prev(&c)) {
		assert(row == &m->at[--i]->row);
	}
	assert(i == 0);
	for (k = 0; k < 20; k++) {
		char id[40];
		struct tree_key key = {id, make_id(id, kind, range)};
		size_t at = model_find(m, key), end, j;

		assert(view_find(v, BY_ID, key) == (model_has(m, at, key) ? &m->at[at]->row : NULL));
		assert(cursor_seek(&c, key) == (at < m->n ? &m->at[at]->row : NULL));
		/* Some start of the key as the prefix. */
		key.len -= rnd((unsigned)key.len + 1);
		struct cursor p;
		cursor_open(&p, v, BY_ID, key);
		at = model_find(m, key);
		for (end = at; end < m->n && m->at[end]->id_len >= key.len &&
		               memcmp(m->at[end]->id, id, key.len) == 0; end++) {
		}
		for (j = at, row = cursor_first(&p); row != NULL; row = cursor_next(&p), j++) {
			assert(j < end && row == &m->at[j]->row);
		}
		assert(j == end);
		for (row = cursor_last(&p); row != NULL; row = cursor_prev(&p)) {
			assert(j > at && row == &m->at[--j]->row);
		}
		assert(j == at);
		if (at < end) {
			j = at + rnd((unsigned)(end - at));
			assert(cursor_seek(&p, id_of(&m->at[j]->row)) == &m->at[j]->row);
			assert(cursor_seek(&p, all) == &m->at[at]->row);
		}
	}
	/* The indexes lead to the same rows, group by group. */
	for (k = 0; k < 7; k++) {
		char group[4];
		struct tree_key key = {group, (size_t)sprintf(group, "%u", k) + 1};
		size_t n = 0;

		cursor_open(&c, v, BY_GROUP, key);
		for (row = cursor_first(&c); row != NULL; row = cursor_next(&c), n++) {
			assert(view_find(v, BY_ID, id_of(row)) == row);
			assert(view_find(v, BY_NAME, name_of(row)) == row);
		}
		for (i = 0; i < m->n; i++) {
			n -= m->at[i]->group[0] == group[0];
		}
		assert(n == 0);
	}
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)*(void *const *)a, y = (uintptr_t)*(void *const *)b;
	return (x > y) - (x < y);
}

#define VIEWS 24

/* Every row that a view or the newest version sees is alive, and no other is. */
static void check_exact(const struct model *snap, const struct model *now)
{
	size_t total = now->n, n = 0, i, distinct = 0;
	struct item **at;

	for (i = 0; i < VIEWS; i++) {
		total += snap[i].n;
	}
	at = malloc((total + 1) * sizeof(*at));
	if (now->n > 0) {
		memcpy(at, now->at, now->n * sizeof(*at));
		n = now->n;
	}
	for (i = 0; i < VIEWS; i++) {
		if (snap[i].n > 0) {
			memcpy(at + n, snap[i].at, snap[i].n * sizeof(*at));
			n += snap[i].n;
		}
	}
	qsort(at, n, sizeof(*at), by_address);
	for (i = 0; i < n; i++) {
		distinct += i == 0 || at[i] != at[i - 1];
	}
	assert((size_t)atomic_load(&n_items) == distinct);
	free(at);
}

static void model_run(unsigned kind, unsigned rounds, unsigned range)
{
	struct forest f;
	struct model now = {0};
	const struct view *view[VIEWS] = {0};
	struct model snap[VIEWS] = {0};
	unsigned r, i;

	assert(forest_init(&f, types, N_TREES, item_release) == 0);
	for (r = 0; r < rounds; r++) {
		unsigned batch = rnd(4) > 0 ? rnd(4) : rnd(range / 4);
		bool shrink = r / 40 % 2 == 1;

		for (i = 0; i < batch; i++) {
			char id[40];
			unsigned len = make_id(id, kind, range);

			if (rnd(10) < (shrink ? 7u : 3u)) {
				model_remove(&now, (struct tree_key){id, len});
				assert(item_remove(&f, (struct tree_key){id, len}) == 0);
			} else {
				struct item *it = item_new(id, len, rnd(7));
				assert(item_put(&f, it) == 0);
				model_put(&now, it);
			}
		}
		if (rnd(8) == 0) {
			compare(forest_work(&f), &now, kind, range);
		}
		assert(forest_commit(&f) == 0);
		i = rnd(VIEWS);
		if (view[i] != NULL) {
			compare(view[i], &snap[i], kind, range);
			view_release(view[i]);
			free(snap[i].at);
			view[i] = NULL;
			snap[i] = (struct model){0};
		} else if (rnd(3) > 0) {
			view[i] = forest_view(&f);
			snap[i] = model_copy(&now);
		}
		if (rnd(4) == 0) {
			forest_reclaim(&f, rnd(50));
		}
		if (rnd(20) == 0) {
			assert(!forest_reclaim(&f, SIZE_MAX));
			check_exact(snap, &now);
		}
	}
	for (i = 0; i < VIEWS; i++) {
		if (view[i] != NULL) {
			compare(view[i], &snap[i], kind, range);
			view_release(view[i]);
			free(snap[i].at);
		}
	}
	/* To nothing and, uncommitted, back to something. */
	while (now.n > 0) {
		struct item *it = now.at[rnd((unsigned)now.n)];
		char id[40];
		struct tree_key key = {id, it->id_len};

		memcpy(id, it->id, it->id_len);
		model_remove(&now, key);
		assert(item_remove(&f, key) == 0);
		if (rnd(30) == 0) {
			compare(forest_work(&f), &now, kind, range);
			assert(forest_commit(&f) == 0);
		}
	}
	compare(forest_work(&f), &now, kind, range);
	assert(item_put(&f, item_new("x", 1, 1)) == 0);
	forest_close(&f);
	free(now.at);
	assert(atomic_load(&n_items) == 0);
}

static void a_view_held_for_long_keeps_only_what_it_sees(void **state)
{
	struct forest f;
	const struct view *v;
	char id[40];
	int i;

	(void)state;
	assert(forest_init(&f, types, N_TREES, item_release) == 0);
	for (i = 0; i < 1000; i++) {
		assert(item_put(&f, item_new(id, (unsigned)sprintf(id, "%d", i), 0)) == 0);
	}
	assert(forest_commit(&f) == 0);
	v = forest_view(&f);
	for (i = 0; i < 6000; i++) {
		const struct view *brief = forest_view(&f);

		assert(item_put(&f, item_new(id, (unsigned)sprintf(id, "%d", i % 1000), 0)) == 0);
		assert(forest_commit(&f) == 0);
		view_release(brief);
	}
	assert(atomic_load(&n_items) < 2100);
	view_release(v);
	assert(forest_reclaim(&f, 10));
	assert(!forest_reclaim(&f, SIZE_MAX));
	assert(atomic_load(&n_items) == 1000);
	forest_close(&f);
}

/* The n-th allocation fails. */
static long fail_at;

static void *failing_malloc(size_t size)
{
	return fail_at >= 0 && fail_at-- == 0 ? NULL : malloc(size);
}

static unsigned no_memory(void)
{
	struct forest f;
	struct model now = {0};
	const struct view *v = NULL;
	unsigned failures = 0;
	int i;

	tree_malloc = failing_malloc;
	for (i = 0; i < 3; i++) {
		fail_at = i;
		assert(i == 2 || forest_init(&f, types, N_TREES, item_release) == TREE_NOMEM);
	}
	assert(forest_init(&f, types, N_TREES, item_release) == 0);
	for (i = 0; i < 120; i++) {
		char id[40];
		struct tree_key key = {id, make_id(id, 2, 400)};
		struct item *it;

		fail_at = (long)rnd(6);
		if (rnd(3) == 0) {
			if (item_remove(&f, key) != 0) {
				compare(forest_work(&f), &now, 2, 400);
				failures++;
				fail_at = -1;
				assert(item_remove(&f, key) == 0);
			}
			model_remove(&now, key);
		} else {
			it = item_new(id, (unsigned)key.len, rnd(7));
			if (item_put(&f, it) != 0) {
				compare(forest_work(&f), &now, 2, 400);
				failures++;
				fail_at = -1;
				assert(item_put(&f, it) == 0);
			}
			model_put(&now, it);
		}
		fail_at = rnd(2) == 0 ? 0 : -1;
		if (forest_commit(&f) != 0) {
			compare(forest_work(&f), &now, 2, 400);
			failures++;
			assert(forest_commit(&f) == 0);
		}
		if (v != NULL && rnd(50) == 0) {
			view_release(v);
			v = NULL;
		} else if (v == NULL) {
			v = forest_view(&f);
		}
	}
	fail_at = -1;
	compare(forest_work(&f), &now, 2, 400);
	if (v != NULL) {
		view_release(v);
	}
	forest_close(&f);
	free(now.at);
	tree_malloc = malloc;
	assert(atomic_load(&n_items) == 0);
	return failures;
}

static void a_change_that_finds_no_memory_changes_nothing(void **state)
{
	unsigned failures = 0;
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		failures += no_memory();
	}
	assert(failures > 300);
}

/* Readers see whole batches: each moves every one of N items to a new stamp. */
#define THREAD_ITEMS 60
#define THREAD_ROUNDS 600
#define READERS 3

static atomic_bool stop;

static void *reader(void *arg)
{
	struct forest *f = arg;
	const struct view *held[4] = {0};
	uint64_t newest = 0;
	unsigned k = 0;

	while (!atomic_load(&stop)) {
		const struct view *v = forest_view(f);
		struct cursor c;
		struct tree_row *row;
		unsigned t, n;

		assert(v->version >= newest); /* Time does not go back. */
		newest = v->version;
		for (t = 0; t < N_TREES; t++) {
			uint64_t stamp = 0;

			cursor_open(&c, v, t, all);
			for (n = 0, row = cursor_first(&c); row != NULL; row = cursor_next(&c), n++) {
				const struct item *it = (const struct item *)row;

				stamp = n == 0 ? it->stamp : stamp;
				assert(it->stamp == stamp && stamp <= v->version);
			}
			assert(n == view_count(v, t) && (n == 0 || n == THREAD_ITEMS));
		}
		if (held[k % 4] != NULL) {
			view_release(held[k % 4]);
		}
		held[k++ % 4] = v;
	}
	for (k = 0; k < 4; k++) {
		if (held[k] != NULL) {
			view_release(held[k]);
		}
	}
	return NULL;
}

static void readers_see_whole_batches(void **state)
{
	struct forest f;
	pthread_t thread[READERS];
	char id[40];
	uint64_t round;
	int i;

	(void)state;
	assert(forest_init(&f, types, N_TREES, item_release) == 0);
	for (i = 0; i < READERS; i++) {
		assert(pthread_create(&thread[i], NULL, reader, &f) == 0);
	}
	for (round = 1; round <= THREAD_ROUNDS; round++) {
		for (i = 0; i < THREAD_ITEMS; i++) {
			unsigned len = (unsigned)sprintf(id, "%d", i);

			if (round % 10 == 0) {
				assert(item_remove(&f, (struct tree_key){id, len}) == 0);
			} else {
				struct item *it = item_new(id, len, rnd(7));
				it->stamp = round;
				assert(item_put(&f, it) == 0);
			}
		}
		assert(forest_commit(&f) == 0);
	}
	atomic_store(&stop, true);
	for (i = 0; i < READERS; i++) {
		pthread_join(thread[i], NULL);
	}
	forest_close(&f);
	assert(atomic_load(&n_items) == 0);
}

static uint64_t first_seed(void)
{
	const char *text = getenv("SEED");

	return text != NULL ? strtoull(text, NULL, 0) : 1;
}

static void every_view_equals_the_model_it_was_taken_from(void **state)
{
	unsigned kind;

	(void)state;
	for (kind = 0; kind < 3; kind++) {
		seed = first_seed();
		print_message("ids of kind %u, seed %llu\n", kind, (unsigned long long)seed);
		model_run(kind, 150, 60);
		model_run(kind, 150, 3000);
	}
}

static void a_view_keeps_the_stamps_of_its_moment(void **state)
{
	struct forest f;
	const struct view *v;

	(void)state;
	assert_int_equal(forest_init(&f, types, N_TREES, item_release), 0);
	assert_int_equal(view_stamp(forest_work(&f), BY_ID), 0);
	forest_stamp(&f, BY_ID, 7);
	assert_int_equal(forest_commit(&f), 0);
	v = forest_view(&f);
	forest_stamp(&f, BY_ID, 9);
	forest_stamp(&f, BY_NAME, 8);
	assert_int_equal(forest_commit(&f), 0);
	assert_int_equal(forest_commit(&f), 0);
	assert_int_equal(view_stamp(v, BY_ID), 7);
	assert_int_equal(view_stamp(v, BY_NAME), 0);
	view_release(v);
	v = forest_view(&f);
	assert_int_equal(view_stamp(v, BY_ID), 9);
	assert_int_equal(view_stamp(v, BY_NAME), 8);
	assert_int_equal(view_stamp(v, BY_GROUP), 0);
	view_release(v);
	forest_close(&f);
}

static void a_row_is_owned_until_the_commit(void **state)
{
	struct forest f;
	struct item *it = item_new("x", 1, 1);
	const struct view *v;

	(void)state;
	assert_int_equal(forest_init(&f, types, N_TREES, item_release), 0);
	assert_false(forest_owns(&f, &it->row)); /* It is in no tree yet. */
	assert_int_equal(item_put(&f, it), 0);
	assert_true(forest_owns(&f, &it->row));
	it->stamp = 5;
	assert_int_equal(forest_commit(&f), 0);
	assert_false(forest_owns(&f, &it->row));
	v = forest_view(&f);
	assert_int_equal(((struct item *)view_find(v, BY_ID, id_of(&it->row)))->stamp, 5);
	view_release(v);
	forest_close(&f);
	assert_int_equal(atomic_load(&n_items), 0);
}

/* What a scheduler does to the index of a job's allocations: runs in order, several jobs by turns. */
static void rows_that_come_in_order_fill_their_nodes_wherever_they_come(void **state)
{
	enum { RUNS = 20, CHUNK = 250, CHUNKS = 10 };
	struct forest f;
	size_t before;
	size_t rows = (size_t)RUNS * CHUNK * CHUNKS;
	unsigned chunk, run, i;

	(void)state;
	assert_int_equal(forest_init(&f, types, N_TREES, item_release), 0);
	before = f.n_nodes[0];
	for (chunk = 0; chunk < CHUNKS; chunk++) {
		for (run = 0; run < RUNS; run++) {
			for (i = 0; i < CHUNK; i++) {
				struct item *it = item_new("", 0, 0);

				it->id_len = (unsigned)sprintf(it->id, "%02u-%06u", run * 7 % RUNS, chunk * CHUNK + i);
				assert_int_equal(forest_reserve(&f, 2), 0);
				assert_int_equal(forest_put(&f, BY_ID, &it->row, NULL), 0);
			}
		}
		assert_int_equal(forest_commit(&f), 0);
	}
	assert_int_equal(view_count(forest_work(&f), BY_ID), rows);
	/* With nodes of 37 that are full but for the last four; halves would be twice as many. */
	assert_true((f.n_nodes[0] - before) * TREE_FAN_FILLED <= rows);
	forest_close(&f);
	assert_int_equal(atomic_load(&n_items), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_that_come_in_order_fill_their_nodes_wherever_they_come),
	        cmocka_unit_test(every_view_equals_the_model_it_was_taken_from),
	        cmocka_unit_test(a_view_held_for_long_keeps_only_what_it_sees),
	        cmocka_unit_test(a_change_that_finds_no_memory_changes_nothing),
	        cmocka_unit_test(readers_see_whole_batches),
	        cmocka_unit_test(a_view_keeps_the_stamps_of_its_moment),
	        cmocka_unit_test(a_row_is_owned_until_the_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
