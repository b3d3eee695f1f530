"""Checks on the flow: messages, repeats, own orders meeting, exits, losses, silence."""

from __future__ import annotations

from decimal import Decimal

from onetape.risk.case import Case, Seen, each
from onetape.risk.exact import SECOND, SHOWN
from onetape.risk.keeping import RESTING
from onetape.risk.resolved import Loss, Rate

CROSSING = RESTING | {"MARKET"}


def messages(case: Case) -> Seen | None:
    """R10: new orders and modifies leave a reserve of the message rate for cancels."""
    buckets, best, most = case.keeping.buckets, None, 0
    for rate in case.rules.rates:
        used = buckets.used(rate, case.ts) + rate.cost
        if used > rate.usable:
            return _messages("MSG_RATE", rate, used)
        if best is None or used * best.usable > most * rate.usable:
            best, most = rate, used
    return None if best is None else _messages("", best, most)


def _messages(code: str, rate: Rate, used: int) -> Seen:
    return (code, rate.rule, SHOWN.divide(Decimal(used), Decimal(rate.cost)), rate.most, "")


def repeated(case: Case) -> Seen | None:
    """R11: what has traded too often of late stays off until a named person turns it on."""
    bound, intent = case.rules.repeat, case.intent
    key = intent.strategy, intent.instrument, case.sign
    if bound is None or key not in case.keeping.disabled:
        return None
    words = f"{intent.strategy} may not {intent.side} {intent.instrument} until re-enabled"
    return ("REPEAT_EXEC", bound.rule, bound.value + 1, bound.value, words)


def duplicate(case: Case) -> Seen | None:
    """R12: the same order was not sent a moment ago, nor the same id before."""
    bound, intent = case.rules.duplicate, case.intent
    if bound is None or intent.kind != "submit":
        return None
    acked = case.own is not None and case.own.acked
    if acked or intent.client_order_id in case.keeping.ended:
        return ("DUPLICATE", bound.rule, None, None, "an order of this id was sent before")
    last = case.keeping.recent.get(
        (intent.account, intent.instrument, case.sign, intent.type, intent.quantity,
         intent.price, intent.trigger_price)
    )  # fmt: skip
    if last is None or last[1] == intent.client_order_id:
        return None
    age = case.ts - last[0]
    if age >= case.rules.duplicate_ns:
        return None
    words = f"as {last[1]}, sent just before"
    return ("DUPLICATE", bound.rule, Decimal(age) / SECOND, bound.value, words)


def self_match(case: Case) -> Seen | None:
    """R13: the order does not meet the account's own resting orders."""
    rule, intent, cell = case.rules.self_match, case.intent, case.cell
    if not rule or intent.type not in CROSSING or intent.post_only:
        return None
    resting = cell.asks if case.sign > 0 else cell.bids
    reach = intent.price if intent.price is not None else case.price
    if not resting or reach is None:
        return None
    best = resting[0] if case.sign > 0 else resting[-1]
    if (reach - best) * case.sign < 0:
        return None
    return ("SELF_MATCH", rule, reach, best, "an own order rests there")


def reduce_only(case: Case) -> Seen | None:
    """R19: a reduce-only order is no larger than what it reduces."""
    rule, intent = case.rules.reduce_only, case.intent
    if not rule or not intent.reduce_only:
        return None
    parent = case.keeping.orders.get(intent.parent) if intent.parent else None
    coming = parent.left * parent.sign if parent is not None else Decimal(0)
    held = (case.cell.held, case.theirs().held)
    room = max((h + coming) * -case.sign for h in held)
    room = max(room, Decimal(0))
    return ("WOULD_INCREASE" if case.left > room else "", rule, case.left, room, "")


def reducing(case: Case) -> Seen | None:
    """R19: where a scope is REDUCING, an order only reduces, all other exits filled too."""
    scopes = case.keeping.scopes
    if not scopes:
        return None
    for scope in case.rules.scopes:
        if scopes.get(scope) == "REDUCING" and not case.exits(scope):
            room = max(-case.sign * case.cell_of(scope).held, Decimal(0))
            words = "what is held, less what other exits may close"
            return ("WOULD_INCREASE", f"{scope} REDUCING", case.left, room, words)
    return None


def losses(case: Case) -> Seen | None:
    """R20: after a soft loss only exits pass, after a hard one only those that say so.

    What may pass after a hard loss is an order marked reduce-only that does only reduce: a
    position must be closable on the worst day.
    """
    losses = case.rules.losses
    if not losses or (case.reduces and case.intent.reduce_only):
        return None
    return each(_loss, case, losses)


def _loss(case: Case, told: Loss) -> Seen | None:
    soft, hard = told.soft, told.hard
    lost = case.loss(told.scope, told.of_day)
    if hard is not None and lost >= hard.value:
        return ("LOSS_HARD", hard.rule, lost, hard.value, "")
    if soft is not None and not case.exits(told.scope):
        return ("" if lost < soft.value else "LOSS_SOFT", soft.rule, lost, soft.value, "")
    return None if hard is None else ("", hard.rule, lost, hard.value, "")


def unanswered(case: Case) -> Seen | None:
    """R25: while the venue leaves orders without an answer, nothing but cancels goes there."""
    bound = case.rules.unacked
    waiting = case.keeping.unacked.get(case.intent.venue)
    if bound is None or not waiting:
        return None
    oldest, count = case.ts - case.rules.unacked_ns, 0
    for order, sent in waiting.items():  # in the order of sending
        if sent >= oldest:
            break
        count += order != case.intent.client_order_id
        if count > bound.value:
            break
    code = "UNACKED" if count > bound.value else ""
    return (code, bound.rule, Decimal(count), bound.value, "")


def connected(case: Case) -> Seen | None:
    """R26: the way to the venue is not known to be down."""
    told = case.keeping.down.get(case.intent.venue)
    if told is None:
        return None
    return ("SESSION_DOWN", f"venue:{case.intent.venue}", None, None, f"it is {told}")
