"""The workflow modules are compiled once in a worker, however often the sandbox imports them."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from workflow_code import keep_workflow_code


@pytest.fixture
def fresh(monkeypatch):
    """
    Imports a module anew, as the sandbox does. The process has its own modules again afterwards.

    A worker that ran in this process before has no effect here.
    """
    others = [finder for finder in sys.meta_path if type(finder).__module__ != "workflow_code"]
    monkeypatch.setattr(sys, "meta_path", others)

    def imported(name):
        monkeypatch.delitem(sys.modules, name, raising=False)
        return import_module(name)

    return imported


def test_an_import_anew_compiles_nothing(fresh):
    """Both copies of the module run the very same code, and are two modules all the same."""
    keep_workflow_code()
    first, second = fresh("workflows.line"), fresh("workflows.line")
    assert first.Line is not second.Line
    assert first.Line.grant.__code__ is second.Line.grant.__code__
    assert first.__file__ == second.__file__


def test_other_modules_are_left_to_python(fresh):
    """And a second worker of the process changes nothing more."""
    before = len(sys.meta_path)
    keep_workflow_code()
    keep_workflow_code()
    assert len(sys.meta_path) == before + 1
    assert fresh("messages.turns").Ticket.__init__.__code__ is not fresh("messages.turns").Ticket.__init__.__code__
    with pytest.raises(ModuleNotFoundError):
        fresh("workflows.no_such_file")
