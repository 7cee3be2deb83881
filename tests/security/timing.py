#!/usr/bin/python3
"""Do the instructions of a login tell anything that must not be told? callgrind counts those of each way of login_cost: wrong
passwords that share nothing, a byte, or nearly all with the right one, or whose hash does; users with one password and with several, who are off,
who are not there. Counts do not depend on what else the machine does. Prints TAP.

timing.py PROGRAM"""
import argparse
import concurrent.futures
import re
import subprocess
import sys

LOGINS = 64
# How many instructions ways may differ from the first that is about the same, or the first of all: a heap that was left otherwise is worth eight, a
# comparison of two hashes 400, a digit of it 6; a user who is not there is looked for by halves, 40 a step.
LEEWAY = {"word": (1, "word"), "hash": (1, "hash"), "who": (128, "word"), "in": (24, "in")}


def instructions(program, way):
    """Of one login of the way of that number, from the request to the reply. The stack begins at the same place in all (see login_cost.c)."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=counted_login", "--callgrind-out-file=/dev/null", program, f"{way:02}"],
                          capture_output=True, text=True, timeout=300)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not collected:
        raise SystemExit(f"timing.py: {way}: status {done.returncode}: {(done.stdout + done.stderr).strip()[-300:]}")
    return int(collected.group(1)) / LOGINS


def main():
    parser = argparse.ArgumentParser(description="see the head of this file")
    parser.add_argument("program")
    options = parser.parse_args()
    listed = subprocess.run([options.program], capture_output=True, text=True, check=True, timeout=60).stdout
    ways = [line.split(" ", 1) for line in listed.splitlines()]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda way: instructions(options.program, way), range(len(ways))))
    bad = number = 0
    first = {}
    for (about, name), n in zip(ways, counts):
        first.setdefault(about, (name, n))
        leeway, beside = LEEWAY[about]
        than, wanted = first[beside]
        good = abs(n - wanted) <= leeway and n > 5000  # there is a hash in it
        number += 1
        bad += not good
        print(f"{'' if good else 'not '}ok {number} - {name}: {n:.1f} instructions, {n - wanted:+.1f} to \"{than}\", at most {leeway}")
    assert first.keys() == LEEWAY.keys()
    print(f"1..{number}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
