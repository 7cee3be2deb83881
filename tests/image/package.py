"""package.py: the dataplane alone: updates for a machine, of what was built and of one that does not serve; a restart of it."""
import os
import re
import subprocess

from tap import tap

PACKAGE = "0.1.0.1"
BROKEN = '#!/bin/bash\ncase $1 in --layout) echo {layout} ;; --channel-version) echo {channel} ;; *) echo "broken on purpose" >&2; exit 1 ;; esac\n'


def images_package(run, output, *words):
    subprocess.run(["images/dataplane-package", "--base", f"{run.work}/release", "--program", f"{run.options.programs}/sluice-dataplane", "--version",
                    PACKAGE, "--output", output, *words], check=True, stdout=subprocess.DEVNULL)


def broken_package(run):
    told = {name: subprocess.check_output([f"{run.options.programs}/sluice-dataplane", f"--{option}"], text=True).strip()
            for name, option in (("layout", "layout"), ("channel", "channel-version"))}
    program, package = f"{run.work}/broken-dataplane", f"{run.work}/broken.package"
    with open(program, "w") as f:
        f.write(BROKEN.format(**told))
    os.chmod(program, 0o755)
    images_package(run, package, "--program", program)
    return package


def dataplane_id(m):
    found = re.search(r"process_id:(\d+)", m.redis("info", "server"))
    return found and found.group(1)


def log_of(m):
    return m.ssh("show log")[1]


def told(m, words):
    """How often its log says that, other starts of the box and of the dataplane included."""
    return m.ssh(f"show log --match '{words}'")[1].count(words)


def taken_over(m):
    return told(m, "Took over")


def restart_alone(m, seconds):
    """No snapshot has the key: the last one is older, and a restart that is to be warm makes none."""
    m.redis("save")
    before, saved, took = dataplane_id(m), m.redis("lastsave"), taken_over(m)
    bad = "is not allowed here", "is not used: ", "in ordinary memory"
    told_before = [told(m, words) for words in bad]
    m.redis("set", "unsaved", "over a restart of the dataplane")
    code, text = m.ssh("restart dataplane")
    serves = code == 0 and m.wait(lambda: dataplane_id(m) not in (None, before), seconds)
    log = log_of(m)
    tap.ok(serves, "restart dataplane: another process serves", text + log)
    tap.ok(m.redis("get", "unsaved") == "over a restart of the dataplane" and m.redis("lastsave") == saved, "with a key that no snapshot has", log)
    tap.ok(taken_over(m) == took + 1, "by memory", log)
    tap.ok([told(m, words) for words in bad] == told_before, "the one before has ended in order, the new one finds all it wants", log)
    text = m.redis("memory", "malloc-stats")
    tap.ok("on huge pages" in text, "the arena is on hugepages", text)
