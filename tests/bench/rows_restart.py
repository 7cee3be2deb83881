"""rows_restart.py: G12: a warm restart with so many GB in memory: how long a client of the kernel's TCP on a veth link gets no reply (gap.py),
and whether all keys are there. Seconds and shares, not rates: B is 1."""
import json
import os
import pathlib
import random
import re
import subprocess
import sys

from machine import CLIENT_CORE, Hugepages, Namespace, Trouble, run, wait_until
from parties import KEY, VALUE, Box, metric, ping

ADDRESS = "10.79.1.2"
A_ROUND = 250_000  # keys that are made by one command
SAMPLE = 5000


class Gap:
    """gap.py beside a restart, on the client core."""

    def __init__(self, netns):
        here = pathlib.Path(__file__).with_name("gap.py")
        self.process = subprocess.Popen(["ip", "netns", "exec", netns, "taskset", "-c", str(CLIENT_CORE), sys.executable, here, ADDRESS, "6379"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def __enter__(self):
        return self

    def result(self):
        out, _ = self.process.communicate(timeout=60)
        if self.process.returncode != 0:
            raise Trouble("gap.py has failed: the box does not answer after the restart")
        return json.loads(out)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def ask(netns, *words):
    out = run("timeout", 120, "redis-cli", "-h", ADDRESS, *words, netns=netns).strip()
    if out.startswith(("ERR", "OOM", "LOADING", "(error)")):
        raise Trouble(f"{' '.join(map(str, words))}: {out}")
    return out


def used(netns):
    return int(re.search(r"used_memory:(\d+)", ask(netns, "INFO", "memory")).group(1))


def fill(netns, gigabytes):
    """Keys of 16 bytes with values of 64 until so much is used: how many rounds of them."""
    rounds = 0
    while used(netns) < gigabytes << 30:
        ask(netns, "DEBUG", "POPULATE", A_ROUND, f"key:{rounds:05}", VALUE)
        rounds += 1
    return rounds


def sample_wrong(netns, rounds, seed):
    """Of some keys how many have not their value."""
    draw = random.Random(seed)
    chosen = [(draw.randrange(rounds), draw.randrange(A_ROUND)) for _ in range(SAMPLE)]
    values = []
    for at in range(0, SAMPLE, 500):
        values += ask(netns, "MGET", *(f"key:{r:05}:{i}" for r, i in chosen[at:at + 500])).split("\n")
    return sum(value.rstrip("\0") != f"value:{i}" for value, (_, i) in zip(values, chosen)) + abs(SAMPLE - len(values))


def state(box):
    return json.loads(run(box.cli, "--socket", box.management, "show", "status", "--json"))["dataplane"]


def one_restart(box, netns, rounds, number, terminate):
    """Seconds without service, keys that are lost or wrong, notes. terminate(pid): how the dataplane is ended."""
    keys, before = rounds * A_ROUND, state(box)["pid"]
    with Gap(netns) as gap:
        wait_until(20, "the probe to write", lambda: int(ask(netns, "DBSIZE")) > keys)
        terminate(before)

        def is_back():
            now = state(box)
            return now.get("pid") not in (0, None, before) and now.get("state") == "serving"
        wait_until(120, "another dataplane that serves", is_back)
        seen = gap.result()
    lost = abs(keys - int(ask(netns, "DBSIZE"))) + seen["wrong"] + sample_wrong(netns, rounds, number)
    return seen["gap"], lost, {"keys": keys, "connections": seen["connections"]}


def taken_over_in(box):
    """Milliseconds of each time that a dataplane has taken memory over after a crash, as it says itself."""
    return re.findall(r"when it crashed, in ([0-9.]+) ms", run(box.cli, "--socket", box.management, "show", "log", "--lines", 5000))


def killed(box, netns, rounds):
    """kill -9 while nobody asks for anything: milliseconds that the next dataplane took to look memory over and take it. None: the kill
    came in the middle of some upkeep, and the keys are gone."""
    before, keys, times = state(box)["pid"], rounds * A_ROUND, len(taken_over_in(box))
    run("kill", "-KILL", before)
    wait_until(300, "a dataplane after the kill", lambda: state(box).get("pid") not in (0, None, before) and state(box).get("state") == "serving")
    told = taken_over_in(box)
    if len(told) == times:
        return None
    have = int(ask(netns, "DBSIZE"))
    if have < keys:
        raise Trouble(f"{keys - have} keys are gone after a kill")
    return float(told[-1])


def killed_at_rest(box, netns, rounds, gigabytes):
    """killed(), with the keys made anew if need be."""
    for _ in range(5):
        took = killed(box, netns, rounds)
        if took is not None:
            return took
        if fill(netns, gigabytes) != rounds:
            raise Trouble("another number of keys fills the same memory")
    raise Trouble("each of five kills came in the middle of upkeep")


def warm_restarts(ctx):
    arena = (ctx.gigabytes << 10) + (ctx.gigabytes << 7) + 256  # MB: what slabs and the index hold beyond what is used
    with Hugepages((arena + 640) << 20) as pages, Namespace("slbclient") as client, Namespace("slbbox") as end:
        run("ip", "link", "add", "veth1", "type", "veth", "peer", "name", "eth0", "netns", end.name, netns=client.name)
        run("ip", "addr", "add", "10.79.1.1/24", "dev", "veth1", netns=client.name)
        run("ip", "link", "set", "veth1", "up", netns=client.name)
        run("sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1", netns=end.name)
        run("ip", "link", "set", "eth0", "up", netns=end.name)
        run("ethtool", "-K", "veth1", "tx", "off", netns=client.name)
        with Box(ctx, "af_packet", "eth0", ADDRESS, netns=end.name, arena_size=f"{arena}mb", hugepages="yes" if pages.there else "no",
                 enable_debug_command="yes", idle_policy="adaptive") as box:
            try:  # it takes all pages from the kernel first, which clears them: seconds a GB beside others
                wait_until(60 + 30 * ctx.gigabytes, "the box on its veth", lambda: ping(ADDRESS, 6379, client.name) or not box.process.running())
            except Trouble as e:
                raise Trouble(f"{e}: {box.tail()}") from None  # control lives on while its dataplane cannot begin
            if not box.process.running():
                raise Trouble(f"no box: {box.tail()}")
            rounds, number = fill(client.name, ctx.gigabytes), 0

            def asked(_):
                run(box.cli, "--socket", box.management, "restart", "dataplane")

            def terminated(pid):
                run("kill", "-TERM", pid)
            while True:
                ours, lost, notes = one_restart(box, client.name, rounds, number, asked)
                signal, lost_too, _ = one_restart(box, client.name, rounds, number + 1, terminated)
                number += 2
                if os.environ.get("G12_KILLED"):
                    notes["killed_ms"] = killed_at_rest(box, client.name, rounds, ctx.gigabytes)
                notes |= {"pages": "2 MB" if pages.there else "4 KB", "used_gb": round(used(client.name) / 2**30, 1), "lost": lost + lost_too}
                all_keys = 2 * notes["keys"]
                yield {"G12 restart": (ours, 1, notes), "G12 SIGTERM": (signal, 1, notes),
                       "G12 kept": (all_keys - lost - lost_too, all_keys, notes)}
