#!/usr/bin/python3
"""`sluice snapshot import` of a log of redis-server: commands, an RDB with commands behind it, the folder of several files; while the box
serves and into one that could not load its own; cut, damaged. Prints TAP. Run by logs.sh."""
import json
import random
import shutil
import sys
import time

from aof_box import digest, streams, write
from box import Box, Oracle, Tap, until
from rdb_file import File, string


def of_redis(folder, *options):
    """A redis-server's log of all types in `folder`, with a rewrite in between: digest and groups of what another one makes of it."""
    oracle = Oracle("--appendonly", "yes", *options)
    try:
        rng = random.Random(3)
        write(oracle.client, rng, 1500)
        oracle.client.delete("short")
        oracle.client.bgrewriteaof()
        until(60, lambda: not oracle.client.info("persistence")["aof_rewrite_in_progress"], lambda: "redis-server's rewrite")
        write(oracle.client, rng, 1500)
        oracle.client.set("n", 7)
        oracle.client.delete("short")
        until(60, lambda: not oracle.client.info("persistence")["aof_buffer_length"], lambda: "redis-server's buffer")
        shutil.copytree(oracle.folder / "appendonlydir", folder)
    finally:
        oracle.remove()
    (folder / "copy").mkdir()
    shutil.copytree(folder, folder / "copy" / "appendonlydir", ignore=lambda *_: ["copy"])
    oracle = Oracle("--dir", folder / "copy", "--appendonly", "yes")
    try:
        return digest(oracle.client), streams(oracle.client)
    finally:
        oracle.remove()
        shutil.rmtree(folder / "copy")


def in_one(folder, to):
    """As it was before version 7: one file."""
    to.write_bytes(b"".join(f.read_bytes() for kind in ("base", "incr") for f in sorted(folder.glob(f"*.{kind}.*"))))
    return to


def state_of(path):
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [(f.name, f.read_bytes()) for f in files]


def made_by_redis(single, *options):
    def test(box):
        want, groups = of_redis(box.folder / "log", *options)
        log = in_one(box.folder / "log", box.folder / "appendonly.aof") if single else box.folder / "log"
        before = state_of(log)
        box.start()
        r = box.client()
        r.set("mine", 1)
        r.set("n", 1000)  # the log's INCRBYs are not for this one
        code, text = box.sluice("snapshot", "import", log)
        assert code == 0 and "loaded" in text, text
        assert r.get("mine") == b"1" and r.get("n") == b"7"
        r.delete("mine")
        assert digest(r) == want, "other data"
        assert streams(r) == groups, "other groups"
        assert [f[b"library_name"] for f in map(pairs, r.function_list())] == [b"lib"]
        r.flushall()
        r.set("n", 1000)
        code, text = box.sluice("snapshot", "import", log, "keep")
        assert code == 0 and "2 were left" in text and r.get("n") == b"1000", text  # and the library
        r.set("n", 7)
        assert digest(r) == want, "other data with keep"
        assert state_of(log) == before, "the log was changed"
        left = [f for f in box.folder.iterdir() if f.name.startswith("sluice-import")]
        assert not left, left
    return lambda: with_box(test, workers=2)


def pairs(reply):
    return dict(zip(reply[::2], reply[1::2])) if isinstance(reply, list) else reply


