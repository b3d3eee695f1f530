# pyright: standard
"""The bridge: the only place where the ports meet the engine's live clients.

Law      Nothing awaits inside a command handler, and an exception there always ends in a denied
         or rejected order: `_submit_order` and the like do their work at once and never raise.
Last     Every order, however it was made (a strategy's, a list's, an emulated order's release, an
         algorithm's child), comes through `submit` here, and asks the gate's last line.
Reports  a repeated report is absorbed; one that the engine does not take up is recorded all the
         same, by `unheard`, since the venue's word counts and not the engine's opinion of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from nautilus_trader import model as engine

from onetape.market.instruments import Instrument
from onetape.run import clients, ports
from onetape.run.contingent import Contingent
from onetape.run.inputs import Input, Inputs
from onetape.run.outbox import Outbox, Parcel
from onetape.run.wire import announce, new_order

REMEMBERED = 10_000  # orders that ended
UNHEARD_S = 0.25  # after which the engine is taken to have refused an event
LOOKS = 5  # until then
Answers = Callable[[ports.AnyReport], None]


@dataclass
class Ways:
    """What the bridge needs of the session around it."""

    venue: ports.Venue
    account: str
    trader: str
    currency: Any  # the account's, as the engine has it
    recorded: Callable[[], int]  # the seq of the latest event
    last_line: Callable[[Any], str]  # "" or why an order may not leave
    halted: Callable[[Any], str]  # "" or why it may not leave any more
    changed: Callable[[Any, Any], str]  # the same, for new terms of an order
    unknown: Answers  # of an order that the engine does not hold
    unheard: Answers  # that the engine did not take up
    quiet: Callable[[], None]  # told when something was done
    moment: Callable[[int], None]  # told the stamp of what is being done
    grounds: Answers  # told of an execution that says what it was made on


class Bridge:
    """Orders out, reports in. Lives on the node's loop."""

    def __init__(self, inputs: Inputs, outbox: Outbox, ways: Ways) -> None:
        self.inputs, self.outbox, self.ways = inputs, outbox, ways
        self.orders: dict[str, Any] = {}  # the engine's, by client_order_id
        self.venue_ids: dict[str, str] = {}
        self.client: Any = None
        self.data: Any = None
        self.subscribed: set[Any] = set()
        self.expected: tuple[str, str] | None = None  # order and kind of the event under way
        self.barrier: Callable[[], None] = _nothing
        self.instruments: dict[str, Instrument] = {}
        self.scripted = False  # a rerun: what the tape tells happens, and nothing of itself
        self.out: dict[str, None] = {}  # orders that left and are not known to have ended
        self.coming: set[str] = set()  # orders whose turn to be judged has not come
        self.came: set[str] = set()  # orders whose command has come through, in a rerun
        self._seen: dict[str, set[Any]] = {}
        self._closed: dict[str, None] = {}
        self._contingent = Contingent(self)

    # -- commands

    def submit(self, order: Any) -> None:
        """Send an order in its turn, unless the last line refuses it."""
        name = str(order.client_order_id)
        self.orders[name] = order
        if self.scripted:
            self.came.add(name)
            return
        self.coming.add(name)
        self.inputs.give(Input("event", lambda stamp: self.judge(order, stamp)))

    def judge(self, order: Any, stamp: int) -> bool:
        """Ask the last line about an order and let it go, or deny it; True: an event follows."""
        name = str(order.client_order_id)
        self.coming.discard(name)
        self.ways.moment(stamp)
        try:
            why = self.ways.last_line(order)
            message = new_order(order, self.ways.account, self.ways.trader)
        except Exception as err:
            why, message = f"GATE_ERROR: {type(err).__name__}: {err}", None
        if why or message is None:
            denied = lambda: self.client.generate_order_denied(order, why)  # noqa: E731
            return self._say(name, "OrderDenied", denied, stamp)

        def leave(size: Decimal | None = None) -> None:
            sent = message if size is None else msgspec.structs.replace(message, quantity=size)
            self._put(
                lambda: self._send(sent),
                lambda why: self._rejected(order, why),
                lambda: self.ways.halted(order),
            )

        if not self.scripted and not self._contingent.holds(order, leave):
            leave()
        submitted = lambda: self.client.generate_order_submitted(order)  # noqa: E731
        return self._say(name, "OrderSubmitted", submitted, stamp)

    def _send(self, order: ports.NewOrder) -> None:
        self.ways.venue.send(order)
        self.out[order.client_order_id] = None

    def modify(self, command: Any) -> None:
        """Ask the venue for new terms of an order, in its turn."""
        if not self.scripted:
            self.inputs.give(Input("call", lambda stamp: self._change(command, stamp)))

    def _change(self, command: Any, stamp: int) -> bool:
        name = str(command.client_order_id)
        order = self.orders.get(name)
        self.ways.moment(stamp)
        try:
            why = "it is not an order of this session" if order is None else ""
            why = why or self.ways.changed(order, command)
            message = ports.ModifyOrder(
                name,
                self.venue_ids.get(name),
                str(command.instrument_id),
                *(_exact(getattr(command, n)) for n in ("quantity", "price", "trigger_price")),
            )
        except Exception as err:
            why, message = f"GATE_ERROR: {type(err).__name__}: {err}", None
        refused = lambda why: self._modify_rejected(order, why)  # noqa: E731
        if why or message is None:
            refused(why)
        else:
            may = lambda: self.ways.halted(order)  # noqa: E731
            self._put(lambda: self.ways.venue.modify(message), refused, may)
        return False

    def cancel(self, client_order_id: Any, instrument_id: Any) -> None:
        """Ask the venue to cancel an order: no limit ever stands in the way of that."""
        if self.scripted:
            return
        name = str(client_order_id)
        if name in self.coming:  # it must not leave before its order does

            def later(_stamp: int) -> bool:
                self.cancel(client_order_id, instrument_id)
                return False

            self.inputs.give(Input("call", later))
            return
        order = self.orders.get(name)
        if self._contingent.drop(name):
            self.drop(order)
            return
        message = ports.CancelOrder(name, self.venue_ids.get(name), str(instrument_id))
        self._put(
            lambda: self.ways.venue.cancel(message),
            lambda why: self._cancel_rejected(order, why),
            patient=True,
        )

    def drop(self, order: Any) -> None:
        """Have an order canceled that never left."""
        name, ts = str(order.client_order_id), self.inputs.stamps.peek()
        say = self.client.generate_order_canceled
        self._tell(name, "OrderCanceled", lambda: say(order, None, ts))

    def cancel_all(self, instrument_id: Any, side: Any = None) -> None:
        """Cancel what works for an instrument, one by one."""
        both = side is None or side.name == "NO_ORDER_SIDE"
        for order in self.working():
            mine = order.instrument_id == instrument_id
            if mine and (both or order.side == side):
                self.cancel(order.client_order_id, instrument_id)

    def _put(
        self,
        send: Callable[[], None],
        refused: Callable[[str], None],
        may: Callable[[], str] = lambda: "",
        patient: bool = False,
    ) -> None:
        def leave() -> None:
            send()
            self.ways.quiet()

        self.outbox.put(Parcel(self.ways.recorded(), leave, refused, may, patient))

    def _rejected(self, order: Any, why: str) -> None:
        name = str(order.client_order_id)
        ts = self.inputs.stamps.peek()
        say = self.client.generate_order_rejected
        self._tell(name, "OrderRejected", lambda: say(order, why, ts, False))

    def _modify_rejected(self, order: Any, why: str) -> None:
        self._refused(order, "OrderModifyRejected", "generate_order_modify_rejected", why)

    def _cancel_rejected(self, order: Any, why: str) -> None:
        self._refused(order, "OrderCancelRejected", "generate_order_cancel_rejected", why)

    def _refused(self, order: Any, kind: str, say: str, why: str) -> None:
        if order is None:
            return
        name, ts = str(order.client_order_id), self.inputs.stamps.peek()
        known = self.venue_ids.get(name)
        venue_id = None if known is None else engine.VenueOrderId(known)
        told = getattr(self.client, say)
        self._tell(name, kind, lambda: told(order, venue_id, why, ts))

    # -- reports

    def take(self, report: ports.AnyReport) -> None:
        """Take a venue's report; called on the loop."""
        if self.repeated(report):
            return
        name = report.client_order_id
        if report.venue_order_id and name:
            self.venue_ids[name] = report.venue_order_id
        if name not in self.orders:
            self._past(self.ways.unknown, report)
        elif type(report) not in KINDS:  # the engine has no word for it
            self._past(self.ways.unheard, report)
        else:
            self.announce(name, report)

    def _past(self, told: Answers, report: ports.AnyReport) -> None:
        def act(stamp: int) -> bool:
            self.ways.moment(stamp)
            told(report)
            self.ways.quiet()
            return False

        self.inputs.give(Input("call", act))

    def repeated(self, report: ports.AnyReport) -> bool:
        """Say whether this was reported before; a venue may say everything twice."""
        seen = self._seen.setdefault(report.client_order_id or report.venue_order_id, set())
        match report:
            case ports.Filled() | ports.Busted():
                key: Any = (type(report), report.trade_id)
            case ports.Updated() | ports.ModifyRejected() | ports.CancelRejected():
                key = report
            case ports.Corrected():  # an execution may be corrected more than once
                key = report
            case _:
                key = type(report)
        if key in seen:
            return True
        seen.add(key)
        return False

    def working(self) -> list[Any]:
        """Return the orders that have not ended, as the engine has them."""
        return [order for name, order in self.orders.items() if name not in self._closed]

    def _ended(self, name: str) -> None:
        """Remember an order that ended for a while: late fills and repeats come after it."""
        self._closed[name] = None
        self.out.pop(name, None)
        while len(self._closed) > REMEMBERED:
            old = next(iter(self._closed))
            for kept in (self._closed, self.orders, self.venue_ids, self._seen):
                kept.pop(old, None)

    def _tell(self, name: str, kind: str, say: Callable[[], object], report: Any = None) -> None:
        self.inputs.give(Input("event", lambda stamp: self._say(name, kind, say, stamp, report)))

    def _say(
        self, name: str, kind: str, say: Callable[[], object], stamp: int, report: Any = None
    ) -> bool:
        self.expected = (name, kind)
        try:
            say()
        except Exception:  # the engine cannot take it up: the venue's word counts all the same
            self.expected = None
            if report is None:
                raise
            self.ways.moment(stamp)
            self.ways.unheard(report)
            self.ways.quiet()
            return False
        self._later(stamp, report, LOOKS)
        return True

    def _later(self, stamp: int, report: ports.AnyReport | None, left: int) -> None:
        """Look some time later, in several steps: where the whole process stood still for a while,
        the engine must have its turns before it is taken to have refused anything."""
        then = UNHEARD_S / LOOKS
        asyncio.get_running_loop().call_later(then, self._check, stamp, report, left - 1)

    def announce(self, name: str, report: ports.AnyReport) -> None:
        """Have the engine hear of a report of an order that it holds, in its turn."""
        if isinstance(report, ports.Filled) and report.basis:
            self.ways.grounds(report)
        order = self.orders[name]
        instrument = self.client.cache.instrument(order.instrument_id)

        def act(stamp: int) -> bool:
            if self._futile(name, report):
                self.ways.moment(stamp)
                self.ways.unheard(report)
                self.ways.quiet()
                return False
            say = lambda: announce(self.client, order, report, instrument)  # noqa: E731
            return self._say(name, KINDS[type(report)], say, stamp, report)

        self.inputs.give(Input("event", act))

    def _futile(self, name: str, report: ports.AnyReport) -> bool:
        """Tell whether the engine is known to refuse a report: no need to wait whether it does."""
        order = self.client.cache.order(engine.ClientOrderId(name))
        wanted = ANSWERS.get(type(report))
        return order is not None and wanted is not None and order.status.name != wanted

    def _check(self, stamp: int, report: ports.AnyReport | None, left: int) -> None:
        if self.inputs.event_stamp != stamp or self.inputs.stopped:
            return
        if left:
            self._later(stamp, report, left)
            return
        self.expected = None
        if report is not None:
            self.ways.moment(stamp)
            self.ways.unheard(report)
            if type(report) in ENDS:
                self._ended(report.client_order_id)
        self.inputs.event_handled()
        self.inputs.advance()
        self.ways.quiet()

    def heard(self, event: Any) -> None:
        """Learn that the strategy's side dealt with an engine's order event."""
        name = str(event.client_order_id)
        order = self.client.cache.order(event.client_order_id)
        if order is not None and name in self.orders:
            self.orders[name] = order  # as it is now: the engine gives out copies
            if not self.scripted:
                self._contingent.heard(order)
            if order.is_closed:
                self._ended(name)
        if self.expected == (str(event.client_order_id), type(event).__name__):
            self.expected = None
            self.inputs.event_handled()
            self.inputs.advance()
            self.ways.quiet()

    # -- the node's clients

    def register(self, builder: Any, instruments: dict[str, Instrument]) -> Any:
        """Add our clients to a node's builder."""
        self.instruments = instruments
        return clients.register(builder, self)


KINDS: dict[type, str] = {
    ports.Accepted: "OrderAccepted",
    ports.Rejected: "OrderRejected",
    ports.Filled: "OrderFilled",
    ports.Triggered: "OrderTriggered",
    ports.Updated: "OrderUpdated",
    ports.ModifyRejected: "OrderModifyRejected",
    ports.Canceled: "OrderCanceled",
    ports.CancelRejected: "OrderCancelRejected",
    ports.Expired: "OrderExpired",
}


ENDS = (ports.Rejected, ports.Canceled, ports.Expired)
ANSWERS: dict[type, str] = {  # to a request, which the engine must know of
    ports.ModifyRejected: "PENDING_UPDATE",
    ports.CancelRejected: "PENDING_CANCEL",
}


def _exact(value: Any) -> Any:
    return None if value is None else value.as_decimal()


def _nothing() -> None:
    pass
