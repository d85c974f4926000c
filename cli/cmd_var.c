/* Variables: put, get, list, purge; and a command that runs while a lock is held. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/show.h"
#include "cli/table.h"
#include "lib/timefmt.h"
#include "proto/error.h"
#include "proto/hcl_decode.h"
#include "proto/variable.h"

#define VARIABLE_STUBS_FIELDS(X, T) X(T, LIST(variable_stub), items, "Items")

OBJECT_DECLARE(variable_stubs, VARIABLE_STUBS_FIELDS);
OBJECT_DEFINE(variable_stubs, VARIABLE_STUBS_FIELDS);

enum { FILE_MAX = 4 << 20 };

/* Slashes at the ends of a path mean nothing. */
static const char *trimmed(struct arena *mem, const char *path)
{
	size_t len;
	const char *text;

	path += strspn(path, "/ ");
	len = strlen(path);
	while (len > 0 && (path[len - 1] == '/' || path[len - 1] == ' ')) {
		len--;
	}
	text = arena_strndup(mem, path, len);
	return text != NULL ? text : "";
}

/* ---- output ---- */

static void show_table(struct arena *mem, const struct variable *v)
{
	struct table t = {0};
	uint32_t i;

	table_row(&t, "Namespace", v->namespace_);
	table_row(&t, "Path", v->path);
	table_row(&t, "Create Time", format_time(mem, v->create_time));
	if (v->modify_time != v->create_time) {
		table_row(&t, "Modify Time", format_time(mem, v->modify_time));
	}
	table_row(&t, "Check Index", format_int(mem, v->modify_index));
	if (v->lock != NULL) {
		table_row(&t, "Lock ID", v->lock->id);
		table_row(&t, "Lock TTL", v->lock->ttl);
		table_row(&t, "Lock Delay", v->lock->lock_delay);
	}
	table_print_pairs(&t, stdout);
	printf("\nItems\n");
	for (i = 0; i < v->items.n; i++) {
		table_row(&t, v->items.at[i].key, v->items.at[i].value);
	}
	table_print_pairs(&t, stdout);
}

/* As -out says; false, with a word on stderr, if it says something else. */
static bool show_variable(struct client *c, const struct variable *v, const char *as)
{
	if (strcmp(as, "table") == 0) {
		show_table(c->mem, v);
	} else if (strcmp(as, "json") == 0 || strcmp(as, "pretty-json") == 0) {
		show_json(c);
	} else if (strcmp(as, "none") != 0) {
		fprintf(stderr, "Error: -out is none, table or json, not \"%s\"\n", as);
		return false;
	}
	return true;
}

static bool is_output(const char *as)
{
	return strcmp(as, "table") == 0 || strcmp(as, "json") == 0 || strcmp(as, "pretty-json") == 0 ||
	       strcmp(as, "none") == 0;
}

/* ---- what is put ---- */

/* A file, or standard input for "-". */
static bool read_text(const char *name, struct buf *out)
{
	FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	size_t n = 1;

	if (in == NULL) {
		fprintf(stderr, "Error: %s: %s\n", name, strerror(errno));
		return false;
	}
	while (n > 0 && out->len <= FILE_MAX) {
		char *to = buf_room(out, 65536);

		n = to != NULL ? fread(to, 1, 65536, in) : 0;
		out->len += n;
	}
	if (in != stdin) {
		fclose(in);
	}
	if (out->failed || out->len > FILE_MAX) {
		fprintf(stderr, "Error: %s is too long\n", name);
		return false;
	}
	(void)buf_text(out);
	return true;
}

static bool decode_json(const struct buf *text, struct variable *out, struct arena *mem)
{
	struct fault f;

	if (json_decode(&variable_type, out, text->at, text->len, mem, &f) == 0) {
		return true;
	}
	fprintf(stderr, "Error: the specification cannot be read: %s%s%s\n", f.path, f.path[0] != '\0' ? ": " : "",
		f.why);
	return false;
}

static bool decode_hcl(const struct buf *text, const char *name, struct variable *out, struct arena *mem)
{
	struct hcl_report report = {.mem = mem, .file = name, .strict = true};
	struct hcl_body *body;
	struct hcl_error error;
	struct arena tree = {0};
	struct buf notes = {0};
	int rv = hcl_parse(text->at, text->len, &tree, &body, &error);

	object_init(&variable_type, out);
	if (rv == ERR_SYNTAX) {
		hcl_report_add(&report, true, error.pos, "%s", error.text);
	} else if (rv == 0) {
		rv = hcl_decode(&variable_type, out, body, NULL, mem, &report);
	}
	if (rv != 0) {
		hcl_report_print(&report, &notes);
		fprintf(stderr, "Error: the specification cannot be read:\n%s", buf_text(&notes));
	}
	buf_close(&notes);
	arena_close(&tree);
	return rv == 0;
}

