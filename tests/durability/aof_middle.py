"""kill -9 while an EXEC is in the middle of its script: the log has nothing of it, and all of one that has ended. Used by aof.py."""
import socket
import threading

import redis

from aof_box import check, settled, with_box
from box import until

THRESHOLD_MS, TURNS = 100, 2


def is_busy(box):
    with box.client() as r:
        try:
            return not r.ping()
        except redis.RedisError as error:
            return "busy running" in str(error)


def answers(box):
    with box.client(socket_timeout=5) as r:
        try:
            return r.ping()
        except redis.RedisError:
            return False


def start_exec(box, turn):
    """Which stops in the middle of its second script, between what it writes; its replies come into the list. Also returns its
    client: a dataplane that is killed says nothing to it, so nobody but the test ends its wait."""
    replies, client = [], box.client(socket_timeout=300)

    def execute():
        p = client.pipeline(transaction=True)
        p.set("first", turn)
        p.eval("redis.call('rpush', KEYS[1], ARGV[1]) return redis.call('incr', KEYS[2])", 2, "list", "n", turn)
        p.eval("while true do end", 0)
        p.client_setname("named")
        p.mset({"last": turn, "other": turn})
        try:
            replies.extend(p.execute(raise_on_error=False))
        except (redis.RedisError, OSError):  # its socket is shut down
            pass
    thread = threading.Thread(target=execute, daemon=True)
    thread.start()
    until(300, lambda: is_busy(box), lambda: "BUSY")
    return thread, replies, client


def hang_up(client):
    """The socket alone: its objects belong to the thread that waits, and end with it."""
    for connection in list(client.connection_pool._in_use_connections):
        try:
            connection._sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):  # it has ended by itself
            pass


def state(r):
    return r.mget("first", "n", "last", "other") + r.lrange("list", 0, -1)


def killed_in_exec(who, workers):
    def test(box):
        box.start()
        for turn in range(TURNS):
            r = box.client()
            r.config_set("busy-reply-threshold", THRESHOLD_MS)
            thread, replies, _ = start_exec(box, turn)
            r.script_kill()
            thread.join(300)
            assert not thread.is_alive()
            assert replies[1] == turn + 1 and len(replies) == 5 and "killed" in str(replies[2]), replies
            settled(box, r)
            before = state(r)
            assert before[:4] == [b"%d" % n for n in (turn, turn + 1, turn, turn)] and len(before) == 5 + turn, before
            thread, replies, client = start_exec(box, 77)
            pid = box.dataplane_pid()
            if who == "both":
                box.kill_control()
            box.kill_dataplane()
            hang_up(client)
            thread.join(60)
            assert not thread.is_alive()
            if who == "both":
                check(box)
                box.start()
            until(300, lambda: box.dataplane_pid() != pid and answers(box), lambda: "an answer")
            assert not replies and state(box.client()) == before, (replies, before, state(box.client()))
    return lambda: with_box(test, workers=workers, appendfsync="always")
