#!/usr/bin/env python3
"""Which inputs of a fuzz target are worth to be seeds: those that reach most for their size, as long as there is room.

    test/fuzz/pick_seeds.py CONTROL BYTES FILES [SEED ...]

CONTROL is what libFuzzer writes about a merge: names of inputs, and what each reaches. The SEEDs are there anyhow.
Prints the names of the others, best first.
"""
import os
import sys

A_FILE = 256  # Bytes that a seed is counted to cost beside its own.


def read(control):
    """What each input reaches, by its name."""
    reached, names = {}, []
    with open(control, encoding="utf-8", errors="surrogateescape") as lines:
        n = int(next(lines))
        next(lines)
        names = [next(lines).rstrip("\n") for _ in range(n)]
        for line in lines:
            kind, number, *what = line.split()
            if kind == "FT":
                reached[names[int(number)]] = set(what)
    return reached


def main():
    reached = read(sys.argv[1])
    room, files = int(sys.argv[2]), int(sys.argv[3])
    known = set()
    for seed in sys.argv[4:]:
        room -= os.path.getsize(seed)
        files -= 1
        known |= reached.pop(seed, set())
    sizes = {name: os.path.getsize(name) for name in reached}
    while files > 0:
        fitting = [name for name in reached if sizes[name] <= room and not reached[name] <= known]
        if not fitting:
            break
        best = max(fitting, key=lambda name: (len(reached[name] - known) / (sizes[name] + A_FILE), name))
        print(best)
        room -= sizes[best]
        files -= 1
        known |= reached.pop(best)


if __name__ == "__main__":
    main()
