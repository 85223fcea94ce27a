# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of one nsd: start, stop, kill, and what it leaves in its store and its file descriptors."""
import collections
import contextlib
import os
import pathlib
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile

from . import kernel, poll
from .varlink import Client

BUILD = pathlib.Path(os.environ.get("NSD_BUILD_DIR", "."))
NSD = os.environ.get("NSD_BINARY", str(BUILD / "nsd"))
SANITIZED = b"__asan_init" in pathlib.Path(NSD).read_bytes()  # whose allocator keeps what was freed: no bound on memory holds
SANITIZER = re.compile(r"(ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|runtime error:)")


class Died(Exception):
    """The daemon ended where it should not."""


class Daemon:
    def __init__(self, directory, options=(), config=None, limits=None, prefix=()):
        """directory: holds state, runtime and log of this daemon. config: text of its nsd.conf. limits: RLIMIT_x ->
        soft limit. prefix: command it runs under."""
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.state = self.directory / "state"
        self.runtime = self.directory / "runtime"
        self.socket = self.runtime / "io.nsd.Manager"
        self.log_path = self.directory / "log"
        self.config = self.directory / "nsd.conf"
        self.config.write_text(config or "", encoding="utf-8")
        self.options, self.limits, self.prefix = list(options), dict(limits or {}), list(prefix)
        self.process = None
        self.base_fds = None

    # Start and end

    def command(self):
        return [*self.prefix, NSD, "--config", str(self.config), "--state-directory", str(self.state),
                "--runtime-directory", str(self.runtime), "--log-level", "debug", *self.options]

    def spawn(self):
        """Starts it without waiting for anything."""
        def apply_limits():
            for limit, value in self.limits.items():
                resource.setrlimit(limit, (value, value))
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("NOTIFY_", "LISTEN_"))}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment, start_new_session=True,
                                            preexec_fn=apply_limits if self.limits else None)
        return self.process

    def start(self, ready=True):
        """Starts it and waits until it answers and, with `ready`, until it has looked at everything it remembers."""
        self.spawn()
        self.wait_answering()
        if ready:
            self.wait_ready()
            if self.base_fds is None:
                self.take_base()
        return self

    def take_base(self):
        """What it holds without objects and clients; the leak check wants that back. Every start comes to the same, when
        its threads are done with what they do at first: then it stays the same for a while."""
        poll.equal(self.connections, 0, "connections of nsd")
        last = []

        def settled():
            last.append(self.fd_kinds())
            return len(last) >= 4 and last[-4:] == [last[-1]] * 4
        poll.until(settled, "nsd has settled", interval=0.002)
        self.base_fds = last[-1]

    def wait_answering(self):
        def answers():
            if not self.running():
                raise Died(f"nsd ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                with self.client() as client:
                    return client.call("GetStatus")
            except (FileNotFoundError, ConnectionRefusedError):
                return None
        return poll.until(answers, f"nsd answers on {self.socket}", interval=0.002)

    def wait_ready(self, deadline=poll.DEADLINE):
        with self.client() as client:
            poll.until(lambda: client.call("GetStatus")["ready"], "nsd has reconciled", deadline)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, expect=0):
        """SIGTERM; the exit status must be `expect`."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(poll.DEADLINE)
        assert status == expect, f"nsd ended with {status}:\n{self.log_tail()}"
        self.check_log()

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def restart(self, kill=False):
        """Stop (or kill -9) and start again on the same state."""
        if kill:
            self.kill9()
        else:
            self.stop()
        return self.start()

    def client(self, **named):
        return Client(self.socket, **named)

    # What it says

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines=40):
        return "\n".join(self.log().splitlines()[-lines:])

    def check_log(self):
        match = SANITIZER.search(self.log())
        assert not match, f"a sanitizer spoke:\n{self.log()[match.start():match.start() + 4000]}"

    # What it holds

    def fd_kinds(self):
        """How many file descriptors of each kind it has: "socket" by family, "net:", "anon_inode:[pidfd]", files."""
        count = {}
        for target in kernel.fds(self.pid).values():
            kind = re.sub(r"\d+", "", target) if target.startswith(("socket:", "net:", "mnt:", "pipe:")) else target
            count[kind] = count.get(kind, 0) + 1
        return count

    def extra_fds(self):
        """How many more of a kind it has than at its start."""
        base = collections.Counter(self.base_fds)
        return dict(collections.Counter(self.fd_kinds()) - base)

    def connections(self):
        return kernel.unix_connections(self.socket)

    def records(self):
        """Every record of the store, read from a copy of the database files (nsd keeps the files themselves locked):
        [(kind, name, generation, record)]."""
        for attempt in range(10):
            try:
                return self.read_copy()
            except sqlite3.DatabaseError:  # copied in the middle of a checkpoint
                if attempt == 9:
                    raise

    def read_copy(self):
        with tempfile.TemporaryDirectory(dir=self.directory) as directory:
            for suffix in ("", "-wal"):
                if (self.state / f"nsd.db{suffix}").exists():
                    shutil.copy(self.state / f"nsd.db{suffix}", directory)
            if not os.listdir(directory):
                return []
            with contextlib.closing(sqlite3.connect(f"{directory}/nsd.db")) as database:
                return database.execute("SELECT kind, name, generation, record FROM record").fetchall()

    def recorded(self, kind=None):
        """Sorted (kind, name) of the records, or the names of one kind."""
        rows = sorted((row[0], row[1]) for row in self.records())
        return [name for row_kind, name in rows if row_kind == kind] if kind else rows
