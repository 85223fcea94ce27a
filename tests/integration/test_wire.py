# SPDX-License-Identifier: GPL-2.0-or-later
"""The wire: framing, order, strictness, limits, and clients that do not behave."""
import json
import os
import re
import resource
import socket
import threading
import time

import pytest

from nsdtest import kernel, poll
from nsdtest.features import require_kernel
from nsdtest.daemon import SANITIZED
from nsdtest.varlink import Client, Closed, Error, expect

INFO = b'{"method":"org.varlink.service.GetInfo"}'
STATUS = b'{"method":"io.nsd.Manager.GetStatus"}'
LIMIT = 64 * 1024


def answers(client):
    """The connection still works."""
    return client.call("GetStatus")["ready"]


# Framing and order

def test_byte_by_byte(client):
    for byte in INFO + b"\0":
        client.send_raw(bytes([byte]))
    assert client.receive("org.varlink.service.GetInfo")[0]["interfaces"]


def test_pipelined_calls_are_answered_in_order(nsd, client):
    names = [f"n{number}" for number in range(50)]
    calls = b""
    for name in names:
        calls += client.message("io.nsd.Manager.CreateNamespace", {"name": name, "lifetime": "runtime"})
        calls += client.message("io.nsd.Manager.GetNamespace", {"name": name})
        calls += client.message("io.nsd.Manager.GetNamespace", {"name": name + "-absent"})
    client.send_raw(calls)
    for name in names:
        assert client.receive("CreateNamespace")[0]["namespace"]["name"] == name
        assert client.receive("GetNamespace")[0]["namespace"]["state"] == "ready"
        with pytest.raises(Error):
            client.receive()


def test_messages_cut_anywhere(client):
    """Three calls, cut in two at every byte."""
    calls = (INFO + b"\0") * 3
    for cut in range(1, len(calls), 7):
        client.send_raw(calls[:cut])
        client.send_raw(calls[cut:])
        for _ in range(3):
            client.receive("org.varlink.service.GetInfo")


@pytest.mark.parametrize("before, after", [(b" ", b""), (b"\n\t\r ", b" \n"), (b"", b"   ")])
def test_whitespace(client, before, after):
    spaced = b'{ "method" :\t"io.nsd.Manager.GetStatus" ,\r\n "parameters" : { } }'
    client.send_raw(before + spaced + after + b"\0")
    assert client.receive("GetStatus")[0]["ready"]


@pytest.mark.parametrize("parameters", [b"", b',"parameters":null', b',"parameters":{}'])
def test_parameters_absent_null_empty(client, parameters):
    client.send_raw(b'{"method":"io.nsd.Manager.GetStatus"' + parameters + b"}\0")
    assert client.receive("GetStatus")[0]["ready"]


@pytest.mark.parametrize("flags", [b'"more":false', b'"oneway":false', b'"upgrade":false',
                                   b'"more":false,"oneway":false,"upgrade":false', b'"more":true',
                                   b'"org.example.vendor":{"x":1}'])
def test_flags_that_are_fine(client, flags):
    client.send_raw(b'{"method":"io.nsd.Manager.GetStatus",' + flags + b"}\0")
    assert client.receive("GetStatus")[0]["ready"]


def test_reply_is_compact(client):
    client.send_raw(STATUS + b"\0")
    raw = client.receive_raw()
    assert b'":' in raw and not re.search(rb'[,:{] ', re.sub(rb'"[^"]*"', b'""', raw))
    assert b"\\/" not in raw, "slashes are not escaped"


def test_oneway_is_never_answered(client):
    for call in (b'{"method":"io.nsd.Manager.GetStatus","oneway":true}', b'{"method":"no.such.Method","oneway":true}',
                 b'{"method":"io.nsd.Manager.GetNamespace","parameters":{"name":"absent"},"oneway":true}',
                 b'{"method":"io.nsd.Manager.GetNamespace","parameters":{"nmae":1},"oneway":true}',
                 b'{"method":"io.nsd.Manager.ListNamespaces","oneway":true}',
                 b'{"method":"io.nsd.Manager.Monitor","oneway":true}'):
        client.send_raw(call + b"\0" + INFO + b"\0")
        assert "vendor" in client.receive()[0], call


