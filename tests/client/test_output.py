# SPDX-License-Identifier: GPL-2.0-or-later
"""What people and programs get to read."""
import json
import os
import pty
import re
import subprocess
import time

import pytest

from conftest import NSC
from fake import Error

NOW = int(time.time())
NAMESPACES = [
    {"name": "kod", "state": "ready", "attached": True, "lifetime": "runtime", "owner": 0, "created": NOW - 5400,
     "nsid": 12, "generation": 3, "pid": 77, "pidRunning": False},
    {"name": "nstest", "state": "ready", "lifetime": "persistent", "kinds": ["net"], "loopback": True, "nsid": 3,
     "owner": 0, "created": NOW - 7300, "generation": 2, "labels": {"a": "b", "c": "d e"}, "cookie": 4099,
     "path": "/run/netns/nstest", "sysctls": {"net.ipv4.ip_forward": "1"}},
    {"name": "other", "foreign": True},
    {"name": "wreck", "state": "lost", "lifetime": "persistent", "owner": 4000000, "created": NOW - 400000,
     "message": "its file is gone"},
]
LINK = {
    "name": "veth-a", "kind": "veth", "state": "ready", "lifetime": "persistent", "owner": 0, "created": NOW,
    "generation": 5, "ends": [
        {"interface": "veth-a", "addresses": ["10.0.0.1/24", "fd00::1/64"], "mac": "02:00:00:00:00:01", "mtu": 1500,
         "up": True, "running": True, "ifindex": 9,
         "counters": {"receivedBytes": 1, "receivedPackets": 2, "receivedErrors": 3, "receivedDropped": 4,
                      "sentBytes": 5, "sentPackets": 6, "sentErrors": 7, "sentDropped": 8}},
        {"interface": "veth-b", "namespace": "nstest", "addresses": ["10.0.0.2/24"], "up": False, "running": False,
         "routes": [{"destination": "default", "gateway": "10.0.0.1", "metric": 7}], "bridge": "br0"}]}
NETWORK = {
    "name": "web", "ipv4": "10.64.0.0/16", "ipv6": "fd00:64::/112", "egress": "masquerade", "isolated": True, "mtu": 1500,
    "services": [{"protocol": "tcp", "port": 53}, {"protocol": "udp", "port": 53}], "dns": ["10.64.0.0"],
    "publish": [{"protocol": "tcp", "first": 30000, "last": 30999}, {"protocol": "udp", "first": 53, "last": 53}],
    "interface": "eth0", "inner4": "172.16.0.2/30", "ready": 64, "maximum": 512, "state": "ready", "generation": 7,
    "owner": 0, "created": NOW - 7300, "uplink": "nsd-web", "host4": "10.64.0.0", "host6": "fd00:64::", "capacity": 32766,
    "readySlots": 60, "leasedSlots": 3, "makingSlots": 4, "drainingSlots": 1, "labels": {"team": "shop"}}
POOL = {"network": "web", "wanted": 64, "maximum": 512, "capacity": 32766, "ready": 60, "leased": 3, "making": 4,
        "draining": 1, "acquired": 1000, "warm": 990, "cold": 10, "released": 997, "refused": 2, "failed": 5,
        "acquireRate": 120, "makeRate": 130, "message": "8 being made"}
SLOT = {
    "name": "web.17", "network": "web", "state": "leased", "generation": 99, "path": "/run/nsd/slots/web.17",
    "namespace": "box", "interface": "eth0", "mac": "02:02:0a:40:00:22", "addresses": ["172.16.0.2/30"],
    "gateways": ["172.16.0.1"], "address4": "10.64.0.35", "address6": "fd00:64::23", "mtu": 1500, "dns": ["10.64.0.0"],
    "cookie": 4099, "key": "job-42", "owner": 0, "bond": "time", "pid": 77, "expires": 29500, "since": NOW - 7300,
    "labels": {"a": "b"}, "rate": {"send": 10000000, "receive": 1500000},
    "tap": {"interface": "tap0", "owner": 0, "mac": "02:00:00:00:00:01", "addresses": ["172.16.0.1/30"]},
    "published": [{"protocol": "tcp", "hostPort": 8080, "port": 80}, {"protocol": "udp", "hostPort": 53, "port": 53}]}
