#!/usr/bin/env python3
"""image.py: builds the image and boots it: the steps of steps.py in their order, two machines beside each other. TAP.

A step alone begins where the first start has left the box: that disk is kept, by the content of the image. What a step saw on the console is in
WORK/logs/STEP.console, what it did not like in its TAP lines."""
import argparse
import glob
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import steps  # noqa: E402
from claims import claim  # noqa: E402
from machine import START, Machine  # noqa: E402
from tap import tap  # noqa: E402


class Run:
    """One line of steps, one after the other, on at most one machine that they share."""

    def __init__(self, options, key):
        self.options, self.work, self.key = options, options.work, key
        self.cuts, self.claims = options.cuts, options.claims or f"{self.work}/claims-alone"
        self.box = None
        self.served = f"{self.work}/served-{key}"

    def machine(self, name):
        return Machine(f"{self.work}/{name}", f"{self.work}/sluice.img")

    def shared(self):
        """The machine of the steps that go on where others have ended; alone, a step goes on behind the first start."""
        if not self.box:
            self.box = self.machine("box")
        if not self.box.alive():
            self.box.go_on(self.served, plain=True)
            self.box.wait_ssh()
        return self.box

    def close(self):
        if self.box:
            self.box.close()

    def step(self, name):
        function, kind = steps.STEPS[name]
        begin, before = time.monotonic(), tap.bad
        print(f"# == {name}")
        machine, said = None, 0
        try:
            if kind == "shared":
                machine = self.shared()
                said = len(machine.console())
                function(self, machine)
            elif kind == "first":
                self.box = machine = self.box or self.machine("box")
                function(self, machine)
            elif kind in ("own", "alone"):
                machine = self.machine(name)
                try:
                    function(self, machine)
                finally:
                    machine.close()
            else:
                function(self)
        except Exception as e: # whatever it is, the other steps are to come
            tap.ok(False, f"{name}: goes to its end", repr(e))
        if machine:
            with open(f"{self.work}/logs/{name}.console", "w") as f:
                f.write(machine.console()[said:])
        good = tap.bad == before
        print(f"# {name}: {'passed' if good else 'FAILED'} in {time.monotonic() - begin:.0f} s")
        sys.stdout.flush()
        self.note(name, good, time.monotonic() - begin)
        return good

    def wait_for(self, path):
        """A file that the other line makes, whole or not at all; how long it may take is what a start may."""
        end = time.monotonic() + START
        while not os.path.exists(path):
            if os.path.exists(f"{path}.failed") or time.monotonic() >= end:
                raise RuntimeError(f"nobody makes {path}")
            time.sleep(0.2)

    def forget(self, *names):
        """Of what --resume leaves out."""
        for name in names:
            if self.passed(name):
                os.remove(f"{self.work}/passed-{self.key}/{name}")

    def note(self, name, good, seconds):
        """For --resume: what has passed with this image."""
        if not self.key:
            return
        os.makedirs(f"{self.work}/passed-{self.key}", exist_ok=True)
        path = f"{self.work}/passed-{self.key}/{name}"
        if good:
            with open(path, "w") as f:
                json.dump({"seconds": round(seconds)}, f)
        else:
            self.forget(name)

    def passed(self, name):
        return os.path.exists(f"{self.work}/passed-{self.key}/{name}")


def digest(paths):
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as f:
            while block := f.read(1 << 20):
                total.update(block)
    return total.hexdigest()[:16]


def key_of(work):
    """What a served disk depends on: the image, how it is started, and with what configuration."""
    qemu = shutil.which("qemu-system-x86_64")
    emulator = [qemu, "/usr/share/OVMF/OVMF_CODE.fd"] if qemu else []  # a machine's state is for one QEMU
    return digest([f"{work}/root.img", f"{work}/boot.img", "images/run", f"{HERE}/machine.py", *emulator])


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)


