#include "client/taskenv.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "client/vars.h"
#include "proto/error.h"
#include "proto/jsonin.h"

/* What a shell would not take in a name becomes '_'. */
static char *clean(struct arena *mem, const char *prefix, const char *name)
{
	char *key = arena_printf(mem, "%s%s", prefix, name);
	size_t i;

	for (i = 0; key != NULL && key[i] != '\0'; i++) {
		unsigned char c = (unsigned char)key[i];

		if (c != '.' && c != '_' && (c >= 0x80 || !isalnum(c) || (i == 0 && isdigit(c)))) {
			key[i] = '_';
		}
	}
	return key;
}

static char *upper(char *text)
{
	char *p;

	for (p = text; p != NULL && *p != '\0'; p++) {
		*p = (char)toupper((unsigned char)*p);
	}
	return text;
}

/* ---- the node ---- */

int node_vars_make(const struct node *node, const char *region, struct map *out, struct arena *mem)
{
	struct vars v = {.mem = mem};
	uint32_t i;

	vars_put(&v, "node.unique.id", node->id);
	vars_put(&v, "node.unique.name", node->name);
	vars_put(&v, "node.datacenter", node->datacenter);
	vars_put(&v, "node.region", region);
	vars_put(&v, "node.class", node->node_class);
	vars_put(&v, "node.pool", node->node_pool);
	for (i = 0; i < node->attributes.n; i++) {
		vars_put(&v, arena_printf(mem, "attr.%s", node->attributes.at[i].key), node->attributes.at[i].value);
	}
	for (i = 0; i < node->meta.n; i++) {
		vars_put(&v, arena_printf(mem, "meta.%s", node->meta.at[i].key), node->meta.at[i].value);
	}
	*out = v.map;
	return v.failed ? ERR_NOMEM : 0;
}

/* ---- references ---- */

/* No name that is longer is known; so a text full of openings without an end costs no more than its length. */
enum { NAME_MAX_BYTES = 256 };

/* env["NAME"] names the variable NAME. Returns the name's start and length. */
static const char *inside_env(const char *name, size_t *len)
{
	static const char head[] = "env[\"";

	if (*len > sizeof(head) + 1 && strncmp(name, head, sizeof(head) - 1) == 0 &&
	    strncmp(name + *len - 2, "\"]", 2) == 0) {
		*len -= sizeof(head) - 1 + 2;
		return name + sizeof(head) - 1;
	}
	return name;
}

static const char *lookup(const struct task_env *env, const char *name, size_t len)
{
	char key[NAME_MAX_BYTES];
	const char *value;

	name = inside_env(name, &len);
	if (len == 0 || len >= sizeof(key)) {
		return NULL;
	}
	memcpy(key, name, len);
	key[len] = '\0';
	value = map_find(&env->vars, key);
	return value != NULL || env->node_vars == NULL ? value : map_find(env->node_vars, key);
}

/* The value of the reference that begins at `p` ("${"), and its end; NULL when it stays as it is. */
static const char *reference(const struct task_env *env, const char *p, const char **end)
{
	const char *close = memchr(p + 2, '}', strnlen(p + 2, NAME_MAX_BYTES));

	if (close == NULL) {
		return NULL;
	}
	*end = close + 1;
	return lookup(env, p + 2, (size_t)(close - p - 2));
}

const char *task_env_replace(const struct task_env *env, const char *text, struct arena *mem)
{
	const char *p = strstr(text, "${");
	const char *end;
	struct buf out = {0};
	char *kept;

	if (p == NULL) {
		return text;
	}
	for (; p != NULL; p = strstr(text, "${")) {
		const char *value = reference(env, p, &end);

		if (value == NULL) {
			end = p + 2;
		}
		buf_put(&out, text, (size_t)((value == NULL ? end : p) - text));
		buf_str(&out, value == NULL ? "" : value);
		text = end;
	}
	buf_str(&out, text);
	kept = out.failed ? NULL : arena_strndup(mem, out.at, out.len);
	buf_close(&out);
	return kept;
}

/* One string token at `p`: with its references replaced, unless it names a member. Returns its end, or NULL. */
static const char *replace_token(const struct task_env *env, const char *p, const char *end, struct arena *mem,
                                 struct buf *out)
{
	struct fault fault;
	struct jsonin in;
	const char *text;

	jsonin_init(&in, p, (size_t)(end - p), mem, &fault);
	if (jsonin_str(&in, &text) != 0) {
		return NULL;
	}
	if (jsonin_peek(&in) == ':' || strstr(text, "${") == NULL) {
		buf_put(out, p, (size_t)(in.p - p));
		return in.p;
	}
	text = task_env_replace(env, text, mem);
	if (text == NULL) {
		return NULL;
	}
	json_put_str(out, text, strlen(text));
	return in.p;
}

const char *task_env_replace_json(const struct task_env *env, const char *json, struct arena *mem)
{
	const char *end = json + strlen(json);
	const char *p = json;
	struct buf out = {0};
	char *kept;

	if (strchr(json, '$') == NULL) {
		return json;
	}
	while (p != NULL && p < end) {
		if (*p == '"') {
			p = replace_token(env, p, end, mem, &out);
		} else {
			buf_byte(&out, *p++);
		}
	}
	kept = p == NULL || out.failed ? NULL : arena_strndup(mem, out.at, out.len);
	buf_close(&out);
	return kept;
}

