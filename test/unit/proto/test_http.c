#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/http.h"
#include "proto/job.h"
#include "test/unit/proto/http_sink.h"

static void percent_escapes_are_decoded_once(void **state)
{
	char to[64];

	(void)state;
	assert_int_equal(http_decode(to, "a%2Fb%252f+", 11, false), 7);
	assert_string_equal(to, "a/b%2f+");
	assert_int_equal(http_decode(to, "a+b%2B", 6, true), 4);
	assert_string_equal(to, "a b+");
	assert_int_equal(http_decode(to, "x%00y", 5, false), 4);
	assert_string_equal(to, "x\xc0\x80y");
	assert_int_equal(http_decode(to, "", 0, false), 0);
	assert_string_equal(to, "");
}

static void broken_escapes_are_refused(void **state)
{
	static const char *const bad[] = {"%", "%4", "%g0", "%0g", "abc%", "%%41"};
	char to[64];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(http_decode(to, bad[i], strlen(bad[i]), false), ERR_SYNTAX);
	}
	assert_int_equal(http_decode(to, "a\0b", 3, false), ERR_SYNTAX);
}

static void a_target_is_path_and_query(void **state)
{
	struct kept k;

	(void)state;
	assert_int_equal(kept_open(&k, "GET", "/v1/jobs?prefix=a%20b&x&prefix=c&=y&z=%zz&p;q=1&stale="), 0);
	assert_string_equal(k.req.path, "/v1/jobs");
	assert_string_equal(http_query(&k.req, "prefix"), "a b");
	assert_string_equal(http_query(&k.req, "x"), "");
	assert_string_equal(http_query(&k.req, "stale"), "");
	assert_string_equal(http_query(&k.req, ""), "y");
	assert_null(http_query(&k.req, "z"));
	assert_null(http_query(&k.req, "p"));
	assert_null(http_query(&k.req, "q"));
	kept_close(&k);
	assert_int_equal(kept_open(&k, "GET", "http://host:4646/v1/jobs?"), 0);
	assert_string_equal(k.req.path, "/v1/jobs");
	assert_string_equal(k.req.query, "");
	kept_close(&k);
}

static void repeated_parameters_come_in_turn(void **state)
{
	struct kept k;
	unsigned at = 0;

	(void)state;
	assert_int_equal(kept_open(&k, "GET", "/x?a=1&b=2&a=3"), 0);
	assert_string_equal(http_query_next(&k.req, "a", &at), "1");
	assert_string_equal(http_query_next(&k.req, "a", &at), "3");
	assert_null(http_query_next(&k.req, "a", &at));
	kept_close(&k);
}

static void bad_targets_are_refused(void **state)
{
	static char big[HTTP_TARGET_MAX + 2];
	struct kept k;
	struct buf many = {0};

	(void)state;
	assert_int_equal(kept_open(&k, "GET", ""), ERR_SYNTAX);
	kept_close(&k);
	assert_int_equal(kept_open(&k, "GET", "*"), ERR_SYNTAX);
	kept_close(&k);
	assert_int_equal(kept_open(&k, "GET", "http://hostonly"), ERR_SYNTAX);
	kept_close(&k);
	memset(big, '/', sizeof(big) - 1);
	assert_int_equal(kept_open(&k, "GET", big), ERR_TOOBIG);
	kept_close(&k);
	buf_str(&many, "/x?a");
	for (int i = 0; i < HTTP_QUERY_MAX; i++) {
		buf_str(&many, "&a");
	}
	assert_int_equal(kept_open(&k, "GET", buf_text(&many)), ERR_RANGE);
	kept_close(&k);
	buf_close(&many);
}

static void typed_parameters_keep_their_default_or_say_what_is_wrong(void **state)
{
	struct kept k;
	bool yes = true;
	int64_t n = 7;

	(void)state;
	assert_int_equal(
		kept_open(&k, "DELETE", "/x?purge=maybe&no=F&n=-12&bad=5x&big=99999999999999999999&d=1m30s&e=5"), 0);
	assert_int_equal(http_query_bool(&k.req, "absent", &yes), 0);
	assert_true(yes);
	assert_int_equal(http_query_bool(&k.req, "no", &yes), 0);
	assert_false(yes);
	assert_int_equal(http_query_bool(&k.req, "purge", &yes), ERR_INVALID);
	assert_non_null(strstr(k.req.error, "Failed to parse value of \"purge\" (maybe) as a bool"));
	assert_int_equal(http_query_int(&k.req, "n", &n), 0);
	assert_int_equal(n, -12);
	assert_int_equal(http_query_int(&k.req, "bad", &n), ERR_INVALID);
	assert_non_null(strstr(k.req.error, "invalid syntax"));
	assert_int_equal(http_query_int(&k.req, "big", &n), ERR_INVALID);
	assert_non_null(strstr(k.req.error, "out of range"));
	assert_int_equal(n, -12);
	assert_int_equal(http_query_duration(&k.req, "d", &n), 0);
	assert_int_equal(n, 90 * NS_PER_S);
	assert_int_equal(http_query_duration(&k.req, "e", &n), ERR_INVALID);
	kept_close(&k);
}

