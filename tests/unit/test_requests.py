"""Requests, policies and durations: bad input names the field and the fix."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from client.change_request import differences
from membership.duration import format_duration, parse_duration
from membership.model import Member, handover
from membership.policy import Policy
from messages.ids import WORKFLOW_TYPES, change_id, turns_id
from messages.requests import REQUESTS, JoinRequest, PlanRequest, RemoveRequest, ReplaceRequest
from messages.validation import explain

GOOD = {"cluster": "prod", "name": "etcd-4", "peer_urls": ["https://10.0.0.14:2380"]}
REMOVE = {"cluster": "prod", "member": "etcd-3"}
REPLACE = {**GOOD, "old": "etcd-3"}
REQUEST_OF = {"join": GOOD, "remove": REMOVE, "replace": REPLACE}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cluster": "a b"}, "cluster: 'a b' is not a valid name"),
        ({"cluster": ""}, "cluster: '' is not a valid name"),
        ({"name": "-x"}, "name: '-x' is not a valid name"),
        ({"name": "a=b"}, "name: 'a=b' is not a valid name"),
        ({"name": None}, "name: Input should be a valid string"),
        ({"peer_urls": []}, "peer_urls: should have at least one item"),
        ({"peer_urls": "https://a:1"}, "peer_urls: should be a list"),
        ({"peer_urls": ["10.0.0.1:2380"]}, "peer_urls[0]: '10.0.0.1:2380' has the scheme"),
        ({"peer_urls": ["https://a"]}, "peer_urls[0]: 'https://a' lacks a host or a port"),
        ({"peer_urls": ["https://a:1", "ftp://b:2"]}, "peer_urls[1]: 'ftp://b:2' has the scheme 'ftp'"),
        ({"peer_urls": ["https://a:1/x"]}, "peer_urls[0]: 'https://a:1/x' has more than"),
        ({"peer_urls": ["https://root:pass@a:1"]}, "peer_urls[0]: 'https://…@a:1' has more than"),
        ({"peer_urls": [" https://a:1"]}, "peer_urls[0]: ' https://a:1' has white space in it"),
        ({"peer_urls": ["https://a:99999"]}, "peer_urls[0]: 'https://a:99999' is not a valid URL"),
        ({"name": "n" * 129}, "name: a name of 129 characters is too long: use 128 at most"),
        ({"cluster": "c" * 1200}, "cluster: a name of 1200 characters is too long"),
        ({"peer_urls": ["https://a:0"]}, "peer_urls[0]: 'https://a:0' has the port 0"),
        (
            {"peer_urls": ["https://0.0.0.0:2380"]},
            "'https://0.0.0.0:2380' is not an address that other members can dial",
        ),
        ({"peer_urls": ["https://[::]:2380"]}, "'https://[::]:2380' is not an address that other members can dial"),
        *(
            ({"peer_urls": [f"https://{host}:2380"]}, "has a host that is neither a DNS name nor an IP address")
            for host in (
                "a,b",
                "a=b",
                "a'b",
                'a"b',
                "a$b",
                "a;b",
                "-a",
                "a..b",
                "a.",
                "0",
                "127.1",
                "0x7f.1",
                "1.2.3.999",
            )
        ),
        ({"peer_urls": ["https://a\x1bb:2380"]}, "has a host that is neither a DNS name nor an IP address"),
        ({"peer_urls": ["https://[fe80::1%25eth0]:2380"]}, "has a host that is neither a DNS name nor an IP address"),
        ({"peer_urls": [f"https://{'a' * 64}:2380"]}, "has a host that is neither a DNS name nor an IP address"),
        ({"peer_urls": [f"https://a{n}:1" for n in range(17)]}, "peer_urls: "),
        ({"requested_by": "x" * 201}, "requested_by: String should have at most 200 characters"),
        ({"requested_by": "me\x1b[2J"}, "requested_by: has control characters in it: use printable characters"),
        ({"requested_by": "me\nroot"}, "requested_by: has control characters in it: use printable characters"),
        ({"hold_before": "add"}, "hold_before: Input should be 'promote'"),
        ({"peer_url": "x"}, "peer_url: unknown key"),
    ],
)
def test_a_bad_request_names_the_field(change, told):
    """Every field, by its path."""
    with pytest.raises(ValidationError) as caught:
        JoinRequest.model_validate({**GOOD, **change})
    assert told in explain(caught.value)


@pytest.mark.parametrize(
    ("kind", "good", "change", "told"),
    [
        (RemoveRequest, REMOVE, {"member": "a b"}, "member: 'a b' is not a valid name: use letters"),
        (RemoveRequest, REMOVE, {"member": ""}, "member: '' is not a valid name: use letters"),
        (RemoveRequest, REMOVE, {"force": "perhaps"}, "force: Input should be a valid boolean"),
        (RemoveRequest, REMOVE, {"preempt": None}, "preempt: Input should be a valid boolean"),
        (RemoveRequest, REMOVE, {"name": "etcd-3"}, "name: unknown key"),
        (RemoveRequest, {"cluster": "prod"}, {}, "member: is required"),
        (ReplaceRequest, REPLACE, {"old": "a b"}, "old: 'a b' is not a valid name: use letters"),
        (ReplaceRequest, REPLACE, {"old": None}, "old: Input should be a valid string"),
        (
            ReplaceRequest,
            REPLACE,
            {"old": "etcd-4"},
            "old: 'etcd-4' is also the new member's name: give the old member",
        ),
        (ReplaceRequest, REPLACE, {"order": "first"}, "order: Input should be 'auto', 'add-first' or 'remove-first'"),
        (ReplaceRequest, REPLACE, {"peer_urls": []}, "peer_urls: should have at least one item"),
        (ReplaceRequest, REPLACE, {"peer_urls": ["a:1"]}, "peer_urls[0]: 'a:1' has the scheme 'a', not http or https"),
        (ReplaceRequest, REPLACE, {"launcher": "a b"}, "launcher: 'a b' is not a valid name: use letters"),
        (ReplaceRequest, REPLACE, {"member": "x"}, "member: unknown key"),
        (ReplaceRequest, GOOD, {}, "old: is required"),
        (PlanRequest, {"verb": "add", "request": GOOD}, {}, "verb: Input should be 'join', 'remove' or 'replace'"),
        (PlanRequest, {"verb": "join", "request": "etcd-4"}, {}, "request: should be a table"),
        (PlanRequest, {"verb": "join", "request": {}}, {}, "name: is required; peer_urls: is required"),
        (PlanRequest, {"verb": "remove", "request": GOOD}, {}, "member: is required; name: unknown key"),
        (PlanRequest, {"verb": "replace", "request": {**REPLACE, "old": "etcd-4"}}, {}, "old: 'etcd-4' is also"),
        (PlanRequest, {"verb": "join", "request": {**GOOD, "cluster": "a b"}}, {}, "cluster: 'a b' is not a valid"),
    ],
)
def test_a_bad_request_of_another_verb_names_the_field(kind, good, change, told):
    """And how to mend it, where that isn't plain."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({**good, **change})
    assert told in explain(caught.value)


