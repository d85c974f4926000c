#include "cli/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/netaddr.h"
#include "proto/error.h"
#include "proto/jsonin.h"

OBJECT_DEFINE(agent_ports, AGENT_PORTS_FIELDS);
OBJECT_DEFINE(agent_addresses, AGENT_ADDRESSES_FIELDS);
OBJECT_DEFINE(agent_server_join, AGENT_SERVER_JOIN_FIELDS);
OBJECT_DEFINE(agent_plan_rejection_tracker, AGENT_PLAN_REJECTION_TRACKER_FIELDS);
OBJECT_DEFINE(agent_search, AGENT_SEARCH_FIELDS);
OBJECT_DEFINE(agent_server, AGENT_SERVER_FIELDS);
OBJECT_DEFINE(agent_raft, AGENT_RAFT_FIELDS);
OBJECT_DEFINE(agent_reserved, AGENT_RESERVED_FIELDS);
OBJECT_DEFINE(agent_host_volume, AGENT_HOST_VOLUME_FIELDS);
OBJECT_DEFINE(agent_host_network, AGENT_HOST_NETWORK_FIELDS);
OBJECT_DEFINE(agent_drain, AGENT_DRAIN_FIELDS);
OBJECT_DEFINE(agent_users, AGENT_USERS_FIELDS);
OBJECT_DEFINE(agent_client, AGENT_CLIENT_FIELDS);
OBJECT_DEFINE(agent_plugin, AGENT_PLUGIN_FIELDS);
OBJECT_DEFINE(agent_acl, AGENT_ACL_FIELDS);
OBJECT_DEFINE(agent_tls, AGENT_TLS_FIELDS);
OBJECT_DEFINE(agent_telemetry, AGENT_TELEMETRY_FIELDS);
OBJECT_DEFINE(agent_limits, AGENT_LIMITS_FIELDS);
OBJECT_DEFINE(agent_ui_label, AGENT_UI_LABEL_FIELDS);
OBJECT_DEFINE(agent_ui_link, AGENT_UI_LINK_FIELDS);
OBJECT_DEFINE(agent_ui, AGENT_UI_FIELDS);
OBJECT_DEFINE(agent_autopilot, AGENT_AUTOPILOT_FIELDS);
OBJECT_DEFINE(agent_version, AGENT_VERSION_FIELDS);
OBJECT_DEFINE(agent_config, AGENT_CONFIG_FIELDS);

/* ---- defaults ---- */

/* Make the objects inside of an object, but those that say something by not being there (omit). */
static int fill(const struct type *t, void *obj, struct arena *mem)
{
	const struct field *f;

	object_init(t, obj);
	for (f = t->fields; f < t->fields + t->n; f++) {
		void **m = (void **)(void *)((char *)obj + f->offset);

		if (f->kind != KIND_OBJ || f->omit) {
			continue;
		}
		*m = arena_alloc(mem, f->sub->size);
		if (*m == NULL || fill(f->sub, *m, mem) != 0) {
			return ERR_NOMEM;
		}
	}
	return 0;
}

int config_init(struct agent_config *c, struct arena *mem)
{
	return fill(&agent_config_type, c, mem);
}

/* A text is laid over c. */
static int lay(struct agent_config *c, const char *text, size_t len, bool json, struct arena *mem,
	       struct hcl_report *report)
{
	struct arena tree = {0};
	struct hcl_body *body;
	struct hcl_error error;
	int rv = json ? hcl_parse_json(text, len, &tree, &body, &error) : hcl_parse(text, len, &tree, &body, &error);

	if (rv == 0) {
		rv = hcl_decode(&agent_config_type, c, body, NULL, mem, report);
	} else if (rv != ERR_NOMEM) {
		hcl_report_add(report, true, error.pos, "%s", error.text);
		rv = ERR_INVALID;
	}
	arena_close(&tree);
	return rv;
}

int config_dev(struct agent_config *c, struct arena *mem)
{
	static const char text[] = "bind_addr = \"127.0.0.1\"\n"
				   "log_level = \"DEBUG\"\n"
				   "enable_debug = true\n"
				   "server {\n"
				   "  enabled = true\n"
				   "  bootstrap_expect = 1\n"
				   "}\n"
				   "client {\n"
				   "  enabled = true\n"
				   "  network_interface = \"lo\"\n"
				   "}\n"
				   "plugin \"raw_exec\" {\n"
				   "  config {\n"
				   "    enabled = true\n"
				   "  }\n"
				   "}\n";
	struct hcl_report report = {.mem = mem, .file = "-dev"};

	c->dev_mode = true;
	return lay(c, text, sizeof(text) - 1, false, mem, &report);
}

