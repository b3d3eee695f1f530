"""The desk: which order came by which session under which ids, and what was told of it.

All sessions of a door share one. It folds the world's reports into entries and gives each thing
told to everybody who hears of it (`Hearer`): the order's own session, the one that asked, drop
copies. With a log it survives the process: `recover` then tells what the world had done and nobody
was told, and hands in again what had not got to the world.

Ids      a ClOrdID counts per session and day; the world's id is the first ClOrdID, made unique with
         the session's name where two sessions use the same.
Chains   a cancel or replace request has an id of its own (11) and names the last one (41). Where a
         venue keeps ids, a replaced order goes on under its first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from onetape.run.ports import (
    Accepted,
    AnyReport,
    Busted,
    Canceled,
    CancelRejected,
    Corrected,
    Expired,
    Filled,
    ModifyRejected,
    NewOrder,
    Rejected,
    Triggered,
    Updated,
)
from onetape_fix.door.log import Kept, Log
from onetape_fix.door.told import Entry, Request, Told, order_of

DAY = 86_400_000_000_000
STATES = {
    "new": "ACCEPTED",
    "rejected": "REJECTED",
    "triggered": "TRIGGERED",
    "canceled": "CANCELED",
    "expired": "EXPIRED",
}


class Hearer(Protocol):
    """A session that is told things."""

    @property
    def name(self) -> str:
        """The session's name."""
        ...

    def wants(self, told: Told) -> bool:
        """Return whether it hears of this."""
        ...

    def give(self, told: Told) -> None:
        """Tell it, at once or when it is there."""
        ...


