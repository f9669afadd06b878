"""The clusters file: every error names file, key and what was expected; changes are noticed, clients are kept."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import pytest

from clusters import ClustersFile
from etcdapi.discovery import Undiscovered
from launchers.docker_launcher import DockerLauncher
from membership.allow import Allow
from membership.errors import InvalidConfiguration, UnknownCluster
from membership.etcd import Access
from membership.policy import Policy

PLAIN = '[clusters.prod]\nendpoints = ["http://10.0.0.1:2379"]\n'
SECURE = '[clusters.prod]\nendpoints = ["https://10.0.0.1:2379"]\nca = "ca.crt"\n'
FULL = f'{SECURE}cert = "c.crt"\nkey = "c.key"\nusername = "memberflow"\npassword_file = "password"\n'
FILES = {"ca": "ca.crt", "cert": "c.crt", "key": "c.key", "password_file": "password"}


class Client:
    """Stands for an etcd client: what matters is which one it is and what it was made from."""

    def __init__(self, access):
        self.access = access
        self.closed = False

    def close(self):
        self.closed = True


def found_nothing(domain, *, tls):
    """DNS has no records."""
    raise Undiscovered(domain)


class Worker:
    """A folder with a clusters file, as a worker reads it."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "clusters.toml"

    def put(self, name, text):
        """Puts a file in place at once, as operators' tools do."""
        new = self.folder / f"{name}.new"
        new.write_text(text)
        new.replace(self.folder / name)

    def put_files(self):
        for name in FILES.values():
            self.put(name, "one")

    def read(self, text=None, **more):
        if text is not None:
            self.put("clusters.toml", text)
        return ClustersFile(self.file, Client, DockerLauncher, **{"discover": found_nothing, **more})

    def refusal(self, text):
        """What is said of a file with this text, without the file's name in front."""
        with pytest.raises(InvalidConfiguration) as caught:
            self.read(text).names()
        told = str(caught.value)
        assert told.startswith(f"{self.file}: ")
        return told.removeprefix(f"{self.file}: ")


@pytest.fixture
def worker(tmp_path):
    """An empty folder for a clusters file."""
    return Worker(tmp_path)


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


def test_a_change_of_the_file_is_noticed(worker):
    """At the next question; clusters come and go."""
    clusters = worker.read(PLAIN)
    assert clusters.names() == ("prod",)
    worker.put("clusters.toml", f"{PLAIN}policy.min_spare = 0\n{PLAIN.replace('prod', 'test')}")
    assert clusters.names() == ("prod", "test")
    assert clusters.policy("prod").min_spare == 0
    worker.put("clusters.toml", PLAIN.replace("prod", "test"))
    with pytest.raises(UnknownCluster):
        clusters.policy("prod")


def test_a_broken_edit_leaves_the_last_good_state(worker, caplog):
    """Of the whole file; what is wrong is logged once, told with its time, and over when it is repaired."""
    clusters = worker.read(PLAIN)
    kept = clusters.connect("prod")
    worker.put("clusters.toml", f"{PLAIN}oops")
    for _ in range(3):
        assert clusters.connect("prod") is kept
    assert [r.levelname for r in caplog.records if "not TOML" in r.message] == ["ERROR"]
    assert "not TOML" in clusters.problem("prod")
    assert "(since 20" in clusters.problem("prod")
    worker.file.unlink()
    assert clusters.names() == ("prod",)
    assert "No such file" in clusters.problem("prod")
    worker.put("clusters.toml", PLAIN)
    assert clusters.connect("prod") is kept
    assert clusters.problem("prod") == ""


