"""What users of a cluster did and were told, and whether one register for each job, changed by one user at a time, could
have answered the same: linearizability, by the search of Wing and Gong with a memo (Lowe), job by job.

A job's state is the value that it was registered with (no two registrations have the same), and whether it was stopped.
A write whose outcome is unknown may take effect at any time after it was sent, or never. Indexes are checked along: what
is acknowledged with one comes after all that had lower ones.

Reads with ?stale may be old, so they are not searched for an order: what they show must have been written, and on one
connection the index never goes back. Dispatches are counted: for a token there is one child, and who got an answer was
told of it."""
import collections

NEVER = float("inf")
KINDS = ("write", "cas", "cas-failed", "stop", "purge", "read")
READS = ("read", "cas-failed")


class Op:
    """One operation on a job.

    kind     see KINDS. "cas" is one that succeeded or whose outcome is unknown
    value    what a write or cas registers, or what a read has seen; None: there is no such job
    stopped  what a read has seen
    expected the value that a cas, or a failed one, wanted to find; None: no job
    index    JobModifyIndex that was answered to a write or cas, or read; 0: not told
    mode     of a read: "default", "consistent"
    invoke, ret  seconds; ret is NEVER if the outcome is unknown
    """
    __slots__ = ("kind", "key", "value", "stopped", "expected", "index", "mode", "invoke", "ret", "who")

    def __init__(self, kind, key, invoke, ret, value=None, stopped=False, expected=None, index=0, mode="", who=""):
        self.kind, self.key, self.invoke, self.ret = kind, key, invoke, ret
        self.value, self.stopped, self.expected, self.index, self.mode, self.who = value, stopped, expected, index, mode, who

    def __repr__(self):
        what = {"cas": "%s if %s" % (self.value, self.expected), "cas-failed": "not %s" % self.expected,
                "read": "%s%s" % (self.value, " stopped" if self.stopped else ""), "write": self.value}.get(self.kind, "")
        return "[%.4f..%s %s %s%s%s%s]" % (self.invoke, "?" if self.ret == NEVER else "%.4f" % self.ret, self.kind, what,
                                           " @%d" % self.index if self.index else "", " " + self.mode if self.mode else "",
                                           " by " + self.who if self.who else "")


class Broken(Exception):
    """What no cluster that works would have answered."""


class Undecided(Exception):
    """The search was given up."""


EMPTY = (None, False, 0)  # Value, stopped, and the index that was told last.


def step(state, op):
    """The state after it, or None if it cannot happen there."""
    value, stopped, index = state
    if op.kind == "read":
        return state if (op.value, op.stopped) == (value, stopped) and (value is None or not op.index or op.index >= index) else None
    if op.kind == "cas-failed":
        return state if stopped or op.expected != value else None
    if op.kind == "cas" and (stopped or op.expected != value):
        return None
    if op.index and op.index <= index:
        return None
    if op.kind == "purge":
        return (None, False, op.index or index)
    if op.kind == "stop":
        return (None, False, index) if value is None else (value, True, op.index or index)
    return (op.value, False, op.index or index)


def observed(ops):
    """Writes of unknown outcome whose value somebody has read did happen, before that read returned."""
    seen = {}
    for op in ops:
        value = op.expected if op.kind == "cas" and op.ret != NEVER else op.value if op.kind == "read" else None
        if value is not None:
            ret, index = seen.get(value, (NEVER, 0))
            seen[value] = (min(ret, op.ret), op.index if op.kind == "read" and not op.stopped else index)
    result = []
    for op in ops:
        if op.ret == NEVER and op.kind in ("write", "cas") and op.value in seen:
            ret, index = seen[op.value]
            op = Op(op.kind, op.key, op.invoke, ret, op.value, expected=op.expected, index=index, who=op.who)
        result.append(op)
    return result


def find_order(ops, budget=400000):
    """Whether there is an order. Raises Broken, with what could not be placed, or Undecided."""
    ops = sorted((op for op in observed(ops) if op.ret != NEVER or op.kind not in READS), key=lambda op: op.invoke)
    n = len(ops)
    certain = sum(1 << i for i, op in enumerate(ops) if op.ret != NEVER)
    in_turn = [i for i, op in sorted(enumerate(ops), key=lambda p: p[1].index) if op.index and op.kind not in READS and op.ret != NEVER]
    seen, stack, furthest = set(), [(0, 0, EMPTY)], (-1, 0, EMPTY)
    while stack:
        mask, low, state = stack.pop()
        mask, low, choices = advance(ops, n, mask, low, state)
        if mask & certain == certain:
            return
        if (mask, state) in seen:
            continue
        seen.add((mask, state))
        if len(seen) > budget:
            raise Undecided("after %d states" % budget)
        placed = bin(mask & certain).count("1")
        if placed > furthest[0]:
            furthest = (placed, mask, state)
        following = []
        turn = next((ops[i].index for i in in_turn if not mask >> i & 1), NEVER)
        for i in choices:
            after = step(state, ops[i])
            # Whoever passes a lower index by makes it impossible.
            if after is not None and (ops[i].index <= turn or ops[i].kind in READS) and is_useful(ops[i], choices, ops):
                following.append((ops[i].ret == NEVER, ops[i].index or NEVER, ops[i].ret, i, after))
        for _, _, _, i, after in sorted(following, key=lambda f: f[:4], reverse=True):  # The likeliest is tried first.
            stack.append((mask | 1 << i, low, after))
    raise Broken(explain(ops, n, *furthest))


