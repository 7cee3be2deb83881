#!/usr/bin/python3
"""Warm restarts with an append-only log: memory and log are one, whatever happens next. Prints TAP. Run by aof_warm.sh. Arguments:
words that names of tests must have one of."""
import os
import random
import shutil
import signal
import sys

import redis

from aof_box import check, digest, log_folder, settled, small_disk, streams, with_box, write, writes_again
from box import Oracle, Tap, alive, in_the_middle_now_and_then, until
from load import fill
from warm import TOOK, Writer, client, restart

WORDS = sys.argv[1:]
GOES_ON = "The append-only log goes on: it has all that was taken over in memory"
ANEW = "The append-only log has not all that was taken over in memory"


def same_for_redis(box, want):
    folder = box.folder / f"copy-{random.randrange(10**9)}"
    shutil.copytree(log_folder(box), folder / "appendonlydir")
    oracle = Oracle("--dir", folder, "--appendonly", "yes")
    try:
        assert digest(oracle.client) == want, "redis-server has other data"
    finally:
        oracle.remove()


def goes_on(policy, workers):
    """What memory has, what the box loads from the log, and what redis-server loads are the same, after each of several restarts."""
    def test(box):
        box.start()
        rng, r = random.Random(workers), client(box)
        r.function_load("#!lua name=lib\nredis.register_function('f', function(k, a) return redis.call('INCR', k[1]) end)")
        for i in range(3):
            write(r, rng, 400)
            r.delete("short")  # which goes within a millisecond
            before, groups, functions = digest(r), streams(r), r.function_list()
            restart(box)
            until(30, lambda: r.info("persistence")["aof_enabled"] == 1, lambda: "the log to be on")
            assert box.log().count(TOOK) == box.log().count(GOES_ON) == i + 1, box.log()[-3000:]
            assert digest(r) == before, "other data"
            assert (streams(r), r.function_list()) == (groups, functions)
        assert ANEW not in box.log()
        write(r, rng, 200)
        r.delete("short")
        r.set("last", 1)
        settled(box, r)
        want, groups, functions = digest(r), streams(r), r.function_list()
        box.kill_control()
        box.kill_dataplane()
        check(box)
        same_for_redis(box, want)
        box.start()
        r = box.client()
        assert (digest(r), streams(r), r.function_list()) == (want, groups, functions), "the log has something else"
    return lambda: with_box(test, appendfsync=policy, workers=workers, save="")


def under_load():
    """Who was answered with appendfsync always keeps it: over warm restarts, and a kill of everything behind them."""
    def test(box):
        box.start()
        writers = [Writer(box, i) for i in range(3)]
        for w in writers:
            w.start()
        try:
            for i in range(4):
                before = [w.writes for w in writers]
                until(120, lambda: all(w.writes > n + 20 for w, n in zip(writers, before)), lambda: "writers to write\n" + box.log()[-2000:])
                if i < 3:
                    restart(box)
            box.kill_control()
            box.kill_dataplane()
        finally:
            for w in writers:
                w.over = True
            for w in writers:
                w.join(60)
        assert box.log().count(TOOK) == 3, box.log()[-3000:]
        check(box)
        box.start()
        r = box.client()
        for w in writers:
            w.check(r)
        return f"{sum(w.writes for w in writers)} writes"
    return lambda: with_box(test, appendfsync="always", workers=2, save="")


def killed():
    """What kill -9 leaves is believed if nothing was under way, and then the log has all of it."""
    @in_the_middle_now_and_then
    def test(box):
        box.start()
        r = client(box)
        r.set("a", 1)
        settled(box, r)
        pid = box.dataplane_pid()
        os.kill(pid, signal.SIGKILL)
        until(60, lambda: not alive(pid) and box.dataplane_pid() not in (0, pid), lambda: "another dataplane")
        box.wait("serving", 120)
        assert client(box).get("a") == b"1"
        assert box.log().count(TOOK) == box.log().count(GOES_ON) == 1, box.log()[-2000:]
        r.set("b", 2)
        restart(box)
        assert box.log().count(TOOK) == box.log().count(GOES_ON) == 2, box.log()[-2000:]
        assert client(box).mget("a", "b") == [b"1", b"2"]
    return lambda: with_box(test, appendfsync="always", save="")


