#include "proto/agent_facts.h"

#include <string.h>

#include "proto/error.h"
#include "proto/object.h"

void agent_facts_host(const struct agent_facts *facts, const char *agent_id, struct http_request *req)
{
	struct http_response res = {.type = "application/json"};
	int rv;

	buf_str(&res.body, "{\"AgentID\":");
	json_put_str(&res.body, agent_id, strlen(agent_id));
	buf_str(&res.body, ",\"HostData\":");
	rv = facts != NULL && facts->host != NULL ? facts->host(&res.body) : ERR_NOTFOUND;
	buf_byte(&res.body, '}');
	if (rv != 0 || res.body.failed) {
		buf_close(&res.body);
		http_answer_error(req, rv == ERR_NOTFOUND ? ERR_INVALID : ERR_NOMEM);
		return;
	}
	http_answer(req, &res);
}

void agent_facts_pprof(const struct agent_facts *facts, const char *profile, struct http_request *req)
{
	struct http_response res = {.type = "text/plain; charset=utf-8"};

	if (facts == NULL || !facts->debug || facts->cmdline == NULL) {
		http_answer_text(req, 403, "Permission denied: profiles need enable_debug");
	} else if (strcmp(profile, "cmdline") != 0) {
		http_answer_text(req, 501,
				 "this agent has no profile \"%s\": it is no Go program; only \"cmdline\" is told",
				 profile);
	} else if (facts->cmdline(&res.body) != 0) {
		buf_close(&res.body);
		http_answer_error(req, ERR_NOMEM);
	} else {
		http_answer(req, &res);
	}
}
