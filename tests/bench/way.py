"""way.py: the stages of a request's way, by the function and the source file that code belongs to."""
import re

# Stage, pattern of the function, pattern of the file: the first match wins.
STAGES = [
    ("RX", r"rx|arrived|steer", r"drivers/|rte_ethdev"),
    ("TX", r"", r"drivers/|rte_ethdev"),
    ("TX", r"send", r"dataplane/worker\.c"),
    ("Ethernet/IP", r"", r"dataplane/net/"),
    ("TCP out", r"", r"dataplane/tcp/(output|queue|chain)\.c"),
    ("timers", r"", r"dataplane/tcp/(timers|wheel)\.c"),
    ("TCP in", r"", r"dataplane/tcp/"),
    ("parse", r"", r"dataplane/resp/"),
    ("parse", r"parse|query|args|row", r"dataplane/session_in\.c"),
    ("store", r"", r"dataplane/store/"),
    ("execute", r"", r"dataplane/command/"),
    ("session, replies", r"", r"dataplane/session"),
    ("loop", r"", r"dataplane/|drivers/"),
]
ORDER = ["RX", "Ethernet/IP", "TCP in", "parse", "store", "execute", "session, replies", "TCP out", "TX", "timers", "loop", "other"]


def stage_of(function, file):
    """The stage, or None."""
    for stage, function_pattern, file_pattern in STAGES:
        if re.search(file_pattern, file) and re.search(function_pattern, function):
            return stage
    return None
