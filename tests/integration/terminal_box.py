"""terminal_box.py: the CLI as a person uses it on a box: configuration mode in two windows, files, what is asked about, control that goes and comes back."""

import json
import os
import re
import socket
import struct
import subprocess

from tap import until
from terminal_pane import PATIENCE
from terminal_tap import SIZES, begins, commands, fits, on, tap

# -- configuration mode --


@tap.test("configure: a wrong value is told where it is, show | compare, commit, rollback")
@on(SIZES[0])
def edits(o, pane):
    pane.does("configure")
    printed = pane.does("set maxclients many")
    assert len(printed) == 1 and "maxclients" in printed[0] and "a whole number from 1 to" in printed[0], printed
    printed = pane.does("set maxclient 5")
    assert "maxclient" in " ".join(printed), printed
    pane.does("set slowlog-max-len 99")
    compared = pane.does("show | compare")
    assert compared == ["- slowlog-max-len 128", "+ slowlog-max-len 99"], compared
    assert any("is running" in line for line in pane.does('commit comment "for the test"'))
    assert any("for the test" in line for line in pane.does("run show history | first 3"))
    pane.does("rollback 1")
    assert "+ slowlog-max-len 128" in pane.does("show | compare")
    assert any("is running" in line for line in pane.does("commit"))
    pane.does("exit")


@tap.test("commit confirmed says when it goes back; a second commit keeps it")
@on(SIZES[0])
def confirmed(_, pane):
    pane.does("configure")
    pane.does("set slowlog-max-len 77")
    assert any(re.search(r"goes back at \d{4}-", line) for line in pane.does("commit confirmed 5"))
    assert any("unconfirmed" in line for line in pane.does("run show health"))
    assert "confirmed" in pane.does("commit")
    pane.does("delete slowlog-max-len")
    pane.does("commit")
    pane.does("exit")


@tap.test("the lock: a second window is told who holds it; changes that would be lost are asked about")
@on(SIZES[0])
def locked(o, pane):
    pane.does("configure")
    pane.does("set timeout 7")
    other = begins(o)
    try:
        printed = " ".join(other.does("configure"))
        assert "uid 0" in printed or "root" in printed, printed
        other.ready()
        pane.line("exit")
        pane.keys("Enter")
        pane.sees(r"^\[yes/no\]$")
        pane.type("no")
        pane.sees(r"^\[yes/no\] no$")
        pane.keys("Enter")
        pane.wait(lambda: re.fullmatch(r"\[edit\] .*#", pane.last()), "configuration mode")
        pane.line("exit")
        pane.keys("Enter")
        pane.wait(lambda: pane.last() == "[yes/no]", "the question again")
        pane.type("yes")
        pane.keys("Enter")
        pane.wait(lambda: re.fullmatch(r"\w+@[\w.-]+>", pane.last()), "operational mode")
        other.does("configure")
        assert other.does("show | compare") == ["nothing differs"]
        other.does("exit")
    finally:
        other.close()


# -- files, danger, control --


@tap.test("snapshot create --wait and import have a bar, and take it away", limit=400)
@on(SIZES[0])
def bars(o, pane):
    with socket.create_connection((o.host, 6379), 60) as s:
        s.sendall(b"*4\r\n$5\r\nDEBUG\r\n$8\r\nPOPULATE\r\n$6\r\n300000\r\n$1\r\nk\r\n")
        assert s.makefile("rb").readline() == b"+OK\r\n"
    pane.line("snapshot create --wait")
    pane.keys("Enter")
    pane.wait(lambda: pane.at_prompt() and pane.count_prompts() >= 2, "the end of a snapshot", 200)
    done = [line for line in pane.lines() if "300000 keys" in line]
    assert len(done) == 1 and not any("#" in line and "%" in line for line in pane.lines()), pane.text()
    path = done[0].split(":")[0]
    mine = os.path.join(o.server.folder, "mine.rdb")
    with open(path, "rb") as f, open(mine, "wb") as t:
        t.write(f.read())
    pane.line("snapshot import " + mine)
    pane.keys("Enter")
    bar = pane.wait(lambda: re.search(r"^\[#* *\] +\d+ % loaded", pane.text(), re.M) or pane.count_prompts() >= 3, "a bar, or the end")
    pane.wait(lambda: pane.at_prompt() and pane.count_prompts() >= 3, "the end of the import", 200)
    pane.sees(r"^loaded 300000 keys")
    assert not re.search(r"% loaded", pane.text()), pane.text()
    o.bar_seen = bar is not True


