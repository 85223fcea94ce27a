# SPDX-License-Identifier: GPL-2.0-or-later
"""What each command line makes nsc say on the wire: the methods and the exact parameters."""
import json
import os
import shlex
import time

import pytest

from fake import Error

VETH = {"name": "veth-a", "generation": 7, "ends": [{"interface": "veth-a"},
                                                    {"interface": "veth-b", "namespace": "nstest"}]}
UPLINK = {"name": "uplink", "generation": 8, "ends": [{"interface": "eth0", "namespace": "c1"},
                                                      {"interface": "eth0", "namespace": "c2"}]}
BRIDGE = {"name": "net0", "kind": "bridge", "generation": 9, "ends": [{"interface": "br0"}]}
OURS = [BRIDGE, UPLINK, VETH]

NAMESPACES = {
    "add x": [("CreateNamespace", {"name": "x"})],
    "add x runtime": [("CreateNamespace", {"name": "x", "lifetime": "runtime"})],
    "add x persistent no-loopback nsid 5":
        [("CreateNamespace", {"name": "x", "lifetime": "persistent", "loopback": False, "nsid": 5})],
    "add x label a=b label c= sysctl net.ipv4.ip_forward=1 sysctl net.ipv4.ping_group_range='0 10'":
        [("CreateNamespace", {"name": "x", "labels": {"a": "b", "c": ""},
                              "sysctls": {"net.ipv4.ip_forward": "1", "net.ipv4.ping_group_range": "0 10"}})],
    "add runtime": [("CreateNamespace", {"name": "runtime"})],
    "ensure x runtime": [("EnsureNamespace", {"name": "x", "lifetime": "runtime"})],
    "del x": [("DeleteNamespace", {"name": "x"})],
    "delete x y": [("DeleteNamespace", {"name": "x"}), ("DeleteNamespace", {"name": "y"})],
    "rm --wait x": [("DeleteNamespace", {"name": "x", "wait": True})],
    "del x --wait generation 12": [("DeleteNamespace", {"name": "x", "wait": True, "generation": 12})],
    "del generation": [("DeleteNamespace", {"name": "generation"})],
    "detach x": [("DetachNamespace", {"name": "x"})],
    "detach x generation 3": [("DetachNamespace", {"name": "x", "generation": 3})],
    "list": [("ListNamespaces", {})],
    "ls --own": [("ListNamespaces", {"foreign": False})],
    "list --names --json": [("ListNamespaces", {})],
    "inspect x": [("GetNamespace", {"name": "x"}), ("ListProcesses", {"name": "x"})],
    "show x --json": [("GetNamespace", {"name": "x"})],
    "set x nsid 4": [("ChangeNamespace", {"name": "x", "nsid": 4})],
    "set x 4": [("ChangeNamespace", {"name": "x", "nsid": 4})],
    "set x auto": [("ChangeNamespace", {"name": "x", "nsid": -1})],
    "set x nsid auto": [("ChangeNamespace", {"name": "x", "nsid": -1})],
    "set x label a=b loopback down": [("ChangeNamespace", {"name": "x", "labels": {"a": "b"}, "loopback": False})],
    "set x loopback up sysctl net.ipv4.ip_forward=0 generation 9":
        [("ChangeNamespace", {"name": "x", "loopback": True, "sysctls": {"net.ipv4.ip_forward": "0"},
                              "generation": 9})],
    "set x owner 1000": [("ChangeNamespace", {"name": "x", "owner": 1000})],
    "set x owner root": [("ChangeNamespace", {"name": "x", "owner": 0})],
    "repair x": [("RepairNamespace", {"name": "x"})],
    "pids x": [("ListProcesses", {"name": "x"})],
    "identify": [("IdentifyProcess", {})],
}

