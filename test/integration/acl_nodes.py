#!/usr/bin/env python3
"""Who may ask what of nodes, with access control: the same whichever agent is asked; and what nodes may do themselves."""
import base64, glob, http.client, socket, subprocess

from lab import *
from websocket import Refused, WebSocket

BED = {"failed": False}
MARK = "5ec4e7"  # All secrets of the tests end so; and they are in no file that the agents write.

RULES = {
    "reader": 'namespace "default" { capabilities = ["read-job", "list-jobs", "read-fs"] }',
    "logs": 'namespace "default" { capabilities = ["read-job", "read-logs"] }',
    "life": 'namespace "default" { capabilities = ["alloc-lifecycle"] }',
    "submit": 'namespace "default" { capabilities = ["submit-job"] }',
    "exec": 'namespace "default" { capabilities = ["alloc-exec"] }',
    "machine": 'namespace "default" { capabilities = ["alloc-exec", "alloc-node-exec"] }',
    "far": 'namespace "far" { policy = "write" }',
    "node-r": 'node { policy = "read" }',
    "node-w": 'node { policy = "write" }',
    "agent-r": 'agent { policy = "read" }',
}


def note(failed):
    BED["failed"] |= failed


def ask(agent, method, path, token, body=None, timeout=60):
    return agent.ask(method, path, body, headers={"X-Nomad-Token": token} if token else {}, timeout=timeout)


def make_token(server, root, name, **more):
    body = dict({"Name": name, "Type": "client", "Policies": [name]}, **more)
    return ask(server, "POST", "/v1/acl/token", root, body).want(200).json["SecretID"]


def start():
    """Three servers, two nodes; a task on each node; a token of each kind."""
    if "lab" in BED:
        at_end.append(note)
        return BED
    BED["lab"] = lab = Lab(3, 2, config='acl {\n  enabled = true\n  token_ttl = "2s"\n  policy_ttl = "2s"\n}\n', wait=False)
    at_end.remove(lab.close)
    atexit.register(lambda: lab.close(BED["failed"]))
    at_end.append(note)
    first = lab.servers[0]
    leader = until(20, lambda: "a leader: " + lab.tails(), lambda: first.try_read("/v1/status/leader") or None)
    BED["leader"] = [s for s in lab.servers if leader.startswith(s.ip + ":")][0]
    BED["follower"] = [s for s in lab.servers if s is not BED["leader"]][0]
    root = until(10, "the first token", lambda: (lambda a: a.json["SecretID"] if a.status == 200 else None)(first.put("/v1/acl/bootstrap")))
    BED["root"] = root
    for name, rules in RULES.items():
        ask(first, "POST", "/v1/acl/policy/" + name, root, {"Name": name, "Rules": rules}).want(200)
    BED["tokens"] = {name: make_token(first, root, name) for name in RULES}
    BED["tokens"].update({"root": root, "": "", "unknown": "00000000-0000-4000-8000-00000000aaaa"})
    nodes = until(20, "two nodes", lambda: (lambda a: a.json if a.status == 200 and len(a.json) == 2 and
                                            all(n["Status"] == "ready" for n in a.json) else None)(ask(first, "GET", "/v1/nodes", root)))
    BED["nodes"] = {n["Name"]: n["ID"] for n in nodes}
    BED["job"] = new_id("web")
    body = job(BED["job"], count=2, tasks=[task("/bin/sh", ("-c", "echo hello; exec sleep 1000"),
                                               Actions=[{"Name": "greet", "Command": "/bin/echo", "Args": ["hi"]}])],
               group={"Constraints": [{"Operand": "distinct_hosts", "RTarget": "true"}]})
    ask(first, "PUT", "/v1/jobs", root, {"Job": body}).want(200)

    def look():
        found = ask(first, "GET", "/v1/job/%s/allocations" % BED["job"], root).json
        return found if len(found) == 2 and all(a["ClientStatus"] == "running" for a in found) else None
    BED["allocs"] = {a["NodeName"]: a["ID"] for a in until(20, lambda: "two allocations: " + lab.tails(), look)}
    return BED


