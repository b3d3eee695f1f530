# pyright: standard
"""Asked: what a person, or something acting for one, may tell a running session to do.

Every word is an input of the session: it has a stamp, it stands on the tape with who said it, and
what follows from it names it. A person's order goes through the same door as a strategy's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from onetape.errors import RunError, SettingsError
from onetape.tape import kinds_live

if TYPE_CHECKING:
    from onetape.run.trader import Trader

TERMS = ("limit", "stop", "time_in_force", "post_only", "reduce_only", "instrument", "why")


class Asked:
    """The handlers of a trader's door."""

    def __init__(self, trader: Trader) -> None:
        self._trader = trader

    def handlers(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        """Return what is answered, by word."""
        return {
            "ping": lambda _: {"pid": True},
            "state": lambda _: {"state": self._trader.state, "detail": self._trader.detail},
            "status": lambda _: {"state": self._trader.state, "error": self._trader.error},
            "stop": self._stop,
            "halt": self._halt,
            "resume": self._resume,
            "order": self._order,
            "cancel": self._cancel,
        }

    def _stop(self, args: dict[str, Any]) -> dict[str, Any]:
        trader = self._trader
        trader.flatten = trader.flatten or bool(args.get("flatten", False))
        if trader.started:
            self._note("flatten" if args.get("flatten") else "stop", args)
        trader.detail = str(args.get("reason", "")) or "it was asked to stop"
        trader.ended.set()
        return {"stopping": True}

    def _halt(self, args: dict[str, Any]) -> dict[str, Any]:
        scope = str(args.get("scope") or f"account:{self._trader.spec.account}")
        reason = str(args.get("reason", "")) or "asked at its door"
        self._trader.halt_now(reason)
        if self._trader.started:
            self._trader.hear(kinds_live.RiskMoved(scope, "HALTED", reason, _who(args)))
        return {"halted": scope}

    def _resume(self, _args: dict[str, Any]) -> dict[str, Any]:
        raise RunError(
            "a halt is not lifted at this door: `onetape rearm`, or ot.set_state with a second "
            "person, says so on the tape, and the session follows it"
        )

    def _order(self, args: dict[str, Any]) -> dict[str, Any]:
        side = str(args.get("side", "")).upper()
        if side not in ("BUY", "SELL"):
            raise SettingsError(f'side {args.get("side")!r} found, "buy" or "sell" expected')
        terms = {name: args[name] for name in TERMS if args.get(name) is not None}
        self._running()
        made: list[str] = []
        said = {"side": side, "quantity": str(args.get("quantity")), **terms}
        self._note("order", args, said, lambda: made.append(self._trader.person(side, said)))
        return {"client_order_id": made[0] if made else ""}

    def _cancel(self, args: dict[str, Any]) -> dict[str, Any]:
        named = str(args.get("client_order_id") or "all")
        self._running()
        said = {"client_order_id": named}
        self._note("cancel", args, said, lambda: self._trader.cancel(named))
        return {"asked": named}

    def _note(
        self,
        what: str,
        args: dict[str, Any],
        said: dict[str, Any] | None = None,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        kernel = self._trader.kernel
        detail = msgspec.json.encode(said or {}, order="deterministic").decode()
        fact = kinds_live.SessionAsked(what, _who(args), detail)

        def act() -> None:
            kernel.note(fact, "input/asked")
            then()

        kernel.call(act)

    def _running(self) -> None:
        if self._trader.state != "running":
            raise RunError(f"the session is {self._trader.state}; it takes orders while it runs")


def _who(args: dict[str, Any]) -> str:
    return str(args.get("who") or "somebody at its door")
