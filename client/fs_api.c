#include "client/fs_api.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/beneath.h"
#include "client/oserror.h"
#include "proto/error.h"

OBJECT_DEFINE(fs_file, FS_FILE_FIELDS);

/* One message of a stream. */
#define FS_FRAME_FIELDS(X, T)                                                                                          \
	X(T, INT, offset, "Offset", .omit = true)                                                                      \
	X(T, BYTES, data, "Data", .omit = true)                                                                        \
	X(T, STR, file, "File", .omit = true)                                                                          \
	X(T, STR, file_event, "FileEvent", .omit = true)

OBJECT_DECLARE(fs_frame, FS_FRAME_FIELDS);
OBJECT_DEFINE(fs_frame, FS_FRAME_FIELDS);

enum { MODE_TEXT = 24, SNIFF_BYTES = 512 };

static const char truncated[] = "file truncated";
static const char deleted[] = "file deleted";

/* ---- faults ---- */

static int fail(struct fs_fault *f, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct fs_fault *f, int status, const char *format, ...)
{
	va_list args;

	f->status = status;
	va_start(args, format);
	vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	return ERR_INVALID;
}

static int fail_escape(struct fs_fault *f)
{
	return fail(f, 500, "Path escapes the alloc directory");
}

/* A path that leads nowhere is the user's fault, all else the node's. */
static int fail_errno(struct fs_fault *f, const char *path, int error)
{
	char text[OSERROR_TEXT];

	if (error == EXDEV) {
		return fail_escape(f);
	}
	return fail(f, error == ENOENT ? 404 : 500, "open %s: %s", path, oserror_text(error, text));
}

/* ---- the query ---- */

struct getter {
	const char *(*get)(const void *ctx, const char *name);
	const void *ctx;
	int status; /* Of the fault that a number or a boolean is. */
};

static const char *text_of(const struct getter *g, const char *name)
{
	const char *value = g->get(g->ctx, name);

	return value == NULL ? "" : value;
}

static int parse_number(const struct getter *g, const char *name, int64_t *out, struct fs_fault *f)
{
	const char *text = text_of(g, name);
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (text[0] == '\0' || *end != '\0' || strchr(" \t\n\v\f\r", text[0]) != NULL) {
		return fail(f, g->status, "error parsing %s: strconv.ParseInt: parsing \"%.64s\": invalid syntax", name,
			    text);
	}
	if (errno == ERANGE) {
		return fail(f, g->status, "error parsing %s: strconv.ParseInt: parsing \"%.64s\": value out of range", name,
			    text);
	}
	*out = n;
	return 0;
}

static bool is_given(const struct getter *g, const char *name)
{
	return text_of(g, name)[0] != '\0';
}

static int parse_bool(const struct getter *g, const char *name, bool *out, struct fs_fault *f)
{
	static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
	static const char *const no[] = {"", "0", "f", "F", "FALSE", "false", "False"};
	const char *text = text_of(g, name);
	size_t i;

	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if (strcmp(text, no[i]) == 0) {
			*out = false;
			return 0;
		}
		if (i < sizeof(yes) / sizeof(yes[0]) && strcmp(text, yes[i]) == 0) {
			*out = true;
			return 0;
		}
	}
	return fail(f, g->status, "failed to parse %s field to boolean: strconv.ParseBool: parsing \"%.64s\": invalid syntax",
		    name, text);
}

static int parse_origin(const struct getter *g, bool *from_end, struct fs_fault *f)
{
	const char *origin = text_of(g, "origin");

	*from_end = strcmp(origin, "end") == 0;
	if (!*from_end && origin[0] != '\0' && strcmp(origin, "start") != 0) {
		return fail(f, 400, "origin must be start or end");
	}
	return 0;
}

static int parse_log(const struct getter *g, struct fs_query *q, struct fs_fault *f)
{
	q->task = text_of(g, "task");
	q->type = text_of(g, "type");
	if (q->task[0] == '\0') {
		return fail(f, 400, "must provide task name");
	}
	if (strcmp(q->type, "stdout") != 0 && strcmp(q->type, "stderr") != 0) {
		return fail(f, 400, "must provide log type (stdout/stderr)");
	}
	return 0;
}

