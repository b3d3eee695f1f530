"""The wire log: every raw message of a gateway's sessions, both ways, beside the tape's events.

    log = WireLog.open()                                  # or a URL, or a folder
    since = log.bookmark("gw", "FIX.4.4:US->THEM")
    log.append(rows, upto={"FIX.4.4:US->THEM": 1_250})    # and again, where in doubt
    log.append_facts("wire/gw", [(ts, WireMoved("gw", "FIX.4.4:US->THEM", "up"))])
    log.seal("gw")

What is kept   masked bytes, the gateway's time, session, epoch, direction, number, copy, MsgType,
         PossDup and ids, in a table by months of `ts`. Unique over session, epoch, direction,
         number and copy. Nobody updates or deletes: rights and triggers as those of the log.
Batches  an append is one transaction with its bookmarks: all of it or nothing. One that was sent
         before adds nothing, so that whoever does not know what became of it sends it again.
Proof    the tape's own `verify` reads events, not these tables. Each batch has a digest of its
         rows and a link in its gateway's chain; `verify` computes them again. `seal` puts the
         chain on the tape, as an event that `verify`, proofs and anchors of the tape cover: what
         is sealed cannot be written anew without it showing. What came after the last seal is as
         safe as the database's own rights.
Keeping  messages are not archived and not dropped; the events have the class "wire".
Failing  nothing is connected before it is needed, and each call stands alone: TapeUnavailable
         means try again (our own server is started again where it died), TapeConflict that
         another journal was kept for this session, TapeForbidden a login that may not write.
Cost     for messages of 210 bytes about 530 bytes each, indexes included; on two cores 40,000 a
         second in batches of 5,000 and 12,000 in batches of 56.
Threads  calls may come from several threads; those that write wait for one another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from onetape.errors import OnetapeError, SettingsError, TapeConflict, TapeUnavailable
from onetape.tape.fact import Fact
from onetape.tape.kinds_wire import WireAlarm, WireAsked, WireMoved, WireSealed
from onetape.tape.wirelog_proof import Seal, WireVerdict, verified
from onetape.tape.wirelog_rows import WireRow, checked
from onetape.tape.wirelog_writing import Batch, Writing

if TYPE_CHECKING:
    import polars as pl

    from onetape.tape.embedded import Server
    from onetape.tape.kinds import AnyFact
    from onetape.tape.postgres import PostgresTape

__all__ = [
    "WireAlarm", "WireAsked", "WireLog", "WireMoved", "WireRow", "WireSealed", "WireVerdict",
    "stream_of",
]  # fmt: skip

BOOK = "control"
TRIES = 20
# who is stopped or cut off with a gateway's head in hand is not to block another for ever
PATIENCE = 0.2  # seconds: a connection from before a restart is tried again at once
MANY = 100_000  # events of which a stream's content is remembered
# The head tells the version, whatever else is asked for: a row with no payload where there is none.
EVENTS = """SELECT h.version, e.ts_event, e.payload FROM onetape.stream s
JOIN onetape.stream_head h ON h.stream_id = s.id
LEFT JOIN onetape.event e ON e.stream_id = s.id AND e.version > %s AND e.ts_event >= %s
WHERE s.key = %s"""
IDLE = "SET idle_in_transaction_session_timeout = '20s'"


def stream_of(gateway: str) -> str:
    """Return the stream of a gateway's events."""
    return f"wire/{gateway}"


