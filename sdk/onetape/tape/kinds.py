"""The facts worth keeping, each with a stable tag and a version.

A tag is the fact's name for ever: classes may move or be renamed, tags may not. A field may
be added with a default; any other change is a new version beside the old one.

Units    prices in quote currency per unit, quantities in units of the instrument (unsigned
         beside a side, signed where no side is named), money in its own currency. All exact.
Times    `ts_*` in nanoseconds since 1970-01-01 UTC.
Rule     nothing derived is recorded: positions, profit and equity are folds of these facts.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from onetape.tape.fact import Fact, Personal, Scalar, Side
from onetape.tape.kinds_live import LiveFact
from onetape.tape.kinds_wire import WireFact

__all__ = ["BY_TAG", "VERSION", "AnyFact", "Fact", "Personal", "Scalar", "Side", "tag_of"]

VERSION = 1


class DatasetRef(msgspec.Struct, frozen=True):
    """What a run read: enough to find the same rows again, or to notice that they changed.

    Files and where they came from stay in the catalog: equal rows give equal tapes.
    """

    name: str
    instrument: str
    data: str  # bars, quotes or trades
    step: str | None
    fingerprint: str
    range: tuple[int, int]  # first and last ts_event
    rows: int
    tz: str
    stamp: str
    source: dict[str, str]  # left empty: see above
    synthetic: bool = False
    findings: tuple[str, ...] = ()


class RunOpened(Fact, frozen=True, gc=False, tag="run.opened"):
    """Everything that is needed to run this again."""

    strategy: str
    code_hash: str
    code: str | None  # the strategy's source, when it could be read
    params: dict[str, Scalar]
    datasets: tuple[DatasetRef, ...]
    instruments: tuple[str, ...]  # canonical JSON of each instrument
    currency: str
    settings: dict[str, str]  # fill, fees, latency, slippage, account, start, end
    versions: dict[str, str]  # onetape, engine, calculation, python
    mode: str = "backtest"
    recipe: str = ""  # the run's terms as JSON, for the room that made it to run it again


class RunClosed(Fact, frozen=True, gc=False, tag="run.closed"):
    """The run's last word; `status` is completed or failed."""

    status: str
    detail: str = ""


class CashDeposited(Fact, frozen=True, gc=False, tag="cash.deposited"):
    account: str
    currency: str
    amount: Decimal


class SignalNoted(Fact, frozen=True, gc=False, tag="signal.noted"):
    strategy: str
    name: str
    value: float
    instrument: str | None = None


class DecisionMade(Fact, frozen=True, gc=False, tag="decision.made"):
    """What a strategy or a person wanted, and why; orders that follow name it as cause."""

    strategy: str
    intent: str  # target, buy, sell, close, bracket, cancel, modify, order
    instrument: str | None
    quantity: Decimal | None = None
    weight: float | None = None
    price: Decimal | None = None
    why: str = ""


class RiskDenied(Fact, frozen=True, gc=False, tag="risk.denied"):
    """A limit refused an order before it left; observed and threshold in the limit's unit."""

    strategy: str
    instrument: str
    limit: str
    observed: Decimal
    threshold: Decimal
    side: Side
    quantity: Decimal


class OrderFact(Fact, frozen=True, gc=False):
    """Base of what happens to one order."""

    client_order_id: str
    instrument: str
    strategy: str


class OrderInitialized(OrderFact, frozen=True, gc=False, tag="order.initialized"):
    side: Side
    type: str
    quantity: Decimal
    time_in_force: str
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    expire_time: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    contingency: str | None = None
    order_list_id: str | None = None
    linked_order_ids: tuple[str, ...] = ()
    parent_order_id: str | None = None
    details: dict[str, str] = msgspec.field(
        default_factory=dict[str, str]
    )  # what else the engine says: offsets, emulation, algorithm


class OrderSubmitted(OrderFact, frozen=True, gc=False, tag="order.submitted"):
    account: str


class OrderAccepted(OrderFact, frozen=True, gc=False, tag="order.accepted"):
    account: str
    venue_order_id: str


