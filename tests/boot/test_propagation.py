# SPDX-License-Identifier: GPL-2.0-or-later
"""What nsd pins in /run/netns is seen by the whole host, or nsd refuses to start and says why."""
import json

import pytest

from machine import wait_for


def mounts(machine, name):
    return [line for line in machine.out("cat", "/proc/1/mountinfo").splitlines() if f" /run/netns/{name} " in line]


def test_host_sees_namespaces(machine):
    machine.nsc("add", "seen")
    assert machine.is_nsfs("seen")
    assert "seen" in machine.out("ip", "netns", "list")
    assert machine.run("nsenter", "--net=/run/netns/seen", "ip", "-o", "link").stdout.count("\n") == 1
    assert len(mounts(machine, "seen")) == 1, "mounted once, not once more for the /run around it"
    machine.nsc("del", "seen", "--wait")
    assert mounts(machine, "seen") == []
    assert machine.run("ls", "/run/netns/seen", check=False).returncode != 0


def test_ip_netns_and_nsd_share_the_place(machine):
    machine.run("ip", "netns", "add", "foreign")
    machine.nsc("add", "own")
    try:
        assert machine.is_nsfs("foreign") and machine.is_nsfs("own")
        wait_for(lambda: "foreign" in machine.nsc("list"), "nsd lists the foreign namespace")
    finally:
        machine.run("ip", "netns", "del", "foreign")
    assert machine.is_nsfs("own")


@pytest.mark.parametrize("hardening", ["PrivateTmp=yes", "ProtectSystem=strict", "PrivateMounts=yes"])
def test_hardened_services_see_namespaces(machine, hardening):
    """Services with mounts of their own that ran before a namespace was made."""
    machine.run("systemd-run", "--unit=other", f"--property={hardening}", "sleep", "60")
    try:
        machine.nsc("add", "later")
        pid = machine.show("other.service", "MainPID")
        seen = machine.out("nsenter", "-t", pid, "-m", "stat", "-f", "-c", "%T", "/run/netns/later")
        assert seen == "nsfs"
        machine.nsc("del", "later", "--wait")  # and it does not keep the namespace alive
    finally:
        machine.run("systemctl", "stop", "other.service")


def test_unit_in_a_namespace(machine):
    """nsd-netns@.service and a service that lives in the namespace."""
    machine.write("/etc/systemd/system/inside.service",
                  "[Unit]\nBindsTo=nsd-netns@home.service\nAfter=nsd-netns@home.service\n"
                  "[Service]\nNetworkNamespacePath=/run/netns/home\nPrivateTmp=yes\nExecStart=/bin/sleep 300\n")
    machine.run("systemctl", "daemon-reload")
    try:
        machine.run("systemctl", "start", "inside.service")
        assert "home" in machine.nsc("list")
        pid = machine.show("inside.service", "MainPID")
        assert pid in machine.nsc("pids", "home")
        assert machine.nsc("identify", pid) == "home"
        machine.run("systemctl", "restart", "nsd.service")
        assert machine.show("inside.service", "MainPID") == pid
        machine.run("systemctl", "restart", "nsd-netns@home.service")
        wait_for(lambda: machine.show("nsd-netns@home.service", "ActiveState") == "active", "the namespace is made again")
        assert machine.is_nsfs("home")
        machine.run("systemctl", "stop", "nsd-netns@home.service")
        assert machine.show("inside.service", "ActiveState") == "inactive"
        assert "home" not in machine.nsc("list")
    finally:
        machine.run("systemctl", "stop", "inside.service", "nsd-netns@home.service", check=False)
        machine.remove("/etc/systemd/system/inside.service")
        machine.run("systemctl", "daemon-reload")


def network(machine):
    """Addresses, routes and rules, but for the carrier, which a new bridge without ports loses after a moment."""
    return [machine.out("ip", *words).replace(" linkdown", "") for words in
            (["-o", "addr"], ["route", "show", "table", "all"], ["-6", "route", "show", "table", "all"], ["rule"])]


def networkd_of(machine, index):
    return machine.run("cat", f"/run/systemd/netif/links/{index}", check=False).stdout


def test_networkd_leaves_links_alone(machine):
    machine.nsc("add", "one")
    machine.nsc("link", "add", "peer", "p1", "netns", "one", "10.13.0.2/24")  # in the host under a name of nsd
    machine.nsc("link", "add", "veth-x", "10.14.0.1/24", "up", "peer", "p2", "netns", "one", "10.14.0.2/24")
    machine.nsc("link", "add", "br-x", "type", "bridge", "10.15.0.1/24", "up")
    wait_for(lambda: "tentative" not in machine.out("ip", "addr"), "IPv6 addresses are settled")
    before = network(machine)
    links = [link["ifindex"] for link in json.loads(machine.out("ip", "-json", "link")) if link["ifname"] != "lo"]
    assert len(links) >= 3
    try:
        for _ in range(2):
            machine.run("systemctl", "restart", "systemd-networkd.service")
            for link in links:
                wait_for(lambda: "ADMIN_STATE=unmanaged" in networkd_of(machine, link), "networkd leaves the link alone")
        assert network(machine) == before
    finally:
        machine.run("systemctl", "stop", "systemd-networkd.socket", "systemd-networkd.service", check=False)


