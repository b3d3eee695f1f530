"""Faults: what a simulated venue does wrong on purpose, by config or while it runs.

Each is called by name, `fault("duplicate", count=3)`; the README has the table. Here are those
that stand between what the venue says and what is heard; the world does the others.

Units    seconds are in the rows' time where the world is stepped, else on the wall.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from onetape.errors import SettingsError
from onetape.run.ports import Accepted, AnyReport, Filled, PositionStatus

NS = 1_000_000_000


class Duplicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next reports come twice."""

    count: int = 1


class Drop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next reports never come."""

    count: int = 1


class LoseAck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next orders are accepted and nobody is told; queries know them."""

    count: int = 1


class Late(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Executions are told of so much later than everything else; 0 ends it."""

    seconds: float


class Reject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next orders are refused."""

    count: int = 1
    reason: str = "refused on purpose"


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Commands arrive so much later."""

    seconds: float


class Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The venue takes commands and says nothing; without `seconds` until `on` is false."""

    seconds: float | None = None
    on: bool = True


class Disconnect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All connections end; new ones are refused for so long. `feed`: those of feeds too."""

    seconds: float = 0.0
    feed: bool = False


class WrongPosition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The venue says that this is held, whatever is; None ends it."""

    instrument: str
    quantity: Decimal | None = None
    account: str | None = None


class ClockOffset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The venue's clock (and with `feed` the rows') is wrong by so much."""

    seconds: float
    feed: bool = False


class Halt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Trading stops in an instrument, or in all."""

    instrument: str | None = None
    on: bool = True


class Mute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The feed gives no more rows of an instrument, or of any; the market goes on."""

    instrument: str | None = None
    on: bool = True


class Gap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The feed leaves out the next rows; sequence numbers show it."""

    count: int = 1


class Bust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An execution is taken back; without an id the last one."""

    trade_id: str | None = None
    reason: str = "busted on purpose"


class Correct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An execution gets other terms; without an id the last one."""

    trade_id: str | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None


class CancelUnasked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The venue cancels an account's orders without being asked."""

    account: str
    instrument: str | None = None


Fault = (
    Duplicate | Drop | LoseAck | Late | Reject | Latency | Silence | Disconnect | WrongPosition
    | ClockOffset | Halt | Mute | Gap | Bust | Correct | CancelUnasked
)  # fmt: skip

NAMES: dict[str, type[Fault]] = {
    "duplicate": Duplicate,
    "drop": Drop,
    "lose_ack": LoseAck,
    "late": Late,
    "reject": Reject,
    "latency": Latency,
    "silence": Silence,
    "disconnect": Disconnect,
    "wrong_position": WrongPosition,
    "clock_offset": ClockOffset,
    "halt": Halt,
    "mute": Mute,
    "gap": Gap,
    "bust": Bust,
    "correct": Correct,
    "cancel_unasked": CancelUnasked,
}


def named(name: str, args: dict[str, object]) -> Fault:
    """Return the fault of that name; SettingsError for a name or an argument that is not one."""
    if name not in NAMES:
        raise SettingsError(f"no fault {name!r}; there are {', '.join(NAMES)}")
    try:
        return msgspec.convert(args, NAMES[name], strict=False)
    except msgspec.ValidationError as err:
        raise SettingsError(f"fault {name!r} with {args}: {err}") from None


class Filter:
    """What stands between the venue's reports and those who hear them."""

    def __init__(self) -> None:
        self.offset = 0
        self.row_offset = 0
        self.reject: Reject | None = None
        self._left = {Duplicate: 0, Drop: 0, LoseAck: 0}
        self._late = 0
        self._told: dict[tuple[str | None, str], Decimal] = {}

    def set(self, fault: Fault) -> bool:
        """Begin a fault; False where it is not one of this filter's."""
        if isinstance(fault, Duplicate | Drop | LoseAck):
            self._left[type(fault)] = fault.count
        elif isinstance(fault, Late):
            self._late = round(fault.seconds * NS)
        elif isinstance(fault, Reject):
            self.reject = fault
        elif isinstance(fault, ClockOffset):
            self.offset = round(fault.seconds * NS)
            self.row_offset = self.offset if fault.feed else 0
        elif isinstance(fault, WrongPosition):
            self._set_position(fault)
        else:
            return False
        return True

    def _set_position(self, fault: WrongPosition) -> None:
        key = (fault.account, fault.instrument)
        if fault.quantity is None:
            self._told.pop(key, None)
        else:
            self._told[key] = fault.quantity

    def refusal(self) -> str | None:
        """Return why the next order is to be refused; None when it is not."""
        fault = self.reject
        if fault is None or fault.count < 1:
            return None
        self.reject = msgspec.structs.replace(fault, count=fault.count - 1)
        return fault.reason

    def passed(self, report: AnyReport) -> tuple[int, tuple[AnyReport, ...]]:
        """Return how much later (ns) a report is heard, and as what."""
        left = self._left
        if self.offset:
            report = msgspec.structs.replace(report, ts_event=report.ts_event + self.offset)
        if left[LoseAck] and isinstance(report, Accepted):
            left[LoseAck] -= 1
            return 0, ()
        if left[Drop]:
            left[Drop] -= 1
            return 0, ()
        delay = self._late if isinstance(report, Filled) else 0
        if left[Duplicate]:
            left[Duplicate] -= 1
            return delay, (report, report)
        return delay, (report,)

    def positions(self, account: str, held: list[PositionStatus]) -> list[PositionStatus]:
        """Return what the venue says is held, which may be wrong on purpose."""
        if not self._told:
            return held
        found = {p.instrument: p for p in held}
        for (whose, name), quantity in self._told.items():
            if whose not in (None, account):
                continue
            known = found.pop(name, None) or PositionStatus(account, name, quantity)
            if quantity:
                found[name] = msgspec.structs.replace(known, quantity=quantity)
        return sorted(found.values(), key=lambda p: p.instrument)
