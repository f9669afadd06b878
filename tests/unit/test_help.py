"""The help of every command: there at once, with an example, and in groups."""

from __future__ import annotations

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cli import app
from console.app import CHANGE, LOOK, SET_UP, STEER


def commands(group, *above):
    """Every command and every group of commands, as its words."""
    for name, command in group.commands.items():
        yield (*above, name)
        if hasattr(command, "commands"):
            yield from commands(command, *above, name)


def help_of(*words):
    ran = CliRunner().invoke(app, [*words, "-h"])
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.mark.parametrize("words", list(commands(get_command(app))), ids=" ".join)
def test_every_help_shows_an_example(words):
    """How the command is typed says more than its options."""
    text = help_of(*words)
    assert text.startswith("Usage:")
    assert f"memberflow {' '.join(words)}" in text.partition("Example")[2]


def test_the_commands_are_listed_in_groups():
    """In the order of their use, in plain text, too."""
    text = help_of()
    places = [text.index(heading) for heading in (CHANGE, LOOK, STEER, SET_UP)]
    assert places == sorted(places)
    assert text.index("  join ") < text.index("  status ") < text.index("  hold ") < text.index("  doctor ")
    assert not set(text) & set("│╭─")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_completion(shell):
    """A script that asks memberflow itself."""
    ran = CliRunner().invoke(app, ["completion", shell])
    assert (ran.exit_code, "_MEMBERFLOW_COMPLETE" in ran.output) == (0, True), ran.output
