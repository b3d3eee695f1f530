"""The recorder of a live session: the gate hears of each order event at the session's time."""

from __future__ import annotations

from typing import Any

from nautilus_trader.common import Clock, OrderFactory
from nautilus_trader.model import InstrumentId, OrderSide, Quantity, StrategyId, TraderId

from onetape.run.live_recorder import LiveRecorder
from onetape.run.recorder import SOON

STAMP = 1_704_724_200_000_000_007


class Heard:
    """Stands where the gate does and keeps the times that it is told."""

    def __init__(self) -> None:
        self.times: list[int] = []

    def take(self, _fact: Any, ts: int) -> None:
        self.times.append(ts)


def test_the_gate_hears_every_order_event_at_its_stamp_also_where_a_batch_is_full() -> None:
    heard: Any = Heard()
    recorder = LiveRecorder("ACC", lambda _: None, lambda _: (STAMP - 7, STAMP))
    recorder.gate, recorder.grounds, recorder.instruments = heard, {}, {}
    factory = OrderFactory(TraderId("T-1"), StrategyId("S-000"), Clock.new_test())
    instrument = InstrumentId.from_str("AAA.SIM")
    for _ in range(2 * SOON + 1):
        order = factory.market(instrument, OrderSide.BUY, Quantity.from_int(1))
        recorder.capture(order.init_event)
    assert heard.times == [STAMP] * (2 * SOON + 1)
