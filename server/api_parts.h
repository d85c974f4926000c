/** What the parts of the API share; for server/api*.c alone. */
#ifndef SERVER_API_PARTS_H_
#define SERVER_API_PARTS_H_

#include "lib/heap.h"
#include "server/access.h"
#include "server/api.h"
#include "server/cache.h"
#include "server/events.h"

enum {
	API_BODY_KEPT = 256 << 10, /* Larger bodies are not copied for another try, should leadership be lost without warning. */
};

#define API_RETRY_NS (100 * NS_PER_MS) /* Between two tries to reach a leader that is known. */

/* Observations of one quantity, since the start. */
struct api_sample {
	uint64_t count;
	double sum, squares, min, max;
};

/* Requests whose tokens are not known here, on a server that follows: they wait for a view that may know them. */
struct newcomers {
	struct core_read read;
	struct list waiting; /* By the requests' links: for the next read, */
	struct list asked;   /* for the one that is under way. */
	bool asking;
};

struct api {
	struct api_env env;
	struct core_link *link;
	struct api_config config;
	struct http_router *router;
	struct cache *cache;
	struct access_book *access; /* NULL: the server has no ACLs. */
	struct newcomers newcomers;
	struct watchers watchers;
	struct watch_ring ring;
	struct heap deadlines;
	int64_t armed_ns;        /* What env.run_at was told last. */
	struct list leaderless;  /* struct leader_wait, by link. */
	struct list parked;      /* Queries that wait for a change, */
	struct list ready;       /* that are to be looked at, */
	struct list joining[2];  /* that wait for the next read index, or barrier, */
	unsigned batches;        /* of which so many are under way. */
	struct list listings;    /* Lists that are being rendered, in turns. */
	struct list crowded;     /* Queries of lists that wait for one of those to end. */
	size_t listing_bytes;    /* What the lists being rendered may take. */
	int64_t inline_ns;       /* Spent on lists inside handlers since the last api_run(). */
	struct list monitors;    /* Of this agent's log: api_agent.c. */
	unsigned n_monitors;
	struct event_feed feed;
	struct events *events;   /* What was told lately, and who wants to hear of it: api_events.c. */
	struct list backups;     /* Being saved or checked, in turns. */
	unsigned n_backups;      /* These, and those that wait for something. */
	bool restoring;          /* One of them is to become the state. */
	bool draining; /* api_drain() */
	bool stopping;
	int64_t drain_until_ns; /* Nothing waits for a leader any longer. */
	int64_t started_ns;
	struct api_sample handled; /* Milliseconds in handlers. */
	struct api_stats stats;
};

/* ---- time: api.c ---- */

/* Something that happens at a time. All zero is none. */
struct deadline {
	struct heap_link link;
	int64_t at_ns; /* Monotonic. */
	void (*due_cb)(struct deadline *d);
};

/* Set, or set anew. ERR_NOMEM. */
int deadline_set(struct api *api, struct deadline *d, int64_t at_ns);
void deadline_clear(struct api *api, struct deadline *d);

/* Have the environment know of the first deadline: at the end of everything that may set one. */
void api_rearm(struct api *api);

static inline int64_t api_now(const struct api *api)
{
	return api->env.now_ns(api->env.ctx);
}

static inline int64_t api_wall(const struct api *api)
{
	return api->env.wall_ns(api->env.ctx);
}

static inline const struct core_info *api_info(const struct api *api)
{
	return api->link->ops->info(api->link);
}

static inline void api_run_soon(const struct api *api)
{
	api->env.run_soon(api->env.ctx);
}

/* ---- waiting for a leader: api_forward.c ---- */

/* A request that cannot go on without a leader. The callbacks are called once, one of them. */
struct leader_wait {
	struct list link;
	struct deadline deadline;
	struct api *api;
	struct http_request *req;
	int64_t until_ns; /* 0: it has not waited before. */
	void (*again_cb)(struct leader_wait *w); /* There may be one now. */
	void (*fail_cb)(struct leader_wait *w);  /* There was none in time, or memory is exhausted. */
};

/* Zeroed before the first use; its callbacks and the request are set. */
void leader_wait_begin(struct api *api, struct leader_wait *w);

/* What fail_cb has to answer: that there is no leader, or that whoever passed the request on may turn to another server. */
void api_answer_leaderless(struct api *api, struct http_request *req);

/* A read of the core's (core_ops.read) ended with this error: whether that is for want of a leader, so that it may be made
 * again; and begin anew with its request when there may be one, or answer it with the error. */
bool read_wants_leader(int err);
void api_read_failed(struct api *api, struct http_request *req, int err);

/* Pass a request on; its body is kept by api_handle(). */
void api_forward(struct api *api, struct http_request *req, enum core_where where, const char *name);
void api_to_leader(struct api *api, struct http_request *req);
void api_to_region(struct api *api, struct http_request *req, const char *region);

/* Whether the request is for this region. Otherwise it has been answered or passed on. */
bool api_region_is_ours(struct api *api, struct http_request *req);

/* The body stays until the request has been answered, if it did not so far. 0 or ERR_NOMEM. Inside the handler only. */
int api_keep_body(struct http_request *req);

/* Answer a request that may not go on. */
void api_refuse(struct http_request *req, enum access_verdict verdict);

/* Whether who has begun to listen still may: his token may have gone since, or may do less. */
bool api_still_allows(struct api *api, struct http_request *req);

/* Begin anew with a request, by whoever leads now. */
void api_again(struct api *api, struct http_request *req);

extern const struct core_events api_events;
void api_leader_drain(struct api *api);
void api_leader_stop(struct api *api);

/* ---- reads: api_query.c, api_list.c ---- */

/* Each does what there is to do until `end_ns` and returns whether something is left. */
bool queries_run(struct api *api, int64_t end_ns);
bool listings_run(struct api *api, int64_t end_ns);
void queries_woken(struct api *api);  /* Take in the notices of the ring. */
void queries_join(struct api *api);   /* Begin a read index for those that wait for one. */
void queries_stop(struct api *api);

/* ---- backups: api_snapshot.c ---- */

bool backups_run(struct api *api, int64_t end_ns); /* As above. */
void backups_stop(struct api *api);

void monitors_stop(struct api *api); /* api_agent.c */

/* ---- events: api_events.c ---- */

int events_open(struct api *api); /* ERR_NOMEM */
void events_shut(struct api *api);
void events_take(struct api *api); /* Take in what the feed has. */
bool events_run(struct api *api, int64_t end_ns); /* As above. */
void events_stop(struct api *api);

/* Flags of routes. */
enum {
	API_QUERY = 1, /* Its access is checked in the view that it is answered from: api_query.c. */
};

extern const struct http_route api_routes[];
extern const size_t api_n_routes;

#endif /* SERVER_API_PARTS_H_ */
