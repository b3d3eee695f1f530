# pyright: standard
"""Personal data: sealed on the tape, so that erasing one key erases one person.

    vault = Vault(url, master(folder))
    tape.append(stream, [Event(..., vault.seal(fact))])     # once, before it is submitted
    vault.opened(entry.event.fact)                          # plain text, or "[erased]"
    vault.erase("client-17", who="dpo", reason="request of 2026-11-20")

Marked   a field whose type is `Personal` (or `Personal | None`); the fact's field `subject` says
         whose it is. The subject stands on the tape in plain and for ever: use a number of your
         own, never a name.
Sealed   "sealed:v1:" and base64 of a random nonce and AES-256-GCM over the UTF-8 text, bound to
         subject, kind and field, so that it cannot be moved to another place. Canonical bytes,
         hashes, archives and proofs hold only this; erasing leaves them all as they are.
Key      one random key a subject, in the table `subject_key`, wrapped (AES-256-GCM, bound to the
         subject) by the master key, which is never in the database.
Once     sealing the same text twice gives different bytes. Seal, then submit; to send again,
         send the same sealed fact.
Length   of the text can be told from the sealed one. Pad what must not be guessed by length.
Raises   SettingsError for a master key that does not fit or a fact without subject, BrokenTape
         for a sealed text that was changed, TapeError and its kind from the database.
"""

from __future__ import annotations

import base64
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect

from onetape.errors import BrokenTape, SettingsError, TapeError, TapeUnavailable
from onetape.tape.kinds import Fact, Personal, tag_of
from onetape.tape.master import FILE, KEY, REFERENCE, Master, decrypted, encrypted, master

__all__ = ["ERASED", "Erased", "Master", "Personal", "Vault", "master", "personal_fields"]

MARK = "sealed:v1:"
ERASED = "[erased]"
CACHED = 1_024  # keys of subjects in memory
FRESH_S = 60.0  # after which a key is asked for anew: so soon is an erasure seen elsewhere
PATIENCE_S = 10.0

GET = "SELECT wrapped, master, erased_ns FROM onetape.subject_key WHERE subject = %s"
PUT = """INSERT INTO onetape.subject_key (subject, wrapped, master, made_ns)
VALUES (%s, %s, %s, %s) ON CONFLICT (subject) DO NOTHING"""
OTHER = """SELECT master FROM onetape.subject_key
WHERE master <> %s AND wrapped IS NOT NULL LIMIT 1"""
ERASE = """UPDATE onetape.subject_key
SET wrapped = NULL, erased_ns = %s, erased_by = %s, why = %s
WHERE subject = %s AND wrapped IS NOT NULL RETURNING 1"""
# Writes the table anew with its living rows only; a plain VACUUM may leave the old bytes in
# the page, and VACUUM FULL copies them for as long as anybody has an older snapshot open.
ANEW = """ALTER TABLE onetape.subject_key
ALTER COLUMN wrapped TYPE bytea USING substring(wrapped FROM 1)"""


class Erased(NamedTuple):
    """What an erasure did, to be recorded on the tape as person.erased."""

    subject: str
    who: str
    reason: str
    at: int  # ns UTC


@cache
def personal_fields(kind: type[Fact]) -> tuple[str, ...]:
    """Return the names of a kind's personal fields."""
    told = msgspec.inspect.type_info(kind)
    assert isinstance(told, msgspec.inspect.StructType)
    return tuple(one.name for one in told.fields if _marked(one.type))


