/* What makes a job one that can be run. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/job_check.h"

bool has_nul(const char *s)
{
	return strstr(s, "\xc0\x80") != NULL;
}

bool text_in(const char *text, const char *const *list)
{
	while (*list != NULL && strcmp(*list, text) != 0) {
		list++;
	}
	return *list != NULL;
}

/* ---- names that stand twice ---- */

struct named {
	const char *name;
	uint32_t at;
};

static int named_cmp(const void *a, const void *b)
{
	const struct named *p = a;
	const struct named *q = b;
	int c = strcmp(p->name, q->name);

	return c != 0 ? c : (p->at > q->at) - (p->at < q->at);
}

uint32_t *first_with_name(const char *const *names, uint32_t n, size_t stride)
{
	struct named *sorted = malloc((n + 1) * sizeof(*sorted));
	uint32_t *first = malloc((n + 1) * sizeof(*first));
	uint32_t i;

	if (sorted == NULL || first == NULL) {
		free(sorted);
		free(first);
		return NULL;
	}
	for (i = 0; i < n; i++) {
		const char *const *name = (const char *const *)(const void *)((const char *)names + i * stride);

		sorted[i] = (struct named){*name, i};
	}
	qsort(sorted, n, sizeof(*sorted), named_cmp);
	for (i = 0; i < n; i++) {
		bool again = i > 0 && strcmp(sorted[i - 1].name, sorted[i].name) == 0;

		first[sorted[i].at] = again ? first[sorted[i - 1].at] : sorted[i].at;
	}
	free(sorted);
	return first;
}

/* ---- groups ---- */

static bool is_system(const struct job *job)
{
	return strcmp(job->type, "system") == 0;
}

static bool is_batch(const struct job *job)
{
	return strcmp(job->type, "batch") == 0 || strcmp(job->type, "sysbatch") == 0;
}

static void check_disconnects(struct faults *f, const struct task_group *g, const struct job *job)
{
	const struct opt *stop = &g->stop_after_client_disconnect;
	const struct opt *lost = &g->max_client_disconnect;

	if (g->disconnect != NULL) {
		check_disconnect(f, g->disconnect, job->type);
		if (g->disconnect->lost_after.set && lost->set) {
			faults_add(f, "using both lost_after and max_client_disconnect is not allowed");
		}
		if (g->disconnect->stop_on_client_after.set && stop->set) {
			faults_add(f, "using both stop_after_client_disconnect and stop_on_client_after is not "
				      "allowed");
		}
	}
	if (stop->set && lost->set) {
		faults_add(f, "Task group cannot be configured with both max_client_disconnect and "
			      "stop_after_client_disconnect");
	}
	if (lost->set && lost->at < 0) {
		faults_add(f, "max_client_disconnect cannot be negative");
	}
	if (stop->set && stop->at < 0) {
		faults_add(f, "stop_after_client_disconnect cannot be negative");
	}
}

static void check_max_run(struct faults *f, const struct task_group *g, const struct job *job)
{
	if (!g->max_run_duration.set) {
		return;
	}
	if (g->max_run_duration.at <= 0) {
		faults_add(f, "MaxRunDuration must be greater than zero");
	}
	if (!is_batch(job)) {
		faults_add(f, "Job type \"%s\" does not allow max_run_duration", job->type);
	}
}

static void check_group_policies(struct faults *f, const struct task_group *g, const struct job *job)
{
	bool service = strcmp(job->type, "service") == 0;

	if (g->reschedule_policy != NULL) {
		if (is_system(job) || strcmp(job->type, "sysbatch") == 0) {
			faults_add(f, "System or sysbatch jobs should not have a reschedule policy");
		} else {
			check_reschedule(f, g->reschedule_policy);
		}
	}
	if (g->ephemeral_disk->size_mb < 10) {
		faults_add(f, "minimum DiskMB value is 10; got %" PRId64, g->ephemeral_disk->size_mb);
	}
	if (g->update != NULL) {
		if (!service && !is_system(job)) {
			faults_add(f, "Job type \"%s\" does not allow update block", job->type);
		}
		check_update(f, g->update);
	}
	if (g->migrate != NULL) {
		if (service) {
			check_migrate(f, g->migrate);
		} else {
			faults_add(f, "Job type \"%s\" does not allow migrate block", job->type);
		}
	}
}

