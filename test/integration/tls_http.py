#!/usr/bin/env python3
"""HTTPS of real agents: who is let in and who is not, all kinds of requests, new certificates while they run."""
import atexit, glob, os, shutil, signal, socket, subprocess, threading, time

from cases import at_end, check, run, same, until
from lab import DROVER, Lab, SECOND, Waiter, new_id, shell, job, no_sanitizer_reports

BED = {"failed": False}


def note(failed):
    BED["failed"] |= failed


def bed():
    """A lab for all cases, with a job that says something every now and then."""
    at_end.append(note)
    if "lab" not in BED:
        lab = BED["lab"] = Lab(servers=3, clients=1, tls=True)
        at_end.remove(lab.close)
        atexit.register(lambda: lab.close(BED["failed"]))
        BED["job"] = new_id()
        body = job(BED["job"], tasks=[shell("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i + 1)); sleep 0.1; done")])
        lab.servers[0].put("/v1/jobs", {"Job": body}).want(200)
        BED["alloc"] = lab.running(BED["job"], 1)[0]["ID"]
    return BED["lab"]


def drover(lab, *words, agent=None, stdin=b"", seconds=120, env={}, cwd=None):
    return subprocess.run([DROVER, *words], env=dict(lab.environment(agent), **env), input=stdin, stdout=subprocess.PIPE, cwd=cwd,
                          stderr=subprocess.PIPE, timeout=seconds)


def told(done, code=0):
    same(done.returncode, code, done.stdout[-500:] + done.stderr[-500:])
    return (done.stdout + done.stderr).decode()


def tls_file(lab, name):
    return os.path.join(lab.dir, "tls", name)


# ---- who uses it

def all_agents_answer_the_command_line():
    lab = bed()
    for agent in lab.agents:
        check("ready" in told(drover(lab, "node", "status", agent=agent)))
        check("running" in told(drover(lab, "job", "status", BED["job"], agent=agent)))
        check("alive" in told(drover(lab, "server", "members", agent=agent)))
        check("line 0\nline 1\n" in told(drover(lab, "alloc", "logs", BED["alloc"], agent=agent)))
        check("t.stdout.0" in told(drover(lab, "alloc", "fs", BED["alloc"], "alloc/logs", agent=agent)))


def commands_run_in_tasks():
    lab = bed()
    data = os.urandom(300000).hex().encode()
    for agent in (lab.servers[1], lab.clients[0]):
        done = drover(lab, "alloc", "exec", "-task", "t", BED["alloc"], "/bin/sh", "-c", "cat; echo err >&2; exit 5", agent=agent, stdin=data)
        check((done.returncode, done.stdout, done.stderr) == (5, data, b"err\n"), done.returncode, len(done.stdout), done.stderr[-300:])
        done = drover(lab, "alloc", "exec", "-task", "t", BED["alloc"], "head", "-c", "5000000", "/dev/zero", agent=agent)
        check((done.returncode, len(done.stdout)) == (0, 5000000), done.returncode, len(done.stdout), done.stderr[-300:])


