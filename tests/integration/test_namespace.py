# SPDX-License-Identifier: GPL-2.0-or-later
"""Namespaces: what each option does in the kernel, and the life of one from creation to its last holder."""
import os
import socket
import threading

import pytest

from nsdtest import kernel, poll, sandbox
from nsdtest.varlink import Error, expect


def test_create(nsd, client):
    reply = client.call("CreateNamespace", name="blue")["namespace"]
    assert reply["name"] == "blue" and reply["state"] == "ready"
    assert reply["path"] == "/run/netns/blue"
    assert reply["owner"] == 0 and reply["generation"] > 0 and reply["lifetime"] == "persistent"
    assert reply["kinds"] == ["net"]
    assert not reply.get("foreign") and not reply.get("attached")

    assert kernel.nsfs_mounts() == ["/run/netns/blue"], "exactly one mount"
    assert kernel.netns_files() == ["blue"]
    assert list(kernel.nsids()) == ["blue"]
    assert reply["cookie"] == sandbox.cookie("/run/netns/blue")
    assert sorted(kernel.links("blue")) == ["lo"]
    assert kernel.is_up("lo", "blue"), "lo is up"
    assert kernel.ping("127.0.0.1", "blue")
    assert nsd.recorded() == [("namespace", "blue")]


def test_directory_is_as_iproute2_wants_it(nsd, client):
    client.call("CreateNamespace", name="blue")
    points = {point: fields for point, fields, _ in kernel.mountinfo()}
    assert any(field.startswith("shared:") for field in points["/run/netns"])
    assert not any(field.startswith("master:") for field in points["/run/netns"])
    assert os.stat("/run/netns").st_mode & 0o777 == 0o755
    kernel.ip("netns", "add", "red")
    assert kernel.nsfs_mounts() == ["/run/netns/blue", "/run/netns/red"]
    kernel.ip("netns", "del", "red")


def test_loopback_down(client):
    assert client.call("CreateNamespace", name="quiet", loopback=False)["namespace"]["loopback"] is False
    assert not kernel.is_up("lo", "quiet")


def test_nsid(client):
    assert client.call("CreateNamespace", name="n", nsid=77)["namespace"]["nsid"] == 77
    assert kernel.nsids()["n"] == 77


def test_nsid_of_the_kernels_choice_is_shown(client):
    client.call("CreateNamespace", name="n")
    client.call("CreateLink", ends=[{"interface": "v0"}, {"namespace": "n"}])
    assert client.call("GetNamespace", name="n")["namespace"]["nsid"] == kernel.nsids()["n"]


def test_set_nsid_later(client):
    client.call("CreateNamespace", name="n")
    before = kernel.nsids()["n"]
    if before is None:
        assert client.call("ChangeNamespace", name="n", nsid=5)["namespace"]["nsid"] == 5
        assert kernel.nsids()["n"] == 5
    taken = kernel.nsids()["n"]
    error = expect("AlreadyExists", client.call, "ChangeNamespace", name="n", nsid=taken + 1)
    assert kernel.nsids()["n"] == taken, error


def test_nsid_taken_leaves_nothing(nsd, client):
    client.call("CreateNamespace", name="a", nsid=9)
    with pytest.raises(Error) as raised:
        client.call("CreateNamespace", name="b", nsid=9)
    assert raised.value.short in ("NameTaken", "AlreadyExists")
    assert raised.value.field == "nsid"
    assert kernel.netns_files() == ["a"] and nsd.recorded("namespace") == ["a"]


def test_sysctls(client):
    wanted = {"net.ipv4.ip_forward": "1", "net.ipv4.ip_local_port_range": "20000 20999", "net.core.somaxconn": "77",
              "net.ipv6.conf.all.forwarding": "1"}
    host_before = {key: kernel.sysctl(key) for key in wanted}
    reply = client.call("CreateNamespace", name="router", sysctls=wanted)["namespace"]
    assert reply["sysctls"] == wanted
    for key, value in wanted.items():
        assert kernel.sysctl(key, "router").split() == value.split(), key
    assert {key: kernel.sysctl(key) for key in wanted} == host_before


def test_sysctl_that_the_kernel_refuses_leaves_nothing(nsd, client):
    with pytest.raises(Error) as raised:
        client.call("CreateNamespace", name="bad", sysctls={"net.ipv4.ip_local_port_range": "nonsense"})
    assert "ip_local_port_range" in str(raised.value.parameters)
    assert kernel.netns_files() == [] and nsd.recorded() == []