class WireLog:
    """The messages of gateways on a tape's database; see the module for what is promised."""

    def __init__(self, where: str, clock: Callable[[], int] = time.time_ns) -> None:
        self._where, self._clock = where, clock
        self._server: Server | None = None
        self._prepared = False
        self._writing: Writing | None = None
        self._tape: PostgresTape | None = None
        self._known: dict[str, _Known] = {}
        self._seen: dict[tuple[str, str, str], int] = {}  # bookmarks that somebody relies on
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls, where: str | Path | None = None, clock: Callable[[], int] = time.time_ns
    ) -> WireLog:
        """Return the log of a tape: a server's URL, a folder of our own server, or the default.

        The database need not be there: the first call that needs it says so.
        """
        from onetape.settings import settings

        if not isinstance(where, str | Path | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SettingsError(f"{where!r} found as tape; a server's URL or a folder expected")
        return cls(str(where if where is not None else settings().tape), clock)

    def __repr__(self) -> str:
        from onetape.tape.server import shown

        return f"WireLog({shown(self._where) if '://' in self._where else self._where or 'ours'})"

    # -- writing

    def append(
        self,
        rows: Sequence[WireRow],
        *,
        upto: Mapping[tuple[str, str], int] | None = None,
        journal: str = "",
    ) -> int:
        """Keep messages, and return how many were not kept yet; each gateway's are one batch.

        upto     bookmarks by (gateway, session), where a journal goes on with what is no message
        journal  which journal of the session this is, where an earlier one was lost: positions
                 count in it, and it has a bookmark of its own

        A row's `copy` is a floor: a number that is there already gets the next copy. Rows at or
        before the bookmark must be the ones that are kept: TapeConflict where they are not.
        TapeUnavailable also where the database has gone back behind what was kept or asked for
        before (a copy was put back, another server took over): ask for the bookmark again.
        """
        batches: dict[str, Batch] = {}
        for row in rows:
            batches.setdefault(checked(row).gateway, Batch(journal)).rows.append(row)
        for (gateway, session), position in (upto or {}).items():
            batches.setdefault(gateway, Batch(journal)).upto[session] = position
        new = 0
        for gateway, batch in sorted(batches.items()):
            with self._lock:
                kept = self._writing is not None
                try:
                    new += self._written(gateway, batch)
                except TapeUnavailable:
                    if not kept:
                        raise
                    # the connection was an old one: the server may have come back since
                    new += self._written(gateway, batch)
        return new

    def _written(self, gateway: str, batch: Batch) -> int:
        for session in batch.ends():
            batch.since[session] = self._seen.get((gateway, session, batch.journal), 0)
        with self._told("keeping messages"):
            new = self._ready().write(gateway, batch, self._clock())
        for session, position in batch.ends().items():
            key = (gateway, session, batch.journal)
            self._seen[key] = max(position, self._seen.get(key, 0))
        return new

    def append_facts(self, stream: str, facts: Sequence[tuple[int, AnyFact]]) -> int:
        """Record events of a stream, each with its time (ns UTC); return how many were new.

        An event with the time and the content of one that is there already is that one: what is
        sent again adds nothing. Others may write to the stream too.
        """
        wanted = {(ts, _bytes(fact)): fact for ts, fact in facts}
        if not wanted:
            return 0
        with self._lock, self._told("recording events of the wire"):
            for _ in range(TRIES):
                version, known = self._events(stream, min(ts for ts, _ in wanted))
                new = [(ts, fact) for (ts, said), fact in wanted.items() if (ts, said) not in known]
                with suppress(TapeConflict):  # another process was faster: look again
                    self._record(stream, version, new)
                    return len(new)
        raise TapeUnavailable(f"others write to {stream} all the time; try again")

    def seal(self, gateway: str) -> WireSealed | None:
        """Put the chain of a gateway on the tape, where it has moved since; return the seal."""
        with self._lock, self._told("sealing the wire"):
            with self._connection() as connection:
                asked = "SELECT batch, n, recorded_ns, chain FROM onetape.wire_head"
                found = connection.execute(f"{asked} WHERE gateway = %s", [gateway]).fetchone()
            if found is None or not found[0]:
                return None
            sealed = WireSealed(gateway, found[0], found[1], bytes(found[3]).hex())
            new = self.append_facts(stream_of(gateway), [(found[2], sealed)])
        return sealed if new else None

    # -- reading

    def bookmark(self, gateway: str, session: str, journal: str = "") -> int:
        """Return the position up to which a session's journal is kept; 0 where nothing is."""
        from onetape.tape import wirelog_reading

        with self._told("reading a bookmark"), self._connection() as connection:
            found = wirelog_reading.bookmark(connection, gateway, session, journal)
        with self._lock:
            self._seen[gateway, session, journal] = found
        return found

    def read(
        self,
        session: str | None = None,
        *,
        since: int | None = None,
        until: int | None = None,
        limit: int | None = None,
        **asked: Any,
    ) -> Iterator[WireRow]:
        """Yield messages in the order of time.

        since, until   half-open, ns UTC
        asked          gateway, direction ("in", "out"), types (MsgTypes), orders (ClOrdIDs or
                       OrderIDs), execution (an ExecID)
        """
        from onetape.tape import wirelog_reading

        with self._told("reading messages"), self._connection() as connection:
            times = {"since": since, "until": until, "limit": limit}
            yield from wirelog_reading.rows(connection, session=session, **times, **asked)

    def frame(self, session: str | None = None, **asked: Any) -> pl.DataFrame:
        """Return messages as a polars frame; what is asked as in `read`."""
        from onetape.tape import wirelog_reading

        return wirelog_reading.frame(self.read(session, **asked))

    def verify(
        self, gateway: str | None = None, told: Callable[[int], None] = lambda _: None
    ) -> list[WireVerdict]:
        """Compute the chains again, of one gateway or of all; see `wirelog_proof`.

        told   gets the count of messages now and then
        """
        with self._told("verifying the wire"), self._connection() as connection:
            asked = "SELECT gateway FROM onetape.wire_head UNION SELECT gateway FROM "
            asked += "onetape.wire_batch ORDER BY 1"
            every = [name for (name,) in connection.execute(asked).fetchall()]
            chosen = every if gateway is None else [gateway]
            return [verified(connection, one, self._seals(one), told) for one in chosen]

    def close(self) -> None:
        """Let go of the connections, and of our own server."""
        with self._lock:
            self._drop()
            if self._tape is not None:
                self._tape.close()
                self._tape = None
            if self._server is not None:
                self._server.stop()
                self._server = None

    # -- connections

    def _connection(self) -> Any:
        """Return a new connection; our own server is started again where it died."""
        with self._lock:
            url = self._url()
        try:
            return self._connected(url)
        except TapeUnavailable:
            if self._server is None:
                raise
            self._server.revive()
            return self._connected(url)

    def _connected(self, url: str) -> Any:
        from onetape.tape.server import connect, prepare

        with self._lock:
            if not self._prepared:
                prepare(url)  # into this version's form
                self._prepared = True
        return connect(url)

    def _url(self) -> str:
        if "://" in self._where:
            return self._where
        if self._server is None:
            from onetape.tape.embedded import serve

            self._server = serve(Path(self._where).expanduser() if self._where else None)
        return self._server.url

    def _ready(self) -> Writing:
        """Return what writes, over a connection that is kept."""
        if self._writing is None:
            connection = self._connection()
            connection.execute(IDLE)
            self._writing = Writing(connection)
        return self._writing

    @contextmanager
    def _told(self, doing: str) -> Generator[None]:
        """Say the database's errors in our words, and let go of a connection that had one."""
        try:
            yield
        except TapeUnavailable:
            self._drop()
            raise
        except OnetapeError:
            raise
        except Exception as err:
            self._drop()
            from onetape.tape.server import translated

            raise translated(err, doing) from err

    def _drop(self) -> None:
        """Let go of the connection: another server, or another state of it, may answer next."""
        with self._lock:
            writing, self._writing = self._writing, None
            self._prepared = False
            self._known.clear()
            if writing is not None:
                with suppress(Exception):
                    writing.connection.close()

    # -- events

    def _opened(self) -> PostgresTape:
        if self._tape is None:
            from onetape.tape.postgres import PostgresTape

            self._connection().close()  # our own server is up
            self._tape = PostgresTape(self._url(), clock=self._clock, patience=PATIENCE)
        return self._tape

    def _events(self, stream: str, since: int) -> tuple[int, set[tuple[int, bytes]]]:
        """Return a stream's version, and time and content of its events from `since` on."""
        from onetape.tape.event import decode

        known = self._known.get(stream)
        if known is None or since < known.since or len(known.said) > MANY:
            known = _Known(since)
        with self._connection() as connection, connection.cursor(binary=True) as cursor:
            found = cursor.execute(EVENTS, [known.version, known.since, stream]).fetchall()
            if (found[0][0] if found else 0) < known.version:  # a copy of the database was put back
                known = _Known(since)
                found = cursor.execute(EVENTS, [0, since, stream]).fetchall()
        for version, ts, payload in found:
            known.version = version
            if payload is not None:
                known.said.add((ts, _bytes(decode(payload).fact)))
        self._known[stream] = known
        return known.version, known.said

    def _record(self, stream: str, version: int, facts: Sequence[tuple[int, AnyFact]]) -> None:
        from onetape.tape.event import Event

        if facts:
            events = [
                Event(version + place, ts, ts, stream, fact)
                for place, (ts, fact) in enumerate(facts, 1)
            ]
            self._opened().append(stream, events, book=BOOK)

    def _seals(self, gateway: str) -> list[Seal]:
        tape, stream = self._opened(), stream_of(gateway)
        if not tape.version(stream):
            return []
        facts = [entry.event.fact for entry in tape.read(streams=[stream])]
        return [
            Seal(fact.batch, fact.rows, bytes.fromhex(fact.chain))
            for fact in facts
            if isinstance(fact, WireSealed)
        ]


class _Known:
    """What is known of a stream's events, from a time on."""

    def __init__(self, since: int) -> None:
        self.since, self.version = since, 0
        self.said: set[tuple[int, bytes]] = set()


def _bytes(fact: Fact) -> bytes:
    return msgspec.json.encode(fact, order="deterministic")
