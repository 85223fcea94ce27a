# SPDX-License-Identifier: GPL-2.0-or-later
"""The host that one test sees: its daemons, processes and foreign objects, and the check that all of it returns to its
base when the test is over."""
import os
import pathlib
import shutil
import signal
import subprocess
import uuid

from . import kernel, poll, sandbox
from .client import Nsc
from .daemon import Daemon
from .varlink import Error

ROOT = pathlib.Path("/run/test")
LASTING = ("vault", "slots", "slots.table")  # what the vault leaves in the runtime directory of a stopped daemon


class Host:
    def __init__(self):
        kernel.ip("link", "set", "lo", "up")
        ROOT.mkdir(mode=0o755)
        self.daemons, self.children, self.foreign = [], [], []
        self.processes = kernel.processes()
        self.base = self.snapshot()

    @staticmethod
    def snapshot():
        """What a test must leave as it found it."""
        return {
            "links": sorted(kernel.links()),
            "namespace mounts": kernel.nsfs_mounts(),
            "files in /run/netns": kernel.netns_files(),
            "routes": sorted(map(str, kernel.routes() | kernel.routes(family="-6"))),
            "tables of nftables": kernel.nft_tables(),
        }

    # What tests make

    def daemon(self, name, directory=ROOT, **named):
        """A daemon of this test, not started; its files are in directory/name."""
        daemon = Daemon(pathlib.Path(directory) / name, **named)
        self.daemons.append(daemon)
        return daemon

    @staticmethod
    def path(name):
        """A file of this test."""
        return ROOT / name

    def nsc(self, daemon):
        return Nsc(daemon.socket)

    def popen(self, *command, **named):
        """A process that is killed at the end of the test; standard streams are null unless given."""
        streams = {name: named.pop(name, subprocess.DEVNULL) for name in ("stdin", "stdout", "stderr")}
        child = subprocess.Popen([str(word) for word in command], **streams, **named)
        self.children.append(child)
        return child

    def process_in_new_netns(self):
        """A process in a network namespace of its own, which has left the host's when this returns."""
        child = self.popen("unshare", "--net", "sleep", "1000")
        mine = os.readlink("/proc/self/ns/net")
        poll.until(lambda: os.readlink(f"/proc/{child.pid}/ns/net") != mine, "the process has its own namespace")
        poll.until(lambda: b"sleep" in pathlib.Path(f"/proc/{child.pid}/cmdline").read_bytes(), "it sleeps")
        return child

    def add_foreign_netns(self, name):
        """`ip netns add`, removed at the end of the test, when it must still be there."""
        kernel.ip("netns", "add", name)
        self.foreign.append(("netns", name))

    def add_foreign_link(self, name, *words):
        """`ip link add NAME ...` in the host (a bridge), removed at the end of the test, when it must still be there."""
        kernel.ip("link", "add", name, *(words or ("type", "bridge")))
        self.foreign.append(("link", name))

    def forget_foreign(self, kind, name):
        """The test has removed it itself."""
        self.foreign.remove((kind, name))

    def new_boot(self):
        """What a reboot leaves of a host: nothing in /run, no links, no rules, another boot id."""
        for point in reversed(kernel.nsfs_mounts(vaults=True)):
            sandbox.umount(point, sandbox.MNT_DETACH)
        for daemon in self.daemons:
            shutil.rmtree(daemon.runtime, ignore_errors=True)
        kernel.run("nft", "flush", "ruleset")
        if os.path.isdir(kernel.NETNS):
            if any(point == kernel.NETNS for point, _, _ in kernel.mountinfo()):
                sandbox.umount(kernel.NETNS, sandbox.MNT_DETACH)
            shutil.rmtree(kernel.NETNS)
        for name in kernel.links():
            if name != "lo":
                kernel.ip("link", "del", name, check=False)  # it may have gone with its peer
        poll.until(lambda: sorted(kernel.links()) == ["lo"] and not kernel.ip_json("netns", "list-id"),
                   "the old namespaces are dead")
        boot_id = ROOT / f"boot-{uuid.uuid4()}"
        boot_id.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
        sandbox.mount(boot_id, "/proc/sys/kernel/random/boot_id", flags=sandbox.MS_BIND)

    # The end of a test

    def abandon(self):
        """After a failure: nothing is checked, the namespaces of the test go away with everything in them."""
        for process in [*self.children, *(daemon.process for daemon in self.daemons if daemon.process)]:
            if process.poll() is None:
                process.kill()
                process.wait()
        for pid in set(kernel.processes()) - set(self.processes):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def finish(self):
        """Deletes every object of every daemon, then checks that nothing is left of them anywhere."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        used = {daemon.directory: daemon for daemon in self.daemons if daemon.process}
        used.update({daemon.directory: daemon for daemon in self.daemons if daemon.running()})
        for daemon in used.values():
            self.finish_daemon(daemon)
        for kind, name in self.foreign:
            there = kernel.netns_files() if kind == "netns" else kernel.links()
            assert name in there, f"the foreign {kind} {name} is gone"
            kernel.ip(*(("netns", "del") if kind == "netns" else ("link", "del")), name)
        for what, wanted in self.base.items():
            poll.equal(lambda what=what: self.snapshot()[what], wanted, f"{what} of the host")
        poll.equal(kernel.processes, self.processes, "processes")

    def finish_daemon(self, daemon):
        if not daemon.running():
            if not daemon.recorded():
                return
            daemon.start()
        delete_everything(daemon)
        poll.equal(daemon.recorded, [], "records in the store")
        poll.equal(daemon.connections, 0, "connections of nsd")
        poll.equal(daemon.extra_fds, {}, "file descriptors of nsd, more than it began with")
        daemon.stop()
        left = set(os.listdir(daemon.runtime) if daemon.runtime.exists() else []) - {"lock", *LASTING}
        assert not left, f"left in the runtime directory: {left}"
        assert vault_pins(daemon) == [], "left in the vault"
        if os.path.ismount(daemon.runtime / "vault"):  # with --private it is where this process is not
            sandbox.umount(daemon.runtime / "vault", sandbox.MNT_DETACH)


def vault_pins(daemon):
    """Names of what is pinned in a daemon's vault, as a thread in there sees it."""
    vault = daemon.runtime / "vault"
    if not os.path.ismount(vault):
        return []
    with sandbox.thread_in_mounts(vault) as thread:
        lines = pathlib.Path(f"/proc/self/task/{thread}/mountinfo").read_text(encoding="utf-8").splitlines()
    return sorted(line.split(" ")[4].rpartition("/")[2] for line in lines if " - nsfs " in line)


def unless_gone(client, method, **named):
    """The call, for an object that may be gone before it: one that was draining."""
    try:
        client.call(method, **named)
    except Error as error:
        if error.short != "NotFound":
            raise


def delete_everything(daemon):
    """Deletes all that nsd itself lists as its own, waiting until it is gone."""
    with daemon.client() as client:
        for name in client.networks():
            client.call("DeleteNetwork", name=name, force=True, wait=True)
        assert client.networks() == {} and client.slots() == {}
        for name in client.links(foreign=False):
            unless_gone(client, "DeleteLink", name=name, wait=True)
        for name, item in client.namespaces(foreign=False).items():
            if item.get("attached"):
                unless_gone(client, "DetachNamespace", name=name)
            else:
                unless_gone(client, "DeleteNamespace", name=name, wait=True)
        assert client.namespaces(foreign=False) == {}
        assert client.links(foreign=False) == {}
        status = client.call("GetStatus")
        counts = {key: status[key] for key in ("namespaces", "links", "networks", "readySlots", "leasedSlots",
                                               "drainingSlots", "lost", "draining", "connections")}
        assert counts.pop("connections") == 1 and not any(counts.values()), counts
