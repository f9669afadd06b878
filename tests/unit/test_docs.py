"""The documents and the code agree, and files keep a readable size."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from cli import app
from client import exit_codes as codes
from membership.failures import Failure, runbook
from support.parts.etcd_versions import MINORS, exact
from tools.versions.courses import MIXES, TOO_OLD
from tools.write_reference import render

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
CHANGELOG = ROOT / "CHANGELOG.md"
REFERENCE = ROOT / "docs" / "reference.md"
RUNBOOK = ROOT / "docs" / "runbook.md"
DESIGN = ROOT / "docs" / "design.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
# In a linked worktree of Git `.git` is a file, with the path of the repository in it.
SKIPPED = ("build", "node_modules", "__pycache__", ".git")

PRODUCT_LINES = 260
TEST_LINES = 360
FUNCTION_LINES = 50


def files(pattern="*"):
    """The repository's own files: nothing hidden but `.ci`, nothing built."""
    for path in sorted(ROOT.rglob(pattern)):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
        if path.is_file() and not hidden and not any(part in SKIPPED or part.endswith(".egg-info") for part in parts):
            yield path


def documents():
    yield from (README, CHANGELOG, CONTRIBUTING, ROOT / "deploy" / "README.md", ROOT / "local" / "etcd" / "README.md")
    yield from sorted((ROOT / "docs").rglob("*.md"))


def prose(text):
    """Markdown without its blocks and spans of code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *(```|~~~).*?^ *\1", "", text, flags=re.DOTALL | re.MULTILINE))


# ---- README, reference, contributing ----


def verbs(command, *above):
    """Every command that a person can type, from the command line itself."""
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from verbs(inner, *above, name)
        elif not inner.hidden:
            yield " ".join((*above, name))


def unnamed(names, text, before):
    """Those that the text has neither after one of the words in `before` nor first in a span of code."""
    return [name for name in names if not re.search(rf"(?:{before} |`){re.escape(name)}(?![\w-])", text)]


def exit_codes():
    return {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, int)}


def untold_codes(text):
    """Exit codes that are not told after the words "exit code", up to the next heading."""
    parts = re.findall(r"exit codes?\b.*?(?=^#|\Z)", text, flags=re.IGNORECASE | re.DOTALL | re.MULTILINE)
    told = {int(number) for part in parts for number in re.findall(r"(?<![\w.])\d+(?![\w.]*\d)", part)}
    return exit_codes() - told


def targets():
    """What the Makefile does for people; `clean` explains itself."""
    found = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found
    return [target for target in found[1].split() if target != "clean"]


def test_the_readme_fits_on_one_screen():
    """A newcomer reads 700 words, and no more."""
    assert len(README.read_text().split()) <= 700


def test_the_reference_names_every_command():
    """A command that is missing there cannot be found."""
    assert unnamed(verbs(get_command(app)), REFERENCE.read_text(), "memberflow") == []


def test_the_reference_is_fresh():
    """Its tables are those that the command line and the models give today; `make reference` writes them."""
    assert render(REFERENCE.read_text()) == REFERENCE.read_text(), "run `make reference`"


def test_contributing_names_every_make_target():
    """With `make` in front, or as a span of code."""
    assert unnamed(targets(), CONTRIBUTING.read_text(), "make") == []


def test_exit_codes_are_documented():
    """Where authors of scripts look: in the reference and in `memberflow --help`."""
    assert untold_codes(REFERENCE.read_text()) == set()
    assert untold_codes(app.info.epilog or "") == set()


def test_what_is_looked_for_can_be_missed():
    """The searches above do not find what isn't there."""
    text = "Exit codes: 0, 1.2 and 130.\n# Next\n5 members. Run `memberflow joining` or `make tests`, then `env X`."
    assert unnamed(["join", "env", "dev x"], text, "memberflow") == ["join", "dev x"]
    assert unnamed(["test", "stubs"], text, "make") == ["test", "stubs"]
    assert untold_codes(text) == exit_codes() - {0, 130}


# ---- the runbook ----


def cells(row):
    return [cell.strip() for cell in row.strip("|").split("|")]


def explained(text):
    """Names in the first column of a table, in rows with a text under `why` and under `do`."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        titles, _, *rows = map(cells, table.splitlines())
        for row in rows:
            filled = {title for title, cell in zip(titles, row, strict=True) if cell}
            if {"why", "do"} <= filled:
                yield from re.findall(r"`(\w+)`", row[0])


@pytest.mark.parametrize("failure", Failure)
def test_the_runbook_explains_a_failure_in_the_section_that_the_failure_names(failure):
    """Temporal's UI and the failure itself lead there."""
    path, _, anchor = runbook(failure).partition("#")
    title = anchor.replace("-", " ").capitalize()
    (section,) = re.findall(rf"^## {title}\n(.*?)^## ", (ROOT / path).read_text(), re.MULTILINE | re.DOTALL)
    assert f"`{failure}`" in section


def test_the_runbook_explains_every_failure():
    """An operator finds the type of a failed workflow there, with its reason and the next step."""
    assert {failure.value for failure in Failure} - set(explained(RUNBOOK.read_text())) == set()


def test_only_a_row_with_reason_and_next_step_explains():
    """A name in a cell without them, or outside a table, explains nothing."""
    table = "| type | why | do |\n|---|---|---|\n| `A`, `B` … `c d` | w | `C` |\n| `D` | | d |\n| `E` | w | |\n"
    other = "| type | do |\n|---|---|\n| `F` | d |\n"
    assert list(explained(f"`G`\n\n{table}\n{other}")) == ["A", "B"]


