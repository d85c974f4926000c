#!/usr/bin/env python3
"""The lab of scripts/compose: its image, its faults and its tour. Skipped, with the reason, without a Docker engine.
All that it makes (an image, containers, volumes, a network) has names of its own and is removed."""
import atexit, json, os, shutil, signal, subprocess, sys, tempfile
from cases import Skip, check, rng, run, same, until

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(HERE, "..", "..", "scripts")
NAME = "drover-test-%d" % os.getpid()
IMAGE = NAME + ":1"
ENVIRONMENT = dict(os.environ, COMPOSE_PROJECT_NAME=NAME, DROVER_IMAGE=IMAGE, DROVER_PORT=str(rng.randrange(2000, 3000)),
                   DROVER=os.path.abspath(os.environ.get("DROVER") or os.path.join(os.environ.get("BUILD", "."), "drover")))
done = set()  # What the cases after it need.


def output(*words, ok=True, env=ENVIRONMENT, seconds=120):
    """Standard output and error of a command that ends well, or, as ok says, does not."""
    ended = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
    text = ended.stdout.decode(errors="replace")
    check((ended.returncode == 0) == ok, " ".join(words), "ended with status", ended.returncode, text)
    return text


def script(name, *words, **how):
    return output(os.path.join(SCRIPTS, name), *words, **how)


def answers(*words):
    return bool(shutil.which(words[0])) and subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def need(what=None):
    if not answers("docker", "version"):
        raise Skip("no Docker engine answers")
    if what and what not in done:
        raise Skip("without what an earlier case makes")


def need_lab():
    need("lab")
    if os.geteuid() != 0 or not shutil.which("nsenter", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        raise Skip("faults of the network need root and nsenter")


def clean_up():
    """Containers, volumes, network and image, however far it came."""
    made = set(done)
    done.clear()
    if "starting" in made:
        script("compose/up", "down")
        for kind in (("ps", "-aq"), ("volume", "ls", "-q"), ("network", "ls", "-q")):
            same(output("docker", *kind, "--filter", "label=com.docker.compose.project=" + NAME), "", "is left of " + kind[0])
    if "image" in made:
        output("docker", "rmi", IMAGE)


def free_net():
    taken = output("docker", "network", "inspect", *output("docker", "network", "ls", "-q").split())
    return next(n for n in ("172.31.%d" % rng.randrange(80, 250) for _ in range(100)) if '"%s.' % n not in taken)


def an_image_is_made_offline():
    need()
    script("image", IMAGE)
    done.add("image")
    about = json.loads(output("docker", "image", "inspect", IMAGE))[0]
    check(about["Size"] < 40 * 10 ** 6, about["Size"], "bytes")
    same(about["Config"]["User"], "900:900")
    in_it = ["docker", "run", "--rm", "--network", "none", "--entrypoint"]
    same(output(*in_it, "id", IMAGE, "-u").strip(), "900")
    check("no-such-program" in script("image", IMAGE, ok=False, env=dict(ENVIRONMENT, DROVER="/no-such-program")))
    return "%d MB" % (about["Size"] // 10 ** 6)


def one_command_starts_a_cluster():
    need("image")
    if not answers("docker", "compose", "version") and not shutil.which("docker-compose"):
        raise Skip("there is no Compose")
    ENVIRONMENT["DROVER_NET"] = free_net()
    done.add("starting")
    check("3 servers" in script("compose/up"))
    done.add("lab")
    for container in json.loads(output("docker", "inspect", *output("docker", "ps", "-q", "--filter", "name=" + NAME).split())):
        host = container["HostConfig"]
        same((host["Privileged"], host["CapDrop"], container["Config"]["User"]), (False, ["ALL"], "900:900"))


def faults_take_hold_and_heal():
    need_lab()
    for fault, node, shown in (("partition", "s1", "partition"), ("oneway", "s2", "oneway"), ("loss", "c1", "loss"),
                               ("slow", "c2", "slow"), ("pause", "s3", "paused"), ("kill", "c3", "exited"),
                               ("disk-full", "s1", "disk-full")):
        script("compose/chaos", fault, node)
        said = script("compose/chaos", "status", node)
        check(shown in said, fault, "is not in", said)
        check("no datagram is lost" in script("compose/chaos", "heal", node))
    script("compose/chaos", "partition", "c1")  # Nobody's wires are tried with it.
    script("compose/chaos", "oneway", "s1")
    same(script("compose/chaos", "heal", "all").count("no datagram is lost"), 6)
    check("partition" not in script("compose/chaos", "status"))


def a_fault_that_does_not_take_hold_is_an_error():
    need_lab()
    with tempfile.TemporaryDirectory(prefix="drover-compose-") as folder:
        for tool in ("iptables", "tc"):
            path = os.path.join(folder, tool)
            open(path, "w").write("#!/bin/sh\nexit 0\n")
            os.chmod(path, 0o755)
        env = dict(ENVIRONMENT, PATH=folder + ":" + os.environ["PATH"])
        for fault in ("partition", "slow"):
            check("has not taken hold" in script("compose/chaos", fault, "s2", ok=False, env=env), fault)
    check("no node s99" in script("compose/chaos", "kill", "s99", ok=False))
    check("PERCENT" in script("compose/chaos", "loss", "s1", "100", ok=False))


def the_tour_keeps_its_promises():
    need_lab()
    said = script("compose/tour")
    check("9 promises, all kept" in said, said)


def all_are_healthy_in_the_end():
    need_lab()

    def health():
        found = output("docker", "ps", "-q", "--filter", "label=com.docker.compose.project=" + NAME).split()
        return output("docker", "inspect", "-f", "{{.State.Health.Status}}", *found).split()
    until(40, lambda: "all are healthy: %s" % health(), lambda: health() == ["healthy"] * 6)


def nothing_is_left():
    need("image")
    clean_up()


atexit.register(clean_up)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
run(an_image_is_made_offline, one_command_starts_a_cluster, faults_take_hold_and_heal, a_fault_that_does_not_take_hold_is_an_error,
    the_tour_keeps_its_promises, all_are_healthy_in_the_end, nothing_is_left)
