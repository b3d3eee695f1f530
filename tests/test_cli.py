"""The command line: what it prints, what it returns, what it says of a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import onetape as ot
from onetape.cli import main
from onetape.tape.server import connect


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    code = main([*argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "goog.csv"
    columns = ["ts_event", "open", "high", "low", "close", "volume"]
    ot.sample("GOOG").slice("2010-01-01", "2011-01-01").frame().select(columns).write_csv(path)
    return path


def test_a_file_goes_into_a_catalog_and_is_backtested_rerun_and_traced(
    prices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--catalog", str(tmp_path / "catalog")]
    code, kept = told(
        capsys, "ingest", str(prices), "--instrument", "GOOG.XNAS", "--step", "1-DAY", *home
    )
    assert (code, kept["rows"], kept["kind"]) == (0, 252, "bars")
    code, listed = told(capsys, "catalog", *home)
    assert [d["name"] for d in listed["datasets"]] == [kept["name"]]
    code, looked = told(capsys, "catalog", kept["name"], "--verify", *home)
    assert (code, looked["verified"]) == (0, True)
    tape = str(tmp_path / "run.onetape")
    code, run = told(
        capsys, "backtest", "--strategy", "sma_cross", "--data", kept["name"], *home,
        "-p", "fast=5", "--fees", "bps:20", "--save", tape,
    )  # fmt: skip
    assert code == 0
    assert run["params"] == {"fast": 5, "slow": 20, "size": 10}
    assert run["stats"]["trades"] > 0
    code, again = told(capsys, "rerun", tape, *home)
    assert (code, again["identical"], again["fingerprint"]) == (0, True, run["fingerprint"])
    code, traced = told(capsys, "trace", tape, *home)
    assert code == 0
    assert traced["title"].startswith("fill #")
    assert "decision.made" in json.dumps(traced)


def test_a_rerun_on_other_code_returns_3_and_says_that_the_code_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "my_idea.py"
    text = (
        "import onetape as ot\n"
        "class Hold(ot.Strategy):\n"
        "    def on_bar(self, bar):\n"
        "        self.target({})\n"
    )
    source.write_text(text.format(1))
    tape = str(tmp_path / "run.onetape")
    code, _ = told(capsys, "backtest", "--strategy", "my_idea:Hold", "--data", "FB", "--save", tape)
    assert code == 0
    source.write_text(text.format(22))
    for name in ("my_idea",):
        sys.modules.pop(name)
    code, again = told(capsys, "rerun", tape)
    assert (code, again["identical"]) == (3, False)
    assert "the code changed" in again["difference"]


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["backtest", "--strategy", "sma_cross"], 2, "no data"),
        (["backtest", "--strategy", "smacross", "--data", "GOOG"], 2, "known: "),
        (["backtest", "--strategy", "sma_cross", "--data", "GOGO"], 1, "Did you mean GOOG"),
        (["backtest", "--strategy", "sma_cross", "--data", "GOOG", "--fees", "x"], 2, "bps:20"),
        (["backtest", "--strategy", "sma_cross", "--data", "GOOG", "-p", "fats=3"], 2, "fast"),
        (["backtest", "--strategy", "sma_cross", "--data", "GOOG", "-p", "fast=1"], 2, "2 to 500"),
        (["backtest", "--strategy", "sma_cross", "--data", "GOOG", "--fill", "x"], 2, "next_open"),
        (["bench", "nothing"], 2, "there is"),
    ],
)
def test_a_mistake_returns_its_code_and_says_what_to_try(
    argv: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, said = told(capsys, *argv)
    assert found == code
    assert says in said["message"]


def test_the_demo_shows_the_whole_path_on_real_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, made = told(capsys, "demo", "--folder", str(tmp_path))
    assert code == 0
    assert made["rerun_identical"] is True
    assert len(made["runs"]) == 2
    assert all(len(run["fingerprint"]) == 64 and run["stats"]["trades"] for run in made["runs"])
    assert "sha256" in json.dumps(made["trace"])
    assert "<html" in Path(made["report"]).read_text()[:2000].lower()
    assert main(["demo", "--folder", str(tmp_path)]) == 0  # again, into the same folder
    assert "rerun identical: yes" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    asked = [sys.executable, "-m", "onetape.cli", "catalog", "--catalog", str(tmp_path)]
    process = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    process.stderr.close()


def test_importing_onetape_is_cheap_and_brings_no_plotting_web_stack_or_engine() -> None:
    code = (
        "import time, sys; t = time.process_time(); import onetape as ot;"
        "cost = time.process_time() - t;"
        "unwanted = ('panel', 'bokeh', 'hvplot', 'pandas', 'nautilus_trader');"
        "print(cost, [name for name in unwanted if name in sys.modules])"
    )
    cost, heavy = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split(" ", 1)
    assert heavy.strip() == "[]"
    assert float(cost) < 5  # the target, 0.5 s, is measured by the bench: machines here are shared


def test_the_public_names_are_all_there_and_a_wrong_one_gets_a_hint() -> None:
    assert all(getattr(ot, name) is not None for name in ot.__all__)
    with pytest.raises(AttributeError, match="backtest"):
        _ = ot.backtset  # type: ignore[attr-defined]


def test_a_frame_shows_only_the_digits_that_it_needs() -> None:
    from onetape.results.text import trimmed

    frame = pl.DataFrame({"price": ["1.500000", "2.250000"]}).cast(pl.Decimal(38, 18))
    assert trimmed(frame)["price"].to_list() == frame["price"].to_list()
    assert trimmed(frame).schema["price"] == pl.Decimal(38, 2)


def test_a_run_on_the_tape_is_asked_proved_rebuilt_and_found_touched_from_the_shell(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tape = ["--tape", database]
    code, run = told(capsys, "backtest", "--strategy", "sma_cross", "--data", "FB", *tape)
    assert code == 0
    code, listed = told(capsys, "tapes", *tape)
    assert (code, listed["events"]) == (0, run["events"])
    assert [(r["stream"], r["status"]) for r in listed["runs"]] == [(run["id"], "completed")]
    code, then = told(capsys, "asof", "2012-11-01", "--book", "SmaCross", *tape)
    assert code == 0
    assert "FB.XNAS" in json.dumps(then)
    code, traced = told(capsys, "trace", "SmaCross", *tape)
    assert (code, traced["title"].split(" ")[0]) == (0, "fill")
    assert told(capsys, "rerun", "SmaCross", *tape)[1]["identical"] is True
    anchors = str(tmp_path / "anchors.jsonl")
    assert told(capsys, "anchor", anchors, *tape)[1]["seq"] == run["events"]
    code, proof = told(capsys, "prove", "3", str(tmp_path / "three.json"), *tape)
    assert (code, proof["published"]) == (0, True)
    assert told(capsys, "rebuild", *tape)[1]["projection"]["lag"] == 0
    assert told(capsys, "archive", str(tmp_path / "archive"), *tape)[1] == {"segments": []}
    code, verdict = told(capsys, "verify", "--anchors", anchors, *tape)
    assert (code, verdict["ok"], verdict["anchors"]) == (0, True, 1)
    with connect(database) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE onetape.event SET ts_event = 1 WHERE seq = 4")
    code, verdict = told(capsys, "verify", *tape)
    assert (code, verdict["ok"]) == (4, False)
    assert [found["seq"] for found in verdict["findings"]] == [4]


def test_a_tape_that_is_not_there_is_not_made_by_asking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = str(tmp_path / "typo")
    code, said = told(capsys, "verify", "--tape", nowhere)
    assert code == 2
    assert f"no tape in {nowhere}" in said["message"]
    assert not Path(nowhere).exists()