def test_oneway_has_its_effect(client):
    client.send("CreateNamespace", {"name": "silent"}, oneway=True)
    assert client.call("GetNamespace", name="silent")["namespace"]["state"] == "ready"
    assert kernel.netns_files() == ["silent"]


def test_half_close_is_still_answered(nsd):
    with nsd.client() as client:
        client.send_raw(INFO + b"\0" + client.message("io.nsd.Manager.CreateNamespace", {"name": "half"}) + STATUS + b"\0")
        client.socket.shutdown(socket.SHUT_WR)
        client.receive("org.varlink.service.GetInfo")
        assert client.receive("CreateNamespace")[0]["namespace"]["name"] == "half"
        assert client.receive("GetStatus")[0]["namespaces"] == 1
        assert client.closed_by_peer()


def test_half_close_in_the_middle_of_a_message(nsd):
    with nsd.client() as client:
        client.send_raw(INFO)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.closed_by_peer()


def test_monitor_over_half_close_ends_with_the_peer(nsd):
    """A half-closed monitor is served on; when the peer goes away, so does its connection."""
    client = nsd.client()
    client.send("Monitor", more=True)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.receive("Monitor")[0]["event"] == "synced"
    with nsd.client() as other:
        other.call("CreateNamespace", name="seen")
    while client.receive("Monitor")[0]["event"] != "ready":
        pass
    client.close()
    poll.equal(nsd.connections, 0, "the connection is gone", deadline=10)


# Messages that end the connection

DEEP = b'{"a":' * 20 + b"1" + b"}" * 20
CALL = b'{"method":"io.nsd.Manager.CreateNamespace","parameters":{"name":"bad","labels":{"a":%s}}}'
CLOSING = {
    "lone NUL": b"",
    "no JSON": b"hello",
    "no object": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "no method": b'{"parameters":{}}',
    "method null": b'{"method":null}',
    "method number": b'{"method":1}',
    "parameters array": b'{"method":"io.nsd.Manager.GetStatus","parameters":[]}',
    "parameters string": b'{"method":"io.nsd.Manager.GetStatus","parameters":"x"}',
    "unknown header key": b'{"method":"io.nsd.Manager.GetStatus","colour":1}',
    "vendor key that is no object": b'{"method":"io.nsd.Manager.GetStatus","org.example.x":1}',
    "more and oneway": b'{"method":"io.nsd.Manager.GetStatus","more":true,"oneway":true}',
    "more and upgrade": b'{"method":"io.nsd.Manager.GetStatus","more":true,"upgrade":true}',
    "oneway and upgrade": b'{"method":"io.nsd.Manager.GetStatus","oneway":true,"upgrade":true}',
    "more number": b'{"method":"io.nsd.Manager.GetStatus","more":1}',
    "more string": b'{"method":"io.nsd.Manager.GetStatus","more":"true"}',
    "oneway number": b'{"method":"io.nsd.Manager.GetStatus","oneway":0}',
    "a reply": b'{"parameters":{},"continues":true}',
    # What json-c accepts and JSON does not
    "duplicate header": b'{"method":"io.nsd.Manager.GetStatus","method":"io.nsd.Manager.GetStatus"}',
    "duplicate key": b'{"method":"io.nsd.Manager.CreateNamespace","parameters":{"name":"a","name":"b"}}',
    "duplicate key by escape": b'{"method":"io.nsd.Manager.CreateNamespace","parameters":{"name":"a","n\\u0061me":"b"}}',
    "single quotes": b"{'method':'io.nsd.Manager.GetStatus'}",
    "single quotes inside": CALL % b"'x'",
    "NaN": CALL % b"NaN",
    "Infinity": CALL % b"Infinity",
    "minus Infinity": CALL % b"-Infinity",
    "number over 64 bits": CALL % b"18446744073709551616",
    "number over 63 bits": CALL % b"9223372036854775808",
    "number under 64 bits": CALL % b"-9223372036854775809",
    "number over a double": CALL % b"1e999",
    "leading zero": CALL % b"01",
    "hexadecimal": CALL % b"0x1",
    "plus sign": CALL % b"+1",
    "bare point": CALL % b".5",
    "TRUE": CALL % b"TRUE",
    "raw control character": CALL % b'"a\x01b"',
    "raw new line": CALL % b'"a\nb"',
    "raw tab": CALL % b'"a\tb"',
    "raw DEL is fine, escape for NUL is not": CALL % b'"a\\u0000b"',
    "NUL in a key": b'{"method":"io.nsd.Manager.CreateNamespace","parameters":{"name\\u0000x":"a"}}',
    "lone high surrogate": CALL % b'"\\ud800"',
    "lone low surrogate": CALL % b'"\\udc00"',
    "swapped surrogates": CALL % b'"\\udc00\\ud800"',
    "raw surrogate": CALL % b'"\xed\xa0\x80"',
    "overlong slash": CALL % b'"\xc0\xaf"',
    "overlong NUL": CALL % b'"\xc0\x80"',
    "over U+10FFFF": CALL % b'"\xf4\x90\x80\x80"',
    "broken UTF-8": CALL % b'"\xff"',
    "cut UTF-8": CALL % b'"\xe2\x82"',
    "byte order mark": b"\xef\xbb\xbf" + STATUS,
    "bad escape": CALL % b'"\\x41"',
    "cut escape": CALL % b'"\\u00"',
    "line comment": STATUS + b"// x",
    "comment": b"/* x */" + STATUS,
    "trailing comma": b'{"method":"io.nsd.Manager.GetStatus",}',
    "trailing comma in array": CALL % b'["a",]',
    "trailing text": STATUS + b"x",
    "two objects": STATUS + STATUS,
    "unterminated": b'{"method":"io.nsd.Manager.GetStatus"',
    "no colon": b'{"method" "io.nsd.Manager.GetStatus"}',
    "unquoted key": b'{method:"io.nsd.Manager.GetStatus"}',
    "vertical tab": b"\x0b" + STATUS,
    "too deep": CALL % DEEP,
    "too deep array": CALL % (b"[" * 1000 + b"]" * 1000),
}


