# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of a lease."""
from . import poll, sandbox
from .varlink import Error


def state(client, name):
    """Of a slot; None when there is nothing left of it."""
    try:
        return client.call("GetSlot", name=name)["slot"]["state"]
    except Error as error:
        assert error.short == "NotFound", error
        return None


def gone(client, slot, deadline=poll.DEADLINE):
    """Waits until nothing is left of a slot: not for nsd, and not for the kernel."""
    poll.equal(lambda: state(client, slot["name"]), None, f"{slot['name']} is gone", deadline)
    assert not sandbox.is_namespace(slot["path"])


def held(client, slot):
    """It is leased, to the same lease, and works."""
    item = client.call("GetSlot", name=slot["name"])["slot"]
    assert (item["state"], item["generation"], item["cookie"]) == ("leased", slot["generation"], slot["cookie"])
    assert sandbox.cookie(slot["path"]) == slot["cookie"]
    return True


def keyed(client, key="k", **named):
    """(slot, created) of an acquisition with a key."""
    reply = client.call("AcquireSlot", network=named.pop("network", "web"), key=key, **named)
    return reply["slot"], reply["created"]
