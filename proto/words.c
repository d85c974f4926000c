#include "proto/words.h"

#include <string.h>

static const char *const words[] = {
#define X(text) text,
        WORD_LIST(X)
#undef X
};

/* Looked through first: most lengths are those of few words. */
static const uint8_t lengths[] = {
#define X(text) sizeof(text) - 1,
        WORD_LIST(X)
#undef X
};

enum { N_WORDS = sizeof(words) / sizeof(words[0]) };

unsigned words_find(const char *text, size_t n)
{
	const uint8_t *at = lengths;
	const uint8_t *end = lengths + N_WORDS;

	if (n == 0 || n > UINT8_MAX) {
		return 0;
	}
	while (at < end && (at = memchr(at, (int)n, (size_t)(end - at))) != NULL) {
		if (memcmp(words[at - lengths], text, n) == 0) {
			return (unsigned)(at - lengths) + 1;
		}
		at++;
	}
	return 0;
}

const char *words_text(int64_t number)
{
	return number > 0 && number <= N_WORDS ? words[number - 1] : NULL;
}
