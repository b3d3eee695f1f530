"""Reach: how a kill asked for by a person gets to the venues, to the tape, and off this thread.

Venues    given, or those that the sessions on this computer trade at (`venues_of_sessions`: the
          `spec.json` of each session that has not stopped in good order, dead ones included:
          their orders may still work).
Inside    a simulated venue without an `address` lives in its session's process. One made here
          would be another, empty one, so nothing is ever concluded from that: the session's
          supervisor is asked to kill the session, and where none lives, its venue has ended too.
Tape      opened in a thread of its own; whoever kills does not wait for it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, cast

from onetape.errors import OnetapeError, SettingsError, TapeUnavailable, VenueUnavailable
from onetape.risk.kill import KILLED, Scope
from onetape.run import control, folder, killing
from onetape.run.killing import How, KillResult, spool_folder
from onetape.run.notes import absorb
from onetape.run.ours import Whose, aside
from onetape.run.ports import OrderStatus, Venue
from onetape.run.processes import alive
from onetape.run.venues import adapter
from onetape.tape.event import Event
from onetape.tape.ledger import Entry, Head, Receipt
from onetape.tape.port import Tape
from onetape.tape.recording import Recording

OPEN_S = 5.0  # for the tape where only it tells whose an order is
INSIDE_S = 90.0  # for a supervisor to end a session
__all__ = ["Sessions", "VenueSpec", "kill", "spool_folder", "venues_of_sessions"]


class VenueSpec(NamedTuple):
    """A venue to be asked: its adapter's name, the adapter's config, and for which accounts."""

    adapter: str
    config: Mapping[str, Any]
    accounts: tuple[str, ...]
    name: str = ""  # by default the adapter's
    inside: str = ""  # the session whose process it lives in, where it cannot be reached
    strategy: str = ""  # of that session

    @classmethod
    def of(cls, given: VenueSpec | Mapping[str, Any]) -> VenueSpec:
        """Return what a person gave as one; raises SettingsError saying what is missing."""
        if isinstance(given, VenueSpec):
            return given
        try:
            adapter, accounts = str(given["adapter"]), given["accounts"]
            config = dict(cast(Mapping[str, Any], given.get("config") or {}))
        except (KeyError, TypeError, AttributeError):
            wanted = '{"adapter": "sim", "config": {...}, "accounts": ["A"]}'
            raise SettingsError(f"{given!r} found as a venue; {wanted} expected") from None
        named = (accounts,) if isinstance(accounts, str) else tuple(map(str, accounts))
        if not named:
            raise SettingsError(f"no account is named for {adapter}; say which ones to ask for")
        return cls(adapter, config, named, str(given.get("name") or ""))


class Sessions(NamedTuple):
    """What the sessions' folders tell: venues to ask, and who stands behind each session."""

    venues: list[VenueSpec]
    whose: dict[str, Whose]  # by stream


def venues_of_sessions(home: Path | None = None) -> Sessions:
    """Return the venues of all sessions that have not stopped in good order.

    home   where sessions are kept; None: the user's own

    Read defensively: a session whose files cannot be read is named as a venue out of reach, so
    that nobody takes it for killed.
    """
    root = (home or folder.home()) / "sessions"
    found: dict[str, VenueSpec] = {}
    whose: dict[str, Whose] = {}
    for path in sorted(root.glob("*/spec.json")):
        session = path.parent.name
        spec = _read(path)
        venue = spec.get("venue")
        account = str(spec.get("account") or "")
        told = (str(spec.get(name) or "") for name in ("trader", "desk"))
        whose[folder.STREAM + session] = Whose(account, *told)
        if _read(path.with_name("status.json")).get("state") == "stopped":
            continue  # it canceled what was its own and asked the venue
        if not isinstance(venue, dict) or "adapter" not in venue:
            found[session] = VenueSpec("", {}, (account or "?",), session, session)
            continue
        endpoint = cast(dict[str, Any], venue)
        config = dict(cast(dict[str, Any], endpoint.get("config") or {}))
        one = VenueSpec(str(endpoint["adapter"]), config, (account,))
        _add(found, session, one, str(spec.get("strategy_name") or ""))
    return Sessions(list(found.values()), whose)


