# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad values of every kind, and the check that each is answered by a typed error that names the field."""
from .varlink import Error

BAD_NAMES = ["", ".", "..", ".hidden", "-dash", "a/b", "../x", "/etc", "a b", "a\tb", "a\nb", "ä", "x" * 65, "a%db",
             "a:b", "a*", "~", "a\\b", "$(id)", "'", '"', "\x7f", "a\u2028b", "😀"]
BAD_INTERFACES = ["", "x" * 16, "a/b", "a b", "all", "default", ".", "..", "-x", "a%d", "ä", "a:b", "a\n"]
BAD_MACS = ["", "02:00:00:00:00", "02:00:00:00:00:0g", "02-00-00-00-00-01", "020000000001", "01:00:00:00:00:01",
            "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "02:00:00:00:00:01:02", " 02:00:00:00:00:01", "02:00:00:00:00:01 "]
BAD_ADDRESSES = ["", "10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/a", "10.0.0/24", "10.0.0.0/24",
                 "10.0.0.255/24", "0.0.0.0/0", "224.0.0.1/24", "255.255.255.255/32", "10.0.0.1/24 ", " 10.0.0.1/24",
                 "010.0.0.1/24", "10.0.0.256/24", "fd00::1", "fd00::1/129", "fd00:::1/64", "ff02::1/64", "::/64",
                 "fe80::1%eth0/64", "10.0.0.1/024", "10.0.0.1/+24", "0x0a.0.0.1/24", "1/24", "fd00::1/64x"]
BAD_DESTINATIONS = ["", "10.0.0.0", "10.0.0.1/24", "10.0.0.0/33", "fd00::1/64", "defaults", "x/8"]
BAD_GATEWAYS = ["", "10.0.0.1/24", "224.0.0.1", "0.0.0.0", "::", "ff02::1", "gateway", "10.0.0"]
BAD_SYSCTLS = ["", "net.ipv4.ip_forwards", "kernel.hostname", "net/ipv4/ip_forward", "net.ipv4.conf../../kernel.forwarding",
               "net.ipv4.conf..forwarding", "net.ipv4.conf.a.b.forwarding", "vm.swappiness", "net.ipv4.ip_forward\n",
               "NET.IPV4.IP_FORWARD", "net.core.rmem_max", "net.netfilter.nf_conntrack_max"]
BAD_SYSCTL_VALUES = ["", "1\n", "a;b", "x" * 129, "/etc/passwd", "$(id)", "ä"]
BAD_LABEL_KEYS = ["", "x" * 64, "a b", "ä", ".a", "-a", "a\n", "a=b"]
BAD_LABEL_VALUES = ["x" * 256, "a\nb", "\x1b[31m", "\x7f"]


def in_field(field, wanted):
    """The named field, or something inside it; or one of several."""
    if isinstance(wanted, tuple):
        return any(in_field(field, one) for one in wanted)
    return field == wanted or field.startswith((wanted + ".", wanted + "["))


def wrong_answers(client, bad):
    """A line for each row that is not answered as it says."""
    wrong = []
    for error, field, method, parameters in bad:
        call = f"{method} {parameters!r:.160}"
        try:
            wrong.append(f"{call} -> success {client.call(method, parameters)!r:.160}")
        except Error as answer:
            if answer.short != error or not in_field(answer.field or "", field):
                wrong.append(f"{call} -> {answer} instead of {error} in {field}")
            elif error != "InvalidParameter" and not answer.parameters["message"].strip():
                wrong.append(f"{call} -> no message")
            elif "\n" in answer.parameters.get("message", ""):
                wrong.append(f"{call} -> a message of several lines")
    return wrong
