"""Market: what was quoted, and can it be trusted."""

from onetape.market.actions import Dividend, Split
from onetape.market.catalog import Catalog
from onetape.market.dataset import Dataset
from onetape.market.instruments import (
    Instrument,
    crypto_perpetual,
    equity,
    future,
    fx,
    option,
)
from onetape.market.manifest import Finding
from onetape.market.samples import sample, samples

__all__ = [
    "Catalog",
    "Dataset",
    "Dividend",
    "Finding",
    "Instrument",
    "Split",
    "crypto_perpetual",
    "equity",
    "future",
    "fx",
    "option",
    "sample",
    "samples",
]
