/* What constraints compare: versions in both dialects, and regular expressions, which are asked and find. An input is two
 * texts with a line's end between: a pattern or a list of constraints, and what it is held against. */
#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"
#include "proto/error.h"
#include "proto/regfind.h"
#include "proto/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A version is equal to itself and to its text, and two compare the same way round. */
static void versions(const char *spec, const char *text, bool semver)
{
	struct version a;
	struct version b;
	bool is_a = version_parse(spec, strlen(spec), semver, &a);
	bool is_b = version_parse(text, strlen(text), semver, &b);

	assert(!is_a || version_cmp(&a, &a) == 0);
	if (is_a && is_b) {
		int ab = version_cmp(&a, &b);
		int ba = version_cmp(&b, &a);

		assert((ab < 0) == (ba > 0) && (ab == 0) == (ba == 0));
	}
	if (version_satisfies(text, spec, semver)) {
		assert(is_b && version_spec_valid(spec, semver));
	}
}

static void finds(const char *pattern, const char *text)
{
	struct regfind_span spans[REGFIND_GROUPS_MAX + 1];
	char why[REGFIND_WHY] = "";
	struct arena mem = {0};
	struct regfind r;
	uint64_t cost = 0;
	size_t from = 0;
	size_t len = strlen(text);
	int rv = regfind_compile(pattern, &mem, &r, why);
	int test = rv == 0 ? regfind_test(&r, text, 1 << 20, &cost) : rv;

	assert(rv == 0 || rv == ERR_NOMEM || (rv == ERR_SYNTAX && why[0] != '\0'));
	while (rv == 0 && from <= len) {
		rv = regfind_next(&r, text, from, spans, 1 << 20, &cost);
		/* Who only asks is told the same. */
		assert(from > 0 || rv == ERR_TOOBIG || test == ERR_TOOBIG || rv == test);
		if (rv == 0) {
			assert(spans[0].set && spans[0].from >= from && spans[0].from <= spans[0].to && spans[0].to <= len);
			for (uint32_t i = 1; i <= r.n_groups; i++) {
				assert(!spans[i].set || (spans[i].from <= spans[i].to && spans[i].to <= len));
			}
			from = spans[0].to > from ? spans[0].to : from + 1;
		}
	}
	arena_close(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *spec = malloc(len + 1);
	char *text;

	memcpy(spec, data, len);
	spec[len] = '\0';
	text = strchr(spec, '\n');
	text = text != NULL ? text : spec + strlen(spec);
	if (*text != '\0') {
		*text++ = '\0';
	}
	versions(spec, text, false);
	versions(spec, text, true);
	finds(spec, text);
	free(spec);
	return 0;
}
