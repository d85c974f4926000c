#include "client/executor/wire.h"

#include <string.h>

#include "proto/error.h"

enum { SPEC_MAGIC = 0x64727670 };

/* The bytes of a spec: this, the groups, room for the two tables of pointers, then all texts, each closed by a zero. */
struct head {
	uint32_t magic;
	uint32_t version;
	uint32_t size;
	uint32_t args_n;
	uint32_t env_n;
	uint32_t groups_n;
#define X(name) int64_t name;
	EXECUTOR_NUMBERS(X)
#undef X
};

static size_t groups_bytes(uint32_t n)
{
	return ((size_t)n * sizeof(uint32_t) + 7) & ~(size_t)7;
}

static size_t tables_bytes(const struct head *h)
{
	return ((size_t)h->args_n + 1 + h->env_n + 1) * sizeof(char *);
}

static void put_zeros(struct buf *out, size_t n)
{
	char *to = buf_room(out, n);

	if (to != NULL) {
		memset(to, 0, n);
		out->len += n;
	}
}

static void put_text(struct buf *out, const char *s)
{
	buf_put(out, s, strlen(s) + 1);
}

void executor_spec_encode(const struct executor_spec *spec, struct buf *out)
{
	struct head h = {.magic = SPEC_MAGIC,
			 .version = EXECUTOR_SPEC_VERSION,
			 .args_n = spec->args_n,
			 .env_n = spec->env_n,
			 .groups_n = spec->groups_n};
	size_t begin = out->len;
	uint32_t size;
	uint32_t i;

#define X(name) h.name = spec->name;
	EXECUTOR_NUMBERS(X)
#undef X
	buf_put(out, &h, sizeof(h));
	buf_put(out, spec->groups, spec->groups_n * sizeof(uint32_t));
	put_zeros(out, groups_bytes(spec->groups_n) - spec->groups_n * sizeof(uint32_t) + tables_bytes(&h));
#define X(name) put_text(out, spec->name);
	EXECUTOR_TEXTS(X)
#undef X
	for (i = 0; i < spec->args_n; i++) {
		put_text(out, spec->args[i]);
	}
	for (i = 0; i < spec->env_n; i++) {
		put_text(out, spec->env[i]);
	}
	if (!out->failed) {
		size = (uint32_t)(out->len - begin);
		memcpy(out->at + begin + offsetof(struct head, size), &size, sizeof(size));
	}
}

/* The text at *at, *at moved behind it; NULL when no zero comes before the end. */
static char *next_text(char **at, const char *end)
{
	char *text = *at;
	char *zero = text == NULL ? NULL : memchr(text, '\0', (size_t)(end - text));

	*at = zero == NULL ? NULL : zero + 1;
	return zero == NULL ? NULL : text;
}

static bool fill_table(char **table, uint32_t n, char **at, const char *end)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		table[i] = next_text(at, end);
		if (table[i] == NULL) {
			return false;
		}
	}
	table[n] = NULL;
	return true;
}

/* Counts are looked at before they are multiplied: each text takes a byte at least. */
static int check_head(const struct head *h, size_t len)
{
	if (h->magic != SPEC_MAGIC || h->size != len) {
		return ERR_CORRUPT;
	}
	if (h->version != EXECUTOR_SPEC_VERSION) {
		return ERR_UNSUPPORTED;
	}
	if (h->args_n > len || h->env_n > len || h->groups_n > EXECUTOR_GROUPS_MAX ||
	    sizeof(*h) + groups_bytes(h->groups_n) + tables_bytes(h) > len) {
		return ERR_CORRUPT;
	}
	return 0;
}

int executor_spec_decode(void *data, size_t len, struct executor_spec *out)
{
	struct head *h = data;
	char *end = (char *)data + len;
	struct executor_spec spec = {0};
	char **tables;
	char *at;
	int rv = len < sizeof(*h) ? ERR_CORRUPT : check_head(h, len);

	if (rv != 0) {
		return rv;
	}
	spec.groups = (const uint32_t *)(const void *)(h + 1);
	spec.groups_n = h->groups_n;
	spec.args_n = h->args_n;
	spec.env_n = h->env_n;
	tables = (char **)(void *)((char *)(h + 1) + groups_bytes(h->groups_n));
	at = (char *)tables + tables_bytes(h);
#define X(name) spec.name = next_text(&at, end);
	EXECUTOR_TEXTS(X)
#undef X
	if (!fill_table(tables, h->args_n, &at, end) || !fill_table(tables + h->args_n + 1, h->env_n, &at, end) ||
	    at != end) {
		return ERR_CORRUPT;
	}
	spec.args = tables;
	spec.env = tables + h->args_n + 1;
#define X(name) spec.name = h->name;
	EXECUTOR_NUMBERS(X)
#undef X
	*out = spec;
	return 0;
}

bool executor_message_fix(void *message, size_t size, ssize_t got)
{
	uint32_t said;

	if (got < (ssize_t)(2 * sizeof(uint32_t))) {
		return false;
	}
	memcpy(&said, message, sizeof(said));
	if (said < 2 * sizeof(uint32_t) || (ssize_t)said < got) {
		return false;
	}
	if ((size_t)got < size) {
		memset((char *)message + got, 0, size - (size_t)got);
	}
	return true;
}
