#!/usr/bin/env python3
"""Nodes, node pools, deployments and evaluations over HTTP: what each request answers, and what comes of it."""
from lab import *

QUICK = 'server {\n  min_heartbeat_ttl = "1s"\n  heartbeat_grace = "1s"\n  failover_heartbeat_ttl = "3s"\n}\n'
NOBODY = "11111111-2222-3333-4444-555555555555"
UPDATE = {"MaxParallel": 1, "MinHealthyTime": 100000000, "HealthyDeadline": 10 * SECOND, "ProgressDeadline": 20 * SECOND,
          "HealthCheck": "task_states"}


def node_of(lab, client):
    return lab.leader().read("/v1/node/" + lab.node(client)["ID"])


def service(name, count=1, group={}, env=None, **update):
    return job(name, count=count, tasks=[task(args={"run_for": "1000h"}, driver="mock_driver", Env=env)],
               group={"Update": dict(UPDATE, **update), **group})


def deployment_of(server, name):
    return server.read("/v1/job/%s/deployment" % name)


def deployed(server, name, status="successful", version=None):
    def look():
        d = deployment_of(server, name)
        return d if d and d["Status"] == status and version in (None, d["JobVersion"]) else None
    return until(15, lambda: "a deployment that is %s: %s" % (status, deployment_of(server, name)), look)


def metadata_is_set_unset_and_survives_a_restart():
    lab = Lab(3, 2, config=QUICK)
    client, other = lab.clients[0], lab.followers()[0]
    node = lab.node(client)["ID"]
    path = "/v1/client/metadata?node_id=" + node
    until(5, "there is a way to the node", lambda: other.get(path).status == 200)
    fixed = other.read(path)["Static"]
    said = other.ask("POST", "/v1/client/metadata", {"NodeID": node, "Meta": {"rack": "r7", "none": None}}).want(200).json
    same(said["Dynamic"], {"rack": "r7", "none": None})
    same(said["Meta"], dict(fixed, rack="r7"))
    same(said["Static"], fixed)
    until(5, "the servers know", lambda: node_of(lab, client)["Meta"].get("rack") == "r7")
    name = new_id("rack")
    lab.leader().register(service(name, group={"Constraints": [{"LTarget": "${meta.rack}", "RTarget": "r7", "Operand": "="}]}))
    same(lab.running(name, 1)[0]["NodeID"], node)
    client.end()
    client.start()
    until(10, "it is there again", lambda: other.get(path).status == 200 and other.read(path)["Dynamic"]["rack"] == "r7")
    until(10, "the servers still know", lambda: node_of(lab, client)["Meta"].get("rack") == "r7")
    other.ask("POST", path, {"Meta": {"rack": None}}).want(200)
    until(5, "it is unset", lambda: "rack" not in node_of(lab, client)["Meta"])
    other.ask("POST", path, {"Meta": {}}).want(400, "missing required Meta object")
    other.ask("POST", path, {"Meta": {"": "x"}}).want(400, "must not be empty")
    other.ask("POST", path, {"Meta": {"a": 1}}).want(400, "strings")
    other.ask("POST", path).want(400, "Request body is empty")
    other.ask("POST", "/v1/client/metadata?node_id=" + NOBODY, {"Meta": {"a": "b"}}).want(404)
    other.ask("PUT", path, {}).want(405)


