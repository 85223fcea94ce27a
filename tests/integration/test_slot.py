# SPDX-License-Identifier: GPL-2.0-or-later
"""Slots: what is inside, seen from the inside; that they can be used by path, fd and name, for their first packet at
once; extras: tap, rates, published ports, an inner address."""
import fcntl
import ipaddress
import os
import struct
import time

import pytest

from nsdtest import frames, kernel, networks, outside, poll, sandbox, traffic
from nsdtest.networks import FAMILIES, STACKS, Plan, number_of, prefixes
from nsdtest.specs import network, port
from nsdtest.users import ALICE, BOB, acting_as
from nsdtest.varlink import Error, expect

SERVICES = [port("udp", 53), port("tcp", 53)]
HOST = {4: "10.64.0.0", 6: "fd64::"}  # the host's addresses on the network
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 2, 0x1000


@pytest.fixture
def web(client):
    """A dual-stack network whose slots reach port 53 of the host."""
    return client.call("CreateNetwork", network(services=SERVICES))["network"]


def plan_of(stack="dual"):
    return Plan(**prefixes(stack))


def default_routes(family, netns):
    return {(item.get("gateway"), item["dev"]) for item in kernel.ip_json(f"-{family}", "route", netns=netns)
            if item["dst"] == "default"}


# The inside

@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("stack", STACKS)
def test_inside(client, stack, warm):
    """Interface, MAC, addresses, routes, neighbours, lo and MTU, of a slot made on request and one of the pool."""
    client.call("CreateNetwork", network(**prefixes(stack), mtu=1400, ready=2 if warm else 0))
    poll.equal(lambda: client.pool()["ready"], 2 if warm else 0, "the pool is full")
    slot = client.acquire()
    plan, number = plan_of(stack), number_of(slot)
    router_mac, mac = plan.macs(number)
    assert slot["network"] == "web" and slot["state"] == "leased" and slot["interface"] == "eth0" and slot["mtu"] == 1400
    assert slot["mac"] == mac and set(slot["addresses"]) == plan.interface_addresses(number)
    assert set(slot["gateways"]) == set(plan.router(number).values())
    assert {family: slot[f"address{family}"] for family in STACKS[stack]} == plan.slot(number)
    assert slot["cookie"] == sandbox.cookie(slot["path"])

    netns = slot["path"]
    assert sorted(kernel.links(netns)) == ["eth0", "lo"]
    assert kernel.is_up("lo", netns) and {"127.0.0.1/8"} <= kernel.addresses("lo", netns)
    item = kernel.link("eth0", netns)
    assert {"UP", "LOWER_UP"} <= set(item["flags"]) and item["linkinfo"]["info_kind"] == "veth"
    assert (item["address"], item["mtu"]) == (mac, 1400)
    assert (item["num_tx_queues"], item["num_rx_queues"]) == (1, 1)
    assert kernel.addresses("eth0", netns) == plan.interface_addresses(number)
    assert not [flag for address in item["addr_info"] for flag in ("tentative", "dadfailed")
                if address["scope"] == "global" and address.get(flag)]
    for family in FAMILIES:
        wanted = {(plan.router(number)[family], "eth0")} if family in STACKS[stack] else set()
        assert default_routes(family, netns) == wanted
    permanent = {key: mac for key, (mac, states) in kernel.neighbours(netns).items() if "PERMANENT" in states}
    assert permanent == {(gateway, "eth0"): router_mac for gateway in plan.router(number).values()}
    if stack == "v4":
        assert {address["family"] for address in item["addr_info"]} == {"inet"}, "and no IPv6 of its own"