int fs_query_parse(enum fs_request what, const char *(*get)(const void *ctx, const char *name), const void *ctx,
		   struct fs_query *out, struct fs_fault *fault)
{
	/* What is wrong is the user's; nevertheless it is told as 500 of files, as clients know it. */
	const struct getter g = {get, ctx, what == FS_LOGS ? 400 : 500};
	struct fs_query q = {.path = text_of(&g, "path"), .task = "", .type = "", .limit = -1};
	int rv = 0;

	if (what == FS_LOGS) {
		rv = parse_log(&g, &q, fault);
	} else if (q.path[0] == '\0' && what != FS_LS) {
		rv = fail(fault, 400, "must provide a file name");
	}
	if (rv == 0 && (what == FS_READAT || ((what == FS_LOGS || what == FS_STREAM) && is_given(&g, "offset")))) {
		rv = parse_number(&g, "offset", &q.offset, fault);
	}
	if (rv == 0 && what == FS_READAT && is_given(&g, "limit")) {
		rv = parse_number(&g, "limit", &q.limit, fault);
		q.limit = q.limit > 0 ? q.limit : -1;
	}
	if (rv == 0 && (what == FS_LOGS || what == FS_STREAM)) {
		rv = parse_origin(&g, &q.from_end, fault);
		q.follow = what == FS_STREAM;
	}
	if (rv == 0 && (what == FS_LOGS || what == FS_STREAM) && is_given(&g, "follow")) {
		rv = parse_bool(&g, "follow", &q.follow, fault);
	}
	if (rv == 0) {
		rv = parse_bool(&g, "plain", &q.plain, fault);
	}
	if (rv == 0 && q.offset < 0) {
		rv = fail(fault, 400, "offset must not be negative");
	}
	if (rv == 0) {
		*out = q;
	}
	return rv;
}

/* ---- paths ---- */

/* What the user may not read: <task>/secrets/... and <task>/private/... */
static const char *closed_place(const char *path)
{
	const char *second = strchr(path, '/');
	size_t n = second == NULL ? 0 : strcspn(second + 1, "/");

	if (second == NULL || second[1 + n] != '/' || strncmp(path, "alloc/", 6) == 0) {
		return NULL;
	}
	return n == 7 && memcmp(second + 1, "secrets", 7) == 0   ? "secret"
	       : n == 7 && memcmp(second + 1, "private", 7) == 0 ? "private"
								 : NULL;
}

static int clean_path(const char *path, char *out, size_t size, struct fs_fault *f)
{
	int rv = beneath_clean(path, out, size);

	if (rv == ERR_RANGE) {
		return fail_escape(f);
	}
	return rv != 0 ? fail(f, 400, "the path is too long") : 0;
}

/* Opened, and where it really lies, links followed: by that it is judged. */
static int open_path(int alloc, const char *path, int flags, char real[PATH_MAX], struct fs_fault *f)
{
	char clean[PATH_MAX];
	int fd;

	if (clean_path(path, clean, sizeof(clean), f) != 0) {
		return ERR_INVALID;
	}
	fd = beneath_open(alloc, clean, flags, BENEATH_LINKS);
	if (fd < 0) {
		return fail_errno(f, path, -fd);
	}
	if (beneath_where(alloc, fd, real, PATH_MAX) != 0) {
		memcpy(real, clean, strlen(clean) + 1);
	}
	return fd;
}

/* ---- listing ---- */

