"""One table from gRPC's code and text to named errors."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import grpc
import pytest

from etcdapi.error_texts import TEXTS, translate
from membership import errors, etcd_errors

ROWS = [
    line.split("\t")
    for line in (Path(__file__).with_name("rpctypes.tsv")).read_text().splitlines()
    if not line.startswith("#")
]
# What concerns keys, leases, watches, users, roles and downgrades: no call of ours can get it.
NOT_OURS = (
    "Key",
    "Value",
    "Lease",
    "TooManyOps",
    "Sort",
    "Compacted",
    "FutureRev",
    "NoSpace",
    "Watch",
    "RequestTooLarge",
    "Root",
    "UserAlreadyExist",
    "Role",
    "PermissionNot",
    "InvalidAuthMgmt",
    "Downgrade",
    "ClusterVersionUnavailable",
    "InvalidClientAPIVersion",
)
OURS = [(n.removeprefix("ErrGRPC"), text) for n, _, text in ROWS if not any(word in n for word in NOT_OURS)]


@pytest.mark.parametrize(("name", "text"), OURS)
def test_every_membership_error_of_etcd_is_mapped(name, text):
    """By its own name, so that a failure in the UI can be found in etcd's source."""
    assert name == TEXTS[text].__name__


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_compared_whole(text):
    """Some texts are prefixes of others: nothing may be matched by its beginning."""
    assert TEXTS[text] is type(translate(grpc.StatusCode.UNKNOWN, text, "e"))
    other = translate(grpc.StatusCode.UNKNOWN, text + " or so", "e")
    assert TEXTS.get(text + " or so", etcd_errors.UnknownEtcdError) is type(other)


def test_not_in_sync_is_not_mistaken_for_not_a_learner():
    """The shorter text is a prefix of the longer one, and both carry the same code."""
    code = grpc.StatusCode.FAILED_PRECONDITION
    short = "etcdserver: can only promote a learner member"
    assert isinstance(translate(code, short, "e"), etcd_errors.MemberNotLearner)
    assert isinstance(translate(code, f"{short} which is in sync with leader", "e"), etcd_errors.LearnerNotReady)


def test_an_unknown_text_keeps_code_and_text():
    """And counts as perhaps applied."""
    error = translate(grpc.StatusCode.DATA_LOSS, "etcdserver: something new", "http://a:1")
    assert isinstance(error, etcd_errors.UnknownEtcdError)
    assert (error.code, error.text, error.applied) == ("DATA_LOSS", "etcdserver: something new", "maybe")
    assert str(error) == "http://a:1: etcdserver: something new (DATA_LOSS)"


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: refused", etcd_errors.Unreachable),
        ("UNAVAILABLE", "Stream removed (Socket closed)", etcd_errors.ConnectionLost),
        ("UNAVAILABLE", "recvmsg:Connection reset by peer", etcd_errors.ConnectionLost),
        ("UNAVAILABLE", "etcdserver: brand new", etcd_errors.UnknownEtcdError),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", etcd_errors.DeadlineExceeded),
        ("CANCELLED", "Locally cancelled", etcd_errors.Canceled),
        ("UNIMPLEMENTED", "unknown method X", etcd_errors.Unimplemented),
        (
            "UNKNOWN",
            "etcdserver: re-configuration failed due to not enough started members",
            etcd_errors.MemberNotEnoughStarted,
        ),
        ("UNAVAILABLE", "etcdserver: rpc not supported for learner", etcd_errors.NotSupportedForLearner),
    ],
)
def test_what_only_code_and_text_together_tell(code, text, expected):
    """The same code carries final and passing conditions."""
    assert expected is type(translate(grpc.StatusCode[code], text, "e"))


def test_every_named_error_says_whether_it_was_applied():
    """Refused or Ambiguous, nothing in between."""
    kinds = [
        kind
        for _, kind in inspect.getmembers(etcd_errors, inspect.isclass)
        if issubclass(kind, etcd_errors.EtcdError)
        and kind not in (etcd_errors.EtcdError, etcd_errors.NotApplied, etcd_errors.Ambiguous)
    ]
    assert all(issubclass(kind, etcd_errors.NotApplied) != issubclass(kind, etcd_errors.Ambiguous) for kind in kinds)
    assert len(kinds) > 30


@pytest.mark.parametrize("module", [errors, etcd_errors])
def test_every_error_stands_in_the_drawn_tree(module):
    """Each module's docstring draws its classes. The names under `...` are those of certain refusals."""
    drawn = set(re.findall(r"\w+", module.__doc__))
    own = {name for name, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__}
    refusals = {name for name in own if issubclass(getattr(module, name), etcd_errors.NotApplied)}
    assert own - refusals <= drawn
    assert own


def test_a_connection_that_nobody_speaks_on_is_not_a_refused_one():
    """Only the first may be a member that is silent for a while."""
    text = "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.9:2379: "
    code = grpc.StatusCode.UNAVAILABLE
    assert (
        type(translate(code, text + "connection attempt timed out before receiving SETTINGS frame", "e"))
        is etcd_errors.Hung
    )
    assert (
        type(translate(code, text + "Failed to connect to remote host: Connection refused", "e"))
        is etcd_errors.Unreachable
    )
