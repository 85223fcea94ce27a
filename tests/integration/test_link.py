# SPDX-License-Identifier: GPL-2.0-or-later
"""Links: what each option does in the kernel, seen by `ip` and by pyroute2; collisions; moves; the classic pictures."""
import pathlib
import subprocess
import time

import pytest
from pyroute2 import IPRoute

from nsdtest import kernel, poll, sandbox
from nsdtest.features import require_kernel
from nsdtest.specs import bridge, end, route, veth
from nsdtest.varlink import Error, expect


@pytest.fixture
def red(client):
    """A namespace called red."""
    return client.call("CreateNamespace", name="red")["namespace"]


@pytest.fixture
def blue(client):
    """A namespace called blue."""
    return client.call("CreateNamespace", name="blue")["namespace"]


def test_pair_between_host_and_namespace(nsd, client, red):
    link = client.call("CreateLink", veth(end(None, "veth-a", "10.0.0.1/24"), end("red", "veth-b", "10.0.0.2/24")))["link"]
    assert link["name"] == "veth-a" and link["kind"] == "veth" and link["state"] == "ready"
    for name, netns, address in (("veth-a", None, "10.0.0.1/24"), ("veth-b", "red", "10.0.0.2/24")):
        assert kernel.addresses(name, netns) == {address}
        assert kernel.is_up(name, netns)
        item = kernel.link(name, netns)
        assert item["linkinfo"]["info_kind"] == "veth" and item["mtu"] == 1500
        assert (item["num_tx_queues"], item["num_rx_queues"]) == (1, 1)
        assert item["addr_info"][0]["broadcast"] == "10.0.0.255"
    for index, (name, netns) in enumerate((("veth-a", None), ("veth-b", "red"))):
        message = kernel.pyroute2_links(netns)[name]
        assert message["index"] == link["ends"][index]["ifindex"]
        assert message.get_attr("IFLA_ADDRESS") == link["ends"][index]["mac"]
        poll.until(lambda name=name, netns=netns: kernel.link(name, netns)["operstate"] == "UP", "the kernel says so too")
        assert message.get_attr("IFLA_GROUP") == 0x6e7364
    assert kernel.ping("10.0.0.2") and kernel.ping("10.0.0.1", "red")
    assert nsd.recorded("link") == ["veth-a"]


def test_defaults(client, red, blue):
    """Names: eth0, eth1 ... in a namespace, one of nsd's own in the host; 1500 bytes; up; a MAC that nsd chose."""
    first = client.call("CreateLink", veth(end(), end("red")))["link"]
    second = client.call("CreateLink", veth(end("red"), end("blue")))["link"]
    assert [item["interface"] for item in second["ends"]] == ["eth1", "eth0"]
    assert first["ends"][1]["interface"] == "eth0"
    host_end = first["ends"][0]["interface"]
    assert first["name"] == host_end and second["name"] == "red.eth1"
    assert not host_end.startswith(("eth", "ve-", "vb-", "vz-", "vt-", "en", "host0")), host_end
    for netns, name in (("red", "eth0"), ("red", "eth1"), ("blue", "eth0"), (None, host_end)):
        item = kernel.link(name, netns)
        assert item["mtu"] == 1500 and "UP" in item["flags"]
        assert int(item["address"][:2], 16) & 3 == 2, "locally administered, unicast"
    assert first["lifetime"] == "persistent"


def test_explicit_mac_and_mtu(client, red):
    client.call("CreateLink", veth(end(None, "v0", mac="02:11:22:33:44:55", mtu=9000),
                                   end("red", "in0", mac="06:aa:BB:cc:dd:ee", mtu=1280)))
    assert (kernel.link("v0")["address"], kernel.link("v0")["mtu"]) == ("02:11:22:33:44:55", 9000)
    assert (kernel.link("in0", "red")["address"], kernel.link("in0", "red")["mtu"]) == ("06:aa:bb:cc:dd:ee", 1280)


