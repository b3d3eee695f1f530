"""Checks on who may send what: known at all, trading state, permission, lists, increments, tags.

Each takes a case and returns what it saw, or None where there is nothing to look at.
"""

from __future__ import annotations

from decimal import Decimal

from onetape.risk.case import Case, Seen, nearest, over
from onetape.risk.exact import ZERO
from onetape.risk.resolved import Bound
from onetape.risk.sums import Unknown
from onetape.risk.terms import ANY_TIME, in_session

NEEDS_PRICE = frozenset({"LIMIT", "STOP_LIMIT", "LIMIT_IF_TOUCHED"})
NEEDS_TRIGGER = frozenset({"STOP_MARKET", "STOP_LIMIT", "MARKET_IF_TOUCHED", "LIMIT_IF_TOUCHED"})
SIDES = ("BUY", "SELL")
INFINITE = Decimal("Infinity")
KINDS = ("submit", "modify")


def known(case: Case) -> Seen | None:
    """R01: everything that a decision needs is there and makes sense."""
    if case.terms is None:
        return _unknown(f"instrument {case.intent.instrument} is not known to the gate")
    if malformed := _malformed(case) or _unpriced(case):
        return ("GATE_ERROR", "", None, None, malformed)
    if words := _lost(case) or _other_limits(case):
        return _unknown(words)
    rules, sums = case.rules, case.keeping.sums
    if rules.missing:
        return ("NO_LIMIT", rules.missing[0], None, None, "absent: " + ", ".join(rules.missing))
    if rules.strict and case.intent.account not in sums.types:
        return _unknown(f"account {case.intent.account!r} is not known to the gate")
    if rules.strict:
        cash = sums.types[case.intent.account] == "cash"
        if (rules.cash if cash else rules.margin) is None:
            name = "max_cash_use" if cash else "max_margin_use"
            return ("NO_LIMIT", name, None, None, f"absent: {name}")
    if rules.needs_price and case.unit is None and case.price is not None:
        return _unknown(f"no rate from {case.terms.currency} to {sums.base} is known")
    return None


def _lost(case: Case) -> str:
    """Return what is wrong with the order that an intent is about."""
    intent, own = case.intent, case.own
    if own is None:
        lost = intent.kind == "modify"
        return f"{intent.client_order_id} is not known as a working order" if lost else ""
    if own.gone:
        return f"order {own.id} has ended already"
    same = (own.sign, own.instrument, own.account) == (
        case.sign, intent.instrument, intent.account,
    )  # fmt: skip
    return "" if same else f"order {own.id} is another: side, instrument or account differ"


def _other_limits(case: Case) -> str:
    """Return why rates and repeats, which are folded under limits, cannot be told."""
    rules, book = case.rules, case.keeping.book
    if not (rules.rates or rules.repeat is not None or rules.late_fill_ns):
        return ""
    if book is case.limits or (book is not None and book.version == case.limits.version):
        return ""
    folded = "no limits" if book is None else f"limits {book.version}"
    return f"the state was folded under {folded}, not {case.limits.version}"


def _unknown(words: str) -> Seen:
    return ("RISK_STATE_UNKNOWN", "", None, None, words)


def _malformed(case: Case) -> str:
    """Return what is wrong with an intent; a NaN raises, which denies too."""
    intent = case.intent
    price, trigger = intent.price, intent.trigger_price
    if intent.kind not in KINDS or intent.side not in SIDES:
        return f"kind {intent.kind!r}, side {intent.side!r}; expected {KINDS} and {SIDES}"
    if not ZERO < intent.quantity < INFINITE:
        return f"quantity {intent.quantity} found, a positive number expected"
    if price is None:
        if intent.type in NEEDS_PRICE:
            return f"a {intent.type} order without a price"
    elif not ZERO < price < INFINITE:
        return f"price {price} found, a positive number expected"
    if trigger is None:
        return f"a {intent.type} order without a trigger" if intent.type in NEEDS_TRIGGER else ""
    return "" if ZERO < trigger < INFINITE else f"trigger {trigger} found, a positive one expected"


def _unpriced(case: Case) -> str:
    """Return what is wrong with the reference, or with the value that follows from it."""
    reference = case.reference
    if reference is not None:
        bid, ask = reference.bid, reference.ask
        if not ZERO < reference.price < INFINITE:
            return f"reference price {reference.price} found, a positive number expected"
        if bid is not None and not ZERO < bid < INFINITE:
            return f"bid {bid} found, a positive number expected"
        if ask is not None and not ZERO < ask < INFINITE:
            return f"ask {ask} found, a positive number expected"
    value = case.value
    if value is not None and not ZERO <= value < INFINITE:
        return f"a value of {value} found, a number expected"
    return ""


def state(case: Case) -> Seen | None:
    """R02: the trading state of each scope; REDUCING is looked at by R19."""
    keeping = case.keeping
    if not keeping.scopes and not keeping.kills:
        return None
    for scope in case.rules.scopes:
        told = keeping.scopes.get(scope)
        if told is not None and told not in ("ACTIVE", "REDUCING"):
            return (f"STATE_{told}", f"{scope} {told}", None, None, "")
        if scope in keeping.kills.values():
            return ("STATE_HALTED", f"{scope} HALTED", None, None, "a kill is in force")
    return None


