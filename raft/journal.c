#include "raft/journal_format.h"

#include "lib/log.h"
#include "proto/error.h"
#include "raft/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <raft.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	RETRY_MS = 200,           /* How often space is looked for on a full disk. */
	ZERO_STEP = 64 << 10,     /* Bytes of one write of zeros, */
	SYNC_STEP = 512 << 10,    /* and of one sync of them: small, to leave the disk to others. */
	QUICK_S = 10,             /* A segment that fills in less makes the next ones larger. */
	SLOW_S = 120,             /* One that takes longer makes them smaller. */
	MARK_EVERY = 64,          /* Records; */
	MARK_MS = 50,             /* and whenever there is nothing to write for so long. */
	KEEP_BUF = 256 << 10,     /* A larger buffer is not kept between records. */
	THREAD_STACK = 256 << 10, /* Of the two threads. */
};

/* --- the preparer: keeps segments ready --- */

static void spare_name(char name[SEGMENT_NAME], unsigned id)
{
	snprintf(name, SEGMENT_NAME, "spare-%u", id);
}

/* With the mutex held. */
static void pause_ms(struct journal *j, pthread_cond_t *cond, int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000L;
	t.tv_nsec %= 1000000000L;
	pthread_cond_timedwait(cond, &j->mutex, &t);
}

static int fill_with_zeros(int fd, size_t size)
{
	static const char zero[ZERO_STEP];
	int rc = disk_allocate(DISK_SPARE, fd, size);

	for (size_t at = 0; at < size && rc == 0; at += ZERO_STEP) {
		rc = disk_put(DISK_SPARE, fd, zero, ZERO_STEP, at);
		if (rc == 0 && (at + ZERO_STEP) % SYNC_STEP == 0) {
			rc = disk_sync(DISK_SPARE, fd);
		}
	}
	return rc != 0 ? rc : disk_sync_all(DISK_SPARE, fd);
}

/* The descriptor of a new file full of zeros, or -1: no space now. */
static int spare_create(struct journal *j, unsigned id, size_t size)
{
	char name[SEGMENT_NAME];
	int fd;

	spare_name(name, id);
	fd = disk_open(DISK_SPARE, j->dirfd, name, O_RDWR | O_CREAT | O_TRUNC);
	if (fd >= 0 && fill_with_zeros(fd, size) == 0) {
		return fd;
	}
	if (disk_error() != ERR_NOSPACE) {
		disk_die(name);
	}
	if (fd >= 0) {
		close(fd);
	}
	unlinkat(j->dirfd, name, 0);
	return -1;
}

/* The smallest segment that is of use now. With the mutex held. */
static size_t least_size(const struct journal *j)
{
	size_t size = j->needed > JOURNAL_SEGMENT_MIN ? j->needed : JOURNAL_SEGMENT_MIN;

	return (size + SYNC_STEP - 1) / SYNC_STEP * SYNC_STEP;
}

/* One more spare, or a pause. With the mutex held, and released meanwhile. */
static void prepare(struct journal *j)
{
	unsigned id = j->next_spare++;
	size_t size = j->spare_size;
	int fd;

	pthread_mutex_unlock(&j->mutex);
	fd = spare_create(j, id, size);
	pthread_mutex_lock(&j->mutex);
	if (fd < 0 && size > least_size(j)) {
		j->spare_size = least_size(j); /* A smaller one may find its place. */
		return;
	}
	j->no_space = fd < 0;
	if (fd < 0) {
		pause_ms(j, &j->spare, RETRY_MS);
		return;
	}
	j->spares[j->n_spares++] = (struct journal_spare){fd, id, size};
	j->spare_room += size;
	pthread_cond_broadcast(&j->spare);
}

static void *preparer(void *arg)
{
	struct journal *j = arg;

	pthread_mutex_lock(&j->mutex);
	while (!j->stopping) {
		if (j->n_spares == JOURNAL_SPARES) {
			pthread_cond_wait(&j->spare, &j->mutex);
		} else {
			prepare(j);
		}
	}
	pthread_mutex_unlock(&j->mutex);
	return NULL;
}

/* --- the writer: segments --- */

/* Waits for space when there is none, on a file system that does not honour the preparation. False: we are to stop. */
static bool wait_for_space(struct journal *j)
{
	bool stopping;

	pthread_mutex_lock(&j->mutex);
	if (!j->stopping) {
		pause_ms(j, &j->work, RETRY_MS);
	}
	stopping = j->stopping;
	pthread_mutex_unlock(&j->mutex);
	return !stopping;
}

