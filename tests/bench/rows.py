"""rows.py: the table of goals (TARGETS: G1-G5, G7-G12 and the generator's own limit) and how each is measured. A measurement is a
generator of pairs: for every pair it takes A and B once, one after the other, and yields {row: (a, b, notes)}."""
import contextlib
import dataclasses
import time
import pathlib
import re
import typing

from machine import SERVER_CORE, Namespace, Process, Trouble, run, wait_until
from parties import BOX_IP, KEY, VALUE, Box, Echo, Generator, Redis, Reflector, metric, ping, redis_benchmark, sockets
from rows_restart import warm_restarts
from rows_snapshot import during_snapshots
from rows_tls import tls_costs

# Mean of a GET's request (66 + 36 bytes) and of its reply (66 + 71): the echo then carries as many frames and as many bytes each way
# as the requests and replies do together.
ECHO_FRAME = (66 + 36 + 66 + 71) // 2
CONNECTIONS = 1000


@dataclasses.dataclass
class Row:
    name: str
    what: str
    floor: float | None  # None: there is no goal, it is to be seen beside others
    target: float | None
    unit: str = "requests/s"


@dataclasses.dataclass
class Measurement:
    rows: list
    pairs: typing.Callable  # ctx -> iterator of {row name: (a, b, notes)}
    a: str
    b: str
    always: bool = True  # False: only if it is asked for by name
    once: bool = False  # the same in every pair: one is enough


def load(ctx, server, seconds, *words, patience=60):
    """One run of the generator against a server made by server(socket)."""
    words = ("--connections", CONNECTIONS, "--key-size", KEY, "--value-size", VALUE, *words)
    with ctx.nearness.side(), Generator(ctx, "load", seconds, *words) as generator, server(generator.socket) as other:
        result = generator.result(other, patience + seconds)
        result["box_rx_burst"] = other.mean_rx_burst()
        return result


def box_get(ctx, *words):
    return load(ctx, lambda path: Box(ctx, "virtio-user", path, BOX_IP), ctx.seconds, "--keys", ctx.keys, "--fill", *words,
                patience=120)


def echo(ctx):
    with ctx.nearness.side(), \
            Generator(ctx, "echo", ctx.seconds, "--frame-size", ECHO_FRAME, "--in-flight", CONNECTIONS) as generator, \
            Echo(ctx, generator.socket) as other:
        return generator.result(other, 60 + ctx.seconds)


def notes_of(result):
    burst = result.get("box_rx_burst")
    return {"box_rx_burst": burst and round(burst, 1), "generator_rx_burst": result["mean_rx_burst"],
            "generator_idle": result["idle_share"], "p50_us": result["latency_us"]["p50"],
            "p99.9_us": result["latency_us"]["p99.9"], "retransmits": result["timeouts"] + result["fast_retransmits"]}


def generator_limit(ctx):
    while True:
        a = load(ctx, lambda path: Reflector(ctx, path), ctx.seconds, "--keys", ctx.keys)
        yield {"gen": (a["rate"], echo(ctx)["rate"], notes_of(a))}


def get_to_echo(ctx):
    while True:
        a = box_get(ctx)
        yield {"G1": (a["rate"], echo(ctx)["rate"], notes_of(a))}


def best_client(ctx, redis):
    """The settings of redis-benchmark that give redis-server its best figure."""
    def rate(words):
        return redis_benchmark(ctx, redis.address, redis.port, "get", 150000, CONNECTIONS, 1, ctx.keys, words=words)
    return max(((), ("--threads", 1)), key=rate)


def get_to_redis(ctx):
    with Redis(ctx, "127.0.0.1", 7377) as redis:  # idle while the box has its turn
        redis.fill(ctx.keys)
        client = best_client(ctx, redis)
        while True:
            a = box_get(ctx)
            with ctx.nearness.side():
                b = redis_benchmark(ctx, redis.address, redis.port, "get", 100000 * ctx.seconds, CONNECTIONS, 1, ctx.keys, words=client)
            yield {"G2": (a["rate"], b, notes_of(a) | {"redis_benchmark": " ".join(map(str, client))})}


