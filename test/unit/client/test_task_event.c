#include "test/unit/unit.h"

#include "client/task_event.h"

static struct arena mem;

static struct task_event render(struct task_record r)
{
	struct task_event e;

	assert_int_equal(task_record_render(&r, &e, &mem), 0);
	return e;
}

static const char *detail(const struct task_event *e, const char *key)
{
	uint32_t i;

	for (i = 0; i < e->details.n; i++) {
		assert_true(i == 0 || strcmp(e->details.at[i - 1].key, e->details.at[i].key) < 0);
		if (strcmp(e->details.at[i].key, key) == 0) {
			return e->details.at[i].value;
		}
	}
	return NULL;
}

static void every_kind_has_a_type_and_a_sentence(void **state)
{
	char text[] = "why";
	int i;

	(void)state;
	for (i = 0; i < TASK_EVENT_COUNT; i++) {
		struct task_event e = render((struct task_record){.kind = (uint8_t)i, .text = text, .time_ns = 7});

		assert_string_equal(e.type, task_record_type((enum task_event_kind)i));
		assert_string_not_equal(e.type, "");
		assert_string_not_equal(e.display_message, "");
		assert_int_equal(e.time, 7);
	}
}

static void a_termination_tells_code_signal_and_message(void **state)
{
	struct task_event e = render((struct task_record){.kind = TASK_EVENT_TERMINATED, .exit_code = 137, .signal = 9});
	char text[] = "lost sight";

	(void)state;
	assert_string_equal(e.display_message, "Exit Code: 137, Signal: 9");
	assert_int_equal(e.exit_code, 137);
	assert_int_equal(e.signal, 9);
	assert_string_equal(detail(&e, "exit_code"), "137");
	assert_string_equal(detail(&e, "signal"), "9");
	assert_string_equal(detail(&e, "oom_killed"), "false");
	assert_null(detail(&e, "exit_message"));
	e = render((struct task_record){.kind = TASK_EVENT_TERMINATED, .text = text, .oom_killed = true});
	assert_string_equal(e.display_message, "Exit Code: 0, Exit Message: \"lost sight\"");
	assert_string_equal(e.message, "lost sight");
	assert_string_equal(detail(&e, "exit_message"), "lost sight");
	assert_string_equal(detail(&e, "oom_killed"), "true");
}

static void a_restart_tells_its_delay_and_a_reason_that_is_not_the_usual(void **state)
{
	char usual[] = "Restart within policy";
	char other[] = "Exceeded allowed attempts, applying a delay";
	struct task_event e =
	        render((struct task_record){.kind = TASK_EVENT_RESTARTING, .duration_ns = 1500000000, .text = usual});

	(void)state;
	assert_string_equal(e.display_message, "Task restarting in 1.5s");
	assert_string_equal(e.restart_reason, usual);
	assert_int_equal(e.start_delay, 1500000000);
	assert_string_equal(detail(&e, "start_delay"), "1500000000");
	assert_string_equal(detail(&e, "restart_reason"), usual);
	e = render((struct task_record){.kind = TASK_EVENT_RESTARTING, .text = other});
	assert_string_equal(e.display_message, "Exceeded allowed attempts, applying a delay - Task restarting in 0s");
	e = render((struct task_record){.kind = TASK_EVENT_RESTARTING});
	assert_string_equal(e.display_message, "Task restarting in 0s");
	assert_string_equal(detail(&e, "restart_reason"), "");
}

static void a_kill_tells_its_timeout_or_reason(void **state)
{
	char why[] = "max_run_duration exceeded";
	struct task_event e = render((struct task_record){.kind = TASK_EVENT_KILLING, .duration_ns = 3000000000});

	(void)state;
	assert_string_equal(e.display_message, "Sent interrupt. Waiting 3s before force killing");
	assert_int_equal(e.kill_timeout, 3000000000);
	assert_string_equal(detail(&e, "kill_timeout"), "3s");
	e = render((struct task_record){.kind = TASK_EVENT_KILLING});
	assert_string_equal(e.display_message, "Sent interrupt");
	assert_string_equal(detail(&e, "kill_timeout"), "0s");
	e = render((struct task_record){.kind = TASK_EVENT_KILLING, .text = why, .fails_task = true});
	assert_string_equal(e.display_message, "max_run_duration exceeded");
	assert_string_equal(e.kill_reason, why);
	assert_true(e.fails_task);
	assert_string_equal(detail(&e, "fails_task"), "true");
}

static void texts_go_to_the_field_of_their_kind(void **state)
{
	char text[] = "some text";
	struct task_event e = render((struct task_record){.kind = TASK_EVENT_SIBLING_FAILED, .text = text});

	(void)state;
	assert_string_equal(e.failed_sibling, text);
	assert_string_equal(e.display_message, "Task's sibling \"some text\" failed");
	e = render((struct task_record){.kind = TASK_EVENT_DRIVER_FAILURE, .text = text});
	assert_string_equal(e.driver_error, text);
	assert_string_equal(e.display_message, text);
	e = render((struct task_record){.kind = TASK_EVENT_SIGNALING, .text = text});
	assert_string_equal(detail(&e, "signal"), text);
	assert_string_equal(e.display_message, "Task being sent a signal");
	e = render((struct task_record){.kind = TASK_EVENT_VALIDATION_FAILED, .text = text});
	assert_string_equal(e.validation_error, text);
	e = render((struct task_record){.kind = TASK_EVENT_RECEIVED});
	assert_string_equal(e.display_message, "Task received by client");
	assert_int_equal(e.details.n, 0);
}

static void the_latest_ten_are_kept_in_the_order_of_their_times(void **state)
{
	struct task_log log = {.n = 0};
	char text[16];
	int i;

	(void)state;
	for (i = 0; i < 25; i++) {
		snprintf(text, sizeof(text), "%d", i);
		task_log_add(&log, (struct task_record){.kind = TASK_EVENT_DRIVER_MESSAGE, .time_ns = 100 - i, .text = text});
	}
	assert_int_equal(log.n, TASK_EVENTS_KEPT);
	assert_string_equal(log.at[0].text, "15");
	assert_string_equal(log.at[9].text, "24");
	for (i = 0; i < 10; i++) {
		assert_int_equal(log.at[i].time_ns, 100);
	}
	assert_ptr_equal(task_log_last(&log, TASK_EVENT_DRIVER_MESSAGE), &log.at[9]);
	assert_null(task_log_last(&log, TASK_EVENT_KILLED));
	task_log_close(&log);
}

static int release(void **state)
{
	(void)state;
	arena_close(&mem);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_kind_has_a_type_and_a_sentence),
	        cmocka_unit_test(a_termination_tells_code_signal_and_message),
	        cmocka_unit_test(a_restart_tells_its_delay_and_a_reason_that_is_not_the_usual),
	        cmocka_unit_test(a_kill_tells_its_timeout_or_reason),
	        cmocka_unit_test(texts_go_to_the_field_of_their_kind),
	        cmocka_unit_test(the_latest_ten_are_kept_in_the_order_of_their_times),
	};

	return cmocka_run_group_tests(tests, NULL, release);
}
