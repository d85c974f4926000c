#include "proto/rpc.h"

#include <assert.h>
#include <string.h>

#include "proto/error.h"
#include "proto/rpc_objects.h"

/* Frame heads are four small numbers, packed and read here: msgpack's unpacker trusts the counts that it reads, and
 * this is what any byte from the network meets first. */

OBJECT_DEFINE(rpc_hello, RPC_HELLO_FIELDS);
OBJECT_DEFINE(rpc_http_request, RPC_HTTP_REQUEST_FIELDS);
OBJECT_DEFINE(rpc_http_header, RPC_HTTP_HEADER_FIELDS);
OBJECT_DEFINE(rpc_http_response, RPC_HTTP_RESPONSE_FIELDS);
OBJECT_DEFINE(rpc_none, RPC_NONE_FIELDS);
OBJECT_DEFINE(rpc_index, RPC_INDEX_FIELDS);
OBJECT_DEFINE(rpc_state_hash, RPC_STATE_HASH_FIELDS);
OBJECT_DEFINE(rpc_status, RPC_STATUS_FIELDS);
OBJECT_DEFINE(rpc_member, RPC_MEMBER_FIELDS);
OBJECT_DEFINE(rpc_members, RPC_MEMBERS_FIELDS);
OBJECT_DEFINE(rpc_founder, RPC_FOUNDER_FIELDS);
OBJECT_DEFINE(rpc_founding, RPC_FOUNDING_FIELDS);
OBJECT_DEFINE(rpc_nodes_at, RPC_NODES_AT_FIELDS);
OBJECT_DEFINE(rpc_node_lease, RPC_NODE_LEASE_FIELDS);
OBJECT_DEFINE(rpc_node_claim, RPC_NODE_CLAIM_FIELDS);
OBJECT_DEFINE(rpc_node_heartbeat, RPC_NODE_HEARTBEAT_FIELDS);
OBJECT_DEFINE(rpc_node_update, RPC_NODE_UPDATE_FIELDS);
OBJECT_DEFINE(rpc_node_watch, RPC_NODE_WATCH_FIELDS);
OBJECT_DEFINE(rpc_node_previous, RPC_NODE_PREVIOUS_FIELDS);
OBJECT_DEFINE(rpc_previous, RPC_PREVIOUS_FIELDS);
OBJECT_DEFINE(rpc_node_rights, RPC_NODE_RIGHTS_FIELDS);
OBJECT_DEFINE(rpc_rights_policy, RPC_RIGHTS_POLICY_FIELDS);
OBJECT_DEFINE(rpc_rights, RPC_RIGHTS_FIELDS);
OBJECT_DEFINE(rpc_node_allocs, RPC_NODE_ALLOCS_FIELDS);

enum {
	LENGTH_SIZE = 4,
	HEAD_FIELDS = 4,
	MSGPACK_ARRAY = 0x90,
	MSGPACK_U8 = 0xcc,
	MSGPACK_U16 = 0xcd,
	MSGPACK_U32 = 0xce
};

const char *rpc_method_text(uint32_t method)
{
	switch (method) {
#define X(name, number, request, reply, callers)                                                                       \
	case number:                                                                                                   \
		return #name;
		RPC_METHOD_LIST(X)
#undef X
	default:
		return "unknown method";
	}
}

unsigned rpc_method_callers(uint32_t method)
{
	switch (method) {
#define X(name, number, request, reply, callers)                                                                       \
	case number:                                                                                                   \
		return callers;
		RPC_METHOD_LIST(X)
#undef X
	default:
		return 0;
	}
}

/* --- Frames ------------------------------------------------------------------------------------------------------- */

static void put_u32(uint8_t *to, uint32_t n)
{
	to[0] = (uint8_t)(n >> 24);
	to[1] = (uint8_t)(n >> 16);
	to[2] = (uint8_t)(n >> 8);
	to[3] = (uint8_t)n;
}

static uint32_t get_u32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static uint8_t *pack_number(uint8_t *to, uint32_t n)
{
	if (n < 128) {
		*to++ = (uint8_t)n;
	} else if (n <= UINT8_MAX) {
		*to++ = MSGPACK_U8;
		*to++ = (uint8_t)n;
	} else {
		*to++ = MSGPACK_U32;
		put_u32(to, n);
		to += 4;
	}
	return to;
}

/* Moves *at; false when there is no number before `end`. */
static bool unpack_number(const uint8_t **at, const uint8_t *end, uint32_t *n)
{
	const uint8_t *p = *at;
	size_t size;

	if (p >= end) {
		return false;
	}
	switch (*p) {
	case MSGPACK_U8:
		size = 1;
		break;
	case MSGPACK_U16:
		size = 2;
		break;
	case MSGPACK_U32:
		size = 4;
		break;
	default:
		*n = *p;
		*at = p + 1;
		return *p < 128;
	}
	if ((size_t)(end - p - 1) < size) {
		return false;
	}
	*n = 0;
	for (size_t i = 1; i <= size; i++) {
		*n = *n << 8 | p[i];
	}
	*at = p + 1 + size;
	return true;
}

