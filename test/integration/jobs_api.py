#!/usr/bin/env python3
"""The Jobs API from the outside: what is documented of it, and what is easy to get wrong. Writes go to each of three servers in turn."""
import base64
from lab import *

NS = 10 ** 9
turn = itertools.count()
shared = {}


def lab():
    """One cluster for the cases that leave it as it was."""
    if not shared:
        shared["lab"] = Lab(3, 1)
        at_end.remove(shared["lab"].close)
        atexit.register(shared["lab"].close, False)
    return shared["lab"]


def ask(method, path, body=None, **kw):
    """By the servers in turn: each request is passed on two times out of three."""
    return lab().servers[next(turn) % 3].ask(method, path, body, **kw)


def get(path):
    return ask("GET", path).want(200)


def read(path):
    return get(path).json


def refused(method, path, body, status, text):
    answer = ask(method, path, body).want(status)
    same(answer.text, text, "%s %s %s" % (method, path, str(body)[:200]))
    same(answer.headers["Content-Type"], "text/plain; charset=utf-8", path)


def register(job_id=None, **more):
    made = idle(job_id, **more)
    ask("PUT", "/v1/jobs", {"Job": made}).want(200)
    return made["ID"]


def at(job_id, tail=""):
    return "/v1/job/" + quote(job_id, safe="") + tail


def ids(path):
    return [j["ID"] for j in read(path)]


def b64(data):
    return base64.b64encode(data).decode()


# ---- dispatch

def what_a_dispatch_brings_is_checked_against_its_parent():
    both = register(ParameterizedJob={"Payload": "optional", "MetaRequired": ["a", "b"], "MetaOptional": ["c"]})
    path, full = at(both, "/dispatch"), {"a": "1", "b": "2"}
    refused("POST", path, None, 400, "Request body is empty")
    refused("POST", path, {"JobID": "other", "Meta": full}, 400, "Job ID does not match")
    refused("POST", path, {}, 500, "Dispatch did not provide required meta keys: [a b]")
    refused("PUT", path, {"Meta": {"a": "1"}}, 500, "Dispatch did not provide required meta keys: [b]")
    refused("POST", path, {"Meta": {"x": "1", "y": "2"}}, 500, "Dispatch request included unpermitted metadata keys: [x y]")
    refused("POST", path, {"Meta": dict(full, A="3")}, 500, "Dispatch request included unpermitted metadata keys: [A]")
    ask("POST", path, {"Meta": {"a": 1, "b": "2"}}).want(400, "Meta[a]", "must be a string")
    ask("POST", path, {"Meta": full, "Payload": "A28C3=="}).want(400, "illegal base64 data")
    for priority in (-1, 101):
        refused("POST", path, {"Meta": full, "Priority": priority}, 500, "job priority must be between [1, 100]")
    ask("POST", path, {"Meta": full, "IdPrefixTemplate": "with space"}).want(400, "IdPrefixTemplate")
    refused("GET", path, None, 405, "Invalid method")
    refused("POST", at(new_id("none"), "/dispatch"), {}, 500, "parameterized job not found")
    refused("POST", path + "?namespace=other", {"Meta": full}, 500, "parameterized job not found")
    plain = register()
    refused("POST", at(plain, "/dispatch"), {}, 500, 'Specified job "%s" is not a parameterized job' % plain)
    same(ids("/v1/jobs?prefix=%s/" % both), [])
    for kind, given, text in (("required", b"", "Payload is not provided but required by parameterized job"),
                              ("forbidden", b"x", "Payload provided but forbidden by parameterized job")):
        refused("POST", at(register(ParameterizedJob={"Payload": kind}), "/dispatch"), {"Payload": b64(given)}, 500, text)


def children_have_what_the_dispatch_says():
    parent = register(ParameterizedJob={"Payload": "optional", "MetaOptional": ["m"]}, Meta={"m": "parent", "kept": "yes"}, Priority=40)
    path = at(parent, "/dispatch")
    answer = ask("POST", path, {"Meta": {"m": "child"}, "Payload": b64(b"\0raw"), "Priority": 77, "IdPrefixTemplate": "pre"}).want(200)
    made = answer.json
    same(made["Index"], answer.index)
    check(re.fullmatch(re.escape(parent) + r"/dispatch-pre-\d{10}-[0-9a-f]{8}", made["DispatchedJobID"]), made)
    child = read(at(made["DispatchedJobID"]))
    for key, want in {"ParentID": parent, "Priority": 77, "Meta": {"m": "child", "kept": "yes"}, "Payload": b64(b"\0raw"),
                      "Dispatched": True, "Name": made["DispatchedJobID"], "CreateIndex": made["JobCreateIndex"]}.items():
        same(child[key], want, key)
    same(child["ParameterizedJob"]["MetaOptional"], ["m"])
    same(read("/v1/evaluation/" + made["EvalID"])["JobID"], child["ID"])
    raw = ask("PUT", path + "/payload", b"\0\1body").want(200).json["DispatchedJobID"]
    same(read(at(raw))["Payload"], b64(b"\0\1body"))
    refused("PUT", path + "/payload", b"x" * 16385, 500, "Payload exceeds maximum size; 16385 > 16384")
    ask("PUT", path + "/payload", b"x" * 16384).want(200)
    same(read(at(parent, "/summary"))["Children"], {"Pending": 3, "Running": 0, "Dead": 0})
    refused("POST", at(raw, "/dispatch"), {}, 500, 'Specified job "%s" is not a parameterized job' % raw)
    shown = {j["ID"]: j for j in read("/v1/jobs/statuses?prefix=" + parent)}
    same(list(shown), [parent], "children are left out")
    same(shown[parent]["ChildStatuses"], ["pending"] * 3)
    same(len(read("/v1/jobs/statuses?include_children=true&prefix=" + parent)), 4)


