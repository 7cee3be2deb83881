#!/usr/bin/python3
"""Holds the table of drop reasons (dataplane/base/counters.def) against the code: nothing that comes off the wire is dropped without a name.

Prints TAP.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r'^X\((\w+),\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)', re.M)
NAME_MAX, HELP_MAX = 63, 127  # CHANNEL_NAME and CHANNEL_HELP of channel/messages.h

# What net_drop frees without a loss: the frame has done its work.
NO_LOSS = {"net_arp_heard"}


def counters():
    text = (ROOT / "dataplane/base/counters.def").read_text()
    return {name: "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text)) for name, text in ROW.findall(text)}


def sources(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.c")):
            yield path, path.read_text()


def texts_fit(table):
    for name, text in table.items():
        if len(name) > NAME_MAX or len(text) > HELP_MAX or not text:
            yield f"{name}: the name has {len(name)} bytes, the help text {len(text)}"


def all_counted(table):
    """Names that nothing counts mislead."""
    used = {n for _, text in sources("dataplane", "drivers") for n in re.findall(r"COUNTER_(\w+)", text)}
    for name in table:
        if name not in used:
            yield f"{name}: nothing counts it"


def net_drop_names(table):
    """The reason of every net_drop is named where it is called, and called a drop."""
    for path, text in sources("dataplane/net"):
        for call in re.finditer(r"\bnet_drop\(([^;{]*?)\);", text):
            names = re.findall(r"COUNTER_(\w+)", call.group(1))
            if not names and not call.group(1).endswith(" why"):  # handed on by a function that was given it
                yield f"{path.relative_to(ROOT)}: net_drop({call.group(1)}): no counter is named"
            for name in names:
                if "_drop" not in name and name not in NO_LOSS:
                    yield f"{path.relative_to(ROOT)}: net_drop with {name}, which is not called a drop"


def losses_exist(table):
    """The names that `show drops` adds to those of drops are in the table."""
    text = (ROOT / "control/show_net.c").read_text()
    listed = re.search(r"losses\[\] = \{(.*?)\}", text, re.S).group(1)
    for name in re.findall(r'"(\w+)"', listed):
        if name not in table:
            yield f"control/show_net.c: {name} is no counter"


def main():
    table = counters()
    rows = (
        (f"names and help texts of {len(table)} counters fit the channel", texts_fit),
        ("every counter is counted somewhere", all_counted),
        ("every net_drop names its reason", net_drop_names),
        ("what show drops lists exists", losses_exist),
    )
    bad = 0
    print("TAP version 13")
    print(f"1..{len(rows)}")
    for number, (what, check) in enumerate(rows, 1):
        found = list(check(table))
        bad += bool(found)
        print(f"{'not ok' if found else 'ok'} {number} - {what}")
        for fault in found:
            print(f"# {fault}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