/* False: we are to stop, and there is no space to finish with. */
static bool write_all(struct journal *j, const void *data, size_t size, size_t at)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = disk_pwrite(DISK_LOG, j->fd, p, size, at);

		if (n < 0) {
			if (disk_error() != ERR_NOSPACE) {
				disk_die("log");
			}
			if (!wait_for_space(j)) {
				return false;
			}
			continue;
		}
		p += n;
		at += (size_t)n;
		size -= (size_t)n;
	}
	return true;
}

/* The next segment may have to be larger, for one entry, than those that are ready. With the mutex held. */
static void drop_small_spares(struct journal *j, size_t size)
{
	char name[SEGMENT_NAME];

	while (j->n_spares > 0 && j->spares[0].size < size) {
		spare_name(name, j->spares[0].id);
		unlinkat(j->dirfd, name, 0);
		close(j->spares[0].fd);
		j->spare_room -= j->spares[0].size;
		j->spares[0] = j->spares[--j->n_spares];
	}
	j->needed = size;
	if (j->spare_size < size) {
		j->spare_size = least_size(j);
	}
	pthread_cond_broadcast(&j->spare);
}

/* Waits for a spare of that size, and takes it. False: we are to stop, and there is none. */
static bool spare_take(struct journal *j, size_t size, struct journal_spare *spare)
{
	bool ok;

	pthread_mutex_lock(&j->mutex);
	for (;;) {
		drop_small_spares(j, size);
		if (j->n_spares > 0 || j->stopping) {
			break;
		}
		pthread_cond_wait(&j->spare, &j->mutex);
	}
	j->needed = 0;
	ok = j->n_spares > 0;
	if (ok) {
		*spare = j->spares[0];
		j->spare_room -= spare->size;
		j->spares[0] = j->spares[1];
		j->n_spares--;
		pthread_cond_broadcast(&j->spare);
	}
	pthread_mutex_unlock(&j->mutex);
	return ok;
}

/* Segments grow while they fill quickly, so that a busy log switches seldom and an idle one costs little. */
static void adapt_size(struct journal *j)
{
	struct timespec now;
	time_t took;
	size_t size = j->spare_size;

	clock_gettime(CLOCK_MONOTONIC, &now);
	took = now.tv_sec - j->opened.tv_sec;
	if (j->seq > 0 && took < QUICK_S) {
		size *= 2;
	} else if (took > SLOW_S) {
		size /= 2;
	}
	size = size > JOURNAL_SEGMENT_MAX ? JOURNAL_SEGMENT_MAX : size;
	j->spare_size = size < JOURNAL_SEGMENT_MIN ? JOURNAL_SEGMENT_MIN : size;
	j->opened = now;
}

/* With the mutex held. An empty segment of the same name may be left from the start before: the new one replaced it. */
static void segment_list(struct journal *j, struct journal_segment *seg)
{
	struct journal_segment **tail = &j->segments;

	while (*tail != NULL && (*tail)->next != NULL) {
		tail = &(*tail)->next;
	}
	if (*tail != NULL && (*tail)->first_seq == seg->first_seq) {
		free(seg);
		return;
	}
	if (*tail != NULL) {
		tail = &(*tail)->next;
	}
	*tail = seg;
}

static void close_segment(int fd, size_t used)
{
	if (fd >= 0 && (ftruncate(fd, (off_t)used) != 0 || close(fd) != 0)) {
		disk_die("log: closing a segment");
	}
}

/* Writes the header into j->fd, and gives the spare its name. False: we are to stop. */
static bool segment_begin(struct journal *j, struct segment_header *h, const struct journal_spare *spare)
{
	char from[SEGMENT_NAME];
	char to[SEGMENT_NAME];

	spare_name(from, spare->id);
	journal_segment_name(to, h->first_seq);
	if (!write_all(j, h, sizeof(*h), 0)) {
		return false;
	}
	if (disk_sync(DISK_LOG, j->fd) != 0 || disk_rename(DISK_LOG, j->dirfd, from, to) != 0) {
		disk_die(to);
	}
	return true;
}

