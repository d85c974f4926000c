#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/rpc.h"
#include "proto/rpc_objects.h"
#include "test/unit/proto/http_sink.h"

static void frames_survive_a_round_trip(void **state)
{
	static const struct rpc_frame frames[] = {
		{RPC_REQUEST, 0, RPC_METHOD_HTTP, 0, "abc", 3},
		{RPC_REPLY, 127, 0, RPC_MORE, "", 0},
		{RPC_CHUNK, 128, 255, 1, "x", 1},
		{RPC_CREDIT, 65535, 65536, 0, "", 0},
		{RPC_ERROR, UINT32_MAX, UINT32_MAX, UINT32_MAX, "text", 4},
	};
	struct buf b = {0};
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(rpc_frame_put(&b, &frames[i], RPC_FRAME_MAX), 0);
	}
	for (size_t i = 0; i < 5; i++) {
		struct rpc_frame f;
		size_t used;

		assert_int_equal(rpc_frame_get(b.at + at, b.len - at, RPC_FRAME_MAX, &f, &used), 1);
		assert_int_equal(f.kind, frames[i].kind);
		assert_int_equal(f.id, frames[i].id);
		assert_int_equal(f.code, frames[i].code);
		assert_int_equal(f.flags, frames[i].flags);
		assert_int_equal(f.len, frames[i].len);
		assert_memory_equal(f.payload, frames[i].payload, f.len);
		at += used;
	}
	assert_int_equal(at, b.len);
	buf_close(&b);
}

static void a_part_of_a_frame_is_not_yet_one(void **state)
{
	const struct rpc_frame frame = {RPC_REQUEST, 300, 1, 0, "payload", 7};
	struct rpc_frame f;
	struct buf b = {0};
	size_t used;

	(void)state;
	assert_int_equal(rpc_frame_put(&b, &frame, 100), 0);
	for (size_t n = 0; n < b.len; n++) {
		assert_int_equal(rpc_frame_get(b.at, n, 100, &f, &used), 0);
		assert_int_equal(used, n < 4 ? 0 : b.len);
	}
	buf_close(&b);
}

static void frames_are_bounded_on_both_sides(void **state)
{
	struct rpc_frame frame = {RPC_REQUEST, 1, 1, 0, "0123456789", 10};
	struct buf b = {0};
	struct rpc_frame f;
	size_t used;

	(void)state;
	assert_int_equal(rpc_frame_put(&b, &frame, 14), ERR_TOOBIG);
	assert_int_equal(b.len, 0);
	assert_int_equal(rpc_frame_put(&b, &frame, 15), 0);
	assert_int_equal(rpc_frame_get(b.at, b.len, 14, &f, &used), ERR_TOOBIG);
	assert_int_equal(rpc_frame_get(b.at, b.len, 15, &f, &used), 1);
	frame.len = SIZE_MAX;
	assert_int_equal(rpc_frame_put_head(&b, &frame, RPC_FRAME_MAX), ERR_TOOBIG);
	buf_close(&b);
}

static void garbage_is_no_frame(void **state)
{
	static const struct {
		const char *at;
		size_t len;
	} bad[] = {
		{"\0\0\0\0", 4},                     /* Empty. */
		{"\0\0\0\1\x94", 5},                 /* No numbers. */
		{"\0\0\0\5\x93\1\2\3\4", 9},         /* Three. */
		{"\0\0\0\5\x94\1\2\3\xff", 9},       /* A negative one. */
		{"\0\0\0\6\x94\1\2\3\xcd\1", 10},    /* One that is cut off. */
		{"\0\0\0\5\xdd\xff\xff\xff\xff", 9}, /* An array of four thousand millions. */
		{"\0\0\0\5HELLO", 9},
	};
	struct rpc_frame f;
	size_t used;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(rpc_frame_get(bad[i].at, bad[i].len, 100, &f, &used), ERR_SYNTAX);
	}
	assert_int_equal(rpc_frame_get("GET / HTTP/1.1\r\n", 16, RPC_FRAME_MAX, &f, &used), ERR_TOOBIG);
}

