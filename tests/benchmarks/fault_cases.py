# pyright: standard
"""Fault cases that need a database and no more: each does its harm and tells what became of it.

A case gets the URL of a fresh tape database whose role is a superuser, and a folder for notes.
It returns what `outcome` makes; "held" means that no acknowledged event was lost, none stands
twice, no reader skipped one, and each tampering was named.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import firm
import tape_asof
from fault_tools import (
    OTHERS,
    Found,
    audited,
    filled,
    notes_of,
    outcome,
    signal,
    superuser,
    told,
    troubles,
    unlike,
)
from workers import Worker, noted, wait_until

from onetape.errors import TapeConflict, TapeError, TapeUnavailable
from onetape.tape.event import Event, encode
from onetape.tape.kinds import OrderVoided
from onetape.tape.postgres import PostgresTape

HOUR = 3_600 * 10**9


def duplicate_delivery(url: str, folder: Path) -> Found:
    """The same events sent again, by eight threads on four connections at once."""
    tapes = [PostgresTape(url) for _ in range(4)]
    sent = list(firm.day(240, 1, 40))
    once = [tapes[0].append(*part) for part in sent]
    again = [tapes[1].append(*part) for part in sent]
    fresh = list(firm.day(480, 1, 40, "together"))

    def deliver(number: int) -> list[Any]:
        return [tapes[number % 4].append(*part) for part in fresh]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(deliver, range(8)))
    placed = {tuple((r.first_seq, r.last_seq) for r in line) for line in together}
    first = [sum(not line[at].repeated for line in together) for at in range(len(fresh))]
    other = [signal(1, value=1.0)]
    tapes[0].append("contested", [signal(1)])
    refused = False
    try:
        tapes[1].append("contested", other)
    except TapeConflict:
        refused = True
    acked = [[s, part[0].seq, part[-1].seq] for s, part in (*sent, *fresh)]
    found = audited(tapes[0], acked)
    found["wrong"] += [
        told([r[:4] for r in once] != [r[:4] for r in again], "other places the second time"),
        told(not all(r.repeated for r in again), "a repeated append was not called so"),
        told(len(placed) != 1, "deliveries at once were told different places"),
        told(set(first) != {1}, "an append was recorded by none or by several"),
        told(not refused, "other content under a recorded number was not refused"),
    ]
    for tape in tapes:
        tape.close()
    return outcome("240 events sent twice, 480 sent eightfold at once", **found)


def one_stream(url: str, folder: Path, writers: int = 8, goal: int = 150) -> Found:
    """Several processes write to one stream, each expecting the version that it knows."""
    names = [f"writer-{number}" for number in range(writers)]
    workers = [Worker("contend", url, folder, name, "shared", goal) for name in names]
    conflicts = sum(worker.stop()["conflicts"] for worker in workers)
    with PostgresTape(url) as tape:
        found = audited(tape, notes_of(folder, names))
        winners = {line[1]: name for name in names for line in noted(folder / name)}
        authors = {entry.version: entry.event.stream for entry in tape.read()}
    found["duplicated"] += len(notes_of(folder, names)) - len(winners)
    found["wrong"].append(told(winners != authors, "a version is not its winner's"))
    found["wrong"].append(told(sorted(authors) != list(range(1, len(authors) + 1)), "gaps"))
    did = f"{writers} processes on one stream up to version {len(authors)}"
    return outcome(did, conflicts=conflicts, winners=len(set(authors.values())), **found)


def clock_set_back(url: str, folder: Path) -> Found:
    """A writer's clock goes back one hour, and forward again."""
    shift = [0]
    with PostgresTape(url, clock=lambda: time.time_ns() + shift[0]) as tape:
        acked = []
        for number in range(1, 41):
            shift[0] = -HOUR if 10 < number <= 30 else 0
            receipt = tape.append("clock", [signal(number)])
            acked.append(["clock", number, number, receipt.recorded])
        found = audited(tape, acked)
        told_at = [line[3] for line in acked]
        read_at = [entry.recorded for entry in tape.read()]
    found["wrong"] += [
        told(any(a >= b for a, b in pairwise(told_at)), "time went back"),
        told(told_at != read_at, "receipts and tape give other times"),
    ]
    return outcome("40 appends, the clock one hour back for 20 of them", **found)


