#!/usr/bin/env python3
"""What is secret stays so: the agents' files are theirs alone whatever the umask is, and secrets that are planted wherever one can
stand are found in no log, however verbose, no metric, no error, no answer of the API that is not made for them, and in no
program's arguments."""
import base64, http.server, os, stat, struct

os.environ["LAB_LOG_LEVEL"] = "TRACE"
os.umask(0)  # The agents inherit it.

from lab import *

LAB, SEEN = [], []
MARK = "pl4nt" + "%06x" % rng.randrange(1 << 24)
ENCRYPT = base64.b64encode(b"%-32s" % MARK.encode()).decode()  # A key for RPC.
PASSWORD, QUERY, HEADER, VARIABLE, TOKEN, BEARER, DOCKER, BROKEN, GIT = (MARK + c for c in "abcdefghi")


class Source(http.server.BaseHTTPRequestHandler):
    """Where artifacts come from: it refuses, but notes who asks, and what programs run meanwhile are called with."""
    asked = []

    def do_GET(self):
        Source.asked.append((self.path, self.headers.get("Authorization"), self.headers.get("X-Key"), command_lines()))
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


def command_lines():
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found.append(open("/proc/%s/cmdline" % name, "rb").read())
            except OSError:
                pass
    return found


def lab():
    if not LAB:
        made = Lab(1, 1, config='raft {\n  snapshot_size = "256KiB"\n  trailing_size = "64KiB"\n}\nenable_debug = true\n'
                         'server {\n  encrypt = "%s"\n}\n' % ENCRYPT)
        at_end.remove(made.close)
        LAB.append(made)
        made.source = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Source)
        threading.Thread(target=made.source.serve_forever, daemon=True).start()
    return LAB[0]


def server():
    return lab().servers[0]


def client():
    return lab().clients[0]


def work():
    """Something of everything that is written down somewhere."""
    l = lab()
    server().put("/v1/var/" + "nomad/jobs/secretive", {"Path": "nomad/jobs/secretive", "Items": {"k": VARIABLE}}).want(200)
    client().ask("POST", "/v1/client/metadata", {"Meta": {"kept": "yes"}}).want(200)
    templates = [{"EmbeddedTmpl": '{{ with nomadVar "nomad/jobs/secretive" }}{{ .k }}{{ end }}', "DestPath": "secrets/k"}]
    server().register(job("secretive", tasks=[dict(task(), Templates=templates)]))
    l.running("secretive", 1)
    for i in range(8):
        server().register(idle(new_id("large"), Meta={"m": "%d" % i + "x" * 200000}))


# ---- files

def wide_files(top, skip=()):
    """Files and directories that others than their owner may use."""
    found = []
    for folder, folders, files in os.walk(top):
        folders[:] = [f for f in folders if os.path.join(folder, f) not in skip]
        for path in [folder] + [os.path.join(folder, f) for f in files]:
            st = os.lstat(path)
            if stat.S_IMODE(st.st_mode) & 0o077 and not stat.S_ISLNK(st.st_mode):
                found.append((oct(stat.S_IMODE(st.st_mode)), path))
    return found


def what_agents_keep_is_theirs_alone():
    work()
    until(10, "a snapshot", lambda: [f for f in os.listdir(server().dir + "/data/server/raft") if f.startswith("snapshot")])
    same(wide_files(server().dir + "/data"), [])
    data = client().dir + "/data"
    same(wide_files(data + "/client"), [])
    check(os.path.exists(data + "/client/node-meta"), os.listdir(data + "/client"))
    same({name: oct(stat.S_IMODE(os.stat(os.path.join(data, name)).st_mode)) for name in ("", "alloc")}, {"": "0o711", "alloc": "0o711"})


