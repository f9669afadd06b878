"""The clusters of a worker: changes of the file are noticed, the last good state and clients are kept."""

from __future__ import annotations

import os
import threading

import pytest
from worker_folder import FILES, FULL, PLAIN, SECURE

from etcdapi.discovery import Undiscovered
from membership.errors import InvalidConfiguration, UnknownCluster
from membership.policy import Policy


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
    threads = set(threading.enumerate())
    for _ in range(3):
        assert clusters.connect("prod") is kept
    assert len(set(threading.enumerate()) - threads) == 1
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
