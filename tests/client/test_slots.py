# SPDX-License-Identifier: GPL-2.0-or-later
"""nsc slot run and exec: the command is really inside, sees the slot's resolv.conf, and the slot is given back whatever
ends whom."""
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import NSC
from fake import Close, Error, Fake, WithFd

pytestmark = pytest.mark.skipif("NSC_TEST_ISOLATED" not in os.environ, reason="needs namespaces")

SLOT = {"name": "web.17", "network": "web", "state": "leased", "generation": 99, "address4": "10.64.0.35"}
ACQUIRED = ("AcquireSlot", {"network": "web", "bond": "connection", "open": True})
RELEASED = ("ReleaseSlot", {"name": "web.17", "generation": 99})


def offer(fake, inside, **slot):
    """The stand-in hands the namespace out as a slot."""
    reply = {"slot": {**SLOT, **slot}, "created": True, "fileDescriptor": 0}
    fake.on("AcquireSlot", lambda call: WithFd(reply, inside.fd)).on("OpenSlot", lambda call: WithFd(reply, inside.fd))


@pytest.fixture
def inside(fake, namespace):
    offer(fake, namespace)
    return namespace.inode


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running(fake, *command, **named):
    """`nsc slot run web` in the background, its command started: the first line it prints is awaited. Closing the standard
    input of both may be the sign to end."""
    process = subprocess.Popen([NSC, "--socket", fake.path, "slot", "run", "web", "--", *command], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, **named)
    assert process.stdout.readline() != ""
    return process


UNTIL_TOLD = "echo up; read x; exit 4"


# run

def test_run(nsc, fake, inside):
    assert nsc.ok("slot", "run", "web", "--", "readlink", "/proc/self/ns/net").strip() == inside
    assert fake.asked() == [ACQUIRED, RELEASED]
    assert inside != os.readlink("/proc/self/ns/net")


def test_run_options(nsc, fake, inside):
    words = "--key job-1 --empty fail --send 10mbit --publish tcp/80 --label a=b --netns box"
    assert nsc.ok("slot", "run", "web", *words.split(), "echo", "--key", "x") == "--key x\n"
    assert fake.asked()[0] == ("AcquireSlot", {
        "network": "web", "bond": "connection", "open": True, "key": "job-1", "empty": "fail", "namespace": "box",
        "rate": {"send": 10000000}, "publish": [{"protocol": "tcp", "port": 80}], "labels": {"a": "b"}})


def test_run_shell(nsc, inside):
    result = nsc("slot", "run", "web", "--", input="readlink /proc/self/ns/net; exit 7\n", environment={"SHELL": "/bin/sh"})
    assert (result.stdout.strip(), result.returncode) == (inside, 7)


def test_run_on_one_connection(nsc, fake, inside):
    """The lease is bound to the connection that acquired it: everything goes over that."""
    accepted = []
    serve = fake.serve
    fake.serve = lambda connection: (accepted.append(connection), serve(connection))
    nsc.ok("slot", "run", "web", "true")
    assert len(fake.calls) == 2 and len(accepted) == 1


@pytest.mark.parametrize("status", [0, 1, 42, 125, 255])
def test_run_status(nsc, fake, inside, status):
    assert nsc("slot", "run", "web", "sh", "-c", f"exit {status}").returncode == status
    assert fake.asked()[-1] == RELEASED


def test_run_status_of_a_signal(nsc, fake, inside):
    assert nsc("slot", "run", "web", "sh", "-c", "kill -9 $$").returncode == 128 + signal.SIGKILL
    assert fake.asked()[-1] == RELEASED


def test_run_command_that_is_not_there(nsc, fake, inside, tmp_path):
    path = {"PATH": "/usr/bin:/bin"}
    assert "no-such-command" in nsc.fails(127, "slot", "run", "web", "no-such-command", environment=path)
    plain = tmp_path / "plain"
    plain.write_text("", encoding="utf-8")
    assert "Permission denied" in nsc.fails(126, "slot", "run", "web", str(plain))
    assert fake.asked() == [ACQUIRED, RELEASED] * 2


def test_run_nothing_to_be_had(nsc, fake):
    fake.on("AcquireSlot", Error("LimitExceeded", message="network web has no slot ready"))
    assert "no slot ready" in nsc.fails(125, "slot", "run", "web", "--empty", "fail", "true")
    assert [method for method, _ in fake.asked()] == ["AcquireSlot"]
    fake.on("AcquireSlot", {"slot": SLOT, "created": True})
    assert "no file descriptor" in nsc.fails(125, "slot", "run", "web", "true")


