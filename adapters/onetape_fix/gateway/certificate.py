"""Until when a certificate is good, read from its DER: nothing is verified here.

Only as much of X.509 is read as leads to `notAfter`: the third time-like field is never looked
for by guess, the path is certificate, tbsCertificate, validity, the second of its two times.

Raises   ValueError where there is no certificate.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

SEQUENCE, INTEGER, VERSION, UTC_TIME, LONG_TIME = 0x30, 0x02, 0xA0, 0x17, 0x18
CENTURY = 50  # two digits of a year below it are of this century, RFC 5280 4.1.2.5.1


def expiry_of_file(path: Path) -> int:
    """Return when the first certificate of a PEM file ends, ns UTC."""
    text = path.read_text(encoding="ascii", errors="replace")
    begin = text.find("-----BEGIN CERTIFICATE-----")
    end = text.find("-----END CERTIFICATE-----", begin)
    if begin < 0 or end < 0:
        raise ValueError(f"{path} holds no certificate; PEM expected")
    return expiry(ssl.PEM_cert_to_DER_cert(text[begin : end + 25] + "\n"))


def expiry(der: bytes) -> int:
    """Return when a certificate ends, ns UTC."""
    try:
        body = _inside(der, 0, SEQUENCE)
        at = body = _inside(der, body, SEQUENCE)
        if der[at] == VERSION:
            at = _behind(der, at)
        for _ in range(3):  # serial number, algorithm, issuer
            at = _behind(der, at)
        validity = _inside(der, at, SEQUENCE)
        return _time(der, _behind(der, validity))
    except IndexError:
        raise ValueError("the certificate ends too early") from None


def _span(der: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the element at `at` begins and ends."""
    size, at = der[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size, at = int.from_bytes(der[at : at + count]), at + count
    return at, at + size


def _inside(der: bytes, at: int, kind: int) -> int:
    if der[at] != kind:
        raise ValueError(f"an element of type {der[at]:#x} found; {kind:#x} expected")
    return _span(der, at)[0]


def _behind(der: bytes, at: int) -> int:
    return _span(der, at)[1]


def _time(der: bytes, at: int) -> int:
    begin, end = _span(der, at)
    text = der[begin:end].decode("ascii", "replace").rstrip("Z")
    if der[at] == UTC_TIME:
        text = ("20" if int(text[:2]) < CENTURY else "19") + text
    elif der[at] != LONG_TIME:
        raise ValueError(f"an element of type {der[at]:#x} found; a time expected")
    found = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return int(found.timestamp()) * 1_000_000_000
