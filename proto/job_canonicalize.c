/* What a job says when its user says nothing. */
#include <ctype.h>
#include <string.h>

#include "proto/job.h"
#include "proto/walk.h"

/* What depends on the type of the job. */
struct type_defaults {
	struct restart_policy restart;
	const struct reschedule_policy *reschedule; /* NULL: such jobs are not rescheduled. */
	const struct update_strategy *update;       /* NULL: not unless the user asks. */
	const struct migrate_strategy *migrate;
};

#define SET(v)                                                                                                         \
	{                                                                                                              \
		.at = (v), .set = true                                                                                 \
	}

static const struct reschedule_policy service_reschedule = {
	.attempts = SET(0),
	.interval = SET(0),
	.delay = SET(30 * NS_PER_S),
	.delay_function = "exponential",
	.max_delay = SET(60 * NS_PER_MIN),
	.unlimited = SET(1),
};
static const struct reschedule_policy batch_reschedule = {
	.attempts = SET(1),
	.interval = SET(24 * 60 * NS_PER_MIN),
	.delay = SET(5 * NS_PER_S),
	.delay_function = "constant",
	.max_delay = SET(0),
	.unlimited = SET(0),
};
static const struct update_strategy default_update = {
	.stagger = SET(30 * NS_PER_S),
	.max_parallel = SET(1),
	.health_check = "checks",
	.min_healthy_time = SET(10 * NS_PER_S),
	.healthy_deadline = SET(5 * NS_PER_MIN),
	.progress_deadline = SET(10 * NS_PER_MIN),
	.auto_revert = SET(0),
	.auto_promote = SET(0),
	.canary = SET(0),
};
static const struct migrate_strategy default_migrate = {
	.max_parallel = SET(1),
	.health_check = "checks",
	.min_healthy_time = SET(10 * NS_PER_S),
	.healthy_deadline = SET(5 * NS_PER_MIN),
};

#define SERVICE_RESTART                                                                                                \
	{                                                                                                              \
		SET(2), SET(30 * NS_PER_MIN), SET(15 * NS_PER_S), "fail", SET(0)                                       \
	}
#define BATCH_RESTART                                                                                                  \
	{                                                                                                              \
		SET(3), SET(24 * 60 * NS_PER_MIN), SET(15 * NS_PER_S), "fail", SET(0)                                  \
	}

static const struct type_defaults service_defaults = {SERVICE_RESTART, &service_reschedule, &default_update,
						      &default_migrate};
static const struct type_defaults batch_defaults = {BATCH_RESTART, &batch_reschedule, NULL, NULL};
static const struct type_defaults system_defaults = {SERVICE_RESTART, NULL, &default_update, NULL};
static const struct type_defaults sysbatch_defaults = {BATCH_RESTART, NULL, NULL, NULL};

/* A type that does not exist is refused later, for that alone: it gets the defaults that fit any type. */
static const struct type_defaults *defaults_of(const struct job *job)
{
	if (strcmp(job->type, "service") == 0) {
		return &service_defaults;
	}
	if (strcmp(job->type, "system") == 0) {
		return &system_defaults;
	}
	return strcmp(job->type, "sysbatch") == 0 ? &sysbatch_defaults : &batch_defaults;
}

/* ---- helpers ---- */

/* Take over from another object of the type what may be left open (optional members and strings) and is. */
static void fill(const struct type *t, void *obj, const void *from)
{
	const struct field *f;

	for (f = t->fields; f < t->fields + t->n; f++) {
		void *m = member_of(obj, f);

		if (!member_empty(f, m)) {
			continue;
		}
		if (f->kind == KIND_STR) {
			*(const char **)m = *(const char *const *)const_member(from, f);
		} else if (f->kind == KIND_OPTBOOL || f->kind == KIND_OPTINT || f->kind == KIND_OPTDUR) {
			*(struct opt *)m = *(const struct opt *)const_member(from, f);
		}
	}
}

/* A new object with the defaults of its table, unless there is one. */
static int ensure(const struct type *t, void *where, struct arena *mem)
{
	void **at = where;
	void *obj;

	if (*at != NULL) {
		return 0;
	}
	obj = arena_alloc(mem, t->size);
	if (obj == NULL) {
		return ERR_NOMEM;
	}
	object_init(t, obj);
	*at = obj;
	return 0;
}

static void opt_default(struct opt *o, int64_t v)
{
	if (!o->set) {
		*o = (struct opt)SET(v);
	}
}

static void str_fill(const char **s, const char *with)
{
	if (**s == '\0') {
		*s = with;
	}
}

