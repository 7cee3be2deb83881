"""A box in the network namespace that a test runs in: sluice-control, its dataplane on a TAP, and their files in a folder of
the test. Also TAP output. Used by the tests of this folder; needs root and python3-redis."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import traceback

import redis

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("SLUICE_BUILD", "build")
INSTANCE = os.environ.get("SLUICE_INSTANCE", "sludur")
ADDRESS = "10.44.0.2"


class Box:
    def __init__(self, workers=1, **directives):
        self.given = {"workers": workers, **directives}
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=INSTANCE + "-"))
        (self.folder / "state").mkdir()
        self.data = self.folder / "data"
        self.data.mkdir()
        self.directives = {"workers": workers, "dir": self.data, "arena-size": "256mb", "hugepages": "no",
                           "idle-policy": "adaptive", "protected-mode": "no", "save": "", "appendonly": "no",
                           "enable-debug-command": "yes", "link-address": ADDRESS + "/24", "link-type": "tap",
                           "link-name": "sludur0", "management-socket": self.folder / "m.sock",
                           "dataplane-socket": self.folder / "d.sock", "state-dir": self.folder / "state",
                           "stats-port": "0", "logfile": self.folder / "log"}
        self.directives.update({k.replace("_", "-"): v for k, v in directives.items()})
        self.control = None
        self.program = BUILD / "sluice-dataplane"
        self.words = []  # more for control

    @property
    def dump(self):
        return self.data / "dump.rdb"

    def write_config(self):
        lines = [f'{name} "{value}"' if value == "" else f"{name} {value}" for name, value in self.directives.items()]
        (self.folder / "conf").write_text("\n".join(lines) + "\n")

    def start_control(self):
        self.write_config()
        self.control = subprocess.Popen(
            [BUILD / "control/sluice-control", self.folder / "conf", "--dataplane", self.program,
             "--instance", INSTANCE, *self.words], stdin=subprocess.DEVNULL, stdout=open(self.folder / "out", "a"),
            stderr=subprocess.STDOUT, start_new_session=True)

    def start(self, state="serving", seconds=60):
        self.start_control()
        self.wait(state, seconds)
        return self

    def sluice(self, *words):
        done = subprocess.run([BUILD / "mgmt/sluice", "--socket", self.folder / "m.sock", *map(str, words)],
                              capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr

    def status(self):
        code, text = self.sluice("show", "status", "--json")
        return json.loads(text) if code == 0 else {}

    def state(self):
        return self.status().get("dataplane", {}).get("state", "")

    def wait(self, state, seconds=60):
        seen = ""

        def comes():  # asked once a look: it may be another one a moment later
            nonlocal seen
            seen = self.state()
            return seen in (state, "load-failed")
        until(seconds, comes, lambda: f"state {state}, is {seen}\n{self.log()[-3000:]}")
        assert seen == state, f"state {state}, is {seen}\n{self.log()[-3000:]}"

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def client(self, **options):
        return redis.Redis(ADDRESS, 6379, socket_timeout=options.pop("socket_timeout", 60), **options)

    def dataplane_pid(self):
        try:
            return int((self.folder / "state/dataplane.pid").read_text())
        except (OSError, ValueError):
            return 0

    def kill_control(self):
        self.control.kill()
        self.control.wait()

    def kill_dataplane(self):
        os.kill(self.dataplane_pid(), signal.SIGKILL)

    def stop(self):
        """Orderly, and whatever that takes."""
        pid = self.dataplane_pid()
        if self.control and self.control.poll() is None:
            self.sluice("stop")
            try:
                self.control.wait(30)
            except subprocess.TimeoutExpired:
                self.kill_control()
        if pid and alive(pid):
            os.kill(pid, signal.SIGKILL)
            until(10, lambda: not alive(pid), lambda: "the dataplane to end")

    def end_hard(self):
        """Its files stay as they are."""
        if self.control and self.control.poll() is None:
            self.kill_control()
        pid = self.dataplane_pid()
        if pid and alive(pid):
            os.kill(pid, signal.SIGKILL)
            until(60, lambda: not alive(pid), lambda: "the dataplane to end")

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Oracle:
    """A redis-server with a folder of its own."""

    def __init__(self, *options, port=6391, seconds=60, timeout=120):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=INSTANCE + "-redis-"))
        self.port = port
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", self.folder, "--save", "",
             "--enable-debug-command", "yes", *options], stdout=open(self.folder / "log", "a"), stderr=subprocess.STDOUT)
        self.client = redis.Redis("127.0.0.1", port, socket_timeout=timeout)
        until(seconds, self.serves, lambda: "redis-server to serve\n" + (self.folder / "log").read_text()[-1500:])

    def serves(self):
        try:
            return self.client.ping()
        except redis.RedisError:
            return False

    def save(self, to):
        self.client.save()
        shutil.copy(self.folder / "dump.rdb", to)

    def remove(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


PATIENCE = int(os.environ.get("SLUICE_PATIENCE", 1))  # of a machine that has other things to do, too: as wait_until


def until(seconds, condition, what):
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for " + what())
        time.sleep(0.02)


class Tap:
    def __init__(self):
        self.n = self.bad = 0

    def run(self, name, test):
        self.n += 1
        try:
            note = test()
            print(f"ok {self.n} - {name}" + (f" # {note}" if note else ""), flush=True)
        except Exception as e:  # whatever it is, the next test runs
            self.bad += 1
            print(f"not ok {self.n} - {name}", flush=True)
            where = traceback.extract_tb(e.__traceback__)[-1]
            for line in (f"line {where.lineno}: {where.line}\n{type(e).__name__}: {e}").splitlines():
                print(f"# {line}", flush=True)

    def end(self):
        print(f"1..{self.n}")
        return 1 if self.bad else 0


def in_the_middle_now_and_then(test):
    """A kill may find even an idle box in its upkeep: then the test begins anew, with another box, a few times."""
    def run(box, left=3):
        try:
            return test(box)
        except AssertionError:
            if not left or "a worker was killed in the middle of a change" not in box.log():
                raise
        box.stop()
        other = box.__class__(**box.given)
        try:
            return run(other, left - 1)
        finally:
            other.remove()
    return run
