# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input about networks and slots: every row answers a typed error that names the field, and leaves nothing behind."""
from nsdtest.bad import (
    BAD_NAMES, BAD_INTERFACES, BAD_MACS, BAD_ADDRESSES, BAD_SYSCTLS, BAD_SYSCTL_VALUES, BAD_LABEL_KEYS,
    BAD_LABEL_VALUES, wrong_answers)
from nsdtest.specs import network

BAD_NETWORK_NAMES = [*(name for name in BAD_NAMES if name != "x" * 65), "x" * 25, "a.b", "a@0", "a b"]
BAD_SLOT_NAMES = ["", "web", "web.", ".1", "web.0", "web.01", "web.-1", "web.x", "web.1.2", "web@0", "web.1 ", "../web.1",
                  "web.1\n", "web.+1", "x" * 25 + ".1"]
BAD_PREFIXES = {
    "ipv4": ["", "10.64.0.0", "10.64.0.1/16", "10.64.0.0/31", "10.64.0.0/32", "10.0.0.0/7", "0.0.0.0/0", "127.0.0.0/8",
             "224.0.0.0/8", "169.254.0.0/16", "240.0.0.0/8", "fd64::/64", "10.64.0.0/16 ", "010.64.0.0/16", "10.64/16",
             "10.64.0.0/016", "x"],
    "ipv6": ["", "fd64::", "fd64::1/64", "fd64::/127", "fd64::/128", "fd00::/31", "::/0", "fe80::/64", "ff00::/32", "::/64",
             "10.64.0.0/16", "fd64::%eth0/64", "fd64:::/64", "fd64::/64 "],
}
BAD_RATES = [("send", 7999), ("send", -1), ("receive", 0), ("receive", 100000000001), ("sendBurst", 1499),
             ("receiveBurst", 2**31)]


def network_rows():
    """The same for networks and slots; "web" is a network, "web.1" a slot of the caller's on it."""
    good = network("new", "10.99.0.0/16", None)
    for name in BAD_NETWORK_NAMES:
        for method in ("GetNetwork", "DeleteNetwork", "RepairNetwork"):
            yield "InvalidValue", "name", method, {"name": name}
        for method in ("CreateNetwork", "EnsureNetwork"):
            yield "InvalidValue", "name", method, {**good, "name": name}
        yield "InvalidValue", "name", "ChangeNetwork", {"name": name, "mtu": 1300}
        yield "InvalidValue", "network", "AcquireSlot", {"network": name}
    for name in BAD_SLOT_NAMES:
        for method in ("GetSlot", "ReleaseSlot", "OpenSlot", "ExplainSlot"):
            yield "InvalidValue", "name", method, {"name": name}
        yield "InvalidValue", "name", "RenewSlot", {"name": name, "generation": 1}
    for field, values in BAD_PREFIXES.items():
        for value in values:
            yield "InvalidValue", field, "CreateNetwork", {"name": "new", field: value}
            yield "InvalidValue", field, "EnsureNetwork", {"name": "new", field: value}
    yield "InvalidValue", ("ipv4", "ipv6", "name"), "CreateNetwork", {"name": "new"}
    yield "InvalidValue", "mtu", "CreateNetwork", {**good, "ipv6": "fd99::/64", "mtu": 1279}
    for method, spec in (("CreateNetwork", good), ("EnsureNetwork", good), ("ChangeNetwork", {"name": "web"})):
        yield from spec_rows(method, spec)
    for name in BAD_INTERFACES:
        yield "InvalidValue", "interface", "CreateNetwork", {**good, "interface": name}
    yield "NameTaken", "interface", "CreateNetwork", {**good, "interface": "lo"}
    for field, value in (("inner4", "172.16.0.2"), ("inner4", "172.16.0.0/30"), ("inner6", "fd00::2"), ("inner6", "ff02::2/64")):
        yield "InvalidValue", field, "CreateNetwork", {**good, "ipv6": "fd99::/64", field: value}
    for method in ("GetNetwork", "DeleteNetwork", "RepairNetwork", "ChangeNetwork"):
        yield "NotFound", "name", method, {"name": "absent"}
    yield "NotFound", "network", "AcquireSlot", {"network": "absent"}
    yield from acquire_rows()
    for method in ("GetSlot", "ReleaseSlot", "OpenSlot", "ExplainSlot"):
        yield "NotFound", "name", method, {"name": "web.2"} if method != "ReleaseSlot" else {"name": "absent.2"}
        yield "InvalidParameter", "name", method, {}
        yield "InvalidParameter", "name", method, {"name": 1}
        yield "InvalidParameter", "colour", method, {"name": "web.1", "colour": "red"}
    yield "InvalidParameter", "generation", "RenewSlot", {"name": "web.1"}
    yield "InvalidParameter", "generation", "ReleaseSlot", {"name": "web.1", "generation": "1"}
    yield "StaleGeneration", ("generation", ""), "ReleaseSlot", {"name": "web.1", "generation": 0}
    yield "InvalidValue", "ttl", "RenewSlot", {"name": "web.1", "generation": 1, "ttl": 99}
    for field in ("state", "generation", "owner", "created", "uplink", "host4", "capacity", "readySlots", "message", "boot",
                  "changing"):
        yield "InvalidParameter", field, "CreateNetwork", {**good, field: 1}
    for field in ("name", "generation", "path", "mac", "addresses", "owner", "expires"):
        yield "InvalidParameter", field, "AcquireSlot", {"network": "web", field: "1"}
    yield "InvalidParameter", "x", "ListPools", {"x": 1}


