/* The log, the vote and the snapshots on a disk that fails in all ways that disks do, at each step of a recorded run:
 * what was acknowledged is loaded again, exactly, or the start is refused. SEED=N chooses another run; the threads'
 * order is not the seed's. */
#include "test/unit/raft/files.h"
#include "test/unit/raft/power.h"

#include "lib/log.h"
#include "proto/error.h"
#include "raft/disk.h"
#include "raft/io_parts.h"
#include "raft/journal.h"

#include <raft.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { ITEMS = 400, INDEX = 1024, BIG = 300 << 10, TRAILING = 6 };

static uint64_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return n == 0 ? 0 : (uint32_t)(seed >> 33) % n;
}

static void seed_open(uint64_t salt)
{
	const char *text = getenv("SEED");

	seed = (text != NULL ? strtoull(text, NULL, 0) : 1) * 1000003 + salt;
}

/* --- the run: a child process does it --- */

/* What the trace says besides of the calls. */
enum { PUSHED, ACKED, SNAPSHOT_BEGUN, SNAPSHOT_DONE, PRUNE_BEGUN };

struct item {
	enum journal_type type;
	uint64_t index;
	unsigned n;
	uint64_t term;
	uint64_t voted_for;
	size_t len;
};

/* What log and vote hold. */
struct model {
	uint64_t term, voted_for;
	uint64_t first, next;
	uint64_t terms[INDEX];
	size_t lens[INDEX];
};

struct run {
	struct dir dir;
	struct power_trace *trace; /* Shared, */
	struct item *items;        /* as these are. */
	unsigned n_items;          /* The child's own, as all that follows. */
	struct model m;
	struct vote vote;
	struct journal j;
	sem_t woken;
	uint64_t snapshot;
};

static void fill(char *p, size_t len, uint64_t index, uint64_t term)
{
	for (size_t i = 0; i < len; i++) {
		p[i] = (char)(index * 31 + term * 17 + i * 7 + 1);
	}
}

static struct raft_buffer first_configuration(void)
{
	struct raft_configuration conf;
	struct raft_buffer buf;

	raft_configuration_init(&conf);
	assert_int_equal(raft_configuration_add(&conf, 1, "127.0.0.1:1", RAFT_VOTER), 0);
	assert_int_equal(raft_configuration_encode(&conf, &buf), 0);
	raft_configuration_close(&conf);
	return buf;
}

static struct raft_buffer data_of(uint64_t index, uint64_t term, size_t len)
{
	struct raft_buffer buf = {raft_malloc(len + 1), len};

	if (index == 1) {
		raft_free(buf.base);
		return first_configuration();
	}
	fill(buf.base, len, index, term);
	return buf;
}

static void model_apply(struct model *m, const struct item *it)
{
	switch (it->type) {
	case JOURNAL_VOTE:
		m->term = it->term;
		m->voted_for = it->voted_for;
		break;
	case JOURNAL_RESET:
		m->first = m->next = it->index;
		break;
	case JOURNAL_APPEND:
		for (unsigned i = 0; i < it->n; i++) {
			m->terms[it->index + i] = it->term;
			m->lens[it->index + i] = it->len;
		}
		m->next = it->index + it->n;
		break;
	}
}

static void on_wake(void *data)
{
	sem_post(data);
}

/* A start that is refused is an end. */
static void session_open(struct run *r)
{
	char text[JOURNAL_TEXT];

	if (vote_open(&r->vote, r->dir.fd) != 0 || journal_open(&r->j, r->dir.fd, &r->vote, text) != 0) {
		_exit(0);
	}
	assert(journal_start(&r->j, on_wake, &r->woken) == 0);
}

static void session_close(struct run *r)
{
	journal_close(&r->j);
	vote_close(&r->vote);
}

static void entries_make(struct raft_entry *entries, const struct item *it)
{
	for (unsigned i = 0; i < it->n; i++) {
		entries[i] = (struct raft_entry){.term = it->term,
						 .type = it->index + i == 1 ? RAFT_CHANGE : RAFT_COMMAND,
						 .buf = data_of(it->index + i, it->term, it->len)};
	}
}

