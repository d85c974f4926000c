#include "cli/monitor.h"

#include <string.h>
#include <time.h>

#include "cli/format.h"
#include "cli/show.h"

enum { MAX_SEEN = 1000, FIRST_PAUSE_MS = 100, LAST_PAUSE_MS = 1000 };

/* An allocation that has been told of. */
struct seen {
	char id[37];
	char status[16];
};

struct monitor {
	struct client *c;
	bool verbose;
	char status[32]; /* The evaluation's; "" before the first answer. */
	bool told_deployment;
	struct seen seen[MAX_SEEN]; /* Further ones are not told of. */
	unsigned n_seen;
};

static const char *id_text(const struct monitor *m, const char *id)
{
	return format_id(m->c->mem, id, m->verbose);
}

static void put_time(const struct monitor *m, bool heading)
{
	printf("%s%s: ", heading ? "==> " : "    ", format_time(m->c->mem, format_now()));
}

static void tell_eval(struct monitor *m, const struct evaluation *e)
{
	if (m->status[0] == '\0') {
		put_time(m, false);
		printf(e->node_id[0] != '\0' ? "Evaluation triggered by node \"%s\"\n"
					     : "Evaluation triggered by job \"%s\"\n",
		       e->node_id[0] != '\0' ? id_text(m, e->node_id) : format_clean(m->c->mem, e->job_id));
	} else if (strcmp(m->status, e->status) != 0) {
		put_time(m, false);
		printf("Evaluation status changed: \"%s\" -> \"%s\"\n", m->status, e->status);
	}
	if (e->deployment_id[0] != '\0' && !m->told_deployment) {
		put_time(m, false);
		printf("Evaluation within deployment: \"%s\"\n", id_text(m, e->deployment_id));
		m->told_deployment = true;
	}
	snprintf(m->status, sizeof(m->status), "%s", e->status);
}

static struct seen *find_seen(struct monitor *m, const char *id)
{
	unsigned i;

	for (i = 0; i < m->n_seen; i++) {
		if (strcmp(m->seen[i].id, id) == 0) {
			return &m->seen[i];
		}
	}
	return NULL;
}

static void tell_new(struct monitor *m, const struct alloc_stub *a)
{
	if (m->n_seen == MAX_SEEN) {
		return;
	}
	snprintf(m->seen[m->n_seen].id, sizeof(m->seen[0].id), "%s", a->id);
	snprintf(m->seen[m->n_seen].status, sizeof(m->seen[0].status), "%s", a->client_status);
	m->n_seen++;
	put_time(m, false);
	printf("Allocation \"%s\" %s: node \"%s\", group \"%s\"\n", id_text(m, a->id),
	       a->create_index < a->modify_index && a->create_time != a->modify_time ? "modified" : "created",
	       id_text(m, a->node_id), a->task_group);
}

static void tell_alloc(struct monitor *m, const struct alloc_stub *a)
{
	struct seen *seen = find_seen(m, a->id);

	if (seen == NULL) {
		tell_new(m, a);
	} else if (strcmp(seen->status, a->client_status) != 0) {
		put_time(m, false);
		printf("Allocation \"%s\" status changed: \"%s\" -> \"%s\"%s%s%s\n", id_text(m, a->id), seen->status,
		       a->client_status, a->client_description[0] != '\0' ? " (" : "",
		       format_clean(m->c->mem, a->client_description), a->client_description[0] != '\0' ? ")" : "");
		snprintf(seen->status, sizeof(seen->status), "%s", a->client_status);
	}
}

static bool is_final(const char *status)
{
	return strcmp(status, "complete") == 0 || strcmp(status, "failed") == 0 || strcmp(status, "canceled") == 0;
}

static int tell_end(struct monitor *m, const struct evaluation *e)
{
	bool complete = strcmp(e->status, "complete") == 0;

	put_time(m, true);
	printf("Evaluation \"%s\" finished with status \"%s\"%s\n", id_text(m, e->id), e->status,
	       e->failed_tg_allocs.n > 0 ? " but failed to place all allocations:" : "");
	show_failures(stdout, e, 4);
	if (!complete && e->status_description[0] != '\0') {
		printf("    %s\n", format_clean(m->c->mem, e->status_description));
	}
	if (e->blocked_eval[0] != '\0') {
		put_time(m, false);
		printf("Evaluation \"%s\" waiting for additional capacity to place remainder\n",
		       id_text(m, e->blocked_eval));
	}
	return !complete ? EXIT_ERROR : e->failed_tg_allocs.n > 0 ? EXIT_UNPLACED : EXIT_OK;
}

/* One look at the evaluation and its allocations; the evaluation is left in *e. */
static bool look(struct monitor *m, const char *id, struct evaluation *e)
{
	struct alloc_stubs allocs;
	uint32_t i;

	client_url(m->c, "/v1/evaluation/%s", id);
	if (!client_read(m->c, "reading evaluation", &evaluation_type, e)) {
		return false;
	}
	tell_eval(m, e);
	client_url(m->c, "/v1/evaluation/%s/allocations", id);
	if (!client_read_list(m->c, "reading allocations", &alloc_stubs_type, &allocs)) {
		return false;
	}
	for (i = 0; i < allocs.items.n; i++) {
		tell_alloc(m, &allocs.items.at[i]);
	}
	fflush(stdout);
	return true;
}

static void pause_ms(long ms)
{
	const struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&span, NULL);
}

/* Each look has an arena of its own, for a monitor may run for days. */
static int watch(struct monitor *m, const char *id)
{
	struct arena *outer = m->c->mem;
	long pause = FIRST_PAUSE_MS;
	int code = -1;

	while (code < 0) {
		struct arena turn = {0};
		struct evaluation e;

		m->c->mem = &turn;
		if (!look(m, id, &e)) {
			code = EXIT_ERROR;
		} else if (is_final(e.status)) {
			code = tell_end(m, &e);
		}
		arena_close(&turn);
		if (code < 0) {
			pause_ms(pause);
			pause = pause * 2 < LAST_PAUSE_MS ? pause * 2 : LAST_PAUSE_MS;
		}
	}
	m->c->mem = outer;
	return code;
}

int monitor_eval(struct client *c, const char *id, bool verbose)
{
	struct monitor *m = arena_calloc(c->mem, 1, sizeof(*m));

	if (m == NULL) {
		fprintf(stderr, "Error: out of memory\n");
		return EXIT_ERROR;
	}
	m->c = c;
	m->verbose = verbose;
	put_time(m, true);
	printf("Monitoring evaluation \"%s\"\n", id_text(m, id));
	return watch(m, id);
}
