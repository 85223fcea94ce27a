# SPDX-License-Identifier: GPL-2.0-or-later
"""Another process that holds a slot. Run as a program it acquires one by a connection of its own, prints the reply and
waits for its standard input to end; what it does then depends on how it ends."""
import json
import os
import pathlib
import subprocess
import sys

from . import poll

FOLDER = pathlib.Path(__file__).parent.parent


class Holder:
    """The process. `slot` is what it got."""

    def __init__(self, host, nsd, uid=0, gid=0, **parameters):
        self.process = host.popen("/usr/bin/python3", "-B", "-m", "nsdtest.holder", nsd.socket, json.dumps(parameters),
                                  cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None, text=True,
                                  user=uid, group=gid)
        line = self.process.stdout.readline()
        assert line, "the holder got no slot"
        self.slot = json.loads(line)["slot"]

    @property
    def pid(self):
        return self.process.pid

    def end(self):
        """In good order."""
        self.process.stdin.close()
        self.process.wait(poll.DEADLINE)
        self.process.stdout.close()

    def kill9(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def close_connection(self):
        """The process goes on without its connection."""
        self.process.stdin.write("close\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "closed\n"


def main():
    from .varlink import Client  # pylint: disable=import-outside-toplevel
    client = Client(sys.argv[1])
    print(json.dumps(client.call("AcquireSlot", json.loads(sys.argv[2]))), flush=True)
    for _ in sys.stdin:
        client.close()
        print("closed", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
