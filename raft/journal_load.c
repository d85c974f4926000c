#include "raft/journal_format.h"

#include "lib/log.h"
#include "proto/error.h"
#include "raft/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <raft.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A fuzzer cannot guess checksums: its build takes any. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define CRC_EQUAL(a, b) ((void)(a), (void)(b), true)
#else
#define CRC_EQUAL(a, b) ((a) == (b))
#endif

void journal_segment_name(char name[SEGMENT_NAME], uint64_t first_seq)
{
	snprintf(name, SEGMENT_NAME, "log-%016llx", (unsigned long long)first_seq);
}

static int corrupt(struct load *ld, size_t at, const char *why)
{
	snprintf(ld->text, JOURNAL_TEXT, "%s at byte %zu: %s", ld->name, at, why);
	return ERR_CORRUPT;
}

static int failed(struct load *ld)
{
	snprintf(ld->text, JOURNAL_TEXT, "%s: %s", ld->name, strerror(errno));
	return ERR_IO;
}

void journal_load_truncate(struct journal *j, uint64_t index)
{
	while (j->n_entries > 0 && j->start_index + j->n_entries > index) {
		raft_free(j->entries[--j->n_entries].buf.base);
	}
}

static int entries_reserve(struct load *ld, size_t n)
{
	struct journal *j = ld->j;
	struct raft_entry *more;
	size_t max = ld->max_entries;

	while (j->n_entries + n > max) {
		max = max * 2 + 1024;
	}
	if (max == ld->max_entries) {
		return 0;
	}
	more = raft_realloc(j->entries, max * sizeof(*more));
	if (more == NULL) {
		return ERR_NOMEM;
	}
	j->entries = more;
	ld->max_entries = max;
	return 0;
}

/* Each entry gets a buffer of its own: libraft walks the whole log whenever it frees an entry of a shared one. */
static int entry_add(struct journal *j, const struct entry_header *h, const char *data)
{
	char *copy = raft_malloc(h->len + 1);

	if (copy == NULL) {
		return ERR_NOMEM;
	}
	memcpy(copy, data, h->len);
	j->entries[j->n_entries++] =
		(struct raft_entry){.term = h->term, .type = (enum raft_entry_type)h->type, .buf = {copy, h->len}};
	return 0;
}

static bool is_entry(const struct entry_header *h, size_t left)
{
	return h->term > 0 && h->type >= RAFT_COMMAND && h->type <= RAFT_CHANGE && pad8(h->len) <= left;
}

static int load_entries(struct load *ld, const struct record *r, const char *body)
{
	const char *data = body + r->n * sizeof(struct entry_header);
	size_t left = r->size - r->n * sizeof(struct entry_header);
	int rc = entries_reserve(ld, r->n);

	for (uint32_t i = 0; i < r->n && rc == 0; i++) {
		struct entry_header h;

		memcpy(&h, body + i * sizeof(h), sizeof(h));
		if (!is_entry(&h, left)) {
			return ERR_CORRUPT;
		}
		rc = entry_add(ld->j, &h, data);
		data += pad8(h.len);
		left -= pad8(h.len);
	}
	return rc;
}

/* The next record continues the log, or replaces its end. */
static int load_record(struct load *ld, const struct record *r, const char *body)
{
	struct journal *j = ld->j;
	int rc;

	if (r->index == 0 || r->n == 0 || r->n > r->size / sizeof(struct entry_header) || r->index > UINT64_MAX / 2) {
		return ERR_CORRUPT;
	}
	journal_load_truncate(j, r->index);
	if (j->n_entries == 0) {
		j->start_index = r->index;
	}
	if (r->index != j->start_index + j->n_entries) {
		return ERR_CORRUPT;
	}
	rc = load_entries(ld, r, body);
	if (rc == 0) {
		j->next_index = r->index + r->n;
	}
	return rc;
}

static bool is_record(const char *p, size_t size, size_t at, uint64_t salt, uint64_t seq, struct record *r)
{
	if (size - at < sizeof(*r)) {
		return false;
	}
	memcpy(r, p + at, sizeof(*r));
	return r->magic == RECORD_MAGIC && r->seq == seq && CRC_EQUAL(r->crc, record_crc(r, salt)) &&
	       r->size <= size - at - sizeof(*r) && CRC_EQUAL(r->body_crc, crc32c(0, p + at + sizeof(*r), r->size));
}

