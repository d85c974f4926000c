#include <string.h>

#include "raft/fsm_work.h"

/* ---- objects under a key ---- */

static const struct object_row *find(struct fsm_work *f, enum table table, const struct key *key)
{
	return key->len <= sizeof(key->at) ? (const struct object_row *)view_find(view_of(f), table, key_of(key))
					   : NULL;
}

static struct blob *pack_whole(struct fsm_work *f, const struct type *t, const void *object)
{
	struct blob *blob = fsm_pack(f, t, object);

	return blob != NULL ? blob : blob_new("\x80", 1);
}

static void put_new(struct fsm_work *f, enum table table, const struct key *key, struct blob *blob)
{
	struct object_row *row = (struct object_row *)row_new(table, key->len);

	memcpy(row->key, key->at, key->len);
	row->create_index = row->modify_index = index_of(f);
	row->object = blob;
	writer_put(&f->w, &row->row);
}

bool fsm_object_put(struct fsm_work *f, enum table table, const struct key *key, const struct type *t,
		    const void *object)
{
	const struct object_row *old = find(f, table, key);
	struct blob *blob = pack_whole(f, t, object);
	struct object_row *row;

	if (key->len > sizeof(key->at)) {
		blob_unref(blob);
		return false;
	}
	if (old == NULL) {
		put_new(f, table, key, blob);
		return true;
	}
	if (old->object->len == blob->len && memcmp(old->object->data, blob->data, blob->len) == 0) {
		blob_unref(blob);
		return false;
	}
	row = writer_edit(&f->w, &old->row);
	blob_set(&row->object, blob);
	row->modify_index = index_of(f);
	writer_put(&f->w, &row->row);
	return true;
}

bool fsm_object_remove(struct fsm_work *f, enum table table, const struct key *key)
{
	const struct object_row *row = find(f, table, key);

	if (row != NULL) {
		writer_remove(&f->w, &row->row);
	}
	return row != NULL;
}

void fsm_objects_remove(struct fsm_work *f, enum table table, const struct key *prefix)
{
	struct rows r;
	size_t n;
	size_t i;
	const struct row **rows;

	rows_open(&r, view_of(f), table, prefix->at, prefix->len);
	rows = fsm_collect(f, &r, &n);
	for (i = 0; i < n; i++) {
		writer_remove(&f->w, rows[i]);
	}
}

static void name_key(struct key *key, const char *name)
{
	key->len = 0;
	key_text(key, name);
}

/* ---- launches ---- */

void fsm_launch_put(struct fsm_work *f, const char *ns, const char *id, int64_t launch_ns)
{
	const struct launch launch = {.namespace_ = "", .id = "", .launch_ns = launch_ns};
	struct key key;

	key_job(&key, ns, id);
	fsm_object_put(f, TABLE_LAUNCHES, &key, &launch_type, &launch);
}

void fsm_LAUNCH(struct fsm_work *f, const struct launch_record *p)
{
	if (state_job(view_of(f), p->namespace_, p->id) == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "job \"%s\" not found", p->id);
		return;
	}
	fsm_launch_put(f, p->namespace_, p->id, p->launch_ns);
}

/* ---- namespaces ---- */

/* Why it stays: a line for each reason. */
static void add_reason(struct buf *why, bool holds, const char *kind, const char *name, const char *what)
{
	if (holds) {
		buf_printf(why, "%s%s \"%s\" has %s", why->len > 0 ? "\n" : "", kind, name, what);
	}
}

void fsm_NAMESPACE_PUT(struct fsm_work *f, const struct namespace_put *p)
{
	struct namespace_ ns;
	struct key key;

	if (p->namespace_ == NULL || p->namespace_->name[0] == '\0' || strlen(p->namespace_->name) > NAMESPACE_MAX) {
		fsm_fail(f, ERR_INVALID, "invalid name of a namespace");
		return;
	}
	ns = *p->namespace_;
	ns.create_index = ns.modify_index = 0;
	name_key(&key, ns.name);
	f->result->changed = fsm_object_put(f, TABLE_NAMESPACES, &key, &namespace__type, &ns);
}

static bool has_live_jobs(struct fsm_work *f, const char *ns)
{
	const struct job_row *job;
	struct rows r;

	rows_jobs(&r, view_of(f), ns, "");
	do {
		job = job_next(&r);
	} while (job != NULL && job->status == JOB_STATUS_DEAD);
	return job != NULL;
}

