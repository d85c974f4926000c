#!/usr/bin/env python3
"""Jobs as pipelines write them, through every server: what was read is registered without a change, plans write nothing, versions and
check-and-set are the same whoever is asked."""
import copy
from lab import *

RANDOM_JOBS = os.path.join(os.path.dirname(DROVER), "test", "integration", "random_jobs")
JOBS = int(os.environ.get("WRITES_JOBS", 30))


def random_jobs(n):
    if not os.path.exists(RANDOM_JOBS):
        raise Skip(RANDOM_JOBS + " is not built")
    out = subprocess.run([RANDOM_JOBS, str(n), str(SEED)], stdout=subprocess.PIPE, check=True).stdout.decode()
    return [json.loads(line) for line in out.splitlines()]


def plan(server, spec, status=200, **more):
    answer = server.put("/v1/job/%s/plan" % quote(spec["ID"], safe=""), dict({"Job": spec, "Diff": True}, **more))
    return answer.want(status).json if status == 200 else answer.want(status).text


def settled(lab):
    """No evaluation is being worked on. Returns the index that all servers have."""
    until(20, "the schedulers are done", lambda: all(e["Status"] != "pending" for e in lab.leader().read("/v1/evaluations")))
    return lab.same_state()


def unchanged(lab, spec):
    """All that must hold of one job; each step asks another server."""
    a, b, c = rng.sample(lab.servers, 3)
    path = "/v1/job/" + spec["ID"]
    first = a.register(spec)["JobModifyIndex"]
    read = b.read(path)
    same(read["JobModifyIndex"], first, path)
    for form in (spec, read):
        diff = plan(c, form)["Diff"]
        same((diff["Type"], diff["Fields"], diff["Objects"]), ("None", None, None), "the diff of %s and itself" % json.dumps(form))
        b.register(form)
        again = c.read(path)
        same((again["Version"], again["JobModifyIndex"]), (0, first), "a new version of %s" % json.dumps(form))
        for key in ("ModifyIndex", "Status", "SubmitTime"):  # The only things that a register without a change may move.
            again[key] = read[key]
        same(again, read, "what is read after a second register")


def what_was_read_of_a_job_is_registered_without_a_change():
    lab = Lab(3)
    for spec in random_jobs(JOBS):
        unchanged(lab, spec)
    lab.same_state()
    return "%d jobs" % JOBS


def plans_write_nothing_on_any_server():
    lab = Lab(3, 1)
    spec = job("web", count=2)
    lab.servers[0].register(spec)
    lab.running("web", 2)
    settled(lab)
    until(10, "the state is at rest", lambda: lab.same_state() == (time.sleep(1), lab.same_state())[1])
    before, evals = lab.hashes(), lab.leader().read("/v1/evaluations")
    other = copy.deepcopy(spec)
    other["TaskGroups"][0]["Tasks"][0]["Env"] = {"NEW": "1"}
    previous = set()
    for server in lab.servers:
        p = plan(server, other)
        same(p["Annotations"]["DesiredTGUpdates"]["g"]["DestructiveUpdate"] + p["Annotations"]["DesiredTGUpdates"]["g"]["Ignore"], 2)
        same(p["Diff"]["TaskGroups"][0]["Tasks"][0]["Annotations"], ["forces create/destroy update"])
        p = plan(server, job("new", count=3, Datacenters=["nowhere"]))
        same(p["FailedTGAllocs"]["g"]["CoalescedFailures"], 2)
        same(p["CreatedEvals"][0]["Status"], "blocked")
        previous.add(p["CreatedEvals"][0]["PreviousEval"])
        plan(server, dict(spec, Stop=True))
        plan(server, dict(spec, Type="batch"), status=500)
        server.get("/v1/job/new").want(404)
    same(len(previous), 3, "evaluations that were never made have names of their own:")
    same(lab.hashes(), before, "the servers' states")
    same(lab.leader().read("/v1/evaluations"), evals)


def versions_and_check_and_set_are_the_same_through_every_server():
    lab = Lab(3)
    index = 0
    for i in range(9):
        server = lab.servers[i % 3]
        server.put("/v1/jobs", {"Job": idle("v", Priority=30 + i), "EnforceIndex": True, "JobModifyIndex": index + 1}).want(
            500, "Enforcing job modify index %d: job " % (index + 1))
        index = server.put("/v1/jobs", {"Job": idle("v", Priority=30 + i), "EnforceIndex": True, "JobModifyIndex": index}).want(
            200).json["JobModifyIndex"]
        if i == 1:
            server.put("/v1/job/v/stable", {"JobID": "v", "JobVersion": 1, "Stable": True}).want(200)
        if i == 2:
            server.put("/v1/job/v/versions/gold/tag", {"Name": "gold", "Version": 2, "Description": "d"}).want(200)
    lab.same_state()
    for server in lab.servers:
        body = server.read("/v1/job/v/versions?diffs=true&stale")
        same([v["Version"] for v in body["Versions"]], [8, 7, 6, 5, 4, 2, 1], "six, with the stable one, and what is tagged")
        same([d["Fields"][0]["Old"] for d in body["Diffs"]], ["37", "36", "35", "34", "32", "31"], "differences")
        body = server.read("/v1/job/v/versions?diffs=true&diff_tag=gold")
        same({d["Fields"][0]["Old"] for d in body["Diffs"]}, {"32"}, "differences from the tagged one")
    one, two, three = lab.servers
    one.put("/v1/job/v/revert", {"JobID": "v", "JobVersion": 8}).want(500, "can't revert to current version")
    two.put("/v1/job/v/revert", {"JobID": "v", "JobVersion": 2, "EnforcePriorVersion": 7}).want(
        500, "Current job has version 8; enforcing version 7")
    three.put("/v1/job/v/revert", {"JobID": "v", "JobVersion": 2, "EnforcePriorVersion": 8}).want(200)
    same([(s.read("/v1/job/v")["Version"], s.read("/v1/job/v")["Priority"]) for s in lab.servers], [(9, 32)] * 3)


run(what_was_read_of_a_job_is_registered_without_a_change, plans_write_nothing_on_any_server,
    versions_and_check_and_set_are_the_same_through_every_server)
