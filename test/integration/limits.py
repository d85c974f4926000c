#!/usr/bin/env python3
"""Real agents with limits: a client address that takes too much is told so or cut off, and nobody else notices. What is too long to
wait for or too large for real agents is in http_front.py and in unit tests."""
import struct

from lab import *
from websocket import Refused, WebSocket

LAB = []
SLOW = []  # Connections that are to be cut, and when they were made.
CONFIG = """limits {
  http_max_conns_per_client     = 20
  rpc_max_conns_per_client      = 12
  rpc_handshake_timeout         = "2s"
  http_request_rate_per_client  = 2
  http_request_burst_per_client = 200
}
"""


def lab():
    if not LAB:
        made = Lab(1, 1, config=CONFIG)
        at_end.remove(made.close)
        LAB.append(made)
    return LAB[0]


def connect(agent, port=4646, source="127.0.0.1", timeout=60, window=None):
    s = socket.socket()
    s.settimeout(timeout)
    if window:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    s.bind((source, 0))
    s.connect((agent.ip, port))
    return s


def receive(s):
    """All that comes until the other side closes."""
    got = b""
    try:
        while True:
            part = s.recv(1 << 16)
            if not part:
                return got
            got += part
    except ConnectionError:
        return got


def status(s, request=b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n"):
    """The first answer on a connection, its status and its head."""
    s.sendall(request)
    got = b""
    while b"\r\n\r\n" not in got:
        part = s.recv(1 << 16)
        if not part:
            break
        got += part
    return int(got.split(b" ")[1]) if got else 0, got.decode(errors="replace")


def others_are_served():
    for a in lab().agents:
        s = connect(a, source="127.0.0.77")
        same(status(s)[0], 200, a)
        s.close()


def is_cut(s, seconds):
    s.settimeout(seconds)
    try:
        receive(s)
        return True
    except socket.timeout:
        return False


# ---- what takes a while is begun here, and looked at in the end

def slow_ones_begin():
    large = idle("large", Meta={"m": "x" * 900000})
    for priority in range(50, 56):
        server().put("/v1/jobs", {"Job": dict(large, Priority=priority)}).want(200)
    for a in lab().agents:
        s = connect(a, source="127.0.0.50")
        s.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        SLOW.append((a, "a head that does not end", s, 13))
        s = connect(a, source="127.0.0.51")
        s.sendall(b"PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        SLOW.append((a, "a body that does not end", s, 13))
        s = connect(a, source="127.0.0.52", window=4096)
        s.sendall(b"GET /v1/job/large/versions HTTP/1.1\r\nHost: x\r\n\r\n")
        SLOW.append((a, "an answer that is not read", s, 34))
    SLOW.append(time.monotonic())


def server():
    return lab().servers[0]


def slow_ones_are_cut():
    began = SLOW.pop()
    for a, what, s, seconds in sorted(SLOW, key=lambda x: x[3]):
        if what.startswith("an answer"):
            time.sleep(max(0, began + seconds - time.monotonic()))
            got = receive(s)
            check(len(got) < 5000000 and b" 200 OK" in got[:20], a, what, "it all came:", len(got))
        else:
            check(is_cut(s, 60), a, what, "is not cut")
            check(time.monotonic() - began > 8, a, what, "was cut too early")
            quick(time.monotonic() - began, seconds + 1, "cutting", what)
    others_are_served()


# ---- connections

def http_connections_of_an_address_are_counted():
    for a in lab().agents:
        held = [connect(a, source="127.0.0.30") for _ in range(20)]
        same([status(s)[0] for s in held], [200] * 20, a)
        same(status(connect(a, source="127.0.0.30"))[0], 429, a)
        others_are_served()
        held.pop().close()
        until(5, "there is room again", lambda: status(connect(a, source="127.0.0.30"))[0] == 200)
        for s in held:
            s.close()


def rpc_connections_of_an_address_are_counted():
    """Before they have said anything, too: the places of those that have not are for all."""
    held = [connect(server(), 4647, source="127.0.0.31") for _ in range(40)]
    until(5, "those beyond the twelve are closed", lambda: sum(is_cut(s, 0.01) for s in held) >= 40 - 12)
    check(hello(server(), source="127.0.0.32"), "another address is not heard")
    began = time.monotonic()
    until(6, "those that say nothing are closed", lambda: sum(is_cut(s, 0.01) for s in held) == 40)
    quick(time.monotonic() - began, 5, "cutting those that said nothing")


def frame(size, kind=1):
    """The head of an RPC frame: its length, and some bytes of it."""
    return struct.pack("!I", size) + bytes([kind])


def hello(agent, source):
    """Whether there is a connection that a server keeps until the hand-shake's time is over."""
    s = connect(agent, 4647, source)
    s.sendall(b"D")
    open_now = not is_cut(s, 0.5)
    s.close()
    return open_now


def before_a_hello_little_is_taken():
    first = rpc_first_byte()
    s = connect(server(), 4647, source="127.0.0.33")
    s.sendall(first + frame(1 << 20))
    began = time.monotonic()
    check(is_cut(s, 30), "a megabyte is waited for from a stranger")
    quick(time.monotonic() - began, 1.5)


def rpc_first_byte():
    text = open(os.path.join(HERE, "..", "..", "proto", "rpc.h")).read()
    return re.search(r"RPC_FIRST_BYTE\s*=?\s*'(.)'", text).group(1).encode()


# ---- requests

def requests_of_an_address_are_counted():
    for a in lab().agents:
        s = connect(a, source="127.0.0.34")
        began, statuses = time.monotonic(), []
        while 429 not in statuses and len(statuses) < 2000:
            statuses.append(status(s)[0])
        took = time.monotonic() - began
        check(200 <= len(statuses) - 1 <= 201 + 2 * took, a, len(statuses), took)
        heads = [status(s) for _ in range(10)]
        code, head = next(h for h in heads if h[0] == 429)
        check(re.search(r"(?im)^retry-after: 1\r$", head), head)
        check(429 in [status(connect(a, source="127.0.0.34"))[0] for _ in range(10)], "a new connection helps")
        others_are_served()
        time.sleep(1.1)
        same(status(s)[0], 200, a)
        s.close()
    limited = [m for m in server().read("/v1/metrics")["Counters"] if m["Name"] == "nomad.http.limited"]
    check(limited and limited[0]["Sum"] >= 3, limited)


def heads_and_targets_are_bounded():
    for a in lab().agents:
        for request, wanted in ((b"GET /v1/jobs?prefix=%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 20000), (414, 400, 0)),
                                (b"GET /v1/jobs?%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"&".join(b"a=b" for _ in range(300))), (400,)),
                                (b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n" % (b"x" * 2000000), (400, 431, 0)),
                                (b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n" + b"X-Many: x\r\n" * 5000 + b"\r\n", (400, 431, 0)),
                                (b"PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", (413,))):
            s = connect(a, source="127.0.0.35")
            try:
                got = status(s, request)
            except ConnectionError:
                got = 0, ""
            check(got[0] in wanted, a, request[:40], got)
            s.close()
    others_are_served()


# ---- what a node does for others

def commands_and_files_of_a_node_are_counted():
    made = Lab(1, 1)
    made.servers[0].register(job("reads"))
    made.running("reads", 1)
    alloc, node = made.allocs("reads")[0]["ID"], made.clients[0]
    held, refused = [], None
    for _ in range(300):
        try:
            held.append(WebSocket(node.ip, '/v1/client/allocation/%s/exec?task=t&command=%%5B"true"%%5D&ws_handshake=true' % alloc))
        except Refused as e:
            refused = e
            break
    same((len(held), refused and refused.status), (256, 429))
    check("256" in refused.text, refused.text)
    for w in held:
        w.close()
    request = b"GET /v1/client/fs/logs/%s?task=t&type=stdout&follow=true&plain=true HTTP/1.1\r\nHost: x\r\n\r\n" % alloc.encode()
    held, codes = [], []
    while len(held) < 1100 and 429 not in codes:
        held.append(connect(node))
        codes.append(status(held[-1], request)[0])
    same((len(codes) - 1, codes[-1]), (1024, 429))
    for s in held:
        s.close()
    until(10, "there is room again", lambda: status(connect(node), request)[0] == 200)
    w = WebSocket(node.ip, '/v1/client/allocation/%s/exec?task=t&command=%%5B"true"%%5D' % alloc)
    w.close()


def monitors_and_profiles_are_bounded():
    for a in lab().agents:
        same(a.get("/v1/agent/pprof/cmdline").status, 403, a)
        same(a.get("/v1/agent/pprof/heap").status, 403, a)
    made = Lab(1, 0, config="enable_debug = true\n")
    check("agent" in made.servers[0].get("/v1/agent/pprof/cmdline").want(200).text)
    held, codes = [], []
    while len(held) < 200 and 429 not in codes:
        held.append(connect(made.servers[0]))
        codes.append(status(held[-1], b"GET /v1/agent/monitor?plain=true&log_level=trace HTTP/1.1\r\nHost: x\r\n\r\n")[0])
    check(429 in codes, "as many monitors as one likes")


def everything_ends_clean():
    for _, _, s, _ in SLOW:
        s.close()
    lab().close(False)


if __name__ == "__main__":
    run(slow_ones_begin, http_connections_of_an_address_are_counted, rpc_connections_of_an_address_are_counted, before_a_hello_little_is_taken,
        requests_of_an_address_are_counted, heads_and_targets_are_bounded, commands_and_files_of_a_node_are_counted,
        monitors_and_profiles_are_bounded, slow_ones_are_cut, everything_ends_clean)
