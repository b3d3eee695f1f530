"""Profiles of one's own: by file, by module, by entry point; and what is refused of them."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from onetape.errors import SettingsError
from onetape_fix.profiles import (
    Authenticator,
    Profile,
    authenticate,
    overlay_of,
    own,
    profile,
    stated,
    verify,
)
from onetape_fix.session import SessionConfig
from onetape_fix.wire import Encoder, format_utc, parse

MADE = """
from onetape_fix.profiles import Profile
PROFILE = Profile(name="{name}", begin_strings=("FIX.4.4",), overlay="own.xml")
SPOT = Profile(name="{name}-spot", begin_strings=("FIX.4.4",))
NUMBER = 7
"""
NOW = 1_704_726_000_000_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own_profile_of_a_test.py"
    path.write_text(MADE.format(name="filed"))
    return path


def config(**more: Any) -> SessionConfig:
    return SessionConfig(begin_string="FIX.4.4", sender="ME", target="BROKER", **more)


def test_a_file_has_its_profile_under_the_usual_name_or_another(file: Path) -> None:
    assert profile(str(file)).name == "filed"
    assert profile(f"{file}:SPOT").name == "filed-spot"
    assert profile("filed") == profile(str(file))  # as a gateway names it
    assert profile(str(file)) is not profile(f"{file}:SPOT")


def test_a_file_that_has_changed_is_read_again(file: Path) -> None:
    assert profile(str(file)).throttle == 0
    file.write_text(MADE.format(name="filed").replace("overlay=", "throttle=5, overlay="))
    assert profile(str(file)).throttle == 5


def test_a_module_that_can_be_imported_is_named_with_its_profile(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(file.parent))
    monkeypatch.delitem(sys.modules, file.stem, raising=False)
    assert profile(f"{file.stem}:SPOT").name == "filed-spot"
    assert profile(f"{file.stem}:").name == "filed"


def test_a_package_offers_a_profile_by_entry_point(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "own_of_a_test-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-of-a-test\nVersion: 1\n")
    said = f"[{own.GROUP}]\nofferedone = {file.stem}:PROFILE\n"
    (about / "entry_points.txt").write_text(said)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, file.stem, raising=False)
    assert entry_points(group=own.GROUP, name="offeredone")
    assert own.offered() == ("offeredone",)
    assert profile("offeredone").name == "filed"
    with pytest.raises(SettingsError, match="did you mean offeredone"):
        profile("offeredon")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("nobody.py", "cannot be read: No such file"),
        ("nobody_at_all:PROFILE", "cannot be imported: ModuleNotFoundError"),
        ("{file}:NOBODY", "NOBODY of .* is not there"),
        ("{file}:NUMBER", "NUMBER of .* is of the type int"),
        ("nobody", "Profile=acme.py"),
    ],
)
def test_what_leads_nowhere_is_told(named: str, said: str, file: Path) -> None:
    with pytest.raises(SettingsError, match=said):
        profile(named.format(file=file))


def test_a_file_that_does_not_run_is_told_with_its_error(file: Path) -> None:
    file.write_text("import nothing_of_that_name\n")
    with pytest.raises(SettingsError, match="does not run: ModuleNotFoundError"):
        profile(str(file))


def test_no_profile_of_ones_own_is_called_like_one_of_the_package(file: Path) -> None:
    file.write_text(MADE.format(name="sim"))  # which paper orders would be sent to
    with pytest.raises(SettingsError, match="another name"):
        profile(str(file))
    assert profile("sim").overlay == "sim"


def test_an_overlay_is_looked_for_beside_the_profile(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"no overlay .*own\.xml"):
        overlay_of(profile(str(file)))
    (file.parent / "own.xml").write_text("<fix/>")
    assert overlay_of(profile(str(file))) == file.parent / "own.xml"
    shipped = overlay_of(profile("tt"))
    assert shipped is not None
    assert shipped.name == "tt.xml"
    assert overlay_of(profile("generic44")) is None


def test_ones_own_way_to_log_on_signs_and_is_checked() -> None:
    way = Authenticator(
        lambda _, logon: [(554, f"{logon.sender}.{logon.seq}.{logon.sent}")],
        lambda _, message, logon: message.get(554) == f"{logon.sender}.{logon.seq}.{logon.sent}",
    )
    mine = Profile(name="mine", begin_strings=("FIX.4.4",), authenticator=way, logon=((8013, "Y"),))
    me = config()
    fields = authenticate(me, mine, NOW, seq=7)
    sent = format_utc(NOW, me.timestamp_digits)
    assert fields == [(554, f"ME.7.{sent}"), (8013, "Y")]
    encoder = Encoder("FIX.4.4", [(49, "ME"), (56, "BROKER")])
    right = parse(encoder.encode("A", 7, sent, [(98, "0"), (108, 30), *fields]))
    wrong = parse(encoder.encode("A", 8, sent, [(98, "0"), (108, 30), *fields]))
    assert verify(me, mine, right) == ""
    assert "not accepted" in verify(me, mine, wrong)
    assert verify(me, replace(mine, authenticator=Authenticator(way.sign)), wrong) == ""


def test_fields_are_filled_in_from_the_settings() -> None:
    me = config(extra={"Desk": "EQ7"})
    assert stated(me, [(9001, "$Desk"), (9002, "X")]) == [(9001, "EQ7"), (9002, "X")]
    with pytest.raises(SettingsError, match=r"write Profile\.Desk="):
        stated(config(), [(9001, "$Desk")])
