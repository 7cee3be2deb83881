"""cuts.py: power cuts: the disk as it was at random moments of one install, each of them booted, by either line of steps.

The bundle goes to the slot that does not run: whenever the power fails, from its first byte until it is installed, the one that runs starts
again, or the new one, whole. A layer of the disk is what a power cut leaves: all that was written until then."""
import json
import os
import random
import re
import shutil
import subprocess
import time

from claims import claim
from machine import START
from tap import tap

MOMENTS = 10  # that an install has at least, on a machine where freezing a disk takes long
KEPT = "over a restart"  # the value of the key that the first start has saved
MB = 1 << 20
OF_THE_SLOT = ((0, MB), (65 * MB, (65 + 64 + 512) * MB))  # table of partitions, slot A (images/build): what runs reads it, and an install leaves it alone
ok = tap.ok


def freeze_while_installing(run, m):
    """[(seconds since the install began, what it had said, layer of the disk)]; seconds that the install took; its exit code."""
    layers, dice = [], random.Random()
    below = f"{m.folder}/disk"
    with open(f"{run.work}/next.raucb", "rb") as f, open(f"{m.folder}/install.log", "wb") as log:
        going = subprocess.Popen(m.ssh_words("upgrade install -"), stdin=f, stdout=log, stderr=subprocess.STDOUT)
        begin = time.monotonic()
        took = None
        try:
            while took is None or time.monotonic() - begin < took + 2:
                # The moment is what is drawn here, and not a condition; more and more apart, as each layer makes the disk slower.
                time.sleep(dice.uniform(0.05, 0.8 + (time.monotonic() - begin) / 12))
                if took is None and going.poll() is not None:
                    took = time.monotonic() - begin
                above = f"{m.folder}/layer{len(layers)}"
                at = time.monotonic() - begin
                m.freeze(above)
                with open(f"{m.folder}/install.log", errors="replace") as said:
                    layers.append((at, (said.read().strip().splitlines() or ["nothing"])[-1], below))
                below = above
                if at > START:
                    break
        finally:
            going.kill()
            going.wait()
    return layers, took, going.returncode


def install_once(run, m):
    """Layers to be booted, `run.cuts` of them, drawn; None: something went wrong, and was told."""
    run.wait_for(f"{run.work}/next.raucb")
    m.go_on(run.served)
    if not ok(m.wait_pong(START) and m.wait_ssh(), "the box goes on where the first start has ended"):
        return None
    layers, took, code = freeze_while_installing(run, m)
    m.cut_power()
    for _, _, path in layers:
        shutil.copy(f"{run.served}.password", f"{path}.password")
        shutil.copy(f"{run.served}.vars", f"{path}.vars")
    if not ok(took is not None and code == 0 and len(layers) >= min(run.cuts, MOMENTS), f"an install with {len(layers)} moments at which power may fail"):
        return None
    print(f"# an install took {took:.0f} s; power cut at, what it had said, then: slot, seconds to the first PONG")
    return sorted(random.sample(layers, min(run.cuts, len(layers))))


def early_state(run):
    return f"{run.served}.early"


def make_early(run, m):
    """The machine that most of the power cuts go on from (images/README.md), once for a content of the image; without it they are booted whole."""
    folder = m.folder
    m.folder = f"{folder}/early"
    os.makedirs(m.folder, exist_ok=True)
    try:
        if not os.path.exists(early_state(run)) and not m.save_early(run.served, early_state(run)):
            print("# no machine could be saved when systemd began: all power cuts are booted whole")
    except (OSError, RuntimeError, subprocess.SubprocessError) as e:
        print(f"# no machine is saved when systemd begins: all power cuts are booted whole: {e!r}")
    finally:
        m.cut_power()
        m.folder = folder


