"""What operators may ask of a session, and the record of who asked.

    logon, logout          connect and log on; log off and stay off until `logon`
    set_seq                the next number in, out, or both
    reset                  both numbers to 1, by a Logon with 141=Y where the session is up
    resend                 ask the peer for messages again
    mass_cancel            cancel all orders
    disable, enable        let no D, G or E out (cancels leave); let them out again

Each needs `who`; `why` is kept beside it. It is written to the session's journal before it is
done, comes from there to the tape as an event, and is told to all listeners as an alarm.

Raises   SettingsError for an action or argument that does not make sense, VenueError where the
         session cannot do it now.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from onetape.errors import OnetapeError, SettingsError
from onetape_fix.gateway.canceling import cancel_all
from onetape_fix.gateway.standing import Decision

if TYPE_CHECKING:
    from onetape_fix.gateway.held import Held
    from onetape_fix.gateway.hub import Gateway

Args = dict[str, Any]


class Asked(NamedTuple):
    """An action on its way."""

    gateway: Gateway
    held: Held
    by: Decision
    args: Args


def act(gateway: Gateway, held: Held, what: str, args: Args) -> Args:
    """Do what an operator asked for; return what came of it as plain data."""
    if what not in ACTIONS:
        raise SettingsError(f"{what!r} asked; there are status, {', '.join(sorted(ACTIONS))}")
    does, takes = ACTIONS[what]
    who, why = str(args.pop("who", "") or ""), str(args.pop("why", "") or "")
    if not who:
        raise SettingsError(f"{what} of {held.name}: nobody said who asks; say who=")
    if unknown := sorted(args.keys() - takes):
        known = ", ".join(sorted(takes)) or "nothing"
        raise SettingsError(f"{what} of {held.name}: {', '.join(unknown)} said; it takes {known}")
    said = {"action": what, "who": who, "why": why, **args}
    held.note(note_of(said))
    try:
        result = does(Asked(gateway, held, Decision(who, why, gateway.clock.now()), args))
    except OnetapeError as err:
        held.note(note_of({"action": what, "who": who, "failed": str(err)}))
        raise
    held.tell_alarm("operator", f"{what} by {who}{why and ': ' + why}", said)
    return {"session": held.name, "done": what, **result}


def note_of(said: Args) -> str:
    """Return the words in which an action stands in the journal."""
    return json.dumps(said, separators=(",", ":"), default=str)


def _logon(asked: Asked) -> Args:
    try:
        _decide(asked, out=None)
    finally:
        asked.gateway.call(asked.held)
    return {}


def _logout(asked: Asked) -> Args:
    try:
        _decide(asked, out=asked.by)
    finally:  # it has to happen, whether it could be written down or not
        asked.gateway.hang_up(asked.held, asked.by.why)
    return {}


def _decide(asked: Asked, **changed: Decision | None) -> None:
    held, standings = asked.held, asked.gateway.standings
    try:
        standings.set(held.name, msgspec.structs.replace(standings.of(held.name), **changed))
    finally:
        held.moved(held.up, held.disabled or held.out)


def _set_seq(asked: Asked) -> Args:
    held, args = asked.held, asked.args
    numbers = {key: _number(held, key, args[key]) for key in ("next_in", "next_out") if key in args}
    if not numbers:
        raise SettingsError(f"set_seq of {held.name}: say next_in, next_out or both")
    before = {"next_in": held.store.next_in, "next_out": held.store.next_out}
    if "next_in" in numbers:
        held.session.set_in(numbers["next_in"])
    if "next_out" in numbers:
        held.session.set_out(numbers["next_out"])
    return {"before": before, **numbers}


def _reset(asked: Asked) -> Args:
    store = asked.held.store
    before = {"next_in": store.next_in, "next_out": store.next_out}
    asked.held.session.reset()
    return {"before": before}


def _resend(asked: Asked) -> Args:
    held = asked.held
    low = _number(held, "begin", asked.args.get("begin", 1))
    high = _number(held, "end", asked.args.get("end", 0), least=0)
    if high and high < low:
        raise SettingsError(f"resend of {held.name}: {low} to {high} asked; a range expected")
    held.session.request_resend(low, high)
    return {"begin": low, "end": high}


def _mass_cancel(asked: Asked) -> Args:
    return cancel_all(asked.held, str(asked.args.get("account") or ""))


def _disable(asked: Asked) -> Args:
    _decide(asked, disabled=asked.by)
    return {}


def _enable(asked: Asked) -> Args:
    _decide(asked, disabled=None)
    return {}


def _number(held: Held, key: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f"{key} {value!r} of {held.name}; a number from {least} on expected")
    return value


NOTHING: frozenset[str] = frozenset()
ACTIONS: dict[str, tuple[Callable[[Asked], Args], frozenset[str]]] = {
    "logon": (_logon, NOTHING),
    "logout": (_logout, NOTHING),
    "set_seq": (_set_seq, frozenset(("next_in", "next_out"))),
    "reset": (_reset, NOTHING),
    "resend": (_resend, frozenset(("begin", "end"))),
    "mass_cancel": (_mass_cancel, frozenset(("account",))),
    "disable": (_disable, NOTHING),
    "enable": (_enable, NOTHING),
}