static void options_have_defaults_and_bounds(void **state)
{
	struct http_options o;
	struct kept k;

	(void)state;
	assert_int_equal(kept_open(&k, "GET", "/v1/jobs"), 0);
	assert_int_equal(http_options_parse(&k.req, &o), 0);
	assert_string_equal(o.namespace_, "default");
	assert_int_equal(o.wait_ns, 5 * NS_PER_MIN);
	assert_int_equal(o.index, 0);
	assert_false(o.stale || o.consistent || o.reverse);
	kept_close(&k);
	assert_int_equal(
		kept_open(&k, "GET",
			  "/v1/jobs?index=18446744073709551615&wait=1h&stale&consistent&namespace=*&region=eu&prefix=p"
			  "&filter=ID+==+%22x%22&per_page=5&next_token=t&reverse=true"),
		0);
	assert_int_equal(http_options_parse(&k.req, &o), 0);
	assert_true(o.index == UINT64_MAX && o.stale && o.consistent && o.reverse);
	assert_int_equal(o.wait_ns, 10 * NS_PER_MIN);
	assert_string_equal(o.namespace_, "*");
	assert_string_equal(o.region, "eu");
	assert_string_equal(o.filter, "ID == \"x\"");
	assert_int_equal(o.per_page, 5);
	kept_close(&k);
}

static void bad_options_are_told(void **state)
{
	static const struct {
		const char *target, *error;
	} cases[] = {
		{"/v1/jobs?wait=abc", "Invalid wait time"},
		{"/v1/jobs?wait=5", "Invalid wait time"},
		{"/v1/jobs?index=abc", "Invalid index"},
		{"/v1/jobs?index=-1", "Invalid index"},
		{"/v1/jobs?index=18446744073709551616", "Invalid index"},
		{"/v1/jobs?stale=perhaps", "Expect `true` or `false` for `stale` query string parameter, got perhaps"},
		{"/v1/jobs?per_page=x", "Expect a number for `per_page` query string parameter, got x"},
	};
	struct http_options o;
	struct kept k;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(kept_open(&k, "GET", cases[i].target), 0);
		assert_int_equal(http_options_parse(&k.req, &o), ERR_INVALID);
		assert_string_equal(k.req.error, cases[i].error);
		kept_close(&k);
	}
}

static void answers_get_a_status_and_a_type(void **state)
{
	struct http_response res = {0};
	struct kept k;

	(void)state;
	kept_open(&k, "GET", "/x");
	buf_str(&res.body, "{}");
	http_answer(&k.req, &res);
	assert_int_equal(k.res.status, 200);
	assert_string_equal(k.res.type, "application/json");
	kept_close(&k);
	kept_open(&k, "GET", "/x");
	http_answer_text(&k.req, 404, "%s not found", "job");
	assert_int_equal(k.res.status, 404);
	assert_string_equal(k.res.type, "text/plain; charset=utf-8");
	assert_string_equal(buf_text(&k.body), "job not found");
	kept_close(&k);
	kept_open(&k, "GET", "/x");
	http_answer_error(&k.req, ERR_NOSPACE);
	assert_int_equal(k.res.status, 507);
	assert_string_equal(buf_text(&k.body), "disk full");
	kept_close(&k);
}

static void a_body_that_failed_is_a_500(void **state)
{
	struct http_response res = {.body = {.failed = true}};
	struct kept k;

	(void)state;
	kept_open(&k, "GET", "/x");
	http_answer(&k.req, &res);
	assert_int_equal(k.res.status, 500);
	assert_int_equal(k.body.len, 0);
	kept_close(&k);
}

