# SPDX-License-Identifier: GPL-2.0-or-later
"""nsc exec: the command is really inside, sees its own /sys and /etc, and is itself in status and signals."""
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import NSC
from fake import WithFd

pytestmark = pytest.mark.skipif("NSC_TEST_ISOLATED" not in os.environ, reason="needs namespaces")


@pytest.fixture
def inside(fake, namespace):
    """A network namespace of which the stand-in hands out descriptors; its inode as readlink shows it."""
    fake.on("OpenNamespace", lambda call: WithFd({"namespace": {"name": "x"}, "fileDescriptor": 0}, namespace.fd))
    return namespace.inode


def test_inside(nsc, fake, inside):
    assert nsc.ok("exec", "x", "readlink", "/proc/self/ns/net").strip() == inside != os.readlink("/proc/self/ns/net")
    assert fake.asked() == [("OpenNamespace", {"name": "x"})]


def test_sys_is_of_the_namespace(nsc, inside):
    assert "inside" in nsc.ok("exec", "x", "ls", "/sys/class/net").split()
    assert "inside" not in os.listdir("/sys/class/net")


def test_mounts_of_the_host_stay_as_they_are(nsc, inside):
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        before = f.read()
    nsc.ok("exec", "x", "true")
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        assert f.read() == before


@pytest.mark.skipif(not os.path.isdir("/sys/fs/cgroup") or not os.listdir("/sys/fs/cgroup"), reason="no cgroups here")
def test_cgroups_stay_visible(nsc, inside):
    assert nsc.ok("exec", "x", "ls", "/sys/fs/cgroup").split() == sorted(os.listdir("/sys/fs/cgroup"))
    inner = nsc.ok("exec", "x", "cat", "/proc/self/mountinfo")
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        points = re.findall(r" (/sys/fs/cgroup\S*) ", f.read())
    visible = re.findall(r" (/sys/fs/cgroup\S*) ", inner)
    assert set(points) == set(visible)


def test_etc_netns(nsc, inside, etc):
    with open(etc + "hostname", "w", encoding="utf-8") as f:
        f.write("of x\n")
    assert nsc.ok("exec", "x", "cat", "/etc/hostname") == "of x\n"
    assert nsc.ok("exec", "y", "cat", "/etc/hostname") != "of x\n"
    with open("/etc/hostname", encoding="utf-8") as f:
        assert f.read() != "of x\n"


def test_etc_netns_file_without_a_namesake(nsc, inside, etc):
    with open(etc + "no-such-file-in-etc", "w", encoding="utf-8"):
        pass
    result = nsc("exec", "x", "echo", "ran")
    assert (result.returncode, result.stdout) == (0, "ran\n")
    assert re.fullmatch(r"nsc: warning: cannot bind \S+ over /etc/no-such-file-in-etc: .*\n", result.stderr)


@pytest.mark.parametrize("status", [0, 1, 2, 42, 125, 255])
def test_exit_status(nsc, inside, status):
    assert nsc("exec", "x", "sh", "-c", f"exit {status}").returncode == status


def test_command_that_is_not_there(nsc, inside, tmp_path):
    path = {"PATH": "/usr/bin:/bin"}  # a directory that cannot be searched would make it "Permission denied"
    assert "no-such-command" in nsc.fails(127, "exec", "x", "no-such-command", environment=path)
    plain = tmp_path / "plain"
    plain.write_text("", encoding="utf-8")
    assert "Permission denied" in nsc.fails(126, "exec", "x", str(plain))


def test_no_descriptor(nsc):
    assert "no file descriptor" in nsc.fails(125, "exec", "x", "true")


def test_descriptor_of_something_else(nsc, fake):
    fd = os.open("/proc/self/ns/uts", os.O_RDONLY)
    fake.on("OpenNamespace", WithFd({"fileDescriptor": 0}, fd))
    assert "cannot enter namespace x" in nsc.fails(125, "exec", "x", "true")
    os.close(fd)


def test_it_is_the_same_process(fake, inside):
    with subprocess.Popen([NSC, "--socket", fake.path, "exec", "x", "sh", "-c", "echo $$; exec sleep 60"],
                          stdout=subprocess.PIPE, text=True) as process:
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM


def test_nothing_is_inherited(nsc, inside):
    """No descriptor of nsc, no blocked or ignored signal."""
    assert nsc.ok("exec", "x", "sh", "-c", "ls /proc/$$/fd").split() == ["0", "1", "2"]
    status = nsc.ok("exec", "x", "cat", "/proc/self/status")
    assert re.search(r"^SigBlk:\t0+$", status, re.M)
    assert re.search(r"^SigIgn:\t(\d+)$", status, re.M).group(1) == \
        re.search(r"^SigIgn:\t(\d+)$", subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True,
                                                      check=True).stdout, re.M).group(1)


def test_arguments_are_untouched(nsc, inside):
    words = ["--json", "-h", "", "a b", "--", "--socket", "x", "\u00e9"]
    assert nsc.ok("exec", "x", "printf", "<%s>", *words) == "".join(f"<{word}>" for word in words)
    assert nsc.ok("exec", "x", "--", "echo", "--", "x") == "-- x\n"


def test_shell(nsc, inside, tmp_path):
    assert nsc("exec", "x", input="readlink /proc/self/ns/net\n", environment={"SHELL": "/bin/sh"}).stdout.strip() == inside
    assert nsc("exec", "x", input="readlink /proc/self/ns/net\n", environment={"SHELL": ""}).stdout.strip() == inside
    assert nsc("exec", "x", "--", input="exit 7\n", environment={"SHELL": "/bin/sh"}).returncode == 7


def test_stops_and_continues(fake, inside):
    with subprocess.Popen([NSC, "--socket", fake.path, "exec", "x", "sleep", "60"]) as process:
        deadline = time.monotonic() + 10
        while os.readlink(f"/proc/{process.pid}/ns/net") != inside and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        os.kill(process.pid, signal.SIGCONT)
        process.kill()
        assert process.wait(10) == -signal.SIGKILL
