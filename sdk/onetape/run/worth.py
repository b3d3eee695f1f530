# pyright: standard
"""What things are worth while a run goes on: last prices, rates and equity, for sizing."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from onetape.errors import SettingsError

if TYPE_CHECKING:
    from onetape.run.host import Host


class Worth:
    """Values by the last rows seen, as the engine's cache has them."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def last_price(self, instrument: str) -> Decimal:
        """Return the last price seen of an instrument; zero before its first row."""
        cache = self._host.strategy.cache
        for source in self._host.stage.sources:
            if source.dataset.instrument.id != instrument:
                continue
            if source.kind == "bars" and (bar := cache.bar(source.bar_type)) is not None:
                return bar.close.as_decimal()
            if source.kind == "quotes" and (quote := cache.quote(source.instrument_id)) is not None:
                return (quote.bid_price.as_decimal() + quote.ask_price.as_decimal()) / 2
            if source.kind == "trades" and (trade := cache.trade(source.instrument_id)) is not None:
                return trade.price.as_decimal()
        return Decimal(0)

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
