#!/usr/bin/python3
"""kill -9 of the dataplane, of control or of both under a mixed load, with rewrites and snapshots under the kill, for each setting and one
and two workers: what a client was told is there afterwards as far as the setting promises it, what is lost is the end of what was done
and nothing else, and nothing is there that was never sent. Prints TAP, a line a row. Run by matrix.sh. Arguments: words that the name
of a row must have one of. KILLS=N: of each row; SEED=N; MATRIX_SECONDS=N: no further row begins then. What a row that fails leaves
(logs of both processes, files of the log as they were at the kill, what was acknowledged and what was found) stays in the folder it names."""
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback

import redis

from aof_box import check, digest, log_folder, settled
from box import Box, Tap, alive, until
from crash import CRASHED, REFUSED, Counters, Long, Mix, Pairs, compare_with_log, rewrites
from load import fill
from warm import client

KILLS = int(os.environ.get("KILLS", 3))
SEED = int(os.environ.get("SEED", 1))
BEHIND = 30  # s: as long as the kernel keeps a worker off its core; a note says how old it was
END = time.monotonic() + float(os.environ.get("MATRIX_SECONDS", 10**6))


class Seldom(Long):
    """Long commands are under way half of the time, and leave time to the others."""

    def one(self, r, rng):
        began = time.monotonic()
        super().one(r, rng)
        time.sleep(min(1, time.monotonic() - began))


