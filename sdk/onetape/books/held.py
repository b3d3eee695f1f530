# pyright: standard
"""Held: what accounts held in an instrument at an instant, from the history of positions.

`position_history` keeps the state after each event as the ledger knew it then. For a key, let
e0 be the first row whose ts_event is after the instant. All rows before e0 count, so the state
after the last of them is the answer so far, exactly. Of what follows e0 only what came late can
still count:

    nothing      the state before e0 is the answer
    fills        they are booked on it, in the ledger's order
    else         a void or a split came late: the pair is folded anew from the log

Rows that are not late rise in both axes and e0 is one of them, so one look finds it; only a void
could come before it unseen (a void is always called late), and then the log is asked as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

from onetape.books.exact import EXACT, ZERO, exactly
from onetape.books.past import Instant, Pair, of_pairs
from onetape.books.positions import Holding, Key, positions
from onetape.books.standing import standing
from onetape.tape.event import Event
from onetape.tape.kinds import OrderFilled, SplitApplied

KEYS = """SELECT k.id, k.account, k.instrument, k.strategy, k.currency, k.multiplier, k.margined,
  b.quantity, b.cost, b.realized, b.commission, b.last_price, b.seq, b.ts_event, b.event,
  e.seq, CASE
    WHEN EXISTS (SELECT FROM onetape_books.action v
      WHERE v.book = k.book AND v.account = k.account AND v.instrument = k.instrument
        AND v.kind = 'void' AND v.ts_event > %(true)b AND v.seq <= %(known)b) THEN 2
    ELSE (SELECT max(CASE t.event WHEN 'fill' THEN 1 ELSE 2 END)
      FROM onetape_books.position_history t
      WHERE t.key_id = k.id AND t.late AND t.seq > e.seq AND t.seq <= %(known)b
        AND t.ts_event <= %(true)b) END
FROM onetape_books.position_key k
LEFT JOIN LATERAL (
  SELECT h.seq FROM onetape_books.position_history h
  WHERE h.key_id = k.id AND NOT h.late AND h.ts_event > %(true)b
  ORDER BY h.ts_event, h.seq LIMIT 1) e ON true
LEFT JOIN LATERAL (
  SELECT h.* FROM onetape_books.position_history h
  WHERE h.key_id = k.id AND h.seq <= least(e.seq - 1, %(known)b)
  ORDER BY h.seq DESC LIMIT 1) b ON true
"""
TAIL = """SELECT t.change, t.price, t.seq, t.ts_event,
  t.commission - coalesce((SELECT p.commission FROM onetape_books.position_history p
    WHERE p.key_id = t.key_id AND p.seq < t.seq ORDER BY p.seq DESC LIMIT 1), 0)
FROM onetape_books.position_history t
WHERE t.key_id = %(id)b AND t.late AND t.seq > %(from)b AND t.seq <= %(known)b
  AND t.ts_event <= %(true)b ORDER BY t.seq"""
FOLDED, LOGGED = 1, 2  # what is to be done about rows that came late
# Two statements, each with its own plan: the planner must not weigh one against the other.
OF_PAIR = f"{KEYS} WHERE k.book = %(book)b AND k.account = %(account)b AND k.instrument = %(name)b"
OF_INSTRUMENT = f"{KEYS} WHERE k.book = %(book)b AND k.instrument = %(name)b"
INFO = """SELECT account, instrument, strategy, id, currency, multiplier, margined
FROM onetape_books.position_key k
JOIN unnest(%(accounts)b::text[], %(instruments)b::text[]) AS p(a, i)
  ON k.account = p.a AND k.instrument = p.i
