#!/usr/bin/env python3
"""Faults under load, one after the other, and whether the cluster kept what it promised: see scripts/faults, which starts it."""
import argparse, collections, random, traceback

import history
import liar
from faults import FAULTS
from load import *
from world import *


LIES, LIES_S = 10, 30  # A planted bug has so many occasions, if they come within this time.


def median(values):
    return sorted(values)[len(values) // 2] if values else 0.0


class Row:
    """What the table says of a fault."""

    def __init__(self):
        self.times = self.failed = self.operations = self.acked = self.unknown = self.lost = 0
        self.recover, self.gaps, self.skipped = [], [], ""


class Campaign:
    def __init__(self, args):
        self.args, self.world = args, None
        self.rows = collections.OrderedDict()

    def world_of(self, servers):
        if self.world and len(self.world.servers) != servers:
            self.end_world()
        if not self.world:
            self.world = World(servers, nodes=self.args.nodes)
        return self.world

    def end_world(self, failed=False):
        world, self.world = self.world, None
        if world:
            world.close(failed)

    # ---- one fault

    def recovered(self, load, since):
        """Seconds from then until each server has taken a write; then the cluster is whole and all states are equal."""
        world, waiting, line, took = self.world, list(self.world.servers), Line(), {}
        end = since + 60
        while waiting:
            for s in list(waiting):
                status, _, _, _ = line.ask((s.ip, 4646), "PUT", "/v1/jobs", {"Job": idle("%s-after-%s" % (load.run_id, s.name))}, timeout=1)
                if status == 200:
                    waiting.remove(s)
                    took[s] = time.monotonic() - since
            check(time.monotonic() < end, "no write through", waiting, "60 s after:", world.tails())
            time.sleep(0.01)
        until(60, lambda: "the cluster is whole: %s %s" % ([world.voters(s) for s in world.servers], world.tails()), world.is_whole)
        return max(took.values())

    def settled(self, load):
        """Nothing moves any more: the same at the same index everywhere."""
        world = self.world
        world.same_state(60)

        def equal():
            found = world.raft_hashes()
            return len(set(found)) == 1 and found[0]
        index, digest = until(30, lambda: "equal hashes: %s" % world.raft_hashes(), equal)
        older = [h for h in world.raft_hashes(index - 1) if h]
        check(len(set(older)) <= 1, "hashes at", index - 1, "differ:", older)

    def judge(self, load):
        """Raises what the answers, all together, cannot be."""
        world = self.world
        check(not load.strange, "answers that make no sense:", load.strange[:3])
        load.read_at_the_end()
        history.check_registers(load.ops)
        history.check_stale(load.stale, load.ops)
        for s in world.servers:
            history.check_dispatches(load.told, load.children(s))
        for name in load.placed:
            if load.placed[name]:
                self.placed_once(load, name)

    def placed_once(self, load, name):
        """As many run as the job wants, each name once."""
        want = self.world.servers_answer("/v1/job/" + name)["TaskGroups"][0]["Count"]
        found = self.world.running(name, want, 60)
        names = [a["Name"] for a in found if a is not True]
        check(len(set(names)) == len(names), "two allocations of one name run:", names)

    def clear(self, load):
        """The jobs of a round that is judged are in nobody's way."""
        line, target = Line(), (self.world.servers[0].ip, 4646)
        stubs = [s["ID"] for s in self.world.servers_answer("/v1/jobs?prefix=f-") or []] + \
                [s["ID"] for s in self.world.servers_answer("/v1/jobs?prefix=clock-") or []]
        for i in stubs:
            line.ask(target, "DELETE", "/v1/job/%s?purge=true" % quote(i, safe=""), timeout=10)

    def one(self, name, servers, row):
        """Raises Failure. Returns what there is to say."""
        world, rng, hold = self.world_of(servers), random.Random("%d %s %d" % (SEED, name, row.times)), self.args.hold
        proxy = liar.Proxy(world, HUB, self.args.plant) if self.args.plant else None
        load = Load(world, proxy and proxy.targets)
        notes = []
        try:
            time.sleep(0.7)
            at = time.monotonic()
            steps = FAULTS[name](world, load, rng, hold)
            notes.append(next(steps))
            held = time.monotonic() - at
            if held < hold:
                time.sleep(hold - held)
            while proxy and proxy.lies < LIES and time.monotonic() - at < LIES_S:
                time.sleep(0.1)
            notes += [n for n in steps if n]
            healed = time.monotonic()
            row.gaps.append(load.gap_s(at, healed))
            row.recover.append(self.recovered(load, healed))
            time.sleep(0.5)
        finally:
            load.running = False
        load.end()
        row.operations += sum(load.counts.values())
        row.acked += load.counts["ok"]
        row.unknown += load.counts["unknown"]
        self.settled(load)
        try:
            self.judge(load)
        except (history.Broken, history.Undecided) as e:
            row.lost += 1
            self.keep(load)
            raise Failure("%s: %s" % (type(e).__name__, e))
        check(not proxy or proxy.lies, "the proxy had no occasion to lie")
        if proxy:
            proxy.close()
        for s in world.servers:
            found = re.search(r"(ERROR: \w+Sanitizer|runtime error:|assertion|Assertion).*", s.log())
            check(not found, s, "reported", found and found.group(0))
        self.clear(load)
        self.leave_tmpfs()
        return "; ".join(n for n in notes if n)

    def leave_tmpfs(self):
        """The next faults need more room than those of disks have left."""
        for s in self.world.servers:
            if s.on_tmpfs:
                s.end(15, 20)
                s.move_back()
                s.start()
        until(60, "the cluster is whole", self.world.is_whole)

    def keep(self, load):
        with open(os.path.join(self.world.dir, "history"), "w") as f:
            f.writelines("%s %r\n" % (op.key, op) for op in sorted(load.ops, key=lambda op: op.invoke))

    def run(self, name, servers):
        row = self.rows.setdefault(name, Row())
        began, kind, note = time.monotonic(), "not ok", ""
        try:
            note = self.one(name, servers, row)
            kind = "ok"
        except Skip as e:
            row.skipped = str(e)
            kind, note = "skip", str(e)
        except Failure as e:
            note = str(e)
        except Exception:
            note = traceback.format_exc().strip().replace("\n", "\n    ")
        row.times += 1
        row.failed += kind == "not ok"
        if kind != "ok":
            self.end_world(kind == "not ok")
        print("%s %s with %d servers (%.1f s)%s" % (kind, name, servers, time.monotonic() - began, note and ": " + note), flush=True)

    # ---- all of them

    def table(self):
        print("%-24s %5s %10s %12s %8s %5s %10s %10s %8s" % ("fault", "times", "operations", "acknowledged", "unknown", "lost",
                                                              "recover50", "recovermax", "gap max"))
        total = Row()
        for name, r in self.rows.items():
            self.line(name, r)
            for f in ("times", "failed", "operations", "acked", "unknown", "lost"):
                setattr(total, f, getattr(total, f) + getattr(r, f))
            total.recover += r.recover
            total.gaps += r.gaps
        self.line("all", total)
        return total

    def line(self, name, r):
        print("%-24s %5d %10d %12d %8d %5d %9.2fs %9.2fs %7.2fs%s" % (
            name, r.times, r.operations, r.acked, r.unknown, r.lost, median(r.recover), max(r.recover, default=0),
            max(r.gaps, default=0), "  %d failed" % r.failed if r.failed else "  skipped" if r.skipped else ""))


def arguments():
    p = argparse.ArgumentParser(add_help=False)
    p.add_argument("--minutes", type=float, default=0)
    p.add_argument("--seed", type=int)
    p.add_argument("--hold", type=float, default=2.5)
    p.add_argument("--servers", type=int)
    p.add_argument("--nodes", type=int, default=8)
    p.add_argument("--quick", action="store_true")
    p.add_argument("--plant", choices=liar.PLANTS)
    p.add_argument("--list", action="store_true")
    p.add_argument("--keep-going", action="store_true")
    p.add_argument("faults", nargs="*")
    args = p.parse_args()
    for name in args.faults:
        if name not in FAULTS:
            sys.exit("faults: there is no fault %s; there are: %s" % (name, " ".join(FAULTS)))
    return args


def plan(args):
    """(name, servers) of one round: first all with 3 servers, then all with 5."""
    wanted = args.faults or [n for n, f in FAULTS.items() if f.quick or not args.quick]
    sizes = [args.servers] if args.servers else [3] if args.quick else [3, 5]
    return [(n, size) for size in sizes for n in wanted if size in FAULTS[n].servers or args.faults and size == sizes[-1]]


def main():
    args = arguments()
    if args.list:
        for name, f in FAULTS.items():
            print("%-24s %s" % (name, (f.__doc__ or "").split("\n")[0]))
        return
    # Nothing of this is seen outside: see scripts/faults.
    check(os.getpid() == 1 or os.environ.get("FAULTS_INSIDE"), "to be started by scripts/faults")
    campaign, began = Campaign(args), time.monotonic()
    end = began + args.minutes * 60
    print("# seed %d" % SEED, flush=True)
    stop = False
    try:
        while not stop:
            for name, servers in plan(args):
                campaign.run(name, servers)
                stop = not args.keep_going and any(r.failed for r in campaign.rows.values()) or \
                    args.minutes and time.monotonic() > end
                if stop:
                    break
            stop = stop or time.monotonic() > end
    except KeyboardInterrupt:
        print("# interrupted", flush=True)
    finally:
        campaign.end_world()
    total = campaign.table()
    skipped = sum(1 for r in campaign.rows.values() if r.skipped)
    print("%d passed, %d failed%s" % (total.times - total.failed - skipped, total.failed, ", %d skipped" % skipped if skipped else ""))
    sys.exit(1 if total.failed else 0)


if __name__ == "__main__":
    main()