class Row:
    def __init__(self, policy, who, workers):
        self.policy, self.who, self.workers = policy, who, workers  # policy: of appendfsync; None: snapshots and no log
        self.name = f"{'appendfsync ' + policy if policy else 'snapshots, no log'}: {who}, {'two workers' if workers == 2 else 'one worker'}"
        self.rng = random.Random(f"{SEED} {self.name}")
        self.kills = self.warm = self.writes = self.lost = 0
        self.oldest = 0.0
        self.floor = {}  # what the last whole snapshot has at least, by writer

    def run(self, box):
        self.box = box
        box.start()
        self.r = client(box)
        fill(box.client(socket_timeout=300))
        self.save_whole([])
        self.writers, self.others = [Counters(box, i) for i in range(2)], [Mix(box, 11), Pairs(box, 12), Seldom(box, 13)]
        self.threads = self.writers + self.others
        for thread in self.threads:
            thread.start()
        try:
            for turn in range(KILLS):
                self.turn(turn)
        finally:
            for thread in self.threads:
                thread.over = True
            for thread in self.threads:
                thread.join(60)
        if self.policy:
            self.r.config_set("appendfsync", "everysec")  # with "no" nobody says that all is on the disk
            settled(box, self.r)
            check(box)
        return self.note()

    def note(self):
        warm = f", {self.warm} times the keys stayed in memory" if self.who == "dataplane" else ""
        return (f"{self.kills} kills{warm}; {self.writes} writes acknowledged since the kill before, {self.lost} of them lost, "
                f"the oldest {self.oldest * 1000:.0f} ms before its kill")

    def turn(self, turn):
        """The kill comes anywhere, in what a rewrite or a snapshot does, or behind a snapshot that is whole."""
        seen = [c.rounds for c in self.threads]
        until(300, lambda: all(c.rounds > n for c, n in zip(self.threads, seen)), lambda: f"clients to go on in turn {turn}\n{self.box.log()[-2000:]}")
        if turn % 3 == 1 and self.policy:
            rewrites(self.r)
        elif turn % 3 == 1:
            self.save_whole(self.writers)
        elif turn % 3 == 2:
            self.save_begins()
        killed, warm = self.kill()
        self.kills += 1
        self.warm += warm
        for w in self.writers:
            self.judge(w, killed, warm)
        Pairs.check(self.r)
        Seldom.check(self.r)
        digest(self.r)  # reads everything
        for w in self.writers:
            w.go.set()
        if self.policy in ("always", "everysec") and turn % 25 == 24:
            compare_with_log(self.box, self.r, self.threads)

    def save_begins(self):
        try:
            self.r.bgsave()
        except redis.RedisError:  # one is under way
            pass

    def save_whole(self, writers):
        had = [dict(w.acknowledged) for w in writers]

        def saved():  # begins behind what was acknowledged before; another one may be under way
            try:
                return self.box.client(socket_timeout=300).save()
            except redis.RedisError:
                return False
        until(300, saved, lambda: "a snapshot\n" + self.box.log()[-2000:])
        self.floor = dict(zip(writers, had))

    def kill(self):
        """When it was, and whether the next dataplane has taken memory over (or there was no other one)."""
        box, log = self.box, self.box.log()
        before = [log.count(CRASHED), log.count(REFUSED)]
        time.sleep(self.rng.random() * 0.1)
        pid, killed = box.dataplane_pid(), time.monotonic()
        if self.who != "dataplane":
            box.kill_control()
        if self.who != "control":
            os.kill(pid, signal.SIGKILL)
        for w in self.writers:
            w.go.clear()  # what they would write would hide what is lost
        if self.who != "control":
            until(60, lambda: not alive(pid), lambda: "the dataplane to be gone")
        if self.who == "both":
            self.keep_files()
        if self.who == "dataplane":
            box.sluice("restart", "dataplane")  # at once, not after a pause that grows with each crash
        else:
            box.start_control()
        if self.who != "control":
            until(120, lambda: box.dataplane_pid() not in (0, pid), lambda: "another dataplane\n" + box.log()[-2000:])
        box.wait("serving", 120)
        for w in self.writers:
            assert w.rests.wait(60), "a client does not rest"
        log = box.log()
        warm = self.who == "control" or log.count(CRASHED) > before[0]
        assert warm or self.who == "both" or log.count(REFUSED) > before[1], log[-3000:]
        return killed, warm

    def keep_files(self):
        """As the kill has left them, for whoever looks for the reason."""
        to = self.box.folder / "at-the-kill"
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.box.data, to, ignore=shutil.ignore_patterns("temp-*"))

    def promises(self, warm):
        """Is everything there? Or how old may be what is lost, in s (None: as old as the last snapshot)?"""
        if warm or self.policy == "always":
            return True, 0.0
        if self.who == "both":
            return False, float("inf") if self.policy else None  # what is in the rings: as long as the disk takes
        if self.policy and self.workers == 1:
            return True, 0.0
        return False, BEHIND if self.policy else None  # of two workers: what stands behind a record that one was killed in the middle of

    def judge(self, w, killed, warm):
        have, done = w.read_all(self.r), [x for x in w.when if x[0] < killed]
        there = [have.get(key, 0) >= value for _, key, value in done]
        all_there, most = self.promises(warm)
        lost = there.count(False)
        first = there.index(False) if lost else len(done)
        age = killed - done[first][0] if lost else 0.0
        self.writes, self.lost, self.oldest = self.writes + len(done), self.lost + lost, max(self.oldest, age)
        faults = [("was never sent", key, value, w.sent[key]) for key, value in have.items() if value > w.sent[key]]
        faults += [("is missing in the middle", key, value, have.get(key, 0)) for (_, key, value), is_there in zip(done[first:], there[first:]) if is_there]
        if not warm:
            faults += [("was in the snapshot", key, value, have.get(key, 0)) for key, value in self.floor.get(w, {}).items() if have.get(key, 0) < value]
        if lost and (all_there or (most is not None and age > most)):
            faults += [("was acknowledged and is lost", key, value, have.get(key, 0)) for (_, key, value), is_there in zip(done, there) if not is_there]
        if faults:
            (self.box.folder / "found.json").write_text(json.dumps({"faults": faults, "killed": killed, "done": done, "sent": w.sent, "have": have}))
            raise AssertionError(f"kill {self.kills}, warm {warm}, client {w.number}, {age:.3f} s: {len(faults)} faults, {faults[:3]}")
        if not warm:
            w.acknowledged = {key: min(value, have.get(key, 0)) for key, value in w.acknowledged.items()}
        w.when = []


def test_of(row):
    def test():
        box = Box(appendonly="yes" if row.policy else "no", appendfsync=row.policy or "everysec", workers=row.workers, save="")
        try:
            note = row.run(box)
        except BaseException as e:
            (box.folder / "why").write_text(traceback.format_exc())
            box.end_hard()
            raise AssertionError(f"{e}\n{row.note()}\nall it has left is in {box.folder}") from e
        box.remove()
        return note
    return test


ROWS = [Row(policy, who, workers) for workers in (2, 1) for policy in ("always", "everysec", "no", None) for who in ("both", "dataplane", "control")]

if __name__ == "__main__":
    tap = Tap()
    for row in ROWS:
        if (not sys.argv[1:] or any(w in row.name for w in sys.argv[1:])) and time.monotonic() < END:
            tap.run(row.name, test_of(row))
    sys.exit(tap.end())
