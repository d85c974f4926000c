#!/usr/bin/env python3
"""Who a node is: an agent written here, by hand, that says what it should not to real servers."""
import struct, uuid

from lab import *

REQUEST, REPLY, ERROR, PUSH, PING, PONG = 1, 2, 3, 7, 8, 9
HELLO, HTTP, STATUS, READ_INDEX, MEMBERS, JOIN, LEAVE, STATE_HASH, FOUNDING, NODES_AT = 1, 2, 10, 11, 12, 13, 14, 15, 16, 17
REGISTER, HEARTBEAT, UPDATE, WATCH, PREVIOUS, RIGHTS = 30, 31, 32, 33, 34, 35
NOTFOUND, INVALID, REFUSED, UNSUPPORTED = 5, 8, 18, 20
ACL = 'acl {\n  enabled = true\n}\n'
BED = {"failed": False}


# ---- the wire

def pack(v):
    """msgpack; objects are maps of field numbers, which ascend."""
    if isinstance(v, bool):
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        for top, code, form in ((128, b"", ">B"), (1 << 8, b"\xcc", ">B"), (1 << 16, b"\xcd", ">H"), (1 << 32, b"\xce", ">I")):
            if 0 <= v < top:
                return code + struct.pack(form, v)
    if isinstance(v, str):
        data = v.encode()
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(v, bytes):
        return b"\xc6" + struct.pack(">I", len(v)) + v
    if isinstance(v, list):
        return b"\xdd" + struct.pack(">I", len(v)) + b"".join(map(pack, v))
    return b"\xdf" + struct.pack(">I", len(v)) + b"".join(pack(k) + pack(x) for k, x in sorted(v.items()))


def unpack(data, at=0):
    """A value and where it ends."""
    c = data[at]
    at += 1
    if c < 0x80:
        return c, at
    if c >= 0xe0:
        return c - 256, at
    if c & 0xe0 == 0xa0:
        return data[at:at + (c & 31)], at + (c & 31)
    if c & 0xf0 == 0x90 or c in (0xdc, 0xdd):
        n = c & 15
    if c & 0xf0 == 0x80 or c in (0xde, 0xdf):
        n = c & 15
    for code, form in ((0xcc, ">B"), (0xcd, ">H"), (0xce, ">I"), (0xcf, ">Q"), (0xd0, ">b"), (0xd1, ">h"), (0xd2, ">i"), (0xd3, ">q")):
        if c == code:
            return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    for codes, form in (((0xd9, 0xc4, 0), ">B"), ((0xda, 0xc5, 0xdc, 0xde), ">H"), ((0xdb, 0xc6, 0xdd, 0xdf), ">I")):
        if c in codes and c:
            n = struct.unpack_from(form, data, at)[0]
            at += struct.calcsize(form)
    if c in (0xd9, 0xda, 0xdb, 0xc4, 0xc5, 0xc6):
        return data[at:at + n], at + n
    if c in (0xc0, 0xc2, 0xc3):
        return {0xc0: None, 0xc2: False, 0xc3: True}[c], at
    is_map = c & 0xf0 == 0x80 or c in (0xde, 0xdf)
    out = {} if is_map else []
    for _ in range(n):
        v, at = unpack(data, at)
        if is_map:
            x, at = unpack(data, at)
            out[v] = x
        else:
            out.append(v)
    return out, at


class Refused(Exception):
    def __init__(self, code, text):
        Exception.__init__(self, "%d %s" % (code, text))
        self.code, self.text = code, text


