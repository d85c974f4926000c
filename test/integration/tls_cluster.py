#!/usr/bin/env python3
"""RPC and Raft in TLS, and behind a secret: who gets in, who does not, and what happens when files change while they run."""
import base64, hashlib, hmac, socket, ssl, struct
from lab import *

BLOCK = """tls {
  rpc                    = true
  ca_file                = "ca.pem"
  cert_file              = "cert.pem"
  key_file               = "key.pem"
  verify_server_hostname = true
%s}
"""


def call(where, *words):
    done = subprocess.run(words, cwd=where, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    check(done.returncode == 0, words, done.stdout.decode())
    return done.stdout.decode()


class Authority:
    """What `drover tls` makes, in a folder of its own."""

    def __init__(self, root, name):
        self.dir = os.path.join(root, name)
        os.makedirs(self.dir)
        call(self.dir, DROVER, "tls", "ca", "create")
        self.ca = open(os.path.join(self.dir, "nomad-agent-ca.pem")).read()
        self.made = 0

    def cert(self, role, *words):
        """(certificate, key) as text: of this role, a new one each time."""
        self.made += 1
        where = os.path.join(self.dir, str(self.made))
        os.makedirs(where)
        for name in ("nomad-agent-ca.pem", "nomad-agent-ca-key.pem"):
            os.symlink(os.path.join(self.dir, name), os.path.join(where, name))
        call(where, DROVER, "tls", "cert", "create", "-" + role, *words)
        stem = [n[:-len("-key.pem")] for n in os.listdir(where) if n.endswith("-key.pem") and not n.endswith("ca-key.pem")][0]
        return [open(os.path.join(where, stem + end)).read() for end in (".pem", "-key.pem")]


def put(folder, ca, pair):
    """One after the other, each whole: as an operator's tool would."""
    os.makedirs(folder, exist_ok=True)
    for name, text in (("ca.pem", ca), ("cert.pem", pair[0]), ("key.pem", pair[1])):
        path = os.path.join(folder, name)
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text)
        os.rename(path + ".new", path)


class Secured(Lab):
    """A lab whose agents have certificates: servers those of servers, clients those of clients."""

    def __init__(self, servers=3, clients=1, more="", **kw):
        names = ["s%d" % (i + 1) for i in range(servers)] + ["c%d" % (i + 1) for i in range(clients)]

        def prepare(folder):
            self.first = Authority(folder, "first")
            for name in names:
                put(os.path.join(folder, name), self.first.ca, self.first.cert(role(name)))
        super().__init__(servers, clients, config=BLOCK % more, prepare=prepare, **kw)

    def connection(self, server, pair=None, ca=None):
        """A connection as an agent would make it, with this certificate or none."""
        where = tempfile.mkdtemp(dir=self.dir)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=ca or self.first.ca)
        if pair:
            put(where, self.first.ca, pair)
            context.load_cert_chain(os.path.join(where, "cert.pem"), os.path.join(where, "key.pem"))
        return context.wrap_socket(socket.create_connection((server.ip, 4647), timeout=60))


def role(name):
    return "server" if name[0] == "s" else "client"


def serial(connection):
    return hashlib.sha256(connection.getpeercert(binary_form=True)).hexdigest()


def hung_up(s, said=b"", seconds=60):
    """The other side ends the connection, and has told nothing of itself."""
    s.settimeout(seconds)
    try:
        if said:
            s.sendall(said)
        while True:
            got = s.recv(4096)
            if not got:
                return True
            check(not isinstance(s, ssl.SSLSocket), "it answers", got[:100])
    except ssl.SSLError:
        return True
    except socket.timeout:
        return False
    except OSError:
        return True


def logged(agent, pattern, seconds=5):
    return until(seconds, lambda: "%s logs %s: %s" % (agent, pattern, agent.tail(20)), lambda: re.search(pattern, agent.log()))


def raft_hello():
    """The first bytes of a server's connection; the checksum at its end is not even looked at before the certificate."""
    return b"R" + struct.pack("<IIQQQ", 1, 1, 1, 0, 99) + b"127.0.0.1:9".ljust(264, b"\0") + b"\0" * 8


def terms(lab):
    return {s.name: s.read("/v1/agent/self")["stats"]["raft"]["term"] for s in lab.servers}


# ---- cases


def a_cluster_in_tls_runs_jobs_and_survives_its_leader():
    lab = Secured()
    client = lab.clients[0]
    j = job(count=2)
    lab.leader().register(j)
    lab.running(j["ID"], 2)
    writers = Writers(lab)
    time.sleep(0.5)
    leader = lab.leader()
    began = time.monotonic()
    leader.kill()
    new = lab.leader(other_than=leader)
    took = time.monotonic() - began
    lab.running(j["ID"], 2)
    second = job()
    client.register(second)  # Its way to a server is in TLS, too.
    lab.running(second["ID"], 1)
    leader.start()
    until(10, "the old leader follows", lambda: lab.leader() and len(lab.live()) == 3)
    writers.stop()
    lab.same_state()
    note = writers.verify()
    text = "".join(a.log() for a in lab.agents)
    check(not re.search("plain text|certificate of the other side", text), "nobody was refused", text[-2000:])
    return "another leader after %.2f s; %s" % (took, note)


