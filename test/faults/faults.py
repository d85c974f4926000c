"""The faults. Each is a function (world, load, rng, hold) that makes it, shows by what can be seen from outside that it has
taken hold, yields what there is to say of it, and then undoes it; what it yields last may be a note, too. While it
holds, for `hold` seconds, users go on; a fault that takes its own time does so before it yields."""
import errno, glob, resource, select, threading

import journal
from load import Line
from world import *

FAULTS = {}


def fault(servers=(3, 5), quick=False):
    def enter(function):
        FAULTS[function.__name__.replace("_", "-")] = function
        function.servers, function.quick = servers, quick
        return function
    return enter


def is_silent(s, seconds=0.4):
    return s.try_read("/v1/agent/self", timeout=seconds) is None


# ---- processes

def kill_all_of(victims):
    for s in victims:
        until(20, "%s answers as it is" % s, lambda: not is_silent(s, 2))
    for s in victims:
        os.kill(s.pid, signal.SIGKILL)
    for s in victims:
        s.process.wait(30)
        check(s.process.returncode == -9 and is_silent(s), s, "has not been killed")


@fault(quick=True)
def kill_leader(world, load, rng, hold):
    leader = world.leader()
    kill_all_of([leader])
    yield "%s" % leader
    leader.start()


@fault()
def kill_follower(world, load, rng, hold):
    victim = rng.choice(world.followers())
    kill_all_of([victim])
    yield "%s" % victim
    victim.start()


@fault()
def kill_majority(world, load, rng, hold):
    n = len(world.servers) // 2 + 1
    victims = rng.sample(world.servers, n)
    kill_all_of(victims)
    yield "%s" % victims
    for s in victims:
        s.start()


@fault(quick=True)
def kill_all(world, load, rng, hold):
    kill_all_of(world.servers)
    yield ""
    for s in rng.sample(world.servers, len(world.servers)):
        s.start()


@fault()
def kill_again_and_again(world, load, rng, hold):
    """Servers are killed while others are still coming back."""
    end, n = time.monotonic() + hold, 0
    while time.monotonic() < end:
        victim = rng.choice(world.live() or world.servers)
        if victim.pid:
            os.kill(victim.pid, signal.SIGKILL)
            victim.process.wait(30)
            n += 1
        time.sleep(rng.uniform(0, 0.4))
        for s in world.servers:
            if not s.pid and rng.random() < 0.7:
                s.start()
        time.sleep(rng.uniform(0, 0.5))
    for s in world.servers:
        if not s.pid:
            s.start()
    yield "%d killed" % n


def freeze(victims):
    for s in victims:
        os.kill(s.pid, signal.SIGSTOP)
    for s in victims:
        until(20, "%s is stopped" % s, lambda: is_stopped(s))
        check(is_silent(s), s, "answers, though it is stopped")


def is_stopped(s):
    """All its threads are: one that has not had its turn on a processor since is not yet."""
    folder = "/proc/%d/task" % s.pid
    return all(open("%s/%s/stat" % (folder, t)).read().rsplit(")", 1)[1].split()[0] == "T" for t in os.listdir(folder))


def thaw(victims):
    for s in victims:
        os.kill(s.pid, signal.SIGCONT)


@fault(quick=True)
def freeze_leader(world, load, rng, hold):
    leader = world.leader()
    freeze([leader])
    yield "%s" % leader
    thaw([leader])


@fault()
def freeze_follower(world, load, rng, hold):
    victim = rng.choice(world.followers())
    freeze([victim])
    yield "%s" % victim
    thaw([victim])


@fault()
def freeze_all(world, load, rng, hold):
    freeze(world.servers)
    yield ""
    thaw(rng.sample(world.servers, len(world.servers)))