LINKS = {
    "link add veth-a": [("CreateLink", {"ends": [{"interface": "veth-a"}, {}]})],
    "link add veth-a address 10.0.0.1/24 peer veth-b netns nstest address 10.0.0.2/24":
        [("CreateLink", {"ends": [{"interface": "veth-a", "addresses": ["10.0.0.1/24"]},
                                  {"interface": "veth-b", "namespace": "nstest", "addresses": ["10.0.0.2/24"]}]})],
    "link add veth-a type veth peer name veth-b netns x":
        [("CreateLink", {"kind": "veth", "ends": [{"interface": "veth-a"}, {"interface": "veth-b", "namespace": "x"}]})],
    "link add veth-a type veth peer netns x name veth-b":
        [("CreateLink", {"kind": "veth", "ends": [{"interface": "veth-a"}, {"interface": "veth-b", "namespace": "x"}]})],
    "link add name veth-a netns y type veth peer name veth-b netns x":
        [("CreateLink", {"kind": "veth", "ends": [{"interface": "veth-a", "namespace": "y"},
                                                  {"interface": "veth-b", "namespace": "x"}]})],
    "link add dev veth-a mtu 1400 address 02:00:00:00:00:01 type veth peer dev veth-b lladdr 02:00:00:00:00:02 down":
        [("CreateLink", {"kind": "veth", "ends": [{"interface": "veth-a", "mtu": 1400, "mac": "02:00:00:00:00:01"},
                                                  {"interface": "veth-b", "mac": "02:00:00:00:00:02", "up": False}]})],
    "link add a 10.0.0.1/24 fd00::1/64 peer netns x up":
        [("CreateLink", {"ends": [{"interface": "a", "addresses": ["10.0.0.1/24", "fd00::1/64"]},
                                  {"namespace": "x", "up": True}]})],
    "link add a name uplink peer b": [("CreateLink", {"name": "uplink", "ends": [{"interface": "a"}, {"interface": "b"}]})],
    "link add a name uplink runtime label k=v":
        [("CreateLink", {"name": "uplink", "lifetime": "runtime", "labels": {"k": "v"}, "ends": [{"interface": "a"}, {}]})],
    "link add a peer eth0 namespace c1 10.1.0.2/24 gateway 10.1.0.1 route 10.2.0.0/16 via 10.1.0.9 metric 5 "
    "route 10.3.0.0/16":
        [("CreateLink", {"ends": [
            {"interface": "a"},
            {"interface": "eth0", "namespace": "c1", "addresses": ["10.1.0.2/24"], "routes": [
                {"destination": "default", "gateway": "10.1.0.1"},
                {"destination": "10.2.0.0/16", "gateway": "10.1.0.9", "metric": 5},
                {"destination": "10.3.0.0/16"}]}]})],
    "link add a peer b via 10.1.0.1 metric 7":
        [("CreateLink", {"ends": [{"interface": "a"}, {"interface": "b", "routes": [
            {"destination": "default", "gateway": "10.1.0.1", "metric": 7}]}]})],
    "link add a bridge br0 peer b": [("CreateLink", {"ends": [{"interface": "a", "bridge": "br0"}, {"interface": "b"}]})],
    "link add a master br0": [("CreateLink", {"ends": [{"interface": "a", "bridge": "br0"}, {}]})],
    "link add br0 type bridge 10.1.0.1/24":
        [("CreateLink", {"kind": "bridge", "ends": [{"interface": "br0", "addresses": ["10.1.0.1/24"]}]})],
    "link ensure a peer b": [("EnsureLink", {"ends": [{"interface": "a"}, {"interface": "b"}]})],
    "link": [("ListLinks", {})],
    "link list": [("ListLinks", {})],
    "link ls netns x --counters --own": [("ListLinks", {"namespace": "x", "counters": True, "foreign": False})],
    "link show veth-a": [("GetLink", {"name": "veth-a"}), ("GetLink", {"name": "veth-a"})],
    "link show veth-b": [("GetLink", {"name": "veth-b"}), ("ListLinks", {}), ("GetLink", {"name": "veth-a"})],
    "link repair veth-a": [("RepairLink", {"name": "veth-a"})],
    "link del veth-a": [("DeleteLink", {"name": "veth-a"})],
    "link del veth-a --wait generation 2": [("DeleteLink", {"name": "veth-a", "wait": True, "generation": 2})],
    "link delete veth-b": [("DeleteLink", {"name": "veth-b"}), ("ListLinks", {}),
                           ("DeleteLink", {"name": "veth-a", "generation": 7})],
    "link del nstest/veth-b": [("ListLinks", {}), ("DeleteLink", {"name": "veth-a", "generation": 7})],
    "link del /veth-a": [("ListLinks", {}), ("DeleteLink", {"name": "veth-a", "generation": 7})],
    "link del nstest.veth-b": [("DeleteLink", {"name": "nstest.veth-b"}), ("ListLinks", {}),
                               ("DeleteLink", {"name": "veth-a", "generation": 7})],
}