def test_routers_end(nsd, client, web):
    """In the router: the other half of what is inside, and no address of one slot with another."""
    slots = [client.acquire() for _ in range(3)]
    router, plan = f"{nsd.runtime}/slots/web@0", plan_of()
    neighbours = kernel.neighbours(router)
    for slot in slots:
        number = number_of(slot)
        interface, (router_mac, mac) = f"slot{number}", plan.macs(number)
        item = kernel.link(interface, router)
        assert (item["address"], item["mtu"]) == (router_mac, 1500) and "UP" in item["flags"]
        assert kernel.addresses(interface, router) == {f"{address}/{networks.FULL[family] - 1}"
                                                       for family, address in plan.router(number).items()}
        for address in plan.slot(number).values():
            assert neighbours[address, interface][0] == mac and "PERMANENT" in neighbours[address, interface][1]
    assert len({kernel.link(f"slot{number_of(slot)}", router)["ifindex"] for slot in slots}) == 3


def test_sysctls_and_dns(client):
    sysctls = {"net.ipv4.ping_group_range": "0\t1000", "net.ipv4.ip_default_ttl": "99", "net.ipv4.conf.all.rp_filter": "0"}
    client.call("CreateNetwork", network(sysctls=sysctls, dns=["192.0.2.53", "2001:db8::53"]))
    slot = client.acquire()
    assert slot["dns"] == ["192.0.2.53", "2001:db8::53"]
    assert {key: kernel.sysctl(key, slot["path"]) for key in sysctls} == sysctls


def test_interface_name(client):
    client.call("CreateNetwork", network(interface="net0"))
    slot = client.acquire()
    assert slot["interface"] == "net0" and sorted(kernel.links(slot["path"])) == ["lo", "net0"]
    assert default_routes(4, slot["path"]) == {(slot["gateways"][0], "net0")}


def test_every_slot_is_another(client, web):
    slots = [client.acquire() for _ in range(20)]
    for key in ("name", "cookie", "mac", "path", "address4", "address6", "generation"):
        assert len({slot[key] for slot in slots}) == 20, key
    assert len({kernel.link("eth0", slot["path"])["ifindex"] for slot in slots}) == 1, "as virtual machines like it"
    assert len({sandbox.cookie(slot["path"]) for slot in slots}) == 20


# How it is used

def test_path(nsd, client, web):
    slot = client.acquire()
    assert slot["path"] == f"{nsd.runtime}/slots/{slot['name']}"
    assert slot["mac"] in kernel.run("nsenter", f"--net={slot['path']}", "ip", "-o", "link", "show", "eth0").stdout
    with sandbox.inside(slot["path"]):
        assert sandbox.cookie() == slot["cookie"]
    assert kernel.nsfs_mounts() == [], "the host's mount table does not grow"


def test_paths_are_roots_alone(client, web, host):
    """What an unprivileged user could open it could hold for ever."""
    slot = client.acquire()
    with acting_as(ALICE), pytest.raises(PermissionError):
        os.open(slot["path"], os.O_RDONLY)


def test_fd(client, web):
    slot = client.acquire()
    reply, (fd,) = client.call_fds("OpenSlot", name=slot["name"])
    assert reply["fileDescriptor"] == 0 and reply["slot"]["cookie"] == slot["cookie"] == sandbox.cookie(fd)
    os.close(fd)
    reply, (fd,) = client.call_fds("AcquireSlot", network="web", open=True)
    assert reply["fileDescriptor"] == 0 and reply["created"] is True
    assert reply["slot"]["cookie"] == sandbox.cookie(fd) != slot["cookie"]
    os.close(fd)
    assert client.call_fds("AcquireSlot", network="web")[1] == []


def test_fd_of_what_nobody_has(client):
    client.call("CreateNetwork", network(ready=1))
    name, = poll.until(lambda: list(client.slots(state="ready")), "one is ready")
    slot = client.acquire()
    client.call("ReleaseSlot", name=slot["name"], wait=True)
    assert slot["name"] == name
    for missing in ("web.30000", "absent.1"):
        assert expect("NotFound", client.call, "OpenSlot", name=missing).field == "name"
    for name in (slot["name"], *client.slots(state="ready")):
        with pytest.raises(Error) as raised:
            client.call("OpenSlot", name=name)
        assert raised.value.short in ("NotFound", "Draining") and raised.value.field == "name"


