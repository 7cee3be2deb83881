#!/usr/bin/python3
"""Counts TAP results. A part of tests/run leaves files PART*.tap in the result folder.

--part NAME --status N FOLDER LOG   prints what failed and was skipped in this part
--total FOLDER                      prints "N passed, N failed, N skipped"; exit status 1 if anything failed
"""
import pathlib
import re
import sys

LINE = re.compile(r"^\s*(not )?ok\b[ \d]*(?:- )?(.*?)(?:\s*# (SKIP|TODO)\b\s*(.*))?$", re.I)
PLAN = re.compile(r"^1\.\.(\d+)\s*(?:# SKIP\s*(.*))?$", re.I)


def read(path):
    """(passed, failed names, skipped [(name, why)]) of one TAP file; a missing test of the plan is a failure."""
    passed, failed, skipped, planned, notes = 0, [], [], None, []
    for line in path.read_text(errors="replace").splitlines():
        plan = PLAN.match(line)
        if plan:
            planned = int(plan.group(1))
            if plan.group(2) and not planned:
                skipped.append((path.stem, plan.group(2)))
        if line.startswith("#"):
            notes.append(line)
        hit = LINE.match(line)
        if not hit:
            continue
        bad, name, directive, why = hit.groups()
        if directive and directive.upper() == "SKIP":
            skipped.append((name, why))
        elif bad:
            failed.append((name, notes[-6:]))
        else:
            passed += 1
        notes = []
    seen = passed + len(failed) + len(skipped)
    if planned is None or seen < planned:
        failed.append((f"{path.stem}: {seen} of {planned} tests ran", notes[-6:]))
    return passed, failed, skipped


def part(name, status, folder, log):
    files = sorted(folder.glob(f"{name}*.tap"))
    failures = passes = 0
    for path in files:
        passed, failed, skipped = read(path)
        passes += passed
        failures += len(failed)
        for test, notes in failed:
            print(f"   FAILED  {path.stem}: {test}")
            for note in notes:
                print(f"           {note}")
        for test, why in skipped:
            print(f"   skipped {path.stem}: {test}: {why}")
    if not files or (status != 0 and failures == 0):
        (folder / f"{name}-itself.tap").write_text(f"1..1\nnot ok 1 - {name} ended with status {status}\n")
        print(f"   FAILED  {name} itself ended with status {status}; the end of its log:")
        for line in log.read_text(errors="replace").splitlines()[-30:]:
            print(f"           {line}")
    print(f"   {passes} passed, {failures} failed")


def total(folder):
    results = [read(path) for path in sorted(folder.glob("*.tap"))]
    passed = sum(r[0] for r in results)
    failed = sum(len(r[1]) for r in results)
    skipped = sum(len(r[2]) for r in results)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


def main():
    if sys.argv[1] == "--total":
        return total(pathlib.Path(sys.argv[2]))
    part(sys.argv[2], int(sys.argv[4]), pathlib.Path(sys.argv[5]), pathlib.Path(sys.argv[6]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
