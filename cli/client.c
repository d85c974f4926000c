#include "cli/client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"

/* Name, value, environment, help. */
#define CLIENT_FLAG_LIST(X)                                                                                            \
	X("address", "addr", "NOMAD_ADDR",                                                                             \
	  "The server's address: http://HOST:PORT, or https. The default is "                                          \
	  "http://127.0.0.1:4646, or NOMAD_ADDR.")                                                                     \
	X("region", "region", "NOMAD_REGION", "The region to which the request is forwarded, or NOMAD_REGION.")        \
	X("namespace", "namespace", "NOMAD_NAMESPACE", "The namespace, \"*\" for all, or NOMAD_NAMESPACE.")            \
	X("token", "token", "NOMAD_TOKEN", "The secret ID of the token to act with, or NOMAD_TOKEN.")                  \
	X("ca-cert", "file", "NOMAD_CACERT", "Certificates that a server's is checked with, or NOMAD_CACERT.")         \
	X("ca-path", "directory", "NOMAD_CAPATH", "A directory of such certificates, or NOMAD_CAPATH.")                \
	X("client-cert", "file", "NOMAD_CLIENT_CERT", "The own certificate, or NOMAD_CLIENT_CERT.")                    \
	X("client-key", "file", "NOMAD_CLIENT_KEY", "Its key, or NOMAD_CLIENT_KEY.")                                   \
	X("tls-server-name", "name", "NOMAD_TLS_SERVER_NAME",                                                          \
	  "The name that the server's certificate must be for, if not the address's, or NOMAD_TLS_SERVER_NAME.")

const struct flag client_flags[] = {
#define X(name, takes, environment, help) {name, takes, help},
	CLIENT_FLAG_LIST(X)
#undef X
		{"tls-skip-verify", NULL, "Do not check the server's certificate, or NOMAD_SKIP_VERIFY."},
	{"no-color", NULL, "Output has no colors anyway."},
	{"force-color", NULL, "Likewise."},
	{NULL, NULL, NULL}};

/* The flag's value, the environment's, or "". */
static const char *setting(const struct args *args, const char *name)
{
	static const struct {
		const char *name;
		const char *environment;
	} settings[] = {
#define X(name, takes, environment, help) {name, environment},
		CLIENT_FLAG_LIST(X)
#undef X
	};
	const char *value = args_get(args, name, NULL);
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]) && value == NULL; i++) {
		if (strcmp(settings[i].name, name) == 0) {
			value = getenv(settings[i].environment);
		}
	}
	return value != NULL ? value : "";
}

/* ---- answers ---- */

static size_t take_body(char *data, size_t size, size_t n, void *ctx)
{
	struct client *c = ctx;
	long status = 0;

	(void)size;
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (c->stream != NULL && status == 200) {
		return fwrite(data, 1, n, c->stream) == n && fflush(c->stream) == 0 ? n : 0;
	}
	c->unreadable = c->body.len + n > CLIENT_MAX_ANSWER;
	if (!c->unreadable) {
		buf_put(&c->body, data, n);
	}
	return c->unreadable || c->body.failed ? 0 : n;
}

static size_t take_header(char *data, size_t size, size_t n, void *ctx)
{
	static const char index[] = "x-nomad-index:";
	struct client *c = ctx;

	(void)size;
	if (n >= sizeof(index) && n < 64 && strncasecmp(data, index, sizeof(index) - 1) == 0) {
		c->index = strtoll(data + sizeof(index) - 1, NULL, 10);
	}
	return n;
}

/* ---- opening ---- */

static void set_option(struct client *c, CURLoption option, const char *value)
{
	if (value[0] != '\0') {
		curl_easy_setopt(c->curl, option, value);
	}
}

static bool skips_verification(const struct args *args)
{
	const char *skip = getenv("NOMAD_SKIP_VERIFY");

	return args_has(args, "tls-skip-verify") ||
	       (skip != NULL && (strcasecmp(skip, "true") == 0 || strcasecmp(skip, "t") == 0 || strcmp(skip, "1") == 0));
}

/* Authorities that are named are the only ones. */
static void set_authorities(struct client *c, const struct args *args)
{
	const char *file = setting(args, "ca-cert");
	const char *path = setting(args, "ca-path");

	if (file[0] != '\0' || path[0] != '\0') {
		curl_easy_setopt(c->curl, CURLOPT_CAINFO, file[0] != '\0' ? file : NULL);
		curl_easy_setopt(c->curl, CURLOPT_CAPATH, path[0] != '\0' ? path : NULL);
	}
}

