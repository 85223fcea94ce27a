# SPDX-License-Identifier: GPL-2.0-or-later
"""Leases: what ends each kind and what does not; what becomes of them over a restart; keys; generations."""
import os
import subprocess
import time

import pytest

from nsdtest import kernel, poll, traffic
from nsdtest.holder import Holder
from nsdtest.leases import gone, held, keyed, state
from nsdtest.networks import OTHERS, number_of
from nsdtest.specs import network, port
from nsdtest.varlink import Error, expect

TINY = {"ipv4": "10.64.0.0/30", "ipv6": "fd64::/126"}  # room for one slot


@pytest.fixture
def web(client):
    return client.call("CreateNetwork", network(services=[port("udp", 53)]))["network"]


@pytest.fixture
def tiny(client):
    """A network with room for one slot."""
    return client.call("CreateNetwork", network(**TINY, services=[port("udp", 53)]))["network"]


# The four bonds

def test_bond_to_the_connection(nsd, client, web):
    with nsd.client() as mine:
        slots = [mine.acquire(), mine.acquire(bond="connection")]
        assert [slot["bond"] for slot in slots] == ["connection"] * 2
        assert all(held(client, slot) for slot in slots)
        mine.call("GetStatus")
        assert all(held(client, slot) for slot in slots)
    for slot in slots:
        gone(client, slot)


def test_bond_to_the_connection_of_a_killed_process(host, nsd, client, web):
    holder = Holder(host, nsd, network="web")
    assert held(client, holder.slot)
    holder.kill9()
    gone(client, holder.slot)


def test_bond_to_the_calling_process(host, nsd, client, web):
    """It outlives the connection, not the process."""
    holder = Holder(host, nsd, network="web", bond="process")
    assert holder.slot["bond"] == "process" and holder.slot["pid"] == holder.pid
    holder.close_connection()
    poll.equal(nsd.connections, 1, "its connection is closed")
    assert held(client, holder.slot)
    holder.kill9()
    gone(client, holder.slot)


@pytest.mark.parametrize("ending", ["kill", "exit"])
def test_bond_to_another_process(host, nsd, client, web, ending):
    child = host.popen("sleep", "1000") if ending == "kill" else host.popen("cat", stdin=subprocess.PIPE)
    pidfd = os.pidfd_open(child.pid)
    with nsd.client() as mine:
        slot = mine.acquire(fds=[pidfd], processFileDescriptor=0)
        assert slot["bond"] == "process" and slot["pid"] == child.pid
    os.close(pidfd)
    assert held(client, slot)
    child.kill() if ending == "kill" else child.stdin.close()
    gone(client, slot)
    child.wait()


def test_zombies_hold_nothing(host, client, web):
    """The end of a process counts, not that its parent has asked for it."""
    child = host.popen("sleep", "1000")
    pidfd = os.pidfd_open(child.pid)
    slot = client.acquire(fds=[pidfd], processFileDescriptor=0)
    os.close(pidfd)
    child.kill()
    gone(client, slot)
    assert os.path.exists(f"/proc/{child.pid}"), "still unreaped"
    child.wait()


def test_process_that_has_ended(host, client, web):
    child = host.popen("true")
    pidfd = os.pidfd_open(child.pid)
    child.wait()
    with pytest.raises(Error) as raised:
        client.acquire(fds=[pidfd], processFileDescriptor=0)
    assert raised.value.short in ("NoSuchProcess", "InvalidValue") and raised.value.field == "processFileDescriptor"
    os.close(pidfd)
    assert client.pool()["leased"] == 0


def test_no_pidfd(client, web):
    with open("/dev/null", "rb") as f:
        for named in ({"processFileDescriptor": 0}, {"processFileDescriptor": 1}, {"processFileDescriptor": -1}):
            with pytest.raises(Error) as raised:
                client.acquire(fds=[f.fileno()], **named)
            assert raised.value.short in ("InvalidValue", "InvalidParameter") and raised.value.field == "processFileDescriptor"
    with pytest.raises(Error):
        client.acquire(processFileDescriptor=0)
    assert client.pool()["leased"] == 0


def test_bond_to_a_time(nsd, client, web):
    with nsd.client() as mine:
        begin = time.monotonic()
        slot = mine.acquire(ttl=600)
        assert slot["bond"] == "time" and 0 < slot["expires"] <= 600
    assert held(client, slot)
    poll.until(lambda: state(client, slot["name"]) != "leased", "it has ended", interval=0.01)
    assert 0.55 < time.monotonic() - begin < 2.5
    gone(client, slot)


