/** The docker driver's settings and a task's config: checking them, and making of them what the engine is told. */
#ifndef CLIENT_DOCKER_CONFIG_H_
#define CLIENT_DOCKER_CONFIG_H_

#include "client/driver_config.h"
#include "client/driver_host.h"

#define DOCKER_AUTH_FIELDS(X, T)                   \
	X(T, STR, username, "username")            \
	X(T, STR, password, "password")            \
	X(T, STR, email, "email")                  \
	X(T, STR, server_address, "server_address")

#define DOCKER_MOUNT_FIELDS(X, T)                           \
	X(T, STR, type, "type", .dflt_str = "volume")       \
	X(T, STR, source, "source")                         \
	X(T, STR, target, "target")                         \
	X(T, BOOL, readonly, "readonly")                    \
	X(T, OBJ(docker_bind), bind_options, "bind_options") \
	X(T, OBJ(docker_tmpfs), tmpfs_options, "tmpfs_options") \
	X(T, OBJ(docker_volume), volume_options, "volume_options")

#define DOCKER_CONFIG_FIELDS(X, T)                             \
	X(T, STR, image, "image", .required = true)            \
	X(T, STR, command, "command")                          \
	X(T, STRS, args, "args")                               \
	X(T, STRS, entrypoint, "entrypoint")                   \
	X(T, STR, work_dir, "work_dir")                        \
	X(T, STR, hostname, "hostname")                        \
	X(T, STRS, ports, "ports")                             \
	X(T, MAP, labels, "labels")                            \
	X(T, STR, network_mode, "network_mode")                \
	X(T, STRS, volumes, "volumes")                         \
	X(T, LIST(docker_mount), mount, "mount")               \
	X(T, LIST(docker_mount), mounts, "mounts")             \
	X(T, OBJ(docker_auth), auth, "auth")                   \
	X(T, BOOL, auth_soft_fail, "auth_soft_fail")           \
	X(T, BOOL, force_pull, "force_pull")                   \
	X(T, BOOL, privileged, "privileged")                   \
	X(T, STRS, cap_add, "cap_add")                         \
	X(T, STRS, cap_drop, "cap_drop")                       \
	X(T, BOOL, readonly_rootfs, "readonly_rootfs")         \
	X(T, STRS, extra_hosts, "extra_hosts")                 \
	X(T, STRS, dns_servers, "dns_servers")                 \
	X(T, STRS, dns_search_domains, "dns_search_domains")   \
	X(T, STRS, security_opt, "security_opt")               \
	X(T, MAP, sysctl, "sysctl")                            \
	X(T, INT, shm_size, "shm_size")                        \
	X(T, BOOL, init, "init")                               \
	X(T, STR, pid_mode, "pid_mode")                        \
	X(T, STR, ipc_mode, "ipc_mode")                        \
	X(T, INT, oom_score_adj, "oom_score_adj")              \
	X(T, LIST(docker_device), devices, "devices")          \
	X(T, MAP, ulimit, "ulimit")                            \
	X(T, OBJ(docker_logging), logging, "logging")          \
	X(T, INT, memory_hard_limit, "memory_hard_limit")      \
	X(T, STRS, dns_options, "dns_options")                 \
	X(T, STRS, group_add, "group_add")                     \
	X(T, STR, userns_mode, "userns_mode")                  \
	X(T, STR, uts_mode, "uts_mode")                        \
	X(T, STR, mac_address, "mac_address")                  \
	X(T, STR, ipv4_address, "ipv4_address")                \
	X(T, STR, ipv6_address, "ipv6_address")                \
	X(T, STRS, network_aliases, "network_aliases")         \
	X(T, INT, pids_limit, "pids_limit")                    \
	X(T, STR, cpuset_cpus, "cpuset_cpus")                  \
	X(T, STR, runtime, "runtime")                          \
	X(T, MAP, storage_opt, "storage_opt")                  \
	X(T, BOOL, tty, "tty")                                 \
	X(T, BOOL, interactive, "interactive")                 \
	X(T, STR, image_pull_timeout, "image_pull_timeout", .dflt_str = "5m") \
	X(T, OBJ(docker_health), healthchecks, "healthchecks") \
	X(T, INT, container_exists_attempts, "container_exists_attempts") /* We try as long as it takes. */ \
	X(T, BOOL, cpu_hard_limit, "cpu_hard_limit")           \
	X(T, INT, cpu_cfs_period, "cpu_cfs_period")            \
	X(T, STR, volume_driver, "volume_driver")              \
	X(T, STR, load, "load")                                \
	X(T, BOOL, advertise_ipv6_address, "advertise_ipv6_address") \
	X(T, STR, isolation, "isolation")                      \
	X(T, BOOL, windows_admin, "windows_allow_insecure_container_admin")