def change(end, **fields):
    return ("ChangeLink", {"name": "veth-a", "generation": 7, "end": end, "change": fields})


CHANGES = {
    "veth-a mtu 1400": change(0, mtu=1400),
    "veth-b mtu 1400": change(1, mtu=1400),
    "nstest/veth-b up": change(1, up=True),
    "/veth-a down": change(0, up=False),
    "veth-b netns other": change(1, namespace="other"),
    "veth-b host": change(1, host=True),
    "veth-b name eth7": change(1, interface="eth7"),
    "veth-b mac 02:00:00:00:00:09": change(1, mac="02:00:00:00:00:09"),
    "veth-b address 02:00:00:00:00:09": change(1, mac="02:00:00:00:00:09"),
    "veth-b address add 10.0.0.7/24 address del 10.0.0.2/24 address add fd00::1/64":
        change(1, addAddresses=["10.0.0.7/24", "fd00::1/64"], removeAddresses=["10.0.0.2/24"]),
    "veth-b address 10.0.0.7/24 address 10.0.0.8/24": change(1, addresses=["10.0.0.7/24", "10.0.0.8/24"]),
    "veth-b address none": change(1, addresses=[]),
    "veth-b route 10.2.0.0/16 via 10.0.0.1 gateway 10.0.0.1":
        change(1, routes=[{"destination": "10.2.0.0/16", "gateway": "10.0.0.1"},
                          {"destination": "default", "gateway": "10.0.0.1"}]),
    "veth-b route none": change(1, routes=[]),
    "veth-a bridge br0": change(0, bridge="br0"),
    "veth-a nobridge": change(0, noBridge=True),
    "veth-a nomaster": change(0, noBridge=True),
    "veth-a mtu 1400 end 1": change(1, mtu=1400),
    "veth-a label k=v": ("ChangeLink", {"name": "veth-a", "generation": 7, "labels": {"k": "v"}}),
    "veth-a up generation 3": ("ChangeLink", {"name": "veth-a", "generation": 3, "end": 0, "change": {"up": True}}),
    "net0 mtu 1400": ("ChangeLink", {"name": "net0", "generation": 9, "end": 0, "change": {"mtu": 1400}}),
    "br0 mtu 1400": ("ChangeLink", {"name": "net0", "generation": 9, "end": 0, "change": {"mtu": 1400}}),
    "uplink label k=v": ("ChangeLink", {"name": "uplink", "generation": 8, "labels": {"k": "v"}}),
    "uplink down end 1": ("ChangeLink", {"name": "uplink", "generation": 8, "end": 1, "change": {"up": False}}),
    "c2/eth0 down": ("ChangeLink", {"name": "uplink", "generation": 8, "end": 1, "change": {"up": False}}),
}

