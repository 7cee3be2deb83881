"""parties.py: who takes part in a measurement: the box, redis-server, testpmd's echo, our generator, redis-benchmark. Whatever a change
of the box's command line or configuration needs is in class Box alone."""
import csv
import json
import os
import pathlib
import random
import re
import shutil
import socket
import threading
import urllib.request

from machine import CLIENT_CORE, SERVER_CORE, Process, Trouble, run, wait_until

KEY = 16  # bytes; redis-benchmark's "key:" and twelve digits
VALUE = 64
SET = f"*3\r\n$3\r\nSET\r\n${KEY}\r\nkey:%012d\r\n${VALUE}\r\n{'v' * VALUE}\r\n"
DEL = f"*2\r\n$3\r\nDEL\r\n${KEY}\r\nkey:%012d\r\n"
GENERATOR_IP, BOX_IP = "10.77.0.1", "10.77.0.2"
STATS_PORT = 9177


class Box:
    """Sluice on the server core. link: "virtio-user" (to the generator's vhost socket), "tap" or "af_packet"."""

    def __init__(self, ctx, link, path_or_name, address, netns=None, **directives):
        control, dataplane = (ctx.build / p for p in ("control/sluice-control", "sluice-dataplane"))
        for program in (control, dataplane):
            if not program.exists():
                raise Trouble(f"no box: {program} has not been built")
        state = ctx.folder / "state"
        shutil.rmtree(state, ignore_errors=True)  # a snapshot of the box before would be loaded
        state.mkdir()
        link_word = "link-path" if link == "virtio-user" else "link-name"
        settings = {"port": 6379, "protected-mode": "no", "workers": 1, "worker-cores": SERVER_CORE,
                    "idle-policy": "busy", "arena-size": "1gb", "link-type": link, link_word: path_or_name,
                    "link-address": f"{address}/24", "link-mac": "02:00:00:00:00:02", "maxclients": 20000,
                    "management-socket": ctx.folder / "management.sock", "dataplane-socket": ctx.folder / "dataplane.sock",
                    "state-dir": state, "stats-port": STATS_PORT, "save": '""'}
        settings.update({name.replace("_", "-"): value for name, value in directives.items()})
        config = ctx.folder / "box.conf"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self.netns = netns
        self.channel = settings["dataplane-socket"]
        self.cli, self.management = ctx.build / "mgmt/sluice", ctx.folder / "management.sock"
        self.process = Process("box", [control, config, "--dataplane", dataplane, "--instance", "slbenchbox"], ctx.folder,
                               core=SERVER_CORE, netns=netns)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The dataplane outlives a control that merely ends: both are asked to stop.
        run(self.cli, "--socket", self.management, "stop", check=False)
        try:
            self.process.wait(60)  # with many GB
        finally:
            self.process.stop()

    def tail(self):
        return self.process.tail()

    def metrics(self):
        """{name: value} of its statistics, of all workers together; empty if it does not answer."""
        url = f"http://127.0.0.1:{STATS_PORT}/metrics"
        if self.netns:
            text = run("curl", "-s", "-m", "3", url, netns=self.netns, check=False)
        else:
            try:
                text = urllib.request.urlopen(url, timeout=3).read().decode()
            except OSError:
                return {}
        found = {}
        for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? ([0-9.e+-]+)$", text, re.M):
            found[name] = found.get(name, 0) + float(value)
        return found

    def resident_bytes(self):
        """Of the dataplane, hugepages not counted; 0 if it does not run."""
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                if str(self.channel).encode() in words and words[0].endswith(b"sluice-dataplane"):
                    return int(re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text()).group(1)) * 1024
            except (OSError, AttributeError):
                continue
        return 0

    def control_seconds(self):
        """CPU time of control, without the dataplane."""
        fields = pathlib.Path(f"/proc/{self.process.popen.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def mean_rx_burst(self):
        """Frames a receive burst brought, over its whole life; None if the statistics do not say."""
        found = self.metrics()
        frames, bursts = metric(found, "rx_packets"), metric(found, "rx_bursts")
        return frames / bursts if frames and bursts else None


def metric(found, name):
    """The figure whose name ends with this one, ours before what it is called for others' dashboards; 0 if there is none."""
    for whose in ("sluice", "redis"):
        values = [v for n, v in found.items() if re.fullmatch(rf"{whose}_(\w+_)?{name}(_total)?", n)]
        if values:
            return sum(values)
    return 0


class Reflector:
    """In the box's place: the least server that could be. It shows what the generator itself can do."""

    def __init__(self, ctx, path):
        self.process = Process("reflector", [ctx.generator, "--mode", "reflect", "--link", f"virtio-user:{path}", "--core",
                                             SERVER_CORE, "--file-prefix", "slbench-reflect", "--local", BOX_IP, "--peer",
                                             GENERATOR_IP, "--seconds", 120], ctx.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    def tail(self):
        return self.process.tail()

    def mean_rx_burst(self):
        return None


class Echo(Reflector):
    """DPDK's testpmd swapping addresses: the physical limit E of link, queue, core and burst."""

    def __init__(self, ctx, path):
        # It ends when its standard input does.
        self.process = Process("testpmd", [
            "dpdk-testpmd", "--lcores", f"0@{SERVER_CORE},1@{SERVER_CORE}", "--no-pci", "--in-memory", "--single-file-segments",
            "-m", 128, "--no-telemetry", "--file-prefix", "slbench-echo",
            f"--vdev=net_virtio_user0,path={path},queues=1,queue_size=1024", "--", "--forward-mode=5tswap", "--auto-start",
            "--rxd=1024", "--txd=1024", "--burst=32", "--total-num-mbufs=16384"], ctx.folder, keep_stdin=True)


class Generator:
    """Our generator at the vhost end of a link, on the client core. It makes the socket, so it starts first."""

    def __init__(self, ctx, mode, seconds, *words):
        self.ctx, self.mode = ctx, mode
        self.socket = ctx.folder / "link.sock"
        self.json = ctx.folder / "generator.json"
        for stale in (self.socket, self.json):
            stale.unlink(missing_ok=True)
        self.command = [ctx.generator, "--mode", mode, "--link", f"vhost:{self.socket}", "--core", CLIENT_CORE, "--file-prefix",
                        "slbench-gen", "--local", GENERATOR_IP, "--peer", BOX_IP, "--wait", 20, "--seconds", seconds, "--json",
                        self.json, *words]
        self.process = Process("generator", self.command, ctx.folder)

    def __enter__(self):
        with self.process.stopped_on_error():
            wait_until(15, "the generator's vhost socket", lambda: self.socket.exists() or not self.process.running())
        return self

    def __exit__(self, *_):
        self.process.stop()

    def result(self, server, patience):
        """What it found; Trouble for anything that is not clean: a wrong byte, an error reply, a timeout."""
        status = self.process.wait(patience)
        text = self.json.read_text() if self.json.exists() else ""
        if status != 0 or not text:
            raise Trouble(f"generator ended with status {status}: {self.process.tail(3)}; the other side: {server.tail()}")
        return json.loads(text)


def sockets(ctx, redis, seconds, *words):
    """The generator's script over the kernel's TCP, on the client core."""
    path = ctx.folder / "sockets.json"
    path.unlink(missing_ok=True)
    command = [ctx.generator, "--mode", "sockets", "--peer", redis.address, "--port", redis.port,
               "--seconds", seconds, "--json", path, *words]
    with Process("sockets", command, ctx.folder, core=CLIENT_CORE) as process:
        status = process.wait(600)
        if status != 0 or not path.exists():
            raise Trouble(f"sluice-loadgen ended with status {status}: {process.tail(3)}")
    return json.loads(path.read_text())


class Redis:
    """redis-server as it is fastest on one core: nothing persistent, no I/O threads."""

    def __init__(self, ctx, address, port, netns=None):
        self.address, self.port, self.netns = address, port, netns
        self.process = Process("redis-server", [
            "redis-server", "--bind", address, "--port", port, "--protected-mode", "no", "--save", "", "--appendonly", "no",
            "--io-threads", 1, "--maxclients", 20000, "--tcp-backlog", 4096, "--dir", ctx.folder], ctx.folder,
            core=SERVER_CORE, netns=netns)
        with self.process.stopped_on_error():
            wait_until(10, "redis-server", lambda: ping(address, port, netns) or not self.process.running())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    def send(self, pieces, reply_bytes):
        """Requests as pieces of bytes; returns when so many bytes of replies have come."""
        connection = socket.create_connection((self.address, self.port))
        replies = [0]

        def drain():
            while replies[0] < reply_bytes:
                chunk = connection.recv(1 << 20)
                if not chunk:
                    break
                replies[0] += len(chunk)
        reader = threading.Thread(target=drain, daemon=True)
        reader.start()
        for piece in pieces:
            connection.sendall(piece)
        reader.join(60)
        connection.close()
        if replies[0] != reply_bytes:
            raise Trouble("filling redis-server failed")

    def fill(self, keys):
        """Every key redis-benchmark may ask for, so that each of its GETs returns a value."""
        # The value's bytes do not matter: redis-benchmark does not look at them.
        self.send(("".join(SET % i for i in range(first, min(first + 10000, keys))).encode() for first in range(0, keys, 10000)), 5 * keys)

    def churn(self, keys, times):
        """Replaces random keys by new ones, so many times the number of keys that fill() has made."""
        names, draw = list(range(keys)), random.Random(11)

        def pieces():
            new = keys
            while new < keys * (times + 1):
                some = []
                for new in range(new, min(new + 10000, keys * (times + 1))):
                    at = draw.randrange(keys)
                    some.append(DEL % names[at])
                    some.append(SET % new)
                    names[at] = new
                new += 1
                yield "".join(some).encode()
        self.send(pieces(), 9 * keys * times)

    def allocated(self):
        """Bytes of pages that its allocator has in use."""
        return int(re.search(r"allocator_active:(\d+)", run("redis-cli", "-h", self.address, "-p", self.port, "info", "memory")).group(1))


def ping(address, port, netns=None):
    return run("timeout", 2, "redis-cli", "-h", address, "-p", port, "ping", netns=netns, check=False).strip() == "PONG"


def redis_benchmark(ctx, address, port, test, requests, connections, pipeline, keys, netns=None, words=()):
    """Requests a second, as redis-benchmark on the client core sees them."""
    command = ["redis-benchmark", "-h", address, "-p", port, "-t", test, "-n", int(requests), "-c", connections, "-P", pipeline,
               "-d", VALUE, "-r", keys, "--csv", *words]
    with Process("redis-benchmark", command, ctx.folder, core=CLIENT_CORE, netns=netns) as process:
        status = process.wait(180)
        rows = [r for r in csv.reader(process.out_path.read_text().splitlines()) if r and r[0].lower() == test]
        if status != 0 or not rows:
            raise Trouble(f"redis-benchmark ended with status {status}: {process.tail()}")
        return float(rows[-1][1])


def find_build(root, asked):
    build = pathlib.Path(asked) if asked else root / "build-release"
    if not (build / "build.ninja").exists():
        run("meson", "setup", build, root, "--buildtype=release", "-Db_lto=true")
    run("ninja", "-C", build, "sluice-dataplane", "control/sluice-control", "mgmt/sluice", "tests/bench/loadgen/sluice-loadgen",
        "tests/bench/engine_bench", "tests/bench/cores_bench", "tests/bench/tls_bench", "tests/bench/hellos", "tests/unit/store/test_store_overhead")
    return build.resolve()
