#!/usr/bin/env python3
"""Access control of real servers: the first token, policies, tokens that end, roles, one-time tokens; what fails over, what a
disk keeps, and what a cluster without access control gets when it is switched on."""
import glob, stat
from lab import *

# Tokens that end may live for a second, and are collected a second later.
SHORT = 'acl {\n  enabled = true\n  token_min_expiration_ttl = "1s"\n}\nserver {\n  acl_token_gc_threshold = "1s"\n}\n'
DENIED = "Permission denied"


def policy(lab, name, rules, **more):
    lab.leader().put("/v1/acl/policy/" + name, dict({"Name": name, "Rules": rules}, **more)).want(200)


def token(server, policies=(), roles=(), **more):
    body = dict({"Name": "t", "Type": "client", "Policies": list(policies), "Roles": [{"Name": r} for r in roles]}, **more)
    return server.put("/v1/acl/token", body).want(200).json


def status(server, path, token):
    try:
        return server.get(path, token=token).status
    except (OSError, http.client.HTTPException):
        return None  # It is starting.


def on_all(lab, path, want, token):
    """Every server answers so, at last."""
    for s in lab.live():
        until(10, lambda: "%s answers %s with %d and not %s" % (s, path, want, status(s, path, token)),
              lambda: status(s, path, token) == want)


def the_first_token_is_made_once_and_again_by_a_file():
    lab = Lab(1, acl=True, config=SHORT)
    s = lab.servers[0]
    same(stat.S_IMODE(os.stat(os.path.join(lab.dir, "token")).st_mode), 0o600)
    me = s.read("/v1/acl/token/self")
    same((me["Type"], me["Global"], me["SecretID"]), ("management", True, lab.token))
    s.put("/v1/acl/bootstrap", token="").want(400, "ACL bootstrap already done (reset index: %d)" % me["CreateIndex"])
    path = os.path.join(s.dir, "data", "server", "acl-bootstrap-reset")
    open(path, "w").write("%d\n" % (me["CreateIndex"] + 1))
    s.put("/v1/acl/bootstrap", token="").want(400, "Invalid bootstrap reset index (specified %d, reset index: %d)"
                                              % (me["CreateIndex"] + 1, me["CreateIndex"]))
    open(path, "w").write("nonsense")
    s.put("/v1/acl/bootstrap", token="").want(400, "ACL bootstrap already done")
    open(path, "w").write("%d\n" % me["CreateIndex"])
    new = s.put("/v1/acl/bootstrap", token="").want(200).json
    check(new["SecretID"] != lab.token and new["Type"] == "management", new)
    s.put("/v1/acl/bootstrap", token="").want(400, "Invalid bootstrap reset index")
    os.unlink(path)
    same(len(s.get("/v1/acl/tokens", token=new["SecretID"]).want(200).json), 2)
    s.get("/v1/acl/tokens").want(200)  # The old one is still good.


def policies_decide_on_every_server_and_go_at_once():
    lab = Lab(3, acl=True)
    policy(lab, "read", 'namespace "default" { policy = "read" }')
    policy(lab, "submit", 'namespace "default" { policy = "write" }')
    for s in lab.servers:
        s.get("/v1/jobs", token="").want(403, DENIED)
        s.get("/v1/jobs", token="11111111-1111-4111-8111-111111111111").want(403, "ACL token not found")
        s.get("/v1/jobs", token=lab.token[:-1]).want(403, "ACL token not found")
        s.get("/v1/jobs", headers={"Authorization": "Bearer " + lab.token}, token="").want(200)
    reader = token(lab.followers()[0], ["read"])
    on_all(lab, "/v1/jobs", 200, reader["SecretID"])
    on_all(lab, "/v1/nodes", 403, reader["SecretID"])
    for s in lab.servers:
        s.put("/v1/jobs", {"Job": idle()}, token=reader["SecretID"]).want(403, DENIED)
        s.put("/v1/acl/token", {"Type": "management"}, token=reader["SecretID"]).want(403, DENIED)
        s.get("/v1/acl/tokens", token=reader["SecretID"]).want(403, DENIED)
    # What it may do follows its policies at once.
    target = "/v1/acl/token/" + reader["AccessorID"]
    lab.servers[0].put(target, {"Type": "client", "Policies": ["submit"]}).want(200)
    until(5, "the new policy is in force", lambda: all(
        s.put("/v1/jobs", {"Job": idle("once")}, token=reader["SecretID"]).status == 200 for s in lab.servers))
    lab.leader().ask("DELETE", "/v1/acl/policy/submit").want(200)
    on_all(lab, "/v1/jobs", 403, reader["SecretID"])
    # Everybody may do what the anonymous policy says.
    policy(lab, "anonymous", 'namespace "default" { policy = "read" }')
    on_all(lab, "/v1/jobs", 200, "")
    lab.leader().put("/v1/jobs", {"Job": idle()}, token="").want(403, DENIED)
    lab.leader().ask("DELETE", target).want(200)
    for s in lab.servers:
        until(5, "the token is gone", lambda: s.get("/v1/jobs", token=reader["SecretID"]).status == 403)
        s.get("/v1/jobs", token=reader["SecretID"]).want(403, "ACL token not found")
    lab.same_state()