@pytest.mark.parametrize("kind", [*REQUESTS.values(), PlanRequest])
def test_the_request_itself_may_be_missing(kind):
    """As a foreign caller would send it."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(None)
    assert "should be an object with named fields" in explain(caught.value)


def test_an_old_member_may_be_named_by_its_id():
    """Also where the new one takes over its name and its peer URL."""
    request = ReplaceRequest.model_validate({**REPLACE, "old": "8e9e05c52164694d", "name": "etcd-3"})
    assert (request.subject, request.old, request.order, request.force) == ("etcd-3", "8e9e05c52164694d", "auto", False)


@pytest.mark.parametrize("verb", REQUESTS)
def test_a_plan_holds_the_request_that_it_plans(verb):
    """As it would be run; and its member names the change."""
    plan = PlanRequest.model_validate({"verb": verb, "request": REQUEST_OF[verb]})
    assert plan.change == REQUESTS[verb].model_validate(REQUEST_OF[verb])
    assert plan.change.verb == verb
    assert plan.change.subject == ("etcd-3" if verb == "remove" else "etcd-4")


def same_change(asked, running):
    """Whether the command line takes the running request for the same as this one."""
    return not differences(asked, running.model_dump(mode="json"))


def test_the_same_change_whoever_asks_in_whatever_order():
    """Only what is asked for counts."""
    urls = ["https://a:1", "https://b:2"]
    one = JoinRequest(cluster="c", name="n", peer_urls=tuple(urls), requested_by="me")
    other = JoinRequest(cluster="c", name="n", peer_urls=tuple(reversed(urls)), requested_by="you")
    assert same_change(one, other)
    assert not same_change(one, other.model_copy(update={"hold_before": "promote"}))


@pytest.mark.parametrize(
    ("verb", "change"),
    [
        ("remove", {"force": True}),
        ("remove", {"preempt": True}),
        ("remove", {"member": "etcd-2"}),
        ("replace", {"old": "etcd-2"}),
        ("replace", {"order": "add-first"}),
        ("replace", {"force": True}),
        ("replace", {"preempt": True}),
        ("replace", {"name": "etcd-5"}),
        ("replace", {"peer_urls": ["https://10.0.0.15:2380"]}),
        ("replace", {"launcher": "docker"}),
        ("replace", {"hold_before": "promote"}),
    ],
)
def test_another_request_is_another_change(verb, change):
    """By any field but who asks, and by its verb."""
    asked = REQUESTS[verb].model_validate(REQUEST_OF[verb])
    by_another = REQUESTS[verb].model_validate({**REQUEST_OF[verb], "requested_by": "you"})
    assert same_change(asked, by_another)
    assert not same_change(asked, REQUESTS[verb].model_validate({**REQUEST_OF[verb], **change}))
    assert not any(same_change(asked, REQUESTS[v].model_validate(REQUEST_OF[v])) for v in REQUESTS if v != verb)


@pytest.mark.parametrize(
    "url", ["https://a:1/", "HTTPS://a:1", "https://A:1", "https://a:01", "https://a:1?", "https://a:1#"]
)
def test_a_url_is_spelled_as_etcd_spells_it(url):
    """Else our own learner would not be found in the list."""
    assert JoinRequest(cluster="c", name="n", peer_urls=(url,)).peer_urls == ("https://a:1",)


@pytest.mark.parametrize("url", ["https://[fd00:0::14]:2380", "https://[FD00::14]:2380", "https://[fd00::14]:2380/"])
def test_an_ipv6_address_has_one_spelling(url):
    """Else two of them would be two peer URLs."""
    assert JoinRequest(cluster="c", name="n", peer_urls=(url,)).peer_urls == ("https://[fd00::14]:2380",)


def test_the_same_peer_url_twice_is_one():
    """Etcd dies of a duplicate in its handover; a slash or another case makes no difference."""
    urls = ("https://a:1", "https://b:2", "https://a:1/", "HTTPS://A:1")
    assert JoinRequest(cluster="c", name="n", peer_urls=urls).peer_urls == ("https://a:1", "https://b:2")


@pytest.mark.parametrize("verb", REQUESTS)
def test_a_request_is_sent_without_its_defaults(verb):
    """A worker that does not know a new field then minds it only where the field is used."""
    request = REQUESTS[verb].model_validate({**REQUEST_OF[verb], "requested_by": ""})
    assert request.model_dump(mode="json") == REQUEST_OF[verb]
    used = {**REQUEST_OF[verb], "requested_by": "me"}
    assert json.loads(REQUESTS[verb].model_validate(used).model_dump_json()) == used


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
    documented = (3, 1, "10m", "5m", "2h", 100, "30m", [], "10m", "rollback", "hold", "")
    assert documented == tuple(policy.model_dump(mode="json").values())
    assert policy == Policy.model_validate_json(policy.model_dump_json())


@pytest.mark.parametrize(
    "path", ["", "/var/backups/{cluster}-{time}.db", "/{cluster}/{time}", "/var/backups/{cluster}-{time}-{time}.db"]
)
def test_a_snapshot_path_may_be_filled_in(path):
    """Empty: no snapshot."""
    assert Policy(snapshot_before_removal=path).snapshot_before_removal == path


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "backups/{time}.db",
            "'backups/{time}.db' is not an absolute path: write it like /var/backups/{cluster}-{time}.db",
        ),
        ("/x/{member}.db", "'/x/{member}.db': only {cluster} and {time} can be filled in"),
        ("/x/{cluster}-{}.db", "only {cluster} and {time} can be filled in"),
        ("/x/{time!r}.db", "only {cluster} and {time} can be filled in"),
        (None, "Input should be a valid string"),
    ],
)
def test_a_bad_snapshot_path_says_how_to_write_one(path, told):
    """Before any change; the worker would find out in the middle of one."""
    with pytest.raises(ValidationError) as caught:
        Policy(snapshot_before_removal=path)
    assert explain(caught.value).startswith("snapshot_before_removal: ")
    assert told in explain(caught.value)


REQUIRED = {"join": {"name", "peer_urls"}, "remove": {"member"}, "replace": {"old", "name", "peer_urls"}}


@pytest.mark.parametrize("verb", REQUESTS)
def test_schemas_are_json_schema(verb):
    """For callers in other languages: every field is described, and nothing else may be given."""
    schema = REQUESTS[verb].model_json_schema()
    assert {"cluster", *REQUIRED[verb]} == set(schema["required"])
    assert all(field["description"] for field in schema["properties"].values())
    assert schema["additionalProperties"] is False
    assert schema["description"]
    assert set(WORKFLOW_TYPES) == set(REQUESTS)


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


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"peer_urls": ["x"] * 400_000}, "peer_urls[0]: 'x' has the scheme"),
        ({f"k{n}": 1 for n in range(1000)}, "k4: unknown key; and 995 more"),
        ({"\x1b" * 100_000: 1}, "\\x1b…: unknown key"),
    ],
)
def test_an_error_is_short(changes, told):
    """Whatever came: Temporal refuses a failure of megabytes, and its worker would try again for ever."""
    with pytest.raises(ValidationError) as caught:
        JoinRequest.model_validate({"cluster": "prod", "name": "etcd-4", "peer_urls": ["http://a:1"], **changes})
    text = explain(caught.value)
    assert told in text
    assert (len(text) < 1000, text.isprintable()) == (True, True)
