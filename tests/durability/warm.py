#!/usr/bin/python3
"""Restarts of the dataplane: the keys stay in memory, whole, with their times, and are served at once; what cannot be taken
over is not. Prints TAP. Run by warm.sh."""
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import redis

from box import BUILD, Box, Tap, alive, in_the_middle_now_and_then, until
from load import digest, fill

HUGE = "--huge" in sys.argv
TOOK = "Took over"


def with_box(test, **directives):
    directives.setdefault("hugepages", "yes" if HUGE else "no")
    box = Box(**directives)
    try:
        return test(box)
    finally:
        box.remove()


def restart(box):
    """As an operator does; returns when the new one serves."""
    before = box.dataplane_pid()
    code, text = box.sluice("restart", "dataplane")
    assert code == 0, text
    until(60, lambda: box.dataplane_pid() not in (0, before), lambda: "a new dataplane\n" + box.log()[-2000:])
    box.wait("serving")


def client(box, **options):
    """That connects again when it must."""
    return box.client(retry_on_error=[redis.ConnectionError, redis.TimeoutError, OSError], socket_connect_timeout=0.2,
                      retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.02), 500), socket_timeout=20, **options)


def everything(box):
    box.start()
    r = client(box)
    fill(r)
    client(box, db=7).set("in-seven", 1)
    r.set("soon", "gone", px=10**7)
    r.execute_command("HPEXPIRE", "h:5", 10**7, "FIELDS", 1, r.hkeys("h:5")[0])
    r.set("counter", 41)
    before, size, functions = digest(r), r.dbsize(), r.function_list()
    asked, ttl, encodings = time.monotonic(), r.pttl("s:3"), [r.object("encoding", k) for k in ("h:5", "h:3000", "z:5", "z:3000", "si:5", "x:5", "s:0", "big")]
    pending = r.xpending("x:600", "g")
    r.set("soon", "gone", px=1500)
    restart(box)
    assert TOOK in box.log(), box.log()[-2000:]
    time.sleep(1.6)  # it is the passing of time that is tested
    assert r.get("soon") is None
    r.delete("soon")
    assert r.dbsize() == size - 1, (r.dbsize(), size)
    r.set("soon", "gone")
    r.delete("soon")
    client(box).set("x", 1)
    r.delete("x")
    assert client(box, db=7).get("in-seven") == b"1"
    later, passed = r.pttl("s:3"), (time.monotonic() - asked) * 1000
    assert ttl - passed - 100 <= later < ttl - 1500, (ttl, later, passed)
    assert encodings == [r.object("encoding", k) for k in ("h:5", "h:3000", "z:5", "z:3000", "si:5", "x:5", "s:0", "big")]
    assert pending == r.xpending("x:600", "g")
    assert functions == r.function_list() and r.fcall("f", 0, "hello") == b"hello"
    assert r.incr("counter") == 42 and r.decr("counter") == 41
    r.set("soon", "gone", px=10**7)
    assert digest(r) == before  # which is one of keys, values and whether there is a time
    return f"{size} keys"


def same_digest(box):
    """Several times, with more keys in between; everything can be changed and goes back."""
    box.start()
    r = client(box)
    fill(r)
    for i in range(4):
        before = digest(r)
        restart(box)
        assert digest(r) == before
        r.mset({f"again:{i}:{n}": n for n in range(1000)})
        r.rpush("l:3000", *range(500))
        r.zadd("z:3000", {f"m{i}:{n}": n for n in range(500)})
    assert box.log().count(TOOK) == 4
    r.flushall()
    until(60, lambda: r.info("memory")["used_memory"] < 200_000, lambda: f"memory to come back: {r.info('memory')['used_memory']}")
    fill(r)


def flushed(box):
    """What was flushed and is not freed yet is freed by the next process."""
    box.start()
    r = client(box)
    for i in range(40):
        r.mset({f"{i}:{n}": "v" * 100 for n in range(2500)})
    r.flushall(asynchronous=True)
    r.set("a", 1)
    restart(box)
    assert r.dbsize() == 1 and r.get("a") == b"1"
    until(60, lambda: r.info("memory")["used_memory"] < 200_000, lambda: f"memory to come back: {r.info('memory')['used_memory']}")


def end_dataplane(box, number):
    """By a signal; until the next one serves."""
    old = box.dataplane_pid()
    os.kill(old, number)
    until(60, lambda: box.dataplane_pid() not in (0, old), lambda: "a new dataplane")
    box.wait("serving")


