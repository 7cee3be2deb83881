"""rows_snapshot.py: G10's part about snapshots: GET and SET, half and half, of 1000 connections while snapshots are written one after the
other, by turns with none. Control, which writes the file, is on the server's core here: on a box it has one of its own."""
import json
import subprocess
import threading
import time

from machine import Trouble, wait_until
from parties import BOX_IP, KEY, VALUE, Box, Generator, metric

CONNECTIONS = 1000


class Snapshots(threading.Thread):
    """One snapshot after the other while `on` is set; how long each took, and how many bytes were kept aside at most."""

    def __init__(self, box):
        super().__init__(daemon=True)
        self.box, self.on, self.over, self.took, self.aside, self.error = box, threading.Event(), False, [], 0, ""

    def run(self):
        while not self.over:
            if not self.on.wait(0.05):
                continue
            done = subprocess.run([self.box.cli, "--socket", self.box.management, "snapshot", "create", "--wait", "--json"],
                                  capture_output=True, text=True)
            if done.returncode:
                self.error = done.stderr
                time.sleep(0.1)
                continue
            self.took.append(json.loads(done.stdout.splitlines()[-1])["milliseconds"] / 1000)
            self.aside = max(self.aside, metric(self.box.metrics(), "rdb_last_cow_size_bytes") or 0)


def one_run(ctx, snapshots):
    """Rate, and microseconds of the slowest in a thousand."""
    seconds = 3 * ctx.seconds
    words = ("--connections", CONNECTIONS, "--key-size", KEY, "--value-size", VALUE, "--keys", ctx.keys, "--fill", "--set-percent", 50)
    with ctx.nearness.side(), Generator(ctx, "load", seconds, *words) as generator, \
            Box(ctx, "virtio-user", generator.socket, BOX_IP, snapshot_keep=1, rdbcompression="no") as box:
        maker = Snapshots(box)
        maker.start()
        if snapshots:
            wait_until(120, "the keys", lambda: (metric(box.metrics(), "db_keys") or 0) >= ctx.keys or not generator.process.running())
            maker.on.set()
        began, spent = time.monotonic(), box.control_seconds()
        result = generator.result(box, 180 + seconds)
        share = (box.control_seconds() - spent) / (time.monotonic() - began)
        maker.over = True
        maker.join(120)  # the one that was under way counts, too
        used = metric(box.metrics(), "memory_used_bytes") or 1
        if snapshots and not maker.took:
            raise Trouble(f"no snapshot ended in {seconds} s: {maker.error}")
        notes = {"seconds_a_snapshot": maker.took and round(sum(maker.took) / len(maker.took), 2), "snapshots": len(maker.took),
                 "aside_share": round(maker.aside / used, 4), "control_share": round(share, 2)}
        return result["rate"], result["latency_us"]["p99.9"], notes


def during_snapshots(ctx):
    while True:
        (quiet, quiet_p999, _), (during, p999, notes) = one_run(ctx, False), one_run(ctx, True)
        pair = {"G10s rate": (during, quiet, notes)}
        pair["G10s p99.9"] = (p999, quiet_p999, notes)
        yield pair