def test_run_descriptor_of_something_else(nsc, fake):
    fd = os.open("/proc/self/ns/uts", os.O_RDONLY)
    fake.on("AcquireSlot", WithFd({"slot": SLOT, "fileDescriptor": 0}, fd))
    assert "cannot enter namespace web.17" in nsc.fails(125, "slot", "run", "web", "true")
    assert fake.asked()[-1] == RELEASED
    os.close(fd)


@pytest.mark.parametrize("number", ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2"])
def test_run_passes_signals_on(fake, inside, number):
    script = f"trap 'echo got; exit 3' {number}; echo up; while :; do sleep 0.05; done"
    with running(fake, "sh", "-c", script) as process:
        process.send_signal(signal.Signals["SIG" + number])
        assert process.stdout.read() == "got\n" and process.wait(10) == 3
    until(lambda: fake.asked()[-1] == RELEASED)


def test_run_signals_of_the_terminal_come_once(fake, inside):
    """Ctrl-C reaches the command by itself."""
    parent, child = os.openpty()
    script = 'trap "n=x$n" INT; echo up; while [ ! "$n" ]; do sleep 0.1; done; sleep 0.5; echo "got $n"'
    process = subprocess.Popen([NSC, "--socket", fake.path, "slot", "run", "web", "--", "sh", "-c", script], stdin=child,
                               stdout=child, stderr=child, start_new_session=True,
                               preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0))
    os.close(child)
    data = b""
    while b"up" not in data:
        data += os.read(parent, 1000)
    os.write(parent, b"\x03")
    assert process.wait(10) == 0
    data += os.read(parent, 1000)
    assert b"got x\r\n" in data
    os.close(parent)


def test_run_killed(fake, inside):
    """The connection ends, and with it the lease; the command is told."""
    gone = threading.Event()
    serve = fake.serve

    def serve_and_tell(connection):
        serve(connection)
        gone.set()
    fake.serve = serve_and_tell
    with running(fake, "sh", "-c", "trap 'echo end; exit' TERM; echo up; while :; do sleep 0.05; done") as process:
        process.kill()
        assert process.wait(10) == -signal.SIGKILL
        assert process.stdout.read() == "end\n"
    assert gone.wait(10)
    assert fake.asked() == [ACQUIRED]


def test_run_inherits_nothing(nsc, inside):
    assert nsc.ok("slot", "run", "web", "sh", "-c", "ls /proc/$$/fd").split() == ["0", "1", "2"]
    assert re.search(r"^SigBlk:\t0+$", nsc.ok("slot", "run", "web", "cat", "/proc/self/status"), re.M)


def test_run_does_not_hold_the_slot(fake, inside):
    """Only the command is inside: nsc has no descriptor of the namespace that would keep it from going."""
    with running(fake, "sh", "-c", UNTIL_TOLD) as process:
        held = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.pid}/fd")]
        assert inside not in held
        process.stdin.close()
        assert process.wait(10) == 4


def test_run_when_release_fails(nsc, fake, inside):
    fake.on("ReleaseSlot", Error("StoreError", message="the disk is full"))
    result = nsc("slot", "run", "web", "sh", "-c", "exit 5")
    assert result.returncode == 5 and "warning: web.17 ends with the connection" in result.stderr


# nsd restarts meanwhile

class Restarting(Fake):
    """A stand-in whose connections can be broken."""

    def __init__(self, path):
        self.connections = []
        super().__init__(path)

    def serve(self, connection):
        self.connections.append(connection)
        super().serve(connection)

    def drop(self):
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.connections = []


@pytest.fixture
def restarting(tmp_path, namespace):
    server = Restarting(tmp_path / "restarting")
    offer(server, namespace)
    yield server
    server.close()


RENEWED = ("RenewSlot", {"name": "web.17", "generation": 99})


def test_run_takes_the_lease_up_again(restarting):
    with running(restarting, "sh", "-c", UNTIL_TOLD, stderr=subprocess.PIPE) as process:
        restarting.drop()
        until(lambda: RENEWED in restarting.asked())
        restarting.drop()
        until(lambda: restarting.asked().count(RENEWED) == 2)
        process.stdin.close()
        assert process.wait(10) == 4 and process.stderr.read() == ""
    asked = restarting.asked()
    assert asked[0] == ACQUIRED and asked[-1] == RELEASED
    assert asked[1:-1] == [RENEWED] * len(asked[1:-1])  # once more where the connection broke before the answer


def test_run_tries_until_nsd_is_back(restarting):
    restarting.on("RenewSlot", Close())
    with running(restarting, "sh", "-c", UNTIL_TOLD) as process:
        restarting.drop()
        until(lambda: restarting.asked().count(RENEWED) > 2)
        restarting.on("RenewSlot", {"slot": SLOT})
        tries = restarting.asked().count(RENEWED)
        until(lambda: restarting.asked().count(RENEWED) > tries)
        process.stdin.close()
        assert process.wait(10) == 4
    assert restarting.asked()[-1] == RELEASED


