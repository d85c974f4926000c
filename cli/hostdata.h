/** What an agent tells of the machine it runs on and of its own process: /v1/agent/host and /v1/agent/pprof/cmdline. */
#ifndef CLI_HOSTDATA_H_
#define CLI_HOSTDATA_H_

#include "cli/config.h"
#include "proto/agent_facts.h"

/* For good: one for each process, with the configuration's enable_debug. */
const struct agent_facts *agent_hostdata(const struct agent_config *config);

#endif /* CLI_HOSTDATA_H_ */
