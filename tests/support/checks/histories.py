"""Everything that Temporal keeps of a workflow, as text."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from support.parts.lab import Lab


def history(lab: Lab, workflow_id: str) -> Iterator[str]:
    """A workflow's history as the Temporal CLI prints it, and each of its payloads."""
    shown = lab.temporal("workflow", "show", "--workflow-id", workflow_id)
    yield json.dumps(shown)
    yield from payloads(shown)


def payloads(node: Any) -> Iterator[str]:
    match node:
        case {"data": str(data)}:
            yield base64.b64decode(data).decode(errors="replace")
        case dict():
            for value in node.values():
                yield from payloads(value)
        case list():
            for value in node:
                yield from payloads(value)
