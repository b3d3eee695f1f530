# pyright: standard
"""Live sessions: `ot.trade` starts one in processes of its own, `ot.sessions` finds them again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from onetape.errors import RunError, SettingsError
from onetape.results import session_page as page
from onetape.results.session_handle import SUPERVISOR, Session
from onetape.run.folder import STREAM, Watch, folder_of, make, sessions_folder

if TYPE_CHECKING:
    from onetape.results.tape import Tape

Number = int | float | str | Decimal
__all__ = ["Session", "Sessions", "session", "sessions", "trade"]


def trade(  # noqa: PLR0913 - each argument is a term of the session, named where it is used
    strategy: Any,
    *,
    venue: Any,
    account: str,
    limits: Any = None,
    feed: Any = None,
    mode: Literal["paper", "live"] = "paper",
    data: Any = None,
    subscribe: Any = None,
    instruments: Any = None,
    params: Mapping[str, Any] | None = None,
    cash: Number | Mapping[str, Number] = 100_000,
    currency: str = "USD",
    latency: float | timedelta = 0,
    tape: Tape | str | Path | None = None,
    catalog: str | Path | None = None,
    name: str | None = None,
    trader: str = "",
    desk: str = "",
    on_restart: Literal["cancel", "keep"] = "cancel",
    flatten_on_stop: bool = False,
    accept: Iterable[str] = (),
    previous: str = "",
    watch: Watch | None = None,
    ladder: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    supervisor: Sequence[str] = SUPERVISOR,
) -> Session:
    """Start a strategy in processes of its own and return a handle at once.

    strategy    a subclass of ot.Strategy (a notebook's cell will do), an instance or a known name
    venue       where orders go: "sim", ("sim", {...}) or {"adapter": "sim", ...}; secrets in a
                config by reference only ("env:NAME")
    account     the account there
    limits      the path of a limits file, or a limit book; nothing trades without
    feed        where market data comes from, as for `venue`; None: the venue
    mode        "paper": fills are simulated, on the feed's own quotes; "live" sends orders to the
                venue and is therefore never assumed
    data        datasets that a simulated venue replays: ot.sample(...), catalog.dataset(...)
    subscribe   what the strategy sees: "EUR/USD.SIM" (quotes), ("EUR/USD.SIM", "trades"),
                ("GOOG.XNAS", "bars", "1-MINUTE"); None: all of `data`
    instruments ot.equity(...) and so on, where neither data nor venue tell
    params      parameters by name, checked against their bounds
    cash        starting cash where the venue is simulated; `currency` is that of equity
    latency     seconds from sending an order to a simulated venue's having it
    tape        an open tape, a server's URL or a folder; None: the default one
    catalog     where the day's data is kept; None: ONETAPE_CATALOG, "": nowhere
    name        begins the session's id; None: the strategy's name
    trader, desk     whose it is, for limits
    on_restart  what becomes of working orders after a crash: "cancel" or "keep"
    accept      breaks between our books and the venue's that are taken as they are, by name
    previous    the session that this one follows
    ladder      what is done by itself as losses grow: ["loss 1000: halt", ...], see risk.ladder
    watch       how the supervisor watches, see `onetape.run.folder.Watch`
    supervisor  the program that supervises

    Raises SettingsError for an argument that does not fit, UnknownVenue, and RunError where the
    processes cannot be started. What goes wrong later is in the handle: `state`, `wait`, `log`.
    """
    given = dict(locals())
    strategy, tape, supervisor = map(given.pop, ("strategy", "tape", "supervisor"))
    from onetape.market.catalog import Catalog
    from onetape.results.session_spec import DATA, specified
    from onetape.results.tape import Tape, open_tape

    if not sys.executable:
        raise SettingsError("Python runs inside another program here; a session needs python")
    opened = tape if isinstance(tape, Tape) else open_tape(tape)
    spec, own = specified(strategy, opened, **given)
    folder = make(spec)
    try:
        for dataset in own:
            Catalog(folder / DATA).ingest(dataset, progress=False)
    except BaseException:
        shutil.rmtree(folder)
        raise
    made = Session(folder)
    vars(made)["tape"] = opened  # which it would open again otherwise
    return made.supervise(supervisor)


class Sessions(Sequence[Session]):
    """Sessions, the newest first."""

    def __init__(self, found: Sequence[Session]) -> None:
        self._found = list(found)

    def __getitem__(self, at: Any) -> Any:
        return Sessions(self._found[at]) if isinstance(at, slice) else self._found[at]

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return page.listed([(one.spec, one.view) for one in self._found])

    def _repr_html_(self) -> str:
        return page.table([(one.spec, one.view) for one in self._found])


def sessions(named: str = "", *, alive: bool = False) -> Sessions:
    """Return the sessions of this user whose id begins with `named`, the newest first.

    alive   only those that run
    """
    there = sessions_folder()
    folders = [p for p in there.iterdir() if p.is_dir()] if there.is_dir() else []
    found = [one for one in map(_readable, folders) if one is not None]
    found = [one for one in found if one.id.startswith(named.removeprefix(STREAM))]
    found.sort(key=lambda one: (one.spec.created, one.id), reverse=True)
    return Sessions([one for one in found if one.view.alive] if alive else found)


def session(named: str = "") -> Session:
    """Return one session by its id or the start of it; "": the newest.

    Raises SettingsError where there is none, or more than one.
    """
    if named and folder_of(named).is_dir():
        return Session(folder_of(named))
    found = sessions(named)
    if len(found) == 1 or (found and not named):
        return found[0]
    there = ", ".join(one.id for one in (found or sessions())[:5]) or "none yet"
    many = f"{len(found)} sessions begin with {named!r}" if found else f"no session {named!r}"
    raise SettingsError(f"{many}; there is {there}. ot.sessions() lists all")


def _readable(folder: Path) -> Session | None:
    """Return a folder's session; None for what is no session, or of another version."""
    try:
        return Session(folder)
    except RunError:
        return None
