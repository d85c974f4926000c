#include "server/sched_intern.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "server/sched_memory.h"

void intern_close(struct intern *in)
{
	arena_close(&in->mem);
	free(in->text);
	hindex_close(&in->index);
	memset(in, 0, sizeof(*in));
}

static bool same(const void *array, uint32_t i, const void *key)
{
	return strcmp(((const char *const *)array)[i], key) == 0;
}

static uint64_t hash_of(const char *text)
{
	return XXH3_64bits(text, strlen(text));
}

uint32_t intern_find(const struct intern *in, const char *text)
{
	return hindex_find(&in->index, hash_of(text), same, in->text, text);
}

uint32_t intern_add(struct intern *in, const char *text)
{
	uint64_t hash = hash_of(text);
	uint32_t i = hindex_find(&in->index, hash, same, in->text, text);

	if (i != HINDEX_NONE) {
		return i;
	}
	in->text = sched_grow(in->text, in->n, &in->cap, sizeof(in->text[0]));
	in->text[in->n] = sched_got(arena_strdup(&in->mem, text));
	if (!hindex_add(&in->index, hash, in->n)) {
		sched_got(NULL);
	}
	return in->n++;
}
