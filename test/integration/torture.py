#!/usr/bin/env python3
"""Agents and executors are killed at moments nobody chose: no task runs twice, none is left behind, no end is forgotten.

TORTURE_S is how long it goes on, 15 seconds unless it says otherwise; the longer campaign is TORTURE_S=300."""
import glob

from lab import *

SECONDS = float(os.environ.get("TORTURE_S") or 15)
CONFIG = "client {\n  gc_max_allocs = 100000\n}\n"
TERMINAL = ("complete", "failed", "lost")

# While it or anything it has started lives it holds the lock; what it does is written where it is seen from outside.
SCRIPT = """cd "$NOMAD_ALLOC_DIR/data" && exec 9>>lock && { flock -n 9 || echo overlap >>did; } && echo start >>did
(setsid sleep 1000 &)
sleep %s
echo end >>did
exit %d"""


def did(client, alloc_id):
    """What the script of an allocation has written."""
    try:
        return open("%s/data/alloc/%s/alloc/data/did" % (client.dir, alloc_id)).read().split()
    except OSError:
        return []


def can_isolate():
    return os.geteuid() == 0 and os.path.exists("/proc/self/ns/pid")


def victim_task(seconds, code):
    driver = rng.choice(["raw_exec", "exec"]) if can_isolate() else "raw_exec"
    return task(driver=driver, args={"command": "/bin/sh", "args": ["-c", SCRIPT % (seconds, code)]} if driver == "exec" else
                ("-c", SCRIPT % (seconds, code)), command="/bin/sh")