void config_dev_roles(struct agent_config *c)
{
	c->server->enabled = true;
	c->client->enabled = true;
}

/* ---- files ---- */

static int note_errno(struct hcl_report *report, int error)
{
	hcl_report_add(report, true, (struct hcl_pos){0, 0}, "%s", strerror(error));
	return ERR_INVALID;
}

/* The whole of a file; one that is longer than can be parsed is cut one byte beyond that, and refused later. */
static int read_file(int fd, struct buf *text)
{
	for (;;) {
		char *to = buf_room(text, 65536);
		ssize_t n = to != NULL ? read(fd, to, 65536) : 0;

		if (n <= 0) {
			return to == NULL ? ENOMEM : n < 0 ? errno : 0;
		}
		text->len += (size_t)n;
		if (text->len > HCL_MAX_BYTES) {
			return 0;
		}
	}
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name);
	size_t m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

/* JSON goes by its name, or by its first character. */
static bool is_json(const char *path, const char *text)
{
	return has_suffix(path, ".json") || (!has_suffix(path, ".hcl") && text[strspn(text, " \t\r\n")] == '{');
}

static int lay_file(struct agent_config *c, int fd, const char *path, struct arena *mem, struct hcl_report *report)
{
	struct buf text = {0};
	int error = read_file(fd, &text);
	int rv;

	report->file = path;
	if (error != 0) {
		rv = note_errno(report, error);
	} else {
		rv = lay(c, buf_text(&text), text.len, is_json(path, buf_text(&text)), mem, report);
	}
	buf_close(&text);
	return rv;
}

static int remember_file(struct agent_config *c, const char *path, struct arena *mem)
{
	const char **at = arena_alloc(mem, (c->files.n + 1) * sizeof(*at));

	if (at == NULL) {
		return ERR_NOMEM;
	}
	if (c->files.n > 0) {
		memcpy(at, c->files.at, c->files.n * sizeof(*at));
	}
	at[c->files.n] = path;
	c->files.at = at;
	c->files.n++;
	return 0;
}

static int filter_config(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && (has_suffix(entry->d_name, ".hcl") || has_suffix(entry->d_name, ".json"));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_one(struct agent_config *c, const char *path, bool inner, struct arena *mem, struct hcl_report *report);

static int read_directory(struct agent_config *c, const char *path, struct arena *mem, struct hcl_report *report)
{
	struct dirent **entries;
	int n = scandir(path, &entries, filter_config, by_name);
	int rv = 0;
	int i;

	if (n < 0) {
		return note_errno(report, errno);
	}
	for (i = 0; i < n; i++) {
		const char *inner = arena_printf(mem, "%s/%s", path, entries[i]->d_name);
		int one = inner != NULL ? read_one(c, inner, true, mem, report) : ERR_NOMEM;

		rv = one != 0 ? one : rv;
		free(entries[i]);
	}
	free(entries);
	return rv;
}

/* Directories inside of directories are passed over. */
static int read_one(struct agent_config *c, const char *path, bool inner, struct arena *mem, struct hcl_report *report)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rv;

	report->file = path;
	if (fd < 0 || fstat(fd, &st) != 0) {
		rv = note_errno(report, errno);
	} else if (S_ISDIR(st.st_mode)) {
		rv = inner ? 0 : read_directory(c, path, mem, report);
	} else {
		rv = remember_file(c, path, mem);
		rv = rv == 0 ? lay_file(c, fd, path, mem, report) : rv;
	}
	if (fd >= 0) {
		close(fd);
	}
	return rv;
}

int config_read(struct agent_config *c, const char *path, struct arena *mem, struct hcl_report *report)
{
	size_t n = strlen(path);
	const char *copy;

	while (n > 1 && path[n - 1] == '/') {
		n--;
	}
	copy = arena_strndup(mem, path, n);
	return copy != NULL ? read_one(c, copy, false, mem, report) : ERR_NOMEM;
}

/* ---- single values ---- */

/* The kind of the member with that path, which is one of our own. */
static const struct field *find_member(const char *path)
{
	const struct type *t = &agent_config_type;
	const struct field *f = NULL;

	while (t != NULL) {
		size_t n = strcspn(path, ".");

		for (f = t->fields; f < t->fields + t->n; f++) {
			if (strlen(f->hcl) == n && memcmp(f->hcl, path, n) == 0) {
				break;
			}
		}
		if (f == t->fields + t->n || path[n] == '\0') {
			break;
		}
		path += n + 1;
		t = f->sub;
	}
	return f;
}

static struct hcl_expr *new_string(struct arena *mem, const char *text, size_t len)
{
	struct hcl_expr *e = arena_calloc(mem, 1, sizeof(*e));