def pools_are_made_changed_and_removed():
    lab = Lab(3, 2, config=QUICK)
    for server in (lab.leader(), lab.followers()[0]):
        name = new_id("pool")
        server.put("/v1/node/pools", {"Name": name, "Description": "one"}).want(200)
        server.put("/v1/node/pool/" + name, {"Description": "two", "Meta": {"a": "b"}}).want(200)
        got = lab.servers_answer("/v1/node/pool/" + name)
        same((got["Description"], got["Meta"], got["CreateIndex"] < got["ModifyIndex"]), ("two", {"a": "b"}, True))
        same([p["Name"] for p in server.read("/v1/node/pools?prefix=" + name)], [name])
        same(server.read("/v1/node/pool/%s/nodes" % name), [])
        same(server.read("/v1/node/pool/%s/jobs" % name), [])
        held = new_id("held")
        server.register(dict(service(held), NodePool=name))
        server.ask("DELETE", "/v1/node/pool/" + name).want(500, 'node pool "%s" has non-terminal jobs in regions: [global]' % name)
        same([j["ID"] for j in server.read("/v1/node/pool/%s/jobs" % name)], [held])
        server.ask("DELETE", "/v1/job/%s?purge=true" % held).want(200)
        until(5, "its job is gone", lambda: server.ask("DELETE", "/v1/node/pool/" + name).status == 200)
        server.ask("DELETE", "/v1/node/pool/" + name).want(500, "node pool %s not found" % name)
        server.get("/v1/node/pool/" + name).want(404, "node pool not found")
        server.put("/v1/node/pools", {"Name": "a b"}).want(400, "must match regex")
        server.put("/v1/node/pools", {"Name": name, "Description": "x" * 257}).want(400, "description longer than 256")
        server.put("/v1/node/pools", {"Name": "all"}).want(400, 'modifying node pool "all" is not allowed')
        server.ask("DELETE", "/v1/node/pool/default").want(500, 'deleting node pool "default" is not allowed')


def eligibility_drain_evaluate_and_purge_refuse_what_makes_no_sense():
    lab = Lab(3, 2, config=QUICK)
    server = lab.followers()[0]
    node = lab.node(lab.clients[1])["ID"]
    for verb, body in (("eligibility", {"Eligibility": "eligible"}), ("drain", {"DrainSpec": {"Deadline": 1}}),
                       ("evaluate", None), ("purge", None)):
        server.put("/v1/node/%s/%s" % (NOBODY, verb), body).want(500, "node not found")
        server.get("/v1/node/%s/%s" % (node, verb)).want(405)
        server.put("/v1/node/nope/%s" % verb, body).want(500, "UUID must be 36 characters")
    server.put("/v1/node/%s/eligibility" % node, {"Eligibility": "maybe"}).want(500, "invalid scheduling eligibility")
    server.put("/v1/node/%s/eligibility" % node, {"NodeID": NOBODY, "Eligibility": "eligible"}).want(400, "Node ID does not match")
    server.put("/v1/node/%s/drain" % node).want(400)


def a_drain_is_told_until_its_tasks_have_ended():
    lab = Lab(3, 2, config=QUICK)
    name = new_id("slow")
    client = lab.clients[1]
    node = lab.node(client)["ID"]
    slow = job(name, tasks=[task(args={"run_for": "1000h", "kill_after": "3s"}, driver="mock_driver", KillTimeout=10 * SECOND)],
               group={"Constraints": [{"LTarget": "${node.unique.id}", "RTarget": node, "Operand": "="}]})
    lab.leader().register(slow)
    lab.running(name, 1)
    server = lab.followers()[0]
    server.put("/v1/node/%s/drain" % node, {"DrainSpec": {"Deadline": 1, "IgnoreSystemJobs": False}, "Meta": {"message": "why"}}).want(200)
    began = time.monotonic()
    got = until(5, "the drain is seen", lambda: (lambda n: n if n["LastDrain"] else None)(server.read("/v1/node/" + node)))
    same((got["LastDrain"]["Meta"], got["SchedulingEligibility"]), ({"message": "why"}, "ineligible"))
    done = until(20, "the drain is over", lambda: (lambda n: n if n["DrainStrategy"] is None else None)(server.read("/v1/node/" + node)))
    same(done["LastDrain"]["Status"], "complete")
    same([a["ClientStatus"] for a in lab.allocs(name, NodeID=node)], ["complete"])
    check(time.monotonic() - began > 2.5, "over before the task had ended")
    same(done["SchedulingEligibility"], "ineligible")
    server.put("/v1/node/%s/drain" % node, {"DrainSpec": None, "MarkEligible": True}).want(200)
    after = lab.servers_answer("/v1/node/" + node)
    same((after["SchedulingEligibility"], after["LastDrain"]["Status"]), ("eligible", "complete"))
    server.ask("DELETE", "/v1/job/%s?purge=true" % name).want(200)


