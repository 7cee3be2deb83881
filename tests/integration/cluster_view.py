#!/usr/bin/python3
"""cluster_view.py: redis-cli -c and Debian's python3-redis' RedisCluster against a Redis Cluster, or a box with `cluster-view workers`
(--port: of the first worker; --plain: the box' own port, --stats: of its statistics). Empties the servers."""

import re
import socket
import subprocess
import urllib.request

import redis
from redis.cluster import ClusterNode, RedisCluster

from tap import Skip, Tap


class ClusterTap(Tap):
    def arguments(self):
        parser = super().arguments()
        parser.add_argument("--plain", type=int, default=0, help="the box' own port (0: there is none)")
        parser.add_argument("--stats", type=int, default=0, help="port of its statistics on 127.0.0.1 (0: there is none)")
        return parser


tap = ClusterTap("cluster-view")


def cluster(o, **options):
    return RedisCluster(startup_nodes=[ClusterNode(o.host, o.port)], socket_timeout=20, **options)


def plain(o):
    if not o.plain:
        raise Skip("no port beside the cluster's")
    return redis.Redis(host=o.host, port=o.plain, socket_timeout=20)


def nodes_of(o):
    """(first slot, last slot, host, port) of each node."""
    slots = redis.Redis(host=o.host, port=o.port).execute_command("CLUSTER SLOTS")
    rows = slots.items() if isinstance(slots, dict) else [((s[0], s[1]), s[2]) for s in slots]
    found = []
    for (first, last), what in rows:
        node = what["primary"] if isinstance(what, dict) else what
        found.append((first, last, node[0].decode() if isinstance(node[0], bytes) else node[0], int(node[1])))
    return sorted(found)


def redis_cli(o, *words, text=None, port=None):
    command = ["redis-cli", "-h", o.host, "-p", str(port or o.port), *words]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False).stdout


