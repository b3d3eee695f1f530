"""A feed over FIX: one market data session behind the port of a feed.

Subscriptions are asked for again after every reconnect, and a book whose numbers have a gap as
well; what was known is forgotten then. Our own simulated venue may replay a past day on the session
that carries the orders: it says so in its greeting, begins when it is told to, and waits for
`handled` where it is paced.

Signals   closed: the session is down; live: it is up again; gap, stale: see `marketdata`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

import msgspec

from onetape.errors import VenueError, VenueUnavailable
from onetape.market import Instrument
from onetape.run.ports import AnyRow, FeedSignal, Subscription
from onetape_fix.gateway.building import profile_of
from onetape_fix.gateway.line import Heard, Inbound, LineAlarm, LineState, Refused, Sent
from onetape_fix.profiles import SymbolMap
from onetape_fix.trade.config import Config, listed, session_of, settings_of
from onetape_fix.trade.ids import PLAIN, written
from onetape_fix.trade.lines import Shared, lines_of
from onetape_fix.trade.listing import instruments_in
from onetape_fix.trade.marketdata import BAR, BID, OFFER, TRADE, VOLUME, Reader
from onetape_fix.trade.queries import Questions
from onetape_fix.wire import Body, Message, Value
from onetape_fix.wire import tags as t

Emit = Callable[[AnyRow | FeedSignal], None]
ENTRIES = {"quotes": (BID, OFFER), "trades": (TRADE,), "bars": (*BAR, VOLUME)}
SUBSCRIBE, UNSUBSCRIBE = "1", "2"
LIST_ALL = "4"  # 559
OWN_ALARMS = frozenset(("reset", "gap_filled_over", "no_resend", "seq_too_low"))
GREETING_S = 0.005


class Feed:
    """Keeps `onetape.run.ports.Feed`; see the module."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._session = session_of(
            settings_of(config), config.marketdata or config.session, "marketdata"
        )
        profile = profile_of(self._session)
        self._profile, self._own = profile, profile.name == "sim"
        self.name = config.name or self._session.target
        self._symbols = SymbolMap(profile, self.name, config.symbols)
        self.replayed = self._own if config.replayed is None else config.replayed
        self.paced = self._own if config.paced is None else config.paced
        self.synthetic = self._own if config.synthetic is None else config.synthetic
        self._listed = {each.id: each for each in listed(config)}
        self._reader = Reader(self._symbols, config.depth)
        self._ids = count(time.time_ns() // 1_000)
        self._questions = Questions(next(self._ids) * 1_000)
        self._wanted: dict[str, Subscription] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._numbers: dict[int, str] = {}
        self._emit: Emit | None = None
        self._shared: Shared | None = None
        self._up = self._begun = False

    # -- on and off

    async def connect(self, emit: Emit) -> None:
        """See the port; `replayed`, `paced` and `synthetic` are the venue's from here on."""
        await self.disconnect()
        lines = lines_of(self._config.config, self._config.gateway)
        shared = lines.shared(self._session.name)
        await shared.attach(self._hear, None)
        self._shared = shared
        try:
            await shared.until_up(self._config.connect)
            now = await self._greeted(shared)
        except BaseException:
            await self.disconnect()
            raise
        self._up, self._emit = True, emit
        emit(FeedSignal("live", None, now))

    async def _greeted(self, shared: Shared) -> int:
        if not self._own:
            return time.time_ns()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.timeout):
                while shared.greeting is None:
                    await asyncio.sleep(GREETING_S)
        told = json.loads(shared.greeting or "{}")
        self.name = self._config.name or told.get("name", self.name)
        self.replayed = bool(told.get("replayed", self.replayed))
        self.paced = bool(told.get("paced", self.paced))
        self.synthetic = bool(told.get("synthetic", self.synthetic))
        return int(told.get("now", time.time_ns()))

    async def disconnect(self) -> None:
        """See the port."""
        shared, self._shared = self._shared, None
        self._emit, self._begun = None, False
        if shared is None:
            return
        if shared.up:
            for name, wanted in list(self._wanted.items()):
                with suppress(VenueError):
                    shared.send("V", self._body(name, wanted, UNSUBSCRIBE))
        self._up = False
        self._wanted.clear()
        self._reader.wanted.clear()
        self._reader.forget()
        self._fail("the feed was left")
        await shared.detach(self._hear)

    # -- what is asked

    async def instruments(self) -> Sequence[Instrument]:
        """See the port."""
        shared = self._open()
        if not self._listed:
            if "x" not in self._profile.supported:
                raise VenueUnavailable(
                    f"a broker of the profile {self._profile.name!r} lists nothing; name the "
                    'instruments in the config: "instruments": "FILE.json"'
                )
            question = self._questions.begin("instruments")
            body: Body = [
                (t.SECURITY_REQ_ID, question.id), (t.SECURITY_LIST_REQUEST_TYPE, LIST_ALL)
            ]  # fmt: skip
            shared.send("x", body, question.id)
            found = await self._questions.answer(question, self._config.timeout)
            told = instruments_in(found, self._symbols)
            self._listed = {each.id: each for each in told}
        elif self._own:
            await asyncio.sleep(0)
        return list(self._listed.values())

    async def subscribe(self, wanted: Subscription) -> None:
        """See the port."""
        self._open()
        if wanted.data not in ENTRIES or (wanted.data == "bars" and not self._own):
            raise VenueError(f"no {wanted.data} over FIX from {self.name}; quotes and trades are")
        if wanted not in self._wanted.values():
            await self._ask(written(next(self._ids), PLAIN), wanted)

    async def _ask(self, name: str, wanted: Subscription) -> None:
        shared = self._open()
        body = self._body(name, wanted, SUBSCRIBE)
        waiting = self._waiting[name] = asyncio.get_running_loop().create_future()
        self._reader.wanted[name] = (wanted.instrument, wanted.data, wanted.step)
        self._wanted[name] = wanted
        try:
            shared.send("V", body, name)
            async with asyncio.timeout(self._config.timeout):
                await waiting
        except TimeoutError:
            return  # no refusal: a quiet instrument may have nothing to show yet
        except BaseException:
            self._wanted.pop(name, None)
            self._reader.wanted.pop(name, None)
            raise
        finally:
            self._waiting.pop(name, None)

    async def begin(self) -> None:
        """See the port."""
        shared = self._open()
        self._begun = True
        if self._own:
            shared.send("UB", [])

    def handled(self) -> None:
        """See the port."""
        if self._own and self._shared is not None and self._shared.up:
            self._shared.send("UH", [])

    def _body(self, name: str, wanted: Subscription, action: str) -> Body:
        full = self._profile.snapshots
        body: list[tuple[int, Value]] = [(t.MD_REQ_ID, name)]
        body += [(t.SUBSCRIPTION_REQUEST_TYPE, action)]
        body += [(t.MARKET_DEPTH, self._config.depth), (t.MD_UPDATE_TYPE, "0" if full else "1")]
        body.append((t.NO_MD_ENTRY_TYPES, [[(t.MD_ENTRY_TYPE, e)] for e in ENTRIES[wanted.data]]))
        body.append((t.NO_RELATED_SYM, [self._symbols.fields(wanted.instrument)]))
        if wanted.step is not None:
            body.append((t.TEXT, wanted.step))
        return body

    def _open(self) -> Shared:
        if self._shared is None or self._emit is None:
            raise VenueUnavailable(f"not connected to the feed {self.name}; connect() first")
        return self._shared

    # -- what is heard

    def _hear(self, heard: Heard) -> None:
        try:
            self._take(heard)
        except Exception as err:  # a line whose listener fails is lost
            self._say([FeedSignal("gap", None, time.time_ns(), f"not understood: {err!r}")])

    def _take(self, heard: Heard) -> None:
        match heard:
            case Inbound(replayed=False):
                self._read(heard.message, heard.ts)
            case Sent(replayed=False):
                if heard.ref:
                    self._numbers[heard.seq] = heard.ref
                    if len(self._numbers) > 1_000:
                        self._numbers.pop(next(iter(self._numbers)))
            case Refused():
                self._refused(heard.ref, heard.why)
            case LineState():
                self._moved(heard)
            case LineAlarm():
                if heard.code in OWN_ALARMS:
                    self._say([FeedSignal("gap", None, time.time_ns(), heard.text)])
            case _:
                pass

    def _read(self, message: Message, ts: int) -> None:
        if self._questions.take(message):
            return
        match message.type:
            case "W" | "X":
                self._answered(message.get(t.MD_REQ_ID, ""))
                self._say(self._reader.take(message, ts))
                self._again()
            case "Y":
                why = message.get(t.TEXT) or f"281={message.get(t.MD_REQ_REJ_REASON, '?')}"
                self._refused(message.get(t.MD_REQ_ID, ""), why)
            case "3" | "j":
                ref = message.get(t.BUSINESS_REJECT_REF_ID, "")
                number = message.get(t.REF_SEQ_NUM, "")
                ref = self._numbers.get(int(number), ref) if number.isdigit() else ref
                self._refused(ref, message.get(t.TEXT, f"35={message.type}"))
            case "UX" if self._own:
                said = msgspec.json.decode(message.get(t.TEXT, "{}"), type=FeedSignal)
                self._say([said])
            case "f":
                self._say(self._state(message, ts))
            case _:
                pass

    def _state(self, message: Message, ts: int) -> list[AnyRow | FeedSignal]:
        """A SecurityStatus: a halt is told as a feed that is stale for the instrument."""
        halted = message.get(t.SECURITY_TRADING_STATUS) in ("2", "18")
        name = self._symbols.instrument(message.get)
        told = "trading is halted" if halted else "trading goes on"
        return [FeedSignal("stale" if halted else "live", name, ts, told)]

    def _answered(self, name: str) -> None:
        waiting = self._waiting.get(name)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _refused(self, ref: str, why: str) -> None:
        if self._questions.refused(ref, why):
            return
        waiting, wanted = self._waiting.get(ref), self._wanted.get(ref)
        if waiting is not None and not waiting.done():
            waiting.set_exception(VenueError(f"{self.name} does not give that: {why}"))
        elif wanted is not None:
            self._say([FeedSignal("closed", wanted.instrument, time.time_ns(), why)])

    def _moved(self, state: LineState) -> None:
        if state.up == self._up or self._emit is None:
            return
        self._up = state.up
        if not state.up:
            self._reader.forget()
            self._fail(f"the session is down: {state.detail}")
            self._say([FeedSignal("closed", None, time.time_ns(), state.detail)])
            return
        self._say([FeedSignal("live", None, time.time_ns(), "again")])
        wanted, self._wanted = list(self._wanted.values()), {}
        self._reader.wanted.clear()
        for each in wanted:
            self._renew(each)
        if self._own and self._begun and self._shared is not None:
            self._shared.send("UB", [])

    def _again(self) -> None:
        """Ask once more for the books that have a gap."""
        for instrument in list(self._reader.again):
            for name, wanted in list(self._wanted.items()):
                if wanted.instrument == instrument and wanted.data == "quotes":
                    del self._wanted[name]
                    if self._shared is not None:
                        self._shared.send("V", self._body(name, wanted, UNSUBSCRIBE))
                    self._renew(wanted)

    def _renew(self, wanted: Subscription) -> None:
        name = written(next(self._ids), PLAIN)
        self._wanted[name] = wanted
        self._reader.wanted[name] = (wanted.instrument, wanted.data, wanted.step)
        if self._shared is not None:
            self._shared.send("V", self._body(name, wanted, SUBSCRIBE), name)

    def _fail(self, why: str) -> None:
        self._questions.lost(why)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(VenueUnavailable(why))

    def _say(self, said: list[AnyRow | FeedSignal]) -> None:
        emit = self._emit
        if emit is not None:
            for each in said:
                emit(each)
