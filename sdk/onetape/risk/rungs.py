"""What a ladder is made of, what it looks at and what it answers: plain data, JSON by msgspec.

See `ladder` for what the words mean. Times ns UTC, money in base currency.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from onetape.errors import SettingsError

Measure = Literal["loss", "drawdown", "gross", "net", "stale"]
Step = Literal["warn", "reduce_only", "halt", "cancel", "flatten"]
MEASURES: tuple[str, ...] = ("loss", "drawdown", "gross", "net", "stale")
STEPS: tuple[str, ...] = ("warn", "reduce_only", "halt", "cancel", "flatten")
SECOND = 1_000_000_000
ZERO = Decimal(0)


class Rung(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One threshold and what happens there."""

    measure: Measure
    threshold: Decimal
    step: Step
    scope: str = "firm"

    def __post_init__(self) -> None:
        if not (self.threshold.is_finite() and self.threshold > 0):
            raise SettingsError(f"{self.threshold} found in the ladder, a positive number expected")
        if self.measure == "stale" and self.step == "flatten":
            raise SettingsError(
                "a ladder that flattens on stale data found: nothing is sold at prices that "
                "nobody knows; reduce_only, halt and cancel are there for it"
            )

    @property
    def name(self) -> str:
        """The rung in words, as facts name it."""
        return f"{self.scope} {self.measure} {self.threshold}: {self.step}"


class Consent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Two persons agree that an account may be flattened without being asked again."""

    account: str
    who: str  # of risk
    second: str

    def __post_init__(self) -> None:
        if not (self.account and self.who and self.second) or self.who == self.second:
            raise SettingsError(
                f"consent of {self.who!r} and {self.second!r} to flatten {self.account!r} found; "
                "an account and two persons expected"
            )


class Ladder(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Rungs, and how careful to be.

    hold      evaluations in a row that a measure must be at its threshold, beyond a warning
    release   part of the threshold below which a rung may act again
    agree     how far two prices may be apart, as a part of the lower
    fresh_ns  how old a price may be to sell by
    slices    in how many parts a holding is sold at least
    collar    how much worse than the price an exit may trade, as a part of it
    attempts  exits without progress, or requests to cancel, before a person is called
    pause_ns  from one exit, or request to cancel, to the next
    """

    rungs: tuple[Rung, ...] = ()
    consents: tuple[Consent, ...] = ()
    hold: int = 3
    release: Decimal = Decimal("0.9")
    agree: Decimal = Decimal("0.01")
    fresh_ns: int = 5 * SECOND
    slices: int = 5
    collar: Decimal = Decimal("0.05")
    attempts: int = 3
    pause_ns: int = 60 * SECOND

    def __post_init__(self) -> None:
        counts = (self.hold, self.slices, self.attempts)
        parts = (self.release, self.agree, self.collar)
        if min(counts) < 1 or not all(ZERO < part <= 1 for part in parts) or self.collar == 1:
            raise SettingsError(
                f"hold, slices, attempts of {counts} and release, agree, collar of {parts} found; "
                "whole numbers from 1 and parts above 0 up to 1 expected"
            )
        if self.fresh_ns <= 0 or self.pause_ns < 0:
            raise SettingsError("a ladder needs fresh_ns above zero and pause_ns of zero or more")

    def describe(self) -> str:
        """Return the rungs in one line."""
        return ", ".join(each.name for each in self.rungs) or "none"

    def consented(self, scope: str) -> bool:
        """Say whether a scope is an account that may be flattened without being asked again."""
        return any(scope == f"account:{consent.account}" for consent in self.consents)


