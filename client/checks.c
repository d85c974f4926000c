#include "client/checks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "client/client_int.h"
#include "client/probe.h"
#include "client/script.h"
#include "client/services.h"
#include "lib/log.h"
#include "proto/error.h"

#define INTERVAL_LEAST_NS (1 * NS_PER_S)
#define RETRY_NS (500 * NS_PER_MS) /* While somebody waits for it, a check that fails is asked again soon. */
#define TIMEOUT_NS (2 * NS_PER_S)
#define GRACE_NS (1 * NS_PER_S)

enum { CHECKS_MAX = 64 /* Of one allocation. */ };

enum check_status { CHECK_PENDING, CHECK_SUCCESS, CHECK_WARNING, CHECK_FAILURE };

static const char *const statuses[] = {
        [CHECK_PENDING] = "pending",
        [CHECK_SUCCESS] = "success",
        [CHECK_WARNING] = "warning",
        [CHECK_FAILURE] = "failure"};

/* What came of asking. */
struct answer {
	enum check_status status;
	long http_status;
	const char *output;
};

struct check {
	struct probe probe;   /* One of these two asks. */
	struct script script;
	struct check_set *set;
	const struct service *service; /* These two are the specification's. */
	const struct service_check *spec;
	uint32_t task; /* Whose it is; NO_TASK: the group's. */
	char *url;         /* Of a script it is NULL, */
	struct strs argv;  /* and this is its command. */
	struct arena mem;  /* Of that. */
	int64_t due;    /* Loop time; 0: it is being asked, or cannot be. */
	int64_t passed; /* In a row. */
	int64_t failed; /* In a row, since its task's time of grace has passed. */
	int64_t seen_start; /* Of the task: what was before its last start does not count. */
	enum check_status status;
	long http_status;
	int64_t at_s; /* Unix time of the last answer. */
	char *output; /* Of it; NULL: none. */
};

#define NO_TASK UINT32_MAX

struct check_set {
	struct list link; /* In checks->sets. */
	struct client_alloc *alloc;
	struct alloc_spec *spec;
	bool fresh; /* Its runner does not know yet how it stands. */
	uint32_t n;
	struct check at[];
};

struct checks {
	struct client *client;
	struct probes *probes;
	struct list sets;
};

#define CHECK_RESULT_FIELDS(X, T)                                                        \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, mode, "Mode")                                                          \
	X(T, STR, status, "Status")                                                      \
	X(T, INT, http_status, "StatusCode", .omit = true)                               \
	X(T, STR, output, "Output")                                                      \
	X(T, INT, timestamp, "Timestamp")                                                \
	X(T, STR, group, "Group")                                                        \
	X(T, STR, task, "Task", .omit = true)                                            \
	X(T, STR, service, "Service")                                                    \
	X(T, STR, check, "Check")

OBJECT_DECLARE(check_result, CHECK_RESULT_FIELDS);
OBJECT_DEFINE(check_result, CHECK_RESULT_FIELDS);

/* ---- which task ---- */

/* The task that a check is about; NULL: all of the group. */
static struct task_runner *task_of_check(const struct check *k)
{
	struct alloc_runner *ar = &k->set->alloc->ar;
	const char *name = k->spec->task_name[0] != '\0' ? k->spec->task_name : k->service->task_name;

	if (k->task != NO_TASK) {
		return &ar->tasks[k->task];
	}
	return name[0] == '\0' ? NULL : alloc_runner_task(ar, name);
}

/* Unix time since which what is checked runs; 0: it does not. Of a group its first main task tells. */
static int64_t runs_since(const struct check *k)
{
	const struct alloc_runner *ar = &k->set->alloc->ar;
	const struct task_runner *tr = task_of_check(k);
	uint32_t i;

	for (i = 0; tr == NULL && i < ar->n; i++) {
		tr = ar->tasks[i].hook == HOOK_MAIN ? &ar->tasks[i] : NULL;
	}
	return tr != NULL && tr->sm.at == TASK_RUNNING ? tr->started_ns : 0;
}

/* ---- results ---- */

static bool matters(const struct check *k)
{
	return strcmp(k->spec->on_update, "ignore") != 0;
}

