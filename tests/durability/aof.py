#!/usr/bin/python3
"""The append-only log: what redis-server makes of it, what the box makes of redis-server's, kills, cuts, full disks, rewriting. Prints
TAP. Run by aof.sh. Arguments: words that names of tests must have one of; --kills N (or KILLS=N)."""
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import redis

from aof_box import check, digest, log_folder, settled, small_disk, streams, with_box, write, writes_again
from aof_middle import killed_in_exec
from box import BUILD, Oracle, Tap, alive, until

KILLS = int(sys.argv[sys.argv.index("--kills") + 1]) if "--kills" in sys.argv else int(os.environ.get("KILLS", 2))
WORDS = [w for w in sys.argv[1:] if not w.startswith("--") and not w.isdigit()]


def taken_by_redis(workers, rewrites, **directives):
    def test(box):
        box.start()
        rng, r = random.Random(workers * 7 + rewrites), box.client()
        r.flushall()
        for _ in range(rewrites + 1):
            write(r, rng, 1500)
            if rewrites:
                before = r.info("persistence")["aof_rewrites"]
                r.bgrewriteaof()
                write(r, rng, 500)
                until(60, lambda: r.info("persistence")["aof_rewrites"] > before, lambda: f"a rewrite: {r.info('persistence')}\n{box.log()[-1500:]}")
        write(r, rng, 500)
        time.sleep(0.01)  # "short" expires
        r.get("short")
        settled(box, r)
        want, groups = digest(r), streams(r)
        box.kill_control()
        box.kill_dataplane()
        check(box)
        if rewrites:
            kind = "aof" if directives.get("aof_use_rdb_preamble") == "no" else "rdb"
            assert len(list(log_folder(box).glob(f"*.base.{kind}"))) == 1 and len(list(log_folder(box).glob("*.base.*"))) == 1
        folder = box.folder / "copy"
        shutil.copytree(log_folder(box), folder / "appendonlydir")
        oracle = Oracle("--dir", folder, "--appendonly", "yes")
        try:
            assert digest(oracle.client) == want, "redis-server has other data"
            assert streams(oracle.client) == groups, "redis-server has other groups"
        finally:
            oracle.remove()
        box.start()
        r = box.client()
        assert digest(r) == want, "the box has other data after a start"
        assert streams(r) == groups, "the box has other groups"
        r.set("on", 1)
        settled(box, r)
        want = digest(r)
        box.stop()
        check(box)
        box.start()
        assert digest(box.client()) == want
    return lambda: with_box(test, workers=workers, **directives)


def of_redis(*options, single=False):
    """What redis-server itself has after a start is what counts: its log does not say everything of groups. single: as it was before
    version 7, the commands in one file behind the RDB."""
    def take(oracle, box):
        if not single:
            shutil.copytree(oracle.folder / "appendonlydir", log_folder(box))
            shutil.copytree(log_folder(box), box.folder / "copy" / "appendonlydir")
            return
        files = sorted((oracle.folder / "appendonlydir").glob("*.base.*")) + sorted((oracle.folder / "appendonlydir").glob("*.incr.*"))
        (box.data / "appendonly.aof").write_bytes(b"".join(f.read_bytes() for f in files))
        (box.folder / "copy").mkdir()
        shutil.copy(box.data / "appendonly.aof", box.folder / "copy")

    def test(box):
        oracle = Oracle("--appendonly", "yes", *options)
        try:
            rng = random.Random(3)
            write(oracle.client, rng, 2000)
            oracle.client.bgrewriteaof()
            until(60, lambda: not oracle.client.info("persistence")["aof_rewrite_in_progress"], lambda: "redis-server's rewrite")
            write(oracle.client, rng, 2000)
            time.sleep(0.01)
            oracle.client.get("short")
            until(10, lambda: not oracle.client.info("persistence")["aof_buffer_length"], lambda: "redis-server's buffer")
            take(oracle, box)
        finally:
            oracle.remove()
        folder = box.folder / "copy"
        oracle = Oracle("--dir", folder, "--appendonly", "yes")
        try:
            want, groups = digest(oracle.client), streams(oracle.client)
        finally:
            oracle.remove()
        box.start()
        assert digest(box.client()) == want, "other data"
        have = streams(box.client())
        assert have == groups, f"other groups: {[(i, have.get(i), groups.get(i)) for i in groups if have.get(i) != groups.get(i)]}"
    return lambda: with_box(test, workers=2)


