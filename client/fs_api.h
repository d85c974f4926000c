/**
 * Files of an allocation, as /v1/client/fs/... shows them: what lies behind the handlers, without HTTP.
 *
 * Each function takes the allocation's directory as a descriptor (allocdir_open()). Paths are the user's: they begin at
 * that directory, with or without a slash, and do not leave it, whatever links the tasks have laid. What is in a task's
 * secrets/ and private/ is not told; that they are there is.
 *
 * Faults are HTTP statuses with the text of the answer's body. All functions block, for worker threads.
 */
#ifndef CLIENT_FS_API_H_
#define CLIENT_FS_API_H_

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "proto/object.h"

enum {
	FS_FAULT_TEXT = 512,
	FS_FRAME_BYTES = 64 << 10, /* Data of one frame, at most. */
	FS_ENTRIES_MAX = 100000,   /* Of a listing; a larger directory is an error. */
};

struct fs_fault {
	int status;
	char text[FS_FAULT_TEXT];
};

/* ---- what is asked ---- */

/* Name, its text in paths, and what a token must allow. */
#define FS_REQUESTS(X)                                                                                                \
	X(LS, "ls", "read-fs") X(STAT, "stat", "read-fs") X(CAT, "cat", "read-fs") X(READAT, "readat", "read-fs")     \
	X(LOGS, "logs", "read-logs") X(STREAM, "stream", "read-fs")

enum fs_request {
#define X(name, text, capability) FS_##name,
	FS_REQUESTS(X)
#undef X
};

struct fs_query {
	const char *path;
	const char *task;
	const char *type; /* "stdout" or "stderr". */
	bool from_end;    /* The offset counts back from the end. */
	int64_t offset;
	int64_t limit; /* Of readat, above 0; -1: none. */
	bool follow;
	bool plain; /* The data as it is, without frames. */
};

/* Read a request's parameters; `get` gives the value of one, or NULL. The texts stay theirs. 0 or ERR_INVALID. */
int fs_query_parse(enum fs_request what, const char *(*get)(const void *ctx, const char *name), const void *ctx,
		   struct fs_query *out, struct fs_fault *fault);

/* ---- listing ---- */

#define FS_FILE_FIELDS(X, T)                                                                                           \
	X(T, STR, name, "Name")                                                                                        \
	X(T, BOOL, is_dir, "IsDir")                                                                                    \
	X(T, INT, size, "Size")                                                                                        \
	X(T, STR, file_mode, "FileMode") /* As ls -l and Go have it: "-rw-r--r--", "dtrwxrwxrwx". */                   \
	X(T, TIME, mod_time, "ModTime")                                                                                \
	X(T, STR, content_type, "ContentType", .omit = true)

OBJECT_DECLARE(fs_file, FS_FILE_FIELDS);

struct fs_files {
	struct fs_file *at; /* In order of their names. */
	uint32_t n;
};

/* 0, ERR_NOMEM, or ERR_INVALID with a fault. */
int fs_ls(int alloc, const char *path, struct arena *mem, struct fs_files *out, struct fs_fault *fault);
int fs_stat(int alloc, const char *path, struct arena *mem, struct fs_file *out, struct fs_fault *fault);

/* The answer of ls: a JSON array. */
void fs_files_encode(const struct fs_files *files, struct buf *out);

/* ---- reading ---- */

enum fs_next {
	FS_DATA,  /* There is data. */
	FS_EVENT, /* The file followed was cut or removed: see `event`. */
	FS_WAIT,  /* Nothing now; when following, ask again later. */
	FS_END,   /* That was all. */
};

/* One file, or the files of a log one after the other. Owned by the caller, for one thread at a time. */
struct fs_reader {
	int alloc; /* A descriptor of its own. */
	int fd;
	int64_t at;   /* Where to read on in the file. */
	int64_t left; /* Bytes still to give. */
	bool follow;
	bool is_log;
	uint64_t index;         /* Of the log's file. */
	const char *event;      /* "file truncated", "file deleted" */
	char file[PATH_MAX];    /* What is read: a log's file "alloc/logs/web.stdout.0", else the path as asked for. */
	char log[NAME_MAX + 1]; /* "web.stdout" */
};

/* Begin with a query of the kinds cat, readat, stream, logs. 0, or ERR_INVALID with a fault; then there is nothing to
 * close. */
int fs_reader_open(struct fs_reader *r, int alloc, enum fs_request what, const struct fs_query *q,
		   struct fs_fault *fault);
void fs_reader_close(struct fs_reader *r);

/* What comes next: for FS_DATA *n bytes in `to`, which end at r->at of r->file. A file that fails to be read ends. */
enum fs_next fs_reader_next(struct fs_reader *r, void *to, size_t size, size_t *n);

/* Append the frame for what fs_reader_next() has given, as JSON: {"Offset":10,"Data":"...","File":"..."}; for FS_WAIT
 * an empty one, which says that the stream goes on. */
void fs_frame_encode(const struct fs_reader *r, enum fs_next what, const void *data, size_t n, struct buf *out);

#endif /* CLIENT_FS_API_H_ */
