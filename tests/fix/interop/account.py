"""The account of a run: what each side wrote down before it did it, held against the other's.

Records are lines of words, appended to a file that outlives a kill of the writer:

    order   <session> <ClOrdID> [Y|N]   an order that is about to leave; at the broker: arrived
    sent    <session> <ClOrdID>         it stands in the journal: it leaves now or with a resend
    report  <session> <ExecID> [Y|N]    a report; the flag is that of a possible duplicate
    break   <session> <ClOrdID> <why>   given up by the trader after an alarm: for people
    alarm   <session> <code> <text>     the engine says that something may be missing
    logon, logout <session>

An order is lost when it stands in our journal and no broker ever saw it, a report when the broker
wrote it down and it never came. Doubled is what came twice without a flag; the repeats of what is
flagged are counted, and both sides are to book each id once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

MISSING = ("gap_filled_over", "seq_too_low", "reset")
"""Alarms that say: what came before may be incomplete."""

Id = tuple[str, str]


@dataclass(slots=True)
class Records:
    """What one side wrote."""

    orders: list[tuple[Id, bool]] = field(default_factory=list)
    sent: list[Id] = field(default_factory=list)
    reports: list[tuple[Id, bool]] = field(default_factory=list)
    breaks: dict[Id, str] = field(default_factory=dict)
    alarms: list[tuple[str, str, str]] = field(default_factory=list)
    logons: int = 0


def read(path: Path) -> Records:
    """Read a file of records; a line that a kill cut short counts for nothing."""
    found = Records()
    text = path.read_text("utf-8", "replace") if path.exists() else ""
    for line in text.splitlines(keepends=True):
        words = line.split()
        if not line.endswith("\n") or len(words) < 2:
            continue
        kind, session, *rest = words
        one = (session, rest[0] if rest else "")
        if kind == "order":
            found.orders.append((one, rest[1:2] == ["Y"]))
        elif kind == "report":
            found.reports.append((one, rest[1:2] == ["Y"]))
        elif kind == "sent":
            found.sent.append(one)
        elif kind == "break":
            found.breaks[one] = " ".join(rest[1:])
        elif kind == "alarm":
            found.alarms.append((session, one[1], " ".join(rest[1:])))
        found.logons += kind == "logon"
    return found


@dataclass(frozen=True, slots=True)
class Account:
    """What came of a run; `whole`: nothing lost, `seen`: no loss in silence."""

    orders: int
    reports: int
    lost_orders: list[Id]
    lost_reports: list[Id]
    doubled_orders: list[Id]
    doubled_reports: list[Id]
    repeated_orders: int
    repeated_reports: int
    unflagged_orders: int
    unflagged_reports: int
    strange: list[Id]
    breaks: dict[Id, str]
    alarms: dict[str, int]
    silent: list[Id]

    @property
    def whole(self) -> bool:
        """Whether nothing is lost and nothing is booked twice."""
        return not (self.lost_orders or self.lost_reports or self.strange or self.breaks)

    @property
    def seen(self) -> bool:
        """Whether every lost order is a break, and every lost report is of one or has an alarm."""
        return not self.silent


def account(ours: Records, theirs: Records) -> Account:
    """Hold the trader's records against the broker's."""
    sent, arrived = set(ours.sent), Counter(one for one, _ in theirs.orders)
    told, came = {one for one, _ in theirs.reports}, Counter(one for one, _ in ours.reports)
    lost_orders, lost_reports = sorted(sent - set(arrived)), sorted(told - set(came))
    warned = {session for session, code, _ in ours.alarms if code in MISSING}
    return Account(
        orders=len(sent),
        reports=len(told),
        lost_orders=lost_orders,
        lost_reports=lost_reports,
        doubled_orders=_unflagged(theirs.orders),
        doubled_reports=_unflagged(ours.reports),
        repeated_orders=sum(arrived.values()) - len(arrived),
        repeated_reports=sum(came.values()) - len(came),
        unflagged_orders=len(_unflagged(theirs.orders)),
        unflagged_reports=len(_unflagged(ours.reports)),
        strange=sorted((set(came) - told) | (set(arrived) - sent)),
        breaks=dict(ours.breaks),
        alarms=dict(Counter(code for _, code, _ in ours.alarms)),
        silent=sorted(
            [one for one in lost_orders if one not in ours.breaks]
            + [one for one in lost_reports
               if (one[0], one[1][:-2]) not in ours.breaks and one[0] not in warned]
        ),
    )  # fmt: skip


def _unflagged(seen: list[tuple[Id, bool]]) -> list[Id]:
    """Return what came again without a flag."""
    known: set[Id] = set()
    found: list[Id] = []
    for one, flagged in seen:
        if one in known and not flagged:
            found.append(one)
        known.add(one)
    return found
