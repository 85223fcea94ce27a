# SPDX-License-Identifier: GPL-2.0-or-later
import collections
import os
import subprocess

import pytest

from fake import Fake

NSC = os.environ["NSC_BINARY"]


class Nsc:
    """Runs nsc against the stand-in."""

    def __init__(self, socket):
        self.socket = socket

    def __call__(self, *words, environment=None, timeout=20, **named):
        named.setdefault("stdin", subprocess.DEVNULL)
        if "input" in named:
            del named["stdin"]
        return subprocess.run([NSC, *words], capture_output=True, text=True, errors="surrogateescape", check=False,
                              timeout=timeout, env={**os.environ, "NSD_SOCKET": self.socket, **(environment or {})},
                              **named)

    def ok(self, *words, **named):
        """Standard output of a run that must succeed and say nothing on standard error."""
        result = self(*words, **named)
        assert (result.returncode, result.stderr) == (0, ""), result
        return result.stdout

    def fails(self, status, *words, **named):
        """The one line on standard error of a run that must end with this status."""
        result = self(*words, **named)
        assert result.returncode == status, result
        lines = result.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("nsc: "), result
        return lines[0].removeprefix("nsc: ")


@pytest.fixture
def fake(tmp_path):
    server = Fake(tmp_path / "socket")
    yield server
    server.close()


@pytest.fixture
def nsc(fake):
    return Nsc(fake.path)


Namespace = collections.namedtuple("Namespace", "fd inode")


@pytest.fixture
def namespace():
    """A network namespace with an interface "inside": a descriptor of it, and its inode as readlink shows it."""
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link add inside type veth peer name other && echo up && exec sleep 100"],
                          stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "up\n"
        path = f"/proc/{holder.pid}/ns/net"
        fd = os.open(path, os.O_RDONLY)
        yield Namespace(fd, os.readlink(path))
        os.close(fd)
        holder.kill()


@pytest.fixture
def etc():
    """/etc over a scratch copy, with /etc/netns/x in it."""
    made = subprocess.run("""set -e
        mkdir -p /tmp/nsc-etc.$$/up /tmp/nsc-etc.$$/work
        mount -t tmpfs none /tmp/nsc-etc.$$
        mkdir /tmp/nsc-etc.$$/up /tmp/nsc-etc.$$/work
        mount -t overlay -o lowerdir=/etc,upperdir=/tmp/nsc-etc.$$/up,workdir=/tmp/nsc-etc.$$/work none /etc
        mkdir -p /etc/netns/x; echo /tmp/nsc-etc.$$""", shell=True, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip("no overlay here: " + made.stderr.strip())
    yield "/etc/netns/x/"
    scratch = made.stdout.strip()
    subprocess.run(["umount", "/etc"], check=True)
    subprocess.run(["umount", scratch], check=True)
    os.rmdir(scratch + "/up")
    os.rmdir(scratch + "/work")
    os.rmdir(scratch)