def _tampered(url: str, did: str, seq: int, change: Callable[[Any, int], object]) -> Found:
    with PostgresTape(url) as tape:
        acked = filled(tape)
        clean = troubles(tape)
        with superuser(url) as connection:
            batch = connection.execute(
                "SELECT batch_id FROM onetape.batch WHERE %s BETWEEN seq_lo AND seq_hi", (seq,)
            ).fetchone()[0]
            change(connection, seq)
        named = troubles(tape)
    said = " ".join(named)
    wrong = [
        told(bool(clean), f"verify found fault before: {clean[:1]}"),
        told(not named, "verify found nothing"),
        told(bool(named) and f"batch {batch}" not in said, f"batch {batch} not named: {said}"),
        told(bool(named) and f"event {seq}" not in said, f"event {seq} not named: {said}"),
    ]
    sent = sum(a[2] - a[1] + 1 for a in acked)
    return outcome(did, wrong, acked=sent, present=sent, named=named[:3])


def _one_digit(connection: Any, seq: int) -> None:
    """Make a digit of the event's time another one: it stays a good event."""
    asked = "SELECT payload FROM onetape.event WHERE seq = %s"
    raw = bytes(connection.execute(asked, (seq,)).fetchone()[0])
    at = raw.index(b'"ts_event":') + 20
    other = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
    connection.execute("UPDATE onetape.event SET payload = %s WHERE seq = %s", (other, seq))


def superuser_update(url: str, folder: Path) -> Found:
    """A superuser changes one bit of one payload, triggers disabled."""
    return _tampered(url, "one bit of a payload changed by a superuser", 333, _one_digit)


def superuser_header(url: str, folder: Path) -> Found:
    """A superuser moves an event to another account, in the ledger's columns only."""
    change = "UPDATE onetape.event SET account_id = account_id + 1 WHERE seq = %s"
    did = "an account number changed by a superuser"
    return _tampered(url, did, 334, lambda c, seq: c.execute(change, (seq,)))


def superuser_delete(url: str, folder: Path) -> Found:
    """A superuser deletes one event, triggers disabled."""
    gone = "DELETE FROM onetape.event WHERE seq = %s"
    did = "an event deleted by a superuser"
    found = _tampered(url, did, 335, lambda c, seq: c.execute(gone, (seq,)))
    return found | {"present": found["present"] - 1}  # the harm itself, not a loss of the tape's


def renamed(url: str, folder: Path) -> Found:
    """A superuser renames an account, so that all its events seem another's."""
    with PostgresTape(url) as tape:
        filled(tape)
        with superuser(url) as connection:
            connection.execute(
                "UPDATE onetape.dimension SET key = 'somebody' WHERE id = "
                "(SELECT max(id) FROM onetape.dimension WHERE kind = 'account')"
            )
        named = troubles(tape)
    return outcome("an account renamed", [told(not named, "not found")], named=named[:3])


TRUNCATE = (
    "DELETE FROM onetape.event WHERE seq > (SELECT seq_hi FROM onetape.batch WHERE batch_id = %b)",
    "DELETE FROM onetape.batch WHERE batch_id > %b",
    "DELETE FROM onetape.dimension WHERE batch_id > %b",
    "DELETE FROM onetape.stream WHERE batch_id > %b",
    """UPDATE onetape.stream_head h SET version = e.version, last_seq = e.seq
    FROM (SELECT stream_id, max(version) AS version, max(seq) AS seq FROM onetape.event
          GROUP BY stream_id) e WHERE e.stream_id = h.stream_id AND %b::int8 > 0""",
    "DELETE FROM onetape.stream_head WHERE %b::int8 > 0 AND stream_id NOT IN "
    "(SELECT id FROM onetape.stream)",
    """UPDATE onetape.ledger_head SET (last_seq, last_batch, last_ns, chain) =
    (SELECT seq_hi, batch_id, recorded_ns, chain FROM onetape.batch WHERE batch_id = %b)""",
    """UPDATE onetape.ledger_head SET last_dimension =
    (SELECT coalesce(max(id), 0) FROM onetape.dimension),
    last_stream = (SELECT coalesce(max(id), 0) FROM onetape.stream) WHERE %b::int8 > 0""",
)


