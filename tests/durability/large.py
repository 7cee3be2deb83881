#!/usr/bin/python3
"""large N: N keys of all types (WORKERS workers): redis-server -> file -> box -> file -> redis-server, digests equal at each end; speed N: how
fast the same file is loaded by redis-server and by boxes with one worker and two, by turns (TURNS). Prints TAP. Run by load.sh."""
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from box import BUILD, INSTANCE, Box, Oracle, Tap

COUNT, WORKERS, TURNS = int(sys.argv[2]), int(os.environ.get("WORKERS", 2)), int(os.environ.get("TURNS", 3))
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


def generate(folder, count=COUNT):
    """The file of redis-server, and its digest."""
    oracle = server(folder)
    try:
        make = oracle.client.register_script(MAKE)
        for first in range(0, count, A_CALL):
            make(args=[first, min(first + A_CALL, count)])
        assert oracle.client.dbsize() == count, oracle.client.dbsize()
        say(f"{count} keys, {oracle.client.info('memory')['used_memory'] >> 20} MB in redis-server")
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


def ticks(stat, first, last):
    """Of a /proc/.../stat, seconds of CPU time: fields as proc(5) counts them."""
    fields = pathlib.Path(stat).read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[first - 3:last - 2])) / os.sysconf("SC_CLK_TCK")


def cpu(box):
    """Seconds of CPU time: of the process that reads the file, control, the dataplane's main thread, all workers."""
    control, spent = f"/proc/{box.control.pid}/stat", {"main thread": 0, "workers": 0}
    for task in pathlib.Path(f"/proc/{box.dataplane_pid()}/task").iterdir():
        name = (task / "comm").read_text()
        spent["workers" if name.startswith("rte-worker") else "main thread"] += ticks(task / "stat", 14, 15)
    return {"reader": ticks(control, 16, 17), "control": ticks(control, 14, 15)} | spent


def cpu_at_start(workers):
    """What a box has spent that serves and had nothing to load."""
    box = Box(workers=workers)
    try:
        return cpu(box.start(seconds=PATIENCE))
    finally:
        box.remove()


def load_box(folder, workers, start):
    box = box_with(folder / "dump.rdb", workers)
    try:
        spent = {name: seconds - start[name] for name, seconds in cpu(box).items()}
        return seconds_of_loading(box.log()), sum(spent.values()), spent
    finally:
        box.remove()


def load_oracle(folder):
    oracle = server(folder)
    try:
        seconds = float(re.findall(r"DB loaded from disk: ([\d.]+) seconds", (oracle.folder / "log").read_text())[-1])
        return seconds, ticks(f"/proc/{oracle.process.pid}/stat", 14, 15), {}
    finally:
        oracle.remove()


def instructions(folder):
    """Of a key, by callgrind: where the file is read, and where a worker stores."""
    count, found = min(COUNT, 20000), []
    (folder / "few").mkdir()
    generate(folder / "few", count)
    for function in ("rdb_stream", "store_records"):
        done = subprocess.run(["valgrind", "--tool=callgrind", f"--toggle-collect={function}", "--callgrind-out-file=/dev/null",
                               BUILD / "tests/bench/load_bench", folder / "few/dump.rdb"], capture_output=True, text=True, timeout=PATIENCE)
        total = re.search(r"Collected : (\d+)", done.stderr)
        assert done.returncode == 0 and total and int(total.group(1)), done.stdout + done.stderr
        found.append(int(total.group(1)) / count)
    say(f"instructions a key: {found[0]:.0f} where the file is read, {found[1]:.0f} where it is stored")


def speed(folder):
    """Loading alone, from the first record to the last; and the CPU time it takes, which a busy machine changes less."""
    generate(folder)
    found, start = {"redis-server": [], "1 worker": [], "2 workers": []}, [cpu_at_start(1), cpu_at_start(2)]
    for _ in range(TURNS):
        found["redis-server"].append(load_oracle(folder))
        found["1 worker"].append(load_box(folder, 1, start[0]))
        found["2 workers"].append(load_box(folder, 2, start[1]))
    theirs = statistics.median(turn[0] for turn in found["redis-server"])
    for name, turns in found.items():
        all_s, all_cpu = [turn[0] for turn in turns], statistics.median(turn[1] for turn in turns)
        s = statistics.median(all_s)
        say(f"{name}: {COUNT / s:.0f} keys/s ({s:.2f} s, {min(all_s):.2f} to {max(all_s):.2f}), {theirs / s:.2f} of redis-server's; CPU "
            f"{all_cpu * 1e6 / COUNT:.2f} us a key" + "".join(f", {part} {t * 1e6 / COUNT:.2f}" for part, t in turns[-1][2].items()))
    if shutil.which("valgrind"):
        instructions(folder)
    return f"{COUNT} keys, {TURNS} turns"


def main():
    tap, folder = Tap(), pathlib.Path(tempfile.mkdtemp(prefix=INSTANCE + "-large-"))
    try:
        if sys.argv[1] == "speed":
            tap.run("loading, beside redis-server", lambda: speed(folder))
        else:
            tap.run("keys of all types there and back, digests are equal", lambda: there_and_back(folder))
        return tap.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