def test_renewal(client, web):
    slot = client.acquire(ttl=700)
    begin = time.monotonic()
    while time.monotonic() - begin < 1.5:
        item = client.call("RenewSlot", name=slot["name"], generation=slot["generation"], ttl=700)["slot"]
        assert 600 < item["expires"] <= 700 and item["generation"] == slot["generation"]
        poll.until(lambda last=time.monotonic(): time.monotonic() - last > 0.3, "some time has passed")
    assert held(client, slot)
    assert expect("InvalidValue", client.call, "RenewSlot", name=slot["name"], generation=slot["generation"]).field == "ttl"
    assert client.call("RenewSlot", name=slot["name"], generation=slot["generation"], ttl=100000)["slot"]["expires"] > 90000
    assert client.call("RenewSlot", name=slot["name"], generation=slot["generation"], ttl=100)["slot"]["expires"] <= 100
    gone(client, slot)
    assert expect("NotFound", client.call, "RenewSlot", name=slot["name"], generation=slot["generation"])


def test_renewal_by_another_connection(nsd, client, web):
    """The lease goes over to the connection that renews it."""
    with nsd.client() as first, nsd.client() as second:
        slot = first.acquire()
        second.call("RenewSlot", name=slot["name"], generation=slot["generation"])
        first.close()
        poll.equal(nsd.connections, 2, "the first connection is closed")
        assert held(client, slot)
    gone(client, slot)


def test_bond_to_nothing(nsd, client, web):
    with nsd.client() as mine:
        slot = mine.acquire(bond="nothing")
        assert slot["bond"] == "nothing"
    poll.equal(nsd.connections, 1, "the connection is closed")
    assert held(client, slot)
    nsd.restart(kill=True)
    with nsd.client() as again:
        assert held(again, slot)
        again.call("ReleaseSlot", name=slot["name"])
        gone(again, slot)


# Over a restart

RESTARTS = {"kill": lambda nsd: nsd.restart(kill=True), "restart": lambda nsd: nsd.restart()}


@pytest.mark.parametrize("way", RESTARTS)
def test_leases_over_a_restart(host, nsd, client, web, way):
    """Each goes on as its bond says; the slots are the same ones."""
    child, short = host.popen("sleep", "1000"), host.popen("sleep", "1000")
    fds = [os.pidfd_open(one.pid) for one in (child, short)]
    of_child, of_short = (client.acquire(fds=[fd], processFileDescriptor=0) for fd in fds)
    for fd in fds:
        os.close(fd)
    of_time, of_little, of_nothing = client.acquire(ttl=100000), client.acquire(ttl=200), client.acquire(bond="nothing")
    if way == "kill":
        nsd.kill9()
        short.kill()
        short.wait()
        poll.until(lambda begin=time.monotonic(): time.monotonic() - begin > 0.3, "the short lease is over")
        nsd.start()
    else:
        RESTARTS[way](nsd)
    with nsd.client() as again:
        for slot in (of_child, of_time, of_nothing):
            assert held(again, slot)
        assert 80000 < again.slots()[of_time["name"]]["expires"] <= 100000
        gone(again, of_little)
        if way == "kill":
            gone(again, of_short)
        child.kill()
        child.wait()
        gone(again, of_child)
        assert traffic.reaches(of_time["path"], "10.64.0.0", 53, None, "udp") == of_time["address4"]
        for slot in (of_time, of_nothing):
            again.call("ReleaseSlot", name=slot["name"])


@pytest.fixture
def brief(host):
    """A daemon that gives the holders two seconds to come back after a restart, with a network."""
    nsd = host.daemon("nsd", config="[Slots]\nGraceSec=2\n").start()
    with nsd.client() as client:
        client.learn("io.nsd.Manager")
        client.call("CreateNetwork", network())
    return nsd


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_connections_over_a_restart(brief, way):
    """The holder has a grace time to take its slot up again, by its key or by renewing it; what nobody takes up ends."""
    with brief.client() as before:
        by_key, by_renewal, lost = before.acquire(key="mine"), before.acquire(), before.acquire()
        brief.kill9() if way == "kill" else brief.stop()
    brief.start()
    with brief.client() as again, brief.client() as looking:
        assert all(held(looking, slot) for slot in (by_key, by_renewal, lost))
        assert again.call("AcquireSlot", network="web", key="mine") | {"slot": None} == {"created": False, "slot": None}
        again.call("RenewSlot", name=by_renewal["name"], generation=by_renewal["generation"])
        begin = time.monotonic()
        gone(looking, lost)
        assert time.monotonic() - begin < 5
        assert held(looking, by_key) and held(looking, by_renewal)
        again.close()
        gone(looking, by_key)
        gone(looking, by_renewal)


