"""
Inspects the certificate, key and password files of a cluster.

It only reads files. It reports in an operator's words whom each certificate belongs to, when it expires, and why a
member would refuse it. No report contains any part of a key or a password.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from membership.credentials import WARN_DAYS, Credentials, FileReport
from membership.etcd import Access
from membership.file_modes import open_to_others


class _Unusable(Exception):
    """The file cannot be used. The text says why."""


def credentials(access: Access, now: datetime | None = None) -> Credentials:
    """The state of all files of a cluster, and the risks in its entry. Never raises."""
    return Credentials(inspect_files(access, now), access_warnings(access))


def inspect_files(access: Access, now: datetime | None = None) -> tuple[FileReport, ...]:
    """A report on each file of a cluster, in the order ca, cert, key, password_file. Never raises."""
    at = now or datetime.now(UTC)
    looks: dict[str, tuple[Path | None, Callable[[Path], FileReport]]] = {
        "ca": (access.ca, lambda path: _inspect_ca(path, at)),
        "cert": (access.cert, lambda path: _inspect_cert(path, access.ca, at)),
        "key": (access.key, lambda path: _inspect_key(path, access.cert)),
        "password_file": (access.password_file, _inspect_password),
    }
    return tuple(_report(key, path, look) for key, (path, look) in looks.items() if path is not None)


def access_warnings(access: Access) -> tuple[str, ...]:
    """The risks in the entry of a cluster itself."""
    if access.username is None or all(url.startswith("https://") for url in access.endpoints):
        return ()
    told = "username without https: password and token cross the network unencrypted, and go only to the endpoints in"
    return (f"{told} the clusters file, so list every member there",)


def describe(name: x509.Name) -> str:
    """A name as "CN=client, O=Example", with its control characters made visible."""
    text = ", ".join(f"{part.rfc4514_attribute_name}={part.value!s}" for part in name)
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names and addresses that a certificate is valid for. Its CN is none of them."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def common_name(certificate: x509.Certificate) -> str:
    """The CN, which no client of today accepts as a host name. Empty when there is none."""
    return next((str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)), "")


def _report(key: str, path: Path, look: Callable[[Path], FileReport]) -> FileReport:
    try:
        return replace(look(path), key=key)
    except OSError as error:
        return FileReport(key, path, problem=f"cannot be read: {error.strerror}")
    except _Unusable as error:
        return FileReport(key, path, problem=str(error))


def _inspect_ca(path: Path, now: datetime) -> FileReport:
    certificates = _certificates(path)
    current = [c for c in certificates if _days_left(c, now) > 0]
    soonest = min(current or certificates, key=lambda c: _days_left(c, now))
    report = _of_certificate(path, soonest, now)
    # During a rotation a bundle holds an old CA beside the new one.
    old = [f"{describe(c.subject)} has expired" for c in certificates if c not in current and current]
    other = [f"{describe(c.subject)} is not a CA certificate" for c in certificates if not _is_ca(c)]
    return report.warned(*old, *other)


def _inspect_cert(path: Path, ca: Path | None, now: datetime) -> FileReport:
    certificate, *chain = _certificates(path)
    report = _of_certificate(path, certificate, now)
    if not report.problem and not _may_be_client(certificate):
        report = replace(report, problem="is not a client certificate: its extended key usage lacks clientAuth")
    return report.warned(_foreign(certificate, chain, ca))


def _inspect_key(path: Path, cert: Path | None) -> FileReport:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except TypeError:
        raise _Unusable("is encrypted, and a worker cannot be asked for its passphrase: give a plain key") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _Unusable("is not a private key in PEM format") from None
    report = FileReport("", path).warned(open_to_others(path, path.stat().st_mode))
    try:
        own = _certificates(cert)[0].public_key() if cert else key.public_key()
    except (OSError, _Unusable, ValueError, UnsupportedAlgorithm):
        return report  # the report on the certificate says so
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if own.public_bytes(*form) != key.public_key().public_bytes(*form):
        return replace(report, problem=f"does not belong to the certificate {cert}")
    return report


def _inspect_password(path: Path) -> FileReport:
    try:
        empty = not path.read_text().strip()
    except UnicodeDecodeError:
        raise _Unusable("is not UTF-8") from None
    problem = "is empty" if empty else ""
    return FileReport("", path, problem=problem).warned(open_to_others(path, path.stat().st_mode))


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        raise _Unusable("holds no certificate in PEM format") from None


def _of_certificate(path: Path, certificate: x509.Certificate, now: datetime) -> FileReport:
    """Subject, issuer and dates."""
    subject, days = describe(certificate.subject), _days_left(certificate, now)
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    report = FileReport("", path, subject, describe(certificate.issuer), days)
    if days <= 0:
        return replace(report, problem=f"{subject} expired on {end:%Y-%m-%d}")
    if start > now:
        return replace(report, problem=f"{subject} is not valid before {start:%Y-%m-%d %H:%M} UTC: check the clock")
    soon = f"{subject} expires soon, on {end:%Y-%m-%d}" if days <= WARN_DAYS else ""
    return report.warned(soon)


def _days_left(certificate: x509.Certificate, now: datetime) -> float:
    return (certificate.not_valid_after_utc - now) / timedelta(days=1)


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _may_be_client(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return True
    return any(use in usages for use in (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE))


def _foreign(certificate: x509.Certificate, chain: list[x509.Certificate], ca: Path | None) -> str:
    """A warning for a certificate that the cluster's CA did not issue. Members may trust another CA for clients."""
    try:
        roots = _certificates(ca) if ca else []
    except (OSError, _Unusable):
        return ""  # the report on the CA says so
    last, rest = certificate, list(chain)
    while rest:
        signer = next((c for c in rest if _issued(last, c)), None)
        if signer is None:
            break
        rest.remove(signer)
        last = signer
    if any(_issued(last, root) for root in roots):
        return ""
    return f"{describe(certificate.subject)} was issued by {describe(certificate.issuer)}, and not by the CA in {ca}"


def _issued(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
