#include "client/probe.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_int.h"
#include "proto/error.h"
#include "proto/jsonin.h"

struct probes {
	struct client *client;
	CURLM *multi;     /* Made for the first probe. */
	uv_timer_t timer; /* As curl wants it. */
};

/* A socket of curl's, watched for it. */
struct watched_socket {
	uv_poll_t poll;
	struct client *client; /* Which outlives the probes. */
	struct probes *probes;
	curl_socket_t fd;
};

/* ---- the end of a probe ---- */

void probe_stop(struct probes *all, struct probe *p)
{
	if (p->curl != NULL) {
		curl_multi_remove_handle(all->multi, p->curl);
		curl_easy_cleanup(p->curl);
		p->curl = NULL;
	}
	curl_slist_free_all(p->headers);
	p->headers = NULL;
	free(p->output);
	p->output = NULL;
	p->output_len = 0;
}

static void done(struct probes *all, struct probe *p, CURLcode rc)
{
	struct probe_answer answer = {.output = "nomad: tcp ok"};
	char output[PROBE_OUTPUT] = "";
	long status = 0;

	curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &status);
	if (p->output != NULL) {
		memcpy(output, p->output, p->output_len);
	}
	answer.status = status;
	answer.good = rc == CURLE_OK && (p->output == NULL || (status >= 200 && status < 400));
	if (rc != CURLE_OK) {
		answer.output = curl_easy_strerror(rc);
	} else if (p->output != NULL) {
		answer.output = answer.good ? "nomad: http ok" : output;
	}
	probe_stop(all, p);
	p->done_cb(p, &answer);
}

/* ---- curl on the loop ---- */

static void take_results(struct probes *k)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(k->multi, &left)) != NULL) {
		struct probe *probe = NULL;

		if (msg->msg == CURLMSG_DONE) {
			curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&probe);
			done(k, probe, msg->data.result);
		}
	}
}

static void act(struct probes *k, curl_socket_t fd, int events)
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
	act(s->probes, s->fd, flags);
}

static void poll_closed_cb(uv_handle_t *handle)
{
	struct watched_socket *s = handle->data;
	struct client *c = s->client;

	free(s);
	client_closed_handle(c);
}

static struct watched_socket *watch(struct probes *k, curl_socket_t fd)
{
	struct watched_socket *s = calloc(1, sizeof(*s));

	if (s == NULL || uv_poll_init_socket(k->client->loop, &s->poll, fd) != 0) {
		free(s);
		return NULL;
	}
	s->poll.data = s;
	s->client = k->client;
	s->probes = k;
	s->fd = fd;
	k->client->handles++;
	curl_multi_assign(k->multi, fd, s);
	return s;
}

static int socket_cb(CURL *curl, curl_socket_t fd, int what, void *arg, void *socket)
{
	struct probes *k = arg;
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
	struct probes *k = arg;

	(void)multi;
	if (ms < 0) {
		uv_timer_stop(&k->timer);
	} else {
		uv_timer_start(&k->timer, timeout_cb, (uint64_t)ms, 0);
	}
	return 0;
}

/* ---- asking ---- */

/* The beginning of a body is kept, the rest is read. */
static size_t body_cb(char *data, size_t size, size_t n, void *arg)
{
	struct probe *p = arg;
	size_t room = PROBE_OUTPUT - 1 - p->output_len;
	size_t take = size * n < room ? size * n : room;

	memcpy(p->output + p->output_len, data, take);
	p->output_len += (uint32_t)take;
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

static void set_http(struct probe *p, const struct probe_ask *ask)
{
	if (ask->method[0] != '\0') {
		curl_easy_setopt(p->curl, CURLOPT_CUSTOMREQUEST, ask->method);
	}
	if (ask->body[0] != '\0') {
		curl_easy_setopt(p->curl, CURLOPT_COPYPOSTFIELDS, ask->body);
		if (ask->method[0] == '\0') {
			curl_easy_setopt(p->curl, CURLOPT_CUSTOMREQUEST, "GET");
		}
	}
	if (ask->insecure) {
		curl_easy_setopt(p->curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(p->curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	p->headers = header_lines(ask->headers);
	curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, p->headers);
	curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, body_cb);
	curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, p);
}

/* curl is asked for with the first probe only. */
static bool have_curl(struct probes *all)
{
	if (all->multi != NULL) {
		return true;
	}
	all->multi = curl_multi_init();
	if (all->multi == NULL) {
		return false;
	}
	curl_multi_setopt(all->multi, CURLMOPT_SOCKETFUNCTION, socket_cb);
	curl_multi_setopt(all->multi, CURLMOPT_SOCKETDATA, all);
	curl_multi_setopt(all->multi, CURLMOPT_TIMERFUNCTION, timer_cb);
	curl_multi_setopt(all->multi, CURLMOPT_TIMERDATA, all);
	return true;
}

int probe_start(struct probes *all, struct probe *p, const struct probe_ask *ask)
{
	p->curl = have_curl(all) ? curl_easy_init() : NULL;
	p->output = p->curl == NULL || ask->connect_only ? NULL : malloc(PROBE_OUTPUT);
	if (p->curl == NULL || (p->output == NULL && !ask->connect_only)) {
		curl_easy_cleanup(p->curl);
		p->curl = NULL;
		return ERR_NOMEM;
	}
	curl_easy_setopt(p->curl, CURLOPT_URL, ask->url);
	curl_easy_setopt(p->curl, CURLOPT_PRIVATE, p);
	curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(p->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(p->curl, CURLOPT_TIMEOUT_MS, (long)(ask->timeout_ns / NS_PER_MS));
	curl_easy_setopt(p->curl, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(p->curl, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(p->curl, CURLOPT_USERAGENT, "drover");
	if (ask->connect_only) {
		curl_easy_setopt(p->curl, CURLOPT_CONNECT_ONLY, 1L);
	} else {
		set_http(p, ask);
	}
	curl_multi_add_handle(all->multi, p->curl);
	return 0;
}

/* ---- begin and end ---- */

struct probes *probes_new(struct client *c)
{
	struct probes *all = calloc(1, sizeof(*all));

	if (all == NULL) {
		return NULL;
	}
	all->client = c;
	uv_timer_init(c->loop, &all->timer);
	all->timer.data = all;
	c->handles++;
	return all;
}

static void closed_cb(uv_handle_t *handle)
{
	struct probes *all = handle->data;
	struct client *c = all->client;

	free(all);
	client_closed_handle(c);
}

void probes_close(struct probes *all)
{
	if (all->multi != NULL) {
		curl_multi_cleanup(all->multi); /* Lets go of its sockets, which are closed before the timer's callback. */
	}
	uv_close((uv_handle_t *)&all->timer, closed_cb);
}