/* Pushes items, all at once, and waits for them. */
static void push(struct run *r, const struct item *items, unsigned n)
{
	struct journal_item queue[4];
	struct raft_entry entries[4][8];
	unsigned left = n;

	for (unsigned i = 0; i < n; i++) {
		const struct item *it = &items[i];

		assert(r->n_items < ITEMS && it->index + it->n < INDEX && it->n <= 8);
		r->items[r->n_items++] = *it;
		model_apply(&r->m, it);
		entries_make(entries[i], it);
		queue[i] = (struct journal_item){it->type,       it->index, entries[i], it->n, it->term,
						 it->voted_for, 9,         NULL};
		power_note(PUSHED, r->n_items);
		journal_push(&r->j, &queue[i]);
	}
	while (left > 0) {
		struct journal_item *list;

		sem_wait(&r->woken);
		for (list = journal_finished(&r->j); list != NULL; list = list->next) {
			left--;
			power_note(ACKED, r->n_items - left);
		}
	}
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < items[i].n; k++) {
			raft_free(entries[i][k].buf.base);
		}
	}
}

static void do_vote(struct run *r)
{
	struct item it = {.type = JOURNAL_VOTE, .term = r->m.term + 1, .voted_for = 1 + below(3)};

	push(r, &it, 1);
}

static void do_append(struct run *r, uint64_t index, unsigned times, size_t len)
{
	struct item it[3];

	for (unsigned i = 0; i < times; i++) {
		it[i] = (struct item){JOURNAL_APPEND, index, 1 + below(4), r->m.term, 0, len != 0 ? len : below(700)};
		index += it[i].n;
	}
	push(r, it, times);
}

/* A new leader replaces the end; never what a snapshot holds. */
static void do_truncate(struct run *r)
{
	uint64_t low = r->snapshot + 1 > r->m.first ? r->snapshot + 1 : r->m.first;

	do_vote(r);
	if (r->m.next > low) {
		uint64_t most = r->m.next - low < 5 ? r->m.next - low : 5;

		do_append(r, r->m.next - 1 - below((uint32_t)most), 1, 0);
	}
}

static size_t image_len(uint64_t index)
{
	return (size_t)(index * 37 % 5000);
}

static bool try_snapshot(struct run *r, uint64_t index, uint64_t term)
{
	struct raft_buffer conf = first_configuration();
	struct snapshot_meta meta = {index, term, 1, conf.base, conf.len};
	struct snapshot_writer w;
	char name[SNAPSHOT_NAME];
	char image[5000];
	uint64_t size;
	int rc;

	snapshot_name(name, index, term);
	fill(image, image_len(index), index, term);
	power_note(SNAPSHOT_BEGUN, index << 32 | term);
	rc = snapshot_create(&w, r->dir.fd, &meta);
	if (rc == 0) {
		snapshot_write(&w, image, image_len(index));
		rc = snapshot_finish(&w, name, &size);
	}
	raft_free(conf.base);
	if (rc == 0) {
		r->snapshot = index;
		power_note(SNAPSHOT_DONE, index << 32 | term);
		snapshot_prune(r->dir.fd, name);
	}
	return rc == 0;
}

static void prune(struct run *r, uint64_t keep_from)
{
	power_note(PRUNE_BEGUN, keep_from);
	journal_prune(&r->j, keep_from);
}

/* As the replica does, which tries again until it is done. */
static bool put_snapshot(struct run *r, uint64_t index, uint64_t term)
{
	return try_snapshot(r, index, term) || try_snapshot(r, index, term);
}

/* Of what has been applied. */
static void do_snapshot(struct run *r)
{
	uint64_t index = r->m.next - 1;

	if (index > r->snapshot && index >= r->m.first && put_snapshot(r, index, r->m.terms[index]) &&
	    index > TRAILING) {
		prune(r, index - TRAILING + 1);
	}
}

/* From a leader that is far ahead. */
static void do_install(struct run *r)
{
	uint64_t index = r->m.next + 5 + below(20);
	struct item it = {.type = JOURNAL_RESET, .index = index + 1};

	if (put_snapshot(r, index, r->m.term)) {
		push(r, &it, 1);
		prune(r, index + 1);
	}
}

static void do_restart(struct run *r)
{
	session_close(r);
	session_open(r);
}

static void do_step(struct run *r)
{
	switch (below(13)) {
	case 0:
		do_vote(r);
		break;
	case 1:
	case 2:
		do_truncate(r);
		break;
	case 3:
	case 4:
		do_snapshot(r);
		break;
	case 5:
		do_install(r);
		break;
	case 6:
		do_restart(r);
		break;
	case 7:
		do_append(r, r->m.next, 3, 0);
		break;
	default:
		do_append(r, r->m.next, 1, 0);
	}
}