def test_mac_is_given_by_nsd_not_by_chance(client, red):
    """addr_assign_type 3 (set): udev leaves the address alone then."""
    client.call("CreateLink", veth(end(None, "v0"), end("red", "in0")))
    assert kernel.addr_assign_type("v0") == kernel.addr_assign_type("in0", "red") == 3


def test_mac_stays_over_repair(client, red):
    before = client.call("CreateLink", veth(end(None, "v0"), end("red")))["link"]
    kernel.ip("link", "del", "v0")
    poll.until(lambda: client.links()["v0"]["state"] == "lost", "seen as lost")
    after = client.call("RepairLink", name="v0")["link"]
    assert [item["mac"] for item in after["ends"]] == [item["mac"] for item in before["ends"]]
    assert kernel.link("v0")["address"] == before["ends"][0]["mac"]


def test_down(client, red):
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24", up=False), end("red", "in0", up=False)))
    assert not kernel.is_up("v0") and not kernel.is_up("in0", "red")
    assert kernel.addresses("v0") == {"10.0.0.1/24"}
    client.call("ChangeLink", name="v0", end=0, change={"up": True})
    assert kernel.is_up("v0") and not kernel.is_up("in0", "red")
    assert client.call("GetLink", name="v0")["link"]["ends"][0]["running"] is False
    client.call("ChangeLink", name="v0", end=1, change={"up": True})
    assert client.call("GetLink", name="v0")["link"]["ends"][0]["running"] is True


def test_ipv6_is_usable_at_once(client, red):
    require_kernel("ipv6")
    started = time.monotonic()
    client.call("CreateLink", veth(end(None, "v0", "fd00:1::1/64"), end("red", "in0", "fd00:1::2/64")))
    for name, netns in (("v0", None), ("in0", "red")):
        info = [item for item in kernel.link(name, netns)["addr_info"] if item["scope"] == "global"]
        assert [item.get("tentative", False) for item in info] == [False]
        assert info[0].get("nodad"), "no duplicate address detection"
    assert kernel.ping("fd00:1::2") and kernel.ping("fd00:1::1", "red")
    assert time.monotonic() - started < 0.9, "duplicate address detection takes a second or two"


def test_host_end_without_ipv6_has_none(client, red):
    require_kernel("ipv6")
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24"), end("red")))
    assert kernel.sysctl("net.ipv6.conf.v0.disable_ipv6") == "1"
    assert all(item["family"] == "inet" for item in kernel.link("v0")["addr_info"])


def test_host_takes_no_router_advertisements(client, red):
    require_kernel("ipv6")
    client.call("CreateLink", veth(end(None, "v0", "fd00:1::1/64"), end("red", None, "fd00:1::2/64")))
    assert kernel.sysctl("net.ipv6.conf.v0.accept_ra") == "0"


def test_host_settings_stay(client, red):
    """Nothing outside nsd's own interfaces changes in the host."""
    keys = [f"net.ipv{family}.conf.{scope}.{key}" for family, key in ((4, "rp_filter"), (4, "forwarding"),
            (6, "forwarding"), (6, "disable_ipv6"), (6, "accept_ra")) for scope in ("all", "default", "lo")]
    before = {key: kernel.sysctl(key) for key in keys}
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24", "fd00::1/64"), end("red", None, "10.0.0.2/24")))
    assert {key: kernel.sysctl(key) for key in keys} == before


def test_many_addresses(client, red):
    addresses = [f"10.{number}.0.2/24" for number in range(16)] + [f"fd00:{number + 1}::2/64" for number in range(16)]
    client.call("CreateLink", veth(end(None, "v0"), end("red", "in0", *addresses)))
    assert kernel.addresses("in0", "red") == set(addresses)


def test_point_to_point_prefixes(client, red):
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.0/31", "fd00::/127"),
                                   end("red", "in0", "10.0.0.1/31", "fd00::1/127")))
    assert kernel.addresses("v0") == {"10.0.0.0/31", "fd00::/127"}
    assert kernel.ping("10.0.0.1") and kernel.ping("fd00::1")
    client.call("CreateLink", veth(end(None, "v1", "10.0.9.1/32"), end("red", "in1")))
    assert kernel.addresses("v1") == {"10.0.9.1/32"}


