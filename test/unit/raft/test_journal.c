/* The log on disk: what comes back after every kind of end. SEED=N chooses another random run. */
#include "test/unit/raft/files.h"

#include "lib/log.h"
#include "proto/error.h"
#include "raft/disk.h"
#include "raft/journal.h"
#include "raft/journal_format.h"

#include <errno.h>
#include <raft.h>
#include <semaphore.h>
#include <sys/wait.h>

/* --- a log under test --- */

struct log {
	struct dir dir;
	struct vote vote;
	struct journal j;
	char text[JOURNAL_TEXT];
	sem_t woken;
};

static void on_wake(void *data)
{
	sem_post(&((struct log *)data)->woken);
}

static int log_load(struct log *l)
{
	int rc;

	l->text[0] = 0;
	assert_int_equal(vote_open(&l->vote, l->dir.fd), 0);
	rc = journal_open(&l->j, l->dir.fd, &l->vote, l->text);
	if (rc != 0) {
		assert_null(journal_close(&l->j));
		vote_close(&l->vote);
	}
	return rc;
}

static void log_unload(struct log *l)
{
	assert_null(journal_close(&l->j));
	vote_close(&l->vote);
}

static void log_start(struct log *l)
{
	assert_int_equal(log_load(l), 0);
	sem_init(&l->woken, 0, 0);
	assert_int_equal(journal_start(&l->j, on_wake, l), 0);
}

static void log_init(struct log *l)
{
	dir_open(&l->dir);
	log_start(l);
}

static void log_end(struct log *l)
{
	dir_close(&l->dir);
}

static void log_restart(struct log *l)
{
	log_unload(l);
	log_start(l);
}

static struct journal_item *wait_finished(struct log *l)
{
	struct journal_item *item;

	while ((item = journal_finished(&l->j)) == NULL) {
		sem_wait(&l->woken);
	}
	return item;
}

/* The data of entry `index` of `term`: its own, so that a mistake is seen. */
static size_t entry_len(uint64_t index, uint64_t term)
{
	return (size_t)((index * 7919 + term * 104729) % 400);
}

static char *entry_data(uint64_t index, uint64_t term, size_t len)
{
	char *data = raft_malloc(len + 1);

	for (size_t i = 0; i < len; i++) {
		data[i] = (char)(index * 31 + term * 17 + i);
	}
	return data;
}

/* An append of n entries, each with its data. */
struct append {
	struct journal_item item;
	struct raft_entry entries[64];
};

static struct append *append_new(uint64_t index, unsigned n, uint64_t term, size_t len)
{
	struct append *a = calloc(1, sizeof(*a));

	assert_true(n <= 64);
	a->item = (struct journal_item){.type = JOURNAL_APPEND, .index = index, .entries = a->entries, .n = n};
	for (unsigned i = 0; i < n; i++) {
		size_t size = len != 0 ? len : entry_len(index + i, term);

		a->entries[i] = (struct raft_entry){
			.term = term, .type = RAFT_COMMAND, .buf = {entry_data(index + i, term, size), size}};
	}
	return a;
}

static void append_free(struct append *a)
{
	for (unsigned i = 0; i < a->item.n; i++) {
		raft_free(a->entries[i].buf.base);
	}
	free(a);
}

static void append(struct log *l, uint64_t index, unsigned n, uint64_t term)
{
	struct append *a = append_new(index, n, term, 0);

	journal_push(&l->j, &a->item);
	assert_ptr_equal(wait_finished(l), &a->item);
	append_free(a);
}

static void push_vote(struct log *l, uint64_t term, uint64_t id)
{
	struct journal_item item = {.type = JOURNAL_VOTE, .term = term, .voted_for = id, .origin = 9};

	journal_push(&l->j, &item);
	assert_ptr_equal(wait_finished(l), &item);
}

static void push_reset(struct log *l, uint64_t next)
{
	struct journal_item item = {.type = JOURNAL_RESET, .index = next};

	journal_push(&l->j, &item);
	assert_ptr_equal(wait_finished(l), &item);
}

