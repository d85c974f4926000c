#include "cli/lookup.h"

#include <string.h>

/* The hex digits of a UUID's beginning; the dashes are none. */
static size_t count_digits(const char *prefix, size_t len)
{
	size_t n = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		n += prefix[i] != '-';
	}
	return n;
}

/* What the server is asked for: whole bytes. */
static const char *query_prefix(struct client *c, const char *prefix, bool uuid)
{
	size_t len = strlen(prefix);

	while (uuid && len > 0 && (prefix[len - 1] == '-' || count_digits(prefix, len) % 2 != 0)) {
		len--;
	}
	return arena_strndup(c->mem, prefix, len);
}

static const char *id_of(const struct type *t, const void *element)
{
	const struct field *f = object_field(t, "ID", 2);

	return *(const char *const *)(const void *)((const char *)element + f->offset);
}

static void filter(const struct type *t, struct objs *objs, const char *prefix)
{
	char *at = objs->at;
	size_t len = strlen(prefix);
	uint32_t kept = 0;
	uint32_t i;

	for (i = 0; i < objs->n; i++) {
		const char *id = id_of(t, at + (size_t)i * t->size);

		if (strcmp(id, prefix) == 0) {
			memmove(at, at + (size_t)i * t->size, t->size);
			objs->n = 1;
			return;
		}
		if (strncmp(id, prefix, len) == 0) {
			memmove(at + (size_t)kept++ * t->size, at + (size_t)i * t->size, t->size);
		}
	}
	objs->n = kept;
}

enum lookup lookup(struct client *c, const char *path, const char *prefix, bool uuid, const struct type *list_type,
		   void *list)
{
	const char *wanted = query_prefix(c, prefix, uuid);
	struct objs *objs = (struct objs *)(void *)((char *)list + list_type->fields[0].offset);

	object_init(list_type, list);
	client_url(c, "%s", path);
	client_param(c, "prefix", wanted != NULL ? wanted : "");
	if (!client_read_list(c, "looking for the ID", list_type, list)) {
		return LOOKUP_FAILED;
	}
	filter(list_type->fields[0].sub, objs, prefix);
	return objs->n == 0 ? LOOKUP_NONE : objs->n == 1 ? LOOKUP_ONE : LOOKUP_MANY;
}

const char *lookup_one(struct client *c, const char *path, const char *kind, const char *prefix, bool uuid,
		       const struct type *list_type, void *list)
{
	struct objs *objs = (struct objs *)(void *)((char *)list + list_type->fields[0].offset);

	object_init(list_type, list);
	if (uuid && strlen(prefix) < 2) {
		fprintf(stderr, "The ID must have at least two characters\n");
		return NULL;
	}
	switch (lookup(c, path, prefix, uuid, list_type, list)) {
	case LOOKUP_ONE:
		return id_of(list_type->fields[0].sub, objs->at);
	case LOOKUP_NONE:
		fprintf(stderr, "No %s(s) with prefix or id \"%s\" found\n", kind, prefix);
		return NULL;
	case LOOKUP_MANY:
		fprintf(stderr, "Prefix matched multiple %ss\n\n", kind);
		return NULL;
	default:
		return NULL;
	}
}
