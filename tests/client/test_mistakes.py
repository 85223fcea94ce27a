# SPDX-License-Identifier: GPL-2.0-or-later
"""Mistakes on the command line: one clear line, status 2, and nothing sent."""
import shlex

import pytest

MISTAKES = {
    "": "no verb given",
    "frobnicate": 'unknown verb "frobnicate"',
    "lst": 'did you mean "list"?',
    "link lsit": 'did you mean "link list"?',
    "--frob list": 'unknown verb "--frob"',
    "list --frob": 'unknown option "--frob"',
    "list extra": 'unknown word "extra"',
    "status extra": '"extra" is one argument too many',
    "--socket": "--socket wants PATH",
    "--timeout x status": "--timeout x",
    "--timeout -1 status": "--timeout -1",
    "--json=1 status": "--json takes no value",
    "--host -oProxyCommand=x status": "--host",
    "add": "add wants NAME",
    "add --wait": 'unknown option "--wait"',
    "add .x": ".x:",
    "add x/y": "x/y:",
    "add x y": 'unknown word "y"',
    "add x nsid": '"nsid" wants N',
    "add x nsid five": "nsid five: not a whole number",
    "add x nsid 5x": "not a whole number",
    "add x nsid +5": "not a whole number",
    "add x nsid ''": "not a whole number",
    "add x nsid -1": "must be 0 to",
    "add x nsid 2147483648": "must be 0 to 2147483647",
    "add x nsid 99999999999999999999": "must be 0 to",
    "add x nsid 1 nsid 2": '"nsid" contradicts or repeats',
    "add x runtime persistent": '"persistent" contradicts or repeats',
    "add x label": '"label" wants KEY=VALUE',
    "add x label a": "label a: want KEY=VALUE",
    "add x label =b": "want KEY=VALUE",
    "add x label a=b label a=c": "label a is given twice",
    "add x label 'a b=c'": "a b=c:",
    "add x sysctl kernel.hostname=x": "kernel.hostname=x:",
    "add x sysctl net.ipv4.ip_forward='1;2'": "net.ipv4.ip_forward=1;2:",
    "ensure": "ensure wants NAME",
    "ensure x frob": 'unknown word "frob"',
    "del": "del wants NAME...",
    "del x generation": '"generation" wants N',
    "del x generation 0": "must be 1 to",
    "del x y generation 5": "one by one",
    "del x --all": 'unknown option "--all"',
    "detach": "detach wants NAME",
    "detach x y": 'unknown word "y"',
    "show": "show wants NAME",
    "show x y": '"y" is one argument too many',
    "set": "set wants NAME",
    "set x": "nothing to set",
    "set x generation 5": "nothing to set",
    "set x frob": 'unknown word "frob"',
    "set x nsid x": "nsid x: want a number",
    "set x nsid -2": "nsid -2: want a number",
    "set x loopback": '"loopback" wants up|down',
    "set x loopback maybe": "loopback maybe: want up|down",
    "set x owner nobody-has-this-name": "not a whole number",
    "attach x": "attach wants NAME PID|FILE",
    "attach x abc": "abc: not a process id",
    "attach x 0": "0: not a process id",
    "attach x 99999999999": "not a process id",
    "attach -x 1": 'unknown option "-x"',
    "attach .x 1": ".x:",
    "identify x": "x: not a process id",
    "identify 1 2": '"2" is one argument too many',
    "pids": "pids wants NAME",
    "repair": "repair wants NAME",
    "link add": "link add wants",
    "link add a frob": 'unknown word "frob"',
    "link add a --frob": 'unknown option "--frob"',
    "link add --frob": 'unknown option "--frob"',
    "link add interface-name-too-long": "interface interface-name-too-long",
    "link add a mtu": '"mtu" wants N',
    "link add a mtu 1": "mtu 1: must be 68 to 65535",
    "link add a mtu big": "mtu big: not a whole number",
    "link add a mtu 1400 mtu 1500": '"mtu" contradicts or repeats',
    "link add a up down": '"down" contradicts or repeats',
    "link add a mac 01:00:5e:00:00:01": "mac 01:00:5e:00:00:01",
    "link add a mac xx": "mac xx",
    "link add a address 10.0.0.1": "address 10.0.0.1",
    "link add a address 10.0.0.0/24": "address 10.0.0.0/24",
    "link add a address 10.0.0.1/33": "address 10.0.0.1/33",
    "link add a address": '"address" wants A/L',
    "link add a netns": '"netns" wants NS',
    "link add a netns -x": "netns -x",
    "link add a netns x netns y": '"netns" contradicts or repeats',
    "link add a route": '"route" wants DST',
    "link add a route 10.0.0.1/24": "route 10.0.0.1/24",
    "link add a route 10.0.0.0/24 via": '"via" wants GW',
    "link add a route 10.0.0.0/24 via x": "via x",
    "link add a route 10.0.0.0/24 metric -1": "metric -1: must be 0 to",
    "link add a gateway": '"gateway" wants GW',
    "link add a gateway 10.0.0.1/24": "gateway 10.0.0.1/24",
    "link add a bridge": '"bridge" wants BR',
    "link add a type vlan": "type vlan: want one of veth, bridge",
    "link add a type": '"type" wants veth|bridge',
    "link add a type bridge peer b": "a bridge has no peer",
    "link add a peer b peer c": '"peer" is given twice',
    "link add a peer --x": 'unknown option "--x"',
    "link add a name": '"name" wants NAME',
    "link add a name .x": "name .x",
    "link add a name x name y": '"name" contradicts or repeats',
    "link ensure": "link ensure wants",
    "link del": "link del wants",
    "link del a b": 'unknown word "b"',
    "link show": "link show wants",
    "link list netns": '"netns" wants NS',
    "link list frob": 'unknown word "frob"',
    "link repair": "link repair wants",
    "link set": "link set wants",
    "link set a": "link set wants",
    "link set a frob": 'unknown word "frob"',
    "link set a address": '"address" wants',
    "link set a address add": '"address add" wants A/L',
    "link set a address add x": "address add x",
    "link set a address 10.0.0.1/24 address add 10.0.0.2/24": "contradict each other",
    "link set a address none address 10.0.0.1/24 address none": "contradicts",
    "link set a netns x host": "contradict each other",
    "link set a bridge x nobridge": "contradict each other",
    "link set a end 2 up": "end 2: must be 0 to 1",
    "link set a generation 5": "nothing to set",
    "link set a name .x": "name .x",
    "network frob": 'unknown verb "network frob"',
    "network lits": 'did you mean "network list"?',
    "network add": "network add wants NAME",
    "network add web": "want --ipv4 PREFIX, --ipv6 PREFIX or both",
    "network add we.b --ipv4 10.0.0.0/16": "we.b: a network's name is",
    "network add web ipv4": 'unknown word "ipv4"',
    "network add web --ipv4": '"--ipv4" wants PREFIX',
    "network add web --ipv4 10.0.0.1/16": "--ipv4 10.0.0.1/16",
    "network add web --ipv4 fd00::/64": "not an IPv4 prefix",
    "network add web --ipv6 fd00::/20": "is /32 to /126",
    "network add web --ipv4 10.0.0.0/16 --egress nat": "--egress nat: want one of none, routed, masquerade",
    "network add web --ipv4 10.0.0.0/16 --isolation --no-isolation": '"--no-isolation" contradicts',
    "network add web --service": '"--service" wants PROTOCOL/PORT',
    "network add web --service 53": "--service 53: want tcp/PORT or udp/PORT",
    "network add web --service tcp/": "want tcp/PORT",
    "network add web --service tcp/0": "want tcp/PORT",
    "network add web --service tcp/65536": "want tcp/PORT",
    "network add web --service tcp/5x": "want tcp/PORT",
    "network add web --service sctp/5": "want tcp/PORT",
    "network add web --service tcp/53:54": "want tcp/PORT",
    "network add web --service tcp/53 --service none": "contradicts what was said before",
    "network add web --publish tcp/80:80": "--publish tcp/80:80: want ports of the host",
    "network add web --publish tcp/9-8": "want ports of the host",
    "network add web --publish tcp/8-": "want ports of the host",
    "network add web --dns example.org": "--dns example.org",
    "network add web --mtu 500": "--mtu 500: must be 576 to 65535",
    "network add web --ready -1": "--ready -1: must be 0 to",
    "network add web --maximum 0": "--maximum 0: must be 1 to",
    "network add web --inner4 10.0.0.1": "--inner4 10.0.0.1",
    "network add web --interface waytoolongforlinux": "--interface waytoolongforlinux",
    "network add web --sysctl kernel.hostname=x": "kernel.hostname=x:",
    "network set": "network set wants NAME",
    "network set web": "nothing to set",
    "network set web --generation 5": "nothing to set",
    "network set web --ipv4 10.0.0.0/16": 'unknown option "--ipv4"',
    "network set web --generation 0 --mtu 1400": "--generation 0: must be 1 to",
    "network del": "network del wants NAME",
    "network del web --all": 'unknown option "--all"',
    "network list web": 'unknown word "web"',
    "network show": "network show wants NAME",
    "network repair": "network repair wants NAME",
    "pool list web": '"web" is one argument too many',
    "pool set": "pool set wants NETWORK",
    "pool set web": "nothing to set",
    "pool set web --ready many": "--ready many: not a whole number",
    "slot get": "slot get wants NETWORK",
    "slot get we.b": "we.b: a network's name is",
    "slot get web --key": '"--key" wants KEY',
    "slot get web --key 'a b'": "--key a b: a key is",
    "slot get web --ttl 30": "--ttl 30: want a time with its unit, like 1500ms",
    "slot get web --ttl s": "want a time with its unit",
    "slot get web --ttl 1.5s": "want a time with its unit",
    "slot get web --ttl 50ms": "--ttl 50: must be 100 to",
    "slot get web --ttl 99999999999999999999d": "must be 100 to",
    "slot get web --bond connection": 'see "nsc slot run"',
    "slot get web --bond process": "Give --pid PID",
    "slot get web --bond time": "Give --ttl TIME",
    "slot get web --bond love": "--bond love: want one of connection, process, time, nothing",
    "slot get web --bond nothing --ttl 5s": "contradict each other",
    "slot get web --bond time --ttl 5s --pid 1": "contradict each other",
    "slot get web --pid x": "x: not a process id",
    "slot get web --empty wait": "--empty wait: want one of create, fail",
    "slot get web --send 10": "--send 10: want bits a second with their unit, like 500kbit, 10mbit or 1gbit",
    "slot get web --send 10mb": "want bits a second",
    "slot get web --send 1kbit": "must be 8000 to",
    "slot get web --receive 1000gbit": "must be 8000 to",
    "slot get web --send 1mbit --send 2mbit": '"--send" contradicts or repeats',
    "slot get web --publish tcp/8080-80": "like tcp/8080:80, or the slot's alone",
    "slot get web --publish tcp/8080:": "like tcp/8080:80",
    "slot get web --publish 8080:80": "like tcp/8080:80",
    "slot get web --netns a/b": "--netns a/b",
    "slot get web --tap-mac 02:00:00:00:00:01": "Give --tap NAME",
    "slot get web --tap-owner nobody-has-this-name": "not a whole number",
    "slot release": "slot release wants SLOT",
    "slot release web": "web: a slot's name is NETWORK.NUMBER",
    "slot release web.0": "web.0: a slot's name is",
    "slot renew": "slot renew wants SLOT",
    "slot renew web.1": "slot renew wants --generation N",
    "slot renew web.1 --generation 5 --ttl 5": "want a time",
    "slot list web x": 'unknown word "x"',
    "slot list --state lost": "--state lost: want one of making, ready, leased, draining",
    "slot show": "slot show wants SLOT",
    "slot show web": "web: a slot's name is",
    "slot explain": "slot explain wants SLOT",
    "slot explain web.x": "web.x: a slot's name is",
    "monitor x": '"x" is one argument too many',
    "call": "call wants METHOD",
    "call A.B '{'": "parameters:",
    "call A.B '[1]'": "parameters:",
    "call A.B '{\"a\":1,\"a\":2}'": "parameters:",
    "call A.B {} {}": 'unknown word "{}"',
    "call A.B --more --oneway": "contradict each other",
    "introspect a b": '"b" is one argument too many',
    "help frob": 'unknown verb "frob"',
    "bridge x": '"x" is one argument too many',
}