def test_released_while_away(host, nsd, client, web):
    """A process that holds a slot ends while nsd does not run, and another one gets its number: still it has ended."""
    holder = Holder(host, nsd, network="web", bond="process")
    nsd.kill9()
    holder.kill9()
    nsd.start()
    with nsd.client() as again:
        gone(again, holder.slot)


# Keys

def test_same_key_same_slot(nsd, client, web):
    slot, created = keyed(client)
    assert created is True and slot["key"] == "k"
    for _ in range(3):
        again, created = keyed(client)
        assert created is False
        assert (again["name"], again["generation"], again["cookie"]) == (slot["name"], slot["generation"], slot["cookie"])
    other, created = keyed(client, "other")
    assert created is True and other["name"] != slot["name"]
    assert client.pool()["leased"] == 2
    client.call("ReleaseSlot", name=slot["name"])
    fresh, created = keyed(client)
    assert created is True and fresh["cookie"] != slot["cookie"] and fresh["generation"] > slot["generation"]


def test_keys_are_apart(client, web):
    """The same key on two networks means two slots."""
    client.call("CreateNetwork", network("other", OTHERS[4], OTHERS[6]))
    assert keyed(client)[1] is True and keyed(client, network="other")[1] is True
    assert keyed(client)[1] is False and keyed(client, network="other")[1] is False


def test_one_key_many_connections(nsd, client, web):
    """All at once, of an empty pool: one of them made it, the others get the same."""
    others = [nsd.client() for _ in range(8)]
    for one in others:
        one.send("AcquireSlot", {"network": "web", "key": "k", "ttl": 60000})
    replies = [one.receive("AcquireSlot")[0] for one in others]
    for one in others:
        one.close()
    assert sorted(reply["created"] for reply in replies) == [False] * 7 + [True]
    assert len({reply["slot"]["cookie"] for reply in replies}) == 1 and client.pool()["leased"] == 1


@pytest.mark.parametrize("ready", [0, 2])
@pytest.mark.parametrize("turn", range(2))
def test_lost_reply(nsd, client, ready, turn):
    """The client sends, and is gone before the reply: asked again with its key, it gets what it got then, or the first."""
    client.call("CreateNetwork", network(ready=ready))
    poll.equal(lambda: client.pool()["ready"], ready, "the pool is full")
    with nsd.client() as mine:
        mine.send("AcquireSlot", {"network": "web", "key": "k", "ttl": 60000})
        if turn:
            poll.until(lambda: client.pool()["leased"], "it is acquired")
    slot, created = keyed(client, ttl=60000)
    assert not (turn and created)
    assert held(client, slot) and client.pool()["leased"] == 1


@pytest.mark.parametrize("ready", [0, 3])
def test_lost_reply_and_kill(nsd, client, ready):
    """The daemon is killed at some moment of the acquisition: exactly one slot comes of it in the end."""
    client.call("CreateNetwork", network(ready=ready))
    for turn in range(5):
        with nsd.client() as mine:
            mine.send("AcquireSlot", {"network": "web", "key": f"k{turn}", "bond": "nothing"})
            if turn % 2:
                mine.receive("AcquireSlot")
            nsd.kill9()
        nsd.start()
        with nsd.client() as again:
            before = [slot for slot in again.slots(state="leased").values() if slot["key"] == f"k{turn}"]
            slot, created = keyed(again, f"k{turn}", bond="nothing")
            assert created is (not before) and len(before) <= 1
            if before:
                assert before[0]["cookie"] == slot["cookie"]
            assert held(again, slot) and kernel.addresses("eth0", slot["path"]) == set(slot["addresses"])
            assert again.pool()["leased"] == turn + 1
            keys = [slot["key"] for slot in again.slots(state="leased").values()]
            assert sorted(keys) == sorted(set(keys))


