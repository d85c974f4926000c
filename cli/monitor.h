/** Following an evaluation to its end, with a line for each thing that happens. */
#ifndef CLI_MONITOR_H_
#define CLI_MONITOR_H_

#include "cli/client.h"

/* Returns the exit code: EXIT_OK, EXIT_UNPLACED if something could not be placed, EXIT_ERROR. */
int monitor_eval(struct client *c, const char *id, bool verbose);

#endif /* CLI_MONITOR_H_ */