def a_token_dispatches_once_by_whatever_server():
    parent = register(ParameterizedJob={"Payload": "optional"})
    path = at(parent, "/dispatch?idempotency_token=")
    made = [s.ask("POST", path + "tok", {}).want(200).json for s in lab().servers]
    same(len({m["DispatchedJobID"] for m in made}), 1, made)
    same([m["EvalID"] == "" for m in made], [False, True, True])
    same({m["JobCreateIndex"] for m in made}, {made[0]["JobCreateIndex"]})
    check(ask("POST", path + "other", {}).want(200).json["DispatchedJobID"] != made[0]["DispatchedJobID"])
    ask("POST", path, {}).want(200)
    same(len(ids("/v1/jobs?prefix=%s/dispatch-" % parent)), 3)


def a_stopped_parent_dispatches_no_more_and_its_children_go_on():
    parent = register(ParameterizedJob={"Payload": "optional"})
    child = ask("POST", at(parent, "/dispatch"), {}).want(200).json["DispatchedJobID"]
    same(ask("DELETE", at(parent)).want(200).json["EvalID"], "")
    same(read(at(parent))["Status"], "dead")
    refused("POST", at(parent, "/dispatch"), {}, 500, 'Specified job "%s" is stopped' % parent)
    same(read(at(child))["Status"], "pending")
    ask("DELETE", at(parent, "?purge=true")).want(200)
    refused("GET", at(parent), None, 404, "job not found")
    same(read(at(child))["ParentID"], parent)
    same(len(ask("POST", at(child, "/evaluate")).want(200).json["EvalID"]), 36)
    ask("DELETE", at(child, "?purge=true")).want(200)
    refused("GET", at(child), None, 404, "job not found")


def the_payload_is_a_file_of_the_task():
    parent = new_id("par")
    reader = dict(shell("cat local/in/data; echo $NOMAD_META_KEY; sleep 100"), DispatchPayload={"File": "in/data"})
    ask("PUT", "/v1/jobs", {"Job": job(parent, kind="batch", tasks=[reader], ParameterizedJob={"Payload": "required", "MetaRequired": ["KEY"]})}).want(200)
    child = ask("POST", at(parent, "/dispatch"), {"Payload": b64(b"some bytes\n"), "Meta": {"KEY": "value"}}).want(200).json["DispatchedJobID"]
    alloc = lab().running(child, 1)[0]["ID"]
    until(10, "the task's output", lambda: ask("GET", "/v1/client/fs/logs/%s?task=t&type=stdout&plain=true" % alloc).text == "some bytes\nvalue\n")
    until(10, "a child that runs", lambda: read(at(parent, "/summary"))["Children"]["Running"] == 1)
    ask("DELETE", at(child)).want(200)
    until(10, "a dead child", lambda: read(at(parent, "/summary"))["Children"] == {"Pending": 0, "Running": 0, "Dead": 1})



# ---- periodic

def periodic(job_id=None, kind="batch", **block):
    return dict(idle(job_id, Periodic=dict({"Enabled": True, "SpecType": "cron"}, **block)), Type=kind)


def try_periodic(kind="batch", **block):
    return ask("PUT", "/v1/jobs", {"Job": periodic(kind=kind, **block)})


def a_periodic_block_is_checked():
    for block, text in (({}, "Must specify a spec"), ({"Spec": "x"}, 'Invalid cron spec "x": '), ({"Spec": "60 * * * *"}, "Invalid cron spec"),
                        ({"Spec": "0 0 0 1 1 *"}, "Invalid cron spec"), ({"Specs": ["0 0 1 1 *", "bad"]}, 'Invalid cron spec "bad"'),
                        ({"Spec": "0 0 1 1 *", "Specs": ["0 0 2 1 *"]}, "Only cron or crons may be used"), ({"Spec": "@every 0s"}, "@every"),
                        ({"Spec": "@daily", "SpecType": "bad"}, 'Unknown periodic specification type "bad"'),
                        ({"Spec": "@daily", "TimeZone": "Mars/Base"}, 'Invalid time zone "Mars/Base": unknown time zone Mars/Base')):
        try_periodic(**block).want(500, "1 error occurred:\n\t* ", text)
    for kind in ("service", "system"):
        try_periodic(kind=kind, Spec="@daily").want(500, 'Periodic can only be used with "batch" or "sysbatch" scheduler')
    try_periodic(kind="sysbatch", Spec="0 0 1 1 *").want(200)
    both = dict(periodic(Spec="@daily"), ParameterizedJob={"Payload": "optional"})
    ask("PUT", "/v1/jobs", {"Job": both}).want(500, "A job can't be periodic and parameterized at the same time")
    try_periodic(Enabled=False, Spec="no spec at all").want(200)


def the_next_launch_is_told_by_a_plan():
    for block, want in (({"Spec": "0 0 1 1 *"}, "-01-01T00:00:00Z"), ({"Spec": "0 0 0 1 1 * 2099"}, "2099-01-01T00:00:00Z"), ({"Spec": "30 4 1 1 * 2099"}, "2099-01-01T04:30:00Z"),
                        ({"Specs": ["0 0 0 2 1 * 2099", "0 0 0 1 1 * 2099"]}, "2099-01-01T00:00:00Z"), ({"Spec": "0 0 0 L 2 * 2096"}, "2096-02-29T00:00:00Z"),
                        ({"Spec": "0 0 12 1 7 * 2035", "TimeZone": "America/New_York"}, "2035-07-01T16:00:00Z"),
                        ({"Spec": "0 0 12 1 12 * 2035", "TimeZone": "America/New_York"}, "2035-12-01T17:00:00Z")):
        made = periodic(**block)
        told = ask("POST", at(made["ID"], "/plan"), {"Job": made}).want(200).json["NextPeriodicLaunch"]
        check(told.endswith(want), block, told)
    made = periodic(Spec="0 0 31 2 *")
    same(ask("POST", at(made["ID"], "/plan"), {"Job": made}).want(200).json["NextPeriodicLaunch"], None)


