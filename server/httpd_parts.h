/** What the parts of the HTTP server share: httpd.c (life, connections), httpd_request.c (requests, answers) and
 * httpd_linger.c (refusals). */
#ifndef SERVER_HTTPD_PARTS_H_
#define SERVER_HTTPD_PARTS_H_

#include <pthread.h>
#include <stdatomic.h>

#include <uv.h>

#include <h2o.h>
#include <h2o/http1.h>

#include "lib/list.h"
#include "server/gzip.h"
#include "server/httpd.h"

enum { CLIENT_BUCKETS = 1024 };

/*
 * A connection, and the one request that it may have under way: HTTP/1 takes them one by one.
 *
 *     NONE --> OPEN --> NONE              answered inside the handler
 *              OPEN --> QUEUED --> NONE   answered later: sent in the server's own time, in slices
 *              OPEN --> STREAM --> NONE   a streamed answer
 *
 * The handler holds the request while it is OPEN or STREAM. h2o holds the socket until either side closes, and may be
 * gone at any time (`h2o` and `sock` are NULL then); so the connection is freed when both have let go.
 */
enum request_state { REQUEST_NONE, REQUEST_OPEN, REQUEST_QUEUED, REQUEST_STREAM };

struct sender; /* An answer that leaves piece by piece. */

struct client { /* All connections of one IP address. */
	struct client *next;
	uint8_t ip[16];
	unsigned n;
};

struct httpd_conn {
	struct http_request req; /* First: a sink finds the connection by it. */
	struct httpd *h;
	uv_tcp_t tcp;
	struct list link;    /* In h->conns. */
	struct list waiting; /* In h->open, h->watched, h->ready or h->released. */
	h2o_socket_t *sock;
	h2o_req_t *h2o; /* The request under way, unless it is gone. */
	h2o_generator_t generator;
	struct client *client;
	enum request_state state;
	bool handling; /* Inside the handler. */
	bool waits;    /* Counted in h->n_waiting. */
	bool watched;  /* We read the socket, to notice the client's leaving. */
	bool closed;   /* The handle is closed: h2o has let go. */
	struct http_response res;  /* Queued. */
	struct buf body;           /* Held while it is sent, */
	struct http_body *shared;  /* as is this. */
	struct sender *sender;
	uint64_t open_ms;          /* When the request came. */
	uint64_t since_ms;         /* Of what the sweep looks at: when it began, or last moved, */
	size_t seen;               /* and where it stood then. */
	char memory[1024];         /* The first of the request's arena. */
};

struct httpd {
	struct httpd_config config;
	uv_loop_t loop;
	pthread_t thread;
	h2o_globalconf_t global;
	h2o_context_t context;
	h2o_accept_ctx_t accept;
	uv_tcp_t listener;
	uv_async_t wake;    /* There is mail. Stays open until httpd_close(). */
	uv_prepare_t prepare;
	uv_idle_t idle;     /* Runs while there is more to be done than one turn allows. */
	uv_timer_t sweep;
	uv_timer_t watch;
	uv_timer_t grace;
	struct mailbox box;
	struct mail *mails; /* Taken from the box and not yet run. */
	struct list conns;
	struct list open;    /* Requests that wait, oldest first; */
	struct list watched; /* those that are watched for their client's leaving; */
	struct list ready;   /* answers that are to be sent, */
	struct list released; /* and those to requests that have been watched: their clients are used to waiting. */
	struct list lingering;
	struct client *clients[CLIENT_BUCKETS];
	struct gzip *gzip; /* Made when first needed. */
	uint16_t port;
	unsigned n_conns, n_lingering;
	size_t bodies; /* Bytes of input, as the last sweep has found them. */
	uint64_t slice_began_ns; /* When the work of this turn's end began. */
	uint64_t turn_end_ns, idle_ns;
	unsigned n_waiting;
	bool stopping, closing, joined, stuck;
	unsigned tries_left; /* To hang up what is left when it stops. */
	uint32_t grace_ms;
	atomic_bool stop_asked;

	atomic_uint conns_now, waiting_now;
	_Atomic uint64_t requests, refused, gone, timeouts, bytes_out, longest_turn_ns;
};

/* --- httpd_request.c */

/* h2o's handler: a request has come in whole. */
int request_begin(h2o_handler_t *handler, h2o_req_t *req);

/* The socket is closed: h2o has forgotten its request. */
void request_lost(struct httpd_conn *c);

/* Watch the requests that have waited long enough; returns whether there are others. */
bool requests_watch(struct httpd *h);

/* Send what is queued, until there is no more or the turn's time is up; returns whether there is more. */
bool requests_send(struct httpd *h);

/* The time for stopping in peace is over: answer with 503 in the handlers' place. */
void requests_abandon(struct httpd *h);

/* Let go of the memory of an answer that has left. */
void request_drop_body(struct httpd_conn *c);

/* --- httpd_linger.c */

/* A socket on which something has been refused; the descriptor is taken over. */
void linger_start(struct httpd *h, int fd);
void lingers_close(struct httpd *h);

/* --- httpd.c */

/* Free it if nobody holds it any more. */
void conn_check_free(struct httpd_conn *c);

/* Cut the connection: h2o sees the end of it where it reads, and an error where it writes. */
void conn_hang_up(struct httpd_conn *c);

/* The turn has used up its time. */
bool turn_is_over(const struct httpd *h);

static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif /* SERVER_HTTPD_PARTS_H_ */
