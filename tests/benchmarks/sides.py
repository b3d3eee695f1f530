"""The two sides of each benchmark: `ot.backtest`, and the engine driven by hand.

The engine's side is what a careful user of the engine would write: objects from Arrow by the
engine's own readers, added unsorted and unvalidated in chunks that are sorted and streamed (which
the engine does faster, and in less memory, than all rows at once), one plain strategy, nothing
kept but what the engine keeps. Both sides turn the same Arrow data into objects in the timed
section, trade the same account without fees, and have the engine's log and analysis off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import series
from measure import Outcome, Work, digest
from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import LogLevel
from nautilus_trader.config import LoggerConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import AccountType, Currency, Money, OmsType, Venue
from nautilus_trader.risk import RiskEngineConfig

import onetape as ot
from onetape.market import layout
from onetape.tape.kinds import OrderFilled, OrderInitialized

CASH = 10_000_000
CHUNK = 32_768  # rows at a time, as in ot.backtest
WHOLE = 10**9


def ours(
    strategy: Any, datasets: list[ot.Dataset], last: Mapping[str, Decimal], **terms: Any
) -> Work:
    """Return the work of a backtest with its tape on, up to and with the fingerprint."""

    _warm()

    def run() -> ot.Run:
        done = ot.backtest(strategy, datasets, cash=CASH, progress=False, **terms)
        assert done.fingerprint
        return done

    def check(done: ot.Run) -> Outcome:
        fills, cash = [], Decimal(CASH)
        held: dict[str, Decimal] = dict.fromkeys(last, Decimal(0))
        for event in done.recording.of_kind(OrderFilled):
            fact: Any = event.fact
            sign = 1 if fact.side == "BUY" else -1
            held[fact.instrument] += sign * fact.quantity
            cash -= sign * fact.quantity * fact.price
            fills.append((event.ts_event, fact.instrument, fact.side, fact.quantity, fact.price))
        equity = cash + sum(held[name] * price for name, price in last.items())
        orders = sum(1 for _ in done.recording.of_kind(OrderInitialized))
        extra = {"events": len(done.recording)}
        return Outcome(orders, Decimal(equity), digest(fills), extra)

    return Work(run, check)


def engine(
    strategy: Callable[[], Any],
    datasets: list[ot.Dataset],
    last: Mapping[str, Decimal],
    chunk: int = CHUNK,
) -> Work:
    """Return the work of the engine alone, fed `chunk` rows at a time."""
    _warm()
    share = max(2_000, chunk // len(datasets))
    batches = [list(d.batches(rows=share)) for d in datasets]

    def run() -> Any:
        built = _built()
        for data in datasets:
            built.add_instrument(data.instrument.to_engine())
        built.add_strategy(strategy())
        for some in zip_longest(*batches):  # all series have the same times
            for batch in some:
                built.add_data(layout.to_objects(batch), validate=False, sort=False)
            built.sort_data()
            built.run(streaming=True)
            built.clear_data()
        built.end()
        return built

    def check(built: Any) -> Outcome:
        fills = []
        orders = built.cache.orders()
        for order in orders:
            side = "BUY" if order.is_buy else "SELL"
            for event in order.events():
                if type(event).__name__ == "OrderFilled":
                    size, price = event.last_qty.as_decimal(), event.last_px.as_decimal()
                    fills.append((event.ts_event, str(event.instrument_id), side, size, price))
        account = built.cache.account_for_venue(Venue("SIM"))
        equity = account.balance_total().as_decimal()
        for position in built.cache.positions_open():
            price = last[str(position.instrument_id)]
            signed = Decimal(str(position.signed_qty))
            equity += signed * (price - Decimal(str(position.avg_px_open)))
        return Outcome(len(orders), equity, digest(fills))

    return Work(run, check)


class Still(ot.Strategy):
    """Does nothing."""


def _warm() -> None:
    """Import and load, on both sides alike, what a first run in a process does."""
    frame = series.minutes(100)
    data = series.dataset("WARM.SIM", frame, "1-MINUTE")
    assert ot.backtest(Still, data, progress=False).fingerprint
    for batch in data.batches():
        layout.to_objects(batch)


def _built() -> BacktestEngine:
    unlimited = "1000000000/00:00:01"
    built = BacktestEngine(
        BacktestEngineConfig(
            bypass_logging=True,
            run_analysis=False,
            shutdown_on_error=True,
            logging=LoggerConfig(stdout_level=LogLevel.OFF),
            risk_engine=RiskEngineConfig(
                max_order_submit_rate=unlimited, max_order_modify_rate=unlimited
            ),
        )
    )
    usd = Currency.from_str("USD")
    built.add_venue(
        venue=Venue("SIM"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=usd,
        starting_balances=[Money(CASH, usd)],
        default_leverage=Decimal(1),
        fee_model=MakerTakerFeeModel(Decimal(0), Decimal(0)),
    )
    return built
