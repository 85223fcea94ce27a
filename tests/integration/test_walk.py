# SPDX-License-Identifier: GPL-2.0-or-later
"""The walk: what a person does on the first day, by nsc, with the kernel checked by other tools at each step."""
import json
import os
import pty
import select
import signal
import subprocess
import time

import pytest

from nsdtest import kernel, poll, sandbox
from nsdtest.client import NSC
from nsdtest.specs import end, veth


def test_walk(nsd, nsc, client, host):
    """Section by section: create, list, link, ping, exec, attach, delete."""
    # 1. a namespace, listed, its lo up
    nsc.run("add", "nstest")
    assert kernel.ip("netns", "list").stdout.split()[0] == "nstest"
    assert [item["name"] for item in nsc.json("list")["namespaces"]] == ["nstest"]
    assert "nstest" in nsc.run("list").stdout
    assert kernel.is_up("lo", "nstest")

    # 2. a pair, one end in the namespace, addresses, up: in one command and one request
    before = client.call("GetStatus")["requests"]
    nsc.run("link", "add", "veth-a", "10.0.0.1/24", "peer", "veth-b", "netns", "nstest", "10.0.0.2/24")
    assert client.call("GetStatus")["requests"] == before + 2, "that one and this one"
    assert kernel.addresses("veth-a") == {"10.0.0.1/24"} and kernel.is_up("veth-a")
    assert kernel.addresses("veth-b", "nstest") == {"10.0.0.2/24"} and kernel.is_up("veth-b", "nstest")
    assert kernel.pyroute2_links()["veth-a"]["flags"] & 1 and kernel.pyroute2_links("nstest")["veth-b"]["flags"] & 1
    assert "veth-a" in nsc.run("link", "list").stdout

    # 3. ping both ways
    assert nsc.run("exec", "nstest", "ping", "-c", 1, "-W", 2, "10.0.0.1").returncode == 0
    assert kernel.ping("10.0.0.2")

    # 4. commands, with their status
    assert nsc.run("exec", "nstest", "sh", "-c", "exit 42", check=False).returncode == 42
    assert "veth-b" in nsc.run("exec", "nstest", "ip", "-o", "link").stdout

    # 5. a running process's namespace
    child = host.process_in_new_netns()
    nsc.run("attach", "kod", child.pid)
    inside = nsc.run("exec", "kod", "readlink", "/proc/self/ns/net").stdout.strip()
    assert inside == os.readlink(f"/proc/{child.pid}/ns/net")
    listed = {item["name"]: item for item in nsc.json("list")["namespaces"]}
    assert set(listed) == {"nstest", "kod"}
    assert listed["nstest"]["nsid"] == kernel.nsids()["nstest"] is not None
    assert listed["kod"].get("nsid") == kernel.nsids()["kod"]
    nsc.run("detach", "kod")
    assert child.poll() is None and kernel.netns_files() == ["nstest"]

    # 6. gone without a trace, and deleting again says so
    nsc.run("del", "--wait", "nstest")
    assert host.snapshot() == host.base and nsd.recorded() == []
    line = nsc.fails("del", "nstest")
    assert "nstest" in line and "no namespace" in line.lower()


def test_both_names_have_nsids(nsc, client, host):
    """Once each has a number in the host, both show it."""
    child = host.process_in_new_netns()
    nsc.run("add", "nstest", "nsid", 100)
    nsc.run("attach", "kod", child.pid)
    if kernel.nsids()["kod"] is None:
        nsc.run("set", "kod", 101)
    listed = {item["name"]: item.get("nsid") for item in nsc.json("list")["namespaces"]}
    assert listed == kernel.nsids() and listed["nstest"] == 100 and listed["kod"] is not None
    rows = [line.split() for line in nsc.run("list").stdout.splitlines()[1:]]
    assert {row[0]: int(row[3]) for row in rows} == listed


def test_step_by_step(nsc, host):
    nsc.run("add", "nstest")
    nsc.run("link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b", "down")
    assert {"veth-a", "veth-b"} <= set(kernel.links())
    nsc.run("link", "set", "veth-b", "netns", "nstest")
    assert "veth-b" not in kernel.links() and "veth-b" in kernel.links("nstest")
    nsc.run("link", "set", "veth-a", "address", "add", "10.0.0.1/24")
    nsc.run("link", "set", "veth-b", "address", "add", "10.0.0.2/24")
    assert kernel.addresses("veth-b", "nstest") == {"10.0.0.2/24"}
    nsc.run("link", "set", "veth-a", "up")
    nsc.run("link", "set", "veth-b", "up")
    assert kernel.ping("10.0.0.2") and kernel.ping("10.0.0.1", "nstest")


