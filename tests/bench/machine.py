"""machine.py: what a measurement needs of the machine: processes that end with us, pinning, steal time, network namespaces."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

SERVER_CORE, CLIENT_CORE = 0, 1
STEAL_LIMIT = 0.02
FAR_NS = 100  # a cache line's way between the cores: 43 to 51 ns where they share a last-level cache, 190 to 210 where they do not


class Trouble(Exception):
    """A measurement that cannot be taken; the text says why and what helps."""


class Process:
    """A program in a session of its own, its output in a file; stopped by stop() or at the end of a `with`."""

    def __init__(self, name, command, folder, core=None, netns=None, keep_stdin=False):
        if core is not None:
            command = ["taskset", "-c", str(core), *command]
        if netns:
            command = ["ip", "netns", "exec", netns, *command]
        self.name = name
        self.out_path = pathlib.Path(folder, f"{name}.out")
        self.err_path = pathlib.Path(folder, f"{name}.err")
        stdin = subprocess.PIPE if keep_stdin else subprocess.DEVNULL
        with open(self.out_path, "w") as out, open(self.err_path, "w") as err:
            self.popen = subprocess.Popen(list(map(str, command)), stdin=stdin, stdout=out, stderr=err,
                                          start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def running(self):
        return self.popen.poll() is None

    def wait(self, seconds):
        """Exit status; Trouble if it does not end in time."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Trouble(f"{self.name} did not end within {seconds:.0f} s: {self.tail()}") from None

    def stop(self):
        for sig, patience in ((signal.SIGTERM, 8), (signal.SIGKILL, 5)):
            if self.running():
                self.popen.send_signal(sig)
            try:
                self.popen.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)  # children that outlived it: ours, by their session
        except ProcessLookupError:
            pass

    @contextlib.contextmanager
    def stopped_on_error(self):
        try:
            yield
        except BaseException:
            self.stop()
            raise

    def tail(self, lines=4):
        text = self.out_path.read_text(errors="replace") + self.err_path.read_text(errors="replace")
        return " | ".join(text.strip().splitlines()[-lines:])


def wait_until(seconds, what, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Trouble(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def run(*command, netns=None, check=True):
    command = list(map(str, command))
    if netns:
        command = ["ip", "netns", "exec", netns, *command]
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode:
        raise Trouble(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Steal:
    """Share of all cores' time that the hypervisor took since start()."""

    @staticmethod
    def _read():
        fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        values = list(map(int, fields))
        return values[7], sum(values)

    def __init__(self):
        self.start = self._read()

    def share(self):
        stolen, total = self._read()
        return (stolen - self.start[0]) / max(1, total - self.start[1])


class Nearness:
    """Looks at how near the two cores are to each other, each a twentieth of a second by cores_bench: the hypervisor moves them between
    one and two last-level caches. Taken while neither core has anything else to do: around each side of a pair."""

    def __init__(self, program):
        self.program, self.looks = program, []

    def look(self):
        """The way of a cache line from one core to the other, in ns; None if the cores were too busy to tell."""
        done = subprocess.run([self.program, str(SERVER_CORE), str(CLIENT_CORE)], capture_output=True, text=True)
        match = re.match(r"handover ([\d.]+) ns", done.stdout)
        self.looks.append(float(match.group(1)) if match else None)

    @contextlib.contextmanager
    def side(self):
        """Around a side of a pair."""
        self.look()
        yield
        self.look()

    def taken(self):
        """The looks since the last call."""
        looks, self.looks = self.looks, []
        return looks


def level(looks):
    """What looks around the sides of a pair say together: near, far, mixed (they differ, or one told nothing); None if there were none."""
    if not looks:
        return None
    found = {None if ns is None else "near" if ns < FAR_NS else "far" for ns in looks}
    return found.pop() or "mixed" if len(found) == 1 else "mixed"


class Namespace:
    def __init__(self, name):
        self.name = name
        run("ip", "netns", "del", name, check=False)  # what an interrupted run left; the name is ours
        run("ip", "netns", "add", name)
        run("ip", "link", "set", "lo", "up", netns=name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run("ip", "netns", "del", self.name, check=False)


class Hugepages:
    """So many bytes in free hugepages, taken from the kernel's memory if need be, which gets them back. `there`: could they be had?"""
    POOL, SIZE = pathlib.Path("/proc/sys/vm/nr_hugepages"), 2 << 20

    def __init__(self, wanted):
        free = int(re.search(r"HugePages_Free: +(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))
        self.before, missing = int(self.POOL.read_text()), max(0, -(-wanted // self.SIZE) - free)
        self.now = self.before
        if missing and not self.take(missing):
            for path, word in (("drop_caches", "3"), ("compact_memory", "1")):  # memory in pieces: what can be moved or read again makes room
                pathlib.Path("/proc/sys/vm", path).write_text(word)
            self.take(missing)
        self.there = self.now >= self.before + missing
        if not self.there:  # a part is of no use, and whoever takes pages of 4 KB instead needs the memory
            self.POOL.write_text(str(self.before))
            self.now = self.before

    def take(self, missing):
        self.POOL.write_text(str(self.before + missing))
        self.now = int(self.POOL.read_text())
        return self.now >= self.before + missing

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if int(self.POOL.read_text()) == self.now:  # or somebody else has changed it since
            self.POOL.write_text(str(self.before))


class Folder:
    """A scratch folder, short enough for socket paths; kept if asked."""

    def __init__(self, keep):
        self.keep = keep

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="slbench-", dir="/tmp"))
        os.chmod(self.path, 0o755)
        return self.path

    def __exit__(self, *_):
        for left in pathlib.Path("/var/run/dpdk").glob("slbench*"):
            shutil.rmtree(left, ignore_errors=True)
        if not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)
