"""What all integration tests share: cases that pass or fail, waiting, and one last line. Only the standard library is used.

A test calls run() with its cases. It prints `ok NAME` or `not ok NAME: why` for each, at last `N passed, N failed[, N
skipped]`, and exits non-zero on a failure. Words on the command line choose cases by parts of their names; SEED chooses the
random choices."""
import os, random, sys, time, traceback

SEED = int(os.environ.get("SEED") or random.randrange(1, 1 << 31))
rng = random.Random(SEED)
at_end = []  # Functions that run when a case is over, the last one first, each given whether the case has failed.


class Failure(Exception):
    pass


class Skip(Exception):
    """This machine lacks what the case needs."""


def check(truth, *why):
    if not truth:
        raise Failure(" ".join(str(w) for w in why) or "check failed")


def same(got, want, what=""):
    check(got == want, what, "got", repr(got)[:500], "want", repr(want)[:500])


def until(seconds, what, question, *args):
    """Ask until the answer is true, and return it. `what` is told if it never is; it may be a function."""
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


def run_one(case):
    """Returns "ok", "not ok" or "skip", and what there is to say."""
    kind, note = "not ok", ""
    try:
        kind, note = "ok", case() or ""
    except Skip as e:
        kind, note = "skip", str(e)
    except Failure as e:
        note = str(e)
    except Exception:
        note = traceback.format_exc().strip().replace("\n", "\n    ")
    finally:
        clean_up(kind == "not ok")
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
