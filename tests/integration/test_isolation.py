# SPDX-License-Identifier: GPL-2.0-or-later
"""Isolation, by real traffic: who reaches whom and who does not, with honest sockets and with frames made to deceive; as
made, with the host's rules flushed while nsd cannot put them back, with nsd killed, and after its restart."""
import os
import signal
import socket

import pytest

from nsdtest import frames, kernel, networks, outside, poll, sandbox, traffic
from nsdtest.networks import FAMILIES, OTHERS, Plan, number_of
from nsdtest.specs import network, port

HOST = {4: "10.64.0.0", 6: "fd64::"}         # the host's addresses on the network "web"
ROUTER = {4: "10.64.0.1", 6: "fd64::1"}      # of its router, on the uplink
OTHER_HOST = {4: "10.65.0.0", 6: "fd65::"}   # the host's on the network "other"
SERVICES = [port("udp", 53), port("tcp", 53)]
PUBLISH = [{"protocol": protocol, "first": 30000, "last": 30009} for protocol in traffic.KINDS]
PROTOCOLS = tuple(traffic.KINDS)


class Scene:
    """Two slots of network "web" (a, b), one of network "other" (c), a host that forwards everything, and a world outside.
    Slots are entered by file descriptors, so that they can be entered while nsd is away."""

    def __init__(self, host, nsd, client, egress="none", isolated=True, **fields):
        self.host, self.nsd, self.egress, self.isolated = host, nsd, egress, isolated
        outside.make(host)
        outside.forward()
        client.call("CreateNetwork", network(egress=egress, isolated=isolated, services=SERVICES, publish=PUBLISH, **fields))
        client.call("CreateNetwork", network("other", OTHERS[4], OTHERS[6], egress=egress, isolated=False))
        published = [{"protocol": protocol, "hostPort": 30003, "port": 80} for protocol in PROTOCOLS]
        self.a = client.acquire(bond="nothing", publish=published)
        self.b, self.c = client.acquire(bond="nothing"), client.acquire("other", bond="nothing")
        self.fds = {}
        for slot in (self.a, self.b, self.c):
            self.enter(slot)
        self.router = os.open(f"{nsd.runtime}/slots/web@0", os.O_RDONLY | os.O_CLOEXEC)

    def enter(self, slot):
        self.fds[slot["name"]] = os.open(slot["path"], os.O_RDONLY | os.O_CLOEXEC)
        return self.fds[slot["name"]]

    def at(self, slot):
        return self.fds[slot["name"]]

    def close(self):
        for fd in (*self.fds.values(), self.router):
            os.close(fd)

    # Who may reach whom: (who, arguments of an attempt, named ones, the address it is to be seen from)

    def allowed_by_the_router(self, family, protocol):
        """What flows whatever becomes of the host's rules."""
        a, b, own = self.a, self.b, f"address{family}"
        for slot in (a, b):
            for address in (HOST[family], outside.HOST[family]):
                yield "slot to a service of the host", (self.at(slot), address, 53, None, protocol), {}, slot[own]
            yield "host to slot", (None, slot[own], 7000, self.at(slot), protocol), {}, HOST[family]
        yield "outside to the host", ("outside", outside.HOST[family], 7000, None, protocol), {}, outside.PEER[family]
        if not self.isolated:
            yield "slot to slot", (self.at(a), b[own], 7000, self.at(b), protocol), {}, a[own]
            yield "slot to slot", (self.at(b), a[own], 7000, self.at(a), protocol), {}, b[own]
        if self.egress == "routed":
            yield "slot to outside", (self.at(a), outside.PEER[family], 7000, "outside", protocol), {}, a[own]
            yield "outside to slot", ("outside", b[own], 7000, self.at(b), protocol), {}, outside.PEER[family]

    def allowed_by_the_host(self, family, protocol):
        """What needs the host's rules, too."""
        if self.egress == "masquerade":
            for slot in (self.a, self.b, self.c):
                yield ("slot to outside", (self.at(slot), outside.PEER[family], 7000, "outside", protocol), {},
                       outside.HOST[family])
        listen = {"listen": ("", 80)}
        yield ("published, from outside", ("outside", outside.HOST[family], 30003, self.at(self.a), protocol), listen,
               outside.PEER[family])
        yield "published, from the host", (None, outside.HOST[family], 30003, self.at(self.a), protocol), listen, None

    def forbidden(self, family, protocol):
        a, b, c, own = self.a, self.b, self.c, f"address{family}"
        port_ = traffic.fresh_port
        for slot in (a, b):
            for what, address in (("address on its network", HOST[family]), ("other address", outside.HOST[family]),
                                  ("address on another network", OTHER_HOST[family])):
                yield f"slot to the host's {what}", (self.at(slot), address, port_(), None, protocol)
            for address in (Plan(**networks.prefixes("dual")).router(number_of(slot))[family], ROUTER[family]):
                yield "slot to its router", (self.at(slot), address, port_(), self.router, protocol)
            yield "slot to a slot of another network", (self.at(slot), c[own], port_(), self.at(c), protocol)
            yield "slot of another network to slot", (self.at(c), slot[own], port_(), self.at(slot), protocol)
        yield "slot to a service that its network has not", (self.at(c), OTHER_HOST[family], 53, None, protocol)
        yield "outside to the router", ("outside", ROUTER[family], port_(), self.router, protocol)
        if self.isolated:
            yield "slot to slot", (self.at(a), b[own], port_(), self.at(b), protocol)
            yield "slot to slot", (self.at(b), a[own], port_(), self.at(a), protocol)
        if self.egress == "none":
            yield "slot to outside", (self.at(a), outside.PEER[family], port_(), "outside", protocol)
        if self.egress != "routed":
            yield "outside to slot", ("outside", a[own], port_(), self.at(a), protocol)
            yield "outside to slot", ("outside", b[own], port_(), self.at(b), protocol)

    def assert_allowed(self, which):
        wrong = []
        for family in FAMILIES:
            for protocol in PROTOCOLS:
                for who, arguments, named, wanted in which(family, protocol):
                    seen = traffic.reaches(*arguments, deadline=2, **named)
                    if seen is None or wanted not in (None, seen):
                        wrong.append(f"{who}: {protocol} to {arguments[1]}: seen from {seen} instead of {wanted}")
        assert not wrong, "\n".join(wrong)

    def assert_forbidden(self):
        rows = [row for family in FAMILIES for protocol in PROTOCOLS for row in self.forbidden(family, protocol)]
        through = traffic.getting_through(*(arguments for _, arguments in rows))
        wrong = [f"{who}: {what}" for who, (_, address, number, _, protocol) in rows
                 if (what := f"{protocol} {address} port {number}") in through]
        assert not wrong, "\n".join(wrong)

    def check(self, with_host_rules=True):
        self.assert_allowed(self.allowed_by_the_router)
        if with_host_rules:
            self.assert_allowed(self.allowed_by_the_host)
        self.assert_forbidden()

    # What happens

    def phases(self):
        """Yields the name of each state of affairs, and whether the host's rules are there in it."""
        yield "as made", True
        self.nsd.process.send_signal(signal.SIGSTOP)
        try:
            kernel.run("nft", "flush", "ruleset")
            yield "flushed", False
        finally:
            self.nsd.process.send_signal(signal.SIGCONT)
        poll.equal(kernel.nft_tables, ["inet nsd"], "the table is back")
        yield "put back", True
        self.nsd.kill9()
        yield "killed", True
        kernel.run("nft", "flush", "ruleset")
        yield "killed and flushed", False
        self.nsd.start()
        poll.equal(kernel.nft_tables, ["inet nsd"], "the table is back")
        yield "restarted", True


