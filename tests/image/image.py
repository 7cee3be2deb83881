#!/usr/bin/env python3
"""image.py: builds the image, twice, and boots it: plan, hugepages, SSH, data port from outside, restart, updates good and bad,
power cut while one is installed. TAP. With two idle cores a start takes about 40 s; most of this is waiting for emulated machines."""
import argparse
import hashlib
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import Machine  # noqa: E402

START = 600  # seconds that a start may take on a machine that does other things, too

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
    ok(m.wait_console(r"serves after ([\d.]+) s, slot a", 60), "the slot is marked good", m.console())
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


def test_restart(m):
    said = len(m.console())
    m.ssh("system reboot")
    ok(m.wait_console(r"GRUB", 120, said), "system reboot restarts")
    ok(m.wait_pong(START) and m.redis("get", "kept") == "over a restart", "a restart keeps keys", m.console()[said:])
    ok("user admin, password" not in m.console()[said:] and m.ssh("show version")[0] == 0, "and the password")


def install(m, path):
    with open(path, "rb") as f:
        return m.ssh("upgrade install -", timeout=600, stdin=f)


def test_refusals(m, work, bundle):
    wrong = f"{work}/wrong-key"
    os.makedirs(wrong, exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=somebody else", "-keyout",
                    f"{wrong}/key.pem", "-out", f"{wrong}/certificate.pem"], check=True, stderr=subprocess.DEVNULL)
    for name, words in (("signature", ["--signing", wrong]), ("board", ["--compatible", "another-box"])):
        path = f"{work}/wrong-{name}.raucb"
        subprocess.run(["images/bundle", "--parts", work, "--output", path, *words], check=True, stdout=subprocess.DEVNULL)
        code, text = install(m, path)
        ok(code == 1, f"a bundle of a wrong {name} is refused", text)
        print("# " + text.strip().splitlines()[-1])
    path = f"{work}/cut.raucb"
    with open(bundle, "rb") as f, open(path, "wb") as to:
        to.write(f.read(20 << 20))
    code, text = install(m, path)
    ok(code == 1, "a bundle that is cut off is refused", text)


def test_upgrade(m, work):
    build("--output", f"{work}/next", "--version", "0.1.1")
    subprocess.run(["images/bundle", "--parts", f"{work}/next", "--output", f"{work}/next.raucb"], check=True)
    test_refusals(m, work, f"{work}/next.raucb")
    code, text = install(m, f"{work}/next.raucb")
    if not ok(code == 0, "a good bundle is installed", text):
        return
    said = len(m.console())
    m.ssh("system reboot")
    ok(m.wait_console(r"serves after [\d.]+ s, slot b", START, said), "it starts from the other slot", m.console()[said:])
    code, text = m.ssh("upgrade status")
    ok("slot B, version 0.1.1" in text, "and says so", text)
    ok(m.wait_pong(60) and m.redis("get", "kept") == "over a restart", "the keys are there")


def test_fall_back(m, work):
    build("--output", f"{work}/broken", "--version", "0.1.2", "--break-dataplane")
    subprocess.run(["images/bundle", "--parts", f"{work}/broken", "--output", f"{work}/broken.raucb"], check=True)
    code, text = install(m, f"{work}/broken.raucb")
    ok(code == 0, "a bundle whose dataplane cannot start is installed", text)
    said = len(m.console())
    m.ssh("system reboot")
    ok(m.wait_console(r"back to the other slot", START, said), "it is found not to serve", m.console()[said:])
    ok(m.wait_console(r"serves after [\d.]+ s, slot b", START, said), "the box is back in the slot before", m.console()[said:])


def test_power_cut(m, work, times):
    """The bundle goes to the slot that does not run: whenever the power fails, the one that runs starts again."""
    for n in range(times):
        with open(f"{work}/next.raucb", "rb") as f:
            going = subprocess.Popen(["ip", "netns", "exec", m.name, "sshpass", "-p", m.password, "ssh", "-p", "2222", "-o",
                                      "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                                      "admin@127.0.0.1", "upgrade install -"], stdin=f, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            try:
                going.wait(3 + 37 * n / max(times - 1, 1))
            except subprocess.TimeoutExpired:
                pass
            m.cut_power()
            going.wait()
        m.start()
        ok(m.wait_console(r"serves after [\d.]+ s, slot", START), f"power cut {n + 1} during an install: the box starts", m.console())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", default="build-image")
    parser.add_argument("--cuts", type=int, default=2, help="power cuts during an install (20 take an hour)")
    parser.add_argument("--quick", action="store_true", help="build, start, plan, data port, restart only")
    options = parser.parse_args()
    if not test_build(options.work):
        print("1..1")
        return 1
    m = Machine(f"{options.work}/test", f"{options.work}/sluice.img")
    try:
        if test_start(m):
            test_plan(m)
            test_data_port(m)
            test_restart(m)
            if not options.quick:
                test_upgrade(m, options.work)
                test_fall_back(m, options.work)
                test_power_cut(m, options.work, options.cuts)
    finally:
        m.close()
        print(f"1..{count}")
    return bad != 0


sys.exit(main())
