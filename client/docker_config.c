#include "client/docker_config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/beneath.h"
#include "client/capabilities.h"
#include "client/driver_env.h"
#include "lib/base64.h"
#include "lib/log.h"
#include "lib/timefmt.h"
#include "proto/error.h"

#define MIB (INT64_C(1) << 20)

OBJECT_DEFINE(docker_auth, DOCKER_AUTH_FIELDS);
OBJECT_DEFINE(docker_bind, DOCKER_BIND_FIELDS);
OBJECT_DEFINE(docker_tmpfs, DOCKER_TMPFS_FIELDS);
OBJECT_DEFINE(docker_volume_driver, DOCKER_VOLUME_DRIVER_FIELDS);
OBJECT_DEFINE(docker_volume, DOCKER_VOLUME_FIELDS);
OBJECT_DEFINE(docker_device, DOCKER_DEVICE_FIELDS);
OBJECT_DEFINE(docker_health, DOCKER_HEALTH_FIELDS);
OBJECT_DEFINE(docker_mount, DOCKER_MOUNT_FIELDS);
OBJECT_DEFINE(docker_config, DOCKER_CONFIG_FIELDS);

/* ---- reading ---- */

/* What other agents know and has no effect here: a configuration made for them must not keep this one from starting. */
static void tell_without_effect(const struct docker_plugin *p)
{
	const struct {
		const char *key;
		bool given;
	} keys[] = {{"gc.image", p->gc != NULL && p->gc->image},
		    {"gc.dangling_containers", p->gc != NULL && p->gc->dangling != NULL},
		    {"volumes.selinuxlabel", p->volumes != NULL && p->volumes->selinux[0] != '\0'},
		    {"disable_log_collection", p->disable_log_collection},
		    {"tls", p->tls != NULL},
		    {"auth", p->auth != NULL},
		    {"infra_image", p->infra_image[0] != '\0'},
		    {"pull_activity_timeout", p->pull_activity_timeout[0] != '\0'},
		    {"nvidia_runtime", p->nvidia_runtime[0] != '\0'}};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].given) {
			log_warn("client", "plugin \"docker\": %s has no effect", keys[i].key);
		}
	}
}

int docker_settings(const char *text, struct docker_plugin *out, const char **socket, uint64_t *allowed,
		    struct arena *mem, struct driver_error *error)
{
	static const char scheme[] = "unix://";
	int rv = driver_config_decode(&docker_plugin_type, out, text, mem, error);

	*allowed = capabilities_default();
	if (rv == 0 && strncmp(out->endpoint, "unix:///", sizeof(scheme)) != 0) {
		rv = driver_fault(error, "endpoint must be a socket, \"unix:///path\", not \"%s\"", out->endpoint);
	}
	if (rv == 0 && out->allow_caps.n > 0) {
		rv = driver_parse_capabilities("allow_caps", &out->allow_caps, allowed, error);
	}
	if (rv == 0) {
		*socket = out->endpoint + sizeof(scheme) - 1;
		tell_without_effect(out);
	}
	return rv;
}

/* Goes into paths of requests as it is. */
static bool is_image(const char *name)
{
	for (; *name != '\0'; name++) {
		if (!isalnum((unsigned char)*name) && strchr("._-/:@", *name) == NULL) {
			return false;
		}
	}
	return true;
}

static int check_mount(const struct docker_mount *m, struct driver_error *error)
{
	if (strcmp(m->type, "bind") != 0 && strcmp(m->type, "volume") != 0 && strcmp(m->type, "tmpfs") != 0) {
		return driver_fault(error, "mount type must be \"bind\", \"volume\" or \"tmpfs\", got \"%s\"", m->type);
	}
	if (m->target[0] != '/') {
		return driver_fault(error, "mount target must be an absolute path: \"%s\"", m->target);
	}
	return 0;
}

static int check_mounts(const struct docker_mount *list, uint32_t n, struct driver_error *error)
{
	uint32_t i;
	int rv = 0;

	for (i = 0; i < n && rv == 0; i++) {
		rv = check_mount(&list[i], error);
	}
	return rv;
}

