#include "cli/commands.h"

static int run(struct args *args)
{
	(void)args;
	printf("drover v%s\n", DROVER_VERSION);
	return EXIT_OK;
}

const struct command command_version = {
	.name = "version",
	.usage = "",
	.summary = "Print the version",
	.run = run,
};
