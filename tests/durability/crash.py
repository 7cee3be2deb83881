#!/usr/bin/python3
"""kill -9 of the dataplane under load of all types: whatever it was doing, the next one has all that was acknowledged (with its keys
in memory, or from the log), no transaction in part, and memory and log are the same. Prints TAP. Run by crash.sh. Arguments: words
that names of tests must have one of. KILLS=N: so many in each test, and all tests; SEED=N."""
import os
import random
import shutil
import signal
import sys
import threading
import time

import redis

from aof_box import check, digest, log_folder, settled, streams, write
from box import Oracle, Tap, alive, in_the_middle_now_and_then, until
from load import fill
from warm import TOOK, Writer, client, end_dataplane, with_box

KILLS = int(os.environ.get("KILLS", 2))
SEED = int(os.environ.get("SEED", 1))
WORDS = sys.argv[1:]
CRASHED = "left in memory when it crashed"
REFUSED = "What the dataplane before this one has left in memory is not used: "


class Load(threading.Thread):
    """Connects again after each crash. What was under way then may have happened or not."""

    def __init__(self, box, number):
        super().__init__(daemon=True)
        self.box, self.number, self.over, self.rounds = box, number, False, 0
        self.go = threading.Event()
        self.rests = threading.Event()
        self.go.set()

    def run(self):
        rng, r = random.Random(self.number), None
        while not self.over:
            if not self.go.is_set():
                self.rests.set()
                self.go.wait(1)
                continue
            self.rests.clear()
            try:
                r = r or self.box.client(socket_timeout=5, socket_connect_timeout=0.5)
                self.one(r, rng)
                self.rounds += 1
            except (redis.ConnectionError, redis.TimeoutError):
                r = None
            except redis.ResponseError:  # LOADING, MISCONF, a key of another type
                pass


EVERYSEC = 2  # seconds that may be lost: a write waits for at most one sync that is under way, as Redis says


class Counters(Load):
    """As warm.Writer: counts keys up and remembers what was acknowledged."""

    def __init__(self, box, number):
        super().__init__(box, number)
        self.acknowledged, self.sent, self.when = {}, {}, []  # when: (time, key, value) of each acknowledgement since the last crash

    def one(self, r, rng):
        for _ in range(20):
            key = f"w{self.number}:{rng.randrange(2000)}"
            value = self.sent.get(key, 0) + 1
            self.sent[key] = value
            r.set(key, value)
            self.acknowledged[key] = value
            self.when.append((time.monotonic(), key, value))

    def oldest_lost(self, have, killed):
        """How many acknowledged writes are not there, and how long before the kill the first of them was acknowledged, in s."""
        lost = [killed - at for at, key, value in self.when if have.get(key, 0) < value and at < killed]
        return len(lost), max(lost, default=0.0)

    read_all, check = Writer.read_all, Writer.check


class Mix(Load):
    def one(self, r, rng):
        write(r, rng, 20)


class Pairs(Load):
    """Transactions and scripts over two shards: two keys have the same value, always."""

    def one(self, r, rng):
        n, a, b = rng.randrange(20), rng.randrange(10**9), "x" * rng.randrange(3000)
        if rng.random() < 0.5:
            r.pipeline(transaction=True).set(f"{{a}}p{n}", f"{a}{b}").set(f"{{b}}p{n}", f"{a}{b}").execute()
        else:
            r.eval("redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[1])", 2, f"{{a}}p{n}", f"{{b}}p{n}", f"{a}{b}")

    @staticmethod
    def check(r):
        for n in range(20):
            pair = r.mget(f"{{a}}p{n}", f"{{b}}p{n}")
            assert pair[0] == pair[1], (n, [v and v[:20] for v in pair])


class Long(Load):
    """What runs in slices: each is there whole or not at all."""
    SIZE = 20000

    def one(self, r, rng):
        name = f"{{long}}{rng.randrange(3)}"
        if not r.exists("{long}from"):
            r.sadd("{long}from", *range(self.SIZE))
        change = rng.choice((("SUNIONSTORE", name, "{long}from"), ("COPY", "{long}from", name, "REPLACE"), ("DEL", name), ("UNLINK", name),
                             ("SORT", "{long}from", "STORE", name + "l"), ("SMEMBERS", "{long}from"), ("FLUSHDB",)))
        if change[0] == "FLUSHDB":
            change = ("SWAPDB", 8, 9) if rng.random() < 0.5 else ("EVAL", "redis.call('SELECT', 9) redis.call('FLUSHDB')", 0)
        r.execute_command(*change)

    @classmethod
    def check(cls, r):
        for i in range(3):
            assert r.scard(f"{{long}}{i}") in (0, cls.SIZE) and r.llen(f"{{long}}{i}l") in (0, cls.SIZE)