def arp_probes(link):
    """Frames that have come since the last look: RFC 5227's questions, whose sender has no address."""
    probes = 0
    while select.select([link], [], [], 0)[0]:
        probes += link.recv(2048)[28:32] == bytes(4)
    return probes


@in_the_middle_now_and_then
def addresses_kept(box):
    """What was the box' address a moment ago is not asked for: clients would wait 0.6 s. After a crash neither."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as link:
        link.bind(("sludur0", 0x0806))
        box.start()
        r = client(box)
        r.set("a", 1)
        assert arp_probes(link) == 3
        for way in (lambda: restart(box), lambda: end_dataplane(box, signal.SIGKILL)):
            for _ in range(3): # what is older than a minute is asked for, and this machine may be as slow as that
                time.sleep(1.5) # the address is noted twice a second
                began = time.monotonic()
                way()
                probes = arp_probes(link)
                if time.monotonic() - began < 50 and probes == 0:
                    break
            else:
                raise AssertionError(f"{probes} probes, {time.monotonic() - began:.0f} s")
            assert r.get("a") == b"1"


class Writer(threading.Thread):
    """Counts keys up, remembers what was acknowledged, and goes on after each restart."""

    def __init__(self, box, number):
        super().__init__(daemon=True)
        self.box, self.number, self.over, self.acknowledged, self.sent, self.cuts, self.writes = box, number, False, {}, {}, 0, 0

    def run(self):
        rng, r = random.Random(self.number), None
        while not self.over:
            key = f"w{self.number}:{rng.randrange(2000)}"
            value = self.sent.get(key, 0) + 1
            try:
                r = r or self.box.client(socket_timeout=5, socket_connect_timeout=0.5)
                self.sent[key] = value
                r.set(key, value)
                self.acknowledged[key] = value
                self.writes += 1
            except redis.RedisError:
                self.cuts += 1
                r = None

    def check(self, r):
        keys = list(self.acknowledged)
        have = dict(zip(keys, r.mget(keys)))
        lost = [k for k in keys if not self.acknowledged[k] <= int(have[k] or 0) <= self.sent[k]]
        assert not lost, (len(lost), lost[:5])
        return len(keys)

    def read_all(self, r):
        keys = list(self.sent)
        return {key: int(have or 0) for key, have in zip(keys, r.mget(keys))}


def finish(writers):
    for w in writers:
        w.over = True
    for w in writers:
        w.join()


def under_load(times):
    def test(box):
        box.start()
        writers = [Writer(box, i) for i in range(4)]
        for w in writers:
            w.start()
        for _ in range(times):
            before = [w.writes for w in writers]
            until(120, lambda: all(w.writes > n + 20 for w, n in zip(writers, before)), lambda: "writers to write")
            restart(box)
        finish(writers)
        r = client(box)
        keys = sum(w.check(r) for w in writers)
        assert box.log().count(TOOK) == times, box.log()[-2000:]
        assert sum(w.cuts for w in writers) >= times
        return f"{times} restarts, {keys} keys that were acknowledged, none lost"
    return test


@in_the_middle_now_and_then
def killed(box):
    """A crash in the middle of nothing leaves the keys as they are (crash.py has those in the middle of something)."""
    box.start()
    r = client(box)
    r.set("saved", 1)
    r.save()
    r.set("later", 1)
    end_dataplane(box, signal.SIGKILL)
    assert r.mget("saved", "later") == [b"1", b"1"]
    assert "when it crashed" in box.log(), box.log()[-2000:]
    restart(box)
    assert r.mget("saved", "later") == [b"1", b"1"] and box.log().count(TOOK) == 2


def kill_in_restart(box, r, writers, rng):
    """One turn: a restart, and at some time in it a kill -9. True if the keys stayed in memory all the way."""
    lines = ("Started the dataplane", TOOK, "is not used")
    before, acknowledged = [box.log().count(line) for line in lines], [dict(w.acknowledged) for w in writers]
    with subprocess.Popen([BUILD / "mgmt/sluice", "--socket", box.folder / "m.sock", "restart", "dataplane"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asking:
        time.sleep(rng.random() * 0.6)
        who = rng.choice(("dataplane", "dataplane", "control", "both"))
        victim = box.dataplane_pid()  # the old one, the next one, or neither
        if who != "dataplane":
            box.kill_control()
        if who != "control" and victim and alive(victim):
            os.kill(victim, signal.SIGKILL)
        if who != "dataplane":
            box.start_control()
        try:
            asking.wait(120)
        finally:
            asking.kill()
    if who != "control" and victim:
        until(120, lambda: box.dataplane_pid() not in (0, victim), lambda: "another dataplane\n" + box.log()[-2000:])
    box.wait("serving", 120)
    assert r.get("saved") == b"1"
    found = [(w, had, w.read_all(r)) for w, had in zip(writers, acknowledged)]
    starts, tooks, refused = (box.log().count(line) - n for line, n in zip(lines, before))  # when all has been read: control may have been
    kept = refused == 0 and (tooks > 0 or starts == 0)  # killed behind its order to end
    for w, had, values in found:
        for key, have in values.items():
            assert (had.get(key, 0) if kept else 0) <= have <= w.sent[key], (who, key, have, had.get(key), w.sent[key], box.log()[-3000:])
    return kept


def killed_in_restarts(times):
    """Whenever the kill comes, the next dataplane has all that was acknowledged, or the snapshot; nothing else."""
    def test(box):
        box.start()
        r, rng, kept = client(box), random.Random(int(os.environ.get("SEED", 9))), 0
        r.set("saved", 1)
        r.save()
        writers = [Writer(box, i) for i in range(2)]
        for w in writers:
            w.start()
        try:
            for _ in range(times):
                before = [w.writes for w in writers]
                until(60, lambda: all(w.writes > n + 20 for w, n in zip(writers, before)), lambda: "writers to write")
                stayed = kill_in_restart(box, r, writers, rng)
                kept += stayed
                before = [w.writes for w in writers]
                until(60, lambda: all(w.writes > n for w, n in zip(writers, before)), lambda: "writers to write behind the kill")
                for w in writers:  # that have forgotten by now what was under way at the kill
                    w.acknowledged = w.acknowledged if stayed else {}
        finally:
            finish(writers)
        return f"{times} kills, {kept} times the keys stayed in memory"
    return test


def terminated(box):
    """SIGTERM of the dataplane, by whomever."""
    box.start()
    r = client(box)
    r.set("a", 1)
    end_dataplane(box, signal.SIGTERM)
    assert r.get("a") == b"1" and TOOK in box.log()


def without_control(box):
    """Control is killed and another one attaches: it holds the memory as the first one did."""
    box.start()
    r = client(box)
    r.set("a", 1)
    box.kill_control()
    r.set("b", 2)
    box.start_control()
    box.wait("serving")
    restart(box)
    assert r.mget("a", "b") == [b"1", b"2"] and TOOK in box.log()


def other_configuration(box):
    """Another number of workers or size of the arena: from the snapshot, and said so."""
    box.start()
    r = client(box)
    for name, value, why in (("workers", "2", "another number of workers"), ("arena-size", "128mb", "configuration says")):
        r.set("a", name)
        r.save()
        box.directives[name] = value
        box.write_config()
        code, text = box.sluice("config", "load")
        assert code == 0, text
        restart(box)
        assert why in box.log(), box.log()[-2000:]
        assert r.get("a") == name.encode()
    assert TOOK not in box.log()
    box.directives["warm-restart"] = "no"
    box.write_config()
    box.sluice("config", "load")
    restart(box)
    restart(box)
    assert TOOK not in box.log() and r.get("a") == b"arena-size"


def snapshot_first(box):
    """With save points nothing is lost even when memory cannot be taken over: a snapshot is made while the box still serves."""
    box.start()
    r = client(box)
    fill(r)
    before = digest(r)
    writers = [Writer(box, i) for i in range(3)]
    for w in writers:
        w.start()
    for name, value in (("workers", "1"), ("arena-size", "128mb"), ("databases", "8")):
        box.directives[name] = value
        box.write_config()
        assert box.sluice("config", "load")[0] == 0
        r.set("a", name)
        restart(box)
        assert "a snapshot first" in box.log() and r.get("a") == name.encode(), box.log()[-2000:]
        until(120, lambda: all(w.writes > 20 for w in writers), lambda: "writers to write")
    finish(writers)
    for w in writers:
        w.check(r)
    r.delete("a", *(k for w in writers for k in w.sent))
    assert digest(r) == before and TOOK not in box.log()
    # A program of another layout is seen before the one that runs is stopped.
    other = box.folder / "other"
    other.write_text(f"#!/bin/sh\n[ \"$1\" = --layout ] && echo 0123456789abcdef && exit\nexec {BUILD}/sluice-dataplane \"$@\"\n")
    other.chmod(0o755)
    box.stop()
    box.program = other
    box.start()
    r.set("a", 2)
    restart(box)
    assert "lays out memory in another way): a snapshot first" in box.log() and r.get("a") == b"2", box.log()[-2000:]


def in_the_middle(box):
    """Long commands, scripts, blocked clients, a snapshot under way: each is over, or never was, when the next one begins."""
    box.start()
    r = client(box)
    for i in range(20):
        r.sadd("big", *(f"{i}:{n}" for n in range(10000)))
    r.mset({f"k{n}": n for n in range(50000)})

    sent = threading.Semaphore(0)

    def run(c, *words):  # once, to the one that is to be restarted
        try:
            c.connection.send_command(*words)
            sent.release()
            c.connection.read_response()
        except redis.RedisError:
            pass
    for _ in range(3):
        busy = [threading.Thread(target=run, args=(box.client(socket_timeout=5, single_connection_client=True), *words)) for words in (
            ("SUNIONSTORE", "copy", "big"), ("BLPOP", "nothing", 0), ("EVAL", "for i = 1, 1e7 do redis.call('set', 'script', i) end", 0),
            ("SORT", "big", "ALPHA", "STORE", "sorted"), ("BGSAVE",), ("KEYS", "*"))]
        for t in busy:
            t.start()
        assert all(sent.acquire(timeout=60) for _ in busy), "commands are not sent"
        time.sleep(0.02)
        restart(box)
        for t in busy:
            t.join()
        assert (r.scard("big"), r.get("k49999")) == (200000, b"49999"), box.log()[-2500:]
        assert r.exists("copy") == 0 or r.scard("copy") == 200000
        r.bgsave()
        until(60, lambda: r.info("persistence")["rdb_bgsave_in_progress"] == 0, lambda: "the snapshot")
    before = digest(r)
    assert box.log().count(TOOK) == 3, box.log()[-2000:]
    checked = subprocess.run(["redis-check-rdb", box.dump], capture_output=True, text=True)
    assert checked.returncode == 0 and f"{r.dbsize()} keys read" in checked.stdout, (checked.stdout[-500:], r.dbsize())
    restart(box)
    assert digest(r) == before


def cmdline(process):
    """Of /proc; empty if it has ended."""
    try:
        return (process / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def released(box):
    """After a stop nobody holds the memory."""
    box.start()
    client(box).set("a", "x" * 1000)
    box.stop()
    held = []
    for fd in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = os.readlink(fd)
        except OSError:
            continue
        if "sluice-memory" in target:
            held.append(fd.parent.parent)
    names = {cmdline(p) for p in held}
    assert not any(str(box.folder) in n for n in names), names


def main():
    tap = Tap()
    only = [a for a in sys.argv[1:] if not a.startswith("--")]
    if only:
        test = globals()[only[0]]
        if len(only) > 1:
            test = test(int(only[1]))
        tap.run(only[0], lambda: with_box(test, workers=2, **({} if len(only) > 1 else {"save": "3600 1000000"})))
        return tap.end()
    for workers in (1, 2, 4):
        tap.run(f"all types, times and functions are there after a restart, {workers} worker(s)", lambda: with_box(everything, workers=workers))
    tap.run("digests are equal over several restarts", lambda: with_box(same_digest, workers=2))
    tap.run("a flush that was under way", lambda: with_box(flushed))
    tap.run("restarts under load lose nothing that was acknowledged", lambda: with_box(under_load(20), workers=2))
    tap.run("SIGTERM", lambda: with_box(terminated))
    tap.run("kill -9: the keys stay", lambda: with_box(killed))
    tap.run("kill -9 in the middle of restarts", lambda: with_box(killed_in_restarts(int(os.environ.get("KILLS", 3))), workers=2))
    tap.run("addresses that were the box's are used at once", lambda: with_box(addresses_kept))
    tap.run("control is killed in between", lambda: with_box(without_control))
    tap.run("another configuration", lambda: with_box(other_configuration))
    tap.run("a snapshot first where the keys cannot stay", lambda: with_box(snapshot_first, workers=2, save="3600 1000000"))
    tap.run("in the middle of long commands and a snapshot", lambda: with_box(in_the_middle, workers=2))
    tap.run("memory is given back at a stop", lambda: with_box(released))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
