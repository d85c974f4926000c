#!/usr/bin/env python3
"""Many jobs, listed in all the ways there are, page by page, while others are registered: every job once and in order, and no
turn of a server's loops longer than 5 ms. LIST_JOBS=100000 makes it a proof; the default is for every day."""
from lab import *

JOBS = int(os.environ.get("LIST_JOBS", 2000))
TURN_MS = 5  # Of a thread's own time: what else the machine does is not the server's.


def metrics(server):
    found = server.read("/v1/metrics", timeout=60)
    return {g["Name"]: g["Value"] for g in found["Gauges"]}


def turns(server):
    """The longest turns since the last look, by loop."""
    m = metrics(server)
    return {loop: {k: m["nomad.%s.%s" % (loop, k)] for k in ("longest_turn_ms", "turn_p999_ms", "longest_turn_cpu_ms", "turn_p999_cpu_ms")}
            for loop in ("http", "core")}


def short_turns(lab, what, strict=True):
    """Not strict: one turn in a thousand may be longer, while writes come as fast as they are taken."""
    said, limit = [], "longest_turn_cpu_ms" if strict else "turn_p999_cpu_ms"
    for server in lab.servers:
        for loop, t in turns(server).items():
            said.append("%s %s %.2f/%.2f (%.2f)" % (server, loop, t["longest_turn_cpu_ms"], t["turn_p999_cpu_ms"], t["longest_turn_ms"]))
            check(SANITIZED or t[limit] <= TURN_MS, what, ": a turn of", server, "'s", loop, "loop:", t)
    print("# %s, ms: longest/p99.9 (by the clock): %s" % (what, ", ".join(said)), flush=True)


def spec(i):
    return idle("list-%06d" % i, Priority=1 + i % 100, Meta={"team": "t%d" % (i % 7), "text": "x" * 50},
                Namespace="other" if i % 5 == 0 else "default")


def register_all(lab, first, n, threads=8):
    """By several connections at all servers. IDs by namespace."""
    failed = []

    def work(k):
        c = lab.servers[k % len(lab.servers)].connection(60)
        for i in range(first + k, first + n, threads):
            while True:
                c.request("PUT", "/v1/jobs", json.dumps({"Job": spec(i)}))
                r = c.getresponse()
                text = r.read()
                if r.status != 429:
                    break
                time.sleep(0.05)
            if r.status != 200:
                failed.append((i, r.status, text[:200]))
                return

    team = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
    for t in team:
        t.start()
    for t in team:
        t.join()
    check(not failed, "registrations failed:", failed[:3])


def pages(server, query, per_page):
    """All elements of a list, page by page, over one connection."""
    c, token, found, n = server.connection(60), "", [], 0
    while True:
        c.request("GET", "/v1/jobs?per_page=%d&next_token=%s&%s" % (per_page, quote(token, safe=""), query))
        r = c.getresponse()
        body = json.loads(r.read())
        same(r.status, 200, query)
        n += 1
        check(len(body) <= per_page, "a page of", len(body))
        found += body
        token = r.getheader("X-Nomad-NextToken") or ""
        if not token:
            return found
        check(n < 10 + JOBS, "pages without an end")


def walk(lab, server, what, query, per_page, want, reverse=False):
    got = [(j["Namespace"], j["ID"]) for j in pages(server, query, per_page)]
    same(len(got), len(set(got)), what + ": the number of different jobs")
    same(got, sorted(want, reverse=reverse), what)
    short_turns(lab, what)


