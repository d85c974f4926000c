/** What drivers share, as they see it: see client/driver.h for the outside. */
#ifndef CLIENT_DRIVER_HOST_H_
#define CLIENT_DRIVER_HOST_H_

#include <uv.h>

#include "client/cgroups.h"
#include "client/driver.h"
#include "lib/list.h"

/* Settings of plugin blocks, one member for each driver that has any. */
#define RAW_EXEC_PLUGIN_FIELDS(X, T)                     \
	X(T, OPTBOOL, enabled, "enabled")                \
	X(T, BOOL, no_cgroups, "no_cgroups")             \
	X(T, STRS, denied_envvars, "denied_envvars")     \
	X(T, STR, denied_host_uids, "denied_host_uids")  \
	X(T, STR, denied_host_gids, "denied_host_gids")

#define EXEC_PLUGIN_FIELDS(X, T)                                              \
	X(T, STR, default_pid_mode, "default_pid_mode", .dflt_str = "private") \
	X(T, STR, default_ipc_mode, "default_ipc_mode", .dflt_str = "private") \
	X(T, BOOL, no_pivot_root, "no_pivot_root")                            \
	X(T, STRS, allow_caps, "allow_caps")                                  \
	X(T, STR, denied_host_uids, "denied_host_uids")                       \
	X(T, STR, denied_host_gids, "denied_host_gids")

#define MOCK_PLUGIN_FIELDS(X, T) X(T, OPTBOOL, enabled, "enabled")

OBJECT_DECLARE(raw_exec_plugin, RAW_EXEC_PLUGIN_FIELDS);
OBJECT_DECLARE(mock_plugin, MOCK_PLUGIN_FIELDS);
OBJECT_DECLARE(exec_plugin, EXEC_PLUGIN_FIELDS);

#define DOCKER_VOLUMES_FIELDS(X, T)      \
	X(T, BOOL, enabled, "enabled")   \
	X(T, STR, selinux, "selinuxlabel")
#define DOCKER_DANGLING_FIELDS(X, T)     \
	X(T, BOOL, enabled, "enabled")   \
	X(T, BOOL, dry_run, "dry_run")   \
	X(T, STR, period, "period")      \
	X(T, STR, grace, "creation_grace")
#define DOCKER_GC_FIELDS(X, T)                             \
	X(T, BOOL, container, "container", .dflt = true)   \
	X(T, BOOL, image, "image")                         \
	X(T, STR, image_delay, "image_delay")              \
	X(T, OBJ(docker_dangling), dangling, "dangling_containers")
#define DOCKER_LOGGING_FIELDS(X, T)  \
	X(T, STR, type, "type")      \
	X(T, STR, driver, "driver")  \
	X(T, MAP, config, "config")
#define DOCKER_TLS_FIELDS(X, T)  \
	X(T, STR, cert, "cert")  \
	X(T, STR, key, "key")    \
	X(T, STR, ca, "ca")
#define DOCKER_AUTH_FILE_FIELDS(X, T) \
	X(T, STR, config, "config")   \
	X(T, STR, helper, "helper")
#define DOCKER_PLUGIN_FIELDS(X, T)                                                 \
	X(T, STR, endpoint, "endpoint", .dflt_str = "unix:///var/run/docker.sock") \
	X(T, BOOL, allow_privileged, "allow_privileged")                           \
	X(T, STRS, allow_caps, "allow_caps")                                       \
	X(T, OBJ(docker_volumes), volumes, "volumes")                              \
	X(T, OBJ(docker_gc), gc, "gc")                                             \
	X(T, OBJ(docker_logging), logging, "logging")                              \
	X(T, INT, pids_limit, "pids_limit")                                        \
	X(T, STRS, extra_labels, "extra_labels")                                   \
	X(T, STRS, allow_runtimes, "allow_runtimes")                               \
	X(T, BOOL, disable_log_collection, "disable_log_collection")               \
	X(T, OBJ(docker_tls), tls, "tls")                                          \
	X(T, OBJ(docker_auth_file), auth, "auth")                                  \
	X(T, STR, infra_image, "infra_image")                                      \
	X(T, STR, infra_image_pull_timeout, "infra_image_pull_timeout")            \
	X(T, STR, image_pull_timeout, "image_pull_timeout")                        \
	X(T, STR, pull_activity_timeout, "pull_activity_timeout")                  \
	X(T, STR, nvidia_runtime, "nvidia_runtime")                                \
	X(T, INT, container_exists_attempts, "container_exists_attempts")          \
	X(T, BOOL, windows_admin, "windows_allow_insecure_container_admin")

OBJECT_DECLARE(docker_dangling, DOCKER_DANGLING_FIELDS);
OBJECT_DECLARE(docker_logging, DOCKER_LOGGING_FIELDS);
OBJECT_DECLARE(docker_tls, DOCKER_TLS_FIELDS);
OBJECT_DECLARE(docker_auth_file, DOCKER_AUTH_FILE_FIELDS);
OBJECT_DECLARE(docker_volumes, DOCKER_VOLUMES_FIELDS);
OBJECT_DECLARE(docker_gc, DOCKER_GC_FIELDS);
OBJECT_DECLARE(docker_plugin, DOCKER_PLUGIN_FIELDS);

struct driver_host {
	uv_loop_t *loop;
	bool dev;
	int64_t files_max; /* Of tasks; 0: the agent's. */
	char *executor;    /* Path of the program. */
	struct cgroups cgroups;
	const char *chroot_env; /* Lines, as the executor's spec has them; NULL: the default. */
	struct arena mem;  /* Of the plugins' settings. */
	struct raw_exec_plugin raw_exec;
	struct mock_plugin mock;
	struct exec_plugin exec;
	struct docker_plugin docker;
	const char *docker_socket;
	uint64_t docker_allowed; /* Of docker.allow_caps. */
	uint64_t exec_allowed; /* Of exec.allow_caps, as a set. */
	const char *exec_lacks; /* What the machine lacks for exec; "": nothing, NULL: not looked yet. */
	struct list tasks; /* struct executor_task, link: all that hold something of the loop. */
	struct list ended;     /* struct driver_child: executors that ended and were not waited for yet. */
	uv_timer_t reaper;
	unsigned holders;      /* Tasks and the reaper: what keeps a closing host from being freed. */
	bool closing;
	void (*closed_cb)(void *ctx);
	void *closed_ctx;
};

/* Something of a driver's has left the loop: a closing host is freed by the last one. */
void driver_host_left(struct driver_host *host);

/* An executor that has ended, for us to be its waiting parent. */
struct driver_child {
	struct list link; /* In host->ended. */
	pid_t pid;
};

/* Wait for a child that has ended or is about to, now or a little later. */
void driver_host_reap(struct driver_host *host, pid_t pid);

/* The drivers: one file each. */
extern const struct driver driver_docker;
extern const struct driver driver_exec;
extern const struct driver driver_mock;
extern const struct driver driver_raw_exec;

#endif /* CLIENT_DRIVER_HOST_H_ */