def advance(ops, n, mask, low, state):
    """Place each read that may come now and fits: it changes nothing, so to place it at once can do no harm. Returns with
    the operations that may come next."""
    while True:
        while low < n and mask >> low & 1:
            low += 1
        choices, earliest, placed = [], NEVER, False
        for i in range(low, n):
            op = ops[i]
            if op.invoke > earliest:
                break
            if mask >> i & 1:
                continue
            earliest = min(earliest, op.ret)
            if op.kind in READS and step(state, op) is not None:
                mask |= 1 << i
                placed = True
            else:
                choices.append(i)
        if not placed:
            return mask, low, choices


def is_useful(op, choices, ops):
    """A write that may not have happened need only be tried where something that may come next can tell it from nothing:
    what follows at once is one of `choices`, and a write on top of it hides it. (One that has been read is certain.)"""
    if op.ret != NEVER:
        return True
    for i in choices:
        kind = ops[i].kind
        if kind == "cas-failed":
            return True
        if op.kind == "stop" and kind == "read" and ops[i].stopped:
            return True
        if op.kind == "purge" and (kind == "read" and ops[i].value is None or kind == "cas" and ops[i].expected is None):
            return True
        if op.kind in ("write", "cas") and kind == "stop":
            return True
    return False


def explain(ops, n, placed, mask, state):
    rest = [op for i, op in enumerate(ops) if not mask >> i & 1 and op.ret != NEVER]
    before = [op for i, op in enumerate(ops) if mask >> i & 1 and op.kind not in READS][-4:]
    return "job %s: after %d of %d operations it is %s, and then none of these fits: %s; written before: %s" % (
        ops[0].key, placed, n, state, sorted(rest, key=lambda op: op.ret)[:4], before)


def check_indexes(ops):
    """An index belongs to one registration, a registration has one index."""
    value_of, index_of = {}, {}
    for op in ops:
        if op.index and op.value is not None and not op.stopped and op.ret != NEVER and op.kind in ("write", "cas", "read"):
            for table, a, b in ((value_of, op.index, (op.key, op.value)), (index_of, (op.key, op.value), op.index)):
                if table.setdefault(a, b) != b:
                    raise Broken("two things for one: %s is %s and %s: %s" % (a, table[a], b, op))


def by_key(ops):
    keys = collections.defaultdict(list)
    for op in ops:
        keys[op.key].append(op)
    return keys


def check_registers(ops):
    """Raises for the first job whose answers have no order. Says of a bad read whether it takes the default ones to break."""
    check_indexes(ops)
    for key, some in sorted(by_key(ops).items()):
        try:
            find_order(some)
        except Broken as e:
            raise Broken("%s: %s" % (blame(some), e))


def blame(ops):
    """Which answers have to be left out for the others to have an order."""
    for what, keep in (("a default read is old", lambda op: op.mode != "default"),
                       ("a consistent read is old", lambda op: op.kind != "read" or op.mode not in ("default", "consistent")),
                       ("a failed check-and-set should not have failed", lambda op: op.kind not in READS)):
        try:
            find_order([op for op in ops if keep(op)], 20000)
            return what
        except (Broken, Undecided):
            pass
    return "writes have no order"


Stale = collections.namedtuple("Stale", "key invoke ret value stopped index connection")


def check_stale(stale, ops):
    """Reads of any server's state, in the order in which they were made on each connection."""
    sent = {(op.key, op.value): op.invoke for op in ops if op.kind in ("write", "cas")}
    last = {}
    for r in stale:
        if r.value is not None and sent.get((r.key, r.value), NEVER) > r.ret:
            raise Broken("a stale read of what nobody had written: %s" % (r,))
        if r.index:
            before = last.get((r.connection, r.key))
            if before and before.index > r.index:
                raise Broken("the index goes back on one connection: %s, then %s" % (before, r))
            last[r.connection, r.key] = r


def check_dispatches(told, children):
    """`told`: token -> set of the children's IDs that were acknowledged, perhaps none. `children`: token -> list of the IDs
    that are there. Returns how many acknowledged ones are lost; raises for doubles and for contradictions."""
    lost = []
    for token, there in sorted(children.items()):
        if len(there) > 1:
            raise Broken("%d children of one token %s: %s" % (len(there), token, there))
        if token not in told:
            raise Broken("a child of a token that nobody has sent: %s: %s" % (token, there))
    for token, ids in sorted(told.items()):
        if len(ids) > 1:
            raise Broken("two answers for one token %s: %s" % (token, sorted(ids)))
        if ids and set(children.get(token, ())) != ids:
            lost.append((token, sorted(ids), children.get(token)))
    if lost:
        raise Broken("%d acknowledged dispatches are lost, among them %s" % (len(lost), lost[:3]))
