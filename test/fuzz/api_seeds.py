#!/usr/bin/env python3
"""Seeds for fuzz_api, made of the routes as they are today: each route with each of its methods, and a body that says
something to its handler. Each once more of all namespaces, by somebody who may not see what is there.

    test/fuzz/api_seeds.py DIRECTORY
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONTROL = {"GET": 0 << 5, "POST": 2 << 5, "PUT": 3 << 5, "DELETE": 4 << 5}  # fuzz_api.c: ask()
METHODS = {
    "HTTP_BIT_GET": ["GET"], "HTTP_BIT_POST": ["POST"], "HTTP_BIT_PUT": ["PUT"], "HTTP_BIT_DELETE": ["DELETE"],
    "HTTP_BITS_WRITE": ["PUT", "POST"], "HTTP_BITS_ALL": ["GET", "PUT", "POST", "DELETE"], "API_ANY": ["GET", "PUT", "DELETE"],
}
JOB = ('{"Job":{"ID":"web","Name":"web","Datacenters":["dc1"],"TaskGroups":[{"Name":"g","Count":2,"Tasks":[{"Name":"t",'
       '"Driver":"mock_driver","Config":{"run_for":"1s"},"Resources":{"CPU":20,"MemoryMB":20}}]}]}}')
BODIES = {
    "/v1/jobs": JOB, "/v1/job/:id...": JOB, "/v1/job/:id.../plan": JOB[:-1] + ',"Diff":true}', "/v1/validate/job": JOB,
    "/v1/jobs/parse": '{"JobHCL":"job \\"a\\" { group \\"g\\" { task \\"t\\" { driver = \\"mock_driver\\" } } }","Canonicalize":true}',
    "/v1/jobs/statuses": '{"Jobs":[{"ID":"web","Namespace":"default"}],"IncludeChildren":true}',
    "/v1/job/:id.../dispatch": '{"Payload":"aGk=","Meta":{"a":"b"}}',
    "/v1/job/:id.../revert": '{"JobID":"web","JobVersion":0,"EnforcePriorVersion":1}',
    "/v1/job/:id.../stable": '{"JobID":"web","JobVersion":1,"Stable":true}',
    "/v1/job/:id.../evaluate": '{"JobID":"web","EvalOptions":{"ForceReschedule":true}}',
    "/v1/job/:id.../scale": '{"Count":3,"Target":{"Group":"g"},"Message":"more","Meta":{"x":1}}',
    "/v1/job/:id.../versions/:name/tag": '{"Version":0,"Description":"d"}',
    "/v1/deployment/pause/:id": '{"DeploymentID":"\4","Pause":true}',
    "/v1/deployment/promote/:id": '{"DeploymentID":"\4","All":true}',
    "/v1/deployment/allocation-health/:id": '{"DeploymentID":"\4","HealthyAllocationIDs":["\1"]}',
    "/v1/node/:id/drain": '{"DrainSpec":{"Deadline":3600000000000,"IgnoreSystemJobs":true},"Meta":{"m":"n"}}',
    "/v1/node/:id/eligibility": '{"Eligibility":"ineligible"}',
    "/v1/node/pools": '{"Name":"p","Description":"d","Meta":{"a":"b"}}', "/v1/node/pool/:name": '{"Name":"p"}',
    "/v1/namespace": '{"Name":"n","Capabilities":{"EnabledTaskDrivers":["exec"]}}', "/v1/namespace/:name": '{"Name":"n"}',
    "/v1/var/:path...": '{"Path":"a/b","Items":{"k":"v"},"Lock":{"TTL":"15s","LockDelay":"15s"}}',
    "/v1/search": '{"Prefix":"w","Context":"all"}', "/v1/search/fuzzy": '{"Text":"we","Context":"jobs"}',
    "/v1/evaluations": '{"EvalIDs":["\2"]}',
    "/v1/operator/scheduler/configuration": '{"SchedulerAlgorithm":"spread","PreemptionConfig":{"BatchSchedulerEnabled":true}}',
    "/v1/operator/autopilot/configuration": '{"CleanupDeadServers":true,"MinQuorum":3}',
}
QUERY = {
    "/v1/jobs": "?prefix=w&per_page=1&filter=Type%20==%20%22batch%22&meta=true", "/v1/allocations": "?resources=true&task_states=true",
    "/v1/nodes": "?os=true&resources=true", "/v1/evaluations": "?job=web&status=pending&reverse=true",
    "/v1/event/stream": "?topic=Job:web&index=1", "/v1/job/:id...": "?index=1&wait=1s", "/v1/vars": "?prefix=a&namespace=*",
    "/v1/job/:id.../versions": "?diffs=true", "/v1/services": "?namespace=*", "/v1/agent/monitor": "?log_level=debug&plain=true",
    "/v1/metrics": "?format=prometheus", "/v1/client/fs/cat/:id?": "?path=a", "/v1/client/fs/logs/:id?": "?task=t&type=stdout&follow=true",
}


def fill(pattern):
    kind = pattern.split("/")[2]
    ids = {"allocation": "\1", "client": "\1", "evaluation": "\2", "node": "\3", "deployment": "\4"}
    path = pattern.replace(":id...", "\5" if kind == "job" else "\1").replace(":id?", "\1")
    path = path.replace(":id", ids.get(kind, "\5")).replace(":path...", "a/b").replace(":what...", "policies")
    return re.sub(r":[a-z]+(\.\.\.)?", "p", path) + QUERY.get(pattern, "")


def main(folder):
    os.makedirs(folder, exist_ok=True)
    text = open(os.path.join(ROOT, "server/api_routes.h"), encoding="utf-8").read()
    routes = re.findall(r"^\tX\((\w+), ([A-Z_| ]+), \"([^\"]+)\"", text, re.M)
    if len(routes) < 100:
        sys.exit("api_routes.h has another form: only %d routes found" % len(routes))
    for name, bits, pattern in routes:
        out = others = b""
        for method in [m for bit in bits.split(" | ") for m in METHODS[bit]]:
            body = BODIES.get(pattern, "{}") if method != "GET" else ""
            end = b"\n" + body.encode() + b"\0"
            target = bytes([CONTROL[method]]) + fill(pattern).encode()
            out += target + end
            others += target + (b"&" if b"?" in target else b"?") + b"namespace=*" + end
        for kind, data in ("route_", out), ("access_", others + b"\6"):
            with open(os.path.join(folder, kind + name), "wb") as f:
                f.write(data)
    print("%d routes" % len(routes))


if len(sys.argv) != 2:
    sys.exit(__doc__)
main(sys.argv[1])