/* Requests are for a host of that name, which is where the address says. */
static bool set_server_name(struct client *c, const char *name)
{
	const char *host = c->address + strlen("https://");
	size_t n = strcspn(host, "/");
	const char *port = memrchr(host, ':', n);
	const char *to;

	if (name[0] == '\0' || strncmp(c->address, "https://", 8) != 0) {
		return true;
	}
	if (port != NULL && memchr(port, ']', n - (size_t)(port - host)) != NULL) {
		port = NULL;
	}
	to = arena_printf(c->mem, "::%.*s%s", (int)n, host, port != NULL ? "" : ":443");
	c->address = arena_printf(c->mem, "https://%s%s", name, port != NULL ? port : host + n);
	c->connect_to = to != NULL ? curl_slist_append(NULL, to) : NULL;
	curl_easy_setopt(c->curl, CURLOPT_CONNECT_TO, c->connect_to);
	return c->address != NULL && c->connect_to != NULL;
}

static bool set_tls(struct client *c, const struct args *args)
{
	const char *cert = setting(args, "client-cert");
	const char *key = setting(args, "client-key");

	if ((cert[0] != '\0') != (key[0] != '\0')) {
		fprintf(stderr, "Error: both a client certificate and its key are needed, or none\n");
		return false;
	}
	set_authorities(c, args);
	set_option(c, CURLOPT_SSLCERT, cert);
	set_option(c, CURLOPT_SSLKEY, key);
	if (skips_verification(args)) {
		curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (!set_server_name(c, setting(args, "tls-server-name"))) {
		fprintf(stderr, "Error: out of memory\n");
		return false;
	}
	return true;
}

static bool add_header(struct client *c, const char *line)
{
	struct curl_slist *longer = line != NULL ? curl_slist_append(c->headers, line) : NULL;

	c->headers = longer != NULL ? longer : c->headers;
	return longer != NULL;
}

static bool set_address(struct client *c, const char *address)
{
	size_t n;

	c->address = address[0] != '\0' ? address : "http://127.0.0.1:4646";
	n = strlen(c->address);
	while (n > 0 && c->address[n - 1] == '/') {
		n--;
	}
	c->address = arena_strndup(c->mem, c->address, n);
	if (c->address == NULL || (strncmp(c->address, "http://", 7) != 0 && strncmp(c->address, "https://", 8) != 0)) {
		fprintf(stderr, "Error: the address must begin with http:// or https://, not \"%s\"\n", address);
		return false;
	}
	return true;
}

bool client_init(struct client *c, const struct args *args)
{
	const char *token = setting(args, "token");

	*c = (struct client){.mem = args->mem};
	if (!set_address(c, setting(args, "address"))) {
		return false;
	}
	c->namespace_ = setting(args, "namespace");
	c->region = setting(args, "region");
	c->curl = curl_easy_init();
	if (c->curl == NULL || !add_header(c, "Content-Type: application/json") || !add_header(c, "Expect:") ||
	    (token[0] != '\0' && !add_header(c, arena_printf(c->mem, "X-Nomad-Token: %s", token)))) {
		fprintf(stderr, "Error: out of memory\n");
		client_close(c);
		return false;
	}
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c->curl, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
	if (!set_tls(c, args)) {
		client_close(c);
		return false;
	}
	return true;
}

void client_close(struct client *c)
{
	curl_easy_cleanup(c->curl);
	curl_slist_free_all(c->headers);
	curl_slist_free_all(c->connect_to);
	buf_close(&c->url);
	buf_close(&c->body);
}

int client_run(struct args *args, int (*work)(struct client *c, struct args *args))
{
	struct client c;
	int code;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	code = work(&c, args);
	client_close(&c);
	return code;
}

/* ---- requests ---- */

static void put_escaped(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c) != NULL) {
			buf_byte(out, (char)c);
		} else {
			buf_printf(out, "%%%02X", c);
		}
	}
}

/* A segment of dots would be taken for a step up, or none: as %2E it is a name. */
static bool is_dots(const char *text)
{
	return strcmp(text, ".") == 0 || strcmp(text, "..") == 0;
}