#define DOCKER_BIND_FIELDS(X, T) X(T, STR, propagation, "propagation")
#define DOCKER_TMPFS_FIELDS(X, T) \
	X(T, INT, mode, "mode")   \
	X(T, INT, size, "size")
#define DOCKER_VOLUME_DRIVER_FIELDS(X, T) \
	X(T, STR, name, "name")           \
	X(T, MAP, options, "options")
#define DOCKER_VOLUME_FIELDS(X, T)     \
	X(T, BOOL, no_copy, "no_copy") \
	X(T, MAP, labels, "labels")    \
	X(T, OBJ(docker_volume_driver), driver_config, "driver_config")
#define DOCKER_DEVICE_FIELDS(X, T)                 \
	X(T, STR, host_path, "host_path")          \
	X(T, STR, container_path, "container_path") \
	X(T, STR, cgroup_permissions, "cgroup_permissions", .dflt_str = "rwm")
#define DOCKER_HEALTH_FIELDS(X, T) X(T, BOOL, disable, "disable")

OBJECT_DECLARE(docker_auth, DOCKER_AUTH_FIELDS);
OBJECT_DECLARE(docker_bind, DOCKER_BIND_FIELDS);
OBJECT_DECLARE(docker_tmpfs, DOCKER_TMPFS_FIELDS);
OBJECT_DECLARE(docker_volume_driver, DOCKER_VOLUME_DRIVER_FIELDS);
OBJECT_DECLARE(docker_volume, DOCKER_VOLUME_FIELDS);
OBJECT_DECLARE(docker_device, DOCKER_DEVICE_FIELDS);
OBJECT_DECLARE(docker_health, DOCKER_HEALTH_FIELDS);
OBJECT_DECLARE(docker_mount, DOCKER_MOUNT_FIELDS);
OBJECT_DECLARE(docker_config, DOCKER_CONFIG_FIELDS);

/* Read and check settings: 0 or ERR_INVALID. `socket` is the path of the engine's socket. */
int docker_settings(const char *text, struct docker_plugin *out, const char **socket, uint64_t *allowed,
                    struct arena *mem, struct driver_error *error);

/* Read and check a task's config, as far as it can be told without the settings. 0, ERR_INVALID or ERR_NOMEM. */
int docker_config(const char *text, struct docker_config *out, struct arena *mem, struct driver_error *error);

/* Append what the engine is to create, as JSON. ERR_INVALID for what the settings or the allocation do not allow. */
int docker_create_body(const struct driver_host *host, const struct driver_spec *spec, const struct docker_config *c,
                       struct arena *mem, struct buf *out, struct driver_error *error);

/* The value of X-Registry-Auth, or NULL when there are no credentials or no memory. */
const char *docker_auth_header(const struct docker_auth *auth, struct arena *mem);

/* Whether the image's name says "the newest", which must be asked for each time. */
bool docker_image_is_latest(const char *image);

#endif /* CLIENT_DOCKER_CONFIG_H_ */
