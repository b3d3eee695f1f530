"""Sessions as a person has them: started, looked at, told what to do, found again.

The processes are real; the trader is a stand-in that keeps a trader's promises (run/stand_in.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from books.tapes import D, Tape
from run.sessions import QUICK, STAND_IN, end_all, until

import onetape as ot
from onetape.errors import RunError, SettingsError, UnknownVenue
from onetape.results import endpoints, session_page
from onetape.results.session import Session, session, sessions, trade
from onetape.results.session_view import View, state_of
from onetape.risk.limitbook import dumps, starter
from onetape.run.folder import LiveSpec, Status, Supervision, read_spec, sessions_folder
from onetape.tape.postgres import PostgresTape
from onetape_strategies.ema_cross import EmaCross

Trade = Callable[..., Session]
MADE_ELSEWHERE = """
import sys
import onetape as ot
from onetape.results.session import trade

class Mine(ot.Strategy):
    lots = ot.param(3)

    def on_bar(self, bar):
        self.buy(self.lots)

made = trade(Mine, venue="sim", account="A1", limits=sys.argv[2], tape=sys.argv[1], catalog="",
             supervisor=(sys.argv[3],))
made.wait()
print(made.id, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ONETAPE_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    for folder in sessions_folder().iterdir() if sessions_folder().is_dir() else ():
        end_all(folder)


@pytest.fixture
def limits(tmp_path: Path) -> str:
    path = tmp_path / "limits.toml"
    path.write_text(dumps(starter(100_000)))
    return str(path)


@pytest.fixture
def begin(database: str, limits: str) -> Trade:
    def one(strategy: Any = EmaCross, **terms: Any) -> Session:
        given = {
            "venue": "sim",
            "account": "A1",
            "limits": limits,
            "tape": database,
            "watch": QUICK,
        }
        given |= {"catalog": "", "supervisor": (str(STAND_IN),), **terms}
        return trade(strategy, **given)

    return one


def test_a_session_comes_to_run_and_its_handle_shows_exactly_what_it_holds(begin: Trade) -> None:
    made = begin(params={"fast": 5}).wait()
    assert made.state == "running"
    assert made.id.startswith("EmaCross-")
    assert made.positions.row(0, named=True) == {
        "instrument": "GOOG.XNAS",
        "quantity": Decimal(3),
        "average_price": Decimal("10.50"),
        "mark": Decimal(11),
        "unrealized": Decimal("1.50"),
    }
    assert made.pnl.total == Decimal("1.5")
    assert made.pnl.equity == Decimal("1001.5")
    assert made.health.ok
    assert made.health.feeds["state"].to_list() == ["live"]
    assert "EmaCross(fast=5, slow=60, weight=0.18), paper on sim, account A1" in repr(made)
    assert made.spec.params["fast"] == 5


def test_a_session_outlives_the_process_that_made_it_and_is_found_again(
    database: str, limits: str, tmp_path: Path
) -> None:
    cell = tmp_path / "cell.py"
    cell.write_text(MADE_ELSEWHERE)
    command = [sys.executable, str(cell), database, limits, str(STAND_IN)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as maker:
        assert maker.stdout is not None
        made = maker.stdout.readline().strip()
        os.killpg(maker.pid, signal.SIGKILL)
    found = session(made)
    assert found.state == "running"
    before = found.view.status
    until(lambda: (now := found.view.status) and before and now.heartbeat > before.heartbeat)
    assert "class Mine" in found.spec.source  # a notebook's class went along as text
    assert found.spec.strategy == ""
    found.stop()
    assert session(made[:-3]).state == "stopped"


def test_two_handles_on_one_session_see_the_same(begin: Trade) -> None:
    made = begin().wait()
    other = session(made.id)
    assert other.order("BUY", 5, limit="10.25", why="a test", who="ann") == "O-1"
    until(lambda: made.view.status is not None and made.view.status.orders_sent == 1)
    made.cancel("O-1")
    other.stop()
    assert made.state == "stopped"
    assert made.positions.height == 0
    made.stop()  # once more does nothing


def test_what_the_trader_refuses_is_raised_here(begin: Trade) -> None:
    made = begin().wait()
    with pytest.raises(SettingsError, match="quantity 0 found"):
        made.order("BUY", 0)


def test_a_killed_trader_is_back_and_the_handle_tells_of_it(begin: Trade) -> None:
    made = begin().wait()
    status = made.view.status
    assert status is not None
    os.kill(status.pid, signal.SIGKILL)
    until(lambda: made.health.attempt == 2 and made.state == "running")
    assert made.health.restarts == ("the trader was ended by SIGKILL",)
    assert "started again once, last: the trader was ended by SIGKILL" in repr(made)


def test_a_start_that_fails_tells_why_wherever_one_looks(begin: Trade) -> None:
    made = begin(options={"cannot start": True})
    with pytest.raises(RunError, match="is failed, not running") as told:
        made.wait()
    why = "SettingsError: no limits for account A1"
    assert why in str(told.value)
    assert why in repr(made)
    assert why in made._repr_html_()
    assert why in made.log()


def test_waiting_ends_with_what_it_is_instead(begin: Trade) -> None:
    made = begin().wait()
    with pytest.raises(RunError, match=r"is running and not stopped after 0\.05 s"):
        made.wait("stopped", timeout=0.05)


def test_a_kill_ends_the_session_with_its_evidence(begin: Trade) -> None:
    made = begin().wait()
    killed = made.kill("fat finger", who="ann")
    assert killed.done
    assert (killed.who, killed.reason, killed.scope) == ("ann", "fat finger", "account:A1")
    made.wait("killed")
    assert "killed: fat finger (ann)" in repr(made)


def test_a_kill_works_without_a_supervisor_and_is_on_the_tape(begin: Trade, database: str) -> None:
    made = begin().wait()
    told = made.view.told
    assert told is not None
    os.kill(told.pid, signal.SIGKILL)
    until(lambda: not made.view.supervised)
    assert "no supervisor watches it" in repr(made)
    killed = made.kill("alone", who="ann")
    assert killed.state == "KILLED"
    made.wait("ended")
    tape = PostgresTape(database)
    moved = [entry.event.fact for entry in tape.read(streams=["kill"])]
    assert {fact.reason.split(";")[0] for fact in moved} == {"alone"}  # type: ignore[union-attr]
    tape.close()


def test_a_session_whose_processes_are_gone_is_lost_and_can_be_taken_up_again(
    begin: Trade,
) -> None:
    made = begin().wait()
    end_all(made.folder)
    assert made.state == "lost"
    assert "its processes are gone" in repr(made)
    assert not sessions(alive=True)
    with pytest.raises(RunError, match="its orders may still work"):
        made.stop()
    made.supervise((str(STAND_IN),)).wait()
    assert made.health.attempt == 2


def test_all_sessions_are_listed_the_newest_first(begin: Trade) -> None:
    assert repr(sessions()) == "no sessions yet: ot.trade(...) starts one"
    first, second = begin(name="Alpha").wait(), begin(name="Beta")
    second.wait()
    first.stop()
    assert [one.id for one in sessions()] == [second.id, first.id]
    assert [one.id for one in sessions("Alpha")] == [first.id]
    assert [one.id for one in sessions(alive=True)] == [second.id]
    assert session().id == second.id
    lines = repr(sessions()).splitlines()
    assert "running" in lines[0]
    assert "stopped" in lines[1]
    assert "<script" not in sessions()._repr_html_()
    with pytest.raises(SettingsError, match="no session 'Gamma'; there is Beta"):
        session("Gamma")
    (sessions_folder() / "not one").mkdir()
    assert len(sessions()) == 2


def test_orders_fills_and_events_come_from_the_tape_as_they_arrive(
    begin: Trade, database: str
) -> None:
    made = begin().wait()
    assert made.orders.height == made.fills.height == made.events().height == 0
    told = Tape()
    told.deposit(10_000).fill(10, "100.25")
    events = [msgspec.structs.replace(e, stream=f"session/{made.id}") for e in told.events]
    tape = PostgresTape(database)
    tape.append(f"session/{made.id}", events, book="paper")
    assert made.fills["price"].to_list() == [D("100.25")]
    assert made.orders.height == 1
    assert made.events(1)["seq"].to_list() == [len(events)]
    assert made.events(since=len(events) - 2).height == 2
    again = [msgspec.structs.replace(e, stream=f"session/{made.id}-r2") for e in told.events]
    tape.append(f"session/{made.id}-r2", again, book="paper")  # a trader that was started again
    assert made.fills["stream"].to_list() == [f"session/{made.id}", f"session/{made.id}-r2"]
    tape.close()
    made.tape.close()


def test_a_dataset_is_where_the_sessions_processes_find_it(begin: Trade) -> None:
    goog = ot.sample("GOOG")
    made = begin(data=goog)
    spec = read_spec(made.folder)
    kept = ot.Catalog(spec.venue.config["catalog"])
    assert [kept.dataset(name).fingerprint for name in spec.venue.config["data"]] == [
        goog.fingerprint
    ]
    assert spec.feed == spec.venue
    assert [(one.instrument, one.data, one.step) for one in spec.subscriptions] == [
        ("GOOG.XNAS", "bars", "1-DAY")
    ]
    assert len(spec.instruments) == 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no limits": ({"limits": None}, "starter"),
    "an unknown parameter": ({"params": {"fsat": 3}}, "did you mean fast"),
    "a parameter out of bounds": ({"params": {"fast": 1}}, "fast=1 found, 2 to 500"),
    "a mode that is none": ({"mode": "real"}, "mode='real' found, 'paper' or 'live' expected"),
    "no account": ({"account": ""}, "account='' found, a name expected"),
    "cash that is no amount": ({"cash": "much"}, "cash='much' found"),
    "latency below nothing": ({"latency": -1}, "latency=-1 found"),
    "a venue that is no endpoint": ({"venue": 3}, "venue=3 found"),
    "a subscription of nothing": ({"subscribe": [("A.B", "ticks")]}, "found in subscribe"),
    "data that is no dataset": ({"data": ["GOOG"]}, "data holds str, datasets expected"),
    "a secret": ({"venue": ("sim", {"password": "hunter2"})}, 'as "env:PASSWORD"'),
    "a config of objects": ({"venue": ("sim", {"at": object()})}, "has to be plain data"),
}


@pytest.mark.parametrize(("terms", "said"), REFUSED.values(), ids=REFUSED)
def test_an_argument_that_does_not_fit_is_told_before_anything_starts(
    begin: Trade, terms: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError) as told:
        begin(**terms)
    assert said in str(told.value)
    assert "hunter2" not in str(told.value)
    assert len(sessions()) == 0


def test_a_strategy_or_venue_that_does_not_exist_is_told_with_what_there_is(begin: Trade) -> None:
    with pytest.raises(SettingsError, match="no strategy 'ema'; known: ema_cross"):
        begin("ema")
    with pytest.raises(SettingsError, match=r"a subclass of ot\.Strategy"):
        begin(object)
    with pytest.raises(UnknownVenue, match="no venue adapter 'xyz' is installed"):
        begin(venue="xyz", subscribe="A.XYZ")


def test_paper_on_a_real_feed_fills_at_a_simulated_venue() -> None:
    venue, feed = endpoints.both("ib", None, "paper", {"USD": "1"}, "0")
    assert (venue.adapter, venue.config["paper"], feed.adapter) == ("sim", True, "ib")
    venue, feed = endpoints.both("ib", None, "live", {"USD": "1"}, "0")
    assert venue == feed == endpoints.endpoint("venue", "ib")


def test_a_simulated_venue_and_its_feed_are_one_world() -> None:
    venue, feed = endpoints.both("sim", ("sim", {"speed": 2.0}), "paper", {"USD": "1"}, "0.5")
    assert venue == feed
    assert venue.config == {"cash": {"USD": "1"}, "latency": 0.5, "speed": 2.0}
    away = ("sim", {"address": "127.0.0.1:7001"})
    venue, feed = endpoints.both(away, None, "paper", {"USD": "1"}, "0")
    assert venue.config == feed.config == away[1]  # it knows its own terms
    with pytest.raises(SettingsError, match='venue="sim"'):
        endpoints.with_data(venue, feed, ["GOOG"], "there")


def shown(spec: LiveSpec, view: View) -> str:
    return "\n".join([
        session_page.told(spec, view), session_page.card(spec, view),
        session_page.table([(spec, view)]), str(session_page.plain(spec, view)),
    ])  # fmt: skip


def test_nothing_that_is_shown_holds_a_secret_or_runs_a_script(begin: Trade) -> None:
    spec = begin().spec
    config = {
        "api_key": "hunter2",
        "url": "https://ann:hunter2@x.y/z",
        "deep": [{"token": "hunter2"}],
    }
    spec = msgspec.structs.replace(
        spec, venue=endpoints.Endpoint("ib", config), strategy_name="<script>alert(1)</script>"
    )
    status = Status(spec.session, 1, "failed", error="<script>boom</script>")
    text = shown(spec, View("failed", status, None, False, False))
    assert "hunter2" not in text
    assert "<script>" not in session_page.card(spec, View("failed", status, None, False, False))
    assert "boom" in text


def test_the_card_in_a_notebook_keeps_up_until_the_session_has_ended(begin: Trade) -> None:
    from jupyter_client.manager import start_new_kernel

    made = begin().wait()
    manager, client = start_new_kernel(env=dict(os.environ))
    try:
        client.execute(f"from onetape.results.session import session; session({made.id!r})")
        told: list[dict[str, Any]] = []

        def heard(kind: str, text: str) -> bool:
            told.append(client.get_iopub_msg(timeout=30))
            content = told[-1]["content"]
            return told[-1]["msg_type"] == kind and text in str(content.get("data"))

        until(lambda: heard("display_data", "running"))
        first = told[-1]["content"]["transient"]["display_id"]
        until(lambda: heard("update_display_data", "running"))
        made.stop()
        until(lambda: heard("update_display_data", "stopped"))
        assert told[-1]["content"]["transient"]["display_id"] == first
        assert not [one for one in told if one["msg_type"] in ("stream", "error")]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_status_of_a_process_that_is_gone_is_not_taken_for_the_present() -> None:
    told = Supervision(1, "a", "watching", trader_pid=7, trader_birth="b")
    status = Status("s", 7, "running")
    assert state_of(told, status, supervised=True, trading=True) == "running"
    assert state_of(told, status, supervised=True, trading=False) == "restarting"
    assert state_of(told, status, supervised=False, trading=True) == "running"
    assert state_of(told, status, supervised=False, trading=False) == "lost"
    again = msgspec.structs.replace(told, trader_pid=8)
    assert state_of(again, status, supervised=True, trading=True) == "starting"
    stuck = msgspec.structs.replace(told, state="stuck")
    assert state_of(stuck, status, supervised=True, trading=True) == "stuck"
    failed = msgspec.structs.replace(status, state="failed")
    assert state_of(stuck, failed, supervised=True, trading=True) == "failed"
