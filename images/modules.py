#!/usr/bin/env python3
"""modules.py FROM TO NAME...: copies kernel modules and all that they need; a name that the kernel has built in, or lacks, is left out."""
import os
import shutil
import sys


def main():
    source, target, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
    version = os.listdir(source)[0]
    needs = {}
    with open(f"{source}/{version}/modules.dep") as table:
        for line in table:
            path, _, rest = line.partition(":")
            needs[path] = rest.split()
    paths = {os.path.basename(path).split(".")[0].replace("-", "_"): path for path in needs}
    chosen = set()
    for name in wanted:
        path = paths.get(name.replace("-", "_"))
        if path:
            chosen.update([path, *needs[path]])
    for path in sorted(chosen):
        to = f"{target}/{version}/{path}"
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copyfile(f"{source}/{version}/{path}", to)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        if os.path.exists(f"{source}/{version}/{name}"):
            shutil.copyfile(f"{source}/{version}/{name}", f"{target}/{version}/{name}")


main()
