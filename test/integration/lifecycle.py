#!/usr/bin/env python3
"""The life of tasks as the API tells it: order, ends, events with their texts, limits. One cluster for all cases."""
from lab import *

MS = SECOND // 1000
the_lab = []
NO_RESTARTS = {"RestartPolicy": {"Attempts": 0, "Interval": 600 * SECOND, "Delay": SECOND, "Mode": "fail"},
               "ReschedulePolicy": {"Attempts": 0, "Unlimited": False}}
CONFIG = "client {\n  max_kill_timeout = \"2s\"\n}\n"


def lab():
    """One cluster for all cases: it ends with the last, and stays when a case has failed."""
    if not the_lab:
        the_lab.append(Lab(1, 1, config=CONFIG))
        at_end.pop()
        atexit.register(lambda: the_lab[0].close(False))
    return the_lab[0]


def server():
    return lab().servers[0]


def named(name, script, **more):
    return dict(shell(script), Name=name, **more)


def hook(when, sidecar=False):
    return {"Hook": when, "Sidecar": sidecar}


def begin(tasks, kind="batch", group=None, **more):
    """The ID of the allocation of a new job."""
    j = job(kind=kind, tasks=tasks, group=dict(NO_RESTARTS, **(group or {})), **more)
    server().register(j)
    return until(10, "an allocation of " + j["ID"], lambda: lab().allocs(j["ID"]))[0]["ID"], j["ID"]


def alloc(alloc_id):
    return server().read("/v1/allocation/" + alloc_id)


def state(alloc_id, name="t"):
    return (alloc(alloc_id).get("TaskStates") or {}).get(name) or {"State": "", "Events": []}


def ended(alloc_id, status="complete", seconds=15):
    return until(seconds, lambda: "%s: %s" % (status, describe(alloc_id)), lambda: (lambda a: a["ClientStatus"] == status and a)(alloc(alloc_id)))


def describe(alloc_id):
    a = alloc(alloc_id)
    return a["ClientStatus"], a["ClientDescription"], {n: (s["State"], [(e["Type"], e["DisplayMessage"]) for e in s["Events"]])
                                                       for n, s in (a.get("TaskStates") or {}).items()}


def runs(alloc_id, name="t"):
    until(10, lambda: "%s runs: %s" % (name, describe(alloc_id)), lambda: state(alloc_id, name)["State"] == "running")
    return alloc_id


def types(alloc_id, name="t"):
    return [e["Type"] for e in state(alloc_id, name)["Events"]]


def event(alloc_id, kind, name="t"):
    found = [e for e in state(alloc_id, name)["Events"] if e["Type"] == kind]
    check(found, "no event", kind, "in", describe(alloc_id))
    return found[-1]


def told(e, message, **details):
    same(e["DisplayMessage"], message)
    for key, value in details.items():
        same(e["Details"].get(key), value, key)


def time_of(alloc_id, name, kind):
    return event(alloc_id, kind, name)["Time"]


def stop(job_id):
    server().ask("DELETE", "/v1/job/" + job_id).want(200)


def seconds(text):
    """Unix nanoseconds of the API's time."""
    import datetime
    whole, _, rest = text.rstrip("Z").partition(".")
    return int(datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc).timestamp()) * SECOND + int(
        (rest + "000000000")[:9])


# ---- order

def tasks_start_and_end_in_the_order_of_their_hooks():
    order = "echo $NOMAD_TASK_NAME-%s >>$NOMAD_ALLOC_DIR/data/order"
    both = lambda last: "%s; sleep %s; %s" % (order % "begins", last, order % "ends")
    a, _ = begin([named("after", both(0), Lifecycle=hook("poststop")),
                  named("main", both(0.6)),
                  named("begun", both(0.1), Lifecycle=hook("poststart")),
                  named("side", order % "begins" + "; trap '%s; exit 0' INT; while :; do sleep 0.1; done" % (order % "ends"),
                        Lifecycle=hook("prestart", True)),
                  named("before", both(0.1), Lifecycle=hook("prestart"))])
    ended(a)
    got = server().get("/v1/client/fs/cat/%s?path=alloc/data/order" % a).text.split()
    place = lambda word: got.index(word)
    check(place("side-begins") < place("main-begins") and place("before-ends") < place("main-begins") < place("begun-begins"), got)
    check(place("main-ends") < place("side-ends") < place("after-begins") < place("after-ends"), got)
    told(event(a, "Main Tasks Dead", "side"), "Main tasks in the group died")
    check("Killed" in types(a, "side") and not state(a, "side")["Failed"], describe(a))