def test_labels_and_change(nsd, client):
    client.call("CreateNamespace", name="l", labels={"team": "blue", "unicode": "grün"})
    generation = client.call("GetNamespace", name="l")["namespace"]["generation"]
    changed = client.call("ChangeNamespace", name="l", generation=generation, labels={"team": "red"}, loopback=False,
                          sysctls={"net.ipv4.ip_forward": "1"})["namespace"]
    assert changed["labels"] == {"team": "red", "unicode": "grün"}, "they join those that are there"
    assert changed["loopback"] is False
    assert not kernel.is_up("lo", "l")
    assert kernel.sysctl("net.ipv4.ip_forward", "l") == "1"
    client.call("ChangeNamespace", name="l", loopback=True, owner=1234)
    assert kernel.is_up("lo", "l")
    after = client.call("GetNamespace", name="l")["namespace"]
    assert after["owner"] == 1234 and after["labels"]["team"] == "red"
    nsd.restart(kill=True)
    with nsd.client() as again:
        kept = again.call("GetNamespace", name="l")["namespace"]
        assert (kept["owner"], kept["labels"], kept["loopback"]) == (1234, after["labels"], True)


def test_change_that_fails_changes_nothing(client):
    client.call("CreateNamespace", name="c", labels={"a": "1"})
    with pytest.raises(Error):
        client.call("ChangeNamespace", name="c", labels={"a": "2"}, sysctls={"net.ipv4.ip_local_port_range": "x"})
    after = client.call("GetNamespace", name="c")["namespace"]
    assert after["labels"] == {"a": "1"} and not after.get("sysctls")


def test_names_are_those_of_ip_netns(client):
    for name in ("a", "A.b-c_d", "0", "x" * 64):
        client.call("CreateNamespace", name=name)
        assert kernel.ip("netns", "exec", name, "true").returncode == 0
    assert set(client.namespaces()) == {"a", "A.b-c_d", "0", "x" * 64}


def test_same_name_twice(nsd, client):
    first = client.call("CreateNamespace", name="one")["namespace"]
    error = expect("AlreadyExists", client.call, "CreateNamespace", name="one")
    assert error.field == "name" and "one" in error.parameters["message"]
    assert client.call("GetNamespace", name="one")["namespace"]["cookie"] == first["cookie"]
    assert nsd.recorded() == [("namespace", "one")]


def test_exactly_one_of_many_creators_wins(nsd):
    outcomes, start = [], threading.Barrier(8)

    def create():
        with nsd.client() as client:
            start.wait()
            try:
                client.call("CreateNamespace", name="prize")
                outcomes.append("made")
            except Error as error:
                outcomes.append(error.short)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["AlreadyExists"] * 7 + ["made"]
    assert kernel.nsfs_mounts() == ["/run/netns/prize"]


def test_delete_leaves_nothing(nsd, client, host):
    client.call("CreateNamespace", name="gone", links=[{"ends": [{"interface": "v0"}, {"namespace": "gone"}]}])
    assert "v0" in kernel.links()
    assert client.call("DeleteNamespace", name="gone", wait=True).get("state") is None
    assert host.snapshot() == host.base
    assert nsd.recorded() == []
    error = expect("NotFound", client.call, "DeleteNamespace", name="gone")
    assert "gone" in error.parameters["message"] and error.field == "name"


def test_delete_without_waiting_ends_too(nsd, client, host):
    client.call("CreateNamespace", name="g", links=[{"ends": [{"interface": "v0"}, {"namespace": "g"}]}])
    client.call("DeleteNamespace", name="g")
    poll.equal(lambda: (client.namespaces(foreign=False), nsd.recorded(), host.snapshot()), ({}, [], host.base),
               "deleted")


def test_stale_generation(client):
    old = client.call("CreateNamespace", name="x")["namespace"]["generation"]
    client.call("DeleteNamespace", name="x", wait=True)
    new = client.call("CreateNamespace", name="x")["namespace"]["generation"]
    assert new > old
    for method in ("DeleteNamespace", "ChangeNamespace"):
        error = expect("StaleGeneration", client.call, method, name="x", generation=old)
        assert error.field == "generation"
    assert kernel.netns_files() == ["x"]
    client.call("DeleteNamespace", name="x", generation=new, wait=True)


def holders(host, path):
    """Each way to keep a namespace alive after its name is gone; yields (name, release)."""
    def process():
        child = host.popen("nsenter", f"--net={path}", "sleep", "1000")
        poll.until(lambda: os.readlink(f"/proc/{child.pid}/ns/net") == os.readlink(path)
                   if os.path.islink(path) else os.stat(f"/proc/{child.pid}/ns/net").st_ino == os.stat(path).st_ino,
                   "the process is inside")
        return lambda: (child.kill(), child.wait())

    def descriptor():
        fd = os.open(path, os.O_RDONLY)
        return lambda: os.close(fd)

    def udp_socket():
        with sandbox.inside(path):
            held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return held.close

    def in_flight():
        a, b = socket.socketpair()
        fd = os.open(path, os.O_RDONLY)
        socket.send_fds(a, [b"x"], [fd])
        os.close(fd)
        return lambda: (a.close(), b.close())

    def mount():
        os.makedirs("/run/test/elsewhere", exist_ok=True)
        with open("/run/test/elsewhere/copy", "w", encoding="utf-8"):
            pass
        sandbox.mount(path, "/run/test/elsewhere/copy", flags=sandbox.MS_BIND)
        return lambda: (sandbox.umount("/run/test/elsewhere/copy"), os.unlink("/run/test/elsewhere/copy"))

    return {"process": process, "descriptor": descriptor, "socket": udp_socket, "fd in flight": in_flight,
            "mount": mount}