/* The log that was loaded holds entries from..to, of that term. */
static void check_entries(const struct log *l, uint64_t from, uint64_t to, uint64_t term)
{
	const struct journal *j = &l->j;

	assert_true(j->start_index <= from && j->start_index + j->n_entries > to);
	for (uint64_t i = from; i <= to; i++) {
		const struct raft_entry *e = &j->entries[i - j->start_index];
		size_t len = entry_len(i, term);
		char *data = entry_data(i, term, len);

		assert_int_equal(e->term, term);
		assert_int_equal(e->type, RAFT_COMMAND);
		assert_int_equal(e->buf.len, len);
		assert_memory_equal(e->buf.base, data, len);
		raft_free(data);
	}
}

static void check_range(const struct log *l, uint64_t from, uint64_t to)
{
	assert_int_equal(l->j.start_index, from);
	assert_int_equal(l->j.n_entries, to - from + 1);
}

/* --- whole logs --- */

static void what_was_appended_is_loaded_again(void **state)
{
	struct log l;

	(void)state;
	log_init(&l);
	append(&l, 1, 1, 1);
	append(&l, 2, 64, 1);
	append(&l, 66, 3, 2);
	log_restart(&l);
	check_range(&l, 1, 68);
	check_entries(&l, 1, 65, 1);
	check_entries(&l, 66, 68, 2);
	append(&l, 69, 1, 2);
	log_restart(&l);
	check_range(&l, 1, 69);
	log_unload(&l);
	log_end(&l);
}

static void an_empty_log_begins_at_one(void **state)
{
	struct log l;

	(void)state;
	log_init(&l);
	assert_int_equal(l.j.start_index, 1);
	assert_int_equal(l.j.n_entries, 0);
	log_restart(&l);
	assert_int_equal(l.j.start_index, 1);
	log_unload(&l);
	log_end(&l);
}

static void what_is_pushed_together_is_finished_in_order(void **state)
{
	struct append *a[50];
	struct journal_item *item;
	struct log l;
	unsigned n = 0;

	(void)state;
	log_init(&l);
	for (unsigned i = 0; i < 50; i++) {
		a[i] = append_new(1 + 4 * i, 4, 3, 0);
		journal_push(&l.j, &a[i]->item);
	}
	while (n < 50) {
		for (item = wait_finished(&l); item != NULL; item = item->next) {
			assert_ptr_equal(item, &a[n++]->item);
		}
	}
	assert_int_equal(journal_status(&l.j).backlog, 0);
	for (unsigned i = 0; i < 50; i++) {
		append_free(a[i]);
	}
	log_restart(&l);
	check_range(&l, 1, 200);
	check_entries(&l, 1, 200, 3);
	log_unload(&l);
	log_end(&l);
}

static void a_later_append_replaces_the_end(void **state)
{
	struct log l;

	(void)state;
	log_init(&l);
	append(&l, 1, 20, 1);
	append(&l, 11, 2, 2);
	log_restart(&l);
	check_range(&l, 1, 12);
	check_entries(&l, 1, 10, 1);
	check_entries(&l, 11, 12, 2);
	append(&l, 5, 1, 3);
	log_restart(&l);
	check_range(&l, 1, 5);
	check_entries(&l, 5, 5, 3);
	log_unload(&l);
	log_end(&l);
}

static void a_reset_makes_void_what_was_before(void **state)
{
	struct log l;

	(void)state;
	log_init(&l);
	append(&l, 1, 20, 1);
	push_reset(&l, 1001);
	log_restart(&l);
	assert_int_equal(l.j.n_entries, 0);
	assert_int_equal(l.j.start_index, 1001);
	append(&l, 1001, 5, 4);
	log_restart(&l);
	check_range(&l, 1001, 1005);
	check_entries(&l, 1001, 1005, 4);
	log_unload(&l);
	log_end(&l);
}

