# pyright: standard
"""The engine's live clients: each hands what it gets to the bridge, at once, and waits for nothing.

The data client subscribes to nothing by itself: a session does, before its strategy starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nautilus_trader import model as engine
from nautilus_trader.config import DataClientConfig, ExecutionClientConfig
from nautilus_trader.live import RoutingConfig
from nautilus_trader.live.clients import (
    DataClientFactory,
    ExecutionClient,
    ExecutionClientFactory,
    MarketDataClient,
)

if TYPE_CHECKING:
    from onetape.run.bridge import Bridge


def register(builder: Any, bridge: Bridge) -> Any:
    """Add our clients to a node's builder; every venue's instruments come to them."""
    name = bridge.ways.venue.name
    builder = builder.add_data_client(name, _DataFactory, _DataConfig(bridge))
    return builder.add_exec_client(name, _ExecFactory, _ExecConfig(bridge))


def _of(client: Any) -> Bridge:
    return client.config.bridge


class _Data(MarketDataClient):
    """Rows come by `Bridge.data._handle_data`; subscribing is the session's own doing."""

    async def _connect(self) -> None:
        bridge = _of(self)
        for instrument in bridge.instruments.values():
            self._handle_instrument(instrument.to_engine())
        bridge.data = self

    async def _disconnect(self) -> None:
        _of(self).data = None

    async def _subscribe_quotes(self, command: Any) -> None:
        _of(self).subscribed.add(("on_quote", command.instrument_id))

    async def _subscribe_trades(self, command: Any) -> None:
        _of(self).subscribed.add(("on_trade", command.instrument_id))

    async def _subscribe_bars(self, command: Any) -> None:
        _of(self).subscribed.add(command.bar_type)

    async def _unsubscribe_quotes(self, command: Any) -> None:
        """Rows go on coming: the gate needs them."""

    async def _unsubscribe_trades(self, command: Any) -> None:
        """Rows go on coming: the gate needs them."""

    async def _unsubscribe_bars(self, command: Any) -> None:
        """Rows go on coming: the gate needs them."""


class _Exec(ExecutionClient):
    """Every order of the node comes through here."""

    async def _connect(self) -> None:
        bridge = _of(self)
        bridge.client = self
        plenty = engine.Money(1_000_000_000, bridge.ways.currency)  # the gate knows the real one
        none = engine.Money(0, bridge.ways.currency)
        balance = engine.AccountBalance(plenty, none, plenty)
        self.generate_account_state([balance], [], True, self.clock.timestamp_ns())

    async def _disconnect(self) -> None:
        """The session logs off by itself."""

    def _handles_order_venue(self, venue: Any) -> bool:
        return True  # a broker or a simulated venue trades instruments listed elsewhere

    async def _submit_order(self, command: Any) -> None:
        _of(self).submit(command.order)

    async def _submit_order_list(self, command: Any) -> None:
        bridge = _of(self)
        for told in command.order_inits:
            bridge.submit(self.cache.order(told.client_order_id))

    async def _modify_order(self, command: Any) -> None:
        _of(self).modify(command)

    async def _cancel_order(self, command: Any) -> None:
        _of(self).cancel(command.client_order_id, command.instrument_id)

    async def _cancel_all_orders(self, command: Any) -> None:
        _of(self).cancel_all(command.instrument_id, command.order_side)

    async def _batch_cancel_orders(self, command: Any) -> None:
        for one in command.cancels:
            _of(self).cancel(one.client_order_id, one.instrument_id)

    async def _batch_modify_orders(self, command: Any) -> None:
        for one in command.modifies:
            _of(self).modify(one)

    async def _query_account(self, command: Any) -> None:
        _of(self).barrier()

    async def _query_order(self, command: Any) -> None:
        """The session asks the venue by itself, and tells what it hears."""

    async def _generate_order_status_reports(self, command: Any) -> list[Any]:
        return []  # the session has reconciled before the node began

    async def _generate_fill_reports(self, command: Any) -> list[Any]:
        return []

    async def _generate_position_status_reports(self, command: Any) -> list[Any]:
        return []


class _DataConfig(DataClientConfig):
    def __new__(cls, bridge: Bridge) -> _DataConfig:
        made: Any = super().__new__(cls, routing=RoutingConfig(default=True))
        made.bridge = bridge
        return made


class _ExecConfig(ExecutionClientConfig):
    def __new__(cls, bridge: Bridge) -> _ExecConfig:
        made: Any = super().__new__(cls, routing=RoutingConfig(default=True))
        made.bridge = bridge
        return made


class _DataFactory(DataClientFactory):
    @staticmethod
    def create(*, name: str, config: Any, cache: Any, clock: Any) -> Any:
        return _Data(name=name, config=config, cache=cache, clock=clock, venue=None)


class _ExecFactory(ExecutionClientFactory):
    @staticmethod
    def create(*, name: str, config: Any, cache: Any, clock: Any, trader_id: Any) -> Any:
        ways = config.bridge.ways
        return _Exec(
            name=name,
            config=config,
            cache=cache,
            clock=clock,
            trader_id=trader_id,
            venue=engine.Venue(ways.venue.name),
            account_id=engine.AccountId(f"{ways.venue.name}-{ways.account}"),
            account_type=engine.AccountType.MARGIN,
            oms_type=engine.OmsType.NETTING,
            base_currency=ways.currency,
        )
