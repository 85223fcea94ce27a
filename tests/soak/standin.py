#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for nsd that hands out slots, correctly or with one deliberate fault: the soak must find each fault, and none
without. Its namespaces are real (cookie, addresses, pinned by mounts), so they survive kill -9 as nsd's do; what it has
handed out is in a journal. It never uses a number twice, unless that is the fault.

    standin.py --fault NAME [nsd's options]
"""

import argparse
import array
import ctypes
import fcntl
import ipaddress
import itertools
import json
import os
import select
import socket
import struct
import time

FAULTS = {
    "none": "nothing",
    "twice": "hands out a slot that somebody has",
    "early": "uses a number again at once, pinned or not",
    "address": "gives a new slot the address of one that somebody has",
    "forget": "forgets keys",
    "repeat": "gives a generation a second time",
    "shrink": "gives the next lease of a slot a lower generation",
    "reuse": "hands out the namespace of a released slot again",
    "stale": "uses a number again at once, and does not look at generations",
    "lose": "loses a lease when it is killed",
    "hide": "leaves a lease out of a list",
    "linger": "lists a slot as leased after its release",
    "phantom": "leases a slot that nobody asked for",
    "leak": "does not notice that a connection was closed",
    "cookie": "tells a wrong cookie",
    "expire": "ends leases too early",
    "garble": "forgets the name of a slot in its answer",
}
RARE = 10  # one of so many operations goes wrong
CLONE_NEWNET, MS_BIND, MNT_DETACH = 0x40000000, 4096, 2
SO_NETNS_COOKIE, SIOCSIFADDR = 71, 0x8916
libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Refused(Exception):
    """An error of the interface."""


def start_time(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return int(f.read().rpartition(")")[2].split()[19])


class Server:
    def __init__(self, options):
        self.fault, self.directory = options.fault, options.runtime_directory
        self.journal_path = os.path.join(options.state_directory, "journal")
        self.pins = os.path.join(self.directory, "pins")
        for directory in (options.state_directory, self.directory, self.pins):
            os.makedirs(directory, exist_ok=True)
        with open(options.config, encoding="ascii") as f:
            self.grace = next(int(line.split("=")[1]) for line in f if line.startswith("GraceSec="))
        self.networks, self.slots, self.freed, self.old_pins = {}, {}, [], []
        self.numbers, self.generation, self.turn = itertools.count(1), 0, itertools.count(1)
        self.lingering, self.replayed = [], 0
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.connections, self.processes = {}, {}
        self.poll = select.epoll()
        self.replay()
        self.listen()

    def goes_wrong(self, fault):
        return self.fault == fault and next(self.turn) % RARE == 0

    # The journal

    def replay(self):
        highest = 0
        if os.path.exists(self.journal_path):
            with open(self.journal_path, encoding="ascii") as lines:
                for line in lines:
                    entry = json.loads(line)
                    if "network" in entry:
                        self.networks[entry["network"]["name"]] = entry["network"]
                    elif "slot" in entry:
                        slot = entry["slot"]
                        self.slots[slot["name"]] = slot
                        self.generation = max(self.generation, slot["generation"])
                        highest = max(highest, slot["number"])
                    else:
                        self.slots.pop(entry["gone"], None)
        self.numbers = itertools.count(highest + 1)
        self.journal = os.open(self.journal_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        if self.fault == "lose" and self.slots:
            self.forget(min(self.slots.values(), key=lambda slot: slot["bond"] != "nothing"))
        for slot in list(self.slots.values()):
            if slot["bond"] == "connection":
                slot["until"] = time.clock_gettime(time.CLOCK_BOOTTIME) + self.grace
            elif slot["bond"] == "process":
                self.watch_process(slot)

    def write(self, entry):
        os.write(self.journal, json.dumps(entry).encode() + b"\n")

    # Slots

    def make_namespace(self, name, network, number):
        """Pinned, with both addresses; returns its cookie."""
        check(libc.unshare(CLONE_NEWNET))
        path = os.path.join(self.pins, name)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC))
        check(libc.mount(b"/proc/self/ns/net", path.encode(), None, MS_BIND, None))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            interface = b"lo".ljust(16, b"\0")
            address = self.address(network, 4, number)
            fcntl.ioctl(s, SIOCSIFADDR, interface + struct.pack("HH4s8x", socket.AF_INET, 0, address.packed))
            if network.get("ipv6"):
                with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s6:
                    fcntl.ioctl(s6, SIOCSIFADDR, struct.pack("16sIi", self.address(network, 6, number).packed, 127, 1))
            cookie = struct.unpack("=Q", s.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0]
        check(libc.setns(self.home, CLONE_NEWNET))
        return cookie

    @staticmethod
    def address(network, version, number):
        return ipaddress.ip_network(network[f"ipv{version}"]).network_address + 2 * number + 1

    def new_slot(self, network):
        number = self.freed.pop() if self.fault in ("early", "shrink", "stale") and self.freed else next(self.numbers)
        slot = {"name": f"{network['name']}.{number}", "network": network["name"], "number": number, "placed": number}
        others = self.of_network(network["name"])
        if self.fault == "reuse" and self.old_pins:
            slot["pin"], slot["cookie"] = self.old_pins.pop()
            return slot
        if others and self.goes_wrong("address"):
            slot["placed"] = others[0]["placed"]
        slot["pin"] = f"{slot['name']}-{time.monotonic_ns()}"
        slot["cookie"] = self.make_namespace(slot["pin"], network, slot["placed"])
        return slot

    def of_network(self, name):
        return [slot for slot in self.slots.values() if slot["network"] == name]

    def next_generation(self):
        if self.fault == "shrink":
            return 10**9 - time.monotonic_ns() // 1000 % 10**9
        if not self.goes_wrong("repeat"):
            self.generation += 1
        return self.generation

    def acquire(self, connection, p, fds):
        network = self.networks[p["network"]]
        slot, created = self.by_key(p.get("key")), False
        if not slot and self.goes_wrong("twice") and (others := self.of_network(network["name"])):
            slot = dict(others[0])
            created = True
        elif not slot:
            slot, created = self.new_slot(network), True
        if created:
            slot.update(generation=self.next_generation(), key=p.get("key"), bond=p["bond"], labels=p["labels"],
                        ttl=p.get("ttl", 0), since=int(time.time()))
        self.bind(slot, connection, fds)
        self.keep(slot)
        return slot, created

    def by_key(self, key):
        if not key or self.goes_wrong("forget"):
            return None
        return next((slot for slot in self.slots.values() if slot["key"] == key), None)

    def bind(self, slot, connection, fds):
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        slot["until"] = now + slot["ttl"] / 1000 if slot["bond"] == "time" else 0
        if self.fault == "expire" and slot["bond"] == "time":
            slot["until"] -= slot["ttl"] / 1000 * 0.9
        slot["connection"] = connection.fileno() if slot["bond"] == "connection" else -1
        if slot["bond"] == "process":
            slot["pid"] = self.process_of(fds[0]) if fds else connection.pid
            try:
                slot["start"] = start_time(slot["pid"])
            except (FileNotFoundError, ProcessLookupError):
                slot["start"] = 0
            self.watch_process(slot)

    @staticmethod
    def process_of(pidfd):
        with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as f:
            return int(f.read().rpartition("Pid:")[2].split()[0])

    def keep(self, slot):
        self.slots[slot["name"]] = slot
        self.write({"slot": slot})

    def forget(self, slot):
        if self.slots.pop(slot["name"], None) is None:
            return
        self.write({"gone": slot["name"]})
        if self.fault == "linger":
            self.lingering = [*self.lingering[-19:], slot]
        if self.fault == "reuse":
            self.old_pins.append((slot["pin"], slot["cookie"]))
            return
        path = os.path.join(self.pins, slot["pin"])
        libc.umount2(path.encode(), MNT_DETACH)
        os.unlink(path)
        self.freed.append(slot["number"])

    def watch_process(self, slot):
        try:
            if start_time(slot["pid"]) != slot["start"]:
                raise ProcessLookupError
            pidfd = os.pidfd_open(slot["pid"])
        except (FileNotFoundError, ProcessLookupError, OSError):
            slot["until"] = 1  # over
            return
        self.processes[pidfd] = slot["name"], slot["generation"], slot["pid"], slot["start"]
        self.poll.register(pidfd, select.EPOLLIN)

    def end_process(self, pidfd):
        ended = self.processes.pop(pidfd)
        self.poll.unregister(pidfd)
        os.close(pidfd)
        slot = self.slots.get(ended[0])
        if slot and (slot["name"], slot["generation"], slot.get("pid"), slot.get("start")) == ended:
            self.forget(slot)

    def expire(self):
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        for slot in [slot for slot in self.slots.values() if slot["until"] and slot["until"] <= now]:
            self.forget(slot)

    # Methods

    def known(self, p, needed=True):
        slot = self.slots.get(p["name"])
        generation = p.get("generation")
        if slot and generation not in (None, slot["generation"]) and self.fault != "stale":
            raise Refused("StaleGeneration")
        if not slot and needed:
            raise Refused("NotFound")
        return slot

    def describe(self, slot):
        network = self.networks[slot["network"]]
        known = {key: slot[key] for key in ("name", "network", "generation", "cookie", "key", "bond", "labels", "since")}
        if self.goes_wrong("cookie"):
            known["cookie"] += 1
        addresses = {f"address{v}": str(self.address(network, v, slot["placed"])) for v in (4, 6) if network.get(f"ipv{v}")}
        return {**known, **addresses, "state": "leased"}

    def call(self, connection, method, p, fds):
        """(parameters of the answer, descriptor to send)."""
        if method == "GetStatus":
            return {"ready": True}, None
        if method == "CreateNetwork":
            self.networks[p["name"]] = p
            self.write({"network": p})
            return {"network": p}, None
        if method == "ListPools":
            return {"pools": [{"network": name, "wanted": 0, "ready": 0, "making": 0, "draining": 0,
                               "leased": len(self.of_network(name))} for name in self.networks]}, None
        if method == "ListSlots":
            return {"slots": self.listed()}, None
        if method == "AcquireSlot":
            slot, created = self.acquire(connection, p, fds)
            answer = self.describe(slot)
            if self.goes_wrong("garble"):
                answer["name"] = "?"
            return {"slot": answer, "created": created}, slot if p.get("open") else None
        slot = self.known(p, needed=method != "ReleaseSlot")
        if method == "ReleaseSlot":
            if slot:
                self.forget(slot)
            return {}, None
        if method == "RenewSlot":
            slot["ttl"] = p.get("ttl", slot["ttl"])
            self.bind(slot, connection, []) if slot["bond"] in ("connection", "time") else None
            self.keep(slot)
        return {"slot": self.describe(slot)}, slot if method == "OpenSlot" else None

    def listed(self):
        found = [self.describe(slot) for slot in self.slots.values()]
        if self.fault == "hide":
            found = found[1:]
        if self.fault == "phantom" and found:
            found.append({**found[0], "name": f"{found[0]['network']}.99999", "generation": 10**12, "labels": {},
                          "key": None})
        return found + [self.describe(slot) for slot in self.lingering if slot["name"] not in self.slots]

    # The wire

    def listen(self):
        path = os.path.join(self.directory, "io.nsd.Manager")
        if os.path.exists(path):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(128)
        self.poll.register(self.listener, select.EPOLLIN)

    def run(self):
        while True:
            for fd, _ in self.poll.poll(0.02):
                if fd == self.listener.fileno():
                    self.accept()
                elif fd in self.processes:
                    self.end_process(fd)
                elif fd in self.connections:
                    self.serve(self.connections[fd])
            self.expire()

    def accept(self):
        plain, _ = self.listener.accept()
        connection = Connection(plain)
        self.connections[connection.fileno()] = connection
        self.poll.register(connection.fileno(), select.EPOLLIN)

    def serve(self, connection):
        for text, fds in connection.read():
            if connection.hung_up():
                break  # a key may have been taken up by another connection since
            request = json.loads(text)
            method = request["method"].rpartition(".")[2]
            try:
                parameters, slot = self.call(connection, method, request.get("parameters") or {}, fds)
                connection.answer({"parameters": parameters}, os.path.join(self.pins, slot["pin"]) if slot else None)
            except Refused as error:
                connection.answer({"error": f"io.nsd.Manager.{error}", "parameters": {}}, None)
            for fd in fds:
                os.close(fd)
        if connection.ended:
            self.hang_up(connection)

    def hang_up(self, connection):
        number = connection.fileno()
        self.poll.unregister(number)
        del self.connections[number]
        for slot in [slot for slot in self.slots.values() if slot["connection"] == number and not slot["until"]]:
            if self.fault == "leak":
                slot["connection"] = -1
            else:
                self.forget(slot)
        connection.socket.close()


class Connection:
    def __init__(self, plain):
        self.socket, self.data, self.fds, self.ended = plain, b"", [], False
        self.pid = struct.unpack("iII", plain.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def fileno(self):
        return self.socket.fileno()

    def hung_up(self):
        p = select.poll()
        p.register(self.socket, select.POLLRDHUP)
        return bool(p.poll(0))

    def read(self):
        """Whole requests with the descriptors sent along."""
        try:
            data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(16))
        except ConnectionResetError:
            data, ancillary = b"", []
        for _, _, payload in ancillary:
            fds = array.array("i")
            fds.frombytes(payload)
            self.fds.extend(fds)
        self.ended = not data
        self.data += data
        *whole, self.data = self.data.split(b"\0")
        for text in whole:
            fds, self.fds = self.fds, []
            yield text, fds

    def answer(self, reply, path):
        fds = [os.open(path, os.O_RDONLY | os.O_CLOEXEC)] if path else []
        try:
            self.socket.sendmsg([json.dumps(reply).encode() + b"\0"],
                                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        except (BrokenPipeError, ConnectionResetError):
            pass
        for fd in fds:
            os.close(fd)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--fault", choices=FAULTS, default="none")
    for name in ("config", "state-directory", "runtime-directory", "log-level"):
        parser.add_argument(f"--{name}")
    Server(parser.parse_args()).run()


if __name__ == "__main__":
    main()
