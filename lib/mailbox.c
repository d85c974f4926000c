#include "lib/mailbox.h"

void mailbox_init(struct mailbox *box, unsigned cap, void (*wake_cb)(void *arg), void *arg)
{
	atomic_init(&box->newest, NULL);
	atomic_init(&box->n, 0);
	box->cap = cap;
	box->wake_cb = wake_cb;
	box->arg = arg;
}

/* Only whoever finds the box empty wakes: the owner empties it whole, so until then he is awake or about to be. */
static void push(struct mailbox *box, struct mail *mail)
{
	struct mail *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);

	do {
		mail->next = newest;
	} while (!atomic_compare_exchange_weak_explicit(&box->newest, &newest, mail, memory_order_release,
							memory_order_relaxed));
	if (newest == NULL) {
		box->wake_cb(box->arg);
	}
}

bool mailbox_put(struct mailbox *box, struct mail *mail)
{
	if (atomic_fetch_add_explicit(&box->n, 1, memory_order_relaxed) >= box->cap) {
		atomic_fetch_sub_explicit(&box->n, 1, memory_order_relaxed);
		return false;
	}
	push(box, mail);
	return true;
}

void mailbox_put_answer(struct mailbox *box, struct mail *mail)
{
	atomic_fetch_add_explicit(&box->n, 1, memory_order_relaxed);
	push(box, mail);
}

struct mail *mailbox_take(struct mailbox *box)
{
	struct mail *newest = atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire);
	struct mail *oldest = NULL;
	unsigned n = 0;

	while (newest != NULL) {
		struct mail *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
		n++;
	}
	if (n > 0) {
		atomic_fetch_sub_explicit(&box->n, n, memory_order_relaxed);
	}
	return oldest;
}

unsigned mailbox_run(struct mailbox *box)
{
	struct mail *mail = mailbox_take(box);
	unsigned n = 0;

	while (mail != NULL) {
		struct mail *next = mail->next; /* run_cb may free it. */

		mail->run_cb(mail);
		mail = next;
		n++;
	}
	return n;
}
