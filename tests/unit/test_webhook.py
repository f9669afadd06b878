"""`[notify]`: its table, its secrets, its signature, and the request that carries a message."""

from __future__ import annotations

import ssl
import time

import pytest
import trustme
from pydantic import ValidationError

from cluster_tables import read_tables
from local.processes import free_port
from membership.errors import InvalidConfiguration
from messages.notices import Message, NotDelivered, cluster_of_notice, notice_id
from messages.validation import explain
from support.parts.inbox import SECRET, Inbox, secret_file
from webhook.config import WebhookTable
from webhook.receiver import WebhookReceiver, _context
from webhook.signing import headers, read_secrets

MESSAGE = Message("msg_1", {"data": {"cluster": "prod"}})


@pytest.fixture
def inbox():
    """A receiver that takes everything."""
    inbox = Inbox()
    yield inbox
    inbox.close()


def receiver(folder, url, **more):
    return WebhookReceiver(WebhookTable(url=url, secret_file=secret_file(folder), **more))


def why_not(sender):
    with pytest.raises(NotDelivered) as refused:
        sender.send(MESSAGE)
    return str(refused.value)


# ---- the table ----


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"url": "hooks.example/token"}, "url: lacks http:// or https://, or a host"),
        ({"url": "ftp://hooks.example/token"}, "url: lacks http:// or https://, or a host"),
        ({"url": "https://user:token@hooks.example"}, "url: has a user, a password or a fragment"),
        ({"url": "https://hooks.example/token#x"}, "url: has a user, a password or a fragment"),
        ({"url": "https://hooks.example:x/token"}, "url: is not a valid URL"),
        ({"url": "https://hooks.example:0/token"}, "url: has the port 0"),
        ({"url": "https://hooks.example/token\n"}, "url: has characters that no URL has"),
        ({"url": "http://hooks.example/token"}, "url has no https: use https, or write allow_http = true"),
        ({"url": "http://127.0.0.1/token", "ca": "ca.pem"}, "ca goes with an https url"),
        ({"url": "https://hooks.example/token", "timeout": "2m"}, "timeout: "),
        ({"url": "https://hooks.example/token", "secret": "x"}, "secret: "),
    ],
)
def test_a_wrong_table(keys, told):
    """The error names the key, and never shows the URL, whose path may be a secret."""
    with pytest.raises(ValidationError) as wrong:
        WebhookTable.model_validate({"secret_file": "secret", **keys})
    assert told in explain(wrong.value)
    assert "token" not in explain(wrong.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "http://localhost:80/x", "http://[::1]:9/x", "https://a.b/x?y=z"]
)
def test_a_good_url(url):
    """Http to the same machine crosses no network."""
    assert WebhookTable(url=url, secret_file="secret").origin == url.partition("/x")[0]


def test_http_by_an_explicit_word():
    """Only the operator can know that a network is safe."""
    assert WebhookTable(url="http://hooks.internal/x", secret_file="secret", allow_http=True)


def test_a_wrong_table_stops_no_cluster():
    """A cluster is changed, whatever is wrong with the receiver of messages."""
    tables = read_tables('[clusters.prod]\nendpoints = ["http://10.0.0.1:2379"]\n[notify]\nurl = "nowhere"\n')
    assert list(tables.clusters) == ["prod"]
    assert tables.wrong["notify"].startswith("notify.url: ")


# ---- secrets and signature ----


def test_the_signature_of_the_specification(tmp_path):
    """The reference vector of Standard Webhooks: any library of a receiver accepts ours."""
    path = tmp_path / "secret"
    path.write_text(f"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n{SECRET}\n")
    signed = headers(read_secrets(path), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    first, second = signed["webhook-signature"].split()
    assert first == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert second.startswith("v1,")
    assert (signed["webhook-id"], signed["webhook-timestamp"]) == ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has 0 lines"),
        ("hunter2hunter2hunter2hunter2hunter2", "line 1"),
        ("whsec_c2hvcnQ=", "line 1"),
        (f"{SECRET}\nwhsec_no-base64", "line 2"),
        ("\n".join([SECRET] * 4), "has 4 lines"),
    ],
)
def test_an_unusable_secret(tmp_path, text, told):
    """The error says which line is wrong and how to make a secret, and quotes none."""
    path = tmp_path / "secret"
    path.write_text(text)
    with pytest.raises(InvalidConfiguration) as wrong:
        read_secrets(path)
    assert told in str(wrong.value)
    assert "openssl rand" in str(wrong.value)
    assert not [word for word in text.split() if word in str(wrong.value)]