/* Four that fill a segment, so that the next one begins by itself. */
static void do_fill(struct run *r)
{
	for (unsigned i = 0; i < 4; i++) {
		struct item it = {JOURNAL_APPEND, r->m.next, 1, r->m.term, 0, BIG};

		push(r, &it, 1);
	}
}

static void work(struct run *r, unsigned steps, bool large)
{
	sem_init(&r->woken, 0, 0);
	r->m = (struct model){.first = 1, .next = 1};
	session_open(r);
	do_vote(r);
	do_append(r, 1, 1, 10);
	for (unsigned i = 0; i < steps; i++) {
		do_step(r);
		if (large && i == steps / 2) {
			do_fill(r);
			do_append(r, r->m.next, 1, 0);
			do_snapshot(r);
		}
	}
	session_close(r);
}

static void run_open(struct run *r)
{
	*r = (struct run){.trace = power_trace_new()};
	r->items = mmap(NULL, ITEMS * sizeof(*r->items), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(r->items != MAP_FAILED);
	if (access("/dev/shm", W_OK) == 0) {
		setenv("TMPDIR", "/dev/shm", 0); /* No disk is needed where none is synced. */
	}
	dir_open(&r->dir);
}

static void run_close(struct run *r)
{
	munmap(r->trace, sizeof(*r->trace));
	munmap(r->items, ITEMS * sizeof(*r->items));
	dir_close(&r->dir);
}

/* The child's status. */
static int run_record(struct run *r, unsigned steps, bool large, enum power_fault fault, unsigned call)
{
	struct power_disk *empty = power_disk_new();
	int status;
	pid_t pid;

	power_write(empty, r->dir.fd);
	power_disk_free(empty);
	power_record(r->trace, NULL, fault, call);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(200);
		log_set_level(LOG_ERROR + 1);
		work(r, steps, large);
		_exit(0);
	}
	power_record_end();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* --- what is loaded --- */

struct loaded {
	int rc;
	char text[RAFT_ERRMSG_BUF_SIZE];
	uint64_t term, voted_for;
	uint64_t start;
	uint64_t n;
	uint64_t terms[INDEX];
	uint64_t snapshot, snapshot_term;
	bool bytes_ok;
	int dirfd;
};

/* The image is the one that was written. */
static int on_restore(void *ctx, const struct raft_buffer *buf)
{
	struct loaded *l = ctx;
	struct snapshot_reader r;
	char image[5000];
	char wanted[5000];
	size_t len;
	int rc = snapshot_open(&r, l->dirfd, snapshot_image_name(buf->base, buf->len));

	if (rc != 0) {
		return rc;
	}
	l->snapshot = r.meta.index;
	l->snapshot_term = r.meta.term;
	len = image_len(l->snapshot);
	fill(wanted, len, l->snapshot, l->snapshot_term);
	rc = snapshot_read(&r, image, len);
	if (rc == 0) {
		rc = snapshot_read_end(&r);
	}
	l->bytes_ok = l->bytes_ok && rc == 0 && memcmp(image, wanted, len) == 0;
	snapshot_close(&r);
	return rc;
}

static bool same_bytes(const struct raft_entry *e, uint64_t index)
{
	struct raft_buffer wanted = data_of(index, e->term, e->buf.len);
	bool same = wanted.len == e->buf.len && memcmp(wanted.base, e->buf.base, wanted.len) == 0;

	raft_free(wanted.base);
	return same;
}

static void take_entries(struct loaded *l, struct raft_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_true(l->start + i < INDEX);
		l->terms[l->start + i] = entries[i].term;
		l->bytes_ok = l->bytes_ok && same_bytes(&entries[i], l->start + i);
		raft_free(entries[i].buf.base);
	}
	l->n = n;
	raft_free(entries);
}

/* A server starts on the directory. */
static void load(const struct dir *dir, struct loaded *l)
{
	struct io_config config = {
		.dir = dir->path, .id = 1, .address = "127.0.0.1:1", .ctx = l, .restore_cb = on_restore};
	struct raft_snapshot *snapshot = NULL;
	struct raft_entry *entries = NULL;
	struct raft_io io = {0};
	raft_index start = 0;
	raft_term term = 0;
	raft_id voted_for = 0;
	size_t n = 0;

	*l = (struct loaded){.bytes_ok = true, .dirfd = dir->fd};
	l->rc = io_init(&io, &config);
	if (l->rc == 0) {
		l->rc = io.load(&io, &term, &voted_for, &snapshot, &start, &entries, &n);
	}
	if (l->rc == 0) {
		l->term = term;
		l->voted_for = voted_for;
		l->start = start;
		take_entries(l, entries, n);
	}
	if (snapshot != NULL) {
		io_free_snapshot(snapshot);
	}
	memcpy(l->text, io.errmsg, sizeof(l->text));
	io_free(&io);
}

