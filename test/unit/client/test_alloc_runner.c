#include "test/unit/client/fake_shell.h"

#include "proto/error.h"
#include "test/unit/client/random.h"

#define POLICY(attempts, mode)                                                                              \
	",\"RestartPolicy\":{\"Attempts\":" #attempts ",\"Interval\":60000000000,\"Delay\":200000000,\"Mode\":\"" mode \
	"\"}"
#define MS NS_PER_MS
#define S NS_PER_S

static struct fake f;
static struct arena mem;
static char told[1024];

/* The types of a task's events, separated by commas. */
static const char *events(const char *task)
{
	const struct task_runner *tr = alloc_runner_task(&f.ar, task);
	uint32_t i;

	told[0] = '\0';
	for (i = 0; i < tr->log.n; i++) {
		snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s%s", i > 0 ? "," : "",
		         task_record_type((enum task_event_kind)tr->log.at[i].kind));
	}
	return told;
}

static struct alloc_update report(void)
{
	struct alloc_update u;

	assert_int_equal(alloc_runner_report(&f.ar, &u, &mem), 0);
	return u;
}

static struct task_state task_told(const char *task)
{
	struct alloc_update u = report();
	uint32_t i;

	for (i = 0; i < u.task_states.n; i++) {
		if (strcmp(u.task_states.keys[i], task) == 0) {
			return u.task_states.at[i];
		}
	}
	fail();
	return (struct task_state){0};
}

static const struct task_record *last(const char *task, enum task_event_kind kind)
{
	const struct task_record *r = task_log_last(&alloc_runner_task(&f.ar, task)->log, kind);

	assert_non_null(r);
	return r;
}

static void begin(const char *type, const char *group, const char *tasks)
{
	fake_open(&f, fake_spec_of(type, "", group, tasks));
	alloc_runner_begin(&f.ar, &f.now);
}

static int release(void **state)
{
	(void)state;
	alloc_runner_close(&f.ar);
	arena_close(&mem);
	return 0;
}

static void assert_status(const char *status, const char *description)
{
	struct alloc_update u = report();

	assert_string_equal(u.client_status, status);
	assert_string_equal(u.client_description, description);
}

static void update(const char *type, const char *desired, const char *more, const char *group, const char *tasks)
{
	char *json = fake_json(type, desired, more, group, tasks);
	struct alloc_spec *spec = fake_spec(json);

	free(json);
	alloc_runner_update(&f.ar, spec, &f.now);
	alloc_spec_unref(spec);
}

/* ---- single tasks ---- */

static void a_batch_task_that_ends_well_completes_the_allocation(void **state)
{
	struct task_state t;

	(void)state;
	begin("batch", POLICY(0, "fail"), "{\"Name\":\"t\"}");
	assert_true(f.previous_due);
	assert_status("pending", "No tasks have started");
	fake_serve(&f);
	assert_status("running", "Tasks are running");
	t = task_told("t");
	assert_string_equal(t.state, "running");
	assert_int_equal(t.started_at, f.now.wall_ns);
	assert_int_equal(t.finished_at, 0);
	fake_sleep(&f, 5 * S);
	fake_exit(&f, 0, 0, 0);
	assert_string_equal(events("t"), "Received,Task Setup,Started,Terminated");
	t = task_told("t");
	assert_string_equal(t.state, "dead");
	assert_false(t.failed);
	assert_int_equal(t.finished_at, t.started_at + 5 * S);
	assert_status("complete", "All tasks have completed");
	assert_true(alloc_runner_dead(&f.ar));
}

