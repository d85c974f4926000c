#include "cli/commands.h"
#include "cli/config.h"
#include "proto/error.h"

static int run(struct args *args)
{
	struct hcl_report report = {.mem = args->mem};
	struct agent_config config;
	struct buf text = {0};
	int rv = config_init(&config, args->mem);
	unsigned i;

	for (i = 0; i < args->n_rest && rv != ERR_NOMEM; i++) {
		rv = config_read(&config, args->rest[i], args->mem, &report);
	}
	if (rv != ERR_NOMEM) {
		rv = config_finish(&config, args->mem, &report);
	}
	hcl_report_print(&report, &text);
	fputs(buf_text(&text), stderr);
	buf_close(&text);
	if (rv == ERR_NOMEM || report.errors > 0) {
		fprintf(stderr, rv == ERR_NOMEM ? "out of memory\n" : "Configuration is invalid\n");
		return EXIT_ERROR;
	}
	printf("Configuration is valid!\n");
	return EXIT_OK;
}

const struct command command_config_validate = {
	.name = "config validate",
	.usage = "PATH...",
	.summary = "Check configuration files of an agent",
	.details =
		"The files and directories are laid over each other as -config does, and the whole is checked as at an "
		"agent's start.",
	.min = 1,
	.max = 1000,
	.run = run,
};