class Peer:
    """A connection of an agent that says it is this."""

    def __init__(self, server, kind="client", node=None, secret=None, hello=None):
        self.node, self.secret = node or str(uuid.uuid4()), secret or str(uuid.uuid4())
        self.sock = socket.create_connection((server.ip, 4647), 10)
        self.sock.settimeout(10)
        self.data, self.id = b"", 0
        self.sock.sendall(b"D")
        said = {1: 1, 2: kind, 3: self.node, 4: "by-hand", 5: "global", 6: "dc1", 7: "1", 14: self.secret}
        said.update(hello or {})
        self.ask(HELLO, said)

    def close(self):
        self.sock.close()

    def send(self, kind, code, payload, number=0):
        frame = b"\x94" + b"".join(map(pack, (kind, number, code, 0))) + payload
        self.sock.sendall(struct.pack(">I", len(frame)) + frame)

    def take(self, n):
        while len(self.data) < n:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError("the server has closed the connection")
            self.data += more
        data, self.data = self.data[:n], self.data[n:]
        return data

    def frame(self):
        data = self.take(struct.unpack(">I", self.take(4))[0])
        head, at = unpack(data)
        return head, data[at:]

    def ask(self, method, obj, raw=False):
        """The answer's object; Refused with the error's number."""
        self.id += 1
        self.send(REQUEST, method, obj if raw else pack(obj), self.id)
        while True:
            (kind, number, code, _), payload = self.frame()
            if kind == PING:
                self.send(PONG, 0, b"")
            elif number == self.id and kind == ERROR:
                raise Refused(code, payload.decode(errors="replace"))
            elif number == self.id and kind == REPLY:
                return payload if raw else unpack(payload)[0]

    def http(self, path, method="GET", token="", body=b""):
        """Status and body."""
        head = pack({1: method, 2: path.encode(), 3: token.encode(), 4: 1})
        payload = self.ask(HTTP, struct.pack(">I", len(head)) + head + body + b"\0", raw=True)
        n = struct.unpack(">I", payload[:4])[0]
        return unpack(payload[4:4 + n])[0].get(1, 200), payload[4 + n:-1].decode(errors="replace")

    # What nodes say.

    def register(self, node=None, secret=None):
        return self.ask(REGISTER, {1: node or self.node, 2: secret or self.secret, **self.described})

    described = {}

    def beat(self, node=None, secret=None):
        return self.ask(HEARTBEAT, {1: node or self.node, 2: secret or self.secret, 3: "ready"})

    def watch(self, node=None, secret=None):
        return self.ask(WATCH, {1: node or self.node, 2: secret or self.secret})

    def report(self, alloc, node=None, secret=None):
        return self.ask(UPDATE, {1: node or self.node, 2: secret or self.secret, 3: [{1: alloc, 2: "failed"}]})


def refused(code, what, *args, **more):
    try:
        got = what(*args, **more)
    except Refused as e:
        check(e.code == code, "want", code, "got", e)
        return e.text
    raise Failure("it was taken: %r" % (got,))


def turned_away(server, **more):
    """Whoever it is is told, or not: the connection is closed."""
    try:
        Peer(server, **more).close()
    except (Refused, EOFError, ConnectionError):
        return
    raise Failure("a connection was taken from " + repr(more))


# ---- the bed

def note(failed):
    BED["failed"] |= failed


def ask(path, method="GET", body=None):
    return BED["lab"].servers[0].ask(method, path, body, headers={"X-Nomad-Token": BED["root"]})


def start():
    """Three servers with access control and a real node with an allocation; and the real node's ID and secret."""
    at_end.append(note)
    if "lab" in BED:
        return BED["lab"]
    BED["lab"] = lab = Lab(3, 1, config=ACL, wait=False)
    at_end.remove(lab.close)
    atexit.register(lambda: lab.close(BED["failed"]))
    first = lab.servers[0]
    until(20, lambda: "a leader: " + lab.tails(), first.try_read, "/v1/status/leader")
    BED["root"] = until(20, lambda: "the first token: " + lab.tails(),
                        lambda: (lambda a: a.json["SecretID"] if a.status == 200 else None)(first.put("/v1/acl/bootstrap")))
    BED["node"] = until(20, "a node", lambda: next((n["ID"] for n in ask("/v1/nodes").json if n["Status"] == "ready"), None))
    secret = subprocess.run(["find", lab.clients[0].dir, "-name", "secret-id"], stdout=subprocess.PIPE).stdout.decode().split()
    same(len(secret), 1, str(secret))
    BED["secret"] = open(secret[0]).read().strip()
    BED["job"] = new_id("web")
    ask("/v1/jobs", "PUT", {"Job": job(BED["job"])}).want(200)
    BED["alloc"] = until(20, lambda: "an allocation: " + lab.tails(), lambda: next(
        (a["ID"] for a in ask("/v1/job/%s/allocations" % BED["job"]).json if a["ClientStatus"] == "running"), None))
    Peer.described = {3: "dc1", 4: "by-hand"}
    return lab


