"""Certificates for demos and tests: an authority of one's own, and what it signs.

Not for production: keys lie unprotected beside the certificates, readable by their owner only.

Units    days.
Raises   SettingsError where the folder cannot be written.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from onetape.errors import SettingsError

LOCAL = ("localhost", "127.0.0.1")
DAYS = 30
ENOUGH = timedelta(days=1)  # certificates that end sooner are made anew


class Pair(msgspec.Struct, frozen=True):
    """A certificate and its key, in PEM files."""

    certificate: Path
    key: Path


class Demo(msgspec.Struct, frozen=True):
    """What `demo_certificates` made."""

    authority: Path
    server: Pair
    client: Pair


class Authority:
    """Signs certificates; its own stands in `path`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder, self.path = folder, folder / f"{name}.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"simulated {name}")])
        builder = _builder(self._name, self._name, self._key, -1, DAYS).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        public = self._key.public_key()
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public), critical=False
        ).add_extension(_usage(signs=True), critical=True)
        self._own = builder.sign(self._key, hashes.SHA256())
        _write(self.path, self._own.public_bytes(serialization.Encoding.PEM), 0o644)

    def issue(
        self, name: str, hosts: Sequence[str] = LOCAL, *, since: float = -1, until: float = DAYS
    ) -> Pair:
        """A certificate for hosts, good from `since` to `until` days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            _builder(subject, self._name, key, since, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if hosts:
            names = x509.SubjectAlternativeName([_named(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        _write(pair.certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)
        _write(pair.key, _pem(key), 0o600)
        return pair

    def revoke(self, *pairs: Pair) -> Path:
        """A revocation list of certificates of this authority."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - timedelta(hours=1))
            .next_update(now + timedelta(days=DAYS))
        )
        for pair in pairs:
            serial = x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial)
            builder = builder.add_revoked_certificate(entry.revocation_date(now).build())
        path = self.folder / f"{self.path.stem}.crl"
        signed = builder.sign(self._key, hashes.SHA256())
        _write(path, signed.public_bytes(serialization.Encoding.PEM), 0o644)
        return path


def demo_certificates(folder: Path) -> Demo:
    """An authority, a server's certificate for this machine, and a client's; made where missing."""
    found = Demo(
        folder / "authority.pem",
        Pair(folder / "server.pem", folder / "server.key"),
        Pair(folder / "client.pem", folder / "client.key"),
    )
    if _good(found):
        return found
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = Authority(folder)
        authority.issue("server")
        authority.issue("client", ())
    except OSError as err:
        raise SettingsError(
            f"no certificates can be made in {folder}: {err.strerror}; name another folder"
        ) from None
    return found


def _good(found: Demo) -> bool:
    """Whether all files are there, of one authority, and last a while."""
    pairs = (found.server, found.client)
    try:
        authority = x509.load_pem_x509_certificate(found.authority.read_bytes())
        for pair in pairs:
            certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
            certificate.verify_directly_issued_by(authority)
            if certificate.not_valid_after_utc < datetime.now(UTC) + ENOUGH:
                return False
    except Exception:  # missing, broken or of another authority: all are made anew
        return False
    return all(pair.key.is_file() for pair in pairs)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    since: float,
    until: float,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=since))
        .not_valid_after(now + timedelta(days=until))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
