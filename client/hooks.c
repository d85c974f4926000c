#include "client/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/allocdir.h"
#include "client/artifact.h"
#include "client/beneath.h"
#include "client/driver.h"
#include "client/graft.h"
#include "client/place.h"
#include "client/template.h"
#include "client/user.h"
#include "client/vars.h"
#include "proto/error.h"

enum { SOURCE_MAX = 16 << 20, RENDERED_MAX = 64 << 20, TEXT_MAX = 640 };

struct run {
	const struct hook_plan *plan;
	struct hook_outcome *out;
	struct arena *mem;
	struct vars vars;
	int root; /* The allocation's directory. */
};

bool hooks_needed(const struct task *task, bool fetch)
{
	return task->templates.n > 0 ||
	       (fetch && (task->artifacts.n > 0 ||
	                  (task->dispatch_payload != NULL && task->dispatch_payload->file[0] != '\0')));
}

bool hooks_ask(const struct task *task)
{
	uint32_t i;

	for (i = 0; i < task->templates.n; i++) {
		const struct template *t = &task->templates.at[i];

		if (t->source_path[0] != '\0' || strstr(t->embedded_tmpl, "nomad") != NULL) {
			return true;
		}
	}
	return false;
}

bool hooks_slow(const struct task *task, bool fetch)
{
	return fetch && task->artifacts.n > 0;
}

