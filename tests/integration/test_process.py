# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes: who is in a namespace, in which namespace a process is, and names for namespaces of running processes."""
import os
import signal

import pytest

from nsdtest import kernel, poll, sandbox
from nsdtest.monitor import Watch
from nsdtest.varlink import Error, expect


@pytest.fixture
def child(host):
    """A process in a namespace of its own."""
    return host.process_in_new_netns()


def attach(client, how, child, name="kod", **named):
    """Attaches by each of the three ways."""
    if how == "pid":
        return client.call("AttachNamespace", name=name, pid=child.pid, **named)
    fd = os.pidfd_open(child.pid) if how == "pidfd" else os.open(f"/proc/{child.pid}/ns/net", os.O_RDONLY)
    field = "pidFileDescriptor" if how == "pidfd" else "namespaceFileDescriptor"
    try:
        return client.call("AttachNamespace", {"name": name, field: 0, **named}, fds=[fd])
    finally:
        os.close(fd)


def inside(host, name):
    """A process in the named namespace."""
    child = host.popen("nsenter", f"--net=/run/netns/{name}", "sleep", "1000")
    poll.until(lambda: os.stat(f"/proc/{child.pid}/ns/net").st_ino == os.stat(f"/run/netns/{name}").st_ino, "inside")
    poll.until(lambda: open(f"/proc/{child.pid}/cmdline", "rb").read().startswith(b"sleep"), "it sleeps")
    return child


@pytest.mark.parametrize("how", ["pid", "pidfd", "fd"])
def test_attach(nsd, client, child, how):
    item = attach(client, how, child, labels={"who": "test"})["namespace"]
    assert item["attached"] is True and item["state"] == "ready" and item["labels"] == {"who": "test"}
    assert item["cookie"] == sandbox.cookie(f"/proc/{child.pid}/ns/net")
    assert os.stat("/run/netns/kod").st_ino == os.stat(f"/proc/{child.pid}/ns/net").st_ino
    assert kernel.nsfs_mounts() == ["/run/netns/kod"]
    if how != "fd":
        assert item["pid"] == child.pid and item["pidRunning"] is True
    assert nsd.recorded() == [("namespace", "kod")]
    assert kernel.ip("netns", "exec", "kod", "true").returncode == 0


@pytest.mark.parametrize("how", ["pid", "pidfd", "fd"])
def test_detach_harms_nobody(client, child, how):
    attach(client, how, child)
    client.call("DetachNamespace", name="kod")
    assert kernel.netns_files() == [] and kernel.nsfs_mounts() == []
    assert child.poll() is None
    assert sandbox.cookie(f"/proc/{child.pid}/ns/net") != sandbox.cookie()
    error = expect("NotFound", client.call, "DetachNamespace", name="kod")
    assert "kod" in error.parameters["message"]


@pytest.mark.parametrize("how", ["pid", "pidfd"])
def test_name_does_not_dangle(nsd, client, child, how):
    """When the process ends the name still leads to its namespace, and says that the process has ended."""
    attach(client, how, child)
    cookie = sandbox.cookie("/run/netns/kod")
    with Watch(nsd) as watch:
        child.kill()
        child.wait()
        item = poll.until(lambda: (lambda found: found if found["pidRunning"] is False else None)(
            client.namespaces()["kod"]), "it says so")
        assert item["state"] == "ready" and str(child.pid) in item["message"]
        assert watch.until("changed", "namespace", "kod")["pidRunning"] is False
    assert sandbox.cookie("/run/netns/kod") == cookie
    assert kernel.ip("netns", "exec", "kod", "true").returncode == 0
    client.call("DetachNamespace", name="kod")
    assert kernel.netns_files() == []


def test_delete_of_an_attached_one(client, child):
    """It is somebody else's: the name goes away, the process keeps its namespace."""
    attach(client, "pid", child)
    try:
        client.call("DeleteNamespace", name="kod")
    except Error as error:
        assert error.short in ("InvalidValue", "NotSupported", "Foreign")
        assert kernel.netns_files() == ["kod"]
    assert child.poll() is None