def when_the_leader_ends_the_others_are_killed():
    a, _ = begin([named("first", "sleep 0.3", Leader=True), named("other", "exec sleep 1000")])
    ended(a)
    told(event(a, "Leader Task Dead", "other"), "Leader Task in Group dead")
    check("Leader Task Dead" not in types(a, "first"), describe(a))
    same(event(a, "Terminated", "other")["Signal"], 2)


def a_failed_task_takes_its_siblings_along():
    a, _ = begin([named("bad", "sleep 0.3; exit 4"), named("good", "sleep 1000")])
    ended(a, "failed")
    told(event(a, "Sibling Task Failed", "good"), "Task's sibling \"bad\" failed", failed_sibling="bad")
    told(event(a, "Not Restarting", "bad"), "Policy allows no restarts", restart_reason="Policy allows no restarts", fails_task="true")
    same((state(a, "bad")["Failed"], state(a, "good")["Failed"]), (True, False))


def a_failed_prestart_task_keeps_the_main_task_from_starting():
    a, _ = begin([named("before", "exit 1", Lifecycle=hook("prestart")), named("main", "true"),
                  named("after", "true", Lifecycle=hook("poststop"))])
    ended(a, "failed")
    check("Started" not in types(a, "main"), describe(a))
    until(10, lambda: "poststop tasks run all the same: %s" % (describe(a),), lambda: "Started" in types(a, "after"))


# ---- ends

def a_kill_timeout_is_followed_by_sigkill_and_bounded_by_the_node():
    a, j = begin([dict(shell("trap '' INT; echo up; while :; do sleep 0.1; done"), KillTimeout=60 * SECOND)], kind="service")
    runs(a)
    until(5, "the trap is set", lambda: logs(a) == "up\n")
    began = time.monotonic()
    stop(j)
    ended(a)
    took = time.monotonic() - began
    check(1.8 < took, "it took", took)
    quick(took, 5, "killing")
    told(event(a, "Killing"), "Sent interrupt. Waiting 2s before force killing", kill_timeout="2s")
    e = event(a, "Terminated")
    same((e["ExitCode"], e["Signal"]), (137, 9))
    told(e, "Exit Code: 137, Signal: 9", exit_code="137", signal="9", oom_killed="false")
    told(event(a, "Killed"), "Task successfully killed")


def a_kill_signal_of_its_own_is_sent():
    a, j = begin([dict(shell("trap 'exit 7' USR2; echo up; while :; do sleep 0.05; done"), KillSignal="SIGUSR2")], kind="service")
    runs(a)
    until(5, "the trap is set", lambda: logs(a) == "up\n")
    stop(j)
    ended(a)
    same(event(a, "Terminated")["ExitCode"], 7)


def shutdown_delay_is_waited_for_and_can_be_skipped():
    for skip in (False, True):
        a, j = begin([task(ShutdownDelay=int(1.2 * SECOND))], kind="service")
        runs(a)
        began = time.monotonic()
        server().ask("DELETE", "/v1/job/%s%s" % (j, "?no_shutdown_delay=true" if skip else "")).want(200)
        ended(a)
        took = time.monotonic() - began
        if skip:
            quick(took, 1, "ending without the delay")
            told(event(a, "Skipping shutdown delay"), "Skipping shutdown_delay of 1.2s before killing the task.")
        else:
            check(took >= 1.2, "it took", took)
            told(event(a, "Waiting for shutdown delay"), "Waiting for shutdown_delay of 1.2s before killing the task.")


