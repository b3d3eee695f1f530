"""What the door does wrong on purpose, on the wire; the world's faults are in `onetape_sim.faults`.

Each is called by name, `fault("garble", count=2)`, with `session` for one session alone; the README
has the table. Here are what they are and what they do to a message or to bytes; those that need the
session or the socket are done by the counter.

Units    seconds are of the wall's time.
"""

from __future__ import annotations

import msgspec

from onetape.errors import SettingsError
from onetape_fix.wire import Value

Fields = list[tuple[int, Value]]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the faults; without a session all have it."""

    session: str | None = None


class Counted(Fault, frozen=True, kw_only=True):
    """One that happens to the next so many messages."""

    count: int = 1


class Lasting(Fault, frozen=True, kw_only=True):
    """One that lasts until it is put off."""

    on: bool = True


class GapFill(Lasting, frozen=True):
    """A ResendRequest is answered by gap fills over application messages."""


class NoResend(Lasting, frozen=True):
    """A ResendRequest is not answered."""


class TooLow(Fault, frozen=True):
    """The connection ends, and the door comes back `by` numbers short."""

    by: int = 3


class Skip(Fault, frozen=True):
    """The next number sent is `by` too high."""

    by: int = 3


class Reset(Fault, frozen=True):
    """The numbers begin anew, with 141=Y, unasked."""


class Repeat(Counted, frozen=True):
    """The next executions come twice: the same 17 under two numbers, not flagged."""


class UnknownTags(Counted, frozen=True):
    """The next reports bear tags that no dictionary knows, one of them inside a group."""


class UnknownEnum(Counted, frozen=True):
    """The next reports have a value that no dictionary knows in a field."""

    tag: int = 59
    value: str = "Z"


class Missing(Counted, frozen=True):
    """The next reports lack a required field."""

    tag: int = 6


class Unordered(Counted, frozen=True):
    """The next so many reports come in the reverse order, once they are there."""

    count: int = 2


class Garble(Counted, frozen=True):
    """The next messages have a wrong checksum."""


class DelayHeartbeats(Fault, frozen=True):
    """No heartbeats and no TestRequests are sent for so long."""

    seconds: float = 5.0


class HalfOpen(Lasting, frozen=True):
    """Nothing that is sent arrives, nothing that arrives is heard, and the connection stands."""


class HangUp(Counted, frozen=True):
    """The connection ends in the middle of the next message (`now`: at once)."""

    now: bool = False


class Reject3(Counted, frozen=True):
    """The next orders and requests get a session reject (35=3)."""

    reason: int = 5
    tag: int = 11
    text: str = "rejected on purpose"


class RejectJ(Counted, frozen=True):
    """The next orders and requests get a business reject (35=j)."""

    reason: int = 4
    text: str = "application not available, on purpose"


class Throttle(Lasting, frozen=True):
    """More messages a second lead to a Logout and a ban; `rate` 0 ends it."""

    rate: float = 10.0
    ban: float = 15.0


class RefuseLogon(Counted, frozen=True):
    """The next Logons are answered by a Logout with this text."""

    text: str = "refused on purpose"


class SlowReader(Fault, frozen=True):
    """The door reads nothing for so long, while its peer may go on writing."""

    seconds: float = 5.0


class LongExecId(Lasting, frozen=True):
    """ExecIDs have this many characters."""

    length: int = 64


class KeepClordid(Lasting, frozen=True):
    """A replaced order goes on under its first ClOrdID."""


class CancelOnDisconnect(Lasting, frozen=True):
    """When a session ends, its orders are canceled."""


class Pending(Lasting, frozen=True):
    """Cancels and replaces are first reported as pending (150=6, E)."""


class FillFirst(Counted, frozen=True):
    """The next orders are filled before they are acknowledged: 150=0 comes behind the first fill,
    or when there is none, when the next thing is told."""


class Tell(Fault, frozen=True):
    """The venue says something of an order unasked: restated, done (for the day), suspended."""

    order: str
    kind: str = "restated"
    text: str = ""


class News(Fault, frozen=True):
    """The venue sends News (35=B)."""

    text: str = "maintenance in a few minutes"
    headline: str = "notice"


class Logout(Fault, frozen=True):
    """The door logs out."""

    text: str = "logged out on purpose"


class Alien(Fault, frozen=True):
    """The venue sends a message of a type that nobody knows."""

    type: str = "U9"


NAMES: dict[str, type[Fault]] = {
    "gap_fill": GapFill,
    "no_resend": NoResend,
    "too_low": TooLow,
    "skip": Skip,
    "reset": Reset,
    "repeat": Repeat,
    "unknown_tags": UnknownTags,
    "unknown_enum": UnknownEnum,
    "missing_required": Missing,
    "unordered": Unordered,
    "garble": Garble,
    "delay_heartbeats": DelayHeartbeats,
    "half_open": HalfOpen,
    "hang_up": HangUp,
    "reject3": Reject3,
    "rejectj": RejectJ,
    "throttle": Throttle,
    "refuse_logon": RefuseLogon,
    "slow_reader": SlowReader,
    "long_exec_id": LongExecId,
    "keep_clordid": KeepClordid,
    "cancel_on_disconnect": CancelOnDisconnect,
    "pending": Pending,
    "fill_first": FillFirst,
    "tell": Tell,
    "news": News,
    "logout": Logout,
    "alien": Alien,
}


def named(name: str, args: dict[str, object]) -> Fault | None:
    """Return the fault of that name, None where it is not one of the door's.

    Raises SettingsError for an argument that it does not have.
    """
    kind = NAMES.get(name)
    if kind is None:
        return None
    try:
        return msgspec.convert(args, kind, strict=False)
    except msgspec.ValidationError as err:
        raise SettingsError(f"fault {name!r} with {args}: {err}") from None


class Wrong:
    """The faults of one session: which last, and how many messages the others still have."""

    def __init__(self) -> None:
        self._lasting: dict[type[Fault], Fault] = {}
        self._left: dict[type[Fault], int] = {}

    def set(self, fault: Fault) -> None:
        """Begin, or end, a fault that counts or lasts."""
        if isinstance(fault, Counted):
            self._lasting[type(fault)] = fault
            self._left[type(fault)] = fault.count
        elif isinstance(fault, Lasting) and fault.on:
            self._lasting[type(fault)] = fault
        else:
            self._lasting.pop(type(fault), None)

    def lasting[F: Fault](self, kind: type[F]) -> F | None:
        """Return a fault where it is on."""
        found = self._lasting.get(kind)
        return found if isinstance(found, kind) else None

    def next[F: Fault](self, kind: type[F]) -> F | None:
        """Return a counted fault where a message is left for it, and count that message."""
        found = self.lasting(kind)
        if found is None or not self._left.get(kind):
            return None
        self._left[kind] -= 1
        return found

    # -- messages

    def reported(self, body: Fields) -> Fields:
        """Return an execution report's body as it is sent."""
        long = self.lasting(LongExecId)
        if long is not None:
            body = [
                (t, _longer(str(v), long.length)) if t in (17, 19) and v != "0" else (t, v)
                for t, v in body
            ]
        if self.next(UnknownTags) is not None:
            inner: Fields = [(448, "somebody"), (447, "D"), (452, 1), (25999, "inside")]
            body = [*body, (9999, "surprise"), (453, [inner]), (31337, "?")]
        enum = self.next(UnknownEnum)
        if enum is not None:
            body = [*(f for f in body if f[0] != enum.tag), (enum.tag, enum.value)]
        missing = self.next(Missing)
        if missing is not None:
            body = [field for field in body if field[0] != missing.tag]
        return body


def garbled(raw: bytes) -> bytes:
    """Return a message with a checksum that is one too high."""
    start = raw.rfind(b"\x0110=") + 4
    return b"%s%03d\x01" % (raw[:start], (int(raw[start : start + 3]) + 1) % 256)


def _longer(exec_id: str, length: int) -> str:
    return exec_id.rjust(length, "X")
