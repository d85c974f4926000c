#include "raft/state.h"

#include <string.h>

#include "proto/error.h"
#include "raft/table.h"

/* ---- one row ---- */

static const void *find(const struct view *v, unsigned tree, const struct key *key)
{
	return key->len <= sizeof(key->at) ? view_find(v, tree, key_of(key)) : NULL;
}

static const void *find_id(const struct view *v, unsigned tree, const struct uuid *id)
{
	return view_find(v, tree, (struct tree_key){id, sizeof(*id)});
}

const struct job_row *state_job(const struct view *v, const char *ns, const char *id)
{
	struct key key;

	key_job(&key, ns, id);
	return find(v, INDEX_JOBS_CURRENT, &key);
}

const struct job_row *state_job_version(const struct view *v, const char *ns, const char *id, uint64_t version)
{
	struct key key;

	key_job(&key, ns, id);
	key_number(&key, version);
	return find(v, TABLE_JOBS, &key);
}

const struct summary_row *state_summary(const struct view *v, const char *ns, const char *id)
{
	struct key key;

	key_job(&key, ns, id);
	return find(v, TABLE_SUMMARIES, &key);
}

const struct eval_row *state_eval(const struct view *v, const struct uuid *id)
{
	return find_id(v, TABLE_EVALS, id);
}

const struct alloc_row *state_alloc(const struct view *v, const struct uuid *id)
{
	return find_id(v, TABLE_ALLOCS, id);
}

const struct node_row *state_node(const struct view *v, const struct uuid *id)
{
	return find_id(v, TABLE_NODES, id);
}

const struct deployment_row *state_deployment(const struct view *v, const struct uuid *id)
{
	return find_id(v, TABLE_DEPLOYMENTS, id);
}

const struct deployment_row *state_latest_deployment(const struct view *v, const char *ns, const char *job)
{
	struct rows r;

	rows_deployments_of_job(&r, v, ns, job);
	return deployment_prev(&r);
}

const struct object_row *state_launch(const struct view *v, const char *ns, const char *id)
{
	struct key key;

	key_job(&key, ns, id);
	return find(v, TABLE_LAUNCHES, &key);
}

const struct object_row *state_scaling(const struct view *v, const char *ns, const char *id, const char *group)
{
	struct key key;

	key_job(&key, ns, id);
	key_text(&key, group);
	return find(v, TABLE_SCALINGS, &key);
}

const struct object_row *state_submission(const struct view *v, const char *ns, const char *id, uint64_t version)
{
	struct key key;

	key_job(&key, ns, id);
	key_number(&key, version);
	return find(v, TABLE_SUBMISSIONS, &key);
}

static const struct object_row *find_name(const struct view *v, enum table table, const char *name)
{
	struct key key = {.len = 0};

	key_text(&key, name);
	return find(v, table, &key);
}

const struct object_row *state_namespace(const struct view *v, const char *name)
{
	return find_name(v, TABLE_NAMESPACES, name);
}

const struct object_row *state_node_pool(const struct view *v, const char *name)
{
	return find_name(v, TABLE_NODE_POOLS, name);
}

const struct object_row *state_server(const struct view *v, uint64_t id)
{
	struct key key = {.len = 0};

	key_number(&key, id);
	return find(v, TABLE_SERVERS, &key);
}

const struct object_row *state_restore_part(const struct view *v, uint64_t number)
{
	struct key key = {.len = 0};

	key_number(&key, number);
	return find(v, TABLE_RESTORES, &key);
}

const struct service_row *state_service(const struct view *v, const char *ns, const char *name, const char *id)
{
	struct key key;

	key_job(&key, ns, name);
	key_text(&key, id);
	return find(v, TABLE_SERVICES, &key);
}

static const struct object_row *find_pair(const struct view *v, enum table table, const char *ns, const char *name)
{
	struct key key;

	key_job(&key, ns, name);
	return find(v, table, &key);
}

const struct object_row *state_variable(const struct view *v, const char *ns, const char *path)
{
	return find_pair(v, TABLE_VARIABLES, ns, path);
}

const struct object_row *state_variable_hold(const struct view *v, const char *ns, const char *path)
{
	return find_pair(v, TABLE_VARIABLE_HOLDS, ns, path);
}

const char *variable_row_path(const struct object_row *row)
{
	return row->key + strlen(row->key) + 1;
}

const struct object_row *state_root_key(const struct view *v, const char *id)
{
	return find_name(v, TABLE_ROOT_KEYS, id);
}

int state_active_key(const struct view *v, struct root_key *out, struct arena *mem)
{
	const struct object_row *row;
	struct rows r;
	int rv = 0;

	rows_objects(&r, v, TABLE_ROOT_KEYS);
	while (rv == 0 && (row = object_next(&r)) != NULL) {
		rv = object_row_get(row, &root_key_type, out, mem);
		if (rv == 0 && strcmp(out->state, "active") == 0) {
			return 0;
		}
	}
	return rv != 0 ? rv : ERR_NOTFOUND;
}

