#!/usr/bin/python3
"""Does the product compile without its assertions (NDEBUG), as the release build does, without a warning? Prints TAP.

    tests/release.py BUILD-FOLDER     a folder that meson has set up: its compile_commands.json says how

Only files that say assert(), with little optimisation and no code kept, so that it takes seconds: what a release build alone refuses is a variable or a function that nothing else uses.
"""
import concurrent.futures
import json
import pathlib
import re
import shlex
import subprocess
import sys

PRODUCT = ("board", "control", "dataplane", "drivers", "mgmt")
SECONDS = 300
ASSERTS = re.compile(r"(?<!\w)assert\(")


def checks(build):
    """{file: words} for every file of the product with assertions once, whatever number of targets compile it."""
    root = pathlib.Path(__file__).resolve().parent.parent
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = (build / entry["file"]).resolve().relative_to(root)
        if path.parts[0] not in PRODUCT or path in found or not ASSERTS.search((root / path).read_text()):
            continue
        words = shlex.split(entry["command"])
        start = 1 if pathlib.Path(words[0]).name == "ccache" else 0
        found[path] = [*words[start:words.index("-MD")], "-DNDEBUG", "-O1", "-g0", "-S", "-o", "/dev/null", entry["file"]]
    return found


def check(build, words):
    done = subprocess.run(words, cwd=build, capture_output=True, text=True, timeout=SECONDS)
    return done.returncode, done.stderr


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    found = checks(build)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = dict(zip(found, pool.map(lambda words: check(build, words), found.values())))
    bad = {path: text for path, (status, text) in results.items() if status}
    for text in bad.values():
        print("\n".join("# " + line for line in text.splitlines()))
    print(f"{'not ok' if bad or not found else 'ok'} 1 - {len(found)} files compile without assertions{': not ' + ', '.join(map(str, bad)) if bad else ''}")
    print("1..1")
    return 1 if bad or not found else 0


if __name__ == "__main__":
    sys.exit(main())