/* ---- tasks ---- */

/* What a service says for all of its checks holds where a check says nothing else. */
static int canonicalize_check_restart(struct service_check *c, const struct check_restart *of_service,
				      struct arena *mem)
{
	int rv = of_service != NULL ? ensure(&check_restart_type, &c->check_restart, mem) : 0;

	if (rv != 0 || c->check_restart == NULL) {
		return rv;
	}
	if (of_service != NULL) {
		fill(&check_restart_type, c->check_restart, of_service);
		if (c->check_restart->limit == 0) {
			c->check_restart->limit = of_service->limit;
		}
		c->check_restart->ignore_warnings |= of_service->ignore_warnings;
	}
	opt_default(&c->check_restart->grace, NS_PER_S);
	return 0;
}

static void at_least_zero(int64_t *n)
{
	*n = *n > 0 ? *n : 0;
}

static int canonicalize_checks(struct service *s, struct arena *mem)
{
	uint32_t i;

	for (i = 0; i < s->checks.n; i++) {
		struct service_check *c = &s->checks.at[i];

		str_fill(&c->on_update, s->on_update);
		str_fill(&c->task_name, s->task_name);
		at_least_zero(&c->success_before_passing);
		at_least_zero(&c->failures_before_critical);
		at_least_zero(&c->failures_before_warning);
		if (canonicalize_check_restart(c, s->check_restart, mem) != 0) {
			return ERR_NOMEM;
		}
		if (*c->name == '\0') {
			c->name = arena_printf(mem, "service: \"%s\" check", s->name);
			if (c->name == NULL) {
				return ERR_NOMEM;
			}
		}
	}
	return 0;
}

/* A name that is longer is cut, and then refused. */
enum { SERVICE_NAME_EXPANDED_MAX = 4096 };

/* The names of what a service belongs to may stand in its own. */
static int expand_name(struct service *s, const struct job *job, const struct task_group *g, const char *task,
		       struct arena *mem)
{
	const struct {
		const char *name;
		const char *text;
	} known[] = {{"${JOB}", job->name},
		     {"${TASKGROUP}", g->name},
		     {"${TASK}", task},
		     {"${BASE}", arena_printf(mem, "%s-%s-%s", job->name, g->name, task)}};
	const size_t n = sizeof(known) / sizeof(known[0]);
	struct buf out = {0};
	const char *at = s->name;
	size_t i;

	if (strstr(at, "${") == NULL) {
		return 0;
	}
	while (*at != '\0' && out.len < SERVICE_NAME_EXPANDED_MAX) {
		for (i = 0; i < n && strncmp(at, known[i].name, strlen(known[i].name)) != 0; i++) {
		}
		if (i < n && known[i].text != NULL) {
			buf_str(&out, known[i].text);
			at += strlen(known[i].name);
		} else {
			buf_put(&out, at++, 1);
		}
	}
	s->name = out.failed ? NULL : arena_strdup(mem, buf_text(&out));
	buf_close(&out);
	if (s->name == NULL) {
		s->name = object_empty;
		return ERR_NOMEM;
	}
	return 0;
}

/* `task` is NULL for a service of the group. */
static int canonicalize_service(struct service *s, const struct job *job, const struct task_group *g,
				const struct task *task, struct arena *mem)
{
	if (*s->name == '\0') {
		s->name = task != NULL ? arena_printf(mem, "%s-%s-%s", job->name, g->name, task->name)
				       : arena_printf(mem, "%s-%s", job->name, g->name);
		if (s->name == NULL) {
			s->name = object_empty;
			return ERR_NOMEM;
		}
	}
	if (expand_name(s, job, g, task != NULL ? task->name : "group", mem) != 0) {
		return ERR_NOMEM;
	}
	if (task != NULL) {
		str_fill(&s->task_name, task->name);
	}
	str_fill(&s->provider, "consul");
	str_fill(&s->address_mode, "auto");
	str_fill(&s->on_update, "require_healthy");
	str_fill(&s->cluster, "default");
	return canonicalize_checks(s, mem);
}

static void canonicalize_networks(struct network_resource *at, uint32_t n)
{
	uint32_t i;
	uint32_t k;

	for (i = 0; i < n; i++) {
		for (k = 0; k < at[i].reserved_ports.n; k++) {
			str_fill(&at[i].reserved_ports.at[k].host_network, "default");
		}
		for (k = 0; k < at[i].dynamic_ports.n; k++) {
			str_fill(&at[i].dynamic_ports.at[k].host_network, "default");
		}
	}
}

