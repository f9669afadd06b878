"""Pydantic's errors in words that name the field and the fix."""

from __future__ import annotations

from pydantic import ValidationError

_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "is required",
    "tuple_type": "should be a list",
    "dict_type": "should be a table",
    "model_type": "should be an object with named fields",
    "too_short": "should have at least one item",
}


def explain(error: ValidationError) -> str:
    """Every error of a failed validation as `field: expectation`, separated by semicolons."""
    items = error.errors(include_url=False)
    # A wrong item makes its list too short as well. The item's own error says all.
    inner = {item["loc"][:-1] for item in items}
    told = [i for i in items if not (i["type"] == "too_short" and i["loc"] in inner)]
    return "; ".join(_one(item["loc"], item["type"], item["msg"]) for item in told)


def _one(location: tuple[int | str, ...], kind: str, message: str) -> str:
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location if part != "[key]")
    text = _WORDS.get(kind, message.removeprefix("Value error, "))
    return f"{field.lstrip('.')}: {text}" if field else text