static void pretty_indents_json_alone_and_shared_bodies_too(void **state)
{
	static const char *const targets[] = {"/x?pretty", "/x?pretty=1", "/x?pretty=true", "/x?pretty=0"};
	struct kept k;

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct http_response res = {0};

		kept_open(&k, "GET", targets[i]);
		buf_str(&res.body, "{\"a\":1}");
		http_answer(&k.req, &res);
		assert_string_equal(buf_text(&k.body), i < 3 ? "{\n    \"a\": 1\n}\n" : "{\"a\":1}");
		kept_close(&k);
	}
	for (int i = 0; i < 2; i++) {
		struct buf b = {0};
		struct http_response res = {0};

		buf_str(&b, "{\"a\":1}");
		res.shared = http_body_new(&b);
		kept_open(&k, "GET", i == 0 ? "/x?pretty" : "/x");
		http_answer(&k.req, &res);
		assert_string_equal(buf_text(&k.body), i == 0 ? "{\n    \"a\": 1\n}\n" : "{\"a\":1}");
		kept_close(&k);
	}
	kept_open(&k, "GET", "/x?pretty");
	http_answer_text(&k.req, 200, "{\"a\":1}");
	assert_string_equal(buf_text(&k.body), "{\"a\":1}");
	kept_close(&k);
}

/* --- Routes ------------------------------------------------------------------------------------------------------- */

static void no_handler(void *ctx, struct http_request *req)
{
	(void)ctx;
	(void)req;
}

#define ROUTE(pattern_, methods_)                                                                                      \
	{                                                                                                              \
		.pattern = pattern_, .methods = methods_, .handle_cb = no_handler                                      \
	}

static const struct http_route routes[] = {
	ROUTE("/", HTTP_BIT_GET),
	ROUTE("/ui/:path...?", HTTP_BITS_ALL),
	ROUTE("/.well-known/jwks.json", HTTP_BIT_GET),
	ROUTE("/v1/jobs", HTTP_BIT_GET),
	ROUTE("/v1/jobs", HTTP_BITS_WRITE),
	ROUTE("/v1/jobs/parse", HTTP_BITS_WRITE),
	ROUTE("/v1/job/:id...", HTTP_BIT_GET | HTTP_BITS_WRITE),
	ROUTE("/v1/job/:id...", HTTP_BIT_DELETE),
	ROUTE("/v1/job/:id.../allocations", HTTP_BIT_GET),
	ROUTE("/v1/job/:id.../dispatch", HTTP_BITS_WRITE),
	ROUTE("/v1/job/:id.../dispatch/payload", HTTP_BITS_WRITE),
	ROUTE("/v1/job/:id.../periodic/force", HTTP_BITS_WRITE),
	ROUTE("/v1/job/:id.../versions", HTTP_BIT_GET),
	ROUTE("/v1/job/:id.../versions/:name/tag", HTTP_BITS_WRITE | HTTP_BIT_DELETE),
	ROUTE("/v1/node/:id", HTTP_BIT_GET),
	ROUTE("/v1/node/:id/allocations", HTTP_BIT_GET),
	ROUTE("/v1/node/pools", HTTP_BIT_GET),
	ROUTE("/v1/node/pool/:name", HTTP_BIT_GET),
	ROUTE("/v1/client/fs/ls/:id?", HTTP_BIT_GET),
	ROUTE("/v1/acl/policy/self", HTTP_BIT_GET),
	ROUTE("/v1/acl/policy/:name", HTTP_BIT_GET),
};

static struct http_router *router;

static int make_router(void **state)
{
	(void)state;
	router = http_router_new(routes, sizeof(routes) / sizeof(routes[0]));
	return router != NULL ? 0 : -1;
}

static int free_router(void **state)
{
	(void)state;
	http_router_free(router);
	return 0;
}