def test_option_leaves_lo_down(nsc):
    nsc.run("add", "quiet", "no-loopback")
    assert not kernel.is_up("lo", "quiet")


def test_exec_passes_the_status(nsc):
    nsc.run("add", "n")
    for status in (0, 1, 2, 42, 255):
        assert nsc.run("exec", "n", "sh", "-c", f"exit {status}", check=False).returncode == status
    assert nsc.run("exec", "n", "sh", "-c", "kill -TERM $$", check=False).returncode in (-signal.SIGTERM, 128 + 15)
    assert nsc.run("exec", "n", "/no/such/command", check=False).returncode == 127
    assert nsc.run("exec", "n", "/etc/passwd", check=False).returncode == 126
    assert nsc.run("exec", "absent", "true", check=False).returncode == 125


def test_exec_is_inside_and_only_there(nsc, host):
    nsc.run("add", "n")
    for kind in ("net", "mnt", "pid", "uts", "ipc", "user", "cgroup"):
        inside = nsc.run("exec", "n", "readlink", f"/proc/self/ns/{kind}").stdout.strip()
        if kind == "net":
            assert inside == f"net:[{os.stat('/run/netns/n').st_ino}]"
        elif kind == "mnt":
            assert inside != os.readlink("/proc/self/ns/mnt"), "its own, for /sys and /etc"
        else:
            assert inside == os.readlink(f"/proc/self/ns/{kind}"), kind
    assert nsc.run("exec", "n", "ls", "/sys/class/net").stdout.split() == ["lo"]
    before = list(kernel.mountinfo())
    nsc.run("exec", "n", "mount", "-t", "tmpfs", "none", "/mnt")
    assert list(kernel.mountinfo()) == before, "what it mounts stays inside"


def test_exec_keeps_the_cgroup_view(nsc):
    """As seen from outside: the same mounts below /sys/fs/cgroup."""
    nsc.run("add", "n")
    outside = kernel.run("sh", "-c", "ls /sys/fs/cgroup").stdout
    assert nsc.run("exec", "n", "ls", "/sys/fs/cgroup").stdout == outside


def test_exec_streams_and_signals(nsd, nsc, host):
    nsc.run("add", "n")
    assert nsc.run("exec", "n", "cat", input="through\n").stdout == "through\n"
    result = nsc.run("exec", "n", "sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    child = host.popen(NSC, "--socket", nsd.socket, "exec", "n", "sleep", "1000")
    poll.until(lambda: os.readlink(f"/proc/{child.pid}/exe").endswith(("sleep", "coreutils")), "nsc has become the command")
    assert os.stat(f"/proc/{child.pid}/ns/net").st_ino == os.stat("/run/netns/n").st_ino
    child.send_signal(signal.SIGTERM)
    assert child.wait(5) in (-signal.SIGTERM, 128 + 15)


def test_exec_leaves_no_descriptor_open(nsc):
    """The command gets the standard streams and nothing of nsc's."""
    nsc.run("add", "n")
    listing = nsc.run("exec", "n", "ls", "/proc/self/fd").stdout.split()
    assert sorted(map(int, listing)) == [0, 1, 2, 3], "3 is the directory that ls reads"


def test_exec_applies_etc_netns(nsc, host):
    """/etc/netns/NAME/* over /etc, as `ip netns exec` does."""
    nsc.run("add", "n")
    sandbox.mount("tmpfs", "/mnt", "tmpfs")
    os.makedirs("/mnt/upper")
    os.makedirs("/mnt/work")
    sandbox.mount("overlay", "/etc", "overlay", data="lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work")
    os.makedirs("/etc/netns/n")
    with open("/etc/netns/n/resolv.conf", "w", encoding="ascii") as f:
        f.write("nameserver 192.0.2.53\n")
    with open("/etc/netns/n/not-in-etc", "w", encoding="ascii") as f:
        f.write("x")
    ours = nsc.run("exec", "n", "cat", "/etc/resolv.conf").stdout
    assert ours == kernel.run("ip", "netns", "exec", "n", "cat", "/etc/resolv.conf").stdout == "nameserver 192.0.2.53\n"
    assert "192.0.2.53" not in kernel.run("cat", "/etc/resolv.conf").stdout


def read_until(fd, wanted, deadline=10):
    """What a terminal shows until `wanted` is in it."""
    shown = b""
    end_time = time.monotonic() + deadline
    while wanted not in shown and time.monotonic() < end_time:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                shown += os.read(fd, 65536)
            except OSError:
                break
    assert wanted in shown, shown
    return shown


def test_interactive_shell(nsd, nsc, host):
    """On a terminal: a shell inside, job control, Ctrl-C, its status."""
    nsc.run("add", "nstest")
    terminal, child_side = pty.openpty()
    child = subprocess.Popen([NSC, "--socket", str(nsd.socket), "exec", "nstest", "bash", "--norc", "-i"],
                             stdin=child_side, stdout=child_side, stderr=child_side, start_new_session=True,
                             preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0))
    host.children.append(child)
    os.close(child_side)
    os.write(terminal, b"echo $((6*7))-answer; ip -o link | wc -l\n")
    shown = read_until(terminal, b"42-answer")
    assert b"no job control" not in shown, shown
    read_until(terminal, b"1\r\n")
    os.write(terminal, b"sleep 1000\n")
    poll.until(lambda: b"sleep" in b" ".join(
        open(f"/proc/{pid}/cmdline", "rb").read() for pid in kernel.processes() if os.path.exists(f"/proc/{pid}/cmdline")),
        "sleep runs")
    os.write(terminal, b"\x03")
    os.write(terminal, b"echo status=$?\n")
    read_until(terminal, b"status=130")
    os.write(terminal, b"exit 7\n")
    assert child.wait(10) == 7
    os.close(terminal)