@pytest.fixture
def stage(host, nsd, client):
    """Makes a scene."""
    scenes = []

    def make(**fields):
        scenes.append(Scene(host, nsd, client, **fields))
        return scenes[-1]
    yield make
    for scene in scenes:
        scene.close()


@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize("egress", ["none", "routed", "masquerade"])
def test_who_reaches_whom(stage, egress, isolated):
    """Every way that is to be open, and every way that is not; v4, v6, TCP, UDP; in every state of affairs."""
    scene = stage(egress=egress, isolated=isolated)
    for phase, with_host_rules in scene.phases():
        try:
            scene.check(with_host_rules)
        except AssertionError as error:
            raise AssertionError(f"{phase}:\n{error}") from None


@pytest.mark.parametrize("egress", ["none", "masquerade"])
def test_published_ports_are_the_hosts(stage, egress):
    """From outside a slot is reached by the host's port only, and not by its own address, be that routed to the host."""
    scene = stage(egress=egress)
    through = traffic.getting_through(*(("outside", scene.a[f"address{family}"], 80, scene.at(scene.a), protocol)
                                        for family in FAMILIES for protocol in PROTOCOLS))
    assert not through


def test_changes_hold_at_once(stage, client):
    """Isolation, services and egress of slots that are in use."""
    scene = stage()
    for egress, isolated in (("routed", False), ("masquerade", True), ("none", False), ("none", True)):
        client.call("ChangeNetwork", name="web", egress=egress, isolated=isolated)
        client.call("ChangeNetwork", name="other", egress=egress)
        scene.egress, scene.isolated = egress, isolated
        scene.check()
    client.call("ChangeNetwork", name="web", services=[port("tcp", 443)])
    for family in FAMILIES:
        assert traffic.blocked(scene.at(scene.a), HOST[family], 53, None)
        assert traffic.reaches(scene.at(scene.a), HOST[family], 443, None)
        assert traffic.blocked(scene.at(scene.a), HOST[family], 443, None, "udp")


