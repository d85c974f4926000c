#include "client/docker_engine.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/error.h"
#include "proto/object.h"

#define ENGINE_MESSAGE_FIELDS(X, T) X(T, STR, message, "message")

OBJECT_DECLARE(engine_message, ENGINE_MESSAGE_FIELDS);
OBJECT_DEFINE(engine_message, ENGINE_MESSAGE_FIELDS);

struct transfer {
	const struct engine_call *call;
	CURL *curl;
	struct buf *reply;
};

void engine_stop_init(struct engine_stop *stop)
{
	atomic_init(&stop->stopped, false);
	atomic_init(&stop->fd, -1);
}

/* The descriptor is closed only by who took it out again (close_cb), so it is nobody else's here. */
void engine_stop(struct engine_stop *stop)
{
	int fd;

	atomic_store(&stop->stopped, true);
	fd = atomic_exchange(&stop->fd, -1);
	if (fd >= 0) {
		shutdown(fd, SHUT_RDWR);
		atomic_store(&stop->fd, fd);
	}
}

static curl_socket_t open_cb(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct engine_stop *stop = ctx;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

	(void)purpose;
	if (stop != NULL && fd >= 0) {
		atomic_store(&stop->fd, fd);
	}
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* While the other thread has it in its hands it is waited for: that is one system call's time. */
static int close_cb(void *ctx, curl_socket_t fd)
{
	struct engine_stop *stop = ctx;
	int expected = fd;

	while (stop != NULL && !atomic_compare_exchange_weak(&stop->fd, &expected, -1)) {
		expected = fd;
	}
	return close(fd);
}

static size_t write_cb(char *data, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	long status = 0;

	n *= size;
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->call->sink != NULL && status / 100 == 2) {
		return t->call->sink(t->call->ctx, data, n) ? n : 0;
	}
	if (t->reply->len + n > ENGINE_REPLY_MAX) {
		return 0;
	}
	buf_put(t->reply, data, n);
	return t->reply->failed ? 0 : n;
}

static int progress_cb(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
	const struct engine_stop *stop = ctx;

	(void)total;
	(void)now;
	(void)up_total;
	(void)up_now;
	return stop != NULL && atomic_load(&stop->stopped);
}

static void set_options(struct transfer *t, struct curl_slist *headers)
{
	const struct engine_call *c = t->call;
	char url[2048];

	snprintf(url, sizeof(url), "http://docker%s", c->path);
	curl_easy_setopt(t->curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
	curl_easy_setopt(t->curl, CURLOPT_URL, url);
	curl_easy_setopt(t->curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, c->method);
	if (c->body != NULL || strcmp(c->method, "POST") == 0) {
		curl_easy_setopt(t->curl, CURLOPT_POST, 1L);
		curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, c->body == NULL ? "" : c->body);
	}
	curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->curl, CURLOPT_TIMEOUT, c->timeout_s);
	curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, write_cb);
	curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(t->curl, CURLOPT_OPENSOCKETFUNCTION, open_cb);
	curl_easy_setopt(t->curl, CURLOPT_OPENSOCKETDATA, c->stop);
	curl_easy_setopt(t->curl, CURLOPT_CLOSESOCKETFUNCTION, close_cb);
	curl_easy_setopt(t->curl, CURLOPT_CLOSESOCKETDATA, c->stop);
	curl_easy_setopt(t->curl, CURLOPT_XFERINFOFUNCTION, progress_cb);
	curl_easy_setopt(t->curl, CURLOPT_XFERINFODATA, c->stop);
	curl_easy_setopt(t->curl, CURLOPT_NOPROGRESS, 0L);
}

static struct curl_slist *make_headers(const struct engine_call *c)
{
	struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
	struct buf line = {0};

	if (c->auth != NULL && list != NULL) {
		buf_printf(&line, "X-Registry-Auth: %s", c->auth);
		curl_slist_append(list, buf_text(&line));
		buf_close(&line);
	}
	return list;
}

static void tell_message(const struct buf *reply, long status, char why[ENGINE_WHY])
{
	struct engine_message m;
	struct arena mem = {0};

	snprintf(why, ENGINE_WHY, "the engine answered %ld", status);
	if (reply->len > 0 && json_decode(&engine_message_type, &m, reply->at, reply->len, &mem, NULL) == 0 &&
	    m.message[0] != '\0') {
		snprintf(why, ENGINE_WHY, "%s", m.message);
	}
	arena_close(&mem);
}