HOSTILE = "a\x1b[2J\x07\r\nb\u202ec\x7f\u0085"


def columns(text):
    return [re.split(r"  +", line) for line in text.splitlines()]


def on_terminal(path, *words, **environment):
    """What nsc writes when standard output is a terminal."""
    parent, child = pty.openpty()
    env = {**os.environ, "NSD_SOCKET": path, "TERM": "xterm", **environment}
    with subprocess.Popen([NSC, *words], stdin=subprocess.DEVNULL, stdout=child, stderr=child, env=env) as process:
        os.close(child)
        data = b""
        while True:
            try:
                piece = os.read(parent, 65536)
            except OSError:
                break
            if not piece:
                break
            data += piece
        process.wait(20)
    os.close(parent)
    return data.decode()


def test_list(nsc, fake):
    fake.on("ListNamespaces", {"namespaces": NAMESPACES[:1]}, {"namespaces": NAMESPACES[1:]})
    assert columns(nsc.ok("list")) == [
        ["NAME", "STATE", "LIFETIME", "NSID", "OWNER", "AGE"],
        ["kod", "ready", "attached", "12", "root", "90m"],
        ["nstest", "ready", "persistent", "3", "root", "2h"],
        ["other", "foreign", "-", "-", "-", "-"],
        ["wreck", "lost", "persistent", "-", "4000000", "4d"],
    ]
    assert nsc.ok("list", "--names") == "kod\nnstest\nother\nwreck\n"


def test_columns_are_aligned(nsc, fake):
    fake.on("ListNamespaces", {"namespaces": [{"name": "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9", "state": "ready"},
                                              {"name": "x", "state": "lost"}]})
    lines = nsc.ok("list").splitlines()
    assert {line.index(word) for line, word in zip(lines, ("STATE", "ready", "lost"))} == {8}
    assert not any(line.endswith(" ") for line in lines)


def test_empty_list(nsc):
    assert nsc.ok("list") == "NAME  STATE  LIFETIME  NSID  OWNER  AGE\n"
    assert json.loads(nsc.ok("list", "--json")) == {"namespaces": []}


def test_json_is_what_nsd_sent(nsc, fake):
    odd = [*NAMESPACES, {"name": "new", "unheardOf": {"deep": [1, None, 2.5, "/"]}}]
    fake.on("ListNamespaces", {"namespaces": odd[:2]}, {"namespaces": odd[2:]})
    text = nsc.ok("list", "--json")
    assert json.loads(text) == {"namespaces": odd} and text.count("\n") == 1
    fake.on("GetNamespace", {"namespace": odd[-1], "links": []})
    assert json.loads(nsc.ok("-j", "show", "new")) == {"namespace": odd[-1], "links": []}


def test_show(nsc, fake):
    fake.on("GetNamespace", {"namespace": NAMESPACES[1], "links": [LINK]})
    fake.on("ListProcesses", {"processes": [{"pid": 1, "command": "a"}]}, {"processes": [{"pid": 2, "command": "b"}]})
    text = nsc.ok("show", "nstest")
    for line in (r"state +ready", r"lifetime +persistent", r"loopback +up", r"nsid +3", r"cookie +4099",
                 r"path +/run/netns/nstest", r"labels +a=b c=d e", r"sysctls +net.ipv4.ip_forward=1",
                 r"owner +root", r"generation +2", r"processes +2", r"created +[0-9 :-]+ \(2h ago\)"):
        assert re.search(rf"^  {line}$", text, re.M), (line, text)
    assert columns(text)[-1] == ["veth-a", "ready", "veth", "veth-a", "10.0.0.1/24 fd00::1/64", "nstest/veth-b",
                                 "10.0.0.2/24"]