static const char *mode_text(mode_t mode, struct arena *mem)
{
	static const struct {
		mode_t type;
		const char *letters;
	} types[] = {{S_IFDIR, "d"}, {S_IFLNK, "L"}, {S_IFBLK, "D"}, {S_IFIFO, "p"}, {S_IFSOCK, "S"}, {S_IFCHR, "Dc"}};
	static const char bits[] = "rwxrwxrwx";
	char text[MODE_TEXT] = "";
	size_t n;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if ((mode & S_IFMT) == types[i].type) {
			strcat(text, types[i].letters);
		}
	}
	strcat(text, mode & S_ISUID ? "u" : "");
	strcat(text, mode & S_ISGID ? "g" : "");
	strcat(text, mode & S_ISVTX ? "t" : "");
	if (text[0] == '\0') {
		strcat(text, "-");
	}
	n = strlen(text);
	for (i = 0; i < 9; i++) {
		text[n + i] = mode & (0400U >> i) ? bits[i] : '-';
	}
	text[n + 9] = '\0';
	return arena_strdup(mem, text);
}

static int describe(const char *name, const struct stat *st, struct arena *mem, struct fs_file *out)
{
	object_init(&fs_file_type, out);
	out->name = arena_strdup(mem, name);
	out->is_dir = S_ISDIR(st->st_mode);
	out->size = st->st_size;
	out->file_mode = mode_text(st->st_mode, mem);
	out->mod_time = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
	return out->name == NULL || out->file_mode == NULL ? ERR_NOMEM : 0;
}

struct listing {
	struct arena *mem;
	struct fs_file *at;
	uint32_t n, cap;
};

static int list_entry(struct listing *l, int dir, const char *name)
{
	struct fs_file *grown;
	struct stat st;
	int rv;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		return 0; /* Removed meanwhile. */
	}
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 32 : l->cap * 2;
		grown = arena_calloc(l->mem, l->cap, sizeof(*grown));
		if (grown == NULL) {
			return ERR_NOMEM;
		}
		if (l->n > 0) {
			memcpy(grown, l->at, l->n * sizeof(*grown));
		}
		l->at = grown;
	}
	rv = describe(name, &st, l->mem, &l->at[l->n]);
	l->n += rv == 0;
	return rv;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct fs_file *)a)->name, ((const struct fs_file *)b)->name);
}

static int list_all(struct listing *l, DIR *d, const char *path, struct fs_fault *fault)
{
	struct dirent *e;
	int rv = 0;

	while (rv == 0 && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
			continue;
		}
		if (l->n == FS_ENTRIES_MAX) {
			return fail(fault, 500, "open %s: the directory has more than %d entries", path,
				    FS_ENTRIES_MAX);
		}
		rv = list_entry(l, dirfd(d), e->d_name);
	}
	return rv;
}

int fs_ls(int alloc, const char *path, struct arena *mem, struct fs_files *out, struct fs_fault *fault)
{
	struct listing l = {.mem = mem};
	char real[PATH_MAX];
	int fd = open_path(alloc, path, O_RDONLY | O_DIRECTORY, real, fault);
	DIR *d;
	int rv;

	if (fd < 0) {
		return fd;
	}
	d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	rv = list_all(&l, d, path, fault);
	closedir(d);
	if (rv == 0) {
		if (l.n > 1) {
			qsort(l.at, l.n, sizeof(*l.at), by_name);
		}
		*out = (struct fs_files){l.at, l.n};
	}
	return rv;
}

void fs_files_encode(const struct fs_files *files, struct buf *out)
{
	uint32_t i;

	buf_byte(out, '[');
	for (i = 0; i < files->n; i++) {
		if (i > 0) {
			buf_byte(out, ',');
		}
		json_encode(&fs_file_type, &files->at[i], out);
	}
	buf_byte(out, ']');
}

/* ---- the content's type: by the name, else by the first bytes ---- */

static const struct {
	const char *suffix;
	const char *type;
} known_suffixes[] = {
	{".css", "text/css; charset=utf-8"},
	{".csv", "text/csv; charset=utf-8"},
	{".gif", "image/gif"},
	{".gz", "application/gzip"},
	{".htm", "text/html; charset=utf-8"},
	{".html", "text/html; charset=utf-8"},
	{".jpeg", "image/jpeg"},
	{".jpg", "image/jpeg"},
	{".js", "text/javascript; charset=utf-8"},
	{".json", "application/json"},
	{".pdf", "application/pdf"},
	{".png", "image/png"},
	{".svg", "image/svg+xml"},
	{".txt", "text/plain; charset=utf-8"},
	{".wasm", "application/wasm"},
	{".webp", "image/webp"},
	{".xml", "text/xml; charset=utf-8"},
	{".zip", "application/zip"},
};