# ---- the request ----


def test_a_message_is_signed(tmp_path, inbox):
    """With the secret in the file of this moment."""
    receiver(tmp_path, inbox.url).send(MESSAGE)
    assert [(each.id, each.genuine) for each in inbox.came] == [("msg_1", True)]


def test_a_redirect_is_not_followed(tmp_path, inbox):
    """Another address than that of the clusters file gets no outcome."""
    other = Inbox()
    inbox.answers, inbox.headers = 302, {"Location": other.url}
    assert "answered 302: redirects are not followed" in why_not(receiver(tmp_path, inbox.url))
    assert not other.came
    other.close()


def test_a_silent_receiver(tmp_path, inbox):
    """The attempt ends, and no text shows the path."""
    sender = receiver(tmp_path, inbox.url, timeout="200ms")
    inbox.before = lambda: time.sleep(1)
    assert why_not(sender) == f"{sender.origin} did not take it: no answer in time"


def test_nothing_listens(tmp_path):
    """In the system's own words."""
    sender = receiver(tmp_path, f"http://127.0.0.1:{free_port()}/x")
    assert why_not(sender) == f"{sender.origin} did not take it: Connection refused"


def test_an_unknown_certificate(tmp_path, inbox):
    """Certificates are checked, by the CA in the table where it has one."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    inbox.use_tls(context)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    url = inbox.url.replace("http://127.0.0.1", "https://localhost")
    assert "its certificate is not accepted: " in why_not(receiver(tmp_path, url))
    other_name = receiver(tmp_path, url.replace("localhost", "127.0.0.1"), ca=tmp_path / "ca.pem")
    assert "its certificate is not accepted: " in why_not(other_name)
    assert not inbox.came
    receiver(tmp_path, url, ca=tmp_path / "ca.pem").send(MESSAGE)
    assert inbox.came


def test_the_cas_are_read_once_for_each_version_of_their_file(tmp_path, inbox):
    """The system's take as long as a message. A renewed file counts at once."""
    ca, file = trustme.CA(), tmp_path / "ca.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    inbox.use_tls(context)
    ca.cert_pem.write_to_path(file)
    before = _context.cache_info().misses
    url = inbox.url.replace("http:", "https:")
    for _ in range(3):
        receiver(tmp_path, url, ca=file).send(MESSAGE)
    assert (len(inbox.came), _context.cache_info().misses - before) == (3, 1)
    trustme.CA().cert_pem.write_to_path(file)
    assert "its certificate is not accepted: " in why_not(receiver(tmp_path, url, ca=file))


def test_its_problem(tmp_path, inbox):
    """As `memberflow doctor` shows it. No message is sent for it."""
    good = receiver(tmp_path, inbox.url)
    assert good.problem() == ""
    (tmp_path / "secret").chmod(0o644)
    assert "other users may read it" in good.problem()
    (tmp_path / "secret").unlink()
    assert "cannot read" in good.problem()
    assert "ca" in receiver(tmp_path, "https://localhost/x", ca=tmp_path / "secret").problem()
    assert not inbox.came


def test_only_a_notice_s_own_id_names_its_cluster():
    """A message waits for the cluster of its change, and for no other."""
    assert cluster_of_notice(notice_id("prod", "0199")) == "prod"
    for other in ("memberflow:prod", "memberflow:prod:join:etcd-4", "memberflow:prod:notify:a:b", "x:prod:notify:a"):
        assert cluster_of_notice(other) == ""