def force_launches_a_child_whatever_else_runs():
    parent = new_id("per") + "/x"
    ask("PUT", "/v1/jobs", {"Job": periodic(parent, Spec="0 0 1 1 *", ProhibitOverlap=True)}).want(200)
    same(read(at(parent, "/evaluations")), [])
    answer = ask("POST", at(parent, "/periodic/force")).want(200)
    same(answer.json["EvalCreateIndex"], answer.index)
    child = ids("/v1/jobs?prefix=%s/periodic-" % parent)[0]
    same(read("/v1/evaluation/" + answer.json["EvalID"])["JobID"], child)
    got = read(at(child))
    same((got["ParentID"], got["Periodic"], got["Name"], got["Version"]), (parent, None, child, 0))
    time.sleep(1.05)
    ask("PUT", at(parent, "/periodic/force")).want(200)
    same(len(ids("/v1/jobs?prefix=%s/periodic-" % parent)), 2)
    same(read(at(parent, "/summary"))["Children"], {"Pending": 2, "Running": 0, "Dead": 0})
    refused("POST", at(child, "/periodic/force"), None, 500, "can't force launch non-periodic job")
    refused("POST", at(new_id("none"), "/periodic/force"), None, 500, "job not found")
    refused("POST", at(parent, "/evaluate"), None, 500, "can't evaluate periodic job")
    ask("DELETE", at(parent)).want(200)
    ask("POST", at(parent, "/periodic/force")).want(500, "can't force run non-tracked job")
    same(read(at(child))["Status"], "pending")
    off = periodic(Spec="0 0 1 1 *", Enabled=False)
    ask("PUT", "/v1/jobs", {"Job": off}).want(200)
    ask("POST", at(off["ID"], "/periodic/force")).want(500, "can't force run non-tracked job")


def children_of(parent):
    return [j for j in lab_answer("/v1/jobs?prefix=%s/periodic-" % parent)]


def lab_answer(path):
    return current[0].servers_answer(path)


current = []


def launches_survive_the_death_of_leaders_exactly_once():
    current[:] = [Lab(3)]
    cluster = current[0]
    parent = new_id("tick")
    cluster.leader().register(periodic(parent, Spec="*/2 * * * * * *"))
    until(10, "a launch", lambda: children_of(parent))
    for _ in range(3):
        dead = cluster.leader()
        time.sleep(2 - time.time() % 2 - 0.02)  # Around a launch.
        dead.kill()
        cluster.leader(other_than=dead)
        count = len(children_of(parent))
        until(15, "the next leader launches", lambda: len(children_of(parent)) > count)
        dead.start()
        cluster.leader()
    cluster.leader().ask("DELETE", at(parent)).want(200)
    made = children_of(parent)
    times = [int(j["ID"].rsplit("-", 1)[1]) for j in made]
    same([t % 2 for t in times], [0] * len(times), times)
    same(len(set(times)), len(times))
    for j in made:
        evals = [e for e in lab_answer(at(j["ID"], "/evaluations")) if e["TriggeredBy"] == "periodic-job"]
        same((len(evals), lab_answer(at(j["ID"]))["Version"]), (1, 0), j["ID"])
    cluster.same_state()
    return "%d launches" % len(times)


def retried_dispatches_make_one_child_for_each_token_whatever_dies():
    current[:] = [Lab(3)]
    cluster = current[0]
    parent = cluster.leader().register(idle("par", ParameterizedJob={"Payload": "optional"})) and "par"
    said, ended, again = {}, threading.Event(), [0]

    def work(k):
        for n in itertools.count():
            token, answer = "%d-%d" % (k, n), None
            while answer is None or answer.status != 200:
                try:
                    answer = cluster.servers[rng.randrange(3)].put(at(parent, "/dispatch?idempotency_token=" + token), {}, timeout=5)
                except (OSError, http.client.HTTPException):
                    answer = None
                if answer is None or answer.status != 200:
                    again[0] += 1
                    time.sleep(0.02)
            said[token] = answer.json["DispatchedJobID"]
            if ended.is_set():
                return
    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(4)]
    for t in threads:
        t.start()
    for _ in range(2):
        time.sleep(1)
        dead = cluster.leader()
        dead.kill()
        cluster.leader(other_than=dead)
        dead.start()
        cluster.leader()
    ended.set()
    for t in threads:
        t.join(120)
        check(not t.is_alive(), "a dispatch does not end", cluster.tails())
    made = {j["ID"] for j in lab_answer("/v1/jobs?prefix=par/dispatch-")}
    same(len(made - set(said.values())), 0, "children that nobody was told of")
    same((len(made), len(set(said.values()))), (len(said), len(said)))
    cluster.same_state()
    return "%d children, %d tries more" % (len(made), again[0])


# ---- lists

def the_list_is_cut_filtered_and_turned():
    base = new_id("list")
    names = [register("%s-%d" % (base, n), Priority=20 + n, Meta={"n": str(n), "a.b": "dot"}) for n in range(5)]
    path = "/v1/jobs?prefix=" + base
    same(ids(path), names)
    same(ids(path + "&reverse=true"), names[::-1])
    seen, token, pages = [], "", 0
    while token is not None:
        answer = get(path + "&per_page=2" + ("&next_token=" + quote(token, safe="") if token else ""))
        seen += [j["ID"] for j in answer.json]
        token, pages = answer.headers["X-Nomad-NextToken"], pages + 1
    same((seen, pages), (names, 3))
    answer = get(path + "&per_page=2&reverse=true")
    same([j["ID"] for j in answer.json], names[:2:-1])
    same(ids(path + "&reverse=true&per_page=2&next_token=" + answer.headers["X-Nomad-NextToken"]), names[2:0:-1])
    for expression, want in (('Priority == 22', [2]), ('Priority != 22', [0, 1, 3, 4]), ('Meta.n == "3" or Meta["n"] == "1"', [1, 3]), ('Meta["a.b"] == "dot" and ID matches "-[04]$"', [0, 4]),
                             ('"dc-nowhere" in Datacenters and Priority == 20', [0]), ('Datacenters contains "dc1"', []), ('not (Type == "batch")', []), ('ParentID is empty', [0, 1, 2, 3, 4]),
                             ('Meta is not empty', [0, 1, 2, 3, 4]), ('Stop == true', []), ('Name == `%s`' % names[1], [1]), ('JobSummary.Children.Pending == 0 and Priority == 24', [4])):
        same(ids(path + "&filter=" + quote(expression)), [names[n] for n in want], expression)
    same(read(path + "&meta=true")[3]["Meta"]["n"], "3")
    check("Meta" not in read(path)[0] or read(path)[0]["Meta"] is None)
    for tail in ("&filter=ID", "&filter=ID%20==", "&filter=Nope==1", "&filter=%28", "&filter=ID%20matches%20%22%28%22"):
        ask("GET", path + tail).want(400, "failed to read filter expression")
    ask("GET", path + "&per_page=x").want(400, "Expect a number for `per_page`")
    ask("GET", path + "&meta=x").want(400, '"meta" (x)')
    ask("GET", path + "&stale=perhaps").want(400, "for `stale` query string parameter")
    same(ids(path + "&namespace=none"), [])
    refused("GET", path + "&region=mars", None, 500, "No path to region")
    same(ids(path + "&region=global"), names)
    check("\n    " in get(path + "&pretty").text and "\n" not in get(path).text.strip())


