/**
 * The HTTP server: h2o on a thread and a loop of its own.
 *
 * It accepts connections, makes each request a struct http_request and hands it to one function, on its thread; what
 * the request means is not its business. The answer may be given at once, or later, on the same thread: an answer that
 * is made elsewhere comes as mail (httpd_post()).
 *
 * What it does by itself: keep-alive, pipelining, chunked bodies, Expect, HEAD, gzip; it refuses what is too large
 * (413), has two lengths (400), or comes over too many connections or too often from one address (429); it closes
 * connections that are idle, that send their request too slowly or do not read the answer; and it notices the leaving of
 * a client whose request waits.
 *
 * Answers that are given later leave in slices: releasing ten thousand waiting requests in one call does not hold up
 * the loop for longer than HTTPD_TURN_MS.
 *
 * With TLS, connections use the files as they were last read (tls_reload()) when they began. Who speaks HTTP without is
 * told so (400).
 *
 * The program ignores SIGPIPE, and allows itself as many open files as it wants connections.
 */
#ifndef SERVER_HTTPD_H_
#define SERVER_HTTPD_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/mailbox.h"
#include "lib/meter.h"
#include "proto/http.h"

struct httpd;
struct tls;
struct uv_loop_s;

enum { HTTPD_TURN_MS = 4 };

struct httpd_config {
	const char *address; /* To bind, numeric: "127.0.0.1", "::". */
	uint16_t port;       /* 0: any, see httpd_port(). */
	bool share_port;     /* Several instances may listen on it; the kernel spreads the connections. */
	size_t body_max;                /* Bytes of a request's body; 0: 64 MiB. */
	size_t bodies_max;              /* Bytes of bodies under way together; 0: 512 MiB. The largest one is cut. */
	size_t answers_max;             /* The same of answers that clients have not taken yet; 0: 1 GiB. */
	unsigned conns_max;             /* 0: 65536. */
	unsigned conns_per_client_max;  /* From one IP address; 0: no limit. */
	double requests_per_s;          /* The same of requests; those beyond are answered with 429 and Retry-After. */
	unsigned requests_burst;        /* So many may come at once; 0: 1. */
	uint32_t idle_ms;    /* A connection may be without a request for so long; 0: 5 minutes. */
	uint32_t request_ms; /* A request must have come in this time, plus a second for each 64 KiB; 0: 10 s. */
	uint32_t stall_ms;   /* The client must take some of the answer in this time; 0: 30 s. */
	struct tls *tls;     /* Whoever connects must speak TLS (lib/tls.h). Borrowed; NULL: plain text. */
	uint32_t handshake_ms; /* The handshake of TLS must be over in this time; 0: 5 s. */
	uint32_t watch_ms;   /* A request that has waited so long is watched for the client's leaving; 0: 100 ms. */

	bool tokens;         /* Requests need tokens: those of websockets may come in their first message. */

	/* On the server's thread. start_cb may set up what the handler needs on the loop, stop_cb must close it; they
	 * may be NULL. */
	void (*start_cb)(void *ctx, struct httpd *h, struct uv_loop_s *loop);
	void (*handle_cb)(void *ctx, struct http_request *req);
	void (*stop_cb)(void *ctx, struct httpd *h);
	void *ctx;
};

/* Counters since the start, and what there is now; each is exact, but they are not of one moment. */
struct httpd_stats {
	uint64_t requests, refused_conns, limited, gone, timeouts, bytes_out, handshakes_failed;
	struct meter_stats turns;
	unsigned conns, waiting;
};

/* Listen and start the thread. 0; ERR_INVALID (not an address), ERR_IO or ERR_NOMEM, with a text in `why`. */
int httpd_start(const struct httpd_config *config, struct httpd **out, char *why, size_t why_size);

uint16_t httpd_port(const struct httpd *h);

/* Any thread: run_cb will be called on the server's thread. For answers, of which there is at most one for each
 * request; so there is no bound here. */
void httpd_post(struct httpd *h, struct mail *mail);

/* On the server's thread: accept no more, and let each answer be the last of its connection. Clients that go on using
 * theirs hear so with an answer, instead of being cut off; httpd_stop() follows. */
void httpd_drain(struct httpd *h);

/* On the server's thread: whether there is a request that has begun to come and is not answered. Streams are not meant. */
bool httpd_is_busy(const struct httpd *h);

/* Accept no more, let the requests under way finish for grace_ms, tell those that are left that they are gone and their
 * clients 503, or, if they are no reads, that the outcome is unknown; return when the thread has ended. A request that is still not answered then may be answered by mail
 * until httpd_close(). Not from the server's thread. */
void httpd_stop(struct httpd *h, uint32_t grace_ms);

/* After httpd_stop(), when no other thread posts any more, on the calling thread: run the last mail. Whose mail makes
 * others send mail may have to do so several times. */
void httpd_run_mail(struct httpd *h);

/* Afterwards: free. */
void httpd_close(struct httpd *h);

void httpd_get_stats(struct httpd *h, struct httpd_stats *stats);

#endif /* SERVER_HTTPD_H_ */