static void a_reset_outlives_the_segment_that_bears_it(void **state)
{
	struct append *a = append_new(1001, 1, 1, JOURNAL_SEGMENT_MIN);
	struct log l;

	(void)state;
	log_init(&l);
	append(&l, 1, 20, 1);
	push_reset(&l, 1001);
	journal_push(&l.j, &a->item); /* It does not fit into the empty segment. */
	assert_ptr_equal(wait_finished(&l), &a->item);
	append_free(a);
	log_restart(&l);
	check_range(&l, 1001, 1001);
	log_unload(&l);
	log_end(&l);
}

static void the_vote_goes_through_the_queue(void **state)
{
	struct log l;

	(void)state;
	log_init(&l);
	push_vote(&l, 5, 3);
	append(&l, 1, 1, 5);
	log_restart(&l);
	assert_int_equal(l.vote.term, 5);
	assert_int_equal(l.vote.voted_for, 3);
	assert_int_equal(l.vote.origin, 9);
	log_unload(&l);
	log_end(&l);
}

static void a_large_entry_gets_a_segment_of_its_size(void **state)
{
	struct append *a = append_new(2, 1, 1, 8 << 20);
	struct log l;

	(void)state;
	log_init(&l);
	append(&l, 1, 1, 1);
	journal_push(&l.j, &a->item);
	assert_ptr_equal(wait_finished(&l), &a->item);
	append(&l, 3, 1, 1);
	log_restart(&l);
	check_range(&l, 1, 3);
	assert_int_equal(l.j.entries[1].buf.len, 8 << 20);
	assert_memory_equal(l.j.entries[1].buf.base, a->entries[0].buf.base, 8 << 20);
	append_free(a);
	log_unload(&l);
	log_end(&l);
}

/* Many segments, by entries of half a segment's smallest size. */
static void fill_segments(struct log *l, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i <= to; i++) {
		struct append *a = append_new(i, 1, 1, JOURNAL_SEGMENT_MIN / 2);

		journal_push(&l->j, &a->item);
		assert_ptr_equal(wait_finished(l), &a->item);
		append_free(a);
	}
}

static void segments_grow_while_they_fill_quickly(void **state)
{
	char last[256];
	struct log l;

	(void)state;
	log_init(&l);
	fill_segments(&l, 1, 30);
	assert_true(file_count(&l.dir, "log-", last) < 10);
	assert_true(file_size(&l.dir, last) > JOURNAL_SEGMENT_MIN);
	log_restart(&l);
	check_range(&l, 1, 30);
	assert_int_equal(file_count(&l.dir, "log-", NULL), file_count(&l.dir, "log-", NULL));
	log_unload(&l);
	assert_int_equal(file_count(&l.dir, "spare-", NULL), 0);
	log_end(&l);
}

static void pruning_removes_only_what_is_not_needed(void **state)
{
	struct log l;
	unsigned before;

	(void)state;
	log_init(&l);
	fill_segments(&l, 1, 20);
	before = file_count(&l.dir, "log-", NULL);
	journal_prune(&l.j, 1);
	assert_int_equal(file_count(&l.dir, "log-", NULL), before);
	journal_prune(&l.j, 10);
	assert_true(file_count(&l.dir, "log-", NULL) < before);
	log_restart(&l);
	assert_true(l.j.start_index <= 10 && l.j.start_index > 1);
	assert_int_equal(l.j.start_index + l.j.n_entries, 21);
	journal_prune(&l.j, 1000);
	assert_int_equal(file_count(&l.dir, "log-", NULL), 1);
	append(&l, 21, 1, 1);
	log_restart(&l);
	assert_int_equal(l.j.start_index + l.j.n_entries, 22);
	log_unload(&l);
	log_end(&l);
}

/* --- damage --- */

/* Three records in one segment; where each begins, and the end. */
struct sample {
	struct log l;
	char name[256];
	size_t at[4];
};