def test_routes(client, red):
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24", routes=[route("10.50.0.0/16", "10.0.0.2")]),
                                   end("red", "in0", "10.0.0.2/24", "fd00::2/64", routes=[
                                       route("default", "10.0.0.1"), route("default", "fd00::1"),
                                       route("10.7.0.0/16", metric=50), route("10.8.0.0/24", "10.0.0.1", 99),
                                       route("fd07::/48", "fd00::9")])))
    assert kernel.routes() == {("10.50.0.0/16", "10.0.0.2", "v0", 0)}
    assert kernel.routes("red") == {("default", "10.0.0.1", "in0", 0), ("10.7.0.0/16", None, "in0", 50),
                                    ("10.8.0.0/24", "10.0.0.1", "in0", 99)}
    six = {(destination, gateway) for destination, gateway, _, _ in kernel.routes("red", "-6")}
    assert {("default", "fd00::1"), ("fd07::/48", "fd00::9")} <= six


def test_route_that_the_kernel_refuses_leaves_nothing(nsd, client, red, host):
    before = host.snapshot()
    with pytest.raises(Error) as raised:
        client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24"),
                                       end("red", "in0", "10.0.0.2/24", routes=[route("default", "192.168.77.1")])))
    assert "192.168.77.1" in raised.value.parameters["message"]
    assert raised.value.field.startswith("ends[1]")
    assert host.snapshot() == before and nsd.recorded("link") == []
    assert sorted(kernel.links("red")) == ["lo"]


def test_between_two_namespaces(nsd, client, red, blue, host):
    before = host.snapshot()
    link = client.call("CreateLink", veth(end("red", "to-blue", "10.2.0.1/30"), end("blue", "to-red", "10.2.0.2/30")))["link"]
    assert link["name"] == "red.to-blue"
    assert host.snapshot()["links"] == before["links"], "the host never sees it"
    assert kernel.ping("10.2.0.2", "red") and kernel.ping("10.2.0.1", "blue")
    client.call("DeleteLink", name="red.to-blue", wait=True)
    assert sorted(kernel.links("red")) == sorted(kernel.links("blue")) == ["lo"]


def test_both_ends_in_one_place(client, red, host):
    client.call("CreateLink", veth(end("red", "a"), end("red", "b")))
    assert sorted(kernel.links("red")) == ["a", "b", "lo"]
    client.call("CreateLink", veth(end(None, "c"), end(None, "d")))
    assert {"c", "d"} <= set(kernel.links())
    client.call("DeleteNamespace", name="red", wait=True)
    assert client.links(foreign=False).keys() == {"c"}


def test_both_ends_in_the_same_place_under_the_same_name(client, red, host):
    error = expect("InvalidValue", client.call, "CreateLink", veth(end("red", "a"), end("red", "a")))
    assert error.field == "ends[1].interface"
    assert sorted(kernel.links("red")) == ["lo"]


def test_docker_picture(client, red, blue):
    """A bridge with an address in the host, two namespaces with a port each, everybody reaches everybody."""
    client.call("CreateLink", bridge("br0", "172.18.0.1/16"))
    for name, address in (("red", "172.18.0.2/16"), ("blue", "172.18.0.3/16")):
        client.call("CreateLink", veth(end(None, f"port-{name}", bridge="br0"),
                                       end(name, "eth0", address, routes=[route("default", "172.18.0.1")])))
    assert kernel.link("br0")["linkinfo"]["info_kind"] == "bridge" and kernel.is_up("br0")
    assert kernel.addresses("br0") == {"172.18.0.1/16"}
    masters = {name: item.get("master") for name, item in kernel.links().items()}
    assert masters["port-red"] == masters["port-blue"] == "br0"
    assert kernel.ping("172.18.0.3", "red") and kernel.ping("172.18.0.2", "blue")
    assert kernel.ping("172.18.0.1", "red") and kernel.ping("172.18.0.2")
    listed = client.links(foreign=False)
    assert listed["br0"]["kind"] == "bridge" and listed["port-red"]["ends"][0]["bridge"] == "br0"