@pytest.mark.parametrize("how", ["process", "descriptor", "socket", "fd in flight", "mount"])
def test_draining_until_the_last_holder_lets_go(nsd, client, host, how):
    client.call("CreateNamespace", name="held", links=[{"ends": [{"interface": "v0"}, {"namespace": "held"}]}])
    release = holders(host, "/run/netns/held")[how]()
    try:
        assert client.call("DeleteNamespace", name="held").get("state") == "draining"
        poll.until(lambda: "v0" not in kernel.links(), "the veth dies first, though the namespace is held")
        assert kernel.netns_files() == []
        item = client.namespaces(foreign=False)["held"]
        assert item["state"] == "draining" and item["message"], item
        assert nsd.recorded("namespace") == ["held"], "remembered until it is really gone"
    finally:
        release()
    poll.equal(lambda: client.namespaces(foreign=False), {}, "gone after the release")
    client.call("CreateNamespace", name="held")


def test_name_of_a_draining_one(nsd, client):
    """A request for the name waits a while for it, then says why it cannot be had."""
    client.call("CreateNamespace", name="held")
    fd = os.open("/run/netns/held", os.O_RDONLY)
    client.call("DeleteNamespace", name="held")
    client.send("CreateNamespace", {"name": "held"})
    with nsd.client() as other:
        assert other.namespaces()["held"]["state"] == "draining"
    os.close(fd)
    assert client.receive("CreateNamespace")[0]["namespace"]["state"] == "ready"
    fd = os.open("/run/netns/held", os.O_RDONLY)
    client.call("DeleteNamespace", name="held")
    error = expect("Draining", client.call, "CreateNamespace", name="held")
    assert error.field == "name" and "held" in error.parameters["message"]
    os.close(fd)


def test_waiting_delete_returns_when_it_is_gone(nsd, client, host):
    client.call("CreateNamespace", name="held")
    release = holders(host, "/run/netns/held")["descriptor"]()
    client.send("DeleteNamespace", {"name": "held", "wait": True})
    with nsd.client() as other:
        poll.until(lambda: other.namespaces()["held"]["state"] == "draining", "it drains")
    client.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.receive("DeleteNamespace")
    release()
    client.socket.settimeout(poll.DEADLINE)
    reply, _ = client.receive("DeleteNamespace")
    assert reply.get("state") is None
    assert nsd.recorded() == []


def test_holder_is_named(client, host):
    client.call("CreateNamespace", name="held")
    child = host.popen("nsenter", "--net=/run/netns/held", "sleep", "1000")
    poll.until(lambda: os.stat(f"/proc/{child.pid}/ns/net").st_ino == os.stat("/run/netns/held").st_ino, "inside")
    client.call("DeleteNamespace", name="held")
    poll.until(lambda: str(child.pid) in (client.namespaces(foreign=False)["held"].get("message") or ""),
               "the message names the process that holds it")


def test_open_gives_the_namespace(client):
    made = client.call("CreateNamespace", name="o")["namespace"]
    reply, fds = client.call_fds("OpenNamespace", name="o")
    assert reply["fileDescriptor"] == 0 and len(fds) == 1
    try:
        assert sandbox.cookie(fds[0]) == made["cookie"]
        assert os.fstat(fds[0]).st_ino == os.stat("/run/netns/o").st_ino
        assert reply["namespace"]["name"] == "o"
    finally:
        os.close(fds[0])


def test_open_while_more_answers_are_due(client):
    """A reply with an fd that follows other replies on the same connection still carries its own fd."""
    client.call("CreateNamespace", name="o")
    client.send_raw(client.message("org.varlink.service.GetInfo") + client.message("io.nsd.Manager.OpenNamespace",
                                                                                     {"name": "o"}))
    client.receive("org.varlink.service.GetInfo")
    reply, _ = client.receive("OpenNamespace")
    assert reply["fileDescriptor"] == 0 and len(client.fds) == 1
    assert os.fstat(client.fds[0]).st_ino == os.stat("/run/netns/o").st_ino


