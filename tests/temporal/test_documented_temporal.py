"""The commands of Temporal's own command line in the documents are commands that it has."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from local.temporal_server import temporal_cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands():
    """In blocks for a shell, and in spans of code."""
    for page in PAGES:
        text = page.read_text()
        blocks = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
        told = re.findall(r"^temporal .+$", blocks, re.MULTILINE) + re.findall(r"`(temporal [a-z][^`]+)`", text)
        yield from ((page.name, command) for command in told)


def ask(*words):
    return subprocess.run([temporal_cli(), *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("page", "command"), list(commands()))
def test_every_command_of_temporal_exists_with_its_options(page, command, server):
    """Temporal knows each word and each option. A query for its list is one that it can answer."""
    _, *words = shlex.split(command, comments=True)
    options = [word for word in words if re.match(r"--?[a-z]", word)]
    names = words[: words.index(options[0])] if options else words
    known = ask(*names, "--help").stdout
    assert f"temporal {' '.join(names)} " in known
    known += ask("options").stdout
    for option in options:
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", known), f"{page}: {option}"
    if "--query" in words:
        listed = ask(*words, "--address", server.address)
        assert listed.returncode == 0, listed.stderr
