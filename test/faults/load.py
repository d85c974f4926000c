"""Users of a cluster, all at once, who write down what they asked, when, and what they were told."""
import random, threading, traceback, uuid

from world import *
from history import NEVER, Op, Stale

TIMEOUT_S = 3.0


class Line:
    """One user's connections, one to each server. An answer, or why there is none and whether the question had left."""

    def __init__(self, timeout_s=TIMEOUT_S):
        self.connections, self.numbers, self.timeout_s = {}, itertools.count(1), timeout_s

    def ask(self, target, method, path, body=None, timeout=None):
        """(status, headers, text, sent); status 0: no answer. `target`: (address, port)"""
        c = self.connections.get(target)
        sent, timeout = False, timeout or self.timeout_s
        try:
            if c is None:
                c = http.client.HTTPConnection(*target, timeout=min(timeout, 1.0))
                c.connect()
                c.sock.settimeout(timeout)
                c.number = (id(self), next(self.numbers))
                self.connections[target] = c
            sent = True
            c.request(method, path, None if body is None else json.dumps(body))
            r = c.getresponse()
            text = r.read().decode(errors="replace")
            if r.will_close:
                self.hang_up(target)
            return r.status, r.headers, text, True
        except (OSError, http.client.HTTPException) as e:
            self.hang_up(target)
            return 0, {}, repr(e), sent

    def number(self, target):
        return getattr(self.connections.get(target), "number", None)

    def hang_up(self, target):
        c = self.connections.pop(target, None)
        if c:
            c.close()


def outcome(status, text, sent):
    """"ok", "fail": surely not carried out, "unknown", or "strange"."""
    if status == 200:
        return "ok"
    if not sent:
        return "fail"
    if status == 0 or "unknown" in text:
        return "unknown"
    return "fail" if status in (429, 500, 503, 507) else "strange"


