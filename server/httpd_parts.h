/** What the parts of the HTTP server share: httpd.c (life, connections), httpd_client.c (whose they are),
 * httpd_request.c (requests, answers), httpd_tls.c, httpd_websocket.c and httpd_linger.c (refusals). */
#ifndef SERVER_HTTPD_PARTS_H_
#define SERVER_HTTPD_PARTS_H_

#include <pthread.h>
#include <stdatomic.h>

#include <uv.h>

#include <h2o.h>
#include <h2o/http1.h>

#include "lib/bell.h"
#include "lib/list.h"
#include "lib/peer.h"
#include "server/gzip.h"
#include "server/httpd.h"

enum {
	CLIENT_BUCKETS = 1024,
	HTTPD_RECORDS = 64 << 10, /* Bytes of TLS that are read at once. */
};

/*
 * A connection, and the one request that it may have under way: HTTP/1 takes them one by one.
 *
 *     NONE --> OPEN --> NONE              answered inside the handler
 *              OPEN --> QUEUED --> NONE   answered later: sent in the server's own time, in slices
 *              OPEN --> STREAM --> NONE   a streamed answer
 *
 * One that becomes a websocket is a STREAM: from then on h2o only carries bytes, and after NONE nothing comes but the
 * close.
 *
 * The handler holds the request while it is OPEN or STREAM. h2o holds the socket until either side closes, and may be
 * gone at any time (`h2o` and `sock` are NULL then); so the connection is freed when both have let go.
 */
enum request_state { REQUEST_NONE, REQUEST_OPEN, REQUEST_QUEUED, REQUEST_STREAM };

struct sender; /* An answer that leaves piece by piece. */
struct upgrade; /* A websocket: asked for, or begun. */
struct secure;  /* TLS. */

struct client { /* All connections of one IP address. */
	struct client *next;
	struct list idle; /* In h->idle_clients, while there is none. */
	uint64_t used_ns; /* See httpd_client.c. */
	uint8_t key[PEER_KEY];
	unsigned n;
};

/* What is said on a connection too many, without being asked. */
extern char httpd_too_many[];

struct httpd_conn {
	struct http_request req; /* First: a sink finds the connection by it. */
	struct httpd *h;
	uv_tcp_t tcp;
	struct list link;    /* In h->conns. */
	struct list waiting; /* In h->open, h->watched, h->ready or h->released. */
	h2o_socket_t *sock;
	h2o_req_t *h2o; /* The request under way, unless it is gone. */
	h2o_generator_t generator;
	struct client *client; /* NULL: its client has too many. It is told so when it has shaken hands. */
	enum request_state state;
	bool handling; /* Inside the handler. */
	bool waits;    /* Counted in h->n_waiting. */
	bool watched;  /* We read the socket, to notice the client's leaving. */
	bool closed;   /* The handle is closed: h2o has let go. */
	struct http_response res;  /* Queued. */
	struct buf body;           /* Held while it is sent, */
	struct http_body *shared;  /* as is this. */
	struct sender *sender;
	struct upgrade *upgrade; /* NULL: it is no websocket. */
	struct secure *secure;   /* NULL: it is in plain text. */
	uint64_t open_ms;          /* When the request came. */
	uint64_t begun_ns;         /* The same, for the log. */
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
	struct bell wake;   /* There is mail. Stays open until httpd_close(). */
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
	struct list later; /* Of secure connections: what is to go on in another turn. */
	char *records;     /* What is read of them. */
	struct client *clients[CLIENT_BUCKETS];
	struct list idle_clients; /* The one that was put there first is the first. */
	unsigned n_idle_clients;
	uint64_t clients_seed;
	struct gzip *gzip; /* Made when first needed. */
	uint16_t port;
	unsigned n_conns, n_over, n_lingering;
	uint64_t slice_began_ns; /* When the work of this turn's end began. */
	struct meter turns;
	unsigned n_waiting;
	bool draining, stopping, closing, joined, stuck;
	unsigned tries_left; /* To hang up what is left when it stops. */
	uint32_t grace_ms;
	atomic_bool stop_asked;

	atomic_uint conns_now, waiting_now;
	_Atomic uint64_t requests, refused, limited, gone, timeouts, bytes_out, handshakes_failed;
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

/* Bytes of an answer in pieces that have not been taken, beside c->body and c->shared. */
size_t request_waiting(const struct httpd_conn *c);

/* Let go of the memory of an answer that has left. */
void request_drop_body(struct httpd_conn *c);

/* The handler is through with the request: nothing is left of it. */
void request_finish(struct httpd_conn *c);

/* Send the head of an answer, and be told when the socket is ours: NULL, if it is closed instead. */
void request_upgrade(struct httpd_conn *c, const struct http_response *res, h2o_http1_upgrade_cb upgraded_cb);

/* --- httpd_websocket.c: websockets

 * What the client says goes to the handlers as requests, one after the other: see http_request.session. */

/* The request asks for one: name a session. 0, or it has been answered. */
int upgrade_offer(struct httpd_conn *c, const h2o_req_t *from);

/* A handler that knows of sessions has begun one. Takes over the stream, by a sink of its own. */
void upgrade_begin(struct httpd_conn *c, const struct http_response *head);

/* The connection or the request is gone. */
void upgrade_free(struct httpd_conn *c);

/* It becomes a websocket for sure, though its stream may have ended already; and: it carries a websocket's frames. */
bool upgrade_has_begun(const struct httpd_conn *c);
bool upgrade_is_done(const struct httpd_conn *c);

/* Now and then: whether it is to be hung up. */
bool upgrade_is_overdue(struct httpd_conn *c, uint64_t now);

/* --- httpd_client.c */

/* The client of a new connection, counted; NULL if it has too many, or for want of memory. */
struct client *client_get(struct httpd *h, uv_tcp_t *tcp);
void client_put(struct httpd *h, struct client *client);

/* Whether it may ask now: then it counts. Else in how many seconds it may. */
bool client_may_ask(struct httpd *h, struct client *client, unsigned *wait_s);

/* Now and then: forget those who have left, and could ask again as if they never had. / At the end: all. */
void clients_sweep(struct httpd *h);
void clients_close(struct httpd *h);

/* --- httpd_tls.c */

/* Begin a handshake; HTTP begins behind it. 0, or ERR_NOMEM or ERR_IO: then the connection is to be closed. */
int secure_begin(struct httpd_conn *c);
bool secure_is_shaking(const struct httpd_conn *c);

/* Bytes that h2o has written and that are not yet encrypted. */
size_t secure_left(const struct httpd_conn *c);

/* At the end of a turn; returns whether there is more to be done. */
bool secure_go_on(struct httpd *h);

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

/* The client must take something of what is sent now and then. */
bool conn_is_stuck(struct httpd_conn *c, uint64_t now);

static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif /* SERVER_HTTPD_PARTS_H_ */
