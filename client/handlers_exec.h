/** Commands that somebody runs in a task by the API, /v1/client/allocation/:id/exec; for client/handlers.c. */
#ifndef CLIENT_HANDLERS_EXEC_H_
#define CLIENT_HANDLERS_EXEC_H_

#include "proto/http.h"

struct client;
struct client_alloc;

/* A GET begins a session (see http_request.session), in which the command runs. It ends with its client. */
void exec_answer(struct client_alloc *ca, struct http_request *req);

/* A PUT has what the session's client says. */
void exec_input_answer(struct client *c, struct http_request *req);

/* End all that are under way. */
void exec_end_all(struct client *c);

#endif /* CLIENT_HANDLERS_EXEC_H_ */
