#!/usr/bin/python3
"""Counts TAP results. A part of tests/run leaves files PART*.tap in the result folder.

--part NAME --status N FOLDER LOG   prints what failed and was skipped in this part; exit status 1 if anything failed
--few NAME FOLDER                   exit status 0 if what failed in this part may have been the machine's fault: FEW tests at most, no
                                    report of a sanitizer, and none that searches for what is rare (FINDS): that once is enough
--total FOLDER                      prints "N passed, N failed, N skipped", and above it what failed at a first try that FOLDER/first
                                    has and not at the second; exit status 1 if anything failed
"""
import pathlib
import re
import sys

FEW = 3
REPORT = re.compile(rb"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error: ")
FINDS = re.compile(r"\blost\b|acknowledged|linear|races|fuzz")
LINE = re.compile(r"^\s*(not )?ok\b[ \d]*(?:- )?(.*?)(?:\s*# (SKIP|TODO)\b\s*(.*))?$", re.I)
PLAN = re.compile(r"^1\.\.(\d+)\s*(?:# SKIP\s*(.*))?$", re.I)


def read(path):
    """(passed, failed [(name, notes)], skipped [(name, why)]) of one TAP file; a missing test of the plan is a failure. Notes stand in front
    of a test's line or behind it."""
    passed, failed, skipped, planned, notes, behind = 0, [], [], None, [], []
    for line in path.read_text(errors="replace").splitlines():
        plan = PLAN.match(line)
        if plan:
            planned = int(plan.group(1))
            if plan.group(2) and not planned:
                skipped.append((path.stem, plan.group(2)))
        if line.startswith("#"):
            notes.append(line)
            behind.append(line)
        hit = LINE.match(line)
        if not hit:
            continue
        bad, name, directive, why = hit.groups()
        behind = []
        if directive and directive.upper() == "SKIP":
            skipped.append((name, why))
        elif bad:
            behind = notes[-6:]
            failed.append((name, behind))
        else:
            passed += 1
        notes = []
    seen = passed + len(failed) + len(skipped)
    if planned is None or seen < planned:
        failed.append((f"{path.stem}: {seen} of {planned} tests ran", notes[-6:]))
    return passed, failed, skipped


def files_of(name, folder, suffix="tap"):
    return sorted(folder.glob(f"{name}*.{suffix}"))


def few(name, folder):
    failures = [f"{path.stem} {test} {notes}" for path in files_of(name, folder) for test, notes in read(path)[1]]
    said = files_of(name, folder, "tap") + files_of(name, folder, "err") + files_of(name, folder, "log")
    return len(failures) <= FEW and not any(map(FINDS.search, failures)) and not any(REPORT.search(path.read_bytes()) for path in said)


def part(name, status, folder, log):
    files = files_of(name, folder)
    failures = passes = 0
    for path in files:
        passed, failed, skipped = read(path)
        passes += passed
        failures += len(failed)
        for test, notes in failed:
            print(f"   FAILED  {path.stem}: {test}")
            for note in notes[:12]:
                print(f"           {note}")
        for test, why in skipped:
            print(f"   skipped {path.stem}: {test}: {why}")
    if not files or (status != 0 and failures == 0):
        (folder / f"{name}-itself.tap").write_text(f"1..1\nnot ok 1 - {name} ended with status {status}\n")
        print(f"   FAILED  {name} itself ended with status {status}; the end of its log:")
        for line in log.read_text(errors="replace").splitlines()[-30:]:
            print(f"           {line}")
        failures = 1
    print(f"   {passes} passed, {failures} failed")
    return 1 if failures else 0


def unsteady(folder):
    """(file, test) of what failed at a first try, and not at the second."""
    first = [(path, test) for path in sorted(folder.glob("first/*.tap")) for test, _ in read(path)[1]]
    now = {(path.name, test) for path in folder.glob("*.tap") for test, _ in read(path)[1]}
    return [(path.stem, test) for path, test in first if (path.name, test) not in now]


def total(folder):
    for name, test in unsteady(folder):
        print(f"   UNSTEADY {name}: {test}: failed once, and not when its part ran again alone")
    results = [read(path) for path in sorted(folder.glob("*.tap"))]
    passed = sum(r[0] for r in results)
    failed = sum(len(r[1]) for r in results)
    skipped = sum(len(r[2]) for r in results)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


def main():
    if sys.argv[1] == "--total":
        return total(pathlib.Path(sys.argv[2]))
    if sys.argv[1] == "--few":
        return 0 if few(sys.argv[2], pathlib.Path(sys.argv[3])) else 1
    return part(sys.argv[2], int(sys.argv[4]), pathlib.Path(sys.argv[5]), pathlib.Path(sys.argv[6]))


if __name__ == "__main__":
    sys.exit(main())
