"""Checks on prices: a reference that is there and fresh, collars, drift.

Collars  measure how far an order's price lies on the side that costs: a buy above the far touch,
         a sell below it. A market order is judged by the far touch against the reference, a stop
         by its trigger against the reference, a stop-limit by its limit against its trigger too.
Equal    a price right at the collar passes.
"""

from __future__ import annotations

from decimal import Decimal

from onetape.risk.case import Case, Seen, nearest
from onetape.risk.exact import SHOWN, ZERO
from onetape.risk.resolved import Bound


def present(case: Case) -> Seen | None:
    """R05: there is a price to measure against."""
    rules = case.rules
    if rules.reference_age is None and rules.collar is None and case.price is not None:
        return None
    if case.reference is None and (rules.needs_price or rules.trigger is not None):
        rule = rules.reference_age or rules.collar
        words = f"{case.intent.instrument} has no price yet"
        return ("NO_REF_PRICE", rule.rule if rule is not None else "", None, None, words)
    return None


def fresh(case: Case) -> Seen | None:
    """R05: that price is fresh, and its feed is well."""
    bound, reference = case.rules.reference_age, case.reference
    if bound is None or reference is None:
        return None
    instrument = case.intent.instrument
    for (feed, what), told in case.keeping.stale.items():
        if what in ("", instrument):
            return ("STALE_REF_PRICE", bound.rule, None, bound.value, f"feed {feed}: {told}")
    if reference.stale:
        return ("STALE_REF_PRICE", bound.rule, None, bound.value, "its feed is stale")
    age = case.ts - reference.ts
    late = age > case.rules.reference_age_ns
    observed = Decimal(age if age > 0 else 0).scaleb(-9)  # in seconds
    return ("STALE_REF_PRICE" if late else "", bound.rule, observed, bound.value, "")


def collar(case: Case) -> Seen | None:
    """R06: the order's price is near the market."""
    rules, reference, intent = case.rules, case.reference, case.intent
    if reference is None:
        return None
    anchor, sign = reference.price, case.sign
    touch = (reference.ask if sign > 0 else reference.bid) or anchor
    price, trigger = intent.price, intent.trigger_price
    near, stop, away = rules.collar, rules.trigger, rules.away
    if trigger is not None:
        one = stop and _collared(stop, abs(trigger - anchor), anchor)
        two = near and price is not None and _collared(near, (price - trigger) * sign, trigger)
    elif price is None:
        one, two = near and _collared(near, (touch - anchor) * sign, anchor), None
    else:
        one = near and _collared(near, (price - touch) * sign, touch)
        two = away and _collared(away, (touch - price) * sign, touch)
    return nearest((one, two or None))


def _collared(bound: Bound, distance: Decimal, base: Decimal) -> Seen:
    beyond = distance > bound.value * base  # multiplied, so that right at the collar is exact
    observed = SHOWN.divide(distance, base) if distance > 0 else ZERO
    return ("PRICE_COLLAR" if beyond else "", bound.rule, observed, bound.value, "")


def drift(case: Case) -> Seen | None:
    """R07: own orders, each within its collar, do not walk the price away together.

    Orders behind the market do not move it: they are neither measured nor remembered.
    """
    bound = case.rules.drift
    if bound is None:
        return None
    extremes = case.cell.extremes(case.ts - case.rules.drift_ns)
    intent = case.intent
    price = intent.price or intent.trigger_price or case.price
    if extremes is None or price is None:
        return None
    if case.reference is not None and (price - case.reference.price) * case.sign < 0:
        return None
    low, high = extremes
    up, down = price - low, high - price
    seen = (up, low) if up * high >= down * low else (down, high)
    far = seen[0] > bound.value * seen[1]
    observed = SHOWN.divide(seen[0], seen[1]) if seen[0] > 0 else ZERO
    return ("PRICE_DRIFT" if far else "", bound.rule, observed, bound.value, "")
