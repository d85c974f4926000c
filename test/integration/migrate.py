#!/usr/bin/env python3
"""Data follows a group's allocations: on one node (sticky), and from one node to the next (migrate)."""
import io, tarfile

from lab import *

SCRIPT = ("cd $NOMAD_ALLOC_DIR/data; echo $NOMAD_ALLOC_ID >>all; echo $NOMAD_ALLOC_ID >>$NOMAD_TASK_DIR/own; mkdir -p deep/er; "
          "[ -e deep/er/big ] || { head -c 3000000 /dev/urandom >deep/er/big; chown daemon deep/er/big; chmod 640 deep/er/big; ln -s big deep/er/link; "
          "mkfifo pipe; ln -s /etc/passwd out; }; cksum <deep/er/big; exec sleep 1000")


def data_job(count=1, driver="raw_exec", **disk):
    return job(tasks=[task("/bin/sh", ("-c", SCRIPT))], count=count, group={
        "EphemeralDisk": dict({"SizeMB": 20}, **disk), "ReschedulePolicy": {"Attempts": 0, "Unlimited": False},
        "Migrate": {"MaxParallel": 1, "HealthCheck": "task_states", "MinHealthyTime": SECOND // 10, "HealthyDeadline": 60 * SECOND},
        "Update": {"MaxParallel": 1, "HealthCheck": "task_states", "MinHealthyTime": SECOND // 10, "HealthyDeadline": 60 * SECOND,
                   "ProgressDeadline": 90 * SECOND}})


def told(lab, alloc_id, path="alloc/data/all"):
    return lab.servers[0].get("/v1/client/fs/cat/%s?path=%s" % (alloc_id, path)).text.split()


def checksum(lab, alloc_id):
    return until(10, "a checksum", lambda: lab.servers[0].get("/v1/client/fs/logs/%s?task=t&type=stdout&plain=true" % alloc_id).text)


def successor(lab, name, alloc_id):
    return until(20, lambda: "another allocation: %s" % lab.tails(),
                 lambda: [a for a in lab.allocs(name, DesiredStatus="run", ClientStatus="running") if a["ID"] != alloc_id])[0]


def root_of(lab, alloc):
    client = [c for c in lab.clients if c.name == alloc["NodeName"]][0]
    return "%s/data/alloc/%s" % (client.dir, alloc["ID"])


def sticky_data_stays_with_its_group_on_a_node():
    lab = Lab(1, 1)
    for sticky in (True, False):
        j = data_job(Sticky=sticky)
        lab.servers[0].register(j)
        first = lab.running(j["ID"], 1)[0]
        before = checksum(lab, first["ID"])
        lab.servers[0].put("/v1/allocation/%s/stop" % first["ID"], {}).want(200)
        second = successor(lab, j["ID"], first["ID"])
        after = checksum(lab, second["ID"])
        want = [first["ID"], second["ID"]] if sticky else [second["ID"]]
        same(told(lab, second["ID"]), want)
        same(told(lab, second["ID"], "t/local/own"), want)
        same(before == after, sticky, "the same data")
        lab.servers[0].ask("DELETE", "/v1/job/" + j["ID"]).want(200)


def drain(lab, alloc):
    node = alloc["NodeID"]
    lab.servers[0].put("/v1/node/%s/drain" % node, {"DrainSpec": {"Deadline": 60 * SECOND}}).want(200)


def data_moves_to_another_node():
    lab = Lab(1, 2)
    j = data_job(Sticky=True, Migrate=True)
    lab.servers[0].register(j)
    first = lab.running(j["ID"], 1)[0]
    before = checksum(lab, first["ID"])
    drain(lab, first)
    second = successor(lab, j["ID"], first["ID"])
    check(second["NodeID"] != first["NodeID"], "the same node")
    same(checksum(lab, second["ID"]), before)
    same(told(lab, second["ID"]), [first["ID"], second["ID"]])
    same(told(lab, second["ID"], "t/local/own"), [first["ID"], second["ID"]])
    root = root_of(lab, second) + "/alloc/data"
    same(os.readlink(root + "/deep/er/link"), "big")
    same(os.readlink(root + "/out"), "/etc/passwd")
    check(not os.path.lexists(root + "/pipe"), "a pipe went along")
    if os.geteuid() == 0:
        st = os.stat(root + "/deep/er/big")
        same((st.st_mode & 0o777, st.st_uid), (0o640, 1))
    # The first had ended before the second began.
    ended = lab.alloc(first["ID"])["TaskStates"]["t"]["FinishedAt"]
    began = lab.alloc(second["ID"])["TaskStates"]["t"]["StartedAt"]
    check(ended < began, ended, began)


def without_migrate_it_does_not():
    lab = Lab(1, 2)
    j = data_job(Sticky=True)
    lab.servers[0].register(j)
    first = lab.running(j["ID"], 1)[0]
    checksum(lab, first["ID"])
    drain(lab, first)
    second = successor(lab, j["ID"], first["ID"])
    checksum(lab, second["ID"])
    same(told(lab, second["ID"]), [second["ID"]])


def data_that_cannot_be_had_keeps_nobody_from_running():
    lab = Lab(1, 2, config="server {\n  min_heartbeat_ttl = \"1s\"\n  heartbeat_grace = \"1s\"\n}\n")
    j = data_job(Sticky=True, Migrate=True)
    lab.servers[0].register(j)
    first = lab.running(j["ID"], 1)[0]
    checksum(lab, first["ID"])
    [c for c in lab.clients if c.name == first["NodeName"]][0].kill()
    second = successor(lab, j["ID"], first["ID"])
    checksum(lab, second["ID"])
    same(told(lab, second["ID"]), [second["ID"]])


def the_snapshot_of_an_allocation_is_a_tar_archive():
    lab = Lab(1, 1)
    j = data_job()
    lab.servers[0].register(j)
    alloc = lab.running(j["ID"], 1)[0]
    checksum(lab, alloc["ID"])
    for agent in lab.agents:
        r = agent.get("/v1/client/allocation/%s/snapshot" % alloc["ID"]).want(200)
        with tarfile.open(fileobj=io.BytesIO(r.body)) as t:
            names = sorted(t.getnames())
            same(len(t.extractfile("alloc/data/deep/er/big").read()), 3000000)
        same(names, ["alloc/data/all", "alloc/data/deep", "alloc/data/deep/er", "alloc/data/deep/er/big", "alloc/data/deep/er/link",
                     "alloc/data/out", "t/local/own"], agent)
    lab.servers[0].get("/v1/client/allocation/11111111-2222-3333-4444-555555555555/snapshot").want(404)


run(sticky_data_stays_with_its_group_on_a_node, data_moves_to_another_node, without_migrate_it_does_not,
    data_that_cannot_be_had_keeps_nobody_from_running, the_snapshot_of_an_allocation_is_a_tar_archive)
