# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs of docs/examples, as they stand in the how-to: each takes a slot, enters it and gives it back."""
import os
import pathlib
import re
import shlex
import signal

import pytest

from nsdtest import kernel, poll
from nsdtest.features import require_kernel

# Each setns(2) takes half a minute, so that a program is caught with its slot.
SLOWLY = ["strace", "-f", "-qq", "-e", "trace=setns", "-e", "inject=setns:delay_enter=30000000"]
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent / "docs/examples"


def build_c(host):
    flags = shlex.split(kernel.run("pkg-config", "--cflags", "--libs", "json-c").stdout)
    program = host.path("acquire-c")
    kernel.run("gcc", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE / "acquire.c", *flags)
    return program


def build_go(host):
    """Offline, with Debian's packages as they are installed."""
    environment = {**os.environ, "GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": "", "GOPROXY": "off",
                   "GOCACHE": str(host.path("gocache")), "CGO_ENABLED": "0", "HOME": str(host.path("home"))}
    program = host.path("acquire-go")
    kernel.run("go", "build", "-o", program, SOURCE / "acquire.go", env=environment, timeout=120)
    return program


def find_python(_):
    return SOURCE / "acquire.py"


@pytest.fixture(params=[build_c, build_go, find_python], ids=["c", "go", "python"])
def program(host, request):
    return request.param(host)


@pytest.fixture
def network(client):
    """A network of both families, whose slots are all gone at the end."""
    require_kernel("veth", "ipv6")
    client.call("CreateNetwork", name="jobs", ipv4="10.64.0.0/24", ipv6="fd00:64::/120", ready=2)
    yield "jobs"
    client.call("DeleteNetwork", name="jobs", force=True, wait=True)


def leased(client):
    return {slot["name"]: slot for slot in client.list("ListSlots", "slots") if slot["state"] == "leased"}


def run(nsd, program, *words, check=True):
    return kernel.run(program, *words, check=check, env={**os.environ, "NSD_SOCKET": str(nsd.socket)})


def test_acquire(nsd, client, network, program):
    lines = run(nsd, program, network, "job-42").stdout.splitlines()
    name, how = re.fullmatch(r"(jobs\.\d+): (.*), generation \d+", lines[0]).groups()
    assert how == "acquired" and lines[-1] == f"{name}: released"
    inside = [line.removeprefix("inside: eth0 ") for line in lines[1:-1]]
    assert [address for address in inside if address.startswith("10.64.0.")]
    assert [address for address in inside if address.startswith("fd00:64::")]
    assert leased(client) == {}


def test_key_that_is_held(nsd, client, network, program):
    """The same slot, and released it is."""
    slot = client.call("AcquireSlot", network=network, key="job-42", bond="nothing")["slot"]
    lines = run(nsd, program, network, "job-42").stdout.splitlines()
    assert lines[0] == f"{slot['name']}: had it already, generation {slot['generation']}"
    assert f"inside: eth0 {slot['address4']}" in lines
    assert leased(client) == {}


def test_holder_that_is_killed(nsd, client, host, network, program):
    """Whatever happens to the program, nsd takes the slot back."""
    child = host.popen(*SLOWLY, program, network, "job-42", env={**os.environ, "NSD_SOCKET": str(nsd.socket)},
                       start_new_session=True)
    poll.until(lambda: leased(client), "the program holds a slot")
    os.killpg(child.pid, signal.SIGKILL)
    poll.equal(lambda: leased(client), {}, "leases")


def test_network_that_is_not_there(nsd, program):
    result = run(nsd, program, "absent", "job-42", check=False)
    assert result.returncode == 1 and "io.nsd.Manager.NotFound" in result.stderr and "absent" in result.stderr
