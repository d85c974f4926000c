/* What stands in logs and snapshots is known by its place: fields of payloads and blobs by their number, commands,
 * tables and statuses too. stored_order.h holds them all as they were: it may only grow, at the end of a line.
 * `test_stored_order --print` writes the lines as they are now. */
#include "test/unit/unit.h"

#include "raft/command.h"
#include "raft/table.h"

static const char *const pinned[] = {
#include "test/unit/raft/stored_order.h"
};

enum { PINNED = sizeof(pinned) / sizeof(pinned[0]) };

/* Payloads, what only they hold, and the blobs of rows. Those of proto/ have a test of their own. */
#define PARTS(X)                                                                                                       \
	X(job_name)                                                                                                    \
	X(id_ref) X(alloc_report) X(alloc_transition) X(plan_group) X(plan_metrics) X(plan_place) X(plan_change)       \
		X(deployment_update) X(job_extra) X(alloc_server) X(alloc_reported) X(node_extra) X(service_tags) X(variable_rekey)

static const struct type *const types[] = {
#define X(id, payload) &payload##_type,
	COMMAND_LIST(X)
#undef X
#define X(part) &part##_type,
		PARTS(X)
#undef X
};

enum { TYPES = sizeof(types) / sizeof(types[0]) };

static void write_type(struct buf *b, const struct type *t)
{
	uint16_t i;

	buf_printf(b, "%s:", t->name);
	for (i = 0; i < t->n; i++) {
		buf_printf(b, " %s/%d", t->fields[i].name, t->fields[i].kind);
	}
}

static void write_commands(struct buf *b)
{
	buf_str(b, "commands:");
#define X(id, payload) buf_str(b, " " #id "/" #payload);
	COMMAND_LIST(X)
#undef X
}

static void write_tables(struct buf *b)
{
	unsigned i;

	buf_str(b, "tables:");
	for (i = 0; i < N_TABLES; i++) {
		buf_printf(b, " %s/%u/%u", table_name((enum table)i), tables[i].plain, tables[i].n_blobs);
	}
}

#define STATUSES(X)                                                                                                    \
	X(eval_status, EVAL_STATUS)                                                                                    \
	X(alloc_desired, ALLOC_DESIRED) X(alloc_client, ALLOC_CLIENT) X(job_type, JOB_TYPE) X(job_status, JOB_STATUS)  \
		X(eval_trigger, EVAL_TRIGGER) X(node_status, NODE_STATUS) X(deployment_status, DEPLOYMENT_STATUS)

static void write_statuses(struct buf *b)
{
	int i;

	buf_str(b, "statuses:");
#define X(name, NAME)                                                                                                  \
	for (i = 0; i < NAME##_COUNT; i++) {                                                                           \
		buf_printf(b, " %s", name##_text(i));                                                                  \
	}                                                                                                              \
	buf_str(b, ",");
	STATUSES(X)
#undef X
}

/* The line of that number. */
static const char *line(struct buf *b, unsigned n)
{
	static void (*const others[])(struct buf *) = {write_commands, write_tables, write_statuses};

	b->len = 0;
	if (n < TYPES) {
		write_type(b, types[n]);
	} else {
		others[n - TYPES](b);
	}
	return buf_text(b);
}

enum { LINES = TYPES + 3 };

static const char *pinned_as(const char *text)
{
	size_t n = strcspn(text, ":") + 1;
	int i;

	for (i = 0; i < PINNED; i++) {
		if (strncmp(pinned[i], text, n) == 0) {
			return pinned[i];
		}
	}
	return "nothing";
}

static void nothing_that_is_stored_has_changed_its_place(void **state)
{
	struct buf b = {0};
	unsigned i;

	(void)state;
	for (i = 0; i < LINES; i++) {
		const char *now = line(&b, i);

		if (strcmp(pinned_as(now), now) != 0) {
			fail_msg("stored_order.h has\n%s\nthe program has\n%s", pinned_as(now), now);
		}
	}
	buf_close(&b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_that_is_stored_has_changed_its_place),
	};
	struct buf b = {0};
	unsigned i;

	if (argc == 2 && strcmp(argv[1], "--print") == 0) {
		for (i = 0; i < LINES; i++) {
			printf("\"%s\",\n", line(&b, i));
		}
		buf_close(&b);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
