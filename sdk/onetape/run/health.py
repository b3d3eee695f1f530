"""Health: whether what a feed says can be relied on, one judgement for each instrument.

States   of a subscription: waiting (nothing came yet), live, offset (the venue's clock and ours
         are apart), stale (silence), gap (rows are missing), closed. An instrument is as its worst
         subscription. A bad state is left only after `calm_ns` without trouble and on a new row
         (or the feed's word), so that one that comes and goes does not open and shut the gate.
Silence  no row for `stale_ns`, and where the feed has a heartbeat, no heartbeat either: a quiet
         market with a living feed is not stale. A past day's silence is the market's own: for a
         replayed feed only its signals count.
Gaps     by `sequence`, which counts per feed and instrument, and by the feed's own word. A number
         that comes again is a repeat; a count that begins anew is a gap.
Offset   the median of receipt less the venue's time over the last rows: one late row, or an old
         snapshot, does not move it. Not for replayed feeds.
Flags    quotes that are crossed, not above zero, or far from the last one are counted and shown;
         what to do about them is the strategy's and the gate's business.
Time     is handed in (ns UTC), so that a session made again from its inputs says the same.
"""

from __future__ import annotations

from decimal import Decimal
from statistics import median_low

import msgspec

from onetape.errors import SettingsError
from onetape.market.times import step_ns
from onetape.run.ports import AnyRow, Bar, FeedSignal, Quote, Subscription, Trade
from onetape.tape.kinds_live import FeedMoved

SECOND = 1_000_000_000
RANK = {"waiting": 0, "live": 1, "offset": 2, "stale": 3, "gap": 4, "closed": 5}
DATA: dict[type, str] = {Quote: "quotes", Trade: "trades", Bar: "bars"}
KINDS = {data: kind for kind, data in DATA.items()}
LAGS = 63  # rows that the clock offset is drawn from
ENOUGH = 9  # of them before it is believed
AGAIN = 3  # numbers in a row, below the last one, that say that a count began anew


class Terms(msgspec.Struct, frozen=True):
    """When a subscription is in trouble.

    stale_ns    silence from which it is stale; a bar's step is added to it
    offset_ns   how far the venue's clock and ours may be apart
    calm_ns     how long trouble must be gone before it is live again
    spike       how far a quote may be from the last one, as a share of it; None: anything goes
    heartbeat   whether the feed's heartbeat speaks for a subscription that has no rows
    """

    stale_ns: int = 2 * SECOND
    offset_ns: int = SECOND
    calm_ns: int = SECOND
    spike: Decimal | None = Decimal("0.1")
    heartbeat: bool = True


class Watched(msgspec.Struct, gc=False):
    """A subscription as it stands; times are stamps, ns UTC."""

    instrument: str
    data: str
    step: str | None
    terms: Terms
    stale_ns: int
    since: int
    state: str = "waiting"
    detail: str = ""
    rows: int = 0
    last: int = 0  # the stamp of the last row
    lag_ns: int = 0  # median of receipt less the venue's time
    flags: dict[str, int] = {}
    flagged: str = ""  # the last flag in words
    mid: Decimal = Decimal(0)  # twice the last sane mid: no division is needed to compare
    lags: list[int] = []
    measured: int = 0  # rows when the lag was last worked out
    trouble: str = ""  # said since the last tick: gap, stale
    why: str = ""
    closed: bool = False
    calm: int = 0  # the stamp of the last trouble
    revived: int = 0  # when the feed last said that it is live

    @property
    def heard(self) -> int:
        """The stamp of the last row, or of the beginning."""
        return self.last or self.since


class Standing(msgspec.Struct, frozen=True):
    """A subscription for the status file; `age_ns` is of the last row, -1 before the first."""

    instrument: str
    data: str
    step: str | None
    state: str
    detail: str
    rows: int
    last: int
    age_ns: int
    lag_ns: int
    flags: dict[str, int]
    flagged: str