def test_a_wrong_table_stops_its_own_cluster_alone(worker):
    """From the start on; a cluster that was good before keeps its last good table."""
    other = PLAIN.replace("prod", "test").replace("10.0.0.1", "10.0.0.2")
    clusters = worker.read(f"{PLAIN}oops = 1\n{other}")
    assert clusters.names() == ("prod", "test")
    assert clusters.policy("test") == Policy()
    with pytest.raises(InvalidConfiguration, match=r"clusters\.prod\.oops: unknown key"):
        clusters.policy("prod")
    assert "clusters.prod.oops: unknown key" in clusters.problem("prod")
    assert clusters.problem("test") == ""
    worker.put("clusters.toml", f"{PLAIN}policy.min_spare = 0\n{other}")
    assert (clusters.policy("prod").min_spare, clusters.problem("prod")) == (0, "")
    worker.put("clusters.toml", f"{PLAIN}policy.min_spare = -1\n{other}policy.min_spare = 2\n")
    assert (clusters.policy("prod").min_spare, clusters.policy("test").min_spare) == (0, 2)
    assert "The last good state is used" in clusters.problem("prod")
    worker.put("clusters.toml", other)
    with pytest.raises(UnknownCluster):
        clusters.policy("prod")


def test_a_wrong_launcher_keeps_its_last_good_table(worker):
    """A launch that is under way goes on."""
    good = '[launchers.docker]\nimage = "etcd"\n'
    clusters = worker.read(PLAIN + good)
    assert clusters.launcher("docker")
    worker.put("clusters.toml", f"{PLAIN}{good}oops = 1\n")
    assert clusters.launcher("docker")
    assert clusters.policy("prod") == Policy()


def test_two_names_of_one_cluster_are_refused(worker):
    """By an endpoint that both have, however it is written; or by the ID that both are seen to have."""
    alias = '[clusters.alias]\nendpoints = ["http://10.0.0.9:2379", "http://10.0.0.1:2379/"]\n'
    clusters = worker.read(PLAIN + alias)
    assert clusters.policy("prod") == Policy()
    with pytest.raises(
        InvalidConfiguration, match="is an endpoint of cluster prod as well: list each etcd cluster under one name"
    ):
        clusters.policy("alias")
    other = worker.read(PLAIN + PLAIN.replace("prod", "alias").replace("10.0.0.1", "10.0.0.9"))
    assert other.names() == ("prod", "alias")
    other.saw("prod", "c0ffee")
    other.saw("prod", "c0ffee")
    with pytest.raises(InvalidConfiguration, match=r"clusters prod and alias are one etcd cluster \(c0ffee\)"):
        other.saw("alias", "c0ffee")
    other.saw("alias", "beef")


def test_a_file_on_a_mount_that_hangs_stops_its_own_cluster_alone(worker, monkeypatch):
    """Whoever opens it waits for ever; one thread does, and the cluster keeps the client that it had."""
    worker.put_files()
    other = PLAIN.replace("prod", "test").replace("10.0.0.1", "10.0.0.2")
    clusters = worker.read(f"{FULL}{other}")
    kept = clusters.connect("prod")
    monkeypatch.setattr("file_states._PROMPT", 0.1)
    (worker.folder / "password").unlink()
    os.mkfifo(worker.folder / "password")  # opened for reading, it waits for a writer
    threads = threading.active_count()
    for _ in range(3):
        assert clusters.connect("prod") is kept
    assert threading.active_count() == threads + 1
    assert "password does not answer: does its mount hang?" in clusters.problem("prod")
    assert clusters.connect("test")
    with (worker.folder / "password").open("w"):
        pass


@pytest.mark.parametrize("key", FILES)
def test_a_missing_certificate_file_is_named(worker, key):
    """With its key, its whole path and the system's reason."""
    worker.put_files()
    missing = worker.folder / FILES[key]
    missing.unlink()
    assert worker.refusal(FULL) == f"clusters.prod.{key}: cannot read {missing}: No such file or directory"
    worker.put(FILES[key], "")
    assert worker.read(FULL).names() == ("prod",)