def mixes(name, *words):
    """At full memory: the keys need twice of maxmemory, all have a TTL, so every SET of a new key evicts. GET, SET and 50/50 take turns
    within one run. A share of the GETs misses, which the notes tell."""
    def pairs(ctx):
        memory = ctx.keys * (KEY + VALUE) // 2
        while True:
            result = load(ctx, lambda path: Box(ctx, "virtio-user", path, BOX_IP, maxmemory=memory, maxmemory_policy="allkeys-lru"),
                          ctx.seconds / 2, "--keys", ctx.keys, "--fill", "--ttl", 3600, "--allow-miss", "--set-percent", "100,50,0",
                          "--rounds", ctx.pairs, *words, patience=120 + 3 * ctx.seconds * ctx.pairs)
            parts = result["parts"]
            for setting, both, get in zip(parts[0::3], parts[1::3], parts[2::3]):  # what is read was stored by then
                notes = notes_of(result) | {"miss_share": get["miss_share"]}
                yield {f"G5 SET{name}": (setting["rate"], get["rate"], notes), f"G5 50/50{name}": (both["rate"], get["rate"], notes)}
    return pairs


HOT_KEY = """
row SET{turn} 1
send SET {{key}} {{value}} EX 3600 => +OK
row miss{turn} 1
once FLUSHALL => +OK
send GET {{key}} => $-1
row hit{turn} 1
once SET {{key}} {{value}} EX 3600 => +OK
send GET {{key}} => $64 {{value}}
"""
MISS_SHARE = 0.62  # of the GETs of G5


def hot_key(ctx):
    """What frames and sessions alone leave of G5: one key that is in the cache is set, read when it is not there and read when it is, by turns
    within one run. No look-up waits for memory, and nothing is evicted."""
    path = ctx.folder / "hot.script"
    path.write_text("".join(HOT_KEY.format(turn=turn) for turn in range(ctx.pairs)))
    while True:
        result = load(ctx, lambda path: Box(ctx, "virtio-user", path, BOX_IP), ctx.seconds / 2, "--keys", 1, "--script", path, "--warmup", 0.1,
                      patience=60 + 3 * ctx.seconds * ctx.pairs)
        parts = result["parts"]
        for setting, miss, hit in zip(parts[0::3], parts[1::3], parts[2::3]):
            get = 1 / (MISS_SHARE / miss["rate"] + (1 - MISS_SHARE) / hit["rate"])
            notes = {"miss": round(miss["rate"]), "hit": round(hit["rate"]), "generator_idle": [p["idle_share"] for p in (setting, miss, hit)]}
            yield {"G5 link": (setting["rate"], get, {"box_rx_burst": round(result["box_rx_burst"] or 0, 1)} | notes)}


def idle_connections(ctx):
    """The same 1000 active connections by turns alone and beside idle ones, within one run; and the dataplane's resident memory with them
    and before. A pair of both sizes takes some ten seconds."""
    def one(idle):
        words = ("--connections", CONNECTIONS, "--key-size", KEY, "--value-size", VALUE, "--keys", 100_000, "--fill", "--idle", idle,
                 "--local", "10.77.0.16", "--warmup", 0.5)
        with ctx.nearness.side(), Generator(ctx, "load", ctx.seconds / 2, *words) as generator, \
                Box(ctx, "virtio-user", generator.socket, BOX_IP, maxclients=1_100_000, arena_size="256mb", mbuf_count=32768) as box:
            before, most = None, 0
            while generator.process.running():
                clients, rss = metric(box.metrics(), "connected_clients"), box.resident_bytes()
                if clients == CONNECTIONS and rss:
                    before = min(before or rss, rss)
                if clients >= CONNECTIONS + idle:
                    most = max(most, rss)
                time.sleep(0.05)
            without, beside = generator.result(box, 30)["parts"]
            per = (most - before) / idle if before and most else None
            return beside["rate"], without["rate"], {"resident_bytes_a_connection": per and round(per)}
    while True:
        yield {"G10i 100k": one(100_000), "G10i 1M": one(1_000_000)}


SCRIPT = pathlib.Path(__file__).with_name("commands.script")
DEPTH = 16
UNDER_WAY = 500  # requests; with the longest replies they just fill the link's queue


