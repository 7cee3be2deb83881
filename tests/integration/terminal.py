#!/usr/bin/python3
"""terminal.py: the CLI as a person uses it: in windows of tmux, of many sizes, key by key, its screens looked at. See terminal.sh, which starts the box.

    tests/integration/terminal.py --cli build/mgmt/sluice --socket /run/X/management.sock --host BOX --folder WORK [--only PART] [--screens FOLDER]"""

import re

from terminal_tap import SIZES, begins, fits, on, tap


# -- typing --


@tap.test("who logs in sees the box, its health and a prompt with both names")
@on(SIZES[0])
def greets(_, pane):
    lines = pane.lines()
    assert re.match(r"Sluice \S+: health \w+", lines[0]), lines
    assert re.fullmatch(r"\w+@[\w.-]+>", lines[-1]) and len(lines) <= 3, lines


@tap.test("TAB: of one word, of several, of none; of a directive and its values")
@on(*SIZES)
def completes(_, pane):
    pane.type("sh")
    pane.keys("Tab")
    pane.sees(r"> show$")
    pane.type("stat")
    pane.sees(r"> show stat$")
    pane.keys("Tab", "Tab")
    pane.sees(r"^stats +status|^status +stats")
    pane.sees(r"> show stat$")
    pane.type("u")
    pane.keys("Tab", "Enter")
    pane.sees(r"^clients connect to ")
    pane.line("show log --le")
    pane.keys("Tab")
    pane.sees(r"> show log --level$")
    pane.keys("C-c")
    pane.line("configure")
    pane.keys("Enter")
    pane.ready()
    pane.type("set maxmemory-pol")
    pane.keys("Tab")
    pane.sees(r"# set maxmemory-policy$")
    pane.type("allkeys-")
    pane.keys("Tab", "Tab")
    pane.sees(r"^allkeys-lfu +allkeys-lru +allkeys-random")
    pane.type("lr")
    pane.keys("Tab")
    pane.sees(r"# set maxmemory-policy allkeys-lru$")
    pane.keys("C-c")
    pane.does("exit")


@tap.test("? behind a space and in a word: what can follow, in lines that fit; the line stays")
@on(*SIZES)
def helps(_, pane):
    pane.type("?")
    pane.sees(r"^  show +what the box is and does")
    pane.ready()
    fits(pane)
    pane.type("show ?")
    pane.sees(r"^  status +health, dataplane")
    pane.sees(r"^--more-- |> show$")
    pane.unpaged()
    pane.sees(r"> show$")
    fits(pane)
    pane.type("co?")
    pane.sees(r"> show co$")
    pane.sees(r"^  connections +TCP connections")
    fits(pane)
    pane.keys("C-c")
    pane.ready()
    pane.type("show log ?")
    pane.sees(r"^  --level LEVEL +debug, verbose")
    pane.sees(r"> show log$")
    fits(pane)
    pane.keys("C-u")
    pane.type("show log | ?")
    pane.sees(r"^  match TEXT +only lines that hold")
    fits(pane)
    pane.keys("C-c")


@tap.test("? in quotes and in an answer is a character")
@on(SIZES[0])
def question_in_quotes(_, pane):
    pane.line('show log | match "wha')
    pane.type("t?")
    pane.sees(r'match "what\?$')
    pane.type('"')
    pane.keys("Enter")
    pane.ready()
    assert "only lines" not in pane.text()


@tap.test("history: up and down, Ctrl-R; the same line twice is there once")
@on(SIZES[0])
def remembers(_, pane):
    pane.does("show version | count")
    pane.does("show roles | count")
    pane.does("show roles | count")
    pane.keys("Up")
    pane.sees(r"> show roles \| count$")
    pane.keys("Up")
    pane.wait(lambda: pane.last().endswith("> show version | count"), "the line before")
    pane.keys("C-c")
    pane.ready()
    pane.keys("C-r")
    pane.type("vers")
    pane.wait(lambda: pane.last() == "bck:vers" and "show version | count" in pane.lines()[-2], "what Ctrl-R finds")
    pane.keys("Enter")
    pane.wait(lambda: pane.at_prompt() and pane.lines()[-2].isdigit(), "its answer")