def test_new_addresses_of_the_host(stage, client):
    """An address that the host gets later is its own at once, too: only services are reached there."""
    scene = stage(egress="routed")
    late = {4: "203.0.113.1", 6: "2001:db8:2::1"}
    kernel.ip("address", "add", f"{late[4]}/32", "dev", "lo")
    kernel.ip("address", "add", f"{late[6]}/128", "dev", "lo")
    for family in FAMILIES:
        assert traffic.blocked(scene.at(scene.a), late[family], 7000, None)
    for family in FAMILIES:
        poll.until(lambda family=family: traffic.reaches(scene.at(scene.a), late[family], 53, None, deadline=0.2),
                   "a service is reached there")
    scene.nsd.process.send_signal(signal.SIGSTOP)
    kernel.run("nft", "flush", "ruleset")
    through = traffic.getting_through(*((scene.at(scene.a), late[family], 7000, None, protocol)
                                        for family in FAMILIES for protocol in PROTOCOLS))
    scene.nsd.process.send_signal(signal.SIGCONT)
    assert not through, "the router knows the address"


# Deceit

def gateway_mac(scene, slot):
    """The MAC of the router's end of a slot."""
    return kernel.neighbours(scene.at(slot))[slot["gateways"][0], "eth0"][0]


def lies(scene, family):
    """(what, source address, source MAC) that slot a has no right to."""
    a, b, c, own = scene.a, scene.b, scene.c, f"address{family}"
    plan = Plan(**networks.prefixes("dual"))
    for what, address in {
            "another slot's": b[own], "another network's slot's": c[own], "its router's": plan.router(number_of(a))[family],
            "the router's on the uplink": ROUTER[family], "the host's": HOST[family], "the host's other": outside.HOST[family],
            "the outside's": outside.PEER[family], "a free one of the network": plan.slot(500)[family],
            "none": {4: "0.0.0.0", 6: "::"}[family], "loopback": {4: "127.0.0.1", 6: "::1"}[family],
            "multicast": {4: "224.0.0.1", 6: "ff02::1"}[family], "link-local": {4: "169.254.1.1", 6: "fe80::1"}[family],
            "broadcast": {4: "255.255.255.255", 6: "ff05::2"}[family]}.items():
        yield f"address: {what}", address, a["mac"]
    yield "MAC: another slot's", a[own], b["mac"]
    yield "MAC: made up", a[own], "02:00:00:00:00:66"
    yield "MAC: its router's", a[own], gateway_mac(scene, a)
    yield "address and MAC: another slot's", b[own], b["mac"]
    yield "address and MAC: its router's", plan.router(number_of(a))[family], gateway_mac(scene, a)