	if (e != NULL) {
		e->kind = EXPR_LITERAL;
		e->value.kind = HCL_STRING;
		e->value.string = arena_strndup(mem, text, len);
	}
	return e != NULL && e->value.string != NULL ? e : NULL;
}

/* "a,b" as ["a", "b"]. */
static struct hcl_expr *new_list(struct arena *mem, const char *text)
{
	struct hcl_expr *list = arena_calloc(mem, 1, sizeof(*list));
	struct hcl_expr **tail = list != NULL ? &list->first : NULL;

	while (list != NULL) {
		size_t n = strcspn(text, ",");

		list->kind = EXPR_TUPLE;
		*tail = new_string(mem, text, n);
		if (*tail == NULL) {
			return NULL;
		}
		tail = &(*tail)->next;
		list->n++;
		if (text[n] == '\0') {
			break;
		}
		text += n + 1;
	}
	return list;
}

/* "a=b" as {a = "b"}. */
static struct hcl_expr *new_object(struct arena *mem, const char *text)
{
	struct hcl_expr *object = arena_calloc(mem, 1, sizeof(*object));
	size_t n = strcspn(text, "=");

	if (object == NULL) {
		return NULL;
	}
	object->kind = EXPR_OBJECT;
	object->n = 2;
	object->first = new_string(mem, text, n);
	if (object->first != NULL) {
		object->first->next = new_string(mem, text + n + (text[n] == '='), strlen(text + n + (text[n] == '=')));
	}
	return object->first != NULL && object->first->next != NULL ? object : NULL;
}

static struct hcl_expr *new_value(const struct field *f, struct arena *mem, const char *text)
{
	if (f->kind == KIND_STRS) {
		return new_list(mem, text);
	}
	return f->kind == KIND_MAP ? new_object(mem, text) : new_string(mem, text, strlen(text));
}

/* A body with the one attribute: blocks around it for what stands before dots. */
static struct hcl_body *new_body(struct arena *mem, const char *path, struct hcl_expr *value)
{
	struct hcl_body *body = arena_calloc(mem, 1, sizeof(*body));
	struct hcl_item *item = arena_calloc(mem, 1, sizeof(*item));
	size_t n = strcspn(path, ".");

	if (body == NULL || item == NULL) {
		return NULL;
	}
	body->first = item;
	body->n = 1;
	item->name = arena_strndup(mem, path, n);
	if (path[n] == '\0') {
		item->value = value;
	} else {
		item->body = new_body(mem, path + n + 1, value);
	}
	return item->name != NULL && (item->value != NULL || item->body != NULL) ? body : NULL;
}

int config_set(struct agent_config *c, const char *source, const char *path, const char *value, struct arena *mem,
	       struct hcl_report *report)
{
	const struct field *f = find_member(path);
	struct arena tree = {0};
	struct hcl_expr *e = new_value(f, &tree, value);
	struct hcl_body *body = e != NULL ? new_body(&tree, path, e) : NULL;
	int rv;

	report->file = arena_strdup(report->mem, source);
	rv = body != NULL ? hcl_decode(&agent_config_type, c, body, NULL, mem, report) : ERR_NOMEM;
	arena_close(&tree);
	return rv;
}

/* ---- what was left open ---- */

static int set_name(struct agent_config *c, struct arena *mem)
{
	char name[256];

	if (c->name[0] != '\0') {
		return 0;
	}
	if (gethostname(name, sizeof(name)) != 0) {
		snprintf(name, sizeof(name), "localhost");
	}
	name[sizeof(name) - 1] = '\0';
	c->name = arena_strdup(mem, name);
	return c->name != NULL ? 0 : ERR_NOMEM;
}

static int set_directory(const char **directory, const struct agent_config *c, const char *name, struct arena *mem)
{
	if ((*directory)[0] == '\0' && c->data_dir[0] != '\0') {
		*directory = arena_printf(mem, "%s/%s", c->data_dir, name);
	}
	return *directory != NULL ? 0 : ERR_NOMEM;
}

static int set_directories(struct agent_config *c, struct arena *mem)
{
	if (set_directory(&c->server->data_dir, c, "server", mem) != 0 ||
	    set_directory(&c->client->state_dir, c, "client", mem) != 0 ||
	    set_directory(&c->client->alloc_dir, c, "alloc", mem) != 0 ||
	    set_directory(&c->plugin_dir, c, "plugins", mem) != 0) {
		return ERR_NOMEM;
	}
	return 0;
}

static bool is_template(const char *address)
{
	return strstr(address, "{{") != NULL;
}

