"""terminal_pane.py: the CLI in a window of tmux, which has a server of its own: keys in, the screen as a person sees it out.

What is typed is waited for on the screen before Enter is pressed, so the order of events is certain however slow the machine is."""

import os
import re
import shlex
import subprocess
import time

PATIENCE = 90.0  # seconds: for what takes a moment on a machine that has nothing else to do


class Screen(Exception):
    """What was waited for never came; the text has the screen."""


class Server:
    """A tmux server on a socket of its own, with no configuration and no shell."""

    def __init__(self, folder):
        self.socket = os.path.join(folder, "tmux.socket")
        self.folder = folder
        self.panes = 0

    def run(self, *words, text=None):
        done = subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *words], input=text, capture_output=True, timeout=60, check=False)
        if done.returncode:
            raise Screen(f"tmux {words}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode("utf-8", "replace")

    def open(self, command, columns=80, rows=24, term="screen"):
        """A Pane that runs the command (a list of words) in an otherwise empty environment."""
        if not self.panes:  # it stays when a window is closed, and a window when its program has ended
            self.run("start-server", ";", "set-option", "-g", "exit-empty", "off", ";", "set-option", "-g", "remain-on-exit", "on")
        self.panes += 1
        name = f"p{self.panes}"
        words = ["env", "-i", f"TERM={term}", "PATH=/usr/bin:/bin", *command]
        size = ["-x", str(columns), "-y", str(rows)]
        self.run("new-session", "-d", "-s", name, *size, "exec " + " ".join(shlex.quote(w) for w in words))
        self.run("set-option", "-t", name, "window-size", "manual")
        self.run("resize-window", "-t", name, *size)
        return Pane(self, name)

    def end(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, timeout=60, check=False)


class Pane:
    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.prompt = None  # as a regular expression

    def lines(self, joined=True, history=False):
        """The screen without blanks at the ends of lines and without what is empty below; joined: wrapped lines are one again."""
        text = self.server.run("capture-pane", "-p", "-t", self.name, *(["-J"] if joined else []), *(["-S", "-"] if history else []))
        lines = [line.rstrip() for line in text.split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def text(self, **how):
        return "\n".join(self.lines(**how))

    def last(self):
        lines = self.lines()
        return lines[-1] if lines else ""

    def wait(self, condition, what, seconds=PATIENCE):
        """Until condition() is true; its value."""
        end = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise Screen(f"no {what} on:\n" + self.text(history=True)[-4000:])
            time.sleep(0.03)

    def sees(self, pattern, seconds=PATIENCE, **how):
        return self.wait(lambda: re.search(pattern, self.text(**how), re.M), repr(pattern), seconds)

    def keys(self, *names):
        """Keys by tmux' names (Enter, Tab, Up, C-c)."""
        self.server.run("send-keys", "-t", self.name, *names)

    def type(self, text):
        """Characters as they are, without waiting for them."""
        self.server.run("send-keys", "-t", self.name, "-l", "--", text)

    def paste(self, text):
        """All at once, as a terminal does it (line ends are carriage returns)."""
        data = text if isinstance(text, bytes) else text.encode()
        path = os.path.join(self.server.folder, "pasted")
        with open(path, "wb") as f:
            f.write(data)
        self.server.run("load-buffer", path)
        self.server.run("paste-buffer", "-t", self.name)

    def at_prompt(self):
        """An empty prompt is the last line, and the cursor is behind it."""
        last = self.last()
        return re.fullmatch(self.prompt, last) is not None

    def ready(self, seconds=PATIENCE):
        self.wait(self.at_prompt, "prompt", seconds)
        return self

    def unpaged(self):
        """Help or a page has come, which may be all of it."""
        self.wait(lambda: self.last().startswith("--more--") or re.match(self.prompt, self.last()), "a page or a prompt")
        while self.last().startswith("--more--"):
            self.keys("q")
            self.wait(lambda: not self.last().startswith("--more--"), "the end of a page")

    def line(self, text):
        """Types a line at the prompt and sees it there."""
        self.ready()
        self.type(text)
        self.wait(lambda: re.fullmatch(self.prompt + " ?" + re.escape(text.strip()), self.last()), f"line {text!r}")

    def does(self, text, seconds=PATIENCE):
        """Runs a command from the prompt to the next; the lines that it printed."""
        self.line(text)
        before = self.count_prompts()
        self.keys("Enter")
        self.wait(lambda: self.at_prompt() and self.count_prompts() > before, f"prompt behind {text!r}", seconds)
        lines = self.lines(history=True)
        at = max(i for i, line in enumerate(lines[:-1]) if re.fullmatch(self.prompt + " ?" + re.escape(text.strip()), line))
        return lines[at + 1:-1]

    def count_prompts(self):
        return sum(1 for line in self.lines(history=True) if re.match(self.prompt, line))

    def resize(self, columns, rows):
        """Until the program's terminal has that size, which tmux tells it a moment later."""
        self.server.run("resize-window", "-t", self.name, "-x", str(columns), "-y", str(rows))
        tty = os.open(self.server.run("display-message", "-p", "-t", self.name, "#{pane_tty}").strip(), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            self.wait(lambda: os.get_terminal_size(tty) == (columns, rows), f"size {columns}x{rows}")
        finally:
            os.close(tty)

    def dead(self):
        return self.server.run("display-message", "-p", "-t", self.name, "#{pane_dead}").strip() == "1"

    def close(self):
        self.server.run("kill-session", "-t", self.name)