def test_udev_knows_the_links(machine):
    """The rule that keeps NetworkManager and networkd off goes by the group that nsd gives its interfaces."""
    machine.nsc("link", "add", "veth-x", "peer", "veth-y")
    rule = (machine.source / "systemd/60-nsd.rules").read_text()
    for name in ("veth-x", "veth-y"):
        group = json.loads(machine.out("ip", "-json", "-N", "-d", "link", "show", name))[0]["group"]
        assert f'ATTR{{netdev_group}}=="{group}"' in rule


# ---- settings of a unit that would hide the namespaces from the host ----

HIDING = [
    "PrivateMounts=yes",
    "MountFlags=slave",
    "MountFlags=private",
    "PrivateMounts=yes\nMountFlags=shared",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateIPC=yes",
    "ProtectSystem=yes",
    "ProtectSystem=full",
    "ProtectSystem=strict",
    "ProtectSystem=strict\nReadWritePaths=/run /var/lib",
    "ProtectHome=yes",
    "ProtectHome=read-only",
    "ProtectHome=tmpfs",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "ProtectProc=ptraceable",
    "ProtectProc=noaccess",
    "ProcSubset=pid",
    "ReadOnlyPaths=/usr",
    "ReadWritePaths=/run",
    "ReadWritePaths=/run/netns",
    "InaccessiblePaths=/srv",
    "ExecPaths=/usr",
    "NoExecPaths=/srv",
    "TemporaryFileSystem=/srv",
    "BindPaths=/run/netns",
    "BindReadOnlyPaths=/usr",
    "LogNamespace=other",
]
# These take other things from nsd than the mounts alone.
FORBIDDING = {
    "PrivateUsers=yes": "nsd has no power over this network namespace (PrivateUsers=",
    "RestrictNamespaces=yes": "nsd may not make network namespaces (",
    "SystemCallFilter=~@mount": "nsd may not mount (SystemCallFilter=",
    "SystemCallFilter=\nSystemCallFilter=@system-service": "nsd may not mount (SystemCallFilter=",
    "SystemCallFilter=~unshare": "nsd may not make network namespaces (",
    "CapabilityBoundingSet=\nCapabilityBoundingSet=CAP_NET_ADMIN": "nsd lacks CAP_SYS_ADMIN",
    "CapabilityBoundingSet=~CAP_NET_ADMIN": "nsd lacks CAP_NET_ADMIN",
    "User=nobody": "nsd lacks CAP_SYS_ADMIN",
}


def start_with(machine, settings):
    machine.run("systemctl", "stop", "nsd.service", "nsd.socket")
    if "User=" in settings: # systemd gives the runtime directory to that user, but cannot give the mount in it
        machine.run("umount", "/run/nsd/vault", check=False)
    machine.drop_in("hiding", f"[Service]\n{settings}\n")
    failed = machine.run("systemctl", "start", "nsd.service", check=False).returncode != 0
    return failed, machine.run("systemctl", "status", "--full", "nsd.service", check=False).stdout


@pytest.mark.parametrize("settings", HIDING, ids=lambda s: s.replace("\n", " "))
def test_hiding(machine, settings):
    failed, status = start_with(machine, settings)
    assert failed and machine.show("nsd.service", "ExecMainStatus") == "78"
    assert 'Status: "namespaces pinned in /run/netns would not be seen by the host' in status
    assert "gave nsd a mount namespace of its own" in status


@pytest.mark.parametrize("settings,cause", FORBIDDING.items(), ids=lambda s: s.replace("\n", " "))
def test_forbidding(machine, settings, cause):
    failed, status = start_with(machine, settings)
    assert failed and machine.show("nsd.service", "ExecMainStatus") == "78", status
    assert cause in next(line for line in status.splitlines() if 'Status: "' in line)


@pytest.mark.parametrize("settings", ["UMask=0077", "NoNewPrivileges=no", "User=root", "Nice=5", "MemoryMax=512M",
                                      "PrivateNetwork=no", "MountFlags=shared", "BindPaths="])
def test_harmless(machine, settings):
    failed, status = start_with(machine, settings)
    assert not failed, status
    machine.nsc("add", "seen")
    assert machine.is_nsfs("seen")
    assert "seen" in machine.out("setpriv", "--reuid", "nobody", "--clear-groups", "ip", "netns", "list")
