#!/usr/bin/python3
"""Updates of the dataplane alone, by the image's own script: warm, under load, and back by itself from one that does not serve. Prints
TAP. Run by update.sh."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from box import ADDRESS, BUILD, ROOT, Box, Tap, in_the_middle_now_and_then, until
from load import digest, fill
from warm import TOOK, Writer, client, end_dataplane, finish

SCRIPT = ROOT / "images/root/usr/lib/sluice/dataplane"
SECONDS = 300  # bounds of what has gone wrong
BASE = "b" * 24


class Appliance(Box):
    """A box as on an image: the folders of root beside it, and a key that signs for it."""

    def __init__(self, **directives):
        super().__init__(**directives)
        self.root = self.folder / "root"
        lib = self.root / "usr/lib/sluice"
        for name in ("usr/lib/sluice", "etc/rauc", "data", "run/sluice-image", "var/lib", "signing"):
            (self.root / name).mkdir(parents=True)
        (self.root / "var/lib/sluice").symlink_to(self.folder / "state")
        (self.root / "run/sluice-image/slot").write_text("a\n")
        (lib / "release").write_text(f"NAME=Sluice\nVERSION=0.1.0\nBUILD_ID={BASE}\nCOMPATIBLE=sluice-x86\n")
        self.program = lib / "sluice-dataplane"
        shutil.copy(BUILD / "sluice-dataplane", self.program)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                        "/CN=tests of updates", "-keyout", self.root / "signing/key.pem", "-out", self.root / "signing/certificate.pem"],
                       check=True, capture_output=True)
        shutil.copy(self.root / "signing/certificate.pem", self.root / "etc/rauc/keyring.pem")
        self.words = ["--dataplane-updates", self.root / "run/sluice-dataplane"]
        self.environment = {**os.environ, "SLUICE_ROOT": str(self.root), "SLUICE_SOCKET": str(self.folder / "m.sock"),
                            "PATH": f"{BUILD}/mgmt:{os.environ['PATH']}"}
        self.updates("start")

    def updates(self, *words):
        done = subprocess.run([SCRIPT, *map(str, words)], capture_output=True, text=True, timeout=900, env=self.environment)
        return done.returncode, done.stdout + done.stderr

    def package(self, name, script=None):
        """The dataplane that was built, or what a script makes of it, as an update."""
        program, to = BUILD / "sluice-dataplane", self.folder / f"{name}.package"
        if script:
            program = self.folder / f"{name}-program"
            program.write_text("#!/bin/bash\n" + script.replace("DATAPLANE", str(BUILD / "sluice-dataplane")))
            program.chmod(0o755)
        subprocess.run([ROOT / "images/dataplane-package", "--base", self.root / "usr/lib/sluice/release", "--program", program, "--version", name,
                        "--signing", self.root / "signing", "--output", to], check=True, capture_output=True)
        return to

    def install(self, package, *words):
        return self.updates("install", package, *words)

    def version(self):
        return json.loads(self.sluice("show", "version", "--json")[1])

    def alarms(self):
        return self.sluice("show", "health")[1]


# They answer what an update is asked, and do not serve.
BROKEN = 'case $1 in --layout | --channel-version) exec DATAPLANE "$1" ;; esac; echo "broken on purpose" >&2; exit 1\n'
HANGS = 'case $1 in --layout | --channel-version) exec DATAPLANE "$1" ;; esac; trap "" TERM; while :; do read -t 1 <> <(:); done\n'
POISONED = 'case "$*" in *--memory*) kill -SEGV $$ ;; esac; exec -a "$0" DATAPLANE "$@"\n'
OTHER_LAYOUT = 'case $1 in --layout) echo 0123456789abcdef; exit ;; esac; exec -a "$0" DATAPLANE "$@"\n'
# In memory it finds nothing, on the disk a file that is cut off; the box's own puts that right.
CANNOT_LOAD = '''case $1 in --layout) echo 0123456789abcdef; exit ;; --channel-version) exec DATAPLANE "$1" ;; esac
[ -e DUMP.whole ] || { cp DUMP DUMP.whole && truncate -s 200 DUMP; }
[ "${@: -2:1}" != --memory ] || set -- "${@:1:$#-2}"
exec -a "$0" DATAPLANE "$@"
'''
PUTS_RIGHT = '[ ! -e DUMP.whole ] || mv DUMP.whole DUMP; exec -a "$0" DATAPLANE "$@"\n'


class Gap(threading.Thread):
    """The longest time in which a client that tries again and again got no answer, in seconds."""

    def __init__(self):
        super().__init__()
        self.longest, self.over = 0.0, threading.Event()

    def run(self):
        last = time.monotonic()
        while not self.over.is_set():
            try:
                with socket.create_connection((ADDRESS, 6379), 0.02) as s:
                    s.settimeout(0.05)
                    while not self.over.is_set():
                        s.sendall(b"PING\r\n")
                        if s.recv(100) != b"+PONG\r\n":
                            break
                        now = time.monotonic()
                        self.longest, last = max(self.longest, now - last), now
            except OSError:
                pass

    def stop(self):
        self.over.set()
        self.join()
        return self.longest


def with_appliance(test, **directives):
    box = Appliance(**directives)
    try:
        return test(box)
    finally:
        box.remove()


def under_load(box):
    box.start()
    fill(client(box))
    writers = [Writer(box, i) for i in range(4)]
    for w in writers:
        w.start()
    package, notes = box.package("0.1.1"), []
    for what, way in (("there", lambda: box.install(package)), ("back", lambda: box.updates("remove"))):
        before, gap = [w.writes for w in writers], Gap()
        until(120, lambda: all(w.writes > n + 20 for w, n in zip(writers, before)), lambda: "writers to write")
        gap.start()
        code, text = way()
        notes.append(f"{what} {gap.stop() * 1000:.0f} ms")
        assert code == 0, text
        version = box.version()
        expected = ("an update", "0.1.1") if what == "there" else ("the box's own", "0.1.0")
        assert (version["dataplane_is"], version["dataplane_release"]) == expected, version
    finish(writers)
    keys = sum(w.check(client(box)) for w in writers)
    assert box.log().count(TOOK) == 2, box.log()[-2000:]
    return f"no answer for {' and '.join(notes)}; {keys} keys that were acknowledged meanwhile, none lost"


def falls_back(box, script, reason):
    """To the update before it, then, with none, to the box's own; keys stay in memory."""
    box.start()
    r = client(box)
    fill(r)
    before = digest(r)
    assert box.install(box.package("0.1.1"))[0] == 0, box.log()[-2000:]
    good = box.version()["dataplane_build"]
    code, text = box.install(box.package("0.1.2", script))
    assert code == 1 and reason in text, text
    assert box.version()["dataplane_build"] == good and reason in box.version()["update_fails"], box.version()
    assert digest(r) == before and box.log().count(TOOK) >= 2, box.log()[-3000:]
    until(SECONDS, lambda: reason in box.alarms(), lambda: "an alarm with the reason, not " + box.alarms())
    assert reason in box.log() and reason in box.sluice("audit", "show")[1]
    code, text = box.updates("remove")
    assert code == 0 and box.version()["dataplane_is"] == "the box's own", text
    code, text = box.install(box.package("0.1.2", script))
    assert code == 1 and box.version()["dataplane_is"] == "the box's own" and digest(r) == before, text


