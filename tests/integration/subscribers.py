#!/usr/bin/python3
"""Very many subscribers of one channel over the network, each with a connection of its own: PUBLISH tells how many they are, and each gets
every message, whole and in order. By several processes, each with a local address of its own, as an address has 28000 ports and a process some
20000 descriptors. maxclients of the server must be above the count. Prints TAP."""
import argparse
import multiprocessing
import select
import socket
import sys
import time

UNDER_WAY = 100  # connections that a process opens at the same time
A_PROCESS = 15000  # connections, from an address of its own


def request(*words):
    return b'*%d\r\n%s' % (len(words), b''.join(b'$%d\r\n%s\r\n' % (len(word), word) for word in words))


class Crowd:
    def __init__(self, options, number):
        self.options = options
        self.source = '%s.%d' % (options.source, number + 1)
        self.poll = select.epoll()
        self.sockets, self.rest, self.got, self.lost = {}, {}, {}, 0
        self.confirmed = b'*3\r\n$9\r\nsubscribe\r\n$5\r\ncrowd\r\n:1\r\n'
        self.joined = 0

    def open_one(self):
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        sock.bind((self.source, 0))
        sock.connect_ex((self.options.host, self.options.port))
        self.sockets[sock.fileno()] = sock
        self.rest[sock.fileno()] = self.confirmed
        self.poll.register(sock, select.EPOLLOUT)

    def handle(self, patience):
        """What has come, for at most so long; False: nothing."""
        events = self.poll.poll(patience, 4096)
        for fd, event in events:
            sock = self.sockets[fd]
            if event & (select.EPOLLERR | select.EPOLLHUP):
                self.end(fd)
            elif event & select.EPOLLOUT:
                sock.send(request(b'SUBSCRIBE', b'crowd'))
                self.poll.modify(fd, select.EPOLLIN)
            else:
                self.take(fd, sock.recv(65536))
        return bool(events)

    def take(self, fd, data):
        expected = self.rest[fd]
        if not data or not expected.startswith(data):
            self.end(fd)
            return
        self.rest[fd] = expected[len(data):]
        self.joined += not self.rest[fd]

    def end(self, fd):
        self.lost += 1
        self.poll.unregister(fd)
        self.sockets.pop(fd).close()
        self.rest.pop(fd)

    def join(self, patience):
        """All of them, a few at a time."""
        end, opened = time.monotonic() + patience, 0
        while self.joined < self.options.count and not self.lost and time.monotonic() < end:
            while opened < self.options.count and opened - self.joined < UNDER_WAY:
                self.open_one()
                opened += 1
            self.handle(0.1)
        return self.joined

    def hear(self, messages, patience):
        """How many have got all of them."""
        end = time.monotonic() + patience
        self.joined = 0
        for fd in self.rest:
            self.rest[fd] = messages
        while self.joined + self.lost < self.options.count and time.monotonic() < end:
            self.handle(0.1)
        return self.joined


def messages_of(options):
    return [b'message %d %s' % (i, b'x' * 100) for i in range(options.messages)]


def one_process(options, number, pipe):
    """A part of the crowd, with a source address of its own: how many have joined; when told to, how many have got everything."""
    options.count = min(A_PROCESS, options.count - number * A_PROCESS)
    crowd = Crowd(options, number)
    pipe.send(crowd.join(options.seconds))
    pipe.recv()
    pipe.send(crowd.hear(b''.join(b'*3\r\n$7\r\nmessage\r\n$5\r\ncrowd\r\n$%d\r\n%s\r\n' % (len(text), text) for text in messages_of(options)),
                         options.seconds))
    pipe.recv()


def told(good, number, what):
    print('%s %d - %s' % ('ok' if good else 'not ok', number, what), flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--host', default='127.0.77.2')
    parser.add_argument('--port', type=int, default=6379)
    parser.add_argument('--source', default='127.0.99', help='the first three numbers of local addresses')
    parser.add_argument('--count', type=int, default=100000)
    parser.add_argument('--messages', type=int, default=3)
    parser.add_argument('--seconds', type=int, default=600, help='patience, for each of the two parts')
    options = parser.parse_args()
    pipes, processes = [], []
    for number in range(-(-options.count // A_PROCESS)):
        ours, theirs = multiprocessing.Pipe()
        processes.append(multiprocessing.Process(target=one_process, args=(options, number, theirs)))
        processes[-1].start()
        pipes.append(ours)
    begin = time.monotonic()
    joined = sum(pipe.recv() for pipe in pipes)
    good = told(joined == options.count, 1, '%d of %d subscribe, in %.0f s' % (joined, options.count, time.monotonic() - begin))
    publisher = socket.create_connection((options.host, options.port), options.seconds)
    for pipe in pipes:
        pipe.send('listen')
    begin = time.monotonic()
    publisher.sendall(b''.join(request(b'PUBLISH', b'crowd', text) for text in messages_of(options)))
    heard = sum(pipe.recv() for pipe in pipes)
    good &= told(heard == options.count, 2, '%d have got %d messages each, whole and in order, in %.1f s' % (heard, options.messages, time.monotonic() - begin))
    said, wanted = b'', b':%d\r\n' % options.count * options.messages
    while good and len(said) < len(wanted):
        said += publisher.recv(1000)
    good &= told(said == wanted, 3, 'PUBLISH tells how many they are')
    for pipe, process in zip(pipes, processes):
        pipe.send('end')
        process.join()
    print('1..3')
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
