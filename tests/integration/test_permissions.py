# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may do what: members of the socket's group have their own objects and see no others; root has all."""
import os

import pytest

from nsdtest import kernel, poll
from nsdtest.monitor import WatchOfUser
from nsdtest.specs import bridge, end, network, route, veth
from nsdtest.users import ALICE, BOB, acting_as, connected, open_to_group
from nsdtest.varlink import Error, expect


@pytest.fixture
def shared(host):
    """A daemon whose socket the group may use, with small quotas."""
    nsd = host.daemon("nsd", config="[Limits]\nNamespacesPerUser=3\nLinksPerUser=4\n").start()
    open_to_group(nsd)
    with nsd.client() as client:
        client.learn("io.nsd.Manager")
    return nsd


@pytest.fixture
def root(shared):
    with shared.client() as client:
        yield client


@pytest.fixture
def alice(shared):
    with connected(shared, ALICE) as client:
        yield client


@pytest.fixture
def bob(shared):
    with connected(shared, BOB) as client:
        yield client


def test_outside_the_group(shared):
    with pytest.raises(PermissionError):
        with connected(shared, ALICE, gid=ALICE):
            pass


def test_own_objects(shared, alice):
    item = alice.call("CreateNamespace", name="mine", labels={"a": "b"})["namespace"]
    assert item["owner"] == ALICE and item["state"] == "ready"
    assert kernel.netns_files() == ["mine"]
    alice.call("CreateNamespace", name="other")
    link = alice.call("CreateLink", veth(end("mine", "a", "10.0.0.1/24"), end("other", "b", "10.0.0.2/24")))["link"]
    assert link["owner"] == ALICE
    assert kernel.ping("10.0.0.2", "mine")
    assert set(alice.namespaces()) == {"mine", "other"} and set(alice.links()) == {"mine.a"}
    alice.call("ChangeNamespace", name="mine", labels={"a": "c"})
    alice.call("ChangeLink", name="mine.a", change={"mtu": 1400})
    reply, fds = alice.call_fds("OpenNamespace", name="mine")
    assert reply["fileDescriptor"] == 0 and os.fstat(fds[0]).st_ino == os.stat("/run/netns/mine").st_ino
    os.close(fds[0])
    alice.call("DeleteLink", name="mine.a", wait=True)
    alice.call("DeleteNamespace", name="mine", wait=True)
    assert set(alice.namespaces()) == {"other"}


def test_ensure_is_per_owner(shared, alice, bob):
    assert alice.call("EnsureNamespace", name="mine")["created"] is True
    assert alice.call("EnsureNamespace", name="mine")["created"] is False
    with pytest.raises(Error) as raised:
        bob.call("EnsureNamespace", name="mine")
    assert raised.value.short in ("NameTaken", "AlreadyExists")


def about(name):
    """Every call about one object by name: (method, parameters)."""
    yield from ((method, {"name": name}) for method in (
        "GetNamespace", "DeleteNamespace", "DetachNamespace", "OpenNamespace", "RepairNamespace", "GetLink", "DeleteLink",
        "RepairLink"))
    yield "ChangeNamespace", {"name": name, "labels": {"x": "y"}}
    yield "ChangeLink", {"name": name, "labels": {"x": "y"}}
    yield "CreateLink", veth(end("bobs", "x0"), end(name, "x1"), name="bobs-try")
    yield "EnsureLink", veth(end("bobs", "x0"), end(name, "x1"), name="bobs-try")


def answer(client, method, parameters):
    """What a call answers, with the object's own name taken out."""
    try:
        return "success", client.call(method, parameters)
    except Error as error:
        return error.name, {key: value.replace(parameters["name"], "NAME") if isinstance(value, str) else value
                            for key, value in error.parameters.items()}


def test_absent_and_not_yours_are_the_same(shared, root, alice, bob, host):
    """In every method, for a namespace and a link of another user, of root, and a foreign one."""
    bob.call("CreateNamespace", name="bobs")
    alice.call("CreateNamespace", name="alices", links=[veth(end("alices", "a"), end("alices", "b"), name="alink")])
    root.call("CreateNamespace", name="roots", links=[veth(end(None, "v-root"), end("roots"), name="rlink")])
    host.add_foreign_netns("theirs")
    poll.until(lambda: "theirs" in root.namespaces(), "known")
    before = (shared.recorded(), host.snapshot(), root.namespaces(), root.links())
    differences = []
    for name in ("alices", "roots", "alink", "rlink", "theirs", "v-root"):
        for (method, parameters), (_, absent) in zip(about(name), about("no-such")):
            got = answer(bob, method, parameters)
            plain = lambda result: (result[0], {key: str(value).replace(name, "NAME").replace("no-such", "NAME")
                                                for key, value in result[1].items()})
            wanted = answer(bob, method, absent)
            if plain(got) != plain(wanted):
                differences.append(f"{method} {name}: {got} but absent: {wanted}")
    assert not differences, "\n".join(differences)
    assert (shared.recorded(), host.snapshot(), root.namespaces(), root.links()) == before


