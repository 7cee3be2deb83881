#!/usr/bin/python3
"""odd_words.py ADDRESS: a client that puts line ends, terminal commands, quotes and what looks like metrics, directives and fields of a log
into everything it may name. Each refusal is one line; a user and a password that may have such names are made. management.sh looks at what is
shown of it afterwards."""
import socket
import sys

ODD = b'x\n\x1b[2J\x1b]0;FORGED\x07\r\nFORGED 1 \xff"} 1\nsluice_forged 1\n,"hash":"'
NAME = b'o"}\x1b]0;FORGED\x07\\{,'
REFUSED = ((b"AUTH", ODD, ODD), (b"HELLO", b"3", b"AUTH", ODD, ODD), (ODD,), (b"ACL", ODD), (b"CLIENT", b"SETNAME", ODD),
           (b"CLIENT", b"SETINFO", b"LIB-NAME", ODD), (b"CONFIG", b"SET", ODD, ODD), (b"CONFIG", b"SET", b"maxmemory", ODD),
           (b"ACL", b"SETUSER", ODD, b"on"), (b"ACL", b"SETUSER", NAME, ODD), (b"EVAL", ODD, b"0"), (b"SCRIPT", ODD), (b"DEBUG", ODD))
TAKEN = ((b"ACL", b"SETUSER", NAME, b"on", b"nopass", b"+ping", b"~" + ODD.translate(None, b" \r\n")), (b"CONFIG", b"SET", b"requirepass", ODD),
         (b"CONFIG", b"REWRITE"), (b"CONFIG", b"SET", b"requirepass", b""))


class Client:
    def __init__(self, address):
        self.socket = socket.create_connection((address, 6379), 20)
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        """The first line of the reply."""
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.file.readline()


def main():
    client = Client(sys.argv[1])
    for words in REFUSED:
        reply = client.ask(*words)
        assert reply.startswith(b"-") and reply.endswith(b"\r\n"), (words, reply)
        assert client.ask(b"PING") == b"+PONG\r\n", words  # nothing of the refusal is left over
    for words in TAKEN:
        reply = client.ask(*words)
        assert reply == b"+OK\r\n", (words, reply)
    other = Client(sys.argv[1])
    assert other.ask(b"AUTH", NAME, b"") == b"+OK\r\n"
    for words in ((b"FLUSHALL",), (b"GET", ODD), (b"ACL", b"LIST")):
        reply = other.ask(*words)
        assert reply.startswith(b"-NOPERM"), (words, reply)


if __name__ == "__main__":
    main()