def what_is_private_in_an_allocation_is_0700():
    alloc = lab().allocs("secretive")[0]["ID"]
    top = "%s/data/alloc/%s/t" % (client().dir, alloc)
    same(oct(stat.S_IMODE(os.stat(top + "/private").st_mode)), "0o700")
    same(oct(stat.S_IMODE(os.stat(top + "/secrets").st_mode)), "0o700")
    same(open(top + "/secrets/k").read(), VARIABLE)
    for path in wide_files(top + "/private"):
        check(stat.S_ISSOCK(os.lstat(path[1]).st_mode), path)  # In a directory that is 0700.
    may = int(re.search(r"CapEff:\s*([0-9a-f]+)", open("/proc/self/status").read()).group(1), 16)
    if os.geteuid() == 0 and may >> 21 & 1:  # CAP_SYS_ADMIN: it may mount.
        mounts = [line.split() for line in open("/proc/mounts") if top + "/secrets " in line]
        same([m[2] for m in mounts], ["tmpfs"])


def directories_of_before_lose_what_is_too_much():
    """As the agents of before have made them."""
    for a, names in ((server(), ("server", "server/raft")), (client(), ("client", "client/allocs"))):
        a.end()
        for name in names:
            os.chmod(os.path.join(a.dir, "data", name), 0o755)
        a.start()
    lab().wait()
    same(wide_files(server().dir + "/data", skip=(server().dir + "/data/server/raft",)), [])
    same(oct(stat.S_IMODE(os.stat(client().dir + "/data/client").st_mode)), "0o700")
    os.chmod(server().dir + "/data/server/raft", 0o700)
    os.chmod(client().dir + "/data/client/allocs", 0o700)


# ---- secrets

def plant():
    """Secrets in all that is given to the agents."""
    port = lab().source.server_port
    for header in ({"X-Nomad-Token": TOKEN}, {"Authorization": "Bearer " + BEARER}):
        for a in lab().agents:
            a.get("/v1/jobs", headers=header)
            a.get("/v1/nothing-there", headers=header)
    artifacts = [{"GetterSource": "http://user:%s@127.0.0.1:%d/file?token=%s" % (PASSWORD, port, QUERY), "RelativeDest": "local/a",
                  "GetterHeaders": {"X-Key": HEADER}}]
    server().register(job("fetches", tasks=[dict(task(), Artifacts=artifacts)]))
    server().register(job("clones", tasks=[dict(task(), Artifacts=[{"GetterSource": "git::http://user:%s@127.0.0.1:%d/repo.git" % (GIT, port),
                                                                    "RelativeDest": "local/b"}])]))
    config = {"image": "127.0.0.1:1/none:1", "auth": {"username": "u", "password": DOCKER, "server_address": "127.0.0.1:1"}}
    server().register(job("pulls", tasks=[dict(task(), Driver="docker", Config=config)]))
    for method, path, body in (("PUT", "/v1/var/broken", '{"Path":"broken","Items":{"k":%s}}' % BROKEN),
                               ("PUT", "/v1/var/broken", '{"Path":"broken","Items":["%s"]}' % BROKEN),
                               ("PUT", "/v1/var/broken?cas=" + "x", '{"Path":"other","Items":{"k":"%s"}}' % BROKEN),
                               ("PUT", "/v1/jobs", '{"Job":{"ID":"j","ConsulToken":3,"VaultToken":"%s"' % BROKEN)):
        for a in lab().agents:
            answer = a.ask(method, path, body)
            check(400 <= answer.status < 500, answer.status, answer.text)
            SEEN.append((path, answer.text))


def events_of(job_id, kind):
    return [e for a in lab().allocs(job_id) for e in ((a["TaskStates"] or {}).get("t") or {}).get("Events") or [] if e["Type"] == kind]


def without_jobs(value):
    """What a job file says is in the job: who may read the job may read that."""
    if isinstance(value, dict):
        return {k: without_jobs(v) for k, v in value.items() if k != "Job"}
    return [without_jobs(v) for v in value] if isinstance(value, list) else value