int rpc_frame_put_head(struct buf *out, const struct rpc_frame *frame, size_t max)
{
	uint8_t head[RPC_HEAD_MAX];
	uint8_t *at = head + LENGTH_SIZE;
	size_t head_len;

	*at++ = MSGPACK_ARRAY | HEAD_FIELDS;
	at = pack_number(at, frame->kind);
	at = pack_number(at, frame->id);
	at = pack_number(at, frame->code);
	at = pack_number(at, frame->flags);
	head_len = (size_t)(at - head);
	if (frame->len > max || head_len - LENGTH_SIZE + frame->len > max) {
		return ERR_TOOBIG;
	}
	put_u32(head, (uint32_t)(head_len - LENGTH_SIZE + frame->len));
	buf_put(out, head, head_len);
	return 0;
}

int rpc_frame_put(struct buf *out, const struct rpc_frame *frame, size_t max)
{
	int rv = rpc_frame_put_head(out, frame, max);

	if (rv == 0) {
		buf_put(out, frame->payload, frame->len);
	}
	return rv;
}

static bool unpack_head(const uint8_t **at, const uint8_t *end, struct rpc_frame *f)
{
	if (*at >= end || *(*at)++ != (MSGPACK_ARRAY | HEAD_FIELDS)) {
		return false;
	}
	return unpack_number(at, end, &f->kind) && unpack_number(at, end, &f->id) && unpack_number(at, end, &f->code) &&
	       unpack_number(at, end, &f->flags);
}

int rpc_frame_get(const char *data, size_t len, size_t max, struct rpc_frame *frame, size_t *used)
{
	const uint8_t *at = (const uint8_t *)data;
	struct rpc_frame f;
	uint32_t length;

	*used = 0;
	if (len < LENGTH_SIZE) {
		return 0;
	}
	length = get_u32(at);
	if (length > max) {
		return ERR_TOOBIG;
	}
	*used = LENGTH_SIZE + (size_t)length;
	if (len < *used) {
		return 0;
	}
	at += LENGTH_SIZE;
	if (!unpack_head(&at, (const uint8_t *)data + *used, &f)) {
		return ERR_SYNTAX;
	}
	f.payload = (const char *)at;
	f.len = *used - (size_t)(f.payload - data);
	*frame = f;
	return 1;
}

/* --- HTTP: the head's length, the packed head, the body, a zero --------------------------------------------------- */

static void put_head_and_body(struct buf *out, const struct type *t, const void *head, const char *body, size_t len)
{
	size_t start = out->len;
	uint8_t length[LENGTH_SIZE] = {0};

	buf_put(out, length, sizeof(length));
	pack_encode(t, head, out);
	if (!out->failed) {
		put_u32((uint8_t *)out->at + start, (uint32_t)(out->len - start - sizeof(length)));
	}
	buf_put(out, body, len);
	buf_byte(out, '\0');
}

/* The body, which is followed by a zero, is left in the payload. */
static int get_head_and_body(const struct type *t, void *head, const char *payload, size_t len, struct arena *mem,
			     const char **body, size_t *body_len)
{
	uint32_t head_len;
	int rv;

	if (len < LENGTH_SIZE + 1 || payload[len - 1] != '\0') {
		return ERR_SYNTAX;
	}
	head_len = get_u32((const uint8_t *)payload);
	if (head_len > len - LENGTH_SIZE - 1) {
		return ERR_SYNTAX;
	}
	rv = pack_decode(t, head, payload + LENGTH_SIZE, head_len, mem);
	if (rv != 0) {
		return rv == ERR_NOMEM ? rv : ERR_SYNTAX;
	}
	*body = payload + LENGTH_SIZE + head_len;
	*body_len = len - LENGTH_SIZE - head_len - 1;
	return 0;
}

void rpc_put_http_request(struct buf *out, const struct http_request *req)
{
	struct buf target = {0};
	struct rpc_http_request head = {
		.method = http_method_text(req->method), .hops = req->hops + 1, .session = req->session};

	buf_put(&target, req->path, req->path_len);
	if (req->query_len > 0) {
		buf_byte(&target, '?');
		buf_put(&target, req->query, req->query_len);
	}
	head.target = (struct bytes){(const uint8_t *)target.at, (uint32_t)target.len};
	head.token = (struct bytes){(const uint8_t *)req->token, (uint32_t)strlen(req->token)};
	out->failed |= target.failed;
	put_head_and_body(out, &rpc_http_request_type, &head, req->body, req->body_len);
	buf_close(&target);
}