@fault()
def freeze_leader_in_bits(world, load, rng, hold):
    """For about as long as an election takes: whether it is still the leader, it cannot know."""
    end, n = time.monotonic() + hold, 0
    while time.monotonic() < end:
        leader = world.leader(20)
        freeze_for = rng.uniform(0.05, 0.6)
        os.kill(leader.pid, signal.SIGSTOP)
        until(20, "%s is stopped" % leader, lambda: is_stopped(leader))
        time.sleep(freeze_for)
        os.kill(leader.pid, signal.SIGCONT)
        n += 1
        time.sleep(rng.uniform(0, 0.3))
    yield "%d times" % n


# ---- wires

def cut_off(world, group, both=True):
    """Servers of the group and the others do not reach each other; or what the group sends is lost, only."""
    for a in group:
        for b in world.servers:
            if b not in group:
                world.wires.set(a.number, b.number, lost=1)
                if both:
                    world.wires.set(b.number, a.number, lost=1)


def expect_cut(world, group, both=True):
    a, b = group[0], next(s for s in world.servers if s not in group)
    out, _ = world.wires.probe(a.number, b.number, seconds=0.3)
    back = world.wires.probe(b.number, a.number, seconds=0.3)[0] if both else 0
    check(out == 0 and back == 0, "it has not taken hold: out", out, "back", back)
    if not both:
        world.wires.expect_whole(b.number, a.number)
    world.wires.expect_whole(world.hub, a.number)


@fault(quick=True)
def partition_leader(world, load, rng, hold):
    leader = world.leader()
    cut_off(world, [leader])
    expect_cut(world, [leader])
    yield "%s" % leader
    world.wires.heal()


@fault()
def partition_follower(world, load, rng, hold):
    victim = rng.choice(world.followers())
    cut_off(world, [victim])
    expect_cut(world, [victim])
    yield "%s" % victim
    world.wires.heal()


@fault()
def partition_all(world, load, rng, hold):
    for s in world.servers:
        cut_off(world, [s])
    for s in world.servers:
        expect_cut(world, [s])
    yield ""
    world.wires.heal()


@fault(servers=(5,))
def partition_halves(world, load, rng, hold):
    """The leader is with one other."""
    leader = world.leader()
    group = [leader, rng.choice([s for s in world.servers if s is not leader])]
    cut_off(world, group)
    expect_cut(world, group)
    yield "%s" % group
    world.wires.heal()


@fault(servers=(5,))
def partition_bridge(world, load, rng, hold):
    """Two halves that see each other only through one server."""
    order = rng.sample(world.servers, 5)
    for a in order[:2]:
        for b in order[3:]:
            world.wires.both(a.number, b.number, lost=1)
    same(world.wires.probe(order[0].number, order[3].number, seconds=0.3)[0], 0, "%s to %s" % (order[0], order[3]))
    for other in (order[0], order[4]):
        world.wires.expect_whole(order[2].number, other.number)
    yield "%s" % order
    world.wires.heal()


@fault(quick=True)
def oneway_leader_mute(world, load, rng, hold):
    """The leader hears all, and nobody hears it."""
    leader = world.leader()
    cut_off(world, [leader], both=False)
    expect_cut(world, [leader], both=False)
    yield "%s" % leader
    world.wires.heal()


@fault()
def oneway_leader_deaf(world, load, rng, hold):
    leader = world.leader()
    others = [s for s in world.servers if s is not leader]
    cut_off(world, others, both=False)
    expect_cut(world, others, both=False)
    yield "%s" % leader
    world.wires.heal()


@fault()
def oneway_follower_mute(world, load, rng, hold):
    victim = rng.choice(world.followers())
    cut_off(world, [victim], both=False)
    expect_cut(world, [victim], both=False)
    yield "%s" % victim
    world.wires.heal()


@fault()
def oneway_ring(world, load, rng, hold):
    """Each server is not heard by the next one."""
    order = rng.sample(world.servers, len(world.servers))
    for a, b in zip(order, order[1:] + order[:1]):
        world.wires.set(a.number, b.number, lost=1)
    same(world.wires.probe(order[0].number, order[1].number, seconds=0.3)[0], 0, "it has not taken hold: what came")
    world.wires.expect_whole(order[1].number, order[0].number)
    yield "%s" % order
    world.wires.heal()