def stranger(server=None):
    """A node of our own, registered."""
    p = Peer(server or BED["lab"].servers[1])
    p.register()
    return p


def knows(p):
    """Whether the server has heard of the node, which may have registered by way of another."""
    try:
        return p.http("/v1/status/leader")[0] == 200
    except Refused as e:
        same(e.code, REFUSED)
        return False


# ---- cases

def a_node_registers_and_beats_as_itself():
    lab = start()
    for server in lab.servers:
        p = stranger(server)
        p.beat()
        p.watch()
        p.close()


def nobody_comes_with_another_secret():
    lab = start()
    for server in lab.servers:
        for secret in (str(uuid.uuid4()), BED["secret"][:-1] + "x", BED["secret"].upper() + "0", "x"):
            turned_away(server, node=BED["node"], secret=secret)
        turned_away(server, node="nonsense")
        Peer(server, node=BED["node"], secret=BED["secret"]).close()


def a_node_speaks_for_no_other_even_with_its_secret():
    lab = start()
    for server in lab.servers:
        p = stranger(server)
        for who in ({"node": BED["node"]}, {"secret": BED["secret"]}, {"node": BED["node"], "secret": BED["secret"]}):
            for what in (p.register, p.beat, p.watch):
                refused(REFUSED, what, **who)
            refused(REFUSED, p.report, BED["alloc"], **who)
        for method in (PREVIOUS, RIGHTS):
            refused(REFUSED, p.ask, method, {1: BED["node"], 2: BED["secret"], 3: BED["alloc"]})
        for method in (REGISTER, HEARTBEAT, UPDATE, WATCH, PREVIOUS, RIGHTS):
            refused(REFUSED, p.ask, method, b"\xc1 garbage", raw=True)
            refused(REFUSED, p.ask, method, {})
        p.close()


def a_node_says_nothing_of_others_allocations():
    lab = start()
    for server in lab.servers:
        p = stranger(server)
        refused(REFUSED, p.report, BED["alloc"])
        refused(REFUSED, p.ask, PREVIOUS, {1: p.node, 2: p.secret, 3: BED["alloc"]})
        p.report(str(uuid.uuid4()))  # One that was collected.
        p.close()
    same(ask("/v1/allocation/" + BED["alloc"]).json["ClientStatus"], "running")


def nobody_but_servers_calls_what_is_servers():
    lab = start()
    for server in lab.servers:
        for kind, hello in (("client", {}), ("cli", {}), ("server", {5: "elsewhere", 9: "127.0.0.1:1", 12: 4711})):
            p = Peer(server, kind=kind, hello=hello)
            if kind == "client":
                p.register()
            mine = {"client": (STATUS, MEMBERS, STATE_HASH), "cli": (MEMBERS, REGISTER, HEARTBEAT, UPDATE, WATCH, PREVIOUS, RIGHTS),
                    "server": (STATE_HASH, REGISTER, HEARTBEAT, UPDATE, WATCH, PREVIOUS, RIGHTS)}[kind]
            for method in (READ_INDEX, JOIN, LEAVE, FOUNDING, NODES_AT, 50, 9999) + mine:
                refused(UNSUPPORTED, p.ask, method, {})
            for method in (FOUNDING, NODES_AT):
                p.send(PUSH, method, pack({1: True, 2: [BED["node"]]}))
            p.close()
    # What was pushed has changed no way: requests still find the node.
    for server in lab.servers:
        server.get("/v1/client/stats?node_id=" + BED["node"], headers={"X-Nomad-Token": BED["root"]}).want(200)