def test_show_attached_and_lost(nsc, fake):
    fake.on("GetNamespace", {"namespace": NAMESPACES[0]})
    fake.on("ListProcesses", Error("PermissionDenied"))
    text = nsc.ok("show", "kod")
    assert "from process 77, which has ended" in text and "processes" not in text
    fake.on("GetNamespace", {"namespace": NAMESPACES[3]})
    assert re.search(r"^  state +lost: its file is gone$", nsc.ok("show", "wreck"), re.M)


def test_link_list(nsc, fake):
    fake.on("ListLinks", {"links": [LINK, {"name": "br0", "kind": "bridge", "state": "ready",
                                           "ends": [{"interface": "br0"}]}]})
    assert columns(nsc.ok("link", "list"))[1:] == [
        ["veth-a", "ready", "veth", "veth-a", "10.0.0.1/24 fd00::1/64", "nstest/veth-b", "10.0.0.2/24"],
        ["br0", "ready", "bridge", "br0", "-", "-", "-"],
    ]
    table = columns(nsc.ok("link", "list", "--counters"))
    assert table[1] == ["veth-a", "veth-a", "1", "2", "3", "4", "5", "6", "7", "8"]
    assert table[2] == ["veth-a", "nstest/veth-b", *"--------"]


def test_link_show(nsc, fake):
    fake.on("GetLink", {"link": LINK})
    text = nsc.ok("link", "show", "veth-a")
    for line in (r"end +veth-a", r"  state +up, carrier", r"  addresses +10.0.0.1/24 fd00::1/64", r"  mtu +1500",
                 r"  received +1 bytes, 2 packets, 3 errors, 4 dropped", r"end +nstest/veth-b",
                 r"  state +down, no carrier", r"  route +default via 10.0.0.1 metric 7", r"  bridge +br0"):
        assert re.search(rf"^  {line}$", text, re.M), (line, text)


def test_pids(nsc, fake):
    fake.on("ListProcesses", {"processes": [{"pid": 10, "command": "sh"}, {"pid": 200, "command": HOSTILE}]})
    assert nsc.ok("pids", "x") == "10\n200\n"
    assert nsc.ok("pids", "x", "--long").splitlines()[:2] == ["PID  COMMAND", "10   sh"]


def test_identify(nsc, fake):
    fake.on("IdentifyProcess", {"names": ["a", "b"]})
    assert nsc.ok("identify") == "a\nb\n"
    fake.on("IdentifyProcess", {"names": []})
    assert nsc.ok("identify") == ""


def test_status(nsc, fake):
    fake.on("GetStatus", {"version": "9.9", "pid": 5, "started": NOW - 3, "ready": False, "namespaces": 4,
                          "storeWritable": False, "stateDirectory": "/var/lib/nsd", "bootId": "abc"})
    text = nsc.ok("status")
    assert text.startswith("nsd 9.9\n") and re.search(r"state +reconciling\n", text)
    assert "/var/lib/nsd cannot be written" in text
    assert json.loads(nsc.ok("status", "--json"))["pid"] == 5


def test_monitor(nsc, fake):
    fake.on("Monitor", {"sequence": 1, "event": "present", "namespace": NAMESPACES[1]}, {"sequence": 1, "event": "synced"},
            {"sequence": 2, "event": "drift", "link": {**LINK, "message": "veth-b is down"}})
    lines = nsc.ok("monitor").splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  present   namespace  nstest  ready  nsid 3", lines[0])
    assert re.fullmatch(r"\S+  synced", lines[1])
    assert lines[2].endswith("drift     link       veth-a  ready  veth-a - nstest/veth-b  veth-b is down")
    events = [json.loads(line) for line in nsc.ok("monitor", "--json").splitlines()]
    assert [event["event"] for event in events] == ["present", "synced", "drift"] and events[2]["link"]["name"] == "veth-a"


def test_introspect(nsc, fake):
    fake.on("org.varlink.service.GetInterfaceDescription", {"description": "interface a.b\n\n# " + "x" * 2000 + "\n"
                                                            "method A() -> ()\n"})
    assert nsc.ok("introspect") == "interface a.b\n\n# " + "x" * 2000 + "\nmethod A() -> ()\n"


