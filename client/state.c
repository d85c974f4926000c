#include "client/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "lib/log.h"
#include "proto/error.h"

enum { FILE_MAX = 64 << 20, FORMAT = 1, HEAD_BYTES = 32, SLOT_STEP = 4096, PATH_BYTES = 4096 };

static const char magic[8] = {'d', 'r', 'v', 'a', 'l', 'l', 'o', 'c'};
static const char tmp_suffix[] = ".tmp";
static const char damaged_suffix[] = ".damaged";

static int code_of(int error)
{
	return error == ENOSPC || error == EDQUOT ? ERR_NOSPACE : ERR_IO;
}

/* ---- files ---- */

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR) {
			return -1;
		}
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int state_replace_file(const char *path, const void *data, size_t len, size_t size, bool sync)
{
	char tmp[PATH_BYTES];
	int fd;
	int error = 0;

	snprintf(tmp, sizeof(tmp), "%s%s", path, tmp_suffix);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		return code_of(errno);
	}
	if (write_all(fd, data, len) != 0 || (size > len && ftruncate(fd, (off_t)size) != 0) || (sync && fsync(fd) != 0)) {
		error = errno;
	}
	if (close(fd) != 0 && error == 0) {
		error = errno;
	}
	if (error == 0 && rename(tmp, path) != 0) {
		error = errno;
	}
	if (error != 0) {
		unlink(tmp);
		return code_of(error);
	}
	return 0;
}

static int read_fd(int fd, struct buf *out)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		return ERR_IO;
	}
	if (st.st_size > FILE_MAX) {
		return ERR_CORRUPT;
	}
	do {
		char *to = buf_room(out, (size_t)st.st_size + 1);

		n = to == NULL ? 0 : read(fd, to, (size_t)st.st_size + 1);
		out->len += n > 0 ? (size_t)n : 0;
	} while ((n > 0 || (n < 0 && errno == EINTR)) && out->len <= FILE_MAX);
	return out->failed ? ERR_NOMEM : n < 0 ? ERR_IO : 0;
}

/* The whole file; ERR_NOTFOUND when there is none. */
static int read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int rc;

	if (fd < 0) {
		return errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
	}
	rc = read_fd(fd, out);
	close(fd);
	return rc;
}

static int make_dir(const char *path)
{
	return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : code_of(errno);
}

/* ---- who the node is ---- */

static int load_id(const char *path, char id[UUID_TEXT])
{
	struct buf text = {0};
	struct uuid uuid;
	int rc = read_file(path, &text);

	if (rc == 0) {
		size_t len = strcspn(buf_text(&text), " \n");

		rc = text.len > len + 2 || !uuid_parse(text.at, len, &uuid) || uuid_is_zero(&uuid) ? ERR_CORRUPT
		                                                                                                 : 0;
	}
	if (rc == 0) {
		uuid_format(&uuid, id);
	}
	buf_close(&text);
	return rc;
}

static int load_or_make_id(const char *dir, const char *name, char id[UUID_TEXT])
{
	char path[PATH_BYTES];
	struct uuid uuid;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	rc = load_id(path, id);
	if (rc == ERR_NOTFOUND) {
		uuid = uuid_random();
		uuid_format(&uuid, id);
		rc = state_replace_file(path, id, UUID_TEXT - 1, UUID_TEXT - 1, true);
	}
	if (rc != 0) {
		log_error("client", "%s: %s", path, error_text(rc));
	}
	return rc;
}

int state_ids(const char *dir, char node_id[UUID_TEXT], char secret_id[UUID_TEXT])
{
	int rc = make_dir(dir);

	if (rc == 0) {
		rc = load_or_make_id(dir, "client-id", node_id);
	}
	return rc != 0 ? rc : load_or_make_id(dir, "secret-id", secret_id);
}

/* ---- the form of a file ---- */

struct head {
	char magic[8];
	uint32_t format;
	uint32_t len;    /* Of the packed object behind it. */
	uint64_t number; /* The higher of two good slots counts. */
	uint64_t hash;
};
_Static_assert(sizeof(struct head) == HEAD_BYTES, "the head has no holes");

static uint64_t hash_of(const char *payload, size_t len, uint64_t number)
{
	return XXH3_64bits_withSeed(payload, len, number);
}

/* The head is filled in by the write, which knows the number. */
void state_encode(const struct saved_alloc *saved, struct buf *out)
{
	static const struct head blank;

	buf_put(out, &blank, sizeof(blank));
	pack_encode(&saved_alloc_type, saved, out);
}

/* Files stay on the machine that wrote them: numbers are in its own order. */
static void fill_head(struct buf *encoded, uint64_t number)
{
	struct head head = {.format = FORMAT, .len = (uint32_t)(encoded->len - sizeof(head)), .number = number};

	memcpy(head.magic, magic, sizeof(magic));
	head.hash = hash_of(encoded->at + sizeof(head), head.len, number);
	memcpy(encoded->at, &head, sizeof(head));
}

/* Whether a slot is good; what it holds points into it. */
static bool slot_good(const char *slot, size_t size, struct head *head)
{
	if (size < sizeof(*head)) {
		return false;
	}
	memcpy(head, slot, sizeof(*head));
	return memcmp(head->magic, magic, sizeof(magic)) == 0 && head->format == FORMAT &&
	       head->len <= size - sizeof(*head) && head->hash == hash_of(slot + sizeof(*head), head->len, head->number);
}

