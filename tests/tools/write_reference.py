"""
Writes the tables of docs/reference.md from the command line and the models.

`make reference` runs it; a unit test fails when the file is stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.main import get_command

from cli import app
from cluster_tables import ClusterTable
from launchers.config import LauncherConfig
from membership.allow import Allow
from membership.duration import format_duration
from membership.policy import Policy
from webhook.config import WebhookTable

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference.md"
FAILURES = ROOT / "membership" / "failures.py"
OUTCOMES = ROOT / "messages" / "outcomes.py"
MARK = re.compile(r"<!-- generated: (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def render(text: str) -> str:
    """The reference with every generated table written anew."""
    tables = {
        "commands": commands,
        "outcome": outcome,
        "cluster": lambda: keys(ClusterTable, skip=("policy", "allow", "notify")),
        "policy": lambda: keys(Policy),
        "allow": lambda: keys(Allow),
        "notify": lambda: keys(WebhookTable),
        "launcher": lambda: keys(LauncherConfig),
        "failures": failures,
    }
    return MARK.sub(lambda m: f"<!-- generated: {m[1]} -->\n{tables[m[1]]()}\n<!-- end -->", text)


def commands() -> str:
    """Every command with its usage, its first paragraph and its options."""
    return "\n\n".join(_command(path, command) for path, command in _leaves(get_command(app)))


def _leaves(group: Any, *above: str) -> Iterator[tuple[str, Any]]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _leaves(command, *above, name)
        elif not command.hidden:
            yield " ".join((*above, name)), command


def _command(path: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(["memberflow", path, *(_argument(p) for p in arguments)])
    about = _sentence(command.help or "")
    rows = [_option(p) for p in command.params if p.param_type_name == "option" and p.name not in ("help", "json")]
    table = ["| option | meaning |", "|---|---|", *rows] if rows else []
    return "\n".join([f"### `{usage}`", about, *(["", *table] if table else [])])


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).upper()
    return name if parameter.required else f"[{name}]"


def _option(parameter: Any) -> str:
    flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
    return f"| {flags} | {_cell(parameter.help or '')} |"


def keys(model: type[BaseModel], skip: tuple[str, ...] = ()) -> str:
    """The keys of a table of the clusters file."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if name not in skip:
            assert field.description, f"{model.__name__}.{name} has no description"
            rows.append(f"| `{field.alias or name}` | {_default(field)} | {_cell(field.description)} |")
    return "\n".join(rows)


def _default(field: Any) -> str:
    if field.default is PydanticUndefined and field.default_factory is None:
        return "required"
    value = field.get_default(call_default_factory=True)
    if value in (None, "", (), {}, frozenset()):
        return ""
    if hasattr(value, "total_seconds"):
        value = format_duration(value)
    if isinstance(value, tuple):
        value = json.dumps(value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def failures() -> str:
    """Every named failure with its group and its meaning."""
    return "\n".join(["| failure | end | meaning |", "|---|---|---|", *_commented(FAILURES, r'[A-Z_]+ = "(\w+)"')])


def outcome() -> str:
    """Every field of an outcome with its meaning."""
    return "\n".join(["| field | meaning |", "|---|---|", *_commented(OUTCOMES, r"([a-z_]+): ")])


def _commented(file: Path, name: str) -> Iterator[str]:
    """A row for each name of a file that has a comment right above it. Names in a group have its title, too."""
    group = meaning = ""
    for line in file.read_text().splitlines():
        if found := re.match(r"\s+# ---- ([^:]+?)(?::.+)? ----", line):
            group = f" {found[1]} |"
        elif found := re.match(r"\s+#: (.+)", line):
            meaning = f"{meaning} {found[1]}".strip()
        elif (found := re.match(rf"\s+{name}", line)) and meaning:
            yield f"| `{found[1]}` |{group} {_cell(meaning)} |"
            meaning = ""


def _sentence(text: str) -> str:
    """The first paragraph of a help text."""
    return _cell(text.strip().split("\n\n")[0].replace("\b", ""))


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


if __name__ == "__main__":
    REFERENCE.write_text(render(REFERENCE.read_text()))
