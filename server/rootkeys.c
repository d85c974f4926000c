#include "server/rootkeys.h"

#include <stdio.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"

#define HOUR_NS (60 * NS_PER_MIN)

static int64_t or_default(int64_t value, int64_t dflt)
{
	return value > 0 ? value : dflt;
}

void rootkeys_init(struct rootkeys *k, const struct rootkeys_config *config)
{
	*k = (struct rootkeys){.next_ns = PART_NEVER};
	if (config != NULL) {
		k->config = *config;
	}
	k->config.rotation_ns = or_default(k->config.rotation_ns, 720 * HOUR_NS);
	k->config.gc_ns = or_default(k->config.gc_ns, HOUR_NS);
	k->config.interval_ns = or_default(k->config.interval_ns, 10 * NS_PER_MIN);
}

static void end_sweep(struct rootkeys *k)
{
	k->sweeping = false;
	k->place.len = 0;
	k->n_seen = k->failed = 0;
}

void rootkeys_reset(struct rootkeys *k, const struct moment *at)
{
	end_sweep(k);
	k->pending = false;
	k->next_ns = at->mono_ns;
}

void rootkeys_changed(struct rootkeys *k, const struct moment *at)
{
	k->next_ns = at->mono_ns;
}

/* ---- the keys ---- */

struct keys {
	struct root_key active, rekeying, old; /* Without an ID: there is none. `old` is one of those that may go. */
	bool spare;                            /* There are others than the active one. */
};

static bool is_seen(const struct rootkeys *k, const char *id)
{
	unsigned i;

	for (i = 0; i < k->n_seen && i < ROOTKEYS_SEEN; i++) {
		if (strcmp(k->seen[i], id) == 0) {
			return true;
		}
	}
	return false;
}

static void note_seen(struct rootkeys *k, const char *id)
{
	if (is_seen(k, id)) {
		return;
	}
	if (k->n_seen < ROOTKEYS_SEEN) {
		snprintf(k->seen[k->n_seen], UUID_TEXT, "%s", id);
	}
	k->n_seen++;
}

static void take_key(const struct rootkeys *k, const struct root_key *key, struct keys *out)
{
	if (strcmp(key->state, "active") == 0) {
		out->active = *key;
		return;
	}
	out->spare = true;
	if (strcmp(key->state, "rekeying") == 0) {
		out->rekeying = *key;
	} else if (!is_seen(k, key->id)) {
		out->old = *key;
	}
}

static int look_at_keys(const struct rootkeys *k, struct turn *turn, struct keys *out)
{
	const struct object_row *row;
	struct root_key key;
	struct rows r;
	int rv = 0;

	*out = (struct keys){.active.id = "", .rekeying.id = "", .old.id = ""};
	rows_objects(&r, turn->v, TABLE_ROOT_KEYS);
	while (rv == 0 && (row = object_next(&r)) != NULL) {
		rv = object_row_get(row, &root_key_type, &key, turn->mem);
		if (rv == 0) {
			take_key(k, &key, out);
		}
	}
	return rv;
}

/* ---- what is asked for ---- */

static enum part_step ask(struct rootkeys *k, struct turn *turn, enum command type, const void *payload)
{
	enum part_step step = turn_command(turn, type, payload, &(struct uuid){{0}});

	k->pending = step == STEP_COMMAND;
	return step;
}

static enum part_step rest(struct rootkeys *k, struct turn *turn, int64_t for_ns)
{
	end_sweep(k);
	k->next_ns = turn->at->mono_ns + for_ns;
	return STEP_IDLE;
}

static enum part_step make_key(struct rootkeys *k, struct turn *turn, bool first, bool full)
{
	struct root_key key;
	int rv = keyring_make(k->config.keyring, turn->at->wall_ns, &key, turn->mem);

	if (rv != 0) {
		log_error("leader", "a root key cannot be made: %s", error_text(rv));
		return rest(k, turn, PART_RETRY_NS);
	}
	end_sweep(k);
	log_info("leader", "root key %s is made, to be the active one%s", key.id, full ? " everywhere" : "");
	return ask(k, turn, COMMAND_ROOT_KEY_PUT, &(struct root_key_put){&key, full, first});
}

/* ---- the sweep ---- */

struct slice {
	struct rootkeys *k;
	struct turn *turn;
	const struct keys *keys;
	struct variables_rekey command;
};

