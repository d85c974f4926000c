#include "server/leader_parts.h"

#include "lib/log.h"

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* What happened before is not known: until the last change of anything that matters, all may have become free. */
static uint64_t last_change(const struct view *v)
{
	return later(later(state_table_index(v, TABLE_ALLOCS), state_table_index(v, TABLE_NODES)),
		     later(state_table_index(v, TABLE_CONFIGS), state_table_index(v, TABLE_NODE_POOLS)));
}

void load_begin(struct leader *l, const struct view *v)
{
	l->load = LOAD_nodes;
	l->load_at.len = 0;
	blocked_all(&l->blocked, last_change(v));
	load_config(l, v);
}

void load_config(struct leader *l, const struct view *v)
{
	struct scheduler_config config;

	if (state_scheduler_config(v, &config, &l->mem) == 0) {
		if (l->broker.paused != config.pause_eval_broker) {
			log_info("leader", "evaluations are %s", config.pause_eval_broker ? "paused" : "not paused");
		}
		broker_pause(&l->broker, config.pause_eval_broker);
	}
	arena_close(&l->mem);
}

/* ---- one row of each table ---- */

static void open_nodes(struct rows *r, const struct view *v)
{
	rows_nodes(r, v, NULL);
}

static struct tree_key load_nodes(struct leader *l, const struct row *r, const struct moment *at)
{
	const struct node_row *row = (const struct node_row *)r;

	heartbeat_load(&l->heartbeat, row, at);
	drain_load(&l->drain, row, at);
	return (struct tree_key){&row->id, sizeof(row->id)};
}

static void open_evals(struct rows *r, const struct view *v)
{
	rows_evals(r, v, NULL);
}

static struct tree_key load_evals(struct leader *l, const struct row *r, const struct moment *at)
{
	const struct eval_row *row = (const struct eval_row *)r;

	evals_put(l, row, at);
	return (struct tree_key){&row->id, sizeof(row->id)};
}

static void open_deployments(struct rows *r, const struct view *v)
{
	rows_deployments(r, v, NULL);
}

static struct tree_key load_deployments(struct leader *l, const struct row *r, const struct moment *at)
{
	const struct deployment_row *row = (const struct deployment_row *)r;

	deploy_load(&l->deploy, row, at);
	return (struct tree_key){&row->id, sizeof(row->id)};
}

static void open_jobs(struct rows *r, const struct view *v)
{
	rows_jobs(r, v, NULL, NULL);
}

static struct tree_key load_jobs(struct leader *l, const struct row *r, const struct moment *at)
{
	const struct job_row *row = (const struct job_row *)r;

	(void)at;
	periodic_load(&l->periodic, row);
	return (struct tree_key){row->key, (size_t)row->ns_len + row->id_len + 2};
}

static const struct {
	void (*open)(struct rows *r, const struct view *v);
	struct tree_key (*load)(struct leader *l, const struct row *row,
				const struct moment *at); /* Returns its key. */
} loads[] = {
#define X(table) [LOAD_##table] = {open_##table, load_##table},
	LEADER_LOADS(X)
#undef X
};

/* ---- a slice ---- */

static void next_table(struct leader *l)
{
	l->load++;
	l->load_at.len = 0;
	if (l->load == LOAD_DONE) {
		log_info("leader", "%zu nodes, %zu evaluations, %zu blocked ones, %zu deployments, %zu periodic jobs",
			 heartbeat_active(&l->heartbeat), l->broker.by_id.n, l->blocked.by_id.n,
			 deploy_active(&l->deploy), l->periodic.by_key.n);
	}
}

/* The row where a slice ends is loaded with it and again with the next, which is as good as once. */
void load_step(struct leader *l, const struct view *v, const struct moment *at)
{
	unsigned budget = LEADER_LOAD_ROWS;
	const struct row *row;
	struct tree_key key;
	struct rows r;

	if (l->load == LOAD_DONE) {
		return;
	}
	loads[l->load].open(&r, v);
	if (l->load_at.len > 0) {
		rows_seek(&r, l->load_at.key, l->load_at.len);
	}
	while ((row = rows_next(&r)) != NULL) {
		key = loads[l->load].load(l, row, at);
		if (budget-- == 0) {
			memcpy(l->load_at.key, key.at, key.len);
			l->load_at.len = key.len;
			return;
		}
	}
	next_table(l);
}
