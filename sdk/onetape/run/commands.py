# pyright: standard
"""Commands: every way in which a strategy can send an order, through one door.

The engine's own convenience commands (`close_position`, `market_exit`, ...) make their orders
inside the engine, past our door; here they are rebuilt from orders that pass it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import OrderSide, OrderType

from onetape.errors import SettingsError
from onetape.tape.kinds import DecisionMade

if TYPE_CHECKING:
    from onetape.run.host import Host


class Traded:
    """An instrument as the engine has it, with the exact figures that sizing needs."""

    def __init__(self, instrument: Any) -> None:
        self.instrument = instrument
        self.id = instrument.id
        self.name = str(instrument.id)
        self.step: Decimal = instrument.size_increment.as_decimal()
        self.tick: Decimal = instrument.price_increment.as_decimal()
        self.multiplier: Decimal = instrument.multiplier.as_decimal()
        self.currency: str = instrument.quote_currency.code

    def quantity(self, size: Decimal) -> Any:
        """Return `size` as the engine's quantity."""
        return self.instrument.make_qty(size)

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
        self._releasing: Any = None
        self._held: defaultdict[Any, list[tuple[list[Any], int, Callable[[], None]]]] = defaultdict(
            list
        )
        ticked = {s.instrument_id for s in host.stage.sources if s.kind != "bars"}
        self._waits = frozenset(
            s.instrument_id
            for s in host.stage.sources
            if host.stage.hold_until and s.instrument_id not in ticked
        )

    def attach(self) -> None:
        """Put our commands in the place of the strategy's."""
        strategy = self._host.strategy
        self._submit = strategy.submit_order
        self._submit_list = strategy.submit_order_list
        self._cancel = strategy.cancel_order
        self._cancel_all = strategy.cancel_all_orders
        strategy.submit_order = self._plain_order
        strategy.submit_order_list = self._plain_list
        strategy.cancel_order = self.cancel
        strategy.cancel_all_orders = self.cancel_all
        strategy.close_position = self._close_position
        strategy.close_all_positions = self._close_all
        strategy.market_exit = self._exit

    # -- out

    def send(self, order: Any, decision: int, *args: Any, **kwargs: Any) -> None:
        """Send an order, or hold it until its time; `decision` is the seq of its cause."""
        if self._host.refused(order, decision):
            return
        self._count(order)
        self._leave([order], decision, lambda: self._submit(order, *args, **kwargs))

    def send_list(self, listed: Any, decision: int, *args: Any, **kwargs: Any) -> None:
        """Send orders that belong together."""
        orders = list(listed)
        if self._host.refused(orders[0], decision):
            return
        self._leave(orders, decision, lambda: self._submit_list(listed, *args, **kwargs))

    def straight(self, order: Any) -> None:
        """Send the engine's own bookkeeping order: no decision, no limits, no waiting."""
        self._submit(order)

    def _count(self, order: Any) -> None:
        if order.order_type == OrderType.MARKET:
            size = order.quantity.as_decimal()
            self._host.exposure.sent(
                str(order.client_order_id),
                self._host.name,
                str(order.instrument_id),
                size if order.is_buy else -size,
            )

    def _leave(self, orders: list[Any], decision: int, go: Callable[[], None]) -> None:
        instrument = orders[0].instrument_id
        if instrument in self._waits and instrument != self._releasing:
            self._held[instrument].append((orders, decision, go))
        else:
            self._go(decision, go)

    def _go(self, decision: int, go: Callable[[], None]) -> None:
        before, self._cause = self._cause, decision
        try:
            go()
        finally:
            self._cause = before

    def release(self, instrument_id: Any) -> None:
        """Send what was held for an instrument: its moment has come."""
        waiting = self._held.pop(instrument_id, None) if self._held else None
        if not waiting:
            return
        self._releasing = instrument_id
        try:
            for _, decision, go in waiting:
                self._go(decision, go)
        finally:
            self._releasing = None

    def cause_of(self, event: Any, handling: Any) -> int:
        """Return the decision behind a new order; one made inside the engine gets one here."""
        if self._cause is not None:
            return self._cause
        host = self._host
        after, host.now = host.now, handling
        try:
            why = "made inside the engine"
            fact = DecisionMade(host.name, "order", str(event.instrument_id), why=why)
            return host.note(fact, ts=event.ts_event)
        finally:
            host.now = after

    # -- held orders

    def drop_held(self, order: str | None = None, instrument: str | None = None) -> bool:
        """Forget held orders, one by id or all of an instrument's; say whether there were any."""
        dropped = False
        for held_for, waiting in list(self._held.items()):
            kept = []
            for entry in waiting:
                named = order is not None and any(str(o.client_order_id) == order for o in entry[0])
                if named or (order is None and instrument in (None, str(held_for))):
                    dropped = True
                    for each in entry[0]:
                        self._host.exposure.ended(str(each.client_order_id))
                else:
                    kept.append(entry)
            self._held[held_for] = kept
        return dropped

    def replace_held(self, instrument_id: Any, change: Callable[[Any], Any]) -> None:
        """Put changed orders in the place of single held ones (a split came between)."""
        waiting = self._held.get(instrument_id, [])
        for at, (orders, decision, _) in enumerate(waiting):
            if len(orders) == 1:
                order = change(orders[0])
                waiting[at] = ([order], decision, lambda order=order: self._submit(order))

    def cancel(self, client_order_id: Any, *args: Any, **kwargs: Any) -> None:
        """Cancel one order, sent or still held."""
        if not self.drop_held(str(client_order_id)):
            self._cancel(client_order_id, *args, **kwargs)

    def cancel_all(self, instrument_id: Any, *args: Any, **kwargs: Any) -> None:
        """Cancel an instrument's orders, sent or still held."""
        self.drop_held(None, str(instrument_id))
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
