# pyright: standard
"""Asked: what a person, or something acting for one, may tell a running session to do.

Every word is an input of the session: it has a stamp, it stands on the tape with who said it, and
what follows from it names it. A person's order goes through the same door as a strategy's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from onetape.errors import RunError, SettingsError
from onetape.run.host import Host, Word
from onetape.run.kernel import Kernel
from onetape.tape import kinds_live

if TYPE_CHECKING:
    from onetape.run.trader import Trader

FLATTEN = "input/flatten"  # the stream of the word that begins it
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
            self._trader.halt(kinds_live.RiskMoved(scope, "HALTED", reason, _who(args)))
        return {"halted": scope}

    def _resume(self, _args: dict[str, Any]) -> dict[str, Any]:
        raise RunError(
            "a halt is not lifted at this door: `onetape rearm`, or ot.set_state with a second "
            "person, says so on the tape, and the session follows it"
        )

    async def _order(self, args: dict[str, Any]) -> dict[str, Any]:
        side = str(args.get("side", "")).upper()
        if side not in ("BUY", "SELL"):
            raise SettingsError(f'side {args.get("side")!r} found, "buy" or "sell" expected')
        terms = {name: args[name] for name in TERMS if args.get(name) is not None}
        self._running()
        said = {"side": side, "quantity": str(args.get("quantity")), **terms}
        return {"client_order_id": await self._note("order", args, said)}

    async def _cancel(self, args: dict[str, Any]) -> dict[str, Any]:
        named = str(args.get("client_order_id") or "all")
        self._running()
        await self._note("cancel", args, {"client_order_id": named})
        self._trader.cancel(named)
        return {"asked": named}

    def _note(
        self, what: str, args: dict[str, Any], said: dict[str, Any] | None = None
    ) -> asyncio.Future[str]:
        """Put a word on the tape in its turn; what came of it is told then."""
        kernel = self._trader.kernel
        detail = msgspec.json.encode(said or {}, order="deterministic").decode()
        fact = kinds_live.SessionAsked(what, _who(args), detail)
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_looked_at)

        def act() -> None:
            try:
                done.set_result(heard(kernel, fact))
            except Exception as err:  # the asker is told: the session has nothing to do with it
                done.set_exception(err.with_traceback(None))  # frames would keep the engine alive

        kernel.call(act)
        return done

    def _running(self) -> None:
        if self._trader.state != "running":
            raise RunError(f"the session is {self._trader.state}; it takes orders while it runs")


def heard(kernel: Kernel, fact: kinds_live.SessionAsked) -> str:
    """Put a person's word on the tape and do at once what it asks for; return the order's id.

    A rerun does the same. Raises what the strategy would get for such an order.
    """
    seq = kernel.note(fact, "input/asked")
    if fact.what != "order":
        return ""
    host: Host = kernel.host
    said = msgspec.json.decode(fact.detail)
    side, quantity = said.pop("side"), said.pop("quantity")
    before, host.event = host.event, Word(seq, kernel.now)
    try:
        return host.intents.order(side, quantity, **said)
    finally:
        host.event = before


def flatten(kernel: Kernel) -> list[str]:
    """Trade everything held to zero, as an input of the session; return the orders' ids."""
    kernel.note(kinds_live.SessionAsked("flatten", "its end"), FLATTEN)
    target = kernel.host.intents.target
    made = [target(0, None, name, "flatten", "close") for name in kernel.setup.instruments]
    return [name for name in made if name is not None]


def _looked_at(done: asyncio.Future[str]) -> None:
    """Look at what came of a word, also where nobody waits for it any more."""
    if not done.cancelled():
        done.exception()


def _who(args: dict[str, Any]) -> str:
    return str(args.get("who") or "somebody at its door")
