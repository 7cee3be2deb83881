#!/usr/bin/python3
"""Snapshots while the box is used: large values in slices, FLUSHALL in between, dated ones that stay. Prints TAP. Needs root and the
network namespace that kept.sh makes. redis-server is the referee."""
import json
import os
import signal
import subprocess
import sys
import threading
import time

import redis

from box import BUILD, Box, Oracle, Tap, until


def with_box(test, **directives):
    box = Box(**directives)
    try:
        return test(box.start())
    finally:
        box.remove()


def save_is_over(r):
    return not r.info("persistence")["rdb_bgsave_in_progress"]


def loaded_by_redis(path, ask):
    oracle = Oracle()
    try:
        (oracle.folder / "dump.rdb").write_bytes(path.read_bytes())
        oracle.client.execute_command("DEBUG", "RELOAD", "NOSAVE")
        return ask(oracle.client)
    finally:
        oracle.remove()


def fill_large(r, elements):
    p = r.pipeline(transaction=False)
    for at in range(0, elements, 1000):
        p.rpush("list", *(f"element {i}" for i in range(at, at + 1000)))
        p.hset("hash", mapping={f"field {i}": i for i in range(at // 4, at // 4 + 250)})
        p.zadd("zset", {f"member {i}": i for i in range(at // 4, at // 4 + 250)})
        p.sadd("set", *(f"member {i}" for i in range(at // 4, at // 4 + 250)))
        if at % 20000 == 0:
            p.execute()
    p.set("string", os.urandom(20 << 20))
    for i in range(0, elements // 20, 50):
        for j in range(i, i + 50):
            p.xadd("stream", {"a": j}, id=f"{j + 1}-1")
        p.execute()


class Clients(threading.Thread):
    """Says PING and changes small keys until it is told to stop: the longest that one of them took."""

    def __init__(self, box):
        super().__init__(daemon=True)
        self.r, self.over, self.worst, self.n, self.error = box.client(), False, 0, 0, None

    def run(self):
        try:
            while not self.over:
                begin = time.monotonic()
                self.r.set(f"small:{self.n % 1000}", self.n)
                self.worst = max(self.worst, time.monotonic() - begin)
                self.n += 1
        except redis.RedisError as e:
            self.error = e


def large(elements):
    def test(box):
        r = box.client()
        fill_large(r, elements)
        before = r.execute_command("DEBUG", "DIGEST-VALUE", "list", "hash", "zset", "set", "string", "stream")
        clients = Clients(box)
        clients.start()
        r.bgsave()
        slices = r.info("persistence")
        r.rpush("list", "behind")  # waits for the value's end, or is there before it
        r.hset("hash", "behind", 1)
        until(120, lambda: save_is_over(r), box.log)
        clients.over = True
        clients.join()
        info = r.info("persistence")
        assert info["rdb_last_bgsave_status"] == "ok", info
        assert not clients.error, clients.error
        after = loaded_by_redis(box.dump, lambda o: (o.llen("list"), o.hexists("hash", "behind"), o.execute_command(
            "DEBUG", "DIGEST-VALUE", "list", "hash", "zset", "set", "string", "stream")))
        assert after[0] == elements and not after[1], (after[0], after[1])
        assert after[2] == before, "the values are not those of the instant"
        return f"{elements} elements, worst SET of others {clients.worst * 1000:.1f} ms of {clients.n}, {slices['rdb_bgsave_in_progress']}"
    return lambda: with_box(test, workers=2, arena_size="1gb")


def larger_than_the_room(box):
    """A value that is larger than what may be kept aside, and changes all the time."""
    r = box.client()
    r.set("value", os.urandom(100 << 20))
    for i in range(3):
        r.bgsave()
        r.append("value", "x")
        until(60, lambda: save_is_over(r), box.log)
        assert r.info("persistence")["rdb_last_bgsave_status"] == "ok", box.log()[-800:]
    assert loaded_by_redis(box.dump, lambda o: o.strlen("value")) == (100 << 20) + 2


def fill(r):
    p = r.pipeline(transaction=False)
    for i in range(200000):
        p.set(f"key:{i}", "v" * 100)
        if i % 10000 == 0:
            p.execute()
    p.execute()


def flushall(save):
    def test(box):
        r = box.client()
        fill(r)
        r.rpush("list", *range(100000))
        r.save()
        assert r.bgsave()
        in_progress = r.info("persistence")["rdb_bgsave_in_progress"]
        r.flushall()
        until(60, lambda: save_is_over(r), box.log)
        assert r.info("persistence")["rdb_last_bgsave_status"] == "ok", box.log()[-500:]
        r.set("after", 1)
        r.bgsave() if not save else None
        keys = {"after": 1}
        if save:  # a snapshot follows by itself
            until(30, lambda: "All keys were flushed" in box.log() and save_is_over(r), box.log)
            keys = {"after": 1}
        until(60, lambda: save_is_over(r), box.log)
        found = loaded_by_redis(box.dump, lambda o: (o.dbsize(), o.exists("key:5")))
        assert found[1] == 0 and found[0] <= len(keys), found
        return f"in progress: {in_progress}"
    return lambda: with_box(test, workers=2, save=save)


def in_transactions(box):
    """As redis-server answers, where a transaction and a script meet these commands."""
    oracle = Oracle()
    try:
        def say(r, *commands):
            replies = []
            for words in commands:
                try:
                    replies.append(r.execute_command(*words))
                except redis.RedisError as e:
                    replies.append(str(e))
            return replies
        cases = [[("MULTI",), ("SAVE",), ("EXEC",)], [("MULTI",), ("SET", "a", 1), ("BGSAVE",), ("EXEC",)],
                 [("EVAL", "return redis.call('save')", 0)], [("EVAL", "return redis.pcall('bgsave').err", 0)],
                 [("BGSAVE", "now")], [("BGSAVE", "SCHEDULE", "x")], [("SAVE", "x")], [("LASTSAVE", "x")]]
        for case in cases:
            replies = []
            for r in (box.client(single_connection_client=True), redis.Redis("127.0.0.1", oracle.port, single_connection_client=True)):
                r.response_callbacks.clear()
                replies.append(say(r, *case))
                until(30, lambda: save_is_over(redis.Redis("127.0.0.1", oracle.port)) and save_is_over(box.client()), box.log)
            assert replies[0] == replies[1], (case, replies)
        until(30, lambda: box.dump.exists(), box.log)  # the one that the transaction has asked for
    finally:
        oracle.remove()


def files(box):
    code, text = box.sluice("snapshot", "list", "--json")
    assert code == 0, text
    return sorted(os.path.basename(f["file"]) for f in json.loads(text) if f["kept"])


def kept(box):
    r = box.client()
    r.set("n", 1)
    for n in (1, 2, 3):
        r.set("n", n)
        code, text = box.sluice("snapshot", "create", "--wait")
        assert code == 0 and "1 keys" in text, text
    names = files(box)
    assert len(names) == 3 and len(set((box.data / f).stat().st_ino for f in names)) == 3
    assert (box.data / names[-1]).stat().st_ino == box.dump.stat().st_ino
    assert loaded_by_redis(box.data / names[0], lambda o: o.get("n")) == b"1"
    code, text = box.sluice("snapshot", "create", "--wait", "--json")
    lines = [json.loads(line) for line in text.splitlines()]
    assert code == 0 and lines[-1]["kept_as"] in files(box), text
    assert box.sluice("config", "set", "snapshot-keep", "2")[0] == 0
    assert box.sluice("snapshot", "create", "--wait")[0] == 0
    assert len(files(box)) == 2 and names[0] not in files(box)
    gone = files(box)[0]
    assert box.sluice("snapshot", "delete", gone)[0] == 0 and gone not in files(box)
    for name in ("dump.rdb", "../conf", gone, "temp-1.rdb", ""):
        assert box.sluice("snapshot", "delete", name)[0] != 0, name
    assert box.dump.exists() and (box.folder / "conf").exists()
    code, text = box.sluice("snapshot", "verify", box.data / files(box)[0])
    assert code == 0, text


def scheduled(box):
    """One that was due while the box was off is made at its start; a schedule that nobody can read is refused."""
    code, text = box.sluice("snapshot", "schedule")
    assert code == 0 and "off" in text, text
    for wrong in (("every", "5s"), ("every", "x"), ("daily", "25:00"), ("daily", "5:00"), ("now",), ("every", "400d")):
        assert box.sluice("snapshot", "schedule", *wrong)[0] != 0, wrong
    code, text = box.sluice("snapshot", "schedule", "daily", "03:00", "5")
    assert code == 0, text
    code, text = box.sluice("snapshot", "schedule")
    assert "daily 03:00" in text and "next" in text and "5" in text, text
    box.stop()
    (box.data / "dump-20200101T000000Z.rdb").write_bytes(b"old")
    box.directives["snapshot-schedule"] = "daily 03:00"
    box.start()
    box.client().set("a", 1)
    until(60, lambda: len(files(box)) == 2, box.log)
    until(60, lambda: save_is_over(box.client()), box.log)
    time.sleep(2.5)  # two looks at the schedule
    assert len(files(box)) == 2, files(box)


def failure_is_told(box):
    r = box.client()
    r.set("a", 1)
    assert r.save()
    os.rename(box.data, str(box.data) + "-away")
    try:
        r.save()
        raise AssertionError("saved into no folder")
    except redis.ResponseError:
        pass
    code, text = box.sluice("show", "status")
    assert "the last snapshot failed" in text, text
    code, text = box.sluice("snapshot", "create", "--wait")
    assert code == 1 and "cannot make" in text, text
    os.rename(str(box.data) + "-away", box.data)
    assert box.sluice("snapshot", "create", "--wait")[0] == 0
    assert "the last snapshot failed" not in box.sluice("show", "status")[1]


def recipes(box):
    """What the documents that the box is made for tell people to do (BGSAVE, LASTSAVE, copy with the date; stop, put back, start)."""
    r = box.client()
    r.set("user:1", "x")
    last = r.lastsave()
    until(5, lambda: time.time() >= int(last.timestamp()) + 1, lambda: "a second to pass")
    assert r.execute_command("BGSAVE") is True
    until(60, lambda: r.lastsave() > last, box.log)
    backup = box.folder / time.strftime("dump_%Y%m%d_%H%M%S.rdb")
    backup.write_bytes(box.dump.read_bytes())
    r.flushall()
    r.set("wrong", 1)
    r.save()
    box.stop()
    box.dump.write_bytes(backup.read_bytes())
    box.start()
    assert box.client().get("user:1") == b"x" and box.client().dbsize() == 1
    box.stop()
    box.dump.unlink()  # "corrupted: delete and start empty"
    box.start()
    assert box.client().dbsize() == 0


def counters(box, count):
    """Counts until the box ends; the last number that was acknowledged."""
    r, last = box.client(), 0
    try:
        while count(last):
            last = r.incr("counter")
    except redis.RedisError:
        pass
    return last


def stopped(box):
    """`sluice stop` with save points loses nothing that was acknowledged; the SIGTERM that systemd sends behind it changes nothing."""
    r = box.client()
    fill(r)
    last = []
    writer = threading.Thread(target=lambda: last.append(counters(box, lambda n: True)), daemon=True)
    writer.start()
    until(60, lambda: int(r.get("counter") or 0) > 100, box.log)
    begin = time.monotonic()
    assert box.sluice("stop")[0] == 0
    box.control.terminate()
    assert box.control.wait(60) == 0 and not box.dataplane_pid(), box.log()[-2000:]
    took = time.monotonic() - begin
    writer.join(30)
    assert "control ends when that is over" in box.log()
    found = loaded_by_redis(box.dump, lambda o: (int(o.get("counter")), o.dbsize()))
    assert found == (last[0], 200001), (found, last)
    return f"{took:.1f} s"


def stop_goes_on(box):
    """A full or missing disk, or a dataplane that hangs, does not keep a stop."""
    box.client().set("a", 1)
    os.rename(box.data, str(box.data) + "-away")
    assert box.sluice("stop")[0] == 0 and box.control.wait(60) == 0
    assert "The box is stopped without a snapshot of its keys" in box.log() and not box.dataplane_pid(), box.log()[-2000:]
    os.rename(str(box.data) + "-away", box.data)
    box.start()
    box.client().set("a", 1)
    os.kill(box.dataplane_pid(), signal.SIGSTOP)
    begin = time.monotonic()
    assert box.sluice("stop")[0] == 0 and box.control.wait(60) == 0, box.log()[-2000:]
    assert "the dataplane does not answer" in box.log() and not box.dataplane_pid(), box.log()[-2000:]
    return f"a hung one: {time.monotonic() - begin:.1f} s"


def restart_twice(box):
    """A second one while the snapshot of the first is written is refused, and ends no pause; nothing that was acknowledged is lost."""
    r = box.client()
    r.set("string", os.urandom(60 << 20))
    p = r.pipeline(transaction=False)
    for i in range(300000):
        p.set(f"key:{i}", "v" * 100)
        if i % 10000 == 0:
            p.execute()
    p.execute()
    over, last = threading.Event(), []
    writer = threading.Thread(target=lambda: last.append(counters(box, lambda n: not over.is_set())), daemon=True)
    writer.start()
    assert box.sluice("config", "set", "workers", "1")[0] == 0
    before = box.dataplane_pid()
    assert box.sluice("restart", "dataplane")[0] == 0
    again = box.sluice("restart", "dataplane")
    assert again[0] != 0 and "under way" in again[1], again
    until(60, lambda: box.dataplane_pid() not in (0, before), box.log)
    over.set()
    writer.join(30)
    box.wait("serving")
    assert "snapshot first" in box.log() and int(box.client().get("counter") or 0) == last[0], (box.client().get("counter"), last, box.log()[-1500:])
    assert box.client().dbsize() >= 300001


def unconfirmed(box):
    """A commit that nobody confirms, taken back by the control that comes after it was killed: with the keys."""
    r = box.client()
    r.set("a", 1)
    edit = subprocess.run([BUILD / "mgmt/sluice", "--socket", box.folder / "m.sock"], text=True, capture_output=True, timeout=60,
                          input="configure\nset workers 1\ncommit confirmed 5\nexit\n")
    assert edit.returncode == 0, edit.stdout + edit.stderr
    before = box.dataplane_pid()
    assert box.sluice("restart", "dataplane")[0] == 0
    until(60, lambda: box.dataplane_pid() not in (0, before), box.log)
    box.wait("serving")
    box.client().set("b", 2)  # in no snapshot yet
    before = box.dataplane_pid()
    box.kill_control()
    box.start_control()
    until(60, lambda: box.dataplane_pid() not in (0, before), box.log)
    box.wait("serving")
    r = box.client()
    assert r.get("a") == b"1" and r.get("b") == b"2", (r.keys(), box.log()[-2000:])


def main():
    tap = Tap()
    elements = int(os.environ.get("ELEMENTS", 400000))
    tests = {"large": ("large values of all types while others write: the values of the instant", large(elements)),
             "room": ("a value that is larger than the room for old values", lambda: with_box(larger_than_the_room, arena_size="512mb")),
             "flushall": ("FLUSHALL ends a BGSAVE", flushall("")),
             "flushall_save": ("FLUSHALL with save points is followed by a snapshot", flushall("3600 1")),
             "multi": ("MULTI, scripts and wrong words as redis-server", lambda: with_box(in_transactions)),
             "kept": ("create, list, retention, delete", lambda: with_box(kept)),
             "scheduled": ("schedule", lambda: with_box(scheduled)),
             "failure": ("a failure is an alarm until it is over", lambda: with_box(failure_is_told)),
             "stopped": ("stop with save points saves, under load", lambda: with_box(stopped, workers=2, save="3600 100000000")),
             "stop_goes_on": ("a stop ends without a disk and with a dataplane that hangs",
                              lambda: with_box(stop_goes_on, save="3600 1", shutdown_timeout=1)),
             "restart_twice": ("a second restart during the snapshot of the first", lambda: with_box(restart_twice, workers=2, arena_size="512mb", save="3600 100000000")),
             "unconfirmed": ("an unconfirmed commit is taken back with the keys", lambda: with_box(unconfirmed, workers=2, save="3600 100000000")),
             "recipes": ("back up and restore as the recipes say", lambda: with_box(recipes))}
    for name in sys.argv[1:] or tests:
        tap.run(*tests[name])
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
