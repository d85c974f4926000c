#include "raft/transport_parts.h"

#include "lib/address.h"
#include "lib/list.h"
#include "proto/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void transport_gone(struct transport *t)
{
	if (--t->n_handles == 0 && t->closing) {
		t->close_cb(t);
	}
}

void transport_gone_cb(void *transport)
{
	transport_gone(transport);
}

int transport_init(struct transport *t)
{
	t->scratch = malloc(TRANSPORT_SCRATCH);
	t->frame_ms = t->frame_ms != 0 ? t->frame_ms : TRANSPORT_FRAME_MS;
	return t->scratch == NULL ? ERR_NOMEM : 0;
}

/* --- listeners --- */

static void on_accept(uv_stream_t *stream, int status)
{
	struct listener *l = CONTAINER_OF(stream, struct listener, tcp);

	if (status == 0) {
		inlet_accept(stream->data, l);
	}
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct transport *t = handle->data;

	free(CONTAINER_OF(handle, struct listener, tcp));
	transport_gone(t);
}

/* At the start a look-up may block. */
static int resolve(const char *text, struct sockaddr_storage *address)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *list = NULL;
	char host[ADDRESS_HOST_MAX];
	char service[16];
	unsigned port;
	int rc;

	if (!address_split(text, host, &port)) {
		return UV_EINVAL;
	}
	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc == 0 && list != NULL && list->ai_addrlen <= sizeof(*address)) {
		memcpy(address, list->ai_addr, list->ai_addrlen);
	} else {
		rc = UV_EAI_NONAME;
	}
	if (list != NULL) {
		freeaddrinfo(list);
	}
	return rc;
}

/* Port 0 and 127.x addresses bind as usual; with IPv6, only that family: "0.0.0.0" may be listened to beside it. */
static int bind_and_listen(struct listener *l, const struct sockaddr_storage *address)
{
	int rc = uv_tcp_bind(&l->tcp, (const struct sockaddr *)address,
			     address->ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0);

	return rc != 0 ? rc : uv_listen((uv_stream_t *)&l->tcp, 1024, on_accept);
}

int transport_listen(struct transport *t, const char *address, const char *name, bool raft, char *text, size_t size)
{
	struct sockaddr_storage where;
	struct listener *l;
	int rc = resolve(address, &where);

	if (rc != 0) {
		snprintf(text, size, "%s: %s", address, rc == UV_EINVAL ? "not host:port" : uv_strerror(rc));
		return ERR_INVALID;
	}
	if (t->n_listeners == TRANSPORT_MAX_LISTENERS) {
		snprintf(text, size, "too many listeners");
		return ERR_TOOBIG;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL || uv_tcp_init(t->loop, &l->tcp) != 0) {
		free(l);
		snprintf(text, size, "out of memory");
		return ERR_NOMEM;
	}
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->raft = raft;
	l->tcp.data = t;
	t->n_handles++;
	rc = bind_and_listen(l, &where);
	if (rc != 0) {
		snprintf(text, size, "%s: %s", address, uv_strerror(rc));
		uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
		return ERR_IO;
	}
	t->listeners[t->n_listeners++] = l;
	return 0;
}

static unsigned port_of(const uv_tcp_t *tcp)
{
	struct sockaddr_storage address;
	int len = sizeof(address);

	if (uv_tcp_getsockname(tcp, (struct sockaddr *)&address, &len) != 0) {
		return 0;
	}
	return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
					     : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

unsigned transport_port(const struct transport *t, const char *name)
{
	for (unsigned i = 0; i < t->n_listeners; i++) {
		if (strcmp(t->listeners[i]->name, name) == 0) {
			return port_of(&t->listeners[i]->tcp);
		}
	}
	return 0;
}

/* --- links --- */

struct dial *transport_dial(struct transport *t, const char *address, dial_cb cb, void *data)
{
	const struct dial_to to = {t->loop, t->channels, t->region, address, t->connect_ms};
	struct dial *d = dial_start(&to, cb, data, transport_gone_cb, t);

	t->n_handles += d != NULL;
	return d;
}

struct link *link_new(struct transport *t, struct channel *ch)
{
	struct link *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		abort(); /* As libraft's own: it cannot go on without memory. */
	}
	l->t = t;
	l->ch = ch;
	ch->data = l;
	t->n_handles++;
	return l;
}