def rewritten_tail(url: str, folder: Path) -> Found:
    """The tail is cut off, the head rewritten to match, another story told: only anchors know."""
    file = folder / "anchors"
    with PostgresTape(url) as tape:
        filled(tape)
        tape.anchor(file)
        batch = tape.head().batch
        before = troubles(tape, file)
    with superuser(url) as connection:
        for statement in TRUNCATE:
            connection.execute(statement, (batch - 2,))
    with PostgresTape(url) as tape:
        cut = troubles(tape)
        cut_by_anchor = troubles(tape, file)
        for number in range(1, 9):  # so many batches that the anchored one exists again
            tape.append("another story", [signal(number)])
        retold, retold_by_anchor = troubles(tape), troubles(tape, file)
    wrong = [
        told(bool(before), f"the anchor did not fit before: {before[:1]}"),
        told(bool(cut + retold), f"the forgery was not consistent: {(cut + retold)[:1]}"),
        told(not cut_by_anchor, "the anchor did not show the cut"),
        told(not retold_by_anchor, "the anchor did not show the other story"),
    ]
    did = "tail truncated, head rewritten to match, then other events appended"
    return outcome(did, wrong, named=[*cut_by_anchor[:1], *retold_by_anchor[:1]])


def connection_cut(url: str, folder: Path, cuts_made: int = 6) -> Found:
    """All sessions of a writing process are terminated, again and again."""
    with Worker("write", url, folder, "cut", 20) as worker:
        notes = folder / "cut"
        wait_until(lambda: len(noted(notes)) > 3, "the first appends")
        with superuser(url) as connection:
            for _ in range(cuts_made):
                connection.execute(OTHERS)
                seen = len(noted(notes))
                wait_until(lambda seen=seen: len(noted(notes)) > seen + 2, "appends after a cut")
        said = worker.stop()
    with PostgresTape(url) as tape:
        found = audited(tape, noted(notes))
        found["wrong"].append(unlike(tape, "cut", 20))
        found["wrong"].append(told(not said["refused"], "no append ever noticed"))
    return outcome(f"{cuts_made} times all sessions terminated while appending", **found, **said)


def idle_transaction(url: str, folder: Path) -> Found:
    """Transactions are left open, in this database and in another one of the server."""
    import psycopg

    with (
        psycopg.connect(url) as here,
        psycopg.connect(url, dbname="postgres") as elsewhere,
        PostgresTape(url) as tape,
    ):
        begun = filled(tape, 120)
        here.execute("SELECT count(*), pg_current_xact_id() FROM onetape.event")
        elsewhere.execute("SELECT pg_current_xact_id()")
        seen: list[int] = []
        enough = threading.Event()

        def look() -> None:
            for entries in tape.follow(0, until=enough.is_set):
                seen.extend(entry.seq for entry in entries)

        reader = threading.Thread(target=look, daemon=True)
        reader.start()
        acked = begun + filled(tape, 240, label="beside")
        last = tape.head().seq
        took = wait_until(lambda: bool(seen) and seen[-1] >= last, "the reader at the end", 30.0)
        enough.set()
        reader.join(10.0)
        found = audited(tape, acked)
    found["skipped"] = len(set(range(1, last + 1)) - set(seen))
    found["duplicated"] += len(seen) - len(set(seen))
    did = "two idle transactions held open, one in another database, while 240 events came"
    return outcome(did, reader_waited_s=round(took, 2), **found)


def poison(url: str, folder: Path) -> Found:
    """Events that cannot be read or folded: the projector parks them and goes on."""
    with PostgresTape(url) as tape:
        acked = filled(tape, 240)
        odd = signal(1)
        raw = encode(odd).replace(b'"signal.noted"', b'"signal.of_a_later_day"')
        tape.submit("odd", [odd], book=firm.BOOK, raws=[raw]).result()
        nothing = OrderVoided("no such order", "NONE.V00", "desk-0", "T1", "never filled")
        tape.append("odd", [Event(2, firm.OPEN, firm.OPEN, "odd", nothing)])
        acked += filled(tape, 120, label="after")
        last = tape.head().seq
        tape_asof.catch_up(url)
        with superuser(url) as connection:
            at = tape_asof.bookmark(connection)
        parked = tape_asof.parked(url)
        present = len(list(tape.read()))
        verified = troubles(tape)
    sent = sum(a[2] - a[1] + 1 for a in acked) + 2
    wrong = [
        told(at != last, f"the projection stands at {at}, {last} expected"),
        told(len(parked) != 2, f"{len(parked)} events parked, 2 expected"),
        *verified,
    ]
    did = "an event of an unknown kind and a void of nothing, then 120 good events"
    return outcome(did, wrong, acked=sent, present=present, lost=sent - present, parked=parked)