def max_run_duration_ends_a_batch_task():
    a, _ = begin([task()], group={"MaxRunDuration": SECOND})
    found = until(15, lambda: "it has ended: %s" % (describe(a),), lambda: (lambda x: x["ClientStatus"] in ("complete", "failed") and x)(alloc(a)))
    took = seconds(state(a)["FinishedAt"]) - seconds(state(a)["StartedAt"])
    check(0.8 * SECOND < took, "it ran", took)
    quick(took / SECOND, 4, "running")
    same((found["ClientStatus"], found["ClientDescription"]), ("complete", "allocation exceeded max_run_duration"))
    same(state(a)["Failed"], False)
    told(event(a, "Killing"), "allocation exceeded max_run_duration", kill_reason="allocation exceeded max_run_duration")


# ---- restarts

def times_and_counts_of_restarts_are_told():
    a, _ = begin([shell("exit 3")], group={"RestartPolicy": {"Attempts": 2, "Interval": 600 * SECOND, "Delay": 100 * MS, "Mode": "fail"}})
    ended(a, "failed")
    s = state(a)
    same((s["Restarts"], s["Failed"], s["State"]), (2, True, "dead"))
    check(seconds(s["LastRestart"]) <= seconds(s["StartedAt"]) <= seconds(s["FinishedAt"]), s)
    same([t for t in types(a) if t != "Task Setup"], ["Received", "Started", "Terminated", "Restarting", "Started", "Terminated", "Restarting",
                                                      "Started", "Terminated", "Not Restarting"][1 if len(types(a)) == 10 else 0:])
    e = event(a, "Restarting")
    delay = int(e["Details"]["start_delay"])
    check(100 * MS <= delay <= 125 * MS, "with jitter:", delay)
    same((e["StartDelay"], e["Details"]["restart_reason"]), (delay, "Restart within policy"))
    check(e["DisplayMessage"].startswith("Task restarting in 1"), e)
    told(event(a, "Not Restarting"), "Exceeded allowed attempts 2 in interval 10m0s and mode is \"fail\"")


def mode_delay_waits_for_the_next_interval():
    a, j = begin([shell("exit 1")], kind="service",
                 group={"RestartPolicy": {"Attempts": 1, "Interval": 120 * SECOND, "Delay": 100 * MS, "Mode": "delay"}})
    until(10, lambda: "a delay: %s" % (describe(a),), lambda: any("applying a delay" in e["DisplayMessage"] for e in state(a)["Events"]))
    e = [e for e in state(a)["Events"] if "applying a delay" in e["DisplayMessage"]][0]
    check(60 * SECOND < e["StartDelay"] <= 120 * SECOND, e)
    same(state(a)["State"], "pending")
    stop(j)
    ended(a, "complete")


def at_most_ten_events_are_kept_the_newest():
    a, _ = begin([shell("exit 1")], group={"RestartPolicy": {"Attempts": 6, "Interval": 600 * SECOND, "Delay": 20 * MS, "Mode": "fail"}})
    ended(a, "failed")
    s = state(a)
    same(len(s["Events"]), 10)
    same(s["Events"][-1]["Type"], "Not Restarting")
    check("Received" not in types(a), types(a))
    times = [e["Time"] for e in s["Events"]]
    check(times == sorted(times) and times[0] > 10 ** 18, times)


# ---- what a user asks for

def logs(alloc_id, name="t", kind="stdout", more=""):
    return server().get("/v1/client/fs/logs/%s?task=%s&type=%s&plain=true%s" % (alloc_id, name, kind, more)).text


def a_signal_is_told_and_delivered():
    a, j = begin([shell("trap 'echo got' HUP; echo up; while :; do sleep 0.05; done")], kind="service")
    runs(a)
    until(5, "the trap is set", lambda: logs(a) == "up\n")
    server().put("/v1/client/allocation/%s/signal" % a, {"Signal": "SIGHUP", "TaskName": "t"}).want(200)
    until(5, lambda: logs(a), lambda: logs(a) == "up\ngot\n")
    told(until(5, "the event", lambda: "Signaling" in types(a) and event(a, "Signaling")), "Task being sent a signal", signal="SIGHUP")
    stop(j)


def a_restart_is_told_and_counted():
    a, j = begin([task()], kind="service")
    runs(a)
    before = task_pids(lab(), a)
    server().put("/v1/client/allocation/%s/restart" % a, {"TaskName": "t"}).want(200)
    until(10, lambda: describe(a), lambda: state(a)["Restarts"] == 1 and state(a)["State"] == "running")
    told(event(a, "Restart Signaled"), "User requested task to restart")
    check(not set(before) & set(until(5, "a new process", task_pids, lab(), a)), "the same process")
    stop(j)