def test_call(nsc, fake):
    fake.on("A.B", {"b": 1, "a": [True, None]})
    assert nsc.ok("call", "A.B") == '{"b":1,"a":[true,null]}\n'
    fake.on("A.B", {"n": 1}, {"n": 2})
    assert nsc.ok("call", "A.B", "--more") == '{"n":1}\n{"n":2}\n'
    fake.on("A.B", Error("A.Bad", why="x"))
    result = nsc("call", "A.B")
    assert (result.returncode, result.stdout, result.stderr) == (1, '{"why":"x"}\n', "nsc: A.Bad\n")
    fake.on("A.B", Error("NotFound", message="no such thing"))
    result = nsc("call", "A.B")
    assert (result.returncode, result.stderr) == (3, "nsc: io.nsd.Manager.NotFound: no such thing\n")


def shown(text, *lines):
    for line in lines:
        assert re.search(rf"^  {line}$", text, re.M), (line, text)


def test_network_list(nsc, fake):
    fake.on("ListNetworks", {"networks": [NETWORK]}, {"networks": [{"name": "bare", "ipv6": "fd00::/64", "isolated": False,
                                                                    "state": "lost", "capacity": 9}]})
    assert columns(nsc.ok("network", "list")) == [
        ["NAME", "STATE", "PREFIXES", "EGRESS", "ISOLATED", "READY", "LEASED", "MAXIMUM", "AGE"],
        ["web", "ready", "10.64.0.0/16 fd00:64::/112", "masquerade", "yes", "60/64", "3", "512", "2h"],
        ["bare", "lost", "fd00::/64", "none", "no", "0/0", "-", "9", "-"],
    ]
    assert nsc.ok("network", "list", "--names") == "web\nbare\n"
    assert [n["name"] for n in json.loads(nsc.ok("network", "list", "--json"))["networks"]] == ["web", "bare"]


def test_network_show(nsc, fake):
    fake.on("GetNetwork", {"network": NETWORK})
    shown(nsc.ok("network", "show", "web"), "state +ready", "prefixes +10.64.0.0/16 fd00:64::/112", "egress +masquerade",
          "isolated +yes", "services +tcp/53", " +udp/53", "publish +tcp/30000-30999", "dns +10.64.0.0", "inner4 +172.16.0.2/30",
          "uplink +nsd-web", "host +10.64.0.0 fd00:64::", "slots +60 ready of 64, 3 leased, 4 being made, 1 draining",
          "maximum +512", "capacity +32766", "generation +7", "labels +team=shop", "owner +root")
    assert json.loads(nsc.ok("network", "show", "web", "--json")) == {"network": NETWORK}


def test_pool_list(nsc, fake):
    fake.on("ListPools", {"pools": [POOL, {**POOL, "network": "idle", "wanted": 0, "ready": 0, "message": None}]})
    table = columns(nsc.ok("pool", "list"))
    assert table[0] == ["POOL", "READY", "LEASED", "MAKING", "DRAINING", "MAXIMUM", "ACQUIRED", "COLD", "REFUSED", "FAILED",
                        "ACQUIRED/S", "MADE/S", "NOTE"]
    assert table[1] == ["web", "60/64", "3", "4", "1", "512", "1000", "10", "2", "5", "120", "130", "8 being made"]
    assert table[2][:2] == ["idle", "0/0"] and table[2][-1] == "-"
    assert json.loads(nsc.ok("pool", "list", "--json"))["pools"][0] == POOL


def test_status_with_pools(nsc, fake):
    fake.on("GetStatus", {"version": "9.9", "networks": 1, "slots": 68, "readySlots": 60, "leasedSlots": 3,
                          "drainingSlots": 1}).on("ListPools", {"pools": [POOL]})
    text = nsc.ok("status")
    shown(text, "networks +1", "slots +68", "  ready +60", "  leased +3", "  draining +1")
    assert columns(text)[-1][:2] == ["web", "60/64"]
    assert json.loads(nsc.ok("status", "--json"))["slots"] == 68
    assert [method for method, _ in fake.asked()] == ["GetStatus", "ListPools", "GetStatus"]


