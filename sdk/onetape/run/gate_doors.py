# pyright: standard
"""Doors: every way round the commands of a hosted strategy leads to the gate.

Super    A strategy's own `submit_order` that calls its parent's, or a call of the engine's class
         by name, would pass the commands on the instance. While a gate stands, the class itself
         leads to the host; of other strategies nothing is changed.
Emulated An emulated order is let go by the engine, later and past all commands. It is sent with
         the gate as its execution algorithm, so that the engine hands it over before it goes, and
         it is judged again by what holds then.
Refused  Orders for another execution algorithm: a backtest has none that could take them.
Last     An order that the engine announces and that nobody let out was made inside the engine:
         it is judged as it is announced; if it is denied the run stops, since it cannot be held.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nautilus_trader import model as engine
from nautilus_trader.model import ExecAlgorithmId
from nautilus_trader.trading import (
    ExecutionAlgorithm,
    ExecutionAlgorithmConfig,
)
from nautilus_trader.trading import Strategy as EngineStrategy

from onetape.errors import RunError, SettingsError
from onetape.run.gate import Gate
from onetape.run.gate_orders import announced_intent, order_terms
from onetape.run.host import Host
from onetape.tape.kinds import OrderInitialized

GATE = "ONETAPE-GATE"
COMMANDS = (
    "submit_order", "submit_order_list", "modify_order", "modify_orders", "close_position",
    "close_all_positions", "market_exit",
)  # fmt: skip
_ENGINES = {name: getattr(EngineStrategy, name) for name in COMMANDS}
_lock = threading.Lock()
_standing: list[dict[int, Host]] = []  # of each run with a gate: its hosts by their strategy


@contextmanager
def closed(hosts: list[Host]) -> Iterator[None]:
    """While this lasts, the engine's class leads to the hosts of these strategies."""
    mine = {id(host.strategy): host for host in hosts}
    for host in hosts:
        host.commands.ready = ready
    with _lock:
        _standing.append(mine)
        if len(_standing) == 1:
            for name in COMMANDS:
                setattr(EngineStrategy, name, _DOORS[name])
    try:
        yield
    finally:
        with _lock:
            _standing.remove(mine)
            if not _standing:
                for name, body in _ENGINES.items():
                    setattr(EngineStrategy, name, body)


def _host_of(strategy: Any) -> Host | None:
    return next((m[id(strategy)] for m in _standing if id(strategy) in m), None)


def _let_out(host: Host, order: Any) -> bool:
    name = order.client_order_id
    if name in host.stage.recorder.ignored:
        return True
    passing = host.commands.passing.get(str(name))
    return passing is not None and order_terms(passing) == order_terms(order)


def _submit(strategy: Any, order: Any, *args: Any, **kwargs: Any) -> Any:
    host, body = _host_of(strategy), _ENGINES["submit_order"]
    if host is None or _let_out(host, order):
        return body(strategy, order, *args, **kwargs)
    decision = host.decide("order", str(order.instrument_id), why="past the commands")
    go = lambda them: body(strategy, them[0], *args, **kwargs)  # noqa: E731
    return host.commands.leave([order], decision, go)


def _submit_list(strategy: Any, listed: Any, *args: Any, **kwargs: Any) -> Any:
    host, body, orders = _host_of(strategy), _ENGINES["submit_order_list"], list(listed)
    if host is None or all(_let_out(host, order) for order in orders):
        return body(strategy, listed, *args, **kwargs)
    decision = host.decide("order", str(orders[0].instrument_id), why="past the commands")
    go = lambda them: body(strategy, them, *args, **kwargs)  # noqa: E731
    return host.commands.leave(orders, decision, go)


def _modify(strategy: Any, client_order_id: Any, *args: Any, **kwargs: Any) -> Any:
    host, body = _host_of(strategy), _ENGINES["modify_order"]
    if host is None:
        return body(strategy, client_order_id, *args, **kwargs)
    return host.commands.modify_by(
        lambda *given, **named: body(strategy, *given, **named), client_order_id, *args, **kwargs
    )


def _rebuilt(name: str) -> Callable[..., Any]:
    def door(strategy: Any, *args: Any, **kwargs: Any) -> Any:
        host = _host_of(strategy)
        if host is None:
            return _ENGINES[name](strategy, *args, **kwargs)
        return host.commands.rebuilt[name](*args, **kwargs)

    return door


_DOORS: dict[str, Callable[..., Any]] = {
    "submit_order": _submit,
    "submit_order_list": _submit_list,
    "modify_order": _modify,
    **{
        name: _rebuilt(name)
        for name in ("modify_orders", "close_position", "close_all_positions", "market_exit")
    },
}


def ready(order: Any) -> Any:
    """Return an order as it may be sent: an emulated one comes by the gate when it is let go.

    Raises SettingsError for one that asks for an execution algorithm.
    """
    if not _emulated(unscheduled(order)) or order.exec_algorithm_id is not None:
        return order
    said = order.init_event.to_dict()
    said["exec_algorithm_id"], said["exec_spawn_id"] = GATE, str(order.client_order_id)
    return type(order).create(engine.OrderInitialized.from_dict(said))


def unscheduled(order: Any) -> Any:
    """Return an order that no execution algorithm is to split; SettingsError for one that asks."""
    algorithm = order.exec_algorithm_id
    if algorithm is not None and str(algorithm) != GATE:
        raise SettingsError(
            f"order {order.client_order_id} asks for execution algorithm {algorithm}; a run with "
            "limits sends orders itself, so that each child is judged: send the parts instead"
        )
    return order


def _emulated(order: Any) -> bool:
    return order.emulation_trigger not in (None, engine.TriggerType.NO_TRIGGER)


class GateAlgorithm(ExecutionAlgorithm):
    """Gets emulated orders when the engine lets them go, and has them judged again."""

    def __new__(cls, *_args: Any) -> GateAlgorithm:
        make: Any = super().__new__
        return make(cls, ExecutionAlgorithmConfig(exec_algorithm_id=ExecAlgorithmId(GATE)))

    def __init__(self, gate: Gate, hosts: list[Host]) -> None:
        super().__init__(ExecutionAlgorithmConfig(exec_algorithm_id=ExecAlgorithmId(GATE)))
        self._gate, self._hosts = gate, hosts

    def on_order(self, order: Any) -> None:
        """Send a released order if it may go now; deny it with the gate's words otherwise."""
        host = next(h for h in self._hosts if h.strategy.strategy_id == order.strategy_id)
        try:
            refused = host.refused([order], None)
        except Exception as err:
            host.fail(err, "on_order", None)
            refused = True
        if refused:
            self.deny_order(order, "the gate refused it when it was released")
        else:
            self.submit_order(order)


def announced(
    gate: Gate, hosts: list[Host], fact: OrderInitialized, ts: int, cause: int | None
) -> None:
    """Judge an order that the engine announces and that nobody let out.

    Raises RunError when it is denied: it is inside the engine and on its way already.
    """
    name = fact.client_order_id
    if gate.knows(name):
        return
    algo = next((host._code for host in hosts if host.name == fact.strategy), "")
    (decision,) = gate.judge([announced_intent(fact, gate, ts, algo)], cause)
    if not decision.allowed:
        raise RunError(
            f"order {name} was made inside the engine, past every command, and the gate denied "
            f"it: {decision.code} ({decision.detail or decision.limit}); the run stops here"
        )