/* Note the first failure; returns -1. */
static int fail(struct run *r, enum task_event_kind kind, bool recoverable, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

static int fail(struct run *r, enum task_event_kind kind, bool recoverable, const char *format, ...)
{
	char text[TEXT_MAX];
	const char *kept;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	kept = arena_strdup(r->mem, text);
	r->out->failed = true;
	r->out->failure = (struct task_failure){
	        .kind = kind, .text = kept == NULL ? "out of memory" : kept, .recoverable = recoverable};
	return -1;
}

/* Where a path of the specification leads, or a failure of the hook named. */
static int find_place(struct run *r, const char *hook, const char *given, char out[PLACE_PATH])
{
	const char *path = task_env_replace(&r->plan->env, given, r->mem);

	if (path == NULL) {
		return fail(r, TASK_EVENT_HOOK_FAILED, false, "%s: out of memory", hook);
	}
	if (path[0] == '\0' || place_path(r->plan->alloc_path, r->plan->task->name, path, out) != 0) {
		return fail(r, TASK_EVENT_HOOK_FAILED, false, "%s: path %.300s escapes the alloc directory", hook, given);
	}
	return 0;
}

/* ---- the payload ---- */

static int put_payload(struct run *r)
{
	static const struct place_owner owner = {.mode = 0644, .uid = -1, .gid = -1};
	const struct dispatch_payload *d = r->plan->task->dispatch_payload;
	char path[PLACE_PATH];
	char why[PLACE_WHY];
	const char *given;

	if (d == NULL || d->file[0] == '\0' || r->plan->payload.n == 0) {
		return 0;
	}
	given = arena_printf(r->mem, "local/%s", d->file);
	if (given == NULL || find_place(r, "dispatch_payload", given, path) != 0) {
		return -1;
	}
	if (place_file(r->root, path, r->plan->payload.at, r->plan->payload.n, &owner, why) != 0) {
		return fail(r, TASK_EVENT_HOOK_FAILED, false, "dispatch_payload: %s", why);
	}
	return 0;
}

/* ---- artifacts ---- */

static const struct map *replaced_map(struct run *r, const struct map *map)
{
	struct vars v = {.mem = r->mem};
	struct map *out = arena_alloc(r->mem, sizeof(*out));
	uint32_t i;

	for (i = 0; i < map->n; i++) {
		vars_put(&v, map->at[i].key, task_env_replace(&r->plan->env, map->at[i].value, r->mem));
	}
	if (out == NULL || v.failed) {
		return NULL;
	}
	*out = v.map;
	return out;
}

/* To the user that the task runs as: what was fetched is the agent's so far. */
static int give_artifact(struct run *r, const char *path)
{
	const struct driver *driver = driver_find(r->plan->task->driver);
	const char *user = r->plan->task->user;
	struct user found;
	char why[PLACE_WHY];
	const char *name;
	int parent;
	int rc;

	user = user[0] == '\0' && driver != NULL && driver->default_user != NULL ? driver->default_user : user;
	if (user[0] == '\0') {
		return 0;
	}
	if (user_find(user, &found) != 0) {
		return fail(r, TASK_EVENT_DOWNLOAD_FAILED, false, "failed to chown artifact: unknown user \"%.100s\"", user);
	}
	parent = place_parent(r->root, path, &name, why);
	rc = parent < 0 ? parent : graft_give(parent, name, found.uid, found.gid, why);
	if (parent >= 0) {
		close(parent);
	}
	return rc == 0 ? 0 : fail(r, TASK_EVENT_DOWNLOAD_FAILED, false, "failed to chown artifact: %s", why);
}

static int get_artifact(struct run *r, const struct artifact *a)
{
	struct artifact_args args = {.root = r->root, .canceled = r->plan->canceled, .insecure = a->getter_insecure};
	char shown[ARTIFACT_SHOWN];
	char path[PLACE_PATH];
	char why[ARTIFACT_WHY];

	args.source = task_env_replace(&r->plan->env, a->getter_source, r->mem);
	args.options = replaced_map(r, &a->getter_options);
	args.headers = replaced_map(r, &a->getter_headers);
	args.mode = a->getter_mode;
	args.path = path;
	if (args.source == NULL || args.options == NULL || args.headers == NULL) {
		return fail(r, TASK_EVENT_DOWNLOAD_FAILED, true, "out of memory");
	}
	if (find_place(r, "artifacts", a->relative_dest[0] == '\0' ? "local" : a->relative_dest, path) != 0) {
		return -1;
	}
	artifact_shown(args.source, shown);
	switch (artifact_fetch(&args, why)) {
	case 0:
		return a->chown ? give_artifact(r, path) : 0;
	case ERR_INVALID:
		return fail(r, TASK_EVENT_DOWNLOAD_FAILED, false, "failed to download artifact \"%s\": %s", shown, why);
	default:
		return fail(r, TASK_EVENT_DOWNLOAD_FAILED, true, "failed to download artifact \"%s\": %s", shown, why);
	}
}

/* ---- templates ---- */

static int read_all(int fd, struct buf *out)
{
	struct stat st;
	ssize_t n = 1;

	if (fstat(fd, &st) != 0) {
		return errno;
	}
	if (!S_ISREG(st.st_mode)) {
		return S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	}
	while (n > 0) {
		char *to = buf_room(out, 16384);

		if (to == NULL || out->len > SOURCE_MAX) {
			return to == NULL ? ENOMEM : EFBIG;
		}
		n = read(fd, to, 16384);
		out->len += n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? errno : 0;
}

static int read_source(struct run *r, const struct template *t, struct buf *out)
{
	char path[PLACE_PATH];
	char why[PLACE_WHY];
	int error;
	int fd;

	if (find_place(r, "template", t->source_path, path) != 0) {
		return -1;
	}
	fd = beneath_open(r->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, BENEATH_NO_LINKS);
	error = fd < 0 ? -fd : read_all(fd, out);
	if (fd >= 0) {
		close(fd);
	}
	if (error == 0) {
		return 0;
	}
	place_fail(why, "open", path, error);
	return fail(r, TASK_EVENT_HOOK_FAILED, false, "template: failed to read template: %s", why);
}

static int take_variables(struct run *r, const char *dest, const struct buf *text)
{
	char why[TEMPLATE_WHY];
	struct map map;
	uint32_t i;

	if (template_variables(text->at, text->len, &map, r->mem, why) != 0) {
		return fail(r, TASK_EVENT_HOOK_FAILED, false, "template: %s: %s", dest, why);
	}
	for (i = 0; i < map.n; i++) {
		vars_put(&r->vars, map.at[i].key, map.at[i].value);
	}
	return 0;
}

static int write_rendered(struct run *r, const struct template *t, const char *path, const struct buf *text)
{
	struct place_owner owner = {.uid = t->uid.set ? (long)t->uid.at : -1, .gid = t->gid.set ? (long)t->gid.at : -1};
	char why[PLACE_WHY];
	char *end;

	owner.mode = (mode_t)strtoul(t->perms[0] == '\0' ? "0644" : t->perms, &end, 8);
	if (*end != '\0' || owner.mode > 07777) {
		return fail(r, TASK_EVENT_HOOK_FAILED, false, "template: invalid permissions \"%.20s\"", t->perms);
	}
	if (place_file(r->root, path, text->at, text->len, &owner, why) != 0) {
		return fail(r, TASK_EVENT_HOOK_FAILED, false, "template: %s", why);
	}
	return 0;
}

/* The file as it is; false when there is none, or it cannot be read. */
static bool read_file(struct run *r, const char *path, struct buf *out)
{
	int fd = beneath_open(r->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, BENEATH_NO_LINKS);
	bool whole = fd >= 0 && read_all(fd, out) == 0;

	if (fd >= 0) {
		close(fd);
	}
	return whole;
}

static bool is_same(struct run *r, const char *path, const struct buf *text)
{
	struct buf old = {0};
	bool same = read_file(r, path, &old) && old.len == text->len &&
	            (old.len == 0 || memcmp(old.at, text->at, old.len) == 0);

	buf_close(&old);
	return same;
}

/* Into its place, and maybe into the environment. A task that runs keeps a file that would be the same. */
static int use_rendered(struct run *r, const struct template *t, const struct buf *text)
{
	char path[PLACE_PATH];
	int rc = find_place(r, "template", t->dest_path, path);
	bool same = rc == 0 && r->plan->again && is_same(r, path, text);

	if (rc == 0 && !same) {
		rc = write_rendered(r, t, path, text);
		r->out->changed[t - r->plan->task->templates.at] = true;
	}
	return rc == 0 && t->envvars ? take_variables(r, path, text) : rc;
}

static int render(struct run *r, const struct template *t, const struct buf *source)
{
	const struct template_args args = {.left = t->left_delim,
	                                   .right = t->right_delim,
	                                   .env = &r->plan->env,
	                                   .data = r->plan->data,
	                                   .error_on_missing_key = t->err_missing_key};
	const char *name = t->source_path[0] != '\0' ? t->source_path : "(embedded)";
	struct buf text = {0};
	char why[TEMPLATE_WHY];
	int rc;

	rc = template_render(source->at == NULL ? "" : source->at, source->len, &args, &text, why);
	if (rc == ERR_BUSY) {
		r->out->lacks = true;
		rc = 0;
	} else if (rc != 0 || text.len > RENDERED_MAX) {
		rc = fail(r, TASK_EVENT_HOOK_FAILED, false, "template: %.200s: %s", name,
		          rc == ERR_INVALID ? why : "too large");
	} else {
		(void)buf_text(&text);
		rc = use_rendered(r, t, &text);
	}
	buf_close(&text);
	return rc;
}

/* One that is rendered once stays as it is; only the environment is to be made anew. */
static int keep_once(struct run *r, const struct template *t)
{
	struct buf text = {0};
	char path[PLACE_PATH];
	int rc = 0;

	if (t->envvars) {
		rc = find_place(r, "template", t->dest_path, path);
		if (rc == 0 && read_file(r, path, &text)) {
			(void)buf_text(&text);
			rc = take_variables(r, path, &text);
		}
	}
	buf_close(&text);
	return rc;
}

static int put_template(struct run *r, const struct template *t)
{
	struct buf source = {0};
	int rc = 0;

	if (r->plan->again && t->once) {
		return keep_once(r, t);
	}
	if (t->source_path[0] != '\0') {
		rc = read_source(r, t, &source);
	} else {
		buf_str(&source, t->embedded_tmpl);
	}
	if (rc == 0) {
		rc = render(r, t, &source);
	}
	buf_close(&source);
	return rc;
}

/* ---- all of them ---- */

static int run_all(struct run *r)
{
	const struct task *task = r->plan->task;
	uint32_t i;

	if (r->plan->fetch && put_payload(r) != 0) {
		return -1;
	}
	for (i = 0; r->plan->fetch && i < task->artifacts.n; i++) {
		if (atomic_load(r->plan->canceled)) {
			return fail(r, TASK_EVENT_DOWNLOAD_FAILED, true, "canceled");
		}
		if (get_artifact(r, &task->artifacts.at[i]) != 0) {
			return -1;
		}
	}
	for (i = 0; i < task->templates.n; i++) {
		if (put_template(r, &task->templates.at[i]) != 0) {
			return -1;
		}
	}
	return r->vars.failed ? fail(r, TASK_EVENT_HOOK_FAILED, true, "template: out of memory") : 0;
}

void hooks_run(const struct hook_plan *plan, struct hook_outcome *out, struct arena *mem)
{
	struct run r = {.plan = plan, .out = out, .mem = mem, .vars = {.mem = mem}};

	*out = (struct hook_outcome){.changed = arena_calloc(mem, plan->task->templates.n + 1, sizeof(bool))};
	if (out->changed == NULL) {
		fail(&r, TASK_EVENT_HOOK_FAILED, true, "out of memory");
		return;
	}
	r.root = allocdir_open(plan->alloc_root, plan->alloc_id);
	if (r.root < 0) {
		fail(&r, TASK_EVENT_HOOK_FAILED, false, "the directory of allocation %s is gone", plan->alloc_id);
		return;
	}
	(void)run_all(&r);
	close(r.root);
	out->vars = r.vars.map;
}
