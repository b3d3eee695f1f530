"""Logging on: each way with a vector of its own, and the counterpart that believes it or not."""

from __future__ import annotations

import base64
import subprocess
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from msgspec.structs import replace

from onetape.errors import SettingsError
from onetape_fix.profiles import authenticate, profile, verify
from onetape_fix.profiles.logon import hmac_text, nonce_sha
from onetape_fix.session import Secret, SessionConfig
from onetape_fix.wire import Encoder, format_utc, parse, parse_utc

# the public example of an exchange's manual: key, Logon and the signature that it must give
EXAMPLE_KEY = "gkRha0YGuEAKZv0O/L6prxYR/SVA6XWzgIsgAH2bz24="
EXAMPLE_SIGNATURE = (
    "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
)
EXAMPLE_TIME = parse_utc("20240627-11:17:25.223")
# RFC 8032, section 7.1, test 1
RFC_KEY = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
NOW = 1_704_726_000_000_000_000


@pytest.fixture
def secret(monkeypatch):
    def made(name: str, value: str) -> Secret:
        monkeypatch.setenv(name, value)
        return Secret(f"env:{name}")

    return made


def config(**more: Any) -> SessionConfig:
    given = {"begin_string": "FIX.4.4", "sender": "ME", "target": "BROKER", **more}
    return SessionConfig(**given)


def logon(config: SessionConfig, like: str, now: int = NOW, **more: Any):
    fields = authenticate(config, profile(like), now, **more)
    encoder = Encoder("FIX.4.4", [(49, config.sender), (56, config.target)])
    sent = format_utc(now, config.timestamp_digits)
    return parse(encoder.encode("A", 1, sent, [(98, "0"), (108, 30), *fields]))


def test_ed25519_gives_the_signature_of_the_public_example(secret) -> None:
    me = config(
        sender="EXAMPLE",
        target="SPOT",
        extra={"ApiKey": secret("K", "key"), "PrivateKey": secret("P", EXAMPLE_KEY)},
    )
    fields = dict(authenticate(me, profile("binance"), EXAMPLE_TIME))
    assert fields[96] == EXAMPLE_SIGNATURE
    assert (fields[95], fields[553], fields[25035]) == (str(len(EXAMPLE_SIGNATURE)), "key", "1")


def test_a_private_key_may_be_a_pem_file(secret, tmp_path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(RFC_KEY)
    file = tmp_path / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    plain = base64.b64encode(RFC_KEY).decode()
    said = [
        authenticate(config(extra={"ApiKey": secret("K", "k"), **more}), profile("binance"), NOW)
        for more in ({"PrivateKeyFile": str(file)}, {"PrivateKey": secret("P", plain)})
    ]
    assert said[0] == said[1]


def test_the_key_of_the_rfc_has_the_public_key_of_the_rfc() -> None:
    public = Ed25519PrivateKey.from_private_bytes(RFC_KEY).public_key()
    assert public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex() == RFC_PUBLIC


def test_hmac_is_what_openssl_says() -> None:
    key, text = b"0123456789abcdef", "20240108-15:00:00.000keyBROKERphrase"
    try:
        said = subprocess.run(
            ["openssl", "dgst", "-sha256", "-hmac", key.decode(), "-binary"],
            input=text.encode(), capture_output=True, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl here to compare with")
    assert hmac_text(base64.b64encode(key).decode(), text) == base64.b64encode(said).decode()


def test_hmac_signs_in_58_and_in_96(secret) -> None:
    key = base64.b64encode(b"0123456789abcdef").decode()
    me = config(
        extra={"ApiKey": secret("K", "key"), "ApiSecret": secret("S", key)},
        password=secret("W", "phrase"),
    )
    fields = dict(authenticate(me, profile("coinbase"), NOW))
    assert fields[58] == hmac_text(key, "20240108-15:00:00.000keyBROKERphrase")
    in_96 = replace(profile("coinbase"), signature=96)
    wanted = hmac_text(key, "20240108-15:00:00.000\x01A\x017\x01ME\x01BROKER\x01phrase")
    assert dict(authenticate(me, in_96, NOW, seq=7))[96] == wanted


def test_nonce_sha_is_sha_256_over_nonce_and_secret() -> None:
    # printf '1704726000000.bm9uY2Usecret' | openssl dgst -sha256 -binary | base64
    assert nonce_sha("", "abc") == "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="


def test_passwords_go_out_as_they_are(secret) -> None:
    me = config(username=secret("U", "me"), password=secret("W", "hush"))
    assert authenticate(me, profile("generic44"), NOW) == [(553, "me"), (554, "hush")]
    assert authenticate(config(), profile("generic44"), NOW) == []


def keys(secret, like: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What the initiator, the acceptor, and an acceptor that knows another secret are given."""
    api = secret("K", "key")
    if like == "ed25519":
        own, other = (Ed25519PrivateKey.from_private_bytes(k) for k in (RFC_KEY, b"7" * 32))
        public = [k.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) for k in (own, other)]
        texts = [base64.b64encode(k).decode() for k in (RFC_KEY, *public)]
        given = [secret(f"E{n}", text) for n, text in enumerate(texts)]
        return (
            {"extra": {"ApiKey": api, "PrivateKey": given[0]}},
            {"extra": {"ApiKey": api, "PublicKey": given[1]}},
            {"extra": {"ApiKey": api, "PublicKey": given[2]}},
        )
    if like == "password":
        one = {"username": secret("U", "me"), "password": secret("W", "hush")}
        return one, one, {**one, "password": secret("X", "other")}
    good, bad = (base64.b64encode(k).decode() for k in (b"secret", b"other"))
    made = {"ApiKey": api, "ApiSecret": secret("S", good)}
    return {"extra": made}, {"extra": made}, {"extra": {**made, "ApiSecret": secret("B", bad)}}


@pytest.mark.parametrize("like", ["password", "hmac", "ed25519", "nonce-sha"])
def test_the_counterpart_believes_the_right_secret_only(secret, like: str) -> None:
    mine, theirs, wrong = keys(secret, like)
    for each in (mine, theirs, wrong):
        each["extra"] = {**each.get("extra", {}), "Authenticator": like}
    message = logon(config(**mine), "generic44")
    assert verify(config(**theirs), profile("generic44"), message) == ""
    assert "not accepted" in verify(config(**wrong), profile("generic44"), message)
    tampered = parse(message.raw.replace(b"52=20240108-15:00:00", b"52=20240108-15:00:01"))
    if like in ("hmac", "ed25519"):
        assert verify(config(**theirs), profile("generic44"), tampered)


def test_an_acceptor_without_secrets_lets_everybody_in() -> None:
    assert verify(config(), profile("generic44"), logon(config(), "generic44")) == ""


def test_what_is_missing_or_no_key_is_said_without_telling_it(secret) -> None:
    with pytest.raises(SettingsError, match="has no PrivateKey"):
        authenticate(config(), profile("binance"), NOW)
    odd = config(extra={"ApiKey": secret("K", "k"), "PrivateKey": secret("P", "hush-hush")})
    with pytest.raises(SettingsError) as said:
        authenticate(odd, profile("binance"), NOW)
    assert "hush-hush" not in str(said.value)
    odd = config(extra={"ApiKey": secret("K", "k"), "ApiSecret": secret("P", "%%")})
    with pytest.raises(SettingsError, match="base64"):
        authenticate(odd, profile("coinbase"), NOW)
