#!/usr/bin/env python3
"""lanes.py: tests/image/image.py without a machine: its two lines of steps, of which each step is run once, and what --resume leaves out. The
steps are of this test: each notes that it was run, and fails or ends its process where the test wants it. Prints TAP."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
STEPS = """import os
import time
from tap import tap

START = 60
SERVES = "serves"
WORK = os.path.dirname(os.path.abspath(__file__))


def note(name):
    with open(f"{WORK}/ran", "a") as f:
        f.write(f"{name}\\n")


def ran():
    with open(f"{WORK}/ran") as f:
        return f.read().split()


def wait(condition):
    end = time.monotonic() + 300
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def step(name):
    def run_step(run, machine=None):
        note(name)
        if name == "start":
            for end in ("", ".vars", ".password"):
                open(run.served + end, "w").close()
        if name == "first-own":  # the lines run beside each other: this one ends when the other has done all of its own
            tap.ok(wait(lambda: "last-shared" in ran()), "first-own: the other line goes on")
        if name == "one-shared" and os.path.exists(f"{WORK}/ends-first-own"):  # which is to be the other line's
            tap.ok(wait(lambda: "first-own" in ran()), "one-shared: the other line has begun")
        if os.path.exists(f"{WORK}/ends-{name}"):
            os._exit(3)
        if os.path.exists(f"{WORK}/raises-{name}"):
            raise RuntimeError("as the test wants it")
        tap.ok(not os.path.exists(f"{WORK}/fails-{name}"), name)
    return run_step


STEPS = {name: (step(name), kind) for name, kind in (
    ("build", "build"), ("start", "first"), ("one-shared", "shared"), ("last-shared", "shared"),
    ("beside", "beside"), ("alone", "alone"), ("first-own", "own"), ("second-own", "own"), ("last", "last"))}
"""
MACHINE = """import os

START = 600


class Machine:
    def __init__(self, folder, image):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def alive(self):
        return False

    def go_on(self, disk, plain):
        open(disk).close()

    def wait_ssh(self):
        return True

    close = wait_ssh

    def console(self):
        return ""
"""
ALL = ["build", "start", "one-shared", "last-shared", "beside", "alone", "first-own", "second-own", "last"]


class Place:
    """A folder with image.py, those steps, and what a build would have left."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="lanes-")
        self.work = f"{self.folder}/work"
        os.mkdir(self.work)
        for name in ("image.py", "tap.py", "claims.py", "cuts.py"):
            shutil.copy(f"{TOP}/tests/image/{name}", self.folder)
        for name, text in (("steps.py", STEPS), ("machine.py", MACHINE), ("work/root.img", "root"), ("work/boot.img", "boot"), ("ran", "")):
            self.put(name, text)

    def put(self, name, text=""):
        with open(f"{self.folder}/{name}", "w") as f:
            f.write(text)

    def run(self, *words):
        """(exit code, what it said, steps that were run, sorted as in ALL)"""
        self.put("ran")
        done = subprocess.run([sys.executable, f"{self.folder}/image.py", "--work", self.work, *words], cwd=TOP, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=600, text=True)
        with open(f"{self.folder}/ran") as f:
            ran = f.read().split()
        return done.returncode, done.stdout, sorted(ran, key=ALL.index)

    def close(self):
        shutil.rmtree(self.folder)


def well_formed(text):
    """TAP: numbered from one, with the plan that it has."""
    numbers = [int(n) for n in re.findall(r"^(?:not )?ok (\d+) - ", text, re.M)]
    return numbers == list(range(1, len(numbers) + 1)) and re.findall(r"^1\.\.(\d+)$", text, re.M) == [str(len(numbers))]


def each_step_once(place):
    code, text, ran = place.run()
    return code == 0 and ran == ALL and well_formed(text) and "not ok" not in text, text


def steps_that_failed_again(place):
    """A step of each line fails, and one that raises: the others are run all the same; --resume runs those and no others."""
    place.put("fails-second-own"), place.put("raises-one-shared")
    code, text, ran = place.run()
    if code != 1 or ran != ALL or text.count("not ok") != 2 or not well_formed(text):
        return False, text
    os.remove(f"{place.folder}/fails-second-own"), os.remove(f"{place.folder}/raises-one-shared")
    code, text, ran = place.run("--resume")
    return code == 0 and ran == ["build", "one-shared", "second-own"] and well_formed(text), text


def nothing_left(place):
    place.run()
    code, text, ran = place.run("--resume")
    return code == 0 and ran == ["build"] and well_formed(text), text


def another_image(place):
    """What has passed has passed with that image."""
    place.run()
    place.put("work/root.img", "another")
    code, text, ran = place.run("--resume")
    return code == 0 and ran == ALL, text


def no_start(place):
    place.put("raises-start")
    code, text, ran = place.run()
    others = set(ran) - {"build", "start", "beside", "alone"}  # these need none, and are begun beside it
    return code == 1 and not others and well_formed(text), text


def line_that_ends(place):
    """The one that has no shared machine: the other does what is left."""
    place.put("ends-first-own")
    code, text, ran = place.run()
    return code == 1 and ran == ALL and re.search("^not ok .* the steps beside these end as they should", text, re.M) and well_formed(text), text


CUTS = """import sys
from cuts import all_cuts


class Run:
    claims = sys.argv[1]

    def forget(self, *names):
        print("# again:", *names)


all_cuts(Run())"""


def cuts_are_counted(place):
    """As two lines leave it: which of the drawn ones each has booted."""
    def told():
        done = subprocess.run([sys.executable, f"{place.folder}/count.py", place.work], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, text=True)
        return done.stdout
    place.put("count.py", CUTS)
    said = [told()]  # nothing was drawn
    place.put("work/layers", "[[0.1, \"a\", \"b\"], [0.2, \"a\", \"b\"]]")
    place.put("work/booted0", "good")
    said.append(told())
    place.put("work/booted1", "bad")
    said.append(told())
    bad = all(text.startswith("not ok") and "# again: cuts more-cuts" in text for text in said) and "1: not booted" in said[1] and "1: bad" in said[2]
    place.put("work/booted1", "good")
    said.append(told())
    return bad and said[3].startswith("ok 1 - each of the 2 "), "".join(said)


def some(place):
    code, text, ran = place.run("--no-build", "alone")
    if code != 0 or ran != ["alone"]:
        return False, text
    code, text, ran = place.run("--no-build", "one-shared")
    return code == 0 and ran == ["start", "one-shared"] and well_formed(text), text


TESTS = (("every step is run once, in two lines", each_step_once), ("--resume: what has failed, in either line", steps_that_failed_again),
         ("--resume: nothing is left", nothing_left), ("--resume: not with another image", another_image), ("without a start no step is begun that needs its disk", no_start),
         ("a line that ends in its middle is told", line_that_ends), ("each power cut that was drawn is to be booted", cuts_are_counted), ("a step alone: with the start if it needs one", some))


def main():
    bad = 0
    print(f"1..{len(TESTS)}")
    for number, (name, test) in enumerate(TESTS, 1):
        place = Place()
        try:
            good, text = test(place)
        except subprocess.TimeoutExpired as e:
            good, text = False, repr(e)
        finally:
            place.close()
        bad += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
        if not good:
            print("# " + text.strip().replace("\n", "\n# "))
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
