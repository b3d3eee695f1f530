"""TLS contexts of sessions, never weaker than the standard library's own for the purpose.

A context of an initiator checks the peer's certificate and host name, always; what is trusted
can be named, and that it is checked cannot be turned off. TLS 1.2 is the oldest that is spoken.

Raises   SettingsError for files that are missing or are no certificates, keys or lists.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from onetape.errors import SettingsError
from onetape_fix.session.settings import Tls

OLDEST = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
ASKED = {"no": ssl.CERT_NONE, "may": ssl.CERT_OPTIONAL, "must": ssl.CERT_REQUIRED}


def client_context(tls: Tls) -> ssl.SSLContext:
    """What an initiator dials with."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if tls.authorities is not None:  # then only these: a broker's own authority means just that
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _trust(context, tls.authorities)
    return _finished(context, tls)


def server_context(tls: Tls) -> ssl.SSLContext:
    """What an acceptor listens with."""
    if tls.certificate is None:
        raise SettingsError("an acceptor with TLS has no certificate; name ServerCertificateFile")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if tls.ask != "no":
        if tls.authorities is None:
            raise SettingsError(
                "certificates are asked of peers and no authority is named for them; set"
                " CertificationAuthoritiesFile"
            )
        _trust(context, tls.authorities)
    context.verify_mode = ASKED[tls.ask]
    return _finished(context, tls)


def trouble(err: BaseException) -> str:
    """An error of a connection in words for people."""
    if isinstance(err, ssl.SSLCertVerificationError):
        return f"the peer's certificate is not accepted: {err.verify_message}"
    if isinstance(err, ssl.SSLError):
        return f"TLS failed: {err.reason or err}"
    if isinstance(err, TimeoutError):
        return "nobody answered in time"
    if isinstance(err, ConnectionError) and not err.strerror:
        return "the peer closed the connection"
    if isinstance(err, OSError):
        return err.strerror or str(err) or type(err).__name__
    return str(err) or type(err).__name__


def _finished(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    context.minimum_version = OLDEST[tls.oldest]
    if tls.ciphers:
        try:
            context.set_ciphers(tls.ciphers)
        except ssl.SSLError:
            raise SettingsError(f"SSLCipherSuite {tls.ciphers!r} names no known cipher") from None
    if tls.certificate is not None:
        _show(context, tls, tls.certificate)
    if tls.revoked is not None:
        _load(context, tls.revoked, "a revocation list")
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    return context


def _show(context: ssl.SSLContext, tls: Tls, certificate: Path) -> None:
    secret = tls.key_password
    # Without one OpenSSL would ask at the terminal, for ever where there is none
    password = "" if secret is None else secret.reveal()
    try:
        context.load_cert_chain(certificate, tls.key, lambda: password)
    except ssl.SSLError as err:
        raise SettingsError(
            f"{certificate} with the key in {tls.key or certificate} cannot be used"
            f" ({err.reason}); a PEM certificate and its own key expected"
        ) from None
    except OSError as err:
        raise SettingsError(f"{certificate} or {tls.key}: {err.strerror}") from None


def _trust(context: ssl.SSLContext, authorities: Path) -> None:
    if authorities.is_dir():
        found = sorted(p for p in authorities.iterdir() if p.suffix in (".pem", ".crt", ".cer"))
        if not found:
            raise SettingsError(f"no .pem, .crt or .cer file in {authorities}; one expected")
        for path in found:
            _load(context, path, "a certificate")
    else:
        _load(context, authorities, "a certificate")


def _load(context: ssl.SSLContext, path: Path, what: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise SettingsError(f"{path} holds not {what} in PEM; convert it") from None
    except OSError as err:
        raise SettingsError(f"{path}: {err.strerror}") from None
