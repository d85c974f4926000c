#!/usr/bin/env python3
"""Tasks run on while their agent or all servers are killed, and what happened meanwhile is told."""
from lab import *


def started(alloc):
    return [e for e in alloc["TaskStates"]["t"]["Events"] if e["Type"] == "Started"]


def one_task(lab, **kw):
    """A service job with one task that runs: its allocation's ID and its PIDs."""
    name = new_id("svc")
    lab.servers[0].register(job(name, **kw))
    alloc = lab.running(name, 1)[0]
    pids = until(5, "processes of the task", task_pids, lab, alloc["ID"])
    return name, alloc["ID"], pids


def an_agent_that_is_killed_or_stopped_finds_its_tasks_again():
    lab = Lab(1, 1)
    client = lab.clients[0]
    name, alloc, pids = one_task(lab)
    for end in (client.kill, client.end, client.kill):
        end()
        time.sleep(0.3)
        same(task_pids(lab, alloc), pids, "while the agent is away")
        client.start()
        lab.wait()
        until(10, "the allocation is reported again", lambda: lab.allocs(name, ClientStatus="running"))
        time.sleep(0.5)
        same(task_pids(lab, alloc), pids, "after the restart")
        state = lab.alloc(alloc)["TaskStates"]["t"]
        same((state["State"], state["Restarts"], state["Failed"]), ("running", 0, False))
        same(len(started(lab.alloc(alloc))), 1, "Started events")
    same(len(lab.allocs(name)), 1, "allocations")
    # It is still the agent's to stop.
    lab.servers[0].ask("DELETE", "/v1/job/" + name).want(200)
    until(10, "the task is gone", lambda: not any(is_alive(p) for p in pids))
    until(10, "it is complete", lambda: lab.allocs(name, ClientStatus="complete"))


def tasks_that_end_while_the_agent_is_away_are_reported():
    lab = Lab(1, 1)
    client = lab.clients[0]
    name, bad, flag = new_id("ends"), new_id("fails"), os.path.join(lab.dir, "flag")
    for job_id, code in ((name, 0), (bad, 3)):
        lab.servers[0].register(job(job_id, kind="batch", tasks=[shell("while [ ! -e %s ]; do sleep 0.1; done; exit %d" % (flag, code))],
                                    group={"RestartPolicy": {"Attempts": 0, "Interval": 60 * SECOND, "Delay": SECOND, "Mode": "fail"},
                                           "ReschedulePolicy": {"Attempts": 0, "Unlimited": False}}))
    for job_id in (name, bad):
        lab.running(job_id, 1)
    allocs = [lab.allocs(job_id)[0]["ID"] for job_id in (name, bad)]
    client.kill()
    open(flag, "w").close()
    until(10, "they end", lambda: not any(main_pids(lab, a) for a in allocs))
    client.start()
    lab.completed(name, 1)
    until(10, lambda: "it has failed: %s" % lab.allocs(bad), lambda: lab.allocs(bad, ClientStatus="failed"))
    events = lab.alloc(lab.allocs(bad)[0]["ID"])["TaskStates"]["t"]["Events"]
    check(any(e["Type"] == "Terminated" and e["ExitCode"] == 3 for e in events), events)


def tasks_that_fail_are_restarted_and_counted_across_an_agents_restart():
    lab = Lab(1, 1)
    client = lab.clients[0]
    name, path = new_id("again"), os.path.join(lab.dir, "counter")
    # It fails twice at once, then runs.
    script = "n=$(cat %s 2>/dev/null || echo 0); echo $((n + 1)) >%s; [ $n -ge 2 ] || exit 1; exec sleep 1000" % (path, path)
    lab.servers[0].register(job(name, tasks=[shell(script)]))

    def restarts():
        found = lab.allocs(name)
        state = lab.alloc(found[0]["ID"]).get("TaskStates") if found else None
        return state and state["t"]["State"] == "running" and state["t"]["Restarts"]
    until(15, lambda: "two restarts: %s" % restarts(), lambda: restarts() == 2)
    client.kill()
    client.start()
    lab.wait()
    time.sleep(1)
    same(restarts(), 2)
    same(open(path).read().strip(), "3", "starts")


def an_agent_killed_in_the_middle_of_starts_starts_nothing_again():
    lab = Lab(1, 1)
    client = lab.clients[0]
    for i in range(8):
        name, path = new_id("twice"), os.path.join(lab.dir, "starts%d" % i)
        lab.servers[0].register(job(name, tasks=[shell("echo x >>%s; [ $(wc -l <%s) -ge 3 ] || exit 1; exec sleep 1000" % (path, path))]))
        starts = lambda: len(open(path).read().split()) if os.path.exists(path) else 0
        until(15, "three starts", lambda: starts() >= 3)
        time.sleep(i * 0.005)
        client.kill()
        client.start()
        lab.wait()
        lab.running(name, 1)
        alloc = lab.allocs(name)[0]["ID"]
        until(5, lambda: "one process: %s" % main_pids(lab, alloc), lambda: len(main_pids(lab, alloc)) == 1)
        time.sleep(0.3)
        same(len(main_pids(lab, alloc)), 1, "processes")
        same(starts(), 3, "starts")