def left_alone(layer):
    """Has nothing been written, since the first start, to what a box in slot A reads until systemd begins?"""
    extents = json.loads(subprocess.check_output(["qemu-img", "map", "-U", "--output=json", layer]))
    below = max(extent["depth"] for extent in extents)
    return below > 0 and not any(extent["depth"] < below and extent["start"] < end and extent["start"] + extent["length"] > begin
                                 for extent in extents for begin, end in OF_THE_SLOT)


def cuts(run, m):
    """The install, and as many of its power cuts as the other line leaves."""
    claim(run.claims, "install")
    told = f"{run.claims}/layers"
    for name in os.listdir(m.folder):
        if name.startswith("layer"):
            os.remove(f"{m.folder}/{name}")
    try:
        drawn = install_once(run, m)
        if drawn:
            make_early(run, m)
    except BaseException:
        drawn = None
        raise
    finally:  # the other line waits for it
        with open(f"{told}.new", "w") as f:
            json.dump(drawn or [], f)
        os.rename(f"{told}.new", told)
    if drawn:
        boot_all(run, m, drawn)


def more_cuts(run, m):
    """Those that the other line leaves."""
    told = f"{run.claims}/layers"
    if claim(run.claims, "install"):
        cuts(run, m)
    elif m.wait(lambda: os.path.exists(told), START):
        with open(told) as f:
            boot_all(run, m, json.load(f))
    else:
        ok(False, "the other line makes an install")


def boot_all(run, m, drawn):
    m.folder = f"{m.folder}/again"
    os.makedirs(m.folder, exist_ok=True)
    count = good = 0
    for number, (at, said, path) in enumerate(drawn):
        if claim(run.claims, f"cut{number}"):
            count += 1
            # The first one is booted whole, whatever there is.
            booted = boots_after_cut(m, at, said, path, early_state(run) if number and os.path.exists(early_state(run)) else None)
            good += booted
            with open(f"{run.claims}/booted{number}", "w") as f: # for all_cuts
                f.write("good" if booted else "bad")
    if not drawn:
        ok(False, "the install whose power cuts are to be booted")
    elif not count:
        ok(True, "power cuts # SKIP the other line has booted them all")
    else:
        ok(good == count, f"{count} power cuts at random moments of an install: the box serves, with its keys", f"{good} did")


def all_cuts(run):
    """When both lines have ended: was each cut that was drawn booted? A line that dies would take some along."""
    told = f"{run.claims}/layers"
    drawn, results = [], []
    if os.path.exists(told):
        with open(told) as f:
            drawn = json.load(f)
    for number in range(len(drawn)):
        path = f"{run.claims}/booted{number}"
        result = "not booted"
        if os.path.exists(path):
            with open(path) as f:
                result = f.read()
        results.append(result)
    if not ok(results and all(result == "good" for result in results), f"each of the {len(drawn)} power cuts that were drawn was booted, and is good",
              ", ".join(f"{number}: {result}" for number, result in enumerate(results))):
        run.forget("cuts", "more-cuts")


def boots_after_cut(m, at, said, path, early=None):
    """Firmware and boot loader read the disk as the cut has left it. If they choose slot A, what they load has not changed, nor has anybody read
    what has until systemd begins: the box may go on from there."""
    begin = time.monotonic()
    m.start_over(path)
    if early and left_alone(path):
        chosen = m.wait_console(r"Sluice: slot ([AB])", START)
        if chosen and chosen.group(1) == "A":
            m.skip_to(early)
    pong = m.wait_pong(START)
    seconds = time.monotonic() - begin
    slots = re.findall(r"Sluice: slot ([AB])", m.console())  # the boot loader's word
    good = pong and slots and m.redis("get", "kept") == KEPT
    if slots and slots[-1] == "B":
        m.wait_ssh()
        good = good and "slot B, version 0.1.1" in m.ssh("upgrade status")[1]
    print(f"# {at:5.1f} s  {said[:60]:60}  slot {slots[-1] if slots else 'NONE'}  {seconds:.0f} s{'' if good else '  BAD'}")
    if not good:
        print("# " + m.console()[-1500:].replace("\n", "\n# "))
    m.cut_power()
    return bool(good)
