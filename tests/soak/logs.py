# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the records of record.h: what the one who starts and kills nsd did, and the lists it was shown."""

import ipaddress
import struct
import time

LAYOUT = struct.Struct("<QQQqqQQQQII4sBBBB16s")
MAGIC = 0x314B414F5344534E
HEADER_SIZE = 4096
NSD_KILL, NSD_START, LIST, ITEM, RELEASE = 9, 10, 11, 12, 2
OK = 1
LEASED, FINAL = 8, 16
BONDS = {"connection": 0, "process": 1, "time": 2, "nothing": 3}


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def packed(address, size):
    return ipaddress.ip_address(address).packed if address else bytes(size)


class Log:
    def __init__(self, path, networks):
        self.file = open(path, "wb")
        self.networks, self.count, self.lists = networks, 0, 0
        self.file.write(bytes(HEADER_SIZE))

    def add(self, kind, asked, answered=0, **named):
        value = {"base": 0, "ttl": 0, "generation": 0, "cookie": 0, "holder": 0, "key": 0, "request": 0, "network": 0,
                 "number": 0, "address4": bytes(4), "outcome": 0, "bond": 0, "flags": 0, "address6": bytes(16), **named}
        self.file.write(LAYOUT.pack(
            asked, answered, value["base"], value["ttl"], value["generation"], value["cookie"], value["holder"],
            value["key"], value["request"], value["network"], value["number"], value["address4"], kind,
            value["outcome"], value["bond"], value["flags"], value["address6"]))
        self.count += 1

    def place(self, name):
        network, _, number = name.rpartition(".")
        return {"network": self.networks.index(network), "number": int(number)}

    def add_list(self, slots, asked, answered, final=False):
        self.lists += 1
        self.add(LIST, asked, answered, outcome=OK, request=self.lists, flags=FINAL if final else 0)
        for slot in slots:
            key, labels = slot.get("key") or "", slot.get("labels") or {}
            self.add(ITEM, asked, answered, holder=self.lists, generation=slot["generation"], **self.place(slot["name"]),
                     key=int(key[1:]) if key[1:].isdigit() else 0, request=int(labels.get("request", 0)),
                     bond=BONDS.get(slot.get("bond"), 0), flags=LEASED if slot["state"] == "leased" else 0,
                     outcome=OK if slot["state"] in ("leased", "ready") else 0)

    def close(self):
        self.file.seek(0)
        self.file.write(struct.pack("<QQ", MAGIC, self.count))
        self.file.close()
