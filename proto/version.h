/**
 * Versions, and what constraints say of them: ">= 1.2, < 2.0", "~> 1.4".
 *
 * Two dialects. "version": any number of segments, a leading v, loose pre-releases; a pre-release satisfies an ordered
 * comparison only with a pre-release of the same version. "semver": exactly major.minor.patch, pre-releases ordered as
 * semver.org says and compared like any other.
 */
#ifndef PROTO_VERSION_H_
#define PROTO_VERSION_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VERSION_SEGMENTS = 8, VERSION_TEXT_MAX = 256 };

struct version {
	uint64_t segments[VERSION_SEGMENTS]; /* Missing ones are 0. */
	unsigned n;                          /* How many were written. */
	const char *pre;                     /* The pre-release, in the text; */
	size_t pre_len;                      /* 0: a release. */
};

/* False when the text (of len bytes) is no version. `out` points into it. */
bool version_parse(const char *text, size_t len, bool semver, struct version *out);

/* Less than, equal to or greater than zero. */
int version_cmp(const struct version *a, const struct version *b);

/* Whether the text is a list of constraints, by commas. */
bool version_spec_valid(const char *spec, bool semver);

/* Whether a version satisfies all of them; false also when either text is malformed. */
bool version_satisfies(const char *version, const char *spec, bool semver);

#endif /* PROTO_VERSION_H_ */
