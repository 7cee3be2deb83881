#!/usr/bin/python3
"""snapshots.py PART: what snapshots.sh asks of a box at $BOX, whose files are in $RUN. redis-server and redis-check-rdb are the referees."""
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

import redis

BOX, RUN, HERE = os.environ["BOX"], os.environ["RUN"], os.environ["HERE"]


def box(**more):
    return redis.Redis(BOX, 6379, socket_timeout=30, **more)


def until(condition, seconds=30):
    end = time.time() + seconds * int(os.environ.get("SLUICE_PATIENCE", 1))
    while not condition():
        assert time.time() < end, "it did not come about"
        time.sleep(0.02)


def saved(r):
    """A new snapshot that has gone well."""
    before = 0

    def begins():
        nonlocal before
        before = r.info("persistence")["rdb_saves"]
        try:
            return r.bgsave()
        except redis.ResponseError as e:  # a save point, or FLUSHALL, has begun one
            assert "already in progress" in str(e), e
            return False
    until(begins)
    until(lambda: not r.info("persistence")["rdb_bgsave_in_progress"])
    after = r.info("persistence")
    assert after["rdb_saves"] > before and after["rdb_last_bgsave_status"] == "ok", after


def file_of(r):
    return os.path.join(r.config_get("dir")["dir"], r.config_get("dbfilename")["dbfilename"])


def check(path):
    done = subprocess.run(["redis-check-rdb", path], capture_output=True, text=True)
    assert done.returncode == 0 and "RDB looks OK" in done.stdout, done.stdout[-500:]
    return done.stdout


class Oracle:
    """redis-server with the file."""

    def __init__(self, path, *more):
        self.folder = tempfile.mkdtemp()
        os.link(path, self.folder + "/dump.rdb") if os.stat(path).st_dev == os.stat(self.folder).st_dev else \
            open(self.folder + "/dump.rdb", "wb").write(open(path, "rb").read())
        self.process = subprocess.Popen(["redis-server", "--bind", HERE, "--port", "7143", "--save", "", "--dir", self.folder, "--databases", "16",
                                         "--protected-mode", "no", "--enable-debug-command", "yes", *more], stdout=subprocess.DEVNULL)
        self.r = redis.Redis(HERE, 7143)

        def up():
            try:
                return self.r.ping() and not self.r.info("persistence")["loading"]
            except redis.RedisError:
                return False
        until(up)

    def __enter__(self):
        return self.r

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        subprocess.run(["rm", "-rf", self.folder])