@pytest.mark.parametrize("line", MISTAKES)
def test_mistake(nsc, fake, line):
    assert MISTAKES[line] in nsc.fails(2, *shlex.split(line))
    assert fake.calls == []


def test_every_verb_has_mistakes():
    """A verb of the table that is not tried above is forgotten."""
    import os
    import subprocess
    text = subprocess.run([os.environ["NSC_BINARY"], "completion", ""], capture_output=True, text=True, check=True).stdout
    families = ("link", "network", "pool", "slot")
    verbs = set(text.split()) - {*families, "exec", "version", "completion", "info"}
    for first in families:
        second = subprocess.run([os.environ["NSC_BINARY"], "completion", first, ""], capture_output=True, text=True,
                                check=True).stdout
        verbs |= {f"{first} {word}" for word in second.split()}
    verbs -= {"slot exec", "slot run"}  # below
    tried = {" ".join(line.split()[:2]) for line in MISTAKES} | {line.split()[0] for line in MISTAKES if line}
    assert verbs <= tried


def test_exec_mistakes_end_with_125(nsc, fake):
    assert "exec wants NAME" in nsc.fails(125, "exec")
    for name in ("a/b", "..", "-x", "x" * 300):
        assert "cannot be the name" in nsc.fails(125, "exec", name, "true")
    assert fake.calls == []


