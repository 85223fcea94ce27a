# SPDX-License-Identifier: GPL-2.0-or-later
"""Independent eyes on the kernel: iproute2, pyroute2 and /proc. Nothing here asks nsd."""
import json
import os
import subprocess

from pyroute2 import IPRoute

from . import sandbox

NETNS = "/run/netns"


def path_of(netns):
    """The file of a namespace: its name in /run/netns, its path, or an open fd of this process."""
    if isinstance(netns, int):
        return f"/proc/{os.getpid()}/fd/{netns}"
    return netns if "/" in netns else f"{NETNS}/{netns}"


def run(*command, check=True, netns=None, timeout=30, **named):
    """A command's CompletedProcess with text output; in the namespace (its name, path or fd) by nsenter (no mounts of its
    own)."""
    words = [str(word) for word in command]
    if netns is not None:
        words = ["nsenter", f"--net={path_of(netns)}", "--", *words]
    result = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False,
                            stdin=named.pop("stdin", subprocess.DEVNULL), **named)
    assert not check or result.returncode == 0, f"{words} -> {result.returncode}: {result.stderr or result.stdout}"
    return result


def ip(*words, netns=None, check=True):
    return run("ip", *words, netns=netns, check=check)


def ip_json(*words, netns=None):
    """Parsed output of `ip -j -d ...`; empty objects, which some versions print, are left out."""
    return [item for item in json.loads(ip("-j", "-d", *words, netns=netns).stdout or "[]") if item]


def links(netns=None):
    """Interfaces by name, with addresses ("addr_info"), as `ip` shows them."""
    return {item["ifname"]: item for item in ip_json("address", "show", netns=netns)}


def link(name, netns=None):
    found = links(netns)
    assert name in found, f"{name} is not in {netns or 'the host'}: {sorted(found)}"
    return found[name]


def addresses(name, netns=None, link_local=False):
    """{"10.0.0.1/24", ...} of an interface."""
    return {f"{item['local']}/{item['prefixlen']}" for item in link(name, netns)["addr_info"]
            if link_local or item["scope"] != "link"}


def routes(netns=None, family="-4"):
    """(destination, gateway, device, metric) of the main table but what the kernel itself put there."""
    return {(item["dst"], item.get("gateway"), item.get("dev"), item.get("metric", 0))
            for item in ip_json(family, "route", "show", netns=netns) if item.get("protocol") != "kernel"}


def neighbours(netns=None):
    """{(address, interface): (MAC, states)}, v4 and v6."""
    return {(item["dst"], item["dev"]): (item.get("lladdr"), item["state"]) for item in ip_json("neigh", "show", netns=netns)}


def is_up(name, netns=None):
    return "UP" in link(name, netns)["flags"]


def pyroute2_links(netns=None):
    """The same question to another implementation of rtnetlink: name -> message."""
    with sandbox.inside(None if netns is None else path_of(netns)), IPRoute() as socket:
        return {message.get_attr("IFLA_IFNAME"): message for message in socket.get_links()}


def mounts():
    """Lines of /proc/self/mountinfo as (root in its file system, mount point, optional fields, type)."""
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        for line in lines:
            left, _, right = line.rstrip("\n").partition(" - ")
            fields = left.split(" ")
            yield fields[3], fields[4], fields[6:], right.split(" ")[0]


def mountinfo():
    """The same as (mount point, optional fields, type)."""
    for _, *line in mounts():
        yield tuple(line)


def nsfs_mounts(vaults=False):
    """Mount points that are namespaces, sorted; one that is mounted twice is there twice. Without vaults, which are mount
    namespaces: they outlive what was in them."""
    return sorted(point for root, point, _, fstype in mounts()
                  if fstype == "nsfs" and (vaults or not root.startswith("mnt:")))


def nft_tables(netns=None):
    """Sorted "family name" of all tables of nftables."""
    items = json.loads(run("nft", "-j", "list", "tables", netns=netns).stdout)["nftables"]
    return sorted(f"{item['table']['family']} {item['table']['name']}" for item in items if "table" in item)


def nft_rules(netns=None):
    """How many rules all tables together have."""
    items = json.loads(run("nft", "-j", "list", "ruleset", netns=netns).stdout)["nftables"]
    return sum(1 for item in items if "rule" in item)


def netns_files():
    return sorted(os.listdir(NETNS)) if os.path.isdir(NETNS) else []


def nsids():
    """name -> nsid as `ip netns` shows them."""
    return {item["name"]: item.get("id") for item in ip_json("netns", "list")}


def sysctl(key, netns=None):
    return run("cat", "/proc/sys/" + key.replace(".", "/"), netns=netns).stdout.strip()


def addr_assign_type(name, netns=None):
    """How an interface got its MAC: 3 when it was set, 1 when it is random. Only sysfs tells."""
    script = 'mount -t sysfs none /sys && cat "/sys/class/net/$0/addr_assign_type"'
    return int(run("unshare", "--mount", "sh", "-c", script, name, netns=netns).stdout)


def ping(address, netns=None, count=1, deadline=2):
    """True if `address` answers."""
    words = ("ping", "-n", "-q", "-c", count, "-i", "0.01", "-W", deadline, address)
    return run(*words, netns=netns, check=False).returncode == 0


def cpu_seconds(pid):
    """User and system time a process used so far."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def fds(pid):
    """fd -> what it is, of a process."""
    result = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            result[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            pass
    return result


def unix_connections(path):
    """How many server ends of connections to the socket at `path` exist: accepted or waiting to be."""
    with open("/proc/net/unix", encoding="utf-8") as lines:
        fields = [line.split() for line in lines][1:]
    # Flags bit 16 marks a listener; an accepted socket carries the listener's path.
    return sum(1 for item in fields if len(item) > 7 and item[7] == str(path) and not int(item[3], 16) & 0x10000)


def processes():
    """Pids of this PID namespace."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