def tokens_end_on_time_and_are_collected():
    lab = Lab(3, acl=True, config=SHORT)
    policy(lab, "read", 'namespace "default" { policy = "read" }')
    lab.leader().put("/v1/acl/token", {"Type": "client", "Policies": ["read"], "ExpirationTTL": "100ms"}).want(400, "less than 1s")
    began = time.monotonic()
    short = token(lab.leader(), ["read"], ExpirationTTL="4s")
    made = time.monotonic()  # It has ended four seconds after this, at the latest.
    long = token(lab.leader(), ["read"], ExpirationTTL="1h")
    while [status(s, "/v1/jobs", short["SecretID"]) for s in lab.servers] != [200] * 3:
        if time.monotonic() - began > 3.8:
            raise Slow("it has not been in force everywhere before it ended")
    time.sleep(max(0, made + 4.05 - time.monotonic()))
    for s in lab.servers:
        r = s.get("/v1/jobs", token=short["SecretID"])
        check(r.status == 403 and ("expired" in r.text or "not found" in r.text), r.status, r.text)
    path = "/v1/acl/token/" + short["AccessorID"]
    until(10, "it is collected", lambda: lab.leader().get(path).status == 404)
    on_all(lab, "/v1/jobs", 200, long["SecretID"])
    lab.same_state()


def roles_and_one_time_tokens_grant_what_they_stand_for():
    lab = Lab(3, acl=True)
    policy(lab, "nodes", 'node { policy = "read" }')
    role = lab.followers()[0].put("/v1/acl/role", {"Name": "ops", "Policies": [{"Name": "nodes"}]}).want(200).json
    t = token(lab.followers()[1], roles=["ops"])
    on_all(lab, "/v1/nodes", 200, t["SecretID"])
    once = lab.followers()[0].put("/v1/acl/token/onetime", token=t["SecretID"]).want(200).json["OneTimeToken"]
    found = lab.followers()[1].put("/v1/acl/token/onetime/exchange", {"OneTimeSecretID": once["OneTimeSecretID"]}, token="").want(200)
    same(found.json["Token"]["SecretID"], t["SecretID"])
    for s in lab.servers:
        s.put("/v1/acl/token/onetime/exchange", {"OneTimeSecretID": once["OneTimeSecretID"]}, token="").want(403, DENIED)
    lab.leader().ask("DELETE", "/v1/acl/role/" + role["ID"]).want(200)
    on_all(lab, "/v1/nodes", 403, t["SecretID"])
    same(lab.leader().read("/v1/acl/token/" + t["AccessorID"])["Roles"], None)


def what_was_granted_outlives_leaders_and_all_servers():
    lab = Lab(3, acl=True, config="raft {\n  snapshot_size = \"64KiB\"\n  trailing_size = \"16KiB\"\n}\n")
    policy(lab, "read", 'namespace "default" { policy = "read" }')
    tokens = [token(s, ["read"]) for s in lab.servers]
    first = lab.leader()
    first.kill()
    lab.leader(other_than=first)
    for t in tokens:
        on_all(lab, "/v1/jobs", 200, t["SecretID"])
    tokens.append(token(lab.leader(), ["read"]))
    first.start()
    lab.leader()
    for i in range(150):  # So that there is a snapshot to be loaded from.
        lab.leader().put("/v1/acl/policy/big", {"Name": "big", "Description": str(i), "Rules": "# " + "x" * 2000}).want(200)
    for s in lab.servers:
        os.kill(s.pid, signal.SIGKILL)
    for s in lab.servers:
        until(5, "it ends", lambda: not s.pid)
        s.start()
    lab.leader()
    check(glob.glob(lab.dir + "/s*/data/server/raft/snap*"), "no snapshot", os.listdir(lab.servers[0].dir + "/data/server/raft"))
    for t in tokens:
        on_all(lab, "/v1/jobs", 200, t["SecretID"])
    on_all(lab, "/v1/nodes", 403, tokens[0]["SecretID"])
    lab.same_state()


