#!/usr/bin/env python3
"""Answers that do not end: the event stream, and an agent's log."""
import base64
import http.client
import threading

from lab import *


class Stream:
    """Reads lines of JSON as they come."""

    def __init__(self, agent, path):
        self.conn = agent.connection(30)
        self.conn.request("GET", path)
        self.answer = self.conn.getresponse()
        same(self.answer.status, 200, path)
        self.lines, self.ended = [], None
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        try:
            for line in self.answer:
                self.lines.append(json.loads(line))
            self.ended = "whole"
        except Exception as e:
            self.ended = repr(e)

    def events(self):
        return [e for line in list(self.lines) for e in line.get("Events") or []]

    def close(self):
        self.conn.sock.close()


def every_server_tells_what_happens():
    lab = Lab(3, 1)
    name = new_id("web")
    streams = [Stream(s, "/v1/event/stream?topic=Job:%s&topic=Allocation:%s&topic=Node" % (name, name)) for s in lab.servers]
    behind = Stream(lab.clients[0], "/v1/event/stream?topic=Evaluation:" + name)
    lab.leader().register(job(name))
    lab.running(name, 1)

    def kinds(stream):
        return [(e["Topic"], e["Type"]) for e in stream.events()]

    for s in streams:
        until(10, lambda: repr(kinds(s)), lambda: ("Job", "JobRegistered") in kinds(s) and ("Allocation", "AllocationUpdated") in kinds(s))
        check(("Allocation", "PlanResult") in kinds(s), kinds(s))
        indexes = [line["Index"] for line in s.lines if line]
        same(indexes, sorted(indexes))
        for e in s.events():
            if e["Topic"] == "Allocation":
                same((e["Payload"]["Allocation"]["JobID"], e["Payload"]["Allocation"]["Job"], e["FilterKeys"][0]), (name, None, name))
            if e["Topic"] == "Node":
                same(e["Payload"]["Node"]["SecretID"], "")
    until(10, "evaluations, by way of a client", lambda: {e["Topic"] for e in behind.events()} == {"Evaluation"})
    # All servers tell the same of the same index.
    registered = [[e for e in s.events() if e["Type"] == "JobRegistered" and e["Topic"] == "Job"][0] for s in streams]
    same(registered[1], registered[0])
    same(registered[2], registered[0])
    # It goes on without a leader, and ends with its server.
    lab.leader().kill()
    rest = [s for s in streams if s.ended is None]
    until(5, "one stream ends", lambda: sum(s.ended is None for s in streams) == 2)
    rest = [s for s in streams if s.ended is None]
    lab.leader().ask("DELETE", "/v1/job/%s?purge=true" % name).want(200)
    for s in rest:
        until(10, lambda: repr(kinds(s)), lambda: [e for e in s.events() if e["Payload"].get("Deleted")])
    for s in streams + [behind]:
        s.close()
    no_sanitizer_reports(lab)


def a_reader_that_does_not_read_is_cut_and_holds_nobody():
    lab = Lab(1, 0)
    server = lab.leader()
    slow = server.connection(30)
    slow.request("GET", "/v1/event/stream?topic=Job")
    quick = Stream(server, "/v1/event/stream?topic=Job")
    big = idle(new_id("big"), Meta={"text": "x" * 60000})
    for i in range(400):
        server.register(dict(big, Priority=1 + i % 99))
    until(10, "the quick one has all", lambda: len(quick.events()) == 400)
    answer, rest = slow.getresponse(), b""
    try:
        while len(rest) < 1 << 28:
            piece = answer.read1(1 << 20)
            if not piece:
                break
            rest += piece
        ended = "whole"
    except http.client.IncompleteRead as e:
        ended = "cut"
    check(b"fallen behind" in rest[-300:], rest[-300:])
    quick.close()
    no_sanitizer_reports(lab)


def log_text(stream):
    return b"".join(base64.b64decode(line["Data"]) for line in list(stream.lines) if "Data" in line).decode()


def await_paths(lab, node):
    """A node may be ready a moment before all servers know where it is connected."""
    for agent in lab.servers + lab.clients:
        until(5, "a path from %s to the node" % agent, lambda: agent.get("/v1/agent/host?node_id=" + node).status == 200)