static void sample_make(struct sample *s)
{
	log_init(&s->l);
	push_vote(&s->l, 1, 1);
	append(&s->l, 1, 2, 1);
	append(&s->l, 3, 3, 1);
	append(&s->l, 6, 1, 1);
	log_unload(&s->l);
	assert_int_equal(file_count(&s->l.dir, "log-", s->name), 1);
	s->at[0] = sizeof(struct segment_header);
	for (unsigned i = 0; i < 3; i++) {
		struct record r;

		file_read(&s->l.dir, s->name, &r, sizeof(r), s->at[i]);
		assert_int_equal(r.magic, RECORD_MAGIC);
		s->at[i + 1] = s->at[i] + sizeof(r) + r.size;
	}
}

static void sample_loads(struct sample *s, uint64_t to)
{
	assert_int_equal(log_load(&s->l), 0);
	check_range(&s->l, 1, to);
	check_entries(&s->l, 1, to, 1);
	log_unload(&s->l);
}

static void sample_is_refused(struct sample *s)
{
	int rc = log_load(&s->l);

	if (rc == 0) {
		log_unload(&s->l);
	}
	assert_int_equal(rc, ERR_CORRUPT);
	assert_string_not_equal(s->l.text, "");
}

static void unlink_mark(struct sample *s)
{
	assert_int_equal(unlinkat(s->l.dir.fd, "mark", 0), 0);
}

static void every_flipped_bit_is_refused(void **state)
{
	struct sample s;

	(void)state;
	sample_make(&s);
	for (size_t at = 0; at < s.at[3]; at++) {
		unsigned char bit = (unsigned char)(1 << at % 8);

		if (at >= offsetof(struct segment_header, unused) && at < sizeof(struct segment_header)) {
			continue;
		}
		file_flip(&s.l.dir, s.name, at, bit);
		sample_is_refused(&s);
		file_flip(&s.l.dir, s.name, at, bit);
	}
	sample_loads(&s, 6);
	log_end(&s.l);
}

static void without_the_mark_only_the_last_record_can_be_torn(void **state)
{
	struct sample s;

	(void)state;
	sample_make(&s);
	for (size_t at = s.at[0]; at < s.at[2]; at += 3) {
		unlink_mark(&s);
		file_flip(&s.l.dir, s.name, at, 4);
		sample_is_refused(&s);
		file_flip(&s.l.dir, s.name, at, 4);
	}
	unlink_mark(&s);
	file_flip(&s.l.dir, s.name, s.at[2] + sizeof(struct record) + 3, 4);
	sample_loads(&s, 5);
	log_end(&s.l);
}

static void a_torn_end_is_cut_at_every_length(void **state)
{
	struct sample s;

	(void)state;
	for (size_t cut = 1; cut <= 120; cut += 7) {
		sample_make(&s);
		unlink_mark(&s);
		file_cut(&s.l.dir, s.name, s.at[3] - (cut < s.at[3] - s.at[2] ? cut : s.at[3] - s.at[2]));
		sample_loads(&s, 5);
		assert_int_equal(file_size(&s.l.dir, s.name), s.at[2]);
		/* And the log goes on from there. */
		log_start(&s.l);
		append(&s.l, 6, 2, 1);
		log_restart(&s.l);
		check_range(&s.l, 1, 7);
		log_unload(&s.l);
		log_end(&s.l);
	}
}

static void zeros(struct sample *s, size_t from, size_t to)
{
	static const char zero[4096];

	assert_true(to - from <= sizeof(zero));
	file_write(&s->l.dir, s->name, zero, to - from, from);
}

static void a_page_that_did_not_reach_the_disk_is_a_torn_end(void **state)
{
	struct sample s;

	(void)state;
	sample_make(&s);
	unlink_mark(&s);
	zeros(&s, s.at[2] + 60, s.at[3]); /* The second half, */
	sample_loads(&s, 5);
	log_end(&s.l);
	sample_make(&s);
	unlink_mark(&s);
	zeros(&s, s.at[2], s.at[2] + sizeof(struct record)); /* the header alone. */
	sample_loads(&s, 5);
	log_end(&s.l);
}

