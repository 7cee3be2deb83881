#!/usr/bin/python3
"""tap_of_log.py TESTLOG.JSON FOLDER PREFIX: the TAP that each program of a `meson test` run printed, a file each."""
import json
import pathlib
import re
import sys


def main():
    log, folder, prefix = sys.argv[1:]
    for line in open(log, encoding="utf-8"):
        test = json.loads(line)
        text = test.get("stdout", "")
        if test["returncode"] and "not ok" not in text:
            text += f"\nnot ok - {test['name']} ended with status {test['returncode']}\n"
        text = "".join(f"# {note}\n" for note in test.get("stderr", "").splitlines()[-20:]) + text
        name = re.sub(r"[^\w]+", "-", test["name"])
        pathlib.Path(folder, f"{prefix}-{name}.tap").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
