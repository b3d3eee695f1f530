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
from dataclasses import dataclass, field
from typing import Any

from nautilus_trader import model as engine
from nautilus_trader.config import DataClientConfig, ExecutionClientConfig
from nautilus_trader.live import RoutingConfig
from nautilus_trader.live.clients import (
    DataClientFactory,
    ExecutionClient,
    ExecutionClientFactory,
    MarketDataClient,
)

from onetape.market.instruments import Instrument
from onetape.run import ports
from onetape.run.inputs import Input, Inputs
from onetape.run.outbox import Outbox, Parcel
from onetape.run.wire import announce, new_order

UNHEARD_S = 0.25  # after which the engine is taken to have refused an event
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
    asked: set[str] = field(default_factory=set)  # barriers that have come through


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
        self._seen: dict[str, set[Any]] = {}

    # -- commands

    def submit(self, order: Any) -> None:
        """Send an order, unless the last line refuses it."""
        name = str(order.client_order_id)
        self.orders[name] = order
        try:
            why = self.ways.last_line(order)
            message = new_order(order, self.ways.account, self.ways.trader)
        except Exception as err:
            why, message = f"GATE_ERROR: {type(err).__name__}: {err}", None
        if why or message is None:
            self._tell(name, "OrderDenied", lambda: self.client.generate_order_denied(order, why))
            return
        self._tell(name, "OrderSubmitted", lambda: self.client.generate_order_submitted(order))
        self._put(
            lambda: self.ways.venue.send(message),
            lambda why: self._rejected(order, why),
            lambda: self.ways.halted(order),
        )

    def modify(self, command: Any) -> None:
        """Ask the venue for new terms of an order."""
        name = str(command.client_order_id)
        order = self.orders.get(name)
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
            self._put(lambda: self.ways.venue.modify(message), refused)

    def cancel(self, client_order_id: Any, instrument_id: Any) -> None:
        """Ask the venue to cancel an order: no limit ever stands in the way of that."""
        name = str(client_order_id)
        order = self.orders.get(name)
        message = ports.CancelOrder(name, self.venue_ids.get(name), str(instrument_id))
        self._put(
            lambda: self.ways.venue.cancel(message),
            lambda why: self._cancel_rejected(order, why),
            patient=True,
        )

    def cancel_all(self, instrument_id: Any, side: Any = None) -> None:
        """Cancel what works for an instrument, one by one."""
        for order in list(self.orders.values()):
            if order.instrument_id == instrument_id and not order.is_closed:
                if side is None or side.name == "NO_ORDER_SIDE" or order.side == side:
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
        order = self.orders.get(name)
        if order is None:
            self.inputs.give(Input("call", lambda _: self.ways.unknown(report) or True))
            return
        kind = KINDS.get(type(report))
        if kind is None:  # the engine has no word for it
            self.inputs.give(Input("call", lambda _: self.ways.unheard(report) or True))
            return
        instrument = self.client.cache.instrument(order.instrument_id)
        self._tell(name, kind, lambda: announce(self.client, order, report, instrument), report)

    def repeated(self, report: ports.AnyReport) -> bool:
        """Say whether this was reported before; a venue may say everything twice."""
        seen = self._seen.setdefault(report.client_order_id or report.venue_order_id, set())
        match report:
            case ports.Filled() | ports.Busted() | ports.Corrected():
                key: Any = (type(report), report.trade_id)
            case ports.Updated() | ports.ModifyRejected() | ports.CancelRejected():
                key = report
            case _:
                key = type(report)
        if key in seen:
            return True
        seen.add(key)
        return False

    def forget(self, name: str) -> None:
        """Let go of an order that ended long ago."""
        for kept in (self.orders, self.venue_ids, self._seen):
            kept.pop(name, None)

    def _tell(self, name: str, kind: str, say: Callable[[], object], report: Any = None) -> None:
        def act(stamp: int) -> bool:
            self.expected = (name, kind)
            say()
            loop = asyncio.get_running_loop()
            loop.call_later(UNHEARD_S, self._check, stamp, report)
            return True

        self.inputs.give(Input("event", act))

    def _check(self, stamp: int, report: ports.AnyReport | None) -> None:
        if self.inputs.event_stamp != stamp:
            return
        self.expected = None
        if report is not None:
            self.ways.unheard(report)
        self.inputs.event_handled()
        self.inputs.advance()
        self.ways.quiet()

    def heard(self, event: Any) -> None:
        """Learn that the strategy's side dealt with an engine's order event."""
        if self.expected == (str(event.client_order_id), type(event).__name__):
            self.expected = None
            self.inputs.event_handled()
            self.inputs.advance()
            self.ways.quiet()

    # -- the node's clients

    def register(self, builder: Any, instruments: dict[str, Instrument]) -> Any:
        """Add our clients to a node's builder."""
        self.instruments = instruments
        name = self.ways.venue.name
        builder = builder.add_data_client(name, _DataFactory, _DataConfig(self))
        return builder.add_exec_client(name, _ExecFactory, _ExecConfig(self))


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


