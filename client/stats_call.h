/** Answering a request for what an allocation's tasks use; for client/handlers.c. */
#ifndef CLIENT_STATS_CALL_H_
#define CLIENT_STATS_CALL_H_

#include "proto/http.h"

struct client_alloc;

void stats_answer(struct client_alloc *ca, struct http_request *req);

#endif /* CLIENT_STATS_CALL_H_ */
