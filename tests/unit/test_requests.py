"""Requests, policies and durations: bad input names the field and the fix."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from membership.duration import format_duration, parse_duration
from membership.model import Member, handover
from membership.requests import REQUESTS, JoinRequest, Policy, change_id, turns_id
from membership.validation import explain

GOOD = {"cluster": "prod", "name": "etcd-4", "peer_urls": ["https://10.0.0.14:2380"]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cluster": "a b"}, "cluster: 'a b' is no valid name"),
        ({"cluster": ""}, "cluster: '' is no valid name"),
        ({"name": "-x"}, "name: '-x' is no valid name"),
        ({"name": "a=b"}, "name: 'a=b' is no valid name"),
        ({"name": None}, "name: Input should be a valid string"),
        ({"peer_urls": []}, "peer_urls: should have at least one item"),
        ({"peer_urls": "https://a:1"}, "peer_urls: should be a list"),
        ({"peer_urls": ["10.0.0.1:2380"]}, "peer_urls[0]: '10.0.0.1:2380' has the scheme"),
        ({"peer_urls": ["https://a"]}, "peer_urls[0]: 'https://a' lacks a host or a port"),
        ({"peer_urls": ["https://a:1", "ftp://b:2"]}, "peer_urls[1]: 'ftp://b:2' has the scheme 'ftp'"),
        ({"peer_urls": ["https://a:1/x"]}, "peer_urls[0]: 'https://a:1/x' has more than"),
        ({"peer_urls": ["https://a:99999"]}, "peer_urls[0]: 'https://a:99999' is no valid URL"),
        ({"hold_before": "add"}, "hold_before: Input should be 'promote'"),
        ({"peer_url": "x"}, "peer_url: unknown key"),
    ],
)
def test_a_bad_request_names_the_field(change, told):
    """Every field, by its path."""
    with pytest.raises(ValidationError) as caught:
        JoinRequest.model_validate({**GOOD, **change})
    assert told in explain(caught.value)


def test_the_request_itself_may_be_missing():
    """As a foreign caller would send it."""
    with pytest.raises(ValidationError) as caught:
        JoinRequest.model_validate(None)
    assert "should be an object with named fields" in explain(caught.value)


def test_the_same_change_whoever_asks_in_whatever_order():
    """Only what is asked for counts."""
    urls = ["https://a:1", "https://b:2"]
    one = JoinRequest(cluster="c", name="n", peer_urls=tuple(urls), requested_by="me")
    other = JoinRequest(cluster="c", name="n", peer_urls=tuple(reversed(urls)), requested_by="you")
    assert one.same_change(other)
    assert not one.same_change(other.model_copy(update={"hold_before": "promote"}))


def test_a_trailing_slash_is_no_other_url():
    """etcd drops it too."""
    assert JoinRequest(cluster="c", name="n", peer_urls=("https://a:1/",)).peer_urls == ("https://a:1",)


def test_workflow_ids():
    """The name of what is changed; others address changes by it."""
    assert change_id("prod", "join", "etcd-4") == "memberflow:prod:join:etcd-4"
    assert turns_id("prod") == "memberflow:prod"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("500ms", 0.5), ("1.5s", 1.5), ("1d", 86400)],
)
def test_durations(text, seconds):
    """As operators write them."""
    assert timedelta(seconds=seconds) == parse_duration(text)


@pytest.mark.parametrize("text", ["", "10", "10 m", "m", "10x", "-5s", "1h 30m", None, 5])
def test_bad_durations(text):
    """The error shows how to write one."""
    with pytest.raises(ValueError, match='write it like "90s"'):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_every_duration_can_be_read_back(milliseconds):
    """What is kept in a history means the same later."""
    duration = timedelta(milliseconds=milliseconds)
    assert duration == parse_duration(format_duration(duration))


def test_a_policy_has_the_documented_defaults():
    """And survives a history."""
    policy = Policy()
    documented = (3, 1, "10m", "5m", "2h", 100, "30m", "rollback", "")
    assert documented == tuple(policy.model_dump(mode="json").values())
    assert policy == Policy.model_validate_json(policy.model_dump_json())


def test_schemas_are_json_schema():
    """For callers in other languages."""
    schema = REQUESTS["join"].model_json_schema()
    assert {"cluster", "name", "peer_urls"} == set(schema["required"])
    assert all("description" in field for field in schema["properties"].values())


def test_handover_names_everybody():
    """Others that have not started are named by their ID; every peer URL has a row."""
    members = (
        Member("1", "etcd-1", ("http://a:1", "http://a:2"), (), False),
        Member("2", "", ("http://b:1",), (), True),
        Member("3", "", ("http://c:1",), (), True),
    )
    values = handover(members, "3", "etcd-3").env()
    assert values == {
        "ETCD_NAME": "etcd-3",
        "ETCD_INITIAL_CLUSTER": "etcd-1=http://a:1,etcd-1=http://a:2,2=http://b:1,etcd-3=http://c:1",
        "ETCD_INITIAL_CLUSTER_STATE": "existing",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": "http://c:1",
    }