def command(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


LOG = (command("SELECT", 0) + command("SET", "a", 1) + command("SELECT", 3) + command("SET", "b", 2, "PXAT", int(time.time() * 1000) - 60000) + command("SET", "c", "x" * 300000) +
       command("MULTI") + command("SET", "t1", 1) + command("SET", "t2", 1) + command("EXEC"))


def cut_and_damaged():
    def test(box):
        box.start()
        r, log = box.client(), box.folder / "appendonly.aof"
        log.write_bytes(LOG[:-3])
        code, text = box.sluice("snapshot", "import", log)
        whole = LOG.index(b"*1\r\n$5\r\nMULTI")
        assert code != 0 and f"at byte {whole}" in text and "truncated" in text, text
        assert r.dbsize() == 0
        code, text = box.sluice("snapshot", "import", log, "truncated")
        assert code == 0 and "loaded 2 keys" in text and "1 had expired" in text and f"its first {whole} of" in text, text
        assert r.get("a") == b"1" and box.client(db=3).keys("*") == [b"c"] and box.client(db=3).strlen("c") == 300000
        assert log.read_bytes() == LOG[:-3], "the log was cut"
        place = LOG.index(b"*3\r\n$3\r\nSET\r\n$1\r\nc")
        for damage in (b"garbage\r\n", b"*1\r\n$4\r\nEXEC\r\n"):
            log.write_bytes(LOG[:place] + damage + LOG[place:])
            for words in ((), ("replace", "truncated")):
                code, text = box.sluice("snapshot", "import", log, *words)
                assert code != 0 and f"at byte {place}" in text, text
        log.write_bytes(LOG[:place] + command("NOSUCHCOMMAND", 1) + LOG[place:])
        code, text = box.sluice("snapshot", "import", log)
        assert code != 0 and "unknown here" in text and "NOSUCHCOMMAND" in text, text
        assert box.state() == "serving"
    with_box(test)


def a_log_is_no_snapshot():
    """What only begins as an RDB is not taken for one, by nobody: its commands would be lost."""
    def test(box):
        box.start()
        both = box.folder / "both"
        both.write_bytes(File(10).select(0).key("a", 0, string("1")).end() + command("SET", "a", 2))
        code, text = box.sluice("snapshot", "import", both)
        assert code != 0 and "append-only log" in text and "at byte" in text, text
        both.write_bytes(File(10).aux("aof-preamble", "1").select(0).key("a", 0, string("1")).end() + command("SELECT", 0) + command("INCR", "a"))
        code, text = box.sluice("snapshot", "import", both, "--json")
        assert code == 0 and box.client().get("a") == b"2", text
        told = [json.loads(line) for line in text[:text.index("{\n")].splitlines()]
        assert told and told[-1] == {"log_bytes_read": both.stat().st_size, "log_bytes": both.stat().st_size}, text
        assert json.loads(text[text.index("{\n"):])["loaded"] == 1
        empty = box.folder / "empty"
        empty.mkdir()
        for path, why in ((empty, "no manifest"), (box.folder / "nothing", "No such file"), (box.folder / "x.manifest", "No such file")):
            code, text = box.sluice("snapshot", "import", path)
            assert code != 0 and why in text, text
        assert box.sluice("snapshot", "import", box.folder / "conf", "truncated")[0] == 2
        for words in (("kepp",), ("keep", "replace"), ("truncated", "more")):
            assert box.sluice("snapshot", "import", both, *words)[0] == 2, words
        code, text = box.sluice("snapshot", "import", both, "salvage")
        assert code == 1 and "this one serves" in text and box.client().get("a") == b"2", text
    with_box(test)


def rescue():
    """A box that could not load its snapshot gets a log instead; a log that the box itself wrote is taken as well."""
    def test(box):
        box.dump.write_bytes(b"this is no RDB file at all")
        log = box.folder / "appendonly.aof"
        log.write_bytes(LOG)
        box.start("load-failed")
        code, text = box.sluice("snapshot", "import", log)
        assert code == 0, text
        box.wait("serving", 60)
        assert box.client().get("a") == b"1" and box.client(db=3).get("t2") == b"1"
        r = box.client()
        r.config_set("appendonly", "yes")
        until(60, lambda: (box.data / "appendonlydir/appendonly.aof.manifest").exists(), lambda: "a log")
        write(r, random.Random(9), 500)
        r.delete("short")
        until(60, lambda: r.execute_command("WAITAOF", 1, 0, 0) == [1, 0], lambda: "the log on the disk")
        want = digest(r)
        shutil.copytree(box.data / "appendonlydir", box.folder / "copy")
        r.flushall()
        code, text = box.sluice("snapshot", "import", box.folder / "copy/appendonly.aof.manifest")
        assert code == 0 and digest(r) == want, text
    with_box(test, workers=2)


def salvaged():
    """What is sound of a base that is damaged."""
    def test(box):
        base, sound = box.folder / "x.base.rdb", File(10).aux("aof-base", "1").select(0).key("a", 0, string("1"))
        at = len(sound.data)
        base.write_bytes(sound.key("b", 0, string("2")).end()[:at] + b"\xf0 no key")
        box.dump.write_bytes(b"this is no RDB file at all")
        box.start("load-failed")
        code, text = box.sluice("snapshot", "import", base, "truncated")
        assert code == 1 and "byte" in text and box.state() == "load-failed", text
        code, text = box.sluice("snapshot", "import", base, "salvage")
        assert code == 0 and f"at byte {at + 1}" in text, text
        box.wait("serving", 60)
        assert box.client().keys("*") == [b"a"], text
    with_box(test)


def over_long_ago():
    """Lives that ended years ago in a log that was never rewritten: what was put off since, or taken back, is there, as redis-server has it."""
    now, year = int(time.time() * 1000), 365 * 24 * 3600 * 1000
    text = (command("SELECT", 0) + command("SET", "slides", 1, "PXAT", now - 6 * year) + command("APPEND", "slides", 2) +
            command("PEXPIREAT", "slides", now - 2 * year) + command("APPEND", "slides", 3) + command("PEXPIREAT", "slides", now + year) +
            command("SET", "stays", 1, "PXAT", now - 3 * year) + command("PERSIST", "stays") + command("SET", "over", 1, "PXAT", now - 3 * year))

    def whole(r):
        return r.get("slides"), r.pexpiretime("slides"), r.get("stays"), r.ttl("stays"), r.get("over")

    def test(box):
        log = box.data / "appendonly.aof"
        log.write_bytes(text)
        (box.folder / "copy").mkdir()
        shutil.copy(log, box.folder / "copy")
        oracle = Oracle("--dir", box.folder / "copy", "--appendonly", "yes")
        try:
            want = whole(oracle.client)
        finally:
            oracle.remove()
        assert want == (b"123", now + year, b"1", -1, None), want
        box.start()  # it begins with that log
        assert whole(box.client()) == want, "at the start"
        box.client().flushall()
        log = box.folder / "copy/import.aof"
        log.write_bytes(text)
        code, said = box.sluice("snapshot", "import", log)
        assert code == 0 and whole(box.client()) == want, said
        until(60, lambda: box.client().dbsize() == 2, lambda: "upkeep to find what is over")
    with_box(test, appendonly="yes")


def with_box(test, **directives):
    box = Box(**directives)
    try:
        return test(box)
    finally:
        box.remove()


TESTS = [("several files", made_by_redis(False)), ("an RDB with commands behind it", made_by_redis(True)),
         ("commands alone", made_by_redis(True, "--aof-use-rdb-preamble", "no")), ("cut, damaged, unknown", cut_and_damaged),
         ("a log is no snapshot", a_log_is_no_snapshot), ("into a box that could not load; the box's own log", rescue),
         ("a damaged base, salvaged", salvaged), ("lives that were over years ago", over_long_ago)]

if __name__ == "__main__":
    tap = Tap()
    for title, case in TESTS:
        if not sys.argv[1:] or any(w in title for w in sys.argv[1:]):
            tap.run(title, case)
    sys.exit(tap.end())