static void a_failure_without_attempts_is_final(void **state)
{
	(void)state;
	begin("batch", POLICY(0, "fail"), "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_exit(&f, 0, 7, 0);
	assert_string_equal(events("t"), "Received,Task Setup,Started,Terminated,Not Restarting");
	assert_string_equal(last("t", TASK_EVENT_NOT_RESTARTING)->text, "Policy allows no restarts");
	assert_true(last("t", TASK_EVENT_NOT_RESTARTING)->fails_task);
	assert_status("failed", "Failed tasks");
}

static void restarts_go_on_until_the_policy_ends_them(void **state)
{
	int i;

	(void)state;
	begin("service", POLICY(5, "fail"), "{\"Name\":\"t\"}");
	for (i = 0; i < 6; i++) {
		fake_serve(&f);
		fake_exit(&f, 0, i % 2 == 0 ? 0 : 3, 0);
		assert_string_equal(task_told("t").state, i < 5 ? "pending" : "dead");
		assert_false(f.tasks[0].preparing);
		fake_sleep(&f, 250 * MS);
	}
	assert_int_equal(task_told("t").restarts, 5);
	assert_int_equal(task_told("t").events.n, 10);
	assert_string_equal(last("t", TASK_EVENT_NOT_RESTARTING)->text,
	                    "Exceeded allowed attempts 5 in interval 1m0s and mode is \"fail\"");
	assert_int_equal(f.tasks[0].starts, 6);
	assert_status("failed", "Failed tasks");
}

static void a_start_that_cannot_succeed_is_not_tried_again(void **state)
{
	struct task_failure failure = {.kind = TASK_EVENT_DRIVER_FAILURE, .text = "no such file"};

	(void)state;
	begin("batch", POLICY(3, "fail"), "{\"Name\":\"t\"}");
	fake_set_up(&f);
	fake_prepared(&f, 0, NULL);
	fake_started(&f, 0, &failure);
	assert_string_equal(events("t"), "Received,Task Setup,Driver Failure,Not Restarting");
	assert_string_equal(last("t", TASK_EVENT_NOT_RESTARTING)->text, "Error was unrecoverable");
	assert_int_equal(task_told("t").started_at, 0);
	assert_int_equal(task_told("t").restarts, 0);
	assert_true(task_told("t").failed);
}

static void a_download_that_may_succeed_later_is_tried_again(void **state)
{
	struct task_failure failure = {.kind = TASK_EVENT_DOWNLOAD_FAILED, .text = "connection refused", .recoverable = true};

	(void)state;
	begin("batch", POLICY(1, "fail"), "{\"Name\":\"t\"}");
	fake_set_up(&f);
	alloc_runner_event(&f.ar.tasks[0], TASK_EVENT_DOWNLOADING, "", &f.now);
	fake_prepared(&f, 0, &failure);
	fake_sleep(&f, 250 * MS);
	fake_prepared(&f, 0, &failure);
	assert_string_equal(events("t"), "Received,Task Setup,Downloading Artifacts,Failed Artifact Download,Restarting,"
	                                 "Failed Artifact Download,Not Restarting");
}

static void a_failed_setup_fails_all_tasks(void **state)
{
	(void)state;
	begin("batch", "", "{\"Name\":\"x\"},{\"Name\":\"y\"}");
	f.previous_due = false;
	alloc_runner_previous_ended(&f.ar, &f.now);
	alloc_runner_set_up(&f.ar, "disk full", &f.now);
	assert_string_equal(events("x"), "Received,Setup Failure");
	assert_string_equal(events("y"), "Received,Setup Failure");
	assert_status("failed", "Failed tasks");
	assert_true(alloc_runner_dead(&f.ar));
}

/* ---- stopping ---- */

static void a_stop_kills_with_the_tasks_timeout(void **state)
{
	(void)state;
	begin("service", POLICY(9, "fail"), "{\"Name\":\"t\",\"KillTimeout\":3000000000,\"KillSignal\":\"SIGTERM\"}");
	fake_serve(&f);
	update("service", "stop", "", "", "{\"Name\":\"t\",\"KillTimeout\":3000000000,\"KillSignal\":\"SIGTERM\"}");
	assert_int_equal(f.tasks[0].kill_timeout_ns, 3 * S);
	assert_string_equal(f.tasks[0].kill_signal, "SIGTERM");
	assert_string_equal(task_told("t").state, "running");
	fake_exit(&f, 0, 143, 15);
	assert_string_equal(events("t"), "Received,Task Setup,Started,Killing,Terminated,Killed");
	assert_int_equal(last("t", TASK_EVENT_KILLING)->duration_ns, 3 * S);
	assert_status("complete", "All tasks have completed");
	assert_false(task_told("t").failed);
}

static void a_kill_timeout_is_bounded_by_the_nodes(void **state)
{
	(void)state;
	begin("service", "", "{\"Name\":\"t\",\"KillTimeout\":3600000000000}");
	fake_serve(&f);
	alloc_runner_stop(&f.ar, &f.now);
	assert_int_equal(f.tasks[0].kill_timeout_ns, 30 * S);
}

static void a_process_that_will_not_end_is_killed_again(void **state)
{
	(void)state;
	begin("service", "", "{\"Name\":\"t\",\"KillTimeout\":1000000000}");
	fake_serve(&f);
	alloc_runner_stop(&f.ar, &f.now);
	f.tasks[0].killing = false;
	fake_sleep(&f, 10 * S);
	assert_false(f.tasks[0].killing);
	fake_sleep(&f, 10 * S);
	assert_true(f.tasks[0].killing);
	assert_string_equal(f.tasks[0].kill_signal, "SIGKILL");
}

static void the_shutdown_delay_passes_before_the_kill(void **state)
{
	(void)state;
	begin("service", "", "{\"Name\":\"t\",\"ShutdownDelay\":2000000000}");
	fake_serve(&f);
	alloc_runner_stop(&f.ar, &f.now);
	assert_false(f.tasks[0].killing);
	fake_sleep(&f, 1 * S);
	assert_false(f.tasks[0].killing);
	fake_sleep(&f, 1 * S);
	assert_true(f.tasks[0].killing);
	fake_serve(&f);
	assert_string_equal(events("t"), "Received,Task Setup,Started,Killing,Waiting for shutdown delay,Terminated,Killed");
}

static void delays_are_skipped_when_the_server_says_so(void **state)
{
	static const char tasks[] = "{\"Name\":\"t\",\"ShutdownDelay\":2000000000}";
	static const char group[] = ",\"ShutdownDelay\":5000000000";

	(void)state;
	begin("service", group, tasks);
	fake_serve(&f);
	update("service", "stop", ",\"DesiredTransition\":{\"NoShutdownDelay\":true}", group, tasks);
	assert_true(f.tasks[0].killing);
}

static void a_delay_that_has_begun_is_cut_short(void **state)
{
	static const char tasks[] = "{\"Name\":\"t\",\"ShutdownDelay\":20000000000}";

	(void)state;
	begin("service", "", tasks);
	fake_serve(&f);
	update("service", "stop", "", "", tasks);
	fake_sleep(&f, 1 * S);
	assert_false(f.tasks[0].killing);
	update("service", "stop", ",\"DesiredTransition\":{\"NoShutdownDelay\":true}", "", tasks);
	assert_true(f.tasks[0].killing);
	fake_serve(&f);
	assert_string_equal(events("t"), "Received,Task Setup,Started,Killing,Waiting for shutdown delay,"
					 "Skipping shutdown delay,Terminated,Killed");
}

static void the_groups_shutdown_delay_comes_before_all(void **state)
{
	(void)state;
	begin("service", ",\"ShutdownDelay\":5000000000", "{\"Name\":\"t\"}");
	fake_serve(&f);
	alloc_runner_stop(&f.ar, &f.now);
	assert_string_equal(events("t"), "Received,Task Setup,Started");
	fake_sleep(&f, 4 * S);
	assert_false(f.tasks[0].killing);
	fake_sleep(&f, 1 * S);
	assert_true(f.tasks[0].killing);
}

static void a_stop_while_waiting_for_the_previous_allocation_ends_at_once(void **state)
{
	(void)state;
	begin("service", "", "{\"Name\":\"t\"}");
	alloc_runner_stop(&f.ar, &f.now);
	assert_true(alloc_runner_dead(&f.ar));
	assert_status("complete", "All tasks have completed");
	alloc_runner_previous_ended(&f.ar, &f.now);
	assert_true(alloc_runner_dead(&f.ar));
}

static void a_stop_during_setup_waits_for_its_end(void **state)
{
	(void)state;
	begin("service", "", "{\"Name\":\"t\"}");
	alloc_runner_previous_ended(&f.ar, &f.now);
	alloc_runner_stop(&f.ar, &f.now);
	assert_false(alloc_runner_dead(&f.ar));
	alloc_runner_set_up(&f.ar, NULL, &f.now);
	assert_true(alloc_runner_dead(&f.ar));
	assert_false(f.tasks[0].preparing);
}

static void a_stop_while_preparing_cancels_it(void **state)
{
	(void)state;
	begin("service", "", "{\"Name\":\"t\"}");
	fake_set_up(&f);
	alloc_runner_stop(&f.ar, &f.now);
	assert_true(f.tasks[0].canceled);
	assert_string_equal(task_told("t").state, "pending");
	fake_prepared(&f, 0, NULL);
	assert_true(alloc_runner_dead(&f.ar));
	assert_int_equal(f.tasks[0].starts, 0);
}

static void a_stop_while_starting_kills_what_was_started(void **state)
{
	(void)state;
	begin("service", "", "{\"Name\":\"t\"}");
	fake_set_up(&f);
	fake_prepared(&f, 0, NULL);
	alloc_runner_stop(&f.ar, &f.now);
	assert_true(f.tasks[0].canceled);
	assert_false(f.tasks[0].killing);
	fake_started(&f, 0, NULL);
	assert_true(f.tasks[0].killing);
	fake_exit(&f, 0, 130, 2);
	assert_string_equal(events("t"), "Received,Task Setup,Killing,Started,Terminated,Killed");
	assert_true(alloc_runner_dead(&f.ar));
}

static void a_stop_while_waiting_for_a_restart_ends_at_once(void **state)
{
	(void)state;
	begin("service", POLICY(3, "fail"), "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_exit(&f, 0, 1, 0);
	alloc_runner_stop(&f.ar, &f.now);
	assert_true(alloc_runner_dead(&f.ar));
	assert_false(task_told("t").failed);
	assert_string_equal(events("t"), "Received,Task Setup,Started,Terminated,Restarting,Killing");
}

static void what_is_stopped_from_the_start_never_runs(void **state)
{
	char *json = fake_json("service", "stop", "", "", "{\"Name\":\"t\"}");

	(void)state;
	fake_open(&f, fake_spec(json));
	free(json);
	alloc_runner_begin(&f.ar, &f.now);
	assert_true(alloc_runner_dead(&f.ar));
	assert_int_equal(f.tasks[0].starts, 0);
}

static void a_group_that_runs_too_long_is_ended_and_complete(void **state)
{
	(void)state;
	begin("batch", ",\"MaxRunDuration\":10000000000",
	      "{\"Name\":\"t\"},{\"Name\":\"after\",\"Lifecycle\":{\"Hook\":\"poststop\"}}");
	fake_serve(&f);
	fake_sleep(&f, 9 * S);
	assert_false(f.tasks[0].killing);
	fake_sleep(&f, 1 * S);
	fake_serve(&f);
	assert_status("complete", "allocation exceeded max_run_duration");
	assert_string_equal(events("t"), "Received,Task Setup,Started,Killing,Terminated,Killed");
	assert_string_equal(last("t", TASK_EVENT_KILLING)->text, "allocation exceeded max_run_duration");
	assert_false(task_told("t").failed);
	assert_string_equal(events("after"), "Received,Killing");
	assert_int_equal(f.tasks[1].starts, 0);
}

static void a_service_runs_as_long_as_it_likes(void **state)
{
	(void)state;
	begin("service", ",\"MaxRunDuration\":10000000000", "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_sleep(&f, 11 * S);
	assert_false(f.tasks[0].killing);
}

static void servers_that_took_it_for_unknown_are_told_once(void **state)
{
	int i;

	(void)state;
	begin("service", "", "{\"Name\":\"t\"}");
	fake_serve(&f);
	for (i = 0; i < 2; i++) {
		struct alloc_spec *spec =
			fake_spec_of("service", ",\"ClientStatus\":\"unknown\"", "", "{\"Name\":\"t\"}");

		alloc_runner_update(&f.ar, spec, &f.now);
		alloc_spec_unref(spec);
	}
	assert_string_equal(events("t"), "Received,Task Setup,Started,Reconnected");
}

/* ---- tasks among each other ---- */

static void a_failed_task_takes_its_siblings_down(void **state)
{
	(void)state;
	begin("batch", POLICY(0, "fail"), "{\"Name\":\"bad\"},{\"Name\":\"good\"}");
	fake_serve(&f);
	fake_exit(&f, 0, 1, 0);
	assert_status("failed", "Failed tasks");
	fake_serve(&f);
	assert_string_equal(events("good"),
	                    "Received,Task Setup,Started,Sibling Task Failed,Killing,Terminated,Killed");
	assert_string_equal(last("good", TASK_EVENT_SIBLING_FAILED)->text, "bad");
	assert_false(task_told("good").failed);
	assert_true(task_told("bad").failed);
	assert_true(alloc_runner_dead(&f.ar));
}

static void a_task_that_ends_well_leaves_the_others_alone(void **state)
{
	(void)state;
	begin("batch", "", "{\"Name\":\"done\"},{\"Name\":\"long\"}");
	fake_serve(&f);
	fake_exit(&f, 0, 0, 0);
	assert_false(f.tasks[1].killing);
	assert_status("running", "Tasks are running");
}

static void the_end_of_the_leader_ends_the_others(void **state)
{
	(void)state;
	begin("batch", "", "{\"Name\":\"lead\",\"Leader\":true},{\"Name\":\"side\"}");
	fake_serve(&f);
	fake_exit(&f, 0, 0, 0);
	fake_serve(&f);
	assert_string_equal(events("side"), "Received,Task Setup,Started,Leader Task Dead,Killing,Terminated,Killed");
	assert_string_equal(events("lead"), "Received,Task Setup,Started,Terminated");
	assert_status("complete", "All tasks have completed");
}

static void the_leader_is_stopped_before_the_others(void **state)
{
	(void)state;
	begin("service", "", "{\"Name\":\"side\"},{\"Name\":\"lead\",\"Leader\":true}");
	fake_serve(&f);
	alloc_runner_stop(&f.ar, &f.now);
	assert_true(f.tasks[1].killing);
	assert_false(f.tasks[0].killing);
	fake_exit(&f, 1, 0, 0);
	assert_true(f.tasks[0].killing);
}

static const char lifecycle_tasks[] =
        "{\"Name\":\"init\",\"Lifecycle\":{\"Hook\":\"prestart\"}},"
        "{\"Name\":\"proxy\",\"Lifecycle\":{\"Hook\":\"prestart\",\"Sidecar\":true}},"
        "{\"Name\":\"main\"},"
        "{\"Name\":\"after\",\"Lifecycle\":{\"Hook\":\"poststart\"}},"
        "{\"Name\":\"clean\",\"Lifecycle\":{\"Hook\":\"poststop\"}}";

static void the_stages_of_the_lifecycle_follow_each_other(void **state)
{
	(void)state;
	begin("batch", "", lifecycle_tasks);
	fake_set_up(&f);
	assert_true(f.tasks[0].preparing);
	assert_true(f.tasks[1].preparing);
	assert_false(f.tasks[2].preparing);
	fake_serve(&f);
	assert_int_equal(f.tasks[2].starts, 0);
	fake_exit(&f, 0, 0, 0);
	assert_true(f.tasks[2].preparing);
	assert_false(f.tasks[3].preparing);
	fake_serve(&f);
	assert_int_equal(f.tasks[3].starts, 1);
	assert_int_equal(f.tasks[4].starts, 0);
	fake_exit(&f, 3, 0, 0);
	assert_status("running", "Tasks are running");
	fake_exit(&f, 2, 0, 0);
	assert_true(f.tasks[1].killing); /* Only the sidecar is left. */
	assert_int_equal(f.tasks[4].starts, 0);
	assert_status("running", "Tasks are running");
	fake_serve(&f);
	assert_string_equal(events("proxy"), "Received,Task Setup,Started,Main Tasks Dead,Killing,Terminated,Killed");
	assert_int_equal(f.tasks[4].starts, 1);
	fake_exit(&f, 4, 0, 0);
	assert_status("complete", "All tasks have completed");
	assert_true(alloc_runner_dead(&f.ar));
}

static void sidecars_are_stopped_after_the_main_tasks(void **state)
{
	(void)state;
	begin("service", "", lifecycle_tasks);
	fake_serve(&f);
	fake_exit(&f, 0, 0, 0);
	fake_serve(&f);
	fake_exit(&f, 3, 0, 0);
	alloc_runner_stop(&f.ar, &f.now);
	assert_true(f.tasks[2].killing);
	assert_false(f.tasks[1].killing);
	fake_exit(&f, 2, 0, 0);
	assert_true(f.tasks[1].killing);
	fake_exit(&f, 1, 0, 0);
	assert_true(f.tasks[4].preparing);
}

static void a_failed_prestart_task_keeps_the_main_task_from_running(void **state)
{
	(void)state;
	begin("batch", POLICY(0, "fail"), lifecycle_tasks);
	fake_serve(&f);
	fake_exit(&f, 0, 1, 0);
	fake_serve(&f);
	assert_int_equal(f.tasks[2].starts, 0);
	assert_string_equal(events("main"), "Received,Sibling Task Failed,Killing");
	assert_int_equal(f.tasks[4].starts, 1);
	fake_exit(&f, 4, 0, 0);
	assert_true(alloc_runner_dead(&f.ar));
	assert_status("failed", "Failed tasks");
}

/* ---- users' wishes ---- */

static void a_users_restart_is_free_of_the_policy(void **state)
{
	struct buf why = {0};
	int64_t started;
	int i;

	(void)state;
	begin("service", POLICY(0, "fail"), "{\"Name\":\"t\"}");
	fake_serve(&f);
	started = task_told("t").started_at;
	for (i = 1; i <= 2; i++) {
		fake_sleep(&f, S);
		assert_int_equal(alloc_runner_restart(&f.ar, "", false, &f.now, &why), 0);
		fake_exit(&f, 0, 130, 2);
		fake_sleep(&f, 0);
		fake_serve(&f);
		assert_int_equal(task_told("t").restarts, i);
		assert_string_equal(task_told("t").state, "running");
	}
	assert_true(task_told("t").started_at > started);
	assert_false(task_told("t").failed);
	assert_string_equal(events("t"), "Task Setup,Started,Restart Signaled,Terminated,Restarting,Started,"
	                                 "Restart Signaled,Terminated,Restarting,Started");
	assert_string_equal(last("t", TASK_EVENT_RESTART_SIGNALED)->text, "User requested running tasks to restart");
	buf_close(&why);
}

static void what_fails_its_checks_is_restarted_as_the_policy_says(void **state)
{
	(void)state;
	begin("service", POLICY(1, "fail"), "{\"Name\":\"x\"},{\"Name\":\"y\"}");
	alloc_runner_unhealthy(&f.ar, &f.ar.tasks[0], "too early", &f.now);
	assert_false(f.tasks[0].killing);
	fake_serve(&f);
	alloc_runner_unhealthy(&f.ar, &f.ar.tasks[0], "why", &f.now);
	assert_true(f.tasks[0].killing);
	assert_false(f.tasks[1].killing);
	fake_exit(&f, 0, 0, 0); /* However it ends, it has failed. */
	assert_string_equal(last("x", TASK_EVENT_RESTART_SIGNALED)->text, "why");
	assert_string_equal(task_told("x").state, "pending");
	fake_sleep(&f, S);
	fake_serve(&f);
	assert_int_equal(task_told("x").restarts, 1);
	assert_string_equal(task_told("x").state, "running");
	alloc_runner_unhealthy(&f.ar, NULL, "all", &f.now);
	assert_true(f.tasks[1].killing);
	fake_exit(&f, 0, 0, 0); /* The policy has had enough. */
	assert_string_equal(task_told("x").state, "dead");
	assert_true(task_told("x").failed);
	fake_exit(&f, 1, 0, 0);
	assert_status("failed", "Failed tasks");
}

static void a_restart_of_one_task_leaves_the_other_alone(void **state)
{
	struct buf why = {0};

	(void)state;
	begin("service", "", "{\"Name\":\"x\"},{\"Name\":\"y\"}");
	fake_serve(&f);
	assert_int_equal(alloc_runner_restart(&f.ar, "x", false, &f.now, &why), 0);
	assert_true(f.tasks[0].killing);
	assert_false(f.tasks[1].killing);
	assert_int_equal(alloc_runner_restart(&f.ar, "x", false, &f.now, &why), ERR_CONFLICT);
	assert_string_equal(buf_text(&why), "Task not running");
	buf_close(&why);
}

static void a_restart_of_all_brings_dead_tasks_back(void **state)
{
	struct buf why = {0};

	(void)state;
	begin("batch", "", "{\"Name\":\"x\"},{\"Name\":\"y\"}");
	fake_serve(&f);
	fake_exit(&f, 0, 0, 0);
	assert_int_equal(alloc_runner_restart(&f.ar, "", true, &f.now, &why), 0);
	fake_exit(&f, 1, 130, 2);
	fake_sleep(&f, 0);
	fake_serve(&f);
	assert_string_equal(task_told("x").state, "running");
	assert_int_equal(task_told("x").restarts, 1);
	assert_int_equal(task_told("y").restarts, 1);
	buf_close(&why);
}

static void a_restart_of_all_keeps_the_order_of_hooks(void **state)
{
	struct buf why = {0};

	(void)state;
	begin("service", "", lifecycle_tasks);
	fake_serve(&f);
	fake_exit(&f, 0, 0, 0);
	fake_serve(&f);
	fake_exit(&f, 3, 0, 0);
	assert_int_equal(f.tasks[2].starts, 1);
	assert_int_equal(f.tasks[3].starts, 1);
	assert_int_equal(alloc_runner_restart(&f.ar, "", true, &f.now, &why), 0);
	fake_exit(&f, 1, 130, 2);
	fake_exit(&f, 2, 130, 2);
	fake_sleep(&f, 0);
	fake_serve(&f);
	assert_int_equal(f.tasks[0].starts, 2);
	assert_int_equal(f.tasks[1].starts, 2);
	assert_int_equal(f.tasks[2].starts, 1); /* The main task waits for the short one before it. */
	assert_string_equal(task_told("main").state, "pending");
	fake_exit(&f, 0, 0, 0);
	fake_serve(&f);
	assert_int_equal(f.tasks[2].starts, 2);
	assert_int_equal(f.tasks[3].starts, 2);
	assert_int_equal(f.tasks[4].starts, 0);
	assert_int_equal(task_told("main").restarts, 1);
	buf_close(&why);
}

static void wishes_that_make_no_sense_are_refused_with_their_texts(void **state)
{
	struct buf why = {0};

	(void)state;
	begin("service", "", "{\"Name\":\"t\"}");
	fake_serve(&f);
	assert_int_equal(alloc_runner_restart(&f.ar, "nope", false, &f.now, &why), ERR_NOTFOUND);
	assert_string_equal(buf_text(&why), "Could not find task runner for task: nope");
	why.len = 0;
	assert_int_equal(alloc_runner_restart(&f.ar, "t", true, &f.now, &why), ERR_INVALID);
	assert_string_equal(buf_text(&why), "task name cannot be set when restarting all tasks");
	why.len = 0;
	assert_int_equal(alloc_runner_signal(&f.ar, "nope", "SIGHUP", &f.now, &why), ERR_NOTFOUND);
	assert_string_equal(buf_text(&why), "Task not found");
	why.len = 0;
	alloc_runner_stop(&f.ar, &f.now);
	fake_serve(&f);
	assert_int_equal(alloc_runner_restart(&f.ar, "", false, &f.now, &why), ERR_CONFLICT);
	assert_string_equal(buf_text(&why), "restart of an alloc that should not run");
	why.len = 0;
	assert_int_equal(alloc_runner_signal(&f.ar, "", "SIGHUP", &f.now, &why), ERR_CONFLICT);
	assert_string_equal(buf_text(&why), "1 error occurred:\n\t* Failed to signal task: t, err: Task not running\n\n");
	buf_close(&why);
}

static void a_signal_reaches_one_or_all(void **state)
{
	struct buf why = {0};

	(void)state;
	begin("service", "", "{\"Name\":\"x\"},{\"Name\":\"y\"}");
	fake_serve(&f);
	assert_int_equal(alloc_runner_signal(&f.ar, "y", "SIGUSR1", &f.now, &why), 0);
	assert_string_equal(f.tasks[0].signal, "");
	assert_string_equal(f.tasks[1].signal, "SIGUSR1");
	assert_string_equal(events("y"), "Received,Task Setup,Started,Signaling");
	assert_int_equal(alloc_runner_signal(&f.ar, "", "SIGHUP", &f.now, &why), 0);
	assert_string_equal(f.tasks[0].signal, "SIGHUP");
	assert_string_equal(f.tasks[1].signal, "SIGHUP");
	assert_int_equal(alloc_runner_signal_rendered(alloc_runner_task(&f.ar, "x"), "SIGUSR2", "user defined signal 2", &f.now), 0);
	assert_string_equal(f.tasks[0].signal, "SIGUSR2");
	assert_string_equal(events("x"), "Received,Task Setup,Started,Signaling,Signaling");
	fake_exit(&f, 0, 1, 0);
	assert_int_equal(alloc_runner_signal_rendered(alloc_runner_task(&f.ar, "x"), "SIGHUP", "hangup", &f.now), ERR_CONFLICT);
	buf_close(&why);
}

static void one_task_that_does_not_run_is_not_restarted(void **state)
{
	struct buf why = {0};

	(void)state;
	begin("batch", "", "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_exit(&f, 0, 0, 0);
	assert_int_equal(alloc_runner_restart(&f.ar, "t", false, &f.now, &why), ERR_CONFLICT);
	assert_string_equal(buf_text(&why), "Task not running");
	buf_close(&why);
	assert_int_equal(alloc_runner_restart(&f.ar, "", false, &f.now, &why), ERR_CONFLICT);
	assert_string_equal(buf_text(&why), "restart of an alloc that should not run");
	buf_close(&why);
}

/* ---- health ---- */

#define DEPLOYED ",\"DeploymentID\":\"d1\""
#define UPDATE(check, min, deadline)                                                                           \
	",\"Update\":{\"HealthCheck\":\"" check "\",\"MinHealthyTime\":" #min ",\"HealthyDeadline\":" #deadline \
	",\"MaxParallel\":1}"

static void deploy(const char *group, const char *tasks)
{
	fake_open(&f, fake_spec_of("service", DEPLOYED, group, tasks));
	alloc_runner_begin(&f.ar, &f.now);
}

static int healthy(void)
{
	struct alloc_update u = report();

	if (u.deployment_status == NULL) {
		return -1;
	}
	assert_true(u.deployment_status->healthy.set);
	assert_int_not_equal(u.deployment_status->timestamp, 0);
	return (int)u.deployment_status->healthy.at;
}

static void an_allocation_is_healthy_after_the_least_healthy_time(void **state)
{
	(void)state;
	deploy(UPDATE("checks", 10000000000, 60000000000) POLICY(3, "fail"), "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_sleep(&f, 9 * S);
	assert_int_equal(healthy(), -1);
	fake_exit(&f, 0, 1, 0); /* A restart begins the time anew. */
	fake_sleep(&f, S);
	fake_serve(&f);
	fake_sleep(&f, 9 * S);
	assert_int_equal(healthy(), -1);
	fake_sleep(&f, S);
	assert_int_equal(healthy(), 1);
	fake_exit(&f, 0, 1, 0);
	assert_int_equal(healthy(), 1);
}

static void a_failed_task_is_unhealthy_at_once(void **state)
{
	(void)state;
	deploy(UPDATE("task_states", 10000000000, 60000000000) POLICY(0, "fail"), "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_exit(&f, 0, 1, 0);
	assert_int_equal(healthy(), 0);
	assert_string_equal(last("t", TASK_EVENT_UNHEALTHY)->text, "Unhealthy because of failed task");
}

static void the_deadline_makes_unhealthy(void **state)
{
	(void)state;
	deploy(UPDATE("task_states", 10000000000, 60000000000), "{\"Name\":\"t\"}");
	fake_set_up(&f);
	fake_sleep(&f, 60 * S);
	assert_int_equal(healthy(), 0);
	assert_string_equal(last("t", TASK_EVENT_UNHEALTHY)->text, "Task not running by deadline");
}

static void manual_health_and_batch_jobs_get_no_verdict(void **state)
{
	(void)state;
	deploy(UPDATE("manual", 1, 2), "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_sleep(&f, 60 * S);
	assert_int_equal(healthy(), -1);
	release(NULL);
	begin("batch", "", "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_sleep(&f, 3600 * S);
	assert_int_equal(healthy(), -1);
}

static void without_a_deployment_the_migrate_block_decides(void **state)
{
	(void)state;
	begin("service", ",\"Migrate\":{\"HealthCheck\":\"task_states\",\"MinHealthyTime\":1000000000,"
	                 "\"HealthyDeadline\":60000000000}",
	      "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_sleep(&f, S);
	assert_int_equal(healthy(), 1);
}

static void checks_hold_the_verdict_back(void **state)
{
	(void)state;
	deploy(UPDATE("checks", 1000000000, 60000000000)
	       ",\"Services\":[{\"Name\":\"s\",\"Checks\":[{\"Type\":\"tcp\"}]}]",
	       "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_sleep(&f, 5 * S);
	assert_int_equal(healthy(), -1);
	alloc_runner_checks(&f.ar, true, &f.now);
	fake_sleep(&f, S);
	assert_int_equal(healthy(), 1);
}

static void another_deployment_asks_again(void **state)
{
	(void)state;
	deploy(UPDATE("task_states", 1000000000, 60000000000), "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_sleep(&f, S);
	assert_int_equal(healthy(), 1);
	update("service", "run", ",\"DeploymentID\":\"d2\"", UPDATE("task_states", 1000000000, 60000000000),
	       "{\"Name\":\"t\"}");
	assert_int_equal(healthy(), -1);
	fake_sleep(&f, S);
	assert_int_equal(healthy(), 1);
}

/* ---- another agent goes on ---- */

/* End this agent and let another take over; tasks that run go on running. */
static void hand_over(struct fake *g, bool with_handles)
{
	struct saved_alloc saved;
	struct saved_alloc read;
	struct buf packed = {0};
	struct alloc_spec *spec = alloc_spec_ref(g->ar.spec);
	uint32_t i;

	assert_int_equal(alloc_runner_save(&g->ar, &saved, &mem), 0);
	for (i = 0; i < saved.tasks.n; i++) {
		saved.tasks.at[i].go = g->tasks[i].starting ? g->now.wall_ns : saved.tasks.at[i].go;
		saved.tasks.at[i].handle = (struct bytes){(const uint8_t *)"h", with_handles && (g->tasks[i].alive || g->tasks[i].starting)};
	}
	pack_encode(&saved_alloc_type, &saved, &packed);
	assert_int_equal(pack_decode(&saved_alloc_type, &read, packed.at, packed.len, &mem), 0);
	alloc_runner_close(&g->ar);
	for (i = 0; i < FAKE_TASKS; i++) {
		g->tasks[i] = (struct fake_task){.alive = (g->tasks[i].alive || g->tasks[i].starting) && with_handles,
		                                 .starts = g->tasks[i].starts};
	}
	g->previous_due = false;
	g->setup_due = false;
	assert_int_equal(alloc_runner_restore(&g->ar, &fake_ops, spec, 30 * NS_PER_S, &read, &g->now), 0);
	alloc_spec_unref(spec);
	buf_close(&packed);
	alloc_runner_begin(&g->ar, &g->now);
}

static void adopt_as(struct fake *g, uint32_t i, enum task_adopted what)
{
	bool found = what == ADOPTED_RUNS;

	assert_true(g->tasks[i].adopting);
	g->tasks[i].adopting = false;
	g->tasks[i].alive = g->tasks[i].alive && found;
	alloc_runner_adopted(&g->ar.tasks[i], what, &g->now);
}

static void adopt(struct fake *g, uint32_t i, bool found)
{
	adopt_as(g, i, found ? ADOPTED_RUNS : ADOPTED_LOST);
}

static void a_running_task_is_adopted_without_a_word(void **state)
{
	int64_t started;

	(void)state;
	begin("service", "", "{\"Name\":\"t\"}");
	fake_serve(&f);
	started = task_told("t").started_at;
	fake_sleep(&f, 10 * S);
	hand_over(&f, true);
	adopt(&f, 0, true);
	assert_string_equal(events("t"), "Received,Task Setup,Started");
	assert_int_equal(task_told("t").started_at, started);
	assert_status("running", "Tasks are running");
	fake_exit(&f, 0, 1, 0);
	assert_status("failed", "Failed tasks");
}

/* Told to start, and nothing is known of what became of that. */
static void begin_to_start(const char *type)
{
	begin(type, POLICY(0, "fail"), "{\"Name\":\"t\"}");
	fake_set_up(&f);
	fake_prepared(&f, 0, NULL);
	assert_true(f.tasks[0].starting);
}

static void a_task_that_was_let_go_as_its_agent_died_has_started(void **state)
{
	int64_t go;

	(void)state;
	begin_to_start("batch");
	go = f.now.wall_ns;
	hand_over(&f, true);
	fake_sleep(&f, 3 * S);
	hand_over(&f, true);
	adopt_as(&f, 0, ADOPTED_RUNS);
	assert_string_equal(events("t"), "Received,Task Setup,Started");
	assert_int_equal(task_told("t").started_at, go);
	fake_exit(&f, 0, 0, 0);
	assert_status("complete", "All tasks have completed");
}

static void a_task_that_never_ran_is_started_without_a_word(void **state)
{
	(void)state;
	begin_to_start("batch");
	hand_over(&f, true);
	adopt_as(&f, 0, ADOPTED_NEVER_RAN);
	fake_serve(&f);
	assert_string_equal(events("t"), "Received,Task Setup,Started");
	assert_int_equal(task_told("t").restarts, 0);
}

static void a_task_that_never_ran_and_is_not_wanted_ends(void **state)
{
	(void)state;
	begin_to_start("batch");
	alloc_runner_stop(&f.ar, &f.now);
	hand_over(&f, true);
	adopt_as(&f, 0, ADOPTED_NEVER_RAN);
	assert_true(alloc_runner_dead(&f.ar));
	assert_string_equal(events("t"), "Received,Task Setup,Killing");
}

static void a_task_that_is_gone_waits_for_a_server_and_runs_again(void **state)
{
	(void)state;
	begin("service", "", "{\"Name\":\"t\"}");
	fake_serve(&f);
	hand_over(&f, true);
	adopt(&f, 0, false);
	assert_string_equal(events("t"), "Received,Task Setup,Started,Failed Restoring Task");
	assert_status("pending", "No tasks have started");
	assert_false(f.tasks[0].preparing);
	alloc_runner_contacted(&f.ar, &f.now);
	fake_serve(&f);
	assert_status("running", "Tasks are running");
	assert_int_equal(task_told("t").restarts, 0);
}

static void a_dead_task_stays_dead_over_a_restart_of_the_agent(void **state)
{
	(void)state;
	begin("batch", POLICY(0, "fail"), "{\"Name\":\"x\"},{\"Name\":\"y\"}");
	fake_serve(&f);
	fake_exit(&f, 0, 0, 0);
	hand_over(&f, true);
	adopt(&f, 1, true);
	assert_string_equal(task_told("x").state, "dead");
	assert_int_equal(f.tasks[0].starts, 1);
	fake_exit(&f, 1, 0, 0);
	hand_over(&f, true);
	assert_true(alloc_runner_dead(&f.ar));
	assert_status("complete", "All tasks have completed");
}

static void a_kill_that_was_under_way_is_carried_on(void **state)
{
	(void)state;
	begin("service", "", "{\"Name\":\"t\"}");
	fake_serve(&f);
	alloc_runner_stop(&f.ar, &f.now);
	hand_over(&f, true);
	adopt(&f, 0, true);
	assert_true(f.tasks[0].killing);
	fake_exit(&f, 0, 130, 2);
	assert_string_equal(events("t"), "Received,Task Setup,Started,Killing,Terminated,Killed");
	assert_true(alloc_runner_dead(&f.ar));
}

static void a_verdict_is_remembered(void **state)
{
	(void)state;
	deploy(UPDATE("task_states", 1000000000, 60000000000), "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_sleep(&f, S);
	hand_over(&f, true);
	assert_int_equal(healthy(), 1);
}

static void the_attempts_are_counted_over_a_restart_of_the_agent(void **state)
{
	(void)state;
	begin("batch", POLICY(1, "fail"), "{\"Name\":\"t\"}");
	fake_serve(&f);
	fake_exit(&f, 0, 1, 0);
	hand_over(&f, true);
	fake_serve(&f);
	assert_int_equal(f.tasks[0].starts, 2);
	fake_exit(&f, 0, 1, 0);
	assert_string_equal(last("t", TASK_EVENT_NOT_RESTARTING)->text,
	                    "Exceeded allowed attempts 1 in interval 1m0s and mode is \"fail\"");
}

/* ---- specifications that are of no use ---- */

static void useless_specifications_are_refused(void **state)
{
	static const char *const tasks[] = {"", "{\"Name\":\"\"}", "{\"Name\":\"t\"},{\"Name\":\"t\"}"};
	struct fault fault;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
		char *json = fake_json("batch", "run", "", "", tasks[i]);
		struct alloc_source *source = alloc_source_new();
		struct allocation alloc;

		assert_int_equal(json_decode(&allocation_type, &alloc, json, strlen(json), &source->mem, &fault), 0);
		assert_null(alloc_spec_make(&alloc, source));
		assert_int_equal(source->refs, 1);
		alloc_source_unref(source);
		free(json);
	}
}

/* ---- at random ---- */

/* What must hold after every step, whatever has happened. */
struct watch {
	int64_t restarts[FAKE_TASKS];
	bool dead[FAKE_TASKS];
	bool failed;
};

static void check_task(const struct task_runner *tr, struct watch *w, uint32_t i, bool revived)
{
	uint32_t k;

	assert_true(tr->log.n <= TASK_EVENTS_KEPT);
	for (k = 1; k < tr->log.n; k++) {
		assert_true(tr->log.at[k - 1].time_ns <= tr->log.at[k].time_ns);
	}
	assert_true(tr->restarts >= w->restarts[i]);
	w->restarts[i] = tr->restarts;
	if (w->dead[i] && !revived) {
		assert_int_equal(tr->sm.at, TASK_DEAD);
	}
	w->dead[i] = tr->sm.at == TASK_DEAD;
	assert_int_equal(tr->alive, f.tasks[i].alive && !f.tasks[i].adopting);
	assert_int_equal(tr->awaited, f.tasks[i].adopting    ? ANSWER_ADOPT
	                              : f.tasks[i].preparing ? ANSWER_PREPARE
	                              : f.tasks[i].starting  ? ANSWER_START
	                                                     : ANSWER_NONE);
}

static void check(struct watch *w, bool revived)
{
	const char *description;
	bool failed = alloc_runner_status(&f.ar, &description) == ALLOC_CLIENT_FAILED;
	uint32_t i;

	for (i = 0; i < f.ar.n; i++) {
		check_task(&f.ar.tasks[i], w, i, revived);
	}
	assert_true(!w->failed || failed);
	w->failed = failed;
	assert_true(f.ar.due_ns == 0 || f.ar.due_ns >= f.now.mono_ns);
}

static unsigned long long random_ms(struct random *r, uint32_t below)
{
	return random_below(r, below) * (unsigned long long)NS_PER_MS;
}

static void random_spec(struct random *r, struct buf *group, struct buf *tasks)
{
	static const char *const hooks[] = {"prestart", "poststart", "poststop"};
	uint32_t n = 1 + random_below(r, 4);
	uint32_t i;

	buf_printf(group, ",\"RestartPolicy\":{\"Attempts\":%u,\"Interval\":5000000000,\"Delay\":%llu,\"Mode\":\"%s\"}",
	           random_below(r, 3), random_ms(r, 900), random_below(r, 2) ? "fail" : "delay");
	if (random_below(r, 4) == 0) {
		buf_printf(group, ",\"MaxRunDuration\":%u000000000", 1 + random_below(r, 20));
	}
	if (random_below(r, 4) == 0) {
		buf_printf(group, ",\"ShutdownDelay\":%llu", random_ms(r, 900));
	}
	if (random_below(r, 2) == 0) {
		buf_str(group, UPDATE("task_states", 500000000, 9000000000));
	}
	for (i = 0; i < n; i++) {
		buf_printf(tasks, "%s{\"Name\":\"t%u\",\"Leader\":%s,\"ShutdownDelay\":%llu", i > 0 ? "," : "", i,
		           random_below(r, 5) == 0 ? "true" : "false", random_below(r, 3) == 0 ? random_ms(r, 500) : 0);
		if (i > 0 && random_below(r, 2) == 0) {
			buf_printf(tasks, ",\"Lifecycle\":{\"Hook\":\"%s\",\"Sidecar\":%s}", hooks[random_below(r, 3)],
			           random_below(r, 2) ? "true" : "false");
		}
		buf_str(tasks, "}");
	}
}

/* Answer one of the things asked for, well or badly; false when nothing is asked for. */
static bool answer_one(struct random *r, bool kindly)
{
	struct task_failure failure = {.kind = TASK_EVENT_DRIVER_FAILURE, .text = "x", .recoverable = random_below(r, 2)};
	uint32_t from = random_below(r, f.ar.n);
	uint32_t k;
	bool bad = !kindly && random_below(r, 8) == 0;

	if (f.previous_due || f.setup_due) {
		if (f.setup_due && bad) {
			f.setup_due = false;
			alloc_runner_set_up(&f.ar, "no", &f.now);
		} else {
			fake_set_up(&f);
		}
		return true;
	}
	for (k = 0; k < f.ar.n; k++) {
		uint32_t i = (from + k) % f.ar.n;
		struct fake_task *t = &f.tasks[i];

		if (t->adopting) {
			adopt(&f, i, !bad);
		} else if (t->preparing) {
			fake_prepared(&f, i, bad ? &failure : NULL);
		} else if (t->starting) {
			fake_started(&f, i, bad ? &failure : NULL);
		} else if (t->killing && (kindly || random_below(r, 2) == 0)) {
			fake_exit(&f, i, 130, 2);
		} else {
			continue;
		}
		return true;
	}
	return false;
}

static void exit_one(struct random *r)
{
	uint32_t i = random_below(r, f.ar.n);

	if (f.tasks[i].alive && !f.tasks[i].adopting) {
		fake_exit(&f, i, random_below(r, 3) == 0 ? 1 : 0, 0);
	}
}

/* The specification comes once more, maybe for another deployment. */
static void update_same(struct random *r)
{
	struct alloc_spec *spec = alloc_spec_make(&f.ar.spec->alloc, f.ar.spec->source);

	spec->alloc.deployment_id = random_below(r, 2) ? "d1" : "d2";
	alloc_runner_update(&f.ar, spec, &f.now);
	alloc_spec_unref(spec);
}

/* One thing that happens; returns whether dead tasks may have come back. */
static bool happen(struct random *r)
{
	static const char *const names[] = {"", "t0", "t1", "nope"};
	struct buf why = {0};
	bool revived = false;
	uint32_t what = random_below(r, 40);

	f.now.random = random_next(r);
	if (what < 18) {
		(void)answer_one(r, false);
	} else if (what < 26) {
		exit_one(r);
	} else if (what < 34) {
		fake_sleep(&f, random_below(r, 700) * NS_PER_MS);
	} else if (what < 35) {
		revived = random_below(r, 4) == 0;
		(void)alloc_runner_restart(&f.ar, revived ? "" : names[random_below(r, 4)], revived, &f.now, &why);
	} else if (what < 36) {
		(void)alloc_runner_signal(&f.ar, names[random_below(r, 4)], "SIGHUP", &f.now, &why);
	} else if (what < 37) {
		hand_over(&f, random_below(r, 4) != 0);
		alloc_runner_contacted(&f.ar, &f.now);
	} else if (what < 38) {
		alloc_runner_event(&f.ar.tasks[0], TASK_EVENT_DRIVER_MESSAGE, "hm", &f.now);
	} else if (what < 39) {
		update_same(r);
	} else if (random_below(r, 20) == 0) {
		alloc_runner_stop(&f.ar, &f.now);
	}
	buf_close(&why);
	return revived;
}

/* However it stands, a stop brings it to its end. */
static void wind_up(struct random *r, struct watch *w)
{
	int patience = 1000;

	alloc_runner_stop(&f.ar, &f.now);
	alloc_runner_contacted(&f.ar, &f.now);
	check(w, false);
	while (!alloc_runner_dead(&f.ar)) {
		assert_true(--patience > 0);
		if (!answer_one(r, true)) {
			exit_one(r);
			fake_sleep(&f, S);
		}
		check(w, false);
	}
	assert_int_equal(f.ar.due_ns, 0);
}

static void whatever_happens_the_promises_hold(void **state)
{
	static const char *const types[] = {"batch", "service", "system"};
	struct random r = random_begin("alloc_runner");
	int round;
	int step;

	(void)state;
	for (round = 0; round < 600; round++) {
		struct buf group = {0};
		struct buf tasks = {0};
		struct watch w = {.failed = false};

		random_spec(&r, &group, &tasks);
		fake_open(&f, fake_spec_of(types[random_below(&r, 3)], random_below(&r, 2) ? DEPLOYED : "", buf_text(&group),
		                           buf_text(&tasks)));
		buf_close(&group);
		buf_close(&tasks);
		alloc_runner_begin(&f.ar, &f.now);
		for (step = 0; step < 150; step++) {
			check(&w, happen(&r));
		}
		wind_up(&r, &w);
		report();
		release(NULL);
	}
}

#define T(test) cmocka_unit_test_teardown(test, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(a_batch_task_that_ends_well_completes_the_allocation),
	        T(a_failure_without_attempts_is_final),
	        T(restarts_go_on_until_the_policy_ends_them),
	        T(a_start_that_cannot_succeed_is_not_tried_again),
	        T(a_download_that_may_succeed_later_is_tried_again),
	        T(a_failed_setup_fails_all_tasks),
	        T(a_stop_kills_with_the_tasks_timeout),
	        T(a_kill_timeout_is_bounded_by_the_nodes),
	        T(a_process_that_will_not_end_is_killed_again),
	        T(the_shutdown_delay_passes_before_the_kill),
	        T(delays_are_skipped_when_the_server_says_so),
	        T(a_delay_that_has_begun_is_cut_short),
	        T(the_groups_shutdown_delay_comes_before_all),
	        T(a_stop_while_waiting_for_the_previous_allocation_ends_at_once),
	        T(a_stop_during_setup_waits_for_its_end),
	        T(a_stop_while_preparing_cancels_it),
	        T(a_stop_while_starting_kills_what_was_started),
	        T(a_stop_while_waiting_for_a_restart_ends_at_once),
	        T(what_is_stopped_from_the_start_never_runs),
	        T(a_group_that_runs_too_long_is_ended_and_complete),
	        T(a_service_runs_as_long_as_it_likes),
	        T(a_failed_task_takes_its_siblings_down),
	        T(a_task_that_ends_well_leaves_the_others_alone),
	        T(the_end_of_the_leader_ends_the_others),
	        T(the_leader_is_stopped_before_the_others),
	        T(the_stages_of_the_lifecycle_follow_each_other),
	        T(sidecars_are_stopped_after_the_main_tasks),
	        T(a_failed_prestart_task_keeps_the_main_task_from_running),
	        T(a_users_restart_is_free_of_the_policy),
	        T(what_fails_its_checks_is_restarted_as_the_policy_says),
	        T(a_restart_of_one_task_leaves_the_other_alone),
	        T(a_restart_of_all_brings_dead_tasks_back),
	        T(a_restart_of_all_keeps_the_order_of_hooks),
	        T(wishes_that_make_no_sense_are_refused_with_their_texts),
	        T(servers_that_took_it_for_unknown_are_told_once),
	        T(a_signal_reaches_one_or_all),
	        T(one_task_that_does_not_run_is_not_restarted),
	        T(an_allocation_is_healthy_after_the_least_healthy_time),
	        T(a_failed_task_is_unhealthy_at_once),
	        T(the_deadline_makes_unhealthy),
	        T(manual_health_and_batch_jobs_get_no_verdict),
	        T(without_a_deployment_the_migrate_block_decides),
	        T(checks_hold_the_verdict_back),
	        T(another_deployment_asks_again),
	        T(a_running_task_is_adopted_without_a_word),
	        T(a_task_that_was_let_go_as_its_agent_died_has_started),
	        T(a_task_that_never_ran_is_started_without_a_word),
	        T(a_task_that_never_ran_and_is_not_wanted_ends),
	        T(a_task_that_is_gone_waits_for_a_server_and_runs_again),
	        T(a_dead_task_stays_dead_over_a_restart_of_the_agent),
	        T(a_kill_that_was_under_way_is_carried_on),
	        T(a_verdict_is_remembered),
	        T(the_attempts_are_counted_over_a_restart_of_the_agent),
	        T(useless_specifications_are_refused),
	        T(whatever_happens_the_promises_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
