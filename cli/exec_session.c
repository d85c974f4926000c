#include "cli/exec_session.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "lib/list.h"
#include "proto/error.h"
#include "proto/exec.h"
#include "proto/websocket.h"

enum {
	PIECE = 16 << 10,
	HEAD_MAX = 64 << 10,
	MESSAGE_MAX = 4 << 20,
	OUT_WAIT = 256 << 10, /* Bytes that wait for the server, from which on we do not read our input. */
	HEARTBEAT_MS = 10000,
	HANDSHAKE_MS = 30000,
};

struct session {
	struct client *client;
	struct exec_options options;
	int fd; /* The socket, to wait for; bytes go through libcurl. */
	struct websocket in;
	struct buf got; /* Of the answer's head. */
	struct buf out;
	size_t out_done;
	struct termios saved;
	bool raw;
	bool input_ended;
	bool line_begins, escaped; /* Of what is typed. */
	bool left;   /* By the escape. */
	bool over;
	bool exited;
	int code;
	char why[256];
};

static volatile sig_atomic_t resized;
static volatile sig_atomic_t quit;

static void on_signal(int number)
{
	if (number == SIGWINCH) {
		resized = 1;
	} else {
		quit = number;
	}
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- bytes ---- */

static void fail(struct session *s, const char *why)
{
	s->over = true;
	if (s->why[0] == '\0') {
		snprintf(s->why, sizeof(s->why), "%s", why);
	}
}

static void send_waiting(struct session *s)
{
	CURLcode rv = CURLE_OK;
	size_t n = 0;

	if (s->out.failed) {
		fail(s, "out of memory");
		return;
	}
	while (rv == CURLE_OK && s->out_done < s->out.len) {
		rv = curl_easy_send(s->client->curl, s->out.at + s->out_done, s->out.len - s->out_done, &n);
		s->out_done += rv == CURLE_OK ? n : 0;
	}
	if (rv != CURLE_OK && rv != CURLE_AGAIN) {
		fail(s, curl_easy_strerror(rv));
	}
	if (s->out_done == s->out.len) {
		s->out.len = s->out_done = 0;
	}
}

static void put_frame(struct session *s, enum websocket_kind kind, const char *data, size_t len)
{
	uint8_t mask[4];

	if (getrandom(mask, sizeof(mask), 0) != (ssize_t)sizeof(mask)) {
		s->out.failed = true;
	}
	websocket_put(&s->out, kind, data, len, mask);
	send_waiting(s);
}

static void put_message(struct session *s, const struct exec_input *in)
{
	struct buf text = {0};

	json_encode(&exec_input_type, in, &text);
	s->out.failed |= text.failed;
	put_frame(s, WEBSOCKET_TEXT, text.at != NULL ? text.at : "", text.len);
	buf_close(&text);
}

static void put_input(struct session *s, const char *data, size_t len)
{
	struct exec_stream in = {.data = {(const uint8_t *)data, (uint32_t)len}, .close = len == 0};
	struct exec_input m;

	object_init(&exec_input_type, &m);
	m.in = &in;
	put_message(s, &m);
}

static void put_size(struct session *s)
{
	struct exec_tty_size size;
	struct exec_input m;
	struct winsize w;

	if (!s->options.terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0) {
		return;
	}
	size = (struct exec_tty_size){.height = w.ws_row, .width = w.ws_col};
	object_init(&exec_input_type, &m);
	m.tty_size = &size;
	put_message(s, &m);
}

/* ---- the handshake ---- */

static void put_request(struct session *s, const char *key)
{
	const char *address = s->client->address;
	const char *host = strstr(address, "://") + 3;
	struct curl_slist *h;

	buf_printf(&s->out, "GET %s HTTP/1.1\r\nHost: %.*s\r\n", buf_text(&s->client->url) + strlen(address),
		   (int)strcspn(host, "/"), host);
	buf_printf(&s->out, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
	buf_printf(&s->out, "Sec-WebSocket-Key: %s\r\n", key);
	for (h = s->client->headers; h != NULL; h = h->next) {
		if (strncasecmp(h->data, "X-Nomad-", 8) == 0) {
			buf_printf(&s->out, "%s\r\n", h->data);
		}
	}
	buf_str(&s->out, "\r\n");
}

/* The value of a header of the answer's head, up to the line's end; NULL if it is not there. */
static const char *header(const char *head, const char *name)
{
	const char *at = head;
	size_t n = strlen(name);

	while ((at = strstr(at, "\r\n")) != NULL) {
		at += 2;
		if (strncasecmp(at, name, n) == 0 && at[n] == ':') {
			at += n + 1;
			return at + strspn(at, " \t");
		}
	}
	return NULL;
}

/* Wait until the server can be written to, if there is something, or read. False when it takes too long. */
static bool wait_for_server(struct session *s, int64_t until)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN};
	int64_t left = until - now_ms();

	if (s->out.len > 0) {
		p.events |= POLLOUT;
	}
	if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR)) {
		return false;
	}
	return true;
}