def test_certificate_files_are_looked_for_only_where_they_are_used(worker):
    """On workers that serve the cluster's queue, its own or the default one."""
    central = SECURE.replace("prod", "central").replace("10.0.0.1", "10.0.0.2")
    text = f'{SECURE}task_queue = "site-a"\n{central}'
    assert worker.read(text, serves=["site-b"]).names() == ("prod", "central")
    for queue, cluster in (("site-a", "prod"), ("home", "central")):
        with pytest.raises(InvalidConfiguration, match=f"clusters.{cluster}.ca: cannot read"):
            worker.read(text, serves=[queue], default_queue="home").policy(cluster)


def test_a_client_is_kept_while_nothing_changes(worker):
    """One per cluster; an edit that leaves the cluster's access alone changes nothing."""
    worker.put("ca.crt", "one")
    other = SECURE.replace("prod", "test").replace("10.0.0.1", "10.0.0.2")
    clusters = worker.read(f"{SECURE}{other}")
    kept = clusters.connect("prod")
    assert clusters.connect("prod") is kept
    assert clusters.connect("test") is not kept
    worker.put("clusters.toml", f"{SECURE}policy.min_spare = 0\n")
    assert clusters.connect("prod") is kept


@pytest.mark.parametrize("name", [*FILES.values(), "clusters.toml"])
def test_a_renewed_file_or_entry_makes_a_new_client(worker, name):
    """The old one would show old credentials, or ask the wrong members; the new one is kept in turn."""
    worker.put_files()
    clusters = worker.read(FULL)
    first = clusters.connect("prod")
    worker.put(name, FULL.replace("10.0.0.1", "10.0.0.2"))
    second = clusters.connect("prod")
    assert second is not first
    assert clusters.connect("prod") is second
    assert (first.closed, second.closed) == (True, False)


def test_a_certificate_file_that_vanishes_later_is_named(worker):
    """Not only at the file's first reading; a client that has it goes on, and a new worker has none."""
    worker.put("ca.crt", "one")
    clusters = worker.read(SECURE)
    kept = clusters.connect("prod")
    (worker.folder / "ca.crt").unlink()
    assert clusters.connect("prod") is kept
    assert "clusters.prod.ca: cannot read" in clusters.problem("prod")
    with pytest.raises(InvalidConfiguration, match=r"clusters\.prod\.ca: cannot read .*ca\.crt: No such file"):
        worker.read().connect("prod")


# ---- endpoints from DNS ----

FOUND = '[clusters.prod]\ndiscovery_srv = "Example.com."\n'


def test_endpoints_from_dns(worker):
    """Asked at each connect, with or without TLS as the file says. Other endpoints make a new client."""
    urls, asked = ["http://10.0.0.1:2379"], []

    def discover(domain, *, tls):
        asked.append((domain, tls))
        return tuple(urls)

    clusters = worker.read(FOUND, discover=discover)
    first = clusters.connect("prod")
    assert (first.access.endpoints, clusters.connect("prod")) == (("http://10.0.0.1:2379",), first)
    assert (asked, clusters.endpoints("prod")) == ([("example.com", False)] * 2, ())
    urls.append("http://10.0.0.2:2379")
    assert clusters.connect("prod").access.endpoints == tuple(urls)
    assert first.closed
    worker.put("ca.crt", "one")
    worker.put("clusters.toml", f'{FOUND}ca = "ca.crt"\n')
    clusters.connect("prod")
    assert asked[-1] == ("example.com", True)


def test_dns_that_does_not_answer_is_no_wrong_configuration(worker):
    """The table is good: a look fails, and is repeated."""
    clusters = worker.read(FOUND)
    with pytest.raises(Undiscovered):
        clusters.connect("prod")
    assert clusters.problem("prod") == ""


def test_two_names_for_one_domain_are_refused(worker):
    """As two names with a common endpoint are."""
    clusters = worker.read(f'{FOUND}[clusters.alias]\ndiscovery_srv = "example.com"\n')
    assert clusters.policy("prod")
    with pytest.raises(InvalidConfiguration, match=r"example\.com belongs to cluster prod as well"):
        clusters.policy("alias")
