#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <mntent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cli/agent.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "lib/log.h"
#include "proto/error.h"

/* Flags that lay a value over the configuration: name, what it takes, path, help. A switch's value is "true". */
#define SETTING_LIST(X)                                                                                                \
	X("acl-enabled", NULL, "acl.enabled", "Enable access control lists.")                                          \
	X("acl-replication-token", "token", "acl.replication_token", "The token for replicating policies.")            \
	X("alloc-dir", "path", "client.alloc_dir", "Where allocations' directories are made.")                         \
	X("authoritative-region", "region", "server.authoritative_region", "The region that has the last word.")       \
	X("bind", "address", "bind_addr", "The address to listen at, for all services.")                               \
	X("bootstrap-expect", "number", "server.bootstrap_expect", "Servers to wait for before the first election.")   \
	X("client", NULL, "client.enabled", "Run work.")                                                               \
	X("cpu-total-compute", "mhz", "client.cpu_total_compute",                                                      \
	  "The machine's CPU power, instead of what is found.")                                                        \
	X("data-dir", "path", "data_dir", "Where all state is kept: an absolute path.")                                \
	X("dc", "datacenter", "datacenter", "The agent's datacenter.")                                                 \
	X("encrypt", "key", "server.encrypt", "The secret of all agents, in base64.")                                                   \
	X("join", "address", "server.server_join.start_join", "A server to join; may be repeated.")                    \
	X("log-include-location", NULL, "log_include_location", "Name the place in the code in log lines.")            \
	X("log-json", NULL, "log_json", "Log in JSON.")                                                                \
	X("log-level", "level", "log_level", "TRACE, DEBUG, INFO, WARN or ERROR.")                                     \
	X("max-kill-timeout", "duration", "client.max_kill_timeout", "The longest time a task may ask for to stop.")   \
	X("memory-total-mb", "mb", "client.memory_total_mb", "The machine's memory, instead of what is found.")        \
	X("meta", "key=value", "client.meta", "A value of the node's metadata; may be repeated.")                      \
	X("network-interface", "name", "client.network_interface", "The interface whose address tasks get.")           \
	X("network-speed", "mbits", "client.network_speed", "Its speed, instead of what is found.")                    \
	X("no-host-uuid", NULL, "client.no_host_uuid", "Make the node's ID at random.")                                \
	X("node", "name", "name", "The agent's name; that of the host by default.")                                    \
	X("node-class", "class", "client.node_class", "The node's class.")                                             \
	X("node-pool", "pool", "client.node_pool", "The node's pool.")                                                 \
	X("plugin-dir", "path", "plugin_dir", "Where plugins are looked for.")                                         \
	X("raft-protocol", "number", "server.raft_protocol", "Only 3.")                                                \
	X("region", "region", "region", "The agent's region.")                                                         \
	X("rejoin", NULL, "server.rejoin_after_leave", "Join again after having left.")                                \
	X("retry-interval", "duration", "server.server_join.retry_interval", "Time between attempts to join.")         \
	X("retry-join", "address", "server.server_join.retry_join",                                                    \
	  "A server to join, again and again until it is "                                                             \
	  "there; may be repeated.")                                                                                   \
	X("retry-max", "number", "server.server_join.retry_max", "Attempts to join; 0 is no limit.")                   \
	X("server", NULL, "server.enabled", "Keep the cluster's state and schedule its work.")                         \
	X("servers", "addresses", "client.servers", "Servers that a client may turn to, with commas between.")         \
	X("state-dir", "path", "client.state_dir", "Where a client keeps its state.")

static const struct flag flags[] = {
	{"config", "path",
	 "A file, or a directory of *.hcl and *.json files, laid over what came before; may be repeated."},
	{"dev", NULL, "A server and a client at 127.0.0.1, with raw_exec, and with data that goes when it ends."},
#define X(name, takes, path, help) {name, takes, help},
	SETTING_LIST(X)
#undef X
		{NULL, NULL, NULL}};

static const char *path_of(const char *flag)
{
	static const struct {
		const char *name;
		const char *path;
	} settings[] = {
#define X(name, takes, path, help) {name, path},
		SETTING_LIST(X)
#undef X
	};
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (strcmp(settings[i].name, flag) == 0) {
			return settings[i].path;
		}
	}
	return NULL;
}

/* ---- the configuration ---- */

