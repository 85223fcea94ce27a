# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers: percentiles of a run, medians over rounds, the measures with their limits, the table."""

import json
import statistics


class Stats:
    """What one contender did in one round, in one or several goes: times in microseconds, operations a second."""

    def __init__(self, data=None):
        data = data or {"operations": []}
        self.operations = data["operations"]
        self.elapsed = data.get("elapsed", sum(self.operations))
        self.start = data.get("start")
        self.names, self.bytes, self.phases = data.get("names", 0), data.get("bytes", 0), data.get("phases", {})

    def add(self, other):
        self.operations = self.operations + other.operations
        self.elapsed += other.elapsed
        self.phases = other.phases

    def percentile(self, share):
        ordered = sorted(self.operations)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e3

    p50 = property(lambda self: self.percentile(0.50))
    p99 = property(lambda self: self.percentile(0.99))
    p999 = property(lambda self: self.percentile(0.999))
    maximum = property(lambda self: self.percentile(1))
    count = property(lambda self: len(self.operations))
    rate = property(lambda self: self.count / (self.elapsed / 1e9))


class Rows:
    """What was measured in each round, by (section, contender)."""

    def __init__(self):
        self.rounds = {}

    def add(self, section, title, stats):
        self.rounds.setdefault((section, title), []).append(stats)

    def has(self, section, title):
        return (section, title) in self.rounds

    def median(self, section, title, what):
        return statistics.median(getattr(s, what) for s in self.rounds[section, title])

    def ratio(self, section, title, other, what):
        """Median of the ratios of each round, in which both ran next to each other."""
        pairs = zip(self.rounds[section, title], self.rounds[section, other])
        return statistics.median(getattr(a, what) / getattr(b, what) for a, b in pairs)

    def pooled(self, section, title):
        """All rounds as one: for tails, to which a single round has too few."""
        together = Stats()
        for stats in self.rounds[section, title]:
            together.add(stats)
        return together

    def print(self):
        for section in dict.fromkeys(section for section, _ in self.rounds):
            print(f"\n{section:<34} {'p50 us':>10} {'p99 us':>10} {'per s':>9}   rounds x count")
            for title in (title for within, title in self.rounds if within == section):
                p50, p99, rate = (self.median(section, title, what) for what in ("p50", "p99", "rate"))
                rounds = self.rounds[section, title]
                print(f"  {title:<32} {p50:>10.1f} {p99:>10.1f} {rate:>9.0f}   {len(rounds)} x {rounds[0].count}")


# measure: (limit, which way is better, what it is)
MEASURES = {
    "create.p50_over_floor": (1.25, "lower", "create, one client: p50 over the bare kernel's"),
    "create.rate_over_floor": (0.85, "higher", "create, several clients: rate over the bare kernel's best"),
    "create.ip_script_over_nsd": (15, "higher", "create: p50 of the ip commands over nsd's"),
    "create.cni_ptp_over_nsd": (10, "higher", "create: p50 of CNI ptp ADD over nsd's"),
    "create.marginal_4000": (1.2, "lower", "create: p50 with 4,000 existing over that with none"),
    "delete.reply_p50_us": (100, "lower", "delete: p50 of the reply, beyond a Ping's round trip"),
    "delete.freed_per_s": (1000, "higher", "delete: namespaces the kernel has really freed, a second"),
    "list.4000_ms": (60, "lower", "ListNamespaces of 4,000, to the last byte"),
    "rss.per_namespace_kib": (4, "lower", "memory of the daemon for each of 4,000 namespaces with a link"),
    "recover.4000_first_answer_ms": (200, "lower", "kill -9 at 4,000, restart: first answer"),
    "recover.4000_reconciled_ms": (4000, "lower", "kill -9 at 4,000, restart: all reconciled"),
    "loop.stall_p999_ms": (5, "lower", "Ping at 1 kHz during a create and delete storm: p99.9"),
    "exec.over_ip_netns_exec": (0.9, "lower", "nsc exec NAME true: p50 over that of ip netns exec"),
}