/* ---- volumes ---- */

static void check_host_volume(struct faults *f, const struct volume_request *v)
{
	static const char *const writers[] = {"", "single-node-writer", "single-node-single-writer",
					      "single-node-multi-writer", NULL};

	if (v->mount_options != NULL) {
		faults_add(f, "host volumes cannot have mount options");
	}
	if (strcmp(v->access_mode, "single-node-reader-only") == 0) {
		if (!v->read_only) {
			faults_add(f, "%s volumes must be read-only", v->access_mode);
		}
	} else if (!text_in(v->access_mode, writers)) {
		faults_add(f, "host volumes cannot be mounted with %s access mode", v->access_mode);
	}
}

static void check_csi_volume(struct faults *f, const struct volume_request *v, int64_t count)
{
	bool shared = count > 1 && !v->per_alloc;

	if (*v->attachment_mode == '\0') {
		faults_add(f, "CSI volumes must have an attachment mode");
	} else if (strcmp(v->attachment_mode, "block-device") == 0 && v->mount_options != NULL) {
		faults_add(f, "block devices cannot have mount options");
	}
	if (*v->access_mode == '\0') {
		faults_add(f, "CSI volumes must have an access mode");
	} else if (strcmp(v->access_mode, "single-node-reader-only") == 0) {
		if (!v->read_only) {
			faults_add(f, "%s volumes must be read-only", v->access_mode);
		}
		if (shared) {
			faults_add(f, "volume with %s access mode allows only one reader", v->access_mode);
		}
	} else if (strcmp(v->access_mode, "single-node-writer") == 0 && shared) {
		faults_add(f, "volume with %s access mode allows only one reader or writer", v->access_mode);
	} else if (strcmp(v->access_mode, "multi-node-reader-only") == 0 && !v->read_only) {
		faults_add(f, "%s volumes must be read-only", v->access_mode);
	} else if (strcmp(v->access_mode, "multi-node-single-writer") == 0 && !v->read_only && shared) {
		faults_add(f, "volume with %s access mode allows only one writer", v->access_mode);
	}
}

static void check_volume(struct faults *f, const struct volume_request *v, const struct task_group *g,
			 const struct job *job)
{
	if (*v->source == '\0') {
		faults_add(f, "volume has an empty source");
	}
	if (v->per_alloc && (is_system(job) || strcmp(job->type, "sysbatch") == 0)) {
		faults_add(f, "volume cannot be per_alloc for system or sysbatch jobs");
	}
	if (v->per_alloc && g->update != NULL && g->update->canary.at > 0) {
		faults_add(f, "volume cannot be per_alloc when canaries are in use");
	}
	if (v->per_alloc && v->sticky) {
		faults_add(f, "volume cannot be per_alloc and sticky at the same time");
	}
	if (strcmp(v->type, "host") == 0) {
		check_host_volume(f, v);
	} else {
		check_csi_volume(f, v, g->count);
	}
}

static void check_volumes(struct faults *f, const struct task_group *g, const struct job *job)
{
	uint32_t i;

	for (i = 0; i < g->volumes.n; i++) {
		const struct volume_request *v = &g->volumes.at[i];
		struct faults one = {0};

		if (strcmp(v->type, "host") == 0 || strcmp(v->type, "csi") == 0) {
			check_volume(&one, v, g, job);
		} else {
			faults_add(&one, "volume has unrecognized type %s", v->type);
		}
		faults_nest(f, &one, "Task group volume validation for %s failed", g->volumes.keys[i]);
	}
}

