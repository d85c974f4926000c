#include "client/checks.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_int.h"
#include "lib/log.h"
#include "proto/jsonin.h"

#define INTERVAL_LEAST_NS (1 * NS_PER_S)
#define RETRY_NS (500 * NS_PER_MS) /* A check that fails is asked again soon: somebody waits for it. */
#define TIMEOUT_NS (2 * NS_PER_S)

enum { CHECKS_MAX = 64 /* Of one allocation. */ };

struct check {
	struct check_set *set;
	const struct service_check *spec;
	char *url;
	CURL *curl; /* While it is being asked. */
	struct curl_slist *headers;
	int64_t due;
	int64_t passed; /* In a row. */
	bool connect_only;
};

struct check_set {
	struct list link; /* In checks->sets. */
	struct client_alloc *alloc;
	struct alloc_spec *spec;
	bool fresh; /* Its runner does not know yet how it stands. */
	uint32_t n;
	struct check at[CHECKS_MAX];
};

struct checks {
	struct client *client;
	CURLM *multi;
	uv_timer_t timer; /* As curl wants it. */
	struct list sets;
};

/* A socket of curl's, watched for it. */
struct watched_socket {
	uv_poll_t poll;
	struct client *client; /* Which outlives the checks. */
	struct checks *checks;
	curl_socket_t fd;
};

/* ---- results ---- */

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
		all = all && passes(&set->at[i]);
	}
	if (all != set->alloc->ar.health.checks_pass) {
		alloc_runner_checks(&set->alloc->ar, all, &now);
	}
}

static void release(struct check *k, CURLM *multi)
{
	if (k->curl != NULL) {
		curl_multi_remove_handle(multi, k->curl);
		curl_easy_cleanup(k->curl);
		k->curl = NULL;
	}
	curl_slist_free_all(k->headers);
	k->headers = NULL;
}

static void done(struct checks *all, struct check *k, CURLcode rc)
{
	struct check_set *set = k->set;
	long status = 0;
	bool good;
	int64_t interval = k->spec->interval < INTERVAL_LEAST_NS ? INTERVAL_LEAST_NS : k->spec->interval;

	curl_easy_getinfo(k->curl, CURLINFO_RESPONSE_CODE, &status);
	good = rc == CURLE_OK && (k->connect_only || (status >= 200 && status < 400));
	release(k, all->multi);
	k->passed = good ? k->passed + 1 : 0;
	k->due = client_time(all->client) + (good || interval < RETRY_NS ? interval : RETRY_NS);
	if (!good) {
		log_debug("client", "check %s of allocation %s: %s, status %ld", k->url, set->alloc->id, curl_easy_strerror(rc),
		          status);
	}
	tell(set); /* May end the set: nothing of it is touched afterwards. */
}

/* ---- curl on the loop ---- */

static void take_results(struct checks *k)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(k->multi, &left)) != NULL) {
		struct check *check = NULL;

		if (msg->msg == CURLMSG_DONE) {
			curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&check);
			done(k, check, msg->data.result);
		}
	}
}

static void act(struct checks *k, curl_socket_t fd, int events)
{
	int running;

	curl_multi_socket_action(k->multi, fd, events, &running);
	take_results(k);
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
	struct watched_socket *s = poll->data;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;

	flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
	flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
	act(s->checks, s->fd, flags);
}

static void poll_closed_cb(uv_handle_t *handle)
{
	struct watched_socket *s = handle->data;
	struct client *c = s->client;

	free(s);
	client_closed_handle(c);
}

static struct watched_socket *watch(struct checks *k, curl_socket_t fd)
{
	struct watched_socket *s = calloc(1, sizeof(*s));

	if (s == NULL || uv_poll_init_socket(k->client->loop, &s->poll, fd) != 0) {
		free(s);
		return NULL;
	}
	s->poll.data = s;
	s->client = k->client;
	s->checks = k;
	s->fd = fd;
	k->client->handles++;
	curl_multi_assign(k->multi, fd, s);
	return s;
}

static int socket_cb(CURL *curl, curl_socket_t fd, int what, void *arg, void *socket)
{
	struct checks *k = arg;
	struct watched_socket *s = socket;
	int events = ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);

	(void)curl;
	if (what == CURL_POLL_REMOVE) {
		if (s != NULL) {
			uv_poll_stop(&s->poll);
			uv_close((uv_handle_t *)&s->poll, poll_closed_cb);
			curl_multi_assign(k->multi, fd, NULL);
		}
		return 0;
	}
	s = s == NULL ? watch(k, fd) : s;
	return s == NULL ? -1 : uv_poll_start(&s->poll, events, poll_cb);
}

