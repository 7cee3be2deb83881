#!/usr/bin/env python3
"""image.py: builds the image, twice, and boots it: plan, hugepages, SSH, data port from outside, configuration and its revisions, restart,
updates good and bad, power cut while one is installed, factory reset. TAP. Most of it is waiting for emulated machines."""
import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import Machine  # noqa: E402

START = 900  # seconds that a start may take on a machine that does other things, too
SERVES = r"serves after ([\d.]+) s, slot "

count = bad = 0


def ok(good, name, detail=""):
    global count, bad
    count += 1
    bad += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}")
    if not good:
        for line in str(detail).splitlines()[-20:]:
            print(f"# {line}")
    sys.stdout.flush()
    return good


def build(*words):
    done = subprocess.run(["images/build", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print("# " + done.stdout.decode().strip().replace("\n", "\n# "))
    return done.returncode == 0


def sums(folder):
    result = {}
    for name in ("sluice.img", "root.img", "boot.img", "sluice.spdx.json"):
        with open(f"{folder}/{name}", "rb") as f:
            result[name] = hashlib.file_digest(f, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else \
                hashlib.sha256(f.read()).hexdigest()
    return result


def test_build(work):
    if not ok(build("--output", work), "the image is built"):
        return False
    first = sums(work)
    build("--output", f"{work}/again", "--fresh-slot")
    ok(sums(f"{work}/again") == first, "a second build is the same to the bit", sums(f"{work}/again"))
    with open(f"{work}/sluice.spdx.json") as f:
        listing = json.load(f)
    names = {p["name"] for p in listing["packages"]}
    ok({"systemd", "openssh-server", "sluice"} <= names, "SBOM: packages")
    ok(any(f["fileName"].endswith("/sluice-dataplane") for f in listing["files"]), "SBOM: our programs")
    return True


def test_start(m):
    begin = time.monotonic()
    m.configure()
    m.start("--fresh")
    ok(m.wait_console(r"user admin, password \w{16}", START), "first start: a password on the console", m.console())
    if not ok(m.wait_pong(START), "first start: serves, after one restart for the kernel's command line", m.console()):
        return False
    print(f"# power on to first PONG: {time.monotonic() - begin:.0f} s, with that restart")
    found = m.wait_console(SERVES + "a", START)
    ok(found, "the slot is marked good", m.console())
    print(f"# marked good {found.group(1) if found else '?'} s after the kernel's start")
    return True


def test_plan(m):
    code, text = m.ssh("board verify")
    ok(code == 0 and "BAD" not in text, "board verify over SSH: all as planned", text)
    ok("worker 0: core 3, node 1" in text or "worker 0: core 2, node 1" in text, "the worker is on the NIC's node", text)
    code, text = m.ssh("show topology | json")
    nodes = json.loads(text)["nodes"] if code == 0 else []
    ok(len(nodes) == 2 and nodes[1]["hugepages"] >= 128, "two nodes; hugepages where the NIC is", text)
    code, _ = m.ssh("/bin/sh -c id")
    ok(code != 0, "no shell over SSH")


def test_data_port(m):
    ok(m.redis("set", "kept", "over a restart") == "OK", "redis-cli: SET")
    done = m.inside("redis-benchmark", "-h", m.box, "-t", "set,get", "-n", "2000", "-c", "20", "-q", check=False, stdout=subprocess.PIPE)
    ok(done.returncode == 0 and b"requests per second" in done.stdout, "redis-benchmark", done.stdout)
    code = f"import redis\nr = redis.Redis('{m.box}')\nr.hset('h', mapping={{'a': 1}})\nassert r.hgetall('h') == {{b'a': b'1'}}"
    ok(m.inside("/usr/bin/python3", "-c", code, check=False).returncode == 0, "redis-py")


def value(m, name):
    return m.redis("config", "get", name).splitlines()[-1:]


def test_configuration(m):
    code, text = m.configure_box("set maxmemory-policy allkeys-lru", 'commit comment "from outside"')
    ok(code == 0 and value(m, "maxmemory-policy") == ["allkeys-lru"], "a commit over SSH runs", text)
    code, text = m.configure_box("set maxmemory-policy allkeys-lfu", "set maxclients 0", "commit")
    ok(code == 1 and value(m, "maxmemory-policy") == ["allkeys-lru"], "one with an error changes nothing", text)
    code, text = m.configure_box("set maxmemory-policy allkeys-random", "commit")
    changed = value(m, "maxmemory-policy")
    code, text = m.configure_box("rollback 1", 'commit comment "as before"')
    ok(code == 0 and changed == ["allkeys-random"] and value(m, "maxmemory-policy") == ["allkeys-lru"], "rollback 1", (changed, text))
    code, text = m.configure_box("set slowlog-max-len 77", "commit confirmed 1", "run show config slowlog-max-len")
    ok(code == 0 and re.search(r"slowlog-max-len\s+77", text), "a commit that must be confirmed runs", text)


def test_not_confirmed(m):
    ok(m.wait(lambda: value(m, "slowlog-max-len") == ["128"], 300), "the commit that nobody confirmed is taken back", value(m, "slowlog-max-len"))


def test_restart(m):
    said = len(m.console())
    m.ssh("system reboot")
    ok(m.wait_console(SERVES + "a", START, said), "system reboot restarts", m.console()[said:])
    ok(m.wait_pong(START) and m.redis("get", "kept") == "over a restart", "a restart keeps keys", m.console()[said:])
    ok("user admin, password" not in m.console()[said:] and m.ssh("show version")[0] == 0, "the password")
    code, text = m.ssh("show history")
    ok(value(m, "maxmemory-policy") == ["allkeys-lru"] and ": as before" in text and ": from outside" in text, "configuration and its history", text)


def install(m, path):
    with open(path, "rb") as f:
        return m.ssh("upgrade install -", timeout=900, stdin=f)


def test_refusals(m, work, bundle):
    wrong = f"{work}/wrong-key"
    os.makedirs(wrong, exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=somebody else", "-keyout",
                    f"{wrong}/key.pem", "-out", f"{wrong}/certificate.pem"], check=True, stderr=subprocess.DEVNULL)
    parts = f"{work}/small"  # they are refused by what they are signed with, and by their manifest
    os.makedirs(parts, exist_ok=True)
    shutil.copy(f"{work}/next/release", parts)
    for name in ("root.img", "boot.img"):
        with open(f"{parts}/{name}", "wb") as f:
            f.write(bytes(1 << 20))
    for name, words, reason in (("signature", ["--signing", wrong], "signature verification failed"),
                                ("board", ["--compatible", "another-box"], "Compatible mismatch")):
        path = f"{work}/wrong-{name}.raucb"
        subprocess.run(["images/bundle", "--parts", parts, "--output", path, *words], check=True, stdout=subprocess.DEVNULL)
        code, text = install(m, path)
        ok(code == 1 and reason in text, f"a bundle of a wrong {name} is refused, with the reason", text)
    path = f"{work}/cut.raucb"
    with open(bundle, "rb") as f, open(path, "wb") as to:
        to.write(f.read(8 << 20))
    code, text = install(m, path)
    ok(code == 1, "a bundle that is cut off is refused", text)
    print("# " + "\n# ".join(text.strip().splitlines()[-2:]))
    code, text = m.ssh("upgrade rollback")
    ok(code == 1 and "nothing that has served" in text, "there is nothing to go back to, yet", text)


def restart_into(m, slot):
    said = len(m.console())
    m.ssh("system reboot")
    return ok(m.wait_console(SERVES + slot, START, said), f"it starts from slot {slot.upper()}", m.console()[said:])


def bundles(work):
    """Of the next version, and of one whose dataplane cannot start."""
    for name, words in (("next", ("--version", "0.1.1")), ("broken", ("--version", "0.1.2", "--break-dataplane"))):
        build("--output", f"{work}/{name}", *words)
        subprocess.run(["images/bundle", "--parts", f"{work}/{name}", "--output", f"{work}/{name}.raucb"], check=True, stdout=subprocess.DEVNULL)


def test_upgrade(m, work):
    """How long an install takes, in seconds."""
    begin = time.monotonic()
    code, text = install(m, f"{work}/next.raucb")
    took = time.monotonic() - begin
    if not ok(code == 0, "a good bundle is installed", text):
        return took
    print(f"# in {took:.0f} s")
    restart_into(m, "b")
    code, text = m.ssh("upgrade status")
    ok("slot B, version 0.1.1" in text, "and says so", text)
    ok(m.wait_pong(START) and m.redis("get", "kept") == "over a restart", "the keys are there")
    code, text = m.ssh("upgrade rollback")
    ok(code == 0, "upgrade rollback", text)
    restart_into(m, "a")
    return took


def test_fall_back(m, work, slot="a"):
    code, text = install(m, f"{work}/broken.raucb")
    ok(code == 0, "a bundle whose dataplane cannot start is installed", text)
    said = len(m.console())
    m.ssh("system reboot")
    ok(m.wait_console(r"back to the other slot", START, said), "it is found not to serve", m.console()[said:])
    ok(m.wait_console(SERVES + slot, START, said), "the box is back in the slot before", m.console()[said:])
    ok(m.wait_pong(START) and m.redis("get", "kept") == "over a restart", "with its keys")
    code, text = m.ssh("upgrade rollback")
    ok(code == 1, "and does not go back to the other by request", text)


def test_power_cut(m, work, times, took):
    """The bundle goes to the slot that does not run: whenever the power fails, from its first byte until it is installed, the one that
    runs starts again, or the new one, whole."""
    m.cut_power()
    for n in range(times):
        m.start(medium=False)
        if not ok(m.wait_console(SERVES, START), f"before power cut {n + 1}: the box starts", m.console()):
            return
        m.wait(lambda: m.ssh("show version")[0] == 0, START)
        with open(f"{work}/next.raucb", "rb") as f, open(f"{m.folder}/install.log", "wb") as log:
            going = subprocess.Popen(m.ssh_words("upgrade install -"), stdin=f, stdout=log, stderr=log)
            try:
                going.wait(took * (n + 0.5) / times)
            except subprocess.TimeoutExpired:
                pass
            m.cut_power()
            going.wait()
        with open(f"{m.folder}/install.log") as f:
            print("# power cut when it had said: " + (f.read().strip().splitlines() or ["nothing"])[-1])
    m.lose_variables()
    begin = time.monotonic()
    m.start(medium=False)
    good = m.wait_pong(START)
    print(f"# power on to first PONG: {time.monotonic() - begin:.0f} s")
    ok(good and m.redis("get", "kept") == "over a restart",
       f"after {times} power cuts, the boot loader's variables lost while they were written: it serves, with its keys", m.console())
    ok(m.wait_console(SERVES, START), "and is marked good", m.console())
    code, text = install(m, f"{work}/next.raucb")
    ok(code == 0, "and takes the bundle", text)


def test_factory_reset(m):
    ok(m.ssh("factory-reset keep-network --confirm somebody")[0] == 1, "a factory reset wants the box's name")
    old, said = m.password, len(m.console())
    code, text = m.ssh("factory-reset keep-network --confirm sluice")
    ok(code == 0, "factory-reset", text)
    found = m.wait_console(r"user admin, password (\w{16})", START, said)
    if not ok(found and found.group(1) != old, "it is a first start, with another password", m.console()[said:]):
        return
    ok(m.wait_console(SERVES, START, said), "the box serves", m.console()[said:])
    ok(m.wait(lambda: "DENIED" in m.redis("ping"), 60), "where it did, as one without a password", m.redis("ping"))
    ok(m.ssh("show version")[0] != 0, "the old password is none any more")
    m.password = found.group(1)
    code, text = m.ssh("show history")
    ok(code == 0 and "from outside" not in text, "nothing is left of the configuration's history", text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", default="build-image")
    parser.add_argument("--cuts", type=int, default=3, help="power cuts during an install (20 take an hour)")
    parser.add_argument("--quick", action="store_true", help="build, start, plan, data port, restart only")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the machine ends, too
    if not test_build(options.work):
        print("1..1")
        return 1
    m = Machine(f"{options.work}/test", f"{options.work}/sluice.img")
    try:
        if test_start(m):
            test_plan(m)
            test_configuration(m)
            test_data_port(m)
            test_not_confirmed(m)
            test_restart(m)
            if not options.quick:
                bundles(options.work)
                test_refusals(m, options.work, f"{options.work}/next.raucb")
                took = test_upgrade(m, options.work)
                test_fall_back(m, options.work)
                test_power_cut(m, options.work, options.cuts, took)
                test_factory_reset(m)
    finally:
        m.close()
        print(f"1..{count}")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