static int read_files(const struct args *args, struct agent_config *c, struct hcl_report *report)
{
	unsigned i;
	int rv = 0;

	for (i = 0; i < args->n_given && rv != ERR_NOMEM; i++) {
		if (strcmp(args->given[i].name, "config") == 0) {
			rv = config_read(c, args->given[i].value, args->mem, report);
		}
	}
	return rv;
}

static int set_flags(const struct args *args, struct agent_config *c, struct hcl_report *report)
{
	unsigned i;
	int rv = 0;

	for (i = 0; i < args->n_given && rv != ERR_NOMEM; i++) {
		const struct given *g = &args->given[i];
		const char *path = path_of(g->name);
		const char *source = path != NULL ? arena_printf(args->mem, "-%s", g->name) : NULL;

		if (path != NULL) {
			rv = source != NULL ? config_set(c, source, path, g->value, args->mem, report) : ERR_NOMEM;
		}
	}
	return rv;
}

/* What files and flags say; faults are noted. False when memory is exhausted. */
static bool load(const struct args *args, struct agent_config *c, struct hcl_report *report)
{
	int rv = config_init(c, args->mem);

	if (rv == 0 && args_has(args, "dev")) {
		rv = config_dev(c, args->mem);
	}
	if (rv == 0) {
		rv = read_files(args, c, report);
	}
	if (rv != ERR_NOMEM && args_has(args, "dev")) {
		config_dev_roles(c);
	}
	if (rv != ERR_NOMEM) {
		rv = set_flags(args, c, report);
	}
	return rv != ERR_NOMEM;
}

static void print_report(const struct hcl_report *report)
{
	struct buf text = {0};

	hcl_report_print(report, &text);
	fputs(buf_text(&text), stderr);
	buf_close(&text);
}

/* ---- the data of -dev ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path) == 0 ? 0 : 1;
}

/* Secrets of allocations are file systems in memory. */
static void unmount_below(const char *path)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	size_t n = strlen(path);
	struct mntent *m;

	while (mounts != NULL && (m = getmntent(mounts)) != NULL) {
		if (strncmp(m->mnt_dir, path, n) == 0 && m->mnt_dir[n] == '/' && umount2(m->mnt_dir, MNT_DETACH) != 0) {
			log_warn("agent", "%s: %s", m->mnt_dir, strerror(errno));
		}
	}
	if (mounts != NULL) {
		endmntent(mounts);
	}
}

/* Only what this program made. */
static void remove_directory(const char *path)
{
	unmount_below(path);
	if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0) {
		log_warn("agent", "%s could not be removed", path);
	}
}

static const char *temporary_directory(void)
{
	const char *base = getenv("TMPDIR");

	return base != NULL && base[0] == '/' ? base : "/tmp";
}

static int run_checked(const struct args *args, struct agent_config *c, struct hcl_report *report)
{
	enum log_level level;
	int rv = config_finish(c, args->mem, report);

	print_report(report);
	if (rv == ERR_NOMEM || report->errors > 0) {
		return EXIT_ERROR;
	}
	if (log_level_parse(c->log_level, &level)) {
		log_set_level(level);
	}
	return agent_run(c);
}

static int run_in_temporary(const struct args *args, struct agent_config *c, struct hcl_report *report)
{
	char directory[PATH_MAX];
	int code;

	snprintf(directory, sizeof(directory), "%s/drover-dev-XXXXXX", temporary_directory());
	if (mkdtemp(directory) == NULL) {
		fprintf(stderr, "%s: %s\n", directory, strerror(errno));
		return EXIT_ERROR;
	}
	c->data_dir = directory;
	code = run_checked(args, c, report);
	remove_directory(directory);
	return code;
}

static void block_signals(void)
{
	sigset_t stop;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
}

static int run(struct args *args)
{
	struct hcl_report report = {.mem = args->mem};
	struct agent_config config;

	if (!load(args, &config, &report)) {
		fprintf(stderr, "out of memory\n");
		return EXIT_ERROR;
	}
	block_signals();
	if (config.dev_mode && config.data_dir[0] == '\0') {
		return run_in_temporary(args, &config, &report);
	}
	return run_checked(args, &config, &report);
}

const struct command command_agent = {
	.name = "agent",
	.usage = "[options]",
	.summary = "Run an agent: a server, a client or both",
	.details =
		"It runs until it is interrupted. Its configuration comes from files (-config) and from options, which "
		"come after all files. A bad value is an error with its place, and nothing starts; an unknown name is "
		"a warning.",
	.flags = flags,
	.run = run,
};
