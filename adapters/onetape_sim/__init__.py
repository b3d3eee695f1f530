"""The simulated venue: a market of made-up or past quotes that keeps the ports of a real one.

`venue(config)` and `feed(config)` are the adapter that `onetape.venues` names "sim"; `paper`
gives a venue that fills against any feed's quotes. Everything it does is simulated: no order
leaves this machine. README.md has the config.
"""

from __future__ import annotations

from collections.abc import Mapping

from onetape.errors import SettingsError
from onetape.run.ports import Feed, Venue
from onetape_sim import client, inside
from onetape_sim.config import checked
from onetape_sim.paper import PaperVenue, paper
from onetape_sim.rows import put
from onetape_sim.world import forget, world_of

__all__ = ["PaperVenue", "feed", "forget", "paper", "put", "venue"]


def venue(config: Mapping[str, object]) -> Venue:
    """Return the simulated venue of `config`: a client where it has an address, a paper venue
    where it says `paper`, else in process.

    Raises SettingsError, UnknownDataset where the config cannot be used.
    """
    said = checked(config)
    if said.paper:
        return paper(config)
    if said.address is not None:
        return client.Venue(config)
    return inside.Venue(world_of(config), said.accounts)


def feed(config: Mapping[str, object]) -> Feed:
    """Return the simulated feed of `config`; see `venue`."""
    said = checked(config)
    if said.paper:
        raise SettingsError("a paper venue has no feed of its own; name the feed that it fills on")
    if said.address is not None:
        return client.Feed(config)
    return inside.Feed(world_of(config))