/* --- what may be loaded --- */

struct expected {
	const struct run *r;
	struct model m;      /* Of the items up to `lo`. */
	unsigned lo;         /* Items that must be there, */
	unsigned hi;         /* and that may. */
	unsigned marked;     /* Items before the newest mark was written. */
	uint64_t snapshot;   /* The newest that must be there, index and term, */
	uint64_t next;       /* and one that may. */
	uint64_t keep_from;  /* Entries before may have been removed. */
};

static void expect_step(struct expected *e, const struct power_step *s)
{
	if (s->op == POWER_WRITE && strcmp(s->name, "mark") == 0) {
		e->marked = e->lo;
	}
	if (s->op != POWER_NOTE) {
		return;
	}
	switch (s->note) {
	case PUSHED:
		e->hi = (unsigned)s->value;
		break;
	case ACKED:
		while (e->lo < s->value) {
			model_apply(&e->m, &e->r->items[e->lo++]);
		}
		break;
	case SNAPSHOT_BEGUN:
		e->next = s->value;
		break;
	case SNAPSHOT_DONE:
		e->snapshot = e->next = s->value;
		break;
	case PRUNE_BEGUN:
		e->keep_from = s->value;
		break;
	}
}

static bool vote_fits(const struct model *m, const struct loaded *l)
{
	return l->term == m->term && l->voted_for == m->voted_for;
}

/* A log that does not hold the snapshot's last entry, nor begins behind it, is void. */
static bool log_fits(const struct expected *e, const struct model *m, const struct loaded *l)
{
	uint64_t s = l->snapshot;
	uint64_t from = m->first > e->keep_from ? m->first : e->keep_from;
	bool has_last = s >= m->first && s < m->next && m->terms[s] == l->snapshot_term;

	if (l->n == 0) {
		return l->start == s + 1 && (m->next == m->first || (s > 0 && m->first != s + 1 && !has_last));
	}
	if (l->start > s + 1 || l->start + l->n != m->next || l->start < m->first || l->start > from) {
		return false;
	}
	return memcmp(&l->terms[l->start], &m->terms[l->start], l->n * sizeof(l->terms[0])) == 0;
}

/* Log and vote are as after some number of items from lo to hi: the same for both, unless `apart`. */
static bool items_fit(const struct expected *e, unsigned lo, bool apart, const struct loaded *l)
{
	struct model m = {.first = 1, .next = 1};
	bool vote = false;
	bool log = false;

	if (lo == e->lo) {
		m = e->m;
	}
	for (unsigned i = lo == e->lo ? lo : 0; i <= e->hi; i++) {
		bool counts = i >= lo;

		vote = (vote && apart) || (counts && vote_fits(&m, l));
		log = (log && apart) || (counts && log_fits(e, &m, l));
		if (vote && log) {
			return true;
		}
		if (i < e->hi) {
			model_apply(&m, &e->r->items[i]);
		}
	}
	return false;
}

static bool snapshot_fits(const struct expected *e, const struct loaded *l)
{
	uint64_t s = l->snapshot << 32 | l->snapshot_term;

	return s == e->snapshot || s == e->next;
}

static bool fits(const struct expected *e, const struct loaded *l)
{
	return l->rc == 0 && l->bytes_ok && snapshot_fits(e, l) && items_fit(e, e->lo, false, l);
}

/* --- the cases --- */

static struct {
	unsigned starts, again, refused, flips, unmarked;
} count;

static const char *const loss_names[] = {"the process is killed",   "nothing unsynced is kept", "names are lost",
					 "data is lost",            "some writes are lost",     "writes are torn",
					 "the last write is cut"};

static bool complain(const struct expected *e, const struct loaded *l, unsigned step, const char *what, bool quiet)
{
	if (!quiet) {
		print_message("step %u, %s: rc %d '%s', term %llu, vote %llu, log %llu + %llu, snapshot %llu; items %u"
			      " to %u, log %llu to %llu, term %llu, bytes %s\n",
			      step, what, l->rc, l->text, (unsigned long long)l->term,
			      (unsigned long long)l->voted_for, (unsigned long long)l->start, (unsigned long long)l->n,
			      (unsigned long long)l->snapshot, e->lo, e->hi, (unsigned long long)e->m.first,
			      (unsigned long long)e->m.next, (unsigned long long)e->m.term,
			      l->bytes_ok ? "right" : "wrong");
	}
	return false;
}

