# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for nsd: records what it is asked, answers what a test wants, well or badly."""
import array
import json
import os
import socket
import threading


class Raw:
    """Bytes instead of a message."""

    def __init__(self, data):
        self.data = data


class Close:
    """Closes the connection here."""


class HalfClose:
    """Says nothing more, but goes on reading."""


class Hang:
    """Never answers."""


class WithFd:
    """A reply with a file descriptor; the stand-in closes its own afterwards."""

    def __init__(self, parameters, fd):
        self.parameters, self.fd = parameters, fd


class Error:
    def __init__(self, name, **parameters):
        self.name, self.parameters = name if "." in name else "io.nsd.Manager." + name, parameters


def message(parameters=None, error=None, continues=False):
    reply = {}
    if error:
        reply["error"] = error
    if parameters:
        reply["parameters"] = parameters
    if continues:
        reply["continues"] = True
    return json.dumps(reply, separators=(",", ":"), ensure_ascii=False).encode() + b"\0"


class Fake:
    """Answers of a method: `fake.on("GetStatus", {...})`; several are a stream. Methods without any answer {}."""

    def __init__(self, path):
        self.path = str(path)
        self.calls = []  # whole calls as dicts
        self.raw = []  # as bytes, without NUL
        self.fds = []  # readlink of each descriptor that came, by call
        self.answers = {}
        self.done = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def on(self, method, *answers):
        self.answers[method if "." in method else "io.nsd.Manager." + method] = list(answers)
        return self

    def close(self):
        self.done.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the acceptor, which must not meet the next user of this number
        self.acceptor.join()
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        buffer, fds = b"", []
        with connection:
            while True:
                while b"\0" not in buffer:
                    try:
                        data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(64))
                    except OSError:
                        return
                    for _, _, payload in ancillary:
                        new = array.array("i")
                        new.frombytes(payload[:len(payload) - len(payload) % new.itemsize])
                        fds.extend(new)
                    if not data:
                        return
                    buffer += data
                raw, _, buffer = buffer.partition(b"\0")
                if not self.answer(connection, raw, fds):
                    return
                fds = []

    def answer(self, connection, raw, fds):
        call = json.loads(raw)
        self.raw.append(raw)
        self.calls.append(call)
        self.fds.append([os.readlink(f"/proc/self/fd/{fd}") for fd in fds])
        for fd in fds:
            os.close(fd)
        if call.get("oneway"):
            return True
        answers = self.answers.get(call["method"], [{}])
        try:
            for i, answer in enumerate(answers):
                if not self.send(connection, answer, continues=i + 1 < len(answers)):
                    return False
        except OSError:
            return False
        return True

    def send(self, connection, answer, continues):
        if callable(answer):
            answer = answer(self.calls[-1])
        if isinstance(answer, Close):
            return False
        if isinstance(answer, HalfClose):
            connection.shutdown(socket.SHUT_WR)
            self.done.wait(20)
        elif isinstance(answer, Hang):
            self.done.wait(20)
        elif isinstance(answer, Raw):
            connection.sendall(answer.data)
        elif isinstance(answer, Error):
            connection.sendall(message(answer.parameters, answer.name))
        elif isinstance(answer, WithFd):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [answer.fd]))]
            connection.sendmsg([message(answer.parameters)], rights)
        else:
            connection.sendall(message(answer, continues=continues))
        return True

    # What was asked

    def asked(self):
        """[(method without the interface of nsd, parameters)] of all calls."""
        return [(call["method"].removeprefix("io.nsd.Manager."), call.get("parameters", {})) for call in self.calls]