/* ---- its tasks ---- */

/* The tasks as a list: their names and what only one of them may be. */
static void check_task_list(struct faults *f, const struct task_group *g)
{
	const char *const *names = g->tasks.n > 0 ? &g->tasks.at[0].name : NULL;
	uint32_t *first = first_with_name(names, g->tasks.n, sizeof(*g->tasks.at));
	uint32_t leaders = 0;
	uint32_t main_tasks = 0;
	uint32_t i;

	for (i = 0; i < g->tasks.n; i++) {
		const struct task *t = &g->tasks.at[i];

		if (*t->name == '\0') {
			faults_add(f, "Task %" PRIu32 " missing name", i + 1);
		} else if (first != NULL && first[i] != i) {
			faults_add(f, "Task %" PRIu32 " redefines '%s' from task %" PRIu32, i + 1, t->name,
				   first[i] + 1);
		}
		leaders += t->leader;
		main_tasks += t->lifecycle == NULL || *t->lifecycle->hook == '\0';
	}
	if (leaders > 1) {
		faults_add(f, "Only one task may be marked as leader");
	}
	if (g->tasks.n > 0 && main_tasks == 0) {
		faults_add(f, "Task group %s must have at least one main task", g->name);
	}
	free(first);
}

static void check_group(struct faults *f, const struct task_group *g, const struct job *job)
{
	uint32_t i;

	if (*g->name == '\0') {
		faults_add(f, "Missing task group name");
	} else if (has_nul(g->name)) {
		faults_add(f, "Task group name contains null character");
	}
	if (g->count < 0) {
		faults_add(f, "Task group count can't be negative");
	}
	if (g->tasks.n == 0) {
		faults_add(f, "Missing tasks for task group");
	}
	check_disconnects(f, g, job);
	check_max_run(f, g, job);
	check_constraints(f, g->constraints.at, g->constraints.n, RULE_GROUP);
	check_affinities(f, g->affinities.at, g->affinities.n, is_system(job));
	check_restart(f, g->restart_policy);
	check_spreads(f, g->spreads.at, g->spreads.n, is_system(job));
	check_group_policies(f, g, job);
	check_task_list(f, g);
	check_volumes(f, g, job);
	check_networks(f, g);
	check_group_services(f, g);
	if (g->scaling != NULL) {
		check_scaling(f, g);
	}
	for (i = 0; i < g->tasks.n; i++) {
		struct faults one = {0};

		check_task(&one, &g->tasks.at[i], g, job);
		faults_nest(f, &one, "Task %s validation failed", g->tasks.at[i].name);
	}
}

/* ---- the job ---- */

static void check_id(struct faults *f, const struct job *job)
{
	if (*job->region == '\0') {
		faults_add(f, "Missing job region");
	}
	if (*job->id == '\0') {
		faults_add(f, "Missing job ID");
	} else if (strchr(job->id, ' ') != NULL) {
		faults_add(f, "Job ID contains a space");
	} else if (has_nul(job->id)) {
		faults_add(f, "Job ID contains a null character");
	}
	if (*job->name == '\0') {
		faults_add(f, "Missing job name");
	} else if (has_nul(job->name)) {
		faults_add(f, "Job Name contains a null character");
	}
	if (*job->namespace_ == '\0') {
		faults_add(f, "Job must be in a namespace");
	}
}