def test_run_says_that_the_lease_is_lost(restarting):
    restarting.on("RenewSlot", Error("StaleGeneration", message="the lease has ended"))
    with running(restarting, "sh", "-c", UNTIL_TOLD, stderr=subprocess.PIPE) as process:
        restarting.drop()
        assert process.stderr.readline() == "nsc: warning: the lease of web.17 has ended: the lease has ended\n"
        process.stdin.close()
        assert process.wait(10) == 4 and process.stderr.read() == ""
    assert restarting.asked() == [ACQUIRED, RENEWED]


# exec

def test_exec(nsc, fake, inside):
    assert nsc.ok("slot", "exec", "web.17", "--", "readlink", "/proc/self/ns/net").strip() == inside
    assert nsc.ok("slot", "exec", "web.17", "ls", "/sys/class/net").split() == ["inside", "lo", "other"]
    assert nsc("slot", "exec", "web.17", "sh", "-c", "exit 9").returncode == 9
    assert fake.asked() == [("OpenSlot", {"name": "web.17"})] * 3


def test_exec_is_the_same_process(fake, inside):
    with subprocess.Popen([NSC, "--socket", fake.path, "slot", "exec", "web.17", "sh", "-c", "echo $$"],
                          stdout=subprocess.PIPE, text=True) as process:
        assert int(process.stdout.readline()) == process.pid


def test_exec_failures(nsc, fake):
    fake.on("OpenSlot", Error("NotFound", message="no slot web.17"))
    assert "no slot web.17" in nsc.fails(125, "slot", "exec", "web.17", "true")


# resolv.conf

@pytest.mark.parametrize("verb", ["run web", "exec web.17"])
def test_resolver(nsc, fake, namespace, etc, verb):
    with open("/etc/resolv.conf", "w", encoding="utf-8") as f:
        f.write("nameserver 192.0.2.1\n")
    offer(fake, namespace, dns=["10.64.0.0", "fd00:64::"])
    words = ["slot", *verb.split(), "--"]
    assert nsc.ok(*words, "cat", "/etc/resolv.conf") == "nameserver 10.64.0.0\nnameserver fd00:64::\n"
    assert nsc.ok(*words, "stat", "-Lc", "%a", "/etc/resolv.conf") == "644\n"
    offer(fake, namespace)
    assert nsc.ok(*words, "cat", "/etc/resolv.conf") == "nameserver 192.0.2.1\n"
    offer(fake, namespace, dns=["10.64.0.0\nsearch evil"])
    assert nsc.ok(*words, "cat", "/etc/resolv.conf") == "nameserver 192.0.2.1\n"
    with open("/etc/resolv.conf", encoding="utf-8") as f:
        assert f.read() == "nameserver 192.0.2.1\n"
    assert "resolver" not in nsc.ok(*words, "cat", "/proc/self/mountinfo").replace(" - tmpfs resolver rw", "", 1)
    assert "resolv.conf" not in os.listdir("/tmp")


def test_resolver_can_be_covered(nsc, fake, namespace, etc, tmp_path):
    """As `ip netns exec` in there would do."""
    (tmp_path / "other").write_text("nameserver 192.0.2.2\n", encoding="utf-8")
    offer(fake, namespace, dns=["10.64.0.0"])
    assert nsc.ok("slot", "run", "web", "sh", "-c", f"mount --bind {tmp_path}/other /etc/resolv.conf && cat /etc/resolv.conf") \
        == "nameserver 192.0.2.2\n"


def test_resolver_through_a_symbolic_link(nsc, fake, namespace, etc, tmp_path):
    (tmp_path / "stub").write_text("nameserver 192.0.2.1\n", encoding="utf-8")
    os.unlink("/etc/resolv.conf")
    os.symlink(tmp_path / "stub", "/etc/resolv.conf")
    offer(fake, namespace, dns=["10.64.0.0"])
    assert nsc.ok("slot", "run", "web", "cat", "/etc/resolv.conf") == "nameserver 10.64.0.0\n"
    assert (tmp_path / "stub").read_text() == "nameserver 192.0.2.1\n"


def test_files_of_the_name_in_etc_netns(nsc, fake, namespace, etc):
    with open(etc + "resolv.conf", "w", encoding="utf-8") as f:
        f.write("nameserver 192.0.2.53\n")
    offer(fake, namespace, dns=["10.64.0.0"], namespace="x")
    assert nsc.ok("slot", "run", "web", "--netns", "x", "cat", "/etc/resolv.conf") == "nameserver 192.0.2.53\n"
    offer(fake, namespace, dns=["10.64.0.0"], namespace="../x")
    assert nsc.ok("slot", "run", "web", "cat", "/etc/resolv.conf") == "nameserver 10.64.0.0\n"
