# SPDX-License-Identifier: GPL-2.0-or-later
"""How much of the slots one user may take, and whose slots one may see and touch."""
import contextlib
import os

import pytest

from nsdtest import kernel, poll, sandbox
from nsdtest.leases import gone, held, keyed
from nsdtest.specs import network
from nsdtest.users import ALICE, BOB, connected, open_to_group
from nsdtest.varlink import Error, expect

@contextlib.contextmanager
def holding(slot):
    """This process has a descriptor of the slot's namespace."""
    with open(slot["path"], "rb"):
        yield


@pytest.fixture
def shared(host):
    """A daemon that users may connect to, with small quotas, and a network for fifteen slots."""
    nsd = host.daemon("nsd", config="[Limits]\nSlotsPerUser=3\nAcquiresPerSecond=20\nSlotsReserved=2\n").start()
    open_to_group(nsd)
    with nsd.client() as client:
        client.learn("io.nsd.Manager")
        client.call("CreateNetwork", network(ipv4="10.64.0.0/27", ipv6="fd64::/123"))
    return nsd


@pytest.fixture
def root(shared):
    with shared.client() as client:
        yield client


@pytest.fixture
def alice(shared):
    with connected(shared, ALICE) as client:
        yield client


@pytest.fixture
def bob(shared):
    with connected(shared, BOB) as client:
        yield client


def test_quota_of_slots(shared, root, alice, bob):
    slots = [alice.acquire(bond="nothing") for _ in range(3)]
    error = expect("QuotaExceeded", alice.acquire)
    assert "3" in error.parameters["message"]
    bob.acquire()
    root.acquire()
    shared.restart(kill=True)
    open_to_group(shared)
    with connected(shared, ALICE) as again:
        expect("QuotaExceeded", again.acquire)
        again.call("ReleaseSlot", name=slots[0]["name"], wait=True)
        again.acquire()
    with shared.client() as again:
        for slot in slots[1:]:
            again.call("ReleaseSlot", name=slot["name"])


def test_quota_counts_what_drains(shared, root, alice, host):
    """Whoever keeps what was released does not get more for it."""
    slots = [alice.acquire() for _ in range(3)]
    with contextlib.ExitStack() as pins:
        for slot in slots:
            pins.enter_context(holding(slot))
            alice.call("ReleaseSlot", name=slot["name"])
        poll.until(lambda: all(root.call("GetSlot", name=slot["name"])["slot"].get("message") for slot in slots),
                   "it is seen that they are held")
        expect("QuotaExceeded", alice.acquire)
    for slot in slots:
        gone(root, slot)
    alice.acquire()


def test_quota_of_rate(shared, root, alice, bob):
    """A user who acquires in a loop is stopped; others and root are not."""
    def greedy(client, number):
        for _ in range(number):
            slot = client.acquire()
            client.call("ReleaseSlot", name=slot["name"])
    with pytest.raises(Error) as raised:
        greedy(alice, 200)
    assert raised.value.short == "QuotaExceeded" and "20" in raised.value.parameters["message"]
    greedy(bob, 2)
    greedy(root, 50)
    poll.until(lambda: not expect_or_none("QuotaExceeded", greedy, alice, 1), "later she may again")


def expect_or_none(short, function, *arguments):
    """The error of this name, None when it succeeds."""
    try:
        function(*arguments)
    except Error as error:
        assert error.short == short, error
        return error
    return None


def test_reserve_for_root(shared, root, alice, bob):
    """The last two slots of a network are root's alone."""
    for client in (*[alice] * 3, *[bob] * 2, *[root] * 8):
        client.acquire()
    with pytest.raises(Error) as raised:
        bob.acquire()
    assert raised.value.short in ("LimitExceeded", "QuotaExceeded")
    root.acquire()
    root.acquire()
    expect("LimitExceeded", root.acquire)


def test_root_has_no_quota(root):
    for _ in range(15):
        root.acquire()