static const struct {
	const char *begin;
	size_t n;
	const char *type;
} known_beginnings[] = {
	{"\x89PNG\r\n\x1a\n", 8, "image/png"},
	{"\xff\xd8\xff", 3, "image/jpeg"},
	{"GIF8", 4, "image/gif"},
	{"%PDF-", 5, "application/pdf"},
	{"PK\x03\x04", 4, "application/zip"},
	{"\x1f\x8b\x08", 3, "application/x-gzip"},
	{"<!DOCTYPE HTML", 14, "text/html; charset=utf-8"},
	{"<!doctype html", 14, "text/html; charset=utf-8"},
	{"<html", 5, "text/html; charset=utf-8"},
	{"<?xml", 5, "text/xml; charset=utf-8"},
};

static const char *type_by_content(int fd)
{
	unsigned char head[SNIFF_BYTES];
	ssize_t n = pread(fd, head, sizeof(head), 0);
	ssize_t i;
	size_t k;

	for (k = 0; k < sizeof(known_beginnings) / sizeof(known_beginnings[0]); k++) {
		if (n >= (ssize_t)known_beginnings[k].n &&
		    memcmp(head, known_beginnings[k].begin, known_beginnings[k].n) == 0) {
			return known_beginnings[k].type;
		}
	}
	/* Control characters that no text has. */
	for (i = 0; i < n; i++) {
		if (head[i] == 0 || (head[i] < 32 && strchr("\t\n\f\r\x1b", head[i]) == NULL)) {
			return "application/octet-stream";
		}
	}
	return "text/plain; charset=utf-8";
}

static const char *content_type(int alloc, const char *real)
{
	const char *dot = strrchr(real, '.');
	const char *type;
	size_t i;
	int fd;

	for (i = 0; dot != NULL && i < sizeof(known_suffixes) / sizeof(known_suffixes[0]); i++) {
		if (strcasecmp(dot, known_suffixes[i].suffix) == 0) {
			return known_suffixes[i].type;
		}
	}
	fd = beneath_open(alloc, real, O_RDONLY | O_NONBLOCK, BENEATH_NO_LINKS);
	if (fd < 0) {
		return "application/octet-stream";
	}
	type = type_by_content(fd);
	close(fd);
	return type;
}

int fs_stat(int alloc, const char *path, struct arena *mem, struct fs_file *out, struct fs_fault *fault)
{
	char clean[PATH_MAX];
	char real[PATH_MAX];
	struct stat st;
	int fd = open_path(alloc, path, O_PATH, real, fault);
	int rv;

	if (fd < 0) {
		return fd;
	}
	rv = fstat(fd, &st);
	close(fd);
	if (rv != 0) {
		return fail_errno(fault, path, errno);
	}
	beneath_clean(path, clean, sizeof(clean));
	rv = describe(strrchr(clean, '/') == NULL ? clean : strrchr(clean, '/') + 1, &st, mem, out);
	if (rv == 0) {
		out->content_type = S_ISREG(st.st_mode) && st.st_size > 0 && closed_place(real) == NULL
					    ? content_type(alloc, real)
					    : "application/octet-stream";
	}
	return rv;
}

/* ---- reading: the files of a log ---- */

/* The lowest number of the log's files that is at least `from`; false if there is none. */
static bool find_index(const struct fs_reader *r, uint64_t from, uint64_t *out)
{
	int fd = beneath_open(r->alloc, "alloc/logs", O_RDONLY | O_DIRECTORY, BENEATH_NO_LINKS);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	size_t n = strlen(r->log);
	bool found = false;
	struct dirent *e;
	uint64_t index;
	char *end;

	if (d == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		return false;
	}
	while ((e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, r->log, n) != 0 || e->d_name[n] != '.' || e->d_name[n + 1] < '0' ||
		    e->d_name[n + 1] > '9') {
			continue;
		}
		index = strtoull(e->d_name + n + 1, &end, 10);
		if (*end == '\0' && index >= from && (!found || index < *out)) {
			*out = index;
			found = true;
		}
	}
	closedir(d);
	return found;
}

