"""The membership client on real members: TLS, auth, dead endpoints, identities, etcd3's own calls."""

from __future__ import annotations

import importlib
import socket
import threading
import time

import pytest
from reach import client

from etcdapi import connection
from etcdapi.connection import etcd3
from etcdapi.faults import Fault
from local import loopback
from local.processes import free_port
from membership import etcd_errors as e
from membership.errors import ClusterUnreachable, InvalidConfiguration, WrongCluster
from support.parts.lab import eventually


# etcd3's watch thread ends by an error when its channel is closed: within the test, where that is expected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_etcd3s_own_client_works_with_todays_protobuf(single):
    """put, get, watch, lease, status, members: on our stubs, with C++ or upb protobuf."""
    own = etcd3.client("127.0.0.1", single.client_port, timeout=5)
    own.put("greeting", "hello")
    assert own.get("greeting")[0] == b"hello"
    assert [value for value, _ in own.get_prefix("greet")] == [b"hello"]
    events, cancel = own.watch("greeting")
    own.put("greeting", "again")
    assert next(events).value == b"again"
    cancel()
    lease = own.lease(30)
    own.put("leased", "x", lease=lease)
    assert 0 < lease.remaining_ttl <= 30
    lease.revoke()
    assert own.get("leased")[0] is None
    assert own.status().version.startswith("3.")
    assert [single.name] == [m.name for m in own.members]
    swapped = own.replace("greeting", "again", "once more")
    assert swapped
    own.close()
    eventually(lambda: not any("etcd3_watch" in thread.name for thread in threading.enumerate()), "the watch to end")


def test_dead_endpoints_cost_nothing(lab):
    """One that refuses, one that never answers, one that drops every packet: the look is as good as without."""
    cluster = lab.cluster()
    mute = socket.create_server(("127.0.0.1", 0))
    refusing = f"http://127.0.0.1:{free_port()}"
    silent = f"http://127.0.0.1:{mute.getsockname()[1]}"
    with client(refusing, silent, *cluster.endpoints()) as etcd:
        started = time.monotonic()
        status = etcd.look()
        assert len(status.readers) == 3
        assert time.monotonic() - started < 2 * 2.0 + 1, "more than one deadline was waited for"
    mute.close()


def test_one_endpoint_is_enough(lab):
    """The rest is discovered, asked, and compared."""
    cluster = lab.cluster()
    with client(cluster.endpoints()[0]) as etcd:
        status = etcd.look()
        assert 3 == len(status.statuses) == len(status.readers)
        assert status.leader


def test_connections_are_kept(lab):
    """One per endpoint and protocol, however many looks."""
    cluster = lab.cluster()
    with client(*cluster.endpoints()) as etcd:
        for _ in range(10):
            etcd.look()
        etcd.commit()
        opened = {name: cluster.relays[name].connections for name in ("etcd-1", "etcd-2", "etcd-3")}
    leader = cluster.leader().name
    assert opened == {name: 2 if name == leader else 1 for name in opened}


def test_changes_go_to_the_leader_once(lab):
    """Whoever it is, with `hasleader`, without a retry."""
    cluster = lab.cluster()
    new = cluster.new_member()
    with client(*cluster.endpoints()) as etcd:
        etcd.look()
        cluster.inject(Fault("MemberAdd", "unavailable"))
        with pytest.raises(e.ConnectionLost):
            etcd.add_learner((new.peer_url,), 5)
        assert {cluster.leader().name: 1} == {
            n: len(r.sent("MemberAdd")) for n, r in cluster.relays.items() if r.sent("MemberAdd")
        }
        assert ("hasleader", "true") in cluster.relays[cluster.leader().name].sent("MemberAdd")[0].metadata


def test_without_a_look_no_change_is_sent(lab):
    """Nobody knows the leader yet."""
    with client(*lab.cluster().endpoints()) as etcd, pytest.raises(e.NoLeader):
        etcd.promote("abc", 1)


def test_learners_are_never_asked_for_the_list(lab):
    """They would refuse, and a retry would find nobody else."""
    cluster = lab.cluster()
    new = cluster.new_member()
    join = cluster.join(new, "--hold-before", "promote")
    join.start_member()
    eventually(lambda: lab.held(cluster.workflow_id(new)), "the join to be held")
    with client(*cluster.endpoints(), new.advertised) as etcd:
        # After a snapshot, etcd keeps a new member's client port silent for seconds.
        eventually(lambda: len(etcd.look().statuses) == 4, "the learner's own word")
        for _ in range(3):
            assert len(etcd.look().statuses) == 4
        etcd.members()
    assert not cluster.relays[new.name].sent("MemberList")


def test_a_list_is_not_read_through_a_member_to_avoid(lab):
    """A member that is being removed is not asked for anything."""
    cluster = lab.cluster()

    def asked() -> dict[str, int]:
        return {name: len(relay.sent("MemberList")) for name, relay in cluster.relays.items()}

    with client(*cluster.endpoints()) as etcd:
        status, before = etcd.look(), asked()
        etcd.members()
        [first] = [m for m in status.members if asked()[m.name] > before[m.name]]
        before = asked()
        etcd.members(avoid=(first.id,))
    assert asked()[first.name] == before[first.name]
    assert sum(asked().values()) == sum(before.values()) + 1