def spec_rows(method, spec):
    """What is wrong in the same way when a network is made and when it is changed."""
    for mtu in (-1, 0, 575, 65536, 2**31, 2**62):
        yield "InvalidValue", "mtu", method, {**spec, "mtu": mtu}
    for egress in ("", "all", "None"):
        yield "InvalidValue", "egress", method, {**spec, "egress": egress}
    for number in (0, -1, 65536, 2**40):
        yield "InvalidValue", "services[0].port", method, {**spec, "services": [{"protocol": "tcp", "port": number}]}
        for field, other in (("first", "last"), ("last", "first")):
            yield ("InvalidValue", f"publish[0].{field}", method,
                   {**spec, "publish": [{"protocol": "tcp", field: number, other: 80}]})
    yield "InvalidValue", "services[1].protocol", method, {**spec, "services": [{"protocol": "tcp", "port": 1},
                                                                                 {"protocol": "sctp", "port": 1}]}
    yield "InvalidValue", "services", method, {**spec, "services": [{"protocol": "tcp", "port": 1 + i} for i in range(65)]}
    yield "InvalidValue", "publish[0]", method, {**spec, "publish": [{"protocol": "tcp", "first": 90, "last": 80}]}
    for address in ("", "10.0.0.1/24", "resolver", "224.0.0.1", "0.0.0.0", "10.0.0"):
        yield "InvalidValue", "dns[1]", method, {**spec, "dns": ["192.0.2.1", address]}
    for field in ("ready", "maximum"):
        for number in (-1, 65536, 2**40):
            yield "InvalidValue", field, method, {**spec, field: number}
        yield "InvalidParameter", field, method, {**spec, field: "1"}
    yield "InvalidValue", "maximum", method, {**spec, "maximum": 0}
    for key in BAD_SYSCTLS:
        yield "InvalidValue", "sysctls", method, {**spec, "sysctls": {key: "1"}}
    for value in BAD_SYSCTL_VALUES:
        yield "InvalidValue", "sysctls", method, {**spec, "sysctls": {"net.ipv4.ip_default_ttl": value}}
    for key in BAD_LABEL_KEYS:
        yield "InvalidValue", "labels", method, {**spec, "labels": {key: "1"}}
    yield ("InvalidParameter", "services[0].colour", method,
           {**spec, "services": [{"protocol": "tcp", "port": 1, "colour": "red"}]})
    yield "InvalidParameter", "services[0].port", method, {**spec, "services": [{"protocol": "tcp"}]}
    for value in ("x", 1, {}):
        yield "InvalidParameter", "services", method, {**spec, "services": value}
    for value in ("yes", 1):
        yield "InvalidParameter", "isolated", method, {**spec, "isolated": value}