static void a_synced_record_that_is_gone_is_refused(void **state)
{
	struct sample s;

	(void)state;
	sample_make(&s);
	file_cut(&s.l.dir, s.name, s.at[2]);
	sample_is_refused(&s);
	log_end(&s.l);
}

static void a_missing_segment_is_refused(void **state)
{
	char newest[256];
	char name[SEGMENT_NAME];
	struct log l;

	(void)state;
	log_init(&l);
	fill_segments(&l, 1, 10);
	journal_segment_name(name, l.j.segments->next->first_seq);
	log_unload(&l);
	file_count(&l.dir, "log-", newest);
	renameat(l.dir.fd, newest, l.dir.fd, "kept");
	assert_int_equal(log_load(&l), ERR_CORRUPT);
	renameat(l.dir.fd, "kept", l.dir.fd, newest);
	assert_int_equal(log_load(&l), 0);
	log_unload(&l);
	unlinkat(l.dir.fd, name, 0);
	assert_int_equal(log_load(&l), ERR_CORRUPT);
	log_end(&l);
}

/* As a process that is killed then leaves it: later the mark would say more. */
static void a_missing_segment_is_refused_from_its_first_record_on(void **state)
{
	char mark[2 * MARK_SLOT] = {0};
	char newest[256];
	struct log l;
	ssize_t len;
	int fd;

	(void)state;
	log_init(&l);
	append(&l, 1, 1, 1);
	while (l.j.segments->next == NULL) {
		fill_segments(&l, l.j.seq + 1, l.j.seq + 1);
		fd = openat(l.dir.fd, "mark", O_RDONLY);
		len = pread(fd, mark, sizeof(mark), 0);
		close(fd);
	}
	log_unload(&l);
	fd = openat(l.dir.fd, "mark", O_WRONLY);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, mark, (size_t)len, 0), len);
	close(fd);
	file_count(&l.dir, "log-", newest);
	unlinkat(l.dir.fd, newest, 0);
	assert_int_equal(log_load(&l), ERR_CORRUPT);
	log_end(&l);
}

static void damage_in_a_closed_segment_is_refused(void **state)
{
	char name[SEGMENT_NAME];
	struct log l;

	(void)state;
	log_init(&l);
	fill_segments(&l, 1, 6);
	journal_segment_name(name, l.j.segments->first_seq);
	log_unload(&l);
	unlinkat(l.dir.fd, "mark", 0);
	file_cut(&l.dir, name, file_size(&l.dir, name) - 8);
	assert_int_equal(log_load(&l), ERR_CORRUPT);
	log_end(&l);
}

static void a_newest_vote_that_is_damaged_is_refused(void **state)
{
	struct sample s;

	(void)state;
	sample_make(&s);
	file_flip(&s.l.dir, "vote", 4096 + 24, 1); /* Version 1 is in the second slot. */
	sample_is_refused(&s);
	log_end(&s.l);
}

/* --- faults --- */

static struct {
	enum disk_op op;
	enum disk_file file;
	int code;
	atomic_int after; /* Calls that go well before those that fail. */
	atomic_bool on;
} fault;

static int on_disk(enum disk_op op, enum disk_file file, uint64_t at, size_t len)
{
	(void)at;
	(void)len;
	if (!fault.on || op != fault.op || file != fault.file) {
		return 0;
	}
	return fault.after-- > 0 ? 0 : fault.code;
}

static void fault_set(enum disk_op op, enum disk_file file, int after, int code)
{
	fault.op = op;
	fault.file = file;
	fault.code = code;
	fault.after = after;
	fault.on = true;
}

static void fault_clear(void)
{
	fault.on = false;
}