/* A script can also warn: that is as good as a failure, unless the specification does not mind. */
static bool is_good(const struct check *k, enum check_status status)
{
	return status == CHECK_SUCCESS ||
	       (status == CHECK_WARNING && strcmp(k->spec->on_update, "ignore_warnings") == 0);
}

static bool passes(const struct check *k)
{
	return k->passed > 0 && k->passed >= k->spec->success_before_passing;
}

static void tell(struct check_set *set)
{
	struct moment now = client_now(set->alloc->client);
	bool all = true;
	uint32_t i;

	for (i = 0; i < set->n; i++) {
		all = all && (!matters(&set->at[i]) || passes(&set->at[i]));
	}
	if (all != set->alloc->ar.health.checks_pass) {
		alloc_runner_checks(&set->alloc->ar, all, &now);
	}
}

static int64_t interval_ns(const struct check *k)
{
	return k->spec->interval < INTERVAL_LEAST_NS ? INTERVAL_LEAST_NS : k->spec->interval;
}

static const struct check_restart *restart_rule(const struct check *k)
{
	const struct check_restart *rule = k->spec->check_restart != NULL ? k->spec->check_restart
	                                                                  : k->service->check_restart;

	return rule != NULL && rule->limit > 0 ? rule : NULL;
}

/* A failure has its say on the task once the time of grace since its start has passed. True: it has had enough. */
static bool count_failure(struct check *k, int64_t wall_ns)
{
	const struct check_restart *rule = restart_rule(k);
	int64_t since = runs_since(k);
	int64_t grace = rule != NULL && rule->grace.set ? rule->grace.at : GRACE_NS;

	if (rule == NULL || since == 0 || wall_ns - since < grace) {
		return false;
	}
	k->failed++;
	return k->failed >= rule->limit;
}

static void keep_answer(struct check *k, const struct answer *answer, bool good, int64_t wall_ns)
{
	k->status = answer->status;
	k->passed = good ? k->passed + 1 : 0;
	k->failed = good ? 0 : k->failed;
	k->http_status = answer->http_status;
	k->at_s = wall_ns / NS_PER_S;
	free(k->output);
	k->output = strdup(answer->output);
}

static void restart_task(struct check *k, const struct moment *now)
{
	char text[256];

	k->failed = 0;
	k->passed = 0;
	snprintf(text, sizeof(text), "healthcheck: check \"%.200s\" unhealthy", k->spec->name);
	alloc_runner_unhealthy(&k->set->alloc->ar, task_of_check(k), text, now);
}

/* A warning counts for a restart unless the rule says otherwise. */
static bool counts(const struct check *k, const struct answer *answer)
{
	const struct check_restart *rule = restart_rule(k);

	return answer->status == CHECK_FAILURE ||
	       (answer->status == CHECK_WARNING && !(rule != NULL && rule->ignore_warnings));
}

static const char *name_of(const struct check *k)
{
	return k->url != NULL ? k->url : k->argv.n > 0 ? k->argv.at[0] : k->spec->name;
}

/* At the end the set may have ended: nothing of it is touched afterwards. */
static void take_answer(struct check *k, const struct answer *answer)
{
	struct check_set *set = k->set;
	struct client *c = set->alloc->client;
	struct moment now = client_now(c);
	bool good = is_good(k, answer->status);
	bool hurry = !good && set->alloc->ar.health.state == HEALTH_WATCHED && interval_ns(k) > RETRY_NS;

	keep_answer(k, answer, good, now.wall_ns);
	k->due = client_time(c) + (hurry ? RETRY_NS : interval_ns(k));
	if (!good) {
		log_debug("client", "check %s of allocation %s: %s, status %ld", name_of(k), set->alloc->id,
		          answer->output, answer->http_status);
	}
	if (!good && counts(k, answer) && count_failure(k, now.wall_ns)) {
		set->fresh = true; /* Told in the next step. */
		restart_task(k, &now);
		return;
	}
	tell(set);
}

