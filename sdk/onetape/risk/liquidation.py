"""Liquidation: bringing an account to flat in small, careful steps. Pure, a part of the ladder.

Order    First what is working and is not an exit is cancelled, and gone; then each holding is
         sold (bought back) in slices, one at a time, with a price that it may not be worse than.
Laws     - Only against what is held, never more than |holding| - exits on their way, so that no
           holding crosses zero whatever of it fills.
         - At prices of two sources that are fresh and agree; otherwise it waits and says so.
         - `attempts` without progress, a holding that has turned, or orders that do not go: it
           stops and calls a person. It does not begin again by itself.
Restart  `Work` is everything it remembers; exits are numbered through, so that none goes twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal

import msgspec

from onetape.risk.rungs import Act, Exit, Holding, Ladder, Observed, Price, Work

ZERO = Decimal(0)
replace = msgspec.structs.replace


def unsure(ladder: Ladder, seen: Observed, now: int) -> str:
    """Return why no holding may be sold by these prices, "" when each may."""
    for holding in seen.holdings:
        if not holding.quantity:
            continue
        fresh = _fresh(ladder, holding, now)
        if len({p.source for p in fresh}) < 2:
            return f"{holding.instrument} has no two fresh prices of different sources"
        low, high = min(p.value for p in fresh), max(p.value for p in fresh)
        if not (low > 0 and high - low <= ladder.agree * low):
            return f"{holding.instrument} has prices that disagree: {low} and {high}"
    return ""


def _fresh(ladder: Ladder, holding: Holding, now: int) -> list[Price]:
    return [p for p in holding.prices if 0 <= now - p.ts <= ladder.fresh_ns]


def proposal(ladder: Ladder, seen: Observed, now: int) -> tuple[Exit, ...]:
    """Return what would bring a scope to flat, for persons to judge."""
    return tuple(
        _exit(ladder, "proposed", holding, room, now)
        for holding in seen.holdings
        if (room := _room(holding)) > 0
    )


def begin(ladder: Ladder, seen: Observed, rule: str, before: Work | None) -> Work:
    """Return the work that lies ahead; exits are numbered on from earlier work."""
    held = [holding for holding in seen.holdings if holding.quantity]
    return Work(
        rule,
        sides={h.instrument: 1 if h.quantity > 0 else -1 for h in held},
        slices={h.instrument: _slice(ladder, h) for h in held},
        left={h.instrument: abs(h.quantity) for h in held},
        tries={},
        exits=before.exits if before is not None else 0,
    )


def _slice(ladder: Ladder, holding: Holding) -> Decimal:
    steps = (abs(holding.quantity) / ladder.slices / holding.step).to_integral_value(ROUND_CEILING)
    return steps * holding.step


def _room(holding: Holding) -> Decimal:
    return abs(holding.quantity) - holding.exits


def step(ladder: Ladder, work: Work, seen: Observed, now: int) -> tuple[Work, list[Act]]:
    """Return the work after one evaluation, and what is to be done."""
    if work.over:
        return work, []
    held = [holding for holding in seen.holdings if holding.quantity]
    if not held and not seen.orders:
        return _flat(work, seen)
    turned = [h.instrument for h in held if _side(h) != work.sides.get(h.instrument)]
    if turned:
        return _call(work, seen, f"{', '.join(turned)} came to be held another way")
    if seen.orders:
        return _clear(ladder, work, seen, now)
    if why := unsure(ladder, seen, now):
        said = [] if work.blind else [Act("alert", seen.scope, work.rule, why, "critical")]
        return replace(work, blind=True), said
    work = replace(work, blind=False)
    return _sell(ladder, work, seen, held, now) if now >= work.exit_at else (work, [])


def _side(holding: Holding) -> int:
    return 1 if holding.quantity > 0 else -1


def _flat(work: Work, seen: Observed) -> tuple[Work, list[Act]]:
    acts = [
        Act("move", seen.scope, work.rule, "flat", "critical", state="HALTED"),
        Act("alert", seen.scope, work.rule, f"flat after {work.exits} exits", "info"),
    ]
    return replace(work, over="flat"), acts


def _call(work: Work, seen: Observed, why: str) -> tuple[Work, list[Act]]:
    said = f"{why}: a person must go on from here"
    acts = [
        Act("alert", seen.scope, work.rule, said, "critical"),
        Act("move", seen.scope, work.rule, said, "critical", state="HALTED"),
    ]
    return replace(work, over=why), acts


def _clear(ladder: Ladder, work: Work, seen: Observed, now: int) -> tuple[Work, list[Act]]:
    if now < work.cancel_at:
        return work, []
    if work.cancels >= ladder.attempts:
        return _call(work, seen, f"{seen.orders} orders do not go")
    act = Act("cancel", seen.scope, work.rule, f"{seen.orders} orders to cancel", "critical")
    return replace(work, cancels=work.cancels + 1, cancel_at=now + ladder.pause_ns), [act]


def _sell(
    ladder: Ladder, work: Work, seen: Observed, held: Sequence[Holding], now: int
) -> tuple[Work, list[Act]]:
    left, tries, exits = dict(work.left), dict(work.tries), list[Exit]()
    for holding in held:
        name, size = holding.instrument, abs(holding.quantity)
        if size < left[name]:
            tries[name] = 0
        room = _room(holding)
        if room <= 0:
            continue
        if tries.get(name, 0) >= ladder.attempts:
            return _call(
                work, seen, f"{name} does not sell: {ladder.attempts} exits came to nothing"
            )
        most = room if holding.most is None else min(room, max(holding.most, holding.step))
        number = work.exits + len(exits) + 1
        amount = min(most, work.slices[name])
        exits.append(_exit(ladder, f"{seen.scope}/{number}", holding, amount, now))
        left[name], tries[name] = size, tries.get(name, 0) + 1
    if not exits:
        return work, []
    after = replace(
        work,
        left=left,
        tries=tries,
        exits=work.exits + len(exits),
        exit_at=now + ladder.pause_ns,
    )
    said = "; ".join(f"{e.side} {e.quantity} {e.instrument} at {e.limit}" for e in exits)
    return after, [Act("exit", seen.scope, work.rule, said, "critical", exits=tuple(exits))]


def _exit(ladder: Ladder, name: str, holding: Holding, quantity: Decimal, now: int) -> Exit:
    values = [price.value for price in _fresh(ladder, holding, now)] or [ZERO]
    if holding.quantity > 0:
        limit = min(values) * (1 - ladder.collar)
        return Exit(name, holding.instrument, "SELL", quantity, limit)
    return Exit(name, holding.instrument, "BUY", quantity, max(values) * (1 + ladder.collar))
