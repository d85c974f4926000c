/* The route table. */
#include "server/api_handlers.h"

#define X(name, methods, pattern, capability)                                                                          \
	static void read_##name(void *api, struct http_request *req)                                                   \
	{                                                                                                              \
		query_begin(api, req, &query_##name);                                                                  \
	}
API_READS(X)
#undef X

#define X(name, methods, pattern, capability)                                                                          \
	static void write_##name(void *api, struct http_request *req)                                                  \
	{                                                                                                              \
		serve_##name(api, req);                                                                                \
	}
API_WRITES(X)
#undef X

#define X(name, methods, pattern, capability, consistency)                                                             \
	static void other_##name(void *api, struct http_request *req)                                                  \
	{                                                                                                              \
		serve_##name(api, req);                                                                                \
	}
API_OTHERS(X)
#undef X

const struct http_route api_routes[] = {
#define X(name, methods, pattern, capability) {pattern, methods, HTTP_ANY_SERVER, capability, API_QUERY, read_##name},
	API_READS(X)
#undef X
#define X(name, methods, pattern, capability) {pattern, methods, HTTP_LEADER, capability, 0, write_##name},
		API_WRITES(X)
#undef X
#define X(name, methods, pattern, capability, consistency)                                                             \
	{pattern, methods, HTTP_##consistency, capability, 0, other_##name},
			API_OTHERS(X)
#undef X
};

const size_t api_n_routes = sizeof(api_routes) / sizeof(api_routes[0]);