class Counted(msgspec.Struct, gc=False):
    """The sequence of an instrument's rows."""

    last: int
    back: int = 0
    run: int = 0

    def gap(self, number: int) -> str:
        """Take a number that was not expected; return what is missing, "" for a repeat."""
        if number > self.last:
            missing = f"{self.last + 1} to {number - 1}" if number > self.last + 2 else number - 1
            self.last, self.run = number, 0
            return f"sequence {missing} is missing"
        self.run = self.run + 1 if number == self.back + 1 else 1
        self.back = number
        if number > 1 and self.run < AGAIN:
            return ""
        was, self.last, self.run = self.last, number, 0
        return f"sequence began anew at {number}, {was + 1} expected"


class Health:
    """Judges a feed by what it says and by when.

    feed       its name, for the facts
    replayed   a past day's rows: neither silence nor clocks are judged
    terms      for every subscription that is watched without its own
    """

    def __init__(self, feed: str, *, replayed: bool = False, terms: Terms | None = None) -> None:
        self.feed, self.replayed = feed, replayed
        self.terms = terms or Terms()
        self._watched: dict[type, dict[object, Watched]] = {Quote: {}, Trade: {}, Bar: {}}
        self._of: dict[str, list[Watched]] = {}
        self._counted: dict[str, Counted] = {}
        self._told: dict[str, str] = {}
        self._beat = 0
        self._beats: dict[str, int] = {}
        self._now = 0

    def watch(self, wanted: Subscription, stamp: int, terms: Terms | None = None) -> Watched:
        """Watch a subscription from now on; one that is watched already gets these terms.

        Raises SettingsError where its data is none of quotes, trades, bars.
        """
        kind = KINDS.get(wanted.data)
        if kind is None:
            raise SettingsError(f"data {wanted.data!r} found; expected one of {', '.join(KINDS)}")
        terms = terms or self.terms
        length = (step_ns(wanted.step) or 0) if wanted.step else 0
        key = _key(kind, wanted.instrument, wanted.step)
        made = self._watched[kind].get(key)
        if made is None:
            what = (wanted.instrument, wanted.data, wanted.step)
            made = Watched(*what, terms, terms.stale_ns + length, stamp)
            self._watched[kind][key] = made
            self._of.setdefault(wanted.instrument, []).append(made)
        made.terms, made.stale_ns = terms, terms.stale_ns + length
        return made

    def take(self, row: AnyRow, stamp: int) -> bool:
        """Take a row at its receipt; return whether `tick` has something to say at once."""
        kind = type(row)
        name = row.instrument
        one = self._watched[kind].get(name if kind is not Bar else (name, row.step))  # pyright: ignore
        if one is None:
            step = row.step if isinstance(row, Bar) else None
            one = self.watch(Subscription(name, DATA[kind], step), stamp)
        one.rows += 1
        one.last = stamp
        one.closed = False
        if not self.replayed:
            lags, at = one.lags, one.rows % LAGS
            if len(lags) < LAGS:
                lags.append(stamp - row.ts_event)
            else:
                lags[at] = stamp - row.ts_event
        number = row.sequence
        if number is not None:
            counted = self._counted.get(name)
            if counted is None:
                self._counted[name] = Counted(number)
            elif number == counted.last + 1:
                counted.last, counted.run = number, 0
            elif missing := counted.gap(number):
                self._trouble(name, "gap", missing)
        if kind is Quote:
            self._look(one, row)  # pyright: ignore[reportArgumentType]
        return one.state == "waiting" or bool(one.trouble)

    def signal(self, said: FeedSignal, stamp: int) -> bool:
        """Take a word of the feed about itself; return whether `tick` has something to say."""
        names = list(self._of) if said.instrument is None else [said.instrument]
        what = said.signal
        if what == "heartbeat":
            if said.instrument is None:
                self._beat = stamp
            else:
                self._beats[said.instrument] = stamp
            return False
        for name in names:
            if what in ("gap", "stale"):
                self._trouble(name, what, said.detail or f"the feed says {what}")
            for one in self._of.get(name, ()):
                if what in ("closed", "ended"):
                    one.closed, one.why = True, said.detail or f"the feed says {what}"
                elif what == "live":
                    one.closed, one.trouble, one.revived = False, "", stamp
        return what in ("gap", "stale", "closed", "ended", "live")

    def tick(self, now: int) -> list[FeedMoved]:
        """Judge every subscription; return what changed, one fact for an instrument at most."""
        self._now = max(now, self._now)
        moved: list[FeedMoved] = []
        for name, some in self._of.items():
            for one in some:
                self._judge(one, self._now)
            worst = max(some, key=_rank)
            if worst.state != self._told.get(name, "waiting"):
                self._told[name] = worst.state
                many = f"{worst.data}: {worst.detail}" if len(some) > 1 and worst.detail else ""
                age = worst.lag_ns if worst.state == "offset" else self._now - worst.heard
                moved.append(FeedMoved(self.feed, name, worst.state, many or worst.detail, age))
        return moved

    def state(self, instrument: str) -> str:
        """Return what was last told of an instrument; waiting before anything was."""
        return self._told.get(instrument, "waiting")

    def states(self) -> list[Standing]:
        """Return every subscription as it stood at the last tick, for the status file."""
        return [
            Standing(
                one.instrument, one.data, one.step, one.state, one.detail, one.rows, one.last,
                max(0, self._now - one.last) if one.rows else -1, one.lag_ns, dict(one.flags),
                one.flagged,
            )
            for some in self._of.values()
            for one in some
        ]  # fmt: skip

    def _trouble(self, instrument: str, what: str, why: str) -> None:
        for one in self._of.get(instrument, ()):
            if not one.trouble or RANK[what] >= RANK[one.trouble]:
                one.trouble, one.why = what, why

    def _judge(self, one: Watched, now: int) -> None:
        found, why = self._found(one, now)
        if found:
            one.state, one.detail, one.calm = found, why, now
        elif not one.rows:
            return
        elif one.state == "waiting":
            one.state = "live"
        elif one.state != "live":
            again = max(one.last, one.revived) > one.calm
            if again and now - one.calm >= one.terms.calm_ns:
                one.state, one.detail = "live", ""

    def _found(self, one: Watched, now: int) -> tuple[str, str]:
        """Return what is wrong with a subscription now, or nothing."""
        trouble, one.trouble = one.trouble, ""
        if one.closed:
            return "closed", one.why
        if trouble == "gap":
            return trouble, one.why
        if not self.replayed:
            heard = one.heard
            if one.terms.heartbeat:
                heard = max(heard, self._beat, self._beats.get(one.instrument, 0))
            if now - heard > one.stale_ns:
                what = "no row" if one.rows else "no row yet"
                return "stale", f"{what} for {one.stale_ns / SECOND:g} s"
        if trouble:
            return trouble, one.why
        return self._offset(one)

    def _offset(self, one: Watched) -> tuple[str, str]:
        if one.rows < ENOUGH or self.replayed:
            return "", ""
        if one.measured != one.rows:
            one.lag_ns, one.measured = median_low(one.lags), one.rows
        limit = one.terms.offset_ns
        if one.state == "offset":
            limit = limit * 4 // 5  # once apart, it must come well within
        if abs(one.lag_ns) <= limit:
            return "", ""
        told = "behind ours" if one.lag_ns > 0 else "ahead of ours"
        return "offset", f"the venue's time is {abs(one.lag_ns) / SECOND:.3f} s {told}"

    def _look(self, one: Watched, quote: Quote) -> None:
        bid, ask = quote.bid, quote.ask
        if bid > ask:
            _flag(one, "crossed", f"bid {bid} above ask {ask}")
        if bid <= 0 or ask <= 0:
            _flag(one, "zero", f"bid {bid}, ask {ask}")
            return
        mid, last, spike = bid + ask, one.mid, one.terms.spike
        if last and spike is not None and abs(mid - last) > spike * last:
            _flag(one, "spike", f"mid {mid / 2} after {last / 2}")
        one.mid = mid


def _flag(one: Watched, kind: str, why: str) -> None:
    one.flags[kind] = one.flags.get(kind, 0) + 1
    one.flagged = f"{kind}: {why}"


def _key(kind: type, instrument: str, step: str | None) -> object:
    return (instrument, step) if kind is Bar else instrument


def _rank(one: Watched) -> int:
    return RANK[one.state]
