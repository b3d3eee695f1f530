"""What was said on the wire reaches the tape's database, whatever happens to it or to us."""

from __future__ import annotations

from pathlib import Path

from onetape.errors import TapeUnavailable
from onetape.tape.wirelog import WireAlarm, WireAsked, WireLog, WireMoved
from onetape_fix.gateway.keeping import Keeping
from onetape_fix.session import Journal, MemoryStore, Store

from .peers import Peers, holding, order, reports, run, until


class Kept:
    """A database in memory that can be down; it keeps what the wire log promises to keep."""

    def __init__(self) -> None:
        self.down = False
        self.asked = 0
        self.rows: dict[tuple, bytes] = {}
        self.facts: dict[tuple, object] = {}
        self.marks: dict[tuple, int] = {}
        self.sealed = 0

    def _there(self) -> None:
        self.asked += 1
        if self.down:
            raise TapeUnavailable("the server refuses connections")

    def bookmark(self, gateway, session, journal="") -> int:
        self._there()
        return self.marks.get((gateway, session, journal), 0)

    def append(self, rows, *, upto=None, journal="") -> int:
        self._there()
        for row in rows:
            self.rows[row.session, journal, row.position] = row
        for (gateway, session), position in (upto or {}).items():
            self.marks[gateway, session, journal] = position
        return len(rows)

    def append_facts(self, stream, facts) -> int:
        self._there()
        self.facts.update({(stream, ts, repr(fact)): fact for ts, fact in facts})
        return len(facts)

    def seal(self, gateway) -> None:
        self._there()
        self.sealed += 1

    def close(self) -> None:
        pass


def filled(store: Store, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        raw = f"8=FIX.4.4\x019=1\x0135=D\x0134={number}\x0111=A{number}\x0110=000\x01".encode()
        store.sent(number, raw, 1_000 + number)


async def all_kept(keeping: Keeping, store: Store, session: str = "a") -> None:
    await until(lambda: keeping.status(session)["kept"] == store.position)


def test_a_database_that_is_down_delays_and_everything_is_filled_in_behind() -> None:
    async def test() -> None:
        log, store = Kept(), MemoryStore(5)
        log.down = True
        keeping = Keeping(log, "gw", pause=0.01)
        filled(store, 3_000)
        keeping.start({"a": store})
        await until(lambda: "refuses" in keeping.status("a")["trouble"])
        assert keeping.status("a")["lag"] is None  # not even asked how much there is
        filled(store, 2_000, 3_001)
        log.down = False
        await all_kept(keeping, store)
        assert [row.client_order_id for row in log.rows.values()] == [
            f"A{number}" for number in range(1, 5_001)
        ]
        assert keeping.status("a") == {"kept": 5_000, "lag": 0, "lag_s": 0.0, "trouble": ""}
        keeping.stop()
        assert log.sealed == 1

    run(test)


def test_a_gateway_that_was_killed_goes_on_at_the_bookmark_with_the_right_epoch(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        log = Kept()
        store = Journal(tmp_path, "a", ts=10)
        filled(store, 5)
        first = Keeping(log, "gw", pause=0.01)
        first.start({"a": store})
        await all_kept(first, store)
        first.stop()
        filled(store, 3, 6)  # nobody ships these
        store.reset(50_000)
        filled(store, 2)
        store.close()
        again = Journal(tmp_path, "a")
        second = Keeping(log, "gw", pause=0.01)
        second.start({"a": again})
        await all_kept(second, again)
        second.stop()
        again.close()
        epochs = [row.epoch for row in log.rows.values()]
        assert len(epochs) == 10
        assert len(set(epochs[5:8])) == 1
        assert epochs[8:] == [50_000] * 2
        assert epochs[5] != 50_000

    run(test)


def test_a_journal_that_was_lost_and_begun_anew_is_kept_beside_the_first(tmp_path: Path) -> None:
    async def test() -> None:
        log, store = Kept(), MemoryStore(5)
        filled(store, 10)
        first = Keeping(log, "gw", tmp_path / "names", pause=0.01)
        first.start({"a": store})
        await all_kept(first, store)
        first.stop()
        for _ in range(2):  # the second time its name is remembered
            new = MemoryStore(9)
            filled(new, 3)
            second = Keeping(log, "gw", tmp_path / "names", pause=0.01)
            second.start({"a": new})
            await all_kept(second, new)
            second.stop()
        assert len(log.rows) == 13
        assert len({journal for _, journal, _ in log.rows}) == 2

    run(test)


def test_the_sessions_messages_and_what_people_did_stand_on_the_tape(
    tmp_path: Path, database: str
) -> None:
    async def test() -> None:
        peers = Peers(["a"])
        keeper = Keeping(WireLog.open(database), "gw", tmp_path / "names", pause=0.02)
        heard: list = []
        async with holding(peers, tmp_path, keeper=keeper) as gateway:
            line = gateway.line("a")
            await line.open(heard.append)
            await until(lambda: line.up)
            for number in range(20):
                line.send("D", order(f"A{number}"))
            await until(lambda: len(reports(heard)) == 20)
            await line.ask("disable", who="ann", why="drill")
            held = gateway.held("a")
            await until(lambda: (gateway.status("a")["sessions"][0]["database"]["kept"] or 0) >= 40)
            records = list(held.store.records())
        wanted = [r for r in records if r.raw and r.kind != "note"]
        with_log = WireLog.open(database)
        rows = [row for row in with_log.read("a") if row.position <= records[-1].position]
        assert sorted((row.position, row.raw) for row in rows) == [
            (record.position, record.raw) for record in wanted
        ]
        assert {row.client_order_id for row in rows if row.msg_type == "D"} == {
            f"A{number}" for number in range(20)
        }
        from onetape.tape.postgres import PostgresTape

        tape = PostgresTape(database)
        facts = [entry.event.fact for entry in tape.read(streams=["wire/gw"])]
        tape.close()
        assert [f.state for f in facts if isinstance(f, WireMoved)] == ["up", "down"]
        asked = [(f.what, f.who) for f in facts if isinstance(f, WireAsked)]
        assert asked == [("disable", "ann")]
        assert not [f for f in facts if isinstance(f, WireAlarm)]
        with_log.close()

    run(test, 60)
