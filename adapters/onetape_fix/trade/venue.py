"""A venue over FIX: an order session, and what copies of it tell, behind the port of a venue.

What it can tell (`tells`) is what the broker's profile can be asked; the rest raises
VenueUnavailable. Working orders stay where they are when it is left, unless the broker cancels on
disconnect. The session itself belongs to the gateway and goes on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from onetape.errors import SettingsError, VenueError, VenueUnavailable
from onetape.market import Instrument
from onetape.run.ports import (
    AnyReport,
    AnyWord,
    CancelOrder,
    CashStatus,
    Filled,
    MassCancel,
    ModifyOrder,
    NewOrder,
    Notice,
    OrderStatus,
    PositionStatus,
)
from onetape_fix.gateway.building import profile_of
from onetape_fix.gateway.line import Heard, Inbound, LineState, Live
from onetape_fix.profiles import SymbolMap, tells_of
from onetape_fix.session.settings import SessionConfig
from onetape_fix.trade import orders as o
from onetape_fix.trade.config import Config, copies_of, listed, session_of, settings_of
from onetape_fix.trade.executions import Leave, Said
from onetape_fix.trade.flow import Doubts, Flow
from onetape_fix.trade.lines import Lines, Shared, lines_of
from onetape_fix.trade.listing import instruments_in
from onetape_fix.trade.reading import execution
from onetape_fix.trade.words import CLOSED
from onetape_fix.wire import Body, Message
from onetape_fix.wire import tags as t

REJECTED = "0"  # 531
ALL_SECURITIES = "4"  # 559


class Venue:
    """Keeps `onetape.run.ports.Venue`; see the module."""

    def __init__(self, config: Config) -> None:
        self._config = config
        settings = settings_of(config)
        session = session_of(settings, config.session, "order")
        if session.role != "initiator":
            raise SettingsError(
                f"session {session.name} is an {session.role}; a venue needs an initiator"
            )
        profile = profile_of(session)
        self._session, self._copies = session, copies_of(settings, config)
        self.name = config.name or session.target
        symbols = SymbolMap(profile, self.name, config.symbols)
        self._listed = {each.id: each for each in listed(config)}
        folder = session.store if session.persist else None
        self._flow = Flow(session, profile, symbols, self._currency, folder, config.grace)
        self._flow.send = self._leave
        self._doubts = Doubts(self._flow, config.settle, self._asked_again, self._fills_again)
        self._flow.doubted = self._doubts.soon
        self.tells = tells_of(profile)
        self._shared: Shared | None = None
        self._heard_copies: dict[str, tuple[Shared, Callable[[Heard], None]]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._open = False

    # -- on and off

    def visit(self) -> None:
        """See the port: the session's bookmark stays where its trader left it."""
        self._flow.mark.keeps = False

    async def connect(self, emit: Callable[[AnyReport | AnyWord], None]) -> None:
        """See the port."""
        await self.disconnect()
        lines = lines_of(self._config.config, self._config.gateway)
        shared = lines.shared(self._session.name)
        await shared.attach(self._flow.hear)
        self._shared = shared
        try:
            await shared.until_up(self._config.connect)
            await self._greeted(shared)
            await self._attach_copies(lines)
        except BaseException:
            await self.disconnect()
            raise
        self._open = True
        self._flow.begin(emit, up=shared.up)

    async def _greeted(self, shared: Shared) -> None:
        """Our own simulated venue says who it is."""
        if self._flow.profile.name != "sim":
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.timeout):
                while shared.greeting is None:
                    await asyncio.sleep(0.005)
        if shared.greeting is None:
            raise VenueUnavailable(
                f"{self._session.name} has the profile 'sim', and its counterpart does not say "
                "that it is a simulated venue; no order goes there. Name the broker's own Profile"
            )
        told = json.loads(shared.greeting)
        self.name = self._config.name or told.get("name", self.name)

    async def disconnect(self) -> None:
        """See the port."""
        self._open = False
        self._doubts.stop()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
        self._flow.end()
        shared, self._shared = self._shared, None
        copies, self._heard_copies = self._heard_copies, {}
        for copy, hear in copies.values():
            await copy.detach(hear)
        if shared is not None:
            await shared.detach(self._flow.hear)

    def _leave(self, leave: Leave) -> None:
        if self._shared is None:
            raise VenueUnavailable(f"not connected to {self.name}; connect() first")
        self._shared.send(leave.msg_type, leave.body, leave.ref)

    def _hand(self, leave: Leave) -> None:
        """Hand a command to the wire; one that cannot leave leaves no trace."""
        try:
            self._leave(leave)
        except VenueError:
            book = self._flow.book
            order = book.on_wire(leave.ref)
            if leave.ref in book.asks:
                book.unasked(leave.ref)
            elif order is not None and order.wire == leave.ref:
                book.drop(order)
            raise

    # -- commands

    def send(self, order: NewOrder) -> None:
        """See the port. An order whose id has left already is not sent again."""
        self._must_be_open()
        leave = self._flow.outgoing.new(order, time.time_ns())
        if leave is None:
            told = f"order {order.client_order_id} has left already; it is not sent twice"
            notice: list[Said] = [Notice("warning", "sent_twice", told)]
            asyncio.get_running_loop().call_soon(self._flow.say, notice)
            return
        self._hand(leave)

    def modify(self, change: ModifyOrder) -> None:
        """See the port."""
        self._must_be_open()
        self._hand(self._flow.outgoing.modify(change, time.time_ns()))

    def cancel(self, order: CancelOrder) -> None:
        """See the port."""
        self._must_be_open()
        self._hand(self._flow.outgoing.cancel(order, time.time_ns()))

    def send_list(self, orders: Sequence[NewOrder], list_id: str) -> None:
        """Send orders as one list (35=E); VenueError where the broker takes none."""
        self._must_be_open()
        self._leave(self._flow.outgoing.order_list(orders, list_id, time.time_ns()))

    async def mass_cancel(self, scope: MassCancel) -> int | None:
        """See the port."""
        self._must_be_open(asking=True)
        leave = self._flow.outgoing.mass_cancel(scope, time.time_ns())
        if leave is None:
            return None
        (answer,) = await self._ask("mass cancel", lambda _: leave, id=leave.ref)
        if answer.get(t.MASS_CANCEL_RESPONSE) == REJECTED:
            why = answer.get(t.TEXT) or f"532={answer.get(t.MASS_CANCEL_REJECT_REASON, '?')}"
            raise VenueError(f"{self.name} refused the mass cancel: {why}")
        told = answer.get(t.TOTAL_AFFECTED_ORDERS, "")
        return int(told) if told.isdigit() else len(self._flow.book.working(scope.account))

    # -- questions

    async def instruments(self) -> Sequence[Instrument]:
        """See the port."""
        self._must_be_open(asking=True)
        if not self._listed:
            self._must_tell("x" in self._flow.profile.supported, "instruments")
            found = await self._ask("instruments", lambda id: Leave("x", _listing(id), id))
            told = instruments_in(found, self._flow.symbols)
            self._listed = {each.id: each for each in told}
        return list(self._listed.values())

    async def status(self, client_order_id: str) -> OrderStatus | None:
        """See the port."""
        self._must_be_open(asking=True)
        self._must_tell("status" in self.tells, "order status")
        order = self._flow.book.find(client_order_id, client_order_id.removeprefix("EXT-"))
        if order is not None and order.status == "REJECTED" and not order.venue_id:
            return order.status_now()  # it never was an order there
        return await self._status(order, client_order_id)

    async def _status(self, order: o.Order | None, name: str) -> OrderStatus | None:
        wire = self._flow.ids.wire(name) or name
        wires = frozenset(order.chain) if order is not None else frozenset((wire,))
        asking = self._flow.asking
        (answer,) = await self._ask(
            "status", lambda id: Leave("H", asking.status(order, wire, id), id), wires
        )
        return asking.status_in(answer)

    async def orders(self, account: str) -> Sequence[OrderStatus]:
        """See the port. Where the broker has no mass status, every order that is known here is
        asked for: what others sent before we listened is not among them."""
        self._must_be_open(asking=True)
        self._must_tell("orders" in self.tells, "orders")
        asking = self._flow.asking
        if "AF" not in self._flow.profile.supported:
            return await self._orders_one_by_one(account)
        answers = await self._ask(
            "orders", lambda id: Leave("AF", asking.mass_status(account, id), id)
        )
        found = [told for answer in answers if (told := asking.status_in(answer)) is not None]
        return [each for each in found if each.account == account and each.status not in CLOSED]

    async def _orders_one_by_one(self, account: str) -> list[OrderStatus]:
        found: list[OrderStatus] = []
        for order in self._flow.book.working(account):
            told = await self._status(order, order.name)
            if told is not None and told.status not in CLOSED:
                found.append(told)
        return found

    async def fills(self, account: str, since: int) -> Sequence[Filled]:
        """See the port."""
        self._must_be_open(asking=True)
        self._must_tell("fills" in self.tells, "executions")
        asking = self._flow.asking
        answers = await self._ask(
            "executions",
            lambda id: Leave("AD", asking.trades(account, since, id, time.time_ns()), id),
        )
        return asking.fills_in(answers, account, since)

    async def positions(self, account: str) -> Sequence[PositionStatus]:
        """See the port."""
        self._must_be_open(asking=True)
        self._must_tell("positions" in self.tells, "positions")
        asking, now = self._flow.asking, time.time_ns()
        answers = await self._ask(
            "positions", lambda id: Leave("AN", asking.positions(account, id, now), id)
        )
        return asking.positions_in(answers, account)

    async def cash(self, account: str) -> Sequence[CashStatus]:
        """See the port."""
        self._must_be_open(asking=True)
        self._must_tell("cash" in self.tells, "cash")
        asking = self._flow.asking
        answers = await self._ask("cash", lambda id: Leave("BB", asking.cash(account, id), id))
        return asking.cash_in(answers, account)

    async def _ask(
        self,
        what: str,
        body: Callable[[str], Leave],
        wires: frozenset[str] = frozenset(),
        id: str = "",
    ) -> list[Message]:
        questions = self._flow.questions
        question = questions.begin(what, wires, id)
        try:
            self._leave(body(question.id))
        except VenueError as err:
            questions.refused(question.id, str(err))
        return await questions.answer(question, self._config.timeout)

    def _must_be_open(self, *, asking: bool = False) -> None:
        if not self._open:
            said = f"not connected to {self.name}; connect() first"
            raise VenueUnavailable(said) if asking else VenueError(f"{said}: nothing has left")

    def _must_tell(self, can: bool, what: str) -> None:
        if not can:
            raise VenueUnavailable(
                f"a broker of the profile {self._flow.profile.name!r} is never asked for its "
                f"{what}: it has no message for that"
            )

    def _currency(self, instrument: str) -> str:
        known = self._listed.get(instrument)
        return known.currency if known is not None else ""

    # -- orders in doubt

    async def _asked_again(self, order: o.Order) -> OrderStatus | None:
        self._must_tell("status" in self.tells, "order status")
        return await self._status(order, order.name)

    async def _fills_again(self, order: o.Order) -> list[Said]:
        if "fills" not in self.tells:
            return []
        found = await self.fills(order.account, 0)
        missing = [each for each in found if each.venue_order_id == order.venue_id]
        said: list[Said] = []
        for fill in missing:
            known = order.trades.get(fill.trade_id)
            if known is not None and not known.said:
                known.said = True
                said.append(fill)
        return said

    # -- copies

    async def _attach_copies(self, lines: Lines) -> None:
        for session in self._copies:
            shared = lines.shared(session.name)
            hear = self._copy(session, shared)
            await shared.attach(hear, None)
            self._heard_copies[session.name] = (shared, hear)
            if shared.up:
                self._flow.joined.up(session.name)
        if self._copies:
            self._watch = asyncio.get_running_loop().create_task(self._look())

    def _copy(self, session: SessionConfig, shared: Shared) -> Callable[[Heard], None]:
        flow, profile = self._flow, profile_of(session)
        told = False  # the history: what came before we listened

        def take(heard: Heard) -> None:
            nonlocal told
            if isinstance(heard, Live):
                told = True
            if isinstance(heard, LineState):
                change = flow.joined.up if heard.up else flow.joined.down
                change(session.name)
            # a line that was lost tells what it missed as replayed, and that is news
            if not isinstance(heard, Inbound) or (heard.replayed and not told):
                return
            message = heard.message
            if message.type == "AE":
                flow.say(flow.captured(session.name, message, heard.ts))
                leave = flow.acknowledge(message)
                if leave is not None:
                    shared.send(leave.msg_type, leave.body)
            elif message.type == "8":
                read = execution(message, profile, flow.symbols, heard.ts)
                flow.say(flow.joined.copied(session.name, read, time.monotonic()))

        def hear(heard: Heard) -> None:
            try:
                take(heard)
            except Exception as err:  # a copy that fails is told, and what it said is looked at
                flow.say([Notice("critical", "unmapped", f"{session.name}: {err!r}")])

        return hear

    async def _look(self) -> None:
        """Say what one book has and another has not."""
        pause = max(self._config.grace / 4, 0.01)
        while True:
            await asyncio.sleep(pause)
            self._flow.say(self._flow.joined.late(time.monotonic()))


def _listing(request: str) -> Body:
    return [(t.SECURITY_REQ_ID, request), (t.SECURITY_LIST_REQUEST_TYPE, ALL_SECURITIES)]
