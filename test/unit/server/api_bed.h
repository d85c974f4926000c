/**
 * An API for tests: the real one over a real state, without sockets, threads and clocks.
 *
 * Its core link carries commands out at once on a state machine, or refuses them as the test wishes; what it is asked
 * for otherwise it does itself, or keeps for the test to end. Time passes when the test says so.
 */
#ifndef TEST_UNIT_SERVER_API_BED_H_
#define TEST_UNIT_SERVER_API_BED_H_

#include "lib/list.h"
#include "server/api.h"
#include "server/periodic.h"
#include "test/unit/proto/http_sink.h"
#include "test/unit/raft/kit.h"

enum { BED_CALLS_MAX = 4096, BED_FORWARDS_MAX = 64 };

struct bed {
	struct kit kit; /* First. */
	struct watch_hub hub;
	struct core_link link;
	struct core_info info;
	struct core_member members[3];
	struct core_peer peers[3];
	const char *regions[2];
	const struct core_events *events;
	void *events_ctx;
	struct api_env env;
	struct api *api;
	struct periodic periodic;

	int64_t now;      /* Monotonic. */
	int64_t tick_ns;  /* How much later it is with each look at the clock. */
	int64_t at;       /* When to run. */
	bool soon;
	uint64_t random;
	uint64_t seeds;

	struct core_call *calls[BED_CALLS_MAX]; /* Done, and not yet told. */
	unsigned n_calls;
	int write_status; /* Instead of carrying out: an ERR_ code. */
	int read_status;
	int call_status;  /* Of plans, actions, chores and statistics. */
	bool hold;        /* Calls are not told until bed_pump() is called without it. */
	unsigned writes, reads, barriers, plans, actions, chores;
	bool unsure; /* Whether it leads still. */
	enum core_action_kind last_action;

	struct http_request *under_way[BED_FORWARDS_MAX]; /* Passed on, and not back. */
	unsigned n_under_way;
	struct http_request *forwarded; /* The last of them. */
	enum core_where where;
	char to[64];
	unsigned forwards;

	const char *token;   /* Of the requests that follow; NULL: none. */
	const char *node;    /* The node that asks; NULL: none does. */
	int64_t reset_index; /* What the file for a new first token holds. */

	struct kept last; /* The answer to bed_ask(). */
	bool has_last;
};

void bed_open(struct bed *b);

/* With access control, and a first token, which requests bring. */
#define BED_MANAGER "2b778dd9-f5f1-6f29-b4b4-9a5fa948757a"
void bed_open_acl(struct bed *b);
void bed_close(struct bed *b);

/* Make a request; `k` is the test's, closed by kept_close(). The body may be NULL. */
void bed_start(struct bed *b, struct kept *k, const char *method, const char *target, const char *body);

/* Let everything happen that can without time passing. */
void bed_pump(struct bed *b);

/* Let time pass, and what is due happen. */
void bed_sleep(struct bed *b, int64_t ns);

/* Ask and wait for the answer: the status. What it says stays until the next. */
int bed_ask(struct bed *b, const char *method, const char *target, const char *body);
const char *bed_text(struct bed *b);

/* The same, and the answer must have the status and this text; or, with a status only, NULL. */
void bed_want(struct bed *b, const char *method, const char *target, const char *body, int status, const char *text);

/* Another server leads, or none, or this one. */
void bed_lead(struct bed *b, bool leads, bool known);

/* The request that was passed on last comes back, or is answered by the other side. */
void bed_return(struct bed *b, int err);
void bed_answer(struct bed *b, int status, const char *text);

/* A value in the last answer, by a path like "TaskGroups.0.Name" ("" is all), as JSON; "none" where there is none. */
const char *bed_json(struct bed *b, const char *path);
const char *kept_json(struct bed *b, struct kept *k, const char *path);
long long bed_number(struct bed *b, const char *path);
unsigned bed_length(struct bed *b, const char *path);

/* A value of the last answer must be this JSON. */
#define bed_is(b, path, json) assert_string_equal(bed_json(b, path), json)

/* Put quotes for easier reading: 'a' becomes "a"; formatted, in the kit's memory. */
const char *bed_quote(struct bed *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Policies and tokens, straight into the state. The secret is what it is asked with, in the kit's memory. A token of no
 * policies ("") is one of management; `ttl_s` is 0 for one that does not expire. */
void bed_policy(struct bed *b, const char *name, const char *rules);
const char *bed_token(struct bed *b, const char *policy, int64_t ttl_s);

/* A service job with this ID that runs /bin/sleep, as the body of a registration; `more` ("'Priority':60,") goes into the
 * job. */
const char *bed_job(struct bed *b, const char *id, const char *more);

/* Register it; the JobModifyIndex. */
long long bed_register(struct bed *b, const char *id, const char *more);

/* Run n allocations of a registered job on a new node, by a plan; their IDs. */
struct uuid bed_place(struct bed *b, const char *job, unsigned n, struct uuid *ids);

#endif /* TEST_UNIT_SERVER_API_BED_H_ */