static void paths_find_their_routes_and_parameters(void **state)
{
	static const struct {
		const char *method, *path, *pattern, *params[3];
	} cases[] = {
		{"GET", "/", "/", {"", "", ""}},
		{"GET", "/ui/", "/ui/:path...?", {"", "", ""}},
		{"PATCH", "/ui/a/b.js", "/ui/:path...?", {"a/b.js", "", ""}},
		{"GET", "/.well-known/jwks.json", "/.well-known/jwks.json", {"", "", ""}},
		{"GET", "/v1/jobs", "/v1/jobs", {"", "", ""}},
		{"PUT", "/v1/jobs/parse", "/v1/jobs/parse", {"", "", ""}},
		{"GET", "/v1/job/web", "/v1/job/:id...", {"web", "", ""}},
		{"DELETE", "/v1/job/a/b/c", "/v1/job/:id...", {"a/b/c", "", ""}},
		{"GET", "/v1/job/a%2Fb", "/v1/job/:id...", {"a/b", "", ""}},
		{"GET", "/v1/job/allocations", "/v1/job/:id...", {"allocations", "", ""}},
		{"GET", "/v1/job/a%2Fallocations", "/v1/job/:id...", {"a/allocations", "", ""}},
		{"GET", "/v1/job/a/allocations", "/v1/job/:id.../allocations", {"a", "", ""}},
		{"GET", "/v1/job/a/b/allocations", "/v1/job/:id.../allocations", {"a/b", "", ""}},
		{"POST", "/v1/job/a/dispatch", "/v1/job/:id.../dispatch", {"a", "", ""}},
		{"POST", "/v1/job/a/dispatch/payload", "/v1/job/:id.../dispatch/payload", {"a", "", ""}},
		{"POST", "/v1/job/a/b/periodic/force", "/v1/job/:id.../periodic/force", {"a/b", "", ""}},
		{"POST", "/v1/job/periodic/force", "/v1/job/:id...", {"periodic/force", "", ""}},
		{"GET", "/v1/job/%64%20x/versions", "/v1/job/:id.../versions", {"d x", "", ""}},
		{"PUT", "/v1/job/a/b/versions/v%31/tag", "/v1/job/:id.../versions/:name/tag", {"a/b", "v1", ""}},
		{"GET", "/v1/node/n", "/v1/node/:id", {"n", "", ""}},
		{"GET", "/v1/node/pools", "/v1/node/pools", {"", "", ""}},
		{"GET", "/v1/node/pool/x", "/v1/node/pool/:name", {"x", "", ""}},
		{"GET", "/v1/node/pool/allocations", "/v1/node/pool/:name", {"allocations", "", ""}},
		{"GET", "/v1/node/n/allocations", "/v1/node/:id/allocations", {"n", "", ""}},
		{"GET", "/v1/client/fs/ls/", "/v1/client/fs/ls/:id?", {"", "", ""}},
		{"GET", "/v1/client/fs/ls/abc", "/v1/client/fs/ls/:id?", {"abc", "", ""}},
		{"GET", "/v1/acl/policy/self", "/v1/acl/policy/self", {"", "", ""}},
		{"GET", "/v1/acl/policy/other", "/v1/acl/policy/:name", {"other", "", ""}},
		{"GET", "/v1/job/.x", "/v1/job/:id...", {".x", "", ""}},
		{"GET", "/v1/job/a+b", "/v1/job/:id...", {"a+b", "", ""}},
	};
	struct kept k;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kept_open(&k, cases[i].method, cases[i].path);
		assert_int_equal(http_route_find(router, &k.req), 0);
		assert_string_equal(k.req.route->pattern, cases[i].pattern);
		for (int p = 0; p < 3; p++) {
			assert_string_equal(k.req.params[p], cases[i].params[p]);
		}
		kept_close(&k);
	}
}

static void each_method_has_its_own_route(void **state)
{
	struct kept k;

	(void)state;
	kept_open(&k, "GET", "/v1/jobs");
	assert_int_equal(http_route_find(router, &k.req), 0);
	assert_ptr_equal(k.req.route, &routes[3]);
	kept_close(&k);
	kept_open(&k, "PUT", "/v1/jobs");
	assert_int_equal(http_route_find(router, &k.req), 0);
	assert_ptr_equal(k.req.route, &routes[4]);
	kept_close(&k);
}

static void unknown_paths_are_404_without_a_body(void **state)
{
	static const char *const paths[] = {
		"/v1/nope", "/v1",      "/v1/",      "/v2/jobs",     "/v1/jobs/",        "/nothing/at/all",     "/ui",
		"/v1/job",  "/v1/job/", "/v1/node/", "/v1/node/a/b", "/v1/client/fs/ls", "/v1/client/fs/ls/a/b"};
	struct kept k;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		kept_open(&k, "GET", paths[i]);
		assert_int_equal(http_route_find(router, &k.req), ERR_NOTFOUND);
		assert_int_equal(k.res.status, 404);
		assert_int_equal(k.body.len, 0);
		assert_null(k.res.type);
		kept_close(&k);
	}
}

