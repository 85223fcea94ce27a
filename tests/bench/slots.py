# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of the run that is about slots. docs/PERFORMANCE.md says how each figure is made."""

import os
import statistics
import time

import machine
from contenders import CniPtp, IpScript
from daemon import Daemon
from network import MANAGER, Network, ends_in_routers, pins
from programs import Echo, SlotClient, SlotFloor, Way, first_packets, plain_veth, remove_plain_veth
from report import Stats

CLIENTS = 8
CHURNERS = 4
TURNS = 6
FEW, MANY, MOST = 10, 4000, 10000
RATE_ROUNDS = 3
KIB_PER_SLOT = 360


class SlotsPlan:
    """How much of what; the levels of slots are the same in a quick run."""

    def __init__(self, quick):
        self.rounds = 2 if quick else 5
        self.cold, self.cold_rate = (102, 104) if quick else (300, 304)
        self.script, self.cni = (2, 3) if quick else (4, 6)
        self.first_packets = 200 if quick else 1000
        self.few_rounds = 10 if quick else 16
        self.acquire_rounds, self.acquires = (2, 400) if quick else (4, 500)
        self.releases = 500 if quick else 1500
        self.recoveries = 1 if quick else 3
        self.path_rounds, self.pings, self.stream_ms = (3, 5000, 150) if quick else (10, 10000, 250)
        self.pace = 500
        self.paced_seconds, self.churn_seconds = (4, 8) if quick else (15, 30)
        self.floor_churn = 1000 if quick else 4000
        self.churn_start = 3  # seconds in which what the pool had in store is used up
        self.freed_rounds = 1 if quick else 2


