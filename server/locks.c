#include "server/locks.h"

#include <string.h>

static void begin(struct locks *l)
{
	l->looking = false;
	l->first_ns = PART_NEVER;
	l->place.len = 0;
}

void locks_init(struct locks *l)
{
	*l = (struct locks){.next_ns = PART_NEVER};
	begin(l);
}

void locks_reset(struct locks *l, const struct moment *at)
{
	locks_init(l);
	l->not_before_ns = l->next_ns = at->mono_ns + LOCKS_PATIENCE_NS;
}

void locks_changed(struct locks *l, const struct moment *at)
{
	begin(l);
	l->next_ns = at->mono_ns > l->not_before_ns ? at->mono_ns : l->not_before_ns;
}

static enum part_step expire(struct locks *l, struct turn *turn, const struct object_row *row,
			     const struct variable_hold *hold)
{
	const struct variable_lock_ref ref = {row->key, variable_row_path(row), hold->lock_id};
	enum part_step step = turn_command(turn, COMMAND_VARIABLE_EXPIRE, &ref, &(struct uuid){{0}});

	l->pending = step == STEP_COMMAND;
	begin(l);
	return step;
}

static enum part_step rest(struct locks *l, struct turn *turn)
{
	l->next_ns = due_mono(l->first_ns, turn->at);
	begin(l);
	return STEP_IDLE;
}

static enum part_step cut(struct locks *l, const struct object_row *row)
{
	l->looking = true;
	memcpy(l->place.key, row->key, row->row.text_len);
	l->place.len = row->row.text_len;
	return STEP_MORE;
}

enum part_step locks_step(struct locks *l, struct turn *turn)
{
	unsigned left = PART_ROWS;
	const struct object_row *row;
	struct rows r;

	if (l->pending || (turn->at->mono_ns < l->next_ns && !l->looking)) {
		return STEP_IDLE;
	}
	rows_objects(&r, turn->v, TABLE_VARIABLE_HOLDS);
	if (l->place.len > 0) {
		rows_seek(&r, l->place.key, l->place.len);
	}
	while ((row = object_next(&r)) != NULL) {
		struct variable_hold hold;

		if (left-- == 0) {
			return cut(l, row);
		}
		if (object_row_get(row, &variable_hold_type, &hold, turn->mem) != 0) {
			continue;
		}
		if (hold.until_ns <= turn->at->wall_ns) {
			return expire(l, turn, row, &hold);
		}
		l->first_ns = hold.until_ns < l->first_ns ? hold.until_ns : l->first_ns;
	}
	return rest(l, turn);
}

void locks_done(struct locks *l, const struct uuid *ref, int status, const struct moment *at)
{
	(void)ref;
	l->pending = false;
	l->next_ns = at->mono_ns + (status == 0 ? 0 : PART_RETRY_NS);
}

int64_t locks_due(const struct locks *l, const struct moment *at)
{
	return l->pending ? PART_NEVER : l->looking ? at->mono_ns : l->next_ns;
}
