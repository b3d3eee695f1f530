# pyright: standard
"""Retention: how long archived events are kept at least, and what must not be dropped at all.

Class    patterns of kinds ("order.*"), days, and the rule they follow. An archived segment is
         kept until the longest class of any kind in it has run out, counted from the recorded
         time of its last batch. A kind that no class covers is kept without end.
Hold     a reason, and a scope: account, instrument, stream, subject, since, until (ns UTC). No
         scope holds everything. A hold is never changed or deleted, only released, once.
Touched  a segment that holds an event of the scope's account, instrument and stream, when its
         events or its recording fall into since <= time < until. Of orders, decisions, risk and
         runs an event that names no account or instrument may belong to any, and counts. What
         cannot be told (a name not on the tape, a file that cannot be read) counts as touched.
Dropped  the file goes, and the table it came from. The segment's row, its batches with their
         roots and the chain stay: what is left can still be proved, and that it was there.
Clock    the earlier one of this machine's and the server's: nothing is dropped early because
         one of them is wrong. A later `now` is for looking ahead only.
Rights   placing, releasing, changing classes and dropping need the log's owner.

The classes that come with the tape support a firm's own policy and replace no counsel's advice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from onetape.errors import SettingsError, TapeError, TapeForbidden
from onetape.tape import segment as files
from onetape.tape.archive import NAME, Segment, one_at_a_time, segments

DAY = 86_400 * 10**9  # ns
NAMED = ("account", "instrument", "stream", "subject")
TIMES = ("since", "until")
STORY = ("order.*", "decision.*", "risk.*", "run.*", "kill.*", "limits.*", "recon.*", "session.*")

CLASSES = """SELECT DISTINCT ON (name) name, kinds, days, basis, changed_ns
FROM onetape.retention_class ORDER BY name, changed_ns DESC"""
HOLDS = """SELECT id, reason, scope, placed_ns, placed_by, released_ns, released_by
FROM onetape.legal_hold ORDER BY id"""
RELEASE = """UPDATE onetape.legal_hold SET released_ns = %s, released_by = %s
WHERE id = %s AND released_ns IS NULL RETURNING 1"""
NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8 * 1000"
NUMBER = "SELECT id FROM onetape.dimension WHERE kind = %s AND key = %s"
STREAM = "SELECT id FROM onetape.stream WHERE key = %s"
KINDS = "SELECT id, key FROM onetape.dimension WHERE kind = 'kind'"

Scope = Mapping[str, Any]


class Class(NamedTuple):
    """How long events of some kinds are kept."""

    name: str
    kinds: tuple[str, ...]
    days: int
    basis: str
    changed: int

    def covers(self, kind: str) -> bool:
        """Tell whether a kind of fact belongs to this class."""
        return any(fnmatchcase(kind, pattern) for pattern in self.kinds)


class Hold(NamedTuple):
    """What must not be dropped, and why."""

    id: int
    reason: str
    scope: Scope
    placed: int
    placed_by: str
    released: int | None = None
    released_by: str | None = None

    def __str__(self) -> str:
        said = ", ".join(f"{name} {value}" for name, value in self.scope.items())
        return f"hold {self.id} ({self.reason}; {said or 'everything'})"


class Standing(NamedTuple):
    """How an archived segment stands: `until` (ns UTC) is None where no class covers a kind."""

    segment: Segment
    until: int | None
    rule: str  # the class that keeps it longest, or the kind that none covers
    holds: tuple[Hold, ...]

    def kept(self, now: int) -> str:
        """Return why the segment is kept at `now`; empty when it may be dropped."""
        reasons = [str(hold) for hold in self.holds]
        if self.until is None:
            reasons.insert(0, f"no retention class covers {self.rule}: say one with set_class")
        elif now < self.until:
            reasons.insert(0, f"class {self.rule} keeps it until {_day(self.until)}")
        return "; ".join(reasons)


def classes(connection: Any) -> list[Class]:
    """Return the classes as they are now."""
    told = connection.execute(CLASSES).fetchall()
    return [Class(name, tuple(kinds), *rest) for name, kinds, *rest in told]


def set_class(url: str, name: str, kinds: Sequence[str], days: int, basis: str) -> Class:
    """Say anew how long events of some kinds are kept; what was said before stays on record.

    Raises SettingsError for days that are no count of days or for no basis.
    """
    if days < 0 or not basis.strip() or not name.strip():
        raise SettingsError(
            f"class {name!r} with {days} days on the basis {basis!r} found; expected a name, "
            "0 days or more and the rule that asks for them"
        )
    with one_at_a_time(url, "changing a retention class") as connection:
        last = max((one.changed for one in classes(connection) if one.name == name), default=0)
        made = Class(name, tuple(kinds), days, basis, max(time.time_ns(), last + 1))
        put = "INSERT INTO onetape.retention_class VALUES (%s, %s, %s, %s, %s)"
        connection.execute(put, [name, list(kinds), days, basis, made.changed])
    return made


def holds(connection: Any, *, released: bool = False) -> list[Hold]:
    """Return the holds that are in force, with `released` the others too."""
    told = [Hold(*row) for row in connection.execute(HOLDS).fetchall()]
    return [one for one in told if released or one.released is None]


def hold(url: str, reason: str, *, who: str = "", **scope: Any) -> Hold:
    """Place a hold. `scope` may name account, instrument, stream, subject, since and until.

    Raises SettingsError for a scope that means nothing or no reason, TapeForbidden for a login
    that does not own the log.
    """
    _meant(reason, scope)
    from psycopg.types.json import Jsonb

    with _owned(url, "placing a hold") as connection:
        put = """INSERT INTO onetape.legal_hold (reason, scope, placed_ns, placed_by)
            VALUES (%s, %s, %s, coalesce(nullif(%s, ''), session_user)) RETURNING id, placed_by"""
        placed = time.time_ns()
        number, by = connection.execute(put, [reason, Jsonb(scope), placed, who]).fetchone()
    return Hold(number, reason, scope, placed, by)


def release(url: str, number: int, who: str) -> Hold:
    """Release a hold; it stays on record. Raises TapeError when none of that id is in force."""
    if not who.strip():
        raise SettingsError("nobody found who releases the hold; a name expected")
    with _owned(url, "releasing a hold") as connection:
        done = connection.execute(RELEASE, [time.time_ns(), who, number]).fetchone()
        told = {one.id: one for one in holds(connection, released=True)}
    if done is None:
        found = f"released by {told[number].released_by}" if number in told else "not there"
        valid = ", ".join(str(one.id) for one in told.values() if one.released is None)
        raise TapeError(f"hold {number} is {found}; in force: {valid or 'none'}")
    return told[number]


def _owned(url: str, doing: str) -> Any:
    return one_at_a_time(url, doing, alone=False)


def _meant(reason: str, scope: Scope) -> None:
    known = f"known: {', '.join(NAMED)} (texts), {', '.join(TIMES)} (ns UTC, whole)"
    for name, value in scope.items():
        kind = str if name in NAMED else int if name in TIMES else None
        if kind is None or type(value) is not kind or value == "":
            raise SettingsError(f"{name}={value!r} found in the scope of a hold; {known}")
    if scope.get("since", 0) >= scope.get("until", 1 << 63):
        raise SettingsError(f"a hold from {scope['since']} until {scope['until']} holds nothing")
    if not reason.strip():
        raise SettingsError("a hold without a reason found; say the matter it is for")


def standings(connection: Any, at: int | None = None) -> list[Standing]:
    """Return how each archived segment stands that was not dropped.

    With a time `at`, holds are looked for only where the class has run out by then: telling
    whether a hold touches a segment may mean reading from its file.
    """
    rules, valid = classes(connection), holds(connection)
    return [
        _standing(connection, one, rules, valid, at)
        for one in segments(connection)
        if one.dropped is None
    ]


def due(connection: Any, now: int | None = None) -> list[Segment]:
    """Return the segments whose longest class has run out at `now` and that no hold touches."""
    at = _clock(connection) if now is None else now
    return [one.segment for one in standings(connection, at) if not one.kept(at)]


def drop_expired(
    url: str, *, now: int | None = None, only: Sequence[int] = (), dry_run: bool = True
) -> list[Segment]:
    """Drop the segments that are due, and return them; a dry run only returns them.

    `only` names segments by their first seq. Raises TapeError when one of those may not be
    dropped (with the class and the day, or the hold), or for a `now` that has not come yet;
    TapeForbidden for a login that does not own the log. Killed at any point, run it again.
    """
    with one_at_a_time(url, "dropping expired segments") as connection:
        clock = _clock(connection)
        at = clock if now is None else now
        if at > clock and not dry_run:
            raise TapeError(f"{_day(at)} has not come yet: a later `now` is for dry runs")
        if not dry_run:
            _finish(connection)
        found = standings(connection, None if only else at)
        for number in only:
            _refuse(number, found, at)
        chosen = [s for s in found if not s.kept(at) and (not only or s.segment.seq_lo in only)]
        if not dry_run:
            for one in chosen:
                _drop(connection, one, at)
    return [one.segment for one in chosen]


def _refuse(number: int, found: Sequence[Standing], at: int) -> None:
    one = next((s for s in found if s.segment.seq_lo == number), None)
    if one is None:
        valid = ", ".join(str(s.segment.seq_lo) for s in found) or "none"
        raise TapeError(f"no segment that begins at {number}; there are {valid}")
    if why := one.kept(at):
        raise TapeError(f"segment {number} to {one.segment.seq_hi} is kept: {why}")


def _drop(connection: Any, one: Standing, at: int) -> None:
    """Drop a segment, having looked again while nobody can place a hold or change a class."""
    from psycopg import sql

    kept = one.segment
    with connection.transaction():
        connection.execute("LOCK TABLE onetape.legal_hold, onetape.retention_class IN SHARE MODE")
        again = _standing(connection, kept, classes(connection), holds(connection))
        if again.kept(at):
            return
        why = f"class {again.rule} ran out on {_day(again.until or 0)}; no hold touched it"
        put = "INSERT INTO onetape.segment_dropped VALUES (%s, %s, session_user, %s)"
        connection.execute(put, [kept.seq_lo, time.time_ns(), why])
        table = sql.Identifier("onetape", NAME.format(kept.seq_lo))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    _unlink(kept)


def _finish(connection: Any) -> None:
    """Let files go that an earlier call recorded as dropped and then was killed."""
    for one in segments(connection):
        if one.dropped is not None and one.path.exists():
            again = _standing(connection, one, classes(connection), holds(connection))
            if not again.holds:
                _unlink(one)


def _unlink(one: Segment) -> None:
    try:
        one.path.unlink(missing_ok=True)
    except OSError as err:
        raise TapeForbidden(f"{one.path} is to be dropped and cannot be ({err})") from err
    with suppress(OSError):  # a folder that is gone holds nothing
        files.settle(one.path.parent)


def _clock(connection: Any) -> int:
    return min(time.time_ns(), connection.execute(NOW).fetchone()[0])


def _standing(
    connection: Any,
    one: Segment,
    rules: Sequence[Class],
    valid: Sequence[Hold],
    at: int | None = None,
) -> Standing:
    until, rule = _until(one, rules)
    if at is not None and (until is None or at < until):
        return Standing(one, until, rule, ())
    return Standing(one, until, rule, tuple(h for h in valid if touches(connection, h.scope, one)))


def _until(one: Segment, rules: Sequence[Class]) -> tuple[int | None, str]:
    """Return when the longest class of a segment runs out, and its name; or the kind without."""
    longest = Class("none", (), 0, "", 0)
    for kind in one.kinds:
        covering = [rule for rule in rules if rule.covers(kind)]
        if not covering:
            return None, kind
        longest = max(longest, *covering, key=lambda rule: rule.days)
    return one.t_hi + longest.days * DAY, longest.name


def touches(connection: Any, scope: Scope, one: Segment) -> bool:
    """Tell whether a hold's scope touches a segment; True where that cannot be told."""
    try:
        return _in_time(scope, one) and _holds_some(connection, scope, one)
    except TapeError:
        return True