class Line:
    """A connection by hand: a request a line, replies as bytes."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), 10)
        self.file = self.socket.makefile("rb")

    def reply(self):
        line = self.file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        return [self.reply() for _ in range(int(rest))] if kind == b"*" else line

    def ask(self, request):
        self.socket.sendall(request.encode() + b"\r\n")
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()


@tap.test("the map: every slot once, each node knows itself")
def _(o):
    nodes = nodes_of(o)
    assert nodes[0][0] == 0 and nodes[-1][1] == 16383
    for left, right in zip(nodes, nodes[1:]):
        assert left[1] + 1 == right[0]
    ids = set()
    for first, last, host, port in nodes:
        line = Line(host, port)
        text = line.ask("CLUSTER NODES").decode()
        assert len(text.splitlines()) == len(nodes), text
        mine = [row for row in text.splitlines() if "myself" in row]
        assert len(mine) == 1 and f":{port}@" in mine[0] and mine[0].endswith(f" {first}-{last}"), text
        assert mine[0].startswith(line.ask("CLUSTER MYID").decode())
        assert b"cluster_state:ok" in line.ask("CLUSTER INFO")
        assert len(line.ask("CLUSTER SHARDS")) == len(nodes)
        assert b"redis_mode:cluster" in line.ask("INFO server") and b"cluster_enabled:1" in line.ask("INFO cluster")
        ids.add(line.ask("CLUSTER MYID"))
        line.close()
    assert len(ids) == len(nodes)


@tap.test("redis-cli -c follows MOVED")
def _(o):
    cluster(o).flushall()
    lines = "".join(f"SET key:{i} {i}\n" for i in range(200)) + "".join(f"GET key:{i}\n" for i in range(200))
    out = [line for line in redis_cli(o, "-c", text=lines).splitlines() if not line.startswith("->")]
    assert out == ["OK"] * 200 + [str(i) for i in range(200)], out[:20]
    moved = redis_cli(o, text=lines)
    assert ("MOVED" in moved) == (len(nodes_of(o)) > 1)


@tap.test("redis-cli --cluster check and call")
def _(o):
    out = redis_cli(o, "--cluster", "check", f"{o.host}:{o.port}", port=o.port)
    assert "All 16384 slots covered" in out and "All nodes agree about slots configuration" in out, out
    out = subprocess.run(["redis-cli", "--cluster", "call", f"{o.host}:{o.port}", "dbsize"], capture_output=True, text=True,
                         timeout=60, check=False).stdout
    assert sum(int(n) for n in re.findall(r": (\d+)\s*$", out, re.M)) == 200, out


@tap.test("RedisCluster: keys of all slots, a pipeline over all nodes")
def _(o):
    r = cluster(o)
    r.flushall()
    for i in range(1000):
        assert r.set(f"k{i}", i)
    assert all(r.get(f"k{i}") == str(i).encode() for i in range(1000))
    pipe = r.pipeline()
    for i in range(1000):
        pipe.incr(f"k{i}")
    assert pipe.execute() == list(range(1, 1001))
    assert r.mget_nonatomic([f"k{i}" for i in range(300)]) == [str(i + 1).encode() for i in range(300)]
    assert r.mset_nonatomic({f"m{i}": i for i in range(300)}) and r.delete(*[f"m{i}" for i in range(300)]) == 300
    assert r.exists(*[f"k{i}" for i in range(1000)]) == 1000


@tap.test("RedisCluster: each node tells of its own keys alone")
def _(o):
    r = cluster(o)
    assert r.dbsize(target_nodes=RedisCluster.PRIMARIES) == 1000
    keys = r.keys("*", target_nodes=RedisCluster.PRIMARIES)
    assert len(keys) == len(set(keys)) == 1000
    scanned = list(r.scan_iter(count=50))
    assert len(scanned) == len(set(scanned)) == 1000
    assert r.randomkey() in keys
    for first, last, host, port in nodes_of(o):
        line = Line(host, port)
        mine = line.ask("KEYS *")
        assert all(first <= r.keyslot(key) <= last for key in mine) and line.ask("DBSIZE") == b":%d" % len(mine)
        slot = r.keyslot(mine[0])
        inside = [key for key in mine if r.keyslot(key) == slot]
        assert line.ask(f"CLUSTER COUNTKEYSINSLOT {slot}") == b":%d" % len(inside)
        assert sorted(line.ask(f"CLUSTER GETKEYSINSLOT {slot} 100")) == sorted(inside)
        assert f"keys={len(mine)},".encode() in line.ask("INFO keyspace")
        line.close()


@tap.test("RedisCluster: hash tags, EVAL, locks by SET NX, streams, sorted sets")
def _(o):
    r = cluster(o)
    for tag in range(50):
        a, b = f"{{t{tag}}}a", f"{{t{tag}}}b"
        assert r.mset({a: 1, b: 2}) and r.mget(a, b) == [b"1", b"2"]
        assert r.eval("return redis.call('incrby', KEYS[1], ARGV[1])", 1, a, 5) == 6
        assert r.set(f"lock{tag}", "me", nx=True, ex=10) and not r.set(f"lock{tag}", "you", nx=True)
        assert r.xadd(f"s{tag}", {"f": tag}) and r.xlen(f"s{tag}") == 1
        assert r.zadd(f"z{tag}", {"m": tag}) == 1 and r.zscore(f"z{tag}", "m") == tag
        assert r.rename(a, f"{{t{tag}}}c") and r.get(f"{{t{tag}}}c") == b"6"
    try:
        r.mget("a", "b")
        assert False, "MGET of two slots"
    except redis.exceptions.RedisClusterException:
        pass


@tap.test("RedisCluster: a library of functions is loaded, called and deleted at all nodes")
def _(o):
    r = cluster(o)
    r.function_flush()
    code = "#!lua name=lib\nredis.register_function('put', function(keys, args) return redis.call('set', keys[1], args[1]) end)"
    r.function_load(code)
    for i in range(20):
        assert r.fcall("put", 1, f"f{i}", i) in (b"OK", "OK", True) and r.get(f"f{i}") == str(i).encode()
    r.function_load(code, replace=True)
    assert r.function_delete("lib")
    try:
        r.fcall("put", 1, "f", 1)
        assert False, "FCALL without its library"
    except redis.ResponseError as error:
        assert "Function not found" in str(error)


@tap.test("RedisCluster: Pub/Sub between nodes")
def _(o):
    r = cluster(o)
    p = r.pubsub()
    p.subscribe("news")
    assert p.get_message(timeout=10)["type"] == "subscribe"
    r.publish("news", "hello")
    message = p.get_message(timeout=10)
    assert message["type"] == "message" and message["data"] == b"hello", message
    p.close()


@tap.test("MULTI of one slot; CROSSSLOT and MOVED inside it")
def _(o):
    for first, last, host, port in nodes_of(o):
        line = Line(host, port)
        r = cluster(o)
        here = [f"{{{i}}}" for i in range(2000) if first <= r.keyslot(f"{i}") <= last][:2]
        a, other = here
        assert line.ask("MULTI") == b"+OK"
        assert line.ask(f"SET {a}x 1") == line.ask(f"INCR {a}x") == line.ask(f"MGET {a}x {a}y") == b"+QUEUED"
        assert line.ask("EXEC") == [b"+OK", b":2", [b"2", None]]
        assert line.ask("MULTI") == b"+OK" and line.ask(f"GET {a}x") == line.ask(f"GET {other}x") == b"+QUEUED"
        assert line.ask("EXEC") == b"-CROSSSLOT Keys in request don't hash to the same slot"
        away = [i for i in range(2000) if not first <= r.keyslot(f"{i}") <= last]
        if away:
            slot = r.keyslot(str(away[0]))
            assert line.ask("MULTI") == b"+OK" and line.ask(f"GET {away[0]}").startswith(b"-MOVED %d " % slot)
            assert line.ask("EXEC").startswith(b"-EXECABORT")
        assert line.ask(f"WATCH {a}x") == b"+OK" and line.ask("MULTI") == b"+OK"
        assert line.ask(f"GET {a}x") == b"+QUEUED" and line.ask("EXEC") == [b"2"]
        line.close()


@tap.test("SSUBSCRIBE where the channel's slot is, MOVED elsewhere")
def _(o):
    r, nodes = cluster(o), nodes_of(o)
    for name in ("c1", "c2", "c3", "c4"):
        slot = r.keyslot(name)
        for first, last, host, port in nodes:
            line, other = Line(host, port), Line(host, port)
            if first <= slot <= last:
                assert line.ask(f"SSUBSCRIBE {name}") == [b"ssubscribe", name.encode(), b":1"]
                assert other.ask(f"SPUBLISH {name} hi") == b":1"
                assert line.reply() == [b"smessage", name.encode(), b"hi"]
                if o.plain:
                    assert plain(o).execute_command("SPUBLISH", name, "there") == 1
                    assert line.reply() == [b"smessage", name.encode(), b"there"]
            else:
                assert line.ask(f"SSUBSCRIBE {name}").startswith(b"-MOVED %d " % slot)
                assert other.ask(f"SPUBLISH {name} hi").startswith(b"-MOVED %d " % slot)
            line.close()
            other.close()


@tap.test("the box' own port shows the same data, whole")
def _(o):
    whole, r = plain(o), cluster(o)
    r.flushall()
    for i in range(300):
        r.set(f"p{i}", i)
    assert whole.dbsize() == 300 and len(whole.keys("p*")) == 300
    assert whole.mget([f"p{i}" for i in range(300)]) == [str(i).encode() for i in range(300)]
    whole.mset({f"p{i}": -i for i in range(300)})
    assert all(int(r.get(f"p{i}")) == -i for i in range(300))
    try:
        whole.execute_command("CLUSTER INFO")
        assert False, "CLUSTER INFO on the box' own port"
    except redis.ResponseError as error:
        assert "cluster support disabled" in str(error)
    assert whole.info("cluster")["cluster_enabled"] == 0 and whole.info("server")["redis_mode"] == "standalone"


@tap.test("FLUSHALL of one node leaves the others alone")
def _(o):
    r = cluster(o)
    r.flushall()
    for i in range(300):
        r.set(f"f{i}", i)
    first, last, host, port = nodes_of(o)[0]
    line = Line(host, port)
    assert line.ask("FLUSHALL") == b"+OK" and line.ask("DBSIZE") == b":0"
    line.close()
    left = [i for i in range(300) if not first <= r.keyslot(f"f{i}") <= last]
    assert r.dbsize(target_nodes=RedisCluster.PRIMARIES) == len(left)
    assert all(r.get(f"f{i}") == str(i).encode() for i in left)


def counters(o):
    text = urllib.request.urlopen(f"http://127.0.0.1:{o.stats}/metrics", timeout=10).read().decode()
    return [sum(int(float(v)) for v in re.findall(rf"^sluice_{name}_total{{[^}}]*}} (\S+)$", text, re.M)) for name in ("hops_sent", "barriers")]


@tap.test("no request of a client that follows the map goes to another worker, or stops them")
def _(o):
    if not o.stats:
        raise Skip("no statistics")
    r = cluster(o)
    r.flushall()
    before = counters(o)
    pipe = r.pipeline()
    for i in range(2000):
        pipe.set(f"h{i}", i)
    pipe.execute()
    for i in range(500):
        assert r.get(f"h{i}") == str(i).encode()
        r.mget(f"{{h{i}}}", f"{{h{i}}}x")
    assert r.dbsize(target_nodes=RedisCluster.PRIMARIES) == 2000 and len(list(r.scan_iter(count=100))) == 2000
    assert len(r.keys("h*", target_nodes=RedisCluster.PRIMARIES)) == 2000
    assert r.flushall()
    assert counters(o) == before, (before, counters(o))


tap.main()
