#!/usr/bin/env python3
"""Servers that are killed, frozen, stopped and wiped under a stream of writes: nothing that was acknowledged is lost, nothing
that was refused happens, and what nobody can know is called unknown."""
from lab import *

ROUNDS = int(os.environ.get("FAILOVER_ROUNDS", "4"))
SMALL_LOG = 'raft {\n  snapshot_size = "256KiB"\n  trailing_size = "64KiB"\n}\n'


def settle(lab, writers):
    """Let some more writes through, end them, and compare what is there."""
    n = len(writers.acked)
    until(20, lambda: "writes go on: " + lab.tails(), lambda: len(writers.acked) > n + 20)
    writers.stop()
    lab.leader()
    lab.same_state()
    return writers.verify()


def a_leader_killed_under_writes_loses_nothing():
    lab = Lab(3)
    w = Writers(lab)
    times = []
    for _ in range(ROUNDS):
        leader = lab.leader()
        time.sleep(rng.uniform(0.3, 1.0))
        began = time.monotonic()
        leader.kill()
        survivor = rng.choice(lab.live())

        def written():
            try:
                return survivor.put("/v1/jobs", {"Job": idle()}, timeout=5).status == 200
            except OSError:
                return False
        until(10, lambda: "a write after the kill: " + lab.tails(), written)
        times.append(time.monotonic() - began)
        leader.start()
        lab.leader()
    note = settle(lab, w)
    SANITIZED or quick(max(times), 2, "from the kill to the next write:", times)
    return "killed until written again: %s s; %s" % (" ".join("%.2f" % t for t in times), note)


def followers_killed_under_writes_are_not_noticed_and_catch_up():
    lab = Lab(3)
    w = Writers(lab)
    for _ in range(ROUNDS):
        follower = rng.choice(lab.followers())
        time.sleep(0.3)
        follower.kill()
        leader, n = lab.leader(), len(w.acked)
        until(5, "writes go on", lambda: len(w.acked) > n + 20)
        follower.start()
        if lab.leader() is not leader:
            raise Slow("the leader changed")
    return settle(lab, w)


def all_servers_killed_at_once_come_back_with_everything():
    lab = Lab(3)
    for _ in range(2):
        w = Writers(lab)
        until(10, "writes", lambda: len(w.acked) > 50)
        for s in lab.servers:
            os.kill(s.pid, signal.SIGKILL)
        w.stop()
        for s in rng.sample(lab.servers, 3):
            s.start()
        lab.leader()
        lab.same_state()
        note = w.verify()
    return note


def a_frozen_leader_is_replaced_and_acknowledges_nothing_when_it_wakes():
    lab = Lab(3)
    w = Writers(lab, timeout=4)
    leader = lab.leader()
    time.sleep(0.5)
    leader.signal(signal.SIGSTOP)
    began = time.monotonic()
    until(10, "another leader", other_leader, lab, leader)
    took = time.monotonic() - began
    time.sleep(1)
    leader.signal(signal.SIGCONT)
    note = settle(lab, w)
    return "replaced after %.2f s; %s" % (took, note)


def other_leader(lab, frozen):
    for s in lab.servers:
        if s is not frozen:
            named = s.try_read("/v1/status/leader")
            if named and named != frozen.ip + ":4647":
                return named


def without_a_majority_writes_are_refused_and_stale_reads_go_on():
    lab = Lab(3)
    name = new_id()
    lab.servers[0].register(idle(name))
    lab.same_state()
    alone, gone = lab.servers[0], lab.servers[1:]
    for s in gone:
        s.kill()
    same(alone.read("/v1/job/%s?stale" % name)["ID"], name)
    began = time.monotonic()
    refused = new_id("refused")
    answer = alone.put("/v1/jobs", {"Job": idle(refused)}, timeout=30)
    check(answer.status == 500 and ("No cluster leader" in answer.text or "unknown" in answer.text), answer.status, answer.text)
    took = time.monotonic() - began
    for s in gone:
        s.start()
    lab.leader()
    lab.same_state()
    there = lab.servers[1].get("/v1/job/" + refused).status
    check(there == 404 or "unknown" in answer.text, "a refused write was carried out:", answer.text, there)
    return "refused after %.1f s: %s" % (took, answer.text.strip())


def a_wiped_server_catches_up_by_snapshot():
    lab = Lab(3, config=SMALL_LOG)
    leader = lab.leader()
    for i in range(400):
        leader.register(idle(new_id("snap"), Meta={"padding": "x" * 2000}))
    victim = lab.followers()[0]
    until(10, lambda: "snapshots: " + str(stats(leader)), lambda: int(stats(leader).get("last_snapshot_index", 0)) > 0)
    before = voters(lab)
    victim.kill()
    victim.wipe()
    victim.start()
    lab.same_state(30)
    until(10, lambda: "the snapshot's index on %s: %s" % (victim, stats(victim)), lambda: int(stats(victim).get("last_snapshot_index", 0)) > 0)
    same(len(victim.read("/v1/jobs?prefix=snap-&stale")), 400)
    await_new_voter(lab, victim, before)
    # With it, one of the others can be spared.
    spared = [s for s in lab.servers if s is not victim][0]
    spared.kill()
    until(10, lambda: "a write: " + lab.tails(), lambda: victim.put("/v1/jobs", {"Job": idle()}, timeout=5).status == 200)
    spared.start()
    lab.same_state()


