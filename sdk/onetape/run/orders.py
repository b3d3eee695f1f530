# pyright: standard
"""Order events on their way from the engine to the tape, the exposure and the strategy.

The engine calls on_order_filled and the like before on_order_event; whichever comes first
records and books the event, so that no code of the user sees a holding that is out of date.
For the trigger of a stop-limit order the engine calls nobody; it is looked up when the order
moves on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nautilus_trader import model as engine

if TYPE_CHECKING:
    from onetape.run.host import Host

ENDED = frozenset(
    (engine.OrderDenied, engine.OrderRejected, engine.OrderCanceled, engine.OrderExpired)
)
TRIGGERED = frozenset((engine.OrderType.STOP_LIMIT, engine.OrderType.LIMIT_IF_TOUCHED))
ANNOUNCED = frozenset(  # brought in the middle of a command: the engine's cache cannot be read
    (engine.OrderSubmitted, engine.OrderPendingUpdate, engine.OrderPendingCancel)
)
Handler = Callable[..., None]


class OrderWatch:
    """What one strategy's order events go through."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._untold: set[Any] = set()  # orders whose trigger the engine will not tell of
        self._booked: Any = None  # id of an event that a handler such as on_order_filled brought
        self._filled: str | None = None  # the order filled last: position events follow its fill
        self._handle: Handler = _nothing

    def general(self, body: Handler | None) -> Handler:
        """Wrap on_order_event."""
        host, ignored = self._host, self._host.stage.recorder.ignored

        def handle(event: Any) -> None:
            before, host.event = host.event, event
            try:
                if self._booked is not None and self._booked == event.event_id:
                    self._booked = None
                else:
                    self._take(event, before)
                if body is None or host.failure is not None:
                    return
                if not (ignored and event.client_order_id in ignored):
                    body(event)
            except BaseException as err:
                host.fail(err, "on_order_event", event)
            finally:
                host.event = before

        self._handle = handle
        return handle

    def special(self, name: str, body: Handler) -> Handler:
        """Wrap on_order_filled and the like."""
        host, ignored = self._host, self._host.stage.recorder.ignored

        def handle(event: Any) -> None:
            before, host.event = host.event, event
            try:
                self._take(event, before)
                self._booked = event.event_id
                if host.failure is None and event.client_order_id not in ignored:
                    body(event)
            except BaseException as err:
                host.fail(err, name, event)
            finally:
                host.event = before

        return handle

    def behind(self, event: Any) -> str | None:
        """Return the id of the order that an order or position event is about."""
        order = getattr(event, "client_order_id", None)
        if order is not None:
            return str(order)
        return self._filled if hasattr(event, "position_id") else None

    def _take(self, event: Any, before: Any) -> None:
        kind, host = type(event), self._host
        recorder = host.stage.recorder
        if kind is engine.OrderInitialized:
            recorder.capture(event, host.commands.cause_of(event, before))
            if event.order_type in TRIGGERED:
                self._untold.add(event.client_order_id)
            return
        if self._untold and event.client_order_id in self._untold and kind not in ANNOUNCED:
            self._tell(event.client_order_id)
        recorder.capture(event)
        if recorder.ignored and event.client_order_id in recorder.ignored:
            return
        if kind is engine.OrderFilled:
            self._book(event)
        elif kind in ENDED:
            host.exposure.ended(str(event.client_order_id))
        elif kind is engine.OrderUpdated:
            host.exposure.resized(str(event.client_order_id), event.quantity.as_decimal())

    def _tell(self, order_id: Any) -> None:
        order = self._host.strategy.cache.order(order_id)
        for told in order.events() if order is not None else ():
            if type(told) is engine.OrderTriggered:
                self._untold.discard(order_id)
                self._handle(told)

    def _book(self, event: Any) -> None:
        host, order = self._host, str(event.client_order_id)
        traded, exposure = host.traded[str(event.instrument_id)], host.exposure
        size = event.last_qty.as_decimal()
        signed = size if event.is_buy else -size
        exposure.filled(order, (host.name, traded.name), signed)
        exposure.paid(event.currency.code, signed * event.last_px.as_decimal() * traded.multiplier)
        if (commission := event.commission) is not None and not commission.is_zero():
            exposure.paid(commission.currency.code, commission.as_decimal())
        self._filled = order


def _nothing(*_event: Any) -> None:
    pass
