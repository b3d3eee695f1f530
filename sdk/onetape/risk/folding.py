"""How each kind of fact moves the gate's state."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from onetape.risk.approve import NEVER_OVERRIDDEN, OVERRIDE_MINUTES, person
from onetape.risk.cells import Working
from onetape.risk.exact import ONE, SECOND, ZERO
from onetape.risk.intent import Intent
from onetape.risk.keeping import REMEMBERED, RESTING, Keeping, Trade
from onetape.risk.limitbook import from_json
from onetape.risk.sums import FIRM
from onetape.tape import kinds, kinds_live

UNSENT = "unsent"  # the reason given for what was allowed and did not leave
DAY = 86_400 * SECOND
LONGEST = OVERRIDE_MINUTES * 60 * SECOND


def account_of(keeping: Keeping, account: str, type: str = "", leverage: Decimal = ONE) -> None:
    """Take in an account; one whose type nobody says is held to the terms of a cash account."""
    sums = keeping.sums
    if type or account not in sums.types:
        sums.account(account, type.lower() or "cash", leverage)


def _venue(instrument: str) -> str:
    return instrument.rpartition(".")[2]


def _ours(keeping: Keeping, fact: kinds.OrderFact) -> Working | None:
    return keeping.orders.get(fact.client_order_id)


# -- orders


def _initialized(keeping: Keeping, fact: kinds.OrderInitialized, ts: int) -> None:
    known = _ours(keeping, fact)
    parent = fact.parent_order_id or ""
    if known is not None:  # begun from an intent, or from a decision, which tells less
        if not known.type:
            keeping.replace(
                known, type=fact.type, reduces=fact.reduce_only, parent=parent,
                resting=fact.type in RESTING,
            )  # fmt: skip
    elif fact.client_order_id not in keeping.ended:
        order = Working(
            fact.client_order_id, keeping.own_account, fact.strategy, fact.instrument,
            _venue(fact.instrument), _sign(fact.side), fact.type, fact.quantity, ts,
            price=fact.price, trigger_price=fact.trigger_price, reduces=fact.reduce_only,
            parent=parent, resting=fact.type in RESTING,
        )  # fmt: skip
        keeping.begin(order)


def _submitted(keeping: Keeping, fact: kinds.OrderSubmitted, ts: int) -> None:
    known = _ours(keeping, fact)
    if known is None:
        return
    if known.account != fact.account:
        known = keeping.replace(known, account=fact.account)
    if known.parent and not known.acked:  # its parent has filled: it is on its way now
        keeping.unacked.setdefault(known.venue, {})[known.id] = ts


def _accepted(keeping: Keeping, fact: kinds.OrderAccepted, _ts: int) -> None:
    if (known := _ours(keeping, fact)) is not None:
        keeping.heard_of(known)


def _emulated(keeping: Keeping, fact: kinds.OrderEmulated, _ts: int) -> None:
    if (known := _ours(keeping, fact)) is not None:  # held here, not sent
        keeping.unacked.get(known.venue, {}).pop(known.id, None)


def _released(keeping: Keeping, fact: kinds.OrderReleased, ts: int) -> None:
    known = _ours(keeping, fact)
    if known is not None and not known.acked:
        keeping.unacked.setdefault(known.venue, {})[known.id] = ts


def _triggered(keeping: Keeping, fact: kinds.OrderTriggered, _ts: int) -> None:
    known = _ours(keeping, fact)
    if known is not None and not known.gone:
        known.resting = known.price is not None
        keeping.recount(known)


def _ended(keeping: Keeping, fact: kinds.OrderFact, ts: int) -> None:
    if (known := _ours(keeping, fact)) is not None:
        keeping.unremember(known)  # it never was: the same may be tried again
        keeping.end(known, ts, late=False)


def _canceled(keeping: Keeping, fact: kinds.OrderFact, ts: int) -> None:
    if (known := _ours(keeping, fact)) is not None:
        keeping.end(known, ts, late=True)


def _updated(keeping: Keeping, fact: kinds.OrderUpdated, _ts: int) -> None:
    known = _ours(keeping, fact)
    if known is None or known.gone:
        return
    keeping.heard_of(known)
    known.quantity = fact.quantity
    known.price = known.price if fact.price is None else fact.price
    if fact.trigger_price is not None:
        known.trigger_price = fact.trigger_price
    _answered(keeping, known)


def _answered(keeping: Keeping, known: Working) -> None:
    known.asked = known.asked[1:]  # venues answer in the order of asking
    keeping.recount(known)
    if known.filled >= known.quantity and not known.asked:
        keeping.end(known, known.sent, late=False)


def _modify_rejected(keeping: Keeping, fact: kinds.OrderModifyRejected, _ts: int) -> None:
    known = _ours(keeping, fact)
    if known is None or known.gone:
        return
    if fact.reason == UNSENT:  # the latest never left: those before it are still to be answered
        known.asked = (known.asked[-1], *known.asked[:-1]) if known.asked else ()
    _answered(keeping, known)


# -- executions


def _filled(keeping: Keeping, fact: kinds.OrderFilled, ts: int) -> None:
    key = fact.client_order_id, fact.trade_id
    if key in keeping.trades:
        return  # venues may repeat an execution after a resend
    signed = fact.quantity * _sign(fact.side)
    trade: Trade = (fact.account, fact.strategy, fact.instrument, signed, fact.price,
                    fact.currency, fact.commission, fact.commission_currency)  # fmt: skip
    keeping.trades[key] = trade
    if len(keeping.trades) > REMEMBERED:
        del keeping.trades[next(iter(keeping.trades))]
    keeping.traders.add((fact.account, fact.strategy))
    account_of(keeping, fact.account)
    if fact.instrument not in keeping.sums.prices:
        keeping.sums.mark(fact.instrument, fact.price, ts)
    _book(keeping, trade, ts, 1)
    known = _ours(keeping, fact)
    if known is None:
        return
    keeping.heard_of(known)
    known.filled += fact.quantity
    if not known.traded:
        known.traded = True
        _executed(keeping, known, ts)
    keeping.recount(known)
    if not known.gone and known.filled >= known.quantity and not known.asked:
        keeping.end(known, ts, late=False)


def _book(keeping: Keeping, trade: Trade, ts: int, way: int) -> None:
    """Book a trade (way 1) or take it back (way -1)."""
    account, strategy, instrument, signed, price, currency, commission, paid_in = trade
    sums = keeping.sums
    terms = sums.terms.get(instrument)
    multiplier = terms.multiplier if terms is not None else ONE
    scopes = (f"account:{account}", FIRM, f"strategy:{strategy}")
    for scope in scopes:
        sums.roll(sums.total(scope), ts)
    sums.pay(scopes, currency, -signed * price * multiplier * way)
    sums.pay(scopes, paid_in, -commission * way)
    for scope in (scopes[0], scopes[2]):
        cell = sums.cell(scope, instrument)
        cell.held += signed * way
        sums.refresh(cell)
    worth = sums.worth(instrument, price)
    for scope in scopes:
        total = sums.totals[scope]
        if worth is not None:
            total.traded = max(ZERO, total.traded + abs(signed) * worth * way)
        sums.crest(total)


def _executed(keeping: Keeping, order: Working, ts: int) -> None:
    rules = keeping.rules(order)
    if rules is None or rules.repeat is None:
        return
    key = order.strategy, order.instrument, order.sign
    times = keeping.executed.setdefault(key, [])
    times.append(ts)
    while times and times[0] <= ts - rules.repeat_ns:
        del times[0]
    if len(times) >= rules.repeat.value:
        keeping.disabled.add(key)


def _voided(keeping: Keeping, fact: kinds.OrderVoided, ts: int) -> None:
    trade = keeping.trades.pop((fact.client_order_id, fact.trade_id), None)
    if trade is None:
        return
    _book(keeping, trade, ts, -1)
    known = _ours(keeping, fact)
    if known is not None:
        known.filled -= abs(trade[3])
        keeping.recount(known)


# -- accounts


def _opened(keeping: Keeping, fact: kinds.AccountOpened, _ts: int) -> None:
    account_of(keeping, fact.account, fact.type, fact.leverage)


def _deposited(keeping: Keeping, fact: kinds.CashDeposited, _ts: int) -> None:
    account_of(keeping, fact.account)
    for scope in (f"account:{fact.account}", FIRM):
        deposits = keeping.sums.total(scope).deposits
        deposits[fact.currency] = deposits.get(fact.currency, ZERO) + fact.amount


def _dividend(keeping: Keeping, fact: kinds.DividendPaid, ts: int) -> None:
    sums = keeping.sums
    terms = sums.terms.get(fact.instrument)
    multiplier = terms.multiplier if terms is not None else ONE
    for cell in sums.where.get(fact.instrument, ()):
        if cell.held and cell.scopes[0] == f"account:{fact.account}":
            for scope in cell.scopes:
                sums.roll(sums.total(scope), ts)
            sums.pay(cell.scopes, fact.currency, cell.held * multiplier * fact.amount)


def _split(keeping: Keeping, fact: kinds.SplitApplied, _ts: int) -> None:
    sums, ratio = keeping.sums, fact.ratio
    orders = [
        order
        for order in keeping.orders.values()
        if order.instrument == fact.instrument and order.account == fact.account
    ]
    before = sums.prices.get(fact.instrument)
    if before is not None:
        sums.prices[fact.instrument] = before / ratio
    mine = {f"account:{fact.account}", *(f"strategy:{order.strategy}" for order in orders)}
    mine |= {f"strategy:{name}" for account, name in keeping.traders if account == fact.account}
    for cell in sums.where.get(fact.instrument, ()):
        cell.unit = sums.unit(fact.instrument)
        if cell.scopes[0] in mine:
            cell.held *= ratio
            cell.lows, cell.highs = [], []
        sums.refresh(cell)
    for order in orders:
        order.quantity, order.filled = order.quantity * ratio, order.filled * ratio
        order.price = _over(order.price, ratio)
        order.trigger_price = _over(order.trigger_price, ratio)
        order.asked = tuple(
            (q * ratio, _over(p, ratio), _over(t, ratio)) for q, p, t in order.asked
        )
        keeping.recount(order)


def _over(price: Decimal | None, ratio: Decimal) -> Decimal | None:
    return None if price is None else price / ratio


# -- states


def _moved(keeping: Keeping, fact: kinds_live.RiskMoved, _ts: int) -> None:
    if fact.state != "ACTIVE":
        keeping.scopes[fact.scope] = fact.state
        return
    keeping.scopes.pop(fact.scope, None)
    named = person(fact.who) and person(fact.second) and person(fact.who) != person(fact.second)
    if named and fact.scope.startswith("strategy:"):  # it may execute again
        for key in [key for key in keeping.disabled if key[0] == fact.scope[9:]]:
            keeping.disabled.discard(key)
            keeping.executed.pop(key, None)


def _killed(keeping: Keeping, fact: kinds_live.KillMoved, _ts: int) -> None:
    if fact.state == "ARMED":
        keeping.kills.pop(fact.kill, None)
    else:
        keeping.kills[fact.kill] = fact.scope


def _granted(keeping: Keeping, fact: kinds_live.OverrideGranted, ts: int) -> None:
    """Take in an override; what the rules do not allow grants nothing."""
    order = fact.client_order_id
    known = order in keeping.spent or order in keeping.overrides
    one = person(fact.who), person(fact.second)
    if known or not all(one) or one[0] == one[1] or not 0 < fact.expires - ts <= LONGEST:
        return
    checks = tuple(check for check in fact.checks if check not in NEVER_OVERRIDDEN)
    keeping.overrides[order] = msgspec.structs.replace(fact, checks=checks)


def _limits(keeping: Keeping, fact: kinds_live.LimitsSet, _ts: int) -> None:
    keeping.book = from_json(fact.rules, fact.version)


def _feed(keeping: Keeping, fact: kinds_live.FeedMoved, _ts: int) -> None:
    key = fact.feed, fact.instrument or ""
    if fact.state in ("stale", "gap", "closed"):
        keeping.stale[key] = fact.state
    elif fact.state == "live":
        keeping.stale.pop(key, None)


def _venue_moved(keeping: Keeping, fact: kinds_live.VenueMoved, _ts: int) -> None:
    if fact.state == "connected":
        keeping.down.pop(fact.venue, None)
    else:
        keeping.down[fact.venue] = fact.state


def _decided(keeping: Keeping, fact: kinds_live.RiskDecided, ts: int) -> None:
    """Count what was allowed, unless the intent itself was counted already."""
    if fact.reference is not None and fact.instrument not in keeping.sums.prices:
        keeping.sums.mark(fact.instrument, fact.reference, ts)
    if fact.verdict != "allow" or fact.intent not in ("submit", "modify", "cancel"):
        return
    known = keeping.orders.get(fact.client_order_id)
    if known is not None and known.heard:
        known.heard -= 1
        return
    if fact.client_order_id in keeping.ended:
        return
    if known is not None and known.type and fact.intent == "submit":
        return  # its announcement came first
    keeping.intend(
        Intent(
            kind=fact.intent, client_order_id=fact.client_order_id, account=fact.account,
            strategy=fact.strategy, instrument=fact.instrument, venue=_venue(fact.instrument),
            side=fact.side, type="", quantity=fact.quantity, ts=ts, price=fact.price,
            trigger_price=fact.trigger_price,
        )
    )  # fmt: skip
    if (known := keeping.orders.get(fact.client_order_id)) is not None:
        known.heard -= 1


def _sign(side: kinds.Side) -> int:
    return 1 if side == "BUY" else -1


Fold = Callable[[Keeping, Any, int], None]


def _carried(keeping: Keeping, fact: kinds_live.AccountCarried, ts: int) -> None:
    """Count what earlier sessions of the day brought: a restart forgives no loss."""
    sums = keeping.sums
    for strategy, currency, day, profit, traded in fact.today:
        rate = sums.rates.get(currency)
        if rate is None or day != ts // DAY:
            continue
        for scope in (f"account:{fact.account}", FIRM, f"strategy:{strategy}"):
            total = sums.total(scope)
            sums.roll(total, ts)
            total.base -= profit * rate
            total.peak = max(total.peak, -profit * rate)
            total.traded += traded * rate


FOLDS: dict[type, Fold] = {
    kinds_live.AccountCarried: _carried,
    kinds.OrderInitialized: _initialized,
    kinds.OrderSubmitted: _submitted,
    kinds.OrderAccepted: _accepted,
    kinds.OrderEmulated: _emulated,
    kinds.OrderReleased: _released,
    kinds.OrderTriggered: _triggered,
    kinds.OrderDenied: _ended,
    kinds.OrderRejected: _ended,
    kinds.OrderCanceled: _canceled,
    kinds.OrderExpired: _canceled,
    kinds.OrderUpdated: _updated,
    kinds.OrderModifyRejected: _modify_rejected,
    kinds.OrderFilled: _filled,
    kinds.OrderVoided: _voided,
    kinds.AccountOpened: _opened,
    kinds.CashDeposited: _deposited,
    kinds.DividendPaid: _dividend,
    kinds.SplitApplied: _split,
    kinds_live.RiskDecided: _decided,
    kinds_live.RiskMoved: _moved,
    kinds_live.KillMoved: _killed,
    kinds_live.OverrideGranted: _granted,
    kinds_live.LimitsSet: _limits,
    kinds_live.FeedMoved: _feed,
    kinds_live.VenueMoved: _venue_moved,
}
