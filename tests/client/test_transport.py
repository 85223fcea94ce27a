# SPDX-License-Identifier: GPL-2.0-or-later
"""The way there and back: no daemon, bad daemons, slow daemons, other hosts."""
import json
import os
import signal
import socket
import stat
import subprocess
import time

import pytest

from conftest import NSC, Nsc
from fake import Close, Error, HalfClose, Hang, Raw, message

CODES = {
    "org.varlink.service.InterfaceNotFound": 6, "org.varlink.service.MethodNotFound": 6,
    "org.varlink.service.MethodNotImplemented": 11, "org.varlink.service.InvalidParameter": 6,
    "org.varlink.service.PermissionDenied": 5, "org.varlink.service.ExpectedMore": 6, "InvalidValue": 6, "NotFound": 3,
    "AlreadyExists": 4, "SpecDiffers": 4, "NameTaken": 4, "Busy": 7, "Draining": 7, "Lost": 9, "Foreign": 9,
    "StaleGeneration": 9, "QuotaExceeded": 8, "LimitExceeded": 8, "NotSupported": 11, "NoSuchProcess": 3,
    "KernelError": 12, "StoreError": 13, "ShuttingDown": 7, "TimedOut": 14, "InternalError": 1,
    "com.example.Unheard": 1,
}


@pytest.mark.parametrize("name", CODES)
def test_error_replies(nsc, fake, name):
    fake.on("CreateNamespace", Error(name, message="what is wrong", field="nsid"))
    line = nsc.fails(CODES[name], "add", "x")
    assert "what is wrong" in line
    fake.on("CreateNamespace", Error(name))
    assert len(nsc.fails(CODES[name], "add", "x")) > 8
    fake.on("OpenNamespace", Error(name, message="what is wrong"))
    assert "what is wrong" in nsc.fails(125, "exec", "x", "true")


def test_the_field_is_told(nsc, fake):
    fake.on("CreateLink", Error("InvalidValue", message="too short", field="ends[1].mtu"))
    assert nsc.fails(6, "link", "add", "a") == "too short (ends[1].mtu)"
    fake.on("CreateLink", Error("org.varlink.service.InvalidParameter", parameter="ends[1].shiny"))
    assert "ends[1].shiny" in nsc.fails(6, "link", "add", "a")


def test_delete_goes_on_after_a_failure(nsc, fake):
    fake.on("DeleteNamespace", lambda call: Error("NotFound", message=f"no {call['parameters']['name']}")
            if call["parameters"]["name"] in ("a", "c") else {})
    result = nsc("del", "a", "b", "c", "d")
    assert result.returncode == 3 and result.stderr == "nsc: no a\nnsc: no c\n"
    assert [parameters["name"] for _, parameters in fake.asked()] == ["a", "b", "c", "d"]


# No daemon

def test_not_running(tmp_path):
    line = Nsc(str(tmp_path / "none")).fails(10, "list")
    assert str(tmp_path / "none") in line and "No such file" in line and "systemctl start nsd" in line