def a_restart_of_all_tasks_keeps_the_order_of_their_hooks():
    a, j = begin([named("before", "sleep 0.5", Lifecycle=hook("prestart")), task()], kind="service")
    runs(a)
    server().put("/v1/client/allocation/%s/restart" % a, {"TaskName": "before"}).want(500, "Task not running")
    server().put("/v1/client/allocation/%s/restart" % a, {"AllTasks": True}).want(200)
    until(10, lambda: "both once more: %s" % (describe(a),),
          lambda: [(state(a, n)["Restarts"], state(a, n)["State"]) for n in ("before", "t")] == [(1, "dead"), (1, "running")])
    same(event(a, "Restart Signaled", "before")["DisplayMessage"], "User requested all tasks to restart")
    check(seconds(state(a)["StartedAt"]) >= seconds(state(a, "before")["FinishedAt"]), describe(a))
    stop(j)


def a_stopped_allocation_is_replaced_and_tells_its_evaluation():
    a, j = begin([task()], kind="service")
    runs(a)
    r = server().put("/v1/allocation/%s/stop" % a, {}).want(200)
    evaluation = server().read("/v1/evaluation/" + r.json["EvalID"])
    same((evaluation["TriggeredBy"], evaluation["JobID"]), ("alloc-stop", j))
    check(r.json["Index"] == evaluation["CreateIndex"] or r.json["Index"] > 0, r.json)
    ended(a)
    same(alloc(a)["DesiredStatus"], "stop")
    other = until(10, "another", lambda: [x for x in lab().running(j, 1) if x["ID"] != a])[0]
    same(alloc(a)["NextAllocation"], other["ID"])
    same(alloc(other["ID"])["PreviousAllocation"], a)
    check(state(other["ID"]) and seconds(state(other["ID"])["StartedAt"]) >= seconds(state(a)["FinishedAt"]), "it did not wait")
    stop(j)


def a_stopped_batch_allocation_is_replaced_too():
    for how in ("", "?reschedule=true"):
        a, j = begin([task()])
        runs(a)
        server().put("/v1/allocation/%s/stop%s" % (a, how), {}).want(200)
        ended(a)
        same(alloc(a)["DesiredDescription"], "alloc is being migrated")
        other = until(10, "another", lambda: [x for x in lab().running(j, 1) if x["ID"] != a])[0]
        same((other["Name"], alloc(other["ID"])["PreviousAllocation"]), (alloc(a)["Name"], a))
        stop(j)


# ---- files

def frames_come_at_once_and_a_silent_stream_tells_that_it_goes_on():
    a, j = begin([shell("echo one; sleep 2.5; echo two; sleep 600")])
    runs(a)
    until(5, "its output", lambda: logs(a) == "one\n")
    c = server().connection()
    c.request("GET", "/v1/client/fs/logs/%s?task=t&type=stdout&follow=true" % a)
    r = c.getresponse()
    same((r.status, r.getheader("Content-Type")), (200, "application/json"))
    text = b""
    while b"dHdvCg==" not in text:
        text += r.read1()
    c.close()
    frames = [json.loads(x) for x in re.findall(r"\{[^}]*\}", text.decode())]
    same((frames[0], frames[-1]), ({"Offset": 4, "Data": "b25lCg==", "File": "alloc/logs/t.stdout.0"},
                                   {"Offset": 8, "Data": "dHdvCg==", "File": "alloc/logs/t.stdout.0"}))
    check({} in frames[1:-1], frames)
    stop(j)


