# pyright: standard
"""Corporate actions in a backtest: raw prices are traded, holdings follow the actions.

At a split the tape gets one `action.split`; the engine, which knows no splits, is brought in
line by giving each holder the new shares at a price of zero (taking them away when there are
fewer), which leaves cash and equity as they were, and by rescaling working and waiting orders.
Those engine orders are bookkeeping and stay off the tape. A dividend is `action.dividend`; the
books turn it into cash.

Where a holding times the ratio is no whole number of units, the engine keeps the whole part and
the tape the exact holding.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

from nautilus_trader.model import ClientOrderId, OrderSide

from onetape.market.actions import Dividend, Split
from onetape.run.fees import SPLIT_TAG
from onetape.run.host import Host
from onetape.tape import kinds


class Actions:
    """Carries out the corporate actions of a run's instruments, once each."""

    def __init__(self, hosts: list[Host], start: int, end: int) -> None:
        self._hosts = hosts
        self._done: set[int] = set()
        self._due: list[tuple[str, Split | Dividend]] = []
        for source in hosts[0].stage.sources:
            name = source.dataset.instrument.id
            if not any(name == known for known, _ in self._due):
                due = [a for a in source.dataset.actions if start < a.ts <= end]
                self._due += [(name, action) for action in due]

    def attach(self) -> None:
        """Have each strategy's clock call for the actions; to be done once it has started."""
        for host in self._hosts:
            start = host.strategy.on_start

            def started(host: Host = host, start: Any = start) -> None:
                start()
                for at, (name, action) in enumerate(self._due):
                    host.clock.set_time_alert_ns(
                        f"onetape-action-{at}",
                        action.ts,
                        lambda _event, at=at, host=host, name=name, action=action: self._act(
                            host, at, name, action
                        ),
                    )

            host.strategy.on_start = started

    def _act(self, host: Host, at: int, name: str, action: Split | Dividend) -> None:
        try:
            if at not in self._done:
                self._done.add(at)
                self._record(host, name, action)
            if isinstance(action, Split):
                self._split(host, name, action.ratio)
        except BaseException as err:
            host.fail(err, "corporate action", None)

    def _record(self, host: Host, name: str, action: Split | Dividend) -> None:
        stage, account = host.stage, host.stage.account
        if isinstance(action, Split):
            fact: kinds.Fact = kinds.SplitApplied(account, name, action.ratio)
            stage.exposure.split(name, action.ratio)
        else:
            held = stage.exposure.net(name) * host.traded[name].multiplier
            fact = kinds.DividendPaid(account, name, action.amount, action.currency)
            stage.exposure.paid(action.currency, -held * action.amount)
        stage.recorder.note(fact, action.ts, f"instrument/{name}")

    def _split(self, host: Host, name: str, ratio: Decimal) -> None:
        for source in host.stage.sources:
            if source.dataset.instrument.id == name:
                for indicator in host.bound.get(source.key, ()):
                    indicator.split(float(ratio))
        traded, strategy = host.traded[name], host.strategy
        for order in strategy.cache.orders(
            instrument_id=traded.id, strategy_id=strategy.strategy_id
        ):
            if order.is_open or (order.parent_order_id is not None and not order.is_closed):
                self._rescale_working(host, order, ratio)
        host.commands.waiting.replace(traded.id, lambda order: self._rescaled(host, order, ratio))
        for position in strategy.cache.positions_open(instrument_id=traded.id):
            if position.strategy_id != strategy.strategy_id:
                continue
            held = position.quantity.as_decimal()
            wanted = _whole(held * ratio, traded.unit)
            if wanted == held:
                continue
            more = (wanted > held) == position.is_long
            self._book(host, traded, OrderSide.BUY if more else OrderSide.SELL, abs(wanted - held))

    def _book(self, host: Host, traded: Any, side: Any, size: Decimal) -> None:
        identity = ClientOrderId(f"SPLIT-{host.name}-{len(host.stage.recorder.ignored) + 1}")
        host.stage.recorder.ignored.add(identity)
        common: dict[str, Any] = {"tags": [SPLIT_TAG], "client_order_id": identity}
        amount = traded.quantity(size)
        if side == OrderSide.BUY:  # a stop long passed: its trigger is what the cash must cover
            least = traded.price(traded.tick)
            order = host.factory.stop_market(traded.id, side, amount, least, **common)
        else:
            order = host.factory.market(traded.id, side, amount, **common)
        host.commands.straight(order)

    def _rescale_working(self, host: Host, order: Any, ratio: Decimal) -> None:
        traded = host.traded[str(order.instrument_id)]
        done = order.filled_qty.as_decimal()
        size = done + _whole((order.quantity.as_decimal() - done) * ratio, traded.unit)
        if size <= done:  # nothing whole is left of it
            host.commands.straight_cancel(order.client_order_id)
            return
        terms: dict[str, Any] = {"quantity": traded.quantity(size)}
        for name in ("price", "trigger_price"):
            if (value := getattr(order, name, None)) is not None:
                terms[name] = traded.price(_whole(value.as_decimal() / ratio, traded.tick))
        if all(getattr(order, name) == value for name, value in terms.items()):
            return  # too small a change for a unit or a tick
        last = host.worth.last_price(traded.name)
        if _would_trade(order, terms, last):  # the engine still sees the price before the split
            host.late.setdefault(traded.id, []).append((order.client_order_id, terms))
        else:
            host.commands.straight_modify(order.client_order_id, **terms)

    def _rescaled(self, host: Host, order: Any, ratio: Decimal) -> Any:
        traded, said = host.traded[str(order.instrument_id)], order.to_dict()
        size = _whole(order.quantity.as_decimal() * ratio, traded.unit)
        if not size:
            return None
        said["quantity"] = str(traded.quantity(size))
        for name in ("price", "trigger_price"):
            if said.get(name) is not None:
                said[name] = str(traded.price(_whole(Decimal(said[name]) / ratio, traded.tick)))
        return type(order).from_dict(said)


def _would_trade(order: Any, terms: dict[str, Any], last: Decimal) -> bool:
    """Say whether an order with its new terms would trade at the price before the split."""
    if not last:
        return False
    limit, stop = terms.get("price"), terms.get("trigger_price")
    if stop is not None:
        level = stop.as_decimal()
        return level <= last if order.is_buy else level >= last
    if limit is not None:
        level = limit.as_decimal()
        return level >= last if order.is_buy else level <= last
    return False


def _whole(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).to_integral_value(ROUND_DOWN) * step
