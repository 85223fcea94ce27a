# SPDX-License-Identifier: GPL-2.0-or-later
"""Ensure: the same wish twice is fulfilled once, another wish names the difference and changes nothing."""
import threading

import pytest

from nsdtest import kernel, poll, sandbox
from nsdtest.specs import bridge, end, route, veth
from nsdtest.varlink import Error, expect

NAMESPACE = {"name": "e", "nsid": 12, "labels": {"a": "1"}, "sysctls": {"net.ipv4.ip_forward": "1"}}
LINK = veth(end(None, "v0", "10.0.0.1/24", mtu=1400, mac="02:00:00:00:00:01"),
            end("e", "in0", "10.0.0.2/24", "fd00::2/64", routes=[route("default", "10.0.0.1")]), labels={"b": "2"})


def test_namespace_twice(nsd, client):
    first = client.call("EnsureNamespace", NAMESPACE)
    assert first["created"] is True
    again = client.call("EnsureNamespace", NAMESPACE)
    assert again["created"] is False
    assert again["namespace"]["generation"] == first["namespace"]["generation"]
    assert again["namespace"]["cookie"] == sandbox.cookie("/run/netns/e")
    assert nsd.recorded() == [("namespace", "e")]


def test_less_is_the_same(client):
    """What a wish leaves open is not compared."""
    client.call("EnsureNamespace", NAMESPACE)
    assert client.call("EnsureNamespace", name="e")["created"] is False


@pytest.mark.parametrize("field, other", [
    ("nsid", 13), ("lifetime", "runtime"), ("loopback", False), ("labels", {"a": "2"}), ("labels", {}),
    ("sysctls", {"net.ipv4.ip_forward": "0"}),
])
def test_namespace_differs(client, field, other):
    client.call("EnsureNamespace", NAMESPACE)
    with pytest.raises(Error) as raised:
        client.call("EnsureNamespace", {**NAMESPACE, field: other})
    assert raised.value.short == "SpecDiffers"
    assert raised.value.field.split(".")[0].split("[")[0] == field
    assert kernel.nsids()["e"] == 12
    assert kernel.sysctl("net.ipv4.ip_forward", "e") == "1"


def test_with_links(nsd, client):
    wish = {**NAMESPACE, "links": [LINK]}
    assert client.call("EnsureNamespace", wish)["created"] is True
    again = client.call("EnsureNamespace", wish)
    assert again["created"] is False and len(again["links"]) == 1
    other = veth(LINK["ends"][0], end("e", "in0", "10.0.0.3/24"))
    with pytest.raises(Error) as raised:
        client.call("EnsureNamespace", {**NAMESPACE, "links": [other]})
    assert raised.value.short == "SpecDiffers" and "addresses" in raised.value.field
    assert kernel.addresses("in0", "e") == {"10.0.0.2/24", "fd00::2/64"}


def test_existing_namespace_with_a_new_link(nsd, client):
    client.call("EnsureNamespace", name="e")
    client.call("EnsureNamespace", {"name": "e", "links": [LINK]})
    assert "in0" in kernel.links("e")
    assert nsd.recorded("link") == ["v0"]


def test_link_twice(nsd, client):
    client.call("CreateNamespace", name="e")
    first = client.call("EnsureLink", LINK)
    assert first["created"] is True
    again = client.call("EnsureLink", LINK)
    assert again["created"] is False and again["link"]["generation"] == first["link"]["generation"]
    assert nsd.recorded("link") == ["v0"]


@pytest.mark.parametrize("index, field, other", [
    (0, "mtu", 1300), (0, "mac", "02:00:00:00:00:02"), (0, "addresses", ["10.0.0.9/24"]), (1, "addresses", []),
    (0, "up", False), (1, "routes", [route("default", "10.0.0.9")]), (1, "routes", []),
])
def test_link_differs(client, index, field, other):
    client.call("CreateNamespace", name="e")
    client.call("EnsureLink", LINK)
    ends = [dict(item) for item in LINK["ends"]]
    ends[index][field] = other
    with pytest.raises(Error) as raised:
        client.call("EnsureLink", {**LINK, "ends": ends})
    assert raised.value.short == "SpecDiffers"
    assert raised.value.field.startswith(f"ends[{index}].{field}")


def test_addresses_are_compared_as_addresses(client):
    """Another spelling of the same address is no difference."""
    client.call("CreateNamespace", name="e")
    client.call("EnsureLink", veth(end(None, "v0"), end("e", "eth0", "fd00::2/64", "10.0.0.2/24")))
    again = client.call("EnsureLink", veth(end(None, "v0"), end("e", "eth0", "FD00:0:0::0002/64", "10.0.0.2/24")))
    assert again["created"] is False


def test_link_of_the_same_name_elsewhere(client):
    client.call("CreateNamespace", name="e")
    client.call("CreateNamespace", name="f")
    client.call("EnsureLink", veth(end(None, "v0"), end("e"), name="wire"))
    with pytest.raises(Error) as raised:
        client.call("EnsureLink", veth(end(None, "v0"), end("f"), name="wire"))
    assert raised.value.short == "SpecDiffers" and raised.value.field == "ends[1].namespace"


def test_bridge(client):
    assert client.call("EnsureLink", bridge("br0", "10.9.0.1/24"))["created"] is True
    assert client.call("EnsureLink", bridge("br0", "10.9.0.1/24"))["created"] is False
    with pytest.raises(Error) as raised:
        client.call("EnsureLink", veth(end(None, "br0"), end(None, "br1")))
    assert raised.value.short in ("SpecDiffers", "AlreadyExists")


def test_many_at_once_make_one(nsd):
    created, start = [], threading.Barrier(6)

    def ensure():
        with nsd.client() as client:
            start.wait()
            created.append(client.call("EnsureNamespace", name="e")["created"])

    threads = [threading.Thread(target=ensure) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [False] * 5 + [True]


def test_ensure_after_restart(nsd, client):
    client.call("EnsureNamespace", {**NAMESPACE, "links": [LINK]})
    nsd.restart(kill=True)
    with nsd.client() as again:
        assert again.call("EnsureNamespace", {**NAMESPACE, "links": [LINK]})["created"] is False


def test_ensure_of_a_lost_one_says_so(client):
    client.call("EnsureNamespace", name="e")
    kernel.ip("netns", "del", "e")
    poll.until(lambda: client.namespaces()["e"]["state"] == "lost", "it is seen")
    expect("Lost", client.call, "EnsureNamespace", name="e")
    client.call("RepairNamespace", name="e")
    assert client.call("EnsureNamespace", name="e")["created"] is False