/* Like all of a task's files, a log may have been replaced by a link. */
static int open_log_file(struct fs_reader *r, uint64_t index)
{
	int fd;

	snprintf(r->file, sizeof(r->file), "alloc/logs/%s.%llu", r->log, (unsigned long long)index);
	fd = beneath_open(r->alloc, r->file, O_RDONLY | O_NONBLOCK, BENEATH_NO_LINKS);
	if (fd < 0) {
		return fd;
	}
	if (r->fd >= 0) {
		close(r->fd);
	}
	r->fd = fd;
	r->index = index;
	r->at = 0;
	return 0;
}

static int64_t file_size(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_size : 0;
}

/* All bytes that the log has now. */
static int64_t log_size(struct fs_reader *r)
{
	uint64_t index = 0;
	int64_t sum = 0;

	while (find_index(r, index, &index)) {
		if (open_log_file(r, index) == 0) {
			sum += file_size(r->fd);
		}
		index++;
	}
	return sum;
}

/* Go to that many bytes behind the first one; behind the last if there are fewer. */
static bool seek_log(struct fs_reader *r, int64_t offset)
{
	uint64_t index = 0;
	bool any = false;
	int64_t size;

	while (find_index(r, index, &index)) {
		if (open_log_file(r, index) == 0) {
			any = true;
			size = file_size(r->fd);
			r->at = offset < size ? offset : size;
			if (offset <= size) {
				return true;
			}
			offset -= size;
		}
		index++;
	}
	return any;
}

static int open_log(struct fs_reader *r, const struct fs_query *q, struct fs_fault *fault)
{
	int dir = strchr(q->task, '/') != NULL || q->task[0] == '.' || strcmp(q->task, "alloc") == 0
			  ? -1
			  : beneath_open(r->alloc, q->task, O_PATH | O_DIRECTORY, BENEATH_NO_LINKS);
	int64_t size;

	if (dir < 0) {
		return fail(fault, 400, "unknown task name \"%.128s\"", q->task);
	}
	close(dir);
	if (snprintf(r->log, sizeof(r->log), "%s.%s", q->task, q->type) >= (int)sizeof(r->log)) {
		return fail(fault, 400, "the task's name is too long");
	}
	r->is_log = true;
	size = q->from_end ? log_size(r) : 0;
	if (!seek_log(r, !q->from_end ? q->offset : q->offset < size ? size - q->offset : 0)) {
		return fail(fault, 404, "log entry for task \"%.128s\" and log type \"%s\" not found", q->task,
			    q->type);
	}
	return 0;
}

/* ---- reading ---- */

static int check_plain_file(int fd, const char *path, struct fs_fault *f)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		return fail_errno(f, path, errno);
	}
	if (S_ISDIR(st.st_mode)) {
		return fail(f, 400, "file \"%.400s\" is a directory", path);
	}
	return S_ISREG(st.st_mode) ? 0 : fail(f, 400, "file \"%.400s\" is not a regular file", path);
}

static int open_file(struct fs_reader *r, const struct fs_query *q, struct fs_fault *fault)
{
	const char *closed;
	int64_t size;

	/* Looked at before it is opened for reading: opening a device may already do something. */
	int fd = open_path(r->alloc, q->path, O_PATH, r->file, fault);
	int rv = fd < 0 ? fd : check_plain_file(fd, q->path, fault);

	if (fd >= 0) {
		close(fd);
	}
	if (rv != 0) {
		return rv;
	}
	closed = closed_place(r->file);
	if (closed != NULL) {
		return fail(fault, 403, "Reading %s file prohibited: %.400s", closed, q->path);
	}
	r->fd = beneath_open(r->alloc, r->file, O_RDONLY | O_NONBLOCK, BENEATH_NO_LINKS);
	if (r->fd < 0) {
		return fail_errno(fault, q->path, -r->fd);
	}
	snprintf(r->file, sizeof(r->file), "%s", q->path); /* Frames name it as it was asked for. */
	size = file_size(r->fd);
	r->at = q->from_end ? (q->offset < size ? size - q->offset : 0) : q->offset;
	return check_plain_file(r->fd, q->path, fault);
}

