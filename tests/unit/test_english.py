"""The texts of the product are plain English, as far as a script can tell."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# How often each may occur in 1,000 words. The model codebases have 0 to 0.3 of the first three, and 2.5 semicolons.
LIMITS = {
    r"\bwhat\b(?![^.\n]*\?)": 0.3,
    r"\b(no|some|every)body\b|\bwhoever\b": 0.3,
    r"\bthe ones?\b|\bones? that\b": 0.3,
    ";": 2.5,
}


@cache
def texts():
    """Every text of the product, with its file."""
    return [(path, text) for path in product_files() for text in prose((ROOT / path).read_text())]


def product_files():
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [path for path in listed.split() if not path.startswith(("tests/", "deploy/")) and "_pb2" not in path]


def prose(source):
    """Docstrings, comments, and strings of four words or more, without the code in them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = re.sub(r"`[^`]*`", "", node.value)
            if len(re.findall(r"[A-Za-z']{2,}", text)) >= 4:
                yield text
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("# noqa", "# type")):
            yield re.sub(r"`[^`]*`", "", token.string.lstrip("#: "))


@pytest.mark.parametrize("pattern", LIMITS)
def test_sentences_are_plain(pattern):
    """A sentence that has to be read twice mostly has one of these. The whole product may have a few."""
    if not texts():
        pytest.skip("not a git checkout")
    words = sum(len(re.findall(r"[A-Za-z']+", text)) for _, text in texts())
    found = [(path, text) for path, text in texts() for _ in re.finditer(pattern, text, re.IGNORECASE)]
    assert words > 20_000, "the texts were not found"
    assert len(found) * 1000 / words <= LIMITS[pattern], found
