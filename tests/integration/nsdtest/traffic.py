# SPDX-License-Identifier: GPL-2.0-or-later
"""Real traffic between namespaces: plain sockets made inside them, frames built by hand, and ears on interfaces.

A namespace is given by its path, name, open fd, or None: the host of the test. What must arrive is waited for with a long
deadline. What must not is given WINDOW, many thousand times what the kernel takes; where an honest packet follows the bad
one on the same way, its arrival is the sign that the bad one would have arrived."""
import itertools
import select
import socket
import time

from . import kernel, poll, sandbox

WINDOW = 0.2
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
ETH_P_ALL = 3
PACKET_OUTGOING = 4

_ports = itertools.count(20000)
_words = itertools.count(1)


def fresh_port():
    """One that no other attempt of this run uses, nor any rule names."""
    return next(_ports)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def socket_in(netns, *what):
    """A socket of another namespace; it stays there."""
    with sandbox.inside(netns if netns is None or isinstance(netns, int) else kernel.path_of(netns)):
        return socket.socket(*what)


class Attempt:
    """One conversation tried from `source` with `address`, where a server in `target` waits for it. `listen` is the
    address and port that the server has, if they are others: then the way leads through a translation."""

    def __init__(self, source, address, port, target, protocol="tcp", listen=None, bind=None):
        self.what = f"{protocol} {address} port {port}"
        self.word = f"word {next(_words)}".encode()
        self.peer = None     # by what address the target was reached
        self.answered = False
        self.refused = None  # the error that ended it
        family = family_of(address)
        self.protocol, self.sockets, self.greeted = protocol, [], False
        self.server, self.connection = self.open(target, family, protocol), None
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            self.server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.server.bind(listen or (address, port))
        if protocol == "tcp":
            self.server.listen(4)
        self.client = self.open(source, family, protocol)
        try:
            if bind:
                self.client.bind((bind, 0))
            self.client.connect((address, port))
            if protocol == "udp":
                self.client.send(self.word)
            self.greeted = protocol == "udp"
        except BlockingIOError:
            pass
        except OSError as error:
            self.refused = error

    def open(self, netns, family, protocol):
        self.sockets.append(socket_in(netns, family, KINDS[protocol] | socket.SOCK_NONBLOCK))
        return self.sockets[-1]

    def close(self):
        for one in self.sockets:
            one.close()

    def serve(self):
        """The server's part, as far as it can go now."""
        try:
            if self.protocol == "udp":
                data, peer = self.server.recvfrom(100)
                self.server.sendto(data, peer)
                self.peer = peer[0]
            elif not self.connection:
                self.connection, peer = self.server.accept()
                self.connection.setblocking(False)
                self.sockets.append(self.connection)
                self.peer = peer[0]
            else:
                self.connection.sendall(self.connection.recv(100))
        except BlockingIOError:
            pass

    def speak(self):
        """The client's part."""
        try:
            if not self.greeted:
                self.client.send(self.word)
                self.greeted = True
            self.answered = self.answered or self.client.recv(100) == self.word
        except BlockingIOError:
            pass
        except OSError as error:
            self.refused = error

    def wait(self, seconds):
        """Goes on until it is answered or refused; the address by which the target was reached, None if it was not."""
        end = time.monotonic() + seconds
        while not self.answered and not self.refused and time.monotonic() < end:
            writing = [self.client] if not self.greeted else []
            select.select([one for one in self.sockets if one is not self.client or self.greeted], writing, [],
                          min(0.05, max(0, end - time.monotonic())))
            self.serve()
            self.speak()
        return self.peer if self.answered else None


def reaches(*arguments, deadline=3, **named):
    """By what address the target was reached, when the answer came back, too; else None."""
    attempt = Attempt(*arguments, **named)
    try:
        return attempt.wait(deadline)
    finally:
        attempt.close()


def getting_through(*attempts, window=WINDOW):
    """Those of the attempts ([arguments of Attempt, or (arguments, named)]) of which anything arrives within `window`."""
    tried = []
    try:
        for arguments in attempts:
            arguments, named = arguments if isinstance(arguments[-1], dict) else (arguments, {})
            tried.append(Attempt(*arguments, **named))
        end = time.monotonic() + window
        while time.monotonic() < end and not all(one.refused or one.peer for one in tried):
            select.select([each for one in tried for each in one.sockets if each is not one.client], [], [],
                          max(0, end - time.monotonic()))
            for one in tried:
                one.serve()
                one.speak()
        return [one.what for one in tried if one.peer]
    finally:
        for one in tried:
            one.close()


def blocked(*arguments, **named):
    """Nothing of this one attempt arrives."""
    return not getting_through((arguments, named))


class Ear:
    """All frames that an interface of a namespace receives from now on, and with `both` those it sends; a context
    manager."""

    def __init__(self, netns, interface, both=False):
        self.both = both
        self.socket = socket_in(netns, socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self.socket.bind((interface, ETH_P_ALL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def heard(self, last=None, seconds=WINDOW):
        """[frame] of `seconds`, or until one that contains `last` came, which has to come then."""
        end = time.monotonic() + (seconds if last is None else poll.DEADLINE)
        frames = []
        while select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]:
            frame, (_, _, kind, _, _) = self.socket.recvfrom(65536)
            if kind == PACKET_OUTGOING and not self.both:
                continue
            if last is not None and last in frame:
                return frames
            frames.append(frame)
        assert last is None, f"{last!r} did not arrive"
        return frames


class Mouth:
    """Sends frames as they are through an interface of a namespace; a context manager."""

    def __init__(self, netns, interface):
        self.socket = socket_in(netns, socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((interface, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def say(self, *frames):
        for frame in frames:
            self.socket.send(frame)


class Inbox:
    """A UDP socket that keeps what it gets; a context manager."""

    def __init__(self, netns, address, port):
        self.socket = socket_in(netns, family_of(address), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def pending(self):
        """Has anything come that was not read?"""
        return bool(select.select([self.socket], [], [], 0)[0])

    def until(self, last):
        """[(data, sender's address)] that came before the datagram `last`."""
        got = []
        end = time.monotonic() + poll.DEADLINE
        while time.monotonic() < end:
            select.select([self.socket], [], [], max(0, end - time.monotonic()))
            try:
                data, peer = self.socket.recvfrom(65536)
            except BlockingIOError:
                continue
            if data == last:
                return got
            got.append((data, peer[0]))
        raise AssertionError(f"{last!r} did not arrive; before: {got}")


def flood(source, address, port, target, seconds=0.4, size=1000):
    """Bytes a second that arrive of datagrams sent faster than the receiver is to get them."""
    family = family_of(address)
    with socket_in(target, family, socket.SOCK_DGRAM) as receiver, socket_in(source, family, socket.SOCK_DGRAM) as sender:
        receiver.bind((address, port))
        receiver.setblocking(False)
        sender.connect((address, port))
        arrived, begin = 0, time.monotonic()
        while time.monotonic() < begin + seconds:
            for _ in range(4):
                sender.send(bytes(size))
            try:
                while True:
                    arrived += len(receiver.recv(65536))
            except BlockingIOError:
                pass
        return arrived / (time.monotonic() - begin)
