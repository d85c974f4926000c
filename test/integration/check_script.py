#!/usr/bin/env python3
"""scripts/check itself: what fails is run once more by itself, what passes then is told and is no failure; and what is never excused.

It runs in a tree of its own, whose build is a Makefile and whose tests are planted."""
import os, re, shutil, subprocess, tempfile

from cases import at_end, check, run, same

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "check")

# Each program's log and result, as automake makes them.
MAKEFILE = r"""
TESTS = %s
check:
	@result=0; for t in $(TESTS); do \
		mkdir -p $$(dirname $$t); \
		$(LOG_COMPILER) $(LOG_FLAGS) %s/$$t >$$t.log 2>&1 </dev/null; status=$$?; \
		if [ $$status = 0 ]; then r=PASS; else r=FAIL; result=1; fi; \
		echo "$$r $$t (exit status: $$status)" >>$$t.log; echo ":test-result: $$r" >$$t.trs; \
	done; exit $$result
test/integration/%%: ; @true
"""
GOOD = "[ RUN      ] good\n[       OK ] good\n"
BAD = "[ RUN      ] bad\n[  FAILED  ] bad\n"


class Tree:
    """A tree with such tests: `units` and `files` are scripts by name, in which $n is which time it is that this one runs."""

    def __init__(self, units={}, files={}):
        self.dir = tempfile.mkdtemp(prefix="check-", dir="/var/tmp")
        at_end.append(lambda failed: shutil.rmtree(self.dir, ignore_errors=True))
        os.makedirs(self.dir + "/runs")
        units = dict({"plain%02d" % i: "printf '%s'" % GOOD.replace("\n", "\\n") for i in range(21)}, **units)
        for name, script in units.items():
            self.script("test/unit/test_" + name, script, name)
        for name, script in files.items():
            # They are run by python3, which finds nothing in them but who does it.
            self.script("scripts/file_" + name, script, name)
            self.put("test/integration/%s.py" % name, "import os\nos.execv(%r, ['x'])\n" % (self.dir + "/scripts/file_" + name))
        makefile = MAKEFILE % (" ".join("test/unit/test_" + name for name in sorted(units)), self.dir)
        self.put("Makefile.in", makefile)
        self.put("scripts/build", '#!/bin/sh\nmkdir -p "$BUILD_DIR/test" && cp %s/Makefile.in "$BUILD_DIR/Makefile"\n' % self.dir)
        for name in ("deps", "lab", "check-includes"):
            self.put("scripts/" + name, "#!/bin/sh\nexit 0\n")
        shutil.copy(SCRIPT, self.dir + "/scripts/check")

    def put(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").write(text)
        os.chmod(path, 0o755)

    def script(self, path, script, name):
        self.put(path, "#!/bin/bash\necho x >>%s/runs/%s; n=$(wc -l <%s/runs/%s)\n%s\n" % (self.dir, name, self.dir, name, script))

    def runs(self, name):
        return len(open("%s/runs/%s" % (self.dir, name)).readlines())

    def check(self, *stages, **env):
        """Exit status, last line, and what it said before."""
        env = {k: v for k, v in dict(os.environ, CHECK_DIR=self.dir + "/out", **env).items() if k not in ("SEED", "MAKEFLAGS", "MAKELEVEL")}
        done = subprocess.run([self.dir + "/scripts/check", *stages], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=300)
        return done.returncode, done.stdout.decode(), done.stderr.decode()


def said(text, failed=None):
    """A file that says so and ends."""
    return "printf '%s\\n'; exit %d" % (text, bool(failed))


def at_first(failing, then):
    return "if [ $n = 1 ]; then %s; else %s; fi" % (failing, then)


OK = said("ok a\\n1 passed, 0 failed")
NOT_OK = said("not ok a: planted\\n1 passed, 1 failed", True)


def all_that_passes_is_counted():
    tree = Tree(files={"good": OK})
    code, last, told = tree.check("unit", "integration")
    same((code, last), (0, "23 passed, 0 failed\n"), told)
    check("0 unsteady" in told and "again" not in told, told)


def what_fails_once_is_unsteady_and_shown():
    tree = Tree(units={"faint": at_first("printf '%s'; exit 1" % (GOOD + BAD).replace("\n", "\\n"), "printf '%s'" % (GOOD * 2).replace("\n", "\\n"))},
                files={"shaky": at_first(NOT_OK, OK), "good": OK})
    code, last, told = tree.check("unit", "integration")
    same((code, last), (0, "26 passed, 0 failed\n"), told)  # Units: 21 and check-includes and 2; files: 2.
    for name, first in (("unit-test_faint-gcc", "[  FAILED  ] bad"), ("integration-shaky-gcc", "not ok a: planted")):
        check("    unsteady: %s (failed once, passed alone)\n" % name in told and first in told, told)
        check(first in open(tree.dir + "/out/log/%s.first" % name).read())
    check(re.search(r"(?m)^again +3 passed +0 failed +0 skipped +2 unsteady", told) and ", 2 unsteady\n" in told, told)
    same([tree.runs(n) for n in ("faint", "shaky", "good")], [2, 2, 1])


def what_fails_twice_has_failed():
    tree = Tree(units={"broken": "printf '%s'; exit 1" % (GOOD + BAD).replace("\n", "\\n")}, files={"wrong": NOT_OK, "good": OK})
    code, last, told = tree.check("unit", "integration")
    same((code, last), (1, "25 passed, 2 failed\n"), told)
    check("    failed: wrong\n" in told and "failed: test/unit/test_broken.log" in told and "0 unsteady" in told, told)
    same([tree.runs(n) for n in ("broken", "wrong")], [2, 2])


def what_hangs_once_is_unsteady():
    tree = Tree(files={"hangs": at_first("sleep 100", OK)})
    code, last, told = tree.check("integration", INTEGRATION_SECONDS="2")
    same((code, last), (0, "1 passed, 0 failed\n"), told)
    check("unsteady: integration-hangs-gcc" in told, told)


def a_crash_a_report_or_a_broken_promise_is_not_run_again():
    crash = "kill -SEGV $$"
    report = "echo 'SUMMARY: AddressSanitizer: heap-use-after-free'; printf '%s'; exit 1" % BAD.replace("\n", "\\n")
    lost = said("not ok writes: unsafe: s1 lost 1 acknowledged writes\\n0 passed, 1 failed", True)
    tree = Tree(units={"crash": at_first(crash, "exit 0"), "report": at_first(report, "exit 0")}, files={"lost": at_first(lost, OK)})
    code, last, told = tree.check("unit", "integration")
    same((code, last), (1, "22 passed, 3 failed\n"), told)
    same([tree.runs(n) for n in ("crash", "report", "lost")], [1, 1, 1])
    check("unsteady:" not in told, told)


def more_than_three_that_are_unsteady_have_failed():
    for many in (3, 4):
        tree = Tree(files={"shaky%d" % i: at_first(NOT_OK, OK) for i in range(many)})
        code, last, told = tree.check("integration")
        same((code, last), (0, "3 passed, 0 failed\n") if many == 3 else (1, "4 passed, 4 failed\n"), told)
        same(told.count("    unsteady: "), many, told)


def the_random_choices_are_made_again():
    tree = Tree(files={"lucky": at_first("echo '# seed 4711'; " + NOT_OK, '[ "$SEED" = 4711 ] && { %s; } || { %s; }' % (NOT_OK, OK))})
    code, last, told = tree.check("integration")
    same((code, last), (1, "1 passed, 1 failed\n"), told)


def what_cannot_be_built_is_no_matter_of_luck():
    tree = Tree()
    text = open(tree.dir + "/Makefile.in").read()
    tree.put("Makefile.in", text.replace("exit $$result", "exit 1"))
    code, last, told = tree.check("unit")
    same((code, last), (1, "22 passed, 1 failed\n"), told)
    check("failed: the stage: status" in told, told)


run(all_that_passes_is_counted, what_fails_once_is_unsteady_and_shown, what_fails_twice_has_failed, what_hangs_once_is_unsteady,
    a_crash_a_report_or_a_broken_promise_is_not_run_again, more_than_three_that_are_unsteady_have_failed,
    the_random_choices_are_made_again, what_cannot_be_built_is_no_matter_of_luck)
