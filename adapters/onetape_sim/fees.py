"""What the simulated venue charges for a fill, said as text in its config.

    free                 nothing
    bps:20               20 basis points (1/10,000) of the notional
    maker_taker:-1:5     basis points by liquidity side; a negative rate is a rebate
    per_share:0.01:1     an amount per unit, here with at least 1 per order

Units    notional is quantity x price x multiplier in the instrument's currency; a commission is
         rounded to the currency's minor unit, half to even, once per fill, as in backtests.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import msgspec

from onetape.errors import SettingsError

ZERO = Decimal(0)
WHOLE = frozenset(("JPY", "KRW", "CLP", "VND", "ISK", "HUF"))
FINE = frozenset(("BTC", "ETH", "USDT", "USDC", "XRP", "SOL", "ADA", "BNB", "DOGE", "LTC"))
KNOWN = "free, bps:20, maker_taker:-1:5, per_share:0.01 or per_share:0.01:1"


class Fees(msgspec.Struct, frozen=True):
    """Rates in basis points by liquidity side, or an amount per unit with a minimum per order."""

    maker: Decimal = ZERO
    taker: Decimal = ZERO
    per_unit: Decimal = ZERO
    minimum: Decimal = ZERO

    def commission(
        self, quantity: Decimal, notional: Decimal, before: Decimal, maker: bool, currency: str
    ) -> Decimal:
        """Return what a fill costs, `before` units of the same order being filled already."""
        if self.per_unit or self.minimum:
            paid = max(before * self.per_unit, self.minimum) if before else ZERO
            cost = max((before + quantity) * self.per_unit, self.minimum) - paid
        else:
            cost = notional * (self.maker if maker else self.taker) / 10_000
        return cost.quantize(minor_unit(currency), ROUND_HALF_EVEN)


def minor_unit(currency: str) -> Decimal:
    """Return the smallest amount of a currency."""
    if currency in WHOLE:
        return Decimal(1)
    return Decimal("0.00000001") if currency in FINE else Decimal("0.01")


def parse(text: str) -> Fees:
    """Return the fees that `text` says; SettingsError where it says none."""
    name, *said = text.split(":")
    try:
        rates = [Decimal(each) for each in said]
    except InvalidOperation:
        raise _wrong(text) from None
    if not all(rate.is_finite() for rate in rates):
        raise _wrong(text)
    if name in ("free", "") and not rates:
        return Fees()
    if name == "bps" and len(rates) == 1:
        return Fees(rates[0], rates[0])
    if name == "maker_taker" and len(rates) == 2:
        return Fees(rates[0], rates[1])
    if name == "per_share" and len(rates) in (1, 2):
        return Fees(per_unit=rates[0], minimum=rates[1] if len(rates) == 2 else ZERO)
    raise _wrong(text)


def _wrong(text: str) -> SettingsError:
    return SettingsError(f"fees {text!r} found, one of {KNOWN} expected")