NETWORKS = {
    "network add web --ipv4 10.64.0.0/16": [("CreateNetwork", {"name": "web", "ipv4": "10.64.0.0/16"})],
    "network add web --ipv4 10.64.0.0/16 --ipv6 fd00:64::/112 --mtu 1400 --egress masquerade --no-isolation "
    "--service tcp/53 --service udp/53 --dns 10.64.0.0 --dns fd00:64:: --publish tcp/30000-30999 --publish udp/53 "
    "--interface net0 --inner4 172.16.0.2/30 --inner6 fd00:1::2/126 --sysctl net.ipv4.ip_forward=1 --ready 64 "
    "--maximum 512 --label team=shop":
        [("CreateNetwork", {
            "name": "web", "ipv4": "10.64.0.0/16", "ipv6": "fd00:64::/112", "mtu": 1400, "egress": "masquerade",
            "isolated": False, "services": [{"protocol": "tcp", "port": 53}, {"protocol": "udp", "port": 53}],
            "dns": ["10.64.0.0", "fd00:64::"],
            "publish": [{"protocol": "tcp", "first": 30000, "last": 30999}, {"protocol": "udp", "first": 53, "last": 53}],
            "interface": "net0", "inner4": "172.16.0.2/30", "inner6": "fd00:1::2/126",
            "sysctls": {"net.ipv4.ip_forward": "1"}, "ready": 64, "maximum": 512, "labels": {"team": "shop"}})],
    "network add web --ipv6 fd00:64::/112 --ensure": [("EnsureNetwork", {"name": "web", "ipv6": "fd00:64::/112"})],
    "network set web --ready 5 --isolation --service none --dns none --publish none --label a= --generation 7":
        [("ChangeNetwork", {"name": "web", "ready": 5, "isolated": True, "services": [], "dns": [], "publish": [],
                            "labels": {"a": ""}, "generation": 7})],
    "network set web --service none --service tcp/22":
        [("ChangeNetwork", {"name": "web", "services": [{"protocol": "tcp", "port": 22}]})],
    "network set web label a=b sysctl net.core.somaxconn=9 generation 3":
        [("ChangeNetwork", {"name": "web", "labels": {"a": "b"}, "sysctls": {"net.core.somaxconn": "9"},
                            "generation": 3})],
    "network del web": [("DeleteNetwork", {"name": "web"})],
    "network rm web --force --wait --generation 4":
        [("DeleteNetwork", {"name": "web", "force": True, "wait": True, "generation": 4})],
    "network": [("ListNetworks", {})],
    "network list": [("ListNetworks", {})],
    "network ls --names": [("ListNetworks", {})],
    "network show web": [("GetNetwork", {"name": "web"})],
    "network repair web": [("RepairNetwork", {"name": "web"})],
    "pool": [("ListPools", {})],
    "pool list": [("ListPools", {})],
    "pool set web --ready 8 --maximum 9": [("ChangeNetwork", {"name": "web", "ready": 8, "maximum": 9})],
}

SLOTS = {
    "slot get web": [("AcquireSlot", {"network": "web", "bond": "nothing"})],
    "slot acquire web --key job-42 --ttl 1500ms --bond time --name":
        [("AcquireSlot", {"network": "web", "key": "job-42", "ttl": 1500, "bond": "time"})],
    "slot get web --ttl 30s": [("AcquireSlot", {"network": "web", "ttl": 30000})],
    "slot get web --ttl 5m": [("AcquireSlot", {"network": "web", "ttl": 300000})],
    "slot get web --ttl 2h": [("AcquireSlot", {"network": "web", "ttl": 7200000})],
    "slot get web --ttl 1d": [("AcquireSlot", {"network": "web", "ttl": 86400000})],
    "slot get web --empty fail --label a=b label c=d --netns box --bond nothing":
        [("AcquireSlot", {"network": "web", "empty": "fail", "labels": {"a": "b", "c": "d"}, "namespace": "box",
                          "bond": "nothing"})],
    "slot get web --send 10mbit --receive 1gbit --tap tap0 --tap-owner root --tap-mac 02:00:00:00:00:01 "
    "--tap-address 172.16.0.1/30 --tap-address fd00::1/126":
        [("AcquireSlot", {"network": "web", "bond": "nothing", "rate": {"send": 10000000, "receive": 1000000000},
                          "tap": {"interface": "tap0", "owner": 0, "mac": "02:00:00:00:00:01",
                                  "addresses": ["172.16.0.1/30", "fd00::1/126"]}})],
    "slot get web --send 9600bit --receive 56Kbit":
        [("AcquireSlot", {"network": "web", "bond": "nothing", "rate": {"send": 9600, "receive": 56000}})],
    "slot get web --publish tcp/8080:80 --publish udp/53":
        [("AcquireSlot", {"network": "web", "bond": "nothing",
                          "publish": [{"protocol": "tcp", "hostPort": 8080, "port": 80}, {"protocol": "udp", "port": 53}]})],
    "slot release web.17": [("ReleaseSlot", {"name": "web.17"})],
    "slot rm web.17 --generation 5 --wait": [("ReleaseSlot", {"name": "web.17", "generation": 5, "wait": True})],
    "slot renew web.17 --generation 5": [("RenewSlot", {"name": "web.17", "generation": 5})],
    "slot renew web.17 --generation 5 --ttl 1m": [("RenewSlot", {"name": "web.17", "generation": 5, "ttl": 60000})],
    "slot": [("ListSlots", {})],
    "slot list": [("ListSlots", {})],
    "slot ls web --state leased --names": [("ListSlots", {"network": "web", "state": "leased"})],
    "slot show web.17": [("GetSlot", {"name": "web.17"})],
    "slot explain web.17": [("ExplainSlot", {"name": "web.17"})],
}