# Measures of slots, taken of an IPv4-only and of a dual-stack network; limits are those of the IPv4-only one.
SLOTS = {
    "acquire.p50_over_echo": (2.5, "lower", "warm acquire: p50 over that of a JSON echo"),
    "acquire.p99_ms": (0.5, "lower", "warm acquire: p99"),
    "acquire.10000_over_10": (1.1, "lower", "warm acquire: p50 with 10,000 slots existing over that with 10"),
    "acquire.churn_p999_ms": (1, "lower", "warm acquire, 4 clients acquiring and releasing, refill: p99.9"),
    "acquire.rate": (30000, "higher", "acquires a second from a filled pool, 8 clients"),
    "cold.p50_over_floor": (1.25, "lower", "acquire with an empty pool: p50 over the bare kernel's"),
    "cold.p99_over_floor": (2, "lower", "the same, p99"),
    "cold.rate_over_floor": (0.85, "higher", "the same, 8 clients: rate over the bare kernel's"),
    "cold.marginal_4000": (1.15, "lower", "the same, p50 with 4,000 slots existing over that of the first"),
    "cold.marginal_10000": (1.5, "lower", "the same with 10,000"),
    "fill.4000_s": (3, "lower", "from nothing to 4,000 ready slots"),
    "fill.10000_s": (9, "lower", "from nothing to 10,000 slots"),
    "churn.pairs_per_s": (1000, "higher", "acquires and releases a second, 4 clients without pause"),
    "churn.drift": (0.95, "higher", "the same over ten minutes: the last minute over the first"),
    "release.reply_p50_us": (20, "lower", "release: p50 of the reply, beyond a Ping's"),
    "release.freed_per_s": (1500, "higher", "4,000 released: slots the kernel has really freed, a second"),
    "first_packet.p99_ms": (1, "lower", "reply with a cold slot to the arrival of a first packet: p99"),
    "first_packet.over_100ms": (0, "lower", "the same: slots that needed more than 100 ms"),
    "recover.10000_first_answer_ms": (100, "lower", "kill -9 at 10,000 slots, restart: first answer"),
    "recover.10000_audited_ms": (500, "lower", "the same, all audited, none lost, none leaked"),
    "rss.per_slot_kib": (1, "lower", "memory of the daemon for each slot from 1,000 to 10,000"),
    "path.latency_over_veth": (1.5, "lower", "UDP round trip host to slot over that of a plain veth"),
    "path.throughput_over_veth": (0.9, "higher", "TCP stream likewise, the slower direction"),
}
# Of the host, not of a network
HOST = {
    "host.unshare_mount_10000_ms": (0.5, "lower", "another process's unshare of mounts at 10,000 slots"),
    "host.mounts_growth": (0, "lower", "mounts of the host more at 10,000 slots than with none"),
    "host.links_growth": (0, "lower", "links of the host more at 10,000 slots than with none"),
}
OPTIONAL = {"churn.drift"}  # takes ten minutes
SAME_FOR_DUAL = {"acquire.10000_over_10", "churn.drift"}


def dual(name):
    """The dual-stack measure of a name."""
    first, rest = name.split(".", 1)
    return f"{first}.dual.{rest}"


def dual_limit(name):
    """Half as much again as of an IPv4-only network."""
    limit, better, text = SLOTS[name]
    if name not in SAME_FOR_DUAL:
        limit = round(limit * 1.5 if better == "lower" else limit / 1.5, 3)
    return limit, better, text + " (dual-stack)"


MEASURES |= SLOTS | {dual(name): dual_limit(name) for name in SLOTS} | HOST
OPTIONAL |= {dual(name) for name in OPTIONAL}


class Measures:
    def __init__(self):
        self.values = {}

    def set(self, name, value):
        assert name in MEASURES, name
        self.values[name] = round(value, 3)

    def missing(self):
        return [name for name in MEASURES if name not in self.values and name not in OPTIONAL]

    def write(self, path):
        form = {name: {"value": value, "limit": MEASURES[name][0], "better": MEASURES[name][1]}
                for name, value in self.values.items()}
        with open(path, "w") as f:
            json.dump(form, f, indent=2)
            f.write("\n")

    def print(self):
        print(f"\n{'measure':<34} {'value':>9}   {'limit':>8}         what")
        for name, (limit, better, text) in MEASURES.items():
            if name not in self.values:
                continue
            value = self.values[name]
            reached = value <= limit if better == "lower" else value >= limit
            sign = "<=" if better == "lower" else ">="
            print(f"{name:<34} {value:>9.3f} {sign} {limit:>7}  {'ok' if reached else 'MISSED':<6}  {text}")
