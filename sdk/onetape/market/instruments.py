# pyright: standard
"""Instruments: what can be traded, in our own small, serialisable form.

An `Instrument` is plain data: it can be hashed, compared, written to JSON and read back. The
engine's own object is made from it on request (`to_engine`), so that no research code needs the
engine to talk about a price.

Units    tick, lot and size increments are exact decimals; `multiplier` is units of the underlying
         per contract; expiry is a date (ISO text).
Time     `tz` and `session` are the exchange's local trading day; None means around the clock.
Raises   UnknownInstrument for a malformed id; SettingsError for a malformed number or date.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from onetape.errors import SettingsError, UnknownInstrument

Kind = Literal["equity", "fx", "future", "option", "crypto_perpetual"]
Number = Decimal | str | int | float

VENUE_ZONES = {"XNAS": "America/New_York", "XNYS": "America/New_York"}
MAX_DECIMALS = 16  # the engine keeps 16 digits after the point


class Instrument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tradable instrument; `id` is `SYMBOL.VENUE`, venue as ISO 10383 code or own name."""

    kind: Kind
    id: str
    tick: Decimal
    currency: str
    lot: Decimal = Decimal(1)
    size_increment: Decimal = Decimal(1)
    multiplier: Decimal = Decimal(1)
    base_currency: str | None = None
    expiry: str | None = None
    strike: Decimal | None = None
    right: Literal["call", "put"] | None = None
    underlying: str | None = None
    margin_init: Decimal | None = None
    margin_maint: Decimal | None = None
    tz: str = "UTC"
    session: tuple[str, str] | None = None

    @property
    def symbol(self) -> str:
        """The part of the id before the last dot."""
        return self.id.rpartition(".")[0]

    @property
    def venue(self) -> str:
        """The part of the id after the last dot."""
        return self.id.rpartition(".")[2]

    @property
    def price_precision(self) -> int:
        """Digits after the point in a price."""
        return decimals(self.tick)

    @property
    def size_precision(self) -> int:
        """Digits after the point in a quantity."""
        return decimals(self.size_increment)

    def to_engine(self) -> Any:
        """Return the engine's own instrument object."""
        return _to_engine(self)

    @staticmethod
    def from_engine(instrument: Any) -> Instrument:
        """Return our form of an engine instrument; SettingsError for a kind we do not know."""
        return _from_engine(instrument)


def decimals(value: Decimal) -> int:
    """Return how many digits after the point `value` needs, trailing zeros kept."""
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def equity(
    id: str,
    *,
    tick: Number = "0.01",
    currency: str = "USD",
    lot: Number = 1,
    tz: str | None = None,
    session: tuple[str, str] | None = ("09:30", "16:00"),
    **more: Any,
) -> Instrument:
    """Return a share, for example `equity("GOOG.XNAS")`; session times are local to `tz`."""
    zone = _zone(id, tz)
    return _build(
        "equity", id, tick=tick, currency=currency, lot=lot, tz=zone, session=session, **more
    )


def fx(id: str, *, tick: Number = "0.00001", lot: Number = 1, **more: Any) -> Instrument:
    """Return a currency pair, for example `fx("EUR/USD.SIM")`; quoted in the second currency."""
    symbol = _checked_id(id).rpartition(".")[0].replace("/", "")
    if len(symbol) != 6 or not symbol.isalpha():
        raise UnknownInstrument(
            f'{id!r} is not a currency pair. Expected two ISO codes, as in fx("EUR/USD.SIM").'
        )
    more = {"base_currency": symbol[:3].upper(), "currency": symbol[3:].upper(), **more}
    return _build("fx", id, tick=tick, lot=lot, **more)


def future(
    id: str,
    *,
    tick: Number,
    expiry: str | date,
    multiplier: Number = 1,
    currency: str = "USD",
    underlying: str | None = None,
    **more: Any,
) -> Instrument:
    """Return a future; `expiry` is a date, `multiplier` the value of one point in `currency`."""
    return _build(
        "future", id, tick=tick, currency=currency, multiplier=multiplier,
        expiry=_date(expiry), underlying=underlying or _root(id), **more,
    )  # fmt: skip


