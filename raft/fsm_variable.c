/* Variables, their locks, and the root keys that seal them: to the state what is sealed is bytes. */
#include <string.h>

#include "raft/fsm_work.h"

/* ---- holds: until when a lock is held, or may not be taken ---- */

static void put_hold(struct fsm_work *f, const struct key *key, const char *lock_id, int64_t for_ns)
{
	const struct variable_hold hold = {.lock_id = lock_id, .until_ns = fsm_later(now_of(f), for_ns)};

	(void)fsm_object_put(f, TABLE_VARIABLE_HOLDS, key, &variable_hold_type, &hold);
}

/* All zero when there is none. */
static void get_hold(struct fsm_work *f, const char *ns, const char *path, struct variable_hold *out)
{
	const struct object_row *row = state_variable_hold(view_of(f), ns, path);

	fsm_unpack(f, &variable_hold_type, row != NULL ? row->object : NULL, out);
}

/* ---- variables ---- */

static const struct object_row *find(struct fsm_work *f, const char *ns, const char *path, struct sealed_variable *out)
{
	const struct object_row *row = state_variable(view_of(f), ns, path);

	fsm_unpack(f, &sealed_variable_type, row != NULL ? row->object : NULL, out);
	return row;
}

/* Who does not hold the lock, or has seen another variable, changes nothing. */
static bool is_current(struct fsm_work *f, const struct object_row *row, bool enforce, int64_t modify_index)
{
	uint64_t index = row != NULL ? row->modify_index : 0;

	if (enforce && index != (uint64_t)modify_index) {
		fsm_fail(f, ERR_CONFLICT, "cas error: requested index %llu; found index %llu",
			 (unsigned long long)modify_index, (unsigned long long)index);
		return false;
	}
	return true;
}

static bool holds(struct fsm_work *f, const struct sealed_variable *v, const char *lock_id)
{
	if (strcmp(v->lock_id, lock_id) != 0 && v->lock_id[0] != '\0') {
		fsm_fail(f, ERR_CONFLICT, "the variable is locked");
		return false;
	}
	return true;
}

static bool may_lock(struct fsm_work *f, const struct variable_put *p, const struct sealed_variable *v)
{
	struct variable_hold hold;

	get_hold(f, p->namespace_, p->path, &hold);
	if (v->lock_id[0] != '\0') {
		fsm_fail(f, ERR_CONFLICT, "the variable is locked already");
		return false;
	}
	if (hold.until_ns > now_of(f)) {
		fsm_fail(f, ERR_CONFLICT, "the variable was locked, and the delay after its lock is not over");
		return false;
	}
	return true;
}

static bool may_release(struct fsm_work *f, const struct object_row *row, const struct variable_put *p,
			const struct sealed_variable *v)
{
	if (row == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "variable not found");
	} else if (v->lock_id[0] == '\0' || strcmp(v->lock_id, p->lock_id) != 0) {
		fsm_fail(f, ERR_CONFLICT, "the lock is not held by this ID");
	}
	return f->result->status == 0;
}

static bool may_put(struct fsm_work *f, const struct object_row *row, const struct variable_put *p,
		    const struct sealed_variable *v)
{
	const char *fault = variable_path_fault(p->path);

	if (fault != NULL || p->op < 0 || p->op >= VARIABLE_OPS) {
		fsm_fail(f, ERR_INVALID, "%s", fault != NULL ? fault : "unknown operation");
	} else if (state_namespace(view_of(f), p->namespace_) == NULL) {
		fsm_fail(f, ERR_INVALID, "namespace \"%.128s\" does not exist", p->namespace_);
	} else if (p->data.n > 0 && state_root_key(view_of(f), p->key_id) == NULL) {
		fsm_fail(f, ERR_BUSY, "the root key is gone: try again");
	} else if (!is_current(f, row, p->enforce, p->modify_index)) {
		return false;
	} else if (p->op == VARIABLE_ACQUIRE) {
		return may_lock(f, p, v);
	} else if (p->op == VARIABLE_RELEASE) {
		return may_release(f, row, p, v);
	} else {
		return holds(f, v, p->lock_id);
	}
	return false;
}

