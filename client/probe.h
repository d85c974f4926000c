/**
 * Asking whether somebody answers at an address, on a libuv loop and without threads.
 *
 * A tcp probe is answered well when the connection is accepted, an http probe by a status from 200 to 399.
 */
#ifndef CLIENT_PROBE_H_
#define CLIENT_PROBE_H_

#include <stdbool.h>
#include <stdint.h>

struct client;
struct curl_slist;
struct probes;
struct probe;

enum { PROBE_OUTPUT = 512 }; /* Bytes that are kept of what is answered. */

struct probe_ask {
	const char *url;
	bool connect_only; /* tcp; then what follows does not matter but for the timeout. */
	const char *method; /* "" is GET. */
	const char *body;
	const char *headers; /* JSON: {"Name":["value"]}. */
	bool insecure;
	int64_t timeout_ns;
};

struct probe_answer {
	bool good;
	long status;        /* Of HTTP; 0 for none. */
	const char *output; /* What came, or what went wrong; borrowed. */
};

/* Part of what asks. All zero is idle. */
struct probe {
	void (*done_cb)(struct probe *p, const struct probe_answer *answer); /* It may ask again, and may be given up. */
	void *curl; /* While it is under way. */
	struct curl_slist *headers;
	char *output;
	uint32_t output_len;
};

/* Its handles are counted in the client's. NULL when memory is exhausted. */
struct probes *probes_new(struct client *c);

/* No probe is under way any more. */
void probes_close(struct probes *all);

/* 0, then done_cb is called once and later; or ERR_NOMEM. All texts are copied. */
int probe_start(struct probes *all, struct probe *p, const struct probe_ask *ask);

/* It is called no more. Harmless when idle. */
void probe_stop(struct probes *all, struct probe *p);

#endif /* CLIENT_PROBE_H_ */
