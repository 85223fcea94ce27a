# SPDX-License-Identifier: GPL-2.0-or-later
"""A world outside the host: a namespace that plays another machine on a network beside the host, which the host forwards
to, as an administrator sets it up."""
from . import kernel

INTERFACE, NAME = "out0", "outside"
HOST = {4: "198.51.100.1", 6: "2001:db8:1::1"}
PEER = {4: "198.51.100.2", 6: "2001:db8:1::2"}
LENGTH = {4: 24, 6: 64}


def make(host):
    """Interface out0 of the host, namespace "outside" behind it, whose default routes lead to the host."""
    kernel.ip("netns", "add", NAME)
    kernel.ip("link", "add", INTERFACE, "type", "veth", "peer", "name", "eth0", "netns", NAME)
    host.foreign += [("link", INTERFACE), ("netns", NAME)]
    kernel.ip("link", "set", "lo", "up", netns=NAME)
    for netns, interface, addresses in ((None, INTERFACE, HOST), (NAME, "eth0", PEER)):
        kernel.ip("link", "set", interface, "up", netns=netns)
        for family, address in addresses.items():
            kernel.ip("address", "add", f"{address}/{LENGTH[family]}", "dev", interface, "nodad", netns=netns)
    for family, gateway in HOST.items():
        kernel.ip(f"-{family}", "route", "add", "default", "via", gateway, netns=NAME)


def forward():
    """The administrator makes the host a router between all its interfaces."""
    kernel.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
