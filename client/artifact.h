/**
 * Fetching what a task needs from elsewhere: files and archives by http, https and file, and git repositories.
 *
 * A source is downloaded, checked against its checksum, and put in place: an archive is unpacked, unless the options
 * say `archive=false`; any other file keeps the last part of its name. Behind "//" in the source's path stands the
 * directory of an archive or a repository that alone is wanted. A repository is written "git::URL", "git@host:path" or
 * "github.com/org/name"; its options are `ref` and `depth`. A checksum is "kind:hex", the hex alone, or "file:URL" of a
 * list of them. Nothing that an archive or a repository holds leads out of its directory. Blocking; for threads that may
 * wait for the network.
 */
#ifndef CLIENT_ARTIFACT_H_
#define CLIENT_ARTIFACT_H_

#include <stdatomic.h>
#include <stdbool.h>

#include "proto/object.h"

enum { ARTIFACT_WHY = 320 };

struct artifact_args {
	int root;          /* The allocation's directory. */
	const char *path;  /* In it, from place_path(): where it goes. */
	const char *source;
	const struct map *options; /* checksum, archive, filename, ref, depth, and what is sent as query: the rest. */
	const struct map *headers;
	const char *mode; /* "any"; "file": path names the file itself; "dir": it must be an archive. */
	bool insecure;    /* Do not check certificates. */
	const atomic_bool *canceled;
};

/* 0; ERR_INVALID when no further try will help; other codes when one may. */
int artifact_fetch(const struct artifact_args *args, char why[ARTIFACT_WHY]);

/* A source as it may be shown: without user and password, and without a query, which may hold a key. */
enum { ARTIFACT_SHOWN = 208 };
void artifact_shown(const char *source, char out[ARTIFACT_SHOWN]);

#endif /* CLIENT_ARTIFACT_H_ */
