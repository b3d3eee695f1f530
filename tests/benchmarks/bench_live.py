# pyright: standard
"""The live path: a quote in, an order at the venue's socket, its intent durable; and a soak.

    python tests/benchmarks/bench_live.py [--small] [--rounds N] [--seconds N] [--only soak]

Data      SYNTHETIC: the generator of the simulated venue, on the wall's clock, in a process of
          its own behind a unix socket. The tape is a PostgreSQL of the run's own on a real disk;
          the trader is the real process, gate with limits of every kind, day's data kept.
Latency   from the bytes of a quote in the trader's loop to the return of the socket's `send` with
          the order that it led to; see live_trader. Three legs in turn, in processes of their
          own: `tape`; `at_once`, the same path with a line that is durable at once, so that the
          difference is the cost of durability; `quotes`, the same quotes without orders.
CPU       of the trader's process, all threads, from its first quote to its last: per quote from
          the leg without orders, per order what a leg takes beyond that.
Soak      50 instruments, 2,000 quotes a second over all, an order with every 1,000th. Memory of
          the trader (resident) is looked at every second from its first quote on: at the start,
          after 2 minutes (or a fifth of a shorter run), at the end; growth per hour is the slope
          of a line through what came after those minutes.
Checks    before any figure: both legs sent the same orders, every quote that the generator made
          was handled, the session ended as it should. `load` is the machine's before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import psutil

sys.path.insert(0, str(Path(__file__).parent))

from bench_gate import limits
from gauges import scratch, server_cpu

from onetape.risk.limitbook import book, to_json
from onetape.run.folder import SPEC, Endpoint, LiveSpec, Wanted, read_status
from onetape.tape.embedded import serve
from onetape.tape.kinds_live import FeedMoved, RiskAlert, RiskDecided, RiskMoved, VenueMoved
from onetape.tape.postgres import PostgresTape

HERE = Path(__file__).parent
TROUBLE = (RiskMoved, RiskAlert, VenueMoved, FeedMoved)
LEGS = ("tape", "at_once", "quotes")
CHILD = "from live_trader import main; main()"
QUIET_S = 1.0  # at a leg's end, without orders
PATIENCE_S = 120.0  # beyond the seconds of a leg
SETTLED_S = 120.0  # after which memory should not grow any more
MB = 1 << 20


class Plan(NamedTuple):
    """One leg: quotes a second over all instruments, for how long, an order with which."""

    instruments: int
    rate: int
    seconds: float
    every: int

    @property
    def quotes(self) -> int:
        """How many quotes the generator makes."""
        return int(self.rate * self.seconds)

    @property
    def last(self) -> int:
        """The quote from which on no order is sent, so that all are done when the session ends."""
        return int(self.rate * max(self.seconds - QUIET_S, self.seconds / 2))


LATENCY = Plan(4, 500, 20.0, 5)
SOAK = Plan(50, 2_000, 60.0, 1_000)
SMALL = Plan(2, 200, 1.5, 10)
SMALL_SOAK = Plan(50, 400, 2.0, 50)


def spec(leg: str, plan: Plan, tape: str, config: dict[str, Any], folder: Path) -> LiveSpec:
    """Return the spec of a session that trades alone in an account of its own."""
    names = [f"GEN{at:03}.SIM" for at in range(plan.instruments)]
    rules = {(rule.scope, rule.name): rule.value for rule in limits(200).rules}
    rules |= {
        ("firm", "max_daily_notional"): 10**12,
        ("account:*", "max_daily_notional"): 10**12,
        ("firm", "self_match"): False,  # a buy may be under way still when the next order sells
    }
    named = "".join(part.title() for part in leg.split("_"))
    return LiveSpec(
        session=f"{named}-20240108T093000-{abs(hash(str(folder))) % 0xFFFFFF:06x}",
        strategy="live_trader:Every",
        strategy_name="Every",
        params={"every": 0 if leg == "quotes" else plan.every, "last": plan.last},
        venue=Endpoint("sim", config),
        feed=Endpoint("sim", config),
        account=config["accounts"][0],
        trader="release-7",
        desk="D",
        limits=to_json(book([(scope, name, value) for (scope, name), value in rules.items()])),
        tape=tape,
        catalog=str(folder / "catalog"),
        subscriptions=tuple(Wanted(name, "quotes") for name in names),
    )


@contextmanager
def venue(folder: Path, plan: Plan, account: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Run a simulated venue on a socket of its own; yields its process and how to get there."""
    config, socket = folder / "venue.json", folder / "venue.sock"
    made = {"instruments": plan.instruments, "rate": plan.rate, "seconds": plan.seconds}
    config.write_text(json.dumps({
        "generator": made, "speed": 1.0, "clock": "wall", "accounts": [account],
        "cash": {"USD": "10000000"},
    }))  # fmt: skip
    command = [sys.executable, "-m", "onetape_sim", "serve", str(config), "--socket", str(socket)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or "listens" not in process.stdout.readline():
            raise AssertionError("the simulated venue did not come up")
        yield psutil.Process(process.pid), {"address": f"unix:{socket}", "accounts": [account]}
    finally:
        process.kill()
        process.communicate()


class Look(NamedTuple):
    """One look at the processes: seconds since the first, resident bytes, CPU seconds."""

    at: float
    trader: int
    venue: int
    trader_cpu: float
    venue_cpu: float
    server_cpu: float


def leg(name: str, plan: Plan, server: Any, where: Path) -> tuple[dict[str, Any], list[Look]]:
    """Run one leg; return its trader's figures and what was seen of the processes meanwhile."""
    folder = where / f"{name}-{len(list(where.iterdir()))}"
    folder.mkdir(mode=0o700)
    account = f"A-{folder.name}"
    with venue(folder, plan, account) as (market, config):
        told = spec(name, plan, server.url, config, folder)
        (folder / SPEC).write_bytes(msgspec.json.encode(told))
        out, log = folder / "figures.json", folder / "log.txt"
        more = ["at-once"] if name == "at_once" else []
        command = [sys.executable, "-c", CHILD, str(folder), str(out), str(plan.quotes), *more]
        with log.open("w") as said:
            trader = subprocess.Popen(
                command, stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": _path()}
            )
        try:
            looks = list(_looks(trader, market, server, folder, plan))
        finally:
            with suppress(ProcessLookupError):
                trader.kill()
            trader.wait()
        if not out.exists():
            raise AssertionError(f"the trader ended without figures:\n{log.read_text()[-2000:]}")
    found = json.loads(out.read_text())
    status = read_status(folder)
    found["denied"] = status.denied if status is not None else None
    try:
        _check(name, plan, found, log)
    except AssertionError as err:
        raise AssertionError(f"{err}; {_told(server.url, told.session)}") from None
    return found, looks


def _told(url: str, session: str) -> str:
    """Return what the tape tells of a session that did not do its work."""
    with PostgresTape(url) as tape:
        facts = [event.fact for event in tape.recording(f"session/{session}")]
    codes = Counter(f.code for f in facts if isinstance(f, RiskDecided) and f.verdict == "deny")
    first = [str(f) for f in facts if isinstance(f, TROUBLE)][:12]
    return f"denied: {dict(codes)}; {Counter(type(f).__name__ for f in facts)}; {first}"


def _path() -> str:
    return os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH", ""))))


def _looks(
    trader: subprocess.Popen[bytes], market: psutil.Process, server: Any, folder: Path, plan: Plan
) -> Iterator[Look]:
    """Look at the processes every second while quotes come."""
    process, begun = psutil.Process(trader.pid), 0.0
    until = time.monotonic() + plan.seconds + PATIENCE_S
    every = min(1.0, plan.seconds / 10)
    while trader.poll() is None:
        if time.monotonic() > until:
            raise AssertionError(f"the trader did not end in {PATIENCE_S:.0f} s after the quotes")
        with suppress(psutil.Error, OSError):
            status = read_status(folder)
            if status is not None and status.state == "running" and status.quotes:
                now = time.monotonic()
                begun = begun or now
                used, theirs = process.cpu_times(), market.cpu_times()
                yield Look(
                    now - begun, process.memory_info().rss, market.memory_info().rss,
                    used.user + used.system, theirs.user + theirs.system, server_cpu(server.pid),
                )  # fmt: skip
        time.sleep(every)


def _check(name: str, plan: Plan, found: dict[str, Any], log: Path) -> None:
    if found["code"]:
        raise AssertionError(f"{name}: the session failed:\n{log.read_text()[-2000:]}")
    if found["handled"] != plan.quotes:
        raise AssertionError(f"{name}: of {plan.quotes} quotes {found['handled']} were handled")
    wanted = 0 if name == "quotes" else -(-plan.last // plan.every)
    found["unsent"] = wanted - found["orders"]
    if found["unsent"] > wanted // 100 or found["denied"]:
        raise AssertionError(
            f"{name}: {found['orders']} orders left, {found['denied']} were denied; "
            f"{wanted} and none expected"
        )


def latency(plan: Plan, rounds: int, server: Any, where: Path) -> dict[str, Any]:
    """Run the legs in turn and return the medians over the rounds."""
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in LEGS}
    for turn in range(rounds):
        for name in LEGS if turn % 2 == 0 else LEGS[::-1]:
            seen[name].append(leg(name, plan, server, where)[0])
    if late := [one["unsent"] for name in LEGS for one in seen[name] if one["unsent"]]:
        raise AssertionError(f"{late} orders never left: the tape was too slow for them")
    digests = {one["orders_digest"] for name in LEGS[:2] for one in seen[name]}
    if len(digests) != 1:
        raise AssertionError(f"the legs sent different orders: {sorted(digests)}")
    orders = seen["tape"][0]["orders"]
    found: dict[str, Any] = {"orders": orders, "quotes": plan.quotes, "agrees": True}
    for name in LEGS[:2]:
        for part in ("p50", "p99"):
            found[f"{name}_{part}_us"] = _median(one["order_us"][part] for one in seen[name])
        found[f"{name}_quote_p50_us"] = _median(one["lag_us"]["p50"] for one in seen[name])
    found["durability_p50_us"] = round(found["tape_p50_us"] - found["at_once_p50_us"], 1)
    cpu = {name: median(one["cpu_s"] for one in some) for name, some in seen.items()}
    found["cpu_us_per_quote"] = round(cpu["quotes"] / plan.quotes * 1e6, 1)
    for name in LEGS[:2]:
        beyond = cpu[name] - cpu["quotes"]
        found[f"{name}_cpu_us_per_order"] = round(beyond / orders * 1e6, 1)
    return found | {"rate": plan.rate, "rounds": rounds}


def _median(values: Any) -> float:
    return round(median(values), 1)


def soak(plan: Plan, server: Any, where: Path) -> dict[str, Any]:
    """Sit through a long session and return what it took."""
    found, looks = leg("tape", plan, server, where)
    if len(looks) < 4:
        raise AssertionError(f"{len(looks)} looks at the trader, 4 expected")
    early = min(SETTLED_S, plan.seconds / 5)
    settled = [look for look in looks if look.at >= early]
    first, last = looks[0], looks[-1]
    spent = last.at - first.at
    shares = {
        f"{name}_cpu_share": round((getattr(last, f) - getattr(first, f)) / spent, 3)
        for name, f in (("cpu", "trader_cpu"), ("venue", "venue_cpu"), ("server", "server_cpu"))
    }
    return {
        "soak_seconds": plan.seconds,
        "soak_instruments": plan.instruments,
        "soak_rate": plan.rate,
        "soak_quotes": found["handled"],
        "soak_drops": plan.quotes - found["handled"],
        "soak_orders": found["orders"],
        "soak_unsent": found["unsent"],
        "soak_order_us": found["order_us"],
        "soak_lag_us": found["lag_us"],
        "soak_cpu_share": shares.pop("cpu_cpu_share"),
        "soak_cpu_us_per_quote": round(found["cpu_s"] / found["handled"] * 1e6, 1),
        **{f"soak_{name}": value for name, value in shares.items()},
        "soak_rss_start_mb": _mb(first.trader),
        "soak_rss_settled_mb": _mb(settled[0].trader),
        "soak_rss_end_mb": _mb(last.trader),
        "soak_rss_peak_mb": _mb(max(look.trader for look in looks)),
        "soak_rss_growth_mb_per_hour": _slope([(one.at, one.trader) for one in settled]),
        "soak_venue_rss_growth_mb_per_hour": _slope([(one.at, one.venue) for one in settled]),
    }


def _mb(size: int) -> float:
    return round(size / MB, 1)


def _slope(points: list[tuple[float, int]]) -> float:
    """Return the slope of a line through resident bytes, in MB an hour."""
    at = [one for one, _ in points]
    mid, high = sum(at) / len(at), sum(size for _, size in points) / len(points)
    above = sum((one - mid) * (size - high) for one, size in points)
    return round(above / (sum((one - mid) ** 2 for one in at) or 1.0) * 3_600 / MB, 1)


def run(
    rounds: int = 3, small: bool = False, seconds: float | None = None, only: str = ""
) -> dict[str, Any]:
    """Return the figures, flat and ready for JSON; `seconds` is the length of the soak.

    `only` is latency or soak; `small` is a smoke run of a few seconds.
    """
    before = os.getloadavg()[0]
    found: dict[str, Any] = {}
    with scratch() as folder:
        where = folder / "legs"
        where.mkdir(mode=0o700)
        with serve(folder / "server") as server:
            if only != "soak":
                plan, turns = (SMALL, 1) if small else (LATENCY, rounds)
                found |= latency(plan, turns, server, where)
            if only != "latency":
                plan = SMALL_SOAK if small else SOAK
                plan = plan._replace(seconds=seconds or plan.seconds)
                found |= soak(plan, server, where)
    return found | {
        "load": [round(one, 2) for one in (before, os.getloadavg()[0])],
        "cpus": os.cpu_count(),
        "synthetic": True,
    }


def main() -> None:
    """Serve the command line and print one JSON object."""
    parser = argparse.ArgumentParser(description="Measure the live path (synthetic data).")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="of the soak")
    parser.add_argument("--only", default="", choices=["", "latency", "soak"])
    print(json.dumps(run(**vars(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
