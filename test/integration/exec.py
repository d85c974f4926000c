#!/usr/bin/env python3
"""Commands in tasks over websockets: through each kind of agent, with input, terminals, large output, and bad ends."""
import base64, fcntl, pty, select, struct, termios
from urllib.parse import urlencode

from lab import *
from websocket import CLOSE, PING, PONG, Refused, WebSocket

BED = {"failed": False}


def note(failed):
    BED["failed"] |= failed


def bed():
    """One cluster for all cases, and an allocation of it: three servers, a client, a task that runs and one that has ended."""
    if "lab" not in BED:
        BED["lab"] = lab = Lab(3, 1)
        at_end.remove(lab.close)
        atexit.register(lambda: lab.close(BED["failed"]))
        name = new_id("svc")
        main = task("/bin/sh", ("-c", "while true; do sleep 1; done"), Env={"COLOR": "green"},
                    Actions=[{"Name": "greet", "Command": "/bin/sh", "Args": ["-c", "echo hello $0; cat; exit 9", "${COLOR}"]}])
        once = task("/bin/true", (), Name="once", Lifecycle={"Hook": "prestart"})
        lab.servers[0].register(job(name, tasks=[main, once]))
        BED["job"] = name
        BED["alloc"] = lab.running(name, 1)[0]["ID"]
        until(5, "processes of the task", task_pids, lab, BED["alloc"])
    at_end.append(note)
    return BED["lab"], BED["alloc"]


def path(alloc, command, task="t", **more):
    query = dict(command=json.dumps(command), task=task, tty="false", ws_handshake="true")
    query.update(more)
    return "/v1/client/allocation/%s/exec?%s" % (alloc, urlencode(query))


class Session(WebSocket):
    def __init__(self, agent, alloc, command, handshake=True, **more):
        WebSocket.__init__(self, agent.ip, path(alloc, command, ws_handshake=str(handshake).lower(), **more))
        self.out, self.err, self.ended, self.code = b"", b"", set(), None
        if handshake:
            self.send({"version": 1, "auth_token": ""})

    def write(self, data):
        self.send({"stdin": {"data": base64.b64encode(data).decode()}})

    def end_input(self):
        self.send({"stdin": {"close": True}})

    def step(self):
        """The next message. False after the last."""
        m = self.receive()
        if m is None:
            return False
        for name in ("stdout", "stderr"):
            part = m.get(name) or {}
            data = base64.b64decode(part.get("data") or "")
            if name == "stdout":
                self.out += data
            else:
                self.err += data
            if part.get("close"):
                self.ended.add(name)
        if m.get("exited"):
            self.code = m["result"]["exit_code"]
        return True

    def run(self):
        while self.step():
            pass
        return self

    def expect(self, text):
        while text not in self.out:
            check(self.step(), "it ended before", text, "came:", self.out[-300:], self.closed)
        return self


def sh(agent, alloc, script, **more):
    return Session(agent, alloc, ["/bin/sh", "-c", script], **more)


def all_agents():
    lab, alloc = bed()
    return lab.servers + lab.clients


def through_any_agent_output_and_code_come_back():
    _, alloc = bed()
    for agent in all_agents():
        s = sh(agent, alloc, "echo out; echo $COLOR >&2; pwd; exit 7").run()
        check(s.out.startswith(b"out\n") and b"/t" in s.out, s.out)
        same((s.err, s.code, s.closed), (b"green\n", 7, (1000, "")), agent)
        same(s.ended, {"stdout", "stderr"}, agent)
        s.close()


def without_a_handshake_it_starts_at_once():
    lab, alloc = bed()
    for agent in all_agents() * 10:  # It may end before the answer to the handshake has left.
        s = sh(agent, alloc, "echo x", handshake=False).run()
        same((s.out, s.code), (b"x\n", 0))
        s.close()


def input_arrives_in_order_and_ends():
    _, alloc = bed()
    for agent in all_agents():
        s = sh(agent, alloc, "cat; echo over")
        for i in range(200):
            s.write(b"line %d\n" % i)
        s.end_input()
        s.run()
        same(s.out, b"".join(b"line %d\n" % i for i in range(200)) + b"over\n", agent)
        same(s.code, 0)