def crash(box, rng, stop=()):
    """Ends the dataplane at a random time and waits for the next one. The reason why memory was not taken over, or "", and when it was
    killed. stop: clients that do nothing from then on, until told to go on: what they would write would hide what is lost."""
    before, refused = box.log().count(CRASHED), box.log().count(REFUSED)
    time.sleep(rng.random() * 0.1)
    pid = box.dataplane_pid()
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    for one in stop:
        one.go.clear()
    until(60, lambda: not alive(pid), lambda: "the dataplane to be gone")
    box.sluice("restart", "dataplane")  # at once, not after a pause that grows with each crash
    until(120, lambda: box.dataplane_pid() not in (0, pid), lambda: "another dataplane\n" + box.log()[-2000:])
    box.wait("serving", 120)
    log = box.log()
    if log.count(CRASHED) > before:
        return "", killed
    assert log.count(REFUSED) > refused, log[-3000:]
    return log.rsplit(REFUSED, 1)[1].split("\n", 1)[0], killed


def differences(r, other):
    """Keys that are not the same, for whoever looks for the reason."""
    found = []
    for db in range(16):
        r.execute_command("SELECT", db)
        other.execute_command("SELECT", db)
        keys = sorted(set(r.keys()) | set(other.keys()))
        for key in keys:
            a, b = (c.execute_command("DEBUG", "DIGEST-VALUE", key)[0] for c in (r, other))
            if a != b or (r.pttl(key) < 0) != (other.pttl(key) < 0):
                found.append((db, key, r.type(key), other.type(key), r.pttl(key), other.pttl(key)))
    return found[:10]


def compare_with_log(box, r, loads):
    """Memory, which has outlived crashes, and what redis-server finds in the log."""
    for load in loads:
        load.go.clear()
    for load in loads:
        assert load.rests.wait(60), "a client does not rest"
    r.delete("short")
    settled(box, r)
    want, groups = digest(r), streams(r)
    folder = box.folder / f"copy-{random.randrange(10**9)}"
    shutil.copytree(log_folder(box), folder / "appendonlydir")
    oracle = Oracle("--dir", folder, "--appendonly", "yes", seconds=600)  # it runs all that the clients have done
    try:
        oracle.client.delete("short")
        if digest(oracle.client) != want:
            with box.client(single_connection_client=True) as c, redis.Redis("127.0.0.1", oracle.port, single_connection_client=True) as other:
                raise AssertionError(f"redis-server finds other data in the log: {differences(c, other)}")
        assert streams(oracle.client) == groups, "redis-server finds other groups in the log"
    finally:
        oracle.remove()
        shutil.rmtree(folder)
        for load in loads:
            load.go.set()


def memory_comes_back(r):
    """Whatever crashes have cut off, nothing is taken that nobody has."""
    r.flushall()
    r.function_flush()
    until(60, lambda: r.info("memory")["used_memory"] < 300_000, lambda: f"memory to come back: {r.info('memory')['used_memory']}")


def rewrites(r):
    """The crash comes before, in the middle of or behind it; and the log stays short."""
    try:
        r.bgrewriteaof()
    except redis.RedisError:  # one is under way, or nobody answers
        pass


def tell(reasons):
    warm = reasons.count("")
    others = {why: reasons.count(why) for why in reasons if why}
    return f"{len(reasons)} kills: {warm} times the keys stayed in memory; " + "; ".join(f"{n}: {why}" for why, n in others.items())