def test_shell_without_a_command(nsd, nsc):
    """No command: $SHELL, else sh."""
    nsc.run("add", "n")
    result = nsc.run("exec", "n", input="echo $0; exit 3\n", env={**os.environ, "SHELL": "/bin/sh"}, check=False)
    assert result.returncode == 3 and result.stdout.strip().endswith("sh")


def test_attach_dangling_name_says_so(nsc, host):
    child = host.process_in_new_netns()
    nsc.run("attach", "kod", child.pid)
    child.kill()
    child.wait()
    poll.until(lambda: nsc.json("show", "kod")["namespace"]["pidRunning"] is False, "the end of the process is seen")
    assert str(child.pid) in nsc.run("show", "kod").stdout and "ended" in nsc.run("show", "kod").stdout
    assert nsc.run("exec", "kod", "true").returncode == 0
    nsc.run("detach", "kod")


def test_attach_by_file(nsc, host):
    child = host.process_in_new_netns()
    nsc.run("attach", "kod", f"/proc/{child.pid}/ns/net")
    assert nsc.run("identify", child.pid).stdout.strip() == "kod"
    assert nsc.run("pids", "kod").stdout.split() == [str(child.pid)]
    nsc.run("detach", "kod")


def test_pids_and_identify(nsc, host):
    nsc.run("add", "n")
    child = host.popen("nsenter", "--net=/run/netns/n", "sleep", "1000")
    poll.until(lambda: nsc.run("pids", "n").stdout.split() == [str(child.pid)], "listed")
    assert kernel.ip("netns", "pids", "n").stdout.split() == [str(child.pid)]
    assert nsc.run("identify", child.pid).stdout.strip() == "n" == kernel.ip("netns", "identify", child.pid).stdout.strip()
    assert nsc.run("exec", "n", NSC, "--socket", nsc.socket, "identify").stdout.strip() == "n"
    assert nsc.run("identify").stdout.strip() == ""


def test_docker_picture(nsc):
    nsc.run("link", "add", "br0", "type", "bridge", "address", "172.18.0.1/16")
    for name, address in (("c1", "172.18.0.2/16"), ("c2", "172.18.0.3/16")):
        nsc.run("add", name)
        nsc.run("link", "add", f"v{name}", "bridge", "br0", "peer", "eth0", "netns", name, address, "gateway", "172.18.0.1")
    assert nsc.run("exec", "c1", "ping", "-c", 1, "-W", 2, "172.18.0.3").returncode == 0
    assert kernel.routes("c1") == {("default", "172.18.0.1", "eth0", 0)}
    assert kernel.link("vc1")["master"] == "br0"


def test_json_and_tables(nsc):
    nsc.run("add", "a", "label", "team=x")
    nsc.run("link", "add", "v0", "peer", "netns", "a")
    for words, key in ((("list",), "namespaces"), (("link", "list"), "links"), (("show", "a"), "namespace"),
                       (("link", "show", "v0"), "link"), (("status",), "version")):
        assert key in nsc.json(*words), words
        plain = nsc.run(*words).stdout
        assert plain and "\x1b" not in plain, "no colour but on a terminal"
        assert not plain.startswith("{")
    header, row = nsc.run("list").stdout.splitlines()
    assert header.split()[0] == "NAME" and row.split()[0] == "a"
    assert header.index("STATE") == row.index("ready"), "aligned"


