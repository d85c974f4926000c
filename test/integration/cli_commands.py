#!/usr/bin/env python3
"""The command line against a server that answers as written here: what is asked, what is printed, exit codes.

Prints `ok NAME` or `not ok NAME: why` for each case and exits non-zero on a failure. The program is $DROVER, or the one
under $BUILD, or in the working directory. Only the standard library is used."""
import http.server, json, os, signal, subprocess, sys, tempfile, threading, time, urllib.parse

from cases import Failure, check, quick, run_one

HERE = os.path.dirname(os.path.abspath(__file__))
ALLOC = "0a1b2c3d-1111-2222-3333-444444444444"
OTHER_ALLOC = "0a1b9999-1111-2222-3333-444444444444"
EVAL = "ee112233-1111-2222-3333-444444444444"
NODE = "99887766-1111-2222-3333-444444444444"
NOW = time.time_ns()


def find_program():
    for path in (os.environ.get("DROVER"), os.path.join(os.environ.get("BUILD", "."), "drover"), "drover"):
        if path and os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    sys.exit("drover is not built: run this in the build directory, or name the program in $DROVER")


DROVER = find_program()


# ---- the server

class Server:
    """Answers by (method, path); an answer is (status, body) or a function of the request. Remembers requests."""

    def __init__(self, answers):
        self.answers, self.requests = answers, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                url = urllib.parse.urlsplit(self.path)
                n = int(self.headers.get("Content-Length") or 0)
                request = {"method": self.command, "path": url.path, "raw": self.path, "query": dict(urllib.parse.parse_qsl(url.query)),
                           "headers": self.headers, "body": self.rfile.read(n)}
                outer.requests.append(request)
                answer = outer.answers.get((self.command, urllib.parse.unquote(url.path)), (404, "no such thing\n"))
                status, body = answer(request) if callable(answer) else answer
                data = body if isinstance(body, bytes) else \
                    (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("X-Nomad-Index", "7")
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = handle_any

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.http.server_port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def asked(self, method, path):
        found = [r for r in self.requests if (r["method"], r["path"]) == (method, path)]
        check(found, "no request", method, path, "in", [(r["method"], r["path"]) for r in self.requests])
        return found[-1]


class Result:
    def __init__(self, process):
        self.code, self.out, self.err = process.returncode, process.stdout.decode(), process.stderr.decode()

    def want(self, code, *pieces):
        check(self.code == code, "exit code", self.code, "not", code, "\n", self.out, self.err)
        for piece in pieces:
            check(piece in self.out + self.err, "no", repr(piece), "in\n", self.out, self.err)
        return self


def run(*words, env=None, stdin=b"", server=None):
    full = {k: v for k, v in os.environ.items() if not k.startswith("NOMAD_")}
    full.update(env or {}, TZ="UTC")
    if server:
        full["NOMAD_ADDR"] = server.url
    return Result(subprocess.run([DROVER, *words], env=full, input=stdin, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, timeout=120))


# ---- what it answers

JOB = {"ID": "web", "Name": "web", "Type": "service", "Priority": 50, "Datacenters": ["dc1", "dc2"], "Namespace": "default",
       "NodePool": "default", "Status": "running", "SubmitTime": 1769860800 * 10**9, "Version": 3}
STUB = {"ID": "web", "Name": "web", "Type": "service", "Priority": 50, "Status": "running", "SubmitTime": 1769860800 * 10**9}
ALLOC_STUB = {"ID": ALLOC, "EvalID": EVAL, "Name": "web.g[0]", "NodeID": NODE, "NodeName": "n1", "JobID": "web", "JobVersion": 3,
              "TaskGroup": "g", "DesiredStatus": "run", "ClientStatus": "running", "CreateTime": NOW - 7530 * 10**9,
              "ModifyTime": NOW - 3690 * 10**9, "CreateIndex": 5, "ModifyIndex": 5}
EVENTS = [{"Type": "Received", "Time": 1769860800 * 10**9, "DisplayMessage": "Task received by client"},
          {"Type": "Started", "Time": 1769860801 * 10**9, "DisplayMessage": "Task started\x1b[31m by client"}]
FULL_ALLOC = dict(ALLOC_STUB, Job=JOB, TaskStates={"t": {"State": "running", "Failed": False, "Restarts": 2,
                                                        "StartedAt": "2026-01-31T12:00:01Z", "Events": EVENTS}},
                  AllocatedResources={"Tasks": {"t": {"Cpu": {"CpuShares": 100}, "Memory": {"MemoryMB": 64}}},
                                      "Shared": {"DiskMB": 300, "Ports": [{"Label": "http", "Value": 8080, "To": 80,
                                                                           "HostIP": "10.0.0.1"}]}})
METRIC = {"NodesEvaluated": 3, "NodesFiltered": 1, "NodesExhausted": 2, "CoalescedFailures": 1, "NodesAvailable": {"dc1": 3},
          "ConstraintFiltered": {"${attr.kernel.name} = windows": 1}, "DimensionExhausted": {"memory": 2}}
EVALUATION = {"ID": EVAL, "Priority": 50, "Type": "service", "TriggeredBy": "job-register", "Namespace": "default",
              "JobID": "web", "Status": "complete", "CreateTime": NOW, "ModifyTime": NOW}
BLOCKED = dict(EVALUATION, FailedTGAllocs={"g": METRIC}, BlockedEval="bb112233-1111-2222-3333-444444444444")
NODE_STUB = {"ID": NODE, "Name": "n1", "Datacenter": "dc1", "NodeClass": "", "NodePool": "default", "Drain": False,
             "SchedulingEligibility": "eligible", "Status": "ready", "Address": "10.0.0.1", "Version": "2.0.6"}
FULL_NODE = dict(NODE_STUB, Attributes={"kernel.name": "linux"}, Meta={"owner": "ops"},
                 Drivers={"raw_exec": {"Detected": True, "Healthy": True}, "docker": {"Detected": False}},
                 NodeResources={"Cpu": {"CpuShares": 4000}, "Memory": {"MemoryMB": 2048}, "Disk": {"DiskMB": 9000}},
                 Events=[{"Message": "Node registered", "Subsystem": "Cluster", "Timestamp": "2026-01-31T12:00:00Z"}])
MEMBERS = {"ServerName": "s1", "ServerRegion": "global", "ServerDC": "dc1", "Members": [
    {"Name": "s%d.global" % i, "Addr": "10.0.0.%d" % i, "Port": 4648, "Status": "alive",
     "Tags": {"port": "4647", "dc": "dc1", "region": "global", "build": "2.0.6", "raft_vsn": "3"}} for i in (1, 2)]}


def cluster(**more):
    answers = {
        ("GET", "/v1/jobs"): (200, [STUB]),
        ("GET", "/v1/job/web"): (200, JOB),
        ("GET", "/v1/job/web/summary"): (200, {"JobID": "web", "Summary": {"g": {"Running": 2, "Queued": 1}}}),
        ("GET", "/v1/job/web/evaluations"): (200, [EVALUATION]),
        ("GET", "/v1/job/web/deployment"): (200, "null"),
        ("GET", "/v1/job/web/allocations"): (200, [ALLOC_STUB]),
        ("GET", "/v1/allocations"): (200, [ALLOC_STUB]),
        ("GET", "/v1/allocation/" + ALLOC): (200, FULL_ALLOC),
        ("GET", "/v1/evaluations"): (200, [EVALUATION]),
        ("GET", "/v1/evaluation/" + EVAL): (200, EVALUATION),
        ("GET", "/v1/evaluation/" + EVAL + "/allocations"): (200, [ALLOC_STUB]),
        ("GET", "/v1/nodes"): (200, [NODE_STUB]),
        ("GET", "/v1/node/" + NODE): (200, FULL_NODE),
        ("GET", "/v1/node/" + NODE + "/allocations"): (200, [FULL_ALLOC]),
        ("GET", "/v1/agent/members"): (200, MEMBERS),
        ("GET", "/v1/status/leader"): (200, '"10.0.0.2:4647"'),
        ("PUT", "/v1/jobs"): (200, {"EvalID": EVAL, "JobModifyIndex": 9, "Warnings": ""}),
        ("PUT", "/v1/system/gc"): (200, ""),
        ("DELETE", "/v1/job/web"): (200, {"EvalID": EVAL, "JobModifyIndex": 9}),
    }
    answers.update({tuple(k.split(" ")): v for k, v in more.items()})
    return Server(answers)


def in_file(text, suffix):
    f = tempfile.NamedTemporaryFile("w", suffix=suffix, delete=False)
    f.write(text)
    f.close()
    return f.name


# ---- the program itself

def versions_are_printed():
    for words in (["version"], ["-version"], ["--version"], ["-v"]):
        check(run(*words).want(0).out.startswith("drover v"), words)


def commands_that_do_not_exist_are_127():
    run().want(127, "Usage: drover")
    run("fly").want(127, 'unknown command "fly"', "Usage: drover")
    run("job", "fly").want(127, 'unknown subcommand "job fly"', "status")
    run("help", "fly").want(127, 'unknown command "fly"')


def help_is_given_for_all():
    out = run("help").want(0, "agent", "job ", "operator").out
    check(run("-h").want(0).out == out)
    run("help", "job").want(0, "Subcommands:", "stop")
    run("job", "-h").want(0, "Subcommands:")
    run("job").want(1, "Subcommands:")
    for words in (["job", "run"], ["agent"], ["alloc", "logs"], ["operator", "api"], ["server", "members"], ["status"],
                  ["job", "dispatch"], ["node", "drain"], ["deployment", "promote"], ["monitor"]):
        text = run("help", *words).want(0, "Usage: drover " + " ".join(words)).out
        check(run(*words, "-h").want(0).out == text, words)
        check(run(*words, "--help").want(0).out == text, words)
        check(max(len(line) for line in text.splitlines()) <= 80, "a long line in", words)
    run("run", "-h").want(0, "Usage: drover job run")


def misuse_is_told():
    run("job", "status", "-fly").want(1, "drover job status: unknown option -fly", "drover help job status")
    run("job", "run").want(1, "too few arguments: it takes 1")
    run("job", "status", "a", "b").want(1, "too many arguments: it takes 0 to 1")
    run("job", "run", "x.json", "-check-index").want(1, "-check-index needs a value")
    run("job", "status", "-address", "ftp://x").want(1, "the address must begin with http://")


def a_server_that_is_not_there_is_an_error():
    run("job", "status", "-address", "http://127.0.0.1:1").want(1, "Error querying jobs: ", "127.0.0.1")


# ---- what requests carry

def flags_come_before_the_environment():
    s = cluster()
    run("job", "status", server=s, env={"NOMAD_TOKEN": "t1", "NOMAD_REGION": "r1", "NOMAD_NAMESPACE": "n 1"}).want(0)
    r = s.asked("GET", "/v1/jobs")
    check(r["headers"]["X-Nomad-Token"] == "t1" and r["query"] == {"namespace": "n 1", "region": "r1"}, r)
    run("job", "status", "-token=t2", "--region", "r2", "-namespace=*", "-address", s.url + "/",
        env={"NOMAD_TOKEN": "t1", "NOMAD_REGION": "r1", "NOMAD_ADDR": "http://127.0.0.1:1"}).want(0)
    r = s.asked("GET", "/v1/jobs")
    check(r["headers"]["X-Nomad-Token"] == "t2" and r["query"] == {"namespace": "*", "region": "r2"}, r)


def errors_show_the_servers_text():
    s = Server({("GET", "/v1/jobs"): (500, "No cluster leader\n")})
    run("job", "status", server=s).want(1, "Error querying jobs: Unexpected response code: 500 (No cluster leader)\n")


def answers_that_make_no_sense_are_errors():
    for body in ("", "nonsense", '{"a":1}', '[{"ID": 7}]', "[" * 1000):
        run("job", "status", server=Server({("GET", "/v1/jobs"): (200, body)})).want(1, "the answer makes no sense")


# ---- jobs

def jobs_are_listed():
    r = run("job", "status", server=cluster()).want(0)
    check(r.out == "ID   Type     Priority  Status   Submit Date\n"
                   "web  service  50        running  2026-01-31T12:00:00Z\n", r.out)
    run("status", server=cluster()).want(0, "web  service")
    run("job", "status", server=cluster(**{"GET /v1/jobs": (200, "[]")})).want(0, "No running jobs")
    stopped = dict(STUB, Stop=True, Status="dead", Type="batch", Periodic=True)
    run("job", "status", server=cluster(**{"GET /v1/jobs": (200, [stopped])})).want(0, "batch/periodic", "dead (stopped)")


def a_jobs_status_is_shown():
    s = cluster(**{"GET /v1/job/web/evaluations": (200, [dict(BLOCKED, Status="blocked")])})
    r = run("job", "status", "web", server=s)
    r.want(0, "ID            = web\n", "Datacenters   = dc1,dc2\n", "Parameterized = false\n",
           "Task Group  Queued  Starting  Running  Failed  Complete  Lost  Unknown\n"
           "g           1       0         2        0       0         0     0\n",
           "Placement Failure\nTask Group \"g\" (failed to place 2 allocations):\n"
           "  * Constraint \"${attr.kernel.name} = windows\": 1 nodes excluded by filter\n"
           "  * Resources exhausted on 2 nodes\n  * Dimension \"memory\" exhausted on 2 nodes\n",
           "0a1b2c3d  99887766  g           3        run      running  2h5m ago  1h1m ago\n")
    run("job", "status", "-short", "we", server=cluster()).want(0, "Status        = running")
    check("Summary" not in run("job", "status", "-short", "web", server=cluster()).out)
    check(json.loads(run("job", "status", "-json", "web", server=cluster()).want(0).out) == JOB)


def a_latest_deployment_is_shown():
    d = {"ID": EVAL, "Status": "running", "StatusDescription": "Deployment is running",
         "TaskGroups": {"g": {"DesiredTotal": 2, "PlacedAllocs": 2, "HealthyAllocs": 1}}}
    run("job", "status", "web", server=cluster(**{"GET /v1/job/web/deployment": (200, d)})).want(
        0, "Latest Deployment\nID          = ee112233\n", "g           2        0         2       1        0          N/A\n")


def an_ambiguous_job_is_not_guessed():
    s = cluster(**{"GET /v1/jobs": (200, [dict(STUB, ID="web1"), dict(STUB, ID="web2")])})
    run("job", "status", "we", server=s).want(1, "Prefix matched multiple jobs", "web1", "web2")
    run("job", "stop", "we", server=s).want(1, "Prefix matched multiple jobs")
    run("job", "status", "nope", server=cluster()).want(1, 'No job(s) with prefix or id "nope" found')


def ids_are_encoded_in_paths():
    name = "a/b c?d"
    s = cluster(**{"GET /v1/jobs": (200, [dict(STUB, ID=name)])})
    s.answers[("GET", "/v1/job/" + name)] = (200, dict(JOB, ID=name))
    run("job", "status", "-short", name, server=s).want(0, "ID            = a/b c?d")
    check(s.requests[-1]["path"] == "/v1/job/a%2Fb%20c%3Fd", s.requests[-1])


def a_job_file_is_submitted_and_followed():
    looks = []

    def evaluation(_):
        looks.append(1)
        return 200, dict(EVALUATION, Status="pending" if len(looks) < 3 else "complete")

    s = cluster(**{"GET /v1/evaluation/" + EVAL: evaluation})
    path = in_file(json.dumps({"Job": dict(JOB, Mystery=[1]), "Other": 1}), ".json")
    r = run("job", "run", path, server=s).want(
        0, 'Monitoring evaluation "ee112233"', 'Evaluation triggered by job "web"',
        'Allocation "0a1b2c3d" created: node "99887766", group "g"',
        'Evaluation status changed: "pending" -> "complete"', 'Evaluation "ee112233" finished with status "complete"')
    body = json.loads(s.asked("PUT", "/v1/jobs")["body"])
    check(body["Job"]["Mystery"] == [1] and "EnforceIndex" not in body, body)
    check(json.loads(body["Submission"]["Source"])["Other"] == 1 and body["Submission"]["Format"] == "json", body)
    check(s.asked("PUT", "/v1/jobs")["query"] == {"namespace": "default"}, "the job's namespace")
    os.unlink(path)
    return r


def options_of_job_run_reach_the_server():
    s = cluster()
    text = json.dumps(dict(JOB, Region="eu", Namespace="prod")).encode()
    r = run("job", "run", "-detach", "-check-index", "0", "-eval-priority=70", "-preserve-counts", "-", server=s, stdin=text)
    r.want(0, "Job registration successful\nEvaluation ID: " + EVAL)
    request = s.asked("PUT", "/v1/jobs")
    body = json.loads(request["body"])
    check(request["query"] == {"namespace": "prod", "region": "eu"}, request["query"])
    check(body["EnforceIndex"] is True and body["JobModifyIndex"] == 0 and body["EvalPriority"] == 70, body)
    check(body["PreserveCounts"] is True, body)
    run("job", "run", "-check-index=x", "-", server=s, stdin=text).want(1, "-check-index: a number is needed")


def failed_placements_are_exit_code_2():
    s = cluster(**{"GET /v1/evaluation/" + EVAL: (200, BLOCKED)})
    run("job", "run", "-", server=s, stdin=json.dumps(JOB).encode()).want(
        2, "but failed to place all allocations:", 'Task Group "g" (failed to place 2 allocations):',
        'Evaluation "bb112233" waiting for additional capacity to place remainder')


def a_failed_evaluation_is_exit_code_1():
    s = cluster(**{"GET /v1/evaluation/" + EVAL: (200, dict(EVALUATION, Status="failed", StatusDescription="too bad"))})
    run("job", "run", "-", server=s, stdin=json.dumps(JOB).encode()).want(1, 'finished with status "failed"', "too bad")


def hcl_goes_through_the_server():
    s = cluster(**{"POST /v1/jobs/parse": (200, dict(JOB, ID="parsed"))})
    path = in_file('job "web" {}\n', ".hcl")
    run("job", "run", "-detach", "-var", "a=x \"y\"", "-var", "b=2", path, server=s).want(0)
    parse = json.loads(s.asked("POST", "/v1/jobs/parse")["body"])
    check(parse == {"JobHCL": 'job "web" {}\n', "Canonicalize": False, "Variables": 'a = "x \\"y\\""\nb = "2"\n'}, parse)
    body = json.loads(s.asked("PUT", "/v1/jobs")["body"])
    check(body["Job"]["ID"] == "parsed" and body["Submission"]["Format"] == "hcl2", body)
    check(body["Submission"]["Variables"] == parse["Variables"], body)
    run("job", "run", path, server=cluster(**{"POST /v1/jobs/parse": (404, "")})).want(1, "does not parse HCL", "JSON")
    run("job", "run", path, server=cluster(**{"POST /v1/jobs/parse": (500, "line 3: bad\n")})).want(1, "line 3: bad")
    os.unlink(path)


def variables_come_from_the_environment_files_and_the_command_line():
    s = cluster(**{"POST /v1/jobs/parse": (200, JOB)})
    path = in_file('job "web" {}\n', ".hcl")
    first = in_file('a = "file"\nb = ["file"]\n', ".vars")
    second = in_file('b = 7\n', ".vars")
    run("job", "run", "-detach", "-var", "c=flag", "-var-file", first, "-var-file=" + second, path, server=s,
        env={"NOMAD_VAR_a": "env", "NOMAD_VAR_d": "env"}).want(0)
    text = json.loads(s.asked("POST", "/v1/jobs/parse")["body"])["Variables"]
    check(sorted(text.splitlines()) == ['a = "file"', 'b = 7', 'c = "flag"', 'd = "env"'], text)
    bad = in_file("a = \n", ".vars")
    run("job", "run", "-var-file", bad, path, server=s).want(1, bad + ":1,5: expected an expression")
    for name in (path, first, second, bad):
        os.unlink(name)


def what_a_job_file_leaves_open_is_the_commands_to_say():
    s = cluster(**{"POST /v1/jobs/parse": (200, {"ID": "web", "Namespace": None, "Region": None})})
    path = in_file('job "web" {}\n', ".hcl")
    run("job", "run", "-detach", "-namespace=prod", path, server=s).want(0)
    check(s.asked("PUT", "/v1/jobs")["query"] == {"namespace": "prod"}, s.asked("PUT", "/v1/jobs")["query"])
    os.unlink(path)


def job_files_are_validated():
    text = json.dumps(JOB).encode()
    s = cluster(**{"PUT /v1/validate/job": (200, {"Error": "", "Warnings": "old things"})})
    run("job", "validate", "-", server=s, stdin=text).want(0, "Job validation successful", "Job Warnings:", "old things")
    check(json.loads(s.asked("PUT", "/v1/validate/job")["body"]) == {"Job": JOB}, "the job is sent")
    s = cluster(**{"PUT /v1/validate/job": (200, {"Error": "1 error occurred:\n\t* Missing job ID", "Warnings": ""})})
    run("validate", "-", server=s, stdin=text).want(1, "Job validation errors:", "* Missing job ID")
    run("validate", "-", server=cluster(**{"PUT /v1/validate/job": (500, "broken")}), stdin=text).want(1, "broken")


def plans_are_shown():
    field = {"Type": "Edited", "Name": "Count", "Old": "1", "New": "3", "Annotations": ["forces create"]}
    same = {"Type": "None", "Name": "Same", "Old": "x", "New": "x"}
    task = {"Type": "Edited", "Name": "t", "Annotations": ["forces create/destroy update"], "Objects": [
        {"Type": "Added", "Name": "Config", "Fields": [{"Type": "Added", "Name": "command", "Old": "", "New": "/bin/x"}]}]}
    diff = {"Type": "Edited", "ID": "web", "TaskGroups": [
        {"Type": "Edited", "Name": "g", "Updates": {"create": 2, "ignore": 1}, "Fields": [field, same], "Tasks": [task]}]}
    answer = {"Diff": diff, "JobModifyIndex": 7, "Warnings": "", "Annotations": {"DesiredTGUpdates": {"g": {"Place": 2}}}}
    s = cluster(**{"PUT /v1/job/web/plan": (200, answer)})
    text = json.dumps(JOB).encode()
    r = run("job", "plan", "-", server=s, stdin=text).want(
        1, '+/- Job: "web"\n', '+/- Task Group: "g" (2 create, 1 ignore)\n', '  +/- Count: "1" => "3" (forces create)\n',
        '  +/- Task: "t" (forces create/destroy update)\n', '    + Config {\n      + command: "/bin/x"\n    }\n',
        "- All tasks successfully allocated.", "drover job run -check-index 7 -\n")
    check("Same" not in r.out, r.out)
    check(json.loads(s.asked("PUT", "/v1/job/web/plan")["body"]) == {"Job": JOB, "Diff": True, "PolicyOverride": False}, "body")
    answer = {"JobModifyIndex": 0, "Annotations": {"DesiredTGUpdates": {"g": {"Ignore": 2}}},
              "FailedTGAllocs": {"g": {"NodesEvaluated": 0, "CoalescedFailures": 1}}}
    run("plan", "-diff=false", "-", server=cluster(**{"PUT /v1/job/web/plan": (200, answer)}), stdin=text).want(
        0, "WARNING: Failed to place all allocations.", 'Task Group "g" (failed to place 2 allocations)')
    run("plan", "-", server=cluster(**{"PUT /v1/job/web/plan": (500, "broken")}), stdin=text).want(255, "broken")


def a_request_can_be_printed_instead_of_sent():
    s = cluster()
    r = run("job", "run", "-output", "-", server=s, stdin=json.dumps(JOB).encode()).want(0)
    check(json.loads(r.out)["Job"] == JOB and s.requests == [], r.out)


def bad_job_files_are_told():
    run("job", "run", "/nonexistent/x.json", server=cluster()).want(1, "/nonexistent/x.json: No such file")
    run("job", "run", "-", server=cluster(), stdin=b'{"ID": "x"').want(1, "Error getting job struct: ")
    run("job", "run", "-", server=cluster(), stdin=b'{"ID": 7}').want(1, "Error getting job struct: ID ")
    s = cluster(**{"PUT /v1/jobs": (500, "1 error occurred:\n\t* Missing job datacenters\n")})
    run("job", "run", "-", server=s, stdin=json.dumps(JOB).encode()).want(
        1, "Error submitting job: Unexpected response code: 500 (1 error occurred:\n\t* Missing job datacenters)")


def jobs_are_stopped():
    s = cluster()
    run("job", "stop", "-purge", "web", server=s).want(0, 'finished with status "complete"')
    check(s.asked("DELETE", "/v1/job/web")["query"] == {"purge": "true"})
    run("stop", "-detach", "web", server=cluster()).want(0, EVAL)
    s = cluster()
    run("job", "stop", "we", server=s, stdin=b"n\n").want(1, 'Are you sure you want to stop job "web"? [y/N]')
    check(not [r for r in s.requests if r["method"] == "DELETE"])
    run("job", "stop", "-detach", "we", server=cluster(), stdin=b"y\n").want(0, EVAL)
    run("job", "stop", "-detach", "-yes", "we", server=cluster()).want(0, EVAL)


# ---- allocations, evaluations, nodes, servers

def an_allocations_status_is_shown():
    s = cluster()
    r = run("alloc", "status", "0a1b2", server=s)
    r.want(0, "Client Status       = running\n", "Client Description  = <none>\n", "Created             = 2h5m ago\n",
           "http   10.0.0.1:8080 -> 80\n", 'Task "t" is "running"\n', "100 MHz  64 MiB  300 MiB\n",
           "Total Restarts = 2\n", "Last Restart   = N/A\n",
           "2026-01-31T12:00:01Z  Started   Task started?[31m by client\n2026-01-31T12:00:00Z  Received  Task received")
    check("\x1b" not in r.out)
    check(s.asked("GET", "/v1/allocations")["query"] == {"prefix": "0a1b"}, "whole bytes are asked for")
    run("alloc", "status", "-short", ALLOC, server=cluster()).want(0, "t     running  Started     2026-01-31T12:00:01Z\n")
    run("alloc", "status", server=cluster()).want(0, "0a1b2c3d  99887766")
    run("alloc", "status", "0", server=cluster()).want(1, "at least two characters")
    both = cluster(**{"GET /v1/allocations": (200, [ALLOC_STUB, dict(ALLOC_STUB, ID=OTHER_ALLOC)])})
    run("alloc", "status", "0a1b", server=both).want(1, "Prefix matched multiple allocations", OTHER_ALLOC)
    run("alloc", "status", "0a1b2", server=both).want(0, "ID                  = 0a1b2c3d")


def logs_are_printed():
    text = b"".join(b"line %d\n" % i for i in range(20)) + b"\xff\x00end\n"

    def logs(r):
        check(r["query"]["task"] == "t" and r["query"]["plain"] == "true", r["query"])
        if r["query"]["type"] == "stderr":
            return 200, b"oops\n"
        n = int(r["query"]["offset"])
        return 200, text if r["query"]["origin"] == "start" else text[-n:] if n else b""

    def out(*words):
        s = cluster(**{"GET /v1/client/fs/logs/" + ALLOC: logs})
        p = subprocess.run([DROVER, "alloc", "logs", "-address", s.url, *words], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=120)
        check(p.returncode == 0, p.stderr)
        return p.stdout

    check(out("0a1b2c") == text)
    check(out("0a1b2c", "t") == text)
    check(out("-stderr", "0a1b2c") == b"oops\n")
    check(out("-stdout", "-stderr", "0a1b2c") == text + b"oops\n")
    check(out("-job", "web") == text)
    check(out("-job", "web", "t") == text)
    check(out("-tail", "0a1b2c") == b"".join(text.splitlines(True)[-10:]))
    check(out("-n", "1", "0a1b2c") == b"\xff\x00end\n")
    check(out("-n", "1000", "0a1b2c") == text)
    check(out("-c", "6", "0a1b2c") == b"\xff\x00end\n")
    check(sorted(out("-f", "0a1b2c")) == sorted(text + b"oops\n"))
    check(out("-f", "-stderr", "0a1b2c") == b"oops\n")
    s = cluster(**{"GET /v1/client/fs/logs/" + ALLOC: (404, "no logs here\n")})
    run("alloc", "logs", "0a1b2c", server=s).want(1, "Error reading logs: Unexpected response code: 404 (no logs here)")
    run("alloc", "logs", server=s).want(1, "An allocation ID or -job is needed")
    two = dict(FULL_ALLOC, TaskStates={"a": {}, "b": {}})
    run("alloc", "logs", "0a1b2c", server=cluster(**{"GET /v1/allocation/" + ALLOC: (200, two)})).want(
        1, "has 2 tasks", "* a", "* b")


def an_evaluations_status_is_shown():
    run("eval", "status", "ee11", server=cluster()).want(
        0, "Status             = complete\n", "TriggeredBy        = job-register\n", "Placement Failures = false\n",
        "0a1b2c3d  99887766")
    run("eval", "status", "ee11", server=cluster(**{"GET /v1/evaluation/" + EVAL: (200, BLOCKED)})).want(
        0, "==> Failed Placements\nTask Group \"g\" (failed to place 2 allocations):", 'Evaluation "bb112233" waiting')
    run("eval", "status", "-monitor", "ee11", server=cluster()).want(0, 'finished with status "complete"')
    run("eval", "status", server=cluster()).want(0, "ee112233  50        job-register  web")


def a_nodes_status_is_shown():
    r = run("node", "status", server=cluster()).want(0)
    check(r.out == "ID        Node Pool  DC   Name  Class   Drain  Eligibility  Status\n"
                   "99887766  default    dc1  n1    <none>  false  eligible     ready\n", r.out)
    run("node", "status", "9988", server=cluster()).want(
        0, "Driver Status = raw_exec\n", "Node registered", "100/4000 MHz  64/2048 MiB  300/9000 MiB\n",
        "0a1b2c3d  web     g           3")
    run("node", "status", "-verbose", "9988", server=cluster()).want(0, "kernel.name = linux\n", "owner = ops\n")
    own = {"stats": {"client": {"node_id": NODE}, "nomad": {}}, "config": {}, "member": {}}
    run("node", "status", "-self", server=cluster(**{"GET /v1/agent/self": (200, own)})).want(0, "ID            = 99887766")
    run("node", "status", "-self", server=cluster(**{"GET /v1/agent/self": (200, {"stats": {}})})).want(1, "no client")


def members_are_listed():
    run("server", "members", server=cluster()).want(
        0, "Name       Address   Port  Status  Leader  Raft Version  Build  Datacenter  Region\n"
           "s1.global  10.0.0.1  4648  alive   false   3             2.0.6  dc1         global\n"
           "s2.global  10.0.0.2  4648  alive   true    3             2.0.6  dc1         global\n")
    s = cluster(**{"GET /v1/status/leader": (500, "No cluster leader")})
    run("server", "members", server=s).want(0, "Error determining leader: ", "s1.global  10.0.0.1  4648  alive   false")


def status_finds_out_what_an_id_is_of():
    run("status", "web", server=cluster(**{"GET /v1/allocations": (200, "[]")})).want(0, "Node Pool     = default")
    none = {"GET /v1/jobs": (200, "[]")}
    run("status", "0a1b", server=cluster(**none)).want(0, "Name                = web.g[0]")
    run("status", "ee11", server=cluster(**none)).want(0, "TriggeredBy")
    run("status", "9988", server=cluster(**none)).want(0, "Driver Status")
    run("status", "77", server=cluster(**none)).want(1, 'No matches found for id "77"')
    run("status", "0a1b", server=cluster(**{"GET /v1/jobs": (200, [dict(STUB, ID="0a1b")])})).want(
        1, "Multiple matches found", "jobs and allocations")


def garbage_is_collected():
    s = cluster()
    check(run("system", "gc", server=s).want(0).out == "")
    s.asked("PUT", "/v1/system/gc")
    run("system", "gc", server=Server({})).want(1, "Unexpected response code: 404 (no such thing)")


DEPLOYMENT = "dd112233-1111-2222-3333-444444444444"


def changes_are_one_request_each():
    """(words, what is asked, the body it has, what is printed)"""
    name = in_file("a payload", ".txt")
    web, alloc, client = "/v1/job/web", "/v1/allocation/" + ALLOC, "/v1/client/allocation/" + ALLOC
    node, deployment = "/v1/node/" + NODE, "/v1/deployment/%s/" + DEPLOYMENT
    cases = [
        ("job eval -force-reschedule web", web + "/evaluate", {"JobID": "web", "EvalOptions": {"ForceReschedule": True}}, "EV"),
        ("job periodic force web", web + "/periodic/force", None, "EV"),
        ("job revert web 2", web + "/revert", {"JobID": "web", "JobVersion": 2}, "EV"),
        ("job scale web g 4", web + "/scale", {"Count": 4, "Target": {"Group": "g"}, "Message": "submitted using the drover CLI"}, "EV"),
        ("job dispatch -meta a=b=c web " + name, web + "/dispatch",
         {"JobID": "web", "Payload": "YSBwYXlsb2Fk", "Meta": {"a": "b=c"}}, "EV"),
        ("job dispatch web", web + "/dispatch", {"JobID": "web", "Meta": {}}, "EV"),
        ("job promote web", deployment % "promote", {"DeploymentID": DEPLOYMENT, "All": True}, "EV"),
        ("alloc stop 0a1b", alloc + "/stop", None, "EV"),
        ("alloc restart -all-tasks 0a1b t", client + "/restart", {"TaskName": "t", "AllTasks": True}, ""),
        ("alloc signal -s SIGHUP 0a1b", client + "/signal", {"Signal": "SIGHUP", "Task": ""}, ""),
        ("deployment fail dd11", deployment % "fail", {"DeploymentID": DEPLOYMENT}, "EV"),
        ("deployment pause dd11", deployment % "pause", {"DeploymentID": DEPLOYMENT, "Pause": True}, "EV"),
        ("deployment resume dd11", deployment % "pause", {"DeploymentID": DEPLOYMENT, "Pause": False}, "EV"),
        ("deployment promote dd11 a b", deployment % "promote", {"DeploymentID": DEPLOYMENT, "Groups": ["a", "b"]}, "EV"),
        ("node eligibility -disable 9988", node + "/eligibility", {"NodeID": NODE, "Eligibility": "ineligible"}, "not eligible"),
        ("node drain -enable -deadline 30m -ignore-system 9988", node + "/drain",
         {"NodeID": NODE, "DrainSpec": {"Deadline": 1800 * 10**9, "IgnoreSystemJobs": True}, "MarkEligible": False}, "being drained"),
        ("node drain -enable -force 9988", node + "/drain",
         {"NodeID": NODE, "DrainSpec": {"Deadline": -1, "IgnoreSystemJobs": False}, "MarkEligible": False}, "being drained"),
        ("node drain -disable 9988", node + "/drain", {"NodeID": NODE, "DrainSpec": None, "MarkEligible": True}, "over"),
        ("namespace apply -description d x", "/v1/namespace", {"Name": "x", "Description": "d"}, ""),
        ("job tag apply -name gold -version 2 web", web + "/versions/gold/tag", {"Description": "", "Version": 2}, ""),
        ("job tag apply -name gold -description x web", web + "/versions/gold/tag", {"Description": "x"}, ""),
        ("system reconcile summaries", "/v1/system/reconcile/summaries", None, ""),
    ]
    for words, path, body, printed in cases:
        answer = {"EvalID": EVAL} if printed == "EV" else {} if "client" in path else {"NodeModifyIndex": 3}
        s = cluster(**{"PUT " + path: (200, answer), "GET /v1/deployments": (200, [{"ID": DEPLOYMENT, "JobID": "web"}]),
                       "GET /v1/job/web/deployment": (200, {"ID": DEPLOYMENT, "JobID": "web", "Status": "running"})})
        detach = ["-detach"] if printed == "EV" else []
        first = words.split(" ")
        r = run(*first, *detach, server=s).want(0, EVAL + "\n" if printed == "EV" else printed)
        asked = s.asked("PUT", path)["body"]
        said = json.loads(asked) if asked else None
        if words.startswith("namespace"):
            said = {k: v for k, v in said.items() if v}
        check(said == body, words, asked)
        if printed == "EV" and not words.startswith("job dispatch"):
            run(*first, server=s).want(0, "complete")
        broken = cluster(**{"GET /v1/deployments": (200, [{"ID": DEPLOYMENT}]),
                            "GET /v1/job/web/deployment": (200, {"ID": DEPLOYMENT})})
        run(*first, server=broken).want(1, "404")
    os.unlink(name)
    for words in ("job revert web x", "job scale web g -1", "node drain 9988", "node drain -enable -disable 9988",
                  "node drain -enable -deadline soon 9988", "job dispatch -meta x web", "job dispatch web /no/such/file",
                  "job tag apply web", "job tag unset web", "node meta apply x", "node meta apply =x",
                  "job promote web", "deployment fail zzzz", "alloc stop zz"):
        run(*words.split(" "), server=cluster(**{"GET /v1/deployments": (200, [])})).want(1)


def metadata_is_changed_and_tags_are_unset():
    meta = {"Meta": {"a": "1"}, "Dynamic": {}, "Static": {"a": "1"}}
    s = cluster(**{"POST /v1/client/metadata": (200, meta), "GET /v1/client/metadata": (200, meta),
                   "DELETE /v1/job/web/versions/gold/tag": (200, {})})
    run("node", "meta", "apply", "-unset", "x,y", "-node-id", NODE, "a=b=c", "d=", server=s).want(0)
    asked = s.asked("POST", "/v1/client/metadata")
    check(json.loads(asked["body"]) == {"NodeID": NODE, "Meta": {"x": None, "y": None, "a": "b=c", "d": ""}}, asked["body"])
    check(asked["query"] == {"node_id": NODE}, asked["query"])
    check(json.loads(run("node", "meta", "read", server=s).want(0).out) == meta)
    run("job", "tag", "unset", "-name", "gold", "web", server=s).want(0)
    s.asked("DELETE", "/v1/job/web/versions/gold/tag")


def a_stopped_job_is_started_again():
    s = cluster(**{"GET /v1/job/web": (200, dict(JOB, Stop=True))})
    run("job", "start", "-detach", "web", server=s).want(0, EVAL)
    sent = json.loads(s.asked("PUT", "/v1/jobs")["body"])["Job"]
    check((sent["ID"], sent["Stop"], sent["Priority"]) == ("web", False, 50), sent)
    run("job", "start", "web", server=cluster()).want(1, "is not stopped")


def pools_and_namespaces_are_shown():
    s = cluster(**{"GET /v1/node/pool/a%b": (200, {"Name": "a%b"}), "GET /v1/node/pool/all/nodes": (200, [NODE_STUB]),
                   "GET /v1/node/pool/all/jobs": (200, [STUB]), "DELETE /v1/node/pool/x": (200, ""),
                   "GET /v1/namespace/default": (200, {"Name": "default"}), "DELETE /v1/namespace/x": (200, ""),
                   "GET /v1/metrics": lambda r: (200, "text" if r["query"].get("format") else {"Gauges": []}),
                   "GET /v1/scaling/policies": (200, [{"ID": "p1", "Enabled": True, "Type": "horizontal"}])})
    run("node", "pool", "info", "a%b", server=s).want(0, '"a%b"')
    run("node", "pool", "nodes", "all", server=s).want(0, NODE, "eligible")
    run("node", "pool", "jobs", "all", server=s).want(0, "web", "running")
    run("node", "pool", "delete", "x", server=s).want(0)
    run("namespace", "inspect", "default", server=s).want(0, "default")
    run("namespace", "delete", "x", server=s).want(0)
    run("operator", "metrics", server=s).want(0, "Gauges")
    run("operator", "metrics", "-format", "prometheus", server=s).want(0, "text")
    run("scaling", "policy", "list", server=s).want(0, "p1  true     horizontal")
    for words in ("node pool info x", "node pool delete y", "namespace inspect x", "namespace delete y"):
        run(*words.split(" "), server=s).want(1, "404")


def files_are_listed_and_printed():
    entry = {"Name": "local", "IsDir": True, "Size": 4096, "FileMode": "drwxr-xr-x", "ModTime": "2026-01-31T12:00:00Z"}
    s = cluster(**{"GET /v1/client/fs/stat/" + ALLOC: lambda r: (200, dict(entry, IsDir=r["query"]["path"] == "/")),
                   "GET /v1/client/fs/ls/" + ALLOC: (200, [entry]), "GET /v1/client/fs/cat/" + ALLOC: (200, b"\x00raw")})
    run("alloc", "fs", "0a1b", server=s).want(0, "FileMode", "drwxr-xr-x  4096")
    run("alloc", "fs", "-stat", "0a1b", "t/local", server=s).want(0, "Size     = 4096")
    check(run("alloc", "fs", "0a1b", "t/local/f", server=s).want(0).out == "\x00raw")
    check(s.asked("GET", "/v1/client/fs/cat/" + ALLOC)["query"] == {"path": "t/local/f"})
    run("alloc", "fs", "0a1b", server=cluster()).want(1, "404")


def lists_are_tables_or_json():
    deployment = {"ID": DEPLOYMENT, "JobID": "web", "JobVersion": 3, "Status": "running", "StatusDescription": "it\x1b[31m runs"}
    s = cluster(**{"GET /v1/deployments": (200, [deployment]), "GET /v1/deployment/" + DEPLOYMENT: (200, deployment),
                   "GET /v1/job/web/deployments": (200, [deployment]), "GET /v1/job/web/scale": (200, {"JobID": "web"}),
                   "GET /v1/job/web/versions": (200, {"Versions": [JOB]}),
                   "GET /v1/namespaces": (200, [{"Name": "default", "Description": "The default"}]),
                   "GET /v1/node/pools": (200, [{"Name": "all", "Description": ""}]),
                   "GET /v1/client/allocation/%s/checks" % ALLOC: (200, {}),
                   "GET /v1/operator/scheduler/configuration": (200, {"SchedulerConfig": {"SchedulerAlgorithm": "binpack"}})})
    run("deployment", "list", server=s).want(0, "StatusDescription", DEPLOYMENT, "it?[31m runs")
    check(json.loads(run("deployment", "list", "-json", server=s).out) == [deployment])
    run("deployment", "status", "dd11", server=s).want(0, "JobVersion        = 3")
    run("job", "deployments", "web", server=s).want(0, DEPLOYMENT)
    run("job", "allocs", "web", server=s).want(0, ALLOC[:8], "running")
    check(json.loads(run("job", "inspect", "web", "2", server=s).want(0).out)["ID"] == "web")
    check(s.asked("GET", "/v1/job/web")["query"]["version"] == "2")
    run("job", "history", "web", server=s).want(0, "Versions")
    run("job", "scaling-events", "web", server=s).want(0, "JobID")
    run("eval", "list", "-job", "web", "-status", "complete", server=s).want(0, EVAL, "job-register")
    check(s.asked("GET", "/v1/evaluations")["query"] == {"job": "web", "status": "complete"})
    run("namespace", "list", server=s).want(0, "default  The default")
    run("node", "pool", "list", server=s).want(0, "all   <none>")
    run("alloc", "checks", "0a1b", server=s).want(0, "{}")
    run("operator", "scheduler", "get-config", server=s).want(0, "binpack")


def a_log_is_followed():
    s = cluster(**{"GET /v1/agent/monitor": (200, "2026-11-22 [INFO] a line\n")})
    run("monitor", "-log-level", "debug", "-node-id", NODE, "-json", server=s).want(0, "[INFO] a line")
    check(s.asked("GET", "/v1/agent/monitor")["query"] == {"plain": "true", "log_level": "debug", "node_id": NODE, "log_json": "true"})
    bad = cluster(**{"GET /v1/agent/monitor": (400, "Unknown log level: loud")})
    run("monitor", "-log-level", "loud", server=bad).want(1, "Unknown log level: loud")


def any_request_can_be_made():
    s = cluster(**{"POST /v1/x": (200, b"a\x00b"), "PUT /v1/x": (200, "put"), "DELETE /v1/x": (204, "")})
    check(run("operator", "api", "/v1/jobs", server=s).want(0).out == json.dumps([STUB]))
    check(run("operator", "api", "-X", "POST", "-d", "data", "v1/x?a=b", server=s, env={"NOMAD_TOKEN": "t"}).out == "a\0b")
    r = s.asked("POST", "/v1/x")
    check(r["query"] == {"a": "b"} and r["body"] == b"data" and r["headers"]["X-Nomad-Token"] == "t", r)
    run("operator", "api", "-d", "@-", "-H", "X-Extra: 1", "/v1/x", server=s, stdin=b"from stdin").want(0, "put")
    r = s.asked("PUT", "/v1/x")
    check(r["body"] == b"from stdin" and r["headers"]["X-Extra"] == "1", r)
    run("operator", "api", "-X", "DELETE", "/v1/x", server=s).want(0)
    run("operator", "api", "-verbose", "/v1/nope", server=s).want(1, "no such thing", "< 404")


# ---- configuration and the agent

VAR = {"Namespace": "default", "Path": "app/db", "CreateIndex": 5, "ModifyIndex": 9, "CreateTime": 1769860800 * 10**9,
       "ModifyTime": 1769860801 * 10**9, "Items": {"pass": "x=1", "user": "me"}}


def put_var(request):
    body = json.loads(request["body"])
    if request["query"].get("cas") == "7":
        return 409, VAR
    return 200, dict(VAR, Items=body["Items"], **({"CreateIndex": 9} if request["query"].get("cas") == "0" else {}))


def variables_are_put():
    s = Server({("PUT", "/v1/var/app/db"): put_var})
    run("var", "put", "app/db", "user=me", "pass=x=1", server=s).want(0, 'Successfully updated variable "app/db"!')
    sent = json.loads(s.asked("PUT", "/v1/var/app/db")["body"])
    check((sent["Path"], sent["Items"]) == ("app/db", {"user": "me", "pass": "x=1"}), sent)
    check("cas" not in s.requests[-1]["query"], s.requests[-1]["query"])
    run("var", "put", "-check-index", "0", "-out", "table", "app/db", "a=b", server=s).want(0, "created variable", "Check Index", "a = b")
    run("var", "put", "-check-index", "7", "app/db", "a=b", server=s).want(1, "Check-and-Set conflict", "check index 9")
    spec = in_file(json.dumps(dict(VAR, ModifyIndex=9)), ".json")
    run("var", "put", "@" + spec, "user=you", server=s).want(0)
    sent = s.requests[-1]
    check((json.loads(sent["body"])["Items"], sent["query"]["cas"]) == ({"user": "you", "pass": "x=1"}, "9"), sent)
    run("var", "put", "-force", "-", "k=-", stdin=b"", server=s).want(1, "cannot be read")
    run("var", "put", "-force", "-", stdin=json.dumps(VAR).encode(), server=s).want(0)
    check("cas" not in s.requests[-1]["query"], s.requests[-1]["query"])
    run("var", "put", "app/db", "k=-", stdin=b"from\nstdin", server=s).want(0)
    check(json.loads(s.requests[-1]["body"])["Items"] == {"k": "from\nstdin"}, s.requests[-1]["body"])
    hcl = in_file('path = "app/db"\nitems {\n  user = "hcl"\n}\n', ".hcl")
    run("var", "put", "@" + hcl, server=s).want(0)
    check(json.loads(s.requests[-1]["body"])["Items"] == {"user": "hcl"}, s.requests[-1]["body"])
    bad = in_file('path = "app/db"\nodd = 1\n', ".hcl")
    run("var", "put", "@" + bad, server=s).want(1, ":2,1: error", "odd")
    run("var", "put", "app/db", "novalue", server=s).want(1, '"novalue" is not KEY=VALUE')
    run("var", "put", "-out", "yaml", "app/db", "a=b", server=s).want(1, "-out is none, table or json")


def variables_are_shown_listed_and_purged():
    s = Server({("GET", "/v1/var/app/db"): (200, VAR), ("GET", "/v1/var/none"): (404, "variable not found"),
                ("GET", "/v1/vars"): (200, [{k: VAR[k] for k in VAR if k != "Items"}]),
                ("DELETE", "/v1/var/app/db"): lambda r: (409, VAR) if r["query"].get("cas") == "3" else (204, "")})
    run("var", "get", "/app/db/", server=s).want(0, "Path        = app/db", "Check Index = 9", "pass = x=1")
    check(run("var", "get", "-item", "user", "app/db", server=s).want(0).out == "me")
    run("var", "get", "-item", "other", "app/db", server=s).want(1, 'has no item "other"')
    check(json.loads(run("var", "get", "-out", "json", "app/db", server=s).want(0).out) == VAR)
    run("var", "get", "none", server=s).want(1, "variable not found")
    run("var", "list", "app/", server=s).want(0, "app/db", "2026-01-31")
    check(s.asked("GET", "/v1/vars")["query"] == {"prefix": "app/"}, s.requests[-1])
    check(run("var", "list", "-out", "terse", server=s).want(0).out == "app/db\n")
    run("var", "purge", "app/db", server=s).want(0, 'Successfully purged variable "app/db"!')
    run("var", "purge", "-check-index", "3", "app/db", server=s).want(1, "conflict", "check index 9")


def a_command_runs_while_a_lock_is_held():
    held, taken, renewed = dict(VAR, Lock={"ID": "l1", "TTL": "2s", "LockDelay": "15s"}), [], []

    def serve(request):
        if "lock-acquire" in request["raw"]:
            taken.append(json.loads(request["body"]))
            return (409, held) if len(taken) == 1 else (200, held)
        check(json.loads(request["body"])["Lock"]["ID"] == "l1", request["body"])
        if "lock-renew" in request["raw"]:
            renewed.append(1)
            return (409, VAR) if lose and len(renewed) > 1 else (200, {k: v for k, v in held.items() if k != "Items"})
        return 200, VAR
    lose = False
    s = Server({("PUT", "/v1/var/app/db"): serve})
    run("var", "lock", "-ttl", "20s", "app/db", "sleep 3; exit 7", server=s).want(7)
    check(len(taken) == 2 and taken[0]["Lock"]["TTL"] == "20s", taken)
    check(len(renewed) >= 2, renewed)
    check("lock-release" in s.requests[-1]["raw"], s.requests[-1]["raw"])
    run("var", "lock", "-shell=false", "app/db", "/bin/echo", "-n", "a  b", server=s).want(0, "a  b")
    lose = True
    del renewed[:]
    began = time.monotonic()
    run("var", "lock", "app/db", "sleep 30", server=s).want(1, "the lock is lost")
    quick(time.monotonic() - began, 10, "ending the command")
    run("var", "lock", "app/db", server=s).want(1)


def acl_commands_say_what_is_wanted():
    token = {"AccessorID": ALLOC, "SecretID": EVAL, "Name": "t", "Type": "client", "Policies": ["p", "q"], "Global": False,
             "Roles": [{"ID": NODE, "Name": "ops"}], "CreateTime": "2026-01-31T12:00:00Z", "CreateIndex": 5, "ModifyIndex": 6}
    stub = {k: v for k, v in token.items() if k != "SecretID"}
    role = {"ID": NODE, "Name": "ops", "Description": "d", "Policies": [{"Name": "p"}], "CreateIndex": 5, "ModifyIndex": 6}
    policy = {"Name": "p", "Description": "d", "Rules": "node { policy = \"read\" }", "CreateIndex": 3, "ModifyIndex": 4}
    s = Server({("PUT", "/v1/acl/bootstrap"): (200, dict(token, Type="management")),
                ("PUT", "/v1/acl/policy/p"): (200, ""), ("DELETE", "/v1/acl/policy/p"): (200, ""),
                ("GET", "/v1/acl/policy/p"): (200, policy), ("GET", "/v1/acl/policies"): (200, [policy]),
                ("GET", "/v1/acl/policy/self"): (200, [policy]),
                ("PUT", "/v1/acl/token"): (200, token), ("PUT", "/v1/acl/token/" + ALLOC): (200, token),
                ("GET", "/v1/acl/token/" + ALLOC): (200, token), ("DELETE", "/v1/acl/token/" + ALLOC): (200, ""),
                ("GET", "/v1/acl/token/self"): (403, "Permission denied"),
                ("GET", "/v1/acl/tokens"): (200, [stub, dict(stub, Name="old", ExpirationTime="2001-01-01T00:00:00Z")]),
                ("PUT", "/v1/acl/role"): (200, role), ("PUT", "/v1/acl/role/" + NODE): (200, role),
                ("GET", "/v1/acl/role/" + NODE): (200, role), ("GET", "/v1/acl/role/name/ops"): (200, role),
                ("GET", "/v1/acl/roles"): (200, [role]), ("DELETE", "/v1/acl/role/" + NODE): (200, "")})

    def body(method, path):
        return json.loads(s.asked(method, path)["body"])

    run("acl", "bootstrap", server=s).want(0, "Accessor ID", ALLOC, "Secret ID", EVAL, "n/a")
    check(s.asked("PUT", "/v1/acl/bootstrap")["body"] == b"")
    run("acl", "bootstrap", "-", stdin=b" %s\n" % EVAL.encode(), server=s).want(0, EVAL)
    check(body("PUT", "/v1/acl/bootstrap") == {"BootstrapSecret": EVAL})
    run("acl", "policy", "apply", "-description=d", "p", "-", stdin=b'a "b"\n', server=s).want(0, 'Successfully wrote "p" ACL policy!')
    check(body("PUT", "/v1/acl/policy/p") == {"Name": "p", "Description": "d", "Rules": 'a "b"\n'})
    run("acl", "policy", "apply", "-namespace=n", "-job=j", "-group=g", "p", "-", server=s).want(0)
    check(body("PUT", "/v1/acl/policy/p")["JobACL"] == {"Namespace": "n", "JobID": "j", "Group": "g", "Task": ""})
    run("acl", "policy", "apply", "p", "/no/such/file", server=s).want(1, "Error reading /no/such/file")
    run("acl", "policy", "info", "p", server=s).want(0, "CreateIndex = 3", 'node { policy = "read" }')
    run("acl", "policy", "list", server=s).want(0, "Name", "p", "d")
    run("acl", "policy", "self", "-json", server=s).want(0, '"ModifyIndex": 4')
    run("acl", "policy", "delete", "p", server=s).want(0, "Successfully deleted p policy!")
    run("acl", "token", "create", "-name", "t", "-policy", "p", "-policy=q", "-role-name", "ops", "-role-id", NODE, "-ttl", "1h",
        "-global", server=s).want(0, EVAL, "[p q]", "ops")
    check(body("PUT", "/v1/acl/token") == {"AccessorID": "", "Name": "t", "Type": "client", "Global": True, "Policies": ["p", "q"],
                                           "Roles": [{"ID": NODE}, {"Name": "ops"}], "ExpirationTTL": "1h"})
    run("acl", "token", "create", "-accessor", ALLOC, "-policy", "p", "-", stdin=EVAL.encode() + b"\n", server=s).want(0)
    check(body("PUT", "/v1/acl/token/" + ALLOC)["SecretID"] == EVAL)
    run("acl", "token", "create", "-accessor", ALLOC, server=s).want(1, "belong together")
    run("acl", "token", "update", "-name", "n", ALLOC, server=s).want(0)
    check(body("PUT", "/v1/acl/token/" + ALLOC) == {"AccessorID": ALLOC, "Name": "n", "Type": "client", "Global": False,
                                                    "Policies": ["p", "q"], "Roles": [{"ID": NODE}]})
    run("acl", "token", "update", "-policy", "z", ALLOC, server=s).want(0)
    check(body("PUT", "/v1/acl/token/" + ALLOC)["Policies"] == ["z"])
    run("acl", "token", "list", server=s).want(0, "Accessor ID", "true", "false", "old")
    run("acl", "token", "info", ALLOC, server=s).want(0, EVAL)
    run("acl", "token", "self", server=s, env={"NOMAD_TOKEN": EVAL}).want(1, "403 (Permission denied)")
    check(s.asked("GET", "/v1/acl/token/self")["headers"]["X-Nomad-Token"] == EVAL)
    run("acl", "token", "delete", ALLOC, server=s).want(0, "successfully deleted")
    run("acl", "role", "create", "-name=ops", "-policy=p", server=s).want(0, NODE, "[p]")
    check(body("PUT", "/v1/acl/role") == {"ID": "", "Name": "ops", "Description": "", "Policies": [{"Name": "p"}]})
    run("acl", "role", "update", "-policy=q", NODE, server=s).want(0)
    check(body("PUT", "/v1/acl/role/" + NODE) == {"ID": NODE, "Name": "ops", "Description": "d",
                                                  "Policies": [{"Name": "p"}, {"Name": "q"}]})
    run("acl", "role", "update", "-no-merge", "-name=x", "-policy=q", NODE, server=s).want(0)
    check(body("PUT", "/v1/acl/role/" + NODE) == {"ID": NODE, "Name": "x", "Description": "", "Policies": [{"Name": "q"}]})
    run("acl", "role", "info", "-by-name", "ops", server=s).want(0, NODE)
    run("acl", "role", "list", server=s).want(0, NODE, "ops", "[p]")
    run("acl", "role", "delete", NODE, server=s).want(0, "successfully deleted")


def root_keys_are_listed_and_replaced():
    key = {"KeyID": "0a1b2c3d-9999-2222-3333-444444444444", "State": "active", "Algorithm": "aes256-gcm", "CreateTime": NOW,
           "CreateIndex": 3, "ModifyIndex": 3}
    s = Server({("GET", "/v1/operator/keyring/keys"): (200, [key, dict(key, KeyID=ALLOC, State="inactive")]),
                ("PUT", "/v1/operator/keyring/rotate"): (200, {"Key": key, "Index": 9}),
                ("DELETE", "/v1/operator/keyring/key/" + ALLOC): (500, "root key in use, cannot delete")})
    run("operator", "root", "keyring", "list", server=s).want(0, "0a1b2c3d", "active", "inactive")
    run("operator", "root", "keyring", "list", "-verbose", server=s).want(0, key["KeyID"])
    run("operator", "root", "keyring", "rotate", "-full", "-verbose", server=s).want(0, key["KeyID"])
    check(s.requests[-1]["query"] == {"full": "true"}, s.requests[-1])
    run("operator", "root", "keyring", "remove", ALLOC, server=s).want(1, "root key in use, cannot delete")


def services_are_listed_and_shown():
    one = {"ID": "_nomad-task-x", "ServiceName": "web", "Namespace": "default", "NodeID": NODE, "Datacenter": "dc1", "JobID": "front",
           "AllocID": ALLOC, "Tags": ["a", "b"], "Address": "10.0.0.1", "Port": 8080}
    s = Server({("GET", "/v1/services"): (200, [{"Namespace": "default", "Services": [{"ServiceName": "web", "Tags": ["a", "b"]}]}]),
                ("GET", "/v1/service/web"): (200, [one, dict(one, Address="::1")]),
                ("GET", "/v1/service/none"): (200, []),
                ("DELETE", "/v1/service/web/_nomad-task-x"): (200, "")})
    run("service", "list", server=s).want(0, "Service Name", "web", "[a,b]")
    run("service", "list", "-namespace", "*", server=s).want(0, "Namespace", "default")
    run("service", "info", "web", server=s).want(0, "10.0.0.1:8080", "[::1]:8080", "front", NODE[:8], ALLOC[:8])
    run("service", "info", "-verbose", "-filter", "Port == 8080", "web", server=s).want(0, "Alloc ID", ALLOC)
    check(s.requests[-1]["query"]["filter"] == "Port == 8080", s.requests[-1])
    run("service", "info", "none", server=s).want(0, "No service registrations found")
    run("service", "delete", "web", "_nomad-task-x", server=s).want(0, "Successfully deleted service registration")


def configurations_are_checked():
    good = in_file('data_dir = "/d"\nbind_addr = "127.0.0.1"\nserver { enabled = true }\nodd = 1\n', ".hcl")
    bad = in_file('ports { http = 0 }\n', ".hcl")
    run("config", "validate", good).want(0, "Configuration is valid!", good + ":4,1: warning: odd is not known here")
    run("config", "validate", good, bad).want(1, bad + ":1,16: error: ports.http must be 1 to 65535")
    run("config", "validate", "/nonexistent").want(1, "/nonexistent: error: No such file")
    os.unlink(good)
    os.unlink(bad)


def agent(*words, env=None):
    return subprocess.Popen([DROVER, "agent", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=dict(os.environ, **(env or {})))


def an_agent_with_faults_does_not_start():
    run("agent").want(1, "error: neither server nor client is enabled", "error: data_dir must be given")
    run("agent", "-dev", "-bootstrap-expect", "x").want(1, "-bootstrap-expect: error: server.bootstrap_expect must be")
    run("agent", "-dev", "-bind", "{{ GetPrivateIP }}").want(1, "-bind: error: bind_addr: templates such as")
    run("agent", "-fly").want(1, "unknown option -fly")
    run("agent", "x").want(1, "too many arguments")


def a_dev_agent_leaves_nothing_behind():
    ports = in_file("ports {\n http = 14646\n rpc = 14647\n serf = 14648\n}\n", ".hcl")
    for sig in (signal.SIGTERM, signal.SIGINT):
        with tempfile.TemporaryDirectory() as base:
            p = agent("-dev", "-bind", "127.0.93.7", "-config", ports, "-node", "n7", env={"TMPDIR": base})
            end, lines = time.time() + 60, []
            while time.time() < end and not any(b"HTTP at 127.0.93.7:14646" in line for line in lines):
                lines.append(p.stdout.readline())
            check(any(b'server and client "n7"' in line for line in lines), lines)
            check(len(os.listdir(base)) == 1, os.listdir(base))
            began = time.time()
            p.send_signal(sig)
            rest, _ = p.communicate(timeout=60)
            took = time.time() - began
            check(p.returncode == 0, p.returncode, lines, rest)
            quick(took, 1, "ending")
            check(os.listdir(base) == [], os.listdir(base))
    os.unlink(ports)


CASES = [versions_are_printed, commands_that_do_not_exist_are_127, help_is_given_for_all, misuse_is_told,
         a_server_that_is_not_there_is_an_error, flags_come_before_the_environment, errors_show_the_servers_text,
         answers_that_make_no_sense_are_errors, jobs_are_listed, a_jobs_status_is_shown, a_latest_deployment_is_shown,
         an_ambiguous_job_is_not_guessed, ids_are_encoded_in_paths, a_job_file_is_submitted_and_followed,
         options_of_job_run_reach_the_server, failed_placements_are_exit_code_2, a_failed_evaluation_is_exit_code_1,
         hcl_goes_through_the_server, variables_come_from_the_environment_files_and_the_command_line,
         what_a_job_file_leaves_open_is_the_commands_to_say, job_files_are_validated, plans_are_shown, a_request_can_be_printed_instead_of_sent, bad_job_files_are_told, jobs_are_stopped,
         an_allocations_status_is_shown, logs_are_printed, an_evaluations_status_is_shown, a_nodes_status_is_shown,
         members_are_listed, status_finds_out_what_an_id_is_of, garbage_is_collected,
         changes_are_one_request_each, lists_are_tables_or_json,
         metadata_is_changed_and_tags_are_unset, a_stopped_job_is_started_again, pools_and_namespaces_are_shown, files_are_listed_and_printed, a_log_is_followed, any_request_can_be_made,
         configurations_are_checked, an_agent_with_faults_does_not_start, a_dev_agent_leaves_nothing_behind, variables_are_put, variables_are_shown_listed_and_purged,
         a_command_runs_while_a_lock_is_held, root_keys_are_listed_and_replaced,
         acl_commands_say_what_is_wanted, services_are_listed_and_shown]


def main():
    passed = failed = 0
    for case in CASES:
        if len(sys.argv) > 1 and sys.argv[1] not in case.__name__:
            continue
        kind, note = run_one(case)
        passed, failed = passed + (kind == "ok"), failed + (kind != "ok")
        print("%s %s%s" % (kind, case.__name__, "" if kind == "ok" else ": " + note), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)


main()
