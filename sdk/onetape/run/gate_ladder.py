# pyright: standard
"""The ladder of a backtest: looks at every scope once a second of the data's time, and acts.

What it does is on the tape: `risk.alert` and `risk.moved` of the stream "risk", and the cancels
and exits as decisions of the strategies whose orders they are, through their own gated commands.
Rows are looked at before the strategy sees them.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from nautilus_trader.model import ClientOrderId, OrderSide, TimeInForce

from onetape.errors import SettingsError
from onetape.risk.cells import Cell
from onetape.risk.ladder import evaluate
from onetape.risk.rungs import Act, Exit, Holding, Ladder, Observed, Price, State
from onetape.risk.sums import Unknown
from onetape.run.gate import Gate
from onetape.run.host import Host
from onetape.tape.kinds_live import RiskAlert, RiskMoved

SECOND = 1_000_000_000
FIRM = "firm"


class LadderWatch:
    """One run's ladder, on its rows. Without rungs it only keeps what is held at its value."""

    def __init__(self, ladder: Ladder, gate: Gate, hosts: list[Host]) -> None:
        self._ladder, self._gate, self._hosts = ladder, gate, hosts
        self._state, self._last = State(), 0
        self._scopes = tuple(dict.fromkeys(rung.scope for rung in ladder.rungs))
        for scope in self._scopes:
            if scope not in (FIRM, f"account:{gate.who.account}") and scope[:9] != "strategy:":
                raise SettingsError(
                    f"{scope!r} found in the ladder of a backtest; firm, "
                    f"account:{gate.who.account} or strategy:NAME expected"
                )

    def attach(self) -> None:
        """Look at the rows before the first strategy does, which gets those of all."""
        strategy = self._hosts[0].strategy
        for name in ("on_bar", "on_quote", "on_trade"):
            setattr(strategy, name, self._watched(name, getattr(strategy, name)))

    def _watched(self, name: str, body: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def handle(row: Any) -> None:
            ts: int = row.ts_init
            if ts - self._last >= SECOND:
                self._last = ts
                try:
                    self.look(ts, row)
                except BaseException as err:
                    self._hosts[0].fail(err, name, row)
                    return
            body(row)

        return handle

    def look(self, now: int, row: Any = None) -> None:
        """Look at every scope and act; where no row comes any more, somebody else must call it."""
        self._gate.value(now)
        self._gate.state.advance(now)
        if not self._scopes:
            return
        seen = [self._observed(scope, now) for scope in self._scopes]
        self._state, acts = evaluate(self._ladder, self._state, seen, now)
        for act in acts:
            self._do(act, row, now)

    # -- looking

    def _observed(self, scope: str, now: int) -> Observed:
        keeping = self._gate.state.keeping
        sums, own = keeping.sums, self._hosts_of(scope)
        holdings = [self._holding(cell) for cell in self._cells(scope)]
        total = sums.total(scope)
        working = [o for host in own for o in self._gate.working(host.name) if not o.reduces]
        net = max(abs(total.longs), abs(total.shorts))
        return Observed(
            scope,
            keeping.scopes.get(scope, "ACTIVE"),
            loss=_told(lambda: sums.loss(scope, now, True)),
            drawdown=_told(lambda: sums.loss(scope, now, False)),
            gross=None if total.unvalued else total.gross,
            net=None if total.unvalued else net,
            stale_ns=self._oldest(holdings, now),
            orders=len(working),
            holdings=tuple(holding for holding in holdings if holding.quantity),
        )

    def _cells(self, scope: str) -> list[Cell]:
        scope = f"account:{self._gate.who.account}" if scope == FIRM else scope
        cells = self._gate.state.keeping.sums.cells
        return [cell for (whose, _), cell in sorted(cells.items()) if whose == scope]

    def _holding(self, cell: Cell) -> Holding:
        host = self._hosts[0]
        long = cell.held > 0
        exits = cell.sells + cell.exits_long if long else cell.buys + cell.exits_short
        prices = host.worth.prices(cell.instrument)
        return Holding(
            cell.instrument,
            cell.held,
            exits,
            tuple(Price(one.price, one.source, one.ts) for one in prices),
            host.traded[cell.instrument].step,
        )

    def _oldest(self, holdings: list[Holding], now: int) -> int | None:
        ages: list[int] = []
        for holding in holdings:
            if holding.quantity:
                if not holding.prices:
                    return None
                ages.append(now - max(price.ts for price in holding.prices))
        return max(ages, default=0)

    def _hosts_of(self, scope: str) -> list[Host]:
        if scope[:9] == "strategy:":
            return [host for host in self._hosts if host.name == scope[9:]]
        return self._hosts

    # -- acting

    def _do(self, act: Act, row: Any, now: int) -> None:
        note = self._hosts[0].stage.recorder.note
        if act.what == "move":
            note(RiskMoved(act.scope, act.state, act.detail, act.rule), now, "risk")
        elif act.what in ("alert", "propose"):
            severity, seen = act.severity, (act.observed, act.threshold)
            note(RiskAlert(act.rule, severity, act.scope, act.detail, *seen), now, "risk")
        else:
            for host in self._hosts_of(act.scope):
                before, host.event = host.event, row
                try:
                    self._command(host, act)
                finally:
                    host.event = before

    def _command(self, host: Host, act: Act) -> None:
        if act.what == "cancel":
            for order in self._gate.working(host.name):
                if not order.reduces:
                    host.decide("cancel", order.instrument, why=act.rule)
                    host.commands.cancel(ClientOrderId(order.id))
        for exit_ in act.exits:
            self._exit(host, exit_, act.rule)

    def _exit(self, host: Host, exit_: Exit, rule: str) -> None:
        """Send this strategy's part: by what it holds, the first strategies first."""
        size = exit_.quantity
        for each in self._hosts:
            mine = min(size, _to_sell(each, exit_))
            if each is host:
                if mine > 0:
                    _send(host, exit_, mine, rule)
                return
            size -= max(mine, Decimal(0))


def _send(host: Host, exit_: Exit, size: Decimal, rule: str) -> None:
    traded, sells = host.traded[exit_.instrument], exit_.side == "SELL"
    way = ROUND_CEILING if sells else ROUND_FLOOR
    price = (exit_.limit / traded.tick).to_integral_value(way) * traded.tick
    why = f"{rule}, {exit_.id}"
    decision = host.decide("close", traded.name, quantity=size, price=price, why=why)
    order = host.factory.limit(
        traded.id,
        OrderSide.SELL if sells else OrderSide.BUY,
        traded.quantity(size),
        traded.price(price),
        time_in_force=TimeInForce.IOC,
        reduce_only=True,
    )
    host.send(order, decision)


def _to_sell(host: Host, exit_: Exit) -> Decimal:
    held = host.exposure.held.get((host.name, exit_.instrument), Decimal(0))
    return held if exit_.side == "SELL" else -held


def _told(ask: Callable[[], Decimal]) -> Decimal | None:
    try:
        return ask()
    except Unknown:
        return None