def test_slot_list(nsc, fake):
    free = {"name": "web.18", "network": "web", "state": "ready", "address4": "10.64.0.37"}
    fake.on("ListSlots", {"slots": [SLOT, free]}, {"slots": [
        {**SLOT, "name": "web.19", "bond": "process", "expires": None, "key": None},
        {**SLOT, "name": "web.20", "bond": "connection", "expires": None}, {**SLOT, "name": "web.21", "bond": "nothing",
                                                                            "expires": None}]})
    table = columns(nsc.ok("slot", "list"))
    assert table[:3] == [
        ["NAME", "STATE", "ADDRESSES", "HOLDER", "BOND", "KEY", "AGE"],
        ["web.17", "leased", "10.64.0.35 fd00:64::23", "root", "time 29s", "job-42", "2h"],
        ["web.18", "ready", "10.64.0.37", "-", "-", "-", "-"],
    ]
    assert [row[4] for row in table[3:]] == ["process 77", "connection of 77", "nothing"] and table[3][5] == "-"
    assert nsc.ok("slot", "list", "--names").split() == [f"web.{n}" for n in range(17, 22)]


@pytest.mark.parametrize("words", ["slot show web.17", "slot get web"])
def test_slot_show(nsc, fake, words):
    fake.on("GetSlot", {"slot": SLOT}).on("AcquireSlot", {"slot": SLOT, "created": True})
    text = nsc.ok(*words.split())
    assert text.startswith("web.17\n")
    shown(text, "state +leased", "bond +time 29s", "key +job-42", "since +[0-9 :-]+", "address +10.64.0.35 fd00:64::23",
          "inside +172.16.0.2/30", "gateways +172.16.0.1", "dns +10.64.0.0", "interface +eth0", "mtu +1500",
          "mac +02:02:0a:40:00:22", "tap +tap0, opened by root", "  addresses +172.16.0.1/30", "send +10mbit",
          "receive +1500kbit", "published +tcp/8080:80", " +udp/53:53", "path +/run/nsd/slots/web.17", "namespace +box",
          "cookie +4099", "owner +root", "generation +99", "labels +a=b")


def test_slot_get(nsc, fake):
    fake.on("AcquireSlot", {"slot": SLOT, "created": False})
    assert nsc.ok("slot", "get", "web", "--key", "job-42", "--name") == "web.17\n"
    assert json.loads(nsc.ok("slot", "get", "web", "--json")) == {"slot": SLOT, "created": False}
    fake.on("AcquireSlot", Error("LimitExceeded", message="no slot is ready"))
    assert nsc.fails(8, "slot", "get", "web", "--empty", "fail") == "no slot is ready"


@pytest.mark.parametrize("expires, text", [(1, "1ms"), (1500, "1500ms"), (9000, "9s"), (59999, "59s"), (90000, "90s"),
                                           (600000, "10m"), (7200500, "2h"), (5400000, "90m"), (0, "0ms")])
def test_time_left(nsc, fake, expires, text):
    fake.on("GetSlot", {"slot": {**SLOT, "expires": expires}})
    shown(nsc.ok("slot", "show", "web.17"), f"bond +time {text}")


def test_slot_explain(nsc, fake):
    fake.on("ExplainSlot", {"slot": SLOT, "text": "web.17 is draining.\nA process is inside.", "holders": [
        {"pid": 10, "command": "sleep", "how": "process"}, {"pid": 200, "command": "sshd", "how": "fileDescriptor"}]})
    lines = nsc.ok("slot", "explain", "web.17").splitlines()
    assert lines[:3] == ["web.17 is draining.", "A process is inside.", ""]
    assert columns("\n".join(lines[3:])) == [["PID", "COMMAND", "HOW"], ["10", "sleep", "process"],
                                             ["200", "sshd", "fileDescriptor"]]
    fake.on("ExplainSlot", {"slot": SLOT, "text": "web.17 is in the pool."})
    assert nsc.ok("slot", "explain", "web.17") == "web.17 is in the pool.\n"