def many_jobs_are_listed_by_pages_in_short_turns():
    lab = Lab(3)
    lab.servers[0].put("/v1/namespace/other", {"Name": "other"}).want(200)
    began = time.monotonic()
    register_all(lab, 0, JOBS)
    print("# %d jobs in %.1f s" % (JOBS, time.monotonic() - began), flush=True)
    short_turns(lab, "registering", strict=False)
    every = [("other" if i % 5 == 0 else "default", "list-%06d" % i) for i in range(JOBS)]
    mine = [e for e in every if e[0] == "default"]
    follower, leader = lab.followers()[0], lab.leader()
    big = max(100, JOBS // 20)
    walk(lab, leader, "pages of the leader", "", big, mine)
    walk(lab, follower, "pages of a follower", "namespace=*", big, every)
    walk(lab, follower, "stale pages, backwards", "stale&reverse=true&namespace=*", big, every, reverse=True)
    walk(lab, leader, "pages with meta", "meta=true", big // 2 + 1, mine)
    walk(lab, follower, "pages as large as they get", "namespace=*&meta=true", 10 ** 6, every)
    walk(lab, leader, "a prefix", "prefix=list-0000&namespace=*", 7, [e for e in every if e[1].startswith("list-0000")])
    walk(lab, leader, "a filter", "filter=" + quote("Priority == 17 and Type == batch"), 50,
         [e for i, e in enumerate(every) if i % 100 == 16 and e[0] == "default"])
    walk(lab, follower, "a filter for what is not in the list", "namespace=*&filter=" + quote('Meta.team == "t3"'), big,
         [e for i, e in enumerate(every) if i % 7 == 3])
    walk(lab, follower, "a filter that nothing passes", "namespace=*&filter=" + quote('ID matches "^nothing$"'), 10, [])
    same(len(leader.read("/v1/jobs?namespace=*", timeout=60)), JOBS)
    same(len(follower.read("/v1/jobs/statuses?namespace=*&per_page=50", timeout=60)), min(50, JOBS))
    short_turns(lab, "all at once")
    more = threading.Thread(target=register_all, args=(lab, JOBS, JOBS // 4, 4))
    more.start()
    got = {j["ID"] for j in pages(follower, "namespace=*", big)}
    more.join()
    check(got >= {e[1] for e in every}, "jobs are missing from pages that were made while others came")
    short_turns(lab, "pages while jobs are registered", strict=False)
    lab.same_state(seconds=30)


HOSTILE = 'job "x" { meta { a = length([for a in range(1000): length(regexall("(.{0,200}){1,10}x", format("%1000s", a)))]) } }'


def hostile_job_files_hold_nobody_up():
    lab = Lab(1)
    server, answers = lab.servers[0], []
    turns(server)

    def ask():
        answers.append(server.ask("POST", "/v1/jobs/parse", {"JobHCL": HOSTILE}, timeout=120))

    team = [threading.Thread(target=ask) for _ in range(60)]
    for t in team:
        t.start()
    slowest = 0
    while any(t.is_alive() for t in team):
        began = time.monotonic()
        server.read("/v1/status/leader")
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.02)
    for t in team:
        t.join()
    same(len(answers), 60)
    check({a.status for a in answers} <= {400, 429}, "answers:", sorted(a.status for a in answers))
    check(sum(a.status == 400 for a in answers) >= 2, "answers:", sorted(a.status for a in answers))
    short_turns(lab, "while job files are parsed")
    server.put("/v1/jobs/parse", {"JobHCL": 'job "x" { group "g" { task "t" { driver = "raw_exec" } } }'}).want(200)
    return "another request took %.3f s at most" % slowest


def a_server_that_ends_waits_for_what_is_parsed_and_for_no_more():
    lab = Lab(1)
    server, answers = lab.servers[0], []

    def ask():
        try:
            answers.append(server.ask("POST", "/v1/jobs/parse", {"JobHCL": HOSTILE}, timeout=60).status)
        except (OSError, http.client.HTTPException):
            answers.append(0)

    team = [threading.Thread(target=ask) for _ in range(20)]
    for t in team:
        t.start()
    time.sleep(0.1)
    took = server.end(seconds=60 if SANITIZED else 20)
    for t in team:
        t.join()
    same(len(answers), 20)
    check(set(answers) <= {0, 400, 429, 500, 503}, "answers:", sorted(answers))
    no_sanitizer_reports(lab)
    return "it took %.1f s; answers: %s" % (took, sorted(answers))


run(many_jobs_are_listed_by_pages_in_short_turns, hostile_job_files_hold_nobody_up,
    a_server_that_ends_waits_for_what_is_parsed_and_for_no_more)
