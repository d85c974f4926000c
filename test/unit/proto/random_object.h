/** Objects with random content in every member, made from the tables. */
#ifndef TEST_RANDOM_OBJECT_H_
#define TEST_RANDOM_OBJECT_H_

#include "proto/object.h"

/* The next number of the sequence that begins with any seed. */
uint64_t random_next(uint64_t *state);

/* Fill an object, whose bytes may be anything, with memory of `mem`. Lists and maps get fewer elements the deeper. */
void random_object(const struct type *t, void *obj, struct arena *mem, uint64_t *state, int depth);

/* The seed of this run: of the environment's SEED, or new; printed. */
uint64_t random_seed(void);

#endif /* TEST_RANDOM_OBJECT_H_ */
