#include "server/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/folder.h"
#include "proto/error.h"

OBJECT_DEFINE(server_identity, SERVER_IDENTITY_FIELDS);

enum { FILE_MAX = 64 << 10 };

static const char file_name[] = "identity.json";
static const char file_new[] = "identity.json.new";

static int io_error(void)
{
	return errno == ENOSPC || errno == EDQUOT ? ERR_NOSPACE : ERR_IO;
}

static int fail(int rc, const char *text, const char *dir, char *why, size_t why_size)
{
	snprintf(why, why_size, "%s: %s", dir, text);
	return rc;
}

static int fail_errno(const char *dir, char *why, size_t why_size)
{
	return fail(io_error(), strerror(errno), dir, why, why_size);
}

/* ---- the file ---- */

static void founders_of(const struct founding_list *list, struct rpc_founder *out)
{
	unsigned i;

	for (i = 0; i < list->n; i++) {
		out[i] = (struct rpc_founder){(int64_t)list->at[i].id, list->at[i].address};
	}
}

static void encode(const struct identity *i, struct buf *out)
{
	struct rpc_founder founders[FOUNDING_MAX];
	char id[UUID_TEXT];
	char cluster[UUID_TEXT];
	struct server_identity file;

	object_init(&server_identity_type, &file);
	uuid_format(&i->id, id);
	uuid_format(&i->cluster, cluster);
	file.id = id;
	file.cluster = cluster;
	file.raft_id = (int64_t)i->raft_id;
	file.rounds = (int64_t)i->founding.rounds;
	file.round = (int64_t)i->founding.promise.round;
	file.decided = i->founding.decided;
	founders_of(&i->founding.promise, founders);
	file.promise.at = founders;
	file.promise.n = i->founding.promise.n;
	json_encode(&server_identity_type, &file, out);
	buf_byte(out, '\n');
}

static bool take_founders(const struct server_identity *file, struct founding_list *list)
{
	uint32_t i;

	if (file->promise.n > FOUNDING_MAX) {
		return false;
	}
	list->n = file->promise.n;
	list->round = (uint64_t)file->round;
	for (i = 0; i < file->promise.n; i++) {
		list->at[i].id = (uint64_t)file->promise.at[i].id;
		snprintf(list->at[i].address, sizeof(list->at[i].address), "%s", file->promise.at[i].address);
	}
	return founding_list_valid(list);
}

static bool take(const struct server_identity *file, struct identity *i)
{
	i->raft_id = (uint64_t)file->raft_id;
	i->founding.rounds = (uint64_t)file->rounds;
	i->founding.decided = file->decided;
	return file->raft_id > 0 && uuid_parse(file->id, strlen(file->id), &i->id) &&
	       (file->cluster[0] == '\0' || uuid_parse(file->cluster, strlen(file->cluster), &i->cluster)) &&
	       take_founders(file, &i->founding.promise);
}

static int decode(const char *text, size_t len, struct identity *i)
{
	struct server_identity file;
	struct arena mem = {0};
	int rc = json_decode(&server_identity_type, &file, text, len, &mem, NULL);

	if (rc == 0) {
		rc = take(&file, i) ? 0 : ERR_CORRUPT;
	}
	arena_close(&mem);
	return rc == ERR_NOMEM || rc == 0 ? rc : ERR_CORRUPT;
}

static int write_and_sync(int fd, const struct buf *text)
{
	return write(fd, text->at, text->len) == (ssize_t)text->len && fsync(fd) == 0 ? 0 : io_error();
}

int identity_save(const struct identity *i)
{
	struct buf text = {0};
	int fd = openat(i->dir, file_new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0) {
		return io_error();
	}
	encode(i, &text);
	rc = text.failed ? ERR_NOMEM : write_and_sync(fd, &text);
	buf_close(&text);
	close(fd);
	if (rc == 0 && (renameat(i->dir, file_new, i->dir, file_name) != 0 || fsync(i->dir) != 0)) {
		rc = io_error();
	}
	return rc;
}

/* ---- the beginning ---- */

static bool has_log(int dir)
{
	struct stat st;

	return fstatat(dir, "raft/vote", &st, 0) == 0 || fstatat(dir, "raft/mark", &st, 0) == 0;
}

static int make(struct identity *i)
{
	struct uuid random = uuid_random();

	i->id = uuid_random();
	memcpy(&i->raft_id, random.at, sizeof(i->raft_id));
	i->raft_id = (i->raft_id & INT64_MAX) | 1;
	return identity_save(i);
}

static int load(struct identity *i)
{
	char text[FILE_MAX];
	int fd = openat(i->dir, file_name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		return errno != ENOENT ? ERR_IO : has_log(i->dir) ? ERR_CORRUPT : make(i);
	}
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0) {
		return ERR_IO;
	}
	text[n] = '\0';
	return decode(text, (size_t)n, i);
}

int identity_open(struct identity *i, const char *dir, char *why, size_t why_size)
{
	int rc;

	memset(i, 0, sizeof(*i));
	i->dir = -1;
	errno = folder_keep(dir, 0700);
	if (errno != 0) {
		return fail_errno(dir, why, why_size);
	}
	i->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (i->dir < 0 || (mkdirat(i->dir, "raft", 0700) != 0 && errno != EEXIST)) {
		rc = fail_errno(dir, why, why_size);
	} else if (flock(i->dir, LOCK_EX | LOCK_NB) != 0) {
		rc = fail(ERR_BUSY, "another process uses it", dir, why, why_size);
	} else {
		rc = load(i);
		if (rc == ERR_CORRUPT) {
			(void)fail(rc, "identity.json is missing or damaged", dir, why, why_size);
		} else if (rc != 0) {
			(void)fail_errno(dir, why, why_size);
		}
	}
	if (rc != 0) {
		identity_close(i);
	}
	return rc;
}

void identity_close(struct identity *i)
{
	if (i->dir >= 0) {
		close(i->dir);
		i->dir = -1;
	}
}
