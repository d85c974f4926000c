/**
 * Fetching what a task needs from elsewhere: files and archives by http, https and file.
 *
 * A source is downloaded, checked against its checksum, and put in place: an archive is unpacked, unless the options
 * say `archive=false`; any other file keeps the last part of its name. Nothing that an archive holds leads out of its
 * directory. Blocking; for threads that may wait for the network.
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
	const struct map *options; /* checksum, archive, filename, and what is sent as query: the rest. */
	const struct map *headers;
	const char *mode; /* "any"; "file": path names the file itself; "dir": it must be an archive. */
	bool insecure;    /* Do not check certificates. */
	const atomic_bool *canceled;
};

/* 0; ERR_INVALID when no further try will help; other codes when one may. */
int artifact_fetch(const struct artifact_args *args, char why[ARTIFACT_WHY]);

#endif /* CLIENT_ARTIFACT_H_ */