/* HCL if -in or the file's name says so, else JSON. */
static bool read_spec(struct args *args, const char *name, struct variable *out)
{
	const char *in = args_get(args, "in", strstr(name, ".hcl") != NULL ? "hcl" : "json");
	struct buf text = {0};
	bool good = read_text(name, &text);

	if (good && strcmp(in, "hcl") == 0) {
		good = decode_hcl(&text, name, out, args->mem);
	} else if (good && strcmp(in, "json") == 0) {
		good = decode_json(&text, out, args->mem);
	} else if (good) {
		fprintf(stderr, "Error: -in is json or hcl, not \"%s\"\n", in);
		good = false;
	}
	buf_close(&text);
	return good;
}

/* KEY=VALUE, KEY=@FILE, or KEY=- for standard input, over what is there. */
static bool add_item(struct args *args, const char *word, struct variable *v)
{
	const char *equals = strchr(word, '=');
	struct pair *at;
	struct buf text = {0};
	const char *key;
	const char *value;
	uint32_t i = 0;

	if (equals == NULL || equals == word) {
		fprintf(stderr, "Error: \"%s\" is not KEY=VALUE\n", word);
		return false;
	}
	key = arena_strndup(args->mem, word, (size_t)(equals - word));
	value = equals + 1;
	if (value[0] == '@' || strcmp(value, "-") == 0) {
		if (!read_text(value[0] == '@' ? value + 1 : value, &text)) {
			buf_close(&text);
			return false;
		}
		value = arena_strndup(args->mem, text.at == NULL ? "" : text.at, text.len);
		buf_close(&text);
	}
	at = arena_calloc(args->mem, v->items.n + 1, sizeof(*at));
	if (key == NULL || value == NULL || at == NULL) {
		fprintf(stderr, "Error: out of memory\n");
		return false;
	}
	if (v->items.n > 0) {
		memcpy(at, v->items.at, v->items.n * sizeof(*at));
	}
	while (i < v->items.n && strcmp(at[i].key, key) < 0) {
		i++;
	}
	if (i == v->items.n || strcmp(at[i].key, key) != 0) {
		memmove(&at[i + 1], &at[i], (v->items.n++ - i) * sizeof(*at));
	}
	at[i] = (struct pair){key, value};
	v->items.at = at;
	return true;
}

/* PATH, @FILE or -; then perhaps @FILE; then items. */
static bool read_variable(struct args *args, unsigned n, struct variable *v)
{
	const char *first = args->rest[0];
	bool is_spec = first[0] == '@' || strcmp(first, "-") == 0;
	unsigned i = 1;

	object_init(&variable_type, v);
	if (is_spec && !read_spec(args, first[0] == '@' ? first + 1 : first, v)) {
		return false;
	}
	if (!is_spec && n > 1 && args->rest[1][0] == '@' && strchr(args->rest[1], '=') == NULL) {
		if (!read_spec(args, args->rest[1] + 1, v)) {
			return false;
		}
		i = 2;
	}
	v->path = trimmed(args->mem, is_spec ? v->path : first);
	for (; i < n; i++) {
		if (!add_item(args, args->rest[i], v)) {
			return false;
		}
	}
	if (v->path[0] == '\0') {
		fprintf(stderr, "Error: no path is given\n");
	}
	return v->path[0] != '\0';
}

/* The body of a write, in memory of its own. */
static bool encode(const struct variable *v, struct buf *out)
{
	json_encode(&variable_type, v, out);
	if (out->failed) {
		fprintf(stderr, "Error: out of memory\n");
	}
	return !out->failed;
}

static void set_url(struct client *c, const struct variable *v)
{
	client_url(c, "/v1/var/%s", v->path);
	if (c->namespace_[0] == '\0' && v->namespace_[0] != '\0') {
		client_param(c, "namespace", v->namespace_);
	}
}

/* A conflict tells what is there. */
static bool was_conflict(struct client *c, const struct variable *v)
{
	struct variable now;

	if (c->status != 409) {
		return false;
	}
	if (client_decode(c, "reading the answer", &variable_type, &now)) {
		if (now.lock != NULL) {
			fprintf(stderr, "Error: variable \"%s\" is locked\n", v->path);
		} else {
			fprintf(stderr, "Error: Check-and-Set conflict: variable \"%s\" has the check index %lld\n",
				v->path, (long long)now.modify_index);
		}
	}
	return true;
}

