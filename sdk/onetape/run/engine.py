# pyright: standard
"""The engine, set up for one backtest and driven in chunks.

One engine a run: nothing is carried from run to run. The engine's own log is off; its order
rate limits are out of the way, since a day's close may bring an order for each instrument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import LogLevel
from nautilus_trader.config import LoggerConfig, PortfolioConfig
from nautilus_trader.execution import StaticLatencyModel
from nautilus_trader.model import AccountType, BookType, Currency, Money, OmsType, Venue
from nautilus_trader.risk import RiskEngineConfig

from onetape.errors import SettingsError
from onetape.market.instruments import Instrument
from onetape.run.fees import Fees, Slippage, fee_model, fill_model
from onetape.run.fills import Walk

UNLIMITED = "1000000000/00:00:01"


@dataclass(frozen=True)
class Terms:
    """On what terms the venues of a run trade."""

    cash: tuple[tuple[str, Decimal], ...]
    currency: str
    account: str  # cash or margin
    leverage: Decimal
    fees: Fees | None
    slippage: Slippage | None
    latency_ns: int
    ticked: frozenset[str]  # venues with quotes or trades
    barred: frozenset[str]  # venues where an instrument has bars only
    walk: Walk | None
    bar_execution: bool
    splits: bool


def build(instruments: Iterable[Instrument], terms: Terms) -> BacktestEngine:
    """Return an engine with the instruments' venues; each is told of the whole cash."""
    config = BacktestEngineConfig(
        bypass_logging=True,
        run_analysis=False,
        shutdown_on_error=True,
        logging=LoggerConfig(stdout_level=LogLevel.OFF),
        risk_engine=RiskEngineConfig(
            max_order_submit_rate=UNLIMITED, max_order_modify_rate=UNLIMITED
        ),
        portfolio=PortfolioConfig(equity_curve=False),  # ours is folded from the tape
    )
    made = BacktestEngine(config)
    listed = list(instruments)
    for venue in dict.fromkeys(i.venue for i in listed):
        made.add_venue(**_venue(venue, terms, {i.currency for i in listed}))
    for instrument in listed:
        made.add_instrument(instrument.to_engine())
    return made


def _venue(name: str, terms: Terms, currencies: set[str]) -> dict[str, Any]:
    codes = [code for code, _ in terms.cash]
    one = len(codes) == 1 and currencies <= set(codes)
    given = dict(terms.cash)
    for code in sorted(currencies):
        given.setdefault(code, Decimal(0))
    said: dict[str, Any] = {
        "venue": Venue(name),
        "oms_type": OmsType.NETTING,
        "account_type": AccountType.CASH if terms.account == "cash" else AccountType.MARGIN,
        "base_currency": Currency.from_str(codes[0]) if one else None,
        "starting_balances": [
            Money.from_decimal(v, Currency.from_str(c)) for c, v in given.items()
        ],
        "fee_model": fee_model(terms.fees),
        "book_type": BookType.L1_MBP,
        "bar_execution": terms.bar_execution and name in terms.barred,
        "liquidity_consumption": name in terms.ticked,  # a quoted size trades once
        "reject_stop_orders": False,  # a stop that the market has passed trades at once
    }
    if terms.account != "cash":
        said["default_leverage"] = terms.leverage
    if (model := fill_model(terms.slippage, terms.splits, terms.walk)) is not None:
        said["fill_model"] = model
    if terms.latency_ns and name in terms.ticked:  # bars: see waiting
        said["latency_model"] = StaticLatencyModel(base_latency_nanos=terms.latency_ns)
    return said


def account_terms(account: Any) -> tuple[str, Decimal]:
    """Return (type, leverage) of an account argument: "cash", "margin" or a leverage."""
    if account in ("cash", "margin"):
        return str(account), Decimal(1)
    try:
        leverage = Decimal(str(account))
    except ArithmeticError:
        leverage = Decimal(0)
    if not leverage >= 1:
        raise SettingsError(
            f'account={account!r} found, "cash", "margin" or a leverage of 1 or more expected'
        )
    return "margin", leverage
