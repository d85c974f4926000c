/**
 * The core loop of a running server: the replica's callbacks, the leader's effects, what is done at the end of a turn.
 *
 *     mail, RPC, Raft  -->  ... the loop's turn ...  -->  turn: leader, proposals, reads, net, info
 *
 * A life: core_open() (nothing runs yet), core_begin() (listens, loads the log), the thread runs the loop until
 * core_stop() has ended everything on it, core_close(). All of it is the core thread's; before that runs and after it
 * has ended, its owner's. Private to the inner half of the server.
 */
#ifndef SERVER_CORE_H_
#define SERVER_CORE_H_

#include "server/chores.h"
#include "server/shell.h"
#include "server/zones.h"

/* A state, whose owner is the core thread. What took its place is known to all who take views. */
struct retired {
	struct list link;
	struct mail mail; /* To the HTTP thread and back. */
	struct server *s;
	struct state *state;
	bool told; /* The HTTP thread takes no more views of it. */
};

/* An entry on its way through the log. */
struct flight {
	struct server *s;
	struct entry *entry; /* NULL: free. */
};

struct core {
	uv_timer_t timer;     /* For the leader. */
	uv_idle_t idle;       /* Another turn, at once. */
	int64_t leader_ns;    /* When the leader's next tick is due; INT64_MAX: it is not. */
	int64_t armed_ns;     /* What the timer was set for. */
	bool again;           /* There is something to do in the next turn. */
	bool info_changed;
	uint64_t random;
	struct flight flights[REPLICA_DEFAULT_WINDOW];
	const struct view **borrowed; /* By server_view(), in this turn. */
	uint32_t n_borrowed;
	uint32_t borrowed_cap;
	struct list retired;
	struct zones_cache zones;
	struct chores chores;

	replica_propose_cb hand_on_cb; /* NULL: leadership is not to be handed on. */
	void *hand_on_data;
	int64_t hand_on_ms; /* When it is at the latest. */

	/* The end. */
	bool net_gone;
	bool replica_gone;
	atomic_bool over; /* The loop is: nobody must wake it. */
};

/* Everything that is on the loop, not yet started. After a failure: core_stop(), and run the loop until it is done. */
int core_open(struct server *s, char *why, size_t why_size);

/* Listen, and load what is on the disk. Blocks. After a failure: core_stop(). */
int core_begin(struct server *s, char *why, size_t why_size);

/* The thread's function: until core_stop() is done. */
void core_run(void *server);

/* On the core thread: take no requests of other agents any more, and hand leadership on as soon as what is to be written
 * already has been proposed. cb comes later: as replica_transfer()'s, or with its ERR_ code. */
void core_hand_on(struct server *s, replica_propose_cb cb, void *data);

/* On the core thread: end everything; the loop stops when it is done. */
void core_stop(struct server *s);

/* Whether that is so now: something that core_stop() waits for has ended. */
void core_check_end(struct server *s);

/* The loop has stopped, and nobody posts to it any more. */
void core_close(struct server *s);

/* The leader's timer and the like must be looked at again in this turn. */
void core_wake(struct server *s);

/* What the HTTP thread is to know (core_info.c): made anew and sent to it. */
void core_info_publish(struct server *s);

/* An ID of random bits. */
struct uuid core_random_id(struct server *s);

#endif /* SERVER_CORE_H_ */