static void canonicalize_resources(struct resources *r)
{
	opt_default(&r->cpu, r->cores > 0 ? 0 : 100);
	opt_default(&r->memory_mb, 300);
	r->disk_mb = 0; /* Asked for by the group. */
	if (r->numa != NULL) {
		str_fill(&r->numa->affinity, "none");
	}
	canonicalize_networks(r->networks.at, r->networks.n);
}

/* In capitals, as signals are named. */
static int canonicalize_signal(const char **name, struct arena *mem)
{
	char *to;
	char *p;

	if (**name == '\0') {
		return 0;
	}
	to = arena_strdup(mem, *name);
	if (to == NULL) {
		return ERR_NOMEM;
	}
	for (p = to; *p != '\0'; p++) {
		*p = (char)toupper((unsigned char)*p);
	}
	*name = to;
	return 0;
}

/* Of those of a task, the one by which it proves to the cluster itself who it is. */
#define DEFAULT_IDENTITY "default"

static bool is_default(const struct workload_identity *w)
{
	return strcmp(w->name, DEFAULT_IDENTITY) == 0;
}

static int canonicalize_one_identity(struct workload_identity *w, struct arena *mem)
{
	static const char *audience[] = {"nomadproject.io"};

	str_fill(&w->name, DEFAULT_IDENTITY);
	if (is_default(w)) {
		w->audience.at = audience;
		w->audience.n = 1;
	}
	return canonicalize_signal(&w->change_signal, mem);
}

/* Every task has a default identity, and it is not among the others; of several, the last is taken out. */
static int canonicalize_identity(struct task *t, struct arena *mem)
{
	uint32_t at = t->identities.n;
	uint32_t i;
	int rv = 0;

	for (i = 0; rv == 0 && i < t->identities.n; i++) {
		rv = canonicalize_one_identity(&t->identities.at[i], mem);
		if (rv == 0 && is_default(&t->identities.at[i])) {
			at = i;
		}
	}
	if (rv != 0) {
		return rv;
	}
	if (at < t->identities.n) {
		t->identity = arena_alloc(mem, sizeof(*t->identity));
		if (t->identity == NULL) {
			return ERR_NOMEM;
		}
		*t->identity = t->identities.at[at];
		t->identities.n--;
		memmove(&t->identities.at[at], &t->identities.at[at + 1],
			(t->identities.n - at) * sizeof(*t->identities.at));
	}
	rv = ensure(&workload_identity_type, &t->identity, mem);
	return rv != 0 ? rv : canonicalize_one_identity(t->identity, mem);
}

static void canonicalize_csi_plugin(struct csi_plugin *p)
{
	str_fill(&p->mount_dir, "/csi");
	str_fill(&p->stage_publish_base_dir, "/local/csi");
	if (p->health_timeout == 0) {
		p->health_timeout = 30 * NS_PER_S;
	}
}

static void canonicalize_affinities(struct affinity *at, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		str_fill(&at[i].operand, "=");
	}
}

static int canonicalize_template(struct template *t, struct arena *mem)
{
	if (strcmp(t->change_mode, "signal") == 0 && !str_given(&template_type, t, &t->change_signal)) {
		t->change_signal = "SIGHUP";
		return 0;
	}
	return canonicalize_signal(&t->change_signal, mem);
}

static int canonicalize_vault(struct vault *v, struct arena *mem)
{
	if (!str_given(&vault_type, v, &v->change_signal)) {
		v->change_signal = "SIGHUP";
		return 0;
	}
	return canonicalize_signal(&v->change_signal, mem);
}

/* A single file keeps its name, all else is put into a directory. */
static int canonicalize_artifact(struct artifact *a, struct arena *mem)
{
	const char *slash = strrchr(a->getter_source, '/');
	const char *name = slash != NULL ? slash + 1 : a->getter_source;

	str_fill(&a->getter_mode, "any");
	if (strcmp(a->getter_mode, "file") == 0 && *name != '\0' && *a->relative_dest == '\0') {
		a->relative_dest = arena_printf(mem, "local/%.*s", (int)strcspn(name, "?"), name);
		if (a->relative_dest == NULL) {
			a->relative_dest = object_empty;
			return ERR_NOMEM;
		}
	}
	str_fill(&a->relative_dest, "local/");
	return 0;
}

