# pyright: standard
"""Keep: what a session receives, as today's datasets, so that the day can be rerun bit for bit.

    <folder>/kept/<n>.log    the rows as they came, in frames; one file for each process
    <folder>/kept/done.json  what became of them, once they stand in the catalog

Row      its own time is `ts_event`, the session's stamp is `ts_init`, strictly rising: rows of all
         datasets, merged by `ts_init`, are what the session saw, in its order.
Frame    rows of one subscription: length, CRC-32, columns of int64, packed with LZ4. Rows are
         plain objects in a list until a frame is due (`FRAME_ROWS` rows or `FRAME_NS`); then they
         are made exact integers and handed to the system. A killed process loses its last frame,
         a torn frame is seen and left out with what follows it in that file.
End      frames become Parquet files of the catalog, through its own commit: all rows of an
         instrument or none. A dataset's fingerprint is of its rows and their own times, as that
         of every dataset; the SHA-256 of the stamps stands in its source.
Exact    prices and sizes are kept in the instrument's own precision; one that has more digits is
         rounded half even, as the engine would, and is a finding. Sequence numbers are not kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from onetape.errors import RunError
from onetape.market.blocks import PRICES
from onetape.market.catalog import Catalog
from onetape.market.instruments import Instrument
from onetape.run.kept import FOLDER, About, AnyFrame, Key, Named, Rows, bytes_of, new_log, recover
from onetape.run.ports import AnyRow, Bar, Quote, Trade
from onetape.tape.kinds_live import DataKept

__all__ = ["Keep", "recover"]

FRAME_ROWS = 1024
FRAME_NS = 1_000_000_000
SIDE_CODES = {None: 0, "BUY": 1, "SELL": 2}
FIELDS: dict[str, tuple[str, ...]] = {
    "quotes": ("bid", "ask", "bid_size", "ask_size"),
    "trades": ("price", "size"),
    "bars": ("open", "high", "low", "close", "volume"),
}
KINDS: dict[type, str] = {Quote: "quotes", Trade: "trades", Bar: "bars"}


class _Waiting:
    """Rows of one subscription that stand in no frame yet."""

    __slots__ = ("key", "rows", "stamps")

    def __init__(self, key: Key) -> None:
        self.key, self.rows, self.stamps = key, list[Any](), list[int]()


class Keep:
    """Takes a session's rows and keeps them.

    folder       the session's own
    session      its id, which becomes part of the datasets' names
    feed         where the rows come from
    instruments  what they are about; more can be told with `know`
    synthetic    whether no market ever traded so

    `failed` says why rows are kept no more (a full disk), "" while all is well; `lost` counts the
    rows since. Trading goes on without.
    """

    def __init__(
        self,
        folder: Path,
        session: str,
        feed: str,
        instruments: Iterable[Instrument] = (),
        *,
        synthetic: bool = False,
    ) -> None:
        self.folder = folder / FOLDER
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(new_log(self.folder), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: BinaryIO = os.fdopen(handle, "wb")
        self._known: dict[str, Instrument] = {}
        self._waiting: dict[type, dict[object, _Waiting]] = {kind: {} for kind in KINDS}
        self._held = self.lost = 0
        self.failed = ""
        self._last = self._due = 0
        self._write(About(session, feed, synthetic))
        for one in instruments:
            self.know(one)

    def know(self, instrument: Instrument) -> None:
        """Learn what rows of an instrument are about, before the first of them."""
        if instrument.id not in self._known:
            self._known[instrument.id] = instrument
            self._write(Named(instrument))

    def take(self, row: AnyRow, stamp: int) -> None:
        """Take a row; RunError when its instrument is not known or stamps do not rise."""
        if stamp <= self._last:
            raise RunError(f"a row was stamped {stamp}, later than {self._last} expected")
        if self.failed:
            self.lost += 1
            return
        kind = type(row)
        key = row.instrument if kind is not Bar else (row.instrument, row.step)  # pyright: ignore
        waiting = self._waiting[kind].get(key)
        if waiting is None:
            waiting = self._subscription(row)
        waiting.rows.append(row)
        waiting.stamps.append(stamp)
        self._last = stamp
        if not self._held:
            self._due = stamp + FRAME_NS
        self._held += 1
        if self._held >= FRAME_ROWS or stamp >= self._due:
            self.flush()

    def tick(self, now: int) -> None:
        """Write what has waited long enough; called now and then, when no rows come."""
        if self._held and now >= self._due:
            self.flush()

    def flush(self) -> None:
        """Hand all rows to the system; they survive the end of this process."""
        for some in self._waiting.values():
            for one in some.values():
                if one.rows:
                    self._write(_framed(one, self._known[one.key[0]]))
                    one.rows, one.stamps = [], []
        try:
            self._file.flush()
        except OSError as err:
            self._fail(err)
        self._held = 0

    def close(self, catalog: Catalog) -> tuple[DataKept, ...]:
        """Put everything into the catalog and return the facts that say so, one a dataset.

        Raises MarketDataError, SettingsError or OSError where the catalog cannot take it; the
        rows then stay in the folder, for `recover`.
        """
        if not self._file.closed:
            self.flush()
            with suppress(OSError):  # what could not be written was told by `failed`
                self._file.close()
        return recover(self.folder.parent, catalog)

    def _subscription(self, row: AnyRow) -> _Waiting:
        if row.instrument not in self._known:
            known = ", ".join(sorted(self._known)[:5]) or "none"
            raise RunError(f"a row of {row.instrument} came; known are {known}: tell `know` first")
        step = row.step if isinstance(row, Bar) else None
        made = _Waiting((row.instrument, KINDS[type(row)], step))
        key = row.instrument if step is None else (row.instrument, step)
        self._waiting[type(row)][key] = made
        return made

    def _write(self, frame: AnyFrame) -> None:
        if self.failed:
            return
        try:
            self._file.write(bytes_of(frame))
        except OSError as err:
            self._fail(err)

    def _fail(self, err: OSError) -> None:
        if not self.failed:
            self.failed = f"rows are not kept any more: {err}"
            self.lost += self._held


def _framed(waiting: _Waiting, instrument: Instrument) -> Rows:
    """Return the rows that wait, as exact integers."""
    name, data, step = waiting.key
    rows, rounded = waiting.rows, 0
    columns: list[bytes] = [_packed(waiting.stamps), _packed([row.ts_event for row in rows])]
    for place, field in enumerate(FIELDS[data]):
        price = place in PRICES[data]
        digits = instrument.price_precision if price else instrument.size_precision
        values, odd = _scaled([getattr(row, field) for row in rows], Decimal(10) ** digits)
        columns.append(_packed(values))
        rounded += odd
    ids = None
    if data == "trades":
        columns.append(_packed([SIDE_CODES[row.side] for row in rows]))
        ids = tuple(row.trade_id for row in rows)
    return Rows(name, data, step, len(rows), tuple(columns), ids, rounded)


def _scaled(values: list[Decimal], scale: Decimal) -> tuple[list[int], int]:
    """Return decimals in units of 1 / scale, and how many had to be rounded."""
    exact = [value * scale for value in values]
    whole = [int(value) for value in exact]
    if whole == exact:
        return whole, 0
    near = [int(value.to_integral_value()) for value in exact]
    return near, sum(a != b for a, b in zip(near, exact, strict=True))


def _packed(values: list[int]) -> bytes:
    return np.array(values, dtype="<i8").tobytes()