def test_bridge_in_a_namespace(client, red, blue):
    client.call("CreateLink", bridge("sw", "10.3.0.1/24", namespace="red"))
    client.call("CreateLink", veth(end("red", "p0", bridge="sw"), end("blue", "eth0", "10.3.0.2/24")))
    assert kernel.link("p0", "red")["master"] == "sw"
    assert kernel.ping("10.3.0.1", "blue")
    assert "sw" not in kernel.links()


def test_foreign_bridge_is_used_not_owned(client, red, host):
    host.add_foreign_link("docker0")
    kernel.ip("link", "set", "docker0", "up")
    client.call("CreateLink", veth(end(None, "p0", bridge="docker0"), end("red")))
    assert kernel.link("p0")["master"] == "docker0"
    client.call("DeleteLink", name="p0", wait=True)
    assert "docker0" in kernel.links()


def test_no_such_bridge(nsd, client, red, host):
    before = host.snapshot()
    with pytest.raises(Error) as raised:
        client.call("CreateLink", veth(end(None, "p0", bridge="absent"), end("red")))
    assert raised.value.field == "ends[0].bridge", raised.value
    assert host.snapshot() == before and nsd.recorded("link") == []


def test_no_such_namespace(nsd, client, host):
    error = expect("NotFound", client.call, "CreateLink", veth(end(None, "v0"), end("absent")))
    assert error.field == "ends[1].namespace"
    assert host.snapshot() == host.base and nsd.recorded() == []


@pytest.mark.parametrize("where", ["host", "namespace"])
def test_collision_with_a_foreign_interface(nsd, client, red, host, where):
    if where == "host":
        host.add_foreign_link("taken")
    else:
        kernel.ip("link", "add", "taken", "type", "bridge", netns="red")
    before = (host.snapshot(), sorted(kernel.links("red")))
    index = 0 if where == "host" else 1
    ends = [end(None, "v0"), end("red", "in0")]
    ends[index]["interface"] = "taken"
    error = expect("NameTaken", client.call, "CreateLink", veth(*ends))
    assert error.field == f"ends[{index}].interface" and "taken" in error.parameters["message"]
    assert (host.snapshot(), sorted(kernel.links("red"))) == before
    assert nsd.recorded("link") == []


def test_collision_with_a_link_of_nsd(nsd, client, red, blue):
    client.call("CreateLink", veth(end(None, "v0"), end("red")))
    error = expect("AlreadyExists", client.call, "CreateLink", veth(end(None, "v0"), end("blue")))
    assert error.field in ("name", "ends[0].interface")
    error = expect("AlreadyExists", client.call, "CreateLink", veth(end(None, "v1"), end("red", "eth0")))
    assert error.field == "ends[1].interface"
    error = expect("AlreadyExists", client.call, "CreateLink", veth(end(None, "v1"), end("blue"), name="v0"))
    assert error.field == "name"
    assert nsd.recorded("link") == ["v0"]
    assert sorted(kernel.links("blue")) == ["lo"] and "v1" not in kernel.links()


def test_address_that_somebody_else_has(client, red, host):
    """Two interfaces of the host with one address: the kernel allows it, so it is the user's choice."""
    host.add_foreign_link("other")
    kernel.ip("address", "add", "10.0.0.1/24", "dev", "other")
    try:
        client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24"), end("red")))
        assert kernel.addresses("v0") == {"10.0.0.1/24"}
    except Error as error:
        assert error.short == "NameTaken" and "addresses" in error.field
        assert "v0" not in kernel.links()


def test_step_by_step(client, red):
    """As the kernel allows: pair in the host, one end moved, addresses added, set up."""
    client.call("CreateLink", veth(end(None, "veth-a", up=False), end(None, "veth-b", up=False)))
    assert {"veth-a", "veth-b"} <= set(kernel.links())
    moved = client.call("ChangeLink", name="veth-a", end=1, change={"namespace": "red"})["link"]
    assert moved["ends"][1]["namespace"] == "red"
    assert "veth-b" not in kernel.links() and "veth-b" in kernel.links("red")
    client.call("ChangeLink", name="veth-a", end=0, change={"addAddresses": ["10.0.0.1/24"]})
    client.call("ChangeLink", name="veth-a", end=1, change={"addAddresses": ["10.0.0.2/24"]})
    client.call("ChangeLink", name="veth-a", end=0, change={"up": True})
    client.call("ChangeLink", name="veth-a", end=1, change={"up": True})
    assert kernel.ping("10.0.0.2") and kernel.ping("10.0.0.1", "red")