@in_the_middle_now_and_then
def crashes(box):
    """An update that serves and then ends by its own faults; control that is started again knows of it."""
    box.start()
    r = client(box)
    fill(r)
    before = digest(r)
    assert box.install(box.package("0.1.1"))[0] == 0, box.log()[-2000:]
    box.kill_control()
    box.start()
    assert box.version()["dataplane_is"] == "an update", box.version()
    for _ in range(3):  # how the first one ended this control does not know: it is not its parent
        end_dataplane(box, signal.SIGSEGV)
    assert box.version()["dataplane_is"] == "the box's own", (box.version(), box.log()[-2000:])
    assert "Segmentation fault" in box.version()["update_fails"] and digest(r) == before, box.log()[-3000:]
    box.kill_control()
    box.start()
    end_dataplane(box, signal.SIGKILL)
    until(SECONDS, lambda: box.version().get("layout_kept"), lambda: "the next one to say what it keeps")
    assert box.version()["dataplane_is"] == "the box's own", box.version()
    code, text = box.install(box.package("0.1.3"))
    assert code == 0 and box.version()["update_fails"] == "", (text, box.version(), box.log()[-2000:])


def poisoned(box):
    """What is in memory ends every program: it is dropped, and the update is none the worse for it."""
    own_program(box, POISONED)
    box.start()
    fill(client(box))
    code, text = box.install(box.package("0.1.1", POISONED))
    assert code == 0, (text, box.log()[-3000:])
    version, log = box.version(), box.log()
    assert version["dataplane_release"] == "0.1.1" and version["update_fails"] == "", version
    assert log.count("begins without what is in its memory") == 1 and log.count("is given up: ") == 1 and log.count(TOOK) == 0, log[-3000:]
    assert client(box).dbsize() == 0


def over_a_restart(box):
    """Of the machine: memory is empty, what is on the data partition is checked."""
    box.start()
    assert box.install(box.package("0.1.1"))[0] == 0, box.log()[-2000:]
    box.stop()
    shutil.rmtree(box.root / "run/sluice-dataplane")
    assert box.updates("start")[0] == 0
    box.start()
    assert box.version()["dataplane_release"] == "0.1.1", box.version()
    box.stop()
    with open(box.root / f"data/dataplane/a-{BASE}/current", "r+b") as f:
        f.seek(-100000, os.SEEK_END)
        f.write(b"damaged")
    code, text = box.updates("start")
    assert "is not used" in text, text
    box.start()
    assert box.version()["dataplane_is"] == "the box's own", box.version()
    assert "signature is wrong" in box.version()["update_fails"], box.version()
    until(SECONDS, lambda: "signature is wrong" in box.alarms(), lambda: "an alarm, not " + box.alarms())