static void a_full_disk_is_waited_for(void **state)
{
	struct append *a;
	struct log l;

	(void)state;
	fault_set(DISK_ALLOCATE, DISK_SPARE, 0, ENOSPC);
	log_init(&l);
	a = append_new(1, 4, 1, 0);
	journal_push(&l.j, &a->item);
	while (!journal_status(&l.j).no_space) {
		usleep(1000);
	}
	assert_int_equal(journal_status(&l.j).capacity, 0);
	assert_true(journal_status(&l.j).backlog > 0);
	assert_null(journal_finished(&l.j));
	fault_clear();
	assert_ptr_equal(wait_finished(&l), &a->item);
	while (journal_status(&l.j).capacity < JOURNAL_SEGMENT_MIN) {
		usleep(1000);
	}
	assert_false(journal_status(&l.j).no_space);
	append_free(a);
	log_restart(&l);
	check_range(&l, 1, 4);
	log_unload(&l);
	log_end(&l);
}

static void a_full_disk_at_a_write_is_waited_for(void **state)
{
	struct append *a;
	struct log l;

	(void)state;
	log_init(&l);
	append(&l, 1, 4, 1);
	fault_set(DISK_WRITE, DISK_LOG, 0, ENOSPC);
	a = append_new(5, 4, 1, 0);
	journal_push(&l.j, &a->item);
	usleep(50000);
	assert_null(journal_finished(&l.j));
	fault_clear();
	assert_ptr_equal(wait_finished(&l), &a->item);
	append_free(a);
	log_restart(&l);
	check_range(&l, 1, 8);
	log_unload(&l);
	log_end(&l);
}

static void the_end_does_not_wait_for_a_full_disk(void **state)
{
	struct append *a;
	struct log l;

	(void)state;
	fault_set(DISK_WRITE, DISK_SPARE, 3, ENOSPC);
	log_init(&l);
	a = append_new(1, 4, 1, 0);
	journal_push(&l.j, &a->item);
	while (!journal_status(&l.j).no_space) {
		usleep(1000);
	}
	assert_ptr_equal(journal_close(&l.j), &a->item); /* It comes back. */
	vote_close(&l.vote);
	fault_clear();
	append_free(a);
	assert_int_equal(file_count(&l.dir, "spare-", NULL), 0);
	log_end(&l);
}

/* In a child: its end is what is looked at. */
static void ends_the_process(enum disk_op op, enum disk_file file, int after)
{
	struct log l;
	int status;
	pid_t child;

	dir_open(&l.dir);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		close(2);
		fault_set(op, file, after, EIO);
		log_start(&l);
		push_vote(&l, 1, 1);
		for (unsigned i = 0; i < 20; i++) {
			append(&l, 1 + i, 1, 1);
		}
		sleep(1); /* The preparer's turn. */
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), DISK_EXIT);
	log_end(&l);
}

static void a_failed_write_ends_the_process(void **state)
{
	(void)state;
	ends_the_process(DISK_WRITE, DISK_LOG, 5);
	ends_the_process(DISK_SYNC, DISK_LOG, 5);
	ends_the_process(DISK_RENAME, DISK_LOG, 0);
	ends_the_process(DISK_WRITE, DISK_SPARE, 1);
	ends_the_process(DISK_SYNC, DISK_SPARE, 0);
	ends_the_process(DISK_WRITE, DISK_VOTE, 1);
	ends_the_process(DISK_SYNC, DISK_VOTE, 2); /* Behind those of a file that is made, and opened. */
}

/* --- random runs --- */

static uint64_t seed;

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((seed >> 33) % n);
}

/* What the log must hold: the term of each entry. */
struct model {
	uint64_t first;
	uint64_t next;
	uint64_t term;
	uint64_t terms[100000];
};

static void model_check(const struct model *m, const struct log *l)
{
	if (m->next == m->first) {
		assert_int_equal(l->j.n_entries, 0);
		return;
	}
	assert_true(l->j.start_index <= m->first);
	assert_int_equal(l->j.start_index + l->j.n_entries, m->next);
	for (uint64_t i = m->first; i < m->next; i++) {
		check_entries(l, i, i, m->terms[i]);
	}
}

