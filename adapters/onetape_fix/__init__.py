"""FIX: an engine for FIX 4.2, 4.4 and 5.0SP2, a gateway that holds sessions, and a venue on top.

`venue(config)` and `feed(config)` are the adapter that `onetape.venues` names "fix". A config names
the .cfg file of the sessions and which of them to use; README.md has the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a gateway's process needs none of it
    from onetape.run.ports import Feed, Venue

__all__ = ["feed", "simulated", "venue"]


def venue(config: Mapping[str, object]) -> Venue:
    """Return the venue that an order session of `config` leads to.

    Raises SettingsError where the config or its session file cannot be used.
    """
    from onetape_fix.trade import venue as over_fix
    from onetape_fix.trade.config import checked

    return over_fix.Venue(checked(config))


def simulated(config: Mapping[str, object]) -> bool:
    """Return whether the venue of `config` is our own simulated one, by its session's profile.

    Whoever trades there is told so on logon, else no order leaves; see `trade.venue`.
    """
    from onetape_fix.gateway.building import profile_of
    from onetape_fix.trade.config import checked, session_of, settings_of

    said = checked(config)
    return profile_of(session_of(settings_of(said), said.session, "order")).name == "sim"


def feed(config: Mapping[str, object]) -> Feed:
    """Return the feed that a market data session of `config` leads to; see `venue`."""
    from onetape_fix.trade import feed as over_fix
    from onetape_fix.trade.config import checked

    return over_fix.Feed(checked(config))