/* More of what the server says, behind `to`. 1, 0 at the end, or -1: nothing now. */
static int receive(struct session *s, char *to, size_t size, size_t *n)
{
	CURLcode rv = curl_easy_recv(s->client->curl, to, size, n);

	if (rv == CURLE_AGAIN) {
		return -1;
	}
	if (rv != CURLE_OK) {
		fail(s, curl_easy_strerror(rv));
		return 0;
	}
	return *n > 0 ? 1 : 0;
}

/* The answer's head, and maybe some of what follows, in s->got. */
static const char *read_head(struct session *s)
{
	int64_t until = now_ms() + HANDSHAKE_MS;
	char piece[4096];
	const char *end = NULL;
	size_t n;
	int rv;

	while (end == NULL) {
		send_waiting(s);
		rv = s->over ? 0 : receive(s, piece, sizeof(piece), &n);
		if (rv > 0) {
			buf_put(&s->got, piece, n);
			end = strstr(buf_text(&s->got), "\r\n\r\n");
		}
		if (rv == 0 || s->got.failed || s->got.len > HEAD_MAX || (rv < 0 && !wait_for_server(s, until))) {
			fail(s, "the server does not answer as one");
			return NULL;
		}
	}
	return end + 4;
}

/* What went wrong, by the answer's status and the text behind its head. */
static void tell_refusal(struct session *s, const char *body)
{
	const char *length = header(s->got.at, "Content-Length");
	size_t want = length != NULL ? strtoul(length, NULL, 10) : 0;
	size_t at = (size_t)(body - s->got.at);
	int64_t until = now_ms() + HANDSHAKE_MS;
	char piece[1024];
	size_t n;
	int rv = 1;

	while (want < HEAD_MAX && s->got.len < at + want && rv != 0) {
		rv = receive(s, piece, sizeof(piece), &n);
		if (rv > 0) {
			buf_put(&s->got, piece, n);
		} else if (rv < 0 && !wait_for_server(s, until)) {
			break;
		}
	}
	s->why[0] = '\0';
	snprintf(s->why, sizeof(s->why), "Unexpected response code: %ld (%.200s)",
		 strtol(buf_text(&s->got) + strcspn(s->got.at, " "), NULL, 10), s->got.at + at);
	s->over = true;
}

static bool take_head(struct session *s, const char *key)
{
	char accept[WEBSOCKET_ACCEPT_TEXT];
	const char *body = read_head(s);
	const char *given;

	if (body == NULL) {
		return false;
	}
	if (strncmp(s->got.at, "HTTP/1.1 101", 12) != 0) {
		tell_refusal(s, body);
		return false;
	}
	websocket_accept(key, accept);
	given = header(s->got.at, "Sec-WebSocket-Accept");
	if (given == NULL || strncmp(given, accept, strlen(accept)) != 0) {
		fail(s, "the server does not know websockets");
		return false;
	}
	s->got.len -= (size_t)(body - s->got.at);
	memmove(s->got.at, body, s->got.len);
	return true;
}