def acquire_rows():
    """Requests for a slot."""
    web = {"network": "web"}
    for name in BAD_NAMES:
        yield "InvalidValue", "namespace", "AcquireSlot", {**web, "namespace": name}
    for name in BAD_INTERFACES:
        yield "InvalidValue", "tap.interface", "AcquireSlot", {**web, "tap": {"interface": name}}
    for mac in BAD_MACS:
        yield "InvalidValue", "tap.mac", "AcquireSlot", {**web, "tap": {"interface": "tap0", "mac": mac}}
    for address in BAD_ADDRESSES:
        yield "InvalidValue", "tap.addresses[0]", "AcquireSlot", {**web, "tap": {"interface": "tap0", "addresses": [address]}}
    for owner in (-1, 2**32 - 1, 2**32):
        yield "InvalidValue", "tap.owner", "AcquireSlot", {**web, "tap": {"interface": "tap0", "owner": owner}}
    yield "InvalidParameter", "tap.interface", "AcquireSlot", {**web, "tap": {}}
    for field, value in BAD_RATES:
        yield "InvalidValue", f"rate.{field}", "AcquireSlot", {**web, "rate": {field: value}}
    for number in (0, -1, 65536):
        yield "InvalidValue", "publish[0].port", "AcquireSlot", {**web, "publish": [{"protocol": "tcp", "port": number}]}
        yield "InvalidValue", "publish[0].hostPort", "AcquireSlot", {
            **web, "publish": [{"protocol": "tcp", "port": 1, "hostPort": number}]}
    yield "InvalidValue", "publish[0].protocol", "AcquireSlot", {**web, "publish": [{"protocol": "icmp", "port": 1}]}
    yield "InvalidValue", "publish", "AcquireSlot", {**web, "publish": [{"protocol": "tcp", "port": 1 + i} for i in range(9)]}
    for key in BAD_LABEL_KEYS:
        yield "InvalidValue", "labels", "AcquireSlot", {**web, "labels": {key: "1"}}
    for value in BAD_LABEL_VALUES:
        yield "InvalidValue", "labels", "AcquireSlot", {**web, "labels": {"a": value}}
    yield "InvalidValue", "labels", "AcquireSlot", {**web, "labels": {"a": "x" * 190}}
    for key in ("", "x" * 65, "a b", "a\n", "ä", "\x7f"):
        yield "InvalidValue", "key", "AcquireSlot", {**web, "key": key}
    for ttl in (-1, 0, 99, 31536000001):
        yield "InvalidValue", "ttl", "AcquireSlot", {**web, "ttl": ttl}
    yield "InvalidValue", "ttl", "AcquireSlot", {**web, "bond": "time"}
    for bond in ("connection", "process", "nothing"):
        yield "InvalidValue", "ttl", "AcquireSlot", {**web, "bond": bond, "ttl": 1000}
    yield "InvalidValue", "bond", "AcquireSlot", {**web, "bond": "forever"}
    yield "InvalidValue", "empty", "AcquireSlot", {**web, "empty": "wait"}
    for index in (-1, 0, 1, 7, 8):
        yield "InvalidValue", "processFileDescriptor", "AcquireSlot", {**web, "processFileDescriptor": index}
    yield "InvalidParameter", "network", "AcquireSlot", {}
    for value in (1, True, [], {}):
        yield "InvalidParameter", "key", "AcquireSlot", {**web, "key": value}
    for value in ("x", 1, []):
        yield "InvalidParameter", "tap", "AcquireSlot", {**web, "tap": value}
        yield "InvalidParameter", "rate", "AcquireSlot", {**web, "rate": value}


def test_every_row(nsd, client, host):
    """One daemon for all rows: each is one request, and at the end nothing has changed."""
    client.call("CreateNetwork", network())
    assert client.acquire()["name"] == "web.1"
    before = (host.snapshot(), nsd.recorded(), client.networks(), client.slots())
    wrong = wrong_answers(client, network_rows())
    assert not wrong, f"{len(wrong)} rows:\n" + "\n".join(wrong)
    assert (host.snapshot(), nsd.recorded(), client.networks(), client.slots()) == before