def test_moving_keeps_the_configuration(client, red, blue):
    """The kernel drops addresses, routes and the up flag of a moved device; nsd puts them back."""
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24"),
                                   end("red", "in0", "10.0.0.2/24", "fd00::2/64", mtu=1400,
                                       routes=[route("default", "10.0.0.1")])))
    before = client.call("GetLink", name="v0")["link"]
    link = client.call("ChangeLink", name="v0", end=1, change={"namespace": "blue"})["link"]
    assert link["generation"] == before["generation"]
    assert sorted(kernel.links("red")) == ["lo"]
    assert kernel.addresses("in0", "blue") == {"10.0.0.2/24", "fd00::2/64"}
    assert kernel.routes("blue") == {("default", "10.0.0.1", "in0", 0)}
    assert kernel.is_up("in0", "blue") and kernel.link("in0", "blue")["mtu"] == 1400
    assert kernel.ping("10.0.0.2")
    client.call("ChangeLink", name="v0", end=1, change={"host": True})
    assert "in0" in kernel.links() and sorted(kernel.links("blue")) == ["lo"]
    assert client.call("GetLink", name="v0")["link"]["ends"][1].get("namespace") is None


def test_move_onto_a_taken_name_changes_nothing(client, red, blue):
    client.call("CreateLink", veth(end(None, "v0"), end("red", "in0", "10.0.0.2/24")))
    kernel.ip("link", "add", "in0", "type", "bridge", netns="blue")
    error = expect("NameTaken", client.call, "ChangeLink", name="v0", end=1, change={"namespace": "blue"})
    assert "in0" in error.parameters["message"]
    assert kernel.addresses("in0", "red") == {"10.0.0.2/24"} and kernel.is_up("in0", "red")
    assert client.call("GetLink", name="v0")["link"]["ends"][1]["namespace"] == "red"


def test_change_everything(nsd, client, red):
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24"), end("red", "in0", "10.0.0.2/24")))
    change = {"interface": "v9", "mac": "02:00:00:00:00:99", "mtu": 1300, "addresses": ["10.5.0.1/24", "fd05::1/64"],
              "routes": [route("10.60.0.0/16", "10.5.0.2")]}
    client.call("ChangeLink", name="v0", end=0, labels={"x": "y"}, change=change)
    item = kernel.link("v9")
    assert (item["address"], item["mtu"]) == ("02:00:00:00:00:99", 1300) and "UP" in item["flags"]
    assert kernel.addresses("v9") == {"10.5.0.1/24", "fd05::1/64"}
    assert kernel.routes() == {("10.60.0.0/16", "10.5.0.2", "v9", 0)}
    assert "v0" not in kernel.links()
    link = client.call("GetLink", name="v0")["link"]
    assert link["labels"] == {"x": "y"} and link["ends"][0]["interface"] == "v9", "the link keeps its name"
    nsd.restart(kill=True)
    with nsd.client() as again:
        steady = lambda ends: [{k: v for k, v in e.items() if k not in ("running", "counters")} for e in ends]
        assert steady(again.call("GetLink", name="v0")["link"]["ends"]) == steady(link["ends"])


def test_add_and_remove_addresses(client, red):
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24", "10.0.1.1/24"), end("red")))
    link = client.call("ChangeLink", name="v0", change={"addAddresses": ["10.0.2.1/24"], "removeAddresses": ["10.0.0.1/24"]})
    assert kernel.addresses("v0") == {"10.0.1.1/24", "10.0.2.1/24"} == set(link["link"]["ends"][0]["addresses"])
    error = expect("AlreadyExists", client.call, "ChangeLink", name="v0", change={"addAddresses": ["10.0.2.1/24"]})
    assert error.field == "change.addAddresses[0]"
    error = expect("NotFound", client.call, "ChangeLink", name="v0", change={"removeAddresses": ["10.0.7.1/24"]})
    assert "removeAddresses" in error.field
    client.call("ChangeLink", name="v0", change={"addresses": []})
    assert kernel.addresses("v0") == set()