def who_has_no_certificate_gets_nothing():
    lab = Secured(clients=0, more='}\nlimits {\n  rpc_handshake_timeout = "2s"\n')
    server = lab.leader()
    other = Authority(lab.dir, "other")
    stranger = other.cert("server")
    for port in (4647, 4648):
        done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % (server.ip, port), "-servername", "server.global.nomad", "-ign_eof"],
                              input=b"D", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        text = done.stdout.decode(errors="replace")
        check(done.returncode != 0 or "alert" in text, "s_client without a certificate is refused at port", port, text[-500:])
        check("certificate required" in text or "handshake failure" in text, "and told why", text[-500:])
        for said in (b"R" + bytes(300), b"D" + bytes(60), b"GET / HTTP/1.1\r\n\r\n", b"K" + bytes(40), b"\x16\x03\x01\0\5hello"):
            with socket.create_connection((server.ip, port), timeout=60) as s:
                check(hung_up(s, said), "plain text", said[:8], "is refused at port", port)
    logged(server, "refused .*(plain text, where only TLS is taken|did not return a certificate)")
    try:
        refused = hung_up(lab.connection(server, stranger), b"D")
    except (ssl.SSLError, OSError):
        refused = True
    check(refused, "a certificate of another authority is refused")
    try:
        lab.connection(server, lab.first.cert("server"), ca=other.ca)
        raise Failure("a server that our authority does not know was believed")
    except ssl.SSLError:
        pass
    with socket.create_connection((server.ip, 4647), timeout=60) as s:  # The time of rpc_handshake_timeout.
        check(not hung_up(s, b"\x16\x03\x01\x02", seconds=1), "half a handshake may go on for a while")
        check(hung_up(s, seconds=60), "but not for ever")
    check(lab.leader() is server, "and nobody was disturbed")


def a_clients_certificate_does_not_reach_raft():
    lab = Secured(clients=0)
    server = lab.leader()
    for kind in ("client", "cli"):
        check(hung_up(lab.connection(server, lab.first.cert(kind)), raft_hello()), kind, "is turned away from Raft")
    logged(server, "refused .*Raft is for servers of this region")
    check(hung_up(lab.connection(server, lab.first.cert("server", "-region", "elsewhere")), raft_hello()), "and so is another region's server")
    s = lab.connection(server, lab.first.cert("server"))
    before = server.log().count("Raft is for servers")
    check(hung_up(s, raft_hello()), "what is no greeting is turned away from whoever it comes")
    same(server.log().count("Raft is for servers"), before, "but not for its certificate")

    # A server whose certificate is a client's does not become a member.
    late = lab.add_server(lab.servers[0])
    put(late.dir, lab.first.ca, lab.first.cert("client"))
    late.start()
    logged(server, "certificate")
    time.sleep(1)
    same(len(server.read("/v1/operator/raft/configuration")["Servers"]), 3, "members")
    check(not any(m["Name"].startswith("s4") for m in server.read("/v1/agent/members")["Members"]), "it is not a member")
    late.end()
    put(late.dir, lab.first.ca, lab.first.cert("server"))
    late.start()
    until(15, "with a server's it does", lambda: len(server.read("/v1/operator/raft/configuration")["Servers"]) == 4)


def certificates_change_while_the_cluster_runs():
    lab = Secured(more='}\nlimits {\n  rpc_handshake_timeout = "60s"\n')  # A connection of ours says no hello.
    j = job()
    lab.leader().register(j)
    lab.running(j["ID"], 1)
    leader, before = lab.leader(), terms(lab)
    old_link = lab.connection(leader, lab.first.cert("server"))
    old = serial(old_link)
    writers = Writers(lab)
    second = Authority(lab.dir, "second")
    both = lab.first.ca + second.ca
    for step in ((both, lab.first), (both, second), (second.ca, second)):  # Each of them on all agents, before the next.
        for a in lab.agents:
            put(a.dir, step[0], step[1].cert(role(a.name)))
            count = a.log().count("SIGHUP: RPC: new connections use")
            a.signal(signal.SIGHUP)
            until(5, lambda: "%s has read its files again: %s" % (a, a.tail()), lambda: a.log().count("SIGHUP: RPC: new connections use") > count)
    check(not hung_up(old_link, seconds=0.3), "a connection of before lives on")
    new_link = lab.connection(leader, second.cert("server"), ca=second.ca)
    check(serial(new_link) != old, "a new one sees the new certificate")
    try:
        refused = hung_up(lab.connection(leader, lab.first.cert("server"), ca=second.ca), b"D")
    except (ssl.SSLError, OSError):
        refused = True
    check(refused, "a certificate of the old authority is of no use any more")
    same(terms(lab), before, "terms, from before to after")
    check(lab.leader() is leader, "the leader is the same")
    check("lost" not in "".join(a.log() for a in lab.agents), "no connection was lost")

    # With files that are wrong the old ones stay, and the log says why.
    open(os.path.join(leader.dir, "cert.pem"), "w").write("nothing\n")
    leader.signal(signal.SIGHUP)
    logged(leader, r"SIGHUP: RPC: the certificate stays as it was: tls\.cert_file: cert.pem: ")
    same(serial(lab.connection(leader, second.cert("server"), ca=second.ca)), serial(new_link), "the certificate")
    put(leader.dir, second.ca, second.cert("server"))
    leader.signal(signal.SIGHUP)

    # All that is dialled from now on is in the new certificates: an agent that comes back is taken.
    follower = next(s for s in lab.followers() if s is not leader)
    follower.kill()
    follower.start()
    lab.clients[0].end()
    lab.clients[0].start()
    until(15, "all are back", lambda: len(lab.live()) == 3 and lab.node(lab.clients[0])["Status"] == "ready")
    lab.running(j["ID"], 1)
    writers.stop()
    lab.same_state()
    return writers.verify()


