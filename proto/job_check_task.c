#include "proto/job_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/timefmt.h"

/* Whether a relative path leaves the directory that it begins in. */
static bool path_escapes(const char *path)
{
	int depth = 0;

	while (*path != '\0') {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.') {
			depth--;
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			depth++;
		}
		if (depth < 0) {
			return true;
		}
		path += n + (path[n] == '/');
	}
	return false;
}

static void check_least(struct faults *f, const struct resources *r)
{
	struct faults least = {0};

	if (r->cores == 0 && r->cpu.at < 1) {
		faults_add(&least, "minimum CPU value is 1; got %" PRId64, r->cpu.at);
	}
	if (r->memory_mb.at < 10) {
		faults_add(&least, "minimum MemoryMB value is 10; got %" PRId64, r->memory_mb.at);
	}
	faults_inline(f, &least);
}

static void check_device(struct faults *f, const struct device_request *d)
{
	if (*d->name == '\0') {
		faults_add(f, "device name must be given as one of the following: type, vendor/type, or "
			      "vendor/type/name");
	}
	check_constraints(f, d->constraints.at, d->constraints.n, RULE_DEVICE);
	check_affinities(f, d->affinities.at, d->affinities.n, false);
}

static bool has_device(const struct resources *r, const char *name)
{
	uint32_t i;

	for (i = 0; i < r->devices.n; i++) {
		if (strcmp(r->devices.at[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

static void check_numa(struct faults *f, const struct resources *r)
{
	static const char *const affinities[] = {"none", "prefer", "require", NULL};
	uint32_t i;

	if (r->numa == NULL) {
		return;
	}
	for (i = 0; i < r->numa->devices.n; i++) {
		if (!has_device(r, r->numa->devices.at[i])) {
			faults_add(f, "numa device \"%s\" not requested as task resource", r->numa->devices.at[i]);
		}
	}
	if (!text_in(r->numa->affinity, affinities)) {
		faults_add(f, "numa affinity must be one of none, prefer, or require");
	}
}

static void check_resources(struct faults *f, const struct resources *r)
{
	struct faults all = {0};
	uint32_t i;

	if (r->cores > 0 && r->cpu.at > 0) {
		faults_add(&all, "Task can only ask for 'cpu' or 'cores' resource, not both.");
	}
	if (r->cores < 0) {
		faults_add(&all, "cores value (%" PRId64 ") cannot be negative", r->cores);
	}
	check_least(&all, r);
	if (r->devices.n > JOB_LIST_MAX || (r->numa != NULL && r->numa->devices.n > JOB_LIST_MAX)) {
		faults_add(&all, "there may be %d devices at most", JOB_LIST_MAX);
	} else {
		for (i = 0; i < r->devices.n; i++) {
			struct faults one = {0};

			check_device(&one, &r->devices.at[i]);
			faults_nest(&all, &one, "device %" PRIu32 " failed validation", i + 1);
		}
		check_numa(&all, r);
	}
	if (r->memory_max_mb != 0 && r->memory_max_mb != -1 && r->memory_max_mb < r->memory_mb.at) {
		faults_add(&all, "MemoryMaxMB value (%" PRId64 ") should be larger than MemoryMB value (%" PRId64 ")",
			   r->memory_max_mb, r->memory_mb.at);
	}
	if (r->secrets_mb > r->memory_mb.at) {
		faults_add(&all, "SecretsMB value (%" PRId64 ") cannot be larger than MemoryMB value (%" PRId64 ")",
			   r->secrets_mb, r->memory_mb.at);
	}
	if (r->secrets_mb < 0) {
		faults_add(&all, "SecretsMB value (%" PRId64 ") cannot be negative", r->secrets_mb);
	}
	faults_inline(f, &all);
}

static void check_logs(struct faults *to, const struct log_config *l, const struct ephemeral_disk *disk)
{
	struct faults all = {0};
	struct faults *f = &all;
	int64_t all_mb;

	if (l->max_files < 1) {
		faults_add(f, "minimum number of files is 1; got %" PRId64, l->max_files);
	}
	if (l->max_file_size_mb < 1) {
		faults_add(f, "minimum file size is 1MB; got %" PRId64, l->max_file_size_mb);
	}
	if (__builtin_mul_overflow(l->max_files, l->max_file_size_mb, &all_mb)) {
		all_mb = INT64_MAX;
	}
	if (disk != NULL && all_mb >= disk->size_mb) {
		faults_add(f, "log storage (%" PRId64 " MB) must be less than requested disk capacity (%" PRId64 " MB)",
			   all_mb, disk->size_mb);
	}
	faults_inline(to, &all);
}

/* ---- artifacts ---- */

static void check_checksum(struct faults *f, const char *sum)
{
	static const struct {
		const char *name;
		size_t digits;
	} kinds[] = {{"md5", 32}, {"sha1", 40}, {"sha256", 64}, {"sha512", 128}};
	size_t n = strcspn(sum, ":");
	const char *value = sum + n + (sum[n] == ':');
	size_t i;

	if (strstr(sum, "${") != NULL || (n == 4 && strncmp(sum, "file", 4) == 0)) {
		return;
	}
	if (*sum == '\0') {
		faults_add(f, "checksum value cannot be empty");
		return;
	}
	if (sum[n] != ':' || strchr(value, ':') != NULL) {
		faults_add(f, "checksum must be given as \"type:value\"; got \"%s\"", sum);
		return;
	}
	if (strspn(value, "0123456789abcdefABCDEF") != strlen(value)) {
		faults_add(f, "invalid checksum: it must be hexadecimal, not \"%s\"", value);
		return;
	}
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strlen(kinds[i].name) == n && strncmp(sum, kinds[i].name, n) == 0) {
			if (strlen(value) != kinds[i].digits) {
				faults_add(f, "invalid %s checksum: %s", kinds[i].name, value);
			}
			return;
		}
	}
	faults_add(f, "unsupported checksum type: %.*s", (int)n, sum);
}

static void check_artifact(struct faults *f, const struct artifact *a)
{
	static const char *const modes[] = {"any", "file", "dir", NULL};
	uint32_t i;

	if (*a->getter_source == '\0') {
		faults_add(f, "source must be specified");
	}
	if (!text_in(a->getter_mode, modes)) {
		faults_add(f, "invalid artifact mode \"%s\"; must be one of: any, file, dir", a->getter_mode);
	}
	if (path_escapes(a->relative_dest)) {
		faults_add(f, "destination escapes allocation directory");
	}
	for (i = 0; i < a->getter_options.n; i++) {
		if (strcmp(a->getter_options.at[i].key, "checksum") == 0) {
			check_checksum(f, a->getter_options.at[i].value);
		}
	}
}

/* ---- templates ---- */

static bool is_octal(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 5 && strspn(s, "01234567") == n;
}

static void check_change(struct faults *f, const struct template *t)
{
	static const char *const modes[] = {"noop", "restart", "signal", "script", NULL};

	if (!text_in(t->change_mode, modes)) {
		faults_add(f, "Invalid change mode. Must be one of the following: noop, signal, script, restart");
	} else if (strcmp(t->change_mode, "signal") == 0) {
		if (*t->change_signal == '\0') {
			faults_add(f, "Must specify signal value when change mode is signal");
		}
		if (t->envvars) {
			faults_add(f, "cannot use signals with env var templates");
		}
	} else if (strcmp(t->change_mode, "script") == 0) {
		if (t->change_script == NULL) {
			faults_add(f, "must specify change script configuration value when change mode is script");
		} else if (*t->change_script->command == '\0') {
			faults_add(f, "must specify script path value when change mode is script");
		}
	}
}

static void check_template(struct faults *f, const struct template *t)
{
	if (*t->source_path == '\0' && *t->embedded_tmpl == '\0') {
		faults_add(f, "Must specify a source path or have an embedded template");
	}
	if (*t->dest_path == '\0') {
		faults_add(f, "Must specify a destination for the template");
	} else if (path_escapes(t->dest_path)) {
		faults_add(f, "destination escapes allocation directory");
	}
	check_change(f, t);
	if (t->splay < 0) {
		faults_add(f, "Must specify positive splay value");
	}
	if (*t->perms != '\0' && !is_octal(t->perms)) {
		faults_add(f, "Failed to parse \"%s\" as octal: strconv.ParseUint: parsing \"%s\": invalid syntax",
			   t->perms, t->perms);
	}
	if (t->wait != NULL && t->wait->min.set && t->wait->max.set && t->wait->min.at > t->wait->max.at) {
		char min[DURATION_TEXT];
		char max[DURATION_TEXT];

		duration_format(t->wait->min.at, min);
		duration_format(t->wait->max.at, max);
		faults_add(f, "wait min %s is greater than max %s", min, max);
	}
}

static void check_templates(struct faults *f, const struct task *t)
{
	const char *const *names = t->templates.n > 0 ? &t->templates.at[0].dest_path : NULL;
	uint32_t *first = first_with_name(names, t->templates.n, sizeof(*t->templates.at));
	uint32_t i;

	for (i = 0; i < t->templates.n; i++) {
		struct faults one = {0};

		check_template(&one, &t->templates.at[i]);
		faults_nest(f, &one, "Template %" PRIu32 " validation failed", i + 1);
		if (first != NULL && first[i] != i) {
			faults_add(f, "Template %" PRIu32 " has same destination as %" PRIu32, i + 1, first[i] + 1);
		}
	}
	free(first);
}

/* ---- the rest of a task ---- */

static void check_lifecycle(struct faults *f, const struct lifecycle *l)
{
	static const char *const hooks[] = {"prestart", "poststart", "poststop", NULL};

	if (*l->hook == '\0') {
		faults_add(f, "Lifecycle validation failed: no lifecycle hook provided");
	} else if (!text_in(l->hook, hooks)) {
		faults_add(f, "Lifecycle validation failed: invalid hook: %s", l->hook);
	}
}

static void check_vault(struct faults *f, const struct vault *v)
{
	static const char *const modes[] = {"noop", "restart", "signal", NULL};

	if (!text_in(v->change_mode, modes)) {
		faults_add(f, "Unknown change mode \"%s\"", v->change_mode);
	} else if (strcmp(v->change_mode, "signal") == 0 && *v->change_signal == '\0') {
		faults_add(f, "Signal must be specified when using change mode \"signal\"");
	}
}

static bool has_volume(const struct task_group *g, const char *name)
{
	uint32_t low = 0;
	uint32_t high = g->volumes.n;

	while (low < high) { /* They are sorted. */
		uint32_t mid = low + (high - low) / 2;
		int c = strcmp(g->volumes.keys[mid], name);

		if (c == 0) {
			return true;
		}
		if (c < 0) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return false;
}

static void check_mount(struct faults *f, const struct volume_mount *m)
{
	static const char *const modes[] = {"", "private", "host-to-task", "bidirectional", NULL};
	static const char *const labels[] = {"", "z", "Z", NULL};

	if (*m->volume == '\0') {
		faults_add(f, "volume mount references an empty volume");
	}
	if (!text_in(m->propagation_mode, modes)) {
		faults_add(f, "volume mount has an invalid propagation mode: \"%s\"", m->propagation_mode);
	}
	if (!text_in(m->selinux_label, labels)) {
		faults_add(f, "volume mount has an invalid SELinux label: \"%s\"", m->selinux_label);
	}
}

static void check_mounts(struct faults *f, const struct task *t, const struct task_group *g)
{
	uint32_t i;

	for (i = 0; i < t->volume_mounts.n; i++) {
		const struct volume_mount *m = &t->volume_mounts.at[i];
		struct faults one = {0};

		if (!has_volume(g, m->volume)) {
			faults_add(f, "Volume Mount (%" PRIu32 ") references undefined volume %s", i, m->volume);
		}
		check_mount(&one, m);
		if (one.n > 0) {
			struct buf text = {0};

			faults_text(&one, &text);
			faults_add(f, "Volume Mount (%" PRIu32 ") is invalid: \"%s\"", i, buf_text(&text));
			buf_close(&text);
		}
		faults_close(&one);
	}
}

/* Whether one path is below another; both are absolute. */
static bool path_is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 0 && dir[n - 1] == '/') {
		n--;
	}
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static void check_csi_plugin(struct faults *f, const struct csi_plugin *p)
{
	static const char *const types[] = {"node", "controller", "monolith", NULL};

	if (*p->id == '\0') {
		faults_add(f, "CSIPluginConfig must have a non-empty PluginID");
	}
	if (!text_in(p->type, types)) {
		faults_add(f,
			   "CSIPluginConfig PluginType must be one of 'node', 'controller', or 'monolith', got: "
			   "\"%s\"",
			   p->type);
	}
	if (*p->mount_dir != '\0' && path_is_below(p->stage_publish_base_dir, p->mount_dir)) {
		faults_add(f,
			   "CSIPluginConfig StagePublishBaseDir must not be a subdirectory of MountDir, got: "
			   "StagePublishBaseDir=\"%s\" MountDir=\"%s\"",
			   p->stage_publish_base_dir, p->mount_dir);
	}
}

/* ---- actions, identities, secrets ---- */

enum { WORD_MAX = 128 };

/* Letters, digits and what else there may be, so many at most. */
static bool is_word(const char *s, const char *more)
{
	size_t n = strlen(s);
	size_t i;

	for (i = 0; i < n; i++) {
		char c = s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      strchr(more, c) != NULL)) {
			return false;
		}
	}
	return n > 0 && n <= WORD_MAX;
}

/* Without white space. */
static bool action_name_valid(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= WORD_MAX && strcspn(s, " \t\n\v\f\r") == n && !has_nul(s);
}

static void check_actions(struct faults *f, const struct task *t)
{
	const char *const *names = t->actions.n > 0 ? &t->actions.at[0].name : NULL;
	uint32_t *first = first_with_name(names, t->actions.n, sizeof(*t->actions.at));
	uint32_t i;

	for (i = 0; i < t->actions.n; i++) {
		const struct action *a = &t->actions.at[i];
		struct faults one = {0};

		if (*a->command == '\0') {
			faults_add(&one, "command cannot be empty");
		}
		if (!action_name_valid(a->name)) {
			faults_add(&one, "invalid name '%s'", a->name);
		}
		faults_nest(f, &one, "Action %s validation failed", a->name);
		if (first != NULL && first[i] != i && first[first[i]] == first[i]) {
			faults_add(f, "Action %s defined multiple times", a->name);
			first[first[i]] = UINT32_MAX; /* Told. */
		}
	}
	free(first);
}

static void check_identity(struct faults *f, const struct workload_identity *w)
{
	static const char *const quiet[] = {"", "noop", "restart", NULL};
	bool is_default = strcmp(w->name, "default") == 0;
	struct faults one = {0};
	uint32_t i;

	if (!is_word(w->name, "-_")) {
		faults_add(&one, "invalid name \"%s\". Must match regex ^[a-zA-Z0-9-_]{1,128}$", w->name);
	}
	for (i = 0; i < w->audience.n; i++) {
		if (*w->audience.at[i] == '\0') {
			faults_add(&one, "an empty string is an invalid audience (%" PRIu32 ")", i + 1);
		}
	}
	if (strcmp(w->change_mode, "signal") == 0) {
		if (*w->change_signal == '\0') {
			faults_add(&one, "change_signal must be specified when using change_mode=\"signal\"");
		}
	} else if (!text_in(w->change_mode, quiet)) {
		faults_add(&one, "invalid change_mode: %s", w->change_mode);
	} else if (*w->change_signal != '\0') {
		faults_add(&one, "can only use change_signal=\"%s\" with change_mode=\"signal\"", w->change_signal);
	}
	if (w->ttl > 0 && is_default) {
		faults_add(&one, "ttl for default identity not yet supported");
	}
	if (w->ttl < 0) {
		faults_add(&one, "ttl must be >= 0");
	}
	if (*w->filepath != '\0' && !w->file) {
		faults_add(&one, "file parameter must be true in order to specify filepath");
	}
	faults_nest(f, &one, "Identity \"%s\" is invalid", w->name);
}

static void check_identities(struct faults *f, const struct task *t)
{
	uint32_t i;

	check_identity(f, t->identity);
	for (i = 0; i < t->identities.n; i++) {
		if (strcmp(t->identities.at[i].name, "default") == 0) {
			faults_add(f, "Duplicate default identities found");
		}
		check_identity(f, &t->identities.at[i]);
	}
}

static void check_secret(struct faults *f, const struct secret_request *s)
{
	bool built_in = strcmp(s->provider, "nomad") == 0 || strcmp(s->provider, "vault") == 0;
	bool has_config = *s->config != '\0' && strcmp(s->config, "null") != 0 && strcmp(s->config, "{}") != 0;

	if (*s->name == '\0') {
		faults_add(f, "secret name cannot be empty");
	}
	if (!is_word(s->name, "_")) {
		faults_add(f, "secret name must match regex ^[a-zA-Z0-9_]{1,128}$");
	}
	if (*s->provider == '\0') {
		faults_add(f, "secret provider cannot be empty");
	}
	if (*s->path == '\0') {
		faults_add(f, "secret path cannot be empty");
	}
	if (built_in && s->env.n > 0) {
		faults_add(f, "%s provider cannot use the env block", s->provider);
	}
	if (!built_in && has_config) {
		faults_add(f, "custom plugin provider %s cannot use the config block", s->provider);
	}
}

static void check_secrets(struct faults *f, const struct task *t)
{
	const char *const *names = t->secrets.n > 0 ? &t->secrets.at[0].name : NULL;
	uint32_t *first = first_with_name(names, t->secrets.n, sizeof(*t->secrets.at));
	uint32_t i;

	for (i = 0; i < t->secrets.n; i++) {
		const struct secret_request *s = &t->secrets.at[i];
		struct faults one = {0};

		if (first != NULL && first[i] != i) {
			faults_add(f, "Duplicate secret \"%s\" found", s->name);
		}
		if (strcmp(s->provider, "vault") == 0 && t->vault == NULL) {
			faults_add(f, "Secret \"%s\" has provider \"vault\" but no vault block", s->name);
		}
		check_secret(&one, s);
		faults_nest(f, &one, "Secret \"%s\" is invalid", s->name);
	}
	free(first);
}

/* ---- all of it ---- */

static void check_task_name(struct faults *f, const struct task *t)
{
	if (*t->name == '\0') {
		faults_add(f, "Missing task name");
	}
	if (strcmp(t->name, "alloc") == 0) { /* So is the directory that a group's tasks share. */
		faults_add(f, "Task cannot be named \"alloc\"");
	}
	if (strpbrk(t->name, "/\\") != NULL) {
		faults_add(f, "Task name cannot include slashes");
	} else if (has_nul(t->name)) {
		faults_add(f, "Task name cannot include null characters");
	}
	if (*t->driver == '\0') {
		faults_add(f, "Missing task driver");
	}
}

/* What is itself a list of faults, each told with its number. */
static void check_task_parts(struct faults *f, const struct task *t, const struct task_group *g)
{
	uint32_t i;

	for (i = 0; i < t->artifacts.n; i++) {
		struct faults one = {0};

		check_artifact(&one, &t->artifacts.at[i]);
		faults_nest(f, &one, "Artifact %" PRIu32 " validation failed", i + 1);
	}
	if (t->vault != NULL) {
		struct faults one = {0};

		check_vault(&one, t->vault);
		faults_nest(f, &one, "Vault validation failed");
	}
	check_templates(f, t);
	check_actions(f, t);
	if (t->dispatch_payload != NULL && path_escapes(t->dispatch_payload->file)) {
		faults_add(f, "Dispatch Payload validation failed: destination escapes allocation directory");
	}
	if (t->lifecycle != NULL) {
		check_lifecycle(f, t->lifecycle);
	}
	check_mounts(f, t, g);
	if (t->csi_plugin != NULL) {
		check_csi_plugin(f, t->csi_plugin);
	}
	check_identities(f, t);
	check_secrets(f, t);
}

/* Whoever waits for a task's end for so long has given up the deployment before. */
static void check_kill_timeout(struct faults *f, const struct task *t, const struct task_group *g,
			       const struct job *job)
{
	char timeout[DURATION_TEXT];
	char deadline[DURATION_TEXT];

	if (t->kill_timeout.at < 0) {
		faults_add(f, "KillTimeout must be a positive value");
	} else if (strcmp(job->type, "service") == 0 && g->update != NULL && g->update->progress_deadline.at > 0 &&
		   t->kill_timeout.at > g->update->progress_deadline.at) {
		duration_format(t->kill_timeout.at, timeout);
		duration_format(g->update->progress_deadline.at, deadline);
		faults_add(f, "KillTimout (%s) longer than the group's ProgressDeadline (%s)", timeout, deadline);
	}
}

void check_task(struct faults *f, const struct task *t, const struct task_group *g, const struct job *job)
{
	bool is_system = strcmp(job->type, "system") == 0;

	check_task_name(f, t);
	check_kill_timeout(f, t, g, job);
	if (t->shutdown_delay < 0) {
		faults_add(f, "ShutdownDelay must be a positive value");
	}
	check_resources(f, t->resources);
	check_logs(f, t->log_config, g->ephemeral_disk);
	check_constraints(f, t->constraints.at, t->constraints.n, RULE_TASK);
	check_affinities(f, t->affinities.at, t->affinities.n, is_system);
	check_task_services(f, t, g);
	check_restart(f, t->restart_policy);
	check_task_parts(f, t, g);
}
