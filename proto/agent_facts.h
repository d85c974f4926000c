/**
 * What an agent of either kind tells of its machine and its process: /v1/agent/host and /v1/agent/pprof.
 *
 * Reading the machine is I/O, which whoever starts the agent does: it gives the functions.
 */
#ifndef PROTO_AGENT_FACTS_H_
#define PROTO_AGENT_FACTS_H_

#include "proto/http.h"

/* Callable from any thread. NULL: not known. */
struct agent_facts {
	int (*host)(struct buf *out);    /* JSON of the machine. 0 or an ERR_ code. */
	int (*cmdline)(struct buf *out); /* The process's arguments, with zeros between them. */
	bool debug;                      /* enable_debug: profiles may be asked for. */
};

/* Answer. `facts` may be NULL. */
void agent_facts_host(const struct agent_facts *facts, const char *agent_id, struct http_request *req);
void agent_facts_pprof(const struct agent_facts *facts, const char *profile, struct http_request *req);

#endif /* PROTO_AGENT_FACTS_H_ */
