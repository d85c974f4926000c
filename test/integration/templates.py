#!/usr/bin/env python3
"""Variables, and templates that are made of variables and services: on real agents, with leaders that go."""
from lab import *

# A task that writes down its signals, so that one can see what it was told, and when it began.
WATCHER = ('trap "echo hup >>$NOMAD_ALLOC_DIR/told" HUP; echo start >>$NOMAD_ALLOC_DIR/told; '
           'while :; do sleep 0.05; done')


def template(text, **more):
    return dict({"EmbeddedTmpl": text, "DestPath": "local/out", "ChangeMode": "signal", "ChangeSignal": "SIGHUP", "Splay": 1}, **more)


def watcher(*templates, **more):
    return dict(task("/bin/sh", ("-c", WATCHER)), Templates=list(templates), **more)


def put(lab, path, items, query=""):
    return lab.leader().put("/v1/var/%s%s" % (path, query), {"Items": items})


def cat(lab, alloc, path):
    return lab.leader().get("/v1/client/fs/cat/%s?path=%s" % (alloc, path)).body.decode()


def told(lab, alloc):
    return cat(lab, alloc, "alloc/told").split()


def events(lab, alloc, kind):
    states = lab.alloc(alloc).get("TaskStates") or {}
    return [e for s in states.values() for e in s["Events"] if e["Type"] == kind]


def out_is(lab, alloc, text, seconds=10):
    until(seconds, lambda: "%r, not %r" % (cat(lab, alloc, "t/local/out"), text), lambda: cat(lab, alloc, "t/local/out") == text)


# ---- variables

def variables_outlive_leaders_and_restarts():
    lab = Lab(3)
    made = put(lab, "app/one", {"k": "v1"}).want(200).json
    put(lab, "app/one", {"k": "v2"}, "?cas=%d" % made["ModifyIndex"]).want(200)
    same(put(lab, "app/one", {"k": "v3"}, "?cas=%d" % made["ModifyIndex"]).want(409).json["Items"], {"k": "v2"})
    for s in lab.servers:
        same(s.read("/v1/var/app/one")["Items"], {"k": "v2"})
    first = lab.leader()
    first.kill()
    lab.leader(other_than=first)
    same(lab.servers_answer("/v1/var/app/one")["Items"], {"k": "v2"})
    put(lab, "app/two", {"secret": "verysecrettext"}).want(200)
    first.start()
    lab.same_state()
    for s in lab.servers:
        s.end(seconds=20)
    for s in lab.servers:
        s.start()
    lab.wait()
    same([v["Path"] for v in lab.servers_answer("/v1/vars?prefix=app/")], ["app/one", "app/two"])
    same(lab.servers_answer("/v1/var/app/two")["Items"], {"secret": "verysecrettext"})
    same(on_disk(lab, b"verysecrettext"), [], "in the clear")
    keys = lab.servers_answer("/.well-known/jwks.json")["keys"]
    same([k["alg"] for k in keys], ["EdDSA"])


def on_disk(lab, text):
    """Files of the lab in which a text stands."""
    found = []
    for folder, _, names in os.walk(lab.dir):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as f:
                    found += [path] if text in f.read() else []
    return found


def root_keys_are_replaced_and_backups_keep_what_they_sealed():
    lab = Lab(3)
    for i in range(40):
        put(lab, "v/%d" % i, {"k": str(i)}).want(200)
    old = lab.servers_answer("/v1/operator/keyring/keys")[0]["KeyID"]
    backup = lab.leader().get("/v1/operator/snapshot").want(200).body
    lab.leader().put("/v1/operator/keyring/rotate?full=true").want(200)
    until(10, "the old key is inactive", lambda: sorted(k["State"] for k in lab.servers_answer("/v1/operator/keyring/keys")) == ["active", "inactive"])
    lab.leader().ask("DELETE", "/v1/operator/keyring/key/" + old).want(200)
    for i in range(40):
        same(lab.servers_answer("/v1/var/v/%d" % i)["Items"], {"k": str(i)})
    lab.leader().ask("DELETE", "/v1/var/v/7").want(204)
    lab.leader().put("/v1/operator/snapshot", backup, timeout=30).want(200)
    same(lab.servers_answer("/v1/var/v/7")["Items"], {"k": "7"})
    lab.same_state()


def root_keys_are_wrapped_by_a_key_of_the_operators():
    key = os.path.join(os.environ.get("TMPDIR", "/tmp"), new_id("wrapping"))
    at_end.append(lambda failed: os.remove(key))
    with open(key, "w") as f:
        f.write("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=\n")
    lab = Lab(1, config='server {\n  wrapping_key_file = "%s"\n}\n' % key)
    server = lab.servers[0]
    put(lab, "a", {"k": "v"}).want(200)
    server.end()
    with open(key, "w") as f:
        f.write("short\n")
    try:
        server.start()
    except Failure:
        pass  # It has ended so soon that this was seen.
    until(10, "it says what is wrong", lambda: "must hold 32 bytes" in server.log())
    with open(key, "w") as f:
        f.write("A" * 43 + "=\n")
    server.start()
    lab.wait()
    lab.leader()
    server.get("/v1/var/a").want(500, "server.wrapping_key_file")


# ---- templates of variables

