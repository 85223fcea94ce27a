# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks: what each puts into the host and what not; every field; overlaps; deletion; what stays over restart and
reboot; what happens when somebody takes a part of one away."""
import pytest

from nsdtest import kernel, poll, sandbox
from nsdtest.monitor import Watch
from nsdtest.networks import OTHERS, PREFIXES, STACKS, Plan, prefixes
from nsdtest.specs import network, port
from nsdtest.varlink import Error, expect

UPLINK = "nsd-web"
FULL = dict(mtu=1400, egress="masquerade", isolated=False, services=[port("udp", 53), port("tcp", 443)],
            dns=["10.64.0.0", "fd64::"], publish=[{"protocol": "tcp", "first": 30000, "last": 30999}], interface="net0",
            sysctls={"net.ipv4.ip_default_ttl": "65"}, ready=2, maximum=40, labels={"who": "test"})
COUNTS = ("readySlots", "leasedSlots", "makingSlots", "drainingSlots")


def filled(client, name="web"):
    """Waits until its pool is as full as it is to be; the network."""
    def look():
        item = client.call("GetNetwork", name=name)["network"]
        return item if item.get("readySlots", 0) == item.get("ready", 0) and not item.get("makingSlots") else None
    return poll.until(look, f"the pool of {name} is full")


def steady(item):
    """A network without what changes by itself."""
    return {key: value for key, value in item.items() if key not in (*COUNTS, "message")}


def picture(netns):
    """What a namespace is made of: interfaces with their addresses, routes, neighbours, how many rules."""
    return (sandbox.cookie(None if netns is None else kernel.path_of(netns)),
            {name: (item["ifindex"], item["address"], kernel.addresses(name, netns))
             for name, item in kernel.links(netns).items()},
            kernel.routes(netns), kernel.routes(netns, "-6"),
            {key: mac for key, (mac, states) in kernel.neighbours(netns).items() if "PERMANENT" in states},
            kernel.nft_rules(netns))


def router_path(nsd, name="web"):
    return f"{nsd.runtime}/slots/{name}@0"


# What it is

@pytest.mark.parametrize("stack", STACKS)
def test_what_the_host_sees(nsd, client, host, stack):
    """One interface, one route for each prefix, one table; no mounts, no names, however many slots there are."""
    item = client.call("CreateNetwork", network(**prefixes(stack), ready=20))["network"]
    assert item["state"] == "ready" and item["owner"] == 0 and item["uplink"] == UPLINK
    assert filled(client)["readySlots"] == 20
    assert sorted(kernel.links()) == ["lo", UPLINK]
    uplink = kernel.link(UPLINK)
    assert uplink["linkinfo"]["info_kind"] == "veth" and "UP" in uplink["flags"]
    assert kernel.pyroute2_links()[UPLINK].get_attr("IFLA_GROUP") == 0x6e7364
    assert kernel.addr_assign_type(UPLINK) == 3, "its MAC was set, so that udev leaves it alone"
    wanted = {4: {"10.64.0.0/31"}, 6: {"fd64::/127"}}
    assert kernel.addresses(UPLINK) == set().union(*(wanted[family] for family in STACKS[stack]))
    for family, (destination, gateway) in {4: (PREFIXES[4], "10.64.0.1"), 6: (PREFIXES[6], "fd64::1")}.items():
        # pylint: disable=cell-var-from-loop
        routes = {route[:3] for route in kernel.routes(family=f"-{family}")}
        assert routes in (({(destination, gateway, UPLINK)}, {(destination, None, UPLINK)})
                          if family in STACKS[stack] else (set(),))
        assert item.get(f"host{family}", "").partition("/")[0] == (
            {4: "10.64.0.0", 6: "fd64::"}[family] if family in STACKS[stack] else "")
    assert kernel.nft_tables() == ["inet nsd"]
    assert kernel.netns_files() == [] and kernel.nsfs_mounts() == []
    assert nsd.recorded() == [("network", "web")]
    assert kernel.sysctl(f"net.ipv6.conf.{UPLINK}.disable_ipv6") == ("0" if 6 in STACKS[stack] else "1")
    if 6 in STACKS[stack]:
        assert kernel.sysctl(f"net.ipv6.conf.{UPLINK}.accept_ra") == "0"


def test_host_settings_are_its_own(client):
    """Nothing of the host but the uplink is set another way, while there is a network without egress and afterwards."""
    keys = [f"net.{family}.conf.{which}.{key}" for family in ("ipv4", "ipv6") for which in ("all", "default", "lo")
            for key in ("forwarding", "accept_redirects")] + [
                "net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.all.arp_ignore",
                "net.ipv6.conf.all.accept_ra", "net.ipv6.conf.default.disable_ipv6"]
    look = lambda: {key: kernel.sysctl(key) for key in keys}
    before = look()
    client.call("CreateNetwork", network())
    assert look() == before
    client.call("DeleteNetwork", name="web", wait=True)
    assert look() == before


def test_defaults(client):
    item = client.call("CreateNetwork", network())["network"]
    defaults = {"mtu": 1500, "egress": "none", "isolated": True, "interface": "eth0", "ready": 0}
    assert {key: item.get(key) for key in defaults} == defaults
    assert item["capacity"] == Plan(**prefixes("dual")).capacity == 32767
    assert all(not item.get(key) for key in ("services", "dns", "publish", "sysctls", "labels", "inner4", "inner6", *COUNTS))
    assert item.get("maximum") in (None, item["capacity"])
    assert kernel.link(UPLINK)["mtu"] == 1500


def test_capacity(client):
    for index, (ipv4, ipv6, capacity) in enumerate((
            ("10.64.0.0/30", None, 1), ("10.64.0.8/29", None, 3), ("10.64.1.0/24", None, 127), (None, "fd61::/126", 1),
            ("10.65.0.0/16", "fd62::/124", 7), ("172.30.0.0/20", "fd63::/64", 2047), ("11.0.0.0/8", "fd65::/64", 65535))):
        item = client.call("CreateNetwork", network(f"n{index}", ipv4, ipv6))["network"]
        assert item["capacity"] == min(capacity, 65535) == min(Plan(ipv4, ipv6).capacity, 65535), (ipv4, ipv6)


def test_every_field_comes_back(nsd, client):
    made = client.call("CreateNetwork", network(**FULL))["network"]
    for item in (made, client.networks()["web"], client.call("GetNetwork", name="web")["network"]):
        assert {key: item[key] for key in FULL} == FULL
    assert kernel.link(UPLINK)["mtu"] == 1400
    filled(client)
    nsd.restart(kill=True)
    with nsd.client() as again:
        assert steady(again.networks()["web"]) == steady(made)


def test_uplink_names(client):
    """Long names that begin alike have uplinks of their own; foreign interfaces of that name stay."""
    uplinks = set()
    for index, name in enumerate(("a-very-long-network-name", "a-very-long-network-namf", "a-very-long", "a-very-long-", "x")):
        assert len(name) <= 24
        uplink = client.call("CreateNetwork", network(name, f"10.{70 + index}.0.0/16", None))["network"]["uplink"]
        assert uplink.startswith("nsd-") and len(uplink) <= 15
        uplinks.add(uplink)
    assert len(uplinks) == 5 and set(kernel.links()) == uplinks | {"lo"}


def test_taken_uplink_name(nsd, client, host):
    """An interface of that name is foreign: it stays as it is, and either another name is found or nothing is made."""
    host.add_foreign_link(UPLINK)
    before = kernel.link(UPLINK)
    try:
        assert client.call("CreateNetwork", network())["network"]["uplink"] != UPLINK
    except Error as error:
        assert error.short == "NameTaken" and UPLINK in error.parameters["message"]
        assert host.snapshot()["links"] == ["lo", UPLINK] and nsd.recorded() == []
    assert kernel.link(UPLINK)["ifindex"] == before["ifindex"] and kernel.link(UPLINK)["linkinfo"]["info_kind"] == "bridge"


def test_name_twice(nsd, client):
    client.call("CreateNetwork", network())
    error = expect("AlreadyExists", client.call, "CreateNetwork", network(**{f"ipv{k}": v for k, v in OTHERS.items()}))
    assert error.field == "name" and "web" in error.parameters["message"]
    assert nsd.recorded("network") == ["web"]


def test_names_are_apart(client):
    """A network, a namespace and a link may have one name."""
    client.call("CreateNetwork", network("same"))
    client.call("CreateNamespace", name="same")
    client.call("CreateLink", ends=[{"interface": "v0"}, {"namespace": "same"}], name="same")
    client.call("DeleteNetwork", name="same", wait=True)
    assert kernel.netns_files() == ["same"] and "v0" in kernel.links()


# Ensure

def test_ensure(client):
    first = client.call("EnsureNetwork", network(**FULL))
    assert first["created"] is True
    second = client.call("EnsureNetwork", network(**FULL))
    assert second["created"] is False and second["network"]["generation"] == first["network"]["generation"]


def test_ensure_differs(client):
    before = client.call("CreateNetwork", network(**FULL))["network"]
    for field, value in (
            ("ipv4", "10.65.0.0/16"), ("ipv6", "fd65::/64"), ("mtu", 1300), ("egress", "routed"), ("isolated", True),
            ("services", [port("udp", 53)]), ("dns", ["10.64.0.0"]), ("publish", []), ("interface", "eth0"),
            ("sysctls", {"net.ipv4.ip_default_ttl": "66"}), ("labels", {"who": "else"}), ("inner4", "172.16.0.2/30")):
        error = expect("SpecDiffers", client.call, "EnsureNetwork", network(**{**FULL, field: value}))
        assert error.field.startswith(field), error
        assert steady(client.networks()["web"]) == steady(before)


# Overlaps

OVERLAPS = {
    "an address of the host": ("address add 10.64.7.1/24 dev other", "10.64.7."),
    "a smaller route": ("route add 10.64.128.0/17 dev other", "10.64.128.0/17"),
    "the same prefix": ("route add 10.64.0.0/16 dev other", "10.64.0.0/16"),
    "a larger route": ("route add 10.0.0.0/8 dev other", "10.0.0.0/8"),
    "one host": ("route add 10.64.3.4 dev other", "10.64.3.4"),
    "v6: an address": ("address add fd64::7:1/112 dev other nodad", "fd64::7:"),
    "v6: a larger route": ("-6 route add fd00::/8 dev other", "fd00::/8"),
    "v6: the same prefix": ("-6 route add fd64::/64 dev other", "fd64::/64"),
}


def test_overlap_with_the_host(nsd, client, host):
    host.add_foreign_link("other")
    kernel.ip("link", "set", "other", "up")
    wrong = []
    for what, (command, words) in OVERLAPS.items():
        kernel.ip(*command.split())
        before = host.snapshot()
        try:
            client.call("CreateNetwork", network())
            wrong.append(f"{what}: it is made all the same")
            client.call("DeleteNetwork", name="web", wait=True)
        except Error as error:
            if error.short != "NameTaken" or error.field != ("ipv6" if what.startswith("v6") else "ipv4") or \
                    words not in error.parameters["message"]:
                wrong.append(f"{what}: {error}")
        assert host.snapshot() == before and nsd.recorded() == []
        kernel.ip(*command.replace(" add ", " del ").replace(" nodad", "").split())
    assert not wrong, "\n".join(wrong)


def test_no_overlap(client, host):
    """The default route, neighbouring prefixes, and tables that only rules lead to."""
    host.add_foreign_link("other")
    kernel.ip("link", "set", "other", "up")
    kernel.ip("address", "add", "192.0.2.1/24", "dev", "other")
    for destination in ("default", "10.63.0.0/16", "10.65.0.0/16", "10.64.0.0/16 table 100"):
        kernel.ip("route", "add", *destination.split(), "dev", "other")
    assert client.call("CreateNetwork", network())["network"]["state"] == "ready"
    kernel.ip("route", "flush", "table", "100")


def test_overlap_with_another_network(nsd, client, host):
    client.call("CreateNetwork", network())
    before = host.snapshot()
    for ipv4, ipv6, field in (
            ("10.64.0.0/16", None, "ipv4"), ("10.64.1.0/24", "fd65::/64", "ipv4"), ("10.0.0.0/8", None, "ipv4"),
            (None, "fd64::/64", "ipv6"), ("10.65.0.0/16", "fd64::/48", "ipv6"), (None, "fd64::8000:0/97", "ipv6")):
        error = expect("NameTaken", client.call, "CreateNetwork", network("second", ipv4, ipv6))
        assert error.field == field and "web" in error.parameters["message"], error
    assert host.snapshot() == before and nsd.recorded("network") == ["web"]


def test_two_networks(client):
    client.call("CreateNetwork", network())
    client.call("CreateNetwork", network("other", OTHERS[4], OTHERS[6]))
    assert sorted(kernel.links()) == ["lo", "nsd-other", "nsd-web"] and kernel.nft_tables() == ["inet nsd"]
    client.call("DeleteNetwork", name="web", wait=True)
    assert sorted(kernel.links()) == ["lo", "nsd-other"] and kernel.nft_tables() == ["inet nsd"]
    client.call("DeleteNetwork", name="other", wait=True)
    assert sorted(kernel.links()) == ["lo"] and kernel.nft_tables() == []


# Change

def test_change(nsd, client):
    """Field by field: each changes alone, and all of it is remembered."""
    before = steady(client.call("CreateNetwork", network())["network"])
    for field, value in (
            ("mtu", 1300), ("egress", "routed"), ("isolated", False), ("services", [port("tcp", 22)]),
            ("dns", ["192.0.2.53"]), ("publish", [{"protocol": "udp", "first": 1, "last": 9}]), ("ready", 3),
            ("maximum", 5), ("labels", {"a": "b"}), ("sysctls", {"net.ipv4.ip_default_ttl": "33"})):
        item = steady(client.call("ChangeNetwork", {"name": "web", field: value})["network"])
        assert item == before | {field: value}
        before = item
    nsd.restart(kill=True)
    with nsd.client() as again:
        assert steady(again.networks()["web"]) == before


def test_change_of_mtu_and_sysctls(client):
    """They hold for slots made from then on; ready ones are replaced, leased ones stay."""
    client.call("CreateNetwork", network(ready=3))
    filled(client)
    leased = client.acquire()
    cookies = {slot["cookie"] for slot in client.slots().values()}
    client.call("ChangeNetwork", name="web", mtu=1300, sysctls={"net.ipv4.ip_default_ttl": "33"})
    poll.until(lambda: [slot["mtu"] for slot in client.slots(state="ready").values()] == [1300] * 3, "they are replaced")
    fresh = client.acquire()
    assert fresh["cookie"] not in cookies and fresh["mtu"] == 1300
    assert kernel.link("eth0", fresh["path"])["mtu"] == 1300
    assert kernel.sysctl("net.ipv4.ip_default_ttl", fresh["path"]) == "33"
    assert kernel.link("eth0", leased["path"])["mtu"] == 1500


def test_what_never_changes(client):
    before = client.call("CreateNetwork", network())["network"]
    for field, value in (
            ("ipv4", "10.66.0.0/16"), ("ipv6", "fd66::/64"), ("interface", "net1"), ("inner4", "172.16.0.2/30"),
            ("inner6", "fd::2/126"), ("owner", 1), ("state", "ready"), ("uplink", "x")):
        assert expect("InvalidParameter", client.call, "ChangeNetwork", {"name": "web", field: value}).field == field
    assert steady(client.networks()["web"]) == steady(before)


def test_change_with_an_old_generation(client):
    item = client.call("CreateNetwork", network())["network"]
    expect("StaleGeneration", client.call, "ChangeNetwork", name="web", generation=item["generation"] - 1, mtu=1300)
    client.call("ChangeNetwork", name="web", generation=item["generation"], mtu=1300)
    client.call("DeleteNetwork", name="web", wait=True)
    client.call("CreateNetwork", network())
    expect("StaleGeneration", client.call, "DeleteNetwork", name="web", generation=item["generation"])
    assert UPLINK in kernel.links()


# Delete

def test_delete(nsd, client, host):
    client.call("CreateNetwork", network(**FULL))
    filled(client)
    path = router_path(nsd)
    assert "uplink" in kernel.links(path)
    assert client.call("DeleteNetwork", name="web", wait=True).get("state") is None
    for what, wanted in host.base.items():
        assert host.snapshot()[what] == wanted, what
    assert nsd.recorded() == [] and client.slots() == {} and client.call("ListPools")["pools"] == []
    assert expect("NotFound", client.call, "DeleteNetwork", name="web").field == "name"
    client.call("CreateNetwork", network(**FULL))


def test_delete_while_leased(nsd, client):
    client.call("CreateNetwork", network(ready=1))
    slots = [client.acquire() for _ in range(3)]
    for named in ({}, {"wait": True}, {"force": False}):
        error = expect("Busy", client.call, "DeleteNetwork", name="web", **named)
        assert "3" in error.parameters["message"] and "leased" in error.parameters["message"]
    assert kernel.addresses("eth0", slots[0]["path"]) and client.networks()["web"]["state"] == "ready"
    client.call("DeleteNetwork", name="web", force=True, wait=True)
    assert client.slots() == {} and nsd.recorded() == [] and sorted(kernel.links()) == ["lo"]


def test_forced_while_a_slot_is_held(nsd, client):
    """The holder of the namespace keeps that, but nothing in it that could use an address of the network."""
    client.call("CreateNetwork", network())
    slot = client.acquire()
    with open(slot["path"], "rb") as held:
        assert "eth0" in kernel.links(held.fileno())
        client.call("DeleteNetwork", name="web", force=True, wait=True)
        assert sorted(kernel.links()) == ["lo"]
        poll.equal(lambda: sorted(kernel.links(held.fileno())), ["lo"], "its interface went with the router")
        assert client.networks() == {} and client.slots() == {} and nsd.recorded() == []
        client.call("CreateNetwork", network())
        assert client.acquire()["cookie"] != slot["cookie"]


def test_again_and_again(client):
    """Nothing of the former one is in the way."""
    for _ in range(5):
        client.call("CreateNetwork", network(ready=2))
        client.acquire()
        client.call("DeleteNetwork", name="web", force=True, wait=True)


# Restart, kill, boot

WAYS = {"kill": lambda nsd, host: nsd.restart(kill=True), "restart": lambda nsd, host: nsd.restart(),
        "stop and start": lambda nsd, host: (nsd.stop(), nsd.start())}


@pytest.mark.parametrize("way", WAYS)
def test_everything_stays(nsd, client, host, way):
    """The same router, the same uplink, the same rules."""
    before = client.call("CreateNetwork", network(**FULL))["network"]
    filled(client)
    seen = [picture(netns) for netns in (None, router_path(nsd))]
    WAYS[way](nsd, host)
    with nsd.client() as again:
        assert steady(filled(again)) == steady(before)
    assert [picture(netns) for netns in (None, router_path(nsd))] == seen


@pytest.mark.parametrize("clean", [True, False])
def test_reboot(nsd, client, host, clean):
    """It is made again as it was; slots and leases died with the kernel."""
    before = client.call("CreateNetwork", network(**FULL))["network"]
    filled(client)
    mac = kernel.link(UPLINK)["address"]
    slot = client.acquire(key="k", ttl=100000)
    nsd.stop() if clean else nsd.kill9()
    host.new_boot()
    nsd.start()
    with nsd.client() as again:
        assert steady(filled(again)) == steady(before)
        assert {item["state"] for item in again.slots().values()} <= {"ready"}
        assert kernel.link(UPLINK)["address"] == mac and kernel.addresses(UPLINK) == {"10.64.0.0/31", "fd64::/127"}
        fresh = again.acquire(key="k")
        assert fresh["generation"] > slot["generation"]


def test_reboot_onto_a_taken_prefix(nsd, client, host):
    """At boot somebody else has the prefix: theirs is left alone, the network is lost and says why, repaired later."""
    client.call("CreateNetwork", network())
    nsd.kill9()
    host.new_boot()
    host.add_foreign_link("other")
    kernel.ip("link", "set", "other", "up")
    kernel.ip("address", "add", "10.64.9.1/24", "dev", "other")
    nsd.start()
    with nsd.client() as again:
        item = again.networks()["web"]
        assert item["state"] == "lost" and "10.64.9." in item["message"]
        with pytest.raises(Error):
            again.acquire()
        assert sorted(kernel.links()) == ["lo", "other"]
        kernel.ip("address", "flush", "dev", "other")
        assert again.call("RepairNetwork", name="web")["network"]["state"] == "ready"
        assert kernel.addresses("eth0", again.acquire()["path"]) == {"10.64.0.3/31", "fd64::3/127"}


def test_kill_in_the_middle(nsd, client):
    """Killed right after the request was sent: there is all of it or nothing of it."""
    for number in range(4):
        with nsd.client() as mine:
            mine.send("CreateNetwork", network(f"n{number}", f"10.{70 + number}.0.0/16", None, ready=5))
        if number % 2:
            poll.until(lambda number=number: f"nsd-n{number}" in kernel.links(), "it is under way")
        nsd.kill9()
        nsd.start()
        with nsd.client() as again:
            poll.until(lambda: {item["state"] for item in again.networks().values()} <= {"ready"},  # noqa: B023
                       "what was half made is gone")
            for name, item in again.networks().items():
                assert item["state"] == "ready" and item["uplink"] in kernel.links()
                filled(again, name)
            assert {item["uplink"] for item in again.networks().values()} | {"lo"} == set(kernel.links())
            assert nsd.recorded("network") == sorted(again.networks())


# What others do to it

def test_uplink_deleted(nsd, client):
    """Lost; no slot is handed out without a way; repaired it is as before."""
    client.call("CreateNetwork", network(services=[port("tcp", 53)]))
    before = client.networks()["web"]
    with Watch(nsd) as watch:
        kernel.ip("link", "del", UPLINK)
        item = watch.until("drift", "network", "web")
        assert item["state"] == "lost" and item["message"]
    assert expect("Lost", client.acquire)
    item = client.call("RepairNetwork", name="web")["network"]
    assert item["state"] == "ready" and steady(item) == steady(before)
    assert kernel.addresses(UPLINK) == {"10.64.0.0/31", "fd64::/127"}
    assert client.acquire()["state"] == "leased"


@pytest.mark.parametrize("command", [
    f"ip link set {UPLINK} down", f"ip address flush dev {UPLINK}", "ip route del 10.64.0.0/16", "ip -6 route del fd64::/64",
    f"ip link set {UPLINK} mtu 1300"])
def test_drift(client, command):
    """What others change on the uplink is put back by a repair; and it is told, or put back at once."""
    client.call("CreateNetwork", network())
    look = lambda: ({"UP"} & set(kernel.link(UPLINK)["flags"]), kernel.addresses(UPLINK), kernel.link(UPLINK)["mtu"],
                    kernel.routes(), kernel.routes(family="-6"))
    before = look()
    kernel.run(*command.split())
    assert client.call("RepairNetwork", name="web")["network"].get("message") is None
    assert look() == before
    if "route del" in command: # of that nobody tells: the next look at the uplink finds it
        return
    kernel.run(*command.split())
    poll.until(lambda: look() == before or client.networks()["web"].get("message"), "it is seen", deadline=3)
    client.call("RepairNetwork", name="web")


def test_repair_of_a_well_one(client):
    before = client.call("CreateNetwork", network())["network"]
    slot = client.acquire()
    assert steady(client.call("RepairNetwork", name="web")["network"]) == steady(before)
    assert client.call("GetSlot", name=slot["name"])["slot"]["cookie"] == slot["cookie"]


@pytest.mark.parametrize("command", ["nft flush ruleset", "nft delete table inet nsd", "nft flush table inet nsd"])
def test_table_comes_back(client, command):
    """The host's table is put back at once when somebody takes it away or empties it; others' tables stay theirs."""
    client.call("CreateNetwork", network(egress="masquerade"))
    before = kernel.run("nft", "list", "ruleset").stdout
    kernel.run(*command.split())
    kernel.run("nft", "add table inet theirs")
    poll.equal(lambda: kernel.run("nft", "list", "table", "inet", "nsd", check=False).stdout, before, "it is back", deadline=2)
    assert kernel.nft_tables() == ["inet nsd", "inet theirs"]
    kernel.run("nft", "delete table inet theirs")
    kernel.run("nft", "list", "table", "inet", "nsd")


def test_flushed_while_away(nsd, client):
    client.call("CreateNetwork", network(egress="masquerade"))
    before = kernel.run("nft", "list", "ruleset").stdout
    nsd.kill9()
    kernel.run("nft", "flush", "ruleset")
    nsd.start()
    poll.equal(lambda: kernel.run("nft", "list", "ruleset").stdout, before, "it is back")


# Limits

def test_maximum(client):
    """Slots in whatever state count; the next is refused, saying so."""
    client.call("CreateNetwork", network(ready=2, maximum=4))
    for _ in range(4):
        client.acquire()
    assert "4" in expect("LimitExceeded", client.acquire).parameters["message"]
    expect("LimitExceeded", client.acquire, empty="fail")
    assert client.networks()["web"]["leasedSlots"] == 4
    client.call("ChangeNetwork", name="web", maximum=5)
    client.acquire()
    expect("LimitExceeded", client.acquire)


def test_full_prefix(client):
    """As many slots as it has addresses for, each with its own; then a refusal."""
    client.call("CreateNetwork", network(ipv4="10.64.0.0/28", ipv6="fd64::/124"))
    slots = [client.acquire() for _ in range(7)]
    assert {slot["address4"] for slot in slots} == {f"10.64.0.{2 * number + 1}" for number in range(1, 8)}
    error = expect("LimitExceeded", client.acquire)
    assert "7" in error.parameters["message"]


def test_more_than_there_is(nsd, client):
    """Wishes that cannot come true are refused, when a network is made and when it is changed."""
    for named, field in (({"ready": 8, "maximum": 4}, "ready"), ({"ready": 128, "ipv4": "10.64.0.0/24"}, "ready"),
                         ({"maximum": 128, "ipv4": "10.64.0.0/24"}, "maximum")):
        assert expect("InvalidValue", client.call, "CreateNetwork", network(**named)).field == field
    assert nsd.recorded() == []
    client.call("CreateNetwork", network(maximum=4, ready=2))
    assert expect("InvalidValue", client.call, "ChangeNetwork", name="web", ready=5).field == "ready"
    assert expect("InvalidValue", client.call, "ChangeNetwork", name="web", maximum=1).field in ("ready", "maximum")