def commands(names):
    """Rows of commands.script, one after the other, the box over its link and redis-server over loopback, by turns; both sides send the
    same requests and check every reply. Both servers are empty before each row (FLUSHALL is its first line)."""
    def pairs(ctx):
        words = ("--connections", UNDER_WAY, "--script", SCRIPT, "--only", " ".join(names), "--keys", ctx.keys // 4, "--pipeline", DEPTH, "--warmup", 0.1)
        while True:
            a = load(ctx, lambda path: Box(ctx, "virtio-user", path, BOX_IP), ctx.seconds / 5, *words, patience=30 * len(names))
            with ctx.nearness.side(), Redis(ctx, "127.0.0.1", 7377) as redis:
                b = sockets(ctx, redis, ctx.seconds / 5, *words)
            yield {f"commands {p['label']} P{p['pipeline']}": (p["rate"], q["rate"], {"box_rx_burst": a["box_rx_burst"], "generator_idle": p["idle_share"]})
                   for p, q in zip(a["parts"], b["parts"])}
    return pairs


def command_measurements(wanted=None):
    """A few rows at a time, so that A and B of a ratio are not far apart in time: all, or those whose names are wanted."""
    names = re.findall(r"^row (\S+)", SCRIPT.read_text(), re.M)
    if wanted is not None:
        if unknown := wanted - set(names):
            raise Trouble(f"no row of commands: {' '.join(sorted(unknown))}; there are {' '.join(names)}")
        names = [name for name in names if name in wanted]
    for i in range(0, len(names), 5):
        some = names[i:i + 5]
        rows = [Row(f"commands {name} P{depth}", f"{name}, pipeline {depth}", goal, goal)
                for name in some for depth, goal in ((1, 5), (DEPTH, 2))]
        yield Measurement(rows, commands(some), "box", "redis-server on loopback", always=False)


# The third of its key patterns is that of the row's keys.
RESTRICTED = "default on nopass resetkeys ~app:* ~session:* ~s:* -@all +@read +@write +@connection -@dangerous +flushall (~other:* +get)"


def restricted(ctx):
    """GET of the default user, with and without rules, by turns."""
    words = ("--connections", UNDER_WAY, "--script", SCRIPT, "--only", "GET", "--keys", ctx.keys // 4, "--pipeline", 32, "--warmup", 0.1)

    def one(**directives):
        return load(ctx, lambda path: Box(ctx, "virtio-user", path, BOX_IP, **directives), ctx.seconds, *words, patience=120)
    while True:
        a, b = one(user=RESTRICTED), one()
        yield {f"ACL P{p['pipeline']}": (p["rate"], q["rate"], {"box_rx_burst": a["box_rx_burst"], "generator_idle": p["idle_share"]})
               for p, q in zip(a["parts"], b["parts"])}


ENGINE_ROUNDS = 20  # of 65 536 requests: 1.4 ms of C, where M has three times 15 ms; the best of a few such short ones is not C's best yet


def engine(ctx, only):
    """{line: million operations a second} of the command engine in process (C) and of memory (M), on the server core."""
    command = [ctx.build / "tests/bench/engine_bench", ctx.keys, ENGINE_ROUNDS, only]
    with Process("engine", command, ctx.folder, core=SERVER_CORE) as process:
        if process.wait(120) != 0:
            raise Trouble(f"engine_bench: {process.tail()}")
        return {name: float(rate) * 1e6 for name, rate in re.findall(r"^(\S+) +[\d.]+ ns +([\d.]+) M/s", process.out_path.read_text(), re.M)}


def pipelined(ctx):
    while True:
        a = box_get(ctx, "--pipeline", 32, "--connections", CONNECTIONS // 32)
        yield {"G3": (a["rate"], engine(ctx, "GET/32")["GET/32"], notes_of(a))}


def batches(ctx):
    while True:
        found = engine(ctx, "GET")
        notes = {"M/1": round(found["M/1"]), "M/32": round(found["M/32"])}
        yield {"G4 M": (found["GET/32"], found["M/32"], notes), "G4 batch": (found["GET/32"], found["GET/1"], notes)}


LOADS = (10, 50, 70, 90)  # percent of what a closed loop reaches


def latencies(ctx):
    """p99.9 in an open loop, the box's and that of a server that does the least there is to do (the reflector, in testpmd's place: the echo
    answers no TCP), at the same absolute rates; and beside ten GETs of 10 MB a second."""
    def at(server, rate, *words):
        return load(ctx, server, ctx.seconds, "--keys", ctx.keys // 4, "--open-rate", round(rate), *words, patience=90)

    def box(path):
        return Box(ctx, "virtio-user", path, BOX_IP)

    def reflector(path):
        return Reflector(ctx, path)

    while True:
        most = box_get(ctx)["rate"]  # of this pair: the machine's speed drifts
        notes, found = {"full_rate": round(most)}, {}
        for percent in LOADS:
            a, b = at(box, most * percent / 100, "--fill"), at(reflector, most * percent / 100)
            for quantile in ("p50", "p99.9"):
                notes[f"{percent}% {quantile}"] = f"{a['latency_us'][quantile]}/{b['latency_us'][quantile]} us"
            found[percent] = a["latency_us"]["p99.9"], b["latency_us"]["p99.9"]
        big = at(box, most * 0.7, "--fill", "--big-rate", 10, "--big-size", 10 << 20)
        notes["big_bytes"] = big["big_bytes"]
        yield {"G7 echo": (*found[70], notes), "G7 big": (big["latency_us"]["p99.9"], found[70][0], notes)}


def key_memory(ctx):
    """Bytes a key of 16 bytes with a value of 64 takes beside these 80: an arena 95 % full, every key replaced ten times over; pages of the
    arena on our side, of jemalloc on redis-server's, which has as many keys and the same churn. A value, not a rate: B of the first two is 1."""
    program = ctx.build / "tests/unit/store/test_store_overhead"
    with Process("key_memory", [program, "measure", ctx.arena_mb], ctx.folder, core=SERVER_CORE) as process:
        if process.wait(300) != 0:
            raise Trouble(f"test_store_overhead: {process.tail()}")
        text = process.out_path.read_text()
    found = re.findall(r"TTL: +(\d+) keys .*: ([\d.]+) B a key used, ([\d.]+) B reserved", text)
    if len(found) != 2:
        raise Trouble(f"test_store_overhead: {text[-200:]}")
    (keys, used, plain), (_, used_ttl, ttl) = [(int(n), float(u), float(r)) for n, u, r in found]
    with Redis(ctx, "127.0.0.1", 7377) as redis:
        before = redis.allocated()
        redis.fill(keys)
        redis.churn(keys, 10)
        theirs = (redis.allocated() - before) / keys - KEY - VALUE
    notes = {"keys": keys, "used": used, "used_with_ttl": used_ttl}
    yield {"G8": (plain, 1, notes), "G8 TTL": (ttl, 1, notes), "G8 redis": (plain, theirs, notes)}


def kernel_client(ctx):
    """A namespace for the client with two veth pairs: redis-server is in a namespace at the end of one, the box has the end of the
    other by af_packet. Both links carry each frame once between the client's stack and the server's."""
    keys, clients = 100000, 50
    with Namespace("slbclient") as client, Namespace("slbserver") as server, Namespace("slbbox") as end, \
            contextlib.ExitStack() as stack:
        for net, peer in ((0, server), (1, end)):
            run("ip", "link", "add", f"veth{net}", "type", "veth", "peer", "name", "eth0", "netns", peer.name, netns=client.name)
            run("ip", "addr", "add", f"10.79.{net}.1/24", "dev", f"veth{net}", netns=client.name)
            run("ip", "link", "set", f"veth{net}", "up", netns=client.name)
            run("sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1", netns=peer.name)  # no frames but the measured ones
            run("ip", "link", "set", "eth0", "up", netns=peer.name)
        run("ip", "addr", "add", "10.79.0.2/24", "dev", "eth0", netns=server.name)
        # The box sees frames as they are: the client's kernel has to fill its checksums in, which redis-server's link spares it.
        run("ethtool", "-K", "veth1", "tx", "off", netns=client.name)

        def rates(address):
            def once(test, requests, pipeline):
                return redis_benchmark(ctx, address, 6379, test, requests, clients, pipeline, keys, netns=client.name)
            once("set", 3 * keys, 16)
            return once("get", 40000 * ctx.seconds, 1), once("get", 250000 * ctx.seconds, 16)

        redis = stack.enter_context(Redis(ctx, "10.79.0.2", 6379, netns=server.name))
        while True:
            with ctx.nearness.side(), Box(ctx, "af_packet", "eth0", "10.79.1.2", netns=end.name) as box:
                wait_until(30, "the box on its veth", lambda: ping("10.79.1.2", 6379, client.name) or not box.process.running())
                if not box.process.running():
                    raise Trouble(f"no box: {box.tail()}")
                a = rates("10.79.1.2")
                notes = {"box_rx_burst": box.mean_rx_burst()}
            with ctx.nearness.side():
                b = rates(redis.address)
            yield {"G11 P1": (a[0], b[0], notes), "G11 P16": (a[1], b[1], notes)}


MEASUREMENTS = [
    Measurement([Row("gen", "our generator against a reflector / E", 0.33, 0.45)], generator_limit, "reflector", "echo frames"),
    Measurement([Row("G1", "GET, pipeline 1, 1000 connections / E", 0.10, 0.25)], get_to_echo, "box", "echo frames"),
    Measurement([Row("G2", "the same / redis-server on loopback", 10, 25)], get_to_redis, "box", "redis-server"),
    Measurement([Row("G3", "GET, pipeline 32 / C: the engine in process, batches of 32", 0.30, 0.50)], pipelined, "box", "engine"),
    Measurement([Row("G4 M", "C in batches of 32 / M, memory", 0.35, 0.60), Row("G4 batch", "C in batches of 32 / one by one", 3, 5)],
                batches, "engine", "memory, or the engine one by one"),
    Measurement([Row("G7 echo", "p99.9 at 70 % load / a reflector's", 4, 2, "us"),
                 Row("G7 big", "p99.9 with ten 10-MB GETs a second / without", 4, 1.5, "us")],
                latencies, "box, or beside big GETs", "reflector, or without"),
    Measurement([Row("G5 SET", "SET / GET, TTLs, full memory, eviction", 0.70, 0.90),
                 Row("G5 50/50", "50-50 / GET, the same", 0.70, 0.90)], mixes(""), "SET or 50/50", "GET"),
    Measurement([Row("G5 SET zipf", "SET / GET, the same, keys by Zipf's law", 0.70, 0.90),
                 Row("G5 50/50 zipf", "50-50 / GET, the same", 0.70, 0.90)], mixes(" zipf", "--zipf", 0.99), "SET or 50/50", "GET"),
    Measurement([Row("G5 link", f"SET of one hot key / GET of it, of which {MISS_SHARE:.0%} find nothing: what frames leave of G5", None, None)],
                hot_key, "SET", "GET"),
    Measurement([Row("G8", "bytes beyond key and value, a key of 16 + 64, after tenfold churn, arena 95 % full", 32, 16, "B"),
                 Row("G8 TTL", "the same with TTLs", 32, 18, "B"), Row("G8 redis", "the first / redis-server's", 0.4, 0.2, "B")],
                key_memory, "box", "1, or redis-server", once=True),
    Measurement([Row("ACL P1", "GET by a user with key patterns, categories and a selector / by the unrestricted default user, pipeline 1", 0.95, 0.98),
                 Row("ACL P32", "the same, pipeline 32", 0.95, 0.98)], restricted, "restricted", "unrestricted", always=False),
    Measurement([Row("G9 P1", "GET over TLS 1.3, pipeline 1 / without TLS", 0.5, 0.75),
                 Row("G9 bulk", "bytes of 16-KB GETs over TLS / openssl speed", 0.6, 0.85, "B/s"),
                 Row("G9 storm", "GET over TLS, pipeline 1, beside a storm of handshakes / without", 0.7, 0.95)],
                tls_costs, "box, TLS", "box without TLS, openssl, or no storm"),
    Measurement([Row("G10i 100k", "GET of 1000 connections beside 100 000 idle ones / without them", 0.80, 0.95),
                 Row("G10i 1M", "the same beside 1 000 000 idle ones", 0.80, 0.95)], idle_connections, "beside idle ones", "alone"),
    Measurement([Row("G10s rate", "50-50 of 1000 connections while snapshots are written / quiet", 0.8, 0.95),
                 Row("G10s p99.9", "their p99.9 / quiet", 3, 1.3, "us")], during_snapshots, "during snapshots", "quiet", always=False),
    Measurement([Row("G11 P1", "redis-benchmark, box on a veth by af_packet / redis-server on a veth, pipeline 1", 1, 1.5),
                 Row("G11 P16", "the same, pipeline 16", 1, 1.5)], kernel_client, "box", "redis-server"),
    Measurement([Row("G12 restart", "seconds without service of a client over `sluice restart dataplane`", 3, 0.5, "s"),
                 Row("G12 SIGTERM", "the same, SIGTERM of the dataplane", 3, 0.5, "s"), Row("G12 kept", "keys there afterwards / before", 1, 1, "keys")],
                warm_restarts, "box", "1, or before", always=False),
    *command_measurements(),
]
