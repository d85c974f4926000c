#include "client/executor/logs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/text.h"

enum { MOVES_A_TURN = 16, TURNS_AT_END = 256, INDEX_DIGITS_MAX = 20, SCAN_BYTES = 2048, PRUNE_MAX = 1000 };

/* The lowest and the highest number among files of the name; none: lowest > highest. */
struct range {
	uint64_t lowest;
	uint64_t highest;
};

static void file_name(const struct logs *l, uint64_t index, struct text *out)
{
	out->n = 0;
	text_str(out, l->name);
	text_str(out, ".");
	text_num(out, index);
}

static void note_entry(const struct logs *l, const char *entry, struct range *r)
{
	size_t n = strlen(l->name);
	const char *at = entry + n + 1;
	uint64_t index;

	if (strncmp(entry, l->name, n) != 0 || entry[n] != '.' || *at < '0' || *at > '9' ||
	    strlen(at) > INDEX_DIGITS_MAX - 2) {
		return;
	}
	index = text_parse_num(&at);
	if (*at == '\0') {
		r->lowest = index < r->lowest ? index : r->lowest;
		r->highest = index > r->highest || r->highest == UINT64_MAX ? index : r->highest;
	}
}

static int scan(const struct logs *l, struct range *r)
{
	char piece[SCAN_BYTES] __attribute__((aligned(8)));
	long n;
	long at;

	r->lowest = UINT64_MAX;
	r->highest = UINT64_MAX;
	if (lseek(l->dir, 0, SEEK_SET) < 0) {
		return -errno;
	}
	while ((n = syscall(SYS_getdents64, l->dir, piece, sizeof(piece))) > 0) {
		for (at = 0; at < n; at += ((struct dirent64 *)(void *)(piece + at))->d_reclen) {
			note_entry(l, ((struct dirent64 *)(void *)(piece + at))->d_name, r);
		}
	}
	return n < 0 ? -errno : 0;
}