def test_clients_that_vanish(nsd, client, web):
    """Sent and gone, without a key: nothing stays of it."""
    for number in range(20):
        with nsd.client() as mine:
            mine.send("AcquireSlot", {"network": "web"})
            if number % 2:
                mine.receive("AcquireSlot")
    poll.equal(lambda: (nsd.connections(), client.slots()), (1, {}), "all are gone")


# Generations

def test_generations(nsd, client, tiny):
    """One number, one lease after the other: what an old one asks for is refused."""
    leases = []
    for _ in range(3):
        leases.append(client.acquire(bond="nothing"))
        client.call("ReleaseSlot", name=leases[-1]["name"], generation=leases[-1]["generation"], wait=True)
    slot = client.acquire(bond="nothing")
    numbers = [one["generation"] for one in [*leases, slot]]
    assert numbers == sorted(set(numbers)) and len({one["name"] for one in [*leases, slot]}) == 1
    assert len({one["cookie"] for one in [*leases, slot]}) == 4

    def refused(client):
        for old in numbers[:-1]:
            for method, named in (("ReleaseSlot", {}), ("ReleaseSlot", {"wait": True}), ("RenewSlot", {"ttl": 1000}),
                                  ("OpenSlot", {})):
                expect("StaleGeneration", client.call, method, name=slot["name"], generation=old, **named)
        with pytest.raises(Error) as raised:
            client.call("ReleaseSlot", name=slot["name"], generation=numbers[-1] + 1000)
        assert raised.value.short in ("StaleGeneration", "InvalidValue")
        return held(client, slot)
    assert refused(client)
    nsd.restart(kill=True)
    with nsd.client() as again:
        assert refused(again)
        again.call("ReleaseSlot", name=slot["name"], generation=numbers[-1], wait=True)
        fresh = again.acquire(bond="nothing")
        assert fresh["generation"] > numbers[-1]
        again.call("ReleaseSlot", name=fresh["name"])


def test_release_is_idempotent(nsd, client, web):
    slot = client.acquire(bond="nothing")
    for _ in range(3):
        assert client.call("ReleaseSlot", name=slot["name"], generation=slot["generation"]).get("state") in (None, "draining")
    assert client.call("ReleaseSlot", name=slot["name"], generation=slot["generation"], wait=True).get("state") is None
    assert client.call("ReleaseSlot", name=slot["name"]).get("state") is None
    nsd.restart(kill=True)
    with nsd.client() as again:
        assert again.call("ReleaseSlot", name=slot["name"], generation=slot["generation"]).get("state") is None
        assert again.slots() == {}


def test_no_such_slot(client, web):
    for name in ("absent.1", "web.32768", "web.99999"):
        for method in ("GetSlot", "ReleaseSlot", "OpenSlot", "ExplainSlot"):
            assert expect("NotFound", client.call, method, name=name).field == "name"


def test_released_slots_are_never_used_again(client):
    """By nobody: the number may come again, the namespace does not."""
    client.call("CreateNetwork", network(**TINY, ready=1))
    cookies = []
    for _ in range(6):
        slot = client.acquire()
        cookies.append(slot["cookie"])
        client.call("ReleaseSlot", name=slot["name"], wait=True)
    assert len(set(cookies)) == 6


# An empty pool

def test_empty_pool_fails_at_once(client):
    """If the caller wants it so; else one is made."""
    client.call("CreateNetwork", network(ready=1))
    poll.equal(lambda: client.pool()["ready"], 1, "the pool is full")
    client.call("ChangeNetwork", name="web", ready=0)
    poll.equal(lambda: client.pool()["ready"], 0, "the pool is empty")
    error = expect("LimitExceeded", client.acquire, empty="fail")
    assert "empty" in error.parameters["message"] or "ready" in error.parameters["message"]
    assert client.acquire(empty="create")["state"] == "leased"
    client.call("ChangeNetwork", name="web", ready=2)
    poll.equal(lambda: client.pool()["ready"], 2, "the pool is full")
    assert client.acquire(empty="fail")["state"] == "leased"


def test_numbers_are_not_reused_in_a_hurry(client, web):
    """While a slot is leased nobody else has its number, whatever happens around it."""
    mine = client.acquire()
    for _ in range(10):
        slot = client.acquire()
        assert number_of(slot) != number_of(mine)
        client.call("ReleaseSlot", name=slot["name"])
    assert held(client, mine)
