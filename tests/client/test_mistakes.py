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
    second = subprocess.run([os.environ["NSC_BINARY"], "completion", "link", ""], capture_output=True, text=True,
                            check=True).stdout
    verbs = set(text.split()) - {"link", "exec", "version", "completion", "info"}
    verbs |= {f"link {word}" for word in second.split()}
    tried = {" ".join(line.split()[:2]) for line in MISTAKES} | {line.split()[0] for line in MISTAKES if line}
    assert verbs <= tried


def test_exec_mistakes_end_with_125(nsc, fake):
    assert "exec wants NAME" in nsc.fails(125, "exec")
    for name in ("a/b", "..", "-x", "x" * 300):
        assert "cannot be the name" in nsc.fails(125, "exec", name, "true")
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