/* Is there a record after seq behind the damaged one? Then that one was durable once. */
static bool has_later_record(const char *p, size_t at, size_t size, uint64_t salt, uint64_t seq)
{
	struct record r;

	for (at += 8; at + sizeof(r) <= size; at += 8) {
		memcpy(&r, p + at, sizeof(r));
		if (r.magic == RECORD_MAGIC && r.seq > seq && CRC_EQUAL(r.crc, record_crc(&r, salt))) {
			return true;
		}
	}
	return false;
}

static bool is_zero(const char *p, size_t n)
{
	while (n > 0 && *p == 0) {
		p++;
		n--;
	}
	return n == 0;
}

/* What may stand where a segment's good records end. */
static int check_end(struct load *ld, const char *p, size_t at, size_t size, bool last, uint64_t salt)
{
	uint64_t seq = ld->j->seq;

	if (last && seq < ld->synced) {
		return corrupt(ld, at, "damaged, and had been synced");
	}
	if (is_zero(p + at, size - at)) {
		return 0;
	}
	if (!last) {
		return corrupt(ld, at, "damaged in a closed segment");
	}
	if (has_later_record(p, at, size, salt, seq + 1)) {
		return corrupt(ld, at, "damaged, with a valid record behind it");
	}
	log_warn("raft", "%s: a torn end at byte %zu is cut off", ld->name, at);
	return 0;
}

static int load_header(struct load *ld, const char *p, size_t size, const struct journal_segment *seg,
		       struct segment_header *h)
{
	struct journal *j = ld->j;

	if (size < sizeof(*h)) {
		return corrupt(ld, 0, "too short");
	}
	memcpy(h, p, sizeof(*h));
	if (h->magic != SEGMENT_MAGIC || !CRC_EQUAL(h->crc, segment_header_crc(h))) {
		return corrupt(ld, 0, "damaged header");
	}
	if (h->version != SEGMENT_VERSION) {
		return corrupt(ld, 0, "written by another version");
	}
	if (h->first_seq != seg->first_seq || h->first_seq == 0 || (j->seq != 0 && h->first_seq != j->seq + 1)) {
		return corrupt(ld, 0, "a segment is missing before this one");
	}
	j->seq = h->first_seq - 1;
	j->reset = h->flags & SEGMENT_RESET;
	if (j->reset) {
		journal_load_truncate(j, 0);
		j->next_index = h->next_index;
	}
	return 0;
}

int journal_load_records(struct load *ld, const char *p, size_t size, bool last, struct journal_segment *seg,
			 size_t *end)
{
	struct journal *j = ld->j;
	struct segment_header h;
	struct record r;
	size_t at = sizeof(h);
	int rc = load_header(ld, p, size, seg, &h);

	ld->last_at = at;
	while (rc == 0 && is_record(p, size, at, h.salt, j->seq + 1, &r)) {
		rc = load_record(ld, &r, p + at + sizeof(r));
		if (rc == ERR_CORRUPT) {
			return corrupt(ld, at, "a record that does not fit the one before");
		}
		j->seq = r.seq;
		j->reset = false;
		if (j->next_index - 1 > seg->max_index) {
			seg->max_index = j->next_index - 1;
		}
		ld->last_at = at;
		at += sizeof(r) + r.size;
	}
	if (rc != 0) {
		return rc;
	}
	*end = at;
	return check_end(ld, p, at, size, last, h.salt);
}

/* The bytes of a file, from malloc(); NULL and errno. */
static char *read_file(int fd, size_t *size)
{
	struct stat st;
	ssize_t n;
	char *p;

	if (fd < 0 || fstat(fd, &st) != 0) {
		return NULL;
	}
	p = malloc((size_t)st.st_size + 1);
	if (p == NULL) {
		return NULL;
	}
	n = disk_pread(fd, p, (size_t)st.st_size, 0);
	if (n < 0) {
		free(p);
		return NULL;
	}
	*size = (size_t)n;
	return p;
}

/* The last record may be on its way to the disk still, if the process before was killed. If it ended because its sync
 * had failed, the kernel takes the pages for clean: so they are written once more. */
static int keep_last(const struct load *ld, int fd, const char *p, size_t end)
{
	int rc = disk_put(DISK_LOG, fd, p + ld->last_at, end - ld->last_at, ld->last_at);

	return rc != 0 ? rc : disk_sync_all(DISK_LOG, fd);
}

