# SPDX-License-Identifier: GPL-2.0-or-later
"""What stays over kill -9, restart, stop and start, and reboot; what happened meanwhile; what nsd refuses to start with."""
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from nsdtest import kernel, poll, sandbox
from nsdtest.daemon import NSD
from nsdtest.specs import bridge, end, route, veth
from nsdtest.varlink import Closed, Error, expect

WAYS = {"kill": lambda nsd: nsd.restart(kill=True), "restart": lambda nsd: nsd.restart(),
        "stop and start": lambda nsd: (nsd.stop(), nsd.start())}


def build(client, lifetime="persistent"):
    """The usual small network: a bridge, two namespaces on it, one link of its own."""
    client.call("CreateLink", bridge("br0", "172.18.0.1/16", lifetime=lifetime))
    for number, name in enumerate(("red", "blue"), 2):
        client.call("CreateNamespace", name=name, lifetime=lifetime, labels={"number": str(number)},
                    sysctls={"net.ipv4.ip_forward": "1"}, nsid=40 + number, links=[
                        veth(end(None, f"port-{name}", bridge="br0"),
                             end(name, "eth0", f"172.18.0.{number}/16", f"fd18::{number}/64",
                                 routes=[route("default", "172.18.0.1")]))])
    client.call("CreateLink", veth(end(None, "p2p", "10.0.0.1/24"), end("red", "eth1", "10.0.0.2/24")))


def picture(client):
    """All that must be the same before and after: nsd's view and the kernel's."""
    strip = lambda item: {key: value for key, value in item.items() if key not in ("message",)}
    return {
        "namespaces": {name: strip(item) for name, item in client.namespaces(foreign=False).items()},
        "links": {name: strip(item) for name, item in client.links(foreign=False).items()},
        "mounts": kernel.nsfs_mounts(),
        "cookies": {name: sandbox.cookie(f"/run/netns/{name}") for name in kernel.netns_files()},
        "nsids": kernel.nsids(),
        "interfaces": {netns: {name: (item["ifindex"], item["address"], kernel.addresses(name, netns))
                               for name, item in kernel.links(netns).items()} for netns in (None, *kernel.netns_files())},
    }


