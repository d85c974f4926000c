#!/usr/bin/env python3
"""kill -9 of one, the leader, or all servers under writes, with snapshots being taken meanwhile: nothing that was acknowledged is lost."""
from raft_lab import *

SECONDS = float(os.environ.get("KILL_SECONDS", "25"))


def nothing_acknowledged_is_lost():
    c = Cluster(LOGBYTES=256 << 10, TRAILING=64 << 10)
    c.leader()
    w = Writers(c, 8)
    end, rounds = time.time() + SECONDS, 0
    while time.time() < end:
        time.sleep(rng.uniform(0.1, 0.6))
        rounds += 1
        if rounds % 6 == 5:
            for n in c.nodes:
                n.kill()
            for n in c.nodes:
                n.start()
        else:
            n = c.leader() if rounds % 3 == 0 else rng.choice(c.nodes)
            n.kill()
            time.sleep(rng.uniform(0, 0.4))
            n.start()
        for n in c.nodes:
            check(n.alive(), "server", n.number, "ended:", n.tail())
    w.stop()
    c.leader()
    c.put("last", "1")
    c.same_state()
    w.verify()
    snapshots = [n.status()["snapshot"] for n in c.nodes]
    check(all(snapshots), "no snapshots", snapshots)
    c.stop()
    return "%d rounds, %d acknowledged, %d not, snapshots at %s" % (rounds, w.n_ok, w.n_failed, snapshots)


def pauses_lose_nothing():
    c = Cluster(LOGBYTES=256 << 10, TRAILING=64 << 10)
    c.leader()
    w = Writers(c, 8, sizes=(10, 300, 30000))
    end, rounds = time.time() + SECONDS / 2, 0
    while time.time() < end:
        time.sleep(rng.uniform(0.05, 0.4))
        rounds += 1
        for n in rng.sample(c.nodes, rng.choice((1, 1, 2))):
            os.kill(n.process.pid, signal.SIGSTOP)
            time.sleep(rng.uniform(0, 0.1))
        time.sleep(rng.uniform(0.05, 0.7))
        for n in c.nodes:
            os.kill(n.process.pid, signal.SIGCONT)
        for n in c.nodes:
            check(n.alive(), "server", n.number, "ended:", n.tail())
    w.stop()
    c.put("last", "1")
    c.same_state()
    w.verify()
    c.stop()
    return "%d rounds, %d acknowledged, %d not" % (rounds, w.n_ok, w.n_failed)


def stopping_in_the_middle_of_anything_is_clean():
    c = Cluster(LOGBYTES=256 << 10, TRAILING=64 << 10)
    c.leader()
    w = Writers(c, 6)
    for i in range(12):
        time.sleep(rng.uniform(0, 0.3))
        n = rng.choice(c.nodes)
        n.stop()
        n.start()
    w.stop()
    c.put("last", "1")
    c.same_state()
    w.verify()
    c.stop()


if __name__ == "__main__":
    run(nothing_acknowledged_is_lost, pauses_lose_nothing, stopping_in_the_middle_of_anything_is_clean)