static bool has_live_allocs(struct fsm_work *f, const struct job_row *job)
{
	const struct alloc_row *alloc;
	struct rows r;

	rows_allocs_of_job(&r, view_of(f), job);
	do {
		alloc = alloc_next(&r);
	} while (alloc != NULL && alloc_row_client_terminal(alloc));
	return alloc != NULL;
}

/* Of jobs that are over their tasks may still be ending. */
static bool has_allocs_in(struct fsm_work *f, const char *ns)
{
	const struct job_row *job;
	struct rows r;

	rows_jobs(&r, view_of(f), ns, "");
	do {
		job = job_next(&r);
	} while (job != NULL && !has_live_allocs(f, job));
	return job != NULL;
}

static bool has_variables(struct fsm_work *f, const char *ns)
{
	struct rows r;

	rows_variables(&r, view_of(f), ns, "");
	return object_next(&r) != NULL;
}

void fsm_NAMESPACE_DELETE(struct fsm_work *f, const struct name_delete *p)
{
	struct buf why = {0};
	struct key key;

	name_key(&key, p->name);
	if (strcmp(p->name, "default") == 0) {
		fsm_fail(f, ERR_INVALID, "can not delete default namespace");
		return;
	}
	if (state_namespace(view_of(f), p->name) == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "namespace not found");
		return;
	}
	add_reason(&why, has_live_jobs(f, p->name), "namespace", p->name, "non-terminal jobs");
	add_reason(&why, has_allocs_in(f, p->name), "namespace", p->name, "non-terminal allocations");
	add_reason(&why, has_variables(f, p->name), "namespace", p->name, "variables associated with it");
	if (why.len > 0) {
		fsm_fail(f, ERR_CONFLICT, "%s", buf_text(&why));
	} else {
		fsm_object_remove(f, TABLE_NAMESPACES, &key);
	}
	buf_close(&why);
}

/* ---- node pools ---- */

void fsm_pool_make(struct fsm_work *f, const char *name, const char *description)
{
	struct node_pool pool;
	struct key key;

	if (state_node_pool(view_of(f), name) == NULL) {
		object_init(&node_pool_type, &pool);
		pool.name = name;
		pool.description = description;
		name_key(&key, name);
		fsm_object_put(f, TABLE_NODE_POOLS, &key, &node_pool_type, &pool);
	}
}

static bool built_in(const char *pool)
{
	return strcmp(pool, "all") == 0 || strcmp(pool, "default") == 0;
}

enum { POOL_DESCRIPTION_MAX = 256 };

static bool is_pool_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

	return n > 0 && n <= NAMESPACE_MAX && name[n] == '\0';
}

void fsm_NODE_POOL_PUT(struct fsm_work *f, const struct node_pool_put *p)
{
	struct node_pool pool;
	struct key key;

	if (p->pool == NULL || !is_pool_name(p->pool->name)) {
		const char *name = p->pool != NULL ? p->pool->name : "";

		fsm_fail(f, ERR_INVALID,
			 "invalid node pool \"%.128s\": 1 error occurred:\n\t* invalid name \"%.128s\", "
			 "must match regex ^[a-zA-Z0-9-_]{1,128}$\n\n",
			 name, name);
	} else if (strlen(p->pool->description) > POOL_DESCRIPTION_MAX) {
		fsm_fail(f, ERR_INVALID, "invalid node pool \"%s\": 1 error occurred:\n\t* description longer than %d\n\n",
			 p->pool->name, POOL_DESCRIPTION_MAX);
	} else if (built_in(p->pool->name)) {
		fsm_fail(f, ERR_INVALID, "modifying node pool \"%s\" is not allowed", p->pool->name);
	} else {
		pool = *p->pool;
		pool.create_index = pool.modify_index = 0;
		name_key(&key, pool.name);
		f->result->changed = fsm_object_put(f, TABLE_NODE_POOLS, &key, &node_pool_type, &pool);
	}
}

static bool pool_has_jobs(struct fsm_work *f, const char *pool)
{
	const struct job_row *job;
	struct rows r;

	rows_jobs(&r, view_of(f), NULL, "");
	do {
		job = job_next(&r);
	} while (job != NULL && (job->status == JOB_STATUS_DEAD || strcmp(job_row_node_pool(job), pool) != 0));
	return job != NULL;
}

