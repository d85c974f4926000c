#!/usr/bin/env python3
"""Replication, elections, hand-overs, names and IPv6, garbage on the port, membership."""
from raft_lab import *


def three_servers_agree():
    c = Cluster()
    c.leader()
    for i in range(50):
        c.put("k%d" % i, "v%d" % i)
    c.same_state()
    for n in c.nodes:
        check(n.ask("get k7") == "v7", n.number)
    c.stop()


def one_server_is_ready_at_once():
    c = Cluster(1, ELECTION=1000)
    began = time.time()
    c.put("a", "1")
    quick(time.time() - began, 0.5)
    c.stop()
    c.nodes[0].start()
    began = time.time()
    check(c.leader().ask("get a") == "1")
    c.stop()


def a_new_cluster_need_not_wait_for_an_election_timeout():
    c = Cluster(3, ELECTION=2000)
    began = time.time()
    c.put("a", "1")
    took = time.time() - began
    quick(took, 1.9)
    c.stop()
    return "%.3f s" % took


def a_killed_leader_is_replaced():
    c = Cluster()
    times = []
    for i in range(5):
        l = c.leader()
        c.put("a", i)
        time.sleep(0.3)
        began = time.time()
        l.kill()
        m = c.leader(other_than=l)
        check(m.ask("put b %d" % i).startswith("ok"))
        times.append(time.time() - began)
        l.start()
        c.same_state()
    c.stop()
    quick(max(times), 1.5, times)
    return "killed until written again: " + " ".join("%.3f" % t for t in sorted(times))


def a_frozen_leader_is_replaced():
    c = Cluster()
    l = c.leader()
    c.put("a", "1")
    began = time.time()
    os.kill(l.process.pid, signal.SIGSTOP)
    nodes = c.nodes
    c.nodes = [n for n in nodes if n is not l]
    c.put("b", "2")
    took = time.time() - began
    os.kill(l.process.pid, signal.SIGCONT)
    c.nodes = nodes
    c.same_state()
    check(l.ask("get b") == "2")
    c.stop()
    return "%.3f s" % took


def a_stopped_leader_hands_on():
    c = Cluster(ELECTION=1000)
    l = c.leader()
    w = Writers(c, 4)
    time.sleep(0.5)
    began = time.time()
    l.stop()
    stopped = time.time() - began
    c.leader(other_than=l)
    took = time.time() - began
    w.stop()
    quick(stopped, 1.0, "stopping")
    quick(took, 0.8, "a new leader")
    l.start()
    c.same_state()
    w.verify()
    c.stop()
    return "stopped in %.3f s, next leader ready after %.3f s" % (stopped, took)


def leadership_goes_where_it_is_sent():
    c = Cluster()
    for _ in range(5):
        target = rng.choice(c.followers())
        answer = c.leader().ask("transfer %d" % target.id)
        if answer != "ok 0":
            raise Slow("the target was not there in time: %s" % answer)
        until(3, "the target leads", lambda: target.status().get("ready"))
    check(c.leader().ask("transfer 99").startswith("error -5"))
    check(c.followers()[0].ask("transfer 0").startswith("error -9"))
    c.stop()


def leadership_goes_on_in_the_middle_of_writes():
    """Entries are on their way to the one that is to take it: it does so as soon as it has them, and not only when an election
    timeout has passed without any."""
    c = Cluster(ELECTION=1500)
    w = Writers(c)
    answers, times = [], []
    for i in range(20):
        l = c.leader()
        time.sleep(rng.uniform(0.05, 0.2))
        began = time.time()
        answers.append(l.ask("transfer %d" % (rng.choice(c.followers()).id if i % 2 else 0)))
        times.append(time.time() - began)
    w.stop()
    check(set(answers) == {"ok 0"}, answers, times)
    c.same_state()
    w.verify()
    c.stop()
    return "%d ms at most" % (max(times) * 1000)


def a_server_with_an_empty_directory_joins():
    c = Cluster()
    for i in range(20):
        c.put("k%d" % i, i)
    n = c.add_node(4)
    n.start()
    l = c.leader()
    check(until(5, "answer", n.status)["state"] == "uninitialized")
    check(n.ask("put a b").startswith("error -9"))
    check(l.ask("add 4 %s" % n.address).startswith("ok"))
    check(l.ask("add 4 %s" % n.address).startswith("error -6"))
    check(l.ask("assign 4 standby").startswith("ok"))
    c.same_state()
    check(l.ask("assign 4 voter", 15).startswith("ok"))
    check([s["role"] for s in l.json("conf")] == ["voter"] * 4)
    # Two of four are no majority.
    a, b = [x for x in c.nodes if x is not l and x is not n]
    a.kill()
    c.put("x", "1")
    b.kill()
    check(not (l.ask("put y 1", 1) or "").startswith("ok"))
    a.start()
    b.start()
    c.put("y", "2")
    c.same_state()
    check(n.ask("bootstrap 4@%s" % n.address).startswith("error -6"))
    c.stop()