def followers(alloc):
    """Processes that were started to follow its logs."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = open(path, "rb").read().split(b"\0")
        except OSError:
            continue
        if words[1:4] == [b"alloc", b"logs", b"-f"] and alloc.encode() in words:
            found.append(path)
    return found


def logs_and_events_are_followed():
    lab = bed()
    p = subprocess.Popen([DROVER, "alloc", "logs", "-f", BED["alloc"]], env=lab.environment(lab.servers[2]), stdout=subprocess.PIPE)
    try:
        lines = [p.stdout.readline() for _ in range(30)]
        same(lines[:2], [b"line 0\n", b"line 1\n"])
        check(lines[-1].startswith(b"line "), lines)
    finally:
        p.kill()
        p.wait()
    until(5, "nobody follows any more", lambda: not followers(BED["alloc"]))
    c = lab.servers[1].connection(20)
    c.request("GET", "/v1/event/stream?topic=Job")
    r = c.getresponse()
    same(r.status, 200)
    name = new_id()
    lab.servers[0].put("/v1/jobs", {"Job": job(name, kind="batch", Datacenters=["nowhere"])}).want(200)
    until(10, "the job's event", lambda: name.encode() in r.readline())
    c.close()


def questions_wait_and_are_answered():
    lab = bed()
    waiter = Waiter(lab.servers[1].get, "/v1/jobs")
    lab.servers[2].put("/v1/jobs", {"Job": job(kind="batch", Datacenters=["nowhere"])}).want(200)
    waiter.answer().want(200)


def other_programs_speak_with_it():
    lab = bed()
    identity = ["--cert", tls_file(lab, "global-cli-nomad.pem"), "--key", tls_file(lab, "global-cli-nomad-key.pem")]
    for more in (["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3"], ["--http2"]):
        done = subprocess.run(["curl", "-sS", "-m", "10", "--cacert", tls_file(lab, "nomad-agent-ca.pem"), *identity, *more,
                               lab.servers[0].url + "/v1/status/leader"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check(done.stdout.startswith(b'"127.'), more, done)


# ---- who is not let in

def curl(lab, url, ca="nomad-agent-ca.pem", cert=None, *more):
    identity = ["--cert", cert + ".pem", "--key", cert + "-key.pem"] if cert else []
    done = subprocess.run(["curl", "-sS", "-m", "10", "--cacert", tls_file(lab, ca), *identity, *more, url + "/v1/jobs"],
                          cwd=os.path.join(lab.dir, "tls"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, (done.stdout + done.stderr).decode()


def strangers(lab):
    """Certificates that nobody is to accept: of another authority, and one that has expired."""
    folder = os.path.join(lab.dir, "tls", "strange")
    if not os.path.isdir(folder):
        os.mkdir(folder)
        for words in (["tls", "ca", "create"], ["tls", "cert", "create", "-cli"], ["tls", "cert", "create", "-server"]):
            told(drover(lab, *words, cwd=folder))
        for words in (("req", "-new", "-key", "global-cli-nomad-key.pem", "-subj", "/CN=cli.global.nomad", "-out", "request"),
                      ("x509", "-req", "-in", "request", "-CA", "../nomad-agent-ca.pem", "-CAkey", "../nomad-agent-ca-key.pem", "-days", "-1",
                       "-out", "old.pem")):
            subprocess.run(["openssl", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.copy(os.path.join(folder, "global-cli-nomad-key.pem"), os.path.join(folder, "old-key.pem"))
    return folder


def who_has_no_good_certificate_is_refused_and_told_why():
    lab = bed()
    strangers(lab)
    for agent in (lab.servers[0], lab.clients[0]):
        for version in ("1.2", "1.3"):
            only = ("--tls-max", version)
            check(curl(lab, agent.url, "nomad-agent-ca.pem", "global-cli-nomad", *only)[0] == 0)
            expired = "expired" if version == "1.3" else "verification failed"  # As curl puts it.
            for cert, why in ((None, "alert"), ("strange/global-cli-nomad", "unknown ca"), ("strange/old", expired)):
                code, text = curl(lab, agent.url, "nomad-agent-ca.pem", cert, *only)
                check(code != 0 and why in text and "ModifyIndex" not in text, agent, version, cert, code, text)
    code, text = curl(lab, lab.servers[0].url, "strange/nomad-agent-ca.pem", "global-cli-nomad")
    check(code == 60, code, text)  # The server is no better known to those of another authority.
    check("SSL" in told(drover(lab, "status", env={"NOMAD_CACERT": tls_file(lab, "strange/nomad-agent-ca.pem")}), code=1))
    check("certificate" in told(drover(lab, "status", env={"NOMAD_CLIENT_CERT": "", "NOMAD_CLIENT_KEY": ""}), code=1))
    failed = lambda: told(drover(lab, "alloc", "exec", "-task", "t", BED["alloc"], "true", env={"NOMAD_CLIENT_CERT": "", "NOMAD_CLIENT_KEY": ""}), code=1)
    check("certificate" in failed(), failed())


def say(agent, port, data):
    """What comes back, until the other side closes; "silence" when it does not."""
    with socket.create_connection((agent.ip, port), 10) as s:
        answer = b""
        try:
            s.sendall(data)
            while True:
                part = s.recv(65536)
                if not part:
                    return answer
                answer += part
        except ConnectionResetError:
            return answer
        except socket.timeout:
            return answer + b"silence"


def plain_text_and_old_versions_are_refused_on_every_port():
    lab = bed()
    ports = [(a, port) for a in lab.agents for port in ((4646, 4647, 4648) if a in lab.servers else (4646,))]
    for agent, port in ports:
        data = say(agent, port, b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n")
        check(data.startswith(b"HTTP/1.1 400 ") and b"ModifyIndex" not in data if port == 4646 else data == b"", agent, port, data)
        data = say(agent, port, b"\0\1\2\3" * 1000)
        check(len(data) < 64 and b"silence" not in data, agent, port, data)  # At most an alert.
        probe = ["openssl", "s_client", "-connect", "%s:%d" % (agent.ip, port), "-CAfile", tls_file(lab, "nomad-agent-ca.pem")]
        me = ["-cert", tls_file(lab, "global-cli-nomad.pem"), "-key", tls_file(lab, "global-cli-nomad-key.pem")]
        for more, good in ((["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"] + me, False), (["-tls1_2"] + me, True), (["-tls1_2"], False)):
            done = subprocess.run(probe + more, input=b"Q\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
            same(done.returncode == 0, good, "%s %d %s %s" % (agent, port, more, done.stdout.decode(errors="replace")[-600:]))


def names_of_servers_are_checked():
    lab = bed()
    good = drover(lab, "node", "status", "-tls-server-name=server.global.nomad")
    check("ready" in told(good))
    check("does not match" in told(drover(lab, "node", "status", env={"NOMAD_TLS_SERVER_NAME": "server.other.nomad"}), code=1)
          or "target host name" in told(drover(lab, "node", "status", env={"NOMAD_TLS_SERVER_NAME": "server.other.nomad"}), code=1))
    done = drover(lab, "alloc", "exec", "-task", "t", "-tls-server-name", "server.global.nomad", BED["alloc"], "echo", "hello")
    same((done.returncode, done.stdout), (0, b"hello\n"), done.stderr)


def flags_do_what_the_environment_does():
    lab = bed()
    none = dict.fromkeys(("NOMAD_CACERT", "NOMAD_CLIENT_CERT", "NOMAD_CLIENT_KEY"), "")
    cert = ["-client-cert", tls_file(lab, "global-cli-nomad.pem"), "-client-key", tls_file(lab, "global-cli-nomad-key.pem")]
    folder = os.path.join(lab.dir, "authorities")
    os.makedirs(folder, exist_ok=True)
    shutil.copy(tls_file(lab, "nomad-agent-ca.pem"), folder)
    subprocess.run(["openssl", "rehash", folder], check=True, stdout=subprocess.DEVNULL)
    status = lambda *words, env=none, code=0: told(drover(lab, "node", "status", *words, env=env), code)
    for words in (["-ca-cert", tls_file(lab, "nomad-agent-ca.pem")], ["-ca-path", folder], ["-tls-skip-verify"]):
        check("ready" in status(*words, *cert), words)
    check("ready" in status(*cert, env=dict(none, NOMAD_CAPATH=folder)))
    for yes in ("true", "1"):
        check("ready" in status(*cert, env=dict(none, NOMAD_SKIP_VERIFY=yes)))
    check("certificate" in status(*cert, env=dict(none, NOMAD_SKIP_VERIFY="false"), code=1))
    check("certificate" in status(*cert, code=1))
    check("both a client certificate and its key" in status(*cert[:2], code=1))
    check("nothing.pem" in status("-ca-path", folder, "-client-cert", "nothing.pem", *cert[2:], code=1))


# ---- new certificates

def serial(agent, context):
    with socket.create_connection((agent.ip, 4646), 10) as s, context.wrap_socket(s, server_hostname=agent.ip) as t:
        return t.getpeercert()["serialNumber"]


def new_certificates_are_for_new_connections():
    """By way of a bundle: first both authorities are believed, then the new one is all there is."""
    lab = bed()
    before = {a: serial(a, lab.context) for a in lab.agents}
    kept = {a: a.connection(30) for a in lab.agents}
    stream = lab.servers[0].connection(30)
    stream.request("GET", "/v1/event/stream?topic=Job")
    events = stream.getresponse()
    for c in kept.values():
        c.request("GET", "/v1/status/leader")
        c.getresponse().read()
    term = lab.servers[0].read("/v1/agent/self")["stats"]["raft"]["term"]
    running = lab.running(BED["job"], 1)[0]["ID"]
    hang_up = lambda: [a.signal(signal.SIGHUP) for a in lab.agents]
    said = lambda text: until(10, "all say " + text, lambda: all(text in a.log() for a in lab.agents))

    # Nothing but nonsense: the old ones stay.
    name = tls_file(lab, "global-server-nomad.pem")
    text = open(name).read()
    open(name, "w").write("nonsense\n")
    lab.servers[0].signal(signal.SIGHUP)
    until(10, "a word about it", lambda: "the certificate stays as it was: tls.cert_file: " in lab.servers[0].log())
    same(serial(lab.servers[0], lab.context), before[lab.servers[0]])
    open(name, "w").write(text)

    new = os.path.join(lab.dir, "new")
    os.mkdir(new)
    told(drover(lab, "tls", "ca", "create", cwd=new))
    for role, agents in (("server", lab.servers), ("client", lab.clients), ("cli", [])):
        told(drover(lab, "tls", "cert", "create", "-" + role, *["-additional-ipaddress=" + a.ip for a in agents], cwd=new))
    ca = tls_file(lab, "nomad-agent-ca.pem")
    both = open(ca).read() + open(os.path.join(new, "nomad-agent-ca.pem")).read()
    open(ca, "w").write(both)
    hang_up()
    said("new connections use the certificate of CN=")
    lab.read_certificates()
    for end in ("", "-key"):
        shutil.copy(tls_file(lab, "global-cli-nomad%s.pem" % end), tls_file(lab, "was%s.pem" % end))
    for role in ("server", "client", "cli"):
        for end in ("", "-key"):
            shutil.copy(os.path.join(new, "global-%s-nomad%s.pem" % (role, end)), tls_file(lab, "global-%s-nomad%s.pem" % (role, end)))
    hang_up()
    lab.read_certificates()
    until(10, "new certificates", lambda: all(serial(a, lab.context) != before[a] for a in lab.agents))
    same(curl(lab, lab.servers[0].url, cert="was")[0], 0)
    shutil.copy(os.path.join(new, "nomad-agent-ca.pem"), ca)
    hang_up()
    lab.read_certificates()
    for agent in lab.agents:
        check(told(drover(lab, "node", "status", agent=agent)))
    for agent in lab.agents:
        until(10, "the old authority is forgotten", lambda: "unknown ca" in curl(lab, agent.url, cert="was")[1])

    # What was there goes on.
    for agent, c in kept.items():
        c.request("GET", "/v1/status/leader")
        same(c.getresponse().status, 200, agent)
    name = new_id()
    lab.servers[1].put("/v1/jobs", {"Job": job(name, kind="batch", Datacenters=["nowhere"])}).want(200)
    until(10, "the stream goes on", lambda: name.encode() in events.readline())
    same(lab.servers[0].read("/v1/agent/self")["stats"]["raft"]["term"], term, "the term")
    same(lab.running(BED["job"], 1)[0]["ID"], running)


def an_allocations_data_moves_over_https():
    lab = Lab(servers=1, clients=2, tls=True)
    script = "cd $NOMAD_ALLOC_DIR/data; echo $NOMAD_ALLOC_ID >>all; exec sleep 1000"
    short = {"MaxParallel": 1, "HealthCheck": "task_states", "MinHealthyTime": SECOND // 10, "HealthyDeadline": 60 * SECOND}
    body = job(tasks=[shell(script)], group={"EphemeralDisk": {"SizeMB": 20, "Sticky": True, "Migrate": True}, "Migrate": short})
    server = lab.servers[0]
    server.put("/v1/jobs", {"Job": body}).want(200)
    first = lab.running(body["ID"], 1)[0]
    server.put("/v1/node/%s/drain" % first["NodeID"], {"DrainSpec": {"Deadline": 60 * SECOND}}).want(200)
    second = until(20, lambda: "another allocation: " + lab.tails(),
                   lambda: [a for a in lab.allocs(body["ID"], DesiredStatus="run", ClientStatus="running") if a["ID"] != first["ID"]])[0]
    check(second["NodeID"] != first["NodeID"], "the same node")
    same(server.get("/v1/client/fs/cat/%s?path=alloc/data/all" % second["ID"]).text.split(), [first["ID"], second["ID"]])
    same(server.read("/v1/node/" + second["NodeID"])["TLSEnabled"], True)


def all_ends_well():
    no_sanitizer_reports(bed())


run(all_agents_answer_the_command_line, commands_run_in_tasks, logs_and_events_are_followed, questions_wait_and_are_answered,
    other_programs_speak_with_it, who_has_no_good_certificate_is_refused_and_told_why, plain_text_and_old_versions_are_refused_on_every_port,
    names_of_servers_are_checked, flags_do_what_the_environment_does, new_certificates_are_for_new_connections,
    an_allocations_data_moves_over_https, all_ends_well)
