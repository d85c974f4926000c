/* Job files in HCL, made into jobs. */
#include <string.h>

#include "proto/error.h"
#include "proto/jobspec.h"
#include "server/api_answer.h"
#include "server/api_handlers.h"

#define PARSE_REQUEST_FIELDS(X, T)                                                                                     \
	X(T, STR, job_hcl, "JobHCL")                                                                                   \
	X(T, STR, variables, "Variables")                                                                              \
	X(T, BOOL, canonicalize, "Canonicalize")                                                                       \
	X(T, BOOL, hcl_v1, "HCLv1")

OBJECT_DECLARE(parse_request, PARSE_REQUEST_FIELDS);
OBJECT_DEFINE(parse_request, PARSE_REQUEST_FIELDS);

static struct uuid random_bits(struct api *api)
{
	const uint64_t bits[2] = {api->env.random(api->env.ctx), api->env.random(api->env.ctx)};
	struct uuid seed;

	memcpy(seed.at, bits, sizeof(seed.at));
	return seed;
}

static struct jobspec_source source_of(struct api *api, const struct parse_request *r)
{
	return (struct jobspec_source){
		.text = r->job_hcl,
		.len = strlen(r->job_hcl),
		.name = "input.hcl",
		.variables = r->variables,
		.variables_len = strlen(r->variables),
		.variables_name = "input.hcl.vars",
		.seed = random_bits(api),
	};
}

static void answer_job(struct http_request *req, struct job *job, bool canonicalize)
{
	struct buf out = {0};
	int rv = canonicalize ? job_canonicalize(job, &req->mem) : 0;

	if (rv == 0 && canonicalize) {
		json_encode(&job_type, job, &out);
	} else if (rv == 0) {
		json_encode_given(&job_type, job, &out);
	}
	if (rv != 0 || out.failed) {
		http_answer_error(req, ERR_NOMEM);
	} else {
		http_answer_json(req, &out, 0);
	}
	buf_close(&out);
}

void serve_job_parse(struct api *api, struct http_request *req)
{
	struct parse_request r;
	struct jobspec_source source;
	struct buf why = {0};
	struct job job;
	int rv;

	if (body_decode(req, &parse_request_type, &r, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if (r.job_hcl[0] == '\0') {
		http_answer_text(req, 400, "Job spec is empty");
		return;
	}
	if (r.hcl_v1) {
		http_answer_text(req, 400, "HCLv1 is not supported: job files are HCL2");
		return;
	}
	source = source_of(api, &r);
	rv = jobspec_parse(&source, &req->mem, &job, &why);
	if (rv == ERR_NOMEM) {
		http_answer_error(req, rv);
	} else if (rv != 0) {
		http_answer_text(req, 400, "error parsing job file from %s:\n%s", source.name, buf_text(&why));
	} else {
		answer_job(req, &job, r.canonicalize);
	}
	buf_close(&why);
}
