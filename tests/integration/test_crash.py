# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 at the system calls of every operation, and errors from them: what was acknowledged holds, what was not is
there wholly or not at all; list, store and kernel agree; the same can be asked for again.

A sample of the points by default; all with NSD_CRASH_POINTS=all (make check-crash)."""
import collections
import os

import pytest

from nsdtest import kernel, poll
from nsdtest.host import delete_everything
from nsdtest.specs import end, route, veth
from nsdtest.strace import Strace, fail_at, kill_at, points_of
from nsdtest.varlink import Closed, Error

ALL = os.environ.get("NSD_CRASH_POINTS") == "all"
SAMPLE = 14
# Where the state of the world changes; a sample prefers these.
CHANGING = {"unshare", "setns", "mount", "umount2", "unlink", "unlinkat", "openat", "mknodat", "sendmsg", "sendto", "write",
            "pwrite64", "pwritev", "fdatasync", "fsync", "ftruncate", "close", "flock"}

PAIR = veth(end(None, "v0", "10.0.0.1/24"),
            end("red", "eth0", "10.0.0.2/24", "fd00::2/64", routes=[route("default", "10.0.0.1")]))
INSIDE = veth(end("red", "in0", "10.1.0.1/24"), end("red", "in1"), name="inside")


class Scenario:
    """before: calls that set the stage. call: the one that is hit. present: which objects are there after it, of those
    named in `touched`."""

    def __init__(self, before, call, touched, present, attach=False):
        self.before, self.call, self.touched, self.present = before, call, set(touched), set(present)
        self.attach = attach


NAMESPACE = ("CreateNamespace", {"name": "red"})
FULL = ("CreateNamespace", {"name": "red", "sysctls": {"net.ipv4.ip_forward": "1"}, "nsid": 7, "links": [PAIR, INSIDE]})
SCENARIOS = {
    "create": Scenario([], FULL, {"red", "v0", "inside"}, {"red", "v0", "inside"}),
    "delete": Scenario([FULL], ("DeleteNamespace", {"name": "red", "wait": True}), {"red", "v0", "inside"}, set()),
    "link": Scenario([NAMESPACE], ("CreateLink", PAIR), {"v0"}, {"v0"}),
    "unlink": Scenario([NAMESPACE, ("CreateLink", PAIR)], ("DeleteLink", {"name": "v0", "wait": True}), {"v0"}, set()),
    "move": Scenario([NAMESPACE, ("CreateNamespace", {"name": "blue"}), ("CreateLink", PAIR)],
                     ("ChangeLink", {"name": "v0", "end": 1, "change": {"namespace": "blue", "mtu": 1400}}), set(), set()),
    "attach": Scenario([], ("AttachNamespace", {"name": "kod"}), {"kod"}, {"kod"}, attach=True),
    "detach": Scenario([("AttachNamespace", {"name": "kod"})], ("DetachNamespace", {"name": "kod"}), {"kod"}, set(),
                       attach=True),
}


def sample(points):
    """All points, or an even choice that prefers the calls that change something."""
    if ALL or len(points) <= SAMPLE:
        return points
    chosen = [point for point in points if point[0] in CHANGING]
    rest = [point for point in points if point[0] not in CHANGING]
    take = lambda items, count: [items[index * len(items) // count] for index in range(min(count, len(items)))]
    return take(chosen, SAMPLE - 3) + take(rest, 3)


class Stage:
    """One daemon and the objects of a scenario, set up and cleared for each point."""

    def __init__(self, host, nsd, scenario):
        self.host, self.nsd, self.scenario = host, nsd, scenario
        self.child = host.process_in_new_netns() if scenario.attach else None

    def perform(self, client, call):
        method, parameters = call
        if method == "AttachNamespace":
            parameters = {**parameters, "pid": self.child.pid}
        return client.call(method, parameters)

    def set_up(self):
        with self.nsd.client() as client:
            for call in self.scenario.before:
                self.perform(client, call)

    def hit(self):
        """Makes the call: "answered", an Error, or "closed"."""
        try:
            with self.nsd.client() as client:
                self.perform(client, self.scenario.call)
                return "answered"
        except Error as error:
            return error
        except (Closed, ConnectionError, FileNotFoundError):
            return "closed"

    def check(self, outcome):
        """The promises, after the daemon is up again."""
        with self.nsd.client() as client:
            own = poll.until(lambda: settled(client), "settled")
            names = set(own)
            if outcome == "answered":
                assert names & self.scenario.touched == self.scenario.present, f"acknowledged, but there is {names}"
            else:
                assert names & self.scenario.touched in (set(), self.scenario.touched), f"half of it: {names}"
            lost = {name: item.get("message") for name, item in own.items() if item["state"] != "ready"}
            assert not lost, lost
            poll.until(lambda: self.agree(client), "list, store and kernel agree", deadline=10)

    def agree(self, client):
        """list == store == kernel."""
        namespaces, links = client.namespaces(foreign=False), client.links(foreign=False)
        assert sorted(namespaces) == self.nsd.recorded("namespace") == kernel.netns_files()
        numbers = {item["nsid"] for item in kernel.ip_json("netns", "list-id")}
        assert numbers <= set(kernel.nsids().values()), "one is still being torn down"
        assert kernel.nsfs_mounts() == [f"/run/netns/{name}" for name in sorted(namespaces)]
        assert sorted(links) == self.nsd.recorded("link")
        wanted = collections.defaultdict(set)
        for item in links.values():
            for one in item["ends"]:
                wanted[one.get("namespace")].add(one["interface"])
        for netns in (None, *namespaces):
            # What had no name yet when nsd ended is taken away by the kernel, in its own time.
            poll.equal(lambda netns=netns: set(kernel.links(netns)), wanted[netns] | {"lo"}, netns or "host")
            for item in links.values():
                for one in item["ends"]:
                    if one.get("namespace") == netns:
                        assert kernel.addresses(one["interface"], netns) == set(one.get("addresses") or [])
                        assert kernel.is_up(one["interface"], netns)
        return True

    def again(self):
        """The same can be asked for, and works."""
        with self.nsd.client() as client:
            names = set(client.namespaces(foreign=False)) | set(client.links(foreign=False))
            if self.scenario.touched:
                if names & self.scenario.touched == self.scenario.present:
                    return
            self.perform(client, self.scenario.call)
            poll.until(lambda: self.agree(client), "list, store and kernel agree", deadline=10)

    def clear(self):
        delete_everything(self.nsd)
        poll.equal(self.host.snapshot, self.host.base, "nothing is left")
        assert self.nsd.recorded() == []


def settled(client):
    """Own objects by name, once none is on its way."""
    own = {**client.namespaces(foreign=False), **client.links(foreign=False)}
    assert client.call("GetStatus")["ready"]
    assert not [name for name, item in own.items() if item["state"] in ("creating", "draining")]
    return own or {"": {"state": "ready"}}


def trace(stage):
    """The points of a scenario, from one run without an accident."""
    stage.set_up()
    with Strace(stage.nsd.pid) as strace:
        assert stage.hit() == "answered"
    points = strace.points()
    assert len(points) > 20, points
    stage.check("answered")
    stage.clear()
    return points


@pytest.mark.parametrize("name", SCENARIOS)
def test_kill_at_every_call(host, nsd, name):
    stage = Stage(host, nsd, SCENARIOS[name])
    points = sample(trace(stage))
    outcomes = collections.Counter()
    for point in points:
        stage.set_up()
        with Strace(nsd.pid, *kill_at(point)):
            outcome = stage.hit()
            # A call made by a thread that is not waited for may still be on its way to its end.
            if outcome == "closed":
                nsd.process.wait(10)
        reached = nsd.process.poll() is not None
        outcomes["reached" if reached else "not reached"] += 1
        outcomes[outcome if isinstance(outcome, str) else outcome.short] += 1
        try:
            assert not isinstance(outcome, Error), outcome
            if reached:
                nsd.start()
            stage.check(outcome)
            stage.again()
            stage.clear()
        except AssertionError as error:
            raise AssertionError(f"killed at {point[1]}. {point[0]} ({outcome}): {error}") from error
    print(f"{name}: {len(points)} points, {dict(outcomes)}")
    assert outcomes["reached"] >= len(points) * 2 // 3, f"most points must be reached: {outcomes}"


@pytest.mark.parametrize("name", ["create", "delete", "move"])
def test_kill_during_recovery(host, nsd, name):
    """Killed in the middle of an operation, then killed again at calls of the start that repairs it."""
    stage = Stage(host, nsd, SCENARIOS[name])
    points = [point for point in trace(stage) if point[0] in CHANGING]
    middle = points[len(points) * 2 // 3]

    def crash():
        stage.set_up()
        with Strace(nsd.pid, *kill_at(middle)):
            outcome = stage.hit()
            if outcome == "closed":
                nsd.process.wait(10)
        if nsd.running():
            nsd.kill9()
        return outcome

    crash()
    nsd.prefix = ["strace", "-D", "-f", "-qq", "-o", "/run/test/start"]
    nsd.start()
    recovery = points_of(host.path("start"))
    nsd.prefix = []
    nsd.restart(kill=True)
    stage.clear()

    for point in sample(recovery):
        if point == ("execve", 1):
            continue
        outcome = crash()
        nsd.prefix = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", *kill_at(point)]
        nsd.spawn()
        poll.until(lambda: nsd.process.poll() is not None or ready(nsd), "killed or ready")
        nsd.prefix = []
        if nsd.running():
            nsd.kill9()
        try:
            nsd.start()
            stage.check(outcome)
            stage.again()
            stage.clear()
        except AssertionError as error:
            raise AssertionError(f"killed at {middle}, then at {point[1]}. {point[0]} of the start: {error}") from error


def ready(nsd):
    try:
        with nsd.client() as client:
            return client.call("GetStatus")["ready"]
    except (Closed, OSError):
        return False


ERRORS = {"unshare": ["ENOSPC", "ENOMEM"], "mount": ["EPERM", "ENOMEM"], "openat": ["EMFILE", "ENOMEM"],
          "sendmsg": ["ENOBUFS", "EINTR"], "sendto": ["ENOBUFS"], "recvmsg": ["EINTR"], "pwrite64": ["ENOSPC", "EIO"],
          "fdatasync": ["EIO"], "socket": ["EMFILE"], "setsockopt": ["ENOMEM"], "umount2": ["EBUSY"],
          "unlinkat": ["EBUSY"]}


@pytest.mark.parametrize("name", ["create", "link", "delete", "attach"])
def test_error_from_every_call(host, nsd, name):
    """An error of the kernel or the disk at each call: a typed error or success, and nothing in between, without a
    restart; and afterwards the same works."""
    stage = Stage(host, nsd, SCENARIOS[name])
    points = [(point, error) for point in trace(stage) for error in ERRORS.get(point[0], [])]
    for point, error in points if ALL else points[::max(1, len(points) // SAMPLE)]:
        stage.set_up()
        with Strace(nsd.pid, *fail_at(point, error)):
            try:
                outcome = stage.hit()
            except TimeoutError as problem:
                raise AssertionError(f"{error} at {point[1]}. {point[0]}: no answer") from problem
        try:
            if not nsd.running():
                # Only the way back to the host's namespace may be worth a life.
                assert point[0] == "setns", "nsd died"
                nsd.start()
            with nsd.client() as client:
                poll.until(lambda: client.call("GetStatus")["storeWritable"], "the store is writable again")
            if isinstance(outcome, Error) and outcome.short not in ("KernelError", "LimitExceeded", "StoreError",
                                                                   "InternalError", "PermissionDenied"):
                raise AssertionError(f"not the error to expect: {outcome}")
            stage.check("answered" if outcome == "answered" else "failed")
            stage.again()
            stage.clear()
        except AssertionError as problem:
            raise AssertionError(f"{error} at {point[1]}. {point[0]} ({outcome}): {problem}") from problem