static void probed_cb(struct probe *p, const struct probe_answer *answer)
{
	const struct answer a = {.status = answer->good ? CHECK_SUCCESS : CHECK_FAILURE,
	                         .http_status = answer->status,
	                         .output = answer->output};

	take_answer(CONTAINER_OF(p, struct check, probe), &a);
}

static void script_done_cb(struct script *s, const struct script_answer *answer)
{
	const struct answer a = {.status = answer->code == 0   ? CHECK_SUCCESS
	                                   : answer->code == 1 ? CHECK_WARNING
	                                                       : CHECK_FAILURE,
	                         .output = answer->output};

	take_answer(CONTAINER_OF(s, struct check, script), &a);
}

/* ---- asking ---- */

/* What a task answered before its last start is of no interest. */
static bool is_to_be_asked(struct check *k)
{
	int64_t since = runs_since(k);

	if (since != k->seen_start) {
		k->seen_start = since;
		k->failed = 0;
		k->set->fresh = k->set->fresh || k->passed > 0;
		k->passed = 0;
		k->status = CHECK_PENDING;
	}
	return since != 0;
}

static int64_t timeout_ns(const struct check *k)
{
	return k->spec->timeout > 0 ? k->spec->timeout : TIMEOUT_NS;
}

static int ask_probe(struct checks *all, struct check *k)
{
	const struct probe_ask a = {.url = k->url,
	                            .connect_only = strcmp(k->spec->type, "tcp") == 0,
	                            .method = k->spec->method,
	                            .body = k->spec->body,
	                            .headers = k->spec->header,
	                            .insecure = k->spec->tls_skip_verify,
	                            .timeout_ns = timeout_ns(k)};

	return probe_start(all->probes, &k->probe, &a);
}

/* In the task that it is about, or else the group's first main one. */
static int ask_script(struct checks *all, struct check *k)
{
	struct client_alloc *ca = k->set->alloc;
	struct task_runner *tr = task_of_check(k);
	uint32_t i;

	for (i = 0; tr == NULL && i < ca->ar.n; i++) {
		tr = ca->ar.tasks[i].hook == HOOK_MAIN ? &ca->ar.tasks[i] : NULL;
	}
	return script_start(&k->script, all->client, tr != NULL ? task_of(tr)->driver : NULL, k->argv.at, k->argv.n,
	                    timeout_ns(k));
}

static void ask(struct checks *all, struct check *k)
{
	k->due = 0;
	if (!is_to_be_asked(k) || (k->argv.n > 0 ? ask_script(all, k) : ask_probe(all, k)) != 0) {
		k->due = client_time(all->client) + RETRY_NS;
	}
}

void checks_step(struct checks *k)
{
	int64_t now = client_time(k->client);
	uint32_t i;

	LIST_EACH(e, &k->sets) {
		struct check_set *set = CONTAINER_OF(e, struct check_set, link);

		for (i = 0; i < set->n; i++) {
			if (set->at[i].due != 0 && set->at[i].due <= now) {
				ask(k, &set->at[i]);
			}
		}
		if (set->fresh) {
			set->fresh = false;
			tell(set);
		}
	}
}

int64_t checks_due(const struct checks *k)
{
	int64_t due = 0;
	uint32_t i;

	LIST_EACH(e, &k->sets) {
		const struct check_set *set = CONTAINER_OF(e, struct check_set, link);

		due = set->fresh ? client_time(k->client) : due;
		for (i = 0; i < set->n; i++) {
			due = set->at[i].due != 0 && (due == 0 || set->at[i].due < due) ? set->at[i].due : due;
		}
	}
	return due;
}

/* ---- what to ask ---- */

static char *url_of(struct task_runner *tr, const struct task_env *env, const struct service *service,
                    const struct service_check *check)
{
	const char *label = check->port_label[0] != '\0' ? check->port_label : service->port_label;
	const char *scheme = strcmp(check->protocol, "https") == 0 ? "https" : "http";
	struct arena mem = {0};
	const char *clear = task_env_replace(env, label, &mem);
	const char *path = task_env_replace(env, check->path, &mem);
	struct service_place at = {"", 0};
	char *url = NULL;

	if (clear == NULL || path == NULL || !services_place(tr, clear, &at) || at.port == 0 ||
	    asprintf(&url, strchr(at.ip, ':') != NULL ? "%s://[%s]:%" PRId64 "%s%s" : "%s://%s:%" PRId64 "%s%s", scheme,
	             at.ip, at.port, path[0] == '/' || path[0] == '\0' ? "" : "/", path) < 0) {
		url = NULL;
	}
	arena_close(&mem);
	return url;
}

