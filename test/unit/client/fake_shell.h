/**
 * A shell without anything under it, for tests of the alloc runner: it notes the effects asked for, and the test
 * answers them when and how it likes. Time stands still unless the test moves it.
 */
#ifndef TEST_UNIT_CLIENT_FAKE_SHELL_H_
#define TEST_UNIT_CLIENT_FAKE_SHELL_H_

#include "test/unit/unit.h"

#include "client/alloc_runner.h"
#include "lib/list.h"

enum { FAKE_TASKS = 8 };

struct fake_task {
	bool adopting, preparing, starting; /* An answer is due. */
	bool alive;                         /* As the driver sees it. */
	bool killing;
	bool canceled;
	int64_t kill_timeout_ns;
	char kill_signal[16];
	char signal[16]; /* The last one sent. */
	unsigned starts;
};

struct fake {
	struct alloc_runner ar;
	struct moment now;
	bool previous_due, setup_due;
	unsigned changes;
	struct fake_task tasks[FAKE_TASKS];
};

static inline struct fake *fake_of(struct alloc_runner *ar)
{
	return CONTAINER_OF(ar, struct fake, ar);
}

static inline struct fake_task *fake_task_of(struct task_runner *tr)
{
	return &fake_of(tr->alloc)->tasks[tr - tr->alloc->tasks];
}

static inline void fake_await(struct alloc_runner *ar)
{
	assert_false(fake_of(ar)->previous_due);
	fake_of(ar)->previous_due = true;
}

static inline void fake_setup(struct alloc_runner *ar)
{
	assert_false(fake_of(ar)->setup_due);
	fake_of(ar)->setup_due = true;
}

static inline void fake_idle(const struct fake_task *t)
{
	assert_false(t->adopting || t->preparing || t->starting);
}

static inline void fake_adopt(struct task_runner *tr)
{
	fake_idle(fake_task_of(tr));
	fake_task_of(tr)->adopting = true;
}

static inline void fake_prepare(struct task_runner *tr)
{
	struct fake_task *t = fake_task_of(tr);

	fake_idle(t);
	assert_false(t->alive);
	t->preparing = true;
	t->canceled = false;
}

static inline void fake_cancel(struct task_runner *tr, bool now)
{
	(void)now;
	assert_true(fake_task_of(tr)->preparing || fake_task_of(tr)->starting);
	fake_task_of(tr)->canceled = true;
}

static inline void fake_start(struct task_runner *tr)
{
	struct fake_task *t = fake_task_of(tr);

	fake_idle(t);
	assert_false(t->alive);
	t->starting = true;
	t->starts++;
}

static inline void fake_kill(struct task_runner *tr, const char *signal, int64_t timeout_ns)
{
	struct fake_task *t = fake_task_of(tr);

	assert_true(t->alive);
	t->killing = true;
	t->kill_timeout_ns = timeout_ns;
	snprintf(t->kill_signal, sizeof(t->kill_signal), "%s", signal);
}

static inline void fake_signal(struct task_runner *tr, const char *signal)
{
	assert_true(fake_task_of(tr)->alive);
	snprintf(fake_task_of(tr)->signal, sizeof(fake_task_of(tr)->signal), "%s", signal);
}

static inline void fake_changed(struct alloc_runner *ar)
{
	fake_of(ar)->changes++;
}

static const struct alloc_ops fake_ops = {
        .await_previous = fake_await,
        .setup = fake_setup,
        .adopt = fake_adopt,
        .prepare = fake_prepare,
        .cancel = fake_cancel,
        .start = fake_start,
        .kill = fake_kill,
        .signal = fake_signal,
        .changed = fake_changed,
};

/* An allocation from the JSON text of its specification. */
static inline struct alloc_spec *fake_spec(const char *json)
{
	struct alloc_source *source = alloc_source_new();
	struct allocation alloc;
	struct alloc_spec *spec;
	struct fault fault;

	if (json_decode(&allocation_type, &alloc, json, strlen(json), &source->mem, &fault) != 0) {
		fail_msg("%s: %s in %s", fault.path, fault.why, json);
	}
	spec = alloc_spec_make(&alloc, source);
	assert_non_null(spec);
	alloc_source_unref(source);
	return spec;
}