static int canonicalize_parts(struct task *t, struct arena *mem)
{
	uint32_t i;
	int rv = 0;

	for (i = 0; rv == 0 && i < t->templates.n; i++) {
		rv = canonicalize_template(&t->templates.at[i], mem);
	}
	if (rv == 0 && t->vault != NULL) {
		rv = canonicalize_vault(t->vault, mem);
	}
	for (i = 0; rv == 0 && i < t->artifacts.n; i++) {
		rv = canonicalize_artifact(&t->artifacts.at[i], mem);
	}
	for (i = 0; i < t->volume_mounts.n; i++) {
		str_fill(&t->volume_mounts.at[i].propagation_mode, "private");
	}
	canonicalize_affinities(t->affinities.at, t->affinities.n);
	if (t->csi_plugin != NULL) {
		canonicalize_csi_plugin(t->csi_plugin);
	}
	if (t->lifecycle != NULL && *t->lifecycle->hook == '\0' && !t->lifecycle->sidecar) {
		t->lifecycle = NULL;
	}
	return rv;
}

static int canonicalize_task(struct task *t, const struct job *job, const struct task_group *g, struct arena *mem)
{
	uint32_t i;
	int rv = ensure(&resources_type, &t->resources, mem);

	rv = rv != 0 ? rv : ensure(&log_config_type, &t->log_config, mem);
	rv = rv != 0 ? rv : ensure(&restart_policy_type, &t->restart_policy, mem);
	rv = rv != 0 ? rv : canonicalize_identity(t, mem);
	rv = rv != 0 ? rv : canonicalize_parts(t, mem);
	if (rv != 0) {
		return rv;
	}
	canonicalize_resources(t->resources);
	fill(&restart_policy_type, t->restart_policy, g->restart_policy);
	opt_default(&t->kill_timeout, 5 * NS_PER_S);
	for (i = 0; rv == 0 && i < t->services.n; i++) {
		rv = canonicalize_service(&t->services.at[i], job, g, t, mem);
	}
	return rv;
}

/* ---- groups ---- */

/* The job's update block once it has been through here: all but two members are zero, which they cannot be otherwise.
 */
static bool update_is_canonical(const struct update_strategy *u)
{
	return u->healthy_deadline.set && u->healthy_deadline.at == 0;
}

/* Whether the job says anything about updates. */
static bool update_is_given(const struct update_strategy *u)
{
	return u != NULL && !(update_is_canonical(u) && u->max_parallel.at == 0 && u->stagger.at == 0);
}

static int canonicalize_update(struct task_group *g, const struct job *job, const struct type_defaults *d,
			       struct arena *mem)
{
	bool inherits = update_is_given(job->update);
	int rv;

	if (g->update == NULL && !inherits && d->update == NULL) {
		return 0;
	}
	rv = ensure(&update_strategy_type, &g->update, mem);
	if (rv != 0) {
		return rv;
	}
	if (inherits && update_is_canonical(job->update)) {
		struct update_strategy kept = {.stagger = job->update->stagger,
					       .max_parallel = job->update->max_parallel,
					       .health_check = object_empty};

		fill(&update_strategy_type, g->update, &kept);
	} else if (inherits) {
		fill(&update_strategy_type, g->update, job->update);
	}
	fill(&update_strategy_type, g->update, &default_update);
	return 0;
}

/* As update, for the blocks that leave nothing with the job. */
static int canonicalize_block(const struct type *t, void *where, const void *of_job, const void *of_type,
			      struct arena *mem)
{
	void **at = where;
	int rv;

	if (*at == NULL && of_job == NULL && of_type == NULL) {
		return 0;
	}
	rv = ensure(t, at, mem);
	if (rv == 0 && of_job != NULL) {
		fill(t, *at, of_job);
	}
	return rv;
}

static int canonicalize_policies(struct task_group *g, const struct job *job, const struct type_defaults *d,
				 struct arena *mem)
{
	int rv = ensure(&restart_policy_type, &g->restart_policy, mem);

	rv = rv != 0 ? rv : ensure(&ephemeral_disk_type, &g->ephemeral_disk, mem);
	rv = rv != 0 ? rv : canonicalize_update(g, job, d, mem);
	rv = rv != 0 ? rv
		     : canonicalize_block(&reschedule_policy_type, &g->reschedule_policy, job->reschedule,
					  d->reschedule, mem);
	rv = rv != 0 ? rv : canonicalize_block(&migrate_strategy_type, &g->migrate, job->migrate, d->migrate, mem);
	if (rv != 0) {
		return rv;
	}
	fill(&restart_policy_type, g->restart_policy, &d->restart);
	if (g->reschedule_policy != NULL) {
		fill(&reschedule_policy_type, g->reschedule_policy,
		     d->reschedule != NULL ? d->reschedule : &batch_reschedule);
	}
	if (g->migrate != NULL) {
		fill(&migrate_strategy_type, g->migrate, &default_migrate);
	}
	return 0;
}

