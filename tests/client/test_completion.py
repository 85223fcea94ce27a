# SPDX-License-Identifier: GPL-2.0-or-later
"""What is offered when someone presses Tab: by `nsc completion`, and by the bash script on top of it."""
import os
import pathlib
import subprocess

import pytest

from conftest import NSC

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "client" / "nsc.bash"
NAMESPACES = {"namespaces": [{"name": "kod"}, {"name": "nstest"}, {"name": "$(touch x)"}, {"name": "a b"}, {"name": ""}]}
LINKS = {"links": [{"name": "uplink", "ends": [{"interface": "veth-a"}, {"interface": "eth0", "namespace": "kod"}]}]}
NETWORKS = {"networks": [{"name": "web"}, {"name": "build"}, {"name": "`x`"}]}
SLOTS = {"slots": [{"name": "web.1"}, {"name": "web.17"}, {"name": "build.2"}]}
DESCRIPTION = {"description": "interface io.nsd.Manager\n\n# method Not()\nmethod GetStatus() -> ()\nmethod Monitor() -> ()\n"}


@pytest.fixture(autouse=True)
def live(fake):
    fake.on("ListNamespaces", NAMESPACES).on("ListLinks", LINKS).on("ListNetworks", NETWORKS).on("ListSlots", SLOTS)
    fake.on("org.varlink.service.GetInterfaceDescription", DESCRIPTION)


CASES = {
    ("",): {"add", "exec", "link", "monitor", "help"},
    ("mo",): {"monitor"},
    ("link", ""): {"add", "del", "list", "set", "show", "ensure", "repair"},
    ("link", "s"): {"set", "show"},
    ("--j",): {"--json"},
    ("del", ""): {"kod", "nstest"},
    ("del", "k"): {"kod"},
    ("del", "kod", "--"): {"--wait", "--json"},
    ("exec", ""): {"kod", "nstest"},
    ("--json", "show", "n"): {"nstest"},
    ("add", "x", "n"): {"no-loopback", "nsid"},
    ("add", "x", "nsid", ""): set(),
    ("set", "kod", "loopback", ""): {"up", "down"},
    ("link", "add", "a", "type", ""): {"veth", "bridge"},
    ("link", "add", "a", "netns", ""): {"kod", "nstest"},
    ("link", "add", "a", "peer", "b", "nam"): {"name", "namespace"} - {"namespace"},
    ("link", "show", ""): {"uplink", "veth-a", "eth0"},
    ("link", "set", "v"): {"veth-a"},
    ("call", "Get"): {"GetStatus"},
    ("help", "mon"): {"monitor"},
    ("--socket", ""): set(),
    ("add", ""): set(),
    ("frob", ""): set(),
    ("status", ""): set(),
    ("exec", "kod", ""): {":command 2"},
    ("--json", "exec", "kod", "ping", "-c"): {":command 3"},
    ("exec", "kod", "--", ""): {":command 3"},
    ("network", ""): {"add", "set", "del", "list", "show", "repair"},
    ("network", "show", ""): {"web", "build"},
    ("network", "add", "x", "--i"): {"--ipv4", "--ipv6", "--isolation"},
    ("network", "add", "x", "--egress", ""): {"none", "routed", "masquerade"},
    ("pool", "set", "w"): {"web"},
    ("pool", "set", "web", "--"): {"--ready", "--maximum"},
    ("slot", ""): {"get", "release", "renew", "list", "show", "explain", "exec", "run"},
    ("slot", "get", ""): {"web", "build"},
    ("slot", "get", "web", "--bond", ""): {"process", "time", "nothing"},
    ("slot", "get", "web", "--empty", "f"): {"fail"},
    ("slot", "list", "b"): {"build"},
    ("slot", "release", "web."): {"web.1", "web.17"},
    ("slot", "exec", "b"): {"build.2"},
    ("slot", "exec", "web.1", ""): {":command 3"},
    ("slot", "run", ""): {"web", "build"},
    ("slot", "run", "web", "--k"): {"--key"},
    ("slot", "run", "web", "--key", ""): set(),
    ("slot", "run", "web", "--key", "k", "--empty", ""): {"create", "fail"},
    ("slot", "run", "web", "--key", "k", "--", ""): {":command 6"},
    ("slot", "run", "web", "--key", "k", "ping", "-c"): {":command 5"},
    ("--json", "slot", "run", "web", "ping", ""): {":command 4"},
}


@pytest.mark.parametrize("words", CASES)
def test_words(nsc, words):
    offered = set(nsc.ok("completion", "--", *words).splitlines())
    assert CASES[words] <= offered
    if CASES[words] == set() or words[-1]:
        assert all(word.startswith(words[-1]) or word.startswith(":command") for word in offered)
    if CASES[words] == set():
        assert offered == set()
    assert not any(" " in word and not word.startswith(":") or "$" in word for word in offered)


def test_positional_names_come_before_words(nsc):
    assert set(nsc.ok("completion", "--", "set", "").split()) == {"kod", "nstest"}


def test_without_a_daemon(tmp_path):
    result = subprocess.run([NSC, "--socket", str(tmp_path / "none"), "completion", "--", "del", ""], capture_output=True,
                            text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def bash(fake, tmp_path, *words):
    """COMPREPLY of bash for these words."""
    script = """
        . "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
        $(complete -p nsc | sed 's/.*-F \\([^ ]*\\) .*/\\1/') nsc "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "NSD_SOCKET": fake.path, "PATH": f"{os.path.dirname(NSC)}:{os.environ['PATH']}"}
    result = subprocess.run(["bash", "-c", script, "bash", str(SCRIPT), *words], capture_output=True, text=True, check=False,
                            cwd=tmp_path, env=environment)
    assert result.stderr == "", result
    return set(result.stdout.split("\n")) - {""}


def test_bash(fake, tmp_path):
    assert bash(fake, tmp_path, "nsc", "mo") == {"monitor"}
    assert bash(fake, tmp_path, "nsc", "del", "") == {"kod", "nstest"}
    assert bash(fake, tmp_path, "nsc", "link", "s") == {"set", "show"}
    assert bash(fake, tmp_path, "nsc", "link", "add", "a", "peer", "b", "netns", "k") == {"kod"}
    assert not (tmp_path / "x").exists()


def test_bash_hands_commands_on(fake, tmp_path):
    (tmp_path / "only-file").write_text("", encoding="utf-8")
    assert "only-file" in bash(fake, tmp_path, "nsc", "exec", "kod", "cat", "only-")
