"""Thousands of orders that never arrived: on the next logon only the live ones leave."""

from __future__ import annotations

from .room import SECOND, Pair

COUNT, EVERY_S, TTL_S = 2_000, 0.01, 10.0


def order(number: int) -> list[tuple[int, str]]:
    return [(11, f"O-{number}"), (55, "XYZ"), (54, "1"), (38, "100"), (40, "1")]


def test_of_two_thousand_orders_lost_with_a_link_only_the_live_ones_leave_later() -> None:
    pair = Pair(order_ttl=TTL_S)
    pair.connect()
    pair.settle(1.0)
    assert pair.up
    ours, theirs = pair.sessions["initiator"], pair.apps["acceptor"]
    sent: dict[str, int] = {}
    for number in range(COUNT):
        ours.send("D", order(number))
        sent[f"O-{number}"] = pair.clock.ns
        pair.clock.move(EVERY_S)
    assert theirs.orders == []
    pair.cut()  # all of them are lost
    pair.connect()
    pair.settle()
    resent = pair.clock.ns
    pair.settle(5.0)
    live = [name for name, at in sent.items() if resent - at <= TTL_S * SECOND]
    assert 0 < len(live) < COUNT
    assert theirs.orders == live
    stale = [a for a in pair.apps["initiator"].alarms if a.code == "stale_order"]
    assert len(stale) == COUNT - len(live)
    assert pair.up


def test_a_cancel_among_stale_orders_leaves_whatever_its_age() -> None:
    pair = Pair(order_ttl=TTL_S)
    pair.connect()
    pair.settle(1.0)
    ours = pair.sessions["initiator"]
    ours.send("D", order(1))
    ours.send("F", [(41, "O-0"), (11, "C-1"), (55, "XYZ"), (54, "1")])
    ours.send("D", order(2))
    pair.cut()
    pair.clock.move(TTL_S * 6)
    pair.connect()
    pair.settle(5.0)
    assert pair.apps["acceptor"].orders == ["C-1"]
