# SPDX-License-Identifier: GPL-2.0-or-later
"""A booted systemd in a container (systemd-nspawn) and the ways to look into it."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

REBOOT = 133  # how nspawn ends when the system inside reboots


def wait_for(condition, what, seconds=10.0):
    """The first true value of condition(), which is asked again and again."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"in {seconds} s not so: {what}"
        time.sleep(0.02)


class Machine:
    """The files lie in `root`; PID 1 of the system is `leader` as seen from here."""

    source = pathlib.Path(__file__).parents[2]
    settings = os.environ.get("NSD_BOOT_SETTINGS")  # the folder of nsd.conf

    def __init__(self, root, console):
        self.root = pathlib.Path(root)
        self.console = console
        self.nspawn = None
        self.leader = None

    # ---- files ----

    def path(self, name):
        return self.root / name.lstrip("/")

    def write(self, name, text):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def remove(self, name):
        path = self.path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.is_symlink() or path.exists():
            path.unlink()

    def prepare(self):
        """Makes the copy of this machine's files a host that starts nothing but systemd's own basic services."""
        for name in ("/etc/machine-id", "/var/lib/dbus/machine-id", "/var/lib/nsd", "/var/lib/systemd/random-seed"):
            self.remove(name)
        machine_id = subprocess.run(["systemd-id128", "new"], check=True, capture_output=True, text=True).stdout
        self.write("/etc/machine-id", machine_id)
        for directory in self.path("/etc/systemd/system").glob("*.wants"):
            self.remove(f"/etc/systemd/system/{directory.name}")
        for directory in self.path("/etc").glob("rc?.d"):
            self.remove(f"/etc/{directory.name}")
        for generator in self.path("/usr/lib/systemd/system-generators").iterdir():
            if not generator.name.startswith("systemd-"):
                self.mask(f"/etc/systemd/system-generators/{generator.name}")
        for unit in ("getty.target", "console-getty.service", "dbus.socket", "dbus.service", "systemd-logind.service",
                     "systemd-update-utmp.service", "systemd-sysctl.service", "dev-hugepages.mount"):
            self.mask(f"/etc/systemd/system/{unit}")
        # The unit forbids ptrace(), by which a build with sanitizers would look for leaks when it ends.
        self.write("/etc/systemd/system.conf.d/test.conf", "[Manager]\nDefaultEnvironment=ASAN_OPTIONS=detect_leaks=0\n")
        for entry in self.path("/run").iterdir():
            self.remove(f"/run/{entry.name}")

    def mask(self, name):
        self.remove(name)
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).symlink_to("/dev/null")

    # ---- the system ----

    def boot(self):
        assert self.nspawn is None
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--console=pipe",
             f"--directory={self.root}", "--boot", "systemd.log_target=journal", "systemd.unit=multi-user.target"],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console)
        self.leader = wait_for(self.find_leader, "nspawn has started the system", 20)
        wait_for(self.is_up, "the system is up", 60)

    def find_leader(self):
        assert self.nspawn.poll() is None, "nspawn ended at once; see the console"
        text = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text()
        for pid in text.split():
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                return int(pid)
        return None

    def is_up(self):
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def ended(self):
        code = self.nspawn.wait(60)
        self.nspawn = self.leader = None
        return code

    def reboot(self):
        """An orderly reboot."""
        self.run("systemctl", "reboot", check=False)
        assert self.ended() == REBOOT
        self.boot()

    def crash(self):
        """The whole machine dies at once, and is started again."""
        os.kill(self.leader, signal.SIGKILL)
        self.ended()
        self.boot()

    def power_off(self):
        if self.nspawn is None:
            return
        self.run("systemctl", "poweroff", check=False)
        try:
            self.nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
        self.nspawn = None

    # ---- inside ----

    def command(self, *words):
        """The words as a command for this machine that runs in all namespaces of the system's PID 1."""
        return ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "--",
                "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
                "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0", *map(str, words)]

    def run(self, *words, check=True, input=None, timeout=60):
        done = subprocess.run(self.command(*words), input=input, capture_output=True, text=True, timeout=timeout)
        assert not check or done.returncode == 0, \
            f"{' '.join(map(str, words))}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def out(self, *words, **options):
        return self.run(*words, **options).stdout.strip()

    def nsc(self, *words, **options):
        return self.out("nsc", *words, **options)

    def call(self, method, parameters=None):
        """One call by socat, as the manual page shows it; the reply's parameters."""
        message = {"method": method}
        if parameters is not None:
            message["parameters"] = parameters
        reply = self.run("socat", "-t5", "-", "UNIX-CONNECT:/run/nsd/io.nsd.Manager", input=json.dumps(message) + "\0")
        answer = json.loads(reply.stdout.rstrip("\0"))
        assert "error" not in answer, answer
        return answer.get("parameters", {})

    def show(self, unit, prop):
        return self.out("systemctl", "show", "--value", f"--property={prop}", unit)

    def main_pid(self):
        return int(self.show("nsd.service", "MainPID"))

    def journal(self, *words):
        self.run("journalctl", "--sync")
        return self.out("journalctl", "--no-pager", "--output=cat", *words)

    def is_nsfs(self, name):
        """Does the host, PID 1's mount namespace, see a namespace there, and no empty file?"""
        return self.run("stat", "-f", "-c", "%T", f"/run/netns/{name}", check=False).stdout.strip() == "nsfs"

    def drop_in(self, name, text, unit="nsd.service"):
        self.write(f"/etc/systemd/system/{unit}.d/{name}.conf", text)
        self.run("systemctl", "daemon-reload")

    def drop_out(self, unit="nsd.service"):
        self.remove(f"/etc/systemd/system/{unit}.d")
        self.run("systemctl", "daemon-reload")