def turned_on_meanwhile():
    """The log was begun when the dataplane was restarted: memory has more than any file."""
    def test(box):
        box.start()
        r = client(box)
        fill(r)
        r.config_set("appendonly", "yes")
        restart(box)  # perhaps in the middle of the first base, perhaps behind it
        assert TOOK in box.log()
        until(60, lambda: r.info("persistence")["aof_enabled"] == 1 and r.info("persistence")["aof_rewrite_in_progress"] == 0 and
              r.info("persistence")["aof_last_write_status"] == "ok", lambda: f"a base: {r.info('persistence')}\n{box.log()[-2000:]}")
        r.set("behind", 1)
        settled(box, r)
        want = digest(r)
        box.directives["appendonly"] = "yes"
        box.kill_control()
        box.kill_dataplane()
        check(box)
        box.start()
        assert digest(box.client()) == want
    return lambda: with_box(test, appendonly="no", save="")


def refused_between(other_log):
    """A dataplane that ends before it serves has changed nothing: what the one before it left is served by the one behind it, unless
    the log has become another one."""
    def test(box):
        program, marker = box.program, box.folder / "refuse"
        box.program = box.folder / "program"
        # Enough to attach, and not enough for its memory.
        box.program.write_text(f'#!/bin/sh\n[ ! -e {marker} ] || exec prlimit --as=550000000 "{program}" "$@"\nexec "{program}" "$@"\n')
        box.program.chmod(0o755)
        box.start()
        r = client(box)
        r.set("a", 1)
        settled(box, r)
        marker.touch()
        code, text = box.sluice("restart", "dataplane")
        assert code == 0, text
        until(60, lambda: "The dataplane is failed: EAL does not start" in box.log(), lambda: "a dataplane that is refused\n" + box.log()[-2000:])
        if other_log:
            with open(sorted(log_folder(box).glob("*.incr.aof"))[-1], "ab") as f:
                f.write(b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n2\r\n")
        marker.unlink()
        box.wait("serving", 120)
        assert client(box).mget("a", "b") == [b"1", b"2" if other_log else None], box.log()[-3000:]
        assert ANEW not in box.log() and box.log().count(GOES_ON) == (0 if other_log else 1), box.log()[-3000:]
    return lambda: with_box(test, appendfsync="always", save="")


def full_disk():
    """The disk does not take what the dataplane has done: memory is taken over, and becomes a new base as soon as there is room."""
    def test(box):
        with small_disk(box) as grow:
            box.start()
            r = client(box)
            try:
                for n in range(100000):
                    r.set(f"k{n}", "x" * 20000)
                raise AssertionError("nobody noticed that the disk is full")
            except redis.ResponseError as e:
                assert "MISCONF" in str(e), e
            keys = r.dbsize()
            restart(box)
            until(30, lambda: ANEW in box.log(), lambda: box.log()[-3000:])
            assert client(box).dbsize() == keys
            grow()
            until(60, lambda: r.info("persistence")["aof_last_write_status"] == "ok", lambda: "a new base\n" + box.log()[-2000:])
            writes_again(r, 30)
            settled(box, r)
            want = digest(r)
            box.kill_control()
            box.kill_dataplane()
            check(box)
            box.start()
            assert digest(box.client()) == want
    return lambda: with_box(test, save="")


TESTS = [("the log goes on behind a warm restart, one worker", goes_on("everysec", 1)),
         ("the same with always and two workers", goes_on("always", 2)),
         ("nothing acknowledged is lost over warm restarts and a kill", under_load()),
         ("kill -9: memory and log are one, and the next restart is warm again", killed()),
         ("the log is turned on, and the dataplane restarted", turned_on_meanwhile()),
         ("a dataplane is refused before it serves", refused_between(False)),
         ("the same, and another log is put there", refused_between(True)),
         ("a full disk and a warm restart", full_disk())]

tap = Tap()
for name, test in TESTS:
    if not WORDS or any(w in name for w in WORDS):
        tap.run(name, test)
sys.exit(tap.end())
