"""A catalog in a folder of its own, and instruments to fill it with."""

from __future__ import annotations

from pathlib import Path

import pytest

import onetape.market as market


@pytest.fixture
def catalog(tmp_path: Path) -> market.Catalog:
    return market.Catalog(tmp_path / "catalog")


@pytest.fixture
def pair() -> market.Instrument:
    return market.fx("EUR/USD.SIM")


@pytest.fixture
def share() -> market.Instrument:
    return market.equity("GOOG.XNAS")


@pytest.fixture
def perpetual() -> market.Instrument:
    return market.crypto_perpetual("BTCUSDT-PERP.BINANCE", tick="0.01", size_increment="0.000001")
