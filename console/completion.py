"""memberflow completion"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from console.app import SET_UP, app, examples


@app.command(
    rich_help_panel=SET_UP,
    epilog=examples(
        "memberflow completion bash > /etc/bash_completion.d/memberflow",
        "source <(memberflow completion zsh)",
        "memberflow completion fish > ~/.config/fish/completions/memberflow.fish",
    ),
)
def completion(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")]) -> None:
    """Print a script that completes commands and options in your shell."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    print(get_completion_script(prog_name="memberflow", complete_var="_MEMBERFLOW_COMPLETE", shell=shell))
