#include "server/api_job_draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/faults.h"

int draft_read(struct http_request *req, struct job_draft *d)
{
	memset(d, 0, sizeof(*d));
	if (body_decode(req, &job_request_type, &d->request, BODY_REQUIRED, NULL) != 0) {
		return ERR_INVALID;
	}
	d->job = d->request.job;
	if (d->job == NULL) {
		http_answer_text(req, 400, "Job must be specified");
		return ERR_INVALID;
	}
	return 0;
}

int draft_needs_id(struct http_request *req, struct job_draft *d, const char *text)
{
	if (!str_given(&job_type, d->job, &d->job->id)) {
		http_answer_text(req, 400, "%s", text);
		return ERR_INVALID;
	}
	return 0;
}

void draft_close(struct job_draft *d)
{
	buf_close(&d->warnings);
	buf_close(&d->faults);
}

/* "global" is what a job says that does not care. */
bool draft_region_is_ours(struct api *api, struct http_request *req, struct job_draft *d)
{
	const char *region = d->job->region;
	const char *asked = http_query(req, "region");

	if (region[0] == '\0' || strcmp(region, "global") == 0 || strcmp(region, api_info(api)->region) == 0 ||
	    (asked != NULL && asked[0] != '\0')) {
		return true;
	}
	region = arena_strdup(&req->mem, region);
	draft_close(d);
	if (region == NULL) {
		http_answer_error(req, ERR_NOMEM);
	} else {
		api_to_region(api, req, region);
	}
	return false;
}

/* ---- what its surroundings say ---- */

/* The query's namespace goes before the job's own. */
static void set_namespace(const struct http_request *req, struct job *job)
{
	const char *ns = http_query(req, "namespace");

	if (ns != NULL && ns[0] != '\0') {
		job->namespace_ = ns;
	}
}

static int get_namespace(const struct view *v, const char *name, struct namespace_ *out, struct arena *mem)
{
	const struct object_row *row = state_namespace(v, name);

	if (row == NULL) {
		object_init(&namespace__type, out); /* Apply tells that it is not there. */
		return 0;
	}
	return object_row_get(row, &namespace__type, out, mem);
}

