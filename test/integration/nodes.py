#!/usr/bin/env python3
"""Nodes that fall silent, come back, are emptied and are kept free."""
from lab import *

QUICK = 'server {\n  min_heartbeat_ttl = "1s"\n  heartbeat_grace = "1s"\n  failover_heartbeat_ttl = "3s"\n}\n'


def on(lab, job_id, client):
    return [a for a in lab.allocs(job_id, DesiredStatus="run", ClientStatus="running") if a["NodeName"] == client.name]


def status(lab, client):
    return lab.node(client)["Status"]


def what_a_lost_node_ran_is_replaced_and_stopped_when_it_comes_back():
    lab = Lab(3, 2, config=QUICK)
    name = new_id("svc")
    lab.leader().register(job(name, count=4))
    lab.running(name, 4)
    victim = max(lab.clients, key=lambda c: len(on(lab, name, c)))
    lost = [a["ID"] for a in on(lab, name, victim)]
    pids = sorted(p for a in lost for p in task_pids(lab, a))
    check(lost and pids, "nothing ran there")
    began = time.monotonic()
    victim.kill()
    until(20, "the node is down", lambda: status(lab, victim) == "down")
    down_s = time.monotonic() - began
    until(15, lambda: "lost: %s" % [lab.alloc(a)["ClientStatus"] for a in lost], lambda: all(lab.alloc(a)["ClientStatus"] == "lost" for a in lost))
    other = [c for c in lab.clients if c is not victim][0]
    until(15, "four run on the other node", lambda: len(on(lab, name, other)) == 4)
    check(all(is_alive(p) for p in pids), "tasks of the silent node should still run")
    victim.start()
    until(15, "the node is ready again", lambda: status(lab, victim) == "ready")
    until(15, "its old tasks are ended", lambda: not any(is_alive(p) for p in pids))
    time.sleep(1)
    same(len(lab.running(name, 4)), 4)
    lab.same_state()
    return "down after %.1f s" % down_s


def nodes_survive_the_loss_of_the_leader():
    lab = Lab(3, 2, config=QUICK)
    name = new_id("svc")
    lab.leader().register(job(name, count=4))
    before = sorted(a["ID"] for a in lab.running(name, 4))
    for _ in range(2):
        leader = lab.leader()
        leader.kill()
        lab.leader(other_than=leader)
        time.sleep(4)  # Longer than any lease.
        same([status(lab, c) for c in lab.clients], ["ready", "ready"])
        leader.start()
        lab.leader()
    same(sorted(a["ID"] for a in lab.running(name, 4)), before)


def a_node_that_dies_while_there_is_no_leader_is_found_out():
    lab = Lab(3, 2, config=QUICK)
    name = new_id("svc")
    lab.leader().register(job(name, count=2))
    lab.running(name, 2)
    victim = max(lab.clients, key=lambda c: len(on(lab, name, c)))
    for s in lab.servers:
        s.kill()
    victim.kill()
    for s in lab.servers:
        s.start()
    lab.leader()
    until(30, "the node is down", lambda: status(lab, victim) == "down")
    other = [c for c in lab.clients if c is not victim][0]
    until(15, "both run on the other", lambda: len(on(lab, name, other)) == 2)


def a_drained_node_is_emptied_and_takes_nothing_new():
    lab = Lab(3, 2, config=QUICK)
    name = new_id("svc")
    lab.leader().register(job(name, count=4))
    lab.running(name, 4)
    victim = max(lab.clients, key=lambda c: len(on(lab, name, c)))
    other = [c for c in lab.clients if c is not victim][0]
    node = lab.node(victim)["ID"]
    pids = [p for a in on(lab, name, victim) for p in task_pids(lab, a["ID"])]
    lab.followers()[0].put("/v1/node/%s/drain" % node, {"DrainSpec": {"Deadline": 60 * SECOND, "IgnoreSystemJobs": False}}).want(200)
    until(40, lambda: "four run on the other: %s %s" % (on(lab, name, other), lab.tails()), lambda: len(on(lab, name, other)) == 4)
    until(15, "the node is empty", lambda: not any(is_alive(p) for p in pids))
    until(15, "the drain is over", lambda: lab.servers_answer("/v1/node/" + node)["DrainStrategy"] is None)
    same(lab.node(victim)["SchedulingEligibility"], "ineligible")
    lab.leader().register(job(name, count=6))
    lab.running(name, 6)
    same(on(lab, name, victim), [])
    lab.leader().put("/v1/node/%s/eligibility" % node, {"Eligibility": "eligible"}).want(200)
    system = new_id("sys")
    lab.leader().register(job(system, kind="system"))
    until(15, "a system job runs on both", lambda: len(lab.allocs(system, ClientStatus="running")) == 2)


def a_node_that_is_ineligible_keeps_what_it_has():
    lab = Lab(1, 1)
    node = lab.node(lab.clients[0])["ID"]
    kept, refused = new_id("kept"), new_id("waits")
    lab.leader().register(job(kept))
    lab.running(kept, 1)
    lab.leader().put("/v1/node/%s/eligibility" % node, {"Eligibility": "ineligible"}).want(200)
    lab.leader().register(job(refused))
    time.sleep(1)
    same(lab.allocs(refused), [])
    lab.running(kept, 1)
    lab.leader().put("/v1/node/%s/eligibility" % node, {"Eligibility": "eligible"}).want(200)
    lab.running(refused, 1)


def a_client_with_new_data_is_a_new_node():
    lab = Lab(1, 1, config=QUICK)
    client = lab.clients[0]
    first = lab.node(client)["ID"]
    client.end()
    client.start()
    lab.wait()
    same([n["ID"] for n in lab.servers[0].read("/v1/nodes")], [first])
    client.end()
    client.wipe()
    client.start()
    until(15, "two nodes", lambda: len(lab.servers[0].read("/v1/nodes")) == 2)
    until(15, "the old one is down", lambda: {n["ID"]: n["Status"] for n in lab.servers[0].read("/v1/nodes")}[first] == "down")


if __name__ == "__main__":
    run(what_a_lost_node_ran_is_replaced_and_stopped_when_it_comes_back, nodes_survive_the_loss_of_the_leader,
        a_node_that_dies_while_there_is_no_leader_is_found_out, a_drained_node_is_emptied_and_takes_nothing_new,
        a_node_that_is_ineligible_keeps_what_it_has, a_client_with_new_data_is_a_new_node)