def test_monitor_of_networks_and_slots(nsc, fake):
    fake.on("Monitor", {"sequence": 1, "event": "ready", "network": NETWORK}, {"sequence": 2, "event": "changed", "slot": SLOT},
            {"sequence": 3, "event": "gone", "slot": {"name": "web.9", "state": "draining", "message": "pinned"}})
    lines = nsc.ok("monitor").splitlines()
    assert lines[0].endswith("  ready     network    web  ready  10.64.0.0/16 fd00:64::/112")
    assert lines[1].endswith("  changed   slot       web.17  leased  10.64.0.35 fd00:64::23  key job-42")
    assert lines[2].endswith("  gone      slot       web.9  draining  pinned")


# Hostile text

def hostile(o):
    """The object with every string in it replaced."""
    return {key: HOSTILE if isinstance(value, str) else [HOSTILE] if isinstance(value, list) else value
            for key, value in o.items()}


@pytest.mark.parametrize("words", ["list", "list --names", "show x", "link list", "link show x", "monitor", "pids x --long",
                                   "identify", "status", "info", "introspect", "list --json", "call A.B", "network list",
                                   "network show x", "network list --names", "pool list", "slot list", "slot show x.1",
                                   "slot get x", "slot get x --name", "slot explain x.1", "slot list --json"])
def test_no_control_reaches_the_terminal(nsc, fake, words):
    ns = {"name": HOSTILE, "state": HOSTILE, "message": HOSTILE, "path": HOSTILE, "labels": {HOSTILE: HOSTILE}}
    link = {"name": HOSTILE, "message": HOSTILE, "state": HOSTILE, "kind": HOSTILE,
            "ends": [{"interface": HOSTILE, "namespace": HOSTILE, "addresses": [HOSTILE], "bridge": HOSTILE,
                      "routes": [{"destination": HOSTILE, "gateway": HOSTILE}]}]}
    fake.on("ListNamespaces", {"namespaces": [ns]}).on("GetNamespace", {"namespace": ns, "links": [link]})
    fake.on("ListLinks", {"links": [link]}).on("GetLink", {"link": link})
    fake.on("Monitor", {"event": HOSTILE, "namespace": ns}, {"event": "drift", "link": link})
    fake.on("ListProcesses", {"processes": [{"pid": 1, "command": HOSTILE}]}).on("IdentifyProcess", {"names": [HOSTILE]})
    fake.on("GetStatus", {"version": HOSTILE, "stateDirectory": HOSTILE, "bootId": HOSTILE})
    fake.on("org.varlink.service.GetInfo", {"vendor": HOSTILE, "product": HOSTILE, "interfaces": [HOSTILE]})
    fake.on("org.varlink.service.GetInterfaceDescription", {"description": HOSTILE}).on("A.B", ns)
    network = {**hostile(NETWORK), "publish": [{"protocol": HOSTILE}]}
    slot = {**hostile(SLOT), "tap": hostile(SLOT["tap"]), "published": [{"protocol": HOSTILE}]}
    fake.on("ListNetworks", {"networks": [network]}).on("GetNetwork", {"network": network})
    fake.on("ListPools", {"pools": [hostile(POOL)]}).on("ListSlots", {"slots": [slot]}).on("GetSlot", {"slot": slot})
    fake.on("AcquireSlot", {"slot": slot})
    fake.on("ExplainSlot", {"text": HOSTILE, "holders": [{"pid": 1, "command": HOSTILE, "how": HOSTILE}]})
    text = nsc.ok(*words.split())
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text), repr(text)
    assert "\\x1b[2J" in text or "\\u001b[2J" in text
    if "--json" in words or "call" in words:
        assert HOSTILE in json.dumps(json.loads(text), ensure_ascii=False).encode().decode("unicode_escape") or \
            json.loads(text)


def test_hostile_error(nsc, fake):
    fake.on("GetStatus", Error("KernelError", message=HOSTILE, field=HOSTILE))
    line = nsc.fails(12, "status")
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", line)


