#!/usr/bin/env python3
"""How an agent starts and ends: configuration, faults, signals, the log. One agent at a time, without a cluster around it."""
import fcntl, signal

from lab import *

NET = "127.%d.%d" % (os.getpid() // 250 % 200 + 20, os.getpid() % 250 + 2)


class Process:
    """An agent that is not part of a lab. `text` is its configuration; it listens at its own loopback address."""
    count = itertools.count(1)

    def __init__(self, text="", *words, ip=None, env={}):
        self.ip = ip or "%s.%d" % (NET, next(self.count))
        os.makedirs(BASE, exist_ok=True)
        self.dir = tempfile.mkdtemp(prefix="agent-", dir=BASE)
        self.hcl = os.path.join(self.dir, "agent.hcl")
        open(self.hcl, "w").write(text.replace("DIR", self.dir))
        self.log_path = os.path.join(self.dir, "out")
        self.out = open(self.log_path, "wb")
        command = [DROVER, "agent", *(["-config", self.hcl] if text else []), *[w.replace("DIR", self.dir) for w in words]]
        self.p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out, env=dict(os.environ, **env))
        at_end.append(self.close)

    def close(self, failed):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()
        self.out.close()
        if not failed:
            shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        return open(self.log_path, errors="replace").read()

    def get(self, path, timeout=60):
        c = http.client.HTTPConnection(self.ip, 4646, timeout=timeout)
        try:
            c.request("GET", path)
            r = c.getresponse()
            return Answer(r.status, r.headers, r.read())
        finally:
            c.close()

    def await_http(self):
        def look():
            check(self.p.poll() is None, "it has ended:", self.log())
            try:
                return self.get("/v1/agent/self", timeout=5).status == 200
            except OSError:
                return False
        until(10, lambda: "HTTP at %s: %s" % (self.ip, self.log()), look)
        return self

    def end(self, number=signal.SIGTERM):
        """Seconds that it took; it must be in order."""
        began = time.monotonic()
        self.p.send_signal(number)
        code = self.p.wait(60)
        took = time.monotonic() - began
        check(code == 0, "exit code", code, self.log())
        return took

    def refused(self, *pieces):
        """It ends by itself, with status 1, and says why."""
        code = self.p.wait(60)
        check(code == 1 and all(p in self.log() for p in pieces), "want", pieces, "and exit code 1; got", code, self.log())


CLIENT = 'name = "n1"\ndata_dir = "DIR/data"\nbind_addr = "%s"\nclient {\n enabled = true\n servers = ["127.1.1.1"]\n}\n'
SERVER = 'name = "n1"\ndata_dir = "DIR/data"\nbind_addr = "%s"\nserver {\n enabled = true\n bootstrap_expect = %d\n}\n'


def client(more=""):
    ip = "%s.%d" % (NET, next(Process.count))
    return Process(CLIENT % ip + more, ip=ip)


def server(more="", expect=1):
    ip = "%s.%d" % (NET, next(Process.count))
    return Process(SERVER % (ip, expect) + more, ip=ip)


def a_client_ends_within_a_second():
    for number in (signal.SIGTERM, signal.SIGINT):
        took = client().await_http().end(number)
        SANITIZED or quick(took, 1, "ending")


def a_server_ends_within_a_second():
    for number in (signal.SIGTERM, signal.SIGINT):
        p = server().await_http()
        until(10, lambda: "a leader: " + p.log(), lambda: p.get("/v1/status/leader").text != '""')
        took = p.end(number)
        SANITIZED or quick(took, 1, "ending")


def a_server_without_a_cluster_ends_within_a_second():
    took = server(expect=3).await_http().end()
    SANITIZED or quick(took, 1, "ending")


def requests_that_wait_do_not_hold_up_the_end():
    p = client().await_http()
    threads, answers = [], []

    def ask():
        try:
            answers.append(p.get("/v1/jobs").status)
        except (OSError, http.client.HTTPException):
            answers.append("cut")
    for _ in range(20):
        threads.append(threading.Thread(target=ask))
        threads[-1].start()
    time.sleep(0.3)
    took = p.end()
    for t in threads:
        t.join()
    SANITIZED or quick(took, 1, "ending")
    check(len(answers) == 20 and all(a in (500, 503, "cut") for a in answers), answers)