static void on_link_closed(void *link)
{
	struct link *l = link;
	struct transport *t = l->t;

	free(l);
	transport_gone(t);
}

void link_close(struct link *l)
{
	l->peer = NULL;
	l->bulk = NULL;
	channel_close(l->ch, on_link_closed);
}

/* --- the turn --- */

void transport_send(struct transport *t, struct raft_io_send *req, const struct raft_message *m, uint64_t stamp)
{
	struct peer *p = t->closing || m->server_id == t->id ? NULL : peer_get(t, m->server_id, m->server_address);

	if (p == NULL) {
		t->dropped++;
		req->cb(req, t->closing ? RAFT_CANCELED : RAFT_NOCONNECTION);
	} else if (m->type == RAFT_INSTALL_SNAPSHOT) {
		bulk_send(p, req, m);
	} else {
		peer_send(p, req, m, stamp);
	}
}

void transport_flush(struct transport *t)
{
	if (t->held || t->closing) {
		return;
	}
	for (unsigned i = 0; i < t->n_peers; i++) {
		peer_flush(t->peers[i]);
		bulk_flush(t->peers[i]);
	}
}

/* What it has begun to say is a frame, or the greeting, which must come with a certain speed. */
static bool is_slow(const struct inlet *c, uint64_t now)
{
	return c->stage == INLET_FRAMES && c->fill > 0 &&
	       now - c->begun > c->t->frame_ms + c->fill * 1000 / TRANSPORT_BYTES_PER_S_MIN;
}

/* Strangers must say in time what they are, and servers what they have begun to say. */
static void check_inlets(struct transport *t)
{
	uint64_t now = uv_now(t->loop);
	struct inlet *next;

	for (struct inlet *c = t->inlets; c != NULL; c = next) {
		next = c->next;
		if ((c->stage < INLET_FRAMES && now - c->accepted > t->handshake_ms) || is_slow(c, now)) {
			inlet_close(c);
		}
	}
}

void transport_tick(struct transport *t)
{
	for (unsigned i = 0; i < t->n_peers; i++) {
		bulk_tick(t->peers[i]);
		peer_tick(t->peers[i]);
	}
	if (t->n_inlets > 0) {
		check_inlets(t);
	}
}

void transport_probe(struct transport *t, uint64_t id)
{
	for (unsigned i = 0; i < t->n_peers && !t->closing; i++) {
		if (t->peers[i]->id == id) {
			peer_probe(t->peers[i]);
		}
	}
}

void transport_forget(struct transport *t)
{
	for (unsigned i = 0; i < t->n_peers; i++) {
		peer_forget(t->peers[i]);
	}
}

void transport_installed(struct transport *t)
{
	struct inlet *next;

	for (struct inlet *c = t->inlets; c != NULL; c = next) {
		next = c->next;
		if (c->stage == INLET_INSTALLING) {
			inlet_close(c);
		}
	}
}

/* --- the end --- */

void transport_close(struct transport *t)
{
	t->closing = true;
	t->n_handles++; /* So that close_cb does not come in the middle. */
	for (unsigned i = 0; i < t->n_peers; i++) {
		bulk_cancel(t->peers[i]);
		peer_drop(t->peers[i]);
	}
	while (t->inlets != NULL) {
		inlet_close(t->inlets);
	}
	while (t->n_listeners > 0) {
		uv_close((uv_handle_t *)&t->listeners[--t->n_listeners]->tcp, on_listener_closed);
	}
	transport_gone(t);
}

void transport_free(struct transport *t)
{
	for (unsigned i = 0; i < t->n_peers; i++) {
		free(t->peers[i]);
	}
	free(t->scratch);
	t->scratch = NULL;
	t->n_peers = 0;
}
