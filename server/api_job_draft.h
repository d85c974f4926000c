/** A job that a client sends: the same way from the body to a valid job for registering, validating and planning. */
#ifndef SERVER_API_JOB_DRAFT_H_
#define SERVER_API_JOB_DRAFT_H_

#include "raft/admission.h"
#include "server/api_answer.h"

#define DRAFT_TOO_LARGE "The job is too large"

struct job_draft {
	struct job_request request;
	struct job *job;     /* request.job: canonical after draft_complete(). */
	struct buf warnings; /* Closed by draft_close(). */
	struct buf faults;   /* "" if it is valid. */
	bool is_new;         /* There was no such job. Set by draft_complete(). */
};

enum { DISPATCH_PAYLOAD_MAX = 16384 };

/* Decode the body. 0, or answered with 400. */
int draft_read(struct http_request *req, struct job_draft *d);

/* What the job must say for itself. 0, or answered with 400; the text tells what is missing. */
int draft_needs_id(struct http_request *req, struct job_draft *d, const char *text);

/* Fill in what was left open, and check it all: the outcome is in d->faults. The view tells of its namespace and of the
 * job as it is. ERR_NOMEM, ERR_CORRUPT; ERR_DENIED: whoever asks may not do this with such a job, there. */
int draft_complete(struct api *api, struct http_request *req, const struct view *v, struct job_draft *d);

/* What registering a job without faults would be refused for: its namespace, its node pool and, with `as_update`, what the
 * job is now. 0; ERR_INVALID, told in `why`; ERR_NOMEM. */
int draft_admit(struct http_request *req, const struct view *v, const struct job_draft *d, bool as_update,
		char why[ADMISSION_WHY]);

void draft_close(struct job_draft *d);

/* The counts of all groups together; whether there may be so many, and what to say if not (of both). */
#define JOB_TOTAL_COUNT_FAULT "total count was greater than configured job_max_count: %lld > %lld"
int64_t job_total_count(const struct job *job);
bool job_total_count_fits(const struct api *api, const struct job *job);

/* Whether the job is for this region; else the request has been answered or passed on, and the draft is closed. */
bool draft_region_is_ours(struct api *api, struct http_request *req, struct job_draft *d);

/* The faults of a list as proto/faults.h writes it, one by one. ERR_NOMEM. */
int faults_split(const char *text, struct strs *out, struct arena *mem);

#endif /* SERVER_API_JOB_DRAFT_H_ */