OTHERS = {
    "status": [("GetStatus", {})],
    "monitor": [("Monitor", {})],
    "info": [("org.varlink.service.GetInfo", {})],
    "introspect": [("org.varlink.service.GetInterfaceDescription", {"interface": "io.nsd.Manager"})],
    "introspect org.varlink.service":
        [("org.varlink.service.GetInterfaceDescription", {"interface": "org.varlink.service"})],
    "call GetStatus": [("GetStatus", {})],
    "call io.systemd.service.Ping {}": [("io.systemd.service.Ping", {})],
    """call A.B '{"a":[1,2.5,null],"b":{"c":"\u00e9/"}}'""": [("A.B", {"a": [1, 2.5, None], "b": {"c": "\u00e9/"}})],
}


def by_name(name):
    def answer(call):
        for link in OURS:
            if call["parameters"]["name"] == link["name"]:
                return {"link": link}
        return Error("NotFound", message="no such link")
    return answer


def play(fake):
    fake.on("GetLink", by_name("name"))
    fake.on("ListLinks", {"links": OURS[:1]}, {"links": OURS[1:]})
    fake.on("DeleteLink", by_name("name"))


@pytest.mark.parametrize("line", [*NAMESPACES, *LINKS, *NETWORKS, *SLOTS, *OTHERS])
def test_request(nsc, fake, line):
    play(fake)
    nsc.ok(*shlex.split(line))
    assert fake.asked() == {**NAMESPACES, **LINKS, **NETWORKS, **SLOTS, **OTHERS}[line]


@pytest.mark.parametrize("line", CHANGES)
def test_link_set(nsc, fake, line):
    play(fake)
    nsc.ok("link", "set", *shlex.split(line))
    assert fake.asked()[-1] == CHANGES[line]
    assert all(method in ("GetLink", "ListLinks") for method, _ in fake.asked()[:-1])


def test_flags(nsc, fake):
    """`more` where the method streams, `oneway` on request, and nothing that is false."""
    for words in ("list", "link list", "network list", "slot list", "pids x", "monitor", "call A.B --more"):
        nsc.ok(*words.split())
        assert fake.calls[-1]["more"] is True and "oneway" not in fake.calls[-1], words
    for words in ("status", "show x --json", "pool list", "slot get web", "call A.B"):
        nsc.ok(*words.split())
        assert set(fake.calls[-1]) <= {"method", "parameters"}, words
    nsc.ok("call", "A.B", "--oneway")
    while fake.calls[-1]["method"] != "A.B" or "oneway" not in fake.calls[-1]:
        time.sleep(0.01)  # nsc does not wait for a oneway call to be read
    assert fake.calls[-1] == {"method": "A.B", "oneway": True}


