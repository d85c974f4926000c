"""A cluster whose servers have a network namespace each, joined by test/faults/wire, so that faults of the network are faults
of nothing else. Who runs this has its own network, mount and PID namespaces (scripts/faults makes them): all ends with it."""
import ctypes, os, struct, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from lab import *

BUILD = os.path.abspath(os.environ.get("BUILD", "."))
NET = "10.77.0."
HUB = NET + "250"  # Where users and simulated nodes are.
PROBE_PORT = 9
libc = ctypes.CDLL(None, use_errno=True)


def sh(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    check(done.returncode == 0, *words, "failed:", done.stdout.decode(errors="replace"))
    return done.stdout.decode()


def in_namespace(path, work):
    """What work() returns, run by a thread that is in that network namespace; sockets that it makes stay there."""
    result = []

    def body():
        with open(path) as f:
            if libc.setns(f.fileno(), 0x40000000) != 0:
                result.append(OSError(ctypes.get_errno(), path))
                return
        try:
            result.append(work())
        except Exception as e:
            result.append(e)
    t = threading.Thread(target=body)
    t.start()
    t.join()
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


class Wires:
    """The wires between the namespaces and what they do to packets; sides are numbers, the last one is the hub."""

    def __init__(self, paths, addresses):
        self.paths, self.addresses, self.n = paths, addresses, len(paths)
        self.process = subprocess.Popen([os.path.join(BUILD, "test/faults/wire")] + ["%s=%s" % p for p in zip(paths, addresses)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        same(self.process.stdout.readline(), b"ready\n", "wire")
        for path, address in zip(paths, addresses):
            enter = ["nsenter", "--net=" + path]
            sh(*enter, "ip", "link", "set", "lo", "up")
            sh(*enter, "ip", "addr", "add", address + "/24", "dev", "wire0")
            sh(*enter, "ip", "link", "set", "wire0", "up", "mtu", "9000", "txqueuelen", "2000")
        self.sockets = [in_namespace(path, lambda: self.probe_socket(address)) for path, address in zip(paths, addresses)]

    def probe_socket(self, address):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((address, PROBE_PORT))
        s.settimeout(0.2)
        return s

    def command(self, line):
        self.process.stdin.write((line + "\n").encode())
        self.process.stdin.flush()
        return self.process.stdout.readline().decode().strip()

    def set(self, a, b, delay_ms=0, jitter_ms=0, lost=0.0, doubled=0.0):
        """One way. -1 is each side."""
        same(self.command("%d %d %d %d %d %d" % (a, b, delay_ms * 1000, jitter_ms * 1000, lost * 1000, doubled * 1000)), "ok", "wire")

    def both(self, a, b, **kw):
        self.set(a, b, **kw)
        self.set(b, a, **kw)

    def heal(self):
        self.set(-1, -1)

    def lost(self, a, b):
        return int(self.command("count %d %d" % (a, b)).split()[1])

    def probe(self, a, b, n=20, seconds=2.0):
        """Send datagrams from one side to the other. How many came, and the median of how long they took."""
        token, took = os.urandom(8), []
        s, r = self.sockets[a], self.sockets[b]
        for i in range(n):
            s.sendto(token + struct.pack("<d", time.monotonic()), (self.addresses[b], PROBE_PORT))
        end = time.monotonic() + seconds
        while len(took) < n and time.monotonic() < end:
            try:
                data = r.recv(64)
            except OSError:
                continue
            if data[:8] == token:
                took.append(time.monotonic() - struct.unpack("<d", data[8:16])[0])
        return len(took), sorted(took)[len(took) // 2] if took else 0.0

    def expect_whole(self, a, b, n=20, seconds=30):
        """What is sent from one side to the other comes: all of it at once, in the end. The median of how long it took. (A machine
        that has much else to do may have no room for some of it, or be late.)"""
        return until(seconds, "all of %d packets come from %d to %d" % (n, a, b),
                     lambda: (lambda came, took: took if came == n else None)(*self.probe(a, b, n, 3)))

    def close(self):
        for s in self.sockets:
            s.close()
        self.process.stdin.close()
        self.process.wait(5)


class Server(Agent):
    def __init__(self, world, number):
        self.number, self.process = number, None
        self.namespace = "/run/netns/s%d" % (number + 1)
        name = "s%d" % (number + 1)
        folder = os.path.join(world.dir, name)
        os.makedirs(folder)
        open(os.path.join(folder, "address"), "w").write(NET + str(number + 1))
        super().__init__(world, name)
        self.data = os.path.join(folder, "data")
        self.clock = os.path.join(folder, "clock")
        self.on_tmpfs = False
        self.set_clock(0)

    def set_clock(self, offset_s):
        """The wall clock jumps: see clock.c."""
        with open(self.clock, "r+b" if os.path.exists(self.clock) else "wb") as f:
            f.write(struct.pack("<q", int(offset_s * SECOND)))

    def start(self):
        check(not self.pid, self, "runs already")
        environment = dict(ENVIRONMENT, FAULT_CLOCK=self.clock)
        if not SANITIZED:
            environment["LD_PRELOAD"] = os.path.join(BUILD, "test/faults/clock.so")
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.process = subprocess.Popen(["nsenter", "--net=" + self.namespace, "env"] +
                                            ["%s=%s" % (k, environment[k]) for k in ("LD_PRELOAD", "FAULT_CLOCK") if k in environment] +
                                            [DROVER, "agent", "-config", os.path.join(self.dir, "agent.hcl")],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir, env=ENVIRONMENT)
        open(os.path.join(self.dir, "pid"), "w").write("%d\n" % self.process.pid)

    @property
    def pid(self):
        return self.process.pid if self.process and self.process.poll() is None else 0

    def wipe(self):
        check(not self.pid, self, "runs")
        shutil.rmtree(self.data) if not self.on_tmpfs else self.clear()

    def clear(self):
        for name in os.listdir(self.data):
            path = os.path.join(self.data, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    def move_to_tmpfs(self, room_mb):
        """Its data, while it does not run, onto a file system of their own with so much room left."""
        size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(self.data) for f in files) // 1024
        kept = self.data + ".kept"
        os.rename(self.data, kept)
        os.mkdir(self.data)
        sh("mount", "-t", "tmpfs", "-o", "size=%dk,mode=0700" % (size + room_mb * 1024), "fault-disk", self.data)
        self.on_tmpfs = True
        sh("cp", "-a", kept + "/.", self.data)
        shutil.rmtree(kept)

    def move_back(self):
        lower = self.data + ".kept"
        shutil.copytree(self.data, lower)
        sh("umount", self.data)
        os.rmdir(self.data)
        os.rename(lower, self.data)
        self.on_tmpfs = False

    def rss_mb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % self.pid).read()).group(1)) // 1024


class World(Lab):
    """Servers, wires, and simulated nodes. Like a lab of lab.py, with its questions, but for how agents are started."""

    def __init__(self, servers=3, nodes=8, config="", name="w"):
        os.makedirs(BASE, exist_ok=True)
        for left in os.listdir("/run/netns"):
            sh("ip", "netns", "del", left)  # Of one whose making failed.
        self.dir = tempfile.mkdtemp(prefix="%s-%d-" % (name, servers), dir=os.path.realpath(BASE))
        self.tls, self.token = False, ""
        self.servers, self.clients, self.nodes, self.wires, self.hub = [], [], None, None, servers
        try:
            self.build(servers, nodes, config)
        except BaseException:
            self.close(True)
            raise

    def build(self, servers, nodes, config):
        for i in range(servers):
            sh("ip", "netns", "add", "s%d" % (i + 1))
            self.servers.append(Server(self, i))
        self.wires = Wires([s.namespace for s in self.servers] + ["/proc/%d/ns/net" % os.getpid()], [s.ip for s in self.servers] + [HUB])
        for s in self.servers:
            self.configure(s, config)
            s.start()
        self.leader(60)
        if nodes:
            self.start_nodes(nodes)

    def configure(self, s, more):
        join = ", ".join('"%s:4648"' % o.ip for o in self.servers)
        open(os.path.join(s.dir, "agent.hcl"), "w").write("""name = "%s"
datacenter = "dc1"
data_dir = "%s"
bind_addr = "%s"
log_level = "%s"
limits {
  http_max_conns_per_client = 0
  rpc_max_conns_per_client = 0
}
server {
  enabled = true
  bootstrap_expect = %d
  server_join {
    retry_join = [%s]
    retry_interval = "1s"
  }
}
raft {
  snapshot_size = "512KiB"
  trailing_size = "128KiB"
}
autopilot {
  server_stabilization_time = "1s"
}
%s
""" % (s.name, s.data, s.ip, os.environ.get("LAB_LOG_LEVEL", "INFO"), len(self.servers), join, more))

    def start_nodes(self, n):
        path = os.path.join(self.dir, "nodes")
        open(path, "w").write("".join("%s:4647\n" % s.ip for s in self.servers))
        with open(path + ".log", "wb") as log:
            self.nodes = subprocess.Popen([os.path.join(BUILD, "test/bench/node_sim"), path, str(n)], stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log)
        until(60, "the simulated nodes are ready", lambda: os.path.exists(path + ".ready"))

    def close(self, failed=False):
        if self.nodes:
            self.nodes.terminate()
        for s in self.servers:
            if s.pid:
                os.kill(s.pid, signal.SIGKILL)
                s.process.wait(60)
            if s.on_tmpfs:
                sh("umount", s.data)
        if self.nodes:
            self.nodes.wait(60)
        if self.wires:
            self.wires.close()
        if failed:
            print("# its files are in " + self.dir, flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def raft_hashes(self, index=None):
        """(index, hash) of each server, at the given index if it still knows."""
        path = "/v1/operator/raft/hash" + ("?index=%d" % index if index else "")
        found = [s.try_read(path) for s in self.live()]
        return [(f["Index"], f["Hash"]) if f else None for f in found]

    def voters(self, server):
        """The voters that a server knows: address -> ID."""
        known = (server.try_read("/v1/operator/raft/configuration?stale") or {}).get("Servers", [])
        return {v["Address"]: v["ID"] for v in known if v["Voter"]}

    def is_whole(self):
        """Every server runs and knows that all of them vote, each under one ID, which it has from its owner."""
        want = {s.ip + ":4647" for s in self.servers}
        known = [self.voters(s) for s in self.servers]
        return all(set(k) == want and k == known[0] and all("-" in i for i in k.values()) for k in known)
