/**
 * A session with a command that runs in a task: its terminal, or its streams, are ours until it has ended.
 */
#ifndef CLI_EXEC_SESSION_H_
#define CLI_EXEC_SESSION_H_

#include "cli/client.h"

struct exec_options {
	bool input;    /* Pass on what we are given to read; else its input is empty. */
	bool terminal; /* It has one; ours is made raw meanwhile. */
	char escape;   /* Behind a line's end, with a '.', leaves the session; 0: nothing does. */
};

/* Run it over a websocket at the URL that client_url() has set. The exit code of the command; EXIT_ERROR, with a word
 * on stderr, when there is none. */
int exec_session(struct client *c, const struct exec_options *options);

#endif /* CLI_EXEC_SESSION_H_ */
