# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixtures themselves, proved with `ip` alone: a test is isolated, and the leak check sees what was left."""
import os

import pytest

from nsdtest import idl, kernel, poll, sandbox


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
