"""Clusters of replica_server for the raft_*.py tests, which use only the standard library.

A test calls run(), see cases.py. The server program is $REPLICA_SERVER, or the one under $BUILD, or beside the working
directory. Data goes to $RAFT_DIR, which stays, or to a new directory in /var/tmp (a file system that syncs)."""
import atexit, json, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time

from cases import Failure, SEED, Skip, Slow, at_end, check, has_ipv6, quick, rng, run, safe, until

HERE = os.path.dirname(os.path.abspath(__file__))


def find_server():
    for path in (os.environ.get("REPLICA_SERVER"), os.path.join(os.environ.get("BUILD", "."), "test/integration/replica_server"),
                 "test/integration/replica_server", os.path.join(HERE, "replica_server")):
        if path and os.access(path, os.X_OK):
            return os.path.abspath(path)
    sys.exit("replica_server is not built: make test/integration/replica_server, then run this in the build directory")


SERVER = find_server()
SANITIZED = re.search(b"__[at]san_init", open(SERVER, "rb").read()) is not None  # Memory and time are not to be judged.
BASE = os.environ.get("RAFT_DIR") or tempfile.mkdtemp(prefix="raft-", dir="/var/tmp")
next_net = [os.getpid() % 60 + 1]


class Client:
    """One connection; ask() sends a line and reads one."""

    def __init__(self, host, port, timeout=5, family=socket.AF_INET):
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")

    def ask(self, line):
        self.sock.sendall(line.encode() + b"\n")
        answer = self.file.readline()
        if not answer.endswith(b"\n"):
            raise ConnectionError("closed")
        return answer[:-1].decode()

    def close(self):
        self.file.close()
        self.sock.close()


class Node:
    def __init__(self, cluster, number, host, port=7000, address=None, dir=None, id=None, **env):
        self.cluster, self.number, self.host, self.port = cluster, number, host, port
        self.id = id or number
        self.address = address or "%s:%d" % (host, port)
        self.dir = dir or os.path.join(cluster.dir, "s%d" % number)
        self.env = env
        self.log = os.path.join(cluster.dir, "s%d.log" % number)
        self.process = self.client = None
        os.makedirs(self.dir, exist_ok=True)

    def start(self, **env):
        vars = dict(os.environ, UV_THREADPOOL_SIZE="4", **{k: str(v) for k, v in {**self.cluster.env, **self.env, **env}.items()})
        bind = "[%s]:%d" % (self.host, self.port) if ":" in self.host else "%s:%d" % (self.host, self.port)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([SERVER, str(self.id), self.dir, self.address, bind], stderr=log, stdout=log, env=vars)
        self.client = None
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def ask(self, line, timeout=15):
        try:
            if self.client is None:
                self.client = Client(self.host, self.port, timeout, socket.AF_INET6 if ":" in self.host else socket.AF_INET)
            self.client.sock.settimeout(timeout)
            return self.client.ask(line)
        except (OSError, ConnectionError):
            if self.client is not None:
                self.client.close()
            self.client = None
            return None

    def json(self, line, timeout=5):
        answer = self.ask(line, timeout)
        return json.loads(answer) if answer else None

    def status(self):
        return self.json("status") or {}

    def kill(self, how=signal.SIGKILL):
        if self.alive():
            os.kill(self.process.pid, how)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.kill(self.process.pid, signal.SIGABRT)
                self.process.wait()
                raise Failure("server %d did not end: %s" % (self.number, self.tail()))
        if self.client is not None:
            self.client.close()
        self.client = None
        return self.process.returncode if self.process else None

    def stop(self):
        if self.alive():  # One that has only just begun may not have come to asking for the signal.
            until(5, "server %d is up" % self.number, lambda: not self.alive() or self.catches(signal.SIGTERM))
        code = self.kill(signal.SIGTERM)
        check(code in (0, None), "server", self.number, "ended with", code, self.tail())

    def catches(self, number):
        found = re.search(r"SigCgt:\s*([0-9a-f]+)", open("/proc/%d/status" % self.process.pid).read())
        return found and int(found.group(1), 16) >> (number - 1) & 1

    def restart(self):
        self.kill()
        return self.start()

    def wipe(self):
        shutil.rmtree(self.dir)
        os.makedirs(self.dir)

    def tail(self, lines=4):
        return " / ".join(open(self.log, errors="replace").read().splitlines()[-lines:])

    def rss_mib(self, peak=False):
        for line in open("/proc/%d/status" % self.process.pid):
            if line.startswith("VmHWM" if peak else "VmRSS"):
                return int(line.split()[1]) / 1024