def permitted(case: Case) -> Seen | None:
    """R03: instrument, venue and order type are allowed."""
    rules, intent = case.rules, case.intent
    if rules.not_permitted:
        words = f"{intent.instrument} at {intent.venue} is not on the list"
        return ("NOT_PERMITTED", rules.not_permitted, None, None, words)
    for allowed, rule in rules.types:
        if intent.type not in allowed:
            return ("NOT_PERMITTED", rule, None, None, f"{intent.type} is not on the list")
    return None


def approved(case: Case) -> Seen | None:
    """R03: the algorithm's release is approved; a person's own order has none."""
    algo = case.intent.algo
    for allowed, rule in case.rules.algos:
        if algo and algo not in allowed:
            return ("ALGO_NOT_APPROVED", rule, None, None, f"{algo} is not on the list")
    return None


def restricted(case: Case) -> Seen | None:
    """R04: the instrument is not on a list of those that may not be traded."""
    rule = case.rules.restricted
    words = f"{case.intent.instrument} is on the list"
    return ("RESTRICTED", rule, None, None, words) if rule else None


def located(case: Case) -> Seen | None:
    """R04: an equity is only sold short where it can be borrowed."""
    rule = case.rules.unlocated
    if not rule or case.sign > 0 or case.short >= 0 or case.reduces:
        return None
    return ("NO_LOCATE", rule, case.short, ZERO, "may not be held short")


def increments(case: Case) -> Seen | None:
    """R22: prices are whole ticks, quantities whole steps within their bounds."""
    rule, terms, intent = case.rules.increments, case.terms, case.intent
    if not rule or terms is None:
        return None
    for name, price in (("price", intent.price), ("trigger price", intent.trigger_price)):
        if price is not None and price % terms.tick:
            words = f"{name} {price} is no multiple of the tick {terms.tick}"
            return ("INCREMENT", rule, price, terms.tick, words)
    quantity = intent.quantity
    if quantity % terms.step:
        words = f"quantity {quantity} is no multiple of {terms.step}"
        return ("INCREMENT", rule, quantity, terms.step, words)
    if terms.min_quantity is not None and quantity < terms.min_quantity:
        return ("INCREMENT", rule, quantity, terms.min_quantity, "below the smallest quantity")
    if terms.max_quantity is not None and quantity > terms.max_quantity:
        return ("INCREMENT", rule, quantity, terms.max_quantity, "above the largest quantity")
    return None


def phase(case: Case) -> Seen | None:
    """R22: the instrument trades now, and the order is not past its own end."""
    rule, terms, intent = case.rules.session, case.terms, case.intent
    if not rule or terms is None:
        return None
    if terms.expiry is not None and case.ts >= terms.expiry:
        return ("PHASE", rule, None, None, f"{terms.id} has expired")
    if intent.expire_time is not None and intent.expire_time <= case.ts:
        return ("PHASE", rule, None, None, "the order's own time is over already")
    if intent.time_in_force in ANY_TIME or in_session(terms, case.ts):
        return None
    return ("PHASE", rule, None, None, f"outside the session {terms.session} {terms.tz}")


def tagged(case: Case) -> Seen | None:
    """R27: who decided is named on each order."""
    rules, intent = case.rules, case.intent
    if rules.tagged and not (intent.strategy and intent.account and (intent.trader or intent.algo)):
        words = "expected a strategy, an account, and a trader or an algorithm"
        return ("UNTAGGED", rules.tagged, None, None, words)
    if rules.client_tagged and not intent.client:
        return ("UNTAGGED", rules.client_tagged, None, None, "expected a client")
    return None


def deployed(case: Case) -> Seen | None:
    """R28: a new algorithm stays within the caps of its deployment."""
    rules, intent = case.rules, case.intent
    if rules.not_deployed:
        words = f"{intent.instrument} at {intent.venue} is not on the list"
        return ("DEPLOY_CAP", rules.not_deployed, None, None, words)
    order, position = rules.deploy_order, rules.deploy_position
    orders, working = rules.deploy_orders, rules.deploy_open
    return nearest(
        (
            None if order is None else _value_cap(case, order),
            None if position is None else _position_cap(case, position),
            None if orders is None else _orders_cap(case, orders),
            None if working is None else _open_cap(case, working),
        )
    )


def _value_cap(case: Case, bound: Bound) -> Seen:
    if case.value is None:
        raise Unknown("the order's value is not known")
    return over("DEPLOY_CAP", bound, case.value)


def _position_cap(case: Case, bound: Bound) -> Seen | None:
    worst = case.at_stake(*case.worst_of(case.theirs()))
    if worst > bound.value and case.exits(case.rules.strategy):
        return None
    return over("DEPLOY_CAP", bound, worst)


def _orders_cap(case: Case, bound: Bound) -> Seen:
    total = case.keeping.sums.totals.get(case.rules.strategy)
    sent = total.sent if total is not None and total.day == case.day else 0
    return over("DEPLOY_CAP", bound, Decimal(sent + (case.own is None)))


def _open_cap(case: Case, bound: Bound) -> Seen:
    total = case.keeping.sums.totals.get(case.rules.strategy)
    working = total.orders if total is not None else 0
    return over("DEPLOY_CAP", bound, Decimal(working + (case.own is None)))