def rung(text: str) -> Rung:
    """Return a rung from words: "loss 1000: halt", "account:A1 drawdown 0.05: reduce_only"."""
    head, colon, step = text.partition(":") if text.count(":") == 1 else text.rpartition(":")
    words, step = head.split(), step.strip()
    scope = words[0] if len(words) == 3 else "firm"
    if colon and len(words) in (2, 3) and words[-2] in MEASURES and step in STEPS:
        try:
            return Rung(words[-2], Decimal(words[-1]), step, scope)  # type: ignore[arg-type]
        except InvalidOperation:
            pass
    raise SettingsError(
        f'{text!r} found in the ladder; "MEASURE NUMBER: STEP" expected, such as "loss 1000: halt" '
        f"with a measure of {', '.join(MEASURES)} and a step of {', '.join(STEPS)}"
    )


def ladder_of(given: Any) -> Ladder:
    """Return a ladder from what a person wrote: a Ladder, a rung in words, or several."""
    if isinstance(given, Ladder):
        return given
    words: list[Any] = [given] if isinstance(given, str | Rung) else list(given)
    return Ladder(tuple(each if isinstance(each, Rung) else rung(str(each)) for each in words))


class Price(msgspec.Struct, frozen=True, gc=False):
    """A price and where it is from: two sources are independent when their names differ."""

    value: Decimal
    source: str
    ts: int


class Holding(msgspec.Struct, frozen=True, gc=False):
    """What is held of one instrument, and what is already on its way out."""

    instrument: str
    quantity: Decimal  # signed
    exits: Decimal  # unsigned: what open and in-flight orders against the holding may still fill
    prices: tuple[Price, ...] = ()
    step: Decimal = Decimal(1)  # the smallest quantity
    most: Decimal | None = None  # what the market bears in one exit; None: unknown


class Observed(msgspec.Struct, frozen=True, gc=False):
    """What is known of a scope; None is what cannot be told."""

    scope: str
    state: str = "ACTIVE"
    loss: Decimal | None = None  # positive is lost
    drawdown: Decimal | None = None
    gross: Decimal | None = None
    net: Decimal | None = None  # absolute
    stale_ns: int | None = None
    orders: int = 0  # open ones that are not exits
    holdings: tuple[Holding, ...] = ()

    def measured(self, measure: str) -> Decimal | None:
        """Return one measure; seconds for stale."""
        if measure == "stale":
            return None if self.stale_ns is None else Decimal(self.stale_ns) / SECOND
        return getattr(self, measure)


class Exit(msgspec.Struct, frozen=True, gc=False):
    """An order that only reduces. The same `id` is never to be sent twice."""

    id: str
    instrument: str
    side: Literal["BUY", "SELL"]
    quantity: Decimal
    limit: Decimal  # no worse than this; not yet on a tick


class Act(msgspec.Struct, frozen=True, gc=False):
    """What is to be done: `alert` somebody, `move` the scope to `state`, `cancel` its orders
    that are not exits, `propose` exits to persons, or send them (`exit`).
    """

    what: Literal["alert", "move", "cancel", "propose", "exit"]
    scope: str
    rule: str
    detail: str
    severity: Literal["info", "warning", "critical"] = "warning"
    observed: Decimal | None = None
    threshold: Decimal | None = None
    state: str = ""
    exits: tuple[Exit, ...] = ()


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How a rung stands: evaluations in a row at the threshold, or unable to tell."""

    count: int = 0
    blind: int = 0
    done: bool = False
    alarmed: bool = False


class Work(msgspec.Struct, frozen=True, gc=False):
    """An account on its way to flat; see `liquidation`."""

    rule: str
    sides: dict[str, int]  # instrument: 1 was long, -1 short, when it began
    slices: dict[str, Decimal]
    left: dict[str, Decimal]  # what was held at the last exit, unsigned
    tries: dict[str, int]  # exits since something was last sold
    exits: int = 0
    cancels: int = 0
    cancel_at: int = 0
    exit_at: int = 0
    blind: bool = False
    over: str = ""


class State(msgspec.Struct, frozen=True, gc=False):
    """Everything that the ladder remembers; JSON by msgspec, for restarts."""

    rungs: dict[str, Standing] = {}
    work: dict[str, Work] = {}  # by scope