def beside(options, names, claims):
    """Those steps, as far as nobody has claimed them, in a process of their own; its lines are told when it ends."""
    log = open(f"{options.work}/logs/beside.tap", "w")
    return subprocess.Popen([sys.executable, "-u", os.path.abspath(__file__), "--work", options.work, "--programs", options.programs, "--cuts",
                             str(options.cuts), "--no-build", "--claims", claims, *names], stdout=log, stdin=subprocess.DEVNULL)


def collect(options, process):
    process.wait()
    with open(f"{options.work}/logs/beside.tap") as f:
        tap.adopt(f.read(), process.returncode)


def whole(run):
    """All steps, in two lines: the first start and the shared machine's, and those that need no machine or have their own, of which either line
    takes the next when it has nothing else to do. What a line needs and the other one makes (the disk that the first start has left, the
    bundles), it waits for."""
    todo = [name for name, (_, kind) in steps.STEPS.items() if kind != "build"]
    if run.options.resume:
        todo = [name for name in todo if not run.passed(name)]
    here, there, last = ([name for name in todo if steps.STEPS[name][1] in kinds] for kinds in (("first", "shared"), ("own", "alone", "beside"), ("last",)))
    if "start" not in here and not os.path.exists(run.served):
        here = ["start", *here]
    if "start" in here and os.path.exists(run.served):
        os.remove(run.served)
        for path in glob.glob(f"{run.served}.early"):  # which goes on with the disk before
            os.remove(path)
    if "bundles" in there:
        for path in glob.glob(f"{run.work}/*.raucb") + glob.glob(f"{run.work}/*.failed"):
            os.remove(path)
    other = None
    try:
        claims = run.claims = f"{run.work}/claims"
        fresh(claims)
        if there:
            other = beside(run.options, there, claims)
        for name in here:
            if not run.step(name) and name == "start":
                return
        run.close()
        run.box = None
        for name in there[1:]: # the first is the other line's, which may not have come as far as to claim it
            if claim(claims, name):
                run.step(name)
        if other:
            collect(run.options, other)
            other = None
        for name in last:
            run.step(name)
    finally:
        if other:
            other.terminate()
            other.wait()


def begins(run, name):
    """Is there what the step begins with? One of two lines waits for the other's; a step alone makes it."""
    if steps.STEPS[name][1] not in ("shared", "own"):
        return True
    if run.options.claims:
        run.wait_for(run.served)
    return os.path.exists(run.served) or run.step("start")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", default="build-image")
    parser.add_argument("--programs", default="build-release", help="build folder of the three programs")
    parser.add_argument("--cuts", type=int, default=20, help="power cuts during an install")
    parser.add_argument("--resume", action="store_true", help="leave out what has passed with this image")
    parser.add_argument("--no-build", action="store_true", help="the image and its bundles are there")
    parser.add_argument("--claims", help="leave out what is claimed in this folder, and claim what is begun")
    parser.add_argument("step", nargs="*", help=f"only these, of: {' '.join(steps.STEPS)}")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the machines end, too
    for name in options.step:
        if name not in steps.STEPS:
            parser.error(f"no step {name}")
    os.makedirs(f"{options.work}/logs", exist_ok=True)
    begin = time.monotonic()
    run = Run(options, "")
    if not options.claims:
        fresh(run.claims)
    try:
        if options.no_build or run.step("build"):
            run.key = key_of(options.work)
            run.served = f"{options.work}/served-{run.key}"
            if not options.step:
                whole(run)
            elif not options.no_build and "bundles" not in options.step:
                run.step("bundles")
            for name in options.step:
                if options.claims and not claim(options.claims, name):
                    continue
                if not begins(run, name):
                    break
                if name != "build":
                    run.step(name)
    finally:
        run.close()
        print(f"# the whole: {time.monotonic() - begin:.0f} s")
        tap.plan()
    return tap.bad != 0


if __name__ == "__main__":
    sys.exit(main())
