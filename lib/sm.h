/**
 * State machines as written tables.
 *
 * Whatever has more than two states lists them once, each with the states that may follow; sm_move() is the only way
 * from one to the next. A move that the table does not have, or that leaves the owner unsound, is a broken promise of
 * our own code and ends the program.
 *
 *     static const struct sm_state doors[] = {
 *             [OPEN] = {"open", SM_TO(CLOSED)},
 *             [CLOSED] = {"closed", SM_TO(OPEN) | SM_TO(LOCKED)},
 *             [LOCKED] = {"locked", SM_TO(CLOSED)},
 *     };
 */
#ifndef LIB_SM_H_
#define LIB_SM_H_

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A state's number is below 32: what may follow is a set of bits. */
#define SM_TO(state) (UINT32_C(1) << (state))

struct sm_state {
	const char *name;
	uint32_t next; /* SM_TO() of each state that may follow. */
};

struct sm {
	const struct sm_state *table;
	bool (*sound)(const struct sm *m); /* What must hold in the state just entered; NULL checks nothing. */
	int at;
};

/* Begin in a state; it is not checked, as its owner may still be half made. */
static inline void sm_init(struct sm *m, const struct sm_state *table, bool (*sound)(const struct sm *m), int at)
{
	*m = (struct sm){.table = table, .sound = sound, .at = at};
}

static inline bool sm_may(const struct sm *m, int to)
{
	return to >= 0 && to < 32 && (m->table[m->at].next & SM_TO(to)) != 0;
}

static inline const char *sm_name(const struct sm *m)
{
	return m->table[m->at].name;
}

/* The owner has set what the new state needs before it moves. */
static inline void sm_move(struct sm *m, int to)
{
	assert(sm_may(m, to));
	m->at = to;
	assert(m->sound == NULL || m->sound(m));
}

#endif /* LIB_SM_H_ */