def all_types(r, random_=random.Random(1)):
    r.flushall()
    for db in (0, 3, 15):
        c = box(db=db)
        p = c.pipeline(transaction=False)
        for n in (1, 3, 40, 600):
            texts = [f"element {i} {'x' * random_.choice((1, 5, 80))}" for i in range(n)]
            p.rpush(f"list {n}", *texts, *range(n))
            p.sadd(f"set {n}", *texts)
            p.sadd(f"ints {n}", *range(-n, n * 70000, 70000))
            p.hset(f"hash {n}", mapping={t: i for i, t in enumerate(texts)})
            p.zadd(f"zset {n}", {t: random_.random() * 1e6 for t in texts})
            for i in range(n):
                p.xadd(f"stream {n}", {"a": i, f"b{i % 3}": texts[i]}, id=f"{i + 1}-1")
            p.xgroup_create(f"stream {n}", "group", 0)
            p.xreadgroup("group", "consumer", {f"stream {n}": ">"}, count=n // 2 + 1)
            p.pfadd(f"hll {n}", *texts)
        for i in range(3000):
            p.set(f"string {i}", random_.choice((i, -i, i * 10 ** 10, "t" * (i % 300), "compress" * (i % 90), os.urandom(i % 50))))
        for i in range(0, 3000, 7):
            p.pexpireat(f"string {i}", 1900000000000 + i)
        p.set("large", os.urandom(200000) + b"z" * 300000)
        p.setrange("holes", 100000, "end")
        p.rpush("large elements", "p" * 100000, "q" * 9000)
        p.execute()
    r.function_load("#!lua name=mylib\nredis.register_function('f', function() return 1 end)", replace=True)


def digests():
    r = box()
    all_types(r)
    for compression in ("yes", "no"):
        r.config_set("rdbcompression", compression)
        saved(r)
        check(file_of(r))
        with Oracle(file_of(r)) as o:
            for db in (0, 3, 15):
                there = redis.Redis(HERE, 7143, db=db)
                here = box(db=db)
                assert here.dbsize() == there.dbsize(), (db, here.dbsize(), there.dbsize())
                assert here.ttl("string 7") in (there.ttl("string 7"), there.ttl("string 7") + 1)
                assert here.object("encoding", "zset 600") == there.object("encoding", "zset 600")
            ours, theirs = r.execute_command("debug", "digest"), o.execute_command("debug", "digest")
            assert ours == theirs, (ours, theirs)
            assert o.fcall("f", 0) == 1


def strings(path):
    """All keys of a file that has integers and short strings alone, as (db, key): text."""
    b, at, db, found = open(path, "rb").read(), 9, 0, {}

    def length():
        nonlocal at
        first = b[at]
        at += 1
        if first < 0x40:
            return first, False
        if first < 0x80:
            at += 1
            return (first & 63) << 8 | b[at - 1], False
        if first == 0x80:
            at += 4
            return struct.unpack(">I", b[at - 4:at])[0], False
        return first & 63, True

    def string():
        nonlocal at
        n, special = length()
        if special:
            size = 1 << n
            at += size
            return str(int.from_bytes(b[at - size:at], "little", signed=True)).encode()
        at += n
        return b[at - n:at]
    while True:
        code = b[at]
        at += 1
        if code == 0xff:
            return found
        if code == 0xfe:
            db = length()[0]
        elif code == 0xfb:
            length(), length()
        elif code == 0xfa:
            string(), string()
        elif code == 0xfc:
            at += 8
        else:
            assert code == 0, (code, at)
            name = string()
            assert (db, name) not in found, f"{name} twice"
            found[db, name] = string()


def invariant(count):
    """Twenty keys over all shards are raised together; 20000 others are written, removed and expire meanwhile."""
    r = box()
    r.flushall()
    r.config_set("rdbcompression", "no")
    r.config_set("save", "")  # or one comes by itself and counts, too
    names, stop, errors, written = [f"sum:{i}" for i in range(20)], threading.Event(), [], [0]

    def transactions(seed):
        c, n = box(), 0
        while not stop.is_set():
            with c.pipeline() as p:
                for name in names:
                    p.incr(name)
                replies = p.execute()
            if len(set(replies)) != 1:
                errors.append(replies)
            n += 1
        written[0] += n

    def noise(seed):
        c, rnd = box(), random.Random(seed)
        while not stop.is_set():
            p = c.pipeline(transaction=False)
            for _ in range(100):
                k, what = f"noise:{rnd.randrange(20000)}", rnd.randrange(8)
                if what < 4:
                    p.set(k, rnd.randrange(10 ** 6))
                elif what == 4:
                    p.delete(k)
                elif what == 5:
                    p.set(k, 1, px=rnd.randrange(1, 50))
                elif what == 6:
                    p.append(k, "7")
                else:
                    p.set(k, "x" * rnd.randrange(40))
            p.execute()
    threads = [threading.Thread(target=f, args=(i,)) for i, f in enumerate((transactions, transactions, noise))]
    r.set("fill", 1)
    r.execute_command("debug", "populate", 20000, "noise", 20)
    for t in threads:
        t.start()
    try:
        until(lambda: r.exists(*names) == len(names))
        seen = set()
        for _ in range(int(count)):
            low = int(r.get(names[0]))
            saved(r)
            high = int(r.get(names[0]))
            found = strings(file_of(r))
            values = {int(found[0, n.encode()]) for n in names}
            assert len(values) == 1, values
            assert low <= min(values) <= high, (low, values, high)
            seen |= values
        assert len(seen) > int(count) // 2, "nothing was written meanwhile"
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not errors, errors[:3]
    check(file_of(r))
    print(f"{written[0]} transactions, at most {r.info('persistence')['rdb_last_cow_size']} bytes aside")


def policies():
    r = box()
    for policy in ("allkeys-lru", "allkeys-lfu"):
        r.config_set("maxmemory-policy", policy)
        r.flushall()
        r.execute_command("restore", "k", 0, r.dump("x") or b"", "replace") if r.exists("x") else r.set("k", "v")
        for _ in range(50):
            r.get("k")
        began = time.monotonic()
        saved(r)
        with Oracle(file_of(r), "--maxmemory-policy", policy) as o:
            if policy.endswith("lfu"):
                assert abs(o.object("freq", "k") - r.object("freq", "k")) <= 1
            else:
                there, here, passed = o.object("idletime", "k"), r.object("idletime", "k"), time.monotonic() - began
                assert -2 <= here - there <= 2 + passed, (here, there, passed)  # nobody counts while redis-server starts
    r.config_set("maxmemory-policy", "noeviction")


def commands():
    r = box()
    start = r.lastsave()
    p = r.pipeline(transaction=False)
    for i in range(500):
        p.set(f"k{i}", i)
    p.execute()
    until(lambda: r.lastsave() > start)
    until(lambda: r.info("persistence")["rdb_changes_since_last_save"] == 0)
    r.config_set("save", "")
    r.set("k", 1)
    assert r.info("persistence")["rdb_changes_since_last_save"] == 1
    assert r.config_get("save")["save"] == ""
    r.config_set("dbfilename", "other.rdb")
    assert r.save() is True
    check(file_of(r))
    assert file_of(r).endswith("/other.rdb")
    assert r.info("persistence")["rdb_changes_since_last_save"] == 0
    r.config_set("dbfilename", "dump.rdb")
    assert r.execute_command("bgsave", "schedule") in (b"Background saving started", True)
    until(lambda: not r.info("persistence")["rdb_bgsave_in_progress"])
    try:
        r.execute_command("bgsave", "x")
        assert False
    except redis.ResponseError as e:
        assert str(e) == "syntax error"
    try:
        r.config_set("dir", "/nowhere/at/all")
        assert False
    except redis.ResponseError as e:
        assert "dir" in str(e), e


def full():
    r = box()
    r.set("small", 1)
    saved(r)
    before = open(file_of(r), "rb").read()
    for i in range(40):
        r.set(f"large {i}", os.urandom(100000))
    r.bgsave()
    until(lambda: not r.info("persistence")["rdb_bgsave_in_progress"])
    info = r.info("persistence")
    assert info["rdb_last_bgsave_status"] == "err", info
    assert open(file_of(r), "rb").read() == before and os.listdir(os.path.dirname(file_of(r))) == ["dump.rdb"]

    def refused():
        try:
            r.set("x", 1)
            return False
        except redis.ResponseError as e:
            assert str(e).startswith("MISCONF Redis is configured to save RDB snapshots"), e
            return True
    def flushed():
        try:
            return r.flushall()
        except redis.ResponseError as e:
            assert str(e).startswith("MISCONF"), e
            return False
    until(refused, 30)
    assert r.get("small") == b"1"
    with r.pipeline() as p:
        p.set("x", 1)
        try:
            p.execute()
            assert False
        except (redis.ResponseError, redis.exceptions.ExecAbortError) as e:
            assert "MISCONF" in str(e) or "EXECABORT" in str(e), e
    r.config_set("stop-writes-on-bgsave-error", "no")
    until(flushed, 30)  # another worker than that of a key may hear of it a moment later
    r.config_set("stop-writes-on-bgsave-error", "yes")
    until(refused, 30)
    saved(r)
    until(lambda: not refused(), 30)
    check(file_of(r))


def pid(name):
    return int(open(f"{RUN}/{name}").read())


def is_gone(process):
    try:
        return open(f"/proc/{process}/stat").read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def identity(path):
    """Of a file; the number alone may be given again when its file has gone."""
    about = os.stat(path)
    return about.st_ino, about.st_mtime_ns


def killed():
    r = box()
    r.config_set("rdbcompression", "no")
    r.execute_command("debug", "populate", 200000, "key", 100)
    saved(r)
    for i in range(int(os.environ.get("KILLS", 6))):
        r.set("generation", i)
        before = identity(file_of(r))
        path = file_of(r)
        r.bgsave()
        time.sleep(0.01 * (i % 20))
        if i % 2 == 0:
            os.kill(pid("state/dataplane.pid"), signal.SIGKILL)
        else:
            control = pid("control.pid")
            os.kill(control, signal.SIGKILL)
            until(lambda: is_gone(control))  # or the next one finds its sockets taken
            return_control()

        def well():
            if is_gone(pid("control.pid")):  # an init system starts it again
                return_control()
            try:
                return box().ping() and not box().info("persistence")["rdb_bgsave_in_progress"]
            except redis.RedisError:
                return False
        until(well, 60)
        assert os.stat(path).st_ino
        check(path)
        r = box()
        r.config_set("rdbcompression", "no")
        if i % 2 == 0:
            r.execute_command("debug", "populate", 200000, "key", 100)
        until(lambda: can_save(r), 60)
        check(path)
        assert identity(path) != before


def can_save(r):
    try:
        saved(r)
        return True
    except (redis.RedisError, AssertionError):
        return False


def return_control():
    words = open(f"/proc/{pid('state/dataplane.pid')}/comm").read()
    assert words.startswith("sluice-dataplan")
    command = [w for w in open(f"{RUN}/command").read().split("\0") if w]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(f"{RUN}/control.err", "a"), start_new_session=True)
    open(f"{RUN}/control.pid", "w").write(f"{process.pid}\n")


def shutdown():
    r = box()
    r.flushall()
    path = file_of(r)
    for i in range(100):
        r.set(f"k{i}", i)
    dataplane = pid("state/dataplane.pid")
    try:
        r.shutdown()
    except redis.RedisError:
        pass
    until(lambda: is_gone(dataplane), 60)
    check(path)
    assert len(strings(path)) == 100


if __name__ == "__main__":
    {f.__name__: f for f in (digests, invariant, policies, commands, full, killed, shutdown)}[sys.argv[1]](*sys.argv[2:])