def look_everywhere():
    node = lab().node(client())["ID"]
    paths = ["/v1/agent/self", "/v1/metrics", "/v1/metrics?format=prometheus", "/v1/agent/host", "/v1/agent/members", "/v1/agent/pprof/cmdline",
             "/v1/nodes?resources=true", "/v1/node/" + node, "/v1/node/%s/allocations" % node, "/v1/allocations?task_states=true",
             "/v1/evaluations", "/v1/deployments", "/v1/services", "/v1/jobs?meta=true", "/v1/vars", "/v1/operator/raft/configuration",
             "/v1/operator/scheduler/configuration", "/v1/operator/keyring/keys", "/.well-known/jwks.json", "/v1/namespaces",
             "/v1/client/stats?node_id=" + node, "/v1/client/metadata?node_id=" + node, "/v1/agent/servers", "/v1/agent/schedulers"]
    for name in ("fetches", "clones", "pulls", "secretive"):
        paths += ["/v1/job/%s/%s" % (name, part) for part in ("summary", "evaluations", "deployments", "allocations")]
        paths += ["/v1/allocation/" + a["ID"] for a in lab().allocs(name)]
    for a in lab().agents:
        for path in paths:
            text = a.get(path).text
            SEEN.append(("%s %s" % (a, path), json.dumps(without_jobs(json.loads(text))) if text[:1] in "{[" else text))
        SEEN.append(("%s's log" % a, a.log()))
    SEEN.append(("%s stream" % a, stream("/v1/event/stream?topic=Node&topic=Allocation&topic=Evaluation&topic=Deployment&index=1")))
    return node


def stream(path, agent=None, token=""):
    """What it says in a second; its lines without jobs."""
    got = b""
    with socket.create_connection(((agent or server()).ip, 4646), 60) as s:
        s.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\nX-Nomad-Token: %s\r\n\r\n" % (path.encode(), token.encode()))
        try:
            while True:
                s.settimeout(1 if b"\n{" in got else 60)
                part = s.recv(1 << 16)
                if not part:
                    break
                got += part
        except socket.timeout:
            pass
    lines = [line for line in got.decode(errors="replace").splitlines() if line.startswith("{")]
    check(lines, "no events:", got[:300])
    return "\n".join(json.dumps(without_jobs(json.loads(line))) for line in lines if len(line) > 2)


def secrets_are_found_nowhere():
    monitor = []
    plain = threading.Thread(target=lambda: monitor.append(watch_monitor()), daemon=True)
    plain.start()
    time.sleep(0.2)
    plant()
    until(20, lambda: "the artifacts fail: %s" % lab().allocs("fetches"), lambda: events_of("fetches", "Failed Artifact Download"))
    until(20, lambda: "the clone fails: %s" % lab().allocs("clones"), lambda: events_of("clones", "Failed Artifact Download"))
    node = look_everywhere()
    plain.join(120)
    SEEN.append(("the monitor", monitor[0]))
    check(len(monitor[0]) > 1000, "the monitor says nothing", monitor)
    ids = {a.name: open(a.dir + "/data/client/secret-id").read().strip() for a in lab().clients}
    check(all(len(i) >= 32 for i in ids.values()), ids)
    coded = [base64.b64encode(b"user:" + s.encode()).decode().rstrip("=") for s in (PASSWORD, GIT)]
    for where, text in SEEN:
        for secret in [MARK, ENCRYPT.rstrip("=")] + list(ids.values()) + coded:
            at = text.find(secret)
            check(at < 0, "in", where, ":", text[max(0, at - 200):at + 50])
    same(server().read("/v1/node/" + node)["SecretID"], "")


def watch_monitor():
    """Its lines as plain text, for as long as the planting takes."""
    got, end = b"", time.monotonic() + 6
    with socket.create_connection((client().ip, 4646), 60) as s:
        s.sendall(b"GET /v1/agent/monitor?log_level=trace&plain=true HTTP/1.1\r\nHost: x\r\n\r\n")
        s.settimeout(0.5)
        while time.monotonic() < end:
            try:
                got += s.recv(1 << 16)
            except socket.timeout:
                pass
    return got.decode(errors="replace")


