"""Logging on at brokers: who we are, and the proof of it, as fields of the Logon.

password    553 and 554 as they are
hmac        HMAC-SHA256 under a base64 secret, base64, in 58 or 95/96 as the profile says: in 58
            over 52 + key + target + passphrase, in 96 over 52, 35, 34, 49, 56, 554 with separators
ed25519     over 35, 49, 56, 34, 52 between separators, base64, in 95/96; 553 is the API key
nonce-sha   95/96 is milliseconds, a dot and a nonce; 554 is base64 of SHA-256 over that and the
            secret

The counterpart's half is `verify`: what a simulated venue does with such a Logon.

Secrets  Username, Password of the session; and of its further keys ApiKey, ApiSecret, Passphrase,
         PrivateKey or PrivateKeyFile (PEM, or base64 of 32 bytes), PublicKey (of the verifying
         side). Authenticator takes another way than the profile's.
Units    `now` in ns UTC is the Logon's own SendingTime: what is signed must be what is sent.
Raises   SettingsError where a key is missing or is none.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from onetape.errors import SettingsError
from onetape_fix.profiles.model import Authenticator, Fields, Logon, Profile
from onetape_fix.session.secrets import Secret
from onetape_fix.session.settings import SessionConfig
from onetape_fix.wire.message import Message
from onetape_fix.wire.times import format_utc

if TYPE_CHECKING:  # at run time where a key of that kind is used: it takes several megabytes
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SOH = "\x01"
KEYS = frozenset(("ApiKey", "ApiSecret", "PublicKey", "Passphrase"))
USERNAME, PASSWORD, RAW_LENGTH, RAW, TEXT = 553, 554, 95, 96, 58


def authenticate(
    config: SessionConfig, profile: Profile, now: int, seq: int = 1, nonce: str = ""
) -> Fields:
    """Return the fields that a session's Logon needs at this broker, in the order to be written.

    seq     its MsgSeqNum
    nonce   for nonce-sha; made up where none is given
    """
    said = Logon(config.sender, config.target, str(seq), format_utc(now, config.timestamp_digits))
    way = _kind(config, profile)
    if isinstance(way, Authenticator):
        return [*way.sign(config, said), *stated(config, profile.logon)]
    match way:
        case "password":
            fields = _credentials(config)
        case "hmac":
            fields = _hmac(config, profile, said)
        case "ed25519":
            signed = _ed25519(_private(config), said)
            fields = [*_raw(signed), (USERNAME, _key(config))]
        case "nonce-sha":
            raw = f"{now // 1_000_000}.{nonce or base64.b64encode(os.urandom(32)).decode()}"
            proof = nonce_sha(raw, _secret(config, "ApiSecret"))
            fields = [*_raw(raw), (USERNAME, _key(config)), (PASSWORD, proof)]
        case _:
            fields = _credentials(config)
    return [*fields, *stated(config, profile.logon)]


def verify(config: SessionConfig, profile: Profile, message: Message) -> str:
    """Return why a Logon is not to be believed, "" where it is; `config` is the acceptor's.

    An acceptor whose settings name no secret lets everybody in.
    """
    said = Logon(*(message.get(tag, "") for tag in (49, 56, 34, 52)))
    way = _kind(config, profile)
    if isinstance(way, Authenticator):
        right = way.check is None or way.check(config, message, said)
    elif config.password is None and config.username is None and not config.extra.keys() & KEYS:
        right = True
    else:
        right = _CHECKS.get(way, _check_password)(config, profile, message, said)
    return "" if right else "the credentials are not accepted"


def stated(config: SessionConfig, fields: Iterable[tuple[int, str]]) -> Fields:
    """Return a profile's fields, those that name a key of the session's settings filled in."""
    return [(tag, _filled(config, tag, value)) for tag, value in fields]


def _filled(config: SessionConfig, tag: int, value: str) -> str:
    if not value.startswith("$"):
        return value
    found = config.extra.get(value[1:])
    if not found:
        raise SettingsError(
            f"session {config.name} has no key for field {tag}, which its profile always sends; "
            f"write Profile.{value[1:]}=... to its settings"
        )
    return found.reveal() if isinstance(found, Secret) else found


def hmac_text(secret: str, payload: str) -> str:
    """Return base64 of HMAC-SHA256 over `payload` under a secret that is base64 itself."""
    try:
        key = base64.b64decode(secret, validate=True)
    except binascii.Error:
        raise SettingsError("ApiSecret is not base64, which this broker's secrets are") from None
    return base64.b64encode(hmac.digest(key, payload.encode(), "sha256")).decode()


def nonce_sha(raw: str, secret: str) -> str:
    """Return base64 of SHA-256 over the raw data and the secret."""
    return base64.b64encode(hashlib.sha256((raw + secret).encode()).digest()).decode()


def _credentials(config: SessionConfig) -> Fields:
    fields: Fields = []
    if config.username is not None:
        fields.append((USERNAME, config.username.reveal()))
    if config.password is not None:
        fields.append((PASSWORD, config.password.reveal()))
    return fields


def _hmac(config: SessionConfig, profile: Profile, said: Logon) -> Fields:
    phrase = _phrase(config)
    key = _key(config)
    signed = hmac_text(_secret(config, "ApiSecret"), _hmac_payload(profile, said, key, phrase))
    proof = [(TEXT, signed)] if profile.signature == TEXT else _raw(signed)
    return [*proof, (USERNAME, key), *([(PASSWORD, phrase)] if phrase else [])]


def _hmac_payload(profile: Profile, said: Logon, key: str, phrase: str) -> str:
    if profile.signature == TEXT:
        return f"{said.sent}{key}{said.target}{phrase}"
    return SOH.join((said.sent, "A", said.seq, said.sender, said.target, phrase))


def _ed25519_payload(said: Logon) -> bytes:
    return SOH.join(("A", said.sender, said.target, said.seq, said.sent)).encode()


def _ed25519(key: Ed25519PrivateKey, said: Logon) -> str:
    return base64.b64encode(key.sign(_ed25519_payload(said))).decode()


def _private(config: SessionConfig) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    file = config.extra.get("PrivateKeyFile")
    if isinstance(file, str):
        text = Secret(file if file.startswith(("file:", "env:")) else f"file:{file}").reveal()
    else:
        text = file.reveal() if file is not None else _secret(config, "PrivateKey")
    try:
        if text.startswith("-----"):
            key = load_pem_private_key(text.encode(), None)
        else:
            key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(text, validate=True))
    except (ValueError, TypeError):
        raise SettingsError("PrivateKey is no private key in PEM or base64 of 32 bytes") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"PrivateKey is a {type(key).__name__}; an Ed25519 key is expected")
    return key


def _public(config: SessionConfig) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = _secret(config, "PublicKey")
    try:
        if text.startswith("-----"):
            key = load_pem_public_key(text.encode())
        else:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (ValueError, TypeError):
        raise SettingsError("PublicKey is no public key in PEM or base64 of 32 bytes") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(f"PublicKey is a {type(key).__name__}; an Ed25519 key is expected")
    return key


def _raw(text: str) -> Fields:
    return [(RAW_LENGTH, str(len(text))), (RAW, text)]


def _kind(config: SessionConfig, profile: Profile) -> str | Authenticator:
    told = config.extra.get("Authenticator")
    return told if isinstance(told, str) else profile.authenticator


def _phrase(config: SessionConfig) -> str:
    if config.password is not None:
        return config.password.reveal()
    return _secret(config, "Passphrase") if "Passphrase" in config.extra else ""


def _key(config: SessionConfig) -> str:
    if config.username is not None:
        return config.username.reveal()
    return _secret(config, "ApiKey")


def _secret(config: SessionConfig, name: str) -> str:
    found = config.extra.get(name)
    if found is None:
        raise SettingsError(
            f"session {config.name} has no {name}, which its profile {config.profile!r} needs to "
            f"log on; write {name}=env:NAME or {name}=file:/path to its settings"
        )
    return found.reveal() if isinstance(found, Secret) else found


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())


def _known(config: SessionConfig, message: Message) -> bool:
    told = message.get(USERNAME, "")
    if config.username is not None:
        return _same(told, config.username.reveal())
    return "ApiKey" not in config.extra or _same(told, _secret(config, "ApiKey"))


def _check_password(config: SessionConfig, _: Profile, message: Message, __: Logon) -> bool:
    if config.password is None:
        return _known(config, message)
    told = message.get(PASSWORD, "")
    return _known(config, message) and _same(told, config.password.reveal())


def _check_hmac(config: SessionConfig, profile: Profile, message: Message, said: Logon) -> bool:
    key, phrase = message.get(USERNAME, ""), message.get(PASSWORD, "")
    wanted = hmac_text(_secret(config, "ApiSecret"), _hmac_payload(profile, said, key, phrase))
    right = _same(phrase, _phrase(config) or phrase)
    return right and _known(config, message) and _same(message.get(profile.signature, ""), wanted)


def _check_ed25519(config: SessionConfig, _: Profile, message: Message, said: Logon) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        signed = base64.b64decode(message.get(RAW, ""), validate=True)
        _public(config).verify(signed, _ed25519_payload(said))
    except (InvalidSignature, binascii.Error):
        return False
    return _known(config, message)


def _check_nonce(config: SessionConfig, _: Profile, message: Message, __: Logon) -> bool:
    wanted = nonce_sha(message.get(RAW, ""), _secret(config, "ApiSecret"))
    return _known(config, message) and _same(message.get(PASSWORD, ""), wanted)


_CHECKS: dict[str, Callable[[SessionConfig, Profile, Message, Logon], bool]] = {
    "password": _check_password,
    "hmac": _check_hmac,
    "ed25519": _check_ed25519,
    "nonce-sha": _check_nonce,
}