/* What would change how a task runs is not passed over in silence. */
static int check_unsupported(const struct docker_config *c, struct driver_error *error)
{
	const struct {
		const char *key;
		bool given;
	} keys[] = {{"cpu_hard_limit", c->cpu_hard_limit},
		    {"cpu_cfs_period", c->cpu_cfs_period != 0},
		    {"volume_driver", c->volume_driver[0] != '\0'},
		    {"load", c->load[0] != '\0'},
		    {"advertise_ipv6_address", c->advertise_ipv6_address},
		    {"isolation", c->isolation[0] != '\0' && strcmp(c->isolation, "default") != 0},
		    {"windows_allow_insecure_container_admin", c->windows_admin}};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].given) {
			return driver_fault(error, "%s is not supported", keys[i].key);
		}
	}
	return 0;
}

/* "soft:hard", or one number for both. */
static bool read_ulimit(const char *text, long long *soft, long long *hard)
{
	char *end;

	*soft = strtoll(text, &end, 10);
	*hard = *end == ':' ? strtoll(end + 1, &end, 10) : *soft;
	return end != text && *end == '\0' && *soft >= -1 && *hard >= -1;
}

static int check_values(const struct docker_config *c, struct driver_error *error)
{
	long long soft;
	long long hard;
	int64_t ns;
	uint32_t i;

	for (i = 0; i < c->ulimit.n; i++) {
		if (!read_ulimit(c->ulimit.at[i].value, &soft, &hard)) {
			return driver_fault(error, "Malformed ulimit specification %s: \"%s\"", c->ulimit.at[i].key,
					    c->ulimit.at[i].value);
		}
	}
	for (i = 0; i < c->devices.n; i++) {
		if (c->devices.at[i].host_path[0] != '/') {
			return driver_fault(error, "host path must be set in configuration for devices");
		}
		if (strspn(c->devices.at[i].cgroup_permissions, "rwm") != strlen(c->devices.at[i].cgroup_permissions)) {
			return driver_fault(error, "invalid cgroup permission string: \"%s\"",
					    c->devices.at[i].cgroup_permissions);
		}
	}
	if (!duration_parse(c->image_pull_timeout, strlen(c->image_pull_timeout), &ns) || ns < 0) {
		return driver_fault(error, "failed to parse image_pull_timeout: \"%s\"", c->image_pull_timeout);
	}
	if (c->memory_hard_limit < 0 || c->pids_limit < 0 || c->shm_size < 0) {
		return driver_fault(error, "%s must not be negative",
				    c->shm_size < 0	? "shm_size"
				    : c->pids_limit < 0 ? "pids_limit"
							: "memory_hard_limit");
	}
	return 0;
}

int docker_config(const char *text, struct docker_config *out, struct arena *mem, struct driver_error *error)
{
	uint64_t set;
	int rv = driver_config_decode(&docker_config_type, out, text, mem, error);

	if (rv == 0 && (!is_image(out->image) || strstr(out->image, "..") != NULL)) {
		rv = driver_fault(error, "image \"%s\" is no name of an image", out->image);
	}
	if (rv == 0) {
		rv = check_mounts(out->mount.at, out->mount.n, error);
	}
	if (rv == 0) {
		rv = check_mounts(out->mounts.at, out->mounts.n, error);
	}
	if (rv == 0) {
		rv = check_unsupported(out, error);
	}
	if (rv == 0) {
		rv = check_values(out, error);
	}
	if (rv == 0) {
		rv = driver_parse_capabilities("cap_add", &out->cap_add, &set, error);
	}
	return rv != 0 ? rv : driver_parse_capabilities("cap_drop", &out->cap_drop, &set, error);
}

bool docker_image_is_latest(const char *image)
{
	const char *name = strrchr(image, '/');
	const char *tag = strchr(name == NULL ? image : name, ':');

	return strchr(image, '@') == NULL && (tag == NULL || strcmp(tag, ":latest") == 0);
}

const char *docker_auth_header(const struct docker_auth *auth, struct arena *mem)
{
	static const char *const keys[] = {"username", "password", "email", "serveraddress"};
	struct buf json = {0};
	struct buf out = {0};
	const char *kept = NULL;
	unsigned i;

	if (auth == NULL || auth->username[0] == '\0') {
		return NULL;
	}
	for (i = 0; i < 4; i++) {
		const char *values[] = {auth->username, auth->password, auth->email, auth->server_address};

		buf_printf(&json, "%s\"%s\":", i == 0 ? "{" : ",", keys[i]);
		json_put_str(&json, values[i], strlen(values[i]));
	}
	buf_byte(&json, '}');
	base64_put(&out, buf_text(&json), json.failed ? 0 : json.len, BASE64_URL, true);
	if (!json.failed && !out.failed) {
		kept = arena_strndup(mem, buf_text(&out), out.len);
	}
	buf_close(&json);
	buf_close(&out);
	return kept;
}