def test_message_is_compact(nsc, fake):
    nsc.ok("add", "x", "nsid", "5")
    assert fake.raw == [b'{"method":"io.nsd.Manager.CreateNamespace","parameters":{"nsid":5,"name":"x"}}']


def test_parameters_from_stdin(nsc, fake):
    nsc.ok("call", "A.B", "-", input='{"a":1}\n')
    assert fake.asked() == [("A.B", {"a": 1})]


def test_attach_sends_a_pidfd(nsc, fake):
    nsc.ok("attach", "x", str(os.getpid()), "label", "k=v")
    assert fake.asked() == [("AttachNamespace", {"name": "x", "labels": {"k": "v"}, "pidFileDescriptor": 0})]
    assert fake.fds == [["anon_inode:[pidfd]"]]


def test_identify_sends_a_pidfd(nsc, fake):
    nsc.ok("identify", str(os.getpid()))
    assert fake.asked() == [("IdentifyProcess", {"pidFileDescriptor": 0})]
    assert fake.fds == [["anon_inode:[pidfd]"]]


def test_slot_of_a_process_sends_a_pidfd(nsc, fake):
    nsc.ok("slot", "get", "web", "--pid", str(os.getpid()))
    nsc.ok("slot", "get", "web", "--pid", str(os.getpid()), "--bond", "process")
    assert fake.asked() == [("AcquireSlot", {"network": "web", "processFileDescriptor": 0}),
                            ("AcquireSlot", {"network": "web", "bond": "process", "processFileDescriptor": 0})]
    assert fake.fds == [["anon_inode:[pidfd]"]] * 2
    assert "there is no process" in nsc.fails(3, "slot", "get", "web", "--pid", "4194304")


def test_attach_sends_a_namespace_file(nsc, fake):
    nsc.ok("attach", "x", "/proc/self/ns/net")
    assert fake.asked() == [("AttachNamespace", {"name": "x", "namespaceFileDescriptor": 0})]
    assert fake.fds[0][0].startswith("net:[")


def test_no_descriptor_leaks_into_other_calls(nsc, fake):
    nsc.ok("list")
    assert fake.fds == [[]]


def test_socket_by_option_and_environment(nsc, fake, tmp_path):
    nsc.ok("--socket", fake.path, "status", environment={"NSD_SOCKET": "/nowhere"})
    nsc.ok("status", f"--socket={fake.path}", environment={"NSD_SOCKET": "/nowhere"})
    nsc.ok("status")
    assert len(fake.calls) == 3


def test_ensure_says_what_it_did(nsc, fake):
    fake.on("EnsureNamespace", {"namespace": {"name": "x"}, "created": True})
    assert nsc.ok("ensure", "x") == "x: created\n"
    fake.on("EnsureNamespace", {"namespace": {"name": "x"}, "created": False})
    assert nsc.ok("ensure", "x") == "x: unchanged\n"
    fake.on("EnsureLink", {"link": {"name": "uplink"}, "created": False})
    assert nsc.ok("link", "ensure", "a") == "uplink: unchanged\n"
    fake.on("EnsureNetwork", {"network": {"name": "web"}, "created": True})
    assert nsc.ok("network", "add", "web", "--ipv4", "10.0.0.0/16", "--ensure") == "web: created\n"


def test_success_is_silent(nsc):
    for words in ("add x", "del x", "set x auto", "repair x", "link add a", "network add x --ipv4 10.0.0.0/16", "network set x --ready 1",
                  "network del x", "network repair x", "pool set x --ready 1", "slot release x.1",
                  "slot renew x.1 --generation 1"):
        assert nsc.ok(*words.split()) == ""


def test_json_of_quiet_verbs(nsc, fake):
    fake.on("CreateNamespace", {"namespace": {"name": "x", "new": [1]}})
    assert json.loads(nsc.ok("add", "x", "--json")) == {"namespace": {"name": "x", "new": [1]}}
