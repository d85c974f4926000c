#include "cli/agent.h"

#include <signal.h>
#include <string.h>

#include "cli/command.h"
#include "lib/log.h"

static void log_summary(const struct agent_config *c)
{
	const char *roles = c->server->enabled && c->client->enabled ? "server and client"
			    : c->server->enabled                     ? "server"
								     : "client";

	log_info("agent", "drover v%s: %s \"%s\" in datacenter %s of region %s", DROVER_VERSION, roles, c->name,
		 c->datacenter, c->region);
	log_info("agent", "data in %s", c->data_dir);
	log_info("agent", "HTTP at %s, RPC at %s, serf at %s", c->advertise->http, c->advertise->rpc,
		 c->advertise->serf);
}

int agent_run(const struct agent_config *config)
{
	sigset_t stop;
	int signal;

	log_summary(config);
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	while (sigwait(&stop, &signal) != 0) {
	}
	log_info("agent", "stopping: %s", strsignal(signal));
	return EXIT_OK;
}
