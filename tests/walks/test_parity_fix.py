"""One strategy over FIX: what a backtest makes of a day's quotes, a session over TLS makes too.

The session trades in processes of its own, through a gateway, at a simulated broker in a process
of its own; nothing is shared but the config.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import onetape as ot
from onetape.errors import VenueUnavailable
from onetape.market.catalog import Catalog
from onetape_fix import rehearsal
from onetape_fix.gateway import process
from onetape_strategies.ema_cross import EmaCross
from walks.test_parity_live import day, orders

LIMITS = ot.starter_limits(1_000_000)
NAMES = ("AAA.XNAS", "BBB.XNAS")


@pytest.fixture
def tape(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    place.chmod(0o711)  # under root the server runs as another user, who has to pass
    monkeypatch.setenv("ONETAPE_HOME", str(place))
    with ot.open_tape(place / "tape") as opened:
        yield opened


@pytest.fixture
def world(place: Path) -> Callable[[int], dict[str, Any]]:
    def made(rows: int) -> dict[str, Any]:
        catalog = Catalog(place / "catalog")
        data = [
            catalog.ingest(day(name, seed, rows), name=f"day-{name}", progress=False).name
            for seed, name in enumerate(NAMES, 1)
        ]
        return {"data": data, "catalog": str(place / "catalog"), "cash": {"USD": "100000"}}

    return made


@pytest.mark.parametrize("version", ["FIX.4.4", "FIX.5.0SP2"])
def test_the_ema_cross_does_the_same_in_a_backtest_and_over_fix_with_tls(
    version: str, tape: Any, world: Callable[[int], dict[str, Any]], place: Path
) -> None:
    market = world(780)
    with rehearsal.broker(market, version=version, tape=str(place / "tape")) as broker:
        there = ("fix", dict(broker.config))
        session = ot.trade(
            EmaCross,
            venue=there,
            feed=there,
            account="A",
            limits=LIMITS,
            subscribe=list(NAMES),
            params={"fast": 5, "slow": 20},
            cash=100_000,
            tape=tape,
            catalog="",
        )
        session.wait("stopped", 90)
        held = broker.positions("A")
        broker.kept()
    live = session.run
    datasets = [Catalog(place / "catalog").dataset(name) for name in market["data"]]
    run = ot.backtest(EmaCross(fast=5, slow=20), datasets, cash=100_000, limits=LIMITS)
    wanted = orders(run.recording)
    assert len(wanted) > 100
    assert orders(live.recording) == wanted
    assert not list(live.recording.of_kind("recon.break"))
    assert {p["instrument"]: p["quantity"] for p in session.positions.to_dicts()} == held
    sent = tape.wire("rehearsal", types=["D"], direction="out")
    assert sent.height == len([e for e in wanted if e[0] == "order.submitted"])
    money = session.view.status
    assert money is not None
    assert Decimal(str(run.final_equity)) == Decimal(str(money.equity))


def test_an_execution_that_a_broker_reports_twice_is_booked_once(
    tape: Any, world: Callable[[int], dict[str, Any]]
) -> None:
    market = {**world(200), "faults": {"duplicate": {"count": 50}}}
    with rehearsal.broker(market) as broker:
        there = ("fix", dict(broker.config))
        session = ot.trade(
            EmaCross, venue=there, feed=there, account="A", limits=LIMITS, subscribe=list(NAMES),
            params={"fast": 5, "slow": 20}, cash=100_000, tape=tape, catalog="",
        )  # fmt: skip
        session.wait("stopped", 90)
        held = broker.positions("A")
    fills = [e.fact.trade_id for e in session.run.recording.of_kind("order.filled")]
    assert len(fills) > 5
    assert len(fills) == len(set(fills))
    assert {p["instrument"]: p["quantity"] for p in session.positions.to_dicts()} == held


def test_a_rehearsal_leaves_nothing_running_behind(tmp_path: Path) -> None:
    with rehearsal.broker({"generator": {"instruments": 1}}, folder=tmp_path) as broker:
        assert broker.positions("A") == {}
        assert answers(broker.port)
    assert not answers(broker.port)
    assert not process.running(broker.gateway)
    with pytest.raises(VenueUnavailable):
        broker.positions("A")


def answers(port: int) -> bool:
    """Tell whether somebody listens at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
