# pyright: standard
"""Asked of a tape: names that it must know, rows that must be its own, origins as traces."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onetape.errors import SettingsError, TapeError
from onetape.results.backtest import RUN
from onetape.results.trace import Trace
from onetape.tape.words import no_such_stream

if TYPE_CHECKING:
    from onetape.results.tape import Tape

SESSION = "session/"


def named(connection: Any, kind: str, key: str | None) -> str | None:
    """Return an account or instrument that the tape knows, None for None.

    Raises TapeError, with the closest names, for any other.
    """
    if key is None:
        return None
    asked = "SELECT key FROM onetape.dimension WHERE kind = %s"
    known = [name for (name,) in connection.execute(asked, (kind,)).fetchall()]
    if key in known:
        return key
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.3) or known[:5]
    raise TapeError(f"no {kind} {key!r} on this tape; there is {', '.join(near) or 'none'}")


def own(tape: Tape, what: Any) -> None:
    """Refuse a row of a run's own frame, whose seq counts in the run and not on the tape."""
    row: Any = what.row(0, named=True) if getattr(what, "height", 0) == 1 else what
    if not isinstance(row, Mapping) or "trade_id" not in row or "seq" not in row:
        return
    fact: Any = tape.event(row["seq"]).event.fact
    found = (getattr(fact, "trade_id", None), getattr(fact, "instrument", None))
    if found != (row["trade_id"], row["instrument"]):
        raise SettingsError(
            f"event {row['seq']} of the tape is another than the fill that was given: rows of "
            "run.fills are traced by run.trace(row), rows of tape.frame by tape.trace(row)"
        )


def shown(origin: Any) -> Trace:
    """Return an origin as a trace, which prints well."""
    return Trace(origin.title, origin.says, tuple(shown(one) for one in origin.rests_on))


def stream(known: Sequence[str], named: str | None) -> str:
    """Return the one of a tape's streams that a name means; see `Tape.stream`."""
    if named is None:
        runs = [key for key in known if key.startswith((RUN, SESSION))]
        if not runs:
            raise TapeError("no run on this tape: ot.backtest(..., tape=tape) puts one there")
        return runs[-1]
    for exact in (named, RUN + named, SESSION + named):
        if exact in known:
            return exact
    found = [key for key in known if key.startswith((named, RUN + named, SESSION + named))]
    own = (f"{RUN}{named}-", f"{SESSION}{named}-")
    of_strategy = [key for key in found if key.startswith(own)]
    if of_strategy:
        return of_strategy[-1]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(found[:5])
        raise TapeError(f"{named!r} begins {len(found)} streams ({shown}); say more of it")
    raise no_such_stream(named, known)