static void begin_lock(struct fsm_work *f, const struct key *key, const struct variable_put *p,
		       struct sealed_variable *v)
{
	char *id = fsm_scratch(f, UUID_TEXT);

	f->result->made_id = fsm_id(f);
	uuid_format(&f->result->made_id, id);
	v->lock_id = id;
	v->ttl_ns = p->ttl_ns;
	v->lock_delay_ns = p->lock_delay_ns;
	put_hold(f, key, id, p->ttl_ns);
}

static void end_lock(struct sealed_variable *v)
{
	v->lock_id = "";
	v->ttl_ns = v->lock_delay_ns = 0;
}

static void put(struct fsm_work *f, const struct key *key, struct sealed_variable *v)
{
	const struct object_row *row;

	v->modify_time_ns = now_of(f);
	v->create_time_ns = v->create_time_ns != 0 ? v->create_time_ns : now_of(f);
	f->result->changed = fsm_object_put(f, TABLE_VARIABLES, key, &sealed_variable_type, v);
	row = (const struct object_row *)view_find(view_of(f), TABLE_VARIABLES, key_of(key));
	f->result->create_index = row->create_index;
	f->result->create_time_ns = v->create_time_ns;
	f->result->time_ns = v->modify_time_ns;
}

void fsm_VARIABLE_PUT(struct fsm_work *f, const struct variable_put *p)
{
	struct sealed_variable v;
	const struct object_row *row = find(f, p->namespace_, p->path, &v);
	struct key key;

	if (!may_put(f, row, p, &v)) {
		return;
	}
	key_job(&key, p->namespace_, p->path);
	if (p->data.n > 0) {
		v.key_id = p->key_id;
		v.data = p->data;
	}
	if (p->op == VARIABLE_ACQUIRE) {
		begin_lock(f, &key, p, &v);
	} else if (p->op == VARIABLE_RELEASE) {
		end_lock(&v);
		(void)fsm_object_remove(f, TABLE_VARIABLE_HOLDS, &key);
	}
	put(f, &key, &v);
}

void fsm_VARIABLE_DELETE(struct fsm_work *f, const struct variable_delete *p)
{
	struct sealed_variable v;
	const struct object_row *row = find(f, p->namespace_, p->path, &v);
	struct key key;

	if (!is_current(f, row, p->enforce, p->modify_index) || !holds(f, &v, p->lock_id)) {
		return;
	}
	key_job(&key, p->namespace_, p->path);
	f->result->changed = fsm_object_remove(f, TABLE_VARIABLES, &key);
	(void)fsm_object_remove(f, TABLE_VARIABLE_HOLDS, &key);
}

void fsm_VARIABLE_RENEW(struct fsm_work *f, const struct variable_lock_ref *p)
{
	struct sealed_variable v;
	const struct object_row *row = find(f, p->namespace_, p->path, &v);
	struct key key;

	if (row == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "variable not found");
	} else if (v.lock_id[0] == '\0' || strcmp(v.lock_id, p->lock_id) != 0) {
		fsm_fail(f, ERR_CONFLICT, "the lock is not held by this ID");
	} else {
		key_job(&key, p->namespace_, p->path);
		put_hold(f, &key, v.lock_id, v.ttl_ns);
	}
}

/* The lock ends, which changes the variable, and nobody may take one for its delay. */
static void expire(struct fsm_work *f, const struct key *key, struct sealed_variable *v)
{
	int64_t delay_ns = v->lock_delay_ns;

	end_lock(v);
	put(f, key, v);
	if (delay_ns > 0) {
		put_hold(f, key, "", delay_ns);
	} else {
		(void)fsm_object_remove(f, TABLE_VARIABLE_HOLDS, key);
	}
}

