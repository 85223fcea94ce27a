# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: every row answers a typed error that names the field, and leaves nothing behind."""
import pytest

from nsdtest import kernel, poll
from nsdtest.bad import (
    BAD_NAMES, BAD_INTERFACES, BAD_MACS, BAD_ADDRESSES, BAD_DESTINATIONS, BAD_GATEWAYS, BAD_SYSCTLS,
    BAD_SYSCTL_VALUES, BAD_LABEL_KEYS, BAD_LABEL_VALUES, wrong_answers)
from nsdtest.specs import bridge, end, route, veth
from nsdtest.varlink import Error, expect

def link(**fields):
    """A link whose second end has these fields."""
    return veth(end(None, "v0"), end("good", **fields))


def rows():
    """(error, field, method, parameters) of each bad request."""
    for name in BAD_NAMES:
        yield "InvalidValue", "name", "CreateNamespace", {"name": name}
        yield "InvalidValue", "name", "EnsureNamespace", {"name": name}
        yield "InvalidValue", "name", "DeleteNamespace", {"name": name}
        yield "InvalidValue", "name", "GetLink", {"name": name}
        yield "InvalidValue", "ends[1].namespace", "CreateLink", veth(end(), end(name))
        yield "InvalidValue", "name", "CreateLink", {**link(), "name": name}
    for name in BAD_INTERFACES:
        yield "InvalidValue", "ends[1].interface", "CreateLink", link(interface=name)
        yield "InvalidValue", "ends[1].bridge", "CreateLink", link(bridge=name)
        yield "InvalidValue", "change.interface", "ChangeLink", {"name": "v0", "change": {"interface": name}}
    for mac in BAD_MACS:
        yield "InvalidValue", "ends[1].mac", "CreateLink", link(mac=mac)
    for address in BAD_ADDRESSES:
        yield "InvalidValue", "ends[1].addresses[0]", "CreateLink", link(addresses=[address])
        yield "InvalidValue", "links[0].ends[1].addresses[1]", "CreateNamespace", {
            "name": "new", "links": [link(addresses=["10.0.0.1/24", address])]}
        yield "InvalidValue", "change.addAddresses[0]", "ChangeLink", {"name": "v0", "change": {"addAddresses": [address]}}
    for destination in BAD_DESTINATIONS:
        yield ("InvalidValue", "ends[1].routes[0].destination", "CreateLink",
               link(routes=[route(destination, "10.0.0.1")]))
    for gateway in BAD_GATEWAYS:
        yield "InvalidValue", "ends[1].routes[0].gateway", "CreateLink", link(routes=[route("10.1.0.0/16", gateway)])
    yield "InvalidValue", "ends[1].routes[0].gateway", "CreateLink", link(routes=[{"destination": "default"}])
    yield "InvalidValue", "ends[1].routes[0].gateway", "CreateLink", link(routes=[route("10.1.0.0/16", "fd00::1")])
    yield "InvalidValue", "ends[1].routes[0].metric", "CreateLink", link(routes=[route("10.1.0.0/16", metric=-1)])
    yield "InvalidValue", "ends[1].routes[0].metric", "CreateLink", link(routes=[route("10.1.0.0/16", metric=2**32)])
    for mtu in (-1, 0, 67, 65536, 2**31, 2**62):
        yield "InvalidValue", "ends[1].mtu", "CreateLink", link(mtu=mtu)
    for nsid in (-2, 2**31, 2**62):
        yield "InvalidValue", "nsid", "CreateNamespace", {"name": "new", "nsid": nsid}
    for key in BAD_SYSCTLS:
        yield "InvalidValue", "sysctls", "CreateNamespace", {"name": "new", "sysctls": {key: "1"}}
    for value in BAD_SYSCTL_VALUES:
        yield "InvalidValue", "sysctls", "CreateNamespace", {"name": "new", "sysctls": {"net.ipv4.ip_forward": value}}
    for key in BAD_LABEL_KEYS:
        yield "InvalidValue", "labels", "CreateNamespace", {"name": "new", "labels": {key: "1"}}
    for value in BAD_LABEL_VALUES:
        yield "InvalidValue", "labels", "CreateNamespace", {"name": "new", "labels": {"a": value}}
    yield "InvalidValue", "labels", "CreateNamespace", {"name": "new", "labels": {f"k{i}": "" for i in range(33)}}
    for lifetime in ("", "forever", "Persistent"):
        yield "InvalidValue", "lifetime", "CreateNamespace", {"name": "new", "lifetime": lifetime}
    yield "NotSupported", "kinds", "CreateNamespace", {"name": "new", "kinds": ["net", "uts"]}
    yield "InvalidValue", "kinds[0]", "CreateNamespace", {"name": "new", "kinds": ["network"]}
    yield "InvalidValue", "kind", "CreateLink", {**link(), "kind": "macvlan"}
    yield "InvalidValue", "ends", "CreateLink", {"ends": []}
    yield "InvalidValue", "ends", "CreateLink", {"ends": [end(None, "v0")]}
    yield "InvalidValue", "ends", "CreateLink", {"ends": [end(None, "v0"), end(None, "v1"), end(None, "v2")]}
    yield "InvalidValue", "ends", "CreateLink", {"kind": "bridge", "ends": [end(None, "b0"), end(None, "b1")]}
    yield "InvalidValue", "ends[1].addresses", "CreateLink", link(addresses=[f"10.0.{i}.1/24" for i in range(33)])
    yield "InvalidValue", "end", "ChangeLink", {"name": "v0", "end": 2, "change": {"up": True}}
    yield "InvalidValue", "end", "ChangeLink", {"name": "v0", "end": -1, "change": {"up": True}}
    yield "NotFound", "name", "ChangeLink", {"name": "absent", "change": {"up": True}}
    yield "NotFound", "name", "GetNamespace", {"name": "absent"}
    yield "NotFound", "name", "GetLink", {"name": "absent"}
    yield "NotFound", "name", "DetachNamespace", {"name": "absent"}
    yield "NotFound", "name", "OpenNamespace", {"name": "absent"}
    yield "NotFound", "name", "RepairNamespace", {"name": "absent"}
    yield "NotFound", "name", "RepairLink", {"name": "absent"}
    yield "NotFound", "change.namespace", "ChangeLink", {"name": "v0", "change": {"namespace": "absent"}}
    yield "NoSuchProcess", "pid", "AttachNamespace", {"name": "new", "pid": 4194303}
    yield "InvalidValue", "pid", "AttachNamespace", {"name": "new", "pid": 0}
    yield "InvalidValue", "pid", "AttachNamespace", {"name": "new", "pid": -1}

    # Structural mistakes: org.varlink.service.InvalidParameter with the path of the parameter.
    yield "InvalidParameter", "nmae", "CreateNamespace", {"name": "new", "nmae": "x"}
    yield "InvalidParameter", "name", "CreateNamespace", {}
    yield "InvalidParameter", "name", "CreateNamespace", {"name": None}
    for value in (1, 1.5, True, [], {}):
        yield "InvalidParameter", "name", "CreateNamespace", {"name": value}
    for value in ("x", 1.5, True, [], {}):
        yield "InvalidParameter", "nsid", "CreateNamespace", {"name": "new", "nsid": value}
    for value in ("true", 1, [], {}):
        yield "InvalidParameter", "loopback", "CreateNamespace", {"name": "new", "loopback": value}
    for value in ("x", 1, ["a"], {"a": 1}, {"a": None}):
        yield "InvalidParameter", "labels", "CreateNamespace", {"name": "new", "labels": value}
    for value in ("x", 1, {}, [1], [None]):
        yield "InvalidParameter", "ends[1].addresses", "CreateLink", link(addresses=value)
    for value in ("x", 1, {}):
        yield "InvalidParameter", "ends", "CreateLink", {"ends": value}
    for value in (1, "x", None, []):
        yield "InvalidParameter", "ends[0]", "CreateLink", {"ends": [value, end("good")]}
    yield "InvalidParameter", "ends", "CreateLink", {}
    yield "InvalidParameter", "ends[1].colour", "CreateLink", link(colour="red")
    yield "InvalidParameter", "ends[1].routes[0].destination", "CreateLink", link(routes=[{}])
    yield "InvalidParameter", "change.colour", "ChangeLink", {"name": "v0", "change": {"colour": "red"}}
    for field in ("state", "foreign", "attached", "generation", "owner", "created", "cookie", "path", "pid", "message"):
        yield "InvalidParameter", field, "CreateNamespace", {"name": "new", field: 1}
    for field in ("boot", "cookie0", "cookie1", "state", "owner"):
        yield "InvalidParameter", field, "CreateLink", {**link(), field: "1"}
    yield "InvalidParameter", "x", "GetStatus", {"x": 1}
    yield "InvalidParameter", "x", "org.varlink.service.GetInfo", {"x": 1}
    yield "InvalidParameter", "level", "io.systemd.service.SetLogLevel", {"level": "debug"}