def policy(attempts, mode):
    return {"RestartPolicy": {"Attempts": attempts, "Interval": 3600 * SECOND, "Delay": SECOND // 20, "Mode": mode},
            "ReschedulePolicy": {"Attempts": 0, "Unlimited": False}}


def executors(client):
    """PID and allocation of each executor of this client: they have the task's state directory open."""
    found, mark = [], client.dir + "/data/alloc/"
    for path in glob.glob("/proc/[0-9]*"):
        try:
            if open(path + "/cmdline", "rb").read() != b"drover-executor\0":
                continue
            links = [os.readlink(l) for l in glob.glob(path + "/fd/*")]
            ours = [l[len(mark):].split("/")[0] for l in links if l.startswith(mark)]
        except OSError:
            continue
        if ours and is_alive(int(os.path.basename(path))):
            found.append((int(os.path.basename(path)), ours[0]))
    return found


class Torture:
    def __init__(self):
        self.lab = Lab(1, 1, config=CONFIG)
        self.server, self.client = self.lab.servers[0], self.lab.clients[0]
        self.codes = {}            # Of jobs whose tasks run once: what they exit with.
        self.services = []
        self.bereft = set()        # Allocations whose executor was killed.
        self.ends = {}             # Allocations' terminal states, as they were seen first.
        self.agents_killed = self.executors_killed = 0

    def begin_some(self):
        name, code = new_id("once"), rng.choice([0, 0, 3])
        self.codes[name] = code
        self.server.register(job(name, kind="batch", count=rng.randint(1, 3), group=policy(0, "fail"),
                                 tasks=[victim_task(rng.choice([0, 0.01, 0.3, 2]), code)]))

    def begin_services(self):
        for seconds in (1000, 0.5):
            name = new_id("lasting")
            self.services.append(name)
            self.server.register(job(name, count=2, group=policy(10000, "delay"), tasks=[victim_task(seconds, 0)]))

    def kill_executors(self):
        found = executors(self.client)
        for pid, alloc in rng.sample(found, min(len(found), rng.randint(1, 2))):
            self.bereft.add(alloc)
            try:
                os.kill(pid, signal.SIGKILL)
                self.executors_killed += 1
            except ProcessLookupError:
                pass

    def kill_agent(self):
        self.client.kill()
        self.agents_killed += 1

    def hurt(self):
        what = rng.choice(["agent", "agent", "agent", "executor", "both"])
        if what != "agent":
            self.kill_executors()
        if what != "executor":
            self.kill_agent()
            if what == "both" and rng.random() < 0.5:
                self.kill_executors()
            time.sleep(rng.choice([0, 0.1, 0.5]))
            self.client.start()

    def look(self):
        """A state that was terminal once stays what it was."""
        for a in self.lab.servers_answer("/v1/allocations"):
            if a["ClientStatus"] in TERMINAL:
                same(a["ClientStatus"], self.ends.setdefault(a["ID"], a["ClientStatus"]), "the end of " + a["ID"])

    def settle(self):
        names = list(self.codes)
        until(60, lambda: "every task that ends has ended: %s" % [(n, a["ID"], a["ClientStatus"]) for n in names for a in self.lab.allocs(n)
                                                                   if a["ClientStatus"] not in TERMINAL],
              lambda: all(a["ClientStatus"] in TERMINAL for n in names for a in self.lab.allocs(n)))
        for name in self.services:
            self.lab.running(name, 2, 60)

    def judge_once(self, alloc, code):
        lines, status = did(self.client, alloc["ID"]), alloc["ClientStatus"]
        where = "%s %s %s" % (alloc["ID"], status, lines)
        safe("overlap" not in lines and lines.count("start") <= 1, "it ran twice:", where)
        if alloc["ID"] in self.bereft:
            check(status == "failed" or "end" in lines, "it has not ended by itself:", where)
            return
        same(lines, ["start", "end"], where)
        same(status, "failed" if code else "complete", where)
        events = self.lab.alloc(alloc["ID"])["TaskStates"]["t"]["Events"]
        same([e["ExitCode"] for e in events if e["Type"] == "Terminated"], [code], where)

    def judge_service(self, alloc):
        safe("overlap" not in did(self.client, alloc["ID"]), "two runs at the same time:", alloc["ID"])
        until(5, lambda: "one process: %s" % main_pids(self.lab, alloc["ID"]),
              lambda: len(executors_of(self.client, alloc["ID"])) == 1)

    def nothing_is_left(self, ids):
        until(15, lambda: "no process is left: %s" % [(i, task_pids(self.lab, i)) for i in ids if task_pids(self.lab, i)],
              lambda: not executors(self.client) and not marked_pids(ids))
        groups = [g for i in ids for g in glob.glob("/sys/fs/cgroup/**/*%s*" % i, recursive=True)]
        same(groups, [], "cgroups that are left")


def executors_of(client, alloc_id):
    return [pid for pid, alloc in executors(client) if alloc == alloc_id]


def marked_pids(ids):
    """Processes with the ID of one of these allocations in their environment."""
    marks, found = {b"NOMAD_ALLOC_ID=" + i.encode() for i in ids}, []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            if marks & set(open(path, "rb").read().split(b"\0")):
                found.append(path)
        except OSError:
            pass
    return found


def whatever_is_killed_each_task_runs_once_and_its_end_is_told():
    t = Torture()
    t.begin_services()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        t.begin_some()
        time.sleep(rng.choice([0, 0.005, 0.01, 0.02, 0.05, 0.2]) * rng.random())
        t.hurt()
        t.look()
    t.lab.wait()
    t.settle()
    t.look()
    allocs = t.lab.servers_answer("/v1/allocations")
    for a in allocs:
        if a["JobID"] in t.codes:
            t.judge_once(a, t.codes[a["JobID"]])
        elif a["DesiredStatus"] == "run":
            t.judge_service(a)
    for name in t.services:
        t.server.ask("DELETE", "/v1/job/" + name).want(200)
    t.nothing_is_left([a["ID"] for a in allocs])
    t.look()
    no_sanitizer_reports(t.lab)
    return "%d agents and %d executors killed, %d allocations" % (t.agents_killed, t.executors_killed, len(allocs))


run(whatever_is_killed_each_task_runs_once_and_its_end_is_told)
