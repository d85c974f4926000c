/** The agent: everything that `drover agent` runs. */
#ifndef CLI_AGENT_H_
#define CLI_AGENT_H_

#include "cli/config.h"

/* Run until SIGINT or SIGTERM; returns the exit code. The configuration has been checked. The two signals are blocked on
 * entry, so that none that comes early ends the program without a word; whoever is ready for them unblocks them. */
int agent_run(const struct agent_config *config);

#endif /* CLI_AGENT_H_ */