def test_wrong_types_do_no_harm(nsc, fake):
    fake.on("ListNamespaces", {"namespaces": [{"name": 5, "state": [], "labels": "x", "nsid": "y", "owner": {}}, 7, None]})
    fake.on("ListLinks", {"links": [{"name": {}, "ends": [5, {"addresses": 7, "interface": None}]}, {"ends": "x"}]})
    fake.on("Monitor", {"event": 5, "namespace": 7, "link": "x"})
    fake.on("GetNamespace", {"namespace": 5, "links": {}})
    fake.on("IdentifyProcess", {"names": [5, None]})
    wrong = {"name": [], "state": 5, "ipv4": {}, "services": 7, "publish": [5, None, {"first": "x"}], "dns": "x",
             "bond": 5, "expires": "x", "tap": 5, "rate": [], "published": {}, "owner": "x", "labels": []}
    for method, key in (("ListNetworks", "networks"), ("ListPools", "pools"), ("ListSlots", "slots")):
        fake.on(method, {key: [wrong, 7, None, "x"]})
    fake.on("GetNetwork", {"network": wrong}).on("GetSlot", {"slot": wrong}).on("ExplainSlot", {"text": 5, "holders": [5]})
    for words in ("list", "link list", "link list --counters", "monitor", "show x", "identify", "network list",
                  "network show x", "pool list", "slot list", "slot show x.1", "slot get x", "slot explain x.1"):
        assert nsc(*words.split()).returncode == 0, words


# Terminals

def test_colour_only_on_a_terminal(nsc, fake):
    fake.on("ListNamespaces", {"namespaces": NAMESPACES})
    assert "\x1b" not in nsc.ok("list")
    assert "\x1b[32mready\x1b[0m" in on_terminal(fake.path, "list")
    assert "\x1b" not in on_terminal(fake.path, "list", NO_COLOR="1")
    assert "\x1b" in on_terminal(fake.path, "list", NO_COLOR="")
    assert "\x1b" not in on_terminal(fake.path, "list", TERM="dumb")


def test_json_is_indented_on_a_terminal(nsc, fake):
    fake.on("GetStatus", {"pid": 5, "ready": True})
    text = on_terminal(fake.path, "status", "--json")
    assert text.count("\n") > 2 and json.loads(text) == {"pid": 5, "ready": True}


def test_a_long_wait_is_explained(nsc, fake):
    def slow(_):
        time.sleep(2.5)
        return {}
    fake.on("DeleteNamespace", slow)
    assert "waiting until the kernel has let go" in on_terminal(fake.path, "del", "x", "--wait")
    assert nsc.ok("del", "x", "--wait") == ""


def test_full_output_device(nsc):
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([NSC, "help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1 and "cannot write the output" in result.stderr


# Help

def test_help(nsc, fake):
    everything = nsc.ok("help")
    assert nsc.ok("--help") == everything
    for verb in ("add", "exec", "monitor", "call"):
        assert f"\n  {verb} " in everything or f"\n  {verb}\n" in everything
        assert nsc.ok("help", verb) == nsc.ok(verb, "--help") == nsc.ok("--help", verb)
    assert nsc.ok("help", "link", "add") == nsc.ok("link", "add", "--help")
    assert "link set" in nsc.ok("help", "link")
    assert "[nsid N]" in nsc.ok("help", "add") and "[label KEY=VALUE]..." in nsc.ok("help", "add")
    assert nsc.ok("help", "inspect") == nsc.ok("help", "show")
    assert not any(len(line) > 120 for line in everything.splitlines())
    assert fake.calls == []


def test_version(nsc):
    assert re.fullmatch(r"nsc \d+\.\d+\.\d+\n", nsc.ok("version"))
    assert nsc.ok("--version") == nsc.ok("version")


def test_exit_statuses_are_listed(nsc):
    text = nsc.ok("help", "exit")
    assert re.search(r"^ +2  the command line is wrong", text, re.M) and re.search(r"^ +127  exec: ", text, re.M)
    assert len({line.split()[0] for line in text.splitlines()[1:]}) == len(text.splitlines()) - 1
