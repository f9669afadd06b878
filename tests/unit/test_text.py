"""Hostile texts: what a terminal, Markdown or a log would obey is shown instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membership.sent_calls import SentCall
from membership.text import in_markdown, visible
from messages.turns import AddedLearner, LateCall, Ticket, TurnsState
from messages.views import ChangeView, details, turns_details


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("etcd-1 (8e9e05c52164694d)", "etcd-1 (8e9e05c52164694d)"),
        ("Grüße, 北京", "Grüße, 北京"),
        ("a\nLD_PRELOAD=/x", "a\\nLD_PRELOAD=/x"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("a\u2028b\u200bc", "a\\u2028b\\u200bc"),
        ("a\tb\rc", "a\\tb\\rc"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_made_visible(text, shown):
    """And all that people write in names and reasons stays as it is."""
    assert shown == visible(text)


def test_line_breaks_may_stay():
    """The last lines of a container's log are lines."""
    assert visible("one\ntwo\x1b[0m\r", lines=True) == "one\ntwo\\x1b[0m\\r"


@given(st.text())
def test_nothing_that_is_shown_is_obeyed(text):
    """Whatever the text."""
    assert visible(text).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![x](http://evil/p.png)", "!\\[x\\](http://evil/p.png)"),
        ("<img src=x>", "\\<img src=x\\>"),
        ("a|b`c`", "a\\|b\\`c\\`"),
        ("\\[x]", "\\\\\\[x\\]"),
        ("etcd--1: add (--force skips it)", "etcd--1: add (`--force` skips it)"),
        ("etcd_1 waits_for https://10.0.0.1:2380", "etcd_1 waits_for https://10.0.0.1:2380"),
    ],
)
def test_markdown_stands_for_itself(text, shown):
    """No link, no image, no HTML and no cell of a table comes from a member's name."""
    assert shown == in_markdown(text)


def test_the_current_details_of_a_change_show_hostile_names():
    """A member's name reaches Temporal's UI in a reason or a warning, and stays a name there."""
    name = "![x](http://evil)\n# all is well\x1b[2J"
    view = ChangeView("etcd-4 joins prod", "add", waits_for=f"learner {name}", held=name, warnings=(name,))
    shown = details(view, ("add",))
    assert shown.count(in_markdown(name)) == 3
    assert name not in shown
    assert all(line.isprintable() for line in shown.splitlines())


def test_the_current_details_of_the_turns_show_hostile_ids():
    """A workflow ID is a caller's word, and so is a member ID in its claim."""
    hostile = "![x](http://evil)\x1b[2J"
    ticket = Ticket(hostile, "run")
    held = TurnsState(holder=ticket, waiting=(ticket,))
    left = TurnsState(learners=(AddedLearner(hostile, ticket),))
    late = TurnsState(late=(LateCall(SentCall("add", "", (hostile,), "1", 2, ()), ticket),))
    shown = turns_details(hostile, held) + turns_details(hostile, left) + turns_details(hostile, late)
    assert shown.count(in_markdown(hostile)) == 9
    assert hostile not in shown