/* ---- pieces of JSON ---- */

/* Members are put one after the other; what follows the last is a '}' of the caller's. */
static void put_key(struct buf *out, const char *key)
{
	if (out->len > 0 && out->at[out->len - 1] != '{') {
		buf_byte(out, ',');
	}
	json_put_str(out, key, strlen(key));
	buf_byte(out, ':');
}

static void put_text(struct buf *out, const char *key, const char *value)
{
	if (value != NULL && value[0] != '\0') {
		put_key(out, key);
		json_put_str(out, value, strlen(value));
	}
}

static void put_number(struct buf *out, const char *key, int64_t value)
{
	if (value != 0) {
		put_key(out, key);
		buf_printf(out, "%lld", (long long)value);
	}
}

static void put_true(struct buf *out, const char *key, bool value)
{
	if (value) {
		put_key(out, key);
		buf_str(out, "true");
	}
}

static void put_texts(struct buf *out, const char *key, const char *first, const char *const *list, uint32_t n)
{
	uint32_t i;

	if (n == 0 && first[0] == '\0') {
		return;
	}
	put_key(out, key);
	buf_byte(out, '[');
	if (first[0] != '\0') {
		json_put_str(out, first, strlen(first));
	}
	for (i = 0; i < n; i++) {
		if (i > 0 || first[0] != '\0') {
			buf_byte(out, ',');
		}
		json_put_str(out, list[i], strlen(list[i]));
	}
	buf_byte(out, ']');
}

static void put_map(struct buf *out, const char *key, const struct map *map)
{
	uint32_t i;

	if (map->n > 0) {
		put_key(out, key);
		buf_byte(out, '{');
		for (i = 0; i < map->n; i++) {
			put_key(out, map->at[i].key);
			json_put_str(out, map->at[i].value, strlen(map->at[i].value));
		}
		buf_byte(out, '}');
	}
}

/* ---- ports ---- */

/* What the environment says of the port: its names are made like these, with '_' for what no name may have. */
static const char *port_value(const struct driver_spec *spec, const char *prefix, const char *label)
{
	char key[128];
	size_t n = strlen(prefix);
	uint32_t i;

	if (n + strlen(label) + 2 > sizeof(key)) {
		return "";
	}
	memcpy(key, prefix, n);
	for (; *label != '\0'; label++) {
		key[n++] = isalnum((unsigned char)*label) ? *label : '_';
	}
	key[n++] = '=';
	for (i = 0; i < spec->env_n; i++) {
		if (strncmp(spec->env[i], key, n) == 0) {
			return spec->env[i] + n;
		}
	}
	return "";
}

static int put_port_maps(const struct driver_spec *spec, const struct docker_config *c, struct buf *exposed,
			 struct buf *bound, struct driver_error *error)
{
	static const char *const protocols[] = {"tcp", "udp"};
	char key[64];
	uint32_t i;
	unsigned p;

	for (i = 0; i < c->ports.n; i++) {
		const char *inside = port_value(spec, "NOMAD_PORT_", c->ports.at[i]);

		if (inside[0] == '\0') {
			return driver_fault(error, "Port \"%s\" not found, check network block", c->ports.at[i]);
		}
		for (p = 0; p < 2; p++) {
			snprintf(key, sizeof(key), "%.16s/%s", inside, protocols[p]);
			put_key(exposed, key);
			buf_str(exposed, "{}");
			put_key(bound, key);
			buf_str(bound, "[{");
			put_text(bound, "HostIp", port_value(spec, "NOMAD_HOST_IP_", c->ports.at[i]));
			put_text(bound, "HostPort", port_value(spec, "NOMAD_HOST_PORT_", c->ports.at[i]));
			buf_str(bound, "}]");
		}
	}
	return 0;
}

/* ---- mounts ---- */

static void begin_mount(struct buf *out, const char *type, const char *source, const char *target, bool readonly)
{
	buf_str(out, out->len > 0 && out->at[out->len - 1] == '}' ? ",{" : "{");
	put_text(out, "Type", type);
	put_text(out, "Source", source);
	put_text(out, "Target", target);
	put_true(out, "ReadOnly", readonly);
}