/* A segment longer than its records is cut: the cut must be durable before the next segment exists. */
static int load_segment(struct load *ld, struct journal_segment *seg, bool last)
{
	size_t size = 0;
	size_t end = 0;
	char *p;
	int fd;
	int rc;

	journal_segment_name(ld->name, seg->first_seq);
	fd = disk_open(DISK_LOG, ld->j->dirfd, ld->name, O_RDWR);
	p = read_file(fd, &size);
	rc = p == NULL ? failed(ld) : journal_load_records(ld, p, size, last, seg, &end);
	if (rc == 0 && end < size && ftruncate(fd, (off_t)end) != 0) {
		rc = failed(ld);
	}
	if (rc == 0 && (last || end < size) && keep_last(ld, fd, p, end) != 0) {
		rc = failed(ld);
	}
	free(p);
	if (fd >= 0) {
		close(fd);
	}
	return rc;
}

static int load_mark(struct load *ld)
{
	struct journal *j = ld->j;
	uint64_t vote_version = 0;

	snprintf(ld->name, sizeof(ld->name), "mark");
	j->mark_fd = disk_open(DISK_MARK, j->dirfd, "mark", O_RDWR | O_CREAT);
	if (j->mark_fd < 0) {
		return failed(ld);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct mark m;

		if (disk_pread(j->mark_fd, &m, sizeof(m), i * MARK_SLOT) != sizeof(m) || m.crc != mark_crc(&m)) {
			continue;
		}
		ld->synced = m.seq > ld->synced ? m.seq : ld->synced;
		vote_version = m.vote_version > vote_version ? m.vote_version : vote_version;
	}
	if (vote_version > j->vote->version) {
		snprintf(ld->name, sizeof(ld->name), "vote");
		return corrupt(ld, 0, "the newest slot is damaged");
	}
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name); /* Numbers of fixed width: their order too. */
}

static bool is_segment(const char *name, uint64_t *seq)
{
	char again[SEGMENT_NAME];
	unsigned long long n;

	if (sscanf(name, "log-%16llx", &n) != 1) {
		return false;
	}
	journal_segment_name(again, n);
	*seq = n;
	return strcmp(name, again) == 0;
}

static int segment_add(struct journal_segment ***tail, uint64_t seq)
{
	struct journal_segment *seg = calloc(1, sizeof(*seg));

	if (seg == NULL) {
		return ERR_NOMEM;
	}
	seg->first_seq = seq;
	**tail = seg;
	*tail = &seg->next;
	return 0;
}

/* Lists the segments, and removes what a crash left of spares. */
static int list_segments(struct load *ld)
{
	struct journal *j = ld->j;
	struct journal_segment **tail = &j->segments;
	struct dirent **names;
	int n = scandirat(j->dirfd, ".", &names, NULL, by_name);
	int rc = 0;

	if (n < 0) {
		snprintf(ld->name, sizeof(ld->name), "the directory");
		return failed(ld);
	}
	for (int i = 0; i < n; i++) {
		uint64_t seq;

		if (strncmp(names[i]->d_name, "spare-", 6) == 0) {
			unlinkat(j->dirfd, names[i]->d_name, 0);
		}
		if (rc == 0 && is_segment(names[i]->d_name, &seq)) {
			rc = segment_add(&tail, seq);
		}
		free(names[i]);
	}
	free(names);
	return rc;
}

/* Waits end by the monotonic clock: the other may be set while one waits. */
static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

static void init(struct journal *j, int dirfd, struct vote *vote)
{
	*j = (struct journal){.dirfd = dirfd,
			      .vote = vote,
			      .fd = -1,
			      .mark_fd = -1,
			      .start_index = 1,
			      .next_index = 1,
			      .spare_size = JOURNAL_SEGMENT_MIN};
	j->pending_tail = &j->pending;
	j->finished_tail = &j->finished;
	pthread_mutex_init(&j->mutex, NULL);
	cond_init(&j->work);
	cond_init(&j->spare);
}

int journal_open(struct journal *j, int dirfd, struct vote *vote, char text[JOURNAL_TEXT])
{
	struct load ld = {.j = j, .text = text};
	int rc;

	init(j, dirfd, vote);
	snprintf(text, JOURNAL_TEXT, "out of memory");
	rc = load_mark(&ld);
	if (rc == 0) {
		rc = list_segments(&ld);
	}
	for (struct journal_segment *seg = j->segments; seg != NULL && rc == 0; seg = seg->next) {
		rc = load_segment(&ld, seg, seg->next == NULL);
	}
	if (rc == 0 && j->seq < ld.synced) {
		snprintf(ld.name, sizeof(ld.name), "log");
		rc = corrupt(&ld, 0, "the newest segment is missing");
	}
	if (rc == 0 && j->n_entries == 0) {
		j->start_index = j->next_index;
	}
	return rc;
}
