# SPDX-License-Identifier: GPL-2.0-or-later
"""Monitor: a snapshot, then every change once and in order; what others do to nsd's objects and to the host is seen."""
import signal
import subprocess
import threading

import pytest

from nsdtest import kernel, poll
from nsdtest.monitor import Watch
from nsdtest.daemon import SANITIZED
from nsdtest.specs import bridge, end, veth

SOON = 5  # a change that others make is seen within a second, on a machine that is not busy otherwise


@pytest.fixture
def watch(nsd):
    with Watch(nsd) as watch:
        yield watch


@pytest.fixture
def wired(client):
    """A namespace called red with a link v0 - eth0, 10.0.0.1 and 10.0.0.2."""
    client.call("CreateNamespace", name="red",
                links=[veth(end(None, "v0", "10.0.0.1/24"), end("red", "eth0", "10.0.0.2/24"))])


def names(watch, kind):
    return sorted(name for item_kind, name in watch.objects if item_kind == kind)


def matches_list(watch, client):
    """The state that follows from the events is that of a list."""
    watch.drain(quiet=0)
    for kind, listed in (("namespace", client.namespaces()), ("link", client.links(foreign=False))):
        assert names(watch, kind) == sorted(listed), kind
        for name, item in listed.items():
            assert watch.objects[kind, name].get("state") == item.get("state"), (kind, name)
    return True


def test_snapshot(nsd, client, host, wired):
    host.add_foreign_netns("theirs")
    poll.until(lambda: "theirs" in client.namespaces(), "the foreign one is known")
    with Watch(nsd) as watch:
        assert ("namespace", "red") in watch.objects and ("link", "v0") in watch.objects
        assert watch.objects["namespace", "theirs"]["foreign"] is True
        assert watch.objects["namespace", "red"]["state"] == "ready"
        assert [entry[0] for entry in watch.seen][-1] == "synced"
        assert matches_list(watch, client)


def test_snapshot_of_nothing(watch):
    assert watch.objects == {} and watch.synced


def test_life_of_a_namespace(watch, client):
    client.call("CreateNamespace", name="n")
    assert watch.until("created", "namespace", "n")["state"] == "creating"
    assert watch.until("ready", "namespace", "n")["state"] == "ready"
    client.call("ChangeNamespace", name="n", labels={"a": "b"})
    assert watch.until("changed", "namespace", "n")["labels"] == {"a": "b"}
    client.call("DeleteNamespace", name="n", wait=True)
    assert watch.until("draining", "namespace", "n")["state"] == "draining"
    watch.until("gone", "namespace", "n")
    watch.drain()
    assert set(watch.count().values()) == {1}, watch.count()


def test_life_of_a_link(watch, client):
    client.call("CreateNamespace", name="red")
    client.call("CreateLink", veth(end(None, "v0"), end("red")))
    watch.until("ready", "link", "v0")
    client.call("ChangeLink", name="v0", change={"mtu": 1400})
    assert watch.until("changed", "link", "v0")["ends"][0]["mtu"] == 1400
    client.call("DeleteLink", name="v0", wait=True)
    watch.until("gone", "link", "v0")
    watch.drain()
    assert watch.count()["drift", "link", "v0"] == 0, "nsd's own work is no drift"
    assert all(number == 1 for number in watch.count().values()), watch.count()


def test_failed_creation_leaves_no_trace(watch, client, host):
    host.add_foreign_netns("theirs")
    watch.until("ready", "namespace", "theirs")
    with pytest.raises(Exception):
        client.call("CreateNamespace", name="theirs")
    client.call("CreateNamespace", name="marker")
    watch.until("ready", "namespace", "marker")
    assert matches_list(watch, client)


@pytest.mark.parametrize("what, command, netns", [
    ("down", "ip link set v0 down", None),
    ("down inside", "ip link set eth0 down", "red"),
    ("address removed", "ip address del 10.0.0.1/24 dev v0", None),
    ("address removed inside", "ip address flush dev eth0", "red"),
    ("address added", "ip address add 10.0.0.77/24 dev v0", None),
    ("mtu", "ip link set v0 mtu 1400", None),
    ("mac", "ip link set v0 address 02:00:00:00:00:77", None),
])
def test_drift(watch, client, wired, what, command, netns):
    watch.drain(quiet=0.2)
    kernel.run(*command.split(), netns=netns)
    item = watch.until("drift", "link", "v0", deadline=SOON)
    assert item["message"], "in words"
    assert item["state"] == "ready"
    assert client.call("RepairLink", name="v0")["link"].get("message") is None
    assert kernel.addresses("v0") == {"10.0.0.1/24"} and kernel.addresses("eth0", "red") == {"10.0.0.2/24"}
    assert kernel.is_up("v0") and kernel.is_up("eth0", "red") and kernel.link("v0")["mtu"] == 1500
    assert kernel.ping("10.0.0.2")


