/** Requests for files and logs of an allocation, /v1/client/fs/...; for client/handlers.c. */
#ifndef CLIENT_HANDLERS_FS_H_
#define CLIENT_HANDLERS_FS_H_

#include "client/fs_api.h"
#include "proto/http.h"

struct client;
struct client_alloc;

/* Answer, now or later. */
void fs_answer(struct client_alloc *ca, enum fs_request what, struct http_request *req);

/* Answer with the data of an allocation, as client/carry.h has it. */
void fs_answer_data(struct client_alloc *ca, struct http_request *req);

/* End all that are under way, cut as they are. */
void fs_end_all(struct client *c);

#endif /* CLIENT_HANDLERS_FS_H_ */
