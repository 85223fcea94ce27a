# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual against the tables: every verb, word, option and exit status is in it, and no other."""
import pathlib
import re

import pytest

FAMILIES = ("link", "network", "pool", "slot")
PAGE = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "nsc.1"


@pytest.fixture
def page():
    text = PAGE.read_text(encoding="utf-8")
    return re.sub(r"\\f[BIRP]", "", text).replace("\\-", "-").replace("\\&", "")


def section(page, title):
    return re.search(rf"^\.SH {title}\n(.*?)(?=^\.SH |\Z)", page, re.M | re.S).group(1)


def verbs(nsc):
    words = nsc.ok("completion", "--", "").split()
    second = [f"{first} {word}" for first in FAMILIES for word in nsc.ok("completion", "--", first, "").split()]
    return [word for word in words if word not in FAMILIES] + second


def test_verbs(nsc, page):
    told = re.findall(r"^(?:\.TP\n)(?:\.B )?((?:(?:link|network|pool|slot) )?[a-z]+)(?= |\n)", page, re.M)
    for verb in verbs(nsc):
        assert verb in told, verb


def test_words(nsc, page):
    for verb in verbs(nsc):
        words = re.findall(r"^  (-{0,2}[a-z]+(?:-[a-z]+)*[46]?)(?= |$)", nsc.ok("help", *verb.split()), re.M)
        for word in words:
            assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", page), (verb, word)
        for alias in re.findall(r"\(also: (\w+)\)", nsc.ok("help", *verb.split())):
            assert re.search(rf"\b{alias}\b", page), (verb, alias)


def test_options(nsc, page):
    told = set(re.findall(r"--[a-z]+", section(page, "OPTIONS"))) - {"--more", "--wait"}
    assert told == set(nsc.ok("completion", "--", "--").split())


def test_exit_statuses(nsc, page):
    listed = {}
    for line in nsc.ok("help", "exit").splitlines()[1:]:
        status, meaning = line.split(maxsplit=1)
        listed[status] = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w*|\b(?:Busy|Draining|Lost|Foreign)\b", meaning))
    told = {status: text for status, text in re.findall(r"^\.B (\d+)\n(.*?)(?=^\.TP|^\.PP|\Z)",
                                                        section(page, "EXIT STATUS"), re.M | re.S)}
    assert listed.keys() == told.keys()
    for status, names in listed.items():
        for name in names - {"Varlink"}:
            assert name in told[status], (status, name)


def test_environment(page):
    sources = "".join(path.read_text(encoding="utf-8") for path in PAGE.parent.parent.glob("client/*.c"))
    for name in re.findall(r'getenv\("(\w+)"\)', sources):
        assert re.search(rf"\b{name}\b", section(page, "ENVIRONMENT")), name
