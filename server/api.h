/**
 * The HTTP API: what a server answers to each request.
 *
 * One instance belongs to one HTTP thread, and all its functions but api_ring()'s wake are called there. Requests come
 * from a socket (server/httpd.h), from another agent by RPC, or from a test; where they come from makes no difference
 * here. The API reads views of the state, asks the rest of the server through a core link (server/core_link.h) and
 * knows neither sockets nor clocks: time, random bits and the wish to be called again are functions of its environment.
 *
 *     api_handle(request)
 *         reads    options -> a view that is new enough -> find -> not newer than ?index: park, until a watch fires
 *                  or time is up -> the body from the cache, or rendered, large lists in slices -> answer
 *         writes   not the leader: forward, waiting a while for a leader -> decode, check -> command -> answer
 *
 * Nothing here holds the loop for longer than API_TURN_NS: what takes longer is done in slices by api_run().
 */
#ifndef SERVER_API_H_
#define SERVER_API_H_

#include "proto/cron.h"
#include "raft/watch.h"
#include "server/acl_config.h"
#include "server/core_link.h"
#include "server/keyring.h"

struct api;
struct agent_facts;
struct event_feed;

#define API_TURN_NS (2 * NS_PER_MS)
#define API_LEADER_WAIT_NS (5 * NS_PER_S) /* A request waits so long for a leader before it is answered with 500. */

/* What the API needs from its thread. */
struct api_env {
	int64_t (*now_ns)(void *ctx);  /* Monotonic. */
	int64_t (*wall_ns)(void *ctx); /* Unix time. */
	uint64_t (*random)(void *ctx);
	/* Have api_run() called once everything else on the loop had its turn; asked for any number of times. */
	void (*run_soon)(void *ctx);
	/* Have api_run() called at this monotonic time, instead of the one that was set before; INT64_MAX: none. */
	void (*run_at)(void *ctx, int64_t at_ns);
	/* As run_soon, on any thread. */
	void (*wake)(void *ctx);
	/* Seconds that the clocks of a time zone ("Europe/Berlin") are ahead of UTC at a moment. NULL: all are UTC. */
	int64_t (*zone_offset_s)(void *ctx, const char *zone, int64_t unix_s);
	/* Whether there is such a time zone. NULL: all names are taken. */
	bool (*zone_exists)(void *ctx, const char *zone);
	void *ctx;
};

/* Zero is the default everywhere. */
struct api_config {
	size_t cache_bytes;      /* Of rendered bodies: 32 MiB. */
	int64_t versions_kept;   /* Of a job: 6. */
	int64_t count_max;       /* Of a job's groups together: 50000; negative: none. */
	size_t source_bytes_max; /* Of a job's source that is kept: 1 MiB. */
	unsigned schedulers;     /* Threads of this server, */
	const struct agent_facts *facts; /* and what it tells of itself; NULL: nothing. */
	const char *version;     /* Of the API that is served: what clients are told; NULL: "". */
	bool acl; /* Requests need tokens: server/access.h. */
	const struct keyring *keyring; /* Outlives the API. NULL: root keys are not wrapped. */
	struct acl_config acl_config; /* The rest of it. */
};

/* The environment and the link outlive it. NULL when memory is exhausted. */
struct api *api_new(const struct api_env *env, struct core_link *link, const struct api_config *config);

/* Every request has been answered: see api_stop(). The ring has left its hub. */
void api_free(struct api *api);

/* The notices that wake blocking queries: to be added to the hub of the state, by the thread that applies. */
struct watch_ring *api_ring(struct api *api);

/* What happens, for the event stream: to be filled by the thread that applies (server/events.h). */
struct event_feed *api_feed(struct api *api);

/* Answer a request, now or later. */
void api_handle(struct api *api, struct http_request *req);

/* Do what is due. */
void api_run(struct api *api);

/* The server will end soon, and leadership is elsewhere in a moment: from now on nothing is parked, and what is parked is
 * answered with what there is. Requests of this server's clients go on, and are passed on to the next leader; they wait for
 * one for limit_ns at most. Those that other agents have passed on and that cannot be done here go back to them, to be
 * tried elsewhere. */
void api_drain(struct api *api, int64_t limit_ns);

/* From now on nothing waits, and new requests are refused. Those that wait for the link are answered when it ends their
 * calls. api_drain() need not have been called. */
void api_stop(struct api *api);

/* Numbers, of its thread. */
#define API_COUNTS(X)                                                                    \
	X(requests)                                                                      \
	X(blocked)   /* Requests that were parked, */                                    \
	X(released)  /* and whose answer a change released. */                           \
	X(rendered)  /* Bodies. */                                                       \
	X(streamed)  /* Lists that were too long for one body. */                        \
	X(forwarded)                                                                     \
	X(read_indexes)

struct api_stats {
#define X(name) uint64_t name;
	API_COUNTS(X)
#undef X
	size_t parked;    /* Now. */
	size_t rendering; /* Lists, now. */
};

void api_get_stats(const struct api *api, struct api_stats *stats);

#endif /* SERVER_API_H_ */
