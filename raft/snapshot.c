#include "raft/snapshot.h"

#include "lib/crc.h"
#include "proto/error.h"
#include "raft/disk.h"

#include <dirent.h>
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

#define FILE_MAGIC 0x31746f687370616eULL
#define IMAGE_MAGIC 0x6567616d69686e73ULL

struct header {
	uint64_t magic;
	uint64_t index;
	uint64_t term;
	uint64_t conf_index;
	uint32_t conf_len;
	uint32_t crc; /* Of the header with 0 here, and of the configuration that follows. */
};

struct chunk {
	uint32_t len; /* 0: the end; 8 bytes with the total follow. */
	uint32_t crc;
};

static uint32_t header_crc(const struct header *h, const void *conf)
{
	struct header zeroed = *h;

	zeroed.crc = 0;
	return crc32c(crc32c(0, &zeroed, sizeof(zeroed)), conf, h->conf_len);
}

void snapshot_name(char name[SNAPSHOT_NAME], uint64_t index, uint64_t term)
{
	snprintf(name, SNAPSHOT_NAME, "snapshot-%016llx-%016llx", (unsigned long long)index, (unsigned long long)term);
}

/* --- writing --- */

static void put(struct snapshot_writer *w, const void *data, size_t len)
{
	if (w->err != 0) {
		return;
	}
	w->err = disk_put(DISK_SNAPSHOT, w->fd, data, len, w->at);
	w->at += len;
	w->unsynced += len;
	if (w->err == 0 && w->unsynced >= SNAPSHOT_SYNC) {
		w->unsynced = 0;
		w->err = disk_sync(DISK_SNAPSHOT, w->fd);
	}
}

static void put_chunk(struct snapshot_writer *w)
{
	struct chunk c = {(uint32_t)w->fill, crc32c(0, w->chunk, w->fill)};

	put(w, &c, sizeof(c));
	put(w, w->chunk, w->fill);
	w->fill = 0;
}

int snapshot_create(struct snapshot_writer *w, int dirfd, const struct snapshot_meta *meta)
{
	struct header h = {.magic = FILE_MAGIC,
			   .index = meta->index,
			   .term = meta->term,
			   .conf_index = meta->conf_index,
			   .conf_len = (uint32_t)meta->conf_len};

	*w = (struct snapshot_writer){.dirfd = dirfd, .chunk = malloc(SNAPSHOT_CHUNK)};
	if (w->chunk == NULL) {
		return ERR_NOMEM;
	}
	snprintf(w->tmp, sizeof(w->tmp), "tmp-snapshot-%016llx", (unsigned long long)meta->index);
	w->fd = disk_open(DISK_SNAPSHOT, dirfd, w->tmp, O_RDWR | O_CREAT | O_TRUNC);
	if (w->fd < 0) {
		free(w->chunk);
		return disk_error();
	}
	h.crc = header_crc(&h, meta->conf);
	put(w, &h, sizeof(h));
	put(w, meta->conf, meta->conf_len);
	return 0;
}

int snapshot_write(struct snapshot_writer *w, const void *data, size_t len)
{
	const char *p = data;

	w->total += len;
	while (len > 0 && w->err == 0) {
		size_t n = SNAPSHOT_CHUNK - w->fill < len ? SNAPSHOT_CHUNK - w->fill : len;

		memcpy(w->chunk + w->fill, p, n);
		p += n;
		len -= n;
		w->fill += n;
		if (w->fill == SNAPSHOT_CHUNK) {
			put_chunk(w);
		}
	}
	return w->err;
}

static void put_end(struct snapshot_writer *w)
{
	struct chunk end = {0, crc32c(0, &w->total, sizeof(w->total))};

	if (w->fill > 0) {
		put_chunk(w);
	}
	put(w, &end, sizeof(end));
	put(w, &w->total, sizeof(w->total));
	if (w->err == 0) {
		w->err = disk_sync_all(DISK_SNAPSHOT, w->fd);
	}
}

/* The cache is dropped before the file is read back, so that the disk answers and not the memory. */
int snapshot_finish(struct snapshot_writer *w, const char *name, uint64_t *size)
{
	put_end(w);
	posix_fadvise(w->fd, 0, 0, POSIX_FADV_DONTNEED);
	close(w->fd);
	free(w->chunk);
	if (w->err == 0) {
		w->err = snapshot_verify(w->dirfd, w->tmp);
	}
	if (w->err == 0) {
		w->err = disk_rename(DISK_SNAPSHOT, w->dirfd, w->tmp, name);
	}
	if (w->err != 0) {
		unlinkat(w->dirfd, w->tmp, 0);
		return w->err;
	}
	*size = w->at;
	return 0;
}

/* --- reading --- */

static int get(struct snapshot_reader *r, void *data, size_t len)
{
	ssize_t n = disk_pread(r->fd, data, len, r->file_at);

	if (n < 0) {
		return ERR_IO;
	}
	r->file_at += (uint64_t)n;
	return (size_t)n == len ? 0 : ERR_CORRUPT;
}

static int open_header(struct snapshot_reader *r)
{
	struct header h;
	int rc = get(r, &h, sizeof(h));

	if (rc != 0) {
		return rc;
	}
	if (h.magic != FILE_MAGIC || h.conf_len > SNAPSHOT_MAX_CONF) {
		return ERR_CORRUPT;
	}
	r->chunk = malloc(SNAPSHOT_CHUNK);
	r->meta.conf = raft_malloc(h.conf_len + 1);
	if (r->chunk == NULL || r->meta.conf == NULL) {
		return ERR_NOMEM;
	}
	rc = get(r, r->meta.conf, h.conf_len);
	if (rc != 0) {
		return rc;
	}
	r->meta.index = h.index;
	r->meta.term = h.term;
	r->meta.conf_index = h.conf_index;
	r->meta.conf_len = h.conf_len;
	return CRC_EQUAL(h.crc, header_crc(&h, r->meta.conf)) && h.index > 0 && h.term > 0 ? 0 : ERR_CORRUPT;
}

