# SPDX-License-Identifier: GPL-2.0-or-later
"""Kills and errors at chosen system calls of a running daemon, by strace.

strace counts the occurrences of each system call by itself and for each thread, so the points to try are found by tracing
once and are pairs (system call, occurrence)."""
import collections
import os
import pathlib
import re
import subprocess

from . import poll

LINE = re.compile(r"^(\d+) +(\w+)\(")


class Strace:
    """strace on a running process and all its threads; a context manager."""

    def __init__(self, pid, *words, output="/run/test/strace"):
        self.pid, self.output = pid, pathlib.Path(output)
        self.process = subprocess.Popen(["strace", "-f", "-qq", "-o", str(output), "-p", str(pid), *words],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __enter__(self):
        poll.until(self.attached, "strace is attached", interval=0.002)
        return self

    def attached(self):
        if not os.path.exists(f"/proc/{self.pid}/task"):
            return True  # hit already, by a call of its own accord
        if self.process.poll() is not None:
            return True  # hit already, by a call of its own accord
        try:
            tasks = os.listdir(f"/proc/{self.pid}/task")
        except FileNotFoundError:  # hit already, by a call of its own accord
            return True
        for task in tasks:
            try:
                status = pathlib.Path(f"/proc/{self.pid}/task/{task}/status").read_text(encoding="ascii")
            except (FileNotFoundError, ProcessLookupError):  # a thread that has ended
                continue
            if f"TracerPid:\t{self.process.pid}\n" not in status:
                return False
        return True

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        self.process.stderr.close()

    def points(self):
        return points_of(self.output)


def points_of(output):
    """[(system call, occurrence)] of all that was traced, in the order in which they first came."""
    seen = collections.Counter()
    points = []
    for line in pathlib.Path(output).read_text(encoding="utf-8", errors="replace").splitlines():
        match = LINE.match(line)
        if match:
            seen[match.groups()] += 1
            point = (match.group(2), seen[match.groups()])
            if point not in points:
                points.append(point)
    return points


def kill_at(point):
    """strace's words for SIGKILL at a point; the call itself is not made."""
    name, occurrence = point
    return ["-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={occurrence}"]


def fail_at(point, error):
    """strace's words for an error instead of the call."""
    name, occurrence = point
    return ["-e", f"trace={name}", "-e", f"inject={name}:error={error}:when={occurrence}"]
