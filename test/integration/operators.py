#!/usr/bin/env python3
"""What operators do with the servers of a cluster: back its state up, restore it, remove a server, hand leadership on, get out of the
loss of most servers."""
import gzip, hashlib, zlib
from lab import *


def drover(lab, server, *words, code=0):
    """The command line, told of a server; what it says on both streams."""
    done = subprocess.run([DROVER, *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, cwd=lab.dir,
                          env=dict(os.environ, NOMAD_ADDR=server.url))
    text = done.stdout.decode(errors="replace")
    check(done.returncode == code, *words, "ended with", done.returncode, ":", text)
    return text


def jobs_of(server):
    return {j["ID"]: j["JobModifyIndex"] for j in server.read("/v1/jobs?prefix=")}


def snapshot(server):
    answer = server.get("/v1/operator/snapshot").want(200)
    same(answer.headers["Content-Type"], "application/x-gzip")
    return answer


def settle(server):
    """No evaluation is being worked on: nothing changes by itself any more."""
    until(20, "the schedulers are done", lambda: all(e["Status"] != "pending" for e in server.read("/v1/evaluations")))


def user_data(server):
    """All that users have made, as the API shows it."""
    ids = sorted(j["ID"] for j in server.read("/v1/jobs"))
    text = json.dumps([[server.read("/v1/job/" + i), server.read("/v1/job/%s/versions" % i), server.read("/v1/job/%s/allocations" % i)]
                       for i in ids] + [server.read("/v1/namespaces"), server.read("/v1/node/pools")], sort_keys=True)
    return ids, hashlib.sha256(text.encode()).hexdigest()


def index_of(server):
    return int(server.read("/v1/agent/self")["stats"]["raft"]["state_index"])


def a_saved_state_is_restored_into_a_fresh_cluster():
    lab = Lab(3)
    for i in range(40):
        lab.servers[i % 3].register(idle(new_id("kept")))
    lab.servers[0].put("/v1/namespace/team", {"Name": "team"}).want(200)
    settle(lab.leader())
    lab.same_state()
    before = user_data(lab.leader())
    saved = snapshot(lab.followers()[0])
    check(saved.index >= 41, "index", saved.index)
    other = Lab(3)
    other.leader().register(idle("lost"))
    highest = max(index_of(s) for s in other.servers)
    answer = other.followers()[0].put("/v1/operator/snapshot", saved.body).want(200)
    check(answer.index > saved.index and answer.index > highest, "index", answer.index, saved.index, highest)
    settle(other.leader())
    other.same_state()
    for s in other.servers:
        same(user_data(s), before, s)
        s.get("/v1/job/lost").want(404)
    check(other.leader().register(idle("later"))["JobModifyIndex"] > answer.index, "indexes go on")
    other.same_state()
    for s in other.servers:  # It is in the log, or in what follows from it.
        s.kill()
    for s in other.servers:
        s.start()
    other.wait()
    other.same_state()
    same(set(jobs_of(other.leader())), set(before[0]) | {"later"})
    return "%d bytes" % len(saved.body)


def a_restore_on_a_running_cluster_wakes_who_waits_and_its_tasks_follow():
    lab = Lab(3, 1)
    lab.leader().register(job("kept", count=2))
    lab.running("kept", 2)
    saved = snapshot(lab.leader())
    lab.leader().register(job("new"))
    new = lab.running("new", 1)[0]
    at = lab.servers[0].get("/v1/jobs").index
    waiter = {}
    thread = threading.Thread(daemon=True, target=lambda: waiter.update(a=lab.servers[0].get("/v1/jobs?index=%d&wait=30s" % at, timeout=60)))
    thread.start()
    time.sleep(0.3)
    lab.leader().put("/v1/operator/snapshot", saved.body).want(200)
    thread.join(60)
    check(waiter and waiter["a"].index > at, "the blocked query was not answered")
    same([j["ID"] for j in waiter["a"].json], ["kept"])
    until(20, lambda: "the task that the restored state does not know ends: " + lab.tails(), lambda: not task_pids(lab, new["ID"]))
    lab.running("kept", 2)
    lab.leader().register(job("after"))
    lab.running("after", 1)
    lab.same_state()


def unpacked(body):
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return None


def has_come_to_rest(server):
    index = index_of(server)
    time.sleep(0.3)
    return index_of(server) == index


def a_damaged_file_is_refused_and_changes_nothing():
    lab = Lab(1)
    leader = lab.leader()
    for i in range(20):
        leader.register(idle(new_id("kept")))
    saved = snapshot(leader).body
    leader.register(idle("since"))
    until(10, "its evaluations end", has_come_to_rest, leader)
    index, before = index_of(leader), jobs_of(leader)
    damaged = [saved[:-1], saved[:len(saved) // 2], saved[:5], b"", b"no archive at all", saved + b"x"]
    for _ in range(12):
        at = rng.randrange(10, len(saved))
        damaged.append(saved[:at] + bytes([saved[at] ^ (1 << rng.randrange(8))]) + saved[at + 1:])
    # Some bits of a compressed file may be either.
    damaged = [d for d in damaged if unpacked(d) != unpacked(saved)]
    check(len(damaged) > 12, len(damaged))
    for body in damaged:
        answer = leader.put("/v1/operator/snapshot", body).want(400, "the archive cannot be restored: ")
        check(len(answer.text) > 40, answer.text)
    same((index_of(leader), jobs_of(leader)), (index, before))


def restores_while_servers_are_killed_leave_the_old_state_or_the_new():
    lab = Lab(3)
    for i in range(30):
        lab.leader().register(idle(new_id("old")))
    saved = snapshot(lab.leader()).body
    want_new = set(jobs_of(lab.leader()))
    ends = []
    for round_ in range(4):
        name = new_id("since")
        until(15, "a write", lambda: lab.leader().put("/v1/jobs", {"Job": idle(name)}).status == 200)
        victim, result = lab.leader(), {}

        def restore():
            try:
                result["status"] = victim.put("/v1/operator/snapshot", saved).status
            except (OSError, http.client.HTTPException):
                result["status"] = 0
        thread = threading.Thread(daemon=True, target=restore)
        thread.start()
        time.sleep(rng.random() * 0.02)
        victim.kill()
        thread.join()
        victim.start()
        lab.leader(20)
        lab.same_state(20)
        now = set(jobs_of(lab.leader()))
        check(now == want_new or now == want_new | {name}, "neither the old state nor the new", sorted(now ^ want_new))
        check(result["status"] != 200 or now == want_new, "restored, and is the old one")
        ends.append("new" if now == want_new else "old")
        if name in now:
            lab.leader().ask("DELETE", "/v1/job/%s?purge=true" % name).want(200)
    return " ".join(ends)


def the_command_line_saves_inspects_and_restores():
    lab = Lab(1)
    leader = lab.leader()
    leader.register(idle("kept"))
    check("State file written to backup.snap" in drover(lab, leader, "operator", "snapshot", "save", "backup.snap"))
    text = drover(lab, leader, "operator", "snapshot", "inspect", "backup.snap")
    check(re.search(r"(?m)^jobs +1 ", text) and re.search(r"(?m)^Index += \d+$", text), text)
    leader.register(idle("since"))
    check("Snapshot Restored" in drover(lab, leader, "operator", "snapshot", "restore", "backup.snap"))
    same(set(jobs_of(leader)), {"kept"})
    path = os.path.join(lab.dir, "backup.snap")
    data = bytearray(open(path, "rb").read())
    data[len(data) // 2] ^= 4
    open(path, "wb").write(data)
    for words in ("inspect", "restore"):
        check("Error reading backup.snap: " in drover(lab, leader, "operator", "snapshot", words, "backup.snap", code=1))


def leadership_goes_where_the_operator_wants_it():
    lab = Lab(3)
    gaps = []
    for _ in range(6):
        leader, target = lab.leader(), rng.choice(lab.followers())
        stop, last = threading.Event(), {"ok": time.monotonic(), "gap": 0.0}

        def write():
            while not stop.is_set():
                try:
                    if target.put("/v1/jobs", {"Job": idle("steady")}, timeout=5).status == 200:
                        now = time.monotonic()
                        last["gap"], last["ok"] = max(last["gap"], now - last["ok"]), now
                except (OSError, http.client.HTTPException):
                    pass
        thread = threading.Thread(daemon=True, target=write)
        thread.start()
        time.sleep(0.5)
        last["gap"] = 0.0
        answer = leader.put("/v1/operator/raft/transfer-leadership?address=%s:4647" % target.ip)
        if answer.status == 400 and "in time" in answer.text:  # This machine does other things as well.
            stop.set()
            continue
        answer = answer.want(200).json
        same((answer["From"]["Address"], answer["To"]["Address"]), (leader.ip + ":4647", target.ip + ":4647"))
        until(5, "the target leads", lambda: lab.leader() is target)
        time.sleep(0.3)
        stop.set()
        thread.join()
        gaps.append(last["gap"])
    lab.leader().put("/v1/operator/raft/transfer-leadership?id=no-such").want(400)
    check(gaps, "no transfer was in time")
    SANITIZED or quick(min(gaps), 0.1, "the shortest gap between two writes")
    return "longest gaps between two writes: %s ms" % ", ".join("%.0f" % (g * 1000) for g in gaps)


def a_removed_server_is_not_taken_in_again_while_it_is_connected():
    lab = Lab(3)
    gone = lab.followers()[0]
    lab.followers()[1].ask("DELETE", "/v1/operator/raft/peer?address=%s:4647" % gone.ip).want(200)
    rest = [s for s in lab.servers if s is not gone]

    def peers():
        found = [s.try_read("/v1/operator/raft/configuration") for s in rest]
        return [sorted(p["Address"] for p in f["Servers"]) for f in found if f]
    want = sorted(s.ip + ":4647" for s in rest)
    until(5, lambda: "it is gone: %s" % peers(), lambda: peers() == [want, want])
    for _ in range(2):  # Also when another server leads.
        end = time.monotonic() + 2
        while time.monotonic() < end:
            same(peers(), [want, want])
            time.sleep(0.1)
        leader = [s for s in rest if s.read("/v1/agent/self")["stats"]["nomad"]["leader"] == "true"][0]
        leader.put("/v1/operator/raft/transfer-leadership").want(200)
        until(5, "another leader", lambda: rest[0].try_read("/v1/status/leader") not in (None, "", leader.ip + ":4647"))
    gone.kill()
    gone.wipe()
    gone.start()
    until(20, lambda: "it is back as another one: %s" % peers(), lambda: all(len(p) == 3 for p in peers()))
    rest[0].ask("DELETE", "/v1/operator/raft/peer?id=no-such").want(500, "was not found in the Raft configuration")
    rest[0].ask("DELETE", "/v1/operator/raft/peer").want(400)


def the_pilot_is_configured_by_check_and_set():
    lab = Lab(3)
    leader, other = lab.leader(), lab.followers()[0]
    now = other.read("/v1/operator/autopilot/configuration")
    same(now["ModifyIndex"], 0)
    now["MinQuorum"] = 3
    same(other.put("/v1/operator/autopilot/configuration?cas=7", now).want(200).json, False)
    same(other.put("/v1/operator/autopilot/configuration?cas=0", now).want(200).json, True)
    for s in lab.servers:
        until(5, "%s knows it" % s, lambda: s.read("/v1/operator/autopilot/configuration")["MinQuorum"] == 3)
    check("Configuration updated!" in drover(lab, other, "operator", "autopilot", "set-config", "-cleanup-dead-servers=false",
                                             "-last-contact-threshold=1s"))
    until(5, "it is changed", lambda: other.read("/v1/operator/autopilot/configuration")["LastContactThreshold"] == "1s")
    text = drover(lab, other, "operator", "autopilot", "get-config")
    check(re.search(r"(?m)^CleanupDeadServers += false$", text) and re.search(r"(?m)^MinQuorum += 3$", text), text)
    check("Healthy: true" in drover(lab, leader, "operator", "autopilot", "health"))
    text = drover(lab, other, "operator", "raft", "list-peers")
    same(len([line for line in text.splitlines() if "follower" in line]), 2, text)


def a_failed_server_is_let_go_by_its_name():
    lab = Lab(3)
    gone = lab.followers()[0]
    rest = [s for s in lab.servers if s is not gone]
    rest[0].put("/v1/agent/force-leave?node=%s.global" % rest[1].name).want(400, "alive")
    rest[0].put("/v1/agent/force-leave?node=nobody").want(200)
    gone.kill()

    def status(s):
        return {m["Name"]: m["Status"] for m in s.read("/v1/agent/members")["Members"]}.get(gone.name + ".global")
    until(10, "it has failed", lambda: status(rest[0]) == "failed")
    drover(lab, rest[0], "server", "force-leave", gone.name)
    for s in rest:
        until(10, lambda: "%s: it has left: %s" % (s, status(s)), lambda: status(s) == "left")
        until(10, "the configuration is without it", lambda: len(s.read("/v1/operator/raft/configuration")["Servers"]) == 2)
    drover(lab, rest[0], "server", "force-leave", "-prune", gone.name)
    until(5, "it is forgotten", lambda: status(rest[0]) is None)
    gone.start()
    until(20, "it is back", lambda: len(rest[0].read("/v1/operator/raft/configuration")["Servers"]) == 3)
    same(rest[0].put("/v1/agent/join?address=%s:4647" % rest[1].ip).want(200).json["num_joined"], 1)
    check(rest[0].put("/v1/agent/join?address=127.0.0.1:1").want(200).json["num_joined"] == 0)
    rest[0].put("/v1/agent/join").want(400)


def a_cluster_that_has_lost_most_servers_is_recovered_by_a_file():
    lab = Lab(3)
    for i in range(20):
        lab.servers[i % 3].register(idle(new_id("kept")))
    lab.same_state()
    before, left = user_data(lab.leader()), lab.servers[0]
    for s in lab.servers:
        s.kill()
    for s in lab.servers[1:]:
        s.wipe()
    identity = json.load(open(subprocess.check_output(["find", left.dir, "-name", "identity.json"]).decode().split()[0]))
    raft = subprocess.check_output(["find", left.dir, "-type", "d", "-name", "raft"]).decode().split()[0]
    path = os.path.join(raft, "peers.json")
    for wrong in ("[]", "no JSON", '[{"id":"1","address":"10.0.0.1:4647"}]', '[{"id":"%s","address":"nowhere"}]' % identity["ID"]):
        open(path, "w").write(wrong)
        told = left.log().count("peers.json")
        try:
            left.start()
        except Failure:
            pass
        until(10, lambda: "it says why, and ends: " + left.tail(),
              lambda: left.log().count("peers.json") > told and not left.pid)
    json.dump([{"id": identity["ID"], "address": left.ip + ":4647", "non_voter": False}], open(path, "w"))
    left.start()
    until(20, lambda: "it leads: " + left.tail(), lambda: left.try_read("/v1/status/leader") == left.ip + ":4647")
    same(user_data(left), before)
    check(not os.path.exists(path) and os.path.exists(path + ".recovered"), os.listdir(raft))
    for s in lab.servers[1:]:
        s.start()
    until(20, lambda: "three servers: " + lab.tails(), lambda: len(left.read("/v1/operator/raft/configuration")["Servers"]) == 3)
    lab.leader().register(idle("later"))
    lab.same_state()


run(a_saved_state_is_restored_into_a_fresh_cluster, a_restore_on_a_running_cluster_wakes_who_waits_and_its_tasks_follow,
    a_damaged_file_is_refused_and_changes_nothing, restores_while_servers_are_killed_leave_the_old_state_or_the_new,
    the_command_line_saves_inspects_and_restores, leadership_goes_where_the_operator_wants_it,
    a_removed_server_is_not_taken_in_again_while_it_is_connected, the_pilot_is_configured_by_check_and_set,
    a_failed_server_is_let_go_by_its_name, a_cluster_that_has_lost_most_servers_is_recovered_by_a_file)