@pytest.mark.parametrize("batch", range(4))
def test_messages_that_close(nsd, batch):
    """Each closes its own connection, answers nothing, does nothing; the daemon goes on."""
    wrong = []
    for index, (what, message) in enumerate(CLOSING.items()):
        if index % 4 != batch:
            continue
        with nsd.client() as client:
            # A call in front is answered, one behind is not.
            client.send_raw(INFO + b"\0")
            client.receive()
            client.send_raw(message + b"\0" + INFO + b"\0")
            try:
                client.socket.settimeout(3)
                client.closed_by_peer()
            except (AssertionError, TimeoutError) as error:
                wrong.append(f"{what}: {error!r:.200}")
    assert not wrong, "\n".join(wrong)
    assert nsd.recorded() == [] and kernel.netns_files() == []


def test_odd_but_valid(client):
    """Valid JSON in unusual clothes must be taken as what it means."""
    for text, value in ((rb'"\u0061"', "a"), (rb'"\ud83d\ude00"', "\U0001f600"), (b'"\xf0\x9f\x98\x80"', "\U0001f600"),
                        (rb'"\/\\\""', '/\\"'), (b'"\x7f"', None)):
        call = b'{"method":"io.nsd.Manager.CreateNamespace","parameters":{"name":"odd","labels":{"a":%s}}}' % text
        client.send_raw(call + b"\0")
        if value is None:
            expect("InvalidValue", client.receive)
            continue
        assert client.receive()[0]["namespace"]["labels"] == {"a": value}
        client.call("DeleteNamespace", name="odd", wait=True)
    client.send_raw(b'{"method":"io.nsd.Manager.CreateNamespace","parameters":{"name":"odd","nsid":7e0}}\0')
    try:
        client.receive()
    except Error as error:
        assert error.short == "InvalidParameter" and error.field == "nsid"


