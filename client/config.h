/**
 * What a client agent is told by its configuration: filled by whoever reads the files, borrowed by the client.
 *
 * All strings are "" when not given, all numbers 0; what that then means stands beside them.
 */
#ifndef CLIENT_CONFIG_H_
#define CLIENT_CONFIG_H_

#include <stdbool.h>
#include <stdint.h>

#include "proto/object.h"

struct agent_facts;

struct client_host_volume {
	const char *name;
	const char *path;
	bool read_only;
};

struct client_plugin {
	const char *name;
	const char *config; /* Its config block as JSON text. */
};

/* How other agents are spoken with where they speak HTTPS: files, "" for none. */
struct client_tls {
	const char *ca_file, *cert_file, *key_file;
	bool verify_names; /* Their certificates must be for a client or a server of the region. */
};

struct client_config {
	const char *name; /* The host's. */
	const char *region;
	const char *datacenter;
	const char *node_class;
	const char *node_pool;  /* "default" */
	const char *state_dir;  /* Required, absolute: IDs and local state. */
	const char *alloc_dir;  /* Required, absolute: the allocations' directories. */
	const char *http_addr;  /* Where this agent serves HTTP, "host:port". */
	const char *program_version;
	struct map meta;
	struct strs servers; /* RPC addresses, "host:port". */

	/* The machine, where the configuration knows better. */
	const char *network_interface; /* That of the default route. */
	int64_t network_speed_mbits;   /* As the interface says, else 1000. */
	int64_t cpu_total_compute_mhz;
	int64_t memory_total_mb;
	int64_t disk_total_mb, disk_free_mb;
	int64_t reserved_cpu_mhz, reserved_memory_mb, reserved_disk_mb;
	const char *reserved_ports; /* "22,80,8000-8100" */
	int64_t min_dynamic_port;   /* 20000 */
	int64_t max_dynamic_port;   /* 32000 */
	int64_t node_max_allocs;    /* No bound. */
	const struct client_host_volume *host_volumes;
	uint32_t n_host_volumes;

	/* Running tasks. */
	const struct client_plugin *plugins;
	uint32_t n_plugins;
	const char *executor;      /* Found by itself. */
	const char *cgroup_parent; /* NULL: the drivers' default. */
	struct map chroot_env;     /* Empty: the drivers' default. */
	int64_t max_kill_timeout_ns; /* 30 s */
	int64_t gc_max_allocs;       /* 50: ended allocations beyond that are removed from this node, */
	double gc_disk_percent;      /* 80: and all, the oldest first, while more than this of the disk is used, */
	double gc_inode_percent;     /* 70: or of its files. */
	int64_t gc_interval_ns;      /* 60 s: how often that is looked at. */
	int64_t gc_parallel;         /* 2: directories at a time. */
	int64_t task_files_max;      /* Soft limit of open files; 0: the agent's own. */
	const struct agent_facts *facts; /* Of the machine and the process; NULL: nothing is told of them. */
	bool dev;
	bool https; /* So does this agent. */
	struct client_tls tls;
	bool acl_enabled;         /* Requests for this node need tokens; what servers say of them is kept for so long: */
	int64_t acl_token_ttl_ns, acl_policy_ttl_ns;
	bool disable_remote_exec; /* Nobody runs commands in tasks by the API. */
};

#endif /* CLIENT_CONFIG_H_ */