def access_control_can_be_switched_on_where_there_is_data():
    lab = Lab(1)
    s = lab.servers[0]
    s.register(idle("kept"))
    s.put("/v1/acl/bootstrap").want(400, "ACL support disabled")
    s.end()
    path = os.path.join(s.dir, "agent.hcl")
    text = open(path).read()
    open(path, "w").write(text + "acl {\n  enabled = true\n}\n")
    s.start()
    until(10, "it leads", lambda: s.try_read("/v1/status/leader"))
    lab.token = until(10, "the first token", first_token, s)
    s.get("/v1/job/kept", token="").want(403, DENIED)
    same(s.read("/v1/job/kept")["ID"], "kept")
    s.end()
    open(path, "w").write(text)
    s.start()
    until(10, "it leads", lambda: s.try_read("/v1/status/leader"))
    until(10, "it answers everybody", lambda: s.get("/v1/job/kept", token="").status == 200)


def first_token(server):
    r = server.put("/v1/acl/bootstrap", token="")
    return r.status == 200 and r.json["SecretID"]


def secrets_stay_out_of_logs():
    lab = Lab(1, 1, acl=True, config='log_level = "TRACE"\n')
    s = lab.servers[0]
    policy(lab, "read", 'namespace "default" { policy = "read" }')
    t = token(s, ["read"])
    s.get("/v1/jobs", token=t["SecretID"]).want(200)
    wrong = "99999999-9999-4999-8999-999999999999"
    s.get("/v1/jobs", token=wrong).want(403)
    s.get("/v1/acl/token/nonsense").want(404)
    told = [s.get(p).text for p in ("/v1/agent/self", "/v1/metrics", "/v1/acl/tokens", "/v1/agent/members")]
    for secret in (lab.token, t["SecretID"], wrong):
        for agent in lab.agents:
            check(secret not in agent.log(), "a secret is in the log of", agent)
            check(secret.encode() not in open("/proc/%d/cmdline" % agent.pid, "rb").read(), "a secret is an argument")
        for text in told:
            check(secret not in text, "a secret is in an answer", text[:200])


def the_command_line_takes_a_token():
    lab = Lab(1, acl=True)
    env = lab.environment(lab.servers[0])

    def drover(*words, env=env, stdin=None):
        return subprocess.run([DROVER, *words], env=env, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
    done = drover("acl", "policy", "apply", "read", "-", stdin=b'namespace "default" { policy = "read" }')
    same(done.returncode, 0, done.stdout)
    done = drover("acl", "token", "create", "-policy", "read", "-ttl", "1h", "-json")
    t = json.loads(done.stdout)
    with_token = dict(env, NOMAD_TOKEN=t["SecretID"])
    same(drover("job", "status", env=with_token).returncode, 0)
    done = drover("node", "status", env=with_token)
    check(done.returncode == 1 and DENIED.encode() in done.stdout, done.stdout)
    without = {k: v for k, v in env.items() if k != "NOMAD_TOKEN"}
    check(b"403" in drover("job", "status", env=without).stdout)
    same(drover("job", "status", "-token", t["SecretID"], env=without).returncode, 0)
    check(t["AccessorID"].encode() in drover("acl", "token", "self", env=with_token).stdout)


run(the_first_token_is_made_once_and_again_by_a_file, policies_decide_on_every_server_and_go_at_once,
    tokens_end_on_time_and_are_collected, roles_and_one_time_tokens_grant_what_they_stand_for,
    what_was_granted_outlives_leaders_and_all_servers, access_control_can_be_switched_on_where_there_is_data,
    secrets_stay_out_of_logs, the_command_line_takes_a_token)
