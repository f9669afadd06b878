"""Users, passwords and tokens: on real members with auth, and on servers that only seem to be members."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from reach import Seeming, authenticated, client, expired, lenient, looked, turn_on_auth, turn_on_guest

from etcdapi import auth
from etcdapi.calls import Calls
from etcdapi.stubs import rpc_pb2
from local.etcd_cluster import LocalMember
from membership import etcd_errors as e
from membership.errors import ClusterUnreachable, InvalidConfiguration
from membership.etcd import Access
from membership.model import handover
from support.parts.lab import eventually

INVALID_TOKEN = "etcdserver: invalid auth token"
WRONG_PASSWORD = "etcdserver: authentication failed, invalid user ID or password"
NO_TOKEN = "etcdserver: user name is empty"


def test_auth_with_a_token_that_expires(guarded, tmp_path):
    """It is renewed, and the read that found it expired is repeated; the change after it is sent once."""
    with client(guarded.client_url, username="root", password_file=tmp_path / "password") as etcd:
        assert etcd.look().leader
        first = etcd._calls.auth.token
        # Whoever asks whether a token is still good renews it: so ask seldom.
        time.sleep(3)
        eventually(lambda: expired(guarded, first.text), "the token to expire", pause=3)
        member = etcd.look() and etcd.add_learner(("http://127.0.0.1:7",), 5)
        assert member.is_learner
        assert first != etcd._calls.auth.token


def test_a_token_lost_by_a_restart(guarded, tmp_path):
    """The member forgot it; a new one is asked for."""
    with client(guarded.client_url, username="root", password_file=tmp_path / "password") as etcd:
        etcd.look()
        guarded.kill()
        guarded.start()
        guarded.wait_until_serving()
        assert eventually(lambda: looked(etcd), "a look after the restart").leader


@pytest.mark.parametrize(
    ("password", "error", "told"),
    [
        ("wrong", e.AuthFailed, "authentication failed, invalid user ID or password"),
        (None, InvalidConfiguration, "cannot read"),
    ],
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


def test_who_may_change_members(guarded, single, tmp_path):
    """Only a user with the role root. Asked beforehand, in the same words as a change would be refused."""
    turn_on_guest(guarded)
    (tmp_path / "guest").write_text("pass-of-guest")
    for user, file, refusal in (
        ("root", tmp_path / "password", None),
        ("guest", tmp_path / "guest", e.PermissionDenied),
        (None, None, e.UserEmpty),
    ):
        with client(guarded.client_url, username=user, password_file=file) as etcd:
            if refusal is None:
                etcd.check_access()
                continue
            with pytest.raises(refusal):
                etcd.check_access()


def test_without_auth_everybody_may_change_members(single):
    """The question is answered, and refuses nobody."""
    with client(single.client_url) as etcd:
        etcd.check_access()


def test_a_change_whose_token_is_missing_is_not_told_to_name_a_user(guarded, tmp_path):
    """The file names one. The next look gets a token, so the change goes on."""
    calls = Calls(Access((guarded.client_url,), username="root", password_file=tmp_path / "password"))
    with pytest.raises(e.InvalidAuthToken):
        calls.send(guarded.client_url, "MemberPromote", rpc_pb2.MemberPromoteRequest(ID=1), 2)
    calls.close()


# ---- who is told the password, and how often ----


@pytest.fixture
def root(tmp_path):
    """How `root` comes in."""
    (tmp_path / "password").write_text("pass-of-root\n")
    return {"username": "root", "password_file": tmp_path / "password"}


@pytest.fixture
def neighbour(guarded, root, etcd_binary, tmp_path):
    """What answers where a learner of the guarded cluster says that it is: somebody else's etcd, with auth."""
    told = {"Authenticate": rpc_pb2.AuthenticateResponse(token="a neighbour's")}
    server = Seeming(lambda method, _: told.get(method, INVALID_TOKEN))
    new = LocalMember("new", etcd_binary, tmp_path / "new", advertised=server.url)
    with client(guarded.client_url, **root) as etcd:
        etcd.look()
        added = etcd.add_learner((new.peer_url,), 5)
        new.start(handover(etcd.members(), added.id, new.name).env())
        eventually(lambda: etcd.look().member(added.id).client_urls, "the learner to advertise it")
    server.asked.clear()
    yield server
    new.stop()
    server.close()


def test_an_advertised_url_without_tls_gets_neither_password_nor_token(guarded, root, neighbour, monkeypatch):
    """The operator learns why the member is silent. Its refusal costs the cluster no Authenticate for each look."""
    before = authenticated(guarded)
    with client(guarded.client_url, **root) as etcd:
        for _ in range(3):
            [reason] = etcd.look().silent.values()
        monkeypatch.setattr(auth, "NEW_FOR", 0)
        monkeypatch.setattr(auth, "GOOD_FOR", 0)
        etcd.look()
    wanted = "the member asks for a token, which goes to endpoints of the file and to TLS by the cluster's CA alone"
    assert reason == f"{neighbour.url}: {wanted}"
    assert authenticated(guarded) == before + 1
    assert neighbour.count("Status") >= 4
    assert {token for _, token in neighbour.asked} == {""}
    assert neighbour.count("Authenticate") == 0