static void model_append(struct model *m, struct log *l)
{
	unsigned n = 1 + rnd(20);

	if (rnd(8) == 0 && m->next > m->first) { /* A new leader replaces the end. */
		m->term++;
		m->next -= rnd((unsigned)(m->next - m->first < 30 ? m->next - m->first : 30));
	}
	append(l, m->next, n, m->term);
	for (unsigned i = 0; i < n; i++) {
		m->terms[m->next++] = m->term;
	}
}

/* The last record is lost half-way: without the mark, that is what a crash leaves. */
static void model_tear(struct model *m, struct log *l)
{
	struct append *a = append_new(m->next, 3, m->term, 0);
	char before[256];
	char after[256];
	size_t used = l->j.used;

	file_count(&l->dir, "log-", before);
	journal_push(&l->j, &a->item);
	wait_finished(l);
	append_free(a);
	log_unload(l);
	unlinkat(l->dir.fd, "mark", 0);
	file_count(&l->dir, "log-", after);
	if (strcmp(before, after) != 0 || used == 0) {
		used = sizeof(struct segment_header); /* It went into a new segment. */
	}
	file_cut(&l->dir, after, used + rnd(100));
	log_start(l);
}

static void random_histories_come_back(void **state)
{
	static struct model m;
	const char *text = getenv("SEED");
	struct log l;

	(void)state;
	seed = text != NULL ? strtoull(text, NULL, 0) : 1;
	print_message("seed %llu\n", (unsigned long long)seed);
	m = (struct model){.first = 1, .next = 1, .term = 1};
	log_init(&l);
	for (unsigned round = 0; round < 300; round++) {
		switch (rnd(12)) {
		case 0:
			log_restart(&l);
			model_check(&m, &l);
			break;
		case 1:
			model_tear(&m, &l);
			model_check(&m, &l);
			break;
		case 2:
			if (m.next > m.first) {
				m.first += rnd((unsigned)(m.next - m.first));
				journal_prune(&l.j, m.first);
			}
			break;
		case 3:
			if (rnd(6) == 0) {
				m.first = m.next = m.next + 100;
				m.term++;
				push_reset(&l, m.next);
			}
			break;
		default:
			model_append(&m, &l);
		}
	}
	log_restart(&l);
	model_check(&m, &l);
	log_unload(&l);
	log_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_appended_is_loaded_again),
		cmocka_unit_test(an_empty_log_begins_at_one),
		cmocka_unit_test(what_is_pushed_together_is_finished_in_order),
		cmocka_unit_test(a_later_append_replaces_the_end),
		cmocka_unit_test(a_reset_makes_void_what_was_before),
		cmocka_unit_test(a_reset_outlives_the_segment_that_bears_it),
		cmocka_unit_test(the_vote_goes_through_the_queue),
		cmocka_unit_test(a_large_entry_gets_a_segment_of_its_size),
		cmocka_unit_test(segments_grow_while_they_fill_quickly),
		cmocka_unit_test(pruning_removes_only_what_is_not_needed),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(without_the_mark_only_the_last_record_can_be_torn),
		cmocka_unit_test(a_torn_end_is_cut_at_every_length),
		cmocka_unit_test(a_page_that_did_not_reach_the_disk_is_a_torn_end),
		cmocka_unit_test(a_synced_record_that_is_gone_is_refused),
		cmocka_unit_test(a_missing_segment_is_refused),
		cmocka_unit_test(a_missing_segment_is_refused_from_its_first_record_on),
		cmocka_unit_test(damage_in_a_closed_segment_is_refused),
		cmocka_unit_test(a_newest_vote_that_is_damaged_is_refused),
		cmocka_unit_test(a_full_disk_is_waited_for),
		cmocka_unit_test(a_full_disk_at_a_write_is_waited_for),
		cmocka_unit_test(the_end_does_not_wait_for_a_full_disk),
		cmocka_unit_test(a_failed_write_ends_the_process),
		cmocka_unit_test(random_histories_come_back),
	};

	log_set_level(LOG_ERROR);
	disk_fault = on_disk;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
