"""The list of members that `apply` reads."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from client.exit_codes import USAGE, CommandError
from membership.names import check_name, check_url

Members = list[tuple[str, list[str]]]

_EXPECTED = "expected a name and its peer URLs, e.g. `etcd-4 https://h:2380`"


def read_members(path: Path) -> Members:
    """
    Names and peer URLs, one member a line: `NAME URL[,URL...]`, `NAME=URL[,URL...]` or `NAME URL URL...`. `#` begins
    a comment. `-` is standard input.

    Raises CommandError with USAGE, and with file and line, for any other line, and for a repeated name or URL.
    """
    try:
        lines = (sys.stdin.read() if str(path) == "-" else path.read_text()).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(USAGE, f"--from: {path}: {getattr(error, 'strerror', None) or 'no text in UTF-8'}") from None
    members: Members = []
    known: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        try:
            name, urls = _member(text)
        except ValueError as error:
            raise CommandError(USAGE, f"--from: {path}:{number}: {error}") from None
        members.append((name, urls))
        for what, value in (("name", name), *(("peer URL", url) for url in urls)):
            if first := known.get(value):
                raise CommandError(USAGE, f"--from: {path}:{number}: the {what} {value} is in line {first} already")
            known[value] = number
    if not members:
        raise CommandError(USAGE, f"--from: {path}: no members in it")
    return members


def _member(text: str) -> tuple[str, list[str]]:
    """The name and peer URLs of a line. A name contains neither `=` nor a blank, so the first of them ends it."""
    name, *rest = re.split(r"\s*=\s*|\s+", text, maxsplit=1)
    urls = re.split(r"\s*,\s*|\s+", rest[0]) if rest else []
    if not urls or "" in urls:
        raise ValueError(_EXPECTED)
    return check_name(name), [check_url(url) for url in urls]
