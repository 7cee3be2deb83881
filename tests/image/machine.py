"""machine.py: a box in QEMU, in a network namespace of its own: started by images/run, seen by its console, SSH, QMP and data port.

A restart of the box is a new QEMU: one that goes on keeps the translations of all that the box has run, and firmware that unpacks itself over
that memory makes QEMU 7.2 walk the list of a page's translations for each byte: some 20 bytes a second (README.md of images)."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from debugger import Debugger

CONF = """port 6379
protected-mode no
save 3600 1
workers 1
idle-policy adaptive
arena-size 256mb
hugepages auto
link-type pci
link-name {device}
link-address {box}/24
"""


class Machine:
    """FOLDER/disk is its disk; a machine `over` another's disk leaves that as it is."""

    host, box = "10.157.0.1", "10.157.0.2"  # of every machine: each has a namespace of its own

    def __init__(self, folder, image):
        self.folder, self.image = folder, image
        self.name = f"image{os.getpid()}-{os.path.basename(folder)}"
        self.ssh_at = ("127.0.0.1", 2222)
        self._words, self._said, self._on = (), "", False
        os.makedirs(folder, exist_ok=True)
        self._run("ip", "netns", "add", self.name)
        for words in ("link set lo up", "tuntap add dev data mode tap", f"addr add {self.host}/24 dev data", "link set data up"):
            self.inside("ip", *words.split())

    @staticmethod
    def _run(*words, **more):
        return subprocess.run(words, check=True, **more)

    def inside(self, *words, check=True, timeout=900, **more):
        return subprocess.run(["ip", "netns", "exec", self.name, *words], check=check, timeout=timeout, **more)

    # -- power -------------------------------------------------------------------------------------------------------------

    def conf(self, device="0000:81:00.0"):
        """Of the medium that is plugged in at the first start."""
        return CONF.format(device=device, box=self.box)

    def start(self, *more, medium=False):
        words = []
        if medium:
            shutil.rmtree(f"{self.folder}/conf", ignore_errors=True)
            os.makedirs(f"{self.folder}/conf")
            with open(f"{self.folder}/conf/sluice.conf", "w") as f:
                f.write(self.conf())
            words = ["--conf", f"{self.folder}/conf"]
        self._words, self._said = [w for w in more if w != "--fresh"], ""
        self._run_qemu(*words, *more)

    def _run_qemu(self, *more):
        self.inside("images/run", "--image", self.image, "--dir", self.folder, "--data", "data", "--background", "--end-at-restart", *more,
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._on = True

    def start_over(self, disk, *more):
        """A machine like the one whose disk and password that are."""
        with open(f"{disk}.password") as f:
            self.keep_password(f.read())
        self.start("--fresh", "--over", disk, *more)

    def pid(self):
        with open(f"{self.folder}/pid") as f:
            return int(f.read())

    def alive(self):
        try:
            os.kill(self.pid(), 0)
            return True
        except (OSError, ValueError):
            return False

    def _restarted(self):
        """Did the box restart, or is its power cut? If it did, it goes on."""
        if self._on and not self.alive():
            self._said += self._read_console()
            self._run_qemu(*self._words)

    def cut_power(self):
        """Now, as it is."""
        self._on = False
        try:
            self.qmp("quit")
        except (OSError, ValueError, RuntimeError):
            pass
        if not self.wait(lambda: not self.alive(), 20):
            os.kill(self.pid(), signal.SIGKILL)
            self.wait(lambda: not self.alive(), 20)

    def close(self):
        self.cut_power()
        subprocess.run(["ip", "netns", "del", self.name], check=False)

    # -- the console ---------------------------------------------------------------------------------------------------------

    def console(self):
        """All that it has said since it was started."""
        return self._said + self._read_console()

    def _read_console(self):
        try:
            with open(f"{self.folder}/console.log", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_console(self, pattern, seconds, start=0):
        """The match in what the console has said from `start` on; None if it did not come in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(pattern, self.console()[start:])
            if found or not self._on:
                return found
            self._restarted()
            time.sleep(0.5)
        return None

    def wait(self, condition, seconds):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= end:
                return False
            self._restarted()
            time.sleep(0.5)
        return True

    # -- SSH, data port --------------------------------------------------------------------------------------------------------

    def keep_password(self, text):
        with open(f"{self.folder}/password", "w") as f:
            f.write(text)

    def password(self):
        with open(f"{self.folder}/password") as f:
            return f.read()

    def ssh_words(self, *command):
        return ["ip", "netns", "exec", self.name, "sshpass", "-p", self.password(), "ssh", "-T", "-p", str(self.ssh_at[1]), "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=200", "admin@" + self.ssh_at[0], *command]

    def ssh(self, *command, timeout=900, **more):
        """What a line typed at the box's prompt over SSH does: (exit code, output)."""
        if "input" not in more:
            more.setdefault("stdin", subprocess.DEVNULL)
        try:
            done = subprocess.run(self.ssh_words(*command), timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
        except subprocess.TimeoutExpired as e:
            return -1, f"no answer in {timeout} s: {e.stdout}"
        return done.returncode, done.stdout.decode(errors="replace")

    def wait_ssh(self, seconds=1800):
        """sshd may come up after the data port."""
        return self.wait(lambda: self.ssh("show version", timeout=300)[0] == 0, seconds)

    def configure_box(self, *lines):
        """Lines of configuration mode, as a script over SSH; it ends at the first that fails."""
        return self.ssh(input=("\n".join(("configure", *lines)) + "\n").encode())

    def redis(self, *words, timeout=300):
        done = self.inside("redis-cli", "-h", self.box, *words, check=False, timeout=timeout, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
        return done.stdout.decode(errors="replace").strip()

    def wait_pong(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._on:
            try:
                if self.redis("ping", timeout=20) == "PONG":
                    return True
            except subprocess.TimeoutExpired:
                pass
            self._restarted()
            time.sleep(0.5)
        return False

    # -- QEMU's monitor --------------------------------------------------------------------------------------------------------

    def qmp(self, command, **arguments):
        """What it returns; one connection a command."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(f"{self.folder}/qmp.sock")
            f = s.makefile("rw")
            f.readline()
            for name, words in (("qmp_capabilities", {}), (command, arguments)):
                f.write(json.dumps({"execute": name, "arguments": words}) + "\n")
                f.flush()
                answer = {"event": None}
                while "event" in answer:
                    answer = json.loads(f.readline())
                if "error" in answer:
                    raise RuntimeError(f"{name}: {answer['error']['desc']}")
            return answer["return"]

    def monitor(self, line):
        return self.qmp("human-monitor-command", **{"command-line": line})

    def freeze(self, layer):
        """The disk as it is at this moment stays as it is: what is written from now on goes to the file `layer` over it."""
        self.qmp("blockdev-snapshot-sync", device="disk", **{"snapshot-file": os.path.abspath(layer), "format": "qcow2"})

    def copy_disk(self, to):
        """What a power cut would leave now, for start_over; the machine goes on."""
        self.qmp("stop")
        try:
            self._run("cp", "--sparse=always", f"{self.folder}/disk", f"{to}.new")
            self._run("cp", f"{self.folder}/vars", f"{to}.vars")
            self._run("cp", f"{self.folder}/password", f"{to}.password")
        finally:
            self.qmp("cont")
        os.rename(f"{to}.new", to)

    def hang(self):
        """Every CPU, where it is, in a loop of one instruction with interrupts off."""
        path = os.path.abspath(f"{self.folder}/gdb.sock")
        self.monitor(f"gdbserver unix:{path},server=on,wait=off")
        debugger = Debugger(path)
        cpus = debugger.threads()
        for cpu in cpus:
            debugger.hang(cpu)
        debugger.leave()
        return len(cpus)

    def lose_variables(self):
        """The boot loader's are truncated and then written anew: power fails between. The machine is off, its disk a plain file."""
        empty = f"{self.folder}/empty"
        open(empty, "w").close()
        self._run("mcopy", "-n", "-o", "-i", f"{self.folder}/disk@@1M", empty, "::EFI/sluice/grubenv")
