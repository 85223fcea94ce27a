# SPDX-License-Identifier: GPL-2.0-or-later
"""A Varlink client of the tests' own: raw socket, NUL framing, file descriptors. It trusts nothing: replies must be
strict JSON, carry only what a reply may carry, and fit the interface description that the service publishes."""
import array
import json
import os
import re
import socket

from . import idl, poll

MANAGER = "io.nsd.Manager"
TIMEOUT = poll.DEADLINE


class Error(Exception):
    """An error reply: its qualified name and parameters."""

    def __init__(self, name, parameters):
        super().__init__(f"{name} {json.dumps(parameters)}")
        self.name = name
        self.short = name.rpartition(".")[2]
        self.parameters = parameters

    @property
    def field(self):
        return self.parameters.get("field") or self.parameters.get("parameter")


class Closed(Exception):
    """The service closed the connection."""


def _unique(pairs):
    result = dict(pairs)
    assert len(result) == len(pairs), f"duplicate key in a reply: {pairs}"
    return result


def _no_constant(text):
    raise AssertionError(f"{text} in a reply")


def parse_reply(raw):
    """One message as a dict, after checking what every reply must satisfy."""
    text = raw.decode("utf-8")
    reply = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    assert isinstance(reply, dict), f"a reply is no object: {text}"
    assert set(reply) <= {"parameters", "error", "continues"}, f"unknown key in a reply: {text}"
    assert isinstance(reply.get("parameters", {}), dict), text
    assert isinstance(reply.get("continues", False), bool), text
    assert not ("error" in reply and "continues" in reply), f"an error that continues: {text}"
    assert not re.search(r'[\s]', re.sub(r'"(\\.|[^"\\])*"', "", text)), f"blanks outside strings in a reply: {text}"
    return reply


class Client:
    """One connection. Every reply of a known interface is checked against its description."""

    descriptions = {}  # interface name -> idl.Interface, filled from the running service

    def __init__(self, path, timeout=TIMEOUT):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.socket.settimeout(timeout)
        self.buffer = b""
        self.fds = []
        try:
            self.socket.connect(self.path)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    # Bytes

    def send_raw(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while data:
            sent = self.socket.sendmsg([data], ancillary)
            data, ancillary = data[sent:], []

    def fill(self):
        """Reads once; False at the end of the stream."""
        size = socket.CMSG_SPACE(253 * array.array("i").itemsize)
        try:
            data, ancillary, flags, _ = self.socket.recvmsg(1 << 16, size, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return False
        assert not flags & socket.MSG_CTRUNC
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(payload)
                self.fds.extend(fds)
        self.buffer += data
        return bool(data)

    def receive_raw(self):
        """The next message without its NUL; Closed at the end of the stream."""
        while b"\0" not in self.buffer:
            if not self.fill():
                raise Closed(f"closed with {len(self.buffer)} bytes of an unfinished message")
        message, _, self.buffer = self.buffer.partition(b"\0")
        return message

    def closed_by_peer(self):
        """Waits until the service closes; AssertionError if a message comes instead."""
        while self.fill():
            pass
        assert self.buffer == b"", f"an answer where the connection should close: {self.buffer[:200]!r}"
        return True

    # Messages

    @staticmethod
    def message(method, parameters=None, **flags):
        call = {"method": method}
        if parameters:
            call["parameters"] = parameters
        call.update({key: value for key, value in flags.items() if value})
        return json.dumps(call, separators=(",", ":")).encode() + b"\0"

    def send(self, method, parameters=None, fds=(), **flags):
        self.send_raw(self.message(self.qualify(method), parameters, **flags), fds)

    @staticmethod
    def qualify(method):
        return method if "." in method else f"{MANAGER}.{method}"

    def receive(self, method=None):
        """(parameters, continues) of the next reply; Error for an error reply."""
        reply = parse_reply(self.receive_raw())
        parameters = reply.get("parameters", {})
        if "error" in reply:
            self.check_error(reply["error"], parameters, self.qualify(method) if method else None)
            raise Error(reply["error"], parameters)
        if method:
            self.check_reply(self.qualify(method), parameters)
        return parameters, reply.get("continues", False)

    def call(self, method, parameters=None, fds=(), **named):
        """One call, one reply: its parameters. Named arguments join the parameters; None leaves one out."""
        arguments = dict(parameters or {})
        arguments.update({key: value for key, value in named.items() if value is not None})
        self.send(method, arguments, fds)
        result, continues = self.receive(method)
        assert not continues, f"{method} answered more than was asked for"
        return result

    def more(self, method, parameters=None, **named):
        """Yields the parameters of each reply of a `more` call."""
        arguments = dict(parameters or {}, **named)
        self.send(method, arguments, more=True)
        continues = True
        while continues:
            result, continues = self.receive(method)
            yield result

    def call_fds(self, method, **named):
        """(parameters, fds) of one call; the caller owns the fds."""
        result = self.call(method, **named)
        fds, self.fds = self.fds, []
        return result, fds

    # The description

    def learn(self, *interfaces):
        for name in interfaces:
            text = self.call("org.varlink.service.GetInterfaceDescription", interface=name)["description"]
            self.descriptions[name] = idl.Interface(text)

    def check_reply(self, method, parameters):
        interface, _, member = method.rpartition(".")
        description = self.descriptions.get(interface)
        if description and member in description.methods:
            description.check(description.methods[member][1], parameters, method)

    def check_error(self, error, parameters, method):
        interface, _, member = error.rpartition(".")
        allowed = {"org.varlink.service", method.rpartition(".")[0]} if method else {interface}
        assert interface in allowed, f"{method} answers {error}, which is no error of its interface"
        description = self.descriptions.get(interface)
        if description:
            assert member in description.errors, f"{error} is not in the interface description"
            description.check(description.errors[member], parameters, error)

    # Short forms

    def list(self, method, key, **named):
        result = []
        for reply in self.more(method, **named):
            result.extend(reply.get(key) or [])
        return result

    def namespaces(self, **named):
        return {item["name"]: item for item in self.list("ListNamespaces", "namespaces", **named)}

    def links(self, **named):
        """By name. Without the carriers: the kernel tells of them a moment after the rest."""
        items = self.list("ListLinks", "links", **named)
        for item in items:
            for end in item["ends"]:
                end.pop("running", None)
        return {item["name"]: item for item in items}

    def networks(self):
        return {item["name"]: item for item in self.list("ListNetworks", "networks")}

    def slots(self, **named):
        return {item["name"]: item for item in self.list("ListSlots", "slots", **named)}

    def pool(self, network="web"):
        return {item["network"]: item for item in self.call("ListPools")["pools"]}[network]

    def acquire(self, network="web", fds=(), **named):
        """A slot; the fds of the answer stay in self.fds."""
        return self.call("AcquireSlot", {"network": network}, fds, **named)["slot"]


def expect(short, function, /, *arguments, **named):
    """The call must fail with the error of this short name; returns the error."""
    try:
        result = function(*arguments, **named)
    except Error as error:
        assert error.short == short, str(error)
        return error
    raise AssertionError(f"{short} expected, but it answered {result}")