static void put_mount(struct buf *out, const char *type, const char *source, const char *target, bool readonly)
{
	begin_mount(out, type, source, target, readonly);
	buf_byte(out, '}');
}

static void put_volume_options(const struct docker_volume *v, struct buf *out)
{
	put_key(out, "VolumeOptions");
	buf_byte(out, '{');
	put_true(out, "NoCopy", v->no_copy);
	put_map(out, "Labels", &v->labels);
	if (v->driver_config != NULL) {
		put_key(out, "DriverConfig");
		buf_byte(out, '{');
		put_text(out, "Name", v->driver_config->name);
		put_map(out, "Options", &v->driver_config->options);
		buf_byte(out, '}');
	}
	buf_byte(out, '}');
}

static void put_mount_options(const struct docker_mount *m, struct buf *out)
{
	if (m->bind_options != NULL && strcmp(m->type, "bind") == 0) {
		put_key(out, "BindOptions");
		buf_byte(out, '{');
		put_text(out, "Propagation", m->bind_options->propagation);
		buf_byte(out, '}');
	}
	if (m->tmpfs_options != NULL && strcmp(m->type, "tmpfs") == 0) {
		put_key(out, "TmpfsOptions");
		buf_byte(out, '{');
		put_number(out, "Mode", m->tmpfs_options->mode);
		put_number(out, "SizeBytes", m->tmpfs_options->size);
		buf_byte(out, '}');
	}
	if (m->volume_options != NULL && strcmp(m->type, "volume") == 0) {
		put_volume_options(m->volume_options, out);
	}
}

/* A path of the host's: absolute ones only if that is allowed, others in the task's own directory, where no link may
 * lead out. A directory that is missing there is made. */
static const char *bind_source(const struct driver_host *host, const struct driver_spec *spec, const char *source,
			       struct arena *mem, struct driver_error *error)
{
	char clean[PATH_MAX];
	int root;
	int fd;

	if (source[0] == '/') {
		if (host->docker.volumes != NULL && host->docker.volumes->enabled) {
			return source;
		}
		driver_fault(error, "volumes are not enabled; cannot mount host path: \"%s\"", source);
		return NULL;
	}
	root = open(spec->task_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0 && beneath_clean(source, clean, sizeof(clean)) != 0) {
		close(root);
		root = -1;
	}
	fd = root < 0 ? -1 : beneath_open(root, clean, O_PATH, BENEATH_NO_LINKS);
	if (fd == -ENOENT && strchr(clean, '/') == NULL && mkdirat(root, clean, 0777) == 0) {
		fd = beneath_open(root, clean, O_PATH, BENEATH_NO_LINKS);
	}
	if (root >= 0) {
		close(root);
	}
	if (fd < 0) {
		driver_fault(error, "cannot mount \"%s\": it is not in the task's directory", source);
		return NULL;
	}
	close(fd);
	return arena_printf(mem, "%s/%s", spec->task_dir, clean);
}

/* "host path:path in the container:options", of which "ro" counts. */
static int put_volume(const struct driver_host *host, const struct driver_spec *spec, const char *volume,
		      struct arena *mem, struct buf *out, struct driver_error *error)
{
	char *source = arena_strdup(mem, volume);
	char *target = source == NULL ? NULL : strchr(source, ':');
	char *options;
	const char *path;

	if (target == NULL || target[1] != '/') {
		return driver_fault(error, "invalid docker volume: \"%s\"", volume);
	}
	*target++ = '\0';
	options = strchr(target, ':');
	if (options != NULL) {
		*options++ = '\0';
	}
	path = bind_source(host, spec, source, mem, error);
	if (path == NULL) {
		return ERR_INVALID;
	}
	put_mount(out, "bind", path, target, options != NULL && strncmp(options, "ro", 2) == 0);
	return 0;
}

static int put_listed(const struct driver_host *host, const struct driver_spec *spec, const struct docker_mount *list,
		      uint32_t n, struct arena *mem, struct buf *out, struct driver_error *error)
{
	const char *path;
	uint32_t i;

	for (i = 0; i < n; i++) {
		path = list[i].source;
		if (strcmp(list[i].type, "bind") == 0) {
			path = bind_source(host, spec, path, mem, error);
		}
		if (path == NULL) {
			return ERR_INVALID;
		}
		begin_mount(out, list[i].type, path, list[i].target, list[i].readonly);
		put_mount_options(&list[i], out);
		buf_byte(out, '}');
	}
	return 0;
}

