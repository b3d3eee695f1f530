# pyright: standard
"""Commands: every way in which a strategy can send an order, through one door.

The engine's own convenience commands (`close_position`, `market_exit`, ...) make their orders
inside the engine, past our door; here they are rebuilt from orders that pass it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import ClientOrderId, OrderSide, OrderType

from onetape.errors import SettingsError
from onetape.run.gate_orders import note_cancel
from onetape.run.waiting import Waiting
from onetape.tape.kinds import DecisionMade

if TYPE_CHECKING:
    from onetape.run.host import Host


SIZES_KEPT = 1_024  # engine quantities at hand: strategies trade the same few sizes


class Traded:
    """An instrument as the engine has it, with the exact figures that sizing needs."""

    def __init__(self, instrument: Any) -> None:
        self.instrument = instrument
        self.id = instrument.id
        self.name = str(instrument.id)
        self.unit: Decimal = instrument.size_increment.as_decimal()
        lot = instrument.lot_size
        self.step: Decimal = max(self.unit, lot.as_decimal() if lot is not None else self.unit)
        self.tick: Decimal = instrument.price_increment.as_decimal()
        self.multiplier: Decimal = instrument.multiplier.as_decimal()
        self.currency: str = instrument.quote_currency.code
        self._sizes: dict[Decimal, Any] = {}

    def quantity(self, size: Decimal) -> Any:
        """Return `size` as the engine's quantity."""
        made = self._sizes.get(size)
        if made is None:
            if len(self._sizes) >= SIZES_KEPT:
                self._sizes.clear()
            made = self._sizes[size] = self.instrument.make_qty(size)
        return made

    def price(self, value: Any) -> Any:
        """Return `value` as the engine's price; SettingsError when it is not on a tick."""
        exact = Decimal(str(value))
        if exact % self.tick:
            raise SettingsError(
                f"price {value} found for {self.name}, a multiple of {self.tick} expected"
            )
        return self.instrument.make_price(exact)