int state_scheduler_config(const struct view *v, struct scheduler_config *out, struct arena *mem)
{
	const struct object_row *row = find_name(v, TABLE_CONFIGS, "scheduler");
	int rv = row != NULL ? object_row_get(row, &scheduler_config_type, out, mem) : ERR_CORRUPT;

	if (rv == 0) {
		out->create_index = (int64_t)row->create_index;
		out->modify_index = (int64_t)row->modify_index;
	}
	return rv;
}

int state_scheduler_config_in(const struct view *v, const char *pool, struct scheduler_config *out, struct arena *mem)
{
	const struct object_row *row = state_node_pool(v, pool);
	struct node_pool p;
	int rv = state_scheduler_config(v, out, mem);

	if (rv == 0 && row != NULL) {
		rv = object_row_get(row, &node_pool_type, &p, mem);
	}
	if (rv != 0 || row == NULL || p.scheduler == NULL) {
		return rv;
	}
	if (p.scheduler->algorithm[0] != '\0') {
		out->algorithm = p.scheduler->algorithm;
	}
	if (p.scheduler->memory_oversubscription.set) {
		out->memory_oversubscription = p.scheduler->memory_oversubscription.at != 0;
	}
	return 0;
}

int state_autopilot_config(const struct view *v, struct autopilot_config *out, struct arena *mem)
{
	const struct object_row *row = find_name(v, TABLE_CONFIGS, "autopilot");
	int rv = row != NULL ? object_row_get(row, &autopilot_config_type, out, mem) : ERR_NOTFOUND;

	if (rv == 0) {
		out->create_index = (int64_t)row->create_index;
		out->modify_index = (int64_t)row->modify_index;
	}
	return rv;
}

/* ---- prefixes of IDs ---- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int uuid_prefix_parse(const char *text, struct uuid_prefix *out)
{
	struct uuid_prefix p = {.len = 0};
	unsigned digits = 0;

	for (; *text != '\0'; text++) {
		int value = hex_value(*text);

		if (*text == '-' && digits >= 8 && digits <= 20 && digits % 4 == 0) {
			continue;
		}
		if (value < 0) {
			return ERR_SYNTAX;
		}
		if (digits == 2 * sizeof(p.id.at)) {
			return ERR_TOOBIG;
		}
		p.id.at[digits / 2] = (uint8_t)(p.id.at[digits / 2] << 4 | value);
		digits++;
	}
	if (digits % 2 != 0) {
		return ERR_RANGE;
	}
	p.len = digits / 2;
	*out = p;
	return 0;
}

/* ---- many rows ---- */

void rows_open(struct rows *r, const struct view *v, unsigned tree, const void *prefix, size_t len)
{
	r->at = (struct tree_key){NULL, 0};
	r->begun = false;
	r->empty = len > sizeof(r->prefix);
	if (!r->empty) {
		if (len > 0) {
			memcpy(r->prefix, prefix, len);
		}
		cursor_open(&r->cursor, v, tree, (struct tree_key){r->prefix, len});
	}
}

/* All rows of a job; with `open` the ID may go on. */
static void rows_open_job(struct rows *r, const struct view *v, unsigned tree, const char *ns, const char *id,
			  bool open)
{
	struct key key = {.len = 0};

	key_text(&key, ns);
	key_put(&key, id, strlen(id) + (open ? 0 : 1));
	rows_open(r, v, tree, key.at, key.len);
}

static void rows_open_id(struct rows *r, const struct view *v, unsigned tree, const struct uuid_prefix *prefix)
{
	if (prefix == NULL) {
		rows_open(r, v, tree, NULL, 0);
	} else {
		rows_open(r, v, tree, &prefix->id, prefix->len);
	}
}

void rows_jobs(struct rows *r, const struct view *v, const char *ns, const char *prefix)
{
	if (ns == NULL) {
		rows_open(r, v, INDEX_JOBS_CURRENT, NULL, 0);
	} else {
		rows_open_job(r, v, INDEX_JOBS_CURRENT, ns, prefix, true);
	}
}

void rows_system_jobs(struct rows *r, const struct view *v)
{
	rows_open(r, v, INDEX_JOBS_SYSTEM, NULL, 0);
}

void rows_versions(struct rows *r, const struct view *v, const char *ns, const char *id)
{
	rows_open_job(r, v, TABLE_JOBS, ns, id, false);
}

