#!/usr/bin/env python3
"""What strangers send to each port of servers and clients: a clear answer or a closed connection, no harm, nothing lost. Run it
with a build that has AddressSanitizer ($DROVER), for then reading too far and leaks are found as well."""
import struct

from lab import *

LAB = []  # One lab for all cases; the last case ends it.


def lab():
    if not LAB:
        made = Lab(3, 1, config='limits {\n  http_max_conns_per_client = 50\n  rpc_max_conns_per_client = 50\n  rpc_handshake_timeout = "2s"\n}\n')
        at_end.remove(made.close)
        made.kept = [new_id("kept") for _ in range(5)]
        for name in made.kept:
            made.servers[0].register(idle(name))
        made.first_pids = [a.pid for a in made.agents]
        LAB.append(made)
    return LAB[0]


def unharmed():
    """All agents are the processes they were, and know what they knew."""
    l = lab()
    same([a.pid for a in l.agents], l.first_pids, "PIDs; " + l.tails())
    for a in l.agents:
        there = {j["ID"] for j in a.read("/v1/jobs?prefix=kept-")}
        check(there >= set(l.kept), a, there)
    l.leader().register(idle(l.kept[0], Priority=rng.randint(51, 90)))
    no_sanitizer_reports(l)


def raw(agent, data, port=4646, timeout=60, shut=True):
    """Sends bytes and returns everything that comes until the other side closes."""
    got = b""
    with socket.create_connection((agent.ip, port), timeout) as s:
        try:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
            while True:
                part = s.recv(1 << 16)
                if not part:
                    break
                got += part
        except OSError as e:  # It was closed while we were sending, or did not answer.
            got += b"<%s>" % type(e).__name__.encode()
    return got


def agents():
    return [rng.choice(lab().servers), lab().clients[0]]


# ---- HTTP bodies

def malformed_json_is_400_with_a_reason():
    bodies = ["", "{", "nonsense", "[]", "null", "{}", '{"Job":', '{"Job": 3}', '{"Job": {}}', '{"Job": null}', '{"Job": {"ID": "a",}}', '{"Job": {"ID": "\\ud800"}}',
              '{"Job":{"ID":"a"}} trailing', '{"Job":{"ID":' + "[" * 5000 + "]" * 5000 + "}}", '{"Job":' * 3000, b'{"Job":{"ID":"\xff\xfe"}}', b"\0" * 100,
              '{"Job":{"ID":1e999}}', '{"Job":{"Priority":99999999999999999999}}']
    for agent in agents():
        for body in bodies:
            r = agent.put("/v1/jobs", body)
            check(r.status in (400, 500) and r.text.strip(), agent, body[:60], r.status, r.text[:100])
            check(r.status == 400 or body in ('{"Job": {"ID": "\\ud800"}}',) or "error" in r.text.lower(), agent, body[:60], r.status, r.text[:200])
    unharmed()


def wrong_types_name_the_field():
    for agent in agents():
        for value in (3, "x", True, [1], {"a": 1}, 1.5, -1, 2 ** 70):
            for key in ("ID", "Priority", "Datacenters", "TaskGroups", "Meta", "Type", "Periodic", "Constraints"):
                r = agent.put("/v1/jobs", {"Job": dict(idle(new_id("wrong")), **{key: value})})
                check(r.status in (200, 400, 500), agent, key, value, r.status)
                wrong = not isinstance(value, (str if key in ("ID", "Type") else int if key == "Priority" else dict if key in ("Meta", "Periodic") else list))
                if wrong:
                    check(r.status == 400 and key in r.text, agent, key, value, r.status, r.text[:200])
    unharmed()


def random_changes_of_a_job_do_no_harm():
    base = json.dumps({"Job": job(new_id("fuzz"), Datacenters=["dc-nowhere"])}).encode()
    for i in range(300):
        data = bytearray(base)
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(data))
            kind = rng.randrange(3)
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at:at + rng.randint(1, 20)]
            else:
                data[at:at] = rng.choice((b"[", b"{", b'"', b"null", b"-1", b"1e400", b"\\u0000", b",", b"9" * 30))
        r = rng.choice(lab().agents).put("/v1/jobs", bytes(data))
        check(r.status in (200, 400, 413, 500), r.status, r.text[:200])
    unharmed()


def bodies_too_large_are_refused_and_the_connection_is_not_needed():
    for agent in agents():
        big = b'{"Job":{"ID":"big","Meta":{"a":"' + b"x" * (64 << 20) + b'"}}}'
        try:
            r = agent.put("/v1/jobs", big, timeout=60)
            check(r.status in (400, 413), agent, r.status, r.text[:200])
        except (ConnectionError, http.client.HTTPException):
            pass  # Closed while it was being sent.
        got = raw(agent, b"PUT /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n{", shut=False)
        check(b" 413 " in got or b" 400 " in got, agent, got[:200])
    unharmed()


def unknown_ids_and_paths_are_told():
    nothing = "00000000-0000-0000-0000-000000000000"
    for agent in agents():
        for path, status in (("/v1/job/none", 404), ("/v1/allocation/" + nothing, 404), ("/v1/evaluation/" + nothing, 404), ("/v1/node/" + nothing, 404),
                             ("/v1/deployment/" + nothing, 404), ("/v1/allocation/x", 500), ("/v1/nothing", 404), ("/v2/jobs", 404), ("/", None),
                             ("/v1/job/%00", None), ("/v1/job/" + "a" * 6000, None), ("/v1/jobs?index=x", 400), ("/v1/jobs?wait=x&index=1", 400),
                             ("/v1/jobs?index=-1", 400), ("/v1/jobs?index=99999999999999999999", 400), ("/v1/allocations?prefix=%zz", None),
                             ("/v1/jobs?" + "&".join("a%d=1" % i for i in range(500)), None), ("/v1/jobs?filter=((((", 400)):
            r = agent.get(path, timeout=60)
            check(r.status == status if status else 200 <= r.status < 600, agent, path[:60], "want", status, "got", r.status, r.text[:200])
    unharmed()