def option(
    id: str,
    *,
    tick: Number = "0.01",
    strike: Number,
    right: Literal["call", "put"],
    expiry: str | date,
    underlying: str,
    multiplier: Number = 100,
    **more: Any,
) -> Instrument:
    """Return a listed option on `underlying`; `right` is "call" or "put"."""
    if right not in ("call", "put"):
        raise SettingsError(f'right is {right!r}; expected "call" or "put".')
    more = {"currency": "USD", **more}
    return _build(
        "option", id, tick=tick, multiplier=multiplier, strike=_number(strike, "strike"),
        right=right, expiry=_date(expiry), underlying=underlying, **more,
    )  # fmt: skip


def crypto_perpetual(
    id: str,
    *,
    tick: Number,
    size_increment: Number,
    base_currency: str | None = None,
    currency: str | None = None,
    **more: Any,
) -> Instrument:
    """Return a linear perpetual swap, quoted and settled in `currency` (USDT in BTCUSDT-PERP)."""
    pair = _checked_id(id).rpartition(".")[0].split("-")[0].replace("/", "")
    for quote in (currency, "USDT", "USDC", "USD", "EUR", "BTC"):
        if quote and pair.endswith(quote) and len(pair) > len(quote):
            base_currency = base_currency or pair[: -len(quote)]
            currency = currency or quote
            break
    if not base_currency or not currency:
        raise SettingsError(
            f"cannot tell base and quote currency of {id!r}. "
            'Say them: crypto_perpetual(..., base_currency="BTC", currency="USDT").'
        )
    more = {"lot": size_increment, **more}
    return _build(
        "crypto_perpetual", id, tick=tick, size_increment=size_increment,
        base_currency=base_currency, currency=currency, **more,
    )  # fmt: skip


def _build(kind: Kind, id: str, **fields: Any) -> Instrument:
    _checked_id(id)
    for name in ("tick", "lot", "size_increment", "multiplier"):
        if name in fields:
            fields[name] = _number(fields[name], name, positive=True)
    for name in ("margin_init", "margin_maint"):
        if fields.get(name) is not None:
            fields[name] = _number(fields[name], name)
    fields.setdefault("tz", VENUE_ZONES.get(id.rpartition(".")[2], "UTC"))
    _zone(id, fields["tz"])
    unknown = set(fields) - set(Instrument.__struct_fields__)
    if unknown:
        raise SettingsError(
            f"unknown argument {sorted(unknown)[0]!r} for {id!r}; "
            f"known are {', '.join(Instrument.__struct_fields__)}."
        )
    made = Instrument(kind=kind, id=id, **fields)
    _refuse_what_the_engine_lacks(made)
    return made


def _refuse_what_the_engine_lacks(made: Instrument) -> None:
    if made.kind in ("equity", "fx", "crypto_perpetual") and made.multiplier != 1:
        raise SettingsError(
            f"multiplier {made.multiplier} found for {made.id}; a {made.kind} has 1. "
            "Contracts with another size are futures or options."
        )
    if made.kind in ("equity", "future", "option") and made.size_increment != 1:
        raise SettingsError(
            f"size_increment {made.size_increment} found for {made.id}; a {made.kind} trades "
            "in whole units, in multiples of lot=..."
        )


def _checked_id(id: str) -> str:
    symbol, _, venue = id.rpartition(".")
    if not symbol or not venue or any(c.isspace() for c in id):
        raise UnknownInstrument(
            f"{id!r} has no venue. Expected SYMBOL.VENUE; type for example {id.strip('.')}.XNAS "
            "(Nasdaq), .XNYS (New York) or .SIM (simulated)."
        )
    return id


def _root(id: str) -> str:
    symbol = id.rpartition(".")[0]
    return symbol.rstrip("0123456789")[:-1] or symbol  # ESH4 -> ES


def _number(value: Number, name: str, *, positive: bool = False) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or (positive and number <= 0):
        want = "a positive number" if positive else "a number"
        raise SettingsError(f'{name} is {value!r}; expected {want}, for example "0.01".')
    if "E" in str(number):
        number = Decimal(format(number, "f"))
    if decimals(number) > MAX_DECIMALS:
        raise SettingsError(f"{name} is {value!r}; at most {MAX_DECIMALS} decimals can be kept.")
    return number