def test_largest_message(nsd):
    """64 KiB with the terminator are taken; a byte more closes."""
    def padded(size):
        return INFO + b" " * (size - len(INFO) - 1) + b"\0"

    with nsd.client() as client:
        client.send_raw(padded(LIMIT))
        client.receive("org.varlink.service.GetInfo")
        client.send_raw(padded(LIMIT) * 3)
        for _ in range(3):
            client.receive("org.varlink.service.GetInfo")
        try:
            client.send_raw(padded(LIMIT + 1))
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.closed_by_peer()


# Clients that do not behave

def test_sender_without_terminator(nsd):
    before = kernel.rss_kib(nsd.pid)
    with nsd.client() as client:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(1000):
                client.send_raw(b"x" * 65536)
        assert client.closed_by_peer()
    assert SANITIZED or kernel.rss_kib(nsd.pid) - before < 2048


def make_namespaces(nsd, count):
    with nsd.client() as client:
        labels = {f"k{number}": "x" * 200 for number in range(8)}
        client.send_raw(b"".join(
            client.message("io.nsd.Manager.CreateNamespace", {"name": f"n{number}", "lifetime": "runtime", "labels": labels})
            for number in range(count)))
        for _ in range(count):
            client.receive("CreateNamespace")


def test_reader_that_does_not_read(nsd):
    """Thousands of long answers asked for and never read: the daemon's memory stays, others are served."""
    make_namespaces(nsd, 50)
    before = kernel.rss_kib(nsd.pid)
    greedy = [nsd.client() for _ in range(4)]
    for client in greedy:
        client.socket.setblocking(False)
        call = client.message("io.nsd.Manager.ListNamespaces", more=True)
        try:
            while True:
                client.socket.send(call * 100)
        except BlockingIOError:
            pass
    with nsd.client() as other:
        for _ in range(100):
            assert answers(other)
    assert SANITIZED or kernel.rss_kib(nsd.pid) - before < 8 * 1024
    cpu = kernel.cpu_seconds(nsd.pid)
    time.sleep(0.5)  # not to be in step, but to measure
    assert kernel.cpu_seconds(nsd.pid) - cpu < 0.1, "nobody reads, so there is nothing to do"
    for client in greedy:
        client.close()
    poll.equal(nsd.connections, 0, "their connections are gone", deadline=10)


def test_slow_reader_gets_all(nsd):
    """A reader that takes small bites gets every answer whole and in order."""
    make_namespaces(nsd, 50)
    with nsd.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        count = 60
        calls = client.message("io.nsd.Manager.ListNamespaces", more=True) * count
        sender = threading.Thread(target=client.socket.sendall, args=(calls,))
        sender.start()
        finals, names = 0, 0
        while finals < count:
            while b"\0" not in client.buffer:
                chunk = client.socket.recv(4000)
                assert chunk
                client.buffer += chunk
            reply, continues = client.receive("ListNamespaces")
            names += len(reply["namespaces"])
            finals += not continues
        sender.join()
        assert names == 50 * count


def test_peer_that_goes_away_during_a_call(nsd):
    """What was asked for is done, or not; nobody waits for the answer; nothing leaks."""
    for number in range(20):
        client = nsd.client()
        client.send("CreateNamespace", {"name": f"n{number}", "lifetime": "runtime"})
        client.close()
    poll.equal(nsd.connections, 0, "no connection is left")
    with nsd.client() as client:
        poll.until(lambda: {item["state"] for item in client.namespaces().values()} == {"ready"}, "none is on its way")
        assert sorted(client.namespaces()) == kernel.netns_files() == nsd.recorded("namespace")


def test_half_open_clients(nsd):
    """Connections with a piece of a message each hold nothing but themselves."""
    before = kernel.rss_kib(nsd.pid)
    clients = [nsd.client() for _ in range(200)]
    for client in clients:
        client.send_raw(INFO[:20])
    with nsd.client() as other:
        assert answers(other)
        assert other.call("GetStatus")["connections"] == 201
    assert SANITIZED or kernel.rss_kib(nsd.pid) - before < 200 * 64
    for client in clients:
        client.close()
    poll.equal(nsd.connections, 0, "all are gone")


