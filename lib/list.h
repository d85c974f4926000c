/** Intrusive doubly linked lists: the anchor and each element hold a struct list. */
#ifndef LIB_LIST_H_
#define LIB_LIST_H_

#include <stdbool.h>
#include <stddef.h>

#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

struct list {
	struct list *next;
	struct list *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Insert `e` before `at`; at an anchor that means at the end. */
static inline void list_insert(struct list *at, struct list *e)
{
	e->next = at;
	e->prev = at->prev;
	at->prev->next = e;
	at->prev = e;
}

/* Take `e` out; it is a list of its own afterwards, so that removing twice is harmless. */
static inline void list_remove(struct list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	list_init(e);
}

/* The first element, taken out, or NULL. */
static inline struct list *list_pop(struct list *l)
{
	struct list *e = l->next;

	if (e == l) {
		return NULL;
	}
	list_remove(e);
	return e;
}

#define LIST_EACH(e, l) for (struct list *e = (l)->next, *e##_next = e->next; e != (l); e = e##_next, e##_next = e->next)

#endif /* LIB_LIST_H_ */
