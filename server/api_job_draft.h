/** A job that a client sends: the same way from the body to a valid job for registering, validating and planning. */
#ifndef SERVER_API_JOB_DRAFT_H_
#define SERVER_API_JOB_DRAFT_H_

#include "server/api_answer.h"

struct job_draft {
	struct job_request request;
	struct job *job;     /* request.job: canonical after draft_complete(). */
	struct buf warnings; /* Closed by draft_close(). */
	struct buf faults;   /* "" if it is valid. */
};

/* Decode the body. 0, or answered with 400. */
int draft_read(struct http_request *req, struct job_draft *d);

/* What the job must say for itself. 0, or answered with 400; the text tells what is missing. */
int draft_needs_id(struct http_request *req, struct job_draft *d, const char *text);

/* Fill in what was left open, and check it all: the outcome is in d->faults. The view tells of its namespace and of the
 * job as it is. ERR_NOMEM, ERR_CORRUPT. */
int draft_complete(struct api *api, struct http_request *req, const struct view *v, struct job_draft *d);

void draft_close(struct job_draft *d);

/* Whether the job is for this region; else the request has been answered or passed on, and the draft is closed. */
bool draft_region_is_ours(struct api *api, struct http_request *req, struct job_draft *d);

/* The faults of a list as proto/faults.h writes it, one by one. ERR_NOMEM. */
int faults_split(const char *text, struct strs *out, struct arena *mem);

#endif /* SERVER_API_JOB_DRAFT_H_ */