def test_random_bytes(nsd):
    """Garbage of every kind; the daemon neither dies nor answers nonsense."""
    import random
    generator = random.Random(20240229)
    seeds = [INFO, STATUS, CALL % b'"x"', b'{"method":"io.nsd.Manager.ListLinks","more":true}']
    for _ in range(300):
        data = bytearray(generator.choice(seeds) + b"\0")
        for _ in range(generator.randrange(1, 6)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        with nsd.client() as client:
            try:
                client.send_raw(bytes(data))
                client.socket.shutdown(socket.SHUT_WR)
                while True:
                    try:
                        client.receive()
                    except Error:
                        pass
            except (Closed, BrokenPipeError, ConnectionResetError, OSError):
                pass
    with nsd.client() as client:
        assert answers(client)
        for name in client.namespaces(foreign=False):
            client.call("DeleteNamespace", name=name, wait=True)


# Limits

def test_total_of_connections(host):
    nsd = host.daemon("capped", config="[Limits]\nConnections=20\n").start()
    clients = [nsd.client() for _ in range(30)]
    assert sum(bool(alive(client)) for client in clients) == 20
    for client in clients:
        client.close()
    poll.equal(nsd.connections, 0, "all are gone")
    with nsd.client() as client:
        assert answers(client)


def test_connections_of_one_user(host):
    """A user's share ends; root and other users are still served."""
    nsd = host.daemon("capped", config="[Limits]\nConnectionsPerUser=5\n").start()
    os.chown(nsd.socket, 0, 65534)
    os.chmod(nsd.socket, 0o660)
    clients = [as_user(65534, nsd) for _ in range(8)]
    assert sum(bool(alive(client)) for client in clients) == 5
    other = as_user(65533, nsd, gid=65534)
    assert alive(other)
    with nsd.client() as root:
        assert answers(root)
    clients[0].close()
    poll.until(lambda: may_connect(65534, nsd), "a place is free again")
    for client in [*clients, other]:
        client.close()


def alive(client):
    """Does the connection answer?"""
    try:
        client.send_raw(INFO + b"\0")
        return client.receive()
    except (Closed, BrokenPipeError, ConnectionResetError):
        return None


def may_connect(uid, nsd):
    with as_user(uid, nsd) as client:
        return alive(client)


def as_user(uid, nsd, gid=None):
    """A connection whose SO_PEERCRED is that user's."""
    os.setegid(gid or uid)
    os.seteuid(uid)
    try:
        return nsd.client()
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_out_of_file_descriptors(host):
    """At the limit nsd neither spins nor dies, and serves again as soon as there is room."""
    nsd = host.daemon("starved", limits={resource.RLIMIT_NOFILE: 112}).start()
    clients = []
    for _ in range(200):
        clients.append(Client(nsd.socket))
    poll.until(lambda: len(kernel.fds(nsd.pid)) >= 108, "the limit is reached")
    before, started = kernel.cpu_seconds(nsd.pid), time.monotonic()
    time.sleep(1.5)  # not to be in step, but to measure
    share = (kernel.cpu_seconds(nsd.pid) - before) / (time.monotonic() - started)
    assert share < 0.05, f"{share:.0%} of a CPU while it can do nothing"
    for client in clients:
        client.close()

    def served():
        with Client(nsd.socket) as client:
            return answers(client)
    poll.until(served, "served again", deadline=10)
    poll.equal(nsd.connections, 0, "all are gone")


# File descriptors

def count_of(nsd, kind):
    return sum(count for name, count in nsd.fd_kinds().items() if kind in name)


def test_unclaimed_file_descriptors_are_closed(nsd, client):
    """fds for a method that takes none: a typed error, and the fds are closed."""
    read, write = os.pipe()
    client.send("GetStatus", fds=[write])
    os.close(write)
    try:
        client.receive()
    except Error as error:
        assert error.short == "InvalidParameter"
    os.set_blocking(read, False)
    poll.until(lambda: os.read(read, 1) == b"" if readable(read) else False, "the last writer has closed the pipe")
    os.close(read)
    assert answers(client)


def readable(fd):
    import select
    return bool(select.select([fd], [], [], 0)[0])


def test_more_file_descriptors_than_wanted_are_closed(nsd, client):
    """A method that takes fds, given many: the surplus is closed, whatever the answer is."""
    read, write = os.pipe()
    try:
        client.send("AttachNamespace", {"name": "x", "pidFileDescriptor": 5}, fds=[write] * 6)
        with pytest.raises((Error, Closed)):
            client.receive()
    finally:
        os.close(write)
    poll.until(lambda: readable(read), "the last writer has closed the pipe")
    os.close(read)


def test_hundreds_of_file_descriptors(nsd):
    """The most that one message may carry: refused or closed, not kept."""
    read, write = os.pipe()
    with nsd.client() as client:
        try:
            client.send("GetStatus", fds=[write] * 253)
            client.receive()
        except (Error, Closed, BrokenPipeError):
            pass
    os.close(write)
    poll.until(lambda: readable(read), "the last writer has closed the pipe")
    os.close(read)


def test_file_descriptors_in_the_middle_of_a_message(nsd):
    """They must come with the first byte of a message: the connection is closed."""
    read, write = os.pipe()
    with nsd.client() as client:
        client.send_raw(INFO[:10])
        poll.until(lambda: kernel.run("true"), "the first piece is on its way")
        try:
            poll.until(lambda: socket_queue_empty(client), "the first piece has been read")
            client.send_raw(INFO[10:] + b"\0", fds=[write])
            client.closed_by_peer()
        except (BrokenPipeError, ConnectionResetError):
            pass
    os.close(write)
    poll.until(lambda: readable(read), "the last writer has closed the pipe")
    os.close(read)


def socket_queue_empty(client):
    """Has the peer read all that was sent?"""
    import array
    import fcntl
    import termios
    left = array.array("i", [0])
    fcntl.ioctl(client.socket.fileno(), termios.TIOCOUTQ, left)
    return left[0] == 0


def test_file_descriptors_without_a_message(nsd):
    """Sent with half a message by a peer that goes away: closed with the connection."""
    read, write = os.pipe()
    client = nsd.client()
    client.send_raw(INFO[:10], fds=[write])
    os.close(write)
    poll.until(lambda: socket_queue_empty(client), "read by nsd")
    client.close()
    poll.until(lambda: readable(read), "the last writer has closed the pipe")
    os.close(read)


def test_attach_by_descriptor_keeps_none(nsd, client, host):
    child = host.process_in_new_netns()
    base = nsd.fd_kinds()
    fd = os.open(f"/proc/{child.pid}/ns/net", os.O_RDONLY)
    client.call("AttachNamespace", {"name": "a", "namespaceFileDescriptor": 0}, fds=[fd])
    os.close(fd)
    client.call("DetachNamespace", name="a")
    poll.equal(nsd.fd_kinds, base, "file descriptors of nsd")


# org.varlink.service and io.systemd.service

def test_get_info(client):
    info = client.call("org.varlink.service.GetInfo")
    assert set(info) == {"vendor", "product", "version", "url", "interfaces"} and all(info.values())
    assert {"org.varlink.service", "io.nsd.Manager", "io.systemd.service"} <= set(info["interfaces"])


def test_descriptions(client):
    """Every interface describes itself in the published grammar, with a comment for every member and field."""
    for name in client.call("org.varlink.service.GetInfo")["interfaces"]:
        text = client.call("org.varlink.service.GetInterfaceDescription", interface=name)["description"]
        client.learn(name)
        interface = client.descriptions[name]
        assert interface.name == name
        code = re.sub(r"#.*", "", text)
        assert not re.search(r"\bany\b|\[\]\[|\[string\]\(\)", code), "not portable"
    manager = client.descriptions["io.nsd.Manager"]
    assert {"GetStatus", "CreateNamespace", "EnsureNamespace", "DeleteNamespace", "DetachNamespace", "GetNamespace",
            "ListNamespaces", "OpenNamespace", "AttachNamespace", "ChangeNamespace", "RepairNamespace", "ListProcesses",
            "IdentifyProcess", "CreateLink", "EnsureLink", "DeleteLink", "GetLink", "ListLinks", "ChangeLink",
            "RepairLink", "Monitor"} <= set(manager.methods)
    lines = manager.text.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"(type|method|error) |\s+[A-Za-z]+: ", line):
            assert lines[number - 1].strip().startswith("#"), f"without a comment: {line}"
        assert len(line) <= 120