static bool open_session(struct session *s)
{
	struct client *c = s->client;
	unsigned char random[16];
	char key[WEBSOCKET_KEY_LEN + 1];
	curl_socket_t fd = CURL_SOCKET_BAD;
	CURLcode rv;

	curl_easy_setopt(c->curl, CURLOPT_URL, c->address);
	curl_easy_setopt(c->curl, CURLOPT_CONNECT_ONLY, 1L);
	rv = curl_easy_perform(c->curl);
	if (rv == CURLE_OK) {
		rv = curl_easy_getinfo(c->curl, CURLINFO_ACTIVESOCKET, &fd);
	}
	if (rv != CURLE_OK || getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		fail(s, c->error[0] != '\0' ? c->error : curl_easy_strerror(rv));
		return false;
	}
	s->fd = fd;
	(void)EVP_EncodeBlock((unsigned char *)key, random, sizeof(random));
	put_request(s, key);
	return take_head(s, key);
}

/* ---- what the command says ---- */

static void print(FILE *to, const struct exec_stream *stream)
{
	if (stream != NULL && stream->data.n > 0) {
		fwrite(stream->data.at, 1, stream->data.n, to);
		fflush(to);
	}
}

static void take_message(struct session *s, const char *data, size_t len)
{
	struct arena mem = {0};
	char *text = arena_strndup(&mem, data, len);
	struct exec_output o;

	if (text == NULL || json_decode(&exec_output_type, &o, text, len, &mem, NULL) != 0) {
		fail(s, "the server's message makes no sense");
	} else {
		print(stdout, o.out);
		print(stderr, o.err);
		if (o.exited) {
			s->exited = true;
			s->code = o.result != NULL ? (int)o.result->exit_code : 0;
		}
	}
	arena_close(&mem);
}

static void take_close(struct session *s, const struct websocket_event *e)
{
	char code[2] = {(char)(uint8_t)(WEBSOCKET_NORMAL >> 8), (char)(uint8_t)(WEBSOCKET_NORMAL & 0xff)};

	put_frame(s, WEBSOCKET_CLOSE, code, sizeof(code));
	s->over = true;
	if (!s->exited) {
		snprintf(s->why, sizeof(s->why), "%.*s", (int)e->len, e->len > 0 ? e->data : "the session was closed");
	}
}

static void take_bytes(struct session *s, const char *data, size_t len)
{
	while (len > 0 && !s->over) {
		struct websocket_event e;
		size_t used;

		if (websocket_take(&s->in, data, len, &used, &e) != 0) {
			fail(s, "the server breaks the websocket protocol");
			return;
		}
		data += used;
		len -= used;
		switch (e.kind) {
		case WEBSOCKET_TEXT:
		case WEBSOCKET_BINARY:
			take_message(s, e.data, e.len);
			break;
		case WEBSOCKET_PING:
			put_frame(s, WEBSOCKET_PONG, e.data, e.len);
			break;
		case WEBSOCKET_CLOSE:
			take_close(s, &e);
			break;
		default:
			break;
		}
	}
}

static void read_server(struct session *s)
{
	char piece[PIECE];
	size_t n;
	int rv = 1;

	while (!s->over && (rv = receive(s, piece, sizeof(piece), &n)) > 0) {
		take_bytes(s, piece, n);
	}
	if (rv == 0) {
		fail(s, "the connection was closed");
	}
}

/* ---- what we say ---- */

/* What is typed, without the escape. At a line's beginning the escape character waits for the next one. */
static size_t filter_typed(struct session *s, const char *from, size_t n, char *to)
{
	size_t len = 0;

	for (size_t i = 0; i < n && !s->left; i++) {
		if (s->escaped) {
			s->escaped = false;
			s->left = from[i] == '.';
			if (from[i] != s->options.escape) {
				to[len++] = s->options.escape;
			}
		} else if (s->line_begins && s->options.escape != '\0' && from[i] == s->options.escape) {
			s->escaped = true;
			continue;
		}
		s->line_begins = from[i] == '\r' || from[i] == '\n';
		to[len++] = from[i];
	}
	return s->left ? 0 : len;
}

