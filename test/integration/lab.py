"""Clusters of real agents for the integration tests, started by scripts/lab, and HTTP to ask them. See cases.py for the rest.

The program is $DROVER, or the one under $BUILD, or in the working directory. Labs are in $LAB_DIR, or in a new directory in
/var/tmp; one whose case has failed stays there, with its logs. With $LAB_TLS every lab speaks TLS."""
import atexit, http.client, itertools, json, os, re, shutil, signal, socket, ssl, subprocess, sys, tempfile, threading, time
from urllib.parse import quote

import websocket
from cases import Failure, SEED, Skip, Slow, at_end, check, clean_up, quick, rng, run, safe, same, until

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "..", "..", "scripts", "lab")
SECOND = 10 ** 9


def find_program():
    for path in (os.environ.get("DROVER"), os.path.join(os.environ.get("BUILD", "."), "drover"), "drover"):
        if path and os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    sys.exit("drover is not built: run this in the build directory, or name the program in $DROVER")


DROVER = find_program()
SANITIZED = re.search(b"__[at]san_init", open(DROVER, "rb").read()) is not None  # Memory and time are not to be judged.
BASE = os.environ.get("LAB_DIR") or tempfile.mkdtemp(prefix="lab-", dir="/var/tmp")
ENVIRONMENT = dict(os.environ, DROVER=DROVER,  # h2o keeps some memory for each of its threads.
                   LSAN_OPTIONS="suppressions=%s:print_suppressions=0" % os.path.join(HERE, "lsan.supp"))
numbers = itertools.count(1)


@atexit.register
def remove_base():
    try:
        os.rmdir(BASE)  # Unless a lab has stayed.
    except OSError:
        pass


# ---- HTTP

class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.text = body.decode(errors="replace")

    @property
    def json(self):
        try:
            return json.loads(self.text)
        except ValueError:
            raise Failure("no JSON: %d %s" % (self.status, self.text[:300]))

    @property
    def index(self):
        return int(self.headers.get("X-Nomad-Index") or 0)

    def want(self, status=200, *pieces):
        check(self.status == status and all(p in self.text for p in pieces), "want", status, pieces, "got", self.status, self.text[:500])
        return self


class Agent:
    """One agent of a lab, running or not."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.dir = os.path.join(lab.dir, name)
        self.ip = open(os.path.join(self.dir, "address")).read().strip()
        self.url = "%s://%s:4646" % ("https" if lab.tls else "http", self.ip)

    def __repr__(self):
        return self.name

    def connection(self, timeout=60):
        if self.lab.tls:
            return http.client.HTTPSConnection(self.ip, 4646, timeout=timeout, context=self.lab.context)
        return http.client.HTTPConnection(self.ip, 4646, timeout=timeout)

    def ask(self, method, path, body=None, headers={}, timeout=60, token=None):
        """Raises OSError or http.client.HTTPException when there is no answer. `token` is in place of the lab's; "" is none."""
        token = self.lab.token if token is None else token
        headers = dict(headers, **{"X-Nomad-Token": token}) if token else headers
        c = self.connection(timeout)  # `timeout` is patience, and no promise.
        try:
            data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
            c.request(method, path, data, headers)
            r = c.getresponse()
            return Answer(r.status, r.headers, r.read())
        finally:
            c.close()

    def get(self, path, **kw):
        return self.ask("GET", path, **kw)

    def put(self, path, body=None, **kw):
        return self.ask("PUT", path, body, **kw)

    def read(self, path, timeout=60):
        """The JSON of an answer that must be 200."""
        return self.get(path, timeout=timeout).want(200).json

    def try_read(self, path, timeout=5):
        """The same, or None when there is no such answer now."""
        try:
            r = self.get(path, timeout=timeout)
            return r.json if r.status == 200 else None
        except (OSError, http.client.HTTPException, Failure):
            return None

    def register(self, job, **kw):
        return self.put("/v1/jobs", {"Job": job}, **kw).want(200).json

    # -- its process

    @property
    def pid(self):
        """0 when it does not run."""
        try:
            pid = int(open(os.path.join(self.dir, "pid")).read())
            return pid if os.path.join(self.dir, "agent.hcl").encode() in open("/proc/%d/cmdline" % pid, "rb").read().split(b"\0") else 0
        except (OSError, ValueError):
            return 0

    def signal(self, number):
        check(self.pid, self.name, "does not run:", self.tail())
        os.kill(self.pid, number)

    def kill(self):
        self.end(signal.SIGKILL)

    def end(self, number=15, seconds=5):
        """Seconds that it took to end."""
        began = time.monotonic()
        self.signal(number)
        until(seconds, lambda: "%s ends: %s" % (self.name, self.tail()), lambda: not self.pid)
        return time.monotonic() - began

    def start(self):
        self.lab.verb("restart", self.name)

    def wipe(self):
        self.lab.verb("wipe", self.name)

    def log(self):
        try:
            return open(os.path.join(self.dir, "log"), errors="replace").read()
        except OSError:
            return ""

    def tail(self, lines=3):
        return " / ".join(self.log().splitlines()[-lines:])


