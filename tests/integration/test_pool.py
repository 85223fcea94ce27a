# SPDX-License-Identifier: GPL-2.0-or-later
"""Pools: filled to what was asked for and no further, refilled, shrunk; found again after kill -9; what was tampered with
is never handed out, and nothing is handed out twice."""
import threading

import pytest

from nsdtest import kernel, poll, sandbox
from nsdtest.monitor import Watch, WatchOfUser
from nsdtest.networks import OTHERS, number_of
from nsdtest.specs import network
from nsdtest.users import ALICE, acting_as, connected, open_to_group
from nsdtest.varlink import Error, expect

UPLINK = "nsd-web"


def ready(client, number, name="web"):
    """Waits until a pool has this many slots ready and none under way; the cookies of the ready ones."""
    def look():
        pool = client.pool(name)
        return (pool["ready"], pool["making"])
    poll.equal(look, (number, 0), f"{number} slots are ready")
    return cookies(client, name)


def cookies(client, name="web", state="ready"):
    """name -> cookie as nsd tells them, each of which the kernel confirms."""
    told = {slot["name"]: slot["cookie"] for slot in client.slots(network=name, state=state).values()}
    paths = {slot["name"]: slot["path"] for slot in client.slots(network=name, state=state).values()}
    assert {name: sandbox.cookie(paths[name]) for name in told} == told
    return told


def ends(nsd, name="web"):
    """Slots' ends in the router, by interface name: what there really is."""
    return {one for one in kernel.links(f"{nsd.runtime}/slots/{name}@0") if one.startswith("slot")}


# Filling

def test_fill(nsd, client):
    """As many as asked for, and the kernel has as many."""
    client.call("CreateNetwork", network(ready=20))
    assert len(ready(client, 20)) == 20
    assert len(ends(nsd)) == 20
    pool = client.pool()
    assert (pool["wanted"], pool["leased"], pool["draining"]) == (20, 0, 0)
    status = client.call("GetStatus")
    assert (status["networks"], status["readySlots"], status["leasedSlots"], status["drainingSlots"]) == (1, 20, 0, 0)


def test_never_more_than_the_maximum(nsd, client):
    """Ready, leased and draining ones together."""
    client.call("CreateNetwork", network(ready=4, maximum=6))
    ready(client, 4)
    for leased, left in ((1, 4), (2, 4), (3, 3), (4, 2), (5, 1), (6, 0)):
        client.acquire()
        assert len(ready(client, left)) == left
        assert client.pool()["leased"] == leased and len(ends(nsd)) == leased + left
    expect("LimitExceeded", client.acquire)


def test_no_more_than_the_prefix_has(client):
    client.call("CreateNetwork", network(ipv4="10.64.0.0/28", ipv6=None, ready=7))
    ready(client, 7)
    slot = client.acquire()
    ready(client, 6)
    client.call("ReleaseSlot", name=slot["name"])
    ready(client, 7)


def test_refill_after_acquire(client):
    """What is handed out was ready before; others take its place."""
    client.call("CreateNetwork", network(ready=3))
    seen = ready(client, 3)
    for _ in range(5):
        slot = client.acquire()
        assert seen[slot["name"]] == slot["cookie"], "one of the ready ones"
        seen = ready(client, 3)
        assert slot["name"] not in seen
    pool = client.pool()
    assert (pool["acquired"], pool["warm"], pool["cold"]) == (5, 5, 0)


def test_shrink_and_grow(nsd, client):
    client.call("CreateNetwork", network(ready=10))
    before = ready(client, 10)
    client.call("ChangeNetwork", name="web", ready=4)
    left = ready(client, 4)
    assert left.items() <= before.items(), "those that stay are the same"
    poll.equal(lambda: len(ends(nsd)), 4, "the others are gone from the kernel")
    client.call("ChangeNetwork", name="web", ready=6)
    assert left.items() <= ready(client, 6).items()
    client.call("ChangeNetwork", name="web", ready=0)
    ready(client, 0)
    poll.equal(lambda: (client.slots(), ends(nsd)), ({}, set()), "all are gone")


def test_lowered_maximum(client):
    """Leases go on; the pool goes first."""
    client.call("CreateNetwork", network(ready=5))
    ready(client, 5)
    slots = [client.acquire() for _ in range(3)]
    ready(client, 5)
    client.call("ChangeNetwork", name="web", ready=2, maximum=4)
    ready(client, 1)
    assert all(client.call("GetSlot", name=slot["name"])["slot"]["state"] == "leased" for slot in slots)


