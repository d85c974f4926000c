/** Things with a key, brought into order so that two rows of them can be compared. For the job diff alone. */
#ifndef PROTO_DIFF_ITEMS_H_
#define PROTO_DIFF_ITEMS_H_

#include "proto/object.h"

struct diff_item {
	const char *key; /* Bytes: not always text. */
	size_t len;
	const void *value;
	uint32_t at; /* Where it was: decides among equal keys. */
};

/* All zero is an empty row. Lives in the arena. */
struct diff_items {
	struct diff_item *at;
	uint32_t n;
};

/* 0 or ERR_NOMEM. */
int diff_items_add(struct diff_items *items, const char *key, size_t len, const void *value, struct arena *mem);

void diff_items_sort(struct diff_items *items);

/* Of items with one key, keep the first. They must be sorted. */
void diff_items_unite(struct diff_items *items);

/* Each leaf of a JSON text as an item: its path ("args[0]", "labels[0][a]") and its value as text. `name` is the path
 * of a text that is a leaf itself. "" has none. 0, ERR_NOMEM, or another error when it is no JSON. */
int diff_items_flatten(struct diff_items *items, const char *json, const char *name, struct arena *mem);

/* The next pair of two sorted rows: equal keys go together, others alone, with NULL for the partner. Begin with places
 * at 0. False at the end. */
struct diff_pair {
	const struct diff_item *a;
	const struct diff_item *b;
	uint32_t a_next;
	uint32_t b_next;
};
bool diff_items_next(const struct diff_items *a, const struct diff_items *b, struct diff_pair *pair);

#endif /* PROTO_DIFF_ITEMS_H_ */
