#include "proto/job_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

static void check_resources(struct faults *f, const struct resources *r)
{
	struct faults all = {0};
	uint32_t i;

	if (r->cores > 0 && r->cpu.at > 0) {
		faults_add(&all, "Task can only ask for 'cpu' or 'cores' resource, not both.");
	}
	if (r->cores < 0) {
		faults_add(&all, "minimum Cores value is 0; got %" PRId64, r->cores);
	}
	if (r->cores == 0 && r->cpu.at < 1) {
		faults_add(&all, "minimum CPU value is 1; got %" PRId64, r->cpu.at);
	}
	if (r->memory_mb.at < 10) {
		faults_add(&all, "minimum MemoryMB value is 10; got %" PRId64, r->memory_mb.at);
	}
	if (r->memory_max_mb != 0 && r->memory_max_mb != -1 && r->memory_max_mb < r->memory_mb.at) {
		faults_add(&all, "MemoryMaxMB value (%" PRId64 ") should be larger than MemoryMB value (%" PRId64 ")",
			   r->memory_max_mb, r->memory_mb.at);
	}
	for (i = 0; i < r->devices.n; i++) {
		if (*r->devices.at[i].name == '\0') {
			faults_add(&all,
				   "device %" PRIu32 " failed validation: device name must be given as one of the "
				   "following: type, vendor/type, or vendor/type/name",
				   i + 1);
		}
	}
	if (r->disk_mb < 0) {
		faults_add(&all, "minimum DiskMB value is 0; got %" PRId64, r->disk_mb);
	}
	check_networks(&all, r->networks.at, r->networks.n, "Task");
	if (all.n > 0) {
		struct buf text = {0};

		faults_text(&all, &text);
		faults_add(f, "%s", buf_text(&text));
		buf_close(&text);
	}
	faults_close(&all);
}

static void check_logs(struct faults *f, const struct log_config *l, const struct ephemeral_disk *disk)
{
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
}

/* ---- artifacts ---- */

static bool is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdefABCDEF") == n;
}

static void check_checksum(struct faults *f, const char *sum)
{
	static const struct {
		const char *prefix;
		size_t digits;
	} kinds[] = {{"md5:", 32}, {"sha1:", 40}, {"sha256:", 64}, {"sha512:", 128}};
	size_t i;

	if (strstr(sum, "${") != NULL || strncmp(sum, "file:", 5) == 0) {
		return;
	}
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = strlen(kinds[i].prefix);

		if (strncmp(sum, kinds[i].prefix, n) == 0) {
			if (!is_hex(sum + n, kinds[i].digits)) {
				faults_add(f, "invalid checksum: %s", sum);
			}
			return;
		}
	}
	faults_add(f, "unsupported checksum type in \"%s\": it must be given as \"type:value\"", sum);
}

static void check_artifact(struct faults *f, const struct artifact *a)
{
	static const char *const modes[] = {"any", "file", "dir", NULL};
	uint32_t i;

	if (*a->getter_source == '\0') {
		faults_add(f, "source must be specified");
	}
	if (!text_in(a->getter_mode, modes)) {
		faults_add(f, "invalid artifact mode \"%s\"; must be one of: file, dir, any", a->getter_mode);
	}
	if (path_escapes(a->relative_dest)) {
		faults_add(f, "artifact destination escapes allocation directory");
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
		faults_add(f, "template destination escapes allocation directory");
	}
	check_change(f, t);
	if (t->splay < 0) {
		faults_add(f, "Must specify positive splay value");
	}
	if (*t->perms != '\0' && !is_octal(t->perms)) {
		faults_add(f, "Failed to parse \"%s\" as octal: invalid syntax", t->perms);
	}
	if (t->wait != NULL && t->wait->min.set && t->wait->max.set && t->wait->min.at > t->wait->max.at) {
		faults_add(f, "wait min %" PRId64 "ns is greater than max %" PRId64 "ns", t->wait->min.at,
			   t->wait->max.at);
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
		faults_add(f, "no lifecycle hook provided");
	} else if (!text_in(l->hook, hooks)) {
		faults_add(f, "invalid hook: %s", l->hook);
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

static void check_mounts(struct faults *f, const struct task *t, const struct task_group *g)
{
	static const char *const modes[] = {"private", "host-to-task", "bidirectional", NULL};
	uint32_t i;

	for (i = 0; i < t->volume_mounts.n; i++) {
		const struct volume_mount *m = &t->volume_mounts.at[i];

		if (*m->volume == '\0') {
			faults_add(f, "Volume Mount (%" PRIu32 ") references an empty volume", i);
		} else if (!has_volume(g, m->volume)) {
			faults_add(f, "Volume Mount (%" PRIu32 ") references undefined volume %s", i, m->volume);
		}
		if (!text_in(m->propagation_mode, modes)) {
			faults_add(f, "Volume Mount (%" PRIu32 ") has an invalid propagation mode: \"%s\"", i,
				   m->propagation_mode);
		}
	}
}

static void check_task_name(struct faults *f, const struct task *t)
{
	if (*t->name == '\0') {
		faults_add(f, "Missing task name");
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
	check_templates(f, t);
	if (t->vault != NULL) {
		struct faults one = {0};

		check_vault(&one, t->vault);
		faults_nest(f, &one, "Vault validation failed");
	}
	if (t->dispatch_payload != NULL && path_escapes(t->dispatch_payload->file)) {
		faults_add(f, "Dispatch Payload validation failed: destination escapes allocation directory");
	}
	if (t->lifecycle != NULL) {
		check_lifecycle(f, t->lifecycle);
	}
	check_mounts(f, t, g);
}

void check_task(struct faults *f, const struct task *t, const struct task_group *g, const struct job *job)
{
	bool is_system = strcmp(job->type, "system") == 0;

	check_task_name(f, t);
	if (t->kill_timeout.at < 0) {
		faults_add(f, "KillTimeout must be a positive value");
	}
	if (t->shutdown_delay < 0) {
		faults_add(f, "ShutdownDelay must be a positive value");
	}
	check_resources(f, t->resources);
	check_logs(f, t->log_config, g->ephemeral_disk);
	check_constraints(f, t->constraints.at, t->constraints.n, RULE_TASK);
	check_affinities(f, t->affinities.at, t->affinities.n, is_system);
	check_services(f, t->services.at, t->services.n, g, t);
	check_restart(f, t->restart_policy);
	check_task_parts(f, t, g);
}