# Method, path, body, tokens that may ("root" may always).
ROUTES = (
    ("GET", "/v1/client/fs/ls/ALLOC", None, ("reader",)),
    ("GET", "/v1/client/fs/stat/ALLOC?path=/", None, ("reader",)),
    ("GET", "/v1/client/fs/cat/ALLOC?path=/alloc/logs/t.stdout.0", None, ("reader",)),
    ("GET", "/v1/client/fs/readat/ALLOC?path=/alloc/logs/t.stdout.0&offset=0&limit=4", None, ("reader",)),
    ("GET", "/v1/client/fs/stream/ALLOC?path=/alloc/logs/t.stdout.0&follow=false", None, ("reader",)),
    ("GET", "/v1/client/fs/logs/ALLOC?task=t&type=stdout&plain=true", None, ("reader", "logs")),
    ("GET", "/v1/client/allocation/ALLOC/stats", None, ("reader", "logs")),
    ("GET", "/v1/client/allocation/ALLOC/checks", None, ("reader", "logs")),
    ("GET", "/v1/client/allocation/ALLOC/snapshot", None, ("reader",)),
    ("PUT", "/v1/client/allocation/ALLOC/signal", {"Signal": "SIGCONT", "Task": "t"}, ("life",)),
    ("PUT", "/v1/client/allocation/ALLOC/restart", {"TaskName": "nope"}, ("life",)),
    ("GET", "/v1/client/allocation/ALLOC/gc", None, ("submit",)),
    ("GET", "/v1/client/stats?node_id=NODE", None, ("node-r", "node-w")),
    ("PUT", "/v1/client/gc?node_id=NODE", None, ("node-w",)),
    ("GET", "/v1/client/metadata?node_id=NODE", None, ("node-r", "node-w")),
    ("POST", "/v1/client/metadata?node_id=NODE", {"Meta": {"a": "b"}}, ("node-w",)),
    ("GET", "/v1/agent/host?node_id=NODE", None, ("agent-r",)),
    ("GET", "/v1/agent/pprof/cmdline?node_id=NODE", None, ()),
)


def entries(bed):
    lab = bed["lab"]
    return (("the node", lab.clients[0]), ("another node", lab.clients[1]), ("a follower", bed["follower"]), ("the leader", bed["leader"]))


def each_route_wants_the_same_whichever_agent_is_asked():
    bed = start()
    target = bed["lab"].clients[0]
    for method, path, body, may in ROUTES:
        path = path.replace("ALLOC", bed["allocs"][target.name]).replace("NODE", bed["nodes"][target.name])
        for entry, agent in entries(bed):
            for name, token in bed["tokens"].items():
                got = ask(agent, method, path, token, body)
                denied = got.status == 403 and got.text in ("Permission denied", "ACL token not found")
                check(denied == (name not in may and name != "root"), entry, method, path, "with", repr(name), ":", got.status, got.text[:200])
                if name == "unknown":
                    same(got.text, "ACL token not found", entry + path)


def the_agents_own_routes_want_tokens_on_nodes_too():
    bed = start()
    node = bed["lab"].clients[0]
    for method, path, may in (("GET", "/v1/agent/self", ("agent-r",)), ("GET", "/v1/agent/servers", ("agent-r",)),
                              ("PUT", "/v1/agent/servers?address=127.0.0.1:1", ()), ("GET", "/v1/agent/monitor?plain=true", ("agent-r",))):
        for name, token in bed["tokens"].items():
            if path.startswith("/v1/agent/monitor") and (name in may or name == "root"):
                continue  # It does not end.
            got = ask(node, method, path, token)
            same(got.status == 403, name not in may and name != "root", " ".join((method, path, name, got.text[:200])))
    for path in ("/v1/agent/health", "/v1/metrics", "/v1/status/leader"):
        ask(node, "GET", path, "").want(200)


