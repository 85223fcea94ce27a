# SPDX-License-Identifier: GPL-2.0-or-later
"""Restarts of every kind, up to the whole machine's: nobody is refused, nothing is forgotten."""
import json
import pathlib
import subprocess
import time

import pytest

from machine import wait_for

LOAD = (pathlib.Path(__file__).parent / "load.py").read_text()


class Load:
    """Clients inside the machine that connect and ask without a pause."""

    def __init__(self, machine):
        self.process = subprocess.Popen(machine.command("/usr/bin/python3", "-c", LOAD), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "started\n"

    def stop(self):
        result = json.loads(self.process.communicate("stop\n", timeout=60)[0])
        assert result["answered"] > 100, result
        assert result["refused"] == 0, result
        assert result["slowest"] < 5, result
        return result


def cookie(machine, name):
    return machine.out("stat", "-c", "%d:%i", f"/run/netns/{name}")


@pytest.fixture
def objects(machine):
    """A persistent and a runtime namespace with a link each, and one link in the host."""
    machine.nsc("add", "lasting")
    machine.nsc("add", "fleeting", "runtime")
    machine.nsc("link", "add", "la0", "10.11.0.1/24", "mac", "02:11:11:11:11:01", "peer", "la1", "netns", "lasting",
                "10.11.0.2/24", "mac", "02:11:11:11:11:02", "gateway", "10.11.0.1")
    machine.nsc("link", "add", "fl0", "peer", "fl1", "netns", "fleeting", "10.12.0.2/24")
    return machine


def ping(machine):
    return machine.run("nsc", "exec", "lasting", "ping", "-c1", "-W2", "10.11.0.1", check=False).returncode == 0


def test_restart_under_load(objects):
    before = cookie(objects, "lasting")
    load = Load(objects)
    pids = set()
    for _ in range(8):
        objects.run("systemctl", "restart", "nsd.service")
        pids.add(objects.main_pid())
    load.stop()
    assert len(pids) == 8
    assert cookie(objects, "lasting") == before and ping(objects)


def test_kill_under_load(objects):
    before = cookie(objects, "lasting")
    load = Load(objects)
    for _ in range(12):
        pid = objects.main_pid()
        objects.run("kill", "-KILL", pid)
        wait_for(lambda: objects.main_pid() not in (0, pid), "systemd has started nsd again")
    load.stop()
    wait_for(lambda: objects.show("nsd.service", "ActiveState") == "active", "nsd is active")
    assert int(objects.show("nsd.service", "NRestarts")) >= 12
    assert cookie(objects, "lasting") == before and ping(objects)
    assert "did not stop by itself" in objects.journal("-u", "nsd", "-n", "50")


def test_stop_and_start(objects):
    before = cookie(objects, "lasting")
    objects.run("systemctl", "stop", "nsd.socket", "nsd.service")
    assert objects.run("ls", "/run/nsd/io.nsd.Manager", check=False).returncode != 0
    assert objects.is_nsfs("lasting") and objects.is_nsfs("fleeting")
    assert objects.run("ip", "netns", "exec", "lasting", "ping", "-c1", "-W2", "10.11.0.1").returncode == 0
    objects.run("systemctl", "start", "nsd.service")
    assert cookie(objects, "lasting") == before
    listed = objects.nsc("list")
    assert "lasting" in listed and "fleeting" in listed and "lost" not in listed
    assert objects.show("nsd.service", "NRestarts") == "0"


def test_socket_activation(objects):
    objects.run("systemctl", "stop", "nsd.service")
    assert objects.main_pid() == 0
    assert objects.call("io.nsd.Manager.GetStatus")["pid"] == objects.main_pid() != 0


def test_clean_stop_is_clean(machine):
    machine.run("systemctl", "restart", "nsd.service")
    assert "did not stop by itself" not in machine.journal(f"_PID={machine.main_pid()}")


def test_watchdog(objects):
    objects.drop_in("watchdog", "[Service]\nWatchdogSec=1s\n")
    objects.run("systemctl", "restart", "nsd.service")
    pid = objects.main_pid()
    time.sleep(2.5)
    assert objects.main_pid() == pid, "an nsd that works is left alone"
    objects.run("kill", "-STOP", pid)
    start = time.monotonic()
    wait_for(lambda: objects.main_pid() not in (0, pid), "the watchdog replaces an nsd that hangs")
    assert time.monotonic() - start < 4
    assert "lasting" in objects.nsc("list")


def addresses(machine):
    return machine.out("nsc", "exec", "lasting", "ip", "-o", "addr", "show", "la1")


def test_reboot(objects):
    boot = objects.out("cat", "/proc/sys/kernel/random/boot_id")
    mac = addresses(objects)
    objects.reboot()
    assert objects.out("cat", "/proc/sys/kernel/random/boot_id") != boot
    wait_for(lambda: objects.call("io.nsd.Manager.GetStatus")["ready"], "records and kernel agree")
    check_after_boot(objects, mac)
    assert "did not stop by itself" not in objects.journal("-b", "-u", "nsd")


def test_power_cut(objects):
    mac = addresses(objects)
    objects.crash()
    wait_for(lambda: objects.call("io.nsd.Manager.GetStatus")["ready"], "records and kernel agree")
    check_after_boot(objects, mac)
    assert "did not stop by itself" in objects.journal("-b", "-u", "nsd")


def without_index(text):
    return [line.split(":", 1)[1] for line in text.splitlines() if "inet " in line]


def check_after_boot(machine, before):
    """The persistent ones are back as they were, the runtime ones are gone, and no trace of them is left."""
    assert machine.is_nsfs("lasting") and ping(machine)
    assert without_index(addresses(machine)) == without_index(before)
    assert "02:11:11:11:11:01" in machine.out("ip", "link", "show", "la0")
    assert "fleeting" not in machine.nsc("list")
    assert machine.out("ls", "/run/netns") == "lasting"
    assert machine.run("ip", "link", "show", "fl0", check=False).returncode != 0