static void read_input(struct session *s)
{
	char piece[PIECE];
	char clean[2 * PIECE];
	ssize_t n = read(STDIN_FILENO, piece, sizeof(piece));
	size_t len = n > 0 ? (size_t)n : 0;

	if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
		return;
	}
	if (n <= 0) {
		s->input_ended = true;
		put_input(s, NULL, 0);
		return;
	}
	if (s->raw) {
		len = filter_typed(s, piece, len, clean);
		s->over |= s->left;
	}
	if (len > 0) {
		put_input(s, s->raw ? clean : piece, len);
	}
}

/* ---- the terminal ---- */

static void make_raw(struct session *s)
{
	struct termios raw;

	if (!s->options.terminal || tcgetattr(STDIN_FILENO, &s->saved) != 0) {
		return;
	}
	raw = s->saved;
	cfmakeraw(&raw);
	s->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void restore(struct session *s)
{
	if (s->raw) {
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &s->saved);
	}
}

/* Signals come while we wait, and at no other time. */
static void catch_signals(struct session *s, sigset_t *while_waiting)
{
	static const int ends[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	sigemptyset(&blocked);
	sigprocmask(SIG_BLOCK, NULL, while_waiting);
	if (s->options.terminal) {
		sigaddset(&blocked, SIGWINCH);
		sigaction(SIGWINCH, &action, NULL);
	}
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		sigaddset(&blocked, ends[i]);
		sigaction(ends[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* ---- the session ---- */

static void wait_for_both(struct session *s, const sigset_t *mask, int64_t heartbeat)
{
	struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	int64_t left = heartbeat - now_ms();
	struct timespec t = {left > 0 ? left / 1000 : 0, left > 0 ? left % 1000 * 1000000 : 0};

	if (s->out.len > 0) {
		p[0].events |= POLLOUT;
	}
	if (!s->input_ended && s->out.len - s->out_done < OUT_WAIT) {
		p[1].fd = STDIN_FILENO;
	}
	if (ppoll(p, 2, &t, mask) < 0) {
		p[0].revents = p[1].revents = 0;
	}
	if (resized != 0) {
		resized = 0;
		put_size(s);
	}
	s->over |= quit != 0;
	send_waiting(s);
	read_server(s); /* Whatever is said of the socket: libcurl may have some already. */
	if (p[1].revents != 0 && !s->over) {
		read_input(s);
	}
}

static void talk(struct session *s)
{
	int64_t heartbeat = now_ms() + HEARTBEAT_MS;
	struct exec_input hello;
	sigset_t mask;

	object_init(&exec_input_type, &hello);
	hello.version = EXEC_HANDSHAKE_VERSION;
	put_message(s, &hello);
	catch_signals(s, &mask);
	make_raw(s);
	put_size(s);
	if (!s->options.input) {
		s->input_ended = true;
		put_input(s, NULL, 0);
	}
	take_bytes(s, s->got.at, s->got.len);
	read_server(s); /* The socket says nothing of what libcurl has read already. */
	while (!s->over) {
		wait_for_both(s, &mask, heartbeat);
		if (now_ms() >= heartbeat && !s->over) {
			put_frame(s, WEBSOCKET_TEXT, "{}", 2);
			heartbeat = now_ms() + HEARTBEAT_MS;
		}
	}
	restore(s);
}

static int result(const struct session *s)
{
	if (s->exited) {
		return s->code;
	}
	if (quit != 0) {
		return 128 + quit;
	}
	if (s->left) {
		fprintf(stderr, "\nThe session was left: the command is killed\n");
	} else {
		fprintf(stderr, "failed to exec into task: %s\n", s->why);
	}
	return EXIT_ERROR;
}

int exec_session(struct client *c, const struct exec_options *options)
{
	struct session s = {.client = c, .options = *options, .fd = -1, .line_begins = true};

	s.in = (struct websocket){.client = true, .message_max = MESSAGE_MAX};
	if (c->url.failed) {
		fail(&s, "out of memory");
	} else if (open_session(&s)) {
		talk(&s);
	}
	websocket_free(&s.in);
	buf_close(&s.got);
	buf_close(&s.out);
	return result(&s);
}