static bool pool_has_nodes(struct fsm_work *f, const char *pool)
{
	const struct node_row *row;
	bool found = false;
	struct rows r;

	rows_nodes(&r, view_of(f), NULL);
	while (!found && (row = node_next(&r)) != NULL) {
		struct node base;

		fsm_unpack(f, &node_type, row->base, &base);
		found = strcmp(base.node_pool, pool) == 0;
	}
	return found;
}

void fsm_NODE_POOL_DELETE(struct fsm_work *f, const struct name_delete *p)
{
	struct buf why = {0};
	struct key key;

	name_key(&key, p->name);
	if (built_in(p->name)) {
		fsm_fail(f, ERR_INVALID, "deleting node pool \"%s\" is not allowed", p->name);
		return;
	}
	if (state_node_pool(view_of(f), p->name) == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "node pool %.200s not found", p->name);
		return;
	}
	add_reason(&why, pool_has_jobs(f, p->name), "node pool", p->name, "non-terminal jobs");
	add_reason(&why, pool_has_nodes(f, p->name), "node pool", p->name, "nodes");
	if (why.len > 0) {
		fsm_fail(f, ERR_CONFLICT, "%s", buf_text(&why));
	} else {
		fsm_object_remove(f, TABLE_NODE_POOLS, &key);
	}
	buf_close(&why);
}

/* ---- the schedulers' configuration ---- */

static void put_config(struct fsm_work *f, const struct scheduler_config *from)
{
	struct scheduler_config config = *from;
	struct key key;

	config.create_index = config.modify_index = 0;
	name_key(&key, "scheduler");
	f->result->changed = fsm_object_put(f, TABLE_CONFIGS, &key, &scheduler_config_type, &config);
}

void fsm_SCHEDULER_CONFIG(struct fsm_work *f, const struct scheduler_config_put *p)
{
	const struct object_row *old;
	struct key key;

	name_key(&key, "scheduler");
	old = find(f, TABLE_CONFIGS, &key);
	if (p->config == NULL) {
		fsm_fail(f, ERR_INVALID, "no configuration is given");
	} else if (!p->enforce || (old != NULL && old->modify_index == (uint64_t)p->modify_index)) {
		put_config(f, p->config);
	}
}

/* ---- the servers' pilot ---- */

void fsm_AUTOPILOT_CONFIG(struct fsm_work *f, const struct autopilot_config_put *p)
{
	const struct object_row *old;
	struct autopilot_config config;
	uint64_t modify_index;
	struct key key;

	name_key(&key, "autopilot");
	old = find(f, TABLE_CONFIGS, &key);
	modify_index = old != NULL ? old->modify_index : 0;
	if (p->config == NULL) {
		fsm_fail(f, ERR_INVALID, "no configuration is given");
	} else if (!p->enforce || modify_index == (uint64_t)p->modify_index) {
		config = *p->config;
		config.create_index = config.modify_index = 0;
		(void)fsm_object_put(f, TABLE_CONFIGS, &key, &autopilot_config_type, &config);
		f->result->changed = true;
	}
}

/* ---- servers ---- */

void fsm_SERVER_PUT(struct fsm_work *f, const struct server_put *p)
{
	struct key key = {.len = 0};

	if (p->server == NULL || p->server->id == 0) {
		fsm_fail(f, ERR_INVALID, "a server without an ID");
		return;
	}
	key_number(&key, (uint64_t)p->server->id);
	f->result->changed = fsm_object_put(f, TABLE_SERVERS, &key, &server_meta_type, p->server);
}

void fsm_SERVER_DELETE(struct fsm_work *f, const struct server_delete *p)
{
	struct key key = {.len = 0};

	key_number(&key, (uint64_t)p->id);
	if (!fsm_object_remove(f, TABLE_SERVERS, &key)) {
		fsm_fail(f, ERR_NOTFOUND, "server not found");
	}
}

/* ---- a new cluster ---- */

void fsm_bootstrap(struct fsm_work *f)
{
	struct preemption_config preemption;
	struct scheduler_config config;
	struct namespace_ ns;
	struct key key;

	object_init(&namespace__type, &ns);
	ns.name = "default";
	ns.description = "Default shared namespace";
	name_key(&key, ns.name);
	fsm_object_put(f, TABLE_NAMESPACES, &key, &namespace__type, &ns);
	fsm_pool_make(f, "all", "Node pool with all nodes in the cluster.");
	fsm_pool_make(f, "default", "Default node pool.");
	object_init(&scheduler_config_type, &config);
	object_init(&preemption_config_type, &preemption);
	config.preemption = &preemption;
	put_config(f, &config);
}