def deployments_refuse_what_makes_no_sense():
    lab = Lab(3, 2, config=QUICK)
    name = new_id("done")
    server = lab.followers()[0]
    server.register(service(name))
    over = deployed(server, name)["ID"]
    body = {"DeploymentID": over, "All": True, "Pause": True, "HealthyAllocationIDs": [NOBODY]}
    said = {"fail": "can't fail terminal deployment", "pause": "can't pause terminal deployment",
            "promote": "can't promote terminal deployment", "unblock": "can't unblock terminal deployment",
            "allocation-health": "can't set health of allocations for a terminal deployment"}
    for verb, text in said.items():
        server.put("/v1/deployment/%s/%s" % (verb, over), body).want(500, text)
        server.put("/v1/deployment/%s/%s" % (verb, NOBODY), dict(body, DeploymentID=NOBODY)).want(500, "deployment not found")
        server.put("/v1/deployment/%s/nope" % verb, dict(body, DeploymentID="nope")).want(500, "UUID must be 36 characters")
        server.get("/v1/deployment/%s/%s" % (verb, over)).want(405)
        if verb != "fail":
            server.put("/v1/deployment/%s/%s" % (verb, over)).want(400)
            server.put("/v1/deployment/%s/%s" % (verb, over), {}).want(400, "DeploymentID must be specified")
            server.put("/v1/deployment/%s/%s" % (verb, over), dict(body, DeploymentID=NOBODY)).want(400, "Deployment ID does not match")
    server.put("/v1/deployment/pause/" + over, {"DeploymentID": over, "Pause": False}).want(500, "can't resume terminal deployment")


def deployments_are_paused_promoted_and_reverted():
    lab = Lab(3, 2, config=QUICK)
    name = new_id("canary")
    server = lab.followers()[0]
    server.register(service(name, count=2, Canary=1, AutoRevert=True))
    deployed(server, name)
    server.register(service(name, count=2, env={"V": "1"}, Canary=1, AutoRevert=True))
    d = deployed(server, name, "running", 1)
    same(d["StatusDescription"], "Deployment is running but requires manual promotion")
    until(10, "the canary is healthy", lambda: deployment_of(server, name)["TaskGroups"]["g"]["HealthyAllocs"] == 1)
    running = {"DeploymentID": d["ID"]}
    server.put("/v1/deployment/unblock/" + d["ID"], running).want(500, "can't unblock running deployment")
    server.put("/v1/deployment/pause/" + d["ID"], dict(running, Pause=True)).want(200)
    same(lab.servers_answer("/v1/deployment/" + d["ID"])["Status"], "paused")
    server.put("/v1/deployment/pause/" + d["ID"], dict(running, Pause=False)).want(200)
    server.put("/v1/deployment/promote/" + d["ID"], dict(running, Groups=["nope"])).want(500)
    server.put("/v1/deployment/promote/" + d["ID"], dict(running, All=True)).want(200)
    same(deployed(server, name, "successful", 1)["TaskGroups"]["g"]["Promoted"], True)
    same(len(server.read("/v1/job/%s/deployments" % name)), 2)
    server.register(service(name, count=2, env={"V": "2"}, Canary=1, AutoRevert=True))
    d = deployed(server, name, "running", 2)
    answer = server.put("/v1/deployment/fail/" + d["ID"]).want(200).json
    check(answer["EvalID"] and answer["EvalCreateIndex"] and answer["DeploymentModifyIndex"], answer)
    same(answer["RevertedJobVersion"], 1)
    until(10, "the older version is back", lambda: server.read("/v1/job/" + name)["Version"] == 3)
    same(server.read("/v1/job/" + name)["TaskGroups"][0]["Tasks"][0]["Env"], {"V": "1"})


def deployments_are_listed_by_pages_filters_and_prefixes():
    lab = Lab(3, 2, config=QUICK)
    server = lab.followers()[0]
    names = [new_id("list") for _ in range(3)]
    for n in names:
        server.register(service(n))
    for n in names:
        deployed(server, n)
    every = server.read("/v1/deployments?namespace=*")
    pages, token = [], ""
    while True:
        answer = server.get("/v1/deployments?per_page=2&next_token=" + token).want(200)
        pages += answer.json
        token = answer.headers.get("X-Nomad-NextToken") or ""
        if not token:
            break
    same(sorted(d["ID"] for d in pages), sorted(d["ID"] for d in every))
    mine = server.read('/v1/deployments?filter=JobID=="%s"' % names[0])
    same([d["JobID"] for d in mine], [names[0]])
    same([d["ID"] for d in server.read("/v1/deployments?prefix=" + mine[0]["ID"][:8])], [mine[0]["ID"]])
    backwards = server.read("/v1/deployments?reverse=true")
    same([d["ID"] for d in backwards], [d["ID"] for d in server.read("/v1/deployments")][::-1])
    same(server.read("/v1/deployments?namespace=other"), [])


