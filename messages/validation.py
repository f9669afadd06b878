"""Pydantic's errors in words that name the field and the fix."""

from __future__ import annotations

from pydantic import ValidationError

from membership.text import visible

_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "is required",
    "tuple_type": "should be a list",
    "dict_type": "should be a table",
    "model_type": "should be an object with named fields",
    "too_short": "should have at least one item",
}

# A caller chooses how many errors there are, and how long the names of unknown keys. Temporal takes no failure of
# megabytes, so a change with such a request would never end.
_MOST_ERRORS = 5
_LONGEST = 300


def explain(error: ValidationError) -> str:
    """The first errors of a failed validation as `field: expectation`, separated by semicolons."""
    items = error.errors(include_url=False, include_input=False)
    # A wrong item makes its list too short as well. The item's own error says all.
    inner = {item["loc"][:-1] for item in items}
    told = [i for i in items if not (i["type"] == "too_short" and i["loc"] in inner)]
    shown = [_one(item["loc"], item["type"], item["msg"]) for item in told[:_MOST_ERRORS]]
    more = [f"and {len(told) - _MOST_ERRORS} more"] if len(told) > _MOST_ERRORS else []
    return "; ".join([*shown, *more])


def _one(location: tuple[int | str, ...], kind: str, message: str) -> str:
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location if part != "[key]")
    text = _shortened(_WORDS.get(kind, message.removeprefix("Value error, ")))
    return f"{_shortened(visible(field.lstrip('.')))}: {text}" if field else text


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
