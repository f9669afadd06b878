"""What callers may ask of a cluster: patterns of peer URLs, verbs, and the options that weaken a check."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from membership.allow import Allow, Asked, check_allowed, check_line
from membership.failures import Failure
from messages.requests import JoinRequest, RemoveRequest, ReplaceRequest
from messages.validation import explain


@pytest.mark.parametrize(
    ("pattern", "url", "fits"),
    [
        ("https://10.0.0.0/24:2380", "https://10.0.0.14:2380", True),
        ("https://10.0.0.0/24:2380", "https://10.0.1.14:2380", False),
        ("https://10.0.0.0/24:2380", "http://10.0.0.14:2380", False),
        ("https://10.0.0.0/24:2380", "https://10.0.0.14:2381", False),
        ("https://10.0.0.0/24:*", "https://10.0.0.14:2381", True),
        ("https://10.0.0.0/24:2380", "https://ten.example:2380", False),
        ("https://10.0.0.14:2380", "https://10.0.0.14:2380", True),
        ("https://10.0.0.14:2380", "https://10.0.0.15:2380", False),
        ("https://[fd00::]/64:2380", "https://[fd00::14]:2380", True),
        ("https://[fd00::/64]:2380", "https://[fd00:0:0:1::14]:2380", False),
        ("https://[fd00::14]:2380", "https://[fd00:0::14]:2380", True),
        ("https://*.etcd.example:2380", "https://a.etcd.example:2380", True),
        ("https://*.etcd.example:2380", "https://etcd.example:2380", False),
        ("https://*.etcd.example:2380", "https://a.b.etcd.example:2380", False),
        ("https://*.etcd.example:2380", "https://evil-etcd.example:2380", False),
        ("https://*.ETCD.example:2380", "https://A.etcd.example:2380", True),
        ("https://etcd.example:2380", "https://etcd.example:2380", True),
        ("https://etcd.example:2380", "https://etcd.example.evil:2380", False),
        ("https://10.0.0.0/24:2380", "unix://10.0.0.14:2380", False),
        ("https://10.0.0.0/24:2380", "HTTPS://10.0.0.14:2380", True),
        ("https://10.0.0.0/24:2380", "https://10.0.0.14:02380/", True),
        ("https://10.0.0.0/24:2380", "https://10.0.0.14@evil.example:2380", False),
        ("https://10.0.0.0/24:2380", "https://evil.example:2380@10.0.0.14:2380", False),
        ("https://10.0.0.0/24:2380", "https://10.0.0.14\\@evil.example:2380", False),
        ("https://10.0.0.0/24:2380", "https://[::ffff:10.0.0.14]:2380", False),
        ("https://10.0.0.0/24:2380", "https://167772174:2380", False),
        ("https://10.0.0.0/24:2380", "https://012.0.0.14:2380", False),
        ("https://10.0.0.0/24:2380", "https://0xa.0.0.14:2380", False),
        ("https://10.0.0.0/24:2380", "https://10.0.0.14.:2380", False),
        ("https://[fe80::]/10:2380", "https://[fe80::1%25eth0]:2380", False),
        ("https://[fe80::]/10:2380", "https://[fe80::1%eth0]:2380", False),
        ("https://*.etcd.example:2380", "https://a.etcd.example.:2380", False),
        ("https://*.etcd.example:2380", "https://.etcd.example:2380", False),
        ("https://*.etcd.example:2380", "https://*.etcd.example:2380", False),
        ("https://*.etcd.example:2380", "https://a\u3002etcd.example:2380", False),
        ("https://*.etcd.example:2380", "https://a%2eb.etcd.example:2380", False),
        ("https://*.etcd.example:2380", "https://a.etcd.example:2380#.etcd.example", False),
        ("https://*.etcd.example:2380", "https://evil.example/.etcd.example:2380", False),
        ("https://*.etcd.example:2380", "https://xn--bcher-kva.etcd.example:2380", True),
    ],
)
def test_a_pattern_fits_what_it_names(pattern, url, fits):
    """And nothing else: by scheme, host and port."""
    assert fits is (Allow(peer_urls=(pattern,)).objection(Asked("join", (url,))) is None)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "10.0.0.0/24",
        "https://10.0.0.0/24",
        "https://10.0.0.1/24:2380",
        "https://10.0.0.0/33:2380",
        "ftp://10.0.0.0/24:2380",
        "https://*:2380",
        "https://*.:2380",
        "https://a.*.example:2380",
        "https://*.10.0.0.1:2380",
        "https://a:0x1",
        "https://a:0",
        "https://10.0.0.0/24:0",
        "https://10.0.0.0/24:65536",
        "https://*.etcd.example:99999",
        "https://[fd00::]/64:0",
        "https://etcd.example.:2380",
        "https://*.etcd.example.:2380",
        "https://b\u00fccher.example:2380",
        "https://root@etcd.example:2380",
        "https://etcd.example:2380/",
        "https://10.0.0.0/24/24:2380",
        "HTTPS://10.0.0.0/24:2380",
        "https://010.0.0.0/24:2380",
        "https://167772160/8:2380",
        "https://etcd.example/24:2380",
    ],
)
def test_a_bad_pattern_says_how_to_write_one(pattern):
    """When the file is read, and not when somebody asks."""
    with pytest.raises(ValidationError) as caught:
        Allow(peer_urls=(pattern,))
    assert "is not a pattern of peer URLs" in explain(caught.value)
    assert "write it like https://10.0.0.0/24:2380" in explain(caught.value)


URL = "https://10.0.0.14:2380"
JOIN = JoinRequest(cluster="prod", name="etcd-4", peer_urls=(URL,), launcher="docker")
REMOVE = RemoveRequest(cluster="prod", member="etcd-3", force=True)
REPLACE = ReplaceRequest(cluster="prod", name="etcd-4", peer_urls=(URL,), old="etcd-3", preempt=True)


@pytest.mark.parametrize(
    ("request_", "allow", "told"),
    [
        (JOIN, Allow(verbs=("remove",)), "a join of a member is not allowed for this cluster: verbs are remove"),
        (REMOVE, Allow(verbs=("join", "replace")), "a remove of a member is not allowed"),
        (JOIN, Allow(launchers=()), "launcher docker is not allowed for this cluster: launchers are (none)"),
        (REMOVE, Allow(force=False), "--force is not allowed"),
        (REPLACE, Allow(preempt=False), "--preempt is not allowed"),
        (REPLACE, Allow(peer_urls=("https://*.example:2380",)), f"peer URL {URL} is not allowed"),
    ],
)
def test_a_request_that_is_not_allowed(request_, allow, told):
    """Each key refuses, by name, with who decides it; without the key everything is allowed."""
    [check] = check_allowed(allow, request_.asked)
    assert (check.verdict, check.error) == ("refuse", Failure.NOT_ALLOWED)
    assert told in check.evidence
    assert "[clusters.NAME.allow]" in check.hint
    assert check_allowed(Allow(), request_.asked) == ()


def test_what_is_listed_is_allowed():
    """And the plan says so."""
    allow = Allow(verbs=("join",), launchers=("docker",), peer_urls=("https://10.0.0.0/8:2380",), force=False)
    assert [c.verdict for c in check_allowed(allow, JOIN.asked)] == ["ok"]


@pytest.mark.parametrize(("waiting", "verdict"), [(0, "ok"), (1, "ok"), (2, "refuse"), (9, "refuse")])
def test_a_full_line(waiting, verdict):
    """As many as `max_waiting` may wait, and no one more."""
    [check] = check_line(Allow(max_waiting=2), waiting)
    assert verdict == check.verdict
    assert check_line(Allow(), waiting) == ()
