# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine under measurement: private namespaces, waiting for it to settle, what it is."""

import ctypes
import os
import platform
import resource
import socket
import statistics
import subprocess
import time

CLONE_NEWNS = 0x00020000
UNSHARE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]


def reenter(argv, user_namespace=False, **kwargs):
    """Runs argv in network, mount and pid namespaces of its own; nothing it makes outlives it."""
    extra = ["--user", "--map-root-user"] if user_namespace else []
    return subprocess.run(UNSHARE + extra + ["--"] + argv, **kwargs)


def prepare():
    """A /run of its own that is shared as systemd's is, no host interface but lo, many file descriptors."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "run", "/run"], check=True)
    subprocess.run(["mount", "--make-shared", "/run"], check=True)
    os.mkdir("/run/netns", 0o755)
    subprocess.run(["mount", "--bind", "/run/netns", "/run/netns"], check=True)
    subprocess.run(["mount", "--make-private", "/run/netns"], check=True)
    subprocess.run(["mount", "--make-shared", "/run/netns"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def busy_ticks():
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq = map(int, f.readline().split()[1:8])
    return user + nice + system + irq + softirq


def exists(interface):
    try:
        socket.if_nametoindex(interface)
        return True
    except OSError:
        return False


class Settle:
    """Waits until the kernel has done its clean-up: the interfaces are gone, then three windows of 0.1 s in a row with
    no more than one busy tick over all cores, or `patience` seconds."""

    def __init__(self, patience):
        self.patience = patience
        self.impatient = 0
        self.waits = 0

    def __call__(self, interfaces=()):
        end = time.monotonic() + self.patience
        self.waits += 1
        for name in interfaces:
            while exists(name):
                if time.monotonic() > end + 30:
                    raise RuntimeError(f"{name} is still there half a minute after its namespace was deleted")
                time.sleep(0.005)
        quiet = 0
        while quiet < 3 and time.monotonic() < end:
            before = busy_ticks()
            time.sleep(0.1)
            quiet = quiet + 1 if busy_ticks() - before <= 1 else 0
        self.impatient += quiet < 3


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise RuntimeError(f"no VmRSS of process {pid}")


def available_kib():
    with open("/proc/meminfo") as f:
        for line in f:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1])
    raise RuntimeError("no MemAvailable in /proc/meminfo")


def mounts():
    with open("/proc/self/mountinfo") as f:
        return sum(1 for _ in f)


def links():
    return len(socket.if_nameindex())


def unshare_mount_ms(times=20):
    """What a mount namespace costs another process here: mean of children that make one, the call alone."""
    libc, took = ctypes.CDLL(None, use_errno=True), []
    for _ in range(times):
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            start = time.monotonic_ns()
            failed = libc.unshare(CLONE_NEWNS)
            os.write(send, str(0 if failed else time.monotonic_ns() - start).encode())
            os._exit(0)
        os.waitpid(child, 0)
        took.append(int(os.read(receive, 32)))
        os.close(receive)
        os.close(send)
    if 0 in took:
        raise RuntimeError("unshare of a mount namespace failed")
    return statistics.mean(took) / 1e6


def conditions():
    model = "unknown processor"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    return (f"Linux {platform.release()}, {os.cpu_count()} cores ({model}), {memory} GiB, "
            f"load {os.getloadavg()[0]:.1f} at the start")