/* What was loaded once is loaded again, though the power fails right after: nobody may hear of what could still go.
 * Only that segments were removed may be forgotten. */
static bool load_again(struct run *r, struct power_disk *d, struct power_trace *t, const struct loaded *first,
		       struct loaded *again)
{
	struct loaded l;

	for (unsigned i = 0; i < t->n; i++) {
		power_step(d, &t->steps[i], NULL);
	}
	power_lose(d, POWER_LOSE_ALL, below);
	power_write(d, r->dir.fd);
	load(&r->dir, &l);
	count.again++;
	*again = l;
	if (l.rc != first->rc || l.term != first->term || l.voted_for != first->voted_for ||
	    l.snapshot != first->snapshot || l.start > first->start || l.start + l.n != first->start + first->n) {
		return false;
	}
	return memcmp(&l.terms[first->start], &first->terms[first->start], first->n * sizeof(l.terms[0])) == 0;
}

/* May a start be refused? Only where the disk has lied or failed. */
enum refusal { NEVER, MAY_REFUSE };

static bool lose_here(struct run *r, const struct power_disk *disk, const struct expected *e, unsigned step,
		      enum power_loss loss, enum refusal refusal, bool quiet)
{
	static struct power_trace *starting;
	struct power_disk *d = power_disk_copy(disk);
	struct loaded again;
	struct loaded l;
	bool ok;

	if (starting == NULL) {
		starting = power_trace_new();
	}
	power_lose(d, loss, below);
	power_write(d, r->dir.fd);
	power_record(starting, d, POWER_NONE, 0);
	load(&r->dir, &l);
	power_record_end();
	count.starts++;
	ok = fits(e, &l);
	if (!ok && refusal == MAY_REFUSE && l.rc != 0 && l.text[0] != 0) {
		ok = true;
		count.refused++;
	}
	if (!ok) {
		complain(e, &l, step, loss_names[loss], quiet);
	} else if (l.rc == 0 && (loss == POWER_KILL || below(4) == 0) && !load_again(r, d, starting, &l, &again)) {
		ok = complain(e, &again, step, "once more, when the power failed during the start", quiet);
	}
	power_disk_free(d);
	return ok;
}

static bool lose_all_ways(struct run *r, const struct power_disk *disk, const struct expected *e, unsigned step,
			  enum refusal refusal, bool quiet)
{
	unsigned ways = power_dirty(disk) ? POWER_LOSSES : 1;
	bool ok = true;

	for (unsigned i = 0; i < ways && ok; i++) {
		ok = lose_here(r, disk, e, step, i, refusal, quiet);
	}
	return ok;
}

static bool changes_much(const struct power_step *s)
{
	return s->op != POWER_WRITE || s->data != NULL;
}

/* Replays the run, and lets the power fail after each step. */
static bool replay(struct run *r, const char *forget, bool quiet)
{
	struct power_disk *d = power_disk_new();
	struct expected e = {.r = r, .m = {.first = 1, .next = 1}};
	bool ok = true;

	for (unsigned i = 0; i < r->trace->n && ok; i++) {
		power_step(d, &r->trace->steps[i], forget);
		expect_step(&e, &r->trace->steps[i]);
		ok = !changes_much(&r->trace->steps[i]) || lose_all_ways(r, d, &e, i, NEVER, quiet);
	}
	power_disk_free(d);
	return ok;
}

static void record_whole(struct run *r, uint64_t salt, unsigned steps, bool large)
{
	run_open(r);
	seed_open(salt);
	assert_int_equal(run_record(r, steps, large, POWER_NONE, 0), 0);
}

static void what_was_acknowledged_outlives_the_power_at_every_step(void **state)
{
	struct run r;

	(void)state;
	count.starts = count.again = 0;
	record_whole(&r, 1, 34, true);
	assert_true(replay(&r, NULL, false));
	print_message("%u steps, %u starts, %u once more\n", r.trace->n, count.starts, count.again);
	run_close(&r);
}

/* The bed itself: each of these is a bug that it must find. */
static void a_sync_that_is_forgotten_is_found(void **state)
{
	static const char *const kinds[] = {"log-", "spare-", "vote", "tmp-snapshot-", "dir"};
	struct run r;

	(void)state;
	record_whole(&r, 2, 30, false);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		print_message("without syncs of %s...\n", kinds[i]);
		assert_false(replay(&r, kinds[i], true));
	}
	run_close(&r);
}

