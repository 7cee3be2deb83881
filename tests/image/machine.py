"""machine.py: a box in QEMU, in a network namespace of its own: started by images/run, seen by its console, SSH, QMP and data port."""
import json
import os
import re
import shutil
import socket
import subprocess
import time

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
    def __init__(self, folder, image, number=157):
        self.folder, self.image = folder, image
        self.name = f"image{os.getpid()}"
        self.host, self.box = f"10.{number}.0.1", f"10.{number}.0.2"
        self.password = None
        os.makedirs(folder, exist_ok=True)
        self._run("ip", "netns", "add", self.name)
        for words in ("link set lo up", "tuntap add dev data mode tap", f"addr add {self.host}/24 dev data", "link set data up"):
            self.inside("ip", *words.split())

    @staticmethod
    def _run(*words, **more):
        return subprocess.run(words, check=True, **more)

    def inside(self, *words, check=True, timeout=120, **more):
        return subprocess.run(["ip", "netns", "exec", self.name, *words], check=check, timeout=timeout, **more)

    def configure(self, device="0000:81:00.0", text=""):
        shutil.rmtree(f"{self.folder}/conf", ignore_errors=True)
        os.makedirs(f"{self.folder}/conf")
        with open(f"{self.folder}/conf/sluice.conf", "w") as f:
            f.write(CONF.format(device=device, box=self.box) + text)

    def start(self, *more, medium=True):
        """medium: the one with a configuration is plugged in."""
        words = ["--conf", f"{self.folder}/conf"] if medium else []
        self.inside("images/run", "--image", self.image, "--dir", self.folder, "--data", "data", "--background", *words, *more,
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def console(self):
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
            if found:
                return found
            if not self.alive():
                return None
            time.sleep(0.5)
        return None

    @staticmethod
    def wait(condition, seconds):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= end:
                return False
            time.sleep(0.5)
        return True

    def alive(self):
        try:
            with open(f"{self.folder}/pid") as f:
                os.kill(int(f.read()), 0)
            return True
        except (OSError, ValueError):
            return False

    def ssh_words(self, *command):
        self.password = self.password or re.search(r"user admin, password (\w+)", self.console()).group(1)
        return ["ip", "netns", "exec", self.name, "sshpass", "-p", self.password, "ssh", "-T", "-p", "2222", "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60", "admin@127.0.0.1", *command]

    def ssh(self, *command, timeout=300, **more):
        """What a line typed at the box's prompt over SSH does: (exit code, output)."""
        if "input" not in more:
            more.setdefault("stdin", subprocess.DEVNULL)
        try:
            done = subprocess.run(self.ssh_words(*command), timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
        except subprocess.TimeoutExpired as e:
            return -1, f"no answer in {timeout} s: {e.stdout}"
        return done.returncode, done.stdout.decode(errors="replace")

    def configure_box(self, *lines):
        """Lines of configuration mode, as a script over SSH; it ends at the first that fails."""
        return self.ssh(input=("\n".join(("configure", *lines)) + "\n").encode())

    def redis(self, *words, timeout=60):
        done = self.inside("redis-cli", "-h", self.box, *words, check=False, timeout=timeout, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
        return done.stdout.decode(errors="replace").strip()

    def wait_pong(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if self.redis("ping", timeout=5) == "PONG":
                    return True
            except subprocess.TimeoutExpired:
                pass
            time.sleep(0.5)
        return False

    def qmp(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(f"{self.folder}/qmp.sock")
            f = s.makefile("rw")
            f.readline()
            for name in ("qmp_capabilities", command):
                f.write(json.dumps({"execute": name}) + "\n")
                f.flush()
                f.readline()

    def cut_power(self):
        """Now, as it is."""
        try:
            self.qmp("quit")
        except (OSError, ValueError):
            pass
        end = time.monotonic() + 20
        while self.alive() and time.monotonic() < end:
            time.sleep(0.1)

    def lose_variables(self):
        """The boot loader's are truncated and then written anew: power fails between. The machine is off."""
        empty = f"{self.folder}/empty"
        open(empty, "w").close()
        self._run("mcopy", "-n", "-o", "-i", f"{self.folder}/disk@@1M", empty, "::EFI/sluice/grubenv")

    def close(self):
        self.cut_power()
        subprocess.run(["ip", "netns", "del", self.name], check=False)
