# SPDX-License-Identifier: GPL-2.0-or-later
"""A subscriber that believes nothing: sequence numbers must grow by one, and the objects that follow from the events must
be those of a list."""
import collections
import select
import time

from . import poll


KINDS = ("namespace", "link", "network", "slot")


def subject(change):
    """(kind, object) of a message; (None, None) of one that is about no object."""
    kinds = [kind for kind in KINDS if kind in change]
    assert len(kinds) <= 1, change
    return (kinds[0], change[kinds[0]]) if kinds else (None, None)


class Watch:
    """One Monitor call. `objects` is the state that follows from the events: (kind, name) -> object."""

    def __init__(self, nsd):
        self.client = nsd.client()
        self.client.send("Monitor", more=True)
        self.objects, self.seen, self.last = {}, [], None
        self.synced = False
        while not self.synced:
            self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def read(self):
        """Takes the next event: (event, kind, name, object)."""
        change, continues = self.client.receive("Monitor")
        assert continues
        event, sequence = change["event"], change["sequence"]
        kind, item = subject(change)
        key = (kind, item["name"]) if item else None
        if not self.synced:
            self.read_snapshot(event, key, item)
        else:
            assert self.follows(sequence), f"sequence {sequence} after {self.last}: {change}"
            self.apply(event, key, item)
        self.last = sequence
        self.seen.append((event, *(key or (None, None)), item))
        return self.seen[-1]

    def follows(self, sequence):
        return sequence == self.last + 1

    def read_snapshot(self, event, key, item):
        if event == "synced":
            self.synced = True
            return
        assert event == "present" and key not in self.objects, f"{event} {key} in the snapshot"
        self.objects[key] = item

    def apply(self, event, key, item):
        assert event not in ("present", "synced"), event
        first = event == "created" or (event == "ready" and (item.get("foreign") or key[0] == "slot"))
        if first:  # slots and foreign ones are whole when first seen
            assert key not in self.objects, f"{key} is there twice"
            self.objects[key] = item
        else:
            assert key in self.objects, f"{event} of {key}, which is not there"
            if event == "gone":
                del self.objects[key]
            else:
                self.objects[key] = item

    def pending(self, timeout=0):
        return b"\0" in self.client.buffer or select.select([self.client.socket], [], [], timeout)[0]

    def until(self, event, kind=None, name=None, deadline=poll.DEADLINE, where=None):
        """Reads until this event of this object; returns the object."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            if not self.pending(end - time.monotonic()):
                continue
            got = self.read()
            if got[0] == event and kind in (None, got[1]) and name in (None, got[2]) and (not where or where(got[3])):
                return got[3]
        raise AssertionError(f"no {event} of {kind} {name} within {deadline} s; since the last: "
                             f"{[entry[:3] for entry in self.seen[-20:]]}")

    def drain(self, quiet=0.3):
        """Reads all that comes until nothing came for `quiet` seconds."""
        while self.pending(quiet):
            self.read()

    def count(self):
        """Counter of (event, kind, name) since the snapshot."""
        return collections.Counter(entry[:3] for entry in self.seen if entry[0] not in ("present", "synced"))


class WatchOfUser(Watch):
    """A user's numbers may have gaps where others' changes are, but never go back. A slot is first seen when it is acquired."""

    def follows(self, sequence):
        return sequence > self.last

    def apply(self, event, key, item):
        if event == "changed" and key[0] == "slot":
            self.objects.setdefault(key, item)
        super().apply(event, key, item)
