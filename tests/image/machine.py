"""machine.py: a box in QEMU, in a network namespace of its own: started by images/run, seen by its console, SSH, QMP and data port.

A restart of the box is a new QEMU: one that goes on keeps the translations of all that the box has run, and firmware that unpacks itself over
that memory makes QEMU 7.2 walk the list of a page's translations for each byte: some 20 bytes a second (README.md of images)."""
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
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
START = 2700  # seconds that a start may take on a machine that does other things, too: bounds of what has gone wrong, not of what is slow
BEGINS = r"Welcome to .{0,12}Debian|Created slice"  # systemd's first words,
TOO_FAR = r"Coldplug"  # and those with which udev begins to look at what there is
CLONE_NEWNET = 0x40000000  # linux/sched.h
TAP_ADDRESS = "02:00:00:00:77:01"  # of every machine, too: a box that goes on from a saved state knows it


def socket_of(namespace):
    """A TCP socket of that network namespace, which a thread of its own enters: setns(2) is for one thread."""
    made = []

    def make():
        at = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        if ctypes.CDLL(None).setns(at, CLONE_NEWNET) == 0:
            made.append(socket.socket())
        os.close(at)
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise OSError(f"no socket in the namespace {namespace}")
    return made[0]


class Machine:
    """FOLDER/disk is its disk; a machine `over` another's disk leaves that as it is."""

    host, box = "10.157.0.1", "10.157.0.2"  # of every machine: each has a namespace of its own

    def __init__(self, folder, image):
        self.folder, self.image = folder, image
        self.name = f"image{os.getpid()}-{os.path.basename(folder)}"
        self.ssh_at = ("127.0.0.1", 2222)
        self._words, self._said, self._on = (), "", False
        self._starts = 0
        os.makedirs(folder, exist_ok=True)
        self._run("ip", "netns", "add", self.name)
        for words in ("link set lo up", "tuntap add dev data mode tap", f"link set data address {TAP_ADDRESS}", f"addr add {self.host}/24 dev data", "link set data up"):
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
        self._starts += 1

    def start_over(self, disk, *more):
        """A machine like the one whose disk and password that are."""
        self._take_password(disk)
        self.start("--fresh", "--over", disk, *more)

    def copy_of(self, disk):
        """The machine, off, has a disk of its own that is as that one."""
        self._take_password(disk)
        self._run("cp", "--sparse=always", disk, f"{self.folder}/disk")
        self._run("cp", f"{disk}.vars", f"{self.folder}/vars")

    def go_on(self, disk, plain=False):
        """A machine that goes on where that one was when copy_disk was done, without a start. plain: its disk is a copy, not a layer."""
        self._words, self._said = (), ""
        if plain:
            self.copy_of(disk)
        else:
            self._take_password(disk)
        self._go_on_from(f"{disk}.state", *(() if plain else ("--fresh", "--over", disk)))

    def _go_on_from(self, state, *words):
        self._run_qemu(*words, "--state", state)
        if not self.wait(lambda: self.qmp("query-migrate").get("status") == "completed", 600):
            raise RuntimeError(f"{state} cannot be loaded")
        self.qmp("cont")  # it stood still when it was kept

    def save_early(self, disk, to):
        """The state of a box like that one, started anew, when systemd has begun and nothing but the boot loader has read what is not of its slot: udev
        has not looked at a disk yet. False: it was not stopped in time, or did not come as far."""
        self.copy_of(disk)
        self._say_what_starts()
        self.start()
        self.wait_console(BEGINS, START, pause=0.02)
        self.qmp("stop")
        if not re.search(BEGINS, self.console()) or re.search(TOO_FAR, self.console()):
            return False
        self._keep_state(f"{to}.new")
        os.rename(f"{to}.new", to)
        return True

    def skip_to(self, state):
        """The box is in its boot loader, which has chosen the slot of that state: off, and on again as it would be when systemd begins."""
        said = self.console()
        self.cut_power()
        self._said = said
        self._go_on_from(state)

    def _say_what_starts(self):
        """systemd is to tell the console each unit that it starts. The machine is off, its disk a plain file."""
        esp, path = f"{self.folder}/disk@@1M", f"{self.folder}/grubenv"
        self._run("mcopy", "-n", "-o", "-i", esp, "::EFI/sluice/grubenv", path)
        told = subprocess.check_output(["grub-editenv", path, "list"], text=True)
        words = re.search(r"^box_args=(.*)", told, re.M)
        self._run("grub-editenv", path, "set", f"box_args={words.group(1) if words else ''} systemd.show_status=1")
        self._run("mcopy", "-n", "-o", "-i", esp, path, "::EFI/sluice/grubenv")

    def _take_password(self, disk):
        with open(f"{disk}.password") as f:
            self.keep_password(f.read())

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

    def wait_console(self, pattern, seconds, start=0, pause=0.5):
        """The match in what the console has said from `start` on; None if it did not come in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(pattern, self.console()[start:])
            if found or not self._on:
                return found
            self._restarted()
            time.sleep(pause)
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
        # One connection a start of the box: its handshake takes an emulated machine longer than most commands.
        path = os.path.relpath(f"{self.folder}/ssh{self._starts}")
        return ["ip", "netns", "exec", self.name, "sshpass", "-p", self.password(), "ssh", "-T", "-p", str(self.ssh_at[1]), "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=200", "-o", "ControlMaster=auto", "-o", f"ControlPath={path}",
                "-o", "ControlPersist=yes", "admin@" + self.ssh_at[0], *command]

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

    def pong(self, seconds):
        """Does it answer to PING, each packet within so many seconds?"""
        with socket_of(self.name) as s:
            s.settimeout(seconds)
            try:
                s.connect((self.box, 6379))
                s.sendall(b"PING\r\n")
                return s.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def wait_pong(self, seconds):
        end, patience = time.monotonic() + seconds, 1
        while time.monotonic() < end and self._on:
            if self.pong(patience):
                return True
            patience = min(patience * 1.1, 20)
            self._restarted()
            time.sleep(0.2)
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

    def _keep_state(self, to):
        """Of a machine that stands still: memory and devices, as QEMU's migration writes them."""
        self.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self.qmp("migrate", uri=f"exec:cat >'{os.path.abspath(to)}'")
        self.wait(lambda: self.qmp("query-migrate")["status"] in ("completed", "failed"), 600)
        told = self.qmp("query-migrate")
        if told["status"] != "completed":
            raise RuntimeError(f"the machine's state is not kept: {told}")

    def copy_disk(self, to):
        """What a power cut would leave now, for start_over, and what memory and devices hold, for go_on; the machine goes on."""
        self.qmp("stop")
        try:
            self._run("cp", "--sparse=always", f"{self.folder}/disk", f"{to}.new")
            self._run("cp", f"{self.folder}/vars", f"{to}.vars")
            self._run("cp", f"{self.folder}/password", f"{to}.password")
            self._keep_state(f"{to}.state")
        finally:
            self.qmp("cont")
        os.rename(f"{to}.new", to)

    def hang(self):
        """Every CPU, where it is, in an endless loop with interrupts off."""
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