class Load:
    """Threads: `users` that register (with check-and-set or not), read, stop and purge jobs that are never placed; `dispatchers`;
    one that reads with ?stale; one that registers jobs that are placed; and at each server one that writes and one that reads the
    same job without a pause, and without patience, whatever the fault. `targets` are (address, port) to turn to."""

    def __init__(self, world, targets=None, users=5, dispatchers=2, keys=6, pause_s=0.004, placed=2):
        self.world = world
        self.targets = targets or [(s.ip, 4646) for s in world.servers]
        self.pause_s, self.run_id = pause_s, new_id("f") + "-" + uuid.uuid4().hex[:6]
        self.keys = ["%s-k%d" % (self.run_id, i) for i in range(keys)]
        self.watched = [self.run_id + "-hot"]  # Jobs that are registers too, with users of their own.
        self.parent = self.run_id + "-p"
        self.placed = {"%s-r%d" % (self.run_id, i): 0 for i in range(placed)}
        self.ops, self.stale, self.acks, self.errors, self.strange = [], [], [], [], []
        self.counts = {"ok": 0, "fail": 0, "unknown": 0}
        self.known = {}     # Key -> (value, index) that somebody has seen last.
        self.told = {}      # Token -> IDs of children.
        self.lock, self.running, self.values = threading.Lock(), True, itertools.count(1)
        first = Line()
        until(60, "the parent of dispatches", lambda: self.register_parent(first))
        self.threads = [threading.Thread(target=self.guard, args=a, daemon=True)
                        for a in [(self.use, k) for k in range(users)] + [(self.dispatch, k) for k in range(dispatchers)] +
                        [(self.read_stale, 0)] + ([(self.place, 0)] if placed else []) +
                        [(work, t) for work in (self.write_hot, self.read_hot) for t in range(len(self.targets))]]
        for t in self.threads:
            t.start()

    def guard(self, work, k):
        try:
            work(random.Random("%s %s %d" % (SEED, work.__name__, k)), k)
        except Exception:
            self.strange.append(traceback.format_exc())

    def register_parent(self, line):
        body = idle(self.parent, ParameterizedJob={"Payload": "optional"})
        return line.ask(self.targets[0], "PUT", "/v1/jobs", {"Job": body})[0] == 200

    def note(self, answer, ack=True):
        """Counts an answer; says what it is."""
        status, _, text, sent = answer
        what = outcome(status, text, sent)
        with self.lock:
            if what == "strange":
                self.strange.append("%d %s" % (status, text[:300]))
                what = "unknown"
            if sent:
                self.counts[what] += 1
                if what == "ok" and ack:
                    self.acks.append(time.monotonic())
                if what == "fail":
                    self.errors.append((time.monotonic(), status, text[:200]))
        return what

    def add(self, op, target=None):
        if target:
            op.who += " at %s:%d" % target
        with self.lock:
            self.ops.append(op)

    # ---- jobs as registers

    def use(self, rng, number):
        line, who = Line(), "user %d" % number
        while self.running:
            key, target = rng.choice(self.keys), rng.choice(self.targets)
            act = rng.choices((self.read, self.write, self.cas, self.stop), (40, 20, 30, 10))[0]
            if act(rng, who, line, target, key) == "fail":
                time.sleep(0.02)
            time.sleep(self.pause_s)

    def read(self, rng, who, line, target, key):
        mode = rng.choice(("default", "consistent"))
        return self.read_as(who, line, target, key, mode)

    def read_default(self, rng, who, line, target, key):
        return self.read_as(who, line, target, key, "default")

    def read_as(self, who, line, target, key, mode):
        began = time.monotonic()
        status, headers, text, sent = line.ask(target, "GET", "/v1/job/%s%s" % (key, "?consistent" if mode == "consistent" else ""))
        ended = time.monotonic()
        if status == 404:
            self.counts["ok"] += 1
            self.add(Op("read", key, began, ended, mode=mode, who=who), target)
            self.known[key] = (None, 0)
            return "ok"
        what = self.note((status, headers, text, sent), ack=False)
        if what == "ok":
            job = json.loads(text)
            value, index = job["Meta"]["v"], job["JobModifyIndex"]
            self.add(Op("read", key, began, ended, value, job["Stop"], index=0 if job["Stop"] else index, mode=mode, who=who), target)
            self.known[key] = None if job["Stop"] else (value, index)
        return what

    def register(self, line, target, key, value, more):
        began = time.monotonic()
        answer = line.ask(target, "PUT", "/v1/jobs", dict({"Job": idle(key, Meta={"v": value})}, **more))
        return began, time.monotonic(), answer

    def write(self, rng, who, line, target, key):
        value = "v%d" % next(self.values)
        began, ended, answer = self.register(line, target, key, value, {})
        what = self.note(answer)
        self.add_write("write", key, value, None, began, ended, answer, what, who, target)
        return what

    def cas(self, rng, who, line, target, key):
        known = self.known.get(key)
        if known is None:  # Stopped, or never seen.
            return self.read(rng, who, line, target, key)
        expected, index = known
        value = "v%d" % next(self.values)
        began, ended, answer = self.register(line, target, key, value, {"EnforceIndex": True, "JobModifyIndex": index})
        if answer[0] == 500 and "Enforcing job modify index" in answer[2]:
            self.counts["ok"] += 1
            self.add(Op("cas-failed", key, began, ended, expected=expected, who=who), target)
            self.read(rng, who, line, target, key)
            return "ok"
        what = self.note(answer)
        self.add_write("cas", key, value, expected, began, ended, answer, what, who, target)
        return what

    def add_write(self, kind, key, value, expected, began, ended, answer, what, who, target):
        if what == "fail":
            return
        index = json.loads(answer[2])["JobModifyIndex"] if what == "ok" else 0
        self.add(Op(kind, key, began, ended if what == "ok" else NEVER, value, expected=expected, index=index, who=who), target)
        if what == "ok":
            self.known[key] = (value, index)

    def stop(self, rng, who, line, target, key):
        purge = rng.random() < 0.3
        began = time.monotonic()
        answer = line.ask(target, "DELETE", "/v1/job/%s%s" % (key, "?purge=true" if purge else ""))
        what = self.note(answer)
        if what != "fail":
            self.add(Op("purge" if purge else "stop", key, began, time.monotonic() if what == "ok" else NEVER, who=who), target)
        return what

    def write_hot(self, rng, number):
        self.again(self.write, rng, self.targets[number], self.watched[0], 0.3, 0.04)

    def read_hot(self, rng, number):
        self.again(self.read, rng, self.targets[number], self.watched[0], 0.3, 0.015)

    def again(self, act, rng, target, key, patience_s, pause_s):
        line = Line(patience_s)
        while self.running:
            act(rng, act.__name__, line, target, key)
            time.sleep(pause_s)

    # ---- the others

    def read_stale(self, rng, number):
        line = Line()
        while self.running:
            key, target = rng.choice(self.keys), rng.choice(self.targets)
            began = time.monotonic()
            status, headers, text, sent = line.ask(target, "GET", "/v1/job/%s?stale" % key)
            number = line.number(target)
            if status == 200 and number:
                job = json.loads(text)
                index = int(headers.get("X-Nomad-Index") or 0)
                self.stale.append(Stale(key, began, time.monotonic(), job["Meta"]["v"], job["Stop"], index, number))
            time.sleep(self.pause_s * 2)

    def dispatch(self, rng, number):
        line = Line()
        while self.running:
            token = "t%d-%s" % (number, uuid.uuid4().hex[:12])
            self.told[token] = set()
            # Two at once with one token, now and then, and again until there is an answer.
            twin = threading.Thread(target=self.dispatch_until, args=(Line(), rng.choice(self.targets), token, rng)) if rng.random() < 0.1 else None
            if twin:
                twin.start()
            self.dispatch_until(line, rng.choice(self.targets), token, rng)
            if twin:
                twin.join()
            time.sleep(self.pause_s * 4)

    def dispatch_until(self, line, target, token, rng):
        for _ in range(20):
            answer = line.ask(target, "PUT", "/v1/job/%s/dispatch?idempotency_token=%s" % (self.parent, token), {})
            what = self.note(answer)
            if what == "ok":
                self.told[token].add(json.loads(answer[2])["DispatchedJobID"])
                if rng.random() < 0.9:
                    return
            if not self.running:
                return
            if what != "ok":
                time.sleep(0.05)
            target = rng.choice(self.targets)

    def place(self, rng, number):
        line = Line()
        while self.running:
            name = rng.choice(sorted(self.placed))
            body = job(name, rng.randint(1, 4), tasks=[task(driver="mock_driver", args={"run_for": "1h"})], Meta={"v": str(next(self.values))})
            answer = line.ask(rng.choice(self.targets), "PUT", "/v1/jobs", {"Job": body})
            if self.note(answer) == "ok":
                self.placed[name] += 1
            time.sleep(0.3)

    def end(self):
        self.running = False
        for t in self.threads:
            t.join(30)
            check(not t.is_alive(), "a user does not end")

    def gap_s(self, since=0.0, to=NEVER):
        """The longest time in which no write was acknowledged to anybody."""
        times = [since] + [t for t in sorted(self.acks) if since <= t <= to] + ([to] if to != NEVER else [])
        return max((b - a for a, b in zip(times, times[1:])), default=0.0)

    def read_at_the_end(self):
        """Every job once more, at every server, by its own state: no server lacks anything."""
        line = Line()
        for s in self.world.servers:
            for key in self.keys + self.watched:
                began = time.monotonic()
                status, _, text, _ = line.ask((s.ip, 4646), "GET", "/v1/job/%s?stale" % key)
                check(status in (200, 404), s, key, status, text)
                found = json.loads(text) if status == 200 else None
                self.add(Op("read", key, began, time.monotonic(), found and found["Meta"]["v"], bool(found and found["Stop"]),
                            mode="end", who=s.name))

    def children(self, server):
        """Token -> IDs of the children that this server has."""
        found = {}
        line = Line()
        for stub in server.read("/v1/jobs?stale&prefix=%s/" % quote(self.parent, safe="")):
            status, _, text, _ = line.ask((server.ip, 4646), "GET", "/v1/job/%s?stale" % quote(stub["ID"], safe=""))
            same(status, 200, stub["ID"])
            found.setdefault(json.loads(text)["DispatchIdempotencyToken"], []).append(stub["ID"])
        return found