@fault()
def flapping(world, load, rng, hold):
    """Whoever leads is cut off and back, faster and slower than elections."""
    end, n, whole = time.monotonic() + hold, 0, 0
    while time.monotonic() < end:
        victim = rng.choice(world.servers + [world.leader(20)] * 3)
        before = world.wires.lost(victim.number, (victim.number + 1) % len(world.servers))
        cut_off(world, [victim], both=rng.random() < 0.7)
        time.sleep(rng.uniform(0.05, 0.7))
        world.wires.heal()
        n += world.wires.lost(victim.number, (victim.number + 1) % len(world.servers)) > before
        whole += 1
        time.sleep(rng.uniform(0, 0.5))
    check(n * 2 > whole, "it has not taken hold: packets were lost only in", n, "of", whole)
    yield "%d times" % whole


def delayed(world, sides, ms, jitter=0):
    for a in sides:
        for b in world.servers:
            if b is not a:
                world.wires.both(a.number, b.number, delay_ms=ms, jitter_ms=jitter)
    a = sides[0]
    b = next(s for s in world.servers if s is not a)
    for p, q in ((a, b), (b, a)):
        took = world.wires.expect_whole(p.number, q.number)
        check(took > ms / 1000, "it has not taken hold: half of 20 came within", took)


@fault(quick=True)
def delay(world, load, rng, hold):
    ms = rng.choice((20, 40, 60))
    delayed(world, world.servers, ms)
    yield "%d ms each way" % ms
    world.wires.heal()


@fault()
def delay_long(world, load, rng, hold):
    """More than a third of an election's timeout: what was heard is old."""
    ms = rng.choice((80, 100, 130))
    delayed(world, world.servers, ms)
    yield "%d ms each way" % ms
    world.wires.heal()


@fault()
def delay_leader(world, load, rng, hold):
    leader = world.leader()
    ms = rng.choice((80, 150, 300))
    delayed(world, [leader], ms)
    yield "%s, %d ms each way" % (leader, ms)
    world.wires.heal()


@fault()
def delay_then_partition(world, load, rng, hold):
    """Slow answers of followers that another leader has already: whoever takes them for new ones reads what is old."""
    end, n = time.monotonic() + hold, 0
    while time.monotonic() < end or n < 2:
        leader = world.leader(20)
        others = [s for s in world.servers if s is not leader]
        for s in others:  # What they say is late; what it says is not.
            world.wires.set(s.number, leader.number, delay_ms=rng.choice((200, 400, 600)))
        watch = Watch(load, leader, others, rng)
        time.sleep(rng.uniform(0.6, 0.8))
        for s in others:
            world.wires.set(leader.number, s.number, lost=1)
        took = world.wires.expect_whole(others[0].number, leader.number, n=3)
        check(took > 0.15 and world.wires.probe(leader.number, others[0].number, n=3, seconds=0.1)[0] == 0, "it has not taken hold")
        time.sleep(0.5)
        watch.end()
        world.wires.heal()
        n += 1
        time.sleep(rng.uniform(0.2, 0.6))
    yield "%d times" % n


class Watch:
    """Users of one job more: they write it at some servers and read it at another one, without a pause. Who writes has no
    patience: what was passed on to a leader that is cut off must not keep them."""

    def __init__(self, load, at, others, rng):
        self.running, key = True, new_id(load.run_id + "-watched")
        load.watched.append(key)
        load.write(rng, "watch", Line(), (at.ip, 4646), key)
        self.threads = [threading.Thread(target=self.work, args=(load.write, rng, Line(0.2), (s.ip, 4646), key, 0.02)) for s in others[:2]] + \
                       [threading.Thread(target=self.work, args=(load.read_default, rng, Line(), (at.ip, 4646), key, 0.005)) for _ in range(2)]
        for t in self.threads:
            t.start()

    def work(self, act, rng, line, target, key, pause_s):
        while self.running:
            act(rng, "watch", line, target, key)
            time.sleep(pause_s)

    def end(self):
        self.running = False
        for t in self.threads:
            t.join(30)