def test_every_row(nsd, client, host):
    """One daemon for all rows: each is one request, and at the end nothing has changed."""
    client.call("CreateNamespace", name="good")
    client.call("CreateLink", veth(end(None, "v0", "10.99.0.1/24"), end("good", "eth9")))
    poll.until(lambda: "nsid" in client.namespaces()["good"], "all is known of it")
    before = (host.snapshot(), nsd.recorded(), client.links(foreign=False), client.namespaces(foreign=False),
              sorted(kernel.links("good")))
    wrong = wrong_answers(client, rows())
    assert not wrong, f"{len(wrong)} rows:\n" + "\n".join(wrong)
    after = (host.snapshot(), nsd.recorded(), client.links(foreign=False), client.namespaces(foreign=False),
             sorted(kernel.links("good")))
    assert after == before


def test_unknown_methods(client):
    assert expect("MethodNotFound", client.call, "NoSuchMethod").parameters == {"method": "io.nsd.Manager.NoSuchMethod"}
    assert expect("InterfaceNotFound", client.call, "no.such.Method").parameters == {"interface": "no.such"}
    error = expect("InterfaceNotFound", client.call, "org.varlink.service.GetInterfaceDescription", interface="no.such")
    assert error.parameters == {"interface": "no.such"}
    expect("MethodNotFound", client.call, "io.nsd.Manager.getStatus")
    for name in ("GetStatus", "", ".", "io.nsd.Manager."):
        client.send_raw(client.message(name))
        with pytest.raises(Error) as raised:
            client.receive()
        assert raised.value.short in ("MethodNotFound", "InterfaceNotFound")


