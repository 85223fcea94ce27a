# SPDX-License-Identifier: GPL-2.0-or-later
"""Ethernet frames built by hand, for what no honest socket sends."""
import ipaddress
import struct

ARP, IP, IP6 = 0x0806, 0x0800, 0x86dd
UDP, ICMP6 = 17, 58
BROADCAST = "ff:ff:ff:ff:ff:ff"
ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"


def packed(address):
    return ipaddress.ip_address(address).packed


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ethernet(destination, source, kind, payload):
    return mac_bytes(destination) + mac_bytes(source) + struct.pack("!H", kind) + payload


def ip(source, destination, protocol, payload, ttl=255):
    """(EtherType, packet) of either family."""
    if ":" in source:
        header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, ttl)
        return IP6, header + packed(source) + packed(destination) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, ttl, protocol, 0, packed(source),
                         packed(destination))
    return IP, header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def pseudo(source, destination, protocol, length):
    """What the checksum of a transport header covers beside the header."""
    return packed(source) + packed(destination) + struct.pack("!IBBBB" if ":" in source else "!BBH", *(
        (length, 0, 0, 0, protocol) if ":" in source else (0, protocol, length)))


def udp(source, destination, port, data, source_port=40000):
    """(EtherType, packet) of a datagram."""
    length = 8 + len(data)
    header = struct.pack("!HHHH", source_port, port, length, 0)
    total = checksum(pseudo(source, destination, UDP, length) + header + data) or 0xffff
    return ip(source, destination, UDP, header[:6] + struct.pack("!H", total) + data)


def icmp6(source, destination, kind, body):
    """(EtherType, packet); `body` follows type, code and checksum."""
    message = struct.pack("!BBH", kind, 0, 0) + body
    total = checksum(pseudo(source, destination, ICMP6, len(message)) + message)
    return ip(source, destination, ICMP6, message[:2] + struct.pack("!H", total) + body)


def router_advertisement(source, mac, prefix, destination=ALL_NODES):
    """A router that wants to be everybody's default, with a prefix to make addresses of and an MTU."""
    network = ipaddress.ip_network(prefix)
    body = struct.pack("!BBHII", 64, 0, 1800, 0, 0)
    body += struct.pack("!BB6s", 1, 1, mac_bytes(mac))
    body += struct.pack("!BBHI", 5, 1, 0, 1280)
    body += struct.pack("!BBBBIII16s", 3, 4, network.prefixlen, 0xc0, 86400, 14400, 0, network.network_address.packed)
    return icmp6(source, destination, 134, body)


def neighbour_advertisement(source, mac, target, destination=ALL_NODES):
    """"target is at mac", said unasked, to override."""
    return icmp6(source, destination, 136, struct.pack("!I16sBB6s", 0x20000000, packed(target), 2, 1, mac_bytes(mac)))


def neighbour_solicitation(source, mac, target, destination):
    return icmp6(source, destination, 135, struct.pack("!I16sBB6s", 0, packed(target), 1, 1, mac_bytes(mac)))


def redirect(source, destination, target, about):
    """ICMPv6: "reach `about` by way of `target`"."""
    return icmp6(source, destination, 137, struct.pack("!I16s16s", 0, packed(target), packed(about)))


def arp(operation, sender_mac, sender, target_mac, target):
    """(EtherType, packet): 1 asks, 2 answers."""
    return ARP, struct.pack("!HHBBH6s4s6s4s", 1, IP, 6, 4, operation, mac_bytes(sender_mac), packed(sender),
                            mac_bytes(target_mac), packed(target))