@fault()
def reorder(world, load, rng, hold):
    """Packets overtake each other, and come twice."""
    for a in world.servers:
        for b in world.servers:
            if a is not b:
                world.wires.set(a.number, b.number, jitter_ms=20, doubled=0.1)
    got, took = world.wires.probe(0, 1, n=100)
    check(took > 0.003, "it has not taken hold: half of them came within", took)
    yield ""
    world.wires.heal()


@fault()
def loss(world, load, rng, hold):
    share = rng.choice((0.05, 0.15, 0.3))
    for a in world.servers:
        for b in world.servers:
            if a is not b:
                world.wires.set(a.number, b.number, lost=share)

    def took_hold():  # Not all of what is not lost need have come in this time.
        got, _ = world.wires.probe(0, 1, n=200, seconds=0.5)
        return 200 * (1 - share) - 45 < got < 200 * (1 - share) + 45 and got < 200
    until(20, "it takes hold: %d %% of packets are lost" % (share * 100), took_hold)
    yield "%d %%" % (share * 100)
    world.wires.heal()


# ---- disks

def fill(s):
    """To the last byte; whoever frees a file meanwhile, as a snapshot does with the log before it, does so once or twice."""
    until(20, "it takes hold: no room on the disk of %s" % s, lambda: is_filled(s))


def is_filled(s):
    path = os.path.join(s.data, "fill")
    with open(path, "ab", buffering=0) as f:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    f.write(b"\0" * size)
            except OSError as e:
                same(e.errno, errno.ENOSPC)
    probe = os.path.join(s.data, "probe")
    try:
        with open(probe, "wb", buffering=0) as f:
            return f.write(b"x" * 100000) < 100000
    except OSError as e:
        same(e.errno, errno.ENOSPC)
        return True
    finally:
        if os.path.exists(probe):
            os.unlink(probe)


def full_disks(world, victims):
    for s in victims:
        if not s.on_tmpfs:
            s.end(15, 20)
            s.move_to_tmpfs(room_mb=24)
            s.start()
            until(60, "%s is back" % s, lambda: s.try_read("/v1/status/leader"))
    world.leader(30)


def free_disks(victims):
    for s in victims:
        os.unlink(os.path.join(s.data, "fill"))


@fault()
def disk_full_leader(world, load, rng, hold):
    victim = world.leader()
    full_disks(world, [victim])
    if world.leader() is not victim:
        transfer_to(world, victim)
    fill(victim)
    yield "%s" % victim
    free_disks([victim])


@fault(quick=True)
def disk_full_follower(world, load, rng, hold):
    victim = rng.choice(world.followers())
    full_disks(world, [victim])
    fill(victim)
    yield "%s" % victim
    free_disks([victim])


@fault(servers=(3,))
def disk_full_all(world, load, rng, hold):
    full_disks(world, world.servers)
    for s in world.servers:
        fill(s)
    yield ""
    free_disks(world.servers)


def transfer_to(world, target):
    """Best effort: it may be that another is elected at once."""
    def asked():
        leader = world.leader(20)
        if leader is target:
            return True
        name = next((v["ID"] for v in leader.read("/v1/operator/raft/configuration")["Servers"] if v["Address"] == target.ip + ":4647"), "")
        leader.put("/v1/operator/raft/transfer-leadership?id=" + name, timeout=5)
        return world.leader(20) is target
    until(20, "%s leads" % target, asked)


def raft_dir(s):
    found = [d for d, _, files in os.walk(s.data) if any(f.startswith("log-") for f in files)]
    check(found, "no log in", s.data)
    return found[0]


def killed_with_log(world, rng):
    victim = rng.choice(world.servers)
    kill_all_of([victim])
    folder = raft_dir(victim)
    return victim, folder, journal.segments(folder)


