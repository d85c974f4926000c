/** Declarations of all handlers, from the list of routes. */
#ifndef SERVER_API_HANDLERS_H_
#define SERVER_API_HANDLERS_H_

#include "server/api_query.h"
#include "server/api_routes.h"
#include "server/api_write.h"

#define X(name, methods, pattern, capability) extern const struct query_kind query_##name;
API_READS(X)
#undef X
#define X(name, methods, pattern, capability) void serve_##name(struct api *api, struct http_request *req);
API_WRITES(X)
#undef X
#define X(name, methods, pattern, capability, consistency) void serve_##name(struct api *api, struct http_request *req);
API_OTHERS(X)
#undef X

#endif /* SERVER_API_HANDLERS_H_ */
