# SPDX-License-Identifier: GPL-2.0-or-later
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