static int put_mounts(const struct driver_host *host, const struct driver_spec *spec, const struct docker_config *c,
		      struct arena *mem, struct buf *out, struct driver_error *error)
{
	uint32_t i;
	int rv = 0;

	put_mount(out, "bind", spec->shared_dir, "/alloc", false);
	put_mount(out, "bind", arena_printf(mem, "%s/local", spec->task_dir), "/local", false);
	put_mount(out, "bind", arena_printf(mem, "%s/secrets", spec->task_dir), "/secrets", false);
	for (i = 0; i < c->volumes.n && rv == 0; i++) {
		rv = put_volume(host, spec, c->volumes.at[i], mem, out, error);
	}
	if (rv == 0) {
		rv = put_listed(host, spec, c->mount.at, c->mount.n, mem, out, error);
	}
	return rv != 0 ? rv : put_listed(host, spec, c->mounts.at, c->mounts.n, mem, out, error);
}

/* ---- all of it ---- */

static void put_ulimits(const struct docker_config *c, struct buf *out)
{
	long long soft;
	long long hard;
	uint32_t i;

	for (i = 0; i < c->ulimit.n; i++) {
		if (!read_ulimit(c->ulimit.at[i].value, &soft, &hard)) {
			continue; /* It was checked. */
		}
		if (i == 0) {
			put_key(out, "Ulimits");
		}
		buf_str(out, i == 0 ? "[{" : ",{");
		put_text(out, "Name", c->ulimit.at[i].key);
		put_key(out, "Soft");
		buf_printf(out, "%lld,\"Hard\":%lld}", soft, hard);
	}
	buf_str(out, c->ulimit.n > 0 ? "]" : "");
}

static void put_devices(const struct docker_config *c, struct buf *out)
{
	uint32_t i;

	for (i = 0; i < c->devices.n; i++) {
		const struct docker_device *d = &c->devices.at[i];

		if (i == 0) {
			put_key(out, "Devices");
		}
		buf_str(out, i == 0 ? "[{" : ",{");
		put_text(out, "PathOnHost", d->host_path);
		put_text(out, "PathInContainer", d->container_path[0] == '\0' ? d->host_path : d->container_path);
		put_text(out, "CgroupPermissions", d->cgroup_permissions[0] == '\0' ? "rwm" : d->cgroup_permissions);
		buf_byte(out, '}');
	}
	buf_str(out, c->devices.n > 0 ? "]" : "");
}

/* The task's own, else the node's, else one whose files do not grow: we take over what it holds. */
static void put_logging(const struct driver_host *host, const struct docker_config *c, struct buf *out)
{
	const struct docker_logging *l = c->logging != NULL ? c->logging : host->docker.logging;
	const char *type = l == NULL ? "" : l->type[0] != '\0' ? l->type : l->driver;

	put_key(out, "LogConfig");
	if (type[0] == '\0' && (l == NULL || l->config.n == 0)) {
		buf_str(out, "{\"Type\":\"json-file\",\"Config\":{\"max-file\":\"2\",\"max-size\":\"2m\"}}");
		return;
	}
	buf_byte(out, '{');
	put_text(out, "Type", type[0] == '\0' ? "json-file" : type);
	put_map(out, "Config", &l->config);
	buf_byte(out, '}');
}

/* One that is not the engine's default must be allowed. */
static int put_runtime(const struct driver_host *host, const struct docker_config *c, struct buf *out,
		       struct driver_error *error)
{
	const struct strs *allowed = &host->docker.allow_runtimes;
	bool ok = c->runtime[0] == '\0' ||
		  (allowed->n == 0 && (strcmp(c->runtime, "runc") == 0 || strcmp(c->runtime, "nvidia") == 0));
	uint32_t i;

	for (i = 0; i < allowed->n && !ok; i++) {
		ok = strcmp(allowed->at[i], c->runtime) == 0;
	}
	put_text(out, "Runtime", c->runtime);
	return ok ? 0 : driver_fault(error, "requested runtime \"%s\" is not allowed", c->runtime);
}

static void put_limits(const struct driver_host *host, const struct driver_spec *spec, const struct docker_config *c,
		       struct buf *out)
{
	int64_t more_mb = c->memory_hard_limit != 0 ? c->memory_hard_limit : spec->memory_max_mb;
	int64_t max_mb = more_mb != 0 ? more_mb : spec->memory_mb;