static void http_requests_travel_and_count_their_hops(void **state)
{
	struct buf b = {0};
	struct kept from;
	struct http_request to;

	(void)state;
	assert_int_equal(kept_open(&from, "PUT", "/v1/job/a%2Fb?x=1&y"), 0);
	from.req.token = "secret";
	from.req.session = "11111111-2222-3333-4444-555555555555";
	from.req.body = "{\"Job\":null}";
	from.req.body_len = 12;
	rpc_put_http_request(&b, &from.req);
	http_request_init(&to, &kept_sink);
	assert_int_equal(rpc_get_http_request(&to, b.at, b.len), 0);
	assert_int_equal(to.method, HTTP_PUT);
	assert_string_equal(to.path, "/v1/job/a%2Fb");
	assert_string_equal(http_query(&to, "x"), "1");
	assert_string_equal(to.token, "secret");
	assert_string_equal(to.session, "11111111-2222-3333-4444-555555555555");
	assert_int_equal(to.hops, 1);
	assert_int_equal(to.body_len, 12);
	assert_string_equal(to.body, "{\"Job\":null}");
	http_request_close(&to);

	from.req.hops = HTTP_HOPS_MAX;
	b.len = 0;
	rpc_put_http_request(&b, &from.req);
	http_request_init(&to, &kept_sink);
	assert_int_equal(rpc_get_http_request(&to, b.at, b.len), ERR_TOOBIG);
	http_request_close(&to);
	kept_close(&from);
	buf_close(&b);
}

static void http_answers_travel(void **state)
{
	struct http_response from = {.status = 404,
				     .has = HTTP_HAS_READ,
				     .known_leader = true,
				     .index = 17,
				     .last_contact_ms = 3,
				     .type = "text/plain",
				     .next_token = "next",
				     .extra = {{"Retry-After", "1"}},
				     .n_extra = 1};
	struct http_response to;
	struct arena mem = {0};
	struct buf b = {0};

	(void)state;
	buf_str(&from.body, "not found");
	rpc_put_http_response(&b, &from);
	assert_int_equal(rpc_get_http_response(&to, b.at, b.len, &mem), 0);
	assert_int_equal(to.status, 404);
	assert_int_equal(to.has, HTTP_HAS_READ);
	assert_true(to.known_leader);
	assert_int_equal(to.index, 17);
	assert_int_equal(to.last_contact_ms, 3);
	assert_string_equal(to.type, "text/plain");
	assert_string_equal(to.next_token, "next");
	assert_null(to.location);
	assert_int_equal(to.n_extra, 1);
	assert_string_equal(to.extra[0].name, "Retry-After");
	assert_string_equal(buf_text(&to.body), "not found");
	buf_close(&to.body);
	buf_close(&from.body);

	from = (struct http_response){.status = 200};
	b.len = 0;
	rpc_put_http_response(&b, &from);
	assert_int_equal(rpc_get_http_response(&to, b.at, b.len, &mem), 0);
	assert_null(to.type);
	assert_int_equal(to.body.len, 0);
	arena_close(&mem);
	buf_close(&b);
}

static void a_header_cannot_end_its_line(void **state)
{
	struct http_response from = {.status = 200, .next_token = "x\r\nSet-Cookie: y"};
	struct http_response to;
	struct arena mem = {0};
	struct buf b = {0};

	(void)state;
	rpc_put_http_response(&b, &from);
	assert_int_equal(rpc_get_http_response(&to, b.at, b.len, &mem), ERR_SYNTAX);
	arena_close(&mem);
	buf_close(&b);
}

static void cut_http_payloads_are_refused(void **state)
{
	struct buf b = {0};
	struct kept from;

	(void)state;
	assert_int_equal(kept_open(&from, "GET", "/v1/jobs"), 0);
	rpc_put_http_request(&b, &from.req);
	for (size_t n = 0; n < b.len; n++) {
		char *cut = malloc(n > 0 ? n : 1); /* So that reading past it is seen. */
		struct http_request to;

		memcpy(cut, b.at, n);
		http_request_init(&to, &kept_sink);
		assert_int_equal(rpc_get_http_request(&to, cut, n), ERR_SYNTAX);
		http_request_close(&to);
		free(cut);
	}
	kept_close(&from);
	buf_close(&b);
}

static void methods_have_names_and_numbers_of_their_own(void **state)
{
	static const uint32_t numbers[] = {
#define X(name, number, request, reply, callers) number,
		RPC_METHOD_LIST(X)
#undef X
	};
	size_t n = sizeof(numbers) / sizeof(numbers[0]);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(numbers[i], numbers[j]);
		}
	}
	assert_string_equal(rpc_method_text(RPC_METHOD_NODE_UPDATE), "NODE_UPDATE");
	assert_string_equal(rpc_method_text(9999), "unknown method");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_survive_a_round_trip),
		cmocka_unit_test(a_part_of_a_frame_is_not_yet_one),
		cmocka_unit_test(frames_are_bounded_on_both_sides),
		cmocka_unit_test(garbage_is_no_frame),
		cmocka_unit_test(http_requests_travel_and_count_their_hops),
		cmocka_unit_test(http_answers_travel),
		cmocka_unit_test(a_header_cannot_end_its_line),
		cmocka_unit_test(cut_http_payloads_are_refused),
		cmocka_unit_test(methods_have_names_and_numbers_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