def test_create_with_links_is_one_transaction(nsd, client, host):
    reply = client.call("CreateNamespace", name="t", links=[
        {"ends": [{"interface": "v0", "addresses": ["10.1.0.1/24"]}, {"namespace": "t", "addresses": ["10.1.0.2/24"]}]},
        {"ends": [{"interface": "v1"}, {"namespace": "t", "interface": "lan"}]},
    ])
    assert [item["state"] for item in reply["links"]] == ["ready", "ready"]
    assert sorted(kernel.links("t")) == ["eth0", "lan", "lo"]
    assert kernel.ping("10.1.0.1", "t")
    got = client.call("GetNamespace", name="t")
    assert {item["name"] for item in got["links"]} == {"v0", "v1"}
    assert nsd.recorded() == [("link", "v0"), ("link", "v1"), ("namespace", "t")]


def test_create_with_both_ends_of_a_link(client):
    """Each end in the new namespace has a number of its own, wherever the other one is."""
    reply = client.call("CreateNamespace", name="t", links=[
        {"ends": [{"namespace": "t", "interface": "a0", "addresses": ["10.1.0.1/24"]}, {"namespace": "t", "interface": "a1"}]},
        {"ends": [{"interface": "v0"}, {"namespace": "t", "interface": "b0", "addresses": ["10.2.0.1/24"]}]},
        {"ends": [{"namespace": "t", "interface": "c0"}, {"namespace": "t", "interface": "c1"}]},
    ])
    for link in reply["links"]:
        for item in link["ends"]:
            assert kernel.link(item["interface"], item.get("namespace"))["ifindex"] == item["ifindex"]
    assert kernel.addresses("a0", "t") == {"10.1.0.1/24"} and kernel.addresses("b0", "t") == {"10.2.0.1/24"}


def test_create_with_a_link_that_fails_leaves_nothing(nsd, client, host):
    host.add_foreign_link("v1")
    before = host.snapshot()
    error = expect("NameTaken", client.call, "CreateNamespace", name="t", links=[
        {"ends": [{"interface": "v0"}, {"namespace": "t"}]}, {"ends": [{"interface": "v1"}, {"namespace": "t"}]}])
    assert error.field == "links[1].ends[0].interface"
    assert host.snapshot() == before
    assert nsd.recorded() == []


def test_foreign_file_of_that_name(nsd, client, host):
    host.add_foreign_netns("theirs")
    cookie = sandbox.cookie("/run/netns/theirs")
    error = expect("NameTaken", client.call, "CreateNamespace", name="theirs")
    assert error.field == "name"
    assert sandbox.cookie("/run/netns/theirs") == cookie
    assert nsd.recorded() == []


def test_foreign_is_shown_and_not_changed(client, host):
    host.add_foreign_netns("theirs")
    item = poll.until(lambda: client.namespaces().get("theirs"), "the foreign namespace is listed")
    assert item["foreign"] is True
    assert "theirs" not in client.namespaces(foreign=False)
    assert client.call("GetNamespace", name="theirs")["namespace"]["cookie"] == sandbox.cookie("/run/netns/theirs")
    for method in ("DeleteNamespace", "DetachNamespace", "RepairNamespace"):
        expect("Foreign", client.call, method, name="theirs")
    expect("Foreign", client.call, "ChangeNamespace", name="theirs", loopback=True)
    assert kernel.netns_files() == ["theirs"]
    assert not kernel.is_up("lo", "theirs")


def test_list_streams_many(nsd, client):
    names = [f"many{number:03}" for number in range(300)]
    client.send_raw(b"".join(client.message("io.nsd.Manager.CreateNamespace", {"name": name, "lifetime": "runtime"})
                             for name in names))
    for _ in names:
        client.receive("CreateNamespace")
    replies = list(client.more("ListNamespaces"))
    assert len(replies) > 1, "a stream of batches"
    listed = [item["name"] for reply in replies for item in reply["namespaces"]]
    assert sorted(listed) == names
    assert kernel.nsfs_mounts() == [f"/run/netns/{name}" for name in names]


def test_list_of_nothing(client):
    assert client.namespaces() == {}
    assert client.links(foreign=False) == {}


def test_counts_in_status(nsd, client, host):
    host.add_foreign_netns("theirs")
    client.call("CreateNamespace", name="a", links=[{"ends": [{"interface": "v0"}, {"namespace": "a"}]}])
    status = client.call("GetStatus")
    assert (status["namespaces"], status["links"], status["lost"], status["draining"]) == (1, 1, 0, 0)
    assert status["pid"] == nsd.pid and status["ready"] and status["storeWritable"]
    assert status["stateDirectory"] == str(nsd.state)
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as f:
        assert status["bootId"] == f.read().strip()
    poll.until(lambda: client.call("GetStatus")["foreign"] >= 1, "the foreign one is counted")
