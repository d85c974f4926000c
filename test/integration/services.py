#!/usr/bin/env python3
"""Services of provider "nomad" and their checks, and what else a task's life has, on real agents."""
import resource

from lab import *

SERVER = """
import http.server, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        good = os.path.exists(os.environ["FLAG"])
        self.send_response(200 if good else 503)
        self.end_headers()
        self.wfile.write(b"fine" if good else b"not fine")
    def log_message(self, *args):
        pass
http.server.HTTPServer((os.environ["NOMAD_IP_http"], int(os.environ["NOMAD_PORT_http"])), H).serve_forever()
"""


def python_task(flag, **more):
    return dict(task(sys.executable, ("-c", SERVER)), Env={"FLAG": flag}, **more)


def service(name, **more):
    return dict({"Name": name, "Provider": "nomad", "PortLabel": "http", "Tags": ["x", "alloc-${NOMAD_ALLOC_INDEX}"]}, **more)


def web(name, group_services=(), count=1, tasks=None, group=None, **more):
    body = {"Networks": [{"DynamicPorts": [{"Label": "http"}]}], "Services": list(group_services)}
    body.update(group or {})
    return job(name, count=count, tasks=tasks, group=body, **more)


def registrations(lab, name):
    return lab.servers_answer("/v1/service/" + name)


def a_group_of_services_is_listed_and_goes_with_its_allocations():
    lab = Lab(3, 2)
    name = new_id("web")
    lab.leader().register(web(name, [service(name + "-front")], count=3))
    lab.running(name, 3)
    found = until(5, "three registrations", lambda: len(registrations(lab, name + "-front")) == 3 and registrations(lab, name + "-front"))
    allocs = {a["ID"]: a for a in lab.allocs(name)}
    same({r["AllocID"] for r in found}, set(allocs))
    for r in found:
        same((r["JobID"], r["NodeID"], r["Namespace"], r["Datacenter"]), (name, allocs[r["AllocID"]]["NodeID"], "default", "dc1"))
        ports = lab.alloc(r["AllocID"])["AllocatedResources"]["Shared"]["Ports"]
        same((r["Address"], r["Port"]), (ports[0]["HostIP"], ports[0]["Value"]))
        same(r["ID"], "_nomad-task-%s-group-g-%s-front-http" % (r["AllocID"], name))
        same(r["Tags"][0], "x")
    for server in lab.servers:
        same([s["ServiceName"] for n in server.read("/v1/services?stale") for s in n["Services"]].count(name + "-front"), 1)
    same(len(lab.servers_answer("/v1/job/%s/services" % name)), 3)
    # Fewer, and then none.
    lab.leader().register(web(name, [service(name + "-front")], count=1))
    until(10, "one registration", lambda: len(registrations(lab, name + "-front")) == 1)
    lab.leader().ask("DELETE", "/v1/job/" + name).want(200)
    until(10, "none", lambda: registrations(lab, name + "-front") == [])
    same(lab.servers_answer("/v1/services"), [])
    lab.same_state()


def services_of_a_node_that_dies_go_and_come_back_elsewhere():
    lab = Lab(3, 2, config="server {\n  min_heartbeat_ttl = \"1s\"\n  heartbeat_grace = \"1s\"\n}\n")
    name = new_id("moves")
    lab.leader().register(web(name, [service(name)]))
    first = until(20, "registered", lambda: registrations(lab, name))[0]
    victim = next(c for c in lab.clients if (lab.node(c) or {}).get("ID") == first["NodeID"])
    victim.kill()
    moved = until(30, lambda: "registered anew: %s" % registrations(lab, name),
                  lambda: [r for r in registrations(lab, name) if r["AllocID"] != first["AllocID"]])
    same(len(registrations(lab, name)), 1, moved)
    victim.start()
    time.sleep(3)
    same([r["ID"] for r in registrations(lab, name)], [moved[0]["ID"]])


def an_agents_restart_leaves_services_as_they_are():
    lab = Lab(1, 1)
    name = new_id("stays")
    lab.servers[0].register(web(name, [service(name)]))
    before = until(20, "registered", lambda: registrations(lab, name))
    for end in (lab.clients[0].kill, lab.clients[0].end):
        end()
        lab.clients[0].start()
        lab.wait()
        time.sleep(1)
        same(registrations(lab, name), before)


def who_waits_for_a_service_hears_of_it():
    lab = Lab(1, 1)
    name = new_id("heard")
    server = lab.servers[0]
    index, seen = server.get("/v1/services").index, []

    def wait():
        seen.append(server.get("/v1/services?index=%d&wait=60s" % max(index, 1), timeout=90).json)
    t = threading.Thread(target=wait)
    t.start()
    server.register(web(name, [service(name)]))
    t.join(60)
    same([s["ServiceName"] for n in seen[0] for s in n["Services"]], [name])
    found = registrations(lab, name)[0]
    server.ask("DELETE", "/v1/service/%s/%s" % (name, found["ID"])).want(200)
    same(registrations(lab, name), [])


def services_leave_the_list_before_their_tasks_are_killed():
    lab = Lab(1, 1)
    name = new_id("leaves")
    lab.servers[0].register(web(name, [service(name)], group={"ShutdownDelay": 10 * SECOND}))
    alloc = lab.running(name, 1)[0]["ID"]
    until(5, "registered", lambda: registrations(lab, name))
    pids = task_pids(lab, alloc)
    lab.servers[0].ask("DELETE", "/v1/job/" + name).want(200)
    until(5, "off the list", lambda: registrations(lab, name) == [])
    same(task_pids(lab, alloc), pids, "while the delay passes")
    until(20, "the task ends", lambda: not task_pids(lab, alloc))


# ---- limits

def tasks_have_the_limit_of_open_files_that_the_agent_was_started_with():
    lab = Lab(1, 1, wait=False)
    client = lab.clients[0]
    client.end()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard <= 512:
        raise Skip("the limit of open files is too low to lower it")
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        client.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    lab.wait()
    name, path = new_id("files"), os.path.join(lab.dir, "files")
    lab.servers[0].register(job(name, kind="batch", tasks=[shell("echo $(ulimit -Sn) $(ulimit -Hn) >" + path)]))
    lab.completed(name, 1)
    check(open(path).read().split()[0] == "512", open(path).read())


if __name__ == "__main__":
    run(a_group_of_services_is_listed_and_goes_with_its_allocations,
        services_of_a_node_that_dies_go_and_come_back_elsewhere,
        an_agents_restart_leaves_services_as_they_are,
        who_waits_for_a_service_hears_of_it,
        services_leave_the_list_before_their_tasks_are_killed,
        tasks_have_the_limit_of_open_files_that_the_agent_was_started_with)