def test_lists_show_own_objects_only(shared, root, alice, bob, host):
    alice.call("CreateNamespace", name="alices")
    root.call("CreateNamespace", name="roots", links=[veth(end(None, "v-root"), end("roots"))])
    host.add_foreign_netns("theirs")
    poll.until(lambda: "theirs" in root.namespaces(), "known")
    assert bob.namespaces() == {} and bob.links() == {} and bob.links(foreign=True) == {}
    assert set(alice.namespaces()) == {"alices"} and alice.links(foreign=True) == {}
    assert set(root.namespaces()) == {"alices", "roots", "theirs"}


def test_monitor_shows_own_objects_only(shared, root, alice):
    class As:
        """A daemon to Watch through one user's connection."""
        @staticmethod
        def client():
            with acting_as(BOB):
                return shared.client()
    alice.call("CreateNamespace", name="alices")
    watch = None
    try:
        watch = WatchOfUser(As)
        assert watch.objects == {}
        alice.call("ChangeNamespace", name="alices", labels={"secret": "x"})
        root.call("CreateNamespace", name="roots")
        with connected(shared, BOB) as bob:
            bob.call("CreateNamespace", name="bobs")
        watch.until("ready", "namespace", "bobs")
        assert {entry[2] for entry in watch.seen} <= {None, "bobs"}
    finally:
        if watch:
            watch.client.close()


HOST_WISHES = {
    "an end in the host": veth(end(None, "v0"), end("mine")),
    "both ends in the host": veth(end(None, "v0"), end(None, "v1")),
    "a bridge in the host": bridge("br9", "10.0.0.1/24"),
    "a port of a host bridge": veth(end(None, "v0", bridge="br0"), end("mine")),
    "an address of the host": veth(end(None, "v0", "10.9.0.1/24"), end("mine")),
    "a route of the host": veth(end(None, "v0", "10.9.0.1/24", routes=[route("10.0.0.0/8", "10.9.0.2")]), end("mine")),
}


@pytest.mark.parametrize("wish", HOST_WISHES)
def test_host_is_out_of_reach(shared, root, alice, host, wish):
    root.call("CreateLink", bridge("br0"))
    alice.call("CreateNamespace", name="mine")
    before = (host.snapshot(), kernel.routes(), shared.recorded())
    error = expect("PermissionDenied", alice.call, "CreateLink", HOST_WISHES[wish])
    assert error.name == "org.varlink.service.PermissionDenied"
    expect("PermissionDenied", alice.call, "CreateNamespace", name="more", links=[veth(end(None, "v0"), end("more"))])
    assert (host.snapshot(), kernel.routes(), shared.recorded()) == before


def test_moving_into_the_host(shared, root, alice, host):
    alice.call("CreateNamespace", name="mine")
    alice.call("CreateLink", veth(end("mine", "a"), end("mine", "b")))
    root.call("CreateNamespace", name="roots")
    expect("PermissionDenied", alice.call, "ChangeLink", name="mine.a", end=0, change={"host": True})
    expect("NotFound", alice.call, "ChangeLink", name="mine.a", end=0, change={"namespace": "roots"})
    assert sorted(kernel.links("mine")) == ["a", "b", "lo"] and sorted(kernel.links("roots")) == ["lo"]


def test_what_is_roots_alone(shared, alice, host):
    alice.call("CreateNamespace", name="mine")
    child = host.process_in_new_netns()
    for method, parameters in (
            ("ChangeNamespace", {"name": "mine", "owner": BOB}),
            ("AttachNamespace", {"name": "x", "pid": child.pid}), ("AttachNamespace", {"name": "x", "pid": 1}),
            ("io.systemd.service.SetLogLevel", {"level": 7}), ("io.systemd.service.Reload", {})):
        expect("PermissionDenied", alice.call, method, parameters)
    assert kernel.netns_files() == ["mine"]


NETWORK_WISHES = (
    ("CreateNetwork", network()), ("EnsureNetwork", network()), ("EnsureNetwork", network("theirs", "10.65.0.0/16", None)),
    ("ChangeNetwork", {"name": "theirs", "mtu": 1300}), ("DeleteNetwork", {"name": "theirs"}),
    ("DeleteNetwork", {"name": "theirs", "force": True}), ("RepairNetwork", {"name": "theirs"}),
    ("ChangeNetwork", {"name": "absent", "mtu": 1300}), ("DeleteNetwork", {"name": "absent"}),
    ("RepairNetwork", {"name": "absent"}))


