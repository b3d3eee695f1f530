"""Facts of the wire: what became of a gateway's FIX sessions, and who asked for what.

The messages themselves are not facts: they stand in tables of their own, see `wirelog`. A seal
is what binds those tables to the tape.
"""

from __future__ import annotations

from onetape.tape.fact import Fact


class WireMoved(Fact, frozen=True, gc=False, tag="wire.moved"):
    """A FIX session came to a state: up, down, disabled."""

    gateway: str
    session: str
    state: str
    detail: str = ""


class WireAsked(Fact, frozen=True, gc=False, tag="wire.asked"):
    """A person, or something acting for one, told a session to do something."""

    gateway: str
    session: str
    what: str  # logon, logout, set_seq, reset, resend, mass_cancel, disable, enable
    who: str
    detail: str = ""


class WireAlarm(Fact, frozen=True, gc=False, tag="wire.alarm"):
    """Something about a session that a person should look at; `code` says what, for machines."""

    gateway: str
    session: str
    code: str  # gap_filled_over, seq_too_low, reset, garbled, stale_order and the like
    text: str
    detail: str = ""


class WireSealed(Fact, frozen=True, gc=False, tag="wire.sealed"):
    """How far a gateway's messages are kept, and the digest that binds them all up to there."""

    gateway: str
    batch: int  # the last one of the gateway
    rows: int  # kept up to there
    chain: str  # hexadecimal


WireFact = WireMoved | WireAsked | WireAlarm | WireSealed
