# SPDX-License-Identifier: GPL-2.0-or-later
"""The measuring programs of slots, each behind an object."""

import json
import os
import socket
import subprocess
import time

from contenders import measure
from report import Stats


class SlotFloor:
    """Slots made by the bare kernel (slot-floor.c), held by a process that lives as long as this object is open."""

    def __init__(self, tools, dual):
        self.argv = [os.path.join(tools, "slot-floor"), *(["--dual"] if dual else [])]
        self.process, self.made = None, 0

    def ask(self, command):
        if not self.process:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"slot-floor: {command} failed")
        return json.loads(answer)

    def make(self, count):
        self.made += count
        return Stats(self.ask(f"make {count}"))

    def drop(self):
        """All of them; returns when it began, on the clock of the programs."""
        start, self.made = self.ask(f"drop {self.made}")["start"], 0
        return start

    def wait_gone(self):
        self.ask("gone")

    def churn(self, count):
        """Makes so many, each in the place of one that was made before it; nothing is left."""
        return Stats(self.ask(f"churn {count}"))

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()
            self.process = None


class Echo:
    """A server that parses requests and builds answers like the given one, and does nothing else (echo-server.c)."""

    def __init__(self, tools, path, reply):
        self.socket = path
        with open(path + ".json", "w") as f:
            json.dump(reply, f)
        program = os.path.join(tools, "echo-server")
        self.process = subprocess.Popen([program, "--socket", path, "--reply", path + ".json"])
        end = time.monotonic() + 5
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("echo-server does not start")
            time.sleep(0.01)

    def answers(self):
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(self.socket) == 0

    def close(self):
        self.process.kill()
        self.process.wait()


class SlotClient:
    """Leases as a client sees them (slot-client.c)."""

    def __init__(self, tools, socket, network):
        self.argv = [os.path.join(tools, "slot-client"), "--socket", socket, "--network", network]

    def run(self, verb, *options):
        data = measure([*self.argv, *map(str, options), verb])
        return Stats(data), Stats({"operations": data["others"]}), data

    def acquire(self, count, *options):
        return self.run("acquire", "--count", count, *options)

    def release(self, names, *options):
        """Releases those that are named in a file, and removes it."""
        with open(names) as f:
            count = sum(1 for _ in f)
        done = self.run("release", "--names", names, "--count", count, *options)
        os.unlink(names)
        return done

    def churn(self, connections, seconds, *options):
        return self.run("churn", "--connections", connections, "--seconds", seconds, *options)

    def start_churn(self, connections, seconds, *options):
        """The same beside others; what it returns waits for the end."""
        argv = [*self.argv, "--connections", connections, "--seconds", seconds, *options, "churn"]
        process = subprocess.Popen([*map(str, argv)], stdout=subprocess.PIPE, text=True)

        def finish():
            text, _ = process.communicate()
            if process.returncode != 0:
                raise RuntimeError("slot-client churn failed")
            return Stats(json.loads(text))

        return finish


def first_packets(tools, socket, network, count, ipv6):
    data = measure([os.path.join(tools, "first-packet"), "--socket", socket, "--network", network,
                    "--count", str(count), *(["--ipv6"] if ipv6 else [])])
    return Stats(data), data["unanswered"]


class Way:
    """From a client to an address in another network namespace (path.c)."""

    def __init__(self, tools, server, address, client=None):
        self.argv = [os.path.join(tools, "path"), "--server", server, "--address", address,
                     *(["--client", client] if client else [])]

    def ping(self, count):
        return Stats(measure([*self.argv, "--count", str(count), "ping"]))

    def throughput(self, verb, milliseconds):
        """Bytes a second; "stream" to the server, "pull" from it."""
        data = measure([*self.argv, "--ms", str(milliseconds), verb])
        return data["bytes"] / (data["elapsed"] / 1e9)


def plain_veth(dual):
    """Two namespaces with nothing but a veth pair between them; the client's, the server's, the server's addresses."""
    here, there = ["ip", "-n", "veth0"], ["ip", "-n", "veth1"]
    commands = [["ip", "netns", "add", "veth0"], ["ip", "netns", "add", "veth1"],
                [*here, *"link add eth0 mtu 1500 numtxqueues 1 numrxqueues 1 type veth peer name eth0 mtu 1500 "
                 "numtxqueues 1 numrxqueues 1 netns veth1".split()],
                [*here, "addr", "add", "10.199.0.0/31", "dev", "eth0"],
                [*there, "addr", "add", "10.199.0.1/31", "dev", "eth0"]]
    if dual:
        commands += [[*here, "addr", "add", "fd99::/127", "dev", "eth0", "nodad"],
                     [*there, "addr", "add", "fd99::1/127", "dev", "eth0", "nodad"]]
    commands += [[*here, "link", "set", "eth0", "up"], [*there, "link", "set", "eth0", "up"]]
    for command in commands:
        subprocess.run(command, check=True)
    return "/run/netns/veth0", "/run/netns/veth1", "fd99::1" if dual else "10.199.0.1"


def remove_plain_veth():
    for name in ("veth0", "veth1"):
        subprocess.run(["ip", "netns", "del", name], check=False)