def test_mistakes_of_slot_commands_end_with_125(nsc, fake):
    assert "slot exec wants SLOT" in nsc.fails(125, "slot", "exec")
    assert "web: a slot's name is" in nsc.fails(125, "slot", "exec", "web", "true")
    assert "slot run wants NETWORK" in nsc.fails(125, "slot", "run")
    assert "a.b: a network's name is" in nsc.fails(125, "slot", "run", "a.b", "true")
    assert 'unknown option "--frob"' in nsc.fails(125, "slot", "run", "web", "--frob", "true")
    assert 'unknown option "--ttl"' in nsc.fails(125, "slot", "run", "web", "--ttl", "5s", "true")
    assert '"--key" wants KEY' in nsc.fails(125, "slot", "run", "web", "--key")
    assert "want bits a second" in nsc.fails(125, "slot", "run", "web", "--send", "5", "--", "true")
    assert fake.calls == []


def test_ambiguous_interface(nsc, fake):
    from fake import Error
    fake.on("GetLink", Error("NotFound", message="no such link"))
    fake.on("ListLinks", {"links": [{"name": n, "generation": 1, "ends": [{"interface": "eth0", "namespace": n}]}
                                    for n in ("c1", "c2", "c3")]})
    assert "say which: c1/eth0, c2/eth0, c3/eth0" in nsc.fails(2, "link", "set", "eth0", "up")
    assert "say which" in nsc.fails(2, "link", "show", "eth0")
    assert [method for method, _ in fake.asked()] == ["GetLink", "ListLinks"] * 2


