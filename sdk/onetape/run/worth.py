# pyright: standard
"""What things are worth while a run goes on: last prices, rates and equity, for sizing and limits.

`prices` and `reference` say where a price is from: "mid" of a quote, "last" trade, "close" of a
bar; with its time, for whoever minds how old it is.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import Bar, QuoteTick, TradeTick

from onetape.errors import SettingsError
from onetape.risk.intent import Reference

if TYPE_CHECKING:
    from onetape.run.feed import Source
    from onetape.run.host import Host


class Worth:
    """Values by the last rows seen, as the engine's cache has them."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def last_price(self, instrument: str) -> Decimal:
        """Return the last price seen of an instrument; zero before its first row."""
        cache = self._host.strategy.cache
        for source in self._host.stage.sources:
            if source.dataset.instrument.id == instrument:
                found = _seen(cache, source)
                if found is not None:
                    return found.price
        return Decimal(0)

    def prices(self, instrument: str) -> list[Reference]:
        """Return the last price of each of an instrument's datasets, in the run's order."""
        cache = self._host.strategy.cache
        return [
            found
            for source in self._host.stage.sources
            if source.dataset.instrument.id == instrument
            and (found := _seen(cache, source)) is not None
        ]

    def reference(self, instrument: str) -> Reference | None:
        """Return the freshest price; of equally fresh ones a quote's, then a trade's."""
        found = self.prices(instrument)
        return max(found, key=lambda one: (one.ts, one.source == "mid", one.source), default=None)

    def rate(self, currency: str) -> Decimal:
        """Return what one unit of `currency` is worth in the run's currency."""
        home = self._host.stage.currency
        if currency == home:
            return Decimal(1)
        for name in self._host.traded:
            pair = name.rpartition(".")[0].replace("/", "")
            if pair == currency + home and (price := self.last_price(name)):
                return price
            if pair == home + currency and (price := self.last_price(name)):
                return 1 / price
        raise SettingsError(
            f"no rate from {currency} to {home}: add a dataset of {currency}/{home} to the run"
        )

    def equity(self) -> Decimal:
        """Return cash and holdings of the run at last seen prices, in its currency."""
        exposure = self._host.exposure
        total = sum(
            (amount * self.rate(c) for c, amount in exposure.cash.items() if amount), Decimal(0)
        )
        for (_, name), held in exposure.held.items():
            if held:
                traded = self._host.traded[name]
                total += (
                    held * self.last_price(name) * traded.multiplier * self.rate(traded.currency)
                )
        return total


def _seen(cache: Any, source: Source) -> Reference | None:
    if source.kind == "bars":
        return told(cache.bar(source.bar_type))
    name = source.instrument_id
    return told(cache.quote(name) if source.kind == "quotes" else cache.trade(name))


def told(row: Any) -> Reference | None:
    """Return the price that a row tells; None for anything else."""
    if isinstance(row, Bar):
        return Reference(row.close.as_decimal(), "close", row.ts_init)
    if isinstance(row, QuoteTick):
        bid, ask = row.bid_price.as_decimal(), row.ask_price.as_decimal()
        return Reference((bid + ask) / 2, "mid", row.ts_init, bid, ask)
    if isinstance(row, TradeTick):
        return Reference(row.price.as_decimal(), "last", row.ts_init)
    return None
