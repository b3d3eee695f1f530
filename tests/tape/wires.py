"""Messages to keep: sessions that talk, numbered from where one says."""

from __future__ import annotations

from onetape.tape.wirelog import WireRow

T0 = 1_782_900_000 * 10**9  # 2026-07-01 10:00 UTC
SECOND = 10**9
US = "FIX.4.4:US->THEM"


def message(number: int, session: str = US, **other: object) -> WireRow:
    """Return the message at a position: an execution report that came in, one each second."""
    raw = f"8=FIX.4.4\x0135=8\x0134={number}\x0111=C{number}\x0137=V{number}\x0117=E{number}\x01"
    made = WireRow(
        "gw", session, T0, "in", number, 0, T0 + number * SECOND, "8", False,
        f"C{number}", f"V{number}", f"E{number}", raw.encode(), number,
    )  # fmt: skip
    return made._replace(**other)


def messages(count: int, first: int = 1, session: str = US) -> list[WireRow]:
    """Return messages that follow one another."""
    return [message(number, session) for number in range(first, first + count)]