def test_streams_want_more(client):
    for method, parameters in (("ListNamespaces", {}), ("ListLinks", {}), ("Monitor", {}), ("ListProcesses", {"name": "x"}),
                               ("ListNetworks", {}), ("ListSlots", {})):
        error = expect("ExpectedMore", client.call, method, parameters)
        assert error.name == "org.varlink.service.ExpectedMore"


def test_more_on_a_plain_method_gives_one_reply(client):
    assert len(list(client.more("GetStatus"))) == 1


def test_too_many_links_of_the_request(nsd, client, host):
    """More links than one request may carry."""
    with pytest.raises(Error) as raised:
        client.call("CreateNamespace", name="new", links=[veth(end(), end("new")) for _ in range(40)])
    assert raised.value.short in ("InvalidValue", "LimitExceeded") and raised.value.field.startswith("links")
    assert host.snapshot() == host.base and nsd.recorded() == []


def test_bridge_loops(nsd, client, host):
    """A bridge cannot be a port of itself."""
    with pytest.raises(Error):
        client.call("CreateLink", bridge("br0") | {"ends": [end(None, "br0", bridge="br0")]})
    assert host.snapshot() == host.base and nsd.recorded() == []


def test_detach_wants_an_attached_one(client):
    client.call("CreateNamespace", name="own")
    with pytest.raises(Error) as raised:
        client.call("DetachNamespace", name="own")
    assert raised.value.short in ("InvalidValue", "NotSupported") and raised.value.field == "name"
    assert kernel.netns_files() == ["own"]


def test_attach_wants_exactly_one_source(client, host):
    child = host.process_in_new_netns()
    for parameters in ({}, {"pid": child.pid, "pidFileDescriptor": 0}, {"pidFileDescriptor": 0},
                       {"namespaceFileDescriptor": 3}, {"namespaceFileDescriptor": -1}):
        with pytest.raises(Error):
            client.call("AttachNamespace", {"name": "new", **parameters})
    assert kernel.netns_files() == []