def statuses_tell_what_jobs_do():
    base = new_id("what")
    names = [register("%s-%d" % (base, n)) for n in range(3)]
    path = "/v1/jobs/statuses"
    same(ids(path + "?prefix=" + base), names)
    same(ids(path + "?reverse=true&prefix=" + base), names[::-1])
    one = read(path + "?prefix=" + names[0])[0]
    for key, want in {"Namespace": "default", "Type": "batch", "Allocs": [], "GroupCountSum": 1, "ChildStatuses": None, "ParentID": "", "LatestDeployment": None,
                      "Stop": False, "Status": "pending", "IsPack": False, "Version": 0, "Priority": 50, "NodePool": "default"}.items():
        same(one[key], want, key)

    def post(body, status=200):
        return ask("POST", path, body).want(status)
    same([j["ID"] for j in post({"Jobs": [{"ID": names[2]}, {"ID": names[0], "Namespace": "default"}, {"ID": "none"}]}).json], [names[0], names[2]])
    same(post({"Jobs": [{"ID": names[0], "Namespace": "other"}]}).json, [])
    post({"Jobs": "x"}, 400)
    refused("PUT", path, {}, 405, "Invalid method")
    ask("GET", path + "?include_children=x").want(400, "include_children")
    refused("GET", path + "?next_token=junk", None, 400, "malformed next_token: junk")
    seen, token = [], ""
    while token is not None:
        answer = get(path + "?per_page=2&prefix=" + base + ("&next_token=" + token if token else ""))
        seen, token = seen + [j["ID"] for j in answer.json], answer.headers["X-Nomad-NextToken"]
    same(seen, names)


def what_is_not_there_is_told_alike_by_all_reads():
    none = new_id("none")
    for tail, text in (("", "job not found"), ("/versions", "job versions not found"), ("/summary", "job not found"), ("/scale", "job not found"),
                       ("/submission", "job source not found"), ("/services", "job not found"), ("/actions", "job not found")):
        refused("GET", at(none, tail), None, 404, text)
        same(ask("GET", at(none, tail)).headers["X-Nomad-KnownLeader"], "true", tail)
    there = register()
    for tail, empty in (("/allocations", []), ("/evaluations", []), ("/deployments", []), ("/deployment", None)):
        same(read(at(none, tail)), empty, tail)
        same(read(at(there, tail + "?namespace=other")), empty, tail)
    for tail in ("", "/versions", "/summary", "/scale", "/actions"):
        ask("GET", at(there, tail + "?namespace=other")).want(404)
        check(get(at(there, tail)).index > 0, tail)
    for tail in ("/allocations?all=x", "/deployments?all=x"):  # Not true.
        ask("GET", at(there, tail)).want(200)
    ask("GET", at(there, "/versions?diffs=x")).want(500, "as a bool")
    ask("GET", at(there, "/versions?diff_version=x")).want(500, "as a uint64")
    ask("GET", at(there, "/submission?version=x")).want(400, "Unable to parse job submission version parameter")


def what_is_searched_for_is_found_with_its_place():
    name = new_id("look")
    ask("PUT", "/v1/jobs", {"Job": dict(job(name, group={"Name": "g-" + name}, tasks=[task("/bin/" + name)]), Datacenters=["dc-nowhere"])}).want(200)

    def found(path, body):
        return ask("POST", "/v1/search" + path, body).want(200).json
    same(found("", {"Prefix": name, "Context": "jobs"})["Matches"], {"jobs": [name]})
    every = found("", {"Prefix": name})
    same({k: v for k, v in every["Matches"].items() if v}, {"jobs": [name]})
    same((every["Matches"]["nodes"], every["Truncations"]["jobs"]), (None, False))
    same(found("", {"Prefix": "zz", "Context": "nodes"})["Matches"], {"nodes": None})
    inside = found("/fuzzy", {"Text": name.upper(), "Context": "jobs"})["Matches"]
    same(inside["jobs"], [{"ID": name, "Scope": ["default", name]}])
    same(inside["groups"], [{"ID": "g-" + name, "Scope": ["default", name]}])
    same(inside["commands"], [{"ID": "/bin/" + name, "Scope": ["default", name, "g-" + name, "t"]}])
    refused("POST", "/v1/search/fuzzy", {"Text": "x"}, 500, "fuzzy search query must be at least 2 characters, got 1")
    ask("POST", "/v1/search", {"Prefix": "x", "Context": "odd"}).want(500, 'got "odd"')
    same(found("?namespace=other", {"Prefix": name, "Context": "jobs"})["Matches"], {"jobs": None})
    same(found("?namespace=*", {"Prefix": name, "Context": "jobs"})["Matches"], {"jobs": [name]})


