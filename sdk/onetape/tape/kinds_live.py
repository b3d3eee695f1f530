"""Facts of live trading: sessions, feeds, the gate's decisions, limits, kills, reconciliation.

Scopes   text, from wide to narrow: "firm", "desk:NAME", "account:NAME", "strategy:NAME",
         "trader:NAME", "venue:NAME", "instrument:ID". The keys of limits, states and kills.
States   of a scope: ACTIVE, REDUCING, CANCEL_ONLY, HALTED.
Units    as in `kinds`: exact decimals, times in ns UTC.
"""

from __future__ import annotations

from decimal import Decimal

from onetape.tape.fact import Fact, Side


class SessionMoved(Fact, frozen=True, gc=False, tag="session.moved"):
    """A live session came to a state: starting, reconciling, running, stopping, stopped, failed."""

    state: str
    detail: str = ""


class SessionAsked(Fact, frozen=True, gc=False, tag="session.asked"):
    """A person, or something acting for one, told a session to do something."""

    what: str  # stop, flatten, kill, cancel, order, modify
    who: str
    detail: str = ""


class LeaseTaken(Fact, frozen=True, gc=False, tag="lease.taken"):
    """A session became the one that may trade an account at a venue; `epoch` rises by one."""

    venue: str
    account: str
    session: str
    epoch: int
    holder: str  # host and process


class AccountCarried(Fact, frozen=True, gc=False, tag="account.carried"):
    """What a session takes over of its account from the one before it: state, not movement.

    `positions` are (instrument, strategy, signed quantity, cost in quote currency), `cash` is
    (currency, amount), `orders` the ids that still work at the venue and `terms` what is left of
    them (`order.initialized` in JSON). `today` is what its last day brought by strategy: (strategy,
    currency, UTC day since 1970, realized profit after commission, value traded).
    """

    account: str
    venue: str
    session: str  # the stream that it is carried from
    cash: tuple[tuple[str, Decimal], ...] = ()
    positions: tuple[tuple[str, str, Decimal, Decimal], ...] = ()
    orders: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    today: tuple[tuple[str, str, int, Decimal, Decimal], ...] = ()


class StateSaved(Fact, frozen=True, gc=False, tag="strategy.saved"):
    """What a strategy's `on_save` gave to be kept: bytes by name, in base64."""

    strategy: str
    state: dict[str, str]


class StateLoaded(Fact, frozen=True, gc=False, tag="strategy.loaded"):
    """What a strategy got back in `on_load`, saved by the session whose stream is named."""

    strategy: str
    state: dict[str, str]
    session: str


class TimerFired(Fact, frozen=True, gc=False, tag="timer.fired"):
    """A strategy's timer or alert came due."""

    strategy: str
    name: str


class DataKept(Fact, frozen=True, gc=False, tag="data.kept"):
    """What a session received of one instrument, as it stands in the catalog."""

    dataset: str
    instrument: str
    data: str  # bars, quotes or trades
    fingerprint: str
    rows: int
    first: int
    last: int


class FeedMoved(Fact, frozen=True, gc=False, tag="feed.moved"):
    """A subscription came to a state: live, stale, gap, offset, closed."""

    feed: str
    instrument: str | None  # None: the whole feed
    state: str
    detail: str = ""
    age_ns: int = 0  # of the last row, or how far the clocks are apart


class VenueMoved(Fact, frozen=True, gc=False, tag="venue.moved"):
    """The way to a venue came to a state: connected, silent, disconnected."""

    venue: str
    state: str
    detail: str = ""


class RiskDecided(Fact, frozen=True, gc=False, tag="risk.decided"):
    """The gate's answer to one intent; `code` and `check` are of the first check that failed.

    `observed`, `threshold` and `limit` are of that check; of an allowed order they are of the
    check that came nearest to its limit. `others` are the codes of further checks that failed.
    """

    verdict: str  # allow, deny or hold
    intent: str  # submit, modify, cancel, list
    account: str
    strategy: str
    instrument: str
    client_order_id: str
    side: Side
    quantity: Decimal
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    code: str = ""
    check: str = ""
    limit: str = ""  # the rule that the threshold is from: scope and name
    observed: Decimal | None = None
    threshold: Decimal | None = None
    others: tuple[str, ...] = ()
    reference: Decimal | None = None  # the price that others are measured against
    reference_source: str = ""
    reference_ts: int = 0
    limits_version: str = ""
    state_version: int = 0
    gate_version: str = ""
    detail: str = ""


class RiskMoved(Fact, frozen=True, gc=False, tag="risk.moved"):
    """A scope came to a trading state."""

    scope: str
    state: str
    reason: str
    who: str  # a person, or the rule that did it
    second: str = ""  # the second person, where loosening needs one


class RiskAlert(Fact, frozen=True, gc=False, tag="risk.alert"):
    """Something to be looked at; `severity` is info, warning or critical."""

    rule: str
    severity: str
    scope: str
    detail: str
    observed: Decimal | None = None
    threshold: Decimal | None = None


class LimitsProposed(Fact, frozen=True, gc=False, tag="limits.proposed"):
    """New limits are asked for; `rules` is their canonical JSON, `base` the version they change."""

    version: str
    rules: str
    base: str
    who: str
    reason: str
    loosens: tuple[str, ...] = ()  # the rules that would allow more than before


class LimitsSet(Fact, frozen=True, gc=False, tag="limits.set"):
    """These limits are in force from here on; `second` approved where something was loosened."""

    version: str
    rules: str
    base: str
    who: str
    second: str
    reason: str


class OverrideGranted(Fact, frozen=True, gc=False, tag="risk.override"):
    """One named order may pass the named checks once, until `expires` (ns UTC)."""

    client_order_id: str
    checks: tuple[str, ...]
    who: str
    second: str
    reason: str
    expires: int


class KillMoved(Fact, frozen=True, gc=False, tag="kill.moved"):
    """A kill came to a state: CANCELLING, VERIFYING, KILLED, KILL_INCOMPLETE, ARMED (again).

    `working` are the orders that are not known to be gone, on the venue's evidence.
    """

    kill: str
    scope: str
    state: str
    who: str
    reason: str
    venue: str = ""
    requests: int = 0
    working: tuple[str, ...] = ()
    second: str = ""  # who armed again, beside `who`
    drill: bool = False


class BreakFound(Fact, frozen=True, gc=False, tag="recon.break"):
    """Our books and the venue's word differ; nothing is mended without a person."""

    break_id: str
    venue: str
    account: str
    what: str  # missing_here, missing_there, quantity, price, state, cash, unknown
    key: str  # an order, a trade, an instrument or a currency
    ours: str
    theirs: str


class BreakAccepted(Fact, frozen=True, gc=False, tag="recon.accepted"):
    """A person takes a break as it is."""

    break_id: str
    who: str
    reason: str


class Reconciled(Fact, frozen=True, gc=False, tag="recon.done"):
    """Orders, fills, positions and cash were compared with the venue's."""

    venue: str
    account: str
    orders: int
    fills: int
    positions: int
    breaks: int


LiveFact = (
    SessionMoved
    | AccountCarried
    | StateSaved
    | StateLoaded
    | SessionAsked
    | LeaseTaken
    | TimerFired
    | DataKept
    | FeedMoved
    | VenueMoved
    | RiskDecided
    | RiskMoved
    | RiskAlert
    | LimitsProposed
    | LimitsSet
    | OverrideGranted
    | KillMoved
    | BreakFound
    | BreakAccepted
    | Reconciled
)
