"""The journal: what a simulated venue must still know after it was killed.

One JSON line for all that changed at once: orders as they now are, executions, busts, corrections.
It is written before anything is said of it; a file that ends within a line is read up to there.
Beside it, `<journal>.at` holds how many rows have been played.

It survives the death of the process (kill -9), not that of the machine: nothing is forced to disk.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from onetape.run.ports import Busted, Corrected, Filled
from onetape_sim.core import Core
from onetape_sim.ledger import Ledger, restored
from onetape_sim.orders import Order


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What changed at once."""

    ts: int
    orders: tuple[Order, ...] = ()
    said: tuple[Filled | Busted | Corrected, ...] = ()


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)


class Journal:
    """A file that is appended to; see the module."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser()
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        at = self._path.with_name(self._path.name + ".at")
        self._at = os.open(at, os.O_RDWR | os.O_CREAT, 0o600)

    def restore(self, core: Core) -> int:
        """Bring a core to where the journal ends; return how many rows had been played."""
        orders: dict[str, Order] = {}
        said: list[Filled | Busted | Corrected] = []
        whole = 0
        for raw in self._path.read_bytes().splitlines(keepends=True):
            if not raw.endswith(b"\n"):
                break  # killed while writing: nobody was told of it
            whole += len(raw)
            line = _decoder.decode(raw)
            core.at(line.ts)
            orders.update((order.id, order) for order in line.orders)
            said += line.said
        os.ftruncate(self._file, whole)
        restored(core.ledger, list(orders.values()), said)
        core.resume()
        return int.from_bytes(os.pread(self._at, 8, 0), "big")

    def mark(self, count: int) -> None:
        """Keep how many rows have been played."""
        os.pwrite(self._at, count.to_bytes(8, "big"), 0)

    def keep(self, ledger: Ledger) -> None:
        """Write what has changed since it was last asked."""
        if not ledger.moved and not ledger.made:
            return
        line = Line(ledger.now, tuple(ledger.moved.values()), tuple(ledger.made))
        os.write(self._file, _encoder.encode(line) + b"\n")