def an_agents_log_is_followed_from_anywhere():
    lab = Lab(3, 1)
    leader, other = lab.leader(), lab.followers()[0]
    client = lab.clients[0]
    node = lab.node(lab.clients[0])["ID"]
    await_paths(lab, node)
    ids = {m["Name"].split(".")[0]: m["Tags"]["id"] for m in other.read("/v1/agent/members")["Members"]}
    # (asked, parameters, whose log it is)
    cases = [(other, "", other), (other, "&server_id=leader", leader), (other, "&server_id=" + ids[leader.name], leader),
             (leader, "&server_id=%s.global" % other.name, other), (other, "&node_id=" + node, client), (client, "", client),
             (client, "&server_id=leader", leader)]
    streams = [Stream(asked, "/v1/agent/monitor?log_level=debug" + more) for asked, more, _ in cases]
    for i, (s, (_, _, whose)) in enumerate(zip(streams, cases)):
        until(5, lambda: "case %d: %s" % (i, log_text(s)),  # It may not have begun to listen.
              lambda: whose.ask("GET", "/v1/agent/self?mark=%d" % i) and "/v1/agent/self?mark=%d" % i in log_text(s))
        check("[DEBUG] http: request complete: method=GET" in log_text(s) or "http: request complete" in log_text(s), log_text(s))
    # Nobody asks for debugging any more: neither the log nor the others have it.
    info = Stream(other, "/v1/agent/monitor")
    other.ask("GET", "/v1/agent/self?mark=info")
    until(5, "a heartbeat", lambda: info.lines)
    check("mark=info" not in log_text(info) and "mark=" not in other.log(), log_text(info))
    for s in streams + [info]:
        s.close()
    plain = other.connection(10)
    plain.request("GET", "/v1/agent/monitor?plain=true&log_level=debug&log_json=true")
    answer = plain.getresponse()
    same(answer.getheader("Content-Type"), "text/plain; charset=utf-8")
    other.ask("GET", "/v1/agent/self?mark=plain")
    check(json.loads(answer.readline())["@level"] == "debug")
    plain.sock.close()
    no_sanitizer_reports(lab)
    other.get("/v1/agent/monitor?log_level=loud").want(400, "Unknown log level: loud")
    other.get("/v1/agent/monitor?server_id=nobody").want(400, "unknown nomad server nobody")
    other.get("/v1/agent/monitor?server_id=leader&node_id=" + node).want(400, "Cannot target node and server simultaneously")
    client.get("/v1/agent/monitor?log_level=loud").want(400, "Unknown log level: loud")


def agents_tell_of_their_machines():
    lab = Lab(2, 1)
    node = lab.node(lab.clients[0])["ID"]
    server, client = lab.followers()[0], lab.clients[0]
    await_paths(lab, node)
    for asked, more in ((server, ""), (server, "?server_id=leader"), (server, "?node_id=" + node), (client, "")):
        found = asked.read("/v1/agent/host" + more)
        check(found["HostData"]["OS"].startswith("Linux ") and found["HostData"]["Disk"]["/"]["Size"] > 0, found)
        check("127.0.0.1" in [n["Address"] for n in found["HostData"]["Network"]], found)
        same(found["HostData"]["Environment"], {})
        if "node_id" in more or asked is client:
            same(found["AgentID"], node)
    server.get("/v1/agent/pprof/cmdline").want(403, "enable_debug")
    for asked, more in ((server, "?node_id=" + node), (client, ""), (client, "?node_id=" + node)):
        stats = asked.read("/v1/client/stats" + more)
        check(0 < stats["Memory"]["Available"] <= stats["Memory"]["Total"], stats)
        same(len(stats["CPU"]), os.cpu_count())
        check(stats["AllocDirStats"]["Size"] > 0 and stats["Uptime"] > 0, stats)
        for cpu in stats["CPU"]:
            check(abs(cpu["User"] + cpu["System"] + cpu["Idle"] - 100) < 0.01, cpu)
    server.get("/v1/client/stats").want(400, "node_id")


run(an_agents_log_is_followed_from_anywhere, agents_tell_of_their_machines, every_server_tells_what_happens, a_reader_that_does_not_read_is_cut_and_holds_nobody)
