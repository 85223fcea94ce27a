# SPDX-License-Identifier: GPL-2.0-or-later
"""Those who make the same slot: a namespace and a veth pair with two addresses, up, and a default route."""

import json
import os
import subprocess

from report import Stats

CNI_PLUGINS = "/usr/lib/cni"


def address(base, number, host):
    value = (base << 16) + 4 * number + host
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def measure(argv, **kwargs):
    """Runs one of the measuring programs and reads what it prints."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False, text=True, **kwargs)
    if done.returncode != 0:
        raise RuntimeError(f"{os.path.basename(argv[0])} {' '.join(argv[1:])} failed")
    return json.loads(done.stdout)


class Floor:
    """The bare kernel (floor.c)."""

    title, needs_daemon = "floor", False

    def __init__(self, tools, threads=1):
        self.program, self.threads = os.path.join(tools, "floor"), threads
        if threads > 1:
            self.title = f"floor, {threads} threads"

    def run(self, verb, first, count, *more):
        return Stats(measure([self.program, verb, "--first", str(first), "--count", str(count), *more]))

    def create(self, first, count):
        return self.run("create", first, count, "--threads", str(self.threads))

    def delete(self, first, count):
        return self.run("delete", first, count)

    def host_ends(self, first, count):
        return [f"fh{i}" for i in range(first, first + count)]


class Nsd:
    """nsd over its socket, as a client sees it (client.c)."""

    needs_daemon = True

    def __init__(self, tools, daemon, title="nsd", lifetime="runtime", connections=1):
        self.program, self.daemon, self.title = os.path.join(tools, "client"), daemon, title
        self.lifetime, self.connections = lifetime, connections

    def run(self, verb, first, count):
        return Stats(measure([self.program, "--socket", self.daemon.socket, "--lifetime", self.lifetime, "--first",
                              str(first), "--count", str(count), "--connections", str(self.connections), verb]))

    def create(self, first, count):
        return self.run("create", first, count)

    def delete(self, first, count):
        return self.run("delete", first, count)

    def host_ends(self, first, count):
        return [f"nh{i}" for i in range(first, first + count)]


class Commands:
    """Programs that are run for each slot (spawn.c)."""

    needs_daemon = False

    def __init__(self, tools, directory):
        self.program, self.directory = os.path.join(tools, "spawn"), directory
        os.makedirs(directory, exist_ok=True)

    def spawn(self, groups):
        script = "\n\n".join("\n".join(group) for group in groups) + "\n"
        return Stats(measure([self.program], input=script))

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def create(self, first, count):
        return self.spawn([self.create_commands(i) for i in range(first, first + count)])

    def delete(self, first, count):
        return self.spawn([self.delete_commands(i) for i in range(first, first + count)])


class IpScript(Commands):
    """The commands an administrator types or has in a script."""

    title = "ip script"

    def create_commands(self, i):
        here, there = address(0x0a80, i, 1), address(0x0a80, i, 2)
        return [
            f"/usr/sbin/ip netns add i{i}",
            f"/usr/sbin/ip link add ih{i} type veth peer name ip{i}",
            f"/usr/sbin/ip link set ip{i} netns i{i}",
            f"/usr/sbin/ip addr add {here}/30 dev ih{i}",
            f"/usr/sbin/ip link set ih{i} up",
            f"/usr/sbin/ip -n i{i} link set lo up",
            f"/usr/sbin/ip -n i{i} addr add {there}/30 dev ip{i}",
            f"/usr/sbin/ip -n i{i} link set ip{i} up",
            f"/usr/sbin/ip -n i{i} route add default via {here}",
        ]

    def delete_commands(self, i):
        return [f"/usr/sbin/ip netns del i{i}"]

    def host_ends(self, first, count):
        return [f"ih{i}" for i in range(first, first + count)]


class IpBatch(Commands):
    """The best that `ip` can do: the peer is born in its namespace, two processes for each slot."""

    title = "ip -batch"

    def create_commands(self, i):
        here, there = address(0x0ac0, i, 1), address(0x0ac0, i, 2)
        outside = self.file(f"outside{i}", f"netns add b{i}\n"
                            f"link add bh{i} numtxqueues 1 numrxqueues 1 type veth "
                            f"peer name eth0 numtxqueues 1 numrxqueues 1 netns b{i}\n"
                            f"addr add {here}/30 dev bh{i}\nlink set bh{i} up\n")
        inside = self.file(f"inside{i}", f"link set lo up\naddr add {there}/30 dev eth0\nlink set eth0 up\n"
                           f"route add default via {here}\n")
        return [f"/usr/sbin/ip -batch {outside}", f"/usr/sbin/ip -n b{i} -batch {inside}"]

    def delete_commands(self, i):
        return [f"/usr/sbin/ip netns del b{i}"]

    def host_ends(self, first, count):
        return [f"bh{i}" for i in range(first, first + count)]


class CniPtp(Commands):
    """CNI's ptp plugin with host-local IPAM; the namespace is made before, outside the measured time."""

    title = "CNI ptp"

    def __init__(self, tools, directory):
        super().__init__(tools, directory)
        self.config = self.file("ptp.conf", json.dumps({
            "cniVersion": "0.4.0", "name": "bench", "type": "ptp", "ipMasq": False, "mtu": 1500,
            "ipam": {"type": "host-local", "subnet": "10.240.0.0/16", "dataDir": os.path.join(directory, "ipam"),
                     "routes": [{"dst": "0.0.0.0/0"}]},
        }))

    def command(self, verb, i):
        return (f"CNI_COMMAND={verb} CNI_CONTAINERID=c{i} CNI_NETNS=/run/netns/c{i} CNI_IFNAME=eth0 "
                f"CNI_PATH={CNI_PLUGINS} {CNI_PLUGINS}/ptp <{self.config}")

    def create(self, first, count):
        self.spawn([[f"/usr/sbin/ip netns add c{i}"] for i in range(first, first + count)])
        return super().create(first, count)

    def delete(self, first, count):
        stats = super().delete(first, count)
        self.spawn([[f"/usr/sbin/ip netns del c{i}"] for i in range(first, first + count)])
        return stats

    def create_commands(self, i):
        return [self.command("ADD", i)]

    def delete_commands(self, i):
        return [self.command("DEL", i)]

    def host_ends(self, first, count):
        return []  # ptp waits for the removal itself