def faults_of_the_configuration_are_named():
    for text, pieces in ((CLIENT % NET + 'ports {\n http = 99999\n}\n', ("ports.http", "agent.hcl:")),
                         (CLIENT.replace("DIR/data", "relative") % NET, ("data_dir", "absolute")),
                         (SERVER % (NET, 1) + 'raft {\n election_timeout = "50ms"\n heartbeat_interval = "40ms"\n}\n', ("raft.election_timeout",)),
                         ('data_dir = "DIR/data"\n', ("neither server nor client",)),
                         (CLIENT % "no.such.host.invalid", ("addresses.http", "no.such.host.invalid")),
                         (CLIENT % (NET + ".7") + 'log_file = "DIR/no/such/file"\n', ("log_file", "No such file"))):
        Process(text).refused(*pieces)
    Process("", "-client", "-data-dir", "/proc/nothing", "-bind", NET + ".8").refused("data_dir", "/proc/nothing")


def an_address_that_is_in_use_is_named():
    for make in (client, server):
        p = make()
        p.close(False)
        s = socket.socket()
        s.bind((p.ip, 4646))
        s.listen(1)
        Process((CLIENT % p.ip) if make is client else SERVER % (p.ip, 1), ip=p.ip).refused(p.ip, "4646", "address already in use")
        s.close()


def node_id(p):
    return p.get("/v1/agent/self").json["stats"]["client"]["node_id"]


def a_directory_belongs_to_one_agent():
    one = client().await_http()
    before = node_id(one)
    ip = "%s.%d" % (NET, next(Process.count))
    Process(CLIENT.replace("DIR", one.dir) % ip, ip=ip).refused("data_dir", one.dir, "another agent is using it")
    check(one.get("/v1/agent/health").status == 200)
    one.end()
    again = Process(CLIENT.replace("DIR", one.dir) % ip, ip=ip).await_http()
    same(node_id(again), before)
    again.end()