def test_dead_socket(tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
    assert "Connection refused" in Nsc(path).fails(10, "list")
    assert "Connection refused" in Nsc(path).fails(125, "exec", "x", "true")


def test_path_too_long():
    assert "longer than 107 bytes" in Nsc("/" + "x" * 108).fails(2, "list")


def test_full_backlog(tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(path)
            assert "does not accept" in Nsc(path).fails(10, "--timeout", "1", "list")


# Bad daemons

@pytest.mark.parametrize("answers, status, text", [
    ([Close()], 10, "closed the connection without an answer"),
    ([Raw(b'{"parameters":{"a'), Close()], 10, "in the middle of an answer"),
    ([Raw(b"nonsense\0")], 15, "no Varlink reply"),
    ([Raw(b"[]\0")], 15, "no Varlink reply"),
    ([Raw(b"\0")], 15, "no Varlink reply"),
    ([Raw(b'{"error":5}\0')], 15, "no Varlink reply"),
    ([Raw(b'{"parameters":{"a":"\xff"}}\0')], 15, "no Varlink reply"),
    ([Raw(message({"a": 1}, continues=True))], 15, "more answers than were asked for"),
])
def test_bad_answer(nsc, fake, answers, status, text):
    fake.on("GetStatus", *answers)
    assert text in nsc.fails(status, "status")


@pytest.mark.parametrize("words", ["list", "monitor", "link list", "call Monitor --more", "pids x"])
def test_dies_in_the_middle_of_a_stream(nsc, fake, words):
    for method in ("ListNamespaces", "Monitor", "ListLinks", "ListProcesses"):
        fake.on(method, {"namespaces": [{"name": "x"}]}, Close())
    result = nsc(*words.split())
    assert result.returncode == 10 and result.stderr.count("\n") == 1
    assert bool(result.stdout) == ("onitor" in words)  # a list is whole or not there


def test_error_in_the_middle_of_a_stream(nsc, fake):
    fake.on("Monitor", {"event": "synced"}, Error("ShuttingDown", message="nsd is stopping"))
    result = nsc("monitor")
    assert result.returncode == 7 and "synced" in result.stdout and result.stderr == "nsc: nsd is stopping\n"


def test_huge_reply(nsc, fake):
    many = [{"name": f"n{i}", "state": "ready", "labels": {"k": "v" * 200}} for i in range(20000)]
    fake.on("ListNamespaces", {"namespaces": many})
    assert nsc.ok("list").count("\n") == 20001
    fake.on("A.B", Raw(b'{"parameters":{"a":"'), Raw(b"x" * (65 << 20)))
    assert "longer than 64 MiB" in nsc.fails(15, "call", "A.B")


def test_byte_by_byte(nsc, fake):
    fake.on("GetStatus", *[Raw(bytes([b])) for b in message({"version": "1.2.3"})])
    assert "1.2.3" in nsc.ok("status")


def test_reply_before_the_request_is_read(fake, tmp_path):
    """A daemon that refuses at once, without reading: its answer is not lost in a broken pipe."""
    path = str(tmp_path / "eager")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        with subprocess.Popen([NSC, "--socket", path, "status"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            connection, _ = listener.accept()
            connection.sendall(message({"message": "too many"}, "io.nsd.Manager.LimitExceeded"))
            connection.shutdown(socket.SHUT_WR)
            _, err = process.communicate(timeout=20)
            connection.close()
    assert process.returncode == 8 and err == "nsc: too many\n"


# Time

@pytest.mark.parametrize("answer", [Hang(), Raw(b'{"param')])
def test_timeout(nsc, fake, answer):
    fake.on("GetStatus", answer, Hang())
    start = time.monotonic()
    assert "no answer from nsd in time" in nsc.fails(14, "status", "--timeout", "1")
    assert 0.9 < time.monotonic() - start < 5


def test_half_open_server(nsc, fake):
    fake.on("GetStatus", HalfClose())
    assert "closed the connection" in nsc.fails(10, "status")


def test_timeout_counts_silence_only(nsc, fake):
    def slow(_):
        time.sleep(0.6)
        return {"event": "synced"}
    fake.on("Monitor", *[slow] * 4)
    assert nsc.ok("monitor", "--timeout", "1").count("synced") == 4


def test_waiting_requests_have_no_limit_unless_given(nsc, fake):
    fake.on("DeleteNamespace", Hang())
    nsc.fails(14, "del", "x", "--wait", "--timeout", "1")


def test_monitor_flushes_each_line(fake):
    fake.on("Monitor", {"event": "synced"}, {"event": "gone", "namespace": {"name": "x"}}, Hang())
    with subprocess.Popen([NSC, "--socket", fake.path, "monitor"], stdout=subprocess.PIPE, text=True) as process:
        assert "synced" in process.stdout.readline() and "gone" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT


def test_reader_that_goes_away(nsc, fake):
    fake.on("ListNamespaces", {"namespaces": [{"name": f"n{i}"} for i in range(50000)]})
    result = subprocess.run(["bash", "-c", '"$0" --socket "$1" list | head -n 1; echo "${PIPESTATUS[0]}"', NSC, fake.path],
                            capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[1] == str(128 + signal.SIGPIPE) and result.stderr == ""


# bridge

def bridge(fake, *words):
    return subprocess.Popen([NSC, "--socket", fake.path, "bridge", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def test_bridge(fake):
    fake.on("GetStatus", {"pid": 5})
    with bridge(fake) as process:
        process.stdin.write(b'{"method":"io.nsd.Manager.GetStatus"}\0')
        process.stdin.flush()
        assert process.stdout.read(len(message({"pid": 5}))) == message({"pid": 5})
        process.stdin.write(b'{"method":"io.nsd.Manager.GetStatus"}\0')
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, message({"pid": 5}), b"")


def test_bridge_delivers_after_half_close(fake):
    def late(_):
        time.sleep(0.5)
        return {"pid": 5}
    fake.on("GetStatus", late)
    with bridge(fake) as process:
        out, _ = process.communicate(b'{"method":"io.nsd.Manager.GetStatus"}\0', timeout=10)
    assert (process.returncode, out) == (0, message({"pid": 5}))


def test_bridge_ends_with_the_daemon(fake):
    fake.on("GetStatus", {"pid": 5}, Close())
    with bridge(fake) as process:
        process.stdin.write(b'{"method":"io.nsd.Manager.GetStatus"}\0')
        process.stdin.flush()
        assert process.wait(10) == 0  # standard input is still open
        assert process.stdout.read() == message({"pid": 5}, continues=True)
        process.stdin = None


def test_bridge_carries_much_both_ways(fake):
    big = {"x": "y" * 5_000_000}
    fake.on("A.B", big)
    with bridge(fake) as process:
        call = json.dumps({"method": "A.B", "parameters": {"z": "w" * 3_000_000}}).encode() + b"\0"
        out, _ = process.communicate(call * 3, timeout=30)
    assert out == message(big) * 3 and process.returncode == 0


def test_bridge_without_a_daemon(tmp_path):
    result = subprocess.run([NSC, "--socket", str(tmp_path / "none"), "bridge"], capture_output=True, check=False,
                            stdin=subprocess.DEVNULL)
    assert result.returncode == 10


# Other hosts

@pytest.fixture
def ssh(tmp_path, fake):
    """A stand-in for ssh that notes its arguments and runs the command here, through a shell as sshd does."""
    script = tmp_path / "ssh"
    log = tmp_path / "ssh.log"
    script.write_text(f"""#!/bin/sh
printf '%s\\n' "$@" >{log}
while [ "$1" != -- ]; do shift; done
shift 2
export NSD_SOCKET={fake.path} PATH={os.path.dirname(NSC)}:$PATH
unset NSC_HOST NSC_SSH
exec sh -c "$*"
""", encoding="utf-8")
    script.chmod(stat.S_IRWXU)
    return {"NSC_SSH": str(script), "NSD_SOCKET": "/nowhere"}, lambda: log.read_text(encoding="utf-8").splitlines()


def test_host(nsc, fake, ssh):
    environment, arguments = ssh
    fake.on("ListNamespaces", {"namespaces": [{"name": "there"}]})
    assert nsc.ok("--host", "root@box", "list", "--names", environment=environment) == "there\n"
    assert arguments() == ["-xT", "-oConnectTimeout=30", "--", "root@box", "nsc", "bridge"]
    assert nsc.ok("list", "--names", environment={**environment, "NSC_HOST": "box"}) == "there\n"


@pytest.mark.parametrize("host, expected", [
    ("box:2222", ["-p", "2222", "--", "box"]), ("ssh://u@box:22", ["-p", "22", "--", "u@box"]),
    ("[fd00::1]:2222", ["-p", "2222", "--", "fd00::1"]), ("u@[fd00::1]", ["--", "u@fd00::1"]), ("fd00::1", ["--", "fd00::1"]),
])
def test_host_forms(nsc, ssh, host, expected):
    nsc.ok("--host", host, "list", environment=ssh[0])
    assert ssh[1]()[2:-2] == expected


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "", "ssh://", "ssh://-x", "@"])
def test_host_that_is_none(nsc, ssh, host):
    if host:
        nsc.fails(2, "--host", host, "list", environment=ssh[0])
    nsc.fails(2, f"--host={host}", "list", environment=ssh[0])


def test_host_socket_is_quoted(nsc, fake, ssh, tmp_path):
    odd = str(tmp_path / "a b';$(touch x)")
    os.symlink(fake.path, odd)
    nsc.ok("--host", "box", "--socket", odd, "list", environment=ssh[0], cwd=tmp_path)
    assert not (tmp_path / "x").exists() and len(fake.calls) == 1


def test_host_sends_numbers_for_processes(nsc, fake, ssh):
    nsc.ok("--host", "box", "attach", "x", "1234", environment=ssh[0])
    nsc.ok("--host", "box", "identify", "1234", environment=ssh[0])
    assert fake.asked() == [("AttachNamespace", {"name": "x", "pid": 1234}), ("IdentifyProcess", {"pid": 1234})]
    assert "Give its PID" in nsc.fails(2, "--host", "box", "identify", environment=ssh[0])
    assert "means nothing" in nsc.fails(2, "--host", "box", "attach", "x", "/proc/1/ns/net", environment=ssh[0])


def test_host_exec(nsc, ssh):
    environment, arguments = ssh
    result = nsc("--host", "box", "exec", "x", "sh", "-c", "it's $HOME", environment=environment)
    assert arguments() == ["-xT", "-oConnectTimeout=30", "--", "box", "nsc", "exec", "'x'", "'sh'", "'-c'",
                           "'it'\\''s $HOME'"]
    assert result.returncode == 125  # of the nsc there: the stand-in sends no descriptor


def test_host_slots(nsc, ssh):
    """Commands run there, where descriptors go; the words are quoted as those of exec are."""
    environment, arguments = ssh
    assert nsc("--host", "box", "slot", "exec", "web.17", "ls", "a b", environment=environment).returncode == 125
    assert arguments()[-5:] == ["nsc", "slot exec", "'web.17'", "'ls'", "'a b'"]
    assert nsc("--host", "box", "slot", "run", "web", "--key", "$x", "--", "ls", environment=environment).returncode == 125
    assert arguments()[-7:] == ["nsc", "slot run", "'web'", "'--key'", "'$x'", "'--'", "'ls'"]
    assert "run nsc there" in nsc.fails(2, "--host", "box", "slot", "get", "web", "--pid", "1", environment=environment)


@pytest.mark.parametrize("end, text", [("exit 255", "ssh cannot reach box"), ("exit 127", "no nsc in the PATH of box"),
                                       ("exit 3", "ended with status 3"), ("exit 0", "box closed the connection")])
def test_host_failures(nsc, tmp_path, end, text):
    script = tmp_path / "ssh"
    script.write_text(f"#!/bin/sh\n{end}\n", encoding="utf-8")
    script.chmod(stat.S_IRWXU)
    assert text in nsc.fails(10, "--host", "box", "list", environment={"NSC_SSH": str(script)})


def test_host_without_ssh(nsc):
    assert "no ssh here" in nsc.fails(10, "--host", "box", "list", environment={"NSC_SSH": "/nowhere/ssh"})
    assert "cannot run" in nsc.fails(125, "--host", "box", "exec", "x", "true", environment={"NSC_SSH": "/nowhere/ssh"})


def test_host_timeout_leaves_no_ssh_behind(nsc, tmp_path):
    script = tmp_path / "ssh"
    script.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 60\n", encoding="utf-8")
    script.chmod(stat.S_IRWXU)
    nsc.fails(14, "--timeout", "1", "--host", "box", "list", environment={"NSC_SSH": str(script)})
    assert not os.path.exists(f"/proc/{(tmp_path / 'pid').read_text().strip()}")
