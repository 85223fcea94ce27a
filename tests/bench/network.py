# SPDX-License-Identifier: GPL-2.0-or-later
"""One network of nsd under measurement: its pool, its slots, and what of them is really there."""

import os
import subprocess
import time

import report

MANAGER = "io.nsd.Manager."


class Network:
    """An IPv4-only or a dual-stack network."""

    def __init__(self, daemon, dual):
        self.daemon, self.dual = daemon, dual
        self.name = "dual" if dual else "four"
        self.title = ", dual-stack" if dual else ""
        self.prefixes = {"ipv4": "10.201.0.0/16", "ipv6": "fd6e:7364::/112"} if dual else {"ipv4": "10.200.0.0/16"}

    def __str__(self):
        return self.name

    def measure(self, name):
        return report.dual(name) if self.dual else name

    def create(self):
        network = self.daemon.call(MANAGER + "CreateNetwork", name=self.name, ready=0, **self.prefixes)["network"]
        self.capacity = network["capacity"]

    def delete(self):
        """With all its slots; until the kernel has them back."""
        self.daemon.call(MANAGER + "DeleteNetwork", name=self.name, force=True, wait=True)

    def exists(self):
        return any(answer["networks"] and self.name in [n["name"] for n in answer["networks"]]
                   for answer in self.daemon.stream(MANAGER + "ListNetworks", {}, True))

    def state(self):
        return self.daemon.call(MANAGER + "GetNetwork", name=self.name)["network"]

    def pool(self, ready, maximum=None):
        """How many nsd is to keep ready, and how many may exist at all."""
        self.daemon.call(MANAGER + "ChangeNetwork", name=self.name, ready=ready,
                         maximum=maximum or self.capacity)

    def wait(self, ready, watch=None, patience=120):
        """Until so many are ready, none is being made, none on its way out; `watch` sees each state on the way."""
        end = time.monotonic() + patience
        while True:
            state = self.state()
            if watch:
                watch(state)
            if state["readySlots"] == ready and not state["drainingSlots"] and not state["makingSlots"]:
                return state
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name}: waited {patience} s for {ready} ready slots: {counts(state)}")
            time.sleep(0.01)

    def acquire(self):
        """One lease, bound to nothing; the whole answer."""
        return self.daemon.call(MANAGER + "AcquireSlot", network=self.name, bond="nothing")

    def release(self, slot):
        self.daemon.call(MANAGER + "ReleaseSlot", name=slot["name"], generation=slot["generation"])

    def slots(self):
        """Every slot that nsd lists: {name: (state, generation)}."""
        return {s["name"]: (s["state"], s["generation"])
                for answer in self.daemon.stream(MANAGER + "ListSlots", {"network": self.name}, True)
                for s in answer["slots"]}


def counts(state):
    keys = ("readySlots", "leasedSlots", "makingSlots", "drainingSlots")
    return ", ".join(f"{state[key]} {key[:-5]}" for key in keys)


def pins(directory="/run/nsd/slots"):
    """Names of the namespaces that are really pinned, routers (with an @) apart from slots."""
    plain = os.stat(directory).st_dev  # what is not mounted on is a file without a pin
    with os.scandir(directory) as entries:
        names = {entry.name for entry in entries if os.stat(entry.path).st_dev != plain}
    routers = {name for name in names if "@" in name}
    return routers, names - routers


def ends_in_routers(routers, directory="/run/nsd/slots"):
    """Slots' interfaces that are really there in the routers."""
    found = 0
    for name in routers:
        lines = subprocess.run(["nsenter", f"--net={directory}/{name}", "ip", "-o", "link"], check=True,
                               capture_output=True, text=True).stdout.splitlines()
        found += sum(1 for line in lines if line.split(": ")[1].startswith("slot"))
    return found
