# SPDX-License-Identifier: GPL-2.0-or-later
"""What nsd and its slots have in the kernel, seen without asking nsd: interfaces, namespace ids, mounts, descriptors."""

import contextlib
import ctypes
import os
import re

from pyroute2 import IPRoute
from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST
from pyroute2.netlink.rtnl import RTM_GETNSID, RTM_NEWNSID
from pyroute2.netlink.rtnl.nsidmsg import nsidmsg

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def setns(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(path):
    """This thread is in the network namespace at `path`."""
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(fd)
        yield
    finally:
        setns(back)
        os.close(fd)
        os.close(back)


def links():
    with IPRoute() as socket:
        return sorted(message.get_attr("IFLA_IFNAME") for message in socket.get_links())


def nsids():
    """How many other namespaces, alive or dying, the kernel knows a number for in this one."""
    with IPRoute() as socket:
        answers = socket.nlm_request(nsidmsg(), RTM_GETNSID, NLM_F_REQUEST | NLM_F_DUMP)
        return sum(answer["header"]["type"] == RTM_NEWNSID for answer in answers)


def mounts(path="/proc/self/mountinfo"):
    """(mount point, type) of each."""
    with open(path, encoding="utf-8") as lines:
        return [(line.split()[4], line.partition(" - ")[2].split()[0]) for line in lines]


def vault_thread(pid):
    """A thread of nsd's in another mount namespace than its own, where the slots are pinned."""
    own = os.stat(f"/proc/{pid}/ns/mnt").st_ino
    for task in os.listdir(f"/proc/{pid}/task"):
        if os.stat(f"/proc/{pid}/task/{task}/ns/mnt").st_ino != own:
            return f"/proc/{pid}/task/{task}"
    raise RuntimeError(f"no thread of nsd {pid} is in another mount namespace: where are the slots pinned?")


def pins(pid):
    """Names of what is pinned."""
    found = [os.path.basename(point) for point, kind in mounts(f"{vault_thread(pid)}/mountinfo") if kind == "nsfs"]
    return sorted(found)


def descriptors(pid):
    """How many descriptors of each kind a process has."""
    count = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            kind = re.sub(r"\d+", "", target) if re.match(r"socket:|net:|mnt:|pipe:", target) else target
            count[kind] = count.get(kind, 0) + 1
    return count


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M).group(1))


def net_namespaces():
    """Of the whole machine, the caches of the kernel's allocator included: for people, not for verdicts."""
    try:
        with open("/proc/slabinfo", encoding="ascii") as lines:
            return next((int(line.split()[1]) for line in lines if line.startswith("net_namespace ")), None)
    except OSError:
        return None


def snapshot(pid):
    """Everything that must be the same after the soak as before."""
    pinned, found = pins(pid), descriptors(pid)
    state = {"interfaces of the host": links(), "mounts of the host": sorted(mounts()), "pins": len(pinned),
             "routers": [pin for pin in pinned if "@" in pin], "threads of nsd": len(os.listdir(f"/proc/{pid}/task")),
             "sockets of nsd": found.pop("socket:[]"), "other descriptors of nsd": found}
    for name in state["routers"]:
        network = name.partition("@")[0]
        interfaces, namespaces = f"interfaces in the routers of {network}", f"namespaces known to the routers of {network}"
        with inside(f"{vault_thread(pid)}/root/pins/{name}"):
            state[interfaces] = state.get(interfaces, 0) + len(links())
            state[namespaces] = state.get(namespaces, 0) + nsids()
    return state