def asks_for_a_mac(frame):
    """ARP, or a neighbour solicitation but of those by which an address is tried out before it is used."""
    if frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 135:
        return any(frame[22:38])
    return frame[12:14] == b"\x08\x06"


@pytest.mark.parametrize("protocol", traffic.KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_first_packet_at_once(client, web, family, protocol):
    """Cold slots: the first packet is answered without any resolution, and never after one."""
    slow = []
    for _ in range(15):
        slot = client.acquire()
        with traffic.Ear(slot["path"], "eth0", both=True) as ear:
            begin = time.monotonic()
            assert traffic.reaches(slot["path"], HOST[family], 53, None, protocol) == slot[f"address{family}"]
            took = time.monotonic() - begin
            heard = ear.heard(seconds=0)
        asked = [frame for frame in heard if asks_for_a_mac(frame)]
        assert heard and not asked, "somebody had to ask for a MAC address"
        if took > 0.1:
            slow.append(took)
    assert not slow, slow


def test_labels(client, web):
    labels = {"job": "17", "who": "test"}
    slot = client.acquire(labels=labels)
    assert slot["labels"] == labels == client.slots()[slot["name"]]["labels"]
    error = expect("InvalidValue", client.acquire, labels={"key": "x" * 190})
    assert error.field.startswith("labels")
    assert client.acquire(labels={"key": "x" * 180})["labels"] == {"key": "x" * 180}


def test_name_in_run_netns(nsd, client, web):
    """A name for `ip netns` on request, for as long as the lease."""
    slot = client.acquire(namespace="job17", bond="nothing")
    assert slot["namespace"] == "job17" and kernel.netns_files() == ["job17"]
    assert sandbox.cookie("/run/netns/job17") == slot["cookie"]
    assert kernel.addresses("eth0", "job17") == set(slot["addresses"])
    with pytest.raises(Error) as raised:
        client.call("CreateNamespace", name="job17")
    assert raised.value.short in ("NameTaken", "AlreadyExists") and raised.value.field == "name"
    nsd.restart(kill=True)
    with nsd.client() as again:
        assert kernel.netns_files() == ["job17"] and again.slots()[slot["name"]]["namespace"] == "job17"
        assert again.call("ReleaseSlot", name=slot["name"], wait=True).get("state") is None
        assert kernel.netns_files() == [] and kernel.nsfs_mounts() == []


def test_taken_name_in_run_netns(nsd, client, web, host):
    host.add_foreign_netns("theirs")
    client.call("CreateNamespace", name="mine")
    client.acquire(namespace="leased")
    before = {name: sandbox.cookie(f"/run/netns/{name}") for name in kernel.netns_files()}
    for name in ("theirs", "mine", "leased"):
        with pytest.raises(Error) as raised:
            client.acquire(namespace=name)
        assert raised.value.short in ("NameTaken", "AlreadyExists") and raised.value.field == "namespace", raised.value
    assert {name: sandbox.cookie(f"/run/netns/{name}") for name in kernel.netns_files()} == before
    poll.equal(lambda: client.pool()["leased"], 1, "nothing stays of what failed")


# Extras

def tap_of(slot, name="tap0"):
    item = kernel.link(name, slot["path"])
    return item, item["linkinfo"]


def test_tap(client, web):
    tap = {"interface": "tap0", "owner": ALICE, "mac": "02:00:00:00:00:09", "addresses": ["172.30.0.1/30", "fd30::1/126"]}
    slot = client.acquire(tap=tap)
    assert slot["tap"]["interface"] == "tap0"
    item, info = tap_of(slot)
    assert info["info_kind"] == "tun" and info["info_data"]["type"] == "tap"
    assert item["address"] == tap["mac"] and "UP" in item["flags"]
    assert kernel.addresses("tap0", slot["path"]) == set(tap["addresses"])
    assert sorted(kernel.links(slot["path"])) == ["eth0", "lo", "tap0"]
    assert client.slots()[slot["name"]]["tap"] == slot["tap"]
    assert traffic.reaches(slot["path"], HOST[4], 53, None), "the slot's own way is as it was"


def attach_tap(uid):
    """In the caller's network namespace, as that user: True when tap0 lets it in."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    try:
        with acting_as(uid):
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH14x", b"tap0", IFF_TAP | IFF_NO_PI))
        return True
    except PermissionError:
        return False
    finally:
        os.close(fd)


def test_tap_opens_for_its_owner(client, web):
    slot = client.acquire(tap={"interface": "tap0", "owner": ALICE})
    with sandbox.inside(slot["path"]):
        assert attach_tap(ALICE) and not attach_tap(BOB)


def test_tap_has_no_default_owner_but_the_caller(client, web):
    slot = client.acquire(tap={"interface": "tap0"})
    with sandbox.inside(slot["path"]):
        assert attach_tap(0) and not attach_tap(ALICE)


def test_taken_name_of_a_tap(client, web):
    for name in ("eth0", "lo"):
        assert expect("NameTaken", client.acquire, tap={"interface": name}).field == "tap.interface"
    poll.equal(lambda: client.pool()["leased"], 0, "nothing stays")


RATE = 8_000_000  # bits a second


def test_rate_is_told_and_set(nsd, client, web):
    rate = {"send": RATE, "sendBurst": 20000, "receive": 2 * RATE, "receiveBurst": 30000}
    slot = client.acquire(rate=rate)
    assert slot["rate"] == rate == client.slots()[slot["name"]]["rate"]
    router = f"{nsd.runtime}/slots/web@0"
    assert "tbf" in kernel.run("tc", "qdisc", "show", "dev", f"slot{number_of(slot)}", netns=router).stdout


@pytest.mark.parametrize("family", FAMILIES)
def test_rates(client, web, family):
    """Roughly: what is sent much faster than allowed arrives at the rate, and not without a limit."""
    wanted = RATE / 8
    slot, free = client.acquire(rate={"send": RATE, "receive": RATE}), client.acquire()
    address = f"address{family}"
    sent = traffic.flood(slot["path"], HOST[family], 53, None)
    received = traffic.flood(None, slot[address], 7000, slot["path"])
    assert 0.5 * wanted < sent < 2 * wanted and 0.5 * wanted < received < 2 * wanted, (sent, received, wanted)
    assert traffic.flood(free["path"], HOST[family], 53, None) > 3 * wanted
    assert traffic.flood(None, free[address], 7000, free["path"]) > 3 * wanted


def test_rate_of_one_way(client, web):
    slot = client.acquire(rate={"receive": RATE})
    assert traffic.flood(slot["path"], HOST[4], 53, None) > 3 * RATE / 8
    assert traffic.flood(None, slot["address4"], 7000, slot["path"]) < 2 * RATE / 8


def test_rate_does_not_outlive_the_lease(client):
    """The next slot with the number has none."""
    client.call("CreateNetwork", network(ipv4="10.64.0.0/30", ipv6=None, services=SERVICES))
    for rate in ({"send": RATE, "receive": RATE}, None):
        slot = client.acquire(rate=rate)
        assert slot.get("rate") == rate
        client.call("ReleaseSlot", name=slot["name"], wait=True)
    slot = client.acquire()
    assert traffic.flood(slot["path"], HOST[4], 53, None) > 3 * RATE / 8
    assert traffic.flood(None, slot["address4"], 7000, slot["path"]) > 3 * RATE / 8


# Published ports

PUBLISH = [{"protocol": "tcp", "first": 30000, "last": 30009}, {"protocol": "udp", "first": 5000, "last": 5000}]


@pytest.fixture
def publishing(client, host):
    outside.make(host)
    outside.forward()
    return client.call("CreateNetwork", network(publish=PUBLISH))["network"]


@pytest.mark.parametrize("protocol, host_port", [("tcp", 30003), ("udp", 5000)])
def test_publish(client, publishing, protocol, host_port):
    """From outside and from the host itself, by any address of the host that outside knows; not before and not after."""
    ways = [(source, outside.HOST[family]) for family in FAMILIES for source in ("outside", None)]

    def leads_to(slot):
        return [way for way in ways if not traffic.blocked(way[0], way[1], host_port, slot["path"], protocol, listen=("", 80))]
    slot = client.acquire()
    assert leads_to(slot) == []
    client.call("ReleaseSlot", name=slot["name"], wait=True)
    published = [{"protocol": protocol, "hostPort": host_port, "port": 80}]
    slot = client.acquire(publish=published)
    assert slot["published"] == published == client.slots()[slot["name"]]["published"]
    assert leads_to(slot) == ways
    for family in FAMILIES:
        assert traffic.reaches("outside", outside.HOST[family], host_port, slot["path"], protocol,
                               listen=("", 80)) == outside.PEER[family], "the slot sees who asks"
        assert traffic.blocked("outside", outside.HOST[family], 80, slot["path"], protocol, listen=("", 80))
    client.call("ReleaseSlot", name=slot["name"], wait=True)
    assert leads_to(client.acquire()) == []


def test_host_port_is_chosen(client, publishing):
    """One that the network allows, another one each time, until there is none."""
    ports = set()
    for _ in range(10):
        one, = client.acquire(publish=[{"protocol": "tcp", "port": 80}])["published"]
        assert one["port"] == 80 and 30000 <= one["hostPort"] <= 30009
        ports.add(one["hostPort"])
    assert len(ports) == 10
    with pytest.raises(Error) as raised:
        client.acquire(publish=[{"protocol": "tcp", "port": 80}])
    assert raised.value.short in ("LimitExceeded", "NameTaken") and raised.value.field.startswith("publish")
    assert client.pool()["leased"] == 10


def test_two_ports_of_one_slot(client, publishing):
    published = [{"protocol": "tcp", "hostPort": 30000, "port": 80}, {"protocol": "udp", "hostPort": 5000, "port": 53}]
    slot = client.acquire(publish=published)
    assert slot["published"] == published
    for one in published:
        assert traffic.reaches("outside", outside.HOST[4], one["hostPort"], slot["path"], one["protocol"],
                               listen=("", one["port"]))


def test_bad_publish(client, publishing):
    """Outside of what the network allows, or another slot's."""
    client.acquire(publish=[{"protocol": "tcp", "hostPort": 30001, "port": 80}])
    for protocol, host_port, error in (("tcp", 22, "InvalidValue"), ("tcp", 30010, "InvalidValue"),
                                       ("udp", 30000, "InvalidValue"), ("tcp", 30001, "NameTaken")):
        published = [{"protocol": protocol, "hostPort": host_port, "port": 80}]
        assert expect(error, client.acquire, publish=published).field == "publish[0].hostPort"
    assert client.pool()["leased"] == 1


def test_no_ports_to_publish(client, web):
    with pytest.raises(Error) as raised:
        client.acquire(publish=[{"protocol": "tcp", "port": 80}])
    assert raised.value.field.startswith("publish")


@pytest.mark.parametrize("how", ["restart", "nft flush ruleset"])
def test_publish_stays(nsd, client, publishing, how):
    slot = client.acquire(publish=[{"protocol": "tcp", "hostPort": 30003, "port": 80}], bond="nothing")
    if how == "restart":
        nsd.restart(kill=True)
    else:
        kernel.run("nft", "flush", "ruleset")
    for family in FAMILIES:
        poll.until(lambda family=family: traffic.reaches(
            "outside", outside.HOST[family], 30003, slot["path"], listen=("", 80), deadline=0.2), "it leads there again")
    with nsd.client() as again:
        assert expect("NameTaken", again.acquire, publish=[{"protocol": "tcp", "hostPort": 30003, "port": 80}])
        again.call("ReleaseSlot", name=slot["name"], wait=True)
        again.acquire(publish=[{"protocol": "tcp", "hostPort": 30003, "port": 80}])


# One inner address for all

INNER = {4: "172.16.0.2", 6: "fd00:1::2"}


@pytest.fixture
def clones(client):
    """A network whose slots all have the same addresses inside and reach each other."""
    return client.call("CreateNetwork", network(inner4="172.16.0.2/30", inner6="fd00:1::2/126", services=SERVICES,
                                                isolated=False, ready=2))["network"]


def test_inner_inside(client, clones):
    """Everything inside is the same for all slots, but for them to be told apart from outside."""
    slots = [client.acquire() for _ in range(3)]
    plan, seen = plan_of(), []
    for slot in slots:
        netns = slot["path"]
        assert set(slot["addresses"]) == {"172.16.0.2/30", "fd00:1::2/126"} == kernel.addresses("eth0", netns)
        assert {family: slot[f"address{family}"] for family in FAMILIES} == plan.slot(number_of(slot))
        assert {gateway for family in FAMILIES for gateway, _ in default_routes(family, netns)} == set(slot["gateways"])
        for gateway in slot["gateways"]:
            assert any(ipaddress.ip_address(gateway) in ipaddress.ip_interface(address).network
                       for address in slot["addresses"])
            assert "PERMANENT" in kernel.neighbours(netns)[gateway, "eth0"][1]
        seen.append((slot["addresses"], slot["gateways"], slot["interface"]))
    assert seen[0] == seen[1] == seen[2] and len({slot["address4"] for slot in slots}) == 3


@pytest.mark.parametrize("protocol", traffic.KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_inner_traffic(client, clones, family, protocol):
    """To the host, from the host, between slots: by their own addresses, at the same time."""
    one, other = client.acquire(), client.acquire()
    address = f"address{family}"
    listen = (INNER[family], 7000)
    for slot in (one, other):
        assert traffic.reaches(slot["path"], HOST[family], 53, None, protocol) == slot[address]
        assert traffic.reaches(None, slot[address], 7000, slot["path"], protocol, listen=listen)
    assert traffic.reaches(one["path"], other[address], 7000, other["path"], protocol, listen=listen) == one[address]
    assert traffic.reaches(other["path"], one[address], 7000, one["path"], protocol, listen=listen) == other[address]


def test_inner_sources_are_its_own(client, clones):
    """A slot that takes its own outer address, or another's, as its source is not heard."""
    one, other = client.acquire(), client.acquire()
    mac = kernel.neighbours(one["path"])[one["gateways"][0], "eth0"][0]
    for family in FAMILIES:
        say = lambda source, data: frames.ethernet(mac, one["mac"], *frames.udp(source, HOST[family], 53, data))  # noqa: B023
        with traffic.Inbox(None, HOST[family], 53) as inbox, traffic.Mouth(one["path"], "eth0") as mouth:
            mouth.say(say(one[f"address{family}"], b"outer"), say(other[f"address{family}"], b"other's"),
                      say(INNER[family], b"last"))
            assert inbox.until(b"last") == []


def test_inner_masquerade_and_publish(client, host):
    outside.make(host)
    outside.forward()
    client.call("CreateNetwork", network(inner4="172.16.0.2/30", inner6="fd00:1::2/126", egress="masquerade",
                                         publish=PUBLISH))
    slots = [client.acquire(publish=[{"protocol": "tcp", "hostPort": 30000 + number, "port": 80}]) for number in range(2)]
    for family in FAMILIES:
        for number, slot in enumerate(slots):
            assert traffic.reaches(slot["path"], outside.PEER[family], 7000, "outside") == outside.HOST[family]
            assert traffic.reaches("outside", outside.HOST[family], 30000 + number, slot["path"], listen=("", 80))


def test_bad_inner(nsd, client):
    """Of the wrong family, of a family that the network has not, or with no room for a gateway."""
    for fields, field in (
            ({"inner4": "fd00::2/126"}, "inner4"), ({"inner6": "172.16.0.2/30"}, "inner6"),
            ({"inner4": "172.16.0.2/32"}, "inner4"), ({"inner6": "fd00::2/126", "ipv6": None}, "inner6"),
            ({"inner4": "172.16.0.2/30", "ipv4": None}, "inner4")):
        assert expect("InvalidValue", client.call, "CreateNetwork", network(**fields)).field == field
    assert nsd.recorded() == []