/* Seal a variable anew, into the command. */
static void reseal(struct slice *s, const struct object_row *row, const struct sealed_variable *v)
{
	const struct keyring *ring = s->k->config.keyring;
	const char *path = variable_row_path(row);
	struct variable_rekey *to = &s->command.variables.at[s->command.variables.n];
	struct map items;
	int rv = keyring_open(ring, &s->keys->rekeying, row->key, path, &v->data, &items, s->turn->mem);

	*to = (struct variable_rekey){row->key, path, (int64_t)row->modify_index, {NULL, 0}};
	if (rv == 0) {
		rv = keyring_seal(ring, &s->keys->active, row->key, path, &items, &to->data, s->turn->mem);
	}
	if (rv == 0) {
		s->command.variables.n++;
		return;
	}
	s->k->failed++;
	note_seen(s->k, v->key_id);
	log_error("leader", "variable %s cannot be sealed by the new root key: %s", path, error_text(rv));
}

static int look_at_variable(struct slice *s, const struct object_row *row)
{
	struct sealed_variable v;
	int rv = object_row_get(row, &sealed_variable_type, &v, s->turn->mem);

	if (rv != 0 || v.data.n == 0 || strcmp(v.key_id, s->keys->active.id) == 0) {
		return rv;
	}
	if (strcmp(v.key_id, s->keys->rekeying.id) == 0) {
		reseal(s, row, &v);
	} else {
		note_seen(s->k, v.key_id);
	}
	return 0;
}

/* Up to PART_ROWS variables, or ROOTKEYS_BATCH that must be sealed anew: then the sweep goes on behind the last. */
static bool sweep_slice(struct slice *s)
{
	struct rootkeys *k = s->k;
	const struct object_row *row;
	unsigned left = PART_ROWS;
	struct rows r;

	rows_variables(&r, s->turn->v, NULL, "");
	if (k->place.len > 0) {
		rows_seek(&r, k->place.key, k->place.len);
	}
	while ((row = object_next(&r)) != NULL) {
		if (left-- == 0 || s->command.variables.n == ROOTKEYS_BATCH) {
			memcpy(k->place.key, row->key, row->row.text_len);
			k->place.len = row->row.text_len;
			return false;
		}
		(void)look_at_variable(s, row);
	}
	return true;
}

static enum part_step end_of_sweep(struct rootkeys *k, struct turn *turn, const struct keys *keys)
{
	bool may_go = k->n_seen <= ROOTKEYS_SEEN &&
		      turn->at->wall_ns - keys->active.create_time >= k->config.gc_ns;

	if (keys->rekeying.id[0] != '\0') {
		end_sweep(k);
		return ask(k, turn, COMMAND_ROOT_KEY_RETIRE, &(struct name_delete){keys->rekeying.id});
	}
	if (may_go && keys->old.id[0] != '\0' && !is_seen(k, keys->old.id)) {
		end_sweep(k);
		log_info("leader", "root key %s is removed: nothing needs it", keys->old.id);
		return ask(k, turn, COMMAND_ROOT_KEY_DELETE, &(struct name_delete){keys->old.id});
	}
	return rest(k, turn, k->config.interval_ns);
}

static enum part_step sweep(struct rootkeys *k, struct turn *turn, const struct keys *keys)
{
	struct variable_rekey *at = turn_need(turn, ROOTKEYS_BATCH, sizeof(*at));
	struct slice s = {k, turn, keys, {.key_id = keys->active.id, .variables = {at, 0}}};
	bool whole;

	k->sweeping = true;
	whole = sweep_slice(&s);
	if (s.command.variables.n > 0) {
		if (whole) {
			k->place.len = 0; /* Once more, to see that nothing is left. */
		}
		return ask(k, turn, COMMAND_VARIABLES_REKEY, &s.command);
	}
	return whole ? end_of_sweep(k, turn, keys) : STEP_MORE;
}

enum part_step rootkeys_step(struct rootkeys *k, struct turn *turn)
{
	struct keys keys;

	if (k->config.keyring == NULL || k->pending || (turn->at->mono_ns < k->next_ns && !k->sweeping)) {
		return STEP_IDLE;
	}
	if (look_at_keys(k, turn, &keys) != 0) {
		return rest(k, turn, PART_RETRY_NS);
	}
	if (keys.active.id[0] == '\0') {
		return make_key(k, turn, true, false);
	}
	if (turn->at->wall_ns - keys.active.create_time >= k->config.rotation_ns) {
		return make_key(k, turn, false, false);
	}
	if (k->config.keyring->wraps && keys.active.wrapped_by[0] == '\0') {
		return make_key(k, turn, false, true);
	}
	return keys.spare ? sweep(k, turn, &keys) : rest(k, turn, k->config.interval_ns);
}

void rootkeys_done(struct rootkeys *k, const struct uuid *ref, int status, const struct moment *at)
{
	(void)ref;
	k->pending = false;
	if (status != 0) {
		end_sweep(k);
		k->next_ns = at->mono_ns + PART_RETRY_NS;
	}
}

int64_t rootkeys_due(const struct rootkeys *k, const struct moment *at)
{
	if (k->config.keyring == NULL || k->pending) {
		return PART_NEVER;
	}
	return k->sweeping ? at->mono_ns : k->next_ns;
}