def assert_no_lie_arrives(scene):
    """Lies and then the truth are sent to a service, to another slot, and outside: only the truth arrives."""
    mac = gateway_mac(scene, scene.a)
    for family in FAMILIES:
        own = f"address{family}"
        for target, netns, number in ((HOST[family], None, 53), (scene.b[own], scene.at(scene.b), 7000),
                                      (outside.PEER[family], "outside", 7000)):
            def frame(source, source_mac, data, target=target, number=number):
                return frames.ethernet(mac, source_mac, *frames.udp(source, target, number, data.encode()))
            with traffic.Inbox(netns, target, number) as inbox, traffic.Mouth(scene.at(scene.a), "eth0") as mouth, \
                    traffic.Ear(None, "nsd-web") as ear:
                mouth.say(*(frame(source, source_mac, what) for what, source, source_mac in lies(scene, family)))
                mouth.say(frame(scene.a[own], scene.a["mac"], "truth"))
                assert [data.decode() for data, _ in inbox.until(b"truth")] == []
                if netns != scene.at(scene.b):
                    heard = ear.heard(last=b"truth")
                    assert not [what for what, _, _ in lies(scene, family) if any(what.encode() in one for one in heard)]


def test_sources_are_true(stage):
    """In a network that lets everything else through."""
    scene = stage(egress="routed", isolated=False)
    for phase, _ in scene.phases():
        try:
            assert_no_lie_arrives(scene)
        except AssertionError as error:
            raise AssertionError(f"{phase}: {error}") from None


def test_other_addresses_of_a_slot(stage):
    """Root of a slot gives itself another slot's address, and another MAC: nothing comes of it."""
    scene = stage(egress="routed", isolated=False)
    a, b = scene.a, scene.b
    kernel.ip("address", "add", f"{b['address4']}/32", "dev", "eth0", netns=scene.at(a))
    kernel.ip("address", "add", f"{b['address6']}/128", "dev", "eth0", "nodad", netns=scene.at(a))
    for family in FAMILIES:
        own = f"address{family}"
        for address, target in ((HOST[family], None), (outside.PEER[family], "outside")):
            assert traffic.blocked(scene.at(a), address, 53, target, "udp", bind=b[own])
            assert traffic.reaches(scene.at(a), address, 53, target, "udp", bind=a[own]) == a[own]
        assert traffic.reaches(None, b[own], 7000, scene.at(b)), "the other slot has its address still"
    kernel.ip("link", "set", "eth0", "address", "02:00:00:00:00:66", netns=scene.at(a))
    for family in FAMILIES:
        assert traffic.blocked(scene.at(a), HOST[family], 53, None, "udp", bind=a[f"address{family}"])


def others(scene):
    """The namespaces that a slot must not be able to change."""
    return {"router": scene.router, "host": None, "outside": "outside", "b": scene.at(scene.b), "c": scene.at(scene.c)}


def surroundings(scene):
    """Their routes, interfaces, addresses and neighbours."""
    picture = {}
    for what, netns in others(scene).items():
        picture[what, "routes"] = {(item["dst"], item.get("gateway"), item.get("dev")) for family in FAMILIES
                                   for item in kernel.ip_json(f"-{family}", "route", "show", "table", "all", netns=netns)
                                   if "cache" not in item.get("flags", [])}
        picture[what, "links"] = {name: (item["address"], item["mtu"]) for name, item in kernel.links(netns).items()}
        picture[what, "addresses"] = {name: kernel.addresses(name, netns) for name in kernel.links(netns)}
        picture[what, "neighbours"] = {key: mac for key, (mac, states) in kernel.neighbours(netns).items()
                                       if states not in (["FAILED"], ["INCOMPLETE"])}
    return picture


