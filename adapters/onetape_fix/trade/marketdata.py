"""Market data (35=W, X, Y) as rows: books kept by entry id or by price, quotes from their best.

Quotes    are told when the best of a book changes, or is told again; a side that is empty has size
          zero at the other's price, so that nothing is made up; a book with no side at all is
          told by nothing. Of a crossed book (bid above ask) no quote is told: it is stale.
Numbers   83 counts per instrument where the broker sends it; a number that was skipped is a gap,
          and the book is asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from onetape.run.ports import AnyRow, Bar, FeedSignal, Quote, Trade
from onetape_fix.profiles import SymbolMap
from onetape_fix.trade.words import SIDES, members, number
from onetape_fix.wire import Message, parse_utc, rows_of
from onetape_fix.wire import tags as t

ZERO = Decimal(0)
BID, OFFER, TRADE = "0", "1", "2"
BAR = {"4": "open", "5": "close", "7": "high", "8": "low"}
VOLUME = "B"
NEW, CHANGE, DELETE = "0", "1", "2"
AGGRESSOR = 2446
EMPTY_BOOK = "J"  # 269
ENTRY = members(
    "279 285 269 278 280 55 65 48 22 460 461 167 200 541 201 202 207 231 15 270 271 272 273 "
    "274 275 336 625 276 277 282 283 284 286 59 432 126 110 18 287 37 299 288 289 346 290 546 "
    "811 451 58 354 355 83 1003 880 2446 54 1020 1023 1070 1500 828 829 40 120 63 64 423 5995"
)
Fields = Mapping[int, str]
Level = tuple[Decimal, Decimal]


class Book:
    """One instrument's book; `depth` 1 holds one entry a side where entries have no ids."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self.sides: dict[str, dict[str, Level]] = {BID: {}, OFFER: {}}
        self.number: int | None = None
        self.crossed = False

    def clear(self) -> None:
        """Forget all entries."""
        for side in self.sides.values():
            side.clear()

    def apply(self, action: str, kind: str, fields: Fields) -> bool:
        """Take an entry in; return whether it was, or is now, the best of its side."""
        side, price = self.sides[kind], number(fields.get(t.MD_ENTRY_PX))
        key = fields.get(t.MD_ENTRY_REF_ID) or self._key(fields, price)
        before = self.best(kind)
        old = side.get(key)
        size = number(fields.get(t.MD_ENTRY_SIZE))
        if action == DELETE or (size is not None and size <= 0 and action != NEW):
            side.pop(key, None)
        else:
            if fields.get(t.MD_ENTRY_REF_ID) and fields.get(t.MD_ENTRY_ID):
                side.pop(key, None)
                key = fields[t.MD_ENTRY_ID]
            told = price if price is not None else (old[0] if old else None)
            if told is not None:
                side[key] = (told, size if size is not None else (old[1] if old else ZERO))
        now = self.best(kind)
        return before != now or (now is not None and price == now[0])

    def _key(self, fields: Fields, price: Decimal | None) -> str:
        entry = fields.get(t.MD_ENTRY_ID)
        if entry is not None:
            return entry
        return "top" if self._depth == 1 else f"@{price}"

    def best(self, kind: str) -> Level | None:
        """Return the best price of a side and all that is there; None where it is empty."""
        levels = self.sides[kind].values()
        if not levels:
            return None
        prices = [price for price, _ in levels]
        best = max(prices) if kind == BID else min(prices)
        return best, sum((size for price, size in levels if price == best), ZERO)

    def quote(self, instrument: str, ts: int) -> Quote | None:
        """Return the best of both sides; None where there is nothing to tell, or it is crossed."""
        bid, ask = self.best(BID), self.best(OFFER)
        if bid is None and ask is None:
            return None
        bid = bid or ((ask or (ZERO,))[0], ZERO)
        ask = ask or (bid[0], ZERO)
        self.crossed = bool(bid[1] and ask[1]) and bid[0] > ask[0]
        if self.crossed:
            return None
        return Quote(instrument, ts, bid[0], ask[0], bid[1], ask[1], self.number)


