/**
 * The state machine: applies entries of the log to the state.
 *
 * Every server applies the same entries in the same order and comes to the same state, whatever else it does: apply
 * looks at the entry and the state, and at nothing else. What it decides for a client it returns as a result to the
 * server that proposed the command; what it changed it tells to those who watch.
 */
#ifndef RAFT_FSM_H_
#define RAFT_FSM_H_

#include "raft/command.h"
#include "raft/state.h"
#include "raft/watch.h"

enum { RESULT_TEXT = 512 };

/* The outcome of one command; see raft/command.h for what it means for each. */
struct apply_result {
	int status;     /* 0 or an ERR_ code. */
	bool changed;
	uint64_t index; /* Of the command, also of a refused one. */
	uint64_t eval_index;
	uint64_t job_modify_index;
	uint64_t version;
	struct uuid eval_id;
	uint64_t create_index;
	int64_t create_time_ns;
	int64_t time_ns;
	struct uuid made_id;
	uint32_t count;
	uint32_t rejected;
	char text[RESULT_TEXT]; /* For the client; cut at the end when it is too long. */
};

/* A row that an entry has changed: `old` is NULL when it was made, `now` when it was removed. Both are NULL never. */
struct change {
	enum table table;
	const struct row *old;
	const struct row *now;
};

/* Called when an entry has been applied and its view is published; the rows are valid during the call. Changes are in
 * the order in which their rows were first touched, one for each row. */
typedef void (*fsm_changed_cb)(void *ctx, const struct change *changes, size_t n);

/* A metric each. */
struct fsm_stats {
	uint64_t entries;
	uint64_t commands;
	uint64_t refused;   /* Commands with a result that is not 0. */
	uint64_t malformed; /* Entries that were passed over whole. */
};

struct fsm {
	struct state *state;
	struct watch_hub *hub; /* Gets a notice of each changed row. May be NULL. */
	fsm_changed_cb changed;
	/* A restore has been committed: `fresh` is to be the state, and the callee's. It calls fsm_replaced() before it
	 * returns. What the entry has changed before has been told. NULL: restores are refused. To be set after
	 * fsm_init(), on all servers or on none. */
	void (*replace)(void *ctx, struct state *fresh);
	void *ctx;
	/* For `changed`, during the call: the view before the entry, and the entry's commands. */
	const struct view *before;
	uint64_t first_index;  /* Of the first of the commands. */
	const uint8_t *kinds;  /* enum command of each. */
	unsigned n_kinds;
	struct fsm_stats stats;
	struct fsm_work *work; /* Private. */
};

/* `state` outlives it and changes by it alone. `changed` may be NULL. */
void fsm_init(struct fsm *fsm, struct state *state, struct watch_hub *hub, fsm_changed_cb changed, void *ctx);
void fsm_close(struct fsm *fsm);

/* Apply an entry, publish a view, tell what changed. `results` has room for as many as the entry has commands, or is
 * NULL. 0, or ERR_SYNTAX or ERR_TYPE: the entry is malformed, on every server; it has changed nothing and takes no
 * index. */
int fsm_apply(struct fsm *fsm, const void *entry, size_t len, struct apply_result *results);

/* In `changed`: the command that has this index; N_COMMANDS when it is not of this entry. */
enum command fsm_command_at(const struct fsm *fsm, uint64_t index);

/* Another state takes the place of this one (restore): everything may have changed. The old one is the caller's to
 * close when no thread takes views of it any more. */
void fsm_replaced(struct fsm *fsm, struct state *state);

#endif /* RAFT_FSM_H_ */