class Commands:
    """One strategy's orders on their way out."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._cause: int | None = None
        self._changing: list[Any] = []  # new terms that are allowed and on their way
        self.waiting = Waiting(host)
        self.passing: dict[str, Any] = {}  # orders that the gate let out and that are on their way
        self.ready: Callable[[Any], Any] = _as_it_is  # how an order must be for the gate to see it

    def attach(self) -> None:
        """Put our commands in the place of the strategy's."""
        strategy = self._host.strategy
        self._submit = strategy.submit_order
        self._submit_list = strategy.submit_order_list
        self._cancel = strategy.cancel_order
        self._cancel_all = strategy.cancel_all_orders
        strategy.submit_order = self._plain_order
        strategy.submit_order_list = self._plain_list
        self.straight_modify, self.straight_cancel = strategy.modify_order, strategy.cancel_order
        strategy.modify_order = self.modify
        strategy.cancel_orders = self._cancel_each
        strategy.cancel_order = self.cancel
        strategy.cancel_all_orders = self.cancel_all
        self.rebuilt: dict[str, Callable[..., None]] = {
            "modify_orders": self._modify_all,
            "close_position": self._close_position,
            "close_all_positions": self._close_all,
            "market_exit": self._exit,
        }
        for name, command in self.rebuilt.items():
            setattr(strategy, name, command)

    # -- out

    def send(self, order: Any, decision: int, *args: Any, **kwargs: Any) -> None:
        """Send an order, or hold it until its time; `decision` is the seq of its cause."""
        go = self._submit_one
        if args or kwargs:
            go = lambda it: self._submit(it[0], *args, **kwargs)  # noqa: E731
        self.leave([order], decision, go)

    def _submit_one(self, orders: list[Any]) -> None:
        self._submit(orders[0])

    def send_list(self, listed: Any, decision: int, *args: Any, **kwargs: Any) -> None:
        """Send orders that belong together."""
        go = lambda them: self._submit_list(them, *args, **kwargs)  # noqa: E731
        self.leave(list(listed), decision, go)

    def straight(self, order: Any) -> None:
        """Send the engine's own bookkeeping order: no decision, no limits, no waiting."""
        self._submit(order)

    def leave(self, orders: list[Any], decision: int, go: Callable[[list[Any]], None]) -> None:
        """Let orders out by `go`, now or at their time, if the gate allows all of them."""
        host = self._host
        if host.stage.gate is not None:
            orders = [self.ready(order) for order in orders]
            if host.refused(orders, decision):
                return
        for order in orders:
            if order.parent_order_id is None:
                size = order.quantity.as_decimal()
                signed = size if order.is_buy else -size
                at_once = order.order_type == OrderType.MARKET
                what = (host.name, str(order.instrument_id), signed)
                host.exposure.sent(str(order.client_order_id), *what, at_once=at_once)
        if not self.waiting.takes(orders, decision, go):
            self._go(orders, decision, go)

    def _go(self, orders: list[Any], decision: int, go: Callable[[list[Any]], None]) -> None:
        before, self._cause = self._cause, decision
        if self._host.stopping:  # no callback will bring these orders' events
            for order in orders:
                self._host.stage.recorder.promise(str(order.client_order_id), decision)
        if self._host.stage.gate is not None:
            go = self._watched(go)
        try:
            go(orders)
        finally:
            self._cause = before

    def _watched(self, go: Callable[[list[Any]], None]) -> Callable[[list[Any]], None]:
        """Let orders go that are still allowed to, known to the doors as the gate's own."""

        def out(orders: list[Any]) -> None:
            gate, before = self._host.stage.gate, self.passing
            names = [str(order.client_order_id) for order in orders]
            late = gate is not None and any(gate.held_back(name) for name in names)
            if late and self._host.refused(orders, self._cause):  # which says so on the tape
                self.dropped(names)
                return
            self.passing = before | dict(zip(names, orders, strict=True))
            try:
                go(orders)
            finally:
                self.passing = before

        return out

    def dropped(self, names: Iterable[str]) -> None:
        """Forget orders that never left."""
        host = self._host
        for name in names:
            host.exposure.ended(name)
            if host.stage.gate is not None:
                host.stage.gate.dropped(name)

    def release(self, instrument_id: Any, now: int) -> None:
        """Send what was held for an instrument: its moment has come."""
        for order, terms in self._host.late.pop(instrument_id, ()):
            self.straight_modify(order, **terms)
        for held in self.waiting.due(instrument_id, now):
            self._go(held.orders, held.decision, held.go)

    def cause_of(self, event: Any, handling: Any) -> int:
        """Return the decision behind a new order; one made inside the engine gets one here."""
        if self._cause is not None:
            return self._cause
        host = self._host
        after, host.event = host.event, handling
        try:
            why = "made inside the engine"
            fact = DecisionMade(host.name, "order", str(event.instrument_id), why=why)
            live = host.stage.live is not None  # its engine's clock is the wall's
            return host.note(fact, ts=None if live else event.ts_event)
        finally:
            host.event = after

    def modify(self, client_order_id: Any, *args: Any, **kwargs: Any) -> None:
        """Change a working order, if the limits allow what it becomes."""
        self.modify_by(self.straight_modify, client_order_id, *args, **kwargs)

    def modify_by(
        self,
        send: Callable[..., Any],
        client_order_id: Any,
        quantity: Any = None,
        price: Any = None,
        trigger_price: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Change a working order through `send`, if the limits allow what it becomes."""
        host = self._host
        order = host.strategy.cache.order(client_order_id)
        if order is None:
            raise SettingsError(
                f"order {client_order_id} found nowhere at the venue; one that still waits for "
                "its moment is changed by canceling it and sending another"
            )
        changed = {"quantity": quantity, "price": price, "trigger_price": trigger_price}
        terms = {n: None if v is None else v.as_decimal() for n, v in changed.items()}
        key = (str(client_order_id), *terms.values())
        if key not in self._changing:
            shown = {"quantity": terms["quantity"], "price": terms["price"]}
            decision = host.decide(
                "modify", str(order.instrument_id), **shown, why=f"order {client_order_id}"
            )
            if host.refused([order], decision, **terms):
                return
        self._changing.append(key)
        taken = False
        try:
            send(client_order_id, quantity, price, trigger_price, *args, **kwargs)
            taken = True
        finally:
            self._changing.remove(key)
            if not taken and host.stage.gate is not None:  # the order stays what it was
                host.stage.gate.unchanged(str(client_order_id))

    def _modify_all(self, *_args: Any, **_kwargs: Any) -> None:
        raise SettingsError("modify_orders() passes no limits: change orders one by one")

    def _cancel_each(self, orders: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        for order in orders:
            self.cancel(getattr(order, "client_order_id", order), *args, **kwargs)

    def cancel(self, client_order_id: Any, *args: Any, **kwargs: Any) -> None:
        """Cancel one order, sent or still held."""
        if not self.waiting.drop(str(client_order_id)):
            self._note_cancel(self._host.strategy.cache.order(client_order_id))
            self._cancel(client_order_id, *args, **kwargs)

    def _note_cancel(self, order: Any) -> None:
        host = self._host
        if host.stage.gate is not None and order is not None and not order.is_closed:
            note_cancel(host.stage.gate, order, host._time(), host._code, host.note)

    def cancel_all(self, instrument_id: Any, *args: Any, **kwargs: Any) -> None:
        """Cancel an instrument's orders, sent or still held."""
        self.waiting.drop(None, str(instrument_id))
        host = self._host
        if host.stage.gate is not None:
            for working in host.stage.gate.working(host.name, str(instrument_id)):
                self._note_cancel(host.strategy.cache.order(ClientOrderId(working.id)))
        self._cancel_all(instrument_id, *args, **kwargs)

    # -- the engine's own commands, through our door

    def _plain_order(self, order: Any, *args: Any, **kwargs: Any) -> None:
        price = getattr(order, "price", None)
        decision = self._host.decide(
            "order",
            str(order.instrument_id),
            quantity=order.quantity.as_decimal(),
            price=None if price is None else price.as_decimal(),
        )
        self.send(order, decision, *args, **kwargs)

    def _plain_list(self, listed: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        orders = list(listed)
        decision = self._host.decide(
            "order", str(orders[0].instrument_id), why=f"{len(orders)} orders"
        )
        self.send_list(listed, decision, *args, **kwargs)

    def _close_position(self, position: Any, *_args: Any, **kwargs: Any) -> None:
        host = self._host
        side = OrderSide.SELL if position.is_long else OrderSide.BUY
        terms = {name: kwargs[name] for name in ("tags", "time_in_force") if kwargs.get(name)}
        order = host.factory.market(
            position.instrument_id, side, position.quantity, reduce_only=True, **terms
        )
        decision = host.decide("close", str(position.instrument_id), quantity=Decimal(0))
        self.send(order, decision)

    def _close_all(
        self, instrument_id: Any, position_side: Any = None, *_args: Any, **kwargs: Any
    ) -> None:
        for position in self._open(instrument_id):
            if position_side is None or position.side == position_side:
                self._close_position(position, **kwargs)

    def _exit(self) -> None:
        for traded in self._host.traded.values():
            self.cancel_all(traded.id)
            self._close_all(traded.id)

    def _open(self, instrument_id: Any) -> list[Any]:
        strategy = self._host.strategy
        return [
            position
            for position in strategy.cache.positions_open(instrument_id=instrument_id)
            if position.strategy_id == strategy.strategy_id
        ]


def _as_it_is(order: Any) -> Any:
    return order