def exported():
    def test(box):
        box.start()
        r = box.client()
        write(r, random.Random(8), 1500)
        box.client(db=3).set("in-three", "x" * 100000, ex=5000)
        box.client(db=3).set("large", random.Random(8).randbytes(700000))  # its length is known beforehand
        r.delete("short")
        r.save()
        want, groups = digest(r), streams(r)
        folder = box.folder / "export"
        folder.mkdir()
        assert box.sluice("snapshot", "export", folder / "appendonly.aof", "aof")[0] == 0
        assert box.sluice("snapshot", "export", folder / "other", "rdb")[0] == 2 and not (folder / "other").exists()
        piped = subprocess.run(f"{BUILD}/mgmt/sluice --socket {box.folder}/m.sock snapshot export - aof", shell=True, capture_output=True, timeout=60)
        assert piped.stdout == (folder / "appendonly.aof").read_bytes(), piped.stderr
        oracle = Oracle()
        try:
            done = subprocess.run(["redis-cli", "-p", str(oracle.port), "--pipe"], input=piped.stdout, capture_output=True, timeout=60)
            assert b"errors: 0" in done.stdout, done
            assert (digest(oracle.client), streams(oracle.client)) == (want, groups), "redis-cli --pipe makes other data of it"
        finally:
            oracle.remove()
        oracle = Oracle("--dir", folder, "--appendonly", "yes")
        try:
            assert (digest(oracle.client), streams(oracle.client)) == (want, groups), "redis-server finds other data in it"
        finally:
            oracle.remove()
    with_box(test, appendonly="no")


class Writer(threading.Thread):
    """Counts each of its keys up, and knows what was acknowledged. Each connection has keys of its own: what one that was given up has
    sent may be done behind what the next one sends."""

    def __init__(self, box):
        super().__init__(daemon=True)
        self.box, self.acked, self.sent, self.ends = box, {}, {}, False
        self.rounds = self.connections = 0

    def run(self):
        while not self.ends:
            self.connections += 1
            try:
                r = self.box.client(socket_timeout=3)
                while not self.ends:
                    key = f"k{self.connections}:{self.rounds % 64}"
                    value = self.sent.get(key, 0) + 1
                    self.sent[key] = value
                    if r.set(key, value):
                        self.acked[key] = value
                    self.rounds += 1
            except redis.RedisError:
                time.sleep(0.02)


def killed(policy, who, workers=1):
    def test(box):
        box.start()
        w = Writer(box)
        w.start()
        try:
            return kill_often(box, w)
        finally:
            w.ends = True
            w.join(10)

    def kill_often(box, w):
        rng = random.Random(5)
        for turn in range(KILLS):
            seen = w.rounds
            until(120, lambda: w.rounds > seen + 50, lambda: f"writes to go on in turn {turn}\n{box.log()[-2000:]}")
            if turn % 2:
                try:
                    box.client().bgrewriteaof()  # a snapshot, a base, two manifests: the kill comes in any of them
                except redis.RedisError:
                    pass
            time.sleep(rng.random() * 0.1)
            acked = dict(w.acked)
            pid = box.dataplane_pid()
            if who != "dataplane":
                box.kill_control()
            if who != "control":
                os.kill(pid, signal.SIGKILL)
                until(20, lambda: not alive(pid), lambda: "the dataplane to be gone")
            if who == "dataplane":
                box.sluice("restart", "dataplane")  # at once, not after a pause that grows with each crash
            if who != "dataplane":
                box.start_control()
            if who != "control":
                until(120, lambda: box.dataplane_pid() not in (0, pid), lambda: "another dataplane")
            box.wait("serving", 120)
            r = box.client()
            for key, value in acked.items():
                have = int(r.get(key) or 0)
                lossy = policy == "everysec" and who == "both"
                assert lossy or have >= value, f"turn {turn}: {key} is {have}, {value} was acknowledged\n{box.log()[-2000:]}"
                assert have <= w.sent[key], f"{key} is {have}, {w.sent[key]} was sent"
        w.ends = True
        w.join(10)
        settled(box, box.client())
        check(box)
        want = digest(box.client())
        box.stop()
        box.start()
        assert digest(box.client()) == want
        return f"{KILLS} kills, {w.rounds} writes"
    return lambda: with_box(test, appendfsync=policy, workers=workers, save="")


def full_disk():
    def test(box):
        with small_disk(box) as grow:
            box.start()
            r = box.client()
            n = 0
            try:
                for n in range(100000):
                    r.set(f"k{n}", "x" * 20000, px=10**7)
                raise AssertionError("nobody noticed that the disk is full")
            except redis.ResponseError as e:
                assert "MISCONF Errors writing to the AOF file: No space left on device" in str(e), e
            assert r.info("persistence")["aof_last_write_status"] == "err"
            grow()
            until(60, lambda: r.info("persistence")["aof_last_write_status"] == "ok", lambda: "the log to be written again")
            writes_again(r, 60)
            settled(box, r)
            want = digest(r)
            check(box)
            box.stop()
            box.start()
            assert digest(box.client()) == want
    with_box(test)