def a_node_reads_by_the_api_what_is_its_tasks_alone():
    lab = start()
    for path in ("nomad/jobs/" + BED["job"], "nomad/jobs/other"):
        ask("/v1/var/" + path, "PUT", {"Path": path, "Items": {"v": "text"}}).want(200)
    nobody, real = stranger(), Peer(lab.servers[2], node=BED["node"], secret=BED["secret"])
    for p in (nobody, real):
        until(5, "the server knows of the node", knows, p)
    own, other = "/v1/var/nomad/jobs/" + BED["job"], "/v1/var/nomad/jobs/other"
    same(real.http(own)[0], 200)
    same(real.http(own + "?namespace=far")[0], 403)
    same(real.http("/v1/vars")[0], 200)
    check("other" not in real.http("/v1/vars")[1], "another job's variable is listed")
    for p, paths in ((real, (other,)), (nobody, (own, other, "/v1/services"))):
        for path in paths:
            same(p.http(path), (403, "Permission denied"), path)
    for p in (real, nobody):
        for path in ("/v1/jobs", "/v1/nodes", "/v1/node/" + BED["node"], "/v1/allocation/" + BED["alloc"], "/v1/acl/tokens", "/v1/agent/self",
                     "/v1/operator/snapshot", "/v1/operator/raft/configuration", "/v1/client/fs/ls/" + BED["alloc"], "/v1/event/stream"):
            status, text = p.http(path)
            check(status == 403 or text.strip() == "[]", path, status, text[:200])
        for path, method in ((own, "PUT"), (own, "DELETE"), ("/v1/jobs", "PUT"), ("/v1/system/gc", "PUT"), ("/v1/acl/token", "POST")):
            same(p.http(path, method, body=b"{}")[0], 403, method + path)
    nobody.close()
    real.close()


def a_node_that_is_not_registered_reads_nothing():
    lab = start()
    p = Peer(lab.servers[0])
    refused(REFUSED, p.http, "/v1/status/leader")
    refused(REFUSED, p.ask, RIGHTS, {1: p.node, 2: p.secret, 3: BED["root"]})
    p.close()


def without_access_control_identity_holds_all_the_same():
    lab = Lab(1, 1)
    node = lab.servers[0].read("/v1/nodes")[0]["ID"]
    turned_away(lab.servers[0], node=node)
    p = Peer(lab.servers[0])
    p.register()
    refused(REFUSED, p.beat, node=node)
    refused(UNSUPPORTED, p.ask, READ_INDEX, {})
    same(p.http("/v1/jobs")[0], 200)
    p.close()


def secrets_are_not_told():
    lab = start()
    for agent in lab.agents:
        check(BED["secret"] not in agent.log() and BED["root"] not in agent.log(), "a secret is in the log of", agent)
    for path in ("/v1/node/" + BED["node"], "/v1/nodes", "/v1/nodes?resources=true"):
        check(BED["secret"] not in ask(path).text, path)
    same([n["Name"] for n in ask("/v1/nodes").json if n["ID"] == BED["node"]], ["c1"])


run(a_node_registers_and_beats_as_itself, nobody_comes_with_another_secret, a_node_speaks_for_no_other_even_with_its_secret,
    a_node_says_nothing_of_others_allocations, nobody_but_servers_calls_what_is_servers, a_node_reads_by_the_api_what_is_its_tasks_alone,
    a_node_that_is_not_registered_reads_nothing, without_access_control_identity_holds_all_the_same, secrets_are_not_told)