class OrderDenied(OrderFact, frozen=True, gc=False, tag="order.denied"):
    reason: str


class OrderRejected(OrderFact, frozen=True, gc=False, tag="order.rejected"):
    reason: str


class OrderEmulated(OrderFact, frozen=True, gc=False, tag="order.emulated"):
    pass


class OrderReleased(OrderFact, frozen=True, gc=False, tag="order.released"):
    released_price: Decimal | None = None


class OrderTriggered(OrderFact, frozen=True, gc=False, tag="order.triggered"):
    pass


class OrderPendingUpdate(OrderFact, frozen=True, gc=False, tag="order.pending_update"):
    pass


class OrderPendingCancel(OrderFact, frozen=True, gc=False, tag="order.pending_cancel"):
    pass


class OrderModifyRejected(OrderFact, frozen=True, gc=False, tag="order.modify_rejected"):
    reason: str


class OrderCancelRejected(OrderFact, frozen=True, gc=False, tag="order.cancel_rejected"):
    reason: str


class OrderUpdated(OrderFact, frozen=True, gc=False, tag="order.updated"):
    quantity: Decimal
    price: Decimal | None = None
    trigger_price: Decimal | None = None


class OrderCanceled(OrderFact, frozen=True, gc=False, tag="order.canceled"):
    pass


class OrderExpired(OrderFact, frozen=True, gc=False, tag="order.expired"):
    pass


class OrderFilled(OrderFact, frozen=True, gc=False, tag="order.filled"):
    """One execution; `commission` is what was paid (a rebate is negative)."""

    account: str
    venue_order_id: str
    trade_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    currency: str  # of the price
    commission: Decimal
    commission_currency: str
    liquidity: str  # MAKER, TAKER or NO_LIQUIDITY_SIDE


class OrderVoided(OrderFact, frozen=True, gc=False, tag="order.voided"):
    """A fill was taken back by the venue."""

    trade_id: str
    reason: str = ""


class SplitApplied(Fact, frozen=True, gc=False, tag="action.split"):
    """Each share became `ratio` shares: holdings and working orders of the account rescale."""

    account: str
    instrument: str
    ratio: Decimal


class DividendPaid(Fact, frozen=True, gc=False, tag="action.dividend"):
    """`amount` per share held (owed, when short) at the start of the ex-date."""

    account: str
    instrument: str
    amount: Decimal
    currency: str


class AccountOpened(Fact, frozen=True, gc=False, tag="account.opened"):
    account: str
    type: str  # cash or margin
    base_currency: str | None
    leverage: Decimal = Decimal(1)


class PersonKnown(Fact, frozen=True, gc=False, tag="person.known"):
    """Who stands behind a subject: a number of the firm's own, never a name."""

    subject: str
    name: Personal
    contact: Personal = ""


class PersonErased(Fact, frozen=True, gc=False, tag="person.erased"):
    """The key of a subject was destroyed: what was sealed under it cannot be read any more."""

    subject: str
    who: str
    reason: str


AnyFact = (
    RunOpened
    | RunClosed
    | AccountOpened
    | CashDeposited
    | SignalNoted
    | DecisionMade
    | RiskDenied
    | OrderInitialized
    | OrderSubmitted
    | OrderAccepted
    | OrderDenied
    | OrderRejected
    | OrderEmulated
    | OrderReleased
    | OrderTriggered
    | OrderPendingUpdate
    | OrderPendingCancel
    | OrderModifyRejected
    | OrderCancelRejected
    | OrderUpdated
    | OrderCanceled
    | OrderExpired
    | OrderFilled
    | OrderVoided
    | SplitApplied
    | DividendPaid
    | PersonKnown
    | PersonErased
    | LiveFact
    | WireFact
)


def tag_of(fact: type[Fact]) -> str:
    """Return the stable name of a kind of fact."""
    return str(fact.__struct_config__.tag)


BY_TAG: dict[str, type[Fact]] = {tag_of(kind): kind for kind in AnyFact.__args__}