def _exact(value: Any) -> Any:
    return None if value is None else value.as_decimal()


def _nothing() -> None:
    pass


class _Data(MarketDataClient):
    """Rows come by `Bridge.data._handle_data`; subscribing is the session's own doing."""

    async def _connect(self) -> None:
        bridge = self.config.bridge
        for instrument in bridge.instruments.values():
            self._handle_instrument(instrument.to_engine())
        bridge.data = self

    async def _disconnect(self) -> None:
        self.config.bridge.data = None

    async def _subscribe_quotes(self, command: Any) -> None:
        self.config.bridge.subscribed.add(("on_quote", command.instrument_id))

    async def _subscribe_trades(self, command: Any) -> None:
        self.config.bridge.subscribed.add(("on_trade", command.instrument_id))

    async def _subscribe_bars(self, command: Any) -> None:
        self.config.bridge.subscribed.add(command.bar_type)

    async def _unsubscribe_quotes(self, command: Any) -> None:
        """Rows go on coming: the gate needs them."""

    async def _unsubscribe_trades(self, command: Any) -> None:
        """Rows go on coming: the gate needs them."""

    async def _unsubscribe_bars(self, command: Any) -> None:
        """Rows go on coming: the gate needs them."""


class _Exec(ExecutionClient):
    """Every order of the node comes through here."""

    async def _connect(self) -> None:
        bridge = self.config.bridge
        bridge.client = self
        plenty = engine.Money(1_000_000_000, bridge.ways.currency)  # the gate knows the real one
        none = engine.Money(0, bridge.ways.currency)
        balance = engine.AccountBalance(plenty, none, plenty)
        self.generate_account_state([balance], [], True, self.clock.timestamp_ns())

    async def _disconnect(self) -> None:
        """The session logs off by itself."""

    def _handles_order_venue(self, _venue: Any) -> bool:
        return True  # a broker or a simulated venue trades instruments listed elsewhere

    async def _submit_order(self, command: Any) -> None:
        self.config.bridge.submit(command.order)

    async def _submit_order_list(self, command: Any) -> None:
        bridge = self.config.bridge
        for told in command.order_inits:
            bridge.submit(self.cache.order(told.client_order_id))

    async def _modify_order(self, command: Any) -> None:
        self.config.bridge.modify(command)

    async def _cancel_order(self, command: Any) -> None:
        self.config.bridge.cancel(command.client_order_id, command.instrument_id)

    async def _cancel_all_orders(self, command: Any) -> None:
        self.config.bridge.cancel_all(command.instrument_id, command.order_side)

    async def _batch_cancel_orders(self, command: Any) -> None:
        for one in command.cancels:
            self.config.bridge.cancel(one.client_order_id, one.instrument_id)

    async def _batch_modify_orders(self, command: Any) -> None:
        for one in command.modifies:
            self.config.bridge.modify(one)

    async def _query_account(self, command: Any) -> None:
        self.config.bridge.barrier()

    async def _query_order(self, command: Any) -> None:
        """The session asks the venue by itself, and tells what it hears."""

    async def _generate_order_status_reports(self, command: Any) -> list[Any]:
        return []  # the session has reconciled before the node began

    async def _generate_fill_reports(self, command: Any) -> list[Any]:
        return []

    async def _generate_position_status_reports(self, command: Any) -> list[Any]:
        return []


class _DataConfig(DataClientConfig):
    def __new__(cls, bridge: Bridge) -> _DataConfig:
        made: Any = super().__new__(cls, routing=RoutingConfig(default=True))
        made.bridge = bridge
        return made


class _ExecConfig(ExecutionClientConfig):
    def __new__(cls, bridge: Bridge) -> _ExecConfig:
        made: Any = super().__new__(cls, routing=RoutingConfig(default=True))
        made.bridge = bridge
        return made


class _DataFactory(DataClientFactory):
    @staticmethod
    def create(*, name: str, config: Any, cache: Any, clock: Any) -> Any:
        return _Data(name=name, config=config, cache=cache, clock=clock, venue=None)


class _ExecFactory(ExecutionClientFactory):
    @staticmethod
    def create(*, name: str, config: Any, cache: Any, clock: Any, trader_id: Any) -> Any:
        ways = config.bridge.ways
        return _Exec(
            name=name,
            config=config,
            cache=cache,
            clock=clock,
            trader_id=trader_id,
            venue=engine.Venue(ways.venue.name),
            account_id=engine.AccountId(f"{ways.venue.name}-{ways.account}"),
            account_type=engine.AccountType.MARGIN,
            oms_type=engine.OmsType.NETTING,
            base_currency=ways.currency,
        )