def test_attach_over_a_restart(nsd, client, child):
    attach(client, "pid", child)
    nsd.restart(kill=True)
    with nsd.client() as again:
        item = again.call("GetNamespace", name="kod")["namespace"]
        assert item["attached"] and item["pidRunning"] is True and item["state"] == "ready"
        child.kill()
        child.wait()
        poll.until(lambda: again.namespaces()["kod"]["pidRunning"] is False, "seen after a restart too")
    nsd.restart()
    with nsd.client() as again:
        assert again.namespaces()["kod"]["pidRunning"] is False


def test_attach_the_hosts_own(client, host):
    """A name for the host's own namespace would let a delete reach into it: refused, or at least harmless."""
    before = kernel.links()
    try:
        attach(client, "pid", host.popen("sleep", "1000"), name="host")
        client.call("DetachNamespace", name="host")
    except Error as error:
        assert error.short in ("InvalidValue", "NotSupported", "NameTaken", "AlreadyExists")
    assert kernel.links() == before


def test_attach_what_has_a_name_already(nsd, client, host, child):
    attach(client, "pid", child)
    try:
        attach(client, "pid", child, name="second")
        client.call("DetachNamespace", name="second")
    except Error as error:
        assert error.short == "AlreadyExists" and "kod" in error.parameters["message"]
    assert kernel.netns_files() == ["kod"]
    expect("AlreadyExists", attach, client, "pid", host.process_in_new_netns(), name="kod")


def test_attach_onto_a_foreign_name(client, host, child):
    host.add_foreign_netns("theirs")
    cookie = sandbox.cookie("/run/netns/theirs")
    error = expect("NameTaken", attach, client, "pid", child, name="theirs")
    assert error.field == "name"
    assert sandbox.cookie("/run/netns/theirs") == cookie


def test_attach_a_dead_process(client, child):
    fd = os.pidfd_open(child.pid)
    child.kill()
    child.wait()
    for parameters, fds in (({"pid": child.pid}, []), ({"pidFileDescriptor": 0}, [fd])):
        error = expect("NoSuchProcess", client.call, "AttachNamespace", {"name": "kod", **parameters}, fds=fds)
        assert error.field in parameters
    os.close(fd)
    assert kernel.netns_files() == []


def test_attach_a_zombie(client, child):
    """It has no namespace any more."""
    os.kill(child.pid, signal.SIGKILL)
    poll.until(lambda: open(f"/proc/{child.pid}/stat", encoding="ascii").read().split()[2] == "Z", "a zombie")
    expect("NoSuchProcess", client.call, "AttachNamespace", name="kod", pid=child.pid)
    child.wait()


@pytest.mark.parametrize("what", ["file", "socket", "uts", "directory"])
def test_attach_something_else(client, what):
    import socket
    fd = {"file": lambda: os.open("/etc/passwd", os.O_RDONLY), "directory": lambda: os.open("/", os.O_RDONLY),
          "uts": lambda: os.open("/proc/self/ns/uts", os.O_RDONLY), "socket": lambda: socket.socket().detach()}[what]()
    for field in ("namespaceFileDescriptor", "pidFileDescriptor"):
        error = expect("InvalidValue", client.call, "AttachNamespace", {"name": "kod", field: 0}, fds=[fd])
        assert error.field == field
    os.close(fd)
    assert kernel.netns_files() == []


def test_namespace_dies_with_its_name_after_its_process(nsd, client, child, host):
    attach(client, "pid", child)
    child.kill()
    child.wait()
    nsd.restart()
    with nsd.client() as again:
        again.call("DetachNamespace", name="kod")
    assert host.snapshot() == host.base


def processes(client, name):
    return {item["pid"]: item["command"] for item in client.list("ListProcesses", "processes", name=name)}


def test_processes(client, host):
    client.call("CreateNamespace", name="busy")
    assert processes(client, "busy") == {}
    children = [inside(host, "busy") for _ in range(3)]
    assert processes(client, "busy") == {child.pid: "sleep" for child in children}
    assert sorted(int(pid) for pid in kernel.ip("netns", "pids", "busy").stdout.split()) == sorted(
        child.pid for child in children)
    children[0].kill()
    children[0].wait()
    assert set(processes(client, "busy")) == {child.pid for child in children[1:]}


def test_processes_of_foreign_and_attached(client, host, child):
    attach(client, "pid", child)
    assert set(processes(client, "kod")) == {child.pid}
    host.add_foreign_netns("theirs")
    stranger = inside(host, "theirs")
    poll.until(lambda: "theirs" in client.namespaces(), "known")
    assert set(processes(client, "theirs")) == {stranger.pid}
    expect("NotFound", client.list, "ListProcesses", "processes", name="absent")