	if (max_mb > 0) {
		put_number(out, "Memory", max_mb * MIB);
		put_number(out, "MemorySwap", max_mb * MIB);
	}
	put_number(out, "MemoryReservation", more_mb != 0 ? spec->memory_mb * MIB : 0);
	put_number(out, "PidsLimit", c->pids_limit != 0 ? c->pids_limit : host->docker.pids_limit);
	put_number(out, "CpuShares", spec->cpu_shares);
	put_text(out, "CpusetCpus", c->cpuset_cpus[0] != '\0' ? c->cpuset_cpus : spec->cpus);
	put_number(out, "ShmSize", c->shm_size);
	put_number(out, "OomScoreAdj", c->oom_score_adj);
}

/* All are taken away and those that it may have are given, so that the engine's own choice does not matter. */
static int put_capabilities(const struct driver_host *host, const struct docker_config *c, struct buf *out,
			    struct driver_error *error)
{
	uint64_t set = 0;
	char names[1024];
	char *at;
	int rv = driver_capabilities(host->docker_allowed, &c->cap_add, &c->cap_drop, &set, error);

	if (rv != 0) {
		return rv;
	}
	capabilities_text(set, names, sizeof(names));
	put_key(out, "CapDrop");
	buf_str(out, "[\"ALL\"]");
	if (names[0] != '\0') {
		put_key(out, "CapAdd");
		buf_str(out, "[\"");
		for (at = names; *at != '\0'; at++) {
			if (at[0] == ',' && at[1] == ' ') {
				buf_str(out, "\",\"");
				at++;
			} else {
				buf_byte(out, (char)toupper((unsigned char)*at));
			}
		}
		buf_str(out, "\"]");
	}
	return 0;
}

static int put_host_config(const struct driver_host *host, const struct driver_spec *spec,
			   const struct docker_config *c, const struct buf *bound, struct arena *mem, struct buf *out,
			   struct driver_error *error)
{
	struct buf mounts = {0};
	int rv;

	if (c->privileged && !host->docker.allow_privileged) {
		return driver_fault(error, "Docker privileged mode is disabled on this node");
	}
	put_key(out, "HostConfig");
	buf_byte(out, '{');
	put_limits(host, spec, c, out);
	put_ulimits(c, out);
	put_devices(c, out);
	put_logging(host, c, out);
	put_true(out, "Privileged", c->privileged);
	put_true(out, "ReadonlyRootfs", c->readonly_rootfs);
	put_true(out, "Init", c->init);
	put_text(out, "NetworkMode", c->network_mode);
	put_text(out, "PidMode", c->pid_mode);
	put_text(out, "IpcMode", c->ipc_mode);
	put_texts(out, "ExtraHosts", "", c->extra_hosts.at, c->extra_hosts.n);
	put_texts(out, "Dns", "", c->dns_servers.at, c->dns_servers.n);
	put_texts(out, "DnsSearch", "", c->dns_search_domains.at, c->dns_search_domains.n);
	put_texts(out, "SecurityOpt", "", c->security_opt.at, c->security_opt.n);
	put_map(out, "Sysctls", &c->sysctl);
	put_map(out, "StorageOpt", &c->storage_opt);
	put_text(out, "UsernsMode", c->userns_mode);
	put_text(out, "UTSMode", c->uts_mode);
	put_texts(out, "DnsOptions", "", c->dns_options.at, c->dns_options.n);
	put_texts(out, "GroupAdd", "", c->group_add.at, c->group_add.n);
	if (bound->len > 0 && strcmp(c->network_mode, "host") != 0) {
		put_key(out, "PortBindings");
		buf_byte(out, '{');
		buf_put(out, bound->at, bound->len);
		buf_byte(out, '}');
	}
	rv = put_runtime(host, c, out, error);
	if (rv == 0) {
		rv = put_capabilities(host, c, out, error);
	}
	if (rv == 0) {
		rv = put_mounts(host, spec, c, mem, &mounts, error);
	}
	put_key(out, "Mounts");
	buf_byte(out, '[');
	buf_put(out, mounts.at == NULL ? "" : mounts.at, mounts.len);
	buf_str(out, "]}");
	rv = mounts.failed ? ERR_NOMEM : rv;
	buf_close(&mounts);
	return rv;
}

