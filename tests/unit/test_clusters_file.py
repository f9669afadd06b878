"""The clusters file: every error names file, key and the expected value."""

from __future__ import annotations

from datetime import timedelta

import pytest
from worker_folder import FILES, FULL, PLAIN

from membership.allow import Allow
from membership.errors import InvalidConfiguration, UnknownCluster
from membership.etcd import Access
from membership.policy import Policy


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('endpoint = ["http://a:1"]', "clusters.prod.endpoint: unknown key"),
        ('password = "secret"', "clusters.prod.password: unknown key"),
        ("username = 5", "clusters.prod.username: Input should be a valid string"),
        ('username = ""', "clusters.prod.username: String should have at least 1 character"),
        ('task_queue = ""', "clusters.prod.task_queue: String should have at least 1 character"),
        ("ca = 5", "clusters.prod.ca: Input is not a valid path"),
        ('username = "memberflow"', "clusters.prod: username and password_file go together: give both or neither"),
        ('password_file = "p"', "clusters.prod: username and password_file go together: give both or neither"),
        ('cert = "c.crt"', "clusters.prod: cert and key go together: give both or neither"),
        ('key = "c.key"', "clusters.prod: cert and key go together: give both or neither"),
        ('cert = "c.crt"\nkey = "c.key"', "clusters.prod: cert and key need https endpoints and a ca"),
        ('ca = "ca.crt"', "clusters.prod: ca goes with https endpoints: the CA that signed the members' certificates"),
        ("policy = 5", "clusters.prod.policy: should be an object with named fields"),
        (
            'policy.start_timeout = "soon"',
            "clusters.prod.policy.start_timeout: 'soon' is not a duration: write it like",
        ),
        ("policy.join_timeout = 10", "clusters.prod.policy.join_timeout: 10 is not a duration: write it like"),
        (
            'policy.join_timeout = "400d"',
            "clusters.prod.policy.join_timeout: Input should be less than or equal to 365 days",
        ),
        ('policy.on_failure = "retry"', "clusters.prod.policy.on_failure: Input should be 'rollback' or 'hold'"),
        ("policy.min_spare = -1", "clusters.prod.policy.min_spare: Input should be greater than or equal to 0"),
        ("policy.min_voters = 0", "clusters.prod.policy.min_voters: Input should be greater than or equal to 1"),
        (
            'allow.peer_urls = ["10.0.0.0/24"]',
            "clusters.prod.allow.peer_urls[0]: '10.0.0.0/24' is not a pattern of peer URLs",
        ),
        ('allow.verbs = ["add"]', "clusters.prod.allow.verbs[0]: Input should be 'join', 'remove' or 'replace'"),
        ('cluster_id = "prod"', "clusters.prod.cluster_id: 'prod' is not a cluster ID: write it in hex"),
        ("allow.max_waiting = 0", "clusters.prod.allow.max_waiting: Input should be greater than or equal to 1"),
        ("allow.forced = true", "clusters.prod.allow.forced: unknown key"),
        ("policy.min_spares = 1", "clusters.prod.policy.min_spares: unknown key"),
    ],
)
def test_a_wrong_key_is_named(worker, line, told):
    """By its whole path, with what was expected; what a secret could stand in is not repeated."""
    refusal = worker.refusal(f"{PLAIN}{line}\n")
    assert refusal.startswith(told)
    assert "secret" not in refusal


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[cluster.prod]\nendpoints = []", "cluster: unknown key"),
        ("clusters = 5", "clusters: should be a table"),
        ("[clusters.prod]\n", "clusters.prod: give either endpoints or discovery_srv"),
        ("[clusters.prod]\nendpoints = []", "clusters.prod: give either endpoints or discovery_srv"),
        (f'{PLAIN}discovery_srv = "example.com"', "clusters.prod: give either endpoints or discovery_srv"),
        ('[clusters.prod]\ndiscovery_srv = "10.0.0.1"', "clusters.prod.discovery_srv: '10.0.0.1' is not a domain"),
        ('[clusters.prod]\ndiscovery_srv = "https://a"', "clusters.prod.discovery_srv: 'https://a' is not a domain"),
        (
            '[clusters.prod]\ndiscovery_srv = "a.example"\nusername = "u"\npassword_file = "p"',
            "clusters.prod: username with discovery_srv needs a ca: DNS alone would decide who gets the password",
        ),
        ('[clusters.prod]\nendpoints = "http://a:1"', "clusters.prod.endpoints: should be a list"),
        ('[clusters.prod]\nendpoints = ["10.0.0.1:1"]', "clusters.prod.endpoints[0]: '10.0.0.1:1' has the scheme"),
        (
            '[clusters.prod]\nendpoints = ["http://a:1", "http://b"]',
            "clusters.prod.endpoints[1]: 'http://b' lacks a host or a port: write scheme://host:port",
        ),
        (
            '[clusters.prod]\nendpoints = ["http://a:1", "https://b:1"]',
            "clusters.prod: endpoints mix http and https: a cluster has one of the two",
        ),
        ('[clusters.prod]\nendpoints = ["https://a:1"]', "clusters.prod: ca goes with https endpoints"),
        ('[clusters."a b"]\nendpoints = ["http://a:1"]', "clusters.a b: 'a b' is not a valid name"),
        ("[clusters.prod\n", "not TOML: Expected ']' at the end of a table declaration (at line 1"),
    ],
)
def test_a_wrong_file_is_explained(worker, text, told):
    """Down to the item of a list, or the line where it stops being TOML."""
    assert worker.refusal(text).startswith(told)


