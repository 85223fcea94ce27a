# SPDX-License-Identifier: GPL-2.0-or-later
"""Do the floor and nsd leave the same in the kernel? Only then may their times be compared."""

import json
import subprocess

# What differs from one slot to the next, or is measured rather than set.
VOLATILE = {"ifindex", "link_index", "link", "link_netnsid", "link-netns", "address", "stats", "stats64", "operstate",
            "local", "broadcast", "gateway", "dst", "prefsrc", "ifname", "dev", "txqlen", "flags_extra", "tentative", "label"}


def ip(*arguments):
    text = subprocess.run(["ip", "-json", "-details", *arguments], check=True, capture_output=True, text=True).stdout
    return json.loads(text or "[]")


def stripped(value):
    if isinstance(value, dict):
        return {key: stripped(v) for key, v in sorted(value.items()) if key not in VOLATILE}
    if isinstance(value, list):
        return [stripped(v) for v in value]
    return value


def of_slot(name, host_end):
    """Everything of a slot that was asked for, without names and numbers."""
    inside = ["-n", name]
    with open(f"/proc/sys/net/ipv6/conf/{host_end}/disable_ipv6") as f:
        without_ipv6 = f.read().strip()
    state = {
        "host end": ip("addr", "show", "dev", host_end),
        "host end: disable_ipv6": without_ipv6,
        "host end: neighbours": ip("neigh", "show", "dev", host_end),
        "inside: eth0": ip(*inside, "addr", "show", "dev", "eth0"),
        "inside: lo": ip(*inside, "addr", "show", "dev", "lo"),
        "inside: routes": ip(*inside, "route", "show", "table", "all"),
        "inside: neighbours": ip(*inside, "neigh", "show", "dev", "eth0"),
    }
    return {key: stripped(value) for key, value in state.items()}


def differences(ours, theirs, path=""):
    """Paths at which two states differ, in words."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted(set(ours) | set(theirs))
        return [d for k in keys for d in differences(ours.get(k), theirs.get(k), f"{path}/{k}" if path else k)]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [d for i, (a, b) in enumerate(zip(ours, theirs)) for d in differences(a, b, f"{path}[{i}]")]
    return [] if ours == theirs else [f"{path}: floor {ours!r}, nsd {theirs!r}"]