def an_agent_waits_for_the_one_before_it_to_be_gone():
    one = client().await_http()
    one.end()
    held = os.open(one.dir + "/data", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    ip = "%s.%d" % (NET, next(Process.count))
    two = Process(CLIENT.replace("DIR", one.dir) % ip, ip=ip)
    time.sleep(0.5)
    os.close(held)
    two.await_http().end()


def a_damaged_log_is_refused_with_what_to_do():
    p = server().await_http()
    until(10, lambda: "a leader: " + p.log(), lambda: p.get("/v1/status/leader").text != '""')
    p.end()
    state = os.path.join(p.dir, "data", "server")
    first = sorted(f for f in os.listdir(os.path.join(state, "raft")) if f.startswith("log-"))[0]
    with open(os.path.join(state, "raft", first), "r+b") as f:
        f.seek(60)
        f.write(b"damage")
    Process(SERVER.replace("DIR", p.dir) % (p.ip, 1), ip=p.ip).refused(first, "at byte", "move %s away and start again" % state)


def the_log_goes_to_a_file_that_is_followed():
    p = client('log_file = "DIR/"\nlog_json = true\nlog_level = "debug"\n')
    p.await_http()
    path = os.path.join(p.dir, "drover.log")
    for line in open(path):
        check({"@timestamp", "@level", "@module", "@message"} == set(json.loads(line)), line)
    os.rename(path, path + ".1")
    p.p.send_signal(signal.SIGHUP)
    until(5, lambda: p.log(), lambda: os.path.exists(path) and "SIGHUP" in open(path).read())
    p.p.send_signal(signal.SIGUSR1)
    until(5, lambda: p.log(), lambda: "resident" in open(path).read())
    check("resident" not in open(path + ".1").read())
    p.end()


def flags_arrive():
    more = os.path.join(tempfile.mkdtemp(dir=BASE), "more.hcl")
    at_end.append(lambda failed: shutil.rmtree(os.path.dirname(more)))
    open(more, "w").write('client {\n node_class = "big"\n}\ndatacenter = "dcx"\n')
    ip = "%s.%d" % (NET, next(Process.count))
    p = Process('region = "eu"\nclient {\n node_class = "small"\n}\n', "-config", more, "-client", "-bind", ip, "-data-dir", "DIR/d",
                "-node", "n9", "-dc", "dc7", "-servers", "127.1.1.1,127.1.1.2:99", "-meta", "a=b", "-log-level", "WARN", ip=ip).await_http()
    config = p.get("/v1/agent/self").json["config"]
    for key, want in (("Region", "eu"), ("Datacenter", "dc7"), ("NodeName", "n9"), ("DataDir", p.dir + "/d"), ("BindAddr", ip), ("LogLevel", "WARN")):
        same(config[key], want, key)
    for key, want in (("NodeClass", "big"), ("Meta", {"a": "b"}), ("Servers", ["127.1.1.1", "127.1.1.2:99"]), ("Enabled", True)):
        same(config["Client"][key], want, key)
    same(sorted(p.get("/v1/agent/servers").json), ["127.1.1.1:4647", "127.1.1.2:99"])
    check("[INFO]" not in p.log(), p.log())
    p.end()


def flags_of_a_server_arrive():
    ip = "%s.%d" % (NET, next(Process.count))
    p = Process("", "-server", "-bootstrap-expect", "3", "-retry-join", "127.1.1.1", "-retry-join", "127.1.1.2", "-region", "eu", "-bind", ip,
                "-data-dir", "DIR/d", "-node", "s9", ip=ip).await_http()
    config = p.get("/v1/agent/self").json["config"]
    same(config["Server"]["BootstrapExpect"], 3)
    same(config["Server"]["ServerJoin"]["RetryJoin"], ["127.1.1.1", "127.1.1.2"])
    same([config["Region"], config["NodeName"]], ["eu", "s9"])
    p.end()


def a_client_alone_answers_for_itself():
    p = client().await_http()
    me = p.get("/v1/agent/self").json
    check(len(me["stats"]["client"]["node_id"]) == 36, me["stats"])
    same(me["stats"]["client"]["known_servers"], "127.1.1.1:4647")
    same(p.get("/v1/agent/health").json, {"client": {"ok": True, "message": "ok"}})
    same(p.get("/v1/agent/health?type=server").status, 500)
    names = {g["Name"] for g in p.get("/v1/metrics").json["Gauges"]}
    check("nomad.client.allocations.running" in names, names)
    p.get("/v1/metrics?format=prometheus").want(200, "nomad_client_connected 0\n")
    p.get("/v1/client/fs/ls/").want(400, "must provide a valid alloc id")
    began = time.monotonic()
    p.get("/v1/jobs").want(500, "No cluster leader")
    took = time.monotonic() - began
    check(4.5 < took, "given up after", took)
    quick(took, 8, "giving up")
    p.end()


def memory_is_small():
    if SANITIZED:
        raise Skip("a sanitizer's memory")
    p = client().await_http()
    time.sleep(1)
    kib = int(re.search(r"Rss:\s*(\d+)", open("/proc/%d/smaps_rollup" % p.p.pid).read()).group(1))
    check(kib < 11.5 * 1024, "a client has", kib, "KiB")
    q = server().await_http()
    time.sleep(1)
    kib2 = int(re.search(r"Rss:\s*(\d+)", open("/proc/%d/smaps_rollup" % q.p.pid).read()).group(1))
    check(kib2 < 12.5 * 1024, "a server has", kib2, "KiB")  # It leads, and has made the root key.
    return "client %d KiB, server %d KiB" % (kib, kib2)


run(a_client_ends_within_a_second, a_server_ends_within_a_second, a_server_without_a_cluster_ends_within_a_second,
    requests_that_wait_do_not_hold_up_the_end, faults_of_the_configuration_are_named, an_address_that_is_in_use_is_named,
    a_directory_belongs_to_one_agent, an_agent_waits_for_the_one_before_it_to_be_gone, a_damaged_log_is_refused_with_what_to_do,
    the_log_goes_to_a_file_that_is_followed, flags_arrive, flags_of_a_server_arrive,
    a_client_alone_answers_for_itself, memory_is_small)