def test_call_and_introspect(nsc):
    assert json.loads(nsc.run("call", "io.nsd.Manager.GetStatus").stdout)["ready"] is True
    made = json.loads(nsc.run("call", "CreateNamespace", '{"name":"raw"}').stdout)
    assert made["namespace"]["state"] == "ready" and kernel.netns_files() == ["raw"]
    assert "interface io.nsd.Manager" in nsc.run("introspect", "io.nsd.Manager").stdout
    assert "CreateNamespace" in nsc.run("introspect").stdout


def test_monitor(nsd, nsc, host):
    output = host.path("monitor")
    with open(output, "wb") as log:
        watcher = host.popen(NSC, "--socket", nsd.socket, "--json", "monitor", stdout=log)
    poll.until(lambda: b"synced" in output.read_bytes(), "the snapshot is out at once, though not on a terminal")
    nsc.run("add", "m")
    nsc.run("del", "m")

    def events():
        return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    poll.until(lambda: [item["event"] for item in events()][-1] == "gone", "all is seen")
    assert [item["event"] for item in events()] == ["synced", "created", "ready", "draining", "gone"]
    watcher.send_signal(signal.SIGINT)
    watcher.wait(5)


def test_errors_are_one_line_and_exit_codes_differ(nsd, nsc, host):
    nsc.run("add", "n")
    codes = {}
    for what, words in (("usage", ("add",)), ("bad name", ("add", "../x")), ("exists", ("add", "n")),
                        ("absent", ("del", "absent")), ("unknown verb", ("frobnicate",)),
                        ("unknown word", ("add", "x", "colour", "red"))):
        line = nsc.fails(*words)
        assert line.startswith("nsc:"), line
        codes[what] = nsc.run(*words, check=False).returncode
    assert codes["usage"] == codes["unknown verb"] == codes["unknown word"] == 2
    assert len({codes["usage"], codes["exists"], codes["absent"]}) == 3
    nsd.stop()
    line = nsc.fails("list")
    assert str(nsd.socket) in line
    nsd.start()


def test_socket_from_the_environment(nsd, host):
    environment = {**os.environ, "NSD_SOCKET": str(nsd.socket)}
    assert kernel.run(NSC, "--json", "status", env=environment).stdout.startswith("{")
    environment["NSD_SOCKET"] = "/nowhere"
    assert kernel.run(NSC, "--json", "--socket", nsd.socket, "status", env=environment).stdout.startswith("{")


def test_del_of_several_goes_on_after_a_failure(nsc, host):
    nsc.run("add", "a")
    nsc.run("add", "b")
    assert nsc.run("del", "--wait", "a", "absent", "b", check=False).returncode != 0
    assert kernel.netns_files() == []


def test_set(nsc, client):
    nsc.run("add", "n", "nsid", 33)
    nsc.run("set", "n", "loopback", "down", "label", "a=b", "sysctl", "net.ipv4.ip_forward=1", "nsid", 33)
    assert not kernel.is_up("lo", "n") and kernel.sysctl("net.ipv4.ip_forward", "n") == "1"
    assert kernel.nsids()["n"] == 33
    assert "33" in nsc.fails("set", "n", 34), "the kernel never changes it"
    assert client.call("GetNamespace", name="n")["namespace"]["labels"] == {"a": "b"}


def test_repair(nsc, client):
    nsc.run("add", "n")
    nsc.run("link", "add", "v0", "10.0.0.1/24", "peer", "netns", "n", "10.0.0.2/24")
    kernel.ip("netns", "del", "n")
    poll.until(lambda: client.namespaces()["n"]["state"] == "lost", "seen")
    assert "lost" in nsc.run("list").stdout
    line = nsc.fails("exec", "n", "true", status=125)
    assert "repair" in line
    nsc.run("repair", "n")
    poll.until(lambda: kernel.ping("10.0.0.2"), "its link is made again too")


def test_wait_for_a_held_one(nsc, client, host):
    client.call("CreateNamespace", name="held", links=[veth(end(None, "v0"), end("held"))])
    fd = os.open("/run/netns/held", os.O_RDONLY)
    nsc.run("del", "held")
    assert "draining" in nsc.run("list").stdout
    os.close(fd)
    poll.until(lambda: "held" not in nsc.run("list").stdout, "gone")


def test_broken_pipe(nsd, nsc):
    """`nsc list | head -1` ends without a complaint or a core."""
    for number in range(5):
        nsc.run("add", f"n{number}")
    result = kernel.run("sh", "-c", f"{NSC} --socket {nsd.socket} list | head -1; exit 0")
    assert result.stderr == ""


@pytest.mark.parametrize("shell_word", ["--help", "help", "help exit", "help link add", "--version"])
def test_help(nsc, shell_word):
    assert len(nsc.run(*shell_word.split()).stdout) > 5
