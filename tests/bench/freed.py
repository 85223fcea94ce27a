# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast namespaces are really freed: in a user namespace of its own, whose account the kernel keeps exactly."""

import json
import os
import sys
import time

import machine
from contenders import Floor, Nsd, measure
from daemon import Daemon


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


def main(options, plan, tools, directory):
    """Prints {"floor": [namespaces a second, ...], "nsd": [...]}; runs inside the user namespace."""
    machine.prepare()
    settle, floor = machine.Settle(plan.patience), Floor(tools)
    daemon = Daemon(os.path.join(options.build, "nsd"), os.path.join(directory, "freed"))
    daemon.start()
    nsd = Nsd(tools, daemon, connections=8)
    left = max(account(floor) for _ in range(5))  # this one, and what nsd keeps in hand
    rates = {"floor": [], "nsd": []}
    for _ in range(plan.freed_rounds):
        for title, contender in (("floor", floor), ("nsd", nsd)):
            rates[title].append(rate(contender, floor, left, plan.freed, settle))
        daemon.wait_count(0)
    daemon.stop()
    json.dump(rates, sys.stdout)