/* Makes a spare with room for `size` bytes of records the current segment. False: we are to stop. */
static bool segment_switch(struct journal *j, uint32_t flags, uint64_t next_index, size_t size)
{
	struct segment_header h = {.magic = SEGMENT_MAGIC,
				   .version = SEGMENT_VERSION,
				   .flags = flags | (j->reset ? SEGMENT_RESET : 0),
				   .first_seq = j->seq + 1,
				   .next_index = next_index};
	struct journal_segment *seg = calloc(1, sizeof(*seg));
	struct journal_spare spare;
	int old = j->fd;

	if (seg == NULL || getrandom(&h.salt, sizeof(h.salt), 0) != sizeof(h.salt)) {
		disk_die("log: memory");
	}
	h.crc = segment_header_crc(&h);
	seg->first_seq = h.first_seq;
	if (!spare_take(j, sizeof(h) + size, &spare)) {
		free(seg);
		return false;
	}
	j->fd = spare.fd;
	if (!segment_begin(j, &h, &spare)) {
		close(spare.fd);
		j->fd = old;
		free(seg);
		return false;
	}
	close_segment(old, j->used);
	j->reset = h.flags & SEGMENT_RESET;
	j->salt = h.salt;
	j->used = sizeof(h);
	pthread_mutex_lock(&j->mutex);
	adapt_size(j);
	j->room = spare.size - sizeof(h);
	segment_list(j, seg);
	pthread_mutex_unlock(&j->mutex);
	return true;
}

/* --- the writer: records --- */

/* Bytes of a record's body that an append takes. */
static size_t item_size(const struct journal_item *item)
{
	size_t size = item->n * sizeof(struct entry_header);

	for (unsigned i = 0; i < item->n; i++) {
		size += pad8(item->entries[i].buf.len);
	}
	return size;
}

static char *put_headers(char *p, const struct journal_item *item)
{
	for (unsigned i = 0; i < item->n; i++) {
		const struct raft_entry *e = &item->entries[i];
		struct entry_header h = {e->term, (uint32_t)e->type, (uint32_t)e->buf.len};

		memcpy(p, &h, sizeof(h));
		p += sizeof(h);
	}
	return p;
}

static char *put_data(char *p, const struct journal_item *item)
{
	for (unsigned i = 0; i < item->n; i++) {
		size_t len = item->entries[i].buf.len;

		if (len > 0) {
			memcpy(p, item->entries[i].buf.base, len);
		}
		memset(p + len, 0, pad8(len) - len);
		p += pad8(len);
	}
	return p;
}

/* The record of the appends from first up to (not including) end, in j->buf. */
static size_t encode_record(struct journal *j, const struct journal_item *first, const struct journal_item *end,
			    struct record *r)
{
	size_t size;
	char *p;

	*r = (struct record){.magic = RECORD_MAGIC, .seq = j->seq + 1, .index = first->index};
	for (const struct journal_item *item = first; item != end; item = item->next) {
		r->size += item_size(item);
		r->n += item->n;
	}
	size = sizeof(*r) + r->size;
	if (size > j->buf_size) {
		free(j->buf);
		j->buf = malloc(j->buf_size = size);
		if (j->buf == NULL) {
			disk_die("log: memory");
		}
	}
	p = j->buf + sizeof(*r);
	for (const struct journal_item *item = first; item != end; item = item->next) {
		p = put_headers(p, item);
	}
	for (const struct journal_item *item = first; item != end; item = item->next) {
		p = put_data(p, item);
	}
	assert(p == j->buf + size);
	r->body_crc = crc32c(0, j->buf + sizeof(*r), r->size);
	r->crc = record_crc(r, j->salt);
	memcpy(j->buf, r, sizeof(*r));
	return size;
}

static void mark_store(struct journal *j);

/* The mark has a segment's first record before anybody is told of it: if the file is lost later, that is seen. */
static void record_done(struct journal *j, const struct record *r, size_t size)
{
	struct journal_segment *seg;
	uint64_t last = r->index + r->n - 1;

	j->seq = r->seq;
	if (j->used == sizeof(struct segment_header)) {
		mark_store(j);
	}
	j->reset = false;
	j->used += size;
	j->room -= size;
	j->backlog -= r->size;
	pthread_mutex_lock(&j->mutex);
	for (seg = j->segments; seg->next != NULL;) {
		seg = seg->next;
	}
	seg->max_index = last > seg->max_index ? last : seg->max_index;
	pthread_mutex_unlock(&j->mutex);
	if (j->buf_size > KEEP_BUF) {
		free(j->buf);
		j->buf = NULL;
		j->buf_size = 0;
	}
}

/* Does `next` continue what ends with `last`? */
static bool is_sequel(const struct journal_item *last, const struct journal_item *next)
{
	return next != NULL && next->type == JOURNAL_APPEND && next->index == last->index + last->n;
}

