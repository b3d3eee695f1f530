"""Market data from the world's feed to the wire: V -> W X Y.

W     the whole top of book, each time (265=0 or absent), or the last trade, or a bar
X     what has changed (265=1): 279=0 new, 1 change, 2 delete; after a first W
Y     a request that cannot be served, with the reason in 281 and 58

A row's time is 272 and 273 of its entries. In our own dialect the times have nine digits, 83 is the
row's number, 1003 a trade's id and 2446 its aggressor; a request for bars (269=4 5 7 8 B) names
their step in 58, and so does a W of bars; a subscription that has no row yet is confirmed by a W
without entries; rows of a stepped world wait for the client's UH. All others are not waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

import msgspec

from onetape.errors import VenueError
from onetape.run.ports import AnyRow, Bar, FeedSignal, Quote, Subscription, Trade
from onetape_fix.door.dialect import FIX50, plain
from onetape_fix.door.seat import Seat
from onetape_fix.door.words import SIDE_OF
from onetape_fix.wire import Body, Message, Value, rows_of
from onetape_sim.audience import FeedDoor, Key, key_of

Fields = list[tuple[int, Value]]
BID, OFFER, TRADE, OPEN, CLOSE, HIGH, LOW, VOLUME = "0", "1", "2", "4", "5", "7", "8", "B"
QUOTES, BARS = frozenset((BID, OFFER)), frozenset((OPEN, CLOSE, HIGH, LOW, VOLUME))
SNAPSHOT, SUBSCRIBE, UNSUBSCRIBE = "0", "1", "2"  # 263
NEW, CHANGE, DELETE = "0", "1", "2"  # 279
UNKNOWN_SYMBOL, DUPLICATE_ID, BAD_ACTION, BAD_DEPTH, BAD_UPDATE, BAD_TYPE = "014568"  # 281
ZERO = Decimal(0)


class Refused(Exception):
    """A market data request that cannot be served; `code` is 281."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Stream(NamedTuple):
    """One subscription: what it wants, and which sides of which book it has been shown."""

    id: str
    keys: frozenset[Key]
    kinds: frozenset[str]
    increments: bool
    shown: set[tuple[str, str]]


