#include "server/expiry.h"

#define TOKEN_AGE_NS (60 * NS_PER_MIN)

void expiry_init(struct expiry *e, const struct expiry_config *config)
{
	*e = (struct expiry){.config = *config, .next_ns = PART_NEVER};
	if (e->config.token_age_ns == 0) {
		e->config.token_age_ns = TOKEN_AGE_NS;
	}
}

void expiry_reset(struct expiry *e, const struct moment *at)
{
	expiry_init(e, &(struct expiry_config){e->config.token_age_ns});
	e->next_ns = at->mono_ns;
}

void expiry_force(struct expiry *e, const struct moment *at)
{
	e->forced = true;
	e->next_ns = at->mono_ns;
}

void expiry_changed(struct expiry *e, const struct moment *at)
{
	e->next_ns = at->mono_ns;
}

static struct acl_id id_of(const struct uuid *id)
{
	return (struct acl_id){uuid_bytes(id)};
}

static int64_t later(int64_t ns, int64_t age_ns)
{
	int64_t sum;

	return __builtin_add_overflow(ns, age_ns, &sum) ? PART_NEVER : sum;
}

/* Tokens that are to go; the wall time at which the next one is. */
static int64_t find_tokens(const struct expiry *e, struct turn *turn, struct acl_expire *p)
{
	int64_t age_ns = e->forced ? 0 : e->config.token_age_ns;
	const struct acl_token_row *row;
	struct rows r;

	p->tokens.at = turn_need(turn, EXPIRY_BATCH, sizeof(*p->tokens.at));
	rows_expiring_tokens(&r, turn->v);
	while ((row = acl_token_next(&r)) != NULL) {
		int64_t end_ns = later(acl_token_row_expiry(row), age_ns);

		if (p->tokens.n == EXPIRY_BATCH || end_ns > turn->at->wall_ns) {
			return end_ns;
		}
		p->tokens.at[p->tokens.n++] = id_of(&row->accessor);
	}
	return PART_NEVER;
}

static int64_t find_once(struct turn *turn, struct acl_expire *p)
{
	const struct acl_once_row *row;
	struct rows r;

	p->once.at = turn_need(turn, EXPIRY_BATCH, sizeof(*p->once.at));
	rows_expiring_once(&r, turn->v);
	while ((row = acl_once_next(&r)) != NULL) {
		int64_t end_ns = acl_once_row_expiry(row);

		if (p->once.n == EXPIRY_BATCH || end_ns > turn->at->wall_ns) {
			return end_ns;
		}
		p->once.at[p->once.n++] = id_of(&row->accessor);
	}
	return PART_NEVER;
}

/* Nothing is over now. What was forced ends with that; the age counts again. */
static enum part_step rest(struct expiry *e, int64_t next_wall_ns, const struct moment *at)
{
	e->next_ns = e->forced ? at->mono_ns : due_mono(next_wall_ns, at);
	return e->forced ? STEP_MORE : STEP_IDLE;
}

enum part_step expiry_step(struct expiry *e, struct turn *turn)
{
	struct acl_expire p = {.tokens = {NULL, 0}};
	enum part_step step;
	int64_t token_ns;
	int64_t once_ns;

	if (e->pending || e->next_ns > turn->at->mono_ns) {
		return STEP_IDLE;
	}
	token_ns = find_tokens(e, turn, &p);
	once_ns = find_once(turn, &p);
	if (p.tokens.n + p.once.n == 0) {
		step = rest(e, token_ns < once_ns ? token_ns : once_ns, turn->at);
		e->forced = false;
		return step;
	}
	step = turn_command(turn, COMMAND_ACL_EXPIRE, &p, &(struct uuid){{0}});
	e->pending = step == STEP_COMMAND;
	return step;
}

void expiry_done(struct expiry *e, const struct uuid *ref, int status, const struct moment *at)
{
	(void)ref;
	e->pending = false;
	e->next_ns = status != 0 ? at->mono_ns + PART_RETRY_NS : at->mono_ns;
}

int64_t expiry_due(const struct expiry *e, const struct moment *at)
{
	(void)at;
	return e->pending ? PART_NEVER : e->next_ns;
}