/* The JSON of an allocation of one group. `more` are members of the allocation, `group` of the group. */
static inline char *fake_json(const char *type, const char *desired, const char *more, const char *group,
                              const char *tasks)
{
	struct buf b = {0};

	buf_printf(&b,
	           "{\"ID\":\"a1\",\"Name\":\"j.g[3]\",\"JobID\":\"j\",\"TaskGroup\":\"g\",\"DesiredStatus\":\"%s\"%s,"
	           "\"Job\":{\"ID\":\"j\",\"Name\":\"job name\",\"Type\":\"%s\",\"TaskGroups\":[{\"Name\":\"g\"%s,\"Tasks\":[%s]}]}}",
	           desired, more, type, group, tasks);
	(void)buf_text(&b);
	return b.at;
}

static inline struct alloc_spec *fake_spec_of(const char *type, const char *more, const char *group, const char *tasks)
{
	char *json = fake_json(type, "run", more, group, tasks);
	struct alloc_spec *spec = fake_spec(json);

	free(json);
	return spec;
}

static inline void fake_open(struct fake *f, struct alloc_spec *spec)
{
	*f = (struct fake){.now = {.mono_ns = 50 * NS_PER_S, .wall_ns = 1700000000 * NS_PER_S}};
	assert_int_equal(alloc_runner_init(&f->ar, &fake_ops, spec, 30 * NS_PER_S, &f->now), 0);
	alloc_spec_unref(spec);
}

static inline void fake_sleep(struct fake *f, int64_t ns)
{
	f->now.mono_ns += ns;
	f->now.wall_ns += ns;
	if (f->ar.due_ns != 0 && f->now.mono_ns >= f->ar.due_ns) {
		alloc_runner_wake(&f->ar, &f->now);
	}
}

static inline void fake_set_up(struct fake *f)
{
	if (f->previous_due) {
		f->previous_due = false;
		alloc_runner_previous_ended(&f->ar, &f->now);
	}
	if (f->setup_due) {
		f->setup_due = false;
		alloc_runner_set_up(&f->ar, NULL, &f->now);
	}
}

static inline void fake_prepared(struct fake *f, uint32_t i, const struct task_failure *failure)
{
	assert_true(f->tasks[i].preparing);
	f->tasks[i].preparing = false;
	alloc_runner_prepared(&f->ar.tasks[i], failure, &f->now);
}

static inline void fake_started(struct fake *f, uint32_t i, const struct task_failure *failure)
{
	assert_true(f->tasks[i].starting);
	f->tasks[i].starting = false;
	f->tasks[i].alive = failure == NULL;
	alloc_runner_started(&f->ar.tasks[i], failure, &f->now);
}

static inline void fake_exit(struct fake *f, uint32_t i, int code, int signal)
{
	struct task_exit end = {.code = code, .signal = signal, .error = "", .finished_ns = f->now.wall_ns};

	assert_true(f->tasks[i].alive);
	f->tasks[i].alive = false;
	f->tasks[i].killing = false;
	alloc_runner_exited(&f->ar.tasks[i], &end, &f->now);
}

/* Answer kindly until nothing is asked for any more; kills work at once. */
static inline void fake_serve(struct fake *f)
{
	bool did = true;
	uint32_t i;

	while (did) {
		did = f->previous_due || f->setup_due;
		fake_set_up(f);
		for (i = 0; i < f->ar.n; i++) {
			struct fake_task *t = &f->tasks[i];

			if (t->preparing) {
				fake_prepared(f, i, NULL);
			} else if (t->starting) {
				fake_started(f, i, NULL);
			} else if (t->killing) {
				fake_exit(f, i, 130, 2);
			} else {
				continue;
			}
			did = true;
		}
	}
}

#endif /* TEST_UNIT_CLIENT_FAKE_SHELL_H_ */