def named_in_doubt(url: str, folder: Path) -> Found:
    """A COMMIT fails that would have named a stream; the same events are sent again."""
    with PostgresTape(url) as tape:
        acked = filled(tape, 120)
        with superuser(url) as connection:
            connection.execute(
                "CREATE FUNCTION onetape.fail() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'the disk burns' USING ERRCODE = '58030'; END $$"
            )
            connection.execute(
                "CREATE CONSTRAINT TRIGGER burn AFTER INSERT ON onetape.batch DEFERRABLE "
                "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION onetape.fail()"
            )
            part = next(iter(firm.day(24, 1, 20, "doubt")))
            failed = doubt = False
            try:
                tape.append(*part)
            except TapeError as err:
                failed = True
                doubt = isinstance(err, TapeUnavailable) and err.in_doubt
            connection.execute("DROP TRIGGER burn ON onetape.batch")
        acked.append([part[0], part[1][0].seq, part[1][-1].seq, 0, 0])
        tape.append(*part)
        found = audited(tape, acked)
        found["wrong"].append(told(not failed, "the failing COMMIT was not told"))
    return outcome("a COMMIT refused at the last moment, the same sent again", doubt=doubt, **found)


def verified_while_written(url: str, folder: Path) -> Found:
    """An untouched tape is verified, anchored and proved while another process writes to it."""
    said: list[str] = []
    rounds = 8
    with PostgresTape(url) as tape, Worker("write", url, folder, "busy", 5) as worker:
        notes = folder / "busy"
        for _ in range(rounds):
            seen = len(noted(notes))
            wait_until(lambda seen=seen: len(noted(notes)) > seen + 2, "appends")
            said += troubles(tape)[:1]
            tape.anchor(folder / "anchors")
            said += troubles(tape, folder / "anchors")[:1]
        worker.stop()
        found = audited(tape, noted(notes))
    found["wrong"] += said[:2]
    return outcome(f"verified {2 * rounds} times while it was written to", **found)


def projector_killed(url: str, folder: Path, times: int = 3) -> Found:
    """SIGKILL the projector while it books what a writer appends; the next one goes on."""
    notes = folder / "writer"
    PostgresTape(url).close()
    with superuser(url) as eyes, Worker("write", url, folder, "writer", 20) as writer:
        for _ in range(times):
            with Worker("project", url) as projector:
                upto = tape_asof.bookmark(eyes) + 400
                wait_until(lambda u=upto: tape_asof.bookmark(eyes) >= u, "the projection")
                projector.kill()
        writer.stop()
        with PostgresTape(url) as tape:
            wait_until(lambda: tape_asof.is_free(url), "the lock of the last one that was killed")
            found = audited(tape, noted(notes))
            at, head = tape_asof.bookmark(eyes), tape.head().seq
            plain = firm.plain_fold(((e.seq, e.event) for e in tape.read()), 2**62, head)
        booked = tape_asof.booked(eyes)
    moved = {pair: one for pair, one in plain.items() if one != tape_asof.ZERO}
    apart = {pair for pair in moved.keys() | booked.keys() if moved.get(pair) != booked.get(pair)}
    found["wrong"] += [
        told(at != head, f"the projection stands at {at}, {head} expected"),
        told(bool(apart), f"{len(apart)} positions differ from the plain fold: {list(apart)[:2]}"),
    ]
    did = f"{times} times SIGKILL to the projector while {head} events came"
    return outcome(did, positions=len(booked), **found)


QUICK = {
    "duplicate delivery": duplicate_delivery,
    "8 writers on one stream": one_stream,
    "clock set back": clock_set_back,
    "superuser UPDATE": superuser_update,
    "superuser UPDATE of a header": superuser_header,
    "superuser DELETE": superuser_delete,
    "account renamed": renamed,
    "tail truncated, head rewritten": rewritten_tail,
    "connection cut": connection_cut,
    "idle transaction elsewhere": idle_transaction,
    "poison event": poison,
    "commit refused": named_in_doubt,
    "verify while written to": verified_while_written,
    "projector killed": projector_killed,
}
