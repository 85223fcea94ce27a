# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixtures themselves, proved with `ip` alone: a test is isolated, and the leak check sees what was left."""
import os

import pytest

from nsdtest import frames, idl, kernel, networks, outside, poll, sandbox, traffic


def test_a_test_has_an_empty_host(host):
    assert sorted(kernel.links()) == ["lo"]
    assert os.listdir("/run") == ["test"]
    assert kernel.nsfs_mounts() == []
    host.finish()


@pytest.mark.parametrize("round", [1, 2])
def test_what_one_test_makes_another_does_not_see(host, round):
    assert not os.path.exists("/run/netns")
    host.add_foreign_netns("left-over")
    assert kernel.netns_files() == ["left-over"]
    assert len(kernel.nsfs_mounts()) >= 1


@pytest.mark.parametrize("what", ["netns", "link", "file", "process"])
def test_leak_check_finds(host, what, monkeypatch):
    monkeypatch.setattr(poll, "DEADLINE", 0.1)
    monkeypatch.setattr(poll.equal, "__defaults__", (0.1,))
    undo = {
        "netns": (("ip", "netns", "add", "x"), ("ip", "netns", "del", "x")),
        "link": (("ip", "link", "add", "x", "type", "veth", "peer", "name", "y"), ("ip", "link", "del", "x")),
        "file": (("sh", "-c", "mkdir -p /run/netns; : > /run/netns/x"), ("rm", "/run/netns/x")),
        "process": (("sh", "-c", "sleep 1000 > /dev/null 2>&1 & echo $! > /run/test/pid"), ("sh", "-c", "kill $(cat /run/test/pid)")),
    }[what]
    kernel.run(*undo[0])
    with pytest.raises(AssertionError):
        host.finish()
    kernel.run(*undo[1])


def test_inside_comes_back(host):
    host.add_foreign_netns("a")
    here, there = sandbox.cookie(), sandbox.cookie("/run/netns/a")
    assert here != there
    assert sandbox.cookie() == here
    assert set(kernel.pyroute2_links("a")) == {"lo"}
    assert sorted(kernel.links("a")) == ["lo"]


@pytest.mark.parametrize("text", [
    "interface a.b\nmethod m() -> ()\n", "interface ab\n", "interface a.b method M() -> ()\n",
    "interface a.b\nmethod M(a: ??int) -> ()\n", "interface a.b\nmethod M(a: T) -> ()\n",
    "interface a.b\nmethod M(a_: int) -> ()\n", "interface a.b\ntype T (a, b: int)\n",
])
def test_description_parser_refuses(text):
    with pytest.raises(idl.Mismatch):
        idl.Interface(text)


def test_description_parser_checks_values():
    interface = idl.Interface("interface a.b\n# doc\ntype T (a: ?[]int, e: (x, y))\nmethod M() -> (t: T)\n")
    declared = interface.methods["M"][1]
    interface.check(declared, {"t": {"a": [1], "e": "x"}}, "M")
    interface.check(declared, {"t": {"a": None, "e": "y"}}, "M")
    for bad in ({}, {"t": {}}, {"t": {"e": "z"}}, {"t": {"e": "x", "a": [True]}}, {"t": {"e": "x", "b": 1}}):
        with pytest.raises(idl.Mismatch):
            interface.check(declared, bad, "M")


# Traffic: that it is seen where it flows, and not where it does not; that bad frames do harm where nobody defends.

@pytest.fixture
def world(host):
    outside.make(host)


@pytest.mark.parametrize("family", networks.FAMILIES)
@pytest.mark.parametrize("protocol", traffic.KINDS)
def test_conversations(world, family, protocol):
    here, there = outside.HOST[family], outside.PEER[family]
    assert traffic.reaches(None, there, 7000, "outside", protocol) == here
    assert traffic.reaches("outside", here, 7000, None, protocol) == there
    assert not traffic.blocked("outside", here, 7000, None, protocol)
    kernel.run("nft", f"add table inet t; add chain inet t c {{ type filter hook input priority 0; }}; "
                      f"add rule inet t c {protocol} dport 7001 drop; add rule inet t c {protocol} dport 7002 reject")
    for port in (7001, 7002):
        assert traffic.blocked("outside", here, port, None, protocol)
        assert traffic.reaches("outside", here, port, None, protocol, deadline=0.1) is None
    assert traffic.getting_through(("outside", here, 7001, None, protocol), ("outside", here, 7003, None, protocol)) == \
        [f"{protocol} {here} port 7003"]
    kernel.run("nft", "flush", "ruleset")


def test_frames_by_hand(world):
    mac = {netns: kernel.link(name, netns)["address"] for netns, name in ((None, "out0"), ("outside", "eth0"))}
    for family in networks.FAMILIES:
        here, there = outside.HOST[family], outside.PEER[family]
        with traffic.Inbox(None, here, 7000) as inbox, traffic.Mouth("outside", "eth0") as mouth, \
                traffic.Ear(None, "out0") as ear:
            mouth.say(*(frames.ethernet(mac[None], mac["outside"], *frames.udp(there, here, 7000, data))
                        for data in (b"one", b"three", b"last")))
            assert inbox.until(b"last") == [(b"one", there), (b"three", there)]
            assert len(ear.heard(last=b"last")) >= 2
            assert not any(b"one" in frame for frame in ear.heard())


def test_bad_frames_do_harm(world):
    """Where nobody defends: an ARP answer and a neighbour advertisement unasked, and a router advertisement."""
    mac, other = kernel.link("eth0", "outside")["address"], "02:00:00:00:00:66"
    there = outside.PEER
    kernel.ip("neigh", "replace", there[4], "lladdr", mac, "nud", "stale", "dev", "out0")
    kernel.ip("neigh", "replace", there[6], "lladdr", mac, "nud", "stale", "dev", "out0")
    with traffic.Mouth("outside", "eth0") as mouth:
        mouth.say(frames.ethernet(frames.BROADCAST, other, *frames.arp(2, other, there[4], other, there[4])),
                  frames.ethernet(frames.ALL_NODES_MAC, other,
                                  *frames.neighbour_advertisement("fe80::66", other, there[6])),
                  frames.ethernet(frames.ALL_NODES_MAC, other,
                                  *frames.router_advertisement("fe80::66", other, "2001:db8:bad::/64")))
        for family in networks.FAMILIES:
            poll.equal(lambda family=family: kernel.neighbours()[there[family], "out0"][0], other, "the neighbour is moved")
        poll.until(lambda: ("default", "fe80::66", "out0", 1024) in {route for route in kernel.routes(family="-6")},
                   "the route is taken over")
    kernel.ip("-6", "route", "flush", "default")
    kernel.ip("-6", "route", "flush", "proto", "ra")


def test_addresses_of_slots():
    plan = networks.Plan(ipv4="10.64.0.0/16", ipv6="fd64::/64")
    assert plan.capacity == 32767
    assert plan.slot(1) == {4: "10.64.0.3", 6: "fd64::3"} and plan.router(300) == {4: "10.64.2.88", 6: "fd64::258"}
    assert plan.macs(300) == ("02:01:0a:40:02:58", "02:02:0a:40:02:58")
    assert networks.Plan(ipv6="fd64::1:0/112").macs(1) == ("02:01:00:01:00:02", "02:02:00:01:00:02")
    assert networks.Plan(ipv4="10.0.0.4/30").capacity == 1
