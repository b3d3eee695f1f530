"""The gate: every check on every intent, in one fixed order, without short circuit.

`decide` is pure: it reads the intent, the market's prices, the state and the limits, changes
none of them, and has no clock and no chance in it. It fails closed: what is unknown, malformed
or raises inside a check denies. The first check of the table that fails gives the decision its
code, the codes of the others stand beside it; an allowed decision names the limit that it came
nearest to.

Cancels  are never denied; they count for the message rate when they are intended.
Modifies are judged as the order that they would make, in the state without it (R23).
Lists    are judged one after the other, each with those before it counted, all or none (R24).
Override one named order passes the named checks once, where two persons said so (R29).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from onetape.risk import checks_entry, checks_flow, checks_price, checks_size
from onetape.risk.case import Case, Seen
from onetape.risk.exact import ONE, ZERO, exactly
from onetape.risk.intent import Decision, Intent, Market, Reference
from onetape.risk.limitbook import LimitBook
from onetape.risk.state import State
from onetape.risk.sums import Unknown

GATE_VERSION = "1"
NO_LIMIT_NEAR: Seen = ("", "", None, None, "")


class Check(NamedTuple):
    """One line of the table: its number, the codes it denies with, its limits, and itself."""

    id: str
    codes: tuple[str, ...]
    limits: tuple[str, ...]
    judge: Callable[[Case], Seen | None]


def _of_lists(_case: Case) -> Seen | None:
    """R24 looks at whole lists: see `decide_list`."""
    return None


CHECKS: tuple[Check, ...] = (
    Check("R01", ("RISK_STATE_UNKNOWN", "NO_LIMIT", "GATE_ERROR"), (), checks_entry.known),
    Check("R02", ("STATE_HALTED", "STATE_CANCEL_ONLY"), (), checks_entry.state),
    Check("R26", ("SESSION_DOWN",), (), checks_flow.connected),
    Check("R25", ("UNACKED",), ("max_unacked", "unacked_seconds"), checks_flow.unanswered),
    Check("R03", ("NOT_PERMITTED",), ("allow_instruments", "allow_venues", "allow_types"),
          checks_entry.permitted),
    Check("R03", ("ALGO_NOT_APPROVED",), ("approved_algos",), checks_entry.approved),
    Check("R04", ("RESTRICTED",), ("restricted",), checks_entry.restricted),
    Check("R04", ("NO_LOCATE",), ("shortable",), checks_entry.located),
    Check("R27", ("UNTAGGED",), ("tagged", "client_tagged"), checks_entry.tagged),
    Check("R22", ("INCREMENT",), ("increments",), checks_entry.increments),
    Check("R22", ("PHASE",), ("session_hours",), checks_entry.phase),
    Check("R05", ("NO_REF_PRICE",), ("reference_age_seconds",), checks_price.present),
    Check("R05", ("STALE_REF_PRICE",), ("reference_age_seconds",), checks_price.fresh),
    Check("R06", ("PRICE_COLLAR",), ("price_collar", "trigger_collar", "price_collar_away"),
          checks_price.collar),
    Check("R07", ("PRICE_DRIFT",), ("price_drift", "price_drift_seconds"), checks_price.drift),
    Check("R08", ("MAX_VALUE", "NO_REF_PRICE"), ("max_order_notional",), checks_size.notional),
    Check("R09", ("MAX_VOLUME",), ("max_order_quantity", "max_adv_fraction"),
          checks_size.quantity),
    Check("R10", ("MSG_RATE",), ("message_rate", "message_burst", "message_reserve"),
          checks_flow.messages),
    Check("R11", ("REPEAT_EXEC",), ("repeat_count", "repeat_seconds"), checks_flow.repeated),
    Check("R12", ("DUPLICATE",), ("duplicate_seconds",), checks_flow.duplicate),
    Check("R13", ("SELF_MATCH",), ("self_match",), checks_flow.self_match),
    Check("R14", ("OPEN_ORDERS",), ("max_open_orders",), checks_size.orders),
    Check("R15", ("MAX_LONG",), ("max_long", "max_position"), checks_size.long),
    Check("R15", ("MAX_SHORT",), ("max_short", "max_position"), checks_size.short),
    Check("R16", ("GROSS_EXPOSURE",), ("max_gross",), checks_size.gross),
    Check("R16", ("NET_EXPOSURE",), ("max_net",), checks_size.net),
    Check("R17", ("CREDIT_LIMIT",), ("max_daily_notional",), checks_size.daily),
    Check("R18", ("CASH",), ("max_cash_use",), checks_size.cash),
    Check("R18", ("MARGIN",), ("max_margin_use",), checks_size.margin),
    Check("R19", ("WOULD_INCREASE",), ("reduce_only",), checks_flow.reduce_only),
    Check("R19", ("WOULD_INCREASE",), (), checks_flow.reducing),
    Check("R20", ("LOSS_SOFT", "LOSS_HARD"), ("daily_loss_soft", "daily_loss_hard",
          "drawdown_soft", "drawdown_hard"), checks_flow.losses),
    Check("R21", ("CONCENTRATION",), ("max_concentration",), checks_size.concentration),
    Check("R28", ("DEPLOY_CAP",), ("deploy_instruments", "deploy_venues",
          "deploy_order_notional", "deploy_position_notional", "deploy_orders",
          "deploy_open_orders"), checks_entry.deployed),
    Check("R24", ("LIST_DENIED",), (), _of_lists),
)  # fmt: skip


@exactly
def decide(
    intent: Intent,
    market: Market,
    state: State,
    limits: LimitBook,
    *,
    checks: tuple[Check, ...] = CHECKS,
) -> Decision:
    """Return the gate's answer to one intent. Raises nothing: what fails inside denies."""
    if intent.kind == "cancel":
        return Decision("allow", limits_version=limits.version, state_version=state.version)
    try:
        if state.due(intent.ts):  # time has passed that no fact told of
            state = state.copy_at(intent.ts)
        case = Case(intent, market, state.keeping, limits)
    except Exception as err:  # fail closed, whatever it is
        return _denied("R01", _raised(err), (), limits, state, None)
    return _judged(case, state, checks)