int state_decode(const void *data, size_t len, struct saved_alloc *out, struct arena *mem)
{
	size_t size = len / 2;
	const char *best = NULL;
	struct head head;
	struct head newest = {.number = 0};
	size_t i;
	int rc;

	for (i = 0; i < 2 && size > 0; i++) {
		const char *slot = (const char *)data + i * size;

		if (slot_good(slot, size, &head) && head.number > newest.number) {
			best = slot + sizeof(head);
			newest = head;
		}
	}
	if (best == NULL) {
		return ERR_CORRUPT;
	}
	rc = pack_decode(&saved_alloc_type, out, best, newest.len, mem);
	return rc == 0 || rc == ERR_NOMEM ? rc : ERR_CORRUPT;
}

/* ---- the allocations' files ---- */

static bool ends_with(const char *text, const char *end)
{
	size_t a = strlen(text);
	size_t b = strlen(end);

	return a >= b && strcmp(text + a - b, end) == 0;
}

static void remove_leftovers(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (ends_with(e->d_name, tmp_suffix)) {
			unlinkat(dirfd(d), e->d_name, 0);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
}

int state_store_open(struct state_store *s, const char *dir)
{
	int rc = make_dir(dir);

	*s = (struct state_store){0};
	if (rc != 0) {
		return rc;
	}
	if (asprintf(&s->dir, "%s/allocs", dir) < 0) {
		s->dir = NULL;
		return ERR_NOMEM;
	}
	rc = make_dir(s->dir);
	if (rc != 0) {
		state_store_close(s);
		return rc;
	}
	remove_leftovers(s->dir);
	return 0;
}

void state_store_close(struct state_store *s)
{
	free(s->dir);
	*s = (struct state_store){0};
}

/* An ID becomes a file's name: it came from a peer, so it must be one. */
static int path_of(const struct state_store *s, const char *id, char path[PATH_BYTES])
{
	struct uuid uuid;

	if (!uuid_parse(id, strlen(id), &uuid)) {
		return ERR_INVALID;
	}
	return snprintf(path, PATH_BYTES, "%s/%s", s->dir, id) < PATH_BYTES - 16 ? 0 : ERR_INVALID;
}

/* Into the slot that the last write did not go to. */
static int write_slot(const char *path, const struct state_file *file, const struct buf *encoded)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;
	int error = 0;

	if (fd < 0) {
		return code_of(errno);
	}
	n = pwrite(fd, encoded->at, encoded->len, (off_t)((file->number % 2) * file->slot_bytes));
	if (n != (ssize_t)encoded->len) {
		error = n < 0 ? errno : ENOSPC;
	}
	close(fd);
	return error == 0 ? 0 : code_of(error);
}

/* With slots that have room for twice as much. */
static int write_anew(const char *path, struct state_file *file, const struct buf *encoded)
{
	size_t slot = (encoded->len * 2 + SLOT_STEP - 1) / SLOT_STEP * SLOT_STEP;
	int rc = state_replace_file(path, encoded->at, encoded->len, slot * 2, false);

	if (rc == 0) {
		*file = (struct state_file){.slot_bytes = (uint32_t)slot, .number = 2};
	}
	return rc;
}

int state_write(const struct state_store *s, const char *id, struct state_file *file, struct buf *encoded)
{
	char path[PATH_BYTES];
	int rc = path_of(s, id, path);

	if (rc == 0 && encoded->len > FILE_MAX / 4) {
		rc = ERR_TOOBIG;
	}
	if (rc != 0) {
		return rc;
	}
	if (encoded->len <= file->slot_bytes) {
		file->number++;
		fill_head(encoded, file->number);
		rc = write_slot(path, file, encoded);
		if (rc == 0) {
			return 0;
		}
	}
	fill_head(encoded, 2); /* An even number: the first slot. */
	return write_anew(path, file, encoded);
}

int state_remove(const struct state_store *s, const char *id)
{
	char path[PATH_BYTES];
	int rc = path_of(s, id, path);

	if (rc == 0 && unlink(path) != 0 && errno != ENOENT) {
		rc = code_of(errno);
	}
	return rc;
}

static void set_aside(const char *path)
{
	char to[PATH_BYTES + sizeof(damaged_suffix)];

	snprintf(to, sizeof(to), "%s%s", path, damaged_suffix);
	log_warn("client", "%s is damaged: set aside as %s", path, to);
	if (rename(path, to) != 0) {
		log_warn("client", "%s: %s", to, strerror(errno));
	}
}

static void load_one(const struct state_store *s, const char *id,
                     void (*found_cb)(void *ctx, struct saved_alloc *saved, struct arena *mem), void *ctx)
{
	char path[PATH_BYTES];
	struct buf data = {0};
	struct arena mem = {0};
	struct saved_alloc saved;
	int rc = path_of(s, id, path);

	if (rc != 0) {
		return; /* Not one of ours, or set aside before. */
	}
	rc = read_file(path, &data);
	if (rc == 0) {
		rc = state_decode(data.at, data.len, &saved, &mem);
	}
	buf_close(&data);
	if (rc == 0 && (saved.alloc == NULL || strcmp(saved.id, id) != 0)) {
		rc = ERR_CORRUPT;
	}
	if (rc == 0) {
		found_cb(ctx, &saved, &mem);
		return;
	}
	arena_close(&mem);
	if (rc == ERR_CORRUPT) {
		set_aside(path);
	} else {
		log_warn("client", "%s: %s", path, error_text(rc));
	}
}

int state_load(const struct state_store *s, void (*found_cb)(void *ctx, struct saved_alloc *saved, struct arena *mem),
               void *ctx)
{
	DIR *d = opendir(s->dir);
	struct dirent *e;

	if (d == NULL) {
		return code_of(errno);
	}
	while ((e = readdir(d)) != NULL) {
		load_one(s, e->d_name, found_cb, ctx);
	}
	closedir(d);
	return 0;
}