def test_cold_and_warm(client):
    """More than the pool has: the rest is made on request, and is as good."""
    client.call("CreateNetwork", network(ready=5))
    ready(client, 5)
    client.send_raw(b"".join(client.message("io.nsd.Manager.AcquireSlot", {"network": "web"}) for _ in range(30)))
    slots = [client.receive("AcquireSlot")[0]["slot"] for _ in range(30)]
    assert len({slot["cookie"] for slot in slots}) == len({slot["name"] for slot in slots}) == 30
    for slot in slots[::7]:
        assert kernel.addresses("eth0", slot["path"]) == set(slot["addresses"])
    pool = client.pool()
    assert pool["acquired"] == 30 == pool["warm"] + pool["cold"] and pool["warm"] >= 5
    ready(client, 5)


# Over the end of the daemon

@pytest.mark.parametrize("way", ["kill", "restart"])
def test_found_again(nsd, client, way):
    """The same namespaces, by cookie, under the same names; none is made anew."""
    client.call("CreateNetwork", network(ready=15))
    ready(client, 15)
    leased = [client.acquire(bond="nothing") for _ in range(3)]
    before = ready(client, 15)
    nsd.restart(kill=way == "kill")
    with nsd.client() as again:
        assert ready(again, 15) == before
        assert cookies(again, state="leased") == {slot["name"]: slot["cookie"] for slot in leased}
        assert len(ends(nsd)) == 18 and again.pool()["failed"] == 0
        slot = again.acquire()
        assert before[slot["name"]] == slot["cookie"]
        for slot in leased:
            again.call("ReleaseSlot", name=slot["name"], wait=True)


def test_killed_while_filling(nsd, client):
    """At whatever moment: what is there is found or removed, and the pool becomes full."""
    client.call("CreateNetwork", network(ready=60))
    for number in (1, 20, 40):
        poll.until(lambda number=number: len(ends(nsd)) >= number, "it is under way", interval=0.001)
        nsd.restart(kill=True)
    with nsd.client() as again:
        told = ready(again, 60)
        assert {f"slot{name.rpartition('.')[2]}" for name in told} == ends(nsd), "no more and no less than it says"


def test_killed_while_releasing(nsd, client):
    client.call("CreateNetwork", network())
    for turn in range(3):
        with nsd.client() as mine:
            slots = [mine.acquire(bond="nothing") for _ in range(20)]
            mine.send_raw(b"".join(mine.message("io.nsd.Manager.ReleaseSlot", {"name": slot["name"]}) for slot in slots))
            for _ in range(6 * turn):
                mine.receive("ReleaseSlot")
            nsd.restart(kill=True)
        with nsd.client() as again:
            poll.until(lambda: not again.slots(state="draining"), "none is draining")  # noqa: B023
            left = again.slots()
            assert {f"slot{number_of(slot)}" for slot in left.values()} == ends(nsd)
            assert not {slot["name"] for slot in slots[:6 * turn]} & set(left), "what was acknowledged is gone"
            for slot in left.values():
                again.call("ReleaseSlot", name=slot["name"], wait=True)


def test_stopped_long_enough(nsd, client):
    """While nsd is away the slots work on, reached by a file descriptor; it finds them as they were."""
    client.call("CreateNetwork", network(ready=2))
    ready(client, 2)
    slot = client.acquire(bond="nothing", namespace="job")
    nsd.stop()
    assert kernel.addresses("eth0", "job") == set(slot["addresses"])
    nsd.start()
    with nsd.client() as again:
        assert again.slots()[slot["name"]]["cookie"] == slot["cookie"] == sandbox.cookie("/run/netns/job")


# What was tampered with

TAMPERS = {
    "address removed": "ip address del {address4} dev eth0",
    "address added": "ip address add 10.9.9.9/32 dev eth0",
    "v6 address removed": "ip -6 address del {address6} dev eth0",
    "link set down": "ip link set eth0 down",
    "interface removed": "ip link del eth0",
    "another interface": "ip link add spy type bridge",
    "route removed": "ip route del default",
    "route changed": "ip route replace default dev eth0",
    "neighbour removed": "ip neigh flush dev eth0 nud permanent",
    "neighbour changed": "ip neigh replace {gateway} lladdr 02:00:00:00:00:66 nud permanent dev eth0",
    "MAC changed": "ip link set eth0 address 02:00:00:00:00:67",
    "MTU changed": "ip link set eth0 mtu 1300",
    "lo set down": "ip link set lo down",
}