def wrong_methods_are_refused():
    reads = ("", "/versions", "/allocations", "/evaluations", "/deployments", "/deployment", "/summary", "/scale", "/submission", "/services", "/actions")
    writes = ("/dispatch", "/dispatch/payload", "/revert", "/stable", "/evaluate", "/plan", "/periodic/force", "/versions/a/tag")
    wrong = [(m, "/v1/job/x" + t) for t in reads for m in ("HEAD", "OPTIONS", "PATCH")]
    wrong += [(m, "/v1/job/x" + t) for t in reads if t not in ("", "/scale") for m in ("PUT", "POST", "DELETE")]
    wrong += [(m, "/v1/job/x" + t) for t in writes for m in ("GET", "HEAD", "PATCH")]
    wrong += [(m, p) for p in ("/v1/scaling/policies", "/v1/namespaces", "/v1/scaling/policy/x") for m in ("PUT", "POST", "DELETE", "HEAD")]
    wrong += [(m, p) for p in ("/v1/search", "/v1/search/fuzzy", "/v1/jobs/parse", "/v1/validate/job", "/v1/namespace") for m in ("GET", "DELETE", "HEAD")]
    wrong += [("DELETE", "/v1/jobs"), ("POST", "/v1/system/gc"), ("GET", "/v1/system/gc"), ("PATCH", "/v1/namespace/x"), ("DELETE", "/v1/job/x/dispatch")]
    for method, path in wrong:
        answer = ask(method, path, None if method in ("GET", "HEAD", "OPTIONS", "DELETE") else "{}").want(405)
        same(answer.text, "" if method == "HEAD" else "Invalid method", path)


# ---- one job

def stop_takes_its_options():
    for tail, status in (("?purge=maybe", 500), ("?global=x", 500), ("?no_shutdown_delay=x", 500), ("?eval_priority=x", 500), ("?eval_priority=101", 400), ("?eval_priority=-1", 400)):
        name = register()
        ask("DELETE", at(name, tail)).want(status)
        same(read(at(name))["Stop"], False, tail)
    name = register()
    made = ask("DELETE", at(name, "?global=true&no_shutdown_delay=true&eval_priority=99")).want(200)
    same(made.json["JobModifyIndex"], made.index)
    done = read("/v1/evaluation/" + made.json["EvalID"])
    same((done["Priority"], done["TriggeredBy"]), (99, "job-deregister"))
    got = read(at(name))
    same((got["Stop"], got["Version"]), (True, 1))
    same(len(ask("DELETE", at(register(), "?purge=")).want(200).json["EvalID"]), 36)
    for tail in ("?purge=1", "?purge=true"):
        same(len(ask("DELETE", at(register(), tail)).want(200).json["EvalID"]), 36)
    for tail in ("", "?purge=true", "?namespace=other"):
        gone = ask("DELETE", at("none", tail)).want(200).json
        same((gone["EvalID"], gone["EvalCreateIndex"], gone["JobModifyIndex"]), ("", 0, 0))


def no_shutdown_delay_ends_tasks_at_once():
    quick, slow = [job(tasks=[task(ShutdownDelay=30 * NS)]) for _ in range(2)]
    for made in (quick, slow):
        ask("PUT", "/v1/jobs", {"Job": made}).want(200)
    lab().running(quick["ID"], 1), lab().running(slow["ID"], 1)
    ask("DELETE", at(slow["ID"])).want(200)
    ask("DELETE", at(quick["ID"], "?no_shutdown_delay=true")).want(200)
    lab().completed(quick["ID"], 1, seconds=10)
    same(lab().allocs(slow["ID"])[0]["ClientStatus"], "running")
    ask("DELETE", at(slow["ID"], "?no_shutdown_delay=true")).want(200)  # Also when it waits already.
    lab().completed(slow["ID"], 1, seconds=10)


def a_group_is_scaled_and_its_events_are_kept():
    name = new_id("sc")
    made = job(name, group={"Scaling": {"Min": 1, "Max": 5, "Policy": {"cooldown": "1m"}}}, Datacenters=["dc-nowhere"])
    ask("PUT", "/v1/jobs", {"Job": made}).want(200)
    path = at(name, "/scale")
    for body, text in (({}, "missing task group name for scaling action"), ({"Count": 2, "Target": {"Group": "zz"}}, 'task group "zz" specified for scaling does not exist in job'),
                       ({"Count": -1, "Target": {"Group": "g"}}, "scaling action count can't be negative"),
                       ({"Count": 6, "Target": {"Group": "g"}}, "group count was greater than scaling policy maximum: 6 > 5"),
                       ({"Count": 0, "Target": {"Group": "g"}}, "group count was less than scaling policy minimum: 0 < 1"),
                       ({"Count": 2, "Error": True, "Target": {"Group": "g"}}, "scaling action should not contain count if error is true"),
                       ({"Count": 2, "Target": {"Group": "g", "Job": "other"}}, "job ID in payload did not match URL"),
                       ({"Count": 2, "Target": {"Group": "g"}, "Message": "m" * 65537}, "Message and Meta of a scaling action must not be longer than 65536 bytes together")):
        refused("PUT", path, body, 400, text)
    refused("PUT", at("none", "/scale"), {"Count": 1, "Target": {"Group": "g"}}, 404, 'job "none" not found')
    done = ask("POST", path, {"Count": 3, "Target": {"Group": "g", "Job": name, "Namespace": "default"}, "Message": "more", "Meta": {"k": [1, None]}}).want(200)
    same(read("/v1/evaluation/" + done.json["EvalID"])["TriggeredBy"], "job-scaling")
    same(ask("PUT", path, {"Target": {"Group": "g"}, "Message": "no", "Error": True}).want(200).json["EvalID"], "")
    told = read(path)
    group = told["TaskGroups"]["g"]
    same((told["JobID"], told["JobStopped"], group["Desired"], group["Placed"]), (name, False, 3, 0))
    same([(e["Count"], e["PreviousCount"], e["Message"], e["Error"], e["Meta"], e.get("EvalID") or "") for e in group["Events"]],
         [(None, 3, "no", True, None, ""), (3, 1, "more", False, {"k": [1, None]}, done.json["EvalID"])])
    same([(v["Version"], v["TaskGroups"][0]["Count"]) for v in read(at(name, "/versions"))["Versions"]], [(1, 3), (0, 1)])
    policy = read("/v1/scaling/policies?job=" + name)[0]
    same(policy["Target"], {"Namespace": "default", "Job": name, "Group": "g"})
    whole = read("/v1/scaling/policy/" + policy["ID"])
    same((whole["Min"], whole["Max"], whole["Policy"], whole["Enabled"], whole["Type"]), (1, 5, {"cooldown": "1m"}, True, "horizontal"))
    same(read(at(name))["TaskGroups"][0]["Scaling"]["ID"], policy["ID"])
    ask("DELETE", at(name)).want(200)
    same(read("/v1/scaling/policies?job=" + name), [])
    refused("GET", "/v1/scaling/policy/" + policy["ID"], None, 404, "policy not found")