static bool node_pool_valid(const char *name)
{
	static const char ok[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t n = strlen(name);

	return n > 0 && n <= 128 && strspn(name, ok) == n;
}

/* Of the program's own chores, which are no jobs. */
#define CORE_TYPE "_core"

static void check_kind(struct faults *f, const struct job *job)
{
	static const char *const types[] = {"service", "batch", "system", "sysbatch", CORE_TYPE, NULL};
	uint32_t i;

	if (*job->type == '\0') {
		faults_add(f, "Missing job type");
	} else if (!text_in(job->type, types)) {
		faults_add(f, "Invalid job type: \"%s\"", job->type);
	}
	for (i = 0; i < job->datacenters.n; i++) {
		if (*job->datacenters.at[i] == '\0') {
			faults_add(f, "Job datacenter must be non-empty string");
		}
	}
	if (!node_pool_valid(job->node_pool)) {
		faults_add(f, "Invalid node pool: \"%s\"", job->node_pool);
	}
}

static void check_descriptions(struct faults *f, const struct job *job)
{
	const size_t most = 1000;

	if (job->ui != NULL && strlen(job->ui->description) > most) {
		faults_add(f, "UI description must be under 1000 characters, currently %zu",
			   strlen(job->ui->description));
	}
	if (job->version_tag != NULL && strlen(job->version_tag->description) > most) {
		faults_add(f, "Tagged version description must be under 1000 characters, currently %zu",
			   strlen(job->version_tag->description));
	}
}

/* The groups as a list. */
static void check_group_list(struct faults *f, const struct job *job)
{
	const char *const *names = job->task_groups.n > 0 ? &job->task_groups.at[0].name : NULL;
	uint32_t *first = first_with_name(names, job->task_groups.n, sizeof(*job->task_groups.at));
	uint32_t i;

	for (i = 0; i < job->task_groups.n; i++) {
		const struct task_group *g = &job->task_groups.at[i];

		if (*g->name == '\0') {
			faults_add(f, "Job task group %" PRIu32 " missing name", i + 1);
		} else if (first != NULL && first[i] != i) {
			faults_add(f, "Job task group %" PRIu32 " redefines '%s' from group %" PRIu32, i + 1, g->name,
				   first[i] + 1);
		}
		if (g->shutdown_delay.set && g->shutdown_delay.at < 0) {
			faults_add(f, "ShutdownDelay must be a positive value");
		}
		if (is_system(job) && g->count > 1) {
			faults_add(f,
				   "Job task group %s has count %" PRId64
				   ". Count cannot exceed 1 with system scheduler",
				   g->name, g->count);
		}
	}
	free(first);
}

static void check_launch(struct faults *f, const struct job *job)
{
	if (job->periodic != NULL && job->periodic->enabled) {
		if (!is_batch(job)) {
			faults_add(f, "Periodic can only be used with \"batch\" or \"sysbatch\" scheduler");
		}
		check_periodic(f, job->periodic);
	}
	if (job_is_parameterized(job)) {
		if (!is_batch(job)) {
			faults_add(f, "Parameterized job can only be used with \"batch\" or \"sysbatch\" scheduler");
		}
		check_parameterized(f, job->parameterized);
		if (job->periodic != NULL) {
			faults_add(f, "A job can't be periodic and parameterized at the same time");
		}
	}
}

/* What only the program itself does, and the order in which jobs may be served. */
static void check_submitted(struct faults *f, const struct job *job)
{
	if (strcmp(job->type, CORE_TYPE) == 0) {
		faults_add(f, "job type cannot be core");
	}
	if (job->payload.n > 0 && !job->dispatched) {
		faults_add(f, "job can't be submitted with a payload, only dispatched");
	}
	if (job->priority < 1 || job->priority > 100) {
		faults_add(f, "job priority must be between [1, 100]");
	}
}

void job_faults(const struct job *job, struct faults *f)
{
	uint32_t i;

	check_id(f, job);
	check_kind(f, job);
	if (job->task_groups.n == 0) {
		faults_add(f, "Missing job task groups");
	}
	check_constraints(f, job->constraints.at, job->constraints.n, RULE_JOB);
	check_affinities(f, job->affinities.at, job->affinities.n, is_system(job));
	check_spreads(f, job->spreads.at, job->spreads.n, is_system(job));
	check_descriptions(f, job);
	check_group_list(f, job);
	for (i = 0; i < job->task_groups.n; i++) {
		struct faults one = {0};

		check_group(&one, &job->task_groups.at[i], job);
		faults_nest(f, &one, "Task group %s validation failed", job->task_groups.at[i].name);
	}
	check_launch(f, job);
	check_submitted(f, job);
}

bool job_validate(const struct job *job, struct buf *out)
{
	struct faults f = {0};
	bool valid;

	job_faults(job, &f);
	valid = f.n == 0;
	faults_text(&f, out);
	faults_close(&f);
	return valid;
}

/* ---- warnings ---- */

static void warn_resources(struct faults *f, const struct resources *r)
{
	if (r->iops != 0) {
		faults_add(f, "IOPS has been deprecated as of Nomad 0.9.0. Please remove IOPS from resource block.");
	}
	if (r->networks.n > 0) {
		faults_add(f, "task network resources have been deprecated as of Nomad 0.12.0. Please configure "
			      "networking via group network block.");
	}
}

/* An identity is as safe as it is narrow and short. */
static void warn_identity(struct faults *f, const struct workload_identity *w)
{
	if (w->audience.n == 0) {
		faults_add(f, "identities without an audience are insecure");
	} else if (w->audience.n > 1) {
		faults_add(f, "while multiple audiences is allowed, it is more secure to use 1 audience per identity");
	}
	if (w->ttl == 0) {
		faults_add(f, "identities without an expiration are insecure");
	}
	if (w->env && strcmp(w->change_mode, "restart") != 0) {
		faults_add(f, "using env=true without change_mode=\"restart\" may result in task not getting updated "
			      "identity");
	}
}

/* Connect is taken and kept, but nothing comes of it: there is no mesh. */
static void warn_services(struct faults *f, const struct service *at, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (at[i].connect[0] != '\0' && strcmp(at[i].connect, "null") != 0) {
			faults_add(f, "Service \"%s\": connect is not supported and has no effect", at[i].name);
		}
	}
}

