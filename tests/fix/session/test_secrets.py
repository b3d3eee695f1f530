"""Secrets: referred to, read when used, and nowhere to be found."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.errors import SettingsError
from onetape_fix.session.journal import Journal
from onetape_fix.session.secrets import Secret, mask, mask_text
from onetape_fix.session.settings import SessionConfig, Tls, read
from onetape_fix.session.store import MemoryStore

PLANTED = "hunter2-and-more"


def fix(told: str) -> bytes:
    return told.replace("|", "\x01").encode("latin-1")


# -- references


def test_a_reference_to_the_environment_is_read_when_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = Secret("env:FIX_TEST_PASSWORD")
    with pytest.raises(SettingsError, match="environment has no FIX_TEST_PASSWORD"):
        secret.reveal()
    monkeypatch.setenv("FIX_TEST_PASSWORD", PLANTED)
    assert secret.reveal() == PLANTED


def test_a_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(PLANTED + "\n")
    assert Secret(f"file:{path}").reveal() == PLANTED
    assert Secret("file:password").beside(tmp_path).reveal() == PLANTED
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        Secret(f"file:{tmp_path}/none").reveal()
    path.write_bytes(b"")
    with pytest.raises(SettingsError, match="holds nothing"):
        Secret(f"file:{path}").reveal()


def test_the_key_store_is_asked_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Secret("keyring:broker/trader")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(SettingsError, match="keyring is not installed"):
        secret.reveal()
    stand_in = ModuleType("keyring")
    stand_in.get_password = {("broker", "trader"): PLANTED}.get  # type: ignore[attr-defined]
    stand_in.get_password = lambda *key: {("broker", "trader"): PLANTED}.get(key)  # type: ignore
    monkeypatch.setitem(sys.modules, "keyring", stand_in)
    assert secret.reveal() == PLANTED
    with pytest.raises(SettingsError, match="no key broker/other"):
        Secret("keyring:broker/other").reveal()


@pytest.mark.parametrize("plain", [PLANTED, "", "env:", "vault:x", "keyring:service"])
def test_a_plain_secret_is_refused_without_repeating_it(plain: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Secret(plain)
    assert PLANTED not in str(caught.value)


# -- masking


@pytest.mark.parametrize(
    ("told", "masked"),
    [
        ("35=A|553=me|554=hunter2|10=1|", "35=A|553=me|554=***|10=1|"),
        ("35=BE|925=new|554=old|10=1|", "35=BE|925=***|554=***|10=1|"),
        ("35=A|95=6|96=s|cret|10=1|", "35=A|95=6|96=******|10=1|"),
        ("35=A|95=6|96=s|554=|10=1|", "35=A|95=6|96=******|10=1|"),
        ("35=D|93=4|89=a|bc|10=1|", "35=D|93=4|89=****|10=1|"),
        ("35=D|89=abc|10=1|", "35=D|89=***|10=1|"),
        ("35=A|96=abc|95=9|10=1|", "35=A|96=***|95=9|10=1|"),
        ("35=A|95=99999|96=abc|10=1|", "35=A|95=99999|96=" + "*" * 9),
        ("35=A|58=bG9uZyBzaWduYXR1cmU=|10=1|", "35=A|58=" + "*" * 20 + "|10=1|"),
        ("35=BE|1401=3|1402=abc|10=1|", "35=BE|1401=3|1402=***|10=1|"),
        ("35=A|554=", "35=A|554=***"),
    ],
)
def test_a_secret_is_masked(told: str, masked: str) -> None:
    found = mask(fix("8=FIX.4.4|9=1|" + told))
    expected = fix("8=FIX.4.4|9=1|" + masked)
    if "|58=" in told:  # a text has no length of its own to keep
        assert b"bG9" not in found
    else:
        assert found == expected


@pytest.mark.parametrize(
    "told",
    [
        "35=A|58=welcome to the venue, trader one|10=1|",
        "35=B|95=3|96=abc|10=1|",
        "35=D|11=554=5|58=96=7|10=1|",
        "35=8|58=bG9uZyBzaWduYXR1cmU=|10=1|",
        "35=D|1554=4|10=1|",
    ],
)
def test_what_is_no_secret_is_the_very_same_object(told: str) -> None:
    raw = fix("8=FIX.4.4|9=1|" + told)
    assert mask(raw) is raw


@given(st.text("abc|=0459", min_size=1, max_size=30), st.integers(0, 40), st.binary(max_size=60))
def test_masking_twice_changes_nothing_and_nothing_raises(
    value: str, length: int, noise: bytes
) -> None:
    for raw in (
        fix(f"8=FIX.4.4|9=1|35=A|95={length}|96={value}|554={value}|10=1|"),
        b"\x0135=A\x01" + noise + b"\x0196=" + noise,
    ):
        once = mask(raw)
        assert mask(once) == once


def test_a_text_for_people_is_masked_too() -> None:
    assert mask_text("sent 35=A|553=me|554=hunter2|") == "sent 35=A|553=me|554=***|"
    assert mask_text("1554=5 stays") == "1554=5 stays"


# -- nowhere to be found


def test_a_planted_password_is_in_no_file_no_log_and_no_repr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FIX_TEST_PASSWORD", PLANTED)
    caplog.set_level(logging.DEBUG)
    config = tmp_path / "broker.cfg"
    config.write_text(
        "[SESSION]\nConnectionType=initiator\nBeginString=FIX.4.4\nSenderCompID=US\n"
        "TargetCompID=THEM\nNonStopSession=Y\nSocketConnectHost=localhost\nSocketConnectPort=1\n"
        "Password=env:FIX_TEST_PASSWORD\nCertificateKeyPassword=env:FIX_TEST_PASSWORD\n"
        "CertificationAuthoritiesFile=ca.pem\nApiSecret=env:FIX_TEST_PASSWORD\n"
    )
    settings = read(config)
    password = settings.sessions[0].password
    assert password is not None
    assert password.reveal() == PLANTED
    logon = fix(f"8=FIX.4.4|9=1|35=A|553=me|554={PLANTED}|925={PLANTED}|95=16|96={PLANTED}|10=1|")
    journal, memory = Journal(tmp_path / "store", "S"), MemoryStore()
    for store in (journal, memory):
        store.sent(1, logon, 1)
        store.received(1, logon, 1, advance=True)
        store.received(1, logon, 1, advance=False)
        store.sent(1, logon, 1, copy=True)
        store.note(f"refused: {logon.decode('latin-1')}", 1)
        store.reset(2)
        store.sent(1, logon, 3)
    journal.close()
    told = repr(settings) + str(settings) + repr(list(memory.records())) + caplog.text
    assert PLANTED not in told
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or PLANTED.encode() not in path.read_bytes()


def test_a_config_made_in_python_shows_no_secret() -> None:
    config = SessionConfig(
        begin_string="FIX.4.4",
        sender="US",
        target="THEM",
        password=Secret("env:FIX_TEST_PASSWORD"),
        tls=Tls(key_password=Secret("file:/run/secrets/key")),
    )
    assert "Secret('env:FIX_TEST_PASSWORD')" in repr(config)