/* The directory may be another user's to write to: no link is followed, and what is there must be a plain file. */
static int open_file(const struct logs *l, uint64_t index)
{
	struct text name;
	struct stat st;
	int fd;

	file_name(l, index, &name);
	fd = openat(l->dir, name.at, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	if (fd < 0) {
		return -errno;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

/* Remove all files but the last max_files. A bounded number at once: a stray file may bear any number. */
static void prune(const struct logs *l, uint64_t lowest)
{
	uint64_t end = l->index + 1 > (uint64_t)l->max_files ? l->index + 1 - (uint64_t)l->max_files : 0;
	struct text name;

	if (end > PRUNE_MAX && lowest < end - PRUNE_MAX) {
		lowest = end - PRUNE_MAX;
	}
	for (; lowest < end; lowest++) {
		file_name(l, lowest, &name);
		unlinkat(l->dir, name.at, 0);
	}
}

int logs_open(struct logs *l, int dir, const char *name, int64_t max_files, int64_t max_bytes)
{
	struct range r;
	int rv;

	memset(l, 0, offsetof(struct logs, hold));
	l->dir = dir;
	l->from = -1;
	l->file = -1;
	l->max_files = max_files < 1 ? 1 : max_files;
	l->max_bytes = max_bytes < 1 ? 1 : max_bytes;
	if (strlen(name) + 1 + INDEX_DIGITS_MAX > NAME_MAX || name[0] == '\0' || strchr(name, '/') != NULL) {
		return -ENAMETOOLONG;
	}
	memcpy(l->name, name, strlen(name) + 1);
	rv = scan(l, &r);
	if (rv != 0) {
		return rv;
	}
	l->index = r.lowest <= r.highest && r.highest != UINT64_MAX ? r.highest : 0;
	rv = open_file(l, l->index);
	if (rv < 0) {
		return rv;
	}
	l->file = rv;
	prune(l, r.lowest);
	return 0;
}

void logs_close(struct logs *l)
{
	if (l->from >= 0) {
		close(l->from);
	}
	if (l->file >= 0) {
		close(l->file);
	}
	l->from = -1;
	l->file = -1;
}

static int rotate(struct logs *l)
{
	int fd = open_file(l, l->index + 1);

	if (fd < 0) {
		return fd;
	}
	close(l->file);
	l->file = fd;
	l->index++;
	prune(l, l->index < (uint64_t)l->max_files ? 0 : l->index - (uint64_t)l->max_files);
	return 0;
}

/* Room in the file, or a negative errno value. The end is asked for each time, so a file that someone has cut short is
 * filled from where it ends now. */
static int64_t room(const struct logs *l)
{
	int64_t end = lseek(l->file, 0, SEEK_END);

	return end < 0 ? -errno : end < l->max_bytes ? l->max_bytes - end : 0;
}

/* Room for something that is there to be written: a full file is followed by the next. 0 only if that is full too. */
static int64_t make_room(struct logs *l)
{
	int64_t left = room(l);
	int rv;

	if (left != 0) {
		return left;
	}
	rv = rotate(l);
	return rv != 0 ? rv : room(l);
}

/* What is to be read: LOGS_MORE, LOGS_IDLE or LOGS_ENDED. Asked before a full file is followed by the next: an empty
 * one would push out the oldest for nothing. */
static enum logs_state look(const struct logs *l)
{
	struct pollfd p = {.fd = l->from, .events = POLLIN};

	if (l->held > 0) {
		return LOGS_MORE;
	}
	if (poll(&p, 1, 0) <= 0) {
		return LOGS_IDLE;
	}
	return p.revents & POLLIN ? LOGS_MORE : LOGS_ENDED;
}

static ssize_t fill_hold(struct logs *l)
{
	ssize_t n = read(l->from, l->hold, sizeof(l->hold));

	if (n > 0) {
		l->held = (uint32_t)n;
	}
	return n;
}

/* By way of our memory. What could not be written stays in hold, in front. */
static ssize_t move_copying(struct logs *l, size_t max)
{
	ssize_t n = l->held > 0 ? (ssize_t)l->held : fill_hold(l);

	if (n <= 0) {
		return n;
	}
	n = write(l->file, l->hold, l->held < max ? l->held : max);
	if (n > 0) {
		l->held -= (uint32_t)n;
		memmove(l->hold, l->hold + n, l->held);
	}
	return n == 0 ? (errno = EIO, -1) : n;
}

/* As read(): the bytes moved, 0 at the end, -1 and errno. */
static ssize_t move(struct logs *l, size_t max)
{
	ssize_t n;

	if (!l->copying) {
		n = splice(l->from, NULL, l->file, NULL, max, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (n >= 0 || (errno != EINVAL && errno != ENOSYS)) {
			return n;
		}
		l->copying = true;
	}
	return move_copying(l, max);
}

/* The line that tells of lost output counts like any other output. True when nothing is left to tell. */
static bool tell_lost(struct logs *l)
{
	struct text t = {0};

	if (l->lost == 0) {
		return true;
	}
	text_str(&t, "\ndrover: ");
	text_num(&t, l->lost);
	text_str(&t, " bytes of output are missing here: error ");
	text_num(&t, (uint64_t)l->lost_error);
	text_str(&t, l->lost_error == ENOSPC ? " (disk full)\n" : " while writing\n");
	if (make_room(l) < 0 || write(l->file, t.at, t.n) != (ssize_t)t.n) {
		return false;
	}
	l->lost = 0;
	return true;
}

static enum logs_state discard(struct logs *l)
{
	ssize_t n;

	l->lost += l->held;
	l->held = 0;
	while ((n = fill_hold(l)) > 0) {
		l->lost += (uint64_t)n;
		l->held = 0;
	}
	return n == 0 ? LOGS_ENDED : LOGS_BLOCKED;
}

static enum logs_state blocked(struct logs *l, int error, int64_t now_ns)
{
	if (l->blocked_ns == 0) {
		l->blocked_ns = now_ns;
	}
	l->lost_error = error;
	l->retry_ns = now_ns + LOGS_RETRY_NS;
	return now_ns - l->blocked_ns >= LOGS_PATIENCE_NS ? discard(l) : LOGS_BLOCKED;
}

static enum logs_state ended(struct logs *l)
{
	close(l->from);
	l->from = -1;
	return LOGS_ENDED;
}

/* One move: LOGS_MORE after one that may be followed by another. */
static enum logs_state pump_once(struct logs *l, int64_t now_ns)
{
	int64_t max = room(l);
	ssize_t n = -1;

	if (max == 0) {
		if (look(l) != LOGS_MORE) {
			return look(l);
		}
		max = make_room(l);
	}
	if (max == 0) {
		return LOGS_MORE;
	}
	if (max < 0) {
		errno = (int)-max;
	} else {
		n = move(l, (size_t)max);
	}
	if (n > 0) {
		l->blocked_ns = 0;
		l->retry_ns = 0;
	}
	if (n == 0) {
		return LOGS_ENDED;
	}
	return n > 0 || errno == EINTR ? LOGS_MORE : errno == EAGAIN ? LOGS_IDLE : blocked(l, errno, now_ns);
}

static enum logs_state pump(struct logs *l, int64_t now_ns)
{
	enum logs_state s = LOGS_MORE;
	int i;

	if (!tell_lost(l)) {
		return blocked(l, l->lost_error, now_ns);
	}
	for (i = 0; i < MOVES_A_TURN && s == LOGS_MORE; i++) {
		s = pump_once(l, now_ns);
	}
	return s;
}

enum logs_state logs_pump(struct logs *l, int64_t now_ns)
{
	enum logs_state s;

	if (l->from < 0) {
		return LOGS_ENDED;
	}
	if (now_ns < l->retry_ns) {
		return LOGS_BLOCKED;
	}
	s = pump(l, now_ns);
	if (s == LOGS_IDLE) {
		l->blocked_ns = 0;
		l->retry_ns = 0;
	}
	return s == LOGS_ENDED ? ended(l) : s;
}

void logs_drain(struct logs *l, int64_t now_ns)
{
	enum logs_state s;
	int turns = 0;

	l->retry_ns = 0;
	do {
		s = logs_pump(l, now_ns);
	} while (s == LOGS_MORE && ++turns < TURNS_AT_END);
	if (s == LOGS_BLOCKED) {
		discard(l);
	}
	if (l->file >= 0) {
		tell_lost(l);
	}
}
