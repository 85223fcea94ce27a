# SPDX-License-Identifier: GPL-2.0-or-later
"""The service as systemd and an administrator see it: start, socket, status, reload, refusals."""
import json
import os
import stat

from machine import wait_for

SOCKET = "/run/nsd/io.nsd.Manager"
PING = json.dumps({"method": "io.nsd.Manager.GetStatus"}) + "\0"


def as_nobody(machine, *groups):
    """Calls GetStatus as a user without rights, but in these groups."""
    choice = ["--groups", ",".join(groups)] if groups else ["--clear-groups"]
    return machine.run("setpriv", "--reuid", "nobody", "--regid", "nogroup", *choice, "socat", "-t5", "-",
                       f"UNIX-CONNECT:{SOCKET}", input=PING, check=False)


def test_start(machine):
    assert machine.show("nsd.service", "ActiveState") == "active"
    assert machine.show("nsd.socket", "ActiveState") == "active"
    assert machine.show("nsd.service", "NRestarts") == "0"
    status = machine.call("io.nsd.Manager.GetStatus")
    assert status["pid"] == machine.main_pid()
    assert status["bootId"] == machine.out("cat", "/proc/sys/kernel/random/boot_id")
    assert status["storeWritable"]
    assert "ready" in machine.nsc("status")


def test_socket(machine):
    assert machine.out("stat", "-c", "%A %U %G", SOCKET) == "srw-rw-r-- root nsd"
    assert machine.out("readlink", "-f", "/run/varlink/registry/io.nsd.Manager") == SOCKET
    assert machine.out("stat", "-c", "%a %U", "/run/nsd", "/run/netns", "/var/lib/nsd") == "755 root\n755 root\n700 root"
    assert machine.out("stat", "-c", "%a", "/var/lib/nsd/nsd.db", "/var/lib/nsd/lock") == "600\n600"


def test_who_may_connect(machine):
    answer = as_nobody(machine, "nsd")
    assert json.loads(answer.stdout.rstrip("\0"))["parameters"]["pid"] == machine.main_pid(), answer
    refused = as_nobody(machine)
    assert refused.returncode != 0 and "Permission denied" in refused.stderr


def test_status_counts(machine):
    machine.nsc("add", "one")
    machine.nsc("link", "add", "veth-a", "peer", "veth-b", "netns", "one")
    wait_for(lambda: machine.show("nsd.service", "StatusText").startswith("1 namespaces, 1 links"), "the status counts")


def test_journal(machine):
    machine.run("systemctl", "restart", "nsd.service")
    pid = machine.main_pid()
    lines = machine.out("journalctl", "--sync") + machine.out("journalctl", "-o", "json", f"_PID={pid}")
    entries = [json.loads(line) for line in lines.splitlines()]
    started = [e for e in entries if e.get("MESSAGE_ID") == "8c4bcf8034a344c5b693673d833e2484"]
    assert started and started[0]["PRIORITY"] == "6" and started[0]["SYSLOG_IDENTIFIER"] == "nsd"
    explained = machine.out("journalctl", "-x", "-n", "100", f"_PID={pid}")
    assert "nsd answers on its socket" in explained


def test_every_message_is_explained(machine):
    known = machine.out("journalctl", "--list-catalog")
    header = (machine.source / "common/message-ids.h").read_text()
    ids = [line.split('"')[1] for line in header.splitlines() if line.startswith("#define MESSAGE_")]
    assert len(ids) == len(set(ids)) >= 15
    for one in ids:
        assert f"{one} nsd:" in known


def test_unit_is_valid(machine):
    complaints = machine.run("systemd-analyze", "verify", "nsd.service", "nsd.socket", "nsd-netns@x.service", check=False)
    ignored = "Failed to parse service type, ignoring: notify-reload"  # of systemd before 253
    assert [line for line in complaints.stderr.splitlines() if ignored not in line and "Command 'man" not in line] == []


def test_hardening(machine):
    """No worse than what the kernel's part of nsd's work leaves possible."""
    exposure = machine.out("systemd-analyze", "security", "--no-pager", "nsd.service").splitlines()[-1]
    assert float(exposure.split(":")[1].split()[0]) <= 4.5, exposure
    status = machine.out("cat", f"/proc/{machine.main_pid()}/status")
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status


# ---- reload ----

def log_level(machine):
    return machine.call("io.systemd.service.GetLogLevel")["level"]


def test_reload(machine):
    assert log_level(machine) == 6
    pid = machine.main_pid()
    machine.write(f"{machine.settings}/nsd.conf.d/10-test.conf", "[Daemon]\nLogLevel=debug\n")
    machine.run("systemctl", "reload", "nsd.service")
    assert log_level(machine) == 7
    machine.write(f"{machine.settings}/nsd.conf.d/10-test.conf", "[Daemon]\nLogLevel=notice\n")
    machine.run("kill", "-HUP", pid)
    wait_for(lambda: log_level(machine) == 5, "SIGHUP reads the settings again")
    assert machine.main_pid() == pid
    assert machine.show("nsd.service", "ActiveState") == "active"


def test_reload_with_a_mistake(machine):
    pid = machine.main_pid()
    machine.write(f"{machine.settings}/nsd.conf", "[Daemon]\nLogLevel=debug\nWorkers=many\n")
    failed = machine.run("systemctl", "reload", "nsd.service", check=False)
    assert failed.returncode != 0
    assert f"{machine.settings}/nsd.conf:3: Workers=many" in machine.journal("-n", "30")
    assert machine.main_pid() == pid and log_level(machine) == 6
    machine.remove(machine.settings)
    machine.run("systemctl", "reload", "nsd.service")


# ---- refusals: told once, not tried again and again ----

def refused(machine):
    """Starts nsd, which must fail for good; returns what systemctl status says."""
    machine.run("systemctl", "stop", "nsd.socket", "nsd.service")
    assert machine.run("systemctl", "start", "nsd.service", check=False).returncode != 0
    assert machine.show("nsd.service", "ActiveState") == "failed"
    assert machine.show("nsd.service", "ExecMainStatus") == "78"
    assert machine.show("nsd.service", "NRestarts") == "0"
    return machine.run("systemctl", "status", "--no-pager", "--full", "nsd.service", check=False).stdout


def test_mistake_in_the_settings(machine):
    machine.write(f"{machine.settings}/nsd.conf", "[Daemon]\nWorkerz=4\n")
    assert f'Status: "{machine.settings}/nsd.conf:2: there is no Workerz= in [Daemon]' in refused(machine)


def test_damaged_state(machine):
    machine.nsc("add", "kept")
    machine.run("systemctl", "stop", "nsd.socket", "nsd.service")
    database = machine.path("/var/lib/nsd/nsd.db")
    whole = database.read_bytes()
    database.write_bytes(whole[:len(whole) // 2])
    assert "/var/lib/nsd/nsd.db is damaged" in refused(machine)
    assert "nsd does not start from an empty state" in machine.out("journalctl", "-x", "-n", "50", "-u", "nsd")
    database.unlink()
    assert "/var/lib/nsd/nsd.db is missing" in refused(machine)
    database.write_bytes(whole)
    os.chmod(database, stat.S_IRUSR | stat.S_IWUSR)
    machine.run("systemctl", "reset-failed", "nsd.service")
    machine.run("systemctl", "start", "nsd.service")
    assert machine.is_nsfs("kept")
    assert "kept" in machine.nsc("list")


def test_second_nsd(machine):
    second = machine.run("nsd", "--state-directory", "/var/lib/nsd", "--socket", "/run/second", check=False)
    assert second.returncode == 78
    assert f"pid {machine.main_pid()}" in second.stderr