int snapshot_open(struct snapshot_reader *r, int dirfd, const char *name)
{
	int rc;

	*r = (struct snapshot_reader){.fd = disk_open(DISK_SNAPSHOT, dirfd, name, O_RDONLY)};
	if (r->fd < 0) {
		return ERR_IO;
	}
	rc = open_header(r);
	if (rc != 0) {
		snapshot_close(r);
	}
	return rc;
}

static int read_end_mark(struct snapshot_reader *r, uint32_t crc)
{
	uint64_t total;
	int rc = get(r, &total, sizeof(total));

	if (rc != 0) {
		return rc;
	}
	r->end = true;
	return CRC_EQUAL(crc, crc32c(0, &total, sizeof(total))) && total == r->total ? 0 : ERR_CORRUPT;
}

static int next_chunk(struct snapshot_reader *r)
{
	struct chunk c;
	int rc = r->end ? ERR_CORRUPT : get(r, &c, sizeof(c));

	if (rc != 0) {
		return rc;
	}
	r->at = r->fill = 0;
	if (c.len == 0) {
		return read_end_mark(r, c.crc);
	}
	if (c.len > SNAPSHOT_CHUNK) {
		return ERR_CORRUPT;
	}
	rc = get(r, r->chunk, c.len);
	if (rc != 0) {
		return rc;
	}
	r->fill = c.len;
	r->total += c.len;
	return CRC_EQUAL(c.crc, crc32c(0, r->chunk, c.len)) ? 0 : ERR_CORRUPT;
}

int snapshot_read(struct snapshot_reader *r, void *data, size_t len)
{
	char *p = data;

	while (len > 0) {
		size_t n = r->fill - r->at < len ? r->fill - r->at : len;

		if (n == 0) {
			int rc = next_chunk(r);

			if (rc != 0 || r->end) {
				return rc != 0 ? rc : ERR_CORRUPT;
			}
			continue;
		}
		memcpy(p, r->chunk + r->at, n);
		p += n;
		r->at += n;
		len -= n;
	}
	return 0;
}

int snapshot_read_end(struct snapshot_reader *r)
{
	char byte;
	int rc = 0;

	if (r->at < r->fill) {
		return ERR_CORRUPT;
	}
	if (!r->end) {
		rc = next_chunk(r);
	}
	if (rc != 0) {
		return rc;
	}
	return r->end && disk_pread(r->fd, &byte, 1, r->file_at) == 0 ? 0 : ERR_CORRUPT;
}

void snapshot_close(struct snapshot_reader *r)
{
	if (r->fd >= 0) {
		close(r->fd);
	}
	free(r->chunk);
	raft_free(r->meta.conf);
	*r = (struct snapshot_reader){.fd = -1};
}

int snapshot_verify(int dirfd, const char *name)
{
	struct snapshot_reader r;
	int rc = snapshot_open(&r, dirfd, name);

	if (rc != 0) {
		return rc;
	}
	while (rc == 0 && !r.end) {
		rc = next_chunk(&r);
	}
	if (rc == 0) {
		r.at = r.fill;
		rc = snapshot_read_end(&r);
	}
	snapshot_close(&r);
	return rc;
}

/* --- the directory --- */

uint64_t snapshot_size(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

static DIR *open_dir(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && dir == NULL) {
		close(fd);
	}
	return dir;
}

static bool is_leftover(const char *name)
{
	return strncmp(name, "tmp-", 4) == 0 || strncmp(name, "incoming-", 9) == 0;
}

static bool is_snapshot(const char *name)
{
	return strncmp(name, "snapshot-", 9) == 0 && strlen(name) == 9 + 16 + 1 + 16;
}

int snapshot_find(int dirfd, char name[SNAPSHOT_NAME])
{
	DIR *dir = open_dir(dirfd);
	struct dirent *e;

	name[0] = 0;
	if (dir == NULL) {
		return ERR_IO;
	}
	while ((e = readdir(dir)) != NULL) {
		if (is_leftover(e->d_name)) {
			unlinkat(dirfd, e->d_name, 0);
		} else if (is_snapshot(e->d_name) && strcmp(e->d_name, name) > 0) {
			memcpy(name, e->d_name, strlen(e->d_name) + 1);
		}
	}
	closedir(dir);
	return 0;
}

void snapshot_prune(int dirfd, const char *name)
{
	DIR *dir = open_dir(dirfd);
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		if (is_snapshot(e->d_name) && strcmp(e->d_name, name) != 0) {
			unlinkat(dirfd, e->d_name, 0);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	}
}

/* --- images --- */

struct snapshot_image *snapshot_image_new(const char *name)
{
	struct snapshot_image *image = raft_calloc(1, sizeof(*image));

	if (image != NULL) {
		image->magic = IMAGE_MAGIC;
		snprintf(image->name, sizeof(image->name), "%s", name);
	}
	return image;
}

const char *snapshot_image_name(const void *data, size_t len)
{
	const struct snapshot_image *image = data;

	return len == sizeof(*image) && image->magic == IMAGE_MAGIC ? image->name : NULL;
}