class Desk:
    """See the module."""

    def __init__(self, log: Log | None, kept: Kept) -> None:
        self.entries = kept.entries
        self.number = kept.number
        self.hearers: list[Hearer] = []
        self.keeps_ids: Callable[[str], bool] = _never
        self.reason = ""  # said where the world gives none, while the venue acts by itself
        self.last: dict[str, tuple[AnyReport, Told]] = {}
        self._log = log
        self._sent = kept.sent
        self._ids: dict[tuple[str, str], tuple[Entry, Request]] = {}
        for entry in self.entries.values():
            for request in entry.requests:
                self._ids[request.session, request.id] = entry, request

    # -- requests

    def known(self, session: str, client_id: str) -> tuple[Entry, Request] | None:
        """Return the order and the request that a session's ClOrdID stands for."""
        return self._ids.get((session, client_id))

    def find(self, session: str, client_id: str | None, order_id: str | None) -> Entry | None:
        """Return the order that a request names: by its session's ids, else by the venue's."""
        found = self._ids.get((session, client_id)) if client_id else None
        if found is not None:
            return found[0]
        if order_id:
            return next((e for e in self.entries.values() if e.venue_order_id == order_id), None)
        return None

    def enter(self, session: str, new: NewOrder, seq: int, now: int, list_id: str = "") -> NewOrder:
        """Take in an order of a session; return it under the id that the world shall know."""
        wire_id = new.client_order_id
        new = replace(new, client_order_id=self._free(session, wire_id))
        entry = Entry(
            new.client_order_id, session, wire_id, new.account, new.instrument, new.side, new.type,
            new.time_in_force, new.quantity, new.price, new.trigger_price, new.expire_time,
            new.post_only, new.reduce_only, list_id=list_id, day=now // DAY,
        )  # fmt: skip
        request = Request("D", wire_id, session, seq)
        entry.requests.append(request)
        self.entries[entry.id] = entry
        self._ids[session, wire_id] = entry, request
        self.keep(entry)
        return new

    def request(self, entry: Entry, request: Request) -> None:
        """Take in that a session wants an order changed or canceled."""
        entry.requests.append(request)
        self._ids[request.session, request.id] = entry, request
        self.keep(entry)

    def reusable(self, session: str, client_id: str, now: int) -> bool:
        """Return whether an id that was used may be used again: another day, and it is over."""
        found = self._ids.get((session, client_id))
        return found is None or (found[0].closed and found[0].day != now // DAY)

    def _free(self, session: str, client_id: str) -> str:
        if client_id not in self.entries:
            return client_id
        made, count = f"{client_id}@{session}", 1
        while made in self.entries:
            count += 1
            made = f"{client_id}@{session}#{count}"
        return made

    def foreign(self, new: NewOrder) -> Entry:
        """Take in an order that did not come by FIX."""
        entry = Entry(
            new.client_order_id, "", new.client_order_id, new.account, new.instrument, new.side,
            new.type, new.time_in_force, new.quantity, new.price, new.trigger_price,
            new.expire_time, new.post_only, new.reduce_only,
        )  # fmt: skip
        self.entries[entry.id] = entry
        return entry

    # -- what the world says

    def heard(self, report: AnyReport) -> Told | None:
        """Return what a report of the world tells of its order; None where it tells nothing."""
        entry = self.entries.get(report.client_order_id)
        if entry is None:
            return None
        if report.venue_order_id and not entry.venue_order_id:
            entry.venue_order_id = report.venue_order_id
        told = self._folded(entry, report)
        if told is not None:
            self.keep(entry, told)
        return told

    def _folded(self, entry: Entry, report: AnyReport) -> Told | None:
        if isinstance(report, Filled):
            return self._filled(entry, report)
        if isinstance(report, Busted | Corrected):
            return self._changed(entry, report)
        if isinstance(report, ModifyRejected | CancelRejected):
            return self._refused(entry, report)
        if isinstance(report, Updated):
            return self._updated(entry, report)
        if isinstance(report, Rejected) and not report.venue_order_id and entry.status != "NEW":
            return None  # somebody else used the same id: that is no news of this order
        kind = _kind(report)
        entry.status = STATES[kind]
        _answer(entry, "D")
        if isinstance(report, Canceled):
            return self._canceled(entry, report)
        text = report.reason if isinstance(report, Rejected) else ""
        return replace(self.tell(entry, kind, report.ts_event), text=text)

    def _filled(self, entry: Entry, fill: Filled) -> Told:
        entry.executions[fill.trade_id] = fill.quantity, fill.price
        _answer(entry, "D")
        if not entry.closed:
            full = entry.filled >= entry.quantity
            entry.status = "FILLED" if full else "PARTIALLY_FILLED"
        return replace(
            self.tell(entry, "fill", fill.ts_event),
            exec_id=fill.trade_id,
            trade_id=fill.trade_id,
            last=(fill.quantity, fill.price),
            commission=fill.commission,
            currency=fill.commission_currency,
            liquidity=fill.liquidity,
            text=fill.basis,
        )

    def _changed(self, entry: Entry, report: Busted | Corrected) -> Told:
        if isinstance(report, Busted):
            before = entry.executions.pop(report.trade_id, None)
            told = self.tell(entry, "bust", report.ts_event)
            return replace(told, trade_id=report.trade_id, last=before, text=report.reason)
        last = entry.executions[report.trade_id] = report.quantity, report.price
        told = self.tell(entry, "correct", report.ts_event)
        return replace(told, trade_id=report.trade_id, last=last)

    def _updated(self, entry: Entry, report: Updated) -> Told:
        entry.quantity = report.quantity
        entry.price, entry.trigger_price = report.price, report.trigger_price
        request = _answer(entry, "G") if self._asked(entry, report) else None
        if request is None:
            return self.tell(entry, "restated", report.ts_event)
        orig = entry.client_id
        if not self.keeps_ids(request.session) and request.session == entry.session:
            entry.client_id = request.id
        return replace(self.tell(entry, "replaced", report.ts_event, request), orig=orig)

    def _asked(self, entry: Entry, report: Updated) -> bool:
        """Return whether new terms are those that somebody asked for: others come unasked."""
        request = entry.pending("G")
        if request is None:
            return False
        wanted = (request.quantity, request.price, request.trigger_price)
        now = (report.quantity, report.price, report.trigger_price)
        return all(want is None or want == is_ for want, is_ in zip(wanted, now, strict=True))

    def _canceled(self, entry: Entry, report: Canceled) -> Told:
        text = report.reason or self.reason
        request = None if text else _answer(entry, "F")
        orig = entry.client_id if request else ""
        told = self.tell(entry, "canceled", report.ts_event, request)
        return replace(told, orig=orig, text=text)

    def _refused(self, entry: Entry, report: ModifyRejected | CancelRejected) -> Told | None:
        modify = isinstance(report, ModifyRejected)
        request = _answer(entry, "G" if modify else "F")
        if request is None:
            return None
        kind = "replace_rejected" if modify else "cancel_rejected"
        orig = request.orig or entry.client_id
        told = self.tell(entry, kind, report.ts_event, request)
        return replace(told, orig=orig, text=report.reason)

    def tell(self, entry: Entry, kind: str, ts: int, request: Request | None = None) -> Told:
        """Return something new about an order, numbered; to a request's id where it answers one."""
        self.number += 1
        client_id, asker = (
            (entry.client_id, "") if request is None else (request.id, request.session)
        )
        return Told(
            self.number, kind, f"E-{self.number}", entry.session, asker, client_id, "",
            entry.venue_order_id, ts, order_of(entry),
        )  # fmt: skip

    # -- who is told

    def spread(self, told: Told) -> None:
        """Tell everybody who hears of this."""
        for hearer in self.hearers:
            if hearer.wants(told):
                hearer.give(told)

    def keep(self, entry: Entry, told: Told | None = None) -> None:
        """Keep an entry as it now is, and what is told of it."""
        if self._log is not None:
            self._log.keep(entry, told)

    def sent(self, session: str, told: Told) -> None:
        """Keep how far a session has been told."""
        if told.number > self._sent.get(session, 0):
            self._sent[session] = told.number
            if self._log is not None:
                self._log.mark(session, told.number)

    def missed(self, session: str, told: Told) -> bool:
        """Return whether a session has not been told this yet."""
        return told.number > self._sent.get(session, 0)


def _kind(report: AnyReport) -> str:
    if isinstance(report, Accepted):
        return "new"
    if isinstance(report, Rejected):
        return "rejected"
    if isinstance(report, Triggered):
        return "triggered"
    return "expired" if isinstance(report, Expired) else "canceled"


def _answer(entry: Entry, kind: str) -> Request | None:
    """Return the oldest unanswered request of a kind, which is answered now."""
    request = entry.pending(kind)
    if request is not None:
        request.done = True
    return request


def _never(_session: str) -> bool:
    return False
