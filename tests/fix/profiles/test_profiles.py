"""Profiles: what they say, what can be told of them, and how instruments are named."""

from __future__ import annotations

import pytest

from onetape.errors import SettingsError, VenueError
from onetape_fix.gateway.building import OVERLAYS
from onetape_fix.profiles import Profile, SymbolMap, names, profile, register, tells_of
from onetape_fix.spec import overlaid, shipped

APPLICATIONS = {"FIX.4.2": "FIX.4.2", "FIX.4.4": "FIX.4.4", "FIXT.1.1": "FIX.5.0SP2"}


def test_the_shipped_profiles_are_there() -> None:
    wanted = {"generic42", "generic44", "generic50", "tt", "lmax", "binance", "coinbase", "sim"}
    assert wanted <= set(names())


def test_an_unknown_profile_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="did you mean generic4"):
        profile("generic4")


@pytest.mark.parametrize("name", names())
def test_a_profile_fits_together(name: str) -> None:
    made = profile(name)
    assert {"D", "F"} <= made.supported
    assert made.replace == ("G" in made.supported)
    if made.overlay is not None:
        version = next(v for v in made.begin_strings if v in APPLICATIONS)
        overlaid(OVERLAYS / f"{made.overlay}.xml", shipped(APPLICATIONS[version]))


def test_what_a_profile_cannot_be_asked_is_not_told() -> None:
    assert tells_of(profile("generic44")) == {"orders", "status", "fills", "positions", "cash"}
    assert tells_of(profile("generic42")) == {"orders", "status"}
    assert tells_of(profile("binance")) == set()


def test_a_profile_of_ones_own_is_registered_once() -> None:
    mine = Profile(name="mine-of-the-test", begin_strings=("FIX.4.4",))
    register(mine)
    register(mine)
    assert profile("mine-of-the-test") is mine
    with pytest.raises(SettingsError, match="another name"):
        register(Profile(name="sim", begin_strings=()))


def test_symbols_go_both_ways() -> None:
    symbols = SymbolMap(profile("generic44"), "X", {"EURUSD.X": "EUR/USD"})
    for name in ("AAA.X", "EURUSD.X", "BRK.B.XNYS"):
        fields = dict(symbols.fields(name))
        assert symbols.instrument(fields.get) == name


def test_a_broker_that_goes_by_ids_wants_them_named() -> None:
    symbols = SymbolMap(profile("lmax"), "LMAX", {"EURUSD.LMAX": "4001"})
    assert dict(symbols.fields("EURUSD.LMAX"))[48] == "4001"
    assert symbols.instrument({48: "4001", 22: "8"}.get) == "EURUSD.LMAX"
    assert symbols.instrument({48: "9"}.get) == "9.LMAX"
    with pytest.raises(VenueError, match='"symbols"'):
        symbols.fields("GBPUSD.LMAX")
