"""Security lists (35=y) read into instruments.

Our own simulated venue tells all of an instrument as JSON in 58. Of others an instrument is made
where its fields are enough for one; what is not is left out, and is to be named in the config.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from onetape.errors import OnetapeError, VenueUnavailable
from onetape.market import Instrument, crypto_perpetual, equity, future, fx, option
from onetape_fix.profiles import SymbolMap
from onetape_fix.trade.words import members, number
from onetape_fix.wire import Message, rows_of
from onetape_fix.wire import tags as t

ROW = members(
    "55 65 48 22 460 461 167 762 200 541 201 202 231 207 106 107 969 15 561 562 1140 "
    "58 711 311 309 305 454 455 456 827 1146 870 871 872 63 64 423 668 "
)
SHARES = frozenset(("CS", "PS", "ETF", "DR"))
PAIRS = frozenset(("FXSPOT", "FOR", "FX"))


def instruments_in(messages: list[Message], symbols: SymbolMap) -> list[Instrument]:
    """Return what a list tells of; a broker's own ids are remembered in `symbols`.

    Raises VenueUnavailable where it lists something and nothing of it can be made out: FIX 4.4 has
    no tick in it.
    """
    found: list[Instrument] = []
    seen = 0
    for message in messages:
        rows = rows_of(message.fields, t.NO_RELATED_SYM, _opens(message), ROW)
        for row in rows or ([message.fields] if message.type == "d" else []):
            seen += 1
            made = instrument_in(dict(reversed(row)), symbols)
            if made is not None:
                found.append(made)
    if seen and not found:
        raise VenueUnavailable(
            f"the venue lists {seen} instruments and tells of none its tick and kind; name those "
            'that you trade in the config: "instruments": "FILE.json"'
        )
    return found


def _opens(message: Message) -> int:
    fields = message.fields
    at = next((at for at, (tag, _) in enumerate(fields) if tag == t.NO_RELATED_SYM), -2)
    return fields[at + 1][0] if 0 <= at < len(fields) - 1 else t.SYMBOL


def instrument_in(fields: Mapping[int, str], symbols: SymbolMap) -> Instrument | None:
    """Return an instrument; None where the fields are not enough for one."""
    whole = fields.get(t.TEXT, "")
    if whole.startswith("{"):
        try:
            return msgspec.json.decode(whole, type=Instrument)
        except msgspec.MsgspecError:
            return None
    symbol = fields.get(t.SYMBOL, "")
    theirs = fields.get(t.SECURITY_ID)
    exchange = fields.get(t.SECURITY_EXCHANGE)
    name = f"{symbol}.{exchange}" if symbol and exchange else symbols.instrument(fields.get)
    if theirs is not None and symbol:
        symbols.learn(name, theirs)
    tick = number(fields.get(t.MIN_PRICE_INCREMENT))
    if not name or tick is None or tick <= 0:
        return None
    try:
        return _made(name, tick, fields)
    except OnetapeError:
        return None


def _made(name: str, tick: Decimal, fields: Mapping[int, str]) -> Instrument | None:
    kind, currency = fields.get(t.SECURITY_TYPE, ""), fields.get(t.CURRENCY, "USD")
    lot = number(fields.get(t.ROUND_LOT)) or Decimal(1)
    size = number(fields.get(t.CONTRACT_MULTIPLIER)) or Decimal(1)
    expiry = _date(fields.get(t.MATURITY_DATE, ""))
    if kind in SHARES:
        return equity(name, tick=tick, currency=currency, lot=lot, session=None)
    if kind in PAIRS:
        return fx(name, tick=tick, lot=lot)
    if kind == "FUT" and expiry:
        return future(name, tick=tick, expiry=expiry, multiplier=size, currency=currency)
    if kind == "FUT":
        return crypto_perpetual(name, tick=tick, size_increment=lot, currency=currency)
    strike = number(fields.get(t.STRIKE_PRICE))
    if kind == "OPT" and expiry and strike is not None:
        right = "put" if fields.get(t.PUT_OR_CALL) == "0" else "call"
        return option(
            name, tick=tick, strike=strike, right=right, expiry=expiry, multiplier=size,
            underlying=name.rpartition(".")[0],
        )  # fmt: skip
    return None


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 and text.isdigit() else ""
