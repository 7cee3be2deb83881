#!/usr/bin/python3
"""Reads the include lines of the tree and fails when a layer is broken. The rules are those of README.md, "The map".

Prints TAP. With --rules prints the table of what each folder may include.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Folder -> folders of ours whose headers it may include (its own is always allowed), and whether DPDK headers are.
RULES = {
    "dataplane/base": ((), False),
    "dataplane/resp": (("base",), False),
    "dataplane/store": (("base",), False),
    "dataplane/command": (("base", "resp", "store"), False),
    "dataplane/script": (("base", "resp", "command", "store"), False),
    "dataplane/net": (("base",), True),
    "dataplane/tcp": (("base", "net"), True),
    "dataplane/tls": (("base", "tcp"), True),
    "dataplane/fabric": (("base",), False),
    "dataplane/channel": (("base", "resp", "command", "store"), False),
    "dataplane": (("base", "resp", "store", "command", "script", "net", "tcp", "tls", "fabric", "channel", "board", "drivers", ""), True),
    "drivers": (("base", "net", "board", "drivers"), True),
    "control": (("channel/messages.h", "base/crc64.h", "board", "control"), False),
    "mgmt": (("mgmt",), False),
    "board": ((), False),
}
DPDK = re.compile(r"rte_|dpdk")
# EAL and ethdev belong to drivers and to the composition of the box.
EAL = re.compile(r"rte_(eal|ethdev|launch|bus|dev|vhost|eth_)")
EAL_ALLOWED = {"dataplane/box.c", "dataplane/main.c"}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^">]+)[">]', re.M)


def area_of(path):
    """The key of RULES that a file belongs to."""
    parts = path.parts
    two = "/".join(parts[:2])
    return two if two in RULES else parts[0]


def target_of(name, area):
    """The folder of ours that an include names, or None for a header of somebody else."""
    name = name.removeprefix("dataplane/")
    folder = name.rsplit("/", 1)[0] if "/" in name else ""
    known = {key.removeprefix("dataplane/") for key in RULES} | {""}
    if folder == "" and not (ROOT / area / name).exists() and not (ROOT / "dataplane" / name).exists():
        return None
    if folder == "" and (ROOT / area / name).exists():
        return area.removeprefix("dataplane/") if area != "dataplane" else ""
    return folder if folder in known else None


def faults(path):
    relative = path.relative_to(ROOT)
    area = area_of(relative)
    allowed, dpdk = RULES[area]
    own = area.removeprefix("dataplane/") if area != "dataplane" else ""
    for bracket, name in INCLUDE.findall(path.read_text(errors="replace")):
        if bracket == "<":
            if DPDK.search(name) and not dpdk:
                yield f"{relative}: {name}: {area} includes no DPDK header"
            elif EAL.search(name) and area != "drivers" and str(relative) not in EAL_ALLOWED:
                yield f"{relative}: {name}: only drivers/ and the composition of the box call EAL and ethdev"
            continue
        target = target_of(name, area)
        if target is None or target == own or target in allowed:
            continue
        if name.removeprefix("dataplane/") in allowed:
            continue
        yield f"{relative}: {name}: {area} may not include {target or 'the top of dataplane'}"


def main():
    if "--rules" in sys.argv:
        for area, (allowed, dpdk) in RULES.items():
            print(f"{area:20} {', '.join(a or '(top)' for a in allowed) or '-'}{'; DPDK' if dpdk else ''}")
        return 0
    bad = 0
    print("TAP version 13")
    print(f"1..{len(RULES)}")
    for number, area in enumerate(RULES, 1):
        files = [p for p in sorted((ROOT / area).rglob("*.[ch]")) if area_of(p.relative_to(ROOT)) == area]
        found = [fault for path in files for fault in faults(path)]
        bad += bool(found)
        print(f"{'not ok' if found else 'ok'} {number} - {area}: {len(files)} files keep to their layer")
        for fault in found:
            print(f"# {fault}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