def test_many_processes(client, host):
    client.call("CreateNamespace", name="busy")
    children = [host.popen("nsenter", "--net=/run/netns/busy", "sleep", "1000") for _ in range(40)]
    inode = os.stat("/run/netns/busy").st_ino
    poll.until(lambda: all(os.stat(f"/proc/{child.pid}/ns/net").st_ino == inode for child in children), "all inside")
    assert set(processes(client, "busy")) == {child.pid for child in children}


def test_odd_command_names_are_valid_json(client, host):
    client.call("CreateNamespace", name="busy")
    odd = "/run/test/q\"u\\o\n"
    os.symlink("/bin/sleep", odd)
    child = host.popen("nsenter", "--net=/run/netns/busy", odd, "1000")
    poll.until(lambda: child.pid in processes(client, "busy") and
               processes(client, "busy")[child.pid] not in ("nsenter", "python3"), "it runs")
    raw = os.fsencode("/run/test/") + b"\xff\xfe"
    os.symlink("/bin/sleep", raw)
    import subprocess
    host.children.append(subprocess.Popen([b"nsenter", b"--net=/run/netns/busy", raw, b"1000"]))
    poll.until(lambda: len(processes(client, "busy")) == 2, "both are listed")


def test_identify(client, host, child):
    client.call("CreateNamespace", name="own")
    host.add_foreign_netns("theirs")
    attach(client, "pid", child)
    poll.until(lambda: "theirs" in client.namespaces(), "known")
    identify = lambda pid: client.call("IdentifyProcess", pid=pid)["names"]
    assert identify(inside(host, "own").pid) == ["own"]
    assert identify(inside(host, "theirs").pid) == ["theirs"]
    assert identify(child.pid) == ["kod"]
    assert identify(os.getpid()) == []
    assert client.call("IdentifyProcess")["names"] == [], "the caller"
    fd = os.pidfd_open(child.pid)
    assert client.call("IdentifyProcess", {"pidFileDescriptor": 0}, fds=[fd])["names"] == ["kod"]
    os.close(fd)
    child.kill()
    child.wait()
    expect("NoSuchProcess", client.call, "IdentifyProcess", pid=child.pid)


def test_identify_several_names(client, host):
    client.call("CreateNamespace", name="one")
    child = inside(host, "one")
    kernel.ip("netns", "attach", "alias", child.pid)
    poll.until(lambda: "alias" in client.namespaces(), "known")
    assert sorted(client.call("IdentifyProcess", pid=child.pid)["names"]) == ["alias", "one"]
    kernel.ip("netns", "del", "alias")
    assert kernel.netns_files() == ["one"]


def test_identify_the_caller_inside(nsd, client, host):
    """The caller's own namespace, by its credentials on the socket."""
    client.call("CreateNamespace", name="own")
    script = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
              "s.sendall(b'{\"method\":\"io.nsd.Manager.IdentifyProcess\"}\\0'); print(s.recv(4096))")
    output = kernel.run("/usr/bin/python3", "-c", script, nsd.socket, netns="own").stdout
    assert '["own"]' in output


def test_pids_are_those_the_caller_sees(client, host):
    """In these tests all share a PID namespace; the numbers must be those of /proc here."""
    client.call("CreateNamespace", name="busy")
    child = inside(host, "busy")
    assert os.path.exists(f"/proc/{child.pid}") and set(processes(client, "busy")) == {child.pid}


def test_attached_with_a_link(client, child):
    """A name that a link of nsd's depends on is not taken away; afterwards only what is theirs is in there."""
    attach(client, "pid", child)
    with sandbox.inside(f"/proc/{child.pid}/ns/net"):
        kernel.ip("link", "add", "theirs", "type", "bridge")
    client.call("CreateLink", ends=[{"interface": "v0"}, {"namespace": "kod", "interface": "eth0"}])
    error = expect("Busy", client.call, "DetachNamespace", name="kod")
    assert "v0" in error.parameters["message"]
    client.call("DeleteLink", name="v0", wait=True)
    client.call("DetachNamespace", name="kod")
    with sandbox.inside(f"/proc/{child.pid}/ns/net"):
        assert sorted(kernel.links()) == ["lo", "theirs"]
    assert "v0" not in kernel.links()
