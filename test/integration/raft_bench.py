#!/usr/bin/env python3
"""Figures, to compare with each other on one machine: entries per second and latency, one and many at a time."""
from raft_lab import *

ROWS = (("one 256 B entry at a time", "1 256 3000"), ("four 256 B entries", "4 256 6000"), ("one 16 KiB entry", "1 16384 1500"),
        ("one 64 KiB entry", "1 65536 600"), ("four 64 KiB entries", "4 65536 600"))


def bench():
    c = Cluster(ELECTION=1500, LOGBYTES=1 << 30)
    l = c.leader()
    time.sleep(0.5)
    for name, what in ROWS:
        print("# %-28s %s" % (name, l.ask("bench " + what, 60)), flush=True)
    print("# turn", [n.status()["turn_ms"] for n in c.nodes], "rss", ["%.1f" % n.rss_mib() for n in c.nodes])
    c.stop()


def idle():
    c = Cluster()
    c.put("a", "1")
    time.sleep(3)
    print("# idle rss", ["%.2f" % n.rss_mib() for n in c.nodes])
    t = [sum(map(int, open("/proc/%d/stat" % n.process.pid).read().split()[13:15])) for n in c.nodes]
    time.sleep(4)
    u = [sum(map(int, open("/proc/%d/stat" % n.process.pid).read().split()[13:15])) for n in c.nodes]
    print("# idle cpu %", [(b - a) / 4 for a, b in zip(t, u)])
    c.stop()


if __name__ == "__main__":
    run(bench, idle)