static void note_template(struct hcl_report *report, const char *path)
{
	hcl_report_about(report, true, path,
			 "%s: templates such as {{ GetInterfaceIP \"eth0\" }} are not supported: "
			 "give an address or a host name",
			 path);
}

/* A port that the agent listens on: its addresses, and the paths of these for messages. */
struct listener {
	const char *bind_path;
	const char *advertise_path;
	const char **bind;
	const char **advertise;
	int64_t port;
};

static void set_bind(struct agent_config *c, const struct listener *s, struct hcl_report *report)
{
	if ((*s->bind)[0] == '\0') {
		*s->bind = c->bind_addr;
	} else if (is_template(*s->bind)) {
		note_template(report, s->bind_path);
	} else if (!netaddr_is_host(*s->bind)) {
		hcl_report_about(report, true, s->bind_path, "%s must be an IP address or a host name, not \"%.80s\"",
				 s->bind_path, *s->bind);
	}
}

/* What others reach the service at; false if that was noted to be wrong. */
static bool find_advertised(const struct listener *s, struct hcl_report *report, char host[NETADDR_HOST],
			    unsigned *port)
{
	if (is_template(*s->advertise)) {
		note_template(report, s->advertise_path);
		return false;
	}
	if ((*s->advertise)[0] != '\0') {
		if (netaddr_parse(*s->advertise, *port, host, port)) {
			return true;
		}
		hcl_report_about(report, true, s->advertise_path,
				 "%s must be an address with or without a port, not \"%.80s\"", s->advertise_path,
				 *s->advertise);
		return false;
	}
	if (!netaddr_is_wildcard(*s->bind)) {
		snprintf(host, NETADDR_HOST, "%.253s", *s->bind);
		return true;
	}
	if (!netaddr_own(host)) {
		hcl_report_about(report, true, s->advertise_path,
				 "%s must be given: this machine has no address besides the loopback's",
				 s->advertise_path);
		return false;
	}
	return true;
}

static int set_advertise(const struct listener *s, struct arena *mem, struct hcl_report *report)
{
	char host[NETADDR_HOST];
	char text[NETADDR_TEXT];
	unsigned port = (unsigned)s->port;

	if (!find_advertised(s, report, host, &port)) {
		return 0;
	}
	if (netaddr_is_wildcard(host)) {
		hcl_report_about(report, true, s->advertise_path,
				 "%s must be an address that others can reach, not \"%s\"", s->advertise_path, host);
	}
	netaddr_format(host, port, text);
	*s->advertise = arena_strdup(mem, text);
	return *s->advertise != NULL ? 0 : ERR_NOMEM;
}

static int set_addresses(struct agent_config *c, struct arena *mem, struct hcl_report *report)
{
#define LISTENER(name)                                                                                                 \
	{                                                                                                              \
		"addresses." #name, "advertise." #name, &c->addresses->name, &c->advertise->name, c->ports->name       \
	}
	const struct listener listeners[] = {LISTENER(http), LISTENER(rpc), LISTENER(serf)};
#undef LISTENER
	size_t i;

	if (is_template(c->bind_addr)) {
		note_template(report, "bind_addr");
		return 0;
	}
	if (!netaddr_is_host(c->bind_addr)) {
		hcl_report_about(report, true, "bind_addr",
				 "bind_addr must be an IP address or a host name, not \"%.80s\"", c->bind_addr);
		return 0;
	}
	for (i = 0; i < sizeof(listeners) / sizeof(listeners[0]); i++) {
		set_bind(c, &listeners[i], report);
		if (set_advertise(&listeners[i], mem, report) != 0) {
			return ERR_NOMEM;
		}
	}
	return 0;
}

/* The option that switched raw_exec on before plugin blocks did. */
static int set_raw_exec(struct agent_config *c, struct arena *mem)
{
	struct hcl_report report = {.mem = mem, .file = "client.options"};
	static const char text[] = "plugin \"raw_exec\" { config { enabled = true } }";
	const struct map *options = &c->client->options;
	uint32_t i;

	for (i = 0; i < c->plugin.n; i++) {
		if (strcmp(c->plugin.at[i].name, "raw_exec") == 0) {
			return 0;
		}
	}
	for (i = 0; i < options->n; i++) {
		if (strcmp(options->at[i].key, "driver.raw_exec.enable") == 0 &&
		    (strcmp(options->at[i].value, "1") == 0 || strcmp(options->at[i].value, "true") == 0)) {
			return lay(c, text, sizeof(text) - 1, false, mem, &report);
		}
	}
	return 0;
}

