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


class Measures:
    def __init__(self):
        self.values = {}

    def set(self, name, value):
        assert name in MEASURES, name
        self.values[name] = round(value, 3)

    def missing(self):
        return [name for name in MEASURES if name not in self.values]

    def write(self, path):
        form = {name: {"value": value, "limit": MEASURES[name][0], "better": MEASURES[name][1]}
                for name, value in self.values.items()}
        with open(path, "w") as f:
            json.dump(form, f, indent=2)
            f.write("\n")

    def print(self):
        print(f"\n{'measure':<30} {'value':>9}   {'limit':>8}         what")
        for name, (limit, better, text) in MEASURES.items():
            if name not in self.values:
                continue
            value = self.values[name]
            reached = value <= limit if better == "lower" else value >= limit
            sign = "<=" if better == "lower" else ">="
            print(f"{name:<30} {value:>9.3f} {sign} {limit:>7}  {'ok' if reached else 'MISSED':<6}  {text}")