@pytest.mark.parametrize("what", TAMPERS)
def test_tampered(client, what):
    """A ready slot that root changed inside is never handed out: it is destroyed, and another one takes its place."""
    client.call("CreateNetwork", network(ready=3))
    ready(client, 3)
    victims = list(client.slots(state="ready").values())
    for slot in victims:
        v4, v6 = (next(text for text in slot["addresses"] if (":" in text) == six) for six in (False, True))
        command = TAMPERS[what].format(address4=v4, address6=v6, gateway=slot["gateways"][0])
        kernel.run(*command.split(), netns=slot["path"])
    bad = {slot["cookie"] for slot in victims}
    for _ in range(4):
        slot = client.acquire()
        assert slot["cookie"] not in bad, "the slot was changed while it was ready"
        assert kernel.addresses("eth0", slot["path"]) == set(slot["addresses"]) and kernel.is_up("eth0", slot["path"])
    poll.until(lambda: not bad & {slot.get("cookie") for slot in client.slots().values()}, "they are destroyed")
    ready(client, 3)
    assert client.pool()["failed"] >= 1
    assert not bad & set(cookies(client).values())


def test_router_end_removed(nsd, client):
    """The other half of a ready slot is taken away in the router."""
    client.call("CreateNetwork", network(ready=3))
    bad = set(ready(client, 3).values())
    for name in ends(nsd):
        kernel.ip("link", "del", name, netns=f"{nsd.runtime}/slots/web@0")
    for _ in range(4):
        slot = client.acquire()
        assert slot["cookie"] not in bad and kernel.addresses("eth0", slot["path"]) == set(slot["addresses"])
    ready(client, 3)


def test_router_end_removed_of_a_lease(nsd, client):
    """Nothing of nsd's doing, but the holder can learn why its slot is dead; released it is gone."""
    client.call("CreateNetwork", network())
    slot = client.acquire()
    kernel.ip("link", "del", f"slot{number_of(slot)}", netns=f"{nsd.runtime}/slots/web@0")
    assert client.call("GetSlot", name=slot["name"])["slot"]["state"] in ("leased", "draining")
    assert client.call("ReleaseSlot", name=slot["name"], wait=True).get("state") is None
    assert client.acquire()["cookie"] != slot["cookie"]


def test_tampered_while_away(nsd, client):
    client.call("CreateNetwork", network(ready=3))
    ready(client, 3)
    victims = client.slots(state="ready").values()
    with_fds = []
    for slot in victims:
        with_fds.append(open(slot["path"], "rb"))  # pylint: disable=consider-using-with
    nsd.kill9()
    for one in with_fds:
        kernel.ip("address", "flush", "dev", "eth0", netns=one.fileno())
        one.close()
    nsd.start()
    with nsd.client() as again:
        for _ in range(4):
            slot = again.acquire()
            assert slot["cookie"] not in {one["cookie"] for one in victims}
            assert kernel.addresses("eth0", slot["path"]) == set(slot["addresses"])
        ready(again, 3)


# Nothing twice