def a_removed_server_is_told():
    c = Cluster()
    c.put("a", "1")
    f = c.followers()[0]
    l = c.leader()
    check(l.ask("remove %d" % f.id).startswith("ok"))
    until(5, "the removed server knows", lambda: f.status().get("removed"))
    f.kill()
    # One that was down learns it when it comes back and asks for votes.
    g = [n for n in c.nodes if n is not f and n is not l][0]
    h = c.add_node(4).start()
    until(5, "up", h.status)
    check(l.ask("add 4 %s" % h.address).startswith("ok") and l.ask("assign 4 standby").startswith("ok"))
    check(l.ask("assign 4 voter", 15).startswith("ok"))
    g.kill()
    check(l.ask("remove %d" % g.id).startswith("ok"))
    g.start()
    until(10, "the absent server knows", lambda: g.status().get("removed"))
    if c.leader() is not l:
        raise Slow("the leader was disturbed")
    g.kill()
    c.stop()


def the_leader_can_be_removed():
    c = Cluster()
    l = c.leader()
    check(l.ask("remove %d" % l.id).startswith("ok"))
    m = c.leader(other_than=l)
    check(len(m.json("conf")) == 2)
    until(10, "it knows", lambda: l.status().get("removed"))
    l.kill()
    c.nodes.remove(l)
    c.put("a", "1")
    c.stop()


def host_names_and_ipv6_work():
    third = ("::1", "[::1]:7413") if has_ipv6() else ("127.0.0.1", "127.0.0.1:7413")
    c = Cluster(3, hosts=["127.0.0.1", "127.0.0.1", third[0]], addresses=["localhost:7411", "localhost:7412", third[1]], start=False)
    for i, n in enumerate(c.nodes):
        n.port = 7411 + i
        n.start()
    c.bootstrap()
    c.put("a", "1")
    c.same_state()
    l = c.leader()
    l.restart()
    c.put("b", "2")
    c.same_state()
    c.stop()


def a_server_may_move():
    c = Cluster()
    c.put("a", "1")
    f = c.followers()[0]
    f.kill()
    c.put("b", "2")
    f.port, f.address = 7001, "%s:7001" % f.host
    f.start()
    c.same_state(20)
    c.stop()


def two_clusters_refuse_each_other():
    c = Cluster(3, name="a")
    c.put("a", "1")
    d = Cluster(1, name="b", bootstrap=False)
    n = d.nodes[0]
    # A server that was bootstrapped alone, from a list of its own, is not taken in.
    until(5, "up", n.status)
    check(n.ask("bootstrap 9@%s,1@%s" % (n.address, n.address)).startswith("error -8"))
    check(n.ask("bootstrap 1@%s" % n.address).startswith("ok"))
    d.leader()
    n.kill()
    n.id = 77
    n.start()
    l = c.leader()
    check(l.ask("add 77 %s" % n.address).startswith("ok"))
    check(l.ask("assign 77 standby").startswith("ok"))
    until(5, "it is turned away", lambda: "another cluster" in open(n.log).read() or "another cluster" in open(l.log).read())
    check(n.ask("get a") == "-")
    c.put("b", "2")
    d.kill()
    c.stop()


def garbage_on_the_port_harms_nothing():
    c = Cluster(HANDSHAKE=400)
    l = c.leader()
    hello = b"R" + b"\1\0\0\0\1\0\0\0"
    before = l.rss_mib()
    keep = []
    for i in range(400):
        s = socket.create_connection((l.host, l.port))
        junk = [bytes(rng.randrange(256) for _ in range(200)), b"R" + bytes(rng.randrange(256) for _ in range(2000)),
                hello + b"\0" * 300 + b"\xff" * 500, b"R", b"", b"GET / HTTP/1.1\r\n\r\n"][i % 6]
        try:
            s.sendall(junk)
        except OSError:
            pass
        if i % 6 in (3, 4):
            keep.append(s)  # half-open
        else:
            s.close()
    c.put("a", "1")
    until(3, "half-open connections are closed", lambda: all(is_closed(s) for s in keep))
    check(all(n.alive() for n in c.nodes))
    after = l.rss_mib()
    check(after - before < 6 or SANITIZED, "memory grew from", before, "to", after)
    c.same_state()
    c.stop()


def is_closed(s):
    s.setblocking(False)
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


if __name__ == "__main__":
    run(three_servers_agree, one_server_is_ready_at_once, a_new_cluster_need_not_wait_for_an_election_timeout,
        a_killed_leader_is_replaced, a_frozen_leader_is_replaced,
        a_stopped_leader_hands_on, leadership_goes_where_it_is_sent, leadership_goes_on_in_the_middle_of_writes,
        a_server_with_an_empty_directory_joins, a_removed_server_is_told,
        the_leader_can_be_removed, host_names_and_ipv6_work, a_server_may_move, two_clusters_refuse_each_other,
        garbage_on_the_port_harms_nothing)