class Session(WebSocket):
    def __init__(self, agent, path, header="", first=None):
        path += "?task=t&group=g&tty=false" + ("&ws_handshake=true" if first is not None else "")
        path += "&action=greet" if "/action" in path else "&command=" + quote(json.dumps(["/bin/echo", "hi"]))
        WebSocket.__init__(self, agent.ip, path,
                           headers={"X-Nomad-Token": header} if header else {})
        if first is not None:
            self.send({"version": 1, "auth_token": first})

    def output(self):
        out = b""
        while True:
            m = self.receive()
            if m is None:
                return out
            out += base64.b64decode((m.get("stdout") or {}).get("data") or "")


def commands_want_their_right_by_header_or_by_the_first_message():
    bed = start()
    target = bed["lab"].clients[0]
    paths = "/v1/client/allocation/%s/exec" % bed["allocs"][target.name], "/v1/job/%s/action" % bed["job"]
    for (entry, agent), path in itertools.product(entries(bed), paths):
        for name, token in bed["tokens"].items():
            may = name in ("machine", "root")
            try:
                s = Session(agent, path, header=token)
                check(may and s.output() == b"hi\n", entry, name)
                s.close()
            except Refused as e:
                check(not may and e.status == 403, entry, name, e)
            s = Session(agent, path, first=token)
            out = s.output()
            same((out, s.closed[0]), (b"hi\n", 1000) if may else (b"", 3403), "%s, %s: %s" % (entry, name, s.closed))
            if not may:
                same(s.closed[1], "ACL token not found" if name == "unknown" else "Permission denied", "%s, %s" % (entry, name))
            s.close()


def a_token_that_is_deleted_is_of_no_use_soon():
    bed = start()
    target = bed["lab"].clients[0]
    made = ask(bed["leader"], "POST", "/v1/acl/token", bed["root"], {"Name": "gone", "Type": "client", "Policies": ["node-r"]}).want(200).json
    path = "/v1/client/stats?node_id=" + bed["nodes"][target.name]
    for _, agent in entries(bed):
        ask(agent, "GET", path, made["SecretID"]).want(200)
    ask(bed["follower"], "DELETE", "/v1/acl/token/" + made["AccessorID"], bed["root"]).want(200)
    for entry, agent in entries(bed):
        until(5, "%s denies it" % entry, lambda: ask(agent, "GET", path, made["SecretID"]).status == 403)


def listen(agent, path, token):
    """An answer that does not end."""
    c = agent.connection(30)
    c.request("GET", path, headers={"X-Nomad-Token": token})
    r = c.getresponse()
    same(r.status, 200)
    return c, r


def ended(stream):
    """Reads to its end; False when it goes on for ten seconds."""
    end = time.monotonic() + 10
    stream[0].sock.settimeout(10)
    try:
        while stream[1].readline():
            if time.monotonic() > end:
                return False
    except socket.timeout:
        return False
    except (OSError, http.client.HTTPException):
        pass
    return True


def what_goes_on_ends_with_its_token():
    bed = start()
    target = bed["lab"].clients[0]
    alloc, node = bed["allocs"][target.name], bed["nodes"][target.name]
    made = ask(bed["leader"], "POST", "/v1/acl/token", bed["root"],
               {"Name": "ends", "Type": "client", "Policies": ["reader", "machine", "agent-r"]}).want(200).json
    token = made["SecretID"]
    streams, sessions = [], []
    for entry, agent in entries(bed):
        for path in ("/v1/client/fs/logs/%s?task=t&type=stdout&plain=true&follow=true" % alloc, "/v1/agent/monitor?node_id=" + node):
            streams.append((entry + path, listen(agent, path, token)))
        sessions.append((entry, WebSocket(agent.ip, "/v1/client/allocation/%s/exec?task=t&tty=false&command=%s" %
                                          (alloc, quote(json.dumps(["/bin/sh", "-c", "echo on; exec sleep 1000"]))), headers={"X-Nomad-Token": token})))
        check(sessions[-1][1].receive(), entry)
    for agent in (bed["follower"], bed["leader"]):
        streams.append(("a server's monitor", listen(agent, "/v1/agent/monitor?server_id=" + agent.name, token)))
    time.sleep(5)  # Longer than token_ttl.
    ask(bed["leader"], "DELETE", "/v1/acl/token/" + made["AccessorID"], bed["root"]).want(200)
    for what, stream in streams:
        check(ended(stream), what)
    for entry, session in sessions:
        session.sock.settimeout(10)
        try:
            while session.receive() is not None:
                pass
        except OSError as e:
            check(not isinstance(e, socket.timeout), entry)