class Slots:
    def __init__(self, bench):
        self.bench, self.plan = bench, SlotsPlan(bench.options.quick)
        self.tools, self.directory = bench.tools, os.path.join(bench.directory, "slots")
        self.rows, self.measures, self.notes, self.settle = bench.rows, bench.measures, bench.notes, bench.settle
        self.daemon = Daemon(os.path.join(bench.options.build, "nsd"), self.directory)
        kinds = (False,) if bench.options.churn_seconds else (False, True)
        self.networks = [Network(self.daemon, dual) for dual in kinds]
        self.floors = {network.dual: SlotFloor(self.tools, network.dual) for network in self.networks}
        self.echo = None

    def run(self):
        """Every part, each a stage of its own."""
        self.most = self.room()
        self.daemon.want(True)
        for network in self.networks:
            network.create()
        self.at_start = self.host()
        self.stage(self.slot_cold)
        for network in self.networks:
            for part in (self.slot_first_packet, self.slot_path, self.slot_acquire_few, self.slot_scale,
                         self.slot_churn):
                self.stage(part, network)
        self.stage(self.slot_compare)
        for floor in self.floors.values():
            floor.close()
        for network in self.networks:
            network.delete()
        self.daemon.want(False)

    def stage(self, function, *arguments):
        self.bench.stage(function, *arguments, part="slots", clean_up=self.reset)

    def reset(self):
        """After a part that failed: the networks as at the start."""
        self.daemon.want(True)
        for network in self.networks:
            if network.exists():
                network.delete()
            network.create()
            for name in (self.names(network), self.names(network) + "-some"):
                if os.path.exists(name):
                    os.unlink(name)

    def room(self):
        """Slots that there is memory for."""
        free = machine.available_kib() // KIB_PER_SLOT
        if free < MOST + 1000:
            self.notes.append(f"memory for some {free:,} slots only: parts that need more are left out")
        return MOST if free >= MOST + 1000 else MANY if free >= MANY + 1000 else 0

    def names(self, network):
        return os.path.join(self.directory, f"leases-{network.name}")

    def client(self, network, socket=None):
        return SlotClient(self.tools, socket or self.daemon.socket, network.name)

    def set(self, network, name, value):
        self.measures.set(network.measure(name), value)

    def note(self, network, text):
        self.notes.append(f"slots{network.title}: {text}")

    def start_echo(self, network):
        """A server that answers as nsd does."""
        reply = network.acquire()
        echo = Echo(self.tools, "/run/echo", {"parameters": reply})
        network.release(reply["slot"])
        return echo

    # Cold: the pool is empty, the slot is made while the client waits

    def slot_cold(self):
        """The floor and nsd, IPv4-only and dual-stack, in turns."""
        plan = self.plan
        scripts = [(IpScript(self.tools, os.path.join(self.directory, "script")), plan.script),
                   (CniPtp(self.tools, os.path.join(self.directory, "cni")), plan.cni)]
        for network in self.networks:
            self.client(network).acquire(20, "--names", self.names(network))  # the first ones are slower
        self.release_all()
        for _ in range(plan.rounds):
            self.in_turns("slots, cold", plan.cold, 1)
            self.in_turns(f"slots, cold, {CLIENTS} clients", plan.cold_rate, CLIENTS)
            for contender, count in scripts:
                first = self.bench.numbers(count)
                self.rows.add("slots, cold", contender.title, contender.create(first, count))
                contender.delete(first, count)
                self.settle(contender.host_ends(first, count))

    def in_turns(self, section, count, connections):
        """One round: every contender makes its slots in several goes, then all are released."""
        stats = {(who, network.dual): Stats() for who in ("floor", "nsd") for network in self.networks}
        order = list(stats)
        self.settle()
        for turn in range(TURNS):
            share = count * (turn + 1) // TURNS - count * turn // TURNS
            for who, dual in order:
                stats[who, dual].add(self.floors[dual].make(share) if who == "floor" else
                                     self.acquire_cold(self.networks[dual], share, connections))
            order.reverse()
        for (who, dual), made in stats.items():
            self.rows.add(section, who + self.networks[dual].title, made)
        for floor in self.floors.values():
            floor.drop()
        self.release_all()
        for floor in self.floors.values():
            floor.wait_gone()
        self.settle()

    def acquire_cold(self, network, count, connections=1):
        return self.client(network).acquire(count, "--names", self.names(network), "--connections", connections)[0]

    def release_all(self):
        for network in self.networks:
            if os.path.exists(self.names(network)):
                self.client(network).release(self.names(network), "--connections", CLIENTS)
            network.wait(0)

    def slot_compare(self):
        """The measures that compare rows."""
        if not self.rows.has("slots, cold", "nsd"):
            return
        for network in self.networks:
            nsd, floor, rows = "nsd" + network.title, "floor" + network.title, self.rows
            clients = f"slots, cold, {CLIENTS} clients"
            self.set(network, "cold.p50_over_floor", rows.ratio("slots, cold", nsd, floor, "p50"))
            self.set(network, "cold.p99_over_floor", rows.pooled("slots, cold", nsd).p99 /
                     rows.pooled("slots, cold", floor).p99)
            self.set(network, "cold.rate_over_floor", rows.ratio(clients, nsd, floor, "rate"))
            phases = [stats.phases for stats in rows.rounds["slots, cold", floor]]
            self.note(network, "the floor, mean us: " + ", ".join(
                f"{name} {statistics.median(p[name] for p in phases) / 1e3:.0f}" for name in phases[0]))
        self.notes.append("slots: cold dual-stack p50 of nsd over the IPv4-only floor: "
                          f"{rows.ratio('slots, cold', nsd, 'floor', 'p50'):.2f}")
        for title in ("ip script", "CNI ptp"):
            self.notes.append(f"slots: p50 of {title} over a cold acquire: "
                              f"{rows.ratio('slots, cold', title, 'nsd', 'p50'):.0f}")

    def slot_first_packet(self, network):
        """From the reply with a cold slot to the arrival of a packet that the host sends."""
        stats, unanswered = first_packets(self.tools, self.daemon.socket, network.name, self.plan.first_packets,
                                          network.dual)
        self.rows.add("slots, first packet", "IPv6" if network.dual else "IPv4", stats)
        late = sum(1 for ns in stats.operations if ns > 100e6)
        self.set(network, "first_packet.p99_ms", stats.p99 / 1e3)
        self.set(network, "first_packet.over_100ms", late + unanswered)
        self.note(network, f"first packets: {late} later than 100 ms, {unanswered} of the slots' answers lost")
        network.wait(0)
        self.settle()

    def slot_path(self, network):
        """Through the router, and through a plain veth, in turn."""
        slot = network.acquire()["slot"]
        section, speeds = f"path{network.title}: UDP round trip", {}
        try:
            client, server, address = plain_veth(network.dual)
            ways = {"plain veth": Way(self.tools, server, address, client),
                    "router": Way(self.tools, slot["path"], slot["address6" if network.dual else "address4"])}
            for _ in range(self.plan.path_rounds):
                for title, way in ways.items():
                    self.rows.add(section, title, way.ping(self.plan.pings))
                for verb in ("stream", "pull"):
                    for title, way in ways.items():
                        speeds.setdefault((verb, title), []).append(way.throughput(verb, self.plan.stream_ms))
        finally:
            remove_plain_veth()
        network.release(slot)
        network.wait(0)
        self.set(network, "path.latency_over_veth", self.rows.ratio(section, "router", "plain veth", "p50"))
        ratios = {verb: statistics.median(a / b for a, b in zip(speeds[verb, "router"], speeds[verb, "plain veth"]))
                  for verb in ("stream", "pull")}
        self.set(network, "path.throughput_over_veth", min(ratios.values()))
        for verb, words in (("stream", "to the slot"), ("pull", "from the slot")):
            router, veth = (statistics.median(speeds[verb, title]) * 8e-9 for title in ("router", "plain veth"))
            self.note(network, f"TCP {words}: {router:.1f} Gbit/s, plain veth {veth:.1f}; "
                      f"median of ratios {ratios[verb]:.2f}")

    # Warm: out of the pool. While `maximum` slots exist no other is made, so an acquire is measured alone

    def slot_acquire_few(self, network):
        """With ten slots existing, after a rest."""
        echo = self.start_echo(network)
        try:
            network.pool(FEW, FEW)
            for _ in range(self.plan.few_rounds):
                network.wait(FEW)
                self.settle()
                self.acquire_beside_echo(network, echo, f"acquire, {FEW} existing, at rest", FEW)
                self.client(network).release(self.names(network))
        finally:
            echo.close()
        network.pool(0)
        network.wait(0)

    def acquire_beside_echo(self, network, echo, section, count):
        nsd, other, _ = self.client(network).acquire(count, "--names", self.names(network), "--echo", echo.socket,
                                                     "--block", FEW, "--empty", "fail")
        self.rows.add(section + network.title, "nsd", nsd)
        self.rows.add(section + network.title, "echo", other)

    def slot_scale(self, network):
        """Everything that needs thousands of slots."""
        if self.most < MANY:
            return
        self.echo = self.start_echo(network)
        try:
            network.wait(0)
            self.fill_many(network)
            if self.most == MOST:
                self.fill_most(network)
                for part in (self.acquire_most, self.recover, self.acquire_recovered, self.cold_after_most):
                    self.attempt(part, network)
            self.release(network)
        finally:
            self.echo.close()

    def attempt(self, function, network):
        """A part after which the others can go on even if it failed."""
        try:
            function(network)
        except (RuntimeError, OSError) as error:
            self.bench.failures.append(f"{function.__name__} {network}: {error}")

    def fill(self, network, ready, maximum, watch=None):
        """Seconds until so many are ready; what is then acquired is not made anew."""
        start = time.monotonic()
        network.pool(ready, maximum)
        network.wait(ready, watch)
        return time.monotonic() - start

    def fill_many(self, network):
        self.resident = {}

        def watch(state):
            if state["readySlots"] >= 1000 and 1000 not in self.resident:
                self.resident[1000] = machine.resident_kib(self.daemon.process.pid), state["readySlots"]

        self.fill_many_s = self.fill(network, MANY, MANY, watch)
        self.set(network, "fill.4000_s", self.fill_many_s)
        self.settle()
        self.acquire_rate(network)
        self.cold_after(network, MANY, "cold.marginal_4000")

    def acquire_rate(self, network):
        """Eight clients empty the filled pool, in turns with the echo."""
        section = f"acquire, {CLIENTS} clients{network.title}"
        for left in range(RATE_ROUNDS, 0, -1):
            count = network.state()["readySlots"] // left
            self.rows.add(section, "nsd", self.acquire_ready(network, count))
            self.rows.add(section, "echo",
                          self.client(network, self.echo.socket).acquire(count, "--connections", CLIENTS)[0])
        self.set(network, "acquire.rate", self.rows.median(section, "nsd", "rate"))

    def acquire_ready(self, network, count):
        return self.client(network).acquire(count, "--names", self.names(network), "--connections", CLIENTS,
                                            "--empty", "fail")[0]

    def cold_after(self, network, existing, measure):
        """A hundred cold ones, against the first hundred."""
        network.pool(0)
        self.settle()
        extra = self.names(network) + "-some"
        stats = self.client(network).acquire(100, "--names", extra)[0]
        self.client(network).release(extra, "--connections", CLIENTS)
        self.rows.add(f"slots, cold, {existing:,} existing", "nsd" + network.title, stats)
        if self.rows.has("slots, cold", "nsd" + network.title):
            first = self.rows.median("slots, cold", "nsd" + network.title, "p50")
            self.set(network, measure, stats.p50 / first)
        network.wait(0)
        self.settle()

    def cold_after_most(self, network):
        self.cold_after(network, MOST, "cold.marginal_10000")

    def fill_most(self, network):
        self.set(network, "fill.10000_s", self.fill_many_s + self.fill(network, MOST - MANY, MOST))
        self.settle()
        rss, slots = self.resident[1000]
        used = machine.resident_kib(self.daemon.process.pid) - rss
        self.set(network, "rss.per_slot_kib", used / (MOST - slots))
        host = self.host()
        if not network.dual:
            self.measures.set("host.unshare_mount_10000_ms", host["unshare"])
            self.measures.set("host.mounts_growth", host["mounts"] - self.at_start["mounts"])
            self.measures.set("host.links_growth", host["links"] - self.at_start["links"])
        self.note(network, f"host at {MOST:,} slots: {host['mounts']} mounts, {host['links']} links, unshare of mounts "
                  f"{host['unshare']:.3f} ms; with none {self.at_start['mounts']}, "
                  f"{self.at_start['links']}, {self.at_start['unshare']:.3f} ms")

    def host(self):
        return {"mounts": machine.mounts(), "links": machine.links(), "unshare": machine.unshare_mount_ms()}

    def recover(self, network):
        first, audited = [], []
        for _ in range(self.plan.recoveries):
            before, (routers, pinned) = network.slots(), pins()
            start = time.monotonic()
            self.daemon.kill()
            self.daemon.spawn()
            self.daemon.first_status()
            first.append((time.monotonic() - start) * 1e3)
            self.daemon.wait_ready()
            audited.append((time.monotonic() - start) * 1e3)
            self.check_recovered(network, before, routers, pinned)
            self.settle()
        self.set(network, "recover.10000_first_answer_ms", statistics.median(first))
        self.set(network, "recover.10000_audited_ms", statistics.median(audited))

    def check_recovered(self, network, before, routers, pinned):
        """None lost, none leaked: what nsd lists and what is really there, against what was before."""
        after, (routers_now, pinned_now) = network.slots(), pins()
        ends = ends_in_routers(routers_now)
        if after != before:
            changed = [name for name in set(after) | set(before) if after.get(name) != before.get(name)]
            raise RuntimeError(f"{len(changed)} slots changed by a restart, {changed[0]} from "
                               f"{before.get(changed[0])} to {after.get(changed[0])}")
        if pinned_now != pinned or routers_now != routers or pinned_now != set(after) or ends != len(after):
            raise RuntimeError(f"{len(after)} slots listed, {len(pinned_now)} of {len(pinned)} pinned, {ends} "
                               f"interfaces in routers, {len(routers_now)} of {len(routers)} routers")

    def acquire_most(self, network):
        """With ten thousand existing, beside the echo."""
        section, plan = f"acquire, {MOST:,} existing", self.plan
        for _ in range(plan.acquire_rounds):
            self.acquire_beside_echo(network, self.echo, section, plan.acquires)
        for _ in range(plan.few_rounds):
            self.settle()
            self.acquire_beside_echo(network, self.echo, section + ", at rest", FEW)
        at_rest, section = section + ", at rest" + network.title, section + network.title
        pooled = self.rows.pooled(section, "nsd")
        self.set(network, "acquire.p50_over_echo", self.rows.ratio(section, "nsd", "echo", "p50"))
        self.set(network, "acquire.p99_ms", pooled.p99 / 1e3)
        few = f"acquire, {FEW} existing, at rest{network.title}"
        if self.rows.has(few, "nsd"):
            nsd, echo = (self.rows.pooled(at_rest, title).p50 / self.rows.pooled(few, title).p50
                         for title in ("nsd", "echo"))
            self.set(network, "acquire.10000_over_10", nsd)
            self.note(network, f"p50 of the echo server itself at {MOST:,} over that at {FEW}: {echo:.2f}")

    def acquire_recovered(self, network):
        """What was ready before the restart, right after it."""
        stats = self.acquire_ready(network, network.state()["readySlots"])
        self.rows.add(f"acquire, {CLIENTS} clients{network.title}", "nsd, after kill -9", stats)

    def release(self, network):
        """The reply in turns with a Ping; the rest in bulk."""
        with open(self.names(network)) as f:
            leases = f.readlines()
        some = self.names(network) + "-some"
        for name, lines in ((some, leases[:self.plan.releases]), (self.names(network), leases[self.plan.releases:])):
            with open(name, "w") as f:
                f.writelines(lines)
        stats, ping, _ = self.client(network).release(some, "--echo", self.daemon.socket)
        self.rows.add("release" + network.title, "nsd", stats)
        self.rows.add("release" + network.title, "nsd Ping", ping)
        self.set(network, "release.reply_p50_us", stats.p50 - ping.p50)
        start = time.monotonic()
        self.client(network).release(self.names(network), "--connections", CLIENTS)
        replied = time.monotonic() - start
        network.wait(0)
        count = len(leases) - self.plan.releases
        self.note(network, f"{count:,} released in bulk: replies {count / replied:.0f}/s, "
                  f"gone {count / (time.monotonic() - start):.0f}/s")
        self.settle()

    # Churn

    def slot_churn(self, network):
        """Clients that come at a given rate, then clients that never pause, then the bare kernel's churn."""
        network.pool(1000)
        network.wait(1000)
        self.settle()
        if not self.bench.options.churn_seconds:
            self.churn_paced(network)
        self.churn_without_pause(network, self.bench.options.churn_seconds or self.plan.churn_seconds)
        network.pool(0)
        network.wait(0)
        self.settle()
        floor = self.floors[network.dual].churn(self.plan.floor_churn)
        self.note(network, f"churn of the bare kernel, one thread: {floor.rate:.0f} pairs a second")
        self.settle()

    def churn_paced(self, network):
        """At a rate that leaves the pool filled; beside it an echo at the same rate: what the machine adds itself."""
        plan, cold, echo = self.plan, self.cold_so_far(network), self.start_echo(network)
        try:
            pace = ("--rate", plan.pace)
            control = self.client(network, echo.socket).start_churn(CHURNERS, plan.paced_seconds, *pace)
            paced, releases, _ = self.client(network).churn(CHURNERS, plan.paced_seconds, *pace)
            control = control()
        finally:
            echo.close()
        section = f"churn at {plan.pace} a second{network.title}"
        for title, stats in (("acquire", paced), ("release", releases), ("echo", control)):
            self.rows.add(section, title, stats)
        self.set(network, "acquire.churn_p999_ms", paced.p999 / 1e3)
        self.note(network, f"churn at {plan.pace} a second: {self.cold_so_far(network) - cold} of {paced.count:,} "
                  f"acquires found the pool empty; worst {paced.maximum / 1e3:.2f} ms; "
                  f"the echo meanwhile: p99.9 {control.p999 / 1e3:.2f} ms, worst {control.maximum / 1e3:.2f} ms")
        network.wait(1000)
        self.settle()

    def churn_without_pause(self, network, seconds):
        before = machine.resident_kib(self.daemon.process.pid)
        acquires, releases, data = self.client(network).churn(CHURNERS, seconds)
        pairs = data["pairs"][self.plan.churn_start:]
        section = f"churn without pause{network.title}"
        self.rows.add(section, "acquire", acquires)
        self.rows.add(section, "release", releases)
        self.set(network, "churn.pairs_per_s", statistics.mean(pairs))
        part = max(1, min(60, len(pairs) // 4))
        drift = statistics.mean(pairs[-part:]) / statistics.mean(pairs[:part])
        if self.bench.options.churn_seconds:
            self.set(network, "churn.drift", drift)
        grown = machine.resident_kib(self.daemon.process.pid) - before
        self.note(network, f"churn without pause for {seconds} s: {min(pairs)} to {max(pairs)} pairs in a second, the "
                  f"last {part} s {drift:.2f} of the first; nsd {grown:+} KiB")

    def cold_so_far(self, network):
        pools = [p for answer in self.daemon.stream(MANAGER + "ListPools", {}, True) for p in answer["pools"]]
        return next(p["cold"] for p in pools if p["network"] == network.name)