def a_cluster_in_plain_text_is_changed_over_and_loses_nothing():
    config, folders = "raft {\n  snapshot_size = \"1MiB\"\n}\n", {}

    def prepare(folder):
        folders["ca"] = Authority(folder, "first")
    lab = Lab(3, 1, config=config, prepare=prepare)
    j = job()
    lab.leader().register(j)
    lab.running(j["ID"], 1)
    writers = Writers(lab)

    def step(more):
        for a in lab.agents:
            n = len(writers.acked)
            put(a.dir, folders["ca"].ca, folders["ca"].cert(role(a.name)))
            path = os.path.join(a.dir, "agent.hcl")
            text = re.sub(r"(?ms)^tls \{.*?^\}\n", "", open(path).read())
            open(path, "w").write(text + BLOCK % more)
            a.end()
            a.start()
            until(15, lambda: "writes go on after %s: %s" % (a, lab.tails()), lambda: len(writers.acked) > n + 20)
            lab.leader()
            until(15, lambda: "%s has caught up: %s" % (a, lab.tails()), lambda: (a.try_read("/v1/agent/health") or {}).get("server", {}).get("ok", a.name[0] == "c"))

    step("  rpc_upgrade_mode = true\n")
    step("")
    server = lab.leader()
    with socket.create_connection((server.ip, 4647), timeout=60) as s:
        check(hung_up(s, b"D" + bytes(60)), "plain text is refused at the end")
    until(15, "the node is ready", lambda: lab.node(lab.clients[0])["Status"] == "ready")
    lab.running(j["ID"], 1)
    writers.stop()
    lab.same_state()
    return writers.verify()


def who_does_not_know_the_secret_stays_outside():
    key = bytes(rng.randrange(256) for _ in range(32))
    lab = Lab(3, 1, config='server {\n  encrypt = "%s"\n}\n' % base64.b64encode(key).decode())
    server, j = lab.leader(), job()
    server.register(j)
    lab.running(j["ID"], 1)
    for said in (b"R" + bytes(300), b"D" + bytes(60), b"\x16\x03\x01 nonsense" + bytes(40)):
        with socket.create_connection((server.ip, 4647), timeout=60) as s:
            check(hung_up(s, said), said[:8], "is refused")
    logged(server, "refused .*does not know of the secret")

    def greet(secret):
        s = socket.create_connection((server.ip, 4647), timeout=60)
        nonce = os.urandom(32)
        s.sendall(b"K\1" + nonce)
        answer = b""
        while len(answer) < 64:
            answer += s.recv(64 - len(answer))
        text = b"\1" + nonce + answer[:32]

        def proof(who):
            return hmac.new(secret, who.ljust(16, b"\0") + text, hashlib.sha256).digest()
        return s, proof(b"drover server") == answer[32:], proof(b"drover client")
    s, known, proof = greet(key)
    check(known, "the server proves that it knows the secret")
    s.sendall(proof)
    check(not hung_up(s, b"D", seconds=1), "who proves it as well may go on")
    s, known, proof = greet(bytes(32))
    check(not known and hung_up(s, proof), "who does not may not")
    s, known, proof = greet(key)
    check(hung_up(s, s.getsockname()[0].encode().ljust(32, b"x")), "nor who sends what is no proof")
    shown = json.dumps(server.read("/v1/agent/self")) + "".join(a.log() for a in lab.agents)
    check(base64.b64encode(key).decode() not in shown, "the secret is told nowhere")

    # A server with another secret finds nobody.
    late = lab.add_server(lab.servers[0])
    path = os.path.join(lab.dir, "extra.hcl")
    text = open(path).read()
    open(path, "w").write(text.replace(base64.b64encode(key).decode(), base64.b64encode(bytes(16)).decode()))
    late.start()
    logged(late, "does not know our secret", 10)
    open(path, "w").write(text)
    same(len(server.read("/v1/operator/raft/configuration")["Servers"]), 3, "members")


run(a_cluster_in_tls_runs_jobs_and_survives_its_leader, who_has_no_certificate_gets_nothing,
    a_clients_certificate_does_not_reach_raft, certificates_change_while_the_cluster_runs,
    a_cluster_in_plain_text_is_changed_over_and_loses_nothing, who_does_not_know_the_secret_stays_outside)