def poison(scene):
    """Frames to lead others astray; each carries or names something that none of them may believe."""
    a, b = scene.a, scene.b
    evil, router_mac = "02:00:00:00:00:66", gateway_mac(scene, a)
    plan = Plan(**networks.prefixes("dual"))
    for mac in (evil, a["mac"]):
        for destination in (frames.BROADCAST, router_mac, b["mac"]):
            for claimed in (b["address4"], plan.router(number_of(b))[4], HOST[4], ROUTER[4], outside.PEER[4]):
                yield frames.ethernet(destination, mac, *frames.arp(2, mac, claimed, mac, claimed))
                yield frames.ethernet(destination, mac, *frames.arp(1, mac, claimed, "00:00:00:00:00:00", a["gateways"][0]
                                                                    if "." in a["gateways"][0] else a["gateways"][1]))
        for destination in (frames.ALL_NODES_MAC, router_mac, b["mac"]):
            for source in ("fe80::66", a["address6"]):
                yield frames.ethernet(destination, mac, *frames.router_advertisement(source, mac, "2001:db8:bad::/64"))
                for claimed in (b["address6"], plan.router(number_of(b))[6], HOST[6], ROUTER[6], outside.PEER[6]):
                    yield frames.ethernet(destination, mac, *frames.neighbour_advertisement(source, mac, claimed))
                    yield frames.ethernet(destination, mac, *frames.neighbour_advertisement(source, mac, claimed,
                                                                                            plan.router(number_of(a))[6]))
            for claimed in (b["address6"], HOST[6]):
                yield frames.ethernet(destination, mac, *frames.neighbour_solicitation(claimed, mac, plan.router(
                    number_of(a))[6], plan.router(number_of(a))[6]))
                yield frames.ethernet(destination, mac, *frames.redirect("fe80::66", claimed, "fe80::66", outside.PEER[6]))
        for target in (b["address6"], HOST[6], outside.PEER[6], "ff02::1", "ff02::2"):
            yield frames.ethernet(router_mac, mac, *frames.router_advertisement(a["address6"], mac, "2001:db8:bad::/64",
                                                                                target))


def test_rogue_messages_lead_nobody_astray(stage):
    """Router advertisements, ARP and neighbour discovery from a slot: nobody else sees them or believes them."""
    scene = stage(egress="routed", isolated=False)
    for netns in others(scene).values():
        poll.until(lambda netns=netns: not [address for item in kernel.links(netns).values()
                                            for address in item["addr_info"] if address.get("tentative")],
                   "all addresses are usable, and the routes to them there")
    for phase, _ in scene.phases():
        if phase not in ("as made", "killed and flushed", "restarted"):
            continue
        scene.assert_allowed(scene.allowed_by_the_router)  # all who want to know each other do
        before = surroundings(scene)
        with traffic.Inbox(None, HOST[4], 53) as inbox, traffic.Mouth(scene.at(scene.a), "eth0") as mouth, \
                traffic.Ear(scene.at(scene.b), "eth0") as ear, traffic.Ear(None, "nsd-web") as uplink, \
                traffic.Ear("outside", "eth0") as abroad:
            mouth.say(*poison(scene))
            mouth.say(frames.ethernet(gateway_mac(scene, scene.a), scene.a["mac"],
                                      *frames.udp(scene.a["address4"], HOST[4], 53, b"truth")))
            inbox.until(b"truth")
            told = [frame for frame in (*ear.heard(seconds=0.05), *uplink.heard(last=b"truth"), *abroad.heard(seconds=0))
                    if frames.mac_bytes("02:00:00:00:00:66") in frame or frames.packed("2001:db8:bad::") in frame]
        assert not told, f"{phase}: others heard of it"
        after = surroundings(scene)
        assert after == before, f"{phase}: " + "\n".join(f"{key}: {before[key]} -> {after[key]}" for key in before
                                                         if before[key] != after[key])
    scene.check()


def test_broadcasts_and_multicasts_stay(stage):
    """What a slot sends to everybody nobody gets."""
    scene = stage(egress="routed", isolated=False)
    a = scene.a
    with traffic.Inbox(None, HOST[4], 53) as inbox, traffic.Mouth(scene.at(a), "eth0") as mouth, \
            traffic.Ear(scene.at(scene.b), "eth0") as ear, traffic.Ear(None, "nsd-web") as uplink:
        for mac in (frames.BROADCAST, gateway_mac(scene, a), "01:00:5e:00:00:fb", frames.ALL_NODES_MAC):
            for target in ("255.255.255.255", "10.64.255.255", "224.0.0.251", "239.1.1.1"):
                mouth.say(frames.ethernet(mac, a["mac"], *frames.udp(a["address4"], target, 53, b"everybody")))
            for target in ("ff02::1", "ff02::fb", "ff05::2", "ff0e::1"):
                mouth.say(frames.ethernet(mac, a["mac"], *frames.udp(a["address6"], target, 53, b"everybody")))
        mouth.say(frames.ethernet(gateway_mac(scene, a), a["mac"], *frames.udp(a["address4"], HOST[4], 53, b"truth")))
        assert inbox.until(b"truth") == []
        assert not [frame for frame in (*ear.heard(seconds=0.05), *uplink.heard(last=b"truth")) if b"everybody" in frame]


