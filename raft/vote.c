#include "raft/vote.h"

#include "lib/crc.h"
#include "proto/error.h"
#include "raft/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

enum { SLOT = 4096, MAGIC = 0x65746f76 };

struct slot {
	uint32_t magic;
	uint32_t crc; /* Of what follows. */
	uint64_t version;
	uint64_t term;
	uint64_t voted_for;
	uint64_t origin;
};

static uint32_t slot_crc(const struct slot *s)
{
	return crc32c(0, &s->version, sizeof(*s) - offsetof(struct slot, version));
}

static int create(int dirfd)
{
	static const char zero[2 * SLOT];
	int fd = disk_open(DISK_VOTE, dirfd, "vote.tmp", O_RDWR | O_CREAT | O_TRUNC);

	if (fd < 0) {
		return -1;
	}
	if (disk_put(DISK_VOTE, fd, zero, sizeof(zero), 0) != 0 || disk_sync_all(DISK_VOTE, fd) != 0 ||
	    disk_rename(DISK_VOTE, dirfd, "vote.tmp", "vote") != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* A slot of all zeros is one that was never written, or whose first write was lost. */
static bool is_blank(const struct slot *s)
{
	return s->magic == 0 && s->crc == 0 && s->version == 0;
}

static void slot_take(struct vote *v, const struct slot *s)
{
	if (s->magic == MAGIC && s->crc == slot_crc(s) && s->version > v->version) {
		v->version = s->version;
		v->term = s->term;
		v->voted_for = s->voted_for;
		v->origin = s->origin;
	}
}

static int load(struct vote *v)
{
	unsigned blank = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct slot s = {.magic = 1};

		if (disk_pread(v->fd, &s, sizeof(s), i * SLOT) < 0) {
			return ERR_IO;
		}
		blank += is_blank(&s);
		slot_take(v, &s);
	}
	return v->version > 0 || blank > 0 ? 0 : ERR_CORRUPT;
}

static int slot_put(const struct vote *v)
{
	struct slot s = {.magic = MAGIC,
			 .version = v->version,
			 .term = v->term,
			 .voted_for = v->voted_for,
			 .origin = v->origin};

	s.crc = slot_crc(&s);
	return disk_put(DISK_VOTE, v->fd, &s, sizeof(s), s.version % 2 * SLOT);
}

/* What is read, and the file's name, may be on their way to the disk still, if the process before was killed: nobody
 * must hear of a vote that a power cut could take back. It is written once more, for if the process before ended because its
 * sync had failed, the kernel takes the page for clean, and a sync alone would do nothing. */
static int keep(const struct vote *v, int dirfd)
{
	int rc = v->version > 0 ? slot_put(v) : 0;

	if (rc == 0) {
		rc = disk_sync(DISK_VOTE, v->fd);
	}
	return rc != 0 ? rc : disk_sync_all(DISK_DIR, dirfd);
}

int vote_open(struct vote *v, int dirfd)
{
	int rc;

	*v = (struct vote){.fd = disk_open(DISK_VOTE, dirfd, "vote", O_RDWR)};
	if (v->fd < 0 && errno == ENOENT) {
		v->fd = create(dirfd);
	}
	if (v->fd < 0) {
		return disk_error();
	}
	rc = load(v);
	if (rc == 0) {
		rc = keep(v, dirfd);
	}
	if (rc != 0) {
		vote_close(v);
	}
	return rc;
}

int vote_put(struct vote *v, uint64_t term, uint64_t voted_for, uint64_t origin)
{
	struct vote next = {
		.fd = v->fd, .version = v->version + 1, .term = term, .voted_for = voted_for, .origin = origin};

	if (slot_put(&next) != 0 || disk_sync(DISK_VOTE, v->fd) != 0) {
		return ERR_IO;
	}
	*v = next;
	return 0;
}

void vote_close(struct vote *v)
{
	if (v->fd >= 0) {
		close(v->fd);
	}
	v->fd = -1;
}