def expect_refusal(s, *words):
    """It ends by itself, and says which file is damaged and what to do about it."""
    before = len(s.log())
    s.start()
    until(60, lambda: "%s refuses: %s" % (s, s.tail()), lambda: not s.pid)
    said = s.log()[before:]
    check(s.process.returncode not in (0, -9, -6, -11), s, "ended with", s.process.returncode, said)
    check(all(w in said for w in words + ("cannot start", "move", s.dir)), "it does not say", words, ":", said)
    return said


def come_back_anew(s):
    """What the refusal told the operator to do."""
    s.wipe()
    s.start()


@fault(quick=True)
def torn_tail(world, load, rng, hold):
    """A write that was never synced, and so never acknowledged, is cut off."""
    victim, folder, found = killed_with_log(world, rng)
    last = found[-1]
    last.tear(os.urandom(rng.choice((8, 96, 3000, 40000))))
    check(len(journal.segments(folder)[-1].records) == len(last.records) + 1, "it has not taken hold: there is no torn record")
    before = len(victim.log())
    victim.start()
    until(60, lambda: "it is told: " + victim.tail(), lambda: "torn end" in victim.log()[before:])
    yield "%s" % victim


@fault(quick=True)
def flipped_tail(world, load, rng, hold):
    victim, folder, found = killed_with_log(world, rng)
    synced = journal.mark(folder)
    records = [(s, at, size) for s in found[-2:] for at, seq, size in s.records if seq <= synced or s is not found[-1]]
    check(records, "no record was synced, says the mark", synced)
    segment, at, size = rng.choice(records[-20:])
    place = at + rng.randrange(8, size)  # Not its magic: a tear could look so; its checksum covers the rest.
    was = open(segment.path, "rb").read()
    segment.flip(place)
    check(open(segment.path, "rb").read() != was, "it has not taken hold")
    expect_refusal(victim, os.path.basename(segment.path))
    yield "%s, %s at %d" % (victim, os.path.basename(segment.path), place)
    come_back_anew(victim)


@fault()
def missing_segment(world, load, rng, hold):
    victim, folder, found = killed_with_log(world, rng)
    found = [s for s in found if s.records]
    lost = found[-1] if len(found) < 3 else rng.choice(found[1:])
    os.unlink(lost.path)
    check(os.path.basename(lost.path) not in os.listdir(folder), "it has not taken hold")
    expect_refusal(victim, "the log in")
    yield "%s, %s" % (victim, os.path.basename(lost.path))
    come_back_anew(victim)


@fault()
def damaged_snapshot(world, load, rng, hold):
    victim = rng.choice(world.servers)
    until(30, "a snapshot", lambda: glob.glob(os.path.join(raft_dir(victim), "snapshot-*")) or burst(victim))
    kill_all_of([victim])
    path = max(glob.glob(os.path.join(raft_dir(victim), "snapshot-*[0-9a-f]")))
    was = open(path, "rb").read()
    at = rng.randrange(len(was))
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(bytes([was[at] ^ 1]))
    check(open(path, "rb").read() != was, "it has not taken hold")
    expect_refusal(victim, os.path.basename(path))
    yield "%s, %s at %d" % (victim, os.path.basename(path), at)
    come_back_anew(victim)


def burst(s):
    for i in range(40):
        s.put("/v1/jobs", {"Job": idle("snapshot-fill-%d" % i, Meta={"padding": os.urandom(8000).hex()})})


@fault(quick=True)
def wiped(world, load, rng, hold):
    victim = rng.choice(world.servers)
    kill_all_of([victim])
    victim.wipe()
    check(not os.path.exists(os.path.join(victim.data, "server")), "it has not taken hold")
    yield "%s" % victim
    victim.start()


# ---- clocks

def submit_time_s(world):
    """By the leader's wall clock."""
    name = new_id("clock")
    world.leader(20).register(idle(name), timeout=10)
    return world.servers_answer("/v1/job/" + name)["SubmitTime"] / SECOND


