#!/usr/bin/env python3
"""Many simulated nodes (scripts/lab sim): what is placed on them fits, has names of its own, and stays so while things change."""
from collections import Counter

from lab import *

NODES = 60


def mock(run_for="1000h", cpu=500, memory=300):
    return task(driver="mock_driver", args={"run_for": run_for}.items(), Resources={"CPU": cpu, "MemoryMB": memory})


def cluster():
    lab = Lab(3, 0)
    lab.verb("sim", str(NODES))
    return lab


def live(allocs):
    return [a for a in allocs if a["DesiredStatus"] == "run" and a["ClientStatus"] in ("pending", "running")]


def verify(lab):
    """No node has more than it offers, and no name is given twice. One answer is one moment. Returns how many are live."""
    allocs = live(lab.leader().read("/v1/allocations?resources=true"))
    nodes = {n["ID"]: n for n in lab.leader().read("/v1/nodes?resources=true")}
    used = Counter()
    for a in allocs:
        for t in a["AllocatedResources"]["Tasks"].values():
            used[a["NodeID"], "cpu"] += t["Cpu"]["CpuShares"]
            used[a["NodeID"], "memory"] += t["Memory"]["MemoryMB"]
        used[a["NodeID"], "disk"] += a["AllocatedResources"]["Shared"]["DiskMB"]
    for (node, what), n in used.items():
        r = nodes[node]["NodeResources"]
        offered = {"cpu": r["Cpu"]["CpuShares"], "memory": r["Memory"]["MemoryMB"], "disk": r["Disk"]["DiskMB"]}[what]
        check(n <= offered, nodes[node]["Name"], "has", offered, what, "and", n, "of it in use")
    twice = [name for name, n in Counter((a["JobID"], a["Name"]) for a in allocs).items() if n > 1]
    check(not twice, "names of two that run:", twice[:5])
    return len(allocs)


def what_is_placed_fits_and_has_names_of_its_own():
    lab = cluster()
    names = [new_id("svc") for _ in range(8)]
    for name in names:
        lab.leader().register(job(name, count=100, tasks=[mock()]))
    for name in names:
        lab.running(name, 100, seconds=60)
    same(verify(lab), 800)
    for k, name in enumerate(names):  # More, fewer, and other ones.
        lab.leader().register(job(name, count=150 if k % 2 else 40, tasks=[mock(cpu=500 if k < 4 else 600)],
                                  group={"Update": {"MaxParallel": 0}}))
    for k, name in enumerate(names):
        lab.running(name, 150 if k % 2 else 40, seconds=60)
    same(verify(lab), 4 * 150 + 4 * 40)
    lab.same_state()


def what_does_not_fit_waits_until_there_is_room():
    lab = cluster()
    first, second = new_id("svc"), new_id("svc")
    lab.leader().register(job(first, count=8 * NODES, tasks=[mock(cpu=2000)]))  # All there is.
    lab.running(first, 8 * NODES, seconds=60)
    lab.leader().register(job(second, count=NODES, tasks=[mock(cpu=2000)]))
    until(20, "an evaluation is blocked",
          lambda: [e for e in lab.leader().read("/v1/job/%s/evaluations" % second) if e["Status"] == "blocked"])
    same(verify(lab), 8 * NODES)
    lab.leader().ask("DELETE", "/v1/job/" + first).want(200)
    lab.running(second, NODES, seconds=60)
    same(verify(lab), NODES)


def a_batch_job_runs_to_its_end_while_leaders_die():
    lab = cluster()
    name = new_id("batch")
    lab.leader().register(job(name, count=600, kind="batch", tasks=[mock(run_for="3s")]))
    for _ in range(2):
        leader = lab.leader()
        time.sleep(1)
        leader.kill()
        lab.leader(other_than=leader)
        leader.start()
    lab.completed(name, 600, seconds=90)
    same(Counter(a["ClientStatus"] for a in lab.allocs(name)), {"complete": 600})
    same(len({a["Name"] for a in lab.allocs(name)}), 600)
    lab.same_state()


def nodes_that_all_fall_silent_and_come_back_keep_what_they_run():
    lab = cluster()
    name = new_id("svc")
    lab.leader().register(job(name, count=200, tasks=[mock()]))
    before = sorted(a["ID"] for a in lab.running(name, 200, seconds=60))
    lab.verb("kill", "sim")
    lab.verb("sim", str(NODES))
    time.sleep(2)
    same(sorted(a["ID"] for a in lab.running(name, 200)), before)
    same(verify(lab), 200)


if __name__ == "__main__":
    run(what_is_placed_fits_and_has_names_of_its_own, what_does_not_fit_waits_until_there_is_room,
        a_batch_job_runs_to_its_end_while_leaders_die, nodes_that_all_fall_silent_and_come_back_keep_what_they_run)