def _add(found: dict[str, VenueSpec], session: str, one: VenueSpec, strategy: str) -> None:
    name = str(one.config.get("name") or one.adapter)
    if lives_inside(one.adapter, one.config):
        found[session] = one._replace(name=name, inside=session, strategy=strategy)
        return
    key = f"{one.adapter} {json.dumps(one.config, sort_keys=True, default=str)}"
    known = found[key].accounts if key in found else ()
    accounts = tuple(dict.fromkeys([*known, *one.accounts]))
    found[key] = one._replace(name=name, accounts=accounts)


def lives_inside(kind: str, config: Mapping[str, Any]) -> bool:
    """Tell whether a venue of this adapter and config is one of the process that makes it."""
    return kind == "sim" and not config.get("address")


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return cast(dict[str, Any], told) if isinstance(told, dict) else {}


class _Away:
    """A venue that cannot be made here: it says why when it is asked."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self._why = name, why

    async def connect(self, emit: object) -> None:  # noqa: ARG002 - the port's
        raise VenueUnavailable(self._why)

    async def disconnect(self) -> None:
        """Nothing was begun."""


class _Inside(_Away):
    """A venue inside a session's process: its supervisor is asked, and says what became of it."""

    def __init__(self, spec: VenueSpec, scope: Scope, reason: str, who: str) -> None:
        super().__init__(spec.name, "")
        self._folder = folder.sessions_folder() / spec.inside
        self._journal = bool(spec.config.get("journal"))
        self._said = {"scope": str(scope), "reason": reason, "who": who}
        self._asking: asyncio.Future[dict[str, Any]] | None = None

    async def connect(self, emit: object) -> None:  # noqa: ARG002 - the port's
        """Return once the session is killed, or was dead before; else VenueUnavailable."""
        if self._asking is None:
            door = self._folder / folder.SUPERVISOR_DOOR
            self._asking = aside(lambda: control.ask(door, "kill", INSIDE_S, **self._said))
        await asyncio.wait([self._asking], timeout=0.5)
        here = f"it lives inside session {self._folder.name}"
        if not self._asking.done():
            raise VenueUnavailable(f"{here}, which is being killed")
        asked, self._asking = self._asking, None
        if (err := asked.exception()) is not None:
            if self._dead():
                return  # and the venue ended with it
            raise VenueUnavailable(f"{here}: end its process ({err})") from err
        if asked.result().get("state") != KILLED:
            raise VenueUnavailable(f"{here}: {asked.result().get('detail') or 'not killed'}")

    def _dead(self) -> bool:
        told = folder.read_supervision(self._folder)
        if self._journal:  # its orders come back with the next process
            return False
        return told is None or not (
            alive(told.pid, told.birth) or alive(told.trader_pid, told.trader_birth)
        )

    async def mass_cancel(self, scope: object) -> None:
        """It was the supervisor's to do."""

    def cancel(self, order: object) -> None:
        """It was the supervisor's to do."""

    async def orders(self, account: str) -> list[OrderStatus]:  # noqa: ARG002 - the port's
        """Return what works: nothing, as `connect` has said."""
        return []

    async def status(self, client_order_id: str) -> None:
        """Nothing is known of any order any more."""


def _venue(spec: VenueSpec, scope: Scope, reason: str, who: str, drill: bool) -> Venue:
    if spec.inside and spec.adapter and not drill and scope.kind != "instrument":
        return cast(Venue, _Inside(spec, scope, reason, who))
    if spec.inside:
        why = f"it lives inside session {spec.inside}: kill that session, or end its process"
        return cast(Venue, _Away(spec.name, why))
    try:
        return adapter(spec.adapter).venue(spec.config)
    except OnetapeError as err:  # the other venues are not to wait for its config
        return cast(Venue, _Away(spec.name or spec.adapter, f"it cannot be made: {err}"))


def _concerned(spec: VenueSpec, scope: Scope, sessions: Sessions) -> bool:
    """Tell whether a session with a venue inside may have orders in scope."""
    if not spec.inside or scope.kind in ("firm", "venue", "instrument"):
        return True
    whose = sessions.whose.get(folder.STREAM + spec.inside, Whose())
    if scope.kind == "strategy":
        return spec.strategy in ("", scope.name)
    return getattr(whose, scope.kind) in ("", scope.name)