def wrong_parameters_of_files_are_told():
    a, j = begin([shell("printf hello > local/f; sleep 600"), named("later", "sleep 600", Driver="mock_driver", Config={"start_block_for": "60s"})])
    until(5, "a file", lambda: server().get("/v1/client/fs/stat/%s?path=t/local/f" % a).status == 200)
    for path, status, text in (("readat/%s?path=t/local/f", 500, 'error parsing offset: strconv.ParseInt: parsing "": invalid syntax'),
                               ("readat/%s?path=t/local/f&offset=1&limit=x", 500, 'error parsing limit: strconv.ParseInt: parsing "x": invalid syntax'),
                               ("readat/%s?path=t/local/f&offset=1&limit=0", 200, "ello"),
                               ("stream/%s?path=t/local/f&follow=x", 500, 'failed to parse follow field to boolean: strconv.ParseBool: parsing "x": invalid syntax'),
                               ("logs/%s?task=t&type=stdout&follow=x", 400, 'failed to parse follow field to boolean: strconv.ParseBool: parsing "x": invalid syntax'),
                               ("logs/%s?task=nobody&type=stdout", 400, 'unknown task name "nobody"'),
                               ("logs/%s?task=later&type=stdout", 404, 'task "later" not started yet. No logs available'),
                               ("nothing/%s", 404, "Invalid method")):
        for agent in lab().servers + lab().clients:
            r = agent.get("/v1/client/fs/" + path % a)
            same((r.status, r.text), (status, text))
    same(server().read("/v1/client/fs/stat/%s?path=/" % a)["Name"], a)
    same(json.loads(server().get("/v1/client/fs/stream/%s?path=/t/local/f&follow=false" % a).text)["File"], "/t/local/f")
    stop(j)


# ---- limits

def limited(script, **more):
    return task(driver="exec", args={"command": "/bin/sh", "args": ["-c", script]}, **more)


def can_limit():
    node = server().read("/v1/node/" + lab().node(lab().clients[0])["ID"])
    if not node["Drivers"].get("exec", {}).get("Healthy"):
        raise Skip("the driver exec is not healthy here: " + node["Drivers"].get("exec", {}).get("HealthDescription", ""))


def use_memory(mib):
    return "exec python3 -c 'x = bytearray(%d << 20)'" % mib


def a_task_that_takes_too_much_memory_is_killed_and_told_so():
    can_limit()
    a, _ = begin([limited(use_memory(150), Resources={"CPU": 50, "MemoryMB": 30})])
    ended(a, "failed")
    e = event(a, "Terminated")
    told(e, "Exit Code: 137, Signal: 9, Exit Message: \"OOM Killed\"", oom_killed="true", exit_message="OOM Killed")
    b, _ = begin([limited(use_memory(20), Resources={"CPU": 50, "MemoryMB": 60})])
    ended(b)
    same(event(b, "Terminated")["Details"]["oom_killed"], "false")


def a_task_may_use_as_much_memory_as_its_maximum():
    can_limit()
    server().put("/v1/operator/scheduler/configuration", dict(server().read("/v1/operator/scheduler/configuration")["SchedulerConfig"],
                                                              MemoryOversubscriptionEnabled=True)).want(200)
    a, _ = begin([limited(use_memory(100), Resources={"CPU": 50, "MemoryMB": 30, "MemoryMaxMB": 200})])
    ended(a)


def shares_of_cpu_are_felt():
    """Two tasks on one processor, one with four times the shares of the other."""
    can_limit()
    spin = "taskset -cp %d $$ >/dev/null; i=0; while :; do i=$((i+1)); done" % min(os.sched_getaffinity(0))
    both = [begin([limited(spin, Resources={"CPU": cpu, "MemoryMB": 20})], kind="service") for cpu in (100, 400)]
    for a, _ in both:
        runs(a)

    def used(a):
        return sum(sum(map(int, open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[11:13])) for pid in task_pids(lab(), a))
    before = [used(a) for a, _ in both]
    time.sleep(2)
    few, many = [used(a) - was for (a, _), was in zip(both, before)]
    for _, j in both:
        stop(j)
    check(many > 2 * few, "ticks:", few, many)
    return "%d and %d ticks" % (few, many)


def what_tasks_use_is_told_for_all_and_for_one():
    a, j = begin([named("one", "while :; do :; done"), named("two", "exec sleep 1000")], kind="service")
    runs(a, "one")
    runs(a, "two")
    path = "/v1/client/allocation/%s/stats" % a
    percent = lambda name: server().read(path)["Tasks"][name]["ResourceUsage"]["CpuStats"]["Percent"]
    until(10, "the one is busy", lambda: percent("one") > 10)
    until(10, "the other is not", lambda: percent("two") < 10)
    all_of = server().read(path)
    same(sorted(all_of["Tasks"]), ["one", "two"])
    check(all_of["ResourceUsage"]["MemoryStats"]["RSS"] > 0 and all_of["Timestamp"] > 10 ** 18, all_of)
    same(list(server().read(path + "?task=two")["Tasks"]), ["two"])
    server().get(path + "?task=three").want(500, 'has no task "three"')
    stop(j)