def much_output_and_much_input_go_through_unharmed():
    lab, alloc = bed()
    data = rng.randbytes(3 << 20) if hasattr(rng, "randbytes") else os.urandom(3 << 20)
    for agent in (lab.servers[0], lab.clients[0]):
        s = sh(agent, alloc, "cat")

        def feed():
            for at in range(0, len(data), 48 << 10):
                s.write(data[at:at + (48 << 10)])
            s.end_input()

        thread = threading.Thread(target=feed)
        thread.start()
        s.sock.settimeout(120)
        s.run()
        thread.join(120)
        check(s.out == data, "%d bytes of %d came back" % (len(s.out), len(data)))
        same(s.code, 0)


def who_does_not_read_holds_up_the_command_and_not_the_agent():
    lab, alloc = bed()
    slow = sh(lab.servers[0], alloc, "yes 0123456789012345678901234567890123456789 | head -c 60000000; echo; echo whole")
    time.sleep(1.5)
    memory = lambda a: int(open("/proc/%d/statm" % a.pid).read().split()[1]) * 4096
    before = [memory(a) for a in lab.agents]
    time.sleep(1)
    for agent, was in zip(lab.agents, before):
        check(memory(agent) - was < 16 << 20, agent, "grew by", memory(agent) - was)
    same(sh(lab.servers[0], alloc, "echo quick").run().out, b"quick\n")
    slow.close()
    until(5, "the command is gone", lambda: not any("0123456789" in command_of(p) for p in task_pids(lab, alloc)))


def command_of(pid):
    try:
        return open("/proc/%d/cmdline" % pid).read()
    except OSError:
        return ""


def who_does_not_let_itself_be_fed_is_waited_for():
    lab, alloc = bed()
    s = sh(lab.servers[2], alloc, "sleep 6.5; wc -c")
    s.sock.settimeout(120)
    block = b"x" * (64 << 10)

    def feed():
        for _ in range(40):
            s.write(block)
        s.end_input()

    thread = threading.Thread(target=feed)
    thread.start()
    s.run()
    thread.join(120)
    same((s.out.strip(), s.code), (b"%d" % (40 * len(block)), 0))


def a_terminal_has_a_size_and_signals():
    lab, alloc = bed()
    for agent in (lab.servers[0], lab.clients[0]):
        s = Session(agent, alloc, ["/bin/sh"], tty="true")
        s.send({"tty_size": {"height": 41, "width": 123}})
        s.write(b"test -t 0 && stty size\n")
        s.expect(b"41 123")
        s.send({"tty_size": {"height": 20, "width": 60}})
        s.write(b"stty size\n")
        s.expect(b"20 60")
        s.write(b"sleep 4325; echo after=$?\n")
        until(10, "it sleeps", lambda: any("4325" in command_of(p) for p in task_pids(lab, alloc)))
        s.write(b"\x03")
        s.write(b"echo co''de $?; exit 5\n")
        s.expect(b"code 130")
        s.run()
        same((s.code, s.closed), (5, (1000, "")))


def when_the_client_leaves_the_command_is_killed():
    lab, alloc = bed()
    for agent in all_agents():
        s = sh(agent, alloc, "echo $$; exec sleep 4321")
        while b"\n" not in s.out:
            s.step()
        pid = int(s.out)
        check(is_alive(pid))
        s.close()
        until(5, "the command is gone (%s)" % agent, lambda: not is_alive(pid))


def a_client_that_closes_is_answered():
    lab, alloc = bed()
    s = sh(lab.servers[0], alloc, "echo x; sleep 100")
    s.expect(b"x")
    s.send_frame(CLOSE, b"\x03\xe8bye")
    s.run()
    same(s.closed[0], 1000)
    same(s.sock.recv(1), b"")


def pings_are_answered_and_signs_of_life_ignored():
    lab, alloc = bed()
    s = sh(lab.servers[0], alloc, "cat")
    s.send_frame(PING, b"hello")
    same(s.frame(), (PONG, b"hello"))
    s.send({})
    s.write(b"x")
    s.end_input()
    same(s.run().out, b"x")