def tasks_do_not_notice_that_all_servers_restart():
    lab = Lab(3, 1)
    name, alloc, pids = one_task(lab)
    for s in lab.servers:
        s.kill()
    time.sleep(1)
    for s in lab.servers:
        s.start()
    lab.wait()
    until(10, "running", lambda: lab.allocs(name, ClientStatus="running", DesiredStatus="run"))
    same(task_pids(lab, alloc), pids)
    same(len(lab.allocs(name)), 1)
    # The client hears of the new leader.
    other = new_id("later")
    lab.leader().register(job(other, kind="batch", tasks=[task("/bin/true", ())]))
    lab.completed(other, 1)


def a_client_goes_to_another_server_when_its_own_is_killed():
    lab = Lab(3, 1, config="server {\n  min_heartbeat_ttl = \"1s\"\n  heartbeat_grace = \"2s\"\n}\n")
    name, alloc, pids = one_task(lab)
    for victim in lab.servers:
        victim.kill()
        done = new_id("done")
        until(10, "registered", lambda: lab.leader().put("/v1/jobs", {"Job": job(done, kind="batch", tasks=[task("/bin/true", ())])}).status == 200)
        lab.completed(done, 1)
        time.sleep(3.5)  # Longer than a lease: it has been renewed, or the node would be down.
        same(lab.node(lab.clients[0])["Status"], "ready")
        victim.start()
        lab.leader()
        lab.same_state()
    same(task_pids(lab, alloc), pids)


def a_batch_of_many_tasks_completes_each_once():
    lab = Lab(3, 2)
    name, path = new_id("many"), os.path.join(lab.dir, "lines")
    lab.leader().register(job(name, count=60, kind="batch", tasks=[shell("echo $NOMAD_ALLOC_INDEX >>%s" % path)]))
    began = time.monotonic()
    found = lab.completed(name, 60, 60)
    took = time.monotonic() - began
    same(len(found), 60)
    same(sorted(int(l) for l in open(path)), list(range(60)), "indexes")
    same({a["NodeName"] for a in found} <= {"c1", "c2"}, True)
    return "60 tasks in %.1f s" % took


def logs_and_files_are_read_through_every_agent():
    lab = Lab(3, 1)
    name = new_id("log")
    lab.servers[0].register(job(name, tasks=[shell("echo to-stdout; echo to-stderr >&2; echo kept >$NOMAD_TASK_DIR/file; exec sleep 1000")]))
    alloc = lab.running(name, 1)[0]["ID"]
    for agent in lab.agents:
        for kind in ("stdout", "stderr"):
            until(5, lambda: "%s through %s" % (kind, agent), lambda: agent.get("/v1/client/fs/logs/%s?task=t&type=%s&plain=true" % (alloc, kind)).text
                  == "to-%s\n" % kind)
        same(agent.get("/v1/client/fs/cat/%s?path=t/local/file" % alloc).want(200).text, "kept\n", agent)
    out = subprocess.run([DROVER, "alloc", "logs", alloc], env=dict(os.environ, NOMAD_ADDR=lab.servers[1].url), stdout=subprocess.PIPE, timeout=120)
    same(out.stdout, b"to-stdout\n")


def what_a_job_needs_and_cannot_have_is_told_and_given_later():
    lab = Lab(1, 1)
    name = new_id("big")
    node = lab.servers[0].read("/v1/node/" + lab.node(lab.clients[0])["ID"])
    memory = node["NodeResources"]["Memory"]["MemoryMB"]
    filler = job(new_id("filler"), tasks=[task(Resources={"CPU": 20, "MemoryMB": memory - 60})])
    lab.servers[0].register(filler)
    lab.running(filler["ID"], 1)
    evaluation = lab.servers[0].register(job(name, tasks=[task(Resources={"CPU": 20, "MemoryMB": 300})]))["EvalID"]
    done = until(10, "the evaluation is complete", lambda: (lambda e: e["Status"] == "complete" and e)(lab.servers[0].read("/v1/evaluation/" + evaluation)))
    check(done.get("BlockedEval"), done)
    same(list(done["FailedTGAllocs"]["g"]["DimensionExhausted"]), ["memory"])
    same(lab.allocs(name), [])
    lab.servers[0].ask("DELETE", "/v1/job/" + filler["ID"]).want(200)
    lab.running(name, 1)


if __name__ == "__main__":
    run(an_agent_that_is_killed_or_stopped_finds_its_tasks_again, tasks_that_end_while_the_agent_is_away_are_reported,
        tasks_that_fail_are_restarted_and_counted_across_an_agents_restart,
        an_agent_killed_in_the_middle_of_starts_starts_nothing_again, tasks_do_not_notice_that_all_servers_restart,
        a_client_goes_to_another_server_when_its_own_is_killed, a_batch_of_many_tasks_completes_each_once,
        logs_and_files_are_read_through_every_agent, what_a_job_needs_and_cannot_have_is_told_and_given_later)