@fault(quick=True)
def clock_jump(world, load, rng, hold):
    if SANITIZED:
        raise Skip("a sanitizer must be loaded first")
    leader = world.leader()
    leader.set_clock(rng.choice((-1700, 1700)))
    off = submit_time_s(world) - time.time()
    if world.leader() is leader:
        check(abs(off) > 1600, "it has not taken hold: by the leader's clock it is", off, "s off")
    yield "%s by %d s" % (leader, off)
    leader.set_clock(0)


@fault()
def clocks_apart(world, load, rng, hold):
    """Each server's jumps to somewhere else, again and again."""
    if SANITIZED:
        raise Skip("a sanitizer must be loaded first")
    end, seen, n = time.monotonic() + hold, set(), 0
    while time.monotonic() < end or n < 2:
        for s in world.servers:
            s.set_clock(rng.uniform(-1700, 1700))
        seen.add(round((submit_time_s(world) - time.time()) / 10))
        n += 1
        time.sleep(0.3)
    check(seen - {0}, "it has not taken hold")
    for s in world.servers:
        s.set_clock(0)
    yield "%d times" % n


# ---- connections

def open_idle(ip, port, n):
    found = []
    for _ in range(n):
        s = socket.create_connection((ip, port), timeout=5)
        s.setblocking(False)
        found.append(s)
    return found


def still_open(sockets):
    p = select.poll()
    for s in sockets:
        p.register(s, select.POLLIN | select.POLLHUP)
    return len(sockets) - len(p.poll(0))


def descriptors(s):
    return len(os.listdir("/proc/%d/fd" % s.pid))


@fault(servers=(3,))
def idle_connections(world, load, rng, hold):
    """10,000 that say nothing: most of HTTP, the others of RPC, which gives each 5 s to say who it is."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 13000:
        raise Skip("a process may have too few descriptors: ulimit -n")
    victim = world.leader()
    before = victim.rss_mb()
    http_ones, rpc_ones = open_idle(victim.ip, 4646, 9800), open_idle(victim.ip, 4647, 1500)
    n = still_open(http_ones) + still_open(rpc_ones)
    check(n >= 10000 and descriptors(victim) > 9800, "it has not taken hold:", n, "are open, and the server has", descriptors(victim))
    yield "%s, %d open, %d MB more" % (victim, n, victim.rss_mb() - before)
    check(still_open(http_ones) == 9800, "idle connections were closed:", 9800 - still_open(http_ones))
    for s in http_ones + rpc_ones:
        s.close()
    until(20, lambda: "%s forgets them: %d descriptors" % (victim, descriptors(victim)), lambda: descriptors(victim) < 500)


@fault()
def slow_readers(world, load, rng, hold):
    """Users that ask for much and read nothing of it."""
    victim = world.leader()
    before, sockets = victim.rss_mb(), []
    burst(victim)
    for i in range(60):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((victim.ip, 4646))
        path = rng.choice(("/v1/jobs?meta=true&stale", "/v1/operator/snapshot?stale", "/v1/event/stream", "/v1/metrics"))
        s.setblocking(False)
        try:
            s.send(b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode() for _ in range(200)))
        except OSError:
            pass
        sockets.append(s)
    time.sleep(0.5)
    queued = [int(line.split()[4].split(":")[0], 16) for line in open("/proc/%d/net/tcp" % victim.pid).read().splitlines()[1:]]
    check(sum(q > 1000 for q in queued) > 20, "it has not taken hold: bytes that wait to be read:", sorted(queued)[-30:])
    yield "%s, %d kB wait" % (victim, sum(queued) // 1000)
    grown = victim.rss_mb() - before
    check(grown < 400 or SANITIZED, "it has grown by", grown, "MB")
    for s in sockets:
        s.close()


# ---- operators

@fault(quick=True)
def rolling_restart(world, load, rng, hold):
    """Every server, one after the other, the leader last. No write fails; of unknown outcome may be some."""
    leader = world.leader()
    began, gaps = time.monotonic(), []
    for s in [x for x in world.servers if x is not leader] + [leader]:
        old = s.pid
        at = time.monotonic()
        s.end(15, 20)
        same(s.process.returncode, 0, "%s ends: %s" % (s, s.tail()))
        s.start()
        check(s.pid != old, "it has not taken hold")
        until(60, lambda: "the cluster is whole: %s" % [world.voters(x) for x in world.servers], world.is_whole)
        caught_up(world)
        gaps.append(load.gap_s(at, time.monotonic()))
    with load.lock:
        failed = [e for e in load.errors if e[0] >= began]
    check(not failed, len(failed), "writes failed, among them", failed[:3])
    yield "no write failed; longest gaps %s s" % " ".join("%.2f" % g for g in gaps)


@fault(quick=True)
def leader_stopped(world, load, rng, hold):
    """It hands on first. How long nobody's write was acknowledged is a matter of the machine as well, so the best counts."""
    gaps, times = [], []
    while len(gaps) < 3 or (min(gaps) >= 1 and len(gaps) < 9):
        leader = world.leader(20)
        time.sleep(0.4)
        at = time.monotonic()
        took = leader.end(15, 20)
        new = world.leader(20)
        check(new is not leader, "it has not taken hold")
        time.sleep(0.6)
        gaps.append(handover_s(load, at))
        times.append(took)
        leader.start()
        until(60, "the cluster is whole", world.is_whole)
    check(min(gaps) < 1, "no write was acknowledged for", gaps)
    yield "gaps %s ms; ended after %s ms" % (" ".join("%d" % (g * 1000) for g in gaps), " ".join("%d" % (t * 1000) for t in times))