WHERE k.book = %(book)b"""


class State(NamedTuple):
    """One position at an instant, with what values it. Never one without a standing fill."""

    key_id: int
    account: str
    instrument: str
    strategy: str
    currency: str
    multiplier: Decimal
    margined: bool
    quantity: Decimal
    cost: Decimal
    realized: Decimal
    commission: Decimal  # in `currency`
    price: Decimal  # of the account's last fill in the instrument, over all its strategies
    seq: int  # of the last event in it
    ts_event: int  # of that event
    event: str  # fill, split or void


def of_instrument(
    connection: Any, book: str, account: str | None, instrument: str, instant: Instant
) -> list[State]:
    """Return the positions of an account, or of all accounts, in one instrument."""
    statement = OF_INSTRUMENT if account is None else OF_PAIR
    asked = {
        "book": book,
        "account": account,
        "name": instrument,
        "true": instant.true_at,
        "known": instant.known_at,
    }
    rows = connection.cursor(binary=True).execute(statement, asked, prepare=True).fetchall()
    return _of_rows(connection, book, rows, instant)


def _of_rows(connection: Any, book: str, rows: list[Any], instant: Instant) -> list[State]:
    found: list[State] = []
    again: list[Pair] = []
    rows.sort(key=lambda row: row[1:4])
    for pair, same in groupby(rows, key=lambda row: Pair(row[1], row[2])):
        known = list(same)
        if any(row[-1] == LOGGED for row in known):
            again.append(pair)
            continue
        states = _some([_late(connection, row, instant) for row in known])
        if is_plain(states):
            found += _at_one_price(states)
        else:
            again.append(pair)
    if again:
        found += refolded(connection, book, again, instant)
    return sorted(found) if len(found) > 1 else found


def _late(connection: Any, row: Any, instant: Instant) -> State:
    """Return the state before e0, with the fills booked on it that came late."""
    state = State(*row[:-2])
    if row[-1] != FOLDED:
        return state
    asked = {
        "id": state.key_id,
        "from": row[-2],
        "known": instant.known_at,
        "true": instant.true_at,
    }
    tail = connection.cursor(binary=True).execute(TAIL, asked, prepare=True).fetchall()
    return _booked(state, tail)


@exactly
def _booked(state: State, tail: Iterable[Any]) -> State:
    held = Holding(state.quantity or ZERO, state.cost or ZERO, state.realized or ZERO)
    paid, price, where = state.commission or ZERO, ZERO, (0, 0)
    for change, price, seq, ts, fee in tail:
        held = held.after(seq, change, price * state.multiplier)
        paid, where = paid + fee, (seq, ts)
    amounts = (held.quantity, held.cost, held.realized, paid, price)
    return State._make((*state[:7], *amounts, *where, "fill"))


def is_plain(states: Sequence[State]) -> bool:
    """Tell whether the last fill of a pair can be told from its positions' last events."""
    return len(states) < 2 or all(one.event == "fill" for one in states)


@exactly
def refolded(connection: Any, book: str, pairs: Sequence[Pair], instant: Instant) -> list[State]:
    """Return the positions of each pair, folded from the log."""
    if not pairs:
        return []
    asked = {
        "book": book,
        "accounts": [pair.account for pair in pairs],
        "instruments": [pair.instrument for pair in pairs],
    }
    rows = connection.cursor(binary=True).execute(INFO, asked).fetchall()
    infos = {Key(*row[:3]): row[3:] for row in rows}
    events = of_pairs(connection, book, pairs, instant)
    sizes = {key.instrument: info[2] for key, info in infos.items()}
    last = last_events(events)
    prices = last_prices(events)
    found: list[State] = []
    for key, position in positions(events, multipliers=sizes).items():
        number, currency, multiplier, margined = infos[key]
        held = (position.quantity, position.cost, position.realized)
        paid = position.commission.get(currency, ZERO)
        price = prices[Pair(key.account, key.instrument)]
        info = (currency, multiplier, margined)
        found.append(State._make((number, *key, *info, *held, paid, price, *last[key])))
    return found


def last_events(events: Iterable[Event]) -> dict[Key, tuple[int, int, str]]:
    """Return seq, ts_event and kind of the last event in each position, a void among them."""
    last: dict[Key, tuple[int, int, str]] = {}
    of_fill: dict[tuple[str, str], Key] = {}
    keys: dict[Pair, dict[Key, set[tuple[str, str]]]] = {}
    for event in events:
        fact, where = event.fact, (event.seq, event.ts_event)
        if isinstance(fact, SplitApplied):
            for key, standing_fills in keys.get(Pair(fact.account, fact.instrument), {}).items():
                if standing_fills:
                    last[key] = (*where, "split")
        elif isinstance(fact, OrderFilled):
            key = Key(fact.account, fact.instrument, fact.strategy)
            execution = (fact.client_order_id, fact.trade_id)
            of_fill[execution] = key
            keys.setdefault(Pair(*key[:2]), {}).setdefault(key, set()).add(execution)
            last[key] = (*where, "fill")
        elif (trade := getattr(fact, "trade_id", None)) is not None:
            execution = (getattr(fact, "client_order_id", ""), trade)
            key = of_fill[execution]
            keys[Pair(*key[:2])][key].discard(execution)
            last[key] = (*where, "void")
    return last


def last_prices(events: Iterable[Event]) -> dict[Pair, Decimal]:
    """Return each pair's last fill price, rescaled over the splits that followed it."""
    prices: dict[Pair, Decimal] = {}
    for event in standing(events):
        fact = event.fact
        if isinstance(fact, OrderFilled):
            prices[Pair(fact.account, fact.instrument)] = fact.price
        elif isinstance(fact, SplitApplied):
            pair = Pair(fact.account, fact.instrument)
            if pair in prices:
                prices[pair] = EXACT.divide(prices[pair], fact.ratio)
    return prices


def _some(states: list[State]) -> list[State]:
    """Leave out what was never held at the instant, and what a void left nothing of."""
    return [one for one in states if one.seq is not None and not is_void(one)]


def is_void(one: State) -> bool:
    """Tell whether nothing stands: every fill of the position was taken back."""
    nothing = one.quantity or one.cost or one.realized or one.commission or one.price
    return one.event == "void" and not nothing


def _at_one_price(states: list[State]) -> list[State]:
    if len(states) < 2:
        return states
    price = max(states, key=lambda one: one.seq).price
    return [one._replace(price=price) for one in states]
