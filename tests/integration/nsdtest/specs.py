# SPDX-License-Identifier: GPL-2.0-or-later
"""Short forms for what the tests ask nsd for."""


def end(namespace=None, interface=None, *addresses, **fields):
    """An end of a link; what is None is left out."""
    fields.update(namespace=namespace, interface=interface)
    if addresses:
        fields["addresses"] = list(addresses)
    return {key: value for key, value in fields.items() if value is not None}


def veth(a, b, **fields):
    """Parameters of a link between two ends."""
    return {"ends": [a, b], **fields}


def bridge(interface, *addresses, namespace=None, **fields):
    """Parameters of a bridge."""
    return {"kind": "bridge", "ends": [end(namespace, interface, *addresses)], **fields}


def network(name="web", ipv4="10.64.0.0/16", ipv6="fd64::/64", **fields):
    """Parameters of a network; what is None is left out."""
    fields.update(name=name, ipv4=ipv4, ipv6=ipv6)
    return {key: value for key, value in fields.items() if value is not None}


def port(protocol, number):
    """A service of the host."""
    return {"protocol": protocol, "port": number}


def route(destination, gateway=None, metric=None):
    fields = {"destination": destination, "gateway": gateway, "metric": metric}
    return {key: value for key, value in fields.items() if value is not None}