def evaluations_are_counted_related_and_deleted():
    lab = Lab(3, 2, config=QUICK)
    server = lab.followers()[0]
    name = new_id("blocked")
    server.register(dict(service(name), Constraints=[{"LTarget": "${meta.none}", "RTarget": "x", "Operand": "="}]))
    evals = until(10, "a blocked one", lambda: (lambda e: e if "blocked" in [x["Status"] for x in e] else None)(
        server.read("/v1/evaluations?job=" + name)))
    first = [e for e in evals if e["TriggeredBy"] == "job-register"][0]
    blocked = [e for e in evals if e["Status"] == "blocked"][0]
    same(first["BlockedEval"], blocked["ID"])
    related = server.read("/v1/evaluation/%s?related=true" % first["ID"])["RelatedEvals"]
    same([e["ID"] for e in related], [blocked["ID"]])
    check("RelatedEvals" not in server.read("/v1/evaluation/" + first["ID"]), "related ones without being asked")
    same(server.read("/v1/evaluations/count?job=" + name), {"Count": 2})
    same(server.read('/v1/evaluations/count?filter=JobID=="%s" and Status=="blocked"' .replace(" ", "%%20") % name), {"Count": 1})
    for _ in range(3):  # However often it is looked at, one waits.
        server.put("/v1/job/%s/evaluate" % name, {"JobID": name}).want(200)
    until(10, "one waits", lambda: [e["Status"] for e in server.read("/v1/evaluations?job=" + name)].count("blocked") == 1)
    server.ask("DELETE", "/v1/evaluations", {"EvalIDs": [first["ID"]]}).want(500, "eval broker")
    old = server.read("/v1/operator/scheduler/configuration")["SchedulerConfig"]
    server.put("/v1/operator/scheduler/configuration", dict(old, PauseEvalBroker=True)).want(200)
    try:
        answer = server.ask("DELETE", "/v1/evaluations", {"EvalIDs": [first["ID"]]}).want(200)
        same(answer.json["Count"], 1)
        server.get("/v1/evaluation/" + first["ID"]).want(404, "eval not found")
        text = 'JobID == "%s" and Status == "complete"' % name
        check(server.ask("DELETE", "/v1/evaluations", {"Filter": text}).want(200).json["Count"] >= 1, "none deleted by a filter")
    finally:
        server.put("/v1/operator/scheduler/configuration", dict(old, PauseEvalBroker=False)).want(200)
    server.ask("DELETE", "/v1/job/%s?purge=true" % name).want(200)


def a_node_that_is_purged_loses_its_work_and_comes_back():
    lab = Lab(3, 2, config=QUICK)
    server = lab.followers()[0]
    client = lab.clients[1]
    node = lab.node(client)["ID"]
    answer = server.put("/v1/node/%s/purge" % node).want(200).json
    check(answer["NodeModifyIndex"] > 0, answer)
    until(10, "its client registers it again", lambda: server.get("/v1/node/" + node).status == 200)
    until(10, "it is ready", lambda: server.read("/v1/node/" + node)["Status"] == "ready")


if __name__ == "__main__":
    run(metadata_is_set_unset_and_survives_a_restart, pools_are_made_changed_and_removed,
        eligibility_drain_evaluate_and_purge_refuse_what_makes_no_sense, a_drain_is_told_until_its_tasks_have_ended,
        deployments_refuse_what_makes_no_sense, deployments_are_paused_promoted_and_reverted,
        deployments_are_listed_by_pages_filters_and_prefixes, evaluations_are_counted_related_and_deleted,
        a_node_that_is_purged_loses_its_work_and_comes_back)