@tap.test("a line longer than the screen: edited in its middle, then run as it is")
@on((132, 43), (40, 12))
def long_lines(_, pane):
    tail = "x" * 150
    pane.type(f"show log | match {tail}")
    pane.wait(lambda: pane.text(joined=False).replace("\n", "").endswith("x" * 150), "the line")
    pane.keys("C-a")
    pane.type("run ")
    pane.wait(lambda: "> run show log" in pane.text(joined=False), "its beginning")
    for _ in range(4):
        pane.keys("BSpace")
    pane.wait(lambda: re.search(r"> show log \| match x", pane.text(joined=False)), "its old beginning")
    pane.keys("C-e")
    pane.type("y")
    pane.wait(lambda: pane.text(joined=False).replace("\n", "").endswith("xy"), "its end")
    pane.keys("Enter")
    pane.ready()


@tap.test("a window that changes its size under a line, between lines and under the pager")
@on(SIZES[0])
def resized(_, pane):
    pane.line("show version | match control")
    pane.resize(60, 20)
    pane.type(" ")
    pane.resize(100, 30)
    pane.sees(r"show version \| match control")
    pane.keys("Enter")
    pane.sees(r"^control ")
    pane.ready()
    pane.resize(80, 10)
    pane.line("show stats")
    pane.keys("Enter")
    pane.sees(r"^--more--")
    pane.resize(80, 24)
    pane.keys("Space")
    pane.wait(lambda: len(pane.lines()) == 24 and pane.last().startswith("--more--"), "a page of the new size")
    pane.keys("q")
    pane.ready()


@tap.test("Ctrl-C drops a line, Ctrl-D leaves, quit and exit leave")
@on(SIZES[0])
def leaves(o, pane):
    pane.line("show nonsense")
    pane.keys("C-c")
    pane.sees(r"> show nonsense\^C$")
    pane.ready()
    assert "unknown" not in pane.text()
    pane.does("configure")
    pane.keys("C-d")
    pane.wait(lambda: re.fullmatch(r"\w+@[\w.-]+>", pane.last()), "operational mode")
    pane.keys("C-d")
    pane.wait(pane.dead, "the end")
    for word in ("exit", "quit"):
        other = begins(o)
        other.line(word)
        other.keys("Enter")
        other.wait(other.dead, "the end")
        other.close()


@tap.test("Ctrl-C ends a command that goes on, not the session")
@on(SIZES[0])
def interrupts(o, pane):
    for line, shows in (("show log --follow", r"Management API|Ready to accept"), ("ping 127.0.255.250 --count 1000 --interval 50", r"seq=2 "),
                        ("capture", r"$")):
        pane.line(line)
        before = pane.count_prompts()
        pane.keys("Enter")
        pane.sees(shows)
        pane.keys("C-c")
        pane.wait(lambda: pane.at_prompt() and pane.count_prompts() > before, f"prompt behind {line}")
        pane.sees(r"^\^C$")
    assert not pane.dead()
    assert any("control" in line for line in pane.does("show version")), pane.text()


# -- output --


@tap.test("the pager: space, enter, q; | match, | no-more, | count, | last")
@on(*SIZES)
def pages(_, pane):
    rows = len(pane.lines()) and int(pane.server.run("display-message", "-p", "-t", pane.name, "#{window_height}"))
    pane.line("show stats")
    pane.keys("Enter")
    pane.sees(r"^--more-- ")
    assert len(pane.lines()) == rows
    first = pane.lines()[0]
    pane.keys("Enter")
    pane.wait(lambda: pane.last().startswith("--more--") and pane.lines()[0] != first, "a line more")
    pane.keys("q")
    pane.ready()
    assert "--more--" not in pane.text()
    count = int(pane.does("show stats | count")[0])
    assert count > rows
    assert len(pane.does("show stats | no-more")) >= count
    assert pane.does("show stats | match tcp_drop_closed_port | count") == ["1"]
    assert len(pane.does("show stats | last 3")) == 3


