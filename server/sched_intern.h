/** Strings by number: each is stored once, and equal strings have equal numbers. */
#ifndef SERVER_SCHED_INTERN_H_
#define SERVER_SCHED_INTERN_H_

#include "lib/arena.h"
#include "lib/hindex.h"

enum { INTERN_NONE = UINT32_MAX };

/* All zero is empty. */
struct intern {
	struct arena mem;
	const char **text; /* By number. */
	uint32_t n;
	uint32_t cap;
	struct hindex index;
};

void intern_close(struct intern *in);

/* The string's number, a new one when it is not there. */
uint32_t intern_add(struct intern *in, const char *text);

/* INTERN_NONE when it is not there. */
uint32_t intern_find(const struct intern *in, const char *text);

static inline const char *intern_text(const struct intern *in, uint32_t i)
{
	return i < in->n ? in->text[i] : "";
}

#endif /* SERVER_SCHED_INTERN_H_ */