def a_task_waits_for_its_variables_and_is_told_of_changes():
    lab = Lab(3, 1)
    name = new_id("waits")
    text = "{{ with nomadVar \"nomad/jobs/%s\" }}user={{ .user }}{{ end }}\n" % name
    lab.leader().register(job(name, tasks=[watcher(template(text))]))
    alloc = until(10, "placed", lambda: lab.allocs(name))[0]["ID"]
    missing = until(10, "what is missing is told", lambda: events(lab, alloc, "Template"))
    same(missing[0]["DisplayMessage"], "Missing: nomad.var.block(nomad/jobs/%s@default.global)" % name)
    same(lab.alloc(alloc)["ClientStatus"], "pending")
    put(lab, "nomad/jobs/" + name, {"user": "one"}).want(200)
    lab.running(name, 1)
    out_is(lab, alloc, "user=one\n")
    until(5, "it begins", lambda: told(lab, alloc) == ["start"])
    # A change, and one that makes no difference.
    put(lab, "nomad/jobs/" + name, {"user": "two"}).want(200)
    out_is(lab, alloc, "user=two\n")
    until(5, "the signal", lambda: told(lab, alloc) == ["start", "hup"])
    put(lab, "nomad/jobs/" + name, {"user": "two", "other": "x"}).want(200)
    # With another leader, and then another server that the node is connected to.
    first = lab.leader()
    first.kill()
    lab.leader(other_than=first)
    put(lab, "nomad/jobs/" + name, {"user": "three"}).want(200)
    out_is(lab, alloc, "user=three\n", 20)
    until(5, "one more signal", lambda: told(lab, alloc) == ["start", "hup", "hup"])
    until(5, lambda: "two signals are told: %s" % events(lab, alloc, "Signaling"), lambda: len(events(lab, alloc, "Signaling")) == 2)
    same([(e["DisplayMessage"], e["TaskSignal"], e["Details"]) for e in events(lab, alloc, "Signaling")],
         [("Template re-rendered", "hangup", {"task_signal": "hangup"})] * 2)
    first.start()
    # What goes leaves the file as it was.
    lab.leader().ask("DELETE", "/v1/var/nomad/jobs/" + name).want(204)
    time.sleep(0.5)
    same(cat(lab, alloc, "t/local/out"), "user=three\n")


def a_template_that_is_environment_restarts_its_task():
    lab = Lab(1, 1)
    name = new_id("env")
    put(lab, "nomad/jobs", {"color": "red"}).want(200)
    script = 'echo "$COLOR" >>$NOMAD_ALLOC_DIR/told; sleep 1000'
    text = "COLOR={{ with nomadVar \"nomad/jobs\" }}{{ .color }}{{ end }}\n"
    t = dict(task("/bin/sh", ("-c", script)), Templates=[template(text, Envvars=True, ChangeMode="restart", DestPath="secrets/env")])
    lab.leader().register(job(name, tasks=[t]))
    alloc = lab.running(name, 1)[0]["ID"]
    until(5, "it begins", lambda: told(lab, alloc) == ["red"])
    put(lab, "nomad/jobs", {"color": "blue"}).want(200)
    until(20, "it begins again", lambda: told(lab, alloc) == ["red", "blue"])
    same([e["RestartReason"] for e in events(lab, alloc, "Restart Signaled")], ["Template with change_mode restart re-rendered"])


def an_agent_that_was_away_makes_up_for_changes():
    lab = Lab(1, 1)
    name = new_id("away")
    put(lab, "nomad/jobs/" + name, {"v": "1"}).want(200)
    text = "{{ with nomadVar \"nomad/jobs/%s\" }}{{ .v }}{{ end }}" % name
    once = template(text, DestPath="local/once", Once=True, ChangeMode="noop")
    lab.leader().register(job(name, tasks=[watcher(template(text), once)]))
    alloc = lab.running(name, 1)[0]["ID"]
    out_is(lab, alloc, "1")
    lab.clients[0].kill()
    put(lab, "nomad/jobs/" + name, {"v": "2"}).want(200)
    lab.clients[0].start()
    lab.wait()
    out_is(lab, alloc, "2")
    until(5, "the signal", lambda: told(lab, alloc) == ["start", "hup"])
    put(lab, "nomad/jobs/" + name, {"v": "3"}).want(200)
    out_is(lab, alloc, "3")
    same(cat(lab, alloc, "t/local/once"), "1")


# ---- templates of services

def a_template_follows_a_service():
    lab = Lab(3, 2)
    back, front = new_id("back"), new_id("front")
    group = {"Networks": [{"DynamicPorts": [{"Label": "http"}]}], "Services": [{"Name": back, "Provider": "nomad", "PortLabel": "http"}]}
    text = "{{ range nomadService \"%s\" }}{{ .Address }}:{{ .Port }}\n{{ end }}" % back
    lab.leader().register(job(front, tasks=[watcher(template(text))]))
    alloc = lab.running(front, 1)[0]["ID"]
    out_is(lab, alloc, "")

    def places():
        return "".join("%s:%d\n" % (r["Address"], r["Port"]) for r in lab.servers_answer("/v1/service/" + back))
    for count in (2, 3, 1):
        lab.leader().register(job(back, count=count, group=group))
        until(20, "%d registered" % count, lambda: places().count("\n") == count)
        out_is(lab, alloc, places())
    until(5, lambda: "a signal for each change: %s" % told(lab, alloc), lambda: told(lab, alloc).count("hup") >= 3)
    lab.leader().ask("DELETE", "/v1/job/" + back).want(200)
    out_is(lab, alloc, "")


run(variables_outlive_leaders_and_restarts,
    root_keys_are_replaced_and_backups_keep_what_they_sealed,
    root_keys_are_wrapped_by_a_key_of_the_operators,
    a_task_waits_for_its_variables_and_is_told_of_changes,
    a_template_that_is_environment_restarts_its_task,
    an_agent_that_was_away_makes_up_for_changes,
    a_template_follows_a_service)
