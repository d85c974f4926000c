#!/usr/bin/env python3
"""Containers on a real node: events, ports, logs, an agent that is killed, images that cannot be had. Skipped without an engine."""
from lifecycle import *

IMAGE = "drover-test:1"
MAKE_IMAGE = ("docker image inspect %s >/dev/null 2>&1 && exit 0; "
              "f='/bin/sh /bin/cat /bin/sleep /bin/ls /usr/bin/head /usr/bin/tail /usr/bin/seq'; "
              "l=$(for x in $f; do ldd $x; done | grep -o '/[^ ]*' | sort -u); "
              "tar -C / -chf - $(echo $f $l | sed 's, /, ,g; s,^/,,') 2>/dev/null | docker import - %s" % (IMAGE, IMAGE))


def engine():
    if not shutil.which("docker") or subprocess.run(["docker", "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("there is no engine")
    if subprocess.run(["/bin/sh", "-c", MAKE_IMAGE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("the image cannot be imported")
    made = subprocess.run(["docker", "create", "--mount", "type=bind,dst=/x,src=" + lab().dir, IMAGE, "/bin/true"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if made.returncode != 0:
        raise Skip("the engine does not see our files: " + made.stderr.decode().strip()[:100])
    subprocess.run(["docker", "rm", made.stdout.decode().strip()], stdout=subprocess.DEVNULL)


def container(script, **config):
    return task(driver="docker", args=dict({"image": IMAGE, "command": "/bin/sh", "args": ["-c", script]}, **config),
                Resources={"CPU": 50, "MemoryMB": 64})


def containers(alloc_id):
    return subprocess.run(["docker", "ps", "-aq", "--no-trunc", "--filter", "label=com.hashicorp.nomad.alloc_id=" + alloc_id],
                          stdout=subprocess.PIPE).stdout.decode().split()


def a_container_ends_and_is_told_of():
    engine()
    a, _ = begin([container("echo to-stdout; echo to-stderr >&2; echo kept >/alloc/data/f; exit 5")])
    ended(a, "failed", 30)
    same((logs(a), logs(a, kind="stderr")), ("to-stdout\n", "to-stderr\n"))
    same(server().get("/v1/client/fs/cat/%s?path=alloc/data/f" % a).text, "kept\n")
    same([t for t in types(a)], ["Received", "Task Setup", "Started", "Terminated", "Not Restarting"])
    told(event(a, "Terminated"), "Exit Code: 5, Exit Message: \"Docker container exited with non-zero exit code: 5\"", exit_code="5")
    until(10, lambda: "it is removed: %s" % containers(a), lambda: not containers(a))


def a_container_outlives_its_agent():
    engine()
    a, j = begin([container("i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done")], kind="service")
    runs(a)
    before = containers(a)
    same(len(before), 1)
    client = lab().clients[0]
    for _ in range(2):
        client.kill()
        time.sleep(0.5)
        client.start()
        lab().wait()
    until(10, lambda: describe(a), lambda: alloc(a)["ClientStatus"] == "running")
    same(containers(a), before)
    same((state(a)["Restarts"], types(a).count("Started")), (0, 1))
    time.sleep(0.5)
    lines = [int(l) for l in logs(a).split()]
    same(lines, list(range(len(lines))), "no line is lost or doubled")
    check(server().read("/v1/client/allocation/%s/stats" % a)["Tasks"]["t"]["ResourceUsage"]["MemoryStats"]["RSS"] > 0)
    stop(j)
    ended(a, seconds=30)
    until(10, lambda: "it is removed: %s" % containers(a), lambda: not containers(a))


def too_much_memory_is_told():
    engine()
    a, _ = begin([container("head -c 200m /dev/zero | tail; exit 1")])
    ended(a, "failed", 30)
    e = event(a, "Terminated")
    same((e["Details"]["oom_killed"], e["Details"]["exit_message"]), ("true", "OOM Killed"))


def an_image_that_cannot_be_had_is_told():
    engine()
    a, _ = begin([task(driver="docker", args={"image": "127.0.0.1:1/none:1"})])
    ended(a, "failed", 60)
    same([t for t in types(a)], ["Received", "Task Setup", "Driver", "Driver Failure", "Not Restarting"])
    told(event(a, "Driver"), "Downloading image", driver_message="Downloading image")
    check("Failed to pull `127.0.0.1:1/none:1`" in event(a, "Driver Failure")["DisplayMessage"], describe(a))


def what_the_node_does_not_allow_is_refused_by_name():
    engine()
    for config, word in (({"privileged": True}, "privileged"), ({"volumes": ["/etc:/x"]}, "volumes are not enabled"), ({"nope": 1}, "nope"),
                         ({"cap_add": ["sys_admin"]}, "sys_admin"), ({"runtime": "odd"}, "odd"), ({"load": "x"}, "load is not supported")):
        a, _ = begin([container("true", **config)])
        ended(a, "failed", 30)
        check(any(word in e["DisplayMessage"] for e in state(a)["Events"]), word, describe(a))
        same(containers(a), [])


run(a_container_ends_and_is_told_of, a_container_outlives_its_agent, too_much_memory_is_told, an_image_that_cannot_be_had_is_told,
    what_the_node_does_not_allow_is_refused_by_name)
