# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for a condition with a deadline; nothing in these tests sleeps for a fixed time to be in step."""
import time

# Long, because the kernel tears namespaces down in one queue for the whole machine: what other work on it leaves there
# comes first. It is reached only by a test that fails.
DEADLINE = 10.0


def until(condition, what, deadline=DEADLINE, interval=0.005):
    """Polls condition() until it is true and returns its value; AssertionError naming `what` after the deadline.

    An AssertionError inside condition() counts as "not yet"; the last one is shown when the time is over."""
    end = time.monotonic() + deadline
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = None
        except AssertionError as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what}" + (f": {last}" if last else ""))
        time.sleep(interval)
        interval = min(interval * 1.5, 0.1)


def equal(get, wanted, what, deadline=DEADLINE):
    """Polls get() until it equals `wanted`; shows both when it does not in time."""
    seen = []

    def same():
        seen[:] = [get()]
        return seen[0] == wanted

    try:
        until(same, what, deadline)
    except AssertionError:
        seen, = seen
        assert seen == wanted, f"{what}: still different after {deadline} s: {seen} instead of {wanted}"