static void other_methods_are_405(void **state)
{
	static const char *const methods[] = {"DELETE", "PATCH", "OPTIONS", "HEAD", "BREW"};
	struct kept k;

	(void)state;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		kept_open(&k, methods[i], "/v1/jobs");
		assert_int_equal(http_route_find(router, &k.req), ERR_NOTFOUND);
		assert_int_equal(k.res.status, 405);
		assert_string_equal(buf_text(&k.body), "Invalid method");
		assert_string_equal(k.res.type, "text/plain; charset=utf-8");
		assert_string_equal(k.res.extra[0].value, "GET, PUT, POST");
		kept_close(&k);
	}
}

static void unclean_paths_are_redirected(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{"//v1/jobs", "/v1/jobs"},
		{"/v1//jobs?x=1", "/v1/jobs?x=1"},
		{"/v1/./jobs", "/v1/jobs"},
		{"/v1/x/../jobs", "/v1/jobs"},
		{"/../../v1/jobs/", "/v1/jobs/"},
		{"/v1/..", "/"},
		{"/.", "/"},
		{"//evil.example/", "/evil.example/"},
		{"/a/b/..", "/a"},
	};
	struct kept k;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kept_open(&k, "GET", cases[i].from);
		assert_int_equal(http_route_find(router, &k.req), ERR_NOTFOUND);
		assert_int_equal(k.res.status, 307);
		assert_string_equal(k.res.location, cases[i].to);
		kept_close(&k);
	}
}

static void what_is_no_text_is_refused(void **state)
{
	static const char *const bad[] = {"%ff", "a%c3", "\xc3(", "%ed%a0%80", "%c0%af"};
	char to[64];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct kept k;
		char target[64];

		assert_int_equal(http_decode(to, bad[i], strlen(bad[i]), false), ERR_TYPE);
		snprintf(target, sizeof(target), "/v1/jobs?namespace=%s", bad[i]);
		assert_int_equal(kept_open(&k, "GET", target), ERR_SYNTAX);
		kept_close(&k);
		snprintf(target, sizeof(target), "/v1/jobs?a=b&%s=x", bad[i]);
		assert_int_equal(kept_open(&k, "GET", target), ERR_SYNTAX);
		kept_close(&k);
		snprintf(target, sizeof(target), "/v1/job/%s", bad[i]);
		assert_int_equal(kept_open(&k, "GET", target), 0);
		assert_int_equal(http_route_find(router, &k.req), ERR_NOTFOUND);
		assert_int_equal(k.res.status, 400);
		kept_close(&k);
	}
}

static void broken_escapes_in_a_path_are_400(void **state)
{
	struct kept k;

	(void)state;
	kept_open(&k, "GET", "/v1/job/a%zz");
	assert_int_equal(http_route_find(router, &k.req), ERR_NOTFOUND);
	assert_int_equal(k.res.status, 400);
	kept_close(&k);
}

static void methods_have_names(void **state)
{
	(void)state;
	for (unsigned m = 0; m < HTTP_OTHER; m++) {
		const char *name = http_method_text(m);

		assert_int_equal(http_method_parse(name, strlen(name)), m);
	}
	assert_int_equal(http_method_parse("get", 3), HTTP_OTHER);
	assert_string_equal(http_status_text(429), "Too Many Requests");
	assert_string_equal(http_status_text(299), "Unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percent_escapes_are_decoded_once),
		cmocka_unit_test(broken_escapes_are_refused),
		cmocka_unit_test(what_is_no_text_is_refused),
		cmocka_unit_test(a_target_is_path_and_query),
		cmocka_unit_test(repeated_parameters_come_in_turn),
		cmocka_unit_test(bad_targets_are_refused),
		cmocka_unit_test(typed_parameters_keep_their_default_or_say_what_is_wrong),
		cmocka_unit_test(options_have_defaults_and_bounds),
		cmocka_unit_test(bad_options_are_told),
		cmocka_unit_test(answers_get_a_status_and_a_type),
		cmocka_unit_test(a_body_that_failed_is_a_500),
		cmocka_unit_test(pretty_indents_json_alone_and_shared_bodies_too),
		cmocka_unit_test(paths_find_their_routes_and_parameters),
		cmocka_unit_test(each_method_has_its_own_route),
		cmocka_unit_test(unknown_paths_are_404_without_a_body),
		cmocka_unit_test(other_methods_are_405),
		cmocka_unit_test(unclean_paths_are_redirected),
		cmocka_unit_test(broken_escapes_in_a_path_are_400),
		cmocka_unit_test(methods_have_names),
	};

	return cmocka_run_group_tests(tests, make_router, free_router);
}