static void warn_task(struct faults *f, const struct task *t)
{
	uint32_t i;

	warn_resources(f, t->resources);
	for (i = 0; i < t->templates.n; i++) {
		if (t->templates.at[i].vault_grace != 0) {
			faults_add(f,
				   "Template[%" PRIu32
				   "] VaultGrace has been deprecated as of Nomad 0.11 and ignored since Vault 0.5. "
				   "Please remove VaultGrace / vault_grace from template block.",
				   i);
		}
	}
	warn_services(f, t->services.at, t->services.n);
	for (i = 0; i < t->identities.n; i++) {
		struct faults one = {0};

		warn_identity(&one, &t->identities.at[i]);
		faults_nest(f, &one, "Identity[%s]", t->identities.at[i].name);
	}
	if (t->vault != NULL) {
		faults_add(f, "vault is not supported and has no effect");
	}
}

static void warn_group(struct faults *f, const struct task_group *g)
{
	uint32_t i;

	/* With one allocation, every update replaces all of them: nobody needs to be told. */
	if (g->update != NULL && g->count > 1 && g->update->max_parallel.at > g->count) {
		faults_add(f,
			   "Update max parallel count is greater than task group count (%" PRId64 " > %" PRId64
			   "). A destructive change would result in the simultaneous replacement of all "
			   "allocations.",
			   g->update->max_parallel.at, g->count);
	}
	if (g->networks.n > 0 && g->networks.at[0].mbits.at > 0) {
		faults_add(f, "mbits has been deprecated as of Nomad 0.12.0. Please remove mbits from the network "
			      "block");
	}
	warn_services(f, g->services.at, g->services.n);
	for (i = 0; i < g->tasks.n; i++) {
		struct faults one = {0};

		warn_task(&one, &g->tasks.at[i]);
		faults_nest(f, &one, "Task \"%s\" has warnings", g->tasks.at[i].name);
	}
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The tasks that services of the group name, sorted; from malloc(), NULL when there is no memory. */
static const char **served_by(const struct task_group *g)
{
	const char **names = malloc(((size_t)g->services.n + 1) * sizeof(*names));
	uint32_t i;

	if (names != NULL) {
		for (i = 0; i < g->services.n; i++) {
			names[i] = g->services.at[i].task_name;
		}
		qsort(names, g->services.n, sizeof(*names), name_cmp);
	}
	return names;
}

/* Who is found as a service goes on being asked for a moment after it has been taken from the list. */
static void warn_delays(struct faults *f, const struct task_group *g)
{
	const char **named = served_by(g);
	bool unowned = false;
	bool delayed = g->shutdown_delay.set && g->shutdown_delay.at > 0;
	uint32_t i;

	for (i = 0; i < g->services.n; i++) {
		unowned |= *g->services.at[i].task_name == '\0';
	}
	for (i = 0; i < g->tasks.n; i++) {
		const struct task *t = &g->tasks.at[i];

		delayed |= t->shutdown_delay > 0;
		if (t->shutdown_delay == 0 && named != NULL &&
		    bsearch(&t->name, named, g->services.n, sizeof(*named), name_cmp) != NULL) {
			faults_add(f,
				   "group \"%s\" references task \"%s\" in a service definition, but the task has no "
				   "shutdown_delay set",
				   g->name, t->name);
		}
		if (t->shutdown_delay == 0 && t->services.n > 0) {
			faults_add(f, "task \"%s\" in group \"%s\" defines services, but has no shutdown_delay set",
				   t->name, g->name);
		}
	}
	if (unowned && !delayed) {
		faults_add(f,
			   "group \"%s\" defines services, but neither the group nor any of its tasks have "
			   "shutdown_delay set",
			   g->name);
	}
	free(named);
}

/* Some groups promote their canaries on their own, and others do not; who has no canaries has none to promote. */
static bool promotes_half(const struct job *job)
{
	bool some = false;
	bool all = true;
	uint32_t i;

	for (i = 0; i < job->task_groups.n; i++) {
		const struct update_strategy *u = job->task_groups.at[i].update;

		some |= u != NULL && u->auto_promote.at;
		all &= u == NULL || u->canary.at == 0 || u->auto_promote.at;
	}
	return some && !all;
}

/* What a task may take beyond its memory is nothing here. */
static void warn_memory(struct faults *f, const struct task_group *g)
{
	uint32_t i;

	for (i = 0; i < g->tasks.n; i++) {
		const struct resources *r = g->tasks.at[i].resources;

		if (r != NULL && r->memory_max_mb != 0) {
			faults_add(f,
				   "Memory oversubscription is not enabled; Task \"%s.%s\" memory_max value will be "
				   "ignored. Update the Scheduler Configuration to allow oversubscription.",
				   g->name, g->tasks.at[i].name);
		}
	}
}

void job_warnings(const struct job *job, bool oversubscribes, struct buf *out)
{
	struct faults f = {.warnings = true};
	uint32_t i;

	for (i = 0; i < job->task_groups.n; i++) {
		struct faults one = {0};

		warn_group(&one, &job->task_groups.at[i]);
		faults_nest(&f, &one, "Group \"%s\" has warnings", job->task_groups.at[i].name);
	}
	for (i = 0; i < job->task_groups.n; i++) {
		warn_delays(&f, &job->task_groups.at[i]);
	}
	if (job->multiregion != NULL) {
		faults_add(&f, "multiregion is not supported and has no effect: the job runs in this region alone");
	}
	if (promotes_half(job)) {
		faults_add(&f, "auto_promote must be true for all groups to enable automatic promotion");
	}
	for (i = 0; i < job->task_groups.n && !oversubscribes; i++) {
		warn_memory(&f, &job->task_groups.at[i]);
	}
	if (job->periodic != NULL && *job->periodic->spec != '\0') {
		faults_add(&f, "cron is deprecated and may be removed in a future release. Use crons instead");
	}
	faults_text(&f, out);
	faults_close(&f);
}