def test_loopback_of_the_host(stage):
    """Frames to 127.0.0.1 and ::1 reach neither the router's nor the host's."""
    scene = stage(egress="routed")
    a = scene.a
    for netns in (None, scene.router):
        for family, target in ((4, "127.0.0.1"), (6, "::1")):
            with traffic.Inbox(netns, target, 53) as inbox, traffic.Inbox(None, HOST[family], 53) as sign, \
                    traffic.Mouth(scene.at(a), "eth0") as mouth:
                for where, data in ((target, b"inside"), (HOST[family], b"truth")):
                    mouth.say(frames.ethernet(gateway_mac(scene, a), a["mac"],
                                              *frames.udp(a[f"address{family}"], where, 53, data)))
                assert sign.until(b"truth") == []
                assert not inbox.pending()


def test_settings_of_the_router(stage):
    """It believes no advertisement and no redirect, sends none, and answers for nobody else."""
    scene = stage()
    for slot in (scene.a, scene.b):
        value = lambda key, which=f"slot{number_of(slot)}": kernel.sysctl(key.format(which), scene.router)
        for key in ("net.ipv6.conf.{}.accept_ra", "net.ipv6.conf.{}.accept_redirects", "net.ipv4.conf.{}.send_redirects",
                    "net.ipv4.conf.{}.proxy_arp", "net.ipv6.conf.{}.proxy_ndp", "net.ipv4.conf.{}.route_localnet"):
            assert value(key) == "0", key
        for key in ("net.ipv4.conf.{}.proxy_arp", "net.ipv4.conf.{}.route_localnet", "net.ipv6.conf.{}.proxy_ndp",
                    "net.ipv4.conf.{}.send_redirects"):
            assert value(key, "all") == "0", key  # either of the two would do it
        for key in ("net.ipv4.conf.{}.accept_redirects", "net.ipv4.conf.{}.accept_source_route"):
            assert "0" in (value(key), value(key, "all")), key  # it takes both


@pytest.mark.parametrize("family", FAMILIES)
def test_path_mtu(stage, family):
    """A slot learns of a narrow place behind the host."""
    scene = stage(egress="routed")
    assert traffic.reaches(scene.at(scene.a), outside.PEER[family], 7000, "outside", "udp")
    for netns, interface in ((None, outside.INTERFACE), ("outside", "eth0")):
        kernel.ip("link", "set", interface, "mtu", 1300, netns=netns)
    level, discover, mtu = {4: (socket.IPPROTO_IP, 10, 14), 6: (socket.IPPROTO_IPV6, 23, 24)}[family]
    with traffic.socket_in(scene.at(scene.a), traffic.family_of(HOST[family]), socket.SOCK_DGRAM) as one:
        one.setsockopt(level, discover, 2)
        one.connect((outside.PEER[family], 7000))

        def learnt():
            try:
                one.send(bytes(1400))
            except OSError:
                pass
            return one.getsockopt(level, mtu) == 1300
        poll.until(learnt, "it knows")


def test_masquerade_hides_nothing_else(stage):
    """Only what leaves the host is rewritten: the host's services see the slot."""
    scene = stage(egress="masquerade", isolated=False)
    for family in FAMILIES:
        own = f"address{family}"
        assert traffic.reaches(scene.at(scene.a), outside.HOST[family], 53, None) == scene.a[own]
        assert traffic.reaches(scene.at(scene.a), scene.b[own], 7000, scene.at(scene.b)) == scene.a[own]
        assert traffic.reaches("outside", outside.HOST[family], 7000, None) == outside.PEER[family]


