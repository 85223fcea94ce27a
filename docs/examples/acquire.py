#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes a slot of nsd, shows its addresses from inside, gives it back. Plain sockets, nothing of nsd's.

    acquire.py NETWORK KEY

The lease is bound to the connection: whatever happens to this program, nsd takes the slot back."""
import ctypes
import json
import os
import socket
import subprocess
import sys

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Error(Exception):
    """An error reply. Programs go by its name, people read the message."""

    def __init__(self, name, parameters):
        super().__init__(f"{name}: {parameters.get('message', parameters)}")
        self.name = name


class Nsd:
    """One connection: a call at a time, so that a descriptor always belongs to the reply it comes with."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(os.environ.get("NSD_SOCKET", "/run/nsd/io.nsd.Manager"))

    def call(self, method, **parameters):
        """(parameters of the reply, file descriptors that came with it)"""
        message = {"method": f"io.nsd.Manager.{method}", "parameters": parameters}
        self.socket.sendall(json.dumps(message).encode() + b"\0")
        data, fds = b"", []
        while not data.endswith(b"\0"):
            part, new, _, _ = socket.recv_fds(self.socket, 65536, 4, socket.MSG_CMSG_CLOEXEC)
            if not part:
                raise ConnectionError("nsd closed the connection")
            data += part
            fds += new
        reply = json.loads(data[:-1])
        if "error" in reply:
            raise Error(reply["error"], reply.get("parameters", {}))
        return reply.get("parameters", {}), fds


def setns(fd):
    """Moves this thread into a network namespace (os.setns of Python 3.12)."""
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns: " + os.strerror(ctypes.get_errno()))


def visit(slot_fd, interface):
    """Goes into the slot and comes back: whoever stays inside keeps the slot from going."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    setns(slot_fd)
    try:
        text = subprocess.run(["ip", "-json", "address", "show", "dev", interface], check=True, stdout=subprocess.PIPE).stdout
        for address in json.loads(text)[0]["addr_info"]:
            print(f"inside: {interface} {address['local']}")
    finally:
        setns(home)
        os.close(home)


def main(network, key):
    nsd = Nsd()
    reply, fds = nsd.call("AcquireSlot", network=network, key=key, bond="connection", open=True)
    slot = reply["slot"]
    print(f"{slot['name']}: {'acquired' if reply['created'] else 'had it already'}, generation {slot['generation']}")
    visit(fds[reply["fileDescriptor"]], slot["interface"])
    for fd in fds:
        os.close(fd)
    # With the generation nothing happens to a later lease, should this one have ended meanwhile.
    nsd.call("ReleaseSlot", name=slot["name"], generation=slot["generation"])
    print(f"{slot['name']}: released")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: acquire.py NETWORK KEY")
    try:
        main(*sys.argv[1:])
    except (Error, OSError) as error:
        sys.exit(f"acquire.py: {error}")