/* ---- the task ---- */

static const char *replaced(struct vars *v, const struct map *node_vars, const char *text)
{
	struct task_env env = {.vars = v->map, .node_vars = node_vars};

	return task_env_replace(&env, text, v->mem);
}

static void put_job(struct vars *v, const struct task_env_args *a)
{
	const struct job *job = a->alloc->job;
	const char *index = strrchr(a->alloc->name, '[');

	vars_put(v, "NOMAD_ALLOC_ID", a->alloc->id);
	vars_put(v, "NOMAD_SHORT_ALLOC_ID", arena_strndup(v->mem, a->alloc->id, strnlen(a->alloc->id, 8)));
	vars_put(v, "NOMAD_ALLOC_NAME", a->alloc->name);
	vars_put(v, "NOMAD_ALLOC_INDEX", index == NULL ? "0" : arena_strndup(v->mem, index + 1, strcspn(index + 1, "]")));
	vars_put(v, "NOMAD_TASK_NAME", a->task->name);
	vars_put(v, "NOMAD_GROUP_NAME", a->group->name);
	vars_put(v, "NOMAD_JOB_ID", job->id);
	vars_put(v, "NOMAD_JOB_NAME", job->name);
	vars_put_given(v, "NOMAD_JOB_PARENT_ID", job->parent_id);
	vars_put(v, "NOMAD_NAMESPACE", job->namespace_[0] != '\0' ? job->namespace_ : "default");
	vars_put(v, "NOMAD_DC", a->datacenter);
	vars_put(v, "NOMAD_REGION", a->region);
	vars_put_given(v, "NOMAD_ALLOC_DIR", a->alloc_dir);
	vars_put_given(v, "NOMAD_TASK_DIR", a->task_dir);
	vars_put_given(v, "NOMAD_SECRETS_DIR", a->secrets_dir);
}

static const struct allocated_task *granted(const struct allocation *alloc, const char *task)
{
	uint32_t i;

	for (i = 0; alloc->allocated_resources != NULL && i < alloc->allocated_resources->tasks.n; i++) {
		if (strcmp(alloc->allocated_resources->tasks.keys[i], task) == 0) {
			return &alloc->allocated_resources->tasks.at[i];
		}
	}
	return NULL;
}

/* "0-2,5": cores that follow each other as a range. */
static const char *core_list(struct arena *mem, const struct ints *cores)
{
	struct buf out = {0};
	char *kept;
	uint32_t i = 0;

	while (i < cores->n) {
		uint32_t from = i;

		while (i + 1 < cores->n && cores->at[i + 1] == cores->at[i] + 1) {
			i++;
		}
		buf_printf(&out, "%s%" PRId64, from > 0 ? "," : "", cores->at[from]);
		if (i > from) {
			buf_printf(&out, "-%" PRId64, cores->at[i]);
		}
		i++;
	}
	kept = out.failed ? NULL : arena_strndup(mem, out.at, out.len);
	buf_close(&out);
	return kept;
}

static void put_resources(struct vars *v, const struct task_env_args *a)
{
	const struct allocated_task *got = granted(a->alloc, a->task->name);
	const struct resources *asked = a->task->resources;
	int64_t cpu = got != NULL && got->cpu != NULL ? got->cpu->cpu_shares : asked != NULL ? asked->cpu.at : 0;
	int64_t mem = got != NULL && got->memory != NULL ? got->memory->memory_mb : asked != NULL ? asked->memory_mb.at : 0;
	int64_t most = got != NULL && got->memory != NULL ? got->memory->memory_max_mb
	               : asked != NULL                    ? asked->memory_max_mb
	                                                  : 0;

	if (cpu > 0) {
		vars_put_int(v, "NOMAD_CPU_LIMIT", cpu);
	}
	if (mem > 0) {
		vars_put_int(v, "NOMAD_MEMORY_LIMIT", mem);
	}
	if (most > 0) {
		vars_put_int(v, "NOMAD_MEMORY_MAX_LIMIT", most);
	}
	if (got != NULL && got->cpu != NULL && got->cpu->reserved_cores.n > 0) {
		vars_put(v, "NOMAD_CPU_CORES", core_list(v->mem, &got->cpu->reserved_cores));
	}
}

/* A port under several names: "NOMAD_PORT_" and so on before `label`. */
static void put_port(struct vars *v, const char *label, const char *ip, int64_t host, int64_t inside)
{
	const char *addr = arena_printf(v->mem, strchr(ip, ':') != NULL ? "[%s]:%" PRId64 : "%s:%" PRId64, ip, host);

	vars_put(v, clean(v->mem, "NOMAD_IP_", label), ip);
	vars_put(v, clean(v->mem, "NOMAD_HOST_IP_", label), ip);
	vars_put_int(v, clean(v->mem, "NOMAD_PORT_", label), inside);
	vars_put_int(v, clean(v->mem, "NOMAD_HOST_PORT_", label), host);
	vars_put_int(v, clean(v->mem, "NOMAD_ALLOC_PORT_", label), inside);
	vars_put(v, clean(v->mem, "NOMAD_ADDR_", label), addr);
	vars_put(v, clean(v->mem, "NOMAD_HOST_ADDR_", label), addr);
}