static bool name_in(const struct strs *list, const char *name)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (strcmp(list->at[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static void check_drivers(const struct namespace_ *ns, const struct job *job, struct faults *f)
{
	const struct namespace_capabilities *c = ns->capabilities;

	for (uint32_t i = 0; c != NULL && i < job->task_groups.n; i++) {
		const struct task_group *g = &job->task_groups.at[i];

		for (uint32_t k = 0; k < g->tasks.n; k++) {
			const char *driver = g->tasks.at[k].driver;

			if ((c->enabled_task_drivers.n > 0 && !name_in(&c->enabled_task_drivers, driver)) ||
			    name_in(&c->disabled_task_drivers, driver)) {
				faults_add(f, "used task driver \"%s\" is not allowed in namespace \"%s\"", driver,
					   ns->name);
			}
		}
	}
}

static void check_pool(const struct namespace_ *ns, const struct job *job, struct faults *f)
{
	const struct namespace_pools *p = ns->node_pools;

	if (p != NULL && strcmp(job->node_pool, p->default_) != 0 &&
	    ((p->allowed.n > 0 && !name_in(&p->allowed, job->node_pool)) || name_in(&p->denied, job->node_pool))) {
		faults_add(f, "namespace \"%s\" does not allow jobs to use node pool \"%s\"", ns->name, job->node_pool);
	}
}

static void check_time_zone(const struct api *api, const struct job *job, struct faults *f)
{
	const char *zone = job_is_periodic(job) ? job->periodic->time_zone : "";

	if (zone[0] != '\0' && strcmp(zone, "UTC") != 0 && api->env.zone_exists != NULL &&
	    !api->env.zone_exists(api->env.ctx, zone)) {
		faults_add(f, "Invalid time zone \"%s\": unknown time zone %s", zone, zone);
	}
}

/* What is behind the ID of a parent in those of its children, at most: "/dispatch-1700000000-01234567". */
enum { CHILD_ID_ROOM = 32 };

int64_t job_total_count(const struct job *job)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < job->task_groups.n; i++) {
		if (__builtin_add_overflow(sum, job->task_groups.at[i].count, &sum)) {
			return INT64_MAX;
		}
	}
	return sum;
}

bool job_total_count_fits(const struct api *api, const struct job *job)
{
	return strcmp(job->type, "system") == 0 || strcmp(job->type, "sysbatch") == 0 || api->config.count_max < 0 ||
	       job_total_count(job) <= api->config.count_max;
}

/* What the state has no room for. */
static void check_room(const struct job *job, struct faults *f)
{
	bool has_children = job_is_periodic(job) || job_is_parameterized(job);
	int id_max = has_children ? JOB_ID_MAX - CHILD_ID_ROOM : JOB_ID_MAX;

	if (strlen(job->namespace_) > NAMESPACE_MAX) {
		faults_add(f, "Namespace must not be longer than %d bytes", NAMESPACE_MAX);
	}
	if (strlen(job->id) > (size_t)id_max) {
		faults_add(f, "Job ID must not be longer than %d bytes%s", id_max,
			   has_children ? ", as those of its children are longer" : "");
	}
	if (job->version < 0) {
		faults_add(f, "Version must not be negative");
	}
	if (job->datacenters.n > UINT16_MAX) {
		faults_add(f, "Datacenters must not be more than %d", UINT16_MAX);
	}
	if (job->task_groups.n > JOB_GROUPS_MAX) {
		faults_add(f, "Task groups must not be more than %d", JOB_GROUPS_MAX);
	}
	for (uint32_t i = 0; i < job->task_groups.n; i++) {
		if (strlen(job->task_groups.at[i].name) > GROUP_NAME_MAX) {
			faults_add(f, "Task group %u: Name must not be longer than %d bytes", i + 1, GROUP_NAME_MAX);
		}
	}
}

/* ---- what the job as it is says ---- */

static void preserve_group(const struct job_request *r, const struct task_group *was, struct task_group *now)
{
	if (r->preserve_counts) {
		now->count = was->count;
	}
	for (uint32_t i = 0; r->preserve_resources && i < now->tasks.n; i++) {
		const struct task *task = group_task(was, now->tasks.at[i].name);

		if (task != NULL && task->resources != NULL) {
			now->tasks.at[i].resources = task->resources;
		}
	}
}

/* Counts and resources are those of the job as it is, if the client wants that. Its memory is the view's: copied. */
static int preserve(const struct view *v, struct job_draft *d, struct arena *mem)
{
	const struct job_row *row = state_job(v, d->job->namespace_, d->job->id);
	struct job was;
	struct job copy;
	int rv;

	if ((!d->request.preserve_counts && !d->request.preserve_resources) || row == NULL) {
		return 0;
	}
	rv = job_row_get(row, &was, mem);
	if (rv == 0) {
		rv = object_copy(&job_type, &copy, &was, mem);
	}
	for (uint32_t i = 0; rv == 0 && i < d->job->task_groups.n; i++) {
		const struct task_group *group = job_group(&copy, d->job->task_groups.at[i].name);

		if (group != NULL) {
			preserve_group(&d->request, group, &d->job->task_groups.at[i]);
		}
	}
	return rv;
}

/* Whose child a job is, its parent's launch has said: nobody else makes or moves children. */
static int keep_parent(const struct view *v, struct job_draft *d, struct arena *mem)
{
	const struct job_row *row = state_job(v, d->job->namespace_, d->job->id);

	d->is_new = row == NULL;
	d->job->parent_id = row != NULL ? arena_strdup(mem, job_row_parent(row)) : "";
	if (d->job->parent_id != NULL && d->job->parent_id[0] == '\0') {
		d->job->dispatch_idempotency_token = ""; /* Of children only. */
	}
	return d->job->parent_id != NULL ? 0 : ERR_NOMEM;
}

/* ---- completing ---- */

/* What is not there yet may come before the job is applied, and what is may go: that is told by apply, then. */
static void check_place(const struct view *v, const struct job *job, struct faults *f)
{
	if (state_namespace(v, job->namespace_) == NULL) {
		faults_add(f, "job \"%s\" is in nonexistent namespace \"%s\"", job->id, job->namespace_);
	}
	if (job->node_pool[0] != '\0' && state_node_pool(v, job->node_pool) == NULL) {
		faults_add(f, "job \"%s\" is in nonexistent node pool \"%s\"", job->id, job->node_pool);
	}
}

static void validate(const struct api *api, const struct view *v, struct job_draft *d, const struct namespace_ *ns)
{
	struct faults f = {0};

	check_place(v, d->job, &f);
	job_faults(d->job, &f);
	if (d->job->payload.n > DISPATCH_PAYLOAD_MAX) {
		faults_add(&f, "Payload exceeds maximum size; %u > %d", d->job->payload.n, DISPATCH_PAYLOAD_MAX);
	}
	if (!job_total_count_fits(api, d->job)) {
		faults_add(&f, JOB_TOTAL_COUNT_FAULT, (long long)job_total_count(d->job),
			   (long long)api->config.count_max);
	}
	check_room(d->job, &f);
	if (f.n == 0) {
		check_time_zone(api, d->job, &f);
	}
	check_drivers(ns, d->job, &f);
	check_pool(ns, d->job, &f);
	faults_text(&f, &d->faults);
	faults_close(&f);
}

int draft_complete(struct api *api, struct http_request *req, const struct view *v, struct job_draft *d)
{
	struct scheduler_config config;
	struct namespace_ ns;
	int rv;

	set_namespace(req, d->job);
	rv = get_namespace(v, d->job->namespace_, &ns, &req->mem);
	if (rv != 0) {
		return rv;
	}
	if (!str_given(&job_type, d->job, &d->job->node_pool) && ns.node_pools != NULL &&
	    ns.node_pools->default_[0] != '\0') {
		d->job->node_pool = arena_strdup(&req->mem, ns.node_pools->default_);
	}
	if (d->job->node_pool == NULL) {
		return ERR_NOMEM;
	}
	d->job->region = api_info(api)->region;
	rv = job_canonicalize(d->job, &req->mem);
	if (rv == 0 && !access_job(req, d->job)) {
		rv = ERR_DENIED;
	}
	if (rv == 0) {
		rv = keep_parent(v, d, &req->mem);
	}
	if (rv == 0) {
		rv = preserve(v, d, &req->mem);
	}
	if (rv == 0) {
		rv = state_scheduler_config_in(v, d->job->node_pool, &config, &req->mem);
	}
	if (rv == 0) {
		validate(api, v, d, &ns);
		job_warnings(d->job, config.memory_oversubscription, &d->warnings);
	}
	return d->faults.failed || d->warnings.failed ? ERR_NOMEM : rv;
}

int draft_admit(struct http_request *req, const struct view *v, const struct job_draft *d, bool as_update,
		char why[ADMISSION_WHY])
{
	const struct job_row *row = as_update ? state_job(v, d->job->namespace_, d->job->id) : NULL;
	struct job_register p;
	int rv = job_register_fill(&p, d->job, &req->mem);

	if (rv == ERR_TOOBIG) {
		snprintf(why, ADMISSION_WHY, "%s", DRAFT_TOO_LARGE);
		return ERR_INVALID;
	}
	if (rv != 0) {
		return rv;
	}
	return admission_place(v, &p, why) && (row == NULL || admission_nature(row, &p, why)) ? 0 : ERR_INVALID;
}

/* ---- faults, one by one ---- */

/* If the line announces a list ("...: 2 errors occurred:"), its length; else 0. */
static unsigned long announced(const char *line, const char *end)
{
	static const char *const tails[] = {" error occurred:", " errors occurred:"};

	for (unsigned i = 0; i < 2; i++) {
		size_t len = strlen(tails[i]);
		const char *at = end - len;

		if ((size_t)(end - line) > len && memcmp(at, tails[i], len) == 0) {
			while (at > line && at[-1] >= '0' && at[-1] <= '9') {
				at--;
			}
			return strtoul(at, NULL, 10);
		}
	}
	return 0;
}

static const char *skip(const char *at, const char *text)
{
	size_t len = strlen(text);

	return strncmp(at, text, len) == 0 ? at + len : at;
}

/* The end of an item that begins here, with the list in it if there is one. */
static const char *item_end(const char *at, unsigned depth)
{
	const char *end = at + strcspn(at, "\n");
	unsigned long n = depth > 0 ? announced(at, end) : 0;

	for (; n > 0 && strncmp(end, "\n\t* ", 4) == 0; n--) {
		end = item_end(end + 4, depth - 1);
		if (n == 1) {
			end = skip(end, "\n\n");
		}
	}
	return end;
}

enum { FAULT_DEPTH = 16 };

int faults_split(const char *text, struct strs *out, struct arena *mem)
{
	unsigned long n = announced(text, text + strcspn(text, "\n"));
	const char *at = text + strcspn(text, "\n");

	out->n = 0;
	out->at = arena_calloc(mem, n, sizeof(char *));
	if (out->at == NULL) {
		return ERR_NOMEM;
	}
	while (out->n < n && strncmp(at, "\n\t* ", 4) == 0) {
		const char *end = item_end(at + 4, FAULT_DEPTH);
		const char *item = arena_strndup(mem, at + 4, (size_t)(end - at - 4));

		if (item == NULL) {
			return ERR_NOMEM;
		}
		out->at[out->n++] = item;
		at = end;
	}
	return 0;
}
