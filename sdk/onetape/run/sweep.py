"""Sweep: one venue is asked to let go of every order in scope, until its own word says so.

Requests  a mass cancel where the venue has one and the scope is a whole account (or one of its
          instruments); else single cancels, of our own orders first, then of what the venue
          lists. What is still listed is asked for again, later and later.
Evidence  only the venue's list of working orders, and for an order that it never acknowledged its
          status. Reports of cancels and fills are recorded by whoever holds the session.
Trouble   a venue that is silent or away is connected to again until the time is over.
Whose     where only our tape knows whose an order is (desk, strategy, trader) and the tape
          cannot be read, all orders of the accounts are canceled: canceled too many is mended by
          sending them again, one too few may not be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from onetape.errors import VenueError, VenueUnavailable
from onetape.risk.kill import CANCELLING, Kill, Scope
from onetape.run.ours import Own, Reading
from onetape.run.ports import (
    AnyReport,
    AnyWord,
    CancelOrder,
    CancelRejected,
    Filled,
    MassCancel,
    OrderStatus,
    Venue,
)

OVER = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "DENIED"})
UNREAD = "our tape could not be read in time to tell whose it is"
BURST = 200  # cancels in a row before others get their turn


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things are waited for, in seconds."""

    write_s: float = 0.25  # for the tape, before the cancels leave
    answer_s: float = 1.0  # for one answer of a venue
    logon_s: float = 4.0  # for logging on: a session may have a day's orders to tell first
    mass_s: float = 0.3  # for the answer to a mass cancel, before single ones follow
    poll_s: float = 0.02  # between the first two questions; grows
    poll_most_s: float = 0.5
    again_s: float = 0.2  # before an order is asked for again; grows
    again_most_s: float = 2.0
    attempts: int = 4  # after so many rejections of one order its venue is believed
    settle_s: float = 2.0  # for the tape, at the end


@dataclass(slots=True)
class Case:
    """What the sweeps of one kill share; `kill` is replaced at each step."""

    scope: Scope
    kill: Kill
    reading: Reading
    until: float  # the loop's time
    pace: Pace
    fills: int = 0
    strangers: set[str] = field(default_factory=set[str])  # at a venue, and no session's

    @property
    def left_s(self) -> float:
        return max(0.0, self.until - asyncio.get_running_loop().time())

    @property
    def widened(self) -> bool:
        """Whether everything is canceled because nobody can tell what is in scope."""
        return not self.scope.told_by_venue and self.reading.lost


@dataclass(slots=True)
class _Asked:
    times: int = 0
    last: float = float("-inf")
    rejected: int = 0  # times