def a_node_knows_tokens_while_servers_are_away():
    bed = start()
    target, token = bed["lab"].clients[0], bed["tokens"]["node-r"]
    ask(target, "GET", "/v1/client/stats", token).want(200)
    for s in bed["lab"].servers:
        s.signal(signal.SIGSTOP)
    try:
        end = time.monotonic() + 5  # Longer than token_ttl.
        while time.monotonic() < end:
            ask(target, "GET", "/v1/client/stats", token, timeout=60).want(200)
            time.sleep(0.5)
        check(ask(target, "GET", "/v1/client/stats", bed["tokens"]["node-w"][::-1], timeout=60).status in (403, 500), "a token nobody knows")
    finally:
        for s in bed["lab"].servers:
            s.signal(signal.SIGCONT)
    until(20, "servers are back", lambda: ask(target, "GET", "/v1/client/stats", bed["tokens"]["node-w"], timeout=60).status == 200)


def data_moves_to_another_node():
    """By a token that the servers give to the other node; others need one of their own."""
    bed = start()
    lab, root, name = bed["lab"], bed["root"], new_id("data")
    body = job(name, tasks=[task("/bin/sh", ("-c", "echo $NOMAD_ALLOC_ID >>$NOMAD_ALLOC_DIR/data/all; exec sleep 1000"))],
               group={"EphemeralDisk": {"SizeMB": 20, "Sticky": True, "Migrate": True},
                      "Migrate": {"MaxParallel": 1, "HealthCheck": "task_states", "MinHealthyTime": SECOND // 10, "HealthyDeadline": 60 * SECOND},
                      "Update": {"MaxParallel": 1, "HealthCheck": "task_states", "MinHealthyTime": SECOND // 10,
                                 "HealthyDeadline": 60 * SECOND, "ProgressDeadline": 90 * SECOND}})
    ask(lab.servers[0], "PUT", "/v1/jobs", root, {"Job": body}).want(200)

    def running(other_than=None):
        found = ask(lab.servers[0], "GET", "/v1/job/%s/allocations" % name, root).json
        return next((a for a in found if a["ClientStatus"] == "running" and a["DesiredStatus"] == "run" and a["ID"] != other_than), None)
    first = until(20, lambda: "it runs: " + lab.tails(), running)
    ask(lab.servers[0], "PUT", "/v1/node/%s/drain" % first["NodeID"], root, {"DrainSpec": {"Deadline": 60 * SECOND}}).want(200)
    second = until(30, lambda: "it runs elsewhere: " + lab.tails(), running, first["ID"])
    check(second["NodeID"] != first["NodeID"], "the same node")
    read = lambda: ask(lab.servers[0], "GET", "/v1/client/fs/cat/%s?path=alloc/data/all" % second["ID"], root).text.split()
    until(10, lambda: "both have written: %s %s" % (read(), lab.tails()), lambda: read() == [first["ID"], second["ID"]])
    ask(lab.servers[0], "PUT", "/v1/node/%s/drain" % first["NodeID"], root, {"DrainSpec": None, "MarkEligible": True}).want(200)


def templates_read_what_is_their_jobs():
    bed = start()
    lab, root, name = bed["lab"], bed["root"], new_id("tmpl")
    for path, text in (("nomad/jobs/" + name, "own"), ("nomad/jobs", "all"), ("nomad/jobs/%s/g/t" % name, "task"),
                       ("nomad/jobs/other", "other"), ("nomad/jobs/" + bed["job"], "neighbour"), ("shared/x", "shared"), ("secret/y", "secret")):
        ask(lab.servers[0], "PUT", "/v1/var/" + path, root, {"Path": path, "Items": {"v": text}}).want(200)
    ask(lab.servers[0], "POST", "/v1/acl/policy/for-" + name, root,
        {"Name": "for-" + name, "JobACL": {"Namespace": "default", "JobID": name},
         "Rules": 'namespace "default" { variables { path "shared/*" { capabilities = ["read"] } } }'}).want(200)
    read = '{{ with nomadVar "%s" }}{{ .v }}{{ end }} '
    good = "".join(read % p for p in ("nomad/jobs/" + name, "nomad/jobs", "nomad/jobs/%s/g/t" % name, "shared/x"))
    good += '{{ range nomadVarList "" }}{{ .Path }},{{ end }}'

    def with_template(job_id, text):
        return job(job_id, tasks=[task(Templates=[{"EmbeddedTmpl": text, "DestPath": "local/out", "ChangeMode": "noop"}])])
    ask(lab.servers[0], "PUT", "/v1/jobs", root, {"Job": with_template(name, good)}).want(200)

    def allocs(job_id):
        return ask(lab.servers[0], "GET", "/v1/job/%s/allocations" % job_id, root).json
    until(20, lambda: "it runs: " + lab.tails(), lambda: any(a["ClientStatus"] == "running" for a in allocs(name)))
    out = ask(lab.servers[0], "GET", "/v1/client/fs/cat/%s?path=t/local/out" % allocs(name)[0]["ID"], root).text
    same(out, "own all task shared " + "".join(p + "," for p in sorted(("nomad/jobs", "nomad/jobs/" + name, "nomad/jobs/%s/g/t" % name, "shared/x"))))
    for path in ("nomad/jobs/other", "nomad/jobs/" + bed["job"], "secret/y"):  # The second is of a job on each node.
        bad = new_id("bad")
        ask(lab.servers[0], "PUT", "/v1/jobs", root, {"Job": with_template(bad, read % path)}).want(200)
        until(10, "an allocation", allocs, bad)
        time.sleep(2)
        same([a["ClientStatus"] for a in allocs(bad)], ["pending"], path)
        ask(lab.servers[0], "DELETE", "/v1/job/%s?purge=true" % bad, root).want(200)


def secrets_are_in_nothing_that_agents_write():
    bed = start()
    lab = bed["lab"]
    secrets = [t for name, t in bed["tokens"].items() if t and name != "unknown"]
    nodes = []
    for c in lab.clients:
        for path in glob.glob(c.dir + "/data/client/*"):
            if os.path.isfile(path) and "secret" in os.path.basename(path):
                same(os.stat(path).st_mode & 0o077, 0, path)
                nodes.append(open(path).read().strip())
    same(len(nodes), 2)
    told = {}
    for a in lab.agents:
        told["the log of " + a.name] = a.log()
        told["arguments of " + a.name] = open("/proc/%d/cmdline" % a.pid).read() + open("/proc/%d/environ" % a.pid).read()
        for path in ("/v1/agent/self", "/v1/metrics", "/v1/metrics?format=prometheus", "/v1/agent/host", "/v1/nodes",
                     "/v1/node/" + list(bed["nodes"].values())[0], "/v1/acl/tokens", "/v1/acl/policies", "/v1/operator/raft/configuration",
                     "/v1/agent/members"):
            told["%s of %s" % (path, a.name)] = ask(a, "GET", path, bed["root"]).text
    # What a task sees, and what is kept for it.
    for c in lab.clients:
        for folder, _, names in os.walk(c.dir + "/data"):
            for n in names:
                path = os.path.join(folder, n)
                if os.path.isfile(path) and not (os.path.dirname(path).endswith("/client") and "secret" in n):
                    told[path] = open(path, errors="replace").read()
    for where, text in told.items():
        for s in secrets + nodes:
            check(s not in text, "a secret is in", where)


run(each_route_wants_the_same_whichever_agent_is_asked, the_agents_own_routes_want_tokens_on_nodes_too,
    commands_want_their_right_by_header_or_by_the_first_message, a_token_that_is_deleted_is_of_no_use_soon,
    what_goes_on_ends_with_its_token, a_node_knows_tokens_while_servers_are_away, data_moves_to_another_node, templates_read_what_is_their_jobs,
    secrets_are_in_nothing_that_agents_write)