def test_renamed_interface(watch, client, wired):
    watch.drain(quiet=0.2)
    kernel.ip("link", "set", "v0", "down")
    kernel.ip("link", "set", "v0", "name", "other")
    item = watch.until("drift", "link", "v0", deadline=SOON, where=lambda item: "other" in item["message"])
    assert item["state"] in ("ready", "lost")
    client.call("RepairLink", name="v0")
    assert "v0" in kernel.links() and "other" not in kernel.links()
    assert kernel.ping("10.0.0.2")


@pytest.mark.parametrize("netns, name", [(None, "v0"), ("red", "eth0")])
def test_deleted_link_is_lost(watch, client, wired, netns, name):
    watch.drain(quiet=0.2)
    kernel.ip("link", "del", name, netns=netns)
    item = watch.until("drift", "link", "v0", deadline=SOON, where=lambda item: item["state"] == "lost")
    assert item["message"]
    assert client.call("GetStatus")["lost"] == 1
    client.call("RepairLink", name="v0")
    watch.until("changed", "link", "v0", where=lambda item: item["state"] == "ready" and not item.get("message"))
    assert kernel.ping("10.0.0.2")
    assert client.call("GetStatus")["lost"] == 0


def test_deleted_netns_is_lost(watch, client, wired):
    watch.drain(quiet=0.2)
    kernel.ip("netns", "del", "red")
    assert watch.until("drift", "namespace", "red", deadline=SOON, where=lambda item: item["state"] == "lost")["message"]
    poll.until(lambda: client.links()["v0"]["state"] == "lost", "its link is lost too")
    client.call("RepairNamespace", name="red")
    poll.until(lambda: client.links()["v0"]["state"] == "ready", "repaired with its links")
    assert kernel.ping("10.0.0.2") and kernel.netns_files() == ["red"]
    assert matches_list(watch, client)


def test_repair_with_a_bridge_inside(client):
    """A bridge inside is made before its ports, whatever they are called."""
    client.call("CreateNamespace", name="red", links=[bridge("sw", "10.3.0.1/24", namespace="red")])
    client.call("CreateNamespace", name="blue")
    client.call("CreateLink", veth(end("red", "p0", bridge="sw"), end("blue", "eth0", "10.3.0.2/24")))
    client.call("CreateLink", veth(end("red", "zz", bridge="sw"), end("blue", "eth1")))
    kernel.ip("netns", "del", "red")
    poll.until(lambda: {item["state"] for item in client.links(foreign=False).values()} == {"lost"}, "all are lost")
    client.call("RepairNamespace", name="red")
    poll.until(lambda: {item["state"] for item in client.links(foreign=False).values()} == {"ready"}, "all are back")
    assert kernel.link("p0", "red")["master"] == kernel.link("zz", "red")["master"] == "sw"
    assert kernel.ping("10.3.0.1", "blue")


def test_replaced_netns_is_not_adopted(watch, client, wired):
    """Somebody deletes the namespace and makes another one of the same name: foreign, never taken for nsd's own."""
    kernel.ip("netns", "del", "red")
    kernel.ip("netns", "add", "red")
    watch.until("drift", "namespace", "red", deadline=SOON, where=lambda item: item["state"] == "lost")
    kernel.ip("link", "add", "theirs", "type", "bridge", netns="red")
    with pytest.raises(Exception):
        client.call("RepairNamespace", name="red")
    assert "theirs" in kernel.links("red")
    client.call("DeleteNamespace", name="red", wait=True)
    assert kernel.netns_files() == ["red"], "theirs stays"
    kernel.ip("netns", "del", "red")


def test_foreign_namespaces_come_and_go(watch, client):
    kernel.ip("netns", "add", "theirs")
    assert watch.until("ready", "namespace", "theirs", deadline=SOON)["foreign"] is True
    kernel.ip("netns", "del", "theirs")
    watch.until("gone", "namespace", "theirs", deadline=SOON)
    kernel.run("sh", "-c", ": > /run/netns/no-namespace")
    kernel.ip("netns", "add", "marker")
    watch.until("ready", "namespace", "marker")
    assert "no-namespace" not in client.namespaces()
    kernel.run("rm", "/run/netns/no-namespace")
    kernel.ip("netns", "del", "marker")
    watch.until("gone", "namespace", "marker")


def test_hundred_foreign_namespaces_at_once(watch, client):
    script = "for i in $(seq 100); do echo netns add f$i; done | ip -batch -"
    kernel.run("sh", "-c", script)
    poll.until(lambda: matches_list(watch, client) and len(names(watch, "namespace")) == 100, "all are seen")
    kernel.run("sh", "-c", script.replace("add", "del"))
    poll.until(lambda: matches_list(watch, client) and not watch.objects, "all are gone")


def test_two_subscribers_see_the_same(nsd, watch, client):
    with Watch(nsd) as other:
        for number in range(10):
            client.call("CreateNamespace", name=f"n{number}", links=[veth(end(), end(f"n{number}"))])
        for number in range(0, 10, 2):
            client.call("DeleteNamespace", name=f"n{number}", wait=True)
        client.call("CreateNamespace", name="marker")
        for subscriber in (watch, other):
            subscriber.until("ready", "namespace", "marker")
        since = len(other.seen) - len([entry for entry in other.seen if entry[0] in ("present", "synced")])
        assert [entry[:3] for entry in watch.seen[-since:]] == [entry[:3] for entry in other.seen[-since:]]
        assert watch.last == other.last
        assert matches_list(watch, client)


