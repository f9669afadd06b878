"""Certificate, key and password files: what they are, when they expire, and why a member would refuse them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from etcdapi.certificates import access_warnings, inspect_files
from membership.etcd import Access

NOW = datetime(2030, 6, 1, tzinfo=UTC)


class Files:
    """A folder with a CA, a client certificate from it, its key, and a password."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = trustme.CA(organization_name="etcd")
        self.authority.cert_pem.write_to_path(folder / "ca.crt")
        self.issue(NOW + timedelta(days=100))
        self.write("password", b"hunter2")
        self.access = Access(
            ("https://10.0.0.1:2379",),
            ca=folder / "ca.crt",
            cert=folder / "client.crt",
            key=folder / "client.key",
            username="memberflow",
            password_file=folder / "password",
        )

    def issue(self, until, since=NOW - timedelta(days=1), authority=None):
        """Puts a client certificate and its key in place."""
        authority = authority or self.authority
        issued = authority.issue_cert("client", common_name="memberflow", not_before=since, not_after=until)
        issued.cert_chain_pems[0].write_to_path(self.folder / "client.crt")
        self.write("client.key", issued.private_key_pem.bytes())

    def write(self, name, content, mode=0o600):
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)

    def reports(self, now=NOW):
        return {report.key: report for report in inspect_files(self.access, now)}


@pytest.fixture
def files(tmp_path):
    """Nothing is wrong with them at NOW."""
    return Files(tmp_path)


def test_good_files(files):
    """Who the certificate is for, who issued it, and the days that are left; no problem and no warning."""
    reports = files.reports()
    assert list(reports) == ["ca", "cert", "key", "password_file"]
    assert [(r.problem, r.warnings) for r in reports.values()] == [("", ())] * 4
    assert "CN=memberflow" in reports["cert"].subject
    assert "O=etcd" in reports["cert"].issuer
    assert reports["cert"].days_left == 100
    assert [reports[key].days_left for key in ("key", "password_file")] == [None, None]


@pytest.mark.parametrize(
    ("days", "problem", "warning"),
    [
        (-1, "expired on 2030-05-31", ""),
        (0, "expired on 2030-06-01", ""),
        (29, "", "expires soon, on 2030-06-30"),
        (31, "", ""),
    ],
)
def test_the_end_of_a_certificate(files, days, problem, warning):
    """It is named 30 days ahead, and from its end on it is the reason of every failure."""
    files.issue(NOW + timedelta(days=days), NOW - timedelta(days=90))
    report = files.reports()["cert"]
    assert report.days_left == days
    assert (problem in report.problem, bool(problem)) == (True, bool(report.problem))
    assert [warning in w for w in report.warnings] == [True] * bool(warning)


def test_a_certificate_of_the_future(files):
    """The worker's clock may be wrong, so it says so."""
    files.issue(NOW + timedelta(days=9), NOW + timedelta(days=1))
    assert "not valid before 2030-06-02 00:00 UTC: check the clock" in files.reports()["cert"].problem


def test_a_certificate_of_another_ca(files):
    """A warning, since members may trust another CA for their clients than the one that issued their own."""
    files.issue(NOW + timedelta(days=100), authority=trustme.CA(organization_name="stranger"))
    report = files.reports()["cert"]
    assert report.problem == ""
    [warning] = report.warnings
    assert "was issued by" in warning
    assert "O=stranger" in warning
    assert str(files.folder / "ca.crt") in warning


def test_a_certificate_of_an_intermediate_ca(files):
    """The chain in the file leads to the CA."""
    middle = files.authority.create_child_ca()
    files.issue(NOW + timedelta(days=100), authority=middle)
    leaf = (files.folder / "client.crt").read_bytes()
    assert len(files.reports()["cert"].warnings) == 1
    files.write("client.crt", leaf + middle.cert_pem.bytes())
    assert files.reports()["cert"].warnings == ()


def test_a_key_of_another_certificate(files):
    """OpenSSL's own words would be KEY_VALUES_MISMATCH."""
    files.write("client.key", files.authority.issue_cert("other").private_key_pem.bytes())
    assert files.reports()["key"].problem == f"does not belong to the certificate {files.folder / 'client.crt'}"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("ca.crt", b"no PEM", "holds no certificate in PEM format"),
        ("client.crt", b"", "holds no certificate in PEM format"),
        ("client.key", b"no PEM", "is not a private key in PEM format"),
        ("password", b"\n", "is empty"),
        ("password", b"\xff", "is not UTF-8"),
    ],
)
def test_a_file_that_holds_something_else(files, name, content, problem):
    """Each by its own cause; only the report on this file has a problem."""
    files.write(name, content)
    problems = {report.path.name: report.problem for report in files.reports().values() if report.problem}
    assert problems == {name: problem}


def test_a_file_that_cannot_be_read(files):
    """With the reason of the system."""
    (files.folder / "client.key").unlink()
    assert files.reports()["key"].problem == "cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("mode", "may"), [(0o604, "read"), (0o602, "change"), (0o620, "change"), (0o666, "read and change"), (0o440, "")]
)
@pytest.mark.parametrize(("name", "key"), [("client.key", "key"), ("password", "password_file")])
def test_secrets_that_others_can_use(files, name, key, mode, may):
    """A group that may only read is how Kubernetes and systemd hand secrets over."""
    path = files.folder / name
    path.chmod(mode)
    told = (f"other users may {may} it (mode {mode:04o}): chmod 600 {path}",) if may else ()
    assert files.reports()[key].warnings == told


def an_old_ca(until):
    """A CA certificate that ends at this time."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, until - timedelta(days=9), until)
    certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True).sign(key, SHA256())
    return certificate.public_bytes(Encoding.PEM)


def test_an_old_ca_beside_a_new_one(files):
    """During a rotation the bundle works on, and the old one is named. Alone it is a problem."""
    old, new = an_old_ca(NOW - timedelta(days=1)), (files.folder / "ca.crt").read_bytes()
    files.write("ca.crt", old + new)
    report = files.reports()["ca"]
    assert (report.problem, report.warnings) == ("", ("CN=old has expired",))
    assert report.days_left > 0
    files.write("ca.crt", old)
    assert files.reports()["ca"].problem == "CN=old expired on 2030-05-31"


def test_what_is_no_ca(files):
    """A member's own certificate in place of the CA."""
    files.authority.issue_cert("10.0.0.1", common_name="member").cert_chain_pems[0].write_to_path(
        files.folder / "ca.crt"
    )
    assert any("is not a CA certificate" in warning for warning in files.reports(datetime.now(UTC))["ca"].warnings)


def test_control_characters_in_a_name_are_made_visible(files):
    """A certificate comes from somewhere; its names go to terminals."""
    issued = files.authority.issue_cert(
        "client", common_name="a\x1b[31mb", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=100)
    )
    issued.cert_chain_pems[0].write_to_path(files.folder / "client.crt")
    assert "CN=a\\x1b[31mb" in files.reports()["cert"].subject


def test_no_report_holds_a_secret(files):
    """Whatever is wrong."""
    files.write("password", b"hunter2", 0o666)
    assert "hunter2" not in str(files.reports())


def test_a_password_without_tls_is_warned_of(files):
    """The warning says where the password goes."""
    assert access_warnings(files.access) == ()
    assert access_warnings(Access(("http://10.0.0.1:2379",))) == ()
    [warning] = access_warnings(Access(("http://10.0.0.1:2379",), username="root"))
    assert warning.startswith("username without https: ")