def _judged(case: Case, state: State, checks: tuple[Check, ...]) -> Decision:
    failed: list[tuple[str, Seen]] = []
    near, near_id, a, most_a = NO_LIMIT_NEAR, "", ZERO, ONE  # the nearest, as a / most_a
    for check_id, _, _, judge in checks:
        try:
            seen = judge(case)
        except Exception as err:
            seen = _raised(err)
        if seen is None:
            continue
        code, _, b, most_b, _ = seen
        if code:
            failed.append((check_id, seen))
        elif b is not None and most_b and (not near_id or b * most_a > a * most_b):
            near, near_id, a, most_a = seen, check_id, b, most_b
    passed, words = (), ""
    if failed:
        passed, failed, words = _overridden(case, failed)
        if failed:
            others = tuple(dict.fromkeys(seen[0] for _, seen in failed[1:]))
            check_id, seen = failed[0]
            return _denied(check_id, seen, others, case.limits, state, case.reference)
    return Decision(
        "allow", "", near_id, near[1], near[2], near[3], passed, case.reference,
        case.limits.version, state.version, words,
    )  # fmt: skip


def _raised(err: Exception) -> Seen:
    if isinstance(err, Unknown):
        return ("RISK_STATE_UNKNOWN", "", None, None, str(err))
    return ("GATE_ERROR", "", None, None, f"{type(err).__name__}: {err}")


def _denied(
    check: str, seen: Seen, others: tuple[str, ...], limits: LimitBook, state: State,
    reference: Reference | None,
) -> Decision:  # fmt: skip
    code, rule, observed, threshold, words = seen
    return Decision(
        "deny", code, check, rule, observed, threshold, others, reference, limits.version,
        state.version, words or _words(check, code, observed, threshold),
    )  # fmt: skip


def _words(check: str, code: str, observed: Decimal | None, threshold: Decimal | None) -> str:
    return f"{check} {code}: {observed} found, at most {threshold} allowed"


def _overridden(
    case: Case, failed: list[tuple[str, Seen]]
) -> tuple[tuple[str, ...], list[tuple[str, Seen]], str]:
    """Take out what an override of this very order lets pass, while it lasts."""
    granted = case.keeping.overrides.get(case.intent.client_order_id)
    if granted is None or case.ts >= granted.expires:
        return (), failed, ""
    passed = tuple(seen[0] for check, seen in failed if check in granted.checks)
    left = [one for one in failed if one[0] not in granted.checks]
    words = f"override of {', '.join(passed)} by {granted.who} and {granted.second}"
    return passed, left, words


def decide_list(
    intents: Sequence[Intent],
    market: Market,
    state: State,
    limits: LimitBook,
    *,
    checks: tuple[Check, ...] = CHECKS,
) -> list[Decision]:
    """Return the answers to orders that belong together: all are allowed, or none.

    Each is judged with those before it counted; one that would pass is denied LIST_DENIED
    where another does not.
    """
    trial, found = state.copy(), list[Decision]()
    for intent in intents:
        answer = decide(intent, market, trial, limits, checks=checks)
        if answer.allowed:
            trial.intend(intent, answer)
        found.append(answer)
    failed = [(i, a) for i, a in zip(intents, found, strict=True) if not a.allowed]
    if not failed or not any(check.id == "R24" for check in checks):
        return found
    first, why = failed[0]
    words = f"{first.client_order_id} of the same list: {why.code}"
    seen: Seen = ("LIST_DENIED", why.limit, why.observed, why.threshold, words)
    return [
        one if not one.allowed else _denied("R24", seen, (), limits, state, one.reference)
        for one in found
    ]
