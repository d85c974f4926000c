#include "client/vars.h"

#include <inttypes.h>
#include <string.h>

/* Where the key is, or where it belongs. */
static uint32_t slot_of(const struct map *map, const char *key, bool *found)
{
	uint32_t low = 0;
	uint32_t high = map->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		int c = strcmp(map->at[mid].key, key);

		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	*found = false;
	return low;
}

const char *map_find(const struct map *map, const char *key)
{
	bool found;
	uint32_t i = slot_of(map, key, &found);

	return found ? map->at[i].value : NULL;
}

static bool room(struct vars *v)
{
	struct pair *more;

	if (v->map.n < v->cap) {
		return true;
	}
	more = arena_alloc(v->mem, (v->cap * 2 + 64) * sizeof(*more));
	if (more == NULL) {
		return false;
	}
	if (v->map.n > 0) {
		memcpy(more, v->map.at, v->map.n * sizeof(*more));
	}
	v->map.at = more;
	v->cap = v->cap * 2 + 64;
	return true;
}

void vars_put(struct vars *v, const char *key, const char *value)
{
	bool found;
	uint32_t i;

	if (key == NULL || value == NULL || v->failed || !room(v)) {
		v->failed = true;
		return;
	}
	i = slot_of(&v->map, key, &found);
	if (!found) {
		memmove(&v->map.at[i + 1], &v->map.at[i], (v->map.n - i) * sizeof(v->map.at[0]));
		v->map.n++;
	}
	v->map.at[i] = (struct pair){key, value};
}

void vars_put_int(struct vars *v, const char *key, int64_t value)
{
	vars_put(v, key, arena_printf(v->mem, "%" PRId64, value));
}

void vars_put_given(struct vars *v, const char *key, const char *value)
{
	if (value != NULL && value[0] != '\0') {
		vars_put(v, key, value);
	}
}