static int exchange(const struct engine_call *call, struct buf *reply, char why[ENGINE_WHY])
{
	struct buf own = {0};
	struct transfer t = {.call = call, .reply = reply == NULL ? &own : reply};
	struct curl_slist *headers = make_headers(call);
	CURLcode rc = CURLE_OUT_OF_MEMORY;
	long status = 0;

	t.curl = curl_easy_init();
	t.reply->len = 0;
	if (t.curl != NULL && headers != NULL && strlen(call->path) < 1900) {
		set_options(&t, headers);
		rc = curl_easy_perform(t.curl);
		curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
	}
	(void)buf_text(t.reply);
	if (rc != CURLE_OK) {
		snprintf(why, ENGINE_WHY, "%s: %s", call->socket, curl_easy_strerror(rc));
		status = -1;
	} else if (status >= 400) {
		tell_message(t.reply, status, why);
	}
	if (t.curl != NULL) {
		curl_easy_cleanup(t.curl);
	}
	curl_slist_free_all(headers);
	buf_close(&own);
	return (int)status;
}

/* Whether somebody listens there; else `errno` says why not. */
static bool is_there(const char *socket_path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0;

	if (strlen(socket_path) >= sizeof(addr.sun_path)) {
		error = ENAMETOOLONG;
	} else {
		memcpy(addr.sun_path, socket_path, strlen(socket_path));
		if (fd < 0 || (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 && errno != EAGAIN)) {
			error = errno;
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	errno = error;
	return error == 0;
}

/* Most nodes have no engine: for them libcurl, which is loaded when it is first called, shall not take memory. */
int engine_call(const struct engine_call *call, struct buf *reply, char why[ENGINE_WHY])
{
	if (!is_there(call->socket)) {
		snprintf(why, ENGINE_WHY, "%s: %s", call->socket, strerror(errno));
		return -1;
	}
	return exchange(call, reply, why);
}

/* ---- is there an engine? ---- */

enum { VERSION_MAX = 64 << 10 };

static int connect_to(const char *path, unsigned timeout_s)
{
	const struct timeval patience = {.tv_sec = (time_t)timeout_s};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		return ERR_INVALID;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return ERR_IO;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return ERR_IO;
	}
	return fd;
}

/* All that comes until the other side closes, as HTTP/1.0 has it. */
static int receive_all(int fd, struct buf *out)
{
	char piece[4096];
	ssize_t n;

	for (;;) {
		n = recv(fd, piece, sizeof(piece), 0);
		if (n == 0) {
			buf_put(out, "", 1);
			return out->failed ? ERR_NOMEM : 0;
		}
		if (n < 0 && errno != EINTR) {
			return errno == EAGAIN ? ERR_TIMEOUT : ERR_IO;
		}
		if (n > 0) {
			buf_put(out, piece, (size_t)n);
		}
		if (out->failed || out->len > VERSION_MAX) {
			return out->failed ? ERR_NOMEM : ERR_TOOBIG;
		}
	}
}

int engine_version(const char *socket, unsigned timeout_s, struct buf *reply)
{
	static const char question[] = "GET /version HTTP/1.0\r\nHost: docker\r\n\r\n";
	struct buf answer = {0};
	const char *body = NULL;
	int fd = connect_to(socket, timeout_s);
	int rv = fd;

	if (fd >= 0) {
		rv = send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(question) - 1
		             ? receive_all(fd, &answer)
		             : ERR_IO;
		close(fd);
	}
	if (rv == 0) {
		body = strncmp(answer.at, "HTTP/1.", 7) == 0 && strncmp(answer.at + 8, " 200 ", 5) == 0
		               ? strstr(answer.at, "\r\n\r\n")
		               : NULL;
		rv = body != NULL ? 0 : ERR_SYNTAX;
	}
	if (rv == 0) {
		buf_put(reply, body + 4, strlen(body + 4) + 1);
		rv = reply->failed ? ERR_NOMEM : 0;
	}
	buf_close(&answer);
	return rv;
}