void rows_summaries(struct rows *r, const struct view *v, const char *ns, const char *prefix)
{
	if (ns == NULL) {
		rows_open(r, v, TABLE_SUMMARIES, NULL, 0);
	} else {
		rows_open_job(r, v, TABLE_SUMMARIES, ns, prefix, true);
	}
}

void rows_variables(struct rows *r, const struct view *v, const char *ns, const char *prefix)
{
	if (ns == NULL) {
		rows_open(r, v, TABLE_VARIABLES, NULL, 0);
	} else {
		rows_open_job(r, v, TABLE_VARIABLES, ns, prefix, true);
	}
}

void rows_evals(struct rows *r, const struct view *v, const struct uuid_prefix *prefix)
{
	rows_open_id(r, v, TABLE_EVALS, prefix);
}

void rows_allocs(struct rows *r, const struct view *v, const struct uuid_prefix *prefix)
{
	rows_open_id(r, v, TABLE_ALLOCS, prefix);
}

void rows_nodes(struct rows *r, const struct view *v, const struct uuid_prefix *prefix)
{
	rows_open_id(r, v, TABLE_NODES, prefix);
}

void rows_deployments(struct rows *r, const struct view *v, const struct uuid_prefix *prefix)
{
	rows_open_id(r, v, TABLE_DEPLOYMENTS, prefix);
}

void rows_acl_tokens(struct rows *r, const struct view *v, const struct uuid_prefix *accessor)
{
	rows_open_id(r, v, TABLE_ACL_TOKENS, accessor);
}

void rows_evals_of_job(struct rows *r, const struct view *v, const char *ns, const char *id)
{
	rows_open_job(r, v, INDEX_EVALS_JOB, ns, id, false);
}

void rows_deployments_of_job(struct rows *r, const struct view *v, const char *ns, const char *id)
{
	rows_open_job(r, v, INDEX_DEPLOYMENTS_JOB, ns, id, false);
}

void rows_allocs_of_job(struct rows *r, const struct view *v, const struct job_row *job)
{
	uint8_t key[8];

	put_be64(key, job->create_index);
	rows_open(r, v, INDEX_ALLOCS_JOB, key, sizeof(key));
}

void rows_allocs_of_eval(struct rows *r, const struct view *v, const struct uuid *eval)
{
	rows_open(r, v, INDEX_ALLOCS_EVAL, eval, sizeof(*eval));
}

void rows_allocs_of_deployment(struct rows *r, const struct view *v, const struct uuid *deployment)
{
	rows_open(r, v, INDEX_ALLOCS_DEPLOYMENT, deployment, sizeof(*deployment));
}

void rows_allocs_of_node(struct rows *r, const struct view *v, const struct uuid *node)
{
	rows_open(r, v, INDEX_ALLOCS_NODE, node, sizeof(*node));
}

void rows_services(struct rows *r, const struct view *v, const char *ns, const char *name)
{
	struct key key = {.len = 0};

	if (ns != NULL) {
		key_text(&key, ns);
		if (name != NULL) {
			key_text(&key, name);
		}
	}
	rows_open(r, v, TABLE_SERVICES, key.at, key.len);
}

void rows_services_of_alloc(struct rows *r, const struct view *v, const struct uuid *alloc)
{
	rows_open(r, v, INDEX_SERVICES_ALLOC, alloc, sizeof(*alloc));
}

void rows_objects(struct rows *r, const struct view *v, enum table table)
{
	rows_open(r, v, table, NULL, 0);
}

void rows_seek(struct rows *r, const void *key, size_t len)
{
	r->at = (struct tree_key){key, len};
}

const struct row *rows_next(struct rows *r)
{
	struct tree_row *row;

	if (r->empty) {
		return NULL;
	}
	if (r->begun) {
		row = cursor_next(&r->cursor);
	} else {
		row = r->at.at != NULL ? cursor_seek(&r->cursor, r->at) : cursor_first(&r->cursor);
	}
	r->begun = true;
	r->empty = row == NULL;
	return (const struct row *)row;
}

/* The last row that is not after the key. */
static struct tree_row *seek_back(struct rows *r)
{
	struct tree_row *row = cursor_seek(&r->cursor, r->at);
	struct tree_key key;

	if (row == NULL) {
		return cursor_last(&r->cursor);
	}
	key = r->cursor.type->key(row);
	if (key.len == r->at.len && memcmp(key.at, r->at.at, key.len) == 0) {
		return row;
	}
	return cursor_prev(&r->cursor);
}

const struct row *rows_prev(struct rows *r)
{
	struct tree_row *row;

	if (r->empty) {
		return NULL;
	}
	if (r->begun) {
		row = cursor_prev(&r->cursor);
	} else {
		row = r->at.at != NULL ? seek_back(r) : cursor_last(&r->cursor);
	}
	r->begun = true;
	r->empty = row == NULL;
	return (const struct row *)row;
}
