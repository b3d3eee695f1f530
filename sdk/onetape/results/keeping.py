# pyright: standard
"""Keeping: archive, retention, legal holds and erasure of persons, as one asks them of a tape.

    tape.keeping.archive("archive/")              closed partitions to verified Parquet files
    tape.keeping.hold("matter 17", account="A")   nothing that it touches is dropped
    tape.keeping.drop_expired()                   what would go; dry_run=False to let it go
    tape.keeping.know(PersonKnown(...)); tape.keeping.erase("client-17", who=..., reason=...)

The tables and rules are in `tape.archive`, `tape.retention` and `tape.personal`. What is kept
for how long supports a firm's policy; have counsel confirm it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from onetape.errors import SettingsError, TapeConflict
from onetape.tape.event import Event
from onetape.tape.kinds import AnyFact, Fact, PersonErased

if TYPE_CHECKING:
    from onetape.results.tape import Tape
    from onetape.tape.archive import Segment
    from onetape.tape.ledger import Receipt
    from onetape.tape.personal import Erased, Vault
    from onetape.tape.retention import Hold

PEOPLE = "people"
TRIES = 100


class Keeping:
    """How long one tape's events are kept, where, and what can be forgotten."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    # -- archive and retention

    def archive(
        self,
        folder: str | Path,
        *,
        before: int | None = None,
        drop: bool = False,
        progress: bool | None = None,
    ) -> list[Segment]:
        """Move closed partitions of the log to verified Parquet files; see `tape.archive`."""
        from onetape.tape.archive import archive

        return archive(self._tape.url, folder, before=before, drop=drop, progress=progress)

    def hold(self, reason: str, *, who: str = "", **scope: Any) -> Hold:
        """Place a legal hold; `scope` names account, instrument, stream, subject, since, until."""
        from onetape.tape.retention import hold

        return hold(self._tape.url, reason, who=who, **scope)

    def release(self, number: int, who: str) -> Hold:
        """Release a hold; it stays on record."""
        from onetape.tape.retention import release

        return release(self._tape.url, number, who)

    def classes(self) -> pl.DataFrame:
        """Return the retention classes in force: kinds, days, and what they rest on."""
        from onetape.tape.retention import classes
        from onetape.tape.server import connect

        with connect(self._tape.url) as connection:
            found = classes(connection)
        return pl.DataFrame([one._asdict() for one in found])

    def drop_expired(self, *, only: Sequence[int] = (), dry_run: bool = True) -> list[Segment]:
        """Drop the archived segments whose class has run out; a dry run only names them."""
        from onetape.tape.retention import drop_expired

        return drop_expired(self._tape.url, only=only, dry_run=dry_run)

    # -- persons

    @cached_property
    def vault(self) -> Vault:
        """Where personal fields are sealed; its master key is apart from the database."""
        from onetape.tape.embedded import default_folder
        from onetape.tape.master import master
        from onetape.tape.personal import Vault

        server = self._tape.server
        return Vault(self._tape.url, master(server.folder if server else default_folder()))

    def know(self, fact: Fact) -> Receipt:
        """Record a fact about a person, its personal fields sealed, on the stream "people"."""
        if not isinstance(fact, Fact):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SettingsError(f"{fact!r} found, a fact about a person expected: PersonKnown(...)")
        return self._noted(self.vault.seal(fact))  # pyright: ignore[reportArgumentType]

    def opened(self, fact: Fact) -> Fact:
        """Return a recorded fact with its personal fields in plain text, or "[erased]"."""
        return self.vault.opened(fact)

    def erase(self, subject: str, *, who: str, reason: str) -> Erased:
        """Destroy a person's key and record that it was done; the chain stays valid."""
        done = self.vault.erase(subject, who, reason)
        self._noted(PersonErased(done.subject, done.who, done.reason))
        return done

    def _noted(self, fact: AnyFact) -> Receipt:
        now = time.time_ns()
        for _ in range(TRIES):  # others may note something at the same time
            at = self._tape.version(PEOPLE) + 1
            try:
                return self._tape.append(PEOPLE, [Event(at, now, now, PEOPLE, fact)])
            except TapeConflict:
                continue
        raise TapeConflict(PEOPLE, 0, self._tape.version(PEOPLE), f"{TRIES} times in a row")

    def close(self) -> None:
        """Forget the keys."""
        if "vault" in self.__dict__:
            self.vault.close()
