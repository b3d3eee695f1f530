"""What shows when somebody touched what the wire said, and what only a seal shows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import errors

from onetape.tape.postgres import PostgresTape
from onetape.tape.roles import OWNER, READER, WRITER
from onetape.tape.server import connect
from onetape.tape.wirelog import WireLog, WireMoved, WireSealed
from onetape.tape.wirelog_rows import begin, chained, head_of, packed

from .servers import old_server
from .test_server import login
from .wires import T0, US, message, messages

TABLES = ("wire", "wire_batch", "wire_session")
FREE = "SET session_replication_role = replica;"  # what a superuser can do: no triggers


@pytest.fixture
def log(database: str) -> Iterator[WireLog]:
    """A log with three batches, the first two of them sealed."""
    made = WireLog.open(database)
    made.append(messages(4))
    made.append(messages(3, first=5))
    made.seal("gw")
    made.append([message(8), message(9, seq=2, possdup=True)])
    yield made
    made.close()


def found(log: WireLog) -> str:
    """What verify says."""
    return str(log.verify("gw")[0])


def test_what_was_not_touched_is_found_as_written(log: WireLog) -> None:
    (verdict,) = log.verify()
    assert verdict.ok
    assert (verdict.batches, verdict.rows, verdict.seals, verdict.sealed) == (3, 9, 1, 2)
    assert "9 messages in 3 batches, as written; sealed on the tape up to batch 2" in str(verdict)


@pytest.mark.parametrize(
    ("harm", "shown"),
    [
        ("UPDATE wire SET raw = 'x' WHERE position = 6", "batch 2: 3 messages other"),
        ("UPDATE wire SET ts = ts + 1 WHERE position = 6", "batch 2"),
        ("UPDATE wire SET exec_id = NULL WHERE position = 6", "batch 2"),
        ("UPDATE wire SET possdup = true WHERE position = 1", "batch 1"),
        ("DELETE FROM wire WHERE position = 9", "batch 3: 1 messages other than the 2 kept"),
        ("INSERT INTO wire SELECT epoch, 77, ts, 77, batch, session_id, copy, inbound, possdup, "
         "msg_type, null, null, null, raw FROM wire WHERE position = 1", "batch 1: 5 messages"),
        ("INSERT INTO wire SELECT epoch, 77, ts, 77, 99, session_id, copy, inbound, possdup, "
         "msg_type, null, null, null, raw FROM wire WHERE position = 1", "10 messages found"),
        ("UPDATE wire SET session_id = 44 WHERE position = 9", "1 messages belong to no session"),
        ("UPDATE wire_session SET session = 'FIX.4.4:US->OTHER'", "batch 1"),
        ("DELETE FROM wire_batch WHERE batch = 2", "batch 2 is missing"),
        ("UPDATE wire_batch SET recorded_ns = 5 WHERE batch = 2", "batch 2 does not follow"),
        ("UPDATE wire_head SET n = 3", "the head stands at batch 3 with 3 messages"),
        ("DELETE FROM wire WHERE batch > 1; DELETE FROM wire_batch WHERE batch > 1; "
         "UPDATE wire_head SET (batch, n, chain) = (1, 4, (SELECT chain FROM wire_batch))",
         "batch 2 was sealed and is missing"),
    ],
)  # fmt: skip
def test_what_a_superuser_did_without_triggers_is_named(
    log: WireLog, database: str, harm: str, shown: str
) -> None:
    with connect(database) as connection:
        connection.execute(FREE + harm)  # type: ignore[arg-type]
    assert not log.verify("gw")[0].ok
    assert shown in found(log)


def test_a_chain_that_was_written_anew_is_found_by_its_seal_and_by_nothing_else(
    log: WireLog, database: str
) -> None:
    """Everything is computed again as we would, over another message."""
    rows = [message(n) for n in range(1, 5)]
    rows[1] = rows[1]._replace(raw=b"forged")
    with connect(database) as connection:
        connection.execute(FREE)
        connection.execute("UPDATE wire SET raw = 'forged' WHERE position = 2")
        asked = "SELECT batch, n, recorded_ns, ts_lo, ts_hi, digest FROM wire_batch ORDER BY batch"
        batches = connection.execute(asked).fetchall()
        ((number,),) = connection.execute("SELECT id FROM wire_session").fetchall()
        forged = hashlib.sha256(head_of(number, "gw", US, ""))
        forged.update(b"".join(packed(row, number, 0, 1) for row in rows))
        chain = begin("gw")
        for batch, *link, digest in batches:
            told = forged.digest() if batch == 1 else digest
            chain = chained(chain, told, batch, *link)
            change = "UPDATE wire_batch SET digest = %s, chain = %s WHERE batch = %s"
            connection.execute(change, [told, chain, batch])
        connection.execute("UPDATE wire_head SET chain = %s", [chain])
    (verdict,) = log.verify()
    assert verdict.trouble == ("batch 2 is another one than the tape's seal says",)


def test_a_seal_stands_on_the_tape_once_for_each_place_of_the_chain(
    log: WireLog, database: str
) -> None:
    made = log.seal("gw")
    assert isinstance(made, WireSealed)
    assert (made.batch, made.rows) == (3, 9)
    assert log.seal("gw") is None
    assert log.seal("nobody") is None
    tape = PostgresTape(database)
    facts = [entry.event.fact for entry in tape.read(streams=["wire/gw"])]
    assert facts[-1] == made
    assert tape.verify()
    tape.close()
    assert "sealed on the tape up to batch 3" in found(log)


def test_the_writer_appends_and_can_change_nothing(log: WireLog, database: str) -> None:
    url = login(database, member=WRITER)
    writer = WireLog.open(url)
    later = [message(10), message(11, ts=T0 + 70 * 86_400 * 10**9)]  # a month of its own
    assert writer.append(later) == 2
    assert writer.append_facts("wire/gw", [(T0, WireMoved("gw", US, "up"))]) == 1
    assert writer.seal("gw") is not None
    assert writer.verify()[0].ok
    writer.close()
    with connect(url) as connection:
        for table in (*TABLES, "wire_202607", "wire_202609"):
            for change in (
                "UPDATE {} SET {} = {}",
                "DELETE FROM {}",
                "TRUNCATE {}",
                "DROP TABLE {}",
            ):
                column = "chain" if table == "wire_batch" else "session"
                column = "ts" if table.startswith("wire_2") or table == "wire" else column
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(change.format(table, column, column))  # type: ignore[arg-type]
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM wire_202607")  # only through the log
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("DELETE FROM wire_head")


def test_even_the_owners_changes_are_refused_by_the_trigger(log: WireLog, database: str) -> None:
    for role in (OWNER, "postgres"):
        with connect(database, role=role) as connection:
            for table, column in (
                ("wire", "ts"), ("wire_202607", "ts"), ("wire_batch", "chain"),
                ("wire_session", "session"),
            ):  # fmt: skip
                for change in ("UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"):
                    with pytest.raises(errors.InsufficientPrivilege, match="never changed"):
                        connection.execute(change.format(table, column, column))  # type: ignore[arg-type]


def test_the_reader_reads_and_writes_nothing(log: WireLog, database: str) -> None:
    url = login(database, member=READER)
    reader = WireLog.open(url)
    assert len(list(reader.read(US))) == 9
    assert reader.verify()[0].ok
    assert reader.bookmark("gw", US) == 9
    reader.close()
    with connect(url) as connection:
        asked = "SELECT direction, text FROM wire_log WHERE position = 1"
        assert connection.execute(asked).fetchone() == (
            "in", "8=FIX.4.4|35=8|34=1|11=C1|37=V1|17=E1|",
        )  # fmt: skip
        for text in (
            "INSERT INTO wire SELECT * FROM wire", "UPDATE wire_mark SET position = 0",
            "SELECT ensure_wire('{202601}')", "INSERT INTO wire_head VALUES ('x', 0, 0, 0, '')",
        ):  # fmt: skip
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(text)  # type: ignore[arg-type]


def test_an_older_postgresql_keeps_the_wire_as_well(place: Path) -> None:
    with old_server(place) as url:
        log = WireLog.open(url)
        assert log.append(messages(4)) == 4
        assert log.append(messages(5)) == 1
        assert log.seal("gw") is not None
        assert log.verify()[0].ok
        log.close()