def test_methods_take_what_they_describe(client):
    """Each method, called with parameters made from its description alone, answers or errs as described, but never
    with InvalidParameter for a parameter it has described itself."""
    manager = client.descriptions["io.nsd.Manager"]

    def value(declared, nullable_too):
        kind = declared[0]
        if kind == "nullable":
            return value(declared[1], nullable_too) if nullable_too else None
        if kind == "named":
            return value(manager.types[declared[1]], False)
        if kind == "struct":
            made = {name: value(inner, nullable_too) for name, inner in declared[1].items()}
            return {name: inner for name, inner in made.items() if inner is not None}
        return {"bool": True, "int": 1, "string": "x", "array": [], "map": {}, "object": {}, "enum": None}[kind] \
            if kind != "enum" else declared[1][0]

    for name, (arguments, _) in manager.methods.items():
        for nullable_too in (False, True):
            parameters = value(arguments, nullable_too)
            try:
                if name in ("ListNamespaces", "ListLinks", "ListProcesses"):
                    list(client.more(name, parameters))
                elif name != "Monitor":
                    client.call(name, parameters)
            except Error as error:
                assert error.short != "InvalidParameter" or "FileDescriptor" in error.field, f"{name}: {error}"


def test_systemd_service(nsd, client):
    assert client.call("io.systemd.service.Ping") == {}
    client.call("io.systemd.service.SetLogLevel", level=4)
    assert client.call("io.systemd.service.GetLogLevel")["level"] == 4
    for level in (-1, 8):
        error = expect("InvalidParameter", client.call, "io.systemd.service.SetLogLevel", level=level)
        assert error.field == "level"
    assert isinstance(client.call("io.systemd.service.GetEnvironment")["environment"], list)
    client.call("io.systemd.service.Reload")
    assert answers(client)