# Permissions

def about(name):
    """Every call about one slot: (method, parameters)."""
    for method in ("GetSlot", "ReleaseSlot", "OpenSlot", "ExplainSlot"):
        yield method, {"name": name}
    yield "ReleaseSlot", {"name": name, "generation": 1}
    yield "RenewSlot", {"name": name, "generation": 1}
    yield "OpenSlot", {"name": name, "generation": 1}


def answer(client, method, parameters):
    """What a call answers, with the slot's name taken out."""
    try:
        return "success", client.call(method, parameters)
    except Error as error:
        return error.name, {key: str(value).replace(parameters["name"], "NAME") for key, value in error.parameters.items()}


def test_absent_and_not_yours_are_the_same(shared, root, alice, bob, host):
    """In every method: for the slots of others, of root, of nobody, draining ones, and numbers that are free."""
    root.call("ChangeNetwork", name="web", ready=1)
    hers, roots, old = alice.acquire(), root.acquire(), root.acquire()
    ready = poll.until(lambda: list(root.slots(state="ready")), "one is ready")[0]
    with holding(old):
        root.call("ReleaseSlot", name=old["name"])
        before = {name: item["state"] for name, item in root.slots().items()}
        wanted = [answer(bob, *call) for call in about("web.15")]
        assert {name for name, _ in wanted} == {"io.nsd.Manager.NotFound", "success"}, "a slot that is gone is released"
        for name in (hers["name"], roots["name"], old["name"], ready, "web.14"):
            assert [answer(bob, *call) for call in about(name)] == wanted, name
        for name in ("web.16", "absent.1"):
            assert {what for what, _ in (answer(bob, *call) for call in about(name))} == {"io.nsd.Manager.NotFound"}
        assert {name: item["state"] for name, item in root.slots().items()} == before
    assert held(root, hers) and held(root, roots)


def test_what_the_owner_may(alice, bob, root):
    slot = alice.acquire(labels={"secret": "x"}, ttl=60000)
    assert slot["owner"] == ALICE and set(alice.slots()) == {slot["name"]} == set(alice.slots(network="web"))
    assert alice.call("GetSlot", name=slot["name"])["slot"]["labels"] == {"secret": "x"}
    _, (fd,) = alice.call_fds("OpenSlot", name=slot["name"])
    assert sandbox.cookie(fd) == slot["cookie"]
    os.close(fd)
    alice.call("RenewSlot", name=slot["name"], generation=slot["generation"], ttl=50000)
    assert alice.call("ExplainSlot", name=slot["name"])["slot"]["name"] == slot["name"]
    assert bob.slots() == {} and set(root.slots(state="leased")) == {slot["name"]}
    assert held(root, slot)
    alice.call("ReleaseSlot", name=slot["name"], wait=True)
    assert alice.slots() == {}


def test_what_root_may(alice, root):
    slot = alice.acquire(ttl=60000)
    assert root.call("GetSlot", name=slot["name"])["slot"]["owner"] == ALICE
    root.call("RenewSlot", name=slot["name"], generation=slot["generation"], ttl=50000)
    root.call("ReleaseSlot", name=slot["name"], wait=True)
    assert alice.slots() == {}


def test_keys_are_per_user(alice, bob, root):
    """A key is no way to another user's slot."""
    slots = [keyed(client)[0] for client in (alice, bob, root)]
    assert len({slot["name"] for slot in slots}) == 3
    assert [keyed(client)[0]["name"] for client in (alice, bob, root)] == [slot["name"] for slot in slots]


def test_names_in_run_netns_are_roots(alice, root):
    expect("PermissionDenied", alice.acquire, namespace="hers")
    assert kernel.netns_files() == [] and root.pool()["leased"] == 0


def test_bond_of_a_user_ends(shared, root):
    with connected(shared, ALICE) as alice:
        slot = alice.acquire()
        assert held(root, slot)
    gone(root, slot)
