"""The membership client on real members: TLS, auth, dead endpoints, identities, etcd3's own calls."""

from __future__ import annotations

import socket
import time
from contextlib import closing

import pytest
import trustme
from lab import eventually

from etcdapi.client import EtcdClient
from etcdapi.connection import etcd3
from etcdapi.relay import Fault
from etcdapi.stubs import rpc_pb2, rpc_pb2_grpc
from local.etcd_cluster import LocalMember
from local.processes import free_port
from membership import errors as e
from membership.ports import Access


def client(*endpoints, **more):
    return closing(EtcdClient(Access(tuple(endpoints), **more)))


@pytest.fixture
def single(etcd_binary, tmp_path):
    """One plain member, without a relay."""
    member = LocalMember("alone", etcd_binary, tmp_path / "alone")
    member.start(
        {"ETCD_INITIAL_CLUSTER": f"alone={member.peer_url}", "ETCD_INITIAL_ADVERTISE_PEER_URLS": member.peer_url}
    )
    member.wait_until_serving()
    yield member
    member.stop()


# etcd3's watch thread ends by an error when its channel is closed.
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
        for _ in range(3):
            status = etcd.look()
            assert len(status.statuses) == 4
        etcd.members()
    assert not cluster.relays[new.name].sent("MemberList")


def test_an_endpoint_of_another_cluster_is_an_error(lab, single):
    """By its name, and with both IDs."""
    cluster = lab.cluster()
    with (
        client(*cluster.endpoints(), single.client_url) as etcd,
        pytest.raises(e.WrongCluster, match=single.client_url),
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
        assert "WrongCluster" in status.silent[learner]
        assert (cluster.id_of(cluster.leader()), ()) == (status.leader, status.dissent)
        assert len(status.readers) == 3
    lab.cancel(cluster.workflow_id(join.new))
    assert join.wait().code == 1


def test_unreachable_clusters_say_why():
    """Every endpoint with its own reason."""
    one, other = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    with client(one, other) as etcd, pytest.raises(e.ClusterUnreachable) as caught:
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
            except e.ClusterUnreachable:
                return None
            return status if status.leader not in ("", old_id) else None

        status = eventually(new_leader, "a new leader")
        assert old_id in status.silent
        old.thaw()


# ---- TLS ----


@pytest.fixture(scope="module")
def tls(etcd_binary, tmp_path_factory):
    """A member that wants client certificates, and the files for it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    for name in ("server", "client"):
        issued = authority.issue_cert("127.0.0.1", "localhost", common_name=name)
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
    trustme.CA().cert_pem.write_to_path(folder / "other-ca.crt")
    member = LocalMember("safe", etcd_binary, folder / "safe", scheme="https")
    member.flags = (
        f"--cert-file={folder}/server.crt",
        f"--key-file={folder}/server.key",
        f"--trusted-ca-file={folder}/ca.crt",
        "--client-cert-auth",
    )
    member.start(
        {"ETCD_INITIAL_CLUSTER": f"safe={member.peer_url}", "ETCD_INITIAL_ADVERTISE_PEER_URLS": member.peer_url}
    )
    access = {"ca": folder / "ca.crt", "cert": folder / "client.crt", "key": folder / "client.key"}
    with client(member.client_url, **access) as etcd:
        eventually(lambda: _looked(etcd), "the member to serve")
    yield member, folder, access
    member.stop()


def _looked(etcd):
    try:
        return etcd.look()
    except e.ClusterUnreachable:
        return None


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
    with client(url, **access) as etcd, pytest.raises(e.ClusterUnreachable) as caught:
        etcd.look()
    assert "PRIVATE KEY" not in str(caught.value)


# ---- auth ----


@pytest.fixture
def guarded(single, tmp_path):
    """A member with auth on; its tokens live two seconds."""
    single.stop()
    single.flags = ("--auth-token-ttl=2",)
    single.start()
    single.wait_until_serving()
    own = etcd3.client("127.0.0.1", single.client_port, timeout=5)
    auth = rpc_pb2_grpc.AuthStub(own.channel)
    auth.UserAdd(rpc_pb2.AuthUserAddRequest(name="root", password="pass-of-root"))
    auth.RoleAdd(rpc_pb2.AuthRoleAddRequest(name="root"))
    auth.UserGrantRole(rpc_pb2.AuthUserGrantRoleRequest(user="root", role="root"))
    auth.AuthEnable(rpc_pb2.AuthEnableRequest())
    own.close()
    (tmp_path / "password").write_text("pass-of-root\n")
    return single


def test_auth_with_a_token_that_expires(guarded, tmp_path):
    """It is renewed, and the read that found it expired is repeated; the change after it is sent once."""
    with client(guarded.client_url, username="root", password_file=tmp_path / "password") as etcd:
        assert etcd.look().leader
        first = etcd._calls._token
        # Whoever asks whether a token is still good renews it: so ask seldom.
        time.sleep(3)
        eventually(lambda: _expired(guarded, first), "the token to expire", pause=3)
        member = etcd.look() and etcd.add_learner(("http://127.0.0.1:7",), 5)
        assert member.is_learner
        assert first != etcd._calls._token


def _expired(member, token):
    own = etcd3.client("127.0.0.1", member.client_port, timeout=5)
    try:
        own.clusterstub.MemberList(rpc_pb2.MemberListRequest(), metadata=[("token", token)])
    except Exception as error:  # noqa: BLE001
        return "invalid auth token" in str(error)
    finally:
        own.close()
    return False


def test_a_token_lost_by_a_restart(guarded, tmp_path):
    """The member forgot it; a new one is asked for."""
    with client(guarded.client_url, username="root", password_file=tmp_path / "password") as etcd:
        etcd.look()
        guarded.kill()
        guarded.start()
        guarded.wait_until_serving()
        assert eventually(lambda: _looked(etcd), "a look after the restart").leader


@pytest.mark.parametrize(
    ("password", "error", "told"),
    [("wrong", e.AuthFailed, "AuthFailed"), (None, e.InvalidConfiguration, "cannot read")],
)
def test_wrong_credentials_are_named_and_kept_secret(guarded, tmp_path, password, error, told):
    """The error says what to check, and never what the password was."""
    file = tmp_path / "other"
    if password:
        file.write_text(password)
    with (
        client(guarded.client_url, username="root", password_file=file) as etcd,
        pytest.raises(error) as caught,
    ):
        etcd.look()
    assert told in str(caught.value)
    assert "pass-of-root" not in str(caught.value)
    assert "'wrong'" not in str(caught.value)


def test_no_credentials_where_they_are_needed(guarded):
    """Named by etcd's own error."""
    with client(guarded.client_url) as etcd, pytest.raises(e.UserEmpty):
        etcd.look()