def killed(policy, workers):
    """policy: of appendfsync; None: there is no log, and what a crash in the middle leaves is the snapshot."""
    def test(box):
        box.start()
        r, rng, reasons, writes, lost, oldest = client(box), random.Random(SEED), [], 0, 0, 0.0
        fill(r)
        r.save()
        writers, loads = [Counters(box, i) for i in range(2)], [Mix(box, 11), Pairs(box, 12), Long(box, 13)]
        for thread in writers + loads:
            thread.start()
        try:
            for turn in range(KILLS):
                seen = [c.rounds for c in writers + loads]
                until(120, lambda: all(c.rounds > n for c, n in zip(writers + loads, seen)),
                      lambda: f"clients to go on in turn {turn}\n{box.log()[-2000:]}")
                if policy and turn % 2:
                    rewrites(r)
                reason, died = crash(box, rng, writers)
                reasons.append(reason)
                for w in writers:
                    all_have, when = w.read_all(r), w.when
                    for key, have in all_have.items():
                        assert have <= w.sent[key], (turn, reason, key, have, w.sent[key], box.log()[-3000:])
                    n, age = w.oldest_lost(all_have, died)
                    writes, lost, oldest = writes + len(when), lost + n, max(oldest, age)
                    # Of several workers, with everysec: what stands behind a record that one was killed in the middle of.
                    promised = not reason or policy == "always" or (policy and workers == 1)
                    assert not n or not (promised or (policy and age > EVERYSEC)), (turn, reason, n, age, box.log()[-3000:])
                    if reason and not promised:
                        w.acknowledged = {key: min(value, all_have.get(key, 0)) for key, value in w.acknowledged.items()}
                    w.when = []
                    w.go.set()
                Pairs.check(r)
                Long.check(r)
                digest(r)  # reads everything
                if policy and turn % 10 == 1:
                    compare_with_log(box, r, writers + loads)
        finally:
            for thread in writers + loads:
                thread.over = True
            for thread in writers + loads:
                thread.join(60)
        if policy:
            for w in writers:
                w.check(r)
            settled(box, r)
            check(box)
        memory_comes_back(r)
        return f"{tell(reasons)}; {writes} writes acknowledged since the kill before, {lost} of them lost, the oldest {oldest * 1000:.0f} ms before its kill"
    return lambda: with_box(test, appendonly="yes" if policy else "no", appendfsync=policy or "everysec", workers=workers, save="")


@in_the_middle_now_and_then
def functions(box):
    """The texts of functions outlive a crash, as they were changed last."""
    box.start()
    r, text = client(box), "#!lua name={0}\nredis.register_function('{0}', function(k, a) return '{1}' end)"
    rng = random.Random(SEED)
    for name, value, change in (("f", "one", None), ("f", "two", lambda: r.function_load(text.format("g", "g"))),
                                ("h", "three", lambda: r.function_delete("g")), ("i", "four", lambda: r.function_flush())):
        if change:
            change()
        r.function_load(text.format(name, value), replace=True)
        before = sorted(str(f) for f in r.function_list())
        reason, _ = crash(box, rng)
        assert not reason, reason  # nothing is under way, so nobody is in the middle of anything
        assert sorted(str(f) for f in r.function_list()) == before
        assert r.fcall(name, 0) == value.encode()
    payload = r.execute_command("FUNCTION", "DUMP")
    r.function_flush()
    r.execute_command("FUNCTION", "RESTORE", payload)
    assert not crash(box, rng)[0] and r.fcall("i", 0) == b"four"


@in_the_middle_now_and_then
def idle(box):
    """Who does nothing loses nothing, and clients need not ask for a snapshot or a log."""
    box.start()
    r = fill(client(box))
    want = digest(r)
    for _ in range(2):
        assert crash(box, random.Random(SEED))[0] == ""
        assert digest(r) == want
    memory_comes_back(r)


@in_the_middle_now_and_then
def own_fault(box):
    """A dataplane that crashes by itself and soon again: the third one does not believe the memory that may be why."""
    box.start()
    r = client(box)
    r.set("saved", 1)
    r.save()
    r.set("later", 1)
    end_dataplane(box, signal.SIGSEGV)
    assert r.get("later") == b"1" and box.log().count(TOOK) == 1
    end_dataplane(box, signal.SIGSEGV)
    assert r.mget("saved", "later") == [b"1", None], box.log()[-2000:]
    assert "crashed 2 times in a row" in box.log() and box.log().count(TOOK) == 1
    r.set("later", 2)
    end_dataplane(box, signal.SIGSEGV)
    assert r.get("later") == b"2"  # it counts anew


MORE = [("no log, one worker", killed(None, 1)), ("no log, two workers", killed(None, 2)),  # with KILLS
        ("appendfsync always, one worker", killed("always", 1)), ("appendfsync always, two workers", killed("always", 2)),
        ("appendfsync everysec, one worker", killed("everysec", 1)), ("idle", lambda: with_box(idle, save="", workers=2))]
TESTS = [("appendfsync everysec, two workers", killed("everysec", 2)),
         ("functions", lambda: with_box(functions, save="")),
         ("its own fault", lambda: with_box(own_fault, save=""))]

if __name__ == "__main__":
    tap = Tap()
    for title, case in TESTS + (MORE if "KILLS" in os.environ else []):
        if not WORDS or any(w in title for w in WORDS):
            tap.run(title, case)
    sys.exit(tap.end())
