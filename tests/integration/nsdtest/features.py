# SPDX-License-Identifier: GPL-2.0-or-later
"""What the running kernel can do. A test may be skipped for a missing feature of the kernel and for nothing else."""
import functools
import os
import platform
import subprocess

import pytest

missing = {}  # feature -> how many tests were skipped for it


def _ip(*words):
    return subprocess.run(["unshare", "--net", "ip", *words], capture_output=True, check=False).returncode == 0


def _version(wanted):
    major, minor = platform.release().split(".")[:2]
    return (int(major), int(minor.split("-")[0])) >= wanted


PROBES = {
    "veth": lambda: _ip("link", "add", "a", "type", "veth", "peer", "name", "b"),
    "bridge": lambda: _ip("link", "add", "a", "type", "bridge"),
    "ipv6": lambda: os.path.isdir("/proc/sys/net/ipv6"),
    "pidfd of a namespace (6.11)": lambda: _version((6, 11)),
    "fd passing can be refused (6.16)": lambda: _version((6, 16)),
}


@functools.cache
def have(feature):
    return PROBES[feature]()


def require_kernel(*features):
    """Skips the calling test, counted and named, where the kernel lacks one of the features."""
    for feature in features:
        if not have(feature):
            missing[feature] = missing.get(feature, 0) + 1
            pytest.skip(f"the kernel lacks {feature}")
