#include "test/unit/client/world.h"

static int setup(void **state)
{
	static struct world w;

	world_open(&w);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	world_close(*state);
	return 0;
}

static void begin(struct world *w, struct watched *x, const char *config)
{
	struct driver_spec spec = world_spec(w, config);

	world_begin(w, x, "mock_driver", &spec);
}

static void it_runs_for_its_time_and_exits_as_told(void **state)
{
	struct world *w = *state;
	struct watched x;
	int64_t began = world_now_ns(CLOCK_MONOTONIC);

	begin(w, &x, "{\"run_for\":\"200ms\",\"exit_code\":3,\"exit_signal\":\"9\",\"exit_err_msg\":\"oops\"}");
	assert_true(world_run(w, &x.started, 100));
	assert_true(world_run(w, &x.exited, 2000));
	assert_true(world_now_ns(CLOCK_MONOTONIC) - began >= 199000000);
	assert_int_equal(x.exit.code, 3);
	assert_int_equal(x.exit.signal, 9);
	assert_string_equal(x.exit.error, "oops");
	world_forget(w, &x);
}

static void start_errors_are_as_told(void **state)
{
	struct world *w = *state;
	struct watched x;

	begin(w, &x, "{\"start_error\":\"no luck\",\"start_error_recoverable\":true}");
	assert_true(world_run(w, &x.failed, 1000));
	assert_string_equal(x.error.text, "no luck");
	assert_true(x.error.recoverable);
	world_forget(w, &x);
	begin(w, &x, "{\"start_error\":\"never\",\"start_block_for\":\"150ms\"}");
	assert_false(world_run(w, &x.failed, 100));
	assert_true(world_run(w, &x.failed, 1000));
	assert_false(x.error.recoverable);
	world_forget(w, &x);
	begin(w, &x, "{\"run_fro\":\"1s\"}");
	assert_true(world_run(w, &x.failed, 1000));
	assert_non_null(strstr(x.error.text, "\"run_fro\""));
	world_forget(w, &x);
}

static void a_kill_ends_it_after_its_grace_or_the_timeout(void **state)
{
	struct world *w = *state;
	struct watched x;

	begin(w, &x, "{\"run_for\":\"1h\"}");
	assert_true(world_run(w, &x.started, 1000));
	driver_kill(x.task, NULL, 5000000000);
	assert_true(world_run(w, &x.exited, 1000));
	world_forget(w, &x);
	begin(w, &x, "{\"run_for\":\"1h\",\"kill_after\":\"1h\"}");
	assert_true(world_run(w, &x.started, 1000));
	driver_kill(x.task, NULL, 150000000);
	assert_false(world_run(w, &x.exited, 100));
	assert_true(world_run(w, &x.exited, 1000));
	world_forget(w, &x);
	begin(w, &x, "{\"run_for\":\"1h\",\"start_block_for\":\"50ms\"}");
	driver_kill(x.task, NULL, 0);
	assert_true(world_run(w, &x.exited, 1000));
	world_forget(w, &x);
}

static void output_is_written_as_often_as_told(void **state)
{
	struct world *w = *state;
	struct watched x;
	char text[64];

	begin(w, &x,
	      "{\"run_for\":\"150ms\",\"stdout_string\":\"hi\\n\",\"stdout_repeat\":2,"
	      "\"stdout_repeat_duration\":\"20ms\"}");
	assert_true(world_run(w, &x.exited, 2000));
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "hi\nhi\nhi\n");
	world_forget(w, &x);
}

static void signals_are_answered_as_told(void **state)
{
	struct world *w = *state;
	struct watched x;

	begin(w, &x, "{\"run_for\":\"1h\",\"signal_error\":\"deaf\"}");
	assert_true(world_run(w, &x.started, 1000));
	assert_int_equal(driver_signal(x.task, "SIGHUP", world_answered, &x), 0);
	assert_int_equal(driver_stats(x.task, world_measured, &x), 0);
	assert_false(x.answered || x.measured);
	assert_true(world_run(w, &x.answered, 1000));
	assert_false(x.answer_ok);
	assert_true(world_run(w, &x.measured, 1000));
	assert_int_equal(driver_signal(x.task, "SIGHUP", NULL, NULL), 0);
	world_forget(w, &x);
}

static void it_is_found_again_with_its_time_gone_on(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct watched y;
	struct buf b = {0};

	begin(w, &x, "{\"run_for\":\"300ms\",\"exit_code\":4}");
	assert_true(world_run(w, &x.started, 1000));
	driver_save(x.task, &b);
	driver_detach(x.task);
	world_run(w, NULL, 100);
	memset(&y, 0, sizeof(y));
	y.task = driver_recover(w->host, driver_find("mock_driver"), b.at, b.len, &world_events, &y);
	assert_true(world_run(w, &y.started, 100));
	assert_false(world_run(w, &y.exited, 50));
	assert_true(world_run(w, &y.exited, 1000));
	assert_int_equal(y.exit.code, 4);
	world_forget(w, &y);
	memset(&y, 0, sizeof(y));
	y.task = driver_recover(w->host, driver_find("mock_driver"), "junk", 4, &world_events, &y);
	assert_true(world_run(w, &y.failed, 1000));
	world_forget(w, &y);
	buf_close(&b);
	assert_false(x.exited);
}

static void drivers_are_listed_by_name(void **state)
{
	const struct driver *before = NULL;
	const struct driver *d;
	unsigned i;

	(void)state;
	for (i = 0; (d = driver_at(i)) != NULL; i++) {
		assert_ptr_equal(driver_find(d->name), d);
		assert_true(before == NULL || strcmp(before->name, d->name) < 0);
		assert_int_not_equal(driver_signal_number(d->kill_signal), 0);
		before = d;
	}
	assert_true(i >= 2);
	assert_null(driver_find("docker?"));
}

static void signals_have_names(void **state)
{
	(void)state;
	assert_int_equal(driver_signal_number("SIGHUP"), SIGHUP);
	assert_int_equal(driver_signal_number("hup"), SIGHUP);
	assert_int_equal(driver_signal_number("SIGNOPE"), 0);
	assert_int_equal(driver_signal_number(""), 0);
	assert_string_equal(driver_signal_name(SIGTERM), "SIGTERM");
	assert_string_equal(driver_signal_name(1000), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(it_runs_for_its_time_and_exits_as_told),
		T(start_errors_are_as_told),
		T(a_kill_ends_it_after_its_grace_or_the_timeout),
		T(output_is_written_as_often_as_told),
		T(signals_are_answered_as_told),
		T(it_is_found_again_with_its_time_gone_on),
		T(drivers_are_listed_by_name),
		T(signals_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
