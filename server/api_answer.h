/** Short forms for handlers: bodies in, objects out. */
#ifndef SERVER_API_ANSWER_H_
#define SERVER_API_ANSWER_H_

#include "server/api_parts.h"

/* Decode the body. 0, or the request has been answered with 400. An empty one is an error unless it is optional; then
 * the object has its defaults, and *given (may be NULL) is false. */
enum body_need { BODY_REQUIRED, BODY_OPTIONAL };
int body_decode(struct http_request *req, const struct type *t, void *obj, enum body_need need, bool *given);

/* A UUID of the path. 0, or answered. */
int path_uuid(struct http_request *req, unsigned param, struct uuid *out);

/* A UUID, in any place: 0, or ERR_INVALID with the text for the client. */
int api_uuid(const char *text, struct uuid *out, const char **why);

/* JSON of an object, with X-Nomad-Index. */
void answer_object(struct http_request *req, const struct type *t, const void *obj, uint64_t index);

/* Text of the request's arena; "" when memory is exhausted. */
const char *uuid_text(struct arena *mem, const struct uuid *id);

#endif /* SERVER_API_ANSWER_H_ */
