"""Lineage of decisions: the row, order event or timer that was being handled, each time."""

from __future__ import annotations

from typing import Any

import onetape as ot
from onetape.tape.kinds import DecisionMade, SignalNoted


class Notes(ot.Strategy):
    """Notes where it is, from every kind of handler; binds an indicator late when told to."""

    late = ot.param(False)

    def on_start(self) -> None:
        self.rows: list[int] = []
        self.mean: Any = None
        self.signal("start", 0)

    def on_quote(self, quote: Any) -> None:
        self.rows.append(quote.ts_event)
        if self.late and len(self.rows) == 5:
            self.mean = self.sma(3)
        self.signal("row", len(self.rows))
        if len(self.rows) % 10 == 0:
            self.target(1_000 if len(self.rows) % 20 else -1_000)
            self.signal("row after an order", len(self.rows))
        if self.mean is not None and self.mean.ready:
            self.signal("mean", float(self.mean))

    def on_order_event(self, event: Any) -> None:
        if type(event).__name__ == "OrderFilled":
            self.signal("fill", 1)

    def on_stop(self) -> None:
        self.signal("stop", 0)


def notes(late: bool) -> tuple[ot.Run, dict[str, list[Any]]]:
    run = ot.backtest(Notes, ot.sample("EURUSD-ticks", rows=60), params={"late": late})
    found: dict[str, list[Any]] = {}
    for event in run.recording.of_kind(SignalNoted):
        found.setdefault(event.fact.name, []).append(event)  # type: ignore[union-attr]
    return run, found


def test_each_decision_names_the_row_or_event_behind_it() -> None:
    run, found = notes(late=False)
    times = run.datasets[0].frame()["ts_event"].dt.timestamp("ns").to_list()
    assert [event.lineage.ts for event in found["row"]] == times
    assert [event.lineage.ts for event in found["row after an order"]] == times[9::10]
    assert {event.lineage.source for event in found["row"]} == {run.datasets[0].fingerprint}
    decided = [e.lineage.ts for e in run.recording.of_kind(DecisionMade) if e.lineage]
    assert decided == times[9::10]
    for event in found["fill"]:
        assert event.lineage.what == "order"
        assert run.recording.seq(event.cause).kind == "order.filled"
    assert [e.lineage.what for e in found["start"] + found["stop"]] == ["start or stop"] * 2


def test_an_indicator_bound_in_the_middle_of_a_run_sees_the_rows_that_follow() -> None:
    run, found = notes(late=True)
    assert [event.lineage.ts for event in found["row"]] == [
        event.lineage.ts for event in notes(late=False)[1]["row"]
    ]
    middle = run.datasets[0].frame().select(run.datasets[0].frame()["bid_price"] + 0).to_series()
    asks = run.datasets[0].frame()["ask_price"]
    mids = [(float(bid) + float(ask)) / 2 for bid, ask in zip(middle, asks, strict=True)]
    first = mids[5:8]  # bound while the fifth row was handled
    assert abs(found["mean"][0].fact.value - sum(first) / 3) < 1e-9
    assert len(found["mean"]) == 60 - 7