def test_an_endpoint_of_another_cluster_is_an_error(lab, single):
    """By its name, and with both IDs."""
    cluster = lab.cluster()
    with (
        client(*cluster.endpoints(), single.client_url) as etcd,
        pytest.raises(WrongCluster, match=single.client_url),
    ):
        etcd.look()


def test_a_member_that_advertises_another_clusters_address_is_silent(lab, single):
    """Whose member answers there is no evidence of this cluster: not of its leader, its term or its list."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member(advertised=single.client_url), "--hold-before", "promote")
    join.start_member()
    learner = cluster.id_of(join.new)
    with client(*cluster.endpoints()) as etcd:
        etcd.look()
        status = eventually(lambda: s if (s := etcd.look()).member(learner).client_urls else None, "its client URL")
        assert learner not in status.statuses
        assert "answers for cluster" in status.silent[learner]
        assert (cluster.id_of(cluster.leader()), ()) == (status.leader, status.dissent)
        assert len(status.readers) == 3
    lab.cancel(cluster.workflow_id(join.new))
    assert join.wait().code == 1


def test_unreachable_clusters_say_why():
    """Every endpoint with its own reason."""
    one, other = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    with client(one, other) as etcd, pytest.raises(ClusterUnreachable) as caught:
        etcd.look()
    assert one in str(caught.value)
    assert other in str(caught.value)


def test_a_leader_that_is_not_agreed_on_is_none(lab):
    """The members of the highest term decide; a frozen leader is silent, and a new one is found."""
    cluster = lab.cluster(fresh=True)
    old = cluster.leader()
    old_id = cluster.id_of(old)
    with client(*cluster.endpoints()) as etcd:
        assert old_id == etcd.look().leader
        old.freeze()

        def new_leader():
            try:
                status = etcd.look()
            except ClusterUnreachable:
                return None
            return status if status.leader not in ("", old_id) else None

        status = eventually(new_leader, "a new leader")
        assert old_id in status.silent
        old.thaw()


# ---- TLS ----


def test_tls_with_a_client_certificate(tls):
    """gRPC and `/debug/vars` alike."""
    member, _, access = tls
    with client(member.client_url, **access) as etcd:
        status = etcd.look()
    assert 1 == len(status.statuses) == len(status.progress)


@pytest.mark.parametrize("wrong", ["no certificate", "another CA", "plain text"])
def test_wrong_tls_is_unreachable(tls, wrong):
    """Never a hang, and nothing secret in the text."""
    member, folder, access = tls
    url = member.client_url
    if wrong == "no certificate":
        access = {"ca": access["ca"]}
    elif wrong == "another CA":
        access = {**access, "ca": folder / "other-ca.crt"}
    else:
        access, url = {}, url.replace("https", "http")
    with client(url, **access) as etcd, pytest.raises(ClusterUnreachable) as caught:
        etcd.look()
    assert "PRIVATE KEY" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "holds", "told"),
    [("ca", "no PEM", "ca .*/own"), ("key", "client's of another", "key .*/own: key values mismatch")],
)
def test_files_that_openssl_cannot_use(tls, tmp_path, key, holds, told):
    """Named with what OpenSSL said of it, as something to configure: not as whatever may come of a call."""
    member, folder, access = tls
    content = (folder / "server.key").read_text() if key == "key" else holds
    (tmp_path / "own").write_text(content)
    with (
        client(member.client_url, **{**access, key: tmp_path / "own"}) as etcd,
        pytest.raises(InvalidConfiguration, match=told) as caught,
    ):
        etcd.look()
    assert "PRIVATE KEY" not in str(caught.value)


# ---- ways ----


def test_a_proxy_of_the_environment_is_not_asked(single, monkeypatch):
    """Members are reached directly, by clients and by what starts them."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    importlib.reload(loopback)  # openers read the environment when they are made
    with client(single.client_url) as etcd:
        assert etcd.look().leader
    assert single.is_serving()


def test_a_member_that_falls_silent_within_a_snapshot(single, monkeypatch):
    """Its machine lost its power, say: nothing closes the connection, so gRPC must ask whether it is still there."""
    names = ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")
    fast = dict.fromkeys(names, 1000)
    options = tuple((name, fast.get(name, value)) for name, value in connection._OPTIONS)
    assert set(fast) < {name for name, _ in options}
    monkeypatch.setattr(connection, "_OPTIONS", options)
    own = etcd3.client("127.0.0.1", single.client_port, timeout=5)
    for number in range(40):
        own.put(f"key-{number}", bytes(1_000_000))
    own.close()
    with client(single.client_url) as etcd:
        etcd.look()
        pieces = etcd.snapshot()
        next(pieces)
        single.freeze()
        started = time.monotonic()
        with pytest.raises(e.Ambiguous):
            list(pieces)
        assert time.monotonic() - started < 20
        single.thaw()