# ---- HTTP connections

def nonsense_instead_of_http_is_refused():
    for agent in agents():
        for data in (b"\0" * 200, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(200), b"GET / HTTP/9.9\r\n\r\n",
                     b"PUT /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}{}{}",
                     b"PUT /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                     b"PUT /v1/jobs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
                     b"GET /v1/jobs HTTP/1.1\r\n" + b"A: " + b"x" * 1000000 + b"\r\n\r\n", b"GET " + b"/" * 1000000 + b" HTTP/1.1\r\n\r\n",
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            got = raw(agent, data)
            check(got == b"" or got.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5", b"<Connection", b"<BrokenPipe", b"<OSError")), agent, data[:40], got[:200])
    unharmed()


def half_open_and_silent_connections_do_not_keep_others_out():
    for agent in agents():
        held = []
        for i in range(40):
            s = socket.create_connection((agent.ip, 4646), 60)
            s.sendall((b"", b"GET /v1/jo", b"PUT /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")[i % 3])
            held.append(s)
        check(agent.read("/v1/status/leader"))
        extra = [socket.create_connection((agent.ip, 4646), 60) for _ in range(40)]  # More than one address may have.
        time.sleep(0.3)
        for s in held + extra:
            s.close()
        until(5, "%s answers again" % agent, agent.try_read, "/v1/status/leader")
    unharmed()


def slow_senders_do_not_slow_the_others():
    slow = [socket.create_connection((s.ip, 4646), 60) for s in lab().servers for _ in range(10)]
    head = b"PUT /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    times = []
    for at in range(60):
        for s in slow:
            try:
                s.sendall(head[at % len(head):at % len(head) + 1])
            except OSError:
                pass
        began = time.monotonic()
        rng.choice(lab().servers).read("/v1/jobs?prefix=kept-")
        times.append(time.monotonic() - began)
    for s in slow:
        s.close()
    times.sort()
    quick(times[len(times) // 2], 0.2, "reads", times[-5:])
    unharmed()


def clients_that_leave_in_the_middle_are_forgotten():
    for agent in agents():
        for i in range(60):
            s = socket.create_connection((agent.ip, 4646), 60)
            body = json.dumps({"Job": idle(new_id("gone"))}).encode()
            s.sendall((b"GET /v1/jobs?index=999999&wait=60s HTTP/1.1\r\nHost: a\r\n\r\n",
                       b"PUT /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
                       b"PUT /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:-5])[i % 3])
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", rng.randint(0, 1), 0))
            s.close()
    unharmed()


# ---- the RPC and serf ports

def garbage_on_rpc_and_serf_ports_is_cut_off():
    for server in lab().servers:
        for port in (4647, 4648):
            for _ in range(12):
                data = bytes([rng.randrange(256)]) + os.urandom(rng.choice((0, 1, 7, 100, 5000)))
                raw(server, data)
            for first in range(16):
                raw(server, bytes([first]) + b"\xff" * 64)
                raw(server, bytes([first]) + struct.pack("<IQ", 0xffffffff, 1) + b"\xdd\xff\xff\xff\xff" * 50)
                raw(server, bytes([first]) + struct.pack(">IQ", 0x7fffffff, 1) + b"\xc1" * 50)
            raw(server, b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\n\r\n")
    unharmed()


def silent_and_many_rpc_connections_are_bounded():
    server = lab().leader()
    held = []
    for port in (4647, 4648):
        for i in range(70):
            try:
                s = socket.create_connection((server.ip, port), 60)
                if i % 2:
                    s.sendall(bytes([i % 8]))
                held.append(s)
            except OSError:
                pass
    check(lab().servers[0].read("/v1/status/leader"))
    lab().followers()[0].register(idle(lab().kept[1], Priority=66))
    began, cut = time.monotonic(), 0
    while held and time.monotonic() - began < 120:
        for s in list(held):
            s.settimeout(0.05)
            try:
                closed = s.recv(100) == b""
            except socket.timeout:
                closed = False
            except OSError:
                closed = True
            if closed:
                cut += 1
                s.close()
                held.remove(s)
    left = len(held)
    quick(time.monotonic() - began, 15, "cutting those that said nothing:", left)
    for s in held:
        s.close()
    same(left, 0, "connections that said nothing, still open after two minutes")
    unharmed()


def everything_ends_clean():
    l = lab()
    unharmed()
    l.same_state()
    for a in l.agents:
        a.end(seconds=30)
        check("LeakSanitizer" not in a.log(), a, "leaks:", a.dir)
    no_sanitizer_reports(l)
    LAB.clear()
    l.close(False)


def finish(failed):
    if LAB:
        LAB[0].close(True)


atexit.register(finish, True)

if __name__ == "__main__":
    run(malformed_json_is_400_with_a_reason, wrong_types_name_the_field, random_changes_of_a_job_do_no_harm,
        bodies_too_large_are_refused_and_the_connection_is_not_needed, unknown_ids_and_paths_are_told, nonsense_instead_of_http_is_refused,
        half_open_and_silent_connections_do_not_keep_others_out, slow_senders_do_not_slow_the_others, clients_that_leave_in_the_middle_are_forgotten,
        garbage_on_rpc_and_serf_ports_is_cut_off, silent_and_many_rpc_connections_are_bounded, everything_ends_clean)