def test_own_interface_goes_before_a_foreign_one(nsc, fake):
    from fake import Error
    fake.on("GetLink", Error("NotFound", message="no such link"))
    fake.on("ListLinks", {"links": [{"name": "eth0", "foreign": True, "ends": [{"interface": "eth0"}]},
                                    {"name": "mine", "generation": 4, "ends": [{"interface": "eth0", "namespace": "x"}]}]})
    nsc.ok("link", "set", "eth0", "up")
    assert fake.asked()[-1] == ("ChangeLink", {"name": "mine", "generation": 4, "end": 0, "change": {"up": True}})


def test_which_end(nsc, fake):
    fake.on("GetLink", {"link": {"name": "uplink", "generation": 1, "ends": [{"interface": "a"}, {"interface": "b"}]}})
    assert "which end of uplink?" in nsc.fails(2, "link", "set", "uplink", "mtu", "1400")


def test_unknown_link(nsc, fake):
    from fake import Error
    fake.on("GetLink", Error("NotFound", message="no such link"))
    fake.on("DeleteLink", Error("NotFound", message="no such link"))
    for words in ("link set x up", "link del x", "link show x", "link del a/x"):
        assert 'there is no link' in nsc.fails(3, *words.split())


def test_too_long_a_request(nsc, fake):
    labels = [word for i in range(400) for word in ("label", f"k{i}=" + "v" * 200)]
    assert "nsd takes 65535" in nsc.fails(2, "add", "x", *labels)
    assert fake.calls == []


def test_invalid_utf8(nsc, fake):
    assert "not valid UTF-8" in nsc.fails(2, "del", b"\xff\xfe")
    assert "not valid UTF-8" in nsc.fails(2, "call", b"A.\xff")
    assert fake.calls == []
