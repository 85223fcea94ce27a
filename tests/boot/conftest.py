# SPDX-License-Identifier: GPL-2.0-or-later
"""One booted machine for all tests, with nsd running at the start of each."""
import json
import os

import pytest

from machine import Machine, wait_for


def pytest_configure(config):
    if "NSD_BOOT_ROOT" not in os.environ:
        raise pytest.UsageError("run these tests by tests/boot/run, which makes the machine")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    machine = item.funcargs.get("machine") if hasattr(item, "funcargs") else None
    if report.failed and machine and machine.leader:
        status = machine.run("systemctl", "status", "--lines=0", "nsd.service", "nsd.socket", check=False).stdout
        status += machine.run("journalctl", "--lines=80", "--no-pager", "--unit=nsd.service", check=False).stdout
        report.sections.append(("systemctl status and journal", status))


@pytest.fixture(scope="session")
def booted(tmp_path_factory):
    console = tmp_path_factory.mktemp("boot") / "console"
    with open(console, "wb") as f:
        machine = Machine(os.environ["NSD_BOOT_ROOT"], f)
        machine.prepare()
        try:
            machine.boot()
            # What the README tells an administrator to do after "make install".
            machine.run("systemd-sysusers")
            machine.run("systemd-tmpfiles", "--create", check=False)
            machine.run("journalctl", "--update-catalog")
            machine.run("systemctl", "daemon-reload")
            machine.run("systemctl", "enable", "--now", "nsd.socket", "nsd.service")
            yield machine
        finally:
            machine.power_off()
            print(console.read_text(errors="replace")[-4000:])


@pytest.fixture
def machine(booted):
    """Runs nsd, as it is installed, without objects of earlier tests."""
    changed = booted.path(booted.settings).exists() or booted.path("/etc/systemd/system/nsd.service.d").exists()
    booted.drop_out()
    booted.remove(booted.settings)
    if changed:
        booted.run("systemctl", "stop", "nsd.service")
    booted.run("systemctl", "reset-failed", "nsd.service", "nsd.socket", check=False)
    booted.run("systemctl", "start", "nsd.socket", "nsd.service")
    for words in (["del"], ["link", "del"]):
        for name in names(booted, words[0]):
            booted.run("nsc", *words, name, "--wait", check=False)  # it may go with what was deleted before
    wait_for(lambda: not names(booted, "del") and not names(booted, "link"), "nothing is left of earlier tests")
    yield booted


def names(machine, kind):
    method, key = ("ListLinks", "links") if kind == "link" else ("ListNamespaces", "namespaces")
    lines = machine.nsc("call", method, '{"foreign":false}', "--more")
    return [one["name"] for line in lines.splitlines() for one in json.loads(line)[key]]