class Sweep:
    """One venue while a kill lasts. `asked` is set once it was asked, or could not be."""

    def __init__(self, case: Case, name: str, venue: Venue, accounts: Iterable[str]) -> None:
        self.case, self.name = case, name
        self.asked = asyncio.Event()
        self._venue, self._accounts = venue, tuple(accounts)
        self._orders: dict[str, _Asked] = {}
        self._over: set[str] = set()  # never acknowledged, and the venue says how they ended
        self._mass: float | None = None  # when the venue took a mass cancel
        visit = getattr(venue, "visit", None)
        if callable(visit):  # what it reports to us is still its session's to hear
            visit()

    async def run(self) -> None:
        """Return once the venue's word is proof, it refuses for good, or the time is over."""
        pause = self.case.pace.poll_s
        while self.case.left_s > 0:
            try:
                await self._answer(
                    self._venue.connect(self._take), "log on", self.case.pace.logon_s
                )
                await self._request()
                self.asked.set()
                await self._verify()
                break
            except Exception as err:  # also an adapter's own fault: the other venues go on
                why = str(err) if isinstance(err, VenueError) else f"{self.name} failed: {err!r}"
                self.case.kill = self.case.kill.lost(self.name, why)
                self.asked.set()
            await self._leave()
            await asyncio.sleep(min(pause, self.case.left_s))
            pause = min(pause * 2, self.case.pace.poll_most_s)
        self.asked.set()
        await self._leave()

    def _take(self, report: AnyReport | AnyWord) -> None:
        if isinstance(report, CancelRejected):
            key = self._key(report.client_order_id, report.venue_order_id)
            if (asked := self._orders.get(key)) is not None:
                asked.rejected += 1
            why = f"{self.name} rejected the cancel ({report.reason})"
            self.case.kill = self.case.kill.hindered(key, why)
        elif isinstance(report, Filled):
            self.case.fills += 1

    def _key(self, client_order_id: str, venue_order_id: str) -> str:
        return client_order_id or f"venue:{self.name}/{venue_order_id}"

    async def _answer[T](self, asked: Awaitable[T], what: str, seconds: float = 0) -> T:
        """Return a venue's answer; one that does not come in time raises VenueUnavailable."""
        most = min(seconds or self.case.pace.answer_s, max(self.case.left_s, 0.01))
        try:
            return await asyncio.wait_for(asked, most)
        except TimeoutError:
            raise VenueUnavailable(f"{self.name} is silent ({what}: no answer)") from None
        except OSError as err:
            raise VenueUnavailable(f"{self.name} cannot be reached ({err})") from err

    async def _leave(self) -> None:
        with suppress(Exception):  # what matters was said before; there is nothing to mend here
            await self._answer(self._venue.disconnect(), "log off")

    # -- requests

    async def _request(self) -> None:
        self._mass = None
        for asked in self._orders.values():
            asked.last = float("-inf")  # what was asked over the last connection may be lost
        if self.case.scope.told_by_venue:
            await self._request_all()
        else:
            await self.case.reading.some(self.case.left_s)
        own = [one for one in self._own() if self._mass is None or not one.venue_order_id]
        await self._cancel([(one.client_order_id, one.venue_order_id, one) for one in own])
        if self._mass is None:
            await self._round()

    async def _request_all(self) -> None:
        only = self.case.scope.name if self.case.scope.kind == "instrument" else None
        try:
            for account in self._accounts:
                asked = self._venue.mass_cancel(MassCancel(account, only))
                if await self._answer(asked, "mass cancel", self.case.pace.mass_s) is None:
                    return
                self.case.kill = self.case.kill.requested()
            self._mass = asyncio.get_running_loop().time()
        except VenueError as err:  # single cancels follow: they raise where it is away
            why = f"the mass cancel was not taken: {err}"
            self.case.kill = self.case.kill.hindered(f"venue:{self.name}", why)

    def _own(self) -> list[Own]:
        case = self.case
        scope = Scope("firm") if case.widened else case.scope
        accounts = frozenset(self._accounts)
        # with the venue's own list at hand, our tape only adds what is on its way
        return case.reading.ours.working(scope, accounts, self.name)

    async def _cancel(self, orders: Sequence[tuple[str, str, Own | OrderStatus]]) -> None:
        """Hand the cancels that are due to the wire."""
        now, sent = asyncio.get_running_loop().time(), 0
        for client_id, venue_id, order in orders:
            key = self._key(client_id, venue_id)
            if not self._due(key, now):
                continue
            try:
                self._venue.cancel(CancelOrder(client_id, venue_id or None, order.instrument))
            except VenueUnavailable:
                raise
            except VenueError as err:  # about this order alone: the others go on
                why = f"{self.name} does not take the cancel ({err})"
                self.case.kill = self.case.kill.hindered(key, why)
                continue
            sent += 1
            if sent % BURST == 0:
                await asyncio.sleep(0)
        self.case.kill = self.case.kill.requested(sent)

    def _due(self, key: str, now: float) -> bool:
        """Tell whether an order is to be asked for now, and count it where it is."""
        pace, mass = self.case.pace, self._mass
        asked = self._orders.setdefault(key, _Asked() if mass is None else _Asked(1, mass))
        if now - asked.last < min(pace.again_s * 2**asked.times / 2, pace.again_most_s):
            return False
        asked.times, asked.last = asked.times + 1, now
        return True

    # -- evidence

    async def _verify(self) -> None:
        case, pause = self.case, self.case.pace.poll_s
        while case.left_s > 0:
            working = await self._round()
            word = case.kill.words.get(self.name)
            if case.kill.state != CANCELLING:
                if word is not None and word.quiet(case.kill.quiet_ns):
                    return
                if working and all(self._refused(key) for key in working):
                    return
            await asyncio.sleep(min(pause, case.left_s))
            reading = not (case.reading.whole or case.reading.lost)
            pause = min(pause * (1 if reading else 1.5), case.pace.poll_most_s)

    async def _round(self) -> list[str]:
        """Ask what works, ask again for it to be canceled; return what was named."""
        listed: dict[str, OrderStatus] = {}
        for account in self._accounts:
            for one in await self._answer(self._venue.orders(account), "working orders"):
                if one.status not in OVER:
                    listed[self._key(one.client_order_id, one.venue_order_id)] = one
        inside, unread = await self._in_scope(listed)
        due = [(one.client_order_id, one.venue_order_id, one) for one in inside.values()]
        flying = [one for one in self._own() if self._flying(one, listed)]
        # a cancel that came before its order was for nothing: it is asked for with the others
        await self._cancel([*due, *((one.client_order_id, "", one) for one in flying)])
        still = [*inside, *unread]
        if not still:
            still = await self._landed(flying)
        self._tell(still, unread)
        return still

    def _flying(self, one: Own, listed: dict[str, OrderStatus]) -> bool:
        """Tell whether the venue may not have seen an order of ours yet."""
        known = one.client_order_id in listed or one.client_order_id in self._over
        return not (known or one.venue_order_id)

    def _tell(self, still: list[str], unread: list[str]) -> None:
        case = self.case
        for key in unread:
            case.kill = case.kill.hindered(key, UNREAD)
        now = int(asyncio.get_running_loop().time() * 1e9)
        case.kill = case.kill.told(self.name, still, now)

    def _refused(self, key: str) -> bool:
        asked = self._orders.get(key)
        return asked is not None and asked.rejected >= self.case.pace.attempts

    async def _in_scope(
        self, listed: dict[str, OrderStatus]
    ) -> tuple[dict[str, OrderStatus], list[str]]:
        """Return what of a venue's list is in scope, and what nobody can tell of."""
        scope = self.case.scope
        if scope.kind == "instrument":
            return {key: one for key, one in listed.items() if one.instrument == scope.name}, []
        if scope.told_by_venue or self.case.widened:
            return listed, []  # the accounts asked are those of the scope
        ours = self.case.reading.ours
        unknown = [k for k in listed if ours.get(k) is None and k not in self.case.strangers]
        if unknown and await self.case.reading.again(self.case.pace.answer_s):
            # every order of ours is on the tape before it is sent, and the tape was read since
            self.case.strangers.update(key for key in unknown if ours.get(key) is None)
        inside: dict[str, OrderStatus] = {}
        unread: list[str] = []
        for key, one in listed.items():
            own = ours.get(key)
            if own is not None and scope.covers(own):
                inside[key] = one
            elif own is None and key not in self.case.strangers:
                unread.append(key)
        return inside, unread

    async def _landed(self, flying: list[Own]) -> list[str]:
        """Ask for the status of orders that the venue never acknowledged; return those that work.

        One that it does not know may still be on its way: it is asked for again next time, until
        the venue has been quiet for long enough.
        """
        working: list[str] = []
        for one in flying:
            asked = self._venue.status(one.client_order_id)
            status = await self._answer(asked, f"status of {one.client_order_id}")
            if status is not None and status.status in OVER:
                self._over.add(one.client_order_id)
            elif status is not None:
                working.append(one.client_order_id)
        return working