def _marked(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(_marked(one) for one in kind.types)
    return isinstance(kind, msgspec.inspect.Metadata) and bool((kind.extra or {}).get("personal"))


class Vault:
    """Seals and opens personal fields; any number of threads may share one.

    url         the tape's database; sealing needs to write to subject_key, erasing to own it
    master      the key that wraps all others, see `master`
    fresh_s     seconds for which a subject's key is kept in memory: an erasure by another
                process takes effect here within that time
    patience_s  seconds that an erasure waits for others who use the table
    """

    def __init__(
        self, url: str, master: Master, *, fresh_s: float = FRESH_S, patience_s: float = PATIENCE_S
    ) -> None:
        self.url = url
        self._master = master
        self._fresh_s, self._patience_ms = fresh_s, round(patience_s * 1000)
        self._lock = threading.Lock()
        self._keys: OrderedDict[str, tuple[bytes | None, float]] = OrderedDict()
        self._connection: Any = None

    def __repr__(self) -> str:
        from onetape.tape.server import shown

        return f"Vault({shown(self.url)}, master {self._master.name})"

    def __enter__(self) -> Vault:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the keys and let go of the connection."""
        with self._lock:
            self._keys.clear()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def seal[F: Fact](self, fact: F) -> F:
        """Return the fact with its personal fields sealed; sealed ones stay as they are.

        Raises TapeError for a subject that was erased: a new relation takes a new subject.
        """
        plain = self._personal(fact)
        if not plain:
            return fact
        subject = _subject(fact)
        key = self._key(subject, make=True)
        if key is None:
            raise TapeError(
                f"subject {subject} was erased: nothing more is recorded of that person under "
                "this name; a new relation takes a new subject"
            )
        return _with(fact, {n: _sealed(key, fact, subject, n, text) for n, text in plain})

    def opened[F: Fact](self, fact: F) -> F:
        """Return the fact with its personal fields in plain text, or "[erased]"."""
        sealed = [(name, text) for name, text in self._personal(fact) if text.startswith(MARK)]
        if not sealed:
            return fact
        subject = _subject(fact)
        key = self._key(subject, make=False)
        if key is None:
            return _with(fact, dict.fromkeys((name for name, _ in sealed), ERASED))
        return _with(fact, {n: _unsealed(key, fact, subject, n, text) for n, text in sealed})

    def erase(self, subject: str, who: str, reason: str) -> Erased:
        """Destroy a subject's key: what was sealed under it cannot be read again by anybody.

        The row stays as a note that, when and why this was done; the table is written anew in the
        same transaction, so that none of its pages keeps the wrapped key. Other processes forget
        it within their `fresh_s` seconds. What still holds the wrapped key (and opens nothing
        without the master key), and for how long:

            write-ahead log          until the segment is recycled, some checkpoints later;
                                     archived WAL for as long as you archive it
            replicas                 until they have replayed it
            backups and snapshots    until the last one made before this is gone
            the disk's free blocks   until they are written over

        Raises TapeError for a subject that is not there, is erased, or is under a legal hold;
        TapeForbidden for a login that does not own the table; TapeUnavailable when it is locked.
        """
        if not who.strip() or not reason.strip():
            raise SettingsError(f"who {who!r}, reason {reason!r} found: both are to be said")
        at = time.time_ns()
        with self._lock, self._database("erasing a subject") as connection:
            self._keys.pop(subject, None)
            _refuse_held(connection, subject)
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = {self._patience_ms:d}")
                connection.execute("LOCK TABLE onetape.subject_key IN ACCESS EXCLUSIVE MODE")
                if connection.execute(ERASE, [at, who, reason, subject]).fetchone() is None:
                    raise self._missing(connection, subject)
                connection.execute(ANEW)
        return Erased(subject, who, reason, at)

    # -- keys

    def _personal(self, fact: Fact) -> list[tuple[str, str]]:
        values = ((name, getattr(fact, name)) for name in personal_fields(type(fact)))
        return [(name, text) for name, text in values if text]  # nothing is nobody's

    def _key(self, subject: str, make: bool) -> bytes | None:
        with self._lock:
            key, asked = self._keys.get(subject, (None, -math.inf))
            if time.monotonic() - asked < self._fresh_s:
                self._keys.move_to_end(subject)
                return key
            self._keys.pop(subject, None)
            key = self._asked(subject, make)
            # who is erased stays erased
            self._keys[subject] = (key, math.inf if key is None else time.monotonic())
            while len(self._keys) > CACHED:
                self._keys.popitem(last=False)
            return key

    def _asked(self, subject: str, make: bool) -> bytes | None:
        held = self._connection is not None
        try:
            with self._database("reading a subject's key") as connection:
                return self._fetched(connection, subject, make)
        except TapeUnavailable:
            if not held or not self._connection.closed:
                raise
        with self._database("reading a subject's key") as connection:  # the server came back
            return self._fetched(connection, subject, make)

    def _fetched(self, connection: Any, subject: str, make: bool) -> bytes | None:
        found = connection.execute(GET, [subject]).fetchone()
        if found is None and make:
            self._fits(connection)
            wrapped = encrypted(self._master.key, secrets.token_bytes(KEY), _bound(subject))
            name = self._master.name
            connection.execute(PUT, [subject, wrapped, name, time.time_ns()])
            found = connection.execute(GET, [subject]).fetchone()  # perhaps another one's
        if found is None:
            raise TapeError(
                f"no key of subject {subject} is there, and none was ever erased: is this the "
                "database that the fact was sealed for?"
            )
        wrapped, name, _ = found
        if wrapped is None:
            return None
        if name != self._master.name:
            raise self._misfit(name)
        try:
            return decrypted(self._master.key, bytes(wrapped), _bound(subject))
        except ValueError as err:
            raise BrokenTape(0, f"the wrapped key of subject {subject} was changed") from err

    def _fits(self, connection: Any) -> None:
        """See that all keys are under one master: a lost file must not go unnoticed."""
        other = connection.execute(OTHER, [self._master.name]).fetchone()
        if other is not None:
            raise self._misfit(other[0])

    def _misfit(self, name: str) -> SettingsError:
        return SettingsError(
            f"the keys in this database are under master {name}, found master "
            f"{self._master.name}; restore the file {FILE} or set {REFERENCE} to the right one"
        )

    def _missing(self, connection: Any, subject: str) -> TapeError:
        found = connection.execute(GET, [subject]).fetchone()
        if found is None:
            return TapeError(f"no subject {subject} has a key here; nothing was ever sealed for it")
        return TapeError(f"subject {subject} was erased before, at {found[2]} ns UTC")

    @contextmanager
    def _database(self, doing: str) -> Iterator[Any]:
        import psycopg

        from onetape.tape.server import connect, shown, translated

        if self._connection is None or self._connection.closed:
            self._connection = connect(self.url)
        try:
            yield self._connection
        except psycopg.Error as err:
            raise translated(err, f"{doing} at {shown(self.url)}") from err


def _refuse_held(connection: Any, subject: str) -> None:
    """Refuse to erase whom a hold names, and anybody under a hold of everything."""
    from onetape.tape.retention import holds

    for one in holds(connection):
        if not one.scope or one.scope.get("subject") == subject:
            raise TapeError(f"subject {subject} may not be erased now: {one}; release it first")


def _subject(fact: Fact) -> str:
    subject = getattr(fact, "subject", None)
    if not isinstance(subject, str) or not subject:
        raise SettingsError(
            f"{tag_of(type(fact))} has personal fields and no subject; a field `subject` that "
            "says whose they are expected"
        )
    return subject


def _with[F: Fact](fact: F, values: dict[str, str]) -> F:
    return msgspec.structs.replace(fact, **values)


def _bound(*place: str) -> bytes:
    """Return what a sealed text is bound to: no two places give the same bytes."""
    return msgspec.json.encode(place)


def _sealed(key: bytes, fact: Fact, subject: str, name: str, text: str) -> str:
    if text.startswith(MARK):
        _unsealed(key, fact, subject, name, text)  # sealed before, for this very place
        return text
    bound = _bound(subject, tag_of(type(fact)), name)
    return MARK + base64.b64encode(encrypted(key, text.encode(), bound)).decode()


def _unsealed(key: bytes, fact: Fact, subject: str, name: str, text: str) -> str:
    kind = tag_of(type(fact))
    try:
        raw = base64.b64decode(text.removeprefix(MARK), validate=True)
        return decrypted(key, raw, _bound(subject, kind, name)).decode()
    except ValueError as err:
        raise BrokenTape(
            0,
            f"{name} of {kind} was not sealed for subject {subject} in this place, or was "
            "changed since; run verify",
        ) from err