class Cluster:
    """Servers 1 to n, on loopback addresses of their own, bootstrapped with all that have started."""

    def __init__(self, n=3, name="c", hosts=None, addresses=None, dirs=None, start=True, bootstrap=True, **env):
        self.dir = os.path.join(BASE, name)
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        next_net[0] = next_net[0] % 250 + 1
        self.net = "127.77.%d" % next_net[0]
        self.env = env
        self.nodes = []
        for i in range(1, n + 1):
            host = hosts[i - 1] if hosts else "%s.%d" % (self.net, i)
            self.nodes.append(Node(self, i, host, address=addresses[i - 1] if addresses else None, dir=dirs.get(i) if dirs else None))
        if start:
            for node in self.nodes:
                node.start()
        if start and bootstrap:
            self.bootstrap()

    def add_node(self, number, **kw):
        node = Node(self, number, "%s.%d" % (self.net, number), **kw)
        self.nodes.append(node)
        return node

    def bootstrap(self):
        servers = ["%d@%s" % (n.id, n.address) for n in self.nodes]
        for node in self.nodes:
            rng.shuffle(servers)
            answer = until(10, "server %d answers: %s" % (node.number, node.tail()), node.ask, "bootstrap " + ",".join(servers))
            check(answer.startswith("ok") or answer.startswith("error -6"), answer)  # -6: it heard of its leader before

    def live(self):
        return [n for n in self.nodes if n.alive()]

    def leader(self, seconds=10, other_than=None):
        def look():
            for node in self.live():
                if node is not other_than and node.status().get("ready"):
                    return node
        return until(seconds, "a leader: " + " | ".join(n.tail(2) for n in self.nodes), look)

    def followers(self):
        leader = self.leader()
        return [n for n in self.live() if n is not leader]

    def same_state(self, seconds=15, nodes=None):
        """All servers have applied the same, to the same hash."""
        nodes = nodes or self.live()

        def same():
            answers = [n.ask("hash") for n in nodes]
            return None not in answers and len(set(answers)) == 1
        try:
            until(seconds, "equal hashes", same)
        except Failure as e:
            raise Failure("%s: %s %s" % (e, [n.ask("hash") for n in nodes], [n.status() for n in nodes]))

    def put(self, key, value, seconds=60):
        """Write through the leader, whoever that is, again and again until it is acknowledged."""
        end = time.time() + seconds
        while time.time() < end:
            answer = self.leader(seconds).ask("put %s %s" % (key, value))
            if answer and answer.startswith("ok"):
                return int(answer.split()[1])
            time.sleep(0.01)
        raise Failure("no put of %s within %s s" % (key, seconds))

    def stop(self):
        for node in self.nodes:
            if node.alive():
                node.stop()

    def kill(self):
        for node in self.nodes:
            node.kill()


class Writers:
    """Threads that put, and remember what was acknowledged."""

    def __init__(self, cluster, n=8, sizes=(10, 300, 3000), keys=20):
        self.cluster, self.sizes, self.keys = cluster, sizes, keys
        self.acked, self.lock, self.running = {}, threading.Lock(), True
        self.n_ok = self.n_failed = 0
        self.threads = [threading.Thread(target=self.work, args=(k,), daemon=True) for k in range(n)]
        for t in self.threads:
            t.start()

    def work(self, k):
        r = random.Random(SEED * 1000 + k)
        node, client, i = r.choice(self.cluster.nodes), None, 0
        while self.running:
            i += 1
            key = "w%d_%d" % (k, i % self.keys)
            try:
                if client is None:
                    client = Client(node.host, node.port, 3)
                answer = client.ask("put %s %d-%s" % (key, i, "x" * r.choice(self.sizes)))
            except (OSError, ConnectionError):
                answer = None
            with self.lock:
                if answer is not None and answer.startswith("ok"):
                    self.acked[key] = i
                    self.n_ok += 1
                    continue
                self.n_failed += 1
            if client is not None:
                client.close()
            client, node = None, r.choice(self.cluster.nodes)
            time.sleep(0.01)

    def stop(self):
        self.running = False
        for t in self.threads:
            t.join()

    def verify(self):
        """Every server has each key at least at the acknowledged number."""
        for node in self.cluster.live():
            for key, i in self.acked.items():
                value = node.ask("get " + key)
                check(value is not None, "server", node.number, "does not tell", key)
                safe(value != "-" and int(value.split("-")[0]) >= i,
                      "server", node.number, "lost", key, i, "has", value and value[:20])


every = []  # All clusters of the case that runs: none outlives it.
_init = Cluster.__init__


def _remember(self, *args, **kw):
    every.append(self)
    at_end.append(lambda failed: self.kill())
    _init(self, *args, **kw)


Cluster.__init__ = _remember


@atexit.register
def _remove():
    if not os.environ.get("RAFT_DIR"):
        shutil.rmtree(BASE, ignore_errors=True)