class Reader:
    """Reads one session's market data. `wanted` says what each request is about."""

    def __init__(self, symbols: SymbolMap, depth: int = 1) -> None:
        self._symbols, self._depth = symbols, depth
        self._books: dict[str, Book] = {}
        self.again: set[str] = set()  # instruments whose book has to be asked for once more
        self.wanted: dict[str, tuple[str, str, str | None]] = {}  # id -> instrument, data, step

    def forget(self) -> None:
        """The connection is gone: no book is worth anything any more."""
        self._books.clear()

    def take(self, message: Message, now: int) -> list[AnyRow | FeedSignal]:
        """Return what a W or X tells; nothing of what somebody else on this session asked for, or
        the process before this one, which was killed and never said that it wants no more."""
        name = message.get(t.MD_REQ_ID, "")
        told = self.wanted.get(name)
        if told is None and (name or not self.wanted):
            return []
        instrument = self._symbols.instrument(message.get) or (told[0] if told else "")
        sequence = message.get(t.RPT_SEQ, "")
        count = int(sequence) if sequence.isdigit() else None
        if message.type == "W":
            return self._whole(message, instrument, count, now, told)
        return self._change(message, instrument, count, now)

    # -- snapshots

    def _whole(
        self,
        message: Message,
        instrument: str,
        count: int | None,
        now: int,
        told: tuple[str, str, str | None] | None,
    ) -> list[AnyRow | FeedSignal]:
        rows = _rows(message, t.MD_ENTRY_TYPE)
        book = self._book(instrument)
        kinds = {row.get(t.MD_ENTRY_TYPE, "") for row in rows}
        ts = max((_time(row, message, now) for row in rows), default=now)
        if kinds & BAR.keys():
            step = message.get(t.TEXT) or (told[2] if told else None) or ""
            return _bar(instrument, ts, rows, step, count)
        out: list[AnyRow | FeedSignal] = []
        if kinds & {BID, OFFER} or EMPTY_BOOK in kinds:
            self.again.discard(instrument)
            book.clear()
            book.number = count
            for row in rows:
                if row.get(t.MD_ENTRY_TYPE) in book.sides:
                    book.apply(NEW, row[t.MD_ENTRY_TYPE], row)
            out += self._quoted(book, instrument, ts)
        trades = [row for row in rows if row.get(t.MD_ENTRY_TYPE) == TRADE]
        return out + [
            made
            for row in trades
            if (made := _trade(instrument, row, message, now, count)) is not None
        ]

    # -- increments

    def _change(
        self, message: Message, instrument: str, count: int | None, now: int
    ) -> list[AnyRow | FeedSignal]:
        out: list[AnyRow | FeedSignal] = []
        touched: dict[str, int] = {}
        name = instrument
        for row in _rows(message, t.MD_UPDATE_ACTION):
            name = self._symbols.instrument(row.get) or name
            if not name:
                continue
            kind, ts = row.get(t.MD_ENTRY_TYPE, ""), _time(row, message, now)
            numbered = row.get(t.RPT_SEQ, "")
            out += self._counted(name, int(numbered) if numbered.isdigit() else count, ts)
            if name in self.again:
                continue
            if kind == TRADE:
                made = _trade(name, row, message, now, count)
                out += [] if made is None else [made]
            elif self._applied(name, kind, row):
                touched[name] = max(ts, touched.get(name, 0))
        for name, ts in touched.items():
            out += self._quoted(self._book(name), name, ts)
        return out

    def _applied(self, name: str, kind: str, row: Fields) -> bool:
        """Take an entry into its book; a change may leave out which side its entry is on."""
        book = self._book(name)
        if kind not in book.sides:
            entry = row.get(t.MD_ENTRY_ID, "")
            kind = next((side for side, known in book.sides.items() if entry in known), "")
        return bool(kind) and book.apply(row.get(t.MD_UPDATE_ACTION, NEW), kind, row)

    def _counted(self, name: str, count: int | None, ts: int) -> list[AnyRow | FeedSignal]:
        """Compare an instrument's number with the last one."""
        book = self._book(name)
        last = book.number
        if count is None or name in self.again:
            return []
        book.number = count
        if last is None or count in (last, last + 1):
            return []
        self.again.add(name)
        return [FeedSignal("gap", name, ts, f"number {count} after {last}; it is asked for again")]

    def _quoted(self, book: Book, name: str, ts: int) -> list[AnyRow | FeedSignal]:
        was = book.crossed
        quote = book.quote(name, ts)
        if book.crossed and not was:
            return [FeedSignal("stale", name, ts, "the book is crossed")]
        if quote is None:
            return []
        said: list[AnyRow | FeedSignal] = []
        if was:
            said.append(FeedSignal("live", name, ts, "the book is no longer crossed"))
        return [*said, quote]

    def _book(self, name: str) -> Book:
        return self._books.setdefault(name, Book(self._depth))


def _rows(message: Message, opens: int) -> list[dict[int, str]]:
    found = rows_of(message.fields, t.NO_MD_ENTRIES, opens, ENTRY)
    return [dict(reversed(row)) for row in found]


def _time(row: Fields, message: Message, now: int) -> int:
    """Return an entry's time: its own, else the message's."""
    time = row.get(t.MD_ENTRY_TIME)
    sent = message.get(t.TRANSACT_TIME) or message.get(t.SENDING_TIME, "")
    date = row.get(t.MD_ENTRY_DATE) or sent[:8]
    for text in (f"{date}-{time}" if time else "", sent):
        try:
            return parse_utc(text)
        except ValueError:
            continue
    return now


def _trade(
    instrument: str, row: Fields, message: Message, now: int, count: int | None
) -> Trade | None:
    price = number(row.get(t.MD_ENTRY_PX))
    if price is None or not instrument:
        return None
    named = row.get(t.TRADE_ID) or row.get(t.MD_ENTRY_ID, "")
    side = SIDES.get(row.get(AGGRESSOR, ""))
    size = number(row.get(t.MD_ENTRY_SIZE)) or ZERO
    return Trade(instrument, _time(row, message, now), price, size, side, named, count)


def _bar(
    instrument: str, ts: int, rows: list[dict[int, str]], step: str, count: int | None
) -> list[AnyRow | FeedSignal]:
    found: dict[str, Decimal] = {}
    volume = ZERO
    for row in rows:
        kind, price = row.get(t.MD_ENTRY_TYPE, ""), number(row.get(t.MD_ENTRY_PX))
        if kind in BAR and price is not None:
            found[BAR[kind]] = price
        elif kind == VOLUME:
            volume = number(row.get(t.MD_ENTRY_SIZE)) or ZERO
    if len(found) < len(BAR):
        return []
    prices = (found["open"], found["high"], found["low"], found["close"])
    return [Bar(instrument, ts, step, *prices, volume, count)]
