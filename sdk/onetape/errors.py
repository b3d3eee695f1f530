"""What can go wrong, in one family.

    OnetapeError
    ├── SettingsError            a setting is missing or malformed
    ├── TapeError
    │   ├── BrokenTape           the events do not follow one another, or were touched
    │   ├── TapeConflict         somebody else wrote to the stream first
    │   ├── TapeUnavailable      the database cannot be reached or cannot write now
    │   └── TapeForbidden        the database refuses this role
    ├── MarketDataError          data could not be read or does not fit
    │   ├── UnknownInstrument
    │   ├── UnknownDataset
    │   ├── EmptyRange
    │   ├── Conflict             new rows disagree with rows already kept
    │   └── SpoiledData          quality findings, with strict=True
    ├── Refused                  the rules on who may do what, and when, do not let it pass
    ├── VenueError               a venue or feed refused, or does not know what was asked
    │   ├── VenueUnavailable     it cannot be reached, or does not say
    │   └── UnknownVenue         no adapter of that name
    └── RunError
        ├── StrategyError        the user's own code raised; its traceback is kept
        ├── NotReconciled        our books and the venue's word differ: nothing was started
        ├── Fenced               another session trades this account
        └── Diverged             a second run did not give the same tape

Every message says what was found, what was expected and what to try.
What a market may do on any day (reject, deny, gap) is an event, not an exception.
"""

from __future__ import annotations

from collections.abc import Sequence


class OnetapeError(Exception):
    """Base of everything that onetape raises on purpose."""


class SettingsError(OnetapeError):
    """A setting or an argument is missing or malformed."""


class TapeError(OnetapeError):
    """The tape could not be written or read."""


class BrokenTape(TapeError):
    """The event at `seq` does not follow from those before it."""

    def __init__(self, seq: int, why: str) -> None:
        super().__init__(f"the tape breaks at seq {seq}: {why}")
        self.seq = seq


class TapeConflict(TapeError):
    """Another writer was first: `expected` and `found` are versions of `stream`."""

    def __init__(self, stream: str, expected: int, found: int, why: str = "") -> None:
        super().__init__(
            f"stream {stream} stands at version {found}, version {expected} expected"
            f"{why and f' ({why})'}; read the stream again, decide again, append again"
        )
        self.stream, self.expected, self.found = stream, expected, found


class TapeUnavailable(TapeError):
    """The tape cannot be written or reached now.

    `in_doubt` is True when the events may or may not be recorded: appending the same events
    again is safe, what is already there is recognized and not written twice.
    """

    def __init__(self, message: str, in_doubt: bool = False) -> None:
        super().__init__(message)
        self.in_doubt = in_doubt


class TapeForbidden(TapeError):
    """The database does not let this role do that."""


class MarketDataError(OnetapeError):
    """Market data could not be read, or is not what it was said to be."""


class UnknownInstrument(MarketDataError):
    """No such instrument where it was looked for."""


class UnknownDataset(MarketDataError):
    """No such dataset where it was looked for."""


class EmptyRange(MarketDataError):
    """The asked range holds no rows."""


class Conflict(MarketDataError):
    """New rows overlap rows already kept and disagree with them."""


class SpoiledData(MarketDataError):
    """Quality findings refused by `strict=True`."""

    def __init__(self, message: str, findings: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class Refused(OnetapeError):
    """The rules on who may do what, and when, do not let this pass."""


class VenueError(OnetapeError):
    """A venue or feed refused, or does not know what was asked."""


class VenueUnavailable(VenueError):
    """The venue or feed cannot be reached, or does not say: nothing may be concluded from it."""


class UnknownVenue(VenueError):
    """No adapter of that name is installed."""


class RunError(OnetapeError):
    """A run could not be carried out."""


class StrategyError(RunError):
    """A strategy's callback raised; `__cause__` is the user's own exception."""


class NotReconciled(RunError):
    """Our books and the venue's word differ; `breaks` names each difference."""

    def __init__(self, message: str, breaks: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.breaks = tuple(breaks)


class Fenced(RunError):
    """Another session trades this account at this venue."""


class Diverged(RunError):
    """Two runs of the same inputs part at `seq`."""

    def __init__(self, seq: int, why: str) -> None:
        super().__init__(f"the tapes part at seq {seq}: {why}")
        self.seq = seq