def differences(before, after, path=""):
    """Where two pictures differ: lines of "path: before -> after"."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}, key=str):
            yield from differences(before.get(key), after.get(key), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after)):
            yield from differences(one, other, f"{path}[{index}]")
    elif before != after:
        yield f"{path}: {before} -> {after}"


def assert_same(before, after):
    found = list(differences(before, after))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("way", WAYS)
def test_everything_stays(nsd, client, way):
    build(client)
    before = picture(client)
    WAYS[way](nsd)
    with nsd.client() as again:
        assert_same(before, picture(again))
        assert kernel.ping("172.18.0.3", "red") and kernel.ping("10.0.0.2")
        again.call("ChangeLink", name="p2p", change={"mtu": 1400})
        assert kernel.link("p2p")["mtu"] == 1400


def test_many_kills(nsd, client):
    build(client)
    before = picture(client)
    for _ in range(10):
        nsd.restart(kill=True)
    with nsd.client() as again:
        assert_same(before, picture(again))


def test_traffic_flows_on(nsd, client, host):
    build(client)
    pinger = host.popen("ping", "-n", "-q", "-i", "0.005", "10.0.0.2", stdout=subprocess.PIPE, text=True)
    for way in WAYS.values():
        way(nsd)
    pinger.send_signal(signal.SIGINT)
    output = pinger.communicate(timeout=5)[0]
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", output).groups())
    assert sent > 10 and received >= sent - 1, output  # the last one may still be under way


def test_generations_never_come_again(nsd, client):
    seen = []
    for number in range(5):
        with nsd.client() as mine:
            seen.append(mine.call("CreateNamespace", name=f"n{number}")["namespace"]["generation"])
            seen.append(mine.call("CreateLink", veth(end(), end(f"n{number}")))["link"]["generation"])
        nsd.restart(kill=number % 2 == 0)
    assert seen == sorted(set(seen))
    assert all(0 < generation < 2**53 for generation in seen)


def test_answers_at_once_after_a_kill(nsd, client):
    names = [f"n{number}" for number in range(200)]
    client.send_raw(b"".join(client.message("io.nsd.Manager.CreateNamespace", {"name": name}) for name in names))
    for _ in names:
        client.receive("CreateNamespace")
    nsd.kill9()
    nsd.start(ready=False)
    with nsd.client() as again:
        started = time.monotonic()
        assert len(again.namespaces(foreign=False)) == len(names)
        assert time.monotonic() - started < 0.2
        nsd.wait_ready(deadline=2)
        assert {item["state"] for item in again.namespaces().values()} == {"ready"}
    assert kernel.nsfs_mounts() == sorted(f"/run/netns/{name}" for name in names)


# Boots

@pytest.mark.parametrize("clean", [True, False])
def test_reboot(nsd, client, host, clean):
    """Persistent objects are made again as they were; runtime ones are gone."""
    build(client)
    client.call("CreateNamespace", name="short", lifetime="runtime", links=[veth(end(None, "v-short"), end("short"))])
    before = picture(client)
    if clean:
        nsd.stop()
    else:
        nsd.kill9()
    host.new_boot()
    nsd.start()
    with nsd.client() as again:
        after = picture(again)
        assert sorted(after["namespaces"]) == ["blue", "red"] and sorted(after["links"]) == ["br0", "p2p", "port-blue",
                                                                                            "port-red"]
        assert "v-short" not in kernel.links()
        volatile = ("cookie", "nsid")
        for name, item in after["namespaces"].items():
            was = before["namespaces"][name]
            assert item["state"] == "ready"
            assert {k: v for k, v in item.items() if k not in volatile} == {k: v for k, v in was.items()
                                                                            if k not in volatile}
        for netns in (None, "red", "blue"):
            same = lambda interfaces: {name: rest[1:] for name, rest in interfaces.items()
                                       if name not in ("lo", "v-short")}
            assert same(after["interfaces"][netns]) == same(before["interfaces"][netns]), "same names, MACs, addresses"
        assert after["nsids"] == {"red": 42, "blue": 43}
        assert kernel.sysctl("net.ipv4.ip_forward", "red") == "1"
        assert kernel.routes("red") == {("default", "172.18.0.1", "eth0", 0)}
        assert kernel.ping("172.18.0.3", "red") and kernel.ping("10.0.0.2")
        assert again.call("GetStatus")["lost"] == 0
    assert nsd.recorded() == [("link", "br0"), ("link", "p2p"), ("link", "port-blue"), ("link", "port-red"),
                              ("namespace", "blue"), ("namespace", "red")]


def test_reboot_drops_attached_ones(nsd, client, host):
    child = host.process_in_new_netns()
    client.call("AttachNamespace", name="kod", pid=child.pid)
    nsd.kill9()
    child.kill()
    child.wait()
    host.new_boot()
    nsd.start()
    with nsd.client() as again:
        poll.until(lambda: "kod" not in again.namespaces() and kernel.netns_files() == [], "forgotten")
    assert nsd.recorded() == []


def test_reboot_while_draining(nsd, client, host):
    """Deleted is deleted."""
    client.call("CreateNamespace", name="held")
    fd = os.open("/run/netns/held", os.O_RDONLY)
    assert client.call("DeleteNamespace", name="held").get("state") == "draining"
    nsd.kill9()
    os.close(fd)
    host.new_boot()
    nsd.start()
    with nsd.client() as again:
        poll.equal(lambda: again.namespaces(), {}, "gone")


def test_reboot_onto_a_taken_name(nsd, client, host):
    """At boot somebody else was faster: theirs is left alone, ours is lost and says why; deleting it harms theirs not."""
    client.call("CreateNamespace", name="red", links=[veth(end(None, "v0"), end("red"))])
    nsd.kill9()
    host.new_boot()
    host.add_foreign_netns("red")
    host.add_foreign_link("v0")
    cookie = sandbox.cookie("/run/netns/red")
    nsd.start()
    with nsd.client() as again:
        item = again.namespaces()["red"]
        assert item["state"] == "lost" and item["message"], item
        assert again.links(foreign=False)["v0"]["state"] == "lost"
        again.call("DeleteNamespace", name="red", wait=True)
    assert sandbox.cookie("/run/netns/red") == cookie and "v0" in kernel.links()


def test_reboots_in_a_row(nsd, client, host):
    build(client)
    for _ in range(3):
        nsd.kill9()
        host.new_boot()
        nsd.start()
        assert kernel.ping("172.18.0.3", "red")
    assert len(nsd.recorded()) == 6


# While nsd was away

def test_vanished_while_away(nsd, client):
    build(client)
    nsd.stop()
    kernel.ip("netns", "del", "blue")
    kernel.ip("link", "del", "p2p")
    poll.until(lambda: 43 not in [item.get("nsid") for item in kernel.ip_json("netns", "list-id")], "blue is dead")
    nsd.start()
    with nsd.client() as again:
        states = {name: item["state"] for name, item in {**again.namespaces(), **again.links(foreign=False)}.items()}
        assert states == {"red": "ready", "blue": "lost", "br0": "ready", "port-red": "ready", "port-blue": "lost",
                          "p2p": "lost"}
        assert again.call("GetStatus")["lost"] == 3
        assert all(item["message"] for item in (again.namespaces()["blue"], again.links()["p2p"]))
        again.call("RepairNamespace", name="blue")
        again.call("RepairLink", name="p2p")
        poll.equal(lambda: again.call("GetStatus")["lost"], 0, "repaired")
        assert kernel.ping("172.18.0.3", "red") and kernel.ping("10.0.0.2")


def test_remake_lost_by_policy(host):
    nsd = host.daemon("nsd", config="[Daemon]\nRemakeLost=yes\n").start()
    with nsd.client() as client:
        build(client)
        kernel.ip("link", "del", "p2p")
        poll.until(lambda: kernel.ping("10.0.0.2"), "made again by itself")
        kernel.ip("netns", "del", "blue")
        poll.until(lambda: kernel.ping("172.18.0.3", "red"), "made again by itself")
        nsd.stop()
        kernel.ip("netns", "del", "red")
        nsd.start()
    with nsd.client() as client:
        poll.until(lambda: kernel.ping("172.18.0.3", "red") and kernel.ping("10.0.0.2"), "made again by itself")
        poll.equal(lambda: client.call("GetStatus")["lost"], 0, "nothing is lost")


def test_drift_while_away(nsd, client):
    build(client)
    nsd.kill9()
    kernel.ip("link", "set", "p2p", "down")
    kernel.ip("address", "del", "10.0.0.2/24", "dev", "eth1", netns="red")
    nsd.start()
    with nsd.client() as again:
        assert poll.until(lambda: again.links()["p2p"].get("message"), "the drift is told")
        again.call("RepairLink", name="p2p")
        assert kernel.ping("10.0.0.2")


def test_draining_over_a_restart(nsd, client):
    client.call("CreateNamespace", name="held", links=[veth(end(None, "v0"), end("held"))])
    fd = os.open("/run/netns/held", os.O_RDONLY)
    client.call("DeleteNamespace", name="held")
    nsd.restart(kill=True)
    with nsd.client() as again:
        assert again.namespaces()["held"]["state"] == "draining"
        os.close(fd)
        poll.equal(again.namespaces, {}, "gone after the release")
    assert nsd.recorded() == []


def test_released_while_away(nsd, client):
    client.call("CreateNamespace", name="held")
    fd = os.open("/run/netns/held", os.O_RDONLY)
    client.call("DeleteNamespace", name="held")
    nsd.kill9()
    os.close(fd)
    nsd.start()
    with nsd.client() as again:
        poll.equal(again.namespaces, {}, "gone")
    assert nsd.recorded() == []


# Foreign things and look-alikes

def test_look_alikes(nsd, client, host):
    """Everything a careless clean-up would take for its own."""
    client.call("CreateNamespace", name="mine", links=[veth(end(None, "v0"), end("mine"))])
    nsd.stop()
    # Replaced while away: same names, not the same things.
    kernel.ip("netns", "del", "mine")
    kernel.ip("netns", "add", "mine")
    poll.until(lambda: "v0" not in kernel.links(), "the old pair is gone")
    kernel.ip("link", "add", "v0", "type", "veth", "peer", "name", "v0-peer")
    kernel.ip("link", "set", "v0", "group", str(0x6e7364), "alias", "nsd")
    kernel.ip("link", "add", "tagged", "type", "bridge")
    kernel.ip("link", "set", "tagged", "group", str(0x6e7364))
    # Things in /run/netns that are no namespaces.
    os.symlink("/run/netns/mine", "/run/netns/link")
    os.symlink("/nowhere", "/run/netns/dangling")
    os.mkdir("/run/netns/directory")
    os.mkfifo("/run/netns/fifo")
    kernel.run("sh", "-c", ": > /run/netns/empty; echo text > /run/netns/text")
    kernel.run("sh", "-c", ": > /run/netns/uts; mount --bind /proc/self/ns/uts /run/netns/uts")
    os.mkdir("/run/netns/victim")
    sandbox.mount("tmpfs", "/run/netns/victim", "tmpfs")
    os.symlink("/run/netns/victim", "/run/netns/evil")
    before = (host.snapshot(), sandbox.cookie("/run/netns/mine"), list(kernel.mountinfo()),
              {name: item["ifindex"] for name, item in kernel.links().items()})
    nsd.start()
    with nsd.client() as again:
        assert again.namespaces()["mine"]["state"] == "lost"
        assert again.links(foreign=False)["v0"]["state"] == "lost"
        for name in ("link", "dangling", "directory", "fifo", "empty", "text", "uts", "victim", "evil"):
            with pytest.raises(Error):
                again.call("CreateNamespace", name=name)
            with pytest.raises(Error):
                again.call("DeleteNamespace", name=name)
        again.call("DeleteNamespace", name="mine", wait=True)
        poll.equal(lambda: again.links(foreign=False), {}, "its link is forgotten")
    after = (host.snapshot(), sandbox.cookie("/run/netns/mine"), list(kernel.mountinfo()),
             {name: item["ifindex"] for name, item in kernel.links().items()})
    assert after == before
    for point in ("/run/netns/uts", "/run/netns/victim"):
        sandbox.umount(point)
    kernel.ip("netns", "del", "mine")
    shutil.rmtree("/run/netns", ignore_errors=True)
    for name in ("v0", "tagged"):
        kernel.ip("link", "del", name)


def test_foreign_things_over_restarts(nsd, client, host):
    host.add_foreign_netns("theirs")
    host.add_foreign_link("their-bridge")
    kernel.ip("address", "add", "192.0.2.1/24", "dev", "their-bridge")
    before = (host.snapshot(), kernel.ip_json("address"), kernel.ip_json("route"))
    for way in WAYS.values():
        way(nsd)
    assert (host.snapshot(), kernel.ip_json("address"), kernel.ip_json("route")) == before


# Two of them, and bad starts

def refuses(daemon, *wanted):
    """It must end by itself with a failure, saying each of `wanted`."""
    daemon.spawn()
    assert daemon.process.wait(10) not in (0, -signal.SIGSEGV, -signal.SIGABRT), daemon.log_tail()
    for text in wanted:
        assert re.search(text, daemon.log()), f"{text!r} is not in:\n{daemon.log_tail()}"


def test_second_daemon_on_the_same_state(host, nsd, client):
    client.call("CreateNamespace", name="n")
    second = host.daemon("second")
    second.state = nsd.state
    refuses(second, str(nsd.pid))
    second.process = None
    assert client.call("GetNamespace", name="n")["namespace"]["state"] == "ready"


def test_second_daemon_on_the_same_socket(host, nsd, client):
    second = host.daemon("second", options=["--socket", str(nsd.socket)])
    refuses(second, re.escape(str(nsd.socket)))
    second.process = None
    assert client.call("GetStatus")["pid"] == nsd.pid
    with nsd.client() as fresh:
        assert fresh.call("GetStatus")["pid"] == nsd.pid, "the socket is still the first one's"


def test_stale_socket_is_replaced(nsd):
    nsd.kill9()
    assert nsd.socket.exists()
    nsd.start()


def test_socket_path_that_is_no_socket(host):
    nsd = host.daemon("nsd")
    nsd.runtime.mkdir(parents=True)
    nsd.socket.write_text("precious", encoding="ascii")
    refuses(nsd, re.escape(str(nsd.socket)))
    assert nsd.socket.read_text(encoding="ascii") == "precious"
    nsd.process = None


def damaged_by(what, path):
    """Damages a store that holds one namespace."""
    if what == "garbage":
        with open(path, "r+b") as f:
            f.write(os.urandom(4096))
    elif what == "cut":
        os.truncate(path, os.path.getsize(path) // 2)
    elif what == "empty":
        os.truncate(path, 0)
    elif what == "absent":
        os.unlink(path)
    elif what == "newer":
        database = sqlite3.connect(path)
        database.execute("PRAGMA user_version = 9999")
        database.commit()
        database.close()
    elif what == "record":
        database = sqlite3.connect(path)
        database.execute("UPDATE record SET record = '{\"name\":\"../evil\"}'")
        database.commit()
        database.close()


@pytest.mark.parametrize("what", ["garbage", "cut", "empty", "absent", "newer", "record"])
def test_damaged_store(nsd, client, what):
    """It never starts from nothing where something was; the kernel and the file stay as they are."""
    client.call("CreateNamespace", name="n")
    nsd.stop()
    backup = nsd.directory / "backup"
    shutil.copytree(nsd.state, backup)
    path = nsd.state / "nsd.db"
    damaged_by(what, path)
    damaged = path.read_bytes() if path.exists() else None
    refuses(nsd, r"nsd\.db|" + re.escape(str(nsd.state)))
    assert kernel.netns_files() == ["n"]
    assert (path.read_bytes() if path.exists() else None) == damaged or what == "newer"
    shutil.rmtree(nsd.state)
    shutil.copytree(backup, nsd.state)
    nsd.start()
    with nsd.client() as again:
        assert again.namespaces()["n"]["state"] == "ready"


def test_full_disk(host):
    """Changes are refused with the cause, reads go on, the kernel is untouched; it recovers by itself."""
    nsd = host.daemon("nsd")
    nsd.state.mkdir()
    sandbox.mount("tmpfs", nsd.state, "tmpfs", data="size=2m")
    nsd.start()
    with nsd.client() as client:
        client.call("CreateNamespace", name="before")
        filler = nsd.state / "filler"
        with open(filler, "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        failed = None
        for number in range(200):
            try:
                client.call("CreateNamespace", name=f"n{number}", labels={f"k{i}": "x" * 250 for i in range(30)})
            except Error as error:
                failed = (number, error)
                break
        assert failed and failed[1].short == "StoreError", failed
        made = ["before", *(f"n{number}" for number in range(failed[0]))]
        assert kernel.netns_files() == sorted(made)
        assert sorted(client.namespaces()) == sorted(made), "reads go on"
        assert client.call("GetStatus")["storeWritable"] is False
        filler.unlink()

        def writes():
            try:
                return client.call("CreateNamespace", name="after")
            except Error:
                return None
        poll.until(writes, "it writes again when there is room")
        assert client.call("GetStatus")["storeWritable"] is True
    nsd.restart(kill=True)
    with nsd.client() as client:
        assert sorted(client.namespaces()) == sorted([*made, "after"])


def test_propagation_cut_off(host):
    """In a mount namespace that receives but does not pass on mounts, names would not reach the host: it refuses."""
    nsd = host.daemon("nsd", prefix=["unshare", "--mount", "--propagation", "slave"])
    refuses(nsd, "mount")
    nsd.process = None
    assert kernel.nsfs_mounts() == []


def test_private(host):
    """--private: a network and a mount namespace of its own; this host sees neither mounts nor links."""
    sandbox.mount("tmpfs", "/mnt", "tmpfs")  # its /run is its own, so its files have to be elsewhere
    nsd = host.daemon("nsd", "/mnt", options=["--private"]).start()
    with nsd.client() as client:
        client.call("CreateNamespace", name="hidden", links=[veth(end(None, "v0", "10.0.0.1/24"),
                                                                  end("hidden", None, "10.0.0.2/24"))])
        assert kernel.netns_files() == [] and sorted(kernel.links()) == ["lo"]
        with sandbox.inside(f"/proc/{nsd.pid}/ns/net"):
            assert "v0" in kernel.links() and kernel.is_up("lo")
            assert kernel.ping("10.0.0.2")
        client.call("DeleteNamespace", name="hidden", wait=True)


@pytest.mark.parametrize("text, wanted", [
    ("[Daemon]\nLogLevle=info\n", r"nsd\.conf.*(2|LogLevle)"), ("[Deamon]\nLogLevel=info\n", "Deamon"),
    ("[Daemon]\nLogLevel=loud\n", "LogLevel"), ("[Limits]\nConnections=many\n", "Connections"),
    ("[Limits]\nConnections=-1\n", "Connections"), ("[Daemon]\nWorkers=0\n", "Workers"), ("nonsense\n", "nsd.conf"),
])
def test_bad_configuration(host, text, wanted):
    nsd = host.daemon("nsd", config=text)
    refuses(nsd, wanted)
    nsd.process = None


def test_missing_configuration(host):
    nsd = host.daemon("nsd")
    nsd.config.unlink()
    refuses(nsd, "nsd.conf")
    nsd.process = None


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["--log-level", "loud"], ["surplus"]])
def test_bad_arguments(host, arguments):
    result = kernel.run(NSD, *arguments, check=False)
    assert result.returncode not in (0, -signal.SIGSEGV) and arguments[-1].strip("-") in result.stderr


def test_help_and_version():
    assert "--state-directory" in kernel.run(NSD, "--help").stdout
    assert re.search(r"\d+\.\d+", kernel.run(NSD, "--version").stdout)


# Stopping

def test_stop_under_load(nsd, host):
    """SIGTERM in the middle of work: every answer given holds afterwards, nothing is half there."""
    made, lock, stop = set(), threading.Lock(), threading.Event()

    def work(number):
        try:
            with nsd.client() as client:
                for turn in range(1000):
                    name = f"w{number}-{turn}"
                    client.call("CreateNamespace", name=name, links=[veth(end(), end(name))])
                    with lock:
                        made.add(name)
                    if stop.is_set():
                        return
        except (Closed, Error, OSError):
            pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    poll.until(lambda: len(made) > 20, "work is under way")
    nsd.stop()
    stop.set()
    for thread in threads:
        thread.join()
    nsd.start()
    with nsd.client() as client:
        there = client.namespaces(foreign=False)
        assert made <= set(there) and {item["state"] for item in there.values()} == {"ready"}
        assert sorted(there) == kernel.netns_files() == nsd.recorded("namespace")
        assert {item["state"] for item in client.links(foreign=False).values()} <= {"ready"}
        assert len(client.links(foreign=False)) == len(there)


def test_kill_under_load(nsd, host):
    """kill -9 in the middle of creates and deletes, three times: what was acknowledged holds."""
    with nsd.client() as client:
        client.call("GetStatus")
    for turn in range(3):
        made, deleted = set(), set()

        def work(number, turn=turn, made=made, deleted=deleted):
            try:
                with nsd.client() as client:
                    for step in range(1000):
                        name = f"k{turn}-{number}-{step}"
                        client.call("CreateNamespace", name=name, links=[veth(end(), end(name))])
                        made.add(name)
                        if step % 2:
                            client.call("DeleteNamespace", name=name, wait=True)
                            deleted.add(name)
            except (Closed, Error, OSError):
                pass

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        poll.until(lambda made=made: len(made) > 30, "work is under way")
        nsd.kill9()
        for thread in threads:
            thread.join()
        nsd.start()
        with nsd.client() as client:
            poll.until(lambda: not [item for item in client.namespaces(foreign=False).values()
                                    if item["state"] in ("creating", "draining")], "all is settled")
            there = client.namespaces(foreign=False)
            assert not deleted & set(there), "deleted ones are gone"
            # Each worker may have had one deletion under way when the daemon was killed.
            missing = (made - deleted) - set(there)
            assert len(missing) <= 4 and all(int(name.rpartition("-")[2]) % 2 for name in missing), missing
            assert {item["state"] for item in there.values()} == {"ready"}
            assert sorted(there) == kernel.netns_files() == nsd.recorded("namespace")
            links = client.links(foreign=False)
            assert {item["state"] for item in links.values()} <= {"ready"}
            assert sorted(item["ends"][0]["interface"] for item in links.values()) == sorted(set(kernel.links()) - {"lo"})


def test_connections_end_at_stop(nsd, client):
    client.send("Monitor", more=True)
    client.receive("Monitor")
    nsd.stop()
    with pytest.raises((Closed, Error)) as raised:
        while True:
            client.receive("Monitor")
    assert raised.type is Closed or raised.value.short == "ShuttingDown"
    nsd.start()
