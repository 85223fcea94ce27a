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


# Hostile text

@pytest.mark.parametrize("words", ["list", "list --names", "show x", "link list", "link show x", "monitor", "pids x --long",
                                   "identify", "status", "info", "introspect", "list --json", "call A.B"])
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
    for words in ("list", "link list", "link list --counters", "monitor", "show x", "identify"):
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