def test_late_subscriber_misses_nothing(nsd, client):
    """Subscribers that come in the middle of changes: snapshot and changes fit together, nothing missed, nothing twice."""
    stop = threading.Event()

    def churn(number):
        with nsd.client() as mine:
            while not stop.is_set():
                mine.call("CreateNamespace", name=f"c{number}", lifetime="runtime")
                mine.call("DeleteNamespace", name=f"c{number}", wait=True)

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    watches = []
    try:
        for _ in range(20):
            watches.append(Watch(nsd))
            watches[-1].until("ready", "namespace")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for watch in watches:
        poll.until(lambda watch=watch: matches_list(watch, client), "converged")
        watch.client.close()


def no_ghosts(client):
    """The host's interfaces in the list are those of the kernel."""
    listed = {one["interface"] for item in client.links(foreign=True).values() for one in item["ends"]
              if not one.get("namespace") and item.get("state") != "lost"}
    return listed | {"lo"} == set(kernel.links())


def test_burst_while_the_daemon_sleeps(nsd, watch, client, wired):
    """Thousands of events while nsd is stopped: the kernel drops some, nsd looks again at everything and converges."""
    watch.drain(quiet=0.2)
    nsd.process.send_signal(signal.SIGSTOP)
    try:
        batch = "".join(f"link add x{number} type bridge\n" + f"link set x{number} up\nlink set x{number} down\n" * 25 +
                        f"link del x{number}\n" for number in range(40))
        subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True, capture_output=True)
        kernel.ip("link", "set", "v0", "down")
        kernel.ip("address", "del", "10.0.0.2/24", "dev", "eth0", netns="red")
        for number in range(20):
            kernel.ip("netns", "add", f"late{number}")
    finally:
        nsd.process.send_signal(signal.SIGCONT)
    watch.until("drift", "link", "v0", deadline=SOON)
    poll.until(lambda: matches_list(watch, client) and len(names(watch, "namespace")) == 21 and no_ghosts(client),
               "converged", deadline=SOON)
    for number in range(20):
        kernel.ip("netns", "del", f"late{number}")
    poll.until(lambda: matches_list(watch, client) and names(watch, "namespace") == ["red"], "converged", deadline=SOON)
    client.call("RepairLink", name="v0")
    assert kernel.ping("10.0.0.2")


def test_overrun(nsd, watch, client, wired):
    """More events than any receive buffer holds; a link of nsd's vanished among them."""
    watch.drain(quiet=0.2)
    nsd.process.send_signal(signal.SIGSTOP)
    try:
        kernel.ip("link", "del", "v0")
        batch = "".join("link set xbr up\nlink set xbr down\n" for _ in range(12000))
        subprocess.run(["ip", "-batch", "-"], input="link add xbr type bridge\n" + batch + "link del xbr\n", text=True,
                       check=True, capture_output=True)
        kernel.ip("netns", "add", "late")
    finally:
        nsd.process.send_signal(signal.SIGCONT)
    watch.until("drift", "link", "v0", deadline=SOON, where=lambda item: item["state"] == "lost")
    poll.until(lambda: matches_list(watch, client) and ("namespace", "late") in watch.objects and no_ghosts(client),
               "converged", deadline=SOON)
    kernel.ip("netns", "del", "late")


def test_subscriber_that_does_not_read(nsd, client):
    """It is dropped or catches up; it never makes others wait, nor the daemon grow."""
    lazy = nsd.client()
    lazy.send("Monitor", more=True)
    before = kernel.rss_kib(nsd.pid)
    labels = {f"k{number}": "x" * 200 for number in range(30)}
    client.call("CreateNamespace", name="n", labels=labels)
    for number in range(600):
        client.call("ChangeNamespace", name="n", labels={**labels, "number": str(number)})
    assert SANITIZED or kernel.rss_kib(nsd.pid) - before < 8 * 1024
    with Watch(nsd) as watch:
        assert watch.objects["namespace", "n"]["labels"]["number"] == "599"
    lazy.close()
    poll.equal(nsd.connections, 1, "its connection is gone")


def test_bridge_ports(watch, client):
    client.call("CreateNamespace", name="red")
    client.call("CreateLink", bridge("br0", "10.4.0.1/24"))
    client.call("CreateLink", veth(end(None, "v0", bridge="br0"), end("red")))
    watch.until("ready", "link", "v0")
    watch.drain(quiet=0.2)
    kernel.ip("link", "set", "v0", "nomaster")
    assert "br0" in watch.until("drift", "link", "v0", deadline=SOON)["message"]
    client.call("RepairLink", name="v0")
    assert kernel.link("v0")["master"] == "br0"


def test_sequence_in_status(watch, client):
    client.call("CreateNamespace", name="n")
    watch.until("ready", "namespace", "n")
    watch.drain(quiet=0.1)
    assert client.call("GetStatus")["sequence"] == watch.last
