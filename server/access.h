/**
 * Who asks, and what he may do: tokens of requests, resolved, and the one check before a handler.
 *
 * While the server has no ACLs (struct api_config), a request's `access` is NULL and everything is allowed. Else each
 * request has one from before its handler is called: who has no token is anonymous, and may do what the policy
 * "anonymous" says, if there is one.
 *
 * What a route needs is the `capability` of its line (server/api_routes.h):
 *
 *     WHAT "/" NEED ["&" NEED ...] [";" the same for methods that are not GET]
 *
 *     need    "open"                        nothing: the token is not even looked at
 *             "token"                       a token that is good, or none; handlers leave out what it may not see
 *             "management"                  a management token
 *             "read-job|scale-job"          one of these capabilities, in the namespace
 *             "node:read"                   a level of agent, node, operator, quota or plugin
 *             "node_pool:read"              of the pool in the path, or of any if none is there
 *             "variables:list"              of the variable in the path; list: of any in the namespace
 *             "namespace:any"               anything in the namespace that the path names
 *             "anything"                    a token that may see something: of a search, of events
 *
 *     what    says whose namespace is meant. Without it, it is the one that the request asks for ("*": any will do, and
 *             lists leave out what is in others);
 *             "alloc/", "eval/", "deployment/": of the object in the path; any will do for one that is not there, so
 *             that it is told that it is not;
 *             "any/": any will do, whatever the request asks for: for lists that leave out what is in others;
 *             "exec/", "action/": of the allocation, or of the job, whose task a command is run beside; with
 *             alloc-node-exec, if that has no file system of its own;
 *             "...+tasks": tasks may ask this in their templates, through their node: it gets what belongs to the task
 *             that asks (?task=ALLOC/TASK), services of the same namespace and the variables below nomad/jobs that
 *             are its own, or its policies allow. A node without ACLs does not say which task asks: it gets what
 *             belongs to all that runs on it, but for policies that are for a task alone;
 *             "body/": of what the body holds. Any will do before the handler; where the body is decoded, in
 *             server/api_job_draft.c and the like, access_job() and its siblings look at the rest.
 *
 * A malformed need is a broken promise. Routes without one do not exist: access_new() looks.
 *
 * Of one thread, but for struct access.
 */
#ifndef SERVER_ACCESS_H_
#define SERVER_ACCESS_H_

#include <stdatomic.h>

#include "proto/http.h"
#include "proto/job.h"
#include "proto/policy.h"
#include "raft/state.h"

/* Of requests with the same token; counted, and of any thread. */
struct access {
	atomic_uint refs;
	struct acl *acl;
	bool anonymous;
	bool passing; /* Made for this request alone: nothing of its answer is kept. */
	char accessor[UUID_TEXT]; /* Of the token; "anonymous". */
	const char *type;         /* "client" or "management". */
	char name[];              /* Of the token. */
};

/* ---- asking, for handlers ---- */

static inline const struct acl *access_acl(const struct http_request *req)
{
	return req->access != NULL ? req->access->acl : NULL;
}

/* Those who are told everything share what is kept of answers: 0, also without ACLs. */
static inline uint64_t access_serial(const struct http_request *req)
{
	return req->access != NULL ? acl_serial(req->access->acl) : 0;
}

/* Whether whoever asks may do it in this namespace. */
static inline bool access_in(const struct http_request *req, const char *ns, enum acl_cap cap)
{
	return req->access == NULL || acl_in_namespace(req->access->acl, ns, cap);
}

static inline bool access_variable(const struct http_request *req, const char *ns, const char *path,
				   enum acl_variable_right right)
{
	return req->access == NULL || acl_variable(req->access->acl, ns, path, right);
}

static inline bool access_node_pool(const struct http_request *req, const char *pool, enum acl_pool_right right)
{
	return req->access == NULL || acl_node_pool(req->access->acl, pool, right);
}

/* A canonical job of a body: what the route needs, in its namespace; and for one that is to be submitted the volumes that
 * it mounts and the plugins that it is. */
bool access_job(const struct http_request *req, const struct job *job);

/* ---- the check ---- */

enum access_verdict {
	ACCESS_YES,
	ACCESS_DENIED,
	ACCESS_UNKNOWN, /* There is no such token. */
	ACCESS_EXPIRED,
	ACCESS_FAILED,  /* Memory is exhausted, or a policy is damaged. */
};

struct access_book;

/* The routes are borrowed; the seed is random. NULL when memory is exhausted. */
struct access_book *access_new(const struct http_route *routes, size_t n, uint64_t seed);
void access_free(struct access_book *b);

/* Whether the request may go on, by the tokens and policies of this view; with ACCESS_YES it has an access, with anything
 * else none. It may be asked again. `wall_ns` is Unix time. */
enum access_verdict access_check(struct access_book *b, const struct view *v, struct http_request *req, int64_t wall_ns);

/* The text of a verdict, for a 403. */
const char *access_text(enum access_verdict verdict);

#endif /* SERVER_ACCESS_H_ */