@tap.test("tables, statuses and help fit 80 columns")
@on((80, 50))
def screens_fit(_, pane):
    for line in ("show status", "show health", "show version", "show links", "show listeners", "show addresses", "show alarms", "show history",
                 "show roles", "snapshot list", "certificate list", "show inventory"):
        printed = pane.does(line + " | no-more")
        assert printed, line
        if line not in ("show roles",):
            assert all(len(row) <= 160 for row in printed), (line, printed)


@tap.test("UTF-8 is typed and shown as it is; odd bytes that are pasted command nothing")
@on(SIZES[0])
def utf8(_, pane):
    pane.does("configure")
    pane.does("set slowlog-max-len 55")
    pane.does('commit comment "f\u00fcr \u6771\u4eac"')
    assert any("\u00fcr \u6771\u4eac" in row for row in pane.does("run show history | first 2"))
    pane.does("delete slowlog-max-len")
    pane.does("commit")
    pane.does("exit")
    pane.type("show log | match \u00fc")
    pane.sees("match \u00fc$")
    pane.keys("BSpace")
    pane.wait(lambda: pane.last().endswith("| match"), "the letter gone at once")
    pane.keys("C-c")
    pane.ready()
    pane.paste(b"show log | match \x01\xff\xfe\x9b2J\x80\r")
    pane.ready()
    assert not pane.dead() and "run show history" in pane.text()
    assert pane.does("show version | first 3 | count") == ["3"]


@tap.test("a paste of 200 lines: every one runs, in order, once")
@on(SIZES[0])
def pasted(o, pane):
    pane.does("configure")
    lines = [f"set filter permit tcp from 198.51.100.{i} port 6379" for i in range(1, 201)]
    pane.paste("".join(line + "\r" for line in lines) + "show filter | count\r")
    pane.wait(lambda: re.search(r"^200$", pane.text(), re.M) and pane.at_prompt(), "the end of 200 lines", 300)
    listed = pane.does("show filter | no-more")
    assert [re.search(r"198\.51\.100\.(\d+)", row).group(1) for row in listed if "198.51" in row] == [str(i) for i in range(1, 201)], listed[:5]
    pane.does("discard")
    pane.paste("load terminal merge\r" + "".join(f"filter permit tcp from 198.51.100.{i} port 6379\r" for i in range(1, 201)) + ".\rshow filter | count\r")
    pane.wait(lambda: re.search(r"filter \| count\n200$", pane.text(), re.M) and pane.at_prompt(), "the end of a pasted text", 300)
    pane.does("discard")
    pane.does("exit")


@tap.test("a terminal without colours or cursor (dumb)")
@on(SIZES[0], term="dumb")
def dumb(_, pane):
    assert any(line.startswith("health") for line in pane.does("show health"))
    pane.line("show stats")
    pane.keys("Enter")
    pane.sees(r"^--more-- ")
    pane.keys("q")
    pane.wait(pane.at_prompt, "prompt")
    assert "\x1b" not in pane.text() and "[K" not in pane.text()


@tap.test("a window of 20 columns: prompts, help and the pager still work")
@on((20, 12))
def narrow(_, pane):
    pane.type("show versi | count")
    pane.wait(lambda: pane.text(joined=False).replace("\n", "").replace(" ", "").endswith(">showversi|count"), "what is typed")
    pane.keys("Enter")
    pane.sees(r"^[0-9]+( lines?)?$")
    pane.ready()
    pane.type("?")
    pane.sees(r"^--more--$")
    fits(pane, pane.lines(joined=False))
    pane.keys("q")
    pane.ready()
    pane.type("show stats")
    pane.wait(lambda: "stats" in pane.text(joined=False), "the line")
    pane.keys("Enter")
    pane.sees(r"^--more--$")
    pane.keys("q")
    pane.ready()


import terminal_box  # noqa: E402, F401: its checks come behind these

if __name__ == "__main__":
    try:
        tap.main()
    finally:
        if tap.options:
            tap.options.server.end()
