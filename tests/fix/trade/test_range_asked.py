"""Executions are asked for from a time on, not for one day alone."""

from __future__ import annotations

from onetape_fix.wire import parse, parse_utc

from .desk import NOW, Desk


def test_executions_of_all_days_since_are_asked_for() -> None:
    at = Desk()
    body = at.flow.asking.trades("A", NOW - 86_400_000_000_000, "Q1", NOW)
    message = parse(at.encoder.encode("AD", 1, "20240108-15:00:00", body))
    assert message[580] == "2"
    first, last = [parse_utc(value) for tag, value in message.fields if tag == 60]
    assert first == NOW - 86_400_000_000_000
    assert last >= NOW