static int64_t inner_port(int64_t to, int64_t host)
{
	return to > 0 ? to : host;
}

static void put_network(struct vars *v, const struct network_resource *net, const char *of_task)
{
	const struct port *ports[] = {net->reserved_ports.at, net->dynamic_ports.at};
	const uint32_t counts[] = {net->reserved_ports.n, net->dynamic_ports.n};
	size_t k;
	uint32_t i;

	for (k = 0; k < 2; k++) {
		for (i = 0; i < counts[k]; i++) {
			const struct port *p = &ports[k][i];
			const char *label = of_task[0] == '\0' ? p->label
			                                       : arena_printf(v->mem, "%s_%s", of_task, p->label);

			if (label == NULL) {
				v->failed = true;
				return;
			}
			put_port(v, label, net->ip, p->value, inner_port(p->to, p->value));
		}
	}
}

/* Ports of the group, and those that single tasks asked for: a task's own by label, another's by task and label. */
static void put_ports(struct vars *v, const struct task_env_args *a)
{
	const struct allocated_resources *got = a->alloc->allocated_resources;
	uint32_t i;
	uint32_t k;

	for (i = 0; got != NULL && i < got->tasks.n; i++) {
		const char *name = got->tasks.keys[i];

		for (k = 0; k < got->tasks.at[i].networks.n; k++) {
			put_network(v, &got->tasks.at[i].networks.at[k], strcmp(name, a->task->name) == 0 ? "" : name);
		}
	}
	for (i = 0; got != NULL && got->shared != NULL && i < got->shared->networks.n; i++) {
		put_network(v, &got->shared->networks.at[i], "");
	}
	for (i = 0; got != NULL && got->shared != NULL && i < got->shared->ports.n; i++) {
		const struct alloc_port *p = &got->shared->ports.at[i];

		put_port(v, p->label, p->host_ip, p->value, inner_port(p->to, p->value));
	}
}

static void put_meta(struct vars *v, const struct map *node_vars, const struct map *meta)
{
	uint32_t i;

	for (i = 0; i < meta->n; i++) {
		const char *value = replaced(v, node_vars, meta->at[i].value);

		vars_put(v, upper(clean(v->mem, "NOMAD_META_", meta->at[i].key)), value);
		vars_put(v, clean(v->mem, "NOMAD_META_", meta->at[i].key), value);
	}
}

/* What a dispatch may leave out is there all the same, empty. */
static void put_optional_meta(struct vars *v, const struct parameterized_job *p)
{
	uint32_t i;

	for (i = 0; p != NULL && i < p->meta_optional.n; i++) {
		vars_put(v, upper(clean(v->mem, "NOMAD_META_", p->meta_optional.at[i])), "");
		vars_put(v, clean(v->mem, "NOMAD_META_", p->meta_optional.at[i]), "");
	}
}

static void put_own(struct vars *v, const struct map *node_vars, const struct map *env)
{
	uint32_t i;

	for (i = 0; i < env->n; i++) {
		vars_put(v, clean(v->mem, "", env->at[i].key), replaced(v, node_vars, env->at[i].value));
	}
}

/* What a template says is meant as it is. */
static void put_more(struct vars *v, const struct map *more)
{
	uint32_t i;

	for (i = 0; more != NULL && i < more->n; i++) {
		vars_put(v, clean(v->mem, "", more->at[i].key), more->at[i].value);
	}
}

int task_env_make(const struct task_env_args *args, struct task_env *out, struct arena *mem)
{
	struct vars v = {.mem = mem};

	put_job(&v, args);
	put_resources(&v, args);
	put_ports(&v, args);
	put_optional_meta(&v, args->alloc->job->parameterized);
	put_meta(&v, args->node_vars, &args->alloc->job->meta);
	put_meta(&v, args->node_vars, &args->group->meta);
	put_meta(&v, args->node_vars, &args->task->meta);
	put_own(&v, args->node_vars, &args->task->env);
	put_more(&v, args->more);
	*out = (struct task_env){.vars = v.map, .node_vars = args->node_vars};
	return v.failed ? ERR_NOMEM : 0;
}

const char *task_env_get(const struct task_env *env, const char *name)
{
	return map_find(&env->vars, name);
}

int task_env_list(const struct task_env *env, const char *const **out, uint32_t *n, struct arena *mem)
{
	const char **list = arena_alloc(mem, (env->vars.n + 1) * sizeof(*list));
	uint32_t i;

	if (list == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < env->vars.n; i++) {
		list[i] = arena_printf(mem, "%s=%s", env->vars.at[i].key, env->vars.at[i].value);
		if (list[i] == NULL) {
			return ERR_NOMEM;
		}
	}
	list[i] = NULL;
	*out = list;
	*n = env->vars.n;
	return 0;
}
