/* Any target: path, query, options and route; whatever comes in is answered once, or finds a handler. */
#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/http.h"
#include "proto/rpc.h"

static int answers;

static void count_answer(struct http_request *req, struct http_response *res)
{
	(void)req;
	answers++;
	assert(res->location == NULL || (res->location[0] == '/' && res->location[1] != '/'));
	buf_close(&res->body);
}

static const struct http_sink sink = {.answer = count_answer};

static const struct http_route routes[] = {
	{.pattern = "/", .methods = HTTP_BIT_GET},
	{.pattern = "/ui/:path...?", .methods = HTTP_BITS_ALL},
	{.pattern = "/v1/jobs", .methods = HTTP_BIT_GET},
	{.pattern = "/v1/job/:id...", .methods = HTTP_BIT_GET},
	{.pattern = "/v1/job/:id.../plan", .methods = HTTP_BITS_WRITE},
	{.pattern = "/v1/job/:id.../versions/:name/tag", .methods = HTTP_BITS_WRITE},
	{.pattern = "/v1/node/:id", .methods = HTTP_BIT_GET},
	{.pattern = "/v1/client/fs/:id?", .methods = HTTP_BIT_GET},
};

static struct http_router *router;

/* What was parsed must come through a frame unchanged. */
static void travel(const struct http_request *req)
{
	struct http_request to;
	struct buf b = {0};

	rpc_put_http_request(&b, req);
	http_request_init(&to, &sink);
	assert(rpc_get_http_request(&to, b.at, b.len) == 0);
	assert(strcmp(to.path, req->path) == 0 && strcmp(to.query, req->query) == 0);
	assert(to.method == req->method && to.n_pairs == req->n_pairs);
	http_request_close(&to);
	buf_close(&b);
}

static void check_params(const struct http_request *req)
{
	for (unsigned i = 0; i < HTTP_PARAMS_MAX; i++) {
		assert(strlen(req->params[i]) <= req->path_len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = size > 0 ? malloc(size - 1 > 0 ? size - 1 : 1) : NULL;
	struct http_options o;
	struct http_request req;
	int rv;

	if (router == NULL) {
		router = http_router_new(routes, sizeof(routes) / sizeof(routes[0]));
	}
	if (size == 0) {
		return 0;
	}
	memcpy(copy, data + 1, size - 1);
	answers = 0;
	http_request_init(&req, &sink);
	req.method = data[0] % HTTP_METHODS;
	rv = http_request_target(&req, copy, size - 1);
	if (rv == 0) {
		(void)http_options_parse(&req, &o);
		if (strlen(req.path) == req.path_len) {
			travel(&req);
		}
		rv = http_route_find(router, &req);
		assert(answers == (rv == 0 ? 0 : 1));
		check_params(&req);
	}
	http_request_close(&req);
	free(copy);
	return 0;
}
