"""What all integration tests share: cases that pass or fail, waiting, and one last line. Only the standard library is used.

A test calls run() with its cases. It prints `ok NAME` or `not ok NAME: why` for each, at last `N passed, N failed[, N
skipped]`, and exits non-zero on a failure. Words on the command line choose cases by parts of their names; SEED chooses the
random choices.

Time has three kinds of limits here. until() waits for what must come some day: it has patience. quick() judges a promise about
time: by how slow the machine is at that moment, and by the best of three runs of the case, for a busy machine can make anything slow
once, and a slow program is slow each time. A case that has to see something before it is over raises Slow where it came too late."""
import os, random, socket, sys, tempfile, time, traceback

SEED = int(os.environ.get("SEED") or random.randrange(1, 1 << 31))
rng = random.Random(SEED)
at_end = []  # Functions that run when a case is over, the last one first, each given whether the case has failed.


class Failure(Exception):
    pass


class Slow(Failure):
    """It took too long: that may be the machine, so the case is run again."""


class Skip(Exception):
    """This machine lacks what the case needs."""


def check(truth, *why):
    if not truth:
        raise Failure(" ".join(str(w) for w in why) or "check failed")


def has_ipv6():
    """Whether this machine's loopback has an address of version 6."""
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


def same(got, want, what=""):
    check(got == want, what, "got", repr(got)[:500], "want", repr(want)[:500])


def safe(truth, *why):
    """A check of what no machine, be it as slow as may be, can be an excuse for: scripts/check runs no test again that fails so."""
    check(truth, "unsafe:", *why)


def slowness():
    """How many times as long as on a quiet machine of ours things take now: computing, waking up, a write that is synced. At least 1."""
    def timed(work):
        began = time.monotonic()
        work()
        return time.monotonic() - began

    def synced():
        f.write(b"x" * 4096)
        os.fsync(f.fileno())
    where = os.environ.get("LAB_DIR", "")
    with tempfile.TemporaryFile(dir=where if os.path.isdir(where) else "/var/tmp", buffering=0) as f:
        times = ((timed(lambda: sum(range(200000))) / 0.005, timed(lambda: time.sleep(0.002)) / 0.003, timed(synced) / 0.004)
                 for _ in range(20))
        return min(20.0, max(1.0, *(sum(kind) / 20 for kind in zip(*times))))


def quick(took, seconds, *why):
    """It took less than that many seconds, or than the same for a machine as slow as this one is now."""
    if took >= seconds:
        now = slowness()
        if took >= seconds * now:
            raise Slow("%s took %.3f s, not %.3f s on a machine that is %.1f times as slow as a quiet one" % (
                " ".join(str(w) for w in why) or "it", took, seconds, now))
    return took


def until(seconds, what, question, *args):
    """Ask until the answer is true, and return it. `what` is told if it never is; it may be a function. On a quiet machine it is true
    within `seconds`; how long it is waited for is no promise of the program's."""
    seconds = 30 + 2 * seconds
    end = time.monotonic() + seconds
    while True:
        answer = question(*args)
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failure("not within %s s: %s" % (seconds, what() if callable(what) else what))
        time.sleep(0.01)


def clean_up(failed):
    while at_end:
        try:
            at_end.pop()(failed)
        except Exception:
            print("# cleaning up: " + traceback.format_exc(), flush=True)


def run_one(case, times=3):
    """Returns "ok", "not ok" or "skip", and what there is to say. A case that was slow has some more tries."""
    kind, note = "not ok", ""
    try:
        kind, note = "ok", case() or ""
    except Skip as e:
        kind, note = "skip", str(e)
    except Slow as e:
        kind, note = "not ok" if times == 1 else "slow", str(e)
    except Failure as e:
        note = str(e)
    except Exception:
        note = traceback.format_exc().strip().replace("\n", "\n    ")
    finally:
        clean_up(kind == "not ok")
    if kind == "slow":
        print("# once more: %s: %s" % (case.__name__.replace("_", " "), note), flush=True)
        time.sleep(1)
        return run_one(case, times - 1)
    return kind, note


def run(*cases):
    """Each case is a function; its name, with spaces, is what must hold. What it returns is a note on it."""
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    print("# seed %d" % SEED, flush=True)
    for case in cases:
        if sys.argv[1:] and not any(word in case.__name__ for word in sys.argv[1:]):
            continue
        began = time.monotonic()
        kind, note = run_one(case)
        counts[kind] += 1
        print("%s %s%s (%.1f s)%s" % (kind, case.__name__.replace("_", " "), ":" if kind == "not ok" else "", time.monotonic() - began,
                                      (" " if kind == "not ok" else " # ") + note if note else ""), flush=True)
    print("%d passed, %d failed%s" % (counts["ok"], counts["not ok"], ", %d skipped" % counts["skip"] if counts["skip"] else ""))
    sys.exit(1 if counts["not ok"] else 0)