/* ---- put ---- */

static bool add_cas(struct client *c, const struct args *args, const struct variable *v)
{
	long long index = v->modify_index;
	bool given = args_get(args, "check-index", NULL) != NULL;
	char text[32];

	if (!args_number(args, "check-index", &index)) {
		return false;
	}
	if (given || (index > 0 && !args_has(args, "force"))) {
		snprintf(text, sizeof(text), "%lld", index);
		client_param(c, "cas", text);
	}
	return true;
}

static int put(struct client *c, struct args *args)
{
	const char *as = args_get(args, "out", "none");
	struct variable v;
	struct buf body = {0};
	int code = EXIT_ERROR;

	if (!is_output(as)) {
		(void)show_variable(c, NULL, as); /* Says why not. */
		return EXIT_ERROR;
	}
	if (!read_variable(args, args->n_rest, &v)) {
		return EXIT_ERROR;
	}
	set_url(c, &v);
	if (add_cas(c, args, &v) && encode(&v, &body)) {
		if (client_send(c, "PUT", body.at, body.len) != 0) {
			fprintf(stderr, "Error creating variable: %s\n", c->error);
		} else if (c->status == 200 && client_decode(c, "reading the answer", &variable_type, &v)) {
			fprintf(strcmp(as, "none") == 0 ? stdout : stderr, "Successfully %s variable \"%s\"!\n",
				v.create_index == v.modify_index ? "created" : "updated", format_clean(c->mem, v.path));
			code = show_variable(c, &v, as) ? EXIT_OK : EXIT_ERROR;
		} else if (!was_conflict(c, &v)) {
			fprintf(stderr, "Error creating variable: Unexpected response code: %ld (%s)\n", c->status,
				format_clean(c->mem, buf_text(&c->body)));
		}
	}
	buf_close(&body);
	return code;
}

/* ---- get, list, purge ---- */

static int get(struct client *c, struct args *args)
{
	const char *item = args_get(args, "item", NULL);
	struct variable v;
	uint32_t i;

	client_url(c, "/v1/var/%s", trimmed(c->mem, args->rest[0]));
	if (!client_read(c, "retrieving variable", &variable_type, &v)) {
		return EXIT_ERROR;
	}
	for (i = 0; item != NULL && i < v.items.n; i++) {
		if (strcmp(v.items.at[i].key, item) == 0) {
			fputs(v.items.at[i].value, stdout); /* As it is: for scripts. */
			return EXIT_OK;
		}
	}
	if (item != NULL) {
		fprintf(stderr, "Error: variable \"%s\" has no item \"%s\"\n", args->rest[0], item);
		return EXIT_ERROR;
	}
	return show_variable(c, &v, args_get(args, "out", "table")) ? EXIT_OK : EXIT_ERROR;
}

static void show_list(struct client *c, const struct variable_stubs *vars, const char *as)
{
	struct table t = {0};
	uint32_t i;

	if (strcmp(as, "terse") != 0) {
		table_row(&t, "Namespace", "Path", "Last Updated");
	}
	for (i = 0; i < vars->items.n; i++) {
		const struct variable_stub *v = &vars->items.at[i];

		if (strcmp(as, "terse") == 0) {
			printf("%s\n", format_clean(c->mem, v->path));
		} else {
			table_row(&t, v->namespace_, v->path, format_time(c->mem, v->modify_time));
		}
	}
	table_print(&t, stdout);
}

static int list(struct client *c, struct args *args)
{
	const char *as = args_get(args, "out", "table");
	const char *filter = args_get(args, "filter", NULL);
	struct variable_stubs vars;

	client_url(c, "/v1/vars");
	if (args->n_rest > 0) {
		client_param(c, "prefix", args->rest[0]);
	}
	if (filter != NULL) {
		client_param(c, "filter", filter);
	}
	if (!client_read_list(c, "listing variables", &variable_stubs_type, &vars)) {
		return EXIT_ERROR;
	}
	if (strcmp(as, "json") == 0) {
		show_json(c);
	} else if (vars.items.n == 0) {
		fprintf(stderr, args->n_rest > 0 ? "No matching variables found\n" : "No variables found\n");
	} else {
		show_list(c, &vars, as);
	}
	return EXIT_OK;
}