@tap.test("a file that only the operator may read, in a folder that control does not see, is imported", limit=300)
@on(SIZES[0], uid=47001, user="oper")
def imports(o, pane):
    names = os.listdir("/var/tmp/" + os.path.basename(o.server.folder))
    assert names == ["own.rdb"], names
    path = f"/var/tmp/{os.path.basename(o.server.folder)}/own.rdb"
    printed = pane.does(f"snapshot import {path}", 200)
    assert any("loaded 3 keys" in line for line in printed), printed
    printed = pane.does(f"snapshot import {path}.gone")
    assert "No such file" in " ".join(printed), printed
    log = path.replace("own.rdb", "own.aof")
    with open(log, "wb") as f:
        f.write(b"*3\r\n$3\r\nSET\r\n$8\r\nfrom-log\r\n$1\r\n1\r\n")
    os.chown(log, 47001, 65534)
    os.chmod(log, 0o600)
    printed = pane.does(f"snapshot import {log}", 200)
    assert any("loaded 1 keys" in line for line in printed), printed


def message(s):
    """One of the management socket's: 4 bytes of length, and so many."""
    def exactly(n):
        got = b""
        while len(got) < n:
            more = s.recv(n - len(got))
            assert more, "control hung up"
            got += more
        return got
    return exactly(int.from_bytes(exactly(4), "big"))


def ask_to_hand(o):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(PATIENCE)
    s.connect(o.socket)
    request = json.dumps({"op": "snapshot", "what": "import", "file": "/x.rdb", "handed": True}).encode()
    s.sendall(len(request).to_bytes(4, "big") + request)
    assert json.loads(message(s)) == {"ok": True, "data": {}}
    return s


def descriptors(s):
    """How many the process at the other end has open."""
    pid = struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return len(os.listdir(f"/proc/{pid}/fd"))


@tap.test("a client that hands no file over, or no file at all, is refused and nobody else notices")
def hands_nothing(o):
    with ask_to_hand(o) as s:  # a byte without a descriptor: what else would come cannot be told apart
        s.sendall(b"\0")
        assert message(s) == b""
        assert "no file was handed over" in json.loads(message(s))["error"]["message"]
        assert s.recv(1) == b""
    ask_to_hand(o).close()
    ends = socket.socketpair()
    with ask_to_hand(o) as s:
        socket.send_fds(s, [b"\0"], [ends[0].fileno()])
        assert message(s) == b""
        assert "no regular file" in json.loads(message(s))["error"]["message"]
        request = b'{"op":"show","what":"version"}'
        s.sendall(len(request).to_bytes(4, "big") + request)
        assert json.loads(message(s))["ok"]
        before = descriptors(s)
    for _ in range(8):  # one is asked for: no other stays with control
        with ask_to_hand(o) as s:
            socket.send_fds(s, [b"\0"], [end.fileno() for end in ends])
            assert message(s) == b""
            assert "no regular file" in json.loads(message(s))["error"]["message"]
    with ask_to_hand(o) as s:
        assert until(lambda: descriptors(s) <= before, PATIENCE), (descriptors(s), before)
    for end in ends:
        end.close()
    assert "serving" in commands(o, "show status")


@tap.test("what ends service is asked about, and factory-reset wants the box's name")
@on(SIZES[0])
def asks(o, pane):
    for line in ("stop", "restart dataplane", "system poweroff", "snapshot delete nothing.rdb"):
        pane.line(line)
        pane.keys("Enter")
        pane.wait(lambda: pane.last() == "[yes/no]", f"question of {line}")
        fits(pane)
        pane.keys("C-c")
        pane.ready()
        pane.sees(r"not done")
    pane.line("factory-reset")
    pane.keys("Enter")
    pane.sees(r"^name:$")
    pane.type("another")
    pane.keys("Enter")
    pane.ready()
    pane.sees(r"^sluice: .*(name|confirm)")
    assert "serving" in commands(o, "show status")


@tap.test("control goes and comes back: told in a line, the edits are lost and said to be, the prompt goes on", limit=300)
@on(SIZES[0])
def control_restarts(o, pane):
    pane.does("configure")
    pane.does("set timeout 9")
    pid = int(open(o.pid, encoding="ascii").read())
    os.kill(pid, 9)
    assert until(lambda: not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat", encoding="ascii").read().split(") ")[1][0] == "Z", 60)
    printed = pane.does("show")
    assert any("lost" in line for line in printed), printed
    printed = pane.does("show status")
    assert len(printed) == 1 and "start sluice-control" in printed[0], printed
    assert subprocess.run(o.up.split(), capture_output=True, timeout=200, check=False).returncode == 0
    assert any(line.startswith("health") for line in pane.does("show status"))
    pane.type("configure")
    pane.keys("Enter")
    pane.wait(lambda: re.fullmatch(r"\[edit\] .*#", pane.last()), "configuration mode")
    assert pane.does("show | compare") == ["nothing differs"]
    pane.does("exit")