def _date(value: str | date) -> str:
    try:
        return (value if isinstance(value, date) else date.fromisoformat(value)).isoformat()[:10]
    except ValueError:
        raise SettingsError(f"expiry is {value!r}; expected a date as 2024-03-15.") from None


def _zone(id: str, tz: str | None) -> str:
    zone = tz or VENUE_ZONES.get(id.rpartition(".")[2], "UTC")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise SettingsError(
            f"time zone {zone!r} is unknown; expected an IANA name such as America/New_York."
        ) from None
    return zone


def _midnight_ns(day: str | None) -> int:
    if day is None:
        return 0
    at = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    return int(at.timestamp()) * 1_000_000_000


def _to_engine(own: Instrument) -> Any:
    from nautilus_trader import model as m

    def size(value: Decimal) -> Any:
        return m.Quantity.from_str(format(value, f".{own.size_precision}f"))

    common: dict[str, Any] = {
        "instrument_id": m.InstrumentId.from_str(own.id),
        "raw_symbol": m.Symbol(own.symbol),
        "price_precision": own.price_precision,
        "price_increment": m.Price.from_str(str(own.tick)),
        "margin_init": own.margin_init,
        "margin_maint": own.margin_maint,
        "ts_event": 0,
        "ts_init": 0,
    }
    currency = m.Currency.from_str(own.currency)
    if own.kind == "equity":
        return m.Equity(currency=currency, lot_size=size(own.lot), **common)
    if own.kind in ("fx", "crypto_perpetual"):
        common |= {
            "base_currency": m.Currency.from_str(own.base_currency or ""),
            "quote_currency": currency,
            "size_precision": own.size_precision,
            "size_increment": size(own.size_increment),
            "lot_size": size(own.lot),
        }
        if own.kind == "fx":
            return m.CurrencyPair(**common)
        return m.CryptoPerpetual(settlement_currency=currency, is_inverse=False, **common)
    common |= {
        "asset_class": m.AssetClass.INDEX if own.kind == "future" else m.AssetClass.EQUITY,
        "underlying": own.underlying or "",
        "activation_ns": 0,
        "expiration_ns": _midnight_ns(own.expiry) + 86_400_000_000_000 + 1,  # after its last bar
        "currency": currency,
        "multiplier": m.Quantity.from_str(str(own.multiplier)),
        "lot_size": size(own.lot),
    }
    if own.kind == "future":
        return m.FuturesContract(**common)
    right = m.OptionKind.CALL if own.right == "call" else m.OptionKind.PUT
    strike = m.Price.from_str(format(own.strike or Decimal(0), f".{own.price_precision}f"))
    return m.OptionContract(option_kind=right, strike_price=strike, **common)


def _from_engine(theirs: Any) -> Instrument:
    kinds: dict[str, Kind] = {
        "Equity": "equity", "CurrencyPair": "fx", "FuturesContract": "future",
        "OptionContract": "option", "CryptoPerpetual": "crypto_perpetual",
    }  # fmt: skip
    kind = kinds.get(type(theirs).__name__)
    if kind is None:
        raise SettingsError(
            f"{type(theirs).__name__} is not an instrument kind we know; "
            f"expected one of {', '.join(kinds)}."
        )
    fields: dict[str, Any] = {
        "tick": str(theirs.price_increment),
        "currency": str(theirs.quote_currency),
        "lot": str(theirs.lot_size) if theirs.lot_size is not None else 1,
        "multiplier": str(theirs.multiplier),
    }
    for name in ("margin_init", "margin_maint"):
        fields[name] = getattr(theirs, name) or None
    if kind in ("fx", "crypto_perpetual"):
        fields["size_increment"] = str(theirs.size_increment)
        fields["base_currency"] = str(theirs.base_currency)
    if kind in ("future", "option"):
        fields["underlying"] = theirs.underlying
        last = max(theirs.expiration_ns - 2, 0)  # within the day, however its end is written
        expires = datetime.fromtimestamp(last // 1_000_000_000, UTC)
        fields["expiry"] = expires.date().isoformat()
    if kind == "option":
        call = str(theirs.option_kind).upper().endswith("CALL")
        fields["right"] = "call" if call else "put"
        fields["strike"] = _number(str(theirs.strike_price), "strike")
    if kind == "equity":
        fields["session"] = ("09:30", "16:00")
    return _build(kind, str(theirs.id), **fields)