static bool take_argv(struct check *k, const struct task_env *env)
{
	const struct service_check *spec = k->spec;
	const char **argv = arena_calloc(&k->mem, (size_t)spec->args.n + 1, sizeof(*argv));
	uint32_t i;

	for (i = 0; argv != NULL && i <= spec->args.n; i++) {
		argv[i] = task_env_replace(env, i == 0 ? spec->command : spec->args.at[i - 1], &k->mem);
		if (argv[i] == NULL) {
			return false;
		}
	}
	k->argv = (struct strs){argv, argv != NULL ? spec->args.n + 1 : 0};
	return argv != NULL;
}

static void add_check(struct check_set *set, struct task_runner *tr, uint32_t task, const struct task_env *env,
                      const struct service *service, const struct service_check *spec)
{
	struct client *c = set->alloc->client;
	struct check *k = &set->at[set->n];
	bool is_script = strcmp(spec->type, "script") == 0;

	*k = (struct check){.set = set, .service = service, .spec = spec, .task = task};
	k->probe.done_cb = probed_cb;
	k->script.done_cb = script_done_cb;
	set->n++;
	if (!is_script && strcmp(spec->type, "tcp") != 0 && strcmp(spec->type, "http") != 0) {
		log_warn("client", "allocation %s: checks of type \"%s\" are not supported: this one will not pass",
		         set->alloc->id, spec->type);
		return;
	}
	if (!is_script) {
		k->url = url_of(tr, env, service, spec);
	}
	if (is_script ? !take_argv(k, env) : k->url == NULL) {
		log_warn("client", "allocation %s: a check of service \"%s\" has no %s", set->alloc->id, service->name,
		         is_script ? "command" : "port");
		return;
	}
	k->due = client_time(c) + NS_PER_MS;
}

static void add_services(struct check_set *set, struct task_runner *tr, uint32_t task, const struct service *at,
                         uint32_t n, uint32_t most)
{
	struct arena mem = {0};
	struct task_env env;
	uint32_t i;
	uint32_t k;

	if (n > 0 && host_env(tr, &env, &mem) == 0) {
		for (i = 0; i < n; i++) {
			for (k = 0; k < at[i].checks.n && set->n < most; k++) {
				add_check(set, tr, task, &env, &at[i], &at[i].checks.at[k]);
			}
		}
	}
	arena_close(&mem);
}

static uint32_t checks_of(const struct service *s)
{
	return s->checks.n;
}

static uint32_t count_all(const struct alloc_runner *ar)
{
	uint32_t n = services_sum(ar, checks_of);

	return n < CHECKS_MAX ? n : CHECKS_MAX;
}

static void begin(struct checks *k, struct client_alloc *ca)
{
	const struct task_group *group = ca->ar.spec->group;
	uint32_t most = count_all(&ca->ar);
	struct check_set *set = calloc(1, sizeof(*set) + most * sizeof(set->at[0]));
	uint32_t i;

	if (set == NULL) {
		return;
	}
	set->alloc = ca;
	set->spec = alloc_spec_ref(ca->ar.spec);
	add_services(set, &ca->ar.tasks[0], NO_TASK, group->services.at, group->services.n, most);
	for (i = 0; i < ca->ar.n; i++) {
		const struct task *task = ca->ar.tasks[i].task;

		add_services(set, &ca->ar.tasks[i], i, task->services.at, task->services.n, most);
	}
	set->fresh = true; /* Told in the next step: we may be inside a call from the runner. */
	list_insert(&k->sets, &set->link);
	ca->checks = set;
}

