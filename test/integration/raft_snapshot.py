#!/usr/bin/env python3
"""Snapshots: a wiped server is installed, under writes; restarts; a full disk in the middle; ends in the middle."""
from raft_lab import *


def fill(c, keys, size):
    """Keys of that size, in lines sent many at a time."""
    l = c.leader()
    client = Client(l.host, l.port, 30)
    sent = 0
    for k in range(keys):
        client.sock.sendall(b"put s%d %s\n" % (k, b"%08d" % k * (size // 8)))
        sent += 1
        if sent * size > 40000 or k == keys - 1:
            for _ in range(sent):
                answer = client.file.readline().decode()
                check(answer.startswith("ok"), answer)
            sent = 0
    client.close()


def replace(c, node, number):
    """Server `number` in place of one whose directory was lost: never under the old ID."""
    l = c.leader()
    check(l.ask("remove %d" % node.id).startswith("ok"))
    node.wipe()
    node.id = number
    node.start()
    l = c.leader()
    check(l.ask("add %d %s" % (number, node.address)).startswith("ok"))
    check(l.ask("assign %d standby" % number).startswith("ok"))


def a_wiped_server_is_installed_by_snapshot():
    c = Cluster(LOGBYTES=4 << 20, TRAILING=1 << 20)
    fill(c, 2500, 20000)
    until(10, "a snapshot", lambda: all(n.status()["snapshot"] for n in c.nodes))
    f = c.followers()[0]
    f.kill()
    w = Writers(c, 3)
    l = c.leader()
    before, began = l.rss_mib(), time.time()
    l.status()
    replace(c, f, 9)
    until(20, "installed: " + f.tail(), lambda: f.status().get("snapshot"))
    took = time.time() - began
    check(l.ask("assign 9 voter", 20).startswith("ok"))
    w.stop()
    c.same_state()
    w.verify()
    check("installed snapshot" in open(f.log).read())
    grown = l.rss_mib(True) - before
    turns = [n.status()["turn_ms"] for n in c.nodes]
    f.restart()
    c.same_state()
    c.stop()
    return "%.1f MiB in %.2f s; leader grew by %.0f MiB; longest turns %s ms" % (
        os.path.getsize(snapshot_of(l)) / 2**20, took, grown, turns)


def snapshot_of(node):
    return [os.path.join(node.dir, f) for f in os.listdir(node.dir) if f.startswith("snapshot-")][0]


def the_log_on_disk_and_in_memory_stays_small():
    c = Cluster(LOGBYTES=2 << 20, TRAILING=512 << 10)
    l = c.leader()
    before = None
    for i in range(4):
        check(json.loads(l.ask("bench 4 16384 1500", 60))["failed"] == 0)
        time.sleep(0.5)
        before = before or l.rss_mib()
    grown = l.rss_mib() - before
    size = sum(os.path.getsize(os.path.join(l.dir, f)) for f in os.listdir(l.dir) if f.startswith("log-"))
    check(size < 64 << 20, "the log has", size, "bytes", os.listdir(l.dir))
    check(grown < 25 or SANITIZED, "memory grew by", grown)
    check(l.status()["log_bytes"] < 8 << 20, l.status())
    c.same_state()
    c.stop()
    return "98 MB written; log files %.1f MiB, memory grew by %.1f MiB" % (size / 2**20, grown)


def a_restart_with_100000_entries_is_quick():
    c = Cluster(LOGBYTES=1 << 30)
    l = c.leader()
    for _ in range(10):
        check(json.loads(l.ask("bench 4 128 10000", 60))["failed"] == 0)
    c.same_state()
    applied = l.status()["applied"]
    check(applied > 100000, applied)
    c.kill()
    began = time.time()
    for n in c.nodes:
        n.start()
    c.leader(20)
    ready = time.time() - began
    c.same_state()
    l = c.leader()
    check(l.status()["applied"] >= applied)
    quick(ready, 5, "getting ready")
    # Taking a snapshot of it, and letting go of the log, does not hold the loop.
    l.status()
    l.ask("snapshot")
    until(10, "a snapshot", lambda: l.status()["snapshot"])
    check(l.ask("put a b").startswith("ok"))
    c.stop()
    return "%d entries, ready after %.2f s" % (applied, ready)


def a_snapshot_waits_for_space():
    c = Cluster(1)
    n = c.nodes[0]
    fill(c, 100, 10000)
    n.ask("fault write snapshot 1 ENOSPC")
    n.ask("snapshot")
    until(5, "a failed attempt", lambda: "trying again" in open(n.log).read())
    check(n.ask("put a b").startswith("ok"))
    check(not [f for f in os.listdir(n.dir) if f.startswith("tmp")] or n.status()["running"])
    n.ask("fault off x 0 x")
    until(5, "a snapshot", lambda: n.status()["snapshot"])
    n.stop()
    n.start()
    check(c.leader().ask("get a") == "b")
    # And one that is waited for in vain ends with the server.
    n.ask("fault write snapshot 1 ENOSPC")
    n.ask("put c d")
    n.ask("snapshot")
    until(5, "a failed attempt", lambda: open(n.log).read().count("trying again") > 1)
    n.stop()
    n.start()
    check(c.leader().ask("get c") == "d")
    c.stop()


def an_installation_waits_for_space():
    c = Cluster(LOGBYTES=1 << 20, TRAILING=256 << 10)
    fill(c, 300, 20000)
    until(10, "a snapshot", lambda: all(n.status()["snapshot"] for n in c.nodes))
    f = c.followers()[0]
    f.kill()
    l = c.leader()
    check(l.ask("remove %d" % f.id).startswith("ok"))
    f.wipe()
    f.id = 9
    f.start()
    until(5, "up", f.status)
    f.ask("fault allocate incoming 0 ENOSPC")
    check(l.ask("add 9 %s" % f.address).startswith("ok") and l.ask("assign 9 standby").startswith("ok"))
    for kind, after in (("allocate", 0), ("write", 3), ("sync", 0)):
        seen = open(f.log).read().count("disk full")
        f.ask("fault %s incoming %d ENOSPC" % (kind, after))
        until(20, "it is refused: " + kind, lambda: open(f.log).read().count("disk full") > seen)
        check(not [x for x in os.listdir(f.dir) if x.startswith("incoming")], os.listdir(f.dir))
    f.ask("fault off x 0 x")
    until(20, "installed", lambda: f.status().get("snapshot"))
    c.same_state()
    c.stop()


def servers_end_in_the_middle_of_a_transfer():
    c = Cluster(LOGBYTES=4 << 20, TRAILING=1 << 20)
    fill(c, 2500, 20000)
    until(10, "a snapshot", lambda: all(n.status()["snapshot"] for n in c.nodes))
    f = c.followers()[0]
    f.kill()
    for i in range(6):
        f.kill()
        replace(c, f, 10 + i)
        time.sleep(rng.uniform(0, 0.25))
        if i % 2:
            f.stop()  # the receiver
        else:
            c.leader().stop()  # the sender
        for n in c.nodes:
            if not n.alive():
                n.start()
    until(20, "installed", lambda: f.status().get("snapshot"))
    c.put("a", "1")
    c.same_state()
    c.stop()


if __name__ == "__main__":
    run(a_wiped_server_is_installed_by_snapshot, the_log_on_disk_and_in_memory_stays_small, a_restart_with_100000_entries_is_quick,
        a_snapshot_waits_for_space, an_installation_waits_for_space, servers_end_in_the_middle_of_a_transfer)
