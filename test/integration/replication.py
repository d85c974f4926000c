#!/usr/bin/env python3
"""Three servers are one: whoever is asked, and in whatever order they came."""
from lab import *


def every_server_takes_writes_and_all_hold_the_same():
    lab = Lab(3)
    ids = []
    for i in range(60):
        ids.append(new_id("all"))
        lab.servers[i % 3].register(idle(ids[-1]))
    index = lab.same_state()
    for s in lab.servers:
        same(sorted(j["ID"] for j in s.read("/v1/jobs?prefix=all-")), sorted(ids), s)
    return "equal at index %d" % index


def a_write_is_read_at_once_from_every_other_server():
    lab = Lab(3)
    for i in range(30):
        writer, reader = rng.sample(lab.servers, 2)
        name = new_id()
        answer = writer.register(idle(name))
        same(reader.read("/v1/job/" + name)["JobModifyIndex"], answer["JobModifyIndex"], (writer, reader))
        reader.ask("DELETE", "/v1/job/%s?purge=true" % name).want(200)
        writer.get("/v1/job/" + name).want(404, "job not found")


def all_name_the_same_leader_and_peers():
    lab = Lab(3)
    leader = lab.leader()
    for s in lab.servers:
        same(s.read("/v1/status/leader"), leader.ip + ":4647", s)
        same(sorted(s.read("/v1/status/peers")), sorted(o.ip + ":4647" for o in lab.servers), s)
        members = s.read("/v1/agent/members")["Members"]
        same(sorted((m["Name"], m["Status"]) for m in members), [("s%d.global" % i, "alive") for i in (1, 2, 3)], s)


def servers_that_start_at_any_time_in_any_order_form_one_cluster():
    lab = Lab(3, wait=False)
    notes = []
    for _ in range(4):
        for s in lab.servers:
            if s.pid:
                s.kill()
            s.wipe()
        order = rng.sample(lab.servers, 3)
        pauses = [rng.choice((0, 0.3, 1.5, 3)) for _ in range(3)]
        for s, pause in zip(order, pauses):
            s.start()
            time.sleep(pause)
        began = time.monotonic()
        lab.leader(20)
        name = new_id()
        order[0].register(idle(name))
        for s in lab.servers:
            until(5, "%s knows the job" % s, s.try_read, "/v1/job/" + name)
            same(len(s.read("/v1/status/peers")), 3, s)
        lab.same_state()
        notes.append("%s +%.2f s" % ("".join(s.name[1:] for s in order), time.monotonic() - began))
    return ", ".join(notes)


def two_of_three_are_no_cluster_before_the_third_has_been_seen():
    lab = Lab(3, wait=False)
    for s in lab.servers:
        s.kill()
        s.wipe()
    for s in lab.servers[:2]:
        s.start()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        check(not any(s.try_read("/v1/status/leader") for s in lab.servers[:2]), "two of three have a leader")
        time.sleep(0.1)
    lab.servers[0].put("/v1/jobs", {"Job": idle()}).want(500, "No cluster leader")
    lab.servers[2].start()
    lab.leader(20)
    lab.servers[0].register(idle())
    lab.same_state()


def queries_parked_on_any_server_wake_by_a_write_on_any_other():
    lab = Lab(3)
    name = new_id()
    lab.servers[0].register(idle(name))
    lab.same_state()
    for waiter in lab.servers:
        waits = Waiter(waiter.get, "/v1/job/" + name)
        began = time.monotonic()
        rng.choice([s for s in lab.servers if s is not waiter]).register(idle(name, Priority=rng.randint(51, 99)))
        waits.answer().want(200)
        took = time.monotonic() - began
        SANITIZED or quick(took, 1, waiter, "waking")


def a_clients_own_port_serves_the_whole_api():
    lab = Lab(3, 1)
    client, name = lab.clients[0], new_id()
    answer = client.register(idle(name))
    for s in lab.servers:
        until(5, "known", s.try_read, "/v1/job/" + name)
    same(client.read("/v1/job/" + name)["JobModifyIndex"], answer["JobModifyIndex"])
    check(name in [j["ID"] for j in client.read("/v1/jobs")])
    client.get("/v1/job/no-such-job").want(404, "job not found")
    client.ask("PUT", "/v1/jobs", "{").want(400)
    same(client.read("/v1/status/leader"), lab.leader().ip + ":4647")
    client.ask("DELETE", "/v1/job/%s?purge=true" % name).want(200)
    lab.servers[0].get("/v1/job/" + name).want(404)


def a_single_server_is_a_cluster_and_comes_back():
    lab = Lab(1)
    s = lab.servers[0]
    ids = [new_id("one") for _ in range(20)]
    for name in ids:
        s.register(idle(name))
    for how in (s.kill, s.end):
        how()
        s.start()
        began = time.monotonic()
        lab.leader()
        took = time.monotonic() - began
        same(sorted(j["ID"] for j in s.read("/v1/jobs?prefix=one-")), sorted(ids))
        SANITIZED or quick(took, 2, "getting ready")


if __name__ == "__main__":
    run(every_server_takes_writes_and_all_hold_the_same, a_write_is_read_at_once_from_every_other_server, all_name_the_same_leader_and_peers,
        servers_that_start_at_any_time_in_any_order_form_one_cluster, two_of_three_are_no_cluster_before_the_third_has_been_seen,
        queries_parked_on_any_server_wake_by_a_write_on_any_other, a_clients_own_port_serves_the_whole_api,
        a_single_server_is_a_cluster_and_comes_back)
