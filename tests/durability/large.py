#!/usr/bin/python3
"""Many keys of all types, COUNT of them (WORKERS workers): redis-server -> file -> box -> file -> redis-server, digests equal at each end; or
(argument speed) how fast the same file is loaded by redis-server and by boxes with one worker and two, by turns. Prints TAP. Run by load.sh."""
import os
import pathlib
import re
import shutil
import statistics
import sys
import tempfile
import time

from box import INSTANCE, Box, Oracle, Tap

COUNT, WORKERS, TURNS = int(os.environ["COUNT"]), int(os.environ.get("WORKERS", 2)), int(os.environ.get("TURNS", 3))
PATIENCE = 120 + COUNT // 5000  # seconds, for anything: a machine that has other things to do
A_CALL = 20000

# By number: texts, numbers, times, collections of one to eight elements, streams, and now and then one that no compact form holds.
MAKE = """
math.randomseed(ARGV[1])
local random, call = math.random, redis.call
local function word() return string.format('%x', random(2^31 - 1)) .. string.rep('w', random(0, 12)) end
local function many(n, one) local t = {} for i = 1, n do one(t, i) end return unpack(t) end
local one = {
    hash = function(t, i) t[#t + 1] = 'f' .. i t[#t + 1] = word() end,
    text = function(t, i) t[#t + 1] = word() end,
    number = function(t, i) t[#t + 1] = random(2^31 - 1) end,
    score = function(t, i) t[#t + 1] = random() * 1000 t[#t + 1] = word() end}
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
    local kind, n, key = i % 20, random(8), string.format('key:%012d', i)
    if i % 100000 == 50000 + kind then n = 1500 end
    if kind < 4 then call('SET', key, word() .. string.rep('v', random(0, 100)))
    elseif kind < 7 then call('SET', key, random(2^31 - 1))
    elseif kind == 7 then call('SET', key, word(), 'PXAT', 4000000000000 + i)
    elseif kind < 12 then call('HSET', key, many(n, one.hash))
    elseif kind < 14 then call('RPUSH', key, many(n, one.text))
    elseif kind < 16 then call('SADD', key, many(n, one.text))
    elseif kind == 16 then call('SADD', key, many(n, one.number))
    elseif kind < 19 or i % 100 ~= 19 then call('ZADD', key, many(n, one.score))
    else
        for e = 1, n do call('XADD', key, e .. '-1', 'f', word(), 'g', e) end
        call('XGROUP', 'CREATE', key, 'group', '0')
        call('XREADGROUP', 'GROUP', 'group', 'consumer', 'COUNT', 2, 'STREAMS', key, '>')
    end
    if i % 50 == 30 then call('PEXPIREAT', key, 4000000000000 + i) end
end
"""


def say(text):
    print(f"# {time.strftime('%H:%M:%S')} {text}", flush=True)


def server(folder):
    return Oracle("--dir", folder, seconds=PATIENCE, timeout=PATIENCE)


def generate(folder):
    """The file of redis-server, and its digest."""
    oracle = server(folder)
    try:
        make = oracle.client.register_script(MAKE)
        for first in range(0, COUNT, A_CALL):
            make(args=[first, min(first + A_CALL, COUNT)])
        assert oracle.client.dbsize() == COUNT, oracle.client.dbsize()
        say(f"{COUNT} keys, {oracle.client.info('memory')['used_memory'] >> 20} MB in redis-server")
        digest = oracle.client.execute_command("DEBUG", "DIGEST")
        oracle.client.save()
        return digest
    finally:
        oracle.remove()


def box_with(file, workers):
    box = Box(workers=workers, arena_size=f"{256 + COUNT * 400 // 1000000}mb")
    shutil.copy(file, box.dump)
    box.start(seconds=PATIENCE)
    return box


def seconds_of_loading(log):
    """As control's log has them."""
    def at(text):
        h, m, s = re.search(r"(\d\d):(\d\d):(\d\d\.\d+) \* [^\n]*" + text, log).groups()
        return int(h) * 3600 + int(m) * 60 + float(s)
    return (at("Loaded ") - at("is loading")) % 86400


def there_and_back(folder):
    wanted = generate(folder)
    box, back = box_with(folder / "dump.rdb", WORKERS), pathlib.Path(tempfile.mkdtemp(prefix=INSTANCE + "-back-"))
    try:
        r = box.client(socket_timeout=PATIENCE)
        assert r.dbsize() == COUNT, r.dbsize()
        loading = seconds_of_loading(box.log())
        say(f"loaded in {loading:.1f} s, {r.info('memory')['used_memory'] >> 20} MB in the box")
        assert r.execute_command("DEBUG", "DIGEST") == wanted, "the box has other data"
        start = time.monotonic()
        r.save()
        say(f"saved in {time.monotonic() - start:.1f} s, {box.dump.stat().st_size >> 20} MB")
        shutil.move(box.dump, back / "dump.rdb")
        box.remove()
        oracle = server(back)
        try:
            assert oracle.client.dbsize() == COUNT and oracle.client.execute_command("DEBUG", "DIGEST") == wanted, "redis-server has other data"
        finally:
            oracle.remove()
        return f"{COUNT} keys, {WORKERS} workers, digest {wanted.decode()}"
    finally:
        box.remove()
        shutil.rmtree(back, ignore_errors=True)


def speed(folder):
    """Loading alone, from the first record to the last."""
    generate(folder)
    found = {"redis-server": [], "1 worker": [], "2 workers": []}
    for _ in range(TURNS):
        oracle = server(folder)
        found["redis-server"].append(float(re.findall(r"DB loaded from disk: ([\d.]+) seconds", (oracle.folder / "log").read_text())[-1]))
        oracle.remove()
        for workers, name in ((1, "1 worker"), (2, "2 workers")):
            box = box_with(folder / "dump.rdb", workers)
            found[name].append(seconds_of_loading(box.log()))
            box.remove()
    theirs = statistics.median(found["redis-server"])
    for name, seconds in found.items():
        s = statistics.median(seconds)
        say(f"{name}: {COUNT / s:.0f} keys/s ({s:.2f} s, {min(seconds):.2f} to {max(seconds):.2f}), {theirs / s:.2f} of redis-server's")
    return f"{COUNT} keys, {TURNS} turns"


def main():
    tap, folder = Tap(), pathlib.Path(tempfile.mkdtemp(prefix=INSTANCE + "-large-"))
    try:
        if "speed" in sys.argv:
            tap.run("loading, beside redis-server", lambda: speed(folder))
        else:
            tap.run("keys of all types there and back, digests are equal", lambda: there_and_back(folder))
        return tap.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