static void end(struct checks *k, struct check_set *set)
{
	uint32_t i;

	for (i = 0; i < set->n; i++) {
		probe_stop(k->probes, &set->at[i].probe);
		script_stop(&set->at[i].script);
		arena_close(&set->at[i].mem);
		free(set->at[i].url);
		free(set->at[i].output);
	}
	set->alloc->checks = NULL;
	list_remove(&set->link);
	alloc_spec_unref(set->spec);
	free(set);
}

static bool wanted(const struct client_alloc *ca)
{
	return ca->ar.sm.at == ALLOC_RUNNING && ca->ar.cause == CAUSE_NONE && count_all(&ca->ar) > 0;
}

/* What has begun to run is asked at once. */
static void hurry(struct check_set *set)
{
	uint32_t i;

	for (i = 0; i < set->n; i++) {
		struct check *k = &set->at[i];

		if (k->due != 0 && k->seen_start == 0 && runs_since(k) != 0) {
			k->due = client_time(set->alloc->client);
		}
	}
}

void checks_look(struct client_alloc *ca)
{
	struct checks *k = ca->client->checks;

	if (k == NULL) {
		return;
	}
	if (ca->checks != NULL && (!wanted(ca) || ca->checks->spec != ca->ar.spec)) {
		end(k, ca->checks);
	}
	if (ca->checks == NULL && wanted(ca)) {
		begin(k, ca);
	}
	if (ca->checks != NULL) {
		hurry(ca->checks);
	}
}

void checks_forget(struct client_alloc *ca)
{
	if (ca->checks != NULL) {
		end(ca->client->checks, ca->checks);
	}
}

/* ---- the API ---- */

/* The same check of an allocation has the same one, whenever it is asked for. */
static const char *id_of(const struct check *k, const char *task, struct arena *mem)
{
	const char *whole = arena_printf(mem, "%s/%s/%s/%s/%s", k->set->alloc->id, task, k->service->name, k->spec->name,
	                                 k->service->port_label);
	XXH128_hash_t hash = whole == NULL ? (XXH128_hash_t){0, 0} : XXH3_128bits(whole, strlen(whole));

	return whole == NULL ? NULL : arena_printf(mem, "%016" PRIx64 "%016" PRIx64, hash.high64, hash.low64);
}

static int put_result(const struct check *k, struct buf *out, struct arena *mem)
{
	const struct alloc_runner *ar = &k->set->alloc->ar;
	struct check_result r;

	object_init(&check_result_type, &r);
	r.task = k->task == NO_TASK ? "" : ar->tasks[k->task].task->name;
	r.id = id_of(k, r.task, mem);
	r.mode = matters(k) ? "healthiness" : "readiness";
	r.status = statuses[k->status];
	r.http_status = k->http_status;
	r.output = k->output != NULL ? k->output : "nomad: waiting to run";
	r.timestamp = k->at_s;
	r.group = ar->spec->alloc.name;
	r.service = k->service->name;
	r.check = k->spec->name;
	if (r.id == NULL) {
		return ERR_NOMEM;
	}
	json_put_str(out, r.id, strlen(r.id));
	buf_byte(out, ':');
	json_encode(&check_result_type, &r, out);
	return 0;
}

void checks_answer(const struct client_alloc *ca, struct http_request *req)
{
	struct http_response res = {.status = 200};
	uint32_t i;
	int rc = 0;

	buf_byte(&res.body, '{');
	for (i = 0; rc == 0 && ca->checks != NULL && i < ca->checks->n; i++) {
		buf_str(&res.body, i > 0 ? "," : "");
		rc = put_result(&ca->checks->at[i], &res.body, &req->mem);
	}
	buf_byte(&res.body, '}');
	if (rc != 0) {
		buf_close(&res.body);
		http_answer_error(req, rc);
		return;
	}
	http_answer(req, &res);
}

/* ---- begin and end ---- */

struct checks *checks_new(struct client *c)
{
	struct checks *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		return NULL;
	}
	k->client = c;
	k->probes = probes_new(c);
	if (k->probes == NULL) {
		free(k);
		return NULL;
	}
	list_init(&k->sets);
	return k;
}

void checks_close(struct checks *k)
{
	LIST_EACH(e, &k->sets) {
		end(k, CONTAINER_OF(e, struct check_set, link));
	}
	probes_close(k->probes);
	free(k);
}