class _Late:
    """A tape that is being opened; each call waits for it, so that nobody else has to."""

    def __init__(self, opening: Callable[[], Tape]) -> None:
        self._opened: Future[Tape] = Future()
        self._opening = opening
        threading.Thread(target=self._open, name="tape", daemon=True).start()

    def _open(self) -> None:
        try:
            tape = self._opening()
            absorb(tape, spool_folder())
            self._opened.set_result(tape)
        except BaseException as err:
            self._opened.set_exception(err)

    @property
    def tape(self) -> Tape:
        try:
            return self._opened.result()
        except OnetapeError as err:
            raise TapeUnavailable(f"the tape could not be opened: {err}") from err

    def wait(self, seconds: float) -> None:
        """Wait until it is open, or cannot be, but no longer than so."""
        try:
            self._opened.exception(seconds)
        except TimeoutError:
            return

    def submit(self, stream: str, events: Sequence[Event], *, book: str = "") -> Future[Receipt]:
        return self.tape.submit(stream, events, book=book)

    def append(self, stream: str, events: Sequence[Event], *, book: str = "") -> Receipt:
        return self.tape.append(stream, events, book=book)

    def version(self, stream: str) -> int:
        return self.tape.version(stream)

    def head(self) -> Head:
        return self.tape.head()

    def read(
        self, after: int = 0, upto: int | None = None, *, streams: Sequence[str] = ()
    ) -> Iterator[Entry]:
        return self.tape.read(after, upto, streams=streams)

    def follow(
        self, after: int = 0, *, until: Callable[[], bool] = lambda: False
    ) -> Iterator[list[Entry]]:
        return self.tape.follow(after, until=until)

    def recording(self, stream: str) -> Recording:
        return self.tape.recording(stream)

    def streams(self) -> list[str]:
        return self.tape.streams()

    def close(self) -> None:
        """It belongs to whoever opens it."""


def kill(
    tape: Tape | Callable[[], Tape] | None,
    scope: Scope,
    venues: Iterable[VenueSpec | Mapping[str, Any]] | None,
    patience: float,
    **said: Any,
) -> KillResult:
    """Carry a kill out, in a thread with a loop of its own (a notebook has one running).

    tape     open, or what opens one; None: the default one
    venues   None: those of the sessions of this computer
    said     reason, who and drill, as `run.killing.kill` has them
    """
    sessions = venues_of_sessions()
    asked = sessions.venues if venues is None else [VenueSpec.of(one) for one in venues]
    named = _named(one for one in asked if _concerned(one, scope, sessions))
    late = _late(tape)
    if not scope.told_by_venue:
        late.wait(OPEN_S)

    async def work() -> KillResult:
        reason, who, drill = said.pop("reason"), said.pop("who"), said.get("drill", False)
        made = {name: _venue(spec, scope, reason, who, drill) for name, spec in named.items()}
        accounts = {name: spec.accounts for name, spec in named.items()}
        how = How(whose=sessions.whose)
        return await killing.kill(
            late, made, str(scope), reason, who,
            accounts=accounts, patience_s=patience, how=how, **said,
        )  # fmt: skip

    return _in_thread(lambda: asyncio.run(work()))


def _named(specs: Iterable[VenueSpec]) -> dict[str, VenueSpec]:
    named: dict[str, VenueSpec] = {}
    for spec in specs:
        plain = name = spec.name or spec.adapter
        number = 2
        while name in named:
            name, number = f"{plain}#{number}", number + 1
        named[name] = spec
    return named


def _late(tape: Tape | Callable[[], Tape] | None) -> _Late:
    if callable(tape):
        return _Late(tape)
    if tape is not None:
        return _Late(lambda: tape)
    from onetape.results.tape import open_tape

    return _Late(open_tape)


def _in_thread[T](work: Callable[[], T]) -> T:
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as err:
            done.set_exception(err)

    threading.Thread(target=run, name="kill", daemon=True).start()
    return done.result()