void fsm_VARIABLE_EXPIRE(struct fsm_work *f, const struct variable_lock_ref *p)
{
	struct sealed_variable v;
	struct variable_hold hold;
	struct key key;

	(void)find(f, p->namespace_, p->path, &v);
	get_hold(f, p->namespace_, p->path, &hold);
	key_job(&key, p->namespace_, p->path);
	if (hold.until_ns == 0) {
		fsm_fail(f, ERR_NOTFOUND, "no lock");
	} else if (strcmp(hold.lock_id, p->lock_id) != 0 || hold.until_ns > now_of(f)) {
		fsm_fail(f, ERR_CONFLICT, "the lock is another, or its time is not up");
	} else if (hold.lock_id[0] != '\0' && strcmp(v.lock_id, hold.lock_id) == 0) {
		expire(f, &key, &v);
	} else {
		(void)fsm_object_remove(f, TABLE_VARIABLE_HOLDS, &key);
	}
}

/* ---- root keys ---- */

static bool rekey(struct fsm_work *f, const char *key_id, const struct variable_rekey *p)
{
	struct sealed_variable v;
	const struct object_row *old = find(f, p->namespace_, p->path, &v);
	struct object_row *row;

	if (old == NULL || old->modify_index != (uint64_t)p->modify_index || p->data.n == 0) {
		return false;
	}
	v.key_id = key_id;
	v.data = p->data;
	row = writer_edit(&f->w, &old->row);
	blob_set(&row->object, fsm_pack(f, &sealed_variable_type, &v));
	writer_put(&f->w, &row->row);
	return true;
}

void fsm_VARIABLES_REKEY(struct fsm_work *f, const struct variables_rekey *p)
{
	uint32_t i;

	if (state_root_key(view_of(f), p->key_id) == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "no such root key");
		return;
	}
	for (i = 0; i < p->variables.n; i++) {
		bool done = rekey(f, p->key_id, &p->variables.at[i]);

		f->result->count += done;
		f->result->rejected += !done;
	}
}

static void put_key(struct fsm_work *f, struct root_key *key, const char *state)
{
	struct key at = {.len = 0};

	key->state = state;
	key_text(&at, key->id);
	(void)fsm_object_put(f, TABLE_ROOT_KEYS, &at, &root_key_type, key);
}

/* The key that was active is so no more. */
static void demote(struct fsm_work *f, const char *state)
{
	struct root_key old;

	if (state_active_key(view_of(f), &old, &f->mem) == 0) {
		put_key(f, &old, state);
	}
}

void fsm_ROOT_KEY_PUT(struct fsm_work *f, const struct root_key_put *p)
{
	struct root_key key;

	if (p->key == NULL || p->key->id[0] == '\0' || strlen(p->key->id) >= UUID_TEXT || p->key->secret.n == 0) {
		fsm_fail(f, ERR_INVALID, "a root key without an ID or without a secret");
	} else if (state_root_key(view_of(f), p->key->id) != NULL) {
		fsm_fail(f, ERR_EXISTS, "a root key with this ID is there already");
	} else if (!p->first || view_count(view_of(f), TABLE_ROOT_KEYS) == 0) {
		demote(f, p->full ? "rekeying" : "inactive");
		key = *p->key;
		put_key(f, &key, "active");
		f->result->changed = true;
	}
}

/* A key that is not the active one; else the command is refused. */
static bool get_old_key(struct fsm_work *f, const char *id, struct root_key *out)
{
	const struct object_row *row = state_root_key(view_of(f), id);

	fsm_unpack(f, &root_key_type, row != NULL ? row->object : NULL, out);
	if (row == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "root key not found");
	} else if (strcmp(out->state, "active") == 0) {
		fsm_fail(f, ERR_INVALID, "active root key cannot be deleted - call rotate first");
	}
	return f->result->status == 0;
}

void fsm_ROOT_KEY_RETIRE(struct fsm_work *f, const struct name_delete *p)
{
	struct root_key key;

	if (get_old_key(f, p->name, &key)) {
		put_key(f, &key, "inactive");
	}
}

void fsm_ROOT_KEY_DELETE(struct fsm_work *f, const struct name_delete *p)
{
	struct root_key key;
	struct key at = {.len = 0};

	if (get_old_key(f, p->name, &key)) {
		key_text(&at, p->name);
		(void)fsm_object_remove(f, TABLE_ROOT_KEYS, &at);
	}
}
