# SPDX-License-Identifier: GPL-2.0-or-later
"""Slots that were released while somebody still has a part of them: their addresses rest until the last holder lets go, and
nsd says who that is."""
import contextlib
import os
import socket

import pytest

from nsdtest import kernel, poll, sandbox, traffic
from nsdtest.leases import gone, state
from nsdtest.specs import network, port
from nsdtest.varlink import expect

RESTARTS = {"kill": lambda nsd: nsd.restart(kill=True), "restart": lambda nsd: nsd.restart()}


@pytest.fixture
def web(client):
    return client.call("CreateNetwork", network())["network"]


@pytest.fixture
def tiny(client):
    """A network with room for one slot."""
    return client.call("CreateNetwork", network(ipv4="10.64.0.0/30", ipv6="fd64::/126", services=[port("udp", 53)]))["network"]


@contextlib.contextmanager
def open_fd(host, slot):
    fd = os.open(slot["path"], os.O_RDONLY | os.O_CLOEXEC)
    yield os.getpid(), "fileDescriptor"
    os.close(fd)


@contextlib.contextmanager
def bound_socket(host, slot):
    with traffic.socket_in(slot["path"], socket.AF_INET, socket.SOCK_STREAM) as one:
        one.bind(("", 80))
        one.listen()
        yield os.getpid(), "socket"


@contextlib.contextmanager
def process_inside(host, slot):
    child = host.popen("nsenter", f"--net={slot['path']}", "sleep", "1000")
    poll.until(lambda: os.stat(f"/proc/{child.pid}/ns/net").st_ino == os.stat(slot["path"]).st_ino, "it is inside")
    poll.until(lambda: open(f"/proc/{child.pid}/cmdline", "rb").read().startswith(b"sleep"), "it sleeps")
    yield child.pid, "process"
    child.kill()
    child.wait()


@contextlib.contextmanager
def bind_mount(host, slot):
    point = host.path("pin")
    point.touch()
    sandbox.mount(slot["path"], point, flags=sandbox.MS_BIND)
    yield None, "mount"
    sandbox.umount(point)


@contextlib.contextmanager
def fd_in_flight(host, slot):
    one, other = socket.socketpair()
    fd = os.open(slot["path"], os.O_RDONLY)
    socket.send_fds(one, [b"x"], [fd])
    os.close(fd)
    yield None, None
    one.close()
    other.close()


PINS = [open_fd, bound_socket, process_inside, bind_mount, fd_in_flight]


@pytest.mark.parametrize("pin", PINS)
def test_draining(host, nsd, client, tiny, pin):
    """The only number of the network is not handed out while somebody may still use its address; then it is, with another
    namespace; ExplainSlot names the holder."""
    slot = client.acquire()
    router = f"{nsd.runtime}/slots/web@0"
    with pin(host, slot) as (pid, how):
        assert client.call("ReleaseSlot", name=slot["name"]).get("state") == "draining"
        item = poll.until(lambda: (lambda found: found if found.get("message") else None)(
            client.call("GetSlot", name=slot["name"])["slot"]), "it says that somebody holds it")
        assert item["state"] == "draining" and client.networks()["web"]["drainingSlots"] == 1
        poll.until(lambda: "slot1" not in kernel.links(router), "its address cannot be used any more")
        expect("LimitExceeded", client.acquire, empty="fail")  # "create" waits for a while, in vain
        reply = client.call("ExplainSlot", name=slot["name"])
        assert reply["slot"]["state"] == "draining" and reply["text"]
        if how:
            assert [holder["how"] for holder in reply["holders"] if pid in (None, holder["pid"])] == [how], reply
        if pid:
            holder, = reply["holders"]
            assert holder["command"] and str(pid) in reply["text"]
        expect("Draining", client.call, "OpenSlot", name=slot["name"])
        expect("Draining", client.call, "RenewSlot", name=slot["name"], generation=slot["generation"])
        assert not sandbox.is_namespace(slot["path"])
        assert client.slots()[slot["name"]]["state"] == "draining"
    gone(client, slot)
    fresh = client.acquire()
    assert fresh["name"] == slot["name"] and fresh["cookie"] != slot["cookie"]
    assert traffic.reaches(fresh["path"], "10.64.0.0", 53, None, "udp") == "10.64.0.3"


@pytest.mark.parametrize("way", RESTARTS)
def test_draining_over_a_restart(host, nsd, client, tiny, way):
    slot = client.acquire()
    with open_fd(host, slot):
        client.call("ReleaseSlot", name=slot["name"])
        RESTARTS[way](nsd)
        with nsd.client() as again:
            assert again.slots()[slot["name"]]["state"] == "draining"
            expect("LimitExceeded", again.acquire, empty="fail")
    with nsd.client() as again:
        gone(again, slot)
        assert again.acquire()["name"] == slot["name"]


def test_let_go_while_away(host, nsd, client, tiny):
    slot = client.acquire()
    with open_fd(host, slot):
        client.call("ReleaseSlot", name=slot["name"])
        nsd.kill9()
    nsd.start()
    with nsd.client() as again:
        gone(again, slot)
        assert again.acquire()["name"] == slot["name"]


def test_holder_ends_but_the_slot_is_held(host, nsd, client, tiny):
    """The same when the lease ends by itself."""
    with nsd.client() as mine:
        slot = mine.acquire()
        fd = os.open(slot["path"], os.O_RDONLY)
    poll.equal(lambda: state(client, slot["name"]), "draining", "the lease has ended")
    expect("LimitExceeded", client.acquire, empty="fail")
    os.close(fd)
    gone(client, slot)


def test_release_waits_for_the_holder(host, nsd, client, tiny):
    slot = client.acquire()
    with nsd.client() as waiting:
        with open_fd(host, slot):
            waiting.send("ReleaseSlot", {"name": slot["name"], "wait": True})
            poll.equal(lambda: state(client, slot["name"]), "draining", "it is released")
            assert b"\0" not in waiting.buffer
        assert waiting.receive("ReleaseSlot")[0].get("state") is None
    assert state(client, slot["name"]) is None


def test_old_traffic_ends_with_the_lease(host, nsd, client, tiny):
    """A socket from before, still held: once the slot drains it neither sends nor receives."""
    slot = client.acquire()
    with traffic.Inbox(None, "10.64.0.0", 53) as inbox, \
            traffic.socket_in(slot["path"], socket.AF_INET, socket.SOCK_DGRAM) as old:
        old.sendto(b"leased", ("10.64.0.0", 53))
        inbox.until(b"leased")
        client.call("ReleaseSlot", name=slot["name"])

        def unheard():
            try:
                old.sendto(b"released", ("10.64.0.0", 53))
            except OSError:
                return True
            return False
        poll.until(unheard, "it has no interface any more")


def test_explain_a_lease(host, client, web):
    slot = client.acquire(labels={"job": "17"}, bond="nothing")
    reply = client.call("ExplainSlot", name=slot["name"])
    assert reply["slot"]["state"] == "leased" and str(os.getpid()) in reply["text"]
    with process_inside(host, slot) as (pid, _):
        reply = client.call("ExplainSlot", name=slot["name"])
        assert [(holder["pid"], holder["how"], "sleep" in holder["command"]) for holder in reply["holders"]
                if holder["pid"] == pid] == [(pid, "process", True)]
    client.call("ReleaseSlot", name=slot["name"])