const char *client_escape(struct client *c, const char *text)
{
	struct buf out = {0};
	const char *copy;

	if (is_dots(text)) {
		buf_str(&out, text[1] == '\0' ? "%2E" : "%2E%2E");
	} else {
		put_escaped(&out, text);
	}
	copy = arena_strdup(c->mem, buf_text(&out));
	buf_close(&out);
	return copy != NULL ? copy : "";
}

void client_url(struct client *c, const char *format, ...)
{
	va_list args;

	c->url.len = 0;
	buf_str(&c->url, c->address);
	va_start(args, format);
	buf_vprintf(&c->url, format, args);
	va_end(args);
	c->has_query = c->url.at != NULL && memchr(c->url.at, '?', c->url.len) != NULL;
	if (c->namespace_[0] != '\0') {
		client_param(c, "namespace", c->namespace_);
	}
	if (c->region[0] != '\0') {
		client_param(c, "region", c->region);
	}
}

void client_param(struct client *c, const char *name, const char *value)
{
	buf_printf(&c->url, "%c%s=", c->has_query ? '&' : '?', name);
	put_escaped(&c->url, value);
	c->has_query = true;
}

int client_send(struct client *c, const char *method, const char *body, size_t len)
{
	CURLcode rv;

	c->body.len = 0;
	c->status = 0;
	c->index = 0;
	c->error[0] = '\0';
	if (c->url.failed) {
		return ERR_NOMEM;
	}
	curl_easy_setopt(c->curl, CURLOPT_URL, buf_text(&c->url));
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body != NULL ? body : "");
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	if (body == NULL && (strcmp(method, "GET") == 0 || strcmp(method, "DELETE") == 0)) {
		curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
	rv = curl_easy_perform(c->curl);
	if (rv != CURLE_OK) {
		if (c->unreadable) {
			snprintf(c->error, sizeof(c->error), "the answer is too long");
		} else if (c->error[0] == '\0') {
			snprintf(c->error, sizeof(c->error), "%s", curl_easy_strerror(rv));
		}
		return c->body.failed ? ERR_NOMEM : ERR_IO;
	}
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->status);
	return 0;
}

/* The server's text without newlines at its end. */
static int text_len(struct buf *body)
{
	const char *text = buf_text(body);
	size_t n = strlen(text);

	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r')) {
		n--;
	}
	return (int)(n < 4096 ? n : 4096);
}

bool client_ok(struct client *c, const char *doing, const char *method, const char *body, size_t len)
{
	int rv = client_send(c, method, body, len);

	if (rv != 0) {
		fprintf(stderr, "Error %s: %s\n", doing, rv == ERR_NOMEM ? "out of memory" : c->error);
		return false;
	}
	if (c->status < 200 || c->status > 299) {
		fprintf(stderr, "Error %s: Unexpected response code: %ld (%.*s)\n", doing, c->status,
			text_len(&c->body), buf_text(&c->body));
		return false;
	}
	return true;
}

static bool decode(struct client *c, const char *doing, const struct type *t, void *obj, const struct buf *text)
{
	struct fault fault = {"", ""};
	int rv = json_decode(t, obj, text->at != NULL ? text->at : "", text->len, c->mem, &fault);

	if (rv != 0) {
		fprintf(stderr, "Error %s: the answer makes no sense: %s %s\n", doing, fault.path, fault.why);
	}
	return rv == 0;
}

bool client_decode(struct client *c, const char *doing, const struct type *t, void *obj)
{
	buf_text(&c->body);
	return decode(c, doing, t, obj, &c->body);
}

bool client_read(struct client *c, const char *doing, const struct type *t, void *obj)
{
	return client_ok(c, doing, "GET", NULL, 0) && client_decode(c, doing, t, obj);
}

/* The decoder knows objects: the list becomes the only member of one. */
bool client_read_list(struct client *c, const char *doing, const struct type *t, void *list)
{
	struct buf text = {0};
	bool good;

	if (!client_ok(c, doing, "GET", NULL, 0)) {
		return false;
	}
	buf_str(&text, "{\"Items\":");
	buf_put(&text, c->body.at, c->body.len);
	buf_byte(&text, '}');
	buf_text(&text);
	good = !text.failed && decode(c, doing, t, list, &text);
	buf_close(&text);
	return good;
}
