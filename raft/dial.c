#include "raft/dial.h"

#include "lib/address.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ADDRESSES = 8 };

/* A look-up in progress. It outlives a dial that is cancelled: libuv cannot always stop it. */
struct lookup {
	uv_getaddrinfo_t req;
	struct dial *dial; /* NULL once cancelled. */
};

struct dial {
	uv_loop_t *loop;
	dial_cb cb; /* NULL once it was called, or is not to be. */
	void *data;
	void (*gone_cb)(void *data);
	void *gone_data;
	unsigned timeout_ms;
	unsigned port;
	char host[ADDRESS_HOST_MAX];
	struct lookup *lookup;
	struct sockaddr_storage addresses[MAX_ADDRESSES];
	unsigned n;
	unsigned next;
	struct channels *channels;
	const char *region;
	uv_tcp_t *tcp;      /* Being connected, */
	struct channel *ch; /* or, connected, being opened. */
	uint64_t started;
	unsigned refs; /* Handles not yet closed, and one while in use. */
	int status;    /* Of the last attempt. */
};

static void dial_put(struct dial *d)
{
	if (--d->refs == 0) {
		d->gone_cb(d->gone_data);
		free(d);
	}
}

/* The end: the caller is told, and the dial goes when its handles have. */
static void dial_finish(struct dial *d, struct channel *ch)
{
	dial_cb cb = d->cb;

	d->cb = NULL;
	if (cb != NULL) {
		cb(d->data, ch, ch != NULL ? 0 : d->status);
	}
	dial_put(d);
}

static void on_tcp_closed(uv_handle_t *handle)
{
	struct dial *d = handle->data;

	free(handle);
	dial_put(d);
}

static void on_channel_closed(void *data)
{
	dial_put(data);
}

static void tcp_drop(struct dial *d)
{
	if (d->tcp != NULL) {
		uv_close((uv_handle_t *)d->tcp, on_tcp_closed);
	}
	if (d->ch != NULL) {
		channel_close(d->ch, on_channel_closed);
	}
	d->tcp = NULL;
	d->ch = NULL;
}

static void dial_next(struct dial *d);

static void attempt_failed(struct dial *d, int status)
{
	d->status = status;
	tcp_drop(d);
	dial_next(d);
}

static void on_opened(struct channel *ch, int status)
{
	struct dial *d = ch->data;

	if (status != 0) {
		attempt_failed(d, status);
		return;
	}
	d->ch = NULL;
	d->refs--; /* The handle's, which is the caller's now. */
	ch->data = NULL;
	dial_finish(d, ch);
}

static void on_connected(uv_connect_t *connect, int status)
{
	uv_tcp_t *tcp = (uv_tcp_t *)connect->handle;
	struct dial *d;
	int rv = UV_ENOMEM;

	if (status == UV_ECANCELED || tcp != ((struct dial *)tcp->data)->tcp) {
		return; /* Given up; it is being closed. */
	}
	d = tcp->data;
	if (status != 0) {
		attempt_failed(d, status);
		return;
	}
	d->ch = channel_new(d->channels, tcp);
	if (d->ch != NULL) {
		d->tcp = NULL;
		d->ch->data = d;
		rv = channel_connect(d->ch, d->region, on_opened);
	}
	if (rv == 1) {
		on_opened(d->ch, 0);
	} else if (rv != 0) {
		attempt_failed(d, rv);
	}
}

/* The request belongs to the handle's attempt: libuv gives it back before the handle is closed. */
struct attempt {
	uv_tcp_t tcp;
	uv_connect_t connect;
};

static int dial_try(struct dial *d, const struct sockaddr *address)
{
	struct attempt *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL) {
		return UV_ENOMEM;
	}
	rc = uv_tcp_init(d->loop, &a->tcp);
	if (rc != 0) {
		free(a);
		return rc;
	}
	a->tcp.data = d;
	d->tcp = &a->tcp;
	d->refs++;
	d->started = uv_now(d->loop);
	rc = uv_tcp_connect(&a->connect, &a->tcp, address, on_connected);
	if (rc == 0) {
		uv_tcp_nodelay(&a->tcp, 1);
	} else {
		tcp_drop(d);
	}
	return rc;
}

static void dial_next(struct dial *d)
{
	while (d->next < d->n) {
		int rc = dial_try(d, (const struct sockaddr *)&d->addresses[d->next++]);

		if (rc == 0) {
			return;
		}
		d->status = rc;
	}
	dial_finish(d, NULL);
}

static void take_addresses(struct dial *d, const struct addrinfo *list)
{
	for (; list != NULL && d->n < MAX_ADDRESSES; list = list->ai_next) {
		if (list->ai_addrlen <= sizeof(d->addresses[0])) {
			memcpy(&d->addresses[d->n++], list->ai_addr, list->ai_addrlen);
		}
	}
}

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	struct lookup *l = (struct lookup *)req;
	struct dial *d = l->dial;

	if (d != NULL) {
		d->lookup = NULL;
		d->status = status != 0 ? status : UV_EAI_NONAME;
		take_addresses(d, list);
	}
	uv_freeaddrinfo(list);
	free(l);
	if (d != NULL) {
		dial_next(d);
	}
}

static int look_up(struct dial *d)
{
	static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct lookup *l = calloc(1, sizeof(*l));
	char port[16];
	int rc;

	if (l == NULL) {
		return UV_ENOMEM;
	}
	snprintf(port, sizeof(port), "%u", d->port);
	l->dial = d;
	rc = uv_getaddrinfo(d->loop, &l->req, on_looked_up, d->host, port, &hints);
	if (rc != 0) {
		free(l);
		return rc;
	}
	d->lookup = l;
	return 0;
}

/* True when the host is an address already: no look-up is needed. */
static bool take_numeric(struct dial *d)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&d->addresses[0];
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&d->addresses[0];

	d->n = uv_ip4_addr(d->host, (int)d->port, v4) == 0 || uv_ip6_addr(d->host, (int)d->port, v6) == 0;
	return d->n > 0;
}

struct dial *dial_start(const struct dial_to *to, dial_cb cb, void *data, void (*gone_cb)(void *), void *gone_data)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (d == NULL || !address_split(to->address, d->host, &d->port)) {
		free(d);
		return NULL;
	}
	d->loop = to->loop;
	d->channels = to->channels;
	d->region = to->region;
	d->cb = cb;
	d->data = data;
	d->gone_cb = gone_cb;
	d->gone_data = gone_data;
	d->timeout_ms = to->timeout_ms;
	d->refs = 1;
	d->status = take_numeric(d) ? dial_try(d, (struct sockaddr *)&d->addresses[d->next++]) : look_up(d);
	return d; /* What failed already is told by dial_tick(). */
}

void dial_tick(struct dial *d)
{
	if (d->lookup != NULL) {
		return;
	}
	if (d->tcp != NULL || d->ch != NULL) {
		if (uv_now(d->loop) - d->started <= d->timeout_ms) {
			return;
		}
		d->status = UV_ETIMEDOUT;
		tcp_drop(d);
	}
	dial_next(d);
}

void dial_cancel(struct dial *d)
{
	if (d->lookup != NULL) {
		d->lookup->dial = NULL;
		uv_cancel((uv_req_t *)&d->lookup->req);
		d->lookup = NULL;
	}
	d->cb = NULL;
	tcp_drop(d);
	dial_put(d);
}
