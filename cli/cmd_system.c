#include "cli/client.h"
#include "cli/commands.h"

static int run(struct args *args)
{
	struct client c;
	bool good;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	client_url(&c, "/v1/system/gc");
	good = client_ok(&c, "running system garbage-collection", "PUT", NULL, 0);
	client_close(&c);
	return good ? EXIT_OK : EXIT_ERROR;
}

const struct command command_system_gc = {
	.name = "system gc",
	.usage = "[options]",
	.summary = "Collect what is dead: jobs, evaluations, allocations, nodes",
	.api = true,
	.run = run,
};