def caught_up(world):
    """Each server has what the leader has now, which goes on meanwhile."""
    index = world.leader(20).read("/v1/operator/raft/hash")["Index"]
    until(30, lambda: "all at %d: %s" % (index, world.raft_hashes()), lambda: all(h and h[0] >= index for h in world.raft_hashes()))


def handover_s(load, at):
    with load.lock:
        acks = sorted(load.acks)
    last = [t for t in acks if t <= at][-1:] or [at]
    after = [t for t in acks if t > at and t < at + 1.0]
    times = last + after
    return max((b - max(a, at) for a, b in zip(times, times[1:])), default=1.0)


@fault()
def leadership_transferred(world, load, rng, hold):
    """Again and again, to whoever."""
    end, leaders = time.monotonic() + hold, []
    while time.monotonic() < end or len(leaders) < 3:
        leader = world.leader(20)
        leaders.append(leader)
        leader.put("/v1/operator/raft/transfer-leadership", timeout=5)
        time.sleep(rng.uniform(0.05, 0.5))
    check(len(set(leaders)) > 1, "it has not taken hold: only", set(leaders))
    yield "%d times" % len(leaders)


@fault(servers=(5,))
def storm(world, load, rng, hold):
    """All kinds together, two servers at a time."""
    end, done = time.monotonic() + hold * 2, []
    while time.monotonic() < end:
        for s in rng.sample(world.servers, 2):
            what = rng.choice(("kill", "freeze", "cut", "mute", "delay"))
            if what == "kill":
                os.kill(s.pid, signal.SIGKILL)
                s.process.wait(30)
            elif what == "freeze":
                os.kill(s.pid, signal.SIGSTOP)
            elif what == "delay":
                for o in world.servers:
                    world.wires.both(s.number, o.number, delay_ms=100, jitter_ms=50)
            else:
                cut_off(world, [s], both=what == "cut")
            done.append(what)
        time.sleep(rng.uniform(0.1, 1.5))
        world.wires.heal()
        for s in world.servers:
            if not s.pid:
                s.start()
            os.kill(s.pid, signal.SIGCONT)
        time.sleep(rng.uniform(0, 1.0))
    yield "%d: %s" % (len(done), ", ".join("%d %s" % (done.count(k), k) for k in sorted(set(done))))


@fault()
def none(world, load, rng, hold):
    """Users alone: what they are told makes sense without any fault, too."""
    yield ""
