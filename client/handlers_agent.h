/** What the API may ask of the node's agent itself, for client/handlers.c. */
#ifndef CLIENT_HANDLERS_AGENT_H_
#define CLIENT_HANDLERS_AGENT_H_

#include "proto/http.h"

struct client;

void monitor_answer(struct client *c, struct http_request *req);   /* /v1/agent/monitor */
void host_answer(struct client *c, struct http_request *req);      /* /v1/agent/host */
void pprof_answer(struct client *c, struct http_request *req);     /* /v1/agent/pprof/:profile */
void hoststats_answer(struct client *c, struct http_request *req); /* /v1/client/stats */

/* The client stops: answers that do not end by themselves do. */
void monitors_end_all(struct client *c);

#endif /* CLIENT_HANDLERS_AGENT_H_ */
