"""Texts from outside: names from a cluster, reasons from a caller. They are shown escaped everywhere."""

from __future__ import annotations

import re

# A link, an image, HTML, code or the end of a table's cell would begin with one of these.
_MARKDOWN = re.compile(r"([\\`*\[\]<>|~])")
# Temporal's UI makes one dash of two, except in code.
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def visible(text: str, *, lines: bool = False) -> str:
    r"""
    `text`, with every control character and every invisible character as its escape: `\x1b`, `\u202e`.

    With `lines`, line breaks stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or (lines and c == "\n") else _escape(c) for c in text)


def in_markdown(text: str, *, lines: bool = False) -> str:
    """`visible` text, escaped for Markdown as well: it makes no link, no image and no HTML. A flag becomes code."""
    return _FLAG.sub(r"`\g<0>`", _MARKDOWN.sub(r"\\\1", visible(text, lines=lines)))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