def test_all_wrong_keys_are_told_at_once(worker):
    """Nobody should have to find them one by one."""
    told = worker.refusal(f"{PLAIN}one = 1\n[clusters.next]\n")
    assert told == "clusters.prod.one: unknown key; clusters.next: give either endpoints or discovery_srv"


def test_a_file_that_cannot_be_read(worker):
    """Is named, with the reason, whatever the reason is."""
    with pytest.raises(InvalidConfiguration, match=f"^{worker.file}: No such file or directory"):
        worker.read().names()
    worker.file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidConfiguration, match=f"^{worker.file}: not TOML: .*can't decode"):
        worker.read().names()


def test_an_unknown_cluster(worker):
    """The error lists those that are known, whatever was asked."""
    clusters = worker.read(f"{PLAIN}{PLAIN.replace('prod', 'test')}")
    for ask in (clusters.policy, clusters.task_queue, clusters.connect):
        with pytest.raises(UnknownCluster) as caught:
            ask("pord")
        assert str(caught.value) == f"no cluster 'pord' in {worker.file} (it has: prod, test)"
    with pytest.raises(UnknownCluster, match=r"\(it has: none\)"):
        worker.read("").policy("prod")


def test_defaults(worker):
    """The documented policy, the worker's own queue, no credentials."""
    clusters = worker.read(PLAIN, default_queue="queue", serves=["queue"])
    assert clusters.names() == ("prod",)
    assert clusters.policy("prod") == Policy()
    assert clusters.task_queue("prod") == "queue"
    assert clusters.connect("prod").access == Access(("http://10.0.0.1:2379",))


def test_everything_that_a_cluster_can_say(worker):
    """In the file's order; each key arrives where it belongs; relative paths are relative to the file."""
    worker.put_files()
    clusters = worker.read(
        PLAIN.replace("prod", "zebra").replace("10.0.0.1", "10.0.0.2")
        + FULL.replace('"c.crt"', f'"{worker.folder}/c.crt"')
        + 'task_queue = "site-a"\n'
        '[clusters.prod.policy]\nmin_spare = 0\nstart_timeout = "90s"\non_failure = "hold"\n'
        '[clusters.prod.allow]\nverbs = ["join"]\nforce = false\n'
    )
    assert clusters.names() == ("zebra", "prod")
    assert clusters.task_queue("prod") == "site-a"
    assert clusters.policy("prod") == Policy(min_spare=0, start_timeout=timedelta(seconds=90), on_failure="hold")
    assert clusters.allow("prod") == Allow(verbs=("join",), force=False)
    assert clusters.allow("zebra") == Allow()
    files = {key: worker.folder / name for key, name in FILES.items()}
    assert clusters.connect("prod").access == Access(("https://10.0.0.1:2379",), username="memberflow", **files)