def cut():
    def test(box):
        box.start()
        r = box.client()
        r.set("first", 1)
        with r.pipeline(transaction=True) as p:
            p.set("a", 1)
            p.set("b", 1)
            p.execute()
        settled(box, r)
        box.stop()
        path = log_folder(box) / "appendonly.aof.1.incr.aof"
        whole = path.read_bytes()
        middle = whole.index(b"MULTI") + 40
        path.write_bytes(whole[:middle])
        box.start()
        r = box.client()
        assert r.get("first") == b"1" and not r.exists("a", "b"), r.keys("*")
        assert "cut to its first" in box.log()
        assert path.stat().st_size < middle
        box.stop()
        path.write_bytes(whole[:middle])
        box.directives["aof-load-truncated"] = "no"
        box.start(state="load-failed")
        box.stop()
        path.write_bytes(whole[:20] + b"garbage\r\n" + whole[20:])
        box.directives["aof-load-truncated"] = "yes"
        box.start(state="load-failed")
        assert "at byte" in box.log()
    with_box(test)


def on_and_off():
    def test(box):
        box.start()
        r = box.client()
        r.set("before", 1)
        assert r.info("persistence")["aof_enabled"] == 0
        assert not log_folder(box).exists()
        r.config_set("appendonly", "yes")
        until(60, lambda: (log_folder(box) / "appendonly.aof.manifest").exists(), lambda: "a manifest\n" + box.log()[-1000:])
        r.set("behind", 1)
        settled(box, r)
        assert r.info("persistence")["aof_enabled"] == 1
        check(box)
        box.directives["appendonly"] = "yes"
        box.stop()
        box.start()
        r = box.client()
        assert r.get("before") == b"1" and r.get("behind") == b"1"
        r.config_set("appendonly", "no")
        until(60, lambda: r.info("persistence")["aof_enabled"] == 0, lambda: "the log to end")
        size = lambda: sum(f.stat().st_size for f in log_folder(box).iterdir())
        r.set("not-logged", 1)
        before = size()
        r.set("not-logged", 2)
        assert size() == before
        try:
            r.execute_command("WAITAOF", 1, 0, 10)
            raise AssertionError("WAITAOF without a log")
        except redis.ResponseError as e:
            assert "appendonly is disabled" in str(e)
    with_box(test, appendonly="no", save="")


def turned_while_rewritten():
    """The rewrite that is under way ends when the log has been turned off and on: its files are named once."""
    def test(box):
        box.start()
        r = box.client()
        for turn in range(3):
            r.execute_command("DEBUG", "POPULATE", 30000, f"k{turn}", 300)
            r.bgrewriteaof()
            r.config_set("appendonly", "no")
            if turn:
                until(10, lambda: r.info("persistence")["aof_enabled"] == 0, lambda: "the log to end")
            r.config_set("appendonly", "yes")
            until(60, lambda: r.info("persistence")["aof_enabled"] == 1 and not r.info("persistence")["aof_rewrite_in_progress"],
                  lambda: f"the log to be on: {r.info('persistence')}\n{box.log()[-1500:]}")
            r.set("behind", turn)
            settled(box, r)
            check(box)
        want = digest(r)
        box.kill_control()
        box.kill_dataplane()
        left = [box.data / "temp-123.rdb", log_folder(box) / "temp-123.rdb", log_folder(box) / "appendonly.aof.999.incr.aof"]
        for path in left:
            path.write_bytes(b"x")
        box.start()
        assert digest(box.client()) == want
        assert not any(path.exists() for path in left), "what a killed control has left is still there"
    with_box(test, save="")


def always_and_idle():
    """With always a mark alone, the last record of a rewrite, must not keep replies."""
    def test(box):
        box.start()
        r = box.client()
        r.set("a", 1)
        for turn in range(3):
            before = r.info("persistence")["aof_rewrites"]
            r.bgrewriteaof()
            until(30, lambda: r.info("persistence")["aof_rewrites"] > before, lambda: "a rewrite")
            assert r.get("a") == b"1"
        settled(box, r)
        r.config_set("appendonly", "no")
        assert r.get("a") == b"1"
        r.config_set("appendonly", "yes")
        until(30, lambda: r.info("persistence")["aof_rewrites"] > before + 1, lambda: "a base")
        assert r.get("a") == b"1"
    with_box(test, appendfsync="always")