/* Writes the first append, and those after it that fit, as one record. False: we are to stop. */
static bool write_appends(struct journal *j, struct journal_item *first, struct journal_item **rest)
{
	struct journal_item *last = first;
	struct record r;
	size_t size = item_size(first);
	size_t limit;

	if (j->fd < 0 || sizeof(r) + size > j->room) {
		if (!segment_switch(j, 0, first->index, sizeof(r) + size)) {
			return false;
		}
	}
	limit = j->room < JOURNAL_MAX_BATCH ? j->room : JOURNAL_MAX_BATCH;
	while (is_sequel(last, last->next) && sizeof(r) + size + item_size(last->next) <= limit) {
		last = last->next;
		size += item_size(last);
	}
	*rest = last->next;
	size = encode_record(j, first, *rest, &r);
	if (!write_all(j, j->buf, size, j->used)) {
		return false;
	}
	if (disk_sync(DISK_LOG, j->fd) != 0) {
		disk_die("log: sync");
	}
	record_done(j, &r, size);
	return true;
}

/* Writes a first part of the list. On success *rest is what is left. */
static bool write_some(struct journal *j, struct journal_item *first, struct journal_item **rest)
{
	*rest = first->next;
	switch (first->type) {
	case JOURNAL_APPEND:
		return write_appends(j, first, rest);
	case JOURNAL_VOTE:
		if (vote_put(j->vote, first->term, first->voted_for, first->origin) != 0) {
			disk_die("vote");
		}
		return true;
	case JOURNAL_RESET:
		return segment_switch(j, SEGMENT_RESET, first->index, 0);
	}
	return true;
}

/* A full disk does not matter here: the mark is a help, and its two slots are there from the first time on. */
static void mark_store(struct journal *j)
{
	struct mark m = {.seq = j->seq, .vote_version = j->vote->version};

	m.crc = mark_crc(&m);
	j->mark_slot = !j->mark_slot;
	if (disk_put(DISK_MARK, j->mark_fd, &m, sizeof(m), j->mark_slot * MARK_SLOT) == ERR_IO) {
		disk_die("mark");
	}
	j->unmarked = 0;
}

/* With the mutex held: the items before `rest` go to the finished ones, `rest` back to the front of the others. */
static void sort_out(struct journal *j, struct journal_item *first, struct journal_item *rest)
{
	struct journal_item *last;

	if (rest != NULL) {
		for (last = rest; last->next != NULL;) {
			last = last->next;
		}
		last->next = j->pending;
		if (j->pending == NULL) {
			j->pending_tail = &last->next;
		}
		j->pending = rest;
	}
	for (; first != rest; first = last) {
		last = first->next;
		first->next = NULL;
		*j->finished_tail = first;
		j->finished_tail = &first->next;
	}
}

/* A record says that the one before it is durable; so the mark matters for the last ones, when there is time to store
 * it. With the mutex held. */
static void wait_for_work(struct journal *j)
{
	if (j->unmarked == 0) {
		pthread_cond_wait(&j->work, &j->mutex);
		return;
	}
	pause_ms(j, &j->work, MARK_MS);
	if (j->pending == NULL) {
		pthread_mutex_unlock(&j->mutex);
		mark_store(j);
		pthread_mutex_lock(&j->mutex);
	}
}

static struct journal_item *take_pending(struct journal *j)
{
	struct journal_item *first = j->pending;

	j->pending = NULL;
	j->pending_tail = &j->pending;
	return first;
}

static void *writer(void *arg)
{
	struct journal *j = arg;

	pthread_mutex_lock(&j->mutex);
	for (;;) {
		struct journal_item *first;
		struct journal_item *rest;
		enum journal_type first_type;
		bool written;

		while (j->pending == NULL && !j->stopping) {
			wait_for_work(j);
		}
		if (j->stopping) {
			break;
		}
		first = take_pending(j);
		first_type = first->type;
		pthread_mutex_unlock(&j->mutex);
		written = write_some(j, first, &rest);
		pthread_mutex_lock(&j->mutex);
		sort_out(j, first, written ? rest : first);
		pthread_mutex_unlock(&j->mutex);
		if (written) {
			j->wake_cb(j->wake_data);
		}
		if (++j->unmarked >= MARK_EVERY || first_type == JOURNAL_VOTE) {
			mark_store(j);
		}
		pthread_mutex_lock(&j->mutex);
	}
	pthread_mutex_unlock(&j->mutex);
	mark_store(j);
	disk_sync(DISK_MARK, j->mark_fd);
	return NULL;
}

/* --- the loop's side --- */

