# SPDX-License-Identifier: GPL-2.0-or-later
"""Interoperation with software that knows nothing of nsd: Debian's Go Varlink package as a client, its interface
generator, and its certification client against nsd's own wire layer."""
import os
import pathlib
import shutil
import subprocess

from nsdtest import kernel, poll
from nsdtest.daemon import BUILD

SOURCE = pathlib.Path(__file__).resolve().parent.parent / "interop"
GOPATH = "/usr/share/gocode"


def go(host, *words, gopath=GOPATH):
    """Runs the Go tool offline, with Debian's packages as they are installed."""
    environment = {**os.environ, "GOPATH": gopath, "GO111MODULE": "off", "GOFLAGS": "", "GOCACHE": str(host.path("gocache")),
                   "CGO_ENABLED": "0", "GOPROXY": "off", "HOME": str(host.path("home"))}
    return kernel.run("go", *words, env=environment, timeout=120)


def test_go_client(nsd, host):
    """Information, introspection, typed errors, calls, `more` lists and monitor, oneway."""
    program = host.path("go-client")
    go(host, "build", "-o", program, SOURCE / "client.go")
    output = kernel.run(program, f"unix:{nsd.socket}").stdout.splitlines()
    assert output[-1] == "done"
    for line in ("GetInfo", "parse io.nsd.Manager", "parse io.systemd.service", "parse org.varlink.service",
                 "MethodNotFound", "InterfaceNotFound", "InvalidParameter", "NotFound", "Monitor: synced ",
                 "Monitor: gone foreign-client"):
        assert line in output, output
    assert kernel.netns_files() == []


def test_go_generator(client, host):
    """The generator takes every description of ours, and what it makes of them compiles. It knows only the first grammar
    of interface names, without capital letters: the name, and nothing else, is given to it in small letters."""
    for name in ("io.nsd.Manager", "io.systemd.service"):
        text = client.call("org.varlink.service.GetInterfaceDescription", interface=name)["description"]
        package = name.replace(".", "").lower()
        directory = host.path("go") / "src" / package
        directory.mkdir(parents=True)
        text = text.replace(f"interface {name}\n", f"interface {name.lower()}\n")
        (directory / f"{name}.varlink").write_text(text, encoding="utf-8")
        kernel.run("varlink-go-interface-generator", directory / f"{name}.varlink")
        go(host, "vet", package, gopath=f"{host.path('go')}:{GOPATH}")


def test_certification(host):
    """Every step of org.varlink.certification, called by Debian's client."""
    socket = host.path("certification")
    server = host.popen(BUILD / "tests/interop/certification-server", socket, stderr=subprocess.PIPE)
    poll.until(lambda: socket.exists() or server.poll() is not None, "the server listens")
    for _ in range(2):
        output = kernel.run("varlink-go-certification", "-client", "-varlink", f"unix:{socket}").stdout
        steps = [line.split(":")[0].removesuffix("()") for line in output.splitlines() if not line.startswith(" ")]
        assert steps == ["Start", *(f"Test{number:02}" for number in range(1, 10)), "Test10() Send", "Test10", "Test11",
                         "End"], output
        assert output.endswith("End: 'true'\n"), output
        assert "Reply number 10" in output
    server.terminate()
    assert server.wait(5) == 0


def test_certification_description_is_the_published_one(host):
    """The server's copy of the description and Debian's say the same, comments aside."""
    from nsdtest import idl
    from nsdtest.varlink import Client
    socket = host.path("certification")
    server = host.popen(BUILD / "tests/interop/certification-server", socket)
    poll.until(socket.exists, "the server listens")
    published = pathlib.Path(GOPATH, "src/github.com/varlink/go/cmd/varlink-go-certification/orgvarlinkcertification",
                             "org.varlink.certification.varlink")
    with Client(socket) as client:
        text = client.call("org.varlink.service.GetInterfaceDescription", interface="org.varlink.certification")
        ours, theirs = idl.Interface(text["description"]), idl.Interface(published.read_text(encoding="utf-8"))
    assert (ours.types, ours.methods, ours.errors) == (theirs.types, theirs.methods, theirs.errors)
    server.terminate()
    assert server.wait(5) == 0


def test_socat(nsd):
    """Without any client: printf and socat, which half-closes after its call."""
    assert shutil.which("socat")
    call = b'{"method":"org.varlink.service.GetInfo"}\0'
    result = subprocess.run(["socat", "-t5", "-", f"UNIX-CONNECT:{nsd.socket}"], input=call, capture_output=True,
                            check=True, timeout=10)
    assert result.stdout.endswith(b"\0") and b'"io.nsd.Manager"' in result.stdout