def sources_get_their_secrets_and_nobody_else():
    fetched = [a for a in Source.asked if a[0].startswith("/file")]
    cloned = [a for a in Source.asked if a[0].startswith("/repo.git")]
    basic = ["Basic " + base64.b64encode(b"user:" + s.encode()).decode() for s in (PASSWORD, GIT)]
    check(fetched and fetched[0][0] == "/file?token=" + QUERY and fetched[0][2] == HEADER, fetched[:1])
    same(fetched[0][1], basic[0])
    if not shutil.which("git"):
        raise Skip("git is not installed")
    same(cloned[0][1], basic[1])
    lines = [line for a in Source.asked for line in a[3]]
    check(any(line.startswith(b"git\0") for line in lines), "git was not seen while it ran")
    for line in lines:
        check(MARK.encode() not in line and basic[1].split()[1].encode() not in line, "in a program's arguments:", line)


def first_token(agent):
    try:
        r = agent.ask("POST", "/v1/acl/bootstrap")
        return r.status == 200 and r.json
    except (OSError, http.client.HTTPException):
        return None


def tokens_of_access_control_are_told_once():
    made = Lab(1, 1, config="acl {\n  enabled = true\n}\n", wait=False)
    s, c = made.servers[0], made.clients[0]
    first = until(10, "the first token", first_token, s)
    auth = {"X-Nomad-Token": first["SecretID"]}
    until(10, "the node", lambda: s.get("/v1/nodes", headers=auth).json)
    s.ask("PUT", "/v1/acl/policy/p", {"Name": "p", "Rules": 'namespace "default" { policy = "write" }'}, headers=auth).want(200)
    token = s.ask("PUT", "/v1/acl/token", {"Name": "t", "Type": "client", "Policies": ["p"]}, headers=auth).want(200).json
    once = s.ask("PUT", "/v1/acl/token/onetime", None, headers=auth).json["OneTimeToken"]
    secrets = {"the first token": first["SecretID"], "a token": token["SecretID"], "a one-time token": once["OneTimeSecretID"]}
    check(len({len(v) for v in secrets.values()}) == 1 and all(secrets.values()), secrets)
    seen, wrong = [], TOKEN
    for a in (s, c):
        for header in ({"X-Nomad-Token": token["SecretID"]}, {"Authorization": "Bearer " + first["SecretID"]}, {"X-Nomad-Token": wrong}):
            for path in ("/v1/jobs", "/v1/nodes", "/v1/agent/self", "/v1/client/stats", "/v1/metrics", "/v1/acl/policies", "/v1/nothing"):
                seen.append(("%s %s" % (a, path), a.get(path, headers=header).text))
        for path in ("/v1/acl/tokens", "/v1/acl/policies", "/v1/acl/roles", "/v1/agent/self", "/v1/agent/host", "/v1/metrics",
                     "/v1/metrics?format=prometheus", "/v1/agent/members", "/v1/nodes", "/v1/operator/raft/configuration"):
            seen.append(("%s %s" % (a, path), a.get(path, headers=auth).text))
    seen.append(("a search", s.ask("POST", "/v1/search", {"Prefix": token["SecretID"][:8], "Context": "all"}, headers=auth).text))
    seen.append(("the events", stream("/v1/event/stream?topic=*&index=1", s, first["SecretID"])))
    seen += [("%s's log" % a, a.log()) for a in (s, c)]
    seen += [("a program's arguments", line.decode(errors="replace")) for line in command_lines()]
    for where, text in seen:
        for what, secret in list(secrets.items()) + [("a wrong token", wrong)]:
            at = text.find(secret)
            check(at < 0, what, "in", where, ":", text[max(0, at - 200):at + 50])
    check(token["AccessorID"] in seen[-1][1] or any(token["AccessorID"] in text for _, text in seen), "no list has the token at all")


def everything_ends_clean():
    lab().source.shutdown()
    lab().close(False)


if __name__ == "__main__":
    run(what_agents_keep_is_theirs_alone, what_is_private_in_an_allocation_is_0700, directories_of_before_lose_what_is_too_much,
        secrets_are_found_nowhere, sources_get_their_secrets_and_nobody_else,
        tokens_of_access_control_are_told_once, everything_ends_clean)
