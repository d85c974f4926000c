/**
 * Shared libraries that are loaded when they are first needed.
 *
 * libcurl and libarchive bring some twenty libraries with them, and 7 MiB of resident memory, for what an agent may
 * never do. So the program is not linked with them: lib/late_curl.c and lib/late_archive.c define the functions that we
 * use under the libraries' own names, and the first call loads the library. Without it a constructor of the library
 * (curl_easy_init() and the like) returns NULL, as if memory were exhausted, and an error names the missing file.
 */
#ifndef LIB_LATE_H_
#define LIB_LATE_H_

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct late_symbol {
	const char *name;
	void (**to)(void); /* Where its address goes. */
};

/* Load the library and find all symbols. False, with the reason on the log, when either fails; then none is set. */
bool late_load(const char *soname, const struct late_symbol *symbols, size_t n);

#endif /* LIB_LATE_H_ */