class Waiter:
    """A blocking query that waits for what is to come. `get` is an agent's, or one like it. What still went on when it began may answer
    it, so it is asked again until it has waited for a moment."""

    def __init__(self, get, path):
        for _ in range(50):
            self.index, self.answers = max(1, get(path).want(200).index), []
            target = "%s%sindex=%d&wait=120s" % (path, "&" if "?" in path else "?", self.index)
            self.thread = threading.Thread(daemon=True, target=lambda into: into.append(get(target, timeout=150)), args=(self.answers,))
            self.thread.start()
            self.thread.join(0.3)
            if self.thread.is_alive():
                return
            check(self.answers, path, "is not answered")
        raise Failure("%s does not wait" % target)

    def answer(self):
        """What comes in the end, whatever its status: of a later index."""
        self.thread.join(150)
        check(self.answers, "no answer")
        check(self.answers[0].index > self.index, "index", self.answers[0].index, "after", self.index)
        return self.answers[0]


# ---- labs

class Lab:
    """A cluster; it ends with its case. `config` is text for every agent's configuration; `prepare` puts files into its folder
    before the agents, which work in NAME/ there, are started. With `tls` it speaks HTTPS, and its certificates are in its folder
    tls. With `acl` requests need tokens: agents are asked with the first one, a manager's."""

    def __init__(self, servers=3, clients=0, config="", wait=True, name=None, tls=False, acl=False, prepare=None):
        self.tls, self.token = tls or bool(os.environ.get("LAB_TLS")), ""
        name = name or "%s-%d-%d" % (os.path.basename(sys.argv[0]).split(".")[0][:12], os.getpid(), next(numbers))
        os.makedirs(BASE, exist_ok=True)
        self.dir = os.path.join(os.path.realpath(BASE), name)
        os.makedirs(self.dir)
        at_end.append(self.close)
        if prepare:
            prepare(self.dir)
        words = ["--servers", str(servers), "--clients", str(clients)]
        if config:
            path = os.path.join(self.dir, "more.hcl")
            open(path, "w").write(config)
            words += ["--config", path]
        self.verb("start", *words, *(["--tls"] if self.tls else []), *(["--acl"] if acl else []))
        if acl:
            self.token = open(os.path.join(self.dir, "token")).read().strip()
        if self.tls:
            self.read_certificates()
        self.servers = [Agent(self, "s%d" % i) for i in range(1, servers + 1)]
        self.clients = [Agent(self, "c%d" % i) for i in range(1, clients + 1)]
        if wait:
            self.wait()

    def verb(self, verb, *words, seconds=300):
        done = subprocess.run([SCRIPT, verb, self.dir, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=ENVIRONMENT, timeout=seconds)
        check(done.returncode == 0, "lab", verb, *words, "failed:", done.stdout.decode(errors="replace"), self.tails())
        return done.stdout.decode()

    def network(self):
        """The first three numbers of all addresses."""
        found = [os.path.join(self.dir, name, "address") for name in os.listdir(self.dir)]
        return websocket.network_of(open([f for f in found if os.path.exists(f)][0]).read())

    def read_certificates(self):
        """As they are now: what we trust, and who we are."""
        name = lambda file: os.path.join(self.dir, "tls", file)
        self.context = ssl.create_default_context(cafile=name("nomad-agent-ca.pem"))
        self.context.load_cert_chain(name("global-cli-nomad.pem"), name("global-cli-nomad-key.pem"))
        websocket.contexts[self.network()] = self.context
        if os.environ.get("LAB_TLS"):  # Tests that know nothing of it give the command line an address only.
            told = self.environment()
            ENVIRONMENT.update((k, told[k]) for k in ("NOMAD_CACERT", "NOMAD_CLIENT_CERT", "NOMAD_CLIENT_KEY"))
            os.environ.update(ENVIRONMENT)

    def environment(self, agent=None):
        """The command line's, to talk to the lab, or to that agent of it."""
        told = (line[len("export "):].split("=", 1) for line in open(os.path.join(self.dir, "env")).read().splitlines())
        return dict(ENVIRONMENT, **dict(told, **({"NOMAD_ADDR": agent.url} if agent else {})))

    def wait(self):
        self.verb("wait")
        self.leader()

    def tails(self):
        return " | ".join("%s: %s" % (name, " / ".join(open(os.path.join(self.dir, name, "log"), errors="replace").read().splitlines()[-2:]))
                          for name in sorted(os.listdir(self.dir)) if os.path.exists(os.path.join(self.dir, name, "log")))

    def close(self, failed):
        self.verb("stop", seconds=300)
        if failed:
            print("# its files are in " + self.dir, flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def agents(self):
        return self.servers + self.clients

    def add_server(self, like):
        """One more, configured like the given one, at an address of its own. It has not been started."""
        name, ip = "s%d" % (len(self.servers) + 1), re.sub(r"\d+$", str(len(self.servers) + 1), like.ip)
        folder = os.path.join(self.dir, name)
        os.makedirs(folder)
        text = open(os.path.join(like.dir, "agent.hcl")).read()
        for line, old, new in (("name ", like.name, name), ("bind_addr", like.ip, ip), ("data_dir", like.dir, folder)):
            text = re.sub(r"(?m)^%s.*$" % line, lambda m: m.group(0).replace('"' + old, '"' + new), text)
        open(os.path.join(folder, "agent.hcl"), "w").write(text)
        open(os.path.join(folder, "address"), "w").write(ip + "\n")
        self.servers.append(Agent(self, name))
        return self.servers[-1]

    def live(self):
        return [s for s in self.servers if s.pid]

    def leader(self, seconds=10, other_than=None):
        """The server that all others that run call the leader, and that answers as such."""
        def look():
            named = {s.try_read("/v1/status/leader") for s in self.live() if s is not other_than}
            found = [s for s in self.live() if named == {s.ip + ":4647"} and s is not other_than]
            return found[0] if found else None
        return until(seconds, lambda: "a leader: " + self.tails(), look)

    def followers(self):
        leader = self.leader()
        return [s for s in self.live() if s is not leader]

    def node(self, client):
        """The stub of a client's node, or None."""
        for stub in self.servers_answer("/v1/nodes"):
            if stub["Name"] == client.name:
                return stub

    def servers_answer(self, path):
        """What any server that runs has to say, be it in an election."""
        return until(10, lambda: "an answer to %s: %s" % (path, self.tails()),
                     lambda: next(([a] for a in (s.try_read(path) for s in self.live()) if a is not None), None))[0]

    def hashes(self):
        """(index, hash) of each server that runs; None for those that do not tell."""
        def of(server):
            stats = ((server.try_read("/v1/agent/self") or {}).get("stats") or {}).get("raft") or {}
            return (int(stats["state_index"]), stats["state_hash"]) if "state_hash" in stats else None
        return [of(s) for s in self.live()]

    def same_state(self, seconds=15):
        """All servers that run have applied the same, to the same hash. Returns the index."""
        seen = {}

        def equal():
            found = self.hashes()
            for pair in found:
                if pair:
                    safe(seen.setdefault(pair[0], pair[1]) == pair[1], "two states at index", pair[0], ":", found)
            return len(set(found)) == 1 and found[0]
        return until(seconds, lambda: "equal states: %s %s" % (self.hashes(), self.tails()), equal)[0]

    # -- jobs

    def allocs(self, job_id, **fields):
        """Stubs of a job's allocations, those with these values."""
        found = self.servers_answer("/v1/job/%s/allocations" % quote(job_id, safe="")) or []
        return [a for a in found if all(a[k] == v for k, v in fields.items())]

    def running(self, job_id, count, seconds=20):
        """Wait until just so many allocations shall run and do."""
        def look():
            found = [a for a in self.allocs(job_id) if a["DesiredStatus"] == "run" and a["ClientStatus"] in ("running", "pending")]
            return len(found) == count and all(a["ClientStatus"] == "running" for a in found) and (found or [True])
        return until(seconds, lambda: "%d of %s run: %s %s" % (count, job_id, [(a["ID"][:8], a["NodeName"], a["DesiredStatus"], a["ClientStatus"])
                                                                              for a in self.allocs(job_id)], self.tails()), look)

    def alloc(self, alloc_id):
        return self.servers_answer("/v1/allocation/" + alloc_id)

    def completed(self, job_id, count, seconds=20):
        return until(seconds, lambda: "%d of %s are complete: %s %s" % (count, job_id, [a["ClientStatus"] for a in self.allocs(job_id)], self.tails()),
                     lambda: len(self.allocs(job_id, ClientStatus="complete")) >= count and self.allocs(job_id))


def new_id(prefix="job"):
    return "%s-%d" % (prefix, next(numbers))


def task(command="/bin/sleep", args=("1000",), driver="raw_exec", **more):
    config = {"command": command, "args": list(args)} if driver == "raw_exec" else dict(args)
    return dict({"Name": "t", "Driver": driver, "Config": config, "Resources": {"CPU": 20, "MemoryMB": 10},
                 "LogConfig": {"MaxFiles": 1, "MaxFileSizeMB": 1}, "KillTimeout": SECOND}, **more)


def job(job_id=None, count=1, kind="service", tasks=None, group=None, **more):
    job_id = job_id or new_id()
    body = {"Name": "g", "Count": count, "EphemeralDisk": {"SizeMB": 10}, "Tasks": tasks or [task()],
            "RestartPolicy": {"Attempts": 3, "Interval": 600 * SECOND, "Delay": SECOND // 10, "Mode": "fail"}}
    body.update(group or {})
    return dict({"ID": job_id, "Name": job_id, "Type": kind, "Datacenters": ["dc1"], "TaskGroups": [body]}, **more)


def idle(job_id=None, **more):
    """A job that is never placed."""
    return job(job_id, kind="batch", **dict({"Datacenters": ["dc-nowhere"]}, **more))


def shell(script):
    return task("/bin/sh", ("-c", script))


# ---- what runs

def is_alive(pid):
    try:
        return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def task_pids(lab, alloc_id):
    """PIDs of the processes of an allocation: they carry its ID in their environment."""
    found, mark = [], b"NOMAD_ALLOC_ID=" + alloc_id.encode()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if mark in open("/proc/%s/environ" % name, "rb").read().split(b"\0") and is_alive(int(name)):
                    found.append(int(name))
            except OSError:
                pass
    return sorted(found)


def main_pids(lab, alloc_id):
    """Those among them that no other of them has started: the tasks themselves."""
    found, parents = task_pids(lab, alloc_id), {}
    for pid in found:
        try:
            parents[pid] = int(open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    return sorted(p for p, parent in parents.items() if parent not in found)


class Writers:
    """Threads that register jobs, each under an ID of its own, at servers chosen at random, and note what became of each:
    acknowledged, not carried out (the answer says so), or unknown (it says so, or the connection broke)."""

    def __init__(self, lab, n=6, make=idle, timeout=10):
        self.lab, self.make, self.timeout = lab, make, timeout
        self.prefix = new_id("w")
        self.acked, self.refused, self.unknown, self.strange = {}, {}, {}, {}
        self.lock, self.running = threading.Lock(), True
        self.longest_s = 0.0
        self.threads = [threading.Thread(target=self.work, args=(k,), daemon=True) for k in range(n)]
        for t in self.threads:
            t.start()

    def work(self, k):
        server, connection, i = self.lab.servers[k % len(self.lab.servers)], None, 0
        while self.running:
            i += 1
            name = "%s-%d-%d" % (self.prefix, k, i)
            status, text, began, sent = 0, "", time.monotonic(), False
            try:
                if connection is None:
                    connection = server.connection(self.timeout)
                    connection.connect()
                sent = True
                connection.request("PUT", "/v1/jobs", json.dumps({"Job": self.make(name)}))
                r = connection.getresponse()
                status, text = r.status, r.read().decode(errors="replace")
            except (OSError, http.client.HTTPException) as e:
                text = repr(e)
                connection = connection and connection.close()
            with self.lock:
                self.note(name, status, text, sent)
                if status == 200:
                    self.longest_s = max(self.longest_s, time.monotonic() - began)
            if status != 200:
                server, connection = self.lab.servers[(k + i) % len(self.lab.servers)], connection and connection.close()
                time.sleep(0.02)

    def note(self, name, status, text, sent):
        if status == 200:
            self.acked[name] = time.monotonic()
        elif not sent:
            self.refused[name] = text
        elif status == 0 or "unknown" in text:
            self.unknown[name] = text
        elif status in (429, 500, 503, 507):
            self.refused[name] = text
        else:
            self.strange[name] = (status, text)

    def stop(self):
        self.running = False
        for t in self.threads:
            t.join()

    def gap_s(self):
        """The longest time without an acknowledgement to anybody."""
        times = sorted(self.acked.values())
        return max((b - a for a, b in zip(times, times[1:])), default=0.0)

    def verify(self):
        """What was acknowledged is there, on every server that runs; what was refused is not. Returns a summary."""
        safe(not self.strange, "answers that make no sense:", list(self.strange.items())[:3])
        for server in self.lab.live():
            there = {j["ID"] for j in server.read("/v1/jobs?prefix=%s-" % self.prefix)}
            lost, ghosts = set(self.acked) - there, set(self.refused) & there
            safe(not lost, server, "lost", len(lost), "acknowledged writes, among them", sorted(lost)[:3])
            safe(not ghosts, server, "has", len(ghosts), "writes that were refused, with", [self.refused[g] for g in sorted(ghosts)[:3]])
        return "%d acknowledged, %d refused, %d unknown, none lost" % (len(self.acked), len(self.refused), len(self.unknown))


def no_sanitizer_reports(lab):
    for agent in lab.agents:
        found = re.search(r"(ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer).*", agent.log())
        safe(not found, agent, "reported", found and found.group(0), "in", agent.dir)
