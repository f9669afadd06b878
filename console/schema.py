"""memberflow schema"""

from __future__ import annotations

from typing import Annotated

import typer

from console.app import SET_UP, app, examples
from console.options import Json, Output


@app.command(rich_help_panel=SET_UP, epilog=examples("memberflow schema join > join.schema.json"))
def schema(
    verb: Annotated[str, typer.Argument(help="join, remove, replace or apply.")],
    output: Output = None,
    json: Json = False,  # noqa: ARG001  (JSON is the default)
) -> None:
    """Print the JSON Schema of a request, for callers in other languages."""
    from client.exit_codes import USAGE, CommandError
    from console.terminal.output import answer, print_object
    from messages.apply import ApplyRequest
    from messages.ids import APPLY
    from messages.requests import REQUESTS, Request

    requests: dict[str, type[Request]] = {**REQUESTS, APPLY: ApplyRequest}
    if verb not in requests:
        raise CommandError(USAGE, f"no such request: {verb}", f"one of: {', '.join(requests)}")
    answer.format = output or "json"
    print_object(requests[verb].model_json_schema())
