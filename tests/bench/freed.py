# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast namespaces are really freed: in a user namespace of its own, whose account the kernel keeps exactly."""

import json
import os
import sys
import time

import machine
from contenders import Floor, Nsd, measure
from daemon import Daemon
from network import Network, pins
from programs import SlotClient, SlotFloor
from slots import MANY, SlotsPlan


def account(floor):
    """Namespaces the kernel counts. Looking costs one for a moment, which the next look may find still there."""
    time.sleep(0.3)
    return measure([floor.program, "survivors"])["survivors"]


def rate(contender, floor, left, count, settle):
    """Makes `count`, lets the kernel come to rest, deletes them; from the first request until all are given back."""
    contender.create(1, count)
    settle()
    if account(floor) < count:
        raise RuntimeError("the kernel does not count what was made")
    settle()
    started = contender.delete(1, count).start
    end = measure([floor.program, "freed", "--survivors", str(left)])["at"]
    settle(contender.host_ends(1, count))
    return count / ((end - started) / 1e9)


def begin(bench):
    machine.prepare()
    daemon = Daemon(os.path.join(bench.options.build, "nsd"), os.path.join(bench.directory, "freed"))
    daemon.start()
    return daemon, Floor(bench.tools)


def namespaces(bench):
    """Prints {"floor": [namespaces a second, ...], "nsd": [...]}; runs inside the user namespace."""
    daemon, floor = begin(bench)
    nsd = Nsd(bench.tools, daemon, connections=8)
    left = max(account(floor) for _ in range(5))  # this one, and what nsd keeps in hand
    rates = {"floor": [], "nsd": []}
    for _ in range(bench.plan.freed_rounds):
        for title, contender in (("floor", floor), ("nsd", nsd)):
            rates[title].append(rate(contender, floor, left, bench.plan.freed, bench.settle))
        daemon.wait_count(0)
    daemon.stop()
    json.dump(rates, sys.stdout)


class FloorSlots:
    """The bare kernel's slots, as `freed_rate` wants them."""

    def __init__(self, tools):
        self.floor = SlotFloor(tools, dual=False)

    def hubs(self, count):
        return -(-count // 512)

    def make(self, count):
        self.fill_s = self.floor.make(count).elapsed / 1e9

    def drop(self):
        return self.floor.drop()

    def settled(self):
        self.floor.wait_gone()


class NsdSlots:
    """Slots of a network of nsd, all leased, all released over eight connections."""

    def __init__(self, bench, network):
        self.client, self.network = SlotClient(bench.tools, network.daemon.socket, network.name), network
        self.names = os.path.join(bench.directory, "freed", network.name)
        if os.path.exists(self.names):
            os.unlink(self.names)

    def hubs(self, count):
        """Routers stay when their slots have gone."""
        return len(pins()[0])

    def make(self, count):
        self.network.pool(count, count)
        self.network.wait(count)
        self.client.acquire(count, "--names", self.names, "--connections", 8, "--empty", "fail")
        self.network.pool(0)

    def drop(self):
        return self.client.release(self.names, "--connections", 8)[0].start

    def settled(self):
        self.network.wait(0)


def freed_rate(slots, floor, count, settle, left):
    """Slots a second, from the first release to the last one given back; `left` namespaces are there without slots."""
    slots.make(count)
    settle()
    if account(floor) < count:
        raise RuntimeError("the kernel does not count what was made")
    left += slots.hubs(count)
    settle()
    started = slots.drop()
    end = measure([floor.program, "freed", "--survivors", str(left)])["at"]
    slots.settled()
    settle()
    return count / ((end - started) / 1e9)


def slots(bench):
    """The same of slots: prints {"rates": {"four": [slots a second, ...], "dual": ..., "the bare kernel": ...},
    "fill_s": how long the bare kernel needed to make them, IPv4-only}."""
    daemon, floor = begin(bench)
    rates, rounds = {}, SlotsPlan(bench.options.quick).freed_rounds
    for dual in (False, True):
        network = Network(daemon, dual)
        left = max(account(floor) for _ in range(5))
        network.create()
        made = NsdSlots(bench, network)
        rates[network.name] = [freed_rate(made, floor, MANY, bench.settle, left) for _ in range(rounds)]
        network.delete()
        bench.settle()
    made = FloorSlots(bench.tools)
    left = max(account(floor) for _ in range(5))
    rates["the bare kernel"] = [freed_rate(made, floor, MANY, bench.settle, left)]
    made.floor.close()
    daemon.stop()
    json.dump({"rates": rates, "fill_s": made.fill_s}, sys.stdout)
