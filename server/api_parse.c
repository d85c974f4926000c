/* Job files in HCL, made into jobs. */
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/jobspec.h"
#include "server/api_answer.h"
#include "server/api_handlers.h"

#define PARSE_REQUEST_FIELDS(X, T)                                                                                     \
	X(T, STR, job_hcl, "JobHCL")                                                                                   \
	X(T, STR, variables, "Variables")                                                                              \
	X(T, MAP, variable_flags, "VariableFlags")                                                                     \
	X(T, BOOL, canonicalize, "Canonicalize")                                                                       \
	X(T, BOOL, hcl_v1, "HCLv1")

OBJECT_DECLARE(parse_request, PARSE_REQUEST_FIELDS);
OBJECT_DEFINE(parse_request, PARSE_REQUEST_FIELDS);

/* A job file under way. What the chore makes is in memory of its own. */
struct parsing {
	struct core_chore core;
	struct api *api;
	struct http_request *req;
	struct parse_request asked;
	struct jobspec_source source;
	struct arena mem;
	struct buf json; /* Of the job; */
	struct buf why;  /* or what is wrong. */
	int rv;
};

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
		.flags = &r->variable_flags,
		.seed = random_bits(api),
	};
}

/* ---- on another thread: a hostile file takes half a second ---- */

static int parse(struct parsing *p)
{
	struct job job;
	int rv = jobspec_parse(&p->source, &p->mem, &job, &p->why);

	if (rv == 0 && p->asked.canonicalize) {
		rv = job_canonicalize(&job, &p->mem);
	}
	if (rv != 0) {
		return rv;
	}
	if (p->asked.canonicalize) {
		json_encode(&job_type, &job, &p->json);
	} else {
		json_encode_given(&job_type, &job, &p->json);
	}
	return p->json.failed ? ERR_NOMEM : 0;
}

static void run_parse(struct core_chore *chore)
{
	struct parsing *p = CONTAINER_OF(chore, struct parsing, core);

	p->rv = parse(p);
}

/* ---- the request ---- */

static void end(struct parsing *p)
{
	arena_close(&p->mem);
	buf_close(&p->json);
	buf_close(&p->why);
	free(p);
}

static void parse_done(struct core_call *call)
{
	struct parsing *p = CONTAINER_OF(call, struct parsing, core.call);
	struct api *api = p->api;
	int rv = call->status != 0 ? call->status : p->rv;

	if (rv == 0) {
		http_answer_json(p->req, &p->json, 0);
	} else if (call->status == 0 && rv != ERR_NOMEM) {
		http_answer_text(p->req, 400, "error parsing job file from %s:\n%s", p->source.name,
				 buf_text(&p->why));
	} else {
		http_answer_error(p->req, rv);
	}
	end(p);
	api_rearm(api);
}

static bool read_request(struct http_request *req, struct parse_request *r)
{
	if (body_decode(req, &parse_request_type, r, BODY_REQUIRED, NULL) != 0) {
		return false;
	}
	if (r->job_hcl[0] == '\0') {
		http_answer_text(req, 400, "Job spec is empty");
		return false;
	}
	if (r->variable_flags.n > JOBSPEC_MAX_NAMES) {
		http_answer_text(req, 400, "VariableFlags has more than %d variables", JOBSPEC_MAX_NAMES);
		return false;
	}
	if (r->hcl_v1) {
		http_answer_text(req, 400, "HCLv1 is not supported: job files are HCL2");
		return false;
	}
	return true;
}

void serve_job_parse(struct api *api, struct http_request *req)
{
	struct parse_request r;
	struct parsing *p;

	if (!read_request(req, &r)) {
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	p->api = api;
	p->req = req;
	p->asked = r; /* Its texts are the request's. */
	p->source = source_of(api, &p->asked);
	p->core.call.done_cb = parse_done;
	p->core.run_cb = run_parse;
	api->link->ops->chore(api->link, &p->core);
}