def rows(text):
    """The cells of every row of every table."""
    return [cells(line) for line in text.splitlines() if line.startswith("|")]


def test_warnings_and_no_failure_leave_the_exit_code_at_0():
    """The reference and the runbook agree which names only warn."""
    warnings = {row[0].strip("`") for row in rows(REFERENCE.read_text()) if row[1] == "a warning"}
    assert warnings == {row[0].strip("`") for row in rows(RUNBOOK.read_text()) if row[1] == "0"}


# ---- the versions ----


def test_the_table_of_versions_names_the_releases_that_the_tests_build():
    """It was made with them, in every combination that `make versions` runs; and none failed."""
    page = (ROOT / "docs" / "versions.md").read_text()
    assert f"with etcd {', '.join(exact(minor) for minor in MINORS)}." in page
    assert [row[0] for row in rows(page)[2:]] == [str(mix) for mix in (*MIXES, *TOO_OLD)]
    assert "FAILED" not in page


# ---- the changelog ----

SECTION = re.compile(r"\[Unreleased\]|\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d(?: \[YANKED\])?")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def headings(text, level):
    return re.findall(rf"^{'#' * level} (.+?) *$", text, re.MULTILINE)


def test_the_changelog_keeps_the_form():
    """Keep a Changelog's: dated versions, the newest first, changes by their kind."""
    sections = [SECTION.fullmatch(title) for title in headings(CHANGELOG.read_text(), 2)]
    assert sections
    assert all(sections), headings(CHANGELOG.read_text(), 2)
    versions = [tuple(map(int, found.groups())) for found in sections if found and found[1]]
    assert versions == sorted(set(versions), reverse=True)
    assert set(headings(CHANGELOG.read_text(), 3)) <= KINDS


def test_the_changelog_knows_todays_version():
    """Or what is still unreleased."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    titles = headings(CHANGELOG.read_text(), 2)
    assert any(title.startswith(("[Unreleased]", f"[{version}]")) for title in titles), titles


# ---- links ----


def links(text):
    """Where a document points to inside the repository."""
    text = prose(text)
    found = re.findall(r"\]\(<?([^)\s>]+)", text) + re.findall(r"^\[[^]]+\]: *<?([^\s>]+)", text, re.MULTILINE)
    inside = (target.split("#")[0] for target in found if not re.match(r"[a-z][a-z0-9+.-]*:", target))
    return [target for target in inside if target]


def test_links_are_found_in_every_form():
    """Inline, image, with a title, by reference; neither other sites nor code are links of ours."""
    text = "[a](x.md#there) ![b](y.png 'b') [c][d] [e](https://x/z.md) [f](#here) `[g](g.md)`\n\n[d]: w.md\n"
    code = "```\n[h](h.md)\n```\n"
    assert links(text + code) == ["x.md", "y.png", "w.md"]


def test_every_relative_link_leads_somewhere():
    """To a file or folder of this repository."""
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in documents()
        for target in links(path.read_text())
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_names_stand_in_the_files_where_the_list_of_places_has_them():
    """`NAME` in [file](file): a name that moved would send a newcomer to the wrong file."""
    places = DESIGN.read_text().split("## Where things are", 1)[1]
    named = re.findall(r"`([\w.]+)` (?:in|of) \[[^]]+\]\(([^)]+)\)", places)
    missing = [f"{name}: {target}" for name, target in named if not stands_in(name, DESIGN.parent / target)]
    assert len(named) > 10
    assert missing == []


def stands_in(name, path):
    """Whether each part of a dotted name is defined in the file."""
    text = path.read_text()
    return all(re.search(rf"\b{part}\b *[(=:]", text) for part in name.split("."))


# ---- sizes ----


def too_long(text, budget):
    """The parts of a module that exceed the budget."""
    lines = len(text.splitlines())
    if lines > budget:
        yield f"{lines} lines: split the file by purpose"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{node.name} has {length} lines: give its parts names"


def test_sizes_stay_readable():
    """Without generated files. A file that needs more room has a second purpose."""
    found = []
    for path in files("*.py"):
        parts = path.relative_to(ROOT).parts
        if "stubs" not in parts:
            budget = TEST_LINES if parts[0] == "tests" else PRODUCT_LINES
            found += [f"{'/'.join(parts)}: {what}" for what in too_long(path.read_text(), budget)]
    assert found == []


def test_what_is_too_long_is_found():
    """A function as well as a file, one line over its budget."""
    function = "def f():\n" + "    pass\n" * FUNCTION_LINES
    assert list(too_long(function, FUNCTION_LINES + 1)) == ["f has 51 lines: give its parts names"]
    assert list(too_long("\n" * 11, 10)) == ["11 lines: split the file by purpose"]


def test_no_two_test_files_share_a_name():
    """Of two modules with one name pytest collects one, wherever they are."""
    names = [path.name for path in files("test_*.py")]
    assert sorted(names) == sorted(set(names))


# ---- nothing of a developer's machine ----

# Written so that this file doesn't match itself.
SOMEBODYS = re.compile(r"(?<![\w.-])/(?:work|Users)/\w")


def test_no_file_names_somebodys_folders():
    """A path of the machine where something was written or recorded helps nobody elsewhere."""
    found = [str(path.relative_to(ROOT)) for path in files() if SOMEBODYS.search(path.read_text(errors="ignore"))]
    assert found == []
