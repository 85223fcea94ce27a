# SPDX-License-Identifier: GPL-2.0-or-later
"""What the slots of a network must look like, computed from its prefixes alone."""
import ipaddress

FAMILIES = (4, 6)
FULL = {4: 32, 6: 128}
PREFIXES = {4: "10.64.0.0/16", 6: "fd64::/64"}  # of the network "web" of most tests
OTHERS = {4: "10.65.0.0/16", 6: "fd65::/64"}    # of another one
# Which families a network has, and the fields of its description that say so.
STACKS = {"v4": (4,), "v6": (6,), "dual": (4, 6)}


def prefixes(stack, of=None):
    """The fields ipv4 and ipv6 for a network with these families."""
    return {f"ipv{family}": (of or PREFIXES)[family] if family in STACKS[stack] else None for family in FAMILIES}


def number_of(slot):
    """A slot's number in its network, of its name NETWORK.NUMBER."""
    return int(slot["name"].rpartition(".")[2])


class Plan:
    """Numbers and addresses: slot n has the pair of addresses at prefix + 2n, of which the first is its router's."""

    def __init__(self, ipv4=None, ipv6=None):
        self.networks = {family: ipaddress.ip_network(text) for family, text in ((4, ipv4), (6, ipv6)) if text}

    @property
    def capacity(self):
        """The pair with number 0 is the uplink's."""
        return min(network.num_addresses // 2 - 1 for network in self.networks.values())

    def pair(self, family, number):
        """(router's, slot's) address."""
        first = self.networks[family].network_address + 2 * number
        return str(first), str(first + 1)

    def router(self, number):
        """{family: address} of the router's end of a slot."""
        return {family: self.pair(family, number)[0] for family in self.networks}

    def slot(self, number):
        """{family: address} of a slot."""
        return {family: self.pair(family, number)[1] for family in self.networks}

    def interface_addresses(self, number):
        return {f"{address}/{FULL[family] - 1}" for family, address in self.slot(number).items()}

    def macs(self, number):
        """(router's, slot's) MAC: 02:01 or 02:02 and the low 32 bits of the pair's first address."""
        family = 4 if 4 in self.networks else 6
        low = int(ipaddress.ip_address(self.pair(family, number)[0])) & 0xffffffff
        tail = low.to_bytes(4, "big").hex(":")
        return f"02:01:{tail}", f"02:02:{tail}"
