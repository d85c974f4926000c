#!/usr/bin/env python3
"""Tasks and the agent that started them: -dev, agents that end and come back, and what a client's own HTTP port says of them."""
import signal
import types

from lab import *


class Dev:
    """drover agent -dev, in a directory for temporary files of its own."""

    def __init__(self):
        self.ip = "127.%d.%d.77" % (os.getpid() // 250 % 200 + 20, os.getpid() % 250 + 2)
        os.makedirs(BASE, exist_ok=True)
        self.dir = tempfile.mkdtemp(prefix="dev-", dir=BASE)
        self.log_path = self.dir + ".log"
        self.out = open(self.log_path, "wb")
        self.p = subprocess.Popen([DROVER, "agent", "-dev", "-bind", self.ip], stdin=subprocess.DEVNULL, stdout=self.out,
                                  stderr=self.out, env=dict(os.environ, TMPDIR=self.dir))
        at_end.append(self.close)
        until(10, lambda: "a ready node: " + self.log(), lambda: any(n["Status"] == "ready" for n in self.try_read("/v1/nodes") or []))

    def close(self, failed):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()
        self.out.close()
        if not failed:
            shutil.rmtree(self.dir, ignore_errors=True)
            os.unlink(self.log_path)

    def log(self):
        return " / ".join(open(self.log_path, errors="replace").read().splitlines()[-5:])

    lab = types.SimpleNamespace(tls=False, token=None)  # Of no lab: in plain text, without tokens.
    connection, ask, get, put, read, try_read, register = Agent.connection, Agent.ask, Agent.get, Agent.put, Agent.read, Agent.try_read, Agent.register


def a_dev_agent_runs_a_job_and_cleans_up():
    for number in (signal.SIGINT, signal.SIGTERM):
        began = time.monotonic()
        dev = Dev()
        ready = time.monotonic() - began
        j = job(count=2, tasks=[shell("echo hello; exec sleep 1000")])
        dev.register(j)

        def look():
            found = dev.try_read("/v1/job/%s/allocations" % j["ID"]) or []
            return len(found) == 2 and all(a["ClientStatus"] == "running" for a in found) and found
        allocs = until(10, lambda: "two run: " + dev.log(), look)
        pids = [pid for a in allocs for pid in task_pids(None, a["ID"])]
        check(len(pids) >= 2, pids)
        until(5, dev.log, lambda: dev.get("/v1/client/fs/logs/%s?task=t&type=stdout&plain=true" % allocs[0]["ID"]).text == "hello\n")
        check(len(os.listdir(dev.dir)) == 1, os.listdir(dev.dir))
        began = time.monotonic()
        dev.p.send_signal(number)
        same(dev.p.wait(60), 0, dev.log())
        took = time.monotonic() - began
        SANITIZED or quick(took, 1, "ending")
        check(not [p for p in pids if is_alive(p)], "tasks live on")
        same(os.listdir(dev.dir), [])
    return "a ready node after %.2f s, ended in %.2f s" % (ready, took)


def tasks_survive_their_agent():
    """Through SIGTERM and kill -9: the process is the same, and it was never restarted."""
    lab = Lab(servers=1, clients=1)
    client = lab.clients[0]
    j = job(count=3)
    lab.servers[0].register(j)
    allocs = [a["ID"] for a in lab.running(j["ID"], 3)]
    pids = {a: task_pids(lab, a) for a in allocs}
    check(all(pids.values()), pids)
    for number in (signal.SIGTERM, signal.SIGKILL):
        client.end(number)
        same({a: task_pids(lab, a) for a in allocs}, pids, "without their agent:")
        client.start()
        until(15, lambda: lab.tails(), lambda: lab.node(client)["Status"] == "ready" and (client.try_read("/v1/metrics") or {}).get("Gauges"))
        lab.running(j["ID"], 3)
        same({a: task_pids(lab, a) for a in allocs}, pids, "with the next agent:")
        states = [lab.alloc(a)["TaskStates"]["t"] for a in allocs]
        check(all(s["State"] == "running" and s["Restarts"] == 0 for s in states), states)
    # And it is obeyed: the next agent can end what an earlier one has begun.
    lab.servers[0].ask("DELETE", "/v1/job/" + j["ID"]).want(200)
    until(15, lambda: lab.tails(), lambda: not any(task_pids(lab, a) for a in allocs))


def a_task_that_ended_meanwhile_is_told_of():
    lab = Lab(servers=1, clients=1)
    client = lab.clients[0]
    j = job(kind="batch", tasks=[shell("sleep 1; exit 0")])
    lab.servers[0].register(j)
    a = lab.running(j["ID"], 1)[0]["ID"]
    client.kill()
    until(10, "the task ends", lambda: not task_pids(lab, a))
    client.start()
    lab.completed(j["ID"], 1)
    same(lab.alloc(a)["TaskStates"]["t"]["Failed"], False)


def a_clients_port_passes_on_what_is_not_its_own():
    lab = Lab(servers=3, clients=2)
    one, two = lab.clients
    j = job(count=4, tasks=[shell("echo out-$NOMAD_ALLOC_INDEX; exec sleep 1000")])
    one.register(j)
    allocs = lab.running(j["ID"], 4)
    same(len(one.read("/v1/nodes")), 2)
    same(one.read("/v1/job/" + j["ID"])["ID"], j["ID"])
    one.get("/v1/job/nope").want(404, "job not found")
    one.get("/v1/no/such/path").want(404)
    one.ask("OPTIONS", "/v1/jobs").want(405, "Invalid method")
    check(one.get("/v1/jobs").index > 0)
    for a in allocs:  # Of this node and of the other, from both.
        for c in (one, two):
            c.get("/v1/client/fs/logs/%s?task=t&type=stdout&plain=true" % a["ID"]).want(200, "out-")
            c.get("/v1/client/allocation/%s/stats" % a["ID"]).want(200, "ResourceUsage")
    one.get("/v1/client/fs/ls/00000000-0000-0000-0000-000000000000").want(404, "Unknown allocation")
    # A blocking query wakes.
    waiter = Waiter(one.get, "/v1/jobs")
    two.register(idle())
    waiter.answer().want(200)
    # A body that is large, and an answer that is.
    big = idle(Meta={"k": "x" * 900000})
    one.register(big)
    same(one.read("/v1/job/" + big["ID"])["Meta"]["k"], "x" * 900000)


def a_clients_port_outlives_its_server():
    lab = Lab(servers=3, clients=1)
    client = lab.clients[0]
    check(client.read("/v1/nodes"))
    for s in list(lab.servers):
        s.kill()
        answer = client.put("/v1/jobs", {"Job": idle()})
        if "the outcome is unknown" in answer.text:  # It was on its way to the one that died. Others get through.
            answer = client.put("/v1/jobs", {"Job": idle()})
        answer.want(200)
        check(client.read("/v1/nodes"))
        s.start()
        lab.leader()
    for s in lab.servers:
        s.kill()
    began = time.monotonic()
    client.get("/v1/jobs").want(500, "No cluster leader")
    quick(time.monotonic() - began, 8, "giving up")


def a_client_without_servers_can_be_told_of_some():
    lab = Lab(servers=1, clients=1, config="# none", wait=False)
    client = lab.clients[0]
    until(10, lambda: lab.tails(), lambda: client.try_read("/v1/agent/self"))
    client.end()
    path = os.path.join(client.dir, "agent.hcl")
    text = open(path).read()
    open(path, "w").write(re.sub(r"servers = .*", "servers = []", text))
    client.wipe()
    client.start()
    until(10, lambda: client.tail(), lambda: client.try_read("/v1/agent/self"))
    same(client.read("/v1/agent/servers"), [])
    client.get("/v1/agent/health").want(500, "no known servers")
    client.put("/v1/agent/servers").want(400, "missing server address")
    client.put("/v1/agent/servers?address=%s:4647" % lab.servers[0].ip).want(200)
    me = re.search('"node_id":"([^"]*)', client.get("/v1/agent/self").text).group(1)
    until(10, lambda: lab.tails(), lambda: (client.try_read("/v1/node/" + me) or {}).get("Status") == "ready")
    client.get("/v1/agent/health").want(200, '"ok":true')


def a_server_that_leaves_is_no_member_any_more():
    lab = Lab(servers=3, config="leave_on_terminate = true\n")
    gone = lab.leader()
    gone.end()
    lab.leader(other_than=gone)
    other = [s for s in lab.servers if s is not gone][0]

    def look():
        members = {m["Name"]: m["Status"] for m in (other.try_read("/v1/agent/members") or {"Members": []})["Members"]}
        peers = other.try_read("/v1/status/peers") or []
        return members.get(gone.name + ".global", "left") == "left" and len(peers) == 2
    until(10, lambda: "%s %s %s" % (other.read("/v1/agent/members"), other.read("/v1/status/peers"), lab.tails()), look)


run(a_client_without_servers_can_be_told_of_some, a_server_that_leaves_is_no_member_any_more, a_dev_agent_runs_a_job_and_cleans_up, tasks_survive_their_agent, a_task_that_ended_meanwhile_is_told_of,
    a_clients_port_passes_on_what_is_not_its_own, a_clients_port_outlives_its_server)