def test_never_a_second_holder(nsd, client):
    """Clients that acquire and release at once, of a small network: no namespace twice, no address twice at a time."""
    client.call("CreateNetwork", network(ipv4="10.64.0.0/27", ipv6="fd64::/123", ready=4))
    seen, holding, lock, wrong = [], {}, threading.Lock(), []

    def work(number):
        with nsd.client() as mine:
            for turn in range(40):
                try:
                    slot = mine.acquire()
                except Error as error:
                    if error.short != "LimitExceeded":
                        wrong.append(str(error))
                    continue
                with lock:
                    seen.append(slot["cookie"])
                    if slot["address4"] in holding:
                        wrong.append(f"{slot['address4']} is {holding[slot['address4']]}'s already")
                    holding[slot["address4"]] = number
                if turn % 8 == 0 and kernel.addresses("eth0", slot["path"]) != set(slot["addresses"]):
                    wrong.append(f"{slot['name']} is not as told")
                with lock:
                    del holding[slot["address4"]]
                mine.call("ReleaseSlot", name=slot["name"], generation=slot["generation"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong
    assert len(seen) > 40 and len(seen) == len(set(seen))
    ready(client, 4)
    pool = client.pool()
    assert pool["acquired"] == len(seen) == pool["released"] and pool["leased"] == 0


# Counters and events

def test_counters(client):
    client.call("CreateNetwork", network(ready=2, maximum=5))
    client.call("CreateNetwork", network("other", OTHERS[4], OTHERS[6]))
    ready(client, 2)
    slots = [client.acquire()]
    ready(client, 2)
    client.call("ChangeNetwork", name="web", ready=0)
    ready(client, 0)
    slots += [client.acquire() for _ in range(2)]
    expect("LimitExceeded", client.acquire, empty="fail")
    client.call("ReleaseSlot", name=slots[0]["name"], wait=True)
    client.acquire(network="other")
    poll.until(lambda: client.pool()["draining"] == 0, "what the pool had is gone")
    pool = client.pool()
    counts = ("network", "wanted", "maximum", "ready", "leased", "making", "draining", "acquired", "warm", "cold", "released",
              "refused", "failed")
    assert tuple(pool[key] for key in counts) == ("web", 0, 5, 0, 2, 0, 0, 3, 1, 2, 1, 1, 0)
    assert pool["capacity"] == 32767 and pool["acquireRate"] >= 0 and pool["makeRate"] >= 0
    other = client.pool("other")
    assert (other["acquired"], other["cold"], other["leased"]) == (1, 1, 1)
    status = client.call("GetStatus")
    assert (status["networks"], status["readySlots"], status["leasedSlots"], status["drainingSlots"]) == (2, 0, 3, 0)
    item = client.networks()["web"]
    assert (item["readySlots"], item["leasedSlots"], item["makingSlots"], item["drainingSlots"]) == (0, 2, 0, 0)


def test_lists(nsd, client):
    """By network and by state; in batches where there are many."""
    client.call("CreateNetwork", network(ready=150))
    client.call("CreateNetwork", network("other", OTHERS[4], OTHERS[6], ready=2))
    ready(client, 150)
    ready(client, 2, "other")
    leased = {client.acquire()["name"], client.acquire("other")["name"]}
    ready(client, 150)
    ready(client, 2, "other")
    assert set(client.slots(state="leased")) == leased
    assert {name.partition(".")[0] for name in client.slots(network="other")} == {"other"}
    assert len(client.slots(network="other")) == 3 and len(client.slots()) == 154
    assert client.slots(network="web", state="draining") == {}
    expect("NotFound", client.slots, network="absent")
    replies = list(client.more("ListSlots"))
    assert len(replies) > 1 and max(len(reply["slots"]) for reply in replies) <= 100


def test_events(nsd, client):
    """From creation to the end of a network and its slots, each step once."""
    with Watch(nsd) as watch:
        client.call("CreateNetwork", network(ready=1))
        assert watch.until("ready", "network", "web")["state"] == "ready"
        first = watch.until("ready", "slot")["name"]
        slot = client.acquire(labels={"a": "b"})
        assert slot["name"] == first
        item = watch.until("changed", "slot", first)
        assert item["state"] == "leased" and item["labels"] == {"a": "b"} and item["generation"] == slot["generation"]
        client.call("ReleaseSlot", name=first)
        assert watch.until("draining", "slot", first)["state"] == "draining"
        watch.until("gone", "slot", first)
        client.call("ChangeNetwork", name="web", ready=0)
        watch.until("changed", "network", "web")
        client.call("DeleteNetwork", name="web", wait=True)
        watch.until("gone", "network", "web")
        watch.drain()
        assert watch.objects == {}
        assert {number for (event, kind, _), number in watch.count().items() if kind == "slot" and event != "created"} == {1}


def test_snapshot_and_list_agree(nsd, client):
    client.call("CreateNetwork", network(ready=5))
    ready(client, 5)
    slots = [client.acquire(bond="nothing") for _ in range(3)]
    ready(client, 5)
    with Watch(nsd) as watch:
        def agrees():
            watch.drain(quiet=0)
            told = {name: item["state"] for (kind, name), item in watch.objects.items() if kind == "slot"}
            return told == {name: item["state"] for name, item in client.slots().items()}
        poll.until(agrees, "the snapshot is the list")
        assert ("network", "web") in watch.objects
        for slot in slots:
            client.call("ReleaseSlot", name=slot["name"])
        client.acquire()
        poll.until(agrees, "the events make it the list")


def test_events_for_users(host):
    """Their own slots and the networks; nothing of others'."""
    nsd = host.daemon("nsd").start()
    open_to_group(nsd)

    class As:
        """A daemon to Watch through one user's connection."""
        @staticmethod
        def client():
            with acting_as(ALICE):
                return nsd.client()
    with nsd.client() as root, connected(nsd, ALICE) as alice:
        root.learn("io.nsd.Manager")
        root.call("CreateNetwork", network(ready=2))
        ready(root, 2)
        roots = root.acquire()["name"]
        with WatchOfUser(As) as watch:
            assert set(watch.objects) == {("network", "web")}
            root.call("ReleaseSlot", name=roots)
            hers = alice.acquire()["name"]
            watch.until("changed", "slot", hers)
            root.acquire()
            alice.call("ReleaseSlot", name=hers)
            watch.until("gone", "slot", hers)
            assert {entry[2] for entry in watch.seen if entry[1] == "slot"} == {hers}
