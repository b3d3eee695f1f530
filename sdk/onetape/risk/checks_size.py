"""Checks on size: one order, what an account may hold and owe, all orders at their worst.

Orders that only reduce (see `case`) pass the limits on sums: who is over a limit must be able to
get below it. Equal to the limit passes.
"""

from __future__ import annotations

from decimal import Decimal

from onetape.risk.case import Case, Seen, each, over
from onetape.risk.cells import Cell, Totals
from onetape.risk.exact import ZERO
from onetape.risk.resolved import Own
from onetape.risk.sums import Unknown


def _value(case: Case) -> Decimal:
    if case.value is None:
        raise Unknown(f"{case.intent.instrument} has no price or no rate yet")
    return case.value


def notional(case: Case) -> Seen | None:
    """R08: the value of one order at its worst price."""
    bound = case.rules.notional
    if bound is None:
        return None
    if case.value is None:
        return ("NO_REF_PRICE", bound.rule, None, bound.value, "its value is not known")
    if case.own is None:
        return over("MAX_VALUE", bound, case.value)
    unit = case.unit or ZERO  # what is filled of it counts too: it is one order
    return over("MAX_VALUE", bound, case.intent.quantity * unit)


def quantity(case: Case) -> Seen | None:
    """R09: units in one order, also as a part of the average daily volume."""
    rules, wanted = case.rules, case.intent.quantity
    seen = over("MAX_VOLUME", rules.quantity, wanted) if rules.quantity is not None else None
    if rules.adv is None or (seen is not None and seen[0]):
        return seen
    adv = case.terms.adv if case.terms is not None else None
    if adv is None:
        raise Unknown(f"{case.intent.instrument} has no average daily volume")
    part = rules.adv
    beyond = wanted > part.value * adv
    return ("MAX_VOLUME" if beyond else "", part.rule, wanted, part.value * adv, "")


def orders(case: Case) -> Seen | None:
    """R14: working orders."""
    if not case.rules.orders or case.own is not None:
        return None
    return each(_orders, case, case.rules.orders)


def _orders(case: Case, bound: Own) -> Seen:
    count = 1
    for total in case.parts(bound.scope):
        count += total.orders
    return over("OPEN_ORDERS", bound, Decimal(count))


def long(case: Case) -> Seen | None:
    """R15: the holding once all buys are filled, those that only reduce first."""
    bound = case.rules.long
    if bound is None or case.sign < 0 or not (case.adds or case.pending):
        return None
    return over("MAX_LONG", bound, case.long)


def short(case: Case) -> Seen | None:
    """R15: the holding once all sells are filled, those that only reduce first."""
    bound = case.rules.short
    if bound is None or case.sign > 0 or not (case.adds or case.pending):
        return None
    return over("MAX_SHORT", bound, -case.short)


def _valued(total: Totals, cell: Cell) -> Totals:
    """Return a scope's totals; raises Unknown where something in them has no value."""
    if total.unvalued and total.unvalued > cell.unvalued:  # its own price is at hand
        raise Unknown(f"{total.scope} holds what has no known price or rate")
    return total


def gross(case: Case) -> Seen | None:
    """R16: the sum of holdings, all orders at their worst."""
    if not case.rules.gross or case.reduces:
        return None
    return each(_gross, case, case.rules.gross)


def _gross(case: Case, bound: Own) -> Seen:
    cell = case.cell_of(bound.scope)
    worst = case.stake() if cell is case.cell else case.at_stake(*case.worst_of(cell))
    worst -= cell.gross
    for total in case.parts(bound.scope):
        worst += _valued(total, cell).gross
    return over("GROSS_EXPOSURE", bound, worst)


def net(case: Case) -> Seen | None:
    """R16: longs less shorts, all orders of one side at their worst."""
    if not case.rules.net or case.reduces:
        return None
    return each(_net, case, case.rules.net)


def _net(case: Case, bound: Own) -> Seen:
    cell = case.cell_of(bound.scope)
    long, short = case.worst_of(cell)
    worst, unit = case.dearer(), case.mark_unit or ZERO
    if case.sign > 0:
        worst += long * unit - cell.long_value
        for total in case.parts(bound.scope):
            worst += _valued(total, cell).longs
    else:
        worst += cell.short_value - short * unit
        for total in case.parts(bound.scope):
            worst -= _valued(total, cell).shorts
    return over("NET_EXPOSURE", bound, worst if worst > 0 else ZERO)


def daily(case: Case) -> Seen | None:
    """R17: what was traded today, what is working, and this order."""
    if not case.rules.daily or case.reduces:
        return None
    return each(_daily, case, case.rules.daily)


def _daily(case: Case, bound: Own) -> Seen:
    done = _value(case) - case.own_cost
    for total in case.parts(bound.scope):
        done += total.working
        if total.day == case.day:
            done += total.traded
    return over("CREDIT_LIMIT", bound, done)


def cash(case: Case) -> Seen | None:
    """R18: a cash account pays for what it buys, and sells what it has."""
    bound, keeping = case.rules.cash, case.keeping
    if bound is None or case.reduces or not case.adds or _type(case) != "cash":
        return None
    if case.sign < 0:
        short = -case.short
        return ("CASH" if short > 0 else "", bound.rule, max(short, ZERO), ZERO, "sold, not held")
    total = keeping.sums.totals[case.rules.account]
    spent = total.buying - case.own_cost + _value(case)
    most = bound.value * keeping.sums.money(case.intent.account)
    return ("CASH" if spent > most else "", bound.rule, spent, most, "")


def margin(case: Case) -> Seen | None:
    """R18: initial margin of all that is held and on its way."""
    bound, keeping = case.rules.margin, case.keeping
    if bound is None or case.reduces or not case.adds or _type(case) == "cash":
        return None
    cell, total = case.cell, keeping.sums.totals[case.rules.account]
    rate = cell.margin_rate if cell.scopes else _rate(case)
    taken = total.margin + (case.stake() - cell.gross) * rate
    most = bound.value * case.equity()
    return ("MARGIN" if taken > most else "", bound.rule, taken, most, "")


def _rate(case: Case) -> Decimal:
    return case.keeping.sums.margin_rate(case.intent.account, case.intent.instrument)


def _type(case: Case) -> str:
    """Return the account's type; one that is not known is held to a cash account's terms."""
    account = case.intent.account
    if account not in case.keeping.sums.types:
        raise Unknown(f"account {account!r} is not known to the gate")
    return case.keeping.sums.types[account]


def concentration(case: Case) -> Seen | None:
    """R21: one instrument's part of the account's equity."""
    bound = case.rules.concentration
    if bound is None or case.reduces or not case.adds:
        return None
    most = bound.value * case.equity()
    worst = case.stake()
    return ("CONCENTRATION" if worst > most else "", bound.rule, worst, most, "")