def test_reload_by_signal(host):
    import signal
    nsd = host.daemon("nsd", config="[Daemon]\nLogLevel=warning\n", options=())
    nsd.start()
    nsd.config.write_text("[Limits]\nConnections=3\n", encoding="utf-8")
    nsd.process.send_signal(signal.SIGHUP)

    def limited():
        clients = [nsd.client() for _ in range(5)]
        try:
            return sum(bool(alive(client)) for client in clients) == 3
        finally:
            for client in clients:
                client.close()
            poll.equal(nsd.connections, 0, "closed")
    poll.until(limited, "the new limit holds")
    nsd.config.write_text("[Limits]\nConnections=nonsense\n", encoding="utf-8")
    nsd.process.send_signal(signal.SIGHUP)
    poll.until(lambda: "nonsense" in nsd.log() or "Connections" in nsd.log(), "the mistake is named")
    assert nsd.running()


def test_sd_log_level_is_roots(nsd):
    os.chmod(nsd.socket, 0o666)
    with as_user(65534, nsd) as client:
        expect("PermissionDenied", client.call, "io.systemd.service.SetLogLevel", level=7)
        expect("PermissionDenied", client.call, "io.systemd.service.Reload")
        client.call("io.systemd.service.Ping")


def test_socket_file(nsd):
    """Connectable for its group only; readable for all."""
    mode = os.stat(nsd.socket).st_mode & 0o777
    assert mode in (0o660, 0o664), oct(mode)


def test_a_thousand_connections_one_after_another(nsd):
    base = nsd.fd_kinds()
    for _ in range(1000):
        with nsd.client() as client:
            client.send_raw(STATUS + b"\0")
            client.receive_raw()
    poll.equal(nsd.fd_kinds, base, "file descriptors")


