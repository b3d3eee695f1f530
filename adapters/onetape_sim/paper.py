"""Paper trading: a venue that fills against the quotes of any feed. All fills are simulated.

Whoever receives the feed's rows shows each to the venue before anybody acts on it (`see`). Each
execution names the quote it was filled on in `basis`. Orders, positions and cash live in this
process, or in the config's `journal`.
"""

from __future__ import annotations

from collections.abc import Mapping

from onetape.errors import UnknownInstrument
from onetape.market import Instrument
from onetape.run.ports import AnyRow
from onetape_sim.config import checked
from onetape_sim.inside import Venue
from onetape_sim.rows import Source, listed
from onetape_sim.world import World


class PaperVenue(Venue):
    """A simulated venue on somebody else's quotes; keeps `onetape.run.ports.Venue`."""

    def know(self, *instruments: Instrument) -> None:
        """Let instruments be traded, as the feed lists them."""
        for instrument in instruments:
            self.world.core.list(instrument)

    def see(self, row: AnyRow) -> None:
        """Take in a row of the feed: resting orders trade, then what is due arrives.

        Raises UnknownInstrument for a row of an instrument that `know` was not told of.
        """
        world = self.world
        if row.instrument not in world.core.books:
            raise UnknownInstrument(
                f"a row of {row.instrument} came to the paper venue, which knows "
                f"{', '.join(world.core.books) or 'no instruments'}; call know(instrument) first"
            )
        world.player.seen(row)
        world.settle()


def paper(config: Mapping[str, object]) -> PaperVenue:
    """Return a paper venue of its own; `config` has cash, fees, latency, accounts, journal and
    the like, and neither data nor a generator."""
    said = checked({**config, "paper": True})
    nothing = Source(listed(said), frozenset(), lambda: iter(()))
    return PaperVenue(World(said, nothing), said.accounts)