/* Which policy it is, and of what, is told by where it stands. */
static void canonicalize_policy(struct scaling_policy *s)
{
	s->id = s->namespace_ = "";
	s->create_index = s->modify_index = 0;
	s->target.n = 0;
	opt_default(&s->enabled, 1);
}

static void canonicalize_scaling(struct task_group *g)
{
	uint32_t i;
	uint32_t k;

	if (g->scaling != NULL) {
		canonicalize_policy(g->scaling);
		str_fill(&g->scaling->type, "horizontal");
		opt_default(&g->scaling->min, g->count);
	}
	for (i = 0; i < g->tasks.n; i++) {
		for (k = 0; k < g->tasks.at[i].scaling_policies.n; k++) {
			canonicalize_policy(&g->tasks.at[i].scaling_policies.at[k]);
		}
	}
}

static int canonicalize_group(struct task_group *g, const struct job *job, const struct type_defaults *d,
			      struct arena *mem)
{
	uint32_t i;
	int rv = canonicalize_policies(g, job, d, mem);

	canonicalize_scaling(g);
	canonicalize_networks(g->networks.at, g->networks.n);
	canonicalize_affinities(g->affinities.at, g->affinities.n);
	for (i = 0; i < g->volumes.n; i++) {
		str_fill(&g->volumes.at[i].name, g->volumes.keys[i]);
	}
	if (g->disconnect != NULL) {
		str_fill(&g->disconnect->reconcile, "best_score");
		opt_default(&g->disconnect->replace, 1);
	}
	for (i = 0; rv == 0 && i < g->services.n; i++) {
		rv = canonicalize_service(&g->services.at[i], job, g, NULL, mem);
	}
	for (i = 0; rv == 0 && i < g->tasks.n; i++) {
		rv = canonicalize_task(&g->tasks.at[i], job, g, mem);
	}
	return rv;
}

/* ---- the job ---- */

/* Of the job's block the groups have what they need. Two members stay to be seen, the others are zero. */
static int keep_update(struct job *job, const struct type_defaults *d, struct arena *mem)
{
	struct update_strategy *u = job->update;
	struct opt stagger = SET(0);
	struct opt max_parallel = SET(0);
	int rv;

	if (update_is_given(u)) {
		stagger = u->stagger.set ? u->stagger : default_update.stagger;
		max_parallel = u->max_parallel.set ? u->max_parallel : default_update.max_parallel;
	} else if (d->update != NULL) {
		stagger = d->update->stagger;
		max_parallel = d->update->max_parallel;
	}
	rv = ensure(&update_strategy_type, &job->update, mem);
	if (rv == 0) {
		static const struct opt zero = SET(0);

		*job->update = (struct update_strategy){.stagger = stagger,
							.max_parallel = max_parallel,
							.health_check = object_empty,
							.min_healthy_time = zero,
							.healthy_deadline = zero,
							.progress_deadline = zero,
							.auto_revert = zero,
							.auto_promote = zero,
							.canary = zero};
	}
	return rv;
}

static void canonicalize_launch(struct job *job)
{
	if (job->periodic != NULL) {
		str_fill(&job->periodic->spec_type, "cron");
		str_fill(&job->periodic->time_zone, "UTC");
	}
	if (job->parameterized != NULL) {
		str_fill(&job->parameterized->payload, "optional");
	}
}

int job_canonicalize(struct job *job, struct arena *mem)
{
	static const char *any_datacenter[] = {"*"};
	const struct type_defaults *d = defaults_of(job);
	uint32_t i;
	int rv = 0;

	if (!str_given(&job_type, job, &job->name)) {
		job->name = job->id;
	}
	str_fill(&job->region, "global");
	str_fill(&job->namespace_, "default");
	str_fill(&job->node_pool, "default");
	if (job->priority == 0) {
		job->priority = 50;
	}
	if (job->datacenters.n == 0) {
		job->datacenters.at = any_datacenter;
		job->datacenters.n = 1;
	}
	canonicalize_affinities(job->affinities.at, job->affinities.n);
	canonicalize_launch(job);
	for (i = 0; rv == 0 && i < job->task_groups.n; i++) {
		rv = canonicalize_group(&job->task_groups.at[i], job, d, mem);
	}
	job->reschedule = NULL;
	job->migrate = NULL;
	return rv != 0 ? rv : keep_update(job, d, mem);
}