int rpc_get_http_request(struct http_request *req, const char *payload, size_t len)
{
	struct rpc_http_request head;
	int rv = get_head_and_body(&rpc_http_request_type, &head, payload, len, &req->mem, &req->body, &req->body_len);

	if (rv != 0) {
		return rv;
	}
	if (head.hops < 1 || head.hops > HTTP_HOPS_MAX) {
		return head.hops < 1 ? ERR_SYNTAX : ERR_TOOBIG;
	}
	req->hops = (uint8_t)head.hops;
	req->session = head.session;
	req->method = http_method_parse(head.method, strlen(head.method));
	if (head.token.n > 0) {
		char *token = arena_strndup(&req->mem, (const char *)head.token.at, head.token.n);

		if (token == NULL) {
			return ERR_NOMEM;
		}
		req->token = token;
	}
	return http_request_target(req, (const char *)head.target.at, head.target.n);
}

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

static const char *or_null(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static void put_response(struct buf *out, const struct http_response *res, size_t length, const char *body, size_t len)
{
	struct rpc_http_header extra[HTTP_EXTRA_MAX];
	struct rpc_http_response head = {
		.status = res->status,
		.has = (int64_t)res->has,
		.known_leader = res->known_leader,
		.index = (int64_t)res->index,
		.last_contact_ms = (int64_t)res->last_contact_ms,
		.type = or_empty(res->type),
		.next_token = or_empty(res->next_token),
		.location = or_empty(res->location),
		.extra = {extra, res->n_extra},
		.length = (int64_t)length,
	};

	assert(res->n_extra <= HTTP_EXTRA_MAX);
	for (unsigned i = 0; i < res->n_extra; i++) {
		extra[i] = (struct rpc_http_header){res->extra[i].name, res->extra[i].value};
	}
	put_head_and_body(out, &rpc_http_response_type, &head, body, len);
}

void rpc_put_http_response(struct buf *out, const struct http_response *res)
{
	if (res->shared != NULL) {
		put_response(out, res, 0, res->shared->at, res->shared->len);
	} else {
		put_response(out, res, 0, res->body.at, res->body.len);
		out->failed |= res->body.failed;
	}
}

void rpc_put_http_head(struct buf *out, const struct http_response *res, size_t length)
{
	put_response(out, res, length, "", 0);
}

int rpc_get_http_length(const char *payload, size_t len, struct arena *mem, size_t *length)
{
	struct rpc_http_response head;
	const char *body;
	size_t body_len;
	int rv = get_head_and_body(&rpc_http_response_type, &head, payload, len, mem, &body, &body_len);

	if (rv == 0) {
		*length = head.length > 0 ? (size_t)head.length : 0;
	}
	return rv;
}

/* What goes into a header line must not end it. */
static bool is_header_text(const char *text)
{
	return text == NULL || strpbrk(text, "\r\n") == NULL;
}

static bool is_valid_response(const struct http_response *res)
{
	bool ok = res->status >= 100 && res->status <= 999 && is_header_text(res->type) &&
		  is_header_text(res->next_token) && is_header_text(res->location);

	for (unsigned i = 0; i < res->n_extra; i++) {
		ok = ok && is_header_text(res->extra[i].name) && is_header_text(res->extra[i].value);
	}
	return ok;
}

int rpc_get_http_response(struct http_response *res, const char *payload, size_t len, struct arena *mem)
{
	struct rpc_http_response head;
	struct http_response r = {0};
	const char *body;
	size_t body_len;
	int rv = get_head_and_body(&rpc_http_response_type, &head, payload, len, mem, &body, &body_len);

	if (rv != 0) {
		return rv;
	}
	if (head.extra.n > HTTP_EXTRA_MAX || head.status < 0 || head.status > 999) {
		return ERR_SYNTAX;
	}
	r.status = (int)head.status;
	r.has = (unsigned)head.has & HTTP_HAS_READ;
	r.known_leader = head.known_leader;
	r.index = (uint64_t)head.index;
	r.last_contact_ms = (uint64_t)head.last_contact_ms;
	r.type = or_null(head.type);
	r.next_token = or_null(head.next_token);
	r.location = or_null(head.location);
	r.n_extra = head.extra.n;
	for (unsigned i = 0; i < head.extra.n; i++) {
		r.extra[i] = (struct http_header){head.extra.at[i].name, head.extra.at[i].value};
	}
	if (!is_valid_response(&r)) {
		return ERR_SYNTAX;
	}
	if (body_len > 0) {
		buf_put(&r.body, body, body_len);
	}
	if (r.body.failed) {
		return ERR_NOMEM;
	}
	*res = r;
	return 0;
}