def stats(server):
    return (server.try_read("/v1/agent/self") or {}).get("stats", {}).get("raft", {})


def voters(lab):
    """The IDs of Raft's voters by their addresses."""
    found = lab.servers_answer("/v1/operator/raft/configuration")["Servers"]
    return {v["Address"]: v["ID"] for v in found if v["Voter"]}


def await_new_voter(lab, server, before):
    """Its old ID is gone, and under a new one it counts: only now may another one fail. (An ID without dashes is Raft's, of
    a server that nobody has heard of: the old one.)"""
    address = server.ip + ":4647"

    def is_new(id):
        return "-" in id and id != before[address]

    def knows_itself():
        """Until it has heard of its promotion it votes for nobody."""
        known = (server.try_read("/v1/operator/raft/configuration?stale") or {}).get("Servers", [])
        return any(v["Address"] == address and v["Voter"] for v in known)

    until(30, lambda: "a new voter %s, before %s, now %s: %s" % (address, before, voters(lab), lab.tails()),
          lambda: len(voters(lab)) == 3 and is_new(voters(lab).get(address, "")) and knows_itself())


def a_wiped_leader_comes_back_as_a_new_server():
    lab = Lab(3)
    w = Writers(lab)
    for _ in range(2):
        until(10, "writes", lambda: len(w.acked) > 50)
        leader = lab.leader()
        before = voters(lab)
        leader.kill()
        leader.wipe()
        leader.start()
        await_new_voter(lab, leader, before)
    return settle(lab, w)


def a_new_machine_takes_the_place_of_a_dead_one():
    lab = Lab(3, config='autopilot {\n  server_stabilization_time = "1s"\n}\n')
    w = Writers(lab)
    dead = lab.leader()
    dead.kill()
    new = lab.add_server(like=lab.live()[0])
    new.start()
    want = {s.ip + ":4647" for s in lab.servers if s is not dead}
    until(30, lambda: "voters %s: %s: %s" % (want, voters(lab), lab.tails()), lambda: set(voters(lab)) == want)
    note = settle(lab, w)
    # The three that are left bear the loss of one again.
    lab.leader().kill()
    until(10, lambda: "a write: " + lab.tails(), lambda: lab.live()[0].put("/v1/jobs", {"Job": idle()}, timeout=5).status == 200)
    return note


def queries_parked_across_a_failover_wake_with_the_next_write():
    lab = Lab(3)
    leader = lab.leader()
    waiter = lab.followers()[0]
    name = new_id()
    waiter.register(idle(name))
    index = waiter.get("/v1/job/" + name).index
    answers, lost = [], []

    def park(server, into):
        try:
            into.append(server.get("/v1/job/%s?index=%d&wait=120s" % (name, index), timeout=150))
        except (OSError, http.client.HTTPException) as e:
            into.append(e)
    threads = [threading.Thread(target=park, args=a) for a in ((waiter, answers), (leader, lost))]
    for t in threads:
        t.start()
    time.sleep(0.3)
    leader.kill()
    threads[1].join(60)
    check(lost and not isinstance(lost[0], Answer), "the killed leader answered", lost)
    lab.leader(other_than=leader)
    check(not answers, "a failover alone woke the query:", answers and (answers[0].status, answers[0].text[:200], answers[0].index, index))
    other = [s for s in lab.live() if s is not waiter][0]
    other.register(idle(name, Priority=77))
    threads[0].join(60)
    check(answers and answers[0].want(200).json["Priority"] == 77, "not woken")


def every_agent_ends_within_a_second():
    lab = Lab(3, 1)
    client = lab.clients[0]
    lab.leader().register(job(new_id("stay")))
    w = Writers(lab)
    time.sleep(0.5)
    times = []
    for agent in [lab.leader(), lab.followers()[0], client]:
        for number in (signal.SIGTERM, signal.SIGINT):
            times.append(agent.end(number))
            agent.start()
            # The lab's shell lets it begin with SIGINT ignored.
            until(10, "%s answers" % agent, agent.try_read, "/v1/agent/self")
            lab.leader()
    note = settle(lab, w)
    SANITIZED or quick(max(times), 1, times)
    return "%s s; %s" % (" ".join("%.2f" % t for t in times), note)


def a_stopped_leader_hands_on_without_a_gap():
    lab = Lab(3)
    w = Writers(lab)
    time.sleep(1)
    for _ in range(2):
        leader = lab.leader()
        leader.end()
        lab.leader()
        time.sleep(0.5)
        leader.start()
        lab.leader()
        time.sleep(0.5)
    note = settle(lab, w)
    SANITIZED or quick(w.gap_s(), 1, "a write")
    return "longest gap %.2f s; %s" % (w.gap_s(), note)


if __name__ == "__main__":
    run(a_leader_killed_under_writes_loses_nothing, followers_killed_under_writes_are_not_noticed_and_catch_up,
        all_servers_killed_at_once_come_back_with_everything, a_frozen_leader_is_replaced_and_acknowledges_nothing_when_it_wakes,
        without_a_majority_writes_are_refused_and_stale_reads_go_on, a_wiped_server_catches_up_by_snapshot,
        a_wiped_leader_comes_back_as_a_new_server, a_new_machine_takes_the_place_of_a_dead_one,
        queries_parked_across_a_failover_wake_with_the_next_write,
        every_agent_ends_within_a_second, a_stopped_leader_hands_on_without_a_gap)