/* Nobody who stays below the rate is refused for asking twice at once. */
static void set_burst(struct agent_limits *l)
{
	if (l->http_request_burst_per_client == 0 && l->http_request_rate_per_client > 0) {
		l->http_request_burst_per_client =
			l->http_request_rate_per_client < 500000 ? (int64_t)(2 * l->http_request_rate_per_client) + 1 : 1000000;
	}
}

int config_finish(struct agent_config *c, struct arena *mem, struct hcl_report *report)
{
	unsigned before = report->errors;

	set_burst(c->limits);
	if (set_name(c, mem) != 0 || set_directories(c, mem) != 0 || set_addresses(c, mem, report) != 0 ||
	    set_raw_exec(c, mem) != 0) {
		return ERR_NOMEM;
	}
	config_check(c, report);
	return report->errors > before ? ERR_INVALID : 0;
}

/* ---- what others ask for ---- */

int config_json(const struct agent_config *c, struct buf *out)
{
	struct arena mem = {0};
	struct agent_config copy;
	int rv = object_copy(&agent_config_type, &copy, c, &mem);

	if (rv == 0) {
		object_hide_secrets(&agent_config_type, &copy);
		json_encode(&agent_config_type, &copy, out);
	}
	arena_close(&mem);
	return rv != 0 || out->failed ? ERR_NOMEM : 0;
}

static unsigned scaled_ms(const struct agent_config *c, int64_t ns)
{
	int64_t multiplier = c->server->raft_multiplier > 0 ? c->server->raft_multiplier : 1;

	return (unsigned)(ns / CONFIG_MS * multiplier);
}

unsigned config_election_ms(const struct agent_config *c)
{
	return scaled_ms(c, c->raft->election_timeout);
}

unsigned config_heartbeat_ms(const struct agent_config *c)
{
	return scaled_ms(c, c->raft->heartbeat_interval);
}

size_t config_encrypt_key(const char *text, unsigned char out[CONFIG_SECRET_MAX])
{
	char copy[CONFIG_SECRET_MAX * 2] = "";
	size_t len = strlen(text);
	int64_t n = -1;

	if (len < sizeof(copy)) {
		memcpy(copy, text, len + 1);
		n = base64_decode(copy, len);
	}
	if (n != 16 && n != 24 && n != 32) {
		n = 0;
	}
	memcpy(out, copy, (size_t)n);
	explicit_bzero(copy, sizeof(copy));
	return (size_t)n;
}

uint32_t config_ms(int64_t ns)
{
	int64_t ms = ns / CONFIG_MS;

	return (uint32_t)(ms < UINT32_MAX ? ms : UINT32_MAX);
}

/* Append the addresses with a port each; one that is there already is left out. */
static int add_addresses(const struct strs *from, unsigned port, struct arena *mem, struct strs *to)
{
	const char **at = arena_alloc(mem, (to->n + from->n + 1) * sizeof(*at));
	char host[NETADDR_HOST];
	char text[NETADDR_TEXT];
	uint32_t i;
	uint32_t j;

	if (at == NULL) {
		return ERR_NOMEM;
	}
	if (to->n > 0) {
		memcpy(at, to->at, to->n * sizeof(*at));
	}
	to->at = at;
	for (i = 0; i < from->n; i++) {
		unsigned own = port;

		if (!netaddr_parse(from->at[i], port, host, &own)) {
			continue; /* config_check() has complained. */
		}
		netaddr_format(host, own, text);
		for (j = 0; j < to->n && strcmp(at[j], text) != 0; j++) {
		}
		at[j] = j < to->n ? at[j] : arena_strdup(mem, text);
		if (at[j] == NULL) {
			return ERR_NOMEM;
		}
		to->n += j == to->n;
	}
	return 0;
}

int config_server_peers(const struct agent_config *c, struct arena *mem, struct strs *out)
{
	const struct strs *lists[] = {&c->server->server_join->retry_join, &c->server->server_join->start_join,
				      &c->server->retry_join, &c->server->start_join};
	struct strs all = {0};
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if (add_addresses(lists[i], (unsigned)c->ports->serf, mem, &all) != 0) {
			return ERR_NOMEM;
		}
	}
	*out = all;
	return 0;
}

int config_client_servers(const struct agent_config *c, struct arena *mem, struct strs *out)
{
	const struct strs own = {.at = (const char *[]){c->advertise->rpc}, .n = c->server->enabled};
	const struct strs *lists[] = {&own, &c->client->servers, &c->client->server_join->retry_join};
	struct strs all = {0};
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if (add_addresses(lists[i], (unsigned)c->ports->rpc, mem, &all) != 0) {
			return ERR_NOMEM;
		}
	}
	*out = all;
	return 0;
}
