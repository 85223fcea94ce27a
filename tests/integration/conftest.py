# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: every test has a host of its own (namespaces), and nothing may be left in it when the test is over."""
import os

import pytest

pytest.register_assert_rewrite("nsdtest")

from nsdtest import features, sandbox  # noqa: E402 (after the line above)
from nsdtest.host import Host  # noqa: E402
from nsdtest.varlink import Client  # noqa: E402

INTERFACES = ("io.nsd.Manager", "io.systemd.service", "org.varlink.service")


def pytest_configure(config):
    if os.environ.get("NSD_TEST_ISOLATED") != "1" or os.getuid() != 0:
        raise pytest.UsageError("run these tests by tests/integration/run, which isolates them from this machine")
    config.addinivalue_line("markers", "slow: every point instead of a sample (make check-crash)")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{report.when}", report)
    if report.skipped and not hasattr(report, "wasxfail") and "the kernel lacks" not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped for a reason other than a missing feature of the kernel: {report.longrepr}"
    host = getattr(item, "host", None)
    if report.failed and host:
        for daemon in host.daemons:
            report.sections.append((f"log of {daemon.directory.name}", getattr(daemon, "last_log", daemon.log_tail())))


def pytest_terminal_summary(terminalreporter):
    count = lambda outcome: len(terminalreporter.stats.get(outcome, []))
    terminalreporter.write_sep("=", "counts")
    terminalreporter.write_line(f"passed {count('passed')}, failed {count('failed')}, errors {count('error')}, "
                                f"not supported by this kernel {count('skipped')}")
    for feature, number in sorted(features.missing.items()):
        terminalreporter.write_line(f"  the kernel lacks {feature}: {number}")


@pytest.fixture(autouse=True)
def host(request):
    """The sandbox, and the leak check of every test. After a failure nothing more is checked."""
    with sandbox.fresh():
        host = Host()
        request.node.host = host
        try:
            yield host
            called = getattr(request.node, "report_call", None)
            setup = getattr(request.node, "report_setup", None)
            if called and called.passed and setup.passed:
                host.finish()
        finally:
            for daemon in host.daemons:
                daemon.last_log = daemon.log_tail()
            host.abandon()


@pytest.fixture
def nsd(host):
    """A running daemon in this test's host."""
    daemon = host.daemon("nsd").start()
    if not Client.descriptions:
        with daemon.client() as client:
            client.learn(*INTERFACES)
    return daemon


@pytest.fixture
def client(nsd):
    """A connection to it."""
    with nsd.client() as client:
        yield client


@pytest.fixture
def nsc(host, nsd):
    """The command line client, talking to it."""
    return host.nsc(nsd)
