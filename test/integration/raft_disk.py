#!/usr/bin/env python3
"""What is on disk: damage is refused or cut, a failed write ends the process, a full disk is survived, a lost majority is recovered."""
import glob, struct
from raft_lab import *


def sample():
    """One server with several segments, stopped; and its newest segment's records."""
    c = Cluster(1, LOGBYTES=1 << 30)
    n = c.nodes[0]
    c.leader()
    check(json.loads(n.ask("bench 1 65536 200", 60))["failed"] == 0)
    check(json.loads(n.ask("bench 1 256 200", 60))["failed"] == 0)
    n.stop()
    shutil.copytree(n.dir, n.dir + ".kept")
    return c, n


def records(path):
    data, at, found = open(path, "rb").read(), 48, []
    while data[at:at + 4] == b"recd":
        size = 40 + struct.unpack_from("<Q", data, at + 32)[0]
        found.append((at, size))
        at += size
    return found


def damage_is_refused_and_a_torn_end_is_cut():
    c, n = sample()
    segments = sorted(os.path.basename(p) for p in glob.glob(n.dir + "/log-*"))
    check(len(segments) > 3, segments)
    first, last = segments[1], segments[-1]
    f, l = records(os.path.join(n.dir, first)), records(os.path.join(n.dir, last))
    middle, end = l[len(l) // 2], l[-1]

    def flip(name, at, bit=1):
        with open(os.path.join(n.dir, name), "r+b") as h:
            h.seek(at)
            byte = h.read(1)[0] ^ bit
            h.seek(at)
            h.write(bytes([byte]))

    def zero(name, at, size):
        with open(os.path.join(n.dir, name), "r+b") as h:
            h.seek(at)
            h.write(b"\0" * size)

    def lose(name):
        os.unlink(os.path.join(n.dir, name))

    def cut(name, size):
        os.truncate(os.path.join(n.dir, name), size)

    cases = (
        ("nothing", True, lambda: None),
        ("data in a closed segment", False, lambda: flip(first, f[len(f) // 2][0] + 3000)),
        ("a record's header in a closed segment", False, lambda: flip(first, f[1][0] + 33, 4)),
        ("the last record of a closed segment", False, lambda: flip(first, f[-1][0] + 100)),
        ("a closed segment lost", False, lambda: lose(first)),
        ("a closed segment's header", False, lambda: flip(first, 20)),
        ("data in the middle of the newest", False, lambda: flip(last, middle[0] + 60)),
        ("the same without the mark", False, lambda: (lose("mark"), flip(last, middle[0] + 60))),
        ("a length in the middle, without the mark", False, lambda: (lose("mark"), flip(last, middle[0] + 35, 128))),
        ("the last record, which was synced", False, lambda: flip(last, end[0] + 60)),
        ("half of the last record, which was synced", False, lambda: cut(last, end[0] + 100)),
        ("half of the last record, without the mark", True, lambda: (lose("mark"), cut(last, end[0] + 100))),
        ("its second half zero", True, lambda: (lose("mark"), zero(last, end[0] + 100, end[1] - 100))),
        ("its header zero", True, lambda: (lose("mark"), zero(last, end[0], 40))),
        ("the newest segment lost", False, lambda: lose(last)),
        ("both votes", False, lambda: (flip("vote", 20), flip("vote", 4096 + 20))),
    )
    for name, starts, damage in cases:
        shutil.rmtree(n.dir)
        shutil.copytree(n.dir + ".kept", n.dir)
        damage()
        n.start()
        if starts:
            c.leader()
            check(n.ask("put a %s" % name.replace(" ", "_")).startswith("ok"), name)
            n.restart()
            check(c.leader().ask("get a") == name.replace(" ", "_"), name)
            n.stop()
        else:
            until(5, name + " is refused", lambda: not n.alive())
            check(n.process.returncode == 1, name, n.tail())
    n.kill()


def a_damaged_snapshot_is_refused():
    c = Cluster(1)
    n = c.nodes[0]
    for i in range(20):
        c.put("k%d" % i, "x" * 1000)
    n.ask("snapshot")
    until(5, "a snapshot", lambda: n.status()["snapshot"])
    n.stop()
    path = glob.glob(n.dir + "/snapshot-*")[0]
    with open(path, "r+b") as h:
        h.seek(9000)
        byte = h.read(1)[0] ^ 1
        h.seek(9000)
        h.write(bytes([byte]))
    n.start()
    until(5, "it is refused", lambda: not n.alive())
    check("damaged" in n.tail(), n.tail())


def two_processes_do_not_share_a_directory():
    c = Cluster(1)
    c.leader()
    n = Node(c, 2, "%s.2" % c.net, dir=c.nodes[0].dir, id=1).start()
    until(5, "it ends", lambda: not n.alive())
    check("in use" in n.tail(), n.tail())
    c.put("a", "1")
    c.stop()


def a_failed_write_ends_the_process_and_loses_nothing():
    for op, file in (("sync", "log"), ("write", "log"), ("write", "vote")):
        c = Cluster()
        w = Writers(c, 6)
        time.sleep(0.4)
        l = c.leader()
        l.ask("fault %s %s %d EIO" % (op, file, 0 if file == "vote" else 20))
        until(8, "it ends", lambda: not l.alive() or (file == "vote" and l.ask("transfer 0") == "never"))
        check(l.process.returncode == 4, l.process.returncode, l.tail())
        c.leader(other_than=l)
        time.sleep(0.3)
        w.stop()
        c.put("middle", "1")
        c.same_state()
        w.verify()
        l.start()
        c.put("last", "1")
        c.same_state()
        w.verify()
        c.stop()


def a_lost_majority_is_recovered():
    c = Cluster(LOGBYTES=64 << 10, TRAILING=16 << 10)
    for i in range(30):
        c.put("k%d" % i, "v%d" % i + "x" * 4000)
    c.same_state()
    c.stop()
    n, lost = c.nodes[0], c.nodes[1:]
    for m in lost:
        m.wipe()
    n.start()
    time.sleep(0.7)
    check(not n.status()["ready"])
    n.stop()
    code = subprocess.run([SERVER, "recover", n.dir, "%d@%s" % (n.id, n.address)], stderr=subprocess.PIPE)
    check(code.returncode == 0, code.stderr)
    n.start()
    c.leader()
    check(n.ask("get k29").startswith("v29"))
    check(len(n.json("conf")) == 1)
    for i, m in enumerate(lost):
        m.id = 11 + i
        m.start()
        check(n.ask("add %d %s" % (m.id, m.address)).startswith("ok"))
        check(n.ask("assign %d standby" % m.id).startswith("ok"))
        check(n.ask("assign %d voter" % m.id, 15).startswith("ok"))
    c.put("after", "1")
    c.same_state()
    check(subprocess.run([SERVER, "recover", n.dir, "1@a:1"], stderr=subprocess.PIPE).returncode == 1)  # It runs.
    c.stop()


class SmallDisk:
    """A file system of its own with `free` MiB left, behind a ballast that can be removed."""

    def __init__(self, free):
        self.image, self.mount = os.path.join(BASE, "small.img"), os.path.join(BASE, "small")
        os.makedirs(self.mount, exist_ok=True)
        self.run("truncate -s 230M %s && mkfs.ext4 -q -F %s && mount -o loop %s %s" % (self.image, self.image, self.image, self.mount))
        left = os.statvfs(self.mount)
        size = left.f_bavail * left.f_bsize - (free << 20)
        self.run("fallocate -l %d %s/ballast" % (size, self.mount))

    def run(self, command):
        done = subprocess.run(command, shell=True, stderr=subprocess.PIPE)
        if done.returncode:
            raise OSError(done.stderr.decode())

    def more(self):
        os.unlink(self.mount + "/ballast")

    def close(self):
        subprocess.run(["umount", "-l", self.mount], stderr=subprocess.DEVNULL)
        os.unlink(self.image)


def on_a_small_disk(case):
    try:
        disk = SmallDisk(40)
    except OSError as e:
        raise Skip("no file system can be mounted here: %s" % str(e).strip()[:80])
    try:
        return case(disk)
    finally:
        for c in every:
            c.kill()
        disk.close()


def write_until(c, node, seconds, value, stop):
    """Put on that node; the answers counted by their kind."""
    answers, end, i = {}, time.time() + seconds, 0
    while time.time() < end and not stop(answers):
        i += 1
        answer = node().ask("put k%d %s" % (i % 50, value)) or "none"
        kind = " ".join(answer.split()[:2]) if answer.startswith("error") else answer.split()[0]
        answers[kind] = answers.get(kind, 0) + 1
        if kind != "ok":
            time.sleep(0.005)
    return answers


def a_full_single_server_refuses_until_there_is_space():
    def case(disk):
        c = Cluster(1, dirs={1: disk.mount + "/d"}, LOGBYTES=1 << 30)
        n = c.nodes[0]
        c.leader()
        answers = write_until(c, lambda: n, 200, "x" * 60000, lambda a: a.get("error -13", 0) > 30)
        check(answers.get("error -13", 0) > 30, answers)
        check(n.status()["full"] == 1)
        last = n.ask("hash")
        check(n.alive())
        disk.more()
        began = time.time()
        until(5, "writes again", lambda: (n.ask("put after 1") or "").startswith("ok"))
        took = time.time() - began
        n.restart()
        check(c.leader().ask("get after") == "1")
        c.stop()
        return "%s, then again after %.2f s" % (answers, took)
    return on_a_small_disk(case)


def a_full_leader_hands_on():
    def case(disk):
        c = Cluster(3, dirs={1: disk.mount + "/d"}, LOGBYTES=1 << 30)
        full = c.nodes[0]
        if c.leader() is not full:
            until(10, "server 1 leads", lambda: c.leader() is full or c.leader().ask("transfer 1") == "ok 0")
        until(3, "it leads", lambda: full.status().get("ready"))
        answers = write_until(c, c.leader, 200, "x" * 60000, lambda a: a.get("ok", 0) > 1200)
        check(answers.get("ok", 0) > 1200, answers)
        check(c.leader() is not full, "it leads again", full.status(), answers, full.tail())
        check(full.alive() and full.status()["full"], full.status())
        peak = full.rss_mib(True)
        disk.more()
        c.put("after", "1")
        began = time.time()
        c.same_state(20)
        took = time.time() - began
        for n in c.nodes:
            n.kill()
        for n in c.nodes:
            n.start()
        c.put("last", "1")
        c.same_state()
        c.stop()
        check(peak < 250 or SANITIZED, "the full server grew to", peak)
        return "%s, the full one peaked at %.0f MiB and was even after %.1f s" % (answers, peak, took)
    return on_a_small_disk(case)


if __name__ == "__main__":
    run(damage_is_refused_and_a_torn_end_is_cut, a_damaged_snapshot_is_refused, two_processes_do_not_share_a_directory,
        a_failed_write_ends_the_process_and_loses_nothing, a_lost_majority_is_recovered, a_full_single_server_refuses_until_there_is_space,
        a_full_leader_hands_on)
