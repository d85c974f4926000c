/**
 * A bounded queue from many threads to one.
 *
 * Any thread puts mail, the owner takes all of it at once. Only the first mail that is put into an empty box wakes the
 * owner, so a burst costs one wake. The box takes no lock and no memory: mail is embedded in what is sent, and belongs
 * to the box from put to take. Mail of one thread stays in order.
 *
 * The box knows no event loop: the owner gives it a function that wakes him (a bell, a condition, a pipe),
 * which any thread may call, and which must stay callable until the last producer has stopped.
 */
#ifndef LIB_MAILBOX_H_
#define LIB_MAILBOX_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mail {
	struct mail *next;
	void (*run_cb)(struct mail *mail); /* What the owner does with it; may free it. */
};

struct mailbox {
	_Atomic(struct mail *) newest; /* A stack: who takes it turns it round. */
	atomic_uint n;                 /* At least the mail in the box: counted before it is put. */
	unsigned cap;
	void (*wake_cb)(void *arg);
	void *arg;
};

void mailbox_init(struct mailbox *box, unsigned cap, void (*wake_cb)(void *arg), void *arg);

/* False, and nothing was done, when the box is full: the sender tells its client to come back later. */
bool mailbox_put(struct mailbox *box, struct mail *mail);

/* Put without regard to the bound, for what is bounded elsewhere: answers, of which there is one for each request. */
void mailbox_put_answer(struct mailbox *box, struct mail *mail);

/* The owner alone: everything in the box, oldest first, linked by `next`; NULL when it is empty. */
struct mail *mailbox_take(struct mailbox *box);

/* The owner alone: take, and run each. Returns how many. */
unsigned mailbox_run(struct mailbox *box);

#endif /* LIB_MAILBOX_H_ */