def test_networks_are_roots_alone(shared, root, alice, host):
    """Users see networks and take slots of them; they make, change and remove none, nor learn by trying."""
    root.call("CreateNetwork", network("theirs", "10.65.0.0/16", None))
    before = (host.snapshot(), shared.recorded(), root.networks())
    for method, parameters in NETWORK_WISHES:
        expect("PermissionDenied", alice.call, method, parameters)
    assert (host.snapshot(), shared.recorded(), root.networks()) == before
    assert alice.networks() == root.networks() and alice.pool("theirs")["leased"] == 0
    assert alice.call("GetNetwork", name="theirs")["network"]["owner"] == 0
    slot = alice.acquire("theirs")
    assert slot["owner"] == ALICE and set(alice.slots()) == {slot["name"]}


def test_processes_of_others(shared, root, alice):
    """Nothing about processes outside one's own namespaces."""
    root.call("CreateNamespace", name="roots")
    for method, parameters, key in (("ListProcesses", {"name": "roots"}, "processes"),):
        with pytest.raises(Error) as raised:
            alice.list(method, key, **parameters)
        assert raised.value.short == "NotFound"
    try:
        assert alice.call("IdentifyProcess", pid=1)["names"] == []
    except Error as error:
        assert error.short in ("PermissionDenied", "NoSuchProcess")


def test_quota_of_namespaces(shared, root, alice, bob):
    for number in range(3):
        alice.call("CreateNamespace", name=f"a{number}")
    error = expect("QuotaExceeded", alice.call, "CreateNamespace", name="a3")
    assert "3" in error.parameters["message"]
    bob.call("CreateNamespace", name="b0")
    for number in range(5):
        root.call("CreateNamespace", name=f"r{number}")
    alice.call("DeleteNamespace", name="a0", wait=True)
    alice.call("CreateNamespace", name="a3")
    expect("QuotaExceeded", alice.call, "EnsureNamespace", name="a4")
    assert alice.call("EnsureNamespace", name="a3")["created"] is False
    assert sorted(kernel.netns_files()) == ["a1", "a2", "a3", "b0", "r0", "r1", "r2", "r3", "r4"]


def test_quota_of_links(shared, alice):
    alice.call("CreateNamespace", name="m")
    for number in range(4):
        alice.call("CreateLink", veth(end("m", f"a{number}"), end("m", f"b{number}")))
    expect("QuotaExceeded", alice.call, "CreateLink", veth(end("m", "a9"), end("m", "b9")))
    expect("QuotaExceeded", alice.call, "CreateNamespace", name="n", links=[veth(end("n", "a"), end("n", "b"))])
    assert kernel.netns_files() == ["m"]


def test_quota_over_a_restart(shared, alice):
    for number in range(3):
        alice.call("CreateNamespace", name=f"a{number}")
    shared.restart(kill=True)
    open_to_group(shared)
    with connected(shared, ALICE) as again:
        expect("QuotaExceeded", again.call, "CreateNamespace", name="a3")
        assert set(again.namespaces()) == {"a0", "a1", "a2"}


def test_name_of_another_user(shared, alice, bob):
    """Names are one for all, as /run/netns is: a taken name cannot be hidden, but nothing else is told."""
    alice.call("CreateNamespace", name="shared-name", labels={"secret": "value"})
    with pytest.raises(Error) as raised:
        bob.call("CreateNamespace", name="shared-name")
    assert raised.value.short in ("AlreadyExists", "NameTaken")
    assert "secret" not in str(raised.value.parameters) and str(ALICE) not in str(raised.value.parameters)


def test_given_away_by_root(shared, root, bob):
    """Root makes an object and gives it to a user: from then on it is the user's."""
    root.call("CreateNamespace", name="gift", links=[veth(end(None, "v0"), end("gift", "eth0"))])
    root.call("ChangeNamespace", name="gift", owner=BOB)
    assert set(bob.namespaces()) == {"gift"}
    bob.call("ChangeNamespace", name="gift", labels={"x": "y"})
    expect("NotFound", bob.call, "GetLink", name="v0")
    assert "v0" in kernel.links()


def test_credentials_are_those_of_the_connecting_process(shared, root):
    """The user that connected counts, whoever writes later."""
    with connected(shared, ALICE) as client:
        assert os.geteuid() == 0
        client.call("CreateNamespace", name="hers")
    assert root.namespaces()["hers"]["owner"] == ALICE
