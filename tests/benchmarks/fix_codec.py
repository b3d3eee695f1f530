# pyright: standard
"""What reading and writing one FIX message costs: CPU of the thread, in microseconds.

parse    an execution report of 22 fields: cut from the stream, length and checksum verified, all
         fields there in their order.
encode   a new order with 10 fields and a header, its time of sending formatted to microseconds,
         length and checksum.
Method   the smallest of several batches: what else runs can only add.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from decimal import Decimal
from time import thread_time_ns

from onetape_fix.wire import Encoder, Framer, format_utc, parse

NOW = 1_767_787_200_123_456_789
BATCH = 2_000


def report() -> bytes:
    """Return an execution report of 22 fields."""
    encoder = Encoder("FIX.4.4", [(49, "BROKER"), (56, "C01")])
    body = (
        (37, "O-C01-000123"), (11, "C01-000123"), (17, "C01-000123-1"), (150, "F"), (39, "1"),
        (1, "ACC"), (55, "MSFT"), (54, "1"), (38, 200), (32, 100), (31, Decimal("10.25")),
        (151, 100), (14, 100), (60, format_utc(NOW, 6)),
    )  # fmt: skip
    raw = encoder.encode("8", 4711, format_utc(NOW, 6), body)
    if len(parse(raw).fields) != 22:
        raise AssertionError(f"the report has {len(parse(raw).fields)} fields, 22 are meant")
    return raw


def order() -> tuple[tuple[int, str | int | Decimal], ...]:
    """Return the body of a new order."""
    return (
        (11, "C01-000123"), (1, "ACC"), (21, "1"), (55, "MSFT"), (54, "1"),
        (60, format_utc(NOW, 6)), (38, 200), (40, "2"), (44, Decimal("10.25")), (59, "0"),
    )  # fmt: skip


def cheapest(act: Callable[[], object], batches: int, size: int) -> float:
    """Return the microseconds of one call in the cheapest batch."""
    act()
    gc.collect()
    spent: list[int] = []
    for _ in range(batches):
        begun = thread_time_ns()
        for _ in range(size):
            act()
        spent.append(thread_time_ns() - begun)
    return round(min(spent) / size / 1e3, 2)


def measured(small: bool = False) -> dict[str, float]:
    """Measure reading and writing."""
    raw, body = report(), order()
    framer, encoder = Framer(), Encoder("FIX.4.4", [(49, "C01"), (56, "BROKER")])
    batches, size = (3, 300) if small else (15, BATCH)

    def read() -> object:
        return parse(framer.feed(raw)[0])  # pyright: ignore[reportArgumentType]

    def write() -> object:
        return encoder.encode("D", 4711, format_utc(NOW, 6), body)

    return {
        "parse_us": cheapest(read, batches, size),
        "encode_us": cheapest(write, batches, size),
        "encode_body_us": cheapest(
            lambda: encoder.encode("D", 4711, "20260107-12:00:00.123456", body), batches, size
        ),
        "report_bytes": len(raw),
    }