int fs_reader_open(struct fs_reader *r, int alloc, enum fs_request what, const struct fs_query *q,
		   struct fs_fault *fault)
{
	int rv;

	memset(r, 0, sizeof(*r));
	r->fd = -1;
	r->left = q->limit >= 0 ? q->limit : INT64_MAX;
	r->follow = q->follow;
	r->alloc = fcntl(alloc, F_DUPFD_CLOEXEC, 0);
	if (r->alloc < 0) {
		return fail_errno(fault, q->path, errno);
	}
	rv = what == FS_LOGS ? open_log(r, q, fault) : open_file(r, q, fault);
	if (rv != 0) {
		fs_reader_close(r);
	}
	return rv;
}

void fs_reader_close(struct fs_reader *r)
{
	if (r->fd >= 0) {
		close(r->fd);
	}
	if (r->alloc >= 0) {
		close(r->alloc);
	}
	r->fd = -1;
	r->alloc = -1;
}

static ssize_t read_some(struct fs_reader *r, void *to, size_t size)
{
	size_t want = (int64_t)size < r->left ? size : (size_t)r->left;
	ssize_t n;

	do {
		n = pread(r->fd, to, want, r->at);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		r->at += n;
		r->left -= n;
	}
	return n;
}

static enum fs_next file_at_end(struct fs_reader *r)
{
	struct stat st;

	if (!r->follow || r->left == 0 || fstat(r->fd, &st) != 0 || r->event != NULL) {
		return FS_END;
	}
	if (st.st_size < r->at) {
		r->at = 0;
		r->event = truncated;
		return FS_EVENT;
	}
	if (st.st_nlink == 0) {
		r->event = deleted;
		return FS_EVENT;
	}
	return FS_WAIT;
}

/* A file that has a successor is complete; but it may have grown between our reading and our finding the successor. */
static enum fs_next log_at_end(struct fs_reader *r, void *to, size_t size, size_t *n)
{
	uint64_t next;
	ssize_t got;

	while (find_index(r, r->index + 1, &next)) {
		got = read_some(r, to, size);
		if (got <= 0) {
			/* One that is gone by now, because the writer is faster than we are, has a successor itself. */
			got = open_log_file(r, next) == 0 ? read_some(r, to, size) : 0;
			r->index = next;
		}
		if (got > 0) {
			*n = (size_t)got;
			return FS_DATA;
		}
	}
	if (file_size(r->fd) < r->at) {
		r->at = 0; /* Someone has emptied it. */
	}
	return r->follow ? FS_WAIT : FS_END;
}

enum fs_next fs_reader_next(struct fs_reader *r, void *to, size_t size, size_t *n)
{
	ssize_t got;

	*n = 0;
	if (r->event == truncated) {
		r->event = NULL; /* Told; it is read on from its beginning. */
	}
	got = r->left == 0 ? 0 : read_some(r, to, size);
	if (got > 0) {
		*n = (size_t)got;
		return FS_DATA;
	}
	if (got < 0) {
		return FS_END;
	}
	return r->is_log ? log_at_end(r, to, size, n) : file_at_end(r);
}

void fs_frame_encode(const struct fs_reader *r, enum fs_next what, const void *data, size_t n, struct buf *out)
{
	struct fs_frame frame;

	object_init(&fs_frame_type, &frame);
	if (what == FS_DATA || what == FS_EVENT) {
		frame.offset = r->at;
		frame.file = r->file;
	}
	if (what == FS_DATA) {
		frame.data.at = data;
		frame.data.n = (uint32_t)n;
	} else if (what == FS_EVENT) {
		frame.file_event = r->event;
	}
	json_encode(&fs_frame_type, &frame, out);
}
