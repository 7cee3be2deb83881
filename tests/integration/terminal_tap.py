"""terminal_tap.py: what the checks of terminal.py and terminal_box.py share: their options, a login shell in a window of some size, scripts."""

import argparse
import functools
import os
import subprocess

from tap import Tap
from terminal_pane import Screen, Server

PROMPT = r"(?:\[edit\] )?[\w.-]+@[\w.-]+[>#]"
SIZES = [(80, 24), (132, 43)]


class TerminalTap(Tap):
    def arguments(self):
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--cli", required=True)
        parser.add_argument("--socket", required=True)
        parser.add_argument("--host", required=True)
        parser.add_argument("--folder", dest="server", type=Server, required=True, help="folder for files, and for tmux' socket")
        parser.add_argument("--up", default="", help="command that starts control again")
        parser.add_argument("--pid", default="", help="file with control's pid")
        parser.add_argument("--only", default="")
        parser.add_argument("--screens", default="", help="folder for what was on the screens")
        return parser


tap = TerminalTap("terminal")


def seen(o, pane, name):
    if o.screens:
        with open(os.path.join(o.screens, f"{pane.name}-{name}.txt"), "w", encoding="utf-8") as f:
            f.write("\n".join(pane.lines(joined=False, history=True)) + "\n")


def begins(o, columns=80, rows=24, term="screen", uid=None, user="admin"):
    """A login shell that has greeted."""
    who = ["setpriv", "--reuid", str(uid), "--regid", "65534", "--clear-groups"] if uid else []
    pane = o.server.open([f"SLUICE_SOCKET={o.socket}", f"USER={user}", *who, o.cli], columns, rows, term)
    pane.prompt = PROMPT
    return pane.ready()


def on(*sizes, **how):
    """The check runs with a login shell in a window of each size, which is gone afterwards."""
    def wrap(run):
        @functools.wraps(run)
        def each(o):
            for columns, rows in sizes:
                pane = begins(o, columns, rows, **how)
                try:
                    run(o, pane)
                    seen(o, pane, run.__name__)
                except Screen:
                    seen(o, pane, run.__name__ + "-failed")
                    raise
                finally:
                    pane.close()
        return each
    return wrap


def commands(o, *lines):
    """A script: what it prints, whether or not it succeeds."""
    done = subprocess.run([o.cli, "--socket", o.socket], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


def fits(pane, lines=None):
    """No line is wrapped by the terminal: what is there has been made to fit."""
    columns = int(pane.server.run("display-message", "-p", "-t", pane.name, "#{window_width}"))
    for line in lines if lines is not None else pane.lines():
        assert len(line) <= columns, f"{len(line)} columns of {columns}: {line}"