static int purge(struct client *c, struct args *args)
{
	struct variable v;

	object_init(&variable_type, &v);
	v.path = trimmed(c->mem, args->rest[0]);
	set_url(c, &v);
	if (!add_cas(c, args, &v)) {
		return EXIT_ERROR;
	}
	if (client_send(c, "DELETE", NULL, 0) != 0) {
		fprintf(stderr, "Error purging variable: %s\n", c->error);
	} else if (c->status == 204 || c->status == 200) {
		printf("Successfully purged variable \"%s\"!\n", v.path);
		return EXIT_OK;
	} else if (!was_conflict(c, &v)) {
		fprintf(stderr, "Error purging variable: Unexpected response code: %ld (%s)\n", c->status,
			format_clean(c->mem, buf_text(&c->body)));
	}
	return EXIT_ERROR;
}

/* ---- lock ---- */

/* One operation on the lock: 200, 409, another status, or 0 when there was no answer. */
static long lock_call(struct client *c, const struct variable *v, const char *operation, struct variable *out)
{
	struct buf body = {0};
	long status = 0;

	set_url(c, v);
	client_param(c, operation, "");
	if (encode(v, &body) && client_send(c, "PUT", body.at, body.len) == 0) {
		status = c->status;
	}
	if (status == 200 && out != NULL && !client_decode(c, "reading the answer", &variable_type, out)) {
		status = 0;
	}
	buf_close(&body);
	return status;
}