/* Those that the node's settings name, by patterns such as "task*". */
static void put_extra_labels(const struct driver_host *host, const struct driver_spec *spec, struct buf *out)
{
	static const struct {
		const char *name, *key, *env;
	} extra[] = {{"job_name", "com.hashicorp.nomad.job_name", "NOMAD_JOB_NAME"},
		     {"job_id", "com.hashicorp.nomad.job_id", "NOMAD_JOB_ID"},
		     {"task_group_name", "com.hashicorp.nomad.task_group_name", "NOMAD_GROUP_NAME"},
		     {"task_name", "com.hashicorp.nomad.task_name", "NOMAD_TASK_NAME"},
		     {"namespace", "com.hashicorp.nomad.namespace", "NOMAD_NAMESPACE"}};
	const struct strs *wanted = &host->docker.extra_labels;
	uint32_t w;
	size_t i;

	for (i = 0; i < sizeof(extra) / sizeof(extra[0]); i++) {
		for (w = 0; w < wanted->n && fnmatch(wanted->at[w], extra[i].name, 0) != 0; w++) {
		}
		if (w < wanted->n) {
			put_text(out, extra[i].key, driver_env_get(spec->env, spec->env_n, extra[i].env));
		}
	}
}

/* The address and the names that it has in a network of the user's. */
static void put_network(const struct docker_config *c, struct buf *out)
{
	bool own = c->ipv4_address[0] != '\0' || c->ipv6_address[0] != '\0';

	if (c->network_mode[0] == '\0' || (!own && c->network_aliases.n == 0)) {
		return;
	}
	put_key(out, "NetworkingConfig");
	buf_str(out, "{\"EndpointsConfig\":{");
	put_key(out, c->network_mode);
	buf_byte(out, '{');
	put_texts(out, "Aliases", "", c->network_aliases.at, c->network_aliases.n);
	if (own) {
		put_key(out, "IPAMConfig");
		buf_byte(out, '{');
		put_text(out, "IPv4Address", c->ipv4_address);
		put_text(out, "IPv6Address", c->ipv6_address);
		buf_byte(out, '}');
	}
	buf_str(out, "}}}");
}

static void put_labels(const struct driver_host *host, const struct driver_spec *spec, const struct docker_config *c,
		       struct buf *out)
{
	uint32_t i;

	put_key(out, "Labels");
	buf_byte(out, '{');
	put_text(out, "com.hashicorp.nomad.alloc_id", spec->alloc_id);
	put_extra_labels(host, spec, out);
	for (i = 0; i < c->labels.n; i++) {
		if (strcmp(c->labels.at[i].key, "com.hashicorp.nomad.alloc_id") != 0) {
			put_key(out, c->labels.at[i].key);
			json_put_str(out, c->labels.at[i].value, strlen(c->labels.at[i].value));
		}
	}
	buf_byte(out, '}');
}

int docker_create_body(const struct driver_host *host, const struct driver_spec *spec, const struct docker_config *c,
		       struct arena *mem, struct buf *out, struct driver_error *error)
{
	struct buf exposed = {0};
	struct buf bound = {0};
	int rv = put_port_maps(spec, c, &exposed, &bound, error);

	buf_byte(out, '{');
	put_text(out, "Image", c->image);
	put_texts(out, "Cmd", c->command, c->args.at, c->args.n);
	put_texts(out, "Entrypoint", "", c->entrypoint.at, c->entrypoint.n);
	put_texts(out, "Env", "", spec->env, spec->env_n);
	put_text(out, "User", spec->user);
	put_text(out, "WorkingDir", c->work_dir);
	put_text(out, "Hostname", c->hostname);
	put_labels(host, spec, c, out);
	put_text(out, "MacAddress", c->mac_address);
	put_true(out, "Tty", c->tty);
	put_true(out, "OpenStdin", c->interactive);
	if (c->healthchecks != NULL && c->healthchecks->disable) {
		put_key(out, "Healthcheck");
		buf_str(out, "{\"Test\":[\"NONE\"]}");
	}
	put_network(c, out);
	if (exposed.len > 0) {
		put_key(out, "ExposedPorts");
		buf_byte(out, '{');
		buf_put(out, exposed.at, exposed.len);
		buf_byte(out, '}');
	}
	if (rv == 0) {
		rv = put_host_config(host, spec, c, &bound, mem, out, error);
	}
	buf_byte(out, '}');
	(void)buf_text(out);
	rv = rv == 0 && (out->failed || exposed.failed || bound.failed) ? ERR_NOMEM : rv;
	buf_close(&exposed);
	buf_close(&bound);
	return rv;
}