def failed_sync(policy):
    """One fdatasync fails, the next one would succeed: no reply leaves before a new base has what the disk did not take."""
    def test(box):
        box.start()
        r = box.client(socket_timeout=60)
        r.set("before", 1)
        settled(box, r)
        strace = subprocess.Popen(["strace", "-f", "-qq", "-o", box.folder / "strace", "-e", "trace=fdatasync", "-e",
                                   "inject=fdatasync:error=EIO:when=1", "-p", str(box.control.pid)])
        try:
            traced = lambda: all("TracerPid:\t0\n" not in (task / "status").read_text()  # whichever of them syncs
                                 for task in pathlib.Path(f"/proc/{box.control.pid}/task").iterdir())
            until(60, traced, lambda: "strace to be attached")
            late = threading.Thread(target=lambda: r.set("k", 1), daemon=True)
            late.start()
            until(60, lambda: "The append-only log has ended: the disk did not take" in box.log(), lambda: "the failure\n" + box.log()[-1500:])
        finally:
            strace.terminate()
            strace.wait()
        until(60, lambda: box.client().info("persistence")["aof_last_write_status"] == "ok", lambda: "a new base\n" + box.log()[-1500:])
        late.join(30)
        assert not late.is_alive() and "Background AOF rewrite finished" in box.log()
        r.set("behind", 1)
        settled(box, r)
        box.kill_control()
        box.kill_dataplane()
        check(box)
        box.start()
        r = box.client()
        assert r.mget("before", "k", "behind") == [b"1"] * 3
    return lambda: with_box(test, appendfsync=policy)


def from_snapshot():
    """Trap 7: a dump.rdb that was put there while the log is on, and there is no log."""
    def test(box):
        oracle = Oracle()
        try:
            oracle.client.mset({f"k{i}": i for i in range(100)})
            oracle.save(box.dump)
            want = digest(oracle.client)
        finally:
            oracle.remove()
        box.start()
        r = box.client()
        assert digest(r) == want
        assert "it begins with the snapshot" in box.log()
        r.set("more", 1)
        settled(box, r)
        check(box)
        box.stop()
        box.start()
        assert box.client().dbsize() == 101
    with_box(test)


def old_form():
    def test(box):
        (box.data / "appendonly.aof").write_bytes(b"*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n")
        box.start()
        assert box.client(db=2).get("a") == b"1"
        box.client(db=2).set("b", 1)
        settled(box, box.client())
        check(box)
        assert not (box.data / "appendonly.aof").exists()
        box.stop()
        box.start()
        assert box.client(db=2).dbsize() == 2
    with_box(test)


def automatic():
    def test(box):
        box.start()
        r = box.client()
        until(60, lambda: r.set("k", "x" * 10000) and r.info("persistence")["aof_rewrites"] > 1, lambda: f"rewrites\n{box.log()[-1500:]}")
        settled(box, r)
        check(box)
        want = digest(r)
        box.stop()
        box.start()
        assert digest(box.client()) == want
    with_box(test, auto_aof_rewrite_min_size="300kb", aof_timestamp_enabled="yes")


TESTS = [("redis-server loads what one worker wrote, and the box itself", taken_by_redis(1, 0)),
         ("the same with two workers and rewrites", taken_by_redis(2, 2)),
         ("the same with four workers and a rewrite", taken_by_redis(4, 1)),
         ("a base of commands: redis-server and the box load it", taken_by_redis(2, 2, aof_use_rdb_preamble="no", maxmemory_policy="allkeys-lru")),
         ("the box loads redis-server's log", of_redis()),
         ("the box loads redis-server's log with a base of commands", of_redis("--aof-use-rdb-preamble", "no")),
         ("the box loads redis-server's log in one file, an RDB in front", of_redis(single=True)),
         ("a snapshot exported as a log: redis-server and redis-cli --pipe take it", exported),
         ("always: kill -9 of the dataplane", killed("always", "dataplane")),
         ("always: kill -9 of control", killed("always", "control")),
         ("always: kill -9 of both, two workers", killed("always", "both", 2)),
         ("everysec: kill -9 of the dataplane", killed("everysec", "dataplane")),
         ("everysec: kill -9 of control", killed("everysec", "control")),
         ("everysec: kill -9 of both", killed("everysec", "both")),
         ("kill -9 of the dataplane in the middle of an EXEC with a script", killed_in_exec("dataplane", 1)),
         ("kill -9 of both in the middle of an EXEC with a script, two workers", killed_in_exec("both", 2)),
         ("a full disk: MISCONF, and better again", full_disk),
         ("a file that is cut short, or damaged", cut),
         ("on and off while serving", on_and_off),
         ("on and off while a rewrite is under way, and what was left", turned_while_rewritten),
         ("always: a rewrite and nothing behind it", always_and_idle),
         ("a snapshot is there and no log (trap 7)", from_snapshot),
         ("the single file of an older redis-server", old_form),
         ("automatic rewriting, timestamps", automatic)]

if shutil.which("strace"):
    TESTS += [(f"{policy}: a sync that fails once", failed_sync(policy)) for policy in ("always", "everysec")]

tap = Tap()
for name, test in TESTS:
    if not WORDS or any(w in name for w in WORDS):
        tap.run(name, test)
sys.exit(tap.end())
