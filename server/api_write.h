/**
 * Writes: a body becomes a command, the command a result, the result an answer.
 *
 *     struct write *w = write_new(api, req);
 *     ... decode and check; answer at once what is wrong ...
 *     write_propose(w, COMMAND_X, &payload, answer_cb);
 *
 * answer_cb is called when the command has been applied, whatever it came to: most leave what was refused to
 * write_refused(). All other outcomes are answered here.
 */
#ifndef SERVER_API_WRITE_H_
#define SERVER_API_WRITE_H_

#include "server/api_answer.h"

struct write {
	struct core_write core;
	struct api *api;
	struct http_request *req;
	const char *ns; /* The namespace asked for, "default" if none is. */
	struct buf command;
	void (*answer_cb)(struct write *w, const struct apply_result *result);
	void *own;      /* The handler's. */
	bool once;      /* Part of it is done already: it is not begun anew when leadership is lost. */
};

/* In the request's arena. NULL, and answered, when memory is exhausted. */
struct write *write_new(struct api *api, struct http_request *req);

/* Propose the command. The payload may go when this returns. */
void write_propose(struct write *w, enum command type, const void *payload,
		   void (*answer_cb)(struct write *w, const struct apply_result *result));

/* Whether the command was refused; then it has been answered, with 500 and the text that it came with, or the status
 * given for ERR_NOTFOUND. */
bool write_refused(struct write *w, const struct apply_result *result);
bool write_refused_as(struct write *w, const struct apply_result *result, int missing_status);

/* Answer what became of a call that did not end well, so that nothing was applied or it is not known: for writes, and
 * for others on the leader. If this server surely did nothing as it does not lead, the request is made anew, by the
 * leader; unless it is to be made once, or its body was not kept for that. */
void write_failed(struct api *api, struct http_request *req, int err, bool once);

/* ---- shared by the writes of jobs ---- */

/* What a register, a revert, an evaluation and the like are answered with; w->own is the text of the warnings. */
void answer_registered(struct write *w, const struct apply_result *result);

/* The same, with the headers of a read, as clients know it of a revert: no leader is told. */
void answer_reverted(struct write *w, const struct apply_result *result);

/* An empty answer; or why a namespace or a node pool stays, each reason with the region in which it holds. */
void answer_removed(struct write *w, const struct apply_result *result);

/* Whether a scheduler's algorithm is one, or left open; else answered with 400. */
bool algorithm_is_valid(struct http_request *req, const char *name);

/* {"Index":N} */
void answer_index(struct write *w, const struct apply_result *result);

/* 1 to 100, or 0 when it is not given; else answered with 400. */
bool eval_priority_is_valid(struct http_request *req, int64_t priority);

/* Whether the scheduler's configuration lets jobs be registered; else answered with 403. */
bool registration_is_open(struct http_request *req, const struct view *v);

#endif /* SERVER_API_WRITE_H_ */