static void timeout_cb(uv_timer_t *timer)
{
	act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int timer_cb(CURLM *multi, long ms, void *arg)
{
	struct checks *k = arg;

	(void)multi;
	if (ms < 0) {
		uv_timer_stop(&k->timer);
	} else {
		uv_timer_start(&k->timer, timeout_cb, (uint64_t)ms, 0);
	}
	return 0;
}

/* ---- asking ---- */

static size_t drop_cb(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	return size * n;
}

/* {"Name":["value"]} as header lines. */
static struct curl_slist *header_lines(const char *json)
{
	struct curl_slist *list = NULL;
	struct fault fault;
	struct arena mem = {0};
	struct jsonin in;
	bool more;

	jsonin_init(&in, json, strlen(json), &mem, &fault);
	if (json[0] != '{' || jsonin_open(&in, '{', &more) != 0) {
		more = false;
	}
	while (more) {
		const char *name;
		const char *value;
		bool each;

		if (jsonin_str(&in, &name) != 0 || !jsonin_take(&in, ':') || jsonin_open(&in, '[', &each) != 0) {
			break;
		}
		while (each && jsonin_str(&in, &value) == 0) {
			const char *line = arena_printf(&mem, "%s: %s", name, value);

			if (line != NULL && strpbrk(line, "\r\n") == NULL) {
				list = curl_slist_append(list, line);
			}
			if (jsonin_next(&in, '[', &each) != 0) {
				break;
			}
		}
		if (jsonin_next(&in, '{', &more) != 0) {
			break;
		}
	}
	arena_close(&mem);
	return list;
}

static void set_http(struct check *k)
{
	if (k->spec->method[0] != '\0') {
		curl_easy_setopt(k->curl, CURLOPT_CUSTOMREQUEST, k->spec->method);
	}
	if (k->spec->body[0] != '\0') {
		curl_easy_setopt(k->curl, CURLOPT_POSTFIELDS, k->spec->body);
	}
	if (k->spec->tls_skip_verify) {
		curl_easy_setopt(k->curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(k->curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	k->headers = header_lines(k->spec->header);
	curl_easy_setopt(k->curl, CURLOPT_HTTPHEADER, k->headers);
}

static void ask(struct checks *all, struct check *k)
{
	int64_t timeout = k->spec->timeout > 0 ? k->spec->timeout : TIMEOUT_NS;

	k->due = 0;
	k->curl = curl_easy_init();
	if (k->curl == NULL) {
		k->due = client_time(all->client) + RETRY_NS;
		return;
	}
	curl_easy_setopt(k->curl, CURLOPT_URL, k->url);
	curl_easy_setopt(k->curl, CURLOPT_PRIVATE, k);
	curl_easy_setopt(k->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(k->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(k->curl, CURLOPT_TIMEOUT_MS, (long)(timeout / NS_PER_MS));
	curl_easy_setopt(k->curl, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(k->curl, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(k->curl, CURLOPT_USERAGENT, "drover");
	curl_easy_setopt(k->curl, CURLOPT_WRITEFUNCTION, drop_cb);
	if (k->connect_only) {
		curl_easy_setopt(k->curl, CURLOPT_CONNECT_ONLY, 1L);
	} else {
		set_http(k);
	}
	curl_multi_add_handle(all->multi, k->curl);
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

/* Where a port's label leads: "10.0.0.1:8080", or NULL. */
static const char *address_of(const struct client *c, const struct task_env *env, const char *label, struct arena *mem)
{
	char key[160];
	const char *ip;
	const char *port;

	snprintf(key, sizeof(key), "NOMAD_HOST_IP_%.100s", label);
	ip = task_env_get(env, key);
	snprintf(key, sizeof(key), "NOMAD_HOST_PORT_%.100s", label);
	port = task_env_get(env, key);
	if (port == NULL && label[0] != '\0' && strspn(label, "0123456789") == strlen(label)) {
		port = label;
	}
	if (ip == NULL || ip[0] == '\0') {
		ip = map_find(&c->node.attributes, "unique.network.ip-address");
	}
	if (ip == NULL || port == NULL) {
		return NULL;
	}
	return arena_printf(mem, strchr(ip, ':') != NULL ? "[%s]:%s" : "%s:%s", ip, port);
}

static char *url_of(const struct client *c, const struct task_env *env, const struct service *service,
                    const struct service_check *check)
{
	const char *label = check->port_label[0] != '\0' ? check->port_label : service->port_label;
	struct arena mem = {0};
	const char *clear = task_env_replace(env, label, &mem);
	const char *path = task_env_replace(env, check->path, &mem);
	const char *address = clear == NULL || path == NULL ? NULL : address_of(c, env, clear, &mem);
	char *url = NULL;

	if (address != NULL && asprintf(&url, "%s://%s%s%s", strcmp(check->protocol, "https") == 0 ? "https" : "http", address,
	                                path[0] == '/' || path[0] == '\0' ? "" : "/", path) < 0) {
		url = NULL;
	}
	arena_close(&mem);
	return url;
}

static void add_check(struct check_set *set, const struct task_env *env, const struct service *service,
                      const struct service_check *spec)
{
	struct client *c = set->alloc->client;
	struct check *k = &set->at[set->n];

	if (set->n == CHECKS_MAX || strcmp(spec->on_update, "ignore") == 0) {
		return;
	}
	*k = (struct check){.set = set, .spec = spec, .connect_only = strcmp(spec->type, "tcp") == 0};
	set->n++;
	if (!k->connect_only && strcmp(spec->type, "http") != 0) {
		log_warn("client", "allocation %s: checks of type \"%s\" are not supported: this one will not pass",
		         set->alloc->id, spec->type);
		return;
	}
	k->url = url_of(c, env, service, spec);
	if (k->url == NULL) {
		log_warn("client", "allocation %s: a check of service \"%s\" has no port", set->alloc->id, service->name);
		return;
	}
	k->due = client_time(c) + NS_PER_MS;
}

static void add_service(struct check_set *set, struct task_runner *tr, const struct service *service)
{
	struct arena mem = {0};
	struct task_env env;
	uint32_t i;

	if (host_env(tr, &env, &mem) == 0) {
		for (i = 0; i < service->checks.n; i++) {
			add_check(set, &env, service, &service->checks.at[i]);
		}
	}
	arena_close(&mem);
}

/* curl is asked for with the first check only. */
static bool have_curl(struct checks *k)
{
	if (k->multi != NULL) {
		return true;
	}
	k->multi = curl_multi_init();
	if (k->multi == NULL) {
		return false;
	}
	curl_multi_setopt(k->multi, CURLMOPT_SOCKETFUNCTION, socket_cb);
	curl_multi_setopt(k->multi, CURLMOPT_SOCKETDATA, k);
	curl_multi_setopt(k->multi, CURLMOPT_TIMERFUNCTION, timer_cb);
	curl_multi_setopt(k->multi, CURLMOPT_TIMERDATA, k);
	return true;
}

static void begin(struct checks *k, struct client_alloc *ca)
{
	struct check_set *set = have_curl(k) ? calloc(1, sizeof(*set)) : NULL;
	const struct task_group *group = ca->ar.spec->group;
	uint32_t i;
	uint32_t j;

	if (set == NULL) {
		return;
	}
	set->alloc = ca;
	set->spec = alloc_spec_ref(ca->ar.spec);
	for (i = 0; i < group->services.n; i++) {
		add_service(set, &ca->ar.tasks[0], &group->services.at[i]);
	}
	for (i = 0; i < ca->ar.n; i++) {
		const struct task *task = ca->ar.tasks[i].task;

		for (j = 0; j < task->services.n; j++) {
			add_service(set, &ca->ar.tasks[i], &task->services.at[j]);
		}
	}
	set->fresh = true; /* Told in the next step: we may be inside a call from the runner. */
	list_insert(&k->sets, &set->link);
	ca->checks = set;
}

static void end(struct checks *k, struct check_set *set)
{
	uint32_t i;

	for (i = 0; i < set->n; i++) {
		release(&set->at[i], k->multi);
		free(set->at[i].url);
	}
	set->alloc->checks = NULL;
	list_remove(&set->link);
	alloc_spec_unref(set->spec);
	free(set);
}

static bool wanted(const struct client_alloc *ca)
{
	return ca->ar.sm.at == ALLOC_RUNNING && ca->ar.health.state == HEALTH_WATCHED && ca->ar.health.use_checks;
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
}

void checks_forget(struct client_alloc *ca)
{
	if (ca->checks != NULL) {
		end(ca->client->checks, ca->checks);
	}
}

/* ---- begin and end ---- */

struct checks *checks_new(struct client *c)
{
	struct checks *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		return NULL;
	}
	k->client = c;
	list_init(&k->sets);
	uv_timer_init(c->loop, &k->timer);
	k->timer.data = k;
	c->handles++;
	return k;
}

static void closed_cb(uv_handle_t *handle)
{
	struct checks *k = handle->data;
	struct client *c = k->client;

	free(k);
	client_closed_handle(c);
}

void checks_close(struct checks *k)
{
	LIST_EACH(e, &k->sets) {
		end(k, CONTAINER_OF(e, struct check_set, link));
	}
	if (k->multi != NULL) {
		curl_multi_cleanup(k->multi); /* Lets go of its sockets, which are closed before the timer's callback. */
	}
	uv_close((uv_handle_t *)&k->timer, closed_cb);
}