class MarketData:
    """See the module. `begun`: the feed begins with the first subscription; ours only where the
    market runs on the wall, and what passes until all have subscribed would be missing."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.feed = FeedDoor(self.hear)
        self.streams: dict[str, Stream] = {}
        self.entry_ids = False
        self._said = 0
        self.done: dict[str, Callable[[Message], None]] = {
            "V": self.request,
            "UB": self.begin,
            "UH": self.handled,
        }

    def open(self) -> None:
        """The session is up: be part of the audience."""
        self.close()
        self.feed = FeedDoor(self.hear)
        self.seat.world.player.audience.open(self.feed)

    def close(self) -> None:
        """The session is gone: nobody waits for it, nothing is subscribed."""
        self.streams.clear()
        self.seat.world.player.leave(self.feed)

    def begin(self, _message: Message | None = None) -> None:
        """All subscriptions are there (UB)."""
        self.seat.world.player.begin(self.feed)

    def handled(self, _message: Message) -> None:
        """The client is done with the last row (UH)."""
        self.seat.world.player.handled(self.feed)

    # -- requests

    def request(self, message: Message) -> None:
        """Take in a MarketDataRequest."""
        seat, name = self.seat, message.get(262, "")
        try:
            self._request(message, name)
        except Refused as refused:
            body: Fields = [(262, name), (281, refused.code), (58, plain(refused.text))]
            seat.say("Y", seat.dialect.trimmed("Y", body))

    def _request(self, message: Message, name: str) -> None:
        action = message.get(263, SNAPSHOT)
        if action == UNSUBSCRIBE:
            if self.streams.pop(name, None) is None:
                raise Refused(DUPLICATE_ID, f"no subscription {name} to end")
            kept: set[Key] = set()
            self.feed.wanted = kept.union(*(each.keys for each in self.streams.values()))
            return
        if action not in (SNAPSHOT, SUBSCRIBE):
            raise Refused(BAD_ACTION, f"263={action} is not supported")
        if name in self.streams:
            raise Refused(DUPLICATE_ID, f"{name} is subscribed already")
        stream = self._stream(message, name)
        before = self._said
        if action == SUBSCRIBE:
            self.streams[name] = stream
            self._subscribe(stream)
        if self._said == before:
            self._snapshots(stream)
        if action == SUBSCRIBE and not self.feed.begun and not self._waits():
            self.begin()

    def _waits(self) -> bool:
        """Tell whether the market waits for the word (UB) that all subscriptions are there."""
        world = self.seat.world
        on_the_wall = world.config.clock == "wall" and not world.player.stepped
        return self.seat.dialect.own and not on_the_wall

    def _stream(self, message: Message, name: str) -> Stream:
        if message.get(264, "1") not in ("0", "1"):
            raise Refused(BAD_DEPTH, f"264={message[264]} is not supported; 1 is the top of book")
        update = message.get(265, "0")
        if update not in ("0", "1"):
            raise Refused(BAD_UPDATE, f"265={update} is not supported")
        asked = {value for row in rows_of(message.fields, 267, 269, (269,)) for _, value in row}
        wanted = asked or QUOTES
        unknown = wanted - QUOTES - BARS - {TRADE}
        if unknown:
            raise Refused(BAD_TYPE, f"269={sorted(unknown)[0]} is not supported")
        keys: set[Key] = set()
        rows = rows_of(message.fields, 146, _opens(message), (55, 207, 48, 22, 65, 167, 460))
        for row in rows or [message.fields]:
            keys |= self._keys(dict(reversed(row)), wanted, message.get(58))
        return Stream(name, frozenset(keys), frozenset(wanted), update == "1", set())

    def _keys(self, fields: dict[int, str], wanted: set[str] | frozenset[str], step: str | None):
        instrument = self.seat.instrument(fields)
        if instrument not in self.seat.world.core.books:
            raise Refused(UNKNOWN_SYMBOL, f"unknown instrument {instrument}")
        keys: set[Key] = set()
        if wanted & QUOTES:
            keys.add((instrument, "quotes", None))
        if TRADE in wanted:
            keys.add((instrument, "trades", None))
        if wanted & BARS:
            keys.add((instrument, "bars", step))
        return keys

    def _subscribe(self, stream: Stream) -> None:
        audience = self.seat.world.player.audience
        refused = 0
        for instrument, data, step in sorted(stream.keys, key=str):
            try:
                audience.subscribe(self.feed, Subscription(instrument, data, step))
            except VenueError as error:
                refused += 1
                if self.seat.dialect.own or refused == len(stream.keys):
                    self.streams.pop(stream.id, None)
                    raise Refused(BAD_TYPE, str(error)) from None

    def _snapshots(self, stream: Stream) -> None:
        """Show what the books are now, where there is something to show."""
        shown = False
        for instrument, data, _ in sorted(stream.keys, key=str):
            quote = self._quote(instrument) if data == "quotes" else None
            if quote is not None and (not self.seat.dialect.own or stream.id not in self.streams):
                self._whole(stream, quote)
                shown = True
        if not shown:
            instrument = min(stream.keys, key=str)[0]
            named = self.seat.dialect.named(instrument)
            body: Fields = [(262, stream.id), *named, (268, [])]
            if self.seat.dialect.version == FIX50:
                body.append((779, self.seat.dialect.time(self.seat.now)))
            self._say("W", body)

    def _quote(self, instrument: str) -> Quote | None:
        book = self.seat.world.core.books[instrument]
        bid, ask = book.bid, book.ask
        if bid.price is None and ask.price is None:
            return None
        prices = (bid.price or ZERO, ask.price or ZERO)
        return Quote(instrument, book.basis[1], *prices, bid.size, ask.size)

    # -- rows

    def hear(self, said: AnyRow | FeedSignal) -> None:
        """Pass on what the world's feed says."""
        seat = self.seat
        if isinstance(said, FeedSignal):
            if seat.dialect.own and said.signal != "closed":
                seat.say("UX", [(58, msgspec.json.encode(said).decode())])
            return
        key = key_of(said)
        for stream in list(self.streams.values()):
            if key in stream.keys:
                self._show(stream, said)
        if not seat.dialect.own:
            seat.world.player.handled(self.feed)

    def _show(self, stream: Stream, row: AnyRow) -> None:
        if stream.increments and (not isinstance(row, Quote) or self._has_shown(stream, row)):
            self._change(stream, row)
        else:
            self._whole(stream, row)

    def _has_shown(self, stream: Stream, row: Quote) -> bool:
        return any(name == row.instrument for name, _ in stream.shown)

    def _whole(self, stream: Stream, row: AnyRow) -> None:
        dialect = self.seat.dialect
        entries: list[Body] = self._entries(stream, row)
        if isinstance(row, Quote):
            stream.shown.update((row.instrument, str(entry[0][1])) for entry in entries)
        body: Fields = [(262, stream.id), *dialect.named(row.instrument)]
        if dialect.own:
            if row.sequence is not None:
                body.append((83, row.sequence))
            if isinstance(row, Bar):
                body.append((58, row.step))
        if dialect.version == FIX50:
            body.append((779, dialect.time(row.ts_event)))
        self._say("W", [*body, (268, entries)])

    def _entries(self, stream: Stream, row: AnyRow) -> list[Body]:
        date, time = self.seat.dialect.date_and_time(row.ts_event)
        when: Fields = [(272, date), (273, time)]
        if isinstance(row, Quote):
            both = ((BID, row.bid, row.bid_size), (OFFER, row.ask, row.ask_size))
            return [
                [(269, kind), (270, price), (271, size), *when]
                for kind, price, size in both
                if kind in stream.kinds and (size or self.seat.dialect.own)
            ]
        if isinstance(row, Trade):
            return [[(269, TRADE), (270, row.price), (271, row.size), *when, *_of_trade(row)]]
        prices = ((OPEN, row.open), (HIGH, row.high), (LOW, row.low), (CLOSE, row.close))
        told: list[Body] = [[(269, kind), (270, price), *when] for kind, price in prices]
        return [*told, [(269, VOLUME), (271, row.volume), *when]]

    def _change(self, stream: Stream, row: AnyRow) -> None:
        dialect = self.seat.dialect
        entries: list[Body] = []
        gone = self._gone(stream, row) if isinstance(row, Quote) else []
        for entry in (*self._entries(stream, row), *gone):
            kind = str(entry[0][1])
            action = NEW
            if isinstance(row, Quote):
                place = (row.instrument, kind)
                action = CHANGE if place in stream.shown else NEW
                stream.shown.add(place)
                if entry in gone:
                    action = DELETE
                    stream.shown.discard(place)
            head: Fields = [(279, action), entry[0]]
            if self.entry_ids and not isinstance(row, Trade):
                head.append((278, f"{row.instrument}-{kind}"))
            entries.append([*head, *dialect.named(row.instrument), *entry[1:]])
        if entries:
            body: Fields = [(262, stream.id)]
            if dialect.own and row.sequence is not None:
                body.append((83, row.sequence))
            self._say("X", [*body, (268, entries)])

    def _gone(self, stream: Stream, row: Quote) -> list[Body]:
        """Return the sides that were there and have no size any more."""
        if self.seat.dialect.own:
            return []
        date, time = self.seat.dialect.date_and_time(row.ts_event)
        both = ((BID, row.bid, row.bid_size), (OFFER, row.ask, row.ask_size))
        return [
            [(269, kind), (270, price), (271, ZERO), (272, date), (273, time)]
            for kind, price, size in both
            if not size and (row.instrument, kind) in stream.shown
        ]

    def _say(self, msg_type: str, body: Fields) -> None:
        self._said += 1
        self.seat.say(msg_type, self.seat.dialect.trimmed(msg_type, body))


def _opens(message: Message) -> int:
    """Return the tag that opens a row of symbols: the one behind the count."""
    fields = message.fields
    at = next((at for at, (tag, _) in enumerate(fields) if tag == 146), -2)
    return fields[at + 1][0] if at >= 0 else 55


def _of_trade(row: Trade) -> Fields:
    more: Fields = [(278, row.trade_id), (1003, row.trade_id)] if row.trade_id else []
    if row.side is not None:
        more.append((2446, SIDE_OF[row.side]))
    return more
