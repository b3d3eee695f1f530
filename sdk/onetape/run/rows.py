# pyright: standard
"""Rows on their way from the engine to the strategies.

Why one strategy subscribes for all: the engine calls the subscribers of a row in an order that
differs from run to run. With several strategies the first one gets every row and each is handed
on in the order of the strategies; a plain engine strategy then sees what it asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from onetape.run.strategy import Strategy

if TYPE_CHECKING:
    from onetape.run.host import Host

Handler = Callable[..., object]
TICKS = frozenset(("on_quote", "on_trade"))


class RowWatch:
    """What one strategy's rows go through."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._full: dict[str, Handler] = {}  # what thin wrappers stand for
        self._asked: set[Any] | None = None  # by a plain engine strategy; ours see all
        self._opening = frozenset(s.instrument_id for s in host.stage.sources if s.opening)

    def attach(self) -> None:
        """Keep the engine's own subscriptions, and watch a plain strategy's."""
        strategy = self._host.strategy
        self._engine = {
            "bars": strategy.subscribe_bars,
            "quotes": strategy.subscribe_quotes,
            "trades": strategy.subscribe_trades,
        }
        if isinstance(strategy, Strategy):
            return
        self._asked = set()
        strategy.subscribe_bars = lambda key, *a, **k: self._ask("bars", key, key, *a, **k)
        strategy.unsubscribe_bars = lambda key, *_a, **_k: self._leave(key)
        for kind, handler in (("quotes", "on_quote"), ("trades", "on_trade")):
            setattr(
                strategy,
                f"subscribe_{kind}",
                lambda name, *a, kind=kind, handler=handler, **k: self._ask(
                    kind, (handler, name), name, *a, **k
                ),
            )
            setattr(
                strategy,
                f"unsubscribe_{kind}",
                lambda name, *_a, handler=handler, **_k: self._leave((handler, name)),
            )

    def _ask(self, kind: str, key: Any, *args: Any, **kwargs: Any) -> None:
        if self._asked is not None:
            self._asked.add(key)
        if self._host.stage.alone or not any(s.key == key for s in self._host.stage.sources):
            self._engine[kind](*args, **kwargs)

    def _leave(self, key: Any) -> None:
        if self._asked is not None:
            self._asked.discard(key)

    def subscribe(self, handled: frozenset[str]) -> None:
        """Subscribe to what the strategy has handlers for and to what holds orders back."""
        host, stage = self._host, self._host.stage
        if not stage.alone and host.strategy is not stage.first:
            return
        for source in stage.sources:
            name = source.bar_type if source.kind == "bars" else source.instrument_id
            wanted = source.handler in handled or source.key in host.bound
            wanted = wanted and self._asked is None
            moment = source.kind == "bars" and stage.hold_until != "open"
            if wanted or moment or not stage.alone:
                self._engine[source.kind](name)
            if source.opening:
                self._engine["quotes"](source.instrument_id)

    def bars(self, body: Handler | None) -> Handler:
        """Wrap on_bar."""
        host, asked, bound = self._host, self._asked, self._host.bound
        release, held = host.commands.release, host.commands.waiting.held
        if host.stage.hold_until == "open":
            held = {}  # what waits for an open is not let go at a close
        late = host.late
        every = host.stage.hold_until == "bar"  # each bar is a moment, whether or not orders wait

        def handle(bar: Any) -> None:
            host.event = bar
            try:
                if every or held or late:
                    release(bar.bar_type.instrument_id, bar.ts_init)
                if bound:
                    for indicator in bound.get(bar.bar_type, ()):
                        indicator.update_bar(bar)
                if body is not None and (asked is None or bar.bar_type in asked):
                    body(bar)
            except BaseException as err:
                host.fail(err, "on_bar", bar)

        return handle

    def thin(self, bodies: dict[str, Handler]) -> None:
        """Put the shortest wrapper around the handler of a run with ticks of one kind only.

        A light handler of quotes is the hottest path there is: each test costs it 2 %, and so
        does an attribute that is set, so that the row stays in the wrapper's own cell.
        """
        host = self._host
        names = {source.handler for source in host.stage.sources}
        simple = host.stage.alone and not host.stage.splits and len(names) == 1
        if self._asked is None and simple and not host.bound:
            for name in names & TICKS & bodies.keys():
                self._full[name] = getattr(host.strategy, name)
                setattr(host.strategy, name, _thin(host, name, bodies[name]))

    def thicken(self) -> None:
        """Put the whole wrappers back: an indicator was bound while the run goes on."""
        host = self._host
        for name, handler in self._full.items():
            setattr(host.strategy, name, handler)
            host.event, host.row = host.now, lambda: None
        self._full.clear()

    def ticks(self, name: str, body: Handler | None) -> Handler:
        """Wrap on_quote or on_trade; the venue's own opening quotes end here."""
        host, asked, bound = self._host, self._asked, self._host.bound
        opening = self._opening if name == "on_quote" else frozenset()
        late = host.late
        price, release = _mid if name == "on_quote" else _last, host.commands.release
        walk = host.stage.walk if host.strategy is host.stage.first else None

        def handle(tick: Any) -> None:
            host.event = tick
            try:
                if opening and tick.instrument_id in opening:
                    if walk is not None:
                        walk.seen(tick.instrument_id, tick.ask_price)
                    release(tick.instrument_id, tick.ts_init)
                    return
                if late:
                    release(tick.instrument_id, tick.ts_init)
                if bound:
                    for indicator in bound.get((name, tick.instrument_id), ()):
                        indicator.update_price(price(tick))
                if body is not None and (asked is None or (name, tick.instrument_id) in asked):
                    body(tick)
            except BaseException as err:
                host.fail(err, name, tick)

        return handle


def _thin(host: Host, name: str, body: Handler) -> Handler:
    row: Any = None

    def handle(tick: Any) -> None:
        nonlocal row
        row = tick
        try:
            body(tick)
        except BaseException as err:
            host.fail(err, name, tick)

    host.row = lambda: row
    return handle


def in_turn(hosts: list[Host]) -> None:
    """Have the first strategy's rows handed to all, in the order of the strategies."""
    if len(hosts) == 1:
        return
    for name in ("on_bar", "on_quote", "on_trade"):
        calls = [(getattr(host.strategy, name), host) for host in hosts]

        def handle(row: Any, calls: list[tuple[Handler, Host]] = calls) -> None:
            for call, _ in calls:
                if any(each.failure is not None for _, each in calls):
                    return
                call(row)

        setattr(hosts[0].strategy, name, handle)


def _mid(quote: Any) -> float:
    return (quote.bid_price.as_double() + quote.ask_price.as_double()) / 2


def _last(trade: Any) -> float:
    return trade.price.as_double()
