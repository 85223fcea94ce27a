# SPDX-License-Identifier: GPL-2.0-or-later
"""Users beside root: members of the socket's group, and connections with their credentials."""
import contextlib
import os

GROUP = 60000
ALICE, BOB = 65534, 65533


@contextlib.contextmanager
def acting_as(uid, gid=GROUP):
    """The calling thread has the effective ids of another user during the body."""
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@contextlib.contextmanager
def connected(nsd, uid, gid=GROUP):
    """A connection with the credentials of another user."""
    with acting_as(uid, gid):
        client = nsd.client()
    with client:
        yield client


def open_to_group(nsd):
    os.chown(nsd.socket, 0, GROUP)
    os.chmod(nsd.socket, 0o660)