int journal_start(struct journal *j, void (*wake_cb)(void *data), void *wake_data)
{
	pthread_attr_t attr;
	int rc;

	j->wake_cb = wake_cb;
	j->wake_data = wake_data;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	rc = pthread_create(&j->writer, &attr, writer, j);
	if (rc == 0) {
		rc = pthread_create(&j->preparer, &attr, preparer, j);
		if (rc != 0) {
			journal_stop(j);
			pthread_join(j->writer, NULL);
		}
	}
	pthread_attr_destroy(&attr);
	j->running = rc == 0;
	return rc == 0 ? 0 : ERR_NOMEM;
}

/* The signal comes after the mutex is free: the writer would only wake to wait for it. */
void journal_push(struct journal *j, struct journal_item *item)
{
	bool first;

	item->next = NULL;
	if (item->type == JOURNAL_APPEND) {
		j->backlog += item_size(item);
	}
	pthread_mutex_lock(&j->mutex);
	first = j->pending == NULL;
	*j->pending_tail = item;
	j->pending_tail = &item->next;
	pthread_mutex_unlock(&j->mutex);
	if (first) {
		pthread_cond_signal(&j->work);
	}
}

struct journal_item *journal_finished(struct journal *j)
{
	struct journal_item *list;

	pthread_mutex_lock(&j->mutex);
	list = j->finished;
	j->finished = NULL;
	j->finished_tail = &j->finished;
	pthread_mutex_unlock(&j->mutex);
	return list;
}

struct journal_status journal_status(struct journal *j)
{
	struct journal_status s = {.capacity = j->room, .backlog = j->backlog, .no_space = j->no_space};

	s.capacity += j->spare_room;
	s.capacity -= s.backlog < s.capacity ? s.backlog : s.capacity;
	return s;
}

/* The oldest segment, taken off the list, if it holds nothing at or above keep_from; never the last. */
static struct journal_segment *take_old(struct journal *j, uint64_t keep_from)
{
	struct journal_segment *seg;

	pthread_mutex_lock(&j->mutex);
	seg = j->segments;
	if (seg == NULL || seg->next == NULL || seg->max_index >= keep_from) {
		seg = NULL;
	} else {
		j->segments = seg->next;
	}
	pthread_mutex_unlock(&j->mutex);
	return seg;
}

/* It could not be removed: the next call tries again. */
static void put_back(struct journal *j, struct journal_segment *seg)
{
	pthread_mutex_lock(&j->mutex);
	seg->next = j->segments;
	j->segments = seg;
	pthread_mutex_unlock(&j->mutex);
}

/* Each removal is made durable before the next: a gap would be taken for a lost segment. So one that fails is the last,
 * and where it cannot be known whether it is durable, nothing may be removed by this process any more. */
void journal_prune(struct journal *j, uint64_t keep_from)
{
	struct journal_segment *seg;
	char name[SEGMENT_NAME];

	while ((seg = take_old(j, keep_from)) != NULL) {
		journal_segment_name(name, seg->first_seq);
		if (unlinkat(j->dirfd, name, 0) != 0 && errno != ENOENT) {
			log_warn("raft", "%s cannot be removed: %s", name, strerror(errno));
			put_back(j, seg);
			return;
		}
		if (disk_sync_all(DISK_DIR, j->dirfd) != 0) {
			disk_die(name);
		}
		free(seg);
	}
}

void journal_stop(struct journal *j)
{
	pthread_mutex_lock(&j->mutex);
	j->stopping = true;
	pthread_cond_broadcast(&j->work);
	pthread_cond_broadcast(&j->spare);
	pthread_mutex_unlock(&j->mutex);
}

void journal_join(struct journal *j)
{
	if (j->running) {
		pthread_join(j->writer, NULL);
		pthread_join(j->preparer, NULL);
	}
	j->running = false;
}

/* Spares are not kept: the next start makes its own, of the size it needs. */
static void close_files(struct journal *j)
{
	char name[SEGMENT_NAME];

	if (j->fd >= 0) {
		close(j->fd);
	}
	if (j->mark_fd >= 0) {
		close(j->mark_fd);
	}
	while (j->n_spares > 0) {
		j->n_spares--;
		spare_name(name, j->spares[j->n_spares].id);
		unlinkat(j->dirfd, name, 0);
		close(j->spares[j->n_spares].fd);
	}
}

struct journal_item *journal_close(struct journal *j)
{
	struct journal_segment *seg;

	journal_stop(j);
	journal_join(j);
	close_files(j);
	journal_load_truncate(j, 0);
	raft_free(j->entries);
	while ((seg = j->segments) != NULL) {
		j->segments = seg->next;
		free(seg);
	}
	free(j->buf);
	pthread_mutex_destroy(&j->mutex);
	pthread_cond_destroy(&j->work);
	pthread_cond_destroy(&j->spare);
	return take_pending(j);
}