# ---- output

def rotation_loses_no_byte():
    script = "i=0; while [ $i -lt 60000 ]; do echo $i-0123456789012345678901234567890123456789; i=$((i+1)); done"
    a, _ = begin([dict(shell(script), LogConfig={"MaxFiles": 5, "MaxFileSizeMB": 1})])
    ended(a, seconds=40)
    want = "".join("%d-%s\n" % (i, "0123456789" * 4) for i in range(60000))
    same(len(logs(a)), len(want), "bytes")
    check(logs(a) == want, "the output differs")
    names = [f["Name"] for f in server().read("/v1/client/fs/ls/%s?path=alloc/logs" % a)]
    check("t.stdout.0" in names and "t.stdout.2" in names, names)
    same(logs(a, more="&origin=end&offset=50"), want[-50:])
    same(logs(a, more="&offset=%d" % (len(want) - 10)), want[-10:])


def rotation_keeps_as_many_files_as_it_may():
    script = "i=0; while [ $i -lt 80000 ]; do echo $i-0123456789012345678901234567890123456789; i=$((i+1)); done"
    a, _ = begin([dict(shell(script), LogConfig={"MaxFiles": 2, "MaxFileSizeMB": 1})])
    ended(a, seconds=40)
    files = [f for f in server().read("/v1/client/fs/ls/%s?path=alloc/logs" % a) if f["Name"].startswith("t.stdout")]
    same([f["Name"] for f in sorted(files, key=lambda f: f["Name"])], ["t.stdout.2", "t.stdout.3"])
    check(all(f["Size"] <= 1 << 20 for f in files), files)
    check(logs(a).endswith("79999-%s\n" % ("0123456789" * 4)), "the end is lost")


def the_first_event_is_told_at_once():
    """Within 50 ms of its time, so that a deployment or a waiting user is not held up. The best of a few counts."""
    delays = []
    for i in range(5):
        a, j = begin([task()], kind="service")
        index = 0
        while True:
            r = server().get("/v1/allocation/%s?index=%d&wait=5s" % (a, index))
            s = (r.json.get("TaskStates") or {}).get("t") or {"State": ""}
            if s["State"] == "running":
                break
            index = r.index
        delays.append(time.time() - seconds(s["StartedAt"]) / SECOND)
        stop(j)
    SANITIZED or quick(min(delays), 0.05, "delays:", delays)
    return "after %s ms" % ", ".join("%.0f" % (d * 1000) for d in delays)


if __name__ == "__main__":
    run(tasks_start_and_end_in_the_order_of_their_hooks, when_the_leader_ends_the_others_are_killed, a_failed_task_takes_its_siblings_along,
        a_failed_prestart_task_keeps_the_main_task_from_starting, a_kill_timeout_is_followed_by_sigkill_and_bounded_by_the_node,
        a_kill_signal_of_its_own_is_sent, shutdown_delay_is_waited_for_and_can_be_skipped, max_run_duration_ends_a_batch_task,
        times_and_counts_of_restarts_are_told, mode_delay_waits_for_the_next_interval, at_most_ten_events_are_kept_the_newest,
        a_signal_is_told_and_delivered, a_restart_is_told_and_counted,
        a_restart_of_all_tasks_keeps_the_order_of_their_hooks, a_stopped_allocation_is_replaced_and_tells_its_evaluation,
        a_stopped_batch_allocation_is_replaced_too, frames_come_at_once_and_a_silent_stream_tells_that_it_goes_on, wrong_parameters_of_files_are_told,
        a_task_that_takes_too_much_memory_is_killed_and_told_so, a_task_may_use_as_much_memory_as_its_maximum, shares_of_cpu_are_felt,
        what_tasks_use_is_told_for_all_and_for_one, rotation_loses_no_byte, rotation_keeps_as_many_files_as_it_may, the_first_event_is_told_at_once)
