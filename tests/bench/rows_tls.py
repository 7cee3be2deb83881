"""rows_tls.py: G9: what TLS costs, over the kernel's TCP on a veth link as G11. The client's half of TLS is OpenSSL's in redis-benchmark, on
the client core, so that ratios are lower bounds of the box's own; bulk is the box's time alone (tls_bench.c), since no kernel client takes
as much."""
import re
import ssl

from machine import CLIENT_CORE, SERVER_CORE, Namespace, Process, Trouble, run, wait_until
from parties import Box, ping, redis_benchmark

ADDRESS, PLAIN, TLS = "10.79.1.2", 6379, 6380
CLIENTS, KEYS = 50, 100000
STORM_CLIENTS = 32


def make_pair(folder):
    """A pair for the box, self-signed: RSA of 2048 bits, as most have."""
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "box.key", "-out", folder / "box.pem", "-days", 2,
        "-subj", "/CN=box", "-addext", f"subjectAltName=IP:{ADDRESS}")
    return {"tls-port": TLS, "tls-cert-file": folder / "box.pem", "tls-key-file": folder / "box.key", "tls-auth-clients": "no"}


def make_hello(path):
    """What a client of TLS 1.3 says first."""
    context, said = ssl.create_default_context(), ssl.MemoryBIO()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="box").do_handshake()
    except ssl.SSLWantReadError:
        pass
    path.write_bytes(said.read())


def box_alone(ctx):
    """(bytes a second of the box's own time for 16-KB GETs over TLS, what one core seals); notes: requests at pipeline 1, plain and over TLS."""
    out = run("taskset", "-c", SERVER_CORE, ctx.build / "tests/bench/tls_bench", ctx.seconds)
    found = {name: float(n) for name, n in re.findall(r"^(P1 plain|P1 TLS|bulk plain|bulk TLS|seal) (\d+)", out, re.M)}
    notes = {f"in process, {name}": round(found[name]) for name in ("P1 plain", "P1 TLS", "bulk plain")}
    notes.update({f"in process, storm / without, {pair}": float(ratio) for pair, ratio in re.findall(r"^storm / without, (\w+) ([\d.]+)", out, re.M)})
    return found["bulk TLS"], found["seal"], notes


def tls_costs(ctx):
    with Namespace("slbclient") as client, Namespace("slbbox") as end:
        run("ip", "link", "add", "veth1", "type", "veth", "peer", "name", "eth0", "netns", end.name, netns=client.name)
        run("ip", "addr", "add", "10.79.1.1/24", "dev", "veth1", netns=client.name)
        run("ip", "link", "set", "veth1", "up", netns=client.name)
        run("sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1", netns=end.name)
        run("ip", "link", "set", "eth0", "up", netns=end.name)
        run("ethtool", "-K", "veth1", "tx", "off", netns=client.name)
        sealed = ("--tls", "--cacert", ctx.folder / "box.pem", "--tls-ciphersuites", "TLS_AES_256_GCM_SHA384")

        def rate(port, requests, pipeline, *words):
            return redis_benchmark(ctx, ADDRESS, port, "get", requests, CLIENTS, pipeline, KEYS, netns=client.name, words=words)

        def stormy(requests):
            """The rate beside a storm, and the hellos that the box has answered a second: each is a key agreement and a signature of its, and
            next to nothing of the client core, which is the measuring client's first."""
            command = ["nice", "-n", "19", ctx.build / "tests/bench/hellos", ADDRESS, TLS, ctx.folder / "hello", STORM_CLIENTS, 120]
            with Process("storm", command, ctx.folder, core=CLIENT_CORE, netns=client.name) as storm:
                found = rate(TLS, requests, 1, *sealed)
            said = re.search(r"answered, (\d+) a second", storm.out_path.read_text())
            if not said or said.group(1) == "0":
                raise Trouble(f"there was no storm: {storm.tail()}")
            return found, float(said.group(1))

        make_hello(ctx.folder / "hello")
        with Box(ctx, "af_packet", "eth0", ADDRESS, netns=end.name, **make_pair(ctx.folder)) as box:
            wait_until(30, "the box on its veth", lambda: ping(ADDRESS, PLAIN, client.name) or not box.process.running())
            if not box.process.running():
                raise Trouble(f"no box: {box.tail()}")
            while True:
                redis_benchmark(ctx, ADDRESS, PLAIN, "set", 3 * KEYS, CLIENTS, 16, KEYS, netns=client.name)
                plain, tls = rate(PLAIN, 40000 * ctx.seconds, 1), rate(TLS, 20000 * ctx.seconds, 1, *sealed)
                (storm, hellos), alone = stormy(20000 * ctx.seconds), rate(TLS, 20000 * ctx.seconds, 1, *sealed)
                bulk, sealing, alone_notes = box_alone(ctx)
                notes = {"box_rx_burst": box.mean_rx_burst(), **alone_notes, "storm: hellos answered a second": hellos}
                yield {"G9 P1": (tls, plain, notes), "G9 bulk": (bulk, sealing, notes), "G9 storm": (storm, alone, notes)}