def test_bridge_membership_changes(client, red):
    client.call("CreateLink", bridge("br0"))
    client.call("CreateLink", veth(end(None, "v0"), end("red")))
    client.call("ChangeLink", name="v0", change={"bridge": "br0"})
    assert kernel.link("v0")["master"] == "br0"
    client.call("ChangeLink", name="v0", change={"noBridge": True})
    assert "master" not in kernel.link("v0")
    assert "bridge" not in client.call("GetLink", name="v0")["link"]["ends"][0]


def test_change_the_kernel_refuses_changes_nothing(client, red):
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24"), end("red")))
    before = (kernel.addresses("v0"), kernel.link("v0")["mtu"], client.links()["v0"])
    with pytest.raises(Error):
        client.call("ChangeLink", name="v0", change={"mtu": 1400, "routes": [route("default", "192.168.99.1")]})
    assert (kernel.addresses("v0"), kernel.link("v0")["mtu"], client.links()["v0"]) == before


def test_rename_onto_a_taken_name(client, red, host):
    host.add_foreign_link("taken")
    client.call("CreateLink", veth(end(None, "v0"), end("red")))
    error = expect("NameTaken", client.call, "ChangeLink", name="v0", change={"interface": "taken"})
    assert error.field == "change.interface"
    assert "v0" in kernel.links()


def test_counters(client, red):
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24"), end("red", "in0", "10.0.0.2/24")))
    assert kernel.ping("10.0.0.2", count=5)
    ends = client.call("GetLink", name="v0")["link"]["ends"]
    assert ends[0]["counters"]["sentPackets"] >= 5 and ends[1]["counters"]["receivedPackets"] >= 5
    stats = kernel.pyroute2_links()["v0"].get_attr("IFLA_STATS64")
    assert ends[0]["counters"]["sentBytes"] <= stats["tx_bytes"]
    assert all("counters" not in item for item in client.links()["v0"]["ends"])
    assert all("counters" in item for item in client.links(foreign=False, counters=True)["v0"]["ends"])


def test_list_of_one_namespace(client, red, blue):
    client.call("CreateLink", veth(end(None, "v0"), end("red")))
    client.call("CreateLink", veth(end(None, "v1"), end("blue")))
    client.call("CreateLink", veth(end("red", "x"), end("blue", "y")))
    assert set(client.links(namespace="red", foreign=False)) == {"v0", "red.x"}
    assert set(client.links(namespace="blue", foreign=False)) == {"v1", "red.x"}
    expect("NotFound", client.links, namespace="absent")


def test_foreign_links_are_shown_and_not_changed(client, host):
    host.add_foreign_link("theirs")
    item = poll.until(lambda: client.links(foreign=True).get("theirs"), "the foreign link is listed")
    assert item["foreign"] is True and item["ends"][0]["interface"] == "theirs"
    assert "theirs" not in client.links(foreign=False)
    for method, more in (("DeleteLink", {}), ("RepairLink", {}), ("ChangeLink", {"change": {"up": True}})):
        with pytest.raises(Error) as raised:
            client.call(method, name="theirs", **more)
        assert raised.value.short in ("Foreign", "NotFound")
    assert "theirs" in kernel.links() and not kernel.is_up("theirs")


def test_hostile_interface_names_are_valid_json(client):
    """The kernel takes nearly any byte in a name; the client here insists on strict JSON in UTF-8."""
    for name in (b'quo"te', b"back\\slash", b"apo'strophe", b"\xff\xfe", b"bell\x07"):
        subprocess.run([b"ip", b"link", b"add", name, b"type", b"bridge"], check=True)
    poll.equal(lambda: sum(1 for item in client.links(foreign=True).values() if item["kind"] == "bridge"), 5,
               "all are listed")
    with IPRoute() as socket:
        for message in socket.get_links():
            if message["index"] != 1:
                socket.link("del", index=message["index"])
    poll.equal(lambda: sum(1 for item in client.links(foreign=True).values() if item["kind"] == "bridge"), 0, "gone")