/* A bit of a file is another one when the server starts. That is refused; or it does not matter; or it is in the newest
 * record, which no mark has confirmed yet, and looks like one that was being written. */
static bool flip_here(struct run *r, const struct power_disk *disk, const struct expected *e, unsigned step,
		      const char *prefix)
{
	unsigned newest = e->lo > 3 ? e->lo - 3 : 0;
	struct power_disk *d = power_disk_copy(disk);
	struct loaded l;
	char name[POWER_NAME];
	bool ok = true;

	if (power_flip(d, prefix, below, name)) {
		power_write(d, r->dir.fd);
		load(&r->dir, &l);
		count.flips++;
		count.refused += l.rc != 0;
		ok = l.rc != 0 ? l.text[0] != 0 : fits(e, &l);
		if (!ok && l.rc == 0 && l.bytes_ok && snapshot_fits(e, &l)) {
			ok = items_fit(e, e->marked > newest ? e->marked : newest, true, &l);
			count.unmarked += ok;
		}
		if (!ok) {
			complain(e, &l, step, name, false);
		}
	}
	power_disk_free(d);
	return ok;
}

static void a_flipped_bit_is_refused_or_does_not_matter(void **state)
{
	static const char *const files[] = {"log-", "vote", "mark", "snapshot-"};
	struct expected e;
	struct power_disk *d = power_disk_new();
	struct run r;

	(void)state;
	record_whole(&r, 3, 28, false);
	e = (struct expected){.r = &r, .m = {.first = 1, .next = 1}};
	count.flips = count.refused = count.unmarked = 0;
	for (unsigned i = 0; i < r.trace->n; i++) {
		power_step(d, &r.trace->steps[i], NULL);
		expect_step(&e, &r.trace->steps[i]);
		for (unsigned k = 0; k < 4 && changes_much(&r.trace->steps[i]); k++) {
			assert_true(flip_here(&r, d, &e, i, files[k]));
		}
	}
	print_message("%u flips, %u refused, %u in the newest record before its mark\n", count.flips, count.refused,
		      count.unmarked);
	assert_true(count.refused > count.flips / 10);
	power_disk_free(d);
	run_close(&r);
}

/* A call fails, and the process lives on or ends; then the power fails, too. */
static void fail_at(struct run *r, unsigned steps, enum power_fault fault, unsigned call)
{
	struct expected e = {.r = r, .m = {.first = 1, .next = 1}};
	struct power_disk *d = power_disk_new();
	enum refusal refusal = fault == POWER_EIO ? MAY_REFUSE : NEVER;
	int status = run_record(r, steps, false, fault, call);

	if (status != 0 && status != DISK_EXIT) {
		fail_msg("call %u failing by %d: the process ended with %d", call, fault, status);
	}
	for (unsigned i = 0; i < r->trace->n; i++) {
		power_step(d, &r->trace->steps[i], NULL);
		expect_step(&e, &r->trace->steps[i]);
		if (i + 1 == r->trace->n || (changes_much(&r->trace->steps[i]) && below(100) == 0)) {
			if (!lose_all_ways(r, d, &e, i, refusal, false)) {
				fail_msg("call %u failing by %d", call, fault);
			}
		}
	}
	power_disk_free(d);
}

static void a_call_that_fails_costs_nothing_that_was_acknowledged(void **state)
{
	static const char *const names[] = {"", "EIO", "ENOSPC", "half a write"};
	enum { STEPS = 12 };
	struct run r;

	(void)state;
	for (unsigned fault = POWER_EIO; fault <= POWER_SHORT; fault++) {
		unsigned call = 0;

		run_open(&r);
		count.starts = count.refused = 0;
		do {
			seed_open(4);
			fail_at(&r, STEPS, fault, call++);
		} while (r.trace->faulted);
		print_message("%s: %u calls, %u starts, %u refused\n", names[fault], call - 1, count.starts,
			      count.refused);
		assert_true(call > 50);
		run_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_acknowledged_outlives_the_power_at_every_step),
		cmocka_unit_test(a_sync_that_is_forgotten_is_found),
		cmocka_unit_test(a_flipped_bit_is_refused_or_does_not_matter),
		cmocka_unit_test(a_call_that_fails_costs_nothing_that_was_acknowledged),
	};

	log_set_level(LOG_ERROR + 1);
	print_message("SEED=%s\n", getenv("SEED") != NULL ? getenv("SEED") : "1");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