def test_ping(stage):
    """The host pings slots; slots do not ping each other where they are isolated."""
    scene = stage()
    for family in FAMILIES:
        own = f"address{family}"
        assert kernel.ping(scene.a[own])
        assert not kernel.ping(scene.b[own], scene.at(scene.a), deadline=0.2)
        assert not kernel.ping(scene.c[own], scene.at(scene.a), deadline=0.2)
        assert not kernel.ping(outside.PEER[family], scene.at(scene.a), deadline=0.2)


def test_unused_addresses_lead_nowhere(stage):
    """Packets to slots that are not there do not run in circles between host and router."""
    stage(egress="routed", isolated=False)
    unused = Plan(**networks.prefixes("dual")).slot(30000)
    for family in FAMILIES:
        with traffic.Ear(None, "nsd-web", both=True) as ear, \
                traffic.socket_in(None, traffic.family_of(unused[family]), socket.SOCK_DGRAM) as one:
            for _ in range(3):
                try:
                    one.sendto(b"nowhere", (unused[family], 7000))
                except OSError:
                    pass
            echoes = [frame for frame in ear.heard(seconds=0.1)
                      if frame.endswith(b"nowhere") and frame[23 if family == 4 else 20] == frames.UDP]
        assert len(echoes) <= 3, "it came back"


# Over several routers

def test_shards(host, nsd, client):
    """A network that is larger than one router: the same rules hold between and within all of them."""
    outside.make(host)
    outside.forward()
    client.call("CreateNetwork", network(services=SERVICES, publish=PUBLISH, egress="masquerade", ready=520))
    poll.equal(lambda: client.pool()["ready"], 520, "the pool is full", deadline=30)
    assert sorted(kernel.links()) == ["lo", "nsd-web", outside.INTERFACE]
    early = [client.acquire() for _ in range(64)] # what was made first is handed out first; then comes the newest
    client.send_raw(b"".join(client.message("io.nsd.Manager.AcquireSlot", {
        "network": "web", "publish": [{"protocol": "tcp", "port": 80}]}) for _ in range(4)))
    slots = [client.receive("AcquireSlot")[0]["slot"] for _ in range(4)] + early
    client.call("ChangeNetwork", name="web", ready=0)
    while sum(number_of(slot) >= 512 for slot in slots) < 2 or min(map(number_of, slots)) > 511:
        slots.append(client.acquire())
    first = next(slot for slot in slots if number_of(slot) < 512)
    second, third = [slot for slot in slots if number_of(slot) >= 512][:2]
    pairs = [(first, second), (second, first), (second, third)]

    def attempts(protocol, family):
        return [(one["path"], other[f"address{family}"], traffic.fresh_port(), other["path"], protocol)
                for one, other in pairs]
    for family in FAMILIES:
        own = f"address{family}"
        for slot in (first, second, third):
            assert traffic.reaches(slot["path"], HOST[family], 53, None, "udp") == slot[own]
            assert traffic.reaches(None, slot[own], 7000, slot["path"]) == HOST[family]
            assert traffic.reaches(slot["path"], outside.PEER[family], 7000, "outside") == outside.HOST[family]
            assert traffic.blocked(slot["path"], HOST[family], 54, None)
        for protocol in PROTOCOLS:
            assert traffic.getting_through(*attempts(protocol, family)) == []
        with traffic.Inbox(None, HOST[family], 53) as inbox, traffic.Mouth(second["path"], "eth0") as mouth:
            mac = kernel.neighbours(second["path"])[second["gateways"][0], "eth0"][0]
            for source, data in ((first[own], b"first"), (third[own], b"third"), (HOST[family], b"host"),
                                 (second[own], b"truth")):
                mouth.say(frames.ethernet(mac, second["mac"], *frames.udp(source, HOST[family], 53, data)))
            assert inbox.until(b"truth") == []
    client.call("ChangeNetwork", name="web", isolated=False)
    for family in FAMILIES:
        for arguments in attempts("tcp", family):
            assert traffic.reaches(*arguments)
    for slot in slots:
        for one in slot.get("published") or []:
            assert traffic.reaches("outside", outside.HOST[4], one["hostPort"], slot["path"], listen=("", 80))
    assert sandbox.cookie(second["path"]) == second["cookie"]
