"""Instruments: plain data, checked when made, the engine's own on request."""

from decimal import Decimal

import msgspec
import pytest

import onetape.market as market
from onetape.errors import SettingsError, UnknownInstrument

ALL = [
    market.equity("GOOG.XNAS"),
    market.fx("EUR/USD.SIM", tick="0.00001"),
    market.future("ESH4.XCME", tick="0.25", multiplier=50, expiry="2024-03-15"),
    market.option(
        "AAPL240315C00190000.OPRA", strike=190, right="call", expiry="2024-03-15", underlying="AAPL"
    ),
    market.crypto_perpetual("BTCUSDT-PERP.BINANCE", tick="0.1", size_increment="0.001"),
]


@pytest.mark.parametrize("own", ALL, ids=lambda i: i.kind)
def test_an_instrument_survives_the_engine_and_json(own: market.Instrument) -> None:
    back = market.Instrument.from_engine(own.to_engine())
    assert back == own
    assert msgspec.json.decode(msgspec.json.encode(own), type=market.Instrument) == own
    assert hash(back) == hash(own)


def test_symbol_venue_and_precisions_follow_from_id_and_increments() -> None:
    own = ALL[4]
    assert (own.symbol, own.venue) == ("BTCUSDT-PERP", "BINANCE")
    assert (own.price_precision, own.size_precision) == (1, 3)
    assert (own.base_currency, own.currency) == ("BTC", "USDT")
    assert (ALL[2].tick, ALL[2].underlying) == (Decimal("0.25"), "ES")


def test_new_york_shares_keep_new_york_hours_and_pairs_trade_around_the_clock() -> None:
    assert (ALL[0].tz, ALL[0].session) == ("America/New_York", ("09:30", "16:00"))
    assert (ALL[1].tz, ALL[1].session) == ("UTC", None)


def test_an_id_without_a_venue_says_what_to_type() -> None:
    with pytest.raises(UnknownInstrument, match=r"type for example GOOG\.XNAS"):
        market.equity("GOOG")


@pytest.mark.parametrize("tick", [0, "-0.01", "abc", "nan", "1e-40"])
def test_a_tick_that_is_no_positive_number_is_refused(tick: object) -> None:
    with pytest.raises(SettingsError, match="tick is"):
        market.equity("GOOG.XNAS", tick=tick)  # type: ignore[arg-type]


def test_wrong_dates_pairs_rights_and_names_are_refused() -> None:
    with pytest.raises(SettingsError, match="expiry is 'soon'"):
        market.future("ESH4.XCME", tick="0.25", expiry="soon")
    with pytest.raises(UnknownInstrument, match="not a currency pair"):
        market.fx("GOLD.SIM")
    with pytest.raises(SettingsError, match='expected "call" or "put"'):
        market.option("X.OPRA", strike=1, right="c", expiry="2024-03-15", underlying="X")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="unknown argument 'ticksize'"):
        market.equity("GOOG.XNAS", ticksize=1)
    with pytest.raises(SettingsError, match="cannot tell base and quote"):
        market.crypto_perpetual("PERP.X", tick="1", size_increment="1")
    with pytest.raises(SettingsError, match="time zone 'Mars'"):
        market.equity("GOOG.XNAS", tz="Mars")


def test_terms_that_the_engine_cannot_keep_are_refused() -> None:
    import onetape as ot

    for make in (
        lambda: ot.equity("A.XNAS", multiplier=10),
        lambda: ot.fx("EUR/USD.SIM", multiplier=10),
        lambda: ot.equity("A.XNAS", size_increment="0.001"),
    ):
        with pytest.raises(ot.errors.SettingsError, match="found for"):
            make()
