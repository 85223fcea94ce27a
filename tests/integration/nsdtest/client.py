# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs nsc."""
import json
import os
import pathlib
import subprocess

NSC = os.environ.get("NSC_BINARY", str(pathlib.Path(os.environ.get("NSD_BUILD_DIR", ".")) / "nsc"))


class Nsc:
    def __init__(self, socket):
        self.socket = str(socket)

    def run(self, *words, check=True, timeout=90, **named):
        """A CompletedProcess with text output. `check` wants status 0."""
        command = [NSC, "--socket", self.socket, *[str(word) for word in words]]
        named.setdefault("stdin", subprocess.DEVNULL if "input" not in named else None)
        if named["stdin"] is None:
            del named["stdin"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **named)
        assert not check or result.returncode == 0, \
            f"{command[3:]} -> {result.returncode}: {result.stderr or result.stdout}"
        return result

    def json(self, *words):
        return json.loads(self.run("--json", *words).stdout)

    def fails(self, *words, status=None):
        """Runs a command that must fail; its one line of explanation."""
        result = self.run(*words, check=False)
        assert result.returncode != 0, f"{words} succeeded: {result.stdout}"
        assert status is None or result.returncode == status, f"{words} -> {result.returncode}: {result.stderr}"
        lines = result.stderr.strip().splitlines()
        assert len(lines) == 1, f"an error is one line: {result.stderr!r}"
        return lines[0]
