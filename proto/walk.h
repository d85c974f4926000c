/**
 * What the walkers of objects share; for them alone.
 *
 * A member is either one value or a row of elements, each a value and perhaps a key. Walkers switch on the kind of a
 * value and treat all rows alike through struct elems:
 *
 *     kind     STRS  INTS  MAP      INTMAP   NUMMAP   BOOLMAP   LIST    OBJMAP
 *     element  str   int   key,str  key,int  key,num  key,bool  struct  struct, with the key in a second array
 */
#ifndef PROTO_WALK_H_
#define PROTO_WALK_H_

#include <string.h>

#include "proto/error.h"
#include "proto/object.h"

/* The kind of an element that is a struct in place, as KIND_OBJ is one behind a pointer. */
enum { VALUE_STRUCT = KIND_OBJMAP + 1 };

/* How the elements of a kind lie in memory. */
struct row_shape {
	uint8_t value;    /* The kind of an element's value. */
	uint8_t stride;   /* Bytes from one element to the next; 0 is the size of the struct. */
	uint8_t value_at; /* Where in the element the value is. */
	bool keyed;
	bool apart; /* The keys are in an array of their own. */
	bool row;   /* False for kinds that are one value. */
};
extern const struct row_shape row_shapes[VALUE_STRUCT];

/* The zero of all strings. */
extern const char object_empty[1];

static inline bool kind_is_row(uint8_t kind)
{
	return row_shapes[kind].row;
}

static inline void *member_of(void *obj, const struct field *f)
{
	return (char *)obj + f->offset;
}

static inline const void *const_member(const void *obj, const struct field *f)
{
	return (const char *)obj + f->offset;
}

static inline const char *str_default(const struct field *f)
{
	return f->dflt_str != NULL ? f->dflt_str : object_empty;
}

/* A member that is a row, whatever its kind. What is changed here is put back by elems_put(). */
struct elems {
	const struct row_shape *shape;
	const struct type *sub;
	size_t stride;
	char *at;
	const char **keys; /* Only if they are apart. */
	uint32_t n;
};

static inline struct elems elems_of(const struct field *f, const void *m)
{
	struct elems e = {.shape = &row_shapes[f->kind], .sub = f->sub};

	e.stride = e.shape->stride != 0 ? e.shape->stride : f->sub->size;
	if (e.shape->apart) {
		const struct objmap *map = m;

		e.keys = map->keys;
		e.at = map->at;
		e.n = map->n;
	} else {
		const struct objs *objs = m;

		e.at = objs->at;
		e.n = objs->n;
	}
	return e;
}

static inline void elems_put(const struct elems *e, void *m)
{
	if (e->shape->apart) {
		*(struct objmap *)m = (struct objmap){e->keys, e->at, e->n};
	} else {
		*(struct objs *)m = (struct objs){e->at, e->n};
	}
}

static inline void *elem_value(const struct elems *e, uint32_t i)
{
	return e->at + (size_t)i * e->stride + e->shape->value_at;
}

/* Where element i keeps its key. */
static inline const char **elem_key(const struct elems *e, uint32_t i)
{
	return e->shape->apart ? &e->keys[i] : (const char **)(void *)(e->at + (size_t)i * e->stride);
}

/* Give element i, whose bytes are undefined, the zero of its kind, so that freeing it is safe. */
void elem_init(const struct elems *e, uint32_t i);

/* Release what element i points to. */
void elem_free(const struct elems *e, uint32_t i);

/* As object_init(), but every member gets its zero. */
void object_zero(const struct type *t, void *obj);

bool member_empty(const struct field *f, const void *m);

/* Release what a member points to. It must be set again before it is read. */
void member_free(const struct field *f, void *m);

/* Set a member to its default. */
void member_init(const struct field *f, void *m);

/* The field of that name. Senders keep our order nearly always: the field at *hint is tried first, and *hint is moved
 * behind the one found. */
const struct field *field_find(const struct type *t, const char *name, size_t len, unsigned *hint);

/* Put a name, a key or, if both are NULL, an index before the path: it grows from the inside out as walks return. */
void fault_at(struct fault *f, const char *name, const char *key, uint32_t index);

#endif /* PROTO_WALK_H_ */