static void sleep_ms(int64_t ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Until it is ours. */
static bool acquire(struct client *c, const struct variable *v, struct variable *held, int64_t retry_ms)
{
	for (;;) {
		long status = lock_call(c, v, "lock-acquire", held);

		if (status == 200) {
			return held->lock != NULL;
		}
		if (status != 409) {
			fprintf(stderr, "Error acquiring the lock: %s\n",
				status == 0 ? c->error : format_clean(c->mem, buf_text(&c->body)));
			return false;
		}
		sleep_ms(retry_ms);
	}
}

static pid_t start_child(char *const *words, bool shell)
{
	pid_t pid = fork();

	if (pid != 0) {
		return pid;
	}
	setpgid(0, 0);
	if (shell) {
		struct buf line = {0};
		const char *sh = getenv("SHELL");

		for (; *words != NULL; words++) {
			buf_str(&line, line.len > 0 ? " " : "");
			buf_str(&line, *words);
		}
		sh = sh != NULL && sh[0] != '\0' ? sh : "/bin/sh";
		execl(sh, sh, "-c", buf_text(&line), (char *)NULL);
	} else {
		execvp(words[0], words);
	}
	fprintf(stderr, "Error: the command cannot be run: %s\n", strerror(errno));
	_exit(127);
}

static int64_t mono_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static volatile sig_atomic_t wanted; /* A signal that we were sent, for the child. */

static void note_signal(int number)
{
	wanted = number;
}

/* Renew the lock while the child runs; a lock that is lost ends it. The child's exit code. */
static int guard(struct client *c, const struct variable *held, pid_t pid, int64_t ttl_ms)
{
	int64_t good_until = mono_ms() + ttl_ms;
	int64_t renew_at = mono_ms() + ttl_ms / 3;
	bool lost = false;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (wanted != 0) {
			kill(-pid, wanted);
			wanted = 0;
		}
		if (!lost && mono_ms() >= renew_at) {
			long answer = lock_call(c, held, "lock-renew", NULL);

			if (answer == 200) {
				good_until = mono_ms() + ttl_ms;
			} else if (answer == 409 || answer == 404) {
				good_until = 0; /* It is somebody else's, or nobody's. */
			}
			renew_at = mono_ms() + (answer == 200 ? ttl_ms / 3 : 500);
		}
		if (!lost && mono_ms() >= good_until) {
			fprintf(stderr, "Error: the lock is lost\n");
			lost = true;
			kill(-pid, SIGTERM);
			renew_at = mono_ms() + 5000; /* And then it is killed. */
		}
		if (lost && mono_ms() >= renew_at) {
			kill(-pid, SIGKILL);
		}
		sleep_ms(20);
	}
	if (!lost && lock_call(c, held, "lock-release", NULL) != 200) {
		fprintf(stderr, "Error: the lock could not be given back; it runs out by itself\n");
	}
	return lost ? EXIT_ERROR : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int lock_child(struct client *c, struct args *args, struct variable *v, unsigned words)
{
	struct variable held;
	struct variable key;
	int64_t ttl_ns;
	char **child = arena_calloc(args->mem, args->n_rest - words + 1, sizeof(*child));
	pid_t pid;
	unsigned i;

	for (i = words; child != NULL && i < args->n_rest; i++) {
		child[i - words] = (char *)(uintptr_t)args->rest[i];
	}
	if (child == NULL || !acquire(c, v, &held, 1000)) {
		return EXIT_ERROR;
	}
	if (!duration_parse(held.lock->ttl, strlen(held.lock->ttl), &ttl_ns) || ttl_ns <= 0) {
		fprintf(stderr, "Error: the server's answer makes no sense\n");
		return EXIT_ERROR;
	}
	object_init(&variable_type, &key); /* Without items: they stay. */
	key.path = held.path;
	key.namespace_ = held.namespace_;
	key.lock = held.lock;
	signal(SIGINT, note_signal);
	signal(SIGTERM, note_signal);
	pid = start_child(child, strcmp(args_get(args, "shell", "true"), "false") != 0);
	return pid < 0 ? EXIT_ERROR : guard(c, &key, pid, ttl_ns / 1000000);
}

static int lock(struct client *c, struct args *args)
{
	struct variable_lock want = {"", args_get(args, "ttl", "15s"), args_get(args, "delay", "15s")};
	bool is_spec = args->rest[0][0] == '@';
	unsigned words = !is_spec && args->rest[1][0] == '@' ? 2 : 1;
	struct variable v;

	if (words >= args->n_rest) {
		fprintf(stderr, "Error: no command is given\n");
		return EXIT_ERROR;
	}
	if (!read_variable(args, words, &v)) {
		return EXIT_ERROR;
	}
	v.lock = &want;
	return lock_child(c, args, &v, words);
}

/* ---- the commands ---- */

CLIENT_RUN(put)
CLIENT_RUN(get)
CLIENT_RUN(list)
CLIENT_RUN(purge)
CLIENT_RUN(lock)

static const struct flag put_flags[] = {
	{"check-index", "index", "Only if the variable has this check index; 0: only if there is none."},
	{"force", NULL, "Whatever the check index in the specification."},
	{"in", "format", "Of the specification: json or hcl; by default as its name says."},
	{"out", "format", "What to print: none, table or json."},
	{"verbose", NULL, "Accepted; what there is to say is said."},
	{NULL, NULL, NULL}};

const struct command command_var_put = {
	.name = "var put",
	.usage = "[options] PATH [@FILE] [KEY=VALUE ...] | @FILE | -",
	.summary = "Create a variable, or replace its items",
	.details = "A value @FILE is that file's text, - is standard input's. A specification (@FILE, or - for "
		   "standard input) has Path, Items and perhaps ModifyIndex, which is checked unless -force is given; "
		   "items of the command line come on top.",
	.flags = put_flags,
	.api = true,
	.min = 1,
	.max = 4096,
	.run = run_put,
};

static const struct flag get_flags[] = {{"item", "key", "Print the value of this item alone."},
					{"out", "format", "What to print: table, json or none."},
					{NULL, NULL, NULL}};

const struct command command_var_get = {
	.name = "var get",
	.usage = "[options] PATH",
	.summary = "Show a variable",
	.flags = get_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_get,
};

static const struct flag list_flags[] = {{"filter", "expression", "Only those for which it holds."},
					 {"out", "format", "What to print: table, terse or json."},
					 {NULL, NULL, NULL}};

const struct command command_var_list = {
	.name = "var list",
	.usage = "[options] [PREFIX]",
	.summary = "List variables, without their items",
	.flags = list_flags,
	.api = true,
	.max = 1,
	.run = run_list,
};

static const struct flag purge_flags[] = {{"check-index", "index", "Only if the variable has this check index."},
					  {NULL, NULL, NULL}};

const struct command command_var_purge = {
	.name = "var purge",
	.usage = "[options] PATH",
	.summary = "Remove a variable for good",
	.flags = purge_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_purge,
};

static const struct flag lock_flags[] = {
	{"delay", "duration", "How long nobody may take the lock after it was lost; 15s."},
	{"in", "format", "Of the specification: json or hcl."},
	{"shell", "true|false", "Run the command by a shell, $SHELL or /bin/sh; true."},
	{"ttl", "duration", "How long the lock is held without being renewed, at least 10s; 15s."},
	{NULL, NULL, NULL}};

const struct command command_var_lock = {
	.name = "var lock",
	.usage = "[options] PATH [@FILE] COMMAND [ARGUMENT ...]",
	.summary = "Run a command while holding the lock of a variable",
	.details = "It waits until the lock can be had, and renews it while the command runs; if the lock is lost, the "
		   "command is ended. The exit code is the command's. -shell=false runs it as it is.",
	.flags = lock_flags,
	.api = true,
	.leads = true,
	.min = 2,
	.max = 4096,
	.run = run_lock,
};
