# SPDX-License-Identifier: GPL-2.0-or-later
"""One nsd under measurement: start, kill, ask."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time


class Daemon:
    """nsd as in production: its state on the disk, its names and its socket under /run."""

    def __init__(self, program, directory):
        self.program, self.state = program, os.path.join(directory, "state")
        self.socket = "/run/nsd/io.nsd.Manager"
        self.log = os.path.join(directory, "nsd.log")
        self.process = None
        os.makedirs(directory, exist_ok=True)
        shutil.rmtree(self.state, ignore_errors=True)

    def spawn(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [self.program, "--state-directory", self.state, "--runtime-directory", os.path.dirname(self.socket),
                 "--log-level", "notice"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self):
        self.spawn()
        self.wait_ready()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.process = None

    def want(self, running):
        if running and not self.process:
            self.start()
            for _ in range(20):  # the first answers of a process are slower
                self.status()
        if not running and self.process:
            self.stop()

    def stream(self, method, parameters, more):
        """One call on a connection of its own; yields the parameters of each answer."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.socket)
            s.sendall(json.dumps({"method": method, "parameters": parameters, "more": more}).encode() + b"\0")
            data, reply = b"", {"continues": True}
            while reply.get("continues"):
                while b"\0" not in data:
                    part = s.recv(1 << 18)
                    if not part:
                        raise ConnectionError("nsd closed the connection")
                    data += part
                text, data = data.split(b"\0", 1)
                reply = json.loads(text)
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}: {reply.get('parameters')}")
                yield reply.get("parameters", {})

    def call(self, method, **parameters):
        return list(self.stream(method, parameters, False))[-1]

    def status(self):
        return self.call("io.nsd.Manager.GetStatus")

    def names(self):
        return [n["name"] for answer in self.stream("io.nsd.Manager.ListNamespaces", {"foreign": False}, True)
                for n in answer["namespaces"]]

    def first_status(self, patience=30):
        """GetStatus, tried until somebody answers."""
        end = time.monotonic() + patience
        while True:
            try:
                return self.status()
            except (FileNotFoundError, ConnectionError):
                if self.process.poll() is not None:
                    raise RuntimeError(f"nsd ended with status {self.process.returncode}; see {self.log}") from None
                if time.monotonic() > end:
                    raise
                time.sleep(0.0005)

    def wait_ready(self, patience=60):
        end = time.monotonic() + patience
        status = self.first_status()
        while not status["ready"]:
            if time.monotonic() > end:
                raise RuntimeError(f"not reconciled after {patience} s: {status}")
            time.sleep(0.005)
            status = self.status()
        return status

    def wait_count(self, namespaces, patience=60):
        """Until nsd has that many namespaces and none on its way out."""
        end = time.monotonic() + patience
        status = self.status()
        while status["namespaces"] != namespaces or status["draining"]:
            if time.monotonic() > end:
                raise RuntimeError(f"still {status['namespaces']} namespaces, {status['draining']} draining; "
                                   f"expected {namespaces}")
            time.sleep(0.02)
            status = self.status()