def other_layout(box):
    box.start()
    r = client(box)
    fill(r)
    before = digest(r)
    assert box.sluice("config", "set", "workers", "3")[0] == 0  # it has one: waits for a restart
    code, text = box.install(box.package("0.1.1"))
    assert code == 1 and "workers is another one then" in text and box.version()["dataplane_is"] == "the box's own", text
    assert box.sluice("config", "set", "workers", "1")[0] == 0
    package = box.package("0.2.0", OTHER_LAYOUT)
    code, text = box.install(package)
    assert code == 1 and "another way" in text and "cold" in text and box.version()["dataplane_is"] == "the box's own", text
    away = box.data.with_name("away")
    box.data.rename(away)  # no snapshot comes about: all stays as it was, also for a crash later
    code, text = box.install(package, "cold")
    away.rename(box.data)
    assert code == 1 and "all is as it was before" in text and digest(r) == before, text
    assert not (box.root / "run/sluice-dataplane/current").is_symlink() and not list((box.root / "data/dataplane").glob("*/*")), text
    code, text = box.install(package, "cold")
    assert code == 0 and digest(r) == before, text
    assert "a snapshot first" in box.log(), box.log()[-2000:]


def own_program(box, script):
    box.program.unlink()
    box.program.write_text("#!/bin/bash\n" + script.replace("DATAPLANE", str(BUILD / "sluice-dataplane")))
    box.program.chmod(0o755)


def cannot_load(box):
    """An update that ends in load-failed is given up, if the box's own can load the data."""
    dump = str(box.dump)
    own_program(box, PUTS_RIGHT.replace("DUMP", dump))
    box.start()
    r = client(box)
    fill(r)
    before = digest(r)
    code, text = box.install(box.package("0.1.1", CANNOT_LOAD.replace("DUMP", dump)), "cold")
    assert code == 1 and "could not load the data" in text, (text, box.log()[-3000:])
    assert box.version()["dataplane_is"] == "the box's own" and digest(r) == before, (box.version(), box.log()[-3000:])
    box.stop()
    box.start()
    assert box.version()["dataplane_is"] == "the box's own" and "could not load the data" in box.version()["update_fails"], box.version()


def none_can_load(box):
    """That is the data's fault: the box's own waits for the operator, the next restart tries the update again."""
    box.start()
    fill(client(box))
    assert box.install(box.package("0.1.1"))[0] == 0, box.log()[-2000:]
    box.stop()
    with open(box.dump, "r+b") as f:
        f.truncate(200)
    box.start_control()

    def own_gives_up():  # both of one answer: the update's word stands until its end
        dataplane = box.status().get("dataplane", {})
        return dataplane.get("state") == "load-failed" and dataplane["program"] == str(box.program)

    until(SECONDS, own_gives_up, lambda: "the box's own to give up the data\n" + box.log()[-3000:])
    code, text = box.sluice("snapshot", "abandon")
    box.wait("serving", SECONDS)
    assert code == 0 and "nor can the box's own load the data" in box.version()["update_fails"], (text, box.version())
    assert box.sluice("restart", "dataplane")[0] == 0
    until(SECONDS, lambda: box.state() == "serving" and box.version().get("dataplane_is") == "an update", lambda: "the update\n" + box.log()[-3000:])
    assert box.version()["update_fails"] == "", box.version()


def confined(box):
    """Control as a user of its own: its starter, which kept root, looks for the program."""
    for path in [box.folder, *box.folder.iterdir()]:
        if path != box.root:
            shutil.chown(path, "nobody", "nogroup")
    box.folder.chmod(0o755)
    box.start()
    r = client(box)
    fill(r)
    before = digest(r)
    code, text = box.install(box.package("0.1.1"))
    assert code == 0 and box.version()["dataplane_is"] == "an update" and digest(r) == before, (text, box.log()[-2000:])
    program = pathlib.Path(box.version()["dataplane_program"])
    program.chmod(0o777)  # somebody else could have written it: not started
    code, text = box.sluice("restart", "dataplane")
    until(SECONDS, lambda: box.version().get("dataplane_is") == "the box's own" and box.state() == "serving", lambda: "the box's own")
    assert digest(r) == before


def main():
    tap, only = Tap(), sys.argv[1:]

    def run(name, test, **directives):
        if not only or only[0] in name:
            tap.run(name, lambda: with_appliance(test, **directives))
    run("an update under load, and back, is warm: nothing that was acknowledged is lost", under_load, workers=2)
    run("one that does not start: back to the one before by itself, with its keys", lambda b: falls_back(b, BROKEN, "broken on purpose"))
    run("one that crashes again and again: back by itself, with its keys", crashes)
    run("memory that every program crashes with is dropped", poisoned)
    run("the machine's restart: checked, started; a damaged one is not", over_a_restart)
    run("another layout: only if that is said", other_layout, save="3600 1000000")
    run("one that cannot load the data: back by itself, with its keys", cannot_load, save="3600 1000000")
    run("data that nobody can load is not its fault", none_can_load, save="3600 1000000")
    run("control without root", confined, control_user="nobody")
    if os.environ.get("UPDATE_HANGS"):
        run("one that hangs: back by itself within some minutes", lambda b: falls_back(b, HANGS, "did not serve in time"))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