def test_a_change_is_not_sent_with_a_token_to_an_advertised_url_without_tls(root):
    """The leader is not among the configured endpoints: the call would say the token to whatever listens there."""
    leader = lenient(rpc_pb2.AuthenticateResponse(token="good"))
    calls = Calls(Access(("http://127.0.0.1:1",), **root))
    calls.auth.token = auth.Token("good", time.monotonic())
    with pytest.raises(e.Untrusted):
        calls.send(leader.url, "MemberPromote", rpc_pb2.MemberPromoteRequest(ID=1), 2)
    assert leader.asked == []
    calls.close()
    leader.close()


def test_remembered_urls_get_the_password_only_with_tls(root):
    """A change carries them, and a forged request could name any."""
    calls = Calls(Access(("http://127.0.0.1:1",), **root))
    server = lenient(rpc_pb2.AuthenticateResponse(token="good"))
    with pytest.raises(e.Unreachable):
        calls.auth.authenticate(also=[server.url])
    assert server.count("Authenticate") == 0
    assert server.asked == []
    calls.close()
    server.close()


@pytest.mark.parametrize("ca", [None, Path("/etc/etcd/ca.crt")])
def test_https_alone_proves_no_cluster(root, ca):
    """Everyone can get a certificate of the system's CAs: without a CA of its own, a cluster's secrets went there."""
    endpoint, stranger = "http://127.0.0.1:1", "https://stranger.example:2379"
    calls = Calls(Access((endpoint,), ca=ca, **root))
    calls.auth.token = auth.Token("good", time.monotonic())
    calls.auth.verified = (stranger,)
    assert (stranger in calls.auth._trusted([stranger])) is (ca is not None)
    assert bool(calls._token_for(stranger)) is (ca is not None)
    assert calls._token_for(endpoint) == [("token", "good")]
    calls.close()


def test_a_change_never_authenticates(guarded, root, monkeypatch):
    """What was checked before it would be old by then: a token is asked for before the checks."""
    urls = (f"http://127.0.0.1:{port}" for port in (7, 9))
    with client(guarded.client_url, **root) as etcd:
        etcd.look()
        etcd._calls.auth.token = None
        before = authenticated(guarded)
        with pytest.raises(e.InvalidAuthToken):
            etcd.add_learner((next(urls),), 5)
        assert authenticated(guarded) == before
        etcd.authenticate()
        etcd.authenticate()
        assert authenticated(guarded) == before + 1
        assert etcd.add_learner((next(urls),), 5).is_learner
        monkeypatch.setattr(auth, "GOOD_FOR", 0)
        etcd.authenticate()
        assert authenticated(guarded) == before + 2
        etcd.authenticate(avoid=[guarded.client_url])
        assert authenticated(guarded) == before + 2


def test_a_token_that_a_change_finds_refused_is_asked_for_anew(guarded, root):
    """By the look before the next one."""
    with client(guarded.client_url, **root) as etcd:
        etcd.look()
        etcd._calls.auth.token = auth.Token("forgotten", time.monotonic())
        with pytest.raises(e.InvalidAuthToken):
            etcd.promote("abc", 5)
        etcd.look()
        with pytest.raises(e.MemberNotFound):
            etcd.promote("abc", 5)


def test_a_user_where_auth_is_off(single, root):
    """Nothing to say: no token is needed, which is asked once. From when auth is on, one is."""
    with client(single.client_url, **root) as etcd:
        for _ in range(3):
            assert etcd.look().leader
        etcd.authenticate()
        assert authenticated(single) == 1
        turn_on_auth(single)
        assert eventually(lambda: looked(etcd), "a look with a token").leader
        with pytest.raises(e.MemberNotFound):
            etcd.promote("abc", 5)


def test_reads_that_pass_without_a_token_hide_no_wrong_password(root):
    """The preflight says it: no change could ever work."""
    server = lenient(WRONG_PASSWORD)
    with client(server.url, **root) as etcd:
        with pytest.raises(e.AuthFailed):
            etcd.look()
        with pytest.raises(e.AuthFailed):
            etcd.authenticate()
    server.close()


def test_reads_that_pass_without_a_token_get_one(root):
    """Once; and an Authenticate that fails for the moment spoils no read."""
    server = lenient(rpc_pb2.AuthenticateResponse(token="good"))
    with client(server.url, **root) as etcd:
        for _ in range(3):
            etcd.look()
    assert server.count("Authenticate") == 1
    assert server.asked[-1] == ("MemberList", "good")
    server.close()
    server = lenient("etcdserver: request timed out")
    with client(server.url, **root) as etcd:
        assert etcd.look().leader
    server.close()


def test_a_read_renews_once(root):
    """However often the new token is refused too."""
    told = {"Authenticate": rpc_pb2.AuthenticateResponse(token="good for nothing")}
    server = Seeming(lambda method, _: told.get(method, INVALID_TOKEN))
    with client(server.url, **root) as etcd, pytest.raises(ClusterUnreachable, match="invalid auth token"):
        etcd.look()
    assert (server.count("Authenticate"), server.count("Status")) == (1, 4)
    server.close()


def test_without_tls_nobody_is_told_anything(root):
    """A member that advertises http in a cluster of https and auth is not connected to at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        calls = Calls(Access(("https://127.0.0.1:1",), **root))
        answer = calls.read([url], "Status", rpc_pb2.StatusRequest(), 1)[url]
        assert isinstance(answer, e.Untrusted)
        assert "the URL has no TLS" in str(answer)
        with pytest.raises(BlockingIOError):
            listener.accept()
        calls.close()
