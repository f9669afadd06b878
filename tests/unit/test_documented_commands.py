"""Each command, key and anchor in the documents is one that exists."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from cli import app
from cluster_tables import read_tables

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A message says `memberflow resume prod etcd-4`, and a sentence `memberflow up`: each is a span of code.
SPAN = re.compile(r"`(memberflow [^`]+)`")
# Some examples show a table's inner tables alone.
REST = '[clusters.prod]\nendpoints = ["https://10.0.0.11:2379"]\nca = "ca.crt"\n'


def shell_lines(text):
    """The commands of the blocks for a shell, without comments and continued lines."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield from re.split(r"&&|\|\||;|(?<!<)\|", line)


def commands_in(text):
    """The words after `memberflow` of each command that a page tells a person to run."""
    told = [line for line in shell_lines(text) if re.match(r"\s*(?:until |while |if |! )*memberflow ", line)]
    for command in told + SPAN.findall(text):
        yield re.sub(r"[<>&].*$|\$\(.*$", "", command[command.index("memberflow ") + 11 :])


def commands():
    return [(page.name, command) for page in PAGES for command in commands_in(page.read_text())]


@pytest.mark.parametrize(("page", "command"), commands())
def test_every_command_exists_with_its_options(page, command):
    """A command or an option that gets another name gets it in the documents, too."""
    words = shlex.split(command, comments=True)
    found = get_command(app)
    while words and hasattr(found, "commands"):
        name = words.pop(0)
        if name.startswith("-"):
            return
        assert {*name.split("|")} <= {*found.commands}, f"{page}: no such command: {name}"
        found = found.commands[name.partition("|")[0]]
    options = {flag for parameter in found.params for flag in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= options, f"{page}: `memberflow {command}` has unknown options"


def tables():
    """The examples of a clusters file."""
    for page in PAGES:
        text = page.read_text()
        blocks = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        blocks += re.findall(r"<<'TOML'\n(.*?)^TOML", text, re.MULTILINE | re.DOTALL)
        yield from (
            (page.name, block) for block in blocks if re.search(r"^\[(?:clusters|launchers)\.", block, re.MULTILINE)
        )


@pytest.mark.parametrize(("page", "table"), list(tables()))
def test_every_example_of_a_clusters_file_is_read(page, table):
    """Each key in it exists, and each value is one that memberflow takes."""
    read = read_tables(
        table if re.search(r"^(endpoints|image|discovery_srv) = ", table, re.MULTILINE) else REST + table
    )
    assert read.wrong == {}, page
    assert {*tomllib.loads(table)} <= {"clusters", "launchers", "notify"}


def variables(text):
    """The environment variables of memberflow that a text names."""
    return {*re.findall(r"\bMEMBERFLOW_[A-Z_]+\b", text)}


def test_every_variable_is_read_and_documented():
    """A page names no variable that nothing reads, and the reference names every variable that the code reads."""
    told = set().union(*(variables(page.read_text()) for page in PAGES))
    packages = [init.parent for init in ROOT.glob("*/__init__.py")]
    modules = [*ROOT.glob("*.py"), *(path for package in packages for path in package.rglob("*.py"))]
    read = set().union(*(variables(path.read_text()) for path in modules))
    assert told <= read
    assert variables((ROOT / "docs" / "reference.md").read_text()) == read


def slug(heading):
    """The anchor of a heading, as GitHub makes it."""
    plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower())
    return plain.strip().replace(" ", "-")


def anchors(path):
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)}


def test_every_anchor_of_a_link_exists():
    """A link to a section that has another title now leads to the top of the page."""
    broken = []
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)\s#:]*)#([^)\s]+)\)", page.read_text()):
            path = page.parent / target if target else page
            if path.suffix == ".md" and anchor not in anchors(path):
                broken.append(f"{page.name}: {target}#{anchor}")
    assert broken == []


def test_a_command_is_found_wherever_it_stands():
    """In a block, after another command, and in a sentence."""
    page = (
        "Run `memberflow a --b`.\n```sh\nmemberflow c > x && memberflow d\nuntil memberflow e; do\n```\nmemberflow no\n"
    )
    assert [words.strip() for words in commands_in(page)] == ["c", "d", "e", "a --b"]
    assert slug("`[clusters.NAME.policy]` and *more*") == "clustersnamepolicy-and-more"