def a_message_in_fragments_is_one():
    lab, alloc = bed()
    s = sh(lab.servers[0], alloc, "cat")
    text = json.dumps({"stdin": {"data": base64.b64encode(b"whole\n").decode(), "close": True}}, indent=1).encode()
    s.send_frame(1, text[:5], last=False)
    s.send_frame(PING, b"")
    s.send_frame(0, text[5:9], last=False)
    s.send_frame(0, text[9:])
    same(s.run().out, b"whole\n")


def what_comes_with_the_handshake_is_not_lost():
    lab, alloc = bed()

    class Eager(Session):
        """Says all that it has to say at once."""

        def until(self, end):
            if not self.eager:
                self.eager = True
                for m in ({"version": 1}, {"stdin": {"data": "aGkK"}}, {"stdin": {"close": True}}):
                    self.send(m)
            return WebSocket.until(self, end)

    for agent in all_agents():
        s = Eager.__new__(Eager)
        s.out, s.err, s.ended, s.code, s.eager = b"", b"", set(), None, False
        WebSocket.__init__(s, agent.ip, path(alloc, ["cat"]), headers=[("Connection", "keep-alive, Upgrade")])
        s.run()
        same((s.out, s.code), (b"hi\n", 0), agent)


def who_leaves_at_any_moment_does_no_harm():
    lab, alloc = bed()
    for agent in (lab.servers[0], lab.clients[0]):
        for i in range(60):
            s = agent.connection(5)
            s.connect()
            s = s.sock
            head = ("GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % path(alloc, ["sleep", "4323"], ws_handshake="false")).encode()
            s.sendall(head + (os.urandom(40) if i % 3 == 0 else b""))
            time.sleep(rng.random() * 0.01)
            if i % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # A reset.
            s.close()
        same(sh(agent, alloc, "echo fine").run().out, b"fine\n")
    until(10, "all commands are gone", lambda: not any("4323" in command_of(p) for p in task_pids(lab, alloc)))


def refused(agent, target, **headers):
    try:
        WebSocket(agent.ip, target, headers=headers.items()).close()
    except Refused as e:
        return e.status, e.text
    raise Failure("it was not refused: " + target)


def what_is_wrong_is_told_before_the_websocket_begins():
    lab, alloc = bed()
    nobody = "11111111-2222-3333-4444-555555555555"
    for agent in all_agents():
        same(refused(agent, path(nobody, ["true"])), (404, 'Unknown allocation "%s"' % nobody), agent)
        same(refused(agent, path("short", ["true"]))[0], 500, agent)
        same(refused(agent, path(alloc, ["true"], task="nope")), (400, 'unknown task name "nope"'), agent)
        same(refused(agent, path(alloc, ["true"], task="")), (400, "must provide task name"), agent)
        same(refused(agent, path(alloc, [])), (400, "command is not present"), agent)
        same(refused(agent, path(alloc, ["true"]).replace("tty=false", "tty=maybe"))[0], 400, agent)
        same(refused(agent, path(alloc, {"a": 1}))[0], 400, agent)
        same(refused(agent, path(alloc, ["true"], task="once", ws_handshake="false")), (404, 'task "once" is not running.'), agent)
        agent.get(path(alloc, ["true"])).want(400)
        agent.put(path(alloc, ["true"]), {}).want(405)


def what_is_no_proper_handshake_is_refused():
    lab, alloc = bed()
    agent = lab.servers[0]
    same(refused(agent, path(alloc, ["true"]), **{"Sec-WebSocket-Version": "8"})[0], 400)
    same(refused(agent, path(alloc, ["true"]), **{"Sec-WebSocket-Key": "short"})[0], 400)
    same(refused(agent, path(alloc, ["true"]), Upgrade="tea")[0], 400)
    same(refused(agent, path(alloc, ["true"]), Origin="http://evil.example")[0], 403)
    s = WebSocket(agent.ip, path(alloc, ["true"]), headers=[("Origin", "http://%s:4646" % agent.ip)])
    s.send({"version": 1, "auth_token": ""})
    s.close()


def what_goes_wrong_later_closes_with_a_reason():
    lab, alloc = bed()
    for agent in (lab.servers[0], lab.clients[0]):
        s = Session(agent, alloc, ["/no/such/command"]).run()
        same(s.closed[0], 1011)
        check("no such file or directory" in s.closed[1], s.closed)
        s = WebSocket(agent.ip, path(alloc, ["true"]))
        s.send({"version": 2})
        check(s.receive() is None and s.closed[0] == 3400 and "handshake" in s.closed[1], s.closed)
        s = sh(agent, alloc, "cat")
        s.send(b"{no json")
        s.run()
        check(s.closed[0] == 3400 and "frame" in s.closed[1], s.closed)
        s = sh(agent, alloc, "cat")
        s.send_frame(1, b"\xff\xfe")
        same(s.run().closed[0], 1007)
        s = sh(agent, alloc, "cat")
        s.send_frame(1, b"{}", mask=False)
        same(s.run().closed[0], 1002)


# ---- actions of jobs, and the command line

def an_action_of_a_job_runs():
    lab, alloc = bed()
    query = dict(action="greet", task="t", group="g", tty="false", ws_handshake="true")
    for agent in all_agents():
        for more in ({"allocID": alloc}, {}):
            s = Session.__new__(Session)
            s.out, s.err, s.ended, s.code = b"", b"", set(), None
            WebSocket.__init__(s, agent.ip, "/v1/job/%s/action?%s" % (BED["job"], urlencode(dict(query, **more))))
            s.send({"version": 1})
            s.write(b"and more\n")
            s.end_input()
            s.run()
            same((s.out, s.code, s.closed), (b"hello green\nand more\n", 9, (1000, "")), agent)
    wrong = lambda job_id, **more: refused(lab.servers[1], "/v1/job/%s/action?%s" % (job_id, urlencode(dict(query, **more))))
    same(wrong("nope"), (404, "job not found"))
    same(wrong(BED["job"], action="nope"), (404, "action nope not found"))
    same(wrong(BED["job"], action=""), (400, "action name is required"))
    same(wrong(BED["job"], allocID=alloc, action="nope"), (400, "action nope not found"))
    same(wrong(BED["job"], allocID="11111111-2222-3333-4444-555555555555")[0], 404)


def cli(agent, *words, stdin=b"", seconds=120):
    done = subprocess.run([DROVER, *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds,
                          env=dict(ENVIRONMENT, NOMAD_ADDR=agent.url))
    return done.returncode, done.stdout, done.stderr


def the_command_line_runs_commands_and_passes_the_exit_code_through():
    lab, alloc = bed()
    for agent in (lab.servers[1], lab.clients[0]):
        same(cli(agent, "alloc", "exec", "-task", "t", alloc[:8], "/bin/sh", "-c", "cat; echo err >&2; exit 5", stdin=b"in\n"),
             (5, b"in\n", b"err\n"))
        same(cli(agent, "alloc", "exec", "-i=false", "-task", "t", alloc, "cat", "-", stdin=b"unseen"), (0, b"", b""))
        same(cli(agent, "exec", "-job", "-task=t", BED["job"], "echo", "-n", "-task", "x"), (0, b"-task x", b""))
        same(cli(agent, "action", "-job", BED["job"], "-task", "t", "greet", stdin=b"x"), (9, b"hello green\nx", b""))
    data = os.urandom(1 << 20)
    same(cli(lab.servers[0], "alloc", "exec", "-task", "t", alloc, "cat", stdin=data), (0, data, b""))
    code, out, err = cli(lab.servers[0], "alloc", "exec", "-task", "t", alloc, "no-such-command")
    same((code, out), (1, b""))
    check(b"failed to exec into task: failed to start command" in err, err)
    code, out, err = cli(lab.servers[0], "alloc", "exec", "-task", "nope", alloc, "true")
    check(code == 1 and b'Unexpected response code: 400 (unknown task name "nope")' in err, code, err)
    code, out, err = cli(lab.servers[0], "alloc", "exec", alloc, "true")
    check(code == 1 and b"has 2 tasks" in err, code, err)
    code, out, err = cli(lab.servers[0], "alloc", "exec", "-t", "-task", "t", alloc, "true")
    check(code == 1 and b"no terminal" in err, code, err)


def the_command_line_gives_its_terminal():
    lab, alloc = bed()
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["NOMAD_ADDR"] = lab.servers[0].url
        os.execv(DROVER, [DROVER, "alloc", "exec", "-task", "t", alloc, "/bin/sh"])
    at_end.append(lambda failed: os.close(fd))  # Which hangs up.
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    seen = [b""]

    def comes(text, seconds):
        end = time.monotonic() + seconds
        while text not in seen[0]:
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                return False
            seen[0] += os.read(fd, 65536)
        return True

    def expect(text):
        check(comes(text, 60), "waited for", text, "came:", seen[0][-300:])

    expect(b"$" if os.getuid() else b"#")
    os.write(fd, b"stty size\r")
    expect(b"33 77")
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    for _ in range(30):  # The new size is a message of its own, which what is typed may overtake.
        os.write(fd, b"stty size\r")
        if comes(b"20 60", 1):
            break
    expect(b"20 60")
    os.write(fd, b"sleep 4326\r")
    until(10, "it sleeps", lambda: any("4326" in command_of(p) for p in task_pids(lab, alloc)))
    os.write(fd, b"\x03")
    os.write(fd, b"echo co''de $?; exit 6\r")
    expect(b"code 130")
    same(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 6)


# ---- script checks

def checked(script, interval=1, timeout=1, check=(), **more):
    """A job whose task is checked by a script, which has the name of the file that says what it shall answer."""
    flag = os.path.join(BED["lab"].dir, new_id("flag"))
    check = dict({"Name": "alive", "Type": "script", "Command": "/bin/sh", "Args": ["-c", script, "${FLAG}"],
                  "Interval": interval * SECOND, "Timeout": timeout * SECOND}, **dict(check))
    service = {"Name": new_id("srv"), "Provider": "nomad", "Checks": [check]}
    body = job(tasks=[task("/bin/sleep", ("1000",), Env={"FLAG": flag}, Services=[service])], **more)
    BED["lab"].leader().register(body)
    return body["ID"], flag


def result(alloc):
    found = list(BED["lab"].servers[0].read("/v1/client/allocation/%s/checks" % alloc).values())
    return found[0] if found else {"Status": "none"}


def wait_for_result(alloc, status, seconds=10):
    return until(seconds, lambda: "%s: %s" % (status, result(alloc)), lambda: result(alloc)["Status"] == status and result(alloc))


def a_script_checks_a_task_from_within():
    lab, _ = bed()
    name, flag = checked('echo "$COLOR-$NOMAD_TASK_NAME"; exit $(cat $0 2>/dev/null || echo 0)')
    alloc = lab.running(name, 1)[0]["ID"]
    good = wait_for_result(alloc, "success")
    same((good["Output"], good["Check"], good["Task"], good["Mode"]), ("-t\n", "alive", "t", "healthiness"))
    for text, status in (("1", "warning"), ("2", "failure"), ("0", "success"), ("nonsense", "failure")):
        open(flag, "w").write(text)
        wait_for_result(alloc, status)
    same(len(task_pids(lab, alloc)), 1, "processes")


def a_script_that_hangs_is_a_failure_and_killed():
    lab, _ = bed()
    name, flag = checked("[ -e $0 ] || sleep 1234")
    alloc = lab.running(name, 1)[0]["ID"]
    check("did not end within 1000 ms" in wait_for_result(alloc, "failure")["Output"])
    open(flag, "w").close()
    wait_for_result(alloc, "success")
    until(5, "it is gone", lambda: not any("1234" in command_of(p) for p in task_pids(lab, alloc)))


def a_script_decides_about_health_and_restarts():
    lab, _ = bed()
    update = {"MaxParallel": 1, "HealthCheck": "checks", "MinHealthyTime": 0, "HealthyDeadline": 60 * SECOND,
              "ProgressDeadline": 120 * SECOND}
    name, flag = checked('exit $(cat $0 || echo 3)', Update=update,
                         check={"CheckRestart": {"Limit": 2, "Grace": SECOND, "IgnoreWarnings": True},
                                "OnUpdate": "ignore_warnings"}.items())
    alloc = lab.running(name, 1)[0]["ID"]
    wait_for_result(alloc, "failure")
    check((lab.alloc(alloc).get("DeploymentStatus") or {}).get("Healthy") is None, "healthy too early")
    until(15, "restarted", lambda: lab.alloc(alloc)["TaskStates"]["t"]["Restarts"] >= 1)
    events = lab.alloc(alloc)["TaskStates"]["t"]["Events"]
    check(any('check "alive" unhealthy' in e["DisplayMessage"] for e in events), events)
    open(flag, "w").write("1")  # A warning, which the update ignores.
    until(20, "healthy", lambda: (lab.alloc(alloc).get("DeploymentStatus") or {}).get("Healthy"))
    wait_for_result(alloc, "warning")


# ---- scripts of templates

def scripted(lab, variable, command, **more):
    """A job with a template made of a variable, whose changes a script is told of: its allocation."""
    body = {"EmbeddedTmpl": '{{ with nomadVar "%s" }}{{ .word }}{{ end }}' % variable, "DestPath": "local/out",
            "ChangeMode": "script", "Splay": 1, "ChangeScript": dict({"Command": "/bin/sh", "Args": ["-c", command]}, **more)}
    name = new_id("tells")
    lab.leader().register(job(name, tasks=[task("/bin/sleep", ("1000",), Templates=[body])]))
    return lab.running(name, 1)[0]["ID"]


def put_word(lab, variable, word):
    lab.leader().put("/v1/var/" + variable, {"Items": {"word": word}}).want(200)


def messages(alloc, kind):
    return [e["DisplayMessage"] for e in BED["lab"].alloc(alloc)["TaskStates"]["t"]["Events"] if e["Type"] == kind]


def a_changed_template_is_told_to_its_script():
    lab, _ = bed()
    put_word(lab, "nomad/jobs", "one")
    alloc = scripted(lab, "nomad/jobs", "cat local/out >>$NOMAD_ALLOC_DIR/told; echo >>$NOMAD_ALLOC_DIR/told")
    told = lambda: lab.servers[0].get("/v1/client/fs/cat/%s?path=alloc/told" % alloc)
    time.sleep(0.5)
    same(told().status, 404, "before anything has changed")
    put_word(lab, "nomad/jobs", "two")
    until(10, "the script runs", lambda: told().body == b"two\n")
    put_word(lab, "nomad/jobs", "three")
    until(10, "it runs again", lambda: told().body == b"two\nthree\n")
    until(5, "events", lambda: len(messages(alloc, "Task hook message")) == 2)
    check(messages(alloc, "Task hook message")[0].startswith("Template successfully ran script /bin/sh with arguments [-c cat"),
          messages(alloc, "Task hook message"))


def a_script_that_fails_is_told_and_may_end_the_task():
    lab, _ = bed()
    put_word(lab, "nomad/jobs", "four")
    bears = scripted(lab, "nomad/jobs", "exit 3")
    late = scripted(lab, "nomad/jobs", "sleep 99", Timeout=SECOND)
    ends = scripted(lab, "nomad/jobs", "exit 4", FailOnError=True)
    put_word(lab, "nomad/jobs", "five")
    until(10, "it has failed", lambda: lab.alloc(ends)["ClientStatus"] == "failed")
    check(any("exited with code: 4" in m for m in messages(ends, "Task hook failed")), messages(ends, "Task hook failed"))
    check(any("Template script failed, task is being killed" in m for m in messages(ends, "Killing")), messages(ends, "Killing"))
    until(5, "told", lambda: any("exited with code: 3" in m for m in messages(bears, "Task hook failed")))
    until(5, "told", lambda: any("did not end within 1000 ms" in m for m in messages(late, "Task hook failed")))
    same([lab.alloc(a)["ClientStatus"] for a in (bears, late)], ["running"] * 2)


def when_the_task_ends_so_does_the_session():
    lab, _ = bed()
    name = new_id("svc")
    lab.servers[0].register(job(name))
    alloc = lab.running(name, 1)[0]["ID"]
    s = sh(lab.servers[1], alloc, "echo on; sleep 100").expect(b"on")
    lab.servers[0].ask("DELETE", "/v1/job/" + name).want(200)
    s.run()
    check(s.code == 137 or s.closed[0] == 1011, s.code, s.closed)
    until(5, "it is refused", lambda: refused_or_none(lab.servers[1], alloc) == '404 task "t" is not running.')


def a_node_may_allow_nobody_to_run_commands():
    lab = Lab(1, 1, config="client {\n  disable_remote_exec = true\n}\n")
    name = new_id("svc")
    lab.leader().register(job(name))
    alloc = lab.running(name, 1)[0]["ID"]
    for agent in lab.agents:
        same(refused(agent, path(alloc, ["true"])), (403, "Permission denied"), agent)


def an_agent_that_stops_ends_its_sessions_and_does_not_wait_for_them():
    lab, alloc = bed()
    server = lab.followers()[0]
    for agent in (server, lab.clients[0]):
        s = sh(agent, alloc, "echo on; exec sleep 4324").expect(b"on")
        quick(agent.end(), 4, "ending")
        try:
            s.run()
            check(s.closed[0] in (1001, 1011), s.closed)
        except (EOFError, OSError):
            pass
        until(10, "the command is gone", lambda: not any("4324" in command_of(p) for p in task_pids(lab, alloc)))
        agent.start()
        lab.wait()
        runs_commands_again(alloc)


def runs_commands_again(alloc):
    """A client that has been away is found again a moment after it has begun."""
    for agent in all_agents():
        until(10, lambda: "%s: %s" % (agent, refused_or_none(agent, alloc)), lambda: not refused_or_none(agent, alloc))


def an_agent_that_is_restarted_runs_commands_in_tasks_it_has_found_again():
    lab, alloc = bed()
    client = lab.clients[0]
    s = sh(lab.servers[0], alloc, "echo $$; exec sleep 4322").expect(b"\n")
    client.kill()
    try:
        s.run()
        same(s.closed[0], 1011)
    except EOFError:
        pass
    client.start()
    lab.wait()
    until(5, "the command is gone", lambda: not is_alive(int(s.out)))
    runs_commands_again(alloc)
    same(sh(lab.servers[2], alloc, "echo $COLOR").run().out, b"green\n")


def refused_or_none(agent, alloc):
    try:
        WebSocket(agent.ip, path(alloc, ["true"], ws_handshake="false")).close()
    except (Refused, OSError) as e:
        return str(e)
    return None


if __name__ == "__main__":
    run(through_any_agent_output_and_code_come_back, without_a_handshake_it_starts_at_once, input_arrives_in_order_and_ends,
        much_output_and_much_input_go_through_unharmed, who_does_not_read_holds_up_the_command_and_not_the_agent,
        who_does_not_let_itself_be_fed_is_waited_for, a_terminal_has_a_size_and_signals,
        when_the_client_leaves_the_command_is_killed, a_client_that_closes_is_answered,
        pings_are_answered_and_signs_of_life_ignored, a_message_in_fragments_is_one,
        what_comes_with_the_handshake_is_not_lost, who_leaves_at_any_moment_does_no_harm,
        what_is_wrong_is_told_before_the_websocket_begins, what_is_no_proper_handshake_is_refused,
        what_goes_wrong_later_closes_with_a_reason, an_action_of_a_job_runs,
        the_command_line_runs_commands_and_passes_the_exit_code_through, the_command_line_gives_its_terminal,
        a_script_checks_a_task_from_within, a_script_that_hangs_is_a_failure_and_killed, a_script_decides_about_health_and_restarts,
        a_changed_template_is_told_to_its_script, a_script_that_fails_is_told_and_may_end_the_task, when_the_task_ends_so_does_the_session,
        a_node_may_allow_nobody_to_run_commands, an_agent_that_stops_ends_its_sessions_and_does_not_wait_for_them,
        an_agent_that_is_restarted_runs_commands_in_tasks_it_has_found_again)