def _in_time(scope: Scope, one: Segment) -> bool:
    since, until = scope.get("since"), scope.get("until")
    if since is None and until is None:
        return True
    lo, hi = since if since is not None else -(1 << 63), until if until is not None else 1 << 63
    if one.t_lo < hi and one.t_hi >= lo:
        return True
    return any(
        bool(((ts >= lo) & (ts < hi)).any()) for (ts,) in files.columns(one.path, "ts_event")
    )


def _holds_some(connection: Any, scope: Scope, one: Segment) -> bool:
    """Look for an event of the account, the instrument and the stream of a scope."""
    import numpy as np

    wanted: dict[str, int] = {}
    for name in ("account", "instrument", "stream"):
        if name in scope:
            asked = (STREAM, [scope[name]]) if name == "stream" else (NUMBER, [name, scope[name]])
            found = connection.execute(*asked).fetchone()
            if found is None:
                return True  # perhaps misspelled: nothing is dropped for that
            wanted[f"{name}_id"] = found[0]
    if not wanted:
        return True
    told = connection.execute(KINDS).fetchall()
    story = [number for number, key in told if any(fnmatchcase(key, p) for p in STORY)]
    for kinds, *values in files.columns(one.path, "kind_id", *wanted):
        open_ended = np.isin(kinds, story)
        fits = np.ones(len(kinds), bool)
        for (name, number), column in zip(wanted.items(), values, strict=True):
            unnamed = open_ended & (column == 0) if name != "stream_id" else False
            fits &= (column == number) | unnamed
        if fits.any():
            return True
    return False


def _day(ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ns // 10**9))