def test_delete(nsd, client, red, host):
    before = host.snapshot()["links"]
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24"), end("red")))
    assert client.call("DeleteLink", name="v0", wait=True).get("state") is None
    assert host.snapshot()["links"] == before and sorted(kernel.links("red")) == ["lo"]
    assert nsd.recorded("link") == []
    error = expect("NotFound", client.call, "DeleteLink", name="v0")
    assert "v0" in error.parameters["message"]


def test_same_link_again_and_again(client, red):
    """No EEXIST from a name whose former owner is still being torn down."""
    for _ in range(15):
        client.call("CreateLink", veth(end(None, "again", "10.0.0.1/24"), end("red", "eth0", "10.0.0.2/24")))
        client.call("DeleteLink", name="again")
    assert "again" not in client.links(foreign=False) or client.links()["again"]["state"] == "draining"


def test_same_namespace_with_link_again_and_again(client):
    for _ in range(15):
        client.call("CreateNamespace", name="again", links=[veth(end(None, "v0"), end("again"))])
        client.call("DeleteNamespace", name="again")


def test_first_packet_does_not_wait(client):
    """With addresses known on both ends the neighbours are known too, or resolved at once."""
    client.call("CreateNamespace", name="q", links=[veth(end(None, "v0", "10.0.0.1/24"), end("q", None, "10.0.0.2/24"))])
    started = time.monotonic()
    assert kernel.ping("10.0.0.2", deadline=1)
    assert time.monotonic() - started < 0.5


def test_lifetime_follows_its_namespace(nsd, client):
    client.call("CreateNamespace", name="short", lifetime="runtime")
    assert client.call("CreateLink", veth(end(None, "v0"), end("short")))["link"]["lifetime"] == "runtime"
    error = expect("InvalidValue", client.call, "CreateLink", veth(end(None, "v1"), end("short"), lifetime="persistent"))
    assert error.field == "lifetime"


def test_ends_may_have_equal_ifindex(client, red):
    """Numbers of interfaces count per namespace; the two ends must not be mixed up."""
    link = client.call("CreateLink", veth(end(None, "v0"), end("red", "in0")))["link"]
    for index, (name, netns) in enumerate((("v0", None), ("in0", "red"))):
        assert link["ends"][index]["ifindex"] == kernel.link(name, netns)["ifindex"]


def test_peer_is_made_in_its_namespace(client, red, host):
    """The peer never shows up in the host, not even for a moment."""
    log = pathlib.Path("/run/test/events")
    with open(log, "wb") as output:
        host.popen("ip", "-o", "monitor", "link", stdout=output)
    kernel.ip("link", "add", "marker", "type", "bridge")

    def listening():
        kernel.ip("link", "set", "marker", "up")
        kernel.ip("link", "set", "marker", "down")
        return b"marker" in log.read_bytes()
    poll.until(listening, "the watcher listens")
    client.call("CreateLink", veth(end(None, "v0"), end("red", "peer-name")))
    kernel.ip("link", "del", "marker")
    poll.until(lambda: b"Deleted" in log.read_bytes(), "all events are in")
    assert b"v0" in log.read_bytes() and b"peer-name" not in log.read_bytes()


def test_attached_namespace_takes_links(client, host):
    child = host.process_in_new_netns()
    client.call("AttachNamespace", name="kod", pid=child.pid)
    client.call("CreateLink", veth(end(None, "v0", "10.0.0.1/24"), end("kod", "eth0", "10.0.0.2/24")))
    with sandbox.inside(f"/proc/{child.pid}/ns/net"):
        assert kernel.addresses("eth0") == {"10.0.0.2/24"}
    client.call("DeleteLink", name="v0", wait=True)
    client.call("DetachNamespace", name="kod")
