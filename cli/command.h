/**
 * Commands: one description each, from which dispatch, flags, help and exit codes follow.
 *
 *     drover job run -detach web.json
 *            ^^^^^^^ ^^^^^^^ ^^^^^^^^
 *            name    flag    argument
 *
 * Flags are written -name=value, -name value or, for switches, -name; two dashes will do as well. They may stand among
 * the arguments; what follows "--" is no flag.
 *
 * Exit codes: 0; EXIT_ERROR (1) for whatever goes wrong; EXIT_UNPLACED (2) when a job could not be placed;
 * EXIT_NO_COMMAND (127) for a command that does not exist.
 */
#ifndef CLI_COMMAND_H_
#define CLI_COMMAND_H_

#include <stdbool.h>
#include <stdio.h>

#include "lib/arena.h"

enum { EXIT_OK = 0, EXIT_ERROR = 1, EXIT_UNPLACED = 2, EXIT_NO_COMMAND = 127 };

struct flag {
	const char *name;  /* Without the dash; NULL ends an array of flags. */
	const char *takes; /* What the value is, for the help; NULL for a switch. */
	const char *help;
};

/* A flag that was given. A switch's value is "true" or "false". */
struct given {
	const char *name;
	const char *value;
};

struct command;

/* The command line, and memory for as long as the command runs. */
struct args {
	const struct command *command;
	struct arena *mem;
	struct given *given; /* In the order of the command line. */
	unsigned n_given;
	const char **rest; /* The arguments. */
	unsigned n_rest;
};

struct command {
	const char *name;    /* "job run" */
	const char *usage;   /* "[options] FILE" */
	const char *summary; /* One line, without a full stop. */
	const char *details; /* Further paragraphs, or NULL. */
	const struct flag *flags;
	bool api; /* Talks to a server: takes the flags of cli/client.h as well. */
	bool leads; /* Flags come before the first argument only: the others may be a command with flags of its own. */
	unsigned min;
	unsigned max; /* How many arguments it takes. */
	int (*run)(struct args *args);
};

/* The value that was given last, or `otherwise`. */
const char *args_get(const struct args *args, const char *flag, const char *otherwise);

/* Whether a switch was given, and not as -name=false. */
bool args_has(const struct args *args, const char *flag);

/* A number that is not negative; false, with a word on stderr, if it is given but is none. Untouched if not given. */
bool args_number(const struct args *args, const char *flag, long long *n);

/* Run what the command line names; returns the exit code. */
int command_main(int argc, char **argv);

#endif /* CLI_COMMAND_H_ */
