"""steps.py: what tests/run image does, step by step; STEPS at the end is their order. A step gets the run, and the machine it works on."""
import json
import os
import re
import shutil
import subprocess
import time

from cuts import KEPT, all_cuts, cuts, more_cuts
from machine import START
from package import PACKAGE, broken_package, dataplane_id, images_package, log_of, restart_alone, taken_over
from tap import tap

SOON = 900  # and what takes no start
SERVES = r"serves after ([\d.]+) s, slot "
ok = tap.ok


# -- what is built ---------------------------------------------------------------------------------------------------------------


def images_build(run, *words):
    done = subprocess.run(["images/build", "--programs", run.options.programs, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print("# " + done.stdout.decode().strip().replace("\n", "\n# "))
    return done.returncode == 0


def images_bundle(parts, output, *words):
    subprocess.run(["images/bundle", "--parts", parts, "--output", output, *words], check=True, stdout=subprocess.DEVNULL)


def build(run):
    """The image."""
    work = run.work
    if not ok(images_build(run, "--output", work), "the image is built"):
        return
    with open(f"{work}/sluice.spdx.json") as f:
        listing = json.load(f)
    names = {p["name"] for p in listing["packages"]}
    ok({"systemd", "openssh-server", "sluice"} <= names, "SBOM: packages")
    ok(any(f["fileName"].endswith("/sluice-dataplane") for f in listing["files"]), "SBOM: our programs")


def bundles(run):
    """Of the next version, and of one whose dataplane cannot start. Other steps wait for them: they are there whole or not at all."""
    for name, words in (("next", ("--version", "0.1.1")), ("broken", ("--version", "0.1.2", "--break-dataplane"))):
        path = f"{run.work}/{name}.raucb"
        try:
            if ok(images_build(run, "--output", f"{run.work}/{name}", "--compression", "1", *words), f"parts of a bundle: {name}"):
                images_bundle(f"{run.work}/{name}", f"{path}.new")
                os.rename(f"{path}.new", path)
        finally:
            if not os.path.exists(path):
                open(f"{path}.failed", "w").close()  # nobody need wait for it


def sums(folder):
    with open(f"{folder}/SHA256SUMS") as f:
        return f.read()


def repeat(run):
    images_build(run, "--output", f"{run.work}/again", "--fresh-slot")
    ok(sums(f"{run.work}/again") == sums(run.work), "a second build is the same to the bit", sums(run.work) + sums(f"{run.work}/again"))


# -- the first start, and what it has made ------------------------------------------------------------------------------------------


def start(run, m):
    begin = time.monotonic()
    m.cut_power()
    m.start("--fresh", medium=True)
    found = m.wait_console(r"user admin, password (\w{16})", START)
    if not ok(found, "first start: a password on the console", m.console()):
        return
    m.keep_password(found.group(1))
    if not ok(m.wait_pong(START), "first start: serves, after one restart for the kernel's command line", m.console()):
        return
    print(f"# power on to first PONG: {time.monotonic() - begin:.0f} s, with that restart")
    found = m.wait_console(SERVES + "a", START)
    if not ok(found, "the slot is marked good", m.console()):
        return
    print(f"# marked good {found.group(1)} s after the kernel's start")
    if ok(m.wait_ssh() and m.redis("set", "kept", KEPT) == "OK" and m.redis("save") == "OK", "SSH with that password; a key is set and saved"):
        m.copy_disk(run.served)


def plan(run, m):
    code, text = m.ssh("board verify")
    ok(code == 0 and "BAD" not in text, "board verify over SSH: all as planned", text)
    ok("worker 0: core 3, node 1" in text or "worker 0: core 2, node 1" in text, "the worker is on the NIC's node", text)
    code, text = m.ssh("show topology | json")
    nodes = json.loads(text)["nodes"] if code == 0 else []
    ok(len(nodes) == 2 and nodes[1]["hugepages"] >= 128, "two nodes; hugepages where the NIC is", text)
    code, text = m.ssh("board plan")
    print("# " + text.strip().replace("\n", "\n# "))
    code, text = m.ssh("snapshot verify /var/lib/sluice/dump.rdb")  # of start; read by sluice-control, as admin
    ok(code == 0 and ": sound" in text, "snapshot verify over SSH", text)
    code, _ = m.ssh("/bin/sh -c id")
    ok(code != 0, "no shell over SSH")


def value(m, name):
    return m.redis("config", "get", name).splitlines()[-1:]


def configuration(run, m):
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
    ok(m.wait(lambda: value(m, "slowlog-max-len") == ["128"], SOON), "the commit that nobody confirmed is taken back", value(m, "slowlog-max-len"))


# Each empties the box.
CLIENTS = (("redis-py", "/usr/bin/python3", "tests/integration/redis_py.py"),
           ("redis-py, asyncio", "/usr/bin/python3", "tests/integration/redis_py_async.py"),
           ("redis-cli", "/usr/bin/python3", "tests/integration/redis_cli.py"),
           ("ioredis", "tests/integration/node/run", "tests/integration/node/ioredis.js"),
           ("node-redis", "tests/integration/node/run", "tests/integration/node/node_redis.js"))


def data_port(run, m):
    # npm has no registry in the machine's namespace.
    subprocess.run(["tests/integration/node/run", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=900, check=False)
    done = m.inside("redis-benchmark", "-h", m.box, "-t", "set,get", "-n", "2000", "-c", "20", "-q", check=False, stdout=subprocess.PIPE)
    ok(done.returncode == 0 and b"requests per second" in done.stdout, "redis-benchmark", done.stdout)
    print("# " + done.stdout.decode().replace("\r", "\n").strip().splitlines()[-1])
    for name, *words in CLIENTS:
        done = m.inside(*words, "--host", m.box, "--port", "6379", check=False, timeout=START, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = done.stdout.decode(errors="replace")
        failed, skipped = re.findall(r"^not ok.*", text, re.M), re.search(r"# SKIP (.*)", text)
        ok(done.returncode == 0 and not failed and re.search(r"^1\.\.[1-9]", text, re.M), f"{name}: its whole test from outside" + (f" # SKIP {skipped.group(1)}" if skipped else ""),
           "\n".join(failed) or text)


def keep(m):
    """A key that a restart is to keep; save points are on."""
    return m.redis("set", "kept", KEPT) == "OK"


def kept(m):
    return m.redis("get", "kept") == KEPT


def reboot(m, slot, name):
    """Over SSH; how many characters the console had said before."""
    said = len(m.console())
    code, text = m.ssh("system reboot")
    if not ok(code == 0 and m.wait_console(SERVES + slot, START, said), name, text + m.console()[said:]):
        raise RuntimeError("the box does not come back")
    m.wait_pong(START)
    m.wait_ssh()
    return said


def restart(m):
    """system reboot, and what it is to keep."""
    m.configure_box("set slowlog-max-len 99", 'commit comment "before a restart"')
    keep(m)
    said = reboot(m, "a", "system reboot restarts")
    ok(kept(m), "a restart keeps keys", m.console()[said:])
    ok("user admin, password" not in m.console()[said:] and m.ssh("show version")[0] == 0, "the password")
    code, text = m.ssh("show history")
    ok(value(m, "slowlog-max-len") == ["99"] and "before a restart" in text, "configuration and its history", text)


# -- updates ---------------------------------------------------------------------------------------------------------------------------


def install(m, path):
    with open(path, "rb") as f:
        return m.ssh("upgrade install -", timeout=START, stdin=f)


def refusals(run, m):
    work = run.work
    run.wait_for(f"{work}/next.raucb")
    wrong = f"{work}/wrong-key"
    os.makedirs(wrong, exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=somebody else", "-keyout",
                    f"{wrong}/key.pem", "-out", f"{wrong}/certificate.pem"], check=True, stderr=subprocess.DEVNULL)
    parts = f"{work}/small"  # they are refused by what they are signed with, and by their manifest
    os.makedirs(parts, exist_ok=True)
    shutil.copy(f"{work}/next/release", parts)
    for name in ("root.img", "boot.img"):
        with open(f"{parts}/{name}", "wb") as f:
            f.write(os.urandom(1 << 20))
    for name, words, reason in (("signature", ["--signing", wrong], "signature verification failed"),
                                ("board", ["--compatible", "another-box"], "Compatible mismatch")):
        path = f"{work}/wrong-{name}.raucb"
        images_bundle(parts, path, *words)
        code, text = install(m, path)
        ok(code == 1 and reason in text, f"a bundle of a wrong {name} is refused, with the reason", text)
    path = f"{work}/cut.raucb"
    with open(f"{work}/next.raucb", "rb") as f, open(path, "wb") as to:
        to.write(f.read(8 << 20))
    code, text = install(m, path)
    ok(code == 1 and len(text.strip()) > 0, "a bundle that is cut off is refused", text)
    print("# " + "\n# ".join(text.strip().splitlines()[-2:]))
    code, text = m.ssh("upgrade rollback")
    ok(code == 1 and "nothing that has served" in text, "there is nothing to go back to, yet", text)


def dataplane(run, m):
    """A restart of the dataplane alone. An update of the dataplane alone: warm, over a restart of the machine, back by itself from one that does not serve, and by request."""
    package = f"{run.work}/good.package"
    images_package(run, package)
    images_package(run, f"{run.work}/wrong.package", "--compatible", "another-box")
    code, text = install(m, f"{run.work}/wrong.package")
    ok(code == 1 and "for the board another-box" in text, "a package of the dataplane for another board is refused, with the reason", text)
    restart_alone(m, SOON)
    m.redis("set", "unsaved", "in memory")
    before, took, begin = dataplane_id(m), taken_over(m), time.monotonic()
    code, text = install(m, package)
    if not ok(code == 0, "a package of the dataplane is installed", text):
        return
    print(f"# in {time.monotonic() - begin:.0f} s, upload included")
    ok(dataplane_id(m) not in (None, before) and m.redis("get", "unsaved") == "in memory", "another process, with the keys of the one before")
    ok(taken_over(m) == took + 1, "by memory, not by a snapshot", log_of(m))
    code, text = m.ssh("upgrade status")
    ok("an update" in text and PACKAGE in text, "upgrade status says so", text)
    code, text = install(m, broken_package(run))
    ok(code == 1 and "broken on purpose" in text, "one that does not serve: refused, with the reason", text)
    code, text = m.ssh("show version | json")
    ok(json.loads(text)["dataplane_release"] == PACKAGE and m.redis("get", "unsaved") == "in memory", "the one before serves, with the keys", text)
    code, text = m.ssh("show health")
    ok("broken on purpose" in text, "and an alarm tells why", text)
    restart(m)
    code, text = m.ssh("show version | json")
    ok(json.loads(text)["dataplane_release"] == PACKAGE, "and the update of the dataplane", text)
    code, text = m.ssh("upgrade remove dataplane")
    ok(code == 0 and m.redis("get", "unsaved") == "in memory", "upgrade remove dataplane: with its keys", text)
    code, text = m.ssh("show version | json")
    ok(json.loads(text)["dataplane_is"] == "the box's own", "the slot's own serves", text)


def upgrade(run, m):
    keep(m)
    run.wait_for(f"{run.work}/next.raucb")
    begin = time.monotonic()
    code, text = install(m, f"{run.work}/next.raucb")
    if not ok(code == 0, "a good bundle is installed", text):
        return
    print(f"# in {time.monotonic() - begin:.0f} s, upload included")
    reboot(m, "b", "it starts from slot B")
    code, text = m.ssh("upgrade status")
    ok("slot B, version 0.1.1" in text, "and says so", text)
    ok(kept(m), "the keys are there")
    code, text = m.ssh("upgrade rollback")
    ok(code == 0, "upgrade rollback", text)
    reboot(m, "a", "it starts from slot A")
    ok(kept(m), "with its keys")


def fall_back(run, m):
    keep(m)
    run.wait_for(f"{run.work}/broken.raucb")
    code, text = install(m, f"{run.work}/broken.raucb")
    if not ok(code == 0, "a bundle whose dataplane cannot start is installed", text):
        return
    said = len(m.console())
    m.ssh("system reboot")
    ok(m.wait_console(r"back to the other slot", START, said), "it is found not to serve", m.console()[said:])
    ok(m.wait_console(SERVES + "a", START, said), "the box is back in the slot before, by itself", m.console()[said:])
    ok(m.wait_pong(START) and kept(m), "with its keys")
    m.wait_ssh()
    code, text = m.ssh("upgrade rollback")
    ok(code == 1, "and does not go back to the other by request", text)


# -- other machines ----------------------------------------------------------------------------------------------------------------------


def nics(run, m):
    """Other models of NIC; and before the second one power has failed while the boot loader's variables were written."""
    for model in ("e1000e", "vmxnet3"):
        begin = time.monotonic()
        if model == "e1000e":
            m.start_over(run.served, "--nic", model)
        else:
            m.copy_of(run.served)
            m.lose_variables()
            m.start("--nic", model)
        good = m.wait_pong(START)
        print(f"# power on to first PONG: {time.monotonic() - begin:.0f} s")
        ok(good and kept(m), f"{model} as the data port: the box serves, with its keys", m.console())
        if model == "vmxnet3":
            ok(good and m.wait_console(SERVES + "a", START), "and that without the boot loader's variables, which power has taken: it is marked good again", m.console())
        if good and m.wait_ssh():
            code, text = m.ssh("board verify")
            ok(code == 0 and "data port 0000:81:00.0: vfio-pci" in text, f"{model}: bound to vfio-pci", text)
            done = m.inside("redis-benchmark", "-h", m.box, "-t", "set,get", "-n", "2000", "-c", "20", "-q", check=False, stdout=subprocess.PIPE)
            ok(done.returncode == 0 and b"requests per second" in done.stdout, f"{model}: redis-benchmark", done.stdout)
        m.cut_power()


def watchdog(run, m):
    m.go_on(run.served)
    if not ok(m.wait_pong(SOON) and kept(m), "the box goes on where the first start has ended"):
        return
    said = len(m.console())
    begin = time.monotonic()
    ok(m.hang() == 4, "its four CPUs hang, interrupts off")
    ok(not m.wait_pong(5), "it does not serve")
    ok(m.wait_console(r"Sluice: slot|BdsDxe|Linux version", START, said), "the watchdog restarts it", m.console()[said:])
    print(f"# restarted within {time.monotonic() - begin:.0f} s")
    ok(m.wait_console(SERVES + "a", START, said) and m.wait_pong(START) and kept(m), "it serves again, with its keys", m.console()[said:])


OUTSIDE = "10.99.0.1"  # of the management network; .2 is another name server


def serve(m, log, *words):
    """A program beside the machine, and the file that it writes to."""
    with open(log, "w") as to:
        return subprocess.Popen(["ip", "netns", "exec", m.name, *words], stdout=to, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def has(path, pattern):
    with open(path, errors="replace") as f:
        return re.search(pattern, f.read(), re.I)  # libevent asks in mixed case


LISTENER = """import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("{at}", 5514))
while True:
    print(s.recv(65536), flush=True)"""


def management_network(m):
    """A DHCP server on the management port that is name server, too, and offers a configuration; a web server that has it, somebody who
    takes log lines, and a second name server, which alone knows of second.example."""
    for words in ("tuntap add dev management mode tap", f"addr add {OUTSIDE}/24 dev management", "addr add 10.99.0.2/24 dev management", "link set management up"):
        m.inside("ip", *words.split())
    os.makedirs(f"{m.folder}/offer/box", exist_ok=True)
    with open(f"{m.folder}/offer/box/sluice.conf", "w") as f:
        f.write(m.conf("@DATA@") + "maxmemory-policy allkeys-lfu\nlog-remote udp://collector.first.example:5514\n")
    common = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--log-queries", "--bind-interfaces", "--local=/example/"]
    return [serve(m, f"{m.folder}/dnsmasq.log", *common, f"--listen-address={OUTSIDE}", "--log-dhcp", "--dhcp-range=10.99.0.50,10.99.0.50,1h",
                  f"--dhcp-leasefile={m.folder}/leases", f"--dhcp-option=6,{OUTSIDE}", "--dhcp-option=239,http://files.first.example:8000/box/",
                  f"--address=/first.example/{OUTSIDE}"),
            serve(m, f"{m.folder}/second.log", *common, "--listen-address=10.99.0.2", f"--address=/second.example/{OUTSIDE}"),
            serve(m, f"{m.folder}/files.log", "python3", "-u", "-m", "http.server", "8000", "--bind", OUTSIDE, "--directory", f"{m.folder}/offer"),
            serve(m, f"{m.folder}/lines.log", "python3", "-u", "-c", LISTENER.format(at=OUTSIDE))]


def offer(run, m):
    """A first start without a medium, on a management network of its own."""
    servers = management_network(m)
    try:
        m.ssh_at = ("10.99.0.50", 22)
        m.start("--fresh", "--management", "management")
        found = m.wait_console(r"user admin, password (\w{16})", START)
        if not ok(found, "first start without a medium: a password on the console", m.console()):
            return
        m.keep_password(found.group(1))
        ok(m.wait_console(r"took sluice.conf from http://files.first.example:8000/box/", START), "it takes the configuration that DHCP option 239 offers", m.console())
        if not ok(m.wait_pong(START), "the box serves with it, at the address that it says", m.console()):
            return
        ok(m.wait_ssh() and value(m, "maxmemory-policy") == ["allkeys-lfu"], "SSH where DHCP has put it; the configuration is the offered one", m.console())
        ok("BAD" not in m.ssh("board verify")[1], "board verify: all as planned", m.ssh("board verify")[1])
        ok(m.wait(lambda: has(f"{m.folder}/dnsmasq.log", r"query\[A+\] collector.first.example from 10.99.0.50"), SOON),
           "the name of log-remote is asked of the name server that DHCP tells of")
        ok(m.wait(lambda: has(f"{m.folder}/lines.log", "sluice-control"), SOON), "its lines come there")
        code, text = m.configure_box("set log-remote udp://collector.second.example:5514", "commit")
        ok(code == 0, "log-remote to a name that this name server does not know", text)
        code, text = m.configure_box("set system-name-server 10.99.0.2", "commit")
        ok(code == 0 and m.wait(lambda: has(f"{m.folder}/second.log", r"query\[A+\] collector.second.example from 10.99.0.50"), SOON),
           "set system-name-server: that one is asked instead", text)
    finally:
        m.cut_power()
        for server in servers:
            server.terminate()
            server.wait()


# -- its end -------------------------------------------------------------------------------------------------------------------------------


def factory_reset(run, m):
    m.configure_box("set maxmemory-policy allkeys-lru", 'commit comment "from outside"')
    ok(m.ssh("factory-reset keep-network --confirm somebody")[0] == 1, "a factory reset wants the box's name")
    old, said = m.password(), len(m.console())
    code, text = m.ssh("factory-reset keep-network --confirm sluice")
    ok(code == 0, "factory-reset", text)
    found = m.wait_console(r"user admin, password (\w{16})", START, said)
    if not ok(found and found.group(1) != old, "it is a first start, with another password", m.console()[said:]):
        return
    ok(m.wait_console(SERVES, START, said), "the box serves", m.console()[said:])
    ok(m.wait(lambda: "DENIED" in m.redis("ping"), SOON), "where it did, as one without a password", m.redis("ping"))
    code, text = m.ssh("show version")
    ok(code != 0 and "Permission denied" in text, "the old password is none any more", text)
    m.keep_password(found.group(1))
    code, text = m.ssh("show history")
    ok(code == 0 and "from outside" not in text, "nothing is left of the configuration's history", text)


# kind: build (no machine), first (makes the disk that others begin with), shared (one machine, one after the other), own (a machine each,
# which begins with that disk: beside the shared one), alone (one that begins with the image), beside (no machine: begun while the first
# start is made), last (no machine, when all others have ended)
STEPS = {"build": (build, "build"), "bundles": (bundles, "beside"), "repeat": (repeat, "beside"), "start": (start, "first"), "plan": (plan, "shared"),
         "configuration": (configuration, "shared"), "data-port": (data_port, "shared"),
         "refusals": (refusals, "shared"), "dataplane": (dataplane, "shared"), "upgrade": (upgrade, "shared"), "fall-back": (fall_back, "shared"),
         "factory-reset": (factory_reset, "shared"), "offer": (offer, "alone"),
         "cuts": (cuts, "own"), "nics": (nics, "own"), "watchdog": (watchdog, "own"), "more-cuts": (more_cuts, "own"), "all-cuts": (all_cuts, "last")}
