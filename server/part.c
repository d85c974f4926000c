#include "server/part.h"

#include <string.h>
#include <xxhash.h>

#include "lib/log.h"
#include "proto/error.h"
#include "server/sched_memory.h"

enum part_step turn_command(struct turn *turn, enum command type, const void *payload, const struct uuid *ref)
{
	int rv;

	turn->command.len = 0;
	rv = command_encode(type, payload, &turn->command);
	if (rv == ERR_NOMEM) {
		sched_got(NULL);
	}
	if (rv != 0) {
		log_error("leader", "a command %s cannot be made: %s", command_name(type), error_text(rv));
		return STEP_MORE;
	}
	turn->ref = *ref;
	return STEP_COMMAND;
}

void *turn_need(struct turn *turn, size_t n, size_t size)
{
	return arena_need(turn->mem, n > 0 ? n : 1, size);
}

const char *turn_id_text(struct turn *turn, const struct uuid *id)
{
	char *text = turn_need(turn, 1, UUID_TEXT);

	uuid_format(id, text);
	return text;
}

const char *turn_new_id(struct turn *turn)
{
	struct uuid id = uuid_derive(&turn->ids->seed, turn->ids->n++);

	return turn_id_text(turn, &id);
}

int64_t due_mono(int64_t wall_ns, const struct moment *at)
{
	if (wall_ns == PART_NEVER) {
		return PART_NEVER;
	}
	return wall_ns > at->wall_ns ? at->mono_ns + (wall_ns - at->wall_ns) : at->mono_ns;
}

struct uuid job_ref(const char *key, size_t len)
{
	XXH128_hash_t hash = XXH3_128bits(key, len);
	struct uuid ref;

	memcpy(ref.at, &hash.low64, 8);
	memcpy(ref.at + 8, &hash.high64, 8);
	return ref;
}