def at_once(n, request):
    """n requests at the same time, by all servers; their answers."""
    answers = [None] * n

    def one(k):
        answers[k] = request(k, lab().servers[k % 3])
    threads = [threading.Thread(target=one, args=(k,)) for k in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return answers


def what_is_asked_at_once_is_done_once_or_one_by_one():
    parent = register(ParameterizedJob={"Payload": "optional"})
    made = at_once(24, lambda k, s: s.put(at(parent, "/dispatch?idempotency_token=t%d" % (k % 4)), {}).want(200).json)
    same((len({m["DispatchedJobID"] for m in made}), sum(m["EvalID"] != "" for m in made)), (4, 4))
    name = register()
    index = read(at(name))["JobModifyIndex"]
    for enforced, target in ((index, name), (0, new_id())):
        told = at_once(12, lambda k, s: s.put("/v1/jobs", {"Job": idle(target, Priority=60 + k), "EnforceIndex": True, "JobModifyIndex": enforced}))
        same(sorted(a.status for a in told), [200] + [500] * 11)
        check(all("Enforcing job modify index %d: job" % enforced in a.text for a in told if a.status == 500))
    told = at_once(16, lambda k, s: s.put(at(name, "/scale"), {"Count": k + 1, "Target": {"Group": "g"}}))
    same([a.status for a in told], [200] * 16, [a.text for a in told if a.status != 200])
    versions = read(at(name, "/versions"))["Versions"]
    same((versions[0]["Version"], len(read(at(name, "/scale"))["TaskGroups"]["g"]["Events"])), (17, 16))


def a_read_waits_for_what_it_tells(path, change):
    """A blocking query on it is answered after the change, and soon."""
    waiter = Waiter(lambda target, **kw: ask("GET", target, **kw), path)
    began = time.monotonic()
    change()
    waiter.answer()
    quick(time.monotonic() - began, 6, path)


def reads_of_a_job_block():
    name, space = new_id("block"), new_id("ns")
    count = itertools.count(20)

    def change():
        scaled = {"Name": "g", "Scaling": {"Max": 9}, "EphemeralDisk": {"SizeMB": 10}, "Tasks": [task()]}
        ask("PUT", "/v1/jobs", {"Job": idle(name, Priority=next(count), TaskGroups=[scaled]), "Submission": {"Source": "x", "Format": "hcl2"}}).want(200)
    change()
    for path in (at(name), at(name, "/versions"), at(name, "/submission"), at(name, "/scale"), at(name, "/actions"), "/v1/jobs?prefix=" + name, "/v1/jobs/statuses?prefix=" + name,
                 at(name, "/evaluations"), "/v1/scaling/policies?job=" + name, "/v1/scaling/policy/" + read("/v1/scaling/policies?job=" + name)[0]["ID"]):
        a_read_waits_for_what_it_tells(path, change)
    a_read_waits_for_what_it_tells(at(name, "/scale"), lambda: ask("PUT", at(name, "/scale"), {"Target": {"Group": "g"}, "Message": "m"}).want(200))
    a_read_waits_for_what_it_tells("/v1/namespaces?prefix=" + space, lambda: ask("PUT", "/v1/namespace", {"Name": space}).want(200))
    a_read_waits_for_what_it_tells("/v1/namespace/" + space, lambda: ask("DELETE", "/v1/namespace/" + space).want(200))


def sources_versions_and_tags_belong_together():
    name = new_id("src")
    for n in range(8):
        source = {"Source": "job %d" % n, "Format": "hcl2", "VariableFlags": {"a": "b"}, "Variables": "x = 1"}
        ask("PUT", "/v1/jobs", {"Job": idle(name, Priority=20 + n), "Submission": source}).want(200)
    got = read(at(name, "/submission"))
    same((got["Source"], got["Format"], got["VariableFlags"], got["Variables"], got["Version"], got["JobID"], got["Namespace"]),
         ("job 7", "hcl2", {"a": "b"}, "x = 1", 7, name, "default"))
    same(read(at(name, "/submission?version=2"))["Source"], "job 2")
    refused("GET", at(name, "/submission?version=1"), None, 404, "job source not found")
    ask("PUT", at(name, "/versions/gold/tag"), {"Version": 3, "Description": "d"}).want(200)
    refused("PUT", at(name, "/versions/gold/tag"), {"Version": 4}, 500, 'tag "gold" already exists on a different version of job "%s"' % name)
    ask("PUT", at(name, "/versions/gone/tag"), {"Version": 99}).want(500, "at version 99 not found")
    refused("DELETE", at(name, "/versions/none/tag"), None, 500, 'tag "none" not found on job "%s"' % name)
    for n in range(8):
        ask("PUT", "/v1/jobs", {"Job": idle(name, Priority=40 + n)}).want(200)
    versions = read(at(name, "/versions?diffs=true&diff_tag=gold"))
    same([v["Version"] for v in versions["Versions"]], [15, 14, 13, 12, 11, 10, 3])
    same([d["Fields"][0]["Old"] for d in versions["Diffs"]], ["23"] * 6)
    same(read(at(name, "/submission?version=3"))["Source"], "job 3")
    refused("GET", at(name, "/submission"), None, 404, "job source not found")
    refused("GET", at(name, "/versions?diffs=true&diff_tag=none"), None, 404, 'tag "none" not found')
    refused("GET", at(name, "/versions?diffs=true&diff_version=99"), None, 404, "version 99 not found")
    ask("DELETE", at(name, "/versions/gold/tag")).want(200)
    ask("PUT", "/v1/jobs", {"Job": idle(name, Priority=60)}).want(200)
    same([v["Version"] for v in read(at(name, "/versions"))["Versions"]], [16, 15, 14, 13, 12, 11])
    big = ask("PUT", "/v1/jobs", {"Job": idle(), "Submission": {"Source": "x" * 1100000, "Format": "hcl2"}}).want(200).json
    check("exceeds the maximum" in big["Warnings"], big)


# ---- names

ODD = ["a/b", "a//b", "a/../b", ".", "..", "a%b", "a%2fb", "a.b", "a+b", "a&b=c", "a?b", "a#b", "a:b", "/a", "a/", '"<a>\\', "x/versions", "a/periodic/force",
       "ü/ö", "日本語", "\U0001F600", "y" * 1024]


def works_by_name(name):
    path = "/v1/job/" + quote(name, safe="").replace(".", "%2E")
    made = idle(name)
    ask("PUT", "/v1/jobs", {"Job": made}).want(200)
    same(get(path).json["ID"], name)
    ask("POST", path, {"Job": dict(made, Priority=60)}).want(200)
    same(len(read(path + "/versions")["Versions"]), 2)
    same([j["ID"] for j in ask("POST", "/v1/jobs/statuses", {"Jobs": [{"ID": name}]}).want(200).json], [name])
    check(name in ids("/v1/jobs?prefix=" + quote(name[:3], safe="")), name)
    return path, made


def works_everywhere(path, made):
    name = made["ID"]
    for tail in ("allocations", "evaluations", "deployments", "deployment", "summary", "scale", "services", "actions"):
        get("%s/%s" % (path, tail))
    for tail, body in (("evaluate", None), ("revert", {"JobID": name, "JobVersion": 0}), ("stable", {"JobID": name, "JobVersion": 0, "Stable": True}),
                       ("plan", {"Job": made, "Diff": True}), ("scale", {"Count": 2, "Target": {"Group": "g"}}), ("versions/a%2Fb/tag", {})):
        ask("PUT", "%s/%s" % (path, tail), body).want(200)
    ask("DELETE", path + "/versions/a%2Fb/tag").want(200)
    check(name in ask("POST", "/v1/search", {"Prefix": name, "Context": "jobs"}).want(200).json["Matches"]["jobs"], name)
    check(name in command("job", "status", name), name)
    command("job", "stop", "-detach", name)
    same(get(path).json["Stop"], True)


def names_of_any_kind_work_in_every_path():
    for k, name in enumerate(ODD):
        path, made = works_by_name(name)
        if k % 3 == 0 or name == "..":
            works_everywhere(path, made)
        ask("DELETE", path + "?purge=true").want(200)
        refused("GET", path, None, 404, "job not found")
    for name, text in (("a b", "Job ID contains a space"), ("a\0b", "Job ID contains a null character")):
        ask("PUT", "/v1/jobs", {"Job": idle(name)}).want(500, text)
    ask("PUT", "/v1/jobs", {"Job": idle("z" * 1025)}).want(500, "Job ID must not be longer than 1024 bytes")
    for more in ({"ParameterizedJob": {"Payload": "optional"}}, {"Periodic": {"Enabled": True, "SpecType": "cron", "Spec": "0 0 1 1 *"}}):
        ask("PUT", "/v1/jobs", {"Job": idle("z" * 993, **more)}).want(500, "Job ID must not be longer than 992 bytes, as those of its children are longer")
        ask("PUT", "/v1/jobs", {"Job": idle("z" * 992, **more)}).want(200)
        tail = "/periodic/force" if "Periodic" in more else "/dispatch"
        ask("POST", at("z" * 992, tail), {}).want(200)
        ask("POST", at("z" * 992, "/dispatch"), {"IdPrefixTemplate": "p" * 60}).want(400 if "Periodic" not in more else 500)
        ask("DELETE", at("z" * 992, "?purge=true")).want(200)
    ask("PUT", "/v1/jobs?namespace=" + "n" * 129, {"Job": idle()}).want(500, "Namespace must not be longer than 128 bytes")
    ask("PUT", "/v1/jobs", {"Job": idle(Version=-1)}).want(500, "Version must not be negative")
    long = idle()
    long["TaskGroups"][0]["Name"] = "g" * 1025
    ask("PUT", "/v1/jobs", {"Job": long}).want(500, "Task group 1: Name must not be longer than 1024 bytes")
    refused("PUT", "/v1/job/one", {"Job": idle("two")}, 400, "Job ID does not match name")


def command(*words):
    done = subprocess.run([DROVER, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                          env=dict(os.environ, NOMAD_ADDR=lab().servers[next(turn) % 3].url))
    text = done.stdout.decode(errors="replace")
    check(done.returncode == 0, words, "ended with", done.returncode, text)
    return text


def namespaces_are_made_used_and_removed():
    name, capped = new_id("ns"), new_id("capped")
    for bad in ("", "a b", "*", "x" * 129):
        ask("PUT", "/v1/namespace", {"Name": bad}).want(500, "invalid name", "[a-zA-Z0-9-]{1,128}")
    ask("PUT", "/v1/namespace", {"Name": name, "Description": "first", "Meta": {"a": "b"}}).want(200)
    ask("POST", "/v1/namespace/" + name, {"Description": "second"}).want(200)
    refused("PUT", "/v1/namespace/" + name, {"Name": "other"}, 400, "Namespace name does not match request path")
    got = read("/v1/namespace/" + name)
    same((got["Name"], got["Description"], got["Meta"]), (name, "second", None))
    check(got["ModifyIndex"] > got["CreateIndex"], got)
    same([n["Name"] for n in read("/v1/namespaces?prefix=" + name)], [name])
    refused("GET", "/v1/namespace/none", None, 404, "Namespace not found")
    ask("DELETE", "/v1/namespace/none").want(500)
    refused("DELETE", "/v1/namespace/default", None, 500, "can not delete default namespace")
    inside, query = idle(), "?namespace=" + name
    ask("PUT", "/v1/jobs" + query, {"Job": inside}).want(200)
    ask("PUT", "/v1/jobs", {"Job": dict(inside, Priority=60)}).want(200)
    same([read(at(inside["ID"], q))["Priority"] for q in (query, "")], [50, 60])
    ask("PUT", "/v1/jobs", {"Job": dict(inside, Namespace=name, Priority=70)}).want(200)
    same(read(at(inside["ID"], query))["Priority"], 70)
    same(sorted(j["Namespace"] for j in read("/v1/jobs?namespace=*&prefix=" + inside["ID"])), sorted(["default", name]))
    same([e["Namespace"] for e in read(at(inside["ID"], "/evaluations" + query))][:1], [name])
    for method, tail, body in (("PUT", "/evaluate", None), ("PUT", "/stable", {"JobID": inside["ID"], "JobVersion": 1, "Stable": True}), ("PUT", "/revert", {"JobID": inside["ID"], "JobVersion": 0}),
                               ("PUT", "/scale", {"Count": 1, "Target": {"Group": "g"}}), ("PUT", "/plan", {"Job": inside}), ("PUT", "/versions/t/tag", {})):
        ask(method, at(inside["ID"], tail + query), body).want(200)
    for tail in ("", "/versions", "/summary", "/scale", "/actions", "/allocations", "/deployments"):
        get(at(inside["ID"], tail + query))
    refused("DELETE", "/v1/namespace/" + name, None, 500,
            '1 error occurred:\n\t* namespace "%s" has non-terminal jobs in regions: [global]\n\n' % name)
    ask("DELETE", at(inside["ID"], query + "&purge=true")).want(200)
    same(read(at(inside["ID"]))["Priority"], 60)
    ask("DELETE", "/v1/namespace/" + name).want(200)
    refused("PUT", "/v1/jobs" + query, {"Job": inside}, 500, '1 error occurred:\n\t* job "%s" is in nonexistent namespace "%s"\n\n' % (inside["ID"], name))
    ask("PUT", "/v1/namespace", {"Name": capped, "Capabilities": {"EnabledTaskDrivers": ["docker"], "DisabledTaskDrivers": ["exec"]}}).want(200)
    for path in ("/v1/jobs", at(inside["ID"], "/plan")):
        ask("PUT", path + "?namespace=" + capped, {"Job": inside}).want(500, 'used task driver "raw_exec" is not allowed in namespace "%s"' % capped)
    ask("DELETE", "/v1/namespace/" + capped).want(200)


# ---- what goes by itself

COLLECT = """server {
  job_gc_interval           = "1s"
  job_gc_threshold          = "1s"
  eval_gc_threshold         = "1s"
  batch_eval_gc_threshold   = "1s"
  deployment_gc_threshold   = "1s"
}
"""


def what_is_over_is_collected_and_nothing_else():
    cluster = Lab(3, 1, config=COLLECT)
    a = cluster.servers
    done, stopped = [job(kind="batch", tasks=[task("/bin/true", ())]) for _ in range(2)]
    parent = idle(ParameterizedJob={"Payload": "optional"})
    service, waiting = job(), idle()
    for k, made in enumerate((done, stopped, parent, service, waiting)):
        a[k % 3].register(made)
    kids = [s.put(at(parent["ID"], "/dispatch"), {}).want(200).json["DispatchedJobID"] for s in a]
    cluster.running(service["ID"], 1)
    a[1].ask("DELETE", at(stopped["ID"])).want(200)
    a[2].ask("DELETE", at(kids[0])).want(200)
    until(25, lambda: "dead jobs go: %s" % [j["ID"] for j in cluster.servers_answer("/v1/jobs")],
          lambda: sorted(j["ID"] for j in cluster.servers_answer("/v1/jobs")) == sorted([parent["ID"], service["ID"], waiting["ID"]] + kids[1:]))
    same(a[0].read(at(parent["ID"], "/summary"))["Children"]["Pending"], 2)
    for name in (done["ID"], stopped["ID"], kids[0]):
        same([len(cluster.servers_answer(at(name, tail))) for tail in ("/allocations", "/evaluations")], [0, 0], name)
    same(len(a[0].read("/v1/allocations")), 1)
    cluster.running(service["ID"], 1)
    cluster.same_state()


def a_forced_collection_takes_what_is_dead():
    name = new_id("gc")
    ask("PUT", "/v1/jobs", {"Job": job(name, kind="batch", tasks=[task("/bin/true", ())])}).want(200)
    until(10, "it is done", lambda: read(at(name))["Status"] == "dead")
    kept = register()

    def gone():
        same(ask("PUT", "/v1/system/gc").want(200).text, "")
        return ask("GET", at(name)).status == 404
    until(10, "it goes", gone)
    same(read(at(kept))["Status"], "pending")
    same(read(at(name, "/allocations")), [])
    no_sanitizer_reports(lab())


run(what_a_dispatch_brings_is_checked_against_its_parent, children_have_what_the_dispatch_says, a_token_dispatches_once_by_whatever_server,
    a_stopped_parent_dispatches_no_more_and_its_children_go_on, the_payload_is_a_file_of_the_task, a_periodic_block_is_checked,
    the_next_launch_is_told_by_a_plan, force_launches_a_child_whatever_else_runs, the_list_is_cut_filtered_and_turned, statuses_tell_what_jobs_do,
    what_is_not_there_is_told_alike_by_all_reads, what_is_searched_for_is_found_with_its_place, wrong_methods_are_refused, stop_takes_its_options, no_shutdown_delay_ends_tasks_at_once,
    a_group_is_scaled_and_its_events_are_kept, what_is_asked_at_once_is_done_once_or_one_by_one, reads_of_a_job_block, sources_versions_and_tags_belong_together, names_of_any_kind_work_in_every_path,
    namespaces_are_made_used_and_removed, a_forced_collection_takes_what_is_dead, what_is_over_is_collected_and_nothing_else,
    launches_survive_the_death_of_leaders_exactly_once, retried_dispatches_make_one_child_for_each_token_whatever_dies)
